// Gives out lanes: the lowest one that is free. Neighbour: timeline.ts.

/** Lanes from 0. */
export class Lanes {
  /** A binary heap: the lowest free lane is the first. */
  readonly #free: number[] = [];
  #count = 0;

  /** How many lanes there are. */
  get count(): number {
    return this.#count;
  }

  /** Takes the lowest free lane. */
  take(): number {
    const [lowest] = this.#free;
    if (lowest === undefined) {
      this.#count += 1;
      return this.#count - 1;
    }
    const last = this.#free.pop();
    if (last !== undefined && this.#free.length > 0) this.#sink(last);
    return lowest;
  }

  /** Gives a lane back. */
  release(lane: number): void {
    let at = this.#free.push(lane) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = this.#free[above];
      if (parent === undefined || parent <= lane) break;
      this.#free[at] = parent;
      at = above;
    }
    this.#free[at] = lane;
  }

  /** Puts a lane in the place of the first. */
  #sink(lane: number): void {
    let at = 0;
    for (;;) {
      const [left = Infinity, right = Infinity] = [this.#free[at * 2 + 1], this.#free[at * 2 + 2]];
      const lower = Math.min(left, right);
      if (lane <= lower) break;
      this.#free[at] = lower;
      at = at * 2 + (left <= right ? 1 : 2);
    }
    this.#free[at] = lane;
  }
}
