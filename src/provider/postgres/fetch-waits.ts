// Long polls on a queue that is asked over a network. Neighbours: postgres-provider.ts says how to take, notifier.ts and the provider's own
// commits say when to look again.
//
// K1. Of those who want the same one asks at a time, the one that waits longest: what it does not get, the others would not get either.
// K2. After an answer without items nobody asks again before something may have changed: a commit, a notice, the time that the store told,
//     the slow poll.
// K3. An item that was locked is handed to who asked for it, also when its wait has ended meanwhile.
import type { Clock } from '../../types/clock.ts';
import type { Fetched, FetchParams } from '../provider.ts';

/** What a look at the queue gave. `nextAtMs`: when to look again, by the store's clock; null: not without a change. */
export type Look<Item> = Fetched<Item> & { readonly nextAtMs: number | null };

type Waiter<Item> = {
  readonly look: () => Promise<Look<Item>>;
  readonly resolve: (fetched: Fetched<Item>) => void;
  readonly reject: (error: unknown) => void;
  /** Ends timer and signal. */
  readonly stop: () => void;
  /** The wait has ended; who is being asked for is answered when the look is over. */
  isOver: boolean;
};

type Group<Item> = {
  readonly waiters: Set<Waiter<Item>>;
  /** Something may be there that the last look did not see. */
  isStale: boolean;
  isLooking: boolean;
  stopTimer: () => void;
};

/** Pause before the next look at what somebody else is taking just now, in milliseconds. */
const CONTENDED_MS = 5;

/** Fetches of one queue. */
export class FetchWaits<Item> {
  readonly #clock: Clock;
  readonly #pollMs: () => number;
  /** By what they want; none without waiters. */
  readonly #groups = new Map<string, Group<Item>>();
  #stopPoll: () => void = doNothing;
  #isClosed = false;

  /**
   * @param clock - of the waits
   * @param pollMs - how long until the next look that nobody asked for
   */
  constructor(clock: Clock, pollMs: () => number) {
    this.#clock = clock;
    this.#pollMs = pollMs;
  }

  /**
   * Fetches, or waits.
   *
   * @param key - equal for those who want the same
   * @param params - how long, and what ends the wait
   * @param look - takes from the queue
   * @returns what was taken; no items when the wait ended without any
   */
  fetch(key: string, { waitMs, signal }: Pick<FetchParams, 'waitMs' | 'signal'>, look: () => Promise<Look<Item>>): Promise<Fetched<Item>> {
    return new Promise((resolve, reject) => {
      const group = this.#groups.get(key) ?? { waiters: new Set(), isStale: true, isLooking: false, stopTimer: doNothing };
      this.#groups.set(key, group);
      let stopTimer = doNothing;
      const end = (): void => this.#end(key, group, waiter);
      const stop = (): void => {
        stopTimer();
        signal?.removeEventListener('abort', end);
      };
      const waiter: Waiter<Item> = { look, resolve, reject, stop, isOver: waitMs <= 0 };
      group.waiters.add(waiter);
      group.isStale = true;
      if (signal?.aborted === true || this.#isClosed) {
        end();
        if (group.waiters.has(waiter)) this.#settle(key, group, waiter, this.#nothing());
        return;
      }
      if (waitMs > 0) {
        stopTimer = this.#clock.setTimer(waitMs, end, true);
        signal?.addEventListener('abort', end);
      }
      this.#look(key, group);
      if (this.#stopPoll === doNothing) this.#poll();
    });
  }

  /** Something may be ready. */
  wake(): void {
    for (const [key, group] of this.#groups) {
      group.isStale = true;
      this.#look(key, group);
    }
  }

  /** Ends all waits with nothing; who is being asked for is answered with what it gets. */
  close(): void {
    this.#isClosed = true;
    for (const [key, group] of this.#groups) for (const waiter of group.waiters) this.#end(key, group, waiter);
    this.#stopPoll();
    this.#stopPoll = doNothing;
  }

  #poll(): void {
    this.#stopPoll = this.#clock.setTimer(
      this.#pollMs(),
      () => {
        this.#stopPoll = doNothing;
        if (this.#groups.size === 0) return;
        this.#poll();
        this.wake();
      },
      true,
    );
  }

  #look(key: string, group: Group<Item>): void {
    if (group.isLooking || !group.isStale) return;
    const [waiter] = group.waiters;
    if (waiter === undefined) return;
    group.isLooking = true;
    group.isStale = false;
    group.stopTimer();
    group.stopTimer = doNothing;
    waiter.look().then(
      (answer) => {
        group.isLooking = false;
        this.#answer(key, group, waiter, answer);
      },
      (error: unknown) => {
        group.isLooking = false;
        this.#remove(key, group, waiter);
        waiter.reject(error);
        this.#goOn(key, group);
      },
    );
  }

  #answer(key: string, group: Group<Item>, waiter: Waiter<Item>, { nowMs, items, nextAtMs }: Look<Item>): void {
    if (items.length > 0) {
      this.#settle(key, group, waiter, { nowMs, items });
      this.#goOn(key, group);
      return;
    }
    for (const each of group.waiters) if (each.isOver) this.#settle(key, group, each, { nowMs, items });
    if (group.isStale) this.#look(key, group);
    else if (nextAtMs !== null && group.waiters.size > 0) {
      const delayMs = nextAtMs > nowMs ? nextAtMs - nowMs : CONTENDED_MS;
      group.stopTimer = this.#clock.setTimer(delayMs, () => {
        group.stopTimer = doNothing;
        group.isStale = true;
        this.#look(key, group);
      });
    }
  }

  /** There may be more for the others. */
  #goOn(key: string, group: Group<Item>): void {
    if (group.waiters.size === 0) return;
    group.isStale = true;
    this.#look(key, group);
  }

  /** The time of a waiter is over. */
  #end(key: string, group: Group<Item>, waiter: Waiter<Item>): void {
    waiter.isOver = true;
    const [first] = group.waiters;
    if (group.isLooking && waiter === first) return;
    this.#settle(key, group, waiter, this.#nothing());
  }

  #settle(key: string, group: Group<Item>, waiter: Waiter<Item>, fetched: Fetched<Item>): void {
    this.#remove(key, group, waiter);
    waiter.resolve(fetched);
  }

  #remove(key: string, group: Group<Item>, waiter: Waiter<Item>): void {
    if (!group.waiters.delete(waiter)) return;
    waiter.stop();
    if (group.waiters.size > 0) return;
    group.stopTimer();
    group.stopTimer = doNothing;
    if (this.#groups.get(key) === group) this.#groups.delete(key);
    if (this.#groups.size > 0) return;
    this.#stopPoll();
    this.#stopPoll = doNothing;
  }

  #nothing(): Fetched<Item> {
    return { nowMs: this.#clock.nowMs(), items: [] };
  }
}

function doNothing(): void {
  // The initial value of the stop functions.
}
