// A way to a server that can fail as networks do: slow, cut, half open, closed. Neighbours: tests and stress put it between a provider and
// server.ts; flow.ts carries what passes.
//
// X1. What it does it does to the connections that there are and to those that come, until it is told otherwise.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Flow, makeSignal, reset, send, type Signal } from './flow.ts';

/**
 * `open`: everything passes. `halfOpen`: connections are taken and stay, nothing passes in either direction, ends neither. `closed`: connections are
 * refused by closing them at once.
 */
export type ProxyState = 'open' | 'halfOpen' | 'closed';

/** The client's end of a connection and the server's. */
type Pair = { readonly inside: Socket; readonly outside: Socket };

/** Each direction ends by itself. */
const MANNERS = { allowHalfOpen: true, noDelay: true } as const;

/** A TCP proxy on the loopback interface. */
export class Proxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #way: { delayMs: number; blocked: Signal | null } = { delayMs: 0, blocked: null };
  #state: ProxyState = 'open';
  /** Bytes from the server until all connections are cut; infinite: never. */
  #bytesLeft = Number.POSITIVE_INFINITY;
  /** Who waits for that. */
  #whenCut: Signal | null = null;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer(MANNERS, (inside) => this.#accept(inside));
  }

  /**
   * Starts a proxy.
   *
   * @param url - of the server behind it
   * @returns the proxy
   */
  static async start(url: string): Promise<Proxy> {
    const { hostname, port } = new URL(url);
    const proxy = new Proxy({ host: hostname, port: Number(port === '' ? 5432 : port) });
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** The address of the proxy, in the form of the server's. */
  urlFor(serverUrl: string): string {
    const url = new URL(serverUrl);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Each piece of data that comes from now on takes so much longer, in both directions, in milliseconds. */
  slowDown(ms: number): void {
    this.#way.delayMs = ms;
  }

  /** Changes the state; `open` lets what was held back pass. */
  set(state: ProxyState): void {
    this.#state = state;
    // What was held back finds nobody.
    if (state === 'closed') this.cut();
    if (state === 'halfOpen') {
      this.#way.blocked ??= makeSignal();
    } else {
      this.#way.blocked?.resolve();
      this.#way.blocked = null;
    }
  }

  /** Ends all connections as a reset does. */
  cut(): void {
    for (const { inside, outside } of this.#pairs) {
      reset(inside);
      reset(outside);
    }
  }

  /**
   * Cuts all connections when so many bytes more have come from the server, in the middle of an answer: its client gets all up to the last of
   * these bytes, and the end.
   *
   * @param bytes - how many; the last call counts
   * @returns when it was done
   */
  cutAfter(bytes: number): Promise<void> {
    this.#bytesLeft = bytes;
    this.#whenCut ??= makeSignal();
    return this.#whenCut.promise;
  }

  async close(): Promise<void> {
    this.set('closed');
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(inside: Socket): void {
    if (this.#state === 'closed') {
      reset(inside);
      return;
    }
    const outside = connect({ ...this.#target, ...MANNERS });
    const pair = { inside, outside };
    this.#pairs.add(pair);
    for (const socket of [inside, outside]) {
      socket.once('close', () => {
        if (inside.closed && outside.closed) this.#pairs.delete(pair);
      });
    }
    Flow.start(inside, outside, this.#way, (data) => send(outside, data));
    Flow.start(outside, inside, this.#way, (data) => this.#answer(inside, data));
  }

  async #answer(inside: Socket, data: Buffer): Promise<void> {
    if (data.length < this.#bytesLeft) {
      this.#bytesLeft -= data.length;
      await send(inside, data);
      return;
    }
    // A reset would overtake data that the client has not read yet.
    inside.end(data.subarray(0, this.#bytesLeft));
    for (const pair of this.#pairs) {
      reset(pair.outside);
      if (pair.inside !== inside) reset(pair.inside);
    }
    this.#bytesLeft = Number.POSITIVE_INFINITY;
    this.#whenCut?.resolve();
    this.#whenCut = null;
  }
}
