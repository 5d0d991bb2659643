// PostgreSQL for the rows that run on it: one server for a run, a schema for each store. Neighbours: main.ts and profile-main.ts start the server,
// host.ts and fleet.ts ask for schemas; postgres-server/ has the server.
//
// Q1. The processes of the rows find the server in the environment, whoever set it there: its address may hold a password, and arguments are seen by all.
import pg from 'pg';
import { startPostgres } from '../postgres-server/server.ts';
import type { Sweep } from './sweep.ts';

/** Q1. */
const URL_VARIABLE = 'DATABASE_URL';
/** What decides how much a commit costs. */
const SHOWN_SETTINGS = ['fsync', 'synchronous_commit'] as const;

/** A store on the server. */
export type Schema = { readonly connectionString: string; readonly schema: string };

let lastNumber = 0;

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
  lastNumber += 1;
  const schema = `bench_${process.pid}_${Date.now().toString(36)}_${lastNumber}`;
  try {
    return await use({ connectionString, schema });
  } finally {
    await withClient(connectionString, (client) => client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`));
  }
}

/** The server of this run. Q1. */
export function serverUrl(): string {
  const url = process.env[URL_VARIABLE];
  if (url === undefined || url === '') throw new TypeError('a row on PostgreSQL is started by bench/main.ts only: call npm run bench');
  return url;
}

async function describe(url: string): Promise<string> {
  return withClient(url, async (client) => {
    const show = async (name: string): Promise<string> => {
      const { rows } = await client.query<Record<string, string>>(`SHOW ${name}`);
      return rows[0]?.[name] ?? 'unknown';
    };
    const settings: string[] = [];
    for (const name of SHOWN_SETTINGS) settings.push(`${name} ${await show(name)}`);
    return `PostgreSQL ${await show('server_version')}, ${settings.join(', ')}`;
  });
}

async function withClient<Result>(connectionString: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
