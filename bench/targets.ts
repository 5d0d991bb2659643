// The targets: what a figure has to be on a machine of two cores, on a file with FULL sync or on a PostgreSQL beside it. Neighbour: print.ts shows them.
import type { BenchOptions } from './options.ts';
import { median, type Metric, type RowResult } from './result.ts';
import type { StoreKind } from './sweep.ts';

/** What one figure has to be. */
export type Target = {
  readonly row: string;
  /** @default 'file' */
  readonly store?: StoreKind;
  /** Only this case of the row. */
  readonly name?: string;
  readonly field: string;
  readonly bound: 'atLeast' | 'atMost';
  readonly value: number;
};

/** A figure held against its target. */
export type Verdict = {
  readonly target: Target;
  /** Case of the row; empty: it has one. */ readonly name: string;
  readonly value: number;
  readonly met: boolean;
};

/** All targets. Those against other runtimes are in bench/peers. */
export const TARGETS: readonly Target[] = [
  { row: 'W1', field: 'orchestrationsPerSecond', bound: 'atLeast', value: 10_000 },
  { row: 'W1', field: 'ceilingRatio', bound: 'atLeast', value: 0.7 },
  { row: 'W1', field: 'mainCpuMicrosPerOrchestration', bound: 'atMost', value: 80 },
  { row: 'W1', field: 'eventLoopDelayP99Ms', bound: 'atMost', value: 10 },
  { row: 'W2', name: 'chain of 1,000', field: 'totalMs', bound: 'atMost', value: 400 },
  { row: 'W2', name: 'chain of 10,000', field: 'lateToEarly', bound: 'atMost', value: 1.2 },
  { row: 'W2c', field: 'chainsPerSecond', bound: 'atLeast', value: 3_000 },
  { row: 'W3', field: 'p50Ms', bound: 'atMost', value: 1 },
  { row: 'W3', field: 'p99Ms', bound: 'atMost', value: 4 },
  { row: 'W4', name: '100,000 waiting', field: 'rssMbAboveIdle', bound: 'atMost', value: 150 },
  { row: 'W4', field: 'completedPerSecond', bound: 'atLeast', value: 10_000 },
  { row: 'W5', field: 'wallToIdeal', bound: 'atMost', value: 1.15 },
  { row: 'W5', field: 'eventLoopDelayP99Ms', bound: 'atMost', value: 10 },
  { row: 'W6', name: 'batches', field: 'startsPerSecond', bound: 'atLeast', value: 40_000 },
  { row: 'W7', field: 'lateP99Ms', bound: 'atMost', value: 20 },
  { row: 'W10', field: 'completeMs', bound: 'atMost', value: 3_000 },
  { row: 'W11', field: 'fullToEmpty', bound: 'atLeast', value: 0.9 },
  { row: 'W13', field: 'observedToPlain', bound: 'atLeast', value: 0.97 },
  { row: 'W14', field: 'p50Ms', bound: 'atMost', value: 20 },
  { row: 'W1', store: 'postgres', field: 'orchestrationsPerSecond', bound: 'atLeast', value: 2_000 },
  { row: 'W3', store: 'postgres', field: 'p50Ms', bound: 'atMost', value: 8 },
  { row: 'W12', store: 'postgres', field: 'twoToOne', bound: 'atLeast', value: 1 },
  { row: 'M2', name: 'parse, validate and replay', field: 'eventsPerSecond', bound: 'atLeast', value: 500_000 },
];

/**
 * Holds a figure against its target.
 *
 * @param result - the figure's result
 * @param metric - the figure
 * @param options - targets hold for a store, for a file only with FULL sync, and for sizes that mean something
 * @returns null when there is no target
 */
export function judge(result: RowResult, metric: Metric, { store, sync, quick }: BenchOptions): Verdict | null {
  if ((store === 'file' && sync !== 'FULL') || quick) return null;
  const target = TARGETS.find(
    ({ row, store: itsStore = 'file', name, field }) =>
      row === result.row && itsStore === store && field === metric.field && (name === undefined || name === result.name),
  );
  if (target === undefined) return null;
  const value = median(metric.values);
  return { target, name: result.name ?? '', value, met: target.bound === 'atLeast' ? value >= target.value : value <= target.value };
}
