// Waits for a change of an instance or a session. Neighbours: postgres-provider.ts asks the store, its commits and notifier.ts tell what changed.
//
// H1. A change that comes while a wait asks the store makes it ask again: none is lost.
// H2. Waits stand by a short hash of their key, for that is what other processes tell. Two keys of one hash cost a look in vain.
import type { Clock } from '../../types/clock.ts';

type Waiter = { isStale: boolean; wake: () => void };

/** What a wait needs. */
export type ChangeWait<Value> = {
  readonly key: string;
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
  /** Asks the store; null: not yet. */
  readonly attempt: () => Promise<Value | null>;
  /** The answer of a wait that has ended without. */
  readonly empty: () => Promise<Value>;
  /** The caller knows that the first attempt would be in vain. */
  readonly skipsFirst?: boolean;
};

/** Waits by key. */
export class ChangeWaits {
  readonly #clock: Clock;
  readonly #pollMs: () => number;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #ends = new Set<() => void>();
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
   * Waits until the store gives an answer.
   *
   * @param wait - for what, and how long
   * @returns the answer of `attempt`, or of `empty` when the time is over
   */
  async wait<Value>({ key, waitMs, signal, attempt, empty, skipsFirst = false }: ChangeWait<Value>): Promise<Value> {
    const waiter: Waiter = { isStale: true, wake: doNothing };
    const hash = hashOf(key);
    const waiters = this.#waiters.get(hash) ?? new Set();
    this.#waiters.set(hash, waiters.add(waiter));
    let isOver = waitMs <= 0 || signal?.aborted === true || this.#isClosed;
    const end = (): void => {
      isOver = true;
      waiter.wake();
    };
    const stopTimer = isOver ? doNothing : this.#clock.setTimer(waitMs, end, true);
    signal?.addEventListener('abort', end);
    this.#ends.add(end);
    if (!isOver && this.#stopPoll === doNothing) this.#poll();
    try {
      for (let isFirst = true; ; isFirst = false) {
        waiter.isStale = false;
        const value = isFirst && skipsFirst ? null : await attempt();
        if (value !== null) return value;
        if (isOver) return await empty();
        if (!waiter.isStale) await new Promise<void>((resolve) => (waiter.wake = resolve));
        waiter.wake = doNothing;
      }
    } finally {
      stopTimer();
      signal?.removeEventListener('abort', end);
      this.#ends.delete(end);
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(hash) === waiters) this.#waiters.delete(hash);
      if (this.#waiters.size === 0) {
        this.#stopPoll();
        this.#stopPoll = doNothing;
      }
    }
  }

  /** Those who wait for a key look again. */
  touch(hash: string): void {
    for (const waiter of this.#waiters.get(hash) ?? []) look(waiter);
  }

  /** All look again. */
  touchAll(): void {
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) look(waiter);
  }

  /** Ends all waits. */
  close(): void {
    this.#isClosed = true;
    for (const end of this.#ends) end();
    this.#stopPoll();
    this.#stopPoll = doNothing;
  }

  #poll(): void {
    this.#stopPoll = this.#clock.setTimer(
      this.#pollMs(),
      () => {
        this.#stopPoll = doNothing;
        if (this.#waiters.size === 0) return;
        this.#poll();
        this.touchAll();
      },
      true,
    );
  }
}

/**
 * Makes the short form of a key (FNV-1a, 32 bits).
 *
 * @param key - an instance or session id
 * @returns up to 7 characters
 */
export function hashOf(key: string): string {
  let hash = 0x81_1c_9d_c5;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01_00_01_93);
  return (hash >>> 0).toString(36);
}

function look(waiter: Waiter): void {
  waiter.isStale = true;
  waiter.wake();
}

function doNothing(): void {
  // The initial value of the stop functions.
}
