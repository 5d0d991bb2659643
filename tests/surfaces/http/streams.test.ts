// Event streams over real connections: what they say, how they go on after a cut, and what they leave behind.
import { Client, LogTail } from 'duraloom';
import { createHttpApi, serve, type HttpServer } from 'duraloom/http';
import { MemoryProvider } from 'duraloom/memory';
import { faulty, type FaultyProvider } from 'duraloom/testing';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { commit, fetchOne } from '../../../src/conformance/case-kit.ts';
import { stage } from '../../support/integration-stage.ts';
import { ask, eventsUntil, openSurface, parseEvents, readEvents, type SseEvent, type Surface } from '../surface-stage.ts';

let surface: Surface;

beforeAll(async () => {
  surface = await openSurface();
});
afterAll(() => surface[Symbol.asyncDispose]());

let leaving = new AbortController();

/** A stream that is left when the running test is over. */
function follow(path: string, headers: Readonly<Record<string, string>> = {}): AsyncGenerator<SseEvent> {
  return readEvents(surface.server, `/api/v1${path}`, { headers, signal: leaving.signal });
}

// Streams that are left leave nothing behind.
afterEach(async () => {
  leaving.abort();
  leaving = new AbortController();
  await expect.poll(() => surface.server.figures()).toEqual({ streams: 0, watched: 0, reads: 0 });
});

const isStatus = ({ event }: SseEvent): boolean => event === 'status';
const idsOf = (events: readonly SseEvent[]): readonly (string | null)[] =>
  events.filter(({ event }) => event === 'history').map(({ id }) => id);

describe('the stream of an instance', () => {
  test('gives history as it is committed, then the state, to its end', async () => {
    await surface.client.startOrchestration('a/1', 'approval');
    const events = follow('/instances/a%2F1/events');
    const first = await eventsUntil(events, (event) => isStatus(event) && event.data['customStatusVersion'] === 1);
    expect(first.at(-1)?.data).toMatchObject({ instanceId: 'a/1', status: 'Running', customStatus: { asks: 'decision' } });
    await surface.client.raiseEvent('a/1', 'decision', 'yes');
    const rest = await eventsUntil(events, ({ event }) => event === 'end');
    const history = await surface.client.readHistory('a/1');
    const told = [...first, ...rest].filter(({ event }) => event === 'history').map(({ data }) => data);
    expect(told).toEqual(history.map((event) => ({ executionId: 1, event })));
    expect(rest.slice(-2)).toMatchObject([
      { event: 'status', data: { status: 'Completed', result: { recorded: 'yes' } } },
      { data: { reason: 'ended' } },
    ]);
    expect((await events.next()).done).toBe(true);
  });

  test('goes on behind the last event that the reader has, over executions', async () => {
    await surface.client.startOrchestration('gens', 'generations', 0);
    for (const data of [1, 2, 'stop']) await surface.client.raiseEvent('gens', 'next', data);
    await surface.client.waitForResult('gens', { timeout: '20s' });
    const all = await eventsUntil(follow('/instances/gens/events', { 'last-event-id': '1:0' }), ({ event }) => event === 'end');
    const ids = idsOf(all);
    const histories = await Promise.all([1, 2, 3].map((executionId) => surface.client.readHistory('gens', executionId)));
    expect(ids).toEqual(histories.flatMap((history, index) => history.map(({ id }) => `${index + 1}:${id}`)));
    const later = await eventsUntil(follow('/instances/gens/events', { 'last-event-id': ids[5] ?? '' }), ({ event }) => event === 'end');
    expect(idsOf(later)).toEqual(ids.slice(6));
    const current = await eventsUntil(follow('/instances/gens/events'), ({ event }) => event === 'end');
    expect(idsOf(current)).toEqual(ids.filter((id) => id?.startsWith('3:')));
    await surface.client.pruneExecutions('gens', { keepLast: 1 });
    const pruned = await eventsUntil(follow('/instances/gens/events?lastEventId=1:0'), ({ event }) => event === 'end');
    expect(idsOf(pruned)).toEqual(idsOf(current));
  });

  test('of one that is deleted ends; of one that was made anew begins anew', async () => {
    await surface.client.startOrchestration('b', 'approval');
    await surface.client.waitForCustomStatus('b', { afterVersion: 0, timeout: '20s' });
    const events = follow('/instances/b/events');
    await eventsUntil(events, isStatus);
    await surface.client.deleteInstance('b', { force: true });
    expect((await eventsUntil(events, ({ event }) => event === 'end')).at(-1)?.data).toEqual({ reason: 'deleted' });
    await surface.client.startOrchestration('b', 'approval');
    await surface.client.waitForCustomStatus('b', { afterVersion: 0, timeout: '20s' });
    const anew = await eventsUntil(follow('/instances/b/events', { 'last-event-id': '7:900' }), isStatus);
    expect(anew.map(({ event }) => event)).toEqual(['reset', ...anew.slice(1, -1).map(() => 'history'), 'status']);
    expect(idsOf(anew)[0]).toBe('1:1');
  });

  test('has nothing of the life before, also while somebody is slow to read that', async () => {
    // No runtime: what happens to the instance is decided here.
    const stand = stage();
    const provider = new MemoryProvider();
    const client = new Client(provider);
    const api = await createHttpApi({ client, pollMs: 10 });
    stand.defer(() => api.close());
    const begin = async (input: string): Promise<void> => {
      await client.startOrchestration('x', 'o', input);
      const events = JSON.stringify([{ id: 1, kind: 'OrchestrationStarted', atMs: 1, name: 'o', input }]);
      await commit(provider, await fetchOne(provider), { status: 'Running', page: { lastEventId: 1, events } });
    };
    const open = async (): Promise<ReadableStreamDefaultReader<Uint8Array>> => {
      const { body } = await api.fetch(new Request('http://localhost/api/v1/instances/x/events'));
      if (body === null) throw new TypeError('a stream has a body');
      return body.getReader();
    };
    const readPiece = async (): Promise<string> => {
      const reader = await open();
      const { value } = await reader.read();
      await reader.cancel();
      return new TextDecoder().decode(value);
    };
    await begin('first');
    const slow = await open();
    await slow.read();
    await client.deleteInstance('x', { force: true });
    await begin('second');
    await expect.poll(readPiece).toContain('"input":"second"');
    await slow.cancel();
  });

  test('sends a long history in pieces, each event once', async () => {
    await surface.client.startOrchestration('long', 'chatty', { count: 2_000, size: 200 });
    await expect.poll(async () => (await surface.client.getState('long'))?.eventCount, { timeout: 20_000 }).toBe(2_002);
    const events = await eventsUntil(follow('/instances/long/events'), isStatus);
    expect(idsOf(events)).toEqual(Array.from({ length: 2_002 }, (_, index) => `1:${index + 1}`));
  });

  test('tells why it ends when the store does', async () => {
    const other = await openSurface();
    onTestFinished(() => other[Symbol.asyncDispose]());
    await other.client.startOrchestration('c', 'approval');
    const events = readEvents(other.server, '/api/v1/instances/c/events');
    await eventsUntil(events, isStatus);
    await other.runtime.shutdown();
    await other.provider.close();
    expect((await eventsUntil(events, ({ event }) => event === 'error')).at(-1)?.data).toMatchObject({
      code: 'PROVIDER_CLOSED',
      status: 503,
    });
    expect((await events.next()).done).toBe(true);
  });
});

test('the stream of a list says only what changed', async () => {
  await surface.client.startOrchestration('list/1', 'approval');
  await surface.client.waitForCustomStatus('list/1', { afterVersion: 0, timeout: '20s' });
  const path = '/streams/instances?search=list/&orderBy=id';
  const events = follow(path);
  const [first] = await eventsUntil(events, () => true);
  expect(first?.data).toMatchObject({ instances: [{ instanceId: 'list/1', waitingFor: { activities: 0 } }], cursor: null });
  await surface.client.startOrchestration('list/2', 'approval');
  const seen = await eventsUntil(events, ({ data }) => (data['instances'] as unknown[]).length === 2);
  expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  // Whoever has the newest page gets nothing until there is a newer one.
  const newest = seen.at(-1)?.id ?? '';
  const again = follow(path, { 'last-event-id': newest });
  const told = eventsUntil(again, ({ data }) => (data['instances'] as unknown[]).length === 3);
  await surface.client.startOrchestration('list/3', 'approval');
  expect((await told).map(({ id }) => id)).not.toContain(newest);
});

test('the stream of log lines begins with the newest, goes on behind a number, and tells what is gone', async () => {
  surface.logs.warn({ instanceId: 'logged' }, 'first');
  const events = follow('/streams/logs?instanceId=logged&level=warn');
  const [first] = await eventsUntil(events, () => true);
  expect(first?.data).toMatchObject({ message: 'first', level: 'warn' });
  surface.logs.info({ instanceId: 'logged' }, 'not that important');
  surface.logs.warn({ instanceId: 'other' }, 'of another one');
  surface.logs.error({ instanceId: 'logged' }, 'second');
  const [second] = await eventsUntil(events, () => true);
  expect(second?.data).toMatchObject({ message: 'second', level: 'error' });
  const [resumed] = await eventsUntil(
    follow('/streams/logs?instanceId=logged&level=warn', { 'last-event-id': first?.id ?? '' }),
    () => true,
  );
  expect(resumed?.id).toBe(second?.id);
  for (let line = 0; line < 10_001; line += 1) surface.logs.debug({}, 'many lines');
  const [gap] = await eventsUntil(follow('/streams/logs', { 'last-event-id': first?.id ?? '' }), () => true);
  expect(gap).toMatchObject({ event: 'gap', data: { missed: expect.any(Number) as number } });
});

test('the stream of figures goes on by itself', async () => {
  const events = follow('/streams/stats');
  let seen = 0;
  await eventsUntil(events, ({ data }) => Array.isArray(data['runtimes']) && (seen += 1) === 3);
  expect(seen).toBe(3);
});

test('streams beyond the limit are refused, and those that are left make room', async () => {
  const other = await openSurface({ maxStreams: 2 });
  onTestFinished(() => other[Symbol.asyncDispose]());
  const leaving = new AbortController();
  const open = Array.from({ length: 2 }, () => readEvents(other.server, '/api/v1/streams/stats', { signal: leaving.signal }));
  await Promise.all(open.map((events) => events.next()));
  expect(await ask(other.server, 'GET', '/api/v1/streams/stats')).toMatchObject({ status: 503, body: { code: 'TOO_MANY_STREAMS' } });
  leaving.abort();
  await Promise.allSettled(open.map((events) => events.next()));
  await expect.poll(() => other.server.figures().streams).toBe(0);
  const again = readEvents(other.server, '/api/v1/streams/stats');
  expect((await again.next()).done).toBe(false);
  // Closing the server ends what is open.
  await other.server.close();
  while ((await again.next()).done !== true);
  expect(other.server.figures()).toEqual({ streams: 0, watched: 0, reads: 0 });
});

describe('a bulk call whose progress is streamed', () => {
  const bulk = (server: HttpServer, body: object, init: RequestInit = {}): Promise<Response> =>
    fetch(`${server.url}/api/v1/bulk`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify(body),
      ...init,
    });
  /** A server on a store without a runtime that has so many instances. */
  const open = async (
    count: number,
  ): Promise<{ readonly server: HttpServer; readonly client: Client; readonly provider: FaultyProvider }> => {
    const stand = stage();
    const provider = faulty(await stand.openProvider(), { seed: 1 });
    const client = new Client(provider);
    const server = await serve({ client, port: 0 });
    stand.defer(() => server.close());
    await client.startOrchestrations(Array.from({ length: count }, (_, n) => ({ instanceId: `many/${n}`, orchestration: 'elsewhere' })));
    return { server, client, provider };
  };

  test('tells how far it is, then what came of it', async () => {
    const { server } = await open(350);
    const events = parseEvents(await bulk(server, { action: 'terminate', filter: { search: 'many/' } }));
    const all = await eventsUntil(events, ({ event }) => event === 'result');
    expect((await events.next()).done).toBe(true);
    const progress = all.slice(0, -1);
    expect(progress.length).toBeGreaterThan(0);
    for (const { event, data } of progress) {
      expect(event).toBe('progress');
      expect(data).toEqual({ matched: data['done'], done: data['done'], skipped: 0, failed: 0 });
    }
    expect(all.at(-1)?.data).toMatchObject({ action: 'terminate', matched: 350, done: 350, failed: 0, dryRun: false });
  });

  test('ends with its reader, after the part that is under way', async () => {
    const { server, client, provider } = await open(350);
    const point = provider.debugPoint('controlInstances:before');
    const leaving = new AbortController();
    const response = await bulk(server, { action: 'terminate', filter: { search: 'many/' } }, { signal: leaving.signal });
    await point.reached;
    leaving.abort();
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => server.figures()).toEqual({ streams: 0, watched: 0, reads: 0 });
    point.release();
    await expect.poll(async () => (await client.countInstances({ status: 'Terminated' })).count).toBe(100);
    await server.close();
    expect((await client.countInstances({ status: 'Terminated' })).count).toBe(100);
  });

  test('tells what went wrong', async () => {
    const { server, provider } = await open(1);
    const point = provider.debugPoint('controlInstances:before');
    const events = parseEvents(await bulk(server, { action: 'terminate', filter: { search: 'many/' } }));
    await point.reached;
    provider.disconnect();
    point.release();
    const [last] = (await eventsUntil(events, ({ event }) => event === 'error')).slice(-1);
    expect(last?.data).toMatchObject({ status: 503, code: 'PROVIDER_FAILED' });
    expect((await events.next()).done).toBe(true);
  });

  test('is refused as a problem before it begins', async () => {
    expect((await bulk(surface.server, { action: 'forget', filter: {} })).status).toBe(400);
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream', 'idempotency-key': 'a' };
    const keyed = await bulk(surface.server, { action: 'terminate', filter: { search: 'many/' } }, { headers });
    expect([keyed.status, await keyed.json()]).toMatchObject([400, { code: 'IDEMPOTENCY_KEY_INVALID' }]);
  });
});

/** A reader that takes nothing after the head of the answer. */
async function openStuck(port: number, path: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  socket.pause();
  return socket;
}

test('a reader that takes nothing is cut', async () => {
  const other = await openSurface({ stallMs: 200, pollMs: 10 }, { turnTimeoutMs: 20_000 });
  onTestFinished(() => other[Symbol.asyncDispose]());
  await other.client.startOrchestration('long', 'chatty', { count: 2_000, size: 10_000 });
  await expect.poll(async () => (await other.client.getState('long'))?.eventCount, { timeout: 25_000 }).toBe(2_002);
  const socket = await openStuck(other.server.port, '/api/v1/instances/long/events');
  onTestFinished(() => void socket.destroy());
  await expect.poll(() => other.server.figures().streams, { timeout: 10_000 }).toBe(0);
  expect(other.server.figures().watched).toBe(0);
});

test('a reader without a connection to cut, who takes nothing or goes, leaves nothing behind', async () => {
  const api = await createHttpApi({ client: surface.client, stallMs: 50, pollMs: 10 });
  onTestFinished(() => api.close());
  await surface.client.startOrchestration('watched', 'approval');
  for (const path of ['/streams/stats', '/streams/instances', '/instances/watched/events']) {
    const gone = new AbortController();
    for (const signal of [new AbortController().signal, gone.signal]) {
      const response = await api.fetch(new Request(`http://localhost/api/v1${path}`, { signal, headers: { host: 'localhost' } }));
      const reader = response.body?.getReader();
      expect((await reader?.read())?.done).toBe(false);
    }
    gone.abort();
    await expect.poll(() => api.figures()).toEqual({ streams: 0, watched: 0, reads: 0 });
  }
});

test('a thousand readers, some of which take nothing, cost bounded memory, and all others get the end', { timeout: 120_000 }, async () => {
  const other = await openSurface({ rateLimit: false, maxStreams: 1_200, stallMs: 60_000, pollMs: 50 }, { turnTimeoutMs: 20_000 });
  onTestFinished(() => other[Symbol.asyncDispose]());
  // About 20 MB of history: a queue for each slow reader would show.
  await other.client.startOrchestration('crowd', 'chatty', { count: 2_000, size: 10_000 });
  await expect.poll(async () => (await other.client.getState('crowd'))?.eventCount, { timeout: 25_000 }).toBe(2_002);
  const from = '/api/v1/instances/crowd/events?lastEventId=1:2000';
  const readers = Array.from({ length: 1_000 }, () => readEvents(other.server, from));
  await Promise.all(readers.map((events) => eventsUntil(events, isStatus)));
  const before = process.memoryUsage();
  const stuck = await Promise.all(
    Array.from({ length: 50 }, () => openStuck(other.server.port, '/api/v1/instances/crowd/events?lastEventId=1:0')),
  );
  onTestFinished(() => stuck.forEach((socket) => socket.destroy()));
  expect(other.server.figures().streams).toBe(1_050);
  expect(other.server.figures().watched).toBe(1);
  for (let line = 0; line < 20; line += 1) await other.client.raiseEvent('crowd', 'other', line);
  await expect.poll(async () => (await other.client.getState('crowd'))?.eventCount, { timeout: 25_000 }).toBe(2_022);
  const after = process.memoryUsage();
  // The stuck ones have 1,000 MB before them; they hold a piece each, here and in the buffers of their sockets.
  expect(after.rss - before.rss).toBeLessThan(400 * 1024 * 1024);
  await other.client.raiseEvent('crowd', 'stop');
  const ends = await Promise.all(readers.map(async (events) => (await eventsUntil(events, ({ event }) => event === 'end')).slice(-2)));
  expect(ends.every(([status]) => status?.data['status'] === 'Completed')).toBe(true);
  for (const socket of stuck) socket.destroy();
  await expect.poll(() => other.server.figures(), { timeout: 10_000 }).toEqual({ streams: 0, watched: 0, reads: 0 });
});

test('a reader of log lines who comes from the process before gets those of this one', async () => {
  const logs = new LogTail();
  const api = await createHttpApi({ client: surface.client, logs });
  onTestFinished(() => api.close());
  logs.info({}, 'first');
  const response = await api.fetch(
    new Request('http://localhost/api/v1/streams/logs', { headers: { host: 'localhost', 'last-event-id': '5000' } }),
  );
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  onTestFinished(() => reader?.cancel());
  expect((await reader?.read())?.value).toContain('"message":"first"');
});
