// Counts durations by their size, so that two looks at it tell the percentiles of what lies between them. Used for waits in threads and for the
// delay of the event loop: main/stats-window.ts subtracts one look from another.

/** Upper bound of the first bucket, in milliseconds. Reason: what is shorter delays nobody. */
const FIRST_MS = 0.125;
/** Buckets a doubling. Reason: a figure is at most 19 % too high then. */
const PER_DOUBLING = 4;
/** Reaches to a little over two minutes. */
const BUCKETS = 20 * PER_DOUBLING + 1;

/** How many durations fell into each bucket, shortest first. */
export type Counts = readonly number[];

/** Durations of one kind, counted since the start. */
export class DurationCounts {
  readonly #counts: number[] = Array.from({ length: BUCKETS }, () => 0);

  /** Counts one duration. What is longer than the last bucket counts there. */
  note(durationMs: number): void {
    const bucket = durationMs <= FIRST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log2(durationMs / FIRST_MS) * PER_DOUBLING));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  /** The counts so far. */
  read(): Counts {
    return [...this.#counts];
  }
}

/**
 * Subtracts an earlier look.
 *
 * @param now - counts
 * @param before - counts of the same thing, earlier
 * @returns what came in between
 */
export function subtractCounts(now: Counts, before: Counts): Counts {
  return now.map((count, bucket) => Math.max(0, count - (before[bucket] ?? 0)));
}

/**
 * Finds a percentile: the upper bound of its bucket.
 *
 * @param counts - what was counted
 * @param share - 0 to 1; 1: the longest
 * @returns milliseconds, at most 19 % above the true figure; 0 when all were shorter than an eighth of a millisecond, or there were none
 */
export function percentileOf(counts: Counts, share: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let left = Math.max(1, Math.ceil(total * share));
  if (total === 0) return 0;
  for (const [bucket, count] of counts.entries()) {
    left -= count;
    if (left <= 0) return bucket === 0 ? 0 : FIRST_MS * 2 ** (bucket / PER_DOUBLING);
  }
  return 0;
}
