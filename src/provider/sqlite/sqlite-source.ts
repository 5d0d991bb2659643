// Transactions of activities on the file of a store. Neighbours: types/transaction.ts (the seam, Q1–Q3), enlisted-store.ts (records the end),
// threads/transactional-step.ts (asks for them). Lives in an activity thread, or inline in the main one.
//
// Y1. From BEGIN to COMMIT nothing is awaited: SQLite has one writer, and whoever holds it keeps turns and leases of every runtime on the file
//     waiting. So a thread has one transaction at a time, and one handle is enough.
// Y2. Another writer never stalls the thread: a busy BEGIN is tried again later, with jitter, until the attempt is to end.
// Y3. A step that ended the transaction itself, returned a promise or held the store for longer than it may leaves nothing of what is still open.
//     A handle whose state is not known, or that code which goes on could still write through, is closed.
// Y4. The file is opened by SQLite only. A provider in this process has locks on it, and the system drops them when any descriptor of it is closed;
//     SQLite knows and waits with its own.
import type Database from 'better-sqlite3';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { assertKnownOptions, makeOptionError, readOptions, type FieldNames } from '../../types/arguments.ts';
import { isClock, type Clock } from '../../types/clock.ts';
import { ArgumentError, DurableError, OptionError, TransactionError } from '../../types/errors.ts';
import { show } from '../../types/show.ts';
import type { StepCompletion, StepOutcome, TransactionSource, TransactionStep } from '../../types/transaction.ts';
import { systemClock } from '../system-clock.ts';
import { loadDriver } from './driver.ts';
import { EnlistedStore } from './enlisted-store.ts';
import { unreadable } from './file-check.ts';
import { toProviderError } from './group-commit.ts';
import { BUSY_TIMEOUT_MS, isBusy, sqliteCode } from './open-database.ts';
import type { SqliteHandle } from './sqlite-handle.ts';
import type { SynchronousMode } from './sqlite-options.ts';

/** Options of `sqliteSource`. */
export type SqliteSourceOptions = {
  /**
   * When a commit counts as done. `FULL`: it survives a power loss. `NORMAL`: it survives the death of the process, the last commits may be lost
   * with the machine, rows and completion together. @default 'FULL'
   */
  readonly synchronous?: SynchronousMode;
  /**
   * How long the code of a step may hold the store, in milliseconds: no runtime on the file commits anything meanwhile, and no lease is renewed.
   * What took longer is rolled back and fails with `TRANSACTION_TOO_LONG`. Minimum: 1. @default 5000
   */
  readonly maxMs?: number;
  /** Clock of the store, for tests. @default the machine's clock */
  readonly clock?: Clock;
};

const FIELDS: FieldNames<SqliteSourceOptions> = { synchronous: true, maxMs: true, clock: true };

/** A connection of a source. */
type Connection = { readonly database: Database.Database; readonly store: EnlistedStore };

/** Reason: leases of 30 seconds are renewed every 7.5: a step that long costs one renewal at most. */
const MAX_MS = 5_000;
/** Names the savepoint by which a step is found to have left its transaction alone. */
const MARK = '"duraloom step"';

/**
 * Makes a source of transactions for `defineTransactionalActivity` on the file of a SQLite store. Each thread opens one handle of its own with
 * the first step, and closes it at its end.
 *
 * @param file - the path that `SqliteProvider.open` is given; a relative one is taken from the working directory of the process
 * @param options - durability and limit
 * @returns the source; name the type of the driver's handle for the code: `sqliteSource<Database.Database>(file)`
 * @throws {ArgumentError} when the path is none, or ':memory:'
 * @throws {OptionError} for an option outside its range
 */
export function sqliteSource<Handle extends SqliteHandle = SqliteHandle>(
  file: string,
  options?: SqliteSourceOptions,
): TransactionSource<Handle, 'sync'> {
  if (typeof file !== 'string' || file.length === 0 || file.includes('\0')) {
    throw new ArgumentError(`Expected file to be the path of a store, got ${show(file)}`);
  }
  if (file === ':memory:')
    throw new ArgumentError("Expected file to be the path of a store: one in ':memory:' is seen by its provider only");
  return new SqliteSource<Handle>(resolve(file), resolveOptions(options));
}

function resolveOptions(options: SqliteSourceOptions | undefined): Required<SqliteSourceOptions> {
  const given = readOptions(options, 'the options of a SQLite source', FIELDS, makeOptionError);
  assertKnownOptions(options, FIELDS);
  const { synchronous = 'FULL', maxMs = MAX_MS, clock = systemClock } = given;
  if (synchronous !== 'FULL' && synchronous !== 'NORMAL') {
    throw new OptionError(`Expected \`synchronous\` to be 'FULL' or 'NORMAL', got ${show(synchronous)}`);
  }
  if (!(Number.isFinite(maxMs) && maxMs >= 1))
    throw new OptionError(`Expected \`maxMs\` to be a number of milliseconds ≥ 1, got ${show(maxMs)}`);
  if (!isClock(clock)) throw new OptionError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
  return { synchronous, maxMs, clock };
}

class SqliteSource<Handle> implements TransactionSource<Handle, 'sync'> {
  readonly mode = 'sync';
  readonly #file: string;
  readonly #options: Required<SqliteSourceOptions>;
  /** null: none is open. */
  #connection: Connection | null = null;

  constructor(file: string, options: Required<SqliteSourceOptions>) {
    this.#file = file;
    this.#options = options;
  }

  async transact({ run, signal }: TransactionStep<Handle>): Promise<StepOutcome> {
    for (;;) {
      signal.throwIfAborted();
      const connection = this.#tryBegin();
      if (connection !== null) return this.#runStep(connection, run);
      // Random, so that two writers do not meet again and again; real time, for the other one lives by it.
      await delay(0.5 + Math.random() * 4);
    }
  }

  close(): Promise<void> {
    this.#drop();
    return Promise.resolve();
  }

  /** Y2. Returns null when somebody else writes, also for a file that is just being opened for the first time. */
  #tryBegin(): Connection | null {
    try {
      const connection = (this.#connection ??= this.#open());
      connection.database.exec('BEGIN IMMEDIATE');
      return connection;
    } catch (error) {
      if (isBusy(error) || isBusy((error as { readonly cause?: unknown }).cause)) return null;
      this.#drop();
      throw error instanceof DurableError ? error : toProviderError('transact', error);
    }
  }

  /** Y4: SQLite alone looks into the file. */
  #open(): Connection {
    const Driver = loadDriver();
    let database: Database.Database | null = null;
    try {
      database = new Driver(this.#file, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
      database.pragma(`synchronous = ${this.#options.synchronous}`);
      return { database, store: EnlistedStore.on(database, this.#options.clock) };
    } catch (error) {
      database?.close();
      throw error instanceof DurableError || isBusy(error) ? error : unreadable(this.#file, error);
    }
  }

  /** Y1: synchronous. */
  #runStep({ database, store }: Connection, run: TransactionStep<Handle>['run']): StepOutcome {
    let isOver = false;
    try {
      database.exec(`SAVEPOINT ${MARK}`);
      const startedMs = performance.now();
      const completion = this.#runCode(database, run);
      this.#assertInTime(performance.now() - startedMs);
      const outcome = completion === null ? 'done' : recording(() => store.ackWork(completion));
      if (outcome === 'done') commit(database);
      else recording(() => database.exec('ROLLBACK'));
      isOver = true;
      return outcome;
    } finally {
      if (!isOver) this.#undo(database);
    }
  }

  #runCode(database: Database.Database, run: TransactionStep<Handle>['run']): StepCompletion | null {
    const completion = run(database as Handle);
    if (completion instanceof Promise) {
      // Nobody waits for what it does, which is undone.
      completion.catch(() => undefined);
      this.#retire();
      throw invalid(
        'returned a promise, and a transaction on SQLite must not stay open while others wait',
        'Await before it, in an activity',
      );
    }
    try {
      database.exec(`RELEASE ${MARK}`);
    } catch (cause) {
      this.#retire();
      throw invalid(
        'ended its transaction itself, or still reads rows',
        'Leave COMMIT and ROLLBACK to the activity, throw to roll back, and read to the end',
        cause,
      );
    }
    return completion;
  }

  #assertInTime(ms: number): void {
    if (ms <= this.#options.maxMs) return;
    throw new TransactionError(
      'TRANSACTION_TOO_LONG',
      `the code of a transactional activity held the store for ${Math.round(ms)} ms, longer than ${this.#options.maxMs}; it was rolled back. Compute before it, write less at a time, or raise \`maxMs\` of the source`,
    );
  }

  /** Rolls back, also while the code still reads rows, and closes a handle that was retired. */
  #undo(database: Database.Database): void {
    if (database.open && database.inTransaction) {
      database.unsafeMode(true);
      database.exec('ROLLBACK');
      database.unsafeMode(false);
    }
    if (database === this.#connection?.database && database.open) return;
    this.#retire();
    closeUnlessRead(database);
  }

  /** Y3: the next step opens another handle. */
  #retire(): void {
    this.#connection = null;
  }

  #drop(): void {
    const database = this.#connection?.database;
    this.#retire();
    if (database !== undefined) closeUnlessRead(database);
  }
}

/** The driver closes no handle whose rows are still being read; it goes with its thread then, and holds no lock. */
function closeUnlessRead(database: Database.Database): void {
  try {
    database.close();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

function commit(database: Database.Database): void {
  try {
    database.exec('COMMIT');
  } catch (error) {
    // Only the application has constraints that are looked at this late.
    if (!sqliteCode(error).startsWith('SQLITE_CONSTRAINT')) throw toProviderError('transact', error);
    throw invalid('left rows that break a deferred constraint', 'Write the rows that they refer to in the same step', error);
  }
}

/** Runs what is the store's part. */
function recording<Value>(record: () => Value): Value {
  try {
    return record();
  } catch (error) {
    throw error instanceof DurableError ? error : toProviderError('transact', error);
  }
}

function invalid(what: string, advice: string, cause?: unknown): TransactionError {
  return new TransactionError(
    'TRANSACTION_INVALID',
    `the code of a transactional activity ${what}; what was still open was rolled back. ${advice}`,
    cause === undefined ? undefined : { cause },
  );
}
