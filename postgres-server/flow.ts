// One direction of a connection through the proxy. Neighbour: proxy.ts makes two for each connection, and decides what may pass.
//
// W1. What one side sends keeps its order, and its end is sent like a piece of data: it passes after all that came before it, delayed like it.
// W2. One piece at a time is given on, and what waits is bounded: a sender feels how slow the other side is.
import { setTimeout as pause } from 'node:timers/promises';
import type { Socket } from 'node:net';

/** What is the same for all connections of a proxy, at the moment. */
export type Way = {
  /** How much longer a piece takes. */
  readonly delayMs: number;
  /** Comes when something may pass again; null: it may. */
  readonly blocked: Signal | null;
};

/** Something that comes once. */
export type Signal = { readonly promise: Promise<void>; readonly resolve: () => void };

type Piece = { readonly what: Buffer | 'end' | 'reset'; readonly dueAtMs: number };

/** Nothing more is read while so much waits. */
const MAX_WAITING_BYTES = 1_048_576;

/** Carries what one side sends to the other. */
export class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #way: Way;
  readonly #give: (data: Buffer) => Promise<void>;
  readonly #waiting: Piece[] = [];
  #waitingBytes = 0;
  #isCarrying = false;

  private constructor(from: Socket, to: Socket, way: Way, give: (data: Buffer) => Promise<void>) {
    this.#from = from;
    this.#to = to;
    this.#way = way;
    this.#give = give;
  }

  /**
   * Starts to carry.
   *
   * @param from - may stay open when the other side has ended (`allowHalfOpen`)
   * @param to - so may this
   * @param way - read anew for each piece
   * @param give - sends data to `to`, which can still be written to
   */
  static start(from: Socket, to: Socket, way: Way, give: (data: Buffer) => Promise<void>): void {
    const flow = new Flow(from, to, way, give);
    from.on('data', (data: Buffer) => flow.#take(data));
    from.once('end', () => flow.#take('end'));
    from.on('error', () => flow.#take('reset'));
  }

  #take(what: Piece['what']): void {
    this.#waiting.push({ what, dueAtMs: performance.now() + this.#way.delayMs });
    if (typeof what !== 'string') this.#waitingBytes += what.length;
    if (this.#waitingBytes >= MAX_WAITING_BYTES) this.#from.pause();
    if (!this.#isCarrying) void this.#carry();
  }

  async #carry(): Promise<void> {
    this.#isCarrying = true;
    for (let piece = this.#waiting.shift(); piece !== undefined; piece = this.#waiting.shift()) {
      const { what, dueAtMs } = piece;
      const earlyMs = dueAtMs - performance.now();
      if (earlyMs > 0) await pause(earlyMs, undefined, { ref: false });
      while (this.#way.blocked !== null) await this.#way.blocked.promise;
      if (what === 'reset') reset(this.#to);
      // Else it was cut meanwhile.
      else if (this.#to.writable) {
        if (what === 'end') this.#to.end();
        else await this.#give(what);
      }
      if (typeof what === 'string') continue;
      this.#waitingBytes -= what.length;
      if (this.#waitingBytes < MAX_WAITING_BYTES) this.#from.resume();
    }
    this.#isCarrying = false;
  }
}

/**
 * Sends data.
 *
 * @param to - where to
 * @param data - what
 * @returns when it is on its way, or will never be
 */
export function send(to: Socket, data: Buffer): Promise<void> {
  return new Promise((resolve) => to.write(data, () => resolve()));
}

/**
 * Ends a connection as a reset does.
 *
 * @param socket - one end of it
 */
export function reset(socket: Socket): void {
  // There is nobody yet to be told; and the system resets no connection of which it is sending the end.
  if (socket.connecting || (socket.writableEnded && !socket.writableFinished)) socket.destroy();
  else socket.resetAndDestroy();
}

/**
 * Makes something to wait for.
 *
 * @returns what resolves when it is told to
 */
export function makeSignal(): Signal {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
