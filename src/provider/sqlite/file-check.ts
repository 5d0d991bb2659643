// Looks at a file before SQLite opens it: opening alone would change the files that another program, or a crash, has left.
// Neighbours: open-database.ts opens what passes; the errors of a file that is none of ours are made here.
//
// F1. Nothing is written. What passes may be damaged all the same: SQLite says so when it gets there.
// F2. What counts is the first page as SQLite would see it: that of the log, when a transaction in it has changed it.
// F3. A file that this process has open already is left to SQLite: the system drops the locks of a process on a file when any descriptor of it is
//     closed (POSIX), and another process would take the log away from under a provider. Whoever uses it as a database has recovered what a
//     crash had left, so SQLite changes nothing by looking. On a log it has no locks.
import { accessSync, closeSync, constants, fstatSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { ProviderError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts';

/** Longest path or reason in a message, in UTF-16 units. */
const MAX_SHOWN = 500;
/** Length of the header of a SQLite file. */
const HEADER_BYTES = 100;
/** Largest page of SQLite. */
const BLANK_BYTES = 65_536;
/** Lengths in a log: its header, and the one before each page. */
const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** First bytes of a log; the last bit tells the byte order of its checksums. */
const LOG_MAGIC = 0x377f0682;

/**
 * Checks a file.
 *
 * @param file - path, or ':memory:'
 * @throws {ProviderError} `DATABASE_UNREADABLE`, `DATABASE_FOREIGN`, `SCHEMA_TOO_NEW`
 */
export function checkFile(file: string): void {
  if (file === ':memory:') return;
  let size: number;
  let header: Buffer | null;
  let logged: Buffer | null;
  let log: string;
  try {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) return;
    if (!stats.isFile()) throw unreadable(file, stats.isDirectory() ? 'it is a folder' : 'it is no regular file');
    // For writing, too: else SQLite would open it for reading only, and each write would fail.
    accessSync(file, constants.R_OK | constants.W_OK);
    if (isOpenHere(file)) return;
    ({ size } = stats);
    // Beside what a link leads to.
    log = `${realpathSync(file)}-wal`;
    header = inspect(file, 'r+', (read) => read(0, HEADER_BYTES));
    // Nothing in it is as good as no file, unless SQLite would throw away a log for it. Less than a header is nothing to SQLite.
    if (size === 0 && sizeOf(log) === 0) return;
    if (size === 0) throw unreadable(file, `it is empty, but its log '${log}' is not`);
    if (header?.toString('latin1', 0, 15) !== 'SQLite format 3') throw unreadable(file, 'it is none');
    logged = readLoggedHeader(log);
  } catch (error) {
    throw error instanceof ProviderError ? error : unreadable(file, error);
  }
  const hasLog = sizeOf(log) > 0;
  checkOwner(file, { header: logged ?? header, isBlank: size <= BLANK_BYTES && !hasLog });
  // With a log the end may still be there.
  if (!hasLog) checkWhole(file, header, size);
}

function checkOwner(file: string, { header, isBlank }: { readonly header: Buffer; readonly isBlank: boolean }): void {
  const applicationId = header.readUInt32BE(68);
  const version = header.readUInt32BE(60);
  // One page holds no table: somebody made an empty database for us.
  const isNew = applicationId === 0 && version === 0 && isBlank;
  if (applicationId !== APPLICATION_ID && !isNew) throw foreign(file);
  if (version > MIGRATIONS.length) throw tooNew(file, version);
}

/** A file that lost its end can be opened as long as nobody looks there. */
function checkWhole(file: string, header: Buffer, size: number): void {
  const pageBytes = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16);
  const wanted = header.readUInt32BE(28) * pageBytes;
  // The number of pages counts when the same version of the file wrote both.
  const isKnown = header.readUInt32BE(24) === header.readUInt32BE(92);
  if (isKnown && size < wanted) throw unreadable(file, `it is cut off: ${size} of ${wanted} bytes are there`);
}

/** F2. The header of the first page in a log; null: no transaction in it has changed that page. Checksums are left to SQLite. */
function readLoggedHeader(log: string): Buffer | null {
  return inspect(log, 'r', (read) => {
    const head = read(0, LOG_HEADER_BYTES);
    if (head === null || (head.readUInt32BE(0) & ~1) >>> 0 !== LOG_MAGIC) return null;
    const frameBytes = FRAME_HEADER_BYTES + head.readUInt32BE(8);
    let latest: Buffer | null = null;
    let committed: Buffer | null = null;
    for (let at = LOG_HEADER_BYTES; ; at += frameBytes) {
      const frame = read(at, FRAME_HEADER_BYTES);
      // Its end, or left over from before the log began anew.
      if (frame?.compare(head, 16, 24, 8, 16) !== 0) return committed;
      if (frame.readUInt32BE(0) === 1) latest = read(at + FRAME_HEADER_BYTES, HEADER_BYTES);
      // The last page of a transaction says how many pages there are.
      if (frame.readUInt32BE(4) > 0) committed = latest;
    }
  });
}

/** F3. By whatever name and in whichever thread. */
function isOpenHere(file: string): boolean {
  // There, locks belong to a handle.
  if (process.platform === 'win32') return false;
  const { dev, ino } = statSync(file, { bigint: true });
  let descriptors: readonly string[];
  try {
    descriptors = readdirSync('/dev/fd');
  } catch {
    // Nobody knows.
    return true;
  }
  return descriptors.some((descriptor) => {
    try {
      const stats = fstatSync(Number(descriptor), { bigint: true });
      return stats.dev === dev && stats.ino === ino;
    } catch {
      // Closed meanwhile: the list itself was read through one.
      return false;
    }
  });
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Reads bytes; null when the file does not have so many. */
type Read = (at: number, bytes: number) => Buffer | null;

/** null also when the file is not there. */
function inspect(file: string, mode: 'r' | 'r+', look: (read: Read) => Buffer | null): Buffer | null {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return null;
  const descriptor = openSync(file, mode);
  try {
    return look((at, bytes) => {
      const buffer = Buffer.alloc(bytes);
      return readSync(descriptor, buffer, 0, bytes, at) === bytes ? buffer : null;
    });
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes the error for a database of another program.
 *
 * @param file - its path
 * @returns the error
 */
export function foreign(file: string): ProviderError {
  return new ProviderError('DATABASE_FOREIGN', {
    operation: 'open',
    retryable: false,
    message: `'${file}' is a SQLite database of another program (it was left unchanged). Give a path of its own for duraloom`,
  });
}

/**
 * Makes the error for a store of a newer version.
 *
 * @param file - its path
 * @param version - of its schema
 * @returns the error
 */
export function tooNew(file: string, version: number): ProviderError {
  return new ProviderError('SCHEMA_TOO_NEW', {
    operation: 'open',
    retryable: false,
    message: `'${file}' has schema version ${version}, this duraloom knows up to ${MIGRATIONS.length} (the file was left unchanged). Update duraloom`,
  });
}

/**
 * Makes the error for a file that is no usable store.
 *
 * @param file - its path
 * @param cause - what SQLite or the system said, or the reason as text
 * @param retryable - true when it may be one in a moment
 * @returns the error
 */
export function unreadable(file: string, cause: unknown, retryable = false): ProviderError {
  const reason = typeof cause === 'string' ? cause : toFailure(cause).message;
  return new ProviderError('DATABASE_UNREADABLE', {
    operation: 'open',
    retryable,
    message: `'${cut(file)}' cannot be opened as a SQLite database: ${cut(reason)}. Check the path, its folder and permissions, and that no other program holds it`,
    ...(typeof cause === 'string' ? {} : { cause }),
  });
}

/** A path is shown whole, unless it is none that a system would take. */
function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
