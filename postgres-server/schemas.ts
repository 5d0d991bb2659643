// Schemas of a PostgreSQL server for tests, bench, stress and demo: names that nobody else has, a look past all providers, and their end.
// Neighbour: server.ts has the server. The schemas themselves are made by the provider.
import pg from 'pg';

/** A row as it comes. */
export type Row = Readonly<Record<string, unknown>>;

let lastNumber = 0;

/**
 * Makes up the name of a schema.
 *
 * @param purpose - what it begins with
 * @returns a name that no other process has on the same server either
 */
export function makeSchemaName(purpose: string): string {
  lastNumber += 1;
  return `${purpose}_${process.pid}_${Date.now().toString(36)}_${lastNumber}`;
}

/**
 * Runs statements on a connection of their own.
 *
 * @param url - of the database
 * @param text - of one statement, or of several without values
 * @param values - of its parameters
 * @returns the rows of a single statement
 */
export async function queryServer(url: string, text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/**
 * Drops a schema, if there is one, with all that is in it.
 *
 * @param url - of its database
 * @param schema - its name
 */
export async function dropSchema(url: string, schema: string): Promise<void> {
  await queryServer(url, `DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
}

/**
 * Deletes all that is in a store: this is much faster than a new schema.
 *
 * @param pool - of the server
 * @param schema - of the store
 */
export async function emptySchema(pool: pg.Pool, schema: string): Promise<void> {
  const { rows } = await pool.query<{ readonly name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'duraloom'`,
    [schema],
  );
  await pool.query(rows.map(({ name }) => `DELETE FROM "${schema}"."${name}";`).join(' '));
}
