// How many requests a client address may send: a bucket of tokens for each, in a map of bounded size. Neighbour: guard.ts asks it.
import { BoundedMap } from '../../main/bounded-map.ts';
import type { RateLimit } from './options.ts';

type Bucket = { readonly tokens: number; readonly atMs: number };

/** Buckets of tokens by client address. */
export class RateLimiter {
  readonly #limit: Required<RateLimit>;
  readonly #nowMs: () => number;
  readonly #buckets = new BoundedMap<string, Bucket>();

  /**
   * @param limit - the rate
   * @param nowMs - a clock that does not go back
   */
  constructor(limit: Required<RateLimit>, nowMs: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#nowMs = nowMs;
  }

  /**
   * Takes tokens.
   *
   * @param address - whose
   * @param cost - how many
   * @returns null: taken; else seconds until it is worth another try
   */
  take(address: string, cost: number): number | null {
    const { perSecond, burst } = this.#limit;
    const nowMs = this.#nowMs();
    const { tokens: before, atMs } = this.#buckets.get(address) ?? { tokens: burst, atMs: nowMs };
    const tokens = Math.min(burst, before + ((nowMs - atMs) / 1_000) * perSecond);
    if (tokens < Math.min(1, cost)) {
      this.#buckets.set(address, { tokens, atMs: nowMs });
      return Math.max(1, Math.ceil((1 - tokens) / perSecond));
    }
    // A debt is bounded, so that nobody is locked out for long.
    this.#buckets.set(address, { tokens: Math.max(tokens - cost, -burst), atMs: nowMs });
    return null;
  }
}
