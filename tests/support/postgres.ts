// PostgreSQL for tests: a schema of one's own on the server of the run. Neighbour: postgres-setup.ts starts the server.
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import { PostgresProvider, type PostgresOptions } from 'duraloom/postgres';

let lastNumber = 0;

/** The server of this run. */
export function postgresUrl(): string {
  return inject('postgresUrl');
}

/** Makes up the name of a schema that is dropped when the test is over. */
export function freshSchema(): string {
  lastNumber += 1;
  const schema = `test_${process.pid}_${Date.now().toString(36)}_${lastNumber}`;
  onTestFinished(() => query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`).then(() => undefined));
  return schema;
}

/** Runs a statement past all providers. */
export async function query(text: string, values: readonly unknown[] = []): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: postgresUrl() });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** Opens a provider that is closed when the test is over. */
export async function openPostgres(options: PostgresOptions = {}): Promise<PostgresProvider> {
  const { schema = freshSchema(), ...rest } = options;
  const where = options.pool === undefined && options.connectionString === undefined ? { connectionString: postgresUrl() } : {};
  const provider = await PostgresProvider.connect({ ...where, schema, maxConnections: 4, ...rest });
  onTestFinished(() => provider.close());
  return provider;
}
