// The `ctx` that orchestration code gets: checks arguments, encodes payloads, and calls the engine. Neighbour: types/context.ts (the contract).
import { readOptions, readTime, type FieldNames } from '../types/arguments.ts';
import { encodeAttributeChange, encodeAttributes, type AttributeChange, type Attributes } from '../types/attributes.ts';
import { encodePayload, encodeRecord } from '../types/codec.ts';
import type {
  ActivityLimit,
  ActivityOptions,
  ActivityProxy,
  ContinueAsNewOptions,
  DetachedStartOptions,
  DurableFuture,
  FutureGroup,
  GroupResults,
  GroupSettled,
  GroupWinner,
  OrchestrationContext,
  OrchestrationMetrics,
  ReplaySafeLog,
  SubOrchestrationOptions,
  Subscription,
  TopicMessage,
  ValueStore,
} from '../types/context.ts';
import type { ActivityDefinition, OrchestrationDefinition } from '../types/definition.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { ArgumentError } from '../types/errors.ts';
import type { StartPolicy } from '../types/history-event.ts';
import { MAX_CUSTOM_STATUS_BYTES, MAX_DURATION_MS, MAX_INSTANCE_ID_LENGTH, MAX_LIMIT_COUNT, MAX_PRIORITY } from '../types/limits.ts';
import type { LogLevel } from '../types/logger.ts';
import type { MetricLabels, MetricPoint } from '../types/metrics.ts';
import { assertInstanceId, assertName, assertText, TOPIC_MAILBOX_PREFIX } from '../types/names.ts';
import type { ActivityExtras, ActivityRouting, LimitRate, SharedLimit } from '../types/replay.ts';
import { show } from '../types/show.ts';
import { assertTopic, assertTopicPattern } from '../types/topics.ts';
import type { TraceContext } from '../types/trace.ts';
import { combine, type CombinatorKind } from './combinators.ts';
import type { FutureCore } from './durable-future.ts';
import { encodeValue } from './key-values.ts';
import type { ReplayEngine, StartRequest } from './replay-engine.ts';
import { resolveRetryPolicy, runAttempts } from './retry.ts';

/**
 * Makes the context of an instance.
 *
 * @param engine - the instance
 * @returns what its code gets as first argument
 */
export function userCodeContext(engine: ReplayEngine): OrchestrationContext {
  return new Context(engine);
}

class Context implements OrchestrationContext {
  readonly instanceId: string;
  readonly executionId: number;
  readonly name: string;
  readonly version: string;
  readonly log: ReplaySafeLog;
  #metrics: OrchestrationMetrics | null = null;
  #kv: ValueStore | null = null;
  readonly #engine: ReplayEngine;

  constructor(engine: ReplayEngine) {
    this.#engine = engine;
    this.instanceId = engine.instanceId;
    this.executionId = engine.executionId;
    this.name = engine.name;
    this.version = engine.version;
    const logAt =
      (level: LogLevel) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
        engine.log(level, message, fields);
    this.log = { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') };
  }

  get trace(): TraceContext | null {
    return this.#engine.trace;
  }

  get metrics(): OrchestrationMetrics {
    this.#metrics ??= makeMetrics(this.#engine);
    return this.#metrics;
  }

  get kv(): ValueStore {
    this.#kv ??= makeValueStore(this.#engine);
    return this.#kv;
  }

  get attributes(): Attributes {
    return this.#engine.attributes;
  }

  get isReplaying(): boolean {
    return this.#engine.isReplaying;
  }

  get isCancellationRequested(): boolean {
    return this.#engine.isCancellationRequested;
  }

  get shouldContinueAsNew(): boolean {
    return this.#engine.shouldContinueAsNew;
  }

  scheduleActivity<Output>(activity: ActivityDefinition | string, input?: unknown, options?: ActivityOptions): DurableFuture<Output> {
    const name = this.#nameOf(activity, 'activity');
    const encoded = encodePayload(input, `input of activity '${name}'`);
    if (options === undefined) return this.#engine.scheduleActivity(name, encoded).as<Output>();
    const engine = this.#engine;
    const given = readOptions(options, `the options of activity '${name}'`, ACTIVITY_OPTIONS);
    const policy = resolveRetryPolicy(given.retry);
    const routing = toRouting(given);
    const timeoutMs = optionalMs('timeoutMs', given.timeoutMs);
    // Later attempts are scheduled while an event is delivered: they belong to the scope of this call.
    const scope = engine.currentScope();
    let firstEventId = 0;
    const schedule = (attempt: number, heartbeat: unknown): FutureCore => {
      const extras: ActivityExtras | null =
        attempt === 1 ? null : { attempt, firstEventId, ...(heartbeat === undefined ? {} : { heartbeat }) };
      const how = { routing: withExtras(routing, extras === null ? null : encodeRecord(extras)), attempt, scope };
      const core = engine.scheduleActivity(name, encoded, how);
      if (attempt === 1) firstEventId = engine.lastEventId;
      return core;
    };
    if (policy.maximumAttempts === 1 && timeoutMs === null) return schedule(1, undefined).as<Output>();
    const startTimer = (delayMs: number): FutureCore => engine.scheduleTimer(delayMs, scope);
    const random = (): number => engine.random().nextFloat();
    return runAttempts(name, { schedule, startTimer, random }, { policy, timeoutMs }).as<Output>();
  }

  activities<Module>(options?: ActivityOptions): ActivityProxy<Module> {
    const schedule = (name: string, input: unknown): DurableFuture<unknown> => this.scheduleActivity(name, input, options);
    return new Proxy<object>(Object.freeze({}), {
      get: (_, name) => {
        // `then` is asked for by whoever awaits the proxy by mistake; symbols by tools that print it.
        if (typeof name === 'symbol' || name === 'then') return undefined;
        return (input?: unknown) => schedule(name, input);
      },
    }) as ActivityProxy<Module>;
  }

  scheduleTimer(when: Duration | Date): DurableFuture<void> {
    const delayMs = typeof when === 'object' ? this.#until(when) : toMilliseconds(when, 'timer');
    return this.#engine.scheduleTimer(delayMs).as<void>();
  }

  #until(date: Date): number {
    return toMilliseconds(Math.max(0, readTime(date, 'timer') - this.#engine.now()), 'timer');
  }

  waitForEvent<Data>(name: string): DurableFuture<Data> {
    return this.#engine.waitForEvent(assertName(name, 'event name')).as<Data>();
  }

  events<Data>(name: string): AsyncIterable<Data> {
    return loopOver(() => this.waitForEvent<Data>(name));
  }

  subscribe<Data>(pattern: string): Subscription<Data> {
    const engine = this.#engine;
    engine.subscribe(assertTopicPattern(pattern));
    const next = (): DurableFuture<TopicMessage<Data>> => engine.waitForEvent(`${TOPIC_MAILBOX_PREFIX}${pattern}`).as<TopicMessage<Data>>();
    return { pattern, next, unsubscribe: () => engine.unsubscribe(pattern), ...loopOver(next) };
  }

  publish(topic: string, data?: unknown): void {
    this.#engine.publish(assertTopic(topic), encodePayload(data, `data of topic '${topic}'`));
  }

  sendToSession(sessionId: string, data?: unknown): void {
    this.#engine.sendToSession(assertName(sessionId, 'session id'), encodePayload(data, `message to session '${sessionId}'`));
  }

  getValueFromInstance<Value>(instanceId: string, key: string): DurableFuture<Value | undefined> {
    assertText(instanceId, 'instance id', MAX_INSTANCE_ID_LENGTH);
    return this.#engine.readValue(instanceId, assertName(key, 'key')).as<Value | undefined>();
  }

  scope<Result>(run: () => Promise<Result> | Result): DurableFuture<Result> {
    return this.#engine.runInScope(assertFunction(run, 'scope'), false).as<Result>();
  }

  shield<Result>(run: () => Promise<Result> | Result): DurableFuture<Result> {
    return this.#engine.runInScope(assertFunction(run, 'shield'), true).as<Result>();
  }

  withTimeout<Result>(limit: Duration, run: () => Promise<Result> | Result): DurableFuture<Result> {
    return this.#engine.runWithTimeout(toMilliseconds(limit, 'limit'), assertFunction(run, 'withTimeout')).as<Result>();
  }

  patched(patchId: string): boolean {
    return this.#engine.patched(assertName(patchId, 'patch id'));
  }

  deprecatePatch(patchId: string): void {
    this.#engine.deprecatePatch(assertName(patchId, 'patch id'));
  }

  scheduleSubOrchestration<Output>(
    orchestration: OrchestrationDefinition | string,
    input?: unknown,
    options?: SubOrchestrationOptions,
  ): DurableFuture<Output> {
    const name = this.#nameOf(orchestration, 'orchestration');
    const given = readOptions(options, `the options of sub-orchestration '${name}'`, CHILD_OPTIONS);
    const { instanceId, onParentClose = 'cancel' } = given;
    if (instanceId !== undefined) assertInstanceId(instanceId);
    if (!CLOSE_POLICIES.has(onParentClose)) {
      throw new ArgumentError(`Expected onParentClose to be 'cancel', 'abandon' or 'terminate', got ${show(onParentClose)}`);
    }
    const policy = given.onExisting ?? 'fail';
    if ((policy as StartPolicy) === 'useExisting') {
      throw new ArgumentError(
        "Expected onExisting of a sub-orchestration to be 'fail', 'replaceTerminal' or 'terminateExisting': an instance answers one parent. Use ctx.startOrchestration and an event, or another id",
      );
    }
    const encoded = encodePayload(input, `input of sub-orchestration '${name}'`);
    return this.#engine.scheduleSubOrchestration(name, { instanceId, onParentClose, ...toStart(encoded, policy, given) }).as<Output>();
  }

  startOrchestration(
    orchestration: OrchestrationDefinition | string,
    instanceId: string,
    input?: unknown,
    options?: DetachedStartOptions,
  ): void {
    const name = this.#nameOf(orchestration, 'orchestration');
    const given = readOptions(options, `the options of orchestration '${name}'`, START_OPTIONS);
    const encoded = encodePayload(input, `input of orchestration '${name}'`);
    const start = toStart(encoded, given.onExisting ?? 'useExisting', given);
    this.#engine.startOrchestration(name, { instanceId: assertInstanceId(instanceId), onParentClose: 'abandon', ...start });
  }

  continueAsNew(input?: unknown, options?: ContinueAsNewOptions): Promise<never> {
    const given = readOptions(options, 'the options of continue-as-new', { version: true, onEventOverflow: true });
    const { version, onEventOverflow = 'fail' } = given;
    if (!OVERFLOW_POLICIES.has(onEventOverflow)) {
      throw new ArgumentError(`Expected onEventOverflow to be 'fail', 'dropOldest' or 'dropNewest', got ${show(onEventOverflow)}`);
    }
    if (version !== undefined) assertName(version, 'version');
    return this.#engine.continueAsNew(encodePayload(input, 'input of continue-as-new'), version, onEventOverflow);
  }

  all<const Group extends FutureGroup>(group: Group): DurableFuture<GroupResults<Group>> {
    return this.#combine('all', group);
  }

  allSettled<const Group extends FutureGroup>(group: Group): DurableFuture<GroupSettled<Group>> {
    return this.#combine('allSettled', group);
  }

  any<const Group extends FutureGroup>(group: Group): DurableFuture<GroupWinner<Group>> {
    return this.#combine('any', group);
  }

  race<const Group extends FutureGroup>(group: Group): DurableFuture<GroupWinner<Group>> {
    return this.#combine('race', group);
  }

  #combine<Result>(kind: CombinatorKind, group: FutureGroup): DurableFuture<Result> {
    this.#engine.enterCombinator(kind);
    return combine(kind, group, () => this.#engine.isInTurn(`a promise in ctx.${kind} was settled`)).as<Result>();
  }

  now(): number {
    return this.#engine.now();
  }

  random(): number {
    return this.#engine.random().nextFloat();
  }

  uuid(): string {
    return this.#engine.random().nextUuid();
  }

  setCustomStatus(status: unknown): void {
    this.#engine.setCustomStatus(encodePayload(status, 'custom status', MAX_CUSTOM_STATUS_BYTES));
  }

  getCustomStatus(): unknown {
    return this.#engine.getCustomStatus();
  }

  setAttributes(change: AttributeChange): void {
    this.#engine.setAttributes(encodeAttributeChange(change));
  }

  /** Names of a package that was registered with a prefix mean its own definitions, unless they begin with '/'. */
  #nameOf(definition: unknown, what: 'activity' | 'orchestration'): string {
    const name = nameOf(definition, what);
    const { prefix } = this.#engine;
    if (prefix === '') return name;
    return assertName(name.startsWith('/') ? name.slice(1) : `${prefix}${name}`, `${what} name`);
  }
}

const ACTIVITY_OPTIONS: FieldNames<ActivityOptions> = {
  retry: true,
  tag: true,
  sessionId: true,
  priority: true,
  limit: true,
  attemptTimeoutMs: true,
  timeoutMs: true,
  expiresAfterMs: true,
};
const START_OPTIONS: FieldNames<DetachedStartOptions> = {
  version: true,
  onExisting: true,
  startAfter: true,
  startAt: true,
  priority: true,
  attributes: true,
};
const CHILD_OPTIONS: FieldNames<SubOrchestrationOptions> = { ...START_OPTIONS, instanceId: true, onParentClose: true };

const CLOSE_POLICIES: ReadonlySet<unknown> = new Set(['cancel', 'abandon', 'terminate']);
const START_POLICIES: ReadonlySet<unknown> = new Set(['fail', 'useExisting', 'replaceTerminal', 'terminateExisting']);
const OVERFLOW_POLICIES: ReadonlySet<unknown> = new Set(['fail', 'dropOldest', 'dropNewest']);

function toStart(
  input: string | undefined,
  policy: StartPolicy,
  options: Omit<DetachedStartOptions, 'onExisting'>,
): Omit<StartRequest, 'instanceId' | 'onParentClose'> {
  const { version, startAfter, startAt, priority = 0, attributes } = options;
  if (version !== undefined) assertName(version, 'version');
  if (!START_POLICIES.has(policy)) {
    throw new ArgumentError(
      `Expected onExisting to be 'fail', 'useExisting', 'replaceTerminal' or 'terminateExisting', got ${show(policy)}`,
    );
  }
  return {
    version,
    input,
    policy,
    startAfterMs: startAfter === undefined ? null : toMilliseconds(startAfter, 'startAfter'),
    startAtMs: startAt === undefined ? null : readTime(startAt, 'startAt'),
    priority: assertPriority(priority),
    attributes: attributes === undefined ? null : encodeAttributes(attributes),
  };
}

function assertPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY) return priority;
  throw new ArgumentError(`Expected priority to be a whole number from 0 to ${MAX_PRIORITY}, got ${show(priority)}`);
}

function optionalMs(name: string, value: number | undefined): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && value >= 1 && value <= MAX_DURATION_MS) return Math.ceil(value);
  throw new ArgumentError(`Expected ${name} to be milliseconds from 1 to ${MAX_DURATION_MS}, got ${show(value)}`);
}

/** null: nothing of it, the activity runs anywhere. */
function toRouting(options: ActivityOptions): ActivityRouting | null {
  const { tag, sessionId, priority = 0 } = options;
  const routing: ActivityRouting = {
    tag: tag === undefined ? null : assertName(tag, 'tag'),
    sessionId: sessionId === undefined ? null : assertName(sessionId, 'session id'),
    priority: assertPriority(priority),
    timeoutMs: optionalMs('attemptTimeoutMs', options.attemptTimeoutMs),
    expiresAfterMs: optionalMs('expiresAfterMs', options.expiresAfterMs),
    limit: options.limit === undefined ? null : toLimit(options.limit),
    extras: null,
  };
  if (routing.limit !== null && routing.sessionId !== null) {
    throw new ArgumentError(
      'Expected an activity to have either `limit` or `sessionId`: items of a session wait for its owner only. Limit how many sessions a runtime takes with `maxSessions`',
    );
  }
  const { tag: _tag, priority: _priority, ...rest } = routing;
  const isPlain = priority === 0 && tag === undefined && Object.values(rest).every((part) => part === null);
  return isPlain ? null : routing;
}

const LIMIT_OPTIONS: FieldNames<ActivityLimit> = { key: true, concurrency: true, rate: true };
const RATE_OPTIONS: FieldNames<NonNullable<ActivityLimit['rate']>> = { count: true, perMs: true };

function toLimit(given: ActivityLimit): SharedLimit {
  const { key, concurrency, rate } = readOptions(given, 'limit', LIMIT_OPTIONS);
  if (concurrency === undefined && rate === undefined) {
    throw new ArgumentError(`Expected limit '${show(key)}' to have \`concurrency\`, \`rate\` or both`);
  }
  return {
    key: assertName(key as string, 'limit key'),
    concurrency: concurrency === undefined ? null : assertCount('limit.concurrency', concurrency),
    rate: rate === undefined ? null : toRate(rate),
  };
}

function toRate(given: NonNullable<ActivityLimit['rate']>): LimitRate {
  const { count, perMs } = readOptions(given, 'limit.rate', RATE_OPTIONS);
  const ms = optionalMs('limit.rate.perMs', perMs);
  if (ms === null) throw new ArgumentError('Expected limit.rate to have `perMs`, the time of `count` activities in milliseconds');
  return { count: assertCount('limit.rate.count', count as number), perMs: ms };
}

function assertCount(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= MAX_LIMIT_COUNT) return value;
  throw new ArgumentError(`Expected ${name} to be a whole number from 1 to ${MAX_LIMIT_COUNT}, got ${show(value)}`);
}

const ANYWHERE: ActivityRouting = {
  tag: null,
  sessionId: null,
  priority: 0,
  timeoutMs: null,
  expiresAfterMs: null,
  limit: null,
  extras: null,
};

function withExtras(routing: ActivityRouting | null, extras: string | null): ActivityRouting | null {
  return extras === null ? routing : { ...(routing ?? ANYWHERE), extras };
}

function assertFunction(run: unknown, what: string): () => unknown {
  if (typeof run !== 'function') throw new ArgumentError(`Expected ctx.${what} to get a function, got ${show(run)}`);
  return run as () => unknown;
}

/** An endless loop over futures; leaving it gives up the one that is waited for. */
function loopOver<Value>(next: () => DurableFuture<Value>): AsyncIterable<Value> {
  return {
    [Symbol.asyncIterator]: () => {
      let waiting: DurableFuture<Value> | null = null;
      return {
        next: async () => {
          waiting = next();
          return { done: false, value: await waiting };
        },
        return: () => {
          waiting?.cancel();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

function makeMetrics(engine: ReplayEngine): OrchestrationMetrics {
  const measure = (kind: MetricPoint['kind'], name: string, value: number, labels?: MetricLabels): void => {
    if (typeof name !== 'string' || !/^[A-Za-z_:][A-Za-z0-9_:]*$/.test(name)) {
      throw new ArgumentError(`Expected a metric name of letters, digits, '_' and ':', got ${show(name)}`);
    }
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new ArgumentError(`Expected the value of metric '${name}' to be a finite number, got ${show(value)}`);
    }
    if (kind === 'counter' && value < 0) throw new ArgumentError(`Expected counter '${name}' to grow, got ${value}`);
    engine.metric({ kind, name, value, labels: readLabels(name, labels) });
  };
  return {
    counter: (name, value = 1, labels) => measure('counter', name, value, labels),
    histogram: (name, value, labels) => measure('histogram', name, value, labels),
    gauge: (name, value, labels) => measure('gauge', name, value, labels),
  };
}

function readLabels(name: string, labels: MetricLabels | undefined): MetricLabels {
  if (labels === undefined) return {};
  try {
    if (typeof labels !== 'object' || labels === null) throw new TypeError('they are no object');
    return Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, String(text)] as const));
  } catch (cause) {
    throw new ArgumentError(`Expected the labels of metric '${name}' to be text by name, got ${show(labels)}`, { cause });
  }
}

function makeValueStore(engine: ReplayEngine): ValueStore {
  const deleteAll = (keys: readonly string[]): number => keys.filter((key) => engine.deleteValue(key)).length;
  return {
    get: <Value>(key: string) => engine.values.read(key) as Value | undefined,
    set: (key, value) => engine.setValue(assertName(key, 'key'), encodeValue(key, value)),
    delete: (key) => {
      if (typeof key !== 'string') throw new ArgumentError(`Expected key to be text, got ${show(key)}`);
      return engine.deleteValue(key);
    },
    clear: () => {
      deleteAll(engine.values.keys());
    },
    keys: () => engine.values.keys(),
    entries: () => engine.values.keys().map((key) => [key, engine.values.read(key)] as const),
    get size() {
      return engine.values.size;
    },
    prune: (before) => {
      return deleteAll(engine.values.keysBefore(readTime(before, 'the time of prune')));
    },
  };
}

function nameOf(definition: unknown, what: 'activity' | 'orchestration'): string {
  if (typeof definition === 'string') return assertName(definition, `${what} name`);
  if (typeof definition === 'object' && definition !== null) {
    const { kind, name = '' } = readOptions(definition as { readonly kind: string; readonly name: string }, what, {
      kind: true,
      name: true,
    });
    if (kind === what) return assertName(name, `${what} name`);
  }
  throw new ArgumentError(
    `Expected ${what} to be a definition made by define${what === 'activity' ? 'Activity' : 'Orchestration'} or a name`,
  );
}
