// Calls of a client inside a transaction of the application on PostgreSQL. Neighbours: client/prepared-call.ts (what is written and what it means),
// provider/postgres/enlisted-store.ts (how), sqlite-transaction.ts (the same without awaits).
import { prepareRaise, prepareStart, type StartedInstance } from '../client/prepared-call.ts';
import type { RaiseOptions, RaiseResult } from '../client/requests.ts';
import type { StartOptions } from '../client/start.ts';
import { EnlistedStore } from '../provider/postgres/enlisted-store.ts';
import { assertSchemaName, type PostgresClient } from '../provider/postgres/postgres-options.ts';
import { hasMethods, readOptions } from '../types/arguments.ts';
import type { InputArguments } from '../types/context.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { ArgumentError } from '../types/errors.ts';

/** Options of `postgresTransaction`. */
export type PostgresTransactionOptions = {
  /** Schema of the store, as `PostgresProvider.connect` was given it. @default 'duraloom' */
  readonly schema?: string;
};

/** Starts and raises inside the open transaction of a connection. Made by `postgresTransaction`. */
export class PostgresTransaction {
  readonly #store: EnlistedStore;

  /**
   * @param store - the store on the connection
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
   * @throws {TransactionError} `TRANSACTION_REQUIRED` when no transaction is open; nothing was written then
   * @throws {InstanceError} `INSTANCE_EXISTS` when the id is in use and `onExisting` does not allow for that; the transaction goes on
   * @throws {ArgumentError} for a bad id, name, definition or option
   * @throws {PayloadError} when the input is no JSON value or too large
   * @throws {ProviderError} when the server fails; it has broken the transaction off then
   */
  startOrchestration<Input, Output>(
    instanceId: string,
    orchestration: OrchestrationDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: StartOptions]>
  ): Promise<StartedInstance>;
  startOrchestration(instanceId: string, orchestration: string, input?: unknown, options?: StartOptions): Promise<StartedInstance>;
  async startOrchestration(
    instanceId: string,
    orchestration: OrchestrationDefinition | string,
    input?: unknown,
    options?: StartOptions,
  ): Promise<StartedInstance> {
    const { request, conclude } = prepareStart(instanceId, orchestration, input, options);
    return conclude(await this.#store.start(request));
  }

  /**
   * Raises an external event with the commit of the open transaction. Rolled back, it was never raised.
   *
   * @param instanceId - which instance; also one that this transaction starts
   * @param name - name of the event
   * @param data - a JSON value
   * @param options - `key`: raise it again as often as you like, it is taken once
   * @returns `delivered`: false when the instance has ended, the event was dropped then
   * @throws {TransactionError} `TRANSACTION_REQUIRED` when no transaction is open; nothing was written then
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`; the transaction goes on
   * @throws {ArgumentError} for a bad id, name or key
   * @throws {PayloadError} when the data is no JSON value or too large
   * @throws {ProviderError} when the server fails; it has broken the transaction off then
   */
  async raiseEvent(instanceId: string, name: string, data?: unknown, options?: RaiseOptions): Promise<RaiseResult> {
    const { request, conclude } = prepareRaise(instanceId, name, data, options);
    return conclude(await this.#store.enqueue(request));
  }
}

/**
 * Lets the transactions of the application start orchestrations and raise events: they are committed with the application's rows, or rolled back
 * with them. Runtimes hear of it with the commit.
 *
 * @param client - the application's connection: a client of `pg`, from a pool or not. Not the pool itself, which would take another one for each query
 * @param options - schema of the store
 * @returns what to call between BEGIN and COMMIT; it costs nothing to make
 * @throws {ArgumentError} when it is no client
 * @throws {OptionError} for a bad schema
 */
export function postgresTransaction(client: PostgresClient, options?: PostgresTransactionOptions): PostgresTransaction {
  const { schema = 'duraloom' } = readOptions(options, 'the options of a transaction', { schema: true });
  assertSchemaName(schema);
  if (!hasMethods(client, ['query']) || (hasMethods(client, ['connect', 'end']) && 'totalCount' in client)) {
    throw new ArgumentError(
      'Expected client to be a client of pg: one from `await pool.connect()`, or a connected `new pg.Client()`, not a pool',
    );
  }
  return new PostgresTransaction(new EnlistedStore(client, schema));
}
