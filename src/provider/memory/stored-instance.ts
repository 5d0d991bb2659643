// One instance in memory and the rules of its message queue. Neighbours: memory-provider.ts changes instances, ready-order.ts sorts them.
//
// I1. `readyAtMs`: null when there is nothing to fetch or the instance takes no turns (suspended, quarantined, ended); while it is locked,
//     the expiry of the lock; else the earliest visible time of its messages, but not before `holdUntilMs`.
// I2. Locked means: there is a token and `readyAtMs` lies in the future. An expired lock needs no clean-up, it is just not a lock any more.
// I3. Messages lie in the order in which they are handed out: the start message of the execution, then by visible time. Immediate messages
//     keep the order in which they came also when the clock was set back, and are visible from then on whatever the clock says.
import type { InstanceRecord } from '../../types/instance.ts';
import { MAX_MESSAGES_PER_TURN } from '../../types/limits.ts';
import type { HistoryPage, NewInstance, NewTimer } from '../provider.ts';

/** A message on the queue of an instance. */
export type StoredMessage = {
  readonly messageId: number;
  readonly payload: string;
  /** Sorts the messages (I3); equal ones lie in the order in which they came. */
  readonly orderMs: number;
  readonly visibleAtMs: number;
  /** Event of the timer; null: an immediate message. */
  readonly timerEventId: number | null;
  /** How often it was handed out. */
  attempt: number;
};

/** An instance with all that belongs to it but its work items. */
export type StoredInstance = {
  record: InstanceRecord;
  /** Histories by execution id. */
  readonly pages: Map<number, HistoryPage[]>;
  messages: StoredMessage[];
  lastMessageId: number;
  /** `orderMs` of the latest immediate message. */
  lastOrderMs: number;
  readyAtMs: number | null;
  heapIndex: number;
  /** Set when the lock was given back with a delay: not even new messages are handed out before. */
  holdUntilMs: number;
  lockToken: string | null;
  /** What was handed out with the token. */
  handedOut: readonly StoredMessage[];
};

/**
 * Makes an instance with its start message.
 *
 * @param start - the instance as its starter wants it
 * @param nowMs - the time, epoch milliseconds
 * @returns the instance, not yet ready
 */
export function createInstance(start: NewInstance, nowMs: number): StoredInstance {
  const { instanceId, name, version, parentInstanceId } = start;
  const instance: StoredInstance = {
    record: {
      instanceId,
      name,
      version,
      status: 'Pending',
      executionId: 1,
      lastEventId: 0,
      output: null,
      customStatus: null,
      customStatusVersion: 0,
      parentInstanceId,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
    },
    pages: new Map(),
    messages: [],
    lastMessageId: 0,
    lastOrderMs: Number.NEGATIVE_INFINITY,
    readyAtMs: null,
    heapIndex: -1,
    holdUntilMs: Number.NEGATIVE_INFINITY,
    lockToken: null,
    handedOut: [],
  };
  addStartMessage(instance, start.payload, nowMs);
  return instance;
}

/**
 * Adds the message that an execution starts with, before all others.
 *
 * @param instance - whose
 * @param payload - the message
 * @param nowMs - the time, epoch milliseconds
 */
export function addStartMessage(instance: StoredInstance, payload: string, nowMs: number): void {
  instance.lastMessageId += 1;
  const place = { orderMs: Number.NEGATIVE_INFINITY, visibleAtMs: nowMs, timerEventId: null };
  instance.messages.unshift({ messageId: instance.lastMessageId, payload, ...place, attempt: 0 });
}

/**
 * Adds a message that is visible at once.
 *
 * @param instance - whose
 * @param payload - the message
 * @param nowMs - the time, epoch milliseconds
 */
export function addImmediateMessage(instance: StoredInstance, payload: string, nowMs: number): void {
  instance.lastOrderMs = Math.max(instance.lastOrderMs, nowMs);
  insert(instance, { payload, orderMs: instance.lastOrderMs, visibleAtMs: nowMs, timerEventId: null });
}

/**
 * Adds a timer.
 *
 * @param instance - whose
 * @param timer - when, what, and by which event it can be dropped
 */
export function addTimer(instance: StoredInstance, timer: NewTimer): void {
  const { payload, visibleAtMs, eventId } = timer;
  insert(instance, { payload, orderMs: visibleAtMs, visibleAtMs, timerEventId: eventId });
}

/**
 * Removes timers, due ones too.
 *
 * @param instance - whose
 * @param isDropped - which, by their event; all belong to the current execution
 */
export function dropTimers(instance: StoredInstance, isDropped: (eventId: number) => boolean): void {
  instance.messages = instance.messages.filter(({ timerEventId }) => timerEventId === null || !isDropped(timerEventId));
}

/**
 * Reads the messages of the next turn.
 *
 * @param instance - whose
 * @param nowMs - the time, epoch milliseconds
 * @returns the visible messages in order, `MAX_MESSAGES_PER_TURN` at most
 */
export function visibleMessages(instance: StoredInstance, nowMs: number): readonly StoredMessage[] {
  const isVisible = (message: StoredMessage): boolean => message.timerEventId === null || message.visibleAtMs <= nowMs;
  return instance.messages.filter(isVisible).slice(0, MAX_MESSAGES_PER_TURN);
}

/**
 * Tells whether messages lead to turns.
 *
 * @param instance - which
 * @returns true for Pending and Running
 */
export function takesTurns({ record }: StoredInstance): boolean {
  return record.status === 'Pending' || record.status === 'Running';
}

/**
 * Computes the ready time of an instance that is not locked (I1).
 *
 * @param instance - which
 * @param nowMs - the time, epoch milliseconds
 * @returns the time, epoch milliseconds; null when there is nothing to fetch
 */
export function computeReadyAtMs(instance: StoredInstance, nowMs: number): number | null {
  if (!takesTurns(instance) || instance.messages.length === 0) return null;
  let earliestMs = Number.POSITIVE_INFINITY;
  for (const { visibleAtMs } of instance.messages) earliestMs = Math.min(earliestMs, visibleAtMs);
  // Never before now: an instance that had its turn goes behind those that wait, however old its backlog is (T50).
  return Math.max(earliestMs, instance.holdUntilMs, nowMs);
}

/**
 * Tells whether an instance or work item is locked (I2).
 *
 * @param entry - which
 * @param nowMs - the time, epoch milliseconds
 * @returns true until the lock is released or expires
 */
export function isLocked(entry: Lockable, nowMs: number): boolean {
  return entry.lockToken !== null && entry.readyAtMs !== null && entry.readyAtMs > nowMs;
}

/** What can be locked. While it is, `readyAtMs` is the expiry of the lock. */
export type Lockable = { readonly lockToken: string | null; readonly readyAtMs: number | null };

function insert(instance: StoredInstance, message: Omit<StoredMessage, 'messageId' | 'attempt'>): void {
  instance.lastMessageId += 1;
  const index = instance.messages.findLastIndex((other) => other.orderMs <= message.orderMs) + 1;
  instance.messages.splice(index, 0, { ...message, messageId: instance.lastMessageId, attempt: 0 });
}
