// Fan-out and fan-in: all parts are scheduled at once and awaited together.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

/** Which numbers to search, and in how many parts. */
type Search = { readonly below: number; readonly parts: number };

export const searchPrimes = defineOrchestration('searchPrimes', async (ctx, { below, parts }: Search) => {
  const { countPrimes } = ctx.activities<typeof activities>();
  const bounds = Array.from({ length: parts + 1 }, (_, index) => Math.floor((below * index) / parts));
  const counts = await ctx.all(bounds.slice(1).map((to, index) => countPrimes({ from: bounds[index] ?? 0, to })));
  return {
    primes: counts.reduce((sum, { primes }) => sum + primes, 0),
    threads: new Set(counts.map(({ threadId }) => threadId)).size,
  };
});
