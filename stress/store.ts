// Where the store of a run is, and how it is opened: a file, or a schema of a PostgreSQL server. Neighbours: host.ts opens it for its runtime,
// workspace.ts for whoever looks.
import { setTimeout as pause } from 'node:timers/promises';
import { ProviderError, type Provider } from 'duraloom';
import { PostgresProvider } from 'duraloom/postgres';
import { SqliteProvider } from 'duraloom/sqlite';

/** Plain data: it travels to host processes. */
export type StoreAddress =
  { readonly kind: 'file'; readonly file: string } | { readonly kind: 'postgres'; readonly url: string; readonly schema: string };

/** Connections of a process: several take part at once on one server. */
const MAX_CONNECTIONS = 5;
/** In milliseconds: lost connections and half-open ones are found out many times in a run. */
const TIMEOUTS = { connectTimeoutMs: 2000, queryTimeoutMs: 3000, pollMs: 200 };
/** Between tries to connect, in milliseconds. */
const RETRY_MS = 100;

/**
 * Opens a store. While a server is down it tries again, as whoever keeps a host alive would.
 *
 * @param address - where it is
 * @returns the store
 */
export async function openStore(address: StoreAddress): Promise<Provider> {
  if (address.kind === 'file') return SqliteProvider.open(address.file);
  const { url, schema } = address;
  return insist(() => PostgresProvider.connect({ connectionString: url, schema, maxConnections: MAX_CONNECTIONS, ...TIMEOUTS }));
}

/**
 * Repeats a call while the store is in passing trouble.
 *
 * @param call - what to do
 * @param onError - is told of each failure
 * @returns what it gave
 */
export async function insist<Value>(call: () => Promise<Value>, onError: (error: ProviderError) => void = ignore): Promise<Value> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      onError(error);
      if (!error.retryable) throw error;
    }
    await pause(RETRY_MS);
  }
}

function ignore(): void {
  // Nobody counts.
}
