// Code from before a change, with which some golden histories were recorded. They are replayed on the code of orchestrations.ts. Frozen, too.
import { defineOrchestration } from 'duraloom';

export const patchedLater = defineOrchestration('patchedLater', async (ctx) => {
  const way = await ctx.scheduleActivity<string>('greet', 'old');
  await ctx.scheduleTimer('1s');
  return way;
});

export const patchRetired = defineOrchestration('patchRetired', async (ctx) =>
  ctx.patched('now for all') ? await ctx.scheduleActivity<string>('greet', 'new') : 'old',
);
