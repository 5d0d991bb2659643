// The list of metrics: the catalogue, docs/metrics.md, the Grafana dashboard and what a runtime records say the same.
import { Client, ProviderError, type MetricSeries } from 'duraloom';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { bucketsByName, describeMetric, METRIC_GROUPS, type MetricDescription } from '../../../src/main/metric-catalogue.ts';
import { MAX_CARRIED_EVENT_UNITS } from '../../../src/types/limits.ts';
import { intercept } from '../../main/troubled-store.ts';
import { LogBook } from '../../support/integration-log.ts';
import { PATIENCE, quick, Stage } from '../../support/integration-stage.ts';

const root = join(import.meta.dirname, '../../..');
const catalogue = METRIC_GROUPS.flatMap(({ metrics }) => metrics);
/** Those that a registry adds, when it asks the store. */
const OF_REGISTRY: ReadonlySet<string> = new Set(['duraloom_queue_depth', 'duraloom_queue_depth_failures_total']);

const modules = {
  orchestrations: new URL('fixtures/orchestrations.ts', import.meta.url),
  activities: new URL('fixtures/activities.ts', import.meta.url),
};

/** A runtime in which everything happens that is measured. */
async function exercise(stage: Stage): Promise<readonly MetricSeries[]> {
  const store = await stage.openProvider();
  let calls = 0;
  const provider = intercept(store, {
    ackOrchestrationItems: (call, acks) => {
      calls += 1;
      if (calls !== 3) return call(acks);
      return Promise.reject(new ProviderError('PROVIDER_FAILED', { operation: 'ackOrchestrationItems', retryable: true, message: 'busy' }));
    },
  });
  const log = new LogBook();
  const runtime = await stage.startRuntime({ provider, ...quick, ...modules, replayCheckRate: 1, logger: log });
  const client = new Client(store);
  for (const [id, name] of [
    ['a', 'sells'],
    ['b', 'chatters'],
  ] as const) {
    await (await client.startOrchestration(id, name, 250)).result({ timeout: PATIENCE });
  }
  const hoard = await client.startOrchestration('c', 'hoards', 0);
  for (let event = 0; event < 5; event += 1) await hoard.raiseEvent('kept', 'x'.repeat(MAX_CARRIED_EVENT_UNITS / 4));
  await hoard.raiseEvent('go');
  await hoard.result({ timeout: PATIENCE });
  await client.startOrchestration('d', 'spins');
  await log.waitFor(({ message }) => message.includes('2 times without success'));
  await runtime.shutdown();
  return runtime.metrics();
}

describe('what a runtime records when everything happens', () => {
  let series: readonly MetricSeries[] = [];

  beforeAll(async () => {
    await using stage = new Stage();
    series = await exercise(stage);
  });

  test('is what the catalogue lists, all of it and nothing else', () => {
    const recorded = new Set(series.map(({ name }) => name).filter((name) => name.startsWith('duraloom_')));
    expect([...recorded].toSorted()).toEqual(
      catalogue
        .map(({ name }) => name)
        .filter((name) => !OF_REGISTRY.has(name))
        .toSorted(),
    );
  });

  test('has the kinds, labels and buckets of the catalogue', () => {
    for (const one of series) {
      const described = describeMetric(one.name);
      if (described === null) continue;
      const buckets = one.kind === 'histogram' ? one.buckets.map(({ le }) => le) : null;
      const labels = Object.keys(one.labels).toSorted();
      expect({ name: one.name, kind: one.kind, labels, buckets }).toEqual({
        name: described.name,
        kind: described.kind,
        labels: described.labels.toSorted(),
        buckets: described.buckets,
      });
    }
    expect(describeMetric('sales_total')).toBeNull();
    expect(series.map(({ name }) => name)).toContain('sales_total');
  });
});

describe('the catalogue', () => {
  test('names each metric once, by the rules of Prometheus', () => {
    expect(new Set(catalogue.map(({ name }) => name)).size).toBe(catalogue.length);
    for (const { name, kind, unit, help } of catalogue) {
      expect(name).toMatch(/^duraloom_[a-z_]+[a-z]$/);
      expect(name.endsWith('_total')).toBe(kind === 'counter');
      for (const base of ['seconds', 'bytes', 'ratio']) expect(new RegExp(`_${base}(?:_total)?$`).test(name)).toBe(unit === base);
      expect(name).not.toMatch(/_(?:ms|milliseconds|microseconds|minutes|kb|mb|percent)(?:_total)?$/);
      expect(help).toMatch(/^[A-Z].*[^.]$/);
    }
  });
});

test('no label of the catalogue has a value for each instance, execution or event', () => {
  const labels = new Set(catalogue.flatMap((metric) => metric.labels));
  const known =
    'activity change child code direction initiated_by of operation orchestration outcome parent policy quantile queue status thread version';
  expect([...labels].toSorted().join(' ')).toBe(known);
});

describe('docs/metrics.md', () => {
  const text = readFileSync(join(root, 'docs/metrics.md'), 'utf8');

  test('lists all metrics in the groups and with the words of the catalogue', () => {
    const sections = text.split(/^## /m).slice(1);
    const listed = sections
      .map((section) => ({ title: section.split('\n', 1)[0], rows: rowsOf(section) }))
      .filter(({ rows }) => rows.length > 0);
    expect(listed).toEqual(METRIC_GROUPS.map(({ title, metrics }) => ({ title, rows: metrics.map(toRow) })));
  });

  test('says which buckets there are', () => {
    const listed = [...text.replaceAll(/\s+/g, ' ').matchAll(/`(time|number)` \(([\d., ]+?)(?: seconds)?\)/g)];
    expect(Object.fromEntries(listed.map(([, name, bounds = '']) => [name, bounds.split(', ').map(Number)]))).toEqual({
      time: bucketsByName('x_seconds'),
      number: bucketsByName('x'),
    });
  });

  test('has alerts that use metrics of the catalogue', () => {
    const alerts = [...text.matchAll(/^\| `([^`]*\(duraloom_[^`]*)`/gm)].map(([, expression = '']) => expression);
    expect(alerts.length).toBeGreaterThan(4);
    for (const alert of alerts) expect(unknownIn(alert)).toEqual([]);
  });
});

describe('docs/grafana/duraloom.json', () => {
  type Target = { readonly refId: string; readonly expr: string; readonly legendFormat: string };
  type Panel = {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly description?: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly Target[];
  };
  const dashboard = JSON.parse(readFileSync(join(root, 'docs/grafana/duraloom.json'), 'utf8')) as {
    readonly title: string;
    readonly schemaVersion: number;
    readonly panels: readonly Panel[];
    readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
  };
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');

  test('is a dashboard whose panels have ids of their own and do not overlap', () => {
    expect(dashboard).toMatchObject({ title: 'duraloom', uid: 'duraloom' });
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36);
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'instance']);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { gridPos, title } of dashboard.panels) {
      expect([title, gridPos.x + gridPos.w <= 24]).toEqual([title, true]);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) taken.add(`${x} ${y}`);
      }
    }
    expect(taken.size).toBe(dashboard.panels.reduce((sum, { gridPos }) => sum + gridPos.w * gridPos.h, 0));
  });

  test.each(panels.map((panel) => [panel.title, panel] as const))('%s asks for metrics and labels of the catalogue', (_, panel) => {
    expect(panel.description).toMatch(/\.$/);
    expect(panel.targets?.length).toBeGreaterThan(0);
    for (const { expr, legendFormat } of panel.targets ?? []) {
      expect(unknownIn(expr)).toEqual([]);
      expect(balanceOf(expr)).toEqual({ '()': 0, '{}': 0, '[]': 0 });
      // A legend shows what its expression keeps.
      const kept = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
      const by = / by \(([^)]*)\)/.exec(expr)?.[1]?.split(', ');
      if (by !== undefined) expect(by).toEqual(expect.arrayContaining(kept));
    }
  });

  test('shows what operators look for', () => {
    const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join('\n');
    for (const wanted of [
      'histogram_quantile(0.99, sum by (le, orchestration) (rate(duraloom_orchestration_duration_seconds_bucket',
      'duraloom_turns_in_flight',
      'duraloom_thread_utilisation_ratio',
      'duraloom_cache_lookups_total',
      'duraloom_store_commit_items_total',
      'duraloom_provider_errors_total',
      'duraloom_queue_depth',
      'duraloom_log_lines_dropped_total',
    ]) {
      expect(expressions).toContain(wanted);
    }
  });
});

/** Cells of the table rows about metrics. */
function rowsOf(section: string): readonly (readonly string[])[] {
  return [...section.matchAll(/^\| (`duraloom_\w+` .*) \|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
}

function toRow({ name, kind, unit, labels, buckets, help }: MetricDescription): readonly string[] {
  const kindOfBuckets = buckets === null ? '' : buckets === bucketsByName('x_seconds') ? 'time' : 'number';
  return [`\`${name}\``, kind, unit, labels.join(', '), kindOfBuckets, help];
}

/** Metrics and labels of an expression that are not in the catalogue, or not used as their kind allows. */
function unknownIn(expression: string): readonly string[] {
  const uses = [...expression.matchAll(/(\w+\()?(duraloom_\w+?)(_bucket|_sum|_count)?\b(?:\{([^}]*)\})?(\[)?/g)];
  const unknown = uses.flatMap(([use, , name = '', part, matchers = '', range]) => {
    const described = describeMetric(name);
    if (described === null || (part !== undefined) !== (described.kind === 'histogram')) return [use];
    if ((range !== undefined) === (described.kind === 'gauge')) return [use];
    const labels = [...matchers.matchAll(/(\w+)(?:=~|!=|!~|=)/g)].map(([, label = '']) => label);
    return labels.filter((label) => label !== 'instance' && !described.labels.includes(label)).map((label) => `${label} of ${name}`);
  });
  const known = new Set(['le', 'instance', ...uses.flatMap(([, , name = '']) => describeMetric(name)?.labels ?? [])]);
  const grouped = [...expression.matchAll(/ by \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '));
  return [...unknown, ...grouped.filter((label) => !known.has(label))];
}

function balanceOf(expression: string): Readonly<Record<string, number>> {
  const plain = expression.replaceAll(/"[^"]*"/g, '');
  const count = (char: string): number => plain.split(char).length;
  return Object.fromEntries(['()', '{}', '[]'].map((pair) => [pair, count(pair.charAt(0)) - count(pair.charAt(1))]));
}
