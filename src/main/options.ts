// Options of a runtime: their meaning, defaults, and the check that turns them into resolved ones. Inside, only resolved options exist.
import { availableParallelism } from 'node:os';
import type { Provider } from '../provider/provider.ts';
import { systemClock } from '../provider/system-clock.ts';
import type { DefinitionSource } from '../threads/registry.ts';
import type { Clock } from '../types/clock.ts';
import { OptionError } from '../types/errors.ts';
import { silentLogger, type Logger } from '../types/logger.ts';

/** Options of `Runtime.start`. */
export type RuntimeOptions = {
  /** The store. It stays open when the runtime stops; close it yourself. */
  readonly provider: Provider;
  /**
   * Modules of orchestrations: `new URL('./orchestrations.ts', import.meta.url)`, one or many. With `replayThreads: 0` also definitions.
   * Without: this runtime runs no orchestrations.
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
  /** Turns that are fetched, replayed or committed at once, for each replay thread. Range: 1 to 10,000. @default 512 */
  readonly turnsPerThread?: number;
  /** Memory for instances that stay alive between turns, for each replay thread, in MiB. Range: 0 to 65,536. @default 64 */
  readonly stickyCacheMb?: number;
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
  /** Where log lines go; any pino-compatible logger. @default none */
  readonly logger?: Logger;
  /** Clock of leases and back-offs, for tests. @default the machine's clock */
  readonly clock?: Clock;
};

/** Options with every default filled in. */
export type ResolvedRuntimeOptions = Omit<
  Required<RuntimeOptions>,
  'orchestrations' | 'activities' | 'replayThreadMemoryMb' | 'activityThreadMemoryMb'
> & {
  readonly orchestrations: readonly DefinitionSource[];
  readonly activities: readonly DefinitionSource[];
  /** null: Node's own limit. */
  readonly replayThreadMemoryMb: number | null;
  readonly activityThreadMemoryMb: number | null;
};

/** Range of each numeric option. */
const RANGES = {
  replayThreads: [0, 256],
  activityThreads: [0, 256],
  activitiesPerThread: [1, 100_000],
  turnsPerThread: [1, 10_000],
  stickyCacheMb: [0, 65_536],
  turnTimeoutMs: [100, 3_600_000],
  orchestrationLockMs: [200, 3_600_000],
  activityLockMs: [200, 3_600_000],
  maxAttempts: [1, 1000],
  replayThreadMemoryMb: [16, 1_048_576],
  activityThreadMemoryMb: [16, 1_048_576],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

type NumericOption = keyof typeof RANGES;

const KNOWN: ReadonlySet<string> = new Set([
  ...Object.keys(RANGES),
  'provider',
  'orchestrations',
  'activities',
  'retryBackoff',
  'logger',
  'clock',
]);

/**
 * Checks options and fills in defaults.
 *
 * @param options - as given
 * @returns all of them
 * @throws {OptionError} that names option, range and value
 */
export function resolveRuntimeOptions(options: RuntimeOptions): ResolvedRuntimeOptions {
  if (typeof options !== 'object' || options === null) throw new OptionError(`Expected options to be an object, got ${typeof options}`);
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) throw new OptionError(`Unknown option \`${name}\`. Known: ${[...KNOWN].toSorted().join(', ')}`);
  }
  const { provider } = options;
  if (typeof provider?.fetchOrchestrationItems !== 'function') {
    throw new OptionError('Expected `provider` to be a provider, such as await SqliteProvider.open(file)');
  }
  const integer = (name: NumericOption, fallback: number): number => checkInteger(name, options[name] ?? fallback);
  const memory = (name: 'replayThreadMemoryMb' | 'activityThreadMemoryMb'): number | null =>
    options[name] === undefined ? null : checkInteger(name, options[name]);
  const orchestrations = toList(options.orchestrations, 'orchestrations');
  const activities = toList(options.activities, 'activities');
  if (orchestrations.length + activities.length === 0) {
    throw new OptionError(
      'Expected `orchestrations` or `activities` (or both) to name at least one module, got none: this runtime would do nothing',
    );
  }
  return {
    provider,
    orchestrations,
    activities,
    replayThreads: integer('replayThreads', 1),
    activityThreads: integer('activityThreads', Math.max(1, availableParallelism() - 1)),
    activitiesPerThread: integer('activitiesPerThread', 64),
    turnsPerThread: integer('turnsPerThread', 512),
    stickyCacheMb: integer('stickyCacheMb', 64),
    turnTimeoutMs: integer('turnTimeoutMs', 5_000),
    orchestrationLockMs: integer('orchestrationLockMs', 30_000),
    activityLockMs: integer('activityLockMs', 30_000),
    maxAttempts: integer('maxAttempts', 10),
    retryBackoff: checkBackoff(options.retryBackoff ?? { initialMs: 1_000, maximumMs: 60_000 }),
    replayThreadMemoryMb: memory('replayThreadMemoryMb'),
    activityThreadMemoryMb: memory('activityThreadMemoryMb'),
    logger: checkLogger(options.logger ?? silentLogger),
    clock: checkClock(options.clock ?? systemClock),
  };
}

function checkInteger(name: NumericOption, value: number): number {
  const [min, max] = RANGES[name];
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new OptionError(`Expected \`${name}\` to be an integer from ${min} to ${max}, got ${show(value)}`);
  }
  return value;
}

function checkBackoff(backoff: { readonly initialMs: number; readonly maximumMs: number }): {
  readonly initialMs: number;
  readonly maximumMs: number;
} {
  const { initialMs, maximumMs } = backoff;
  if (!(Number.isFinite(initialMs) && initialMs >= 1 && Number.isFinite(maximumMs) && maximumMs >= initialMs)) {
    throw new OptionError(
      `Expected \`retryBackoff\` to be { initialMs ≥ 1, maximumMs ≥ initialMs }, got { initialMs: ${show(initialMs)}, maximumMs: ${show(maximumMs)} }`,
    );
  }
  return { initialMs, maximumMs };
}

function checkClock(clock: Clock): Clock {
  if (typeof clock?.nowMs !== 'function' || typeof clock.setTimer !== 'function') {
    throw new OptionError(`Expected \`clock\` to have nowMs and setTimer, got ${show(clock)}`);
  }
  return clock;
}

function checkLogger(logger: Logger): Logger {
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof logger[level] !== 'function') throw new OptionError(`Expected \`logger\` to have the method ${level}`);
  }
  return logger;
}

function toList(sources: RuntimeOptions['orchestrations'], name: string): readonly DefinitionSource[] {
  if (sources === undefined) return [];
  const list = Array.isArray(sources) ? (sources as readonly DefinitionSource[]) : [sources as DefinitionSource];
  if (Array.isArray(sources) && list.length === 0)
    throw new OptionError(
      `Expected \`${name}\` to name at least one module, got an empty array. Leave it out for a runtime without ${name}`,
    );
  for (const source of list) {
    const known =
      typeof source === 'string' || source instanceof URL || (typeof source === 'object' && source !== null && 'kind' in source);
    if (!known) throw new OptionError(`Expected \`${name}\` to hold module URLs or definitions, got ${show(source)}`);
  }
  return list;
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value);
}
