// Activities of the stress runs: short real work that yields now and then, so that kills hit it in the middle.
import { defineActivity } from 'duraloom';

export const square = defineActivity('square', async (_ctx, n: number) => {
  for (let step = 0; step < n % 5; step += 1) await new Promise((resolve) => setImmediate(resolve));
  return n * n;
});
