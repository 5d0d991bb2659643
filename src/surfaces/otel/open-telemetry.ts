// The bridge to OpenTelemetry as users call it. Neighbours: span-bridge.ts, metric-bridge.ts, id-generator.ts. Uses its API only: the SDK, its
// exporters and its settings are the host's.
import { context, metrics, trace, type Context, type MeterProvider, type TracerProvider } from '@opentelemetry/api';
import { assertKnownOptions, hasMethods, makeOptionError, readOptions, type FieldNames } from '../../types/arguments.ts';
import type { ActivityContext } from '../../types/context.ts';
import { OptionError } from '../../types/errors.ts';
import type { MetricPoint } from '../../types/metrics.ts';
import { show } from '../../types/show.ts';
import { readTraceHeaders, type FinishedSpan, type TraceContext } from '../../types/trace.ts';
import { MetricBridge } from './metric-bridge.ts';
import { SpanBridge, toContext } from './span-bridge.ts';

/** Options of the bridge. */
export type OpenTelemetryOptions = {
  /**
   * Where spans go. It needs `idGenerator: new DuraloomIdGenerator()`. Without a tracer provider, and none registered: nowhere.
   * @default the one that is registered globally when the bridge is made
   */
  readonly tracerProvider?: TracerProvider;
  /** Where measurements go. @default the one that is registered globally when the bridge is made */
  readonly meterProvider?: MeterProvider;
  /**
   * Share of the traces that begin with an orchestration, not in a caller, that are sampled, 0 to 1. A sampler of the tracer provider decides on spans one by
   * one: leave it at its default, or traces have holes. @default 1
   */
  readonly sampleRatio?: number;
};

/** Options of a runtime that record to OpenTelemetry. */
export type OpenTelemetry = {
  readonly metrics: { record(point: MetricPoint): void };
  readonly traces: { readonly sampleRatio: number; record(span: FinishedSpan): void };
};

const FIELDS: FieldNames<OpenTelemetryOptions> = { tracerProvider: true, meterProvider: true, sampleRatio: true };
const NAME = 'duraloom';

/**
 * Makes the options of a runtime that record its measurements and traces with OpenTelemetry: `Runtime.start({ ...openTelemetry({ tracerProvider }), … })`.
 *
 * @param options - providers, and how many traces are sampled
 * @returns the options `metrics` and `traces`
 * @throws {OptionError} for something that is no provider, or a ratio that is none
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): OpenTelemetry {
  const given = readOptions(options, 'the options of openTelemetry', FIELDS, makeOptionError);
  assertKnownOptions(options, FIELDS, ' of openTelemetry');
  const { tracerProvider = trace.getTracerProvider(), meterProvider = metrics.getMeterProvider(), sampleRatio = 1 } = given;
  if (!hasMethods(tracerProvider, ['getTracer'])) {
    throw new OptionError(`Expected \`tracerProvider\` to have the method getTracer, got ${show(tracerProvider)}`);
  }
  if (!hasMethods(meterProvider, ['getMeter'])) {
    throw new OptionError(`Expected \`meterProvider\` to have the method getMeter, got ${show(meterProvider)}`);
  }
  if (!(typeof sampleRatio === 'number' && sampleRatio >= 0 && sampleRatio <= 1)) {
    throw new OptionError(`Expected \`sampleRatio\` to be a number from 0 to 1, got ${show(sampleRatio)}`);
  }
  const spans = new SpanBridge(tracerProvider.getTracer(NAME));
  const points = new MetricBridge(meterProvider.getMeter(NAME));
  return {
    metrics: { record: (point) => points.record(point) },
    traces: { sampleRatio, record: (span) => spans.record(span) },
  };
}

/**
 * Reads the span that is active here, for a start below it: `client.startOrchestration(id, order, input, traceContext())`.
 *
 * @param from - context to read from; default: the active one
 * @returns the W3C texts; empty when no span is active
 */
export function traceContext(from: Context = context.active()): Partial<TraceContext> {
  const span = trace.getSpanContext(from);
  if (span === undefined || !trace.isSpanContextValid(span)) return {};
  const { traceId, spanId, traceFlags, traceState } = span;
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  return readTraceHeaders({ traceparent, tracestate: traceState?.serialize() });
}

/**
 * Makes the context of an activity's own span, for spans of its code: `tracer.startSpan('charge card', {}, contextOf(ctx))`, or for all that is called:
 * `context.with(contextOf(ctx), () => chargeCard())`.
 *
 * @param ctx - of an activity
 * @param base - context that the span is put into; default: the active one
 * @returns the context; `base` when the activity has no trace
 */
export function contextOf(ctx: Pick<ActivityContext, 'trace'>, base: Context = context.active()): Context {
  return ctx.trace === null ? base : toContext(ctx.trace, base);
}
