// The store inside a transaction of the application, on a connection of the application. Neighbours: transactions/postgres-transaction.ts (starts
// and events), postgres-source.ts (ends of transactional activities); the same functions of the schema as postgres-provider.ts calls.
//
// M1. Nothing is done outside of a transaction. SQL has no question for that: LOCK TABLE is refused there, and locks no more than a read does.
// M2. The fleet is told by a notice of the transaction: it is heard with the commit, or never.
import { ProviderError, TransactionError } from '../../types/errors.ts';
import type { StepCompletion, StepOutcome } from '../../types/transaction.ts';
import type { EnqueueOutcome, NewInstance, NewMessage, StartOutcome } from '../provider.ts';
import { isPlainStart, startParameters } from './parameters.ts';
import type { PostgresClient } from './postgres-options.ts';
import { ANY, channelOf } from './notifier.ts';
import { encodeJson, escapeValue } from './texts.ts';
import { codeOf, toProviderError } from './trouble.ts';

/** SQLSTATE: a statement that only makes sense in a transaction was not in one. */
const NOT_OPEN = '25P01';

/** Whom notices of transactions are from. */
const ENLISTED = 'enlisted';

/** SQLSTATE: no such schema, function or table. */
const MISSING: ReadonlySet<string> = new Set(['3F000', '42883', '42P01']);

/** One schema on one connection. */
export class EnlistedStore {
  readonly #client: PostgresClient;
  readonly #schema: string;

  /**
   * @param client - the connection
   * @param schema - a valid name
   */
  constructor(client: PostgresClient, schema: string) {
    this.#client = client;
    this.#schema = schema;
  }

  async start(start: NewInstance): Promise<StartOutcome> {
    const plain = [...startParameters([start]), 1, [false], null, 0, null, 0];
    const call = isPlainStart(start)
      ? { value: `(SELECT s.outcomes FROM ${this.#function('start_instances', plain)} s)`, parameters: plain }
      : // Who it replaces, and the children of those, may be waited for.
        { value: this.#function('start_instance', [start]), parameters: [encodeJson(start)], words: `t i${ANY}` };
    await this.#assertOpen('startInstances');
    return (await this.#call<StartOutcome>('startInstances', 'true', call)) ?? 'exists';
  }

  async enqueue({ instanceId, payload, key }: NewMessage): Promise<EnqueueOutcome> {
    const parameters = [[instanceId], [payload], [key ?? null]];
    const value = `(${this.#function('enqueue_messages', parameters)})[1]`;
    await this.#assertOpen('enqueueMessages');
    return (await this.#call<EnqueueOutcome>('enqueueMessages', 'true', { value, parameters })) ?? 'notFound';
  }

  /**
   * Records the end of an activity.
   *
   * @param completion - the end
   * @param transactionId - of the transaction in which its rows were written
   * @returns what the store says; null: another transaction is open, or none
   */
  async ackWork(completion: StepCompletion, transactionId: string): Promise<StepOutcome | null> {
    const { instanceId, executionId, eventId, lockToken, completionPayload, received } = completion;
    const item = [[instanceId], [executionId], [eventId], [lockToken], [completionPayload]];
    const parameters = [...item, [received?.sessionId ?? null], [received?.uptoSeq ?? null]];
    // A number as text: nothing else can be in it.
    const isSame = `pg_current_xact_id_if_assigned()::text = '${BigInt(transactionId)}'`;
    return await this.#call<StepOutcome>('ackWorkItems', isSame, { value: `(${this.#function('ack_work', parameters)})[1]`, parameters });
  }

  /** M1. */
  async #assertOpen(operation: string): Promise<void> {
    try {
      await this.#client.query({ text: `LOCK TABLE "${this.#schema}".codes IN ACCESS SHARE MODE` });
    } catch (error) {
      if (codeOf(error) !== NOT_OPEN) throw this.#toError(operation, error);
      const message = 'no transaction is open on the connection. Call it between BEGIN and COMMIT, on the same client';
      throw new TransactionError('TRANSACTION_REQUIRED', message);
    }
  }

  #toError(operation: string, error: unknown): ProviderError {
    return MISSING.has(codeOf(error) ?? '') ? noStore(this.#schema) : toProviderError(operation, error);
  }

  #function(name: string, parameters: readonly unknown[]): string {
    return `"${this.#schema}".${name}(${['NULL', ...parameters.map((_, index) => `$${index + 1}`)].join(', ')})`;
  }

  /** M1, M2. Returns null when the condition does not hold: then nothing was done. */
  async #call<Outcome extends string>(
    operation: string,
    condition: string,
    { value, parameters, words = 't' }: { readonly value: string; readonly parameters: readonly unknown[]; readonly words?: string },
  ): Promise<Outcome | null> {
    const notice = `pg_notify('${channelOf(this.#schema)}', '${ENLISTED} ${words}')`;
    const text = `SELECT CASE WHEN ${condition} THEN ${value} END AS outcome, CASE WHEN ${condition} THEN ${notice} END`;
    try {
      const { rows = [] } = await this.#client.query({ text, values: parameters.map(escapeValue) });
      return (rows[0]?.['outcome'] as Outcome | null | undefined) ?? null;
    } catch (error) {
      throw this.#toError(operation, error);
    }
  }
}

function noStore(schema: string): ProviderError {
  const message = `there is no store of this version in the schema ${schema}. Let PostgresProvider.connect make or upgrade it, or name another \`schema\``;
  return new ProviderError('DATABASE_FOREIGN', { operation: 'transact', retryable: false, message });
}
