// Measurements: what the kinds mean, how many series there can be, and a sink that breaks.
import { describe, expect, test } from 'vitest';
import { ActivityMetrics } from '../../src/main/activity-metrics.ts';
import { Metrics, type MetricSeries, type MetricsSink } from '../../src/main/metrics.ts';
import type { WorkItem } from '../../src/provider/provider.ts';

const only = (metrics: Metrics): MetricSeries | undefined => metrics.show()[0];

describe('a series', () => {
  test('of a counter adds, of a gauge shows the last value', () => {
    const metrics = new Metrics(null);
    for (const value of [2, 3]) {
      metrics.record({ kind: 'counter', name: 'sold', labels: {}, value });
      metrics.record({ kind: 'gauge', name: 'open', labels: {}, value });
    }
    expect(metrics.show()).toMatchObject([
      { name: 'sold', value: 5 },
      { name: 'open', value: 3 },
    ]);
  });

  test('of a histogram counts the observations up to each bound, by the unit in its name', () => {
    const metrics = new Metrics(null);
    for (const value of [0.001, 0.002, 5, 5_000]) metrics.record({ kind: 'histogram', name: 'took_seconds', labels: {}, value });
    const series = only(metrics);
    expect(series).toMatchObject({ count: 4, sum: 5_005.003 });
    const buckets = series?.kind === 'histogram' ? series.buckets : [];
    const counts = Object.fromEntries(buckets.map(({ le, count }) => [le, count]));
    expect(counts).toMatchObject({ 0.001: 1, 0.005: 2, 1: 2, 5: 3, 3_600: 3 });
    metrics.record({ kind: 'histogram', name: 'items', labels: {}, value: 100_000 });
    expect(metrics.show()[1]).toMatchObject({
      buckets: expect.arrayContaining([
        { le: 10_000, count: 0 },
        { le: 100_000, count: 1 },
      ]) as unknown,
    });
  });

  test('is the same whatever the order of its labels', () => {
    const metrics = new Metrics(null);
    metrics.record({ kind: 'counter', name: 'sold', labels: { a: '1', b: '2' }, value: 1 });
    metrics.record({ kind: 'counter', name: 'sold', labels: { b: '2', a: '1' }, value: 1 });
    expect(metrics.show()).toEqual([{ kind: 'counter', name: 'sold', labels: { a: '1', b: '2' }, value: 2 }]);
  });
});

describe('names and labels that user code makes up', () => {
  test('beyond 200 series of a metric are counted in one', () => {
    const metrics = new Metrics(null);
    for (let customer = 0; customer < 250; customer += 1) {
      metrics.record({ kind: 'counter', name: 'sold', labels: { customer: String(customer) }, value: 1 });
    }
    const series = metrics.show();
    expect(series).toHaveLength(201);
    expect(series.at(-1)).toEqual({ kind: 'counter', name: 'sold', labels: { overflow: 'true' }, value: 50 });
  });

  test('beyond 1,000 metrics are counted in one, and those that are known go on', () => {
    const metrics = new Metrics(null);
    for (let name = 0; name < 1_010; name += 1) metrics.record({ kind: 'counter', name: `m${name}`, labels: {}, value: 1 });
    metrics.record({ kind: 'counter', name: 'm0', labels: {}, value: 1 });
    const series = metrics.show();
    expect(series).toHaveLength(1_001);
    expect([series[0], series.at(-1)]).toMatchObject([
      { name: 'm0', value: 2 },
      { name: 'duraloom_other', value: 10 },
    ]);
  });

  test('of activities are bounded as well', () => {
    const metrics = new Metrics(null);
    const activities = new ActivityMetrics(metrics);
    for (let name = 0; name < 1_200; name += 1) activities.count({ name: `a${name % 1_100}` } as WorkItem, 'completed');
    const executions = metrics.show().filter(({ name }) => name === 'duraloom_activity_executions_total');
    expect(executions).toHaveLength(201);
    expect(executions.at(-1)).toMatchObject({ labels: { overflow: 'true' }, value: 900 });
    expect(executions[0]).toMatchObject({ labels: { activity: 'a0', outcome: 'completed' }, value: 2 });
  });
});

describe('a sink', () => {
  const throwing =
    (thrown: unknown): MetricsSink['record'] =>
    () => {
      throw thrown;
    };

  test.each<readonly [string, MetricsSink['record'], RegExp]>([
    ['throws an error', throwing(new RangeError('full')), /full/],
    ['throws something else', throwing('full'), /full/],
    ['throws what has no text', throwing(Object.create(null)), /./],
    ['rejects', () => Promise.reject(new RangeError('full')) as unknown as void, /full/],
  ])('that %s costs nothing but one warning', async (_, record, message) => {
    const warnings: Error[] = [];
    const listener = (warning: Error): void => {
      if ((warning as { readonly code?: string }).code === 'DURALOOM_METRICS_SINK') warnings.push(warning);
    };
    process.on('warning', listener);
    const sink: MetricsSink = { record };
    const metrics = new Metrics(sink);
    for (let value = 0; value < 3; value += 1) metrics.record({ kind: 'counter', name: 'sold', labels: {}, value: 1 });
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listener);
    expect(warnings.map((warning) => warning.message)).toEqual([expect.stringMatching(message)]);
    expect(only(metrics)).toMatchObject({ value: 3 });
  });
});
