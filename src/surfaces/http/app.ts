// The HTTP API: routes made of the table of operations, and around them what every request goes through. Neighbours: http-api.ts loads this,
// guard.ts refuses, request-body.ts reads, problem.ts answers, event-stream.ts streams.
import { randomUUID } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DurableError } from '../../types/errors.ts';
import { toSurfaceFailure } from '../operations/failures.ts';
import { toFilter, type FilterOptions } from '../operations/filters.ts';
import type { Operation, SurfaceContext, Tell } from '../operations/operation.ts';
import { operations } from '../operations/operations.ts';
import { EventStreams } from './event-streams.ts';
import { allowedOriginOf, guard, type Area } from './guard.ts';
import { IdempotencyKeys, MAX_KEY_LENGTH, type RecordedAnswer } from './idempotency.ts';
import { API_PREFIX, openApiDocument } from './openapi.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { jsonResponse, problemResponse, refuse, refuseFailure, withHeaders, type Refusal } from './problem.ts';
import { RateLimiter } from './rate-limit.ts';
import { check, parseJson, readBody, readQuery, type Read } from './request-body.ts';
import type { StaticFiles } from './static-files.ts';
import { exportResponse, readLines } from './transfer.ts';

/** What is known of a request besides itself. */
export type Visit = {
  /** Of the client; null: not known. */
  readonly address: string | null;
  /** Cuts the connection; null: there is none to cut. */
  readonly cut: (() => void) | null;
};

/** The two sides of a connection. */
type NodeSides = { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse };

/** What the MCP server is to the HTTP API. */
export type McpMount = {
  handle(request: Request): Promise<Response>;
  close(): Promise<void>;
};

/** What handlers know of a request. */
type Bindings = { readonly requestId: string; readonly cut: Visit['cut'] };
type AppContext = Context<{ Bindings: Bindings }>;

/** What is open now. */
export type Figures = {
  /** Event streams. */
  readonly streams: number;
  /** Things that are looked at for them. */
  readonly watched: number;
  /** Reads under way, such as waits. */
  readonly reads: number;
};

/** A call of an operation whose input has been checked. */
type Call = {
  readonly operation: Operation;
  readonly input: Readonly<Record<string, unknown>>;
  readonly request: Request;
  readonly requestId: string;
};

/** A running API. */
export class HttpApp {
  readonly #options: ResolvedHttpOptions;
  readonly #context: SurfaceContext;
  readonly #limiter: RateLimiter | null;
  readonly #keys = new IdempotencyKeys();
  readonly #reads = new Set<AbortController>();
  readonly #streams: EventStreams;
  readonly #files: StaticFiles | null;
  readonly #mcp: McpMount | null;
  readonly #routes: Hono<{ Bindings: Bindings }>;
  readonly #openApi: object;
  #isClosed = false;
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
    this.#openApi = openApiDocument(parts.context, options.token !== null);
    this.#routes = this.#makeRoutes();
    // The host's own Request and Response stay as they are.
    this.listener = getRequestListener(
      (request, env) => {
        const { incoming, outgoing } = env as NodeSides;
        return this.fetch(request, { address: incoming.socket.remoteAddress ?? null, cut: () => void outgoing.destroy() });
      },
      { overrideGlobalObjects: false },
    );
  }

  /** Numbers for tests: what is open and watched. */
  get figures(): Figures {
    return { ...this.#streams.figures, reads: this.#reads.size };
  }

  /**
   * Answers a request.
   *
   * @param request - the request
   * @param visit - address of the client, and what cuts its connection; null: not known
   * @returns the response; never rejects
   */
  async fetch(request: Request, visit: Visit): Promise<Response> {
    const requestId = randomUUID();
    const allowedOrigin = allowedOriginOf(this.#options, request);
    let response: Response;
    try {
      response = await this.#answer(request, { requestId, ...visit });
    } catch (error) {
      response = this.#fail(error, { signal: request.signal, requestId });
    }
    return withHeaders(response, requestId, allowedOrigin);
  }

  /** Ends all streams, sessions and waits. Requests under way are answered, later ones refused. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#streams.close();
    for (const read of this.#reads) read.abort(closed());
    await this.#mcp?.close();
  }

  async #answer(request: Request, visit: Visit & { readonly requestId: string }): Promise<Response> {
    if (this.#isClosed) throw closed();
    const { pathname } = new URL(request.url);
    const refusal = guard(this.#options, this.#limiter, { request, area: areaOf(pathname), address: visit.address });
    if (refusal !== null) return problemResponse(refusal, visit.requestId);
    if (request.method === 'OPTIONS') return preflight();
    return await this.#routes.fetch(request, { requestId: visit.requestId, cut: visit.cut });
  }

  #makeRoutes(): Hono<{ Bindings: Bindings }> {
    // The path as it is written, which is what the guard looks at: decoded, /%61pi would be a page to the one and the API to the other.
    const routes = new Hono<{ Bindings: Bindings }>({ getPath: (request) => new URL(request.url).pathname });
    routes.onError((error, context) => this.#fail(error, { signal: context.req.raw.signal, requestId: context.env.requestId }));
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
    routes.get(`${API_PREFIX}/openapi.json`, () => this.#document('../..'));
    routes.get('/openapi.json', () => this.#document('.'));
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
    const { requestId, cut } = context.env;
    const request = context.req.raw;
    const refusal = this.#refuseCall(operation, request);
    if (refusal !== null) return problemResponse(refusal, requestId);
    const body = operation.http.method === 'POST' ? await readBody(request, this.#options.maxBodyBytes) : { value: '' };
    if ('refusal' in body) return problemResponse(body.refusal, requestId);
    const input = readInput(operation, { request, path: context.req.param(), body: body.value });
    if ('refusal' in input) return problemResponse(input.refusal, requestId);
    const call: Call = { operation, input: input.value, request, requestId };
    if (!operation.isWrite) return await this.#read(call);
    const key = request.headers.get('idempotency-key');
    if (operation.hasProgress && wantsEvents(request)) return this.#follow(call, { key, cut });
    return await (key === null ? this.#inTime(this.#answerOf(call), call) : this.#runOnce(call, { key, body: body.value }));
  }

  #refuseCall(operation: Operation, request: Request): Refusal | null {
    if (!operation.isOffered(this.#context))
      return refuse('NOT_OFFERED', `This server has nothing for ${operation.name}: it was started without`);
    if (operation.isWrite && this.#context.isReadOnly)
      return refuse('READ_ONLY', 'This server only reads. Start another one without `readOnly`');
    return operation.http.method === 'POST' ? refuseType(request, 'application/json') : null;
  }

  /** A read ends with its caller, with its time, and with the server. */
  async #read(call: Call): Promise<Response> {
    const { signal } = call.request;
    const giveUp = new AbortController();
    const onAbort = (): void => giveUp.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#reads.add(giveUp);
    try {
      return await this.#inTime(this.#answerOf(call, giveUp.signal), call);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#reads.delete(giveUp);
      giveUp.abort();
    }
  }

  /** Never rejects. A write has no signal: half of it would be worse. */
  async #answerOf({ operation, input, requestId }: Call, signal: AbortSignal = new AbortController().signal): Promise<Response> {
    try {
      return jsonResponse(await operation.run(this.#context, input, signal), operation.http.status);
    } catch (error) {
      return this.#fail(error, { signal: operation.isWrite ? null : signal, requestId });
    }
  }

  async #inTime(answer: Promise<Response>, { operation, input, request, requestId }: Call): Promise<Response> {
    const waitMs = typeof input['waitMs'] === 'number' ? input['waitMs'] : 0;
    return await within(this.#options.requestTimeoutMs + waitMs, answer, () => {
      const hasKey = request.headers.has('idempotency-key');
      const write = hasKey ? 'It goes on: send it again with its key to get its answer' : 'It goes on: look before you try again';
      return problemResponse(
        refuse('REQUEST_TIMEOUT', `The store did not answer in time. ${operation.isWrite ? write : 'Try again'}`),
        requestId,
      );
    });
  }

  async #runOnce(call: Call, { key, body }: { readonly key: string; readonly body: string }): Promise<Response> {
    const { request, requestId } = call;
    if (key.length === 0 || key.length > MAX_KEY_LENGTH) {
      const detail = `Expected Idempotency-Key to have 1 to ${MAX_KEY_LENGTH} characters`;
      return problemResponse(refuse('IDEMPOTENCY_KEY_INVALID', detail), requestId);
    }
    const { pathname, search } = new URL(request.url);
    const keyed = this.#keys.run(key, [request.method, pathname, search, body], async () => {
      const response = await this.#answerOf(call);
      return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
    });
    if (keyed === null) {
      const detail = 'This Idempotency-Key belongs to another request. Take a new one';
      return problemResponse(refuse('IDEMPOTENCY_KEY_REUSED', detail), requestId);
    }
    const toResponse = ({ status, headers, body: text }: RecordedAnswer): Response =>
      new Response(text, { status, headers: { ...headers, ...(keyed.isRepeat && { 'idempotency-replayed': 'true' }) } });
    return await this.#inTime(keyed.answer.then(toResponse), call);
  }

  /** Ends with its reader: the part that is under way is finished. */
  #follow(
    { operation, input, request, requestId }: Call,
    { key, cut }: { readonly key: string | null; readonly cut: Bindings['cut'] },
  ): Response {
    if (key !== null) {
      const detail = 'A call whose progress is streamed ends with its reader, and has no Idempotency-Key';
      return problemResponse(refuse('IDEMPOTENCY_KEY_INVALID', detail), requestId);
    }
    const run = (signal: AbortSignal, tell: Tell): Promise<object> => operation.run(this.#context, input, signal, tell);
    const stream = this.#streams.progress({ request, requestId, cut }, run);
    return 'refusal' in stream ? problemResponse(stream.refusal, requestId) : stream.value;
  }

  // --- the rest --------------------------------------------------------------------------------------------------------------

  async #health(): Promise<Response> {
    let isUp: boolean;
    try {
      isUp = await within(
        this.#options.requestTimeoutMs,
        this.#context.client.listRuntimes().then(() => true),
        () => false,
      );
    } catch (error) {
      isUp = false;
      this.#options.logger.warn({ error }, 'the store is not healthy');
    }
    const state = isUp ? 'ok' : 'unavailable';
    return jsonResponse({ status: state, store: state }, isUp ? 200 : 503);
  }

  /** Where the server is, is told from where the document is: a host may have mounted it anywhere. */
  #document(server: string): Response {
    return jsonResponse({ ...this.#openApi, servers: [{ url: server }] });
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
  #fail(error: unknown, { signal, requestId }: { readonly signal: AbortSignal | null; readonly requestId: string }): Response {
    const failure = toSurfaceFailure(error);
    const isOurs = failure === null || failure.status === 500 || failure.status === 503;
    // Whoever has gone reads no answer; what it broke off is no failure, and neither is the end of the server.
    const isEnd = signal?.aborted === true || (this.#isClosed && failure?.code === 'PROVIDER_CLOSED');
    if (isOurs && !isEnd) this.#options.logger.error({ error, requestId }, 'a request failed');
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
  return (
    wanted.length === given.length && wanted.every((part, index) => (part.startsWith('{') ? given[index] !== '' : part === given[index]))
  );
}

function closed(): DurableError {
  return new DurableError('PROVIDER_CLOSED', 'The server is closing. Ask again when it is back');
}

/** Gives up waiting for an answer, not the answer. */
async function within<Value>(ms: number, answer: Promise<Value>, late: () => Value): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const timedOut = new Promise<Value>((resolve) => {
    timer = setTimeout(() => resolve(late()), ms);
  });
  try {
    return await Promise.race([answer, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

function wantsEvents(request: Request): boolean {
  return /\btext\/event-stream\b/i.test(request.headers.get('accept') ?? '');
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
