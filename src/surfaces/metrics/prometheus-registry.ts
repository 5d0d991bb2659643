// A registry of prom-client that shows what runtimes have measured. Neighbours: families.ts makes the samples, queue-depths.ts asks the store,
// metrics-handler.ts serves it.
//
// P1. Nothing is copied between scrapes: a scrape reads `runtime.metrics()` once for each runtime.
// P2. A metric of an orchestration becomes one of the registry at the first scrape that has it, and what was cleared is there again at the next one.
// P3. Runtimes that are added to one registry by several calls are shown together, as those of one call are. Of one that has stopped
//     counters and histograms stay, so that sums do not fall, added to those of others with its node and labels; nothing else of it is kept.
import type * as PromClient from 'prom-client';
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { bucketsByName, describeMetric } from '../../main/metric-catalogue.ts';
import type { MetricSeries } from '../../main/metrics.ts';
import type { Provider } from '../../provider/provider.ts';
import { assertKnownOptions, hasMethods, makeOptionError, readArray, readOptions, type FieldNames } from '../../types/arguments.ts';
import { OptionError } from '../../types/errors.ts';
import type { MetricLabels, MetricPoint } from '../../types/metrics.ts';
import { show } from '../../types/show.ts';
import { addUp, keyOf, toFamilies, type Family, type Sample } from './families.ts';
import { loadPromClient } from './load-prom-client.ts';
import { QueueDepthReader } from './queue-depths.ts';

/** What can be shown: a `Runtime`. */
export type MetricsSource = {
  readonly nodeId: string;
  /** Of one that is `stopped` counters and histograms are shown, as they were in the end. @default it runs */
  readonly state?: string;
  metrics(): readonly MetricSeries[];
};

/** Options of `prometheusRegistry`. */
export type PrometheusOptions = {
  /** The registry to add to, such as one that has metrics of the host. @default a new one */
  readonly registry?: Registry;
  /** Begins all names. @default '' */
  readonly prefix?: string;
  /** Labels of all series of the runtimes. @default none */
  readonly defaultLabels?: MetricLabels;
  /** Adds the metrics of the process that prom-client has: memory, garbage collection, event loop, handles. @default false */
  readonly nodeMetrics?: boolean;
  /**
   * Shows how long the queues of a store are. It is asked when somebody scrapes, at most every `everyMs` milliseconds: counting a long queue takes
   * time. Range of `everyMs`: 100 to 3,600,000. @default none; everyMs 15000
   */
  readonly queueDepths?: { readonly provider: Pick<Provider, 'readQueueDepths'>; readonly everyMs?: number };
};

type Metric = Counter | Gauge | Histogram;

const OPTIONS: FieldNames<PrometheusOptions> = { registry: true, prefix: true, defaultLabels: true, nodeMetrics: true, queueDepths: true };
const DEPTH_OPTIONS: FieldNames<NonNullable<PrometheusOptions['queueDepths']>> = { provider: true, everyMs: true };

/**
 * Makes a registry that shows what runtimes measure. With several runtimes each series has the label `node`: their `nodeId`. A registry may be given
 * to several calls: it shows the runtimes of all of them.
 *
 * @param runtimes - one or several
 * @param options - names, labels, and what else is to be shown
 * @returns a registry of prom-client; give it to `metricsHandler`, or call its `metrics()`
 * @throws {OptionError} for an option that cannot be used
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when prom-client is not installed
 */
export async function prometheusRegistry(
  runtimes: MetricsSource | readonly MetricsSource[],
  options: PrometheusOptions = {},
): Promise<Registry> {
  const { registry: given, prefix, defaultLabels, nodeMetrics, depths } = resolve(options);
  const sources = checkSources(runtimes);
  const client = await loadPromClient();
  const registry = given ?? new client.Registry();
  const shown = shownIn.get(registry) ?? new Shown(client, registry);
  shownIn.set(registry, shown);
  for (const source of sources) shown.add(source, prefix, defaultLabels);
  if (depths !== null) {
    const read = (): readonly Family[] => toFamilies([{ series: depths.show(), labels: defaultLabels }], prefix);
    shown.updateLater(['duraloom_queue_depth', 'duraloom_queue_depth_failures_total'], prefix, async (name) => {
      await depths.refresh();
      return read().find((family) => family.name === name)?.samples ?? [];
    });
  }
  if (nodeMetrics) shown.addNodeMetrics(prefix, defaultLabels);
  return registry;
}

/** Those of one runtime, or what stopped ones of one node have left. */
type Measurements = { readonly nodeId: string; readonly labels: MetricLabels; readonly series: readonly MetricSeries[] };

/** Runtimes whose names begin with the same, with the labels of each. */
type Group = {
  readonly kinds: Map<string, MetricPoint['kind']>;
  /** All that were ever added. Reason: one that has stopped may be added again, and counts already. */
  readonly known: WeakSet<MetricsSource>;
  sources: readonly { readonly source: MetricsSource; readonly labels: MetricLabels }[];
  /** By node and labels. */
  readonly stopped: Map<string, Measurements>;
};

type Described = Pick<Family, 'name' | 'kind' | 'help'>;
type Read = (name: string) => Promise<readonly Sample[]>;

const shownIn = new WeakMap<Registry, Shown>();

/** The metrics of a registry that are ours. */
class Shown {
  readonly #client: typeof PromClient;
  readonly #registry: Registry;
  readonly #samples = new Map<string, readonly Sample[]>();
  /** What is ours, by name. */
  readonly #metrics = new Map<string, Metric>();
  readonly #refused = new Set<string>();
  /** By prefix. */
  readonly #groups = new Map<string, Group>();
  /** Those of the catalogue whose samples are read when they are asked for, by name. */
  readonly #later = new Map<string, { readonly described: Described; readonly read: Read }>();
  /** Labels of those of the process, by prefix. */
  readonly #withNode = new Map<string, MetricLabels>();

  constructor(client: typeof PromClient, registry: Registry) {
    this.#client = client;
    this.#registry = registry;
    // Every way to read a registry goes through this call: before it, all metrics are there (P2).
    const getMetrics = registry.getMetricsAsArray.bind(registry);
    registry.getMetricsAsArray = () => {
      // What nobody measures any more is not shown.
      for (const name of this.#samples.keys()) this.#samples.set(name, []);
      for (const [prefix, group] of this.#groups) this.#refresh(prefix, group);
      for (const { described, read } of this.#later.values()) this.#register(described, read);
      for (const [prefix, labels] of this.#withNode) this.#registerNodeMetrics(prefix, labels);
      return getMetrics();
    };
  }

  add(source: MetricsSource, prefix: string, labels: MetricLabels): void {
    const group = this.#groups.get(prefix) ?? {
      kinds: new Map<string, MetricPoint['kind']>(),
      known: new WeakSet<MetricsSource>(),
      sources: [],
      stopped: new Map<string, Measurements>(),
    };
    this.#groups.set(prefix, group);
    // Here, too: perhaps nobody scrapes.
    settle(group);
    if (group.known.has(source)) return;
    group.known.add(source);
    group.sources = [...group.sources, { source, labels }];
  }

  /** Those of the process are there once. */
  addNodeMetrics(prefix: string, labels: MetricLabels): void {
    if (!this.#withNode.has(prefix)) this.#withNode.set(prefix, labels);
    this.#registerNodeMetrics(prefix, this.#withNode.get(prefix) ?? labels);
  }

  #registerNodeMetrics(prefix: string, labels: MetricLabels): void {
    // One of them speaks for all.
    if (this.#registry.getSingleMetric(`${prefix}nodejs_version_info`) !== undefined) return;
    this.#client.collectDefaultMetrics({ register: this.#registry, prefix, labels });
  }

  #refresh(prefix: string, group: Group): void {
    settle(group);
    const running = group.sources.map(({ source, labels }): Measurements => ({ nodeId: source.nodeId, labels, series: source.metrics() }));
    const all = [...group.stopped.values(), ...running];
    const isOne = new Set(all.map(({ nodeId }) => nodeId)).size === 1;
    const measured = all.map(({ nodeId, labels, series }) => ({ series, labels: isOne ? labels : { ...labels, node: nodeId } }));
    for (const family of toFamilies(measured, prefix, group.kinds)) {
      this.#samples.set(family.name, family.samples);
      this.#register(family, (name) => Promise.resolve(this.#samples.get(name) ?? []));
    }
  }

  /** Metrics of the catalogue whose samples are read when they are asked for. */
  updateLater(names: readonly string[], prefix: string, read: Read): void {
    for (const plain of names) {
      const found = describeMetric(plain);
      if (found === null) continue;
      const described = { ...found, name: prefix + plain };
      if (this.#later.has(described.name)) this.#refuse(described.name);
      else {
        this.#later.set(described.name, { described, read });
        this.#register(described, read);
      }
    }
  }

  /** Does nothing for what is there already. */
  #register({ name, kind, help }: Described, read: Read): void {
    const found: unknown = this.#registry.getSingleMetric(name);
    if (found !== undefined) {
      if (found !== this.#metrics.get(name)) this.#refuse(name);
      return;
    }
    const metric = this.#make(name, kind, help);
    // OpenMetrics takes the ending of a counter from its name, and sets it.
    const get = async (): Promise<unknown> => ({ name: metric.name, help, type: kind, aggregator: 'sum', values: await read(name) });
    // The second is how text is made of histograms.
    Object.assign(metric, { get, getForPromString: get });
    this.#metrics.set(name, metric);
    this.#registry.registerMetric(metric);
  }

  /** Says so once. */
  #refuse(name: string): void {
    if (this.#refused.has(name)) return;
    this.#refused.add(name);
    process.emitWarning(
      `the registry has a metric '${name}' already: that of the runtime is not shown. Set \`prefix\` to tell them apart`,
      {
        code: 'DURALOOM_METRIC_TAKEN',
      },
    );
  }

  #make(name: string, kind: Family['kind'], help: string): Metric & { readonly name: string } {
    const config = { name, help, registers: [] };
    const metric =
      kind === 'counter'
        ? new this.#client.Counter(config)
        : kind === 'gauge'
          ? new this.#client.Gauge(config)
          : new this.#client.Histogram({ ...config, buckets: [...bucketsByName(name)] });
    return metric as Metric & { readonly name: string };
  }
}

/** P3. */
function settle(group: Group): void {
  const isStopped = ({ source }: Group['sources'][number]): boolean => source.state === 'stopped';
  for (const { source, labels } of group.sources.filter(isStopped)) {
    const { nodeId } = source;
    // No label has an empty name.
    const key = keyOf({ ...labels, '': nodeId });
    const left = source.metrics().filter(({ kind }) => kind !== 'gauge');
    group.stopped.set(key, { nodeId, labels, series: addUp([...(group.stopped.get(key)?.series ?? []), ...left]) });
  }
  group.sources = group.sources.filter((one) => !isStopped(one));
}

function resolve(options: PrometheusOptions) {
  const given = readOptions<PrometheusOptions>(options, 'the options of prometheusRegistry', OPTIONS, makeOptionError);
  assertKnownOptions(options, OPTIONS, ' of prometheusRegistry');
  const { registry, prefix = '', defaultLabels = {}, nodeMetrics = false, queueDepths } = given;
  if (registry !== undefined && !hasMethods(registry, ['registerMetric', 'getMetricsAsArray'])) {
    throw new OptionError(`Expected \`registry\` to be a Registry of prom-client, got ${show(registry)}`);
  }
  if (typeof prefix !== 'string' || !/^(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?$/.test(prefix)) {
    throw new OptionError(`Expected \`prefix\` to be letters, digits, '_' and ':', and not to begin with a digit, got ${show(prefix)}`);
  }
  if (typeof nodeMetrics !== 'boolean') throw new OptionError(`Expected \`nodeMetrics\` to be true or false, got ${show(nodeMetrics)}`);
  return { registry, prefix, defaultLabels: checkLabels(defaultLabels), nodeMetrics, depths: makeDepths(queueDepths) };
}

function checkLabels(labels: MetricLabels): MetricLabels {
  const isFine =
    typeof labels === 'object' &&
    labels !== null &&
    Object.entries(labels).every(
      ([name, value]: [string, unknown]) => /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) && typeof value === 'string',
    );
  if (!isFine) throw new OptionError(`Expected \`defaultLabels\` to be an object of texts such as { host: 'a' }, got ${show(labels)}`);
  return { ...labels };
}

function makeDepths(given: PrometheusOptions['queueDepths']): QueueDepthReader | null {
  if (given === undefined) return null;
  const { provider, everyMs = 15_000 } = readOptions(given, '`queueDepths`', DEPTH_OPTIONS, makeOptionError);
  assertKnownOptions(given, DEPTH_OPTIONS, ' of `queueDepths`');
  if (provider === undefined || !hasMethods(provider, ['readQueueDepths'])) {
    throw new OptionError(`Expected \`provider\` of \`queueDepths\` to be a provider, got ${show(provider)}`);
  }
  if (!(typeof everyMs === 'number' && everyMs >= 100 && everyMs <= 3_600_000)) {
    throw new OptionError(`Expected \`everyMs\` of \`queueDepths\` to be milliseconds from 100 to 3600000, got ${show(everyMs)}`);
  }
  return new QueueDepthReader({ provider, everyMs });
}

function checkSources(runtimes: MetricsSource | readonly MetricsSource[]): readonly MetricsSource[] {
  const sources = (readArray(runtimes) ?? [runtimes]) as readonly MetricsSource[];
  if (sources.length === 0 || !sources.every((source) => hasMethods(source, ['metrics']))) {
    throw new OptionError(`Expected prometheusRegistry to get a runtime, or several of them, got ${show(runtimes)}`);
  }
  return sources;
}
