// Every store does what the model does: random calls, as many clients as it can have, crashes and clocks that jump.
// More than usual: DURALOOM_MODEL_RUNS=5000 npm test -- tests/provider/model
import fc from 'fast-check';
import { afterAll, describe, test } from 'vitest';
import { fcParameters, seeded } from '../../support/seed.ts';
import { stepLists } from './commands.ts';
import { closeStores, STORES } from './stores.ts';
import { runSteps } from './world.ts';

afterAll(closeStores);

/** How many lists of steps a store runs. */
const RUNS = Number(process.env['DURALOOM_MODEL_RUNS'] ?? 120);

describe(seeded('the model of the contract'), () => {
  for (const store of STORES) {
    test(`holds for ${store.name}`, { timeout: 60_000 + RUNS * 1_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(stepLists, (steps) => runSteps(store, steps)),
        fcParameters({ numRuns: Math.ceil(RUNS / (store.oneIn ?? 1)) }),
      );
    });
  }
});
