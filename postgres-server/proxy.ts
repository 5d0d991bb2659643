// A way to a server that can fail as networks do: slow, cut, half open, closed. Neighbours: tests and stress put it between a provider and
// server.ts.
//
// X1. What it does it does to the connections that there are and to those that come, until it is told otherwise.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * `open`: everything passes. `halfOpen`: connections are taken and stay, nothing passes in either direction. `closed`: connections are refused by
 * closing them at once.
 */
export type ProxyState = 'open' | 'halfOpen' | 'closed';

type Pair = { readonly inside: Socket; readonly outside: Socket };

/** A TCP proxy on the loopback interface. */
export class Proxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #state: ProxyState = 'open';
  #delayMs = 0;
  /** Bytes from the server until all connections are cut; infinite: never. */
  #bytesLeft = Number.POSITIVE_INFINITY;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer((inside) => this.#accept(inside));
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

  /** Each piece of data takes so much longer, in both directions, in milliseconds. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Changes the state; `open` lets what was held back pass. */
  set(state: ProxyState): void {
    this.#state = state;
    for (const { inside, outside } of this.#pairs) {
      if (state === 'halfOpen') {
        inside.pause();
        outside.pause();
      } else if (state === 'open') {
        inside.resume();
        outside.resume();
      }
    }
    if (state === 'closed') this.cut();
  }

  /** Ends all connections as a reset does. */
  cut(): void {
    for (const { inside, outside } of this.#pairs) {
      inside.resetAndDestroy();
      outside.resetAndDestroy();
    }
  }

  /** Cuts all connections when so many bytes more have come from the server: in the middle of an answer. */
  cutAfter(bytes: number): void {
    this.#bytesLeft = bytes;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(inside: Socket): void {
    if (this.#state === 'closed') {
      inside.resetAndDestroy();
      return;
    }
    const outside = connect(this.#target);
    const pair = { inside, outside };
    this.#pairs.add(pair);
    for (const socket of [inside, outside]) {
      socket.setNoDelay(true);
      const end = (): void => {
        this.#pairs.delete(pair);
        inside.destroy();
        outside.destroy();
      };
      // The other end learns of it by the end of its connection.
      socket.once('error', end).once('close', end);
    }
    this.#pipe(inside, outside);
    this.#pipe(outside, inside, (bytes) => {
      this.#bytesLeft -= bytes;
      if (this.#bytesLeft > 0) return;
      this.#bytesLeft = Number.POSITIVE_INFINITY;
      this.cut();
    });
    if (this.#state === 'halfOpen') {
      inside.pause();
      outside.pause();
    }
  }

  #pipe(from: Socket, to: Socket, onBytes: (bytes: number) => void = ignore): void {
    from.on('data', (chunk: Buffer) => {
      const pass = (): void => {
        if (!to.destroyed) to.write(chunk);
        onBytes(chunk.length);
      };
      if (this.#delayMs > 0) setTimeout(pass, this.#delayMs).unref();
      else pass();
    });
  }
}

function ignore(): void {
  // Nobody counts what goes to the server.
}
