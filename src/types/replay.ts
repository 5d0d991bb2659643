// What goes into one turn of an instance and what comes out: the seam between the replay core and everything around it.
import type { StoredAttributes } from './attributes.ts';
import type { EncodedPayload } from './codec.ts';
import type { HistoryEvent, OrchestratorMessage, ParentClosePolicy, StartPolicy } from './history-event.ts';
import { MAX_DURATION_MS, MAX_LIMIT_COUNT } from './limits.ts';
import type { LogLine } from './logger.ts';
import type { MetricPoint } from './metrics.ts';
import type { ExecutionSpan } from './trace.ts';

/** A message with the text it was parsed from: the text becomes the event's text. */
export type ReceivedMessage = { readonly message: OrchestratorMessage; readonly text: string };

/** One turn: the messages that an instance has received. */
export type TurnInput = {
  /** Time of the turn on the store's clock, epoch milliseconds. */
  readonly nowMs: number;
  readonly messages: readonly ReceivedMessage[];
  /** Execution that the instance is at. Default: 1. */
  readonly executionId?: number;
};

/** A limit that activities share by its key, in all runtimes on a store. One of the two is not null. */
export type SharedLimit = {
  readonly key: string;
  /** How many may run at once; null: any number. */
  readonly concurrency: number | null;
  /** How many may begin in a time; null: any number. */
  readonly rate: LimitRate | null;
};

/** So many at once, after that one each `perMs / count`. */
export type LimitRate = { readonly count: number; readonly perMs: number };

/** Where and how an activity is to run, when it is not just anywhere. */
export type ActivityRouting = {
  /** Only runtimes that take this tag run it; null: the default queue. */
  readonly tag: string | null;
  /** All activities of a session run in one runtime, one thread of it, while that lives; null: none. */
  readonly sessionId: string | null;
  /** 0 to 9; each level goes before what became ready up to a minute earlier. */
  readonly priority: number;
  /** How long one attempt may run, in milliseconds; null: no limit. */
  readonly timeoutMs: number | null;
  /** How long it may wait for a runtime to take it, in milliseconds; null: for ever (T37). */
  readonly expiresAfterMs: number | null;
  /** What it shares with others; null: nothing. Not together with a session. */
  readonly limit: SharedLimit | null;
  /** For the activity thread, opaque to the store: encoded `ActivityExtras`; null: none. */
  readonly extras: string | null;
};

/**
 * Checks routing that was stored or sent.
 *
 * @param value - parsed text
 * @returns true when it has all fields, each of its kind
 */
export function isRouting(value: unknown): value is ActivityRouting {
  if (typeof value !== 'object' || value === null) return false;
  const { tag, sessionId, priority, timeoutMs, expiresAfterMs, limit, extras } = value as Partial<Record<keyof ActivityRouting, unknown>>;
  const areTexts = [tag, sessionId, extras].every((text) => text === null || typeof text === 'string');
  const areTimes = [timeoutMs, expiresAfterMs].every((time) => time === null || Number.isFinite(time));
  return areTexts && areTimes && Number.isSafeInteger(priority) && (limit === null || isLimit(limit));
}

function isLimit(value: unknown): value is SharedLimit {
  if (typeof value !== 'object' || value === null) return false;
  const { key, concurrency, rate } = value as Partial<Record<keyof SharedLimit, unknown>>;
  return typeof key === 'string' && (concurrency === null || isCount(concurrency)) && (rate === null || isRate(rate));
}

function isRate(value: unknown): value is LimitRate {
  if (typeof value !== 'object' || value === null) return false;
  const { count, perMs } = value as Partial<Record<keyof LimitRate, unknown>>;
  return isCount(count) && typeof perMs === 'number' && Number.isInteger(perMs) && perMs >= 1 && perMs <= MAX_DURATION_MS;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_LIMIT_COUNT;
}

/** What a retried activity gets besides its input. */
export type ActivityExtras = {
  /** Which attempt of the retry policy, from 1. */
  readonly attempt: number;
  /** Event of the first attempt. */
  readonly firstEventId: number;
  /** Last heartbeat details of the attempt before. */
  readonly heartbeat?: unknown;
};

/** An activity to run. */
export type ScheduledActivity = {
  readonly eventId: number;
  readonly name: string;
  /** With the trace of the execution before it, if it has one (`stamp`). */
  readonly input: EncodedPayload;
  /** null: anywhere, at once, without limits. */
  readonly routing: ActivityRouting | null;
};

/** A timer to arm. */
export type ScheduledTimer = { readonly eventId: number; readonly fireAtMs: number; readonly payload: string };

/** A message to another instance. */
export type OutgoingMessage = { readonly instanceId: string; readonly payload: string };

/** A new instance to start. */
export type OutgoingStart = {
  /** Event that asks for a child; 0: detached. */
  readonly eventId: number;
  readonly instanceId: string;
  readonly name: string;
  readonly version: string | null;
  readonly payload: string;
  /** Message for this instance in case the id is taken (T4); null when nobody needs to know. */
  readonly conflictPayload: string | null;
  readonly isChild: boolean;
  readonly policy: StartPolicy;
  /** Of a child. */
  readonly onParentClose: ParentClosePolicy;
  /** Not before this time, epoch milliseconds; null: at once. */
  readonly startAtMs: number | null;
  /** 0 to 9, see `ActivityRouting`. */
  readonly priority: number;
  /** null: none. */
  readonly attributes: StoredAttributes | null;
};

/** A child to end at once. */
export type Termination = { readonly instanceId: string; readonly eventId: number };

/** What turns ask for now and then: most ask for nothing of it. */
export type TurnEffects = {
  /** All search attributes after the turn; null: unchanged. */
  readonly attributes: StoredAttributes | null;
  /** Key-value pairs to write, null to delete, in order. */
  readonly values: readonly { readonly key: string; readonly value: string | null }[];
  readonly subscriptions: readonly { readonly pattern: string; readonly subscribed: boolean }[];
  /** `payload`: the message for each subscriber. */
  readonly publications: readonly { readonly topic: string; readonly payload: string }[];
  /** `payload`: encoded data. */
  readonly sessionMessages: readonly { readonly sessionId: string; readonly payload: string }[];
  readonly terminations: readonly Termination[];
  readonly metrics: readonly MetricPoint[];
  /** The span of the execution, when it ended in this turn and its trace is recorded. */
  readonly spans: readonly ExecutionSpan[];
};

/** How a turn left its instance. */
export type TurnOutcome =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'completed'; readonly result: EncodedPayload }
  | { readonly kind: 'failed'; readonly failure: string }
  | { readonly kind: 'cancelled'; readonly failure: string }
  /** The next execution starts with this message. */
  | { readonly kind: 'continuedAsNew'; readonly name: string; readonly version: string | null; readonly payload: string }
  /** No such code in this thread; another runtime or a later deploy may have it. Nothing of this turn may be committed. */
  | { readonly kind: 'notRegistered'; readonly failure: string }
  /** The instance cannot go on by itself: its code or history is at fault. Nothing of this turn may be committed. */
  | { readonly kind: 'faulted'; readonly failure: string };

/** Everything that one turn asks for. All of it is committed together, or nothing. */
export type ReplayResult = {
  readonly outcome: TurnOutcome;
  /** Version that runs. */
  readonly version: string;
  /** Id of the first new event. */
  readonly firstEventId: number;
  /** Id of the last event after this turn; `firstEventId - 1` when the turn added none. */
  readonly lastEventId: number;
  /** The new events as JSON text of an array. */
  readonly events: string;
  readonly activities: readonly ScheduledActivity[];
  readonly timers: readonly ScheduledTimer[];
  readonly messages: readonly OutgoingMessage[];
  readonly starts: readonly OutgoingStart[];
  /** Event ids of activities whose work items must go. */
  readonly cancelledActivities: readonly number[];
  /** Event ids of timers that must leave the queue (T33). */
  readonly cancelledTimers: readonly number[];
  /** undefined: unchanged; null: reset. */
  readonly customStatus: string | null | undefined;
  /** How many messages, from the first, were used up. Fewer than given only at continue-as-new: the rest is for the next execution. */
  readonly consumedMessages: number;
  readonly logs: readonly LogLine[];
  /** Size of the lines in all, see `MAX_TURN_LOG_UNITS`, and how many more there were. */
  readonly logUnits: number;
  readonly droppedLogs: number;
  /** null: none of it. */
  readonly effects: TurnEffects | null;
  /** Turns of this execution so far, this one included. */
  readonly turns: number;
};

/** How an instance stands after an event: the same in every engine that has followed its history, or its code depends on something else. */
export type Standing = {
  readonly lastEventId: number;
  /** `waiting`, or how the execution ended. */
  readonly outcome: string;
  /** What may still be answered, in the order of the decisions. */
  readonly waitsFor: readonly string[];
  /** Encoded; null: none. */
  readonly customStatus: string | null;
  readonly values: readonly string[];
  /** Encoded; null: none were ever set. */
  readonly attributes: string | null;
  readonly subscriptions: readonly string[];
  /** Numbers taken from the instance's generator, also by `Math.random` and `crypto`. */
  readonly randomNumbersDrawn: number;
};

/** A parsed history, in order. */
export type History = readonly HistoryEvent[];
