// Futures put together: groups, races, async blocks, timers.
//
// Covered elsewhere:
// | case                                                               | where                                                     |
// | ------------------------------------------------------------------ | --------------------------------------------------------- |
// | every combinator, its losers and nesting, event by event           | tests/replay/combinators.test.ts                          |
// | completions in any order, late ones, duplicates                    | tests/replay/completions.test.ts, stuck-and-late.test.ts  |
// | a timer that lost or was cancelled leaves the queue; never early   | tests/integration/cancel.test.ts, traps.test.ts (T21, T33) |
// | timers over a restart                                              | tests/integration/restart.test.ts                         |
import { expect, test } from 'vitest';
import { MAX_DURATION_MS } from '../../src/types/limits.ts';
import { PATIENCE } from '../support/integration-stage.ts';
import { causeOf, codeOf, describeInHouses, Gate, ofKind } from './fixtures/house.ts';

describeInHouses('async blocks', (house) => {
  const id = house.deed((ctx) => ctx.eventId);

  test('with control flow of their own run side by side', async () => {
    const told = await house.result(async (ctx) => {
      const loop = async (count: number): Promise<number> => {
        let done = 0;
        while (done < count) {
          await ctx.scheduleActivity('perform', id);
          done += 1;
        }
        return done;
      };
      const branch = async (): Promise<string> => {
        if ((await ctx.scheduleActivity<number>('perform', id)) > 0) {
          await ctx.scheduleTimer(1);
          return 'positive';
        }
        return 'negative';
      };
      return await Promise.all([loop(3), branch(), loop(1)]);
    });
    expect(told).toEqual([3, 'positive', 1]);
  });

  test('by the dozen are gathered in order', async () => {
    const told = await house.result((ctx) =>
      ctx.all(
        Array.from({ length: 40 }, async (_, index) => {
          await ctx.scheduleTimer(index % 3);
          await ctx.scheduleActivity('perform', id);
          return index;
        }),
      ),
    );
    expect(told).toEqual(Array.from({ length: 40 }, (_, index) => index));
  });

  test('hand their results on one to the other', async () => {
    const told = await house.result(async (ctx) => {
      const first = (async () => {
        await ctx.scheduleActivity('perform', id);
        return 'first';
      })();
      const second = (async () => `${await first} then second`)();
      return `${await second} then third`;
    });
    expect(told).toBe('first then second then third');
  });

  test('race each other: the one whose last event came first wins, and the other may go on', async () => {
    const handle = await house.play(async (ctx) => {
      const block = async (name: string): Promise<string> => {
        await ctx.waitForEvent(`${name} 1`);
        await ctx.waitForEvent(`${name} 2`);
        return name;
      };
      const [a, b] = [block('a'), block('b')];
      const { value } = await ctx.race([a, b]);
      return [value, await Promise.all([a, b])];
    });
    for (const event of ['a 1', 'b 1', 'b 2', 'a 2']) await handle.raiseEvent(event);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['b', ['a', 'b']]);
  });

  test('race plain futures and timers, three ways', async () => {
    const never = new Gate();
    const long = house.deed(() => never.opened);
    const told = await house.result(async (ctx) => {
      const block = async (): Promise<string> => {
        await ctx.scheduleTimer(2);
        await ctx.scheduleTimer(2);
        return 'block';
      };
      return await ctx.race({ block: block(), work: ctx.scheduleActivity('perform', long), timer: ctx.scheduleTimer('1h') });
    });
    expect(told).toEqual({ key: 'block', value: 'block' });
    never.open();
  });

  test('nest: a group in a race in a group', async () => {
    const told = await house.result((ctx) =>
      ctx.all({
        inner: ctx.race({ group: ctx.all([ctx.scheduleTimer(1), ctx.scheduleActivity('perform', id)]), timer: ctx.scheduleTimer('1h') }),
        first: ctx.any([Promise.reject(new Error('no')), ctx.scheduleTimer(1).then(() => 'any')]),
        settled: ctx.allSettled([ctx.scheduleTimer(1), Promise.reject(new Error('kept'))]),
      }),
    );
    expect(told).toMatchObject({
      inner: { key: 'group' },
      first: { value: 'any' },
      settled: [{ status: 'fulfilled' }, { status: 'rejected' }],
    });
  });

  test('with children win and lose', async () => {
    const slow = house.cast(house.newId(), (ctx) => ctx.waitForEvent('never'));
    const quick = house.cast(house.newId(), () => 'quick');
    const told = await house.result(async (ctx) => {
      const block = async (instanceId: string): Promise<unknown> => await ctx.scheduleSubOrchestration('play', undefined, { instanceId });
      const first = await ctx.race([ctx.scope(() => block(slow)), ctx.scope(() => block(quick))]);
      return first;
    });
    expect(told).toEqual({ key: 1, value: 'quick' });
    await house.client
      .waitForResult(slow, { timeout: PATIENCE })
      .catch((error: unknown) => expect(codeOf(error)).toBe('ORCHESTRATION_CANCELLED'));
  });

  test('over many restarts end as if there had been none', async () => {
    const handle = await house.play((ctx) =>
      Promise.all(
        ['a', 'b'].map(async (name) => {
          const seen: unknown[] = [];
          for (let count = 0; count < 3; count += 1) {
            seen.push(await ctx.waitForEvent(name));
            seen.push(await ctx.scheduleActivity('perform', id));
          }
          return seen.length;
        }),
      ),
    );
    for (let count = 0; count < 3; count += 1) {
      await handle.raiseEvent('a', count);
      await house.restart();
      await handle.raiseEvent('b', count);
    }
    expect(await handle.result({ timeout: PATIENCE })).toEqual([6, 6]);
  });
});

describeInHouses('futures', (house) => {
  test('of two events: the one that was delivered first wins', async () => {
    await house.runtime.shutdown();
    const handle = await house.play((ctx) =>
      ctx.race({ a: ctx.waitForEvent('a'), b: ctx.waitForEvent('b'), timer: ctx.scheduleTimer('1h') }),
    );
    await handle.raiseEvent('b', 2);
    await handle.raiseEvent('a', 1);
    await house.restart();
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ key: 'b', value: 2 });
  });

  test('in a group keep the order of the group, whatever comes first', async () => {
    const handle = await house.play((ctx) => ctx.all([ctx.waitForEvent('a'), ctx.waitForEvent('b'), ctx.waitForEvent('c')]));
    for (const event of ['c', 'a', 'b']) await handle.raiseEvent(event, event);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['a', 'b', 'c']);
  });

  test('of which nobody awaits the completion do not hold up the rest', async () => {
    const deed = house.deed((ctx) => ctx.eventId);
    const handle = await house.play(async (ctx) => {
      void ctx.scheduleActivity('perform', deed);
      void ctx.scheduleTimer(1);
      const failing = ctx.scheduleActivity('perform', broken);
      await ctx.scheduleTimer(20);
      await ctx.scheduleActivity('perform', deed);
      void failing;
      return 'done';
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe('done');
  });

  const broken = house.deed(() => {
    throw new Error('nobody cares');
  });

  test('that are scheduled after a winner returned are new ones', async () => {
    const deed = house.deed((ctx) => ctx.eventId);
    const told = await house.result(async (ctx) => {
      const { value } = await ctx.race([ctx.scheduleActivity<number>('perform', deed), ctx.scheduleTimer('1h')]);
      const next = await ctx.scheduleActivity<number>('perform', deed);
      return next > (value ?? 0);
    });
    expect(told).toBe(true);
  });

  test('may be awaited twice, late, or through helpers', async () => {
    const told = await house.result(async (ctx) => {
      const timer = ctx.scheduleTimer(1).then(() => ctx.now());
      await ctx.scheduleTimer(5);
      const helper = async (): Promise<number> => await timer;
      return (await timer) === (await helper());
    });
    expect(told).toBe(true);
  });

  test('of a group that fails are cancelled, and the error is the first', async () => {
    const never = new Gate();
    const long = house.deed(() => never.opened);
    const handle = await house.play((ctx) =>
      ctx.all([ctx.scheduleActivity('perform', long), ctx.scheduleActivity('perform', broken), ctx.scheduleTimer('1h')]),
    );
    expect(await causeOf(handle)).toMatchObject({ message: 'nobody cares' });
    expect(ofKind(await handle.readHistory(), 'FutureCancelled')).toHaveLength(2);
    never.open();
  });
});

describeInHouses('timers', (house) => {
  test('fire in the order of their times', async () => {
    const order = await house.result(async (ctx) => {
      const fired: number[] = [];
      await ctx.all([30, 10, 20, 0].map((ms) => ctx.scheduleTimer(ms).then(() => fired.push(ms))));
      return fired;
    });
    expect(order).toEqual([0, 10, 20, 30]);
  });

  test('take durations as text, moments and nothing', async () => {
    const told = await house.result(async (ctx) => {
      const began = ctx.now();
      await ctx.scheduleTimer(0);
      await ctx.scheduleTimer('20ms');
      await ctx.scheduleTimer(new Date(began + 40));
      await ctx.scheduleTimer(new Date(0));
      return ctx.now() - began;
    });
    expect(told).toBeGreaterThanOrEqual(40);
  });

  test.each([-1, Number.NaN, '5 minutes', MAX_DURATION_MS + 1])('refuse %s', async (when) => {
    expect(await house.failure((ctx) => ctx.scheduleTimer(when as number))).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test('are on time after earlier ones fired', async () => {
    const deed = house.deed(() => undefined);
    const [first, second] = await house.result(async (ctx) => {
      const began = ctx.now();
      await ctx.scheduleTimer(20);
      const between = ctx.now() - began;
      await ctx.all([ctx.scheduleTimer(20), ctx.scheduleActivity('perform', deed)]);
      return [between, ctx.now() - began];
    });
    expect(first).toBeGreaterThanOrEqual(20);
    expect(second).toBeGreaterThanOrEqual(40);
  });

  test('of many instances all fire', async () => {
    const handles = await Promise.all(
      Array.from({ length: 40 }, (_, index) => house.play((ctx) => ctx.scheduleTimer(index % 7).then(() => index))),
    );
    expect(await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })))).toEqual(
      Array.from({ length: 40 }, (_, index) => index),
    );
  });

  test('that lost leave the queue', async () => {
    await house.result((ctx) => ctx.race([ctx.scheduleTimer('1h'), ctx.scheduleTimer(1)]));
    expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });
});
