// The worker queue in memory: activities to run, with their locks. Neighbour: memory-provider.ts feeds it and enqueues completions.
//
// I1. There is one item for each (instance, execution, event); adding a second one changes nothing.
// I2. `readyAtMs` of an item: while it is locked, the expiry of the lock; else the time from which it can be fetched. Never null inside.
// I3. Token and expiry are checked together (T59): who lost a lock changes nothing, even if nobody took the item since.
import type { NewWorkItem, WorkItem, WorkItemLock, WorkItemOutcome } from '../provider.ts';
import { ReadyOrder } from './ready-order.ts';
import { isLocked } from './stored-instance.ts';

/** The execution that scheduled activities. */
export type WorkOwner = { readonly instanceId: string; readonly executionId: number };

/** A work item on the queue. Outside of this file it is only passed back. */
export type StoredWorkItem = Omit<WorkItem, 'lockToken' | 'attempt'> & {
  /** Grows with each item; settles which of two comes first that are equally long ready. */
  readonly sequence: number;
  readyAtMs: number | null;
  heapIndex: number;
  lockToken: string | null;
  attempt: number;
};

/** The work items of all instances. */
export class WorkQueue {
  /** By instance, then by execution and event. */
  readonly #items = new Map<string, Map<string, StoredWorkItem>>();
  readonly #order = new ReadyOrder<StoredWorkItem>((item, other) => item.sequence < other.sequence);
  #lastSequence = 0;
  #size = 0;

  /** How many items there are, locked ones included. */
  get size(): number {
    return this.#size;
  }

  /** When the next item can be fetched, epoch milliseconds; null: there is none. */
  get firstReadyAtMs(): number | null {
    return this.#order.firstReadyAtMs;
  }

  /**
   * Adds items that can be fetched at once.
   *
   * @param owner - who scheduled them
   * @param newItems - the activities
   * @param nowMs - the time, epoch milliseconds
   */
  add(owner: WorkOwner, newItems: readonly NewWorkItem[], nowMs: number): void {
    const { instanceId, executionId } = owner;
    if (newItems.length === 0) return;
    const items = this.#items.get(instanceId) ?? new Map<string, StoredWorkItem>();
    this.#items.set(instanceId, items);
    for (const { eventId, name, payload } of newItems) {
      const key = keyOf({ executionId, eventId });
      if (items.has(key)) continue;
      this.#lastSequence += 1;
      this.#size += 1;
      const state = { sequence: this.#lastSequence, readyAtMs: null, heapIndex: -1, lockToken: null, attempt: 0 };
      const item: StoredWorkItem = { instanceId, executionId, eventId, name, payload, ...state };
      items.set(key, item);
      this.#order.place(item, nowMs);
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
    this.#order.place(item, null);
  }

  /**
   * Makes an item fetchable at another time: releases its lock.
   *
   * @param item - which
   * @param readyAtMs - from when on, epoch milliseconds
   */
  release(item: StoredWorkItem, readyAtMs: number): void {
    item.lockToken = null;
    this.#order.place(item, readyAtMs);
  }

  /**
   * Lets a lock last longer.
   *
   * @param item - which, locked
   * @param expiresAtMs - until when, epoch milliseconds
   */
  extend(item: StoredWorkItem, expiresAtMs: number): void {
    this.#order.place(item, expiresAtMs);
  }

  /**
   * Locks items, longest ready first.
   *
   * @param params - how many, for how long, with which token, and the time
   * @returns the items
   */
  take(params: {
    readonly maxItems: number;
    readonly lockMs: number;
    readonly lockToken: string;
    readonly nowMs: number;
  }): readonly WorkItem[] {
    const { maxItems, lockMs, lockToken, nowMs } = params;
    return this.#order.takeReady(nowMs, maxItems).map((item) => {
      const { instanceId, executionId, eventId, name, payload } = item;
      item.attempt += 1;
      item.lockToken = lockToken;
      this.#order.place(item, nowMs + lockMs);
      return { instanceId, executionId, eventId, name, payload, lockToken, attempt: item.attempt };
    });
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
}

function keyOf({ executionId, eventId }: { readonly executionId: number; readonly eventId: number }): string {
  return `${executionId}.${eventId}`;
}
