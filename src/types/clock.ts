// Time as a dependency, so that tests run on a simulated clock. Neighbour: provider/system-clock.ts is the real one.

/** The time and timers of a provider or runtime. */
export interface Clock {
  /** Current time, epoch milliseconds. */
  nowMs(): number;
  /**
   * Calls back once after a delay. Does not keep the process alive.
   *
   * @param delayMs - how long, in milliseconds
   * @param callback - what to call
   * @returns a function that cancels the timer
   */
  setTimer(delayMs: number, callback: () => void): () => void;
}
