// Long polls: callers that found nothing and wait, in order, until there is something, their time is up or their signal aborts.
// Neighbours: memory/ and sqlite/ keep one parking per queue and one for the waits on instances.
//
// Owns: the order of the callers, their timeouts and abort listeners, one wake-up timer. Does not own: what is handed out, and when a
// change happened; the provider says so by calling `serve`.
//
// I1. Serving has two halves. `serve` runs the attempts; the promises settle in `deliver`, which a provider calls after its commit.
//     After a rollback it calls `putBack` instead, and everybody waits on in the old order; after a commit of unknown fate `fail`.
// I2. A caller whose wait ends between the two halves gets what was taken for it: its items are locked and must not be lost.
// I3. When a wait ends, however it ends, its timer and its abort listener are gone. With nobody parked there is no timer at all.
import type { Clock } from '../types/clock.ts';

/** What a parking needs. */
export type ParkingOptions = {
  readonly clock: Clock;
  /**
   * True: the callers of a key compete for the same things, so after the first one that gets nothing the others of its key are not asked.
   * False: each caller waits for something of its own.
   */
  readonly competing: boolean;
  /** Called at the time that was set by `wakeAt`; should lead to a call of `serve`. */
  readonly onWake?: () => void;
};

/** One wait. */
export type ParkParams<Value> = {
  /** Which callers to serve together, such as an instance id. @default '' */
  readonly key?: string;
  /** How long to wait, in milliseconds; 0 or less: not at all. */
  readonly waitMs: number;
  /** Ends the wait early. */
  readonly signal?: AbortSignal | undefined;
  /** Takes something for this caller; null: there is nothing (yet). Runs inside `serve` only. */
  readonly attempt: () => Value | null;
  /** Makes the answer of a wait that ends without anything: timeout, abort, close. When it throws, the wait rejects. */
  readonly empty: () => Value;
};

/** What one call of `serve` has taken. Call one of the three functions, once. */
export type ServedRound = {
  /** How many callers got something. */
  readonly count: number;
  /** Answers those callers: what they took is committed. */
  deliver(): void;
  /** Rejects those callers: nobody knows whether what they took is committed. */
  fail(error: Error): void;
  /** Undoes the round: what they took was rolled back, they wait on. A caller whose wait has ended meanwhile is answered with nothing. */
  putBack(): void;
};

/** A class, for there may be tens of thousands: closures and records for each would be several times as large. */
class Caller<Value> {
  readonly params: ParkParams<Value>;
  readonly #resolve: (value: Value) => void;
  readonly #reject: (error: unknown) => void;
  /** Removes the abort listener, if any. */
  stopListening: () => void = doNothing;
  /** Cancels the timeout. */
  stopTimeout: () => void = doNothing;
  /** Between `serve` and `deliver` or `putBack`. */
  taken = false;
  /** The wait ended while the caller was taken. */
  over = false;

  constructor(params: ParkParams<Value>, resolve: (value: Value) => void, reject: (error: unknown) => void) {
    this.params = params;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Settles the promise with a value. */
  answer(value: Value): void {
    this.#resolve(value);
  }

  /** Settles the promise with an error. */
  fail(error: unknown): void {
    this.#reject(error);
  }

  /** Settles the promise with nothing. */
  giveUp(): void {
    try {
      this.#resolve(this.params.empty());
    } catch (error) {
      this.#reject(error);
    }
  }
}

/** An ordered list of waiting callers. */
export class Parking<Value> {
  readonly #clock: Clock;
  readonly #competing: boolean;
  readonly #onWake: () => void;
  /** Callers by key, in the order in which they came; the only one of a key stands there by itself. No key without callers. */
  readonly #callers = new Map<string, Caller<Value> | Set<Caller<Value>>>();
  #stopWake: () => void = doNothing;
  #closed = false;

  /**
   * @param options - clock of the waits, how callers relate, what to do at a wake-up time
   */
  constructor(options: ParkingOptions) {
    this.#clock = options.clock;
    this.#competing = options.competing;
    this.#onWake = options.onWake ?? doNothing;
  }

  /** True when nobody waits. */
  get isEmpty(): boolean {
    return this.#callers.size === 0;
  }

  /**
   * Adds a caller behind those who wait already. Does not attempt anything: try first, park when there was nothing.
   *
   * @param params - how long, until when, and for what
   * @returns what `attempt` took, or the value of `empty`: at once when there is no time, the signal has aborted or the parking is closed
   */
  park(params: ParkParams<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      const caller = new Caller(params, resolve, reject);
      if (this.#closed || params.waitMs <= 0 || params.signal?.aborted === true) caller.giveUp();
      else this.#add(caller);
    });
  }

  /**
   * Lets the waiting callers take what there is, oldest first. Synchronous, so it can run inside a transaction.
   *
   * @param key - only the callers of this key; without: all
   * @returns what was taken; finish it with `deliver` or `putBack`
   * @throws whatever an attempt throws; the round is put back then
   */
  serve(key?: string): ServedRound {
    const taken: { readonly caller: Caller<Value>; readonly value: Value }[] = [];
    const putBack = (): void => {
      for (const { caller } of taken) {
        caller.taken = false;
        if (caller.over) {
          this.#remove(caller);
          caller.giveUp();
        }
      }
    };
    const groups = key === undefined ? this.#callers.values() : [this.#callers.get(key) ?? []];
    try {
      for (const group of groups) {
        for (const caller of listOf(group)) {
          if (caller.taken) continue;
          const value = caller.params.attempt();
          if (value !== null) {
            caller.taken = true;
            taken.push({ caller, value });
          } else if (this.#competing) break;
        }
      }
    } catch (error) {
      putBack();
      throw error;
    }
    const deliver = (): void => {
      for (const { caller, value } of taken) {
        this.#remove(caller);
        caller.answer(value);
      }
    };
    const fail = (error: Error): void => {
      for (const { caller } of taken) {
        this.#remove(caller);
        caller.fail(error);
      }
    };
    return { count: taken.length, deliver, fail, putBack };
  }

  /**
   * Sets the time of the next wake-up, instead of the one set before. It is forgotten when the last caller leaves and not kept while there
   * is none: set it after `park` and after each change.
   *
   * @param atMs - when something becomes ready, epoch milliseconds; null: unknown or never
   */
  wakeAt(atMs: number | null): void {
    this.#stopWake();
    this.#stopWake = doNothing;
    if (atMs === null || this.isEmpty) return;
    this.#stopWake = this.#clock.setTimer(Math.max(0, atMs - this.#clock.nowMs()), () => {
      this.#stopWake = doNothing;
      this.#onWake();
    });
  }

  /** Ends all waits with nothing, and those that come later at once. Callers of an unfinished round are answered when it is finished. */
  closeAll(): void {
    this.#closed = true;
    for (const caller of this.#all()) this.#giveUp(caller);
  }

  /**
   * Ends all waits with an error; the parking stays open. Callers of an unfinished round are left to it.
   *
   * @param error - what they reject with
   */
  failAll(error: Error): void {
    for (const caller of this.#all()) {
      if (caller.taken) continue;
      this.#remove(caller);
      caller.fail(error);
    }
  }

  #all(): readonly Caller<Value>[] {
    return [...this.#callers.values()].flatMap((group) => [...listOf(group)]);
  }

  #add(caller: Caller<Value>): void {
    const { key = '', waitMs, signal } = caller.params;
    const group = this.#callers.get(key);
    if (group === undefined) this.#callers.set(key, caller);
    else if (group instanceof Caller) this.#callers.set(key, new Set([group, caller]));
    else group.add(caller);
    this.#startTimeout(caller, waitMs);
    if (signal === undefined) return;
    const onAbort = (): void => this.#giveUp(caller);
    signal.addEventListener('abort', onAbort);
    caller.stopListening = (): void => signal.removeEventListener('abort', onAbort);
  }

  #startTimeout(caller: Caller<Value>, waitMs: number): void {
    caller.stopTimeout = this.#clock.setTimer(
      waitMs,
      () => {
        caller.stopTimeout = doNothing;
        this.#giveUp(caller);
      },
      true,
    );
  }

  #giveUp(caller: Caller<Value>): void {
    if (caller.taken) {
      caller.over = true;
      return;
    }
    this.#remove(caller);
    caller.giveUp();
  }

  /** I3. Whoever removes a caller settles it. */
  #remove(caller: Caller<Value>): void {
    const key = caller.params.key ?? '';
    const group = this.#callers.get(key);
    if (group === caller) this.#callers.delete(key);
    else if (group instanceof Set) {
      group.delete(caller);
      // Behind the others: a key that never runs out of callers must not always come first.
      this.#callers.delete(key);
      if (group.size > 0) this.#callers.set(key, group);
    }
    caller.stopTimeout();
    caller.stopListening();
    if (this.isEmpty) this.wakeAt(null);
  }
}

function listOf<Value>(group: Caller<Value> | Iterable<Caller<Value>>): Iterable<Caller<Value>> {
  return group instanceof Caller ? [group] : group;
}

function doNothing(): void {
  // The initial value of the stop functions.
}
