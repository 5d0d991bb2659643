// Entry of a replay thread: one long task of the Piscina pool that lives until its work port is closed.
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../provider/system-clock.ts';
import type { LogThreshold } from '../types/logger.ts';
import { serveControl } from './control.ts';
import { endThread } from './end-thread.ts';
import { Progress } from './progress.ts';
import { ReplayLoop } from './replay-loop.ts';

/** What main hands to a thread. */
export type ThreadTask = {
  readonly workPort: MessagePort;
  readonly controlPort: MessagePort;
  readonly progress: SharedArrayBuffer;
  /** Replay threads: most memory of live engines, in bytes. Activity threads: activities that run at once. */
  readonly limit: number;
  /** Replay threads: share of the turns to be checked, 0 to 1. */
  readonly checkRate: number;
  /** The least important log lines that anybody wants. */
  readonly logLevel: LogThreshold;
  /** Replay threads: see `ReplayLoopOptions`. */
  readonly traceRatio: number | null;
  /** For activity threads only. */
  readonly activities: {
    readonly hostPort: MessagePort;
    readonly storeName: string;
    readonly graceMs: number;
  } | null;
};

/**
 * Runs the loop.
 *
 * @param task - ports and limit
 * @returns when the work port is closed
 */
export function replayThread(task: ThreadTask): Promise<void> {
  const { workPort, controlPort, limit: cacheBytes, checkRate, logLevel, traceRatio } = task;
  const progress = new Progress(task.progress);
  const common = { port: workPort, clock: systemClock, progress, cacheBytes, fail: endThread };
  serveControl(new ReplayLoop({ ...common, checkRate, logLevel, traceRatio }), controlPort);
  return new Promise((resolve) => workPort.on('close', resolve));
}
