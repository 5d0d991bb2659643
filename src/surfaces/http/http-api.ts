// `createHttpApi` and `serve`: the API in a server of the host, and in one of its own. Loads what it is made of only when it is called.
// Neighbours: options.ts, app.ts.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { OptionError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { show } from '../../types/show.ts';
import { loadSurface } from '../operations/load-surface.ts';
import type { SurfaceContext } from '../operations/operation.ts';
import type { Figures, HttpApp, McpMount } from './app.ts';
import { resolveHttpOptions, type HttpApiOptions, type ResolvedHttpOptions } from './options.ts';
import type { StaticFiles } from './static-files.ts';

/** Who sends a request, as the server of the host knows it. */
export type RequestClient = {
  /**
   * Address of the other side of the connection, which has a rate limit of its own. A header that anybody can set is none.
   * @default not known: all such requests share one rate limit
   */
  readonly remoteAddress?: string | undefined;
};

/** The HTTP API, to be mounted in a server. */
export type HttpApi = {
  /** For servers that speak `Request` and `Response`. */
  readonly fetch: (request: Request, client?: RequestClient) => Promise<Response>;
  /** For `node:http`, Express and the like. */
  readonly listener: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Ends all streams and sessions. */
  readonly close: () => Promise<void>;
  /** What is open now. */
  readonly figures: () => Figures;
};

/** Options of a server of its own. */
export type ServeOptions = HttpApiOptions & {
  /** Address to listen on. Beyond loopback a token is needed. @default '127.0.0.1' */
  readonly host?: string;
  /** 0: any free one. @default 8090 */
  readonly port?: number;
  /** How long a client may take to send the head of a request, in milliseconds. @default 10 000 */
  readonly headersTimeoutMs?: number;
};

/** A server that listens. */
export type HttpServer = {
  /** Where it is, such as http://127.0.0.1:8090. */
  readonly url: string;
  readonly port: number;
  /** Ends streams, answers what is under way, and closes. */
  readonly close: () => Promise<void>;
  readonly figures: HttpApi['figures'];
};

const PACKAGES = ['hono', '@hono/node-server', 'zod'];
const DEFAULT_PORT = 8090;
const HEADERS_TIMEOUT_MS = 10_000;
/** Longest time to send a request, body included. Reason: an import may be large, a client that only trickles holds a connection. */
const REQUEST_TIMEOUT_MS = 300_000;
/** Longest silence of a connection. Reason: streams say something every 15 s; who takes nothing that long is gone. */
const IDLE_MS = 120_000;
/** How long requests under way may take when the server closes. */
const CLOSE_GRACE_MS = 5_000;
/** Longest address that is remembered, in UTF-16 units: one of IPv6 with its zone fits. */
const MAX_ADDRESS = 64;
/** Most connections. Reason: each costs memory and a file descriptor, and hosts have other uses for both. */
const MAX_CONNECTIONS = 10_000;

/**
 * Makes the HTTP API, to be mounted in a server of the host.
 *
 * @param options - the client, and what is to be served
 * @returns the API; close it before the store
 * @throws {OptionError} for an option outside its range
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when an optional package is not installed
 */
export async function createHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  return toApi(await makeApp(resolveHttpOptions(options)));
}

/**
 * Serves the HTTP API.
 *
 * @param options - the client, what is to be served, where to listen
 * @returns the server; close it before the store
 * @throws {OptionError} for an option outside its range, a missing token, or an address that cannot be listened on
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when an optional package is not installed
 */
export async function serve(options: ServeOptions): Promise<HttpServer> {
  const { host = '127.0.0.1', port = DEFAULT_PORT, headersTimeoutMs = HEADERS_TIMEOUT_MS, ...rest } = options;
  if (typeof host !== 'string' || host === '') throw new OptionError(`Expected \`host\` to be an address, got ${show(host)}`);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new OptionError(`Expected \`port\` to be from 0 to 65535, got ${show(port)}`);
  if (!Number.isInteger(headersTimeoutMs) || headersTimeoutMs < 1) {
    throw new OptionError(`Expected \`headersTimeoutMs\` to be a whole number from 1, got ${show(headersTimeoutMs)}`);
  }
  const given = resolveHttpOptions(rest);
  if (given.token === null && !isLoopback(host)) {
    throw new OptionError(`Expected a \`token\`: ${host} can be reached from other machines. Make one with: openssl rand -hex 32`);
  }
  // A server is called by the name that it listens on.
  const resolved = isIP(host) === 0 ? { ...given, allowedHosts: new Set([...given.allowedHosts, host.toLowerCase()]) } : given;
  const app = await makeApp(resolved);
  const server = createServer({
    headersTimeout: headersTimeoutMs,
    requestTimeout: Math.max(REQUEST_TIMEOUT_MS, headersTimeoutMs),
    connectionsCheckingInterval: Math.min(1_000, headersTimeoutMs),
    keepAliveTimeout: 5_000,
  });
  server.timeout = IDLE_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('request', (request, response) => void app.listener(request, response));
  await listen(server, { host, port });
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://${isIP(host) === 6 ? `[${host}]` : host}:${bound}`,
    port: bound,
    close: once(() => close(server, app)),
    figures: () => app.figures,
  };
}

async function makeApp(options: ResolvedHttpOptions): Promise<HttpApp> {
  const { HttpApp: App } = await loadSurface('The HTTP API', PACKAGES, () => import('./app.ts'));
  const context: SurfaceContext = {
    client: options.client,
    storeName: options.storeName,
    runtimes: options.runtimes,
    logs: options.logs,
    isReadOnly: options.isReadOnly,
    hasMetrics: options.metrics !== null,
    hasMcp: options.mcp !== null,
  };
  return new App(options, { context, files: await openFiles(options), mcp: await openMcp(options, context) });
}

async function openFiles({ dashboard }: ResolvedHttpOptions): Promise<StaticFiles | null> {
  if (dashboard === false) return null;
  const { StaticFiles: Files } = await import('./static-files.ts');
  if (dashboard !== true) return new Files(dashboard);
  const { dashboardFolder } = await import('../dashboard/assets.ts');
  const folder = dashboardFolder();
  if (folder === null) throw new OptionError('The dashboard is not built: run `npm run build`, or give its folder as `dashboard`');
  return new Files(folder);
}

async function openMcp({ mcp, logger, maxBodyBytes }: ResolvedHttpOptions, surface: SurfaceContext): Promise<McpMount | null> {
  if (mcp === null) return null;
  const { McpSessions } = await loadSurface('The MCP server', ['@modelcontextprotocol/sdk', 'zod'], () => import('../mcp/sessions.ts'));
  return new McpSessions({ surface, allowWrites: mcp.allowWrites, logger }, { maxBodyBytes });
}

function toApi(app: HttpApp): HttpApi {
  return {
    fetch: (request, client) => app.fetch(request, { address: addressOf(client), cut: null }),
    listener: (request, response) => app.listener(request, response),
    close: once(() => app.close()),
    figures: () => app.figures,
  };
}

/** Servers call handlers with second arguments of their own: what has no such text is not known. */
function addressOf(client: RequestClient | undefined): string | null {
  const { remoteAddress } = client ?? {};
  return typeof remoteAddress === 'string' ? remoteAddress.slice(0, MAX_ADDRESS) : null;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

async function listen(server: Server, address: { readonly host: string; readonly port: number }): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    throw new OptionError(`Cannot listen on ${address.host}, port ${address.port}: ${toFailure(cause).message}. Choose another \`port\``, {
      cause,
    });
  }
}

async function close(server: Server, app: HttpApp): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await app.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearTimeout(timer);
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
