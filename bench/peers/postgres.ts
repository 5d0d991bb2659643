// A PostgreSQL server for the runtimes that need one: `DATABASE_URL`, or one of our own that ends with this process. Neighbour:
// postgres-server/ has the server, drivers/database.mjs makes the databases.
import { startPostgres as startServer } from '../../postgres-server/server.ts';

/** A server. */
export type Postgres = {
  /** For the header. */
  readonly description: string;
  /** Why it cannot be used; null: it can. */
  readonly failure: string | null;
  /** Makes an empty database. */
  readonly createDatabase: () => Promise<Database>;
  readonly stop: () => Promise<void>;
};

/** A database, as drivers/database.mjs makes it. */
export type Database = { readonly url: string; readonly drop: () => Promise<void> };

type DatabaseModule = {
  readonly createDatabase: (serverUrl: string) => Promise<Database>;
  readonly readVersion: (serverUrl: string) => Promise<string>;
};

/**
 * Starts a server, or finds the given one.
 *
 * @returns the server; one with a `failure` when there is none
 */
export async function startPostgres(): Promise<Postgres> {
  try {
    const server = await startServer();
    const { createDatabase, readVersion } = (await import(new URL('./drivers/database.mjs', import.meta.url).href)) as DatabaseModule;
    const description = `${await readVersion(server.url)}, ${server.origin}`;
    return { description, failure: null, createDatabase: () => createDatabase(server.url), stop: server.stop };
  } catch (error) {
    return toFailed(`no PostgreSQL: ${String(error)}`, () => Promise.resolve());
  }
}

function toFailed(reason: string, stop: () => Promise<void>): Postgres {
  return { description: 'not available', failure: reason, createDatabase: () => Promise.reject(new TypeError(reason)), stop };
}
