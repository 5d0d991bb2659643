// Turns into measurements: what a committed turn says about orchestrations. Neighbours: orchestration-dispatcher.ts, metrics.ts.
import type { OrchestrationItem } from '../provider/provider.ts';
import type { ReplayResult } from '../types/replay.ts';
import type { Metrics } from './metrics.ts';

/**
 * Measures a committed turn.
 *
 * @param metrics - of the runtime
 * @param turn - the instance as it was fetched, what the turn gave, and the store's time
 */
export function measureTurn(
  metrics: Metrics,
  turn: { readonly item: OrchestrationItem; readonly result: ReplayResult; readonly nowMs: number },
): void {
  const { item, result, nowMs } = turn;
  const { name } = item;
  const labels = { orchestration: name, version: result.version };
  if (item.lastEventId === 0) {
    const initiatedBy = item.executionId > 1 ? 'continueAsNew' : item.parent === null ? 'client' : 'parent';
    metrics.series('counter', 'duraloom_orchestration_starts_total', { ...labels, initiated_by: initiatedBy }).record(1);
  }
  for (const point of result.effects?.metrics ?? []) metrics.record(point);
  const status = result.outcome.kind;
  if (status === 'waiting' || status === 'notRegistered' || status === 'faulted') return;
  metrics.series('counter', 'duraloom_orchestration_completions_total', { ...labels, status }).record(1);
  metrics.series('histogram', 'duraloom_orchestration_turns', { orchestration: name }).record(result.turns);
  metrics.series('histogram', 'duraloom_orchestration_history_size', { orchestration: name }).record(result.lastEventId);
  if (status === 'continuedAsNew') return;
  // From the start call to the end: the whole life, over all executions.
  const seconds = Math.max(0, nowMs - item.createdAtMs) / 1_000;
  metrics.series('histogram', 'duraloom_orchestration_duration_seconds', { ...labels, status }).record(seconds);
}
