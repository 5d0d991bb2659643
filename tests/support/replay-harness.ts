// Drives replay engines by hand: both drains, a host, one-line builders of events and messages, single instances for unit tests, and a
// world that plays the outside for a tree of instances. No clock and no randomness of its own: who uses it decides order, batches, time.
import { AsyncLocalStorage } from 'node:async_hooks';
import { isDeepStrictEqual } from 'node:util';
import { parseMessage } from '../../src/replay/message.ts';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import type { ReplayHost } from '../../src/replay/replay-host.ts';
import type { Scope } from '../../src/replay/scope.ts';
import { validateHistory } from '../../src/replay/validate-history.ts';
import type { AttributeChange, Attributes, AttributeValue } from '../../src/types/attributes.ts';
import type { OrchestrationContext } from '../../src/types/context.ts';
import { defineOrchestration, type OrchestrationDefinition, type OrchestrationSchemas } from '../../src/types/definition.ts';
import type { Failure } from '../../src/types/failure.ts';
import { takeLogLine, type SizedLine } from '../../src/types/log-line.ts';
import type { LogLevel } from '../../src/types/logger.ts';
import type { CarriedEvent, CarriedValue, EventKind, HistoryEvent, ParentClosePolicy } from '../../src/types/history-event.ts';
import { TOPIC_MAILBOX_PREFIX, type ParentLink } from '../../src/types/names.ts';
import type {
  ActivityExtras,
  History,
  ReceivedMessage,
  ReplayResult,
  ScheduledActivity,
  ScheduledTimer,
  TurnEffects,
} from '../../src/types/replay.ts';
import { matchesTopic } from '../../src/types/topics.ts';

// --- drains ------------------------------------------------------------------------------------------------------------------

/** How microtasks are run between two events: synchronously inside a macrotask, or by waiting for one macrotask each. */
export type Drain = 'tick' | 'immediate';

/** Both drains. */
export const DRAINS: readonly Drain[] = ['tick', 'immediate'];

/** Steps of an engine, a world or both: microtasks are drained at each yield. */
export type Steps<Result> = Generator<void, Result, void>;

const owner = new AsyncLocalStorage<Scope>();

/**
 * Runs steps to their end.
 *
 * @param steps - what an engine or a world returned
 * @param drain - how to run microtasks at each yield
 * @returns the result of the steps
 */
export function run<Result>(steps: Steps<Result>, drain: Drain = 'tick'): Promise<Result> {
  ownRejections();
  return drain === 'tick' ? runByTick(steps) : runByImmediate(steps);
}

function runByTick<Result>(steps: Steps<Result>): Promise<Result> {
  const { _tickCallback: runMicrotasks } = process as unknown as { readonly _tickCallback: () => void };
  return new Promise((resolve, reject) => {
    // The drain does nothing inside a microtask, and tests run in one.
    setImmediate(() => {
      try {
        for (;;) {
          const step = steps.next();
          if (step.done === true) return resolve(step.value);
          runMicrotasks.call(process);
        }
      } catch (error) {
        reject(error);
      }
    });
  });
}

async function runByImmediate<Result>(steps: Steps<Result>): Promise<Result> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await nextMacrotask();
  }
}

/** Waits until all microtasks have run and a macrotask has passed: what happens to a thread between two turns. */
export function nextMacrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Rejections in orchestration code go to its engine, as in a replay thread; all others stay the business of the test runner. */
function onUnhandledRejection(reason: unknown, promise: Promise<unknown>): void {
  const engine = owner.getStore()?.engine;
  if (engine !== undefined) engine.unhandledRejection(reason);
  else for (const listener of others) listener(reason, promise);
}

let others: NodeJS.UnhandledRejectionListener[] = [];

function ownRejections(): void {
  const listeners = process.listeners('unhandledRejection');
  if (listeners.length === 1 && listeners[0] === onUnhandledRejection) return;
  others = listeners.filter((listener) => listener !== onUnhandledRejection);
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', onUnhandledRejection);
}

// --- host --------------------------------------------------------------------------------------------------------------------

/** A handler as tests write it. */
export type Handler<Input = unknown> = (ctx: OrchestrationContext, input: Input) => unknown;

/** Any definition, for lists. */
export type AnyOrchestration = OrchestrationDefinition;

/**
 * Defines an orchestration whose input type does not matter to the test.
 *
 * @param name - its name
 * @param handler - its code
 * @param version - its version
 * @param schemas - of its input, output and events
 */
export function orchestration<Input = unknown>(
  name: string,
  handler: Handler<Input>,
  version = '1.0.0',
  schemas: OrchestrationSchemas = {},
): AnyOrchestration {
  return defineOrchestration<string, Input>(name, handler, { version, ...schemas });
}

/** The thread around engines, with everything that they told it. */
export class TestHost implements ReplayHost {
  readonly faults: { readonly instanceId: string; readonly failure: Failure }[] = [];
  readonly calls: string[] = [];
  /** Set: as if somebody recorded traces. */
  beginTrace: (() => string) | undefined;
  readonly #definitions: readonly AnyOrchestration[];

  constructor(definitions: readonly AnyOrchestration[]) {
    this.#definitions = definitions;
  }

  find(name: string, version: string | undefined): AnyOrchestration | null {
    const named = this.#definitions.filter((definition) => definition.name === name);
    if (version !== undefined) return named.find((definition) => definition.version === version) ?? null;
    return named.toSorted((left, right) => left.version.localeCompare(right.version, 'en', { numeric: true })).at(-1) ?? null;
  }

  describeRegistered(): string {
    return this.#definitions.map(({ name, version }) => `${name} ${version}`).join(', ');
  }

  enter<Result>(scope: Scope, code: () => Result): Result {
    return owner.run(scope, code);
  }

  currentScope(): Scope | undefined {
    return owner.getStore();
  }

  noteCall(call: string): void {
    this.calls.push(call.slice('ctx.'.length));
  }

  takeLog(level: LogLevel, text: unknown, fields: unknown): SizedLine {
    return takeLogLine(level, text, fields);
  }

  reportFault(engine: ReplayEngine, failure: Failure): void {
    this.faults.push({ instanceId: engine.instanceId, failure });
  }
}

// --- events and messages, one line each --------------------------------------------------------------------------------------

/** An event without its envelope; input events in this form are messages, too. */
export type Body = { readonly kind: string } & Readonly<Record<string, unknown>>;

const body = (kind: EventKind | 'InstanceFaulted', fields: Readonly<Record<string, unknown>>): Body => ({
  kind,
  ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
});

/** Fields of a start that tests set. */
export type StartFields = {
  readonly name?: string;
  readonly version?: string;
  readonly executionId?: number;
  readonly input?: unknown;
  readonly parent?: ParentLink;
  readonly carried?: readonly CarriedEvent[];
  readonly customStatus?: unknown;
  readonly values?: readonly CarriedValue[];
  readonly attributes?: Attributes;
  readonly subscriptions?: readonly string[];
  readonly eventKeys?: readonly string[];
  readonly traceparent?: string;
  readonly tracestate?: string;
};

/** Start as a message. */
export const start = (fields: StartFields = {}): Body => body('OrchestrationStarted', { executionId: 1, name: 'test', ...fields });
/** Start as an event. */
export const started = (fields: StartFields = {}): Body => ({ ...start(fields), version: fields.version ?? '1.0.0', engine: 1 });
export const activityScheduled = (
  name: string,
  input?: unknown,
  how: { readonly tag?: string; readonly sessionId?: string; readonly attempt?: number } = {},
): Body => body('ActivityScheduled', { name, input, ...how });
export const activityCompleted = (sourceId: number, result?: unknown, executionId = 1): Body =>
  body('ActivityCompleted', { executionId, sourceId, result });
export const activityFailed = (sourceId: number, failure: Failure | string = 'broken', executionId = 1, heartbeat?: unknown): Body =>
  body('ActivityFailed', { executionId, sourceId, failure: failureOf(failure), heartbeat });
export const timerCreated = (fireAtMs: number): Body => body('TimerCreated', { fireAtMs });
export const timerFired = (sourceId: number, executionId = 1): Body => body('TimerFired', { executionId, sourceId });
export const eventAwaited = (name: string): Body => body('EventAwaited', { name });
export const eventRaised = (name: string, data?: unknown, key?: string): Body => body('EventRaised', { name, data, key });
export const topicReceived = (topic: string, data?: unknown, key?: string): Body => body('TopicReceived', { topic, data, key });
export const childScheduled = (
  name: string,
  instanceId: string,
  input?: unknown,
  version?: string,
  onParentClose?: ParentClosePolicy,
): Body => body('SubOrchestrationScheduled', { name, instanceId, input, version, onParentClose });
export const childCompleted = (sourceId: number, result?: unknown, executionId = 1): Body =>
  body('SubOrchestrationCompleted', { executionId, sourceId, result });
export const childFailed = (sourceId: number, failure: Failure | string = 'broken', executionId = 1): Body =>
  body('SubOrchestrationFailed', { executionId, sourceId, failure: failureOf(failure) });
export const startRequested = (name: string, instanceId: string, input?: unknown, version?: string): Body =>
  body('OrchestrationStartRequested', { name, instanceId, input, version });
export const statusSet = (status?: unknown): Body => body('CustomStatusSet', { status });
export const valueSet = (key: string, value: unknown): Body => body('ValueSet', { key, value });
export const attributesSet = (attributes: AttributeChange): Body => body('AttributesSet', { attributes });
export const valueDeleted = (key: string): Body => body('ValueDeleted', { key });
export const topicSubscribed = (pattern: string): Body => body('TopicSubscribed', { pattern });
export const topicUnsubscribed = (pattern: string): Body => body('TopicUnsubscribed', { pattern });
export const topicPublished = (topic: string, data?: unknown): Body => body('TopicPublished', { topic, data });
export const sessionMessageSent = (sessionId: string, data?: unknown): Body => body('SessionMessageSent', { sessionId, data });
export const patched = (patchId: string): Body => body('Patched', { patchId });
export const futureCancelled = (sourceId: number): Body => body('FutureCancelled', { sourceId });
/** `parent`: the link of the child that a parent cancels; none: a client asks. */
export const cancelRequested = (reason = 'enough', parent?: ParentLink): Body => body('CancelRequested', { reason, parent });
export const completed = (result?: unknown): Body => body('OrchestrationCompleted', { result });
export const failed = (failure: Failure | string = 'broken'): Body => body('OrchestrationFailed', { failure: failureOf(failure) });
export const cancelled = (reason = 'enough'): Body => body('OrchestrationCancelled', { reason });
export const continuedAsNew = (input?: unknown, version?: string): Body => body('OrchestrationContinuedAsNew', { input, version });
/** The message that a host sends after `reportFault`. */
export const instanceFaulted = (failure: Failure | string = 'broken', executionId = 1): Body =>
  body('InstanceFaulted', { executionId, failure: failureOf(failure) });

const failureOf = (failure: Failure | string): Failure => (typeof failure === 'string' ? { name: 'Error', message: failure } : failure);

/** Time of events that a test gives no other. */
export const T0 = 1_000;

/**
 * Numbers bodies into a history; a body may bring its own `id` and `atMs`.
 *
 * @param bodies - bodies in order
 * @returns parsed events, not validated
 */
export function history(...bodies: readonly Body[]): History {
  return bodies.map((fields, index) => ({ id: index + 1, atMs: T0, ...fields })) as unknown as History;
}

/**
 * Makes a message as it comes from the store.
 *
 * @param fields - body of an input event
 */
export function message(fields: Body): ReceivedMessage {
  return parseMessage(JSON.stringify(fields));
}

/**
 * Gives the message that an input event was made from.
 *
 * @param event - input event
 */
export function messageOf(event: HistoryEvent): ReceivedMessage {
  const { id: _, atMs: __, ...fields } = event as unknown as Readonly<Record<string, unknown>>;
  if (event.kind !== 'OrchestrationStarted') return message(fields as Body);
  const { engine: ___, ...startFields } = fields;
  return message(startFields as Body);
}

/**
 * Parses the text of a turn's events.
 *
 * @param text - JSON text of an array
 */
export function parseEvents(text: string): readonly HistoryEvent[] {
  return JSON.parse(text) as readonly HistoryEvent[];
}

const STACK = /,"stack":"(?:[^"\\]|\\.)*"/g;

/**
 * Takes stack traces out of JSON text: they tell where the engine was called from, which no rule fixes.
 *
 * @param text - JSON text
 */
export function withoutStacks(text: string): string {
  return text.includes('"stack"') ? text.replaceAll(STACK, '') : text;
}

/**
 * Gives what a turn asked for in a form that can be compared with that of another engine.
 *
 * @param result - a result, or parts of results
 * @returns JSON text without stacks, also in the JSON texts inside; `undefined` and `null` stay different
 */
export function comparable(result: object): string {
  return JSON.stringify(result, (_, value: unknown) => {
    if (typeof value === 'string') return withoutStacks(value);
    return value === undefined ? '<undefined>' : value;
  });
}

// --- engines -----------------------------------------------------------------------------------------------------------------

/** An engine that was rebuilt from its history. */
export type Rebuilt = { readonly engine: ReplayEngine; readonly host: TestHost; readonly result: ReplayResult };

/**
 * Gives the search attributes that an instance has after some events.
 *
 * @param events - events of its current execution
 */
export function attributesAfter(events: readonly HistoryEvent[]): Attributes {
  const attributes: Record<string, AttributeValue | null> = {};
  for (const event of events) {
    if (event.kind === 'OrchestrationStarted' || event.kind === 'AttributesSet') Object.assign(attributes, event.attributes);
  }
  return Object.fromEntries(Object.entries(attributes).flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])));
}

/** Settings for a cold replay. */
export type ReplaySettings = {
  readonly instanceId?: string;
  readonly drain?: Drain;
  /** Turns that the history comes from. */
  readonly turns?: number;
};

/**
 * Rebuilds an instance from its history in a new engine and asks it for nothing.
 *
 * @param definitions - registered orchestrations
 * @param events - parsed history; it is copied, because code may change what it is given
 * @returns the engine, its host, and the result of an empty turn
 */
export async function replayCold(
  definitions: readonly AnyOrchestration[],
  events: readonly unknown[],
  settings: ReplaySettings = {},
): Promise<Rebuilt> {
  const host = new TestHost(definitions);
  const engine = new ReplayEngine(settings.instanceId ?? 'i1', host);
  const copy = JSON.parse(JSON.stringify(events)) as unknown[];
  // The turn below counts as one of them.
  await run(engine.replay(validateHistory(copy), (settings.turns ?? 1) - 1), settings.drain);
  const result = await turn(engine, [], T0, settings.drain);
  return { engine, host, result };
}

/**
 * Runs one turn.
 *
 * @param engine - the instance
 * @param bodies - messages
 * @param nowMs - time of the turn
 */
export function turn(engine: ReplayEngine, bodies: readonly Body[], nowMs: number, drain: Drain = 'tick'): Promise<ReplayResult> {
  return run(engine.turn({ nowMs, messages: bodies.map(message) }), drain);
}

/** Settings of a test instance. */
export type InstanceSettings = StartFields & {
  readonly instanceId?: string;
  readonly schemas?: OrchestrationSchemas;
  /** As if it came from a package that was registered with it. */
  readonly prefix?: string;
  /** Orchestrations besides the one under test. */
  readonly others?: readonly AnyOrchestration[];
  readonly drain?: Drain;
  /** False: the code has side effects on the test, so run it in one engine only. */
  readonly coldCheck?: boolean;
};

/** One live instance; each of its turns is run again in an engine that was rebuilt from history, and must give the same. */
export class TestInstance {
  readonly instanceId: string;
  readonly definitions: readonly AnyOrchestration[];
  readonly host: TestHost;
  readonly engine: ReplayEngine;
  readonly results: ReplayResult[] = [];
  /** Time of the next turn. */
  nowMs: number = T0;
  #events: readonly HistoryEvent[] = [];
  #turns = 0;
  readonly settings: InstanceSettings;

  constructor(definitions: readonly AnyOrchestration[], settings: InstanceSettings) {
    this.instanceId = settings.instanceId ?? 'i1';
    this.definitions = definitions;
    this.host = new TestHost(definitions);
    this.engine = new ReplayEngine(this.instanceId, this.host);
    this.settings = settings;
  }

  /** All committed events. */
  get events(): readonly HistoryEvent[] {
    return this.#events;
  }

  /** All committed events without envelope and stacks. */
  get bodies(): readonly Body[] {
    return toBodies(this.#events);
  }

  /** The last turn's result. */
  get last(): ReplayResult {
    const last = this.results.at(-1);
    if (last === undefined) throw new Error('there was no turn yet');
    return last;
  }

  /** Events of the last turn without envelope and stacks. */
  get lastBodies(): readonly Body[] {
    return toBodies(parseEvents(this.last.events));
  }

  /** Result value of a completed orchestration. */
  get result(): unknown {
    const { outcome } = this.last;
    if (outcome.kind !== 'completed') throw new Error(`expected a completed orchestration, got ${JSON.stringify(outcome)}`);
    return outcome.result === undefined ? undefined : (JSON.parse(outcome.result) as unknown);
  }

  /** Failure of a failed, cancelled, unregistered or faulted orchestration, without stacks. */
  get failure(): Failure {
    const { outcome } = this.last;
    if (!('failure' in outcome)) throw new Error(`expected an orchestration with a failure, got ${JSON.stringify(outcome)}`);
    return JSON.parse(withoutStacks(outcome.failure)) as Failure;
  }

  /** Delivers messages in one turn. */
  async deliver(...bodies: readonly Body[]): Promise<ReplayResult> {
    const cold = this.settings.coldCheck !== false && this.#events.length > 0 ? await this.#rebuild() : null;
    const result = await turn(this.engine, bodies, this.nowMs, this.settings.drain);
    if (cold !== null)
      expectSame('a rebuilt engine does the same turn', comparable(await turn(cold, bodies, this.nowMs)), comparable(result));
    this.results.push(result);
    if (result.outcome.kind === 'faulted' || result.outcome.kind === 'notRegistered') return result;
    this.#events = [...this.#events, ...parseEvents(result.events)];
    this.#turns = result.turns;
    if (this.settings.coldCheck !== false) {
      const rebuilt = await this.#rebuild();
      expectSame('a rebuilt engine has the same last event', rebuilt.lastEventId, this.engine.lastEventId);
      expectSame('a rebuilt engine is as usable', rebuilt.isUsable, this.engine.isUsable);
      expectSame('a rebuilt engine has the same outcome', outcomeOf(await turn(rebuilt, [], this.nowMs)), outcomeOf(result));
    }
    return result;
  }

  async #rebuild(): Promise<ReplayEngine> {
    const { engine, result } = await replayCold(this.definitions, this.#events, { instanceId: this.instanceId, turns: this.#turns });
    if (result.outcome.kind === 'faulted') throw new Error(`the history cannot be replayed: ${result.outcome.failure}`);
    return engine;
  }
}

const outcomeOf = ({ outcome }: ReplayResult): string => comparable(outcome);

/**
 * Takes envelopes and stacks off events.
 *
 * @param events - parsed events
 */
export function toBodies(events: readonly HistoryEvent[]): readonly Body[] {
  return events.map((event) => {
    const { id: _, atMs: __, ...fields } = JSON.parse(withoutStacks(JSON.stringify(event))) as Body;
    return fields;
  });
}

function expectSame(rule: string, got: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(got, wanted)) throw new Error(`Expected that ${rule}:\n${String(wanted)}\nbut it gave\n${String(got)}`);
}

/**
 * Starts an orchestration named `test` and runs its first turn.
 *
 * @param handler - its code
 * @param settings - fields of the start message and of the harness
 */
export async function begin<Input = unknown>(handler: Handler<Input>, settings: InstanceSettings = {}): Promise<TestInstance> {
  const { instanceId: _, others: extra = [], drain: __, coldCheck: ___, schemas, prefix, ...fields } = settings;
  const definition = orchestration('test', handler, settings.version, schemas);
  const instance = new TestInstance([prefix === undefined ? definition : { ...definition, prefix }, ...extra], settings);
  await instance.deliver(start(fields));
  return instance;
}

/**
 * Gives the error of a faulted turn.
 *
 * @param result - of the turn
 */
export function faultOf({ outcome }: ReplayResult): Failure {
  if (outcome.kind !== 'faulted') throw new Error(`expected a fault, got ${JSON.stringify(outcome)}`);
  return JSON.parse(outcome.failure) as Failure;
}

/**
 * Gives the start of the next execution.
 *
 * @param result - of the turn that continued as new
 */
export function nextStart({ outcome }: ReplayResult): Body {
  if (outcome.kind !== 'continuedAsNew') throw new Error(`expected continue-as-new, got ${JSON.stringify(outcome)}`);
  return JSON.parse(outcome.payload) as Body;
}

/**
 * Runs the first turn of the next execution.
 *
 * @param before - an instance that continued as new
 */
export async function beginNext(before: TestInstance): Promise<TestInstance> {
  const next = new TestInstance(before.definitions, before.settings);
  next.nowMs = before.nowMs;
  await next.deliver(nextStart(before.last));
  return next;
}

// --- the world ---------------------------------------------------------------------------------------------------------------

/** Picks one of `bound` possibilities; 0 is always the one that leads to the end. */
export type Choose = (bound: number) => number;

/** How the world runs. */
export type WorldSettings = {
  readonly definitions: readonly AnyOrchestration[];
  readonly root: StartFields & { readonly instanceId: string };
  readonly choose: Choose;
  /** What an activity returns or fails with. */
  readonly answer: (activity: AskedActivity) => Answer;
  /** Whether the engine lives on between turns, or is rebuilt from history before each; a chooser of its own decides turn by turn. */
  readonly engines: 'sticky' | 'cold' | Choose;
  /** `advancing`: it also steps back at times. `frozen`: all turns happen at the same time, so that batches can be split without changing event times. */
  readonly clock: 'frozen' | 'advancing';
  /** True: also duplicates, completions of closed decisions and of other executions, spare external events, cancel requests. */
  readonly noise: boolean;
};

/** Outcome of an activity. */
export type Answer =
  { readonly ok: true; readonly value?: unknown } | { readonly ok: false; readonly failure: Failure; readonly heartbeat?: unknown };

/** An activity as its thread sees it. */
export type AskedActivity = { readonly name: string; readonly input: unknown; readonly attempt: number };

/** One turn as it happened. */
export type TurnLog = { readonly nowMs: number; readonly messages: readonly string[]; readonly result: ReplayResult };

/** One execution as it happened. */
export type ExecutionLog = { readonly instanceId: string; readonly executionId: number; readonly turns: readonly TurnLog[] };

/** What happened in the world; `faults` are broken rules that the world saw. */
export type WorldLog = {
  readonly executions: readonly ExecutionLog[];
  readonly faults: readonly string[];
  readonly moves: number;
  /** Instances that their parent's end has terminated: their last execution has no end. */
  readonly terminated: ReadonlySet<string>;
};

/** Moves after which the world asks the root to cancel, and after which it gives up. */
const PATIENCE = 400;
const LIMIT = 2_000;

type Spent = { readonly executionId: number; readonly eventId: number; readonly kind: 'activity' | 'timer' | 'child'; isClosed: boolean };

type Actor = {
  readonly instanceId: string;
  executionId: number;
  turns: TurnLog[];
  engine: ReplayEngine | null;
  readonly host: TestHost;
  queue: string[];
  readonly activities: Map<number, ScheduledActivity>;
  readonly timers: Map<number, ScheduledTimer>;
  /** Every activity, timer and child that was ever asked for: whoever delivers at least once may bring its completion again. */
  readonly spent: Spent[];
  readonly awaited: string[];
  readonly subscriptions: Set<string>;
  isEnded: boolean;
};

/** The outside of a tree of instances: queues, activities, timers, external events, and answers between parents and children. */
export class World {
  readonly #settings: WorldSettings;
  readonly #actors = new Map<string, Actor>();
  readonly #executions: ExecutionLog[] = [];
  readonly #faults: string[] = [];
  readonly #terminated = new Set<string>();
  #nowMs = T0;
  #raised = 0;

  constructor(settings: WorldSettings) {
    this.#settings = settings;
  }

  /**
   * Plays until nothing is left to do.
   *
   * @returns steps whose result is the log of all executions
   */
  *play(): Steps<WorldLog> {
    const { instanceId, ...fields } = this.#settings.root;
    this.#create(instanceId, JSON.stringify(start(fields)));
    let moves = 0;
    for (; moves < LIMIT; moves += 1) {
      // Clocks of real machines go back at times.
      if (this.#settings.clock === 'advancing') this.#nowMs += [0, 1, 2, 1_000, -3, -2_000][this.#settings.choose(6)] ?? 0;
      if (moves === PATIENCE) this.#post(instanceId, cancelRequested('out of patience'));
      const possible = this.#possibleMoves();
      if (possible.length === 0) break;
      const move = possible[this.#settings.choose(possible.length)];
      if (move !== undefined) yield* move();
    }
    if (moves === LIMIT) this.#faults.push(`no end after ${LIMIT} moves`);
    for (const actor of this.#actors.values()) if (!actor.isEnded) this.#faults.push(`${actor.instanceId} did not end`);
    // Whoever was terminated before its first turn has no history.
    const executions = this.#executions.filter(({ turns }) => turns.length > 0);
    return { executions, faults: this.#faults, moves, terminated: this.#terminated };
  }

  #create(instanceId: string, payload: string): void {
    const actor: Actor = {
      instanceId,
      executionId: 0,
      turns: [],
      engine: null,
      host: new TestHost(this.#settings.definitions),
      queue: [],
      activities: new Map(),
      timers: new Map(),
      spent: [],
      awaited: [],
      subscriptions: new Set(),
      isEnded: false,
    };
    this.#actors.set(instanceId, actor);
    this.#nextExecution(actor, payload);
  }

  #nextExecution(actor: Actor, payload: string): void {
    actor.executionId += 1;
    actor.turns = [];
    actor.engine = null;
    actor.awaited.length = 0;
    actor.queue.unshift(payload);
    this.#executions.push({ instanceId: actor.instanceId, executionId: actor.executionId, turns: actor.turns });
  }

  /** Everything that could happen next; progress comes first. */
  #possibleMoves(): (() => Steps<void>)[] {
    const live = [...this.#actors.values()].filter((actor) => !actor.isEnded);
    const moves = live.filter(({ queue }) => queue.length > 0).map((actor) => () => this.#turn(actor));
    for (const actor of live) {
      for (const activity of actor.activities.values()) moves.push(() => this.#finishActivity(actor, activity));
      for (const timer of actor.timers.values()) moves.push(() => this.#fire(actor, timer));
    }
    // An event for each name that code has asked for keeps instances from waiting for ever.
    const waiting = moves.length === 0 || this.#settings.noise ? live.filter(({ awaited }) => awaited.length > 0) : [];
    waiting.forEach((_, index) => moves.push(() => this.#raise(waiting[(index + this.#raised) % waiting.length])));
    if (this.#settings.noise && moves.length > 0) for (const actor of live) moves.push(() => this.#disturb(actor));
    return moves;
  }

  *#turn(actor: Actor): Steps<void> {
    const { choose, engines, clock } = this.#settings;
    const count = 1 + choose(actor.queue.length);
    const messages = actor.queue.slice(0, count);
    if (engines === 'cold' || (typeof engines === 'function' && engines(2) === 1)) actor.engine = null;
    if (actor.engine === null) {
      actor.engine = new ReplayEngine(actor.instanceId, actor.host);
      const events = actor.turns.flatMap(({ result }) => parseEvents(result.events));
      if (events.length > 0) yield* actor.engine.replay(validateHistory(events), actor.turns.length);
    }
    const nowMs = clock === 'frozen' ? T0 : this.#nowMs;
    const result = yield* actor.engine.turn({ nowMs, messages: messages.map(parseMessage) });
    actor.queue = actor.queue.slice(result.outcome.kind === 'continuedAsNew' ? result.consumedMessages : count);
    actor.turns.push({ nowMs, messages, result });
    this.#commit(actor, result);
  }

  #commit(actor: Actor, result: ReplayResult): void {
    for (const fault of actor.host.faults.splice(0)) this.#faults.push(`${actor.instanceId}: ${fault.failure.message}`);
    for (const activity of result.activities) actor.activities.set(activity.eventId, activity);
    for (const timer of result.timers) actor.timers.set(timer.eventId, timer);
    for (const eventId of result.cancelledActivities) actor.activities.delete(eventId);
    for (const eventId of result.cancelledTimers) actor.timers.delete(eventId);
    for (const event of parseEvents(result.events)) noteEvent(actor, event);
    for (const started of result.starts) {
      if (!this.#actors.has(started.instanceId)) this.#create(started.instanceId, started.payload);
      else if (started.conflictPayload !== null) actor.queue.push(started.conflictPayload);
    }
    for (const { instanceId, payload } of result.messages) this.#enqueue(instanceId, payload);
    if (result.effects !== null) this.#spread(actor, result.effects);
    this.#conclude(actor, result);
  }

  /** What a turn asks of others besides messages. */
  #spread({ subscriptions: own }: Actor, { subscriptions, publications, terminations }: TurnEffects): void {
    for (const { pattern, subscribed } of subscriptions) {
      if (subscribed) own.add(pattern);
      else own.delete(pattern);
    }
    for (const { topic, payload } of publications) {
      for (const { instanceId, subscriptions: others } of this.#actors.values()) {
        if ([...others].some((pattern) => matchesTopic(pattern, topic))) this.#enqueue(instanceId, payload);
      }
    }
    for (const { instanceId } of terminations) {
      const child = this.#actors.get(instanceId);
      if (child === undefined || child.isEnded) continue;
      child.isEnded = true;
      this.#terminated.add(instanceId);
    }
  }

  #conclude(actor: Actor, { outcome }: ReplayResult): void {
    if (outcome.kind === 'waiting') return;
    const left = actor.activities.size + actor.timers.size;
    if (left > 0) this.#faults.push(`${actor.instanceId} ended with ${left} open activities and timers`);
    if (outcome.kind === 'faulted' || outcome.kind === 'notRegistered') this.#faults.push(`${actor.instanceId}: ${outcome.failure}`);
    if (outcome.kind === 'continuedAsNew') this.#nextExecution(actor, outcome.payload);
    else actor.isEnded = true;
  }

  *#finishActivity(actor: Actor, { eventId, name, input, routing }: ScheduledActivity): Steps<void> {
    actor.activities.delete(eventId);
    const { attempt } = JSON.parse(routing?.extras ?? '{"attempt":1}') as ActivityExtras;
    const answer = this.#settings.answer({ name, input: input === undefined ? undefined : (JSON.parse(input) as unknown), attempt });
    this.#post(
      actor.instanceId,
      answer.ok
        ? activityCompleted(eventId, answer.value, actor.executionId)
        : activityFailed(eventId, answer.failure, actor.executionId, answer.heartbeat),
    );
  }

  *#fire(actor: Actor, { eventId, fireAtMs, payload }: ScheduledTimer): Steps<void> {
    actor.timers.delete(eventId);
    // A store may find a timer due a moment before this thread's clock says so.
    this.#nowMs = Math.max(this.#nowMs, fireAtMs - 1);
    this.#enqueue(actor.instanceId, payload);
  }

  *#raise(actor: Actor | undefined): Steps<void> {
    this.#raised += 1;
    const name = actor?.awaited[this.#raised % actor.awaited.length];
    if (actor !== undefined && name !== undefined) this.#post(actor.instanceId, eventFor(name, this.#raised));
  }

  /** Something that a store that delivers at least once, or a client, may do at any time. */
  *#disturb(actor: Actor): Steps<void> {
    const { choose } = this.#settings;
    const old = actor.spent[choose(Math.max(1, actor.spent.length))];
    const what = choose(10);
    // Few keys: the same one comes again.
    if (what === 9) this.#post(actor.instanceId, eventRaised(choose(2) === 0 ? 'go' : 'stop', { spare: choose(9) }, `key ${choose(4)}`));
    else if (what === 8)
      this.#post(actor.instanceId, topicReceived(choose(2) === 0 ? 'orders/eu' : 'users', choose(9), `key ${choose(4)}`));
    else if (what === 7) {
      if (choose(4) === 3) this.#post(actor.instanceId, cancelRequested(`noise ${choose(3)}`));
    } else if (what === 6) this.#post(actor.instanceId, eventRaised(choose(2) === 0 ? 'go' : 'stop', { spare: choose(9) }));
    else if (what === 5) this.#post(actor.instanceId, start({ name: 'other', input: 'duplicate' }));
    else if (old !== undefined && what === 4) this.#post(actor.instanceId, duplicateOf(old, old.executionId + 10, choose(2) === 0));
    else if (old !== undefined && isAnswered(actor, old)) this.#post(actor.instanceId, duplicateOf(old, old.executionId, what % 2 === 0));
  }

  #post(instanceId: string, fields: Body): void {
    this.#enqueue(instanceId, JSON.stringify(fields));
  }

  #enqueue(instanceId: string, payload: string): void {
    const actor = this.#actors.get(instanceId);
    if (actor === undefined) this.#faults.push(`a message goes to '${instanceId}', which does not exist`);
    else if (!actor.isEnded) actor.queue.push(payload);
  }
}

/** An event for a wait: a wait for a topic is one for an event of a name of our own. */
function eventFor(name: string, data: unknown): Body {
  if (!name.startsWith(TOPIC_MAILBOX_PREFIX)) return eventRaised(name, data);
  return topicReceived(name.slice(TOPIC_MAILBOX_PREFIX.length).replaceAll('**', 'x/y').replaceAll('*', 'z'), data);
}

function noteEvent(actor: Actor, event: HistoryEvent): void {
  const { executionId, spent } = actor;
  if (event.kind === 'EventAwaited') actor.awaited.push(event.name);
  if (event.kind === 'ActivityScheduled') spent.push({ executionId, eventId: event.id, kind: 'activity', isClosed: false });
  if (event.kind === 'TimerCreated') spent.push({ executionId, eventId: event.id, kind: 'timer', isClosed: false });
  if (event.kind === 'SubOrchestrationScheduled') spent.push({ executionId, eventId: event.id, kind: 'child', isClosed: false });
  if (!('sourceId' in event)) return;
  const source = spent.find((entry) => entry.executionId === executionId && entry.eventId === event.sourceId);
  if (source !== undefined) source.isClosed = true;
}

/** A second answer may come once the first is on its way; that of a child is known only when it has arrived. */
function isAnswered(actor: Actor, old: Spent): boolean {
  if (old.isClosed || old.executionId !== actor.executionId) return true;
  return old.kind !== 'child' && !actor.activities.has(old.eventId) && !actor.timers.has(old.eventId);
}

function duplicateOf(old: Spent, executionId: number, ok: boolean): Body {
  switch (old.kind) {
    case 'activity':
      return ok ? activityCompleted(old.eventId, 'duplicate', executionId) : activityFailed(old.eventId, 'duplicate', executionId);
    case 'timer':
      return timerFired(old.eventId, executionId);
    case 'child':
      return ok ? childCompleted(old.eventId, 'duplicate', executionId) : childFailed(old.eventId, 'duplicate', executionId);
  }
}

/**
 * Joins an execution's turns to its history.
 *
 * @param execution - from the world's log
 */
export function historyOf(execution: ExecutionLog): readonly HistoryEvent[] {
  return execution.turns.flatMap(({ result }) => parseEvents(result.events));
}
