// Random programs in simulated worlds: a few hundred seeds here, as many as wanted with `npm run simulate`. A seed that finds something becomes
// a named test below. Neighbours: simulate/scenario.ts makes the worlds.
import { simulate } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { makeScenario, type StoreName } from '../../simulate/scenario.ts';
import { seed as testSeed, seeded } from '../support/seed.ts';

/** How many worlds, in slices that are short enough for a test of their own. */
const SLICES = 8;
const SEEDS_PER_SLICE = { memory: 30, sqlite: 10 };

const firstSeed = Math.abs(testSeed);

async function violationsOf(seed: number, store: StoreName): Promise<readonly string[]> {
  const { violations } = await simulate(await makeScenario(seed, store));
  return violations.map((violation) => `seed ${seed}, store ${store}: ${violation}`);
}

describe.each(['memory', 'sqlite'] as const)(seeded('worlds in %s'), (store) => {
  const count = SEEDS_PER_SLICE[store];
  test.each(Array.from({ length: SLICES }, (_, slice) => slice))('come to the right end, slice %i', async (slice) => {
    for (let index = 0; index < count; index += 1) {
      expect(await violationsOf(firstSeed + slice * count + index, store)).toEqual([]);
    }
  });

  test('are the same twice', async () => {
    for (let index = 0; index < 10; index += 1) {
      const scenario = { ...(await makeScenario(firstSeed + index, store)), trace: true };
      const [first, again] = [await simulate(scenario), await simulate(scenario)];
      expect(again.trace).toBe(first.trace);
    }
  });
});
