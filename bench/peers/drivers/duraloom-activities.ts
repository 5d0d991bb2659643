// The activity of the duraloom driver, loaded in the activity threads.
import { defineActivity, type ActivityDefinition } from '../../../src/index.ts';
import { work, type Worked } from '../work.ts';

type Step = { readonly index: number; readonly delayMs: number; readonly loops: number };

export const step: ActivityDefinition<'step', Step, Worked> = defineActivity('step', (_ctx, { index, delayMs, loops }: Step) =>
  work(index, delayMs, loops),
);
