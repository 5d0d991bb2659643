// The ports over which main and a loop exchange batches: those of Node between threads, or a pair within one thread, for loops that run inline.
//
// I1. Messages arrive in the order in which they were posted, each in a later turn of the event loop, none before somebody listens.
// I2. When one end is closed, both are told once, and what has not arrived by then never does.
import type { Clock } from '../types/clock.ts';
import type { Wire } from './messages.ts';

/** One end of a channel for batches. Node's `MessagePort` is one. */
export interface WorkPort {
  postMessage(wire: Wire): void;
  on(event: 'message', listener: (wire: Wire) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  close(): void;
}

/**
 * Makes a channel within this thread. Batches are handed over as they are, not copied.
 *
 * @param mainClock - whose `defer` carries the messages to the first end
 * @param loopClock - whose `defer` carries those to the second one
 * @returns its two ends
 */
export function makeInlineChannel(mainClock: Clock, loopClock: Clock): readonly [WorkPort, WorkPort] {
  const main = new InlinePort(mainClock);
  const loop = new InlinePort(loopClock);
  main.peer = loop;
  loop.peer = main;
  return [main, loop];
}

class InlinePort implements WorkPort {
  peer: InlinePort | null = null;
  readonly #clock: Clock;
  #inbox: Wire[] = [];
  #onMessage: ((wire: Wire) => void) | null = null;
  readonly #onClose: (() => void)[] = [];
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  postMessage(wire: Wire): void {
    this.peer?.receive(wire);
  }

  on(event: 'message', listener: (wire: Wire) => void): void;
  on(event: 'close', listener: () => void): void;
  on(event: 'message' | 'close', listener: (wire: Wire) => void): void {
    if (event === 'close') this.#onClose.push(listener as () => void);
    else {
      this.#onMessage = listener;
      for (const _ of this.#inbox) this.#deliverLater();
    }
  }

  close(): void {
    for (const end of [this, this.peer]) end?.shut();
  }

  receive(wire: Wire): void {
    if (this.#isClosed) return;
    this.#inbox.push(wire);
    if (this.#onMessage !== null) this.#deliverLater();
  }

  shut(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inbox = [];
    this.#clock.defer(() => {
      for (const listener of this.#onClose) listener();
    });
  }

  /** I1: one call for each message in the inbox. */
  #deliverLater(): void {
    this.#clock.defer(() => {
      const wire = this.#inbox.shift();
      if (wire !== undefined) this.#onMessage?.(wire);
    });
  }
}
