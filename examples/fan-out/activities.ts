// Work that keeps a core busy. It runs in the activity threads, so the host's event loop stays free.
import { threadId } from 'node:worker_threads';
import { defineActivity } from 'duraloom';

/** A range of numbers, the end not included. */
type Range = { readonly from: number; readonly to: number };

export const countPrimes = defineActivity('countPrimes', (_ctx, { from, to }: Range) => {
  let primes = 0;
  for (let candidate = Math.max(2, from); candidate < to; candidate += 1) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor += 1;
    if (divisor * divisor > candidate) primes += 1;
  }
  return { primes, threadId };
});
