// Group commit: everything that is asked of the database in one tick of the event loop becomes one write transaction.
// Neighbours: sqlite-provider.ts adds operations; the queues hold the SQL that they run.
//
// G1. A promise settles only after the commit that holds its last item.
// G2. Items run in the order of the calls. Fetches run after all writes of the transaction, so they see them.
// G3. The fast path runs items without savepoints. When any item throws, the whole transaction is rolled back and run again with a
//     savepoint around each item: then one bad item cannot fail its neighbours. So items must be repeatable: no effect but SQL. What the
//     frame notes in memory while items run (what they insert for a parked fetch) no savepoint takes back: on the slow path it notes nothing.
// G4. The writes of a transaction have a time budget; what does not fit goes into the next tick, after other work of the event loop.
//     On a slow disk the budget grows to twice what a commit costs, else the process would do little but sync.
// G5. Another process holding the write lock never stalls this thread: a busy begin is tried again later, with jitter.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { ProviderError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { isBusy, sqliteCode } from './open-database.ts';
import type { CommitStats } from './sqlite-options.ts';

/** What a transaction does around the writes, for the fetches that it serves; is told how it went. */
export interface TransactionFrame {
  /** True when `run` would do something even if there are no writes. */
  readonly isDue: boolean;
  /**
   * Before the writes.
   *
   * @param mayNote - false on the slow path: an item may be undone by itself, so nothing may be noted outside the database while items run
   */
  begin(mayNote: boolean): void;
  /** After the writes. */
  run(): void;
  committed(): void;
  rolledBack(): void;
  /** The transaction failed for good, with everything that was in it. */
  failed(error: unknown): void;
}

type Operation = {
  readonly name: string;
  readonly count: number;
  readonly runItem: (index: number) => void;
  readonly resolve: () => void;
  readonly reject: (error: ProviderError) => void;
  /** First item that is not committed. */
  next: number;
  /** Where the running transaction stands. */
  cursor: number;
  /** First error of an item on the slow path. */
  itemError: unknown;
};

/** The queue of operations in front of one connection. */
export class GroupCommit {
  readonly stats: CommitStats = { commits: 0, items: 0, busyRetries: 0, slowPaths: 0 };
  readonly #database: Database.Database;
  readonly #frame: TransactionFrame;
  readonly #maxCommitMs: number;
  readonly #clock: Clock;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;
  #operations: Operation[] = [];
  /** What a commit costs here, in milliseconds, smoothed. */
  #commitMs = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(
    database: Database.Database,
    frame: TransactionFrame,
    { maxCommitMs, clock }: { readonly maxCommitMs: number; readonly clock: Clock },
  ) {
    this.#database = database;
    this.#frame = frame;
    this.#maxCommitMs = maxCommitMs;
    this.#clock = clock;
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    this.#rollback = database.prepare('ROLLBACK');
  }

  /**
   * Runs a function for each item of a batch inside the next transactions.
   *
   * @param name - provider method, for errors
   * @param items - the batch
   * @param apply - SQL of one item; its result is the item's outcome
   * @returns the outcomes, after the commit
   */
  write<Item, Outcome>(name: string, items: readonly Item[], apply: (item: Item) => Outcome): Promise<Outcome[]> {
    return new Promise((resolve, reject) => {
      const outcomes: Outcome[] = [];
      this.#operations.push({
        name,
        count: items.length,
        runItem: (index) => {
          outcomes[index] = apply(items[index] as Item);
        },
        resolve: () => resolve(outcomes),
        reject,
        next: 0,
        cursor: 0,
        itemError: null,
      });
      this.schedule();
    });
  }

  /** Makes sure that a transaction runs in this tick of the event loop. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => this.#tick());
  }

  /** Resolves when everything that was asked so far is committed or failed. */
  settled(): Promise<void> {
    if (this.#operations.length === 0 && !this.#scheduled) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #tick(): void {
    this.#scheduled = false;
    if (this.#operations.length > 0 || this.#frame.isDue) this.#transact();
    if (this.#scheduled) return;
    if (this.#operations.length > 0) {
      this.schedule();
      return;
    }
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  #transact(): void {
    try {
      this.#begin.run();
    } catch (error) {
      if (isBusy(error)) this.#retryLater();
      else this.#failAll(error);
      return;
    }
    try {
      this.#frame.begin(true);
      this.#runItems((operation) => operation.runItem(operation.cursor));
      this.#frame.run();
      const startedMs = this.#clock.monotonicMs();
      this.#commit.run();
      this.#commitMs += (this.#clock.monotonicMs() - startedMs - this.#commitMs) * 0.1;
    } catch (error) {
      this.#undo();
      if (isBusy(error)) this.#retryLater();
      else if (sqliteCode(error) === '' || sqliteCode(error).startsWith('SQLITE_CONSTRAINT')) this.#transactSlowly();
      else this.#failAll(error);
      return;
    }
    this.#finish();
  }

  /** G3: each item by itself. */
  #transactSlowly(): void {
    this.stats.slowPaths += 1;
    try {
      this.#begin.run();
      this.#frame.begin(false);
      this.#runItems((operation) => {
        try {
          this.#database.transaction(() => operation.runItem(operation.cursor))();
        } catch (error) {
          // Errors that end the whole transaction (disk full, I/O) are no item's fault.
          if (!this.#database.inTransaction) throw error;
          operation.itemError ??= error;
        }
      });
      this.#frame.run();
      this.#commit.run();
    } catch (error) {
      this.#undo();
      if (isBusy(error)) this.#retryLater();
      else this.#failAll(error);
      return;
    }
    this.#finish();
  }

  #runItems(runItem: (operation: Operation) => void): void {
    const deadline = this.#clock.monotonicMs() + Math.max(this.#maxCommitMs, 2 * this.#commitMs);
    for (const operation of this.#operations) {
      for (operation.cursor = operation.next; operation.cursor < operation.count; operation.cursor += 1) {
        runItem(operation);
        this.stats.items += 1;
        if (this.#clock.monotonicMs() > deadline) {
          operation.cursor += 1;
          return;
        }
      }
    }
  }

  #finish(): void {
    this.stats.commits += 1;
    const rest: Operation[] = [];
    for (const operation of this.#operations) {
      operation.next = operation.cursor;
      if (operation.next < operation.count) rest.push(operation);
      else if (operation.itemError === null) operation.resolve();
      else operation.reject(toProviderError(operation.name, operation.itemError));
    }
    this.#operations = rest;
    this.#frame.committed();
  }

  #undo(): void {
    for (const operation of this.#operations) operation.cursor = operation.next;
    if (this.#database.inTransaction) this.#rollback.run();
    this.#frame.rolledBack();
  }

  #retryLater(): void {
    this.stats.busyRetries += 1;
    this.#scheduled = true;
    // Random, so that two processes do not meet again and again; real time, for the other one lives by it.
    setTimeout(() => this.#tick(), 0.5 + Math.random() * 4);
  }

  #failAll(error: unknown): void {
    const operations = this.#operations;
    this.#operations = [];
    for (const operation of operations) operation.reject(toProviderError(operation.name, error));
    this.#frame.failed(error);
  }
}

/**
 * Wraps a failure of the database.
 *
 * @param operation - provider method
 * @param cause - what SQLite or the driver threw
 * @returns the typed error
 */
export function toProviderError(operation: string, cause: unknown): ProviderError {
  if (cause instanceof ProviderError) return cause;
  const code = sqliteCode(cause);
  const reason = toFailure(cause).message;
  const advice = code === 'SQLITE_FULL' ? 'Free disk space; work goes on by itself then' : 'Check the disk and the database file';
  return new ProviderError('PROVIDER_FAILED', {
    operation,
    retryable: isBusy(cause) || code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR'),
    message: `${operation} failed in SQLite${code === '' ? '' : ` (${code})`}: ${reason}. ${advice}`,
    cause,
  });
}
