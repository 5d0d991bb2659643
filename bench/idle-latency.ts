// Row W3: latency of an idle runtime. One orchestration with one activity at a time, from the start call to its result.
import { withHost, type Host, type RowTask } from './host.ts';
import { fanOut } from './orchestrations.ts';
import { quantile, type RowResult } from './result.ts';

/** Samples of a round: the 99th percentile has three above it. */
const SAMPLES = { full: 300, quick: 30 };
/** Before the first round: until then the hot paths are compiled. */
const WARM_UP = { full: 200, quick: 10 };

/**
 * Measures row W3.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureIdleLatency(task: RowTask): Promise<readonly RowResult[]> {
  const { rounds, quick } = task.options;
  const samples = quick ? SAMPLES.quick : SAMPLES.full;
  const p50: number[] = [];
  const p99: number[] = [];
  await withHost(task, async (host) => {
    await runSamples(host, 'w3-warm-up', quick ? WARM_UP.quick : WARM_UP.full);
    for (let round = 0; round < rounds; round += 1) {
      const latenciesMs = await runSamples(host, `w3-${round}`, samples);
      p50.push(quantile(latenciesMs, 0.5));
      p99.push(quantile(latenciesMs, 0.99));
    }
  });
  const metrics = [
    { field: 'p50Ms', label: 'start to result, one activity, idle: p50', unit: 'ms', values: p50 },
    { field: 'p99Ms', label: 'start to result, one activity, idle: p99', unit: 'ms', values: p99 },
  ];
  return [{ row: 'W3', metrics, sizes: { samples } }];
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
