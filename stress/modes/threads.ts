// threads: worker threads die, replay and activity threads alike: at random moments, ended from outside, and by the code that they run, which
// exits, fills the heap, throws where nobody catches it, or never gives way. The pools start others, the dispatchers give the work back: no
// instance may notice. Neighbours: die-once.ts, local.ts.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger, RuntimeOptions } from 'duraloom';
import { MARKS } from '../die-once.ts';
import { LOCK_MS } from '../finish.ts';
import { Load } from '../load.ts';
import { Random } from '../random.ts';
import type { Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import { awaitSteps, bare, endOf, finishLocally, startLocalHost } from './local.ts';

/** How long the last jobs may take, in milliseconds: work is given back with a growing delay. */
const STUCK_MS = 60_000;
/** Between two threads that are ended from outside: turns and activities, and then some time in milliseconds. */
const STEPS = 20;
const PAUSE_MS = [0, 1000] as const;
/** Limits that code which fills its heap or never gives way comes to soon. */
const LIMITS: Partial<RuntimeOptions> = {
  replayThreadMemoryMb: 96,
  activityThreadMemoryMb: 96,
  turnTimeoutMs: 1000,
  activityGraceMs: 500,
};

/** The mode. */
export const threads: Mode = {
  summary: 'worker threads die at random moments and of the code that they run',
  length: 'minutes',
  defaultLength: 2,
  defaultInFlight: 100,
  async run(settings, workspace) {
    const marks = join(workspace.folder, `marks-${process.pid}`);
    mkdirSync(marks);
    process.env[MARKS] = marks;
    // Each death is a warning by default.
    process.removeAllListeners('warning');
    const random = new Random(settings.seed);
    const figures = { endedFromOutside: 0, deaths: 0 };
    // Both dispatchers tell the end of a thread with its reason.
    const error: Logger['error'] = ({ code }) => void (figures.deaths += code === undefined ? 0 : 1);
    const logger: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error };
    const host = await startLocalHost(workspace, settings, { lockMs: 10 * LOCK_MS, wrap: bare, runtime: { ...LIMITS, logger } });
    const endMs = endOf(settings);
    const acknowledged: string[] = [];
    const startLoad = (prefix: string, kinds: typeof KINDS, inFlight: number): Load =>
      new Load({
        client: host.client,
        random: new Random(settings.seed + inFlight),
        prefix,
        kinds,
        inFlight,
        isOver: () => performance.now() > endMs,
        onStarted: ({ instanceId }) => acknowledged.push(instanceId),
      });
    const load = startLoad('threads', KINDS, settings.inFlight);
    const deaths = startLoad('deaths', ['threadDeaths'], 1);
    while (performance.now() < endMs) {
      await awaitSteps(host.runtime, STEPS, endMs);
      await pause(random.integer(...PAUSE_MS));
      const kind = random.pick(['replay', 'activity'] as const);
      const count = kind === 'replay' ? settings.replayThreads : settings.activityThreads;
      // False while the thread is just being started.
      if (host.runtime.crashThread({ kind, index: random.integer(0, count - 1) })) figures.endedFromOutside += 1;
    }
    const loads = [load, deaths];
    const { violations, census } = await finishLocally(host, workspace, { loads, byMs: endMs + STUCK_MS, acknowledged });
    const { instances, activities, events } = census;
    const idle = figures.deaths > 0 ? [] : ['no thread died: the run has proved nothing'];
    return {
      violations: [...violations, ...idle],
      completed: load.ended,
      latency: load.total,
      figures: { ...figures, jobsThatEndTheirThreads: deaths.ended, instances, activities, events },
    };
  },
};
