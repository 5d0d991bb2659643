// The store on a connection that is somebody else's, inside a transaction that is somebody else's: starts, messages and ends of activities become
// durable with what the application writes there, or not at all. Neighbours: store-tables.ts (the SQL), transactions/ (who calls it).
//
// N1. Nothing is written unless the handle is one of our driver, open, for writing, in a transaction, and its file has our schema; each call looks.
// N2. A call is a savepoint: when it fails, the transaction of the application is as it was before the call, unless SQLite has ended all of it.
// N3. Nothing is remembered from call to call, for nobody tells when the transaction is rolled back: the list of codes stays empty (C1 of codes.ts:
//     nothing here reads it), no fetch waits on this connection (T1 of turn-offer.ts), no lease counts as finished (A3 of leases.ts), and changes
//     are forgotten: other connections see by `PRAGMA data_version` that there are some.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { ArgumentError, DurableError, ProviderError, TransactionError } from '../../types/errors.ts';
import { show } from '../../types/show.ts';
import type { EnqueueOutcome, NewInstance, NewMessage, StartOutcome, WorkItemAck, WorkItemOutcome } from '../provider.ts';
import { systemClock } from '../system-clock.ts';
import type { StoreChanges } from './changes.ts';
import { loadDriver } from './driver.ts';
import { tooNew } from './file-check.ts';
import { toProviderError } from './group-commit.ts';
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts';
import type { SqliteHandle } from './sqlite-handle.ts';
import { openTables, type StoreTables } from './store-tables.ts';

/** One for each handle: its statements are prepared once. */
const known = new WeakMap<Database.Database, EnlistedStore>();

/** The store, as long as the transaction of a handle lasts. */
export class EnlistedStore {
  readonly #database: Database.Database;
  readonly #changes: StoreChanges = { instances: new Set(), sessions: new Set() };
  readonly #tables: StoreTables;
  readonly #readMark: Database.Statement;
  readonly #readVersion: Database.Statement;

  private constructor(database: Database.Database, clock: Clock) {
    this.#database = database;
    this.#readMark = database.prepare('PRAGMA application_id').pluck();
    this.#readVersion = database.prepare('PRAGMA user_version').pluck();
    this.#tables = openTables(database, { clock, changes: this.#changes });
    // A3: it counts no ends.
    this.#tables.leases.begin(false);
  }

  /**
   * Takes a handle of the application.
   *
   * @param handle - of better-sqlite3, on the file of a store
   * @param clock - of the store; another one than the machine's is for tests, and prepares the statements anew
   * @returns the store on it
   * @throws {ArgumentError} when it is no handle of the copy of better-sqlite3 that duraloom uses, or is closed, read-only or in memory
   * @throws {ProviderError} `DATABASE_FOREIGN` when the file is no store, `SCHEMA_TOO_NEW`, `DATABASE_UNREADABLE`
   */
  static on(handle: SqliteHandle, clock: Clock = systemClock): EnlistedStore {
    const database = assertHandle(handle);
    const prepared = clock === systemClock ? known.get(database) : undefined;
    if (prepared !== undefined) {
      prepared.#checkSchema();
      return prepared;
    }
    try {
      checkSchema(database.name, readPragma(database, 'application_id'), readPragma(database, 'user_version'));
      const store = withPlainNumbers(database, () => new EnlistedStore(database, clock));
      if (clock === systemClock) known.set(database, store);
      return store;
    } catch (error) {
      throw error instanceof DurableError ? error : toProviderError('open', error);
    }
  }

  /**
   * As `Provider.startInstances`, of one.
   *
   * @throws {TransactionError} `TRANSACTION_REQUIRED` outside of a transaction
   * @throws {ArgumentError} when the handle was closed
   * @throws {ProviderError} when SQLite fails; nothing of the call is left then
   */
  start(start: NewInstance): StartOutcome {
    return this.#write('startInstances', () => this.#tables.control.start(start));
  }

  /** As `Provider.enqueueMessages`, of one; throws as `start`. */
  enqueue(message: NewMessage): EnqueueOutcome {
    return this.#write('enqueueMessages', () => this.#tables.instances.enqueue(message));
  }

  /** As `Provider.ackWorkItems`, of one; throws as `start`. */
  ackWork(ack: WorkItemAck): WorkItemOutcome {
    return this.#write('ackWorkItems', () => this.#tables.work.ackAll([ack])[0] ?? 'gone');
  }

  /** N1, N2. */
  #write<Outcome>(operation: string, apply: () => Outcome): Outcome {
    const database = assertHandle(this.#database);
    if (!database.inTransaction) {
      throw new TransactionError(
        'TRANSACTION_REQUIRED',
        'there is no open transaction on this handle, so nothing was written. Call it inside database.transaction(() => …).immediate()',
      );
    }
    try {
      this.#checkSchema();
      // Inside a transaction the driver makes a savepoint of it.
      return database.transaction(apply)();
    } catch (error) {
      throw error instanceof DurableError ? error : toProviderError(operation, error);
    } finally {
      // N3.
      this.#changes.instances.clear();
      this.#changes.sessions.clear();
    }
  }

  /** Another process may have brought the file to a newer schema. */
  #checkSchema(): void {
    checkSchema(this.#database.name, Number(this.#readMark.get()), Number(this.#readVersion.get()));
  }
}

/** What each handle has to be (N1). */
function assertHandle(handle: unknown): Database.Database {
  const Driver = loadDriver();
  if (!(handle instanceof Driver)) {
    throw new ArgumentError(
      `Expected a handle of the better-sqlite3 that duraloom uses, got ${show(handle)}. If it is one of another copy, install one version for both (npm dedupe): two copies of SQLite in a process undo each other's file locks`,
    );
  }
  if (!handle.open) throw new ArgumentError(`Expected an open handle, got one on '${handle.name}' that was closed. Open a new one`);
  if (handle.memory) {
    throw new ArgumentError(
      'Expected a handle on the file of a store, got one in memory, which nobody else sees. Open the file of the store',
    );
  }
  if (handle.readonly) {
    throw new ArgumentError(`Expected a handle for writing, got a read-only one on '${handle.name}'. Open it without \`readonly\``);
  }
  return handle;
}

function checkSchema(file: string, mark: number, version: number): void {
  if (mark !== APPLICATION_ID) throw foreignHere(file);
  if (version > MIGRATIONS.length) throw tooNew(file, version);
  if (version < MIGRATIONS.length) {
    throw new ProviderError('DATABASE_UNREADABLE', {
      operation: 'open',
      retryable: false,
      message: `'${file}' has schema version ${version}, this duraloom needs ${MIGRATIONS.length}. Open it with SqliteProvider.open once, which migrates it, and leave \`PRAGMA user_version\` alone`,
    });
  }
}

/** The application opened this file, so it is told what a store is instead of to give another path. */
function foreignHere(file: string): ProviderError {
  return new ProviderError('DATABASE_FOREIGN', {
    operation: 'open',
    retryable: false,
    message: `'${file}' is no store of duraloom. Open the file that SqliteProvider.open was given; tables of your own may be in it`,
  });
}

function readPragma(database: Database.Database, name: 'application_id' | 'user_version'): number {
  return Number(database.pragma(name, { simple: true }));
}

/** The SQL of the store reads numbers; a handle may be set to give `bigint` instead. */
function withPlainNumbers<Value>(database: Database.Database, prepare: () => Value): Value {
  const isBig = typeof database.prepare('SELECT 1').pluck().get() === 'bigint';
  if (!isBig) return prepare();
  database.defaultSafeIntegers(false);
  try {
    return prepare();
  } finally {
    database.defaultSafeIntegers(true);
  }
}
