// Activities into measurements. Neighbours: activity-dispatcher.ts, metrics.ts.
import type { WorkItem } from '../provider/provider.ts';
import type { Metrics, Series } from './metrics.ts';

/** How an activity ended here. */
export type ActivityOutcome = 'completed' | 'failed' | 'lost' | 'tooManyAttempts';

type ActivitySeries = { readonly executions: Series; readonly seconds: Series };

/** Most names whose series are kept. */
const MAX_KEPT = 1_000;

/** Series of activities by name, kept because activities are the most frequent thing there is. */
export class ActivityMetrics {
  readonly #metrics: Metrics;
  readonly #series: Readonly<Record<ActivityOutcome, Map<string, ActivitySeries>>> = {
    completed: new Map(),
    failed: new Map(),
    lost: new Map(),
    tooManyAttempts: new Map(),
  };

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /**
   * Measures the end of an attempt.
   *
   * @param item - the activity
   * @param outcome - how it ended
   * @param ms - from its hand-over to a thread to its answer, in milliseconds
   */
  measure(item: WorkItem, outcome: ActivityOutcome, ms: number): void {
    const series = this.#find(item, outcome);
    series.executions.record(1);
    series.seconds.record(ms / 1_000);
  }

  /** Counts an end that took no time here. */
  count(item: WorkItem, outcome: ActivityOutcome): void {
    this.#find(item, outcome).executions.record(1);
  }

  #find({ name }: WorkItem, outcome: ActivityOutcome): ActivitySeries {
    const kept = this.#series[outcome];
    let series = kept.get(name);
    if (series === undefined) {
      const labels = { activity: name, outcome };
      series = {
        executions: this.#metrics.series('counter', 'duraloom_activity_executions_total', labels),
        seconds: this.#metrics.series('histogram', 'duraloom_activity_duration_seconds', labels),
      };
      // Names come from user code: the maps are as bounded as the series are.
      if (kept.size < MAX_KEPT) kept.set(name, series);
    }
    return series;
  }
}
