// What `duraloom doctor` runs in real threads: an orchestration that calls an activity. A module of its own, because threads load modules.
import { defineActivity, defineOrchestration, type ActivityDefinition, type OrchestrationDefinition } from '../../index.ts';

/** Answers with the thread that it runs in. */
export const add: ActivityDefinition<'add', number, number> = defineActivity('add', async (_ctx, value: number) => value + 1);

/** Calls the activity. */
export const selfTest: OrchestrationDefinition<'selfTest', number, number> = defineOrchestration(
  'selfTest',
  async (ctx, value: number): Promise<number> => await ctx.scheduleActivity(add, value),
);
