// Entry of an activity thread: one long task of the Piscina pool that lives until its work port is closed.
import { ActivityLoop } from './activity-loop.ts';
import { serveControl } from './control.ts';
import { Progress } from './progress.ts';
import type { ThreadTask } from './replay-thread.ts';

/**
 * Runs the loop.
 *
 * @param task - ports and limit
 * @returns when the work port is closed
 */
export function activityThread(task: ThreadTask): Promise<void> {
  const { workPort, controlPort } = task;
  // A promise that an activity forgot must not take down the others on this thread.
  process.on('unhandledRejection', (reason) => {
    process.emitWarning(
      `an activity left a rejected promise unhandled: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`,
      {
        code: 'DURALOOM_UNHANDLED_REJECTION',
      },
    );
  });
  serveControl(new ActivityLoop({ port: workPort, progress: new Progress(task.progress), slots: task.limit }), controlPort);
  return new Promise((resolve) => workPort.on('close', resolve));
}
