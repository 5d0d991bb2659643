// Loaded by the replay threads. Orchestrations are ordinary async functions; of the activities they import the types only.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

export const hello = defineOrchestration('hello', async (ctx, names: readonly string[]) => {
  const { greet } = ctx.activities<typeof activities>();
  const greetings = await ctx.all(names.map((name) => greet(name)));
  return greetings.join(' ');
});
