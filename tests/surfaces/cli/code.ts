// What the host of the tests of the command line runs.
import { defineActivity, defineOrchestration } from 'duraloom';

export const hello = defineActivity('hello', async (_ctx, text: string) => `Hello, ${text}`);

/** Waits for two events; says what it does. */
export const greet = defineOrchestration('greet', async (ctx, name: string) => {
  ctx.setCustomStatus({ phase: 'waits' });
  const { by } = await ctx.waitForEvent<{ by: string }>('approved');
  ctx.kv.set('by', by);
  const text = await ctx.scheduleActivity(hello, `${name} by ${by}`);
  await ctx.waitForEvent('thanked');
  return text;
});

export const fails = defineOrchestration('fails', async () => {
  throw new RangeError('out of stock');
});

export const answer = defineOrchestration('answer', async (_ctx, value: unknown) => value);

export const listens = defineOrchestration('listens', async (ctx) => await ctx.subscribe('orders/*').next());

/** Nobody has this activity. */
export const stuck = defineOrchestration('stuck', async (ctx) => await ctx.scheduleActivity('nobodyHasIt', 1));

export const parent = defineOrchestration('parent', async (ctx) => {
  await ctx.scheduleSubOrchestration('greet', 'child', { instanceId: `${ctx.instanceId}-child` });
});

/** Three executions. */
export const counts = defineOrchestration('counts', async (ctx, left: number): Promise<string> => {
  if (left > 0) return ctx.continueAsNew(left - 1);
  await ctx.waitForEvent('end');
  return 'counted';
});
