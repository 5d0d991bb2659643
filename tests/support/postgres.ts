// PostgreSQL for tests: a schema of one's own on the server of the run. Neighbours: postgres-setup.ts starts the server,
// postgres-server/schemas.ts.
import { inject, onTestFinished } from 'vitest';
import { PostgresProvider, type PostgresOptions } from 'duraloom/postgres';
import { dropSchema, makeSchemaName, queryServer, type Row } from '../../postgres-server/schemas.ts';

/** The server of this run. */
export function postgresUrl(): string {
  return inject('postgresUrl');
}

/** Makes up the name of a schema that is dropped when the test is over. */
export function freshSchema(): string {
  const schema = makeSchemaName('test');
  onTestFinished(() => dropSchema(postgresUrl(), schema));
  return schema;
}

/** Runs a statement past all providers. */
export function query(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
  return queryServer(postgresUrl(), text, values);
}

/** Opens a provider that is closed when the test is over. */
export async function openPostgres(options: PostgresOptions = {}): Promise<PostgresProvider> {
  const { schema = freshSchema(), ...rest } = options;
  const where = options.pool === undefined && options.connectionString === undefined ? { connectionString: postgresUrl() } : {};
  const provider = await PostgresProvider.connect({ ...where, schema, maxConnections: 4, ...rest });
  onTestFinished(() => provider.close());
  return provider;
}
