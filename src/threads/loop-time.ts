// Idle and busy time of an event loop, as Node measures it. Taken before guards or test runners replace what is global.
import { performance } from 'node:perf_hooks';
import type { Worker } from 'node:worker_threads';

/** Milliseconds since the start of the thread. */
export type LoopTime = { readonly idle: number; readonly active: number };

const readOwn = performance.eventLoopUtilization.bind(performance);

/**
 * Reads the time of a thread without asking it.
 *
 * @param worker - the thread; 'here': this one; null: none is running
 * @returns its times; 0 when there is no thread
 */
export function readLoopTime(worker: Worker | 'here' | null): LoopTime {
  if (worker === null) return { idle: 0, active: 0 };
  const { idle, active } = worker === 'here' ? readOwn() : worker.performance.eventLoopUtilization();
  return { idle, active };
}
