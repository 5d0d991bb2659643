// The seam between transactional activities and the databases that they write to. Neighbours: definition.ts (who declares such an activity),
// threads/transactional-step.ts (who runs it), transactions/ (sources for the stores).
//
// Q1. A source opens a transaction on the database of the runtime's store, lets `run` write in it, records what `run` returned in the same
//     transaction, and commits only when the store has accepted that (`done`). In each other case it rolls back.
// Q2. Recording is what `Provider.ackWorkItems` does: with the lock token and its expiry checked, the work item goes, its completion is enqueued,
//     the session messages that it has received go.
// Q3. What `run` throws is thrown on by `transact` as it is, after the rollback. Any other rejection means that the database failed, before the
//     commit or in it: nobody knows whether it is committed then, and the fence of Q2 decides about what comes next.

/** The end of an attempt, to be recorded with the rows of the application. Opaque texts; the same as a `WorkItemAck` of the provider. */
export type StepCompletion = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
  /** The right to the work item; renewals of its lease keep it. */
  readonly lockToken: string;
  /** Message for the orchestration. */
  readonly completionPayload: string;
  /** Messages of its session that the attempt has taken: they go with the item. */
  readonly received?: { readonly sessionId: string; readonly uptoSeq: number };
};

/**
 * `done`: committed. Else everything was rolled back: `lockLost`: another attempt has the right to the item, or the lease has expired; `gone`: the
 * orchestration no longer wants it, or its end was recorded before.
 */
export type StepOutcome = 'done' | 'lockLost' | 'gone';

/** One use of a transaction. */
export type TransactionStep<Tx> = {
  /**
   * Runs once, in the open transaction. Returns what to record in it; null: nothing, it is only committed. A promise only where the mode of the
   * source is `async`.
   */
  readonly run: (tx: Tx) => StepCompletion | null | Promise<StepCompletion | null>;
  /** Ends waiting for the database, with its reason. */
  readonly signal: AbortSignal;
};

/** `sync`: nothing is awaited while the transaction is open, as it keeps all other writers waiting. */
export type TransactionMode = 'sync' | 'async';

/** Where the transactions of transactional activities come from: `sqliteSource` of `duraloom/sqlite`, `postgresSource` of
 * `duraloom/postgres`. One lives in each activity thread. */
export interface TransactionSource<Tx, Mode extends TransactionMode = TransactionMode> {
  readonly mode: Mode;

  /**
   * Runs a step in a transaction of its own (Q1–Q3).
   *
   * @param step - what to do, and when to give up
   * @returns what became of it
   * @throws what `run` threw, the reason of the signal, or the error of the database
   */
  transact(step: TransactionStep<Tx>): Promise<StepOutcome>;

  /** Lets go of the database, at the end of a thread or a runtime, once the steps under way are over; another step connects anew. */
  close(): Promise<void>;
}
