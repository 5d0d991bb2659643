// The worker queue in memory: activities to run, with their locks. Neighbours: turns.ts adds and cancels, memory-store.ts hands out,
// sessions.ts says who may take the items of a session, ../tags.ts which tags a worker takes, limits.ts how many may run.
//
// I1. There is one item for each (instance, execution, event); adding a second one changes nothing.
// I2. `readyAtMs` of an item: while it is locked, the expiry of the lock; else the time from which it can be fetched. Never null inside.
// I3. Token and expiry are checked together (T59): who lost a lock changes nothing, even if nobody took the item since.
// I4. An item that nobody took in time is expired for good: it moves to a group that only `expired` fetches take from. An item that was
//     taken in time has no expiry any more.
import { encodeRecord } from '../../types/codec.ts';
import type { SharedLimit } from '../../types/replay.ts';
import { PRIORITY_HEAD_START_MS } from '../provider.ts';
import type { NewWorkItem, WorkFetchParams, WorkItem, WorkItemLock, WorkItemOutcome, WorkItemRecord } from '../provider.ts';
import { takesTag } from '../tags.ts';
import { Limits } from './limits.ts';
import { ReadyGroups } from './ready-groups.ts';
import type { Grouped } from './ready-groups.ts';
import { ReadyOrder } from './ready-order.ts';
import type { Placed } from './ready-order.ts';
import type { Sessions } from './sessions.ts';
import { isLocked, withHeadStart } from './stored-instance.ts';

/** The execution that scheduled activities. */
export type WorkOwner = { readonly instanceId: string; readonly executionId: number };

/** What a fetch takes. */
export type WorkSelection = NonNullable<WorkFetchParams['select']>;

/** A work item on the queue. Outside of this file it is only passed back. */
export type StoredWorkItem = Grouped &
  Pick<WorkItem, 'instanceId' | 'executionId' | 'eventId' | 'name' | 'payload' | 'routing'> & {
    /** Grows with each item; settles which of two comes first that are equally long ready. */
    readonly sequence: number;
    group: string;
    lockToken: string | null;
    attempt: number;
    heartbeat: string | null;
    /** Its place among what will expire; null: it will not. */
    expiry: Expiry | null;
    isExpired: boolean;
    /** The owner of the session that took it last; null: nobody, or without a session. */
    takenBy: string | null;
  };

type Expiry = Placed & { readonly item: StoredWorkItem; readonly expiresAtMs: number };

/** The group of what is expired; the others are named by JSON arrays. */
const EXPIRED = 'expired';

/** The work items of all instances. */
export class WorkQueue {
  readonly #sessions: Sessions;
  readonly #limits = new Limits();
  /** By instance, then by execution and event. */
  readonly #items = new Map<string, Map<string, StoredWorkItem>>();
  readonly #sessionItems = new Map<string, Set<StoredWorkItem>>();
  readonly #ready = new ReadyGroups<StoredWorkItem>((item, other) => item.sequence < other.sequence);
  readonly #expiries = new ReadyOrder<Expiry>((expiry, other) => expiry.item.sequence < other.item.sequence);
  #lastSequence = 0;
  #size = 0;

  /**
   * @param sessions - who may take the items of which session
   */
  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** How many items there are, locked ones included. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds items that can be fetched at once.
   *
   * @param owner - who scheduled them
   * @param newItems - the activities
   * @param nowMs - the time, epoch milliseconds
   */
  add(owner: WorkOwner, newItems: readonly NewWorkItem[], nowMs: number): void {
    if (newItems.length === 0) return;
    const items = this.#items.get(owner.instanceId) ?? new Map<string, StoredWorkItem>();
    this.#items.set(owner.instanceId, items);
    for (const newItem of newItems) {
      const key = keyOf({ executionId: owner.executionId, eventId: newItem.eventId });
      if (items.has(key)) continue;
      this.#lastSequence += 1;
      this.#size += 1;
      const item = createItem(owner, newItem, this.#lastSequence);
      items.set(key, item);
      this.#addToSession(item);
      this.#startExpiry(item, nowMs);
      this.release(item, nowMs, nowMs);
    }
  }

  /**
   * Removes cancelled activities, running ones too.
   *
   * @param owner - who scheduled them
   * @param eventIds - which; unknown ones are ignored
   */
  cancel(owner: WorkOwner, eventIds: readonly number[]): void {
    for (const eventId of eventIds) {
      const item = this.#items.get(owner.instanceId)?.get(keyOf({ executionId: owner.executionId, eventId }));
      if (item !== undefined) this.remove(item);
    }
  }

  /**
   * Removes all items of an instance that ended.
   *
   * @param instanceId - which
   */
  removeInstance(instanceId: string): void {
    for (const item of this.#items.get(instanceId)?.values() ?? []) this.remove(item);
  }

  /**
   * Removes an item.
   *
   * @param item - which
   */
  remove(item: StoredWorkItem): void {
    const items = this.#items.get(item.instanceId);
    if (items?.delete(keyOf(item)) !== true) return;
    if (items.size === 0) this.#items.delete(item.instanceId);
    this.#size -= 1;
    this.#stopExpiry(item);
    this.#ready.place(item, null);
    this.#endLimited(item);
    const sessionId = sessionOf(item);
    if (sessionId === null) return;
    const siblings = this.#sessionItems.get(sessionId);
    siblings?.delete(item);
    if (siblings?.size === 0) this.#sessionItems.delete(sessionId);
  }

  /**
   * Makes an item fetchable at another time: releases its lock.
   *
   * @param item - which
   * @param visibleAtMs - from when on, epoch milliseconds
   * @param nowMs - the time, epoch milliseconds
   */
  release(item: StoredWorkItem, visibleAtMs: number, nowMs: number): void {
    item.lockToken = null;
    this.#endLimited(item);
    this.#ready.place(item, withHeadStart(visibleAtMs, item.routing?.priority ?? 0, nowMs));
  }

  /**
   * Lets a lock last longer, and marks the session as used.
   *
   * @param item - which, locked
   * @param lockMs - how long from now, in milliseconds
   * @param nowMs - the time, epoch milliseconds
   */
  extend(item: StoredWorkItem, lockMs: number, nowMs: number): void {
    this.#ready.place(item, nowMs + lockMs);
    this.markSessionUsed(item, nowMs);
  }

  /**
   * Marks the session of an item as used.
   *
   * @param item - which
   * @param nowMs - the time, epoch milliseconds
   */
  markSessionUsed(item: StoredWorkItem, nowMs: number): void {
    const sessionId = sessionOf(item);
    if (sessionId !== null) this.#sessions.markUsed(sessionId, item.takenBy, nowMs);
  }

  /**
   * Locks items, longest ready first, and claims their sessions.
   *
   * @param params - which, how many, for how long, with which token, and the time
   * @returns the items
   */
  take(params: {
    readonly select: WorkSelection;
    readonly maxItems: number;
    readonly lockMs: number;
    readonly lockToken: string;
    readonly nowMs: number;
  }): readonly WorkItem[] {
    const { select, maxItems, lockMs, lockToken, nowMs } = params;
    this.#expire(nowMs);
    const taken: WorkItem[] = [];
    while (taken.length < maxItems) {
      // Asked anew for each item: a session that was claimed with the one before may have been the last that the owner may hold.
      const item = this.#ready.takeReady(nowMs, (other) => this.#opensAtMs(other, select, nowMs) <= nowMs);
      if (item === undefined) break;
      this.#stopExpiry(item);
      this.#claimSession(item, select, nowMs);
      item.attempt += 1;
      item.lockToken = lockToken;
      this.#ready.place(item, nowMs + lockMs);
      const limit = limitOf(item);
      if (limit !== null && !item.isExpired) this.#limits.begin(limit, item, nowMs);
      const { instanceId, executionId, eventId, name, payload, routing, heartbeat, attempt } = item;
      taken.push({ instanceId, executionId, eventId, name, payload, routing, heartbeat, lockToken, attempt });
    }
    return taken;
  }

  /**
   * Tells when the next item can be fetched.
   *
   * @param select - which items
   * @param nowMs - the time, epoch milliseconds
   * @returns the time, epoch milliseconds; null: never, as things are
   */
  nextReadyAtMs(select: WorkSelection, nowMs: number): number | null {
    const readyAtMs = this.#ready.nextReadyAtMs((item) => this.#opensAtMs(item, select, nowMs));
    const expiresAtMs = select.kind === 'expired' ? this.#expiries.firstReadyAtMs : null;
    return readyAtMs === null || expiresAtMs === null ? (readyAtMs ?? expiresAtMs) : Math.min(readyAtMs, expiresAtMs);
  }

  /**
   * Applies a change to each item whose lock is held (I3).
   *
   * @param changes - keys with tokens, and what the change needs
   * @param nowMs - the time, epoch milliseconds
   * @param apply - the change
   * @returns one outcome per change
   */
  change<Change extends WorkItemLock>(
    changes: readonly Change[],
    nowMs: number,
    apply: (item: StoredWorkItem, change: Change) => void,
  ): readonly WorkItemOutcome[] {
    return changes.map((change) => {
      const item = this.#items.get(change.instanceId)?.get(keyOf(change));
      if (item === undefined) return 'gone';
      if (item.lockToken !== change.lockToken || !isLocked(item, nowMs)) return 'lockLost';
      apply(item, change);
      return 'done';
    });
  }

  /**
   * Tells whether locks are held.
   *
   * @param locks - keys with tokens
   * @param nowMs - the time, epoch milliseconds
   * @returns true when all of them are
   */
  holdsAll(locks: readonly WorkItemLock[], nowMs: number): boolean {
    return locks.every((lock) => {
      const item = this.#items.get(lock.instanceId)?.get(keyOf(lock));
      return item?.lockToken === lock.lockToken && isLocked(item, nowMs);
    });
  }

  /**
   * Lists the items of an instance.
   *
   * @param instanceId - which
   * @param nowMs - the time, epoch milliseconds
   * @returns the items in the order of their events
   */
  records(instanceId: string, nowMs: number): readonly WorkItemRecord[] {
    return [...(this.#items.get(instanceId)?.values() ?? [])]
      .toSorted((a, b) => a.executionId - b.executionId || a.eventId - b.eventId)
      .map((item) => {
        const { executionId, eventId, name, attempt, routing, heartbeat } = item;
        const where = { tag: routing?.tag ?? null, sessionId: routing?.sessionId ?? null, limitKey: limitOf(item)?.key ?? null };
        const isRunning = isLocked(item, nowMs);
        return { executionId, eventId, name, attempt, isRunning, visibleAtMs: visibleAtMsOf(item), ...where, heartbeat };
      });
  }

  /**
   * Finds an item.
   *
   * @param key - instance, execution and event
   * @returns the item; undefined: there is none
   */
  find(key: { readonly instanceId: string; readonly executionId: number; readonly eventId: number }): StoredWorkItem | undefined {
    return this.#items.get(key.instanceId)?.get(keyOf(key));
  }

  /**
   * Finds the items of an instance, or all.
   *
   * @param instanceId - which; undefined: all
   * @returns the items, in no order
   */
  all(instanceId: string | undefined): readonly StoredWorkItem[] {
    if (instanceId !== undefined) return [...(this.#items.get(instanceId)?.values() ?? [])];
    return [...this.#items.values()].flatMap((items) => [...items.values()]);
  }

  /**
   * Tells whether a session has items.
   *
   * @param sessionId - which
   * @returns true when there is one, locked or not
   */
  hasSessionItems(sessionId: string): boolean {
    return this.#sessionItems.has(sessionId);
  }

  /**
   * Tells whether items of a session are locked by its owner.
   *
   * @param sessionId - which
   * @param owner - by whom
   * @param nowMs - the time, epoch milliseconds
   * @returns true when there is one
   */
  isSessionBusy(sessionId: string, owner: string, nowMs: number): boolean {
    return [...(this.#sessionItems.get(sessionId) ?? [])].some((item) => item.takenBy === owner && isLocked(item, nowMs));
  }

  /** From when on a fetch may take from the group that an item stands for; infinite: never. */
  #opensAtMs(item: StoredWorkItem, select: WorkSelection, nowMs: number): number {
    if (item.isExpired || select.kind === 'expired') return item.isExpired && select.kind === 'expired' ? nowMs : Number.POSITIVE_INFINITY;
    const sessionId = sessionOf(item);
    if (!takesTag(select.tags, item.routing?.tag ?? null)) return Number.POSITIVE_INFINITY;
    const limit = limitOf(item);
    if (limit !== null) return this.#limits.opensAtMs(limit, nowMs);
    if (sessionId === null) return nowMs;
    return select.session === null ? Number.POSITIVE_INFINITY : this.#sessions.opensAtMs(sessionId, select.session, nowMs);
  }

  #claimSession(item: StoredWorkItem, select: WorkSelection, nowMs: number): void {
    const sessionId = sessionOf(item);
    item.takenBy = null;
    if (sessionId === null || select.kind === 'expired' || select.session === null) return;
    item.takenBy = select.session.owner;
    this.#sessions.claim(sessionId, select.session, nowMs);
  }

  #endLimited(item: StoredWorkItem): void {
    const limit = limitOf(item);
    if (limit !== null) this.#limits.end(limit, item);
  }

  #addToSession(item: StoredWorkItem): void {
    const sessionId = sessionOf(item);
    if (sessionId === null) return;
    const siblings = this.#sessionItems.get(sessionId) ?? new Set();
    this.#sessionItems.set(sessionId, siblings.add(item));
  }

  #startExpiry(item: StoredWorkItem, nowMs: number): void {
    const expiresAfterMs = item.routing?.expiresAfterMs ?? null;
    if (expiresAfterMs === null) return;
    item.expiry = { item, expiresAtMs: nowMs + expiresAfterMs, readyAtMs: null, heapIndex: -1 };
    this.#expiries.place(item.expiry, item.expiry.expiresAtMs);
  }

  #stopExpiry(item: StoredWorkItem): void {
    if (item.expiry !== null) this.#expiries.place(item.expiry, null);
    item.expiry = null;
  }

  /** Moves what nobody took in time to the expired ones (I4). */
  #expire(nowMs: number): void {
    for (let expiry = this.#expiries.takeReady(nowMs); expiry !== undefined; expiry = this.#expiries.takeReady(nowMs)) {
      const { item, expiresAtMs } = expiry;
      item.expiry = null;
      item.isExpired = true;
      item.group = EXPIRED;
      this.#ready.place(item, expiresAtMs);
    }
  }
}

function createItem({ instanceId, executionId }: WorkOwner, newItem: NewWorkItem, sequence: number): StoredWorkItem {
  const { eventId, name, payload, routing } = newItem;
  const group = encodeRecord([routing?.tag ?? null, routing?.sessionId ?? null, routing?.limit ?? null]);
  const place = { group, home: null, readyAtMs: null, heapIndex: -1 };
  const state = { lockToken: null, attempt: 0, heartbeat: null, expiry: null, isExpired: false, takenBy: null };
  return { instanceId, executionId, eventId, name, payload, routing, sequence, ...place, ...state };
}

function sessionOf(item: StoredWorkItem): string | null {
  return item.routing?.sessionId ?? null;
}

/**
 * Tells when an item may be handed out by its own time; of a locked one when the lock ends.
 *
 * @param item - which
 * @returns the time, epoch milliseconds
 */
export function visibleAtMsOf({ lockToken, readyAtMs, routing }: StoredWorkItem): number {
  return (readyAtMs ?? 0) + (lockToken === null ? (routing?.priority ?? 0) * PRIORITY_HEAD_START_MS : 0);
}

/** An item of a session waits for its owner, not for a limit. */
function limitOf(item: StoredWorkItem): SharedLimit | null {
  return sessionOf(item) === null ? (item.routing?.limit ?? null) : null;
}

function keyOf({ executionId, eventId }: { readonly executionId: number; readonly eventId: number }): string {
  return `${executionId}.${eventId}`;
}
