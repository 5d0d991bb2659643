// The span of one execution: its ids, what it hands on to activities and children, and what happened during it.
// Neighbours: replay-engine.ts has one for each execution with a trace, types/trace.ts (rules T1, T2).
import type { EncodedPayload } from '../types/codec.ts';
import type { InputBody } from '../types/history-event.ts';
import {
  isSampled,
  spanBelow,
  stamp,
  toTraceContext,
  type ExecutionSpan,
  type SpanEvent,
  type SpanIds,
  type TraceContext,
} from '../types/trace.ts';

/** Most events that are kept. Reason: it is the limit of a span in OpenTelemetry; an execution may have 50,000. */
const MAX_EVENTS = 128;
/** Longest subject of an event, in UTF-16 units. */
const MAX_SUBJECT = 256;

/** What a tracer needs to know. */
export type ExecutionTracerOptions = {
  /** Tells the execution from all others of its trace. */
  readonly key: string;
  readonly startMs: number;
  /** Somebody records spans here. */
  readonly isRecorded: boolean;
};

/** The span of an execution that is under way. */
export class ExecutionTracer {
  /** The span, for those below it. */
  readonly context: TraceContext;
  readonly #parent: TraceContext;
  readonly #ids: SpanIds;
  readonly #startMs: number;
  readonly #isRecorded: boolean;
  readonly #events: SpanEvent[] = [];
  #dropped = 0;

  /**
   * @param parent - as it is stored
   * @param options - which execution
   */
  constructor(parent: TraceContext, { key, startMs, isRecorded }: ExecutionTracerOptions) {
    this.#parent = parent;
    this.#ids = spanBelow(parent, key);
    this.#startMs = startMs;
    this.#isRecorded = isRecorded && isSampled(this.#ids);
    this.context = toTraceContext(this.#ids);
  }

  /** What the next execution is below: the same as this one, so that a loop without end makes no endless staircase. One that began the trace is above the next. */
  get next(): TraceContext {
    return this.#ids.parentSpanId === null ? this.context : this.#parent;
  }

  /** Puts the trace before the input of an activity. */
  stamp(input: EncodedPayload): string {
    return stamp(input, this.context);
  }

  /** Keeps what happened; activities and children have spans of their own. */
  note(event: InputBody, atMs: number): void {
    const subject = this.#isRecorded ? subjectOf(event) : null;
    if (subject === null) return;
    if (this.#events.length >= MAX_EVENTS) this.#dropped += 1;
    else this.#events.push({ name: event.kind, atMs, subject: subject.slice(0, MAX_SUBJECT) });
  }

  /** The span, over now; null: nobody records it. */
  finish(endMs: number): ExecutionSpan | null {
    if (!this.#isRecorded) return null;
    return { ...this.#ids, startMs: this.#startMs, endMs, events: this.#events, droppedEvents: this.#dropped };
  }
}

/** null: it is not kept. */
function subjectOf(event: InputBody): string | null {
  switch (event.kind) {
    case 'TimerFired':
      return `event ${event.sourceId}`;
    case 'EventRaised':
      return event.name;
    case 'TopicReceived':
      return event.topic;
    case 'CancelRequested':
      return event.reason;
    case 'OrchestrationStarted':
    case 'ActivityCompleted':
    case 'ActivityFailed':
    case 'SubOrchestrationCompleted':
    case 'SubOrchestrationFailed':
      return null;
  }
}
