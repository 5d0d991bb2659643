// A loop without end: each round is an execution of its own with a short history, however long the loop lives.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

/** What one round hands on to the next. */
type Round = { readonly round: number; readonly highest: number };

export const monitor = defineOrchestration('monitor', async (ctx, { round, highest }: Round): Promise<Round> => {
  const { measure } = ctx.activities<typeof activities>();
  const { memoryInUse } = await measure();
  const seen: Round = { round, highest: Math.max(highest, memoryInUse) };
  ctx.setCustomStatus(seen);

  const next = await ctx.race({ stop: ctx.waitForEvent('stop'), tick: ctx.scheduleTimer('50ms') });
  return next.key === 'stop' ? seen : ctx.continueAsNew({ ...seen, round: round + 1 });
});
