// The seed of randomised tests: chosen once per test file, shown in the suite title, and settable to repeat a failure.

/** Seed in CI, where a run must be repeatable: a random one would fail for reasons that the change under test does not have. */
const CI_SEED = 20_250_101;

/**
 * Decides on the seed.
 *
 * @param env - environment variables: `DURALOOM_SEED` wins, then `CI` asks for the fixed seed
 * @param random - source of randomness otherwise, in [0, 1)
 * @returns a 32-bit signed integer, as fast-check takes it
 * @throws {RangeError} when `DURALOOM_SEED` is set to anything else
 */
export function resolveSeed(env: Readonly<Record<string, string | undefined>>, random: () => number): number {
  const text = env['DURALOOM_SEED'];
  if (text !== undefined && text !== '') {
    const given = Number(text);
    // A typing mistake must not turn into another, silently chosen seed.
    if (!Number.isInteger(given) || given !== (given | 0)) {
      throw new RangeError(`Expected DURALOOM_SEED to be a 32-bit integer, got '${text}'`);
    }
    return given;
  }
  return env['CI'] ? CI_SEED : Math.floor(random() * 2 ** 31);
}

/** The seed of this test file's run. */
export const seed: number = resolveSeed(process.env, Math.random);

/**
 * Adds the seed to a suite title, in the form in which it can be given back.
 *
 * @param title - what the suite tests
 * @returns title with seed
 */
export function seeded(title: string): string {
  return `${title} [DURALOOM_SEED=${seed}]`;
}

/**
 * Parameters for `fc.assert`.
 *
 * @param parameters - `numRuns`: how many cases to try, at least 1
 * @returns the parameters with the seed
 */
export function fcParameters(parameters: { readonly numRuns: number }): { readonly numRuns: number; readonly seed: number } {
  return { ...parameters, seed };
}
