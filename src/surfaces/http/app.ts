// The HTTP API: routes made of the table of operations, and around them what every request goes through. Neighbours: http-api.ts loads this,
// guard.ts refuses, request-body.ts reads, problem.ts answers, event-stream.ts streams.
import { randomUUID } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { encodeRecord } from '../../types/codec.ts';
import { toSurfaceFailure } from '../operations/failures.ts';
import { toFilter, type FilterOptions } from '../operations/filters.ts';
import type { Operation, SurfaceContext } from '../operations/operation.ts';
import { operations } from '../operations/operations.ts';
import { EventStreams } from './event-streams.ts';
import { allowedOriginOf, guard, type Area } from './guard.ts';
import { IdempotencyKeys, MAX_KEY_LENGTH } from './idempotency.ts';
import { API_PREFIX, openApiDocument } from './openapi.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { jsonResponse, problemResponse, refuse, refuseFailure, withHeaders, type Refusal } from './problem.ts';
import { RateLimiter } from './rate-limit.ts';
import { check, parseJson, readBody, readQuery, type Read } from './request-body.ts';
import type { StaticFiles } from './static-files.ts';
import { exportResponse, readLines } from './transfer.ts';

/** The two sides of a connection, where there is one. */
export type NodeSides = { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse };

/** What the MCP server is to the HTTP API. */
export type McpMount = {
  handle(request: Request): Promise<Response>;
  close(): Promise<void>;
};

/** What handlers know of a request. */
type Bindings = { readonly requestId: string; readonly cut: (() => void) | null };
type AppContext = Context<{ Bindings: Bindings }>;

/** A running API. */
export class HttpApp {
  readonly #options: ResolvedHttpOptions;
  readonly #context: SurfaceContext;
  readonly #limiter: RateLimiter | null;
  readonly #keys = new IdempotencyKeys();
  readonly #streams: EventStreams;
  readonly #files: StaticFiles | null;
  readonly #mcp: McpMount | null;
  readonly #routes: Hono<{ Bindings: Bindings }>;
  readonly #openApi: string;
  readonly listener: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

  /**
   * @param options - checked
   * @param parts - what is served besides the API
   */
  constructor(
    options: ResolvedHttpOptions,
    parts: { readonly context: SurfaceContext; readonly files: StaticFiles | null; readonly mcp: McpMount | null },
  ) {
    this.#options = options;
    this.#context = parts.context;
    this.#files = parts.files;
    this.#mcp = parts.mcp;
    this.#limiter = options.rateLimit === null ? null : new RateLimiter(options.rateLimit);
    this.#streams = new EventStreams(options, parts.context);
    this.#openApi = encodeRecord(openApiDocument(parts.context, options.token !== null));
    this.#routes = this.#makeRoutes();
    // The host's own Request and Response stay as they are.
    this.listener = getRequestListener((request, sides) => this.fetch(request, sides as NodeSides), { overrideGlobalObjects: false });
  }

  /** Numbers for tests: what is open and watched. */
  get figures(): { readonly streams: number; readonly watched: number } {
    return this.#streams.figures;
  }

  /**
   * Answers a request.
   *
   * @param request - the request
   * @param sides - its connection, where there is one
   * @returns the response; never rejects
   */
  async fetch(request: Request, sides?: NodeSides): Promise<Response> {
    const requestId = randomUUID();
    const cut = sides === undefined ? null : (): void => void sides.outgoing.destroy();
    const allowedOrigin = allowedOriginOf(this.#options, request);
    let response: Response;
    try {
      response = await this.#answer(request, { requestId, cut, address: sides?.incoming.socket.remoteAddress ?? null });
    } catch (error) {
      response = this.#fail(error, { request, requestId });
    }
    return withHeaders(response, requestId, allowedOrigin);
  }

  /** Ends all streams and sessions. Requests under way are answered. */
  async close(): Promise<void> {
    this.#streams.close();
    await this.#mcp?.close();
  }

  async #answer(request: Request, visit: Bindings & { readonly address: string | null }): Promise<Response> {
    const { pathname } = new URL(request.url);
    const refusal = guard(this.#options, this.#limiter, { request, area: areaOf(pathname), address: visit.address });
    if (refusal !== null) return problemResponse(refusal, visit.requestId);
    if (request.method === 'OPTIONS') return preflight();
    return await this.#routes.fetch(request, { requestId: visit.requestId, cut: visit.cut });
  }

  #makeRoutes(): Hono<{ Bindings: Bindings }> {
    // The path as it is written, which is what the guard looks at: decoded, /%61pi would be a page to the one and the API to the other.
    const routes = new Hono<{ Bindings: Bindings }>({ getPath: (request) => new URL(request.url).pathname });
    routes.onError((error, context) => this.#fail(error, { request: context.req.raw, requestId: context.env.requestId }));
    routes.notFound((context) => this.#notFound(context));
    // HEAD of a stream would make a stream that nobody reads.
    routes.use(`${API_PREFIX}/*`, async (context, next) =>
      context.req.method === 'HEAD'
        ? problemResponse(
            refuse('METHOD_NOT_ALLOWED', 'This route takes GET, not HEAD', { headers: { allow: 'GET' } }),
            context.env.requestId,
          )
        : await next(),
    );
    for (const operation of operations) {
      routes.on(operation.http.method, toPattern(operation.http.path), (context) => this.#call(operation, context));
    }
    routes.get('/health', () => this.#health());
    routes.get(`${API_PREFIX}/health`, () => this.#health());
    routes.get(`${API_PREFIX}/openapi.json`, () => this.#document());
    routes.get('/openapi.json', () => this.#document());
    routes.get('/metrics', (context) => this.#metrics(context));
    routes.get(`${API_PREFIX}/export`, (context) => this.#export(context));
    routes.post(`${API_PREFIX}/import`, (context) => this.#import(context));
    const streams = this.#streams;
    for (const [path, open] of streams.routes) {
      routes.get(`${API_PREFIX}${path}`, async (context) => {
        const { requestId, cut } = context.env;
        const query = context.req.query('lastEventId');
        const lastEventId = context.req.header('last-event-id') ?? query ?? null;
        const parameters = new URL(context.req.url).searchParams;
        parameters.delete('lastEventId');
        const result = await open({ request: context.req.raw, id: context.req.param('id') ?? '', parameters, lastEventId, requestId, cut });
        return 'refusal' in result ? problemResponse(result.refusal, requestId) : result.value;
      });
    }
    routes.all('/mcp', async (context) => {
      if (this.#mcp === null) return this.#notFound(context);
      return await this.#mcp.handle(context.req.raw);
    });
    return routes;
  }

  // --- calls -----------------------------------------------------------------------------------------------------------------

  async #call(operation: Operation, context: AppContext): Promise<Response> {
    const { requestId } = context.env;
    const request = context.req.raw;
    const refusal = this.#refuseCall(operation, request);
    if (refusal !== null) return problemResponse(refusal, requestId);
    const body = operation.http.method === 'POST' ? await readBody(request, this.#options.maxBodyBytes) : { value: '' };
    if ('refusal' in body) return problemResponse(body.refusal, requestId);
    const input = readInput(operation, { request, path: context.req.param(), body: body.value });
    if ('refusal' in input) return problemResponse(input.refusal, requestId);
    const key = operation.isWrite ? request.headers.get('idempotency-key') : null;
    if (key === null) return await this.#run(operation, input.value, { request, requestId });
    return await this.#runOnce(operation, { key, body: body.value, input: input.value, request, requestId });
  }

  #refuseCall(operation: Operation, request: Request): Refusal | null {
    if (!operation.isOffered(this.#context))
      return refuse('NOT_OFFERED', `This server has nothing for ${operation.name}: it was started without`);
    if (operation.isWrite && this.#context.isReadOnly)
      return refuse('READ_ONLY', 'This server only reads. Start another one without `readOnly`');
    return operation.http.method === 'POST' ? refuseType(request, 'application/json') : null;
  }

  async #run(
    operation: Operation,
    input: Readonly<Record<string, unknown>>,
    call: { readonly request: Request; readonly requestId: string },
  ): Promise<Response> {
    const waitMs = typeof input['waitMs'] === 'number' ? input['waitMs'] : 0;
    const giveUp = new AbortController();
    // A write goes on when its caller has gone: half of it would be worse.
    const { signal } = call.request;
    const onAbort = (): void => giveUp.abort(signal.reason);
    if (!operation.isWrite) signal.addEventListener('abort', onAbort, { once: true });
    let timer: NodeJS.Timeout | undefined;
    const timedOut = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), this.#options.requestTimeoutMs + waitMs);
    });
    try {
      const running = operation.run(this.#context, input, giveUp.signal);
      const result = await Promise.race([running, timedOut]);
      if (result !== null) return jsonResponse(result, operation.http.status);
      giveUp.abort();
      running.catch((error: unknown) =>
        this.#options.logger.warn({ error, requestId: call.requestId }, `${operation.name} failed after its time`),
      );
      const detail = operation.isWrite ? 'It may or may not be done: look before you try again' : 'Try again';
      return problemResponse(refuse('REQUEST_TIMEOUT', `The store did not answer in time. ${detail}`), call.requestId);
    } catch (error) {
      return this.#fail(error, call);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #runOnce(
    operation: Operation,
    call: {
      readonly key: string;
      readonly body: string;
      readonly input: Readonly<Record<string, unknown>>;
      readonly request: Request;
      readonly requestId: string;
    },
  ): Promise<Response> {
    const { key, body, input, request, requestId } = call;
    if (key.length === 0 || key.length > MAX_KEY_LENGTH) {
      return problemResponse(
        refuse('IDEMPOTENCY_KEY_INVALID', `Expected Idempotency-Key to have 1 to ${MAX_KEY_LENGTH} characters`),
        requestId,
      );
    }
    const { pathname, search } = new URL(request.url);
    const result = await this.#keys.run(key, [request.method, pathname, search, body], async () => {
      const response = await this.#run(operation, input, { request, requestId });
      return { status: response.status, contentType: response.headers.get('content-type') ?? '', body: await response.text() };
    });
    if (result === null) {
      return problemResponse(
        refuse('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key belongs to another request. Take a new one'),
        requestId,
      );
    }
    const { status, contentType, body: text } = result.answer;
    const headers = { 'content-type': contentType, ...(result.isReplayed && { 'idempotency-replayed': 'true' }) };
    return new Response(text, { status, headers });
  }

  // --- the rest --------------------------------------------------------------------------------------------------------------

  async #health(): Promise<Response> {
    let isUp = true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#options.requestTimeoutMs);
    });
    try {
      isUp = (await Promise.race([this.#context.client.listRuntimes(), late])) !== false;
    } catch (error) {
      isUp = false;
      this.#options.logger.warn({ error }, 'the store is not healthy');
    } finally {
      clearTimeout(timer);
    }
    const state = isUp ? 'ok' : 'unavailable';
    return jsonResponse({ status: state, store: state }, isUp ? 200 : 503);
  }

  #document(): Response {
    return new Response(this.#openApi, { headers: { 'content-type': 'application/json' } });
  }

  async #metrics(context: AppContext): Promise<Response> {
    const { metrics } = this.#options;
    if (metrics === null) return problemResponse(refuse('NOT_OFFERED', 'This server was started without `metrics`'), context.env.requestId);
    const text = await metrics.metrics();
    return new Response(text, { headers: { 'content-type': metrics.contentType } });
  }

  #export(context: AppContext): Response {
    const { requestId, cut } = context.env;
    const filter = readFilter(new URL(context.req.url).searchParams);
    if ('refusal' in filter) return problemResponse(filter.refusal, requestId);
    return exportResponse(this.#context.client, filter.value, (error) => {
      this.#options.logger.error({ error, requestId }, 'an export broke off');
      cut?.();
      return cut !== null;
    });
  }

  async #import(context: AppContext): Promise<Response> {
    const { requestId } = context.env;
    const request = context.req.raw;
    const refusal = this.#context.isReadOnly
      ? refuse('READ_ONLY', 'This server only reads. Start another one without `readOnly`')
      : refuseType(request, 'application/x-ndjson');
    if (refusal !== null) return problemResponse(refusal, requestId);
    return jsonResponse(await this.#context.client.importInstances(readLines(request.body as ReadableStream<Uint8Array> | null)));
  }

  #notFound(context: AppContext): Response {
    const { requestId } = context.env;
    const { pathname } = new URL(context.req.url);
    const method = context.req.method;
    const isApi = areaOf(pathname) === 'api';
    if (!isApi && this.#files !== null && (method === 'GET' || method === 'HEAD')) {
      const file = this.#files.answer(context.req.raw);
      if (file !== null) return file;
    }
    const allowed = operations.filter(({ http }) => matches(http.path, pathname)).map(({ http }) => http.method);
    if (allowed.length > 0) {
      const allow = [...new Set(allowed)].join(', ');
      return problemResponse(refuse('METHOD_NOT_ALLOWED', `This route takes ${allow}, not ${method}`, { headers: { allow } }), requestId);
    }
    return problemResponse(refuse('ROUTE_NOT_FOUND', `There is nothing here. ${API_PREFIX}/openapi.json lists all routes`), requestId);
  }

  /** The outside is told what it can act on; everything else goes to the log, under the id that the outside gets. */
  #fail(error: unknown, { request, requestId }: { readonly request: Request; readonly requestId: string }): Response {
    const failure = toSurfaceFailure(error);
    const isOurs = failure === null || failure.status === 500 || failure.status === 503;
    // Whoever has gone reads no answer; what it broke off is no failure.
    if (isOurs && !request.signal.aborted) this.#options.logger.error({ error, requestId }, 'a request failed');
    if (failure !== null) return problemResponse(refuseFailure(failure), requestId);
    return problemResponse(
      refuse('INTERNAL_ERROR', 'Something unexpected went wrong. The log of the server has it under the request id'),
      requestId,
    );
  }
}

function areaOf(pathname: string): Area {
  if (pathname === '/health' || pathname === `${API_PREFIX}/health`) return 'health';
  return /^\/(?:api|mcp|metrics|openapi\.json)(?:\/|$)/.test(pathname) ? 'api' : 'page';
}

function toPattern(path: string): string {
  return `${API_PREFIX}${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
}

function matches(path: string, pathname: string): boolean {
  const wanted = `${API_PREFIX}${path}`.split('/');
  const given = pathname.split('/');
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith('{') || part === given[index]);
}

/** What a form of another site cannot send. */
function refuseType(request: Request, wanted: string): Refusal | null {
  const [type = ''] = (request.headers.get('content-type') ?? '').split(';', 1);
  return type.trim().toLowerCase() === wanted ? null : refuse('MEDIA_TYPE', `Send it with the header Content-Type: ${wanted}`);
}

function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': 'authorization, content-type, idempotency-key, last-event-id, mcp-session-id, mcp-protocol-version',
      'access-control-max-age': '600',
    },
  });
}

function readInput(
  operation: Operation,
  given: { readonly request: Request; readonly path: Readonly<Record<string, string>>; readonly body: string },
): Read<Readonly<Record<string, unknown>>> {
  if (!isWellFormed(new URL(given.request.url).pathname))
    return { refusal: refuse('REQUEST_INVALID', 'The path has broken percent-encoding') };
  const path = check(operation.input.path, given.path);
  if ('refusal' in path) return path;
  const parameters = readQuery(operation.input.query, new URL(given.request.url).searchParams);
  if ('refusal' in parameters) return parameters;
  const query = check(operation.input.query, parameters.value);
  if ('refusal' in query) return query;
  const parsed = given.body.trim() === '' ? { value: {} } : parseJson(given.body, 'The body');
  if ('refusal' in parsed) return parsed;
  const body = check(operation.input.body, parsed.value);
  if ('refusal' in body) return body;
  return { value: { ...path.value, ...query.value, ...body.value } };
}

function isWellFormed(pathname: string): boolean {
  try {
    decodeURIComponent(pathname);
    return true;
  } catch {
    return false;
  }
}

function readFilter(parameters: URLSearchParams): Read<FilterOptions> {
  const list = operations.find(({ name }) => name === 'listInstances')?.input.query;
  const schema = list?.omit({ cursor: true, limit: true, orderBy: true, direction: true });
  if (schema === undefined) return { value: {} };
  const query = readQuery(schema, parameters);
  if ('refusal' in query) return query;
  const filter = check(schema, query.value);
  return 'refusal' in filter ? filter : { value: toFilter(filter.value) };
}
