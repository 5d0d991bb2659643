// Activities of the end-to-end rows, loaded in the activity threads. They do next to nothing: the rows measure the runtime, not the work.
import { defineActivity, type ActivityDefinition } from 'duraloom';

/** W1, W3: a trivial activity with a small result. */
export const work: ActivityDefinition<'work', number, { readonly r: number }> = defineActivity('work', (_ctx, index: number) => ({
  r: index,
}));

/** W2: when it ran, in milliseconds of the machine's monotonic clock, which all threads share. */
export const stamp: ActivityDefinition<'stamp', number, number> = defineActivity('stamp', (_ctx, _step: number) => {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
});
