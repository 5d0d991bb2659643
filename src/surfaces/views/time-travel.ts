// What an orchestration knew and waited for after each event of its history: for a slider, without running its code.
// Neighbour: replay/trace.ts (what became of each decision and each event from outside).
//
// S1. One pass notes from which event to which everything held; a moment is what holds at its event. So any moment costs about the same,
//     forwards and backwards, and nothing is kept for each of them.
import { traceHistory, type OpenDecision, type Trace, type TracedDelivery, type TracedWait } from '../../replay/trace.ts';
import type { Attributes, AttributeValue } from '../../types/attributes.ts';
import { ArgumentError } from '../../types/errors.ts';
import type { Failure } from '../../types/failure.ts';
import { EVENT_ROLES, type CarriedValue, type HistoryEvent } from '../../types/history-event.ts';
import type { ExecutionStatus } from '../../types/instance.ts';
import { show } from '../../types/show.ts';

/** Something that the orchestration waits for. */
export type MomentWait = OpenDecision & {
  /** How long it has waited at that moment, in milliseconds. */
  readonly forMs: number;
};

/** An event from outside that nothing has taken yet. */
export type MomentUnread = Pick<TracedDelivery, 'eventId' | 'atMs' | 'source' | 'data'>;

/** An answer that has come. */
export type MomentResult = {
  /** The event that brought it, or for an event that was there already, the decision that took it. */
  readonly eventId: number;
  readonly atMs: number;
  readonly decision: OpenDecision;
} & ({ readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly failure: Failure });

/** How an execution stands after one event. */
export type Moment = {
  /** 0: before its first event. */
  readonly eventId: number;
  /** Null before the first event. */
  readonly event: HistoryEvent | null;
  /** Time of the event, epoch milliseconds. */
  readonly atMs: number | null;
  readonly status: Extract<ExecutionStatus, 'Pending' | 'Running' | 'Completed' | 'Failed' | 'Cancelled' | 'ContinuedAsNew'>;
  readonly customStatus: unknown;
  /** Search attributes, in the order of their keys. */
  readonly attributes: Attributes;
  /** Key-value pairs in the order of their keys. */
  readonly values: readonly CarriedValue[];
  /** In the order in which the code asked. */
  readonly waitingFor: readonly MomentWait[];
  /** Events and messages that have come and that nothing has taken, oldest first. */
  readonly unread: readonly MomentUnread[];
  /** Answers so far, oldest first. */
  readonly results: readonly MomentResult[];
  /** Topic patterns. */
  readonly subscriptions: readonly string[];
  /** Reason of the request to cancel; null: there was none. */
  readonly cancelRequested: string | null;
  readonly lastDecision: HistoryEvent | null;
};

type Attribute = { readonly key: string; readonly value: AttributeValue };

/** The moments of one execution. */
export interface TimeTravel {
  /** Id of the last event; 0: there is none. */
  readonly lastEventId: number;

  /**
   * Shows the execution after an event.
   *
   * @param eventId - 0 to `lastEventId`
   * @throws {ArgumentError} for another number
   */
  at(eventId: number): Moment;
}

/** Holds from one event to another; null: to the end. */
type Held<Value> = { readonly value: Value; readonly from: number; until: number | null };

/**
 * Makes the moments of an execution.
 *
 * @param history - a valid history of one execution from its first event; it may end anywhere
 * @returns the moments
 */
export function toTimeTravel(history: readonly HistoryEvent[]): TimeTravel {
  return new Travel(history);
}

class Travel implements TimeTravel {
  readonly lastEventId: number;
  readonly #history: readonly HistoryEvent[];
  readonly #trace: Trace;
  readonly #results: readonly MomentResult[];
  readonly #attributes: readonly Held<Attribute>[];
  readonly #values: readonly Held<CarriedValue>[];
  readonly #subscriptions: readonly Held<string>[];

  constructor(history: readonly HistoryEvent[]) {
    this.#history = history;
    this.lastEventId = history.length;
    this.#trace = traceHistory(history);
    this.#results = collectResults(history, this.#trace.waits);
    const { attributes, values, subscriptions } = collectState(history);
    this.#attributes = attributes;
    this.#values = values;
    this.#subscriptions = subscriptions;
  }

  at(eventId: number): Moment {
    if (!Number.isInteger(eventId) || eventId < 0 || eventId > this.lastEventId) {
      throw new ArgumentError(`Expected an event id from 0 to ${this.lastEventId}, got ${show(eventId)}`);
    }
    const event = this.#history[eventId - 1] ?? null;
    const atMs = event?.atMs ?? null;
    const status = statusAfter(event);
    return {
      eventId,
      event,
      atMs,
      status,
      customStatus: this.#customStatus(eventId),
      attributes: Object.fromEntries(
        heldAt(this.#attributes, eventId)
          .toSorted(byKey)
          .map(({ key, value }) => [key, value]),
      ),
      values: heldAt(this.#values, eventId).toSorted(byKey),
      waitingFor: status === 'Running' ? this.#waitingFor(eventId, atMs ?? 0) : [],
      unread: this.#unread(eventId),
      results: this.#results.slice(0, countUpTo(this.#results, eventId)),
      subscriptions: heldAt(this.#subscriptions, eventId),
      cancelRequested: this.#cancelRequested(eventId),
      lastDecision: this.#findLast(eventId, ({ kind }) => EVENT_ROLES[kind] === 'decision'),
    };
  }

  #customStatus(eventId: number): unknown {
    const set = this.#findLast(eventId, ({ kind }) => kind === 'CustomStatusSet' || kind === 'OrchestrationStarted');
    if (set?.kind === 'CustomStatusSet') return set.status;
    return set?.kind === 'OrchestrationStarted' ? set.customStatus : undefined;
  }

  #cancelRequested(eventId: number): string | null {
    const request = this.#findLast(eventId, ({ kind }) => kind === 'CancelRequested');
    return request?.kind === 'CancelRequested' ? request.reason : null;
  }

  #waitingFor(eventId: number, nowMs: number): readonly MomentWait[] {
    const waiting: MomentWait[] = [];
    for (const { decision, endedBy } of this.#trace.waits) {
      if (decision.eventId > eventId) break;
      if (endedBy === null || endedBy > eventId) waiting.push({ ...decision, forMs: nowMs - decision.sinceMs });
    }
    return waiting;
  }

  #unread(upTo: number): readonly MomentUnread[] {
    const unread: MomentUnread[] = [];
    for (const { eventId, atMs, source, data, goneBy } of this.#trace.deliveries) {
      if (eventId > upTo) break;
      if (goneBy === null || goneBy > upTo) unread.push({ eventId, atMs, source, data });
    }
    return unread;
  }

  #findLast(eventId: number, matches: (event: HistoryEvent) => boolean): HistoryEvent | null {
    for (let index = eventId - 1; index >= 0; index -= 1) {
      const event = this.#history[index];
      if (event !== undefined && matches(event)) return event;
    }
    return null;
  }
}

function statusAfter(event: HistoryEvent | null): Moment['status'] {
  if (event === null) return 'Pending';
  if (EVENT_ROLES[event.kind] !== 'terminal') return 'Running';
  return event.kind.slice('Orchestration'.length) as Moment['status'];
}

function collectResults(history: readonly HistoryEvent[], waits: readonly TracedWait[]): readonly MomentResult[] {
  const results: MomentResult[] = [];
  for (const { decision, endedBy, delivery } of waits) {
    const event = endedBy === null ? undefined : history[endedBy - 1];
    if (event === undefined || event.kind === 'FutureCancelled') continue;
    const base = { eventId: event.id, atMs: event.atMs, decision };
    if (event.kind === 'ActivityFailed' || event.kind === 'SubOrchestrationFailed') {
      results.push({ ...base, ok: false, failure: event.failure });
    } else {
      results.push({ ...base, ok: true, value: delivery === null && 'result' in event ? event.result : delivery?.data });
    }
  }
  return results.toSorted((left, right) => left.eventId - right.eventId);
}

function collectState(history: readonly HistoryEvent[]): {
  readonly attributes: readonly Held<Attribute>[];
  readonly values: readonly Held<CarriedValue>[];
  readonly subscriptions: readonly Held<string>[];
} {
  const attributes = new Holder<Attribute>();
  const values = new Holder<CarriedValue>();
  const subscriptions = new Holder<string>();
  for (const event of history) {
    if (event.kind === 'OrchestrationStarted') {
      for (const [key, value] of Object.entries(event.attributes ?? {})) attributes.hold(key, { key, value }, event.id);
      for (const value of event.values ?? []) values.hold(value.key, value, event.id);
      for (const pattern of event.subscriptions ?? []) subscriptions.hold(pattern, pattern, event.id);
    }
    if (event.kind === 'AttributesSet') {
      for (const [key, value] of Object.entries(event.attributes)) {
        if (value === null) attributes.end(key, event.id);
        else attributes.hold(key, { key, value }, event.id);
      }
    }
    if (event.kind === 'ValueSet') values.hold(event.key, { key: event.key, value: event.value, updatedAtMs: event.atMs }, event.id);
    if (event.kind === 'ValueDeleted') values.end(event.key, event.id);
    if (event.kind === 'TopicSubscribed') subscriptions.hold(event.pattern, event.pattern, event.id);
    if (event.kind === 'TopicUnsubscribed') subscriptions.end(event.pattern, event.id);
  }
  return { attributes: attributes.held, values: values.held, subscriptions: subscriptions.held };
}

/** What holds from event to event; a name holds one value at a time. */
class Holder<Value> {
  readonly held: Held<Value>[] = [];
  readonly #current = new Map<string, Held<Value>>();

  hold(name: string, value: Value, eventId: number): void {
    this.end(name, eventId);
    const held: Held<Value> = { value, from: eventId, until: null };
    this.held.push(held);
    this.#current.set(name, held);
  }

  end(name: string, eventId: number): void {
    const held = this.#current.get(name);
    if (held !== undefined) held.until = eventId;
    this.#current.delete(name);
  }
}

function heldAt<Value>(all: readonly Held<Value>[], eventId: number): readonly Value[] {
  const found: Value[] = [];
  for (const { value, from, until } of all) {
    if (from > eventId) break;
    if (until === null || until > eventId) found.push(value);
  }
  return found;
}

/** As `ctx.kv` lists them (V1), and attributes are (A1). */
function byKey(left: { readonly key: string }, right: { readonly key: string }): number {
  if (left.key === right.key) return 0;
  return left.key < right.key ? -1 : 1;
}

/** How many results came up to an event. */
function countUpTo(results: readonly MomentResult[], eventId: number): number {
  let [low, high] = [0, results.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((results[middle]?.eventId ?? 0) <= eventId) low = middle + 1;
    else high = middle;
  }
  return low;
}
