// Errors on their way, statuses, code that does not fit its history.
//
// Covered elsewhere:
// | case                                                                  | where                                                  |
// | --------------------------------------------------------------------- | ------------------------------------------------------ |
// | failures as data, causes, thrown things that are no errors            | tests/replay/errors.test.ts, tests/integration/misbehaviour.test.ts |
// | every kind of difference between code and history, both sides shown   | tests/replay/nondeterminism.test.ts                    |
// | completions of other executions, unknown or duplicate ones            | tests/replay/completions.test.ts, continue-as-new.test.ts |
// | a history that is too long; stuck and late code; unhandled rejections | tests/replay/limits.test.ts, stuck-and-late.test.ts, tests/integration/misbehaviour.test.ts |
// | unknown activities and orchestrations                                 | quarantine.test.ts, tests/integration/bad-input.test.ts |
// | events before a wait and after the end                                | events.test.ts                                         |
// | compensation                                                          | samples.test.ts                                        |
// | payloads that are no JSON or too large                                | tests/integration/payloads.test.ts                     |
import type { InstancePage } from 'duraloom';
import { defineActivity, defineOrchestration } from 'duraloom';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { PATIENCE, rejection } from '../support/integration-stage.ts';
import { causeOf, codeOf, describeInHouses, ofKind } from './fixtures/house.ts';

const Order = z.object({ title: z.string(), cents: z.number().default(100) });
const strict = defineActivity('strict', (_ctx, order: z.infer<typeof Order>) => order.cents, {
  input: Order,
  output: z.number().max(1_000),
});
const checked = defineOrchestration(
  'checked',
  async (ctx, order: z.input<typeof Order>) => {
    const extra = await ctx.waitForEvent<number>('extra');
    return order.cents === undefined ? 'no default' : order.cents + extra;
  },
  { input: Order, output: z.number().max(1_000), events: { extra: z.number() } },
);

function throwText(): never {
  // oxlint-disable-next-line typescript/only-throw-error -- what users throw may be anything
  throw 'just text';
}

describeInHouses('an error', (house) => {
  test('at once, before anything, fails the instance', async () => {
    const handle = await house.play(() => {
      throw Object.assign(new RangeError('at once'), { code: 'E_NOW' });
    });
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
      code: 'ORCHESTRATION_FAILED',
      instanceId: handle.instanceId,
      cause: { name: 'RangeError', message: 'at once', code: 'E_NOW' },
    });
    expect(await handle.state()).toMatchObject({ status: 'Failed', error: { code: 'E_NOW' }, result: undefined });
  });

  test('of an activity that nobody catches fails the orchestration with the same error', async () => {
    const deed = house.deed(() => {
      throw Object.assign(new SyntaxError('from within'), { code: 'E_WITHIN' });
    });
    expect(await house.failure((ctx) => ctx.scheduleActivity('perform', deed))).toMatchObject({
      name: 'SyntaxError',
      message: 'from within',
      code: 'E_WITHIN',
    });
  });

  test('goes up through children with its causes', async () => {
    const deed = house.deed(() => {
      throw new Error('top', { cause: new RangeError('middle', { cause: new TypeError('bottom') }) });
    });
    const child = house.cast(house.newId(), (ctx) => ctx.scheduleActivity('perform', deed));
    const error = await house.failure((ctx) => ctx.scheduleSubOrchestration('play', undefined, { instanceId: child }));
    expect(error).toMatchObject({ message: 'top', cause: { message: 'middle', cause: { message: 'bottom' } } });
  });

  test('in a group is the first by history, for code that catches it', async () => {
    const handle = await house.play(async (ctx) => {
      try {
        await ctx.all([
          ctx.waitForEvent('a').then(() => Promise.reject(new Error('a'))),
          ctx.waitForEvent('b').then(() => Promise.reject(new Error('b'))),
        ]);
      } catch (error) {
        return (error as Error).message;
      }
      return 'none';
    });
    await handle.raiseEvent('b');
    expect(await handle.result({ timeout: PATIENCE })).toBe('b');
  });

  test('after the end of an instance: the id keeps its result, a second start is refused', async () => {
    const handle = await house.play(() => 'first');
    expect(await handle.result({ timeout: PATIENCE })).toBe('first');
    expect(await rejection(house.play(() => 'second', undefined, { instanceId: handle.instanceId }))).toMatchObject({
      code: 'INSTANCE_EXISTS',
    });
    const same = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'useExisting' });
    expect(await same.result({ timeout: PATIENCE })).toBe('first');
  });

  test('that is thrown as something else keeps its text', async () => {
    expect(await house.failure(throwText)).toMatchObject({ name: 'NonError', message: 'just text' });
  });
});

describeInHouses(
  'a schema',
  (house) => {
    test('lets through what fits, with its defaults', async () => {
      const handle = await house.client.startOrchestration(house.newId(), checked, { title: 'lamp' });
      await handle.raiseEvent('extra', 5);
      expect(await handle.result({ timeout: PATIENCE })).toBe(105);
    });

    test.each([
      ['its input', { title: 7 }, 1, 'title'],
      ['an event', { title: 'lamp' }, 'five', 'extra'],
      ['its result', { title: 'lamp', cents: 5_000 }, 1, 'result'],
    ] as const)('fails the orchestration when %s does not fit', async (_what, order, extra, word) => {
      const handle = await house.client.startOrchestration(house.newId(), 'checked', order);
      await handle.raiseEvent('extra', extra);
      expect(await causeOf(handle)).toMatchObject({ code: 'SCHEMA_MISMATCH', message: expect.stringContaining(word) as unknown });
    });

    test.each([
      ['its input', { title: null }],
      ['its result', { title: 'lamp', cents: 5_000 }],
    ])('fails an activity when %s does not fit, without a retry', async (_what, order) => {
      const handle = await house.play((ctx) => ctx.scheduleActivity('strict', order, { retry: { initialIntervalMs: 1 } }).catch(codeOf));
      expect(await handle.result({ timeout: PATIENCE })).toBe('SCHEMA_MISMATCH');
      expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(1);
    });
  },
  { definitions: [strict, checked] },
);

describeInHouses('a status', (house) => {
  test('is none of an instance that does not exist', async () => {
    expect(await house.client.getState('nobody')).toBeNull();
    expect(await rejection(house.client.waitForResult('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
  });

  test('follows the life of an instance, and that of others does not matter', async () => {
    await house.runtime.shutdown();
    const handle = await house.play(async (ctx) => {
      ctx.setCustomStatus('running');
      return await ctx.waitForEvent('end');
    });
    const other = await house.play((ctx) => ctx.waitForEvent('never'));
    expect(await handle.state()).toMatchObject({ status: 'Pending', executionId: 1, name: 'play', parentInstanceId: null });
    await house.restart();
    expect(await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE })).toMatchObject({ status: 'Running', version: '1.0.0' });
    await handle.raiseEvent('end', 'over');
    await handle.result({ timeout: PATIENCE });
    const state = await handle.state();
    expect(state).toMatchObject({ status: 'Completed', result: 'over', error: undefined });
    expect(state.updatedAt.getTime()).toBeGreaterThanOrEqual(state.createdAt.getTime());
    expect(await other.state()).toMatchObject({ status: expect.stringMatching(/Pending|Running/) as unknown });
    await other.terminate();
  });

  test('is Running between executions, and the result is that of the last one', async () => {
    const handle = await house.play(
      async (ctx, round: number): Promise<unknown> => (round === 2 ? 'last' : await ctx.continueAsNew(round + 1)),
      0,
    );
    expect(await handle.result({ timeout: PATIENCE })).toBe('last');
    expect(await handle.state()).toMatchObject({ status: 'Completed', executionId: 3 });
  });

  test('lists instances: page by page, by status, by parent', async () => {
    const children = [house.newId(), house.newId()];
    for (const child of children) house.cast(child, () => child);
    const parent = await house.play((ctx) =>
      ctx.all(children.map((instanceId) => ctx.scheduleSubOrchestration('play', undefined, { instanceId }))),
    );
    await parent.result({ timeout: PATIENCE });
    const listed = (await house.client.listInstances({ parent: parent.instanceId })).instances;
    expect(listed.map(({ instanceId }) => instanceId).toSorted()).toEqual(children.toSorted());
    const all = (await house.client.listInstances()).instances;
    const paged: string[] = [];
    let cursor: string | null = null;
    do {
      const page: InstancePage = await house.client.listInstances({ limit: 2, ...(cursor !== null && { cursor }) });
      paged.push(...page.instances.map(({ instanceId }) => instanceId));
      cursor = page.cursor;
    } while (cursor !== null);
    expect(paged).toEqual(all.map(({ instanceId }) => instanceId));
    expect((await house.client.listInstances({ status: 'Completed' })).instances.every(({ status }) => status === 'Completed')).toBe(true);
  });
});

describeInHouses('code that was changed under a running instance', (house) => {
  test.each([
    ['another activity', 0, 1],
    ['a timer instead of an activity', 0, 2],
    ['nothing any more', 0, 3],
    ['one more', 0, 4],
  ])('to %s is found out, and the old code goes on', async (_what, before, after) => {
    let variant = before;
    const deed = house.deed(() => 'done');
    const handle = await house.play(async (ctx) => {
      if (variant === 4) ctx.setCustomStatus('one more');
      if (variant === 2) await ctx.scheduleTimer(1);
      else if (variant !== 3) await ctx.scheduleActivity(variant === 1 ? 'other' : 'perform', deed);
      ctx.log.info('waiting');
      return await ctx.waitForEvent('go');
    });
    await house.log.message('waiting', handle.instanceId);
    variant = after;
    await house.restart();
    await handle.raiseEvent('go', 'went');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
      code: 'INSTANCE_QUARANTINED',
      cause: { code: 'NONDETERMINISM' },
    });
    variant = before;
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('went');
  });

  test('only behind where it stands is none of its business', async () => {
    let isChanged = false;
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      const data = await ctx.waitForEvent('go');
      return isChanged ? `${String(data)} the new way` : data;
    });
    await house.log.message('waiting', handle.instanceId);
    isChanged = true;
    await house.restart();
    await handle.raiseEvent('go', 'went');
    expect(await handle.result({ timeout: PATIENCE })).toBe('went the new way');
  });
});
