// Transactions of activities on the database of a store. Neighbours: types/transaction.ts (the seam, Q1–Q3), enlisted-store.ts (records the end),
// threads/transactional-step.ts (asks for them), driver.ts (the pool). Lives in an activity thread, or inline in the main one.
//
// G1. The end is recorded in the transaction that the code wrote in: another one is refused, so nothing of a step that ended it itself is recorded.
// G2. A transaction in which nothing happens for longer than it may is ended by the server, with its locks.
// G3. After a commit that was not answered nobody knows: the attempt is given back, and the fence of the store decides. The same when the connection
//     is lost below the code: what the code makes of that is not its end.
// G4. Steps that find all connections in use wait for one, until they are to end: that is nobody's failure.
import { assertKnownOptions, makeOptionError, readOptions, type FieldNames } from '../../types/arguments.ts';
import { DurableError, OptionError, TransactionError } from '../../types/errors.ts';
import { show } from '../../types/show.ts';
import type { StepCompletion, StepOutcome, TransactionSource, TransactionStep } from '../../types/transaction.ts';
import { openPool, type OpenPool } from './driver.ts';
import { EnlistedStore } from './enlisted-store.ts';
import { inTime } from './in-time.ts';
import { resolvePostgresOptions, type PooledPostgresClient, type PostgresClient, type PostgresOptions } from './postgres-options.ts';
import { codeOf, toProviderError } from './trouble.ts';

/** Options of `postgresSource`. */
export type PostgresSourceOptions = Pick<
  PostgresOptions,
  'connectionString' | 'pool' | 'schema' | 'connectTimeoutMs' | 'queryTimeoutMs'
> & {
  /** Most connections of a thread: so many steps run at once, the others wait. Minimum: 3. Not with `pool`. @default 8 */
  readonly maxConnections?: number;
  /**
   * How long the code may do something else between two statements, in milliseconds: what it has locked waits meanwhile. The server ends the
   * transaction then, and the activity fails with `TRANSACTION_TOO_LONG`. Minimum: 1. @default 30000
   */
  readonly maxIdleMs?: number;
};

const FIELDS: FieldNames<PostgresSourceOptions> = {
  connectionString: true,
  pool: true,
  schema: true,
  connectTimeoutMs: true,
  queryTimeoutMs: true,
  maxConnections: true,
  maxIdleMs: true,
};

/**
 * Makes a source of transactions for `defineTransactionalActivity` on the database of a PostgreSQL store. Each thread has a pool of its own, which
 * connects with the first step.
 *
 * @param options - where the store is; limits
 * @returns the source; name the type of the driver's client for the code: `postgresSource<pg.PoolClient>({ connectionString })`
 * @throws {OptionError} for an option outside its range
 */
export function postgresSource<Client extends PostgresClient = PostgresClient>(
  options?: PostgresSourceOptions,
): TransactionSource<Client, 'async'> {
  const given = readOptions(options, 'the options of a PostgreSQL source', FIELDS, makeOptionError);
  assertKnownOptions(options, FIELDS);
  const { maxIdleMs = 30_000, ...where } = given;
  if (!(Number.isInteger(maxIdleMs) && maxIdleMs >= 1 && maxIdleMs <= 3_600_000)) {
    throw new OptionError(`Expected \`maxIdleMs\` to be an integer from 1 to 3600000, got ${show(maxIdleMs)}`);
  }
  return new PostgresSource<Client>(resolvePostgresOptions(where), maxIdleMs);
}

/** Of a transaction that has written, or is to. */
const TRANSACTION_ID = 'SELECT pg_current_xact_id_if_assigned()::text AS id';

/** SQLSTATE: the server has ended an idle transaction (G2). */
const IDLE_TOO_LONG = '25P03';

class PostgresSource<Client> implements TransactionSource<Client, 'async'> {
  readonly mode = 'async';
  readonly #options: ReturnType<typeof resolvePostgresOptions>;
  readonly #maxIdleMs: number;
  #pool: Promise<OpenPool> | null = null;
  readonly #running = new Set<Promise<unknown>>();
  /** Connections that steps may take; the application's pool knows its own limit. */
  #free: number;
  /** Steps that wait for one (G4), first in, first out. */
  readonly #waiting = new Set<() => void>();

  constructor(options: ReturnType<typeof resolvePostgresOptions>, maxIdleMs: number) {
    this.#options = options;
    this.#maxIdleMs = maxIdleMs;
    this.#free = options.pool === undefined ? options.maxConnections : Number.POSITIVE_INFINITY;
  }

  async transact(step: TransactionStep<Client>): Promise<StepOutcome> {
    const running = this.#transact(step);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
    const pool = await this.#pool;
    this.#pool = null;
    await pool?.end();
  }

  /** G4. */
  async #transact({ run, signal }: TransactionStep<Client>): Promise<StepOutcome> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#waitForTurn(signal);
    try {
      return await this.#useClient(run, signal);
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  #waitForTurn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(start);
        signal.removeEventListener('abort', giveUp);
      };
      const start = (): void => {
        leave();
        resolve();
      };
      const giveUp = (): void => {
        leave();
        reject(signal.reason as Error);
      };
      this.#waiting.add(start);
      signal.addEventListener('abort', giveUp);
    });
  }

  async #useClient(run: TransactionStep<Client>['run'], signal: AbortSignal): Promise<StepOutcome> {
    const client = await this.#connect();
    let isTooLong = false;
    const onError = (error?: unknown): void => {
      // The statement under way rejects, too. Without a listener the thread would end.
      isTooLong ||= codeOf(error) === IDLE_TOO_LONG;
    };
    client.on('error', onError);
    let isSound = false;
    try {
      const transactionId = await this.#begin(client);
      signal.throwIfAborted();
      const outcome = await this.#runStep(client, transactionId, run);
      isSound = true;
      return outcome;
    } catch (error) {
      throw isTooLong ? tooLong(this.#maxIdleMs, error) : error;
    } finally {
      client.removeListener('error', onError);
      // A connection in an unknown state takes its transaction with it.
      client.release(!isSound);
    }
  }

  async #runStep(client: PooledPostgresClient, transactionId: string, run: TransactionStep<Client>['run']): Promise<StepOutcome> {
    let completion;
    try {
      completion = await run(client as Client);
    } catch (error) {
      // G3: it fails when the connection is lost.
      await this.#query(client, 'ROLLBACK');
      throw error;
    }
    const outcome = await this.#record(client, transactionId, completion);
    if (outcome === null) throw invalid();
    // Deferred constraints of the application are looked at here.
    await this.#query(client, outcome === 'done' ? 'COMMIT' : 'ROLLBACK');
    return outcome;
  }

  /** G1. Returns null when the transaction is another one. */
  async #record(client: PooledPostgresClient, transactionId: string, completion: StepCompletion | null): Promise<StepOutcome | null> {
    if (completion === null) return (await this.#query(client, TRANSACTION_ID))?.['id'] === transactionId ? 'done' : null;
    try {
      const { schema, queryTimeoutMs } = this.#options;
      return await inTime(new EnlistedStore(client, schema).ackWork(completion, transactionId), queryTimeoutMs);
    } catch (error) {
      throw asOwnFault(toProviderError('transact', error));
    }
  }

  async #connect(): Promise<PooledPostgresClient> {
    try {
      return await (await this.#open()).connect();
    } catch (error) {
      throw error instanceof DurableError ? error : toProviderError('transact', error);
    }
  }

  /** A pool that was made stays: it connects again by itself. */
  async #open(): Promise<OpenPool> {
    this.#pool ??= openPool(this.#options);
    try {
      return await this.#pool;
    } catch (error) {
      this.#pool = null;
      throw error;
    }
  }

  /** Returns the id of the transaction. */
  async #begin(client: PooledPostgresClient): Promise<string> {
    await this.#query(client, `BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${this.#maxIdleMs}`);
    return String((await this.#query(client, 'SELECT pg_current_xact_id()::text AS id'))?.['id']);
  }

  async #query(client: PooledPostgresClient, text: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    try {
      return (await inTime(client.query({ text }), this.#options.queryTimeoutMs)).rows?.[0];
    } catch (error) {
      throw asOwnFault(toProviderError('transact', error));
    }
  }
}

/** Errors of constraints and of transactions that were broken off are of the code; others are of the database. */
function asOwnFault(error: unknown): unknown {
  const code = codeOf((error as { readonly cause?: unknown } | null)?.cause) ?? '';
  if (!code.startsWith('23') && code !== '25P02') return error;
  return new TransactionError(
    'TRANSACTION_INVALID',
    code === '25P02'
      ? 'the code of a transactional activity went on after a statement that failed; everything was rolled back. Throw when a statement fails, or use a savepoint'
      : 'the code of a transactional activity left rows that break a constraint; everything was rolled back. Write the rows that they refer to in the same step',
    { cause: error },
  );
}

function invalid(): TransactionError {
  return new TransactionError(
    'TRANSACTION_INVALID',
    'the code of a transactional activity ended its transaction itself; what was still open was rolled back. Leave COMMIT and ROLLBACK to the activity, and throw to roll back',
  );
}

function tooLong(maxIdleMs: number, cause: unknown): TransactionError {
  return new TransactionError(
    'TRANSACTION_TOO_LONG',
    `the code of a transactional activity left its transaction idle for longer than ${maxIdleMs} ms; the server has rolled it back. Do what takes its time before it, or raise \`maxIdleMs\` of the source`,
    { cause },
  );
}
