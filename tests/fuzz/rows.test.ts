// Rows of a SQLite store, damaged by SQL under a running runtime and at rest: only their own instance suffers.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seeded } from '../support/seed.ts';
import { columnsOf, damage, damageOf, fuzz, LIMIT_MS, storedText, VICTIM, VICTIMS, World, type Cell, type Damage } from './kit.ts';

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
  'instances.instance_key',
  'history.instance_key',
  'instances.code_id',
  'instances.status',
  'instances.ready_at',
  'instances.lock_token',
  'instances.hold_until',
  ...['lease_id', 'queue', 'ends_at', 'lock_token', 'instance_ids'].map((column) => `leases.${column}`),
  'orchestrator_queue.instance_id',
  'orchestrator_queue.visible_at',
  ...['work_items', 'routed_items'].flatMap((table) =>
    ['instance_id', 'execution_id', 'event_id', 'ready_at', 'lock_token'].map((column) => `${table}.${column}`),
  ),
  'routed_items.tag',
  'routed_items.session_id',
  'routed_items.limit_key',
  'routed_items.limit_lane',
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

  /** What happens to each of the victims. */
  const damages = fc.array(damageOf(columns), { minLength: 1, maxLength: VICTIMS.length, size: 'max' });

  /** Damages one victim after the other. */
  function damageAll(world: World, given: readonly Damage[]): void {
    for (const [index, one] of given.entries()) damage(world.file, one, world.where(one.table, world.victims[index]));
  }

  async function expectAllWell(world: World, given: readonly Damage[]): Promise<void> {
    await world.raiseAll();
    await world.expectNeighbours();
    for (const [index, one] of given.entries()) if (!mayWait(one)) await world.expectSettled(world.victims[index]);
    await world.expectTyped();
    await world.expectQuiet();
  }

  test(
    'under a running runtime: no column of any table lets one instance harm another, and the damaged one comes to an end',
    async () => {
      await fc.assert(
        fc.asyncProperty(damages, async (given) => {
          await using world = new World(VICTIMS.slice(0, given.length));
          await world.open();
          await world.start(true);
          await world.populate();
          damageAll(world, given);
          await expectAllWell(world, given);
        }),
        fuzz(12),
      );
    },
    LIMIT_MS,
  );

  test(
    'at rest: no column of any table lets one instance harm another, and the damaged one comes to an end',
    async () => {
      await fc.assert(
        fc.asyncProperty(damages, fc.boolean(), async (given, reopen) => {
          await using world = new World(VICTIMS.slice(0, given.length));
          await world.open();
          await world.start(false);
          await world.populate();
          await world.stop();
          await world.raiseAll();
          if (reopen) await world.closeProvider();
          damageAll(world, given);
          if (reopen) await world.open();
          await world.start(true);
          await expectAllWell(world, given);
        }),
        fuzz(12),
      );
    },
    LIMIT_MS,
  );
});
