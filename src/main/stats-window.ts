// Two looks at counters that only go up: now, and at the begin of the window. Any number of readers, no timer: a look is kept when somebody reads.
// Neighbours: runtime-figures.ts makes a look, and subtracts one from another.

/** How far the window reaches back at least, in milliseconds. Reason: shorter ones show noise. */
const WINDOW_MS = 1_000;
/** Looks are kept when the one before is this old, in milliseconds. Reason: who reads in a loop must not fill the memory. */
const KEEP_AFTER_MS = 100;

/** Keeps the looks of the last second, and one that is older. */
export class StatsWindow<Look extends { readonly atMs: number }> {
  readonly #look: () => Look;
  #kept: readonly [Look, ...Look[]];

  /**
   * @param look - reads all counters
   */
  constructor(look: () => Look) {
    this.#look = look;
    this.#kept = [look()];
  }

  /** Reads. `since` is the latest look that is at least a second old; without one the first. */
  read(): { readonly now: Look; readonly since: Look } {
    const now = this.#look();
    const old = this.#kept.findLastIndex(({ atMs }) => now.atMs - atMs >= WINDOW_MS);
    const [since = now, ...younger] = this.#kept.slice(Math.max(0, old));
    const last = younger.at(-1) ?? since;
    this.#kept = now.atMs - last.atMs >= KEEP_AFTER_MS ? [since, ...younger, now] : [since, ...younger];
    return { now, since };
  }
}
