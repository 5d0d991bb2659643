// One execution on a time axis: what ran when, beside what, and how it ended. Pure data for a waterfall, whoever draws it.
// Neighbours: replay/trace.ts (what became of each decision), lanes.ts, mermaid.ts and report.ts (which draw it).
//
// T1. A span begins with a decision and ends with the event that answered it or gave it up; one without such an event is open.
// T2. Spans of one lane do not overlap: a lane is free again after the event that ended its span. Lanes are as few as possible.
// T3. Attempts of a retry policy are one span. The pause between two is part of it once the next attempt is there; until then it is a timer like
//     others: history does not say what a timer is for.
import { traceHistory, type TracedWait } from '../../replay/trace.ts';
import type { AttributeChange } from '../../types/attributes.ts';
import type { Failure } from '../../types/failure.ts';
import type { EventKind, HistoryEvent } from '../../types/history-event.ts';
import { Lanes } from './lanes.ts';

/** How a span ended. */
export type SpanOutcome = 'open' | 'completed' | 'failed' | 'cancelled';

/** When something ran. */
export type SpanTimes = {
  /** The decision that began it. */
  readonly eventId: number;
  /** The event that ended it; null: it is open. */
  readonly endEventId: number | null;
  /** Epoch milliseconds. */
  readonly startMs: number;
  /** Null: it is open. */
  readonly endMs: number | null;
  readonly outcome: SpanOutcome;
};

/** One attempt of an activity. */
export type TimelineAttempt = SpanTimes & {
  /** From 1. */
  readonly attempt: number;
  readonly failure: Failure | null;
};

/** Something that takes time. */
export type TimelineSpan = SpanTimes & {
  /** From 0; spans of one lane do not overlap. */
  readonly lane: number;
} & (
    | {
        readonly kind: 'activity';
        readonly name: string;
        readonly tag: string | null;
        readonly sessionId: string | null;
        /** At least one, in order. */
        readonly attempts: readonly TimelineAttempt[];
        /** Of the last attempt. */
        readonly failure: Failure | null;
      }
    | { readonly kind: 'timer'; readonly fireAtMs: number }
    /** `receivedBy`: the event that brought it, which may have come before the wait; null: it has not come. */
    | { readonly kind: 'event'; readonly name: string; readonly receivedBy: number | null }
    | { readonly kind: 'topic'; readonly pattern: string; readonly receivedBy: number | null }
    | { readonly kind: 'child'; readonly instanceId: string; readonly name: string; readonly failure: Failure | null }
  );

/** Something that happens at one point in time. */
export type TimelineMark = {
  readonly eventId: number;
  readonly atMs: number;
} &
  /** `untilMs`: when the next one replaced it; null: it holds. */
  (
    | { readonly kind: 'status'; readonly status: unknown; readonly untilMs: number | null }
    | { readonly kind: 'value'; readonly key: string; readonly value: unknown; readonly untilMs: number | null }
    | { readonly kind: 'valueDeleted'; readonly key: string }
    /** Search attributes; null removes. */
    | { readonly kind: 'attributes'; readonly change: AttributeChange }
    | { readonly kind: 'received'; readonly name: string }
    | { readonly kind: 'topicReceived' | 'published'; readonly topic: string }
    | { readonly kind: 'subscribed' | 'unsubscribed'; readonly pattern: string }
    | { readonly kind: 'sent'; readonly sessionId: string }
    | { readonly kind: 'detached'; readonly name: string; readonly instanceId: string }
    | { readonly kind: 'patched'; readonly patchId: string }
    | { readonly kind: 'cancelRequested'; readonly reason: string }
  );

/** How an execution ended. `pending`: it has no event yet. */
export type TimelineOutcome = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled' | 'continuedAsNew';

/** One execution on a time axis. */
export type Timeline = {
  readonly outcome: TimelineOutcome;
  /** Of an execution that failed. */
  readonly failure: Failure | null;
  /** Time of the first and of the last event, epoch milliseconds; null: there is none. */
  readonly startMs: number | null;
  readonly endMs: number | null;
  /** In the order of their first events. */
  readonly spans: readonly TimelineSpan[];
  readonly marks: readonly TimelineMark[];
  /** How many lanes the spans take. */
  readonly laneCount: number;
};

type Mutable<Record> = Record extends unknown ? { -readonly [Name in keyof Record]: Record[Name] } : never;
type Span = Mutable<TimelineSpan>;
type ActivitySpan = Extract<Span, { kind: 'activity' }> & { attempts: TimelineAttempt[] };

/**
 * Puts an execution on a time axis.
 *
 * @param history - a valid history of one execution from its first event; it may end anywhere
 * @returns its spans and marks
 */
export function toTimeline(history: readonly HistoryEvent[]): Timeline {
  const spans = collectSpans(history);
  const last = history.at(-1);
  return {
    outcome: last === undefined ? 'pending' : (OUTCOME_OF_END[last.kind] ?? 'running'),
    failure: last?.kind === 'OrchestrationFailed' ? last.failure : null,
    startMs: history[0]?.atMs ?? null,
    endMs: last?.atMs ?? null,
    spans,
    marks: collectMarks(history),
    laneCount: assignLanes(spans),
  };
}

/** What the last event says; after any other the execution goes on. */
const OUTCOME_OF_END: Readonly<Partial<Record<EventKind, TimelineOutcome>>> = {
  OrchestrationCompleted: 'completed',
  OrchestrationFailed: 'failed',
  OrchestrationCancelled: 'cancelled',
  OrchestrationContinuedAsNew: 'continuedAsNew',
};

function collectSpans(history: readonly HistoryEvent[]): readonly Span[] {
  const spans = new Map<number, Span>();
  const groups = new Map<number, ActivitySpan>();
  for (const wait of traceHistory(history).waits) {
    const { decision, delivery } = wait;
    const times = timesOf(history, wait);
    const failure = failureOf(history, wait);
    switch (decision.kind) {
      case 'activity': {
        const attempt = { ...times, attempt: decision.attempt, failure };
        const before = decision.attempt === 1 ? null : findAttemptBefore(history, decision.eventId);
        const group = before === null ? undefined : groups.get(before.attemptId);
        if (before === null || group?.name !== decision.name || group.attempts.length !== decision.attempt - 1) {
          const { name, tag, sessionId } = decision;
          const span: ActivitySpan = { kind: 'activity', ...times, lane: 0, name, tag, sessionId, attempts: [attempt], failure };
          spans.set(decision.eventId, span);
          groups.set(decision.eventId, span);
          break;
        }
        if (before.pauseId !== null) spans.delete(before.pauseId);
        group.attempts.push(attempt);
        const { endEventId, endMs, outcome } = times;
        Object.assign(group, { endEventId, endMs, outcome, failure });
        groups.set(decision.eventId, group);
        break;
      }
      case 'timer':
        spans.set(decision.eventId, { kind: 'timer', ...times, lane: 0, fireAtMs: decision.fireAtMs });
        break;
      case 'event':
        spans.set(decision.eventId, { kind: 'event', ...times, lane: 0, name: decision.name, receivedBy: delivery?.eventId ?? null });
        break;
      case 'topic':
        spans.set(decision.eventId, { kind: 'topic', ...times, lane: 0, pattern: decision.pattern, receivedBy: delivery?.eventId ?? null });
        break;
      case 'child': {
        const { instanceId, name } = decision;
        spans.set(decision.eventId, { kind: 'child', ...times, lane: 0, instanceId, name, failure });
        break;
      }
    }
  }
  return [...spans.values()];
}

const OUTCOMES = { answered: 'completed', failed: 'failed', cancelled: 'cancelled' } as const;

function timesOf(history: readonly HistoryEvent[], { decision, endedBy, end }: TracedWait): SpanTimes {
  const endMs = endedBy === null ? null : (history[endedBy - 1]?.atMs ?? null);
  return {
    eventId: decision.eventId,
    endEventId: endedBy,
    startMs: decision.sinceMs,
    endMs,
    outcome: end === null ? 'open' : OUTCOMES[end],
  };
}

function failureOf(history: readonly HistoryEvent[], { endedBy }: TracedWait): Failure | null {
  const end = endedBy === null ? undefined : history[endedBy - 1];
  return end?.kind === 'ActivityFailed' || end?.kind === 'SubOrchestrationFailed' ? end.failure : null;
}

/** A policy decides at once: the next attempt follows the failure of the one before, or the timer that followed that failure. */
function findAttemptBefore(
  history: readonly HistoryEvent[],
  eventId: number,
): { readonly attemptId: number; readonly pauseId: number | null } | null {
  const cause = history[eventId - 2];
  if (cause?.kind === 'ActivityFailed') return { attemptId: cause.sourceId, pauseId: null };
  const before = cause?.kind === 'TimerFired' ? history[cause.sourceId - 2] : undefined;
  return cause?.kind === 'TimerFired' && before?.kind === 'ActivityFailed' ? { attemptId: before.sourceId, pauseId: cause.sourceId } : null;
}

/** T2. By events, not by times: what follows within a millisecond does not overlap. */
function assignLanes(spans: readonly Span[]): number {
  const lanes = new Lanes();
  const ending: (number[] | undefined)[] = [];
  let eventId = 1;
  for (const span of spans) {
    for (; eventId < span.eventId; eventId += 1) for (const lane of ending[eventId] ?? []) lanes.release(lane);
    span.lane = lanes.take();
    if (span.endEventId !== null) (ending[span.endEventId] ??= []).push(span.lane);
  }
  return lanes.count;
}

function collectMarks(history: readonly HistoryEvent[]): readonly TimelineMark[] {
  const marks: TimelineMark[] = [];
  const values = new Map<string, { untilMs: number | null }>();
  let status: { untilMs: number | null } | undefined;
  const setStatus = (at: { readonly eventId: number; readonly atMs: number }, value: unknown): void => {
    if (status !== undefined) status.untilMs = at.atMs;
    const mark = { kind: 'status' as const, ...at, status: value, untilMs: null };
    marks.push(mark);
    status = mark;
  };
  const setValue = (at: { readonly eventId: number; readonly atMs: number }, key: string, value: unknown): void => {
    endValue(at.atMs, key);
    const mark = { kind: 'value' as const, ...at, key, value, untilMs: null };
    marks.push(mark);
    values.set(key, mark);
  };
  const endValue = (atMs: number, key: string): void => {
    const before = values.get(key);
    if (before !== undefined) before.untilMs = atMs;
    values.delete(key);
  };
  for (const event of history) {
    const at = { eventId: event.id, atMs: event.atMs };
    switch (event.kind) {
      case 'OrchestrationStarted':
        if (event.customStatus !== undefined) setStatus(at, event.customStatus);
        for (const { key, value } of event.values ?? []) setValue(at, key, value);
        break;
      case 'CustomStatusSet':
        setStatus(at, event.status);
        break;
      case 'ValueSet':
        setValue(at, event.key, event.value);
        break;
      case 'ValueDeleted':
        endValue(event.atMs, event.key);
        marks.push({ kind: 'valueDeleted', ...at, key: event.key });
        break;
      case 'AttributesSet':
        marks.push({ kind: 'attributes', ...at, change: event.attributes });
        break;
      case 'EventRaised':
        marks.push({ kind: 'received', ...at, name: event.name });
        break;
      case 'TopicReceived':
        marks.push({ kind: 'topicReceived', ...at, topic: event.topic });
        break;
      case 'TopicPublished':
        marks.push({ kind: 'published', ...at, topic: event.topic });
        break;
      case 'TopicSubscribed':
        marks.push({ kind: 'subscribed', ...at, pattern: event.pattern });
        break;
      case 'TopicUnsubscribed':
        marks.push({ kind: 'unsubscribed', ...at, pattern: event.pattern });
        break;
      case 'SessionMessageSent':
        marks.push({ kind: 'sent', ...at, sessionId: event.sessionId });
        break;
      case 'OrchestrationStartRequested':
        marks.push({ kind: 'detached', ...at, name: event.name, instanceId: event.instanceId });
        break;
      case 'Patched':
        marks.push({ kind: 'patched', ...at, patchId: event.patchId });
        break;
      case 'CancelRequested':
        marks.push({ kind: 'cancelRequested', ...at, reason: event.reason });
        break;
      case 'ActivityScheduled':
      case 'ActivityCompleted':
      case 'ActivityFailed':
      case 'TimerCreated':
      case 'TimerFired':
      case 'EventAwaited':
      case 'SubOrchestrationScheduled':
      case 'SubOrchestrationCompleted':
      case 'SubOrchestrationFailed':
      case 'FutureCancelled':
      case 'OrchestrationCompleted':
      case 'OrchestrationFailed':
      case 'OrchestrationCancelled':
      case 'OrchestrationContinuedAsNew':
        break;
    }
  }
  return marks;
}
