// Which activities run under a shared limit, and when the next one may begin. Neighbours: work-queue.ts asks before it hands out an item, and tells
// of each that begins and ends; ../rate.ts has the arithmetic of rates.
//
// I1. An item runs while its lock lasts. One whose lock has run out counts no more, though nobody has told of its end.
// I2. Keys that are paid for are like none. They are removed each time there are twice as many as were left the last time: a key that is paid for
//     late keeps none of the others.
import type { SharedLimit } from '../../types/replay.ts';
import { countBegin, nextBeginMs } from '../rate.ts';
import { isLocked, type Lockable } from './stored-instance.ts';

const MIN_CROWD = 64;

/** The limits of all keys. */
export class Limits {
  /** Items that were handed out, by key. */
  readonly #running = new Map<string, Set<Lockable>>();
  /** R1 of ../rate.ts, by key. */
  readonly #arrivals = new Map<string, number>();
  /** I2: of how many on. */
  #crowd = MIN_CROWD;

  /** How many keys there are with a number that counts begins (I2). */
  get size(): number {
    return this.#arrivals.size;
  }

  /**
   * Tells when the next activity may begin.
   *
   * @param limit - its limit
   * @param nowMs - the time, epoch milliseconds
   * @returns the time, epoch milliseconds; not later than now: at once
   */
  opensAtMs({ key, concurrency, rate }: SharedLimit, nowMs: number): number {
    const rateMs = rate === null ? nowMs : nextBeginMs(rate, this.#arrivals.get(key) ?? 0, nowMs);
    if (concurrency === null) return rateMs;
    const ends = [...(this.#running.get(key) ?? [])].filter((item) => isLocked(item, nowMs)).map(({ readyAtMs }) => readyAtMs ?? nowMs);
    // As things are: a place becomes free when the lock of an item runs out.
    const freeMs = ends.toSorted((a, b) => a - b)[ends.length - concurrency] ?? nowMs;
    return Math.max(rateMs, freeMs);
  }

  /**
   * Counts an item that begins.
   *
   * @param limit - its limit
   * @param item - the item
   * @param nowMs - the time, epoch milliseconds
   */
  begin({ key, rate }: SharedLimit, item: Lockable, nowMs: number): void {
    this.#running.set(key, (this.#running.get(key) ?? new Set()).add(item));
    if (rate === null) return;
    this.#arrivals.set(key, countBegin(rate, this.#arrivals.get(key) ?? 0, nowMs));
    if (this.#arrivals.size < this.#crowd) return;
    for (const [other, paidUs] of this.#arrivals) if (paidUs <= nowMs * 1_000) this.#arrivals.delete(other);
    this.#crowd = Math.max(MIN_CROWD, 2 * this.#arrivals.size);
  }

  /**
   * An item runs no more.
   *
   * @param limit - its limit
   * @param item - the item
   */
  end({ key }: SharedLimit, item: Lockable): void {
    const running = this.#running.get(key);
    running?.delete(item);
    if (running?.size === 0) this.#running.delete(key);
  }
}
