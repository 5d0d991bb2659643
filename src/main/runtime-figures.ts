// From two looks at the counters of a runtime to what `runtime.stats()` shows: pure. Neighbours: runtime-stats.ts says what the figures mean,
// stats-window.ts keeps looks, runtime.ts makes them.
import type { StoreStats } from '../provider/provider.ts';
import { percentileOf, subtractCounts, type Counts } from '../threads/duration-counts.ts';
import type { LoopTime } from '../threads/loop-time.ts';
import type { ReplayFigures } from '../threads/progress.ts';
import type { ThreadFigures } from '../threads/thread-pool.ts';
import type { ActivityFigures } from './activity-dispatcher.ts';
import type { FetchCounts } from './fetch-loop.ts';
import type { OrchestrationFigures } from './orchestration-dispatcher.ts';
import type {
  ActivityThreadStats,
  FetchStats,
  MainThreadStats,
  ReplayThreadStats,
  RuntimeStats,
  RuntimeStoreStats,
  ThreadStats,
} from '../client/runtime-stats.ts';

/** The counters of one thread at one moment. */
export type ThreadLook = {
  readonly index: number;
  readonly life: number;
  readonly inFlight: number;
  readonly loop: LoopTime;
  readonly batchesSent: number;
  readonly itemsSent: number;
  readonly batchesReceived: number;
  readonly itemsReceived: number;
  readonly waits: Counts;
  readonly replay: ReplayFigures;
};

/** All counters of a runtime at one moment. */
export type Look = {
  /** Milliseconds of the process. */
  readonly atMs: number;
  readonly turns: OrchestrationFigures;
  readonly activities: ActivityFigures;
  readonly replayThreads: readonly ThreadLook[];
  readonly activityThreads: readonly ThreadLook[];
  readonly mainLoop: LoopTime;
  readonly mainDelays: Counts;
  readonly store: StoreStats | null;
};

const NO_FETCHES: FetchCounts = { fetches: 0, items: 0, lastItems: 0, full: 0 };
/** Of a runtime without orchestrations. */
export const NO_TURNS: OrchestrationFigures = {
  turnsInFlight: 0,
  turnsCommitted: 0,
  optimisticTurnsCommitted: 0,
  optimisticTurnsRefused: 0,
  stickyInstances: 0,
  fetches: NO_FETCHES,
};
/** Of a runtime without activities. */
export const NO_ACTIVITIES: ActivityFigures = { activitiesInFlight: 0, activitiesCompleted: 0, fetches: NO_FETCHES };

/**
 * Reads the counters of one thread.
 *
 * @param figures - what the pool knows
 * @param inFlight - what the dispatcher knows
 * @returns a copy
 */
export function lookAtThread({ index, life, loop, tally, replay }: ThreadFigures, inFlight: number): ThreadLook {
  const { batchesSent, itemsSent, batchesReceived, itemsReceived, waits } = tally;
  return { index, life, inFlight, loop, batchesSent, itemsSent, batchesReceived, itemsReceived, waits: waits.read(), replay };
}

/**
 * Subtracts counters of a store.
 *
 * @param now - as they are
 * @param before - as they were
 * @returns what was added
 */
export function subtractStore(now: StoreStats, before: StoreStats): StoreStats {
  return {
    commits: now.commits - before.commits,
    items: now.items - before.items,
    statementMs: now.statementMs - before.statementMs,
    commitMs: now.commitMs - before.commitMs,
    syncs: now.syncs - before.syncs,
    syncMs: now.syncMs - before.syncMs,
    busyRetries: now.busyRetries - before.busyRetries,
    slowPaths: now.slowPaths - before.slowPaths,
  };
}

/**
 * Computes the figures.
 *
 * @param looks - now, and at the begin of the window
 * @param others - what is no counter
 * @returns the figures
 */
export function toStats(
  { now, since }: { readonly now: Look; readonly since: Look },
  others: Pick<RuntimeStats, 'state' | 'limits' | 'autoTune'>,
): RuntimeStats {
  const windowMs = now.atMs - since.atMs;
  const perSecond = (after: number, before: number): number => ratio(after - before, windowMs) * 1_000;
  const { fetches: orchestrator, ...turns } = now.turns;
  const { fetches: worker, ...activities } = now.activities;
  return {
    ...others,
    windowMs,
    ...turns,
    turnsPerSecond: perSecond(turns.turnsCommitted, since.turns.turnsCommitted),
    ...activities,
    activitiesPerSecond: perSecond(activities.activitiesCompleted, since.activities.activitiesCompleted),
    main: toMain(now, since),
    replayThreads: now.replayThreads.map((thread) => toReplayThread(thread, since.replayThreads[thread.index])),
    activityThreads: now.activityThreads.map((thread) => toActivityThread(thread, since.activityThreads[thread.index])),
    fetches: { orchestrator: toFetches(orchestrator, since.turns.fetches), worker: toFetches(worker, since.activities.fetches) },
    store: now.store === null ? null : toStore(now.store, since.store ?? now.store, windowMs),
  };
}

function toMain(now: Look, since: Look): MainThreadStats {
  const delays = subtractCounts(now.mainDelays, since.mainDelays);
  return {
    utilisation: utilisation(now.mainLoop, since.mainLoop),
    loopDelay: { p50Ms: percentileOf(delays, 0.5), p99Ms: percentileOf(delays, 0.99), maxMs: percentileOf(delays, 1) },
  };
}

function toThread(now: ThreadLook, since: ThreadLook = now): ThreadStats {
  const { index, life, loop, batchesSent, itemsSent, batchesReceived, itemsReceived } = now;
  return {
    index,
    restarts: Math.max(0, life - 1),
    // A new life counts from its own begin.
    utilisation: utilisation(loop, life === since.life ? since.loop : { idle: 0, active: 0 }),
    batchesSent,
    itemsSent,
    meanSent: ratio(itemsSent - since.itemsSent, batchesSent - since.batchesSent),
    batchesReceived,
    itemsReceived,
    meanReceived: ratio(itemsReceived - since.itemsReceived, batchesReceived - since.batchesReceived),
  };
}

function toReplayThread(now: ThreadLook, since: ThreadLook | undefined): ReplayThreadStats {
  const { engines, cacheBytes, hits: cacheHits, misses: cacheMisses, evictions, replayedEvents } = now.replay;
  return { ...toThread(now, since), turnsInFlight: now.inFlight, engines, cacheBytes, cacheHits, cacheMisses, evictions, replayedEvents };
}

function toActivityThread(now: ThreadLook, since: ThreadLook | undefined): ActivityThreadStats {
  const waits = subtractCounts(now.waits, since?.waits ?? []);
  return { ...toThread(now, since), activitiesInFlight: now.inFlight, longestWaitMs: percentileOf(waits, 1) };
}

function toFetches(now: FetchCounts, since: FetchCounts): FetchStats {
  const fetches = now.fetches - since.fetches;
  return { ...now, meanItems: ratio(now.items - since.items, fetches), fullShare: ratio(now.full - since.full, fetches) };
}

function toStore(now: StoreStats, since: StoreStats, windowMs: number): RuntimeStoreStats {
  const commits = now.commits - since.commits;
  const commitMs = now.commitMs - since.commitMs;
  const syncMs = now.syncMs - since.syncMs;
  return {
    ...now,
    meanItemsPerCommit: ratio(now.items - since.items, commits),
    meanCommitMs: ratio(commitMs, commits),
    meanSyncMs: ratio(syncMs, now.syncs - since.syncs),
    transactionShare: share(commitMs + now.statementMs - since.statementMs, windowMs),
    syncShare: share(syncMs, windowMs),
  };
}

function utilisation(now: LoopTime, since: LoopTime): number {
  const active = Math.max(0, now.active - since.active);
  return share(active, active + Math.max(0, now.idle - since.idle));
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

function share(part: number, whole: number): number {
  return Math.min(1, ratio(part, whole));
}
