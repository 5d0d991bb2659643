// Long polls on a queue that is asked over a network. Neighbours: postgres-provider.ts says how to take, notifier.ts and the provider's own
// commits say when to look again.
//
// K1. Of those who want the same one asks at a time, the one that waits longest: what it does not get, the others would not get either. Those who want
//     something else look after each other, in the order in which they came.
// K2. After an answer with less than was asked for nobody asks again before something may have changed: a commit, a notice, the time that the store told,
//     the slow poll. That goes for those who come later, too: a queue that is known to be empty is not asked; unless the caller will not wait.
// K3. An item that was locked is handed to who asked for it, also when its wait has ended meanwhile.
// K4. Who has found the queue empty can be promised what is about to be committed (`reserve`), and is not asked for meanwhile.
import type { Clock } from '../../types/clock.ts';
import type { Fetched, FetchParams } from '../provider.ts';

/** What a look at the queue gave. `nextAtMs`: when to look again, by the store's clock; null: not without a change. */
export type Look<Item> = Fetched<Item> & { readonly nextAtMs: number | null };

/** A fetch. `key` is equal for those who want the same, `wish` is what they want. */
export type Wait<Item, Wish> = FetchParams & {
  readonly key: string;
  readonly wish: Wish;
  /** Takes from the queue. */
  readonly look: () => Promise<Look<Item>>;
};

/** A promise to a waiter. Call one of the two functions, once. */
export type Reservation<Item, Wish> = {
  readonly wish: Wish;
  readonly maxItems: number;
  readonly lockMs: number;
  /** It gets these, which are locked for it. */
  give(fetched: Fetched<Item>): void;
  /** There was nothing for it: it waits on. */
  release(): void;
};

type Waiter<Item> = {
  readonly params: Pick<FetchParams, 'maxItems' | 'lockMs'>;
  readonly look: () => Promise<Look<Item>>;
  readonly resolve: (fetched: Fetched<Item>) => void;
  readonly reject: (error: unknown) => void;
  /** Ends timer and signal. */
  readonly stop: () => void;
  /** The wait has ended; who is being asked for, or has a reservation, is answered when that is over. */
  isOver: boolean;
  isReserved: boolean;
};

type Group<Item, Wish> = {
  readonly wish: Wish;
  readonly waiters: Set<Waiter<Item>>;
  /** Something may be there that the last look did not see. */
  isStale: boolean;
  /** When the store said that there will be something, on the monotonic clock; infinite: it did not. */
  dueAtMs: number;
  /** Who is being asked for. */
  asking: Waiter<Item> | null;
  stopTimer: () => void;
};

/** Pause before the next look at what somebody else is taking just now, in milliseconds. */
const CONTENDED_MS = 5;
/** Most wishes that are remembered while nobody has them. Reason: a runtime has a few. */
const MAX_IDLE = 64;

/** Fetches of one queue. */
export class FetchWaits<Item, Wish> {
  readonly #clock: Clock;
  readonly #pollMs: () => number;
  readonly #isTold: () => boolean;
  readonly #groups = new Map<string, Group<Item, Wish>>();
  /** Settles when nobody looks. */
  #lastLook: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #stopPoll: () => void = doNothing;
  #isClosed = false;

  /**
   * @param clock - of the waits
   * @param options - `pollMs`: how long until the next look that nobody asked for; `isTold`: true while changes by others are told
   */
  constructor(clock: Clock, options: { readonly pollMs: () => number; readonly isTold: () => boolean }) {
    this.#clock = clock;
    this.#pollMs = options.pollMs;
    this.#isTold = options.isTold;
  }

  /**
   * Fetches, or waits.
   *
   * @param wait - what, how long, and how to take
   * @returns what was taken; no items when the wait ended without any
   */
  fetch({ key, wish, look, waitMs, signal, maxItems, lockMs }: Wait<Item, Wish>): Promise<Fetched<Item>> {
    return new Promise((resolve, reject) => {
      const group = this.#groupOf(key, wish);
      let stopTimer = doNothing;
      const end = (): void => this.#end(group, waiter);
      const stop = (): void => {
        stopTimer();
        signal?.removeEventListener('abort', end);
      };
      const waiter = { params: { maxItems, lockMs }, look, resolve, reject, stop, isOver: waitMs <= 0, isReserved: false };
      if (signal?.aborted === true || this.#isClosed) {
        resolve(this.#nothing());
        return;
      }
      group.waiters.add(waiter);
      this.#waiting += 1;
      // K2.
      if (waitMs <= 0 || !this.#isTold() || group.dueAtMs <= this.#clock.monotonicMs()) group.isStale = true;
      if (waitMs > 0) {
        stopTimer = this.#clock.setTimer(waitMs, end, true);
        signal?.addEventListener('abort', end);
      }
      if (group.isStale) this.#look(group);
      else if (group.waiters.size === 1) this.#armTimer(group);
      if (this.#stopPoll === doNothing) this.#poll();
    });
  }

  /** Something may be ready. */
  wake(): void {
    for (const group of this.#groups.values()) {
      group.isStale = true;
      this.#look(group);
    }
  }

  /**
   * Takes a waiter out, for what is about to be committed.
   *
   * @param wants - tells whether a wish would take that
   * @returns the promise to it; null: nobody waits for it
   */
  reserve(wants: (wish: Wish) => boolean): Reservation<Item, Wish> | null {
    for (const group of this.#groups.values()) {
      if (group.isStale || group.asking !== null || group.waiters.size === 0 || !wants(group.wish)) continue;
      for (const waiter of group.waiters) if (!waiter.isReserved && !waiter.isOver) return this.#reserve(group, waiter);
    }
    return null;
  }

  /**
   * Finds a fetch that is open.
   *
   * @param wants - tells whether it is one of those
   * @returns what it wants; undefined: there is none
   */
  find(wants: (wish: Wish) => boolean): Wish | undefined {
    for (const { wish, waiters } of this.#groups.values()) if (waiters.size > 0 && wants(wish)) return wish;
    return undefined;
  }

  /** Ends all waits with nothing; who is being asked for is answered with what it gets. */
  close(): void {
    this.#isClosed = true;
    for (const group of this.#groups.values()) for (const waiter of group.waiters) this.#end(group, waiter);
    this.#stopPoll();
    this.#stopPoll = doNothing;
  }

  #groupOf(key: string, wish: Wish): Group<Item, Wish> {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    for (const [idleKey, group] of this.#groups) {
      if (this.#groups.size < MAX_IDLE) break;
      if (group.waiters.size === 0) this.#groups.delete(idleKey);
    }
    const dueAtMs = Number.POSITIVE_INFINITY;
    const group = { wish, waiters: new Set<Waiter<Item>>(), isStale: true, dueAtMs, asking: null, stopTimer: doNothing };
    this.#groups.set(key, group);
    return group;
  }

  #reserve(group: Group<Item, Wish>, waiter: Waiter<Item>): Reservation<Item, Wish> {
    waiter.isReserved = true;
    return {
      wish: group.wish,
      ...waiter.params,
      give: (fetched) => this.#settle(group, waiter, fetched),
      release: () => {
        waiter.isReserved = false;
        if (waiter.isOver) this.#settle(group, waiter, this.#nothing());
        else this.#look(group);
      },
    };
  }

  #poll(): void {
    this.#stopPoll = this.#clock.setTimer(
      this.#pollMs(),
      () => {
        this.#stopPoll = doNothing;
        if (this.#waiting === 0) return;
        this.#poll();
        this.wake();
      },
      true,
    );
  }

  #look(group: Group<Item, Wish>): void {
    if (group.asking !== null || !group.isStale) return;
    const waiter = firstFree(group.waiters);
    if (waiter === null) return;
    group.asking = waiter;
    group.isStale = false;
    group.dueAtMs = Number.POSITIVE_INFINITY;
    group.stopTimer();
    this.#inTurn(waiter.look).then(
      (answer) => {
        group.asking = null;
        this.#answer(group, waiter, answer);
      },
      (error: unknown) => {
        group.asking = null;
        group.isStale = true;
        this.#remove(group, waiter);
        waiter.reject(error);
        this.#look(group);
      },
    );
  }

  /** K1. */
  #inTurn(look: () => Promise<Look<Item>>): Promise<Look<Item>> {
    const answer = this.#lastLook.then(look);
    this.#lastLook = answer.catch(() => undefined);
    return answer;
  }

  #answer(group: Group<Item, Wish>, waiter: Waiter<Item>, { nowMs, items, nextAtMs }: Look<Item>): void {
    if (items.length === waiter.params.maxItems) group.isStale = true;
    if (nextAtMs !== null) group.dueAtMs = this.#clock.monotonicMs() + (nextAtMs > nowMs ? nextAtMs - nowMs : CONTENDED_MS);
    if (items.length > 0 || waiter.isOver) this.#settle(group, waiter, { nowMs, items });
    // There is nothing left for those who will not wait.
    if (!group.isStale)
      for (const each of group.waiters) if (each.isOver && !each.isReserved) this.#settle(group, each, { nowMs, items: [] });
    this.#armTimer(group);
    this.#look(group);
  }

  #armTimer(group: Group<Item, Wish>): void {
    group.stopTimer();
    if (group.waiters.size === 0 || group.dueAtMs === Number.POSITIVE_INFINITY) return;
    const stop = this.#clock.setTimer(Math.max(0, group.dueAtMs - this.#clock.monotonicMs()), () => {
      group.stopTimer = doNothing;
      group.isStale = true;
      this.#look(group);
    });
    group.stopTimer = () => {
      group.stopTimer = doNothing;
      stop();
    };
  }

  /** The time of a waiter is over. */
  #end(group: Group<Item, Wish>, waiter: Waiter<Item>): void {
    waiter.isOver = true;
    if (waiter.isReserved || waiter === group.asking) return;
    this.#settle(group, waiter, this.#nothing());
  }

  #settle(group: Group<Item, Wish>, waiter: Waiter<Item>, fetched: Fetched<Item>): void {
    this.#remove(group, waiter);
    waiter.resolve(fetched);
  }

  #remove(group: Group<Item, Wish>, waiter: Waiter<Item>): void {
    if (!group.waiters.delete(waiter)) return;
    waiter.stop();
    this.#waiting -= 1;
    if (group.waiters.size === 0) group.stopTimer();
    if (this.#waiting > 0) return;
    this.#stopPoll();
    this.#stopPoll = doNothing;
  }

  #nothing(): Fetched<Item> {
    return { nowMs: this.#clock.nowMs(), items: [] };
  }
}

function firstFree<Item>(waiters: Iterable<Waiter<Item>>): Waiter<Item> | null {
  for (const waiter of waiters) if (!waiter.isReserved) return waiter;
  return null;
}

function doNothing(): void {
  // The initial value of the stop functions.
}
