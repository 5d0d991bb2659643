// Group commit: everything that is asked of the database in one tick of the event loop becomes one write transaction.
// Neighbours: sqlite-provider.ts adds operations; the queues hold the SQL that they run.
//
// G1. A promise settles only after the commit that holds its last item, and after the sync of that commit where there is one.
// G2. Items run in the order of the calls. Fetches run after all writes of the transaction, so they see them.
// G3. The fast path runs items without savepoints. When any item throws, the whole transaction is rolled back and run again with a
//     savepoint around each item: then one bad item cannot fail its neighbours. So items must be repeatable: no effect but SQL. What the
//     frame notes in memory while items run (what they insert for a parked fetch) no savepoint takes back: on the slow path it notes nothing.
// G4. The writes of a transaction have a time budget; what does not fit goes into the next tick, after other work of the event loop.
//     On a slow disk the budget grows to twice what a commit costs, else the process would do little but sync.
// G5. Another process holding the write lock never stalls this thread: a busy begin is tried again later, with jitter.
// G6. One sync at a time, beside the event loop; it covers all commits before it, and those after it share the next one. Meanwhile a transaction
//     begins only when enough is asked: many small ones would cost more than they gain.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { ProviderError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { isBusy, sqliteCode } from './open-database.ts';
import type { CommitStats } from './sqlite-options.ts';

/** Fewer items than these wait for the end of a sync. */
const MIN_DURING_SYNC = 64;

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
  /** The transaction is visible. Returns what to do when it is safe on disk, or when nobody knows whether it is. */
  committed(): Committed;
  rolledBack(): void;
  /** The transaction failed for good, with everything that was in it. */
  failed(error: unknown): void;
}

/** What follows a commit. */
export type Committed = { readonly safe: () => void; readonly unsafe: (error: unknown) => void };

/** Who waits for a sync. */
type Unsynced = { readonly done: readonly Operation[]; readonly committed: Committed };

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
  readonly stats: CommitStats = { commits: 0, items: 0, busyRetries: 0, slowPaths: 0, statementMs: 0, commitMs: 0, syncs: 0, syncMs: 0 };
  readonly #database: Database.Database;
  readonly #frame: TransactionFrame;
  readonly #maxCommitMs: number;
  readonly #clock: Clock;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;
  readonly #sync: (() => Promise<void>) | null;
  readonly #countChanges: Database.Statement;
  /** Rows that this connection has changed, at the last commit. */
  #changes = 0;
  #operations: Operation[] = [];
  /** What a commit costs here, in milliseconds, smoothed. */
  #commitMs = 0;
  #scheduled = false;
  /** Commits whose answers wait for the next sync, and for the one under way. */
  #unsynced: Unsynced[] = [];
  #covered: Unsynced[] = [];
  #syncing = false;
  #idle: (() => void)[] = [];

  constructor(
    database: Database.Database,
    frame: TransactionFrame,
    {
      maxCommitMs,
      clock,
      sync = null,
    }: {
      readonly maxCommitMs: number;
      readonly clock: Clock;
      /** Brings what is committed to disk; null: a commit does so, or need not. */
      readonly sync?: (() => Promise<void>) | null;
    },
  ) {
    this.#database = database;
    this.#frame = frame;
    this.#maxCommitMs = maxCommitMs;
    this.#clock = clock;
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    this.#rollback = database.prepare('ROLLBACK');
    this.#sync = sync;
    this.#countChanges = database.prepare('SELECT total_changes()').pluck();
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
    if (this.#operations.length === 0 && !this.#scheduled && !this.#syncing) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /**
   * For what was just read: it may be told when all that it can rest on is on disk.
   *
   * @param name - provider method, for errors
   * @param ofOthers - also what other processes have committed
   * @returns resolves then; null: it is already
   */
  synced(name: string, ofOthers = false): Promise<void> | null {
    if (this.#sync === null || (!this.#syncing && !ofOthers)) return null;
    return new Promise((resolve, reject) => {
      const waiting = ofOthers || this.#unsynced.length > 0 ? this.#unsynced : this.#covered;
      waiting.push({ done: [], committed: { safe: resolve, unsafe: (error) => reject(toProviderError(name, error)) } });
      if (!this.#syncing) void this.#syncAll();
    });
  }

  #tick(): void {
    this.#scheduled = false;
    // G6: it comes back after the sync.
    if (this.#syncing && this.#countAsked() < MIN_DURING_SYNC) return;
    if (this.#operations.length > 0 || this.#frame.isDue) this.#transact();
    if (this.#scheduled) return;
    if (this.#operations.length > 0) {
      this.schedule();
      return;
    }
    if (this.#syncing) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  #countAsked(): number {
    let items = 0;
    for (const { count, next } of this.#operations) items += count - next;
    return items;
  }

  #transact(): void {
    try {
      this.#begin.run();
    } catch (error) {
      if (isBusy(error)) this.#retryLater();
      else this.#failAll(error);
      return;
    }
    const begunMs = this.#clock.monotonicMs();
    try {
      this.#frame.begin(true);
      this.#runItems((operation) => operation.runItem(operation.cursor));
      this.#frame.run();
      const startedMs = this.#clock.monotonicMs();
      this.#commit.run();
      const commitMs = this.#clock.monotonicMs() - startedMs;
      this.stats.statementMs += startedMs - begunMs;
      this.stats.commitMs += commitMs;
      this.#commitMs += (commitMs - this.#commitMs) * 0.1;
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
    const done: Operation[] = [];
    const rest: Operation[] = [];
    for (const operation of this.#operations) {
      operation.next = operation.cursor;
      if (operation.next < operation.count) rest.push(operation);
      else done.push(operation);
    }
    this.#operations = rest;
    const committed = this.#frame.committed();
    if (this.#needsSync()) {
      this.#unsynced.push({ done, committed });
      if (!this.#syncing) void this.#syncAll();
    } else {
      answer(done);
      committed.safe();
    }
  }

  /** Never rejects. */
  async #syncAll(): Promise<void> {
    this.#syncing = true;
    while (this.#unsynced.length > 0) {
      const covered = this.#unsynced;
      this.#covered = covered;
      this.#unsynced = [];
      try {
        const startedMs = this.#clock.monotonicMs();
        await this.#sync?.();
        this.stats.syncs += 1;
        this.stats.syncMs += this.#clock.monotonicMs() - startedMs;
        for (const { done, committed } of covered) {
          answer(done);
          committed.safe();
        }
      } catch (error) {
        for (const { done, committed } of covered) {
          for (const { name, reject } of done) reject(toProviderError(name, error));
          committed.unsafe(error);
        }
      }
    }
    this.#syncing = false;
    this.schedule();
  }

  /** Also what changed nothing waits while something before it does: it may have seen it. */
  #needsSync(): boolean {
    if (this.#sync === null) return false;
    if (this.#unsynced.length > 0 || this.#syncing) return true;
    const changes = this.#countChanges.get() as number;
    const hasChanged = changes !== this.#changes;
    this.#changes = changes;
    return hasChanged;
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

function answer(operations: readonly Operation[]): void {
  for (const { name, itemError, resolve, reject } of operations) {
    if (itemError === null) resolve();
    else reject(toProviderError(name, itemError));
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
