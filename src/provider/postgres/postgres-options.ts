// Options of the PostgreSQL provider, and what it needs of the driver. Apart from the code that loads the driver, so that who imports types needs
// neither the driver nor its types.
import { assertKnownOptions, makeOptionError, readOptions, type FieldNames } from '../../types/arguments.ts';
import { isClock, type Clock } from '../../types/clock.ts';
import { OptionError } from '../../types/errors.ts';
import { show } from '../../types/show.ts';
import { systemClock } from '../system-clock.ts';

/** What the provider asks of a connection: a client of `pg`, in or outside of a pool. */
export type PostgresClient = {
  query(config: {
    readonly text: string;
    readonly name?: string;
    readonly values?: readonly unknown[];
    readonly types?: { getTypeParser(oid: number): (text: string) => unknown };
  }): Promise<{ readonly rows?: readonly Record<string, unknown>[] }>;
};

/** A client that goes back to its pool; with an error, or true, it is closed instead. */
export type PooledPostgresClient = PostgresClient & {
  release(error?: Error | boolean): void;
  /** Absent in older versions of `pg`. 'T': in a transaction. */
  getTransactionStatus?(): string | null;
  // One signature for all events: against several TypeScript compares the generic one of `pg` without its type parameters, and finds no match.
  on(event: 'notification' | 'error' | 'end', listener: (argument: never) => void): unknown;
  removeListener(event: 'error', listener: (error?: Error) => void): unknown;
};

/** What the provider asks of a pool: a `pg.Pool`. */
export type PostgresPool = {
  connect(): Promise<PooledPostgresClient>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'connect', listener: (client: Pick<PooledPostgresClient, 'on'>) => void): unknown;
  removeListener(event: 'error', listener: (error: Error) => void): unknown;
  removeListener(event: 'connect', listener: (client: Pick<PooledPostgresClient, 'on'>) => void): unknown;
};

/** Options of `PostgresProvider.connect`. */
export type PostgresOptions = {
  /** Where the server is, such as `postgresql://user@host:5432/database`. Absent: the environment variables `PGHOST`, `PGUSER` and so on. */
  readonly connectionString?: string;
  /** A pool of the application instead, for at least 3 connections. The provider keeps one of them to listen, and never ends the pool. */
  readonly pool?: PostgresPool;
  /** Schema of the store, made when it is not there: one for each tenant. Letters, digits and `_`. @default 'duraloom' */
  readonly schema?: string;
  /** Most connections, one to listen included. Minimum: 3. Not with `pool`. @default 8 */
  readonly maxConnections?: number;
  /** Into how many parts the hot tables are split when the schema is made; later it has no effect. 1 to 256. @default 1 */
  readonly partitions?: number;
  /** How often to look for work that nobody told of, in milliseconds, give or take a quarter. Minimum: 10. @default 1000 */
  readonly pollMs?: number;
  /** How long connecting may take, in milliseconds. Minimum: 1. @default 5000 */
  readonly connectTimeoutMs?: number;
  /** After how long a statement counts as lost, in milliseconds: its connection is closed, its outcome is unknown. Minimum: 1. @default 20000 */
  readonly queryTimeoutMs?: number;
  /** Clock of leases and timers, for tests. @default the clock of the database server */
  readonly clock?: Clock;
};

/** Options with their defaults. */
export type ResolvedPostgresOptions = Required<Omit<PostgresOptions, 'connectionString' | 'pool'>> &
  Pick<PostgresOptions, 'connectionString' | 'pool'>;

const FIELDS: FieldNames<PostgresOptions> = {
  clock: true,
  connectTimeoutMs: true,
  connectionString: true,
  maxConnections: true,
  partitions: true,
  pollMs: true,
  pool: true,
  queryTimeoutMs: true,
  schema: true,
};

/** Minimum and maximum of each number. */
const RANGES = {
  maxConnections: [3, 1_000],
  partitions: [1, 256],
  pollMs: [10, 3_600_000],
  connectTimeoutMs: [1, 3_600_000],
  queryTimeoutMs: [1, 3_600_000],
} as const;

/** Identifiers are cut at 63 bytes without a word: the channel's name is longer than the schema's by 9. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,53}$/i;

/**
 * Checks options and fills in defaults.
 *
 * @param options - as given
 * @returns all of them
 * @throws {OptionError} that names option, range and value; never a connection string
 */
export function resolvePostgresOptions(options: PostgresOptions | undefined): ResolvedPostgresOptions {
  const given = readOptions(options, 'the options of a PostgreSQL provider', FIELDS, makeOptionError);
  assertKnownOptions(options, FIELDS);
  const { schema = 'duraloom', maxConnections = 8, partitions = 1, clock = systemClock } = given;
  const { pollMs = 1_000, connectTimeoutMs = 5_000, queryTimeoutMs = 20_000, connectionString, pool } = given;
  assertSchemaName(schema);
  for (const [name, value] of Object.entries({ maxConnections, partitions, pollMs, connectTimeoutMs, queryTimeoutMs })) {
    const [least, most] = RANGES[name as keyof typeof RANGES];
    if (!(Number.isInteger(value) && value >= least && value <= most)) {
      throw new OptionError(`Expected \`${name}\` to be an integer from ${least} to ${most}, got ${show(value)}`);
    }
  }
  if (connectionString !== undefined && typeof connectionString !== 'string') {
    throw new OptionError('Expected `connectionString` to be a text such as postgresql://user@host:5432/database');
  }
  if (pool !== undefined && typeof (pool as Partial<PostgresPool> | null)?.connect !== 'function') {
    throw new OptionError('Expected `pool` to be a Pool of the package pg: an object with connect()');
  }
  if (pool !== undefined && connectionString !== undefined) {
    throw new OptionError('Expected `connectionString` or `pool`, got both. Leave one out');
  }
  if (!isClock(clock)) throw new OptionError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
  const where = { ...(connectionString === undefined ? {} : { connectionString }), ...(pool === undefined ? {} : { pool }) };
  return { ...where, schema, maxConnections, partitions, pollMs, connectTimeoutMs, queryTimeoutMs, clock };
}

/**
 * Checks the name of a schema.
 *
 * @param schema - the name
 * @throws {OptionError} when it is none that can be used
 */
export function assertSchemaName(schema: unknown): asserts schema is string {
  if (typeof schema === 'string' && SCHEMA_NAME.test(schema) && !/^pg_/i.test(schema) && schema !== 'information_schema') return;
  const rule = 'to be 1 to 54 letters, digits and `_`, not beginning with a digit or `pg_`';
  throw new OptionError(`Expected \`schema\` ${rule}, got ${show(schema)}. Use one schema for each tenant`);
}
