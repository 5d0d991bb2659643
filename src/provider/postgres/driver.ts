// Loads the driver, and makes the pool of connections that the provider works with. Neighbours: connection.ts uses it, postgres-provider.ts opens
// and ends it.
//
// D1. `pg` is loaded here only, when a provider connects without a pool of the application: it is an optional peer dependency.
// D2. Connecting ends within its time, whatever the server or the network does; where a store is upgraded, within the time for that.
// D3. A connection may end at any moment, also between the one at which the pool hands it out and the one at which whoever asked for it goes on:
//     somebody listens to its errors from its beginning on. Node ends a process for an error that nobody listens to.
import type pg from 'pg';
import { ProviderError } from '../../types/errors.ts';
import { inTime, takeClient } from './in-time.ts';
import type { PooledPostgresClient, PostgresClient, PostgresPool, ResolvedPostgresOptions } from './postgres-options.ts';

/** A pool, its own or the application's. */
export type OpenPool = Pick<PostgresPool, 'connect'> & {
  /** The server in words, without user and password. */
  readonly where: string;
  /** Runs the first statements on a connection, within a time. */
  prepare<Value>(run: (client: PostgresClient) => Promise<Value>, timeoutMs: number): Promise<Value>;
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
  const { pool: given } = options;
  const { pool, where, end } =
    given === undefined ? await makePool(options) : { pool: given, where: "the application's pool", end: nothing };
  // A connection that ends, as with each restart of the server: its statement rejects, and the next one gets another one.
  const onError = (): void => undefined;
  const onConnect = (client: Pick<PooledPostgresClient, 'on'>): unknown => client.on('error', onError);
  pool.on('error', onError);
  // D3.
  pool.on('connect', onConnect);
  return {
    where,
    connect: () => pool.connect(),
    prepare: (run, timeoutMs) => prepare(pool, run, timeoutMs),
    end: async () => {
      await end();
      // In a pool of our own connections may still be ending, and each may fail.
      if (given === undefined) return;
      pool.removeListener('error', onError);
      pool.removeListener('connect', onConnect);
    },
  };
}

/** D2. A connection that was not answered on is closed, or the pool could not be ended. */
async function prepare<Value>(pool: PostgresPool, run: (client: PostgresClient) => Promise<Value>, timeoutMs: number): Promise<Value> {
  const endMs = performance.now() + timeoutMs;
  const client = await takeClient(pool, timeoutMs);
  // D3, for a connection that the application's pool had already.
  const onError = (): void => undefined;
  client.on('error', onError);
  try {
    const value = await inTime(run(client), endMs - performance.now());
    client.removeListener('error', onError);
    client.release();
    return value;
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
