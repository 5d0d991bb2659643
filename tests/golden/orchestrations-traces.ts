// What the golden histories of traces were recorded from. Frozen, too; see orchestrations.ts. The ids of spans are part of what is recorded here: they
// follow from history, and stay the same for ever.
import { defineOrchestration } from 'duraloom';

/** Says twice, over continue-as-new, where it is in its trace, and has a child that says it, too. */
export const traced = defineOrchestration('traced', async (ctx, rounds: number): Promise<unknown> => {
  const { traceparent = 'none', tracestate = 'none' } = ctx.trace ?? {};
  await ctx.scheduleActivity('greet', `${traceparent} ${tracestate}`);
  const child = rounds === 0 ? null : await ctx.scheduleSubOrchestration('tracedChild');
  return rounds === 0 ? traceparent : await ctx.continueAsNew(child === null ? rounds : rounds - 1);
});

export const tracedChild = defineOrchestration('tracedChild', async (ctx) => {
  await ctx.scheduleActivity('greet', ctx.trace?.traceparent);
  return ctx.trace;
});
