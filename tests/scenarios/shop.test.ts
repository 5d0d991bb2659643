// E-commerce order, as an async function and as a generator.
import { Client } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { startHost } from '../support/integration-child.ts';
import { PATIENCE, rejection, stage } from '../support/integration-stage.ts';
import { LEDGERS_VARIABLE, notes } from './fixtures/outside.ts';
import { order, orderByGenerator } from './fixtures/shop.ts';
import { inEveryMode, outline, scenarioModule, type World } from './world.ts';

const STYLES = [
  { style: 'async', definition: order },
  { style: 'generator', definition: orderByGenerator },
] as const;

const twoLamps = { items: [{ sku: 'lamp', quantity: 2 }], card: 'good', express: false };

inEveryMode({ module: 'shop.ts' }, (world) => {
  describe.each(STYLES)('written as $style', ({ style, definition }) => {
    const idOf = (name: string): string => `${name}-${style}`;

    test('an order is reserved, paid by a child with a retry, sent and delivered', async () => {
      const id = idOf('good');
      const items = [
        { sku: 'lamp', quantity: 1 },
        { sku: 'pen', quantity: 3 },
      ];
      await world.client.startOrchestration(id, definition, { items, card: 'good', express: true });
      await world.reach(id, 'paid');
      await world.interrupt();
      await world.client.raiseEvent(id, 'picked');
      await world.reach(id, 'sent');
      await world.interrupt();
      await world.client.raiseEvent(id, 'delivered');
      expect(await world.result(id)).toEqual({ state: 'delivered', parcel: `parcel-${id}` });
      expect(world.notes(id)).toEqual([
        'reserve 1 lamp',
        'reserve 3 pen',
        'charge 2450',
        'send express',
        `mail: parcel-${id} is on its way`,
      ]);
    });

    test('an order that is withdrawn after payment gets its money back', async () => {
      const id = idOf('withdrawn');
      await world.client.startOrchestration(id, definition, twoLamps);
      await world.reach(id, 'paid');
      await world.interrupt();
      await world.client.raiseEvent(id, 'withdraw', { reason: 'too dark' });
      expect(await world.result(id)).toEqual({ state: 'withdrawn', reason: 'too dark' });
      expect(world.notes(id)).toEqual(['reserve 2 lamp', 'charge 4000', 'pay back the receipt for 4000', 'release 2 lamp']);
    });

    test.each([
      ['a card that is refused', 'expired', [{ sku: 'rug', quantity: 1 }], 'the card has expired', ['reserve 1 rug', 'release 1 rug']],
      [
        'stock that is too small for the second item',
        'good',
        [
          { sku: 'pen', quantity: 5 },
          { sku: 'lamp', quantity: 101 },
        ],
        'only 100 lamp left',
        ['reserve 5 pen', 'release 5 pen'],
      ],
      ['an article that is not sold', 'good', [{ sku: 'horse', quantity: 1 }], 'there is no horse', []],
    ])('%s ends in an apology and leaves nothing reserved', async (name, card, items, reason, done) => {
      const id = idOf(name.replaceAll(' ', '-'));
      await world.client.startOrchestration(id, definition, { items, card, express: false });
      await world.interrupt();
      expect(await world.result(id)).toEqual({ state: 'refused', reason });
      expect(world.notes(id)).toEqual([...done, `mail: sorry: ${reason}`]);
    });

    test('an order that is none fails at once', async () => {
      await world.client.startOrchestration(idOf('empty'), definition.name, { items: [], card: 'good' });
      const error = await rejection(world.result(idOf('empty')));
      expect(error).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { code: 'SCHEMA_MISMATCH' } });
      expect(world.notes(idOf('empty'))).toEqual([]);
    });
  });

  test('both styles decide the same in the same order', async () => {
    const of = async (given: World, id: string): Promise<readonly string[]> => (await given.outline(id)).slice(1);
    for (const name of ['good', 'withdrawn', 'a-card-that-is-refused', 'stock-that-is-too-small-for-the-second-item']) {
      expect(await of(world, `${name}-generator`)).toEqual(await of(world, `${name}-async`));
    }
  });
});

test.each(STYLES)('an order written as $style survives that its process is killed again and again', async ({ definition }) => {
  const stand = stage();
  process.env[LEDGERS_VARIABLE] = stand.folder;
  const client = new Client(await stand.openProvider());
  const url = scenarioModule('shop.ts').href;
  const options = {
    orchestrations: url,
    activities: url,
    replayThreads: 0,
    activityThreads: 0,
    orchestrationLockMs: 300,
    activityLockMs: 300,
  };
  const restart = async (): Promise<() => Promise<void>> => {
    const host = await startHost(stand, { ...options, maxAttempts: 10, turnTimeoutMs: 5_000 });
    return () => host.kill();
  };
  const handle = await client.startOrchestration('order', definition, twoLamps);
  let kill = await restart();
  const reach = async (status: string): Promise<void> => {
    for (let afterVersion = 0; ;) {
      const state = await handle.waitForCustomStatus({ afterVersion, timeout: PATIENCE });
      if (state.customStatus === status) return;
      afterVersion = state.customStatusVersion;
    }
  };
  await reach('paid');
  await kill();
  kill = await restart();
  await handle.raiseEvent('picked');
  await reach('sent');
  await kill();
  await restart();
  await handle.raiseEvent('delivered');
  expect(await handle.result({ timeout: PATIENCE })).toEqual({ state: 'delivered', parcel: 'parcel-order' });
  // Each activity has one result; one that was killed in the middle may have run twice.
  expect(new Set(notes('order'))).toEqual(new Set(['reserve 2 lamp', 'charge 4000', 'send', 'mail: parcel-order is on its way']));
  expect((await handle.readHistory()).filter(({ kind }) => kind === 'ActivityCompleted')).toHaveLength(4);
  expect(outline(await handle.readHistory()).at(-1)).toBe('OrchestrationCompleted');
});
