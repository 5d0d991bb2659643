// Calls of a client inside a transaction of the application on the file of a SQLite store. Neighbours: client/prepared-call.ts (what is written and
// what it means), provider/sqlite/enlisted-store.ts (how). A client for another store does the same with awaits.
import { prepareRaise, prepareStart, type StartedInstance } from '../client/prepared-call.ts';
import type { RaiseOptions, RaiseResult } from '../client/requests.ts';
import type { StartOptions } from '../client/start.ts';
import { EnlistedStore } from '../provider/sqlite/enlisted-store.ts';
import type { SqliteHandle } from '../provider/sqlite/sqlite-handle.ts';
import { isClock, type Clock } from '../types/clock.ts';
import { readOptions } from '../types/arguments.ts';
import type { InputArguments } from '../types/context.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { ArgumentError } from '../types/errors.ts';
import { show } from '../types/show.ts';

/** Options of `sqliteTransaction`. */
export type SqliteTransactionOptions = {
  /** Clock of the store, for tests. @default the machine's clock */
  readonly clock?: Clock;
};

/** Starts and raises inside the open transaction of a handle. Synchronous, as the handle is. Made by `sqliteTransaction`. */
export class SqliteTransaction {
  readonly #store: EnlistedStore;

  /**
   * @param store - the store on the handle
   */
  constructor(store: EnlistedStore) {
    this.#store = store;
  }

  /**
   * Starts an orchestration with the commit of the open transaction; a runtime takes it from there. Rolled back, it was never started.
   *
   * @param instanceId - id of the new instance: 1 to 512 characters, without '::'
   * @param orchestration - definition, or name
   * @param input - a JSON value
   * @param options - version, what to do when the id is in use, when to start, priority
   * @returns id and outcome; `client.getHandle(instanceId)` waits for the result once it is committed
   * @throws {TransactionError} `TRANSACTION_REQUIRED` when no transaction is open on the handle
   * @throws {InstanceError} `INSTANCE_EXISTS` when the id is in use and `onExisting` does not allow for that; nothing was written then
   * @throws {ArgumentError} for a bad id, name, definition or option, or a closed handle
   * @throws {PayloadError} when the input is no JSON value or too large
   * @throws {ProviderError} when SQLite fails, `retryable` when another connection writes; nothing of the call is left then
   */
  startOrchestration<Input, Output>(
    instanceId: string,
    orchestration: OrchestrationDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: StartOptions]>
  ): StartedInstance;
  startOrchestration(instanceId: string, orchestration: string, input?: unknown, options?: StartOptions): StartedInstance;
  startOrchestration(
    instanceId: string,
    orchestration: OrchestrationDefinition | string,
    input?: unknown,
    options?: StartOptions,
  ): StartedInstance {
    const { request, conclude } = prepareStart(instanceId, orchestration, input, options);
    return conclude(this.#store.start(request));
  }

  /**
   * Raises an external event with the commit of the open transaction. Rolled back, it was never raised.
   *
   * @param instanceId - which instance; also one that this transaction starts
   * @param name - name of the event
   * @param data - a JSON value
   * @param options - `key`: raise it again as often as you like, it is taken once
   * @returns `delivered`: false when the instance has ended, the event was dropped then
   * @throws {TransactionError} `TRANSACTION_REQUIRED` when no transaction is open on the handle
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} for a bad id, name or key, or a closed handle
   * @throws {PayloadError} when the data is no JSON value or too large
   * @throws {ProviderError} when SQLite fails, `retryable` when another connection writes; nothing of the call is left then
   */
  raiseEvent(instanceId: string, name: string, data?: unknown, options?: RaiseOptions): RaiseResult {
    const { request, conclude } = prepareRaise(instanceId, name, data, options);
    return conclude(this.#store.enqueue(request));
  }
}

/**
 * Lets the transactions of the application start orchestrations and raise events: they are committed with the application's rows, or rolled back
 * with them. A runtime on the file sees them within `changePollMs`, in this process or another.
 *
 * @param database - the application's handle of better-sqlite3 on the file of a store that `SqliteProvider.open` has made
 * @param options - rarely needed
 * @returns what to call inside `database.transaction(() => …)`; keep it for the life of the handle or make it anew, both are cheap
 * @throws {ArgumentError} when it is no handle of the copy of better-sqlite3 that duraloom uses, or is closed, read-only or in memory
 * @throws {ProviderError} `DATABASE_FOREIGN` when the file is no store of duraloom, `SCHEMA_TOO_NEW`, `DATABASE_UNREADABLE` for an older schema
 */
export function sqliteTransaction(database: SqliteHandle, options?: SqliteTransactionOptions): SqliteTransaction {
  const { clock } = readOptions(options, 'the options of a transaction', { clock: true });
  if (clock !== undefined && !isClock(clock)) {
    throw new ArgumentError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
  }
  return new SqliteTransaction(EnlistedStore.on(database, clock));
}
