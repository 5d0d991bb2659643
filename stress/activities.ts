// Activities of the stress runs: short real work that yields now and then, so that kills hit it in the middle.
// Neighbours: orchestrations.ts calls them, workload.ts says what comes out.
import { defineActivity } from 'duraloom';
import { dieOnce, type Death } from './die-once.ts';
import { readHeap } from './heap.ts';

/** n². */
export const square = defineActivity('square', async (_ctx, n: number) => {
  for (let step = 0; step < n % 5; step += 1) await new Promise((resolve) => setImmediate(resolve));
  return n * n;
});

/** n + 1. */
export const increment = defineActivity('increment', (_ctx, n: number) => n + 1);

/** Fails until its third attempt. */
export const flaky = defineActivity('flaky', (ctx, n: number) => {
  if (ctx.attempt <= 2) throw new Error(`attempt ${ctx.attempt} fails on purpose`);
  return n;
});

/** Takes its time. */
export const nap = defineActivity('nap', async (_ctx, n: number) => {
  await new Promise((resolve) => setTimeout(resolve, 500 + 200 * n));
  return n;
});

/** Raises an event to an instance: as often as it runs, but with one key. */
export const raise = defineActivity('raise', async (ctx, event: { readonly instanceId: string; readonly data: number }) => {
  await ctx.client.raiseEvent(event.instanceId, 'go', event.data, { key: `go-${event.data}` });
});

/** Gives back the next message to its session. */
export const echo = defineActivity('echo', (ctx) => ctx.receive<number>());

/** n², but its thread dies of the first attempt. */
export const squareAfterDeath = defineActivity(
  'squareAfterDeath',
  async (ctx, { n, death }: { readonly n: number; readonly death: Death }) => {
    dieOnce(`activity ${ctx.instanceId}`, death);
    // The callback that ends the thread comes before this one.
    await new Promise((resolve) => setImmediate(resolve));
    return n * n;
  },
);

/** Live heap of the thread that runs it. */
export const activityHeap = defineActivity('activityHeap', () => readHeap());
