// Metrics for Prometheus: a real server is scraped, and what it says is read as strictly as Prometheus reads it.
import { Client, defineOrchestration, Runtime, type Provider, type QueueDepths, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SqliteProvider } from 'duraloom/sqlite';
import { metricsHandler, prometheusRegistry, type MetricsHandlerOptions, type PrometheusOptions } from 'duraloom/metrics';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { Counter, Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { intercept, type Around } from '../../main/troubled-store.ts';
import { PATIENCE, quick, Stage } from '../../support/integration-stage.ts';
import { parseExposition, type Family, type Sample } from './exposition.ts';

const modules = {
  orchestrations: new URL('fixtures/orchestrations.ts', import.meta.url),
  activities: new URL('fixtures/activities.ts', import.meta.url),
};

/** Serves a registry for as long as the test runs. */
async function serve(registry: Pick<Registry, 'metrics' | 'contentType'>, options?: MetricsHandlerOptions): Promise<string> {
  const server = createServer(metricsHandler(registry, options)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What a scrape sees. */
async function scrape(registry: Registry): Promise<ReadonlyMap<string, Family>> {
  const response = await fetch(`${await serve(registry)}/metrics`);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  return parseExposition(await response.text());
}

/** A sample by name and labels. */
function find(families: ReadonlyMap<string, Family>, name: string, labels: Readonly<Record<string, string>> = {}): readonly Sample[] {
  return [...families.values()]
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
}

async function inline(options: Partial<RuntimeOptions> = {}): Promise<{ readonly runtime: Runtime; readonly client: Client }> {
  const provider = new MemoryProvider();
  const sells = defineOrchestration('sells', (ctx, region: string) => ctx.metrics.counter('sales_total', 1, { region }));
  const runtime = await Runtime.start({ provider, orchestrations: sells, replayThreads: 0, ...options });
  onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
  return { runtime, client: new Client(provider) };
}

async function sell(client: Client, id: string, region: string): Promise<void> {
  await (await client.startOrchestration(id, 'sells', region)).result({ timeout: PATIENCE });
}

describe('a runtime with threads that is scraped', () => {
  const stage = new Stage();
  let runtime: Runtime | null = null;
  let families: ReadonlyMap<string, Family> = new Map();

  beforeAll(async () => {
    const provider = await stage.openProvider();
    runtime = await stage.startRuntime({ provider, ...quick, ...modules });
    const client = new Client(provider);
    for (const [id, name] of [
      ['a', 'sells'],
      ['b', 'confuses'],
    ] as const) {
      await (await client.startOrchestration(id, name, 250)).result({ timeout: PATIENCE });
    }
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  test('shows all that the runtime shows, with types, help and values', async () => {
    if (runtime === null) throw new TypeError('the runtime was not started');
    families = await scrape(await prometheusRegistry(runtime));
    const names = new Set(runtime.metrics().map(({ name }) => name));
    expect(names.size).toBeGreaterThan(40);
    expect([...names].filter((name) => !families.has(name))).toEqual([]);
    expect(families.get('duraloom_orchestration_completions_total')).toMatchObject({
      type: 'counter',
      help: 'Executions that ended: completed, failed, cancelled or continuedAsNew',
    });
    expect(find(families, 'duraloom_orchestration_completions_total', { orchestration: 'ships' })).toEqual([
      {
        name: 'duraloom_orchestration_completions_total',
        labels: { orchestration: 'ships', version: '1.0.0', status: 'completed' },
        value: 1,
      },
    ]);
    expect(families.get('duraloom_turns_in_flight')).toMatchObject({ type: 'gauge', samples: [{ labels: {} }] });
    expect(
      find(families, 'duraloom_thread_utilisation_ratio')
        .map(({ labels }) => String(labels['thread']))
        .toSorted(),
    ).toEqual(['activity-0', 'main', 'replay-0']);
  });

  test('has histograms whose buckets add up', () => {
    const histograms = [...families.values()].filter(({ type }) => type === 'histogram');
    expect(histograms.length).toBeGreaterThan(6);
    for (const { name, samples } of histograms) {
      for (const { labels, value: count } of samples.filter((sample) => sample.name === `${name}_count`)) {
        const buckets = find(families, `${name}_bucket`, labels);
        const counts = buckets.map(({ value }) => value);
        expect(counts).toEqual(counts.toSorted((left, right) => left - right));
        expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value: count });
        expect(buckets.length).toBeGreaterThan(10);
      }
    }
    expect(find(families, 'duraloom_orchestration_duration_seconds_bucket', { orchestration: 'ships', le: '3600' })).toMatchObject([
      { value: 1 },
    ]);
  });

  test('shows what orchestrations measure, with names that Prometheus takes', () => {
    expect(families.get('sales_total')).toMatchObject({
      type: 'counter',
      help: 'Measured by orchestrations with ctx.metrics',
      samples: [{ labels: { region: 'eu "west"\n', tax_free: 'no' }, value: 1 }],
    });
    expect(find(families, 'sale_cents_sum')).toMatchObject([{ labels: { label_le: 'gal' }, value: 250 }]);
    expect(find(families, 'last_sale_cents')).toMatchObject([{ value: 250 }]);
  });

  test('keeps apart kinds of one name, and adds up what has the same labels', () => {
    expect([families.get('mixed')?.type, families.get('mixed_gauge')?.type]).toEqual(['counter', 'gauge']);
    expect([find(families, 'mixed'), find(families, 'mixed_gauge')]).toMatchObject([[{ value: 2 }], [{ value: 7 }]]);
    expect(find(families, 'same_total')).toMatchObject([{ labels: { a_b: 'x' }, value: 4 }]);
    expect(find(families, 'same')).toMatchObject([{ labels: { a_b: 'x' }, value: 9 }]);
    expect(find(families, 'same_seconds_count')).toMatchObject([{ labels: { a_b: 'x' }, value: 2 }]);
    expect(find(families, 'same_seconds_bucket', { le: '0.005' })).toMatchObject([{ value: 1 }]);
  });
});

test('counters of a thread go on after it died and another one took its place', async () => {
  await using stage = new Stage();
  const provider = await stage.openProvider();
  const runtime = await stage.startRuntime({ provider, ...quick, ...modules });
  const client = new Client(provider);
  const registry = await prometheusRegistry(runtime);
  const run = async (id: string): Promise<void> => {
    await (await client.startOrchestration(id, 'sells', 250)).result({ timeout: PATIENCE });
  };
  const counters = async (): Promise<ReadonlyMap<string, number>> => {
    const families = [...(await scrape(registry)).values()].filter(({ type }) => type === 'counter');
    return new Map(
      families.flatMap(({ samples }) => samples).map(({ name, labels, value }) => [`${name} ${JSON.stringify(labels)}`, value]),
    );
  };
  await run('a');
  let before = await counters();
  for (const [index, kind] of (['replay', 'activity'] as const).entries()) {
    expect(runtime.crashThread({ kind })).toBe(true);
    await run(`b${index}`);
    const after = await counters();
    expect([...before].filter(([key, value]) => (after.get(key) ?? Number.NEGATIVE_INFINITY) < value)).toEqual([]);
    // More on a machine that is so busy that the watchdog takes a thread for stuck.
    expect(after.get(`duraloom_thread_restarts_total {"thread":"${kind}-0"}`)).toBeGreaterThanOrEqual(1);
    const completions = find(await scrape(registry), 'duraloom_orchestration_completions_total', { orchestration: 'sells' });
    expect(completions).toMatchObject([{ value: index + 2 }]);
    before = after;
  }
  expect(find(await scrape(registry), 'duraloom_thread_in_flight').map(({ value }) => value)).toEqual([0, 0]);
});

describe('a registry', () => {
  test('reads anew at each scrape, and shows at once what is new', async () => {
    const { runtime, client } = await inline();
    const registry = await prometheusRegistry(runtime);
    expect((await scrape(registry)).has('sales_total')).toBe(false);
    await sell(client, 'a', 'eu');
    expect(find(await scrape(registry), 'sales_total')).toMatchObject([{ labels: { region: 'eu' }, value: 1 }]);
    await sell(client, 'b', 'eu');
    await sell(client, 'c', 'us');
    expect(find(await scrape(registry), 'sales_total').map(({ value }) => value)).toEqual([2, 1]);
    const json = await registry.getMetricsAsJSON();
    expect(json.find(({ name }) => name === 'sales_total')).toMatchObject({ values: [{ value: 2 }, { value: 1 }] });
    expect(await registry.getSingleMetricAsString('sales_total')).toContain('sales_total{region="eu"} 2');
  });

  test('has names with a prefix and labels of the host', async () => {
    const { runtime, client } = await inline();
    await sell(client, 'a', 'eu');
    const families = await scrape(await prometheusRegistry(runtime, { prefix: 'shop_', defaultLabels: { host: 'a', region: 'all' } }));
    expect([...families.keys()].every((name) => name.startsWith('shop_'))).toBe(true);
    // Its own label goes first.
    expect(find(families, 'shop_sales_total')).toMatchObject([{ labels: { host: 'a', region: 'eu' } }]);
    expect(families.get('shop_duraloom_turns_in_flight')).toMatchObject({ help: 'Turns that are fetched, replayed or committed' });
  });

  test('shows several runtimes, told apart by their nodes', async () => {
    const one = await inline({ nodeId: 'one' });
    const two = await inline({ nodeId: 'two' });
    for (const id of ['a', 'b']) await sell(one.client, id, 'eu');
    await sell(two.client, 'a', 'eu');
    const families = await scrape(await prometheusRegistry([one.runtime, two.runtime]));
    expect(find(families, 'sales_total').map(({ labels, value }) => [labels['node'], value])).toEqual([
      ['one', 2],
      ['two', 1],
    ]);
    expect(find(families, 'duraloom_turns_committed_total')).toHaveLength(2);
  });

  test('adds to one of the host; a name that is taken stays with its owner, which is told', async () => {
    const warned = once(process, 'warning');
    const { runtime, client } = await inline();
    await sell(client, 'a', 'eu');
    const registry = new Registry();
    const own = new Counter({ name: 'sales_total', help: 'of the host', registers: [registry] });
    own.inc(5);
    expect(await prometheusRegistry(runtime, { registry })).toBe(registry);
    const families = await scrape(registry);
    expect(families.get('sales_total')).toMatchObject({ help: 'of the host', samples: [{ value: 5 }] });
    expect(families.has('duraloom_turns_committed_total')).toBe(true);
    expect((await warned)[0]).toMatchObject({
      message: expect.stringContaining("'sales_total'") as unknown,
      code: 'DURALOOM_METRIC_TAKEN',
    });
  });

  test('that is given to several calls shows the runtimes of all, and nothing twice', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', listen);
    onTestFinished(() => void process.off('warning', listen));
    const one = await inline({ nodeId: 'one' });
    const two = await inline({ nodeId: 'two' });
    await sell(one.client, 'a', 'eu');
    for (const id of ['a', 'b']) await sell(two.client, id, 'eu');
    const registry = new Registry();
    const options = { registry, nodeMetrics: true };
    await prometheusRegistry(one.runtime, options);
    expect(find(await scrape(registry), 'sales_total')).toMatchObject([{ labels: { region: 'eu' }, value: 1 }]);
    await prometheusRegistry(two.runtime, options);
    // A second time, and by another name besides.
    await prometheusRegistry([one.runtime, two.runtime], options);
    await prometheusRegistry(two.runtime, { registry, prefix: 'other_' });
    const families = await scrape(registry);
    expect(find(families, 'sales_total').map(({ labels, value }) => [labels['node'], value])).toEqual([
      ['one', 1],
      ['two', 2],
    ]);
    expect(find(families, 'other_sales_total')).toMatchObject([{ labels: { region: 'eu' }, value: 2 }]);
    expect(find(families, 'duraloom_turns_in_flight')).toHaveLength(2);
    expect(find(families, 'process_resident_memory_bytes')).toHaveLength(1);
    await new Promise(setImmediate);
    expect(warnings.filter((warning) => 'code' in warning && warning.code === 'DURALOOM_METRIC_TAKEN')).toEqual([]);
  });

  test('goes on when a runtime is stopped and another one takes its place: sums do not fall, and nothing counts twice', async () => {
    const provider = await SqliteProvider.open(':memory:');
    onTestFinished(() => provider.close());
    const first = await inline({ provider, nodeId: 'node' });
    const client = new Client(provider);
    const registry = await prometheusRegistry(first.runtime);
    const valueOf = async (name: string): Promise<number> => {
      const samples = find(await scrape(registry), name);
      expect(samples).toHaveLength(1);
      return samples[0]?.value ?? Number.NaN;
    };
    for (const id of ['a', 'b']) await sell(client, id, 'eu');
    expect(await valueOf('sales_total')).toBe(2);
    await first.runtime.shutdown();
    const stopped = [await valueOf('sales_total'), await valueOf('duraloom_turns_committed_total')];
    const commits = await valueOf('duraloom_store_commits_total');
    expect(stopped).toEqual([2, 2]);
    expect((await scrape(registry)).get('duraloom_turns_in_flight')?.samples).toEqual([]);

    const second = await inline({ provider, nodeId: 'node' });
    await prometheusRegistry(second.runtime, { registry });
    expect([await valueOf('sales_total'), await valueOf('duraloom_turns_committed_total')]).toEqual([2, 2]);
    await sell(client, 'c', 'eu');
    expect([await valueOf('sales_total'), await valueOf('duraloom_turns_committed_total')]).toEqual([3, 3]);
    expect(await valueOf('duraloom_turns_in_flight')).toBe(0);
    const total = provider.stats().commits;
    expect(await valueOf('duraloom_store_commits_total')).toBeGreaterThan(commits);
    expect(await valueOf('duraloom_store_commits_total')).toBeLessThanOrEqual(total);
  });

  test('counts stopped runtimes once, also when they are added again, and reads what they leave only once', async () => {
    let reads = 0;
    const makeSource = (nodeId: string) => ({
      nodeId,
      state: 'running',
      metrics: () => [
        {
          kind: 'counter' as const,
          name: 'sales_total',
          labels: { region: 'eu' },
          get value() {
            reads += 1;
            return 5;
          },
        },
      ],
    });
    const registry = new Registry();
    const all = Array.from({ length: 20 }, (_, index) => makeSource(index % 2 === 0 ? 'even' : 'odd'));
    for (const source of all) {
      await prometheusRegistry(source, { registry });
      source.state = 'stopped';
    }
    const valuesOf = async (): Promise<unknown> =>
      find(await scrape(registry), 'sales_total').map(({ labels, value }) => [labels['node'], value]);
    const total = [
      ['even', 50],
      ['odd', 50],
    ];
    expect(await valuesOf()).toEqual(total);
    const readsBefore = reads;
    await prometheusRegistry(all, { registry });
    expect(await valuesOf()).toEqual(total);
    expect(reads).toBe(readsBefore);
  });

  test('is there again after the registry was cleared, unless the host has taken the name', async () => {
    const { runtime, client } = await inline();
    await sell(client, 'a', 'eu');
    const registry = await prometheusRegistry(runtime, { nodeMetrics: true, queueDepths: { provider: new MemoryProvider() } });
    const names = [...(await scrape(registry)).keys()].toSorted();
    expect(names).toEqual(expect.arrayContaining(['sales_total', 'duraloom_queue_depth', 'process_resident_memory_bytes']));
    registry.clear();
    expect([...(await scrape(registry)).keys()].toSorted()).toEqual(names);
    registry.clear();
    const warned = once(process, 'warning');
    new Counter({ name: 'sales_total', help: 'of the host', registers: [registry] }).inc(5);
    expect(find(await scrape(registry), 'sales_total')).toMatchObject([{ labels: {}, value: 5 }]);
    expect((await warned)[0]).toMatchObject({ code: 'DURALOOM_METRIC_TAKEN' });
  });

  test('has the metrics of the process when they are wanted', async () => {
    const { runtime } = await inline();
    const families = await scrape(await prometheusRegistry(runtime, { nodeMetrics: true, defaultLabels: { host: 'a' } }));
    expect(find(families, 'process_resident_memory_bytes')).toMatchObject([{ labels: { host: 'a' } }]);
    expect((await scrape(await prometheusRegistry(runtime))).has('process_resident_memory_bytes')).toBe(false);
  });

  test('speaks OpenMetrics, too', async () => {
    const { runtime, client } = await inline();
    await sell(client, 'a', 'eu');
    const registry = await prometheusRegistry(runtime);
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
    for (const _ of [1, 2]) {
      const text = await registry.metrics();
      expect(text).toContain('# TYPE sales counter\nsales_total{region="eu"} 1\n');
      expect(text).toMatch(/# EOF\n$/);
    }
  });

  test.each([
    [[], {}, 'a runtime'],
    [{}, {}, 'a runtime'],
    [undefined, { prefix: '1' }, 'prefix'],
    [undefined, { defaultLabels: { 'a-b': 'x' } }, 'defaultLabels'],
    [undefined, { defaultLabels: { a: 5 } }, 'defaultLabels'],
    [undefined, { registry: {} }, 'registry'],
    [undefined, { nodeMetrics: 1 }, 'nodeMetrics'],
    [undefined, { queueDepths: {} }, 'provider'],
    [undefined, { queueDepths: { provider: new MemoryProvider(), everyMs: 5 } }, 'everyMs'],
    [undefined, { path: '/' }, 'Unknown option'],
  ])('is refused with a reason: %o %o', async (runtimes, options, reason) => {
    const given = runtimes ?? { nodeId: 'a', metrics: () => [] };
    await expect(prometheusRegistry(given as never, options as never)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(reason) as unknown,
    });
  });
});

describe('queue depths', () => {
  /** A registry that asks a store in which two messages and an activity wait. */
  async function asking(
    around: Around,
    options: Partial<NonNullable<PrometheusOptions['queueDepths']>> = {},
  ): Promise<{ readonly registry: Registry; readonly asked: () => number }> {
    let calls = 0;
    const provider: Provider = intercept(new MemoryProvider(), {
      readQueueDepths: (call) => {
        calls += 1;
        return (around.readQueueDepths ?? ((own: () => Promise<QueueDepths>) => own()))(call);
      },
    });
    const client = new Client(provider);
    for (const id of ['a', 'b']) await client.startOrchestration(id, 'nobody');
    const source = { nodeId: 'n', metrics: () => [] };
    return { registry: await prometheusRegistry(source, { queueDepths: { provider, ...options } }), asked: () => calls };
  }

  test('are read when somebody scrapes, and not again at once', async () => {
    const { registry, asked } = await asking({});
    expect(asked()).toBe(0);
    const families = await scrape(registry);
    expect(find(families, 'duraloom_queue_depth').map(({ labels, value }) => [labels['queue'], value])).toEqual([
      ['orchestrator', 2],
      ['worker', 0],
    ]);
    expect(find(families, 'duraloom_queue_depth_failures_total')).toMatchObject([{ value: 0 }]);
    await Promise.all([scrape(registry), scrape(registry)]);
    expect(asked()).toBe(1);
  });

  test('that cannot be read fail no scrape: they are missing, and counted', async () => {
    const { registry } = await asking({ readQueueDepths: () => Promise.reject(new RangeError('no store')) });
    const families = await scrape(registry);
    expect(find(families, 'duraloom_queue_depth')).toEqual([]);
    expect(find(families, 'duraloom_queue_depth_failures_total')).toMatchObject([{ value: 1 }]);
  });

  test('of a store that does not answer keep nobody waiting for long', async () => {
    const { registry, asked } = await asking({ readQueueDepths: () => new Promise(() => undefined) }, { everyMs: 100 });
    const startedMs = performance.now();
    for (const _ of [1, 2]) expect(find(await scrape(registry), 'duraloom_queue_depth')).toEqual([]);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    // One question is enough.
    expect(asked()).toBe(1);
  });
});

describe('the handler', () => {
  const registry = { metrics: () => Promise.resolve('up 1\n'), contentType: Registry.PROMETHEUS_CONTENT_TYPE } as Pick<
    Registry,
    'metrics' | 'contentType'
  >;

  test.each([
    ['GET', '/metrics', 200, 'up 1\n'],
    ['GET', '/metrics?format=text', 200, 'up 1\n'],
    ['HEAD', '/metrics', 200, ''],
    ['GET', '/', 404, 'Not found\n'],
    ['GET', '/metrics/', 404, 'Not found\n'],
    ['POST', '/metrics', 405, 'Only GET and HEAD\n'],
  ])('answers %s %s with %i, to Node and to Fetch alike', async (method, path, status, body) => {
    const origin = await serve(registry);
    const responses = [
      await fetch(`${origin}${path}`, { method }),
      await metricsHandler(registry).fetch(new Request(`${origin}${path}`, { method })),
    ];
    for (const response of responses) {
      expect([response.status, await response.text()]).toEqual([status, body]);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(response.headers.get('allow')).toBe(status === 405 ? 'GET, HEAD' : null);
    }
    expect(responses[0]?.headers.get('content-length')).toBe(String(status === 200 ? 5 : body.length));
  });

  test('answers at another path, or at any', async () => {
    const chosen = metricsHandler(registry, { path: '/internal/metrics' });
    const any = metricsHandler(registry, { path: null });
    const statusOf = async (handler: typeof chosen, path: string): Promise<number> =>
      (await handler.fetch(new Request(`http://localhost${path}`))).status;
    expect([await statusOf(chosen, '/internal/metrics'), await statusOf(chosen, '/metrics')]).toEqual([200, 404]);
    expect([await statusOf(any, '/'), await statusOf(any, '/x')]).toEqual([200, 200]);
  });

  test('says nothing of a failure but that there was one; the process is told which', async () => {
    const warned = once(process, 'warning');
    const broken = { ...registry, metrics: () => Promise.reject(new RangeError('a secret')) };
    const response = await fetch(`${await serve(broken)}/metrics`);
    expect([response.status, await response.text()]).toEqual([500, 'The metrics could not be collected\n']);
    expect((await warned)[0]).toMatchObject({ message: 'metrics could not be collected: a secret', code: 'DURALOOM_METRICS' });
  });

  test.each([
    [undefined, {}, 'Await prometheusRegistry'],
    [registry, { path: 'metrics' }, 'path'],
    [registry, { paths: '/' }, 'Unknown option'],
  ])('is refused with a reason: %o %o', (given, options, reason) => {
    expect(() => metricsHandler(given as never, options as never)).toThrow(reason);
  });
});

describe('prom-client', () => {
  /** Runs a script in a process of its own, in which the package may be missing. */
  async function runScript(script: string, isMissing: boolean): Promise<string> {
    const hooks = `
      import { registerHooks } from 'node:module';
      globalThis.loaded = [];
      registerHooks({ resolve: (specifier, context, next) => {
        if (specifier === 'prom-client' && ${isMissing}) throw Object.assign(new Error("Cannot find package 'prom-client'"), { code: 'ERR_MODULE_NOT_FOUND' });
        const found = next(specifier, context);
        globalThis.loaded.push(found.url);
        return found;
      } });`;
    const args = ['--import', `data:text/javascript,${encodeURIComponent(hooks)}`, '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname });
    return stdout.trim();
  }

  test('that is not installed is named, with what to do', async () => {
    const script = `
      import { prometheusRegistry } from 'duraloom/metrics';
      await prometheusRegistry({ nodeId: 'a', metrics: () => [] }).catch((error) => console.log(error.code, error.message));`;
    expect(await runScript(script, true)).toBe(
      "SURFACE_DEPENDENCY_MISSING duraloom/metrics needs the package 'prom-client', which is not installed. Install it: npm install prom-client",
    );
  });

  test('is loaded when a registry is made, not before', async () => {
    const script = `
      import { prometheusRegistry } from 'duraloom/metrics';
      const isLoaded = () => globalThis.loaded.some((url) => url.includes('/prom-client/'));
      const before = isLoaded();
      await prometheusRegistry({ nodeId: 'a', metrics: () => [] });
      console.log(before, isLoaded());`;
    expect(await runScript(script, false)).toBe('false true');
  });
});
