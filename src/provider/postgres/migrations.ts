// The schema of a store: its tables as numbered forward-only migrations, of which entry n brings them from version n to n + 1, and the functions, which
// are always those of the newest version. Neighbours: sql/ has the statements, postgres-provider.ts calls this when it connects.
//
// V1. Any number of processes may connect at once: one makes or changes the schema, the others wait for it (advisory lock, T28).
// V2. All migrations of a connect are one transaction: the schema is at a version, or it is not there.
// V3. Nothing is written into a schema that is not ours, and nothing at all when the version is right.
// V4. An upgrade goes through all instances: it has a time of its own, and so have those who wait for it.
import { ProviderError } from '../../types/errors.ts';
import type { PostgresClient } from './postgres-options.ts';
import { DUMP_FUNCTIONS } from './sql/dumps.ts';
import { INSTANCE_FUNCTIONS } from './sql/instances.ts';
import { LIMIT_FUNCTIONS } from './sql/limits.ts';
import { LISTING_FUNCTIONS } from './sql/listing.ts';
import { QUEUE_FUNCTIONS } from './sql/queues.ts';
import { ADD_MANAGEMENT, makeTables } from './sql/tables.ts';
import { TIDYING_FUNCTIONS } from './sql/tidying.ts';
import { TURN_FUNCTIONS, TURN_PREDICATES } from './sql/turns.ts';
import { WORK_FUNCTIONS } from './sql/work.ts';
import { readOnly } from './trouble.ts';

/** First version with UNIQUE NULLS NOT DISTINCT, as `server_version_num` has it. */
const OLDEST_SERVER = 150_000;

/** What a new schema is made with. */
type MakeOptions = { readonly partitions: number };

/** SQL of each migration. Never edit one that was released; append one, also when only a function was changed. */
const MIGRATIONS: readonly ((options: MakeOptions) => string)[] = [({ partitions }) => makeTables(partitions), () => ADD_MANAGEMENT];

/** One that nobody calls any more stays: processes of the version before may. */
const FUNCTIONS: readonly string[] = [
  ...INSTANCE_FUNCTIONS,
  ...TURN_PREDICATES,
  ...TURN_FUNCTIONS,
  ...LIMIT_FUNCTIONS,
  ...WORK_FUNCTIONS,
  ...LISTING_FUNCTIONS,
  ...TIDYING_FUNCTIONS,
  ...QUEUE_FUNCTIONS,
  ...DUMP_FUNCTIONS,
];

/** The version that this code works with. */
const SCHEMA_VERSION = MIGRATIONS.length;

/** V4. How long an upgrade may take, with the wait for it, in milliseconds. */
export const UPGRADE_TIMEOUT_MS = 600_000;

/**
 * Brings a schema to the current version; makes it when it is not there.
 *
 * @param client - a connection that nobody else uses meanwhile
 * @param options - `schema`: its name; `where`: the server in words; `lockTimeoutMs`: how long to wait for others that do the same; `upgrades`: whether
 *   an older one is upgraded
 * @returns false: it is older, and nothing was done
 * @throws {ProviderError} `DATABASE_TOO_OLD`, `DATABASE_READ_ONLY`, `DATABASE_FOREIGN`, `SCHEMA_TOO_NEW`
 */
export async function prepareSchema(
  client: PostgresClient,
  options: {
    readonly schema: string;
    readonly where: string;
    readonly partitions: number;
    readonly lockTimeoutMs: number;
    readonly upgrades: boolean;
  },
): Promise<boolean> {
  const { schema, where, lockTimeoutMs, upgrades } = options;
  const run = async (text: string, values: readonly unknown[] = []): Promise<Readonly<Record<string, unknown>>> =>
    // Of several statements there are several answers, and none of interest.
    (await client.query({ text, values })).rows?.[0] ?? {};
  const {
    server,
    name,
    read_only: isReadOnly,
  } = await run(
    `SELECT current_setting('server_version_num')::integer AS server, current_setting('server_version') AS name,
       pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only`,
  );
  if (Number(server) < OLDEST_SERVER) throw tooOld(where, String(name));
  const found = await readVersion(client, schema, where);
  if (found === SCHEMA_VERSION) return true;
  if (isReadOnly === true) throw readOnly(where);
  if (found > 0 && !upgrades) return false;
  await client.query({ text: 'BEGIN' });
  try {
    await run(`SELECT set_config('lock_timeout', $1, true)`, [String(lockTimeoutMs)]);
    await run(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`duraloom ${schema}`]);
    const version = await readVersion(client, schema, where);
    if (version < SCHEMA_VERSION) {
      await run(`SELECT set_config('lock_timeout', '0', true)`);
      const { exists } = await run('SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS exists', [schema]);
      // IF NOT EXISTS would ask for the right to make it also when it is there.
      if (exists !== true) await run(`CREATE SCHEMA "${schema}"`);
      await run(`SELECT set_config('search_path', $1, true)`, [`"${schema}", pg_temp`]);
      if (version === 0) await run('CREATE TABLE duraloom (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())');
      for (const [index, migrate] of MIGRATIONS.entries()) {
        if (index < version) continue;
        await run(migrate(options));
        await run('INSERT INTO duraloom (version) VALUES ($1)', [index + 1]);
      }
      await run(FUNCTIONS.join('\n'));
    }
    await client.query({ text: 'COMMIT' });
    return true;
  } catch (error) {
    await rollBack(client);
    throw error;
  }
}

/** The version of a schema; 0: it is not there, or empty. */
async function readVersion(client: PostgresClient, schema: string, where: string): Promise<number> {
  const { rows = [] } = await client.query({
    text: `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname = 'duraloom' DESC, c.relname LIMIT 4`,
    values: [schema],
  });
  const names = rows.map(({ name }) => String(name));
  if (names.length === 0) return 0;
  if (names[0] !== 'duraloom') throw foreign(schema, where, names);
  const answer = await client.query({ text: `SELECT max(version) AS version FROM "${schema}".duraloom` });
  const version = Number(answer.rows?.[0]?.['version'] ?? 0);
  if (version > SCHEMA_VERSION) throw tooNew(schema, where, version);
  return version;
}

/** The failure before is what the caller is told; a connection that is gone has rolled back by itself. */
async function rollBack(client: PostgresClient): Promise<void> {
  try {
    await client.query({ text: 'ROLLBACK' });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

function tooOld(where: string, version: string): ProviderError {
  const message = `The PostgreSQL server at ${where} is version ${version}, older than 15. Upgrade the server`;
  return new ProviderError('DATABASE_TOO_OLD', { operation: 'connect', retryable: false, message });
}

function tooNew(schema: string, where: string, version: number): ProviderError {
  const message =
    `The schema ${schema} at ${where} has version ${version}, this duraloom knows ${SCHEMA_VERSION} at most. ` +
    'Upgrade duraloom in this process: another one has upgraded the schema';
  return new ProviderError('SCHEMA_TOO_NEW', { operation: 'connect', retryable: false, message });
}

function foreign(schema: string, where: string, names: readonly string[]): ProviderError {
  const message = `The schema ${schema} at ${where} has tables of something else: ${names.join(', ')}. Choose another \`schema\`, it is made when it is not there`;
  return new ProviderError('DATABASE_FOREIGN', { operation: 'connect', retryable: false, message });
}
