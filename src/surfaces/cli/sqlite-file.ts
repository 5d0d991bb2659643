// Looks at a SQLite file without a provider: read only, nothing is made, changed or migrated. Neighbours: commands/doctor.ts, commands/validate.ts.
import type Database from 'better-sqlite3';
import { MIGRATIONS } from '../../provider/sqlite/migrations.ts';
import { toFailure } from '../../types/failure.ts';

/** Version of the schema of a new file. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

const RESTORE = 'Restore the file from a backup';
/** What to do, by how SQLite's code begins. Only what is damaged is to be restored. */
const ADVICE: readonly (readonly [string, string])[] = [
  ['SQLITE_BUSY', 'Another program holds its lock: wait, or end it'],
  ['SQLITE_CANTOPEN', 'Check that it is a file, and the permissions of it and its folder'],
  ['SQLITE_IOERR', 'Check that it is a file, and the disk'],
  ['SQLITE_READONLY', 'Give this user the right to write the file and its folder: readers of a store need it, too'],
];

/** Most complaints of SQLite that are taken. */
const MAX_COMPLAINTS = 20;

/** What a file says about itself. */
export type FileFacts = {
  readonly schemaVersion: number;
  readonly journalMode: string;
  readonly bytes: number;
  /** Bytes that are free inside. */
  readonly freeBytes: number;
};

/**
 * Checks a file as a whole, as `PRAGMA integrity_check` does.
 *
 * @param file - its path
 * @returns what is wrong; empty: nothing
 */
export async function checkIntegrity(file: string): Promise<readonly string[]> {
  return await look(
    file,
    (database) => {
      const rows = database.prepare(`PRAGMA integrity_check(${MAX_COMPLAINTS})`).pluck().all() as readonly string[];
      return rows.filter((row) => row !== 'ok').map((row) => `SQLite says: ${row}. ${RESTORE}`);
    },
    (reason) => [reason],
  );
}

/**
 * Reads what a file says about itself.
 *
 * @param file - its path
 * @returns the facts, or why they cannot be read
 */
export async function readFacts(file: string): Promise<FileFacts | { readonly reason: string }> {
  return await look<FileFacts | { readonly reason: string }>(
    file,
    (database) => {
      const number = (name: string): number => Number(database.pragma(name, { simple: true }));
      const pageBytes = number('page_size');
      return {
        schemaVersion: number('user_version'),
        journalMode: String(database.pragma('journal_mode', { simple: true })),
        bytes: number('page_count') * pageBytes,
        freeBytes: number('freelist_count') * pageBytes,
      };
    },
    (reason) => ({ reason }),
  );
}

/**
 * Gives the version of SQLite that the driver has built in.
 *
 * @returns such as 3.50.4
 */
export async function readSqliteVersion(): Promise<string> {
  const { default: Sqlite } = await import('better-sqlite3');
  const database = new Sqlite(':memory:');
  try {
    return String(database.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    database.close();
  }
}

async function look<Result>(
  file: string,
  read: (database: Database.Database) => Result,
  failed: (reason: string) => Result,
): Promise<Result> {
  const { default: Sqlite } = await import('better-sqlite3');
  let database: Database.Database | null = null;
  try {
    database = new Sqlite(file, { readonly: true, fileMustExist: true, timeout: 2_000 });
    return read(database);
  } catch (error) {
    const { code = '', message } = toFailure(error);
    return failed(`SQLite says: ${message}. ${ADVICE.find(([prefix]) => code.startsWith(prefix))?.[1] ?? RESTORE}`);
  } finally {
    database?.close();
  }
}
