// What orchestration and activity code can call. Neighbours: replay/orchestration-context.ts and threads/activity-thread.ts build these.
import type { AttributeChange, Attributes } from './attributes.ts';
import type { ActivityDefinition, OrchestrationDefinition } from './definition.ts';
import type { Duration } from './duration.ts';
import type { ParentClosePolicy, StartPolicy } from './history-event.ts';
import type { MetricLabels } from './metrics.ts';
import type { TraceContext } from './trace.ts';

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

/**
 * When a failed activity is tried again. Every attempt is an event of its own. Never retried: cancellations, errors with `nonRetryable`
 * (`NonRetryableError`), and activities that keep killing their thread (`TOO_MANY_ATTEMPTS`).
 */
export type RetryPolicy = {
  /** How often the activity is tried in all. Range: 1 to 1,000,000. @default 3 */
  readonly maximumAttempts?: number;
  /**
   * How the pause grows. `none`: no pause; `fixed`: always the initial one; `linear`: initial × attempt; `exponential`: initial × coefficient ^ (attempt − 1).
   * @default 'exponential'
   */
  readonly backoff?: 'none' | 'fixed' | 'linear' | 'exponential';
  /** First pause, in milliseconds. @default 100 */
  readonly initialIntervalMs?: number;
  /** Growth of an exponential backoff. Minimum: 1. @default 2 */
  readonly backoffCoefficient?: number;
  /** Longest pause, in milliseconds. @default 30000 */
  readonly maximumIntervalMs?: number;
  /** Part of each pause that is left to chance, 0 to 1: 0.2 shortens pauses by up to a fifth. @default 0 */
  readonly jitter?: number;
  /** Codes or names of errors that are not retried. @default none */
  readonly nonRetryable?: readonly string[];
};

/** Options of an activity. */
export type ActivityOptions = {
  /** When it is tried again. @default once */
  readonly retry?: RetryPolicy;
  /**
   * How long one attempt may run from its start in a thread, in milliseconds. Then its signal aborts, and the attempt fails with `ACTIVITY_TIMEOUT`,
   * which is retried. @default no limit
   */
  readonly attemptTimeoutMs?: number;
  /** How long all attempts together may take from the call on, pauses and queues included, in milliseconds: `ACTIVITY_TIMEOUT`. @default no limit */
  readonly timeoutMs?: number;
  /** How long it may wait for a runtime that takes it, in milliseconds: `ACTIVITY_EXPIRED` (T37). @default for ever */
  readonly expiresAfterMs?: number;
  /** Only runtimes whose `tags` option takes this tag run it. @default the default queue */
  readonly tag?: string;
  /** Activities of a session run in one runtime, and there in one thread, as long as it lives; after that another one takes the session over. */
  readonly sessionId?: string;
  /** 0 to 9: each level goes before what became ready up to a minute earlier. @default 0 */
  readonly priority?: number;
  /** What it shares with other activities, in all runtimes on the store. Not together with `sessionId`. @default no limit */
  readonly limit?: ActivityLimit;
};

/**
 * A limit that activities share by its key, in all runtimes on a store: for a database that takes ten connections, an API with a quota, a tenant
 * that must not take everything. Activities wait in the store until it lets them begin, oldest first; they take no thread meanwhile. Give it
 * `concurrency`, `rate` or both. The numbers of the activity that is to begin count: a change of them holds from the next one on. Give all activities with a
 * key the same ones otherwise.
 *
 * @example
 * await ctx.scheduleActivity(sendMail, order, { limit: { key: 'mail', concurrency: 5, rate: { count: 100, perMs: 60_000 } } });
 */
export type ActivityLimit = {
  /** Whose limit it is. Up to 256 characters. */
  readonly key: string;
  /**
   * How many activities with the key run at once. One whose runtime died counts until its lease has run out (`activityLockMs`); one that was cancelled
   * does not count, though its code may still be running until it looks at its signal. Range: 1 to 1,000,000. @default any number
   */
  readonly concurrency?: number;
  /**
   * How many attempts begin: `count` at once, after that one each `perMs / count`. Retries count, and so do attempts that a crash cut short.
   * Ranges: `count` 1 to 1,000,000; `perMs` 1 millisecond to 100 years. @default any number
   */
  readonly rate?: { readonly count: number; readonly perMs: number };
};

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
  /** Id of the child. @default made from the parent's id, execution and event */
  readonly instanceId?: string;
  /** Exact version or semver range. @default by the `versionPolicy` of the runtime that starts it */
  readonly version?: string;
  /**
   * What happens when the id is in use. A conflict makes the future reject with `INSTANCE_EXISTS`. `useExisting` is not offered here: an instance
   * answers one parent. @default 'fail'
   */
  readonly onExisting?: Exclude<StartPolicy, 'useExisting'>;
  /** What happens to the child when this orchestration ends first, is cancelled, continues as new or is quarantined. @default 'cancel' */
  readonly onParentClose?: ParentClosePolicy;
  /** The child starts this long after the call. @default at once */
  readonly startAfter?: Duration;
  /** The child starts at this moment. */
  readonly startAt?: Date;
  /** 0 to 9. @default 0 */
  readonly priority?: number;
  /** Search attributes that it begins with; it has its own. @default none */
  readonly attributes?: Attributes;
};

/** Options of a detached start. */
export type DetachedStartOptions = Omit<SubOrchestrationOptions, 'instanceId' | 'onExisting' | 'onParentClose'> & {
  /** What happens when the id is in use; nobody is told of a conflict. @default 'useExisting' */
  readonly onExisting?: StartPolicy;
};

/** Options of continue-as-new. */
export type ContinueAsNewOptions = {
  /** Exact version or semver range to continue on. @default by the `versionPolicy` of the runtime that starts it */
  readonly version?: string;
  /**
   * What happens to unread events that together are larger than `MAX_CARRIED_EVENT_UNITS`. `fail`: the orchestration fails with `PAYLOAD_TOO_LARGE`;
   * `dropOldest`, `dropNewest`: as many as needed are dropped, with a warning in the log and in the metric `duraloom_events_dropped_total`. @default 'fail'
   */
  readonly onEventOverflow?: 'fail' | 'dropOldest' | 'dropNewest';
};

/** Key-value pairs of an instance: they survive continue-as-new and the end, clients and other instances can read them. */
export interface ValueStore {
  /** The value, undefined when there is none. A fresh copy each time. */
  get<Value = unknown>(key: string): Value | undefined;
  /**
   * Sets a value.
   *
   * @param key - 1 to 256 characters
   * @param value - a JSON value, not undefined
   * @throws {DurableError} `VALUE_LIMIT` for more than `MAX_VALUES` keys or `MAX_VALUES_UNITS` in all
   * @throws {PayloadError} when it is no JSON value or larger than `MAX_VALUE_BYTES`
   */
  set(key: string, value: unknown): void;
  /** Deletes a key. Returns whether it was there. */
  delete(key: string): boolean;
  /** Deletes all keys. */
  clear(): void;
  /** All keys, sorted by code units. */
  keys(): readonly string[];
  /** All pairs, sorted by key. */
  entries(): readonly (readonly [key: string, value: unknown])[];
  readonly size: number;
  /** Deletes keys that were last set before a time. Returns how many. */
  prune(before: Date | number): number;
}

/** A message that came by a subscription. */
export type TopicMessage<Data = unknown> = { readonly topic: string; readonly data: Data };

/** A subscription to topics. Messages are kept until they are taken, in the order of publication; over continue-as-new, too. */
export interface Subscription<Data = unknown> extends AsyncIterable<TopicMessage<Data>> {
  readonly pattern: string;
  /** The next message. */
  next(): DurableFuture<TopicMessage<Data>>;
  /** Takes no more messages: what was not taken is dropped, and what waits for the next one rejects with `CANCELLED`. */
  unsubscribe(): void;
}

/** Measurements: each counts once, when its turn is committed, not again on replay. */
export interface OrchestrationMetrics {
  /** Adds to a counter. @default value 1 */
  counter(name: string, value?: number, labels?: MetricLabels): void;
  /** One observation. */
  histogram(name: string, value: number, labels?: MetricLabels): void;
  /** The value now. */
  gauge(name: string, value: number, labels?: MetricLabels): void;
}

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

/**
 * Log lines. Those of an orchestration appear once, when their turn is committed, not again on replay; those of an activity once for each attempt.
 * Fields may be any data; see docs/guides/logs.md.
 */
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
  /** True once a client or the parent asked this instance to cancel, also inside `shield`. */
  readonly isCancellationRequested: boolean;
  /** True when the history is half as long as it may be: time to continue as new. */
  readonly shouldContinueAsNew: boolean;
  readonly log: ReplaySafeLog;
  readonly metrics: OrchestrationMetrics;
  readonly kv: ValueStore;
  /** Search attributes of this instance, from its start and as its code set them, also in an execution before. A fresh copy each time. */
  readonly attributes: Attributes;
  /** The span of this execution, to hand on to others; null: it was started without a trace. The same on every replay. */
  readonly trace: TraceContext | null;

  /**
   * Schedules an activity at once; the future settles with its recorded result.
   *
   * @param activity - definition, or name
   * @param input - a JSON value
   * @param options - retries, timeouts, routing
   * @returns future of the result; rejects with the activity's last error (name, message, code, stack and cause kept)
   * @throws {PayloadError} when the input is no JSON value or too large
   * @throws {ArgumentError} for an option outside its range
   */
  scheduleActivity<Input, Output>(
    activity: ActivityDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: ActivityOptions]>
  ): DurableFuture<Output>;
  scheduleActivity<Output = unknown>(name: string, input?: unknown, options?: ActivityOptions): DurableFuture<Output>;

  /**
   * Typed access to activities without importing their code: `ctx.activities<typeof import('./activities.ts')>()`.
   *
   * @param options - for all of them
   * @returns one function for each definition in the module, by the definition's name
   */
  activities<Module>(options?: ActivityOptions): ActivityProxy<Module>;

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
   * All external events of a name, one after the other: `for await (const order of ctx.events<Order>('order'))`. It never ends by itself.
   *
   * @param name - name of the event
   * @returns what to loop over
   */
  events<Data = unknown>(name: string): AsyncIterable<Data>;

  /**
   * Subscribes to topics, from the end of this turn on. A subscription outlives continue-as-new; subscribe again there to take its messages.
   *
   * @param pattern - such as 'orders/created', 'orders/*' (one segment) or 'orders/**' (the rest)
   * @returns the subscription
   * @throws {ArgumentError} for a pattern that is none
   */
  subscribe<Data = unknown>(pattern: string): Subscription<Data>;

  /**
   * Publishes to all instances that are subscribed when this turn is committed: each gets it once.
   *
   * @param topic - such as 'orders/created'
   * @param data - a JSON value
   */
  publish(topic: string, data?: unknown): void;

  /**
   * Sends a message to the activities of a session, which take it with `ctx.receive()`: first in, first out. Answers come as external events.
   *
   * @param sessionId - the session
   * @param data - a JSON value
   */
  sendToSession(sessionId: string, data?: unknown): void;

  /**
   * Reads a key-value pair of another instance, as it is when a runtime gets to it.
   *
   * @param instanceId - which instance
   * @param key - which key
   * @returns future of the value; undefined when instance or key does not exist
   */
  getValueFromInstance<Value = unknown>(instanceId: string, key: string): DurableFuture<Value | undefined>;

  /**
   * Runs code in a scope of its own: cancelling the future cancels all that the code waits for, and nothing else.
   *
   * @param run - the code
   * @returns future of its result
   */
  scope<Result>(run: () => Promise<Result> | Result): DurableFuture<Result>;

  /**
   * Runs code that a cancellation from outside does not touch: for cleaning up.
   *
   * @param run - the code
   * @returns future of its result
   */
  shield<Result>(run: () => Promise<Result> | Result): DurableFuture<Result>;

  /**
   * Runs code in a scope that is cancelled after a time.
   *
   * @param limit - how long it may take
   * @param run - the code
   * @returns future of its result; rejects with `TIMEOUT` when the time is up
   */
  withTimeout<Result>(limit: Duration, run: () => Promise<Result> | Result): DurableFuture<Result>;

  /**
   * Tells whether a change inside one version applies to this execution: true where it runs for the first time, which is recorded; false in
   * executions that passed this place before the change. `if (ctx.patched('send receipt')) await send(); else await sendOld();`
   *
   * @param patchId - name of the change
   * @returns always the same within an execution
   */
  patched(patchId: string): boolean;

  /**
   * Keeps executions replayable that recorded a change which now is for all: put it where `patched` was, until those have ended.
   *
   * @param patchId - name of the change
   */
  deprecatePatch(patchId: string): void;

  /**
   * Starts a child orchestration and waits for its result. It is cancelled when the future is; when this orchestration ends first: `onParentClose`.
   *
   * @param orchestration - definition, or name
   * @param input - a JSON value
   * @param options - id, version, policies and start time of the child
   * @returns future of the child's result
   */
  scheduleSubOrchestration<Input, Output>(
    orchestration: OrchestrationDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: SubOrchestrationOptions]>
  ): DurableFuture<Output>;
  scheduleSubOrchestration<Output = unknown>(name: string, input?: unknown, options?: SubOrchestrationOptions): DurableFuture<Output>;

  /**
   * Starts an independent orchestration: no result, no link.
   *
   * @param orchestration - definition, or name
   * @param instanceId - id of the new instance
   * @param input - a JSON value
   * @param options - version, start time, what to do when the id is in use
   */
  startOrchestration<Input>(
    orchestration: OrchestrationDefinition<string, Input> | string,
    instanceId: string,
    input?: Input,
    options?: DetachedStartOptions,
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

  /**
   * Changes the search attributes by which clients find this instance: `ctx.setAttributes({ customer: 'acme', vip: true, draft: null })`.
   * One that is `true` is a tag.
   *
   * @param change - values to set, null to remove; what is not named stays
   * @throws {ArgumentError} for more than `MAX_ATTRIBUTES` in all, a key of more than `MAX_NAME_LENGTH` characters, and a value that is no text of
   *   at most `MAX_ATTRIBUTE_LENGTH` characters, finite number or boolean
   */
  setAttributes(change: AttributeChange): void;
}

/** First argument of an activity. */
export interface ActivityContext {
  readonly instanceId: string;
  readonly executionId: number;
  /** Event of the orchestration that scheduled the first attempt of this activity. With the two ids above: an idempotency key for all attempts. */
  readonly eventId: number;
  readonly name: string;
  /**
   * Which try this is, from 1: attempts of the retry policy, and those of them that were lost in a crash as far as this one knows. Not unique:
   * for an idempotency key use the ids.
   */
  readonly attempt: number;
  /** Tag it was scheduled with; null: the default queue. */
  readonly tag: string | null;
  /** Session it belongs to; null: none. */
  readonly sessionId: string | null;
  /** When this attempt times out; null: never. */
  readonly deadline: Date | null;
  /** Details of the last heartbeat of the attempt before, undefined when there is none: go on from there. */
  readonly heartbeatDetails: unknown;
  /**
   * Tells how far it has come: clients read it, and the next attempt gets it. Cheap: details are stored now and then, and with the end.
   *
   * @param details - a JSON value
   * @throws {PayloadError} when it is no JSON value or too large
   */
  heartbeat(details: unknown): void;
  /**
   * Takes the next message to its session (`ctx.sendToSession`), first in, first out.
   *
   * @returns the data; rejects when the activity is cancelled
   * @throws {ArgumentError} when the activity has no session
   */
  receive<Data = unknown>(): Promise<Data>;
  /** A client to the store that this activity runs on. */
  readonly client: ActivityClient;
  /** Aborts when the orchestration no longer wants the result, or when the runtime lost the right to deliver it. */
  readonly signal: AbortSignal;
  readonly log: ReplaySafeLog;
  /** The span of this attempt, for what it calls: `fetch(url, { headers: { ...ctx.trace } })`. null: its orchestration has no trace. */
  readonly trace: TraceContext | null;
}

/** What activities can do with other instances: the parts of `Client` that need no closing. See there. */
export interface ActivityClient {
  startOrchestration<Output = unknown>(
    instanceId: string,
    orchestration: OrchestrationDefinition<string, never, Output> | string,
    input?: unknown,
    options?: Partial<TraceContext> & {
      readonly version?: string;
      readonly onExisting?: StartPolicy;
      readonly startAfter?: Duration;
      readonly priority?: number;
      readonly attributes?: Attributes;
    },
  ): Promise<{ readonly instanceId: string; result(options?: { readonly timeout?: Duration }): Promise<Output> }>;
  raiseEvent(
    instanceId: string,
    name: string,
    data?: unknown,
    options?: { readonly key?: string },
  ): Promise<{ readonly delivered: boolean }>;
  publish(topic: string, data?: unknown, options?: { readonly key?: string }): Promise<number>;
  cancel(instanceId: string, reason?: string): Promise<{ readonly delivered: boolean }>;
  terminate(instanceId: string, reason?: string): Promise<unknown>;
  getState(instanceId: string): Promise<{ readonly status: string; readonly result: unknown; readonly customStatus: unknown } | null>;
  getValue(instanceId: string, key: string): Promise<unknown>;
}
