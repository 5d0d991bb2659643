import { defineOrchestration } from 'duraloom';
import { expect, test } from 'vitest';
import { PATIENCE, stage, fixture, rejection } from '../support/integration-stage.ts';
import { causeOf, codeOf, describeInHouses, Gate, kindsOf, ofKind, aborted } from './fixtures/house.ts';

const waiter = defineOrchestration('waiter', async (ctx, event: string) => {
  ctx.log.info('waiting');
  return await ctx.waitForEvent(event);
});

describeInHouses('probe', (house) => {
  test('continueAsNew inside of scopes', async () => {
    for (const kind of ['scope', 'shield', 'withTimeout'] as const) {
      const handle = await house.play(async (ctx, round: number) => {
        if (round === 1) return 'second';
        const run = () => ctx.continueAsNew(1);
        if (kind === 'withTimeout') return await ctx.withTimeout('1h', run);
        return kind === 'scope' ? await ctx.scope(run) : await ctx.shield(run);
      }, 0);
      expect(await handle.result({ timeout: '5s' })).toBe('second');
    }
    expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });
  test('cancel inside withTimeout is CANCELLED', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      return await ctx.withTimeout('1h', () => ctx.waitForEvent('never'));
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    expect(await causeOf(handle)).toMatchObject({ code: 'CANCELLED' });
    expect(await handle.state()).toMatchObject({ status: 'Cancelled' });
  });
  test('withTimeout 0 with a buffered event', async () => {
    const handle = await house.play(async (ctx) => {
      await ctx.waitForEvent('b');
      return await ctx.withTimeout(0, () => ctx.waitForEvent('a'));
    });
    await handle.raiseEvent('a', 1);
    await handle.raiseEvent('b', 1);
    expect(await handle.result({ timeout: PATIENCE })).toBe(1);
  });
  test('quarantined child given up', async () => {
    let isBroken = false;
    const child = house.cast(house.newId(), async (ctx) => {
      ctx.log.info('waiting');
      return await ctx.waitForEvent(isBroken ? 'x' : 'go');
    });
    const handle = await house.play(async (ctx) => {
      const family = ctx.scheduleSubOrchestration('play', undefined, { instanceId: child });
      return await family.catch(codeOf);
    });
    await house.log.message('waiting', child);
    isBroken = true;
    await house.restart();
    await house.client.raiseEvent(child, 'go');
    expect(await handle.result({ timeout: PATIENCE })).toBe('INSTANCE_QUARANTINED');
    isBroken = false;
    await house.client.resume(child);
    await house.client.waitForResult(child, { timeout: PATIENCE });
    expect(await handle.state()).toMatchObject({ status: 'Completed' });
  });
  test('subscription race with a timer keeps the message', async () => {
    const topic = house.newId();
    const handle = await house.play(async (ctx) => {
      const sub = ctx.subscribe(topic);
      const first = await ctx.race({ a: sub.next(), t: ctx.scheduleTimer(1) });
      ctx.log.info('lost');
      return [first.key, (await sub.next()).data];
    });
    await house.log.message('lost', handle.instanceId);
    await house.client.publish(topic, 5);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['t', 5]);
  });
  test('one parent replaces its own living child', async () => {
    const id = house.newId();
    const handle = await house.play(async (ctx) => {
      const first = ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id });
      const told = first.catch(codeOf);
      await ctx.scheduleTimer(5);
      const second = ctx.scheduleSubOrchestration(waiter, 'y', { instanceId: id, onExisting: 'terminateExisting' });
      return await ctx.race([ctx.all([told, second]), ctx.scheduleTimer('2s').then(() => 'hangs')]);
    });
    await house.log.waitFor((l) => l.message === 'waiting' && l.fields['instanceId'] === id, 2);
    await house.client.raiseEvent(id, 'y', 'second');
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ key: 0, value: ['ORCHESTRATION_TERMINATED', 'second'] });
  });
  test('cancelling a first child whose id now belongs to the second does not hit the second', async () => {
    const id = house.newId();
    const handle = await house.play(async (ctx) => {
      const first = ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id });
      await ctx.scheduleTimer(5);
      const second = ctx.scheduleSubOrchestration(waiter, 'y', { instanceId: id, onExisting: 'terminateExisting' });
      first.cancel();
      return [await first.catch(() => 'gone'), await second];
    });
    await house.log.waitFor((l) => l.message === 'waiting' && l.fields['instanceId'] === id, 2);
    await house.client.raiseEvent(id, 'y', 'second');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['gone', 'second']);
  });
  test('waiter of a replaced instance', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('go'));
    const waiting = handle.result({ timeout: PATIENCE });
    const again = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'terminateExisting' });
    await again.raiseEvent('go', 'new');
    expect(await waiting.catch(codeOf)).toBe('new');
  });
  test('activity of a replaced instance is aborted and does not answer the new one', async () => {
    const [running, ended, release] = [new Gate(), new Gate(), new Gate()];
    let n = 0;
    const deed = house.deed(async (ctx) => {
      n += 1;
      if (n === 1) {
        running.open();
        await aborted(ctx.signal);
        ended.open();
        return 'old';
      }
      await release.opened;
      return 'new';
    });
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
    await running.opened;
    const again = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'terminateExisting' });
    await ended.opened;
    release.open();
    expect(await again.result({ timeout: PATIENCE })).toBe('new');
  });
  test('a detached start that terminates the child of somebody else tells the parent', async () => {
    const id = house.newId();
    const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id }).catch(codeOf));
    await house.log.message('waiting', id);
    await house.result((ctx) => ctx.startOrchestration(waiter, id, 'y', { onExisting: 'terminateExisting' }));
    expect(await handle.result({ timeout: '3s' })).toBe('ORCHESTRATION_TERMINATED');
  });
  test('suspended child, parent cancelled', async () => {
    const id = house.newId();
    const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id }));
    await house.log.message('waiting', id);
    await house.client.suspend(id);
    await handle.cancel();
    await causeOf(handle);
    await house.client.resume(id);
    expect(await rejection(house.client.waitForResult(id, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
  });
  test('ctx.events in two loops at once share the mailbox', async () => {
    const handle = await house.play(async (ctx) => {
      const seen: unknown[] = [];
      const loop = async (name: string) => {
        for await (const e of ctx.events('item')) {
          if (e === 'stop') return;
          seen.push(`${name}${String(e)}`);
        }
      };
      await ctx.all([loop('a'), loop('b')]);
      return seen.length;
    });
    for (const e of [1, 2, 3, 'stop', 'stop']) await handle.raiseEvent('item', e);
    expect(await handle.result({ timeout: PATIENCE })).toBe(3);
  });
  test('many shields and scopes nested deep', async () => {
    const handle = await house.play(async (ctx) => {
      const deep = async (level: number): Promise<number> =>
        level === 0 ? await ctx.scheduleTimer(1).then(() => 0) : 1 + (await (level % 2 ? ctx.scope(() => deep(level - 1)) : ctx.shield(() => deep(level - 1))));
      return await deep(60);
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe(60);
  });
  test('terminated child with activities in another runtime; history of terminated', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('x'));
    await house.result((ctx) => ctx.scheduleTimer(3));
    await handle.terminate();
    expect((await kindsOf(handle)).at(-1)).toBe('EventAwaited');
  });
  test('kv in a big CAN with subscriptions and keys', async () => {
    const handle = await house.play(async (ctx, n: number): Promise<unknown> => {
      for (let i = 0; i < 50; i += 1) ctx.kv.set(`k${n}-${i}`, 'x'.repeat(100));
      ctx.subscribe(`t/${n}`);
      return n === 4 ? [ctx.kv.size] : await ctx.continueAsNew(n + 1);
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([250]);
  });
  test('cancel between: expired activity cancelled at once in same turn', async () => {
    const deed = house.deed(() => 1);
    const handle = await house.play(async (ctx) => {
      const f = ctx.scheduleActivity('perform', deed, { retry: {}, timeoutMs: 1000, attemptTimeoutMs: 500, tag: 'nobody', expiresAfterMs: 5000 });
      f.cancel();
      return await f.catch(codeOf);
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe('CANCELLED');
    expect(ofKind(await handle.readHistory(), 'FutureCancelled')).toHaveLength(2);
    expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });
}, { definitions: [waiter], activityLockMs: 300 });

test('attempt numbers are distinct over crashes and retries', async () => {
  const m = fixture('../../e2e/fixtures/attempt-definitions.ts');
  const { client } = await stage().open({ orchestrations: m, activities: m, maxAttempts: 5 });
  const handle = await client.startOrchestration('a', 'numbers');
  expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3]);
});
