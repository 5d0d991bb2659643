// What became of each decision and of each event from outside, read from the history alone: one pass, no code is run.
// Neighbours: open-decisions.ts (what is still open); src/surfaces/views draws the rest.
import type { HistoryEvent } from '../types/history-event.ts';
import { TOPIC_MAILBOX_PREFIX } from '../types/names.ts';
import { matchesTopic } from '../types/topics.ts';
import { Mailbox } from './mailbox.ts';

/** What an orchestration waits for. */
export type OpenDecision = {
  /** The event that began it. */
  readonly eventId: number;
  /** Time of that event, epoch milliseconds. */
  readonly sinceMs: number;
} & (
  | {
      readonly kind: 'activity';
      readonly name: string;
      /** Attempt of a retry policy, from 1. */
      readonly attempt: number;
      readonly tag: string | null;
      readonly sessionId: string | null;
    }
  | { readonly kind: 'timer'; readonly fireAtMs: number }
  | { readonly kind: 'event'; readonly name: string }
  | { readonly kind: 'topic'; readonly pattern: string }
  | { readonly kind: 'child'; readonly instanceId: string; readonly name: string }
);

/** A decision that waits for an answer, and what ended it. */
export type TracedWait = {
  readonly decision: OpenDecision;
  /** Event that answered it or gave it up. An awaited event that was there already ends with its own event. Null: it is open. */
  readonly endedBy: number | null;
  readonly end: 'answered' | 'failed' | 'cancelled' | null;
  /** For an event or a topic that was answered: what it took. */
  readonly delivery: TracedDelivery | null;
};

/** An event from outside in a mailbox of this execution. A message of a topic is in one mailbox for each pattern that it matches. */
export type TracedDelivery = {
  /** The event that brought it; 1 for one that the execution before left unread. */
  readonly eventId: number;
  readonly atMs: number;
  readonly source: { readonly kind: 'event'; readonly name: string } | { readonly kind: 'topic'; readonly pattern: string };
  readonly data: unknown;
  /** Event at which it was taken, or dropped with its subscription; null: it is unread. */
  readonly goneBy: number | null;
  /** The decision that took it; null: none. */
  readonly takenBy: number | null;
};

/** What became of everything that waits or is waited for, both in the order of their events. */
export type Trace = { readonly waits: readonly TracedWait[]; readonly deliveries: readonly TracedDelivery[] };

type Mutable<Record> = { -readonly [Name in keyof Record]: Record[Name] };

/**
 * Traces an execution.
 *
 * @param events - a valid history from its first event; it may end anywhere
 * @returns its waits and deliveries
 */
export function traceHistory(events: readonly HistoryEvent[]): Trace {
  const tracer = new Tracer(new Set(events.flatMap((event) => (event.kind === 'FutureCancelled' ? [event.sourceId] : []))));
  for (const event of events) tracer.apply(event);
  return tracer;
}

class Tracer implements Trace {
  readonly waits: Mutable<TracedWait>[] = [];
  readonly deliveries: Mutable<TracedDelivery>[] = [];
  readonly #open = new Map<number, Mutable<TracedWait>>();
  readonly #mailbox = new Mailbox<Mutable<TracedWait>>();
  readonly #patterns = new Set<string>();
  readonly #cancelled: ReadonlySet<number>;

  constructor(cancelled: ReadonlySet<number>) {
    this.#cancelled = cancelled;
  }

  apply(event: HistoryEvent): void {
    switch (event.kind) {
      case 'OrchestrationStarted':
        for (const { name, data } of event.carried ?? []) this.#arrive(event, name, data);
        for (const pattern of event.subscriptions ?? []) this.#patterns.add(pattern);
        break;
      case 'ActivityScheduled': {
        const { name, attempt = 1, tag = null, sessionId = null } = event;
        this.#begin({ kind: 'activity', eventId: event.id, sinceMs: event.atMs, name, attempt, tag, sessionId });
        break;
      }
      case 'TimerCreated':
        this.#begin({ kind: 'timer', eventId: event.id, sinceMs: event.atMs, fireAtMs: event.fireAtMs });
        break;
      case 'SubOrchestrationScheduled': {
        const { name, instanceId } = event;
        this.#begin({ kind: 'child', eventId: event.id, sinceMs: event.atMs, instanceId, name });
        break;
      }
      case 'EventAwaited':
        this.#await(event);
        break;
      case 'EventRaised':
        this.#arrive(event, event.name, event.data);
        break;
      case 'TopicReceived':
        for (const pattern of this.#patterns) if (matchesTopic(pattern, event.topic)) this.#arrive(event, mailboxOf(pattern), event.data);
        break;
      case 'TopicSubscribed':
        this.#patterns.add(event.pattern);
        break;
      case 'TopicUnsubscribed':
        this.#patterns.delete(event.pattern);
        for (let unread = this.#take(mailboxOf(event.pattern)); unread !== undefined; unread = this.#take(mailboxOf(event.pattern)))
          unread.goneBy = event.id;
        break;
      case 'ActivityCompleted':
      case 'TimerFired':
      case 'SubOrchestrationCompleted':
        this.#finish(event.sourceId, event.id, 'answered');
        break;
      case 'ActivityFailed':
      case 'SubOrchestrationFailed':
        this.#finish(event.sourceId, event.id, 'failed');
        break;
      case 'FutureCancelled':
        this.#finish(event.sourceId, event.id, 'cancelled');
        break;
      case 'CancelRequested':
      case 'OrchestrationStartRequested':
      case 'CustomStatusSet':
      case 'ValueSet':
      case 'ValueDeleted':
      case 'AttributesSet':
      case 'TopicPublished':
      case 'SessionMessageSent':
      case 'Patched':
      case 'OrchestrationCompleted':
      case 'OrchestrationFailed':
      case 'OrchestrationCancelled':
      case 'OrchestrationContinuedAsNew':
        break;
    }
  }

  #begin(decision: OpenDecision): Mutable<TracedWait> {
    const wait: Mutable<TracedWait> = { decision, endedBy: null, end: null, delivery: null };
    this.waits.push(wait);
    this.#open.set(decision.eventId, wait);
    return wait;
  }

  #finish(sourceId: number, endedBy: number, end: 'answered' | 'failed' | 'cancelled'): void {
    const wait = this.#open.get(sourceId);
    if (wait === undefined) return;
    this.#open.delete(sourceId);
    wait.endedBy = endedBy;
    wait.end = end;
  }

  #await({ id, atMs, name }: Extract<HistoryEvent, { kind: 'EventAwaited' }>): void {
    const early = this.#take(name);
    const wait = this.#begin({ eventId: id, sinceMs: atMs, ...sourceOf(name) });
    if (early !== undefined) this.#hand(early, wait, id);
    // What is given up later took nothing (H3). One event may end it before the message of that same event gets to it: a message of two topics
    // that race.
    else if (!this.#cancelled.has(id)) this.#mailbox.wait(name, wait);
  }

  #arrive({ id, atMs }: HistoryEvent, name: string, data: unknown): void {
    const delivery: Mutable<TracedDelivery> = { eventId: id, atMs, source: sourceOf(name), data, goneBy: null, takenBy: null };
    this.deliveries.push(delivery);
    const wait = this.#mailbox.raise(name, delivery);
    if (wait !== null) this.#hand(delivery, wait, id);
  }

  #take(name: string): Mutable<TracedDelivery> | undefined {
    return this.#mailbox.take(name)?.data as Mutable<TracedDelivery> | undefined;
  }

  /** At the event that brings the two together. */
  #hand(delivery: Mutable<TracedDelivery>, wait: Mutable<TracedWait>, eventId: number): void {
    delivery.goneBy = eventId;
    delivery.takenBy = wait.decision.eventId;
    wait.delivery = delivery;
    this.#finish(wait.decision.eventId, eventId, 'answered');
  }
}

function mailboxOf(pattern: string): string {
  return `${TOPIC_MAILBOX_PREFIX}${pattern}`;
}

function sourceOf(mailbox: string): TracedDelivery['source'] {
  return mailbox.startsWith(TOPIC_MAILBOX_PREFIX)
    ? { kind: 'topic', pattern: mailbox.slice(TOPIC_MAILBOX_PREFIX.length) }
    : { kind: 'event', name: mailbox };
}
