// Row W3: latency of an idle runtime. One orchestration with one activity at a time, from the start call to its result.
import { withHost, type Host, type RowTask } from './host.ts';
import { toPercentiles } from './load.ts';
import { pickSize } from './options.ts';
import { fanOut } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Samples of a round: the 99th percentile has ten above it. */
const SAMPLES = { full: 1_000, quick: 30 };
/** Before the first round: until then the hot paths are compiled. */
const WARM_UP = { full: 200, quick: 10 };

/**
 * Measures row W3.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureIdleLatency(task: RowTask): Promise<readonly RowResult[]> {
  const samples = pickSize(task.options, SAMPLES);
  const roundsMs: (readonly number[])[] = [];
  await withHost(task, async (host) => {
    await runSamples(host, 'w3-warm-up', pickSize(task.options, WARM_UP));
    for (let round = 0; round < task.options.rounds; round += 1) {
      roundsMs.push(await task.measured(samples, () => runSamples(host, `w3-${round}`, samples)));
    }
  });
  return [{ row: 'W3', metrics: toPercentiles('', 'start to result, one activity, idle', roundsMs), sizes: { samples } }];
}

async function runSamples({ client }: Host, prefix: string, count: number): Promise<readonly number[]> {
  const latenciesMs: number[] = [];
  for (let sample = 0; sample < count; sample += 1) {
    const startedMs = performance.now();
    const handle = await client.startOrchestration(`${prefix}-${sample}`, fanOut, 1);
    const result = await handle.result();
    latenciesMs.push(performance.now() - startedMs);
    if (result !== 1) throw new TypeError(`expected the result 1, got ${String(result)}`);
  }
  return latenciesMs;
}
