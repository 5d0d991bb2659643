// The order in which things become ready to be fetched: a binary heap. Neighbours: ready-groups.ts keeps one for each group, work-queue.ts
// one for what will expire and one for what has.
//
// I1. An entry is in the heap if and only if its `readyAtMs` is not null, and then `heapIndex` is its place; only this class changes the two.
// I2. No entry comes before its parent, the one at `(index - 1) >> 1`. So the first entry is the one that is ready first, and a change costs
//     O(log n): a hundred thousand sleeping instances do not slow down one that is awake.

/** What has a place in a ready order. */
export type Placed = {
  /** When it can be fetched, epoch milliseconds; null: never, as things are. */
  readyAtMs: number | null;
  /** -1: not in the order. */
  heapIndex: number;
};

/** Entries by the time from which they can be fetched. */
export class ReadyOrder<Entry extends Placed> {
  readonly #heap: Entry[] = [];
  readonly #winsTie: (entry: Entry, other: Entry) => boolean;

  /**
   * @param winsTie - true when `entry` comes before `other` though both are ready at the same time
   */
  constructor(winsTie: (entry: Entry, other: Entry) => boolean) {
    this.#winsTie = winsTie;
  }

  /** The entry that is ready first; undefined when there is none. */
  get first(): Entry | undefined {
    return this.#heap[0];
  }

  /** When the first entry is ready, epoch milliseconds; null when there is none. */
  get firstReadyAtMs(): number | null {
    return this.#heap[0]?.readyAtMs ?? null;
  }

  /**
   * Takes out the entry that is ready longest. Whoever fetches it places it anew, at the expiry of its lock.
   *
   * @param nowMs - the time, epoch milliseconds
   * @returns the entry; undefined when none is ready
   */
  takeReady(nowMs: number): Entry | undefined {
    const [first] = this.#heap;
    if (first === undefined || timeOf(first) > nowMs) return undefined;
    this.place(first, null);
    return first;
  }

  /**
   * Moves an entry to another time.
   *
   * @param entry - the entry, in the order or not
   * @param readyAtMs - when it can be fetched; null takes it out
   */
  place(entry: Entry, readyAtMs: number | null): void {
    if (entry.heapIndex >= 0) this.#remove(entry);
    entry.readyAtMs = readyAtMs;
    if (readyAtMs === null) return;
    this.#put(entry, this.#heap.length);
    this.#rise(entry);
  }

  #remove(entry: Entry): void {
    const index = entry.heapIndex;
    entry.heapIndex = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    this.#put(last, index);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(entry: Entry): void {
    while (entry.heapIndex > 0) {
      const parent = this.#heap[(entry.heapIndex - 1) >> 1];
      if (parent === undefined || !this.#isBefore(entry, parent)) return;
      this.#swap(entry, parent);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.heapIndex + 1];
      const right = this.#heap[2 * entry.heapIndex + 2];
      const child = left !== undefined && right !== undefined && this.#isBefore(right, left) ? right : left;
      if (child === undefined || !this.#isBefore(child, entry)) return;
      this.#swap(child, entry);
    }
  }

  #swap(entry: Entry, other: Entry): void {
    const index = entry.heapIndex;
    this.#put(entry, other.heapIndex);
    this.#put(other, index);
  }

  #put(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.heapIndex = index;
  }

  #isBefore(entry: Entry, other: Entry): boolean {
    const [entryMs, otherMs] = [timeOf(entry), timeOf(other)];
    return entryMs === otherMs ? this.#winsTie(entry, other) : entryMs < otherMs;
  }
}

function timeOf(entry: Placed): number {
  return entry.readyAtMs ?? Number.POSITIVE_INFINITY;
}
