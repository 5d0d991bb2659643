// Traces: what an instance carries of a W3C trace, the ids of its spans, and what a finished span says. Neighbours: replay/replay-engine.ts
// (executions), main/traces.ts (activities, the sink).
//
// T1. The trace of an execution is in its history: `traceparent` of OrchestrationStarted, the span that it is below. One whose parent id is zero
//     begins a trace. So what code sees is the same on every replay, whether somebody records traces or not.
// T2. Span ids follow from what all hosts know: no two of them have to agree on one, whichever of them ends the execution.
import { ArgumentError } from './errors.ts';
import type { EncodedPayload } from './codec.ts';
import type { Failure } from './failure.ts';
import { show } from './show.ts';

/** Where a span is in its trace, as the W3C headers say it. */
export type TraceContext = {
  /** Such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. */
  readonly traceparent: string;
  /** What vendors have added; at most 512 characters. */
  readonly tracestate?: string;
};

/** The ids of a span and what else its trace says. */
export type SpanIds = {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** null: the trace begins with this span. */
  readonly parentSpanId: string | null;
  /** Flags of the trace; 1: it is sampled. */
  readonly flags: number;
  /** null: none. */
  readonly tracestate: string | null;
};

/** Something that happened during an execution. */
export type SpanEvent = {
  /** Such as `TimerFired`: the kind of the history event. */
  readonly name: string;
  readonly atMs: number;
  /** Which timer, event, topic or reason. */
  readonly subject: string;
};

/** The span of an execution as its engine knows it. */
export type ExecutionSpan = SpanIds & {
  readonly startMs: number;
  readonly endMs: number;
  readonly events: readonly SpanEvent[];
  /** How many more there were. */
  readonly droppedEvents: number;
};

/** An execution that has ended: from its first turn to its last. */
export type OrchestrationSpan = ExecutionSpan & {
  readonly kind: 'orchestration';
  readonly instanceId: string;
  readonly executionId: number;
  readonly name: string;
  readonly version: string;
  readonly outcome: 'completed' | 'failed' | 'cancelled' | 'continuedAsNew';
  /** Why it failed or was cancelled; null otherwise. */
  readonly failure: Failure | null;
};

/** An attempt of an activity that has ended: from its hand-over to a thread to its answer. */
export type ActivitySpan = SpanIds & {
  readonly kind: 'activity';
  readonly instanceId: string;
  readonly executionId: number;
  /** Event of the orchestration that scheduled this attempt. */
  readonly eventId: number;
  readonly name: string;
  /** As `ctx.attempt` says. */
  readonly attempt: number;
  readonly tag: string | null;
  readonly sessionId: string | null;
  /** The thread that ran it, such as `activity-0`. */
  readonly thread: string;
  readonly startMs: number;
  readonly endMs: number;
  /** `lost`: the right to deliver its result was lost while it ran, nobody wanted it any more, or the runtime stopped. `crashed`: its thread died. */
  readonly outcome: 'completed' | 'failed' | 'lost' | 'crashed';
  /** Why it failed or crashed; null otherwise. */
  readonly failure: Failure | null;
};

/** A span that has ended. */
export type FinishedSpan = OrchestrationSpan | ActivitySpan;

/**
 * Where finished spans of sampled traces go, such as the bridge of `duraloom/otel`. Called in the main thread: be quick, do not throw. With one, this
 * runtime begins a trace for each execution that was started without `traceparent`, when it runs its first turn.
 */
export type TraceSink = {
  /** Share of those traces that are sampled, 0 to 1. @default 1 */
  readonly sampleRatio?: number;
  record(span: FinishedSpan): void;
};

const STORED = /^00-(?!0{32})[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;
const HEADER = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:$|-)/;
const HEADER_UNITS = 55;
const TRACESTATE = /^[\u0020-\u007e]{1,512}$/;
const NO_SPAN = '0'.repeat(16);
const SAMPLED = 1;

/**
 * Reads the trace headers of a request, for a start: `client.startOrchestration(id, order, input, readTraceHeaders(request.headers))`.
 *
 * @param headers - by their names in lower case
 * @returns those that are valid; what a stranger sent wrong is left out, as W3C Trace Context asks
 */
export function readTraceHeaders(headers: { readonly traceparent?: unknown; readonly tracestate?: unknown }): Partial<TraceContext> {
  const { tracestate } = headers;
  const traceparent = normalise(headers.traceparent);
  if (traceparent === null) return {};
  return isTracestate(tracestate) ? { traceparent, tracestate } : { traceparent };
}

/**
 * Checks the trace of a start.
 *
 * @param given - by a caller
 * @returns the trace; null: none
 * @throws {ArgumentError} when it is none
 */
export function assertTrace(given: { readonly traceparent?: unknown; readonly tracestate?: unknown }): TraceContext | null {
  const { traceparent, tracestate } = given;
  if (traceparent === undefined) {
    if (tracestate === undefined) return null;
    throw new ArgumentError('Expected tracestate to come with traceparent: by itself it belongs to no trace');
  }
  const known = normalise(traceparent);
  if (known === null) {
    throw new ArgumentError(
      `Expected traceparent to be as W3C Trace Context says, such as '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', got ${show(traceparent)}. For headers of strangers use readTraceHeaders`,
    );
  }
  if (tracestate === undefined) return { traceparent: known };
  if (isTracestate(tracestate)) return { traceparent: known, tracestate };
  throw new ArgumentError(`Expected tracestate to be 1 to 512 printable ASCII characters, got ${show(tracestate)}`);
}

/** Later versions may add fields, of which nothing is known. */
function normalise(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const [, version, traceId, spanId, flags] = HEADER.exec(value) ?? [];
  if (version === '00') return value.length === HEADER_UNITS ? value : null;
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  return `00-${traceId}-${spanId}-0${Number.parseInt(flags, 16) & SAMPLED}`;
}

function isTracestate(value: unknown): value is string {
  return typeof value === 'string' && TRACESTATE.test(value);
}

/**
 * Tells whether a value is a trace parent as it is stored.
 *
 * @param value - from a history or message
 * @returns true also for one without a parent (T1)
 */
export function isStoredTraceparent(value: unknown): boolean {
  return typeof value === 'string' && STORED.test(value);
}

/**
 * Tells whether a value is a trace state as it is stored.
 *
 * @param value - from a history or message
 * @returns true when it can be passed on
 */
export function isStoredTracestate(value: unknown): boolean {
  return isTracestate(value);
}

/**
 * Makes the stored trace parent of an execution with which a trace begins.
 *
 * @param traceId - 32 hexadecimal digits, not all zero
 * @param isToBeSampled - whether its spans are recorded
 * @returns the text (T1)
 */
export function newTraceparent(traceId: string, isToBeSampled: boolean): string {
  return `00-${traceId}-${NO_SPAN}-0${isToBeSampled ? SAMPLED : 0}`;
}

/**
 * Makes a span below a stored trace parent.
 *
 * @param parent - the stored trace
 * @param key - what tells the span from all others of its trace
 * @returns its ids
 */
export function spanBelow({ traceparent, tracestate }: TraceContext, key: string): SpanIds {
  const traceId = traceparent.slice(3, 35);
  const parentSpanId = traceparent.slice(36, 52);
  return {
    traceId,
    spanId: hash(`${parentSpanId} ${key}`),
    parentSpanId: parentSpanId === NO_SPAN ? null : parentSpanId,
    flags: Number.parseInt(traceparent.slice(53), 16),
    tracestate: tracestate ?? null,
  };
}

/**
 * Writes a span as the parent of others.
 *
 * @param span - the span
 * @returns the W3C texts
 */
export function toTraceContext({ traceId, spanId, flags, tracestate }: SpanIds): TraceContext {
  const traceparent = `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, '0')}`;
  return tracestate === null ? { traceparent } : { traceparent, tracestate };
}

/**
 * Tells whether the spans of a trace are recorded.
 *
 * @param span - one of them
 * @returns as the flags say
 */
export function isSampled({ flags }: SpanIds): boolean {
  return (flags & SAMPLED) === SAMPLED;
}

// --- work items --------------------------------------------------------------------------------------------------------------

/** Begins the payload of a work item with a trace: no JSON text begins with it. */
const STAMP = '~';
const STAMP_UNIT = 0x7e;

/**
 * Puts a trace before the input of an activity.
 *
 * @param input - encoded
 * @param trace - the span of its execution
 * @returns payload of the work item: a line with the trace, then the input
 */
export function stamp(input: EncodedPayload, { traceparent, tracestate = '' }: TraceContext): string {
  return `${STAMP}${traceparent}${tracestate}\n${input ?? ''}`;
}

/**
 * Takes apart the payload of a work item with a trace.
 *
 * @param payload - as it is stored
 * @returns null: it has none, the payload is the input
 */
export function readStamp(payload: string): { readonly trace: TraceContext; readonly input: string } | null {
  // A store of somebody else may hand out anything: what reads the input says so.
  if (typeof payload !== 'string' || payload.charCodeAt(0) !== STAMP_UNIT) return null;
  const end = payload.indexOf('\n');
  const traceparent = payload.slice(1, HEADER_UNITS + 1);
  const tracestate = payload.slice(HEADER_UNITS + 1, Math.max(end, 0));
  if (end < 0 || !isStoredTraceparent(traceparent)) return null;
  return { trace: tracestate === '' ? { traceparent } : { traceparent, tracestate }, input: payload.slice(end + 1) };
}

/** 64 bits of a text (cyrb64: two 32-bit mixing hashes that are mixed at the end), as 16 hexadecimal digits. Within a trace that is enough. */
function hash(text: string): string {
  let left = 0xdeadbeef;
  let right = 0x41c6ce57;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    left = Math.imul(left ^ unit, 2_654_435_761);
    right = Math.imul(right ^ unit, 1_597_334_677);
  }
  left = Math.imul(left ^ (left >>> 16), 2_246_822_507) ^ Math.imul(right ^ (right >>> 13), 3_266_489_909);
  right = Math.imul(right ^ (right >>> 16), 2_246_822_507) ^ Math.imul(left ^ (left >>> 13), 3_266_489_909);
  // Zero is no id.
  return `${hex(left)}${hex(right | 1)}`;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
