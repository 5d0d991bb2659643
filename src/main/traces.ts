// Finished spans on their way to the sink. Neighbours: the dispatchers tell what ended, types/trace.ts (what a span is), replay/execution-tracer.ts.
//
// E1. The span of an execution is recorded when the turn that ends it is known to be committed: once, by the host that committed it. Never for a lost turn
//     or a replay.
// E2. Each hand-over of an activity to a thread has a span of its own, which tells what ran, not what was recorded. Its id is made from the lock token.
import type { OrchestrationItem, WorkItem } from '../provider/provider.ts';
import { parseRecord } from '../types/codec.ts';
import { toFailure, type Failure } from '../types/failure.ts';
import type { ActivityExtras, ReplayResult } from '../types/replay.ts';
import {
  isSampled,
  spanBelow,
  type ActivitySpan,
  type FinishedSpan,
  type OrchestrationSpan,
  type SpanIds,
  type TraceContext,
  type TraceSink,
} from '../types/trace.ts';

/** How an attempt ended: what its thread said, or what became of it otherwise. */
export type AttemptEnd =
  | { readonly kind: 'answered'; readonly completionPayload: string }
  | { readonly kind: 'recorded' | 'lost' }
  | { readonly kind: 'failed' | 'crashed'; readonly failure: Failure | null };

/** An attempt that has ended; `span`: null when its orchestration has no trace. */
export type EndedAttempt = {
  readonly item: WorkItem;
  readonly span: SpanIds | null;
  /** Which of the threads. */
  readonly threadIndex: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly end: AttemptEnd;
};

const FAILED = '{"kind":"ActivityFailed"';

const brokenSinks = new WeakSet<object>();

/** Tells a sink what ended. */
export class Traces {
  readonly #sink: Pick<TraceSink, 'record'>;

  /**
   * @param sink - gets the spans
   */
  constructor(sink: Pick<TraceSink, 'record'>) {
    this.#sink = sink;
  }

  /** E1: a turn was committed. */
  committed(item: OrchestrationItem, result: ReplayResult): void {
    const ended = outcomeOf(result);
    if (ended === null) return;
    const { instanceId, executionId, name } = item;
    for (const span of result.effects?.spans ?? []) {
      this.#record({ kind: 'orchestration', instanceId, executionId, name, version: result.version, ...ended, ...span });
    }
  }

  /** E2. */
  ended({ item, span, threadIndex, startMs, endMs, end }: EndedAttempt): void {
    if (span === null || !isSampled(span)) return;
    const { instanceId, executionId, eventId, name, routing } = item;
    this.#record({
      kind: 'activity',
      instanceId,
      executionId,
      eventId,
      name,
      attempt: item.attempt + attemptsBefore(routing?.extras ?? null),
      tag: routing?.tag ?? null,
      sessionId: routing?.sessionId ?? null,
      thread: `activity-${threadIndex}`,
      startMs,
      endMs,
      ...resultOf(end),
      ...span,
    });
  }

  /** A sink that throws or rejects must not cost a commit: a warning tells of it, once. */
  #record(span: FinishedSpan): void {
    try {
      // One that is async is void to the compiler.
      const done: unknown = this.#sink.record(span);
      if (done instanceof Promise) done.catch((error: unknown) => this.#warn(error));
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (brokenSinks.has(this.#sink)) return;
    brokenSinks.add(this.#sink);
    process.emitWarning(toFailure(error).message, { code: 'DURALOOM_TRACE_SINK', type: 'DuraloomWarning' });
  }
}

/**
 * Makes the span of an attempt.
 *
 * @param execution - the span of its execution
 * @param item - the activity as it was fetched
 * @returns its ids
 */
export function spanOfAttempt(execution: TraceContext, { eventId, lockToken }: WorkItem): SpanIds {
  return spanBelow(execution, `${eventId} ${lockToken}`);
}

/** null: the execution goes on. */
function outcomeOf({ outcome }: ReplayResult): Pick<OrchestrationSpan, 'outcome' | 'failure'> | null {
  switch (outcome.kind) {
    case 'completed':
    case 'continuedAsNew':
      return { outcome: outcome.kind, failure: null };
    case 'failed':
    case 'cancelled':
      return { outcome: outcome.kind, failure: parseRecord(outcome.failure) as Failure };
    case 'waiting':
    case 'notRegistered':
    case 'faulted':
      return null;
  }
}

function resultOf(end: AttemptEnd): Pick<ActivitySpan, 'outcome' | 'failure'> {
  switch (end.kind) {
    case 'answered':
      // A result may be large, and says nothing here.
      if (!end.completionPayload.startsWith(FAILED)) return { outcome: 'completed', failure: null };
      return { outcome: 'failed', failure: (parseRecord(end.completionPayload) as { readonly failure: Failure }).failure };
    case 'recorded':
      return { outcome: 'completed', failure: null };
    case 'lost':
      return { outcome: 'lost', failure: null };
    case 'failed':
    case 'crashed':
      return { outcome: end.kind, failure: end.failure };
  }
}

function attemptsBefore(extras: string | null): number {
  return extras === null ? 0 : (parseRecord(extras) as ActivityExtras).attempt - 1;
}
