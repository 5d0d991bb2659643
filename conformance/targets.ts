// The providers of this package as targets of the conformance cases. Neighbours: main.ts runs them from the command line,
// tests/conformance/*.test.ts as tests.
import Database from 'better-sqlite3';
import type { Clock } from 'duraloom';
import type { ConformanceStore, ConformanceTarget } from 'duraloom/conformance';
import { MemoryProvider } from 'duraloom/memory';
import { SqliteProvider } from 'duraloom/sqlite';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresTarget } from './postgres-target.ts';

/** Everything is gone with the provider, and nobody else can reach it. */
export const memory: ConformanceTarget = {
  name: 'memory',
  open: async (clock) => ({ provider: new MemoryProvider({ clock }) }),
};

/** A file of its own for each case. Not synced: no case can take the power away, and syncs would take most of the time. */
export const sqlite: ConformanceTarget = {
  name: 'sqlite',
  open: async (clock): Promise<ConformanceStore> => {
    const folder = await mkdtemp(join(tmpdir(), 'duraloom-conformance-'));
    const file = join(folder, 'store.db');
    await writeFile(file, await emptyDatabase());
    const open = (itsClock: Clock): Promise<SqliteProvider> => SqliteProvider.open(file, { clock: itsClock, synchronous: 'NORMAL' });
    return {
      provider: await open(clock),
      reopen: open,
      openSecond: open,
      corruptHistory: async (instanceId) => halveHistory(file, instanceId),
      remove: () => rm(folder, { recursive: true }),
    };
  },
};

/** A database without a file. */
export const sqliteMemory: ConformanceTarget = {
  name: 'sqlite-memory',
  open: async (clock) => ({ provider: await SqliteProvider.open(':memory:', { clock }) }),
};

/** The server that is named by `DATABASE_URL`, or one of our own that is started for the first case and ends with this process. */
export const postgres: ConformanceTarget = {
  name: 'postgres',
  open: async (clock) => {
    // The driver and the server are for this target alone.
    runningPostgres ??= startTarget();
    return await (await runningPostgres).target.open(clock);
  },
};

let runningPostgres: Promise<PostgresTarget> | null = null;

async function startTarget(): Promise<PostgresTarget> {
  const [{ makePostgresTarget }, { startPostgres }] = await Promise.all([
    import('./postgres-target.ts'),
    import('../postgres-server/server.ts'),
  ]);
  return makePostgresTarget((await startPostgres({ fsync: 'off' })).url);
}

/** The targets by the names that the command line knows. */
export const TARGETS: Readonly<Record<string, ConformanceTarget>> = Object.fromEntries(
  [memory, sqlite, sqliteMemory, postgres].map((target) => [target.name, target]),
);

let emptyBytes: Promise<Buffer> | null = null;

/** The file of a database that was opened and closed, made once: SQLite syncs a new file several times. */
export function emptyDatabase(): Promise<Buffer> {
  emptyBytes ??= makeEmptyDatabase();
  return emptyBytes;
}

async function makeEmptyDatabase(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'duraloom-conformance-'));
  const file = join(folder, 'empty.db');
  await (await SqliteProvider.open(file)).close();
  const bytes = await readFile(file);
  await rm(folder, { recursive: true });
  return bytes;
}

function halveHistory(file: string, instanceId: string): void {
  const database = new Database(file);
  try {
    const { changes } = database
      .prepare(
        'UPDATE history SET events = substr(events, 1, length(events) / 2) WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?)',
      )
      .run(instanceId);
    if (changes === 0) throw new Error(`instance '${instanceId}' has no history to damage`);
  } finally {
    database.close();
  }
}
