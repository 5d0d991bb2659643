// Shows which conformance cases a provider skips, and why: vitest only counts skipped tests. Neighbours: tests/provider/*-provider.test.ts.
import type { ConformanceResult } from 'duraloom/conformance';

type Skipped = Extract<ConformanceResult, { readonly outcome: 'skipped' }>;

/** Parts that no store is held to yet; their cases say why. */
const PLANNED = ['figures of the store', 'snapshots of values', 'failures of the store'];

/** The skipped cases of one provider. */
export class SkipReport {
  readonly #provider: string;
  readonly #allowed: readonly string[];
  readonly #countOf = new Map<string, number>();

  /**
   * @param provider - what it is called
   * @param allowed - parts of the contract that it cannot be held to
   */
  constructor(provider: string, allowed: readonly string[]) {
    this.#provider = provider;
    this.#allowed = [...allowed, ...PLANNED];
  }

  /**
   * Notes a skipped case.
   *
   * @param result - what became of it
   * @returns its reason, for the test runner
   * @throws {Error} when nobody expects the provider to skip it
   */
  note({ contract, reason }: Skipped): string {
    if (!this.#allowed.includes(contract)) throw new Error(`${this.#provider} must not skip cases of '${contract}': ${reason}`);
    this.#countOf.set(reason, (this.#countOf.get(reason) ?? 0) + 1);
    return reason;
  }

  /** Prints each reason with the number of its cases. */
  print(): void {
    for (const [reason, count] of this.#countOf) console.log(`${this.#provider} skips ${count} conformance case(s): ${reason}`);
  }
}
