// Decides when simulated time may pass in a test runtime, and lets it pass. Neighbours: test-runtime.ts, activity-calls.ts (what keeps time
// still), provider/simulated-clock.ts (what moves).
//
// S1. Time passes only here, and only while the test waits for something: for an instance, for an activity, or for time itself (`advance`).
// S2. Time passes only at rest: everything deferred was done, no turn is in flight, the store has answered, and no activity keeps time still.
//     Until then real time passes: it takes what I/O takes.
// S3. Time goes to the next timer and no further, for `advance` at most to its end. What happens then comes to rest before time goes on.
// S4. What the test waited for is given to it at the time at which it happened: the test goes on before time does.
// S5. When every timer that was set has fired and nothing came of it, nothing can happen any more: what is set anew meanwhile is housekeeping,
//     such as the renewal of a lease. After a last look of those who poll, every wait that has no end rejects with `TEST_STUCK`, which says
//     what each instance waits for.
// S6. Nothing here is shared with other runtimes: several skip side by side, and each gives way to the event loop at every step.
import type { SimulatedClock } from '../provider/simulated-clock.ts';

/** Taken before the fake timers of a test runner replace them. */
const { setTimeout, clearTimeout } = globalThis;

/** What keeps time from passing: nothing; something that is done in a few turns of the event loop; something that says when it is done. */
export type Business = 'none' | 'soon' | 'real';

/** What a skipper needs. */
export type TimeSkipperOptions = {
  readonly clock: SimulatedClock;
  /** Asked when everything deferred was done. */
  readonly business: () => Business;
  /** Grows with everything that happens. */
  readonly progress: () => number;
  /** How long polls may look once more before it is said that nothing can happen any more, in milliseconds of simulated time. */
  readonly lastLookMs: number;
  /** Makes the error of S5. */
  readonly explain: (waits: readonly string[]) => Promise<Error>;
  /** After how much real time without an end of the waits to say why, in milliseconds. */
  readonly slowMs: number;
  readonly onSlow: (waits: readonly string[]) => void;
};

type Wait = {
  /** What for, in words. */
  readonly what: string;
  /** When it is over, by the clock's monotonic time; infinite: when something else happens. */
  readonly untilMs: number;
  /** Ends the wait when it is over; not asked for waits that hear of it by themselves. */
  readonly answer: (business: Business) => boolean;
  readonly fail: (error: Error) => void;
};

/** Steps of the last look, in milliseconds: no poll of duraloom's own is more frequent. */
const LOOK_MS = 250;

/** Lets time pass for one test runtime. */
export class TimeSkipper {
  readonly #options: TimeSkipperOptions;
  readonly #waits = new Set<Wait>();
  #isRunning = false;
  /** The clock has just come to rest. */
  #isSettled = false;
  #wake: () => void = doNothing;
  #stopSlow: () => void = doNothing;
  /** Since this progress nothing has happened; null: look anew. Until this time, by the clock's monotonic time, something may (S5). */
  #quiet: { readonly progress: number; readonly horizonMs: number } | null = null;
  #problem: { readonly error: Error; wasHeard: boolean } | null = null;

  constructor(options: TimeSkipperOptions) {
    this.#options = options;
  }

  /** What makes the test pointless and no wait has told yet; null: nothing. */
  get unheardProblem(): Error | null {
    return this.#problem === null || this.#problem.wasHeard ? null : this.#problem.error;
  }

  /**
   * Lets time pass as long as something takes.
   *
   * @param what - what the test waits for
   * @param wait - waits; gives up with the reason of its signal
   * @returns what the wait gives
   */
  async during<Value>(what: string, wait: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    const controller = new AbortController();
    const fail = (error: Error): void => controller.abort(error);
    const entry = this.#enter({ what, untilMs: Number.POSITIVE_INFINITY, answer: () => false, fail });
    try {
      return await wait(controller.signal);
    } finally {
      this.#leave(entry);
    }
  }

  /**
   * Lets time pass until something is so.
   *
   * @param what - what the test waits for
   * @param check - asked whenever something may have happened; undefined: not yet
   * @returns what the check gave
   */
  until<Value>(what: string, check: () => Value | undefined): Promise<Value> {
    return new Promise((resolve, reject) => {
      const answer = (): boolean => {
        const value = check();
        if (value !== undefined) resolve(value);
        return value !== undefined;
      };
      this.#enter({ what, untilMs: Number.POSITIVE_INFINITY, answer, fail: reject });
    });
  }

  /**
   * Lets a stretch of time pass.
   *
   * @param ms - how long, in whole milliseconds
   * @returns when the time has passed and all is at rest
   */
  advance(ms: number): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + ms;
    return new Promise((resolve, reject) => {
      const answer = (business: Business): boolean => {
        const isOver = business === 'none' && clock.monotonicMs() >= untilMs;
        if (isOver) resolve();
        return isOver;
      };
      this.#enter({ what: `${ms} ms to pass`, untilMs, answer, fail: reject });
    });
  }

  /** Something has happened that may let time pass. */
  changed(): void {
    this.#wake();
  }

  /**
   * Ends all waits, and those that come later.
   *
   * @param error - why the test is pointless
   */
  fail(error: Error): void {
    this.#problem ??= { error, wasHeard: false };
    this.#failAll(this.#problem.error);
  }

  #enter(wait: Wait): Wait {
    if (this.#waits.size === 0) {
      const timer = setTimeout(() => this.#options.onSlow(this.#describe()), this.#options.slowMs);
      timer.unref();
      this.#stopSlow = () => clearTimeout(timer);
    }
    this.#waits.add(wait);
    this.#quiet = null;
    this.changed();
    if (!this.#isRunning) {
      this.#isRunning = true;
      // Never rejects.
      void this.#run();
    }
    return wait;
  }

  #leave(wait: Wait): void {
    this.#waits.delete(wait);
    if (this.#waits.size === 0) this.#stopSlow();
    this.changed();
  }

  #failAll(error: Error): void {
    for (const wait of this.#waits) {
      if (this.#problem?.error === error) this.#problem.wasHeard = true;
      this.#leave(wait);
      wait.fail(error);
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#waits.size > 0) await this.#step();
    } catch (error) {
      // A callback of a timer threw.
      this.#failAll(error as Error);
    }
    this.#isRunning = false;
  }

  async #step(): Promise<void> {
    const { clock, business: ask } = this.#options;
    if (!this.#isSettled) await clock.advance(0);
    this.#isSettled = false;
    if (this.#problem !== null) this.#failAll(this.#problem.error);
    const business = ask();
    const answered = [...this.#waits].filter((wait) => wait.answer(business));
    for (const wait of answered) this.#leave(wait);
    // S4.
    if (answered.length > 0 || this.#waits.size === 0 || business === 'soon') return;
    if (business === 'none') {
      await this.#pass();
      this.#isSettled = true;
    } else {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = doNothing;
    }
  }

  /** S3, S5. */
  async #pass(): Promise<void> {
    const { clock, lastLookMs, progress, explain } = this.#options;
    const nowMs = clock.monotonicMs();
    const monotonic = (atMs: number | null): number | null => (atMs === null ? null : nowMs + atMs - clock.nowMs());
    if (this.#quiet?.progress !== progress()) {
      this.#quiet = { progress: progress(), horizonMs: (monotonic(clock.lastTimerAtMs) ?? nowMs) + lastLookMs };
    }
    const untilMs = Math.min(...Array.from(this.#waits, (wait) => wait.untilMs));
    const stopMs = monotonic(clock.nextTimerAtMs) ?? Number.POSITIVE_INFINITY;
    const isOpen = untilMs === Number.POSITIVE_INFINITY;
    if (isOpen && nowMs >= this.#quiet.horizonMs) this.#failAll(await explain(this.#describe()));
    else if (stopMs < Number.POSITIVE_INFINITY && stopMs <= untilMs) await clock.runToNextTimer();
    else await clock.advance(isOpen ? LOOK_MS : untilMs - nowMs);
  }

  #describe(): readonly string[] {
    return Array.from(this.#waits, ({ what }) => what);
  }
}

function doNothing(): void {
  // Nobody is to be woken, nothing is to be stopped.
}
