// Row W5: activities that keep a processor busy. Are all activity threads used, and does the host's event loop stay free meanwhile?
import { availableParallelism } from 'node:os';
import { ACTIVITY_MS } from './durations.ts';
import { assertResults, withHost, type Host, type RowTask } from './host.ts';
import { measureLoad, metric, toDelayMetrics, type Load } from './load.ts';
import { pickSize } from './options.ts';
import { spinFanOut } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Orchestrations of a round. */
const COUNT = { full: 40, quick: 5 };
/** Activities of each. */
const WIDTH = 5;

/**
 * Measures row W5. Ideal is the time that all activities spin, divided by the threads that can run at once. Nothing is held back for the
 * main thread: with as many activity threads as cores it has to take its time from them.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureCpuBound(task: RowTask): Promise<readonly RowResult[]> {
  const count = pickSize(task.options, COUNT);
  // Inline there is one thread, too: the host's own.
  const atOnce = Math.max(1, Math.min(task.options.threads.activity, availableParallelism()));
  const idealMs = (count * WIDTH * ACTIVITY_MS) / atOnce;
  const loads: Load[] = [];
  await withHost(task, async (host) => {
    await runAll(host, 'warm-up', 2);
    for (let round = 0; round < task.options.rounds; round += 1) {
      loads.push(await task.measured(count, () => runAll(host, String(round), count)));
    }
  });
  const wallMs = loads.map(({ elapsedMs }) => elapsedMs);
  const metrics = [
    metric('wallMs', `${count} × ${WIDTH} activities of ${ACTIVITY_MS} ms processor time`, 'ms', wallMs),
    metric('idealMs', `ideal, ${atOnce} at once`, 'ms', [idealMs]),
    metric(
      'wallToIdeal',
      'against ideal',
      'ratio',
      wallMs.map((elapsedMs) => elapsedMs / idealMs),
    ),
    ...toDelayMetrics(loads),
  ];
  return [{ row: 'W5', metrics, sizes: { orchestrations: count, activitiesEach: WIDTH, activityMs: ACTIVITY_MS, atOnce } }];
}

async function runAll({ client }: Host, prefix: string, count: number): Promise<Load> {
  const { result, load } = await measureLoad(async () => {
    const requests = Array.from({ length: count }, (_, index) => ({
      instanceId: `w5-${prefix}-${index}`,
      orchestration: spinFanOut,
      input: WIDTH,
    }));
    const started = await client.startOrchestrations<number>(requests);
    return Promise.all(started.map(({ handle }) => handle.result()));
  });
  assertResults(result, () => WIDTH);
  return load;
}
