// Where the demo has its store: a file in its work folder, or a schema of a PostgreSQL server. Neighbours: main.ts and host.ts open it.
import { join } from 'node:path';
import type { Provider } from 'duraloom';
import { PostgresProvider } from 'duraloom/postgres';
import { SqliteProvider } from 'duraloom/sqlite';

/** What `--store` takes. */
export type StoreKind = 'sqlite' | 'postgres';

/** Plain data: it travels to the host as its argument. The address of a server may hold a password: it travels in the environment. */
export type Store = { readonly kind: 'sqlite'; readonly file: string } | { readonly kind: 'postgres'; readonly schema: string };

/** A store that is there, and what is to be done with it at the end. */
export type PlacedStore = {
  readonly store: Store;
  /** For the output. */
  readonly description: string;
  /** Removes what is not in the work folder; with `keep` only what cannot stay. */
  readonly remove: (keep: boolean) => Promise<void>;
};

/** Environment variable with the address of the server. */
const URL_VARIABLE = 'DATABASE_URL';
/** How often changes by other processes are looked for in a file, in milliseconds. */
const CHANGE_POLL_MS = 20;

/**
 * Finds a place for a store, and starts a server where one is needed.
 *
 * @param kind - of the store
 * @param work - folder of the demo
 * @returns the place
 */
export async function placeStore(kind: StoreKind, work: string): Promise<PlacedStore> {
  if (kind === 'sqlite') {
    const file = join(work, 'demo.db');
    return { store: { kind, file }, description: 'demo.db', remove: () => Promise.resolve() };
  }
  // For development only, as the server is.
  const [{ startPostgres }, { dropSchema, makeSchemaName }] = await Promise.all([
    import('../postgres-server/server.ts'),
    import('../postgres-server/schemas.ts'),
  ]);
  const server = await startPostgres();
  const isOurs = server.origin !== URL_VARIABLE;
  process.env[URL_VARIABLE] = server.url;
  const schema = makeSchemaName('duraloom_demo');
  return {
    store: { kind, schema },
    description: isOurs ? 'a PostgreSQL server of its own, which ends with the demo' : `schema ${schema} of the server of ${URL_VARIABLE}`,
    remove: async (keep) => {
      if (!isOurs && !keep) await dropSchema(server.url, schema);
      await server.stop();
    },
  };
}

/**
 * Opens a store.
 *
 * @param store - where it is
 * @returns the provider
 */
export function openStore(store: Store): Promise<Provider> {
  if (store.kind === 'sqlite') return SqliteProvider.open(store.file, { changePollMs: CHANGE_POLL_MS });
  return PostgresProvider.connect({ connectionString: process.env[URL_VARIABLE] ?? '', schema: store.schema });
}
