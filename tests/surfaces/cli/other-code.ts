// The orchestration of code.ts as somebody changed it: it does not follow the histories of the other.
import { defineOrchestration } from 'duraloom';

console.log('code that prints');

export const greet = defineOrchestration('greet', async (ctx) => {
  await ctx.scheduleActivity('other', 1);
});
