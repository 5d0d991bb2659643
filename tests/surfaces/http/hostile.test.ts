// Requests of those who mean harm, or do not know better: each gets a clear refusal, nothing is done, and nothing is told that is none of their business.
import type { ServeOptions } from 'duraloom/http';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ask, openSurface, sendRaw, type Answer, type Surface } from '../surface-stage.ts';

const TOKEN = 'correct-horse-battery-staple';
const JSON_TYPE = { 'content-type': 'application/json' };

let surface: Surface;

beforeAll(async () => {
  surface = await openSurface({
    maxBodyBytes: 2_048,
    headersTimeoutMs: 500,
    allowedHosts: ['ops.example'],
    allowedOrigins: ['https://ops.example'],
  });
  await surface.client.startOrchestration('there', 'approval');
});
afterAll(() => surface[Symbol.asyncDispose]());

/** What every refusal is like. */
function refused(answer: Answer, status: number, code: string): void {
  expect(answer).toMatchObject({ status, body: { status, code, type: `urn:duraloom:${code}` } });
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.body['requestId']).toBe(answer.headers.get('x-request-id'));
  expect(String(answer.body['detail']).length).toBeGreaterThan(10);
  expect(answer.text).not.toMatch(/\.ts\b|node_modules|at [\w.]+ \(/);
}

const raw = (lines: readonly string[], body = ''): Promise<string> =>
  sendRaw(surface.server.port, `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`);
const start = (body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  ask(surface.server, 'POST', '/api/v1/instances', { body, headers });

describe('names and origins', () => {
  test.each(['evil.example', 'evil.example:80', 'localhost.evil.example', '', 'a b', '127.0.0.1@evil.example', 'ops.example.evil'])(
    'a request to the host %j is refused',
    async (host) => {
      expect(await raw(['GET /api/v1/instances HTTP/1.1', `Host: ${host}`])).toMatch(/^HTTP\/1.1 (?:403|400) [^]*(?:HOST_NOT_ALLOWED|$)/);
    },
  );

  test.each(['localhost', '127.0.0.1:99', '[::1]:8090', '10.1.2.3', 'ops.example', 'OPS.example:443'])(
    'a request to the host %j is answered',
    async (host) => {
      expect(await raw(['GET /api/v1/meta HTTP/1.1', `Host: ${host}`])).toMatch(/^HTTP\/1.1 200 OK/);
    },
  );

  test('a request line that names another host is refused', async () => {
    expect(await raw(['GET http://evil.example/api/v1/meta HTTP/1.1', 'Host: localhost'])).toMatch(/^HTTP\/1.1 403[^]*HOST_NOT_ALLOWED/);
  });

  test('a request without a host is refused', async () => {
    expect(await raw(['GET /api/v1/meta HTTP/1.1'])).toMatch(/^HTTP\/1.1 400/);
    expect(await raw(['GET /api/v1/meta HTTP/1.0'])).toMatch(/^HTTP\/1.1 40[03]/);
  });

  test.each([
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:1' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' },
  ])('a page of another site is refused: %j', async (headers) => {
    refused(await start({ instanceId: 'forged', name: 'approval' }, headers), 403, 'ORIGIN_NOT_ALLOWED');
    refused(await ask(surface.server, 'GET', '/api/v1/instances', { headers }), 403, 'ORIGIN_NOT_ALLOWED');
    expect(await surface.client.getState('forged')).toBeNull();
  });

  test('an allowed origin may call, and reads the answer; its preflight is answered', async () => {
    const headers = { origin: 'https://ops.example', 'sec-fetch-site': 'cross-site' };
    const answer = await ask(surface.server, 'GET', '/api/v1/meta', { headers });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://ops.example');
    const preflight = await ask(surface.server, 'OPTIONS', '/api/v1/instances', { headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('idempotency-key');
  });

  test('an allowed origin may ask first also where a token is needed, and then needs the token', async () => {
    const guarded = await openSurface({ token: TOKEN, allowedOrigins: ['https://ops.example'] });
    onTestFinished(() => guarded[Symbol.asyncDispose]());
    const headers = { origin: 'https://ops.example', 'access-control-request-method': 'POST' };
    const preflight = await ask(guarded.server, 'OPTIONS', '/api/v1/instances', { headers });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin'), preflight.text]).toEqual([
      204,
      'https://ops.example',
      '',
    ]);
    expect((await ask(guarded.server, 'GET', '/api/v1/meta', { headers })).status).toBe(401);
    const evil = { ...headers, origin: 'https://evil.example' };
    refused(await ask(guarded.server, 'OPTIONS', '/api/v1/instances', { headers: evil }), 403, 'ORIGIN_NOT_ALLOWED');
  });

  test('our own page may call', async () => {
    const headers = { origin: surface.server.url, 'sec-fetch-site': 'same-origin' };
    expect((await ask(surface.server, 'GET', '/api/v1/meta', { headers })).status).toBe(200);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'what a form can send (%s) is refused',
    async (type) => {
      const body = '{"instanceId":"forged","name":"approval"}';
      refused(await ask(surface.server, 'POST', '/api/v1/instances', { body, headers: { 'content-type': type } }), 415, 'MEDIA_TYPE');
      refused(await ask(surface.server, 'POST', '/api/v1/import', { body, headers: { 'content-type': type } }), 415, 'MEDIA_TYPE');
    },
  );
});

describe('bodies', () => {
  test('one that is too large is refused, by its length or as it comes', async () => {
    const body = JSON.stringify({ instanceId: 'large', name: 'approval', input: 'x'.repeat(3_000) });
    refused(await start(body), 413, 'BODY_TOO_LARGE');
    const chunk = `3e8\r\n${'x'.repeat(1_000)}\r\n`;
    const head = ['POST /api/v1/instances HTTP/1.1', 'Host: localhost', 'Content-Type: application/json', 'Transfer-Encoding: chunked'];
    expect(await raw(head, `${chunk.repeat(5)}0\r\n\r\n`)).toMatch(/^HTTP\/1.1 413[^]*BODY_TOO_LARGE/);
    expect(await surface.client.getState('large')).toBeNull();
  });

  test.each([
    ['no JSON', '{"instanceId":', 'BODY_INVALID'],
    ['an array', '[]', 'REQUEST_INVALID'],
    ['a text', '"x"', 'REQUEST_INVALID'],
    ['null', 'null', 'REQUEST_INVALID'],
    ['no UTF-8', '\ud800', 'BODY_INVALID'],
    ['very deep', `{"instanceId":"deep","name":"approval","input":${'['.repeat(900)}${']'.repeat(900)}}`, 'BODY_INVALID'],
    ['a field that nobody knows', '{"instanceId":"odd","name":"approval","prioirty":3}', 'REQUEST_INVALID'],
    ['__proto__', '{"instanceId":"odd","name":"approval","__proto__":{"isAdmin":true}}', 'REQUEST_INVALID'],
    ['wrong types', '{"instanceId":5,"name":["approval"]}', 'REQUEST_INVALID'],
    ['a missing field', '{"name":"approval"}', 'REQUEST_INVALID'],
    ['an id that is taken for children', '{"instanceId":"a::b","name":"approval"}', 'ARGUMENT_INVALID'],
    ['an id with NUL', '{"instanceId":"a\\u0000","name":"approval"}', 'ARGUMENT_INVALID'],
    ['half a character as id', '{"instanceId":"\\ud800","name":"approval"}', 'ARGUMENT_INVALID'],
    ['an id that is too long', `{"instanceId":"${'x'.repeat(600)}","name":"approval"}`, 'REQUEST_INVALID'],
    ['a priority outside its range', '{"instanceId":"odd","name":"approval","priority":10}', 'REQUEST_INVALID'],
    ['a date that is none', '{"instanceId":"odd","name":"approval","startAt":"2026-02-30T00:00:00Z"}', 'REQUEST_INVALID'],
  ])('%s is refused', async (_, body, code) => {
    const bytes = body === '\ud800' ? Buffer.from([0x22, 0xff, 0x22]) : Buffer.from(body);
    const response = await fetch(`${surface.server.url}/api/v1/instances`, { method: 'POST', headers: JSON_TYPE, body: bytes });
    const text = await response.text();
    refused({ status: response.status, headers: response.headers, text, body: JSON.parse(text) as Record<string, unknown> }, 400, code);
    for (const id of ['odd', 'deep']) expect(await surface.client.getState(id)).toBeNull();
    expect({}).not.toHaveProperty('isAdmin');
  });

  test('data may hold any JSON, also names that mean something to JavaScript', async () => {
    const body = '{"instanceId":"proto","name":"approval","input":{"__proto__":{"isAdmin":true},"constructor":1}}';
    expect((await start(body)).status).toBe(201);
    await surface.client.waitForCustomStatus('proto', { afterVersion: 0, timeout: '20s' });
    expect((await ask(surface.server, 'GET', '/api/v1/instances/proto/values')).text).toContain(
      '{"__proto__":{"isAdmin":true},"constructor":1}',
    );
    expect({}).not.toHaveProperty('isAdmin');
  });
});

describe('paths and queries', () => {
  test.each([
    ['GET', '/api/v1/nothing', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/api', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/../../etc/passwd', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/%2e%2e/%2e%2e/etc/passwd', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/..%2f..%2fetc%2fpasswd', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/api/v1/instances/', 404, 'ROUTE_NOT_FOUND'],
    ['DELETE', '/api/v1/instances/.', 404, 'ROUTE_NOT_FOUND'],
    ['DELETE', '/api/v1/instances/%2e%2e/there', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '//api/v1/meta', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/API/v1/meta', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/api/v1/instances/th%2565re', 404, 'INSTANCE_NOT_FOUND'],
    ['PATCH', '/api/v1/instances', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/api/v1/instances/there/cancel', 405, 'METHOD_NOT_ALLOWED'],
    ['DELETE', '/api/v1/bulk', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/api/v1/instances/nobody', 404, 'INSTANCE_NOT_FOUND'],
    ['GET', '/api/v1/instances/nobody/events', 404, 'INSTANCE_NOT_FOUND'],
    ['GET', '/api/v1/instances/%E0%A4%A', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances/%00', 400, 'ARGUMENT_INVALID'],
    ['GET', '/api/v1/instances/there/history?afterEventId=-1', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances/there/history?afterEventId=1e3', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances/there/history?executionId=99999999999999999999', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances/there/result?waitMs=999999999', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances/there/events?lastEventId=x', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?limit=0', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?limit=1&limit=2', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?status=Running&status=Sleeping', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?order=id', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?__proto__=x', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?attributes=vip', 400, 'BODY_INVALID'],
    ['GET', '/api/v1/instances?attributes={%22a%22:[]}', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/instances?cursor=foreign', 400, 'ARGUMENT_INVALID'],
    ['GET', '/api/v1/instances?createdAfter=yesterday', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/queues/neither/items', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/queues/worker/items?cursor=foreign', 400, 'ARGUMENT_INVALID'],
    ['GET', '/api/v1/streams/instances?cursor=x', 400, 'REQUEST_INVALID'],
    ['GET', '/api/v1/export?limit=3', 400, 'REQUEST_INVALID'],
    ['GET', '/mcp', 404, 'ROUTE_NOT_FOUND'],
  ])('%s %s gives %i %s', async (method, path, status, code) => {
    refused(await ask(surface.server, method, path), status, code);
  });

  test('a header or a line that would end another one is refused', async () => {
    expect(await raw(['GET /api/v1/meta HTTP/1.1', 'Host: localhost', 'X: a\0b'])).toMatch(/^HTTP\/1.1 400/);
    const split = await ask(surface.server, 'GET', '/api/v1/instances/a%0d%0aSet-Cookie:%20x=1');
    refused(split, 404, 'INSTANCE_NOT_FOUND');
    expect(split.headers.get('set-cookie')).toBeNull();
  });

  test('a request that is longer than its headers may be is refused', async () => {
    expect(await raw([`GET /api/v1/instances?search=${'x'.repeat(40_000)} HTTP/1.1`, 'Host: localhost'])).toMatch(/^HTTP\/1.1 431/);
  });

  test('a client that sends its headers drop by drop is cut', async () => {
    const answer = await sendRaw(surface.server.port, 'GET /api/v1/meta HTTP/1.1\r\nHost: localhost\r\nX: ');
    expect(answer).toMatch(/^(?:HTTP\/1.1 408|$)/);
  });

  test('HEAD of the API makes no stream', async () => {
    expect((await ask(surface.server, 'HEAD', '/api/v1/streams/stats')).status).toBe(405);
    expect(surface.server.figures().streams).toBe(0);
  });
});

test('every answer carries the security headers', async () => {
  for (const path of ['/api/v1/meta', '/api/v1/nothing', '/health']) {
    const { headers } = await ask(surface.server, 'GET', path);
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'self';.*frame-ancestors 'none'/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cache-control')).toBe('no-store');
  }
});

describe('a server with a token', () => {
  let guarded: Surface;

  beforeAll(async () => {
    guarded = await openSurface({ token: TOKEN, rateLimit: { perSecond: 1, burst: 200 } });
  });
  afterAll(() => guarded[Symbol.asyncDispose]());

  test('tells nothing to who has none or another one, but that it lives', async () => {
    for (const authorization of [undefined, 'Bearer wrong-token-wrong-token', `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, 'Bearer ', TOKEN]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const answer = await ask(guarded.server, 'GET', '/api/v1/instances', { headers });
      refused(answer, 401, 'UNAUTHORIZED');
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
    expect((await ask(guarded.server, 'GET', '/health')).body).toEqual({ status: 'ok', store: 'ok' });
  });

  test.each(['/%61pi/v1/instances', '/api%2Fv1/instances', '/%6Dcp', '/%6fpenapi.json', '/ap%69/v1/export'])(
    'finds nothing at %s, which is only the API once it is decoded',
    async (path) => {
      refused(await ask(guarded.server, 'GET', path), 404, 'ROUTE_NOT_FOUND');
    },
  );

  test('answers who has it', async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await ask(guarded.server, 'GET', '/api/v1/meta', { headers })).status).toBe(200);
    expect((await ask(guarded.server, 'GET', '/openapi.json', { headers })).body).toMatchObject({ security: [{ token: [] }] });
  });

  test('makes guessing slow: a wrong token costs as much as many requests', async () => {
    const guess = (): Promise<Answer> =>
      ask(guarded.server, 'GET', '/api/v1/meta', { headers: { authorization: 'Bearer guess-guess-guess-guess' } });
    let answer = await guess();
    for (let guesses = 0; answer.status === 401 && guesses < 20; guesses += 1) answer = await guess();
    refused(answer, 429, 'RATE_LIMITED');
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });
});

describe('options', () => {
  test.each<[string, Partial<ServeOptions>]>([
    ['another address without a token', { host: '0.0.0.0' }],
    ['another address without a token', { host: '::' }],
    ['a short token', { token: 'short' }],
    ['a token with a space', { token: 'sixteen characters and more' }],
    ['a port outside its range', { port: 70_000 }],
    ['a body limit that is none', { maxBodyBytes: 0 }],
    ['an origin that is none', { allowedOrigins: ['ops.example'] }],
    ['hosts that are no list', { allowedHosts: 'ops.example' as unknown as string[] }],
    ['a host with its port', { allowedHosts: ['ops.example:8443'] }],
    ['a host with its scheme', { allowedHosts: ['https://ops.example'] }],
    ['a rate limit that is none', { rateLimit: null as unknown as false }],
    ['a misspelt rate limit', { rateLimit: { perSecnd: 5 } as object }],
    ['an MCP option that is none', { mcp: null as unknown as false }],
    ['a dashboard folder that is not there', { dashboard: '/nowhere' }],
    ['a word for a flag', { readOnly: 'yes' as unknown as boolean }],
    ['an option that nobody knows', { tokken: 'x' } as Partial<ServeOptions>],
  ])('%s is refused', async (_, options) => {
    await expect(openSurface(options)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  test('a port that is taken is named', async () => {
    await expect(openSurface({ port: surface.server.port })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(String(surface.server.port)) as string,
    });
  });
});
