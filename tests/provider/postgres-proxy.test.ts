// The proxy that tests and stress put before a PostgreSQL server does to a plain TCP server what it says: other tests build on that.
// Neighbours: postgres-server/proxy.ts, postgres-trouble.test.ts (providers behind it).
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../postgres-server/port.ts';
import { Proxy as NetworkProxy } from '../../postgres-server/proxy.ts';

/** How the other side has ended. */
type Ending = 'end' | 'reset';

/** One side of a connection, and what it has got. */
class Side {
  readonly socket: Socket;
  readonly ended: Promise<Ending>;
  ending: Ending | null = null;
  #pieces: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => this.#pieces.push(data));
    this.ended = new Promise((resolve) => {
      const noteAs = (ending: Ending) => (): void => resolve((this.ending ??= ending));
      socket.once('end', noteAs('end')).on('error', noteAs('reset'));
    });
  }

  get bytes(): Buffer {
    this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0] ?? Buffer.alloc(0);
  }

  get text(): string {
    return this.bytes.toString();
  }

  /** Waits for as much as this; it is this. */
  async gets(text: string): Promise<void> {
    while (this.text.length < text.length) await once(this.socket, 'data');
    expect(this.text).toBe(text);
  }
}

/** A connection through the proxy. */
type Line = { readonly client: Side; readonly server: Side };

type Stand = { readonly proxy: NetworkProxy; readonly dial: () => Promise<Line> };

/** A proxy before a server that takes connections and leaves the rest to the test. */
async function open(): Promise<Stand> {
  const server = await listen(createServer({ allowHalfOpen: true }));
  const proxy = await NetworkProxy.start(`tcp://127.0.0.1:${portOf(server)}`);
  onTestFinished(() => proxy.close());
  const dial = async (): Promise<Line> => {
    const accepting = once(server, 'connection') as Promise<[Socket]>;
    const client = connectTo(proxy);
    const [accepted] = await accepting;
    onTestFinished(() => void accepted.destroy());
    return { client, server: new Side(accepted) };
  };
  return { proxy, dial };
}

async function listen(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function connectTo(proxy: NetworkProxy): Side {
  const { port } = new URL(proxy.urlFor('tcp://127.0.0.1'));
  const socket = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  return new Side(socket);
}

/** Resolves when everything that was sent before has been read, and what that led to as well: all are in this process, and take turns. */
async function settled(): Promise<void> {
  const echo = await listen(createServer((socket) => void socket.pipe(socket)));
  const socket = connect(portOf(echo), '127.0.0.1');
  for (let turn = 0; turn < 10; turn += 1) {
    socket.write('.');
    await once(socket, 'data');
  }
  socket.destroy();
}

/** Bytes that are told apart wherever they are cut. */
function manyBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(at, at);
  return bytes;
}

const DIRECTIONS = [
  ['client', 'server'],
  ['server', 'client'],
] as const;

describe.each(DIRECTIONS)('from the %s to the %s', (from, to) => {
  test('what is sent arrives, and then the end; the other direction goes on', async () => {
    const line = await (await open()).dial();
    line[from].socket.end('question');
    expect(await line[to].ended).toBe('end');
    expect(line[to].text).toBe('question');
    line[to].socket.end('answer');
    expect(await line[from].ended).toBe('end');
    expect(line[from].text).toBe('answer');
  });

  test('a reset arrives', async () => {
    const { proxy, dial } = await open();
    const line = await dial();
    line[from].socket.resetAndDestroy();
    expect(await line[to].ended).toBe('reset');
    await expect.poll(() => proxy.connections).toBe(0);
  });

  test('what is delayed comes later, and before what is sent with less delay, the end included', async () => {
    const { proxy, dial } = await open();
    const line = await dial();
    const startedMs = performance.now();
    proxy.slowDown(300);
    line[from].socket.write('first');
    await settled();
    proxy.slowDown(100);
    line[from].socket.write(', second');
    await settled();
    proxy.slowDown(0);
    line[from].socket.end(', third');
    await settled();
    expect(await line[to].ended).toBe('end');
    // A timer may be early by a part of a millisecond.
    expect(performance.now() - startedMs).toBeGreaterThan(299);
    expect(line[to].text).toBe('first, second, third');
  });

  test.each([
    ['end', ', last'],
    ['end', ''],
    ['reset', ''],
  ] as const)('half open, nothing passes, no %s after %j either, until it is open', async (ending, last) => {
    const { proxy, dial } = await open();
    const line = await dial();
    line[from].socket.write('before');
    await line[to].gets('before');
    proxy.set('halfOpen');
    if (ending === 'end') line[from].socket.end(last);
    else line[from].socket.resetAndDestroy();
    line[to].socket.write('nobody hears this');
    await settled();
    expect([line[to].text, line[to].ending, line[from].text, line[from].ending]).toEqual(['before', null, '', null]);
    proxy.set('open');
    expect(await line[to].ended).toBe(ending);
    expect(line[to].text).toBe(`before${last}`);
  });

  test('a sender feels that nobody reads, whatever the reason, and all arrives when somebody does', async () => {
    const { proxy, dial } = await open();
    const line = await dial();
    const pieces = Array.from({ length: 256 }, () => manyBytes(131_072));
    proxy.set('halfOpen');
    for (const piece of pieces) line[from].socket.write(piece);
    await stalled(line[from].socket);
    expect(line[from].socket.writableLength).toBeGreaterThan(16_000_000);
    line[to].socket.pause();
    proxy.set('open');
    await stalled(line[from].socket);
    expect(line[from].socket.writableLength).toBeGreaterThan(8_000_000);
    line[to].socket.resume();
    line[from].socket.end();
    expect(await line[to].ended).toBe('end');
    expect(line[to].bytes.equals(Buffer.concat(pieces))).toBe(true);
  });

  test('a cut meets also who does not read', async () => {
    const { proxy, dial } = await open();
    const line = await dial();
    line[to].socket.pause();
    for (let piece = 0; piece < 256; piece += 1) line[from].socket.write(manyBytes(131_072));
    await stalled(line[from].socket);
    proxy.cut();
    expect(await line[from].ended).toBe('reset');
    await expect.poll(() => proxy.connections).toBe(0);
  });
});

/** Resolves when a socket sends no more, though there is more to send. Its system waits for much room before it takes up again. */
async function stalled(socket: Socket): Promise<void> {
  let before = socket.writableLength;
  for (let same = 0; same < 20; same += 1) {
    await settled();
    if (socket.writableLength !== before) same = 0;
    before = socket.writableLength;
  }
}

test.each([0, 1, 65_536, 100_003, 1_048_576])('an answer is cut after %i bytes, all other connections with it', async (bytes) => {
  const { proxy, dial } = await open();
  const [line, other] = [await dial(), await dial()];
  const answer = manyBytes(2_097_152);
  const cut = proxy.cutAfter(bytes);
  // What goes to the server does not count.
  line.client.socket.write(manyBytes(200_000));
  line.client.socket.pause();
  line.server.socket.write(answer);
  await cut;
  expect(await line.server.ended).toBe('reset');
  expect([await other.client.ended, await other.server.ended]).toEqual(['reset', 'reset']);
  line.client.socket.resume();
  expect(await line.client.ended).toBe('end');
  expect(line.client.bytes.equals(answer.subarray(0, bytes))).toBe(true);
  line.client.socket.end();
  await expect.poll(() => proxy.connections).toBe(0);

  const next = await dial();
  next.server.socket.end(answer);
  await next.client.ended;
  expect(next.client.bytes.equals(answer)).toBe(true);
});

test('the bytes of several answers count together, and the last call counts', async () => {
  const { proxy, dial } = await open();
  const cuts = [proxy.cutAfter(1), proxy.cutAfter(10)];
  const [line, other] = [await dial(), await dial()];
  line.server.socket.write('1234');
  await line.client.gets('1234');
  other.server.socket.write('5678');
  await other.client.gets('5678');
  line.server.socket.write('9012');
  await Promise.all(cuts);
  expect(await line.client.ended).toBe('end');
  expect(line.client.text).toBe('123490');
  expect(await other.client.ended).toBe('reset');
});

test('half open, new connections are taken and say nothing until it is open', async () => {
  const { proxy, dial } = await open();
  proxy.set('halfOpen');
  const { client, server } = await dial();
  server.socket.write('welcome');
  client.socket.write('hello');
  await settled();
  expect([client.text, server.text]).toEqual(['', '']);
  proxy.set('open');
  await Promise.all([client.gets('welcome'), server.gets('hello')]);
});

test('closed, connections are reset, old and new ones, and what was held back is gone', async () => {
  const { proxy, dial } = await open();
  const { client, server } = await dial();
  proxy.set('halfOpen');
  client.socket.write('lost');
  await settled();
  proxy.set('closed');
  expect([await client.ended, await server.ended, server.text]).toEqual(['reset', 'reset', '']);
  const refused = connectTo(proxy);
  expect(await refused.ended).toBe('reset');
  proxy.set('open');
  const next = await dial();
  next.client.socket.write('hello');
  await next.server.gets('hello');
});

test('a server that is not there is a reset', async () => {
  const proxy = await NetworkProxy.start(`tcp://127.0.0.1:${await freePort()}`);
  onTestFinished(() => proxy.close());
  const client = connectTo(proxy);
  expect(await client.ended).toBe('reset');
  await expect.poll(() => proxy.connections).toBe(0);
});
