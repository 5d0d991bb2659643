// Figures of a runtime into metrics, when somebody reads them. Neighbours: runtime-stats.ts has the figures, metric-catalogue.ts the list.
//
// Q1. A counter of the figures becomes a counter of the metrics: what was added since the last time is added, so that a sink sees increments.
import type { MetricLabels } from '../types/metrics.ts';
import type { Metrics } from './metrics.ts';
import type { ReplayThreadStats, RuntimeStats, ThreadStats } from '../client/runtime-stats.ts';

/**
 * Records figures.
 *
 * @param metrics - of the runtime
 * @param stats - its figures now
 */
export function recordStats(metrics: Metrics, stats: RuntimeStats): void {
  const gauge = (name: string, value: number, labels: MetricLabels = {}): void => metrics.series('gauge', name, labels).record(value);
  const counter = (name: string, total: number, labels: MetricLabels = {}): void => metrics.series('counter', name, labels).raiseTo(total);
  gauge('duraloom_turns_in_flight', stats.turnsInFlight);
  gauge('duraloom_sticky_instances', stats.stickyInstances);
  gauge('duraloom_activities_in_flight', stats.activitiesInFlight);
  counter('duraloom_turns_committed_total', stats.turnsCommitted);
  counter('duraloom_optimistic_turns_total', stats.optimisticTurnsCommitted, { outcome: 'committed' });
  counter('duraloom_optimistic_turns_total', stats.optimisticTurnsRefused, { outcome: 'refused' });
  counter('duraloom_activities_completed_total', stats.activitiesCompleted);
  gauge('duraloom_limit', stats.limits.turnsPerThread, { of: 'turnsPerThread' });
  gauge('duraloom_limit', stats.limits.activitiesPerThread, { of: 'activitiesPerThread' });
  const { raised, takenBack, lowered } = stats.autoTune;
  for (const [change, total] of Object.entries({ raised, takenBack, lowered }))
    counter('duraloom_auto_tune_changes_total', total, { change });
  gauge('duraloom_thread_utilisation_ratio', stats.main.utilisation, { thread: 'main' });
  const { p50Ms, p99Ms, maxMs } = stats.main.loopDelay;
  for (const [quantile, ms] of Object.entries({ '0.5': p50Ms, '0.99': p99Ms, '1': maxMs })) {
    gauge('duraloom_event_loop_delay_seconds', ms / 1_000, { quantile });
  }
  const recordThread = (thread: string, figures: ThreadStats): void => {
    gauge('duraloom_thread_utilisation_ratio', figures.utilisation, { thread });
    counter('duraloom_thread_restarts_total', figures.restarts, { thread });
    counter('duraloom_thread_batches_total', figures.batchesSent, { thread, direction: 'sent' });
    counter('duraloom_thread_batches_total', figures.batchesReceived, { thread, direction: 'received' });
    counter('duraloom_thread_items_total', figures.itemsSent, { thread, direction: 'sent' });
    counter('duraloom_thread_items_total', figures.itemsReceived, { thread, direction: 'received' });
  };
  const recordReplay = (thread: string, figures: ReplayThreadStats): void => {
    gauge('duraloom_thread_in_flight', figures.turnsInFlight, { thread });
    gauge('duraloom_cache_engines', figures.engines, { thread });
    gauge('duraloom_cache_bytes', figures.cacheBytes, { thread });
    counter('duraloom_cache_lookups_total', figures.cacheHits, { thread, outcome: 'hit' });
    counter('duraloom_cache_lookups_total', figures.cacheMisses, { thread, outcome: 'miss' });
    counter('duraloom_cache_evictions_total', figures.evictions, { thread });
    counter('duraloom_replayed_events_total', figures.replayedEvents, { thread });
  };
  for (const figures of stats.replayThreads) {
    recordThread(`replay-${figures.index}`, figures);
    recordReplay(`replay-${figures.index}`, figures);
  }
  for (const figures of stats.activityThreads) {
    const thread = `activity-${figures.index}`;
    recordThread(thread, figures);
    gauge('duraloom_thread_in_flight', figures.activitiesInFlight, { thread });
    gauge('duraloom_activity_longest_wait_seconds', figures.longestWaitMs / 1_000, { thread });
  }
  for (const [queue, { fetches, full }] of Object.entries(stats.fetches)) {
    counter('duraloom_fetches_total', fetches, { queue });
    counter('duraloom_full_fetches_total', full, { queue });
  }
  const { store } = stats;
  if (store === null) return;
  counter('duraloom_store_commits_total', store.commits);
  counter('duraloom_store_commit_items_total', store.items);
  counter('duraloom_store_statement_seconds_total', store.statementMs / 1_000);
  counter('duraloom_store_commit_seconds_total', store.commitMs / 1_000);
  counter('duraloom_store_syncs_total', store.syncs);
  counter('duraloom_store_sync_seconds_total', store.syncMs / 1_000);
  counter('duraloom_store_busy_retries_total', store.busyRetries);
  counter('duraloom_store_slow_paths_total', store.slowPaths);
}
