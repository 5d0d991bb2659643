// A clock that stands still until a test moves it. Part of the public API for tests of orchestrations. Neighbour: system-clock.ts, the real one.
//
// I1. Time moves only in `advance`, `runToNextTimer` and `jump`.
// I2. Timers follow elapsed time, not the time of day: as on a real machine, a `jump` neither fires them nor changes how long they still take.
// I3. Timers fire in the order of their due times, ties in the order of creation, each with `nowMs()` at its due time; those in the background
//     may fire later, at the next stop of the clock. Between two due times, and after each that is not in the background, the event loop settles.
import type { Clock } from '../types/clock.ts';
import { ArgumentError } from '../types/errors.ts';
import { MAX_DURATION_MS } from '../types/limits.ts';
import { show } from '../types/show.ts';

/** How many turns the event loop makes between timers after nothing is deferred any more: what crosses a port of Node takes some. */
const SETTLE_TURNS = 3;

/** Taken before guards or the fake timers of a test runner replace it. */
const { setImmediate } = globalThis;

type Timer = { readonly dueMs: number; readonly callback: () => void; readonly background: boolean };

/**
 * A clock for tests: hours pass in microseconds, and every run is the same.
 *
 * @example
 * const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
 * const provider = new MemoryProvider({ clock });
 * await clock.advance(60_000); // fires what is due within a minute, in order
 */
export class SimulatedClock implements Clock {
  /** Time since the start without jumps; what timers are measured by. */
  #elapsedMs = 0;
  /** Time of day at `#elapsedMs` 0, jumps included. */
  #originMs: number;
  /** In the order in which they fire (I3). */
  readonly #timers: Timer[] = [];
  #isMoving = false;
  /** Calls of `defer` that were not made yet. */
  #deferred = 0;

  /**
   * @param startMs - time at the start, epoch milliseconds
   * @throws {ArgumentError} when it is no whole number
   */
  constructor(startMs: number) {
    this.#originMs = assertWholeMs(startMs, 'startMs');
  }

  /**
   * Tells the simulated time.
   *
   * @returns the time, epoch milliseconds
   */
  nowMs(): number {
    return this.#originMs + this.#elapsedMs;
  }

  /**
   * Tells how far the clock was moved.
   *
   * @returns milliseconds since the start, jumps not counted
   */
  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /**
   * Calls back once in a later turn of the real event loop.
   *
   * @param callback - what to call
   */
  defer(callback: () => void): void {
    this.#deferred += 1;
    setImmediate(() => {
      this.#deferred -= 1;
      callback();
    });
  }

  /**
   * Calls back once when the time was advanced far enough.
   *
   * @param delayMs - how long, in milliseconds; as in Node, less than 1 means 1, and no timer takes more than 100 years
   * @param callback - what to call; what it throws rejects the `advance` that fired it
   * @param background - the clock does not stop for it: it fires at the next stop. @default false
   * @returns a function that cancels the timer
   */
  setTimer(delayMs: number, callback: () => void, background = false): () => void {
    // A timer that is set again and again without delay would keep `advance` from ever getting on. NaN fails the comparison, too.
    const wholeMs = delayMs > 1 ? Math.ceil(delayMs) : 1;
    const timer: Timer = { dueMs: this.#elapsedMs + Math.min(wholeMs, MAX_DURATION_MS), callback, background };
    this.#timers.splice(this.#timers.findLastIndex((other) => other.dueMs <= timer.dueMs) + 1, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  /** How many timers wait. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** When the next timer is due for which the clock stops, epoch milliseconds; null: none waits. */
  get nextTimerAtMs(): number | null {
    const dueMs = this.#nextStopMs();
    return dueMs === null ? null : this.#originMs + dueMs;
  }

  /** When the last timer is due for which the clock stops, epoch milliseconds; null: none waits. */
  get lastTimerAtMs(): number | null {
    const last = this.#timers.findLast(({ background }) => !background);
    return last === undefined ? null : this.#originMs + last.dueMs;
  }

  /**
   * Moves the time on. Stops at every timer that is due on the way, also at those that are set meanwhile, calls it and lets the event loop
   * settle, so that what the timer caused happens at its time. Settles before the first and after the last one, too.
   *
   * @param ms - how far, in milliseconds; 0 only lets the event loop settle
   * @returns when the time is `ms` later
   * @throws {ArgumentError} when `ms` is no whole number or negative, or when the clock is being moved already
   */
  async advance(ms: number): Promise<void> {
    if (assertWholeMs(ms, 'ms') < 0) throw new ArgumentError(`Expected ms to be 0 or more, got ${ms}. Use jump() to set the clock back`);
    await this.#move(() => this.#elapsedMs + ms);
  }

  /**
   * Moves the time on to the next timer for which the clock stops and fires it, with all timers that are due by then.
   *
   * @returns false when none waits: the time stays then
   * @throws {ArgumentError} when the clock is being moved already
   */
  async runToNextTimer(): Promise<boolean> {
    return await this.#move(() => this.#nextStopMs() ?? this.#elapsedMs);
  }

  /**
   * Sets the time of day forward or back, as a correction of the machine's clock does. No timer fires by it, and each still takes as long as
   * before.
   *
   * @param ms - how far, in milliseconds; negative: back
   * @throws {ArgumentError} when it is no whole number
   */
  jump(ms: number): void {
    this.#originMs += assertWholeMs(ms, 'ms');
  }

  /** Moves to a target that is asked for once everything that was under way before has had its turn. Tells whether a timer fired. */
  async #move(target: () => number): Promise<boolean> {
    if (this.#isMoving) throw new ArgumentError('Expected one advance() or runToNextTimer() at a time: await it before the next one');
    this.#isMoving = true;
    let fired = false;
    try {
      await this.#settle();
      const targetMs = target();
      for (;;) {
        this.#elapsedMs = Math.max(this.#elapsedMs, Math.min(this.#nextStopMs() ?? targetMs, targetMs));
        const timer = this.#timers[0];
        if (timer === undefined || timer.dueMs > this.#elapsedMs) break;
        this.#timers.shift();
        fired = true;
        timer.callback();
        const next = this.#timers[0];
        const isOneOfMany = timer.background && next !== undefined && next.background && next.dueMs === timer.dueMs;
        if (!isOneOfMany) await this.#settle();
      }
    } finally {
      this.#isMoving = false;
    }
    return fired;
  }

  /** When the next timer is due that is no background, by `#elapsedMs`. */
  #nextStopMs(): number | null {
    return this.#timers.find(({ background }) => !background)?.dueMs ?? null;
  }

  /** Lets the event loop turn until everything that was deferred has run, and what that deferred. */
  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < SETTLE_TURNS; quiet += 1) {
      if (this.#deferred > 0) quiet = 0;
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
  }
}

function assertWholeMs(value: number, what: string): number {
  if (!Number.isSafeInteger(value)) throw new ArgumentError(`Expected ${what} to be a whole number of milliseconds, got ${show(value)}`);
  return value;
}
