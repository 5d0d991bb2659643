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
 * W5: uses a processor for as long as a fixed amount of work takes. A clock would let threads that wait for a processor get their work done by
 * waiting, and the system counts the processor time of a thread in steps of milliseconds.
 */
export const spin: ActivityDefinition<'spin', number, { readonly r: number }> = defineActivity('spin', (_ctx, index: number) => {
  loopsPerMs ??= measureLoopsPerMs();
  loop(loopsPerMs * ACTIVITY_MS);
  return { r: index };
});

/** How much of that work a processor does in a millisecond when nobody else uses it; null: not yet measured in this thread. */
let loopsPerMs: number | null = null;

function measureLoopsPerMs(): number {
  const loops = 2_000_000;
  let bestMs = Number.POSITIVE_INFINITY;
  // The best of several: the others shared the processor, or were not compiled yet.
  for (let trial = 0; trial < 20; trial += 1) {
    const startedMs = performance.now();
    loop(loops);
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  return loops / bestMs;
}

let sink = 0;

function loop(count: number): void {
  let value = sink;
  for (let left = count; left > 0; left -= 1) value = (Math.imul(value, 31) + left) | 0;
  sink = value;
}

/** W9: gives its input back. */
export const echo: ActivityDefinition<'echo', string, string> = defineActivity('echo', (_ctx, text: string) => text);
