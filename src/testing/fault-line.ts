// The connection between the caller and the store: calls on their way, and what ends them early. Neighbour: faulty.ts.
//
// L1. When the connection drops, every call on its way rejects at once, its wait in the store ends, and a request that was not sent yet is
//     never sent. What the store did already stays done.
// L2. While the connection is down no call gets through.
// L3. A call whose caller gives up (its signal) stops sleeping. After `wake` no call sleeps any more that was on its way then.
import type { Clock } from '../types/clock.ts';

/** A call on its way. */
export type Line = {
  /** Aborts when the caller gives up or the connection drops. */
  readonly signal: AbortSignal;
  /** The connection dropped: its caller was told. */
  readonly isLost: boolean;
  /** It does not sleep any more. */
  readonly isAwake: boolean;
};

/** A call on its way, as it changes. */
type OpenLine = { -readonly [Key in keyof Line]: Line[Key] } & { readonly drop: () => void; wake: () => void };

/** Calls on their way. */
export class FaultLines {
  readonly #clock: Clock;
  readonly #open = new Set<OpenLine>();
  #isDown = false;
  #stopTimer: (() => void) | null = null;

  /**
   * @param clock - times sleeps and disconnections
   */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** No call gets through. */
  get isDown(): boolean {
    return this.#isDown;
  }

  /**
   * Sends a call through the connection.
   *
   * @param caller - signal of the caller
   * @param work - what the call does
   * @param lost - makes the error that the caller gets when the connection drops meanwhile
   * @returns what `work` resolves with
   */
  open(caller: AbortSignal | undefined, work: (line: Line) => Promise<unknown>, lost: () => Error): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const controller = new AbortController();
      const line: OpenLine = {
        signal: controller.signal,
        isLost: false,
        isAwake: false,
        wake: doNothing,
        drop: () => {
          line.isLost = true;
          reject(lost());
          controller.abort();
        },
      };
      const onAbort = (): void => controller.abort(caller?.reason);
      if (caller?.aborted === true) onAbort();
      else caller?.addEventListener('abort', onAbort, { once: true });
      this.#open.add(line);
      void work(line)
        .then(resolve, reject)
        .finally(() => {
          this.#open.delete(line);
          caller?.removeEventListener('abort', onAbort);
        });
    });
  }

  /**
   * Drops the connection.
   *
   * @param ms - for how long, in milliseconds; null: until `reconnect`
   */
  disconnect(ms: number | null): void {
    this.#isDown = true;
    this.#stopTimer?.();
    this.#stopTimer = ms === null ? null : this.#clock.setTimer(ms, () => this.reconnect());
    for (const line of this.#open) line.drop();
  }

  /** Brings the connection back. */
  reconnect(): void {
    this.#isDown = false;
    this.#stopTimer?.();
    this.#stopTimer = null;
  }

  /**
   * Sleeps. Resolves when the time is up, when the line's signal aborts, or at `wake`.
   *
   * @param line - the call that sleeps
   * @param ms - how long, in milliseconds; null: without limit
   */
  sleep(line: Line, ms: number | null): Promise<void> {
    if (line.isAwake || line.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = line as OpenLine;
      let stopTimer = doNothing;
      sleeper.wake = () => {
        stopTimer();
        resolve();
      };
      line.signal.addEventListener('abort', sleeper.wake, { once: true });
      if (ms !== null) stopTimer = this.#clock.setTimer(ms, sleeper.wake);
    });
  }

  /** Ends all sleeps of the calls that are on their way. */
  wake(): void {
    for (const line of this.#open) {
      line.isAwake = true;
      line.wake();
    }
  }
}

function doNothing(): void {
  // Where there is nothing to end.
}
