// The bridge to OpenTelemetry by itself: ids, times, parents, names of instruments, and what it is given wrong. Over the wire: otel-end-to-end.test.ts.
import { createTraceState, ROOT_CONTEXT, SpanStatusCode, trace, type Context } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricData,
} from '@opentelemetry/sdk-metrics';
import { AlwaysOffSampler, InMemorySpanExporter, SimpleSpanProcessor, TracerProvider, type ReadableSpan } from '@opentelemetry/sdk-trace';
import { OptionError, type ActivitySpan, type MetricPoint, type OrchestrationSpan } from 'duraloom';
import { contextOf, DuraloomIdGenerator, openTelemetry, traceContext, type OpenTelemetryOptions } from 'duraloom/otel';
import { describe, expect, test } from 'vitest';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

const execution: OrchestrationSpan = {
  kind: 'orchestration',
  traceId: TRACE_ID,
  spanId: '1111111111111111',
  parentSpanId: null,
  flags: 1,
  tracestate: null,
  instanceId: 'order-1',
  executionId: 1,
  name: 'order',
  version: '1.0.0',
  // Long before this process: on another host.
  startMs: 1_000.25,
  endMs: 86_400_000,
  outcome: 'completed',
  failure: null,
  events: [{ name: 'TimerFired', atMs: 2_000, subject: 'event 3' }],
  droppedEvents: 0,
};

const attempt: ActivitySpan = {
  kind: 'activity',
  traceId: TRACE_ID,
  spanId: '2222222222222222',
  parentSpanId: execution.spanId,
  flags: 1,
  tracestate: 'vendor=1',
  instanceId: 'order-1',
  executionId: 1,
  eventId: 2,
  name: 'charge',
  attempt: 3,
  tag: 'gpu',
  sessionId: 's',
  thread: 'activity-0',
  startMs: 5_000,
  endMs: 6_000,
  outcome: 'failed',
  failure: { name: 'CardError', message: 'declined', code: 'DECLINED' },
};

/** What an SDK has of the spans that a bridge recorded. */
function record(spans: readonly (OrchestrationSpan | ActivitySpan)[], sampler?: AlwaysOffSampler): readonly ReadableSpan[] {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new TracerProvider({
    idGenerator: new DuraloomIdGenerator(),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    ...(sampler !== undefined && { sampler }),
  });
  const { traces } = openTelemetry({ tracerProvider });
  for (const span of spans) traces.record(span);
  return exporter.getFinishedSpans();
}

describe('a span', () => {
  test('has the ids and times that it is given, also of a time before this process', () => {
    const [span] = record([execution]);
    expect(span?.spanContext()).toMatchObject({ traceId: TRACE_ID, spanId: execution.spanId, traceFlags: 1 });
    expect(span?.parentSpanContext).toBeUndefined();
    expect([span?.startTime, span?.endTime, span?.events[0]?.time]).toEqual([
      [1, 250_000],
      [86_400, 0],
      [2, 0],
    ]);
    expect(span?.instrumentationScope.name).toBe('duraloom');
  });

  test('is below the one that it is to be below, with what vendors added', () => {
    const [span] = record([attempt]);
    expect(span?.parentSpanContext).toMatchObject({ traceId: TRACE_ID, spanId: execution.spanId, isRemote: true });
    expect(span?.spanContext().traceState?.serialize()).toBe('vendor=1');
  });

  test('says what failed', () => {
    const [span] = record([attempt]);
    expect(span?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'declined' });
    expect(span?.events).toMatchObject([
      { name: 'exception', attributes: { 'exception.type': 'DECLINED', 'exception.message': 'declined' }, time: [6, 0] },
    ]);
    expect(span?.attributes).toEqual({
      'duraloom.instance.id': 'order-1',
      'duraloom.execution.id': 1,
      'duraloom.outcome': 'failed',
      'error.type': 'DECLINED',
      'duraloom.activity.name': 'charge',
      'duraloom.activity.event_id': 2,
      'duraloom.activity.attempt': 3,
      'duraloom.activity.tag': 'gpu',
      'duraloom.session.id': 's',
      'thread.name': 'activity-0',
    });
  });

  test('that crashed without anybody knowing why is an error all the same, a cancelled or lost one is none', () => {
    const spans = record([
      { ...attempt, outcome: 'crashed', failure: null },
      { ...attempt, outcome: 'lost', failure: null },
      { ...execution, outcome: 'cancelled', failure: { name: 'CancelledError', message: 'enough', code: 'CANCELLED' }, droppedEvents: 7 },
    ]);
    expect(spans.map(({ status }) => status.code)).toEqual([SpanStatusCode.ERROR, SpanStatusCode.UNSET, SpanStatusCode.UNSET]);
    expect(spans[2]?.attributes).toMatchObject({ 'error.type': 'CANCELLED', 'duraloom.dropped_events': 7 });
  });

  test('is left to the sampler of the provider, and to nobody without an SDK', () => {
    expect(record([execution], new AlwaysOffSampler())).toEqual([]);
    expect(() => openTelemetry().traces.record(execution)).not.toThrow();
  });

  test('is refused by a bridge whose provider makes ids of its own', () => {
    const exporter = new InMemorySpanExporter();
    const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
    const { traces } = openTelemetry({ tracerProvider });
    expect(() => traces.record(attempt)).toThrow('idGenerator: new DuraloomIdGenerator()');
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});

describe('the generator of ids', () => {
  test('gives all other spans random ids', () => {
    const ids = new DuraloomIdGenerator();
    expect([ids.generateTraceId(), ids.generateSpanId()]).toEqual([
      expect.stringMatching(/^[\da-f]{32}$/) as string,
      expect.stringMatching(/^[\da-f]{16}$/) as string,
    ]);
    expect(ids.generateSpanId()).not.toBe(ids.generateSpanId());
  });

  test('or those of another generator', () => {
    const ids = new DuraloomIdGenerator({ generateTraceId: () => 'trace', generateSpanId: () => 'span' });
    expect([ids.generateTraceId(), ids.generateSpanId()]).toEqual(['trace', 'span']);
  });
});

describe('contexts', () => {
  const active = (span: { readonly traceState?: ReturnType<typeof createTraceState>; readonly traceId: string }): Context =>
    trace.setSpanContext(ROOT_CONTEXT, { spanId: '00f067aa0ba902b7', traceFlags: 1, ...span });

  test('are read for a start', () => {
    const traceparent = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
    expect(traceContext(active({ traceId: TRACE_ID }))).toEqual({ traceparent });
    expect(traceContext(active({ traceId: TRACE_ID, traceState: createTraceState('a=1') }))).toEqual({ traceparent, tracestate: 'a=1' });
  });

  test('without a span give nothing', () => {
    expect(traceContext()).toEqual({});
    expect(traceContext(active({ traceId: '0'.repeat(32) }))).toEqual({});
  });

  test('are made of the span of an activity', () => {
    const given = { traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-00`, tracestate: 'a=1' };
    const context = contextOf({ trace: given }, ROOT_CONTEXT);
    expect(trace.getSpanContext(context)).toMatchObject({ traceId: TRACE_ID, spanId: '00f067aa0ba902b7', traceFlags: 0, isRemote: true });
    expect(traceContext(context)).toEqual(given);
    expect(contextOf({ trace: null }, context)).toBe(context);
  });
});

describe('measurements', () => {
  async function measure(points: readonly MetricPoint[]): Promise<readonly MetricData[]> {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const meterProvider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
    const { metrics } = openTelemetry({ meterProvider });
    for (const point of points) metrics.record(point);
    await meterProvider.forceFlush();
    const found = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    await meterProvider.shutdown();
    return found;
  }

  const counter = (name: string): MetricPoint => ({ kind: 'counter', name, value: 1, labels: {} });

  test.each([
    ['orders_total', 'orders', ''],
    ['duraloom_activity_duration_seconds', 'duraloom_activity_duration', 's'],
    ['lag_milliseconds', 'lag', 'ms'],
    ['sent_bytes_total', 'sent', 'By'],
    ['hit_ratio', 'hit', '1'],
    ['shop:orders', 'shop.orders', ''],
    ['_private', 'm_private', ''],
    ['total', 'total', ''],
    ['seconds', 'seconds', ''],
  ])('%s becomes %s', async (given, name, unit) => {
    expect((await measure([counter(given)])).map(({ descriptor }) => [descriptor.name, descriptor.unit])).toEqual([[name, unit]]);
  });

  test('are added up, observed or set by their kind, each under its labels', async () => {
    const found = await measure([
      { kind: 'counter', name: 'orders_total', value: 2, labels: { region: 'eu' } },
      { kind: 'counter', name: 'orders_total', value: 3, labels: { region: 'eu' } },
      { kind: 'gauge', name: 'open', value: 9, labels: {} },
      { kind: 'gauge', name: 'open', value: 4, labels: {} },
      { kind: 'histogram', name: 'size', value: 7, labels: {} },
    ]);
    expect(found.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints[0]?.attributes, dataPoints[0]?.value])).toMatchObject([
      ['orders', { region: 'eu' }, 5],
      ['open', {}, 4],
      ['size', {}, { count: 1, sum: 7, buckets: { boundaries: expect.arrayContaining([1, 100_000]) as number[] } }],
    ]);
  });
});

test.each<readonly [string, unknown, string]>([
  ['no object', 5, 'the options of openTelemetry'],
  ['an unknown option', { exporter: 1 }, 'Unknown option `exporter` of openTelemetry'],
  ['no tracer provider', { tracerProvider: {} }, '`tracerProvider` to have the method getTracer'],
  ['no meter provider', { meterProvider: null }, '`meterProvider` to have the method getMeter'],
  ['no ratio', { sampleRatio: 2 }, '`sampleRatio` to be a number from 0 to 1'],
])('options are refused: %s', (_, options, message) => {
  const make = (): unknown => openTelemetry(options as OpenTelemetryOptions);
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
});
