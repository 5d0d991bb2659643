// What a runtime measures: the one table of names, kinds, units, labels, buckets and meanings. Neighbours: metrics.ts takes buckets from it,
// surfaces/metrics the help texts. docs/metrics.md shows it, and a test holds both and what a running runtime records together.
import type { MetricPoint } from '../types/metrics.ts';

/** One metric. */
export type MetricDescription = {
  readonly name: string;
  readonly kind: MetricPoint['kind'];
  /** What is counted or measured. */
  readonly unit: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram; null: it is none. */
  readonly buckets: readonly number[] | null;
  /** One sentence, without a full stop. */
  readonly help: string;
};

/** Metrics that belong together. */
export type MetricGroup = { readonly title: string; readonly metrics: readonly MetricDescription[] };

/** From a fast activity to an hour. */
const SECONDS: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1_800, 3_600];
/** For what is counted. */
const NUMBERS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 10_000, 100_000];

const of =
  (kind: MetricPoint['kind']) =>
  (name: string, unit: string, labels: readonly string[], help: string): MetricDescription => ({
    name: `duraloom_${name}`,
    kind,
    unit,
    labels,
    buckets: kind === 'histogram' ? bucketsByName(name) : null,
    help,
  });
const counter = of('counter');
const gauge = of('gauge');
const histogram = of('histogram');

/** All metrics, by what they are about. */
export const METRIC_GROUPS: readonly MetricGroup[] = [
  {
    title: 'Orchestrations',
    metrics: [
      counter(
        'orchestration_starts_total',
        'executions',
        ['orchestration', 'version', 'initiated_by'],
        'Executions that began, by a client, a parent or continueAsNew',
      ),
      counter(
        'orchestration_completions_total',
        'executions',
        ['orchestration', 'version', 'status'],
        'Executions that ended: completed, failed, cancelled or continuedAsNew',
      ),
      histogram(
        'orchestration_duration_seconds',
        'seconds',
        ['orchestration', 'version', 'status'],
        'Time from the start call to the end, over all executions',
      ),
      histogram('orchestration_turns', 'turns', ['orchestration'], 'Turns of an execution'),
      histogram('orchestration_history_size', 'events', ['orchestration'], 'Events of an execution'),
      counter('orchestration_quarantined_total', 'instances', ['orchestration'], 'Instances that went into quarantine'),
      counter(
        'replay_checks_total',
        'turns',
        ['orchestration', 'outcome'],
        'Checks of committed turns, see the option replayCheckRate: match, mismatch or skipped',
      ),
      counter('suborchestration_calls_total', 'calls', ['parent', 'child'], 'Children that were asked for'),
      histogram(
        'suborchestration_duration_seconds',
        'seconds',
        ['parent', 'child', 'outcome'],
        'Time from the call of a child to its answer',
      ),
      counter('events_dropped_total', 'events', ['orchestration', 'policy'], 'External events that continue-as-new dropped'),
      gauge('turns_in_flight', 'turns', [], 'Turns that are fetched, replayed or committed'),
      counter('turns_committed_total', 'turns', [], 'Turns that were committed'),
      counter(
        'optimistic_turns_total',
        'turns',
        ['outcome'],
        'Turns that were computed before their messages were stored: committed or refused',
      ),
      gauge('sticky_instances', 'instances', [], 'Instances whose live engine is known to be in a replay thread'),
    ],
  },
  {
    title: 'Activities',
    metrics: [
      counter(
        'activity_executions_total',
        'attempts',
        ['activity', 'outcome'],
        'Attempts that ended: completed, failed, lost or tooManyAttempts',
      ),
      histogram('activity_duration_seconds', 'seconds', ['activity', 'outcome'], 'Time from the hand-over to a thread to the answer'),
      gauge('activities_in_flight', 'activities', [], 'Activities that wait in the runtime, run or are being recorded'),
      counter('activities_completed_total', 'activities', [], 'Activities whose end was recorded'),
      gauge(
        'activity_longest_wait_seconds',
        'seconds',
        ['thread'],
        'Longest wait of an activity in its thread before it started, in the window',
      ),
    ],
  },
  {
    title: 'Queues',
    metrics: [
      counter('items_fetched_total', 'items', ['queue'], 'Items that fetches brought, from the queue orchestrator or worker'),
      histogram('fetch_items', 'items', ['queue'], 'Items of a fetch'),
      counter('fetches_total', 'fetches', ['queue'], 'Fetches that brought something'),
      counter('full_fetches_total', 'fetches', ['queue'], 'Fetches that brought all that was asked for: there is a backlog'),
      gauge(
        'queue_depth',
        'items',
        ['queue'],
        'Items in the store: messages to orchestrations, timers that are not due included, and activities, running ones included',
      ),
      counter('queue_depth_failures_total', 'reads', [], 'Times that the depths could not be read'),
    ],
  },
  {
    title: 'Store',
    metrics: [
      histogram(
        'provider_operation_duration_seconds',
        'seconds',
        ['operation', 'status'],
        'Time of calls to the store; those that wait on purpose are left out',
      ),
      counter('provider_errors_total', 'calls', ['operation', 'code'], 'Calls to the store that failed'),
      counter('store_commits_total', 'transactions', [], 'Transactions of the store'),
      counter('store_commit_items_total', 'items', [], 'Items in the transactions of the store'),
      counter('store_statement_seconds_total', 'seconds', [], 'Time of the event loop in statements of the store'),
      counter('store_commit_seconds_total', 'seconds', [], 'Time of the event loop in commits of the store'),
      counter('store_syncs_total', 'syncs', [], 'Syncs to disk beside a commit'),
      counter('store_sync_seconds_total', 'seconds', [], 'Time in syncs to disk'),
      counter('store_busy_retries_total', 'retries', [], 'Times that another process held the store'),
      counter('store_slow_paths_total', 'transactions', [], 'Transactions that were run again item by item'),
    ],
  },
  {
    title: 'Threads and caches',
    metrics: [
      gauge('thread_utilisation_ratio', 'ratio', ['thread'], 'Share of the window that the event loop of a thread was not idle, 0 to 1'),
      gauge('thread_in_flight', 'items', ['thread'], 'Turns or activities that a thread has'),
      counter('thread_restarts_total', 'restarts', ['thread'], 'Deaths that a thread was started again after'),
      counter(
        'thread_batches_total',
        'messages',
        ['thread', 'direction'],
        'Messages over the port of a thread: sent to it or received from it',
      ),
      counter('thread_items_total', 'items', ['thread', 'direction'], 'Turns or activities in the messages of a thread'),
      gauge(
        'event_loop_delay_seconds',
        'seconds',
        ['quantile'],
        'How late timers of the host fired in the window, by quantile: 0.5, 0.99 or 1',
      ),
      gauge('cache_engines', 'instances', ['thread'], 'Instances that are alive between their turns'),
      gauge('cache_bytes', 'bytes', ['thread'], 'Rough size of the instances that are alive between their turns'),
      counter('cache_lookups_total', 'turns', ['thread', 'outcome'], 'Turns that found their instance alive (hit) or rebuilt it (miss)'),
      counter('cache_evictions_total', 'instances', ['thread'], 'Instances that were dropped because the cache was full'),
      counter('replayed_events_total', 'events', ['thread'], 'Events that were replayed for misses'),
      counter('logger_failures_total', 'lines', [], 'Log lines at which the logger of the host threw or rejected'),
      counter('log_lines_dropped_total', 'lines', ['thread'], 'Log lines that were dropped because there were too many at once'),
    ],
  },
  {
    title: 'Limits',
    metrics: [
      gauge('limit', 'items', ['of'], 'The options turnsPerThread and activitiesPerThread, as they are now'),
      counter('auto_tune_changes_total', 'changes', ['change'], 'What the tuner did to the limits: raised, takenBack or lowered'),
    ],
  },
];

const BY_NAME: ReadonlyMap<string, MetricDescription> = new Map(
  METRIC_GROUPS.flatMap(({ metrics }) => metrics.map((metric) => [metric.name, metric])),
);

/**
 * Describes a metric.
 *
 * @param name - its name
 * @returns null for those that orchestrations made with `ctx.metrics`
 */
export function describeMetric(name: string): MetricDescription | null {
  return BY_NAME.get(name) ?? null;
}

/**
 * Tells the buckets of a histogram.
 *
 * @param name - its name: of those of orchestrations it says the unit
 * @returns the upper bounds
 */
export function bucketsByName(name: string): readonly number[] {
  return name.endsWith('_seconds') ? SECONDS : NUMBERS;
}
