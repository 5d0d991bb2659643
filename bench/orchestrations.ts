// Orchestrations of the end-to-end rows, loaded in the replay threads; the rows M2 and M3 run `chain` without a thread.
import { defineOrchestration, type DurableFuture, type OrchestrationContext, type OrchestrationDefinition } from 'duraloom';
import type * as activities from './activities.ts';

type WidthIn<Name extends string> = OrchestrationDefinition<Name, number, number>;

async function countAll(
  ctx: OrchestrationContext,
  width: number,
  run: (index: number) => DurableFuture<{ readonly r: number }>,
): Promise<number> {
  const results = await ctx.all(Array.from({ length: width }, (_, index) => run(index)));
  return results.length;
}

/** W1, W10, W11: runs trivial activities side by side. W3: the same with one. */
export const fanOut: WidthIn<'fanOut'> = defineOrchestration('fanOut', (ctx, width: number) =>
  countAll(ctx, width, ctx.activities<typeof activities>().work),
);

/** W1d: the same with activities that wait. */
export const napFanOut: WidthIn<'napFanOut'> = defineOrchestration('napFanOut', (ctx, width: number) =>
  countAll(ctx, width, ctx.activities<typeof activities>().nap),
);

/** W5: the same with activities that keep a processor busy. */
export const spinFanOut: WidthIn<'spinFanOut'> = defineOrchestration('spinFanOut', (ctx, width: number) =>
  countAll(ctx, width, ctx.activities<typeof activities>().spin),
);

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

/** W7: waits until a moment, in milliseconds since 1970. */
export const reminder: OrchestrationDefinition<'reminder', number, number> = defineOrchestration('reminder', async (ctx, dueAtMs) => {
  await ctx.scheduleTimer(new Date(dueAtMs));
  return dueAtMs;
});

/** W8: a child that ends at once. */
export const child: OrchestrationDefinition<'child', number, number> = defineOrchestration('child', (_ctx, index: number) => index);

/** W8: runs children side by side and returns the sum of their results. */
export const family: OrchestrationDefinition<'family', number, number> = defineOrchestration('family', async (ctx, children: number) => {
  const results = await ctx.all(Array.from({ length: children }, (_, index) => ctx.scheduleSubOrchestration(child, index)));
  return results.reduce((sum, result) => sum + result, 0);
});

/** W9: sends a text of so many characters through an activity and returns the length of what came back. */
export const bulk: OrchestrationDefinition<'bulk', number, number> = defineOrchestration('bulk', async (ctx, length: number) => {
  const { echo } = ctx.activities<typeof activities>();
  return (await echo('x'.repeat(length))).length;
});
