// The `ctx` that orchestration code gets: checks arguments, encodes payloads, and calls the engine. Neighbour: types/context.ts (the contract).
import { encodePayload } from '../types/codec.ts';
import type {
  ActivityProxy,
  ContinueAsNewOptions,
  DurableFuture,
  FutureGroup,
  GroupResults,
  GroupSettled,
  GroupWinner,
  OrchestrationContext,
  ReplaySafeLog,
  SubOrchestrationOptions,
} from '../types/context.ts';
import type { ActivityDefinition, OrchestrationDefinition } from '../types/definition.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { ArgumentError } from '../types/errors.ts';
import { MAX_CUSTOM_STATUS_BYTES } from '../types/limits.ts';
import type { LogLevel } from '../types/logger.ts';
import { assertInstanceId, assertName } from '../types/names.ts';
import { combine, type CombinatorKind } from './combinators.ts';
import type { ReplayEngine } from './replay-engine.ts';

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
        engine.log({ level, message, fields });
    this.log = { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') };
  }

  get isReplaying(): boolean {
    return this.#engine.isReplaying;
  }

  get isCancellationRequested(): boolean {
    return this.#engine.isCancellationRequested;
  }

  scheduleActivity<Output>(activity: ActivityDefinition | string, input?: unknown): DurableFuture<Output> {
    const name = nameOf(activity, 'activity');
    return this.#engine.scheduleActivity(name, encodePayload(input, `input of activity '${name}'`)).as<Output>();
  }

  activities<Module>(): ActivityProxy<Module> {
    const schedule = (name: string, input: unknown): DurableFuture<unknown> => this.scheduleActivity(name, input);
    return new Proxy<object>(Object.freeze({}), {
      get: (_, name) => {
        // `then` is asked for by whoever awaits the proxy by mistake; symbols by tools that print it.
        if (typeof name === 'symbol' || name === 'then') return undefined;
        return (input?: unknown) => schedule(name, input);
      },
    }) as ActivityProxy<Module>;
  }

  scheduleTimer(when: Duration | Date): DurableFuture<void> {
    const delayMs = when instanceof Object ? this.#until(when) : toMilliseconds(when, 'timer');
    return this.#engine.scheduleTimer(delayMs).as<void>();
  }

  #until(date: Date): number {
    const atMs = date.valueOf();
    if (!Number.isFinite(atMs)) throw new ArgumentError(`Expected timer to be a duration or a valid Date, got ${String(date)}`);
    return toMilliseconds(Math.max(0, atMs - this.#engine.now()), 'timer');
  }

  waitForEvent<Data>(name: string): DurableFuture<Data> {
    return this.#engine.waitForEvent(assertName(name, 'event name')).as<Data>();
  }

  scheduleSubOrchestration<Output>(
    orchestration: OrchestrationDefinition | string,
    input?: unknown,
    options: SubOrchestrationOptions = {},
  ): DurableFuture<Output> {
    const name = nameOf(orchestration, 'orchestration');
    const { instanceId, version } = options;
    if (instanceId !== undefined) assertInstanceId(instanceId);
    const encoded = encodePayload(input, `input of sub-orchestration '${name}'`);
    return this.#engine.scheduleSubOrchestration(name, { instanceId, version, input: encoded }).as<Output>();
  }

  startOrchestration(
    orchestration: OrchestrationDefinition | string,
    instanceId: string,
    input?: unknown,
    options: { readonly version?: string } = {},
  ): void {
    const name = nameOf(orchestration, 'orchestration');
    const encoded = encodePayload(input, `input of orchestration '${name}'`);
    this.#engine.startOrchestration(name, { instanceId: assertInstanceId(instanceId), version: options.version, input: encoded });
  }

  continueAsNew(input?: unknown, options: ContinueAsNewOptions = {}): Promise<never> {
    return this.#engine.continueAsNew(encodePayload(input, 'input of continue-as-new'), options.version);
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
    return combine(kind, group).as<Result>();
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
}

function nameOf(definition: unknown, what: 'activity' | 'orchestration'): string {
  if (typeof definition === 'string') return assertName(definition, `${what} name`);
  const candidate = definition as { readonly kind?: unknown; readonly name?: unknown } | null;
  if (typeof candidate === 'object' && candidate?.kind === what && typeof candidate.name === 'string') return candidate.name;
  throw new ArgumentError(
    `Expected ${what} to be a definition made by define${what === 'activity' ? 'Activity' : 'Orchestration'} or a name`,
  );
}
