// Search attributes: what starts and code set is what clients see and find, whatever the store.
//
// Covered elsewhere:
// | case                                                | where                            |
// | --------------------------------------------------- | -------------------------------- |
// | every change, its event, its replay; limits         | tests/replay/attributes.test.ts  |
// | what the store keeps, and how it finds              | src/conformance                  |
import Database from 'better-sqlite3';
import { defineOrchestration, type OrchestrationContext, type StartOptions } from 'duraloom';
import { sqliteTransaction } from 'duraloom/sqlite';
import { createTestRuntime } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { DURALOOM_URL, PATIENCE, rejection, stage } from '../support/integration-stage.ts';
import { causeOf, describeInHouses, ofKind, type House } from './fixtures/house.ts';

/** Ids of the instances that have an attribute. */
async function found(house: House, attributes: StartOptions['attributes']): Promise<readonly string[]> {
  const { instances } = await house.client.listInstances({ orderBy: 'id', ...(attributes !== undefined && { attributes }) });
  return instances.map(({ instanceId }) => instanceId);
}

const bad: readonly (readonly [string, unknown, RegExp])[] = [
  ['null', null, /attributes to be an object such as/],
  ['a list', ['vip'], /got \['vip'\]/],
  ['null as value', { vip: null }, /null removes one in ctx\.setAttributes only/],
  ['an object as value', { vip: {} }, /attribute 'vip' to be text, a finite number or a boolean/],
  ['not a number', { total: Number.NaN }, /got NaN/],
  ['an empty key', { '': 1 }, /attribute key/],
  ['__proto__', JSON.parse('{"__proto__":1}'), /__proto__/],
  ['a long text', { note: 'x'.repeat(257) }, /at most 256 characters/],
  ['too many', Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`k${index}`, 1])), /at most 32 attributes, got 33/],
];

describeInHouses('search attributes', (house) => {
  test('of a start and of code are what clients see, live and at the end', async () => {
    const handle = await house.play(
      async (ctx) => {
        const first = ctx.attributes;
        ctx.setAttributes({ step: 1, draft: null });
        await ctx.waitForEvent('go');
        ctx.setAttributes({ step: 2 });
        return first;
      },
      undefined,
      { attributes: { customer: 'acme', draft: true } },
    );
    await handle.raiseEvent('go');
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ customer: 'acme', draft: true });
    expect((await handle.state()).attributes).toEqual({ customer: 'acme', step: 2 });
    const history = await handle.readHistory();
    expect(ofKind(history, 'OrchestrationStarted')[0]?.attributes).toEqual({ customer: 'acme', draft: true });
    expect(ofKind(history, 'AttributesSet').map(({ attributes }) => attributes)).toEqual([{ draft: null, step: 1 }, { step: 2 }]);
  });

  test('are seen before the first turn, which may be far away', async () => {
    const handle = await house.play((ctx) => ctx.attributes, undefined, { attributes: { later: true }, startAfter: '1h' });
    expect(await handle.state()).toMatchObject({ status: 'Pending', attributes: { later: true } });
    await handle.terminate();
  });

  test('find instances by all of them, by their values, and by tags; what was removed finds nothing', async () => {
    const run = house.newId();
    const code = (ctx: OrchestrationContext, change: never): void => ctx.setAttributes(change);
    const changes = [
      { run, customer: 'acme', vip: true },
      { run, customer: 'acme', vip: false, total: 1 },
      { run, customer: 'globex', vip: true, total: '1' },
      { run, customer: null, first: null },
    ];
    const handles = await Promise.all(
      changes.map((change) => house.play(code, change, { attributes: { customer: 'none', first: 'yes', [`${run}?`]: 0 } })),
    );
    await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })));
    const ids = handles.map(({ instanceId }) => instanceId);
    const of = (...indexes: readonly number[]): readonly string[] => ids.filter((_, index) => indexes.includes(index)).toSorted();
    expect(await found(house, { run })).toEqual(of(0, 1, 2, 3));
    expect(await found(house, { run, customer: 'acme' })).toEqual(of(0, 1));
    expect(await found(house, { run, total: 1 })).toEqual(of(1));
    expect(await found(house, { run, total: '1' })).toEqual(of(2));
    expect(await found(house, { run, vip: false })).toEqual(of(1));
    expect(await found(house, { run, customer: 'none' })).toEqual([]);
    expect(await found(house, { run, first: 'yes' })).toEqual(of(0, 1, 2));
    expect(await found(house, { [`${run}?`]: 0 })).toEqual(of(0, 1, 2, 3));
    const { instances } = await house.client.listInstances({ tag: 'vip', attributes: { run }, orderBy: 'id' });
    expect(instances.map(({ instanceId, attributes }) => [instanceId, attributes['customer']])).toEqual([
      [ids[0], 'acme'],
      [ids[2], 'globex'],
    ]);
  });

  test('are kept over continue-as-new and a restart, and changed in each execution', async () => {
    const handle = await house.play(
      async (ctx, round: number) => {
        ctx.setAttributes({ [`round ${round}`]: true });
        ctx.kv.set('round', round);
        await ctx.waitForEvent('go');
        return round === 2 ? ctx.attributes : await ctx.continueAsNew(round + 1);
      },
      1,
      { attributes: { customer: 'acme' } },
    );
    await handle.raiseEvent('go');
    await handle.waitForValue('round', { unless: 1, timeout: PATIENCE });
    await house.restart();
    await handle.raiseEvent('go');
    const all = { customer: 'acme', 'round 1': true, 'round 2': true };
    expect(await handle.result({ timeout: PATIENCE })).toEqual(all);
    expect((await handle.state()).attributes).toEqual(all);
    expect(await found(house, { 'round 1': true, 'round 2': true, customer: 'acme' })).toEqual([handle.instanceId]);
  });

  test('of a child and of a detached start are their own', async () => {
    const [child, detached] = [house.cast(house.newId(), (ctx) => ctx.attributes), house.cast(house.newId(), (ctx) => ctx.attributes)];
    const handle = await house.play(
      async (ctx) => {
        ctx.startOrchestration('play', detached, undefined, { attributes: { of: 'detached' } });
        return await ctx.scheduleSubOrchestration('play', undefined, { instanceId: child, attributes: { of: 'child' } });
      },
      undefined,
      { attributes: { of: 'parent' } },
    );
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ of: 'child' });
    expect(await house.client.waitForResult(detached, { timeout: PATIENCE })).toEqual({ of: 'detached' });
    for (const [id, of] of [
      [handle.instanceId, 'parent'],
      [child, 'child'],
      [detached, 'detached'],
    ] as const) {
      expect((await house.client.getState(id))?.attributes).toEqual({ of });
    }
  });

  test('of a batch and of an activity go with each start', async () => {
    const [one, two, three] = [0, 1, 2].map(() => house.cast(house.newId(), (ctx) => ctx.attributes)) as [string, string, string];
    await house.client.startOrchestrations([
      { instanceId: one, orchestration: 'play', attributes: { of: 'one' } },
      { instanceId: two, orchestration: 'play' },
    ]);
    const deed = house.deed(async (ctx) => {
      await ctx.client.startOrchestration(three, 'play', undefined, { attributes: { of: 'three' } });
    });
    await house.result((ctx) => ctx.scheduleActivity('perform', deed));
    const results = await Promise.all([one, two, three].map((id) => house.client.waitForResult(id, { timeout: PATIENCE })));
    expect(results).toEqual([{ of: 'one' }, {}, { of: 'three' }]);
    const states = await Promise.all([one, two, three].map((id) => house.client.getState(id)));
    expect(states.map((state) => state?.attributes)).toEqual(results);
  });

  test('of an instance that is replaced are gone; of one that exists they stay', async () => {
    const id = house.cast(house.newId(), (ctx) => ctx.attributes);
    await (await house.client.startOrchestration(id, 'play', 1, { attributes: { old: true } })).result({ timeout: PATIENCE });
    await house.client.startOrchestration(id, 'play', 1, { onExisting: 'useExisting', attributes: { ignored: true } });
    expect((await house.client.getState(id))?.attributes).toEqual({ old: true });
    const again = await house.client.startOrchestration(id, 'play', 1, { onExisting: 'replaceTerminal', attributes: { new: 1 } });
    expect(await again.result({ timeout: PATIENCE })).toEqual({ new: 1 });
    expect((await again.state()).attributes).toEqual({ new: 1 });
    expect(await found(house, { old: true })).toEqual([]);
  });

  test('of an instance that is tried again are those that its start gave it', async () => {
    let isBroken = true;
    const handle = await house.play(
      (ctx) => {
        const before = ctx.attributes;
        ctx.setAttributes({ tried: true });
        if (isBroken) throw new Error('not yet');
        return before;
      },
      undefined,
      { attributes: { customer: 'acme' } },
    );
    await causeOf(handle);
    expect((await handle.state()).attributes).toEqual({ customer: 'acme', tried: true });
    isBroken = false;
    await house.client.retry(handle.instanceId);
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ customer: 'acme' });
  });

  test.each(bad)('of a start are refused when they are %s, with nothing started', async (_, attributes, message) => {
    const options = { attributes } as StartOptions;
    const id = house.newId();
    const refusals = [
      await rejection(house.client.startOrchestration(id, 'play', 1, options)),
      await rejection(house.client.startOrchestrations([{ instanceId: id, orchestration: 'play', ...options }])),
    ];
    for (const error of refusals)
      expect(error).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringMatching(message) as string });
    expect(await house.client.getState(id)).toBeNull();
  });

  test.each(bad)('to look for are refused when they are %s', async (_, attributes, message) => {
    const error = await rejection(house.client.listInstances({ attributes } as StartOptions));
    expect(error).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringMatching(message) as string });
  });
});

describe('search attributes', () => {
  const source = `
    import { defineActivity, defineOrchestration } from '${DURALOOM_URL}';
    export const nothing = defineActivity('nothing', () => null);
    export const child = defineOrchestration('child', (ctx) => Promise.resolve(ctx.attributes));
    export const order = defineOrchestration('order', async (ctx, round) => {
      ctx.setAttributes({ ['round ' + round]: true, step: 'begun' });
      await ctx.scheduleActivity('nothing');
      const of = await ctx.scheduleSubOrchestration('child', undefined, { attributes: { ...ctx.attributes, parent: ctx.instanceId } });
      ctx.setAttributes({ step: null, seen: Object.keys(of).length });
      return round === 1 ? await ctx.continueAsNew(2) : ctx.attributes;
    });`;

  test('travel between threads, and come from transactions of the application', async () => {
    const stand = stage();
    const url = stand.writeModule('order.mjs', source);
    const { client } = await stand.open({ orchestrations: url, activities: url });
    const app = new Database(stand.file());
    stand.defer(() => void app.close());
    const store = sqliteTransaction(app);
    const start = app.transaction((attributes: object) => store.startOrchestration('o1', 'order', 1, { attributes } as StartOptions));
    expect(() => start.immediate({ customer: {} })).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }) as Error);
    start.immediate({ customer: 'acme' });
    const all = { customer: 'acme', 'round 1': true, 'round 2': true, seen: 6 };
    expect(await client.waitForResult('o1', { timeout: PATIENCE })).toEqual(all);
    expect((await client.getState('o1'))?.attributes).toEqual(all);
    const { instances } = await client.listInstances({ attributes: { parent: 'o1', customer: 'acme' }, tag: 'round 2' });
    expect(instances).toMatchObject([{ name: 'child', attributes: { step: 'begun', 'round 1': true } }]);
  });

  test('are those of real runtimes in a test runtime', async () => {
    const tagged = defineOrchestration('tagged', async (ctx) => {
      await ctx.scheduleTimer('1h');
      ctx.setAttributes({ late: true });
      return ctx.attributes;
    });
    await using runtime = await createTestRuntime({ orchestrations: [tagged] });
    const handle = await runtime.start(tagged, undefined, { attributes: { customer: 'acme' } });
    expect(await handle.result()).toEqual({ customer: 'acme', late: true });
    const { instances } = await runtime.client.listInstances({ tag: 'late' });
    expect(instances.map(({ instanceId }) => instanceId)).toEqual([handle.instanceId]);
  });
});
