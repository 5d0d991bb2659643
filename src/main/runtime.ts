// The runtime: builds pools and dispatchers, starts and stops them in order. The only file that joins threads and provider.
//
// States: starting → running → stopping → stopped; a failed start ends in stopped. No way back: start a new runtime.
import type { ActivityControl, ReplayControl } from '../threads/control.ts';
import { ActivityLoop } from '../threads/activity-loop.ts';
import { readLoopTime } from '../threads/loop-time.ts';
import { ReplayLoop } from '../threads/replay-loop.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import type { RegisteredName } from '../threads/registry.ts';
import type { Provider, StoreStats } from '../provider/provider.ts';
import { systemClock } from '../provider/system-clock.ts';
import { withDeadline } from '../provider/deadline.ts';
import { instrumented } from '../provider/instrumented.ts';
import { makeOptionError, readOptions } from '../types/arguments.ts';
import { OptionError } from '../types/errors.ts';
import { assertNodeVersion } from '../types/node-version.ts';
import { show } from '../types/show.ts';
import { makeActivityHost } from '../threads/activity-host.ts';
import { ActivityDispatcher } from './activity-dispatcher.ts';
import { AutoTuner } from './auto-tuner.ts';
import { Metrics, type MetricSeries } from './metrics.ts';
import { clockOfThreads, resolveRuntimeOptions, type ResolvedRuntimeOptions, type RuntimeOptions } from './options.ts';
import { OrchestrationDispatcher, type EndedActivities } from './orchestration-dispatcher.ts';
import { LoopDelay } from './loop-delay.ts';
import { lookAtThread, NO_ACTIVITIES, NO_TURNS, subtractStore, toStats, type Look } from './runtime-figures.ts';
import { RetentionSweeper } from './retention.ts';
import { RuntimeReporter } from './runtime-report.ts';
import type { AutoTuneStats, RuntimeState, RuntimeStats } from '../client/runtime-stats.ts';
import { recordStats } from './stats-metrics.ts';
import { StatsWindow } from './stats-window.ts';
import { SystemDispatcher } from './system-dispatcher.ts';

/** How a runtime stops. */
export type ShutdownOptions = {
  /**
   * How long running turns and activities may finish, in milliseconds. What is not done by then is aborted and given back to the store, where
   * another runtime takes it. 0: at once. @default 10000
   */
  readonly timeoutMs?: number;
};

const SHUTDOWN_MS = 10_000;
const NOT_TUNED: AutoTuneStats = { isOn: false, raised: 0, takenBack: 0, lowered: 0 };

/** Runs orchestrations and activities of a store until it is shut down. */
export class Runtime {
  readonly #options: ResolvedRuntimeOptions;
  readonly #replay: { readonly pool: ThreadPool<ReplayControl>; readonly dispatcher: OrchestrationDispatcher } | null;
  readonly #work: ReturnType<typeof makeActivities> | null;
  readonly #metrics: Metrics;
  readonly #system: SystemDispatcher;
  readonly #reporter: RuntimeReporter;
  /** As it was given, for its figures. */
  readonly #store: Pick<Provider, 'stats'>;
  readonly #storeAtStart: StoreStats | null;
  readonly #loopDelay = new LoopDelay();
  readonly #window: StatsWindow<Look>;
  /** Apart, so that a report does not shorten the window of who looks. */
  readonly #reported: StatsWindow<Look>;
  /** null: nothing is deleted. */
  readonly #sweeper: RetentionSweeper | null;
  /** null: the limits stay as they are. */
  readonly #tuner: AutoTuner | null;
  #state: RuntimeState = 'starting';
  #stopping: Promise<void> | null = null;

  private constructor(given: ResolvedRuntimeOptions) {
    this.#metrics = new Metrics(given.metrics);
    const patient = withDeadline(given.provider, {
      clock: given.clock,
      timeoutMs: given.storeTimeoutMs,
      onLateFailure: (error) =>
        given.logger.warn({ err: error }, 'items of a fetch that was answered too late wait for the end of their lease'),
    });
    const provider = instrumented(patient, (kind, name, labels) => this.#metrics.series(kind, name, labels));
    const { clock, logger, retention } = given;
    this.#sweeper = retention === null ? null : new RetentionSweeper({ provider, clock, logger, retention });
    const options = { ...given, provider: this.#sweeper === null ? provider : this.#sweeper.watch(provider) };
    this.#options = options;
    this.#system = new SystemDispatcher(options);
    this.#reporter = new RuntimeReporter(options, () => this.#show(this.#reported));
    this.#work =
      options.activities.length === 0
        ? null
        : makeActivities(
            options,
            this.#metrics,
            this.#reporter.runtimeId,
            (ended) => this.#replay?.dispatcher.computeAhead(ended) ?? ended,
          );
    this.#replay =
      options.orchestrations.length === 0
        ? null
        : makeOrchestrations(options, this.#metrics, this.#reporter.runtimeId, (instanceId, executionId, eventIds) =>
            this.#work?.dispatcher.cancel(instanceId, executionId, eventIds),
          );
    this.#store = given.provider;
    this.#storeAtStart = this.#readProvider();
    this.#window = new StatsWindow(() => this.#look());
    this.#reported = new StatsWindow(() => this.#look());
    this.#tuner = this.#makeTuner();
  }

  /**
   * Starts a runtime: starts its threads, loads the modules in them, and begins to fetch. It keeps the process alive until `shutdown`.
   *
   * @param options - the store, the modules, the threads
   * @returns the running runtime
   * @throws {OptionError} for an option outside its range
   * @throws {DefinitionError} when a module cannot be loaded: names file and export
   * @throws {DurableError} `NODE_TOO_OLD`
   * @throws {ProviderError} when the store is closed, cannot be read or does not answer within `storeTimeoutMs`
   */
  static async start(options: RuntimeOptions): Promise<Runtime> {
    assertNodeVersion(process.versions.node);
    const runtime = new Runtime(resolveRuntimeOptions(options));
    // A store that cannot be read at all, or does not answer, is found before any thread starts.
    await runtime.#options.provider.readInstances([]);
    try {
      await Promise.all([runtime.#replay?.pool.start(), runtime.#work?.pool.start()]);
    } catch (error) {
      runtime.#state = 'stopped';
      await Promise.all([runtime.#replay?.pool.close(), runtime.#work?.pool.close()]);
      throw error;
    }
    runtime.#state = 'running';
    // Simulated time does not wait for real timers.
    if (runtime.#options.clock === systemClock) runtime.#loopDelay.start();
    runtime.#replay?.dispatcher.start();
    runtime.#work?.dispatcher.start();
    runtime.#system.start();
    runtime.#tuner?.start();
    runtime.#sweeper?.start(runtime.orchestrations.map(({ name }) => name));
    await runtime.#reporter.start(runtime);
    return runtime;
  }

  get state(): RuntimeState {
    return this.#state;
  }

  /** Names this life of the runtime in `client.listRuntimes()`. */
  get runtimeId(): string {
    return this.#reporter.runtimeId;
  }

  /** Name of the node, from the option `nodeId`. */
  get nodeId(): string {
    return this.#options.nodeId;
  }

  /** Names and versions of the orchestrations that this runtime runs. */
  get orchestrations(): readonly RegisteredName[] {
    return this.#replay?.pool.names ?? [];
  }

  /** Names of the activities that this runtime runs. */
  get activities(): readonly RegisteredName[] {
    return this.#work?.pool.names ?? [];
  }

  /** Figures of this moment and of the last second or more, to see what a runtime is busy with. See docs/tuning.md. */
  stats(): RuntimeStats {
    return this.#show(this.#window);
  }

  #show(window: StatsWindow<Look>): RuntimeStats {
    const { turnsPerThread, activitiesPerThread } = this.#tuner?.limits ?? this.#options;
    return toStats(window.read(), {
      state: this.#state,
      limits: { turnsPerThread, activitiesPerThread },
      autoTune: this.#tuner?.stats ?? NOT_TUNED,
    });
  }

  /** Measurements since the start of this runtime: its own and those of `ctx.metrics`. See docs/metrics.md for the list. */
  metrics(): readonly MetricSeries[] {
    // What has stopped does nothing any more, whatever others do with its store.
    if (this.#state !== 'stopped') this.#recordFigures();
    return this.#metrics.show();
  }

  #recordFigures(): void {
    recordStats(this.#metrics, this.stats());
    this.#metrics.series('counter', 'duraloom_logger_failures_total', {}).raiseTo(this.#options.logger.failures());
  }

  #makeTuner(): AutoTuner | null {
    const { autoTune: options, clock, turnsPerThread, activitiesPerThread } = this.#options;
    if (options === null) return null;
    return new AutoTuner({
      options,
      clock,
      limits: { turnsPerThread, activitiesPerThread },
      look: () => this.#look(),
      apply: (limits) => {
        this.#replay?.dispatcher.setLimit(limits.turnsPerThread);
        this.#work?.dispatcher.setLimit(limits.activitiesPerThread);
      },
    });
  }

  #look(): Look {
    const { dispatcher: orchestrations, pool: replay } = this.#replay ?? {};
    const { dispatcher: activities, pool: work } = this.#work ?? {};
    const { clock, replayThreads, activityThreads } = this.#options;
    // Node's measure of idleness is real time.
    const mainLoop = clock === systemClock ? readLoopTime('here') : { idle: 0, active: 0 };
    return {
      atMs: clock.monotonicMs(),
      turns: orchestrations?.stats ?? NO_TURNS,
      activities: activities?.stats ?? NO_ACTIVITIES,
      replayThreads: (replay?.figures() ?? []).map((thread) =>
        lookAtThread(replayThreads === 0 ? { ...thread, loop: mainLoop } : thread, orchestrations?.inFlightOf(thread.index) ?? 0),
      ),
      activityThreads: (work?.figures() ?? []).map((thread) =>
        lookAtThread(activityThreads === 0 ? { ...thread, loop: mainLoop } : thread, activities?.inFlightOf(thread.index) ?? 0),
      ),
      mainLoop,
      mainDelays: this.#loopDelay.read(),
      store: this.#readStore(),
    };
  }

  /** Since the start of this runtime: others may have used the provider before. */
  #readStore(): StoreStats | null {
    const stats = this.#readProvider();
    return stats === null || this.#storeAtStart === null ? stats : subtractStore(stats, this.#storeAtStart);
  }

  /** A provider of somebody else that fails here is none that cannot run. */
  #readProvider(): StoreStats | null {
    try {
      return this.#store.stats?.() ?? null;
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'the store has no figures');
      return null;
    }
  }

  /**
   * Ends one thread as a crash would, to see that nothing is lost by it: what it ran is given back, another thread takes its place. Inline
   * (`replayThreads: 0`) the loop is dropped with its live engines, and the activities that it ran go on without being heard.
   *
   * @param thread - which kind, and which of them, from 0
   * @returns false when there is none, or it is just being started
   * @throws {OptionError} for another kind
   */
  crashThread(thread: { readonly kind: 'replay' | 'activity'; readonly index?: number }): boolean {
    const { kind, index = 0 } = readOptions(thread, 'the thread', { kind: true, index: true }, makeOptionError);
    if (kind !== 'replay' && kind !== 'activity')
      throw new OptionError(`Expected \`kind\` to be 'replay' or 'activity', got ${show(kind)}`);
    return (kind === 'replay' ? this.#replay : this.#work)?.pool.crash(index) ?? false;
  }

  /**
   * Stops: fetches nothing more, lets what runs finish and commit (leases are renewed meanwhile), gives back the rest, ends the threads.
   * Returns as soon as all is done. The provider stays open. Idempotent: later calls wait for the first.
   *
   * @param options - how long to wait
   * @throws {OptionError} for a negative or endless timeout
   */
  async shutdown(options?: ShutdownOptions): Promise<void> {
    const { timeoutMs = SHUTDOWN_MS } = readOptions(options, 'the options of a shutdown', { timeoutMs: true }, makeOptionError);
    if (!(typeof timeoutMs === 'number' && timeoutMs >= 0 && timeoutMs <= 3_600_000)) {
      throw new OptionError(`Expected \`timeoutMs\` to be milliseconds from 0 to 3600000, got ${show(timeoutMs)}`);
    }
    this.#stopping ??= this.#shutdown(timeoutMs);
    await this.#stopping;
  }

  async #shutdown(timeoutMs: number): Promise<void> {
    this.#state = 'stopping';
    this.#loopDelay.stop();
    this.#tuner?.stop();
    const swept = this.#sweeper?.stop();
    const dispatchers = [this.#replay?.dispatcher, this.#work?.dispatcher, this.#system].filter((dispatcher) => dispatcher !== undefined);
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.stopFetching()));
    // From now on nothing is kept for this runtime: others take the next turns at once.
    const told = this.#reporter.stop();
    await this.#within(timeoutMs, Promise.all(dispatchers.map((dispatcher) => dispatcher.idle())));
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.close()));
    this.#work?.waits.abort();
    await Promise.all([this.#replay?.pool.close(), this.#work?.pool.close(), told, swept]);
    this.#recordFigures();
    this.#state = 'stopped';
  }

  /** Waits for work to be done, but no longer than the timeout. */
  async #within(timeoutMs: number, done: Promise<unknown>): Promise<void> {
    if (timeoutMs === 0) return;
    let cancel = (): void => undefined;
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#options.clock.setTimer(timeoutMs, resolve);
    });
    await Promise.race([done, timeout]);
    cancel();
  }
}

function makeOrchestrations(
  options: ResolvedRuntimeOptions,
  metrics: Metrics,
  runtimeId: string,
  cancelActivities: (instanceId: string, executionId: number, eventIds: readonly number[]) => void,
): { readonly pool: ThreadPool<ReplayControl>; readonly dispatcher: OrchestrationDispatcher } {
  const dispatcher = new OrchestrationDispatcher({
    options,
    metrics,
    runtimeId,
    cancelActivities,
    names: () => pool.names,
    terminate: (slot) => pool.terminate(slot),
  });
  const {
    orchestrations: sources,
    replayThreads: threads,
    replayThreadMemoryMb: memoryMb,
    replayCheckRate: checkRate,
    versionPolicy,
    logLevel,
  } = options;
  const limit = options.stickyCacheMb * 1024 * 1024;
  const traceRatio = options.traces?.sampleRatio ?? null;
  const clock = clockOfThreads(options, threads);
  const pool = new ThreadPool<ReplayControl>(
    { kind: 'replay', clock, threads, sources, versionPolicy, limit, checkRate, logLevel, traceRatio, memoryMb, activities: null },
    dispatcher,
    (parts) => new ReplayLoop({ ...parts, cacheBytes: limit, checkRate, logLevel, traceRatio }),
  );
  return { pool, dispatcher };
}

function makeActivities(
  options: ResolvedRuntimeOptions,
  metrics: Metrics,
  runtimeId: string,
  computeAhead: (ended: readonly EndedActivities[]) => readonly EndedActivities[],
): {
  readonly pool: ThreadPool<ActivityControl>;
  readonly dispatcher: ActivityDispatcher;
  readonly waits: AbortController;
} {
  const dispatcher = new ActivityDispatcher({
    options,
    metrics,
    runtimeId,
    computeAhead,
    names: () => pool.names,
    terminate: (slot) => pool.terminate(slot),
  });
  const waits = new AbortController();
  const host = makeActivityHost(options.provider, waits.signal);
  const storeName = options.provider.name;
  const {
    activities: sources,
    activityThreads: threads,
    activityThreadMemoryMb: memoryMb,
    versionPolicy,
    activitiesPerThread: limit,
    activityGraceMs: graceMs,
    logLevel,
  } = options;
  const clock = clockOfThreads(options, threads);
  const pool = new ThreadPool<ActivityControl>(
    {
      kind: 'activity',
      clock,
      threads,
      sources,
      versionPolicy,
      limit,
      checkRate: 0,
      logLevel,
      traceRatio: null,
      memoryMb,
      activities: { host, storeName, graceMs },
    },
    dispatcher,
    (parts) => new ActivityLoop({ ...parts, slots: limit, host, storeName, graceMs, logLevel }),
  );
  return { pool, dispatcher, waits };
}
