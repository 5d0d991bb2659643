// What duraloom's own metrics mean, for those who look at them elsewhere. Neighbour: metric-bridge.ts. In full: docs/guides/metrics.md.

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  duraloom_orchestration_starts_total: 'Executions that began, by client, parent or continue-as-new.',
  duraloom_orchestration_completions_total: 'Executions that ended, those that continued as new included.',
  duraloom_orchestration_duration_seconds: 'From the start call to the end, over all executions.',
  duraloom_orchestration_turns: 'Turns of an execution.',
  duraloom_orchestration_history_size: 'Events of an execution.',
  duraloom_orchestration_quarantined_total: 'Instances that went into quarantine.',
  duraloom_replay_checks_total: 'Turns that were checked by a replay.',
  duraloom_suborchestration_calls_total: 'Children that were asked for.',
  duraloom_suborchestration_duration_seconds: 'From the call of a child to its answer.',
  duraloom_activity_executions_total: 'Attempts of activities.',
  duraloom_activity_duration_seconds: 'From the hand-over of an activity to a thread to its answer.',
  duraloom_events_dropped_total: 'External events that continue-as-new dropped.',
  duraloom_items_fetched_total: 'Items that fetches brought.',
  duraloom_fetch_items: 'Items of a fetch.',
  duraloom_provider_operation_duration_seconds: 'Calls to the store, without those that wait on purpose.',
  duraloom_provider_errors_total: 'Calls to the store that failed.',
};

/**
 * Describes a metric.
 *
 * @param name - as it is recorded
 * @returns a sentence; empty for one of user code
 */
export function descriptionOf(name: string): string {
  return DESCRIPTIONS[name] ?? '';
}
