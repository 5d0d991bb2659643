// PostgreSQL for the rows that run on it: one server for a run, a schema for each store. Neighbours: main.ts and profile-main.ts start the server,
// host.ts and fleet.ts ask for schemas; postgres-server/ has the server.
//
// Q1. The processes of the rows find the server in the environment, whoever set it there: its address may hold a password, and arguments are seen by all.
import { dropSchema, makeSchemaName, queryServer } from '../postgres-server/schemas.ts';
import { startPostgres } from '../postgres-server/server.ts';
import type { Sweep } from './sweep.ts';

/** Q1. */
const URL_VARIABLE = 'DATABASE_URL';
/** What decides how much a commit costs. */
const SHOWN_SETTINGS = ['fsync', 'synchronous_commit'];

/** A store on the server. */
export type Schema = { readonly connectionString: string; readonly schema: string };

/**
 * Starts a server, or finds the given one, when a run needs one.
 *
 * @param sweep - with the stores that are measured
 * @param use - the run; gets what the server is, for the header; null: none is needed
 * @returns what `use` returned
 */
export async function withServer<Result>({ store = [] }: Sweep, use: (server: string | null) => Promise<Result>): Promise<Result> {
  if (!store.includes('postgres')) return use(null);
  const server = await startPostgres({ fsync: 'on' });
  process.env[URL_VARIABLE] = server.url;
  try {
    return await use(`${await describe(server.url)}: ${server.origin}`);
  } finally {
    await server.stop();
  }
}

/**
 * Makes up a schema, and drops it afterwards.
 *
 * @param use - what to do in it; the provider makes it
 * @returns what `use` returned
 */
export async function withSchema<Result>(use: (schema: Schema) => Promise<Result>): Promise<Result> {
  const connectionString = serverUrl();
  const schema = makeSchemaName('bench');
  try {
    return await use({ connectionString, schema });
  } finally {
    await dropSchema(connectionString, schema);
  }
}

/** The server of this run. Q1. */
export function serverUrl(): string {
  const url = process.env[URL_VARIABLE];
  if (url === undefined || url === '') throw new TypeError('a row on PostgreSQL is started by bench/main.ts only: call npm run bench');
  return url;
}

async function describe(url: string): Promise<string> {
  const text = 'SELECT name, setting FROM pg_settings WHERE name = ANY ($1)';
  const rows = await queryServer(url, text, [['server_version', ...SHOWN_SETTINGS]]);
  const shown = new Map(rows.map(({ name, setting }) => [name, String(setting)]));
  const settings = SHOWN_SETTINGS.map((name) => `${name} ${shown.get(name) ?? 'unknown'}`);
  return `PostgreSQL ${shown.get('server_version') ?? 'unknown'}, ${settings.join(', ')}`;
}
