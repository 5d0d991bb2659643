// Metric points: what orchestration and runtime measure. Neighbours: replay/orchestration-context.ts makes some, main/metrics.ts collects all.

/** Labels of a metric: names and values are text. */
export type MetricLabels = Readonly<Record<string, string>>;

/** One measurement. `counter`: adds `value`; `histogram`: one observation; `gauge`: the value now. */
export type MetricPoint = {
  readonly kind: 'counter' | 'histogram' | 'gauge';
  readonly name: string;
  readonly value: number;
  readonly labels: MetricLabels;
};
