// Turns into measurements: what a committed turn says about orchestrations. Neighbours: orchestration-dispatcher.ts, metrics.ts.
import type { OrchestrationItem } from '../provider/provider.ts';
import type { MetricLabels } from '../types/metrics.ts';
import type { ReplayResult } from '../types/replay.ts';
import type { Metrics, Series } from './metrics.ts';

/** A committed turn: the instance as it was fetched, what the turn gave, and the store's time. */
export type CommittedTurn = { readonly item: OrchestrationItem; readonly result: ReplayResult; readonly nowMs: number };

/** Most series that are kept here. Reason: names and versions come from user code; beyond it they are looked up. */
const MAX_KEPT = 1_000;

/** Measures the turns of one runtime. Series are kept, because finding one costs more than all the rest. */
export class OrchestrationMetrics {
  readonly #metrics: Metrics;
  readonly #series = new Map<string, Series>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  measure({ item, result, nowMs }: CommittedTurn): void {
    const { name } = item;
    const { version } = result;
    if (item.lastEventId === 0) {
      const initiatedBy = item.executionId > 1 ? 'continueAsNew' : item.parent === null ? 'client' : 'parent';
      const labels = { orchestration: name, version, initiated_by: initiatedBy };
      this.#find('counter', 'duraloom_orchestration_starts_total', `${initiatedBy} ${version} ${name}`, labels).record(1);
    }
    for (const point of result.effects?.metrics ?? []) this.#metrics.record(point);
    const status = result.outcome.kind;
    if (status === 'waiting' || status === 'notRegistered' || status === 'faulted') return;
    const ended = { orchestration: name, version, status };
    const key = `${status} ${version} ${name}`;
    this.#find('counter', 'duraloom_orchestration_completions_total', key, ended).record(1);
    this.#find('histogram', 'duraloom_orchestration_turns', name, { orchestration: name }).record(result.turns);
    this.#find('histogram', 'duraloom_orchestration_history_size', name, { orchestration: name }).record(result.lastEventId);
    if (status === 'continuedAsNew') return;
    // From the start call to the end: the whole life, over all executions.
    const seconds = Math.max(0, nowMs - item.createdAtMs) / 1_000;
    this.#find('histogram', 'duraloom_orchestration_duration_seconds', key, ended).record(seconds);
  }

  #find(kind: 'counter' | 'histogram', metric: string, key: string, labels: MetricLabels): Series {
    const fullKey = `${metric} ${key}`;
    let series = this.#series.get(fullKey);
    if (series === undefined) {
      series = this.#metrics.series(kind, metric, labels);
      if (this.#series.size < MAX_KEPT) this.#series.set(fullKey, series);
    }
    return series;
  }
}
