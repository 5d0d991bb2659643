// The callers that wait for items of one queue, for stores that take items at once and cannot fail. Neighbours: memory/memory-provider.ts has
// one for turns and one for work, parking.ts keeps the callers.
//
// I1. A caller is only woken for what it can take: the wake-up time is the earliest of what the waiting callers can take next.
import type { Clock } from '../types/clock.ts';
import { Parking } from './parking.ts';
import type { Fetched, FetchParams } from './provider.ts';

/** What one fetch takes from. */
export type FetchSource<Item> = {
  /** Locks and returns what is ready. */
  readonly take: (nowMs: number) => readonly Item[];
  /** When the next item will be ready for this fetch, epoch milliseconds; null: unknown. Asked when `take` gave nothing. */
  readonly nextAtMs: (nowMs: number) => number | null;
};

/** Long polls on one queue. */
export class FetchQueue<Item> {
  readonly #clock: Clock;
  readonly #parking: Parking<Fetched<Item>>;
  #wakeAtMs = Number.POSITIVE_INFINITY;

  /**
   * @param clock - the store's clock
   * @param onWake - called when something is due; should lead to a call of `serve`
   */
  constructor(clock: Clock, onWake: () => void) {
    this.#clock = clock;
    // Callers differ in what they can take, so each one is asked.
    this.#parking = new Parking({ clock, competing: false, onWake });
  }

  /**
   * Takes what is ready, or waits until something is.
   *
   * @param params - how long to wait, and what ends the wait
   * @param source - where to take from
   * @returns the items; none when the wait ended without any
   */
  fetch({ waitMs, signal }: FetchParams, source: FetchSource<Item>): Promise<Fetched<Item>> {
    // Something may have become due since the last change: who waits already comes first.
    this.serve();
    const attempt = (): Fetched<Item> | null => this.#attempt(source);
    const fetched = signal?.aborted === true ? null : attempt();
    if (fetched !== null) return Promise.resolve(fetched);
    const answer = this.#parking.park({ waitMs, signal, attempt, empty: () => ({ nowMs: this.#clock.nowMs(), items: [] }) });
    this.serve();
    return answer;
  }

  /** Hands out what is ready to those who wait for it, and arranges to be called again when the next thing is. */
  serve(): void {
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.#parking.serve().deliver();
    this.#parking.wakeAt(this.#wakeAtMs === Number.POSITIVE_INFINITY ? null : this.#wakeAtMs);
  }

  /** Ends all waits with nothing. */
  close(): void {
    this.#parking.closeAll();
  }

  #attempt(source: FetchSource<Item>): Fetched<Item> | null {
    const nowMs = this.#clock.nowMs();
    const items = source.take(nowMs);
    if (items.length > 0) return { nowMs, items };
    this.#wakeAtMs = Math.min(this.#wakeAtMs, source.nextAtMs(nowMs) ?? Number.POSITIVE_INFINITY);
    return null;
  }
}
