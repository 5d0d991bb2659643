// Tells of log lines that were dropped: a metric, and a line in their place. Neighbours: the dispatchers note drops, the threads make most of them.
import type { Logger } from '../types/logger.ts';
import type { Metrics } from './metrics.ts';

/** Why most lines are dropped. */
export const TOO_MANY_LINES = 'more were logged at once than a turn or a thread may keep. Log less, or raise `logLevel`';

/** Dropped lines: how many, why, and where they come from. */
export type Drops = {
  readonly dropped: number;
  readonly why: string;
  readonly origin: Readonly<Record<string, unknown>> & { readonly thread: string };
};

/**
 * Notes dropped lines; nothing is done when there are none.
 *
 * @param to - metrics and logger of the runtime
 * @param drops - what was dropped
 */
export function noteDropped(to: { readonly metrics: Metrics; readonly logger: Logger }, { dropped, why, origin }: Drops): void {
  if (dropped === 0) return;
  const labels = { thread: origin.thread };
  to.metrics.record({ kind: 'counter', name: 'duraloom_log_lines_dropped_total', value: dropped, labels });
  to.logger.warn({ ...origin, dropped }, `${dropped} log lines were dropped: ${why}`);
}
