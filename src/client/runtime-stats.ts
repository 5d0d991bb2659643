// What `runtime.stats()` shows: types only. Neighbours: runtime-figures.ts computes it, stats-metrics.ts makes metrics of it, docs/tuning.md says how
// to read it. The shape is stable: fields are added, never renamed, and none is missing because there was nothing to count.
import type { StoreStats } from '../provider/provider.ts';

/** Where a runtime stands. */
export type RuntimeState = 'starting' | 'running' | 'stopping' | 'stopped';

/**
 * Figures of a runtime at one moment. Three kinds of them:
 *
 * - what is there now: `…InFlight`, `stickyInstances`, `engines`, `cacheBytes`, `limits`;
 * - what counts up since the start of the runtime: `…Committed`, `…Completed`, `cacheHits`, `fetches`, `commits`, …;
 * - what is about the window, the last `windowMs` milliseconds: utilisation, delays, `…PerSecond`, `mean…` and `…Share`.
 *
 * The window reaches back to the last call of `stats()` or `metrics()` that is at least a second ago; without one to the start. So who calls once a
 * minute sees the minute, and who calls all the time the last second. Looking costs some ten microseconds and asks neither threads nor store.
 */
export type RuntimeStats = {
  readonly state: RuntimeState;
  /** Length of the window, in milliseconds. */
  readonly windowMs: number;
  /** Turns that are fetched, replayed or committed now. */
  readonly turnsInFlight: number;
  readonly turnsCommitted: number;
  readonly turnsPerSecond: number;
  /** Of the committed turns: those that were computed before the completions that they follow from were stored, and stored together with them. */
  readonly optimisticTurnsCommitted: number;
  /** Such turns that came to nothing, because something else happened first: their completions were stored by themselves. */
  readonly optimisticTurnsRefused: number;
  /** Instances whose live engine is known to be in a replay thread. */
  readonly stickyInstances: number;
  /** Activities that wait here, run, or are being recorded now. */
  readonly activitiesInFlight: number;
  readonly activitiesCompleted: number;
  readonly activitiesPerSecond: number;
  /** The options of these names, as they are now: `autoTune` moves them. */
  readonly limits: { readonly turnsPerThread: number; readonly activitiesPerThread: number };
  /** What the tuner did; all 0 without the option `autoTune`. */
  readonly autoTune: AutoTuneStats;
  readonly main: MainThreadStats;
  /** One for each replay thread; inline one; none in a runtime without orchestrations. */
  readonly replayThreads: readonly ReplayThreadStats[];
  /** One for each activity thread; inline one; none in a runtime without activities. */
  readonly activityThreads: readonly ActivityThreadStats[];
  readonly fetches: {
    /** From the queue of orchestrations. */
    readonly orchestrator: FetchStats;
    /** From the queue of activities. */
    readonly worker: FetchStats;
  };
  /** What the provider has counted since the start of this runtime, for all that use it; null: it counts nothing. */
  readonly store: RuntimeStoreStats | null;
};

/** Changes of the two limits by the tuner. */
export type AutoTuneStats = {
  readonly isOn: boolean;
  /** Times that more was tried. */
  readonly raised: number;
  /** Times that it brought nothing, and was taken back. */
  readonly takenBack: number;
  /** Times that a limit went down, because the event loop of the host was late. */
  readonly lowered: number;
};

/** The thread that the runtime lives in: the host's. */
export type MainThreadStats = {
  /**
   * Share of the window that its event loop was not idle, 0 to 1, whatever kept it. Waiting for a processor counts as busy. 0 with a clock that is
   * not the machine's.
   */
  readonly utilisation: number;
  /**
   * How late timers fired in the window, in milliseconds: what the host's own work has to wait for. At most 19 % above the true figure. Looked at
   * every 20 ms; 0 with a clock that is not the machine's.
   */
  readonly loopDelay: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
};

/** What every thread shows. */
export type ThreadStats = {
  /** Which thread, from 0. */
  readonly index: number;
  /** How often it was started again after its death. */
  readonly restarts: number;
  /** Share of the window that its event loop was not idle, 0 to 1. Waiting for a processor counts as busy. Inline: that of the main thread. */
  readonly utilisation: number;
  /** Messages over its port to it, and turns or activities in them. */
  readonly batchesSent: number;
  readonly itemsSent: number;
  readonly meanSent: number;
  /** Messages over its port from it, and answers in them. */
  readonly batchesReceived: number;
  readonly itemsReceived: number;
  readonly meanReceived: number;
};

/** A thread that runs orchestrations. */
export type ReplayThreadStats = ThreadStats & {
  readonly turnsInFlight: number;
  /** Instances that are alive in it between their turns, and their rough size in bytes. */
  readonly engines: number;
  readonly cacheBytes: number;
  /** Turns that found their instance alive. */
  readonly cacheHits: number;
  /** Turns that did not: the instance was rebuilt from its history. The first turn of an execution is neither. */
  readonly cacheMisses: number;
  /** Instances that were dropped because the cache was full. */
  readonly evictions: number;
  /** Events that were replayed for cache misses. */
  readonly replayedEvents: number;
};

/** A thread that runs activities. */
export type ActivityThreadStats = ThreadStats & {
  /** Running in it or waiting in it for a slot. */
  readonly activitiesInFlight: number;
  /** Longest time in the window that an activity waited in the thread before it started, in milliseconds; at most 19 % too high. */
  readonly longestWaitMs: number;
};

/** Fetches from one queue. Those that came back empty do not count. */
export type FetchStats = {
  readonly fetches: number;
  readonly items: number;
  /** Items of the last fetch. */
  readonly lastItems: number;
  readonly meanItems: number;
  /** Fetches that brought all that was asked for: more was waiting than there was room for. */
  readonly full: number;
  /** Share of the fetches of the window that were full, 0 to 1. Near 1: there is a backlog, and this runtime's limits hold it. */
  readonly fullShare: number;
};

/** Figures of the store, with what follows from them for the window. */
export type RuntimeStoreStats = StoreStats & {
  /** Size of a group commit. */
  readonly meanItemsPerCommit: number;
  /** Event-loop time of one commit, and time of one sync, in milliseconds. */
  readonly meanCommitMs: number;
  readonly meanSyncMs: number;
  /** Share of the window that the event loop spent in transactions, statements and commits, 0 to 1. */
  readonly transactionShare: number;
  /** Share of the window in which a sync was under way, 0 to 1. Near 1: the disk is what everything waits for. */
  readonly syncShare: number;
};
