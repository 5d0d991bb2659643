// Options of a runtime: their meaning, defaults, and the check that turns them into resolved ones. Inside, only resolved options exist.
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { RuntimeTags } from '../client/runtime-info.ts';
import type { Provider, TagFilter } from '../provider/provider.ts';
import { systemClock } from '../provider/system-clock.ts';
import { readSource, type DefinitionSource } from '../threads/registry.ts';
import { assertVersionPolicy, type VersionPolicy } from '../threads/versions.ts';
import { assertKnownOptions, hasMethods, makeOptionError, readArray, readOptions, type FieldNames } from '../types/arguments.ts';
import { isClock, type Clock } from '../types/clock.ts';
import { OptionError } from '../types/errors.ts';
import { MAX_NAME_LENGTH } from '../types/limits.ts';
import { type Logger, type LogThreshold } from '../types/logger.ts';
import { show } from '../types/show.ts';
import type { TraceSink } from '../types/trace.ts';
import type { AutoTuneOptions } from './auto-tuner.ts';
import type { MetricsSink } from './metrics.ts';
import type { Retention } from './retention.ts';
import { readRetention, type RetentionOptions } from './retention-options.ts';
import type { ReplayMismatch } from './replay-checks.ts';
import { checkLogLevel, makeRuntimeLogger, type RuntimeLogger } from './runtime-logger.ts';

type Backoff = { readonly initialMs: number; readonly maximumMs: number };

/** Options of `Runtime.start`. */
export type RuntimeOptions = {
  /** The store. It stays open when the runtime stops; close it yourself. */
  readonly provider: Provider;
  /**
   * Modules of orchestrations: `new URL('./orchestrations.ts', import.meta.url)`, one or many, with names of their own by `withPrefix`. With
   * `replayThreads: 0` also definitions. Without: this runtime runs no orchestrations.
   */
  readonly orchestrations?: DefinitionSource | readonly DefinitionSource[];
  /** Modules of activities, as above. Without: this runtime runs no activities. */
  readonly activities?: DefinitionSource | readonly DefinitionSource[];
  /** Threads that replay orchestrations; 0: in this thread, where definitions may be closures. Range: 0 to 256. @default 1 */
  readonly replayThreads?: number;
  /** Threads that run activities; 0: in this thread. Range: 0 to 256. @default the number of cores minus one, at least 1 */
  readonly activityThreads?: number;
  /** Activities that run at once on one thread. Range: 1 to 100,000. @default 64 */
  readonly activitiesPerThread?: number;
  /**
   * Turns that are fetched, replayed or committed at once, for each replay thread. Range: 1 to 10,000. @default 128, with a store over a network 1024
   */
  readonly turnsPerThread?: number;
  /** Memory for instances that stay alive between turns, for each replay thread, in MiB. Range: 0 to 65,536. @default 64 */
  readonly stickyCacheMb?: number;
  /**
   * How long the next turn of an instance that had its last one here is kept for this runtime before others on the same store may take it, in
   * milliseconds. For stores of fleets (PostgreSQL): the instance may still be in memory here, and others would replay it from its history.
   * When this runtime shuts down or dies, others need not wait. Range: 0 to 60,000. @default 200
   */
  readonly stickyTakeoverMs?: number;
  /**
   * Moves `turnsPerThread` and `activitiesPerThread` while the runtime runs, from where they are: up when work waits, its threads have time and more at
   * once pays off; down when the event loop of the host is late. true: within the default bounds. See docs/tuning.md for what it gains. @default false
   */
  readonly autoTune?: boolean | AutoTuneOptions;
  /** A turn that keeps its thread longer is ended with the thread, in milliseconds. Range: 100 to 3,600,000. @default 5000 */
  readonly turnTimeoutMs?: number;
  /** Lease of an instance during a turn, in milliseconds; renewed while the turn runs. Range: 200 to 3,600,000. @default 30000 */
  readonly orchestrationLockMs?: number;
  /** Lease of an activity, in milliseconds; renewed while it runs. How long a crash delays it. Range: 200 to 3,600,000. @default 30000 */
  readonly activityLockMs?: number;
  /** How often an instance or activity is tried before it is given up. Range: 1 to 1000. @default 10 */
  readonly maxAttempts?: number;
  /** First and longest wait before something failed or unregistered is tried again, in milliseconds. @default { initialMs: 1000, maximumMs: 60000 } */
  readonly retryBackoff?: { readonly initialMs: number; readonly maximumMs: number };
  /**
   * Most memory of the heap of one replay thread, in MiB. Beyond it the thread ends and what it ran is charged an attempt. V8 keeps this only for
   * code that grows in small steps: one huge array or string ends the whole process (https://github.com/nodejs/node/issues/47224).
   * Range: 16 to 1,048,576. @default Node's own
   */
  readonly replayThreadMemoryMb?: number;
  /** Most memory of the heap of one activity thread, in MiB; see `replayThreadMemoryMb`. Range: 16 to 1,048,576. @default Node's own */
  readonly activityThreadMemoryMb?: number;
  /**
   * Name of this node, 1 to 256 characters: the same after a restart, different from that of every other node. It owns sessions, so that a
   * node with a stable name keeps its own over a restart. @default a random UUID
   */
  readonly nodeId?: string;
  /**
   * Which activities this runtime takes, by the tag with which they were scheduled. `default`: those without a tag. `any`: all. `none`: none,
   * as if there were no `activities`: nothing is loaded and nothing polled (T37). `{ only: ['gpu'] }`: these tags. `{ defaultAnd: ['gpu'] }`:
   * those without a tag and these. At most 16 tags. @default 'default'
   */
  readonly tags?: RuntimeTags;
  /** Sessions that this runtime holds at once; 0: it runs no activities of sessions. Range: 0 to 10,000. @default 10 */
  readonly maxSessions?: number;
  /**
   * Lease of a session, in milliseconds; renewed while it is used. How long a crash delays its next activity. Range: 200 to 3,600,000.
   * @default 30000
   */
  readonly sessionLeaseMs?: number;
  /** A session without activity for longer is given up, in milliseconds. Range: 200 to 604,800,000. @default 300000 */
  readonly sessionIdleMs?: number;
  /**
   * How long an activity may go on after it was cancelled or timed out, in milliseconds. Then it is answered for
   * and its slot is free; when it does not give way to the event loop at all, its thread is ended.
   * Range: 0 to 3,600,000. @default 10000
   */
  readonly activityGraceMs?: number;
  /**
   * How long the store may take to answer an operation, in milliseconds; long polls: beyond their wait. Then the call counts as failed, its outcome
   * as unknown (`PROVIDER_TIMEOUT`): a connection that is half open must not hold work for ever. Range: 100 to 3,600,000. @default 30000
   */
  readonly storeTimeoutMs?: number;
  /**
   * Version that starts without one get, by the name of the orchestration: `latest`, an exact version such as '1.2.3', or a semver range
   * such as '^1.2', of which the highest is taken. Running executions stay on theirs. @default 'latest' for all
   */
  readonly versionPolicy?: VersionPolicy;
  /**
   * Share of the committed turns, from 0 to 1, that are checked: the instance is rebuilt from its stored history in a fresh engine, in another
   * thread when there are several, and must stand like the engine that ran the turn. Finds state of a module that leaks into decisions,
   * before a restart does. A check costs what a turn without a live engine costs: one read of the whole history, one replay of it. It begins
   * after the commit, when its thread has no turn to run; when too many wait, it is skipped. Counted in `duraloom_replay_checks_total`.
   * @default 0
   */
  readonly replayCheckRate?: number;
  /** Told of each check that found something, in the main thread; it is logged, too. The instance goes on: see `replayCheckRate`. @default none */
  readonly onReplayMismatch?: (mismatch: ReplayMismatch) => void;
  /**
   * Deletes what nobody needs any more, in small batches off the way of work: ended instances with their children, and executions that continued as
   * new. Without: all stays until somebody deletes it. @default none
   */
  readonly retention?: RetentionOptions;
  /** Gets every measurement, such as a bridge to a metrics library. `runtime.metrics()` shows them without it. @default none */
  readonly metrics?: MetricsSink;
  /**
   * Gets each span of an orchestration or activity that ended here, and begins a trace for those that were started without one: the bridge of
   * `duraloom/otel`. See docs/guides/tracing.md. @default none
   */
  readonly traces?: TraceSink;
  /** Where log lines go, of user code and of the runtime: any pino-compatible logger. See docs/guides/logs.md. @default none */
  readonly logger?: Logger;
  /**
   * The least important level of lines that are made: those below do not even leave their threads. `silent`: none.
   * @default what `isLevelEnabled` of the logger says when the runtime starts, as pino's does; without it 'debug'
   */
  readonly logLevel?: LogThreshold;
  /** Clock of leases and back-offs, for tests. @default the machine's clock */
  readonly clock?: Clock;
};

/** Options with every default filled in. */
export type ResolvedRuntimeOptions = Omit<
  Required<RuntimeOptions>,
  | 'orchestrations'
  | 'activities'
  | 'tags'
  | 'metrics'
  | 'traces'
  | 'logger'
  | 'onReplayMismatch'
  | 'replayThreadMemoryMb'
  | 'activityThreadMemoryMb'
  | 'autoTune'
  | 'retention'
> & {
  readonly logger: RuntimeLogger;
  /** null: nothing is deleted. */
  readonly retention: Retention | null;
  readonly orchestrations: readonly DefinitionSource[];
  readonly activities: readonly DefinitionSource[];
  /** null: Node's own limit. */
  readonly replayThreadMemoryMb: number | null;
  readonly activityThreadMemoryMb: number | null;
  readonly metrics: MetricsSink | null;
  readonly traces: Required<TraceSink> | null;
  readonly onReplayMismatch: ((mismatch: ReplayMismatch) => void) | null;
  /** null: limits stay where they are. */
  readonly autoTune: Required<AutoTuneOptions> | null;
  /** null: no activities are fetched. */
  readonly tags: TagFilter | null;
};

/** Range of each numeric option. */
const RANGES = {
  replayThreads: [0, 256],
  activityThreads: [0, 256],
  activitiesPerThread: [1, 100_000],
  turnsPerThread: [1, 10_000],
  stickyCacheMb: [0, 65_536],
  stickyTakeoverMs: [0, 60_000],
  turnTimeoutMs: [100, 3_600_000],
  orchestrationLockMs: [200, 3_600_000],
  activityLockMs: [200, 3_600_000],
  maxAttempts: [1, 1000],
  maxSessions: [0, 10_000],
  sessionLeaseMs: [200, 3_600_000],
  sessionIdleMs: [200, 604_800_000],
  activityGraceMs: [0, 3_600_000],
  storeTimeoutMs: [100, 3_600_000],
  replayThreadMemoryMb: [16, 1_048_576],
  activityThreadMemoryMb: [16, 1_048_576],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

type NumericOption = keyof typeof RANGES;

/** Most tags of one runtime. Reason: each is looked up by itself in every fetch. */
const MAX_TAGS = 16;
/** Begins the tags that duraloom uses itself. */
const RESERVED_TAG = 'duraloom:';

const RANGED = Object.fromEntries(Object.keys(RANGES).map((name) => [name, true])) as Record<NumericOption, true>;
const FIELDS: FieldNames<RuntimeOptions> = {
  ...RANGED,
  autoTune: true,
  provider: true,
  orchestrations: true,
  activities: true,
  retryBackoff: true,
  nodeId: true,
  tags: true,
  versionPolicy: true,
  replayCheckRate: true,
  onReplayMismatch: true,
  retention: true,
  metrics: true,
  traces: true,
  logger: true,
  logLevel: true,
  clock: true,
};

/**
 * Checks options and fills in defaults.
 *
 * @param given - by the caller
 * @returns all of them
 * @throws {OptionError} that names option, range and value
 */
export function resolveRuntimeOptions(given: RuntimeOptions): ResolvedRuntimeOptions {
  const options = readOptions<RuntimeOptions>(given, 'the options of a runtime', FIELDS, makeOptionError);
  assertKnownOptions(given, FIELDS);
  const { provider } = options;
  if (provider === undefined || !hasMethods(provider, ['fetchOrchestrationItems'])) {
    throw new OptionError('Expected `provider` to be a provider, such as await SqliteProvider.open(file)');
  }
  const integer = (name: NumericOption, fallback: number): number => checkInteger(name, options[name] ?? fallback);
  const memory = (name: 'replayThreadMemoryMb' | 'activityThreadMemoryMb'): number | null =>
    options[name] === undefined ? null : checkInteger(name, options[name]);
  const orchestrations = toList(options.orchestrations, 'orchestrations');
  const tags = checkTags(options.tags ?? 'default');
  const wanted = toList(options.activities, 'activities');
  const activities = tags === null ? [] : wanted;
  if (orchestrations.length + activities.length === 0) {
    throw new OptionError(
      wanted.length > 0
        ? "Expected `tags` to take some activities, got 'none' in a runtime without `orchestrations`: it would do nothing"
        : 'Expected `orchestrations` or `activities` (or both) to name at least one module, got none: this runtime would do nothing',
    );
  }
  const nodeId = checkNodeId(options.nodeId ?? randomUUID());
  const logLevel = checkLogLevel(options.logLevel, options.logger);
  const logger = makeRuntimeLogger(options.logger, { nodeId, logLevel });
  return {
    provider,
    orchestrations,
    activities,
    replayThreads: integer('replayThreads', 1),
    activityThreads: integer('activityThreads', Math.max(1, availableParallelism() - 1)),
    activitiesPerThread: integer('activitiesPerThread', 64),
    turnsPerThread: integer('turnsPerThread', provider.isRemote === true ? 1_024 : 128),
    stickyCacheMb: integer('stickyCacheMb', 64),
    stickyTakeoverMs: integer('stickyTakeoverMs', 200),
    autoTune: checkAutoTune(options.autoTune ?? false),
    turnTimeoutMs: integer('turnTimeoutMs', 5_000),
    orchestrationLockMs: integer('orchestrationLockMs', 30_000),
    activityLockMs: integer('activityLockMs', 30_000),
    maxAttempts: integer('maxAttempts', 10),
    retryBackoff: checkBackoff(options.retryBackoff ?? { initialMs: 1_000, maximumMs: 60_000 }),
    nodeId,
    tags,
    maxSessions: integer('maxSessions', 10),
    sessionLeaseMs: integer('sessionLeaseMs', 30_000),
    sessionIdleMs: integer('sessionIdleMs', 300_000),
    activityGraceMs: integer('activityGraceMs', 10_000),
    storeTimeoutMs: integer('storeTimeoutMs', 30_000),
    versionPolicy: checkVersionPolicy(options.versionPolicy ?? {}),
    replayCheckRate: checkShare('replayCheckRate', options.replayCheckRate ?? 0),
    onReplayMismatch: checkListener('onReplayMismatch', options.onReplayMismatch),
    retention: options.retention === undefined ? null : readRetention(options.retention),
    metrics: checkMetrics(options.metrics),
    traces: checkTraces(options.traces),
    replayThreadMemoryMb: memory('replayThreadMemoryMb'),
    activityThreadMemoryMb: memory('activityThreadMemoryMb'),
    logger,
    logLevel,
    clock: checkClock(options.clock ?? systemClock),
  };
}

/**
 * Tells by which clock the threads of a kind live.
 *
 * @param options - of the runtime
 * @param threads - how many there are; 0: inline
 * @returns the runtime's clock for loops that run inline, else the machine's
 */
export function clockOfThreads(options: ResolvedRuntimeOptions, threads: number): Clock {
  return threads === 0 ? options.clock : systemClock;
}

function checkInteger(name: NumericOption, value: number): number {
  const [min, max] = RANGES[name];
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new OptionError(`Expected \`${name}\` to be an integer from ${min} to ${max}, got ${show(value)}`);
  }
  return value;
}

const TUNE_FIELDS: FieldNames<AutoTuneOptions> = {
  minTurns: true,
  maxTurns: true,
  minActivities: true,
  maxActivities: true,
  targetLoopDelayMs: true,
};

function checkAutoTune(given: boolean | AutoTuneOptions): Required<AutoTuneOptions> | null {
  if (given === false) return null;
  if (given !== true && (typeof given !== 'object' || given === null)) {
    throw new OptionError(`Expected \`autoTune\` to be true, false or an object such as { maxActivities: 1000 }, got ${show(given)}`);
  }
  const options = given === true ? {} : readOptions<AutoTuneOptions>(given, '`autoTune`', TUNE_FIELDS, makeOptionError);
  if (given !== true) assertKnownOptions(given, TUNE_FIELDS, ' of `autoTune`');
  const integer = (name: keyof AutoTuneOptions, fallback: number, most: number): number => {
    const value = options[name] ?? fallback;
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw new OptionError(`Expected \`${name}\` of \`autoTune\` to be an integer from 1 to ${most}, got ${show(value)}`);
  };
  const [minTurns, maxTurns] = checkBounds(['minTurns', 'maxTurns'], integer('minTurns', 32, 10_000), integer('maxTurns', 2_048, 10_000));
  const [minActivities, maxActivities] = checkBounds(
    ['minActivities', 'maxActivities'],
    integer('minActivities', 16, 100_000),
    integer('maxActivities', 4_096, 100_000),
  );
  return { minTurns, maxTurns, minActivities, maxActivities, targetLoopDelayMs: integer('targetLoopDelayMs', 50, 60_000) };
}

function checkBounds([minName, maxName]: readonly [string, string], min: number, max: number): readonly [number, number] {
  if (min <= max) return [min, max];
  throw new OptionError(`Expected \`${minName}\` of \`autoTune\` to be at most \`${maxName}\`, got ${min} and ${max}`);
}

function checkShare(name: 'replayCheckRate' | 'traces.sampleRatio', value: number): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw new OptionError(`Expected \`${name}\` to be a number from 0 to 1, got ${show(value)}`);
}

function checkListener<Listener>(name: 'onReplayMismatch', listener: Listener | undefined): Listener | null {
  if (listener === undefined) return null;
  if (typeof listener !== 'function') throw new OptionError(`Expected \`${name}\` to be a function, got ${show(listener)}`);
  return listener;
}

function checkBackoff(backoff: Backoff): Backoff {
  const wanted = '`retryBackoff` to be { initialMs ≥ 1, maximumMs ≥ initialMs }';
  if (typeof backoff !== 'object' || backoff === null) throw new OptionError(`Expected ${wanted}, got ${show(backoff)}`);
  const { initialMs, maximumMs } = readOptions(backoff, '`retryBackoff`', { initialMs: true, maximumMs: true }, makeOptionError);
  const isValid = isFinite(initialMs) && initialMs >= 1 && isFinite(maximumMs) && maximumMs >= initialMs;
  if (!isValid) throw new OptionError(`Expected ${wanted}, got { initialMs: ${show(initialMs)}, maximumMs: ${show(maximumMs)} }`);
  return { initialMs, maximumMs };
}

function isFinite(value: unknown): value is number {
  return Number.isFinite(value);
}

function checkNodeId(nodeId: string): string {
  if (!isText(nodeId)) {
    throw new OptionError(`Expected \`nodeId\` to be text of 1 to ${MAX_NAME_LENGTH} characters, got ${show(nodeId)}`);
  }
  return nodeId;
}

function checkTags(tags: RuntimeTags): TagFilter | null {
  if (tags === 'none') return null;
  if (tags === 'default' || tags === 'any') return { kind: tags };
  const lists = typeof tags === 'object' && tags !== null ? readOptions<TagLists>(tags, '`tags`', TAG_LISTS, makeOptionError) : {};
  const [kind, ...others] = Object.keys(lists) as (keyof TagLists)[];
  if (kind !== undefined && others.length === 0) return { kind, tags: checkTagList(lists[kind]) };
  throw new OptionError(
    `Expected \`tags\` to be 'default', 'any', 'none', { only: ['gpu'] } or { defaultAnd: ['gpu'] }, got ${show(tags)}`,
  );
}

type TagLists = { readonly only?: readonly string[]; readonly defaultAnd?: readonly string[] };
const TAG_LISTS: FieldNames<TagLists> = { only: true, defaultAnd: true };

function checkTagList(given: readonly string[] | undefined): readonly string[] {
  const tags = readArray(given);
  if (tags === null || tags.length === 0 || tags.length > MAX_TAGS) {
    throw new OptionError(`Expected \`tags\` to list 1 to ${MAX_TAGS} tags, got ${tags?.length ?? show(given)}`);
  }
  for (const tag of tags) {
    if (!isText(tag) || tag.startsWith(RESERVED_TAG)) {
      throw new OptionError(
        `Expected each of \`tags\` to be text of 1 to ${MAX_NAME_LENGTH} characters and not to begin with '${RESERVED_TAG}', got ${show(tag)}`,
      );
    }
  }
  return [...new Set(tags as readonly string[])];
}

function checkVersionPolicy(policy: VersionPolicy): VersionPolicy {
  const wanted = "`versionPolicy` to be an object such as { checkout: '^1.2' }";
  let copy: VersionPolicy;
  try {
    if (typeof policy !== 'object' || policy === null || Array.isArray(policy))
      throw new OptionError(`Expected ${wanted}, got ${show(policy)}`);
    copy = { ...policy };
  } catch (cause) {
    throw cause instanceof OptionError ? cause : new OptionError(`Expected ${wanted} that can be read`, { cause });
  }
  return assertVersionPolicy(copy);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_LENGTH;
}

function checkMetrics(metrics: MetricsSink | undefined): MetricsSink | null {
  if (metrics === undefined) return null;
  if (!hasMethods(metrics, ['record'])) throw new OptionError(`Expected \`metrics\` to have the method record, got ${show(metrics)}`);
  return metrics;
}

function checkTraces(traces: TraceSink | undefined): Required<TraceSink> | null {
  if (traces === undefined) return null;
  if (!hasMethods(traces, ['record'])) throw new OptionError(`Expected \`traces\` to have the method record, got ${show(traces)}`);
  const { sampleRatio = 1 } = readOptions(traces, '`traces`', { record: true, sampleRatio: true }, makeOptionError);
  return { record: (span) => traces.record(span), sampleRatio: checkShare('traces.sampleRatio', sampleRatio) };
}

function checkClock(clock: Clock): Clock {
  if (isClock(clock)) return clock;
  throw new OptionError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
}

function toList(sources: RuntimeOptions['orchestrations'], name: string): readonly DefinitionSource[] {
  if (sources === undefined) return [];
  const list = readArray(sources) ?? [sources];
  if (list.length === 0)
    throw new OptionError(
      `Expected \`${name}\` to name at least one module, got an empty array. Leave it out for a runtime without ${name}`,
    );
  return list.map((given) => {
    const source = readSource(given);
    if (source === null) throw new OptionError(`Expected \`${name}\` to hold module URLs or definitions, got ${show(given)}`);
    return source;
  });
}
