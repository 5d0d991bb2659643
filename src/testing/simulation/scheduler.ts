// Virtual time and the order of everything that happens in a simulated world. Neighbours: world.ts puts processes on it, types/clock.ts is the
// seam through which everything else sees it.
//
// S1. Nothing runs but what was given to a lane, one callback at a time; microtasks are drained after each, before the next one is chosen.
// S2. Callbacks of one lane run in the order in which they were given. Which lane is next is drawn.
// S3. Time moves to the next timer when nothing can run, and by a little, drawn, while something can. It never moves back; only the time of
//     day jumps.
// S4. Nothing is random but by the seed, and nothing depends on real time: equal seeds and callbacks give an equal order.
import { setImmediate } from 'node:timers';
import type { SeededRandom } from '../../replay/random.ts';
import { chooseDrain } from '../../threads/drain.ts';
import type { Clock } from '../../types/clock.ts';
import { MAX_DURATION_MS } from '../../types/limits.ts';

/** One in this many callbacks takes time. */
const SLOW_ODDS = 8;
/** Longest time that a callback takes, in milliseconds. */
const SLOW_MS = 3;
/** How slow lanes are, in parts of the slowest: most threads are fast, and some stand in the way of everything. */
const SPEEDS = [0, 0, 0, 0.05, 0.3, 1];
/** Over a longer time in which nothing else happens, timers in the background fire once, at its end, in milliseconds. */
const FAR_MS = 120_000;
/** Callbacks between two turns of the real event loop. Reason: a host that simulates stays alive, and what is real and was begun goes on. */
const STEPS_PER_TURN = 1_000;
/** Real turns without anything new after which nothing is expected any more. */
const QUIET_TURNS = 3;

type Timer = {
  readonly dueMs: number;
  readonly lane: Lane;
  readonly callback: () => void;
  readonly background: boolean;
  /** It may be due already and wait for its lane. */
  isCancelled: boolean;
};

/** Lanes that stop together, such as the threads of a process. */
export class LaneGroup {
  /** Nothing in it runs before, by elapsed time. */
  frozenUntilMs = 0;
}

/** A thread of the simulated world: a clock whose callbacks run in order, between those of all other lanes. */
export class Lane implements Clock {
  readonly name: string;
  readonly group: LaneGroup;
  /** Nothing in it runs before, by elapsed time. */
  frozenUntilMs = 0;
  /** How slow it is, in parts of the slowest. */
  readonly slowness: number;
  /** What is to run, oldest first. */
  readonly queue: (() => void)[] = [];
  readonly #scheduler: Scheduler;
  readonly #onThread: (lane: Lane) => void;

  constructor(
    scheduler: Scheduler,
    { name, group, slowness, onThread }: Readonly<Pick<Lane, 'name' | 'group' | 'slowness'> & { onThread: (lane: Lane) => void }>,
  ) {
    this.#scheduler = scheduler;
    this.name = name;
    this.group = group;
    this.slowness = slowness;
    this.#onThread = onThread;
  }

  nowMs(): number {
    return this.#scheduler.nowMs;
  }

  monotonicMs(): number {
    return this.#scheduler.elapsedMs;
  }

  setTimer(delayMs: number, callback: () => void, background = false): () => void {
    return this.#scheduler.setTimer(this, delayMs, callback, background);
  }

  defer(callback: () => void): void {
    this.#scheduler.give(this, callback);
  }

  thread(name: string): Clock {
    const lane = this.#scheduler.lane(`${this.name} ${name}`, { group: this.group });
    this.#onThread(lane);
    return lane;
  }

  /** Resolves later. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.setTimer(ms, resolve);
    });
  }
}

/** How a run ended. `quiet`: nothing is left to do. `limit`: there was no end to it. */
export type RunEnd = 'quiet' | 'limit';

/** The order of a world. */
export class Scheduler {
  /** Called after each callback. Whoever makes trouble does it here: between callbacks is where something is under way. */
  onStep: (() => void) | null = null;
  /** Longest time that a callback takes in the slowest lane, in milliseconds; other lanes go on meanwhile. */
  slowMs: number;
  readonly #random: SeededRandom;
  #elapsedMs = 0;
  #originMs: number;
  /** In the order in which they fire. */
  readonly #timers: Timer[] = [];
  /** Those that keep the world going. */
  #foreground = 0;
  /** Lanes with something to run. */
  readonly #busy: Lane[] = [];
  #steps = 0;

  /**
   * @param random - draws the order
   * @param options - `startMs`: time of day at the start, epoch milliseconds; `slowMs`: longest time that a callback takes in a slow lane
   */
  constructor(random: SeededRandom, { startMs, slowMs }: { readonly startMs: number; readonly slowMs: number }) {
    this.#random = random;
    this.#originMs = startMs;
    this.slowMs = slowMs;
  }

  /** Time of day, epoch milliseconds. */
  get nowMs(): number {
    return this.#originMs + this.#elapsedMs;
  }

  /** Time since the start, in milliseconds. */
  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** How many callbacks have run. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Makes a lane.
   *
   * @param name - for traces
   * @param options - `group`: stops with it; `onThread`: is told of the lanes that are made for its threads
   */
  lane(name: string, options: { readonly group?: LaneGroup; readonly onThread?: (lane: Lane) => void } = {}): Lane {
    const { group = new LaneGroup(), onThread = () => undefined } = options;
    const slowness = SPEEDS[this.#random.nextUint32() % SPEEDS.length] ?? 0;
    return new Lane(this, { name, group, slowness, onThread });
  }

  /** Sets the time of day forward or back; no timer moves by it. */
  jump(ms: number): void {
    this.#originMs += ms;
  }

  /** Puts a callback into a lane. */
  give(lane: Lane, callback: () => void): void {
    if (lane.queue.length === 0) this.#busy.push(lane);
    lane.queue.push(callback);
  }

  /** Puts a callback into a lane later. Returns a function that takes it back. */
  setTimer(lane: Lane, delayMs: number, callback: () => void, background: boolean): () => void {
    // As in Node, less than 1 means 1; NaN fails the comparison, too.
    const wholeMs = delayMs > 1 ? Math.min(Math.ceil(delayMs), MAX_DURATION_MS) : 1;
    const timer: Timer = { dueMs: this.#elapsedMs + wholeMs, lane, callback, background, isCancelled: false };
    this.#timers.splice(this.#timers.findLastIndex((other) => other.dueMs <= timer.dueMs) + 1, 0, timer);
    if (!background) this.#foreground += 1;
    return () => {
      timer.isCancelled = true;
      const index = this.#timers.indexOf(timer);
      if (index < 0) return;
      this.#timers.splice(index, 1);
      if (!background) this.#foreground -= 1;
    };
  }

  /**
   * Runs until nothing is left to do: timers in the background do not count.
   *
   * @param maxSteps - callbacks after which it is given up
   * @param isOver - ends it earlier; asked now and then
   * @returns how it ended; rejects with what a callback throws
   */
  async run(maxSteps: number, isOver: () => boolean = () => false): Promise<RunEnd> {
    const drain = await chooseDrain();
    const limit = this.#steps + maxSteps;
    let quietTurns = 0;
    while (quietTurns < QUIET_TURNS && !isOver()) {
      const before = this.#steps;
      // A synchronous drain works from a macrotask only, and so do the replay loops of the world.
      const end = Math.min(this.#steps + STEPS_PER_TURN, limit);
      if (drain.synchronous) await fromMacrotask(() => this.#runSome(drain.run, end));
      else await this.#runSomeSlowly(drain.run, end);
      if (this.#steps >= limit) return 'limit';
      quietTurns = this.#steps === before ? quietTurns + 1 : 0;
    }
    return 'quiet';
  }

  #runSome(drain: () => void, end: number): void {
    drain();
    while (this.#steps < end && this.#step()) drain();
  }

  async #runSomeSlowly(drain: () => Promise<void>, end: number): Promise<void> {
    await drain();
    while (this.#steps < end && this.#step()) await drain();
  }

  /** Runs one callback. Returns false when there is none. */
  #step(): boolean {
    let lane = this.#pick();
    while (lane === null) {
      if (!this.#moveOn()) return false;
      lane = this.#pick();
    }
    const callback = lane.queue.shift();
    if (lane.queue.length === 0) this.#busy.splice(this.#busy.indexOf(lane), 1);
    this.#steps += 1;
    callback?.();
    const slowMs = Math.floor(lane.slowness * this.slowMs);
    if (slowMs > 0) lane.frozenUntilMs = this.#elapsedMs + (this.#random.nextUint32() % (slowMs + 1));
    this.onStep?.();
    if (this.#random.nextUint32() % SLOW_ODDS === 0) this.#moveTo(this.#elapsedMs + (this.#random.nextUint32() % (SLOW_MS + 1)));
    return true;
  }

  #pick(): Lane | null {
    const { length } = this.#busy;
    if (length === 0) return null;
    const first = length === 1 ? 0 : this.#random.nextUint32() % length;
    for (let offset = 0; offset < length; offset += 1) {
      const lane = this.#busy[(first + offset) % length];
      if (lane !== undefined && thawsAtMs(lane) <= this.#elapsedMs) return lane;
    }
    return null;
  }

  /** Nothing can run: goes on to what comes next. Returns false when nothing does. */
  #moveOn(): boolean {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#busy) nextMs = Math.min(nextMs, thawsAtMs(lane));
    if (this.#foreground > 0) nextMs = Math.min(nextMs, this.#timers.find(({ background }) => !background)?.dueMs ?? nextMs);
    if (nextMs === Number.POSITIVE_INFINITY) return false;
    // What is in the background comes on the way, but nobody housekeeps a year long.
    const isFar = nextMs - this.#elapsedMs > FAR_MS;
    this.#moveTo(isFar ? nextMs : Math.min(nextMs, this.#timers[0]?.dueMs ?? nextMs));
    return true;
  }

  /** Moves the time, and gives what is due to its lanes. */
  #moveTo(elapsedMs: number): void {
    this.#elapsedMs = Math.max(this.#elapsedMs, elapsedMs);
    while ((this.#timers[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= this.#elapsedMs) {
      const timer = this.#timers.shift();
      if (timer === undefined) return;
      if (!timer.background) this.#foreground -= 1;
      this.give(timer.lane, () => {
        if (!timer.isCancelled) timer.callback();
      });
    }
  }
}

function thawsAtMs(lane: Lane): number {
  return Math.max(lane.frozenUntilMs, lane.group.frozenUntilMs);
}

function fromMacrotask(run: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        run();
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
}
