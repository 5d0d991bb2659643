// Activities into measurements. Neighbours: activity-dispatcher.ts, metrics.ts.
import type { WorkItem } from '../provider/provider.ts';
import type { Metrics, Series } from './metrics.ts';

/** How an activity ended here. */
export type ActivityOutcome = 'completed' | 'failed' | 'lost' | 'tooManyAttempts';

/** Series of one activity, kept because activities are the most frequent thing there is. */
export class ActivityMetrics {
  readonly #metrics: Metrics;
  readonly #series = new Map<string, { readonly executions: Series; readonly seconds: Series }>();

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

  #find(item: WorkItem, outcome: ActivityOutcome): { readonly executions: Series; readonly seconds: Series } {
    const key = `${outcome} ${item.name}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      const labels = { activity: item.name, outcome };
      series = {
        executions: this.#metrics.series('counter', 'duraloom_activity_executions_total', labels),
        seconds: this.#metrics.series('histogram', 'duraloom_activity_duration_seconds', labels),
      };
      // Names come from user code: the map is as bounded as the series are.
      if (this.#series.size < 1_000) this.#series.set(key, series);
    }
    return series;
  }
}
