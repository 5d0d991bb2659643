// Keeps long-poll fetches open whenever there is room, and none when there is not: credit-based backpressure. Used by both dispatchers.
//
// B1. At most two fetches are open, so that one waits while the other is on its way. Together they ask for no more than the room.
// B2. A store that answers a long poll at once and with nothing is asked again after a pause, or this would turn for ever.
// B3. Items that arrive after `stop` go back at once: they are locked, and nobody here will run them.
import type { Fetched, FetchParams } from '../provider/provider.ts';
import type { Clock } from '../types/clock.ts';
import { computeBackoffMs } from './turn-commit.ts';

/** What a fetch loop needs. */
export type FetchLoopOptions<Item> = {
  readonly clock: Clock;
  readonly lockMs: number;
  /** How many items could be taken now. */
  readonly room: () => number;
  readonly fetch: (params: FetchParams) => Promise<Fetched<Item>>;
  readonly onItems: (fetched: Fetched<Item>) => void;
  /** Gives back items that came after the stop. */
  readonly giveBack: (items: readonly Item[]) => void;
  readonly onError: (error: unknown) => void;
};

/** What the fetches of one loop brought since its start. Those that brought nothing do not count. */
export type FetchCounts = {
  readonly fetches: number;
  readonly items: number;
  /** Items of the last one. */
  readonly lastItems: number;
  /** Fetches that brought as many items as were asked for: the queue was longer than the room. */
  readonly full: number;
};

/** Most items of one fetch. Reason: they are locked in one transaction, which has a time budget. */
const MAX_ITEMS = 2048;
/** Most fetches of one queue at a time. */
const MAX_OPEN = 2;
/** A parked fetch is renewed after this time, so that a lost wake-up of a foreign provider costs a delay, not a hang. */
const WAIT_MS = 15_000;
/** An empty answer that comes sooner was no long poll, and the pause after it, in milliseconds. */
const SHORT_POLL_MS = 20;
/** After a failed fetch. */
const BACKOFF = { initialMs: 100, maximumMs: 3_000 };

/** The loop of one queue. */
export class FetchLoop<Item> {
  readonly #options: FetchLoopOptions<Item>;
  readonly #stop = new AbortController();
  readonly #open = new Set<Promise<void>>();
  /** What the open fetches ask for. */
  #asked = 0;
  #failures = 0;
  #running = false;
  #counts: FetchCounts = { fetches: 0, items: 0, lastItems: 0, full: 0 };

  constructor(options: FetchLoopOptions<Item>) {
    this.#options = options;
  }

  /** What it has brought so far. */
  get counts(): FetchCounts {
    return this.#counts;
  }

  start(): void {
    this.#running = true;
    this.pump();
  }

  /** Opens fetches when there is room and not enough of them are open. Call it whenever room was made. */
  pump(): void {
    while (this.#running && this.#open.size < MAX_OPEN) {
      const room = this.#options.room() - this.#asked;
      if (room < 1) return;
      // Each open one leaves as much to the next.
      this.#fetch(Math.min(Math.ceil(room / (MAX_OPEN - this.#open.size)), MAX_ITEMS));
    }
  }

  #fetch(maxItems: number): void {
    this.#asked += maxItems;
    const fetched = this.#fetchOnce(maxItems).then((retryAfterMs) => {
      if (retryAfterMs === 0) this.#close(fetched, maxItems);
      else this.#options.clock.setTimer(retryAfterMs, () => this.#close(fetched, maxItems));
    });
    this.#open.add(fetched);
  }

  #close(fetched: Promise<void>, maxItems: number): void {
    if (!this.#open.delete(fetched)) return;
    this.#asked -= maxItems;
    this.pump();
  }

  /** Ends the open fetches. Resolves when no more items can arrive. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#stop.abort();
    await Promise.all(this.#open);
  }

  /** Returns how long to wait before the next fetch, in milliseconds. */
  async #fetchOnce(maxItems: number): Promise<number> {
    const { clock, fetch, lockMs, onItems, giveBack, onError } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      const fetched = await fetch({ maxItems, lockMs, waitMs: WAIT_MS, signal: this.#stop.signal });
      this.#failures = 0;
      if (fetched.items.length === 0) return clock.monotonicMs() - startedMs < SHORT_POLL_MS ? SHORT_POLL_MS : 0;
      this.#count(fetched.items.length, maxItems);
      if (this.#running) onItems(fetched);
      else giveBack(fetched.items);
      return 0;
    } catch (error) {
      this.#failures += 1;
      onError(error);
      return computeBackoffMs(this.#failures, BACKOFF);
    }
  }

  #count(lastItems: number, maxItems: number): void {
    const { fetches, items, full } = this.#counts;
    this.#counts = { fetches: fetches + 1, items: items + lastItems, lastItems, full: full + (lastItems < maxItems ? 0 : 1) };
  }
}
