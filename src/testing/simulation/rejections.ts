// Rejections that nobody handled while a world is simulated: those of orchestration code are its engine's business, all others are a finding.
// Neighbours: threads/replay-loop.ts handles the former, world.ts reports the latter.
import { isOrchestrationCode } from '../../threads/replay-loop.ts';

type Listener = NodeJS.UnhandledRejectionListener;

/**
 * Catches unhandled rejections instead of those who listen now, such as a test runner.
 *
 * @param onRejection - gets the reason of those that are not of orchestration code
 * @returns a function that puts the listeners back
 */
export function catchRejections(onRejection: (reason: unknown) => void): () => void {
  const before = process.rawListeners('unhandledRejection') as Listener[];
  const listener: Listener = (reason) => {
    if (!isOrchestrationCode()) onRejection(reason);
  };
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', listener);
  return () => {
    process.off('unhandledRejection', listener);
    for (const other of before) process.on('unhandledRejection', other);
  };
}
