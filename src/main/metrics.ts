// What a runtime has measured: counters, histograms and gauges, its own and those of orchestrations. Neighbours: the dispatchers add to it,
// runtime.ts shows it, `MetricsSink` passes it on. No exporter here: a sink of a few lines feeds any library.
//
// N1. What belongs to a turn counts when the turn is committed, once; replay and lost turns count nothing (T46).
// N2. The number of series of a metric is bounded: labels of user code may hold anything. Beyond the bound all goes into one series.
import { toFailure } from '../types/failure.ts';
import type { MetricLabels, MetricPoint } from '../types/metrics.ts';
import { bucketsByName } from './metric-catalogue.ts';

/** Where measurements go besides the runtime's own figures, such as a bridge to a metrics library. Called in the main thread: be quick, do not throw. */
export type MetricsSink = {
  record(point: MetricPoint): void;
};

/** One series as `runtime.metrics()` shows it. */
export type MetricSeries =
  | { readonly kind: 'counter' | 'gauge'; readonly name: string; readonly labels: MetricLabels; readonly value: number }
  | {
      readonly kind: 'histogram';
      readonly name: string;
      readonly labels: MetricLabels;
      readonly count: number;
      readonly sum: number;
      /** Upper bounds with the number of observations up to each. */
      readonly buckets: readonly { readonly le: number; readonly count: number }[];
    };

/** Most series of one metric. Reason: each costs memory here and in every scraper. */
const MAX_SERIES = 200;
/** Most metrics of one runtime. Reason: as above, for names made by user code. */
const MAX_METRICS = 1_000;
/** Labels of what found no place. */
const OVERFLOW: MetricLabels = { overflow: 'true' };

/** A series that can be added to. */
export class Series {
  readonly #point: Omit<MetricPoint, 'value'>;
  readonly #sink: MetricsSink | null;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #value = 0;
  #observations = 0;

  constructor(point: Omit<MetricPoint, 'value'>, sink: MetricsSink | null) {
    this.#point = point;
    this.#sink = sink;
    this.#bounds = point.kind === 'histogram' ? bucketsByName(point.name) : [];
    this.#counts = this.#bounds.map(() => 0);
  }

  /** Adds to a counter, sets a gauge, or observes. */
  record(value: number): void {
    this.#value = this.#point.kind === 'gauge' ? value : this.#value + value;
    this.#observations += 1;
    for (let bucket = 0; bucket < this.#bounds.length; bucket += 1) {
      if (value > (this.#bounds[bucket] ?? 0)) continue;
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
      break;
    }
    if (this.#sink !== null) pass(this.#sink, { ...this.#point, value });
  }

  /** Brings a counter to a total that somebody else keeps: what is missing is added. */
  raiseTo(total: number): void {
    if (total > this.#value) this.record(total - this.#value);
  }

  show(): MetricSeries {
    const { kind, name, labels } = this.#point;
    if (kind !== 'histogram') return { kind, name, labels, value: this.#value };
    let below = 0;
    const buckets = this.#bounds.map((le, index) => ({ le, count: (below += this.#counts[index] ?? 0) }));
    return { kind, name, labels, count: this.#observations, sum: this.#value, buckets };
  }
}

const brokenSinks = new WeakSet<MetricsSink>();

/** A sink that throws or rejects must not cost a commit: a warning tells of it, once. */
function pass(sink: MetricsSink, point: MetricPoint): void {
  try {
    // One that is async is void to the compiler.
    const done: unknown = sink.record(point);
    if (done instanceof Promise) done.catch((error: unknown) => warn(sink, error));
  } catch (error) {
    warn(sink, error);
  }
}

function warn(sink: MetricsSink, error: unknown): void {
  if (brokenSinks.has(sink)) return;
  brokenSinks.add(sink);
  process.emitWarning(toFailure(error).message, { code: 'DURALOOM_METRICS_SINK', type: 'DuraloomWarning' });
}

/** The measurements of one runtime. */
export class Metrics {
  readonly #sink: MetricsSink | null;
  readonly #byName = new Map<string, Map<string, Series>>();

  /**
   * @param sink - gets every measurement as well; null: nobody
   */
  constructor(sink: MetricsSink | null) {
    this.#sink = sink;
  }

  /** Records one measurement. For hot paths keep the series. */
  record(point: MetricPoint): void {
    this.series(point.kind, point.name, point.labels).record(point.value);
  }

  /** Finds or makes a series. Its metric's kind is that of the first one. */
  series(kind: MetricPoint['kind'], name: string, labels: MetricLabels): Series {
    const metric = this.#byName.size >= MAX_METRICS && !this.#byName.has(name) ? 'duraloom_other' : name;
    let all = this.#byName.get(metric);
    if (all === undefined) this.#byName.set(metric, (all = new Map<string, Series>()));
    const sorted = Object.entries(labels).toSorted(([left], [right]) => (left < right ? -1 : 1));
    const key = `${kind}\n${sorted.flat().join('\n')}`;
    const known = all.get(key);
    if (known !== undefined) return known;
    const isFull = all.size >= MAX_SERIES;
    const kept = isFull ? OVERFLOW : Object.fromEntries(sorted);
    const keptKey = isFull ? `${kind}\noverflow` : key;
    let series = all.get(keptKey);
    if (series === undefined) all.set(keptKey, (series = new Series({ kind, name: metric, labels: kept }, this.#sink)));
    return series;
  }

  /** All series now. */
  show(): readonly MetricSeries[] {
    return [...this.#byName.values()].flatMap((all) => [...all.values()].map((series) => series.show()));
  }
}
