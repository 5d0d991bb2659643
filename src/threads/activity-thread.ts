// Entry of an activity thread: one long task of the Piscina pool that lives until its work port is closed.
import { systemClock } from '../provider/system-clock.ts';
import { assert } from '../types/errors.ts';
import { connectHost } from './activity-host.ts';
import { ActivityLoop } from './activity-loop.ts';
import { serveControl } from './control.ts';
import { endThread } from './end-thread.ts';
import { Progress } from './progress.ts';
import type { ThreadTask } from './replay-thread.ts';

/**
 * Runs the loop.
 *
 * @param task - ports and limit
 * @returns when the work port is closed
 */
export function activityThread(task: ThreadTask): Promise<void> {
  const { workPort, controlPort, activities, logLevel } = task;
  assert(activities !== null, 'an activity thread has a host');
  // A promise that an activity forgot must not take down the others on this thread.
  process.on('unhandledRejection', (reason) => {
    process.emitWarning(
      `an activity left a rejected promise unhandled: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`,
      {
        code: 'DURALOOM_UNHANDLED_REJECTION',
      },
    );
  });
  const { hostPort, storeName, graceMs } = activities;
  const progress = new Progress(task.progress);
  const host = connectHost(hostPort);
  const loop = new ActivityLoop({
    port: workPort,
    clock: systemClock,
    progress,
    slots: task.limit,
    host,
    storeName,
    graceMs,
    logLevel,
    fail: endThread,
  });
  serveControl(loop, controlPort);
  return new Promise((resolve) => {
    workPort.on('close', () => {
      loop.dispose();
      resolve();
    });
  });
}
