// Serves a registry over HTTP, in a server of the host: nothing listens by itself. Neighbour: prometheus-registry.ts.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { assertKnownOptions, hasMethods, makeOptionError, readOptions, type FieldNames } from '../../types/arguments.ts';
import { OptionError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { show } from '../../types/show.ts';

/** Options of `metricsHandler`. */
export type MetricsHandlerOptions = {
  /** The path that is answered; null: every path, for servers that have chosen already. @default '/metrics' */
  readonly path?: string | null;
};

/** A listener for `http.createServer`, with a twin for servers of the Fetch kind. */
export type MetricsHandler = ((request: IncomingMessage, response: ServerResponse) => void) & {
  /** Answers a request. Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>;
};

type Answer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

const OPTIONS: FieldNames<MetricsHandlerOptions> = { path: true };
const TEXT = 'text/plain; charset=utf-8';

/**
 * Makes a handler that answers GET and HEAD with the metrics of a registry.
 *
 * @param registry - from `prometheusRegistry`, or any of prom-client
 * @param options - where it answers
 * @returns the handler
 * @throws {OptionError} for a registry or a path that is none
 */
export function metricsHandler(registry: Pick<Registry, 'metrics' | 'contentType'>, options: MetricsHandlerOptions = {}): MetricsHandler {
  const { path = '/metrics' } = readOptions<MetricsHandlerOptions>(options, 'the options of metricsHandler', OPTIONS, makeOptionError);
  assertKnownOptions(options, OPTIONS, ' of metricsHandler');
  if (!hasMethods(registry, ['metrics']))
    throw new OptionError(`Expected a registry of prom-client, got ${show(registry)}. Await prometheusRegistry`);
  if (path !== null && !(typeof path === 'string' && path.startsWith('/'))) {
    throw new OptionError(`Expected \`path\` to begin with '/', or to be null, got ${show(path)}`);
  }
  const answer = (method: string, url: string): Promise<Answer> => answerTo(registry, path === null || pathOf(url) === path, method);
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // Nothing rejects: failures are answers.
    void answer(request.method ?? 'GET', request.url ?? '/').then(({ status, headers, body }) => {
      response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  };
  const fetch = async (request: Request): Promise<Response> => {
    const { status, headers, body } = await answer(request.method, request.url);
    return new Response(request.method === 'HEAD' ? null : body, { status, headers });
  };
  return Object.assign(listener, { fetch });
}

async function answerTo(registry: Pick<Registry, 'metrics' | 'contentType'>, isHere: boolean, method: string): Promise<Answer> {
  if (!isHere) return plain(404, 'Not found');
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'Only GET and HEAD', { allow: 'GET, HEAD' });
  try {
    const body = await registry.metrics();
    return { status: 200, headers: { 'content-type': registry.contentType, ...SAFE }, body };
  } catch (error) {
    // The reason is for the host, not for who asks.
    process.emitWarning(`metrics could not be collected: ${toFailure(error).message}`, { code: 'DURALOOM_METRICS' });
    return plain(500, 'The metrics could not be collected');
  }
}

const SAFE = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': TEXT, ...SAFE, ...headers }, body: `${text}\n` };
}

function pathOf(url: string): string | null {
  return URL.parse(url, 'http://localhost')?.pathname ?? null;
}
