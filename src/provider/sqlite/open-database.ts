// Opens the database file: checks Node, the file and its schema, sets the pragmas, migrates. Neighbours: file-check.ts, migrations.ts,
// sqlite-provider.ts.
import type Database from 'better-sqlite3';
import { setTimeout as delay } from 'node:timers/promises';
import { DurableError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { assertNodeVersion } from '../../types/node-version.ts';
import { checkFile, foreign, tooNew, unreadable } from './file-check.ts';
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts';
import type { SynchronousMode } from './sqlite-options.ts';

/** How long opening waits for another process that migrates or recovers the same file. */
const OPEN_TIMEOUT_MS = 10_000;
/** SQLite sleeps the whole thread while it waits for a lock, so it may do so only this long; longer waits are asynchronous. */
export const BUSY_TIMEOUT_MS = 2;

/**
 * Opens and, if needed, creates or migrates a database.
 *
 * @param file - path, or ':memory:'
 * @param synchronous - durability of a commit
 * @returns the open database
 * @throws {DurableError} `NODE_TOO_OLD`
 * @throws {ProviderError} `DATABASE_UNREADABLE`, `DATABASE_FOREIGN`, `SCHEMA_TOO_NEW`
 */
export async function openDatabase(file: string, synchronous: SynchronousMode): Promise<Database.Database> {
  assertNodeVersion(process.versions.node);
  const { default: Sqlite } = await import('better-sqlite3');
  checkFile(file);
  const giveUpAtMs = performance.now() + OPEN_TIMEOUT_MS;
  for (;;) {
    let database: Database.Database | null = null;
    try {
      database = new Sqlite(file, { timeout: BUSY_TIMEOUT_MS });
      prepare(database, file, synchronous);
      return database;
    } catch (error) {
      database?.close();
      if (error instanceof DurableError) throw error;
      if (!isBusy(error) || performance.now() > giveUpAtMs) throw unreadable(file, error, isBusy(error));
    }
    await delay(5 + Math.random() * 20);
  }
}

function prepare(database: Database.Database, file: string, synchronous: SynchronousMode): void {
  const version = checkOwnership(database, file);
  // Before the switch to a log, so that the mark stands in the file itself and is found there by its header.
  if (markOf(database) !== APPLICATION_ID) database.pragma(`application_id = ${APPLICATION_ID}`);
  database.pragma('journal_mode = WAL');
  database.pragma(`synchronous = ${synchronous}`);
  database.pragma('cache_size = -32768');
  database.pragma('temp_store = MEMORY');
  // 4 MiB of log between checkpoints, which are made in the main thread: with 16 MiB the longest commit takes 9 ms instead of 2.5, for no
  // more throughput (measured).
  database.pragma('wal_autocheckpoint = 1000');
  if (version < MIGRATIONS.length) migrate(database, file);
}

/** Refuses files that are not ours, and newer ones. Returns the schema version, 0 for a new file. */
function checkOwnership(database: Database.Database, file: string): number {
  const applicationId = markOf(database);
  const version = Number(database.pragma('user_version', { simple: true }));
  if (applicationId === APPLICATION_ID) {
    if (version > MIGRATIONS.length) throw tooNew(file, version);
    return version;
  }
  const tables = Number(database.prepare('SELECT count(*) FROM sqlite_master').pluck().get());
  if (applicationId !== 0 || version !== 0 || tables !== 0) throw foreign(file);
  return version;
}

function markOf(database: Database.Database): number {
  return Number(database.pragma('application_id', { simple: true }));
}

/** Forward only, one transaction, version checked again inside it: another process may have been faster. */
function migrate(database: Database.Database, file: string): void {
  database
    .transaction(() => {
      const version = checkOwnership(database, file);
      for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
      database.pragma(`application_id = ${APPLICATION_ID}`);
      database.pragma(`user_version = ${MIGRATIONS.length}`);
    })
    .immediate();
}

/**
 * Tells whether SQLite failed because another connection holds a lock.
 *
 * @param error - what was caught
 * @returns true for SQLITE_BUSY and SQLITE_LOCKED with all their extensions
 */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED');
}

/**
 * Gives SQLite's result code.
 *
 * @param error - what was caught
 * @returns such as `SQLITE_FULL`, or an empty string
 */
export function sqliteCode(error: unknown): string {
  const { code = '' } = toFailure(error);
  return code.startsWith('SQLITE_') ? code : '';
}
