// The test runtime for users: orchestrations and activities in this process on a clock of their own that skips time. Neighbours:
// time-skipper.ts (when time passes), activity-calls.ts (what activities did), test-client.ts, test-sources.ts (code and mocks).
//
// Owns: the clock, the store, the runtime on both, and their end. Does not own: faults (faulty.ts), replay (replayer.ts).
//
// T1. Nothing here waits for real time but what the code of activities takes.
// T2. A call of an activity that does not exist makes the test pointless: every wait rejects and says so, at the latest the shutdown.
// T3. At the shutdown every instance is rebuilt from its history, in another engine: what does not follow it is an error (double replay).
import type { Client } from '../client/client.ts';
import type { InstanceHandle } from '../client/instance-handle.ts';
import type { StartOptions } from '../client/start.ts';
import type { RuntimeOptions } from '../main/options.ts';
import { Runtime } from '../main/runtime.ts';
import { MemoryProvider } from '../provider/memory/memory-provider.ts';
import type { OrchestrationAck, Provider } from '../provider/provider.ts';
import { SimulatedClock } from '../provider/simulated-clock.ts';
import type { DefinitionSource } from '../threads/registry.ts';
import type { Clock } from '../types/clock.ts';
import type { InputArguments } from '../types/context.ts';
import type { ActivityDefinition, OrchestrationDefinition } from '../types/definition.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { DurableError, OptionError } from '../types/errors.ts';
import { SYSTEM_TAG } from '../types/names.ts';
import { ActivityCalls, type ActivityCall } from './activity-calls.ts';
import type { FaultPlan } from './fault-plan.ts';
import { faulty, type FaultyProvider } from './faulty.ts';
import { checkReplay } from './replay-check.ts';
import { makeStuckError } from './stuck.ts';
import { TestClient } from './test-client.ts';
import {
  loadActivities,
  toSources,
  type ActivityInput,
  type ActivityMocks,
  type ActivityName,
  type ActivityOutput,
  type TestSources,
} from './test-sources.ts';
import { TimeSkipper, type Business } from './time-skipper.ts';
import { watchProvider } from './watched-provider.ts';

/** What a test runtime decides itself. */
type OwnOption = 'provider' | 'clock' | 'orchestrations' | 'activities' | 'replayThreads' | 'activityThreads' | 'activitiesPerThread';

/** Options that do not depend on the code. */
type Settings = Omit<RuntimeOptions, OwnOption> & {
  /** Lets the store fail for the runtime by a plan, see `faulty`. The test's client is not hit. @default no faults */
  readonly faults?: FaultPlan;
  /** Rebuild every instance from its history at the shutdown, to find code that is not deterministic. @default true */
  readonly replayCheck?: boolean;
};

/** Options of `createTestRuntime`; those of `Runtime.start` besides. */
export type TestRuntimeOptions<Activities extends TestSources> = Settings & {
  /** The orchestrations: imported modules (`import * as orchestrations`), definitions, or addresses of modules. */
  readonly orchestrations: TestSources;
  /** The activities, in the same forms. Without: only what is mocked exists. */
  readonly activities?: Activities | URL | string;
  /** What runs in the place of activities, by their names. */
  readonly mocks?: ActivityMocks<Activities>;
  /** Time at the start. @default 2030-01-01T00:00:00.000Z */
  readonly startTime?: Date | number | string;
  /** Makes the store, on the clock of the test runtime; it is closed with it. @default a MemoryProvider */
  readonly provider?: (clock: Clock) => Provider | Promise<Provider>;
};

/** Options of `start`. */
export type TestStartOptions = StartOptions & {
  /** Id of the instance. @default name of the orchestration with a number: 'checkout-1' */
  readonly instanceId?: string;
};

/** What an activity is waited for. */
export type ActivityProgress = 'started' | (ActivityCall['status'] & ('completed' | 'failed'));

/** Which calls of an activity are waited for. */
export type WaitForOptions = {
  /** How many there must be. @default 1 */
  readonly times?: number;
  /** Only those of this instance. @default all */
  readonly instanceId?: string;
};

const START_TIME = '2030-01-01T00:00:00.000Z';
/** Leases on a sound store, in milliseconds: the longest. Reason: each renewal is a stop of the clock, and no lease is ever lost. */
const LONG_LEASES = { orchestrationLockMs: 3_600_000, activityLockMs: 3_600_000, sessionLeaseMs: 3_600_000 };
/** Most activities at once. Reason: one that waits for simulated time must not keep others from starting. */
const ACTIVITIES_AT_ONCE = 100_000;
const MAX_SESSIONS = 10_000;
/** See `TimeSkipperOptions.lastLookMs`; on a store that fails, what hangs is given up and tried again. */
const LAST_LOOK_MS = { sound: 1_000, faulty: 300_000 };
/** See `TimeSkipperOptions.slowMs`. Reason: test runners give up after 5 seconds by default. */
const SLOW_MS = 3_000;

/** A runtime for tests. Made by `createTestRuntime`. */
export class TestRuntime<Activities extends TestSources = never> implements AsyncDisposable {
  /** Talks to the instances. Its waits let simulated time pass. */
  readonly client: Client;
  /** The runtime, for `stats`, `metrics` and `crashThread`. */
  readonly runtime: Runtime;
  /** The store as the runtime sees it, when it fails by a plan; null: it does not fail. */
  readonly faults: FaultyProvider | null;
  readonly #parts: Parts;
  readonly #started = new Map<string, number>();
  #ended: Promise<void> | null = null;

  /**
   * @param parts - what `createTestRuntime` has put together
   */
  constructor(parts: Parts) {
    this.#parts = parts;
    this.client = parts.client;
    this.runtime = parts.runtime;
    this.faults = parts.faults;
  }

  /** The simulated time. */
  get now(): Date {
    return new Date(this.#parts.clock.nowMs());
  }

  /**
   * Starts an orchestration under an id that is made up.
   *
   * @param orchestration - definition, or name
   * @param input - a JSON value
   * @param options - as for `Client.startOrchestration`, and the id
   * @returns a handle, for example to wait for the result
   */
  start<Input, Output>(
    orchestration: OrchestrationDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: TestStartOptions]>
  ): Promise<InstanceHandle<Output>>;
  start<Output = unknown>(orchestration: string, input?: unknown, options?: TestStartOptions): Promise<InstanceHandle<Output>>;
  start<Output>(
    orchestration: OrchestrationDefinition | string,
    input?: unknown,
    { instanceId, ...options }: TestStartOptions = {},
  ): Promise<InstanceHandle<Output>> {
    const id = instanceId ?? this.#makeId(typeof orchestration === 'string' ? orchestration : orchestration.name);
    return this.client.startOrchestration<Output>(id, orchestration as string, input, options);
  }

  /**
   * Lets time pass, stopping at every timer on the way until all that it causes is done.
   *
   * @param duration - how long; 0: only until all that can happen now has happened
   * @returns when that time has passed and nothing runs
   */
  async advance(duration: Duration): Promise<void> {
    await this.#parts.skipper.advance(toMilliseconds(duration, 'duration'));
  }

  /**
   * Lets time pass until an activity has come so far, or returns at once when it has. `completed` and `failed` are waited for until the
   * orchestration has heard of it.
   *
   * @param activity - its name
   * @param progress - how far. @default 'completed'
   * @param options - how often, and of which instance
   * @returns the call that was waited for: the last of `times`
   * @throws {StuckError} `TEST_STUCK` when it can never happen
   */
  async waitFor<Name extends ActivityName<Activities>>(
    activity: Name,
    progress: ActivityProgress = 'completed',
    { times = 1, instanceId }: WaitForOptions = {},
  ): Promise<ActivityCall<ActivityInput<Activities, Name>, ActivityOutput<Activities, Name>>> {
    if (!(Number.isSafeInteger(times) && times >= 1)) throw new OptionError(`Expected \`times\` to be a whole number from 1, got ${times}`);
    const { skipper, isCommitting } = this.#parts;
    const whose = instanceId === undefined ? '' : ` of '${instanceId}'`;
    const what = `activity '${activity}'${whose} to be ${progress}${times === 1 ? '' : ` ${times} times`}`;
    return await skipper.until(what, () => {
      if (progress !== 'started' && isCommitting()) return undefined;
      const calls = this.calls(activity).filter((call) => instanceId === undefined || call.instanceId === instanceId);
      return calls.filter(({ status }) => progress === 'started' || status === progress)[times - 1];
    });
  }

  /**
   * Lists what activities did, each attempt by itself, in the order in which they began.
   *
   * @param activity - only this one. @default all
   * @returns the calls as they are now
   */
  calls<Name extends ActivityName<Activities>>(
    activity?: Name,
  ): readonly ActivityCall<ActivityInput<Activities, Name>, ActivityOutput<Activities, Name>>[] {
    return this.#parts.calls.list(activity) as readonly ActivityCall<ActivityInput<Activities, Name>, ActivityOutput<Activities, Name>>[];
  }

  /**
   * Ends the runtime at once, whatever runs, and closes the store. Before that it rebuilds every instance from its history. Later calls wait for
   * the first.
   *
   * @throws {HistoryMismatchError} `NONDETERMINISM` when an instance does not follow its history; `diff` shows where
   * @throws {ReplayError} when several do not
   * @throws {DurableError} `ACTIVITY_NOT_REGISTERED` when an activity was called that does not exist, and no wait has said so
   */
  shutdown(): Promise<void> {
    this.#ended ??= this.#shutdown();
    return this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #shutdown(): Promise<void> {
    const { runtime, provider, skipper, faults, checkReplays } = this.#parts;
    faults?.calm();
    try {
      await checkReplays();
      if (skipper.unheardProblem !== null) throw skipper.unheardProblem;
    } finally {
      await runtime.shutdown({ timeoutMs: 0 });
      await provider.close();
    }
  }

  #makeId(name: string): string {
    const count = (this.#started.get(name) ?? 0) + 1;
    this.#started.set(name, count);
    // '::' marks the ids of children.
    return `${name.replaceAll('::', ':')}-${count}`;
  }
}

/** What a test runtime is made of. */
type Parts = {
  readonly clock: SimulatedClock;
  readonly provider: Provider;
  readonly faults: FaultyProvider | null;
  readonly runtime: Runtime;
  readonly client: Client;
  readonly calls: ActivityCalls;
  readonly skipper: TimeSkipper;
  /** Something of what has happened may not have reached its orchestration. */
  readonly isCommitting: () => boolean;
  readonly checkReplays: () => Promise<void>;
};

/**
 * Starts a runtime for a test: in this process, on a clock of its own that goes straight to the next timer whenever everything is at rest and
 * the test waits for something. End it with `shutdown()`, or declare it with `await using`.
 *
 * @param options - the code, the mocks, the start time, and what `Runtime.start` takes besides
 * @returns the running runtime
 * @throws {DefinitionError} when a module cannot be loaded or exports something else
 * @throws {OptionError} for a mock of an unknown activity, and for an option outside its range
 * @throws {ArgumentError} for faults that cannot be
 * @example
 * await using runtime = await createTestRuntime({ orchestrations, activities, mocks: { charge: () => 'receipt 1' } });
 * const handle = await runtime.start(subscription, { plan: 'gold', months: 12 });
 * expect(await handle.result()).toBe('expired'); // a year later, in milliseconds
 * expect(runtime.calls('charge')).toHaveLength(12);
 */
export async function createTestRuntime<Activities extends TestSources = never>(
  options: TestRuntimeOptions<Activities>,
): Promise<TestRuntime<Activities>> {
  const { orchestrations, activities, mocks = {}, startTime = START_TIME, provider: makeStore, ...settings } = options;
  const clock = new SimulatedClock(toStartMs(startTime));
  const code = {
    orchestrations: toSources(orchestrations, 'orchestration'),
    activities: await loadActivities(activities === undefined ? undefined : toSources(activities, 'activity'), mocks),
  };
  const store = makeStore === undefined ? new MemoryProvider({ clock }) : await makeStore(clock);
  try {
    return new TestRuntime<Activities>(await assemble(clock, store, code, settings));
  } catch (error) {
    await store.close();
    throw error;
  }
}

type Code = { readonly orchestrations: readonly DefinitionSource[]; readonly activities: readonly ActivityDefinition[] };

async function assemble(clock: SimulatedClock, store: Provider, code: Code, settings: Settings): Promise<Parts> {
  const { faults: plan, replayCheck = true, ...options } = settings;
  const calls = new ActivityCalls(clock, () => skipper.changed());
  const { provider, callsUnderWay } = watchProvider(store, {
    onQuiet: () => skipper.changed(),
    onCommit: (ack) => failOnUnknown(ack, code.activities, skipper),
  });
  const faults = plan === undefined ? null : faulty(provider, plan, { clock });
  // A turn may wait for simulated time when a fault delays its calls: it keeps no time still then.
  const isTurning = (): boolean => faults === null && runtime.stats().turnsInFlight > 0;
  // When a thread was lost with all that ran in it, nobody waits for that any more.
  const holding = (): readonly ActivityCall[] => (runtime.stats().activitiesInFlight === 0 ? [] : calls.holding);
  const business = (): Business => {
    if (callsUnderWay() > 0 || holding().length > 0) return 'real';
    return isTurning() ? 'soon' : 'none';
  };
  const skipper: TimeSkipper = new TimeSkipper({
    clock,
    business,
    progress: () => calls.changes + runtime.stats().turnsCommitted,
    lastLookMs: faults === null ? LAST_LOOK_MS.sound : LAST_LOOK_MS.faulty,
    explain: (waits) =>
      makeStuckError(client, { waits, nowMs: clock.nowMs(), orchestrations: runtime.orchestrations.map(({ name }) => name) }),
    slowMs: SLOW_MS,
    onSlow: (waits) => warnSlow(waits, holding(), clock),
  });
  const client: TestClient = new TestClient(provider, clock, skipper);
  // The start is the test's: it feels no faults.
  if (faults !== null) faults.enabled = false;
  const runtime: Runtime = await Runtime.start({
    maxSessions: MAX_SESSIONS,
    ...(faults === null && LONG_LEASES),
    tags: 'any',
    ...options,
    provider: faults ?? provider,
    clock,
    orchestrations: code.orchestrations,
    ...(code.activities.length > 0 && { activities: code.activities.map((definition) => calls.record(definition)) }),
    replayThreads: 0,
    activityThreads: 0,
    activitiesPerThread: ACTIVITIES_AT_ONCE,
  });
  if (faults !== null) faults.enabled = true;
  return {
    clock,
    provider: faults ?? provider,
    faults,
    runtime,
    client,
    calls,
    skipper,
    isCommitting: () => callsUnderWay() > 0 || isTurning(),
    checkReplays: async () => (replayCheck ? await checkReplay(client, code.orchestrations) : undefined),
  };
}

function toStartMs(startTime: Date | number | string): number {
  const ms = new Date(startTime).getTime();
  if (Number.isSafeInteger(ms)) return ms;
  throw new OptionError(
    `Expected \`startTime\` to be a Date, epoch milliseconds or text such as '${START_TIME}', got '${String(startTime)}'`,
  );
}

/** T2. */
function failOnUnknown(
  { instanceId, workItems }: OrchestrationAck,
  known: readonly { readonly name: string }[],
  skipper: TimeSkipper,
): void {
  for (const { name, routing } of workItems) {
    if (routing?.tag === SYSTEM_TAG || known.some((definition) => definition.name === name)) continue;
    const names = known.map((definition) => definition.name);
    const message = `instance '${instanceId}' has called activity '${name}', which this test runtime does not have (${names.join(', ') || 'it has none'}). Mock it: createTestRuntime({ mocks: { ${name}: async (ctx, input) => … } }), or give its module as \`activities\``;
    skipper.fail(new DurableError('ACTIVITY_NOT_REGISTERED', message));
  }
}

function warnSlow(waits: readonly string[], holding: readonly ActivityCall[], clock: SimulatedClock): void {
  const still = holding.map(({ name, instanceId }) => `'${name}' of '${instanceId}'`).join(', ');
  const why =
    still === ''
      ? `Simulated time is passing, it is ${new Date(clock.nowMs()).toISOString()}: give the wait a \`timeout\` if it may never end`
      : `Simulated time stands still because these activities run: ${still}. A mock that is to take time awaits ctx.sleep(…)`;
  const message = `a test has been waiting for ${waits.join(' and ')} for ${SLOW_MS} ms of real time. ${why}`;
  process.emitWarning(message, { code: 'DURALOOM_TEST_SLOW', type: 'DuraloomWarning' });
}
