// What the server promises besides its routes: read-only, idempotency, limits, trouble with the store, mounting, files of the dashboard.
import { Client } from 'duraloom';
import { createHttpApi, serve, type RequestClient } from 'duraloom/http';
import { prometheusRegistry } from 'duraloom/metrics';
import { faulty } from 'duraloom/testing';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { link, newInstance } from '../../../src/conformance/case-kit.ts';
import { IdempotencyKeys, type RecordedAnswer } from '../../../src/surfaces/http/idempotency.ts';
import { RateLimiter } from '../../../src/surfaces/http/rate-limit.ts';
import { operations } from '../../../src/surfaces/operations/operations.ts';
import { stage, type Stage } from '../../support/integration-stage.ts';
import { ask, eventsUntil, openSurface, readEvents, sendRaw, type Answer, type Surface } from '../surface-stage.ts';

/** A surface that is closed when the running test is over. */
async function surfaceOf(options: Parameters<typeof openSurface>[0] = {}): Promise<Surface> {
  const surface = await openSurface(options);
  onTestFinished(() => surface[Symbol.asyncDispose]());
  return surface;
}

/** A server of a host; gives its URL. */
async function listen(stand: Stage, onRequest: RequestListener): Promise<string> {
  const host = createServer(onRequest);
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  stand.defer(() => new Promise<void>((resolve) => host.close(() => resolve())));
  stand.defer(() => host.closeAllConnections());
  return `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
}

test('a server that only reads refuses all that writes, and answers the rest', async () => {
  const { server, client } = await surfaceOf({ readOnly: true });
  await client.startOrchestration('there', 'approval');
  for (const { http, isWrite } of operations.filter((operation) => operation.isWrite)) {
    expect(isWrite).toBe(true);
    const answer = await ask(server, http.method, `/api/v1${http.path.replace('{id}', 'there')}`, {
      body: http.method === 'POST' ? {} : undefined,
    });
    expect({ path: http.path, status: answer.status, code: answer.body['code'] }).toEqual({
      path: http.path,
      status: 403,
      code: 'READ_ONLY',
    });
  }
  const headers = { 'content-type': 'application/x-ndjson' };
  expect((await ask(server, 'POST', '/api/v1/import', { body: '', headers })).body).toMatchObject({ code: 'READ_ONLY' });
  expect((await ask(server, 'GET', '/api/v1/instances/there')).status).toBe(200);
  expect((await ask(server, 'GET', '/api/v1/meta')).body).toMatchObject({ isReadOnly: true });
});

describe('a request with an idempotency key', () => {
  const start = (surface: Surface, instanceId: string, key: string): Promise<Answer> =>
    ask(surface.server, 'POST', '/api/v1/instances', { body: { instanceId, name: 'approval' }, headers: { 'idempotency-key': key } });

  test('gets the answer of the first time when it is sent again, failures included', async () => {
    const surface = await surfaceOf();
    const first = await start(surface, 'once', 'a');
    const again = await start(surface, 'once', 'a');
    expect(first.status).toBe(201);
    expect(again).toMatchObject({ status: 201, body: first.body });
    expect([first, again].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true']);
    expect((await start(surface, 'once', 'b')).body).toMatchObject({ code: 'INSTANCE_EXISTS' });
    await surface.client.terminate('once');
    await surface.client.deleteInstance('once');
    expect((await start(surface, 'once', 'b')).body).toMatchObject({ code: 'INSTANCE_EXISTS' });
    expect(await surface.client.getState('once')).toBeNull();
  });

  test('is refused when it says something else', async () => {
    const surface = await surfaceOf();
    await start(surface, 'one', 'a');
    expect(await start(surface, 'other', 'a')).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
    expect(await start(surface, 'other', 'x'.repeat(256))).toMatchObject({ status: 400, body: { code: 'IDEMPOTENCY_KEY_INVALID' } });
    expect(await surface.client.getState('other')).toBeNull();
  });

  test('waits for the first one that is under way', async () => {
    const surface = await surfaceOf();
    const answers = await Promise.all(Array.from({ length: 10 }, () => start(surface, 'at-once', 'a')));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 201));
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === null)).toHaveLength(1);
  });

  test('goes on when its time is over, and is run once: whoever sends it again waits for it', async () => {
    const stand = stage();
    const provider = faulty(await stand.openProvider(), { seed: 1 });
    const client = new Client(provider);
    const server = await serve({ client, port: 0, requestTimeoutMs: 100 });
    stand.defer(() => server.close());
    const topic = { body: { topic: 'news', data: 1 }, headers: { 'idempotency-key': 'slow' } };
    const publish = (): Promise<Answer> => ask(server, 'POST', '/api/v1/topics/publish', topic);
    const point = provider.debugPoint('publish:before');
    expect(await publish()).toMatchObject({ status: 504, body: { code: 'REQUEST_TIMEOUT' } });
    const detail = expect.stringContaining('send it again with its key') as string;
    expect(await publish()).toMatchObject({ status: 504, body: { detail } });
    expect(point.hits).toBe(1);
    point.release();
    await expect.poll(async () => (await publish()).status).toBe(200);
    expect((await publish()).headers.get('idempotency-replayed')).toBe('true');
    expect(point.hits).toBe(1);
  });

  test('is refused under another path, query or body also while the first one runs', async () => {
    const stand = stage();
    const provider = faulty(await stand.openProvider(), { seed: 1 });
    const server = await serve({ client: new Client(provider), port: 0 });
    stand.defer(() => server.close());
    const send = (method: string, path: string, body?: object): Promise<Answer> =>
      ask(server, method, `/api/v1${path}`, { body, headers: { 'idempotency-key': 'a' } });
    const point = provider.debugPoint('publish:before');
    const first = send('POST', '/topics/publish', { topic: 'news' });
    await point.reached;
    for (const other of [
      await send('POST', '/topics/publish', { topic: 'olds' }),
      await send('POST', '/instances/x/suspend', {}),
      await send('DELETE', '/instances/x?force=true'),
    ]) {
      expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
    }
    point.release();
    expect((await first).body).toEqual({ subscribers: 0 });
  });

  test('that fails with the store says when to come again, and runs again then', async () => {
    const stand = stage();
    const provider = faulty(await stand.openProvider(), { seed: 1 });
    const server = await serve({ client: new Client(provider), port: 0 });
    stand.defer(() => server.close());
    const publish = (): Promise<Answer> =>
      ask(server, 'POST', '/api/v1/topics/publish', { body: { topic: 'news' }, headers: { 'idempotency-key': 'a' } });
    provider.disconnect();
    const failed = await publish();
    expect([failed.status, failed.headers.get('retry-after')]).toEqual([503, '2']);
    provider.reconnect();
    const answer = await publish();
    expect([answer.status, answer.headers.get('idempotency-replayed')]).toEqual([200, null]);
  });

  test('is kept for its time from its end on, whatever comes meanwhile', async () => {
    let nowMs = 0;
    let runs = 0;
    const keys = new IdempotencyKeys(() => nowMs);
    const run = (status: number) => () => Promise.resolve({ status, headers: {}, body: String((runs += 1)) });
    const send = async (key: string, content: string, answer: () => Promise<RecordedAnswer>): Promise<string> => {
      const keyed = keys.run(key, [content], answer);
      return keyed === null ? 'refused' : `${keyed.isRepeat ? 'repeat' : 'first'} ${(await keyed.answer).body}`;
    };
    expect([await send('k', 'x', run(503)), await send('k', 'x', run(200)), await send('k', 'x', run(200))]).toEqual([
      'first 1',
      'first 2',
      'repeat 2',
    ]);
    expect(await send('k', 'y', run(200))).toBe('refused');
    nowMs = 25 * 3_600_000;
    expect(await send('k', 'y', run(200))).toBe('first 3');
    await expect(send('broken', 'x', () => Promise.reject(new TypeError('gone')))).rejects.toThrow('gone');
    expect(await send('broken', 'x', run(200))).toBe('first 4');

    let finish: (answer: RecordedAnswer) => void = () => undefined;
    const slow = send('slow', 'x', () => new Promise((resolve) => (finish = resolve)));
    nowMs += 48 * 3_600_000;
    // More than are kept, and more bytes than are kept.
    for (let index = 0; index < 10_100; index += 1) await send(`n${index}`, 'x', run(200));
    const large = 'x'.repeat(1024 * 1024);
    for (let index = 0; index < 40; index += 1)
      await send(`l${index}`, 'x', () => Promise.resolve({ status: 200, headers: {}, body: large }));
    const again = send('slow', 'x', run(200));
    finish({ status: 200, headers: {}, body: 'at last' });
    expect([await slow, await again]).toEqual(['first at last', 'repeat at last']);
    expect([
      await send('n1', 'x', () => Promise.resolve({ status: 200, headers: {}, body: 'new' })),
      await send('l39', 'x', run(200)),
    ]).toEqual(['first new', `repeat ${large}`]);
  });
});

test('an address gets so many requests at once and so many a second, and none is locked out for ever', () => {
  let nowMs = 0;
  const limiter = new RateLimiter({ perSecond: 2, burst: 3 }, () => nowMs);
  expect([1, 1, 1, 1].map((cost) => limiter.take('a', cost))).toEqual([null, null, null, 1]);
  expect(limiter.take('b', 1)).toBeNull();
  nowMs = 500;
  expect([limiter.take('a', 1), limiter.take('a', 1)]).toEqual([null, 1]);
  limiter.take('b', 1_000);
  nowMs = 4_000;
  expect(limiter.take('b', 1)).toBeNull();
});

test('requests beyond the rate limit are told when to come again', async () => {
  const { server } = await surfaceOf({ rateLimit: { perSecond: 1, burst: 2 } });
  const answers = await Promise.all([1, 2, 3].map(() => ask(server, 'GET', '/api/v1/meta')));
  expect(answers.map(({ status }) => status).toSorted((left, right) => left - right)).toEqual([200, 200, 429]);
  expect(answers.find(({ status }) => status === 429)?.headers.get('retry-after')).toBe('1');
});

test('a closed store is unavailable, not a failure of the server', async () => {
  const { server, provider, runtime } = await surfaceOf();
  await runtime.shutdown();
  await provider.close();
  const answer = await ask(server, 'GET', '/api/v1/instances');
  expect(answer).toMatchObject({ status: 503, body: { code: 'PROVIDER_CLOSED' } });
  expect(answer.headers.get('retry-after')).toBe('2');
  expect(await ask(server, 'GET', '/health')).toMatchObject({ status: 503, body: { status: 'unavailable' } });
});

test('an unexpected failure is logged under the id that the outside gets, which learns nothing else', async () => {
  const stand = stage();
  const provider = await stand.openProvider();
  const logged: Readonly<Record<string, unknown>>[] = [];
  const log = (fields: Readonly<Record<string, unknown>>): void => void logged.push(fields);
  const client = new Client(provider);
  const server = await serve({
    client,
    port: 0,
    metrics: { contentType: 'text/plain; version=0.0.4', metrics: () => Promise.reject(new TypeError('secret path /etc')) },
    logger: { debug: log, info: log, warn: log, error: log },
  });
  stand.defer(() => server.close());
  const answer = await ask(server, 'GET', '/metrics');
  expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL_ERROR' } });
  expect(answer.text).not.toContain('secret');
  expect(logged).toMatchObject([{ requestId: answer.body['requestId'], error: { message: 'secret path /etc' } }]);
});

test('a store that does not answer in time is no reason to wait', async () => {
  const stand = stage();
  const provider = await stand.openProvider();
  const hanging = faulty(provider, { seed: 1, rates: { readQueueDepths: { hang: 1 } } });
  const server = await serve({ client: new Client(hanging), port: 0, requestTimeoutMs: 50 });
  stand.defer(() => server.close());
  expect(await ask(server, 'GET', '/api/v1/queues')).toMatchObject({ status: 504, body: { code: 'REQUEST_TIMEOUT' } });
});

test('a wait ends with its caller', async () => {
  const { server, client } = await surfaceOf();
  await client.startOrchestration('waits', 'approval');
  const waiting = new AbortController();
  const answer = fetch(`${server.url}/api/v1/instances/waits/result?waitMs=60000`, { signal: waiting.signal });
  waiting.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await server.close();
  await expect(fetch(`${server.url}/health`)).rejects.toBeDefined();
});

test('metrics are those of the registry', async () => {
  const stand = stage();
  const { provider, client, runtime } = await stand.open();
  const server = await serve({ client, provider, port: 0, metrics: await prometheusRegistry(runtime) });
  stand.defer(() => server.close());
  const answer = await ask(server, 'GET', '/metrics');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
  expect(answer.text).toMatch(/^# TYPE duraloom_/m);
});

describe('the API in a server of the host', () => {
  test('answers its requests, below any path, and leaves its globals alone', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const { Request: before } = globalThis;
    const api = await createHttpApi({ client });
    const url = `${await listen(stand, (request, response) => {
      request.url = (request.url ?? '').replace(/^\/ops/, '');
      void api.listener(request, response);
    })}/ops`;
    expect(await ask({ url }, 'GET', '/api/v1/instances')).toMatchObject({ status: 200, body: { instances: [] } });
    expect(globalThis.Request).toBe(before);
    // The document says where the API is from where it is itself.
    for (const path of ['/openapi.json', '/api/v1/openapi.json']) {
      const { servers } = (await ask({ url }, 'GET', path)).body as { readonly servers: readonly [{ readonly url: string }] };
      expect(new URL(servers[0].url, `${url}${path}`).href).toBe(`${url}/`);
    }
    await api.close();
    const late = await ask({ url }, 'GET', '/api/v1/streams/stats');
    expect(late).toMatchObject({ status: 503, body: { code: 'PROVIDER_CLOSED' } });
    expect(api.figures()).toEqual({ streams: 0, watched: 0, reads: 0 });
  });

  test('does nothing with a body that the host has read before', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    await client.startOrchestration('there', 'approval');
    const api = await createHttpApi({ client });
    const url = await listen(stand, (request, response) => {
      request.resume().once('end', () => void api.listener(request, response));
    });
    const answer = await ask({ url }, 'POST', '/api/v1/instances/there/terminate', { body: { reason: 'lost on the way' } });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'BODY_INVALID', detail: expect.stringContaining('Mount it before') as string },
    });
    expect(await client.getState('there')).toMatchObject({ status: 'Pending' });
  });

  test('speaks Request and Response, and takes the name that it is called by from the URL', async () => {
    const stand = stage();
    const api = await createHttpApi({ client: new Client(await stand.openProvider()) });
    const get = (url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
      api.fetch(new Request(url, { headers }));
    expect((await get('http://localhost/api/v1/instances')).status).toBe(200);
    expect((await get('http://localhost/api/v1/instances', { host: 'evil.example' })).status).toBe(403);
    expect((await get('http://evil.example/api/v1/instances')).status).toBe(403);
    expect((await get('http://evil.example/api/v1/instances', { host: 'localhost' })).status).toBe(403);
    expect((await get('http://localhost/api/v1/instances', { origin: 'http://localhost' })).status).toBe(200);
    expect((await get('http://localhost/api/v1/instances', { origin: 'http://evil.example' })).status).toBe(403);
    await api.close();
  });

  test('counts requests by the address that the host tells; those without one are counted together', async () => {
    const stand = stage();
    const api = await createHttpApi({ client: new Client(await stand.openProvider()), rateLimit: { perSecond: 1, burst: 1 } });
    stand.defer(() => api.close());
    const statusFor = async (...client: readonly unknown[]): Promise<number> =>
      (await api.fetch(new Request('http://localhost/api/v1/meta'), ...(client as [RequestClient?]))).status;
    expect([await statusFor({ remoteAddress: '10.0.0.1' }), await statusFor({ remoteAddress: '10.0.0.1' })]).toEqual([200, 429]);
    expect(await statusFor({ remoteAddress: '10.0.0.2' })).toBe(200);
    // Second arguments of servers that have others.
    expect([await statusFor(), await statusFor({ remoteAddress: undefined }), await statusFor({ remoteAddress: 7 }, null)]).toEqual([
      200, 429, 429,
    ]);
    expect(await statusFor(null)).toBe(429);
  });
});

test('a wait that is under way ends when the server closes', async () => {
  const { server, client } = await surfaceOf();
  await client.startOrchestration('waits', 'approval');
  await client.waitForCustomStatus('waits', { afterVersion: 0, timeout: '20s' });
  const waits = Array.from({ length: 3 }, () => ask(server, 'GET', '/api/v1/instances/waits/result?waitMs=60000'));
  const stream = readEvents(server, '/api/v1/instances/waits/events');
  await stream.next();
  await expect.poll(() => server.figures().reads).toBe(3);
  const startedMs = performance.now();
  await server.close();
  for (const answer of await Promise.all(waits)) expect(answer).toMatchObject({ status: 503, body: { code: 'PROVIDER_CLOSED' } });
  expect(performance.now() - startedMs).toBeLessThan(4_000);
  while ((await stream.next()).done !== true);
});

describe('what is nested deeper than the stack', () => {
  test('is cut where it is shown, and hides nothing else', async () => {
    const { server, client } = await surfaceOf();
    await client.startOrchestration('plain', 'approval');
    await client.startOrchestration('deep', 'deep', 4_000);
    await client.waitForCustomStatus('deep', { afterVersion: 0, timeout: '20s' });
    const stream = readEvents(server, '/api/v1/instances/deep/events');
    await eventsUntil(stream, ({ event }) => event === 'status');
    await client.raiseEvent('deep', 'stop');
    await client.waitForResult('deep', { timeout: '20s' });
    const followed = await eventsUntil(stream, ({ event }) => event === 'end');
    expect(followed.at(-2)).toMatchObject({ event: 'status', data: { status: 'Completed' } });
    for (const path of ['', '/history', '/values', '/values/value', '/result', '/tree', '/custom-status?afterVersion=0']) {
      const answer = await ask(server, 'GET', `/api/v1/instances/deep${path}`);
      expect({ path, status: answer.status }).toEqual({ path, status: 200 });
      expect(answer.text).toContain('(nested too deep to be shown)');
    }
    const { status, body } = await ask(server, 'GET', '/api/v1/instances');
    expect(status).toBe(200);
    expect(body['instances']).toMatchObject([{ instanceId: 'deep' }, { instanceId: 'plain', customStatus: { asks: 'decision' } }]);
    // The whole of it is in the export.
    const line = (await ask(server, 'GET', '/api/v1/export?name=deep')).text;
    expect(line.match(/inner/g)?.length).toBeGreaterThan(3 * 4_000);
    await client.deleteInstance('deep');
    const headers = { 'content-type': 'application/x-ndjson' };
    expect((await ask(server, 'POST', '/api/v1/import', { body: line, headers })).body).toEqual({ imported: 1, existing: 0 });
  });

  test('is read in parts when it is a tree', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const server = await serve({ client: new Client(provider), port: 0 });
    stand.defer(() => server.close());
    const chain = Array.from({ length: 5_000 }, (_, level) =>
      newInstance(`c${level}`, { ...(level > 0 && { parent: link(`c${level - 1}`) }) }),
    );
    for (let first = 0; first < chain.length; first += 500) await provider.startInstances(chain.slice(first, first + 500));
    type Tree = { readonly instance: { readonly instanceId: string }; readonly children: readonly Tree[]; readonly isTruncated: boolean };
    const read = async (id: string, query: string): Promise<readonly string[]> => {
      const answer = await ask(server, 'GET', `/api/v1/instances/${id}/tree${query}`);
      expect(answer.status).toBe(200);
      const ids: string[] = [];
      let last: Tree | undefined;
      for (let next = answer.body as Tree | undefined; next !== undefined; next = next.children[0]) {
        if (last !== undefined) expect(last.isTruncated).toBe(false);
        ids.push(next.instance.instanceId);
        last = next;
      }
      return last?.isTruncated === true ? [...ids, '…'] : ids;
    };
    const names = (from: number, to: number): readonly string[] => Array.from({ length: to - from }, (_, index) => `c${from + index}`);
    expect(await read('c0', '?limit=10000')).toEqual([...names(0, 100), '…']);
    expect(await read('c99', '?depth=3')).toEqual([...names(99, 102), '…']);
    expect(await read('c4990', '')).toEqual(names(4_990, 5_000));
    expect(await ask(server, 'GET', '/api/v1/instances/c0/tree?depth=101')).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    });
  });
});

describe('files of the dashboard', () => {
  test('are served with their types; pages of the dashboard have addresses of their own', async () => {
    const stand = stage();
    const folder = join(stand.folder, 'site');
    mkdirSync(join(folder, 'assets'), { recursive: true });
    writeFileSync(join(stand.folder, 'secret.txt'), 'secret');
    writeFileSync(join(folder, 'index.html'), '<title>dashboard</title>');
    writeFileSync(join(folder, 'my-settings.css'), '');
    writeFileSync(join(folder, 'assets/index-Ab3dEf9_.js'), 'export {};');
    const server = await serve({
      client: new Client(await stand.openProvider()),
      port: 0,
      dashboard: folder,
      token: 'correct-horse-battery',
    });
    stand.defer(() => server.close());
    const html = { accept: 'text/html' };
    for (const path of ['/', '/instances/a%2Fb.c', '/queues']) {
      const { status, text, headers } = await ask(server, 'GET', path, { headers: html });
      expect({ path, status, text }).toEqual({ path, status: 200, text: '<title>dashboard</title>' });
      expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(headers.get('cache-control')).toBe('no-cache');
    }
    const head = ['GET / HTTP/1.1', 'Host: localhost', 'Connection: close', 'Sec-Fetch-Site: cross-site'];
    // A link from elsewhere is followed; a script from elsewhere gets nothing.
    expect(await sendRaw(server.port, `${[...head, 'Sec-Fetch-Mode: navigate'].join('\r\n')}\r\n\r\n`)).toMatch(/^HTTP\/1.1 200/);
    expect(await sendRaw(server.port, `${[...head, 'Sec-Fetch-Mode: no-cors'].join('\r\n')}\r\n\r\n`)).toMatch(/^HTTP\/1.1 403/);
    const script = await ask(server, 'GET', '/assets/index-Ab3dEf9_.js');
    expect([script.status, script.headers.get('content-type'), script.headers.get('cache-control')]).toEqual([
      200,
      'text/javascript; charset=utf-8',
      'public, max-age=31536000, immutable',
    ]);
    expect((await ask(server, 'GET', '/my-settings.css')).headers.get('cache-control')).toBe('no-cache');
    expect((await ask(server, 'HEAD', '/')).headers.get('content-length')).toBe('24');
    for (const path of ['/assets/other.js', '/secret.txt', '/../secret.txt', '/%2e%2e/secret.txt', '/assets/..%2f..%2fsecret.txt']) {
      expect((await ask(server, 'GET', path)).body).toMatchObject({ status: 404 });
    }
    expect((await ask(server, 'GET', '/api/v1/meta')).status).toBe(401);
  });
});
