// Moves `turnsPerThread` and `activitiesPerThread` while a runtime runs, when it was asked to (`autoTune`). Neighbours: auto-tune.ts decides,
// runtime-figures.ts observes, the dispatchers hold the limits.
import type { Clock } from '../types/clock.ts';
import { startTuning, tune, type Bounds, type Observation, type TuneState } from './auto-tune.ts';
import { toStats, type Look } from './runtime-figures.ts';
import type { AutoTuneStats, FetchStats, RuntimeStats, ThreadStats } from '../client/runtime-stats.ts';

/** The two limits. */
export type Limits = RuntimeStats['limits'];

/** How far the tuner may go. */
export type AutoTuneOptions = {
  /** Fewest and most turns at once, for each replay thread. Range: 1 to 10,000. @default 32, 2048 */
  readonly minTurns?: number;
  readonly maxTurns?: number;
  /** Fewest and most activities at once, on one thread. Range: 1 to 100,000. @default 16, 4096 */
  readonly minActivities?: number;
  readonly maxActivities?: number;
  /**
   * How late timers of the host may be, in milliseconds, at the 99th percentile of half a second; when they are later twice in a row, both limits
   * go down. Range: 1 to 60,000. @default 50
   */
  readonly targetLoopDelayMs?: number;
};

/** What a tuner needs. */
export type AutoTunerParts = {
  readonly options: Required<AutoTuneOptions>;
  readonly clock: Clock;
  /** Where the limits begin. */
  readonly limits: Limits;
  readonly look: () => Look;
  readonly apply: (limits: Limits) => void;
};

/** Length of a period, in milliseconds. Reason: shorter ones show the noise of single commits. */
const PERIOD_MS = 500;
/** A thread that is busy for this share of the time has none left. */
const SATURATED = 0.9;

/** The tuner of one runtime. */
export class AutoTuner {
  readonly #parts: AutoTunerParts;
  #turns: TuneState;
  #activities: TuneState;
  #since: Look;
  #stats: AutoTuneStats = { isOn: true, raised: 0, takenBack: 0, lowered: 0 };
  #stopTimer: (() => void) | null = null;

  constructor(parts: AutoTunerParts) {
    this.#parts = parts;
    this.#turns = startTuning(parts.limits.turnsPerThread, this.#turnBounds);
    this.#activities = startTuning(parts.limits.activitiesPerThread, this.#activityBounds);
    this.#since = parts.look();
    parts.apply(this.limits);
  }

  /** The limits as they are. */
  get limits(): Limits {
    return { turnsPerThread: this.#turns.value, activitiesPerThread: this.#activities.value };
  }

  get stats(): AutoTuneStats {
    return this.#stats;
  }

  start(): void {
    this.#since = this.#parts.look();
    this.#schedule();
  }

  stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = null;
  }

  #schedule(): void {
    this.#stopTimer = this.#parts.clock.setTimer(
      PERIOD_MS,
      () => {
        this.#period();
        this.#schedule();
      },
      true,
    );
  }

  #period(): void {
    const now = this.#parts.look();
    const stats = toStats({ now, since: this.#since }, { state: 'running', limits: this.limits, autoTune: this.#stats });
    this.#since = now;
    const isLate = stats.main.loopDelay.p99Ms > this.#parts.options.targetLoopDelayMs;
    const { turnsPerThread, activitiesPerThread } = this.limits;
    const { orchestrator, worker } = stats.fetches;
    const turns = { rate: stats.turnsPerSecond, inFlight: stats.turnsInFlight, limit: turnsPerThread, isLate };
    const activities = { rate: stats.activitiesPerSecond, inFlight: stats.activitiesInFlight, limit: activitiesPerThread, isLate };
    this.#turns = this.#step(this.#turns, observe(stats.replayThreads, orchestrator, turns), this.#turnBounds);
    this.#activities = this.#step(this.#activities, observe(stats.activityThreads, worker, activities), this.#activityBounds);
    const { limits } = this;
    if (limits.turnsPerThread !== turnsPerThread || limits.activitiesPerThread !== activitiesPerThread) this.#parts.apply(limits);
  }

  #step(before: TuneState, seen: Observation, bounds: Bounds): TuneState {
    const { state, change } = tune(before, seen, bounds);
    if (change !== 'none') this.#stats = { ...this.#stats, [change]: this.#stats[change] + 1 };
    return state;
  }

  get #turnBounds(): Bounds {
    const { minTurns: min, maxTurns: max } = this.#parts.options;
    return { min, max };
  }

  get #activityBounds(): Bounds {
    const { minActivities: min, maxActivities: max } = this.#parts.options;
    return { min, max };
  }
}

/** What is the same for both loops. */
type Load = { readonly rate: number; readonly inFlight: number; readonly limit: number; readonly isLate: boolean };

function observe(
  threads: readonly ThreadStats[],
  { fullShare, meanItems }: FetchStats,
  { rate, inFlight, limit, isLate }: Load,
): Observation {
  // Without a fetch that brought something there was no room, or nothing to do.
  const isLimited = meanItems > 0 ? fullShare > 0.5 : inFlight > 0 && inFlight >= limit * threads.length;
  const utilisation = threads.reduce((sum, thread) => sum + thread.utilisation, 0) / Math.max(1, threads.length);
  return { rate, isLimited, isSaturated: utilisation > SATURATED, isLate };
}
