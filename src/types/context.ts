// What orchestration and activity code can call. Neighbours: replay/orchestration-context.ts and threads/activity-thread.ts build these.
import type { ActivityDefinition, OrchestrationDefinition } from './definition.ts';
import type { Duration } from './duration.ts';

declare global {
  // This folder is compiled without DOM and Node types; the interface merges with the real one where the package is used.
  // oxlint-disable-next-line typescript/no-empty-object-type
  interface AbortSignal {}
}

/**
 * A promise whose result survives a crash. Await it, pass it to `Promise.all` or to the combinators of the context.
 * A rejection that nobody awaits is ignored.
 */
export type DurableFuture<Value> = Promise<Value> & {
  /**
   * Gives up on the result: a queued activity is removed, a running one sees its signal abort, a timer leaves the queue, a child
   * is asked to cancel. The future rejects with `CancelledError`. No effect once it is settled.
   */
  cancel(): void;
};

/** Arguments of a call whose input may be left out when it may be undefined. */
export type InputArguments<Input, Rest extends readonly unknown[]> = [Input] extends [never]
  ? [input?: unknown, ...rest: Rest]
  : undefined extends Input
    ? [input?: Input, ...rest: Rest]
    : [input: Input, ...rest: Rest];

/** Typed activity functions for a module of activity definitions, keyed by the definitions' names. */
export type ActivityProxy<Module> = {
  readonly [
    Key in keyof Module as Module[Key] extends ActivityDefinition<infer Name> ? Name : never
  ]: Module[Key] extends ActivityDefinition<string, infer Input, infer Output>
    ? (...args: InputArguments<Input, []>) => DurableFuture<Output>
    : never;
};

/** Options of a sub-orchestration. */
export type SubOrchestrationOptions = {
  /** Id of the child. Default: made from the parent's id, execution and event. An id in use makes the future reject with `INSTANCE_EXISTS`. */
  readonly instanceId?: string;
  /** Version to run. Default: the highest version that the runtime has. */
  readonly version?: string;
};

/** Options of continue-as-new. */
export type ContinueAsNewOptions = {
  /** Version to continue on. Default: the highest version that the runtime has. */
  readonly version?: string;
};

/** Futures by position or by name. */
export type FutureGroup = readonly unknown[] | Readonly<Record<string, unknown>>;

/** The results of a group, in its shape. */
export type GroupResults<Group extends FutureGroup> = { -readonly [Key in keyof Group]: Awaited<Group[Key]> };

/** The settled results of a group, in its shape. */
export type GroupSettled<Group extends FutureGroup> = { -readonly [Key in keyof Group]: PromiseSettledResult<Awaited<Group[Key]>> };

/** Which future of a group came first (`key`: index or name), and with what. */
export type GroupWinner<Group extends FutureGroup> = Group extends readonly unknown[]
  ? { readonly key: number; readonly value: Awaited<Group[number]> }
  : { readonly [Key in keyof Group]: { readonly key: Key; readonly value: Awaited<Group[Key]> } }[keyof Group];

/** Log lines that appear once, not again on replay. */
export interface ReplaySafeLog {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** First argument of an orchestration: everything that it may do to the outside, recorded and replayed. */
export interface OrchestrationContext {
  readonly instanceId: string;
  /** Generation of the instance: 1, then one more with each continue-as-new. */
  readonly executionId: number;
  readonly name: string;
  readonly version: string;
  /** True while events that are already recorded are replayed. For diagnostics only: deciding by it breaks determinism. */
  readonly isReplaying: boolean;
  /** True once a client or the parent asked this instance to cancel. */
  readonly isCancellationRequested: boolean;
  readonly log: ReplaySafeLog;

  /**
   * Schedules an activity at once; the future settles with its recorded result.
   *
   * @param activity - definition, or name
   * @param input - a JSON value
   * @returns future of the result; rejects with the activity's error (name, message, code and cause kept)
   * @throws {PayloadError} when the input is no JSON value or too large
   */
  scheduleActivity<Input, Output>(
    activity: ActivityDefinition<string, Input, Output>,
    ...args: InputArguments<Input, []>
  ): DurableFuture<Output>;
  scheduleActivity<Output = unknown>(name: string, input?: unknown): DurableFuture<Output>;

  /**
   * Typed access to activities without importing their code: `ctx.activities<typeof import('./activities.ts')>()`.
   *
   * @returns one function for each definition in the module, by the definition's name
   */
  activities<Module>(): ActivityProxy<Module>;

  /**
   * Starts a durable timer.
   *
   * @param when - a duration from `ctx.now()`, or a moment
   * @returns future that resolves when the time has come, never early
   */
  scheduleTimer(when: Duration | Date): DurableFuture<void>;

  /**
   * Takes the next external event of a name. Events are buffered: one that was raised earlier is taken at once, first in, first out.
   *
   * @param name - name of the event
   * @returns future of the event's data
   */
  waitForEvent<Data = unknown>(name: string): DurableFuture<Data>;

  /**
   * Starts a child orchestration and waits for its result. It is cancelled when the future is, or when this orchestration ends first.
   *
   * @param orchestration - definition, or name
   * @param input - a JSON value
   * @param options - id and version of the child
   * @returns future of the child's result
   */
  scheduleSubOrchestration<Input, Output>(
    orchestration: OrchestrationDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: SubOrchestrationOptions]>
  ): DurableFuture<Output>;
  scheduleSubOrchestration<Output = unknown>(name: string, input?: unknown, options?: SubOrchestrationOptions): DurableFuture<Output>;

  /**
   * Starts an independent orchestration: no result, no link. An id that is in use already is left alone.
   *
   * @param orchestration - definition, or name
   * @param instanceId - id of the new instance
   * @param input - a JSON value
   * @param options - version
   */
  startOrchestration<Input>(
    orchestration: OrchestrationDefinition<string, Input> | string,
    instanceId: string,
    input?: Input,
    options?: { readonly version?: string },
  ): void;

  /**
   * Ends this execution and starts the next one with an empty history. External events that nobody took are carried over.
   * Return it: code after the call still runs, but what it decides is cancelled.
   *
   * @param input - input of the next execution
   * @param options - version to continue on
   * @returns a promise that never settles
   */
  continueAsNew(input?: unknown, options?: ContinueAsNewOptions): Promise<never>;

  /**
   * Waits for all futures. Rejects with the first rejection in history order; the others are cancelled then.
   *
   * @param group - array or record of futures, combinators, promises of async helpers, or values
   * @returns future of the results in the group's shape
   */
  all<const Group extends FutureGroup>(group: Group): DurableFuture<GroupResults<Group>>;
  /** Waits until every future is settled. Never rejects, cancels none. */
  allSettled<const Group extends FutureGroup>(group: Group): DurableFuture<GroupSettled<Group>>;
  /** The first future that resolves, by history order; the others are cancelled. Rejects with an `AggregateError` when all reject. */
  any<const Group extends FutureGroup>(group: Group): DurableFuture<GroupWinner<Group>>;
  /** The first future that settles, by history order; the others are cancelled. An empty group rejects with `ARGUMENT_INVALID`. */
  race<const Group extends FutureGroup>(group: Group): DurableFuture<GroupWinner<Group>>;

  /** Time of the event that is being handled, epoch milliseconds. */
  now(): number;
  /** Next number of the instance's own generator, in [0, 1). */
  random(): number;
  /** Next UUID (version 4) of the instance's own generator. */
  uuid(): string;

  /**
   * Sets the progress that clients read.
   *
   * @param status - a JSON value; undefined resets it
   */
  setCustomStatus(status: unknown): void;
  /** The custom status as this orchestration set it last, also in an execution before. */
  getCustomStatus(): unknown;
}

/** First argument of an activity. */
export interface ActivityContext {
  readonly instanceId: string;
  readonly executionId: number;
  /** Event of the orchestration that scheduled this activity. With the two ids above: an idempotency key. */
  readonly eventId: number;
  readonly name: string;
  /** How often this activity was handed out, from 1. More than 1: an earlier attempt was lost in a crash. */
  readonly attempt: number;
  /** Aborts when the orchestration no longer wants the result, or when the runtime lost the right to deliver it. */
  readonly signal: AbortSignal;
  readonly log: ReplaySafeLog;
}
