// The small programs that everybody writes first, and the system calls that they use.
//
// Covered elsewhere:
// | case                                                        | where                                                                 |
// | ----------------------------------------------------------- | --------------------------------------------------------------------- |
// | hello, fan-out and a person's decision over threads         | tests/examples.test.ts, tests/guides.test.ts                          |
// | start latest or pinned, children by version, upgrade        | versions.test.ts                                                      |
// | parent and child, fan-out to children, chains, detached     | children.test.ts                                                      |
// | request and response, counters, cross-instance reads by values | key-values.test.ts                                                 |
// | tagged workers, starvation with a fallback                  | tags.test.ts                                                          |
// | cancel parent cascades                                      | cancellation.test.ts, tests/integration/cancel.test.ts                |
// | self-pruning, deletion                                      | not there yet: nothing can be deleted                                 |
// | time, randomness and ids, event by event                    | tests/replay/deterministic-helpers.test.ts                            |
import { defineActivity, defineOrchestration, type ActivityDefinition, type OrchestrationContext } from 'duraloom';
import { expect, test } from 'vitest';
import { PATIENCE } from '../support/integration-stage.ts';
import { codeOf, describeInHouses, Gate, kindsOf } from './fixtures/house.ts';

type Order = { readonly item: string; readonly cents: number };
type Receipt = { readonly item: string; readonly paid: number };

const greet: ActivityDefinition<'greet', string, string> = defineActivity('greet', (_ctx, name: string) => `Hello, ${name}!`);
const charge: ActivityDefinition<'charge', Order, Receipt> = defineActivity('charge', (_ctx, { item, cents }: Order) => ({
  item,
  paid: cents,
}));
const flip: ActivityDefinition<'flip', boolean, 'heads' | 'tails'> = defineActivity('flip', (_ctx, side: boolean) =>
  side ? 'heads' : 'tails',
);
const add: ActivityDefinition<'add', readonly [number, number], number> = defineActivity(
  'add',
  (_ctx, [a, b]: readonly [number, number]) => a + b,
);
const buys = defineOrchestration('buys', (ctx, order: Order) => ctx.scheduleActivity(charge, order));

describeInHouses(
  'a sample',
  (house) => {
    test('says hello', async () => {
      expect(await house.result((ctx) => ctx.scheduleActivity(greet, 'world'))).toBe('Hello, world!');
    });

    test('branches by the result of an activity', async () => {
      const play = (side: boolean) => house.result(async (ctx) => ((await ctx.scheduleActivity(flip, side)) === 'heads' ? 'won' : 'lost'));
      expect([await play(true), await play(false)]).toEqual(['won', 'lost']);
    });

    test('adds up in a loop', async () => {
      const sum = await house.result(async (ctx) => {
        let total = 0;
        for (let value = 1; value <= 10; value += 1) total = await ctx.scheduleActivity(add, [total, value]);
        return total;
      });
      expect(sum).toBe(55);
    });

    test('compensates what it did when a later step fails', async () => {
      const done: string[] = [];
      const step = (name: string, fails = false): string =>
        house.deed(() => {
          if (fails) throw new Error(`${name} failed`);
          if (!done.includes(name)) done.push(name);
        });
      const steps = [
        { run: step('debit'), undo: step('refund') },
        { run: step('reserve'), undo: step('release') },
        { run: step('ship', true), undo: step('return') },
      ];
      const told = await house.result(async (ctx) => {
        const undo: string[] = [];
        try {
          for (const { run, undo: back } of steps) {
            await ctx.scheduleActivity('perform', run);
            undo.unshift(back);
          }
          return 'shipped';
        } catch (error) {
          for (const back of undo) await ctx.scheduleActivity('perform', back);
          return (error as Error).message;
        }
      });
      expect(told).toBe('ship failed');
      expect(done).toEqual(['debit', 'reserve', 'release', 'refund']);
    });

    test('waits for a long activity no longer than a timer', async () => {
      const never = new Gate();
      const long = house.deed(() => never.opened);
      const { key } = await house.result((ctx) => ctx.race({ work: ctx.scheduleActivity('perform', long), timeout: ctx.scheduleTimer(5) }));
      expect(key).toBe('timeout');
      never.open();
    });

    test.each(['approve', 'reject'] as const)('lets a person decide: %s', async (decision) => {
      const handle = await house.play(async (ctx) => {
        ctx.setCustomStatus('asked');
        const { key } = await ctx.race({
          approve: ctx.waitForEvent('approve'),
          reject: ctx.waitForEvent('reject'),
          late: ctx.scheduleTimer('1d'),
        });
        return key;
      });
      await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
      await handle.raiseEvent(decision);
      expect(await handle.result({ timeout: PATIENCE })).toBe(decision);
    });

    test('fans out over greetings and gathers them in order', async () => {
      const names = ['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara'];
      expect(await house.result((ctx) => ctx.all(names.map((name) => ctx.scheduleActivity(greet, name))))).toEqual(
        names.map((name) => `Hello, ${name}!`),
      );
    });

    test('polls a status until it is done', async () => {
      let asked = 0;
      const poll = house.deed(() => ((asked += 1) > 3 ? 'done' : 'busy'));
      const polls = await house.result(async (ctx) => {
        let count = 1;
        while ((await ctx.scheduleActivity('perform', poll)) !== 'done') {
          count += 1;
          await ctx.scheduleTimer(1);
        }
        return count;
      });
      expect(polls).toBe(4);
    });

    test('continues as new until a condition holds', async () => {
      const told = await house.result(async (ctx, left: number): Promise<unknown> => {
        if (left === 0) return ctx.executionId;
        await ctx.scheduleActivity(greet, String(left));
        return await ctx.continueAsNew(left - 1);
      }, 3);
      expect(told).toBe(4);
    });

    test('passes typed values through activities and orchestrations', async () => {
      const handle = await house.client.startOrchestration(house.newId(), buys, { item: 'lamp', cents: 500 });
      expect(await handle.result({ timeout: PATIENCE })).toEqual({ item: 'lamp', paid: 500 });
    });

    test('takes a typed event', async () => {
      const handle = await house.play(async (ctx) => {
        const { item, cents } = await ctx.waitForEvent<Order>('order');
        return `${item} for ${cents}`;
      });
      await handle.raiseEvent('order', { item: 'rug', cents: 7 });
      expect(await handle.result({ timeout: PATIENCE })).toBe('rug for 7');
    });

    test('reloads its settings between rounds from a mailbox', async () => {
      const handle = await house.play(
        async (ctx, settings: { readonly rate: number }): Promise<unknown> => {
          ctx.setCustomStatus(settings);
          const next = await ctx.waitForEvent<{ readonly rate: number }>('settings');
          return next.rate === 0 ? settings.rate : await ctx.continueAsNew(next);
        },
        { rate: 1 },
      );
      for (const rate of [2, 5, 0]) await handle.raiseEvent('settings', { rate });
      expect(await handle.result({ timeout: PATIENCE })).toBe(5);
    });

    test('handles an error, one in the handling of it, and goes on', async () => {
      const fails = house.deed(() => {
        throw new Error('first');
      });
      const told = await house.result(async (ctx) => {
        try {
          await ctx.scheduleActivity('perform', fails);
        } catch (first) {
          try {
            await ctx.scheduleActivity('nobodyHasIt', undefined, { expiresAfterMs: 1, tag: 'nobody' });
          } catch (second) {
            return [(first as Error).message, codeOf(second), await ctx.scheduleActivity(greet, 'again')];
          }
        }
        return [];
      });
      expect(told).toEqual(['first', 'ACTIVITY_EXPIRED', 'Hello, again!']);
    });

    test('written as a generator does the same', async () => {
      const handle = await house.play(function* (ctx): Generator<unknown, unknown, never> {
        const first: string = yield ctx.scheduleActivity(greet, 'one');
        const [second, third]: [string, string] = yield [ctx.scheduleActivity(greet, 'two'), ctx.scheduleActivity(greet, 'three')];
        yield ctx.scheduleTimer(1);
        return [first, second, third];
      });
      expect(await handle.result({ timeout: PATIENCE })).toEqual(['Hello, one!', 'Hello, two!', 'Hello, three!']);
    });

    test('that schedules the same twice gets each its own result, over a restart', async () => {
      let count = 0;
      const [first, gate] = [new Gate(), new Gate()];
      const counted = house.deed(async () => {
        count += 1;
        const mine = count;
        if (mine === 1) first.open();
        else await gate.opened;
        return mine;
      });
      const handle = await house.play(async (ctx) => {
        const [a, b] = [ctx.scheduleActivity('perform', counted), ctx.scheduleActivity('perform', counted)];
        const value = await ctx.race([a, ctx.waitForEvent('never')]);
        ctx.setCustomStatus('first');
        return [value.value, await b];
      });
      await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
      await first.opened;
      await house.runtime.shutdown({ timeoutMs: 0 });
      gate.open();
      await house.restart();
      const [a, b] = (await handle.result({ timeout: PATIENCE })) as [number, number];
      expect(a).toBe(1);
      expect(b).toBeGreaterThan(1);
    });
  },
  { definitions: [greet, charge, flip, add, buys] },
);

describeInHouses('time, randomness and ids', (house) => {
  test('are the same at every replay, and no events', async () => {
    const handle = await house.play(async (ctx) => {
      const draw = (): readonly unknown[] => [ctx.now(), ctx.random(), ctx.uuid(), Date.now(), Math.random(), crypto.randomUUID()];
      const before = draw();
      ctx.setCustomStatus(before);
      await ctx.waitForEvent('go');
      return [before, draw()];
    });
    const { customStatus } = await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await house.restart();
    await handle.raiseEvent('go');
    const [before, after] = (await handle.result({ timeout: PATIENCE })) as [unknown[], unknown[]];
    expect(before).toEqual(customStatus);
    expect(new Set([...before.slice(1, 3), ...after.slice(1, 3), before[5], after[5]]).size).toBe(6);
    expect(await kindsOf(handle)).toEqual([
      'OrchestrationStarted',
      'CustomStatusSet',
      'EventAwaited',
      'EventRaised',
      'OrchestrationCompleted',
    ]);
  });

  test('never go back, and follow timers', async () => {
    const times = await house.result(async (ctx) => {
      const seen = [ctx.now()];
      for (let count = 0; count < 3; count += 1) {
        await ctx.scheduleTimer(10);
        seen.push(ctx.now());
      }
      return seen;
    });
    for (let index = 1; index < times.length; index += 1) expect((times[index] ?? 0) - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(10);
  });

  test('serve as members of groups and races', async () => {
    const told = await house.result(async (ctx) => {
      const id = ctx.uuid();
      const { key, value } = await ctx.race({ id, timer: ctx.scheduleTimer('1h') });
      const [same] = await ctx.all([id, ctx.scheduleTimer(1)]);
      return [key, value === id, same === id];
    });
    expect(told).toEqual(['id', true, true]);
  });

  test('differ between executions and instances', async () => {
    const code = async (ctx: OrchestrationContext, seen: readonly string[]): Promise<readonly string[]> => {
      const now = [...seen, ctx.uuid()];
      return ctx.executionId === 3 ? now : await ctx.continueAsNew(now);
    };
    const ids = [...(await house.result(code, [])), ...(await house.result(code, []))];
    expect(new Set(ids).size).toBe(6);
  });
});
