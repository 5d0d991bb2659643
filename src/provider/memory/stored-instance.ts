// One instance in memory and the rules of its message queue. Neighbours: instances.ts keeps all instances, turns.ts and control.ts change them.
//
// I1. The ready time of an instance: null when there is nothing to fetch or it takes no turns (suspended, quarantined, ended); while it is
//     locked, the expiry of the lock; else the earliest visible time of its messages, but not before `holdUntilMs`.
// I2. Locked means: there is a token and `readyAtMs` lies in the future. An expired lock needs no clean-up, it is just not a lock any more.
// I3. Messages lie in the order in which they are handed out: the start message of the execution, then by visible time. Immediate messages
//     keep the order in which they came also when the clock was set back, and are visible from then on whatever the clock says.
// I4. `queuedKeys` are the keys of `messages`: among them no key is twice.
import { encodeRecord } from '../../types/codec.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import { MAX_MESSAGES_PER_TURN } from '../../types/limits.ts';
import { PRIORITY_HEAD_START_MS } from '../provider.ts';
import type { ExecutionRecord, StoredAttribute } from '../management.ts';
import type { HistoryPage, InstanceCode, NewInstance, NewTimer, StoredValue } from '../provider.ts';
import type { Grouped } from './ready-groups.ts';

/** A message on the queue of an instance. */
export type StoredMessage = {
  readonly messageId: number;
  readonly payload: string;
  /** The sender's name for it; undefined: none. */
  readonly key: string | undefined;
  /** Sorts the messages (I3); equal ones lie in the order in which they came. */
  readonly orderMs: number;
  readonly visibleAtMs: number;
  /** Event of the timer; null: an immediate message. */
  readonly timerEventId: number | null;
  /** How often it was handed out. */
  attempt: number;
};

/** An instance with all that belongs to it but its work items and subscriptions. */
export type StoredInstance = Grouped & {
  /** Message for its parent, should it be replaced while it lives; null: none. */
  readonly parentNotice: string | null;
  /** The execution that it began with: 1, or more when it replaced another instance. */
  readonly firstExecutionId: number;
  /** Place in the order of starts. */
  readonly sequence: number;
  record: InstanceRecord;
  attributes: readonly StoredAttribute[];
  /** The code that its next turn needs; `group` names the same. Change both with `setCode`. */
  code: InstanceCode;
  group: string;
  /** Executions that continued as new, oldest first. */
  past: readonly ExecutionRecord[];
  /** Histories by execution id. */
  readonly pages: Map<number, HistoryPage[]>;
  readonly values: Map<string, StoredValue>;
  messages: StoredMessage[];
  readonly queuedKeys: Set<string>;
  lastMessageId: number;
  /** `orderMs` of the latest immediate message. */
  lastOrderMs: number;
  /** Set when the start is delayed or the lock was given back with a delay: not even new messages are handed out before. */
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
 * @param place - number of its first execution, and its place in the order of starts
 * @returns the instance, not yet ready
 */
export function createInstance(
  start: NewInstance,
  nowMs: number,
  { executionId, sequence }: { readonly executionId: number; readonly sequence: number },
): StoredInstance {
  const { instanceId, name, version, parent, onParentClose, priority } = start;
  const startAtMs = Math.max(start.startAtMs ?? nowMs, nowMs + start.delayMs);
  const instance: StoredInstance = {
    sequence,
    record: {
      instanceId,
      name,
      version,
      status: 'Pending',
      executionId,
      lastEventId: 0,
      output: null,
      customStatus: null,
      customStatusVersion: 0,
      attributes: start.attributes?.text ?? null,
      parent,
      onParentClose,
      priority,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      endedAtMs: null,
    },
    attributes: start.attributes?.list ?? [],
    past: [],
    code: { name, version, engine: 0 },
    parentNotice: start.parentNotice,
    firstExecutionId: executionId,
    group: '',
    home: null,
    pages: new Map(),
    values: new Map(),
    messages: [],
    queuedKeys: new Set(),
    lastMessageId: 0,
    lastOrderMs: Number.NEGATIVE_INFINITY,
    readyAtMs: null,
    heapIndex: -1,
    holdUntilMs: startAtMs > nowMs ? startAtMs : Number.NEGATIVE_INFINITY,
    lockToken: null,
    handedOut: [],
  };
  setCode(instance, instance.code);
  addStartMessage(instance, start.payload, nowMs);
  return instance;
}

/**
 * Notes which code the next turn needs.
 *
 * @param instance - whose
 * @param code - the code
 */
export function setCode(instance: StoredInstance, code: InstanceCode): void {
  instance.code = code;
  instance.group = encodeRecord([code.name, code.version, code.engine]);
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
  const place = { key: undefined, orderMs: Number.NEGATIVE_INFINITY, visibleAtMs: nowMs, timerEventId: null };
  instance.messages.unshift({ messageId: instance.lastMessageId, payload, ...place, attempt: 0 });
}

/**
 * Adds a message that is visible at once.
 *
 * @param instance - whose
 * @param message - the message; its key is not queued
 * @param nowMs - the time, epoch milliseconds
 */
export function addImmediateMessage(
  instance: StoredInstance,
  { payload, key }: { readonly payload: string; readonly key?: string },
  nowMs: number,
): void {
  instance.lastOrderMs = Math.max(instance.lastOrderMs, nowMs);
  insert(instance, { payload, key, orderMs: instance.lastOrderMs, visibleAtMs: nowMs, timerEventId: null });
  if (key !== undefined) instance.queuedKeys.add(key);
}

/**
 * Adds a timer.
 *
 * @param instance - whose
 * @param timer - when, what, and by which event it can be dropped
 */
export function addTimer(instance: StoredInstance, timer: NewTimer): void {
  const { payload, visibleAtMs, eventId } = timer;
  insert(instance, { payload, key: undefined, orderMs: visibleAtMs, visibleAtMs, timerEventId: eventId });
}

/**
 * Removes messages.
 *
 * @param instance - whose
 * @param isRemoved - which
 */
export function removeMessages(instance: StoredInstance, isRemoved: (message: StoredMessage) => boolean): void {
  instance.messages = instance.messages.filter((message) => {
    if (!isRemoved(message)) return true;
    if (message.key !== undefined) instance.queuedKeys.delete(message.key);
    return false;
  });
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
  for (const { timerEventId, visibleAtMs } of instance.messages) {
    earliestMs = Math.min(earliestMs, timerEventId === null ? Number.NEGATIVE_INFINITY : visibleAtMs);
  }
  // Never before now: an instance that had its turn goes behind those that wait, however old its backlog is (T50).
  return withHeadStart(Math.max(earliestMs, instance.holdUntilMs), instance.record.priority, nowMs);
}

/**
 * Places something in the ready order by its priority.
 *
 * @param visibleAtMs - from when on it can be fetched, epoch milliseconds
 * @param priority - 0 to 9
 * @param nowMs - the time, epoch milliseconds
 * @returns the ready time, epoch milliseconds: only what is visible already has a head start
 */
export function withHeadStart(visibleAtMs: number, priority: number, nowMs: number): number {
  return visibleAtMs > nowMs ? visibleAtMs : nowMs - priority * PRIORITY_HEAD_START_MS;
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
