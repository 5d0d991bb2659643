// Options of the HTTP API, read and checked. Neighbours: http-api.ts takes them, guard.ts and app.ts live by them.
import type { Client } from '../../client/client.ts';
import { assertKnownOptions, hasMethods, type FieldNames } from '../../types/arguments.ts';
import { OptionError } from '../../types/errors.ts';
import { silentLogger, type Logger } from '../../types/logger.ts';
import { show } from '../../types/show.ts';
import type { LogSource } from '../operations/log-source.ts';
import type { LocalRuntime } from '../operations/operation.ts';

/** Where the text of `/metrics` comes from. A `Registry` of prom-client is one. */
export type MetricsRegistry = {
  readonly contentType: string;
  metrics(): Promise<string>;
};

/** How many requests one client address may send. */
export type RateLimit = {
  /** In the long run. @default 200 */
  readonly perSecond?: number;
  /** At once. @default 1000 */
  readonly burst?: number;
};

/** Options of the HTTP API. */
export type HttpApiOptions = {
  /** Reads and changes the store. It stays the caller's to close. */
  readonly client: Client;
  /** The store, for its name. @default not told */
  readonly provider?: { readonly name: string };
  /** Runtimes in this process: their figures are of the moment. @default none */
  readonly runtimes?: readonly LocalRuntime[];
  /** Kept log lines, a `LogTail`. @default none: `/logs` is not offered */
  readonly logs?: LogSource;
  /** What `/metrics` answers, such as a `Registry` of prom-client. @default none: it is not offered */
  readonly metrics?: MetricsRegistry;
  /** The dashboard at `/`: true for the one of this package, or a folder of static files. @default false */
  readonly dashboard?: boolean | string | URL;
  /** Offers the MCP server at `/mcp`; its tools only read unless `allowWrites`. @default false */
  readonly mcp?: boolean | { readonly allowWrites: boolean };
  /** Bearer token that requests must carry, at least 16 characters. @default none, which is for loopback only */
  readonly token?: string;
  /** Refuses all that changes something. @default false */
  readonly readOnly?: boolean;
  /** Names by which this server may be called, besides IP addresses and localhost; '*': any. @default none */
  readonly allowedHosts?: readonly string[];
  /** Origins of other sites whose pages may call, such as 'https://ops.example.com'. @default none */
  readonly allowedOrigins?: readonly string[];
  /** Largest body of a request. @default 5 MiB: any payload that the store takes fits */
  readonly maxBodyBytes?: number;
  /** Requests of one client address; false: no limit. @default 200 a second, 1000 at once */
  readonly rateLimit?: RateLimit | false;
  /** Most open event streams. @default 2000 */
  readonly maxStreams?: number;
  /** How long a call may take besides the wait that it asks for, in milliseconds. @default 30 000 */
  readonly requestTimeoutMs?: number;
  /** How often streams look for changes, in milliseconds. @default 250 for an instance; lists and figures 1000 */
  readonly pollMs?: number;
  /** An event stream whose reader takes nothing for this long is cut, in milliseconds. @default 30 000 */
  readonly stallMs?: number;
  /** Gets what the outside is not told: unexpected failures. @default nobody */
  readonly logger?: Logger;
};

/** Options with their defaults. */
export type ResolvedHttpOptions = {
  readonly client: Client;
  readonly storeName: string | null;
  readonly runtimes: readonly LocalRuntime[];
  readonly logs: LogSource | null;
  readonly metrics: MetricsRegistry | null;
  readonly dashboard: boolean | string | URL;
  /** Null: not offered. */
  readonly mcp: { readonly allowWrites: boolean } | null;
  readonly token: string | null;
  readonly isReadOnly: boolean;
  readonly allowedHosts: ReadonlySet<string>;
  readonly allowedOrigins: ReadonlySet<string>;
  readonly maxBodyBytes: number;
  readonly rateLimit: Required<RateLimit> | null;
  readonly maxStreams: number;
  readonly requestTimeoutMs: number;
  readonly pollMs: number;
  readonly listPollMs: number;
  readonly stallMs: number;
  readonly logger: Logger;
};

/** Shortest token. Reason: shorter ones can be guessed within the rate limit in a year. */
const MIN_TOKEN_LENGTH = 16;

/** The names of all options. */
export const HTTP_OPTIONS: FieldNames<HttpApiOptions> = {
  client: true,
  provider: true,
  runtimes: true,
  logs: true,
  metrics: true,
  dashboard: true,
  mcp: true,
  token: true,
  readOnly: true,
  allowedHosts: true,
  allowedOrigins: true,
  maxBodyBytes: true,
  rateLimit: true,
  maxStreams: true,
  requestTimeoutMs: true,
  pollMs: true,
  stallMs: true,
  logger: true,
};

/**
 * Checks options and adds the defaults.
 *
 * @param options - of the caller
 * @returns all options
 * @throws {OptionError} for one outside its range
 */
export function resolveHttpOptions(options: HttpApiOptions): ResolvedHttpOptions {
  if (typeof options !== 'object' || options === null) throw new OptionError(`Expected the options of the HTTP API, got ${show(options)}`);
  assertKnownOptions(options, HTTP_OPTIONS, ' of the HTTP API');
  const { client, provider, runtimes = [], logs = null, metrics = null, dashboard = false, mcp = false, token, readOnly = false } = options;
  const { rateLimit = {}, pollMs, logger = silentLogger } = options;
  if (!hasMethods(client, ['listInstances', 'getState'])) throw new OptionError('Expected `client` to be a Client');
  if (!Array.isArray(runtimes) || !runtimes.every((runtime) => hasMethods(runtime, ['stats']))) {
    throw new OptionError('Expected `runtimes` to be an array of runtimes');
  }
  if (logs !== null && !hasMethods(logs, ['read', 'subscribe'])) throw new OptionError('Expected `logs` to be a LogTail');
  if (metrics !== null && !hasMethods(metrics, ['metrics'])) throw new OptionError('Expected `metrics` to have metrics() and contentType');
  if (token !== undefined && (typeof token !== 'string' || token.length < MIN_TOKEN_LENGTH || !/^[\x21-\x7e]+$/.test(token))) {
    throw new OptionError(
      `Expected \`token\` to have at least ${MIN_TOKEN_LENGTH} characters without spaces; make one with: openssl rand -hex 32`,
    );
  }
  if (!(typeof dashboard === 'boolean' || typeof dashboard === 'string' || dashboard instanceof URL)) {
    throw new OptionError(`Expected \`dashboard\` to be true, false or a folder, got ${show(dashboard)}`);
  }
  if (!(typeof mcp === 'boolean' || (typeof mcp === 'object' && mcp !== null))) {
    throw new OptionError(`Expected \`mcp\` to be true, false or { allowWrites }, got ${show(mcp)}`);
  }
  return {
    client,
    storeName: typeof provider?.name === 'string' ? provider.name : null,
    runtimes,
    logs,
    metrics,
    dashboard,
    mcp: mcp === false ? null : { allowWrites: mcp !== true && flag(mcp.allowWrites, 'mcp.allowWrites') && !flag(readOnly, 'readOnly') },
    token: token ?? null,
    isReadOnly: flag(readOnly, 'readOnly'),
    allowedHosts: new Set(texts(options.allowedHosts, 'allowedHosts').map((host) => toHost(host))),
    allowedOrigins: new Set(texts(options.allowedOrigins, 'allowedOrigins').map((origin) => toOrigin(origin))),
    maxBodyBytes: whole(options.maxBodyBytes, { name: 'maxBodyBytes', fallback: 5 * 1024 * 1024, least: 1_024 }),
    rateLimit: rateLimit === false ? null : toRateLimit(rateLimit),
    maxStreams: whole(options.maxStreams, { name: 'maxStreams', fallback: 2_000, least: 0 }),
    requestTimeoutMs: whole(options.requestTimeoutMs, { name: 'requestTimeoutMs', fallback: 30_000, least: 1 }),
    pollMs: whole(pollMs, { name: 'pollMs', fallback: 250, least: 10 }),
    listPollMs: whole(pollMs, { name: 'pollMs', fallback: 1_000, least: 10 }),
    stallMs: whole(options.stallMs, { name: 'stallMs', fallback: 30_000, least: 10 }),
    logger,
  };
}

function toRateLimit(given: RateLimit): Required<RateLimit> {
  if (typeof given !== 'object' || given === null)
    throw new OptionError(`Expected \`rateLimit\` to be an object or false, got ${show(given)}`);
  assertKnownOptions(given, { perSecond: true, burst: true }, ' of `rateLimit`');
  return {
    perSecond: whole(given.perSecond, { name: 'rateLimit.perSecond', fallback: 200, least: 1 }),
    burst: whole(given.burst, { name: 'rateLimit.burst', fallback: 1_000, least: 1 }),
  };
}

function flag(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw new OptionError(`Expected \`${name}\` to be true or false, got ${show(value)}`);
  return value;
}

function whole(
  value: unknown,
  { name, fallback, least }: { readonly name: string; readonly fallback: number; readonly least: number },
): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw new OptionError(`Expected \`${name}\` to be a whole number from ${least}, got ${show(value)}`);
}

function texts(value: unknown, name: string): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((item): item is string => typeof item === 'string' && item.length > 0)) return value;
  throw new OptionError(`Expected \`${name}\` to be an array of texts, got ${show(value)}`);
}

function toHost(text: string): string {
  if (text !== '*' && !/^[\w.-]+$/.test(text))
    throw new OptionError(`Expected \`allowedHosts\` to hold names such as 'ops.example.com', without scheme and port, got ${show(text)}`);
  return text.toLowerCase();
}

function toOrigin(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : 'null';
  if (origin === 'null')
    throw new OptionError(`Expected \`allowedOrigins\` to hold origins such as 'https://ops.example.com', got ${show(text)}`);
  return origin;
}
