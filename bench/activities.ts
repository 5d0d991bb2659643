// Activities of the end-to-end rows, loaded in the activity threads. Most do next to nothing: the rows measure the runtime, not the work.
import { setTimeout as delay } from 'node:timers/promises';
import { defineActivity, type ActivityDefinition } from 'duraloom';
import { ACTIVITY_MS } from './durations.ts';

/** W1, W3: a trivial activity with a small result. */
export const work: ActivityDefinition<'work', number, { readonly r: number }> = defineActivity('work', (_ctx, index: number) => ({
  r: index,
}));

/** W1d: waits, as for a service. */
export const nap: ActivityDefinition<'nap', number, { readonly r: number }> = defineActivity('nap', async (_ctx, index: number) => {
  await delay(ACTIVITY_MS);
  return { r: index };
});

/** W2: when it ran, in milliseconds of the machine's monotonic clock, which all threads share. */
export const stamp: ActivityDefinition<'stamp', number, number> = defineActivity('stamp', (_ctx, _step: number) => {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
});

/**
 * W5: uses a processor. Its own time counts, not that on the clock: threads that wait for a processor get no work done. On a Node that cannot
 * tell, the clock has to do.
 */
export const spin: ActivityDefinition<'spin', number, { readonly r: number }> = defineActivity('spin', (_ctx, index: number) => {
  const endUs = processorTimeUs() + ACTIVITY_MS * 1_000;
  while (processorTimeUs() < endUs);
  return { r: index };
});

function processorTimeUs(): number {
  if (typeof process.threadCpuUsage !== 'function') return performance.now() * 1_000;
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** W9: gives its input back. */
export const echo: ActivityDefinition<'echo', string, string> = defineActivity('echo', (_ctx, text: string) => text);
