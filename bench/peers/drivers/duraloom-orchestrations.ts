// The orchestrations of the duraloom driver, loaded in the replay threads.
import { defineOrchestration, type OrchestrationDefinition } from '../../../src/index.ts';
import type { Input } from '../driver.ts';
import type * as activities from './duraloom-activities.ts';

export const fan: OrchestrationDefinition<'fan', Input, number> = defineOrchestration('fan', async (ctx, input: Input) => {
  const { step } = ctx.activities<typeof activities>();
  const { width, delayMs, loops } = input;
  const results = await ctx.all(Array.from({ length: width }, (_, index) => step({ index, delayMs, loops })));
  return results.length;
});

export const chain: OrchestrationDefinition<'chain', Input, number> = defineOrchestration('chain', async (ctx, input: Input) => {
  const { step } = ctx.activities<typeof activities>();
  for (let index = 0; index < input.steps; index += 1) await step({ index, delayMs: 0, loops: 0 });
  return input.steps;
});

export const wait: OrchestrationDefinition<'wait', Input, number> = defineOrchestration('wait', (ctx, _input: Input) =>
  ctx.waitForEvent<number>('go'),
);
