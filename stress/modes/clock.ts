// clock: the time of day jumps, by seconds to a day, forward and back, while the runtime works and has a backlog. Timers may come early or late
// with it; nothing else may wait, be lost or be recorded twice. Neighbours: local.ts runs it, workload.ts says who waits for times of day.
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from 'duraloom';
import { systemClock } from '../../src/provider/system-clock.ts';
import { Load } from '../load.ts';
import { Random } from '../random.ts';
import { percentileMs, type Mode } from '../report.ts';
import { PROMPT_KINDS, TIMED_KINDS } from '../workload.ts';
import { awaitSteps, bare, endOf, finishLocally, startLocalHost } from './local.ts';

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;
/** Lengths of jumps, in milliseconds. */
const JUMPS: readonly [number, ...number[]] = [2 * SECOND, 10 * SECOND, 60 * SECOND, 600 * SECOND, 3600 * SECOND, DAY];
/** Between two jumps: turns and activities, and then some time in milliseconds. */
const STEPS = 100;
const PAUSE_MS = [0, 1500] as const;
/** Leases, in milliseconds: long enough not to end on a busy machine. What a jump makes end is taken up again at once, or after one lease. */
const LOCK_MS = 10_000;
/** Little room, so that much waits in the store when the clock jumps. */
const NARROW = { activitiesPerThread: 2, turnsPerThread: 8 };
/** A job without timers that is older is stuck, in milliseconds: several leases; on a busy machine, many times what half of the jobs take. */
const STUCK_MS = 30_000;
const STUCK_FACTOR = 20;
/** How long the last jobs may take when all timers are due. */
const LATE_MS = 60_000;

/** The machine's clock with an offset. */
function makeJumpingClock(): { readonly clock: Clock; readonly jump: (byMs: number) => void; readonly offsetMs: () => number } {
  let offsetMs = 0;
  return {
    clock: { ...systemClock, nowMs: () => systemClock.nowMs() + offsetMs },
    jump: (byMs) => void (offsetMs += byMs),
    offsetMs: () => offsetMs,
  };
}

/** The mode. */
export const clock: Mode = {
  summary: 'the time of day jumps forward and back',
  length: 'minutes',
  defaultLength: 2,
  defaultInFlight: 50,
  async run(settings, workspace) {
    const random = new Random(settings.seed);
    const { clock: jumping, jump, offsetMs } = makeJumpingClock();
    const host = await startLocalHost(workspace, settings, { lockMs: LOCK_MS, clock: jumping, wrap: bare, runtime: NARROW });
    const endMs = endOf(settings);
    const acknowledged: string[] = [];
    const startLoad = (prefix: string, kinds: typeof PROMPT_KINDS): Load =>
      new Load({
        client: host.client,
        random: new Random(settings.seed + prefix.length),
        prefix,
        kinds,
        inFlight: settings.inFlight,
        isOver: () => performance.now() > endMs,
        onStarted: ({ instanceId }) => acknowledged.push(instanceId),
      });
    const prompt = startLoad('prompt', PROMPT_KINDS);
    const timed = startLoad('timed', TIMED_KINDS);
    const stuck = new Set<string>();
    const look = (): void => {
      const ageMs = Math.max(STUCK_MS, STUCK_FACTOR * percentileMs(prompt.total, 50));
      for (const instanceId of prompt.running(ageMs)) stuck.add(instanceId);
    };
    const figures = { jumpsForward: 0, jumpsBack: 0 };
    let highestMs = 0;
    while (performance.now() < endMs) {
      await awaitSteps(host.runtime, STEPS, endMs);
      await pause(random.integer(...PAUSE_MS));
      look();
      const isForward = random.chance(0.5);
      figures[isForward ? 'jumpsForward' : 'jumpsBack'] += 1;
      jump(random.pick(JUMPS) * (isForward ? 1 : -1));
      highestMs = Math.max(highestMs, offsetMs());
    }
    // What has no timers must end although the time stays behind; then it catches up with all timers.
    await Promise.race([prompt.done, pause(2 * STUCK_MS)]);
    look();
    jump(highestMs - offsetMs() + DAY);
    const loads = [prompt, timed];
    const { violations, census } = await finishLocally(host, workspace, { loads, byMs: performance.now() + LATE_MS, acknowledged });
    const { instances, activities, events } = census;
    const waiting = [...stuck].map((instanceId) => `${instanceId} waits for no time of day, and takes as if it did`);
    return {
      violations: [...waiting, ...violations],
      completed: prompt.ended + timed.ended,
      latency: prompt.total,
      figures: { ...figures, instances, activities, events },
    };
  },
};
