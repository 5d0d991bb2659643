// Rows of a SQLite store, damaged by SQL under a running runtime and at rest: only their own instance suffers.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seeded } from '../support/seed.ts';
import { columnsOf, damage, damageOf, fuzz, LIMIT_MS, storedText, VICTIM, World, type Cell, type Damage } from './kit.ts';

/** Every column of every table that a store has. */
const columns = await (async () => {
  await using world = new World();
  await world.open();
  return columnsOf(world.file);
})();

/**
 * Cells that say whose a row is, where it stands or who holds it. With another value there a row is sound, but somewhere else, and its
 * instance waits for it; nothing but a look at all rows could tell.
 */
const PLACES: ReadonlySet<string> = new Set([
  'codes.code_id',
  'codes.name',
  'codes.version',
  'codes.engine',
  'instances.code_id',
  'instances.status',
  'instances.ready_at',
  'instances.lock_token',
  'instances.hold_until',
  'orchestrator_queue.instance_id',
  'orchestrator_queue.visible_at',
  ...['work_items', 'routed_items'].flatMap((table) =>
    ['instance_id', 'execution_id', 'event_id', 'ready_at'].map((column) => `${table}.${column}`),
  ),
  'routed_items.tag',
  'routed_items.session_id',
  'routed_items.expires_at',
]);

function mayWait({ table, column, cell }: Damage): boolean {
  return cell === 'row removed' || PLACES.has(`${table}.${column}`);
}

describe(seeded('damaged rows'), () => {
  test(
    'under a running runtime: a history that cannot be read takes its own instance out of service',
    async () => {
      const codes = new Set<string>();
      await fc.assert(
        fc.asyncProperty(storedText, fc.boolean(), async (text, wholePage) => {
          await using world = new World();
          await world.open();
          await world.start(true);
          await world.populate();
          const cell: Cell = { kind: 'plain', value: wholePage ? text : `[${text}]` };
          damage(world.file, { table: 'history', column: 'events', cell }, world.where('history'));
          await world.raiseAll();
          await world.expectNeighbours();
          expect(await world.expectSettled()).toBe('INSTANCE_QUARANTINED');
          codes.add((await world.client.getState(VICTIM))?.error?.code ?? '');
          await world.expectTyped();
          await world.expectQuiet();
        }),
        fuzz(8),
      );
      expect([...codes]).toEqual(['HISTORY_INVALID']);
    },
    LIMIT_MS,
  );

  test(
    'under a running runtime: no column of any table lets one instance harm another, and the damaged one comes to an end',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(damageOf(columns), { minLength: 1, maxLength: 2 }), async (damages) => {
          await using world = new World();
          await world.open();
          await world.start(true);
          await world.populate();
          for (const one of damages) damage(world.file, one, world.where(one.table));
          await world.raiseAll();
          await world.expectNeighbours();
          if (!damages.some(mayWait)) await world.expectSettled();
          await world.expectTyped();
          await world.expectQuiet();
        }),
        fuzz(30),
      );
    },
    LIMIT_MS,
  );

  test(
    'at rest: no column of any table lets one instance harm another, and the damaged one comes to an end',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(damageOf(columns), { minLength: 1, maxLength: 2 }), fc.boolean(), async (damages, reopen) => {
          await using world = new World();
          await world.open();
          await world.start(false);
          await world.populate();
          await world.stop();
          await world.raiseAll();
          if (reopen) await world.closeProvider();
          for (const one of damages) damage(world.file, one, world.where(one.table));
          if (reopen) await world.open();
          await world.start(true);
          await world.raiseAll();
          await world.expectNeighbours();
          if (!damages.some(mayWait)) await world.expectSettled();
          await world.expectTyped();
          await world.expectQuiet();
        }),
        fuzz(30),
      );
    },
    LIMIT_MS,
  );
});
