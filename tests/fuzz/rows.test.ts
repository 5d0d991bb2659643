// Rows of a SQLite store, damaged by SQL under a running runtime and at rest: only their own instance suffers.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seeded } from '../support/seed.ts';
import { cell, columnsOf, damage, fuzz, NEIGHBOURS, storedText, VICTIM, World, type Cell } from './kit.ts';

/** Every column of every table that a store has. */
const columns = await (async () => {
  await using world = new World();
  await world.open();
  return columnsOf(world.file);
})();

/** Raised by whoever can take it: the victim may be gone for every call. */
async function raiseAll(world: World): Promise<void> {
  for (const id of [...NEIGHBOURS, VICTIM]) {
    await world.client.raiseEvents([{ instanceId: id, name: 'go', data: 'raised' }]).catch((error: unknown) => {
      if (id !== VICTIM) throw error;
    });
  }
}

describe(seeded('damaged rows'), () => {
  test('under a running runtime: a history that cannot be read takes its own instance out of service', async () => {
    const codes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(storedText, fc.boolean(), async (text, wholePage) => {
        await using world = new World();
        await world.open();
        await world.start(true);
        await world.populate();
        const damaged: Cell = { kind: 'plain', value: wholePage ? text : `[${text}]` };
        damage(world.file, { table: 'history', column: 'events', where: world.where('history'), cell: damaged });
        await raiseAll(world);
        await world.expectNeighbours();
        const state = await world.client.waitForCustomStatus(VICTIM, { afterVersion: 1, timeout: '10s' });
        expect(state.status).toBe('Quarantined');
        codes.add(state.error?.code ?? '');
        await world.expectTyped();
        await world.expectQuiet();
      }),
      fuzz(12),
    );
    expect([...codes]).toEqual(['HISTORY_INVALID']);
  });

  test('at rest: no column of any table lets one instance harm another', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...columns), cell, fc.boolean(), async (place, value, reopen) => {
        await using world = new World();
        await world.open();
        await world.start(false);
        await world.populate();
        await world.stop();
        await raiseAll(world);
        if (reopen) await world.closeProvider();
        damage(world.file, { ...place, where: world.where(place.table), cell: value });
        if (reopen) await world.open();
        await world.start(true);
        await world.expectNeighbours();
        await world.expectTyped();
        await world.expectQuiet();
      }),
      fuzz(80),
    );
  });
});
