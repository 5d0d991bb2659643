// Traces and metrics over real OTLP exporters to a receiver in this process: hosts on one file, real threads, real HTTP.
import { ROOT_CONTEXT, trace, type TracerProvider as ApiTracerProvider } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { Client, type Runtime, type RuntimeOptions } from 'duraloom';
import { DuraloomIdGenerator, openTelemetry, traceContext } from 'duraloom/otel';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { startHost as startProcess } from '../support/integration-child.ts';
import { PATIENCE, quick, rejection, stage, type Stage } from '../support/integration-stage.ts';
import { OtlpReceiver, type OtlpSpan } from '../support/otlp-receiver.ts';

const module = (name: string): URL => new URL(`fixtures/${name}.ts`, import.meta.url);
const orders = module('traced-orders');
const shipping = module('traced-shipping');
const activities = module('traced-activities');

/** A host on the file of the stage, with providers of its own, as in a process of its own. */
type Host = { readonly runtime: Runtime; readonly tracerProvider: ApiTracerProvider; readonly stop: () => Promise<void> };

async function startHost(
  stand: Stage,
  { url, service, ...options }: Partial<RuntimeOptions> & { readonly url: string; readonly service: string },
): Promise<Host> {
  const resource = resourceFromAttributes({ 'service.name': service });
  const tracerProvider = new TracerProvider({
    resource,
    idGenerator: new DuraloomIdGenerator(),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${url}/v1/traces` }) })],
  });
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url: `${url}/v1/metrics` }) });
  const meterProvider = new MeterProvider({ resource, readers: [reader] });
  const provider = await stand.openProvider();
  const bridge = openTelemetry({ tracerProvider, meterProvider });
  const patient = { activityLockMs: 30_000, orchestrationLockMs: 30_000, turnTimeoutMs: 10_000 };
  const runtime = await stand.startRuntime({ provider, ...quick, ...patient, ...bridge, ...options });
  const stop = async (): Promise<void> => {
    await runtime.shutdown();
    await Promise.all([tracerProvider.forceFlush(), meterProvider.forceFlush()]);
  };
  stand.defer(() => Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]));
  return { runtime, tracerProvider, stop };
}

/** A server that answers with the trace that it was told of. */
async function listenShop(stand: Stage): Promise<string> {
  const server = createServer((request, response) => {
    response.end(`${String(request.headers['traceparent'])} ${String(request.headers['tracestate'])}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stand.defer(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listen(stand: Stage): Promise<OtlpReceiver> {
  const receiver = await OtlpReceiver.listen();
  stand.defer(() => receiver[Symbol.asyncDispose]());
  return receiver;
}

/** Parent's name for each span, by its own: what the tree looks like. */
function treeOf(spans: readonly OtlpSpan[]): readonly string[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  return spans.map(({ name, parentSpanId }) => `${byId.get(parentSpanId)?.name ?? (parentSpanId || 'nothing')} > ${name}`).toSorted();
}

const CALLER = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'vendor=1' };

describe('an orchestration over hosts, threads and a child', () => {
  test('is one trace below its caller', async () => {
    const stand = stage();
    const receiver = await listen(stand);
    const { url } = receiver;
    const shop = await listenShop(stand);
    const client = new Client(await stand.openProvider());
    const first = await startHost(stand, { url, service: 'orders', orchestrations: orders });
    const worker = await startHost(stand, { url, service: 'worker', orchestrations: shipping, activities });
    const handle = await client.startOrchestration<{ readonly shipped: string }>('order-1', 'order', { otlp: url, shop }, CALLER);
    await handle.waitForValue('shipped', { timeout: PATIENCE });
    // The order goes on where it did not begin.
    await first.stop();
    const second = await startHost(stand, { url, service: 'orders again', orchestrations: orders });
    await handle.raiseEvent('delivered');
    const { shipped } = await handle.result({ timeout: PATIENCE });
    await Promise.all([second.stop(), worker.stop()]);

    expect(new Set(receiver.spans.map(({ traceId }) => traceId))).toEqual(new Set(['4bf92f3577b34da6a3ce929d0e0e4736']));
    expect(treeOf(receiver.spans)).toEqual([
      '00f067aa0ba902b7 > orchestration order',
      'activity charge > call the bank',
      'orchestration order > activity charge',
      'orchestration order > activity flaky',
      'orchestration order > activity flaky',
      'orchestration order > activity flaky',
      'orchestration order > orchestration shipping',
      'orchestration shipping > activity label',
    ]);
    for (const span of receiver.spans) if (span.service !== 'inside the activity') expect(span.traceState).toBe('vendor=1');

    // The host that ended the order recorded it, with the time of its begin on another one.
    const order = receiver.span('orchestration order');
    expect(order).toMatchObject({
      service: 'orders again',
      status: { code: 'unset' },
      attributes: {
        'duraloom.instance.id': 'order-1',
        'duraloom.execution.id': 1,
        'duraloom.orchestration.name': 'order',
        'duraloom.orchestration.version': '1.0.0',
        'duraloom.outcome': 'completed',
      },
    });
    expect(order.events.map(({ name, attributes }) => `${name} ${String(attributes['duraloom.subject'])}`)).toEqual([
      'TimerFired event 4',
      'EventRaised delivered',
    ]);
    // The SDK inside the activity has a clock of its own.
    for (const span of receiver.spans.filter(({ service }) => service !== 'inside the activity')) {
      expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
      // Clocks of threads tick in parts of a millisecond, the store's in whole ones.
      expect(span.startMs).toBeGreaterThan(order.startMs - 2);
      expect(span.endMs).toBeLessThan(order.endMs + 2);
    }

    // Attempts of a retry are spans of their own.
    const flaky = [1, 2, 3].map((attempt) => receiver.span('activity flaky', { 'duraloom.activity.attempt': attempt }));
    expect(flaky.map(({ status, attributes }) => [status, attributes['duraloom.outcome'], attributes['error.type']])).toEqual([
      [{ code: 'error', message: 'attempt 1 fails' }, 'failed', 'TypeError'],
      [{ code: 'error', message: 'attempt 2 fails' }, 'failed', 'TypeError'],
      [{ code: 'unset' }, 'completed', undefined],
    ]);
    expect(flaky[0]?.events).toMatchObject([
      {
        name: 'exception',
        attributes: {
          'exception.type': 'TypeError',
          'exception.message': 'attempt 1 fails',
          'exception.stacktrace': expect.stringContaining('traced-activities') as string,
        },
      },
    ]);

    // Out of activities: by HTTP, and in the spans of their own code.
    const label = receiver.span('activity label');
    expect(label).toMatchObject({ service: 'worker', attributes: { 'thread.name': 'activity-0' } });
    expect(shipped).toBe(`00-${label.traceId}-${label.spanId}-01 vendor=1`);
    expect(receiver.span('call the bank')).toMatchObject({ service: 'inside the activity', attributes: { isMainThread: false } });
  });
});

test('a trace goes on where its host was killed', async () => {
  const stand = stage();
  const receiver = await listen(stand);
  const { url } = receiver;
  const shop = await listenShop(stand);
  const client = new Client(await stand.openProvider());
  const texts = { orchestrations: [orders.href, shipping.href], activities: activities.href };
  const victim = await startProcess(stand, { ...texts, turnTimeoutMs: 10_000, orchestrationLockMs: 500 });
  const handle = await client.startOrchestration<{ readonly shipped: string }>('order-1', 'order', { otlp: url, shop }, CALLER);
  await handle.waitForValue('shipped', { timeout: PATIENCE });
  await victim.kill();
  await handle.raiseEvent('delivered');
  const heir = await startHost(stand, { url, service: 'heir', orchestrations: orders });
  const { shipped } = await handle.result({ timeout: PATIENCE });
  await heir.stop();
  // What the dead host had not recorded is lost; what it handed on was of the same trace.
  const order = receiver.span('orchestration order');
  expect(order).toMatchObject({
    service: 'heir',
    traceId: CALLER.traceparent.slice(3, 35),
    parentSpanId: '00f067aa0ba902b7',
    traceState: 'vendor=1',
  });
  expect(order.events.map(({ name }) => name)).toEqual(['TimerFired', 'EventRaised']);
  expect(shipped.slice(0, 36)).toBe(CALLER.traceparent.slice(0, 36));
  expect(receiver.span('call the bank').traceId).toBe(order.traceId);
  expect(receiver.names()).toEqual(['call the bank', 'orchestration order']);
});

test('a trace that is not sampled is handed on to activities and children, and nothing of it is exported', async () => {
  const stand = stage();
  const receiver = await listen(stand);
  const shop = await listenShop(stand);
  const client = new Client(await stand.openProvider());
  const host = await startHost(stand, { url: receiver.url, service: 'all', orchestrations: [orders, shipping], activities });
  const traceparent = CALLER.traceparent.replace(/01$/, '00');
  const unsampled = { ...CALLER, traceparent };
  const child = await client.startOrchestration<string>('shipping-1', 'shipping', shop, unsampled);
  const parent = await client.startOrchestration<{ readonly shipped: string }>('ships-1', 'ships', shop, unsampled);
  for (const shipped of [await child.result({ timeout: PATIENCE }), (await parent.result({ timeout: PATIENCE })).shipped]) {
    expect(shipped).toMatch(new RegExp(`^${traceparent.slice(0, 36)}[\\da-f]{16}-00 vendor=1$`));
    expect(shipped).not.toContain(traceparent.slice(36, 52));
  }
  const rounds = await client.startOrchestration('rounds-1', 'rounds', 2, unsampled);
  await rounds.result({ timeout: PATIENCE });
  expect((await client.readHistory('rounds-1'))[0]).toMatchObject({ executionId: 3, traceparent, tracestate: 'vendor=1' });
  await host.stop();
  expect(receiver.spans).toEqual([]);
});

describe('a trace that begins with an orchestration', () => {
  test('has its first execution above all others, failed and cancelled ones say so, each has its own', async () => {
    const stand = stage();
    const receiver = await listen(stand);
    const client = new Client(await stand.openProvider());
    const host = await startHost(stand, { url: receiver.url, service: 'all', orchestrations: orders, activities });
    const looping = await client.startOrchestration('rounds-1', 'rounds', 3);
    const failing = await client.startOrchestration('fails-1', 'fails');
    const waiting = await client.startOrchestration('waits-1', 'waits');
    await looping.result({ timeout: PATIENCE });
    await rejection(failing.result({ timeout: PATIENCE }));
    await waiting.cancel('not wanted');
    await rejection(waiting.result({ timeout: PATIENCE }));
    await host.stop();

    const rounds = [1, 2, 3, 4].map((id) => receiver.span('orchestration rounds', { 'duraloom.execution.id': id }));
    const [first, ...others] = rounds;
    expect(first?.parentSpanId).toBe('');
    expect(others.map(({ parentSpanId }) => parentSpanId)).toEqual(others.map(() => first?.spanId));
    expect(rounds.map(({ attributes }) => attributes['duraloom.outcome'])).toEqual([
      'continuedAsNew',
      'continuedAsNew',
      'continuedAsNew',
      'completed',
    ]);

    const failed = receiver.span('orchestration fails');
    expect(failed).toMatchObject({
      parentSpanId: '',
      status: { code: 'error', message: 'no' },
      attributes: { 'duraloom.outcome': 'failed', 'error.type': 'NonRetryableError' },
    });
    expect(receiver.span('activity refuse')).toMatchObject({ parentSpanId: failed.spanId, status: { code: 'error', message: 'no' } });

    expect(receiver.span('orchestration waits')).toMatchObject({
      status: { code: 'unset' },
      attributes: { 'duraloom.outcome': 'cancelled', 'error.type': 'CANCELLED' },
      events: [{ name: 'CancelRequested', attributes: { 'duraloom.subject': 'not wanted' } }],
    });
    expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(3);
  });

  test('is not sampled more often than it is to be', async () => {
    const stand = stage();
    const receiver = await listen(stand);
    const client = new Client(await stand.openProvider());
    const bridge = openTelemetry({ sampleRatio: 0 });
    const host = await startHost(stand, { url: receiver.url, service: 'all', orchestrations: orders, traces: bridge.traces });
    await (await client.startOrchestration('rounds-1', 'rounds', 0)).result({ timeout: PATIENCE });
    const [started] = await client.readHistory('rounds-1');
    expect(started).toMatchObject({ traceparent: expect.stringMatching(/^00-[\da-f]{32}-0{16}-00$/) as string });
    await host.stop();
    expect(receiver.spans).toEqual([]);
  });
});

test('a start goes below the span that is active where it is called', async () => {
  const stand = stage();
  const receiver = await listen(stand);
  const client = new Client(await stand.openProvider());
  const host = await startHost(stand, { url: receiver.url, service: 'all', orchestrations: orders });
  const span = host.tracerProvider.getTracer('web').startSpan('POST /orders');
  const active = trace.setSpan(ROOT_CONTEXT, span);
  await (await client.startOrchestration('rounds-1', 'rounds', 0, traceContext(active))).result({ timeout: PATIENCE });
  span.end();
  await host.stop();
  expect(treeOf(receiver.spans)).toEqual(['POST /orders > orchestration rounds', 'nothing > POST /orders']);
});

test('measurements arrive with units, descriptions and bounds', async () => {
  const stand = stage();
  const receiver = await listen(stand);
  const client = new Client(await stand.openProvider());
  const host = await startHost(stand, { url: receiver.url, service: 'all', orchestrations: orders, activities });
  await (await client.startOrchestration('rounds-1', 'rounds', 2)).result({ timeout: PATIENCE });
  await rejection((await client.startOrchestration('fails-1', 'fails')).result({ timeout: PATIENCE }));
  // Brings the figures of the runtime up to date.
  host.runtime.metrics();
  await host.stop();
  const completions = receiver.metrics.get('duraloom_orchestration_completions');
  expect(completions).toMatchObject({ kind: 'sum', unit: '', description: expect.stringContaining('Executions that ended') as string });
  expect(completions?.points).toContainEqual({
    attributes: { orchestration: 'rounds', version: '1.0.0', status: 'continuedAsNew' },
    value: 2,
    bounds: [],
  });
  expect(receiver.metrics.get('duraloom_activity_duration')).toMatchObject({
    kind: 'histogram',
    unit: 's',
    points: [
      { attributes: { activity: 'refuse', outcome: 'failed' }, value: 1, bounds: expect.arrayContaining([0.001, 3_600]) as number[] },
    ],
  });
  expect(receiver.metrics.get('duraloom_limit')).toMatchObject({ kind: 'gauge' });
});
