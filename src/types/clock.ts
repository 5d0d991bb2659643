// Time as a dependency, so that tests run on a simulated clock. Neighbour: provider/system-clock.ts is the real one.
import { hasMethods } from './arguments.ts';

/** The time and timers of a provider or runtime. */
export interface Clock {
  /** Current time of day, epoch milliseconds. It may jump, forward and back. */
  nowMs(): number;
  /** Milliseconds since some moment, with fractions: only moves forward, at the pace of the timers. For durations. */
  monotonicMs(): number;
  /**
   * Calls back once after a delay. Does not keep the process alive.
   *
   * @param delayMs - how long, in milliseconds
   * @param callback - what to call
   * @param background - housekeeping that may come late without harm: a clock that skips time does not stop for it. @default false
   * @returns a function that cancels the timer
   */
  setTimer(delayMs: number, callback: () => void, background?: boolean): () => void;
  /**
   * Calls back once in a later turn of the event loop, in the order of the calls. Keeps the process alive until then.
   *
   * @param callback - what to call
   */
  defer(callback: () => void): void;
  /**
   * Gives the clock of a loop that would be another thread: same time, an order of its own for what it defers. Left out: one order for all.
   *
   * @param name - what runs by it
   */
  thread?(name: string): Clock;
}

/**
 * Tells whether something can be used as a clock.
 *
 * @param value - what a caller gave
 */
export function isClock(value: unknown): value is Clock {
  return hasMethods(value, ['nowMs', 'monotonicMs', 'setTimer', 'defer']);
}
