// One attempt of a transactional activity: its code and the record of its end in one transaction of its source. Neighbours: activity-loop.ts
// starts it and answers for it, types/transaction.ts is the seam to the database.
//
// Z1. An error of the code is an end like any other, which main records in the ordinary way: the transaction is rolled back by then. So is what
//     the code did to its transaction, and a source that is no store.
// Z2. An error of the database is no end, whatever the code made of it: the attempt is given back, and the store decides by its lock token whether it
//     was recorded after all.
// Z3. Nothing is committed for an attempt that was answered for already, because its grace was over (A5 of activity-loop.ts).
import type { ActivityContext } from '../types/context.ts';
import type { ActivityDefinition, ActivityTransaction } from '../types/definition.ts';
import { toFailure, type Failure } from '../types/failure.ts';
import { checkNow, checkSoon } from '../types/schema.ts';
import type { StepCompletion, StepOutcome } from '../types/transaction.ts';
import type { StepEnd } from './messages.ts';

/** What a step needs of its loop. */
export type StepParts = {
  readonly context: ActivityContext;
  readonly input: unknown;
  /** Makes the record of the end; throws when the attempt was answered for already (Z3), or the result is no JSON. */
  readonly complete: (result: unknown) => StepCompletion;
  /** Around what the code does in the step in which it is called: a death of the thread is its doing. */
  readonly onRun: { readonly begin: () => void; readonly end: () => void };
};

/** How a step ended that main need not record. */
export type StepEnding = { readonly end: StepEnd; readonly failure: Failure | null };

/**
 * Runs a step.
 *
 * @param definition - the activity
 * @param transaction - its code and the source
 * @param parts - of the loop
 * @returns how it ended
 * @throws what the code threw (Z1)
 */
export async function runStep(
  { name, schemas }: ActivityDefinition,
  { source, handler }: ActivityTransaction,
  { context, input: given, complete, onRun }: StepParts,
): Promise<StepEnding> {
  const input = await checkSoon(schemas.input, given, `the input of activity '${name}'`);
  const code = handler as (tx: unknown, input: unknown, ctx: ActivityContext) => unknown;
  const what = `the result of activity '${name}'`;
  let own: { readonly error: unknown } | null = null;
  const note = (error: unknown): unknown => {
    own = { error };
    return error;
  };
  // Another one than that of the code: the database failed under the code, or could not roll back (Q3).
  const isOwn = (error: unknown): boolean => own !== null && own.error === error;
  const run = (tx: unknown): StepCompletion | Promise<StepCompletion> => {
    onRun.begin();
    try {
      const returned = code(tx, input, context);
      if (isThenable(returned)) return completeLater(returned);
      return complete(source.mode === 'sync' ? checkNow(schemas.output, returned, what, 'transactions') : returned);
    } catch (error) {
      throw note(error);
    } finally {
      onRun.end();
    }
  };
  const completeLater = async (returned: PromiseLike<unknown>): Promise<StepCompletion> => {
    try {
      return complete(await checkSoon(schemas.output, await returned, what));
    } catch (error) {
      throw note(error);
    }
  };
  let outcome: StepOutcome;
  try {
    outcome = await source.transact({ run, signal: context.signal });
  } catch (error) {
    if (isOwn(error) || isOwnFault(error) || (context.signal.aborted && error === context.signal.reason)) throw error;
    return { end: 'unrecorded', failure: toFailure(error) };
  }
  return { end: outcome === 'done' ? 'recorded' : 'refused', failure: null };
}

/** What the code did to its transaction, or that its source is no store. By code: the source may be of another copy of the library. */
function isOwnFault(error: unknown): boolean {
  const { code } = toFailure(error);
  return code === 'TRANSACTION_INVALID' || code === 'TRANSACTION_TOO_LONG' || code === 'DATABASE_FOREIGN';
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
