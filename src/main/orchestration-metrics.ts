// Turns into measurements: what a committed turn says about orchestrations. Neighbours: orchestration-dispatcher.ts, metrics.ts.
import type { OrchestrationItem } from '../provider/provider.ts';
import type { ReplayResult, TurnOutcome } from '../types/replay.ts';
import type { Metrics, Series } from './metrics.ts';

/** A committed turn: the instance as it was fetched, what the turn gave, and the store's time. */
export type CommittedTurn = { readonly item: OrchestrationItem; readonly result: ReplayResult; readonly nowMs: number };

/** Series of one way to end; no duration for continue-as-new, which ends no life. */
type EndSeries = { readonly completions: Series; readonly turns: Series; readonly historySize: Series; readonly seconds: Series | null };

/** The series of one version of an orchestration. */
type Kept = { readonly starts: Map<string, Series>; readonly ends: Map<TurnOutcome['kind'], EndSeries> };

/** Most versions whose series are kept here. Reason: names and versions come from user code; beyond it they are looked up. */
const MAX_KEPT = 1_000;

/** Measures the turns of one runtime. Series are kept, because finding one costs more than all the rest. */
export class OrchestrationMetrics {
  readonly #metrics: Metrics;
  readonly #kept = new Map<string, Map<string, Kept>>();
  #count = 0;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  measure({ item, result, nowMs }: CommittedTurn): void {
    const status = result.outcome.kind;
    const isStart = item.lastEventId === 0;
    for (const point of result.effects?.metrics ?? []) this.#metrics.record(point);
    if (status === 'notRegistered' || status === 'faulted' || (status === 'waiting' && !isStart)) return;
    const kept = this.#find(item.name, result.version);
    if (isStart) this.#startSeries(kept, item, result.version).record(1);
    if (status === 'waiting') return;
    const { completions, turns, historySize, seconds } = this.#endSeries(kept, item.name, result);
    completions.record(1);
    turns.record(result.turns);
    historySize.record(result.lastEventId);
    // From the start call to the end: the whole life, over all executions.
    seconds?.record(Math.max(0, nowMs - item.createdAtMs) / 1_000);
  }

  #find(orchestration: string, version: string): Kept {
    let versions = this.#kept.get(orchestration);
    const known = versions?.get(version);
    if (known !== undefined) return known;
    const kept: Kept = { starts: new Map(), ends: new Map() };
    if (this.#count >= MAX_KEPT) return kept;
    this.#count += 1;
    if (versions === undefined) this.#kept.set(orchestration, (versions = new Map<string, Kept>()));
    versions.set(version, kept);
    return kept;
  }

  #startSeries({ starts }: Kept, { name, executionId, parent }: OrchestrationItem, version: string): Series {
    const initiatedBy = executionId > 1 ? 'continueAsNew' : parent === null ? 'client' : 'parent';
    let series = starts.get(initiatedBy);
    if (series === undefined) {
      const labels = { orchestration: name, version, initiated_by: initiatedBy };
      starts.set(initiatedBy, (series = this.#metrics.series('counter', 'duraloom_orchestration_starts_total', labels)));
    }
    return series;
  }

  #endSeries({ ends }: Kept, orchestration: string, { outcome, version }: ReplayResult): EndSeries {
    let series = ends.get(outcome.kind);
    if (series === undefined) {
      const labels = { orchestration, version, status: outcome.kind };
      const isLife = outcome.kind !== 'continuedAsNew';
      series = {
        completions: this.#metrics.series('counter', 'duraloom_orchestration_completions_total', labels),
        turns: this.#metrics.series('histogram', 'duraloom_orchestration_turns', { orchestration }),
        historySize: this.#metrics.series('histogram', 'duraloom_orchestration_history_size', { orchestration }),
        seconds: isLife ? this.#metrics.series('histogram', 'duraloom_orchestration_duration_seconds', labels) : null,
      };
      ends.set(outcome.kind, series);
    }
    return series;
  }
}
