// Randomness from a seed, so that a run can be repeated as far as the machine allows. Neighbours: every mode and the load draw from it.

/** A seeded generator. */
export class Random {
  #state: number;

  /**
   * @param seed - any integer; the same one draws the same numbers
   */
  constructor(seed: number) {
    this.#state = seed;
  }

  /** Next number, in [0, 1): mulberry32, whose first numbers differ also for seeds next to each other. */
  next(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Next integer from `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** One of a list. */
  pick<Item>(list: readonly [Item, ...Item[]]): Item {
    return list[this.integer(0, list.length - 1)] ?? list[0];
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}
