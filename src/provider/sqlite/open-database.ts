// Opens the database file: checks Node, the file and its schema, sets the pragmas, migrates. Neighbours: migrations.ts, sqlite-provider.ts.
import type Database from 'better-sqlite3';
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DurableError, ProviderError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { assertNodeVersion } from '../../types/node-version.ts';
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts';
import type { SynchronousMode } from './sqlite-options.ts';

/** How long opening waits for another process that migrates or recovers the same file. */
const OPEN_TIMEOUT_MS = 10_000;
/** SQLite sleeps the whole thread while it waits for a lock, so it may do so only this long; longer waits are asynchronous. */
const BUSY_TIMEOUT_MS = 2;

/** Longest path or reason in a message, in UTF-16 units. */
const MAX_SHOWN = 500;
/** Length of the header of a SQLite file. */
const HEADER_BYTES = 100;
/** Largest page of SQLite. */
const BLANK_BYTES = 65_536;

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
  checkHeader(file);
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
      if (!isBusy(error) || performance.now() > giveUpAtMs) throw unreadable(file, error);
    }
    await delay(5 + Math.random() * 20);
  }
}

function prepare(database: Database.Database, file: string, synchronous: SynchronousMode): void {
  const version = checkOwnership(database, file);
  // Before the switch to a log, so that the mark stands in the file itself and is found there by its header.
  if (version === 0) database.pragma(`application_id = ${APPLICATION_ID}`);
  database.pragma('journal_mode = WAL');
  database.pragma(`synchronous = ${synchronous}`);
  database.pragma('cache_size = -65536');
  database.pragma('temp_store = MEMORY');
  // 16 MiB of log between checkpoints: each checkpoint costs two syncs, and rewrites a page once however often it changed.
  database.pragma('wal_autocheckpoint = 4000');
  if (version < MIGRATIONS.length) migrate(database, file);
}

/**
 * Looks at the first bytes of a file before SQLite opens it: opening alone would change the files that another program's crash left.
 * Says nothing about files that are no databases; SQLite does.
 */
function checkHeader(file: string): void {
  const header = readHeader(file);
  if (header === null) return;
  const applicationId = header.readUInt32BE(68);
  const version = header.readUInt32BE(60);
  // One page holds no table: somebody made an empty database for us.
  const isBlank = applicationId === 0 && version === 0 && statSync(file).size <= BLANK_BYTES && !existsSync(`${file}-wal`);
  if (applicationId !== APPLICATION_ID && !isBlank) throw foreign(file);
  if (version > MIGRATIONS.length) throw tooNew(file, version);
}

/** Header of a SQLite file; null when there is no such file, or it is no SQLite file. */
function readHeader(file: string): Buffer | null {
  try {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats?.isFile() !== true || stats.size < HEADER_BYTES) return null;
    const header = Buffer.alloc(HEADER_BYTES);
    const descriptor = openSync(file, 'r');
    try {
      readSync(descriptor, header, 0, HEADER_BYTES, 0);
    } finally {
      closeSync(descriptor);
    }
    return header.toString('latin1', 0, 15) === 'SQLite format 3' ? header : null;
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** Refuses files that are not ours, and newer ones. Returns the schema version, 0 for a new file. */
function checkOwnership(database: Database.Database, file: string): number {
  const applicationId = Number(database.pragma('application_id', { simple: true }));
  const version = Number(database.pragma('user_version', { simple: true }));
  if (applicationId === APPLICATION_ID) {
    if (version > MIGRATIONS.length) throw tooNew(file, version);
    return version;
  }
  const tables = Number(database.prepare('SELECT count(*) FROM sqlite_master').pluck().get());
  if (applicationId !== 0 || version !== 0 || tables !== 0) throw foreign(file);
  return version;
}

function foreign(file: string): ProviderError {
  return new ProviderError('DATABASE_FOREIGN', {
    operation: 'open',
    retryable: false,
    message: `'${file}' is a SQLite database of another program (it was left unchanged). Give a path of its own for duraloom`,
  });
}

function tooNew(file: string, version: number): ProviderError {
  return new ProviderError('SCHEMA_TOO_NEW', {
    operation: 'open',
    retryable: false,
    message: `'${file}' has schema version ${version}, this duraloom knows up to ${MIGRATIONS.length} (the file was left unchanged). Update duraloom`,
  });
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

/**
 * Makes the error for a file that is no usable store.
 *
 * @param file - its path
 * @param cause - what SQLite or the system said
 * @returns the error
 */
export function unreadable(file: string, cause: unknown): ProviderError {
  const reason = toFailure(cause).message;
  return new ProviderError('DATABASE_UNREADABLE', {
    operation: 'open',
    retryable: isBusy(cause),
    message: `'${cut(file)}' cannot be opened as a SQLite database: ${cut(reason)}. Check the path, its folder and permissions, and that no other program holds it`,
    cause,
  });
}

/** A path is shown whole, unless it is none that a system would take. */
function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
