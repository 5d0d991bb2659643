// Key-value pairs of an instance: what it writes, clients and other instances read.
//
// Covered elsewhere:
// | case                                                                    | where                                      |
// | ----------------------------------------------------------------------- | ------------------------------------------ |
// | every call, its event, its replay; limits; prune by recorded time       | tests/replay/key-values.test.ts            |
// | what the store keeps: order, tombstones, executions, replaced instances | src/conformance/cases-values.ts             |
// | reads and waits of clients on every kind of store                       | tests/integration/client-calls.test.ts     |
// | delete and prune of instances                                           | not there yet                              |
import { expect, test } from 'vitest';
import { MAX_VALUE_BYTES, MAX_VALUES } from '../../src/types/limits.ts';
import { PATIENCE, rejection } from '../support/integration-stage.ts';
import { causeOf, codeOf, describeInHouses } from './fixtures/house.ts';

describeInHouses('values', (house) => {
  test('that are set, overwritten and deleted are what clients see', async () => {
    const handle = await house.play((ctx) => {
      ctx.kv.set('kept', 1);
      ctx.kv.set('changed', 'before');
      ctx.kv.set('changed', { after: [true, null] });
      ctx.kv.set('deleted', 1);
      return [ctx.kv.delete('deleted'), ctx.kv.delete('never there'), ctx.kv.keys(), ctx.kv.size, ctx.kv.get('changed')];
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual([true, false, ['changed', 'kept'], 2, { after: [true, null] }]);
    expect([...(await handle.getValues())]).toEqual([
      ['changed', { after: [true, null] }],
      ['kept', 1],
    ]);
    expect(await handle.getValue('deleted')).toBeUndefined();
  });

  test('are cleared all at once, and may be set again in the same turn', async () => {
    const handle = await house.play((ctx) => {
      for (const key of ['a', 'b', 'c']) ctx.kv.set(key, key);
      ctx.kv.clear();
      ctx.kv.set('b', 'again');
    });
    await handle.result({ timeout: PATIENCE });
    expect([...(await handle.getValues())]).toEqual([['b', 'again']]);
  });

  test('of many keys are listed in their order, by the instance and by clients', async () => {
    const keys = ['b', 'a', 'Z', 'ä', '10', '9', 'a b', "quote'; --", '😀', '__proto__'];
    const sorted = keys.toSorted((left, right) => (left < right ? -1 : 1));
    const handle = await house.play((ctx) => {
      for (const key of keys) ctx.kv.set(key, key);
      return ctx.kv.entries();
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(sorted.map((key) => [key, key]));
    expect(new Set((await handle.getValues()).keys())).toEqual(new Set(keys));
    expect(await handle.getValue('__proto__')).toBe('__proto__');
  });

  test.each([
    ['empty text', ''],
    ['zero', 0],
    ['false', false],
    ['null', null],
    ['text that looks like JSON', '{"a":1}'],
    ['a number as text', '42'],
    ['nested', { a: [{ b: null }] }],
  ] as const)('keep %s as it is', async (_what, value) => {
    const handle = await house.play(async (ctx) => {
      ctx.kv.set('key', value);
      await ctx.scheduleTimer(1);
      return { value: ctx.kv.get('key') };
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ value });
    expect(await handle.getValue('key')).toEqual(value);
  });

  test('are counted right by read and write in every turn and every execution', async () => {
    const handle = await house.play(async (ctx, round: number): Promise<number> => {
      for (let turn = 0; turn < 5; turn += 1) {
        ctx.kv.set('count', (ctx.kv.get<number>('count') ?? 0) + 1);
        await ctx.scheduleTimer(0);
      }
      return round === 3 ? (ctx.kv.get<number>('count') ?? 0) : await ctx.continueAsNew(round + 1);
    }, 1);
    expect(await handle.result({ timeout: PATIENCE })).toBe(15);
    expect(await handle.getValue('count')).toBe(15);
  });

  test('that were deleted before continue-as-new do not come back', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        ctx.kv.set('a', 1);
        ctx.kv.set('b', 1);
        await ctx.scheduleTimer(1);
        ctx.kv.delete('a');
        return await ctx.continueAsNew(1);
      }
      ctx.kv.set('c', 1);
      return ctx.kv.keys();
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['b', 'c']);
    expect([...(await handle.getValues()).keys()]).toEqual(['b', 'c']);
  });

  test('are there while the instance runs, and after each of its ends', async () => {
    const code = async (ctx: {
      kv: { set(key: string, value: unknown): void };
      waitForEvent(name: string): Promise<unknown>;
    }): Promise<unknown> => {
      ctx.kv.set('key', 'value');
      return await ctx.waitForEvent('end');
    };
    const handles = await Promise.all(Array.from({ length: 3 }, () => house.play(code)));
    const [completed, cancelled, terminated] = handles;
    for (const handle of handles) expect(await handle.waitForValue('key', { timeout: PATIENCE })).toBe('value');
    await completed?.raiseEvent('end');
    await cancelled?.cancel();
    await terminated?.terminate();
    for (const handle of handles) await handle.result({ timeout: PATIENCE }).catch(() => undefined);
    for (const handle of handles) expect(await handle.getValue('key')).toBe('value');
  });

  test('of an instance that fails are those that it set before', async () => {
    const handle = await house.play((ctx) => {
      ctx.kv.set('key', 'before the error');
      throw new Error('no');
    });
    await causeOf(handle);
    expect(await handle.getValue('key')).toBe('before the error');
  });

  test('of parent and child are apart', async () => {
    const child = house.cast(house.newId(), (ctx) => {
      const before = ctx.kv.get('key');
      ctx.kv.set('key', 'of the child');
      return before === undefined ? 'nothing' : before;
    });
    const handle = await house.play(async (ctx) => {
      ctx.kv.set('key', 'of the parent');
      return [await ctx.scheduleSubOrchestration('play', undefined, { instanceId: child }), ctx.kv.get('key')];
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['nothing', 'of the parent']);
    expect(await house.client.getValue(child, 'key')).toBe('of the child');
  });

  test('are gone when their instance was replaced', async () => {
    const id = house.newId();
    house.cast(id, (ctx, key: string) => {
      ctx.kv.set(key, 1);
      return ctx.kv.keys();
    });
    await (await house.client.startOrchestration(id, 'play', 'old')).result({ timeout: PATIENCE });
    const again = await house.client.startOrchestration(id, 'play', 'new', { onExisting: 'replaceTerminal' });
    expect(await again.result({ timeout: PATIENCE })).toEqual(['new']);
    expect([...(await again.getValues()).keys()]).toEqual(['new']);
  });

  test('outlive a restart', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.kv.set('key', 'before');
      ctx.setCustomStatus('set');
      await ctx.waitForEvent('go');
      return ctx.kv.get('key');
    });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await house.restart();
    await handle.raiseEvent('go');
    expect(await handle.result({ timeout: PATIENCE })).toBe('before');
  });

  test('that were set in a branch that won stay, and so do those of one that lost afterwards', async () => {
    const handle = await house.play(async (ctx) => {
      const branch = async (name: string, wait: Promise<unknown>): Promise<string> => {
        ctx.kv.set(`${name} began`, true);
        await wait;
        ctx.kv.set(`${name} won`, true);
        return name;
      };
      await ctx.race([branch('quick', ctx.scheduleTimer(1)), branch('slow', ctx.waitForEvent('never'))]);
      return ctx.kv.keys();
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['quick began', 'quick won', 'slow began']);
  });

  test('are pruned by age, over executions', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        ctx.kv.set('old', 1);
        ctx.kv.set('touched', 1);
        await ctx.scheduleTimer(5);
        return await ctx.continueAsNew(1);
      }
      const since = ctx.now();
      await ctx.scheduleTimer(5);
      ctx.kv.set('touched', 2);
      ctx.kv.set('new', 1);
      return [ctx.kv.prune(0), ctx.kv.prune(new Date(since)), ctx.kv.keys(), ctx.kv.prune(ctx.now() + 1), ctx.kv.size];
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([0, 1, ['new', 'touched'], 2, 0]);
    expect((await handle.getValues()).size).toBe(0);
  });

  test('beyond the limits are refused, catchably, and the rest is kept', async () => {
    const handle = await house.play((ctx) => {
      const attempt = (key: string, value: unknown): string | undefined => {
        try {
          ctx.kv.set(key, value);
        } catch (error) {
          return codeOf(error);
        }
        return 'set';
      };
      for (let index = 0; index < MAX_VALUES; index += 1) ctx.kv.set(`k${index}`, index);
      const full = attempt('one too many', 1);
      ctx.kv.delete('k0');
      return [
        full,
        attempt('one too many', 1),
        attempt('k1', 'x'.repeat(MAX_VALUE_BYTES - 2)),
        attempt('k1', 'x'.repeat(MAX_VALUE_BYTES)),
        attempt('k1', undefined),
      ];
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['VALUE_LIMIT', 'set', 'set', 'PAYLOAD_TOO_LARGE', 'ARGUMENT_INVALID']);
    expect((await handle.getValues()).size).toBe(MAX_VALUES);
  });

  test('stay between activities, in a fan-out and fan-in', async () => {
    const deed = house.deed((ctx) => ctx.eventId);
    const handle = await house.play(async (ctx) => {
      await ctx.all(
        Array.from({ length: 10 }, async (_, index) => {
          await ctx.scheduleActivity('perform', deed);
          ctx.kv.set(`part ${index}`, index);
        }),
      );
      return ctx.kv.entries().reduce((sum, [, value]) => sum + Number(value), 0);
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe(45);
  });

  test('of all sizes together make many writes in one instance', async () => {
    const handle = await house.play(async (ctx) => {
      for (let turn = 0; turn < 10; turn += 1) {
        for (let key = 0; key < 20; key += 1) ctx.kv.set(`k${key}`, { turn, text: 'x'.repeat(key * 10) });
        await ctx.scheduleTimer(0);
      }
      return ctx.kv.size;
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe(20);
    expect(await handle.getValue('k19')).toMatchObject({ turn: 9 });
  });
});

describeInHouses('a value of another instance', (house) => {
  test('is read as it is: there, changed, missing, of nobody, of itself', async () => {
    const source = await house.play(async (ctx) => {
      ctx.kv.set('key', 'first');
      await ctx.waitForEvent('change');
      ctx.kv.set('key', 'second');
      await ctx.waitForEvent('end');
    });
    await source.waitForValue('key', { timeout: PATIENCE });
    const reader = await house.play(async (ctx) => {
      const read = async (id: string, key: string): Promise<unknown> => (await ctx.getValueFromInstance(id, key)) ?? 'nothing';
      ctx.kv.set('own', 'mine');
      const before = await read(source.instanceId, 'key');
      ctx.setCustomStatus('read');
      await ctx.waitForEvent('go on');
      return [
        before,
        await read(source.instanceId, 'key'),
        await read(source.instanceId, 'other'),
        await read('nobody', 'key'),
        await read(ctx.instanceId, 'own'),
      ];
    });
    await reader.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await source.raiseEvent('change');
    await source.waitForValue('key', { unless: 'first', timeout: PATIENCE });
    await reader.raiseEvent('go on');
    expect(await reader.result({ timeout: PATIENCE })).toEqual(['first', 'second', 'nothing', 'nothing', 'mine']);
    await source.raiseEvent('end');
  });

  test('is recorded once: a restart does not read it anew', async () => {
    const source = await house.play(async (ctx) => {
      ctx.kv.set('key', 'first');
      await ctx.waitForEvent('change');
      ctx.kv.set('key', 'second');
    });
    await source.waitForValue('key', { timeout: PATIENCE });
    const reader = await house.play(async (ctx) => {
      const value = await ctx.getValueFromInstance(source.instanceId, 'key');
      ctx.setCustomStatus('read');
      await ctx.waitForEvent('go on');
      return value;
    });
    await reader.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await source.raiseEvent('change');
    await source.result({ timeout: PATIENCE });
    await house.restart();
    await reader.raiseEvent('go on');
    expect(await reader.result({ timeout: PATIENCE })).toBe('first');
  });

  test('makes servers: a request by value, an answer by value', async () => {
    const server = await house.play(async (ctx, served: number): Promise<unknown> => {
      const request = await ctx.waitForEvent<{ readonly id: string; readonly text: string } | 'stop'>('request');
      if (request === 'stop') return served;
      ctx.kv.set(`answer ${request.id}`, request.text.toUpperCase());
      return await ctx.continueAsNew(served + 1);
    }, 0);
    for (const [id, text] of [
      ['1', 'one'],
      ['2', 'two'],
    ] as const) {
      await server.raiseEvent('request', { id, text });
      expect(await server.waitForValue(`answer ${id}`, { timeout: PATIENCE })).toBe(text.toUpperCase());
    }
    await server.raiseEvent('request', 'stop');
    expect(await server.result({ timeout: PATIENCE })).toBe(2);
  });

  test('that was never set ends a wait with the instance', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('end'));
    const waiting = rejection(handle.waitForValue('key', { timeout: PATIENCE }));
    await handle.raiseEvent('end');
    expect(await waiting).toMatchObject({ code: 'INSTANCE_ENDED' });
  });
});

describeInHouses('the custom status', (house) => {
  test('is none by default, then what was set last, with a version for each change', async () => {
    const handle = await house.play(async (ctx) => {
      const before = ctx.getCustomStatus();
      ctx.setCustomStatus('first');
      ctx.setCustomStatus({ second: true });
      ctx.log.info('set');
      await ctx.waitForEvent('go');
      const between = ctx.getCustomStatus();
      ctx.setCustomStatus('third');
      return [before ?? 'none', between];
    });
    const { customStatus, customStatusVersion } = await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    expect(customStatus).toEqual({ second: true });
    await handle.raiseEvent('go');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['none', { second: true }]);
    const state = await handle.state();
    expect(state.customStatus).toBe('third');
    expect(state.customStatusVersion).toBeGreaterThan(customStatusVersion);
    const { customStatusVersion: never } = await (await house.play(() => 1)).state();
    expect(never).toBe(0);
  });

  test('is reset, and stays so over continue-as-new', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        ctx.setCustomStatus('set');
        await ctx.scheduleTimer(1);
        ctx.setCustomStatus(undefined);
        return await ctx.continueAsNew(1);
      }
      return ctx.getCustomStatus() ?? 'none';
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toBe('none');
    expect(await handle.state()).toMatchObject({ customStatus: undefined, customStatusVersion: 2 });
  });

  test('is kept over continue-as-new, and by an instance that fails', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 1) throw new Error(String(ctx.getCustomStatus()));
      ctx.setCustomStatus('kept');
      return await ctx.continueAsNew(1);
    }, 0);
    expect(await causeOf(handle)).toMatchObject({ message: 'kept' });
    expect(await handle.state()).toMatchObject({ status: 'Failed', customStatus: 'kept' });
  });

  test('at its limit is kept, beyond it is refused, catchably', async () => {
    const limit = 256 * 1024;
    const handle = await house.play((ctx) => {
      ctx.setCustomStatus('x'.repeat(limit - 2));
      try {
        ctx.setCustomStatus('x'.repeat(limit - 1));
      } catch (error) {
        return codeOf(error);
      }
      return 'set';
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe('PAYLOAD_TOO_LARGE');
    expect(String((await handle.state()).customStatus)).toHaveLength(limit - 2);
  });
});
