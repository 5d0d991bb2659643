// From what runtimes show to what Prometheus reads: pure. Neighbour: prometheus-registry.ts.
//
// F1. What orchestrations measure may have any labels, and any kind under any name. In the exposition a name has one kind, labels have plain names,
//     and no two samples have the same ones: what differs no more is added up.
import { describeMetric } from '../../main/metric-catalogue.ts';
import type { MetricSeries } from '../../main/metrics.ts';
import type { MetricLabels, MetricPoint } from '../../types/metrics.ts';

/** What one runtime has measured, with labels that all of it gets. */
export type Measured = { readonly series: readonly MetricSeries[]; readonly labels: MetricLabels };

/** One line of the exposition. `metricName`: of the parts of a histogram. */
export type Sample = {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
};

/** All samples of a metric. */
export type Family = {
  readonly name: string;
  readonly kind: MetricPoint['kind'];
  readonly help: string;
  readonly samples: readonly Sample[];
};

const OWN_HELP = 'Measured by orchestrations with ctx.metrics';

/**
 * Makes families.
 *
 * @param measured - of one runtime or several
 * @param prefix - begins all names
 * @param kinds - which kind a name has; what is new is added
 * @returns a family for each name
 */
export function toFamilies(
  measured: readonly Measured[],
  prefix: string,
  kinds: Map<string, MetricPoint['kind']> = new Map(),
): readonly Family[] {
  const families = new Map<string, Map<string, MetricSeries>>();
  for (const { series: all, labels } of measured) {
    for (const series of all) {
      const plain = prefix + series.name;
      const kind = kinds.get(plain) ?? series.kind;
      const name = kind === series.kind ? plain : `${plain}_${series.kind}`;
      kinds.set(name, series.kind);
      const found = families.get(name) ?? new Map<string, MetricSeries>();
      families.set(name, found);
      const own = { ...series, labels: toLabels(series, labels) };
      const key = keyOf(own.labels);
      const same = found.get(key);
      found.set(key, same === undefined ? own : add(same, own));
    }
  }
  return [...families].map(([name, series]): Family => {
    const all = [...series.values()];
    const [first] = all;
    const described = first === undefined ? null : describeMetric(first.name);
    return {
      name,
      kind: kinds.get(name) ?? 'gauge',
      help: described?.help ?? OWN_HELP,
      samples: all.flatMap((one) => toSamples(name, one)),
    };
  });
}

/**
 * Adds up series of the same kind, name and labels.
 *
 * @param series - of one runtime or several
 * @returns one for each
 */
export function addUp(series: readonly MetricSeries[]): readonly MetricSeries[] {
  const found = new Map<string, MetricSeries>();
  for (const one of series) {
    const key = `${one.kind} ${one.name} ${keyOf(one.labels)}`;
    const same = found.get(key);
    found.set(key, same === undefined ? one : add(same, one));
  }
  return [...found.values()];
}

/**
 * Makes one text for the same labels, whatever their order.
 *
 * @param labels - names and values
 * @returns another text for other labels
 */
export function keyOf(labels: MetricLabels): string {
  return Object.entries(labels)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${name}=${value.length}:${value}`)
    .join();
}

/** Labels of the registry give way to those of the series. */
function toLabels({ kind, labels }: MetricSeries, ofAll: MetricLabels): MetricLabels {
  const own = Object.entries(labels).map(([name, value]) => [toLabelName(name, kind), value] as const);
  return { ...ofAll, ...Object.fromEntries(own) };
}

function toLabelName(name: string, kind: MetricPoint['kind']): string {
  const plain = name.replaceAll(/[^a-zA-Z0-9_]/g, '_').replace(/^(?=\d|$)/, '_');
  // Two underscores at the begin and `le` of a histogram are Prometheus' own.
  if (plain.startsWith('__')) return `label${plain}`;
  return plain === 'le' && kind === 'histogram' ? 'label_le' : plain;
}

function add(left: MetricSeries, right: MetricSeries): MetricSeries {
  if (left.kind === 'histogram' && right.kind === 'histogram') {
    const buckets = left.buckets.map(({ le, count }, index) => ({ le, count: count + (right.buckets[index]?.count ?? 0) }));
    return { ...left, count: left.count + right.count, sum: left.sum + right.sum, buckets };
  }
  if (left.kind === 'counter' && right.kind === 'counter') return { ...left, value: left.value + right.value };
  return right;
}

function toSamples(name: string, series: MetricSeries): readonly Sample[] {
  const { labels } = series;
  if (series.kind !== 'histogram') return [{ labels, value: series.value }];
  const bucket = (le: number | string, value: number): Sample => ({ labels: { ...labels, le }, value, metricName: `${name}_bucket` });
  return [
    ...series.buckets.map(({ le, count }) => bucket(le, count)),
    bucket('+Inf', series.count),
    { labels, value: series.sum, metricName: `${name}_sum` },
    { labels, value: series.count, metricName: `${name}_count` },
  ];
}
