// Loads the driver, and makes the pool of connections that the provider works with. Neighbours: connection.ts uses it, postgres-provider.ts opens
// and ends it.
//
// D1. `pg` is loaded here only, when a provider connects without a pool of the application: it is an optional peer dependency.
// D2. Connecting ends within its time, whatever the server or the network does.
import type pg from 'pg';
import { ProviderError } from '../../types/errors.ts';
import { inTime, takeClient } from './in-time.ts';
import type { PostgresClient, PostgresPool, ResolvedPostgresOptions } from './postgres-options.ts';

/** A pool, its own or the application's. */
export type OpenPool = PostgresPool & {
  /** The server in words, without user and password. */
  readonly where: string;
  /** Runs the first statements on a connection, within the time for connecting. */
  prepare(run: (client: PostgresClient) => Promise<void>): Promise<void>;
  /** Closes the connections, unless the pool is the application's. */
  end(): Promise<void>;
};

/** A connection that goes unanswered for so long is asked by the system whether it lives, in milliseconds. */
const KEEP_ALIVE_MS = 5_000;

/**
 * Makes the pool.
 *
 * @param options - of the provider
 * @returns the pool; nothing is connected yet
 * @throws {ProviderError} `DRIVER_MISSING`, `DATABASE_UNREACHABLE` for a connection string that is none
 */
export async function openPool(options: ResolvedPostgresOptions): Promise<OpenPool> {
  const { pool: given, connectTimeoutMs } = options;
  const { pool, where, end } =
    given === undefined ? await makePool(options) : { pool: given, where: "the application's pool", end: nothing };
  // An idle connection that ends, as with each restart of the server: the next statement gets another one.
  const onError = (): void => undefined;
  pool.on('error', onError);
  return {
    where,
    connect: () => pool.connect(),
    on: (event, listener) => pool.on(event, listener),
    removeListener: (event, listener) => pool.removeListener(event, listener),
    prepare: (run) => prepare(pool, run, connectTimeoutMs),
    end: async () => {
      await end();
      pool.removeListener('error', onError);
    },
  };
}

/** D2. A connection that was not answered on is closed, or the pool could not be ended. */
async function prepare(pool: PostgresPool, run: (client: PostgresClient) => Promise<void>, timeoutMs: number): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  const client = await takeClient(pool, timeoutMs);
  const onError = (): void => {
    // The statement under way rejects, too. Without a listener the process would end.
  };
  client.on('error', onError);
  try {
    await inTime(run(client), endMs - performance.now());
    client.removeListener('error', onError);
    client.release();
  } catch (error) {
    client.removeListener('error', onError);
    client.release(true);
    throw error;
  }
}

async function makePool(
  options: ResolvedPostgresOptions,
): Promise<{ readonly pool: PostgresPool; readonly where: string; readonly end: () => Promise<void> }> {
  const { connectionString, maxConnections, connectTimeoutMs } = options;
  const driver = await loadDriver();
  const where = describe(connectionString);
  const pool = new driver.Pool({
    ...(connectionString === undefined ? {} : { connectionString }),
    max: maxConnections,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    application_name: 'duraloom',
  });
  return { pool: pool as unknown as PostgresPool, where, end: () => pool.end() };
}

async function loadDriver(): Promise<typeof pg> {
  try {
    return (await import('pg')).default;
  } catch (cause) {
    const message = 'The PostgreSQL provider needs the package `pg`. Install it beside duraloom: npm install pg';
    throw new ProviderError('DRIVER_MISSING', { operation: 'connect', retryable: false, message, cause });
  }
}

/** Host, port and database: what a message may say. */
function describe(connectionString: string | undefined): string {
  if (connectionString === undefined) return `${process.env['PGHOST'] ?? 'localhost'}:${process.env['PGPORT'] ?? '5432'}`;
  let url: URL;
  try {
    url = new URL(connectionString);
    // As the driver does it, which would show the text as well.
    for (const part of [url.username, url.password, url.pathname]) decodeURIComponent(part);
  } catch {
    // The cause would show the text, and the password in it.
    throw badString();
  }
  if (!/^postgres(ql)?:$/.test(url.protocol)) throw badString();
  return `${url.hostname === '' ? 'localhost' : url.hostname}:${url.port === '' ? '5432' : url.port}${url.pathname}`;
}

function badString(): ProviderError {
  const message =
    'The connection string of the PostgreSQL provider is none: expected postgresql://user:password@host:port/database, with special characters ' +
    'of user and password percent-encoded';
  return new ProviderError('DATABASE_UNREACHABLE', { operation: 'connect', retryable: false, message });
}

async function nothing(): Promise<void> {
  // The pool is the application's.
}
