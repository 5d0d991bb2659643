// What a stretch of work costs the host: time, CPU, and how long its event loop was blocked. Neighbour: the end-to-end rows.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { quantile, type Metric } from './result.ts';

/** Samples of the event-loop delay are taken this often, and contain this wait. */
const DELAY_RESOLUTION_MS = 1;

/** What was measured. */
export type Load = {
  readonly elapsedMs: number;
  /** Not on every Node. */
  readonly mainCpuUs: number | null;
  readonly processCpuUs: number;
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
};

/**
 * Runs something and measures its load.
 *
 * @param run - the work
 * @returns what it returned, and the load
 */
export async function measureLoad<Result>(run: () => Promise<Result>): Promise<{ readonly result: Result; readonly load: Load }> {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const processCpu = process.cpuUsage();
  const mainCpu = typeof process.threadCpuUsage === 'function' ? process.threadCpuUsage() : null;
  const startedMs = performance.now();
  const result = await run();
  const elapsedMs = performance.now() - startedMs;
  const mainUsed = mainCpu === null ? null : process.threadCpuUsage(mainCpu);
  const processUsed = process.cpuUsage(processCpu);
  delay.disable();
  const delayMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - DELAY_RESOLUTION_MS);
  const load = {
    elapsedMs,
    mainCpuUs: mainUsed === null ? null : mainUsed.user + mainUsed.system,
    processCpuUs: processUsed.user + processUsed.system,
    delayP50Ms: delayMs(delay.percentile(50)),
    delayP99Ms: delayMs(delay.percentile(99)),
    delayMaxMs: delayMs(delay.max),
  };
  return { result, load };
}

/**
 * Makes metrics of the event loop's delay.
 *
 * @param loads - one a round
 * @returns the metrics
 */
export function toDelayMetrics(loads: readonly Load[]): readonly Metric[] {
  return [
    metric(
      'eventLoopDelayP50Ms',
      'event-loop delay p50',
      'ms',
      loads.map(({ delayP50Ms }) => delayP50Ms),
    ),
    metric(
      'eventLoopDelayP99Ms',
      'event-loop delay p99',
      'ms',
      loads.map(({ delayP99Ms }) => delayP99Ms),
    ),
    metric(
      'eventLoopDelayMaxMs',
      'event-loop delay max',
      'ms',
      loads.map(({ delayMaxMs }) => delayMaxMs),
    ),
  ];
}

/**
 * Makes metrics of the processor time of one item.
 *
 * @param loads - one a round
 * @param items - that each round handled
 * @returns the metrics
 */
export function toCpuMetrics(loads: readonly Load[], items: number): readonly Metric[] {
  const perItemUs = loads.flatMap(({ mainCpuUs }) => (mainCpuUs === null ? [] : [mainCpuUs / items]));
  return [
    ...(perItemUs.length === 0 ? [] : [metric('mainCpuMicrosPerOrchestration', 'CPU of the main thread', 'µs/orchestration', perItemUs)]),
    metric(
      'processCpuMicrosPerOrchestration',
      'CPU of all threads',
      'µs/orchestration',
      loads.map(({ processCpuUs }) => processCpuUs / items),
    ),
  ];
}

/**
 * Makes a metric.
 *
 * @param field - name in JSON
 * @param label - name in the table
 * @param unit - its unit
 * @param values - one a round
 * @returns the metric
 */
export function metric(field: string, label: string, unit: string, values: readonly number[]): Metric {
  return { field, label, unit, values };
}

/** Percentiles that latencies are reported by. */
const PERCENTILES = [
  ['P50', 0.5],
  ['P95', 0.95],
  ['P99', 0.99],
  ['Max', 1],
] as const;

/**
 * Makes metrics of the percentiles of times.
 *
 * @param name - begins the names in JSON; empty: they are `p50Ms` and so on
 * @param label - what was timed
 * @param roundsMs - the times of each round
 * @returns the metrics
 */
export function toPercentiles(name: string, label: string, roundsMs: readonly (readonly number[])[]): readonly Metric[] {
  return PERCENTILES.map(([percentile, fraction]) =>
    metric(
      `${name === '' ? percentile.toLowerCase() : `${name}${percentile}`}Ms`,
      `${label}: ${percentile.toLowerCase()}`,
      'ms',
      roundsMs.map((timesMs) => quantile(timesMs, fraction)),
    ),
  );
}
