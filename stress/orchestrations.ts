// Orchestrations of the stress runs: everything that a crash could tear apart, with a result that can be computed without them.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

/** Sum of squares below n. */
export const child = defineOrchestration('child', async (ctx, n: number) => {
  const { square } = ctx.activities<typeof activities>();
  const squares = await ctx.all(Array.from({ length: n }, (_, index) => square(index)));
  return squares.reduce((sum, value) => sum + value, 0);
});

/** Two rounds of continue-as-new; in each an activity, a timer that loses a race, a child, a chain. */
export const mixed = defineOrchestration(
  'mixed',
  async (ctx, input: { readonly n: number; readonly sum: number; readonly round: number }): Promise<number> => {
    const { square } = ctx.activities<typeof activities>();
    const winner = await ctx.race({ value: square(input.n), timeout: ctx.scheduleTimer('1h') });
    if (winner.key === 'timeout') throw new Error('the timer was first');
    await ctx.scheduleTimer(5);
    const fromChild = await ctx.scheduleSubOrchestration(child, input.n % 4);
    let chain = 0;
    for (let step = 0; step < 3; step += 1) chain += await square(step);
    ctx.setCustomStatus({ round: input.round });
    const sum = input.sum + winner.value + fromChild + chain;
    return input.round < 2 ? ctx.continueAsNew({ n: input.n, sum, round: input.round + 1 }) : sum;
  },
);
