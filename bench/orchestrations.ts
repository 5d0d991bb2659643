// Orchestrations of the end-to-end rows, loaded in the replay threads; the rows M2 and M3 run `chain` without a thread.
import { defineOrchestration, type OrchestrationDefinition } from 'duraloom';
import type * as activities from './activities.ts';

/** W1: runs trivial activities side by side. W3: the same with one. */
export const fanOut: OrchestrationDefinition<'fanOut', number, number> = defineOrchestration('fanOut', async (ctx, width: number) => {
  const { work } = ctx.activities<typeof activities>();
  const results = await ctx.all(Array.from({ length: width }, (_, index) => work(index)));
  return results.length;
});

/** W2: runs activities one after the other and returns when each of them ran. */
export const chain: OrchestrationDefinition<'chain', number, readonly number[]> = defineOrchestration(
  'chain',
  async (ctx, steps: number) => {
    const { stamp } = ctx.activities<typeof activities>();
    const stampsMs: number[] = [];
    for (let step = 0; step < steps; step += 1) stampsMs.push(await stamp(step));
    return stampsMs;
  },
);

/** W4: waits for an event and returns its data. */
export const waiting: OrchestrationDefinition<'waiting', void, number> = defineOrchestration('waiting', (ctx) =>
  ctx.waitForEvent<number>('go'),
);
