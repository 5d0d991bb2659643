// threads: worker threads die at random moments, replay and activity threads alike: by the code that they run, which ends its own thread.
// The thread pool starts others, the dispatchers give the work back: no instance may notice. Neighbours: die-once.ts, local.ts.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { MARKS } from '../die-once.ts';
import { LOCK_MS } from '../finish.ts';
import { Load } from '../load.ts';
import { Random } from '../random.ts';
import type { Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import { awaitLoads, endOf, startLocalHost, stopAndCheck } from './local.ts';

/** How long the last jobs may take, in milliseconds: work is given back with a growing delay. */
const STUCK_MS = 60_000;

/** The mode. */
export const threads: Mode = {
  summary: 'worker threads die at random moments',
  length: 'minutes',
  defaultLength: 2,
  defaultInFlight: 100,
  async run(settings, workspace) {
    const marks = join(workspace.folder, `marks-${process.pid}`);
    mkdirSync(marks);
    process.env[MARKS] = marks;
    const host = await startLocalHost(workspace, settings, { lockMs: 10 * LOCK_MS });
    const endMs = endOf(settings);
    const acknowledged: string[] = [];
    const startLoad = (prefix: string, kinds: typeof KINDS, inFlight: number): Load =>
      new Load({
        client: host.client,
        random: new Random(settings.seed + prefix.length),
        prefix,
        kinds,
        inFlight,
        isOver: () => performance.now() > endMs,
        onStarted: ({ instanceId }) => acknowledged.push(instanceId),
      });
    const load = startLoad('threads', KINDS, settings.inFlight);
    const deaths = startLoad('deaths', ['threadDeaths'], 1);
    await Promise.race([load.done, pause(settings.minutes * 60_000)]);
    const stuck = await awaitLoads([load, deaths], STUCK_MS);
    const { violations, census } = await stopAndCheck(host, workspace, { acknowledged });
    const { instances, activities, events } = census;
    return {
      violations: [...load.violations, ...deaths.violations, ...stuck, ...violations],
      completed: load.ended,
      latency: load.total,
      figures: { jobsThatKillTheirThread: deaths.ended, instances, activities, events },
    };
  },
};
