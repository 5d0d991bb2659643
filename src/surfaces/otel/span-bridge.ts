// Finished spans of duraloom as spans of OpenTelemetry. Neighbours: open-telemetry.ts makes one, id-generator.ts gives them their ids.
//
// P1. A span is started and ended at once, with the times that it had: whichever host knows its end can record it, also one that began elsewhere.
// P2. Its parent is a remote one, whether it was recorded or not: the SDK's sampler decides by its flag, as for a request from outside.
import {
  createTraceState,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type HrTime,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { OptionError } from '../../types/errors.ts';
import type { Failure } from '../../types/failure.ts';
import type { FinishedSpan, SpanIds, TraceContext } from '../../types/trace.ts';
import { withIds } from './id-generator.ts';

/** Passes finished spans on to a tracer. */
export class SpanBridge {
  readonly #tracer: Tracer;

  /**
   * @param tracer - of a provider with a `DuraloomIdGenerator`
   */
  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /**
   * Records a span.
   *
   * @param finished - the span
   * @throws {OptionError} when the provider gives it another id
   */
  record(finished: FinishedSpan): void {
    const options = { kind: SpanKind.INTERNAL, startTime: toHrTime(finished.startMs), attributes: attributesOf(finished) };
    const span = withIds(finished, () => this.#tracer.startSpan(`${finished.kind} ${finished.name}`, options, parentOf(finished)));
    // Without an SDK, or by its sampler.
    if (!span.isRecording()) return;
    if (span.spanContext().spanId !== finished.spanId) {
      throw new OptionError(
        'Expected the tracer provider to have `idGenerator: new DuraloomIdGenerator()` of duraloom/otel: without it spans of different hosts and threads do not belong together. No spans are recorded',
      );
    }
    if (finished.kind === 'orchestration') {
      for (const { name, atMs, subject } of finished.events) span.addEvent(name, { 'duraloom.subject': subject }, toHrTime(atMs));
    }
    if (finished.outcome === 'failed' || finished.outcome === 'crashed') fail(span, finished);
    span.end(toHrTime(finished.endMs));
  }
}

/**
 * Makes the OpenTelemetry context of a W3C trace.
 *
 * @param given - the trace
 * @param base - context that it is put into
 * @returns the context: spans that are started in it are below the trace
 */
export function toContext({ traceparent, tracestate }: TraceContext, base: Context): Context {
  return trace.setSpanContext(base, {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53), 16),
    isRemote: true,
    ...(tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }),
  });
}

function parentOf({ traceId, parentSpanId, flags, tracestate }: SpanIds): Context {
  if (parentSpanId === null) return ROOT_CONTEXT;
  const traceparent = `00-${traceId}-${parentSpanId}-${flags.toString(16).padStart(2, '0')}`;
  return toContext(tracestate === null ? { traceparent } : { traceparent, tracestate }, ROOT_CONTEXT);
}

/** Numbers would not do: small ones count from the start of the process. */
function toHrTime(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1_000);
  return [seconds, Math.floor((epochMs - seconds * 1_000) * 1_000_000)];
}

function attributesOf(span: FinishedSpan): Attributes {
  const common: Attributes = {
    'duraloom.instance.id': span.instanceId,
    'duraloom.execution.id': span.executionId,
    'duraloom.outcome': span.outcome,
    ...(span.failure === null ? {} : { 'error.type': typeOf(span.failure) }),
  };
  switch (span.kind) {
    case 'orchestration':
      return {
        ...common,
        'duraloom.orchestration.name': span.name,
        'duraloom.orchestration.version': span.version,
        ...(span.droppedEvents === 0 ? {} : { 'duraloom.dropped_events': span.droppedEvents }),
      };
    case 'activity':
      return {
        ...common,
        'duraloom.activity.name': span.name,
        'duraloom.activity.event_id': span.eventId,
        'duraloom.activity.attempt': span.attempt,
        'thread.name': span.thread,
        ...(span.tag === null ? {} : { 'duraloom.activity.tag': span.tag }),
        ...(span.sessionId === null ? {} : { 'duraloom.session.id': span.sessionId }),
      };
  }
}

function typeOf({ code, name }: Failure): string {
  return code ?? name;
}

function fail(span: Span, { failure, endMs }: FinishedSpan): void {
  if (failure === null) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    return;
  }
  const { message, stack } = failure;
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  const exception: Attributes = { 'exception.type': typeOf(failure), 'exception.message': message };
  span.addEvent('exception', stack === undefined ? exception : { ...exception, 'exception.stacktrace': stack }, toHrTime(endMs));
}
