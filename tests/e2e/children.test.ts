// Children, their ids and policies, detached starts, starts that are put off.
//
// Covered elsewhere:
// | case                                                                       | where                                           |
// | -------------------------------------------------------------------------- | ----------------------------------------------- |
// | ids of children, their options, what a given-up child is told              | tests/replay/sub-orchestrations.test.ts         |
// | what children get at each end of their parent, as the parent decides it    | tests/replay/parent-close.test.ts               |
// | a child that continues as new; answers through another runtime; conflicts  | tests/integration/traps.test.ts (T1–T5)         |
// | start policies of a client, batch start, terminate with children           | tests/integration/client-calls.test.ts          |
import { defineOrchestration } from 'duraloom';
import { expect, test } from 'vitest';
import type { LoggedLine } from '../support/integration-log.ts';
import { PATIENCE, rejection } from '../support/integration-stage.ts';
import { aborted, causeOf, codeOf, describeInHouses, Gate, kindsOf, type House } from './fixtures/house.ts';

const double = defineOrchestration('double', (_ctx, value: number) => value * 2);

/** Waits to be told. */
const waiter = defineOrchestration('waiter', async (ctx, event: string) => {
  ctx.log.info('waiting');
  return await ctx.waitForEvent(event);
});

const broken = defineOrchestration('broken', () => {
  throw Object.assign(new RangeError('broken child'), { code: 'E_CHILD' });
});

const definitions = [double, waiter, broken];

function idOf(line: LoggedLine): string {
  return String(line.fields['instanceId']);
}

function none(): never {
  throw new TypeError('a wait for lines gave none');
}

async function isWaiting(house: House, instanceId: string): Promise<void> {
  await house.log.message('waiting', instanceId);
}

describeInHouses(
  'a parent',
  (house) => {
    test('gets the result of its child', async () => {
      expect(await house.result((ctx) => ctx.scheduleSubOrchestration(double, 21))).toBe(42);
    });

    test('gets the error of its child and may go on', async () => {
      const told = await house.result(async (ctx) => {
        try {
          return await ctx.scheduleSubOrchestration(broken);
        } catch (error) {
          const { name, message } = error as Error;
          return { name, message, code: codeOf(error) };
        }
      });
      expect(told).toMatchObject({ name: 'RangeError', message: 'broken child', code: 'E_CHILD' });
    });

    test('fans out to many children and gets their results in its order', async () => {
      const results = await house.result((ctx) =>
        ctx.all(Array.from({ length: 30 }, (_, index) => ctx.scheduleSubOrchestration(double, index))),
      );
      expect(results).toEqual(Array.from({ length: 30 }, (_, index) => index * 2));
    });

    test('has grandchildren', async () => {
      const [root, mid] = [house.newId(), house.newId()];
      house.cast(mid, async (ctx, value: number) => (await ctx.scheduleSubOrchestration(double, value)) + 1);
      const handle = await house.play(
        async (ctx) => (await ctx.scheduleSubOrchestration<number>('play', 5, { instanceId: mid })) + 1,
        undefined,
        { instanceId: root },
      );
      expect(await handle.result({ timeout: PATIENCE })).toBe(12);
      expect(await house.client.getState(mid)).toMatchObject({ parentInstanceId: root });
    });

    test('hears of the cancellation of its child by a client', async () => {
      const child = house.newId();
      const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: child }).catch(codeOf));
      await isWaiting(house, child);
      await house.client.cancel(child);
      expect(await handle.result({ timeout: PATIENCE })).toBe('CANCELLED');
    });

    test('hears of the termination of its child by a client', async () => {
      const child = house.newId();
      const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: child }).catch(codeOf));
      await isWaiting(house, child);
      await house.client.terminate(child);
      expect(await handle.result({ timeout: PATIENCE })).toBe('ORCHESTRATION_TERMINATED');
    });

    test('hears of the end of its child when another start takes the id', async () => {
      const child = house.newId();
      const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: child }).catch(codeOf));
      await isWaiting(house, child);
      await house.client.startOrchestration(child, double, 1, { onExisting: 'terminateExisting' });
      expect(await handle.result({ timeout: '4s' })).toBe('ORCHESTRATION_TERMINATED');
    });

    test('that loses interest in a child by a race cancels it, and its grandchildren', async () => {
      const [child, grandchild] = [house.newId(), house.newId()];
      house.cast(child, (ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: grandchild }));
      const handle = await house.play(async (ctx) => {
        const family = ctx.scheduleSubOrchestration('play', undefined, { instanceId: child });
        return (await ctx.race({ family, stop: ctx.waitForEvent('stop') })).key;
      });
      await isWaiting(house, grandchild);
      await handle.raiseEvent('stop');
      expect(await handle.result({ timeout: PATIENCE })).toBe('stop');
      for (const id of [child, grandchild]) {
        expect(await rejection(house.client.waitForResult(id, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
      }
    });

    test('may race a child against a timer, and win either way', async () => {
      const told = await house.result(async (ctx) => {
        const first = await ctx.race({ child: ctx.scheduleSubOrchestration(double, 4), timer: ctx.scheduleTimer('1h') });
        const second = await ctx.race({ child: ctx.scheduleSubOrchestration(waiter, 'go'), timer: ctx.scheduleTimer(5) });
        return [first, second.key];
      });
      expect(told).toEqual([{ key: 'child', value: 8 }, 'timer']);
    });

    test.each([
      ['ends', async (): Promise<unknown> => 'done'],
      ['fails', (): Promise<unknown> => Promise.reject(new Error('parent broke'))],
    ] as const)('that %s gives its children what their policies say', async (_what, end) => {
      const ids = { cancel: house.newId(), abandon: house.newId(), terminate: house.newId() };
      const handle = await house.play(async (ctx) => {
        for (const policy of ['cancel', 'abandon', 'terminate'] as const) {
          void ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: ids[policy], onParentClose: policy });
        }
        await ctx.waitForEvent('end');
        return await end();
      });
      for (const id of Object.values(ids)) await isWaiting(house, id);
      await handle.raiseEvent('end');
      await handle.result({ timeout: PATIENCE }).catch(() => undefined);
      expect(await rejection(house.client.waitForResult(ids.cancel, { timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_CANCELLED',
      });
      expect(await rejection(house.client.waitForResult(ids.terminate, { timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_TERMINATED',
        message: expect.stringContaining(`parent '${handle.instanceId}' ended`) as string,
      });
      await house.client.raiseEvent(ids.abandon, 'go', 'alone');
      expect(await house.client.waitForResult(ids.abandon, { timeout: PATIENCE })).toBe('alone');
    });

    test('that continues as new closes its children, and the next execution has its own', async () => {
      const ids = [house.newId(), house.newId()];
      const handle = await house.play(async (ctx, round: number) => {
        const child = ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: ids[round] ?? '' });
        if (round === 1) return await child;
        await ctx.waitForEvent('next');
        return await ctx.continueAsNew(1);
      }, 0);
      await isWaiting(house, ids[0] ?? '');
      await handle.raiseEvent('next');
      expect(await rejection(house.client.waitForResult(ids[0] ?? '', { timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_CANCELLED',
      });
      await isWaiting(house, ids[1] ?? '');
      await house.client.raiseEvent(ids[1] ?? '', 'go', 'second');
      expect(await handle.result({ timeout: PATIENCE })).toBe('second');
    });

    test('that is terminated closes its whole family by the policies', async () => {
      const ids = { cancel: house.newId(), abandon: house.newId(), terminate: house.newId() };
      const handle = await house.play((ctx) =>
        ctx.all(
          (['cancel', 'abandon', 'terminate'] as const).map((policy) =>
            ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: ids[policy], onParentClose: policy }),
          ),
        ),
      );
      for (const id of Object.values(ids)) await isWaiting(house, id);
      await handle.terminate();
      expect(await rejection(house.client.waitForResult(ids.cancel, { timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_CANCELLED',
      });
      expect(await rejection(house.client.waitForResult(ids.terminate, { timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_TERMINATED',
      });
      expect(await house.client.getState(ids.abandon)).toMatchObject({ status: 'Running' });
      await house.client.terminate(ids.abandon);
    });

    test('that ends terminates a child, whose own children get what their policies say', async () => {
      const child = house.newId();
      const ids = { cancel: house.newId(), terminate: house.newId() };
      house.cast(child, (ctx) =>
        ctx.all(
          (['cancel', 'terminate'] as const).map((policy) =>
            ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: ids[policy], onParentClose: policy }),
          ),
        ),
      );
      const handle = await house.play(async (ctx) => {
        void ctx.scheduleSubOrchestration('play', undefined, { instanceId: child, onParentClose: 'terminate' });
        await ctx.waitForEvent('end');
      });
      for (const id of Object.values(ids)) await isWaiting(house, id);
      await handle.raiseEvent('end');
      await handle.result({ timeout: PATIENCE });
      expect(await rejection(house.client.waitForResult(child, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_TERMINATED' });
      expect(await rejection(house.client.waitForResult(ids.terminate, { timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_TERMINATED',
      });
      expect(await rejection(house.client.waitForResult(ids.cancel, { timeout: '3s' }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    });

    test('that was replaced starts its children anew', async () => {
      const id = house.newId();
      const code = house.cast(id, (ctx) => ctx.scheduleSubOrchestration(double, 1));
      const first = await house.client.startOrchestration(code, 'play');
      expect(await first.result({ timeout: PATIENCE })).toBe(2);
      const second = await house.client.startOrchestration(code, 'play', undefined, { onExisting: 'replaceTerminal' });
      expect(await second.result({ timeout: PATIENCE })).toBe(2);
    });

    test('that was replaced while it waited for a child has closed that one, and starts its children anew', async () => {
      const id = house.newId();
      house.cast(id, (ctx, event: string) => ctx.scheduleSubOrchestration(waiter, event));
      await house.client.startOrchestration(id, 'play', 'first');
      const { fields } = (await house.log.waitFor((line) => line.message === 'waiting' && idOf(line).startsWith(`${id}::`)))[0] ?? none();
      const second = await house.client.startOrchestration(id, 'play', 'second', { onExisting: 'terminateExisting' });
      const started = house.log.waitFor((line) => line.message === 'waiting' && idOf(line).startsWith(`${id}::`), 2);
      const child = await Promise.race([started.then((lines) => idOf(lines[1] ?? none())), second.result({ timeout: PATIENCE })]);
      const state = await house.client.getState(String(fields['instanceId']));
      if (child !== fields['instanceId']) expect(state?.status).toBe('Cancelled');
      await house.client.raiseEvent(String(child), 'second', 'of the second');
      expect(await second.result({ timeout: PATIENCE })).toBe('of the second');
    });

    test('that was replaced has its activity aborted, which does not answer the new one', async () => {
      const [running, ended, release] = [new Gate(), new Gate(), new Gate()];
      let runs = 0;
      const deed = house.deed(async (ctx) => {
        runs += 1;
        if (runs > 1) return await release.opened.then(() => 'new');
        running.open();
        await aborted(ctx.signal);
        ended.open();
        return 'old';
      });
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
      await running.opened;
      const again = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'terminateExisting' });
      // Its runtime hears of it with the next renewal of the lease.
      await ended.opened;
      release.open();
      expect(await again.result({ timeout: PATIENCE })).toBe('new');
    });

    test('that was replaced is waited for as what replaced it', async () => {
      const handle = await house.play((ctx) => ctx.waitForEvent('go'));
      const waiting = handle.result({ timeout: PATIENCE });
      const again = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'terminateExisting' });
      await again.raiseEvent('go', 'new');
      expect(await waiting).toBe('new');
    });

    test('that is cancelled takes a suspended child along once that is resumed', async () => {
      const id = house.newId();
      const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id }));
      await isWaiting(house, id);
      await house.client.suspend(id);
      await handle.cancel();
      await causeOf(handle);
      await house.client.resume(id);
      expect(await rejection(house.client.waitForResult(id, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    });

    test('that was replaced does not take the answer of a child of its predecessor', async () => {
      const id = house.newId();
      const [old, young] = [house.newId(), house.newId()];
      house.cast(id, async (ctx, child: string) => {
        const answer = ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: child, onParentClose: 'abandon' });
        return child === old ? 'ended early' : await answer;
      });
      const first = await house.client.startOrchestration(id, 'play', old);
      await first.result({ timeout: PATIENCE });
      await isWaiting(house, old);
      const second = await house.client.startOrchestration(id, 'play', young, { onExisting: 'replaceTerminal' });
      await isWaiting(house, young);
      await house.client.raiseEvent(old, 'go', 'from the old child');
      await house.client.waitForResult(old, { timeout: PATIENCE });
      await house.client.raiseEvent(young, 'go', 'from the young child');
      expect(await second.result({ timeout: PATIENCE })).toBe('from the young child');
    });
  },
  { definitions, activityLockMs: 300 },
);

describeInHouses(
  'the id of a child',
  (house) => {
    test('that is in use is a conflict, which the parent can handle', async () => {
      const taken = house.newId();
      await house.client.startOrchestration(taken, waiter, 'go');
      expect(await house.result((ctx) => ctx.scheduleSubOrchestration(double, 1, { instanceId: taken }).catch(codeOf))).toBe(
        'INSTANCE_EXISTS',
      );
      await house.client.raiseEvent(taken, 'go', 'untouched');
      expect(await house.client.waitForResult(taken, { timeout: PATIENCE })).toBe('untouched');
    });

    test('may be that of an instance that has ended, with replaceTerminal', async () => {
      const taken = house.newId();
      await (await house.client.startOrchestration(taken, double, 1)).result({ timeout: PATIENCE });
      const replaced = await house.result((ctx) =>
        ctx.scheduleSubOrchestration(double, 5, { instanceId: taken, onExisting: 'replaceTerminal' }),
      );
      expect(replaced).toBe(10);
    });

    test('of a living instance is a conflict, also with replaceTerminal', async () => {
      const taken = house.newId();
      await house.client.startOrchestration(taken, waiter, 'go');
      const told = await house.result((ctx) =>
        ctx.scheduleSubOrchestration(double, 5, { instanceId: taken, onExisting: 'replaceTerminal' }).catch(codeOf),
      );
      expect(told).toBe('INSTANCE_EXISTS');
      await house.client.terminate(taken);
    });

    test('is freed with terminateExisting', async () => {
      const taken = house.newId();
      await house.client.startOrchestration(taken, waiter, 'go');
      await isWaiting(house, taken);
      expect(
        await house.result((ctx) => ctx.scheduleSubOrchestration(double, 5, { instanceId: taken, onExisting: 'terminateExisting' })),
      ).toBe(10);
    });

    test.each(['fail', 'replaceTerminal', 'terminateExisting'] as const)(
      'cannot be that of the parent itself, with %s',
      async (onExisting) => {
        expect(
          await house.result((ctx) => ctx.scheduleSubOrchestration(double, 5, { instanceId: ctx.instanceId, onExisting }).catch(codeOf)),
        ).toBe('INSTANCE_EXISTS');
      },
    );

    test('may be used twice in a row by one parent, with replaceTerminal', async () => {
      const id = house.newId();
      const told = await house.result(async (ctx) => [
        await ctx.scheduleSubOrchestration(double, 1, { instanceId: id }),
        await ctx.scheduleSubOrchestration(double, 2, { instanceId: id, onExisting: 'replaceTerminal' }),
      ]);
      expect(told).toEqual([2, 4]);
    });

    test('used twice at once by one parent is a conflict of the second, and does not cancel the first', async () => {
      const id = house.newId();
      const handle = await house.play((ctx) =>
        ctx.allSettled([
          ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: id }),
          ctx.scheduleSubOrchestration(waiter, 'go', { instanceId: id }).catch(codeOf),
        ]),
      );
      await isWaiting(house, id);
      await house.client.raiseEvent(id, 'go', 'first');
      expect(await handle.result({ timeout: PATIENCE })).toEqual([
        { status: 'fulfilled', value: 'first' },
        { status: 'fulfilled', value: 'INSTANCE_EXISTS' },
      ]);
    });

    test.each([
      ['hears of it', false, 'ORCHESTRATION_TERMINATED'],
      ['that is cancelled then does not take the second along', true, 'CANCELLED'],
    ] as const)('is taken a second time by its own parent: the first future %s', async (_what, cancels, expected) => {
      const id = house.newId();
      const handle = await house.play(async (ctx) => {
        const first = ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id });
        const told = first.catch(codeOf);
        await ctx.waitForEvent('replace');
        const second = ctx.scheduleSubOrchestration(waiter, 'y', { instanceId: id, onExisting: 'terminateExisting' });
        if (cancels) first.cancel();
        return await ctx.all([told, second]);
      });
      await isWaiting(house, id);
      await handle.raiseEvent('replace');
      await house.log.waitFor((line) => line.message === 'waiting' && idOf(line) === id, 2);
      await house.client.raiseEvent(id, 'y', 'second');
      expect(await handle.result({ timeout: PATIENCE })).toEqual([expected, 'second']);
    });

    test('is taken by a detached start with terminateExisting: its parent hears of it', async () => {
      const id = house.newId();
      const handle = await house.play((ctx) => ctx.scheduleSubOrchestration(waiter, 'x', { instanceId: id }).catch(codeOf));
      await isWaiting(house, id);
      await house.result((ctx) => ctx.startOrchestration(waiter, id, 'y', { onExisting: 'terminateExisting' }));
      expect(await handle.result({ timeout: '4s' })).toBe('ORCHESTRATION_TERMINATED');
      await house.client.terminate(id);
    });
  },
  { definitions },
);

describeInHouses(
  'a detached start',
  (house) => {
    test('runs on its own, and history has it before the next activity', async () => {
      const [first, second] = [house.newId(), house.newId()];
      const deed = house.deed(() => 'activity');
      const handle = await house.play(async (ctx) => {
        ctx.startOrchestration(double, first, 1);
        ctx.startOrchestration('double', second, 2);
        return await ctx.scheduleActivity('perform', deed);
      });
      expect(await handle.result({ timeout: PATIENCE })).toBe('activity');
      expect(await house.client.waitForResult(first, { timeout: PATIENCE })).toBe(2);
      expect(await house.client.waitForResult(second, { timeout: PATIENCE })).toBe(4);
      expect((await kindsOf(handle)).slice(1, 4)).toEqual([
        'OrchestrationStartRequested',
        'OrchestrationStartRequested',
        'ActivityScheduled',
      ]);
      expect(await house.client.getState(first)).toMatchObject({ parentInstanceId: null });
    });

    test('in the last turn is made, also by one that fails or is cancelled', async () => {
      const ids = [house.newId(), house.newId()];
      await house.failure((ctx) => {
        ctx.startOrchestration(double, ids[0] ?? '', 1);
        throw new Error('after the start');
      });
      const handle = await house.play(async (ctx) => {
        ctx.log.info('waiting');
        try {
          await ctx.waitForEvent('never');
        } finally {
          ctx.startOrchestration(double, ids[1] ?? '', 2);
        }
      });
      await isWaiting(house, handle.instanceId);
      await handle.cancel();
      await causeOf(handle);
      expect(await house.client.waitForResult(ids[0] ?? '', { timeout: PATIENCE })).toBe(2);
      expect(await house.client.waitForResult(ids[1] ?? '', { timeout: PATIENCE })).toBe(4);
    });

    test('under an id that is in use changes nothing, by default', async () => {
      const taken = house.newId();
      await house.client.startOrchestration(taken, waiter, 'go');
      await house.result((ctx) => ctx.startOrchestration(double, taken, 1));
      expect(await house.client.getState(taken)).toMatchObject({ name: 'waiter' });
      await house.client.terminate(taken);
    });

    test('of the own id changes nothing, whatever the policy says', async () => {
      const handle = await house.play((ctx) => {
        ctx.startOrchestration(double, ctx.instanceId, 1, { onExisting: 'terminateExisting' });
        return 'myself';
      });
      expect(await handle.result({ timeout: PATIENCE })).toBe('myself');
      expect(await handle.state()).toMatchObject({ name: 'play' });
    });

    test('is not cancelled with who asked for it', async () => {
      const other = house.newId();
      const handle = await house.play((ctx) => {
        ctx.startOrchestration(waiter, other, 'go');
        return ctx.waitForEvent('never');
      });
      await isWaiting(house, other);
      await handle.cancel();
      await causeOf(handle);
      await house.client.raiseEvent(other, 'go', 'free');
      expect(await house.client.waitForResult(other, { timeout: PATIENCE })).toBe('free');
    });
  },
  { definitions },
);

describeInHouses(
  'a start that is put off',
  (house) => {
    test('begins after its time, not before', async () => {
      const handle = await house.play((ctx) => ctx.now(), undefined, { startAfter: 60 });
      const { createdAt, status } = await handle.state();
      expect(status).toBe('Pending');
      expect(await handle.result({ timeout: PATIENCE })).toBeGreaterThanOrEqual(createdAt.getTime() + 60);
    });

    test('begins at its moment', async () => {
      const startAt = new Date(Date.now() + 60);
      const handle = await house.play((ctx) => ctx.now(), undefined, { startAt });
      expect(await handle.result({ timeout: PATIENCE })).toBeGreaterThanOrEqual(startAt.getTime());
    });

    test('begins at once when its moment is over', async () => {
      const handle = await house.play((ctx) => ctx.now(), undefined, { startAt: new Date(0) });
      expect(await handle.result({ timeout: PATIENCE })).toBeGreaterThan(0);
    });

    test('keeps events that come before it begins', async () => {
      const handle = await house.play(async (ctx) => [await ctx.waitForEvent('early'), ctx.now()], undefined, { startAfter: 80 });
      const { createdAt } = await handle.state();
      await handle.raiseEvent('early', 'kept');
      const [data, atMs] = (await handle.result({ timeout: PATIENCE })) as [string, number];
      expect(data).toBe('kept');
      expect(atMs).toBeGreaterThanOrEqual(createdAt.getTime() + 80);
    });

    test('may be cancelled before it begins', async () => {
      const handle = await house.play((ctx) => ctx.waitForEvent('never'), undefined, { startAfter: 80 });
      await handle.cancel('not any more');
      expect(await causeOf(handle)).toMatchObject({ code: 'CANCELLED', message: 'not any more' });
    });

    test('may be terminated before it begins', async () => {
      const handle = await house.play(() => 'ran', undefined, { startAfter: '1h' });
      await handle.terminate();
      expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_TERMINATED' });
    });

    test('of a child is cancelled with its parent, and never runs its work', async () => {
      let ran = false;
      const child = house.newId();
      const deed = house.deed(() => {
        ran = true;
      });
      house.cast(child, (ctx) => ctx.scheduleActivity('perform', deed));
      const handle = await house.play(async (ctx) => {
        void ctx.scheduleSubOrchestration('play', undefined, { instanceId: child, startAfter: 60 });
        await ctx.scheduleTimer(1);
      });
      await handle.result({ timeout: PATIENCE });
      expect(await rejection(house.client.waitForResult(child, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
      expect(ran).toBe(false);
    });

    test('of a child counts from the call', async () => {
      const child = house.newId();
      house.cast(child, (ctx) => ctx.now());
      const [asked, began] = (await house.result(async (ctx) => [
        ctx.now(),
        await ctx.scheduleSubOrchestration('play', undefined, { instanceId: child, startAfter: 50 }),
      ])) as [number, number];
      expect(began - asked).toBeGreaterThanOrEqual(50);
    });

    test('of a child that continues as new keeps its parent and its priority', async () => {
      const child = house.cast(house.newId(), (ctx, round: number) => (round === 1 ? ctx.executionId : ctx.continueAsNew(1)));
      const options = { instanceId: child, startAfter: 10, priority: 3 };
      expect(await house.result((ctx) => ctx.scheduleSubOrchestration('play', 0, options))).toBe(2);
      expect(await house.client.getState(child)).toMatchObject({ priority: 3, executionId: 2 });
    });

    test('outlives a restart', async () => {
      const handle = await house.play(() => 'later', undefined, { startAfter: 40 });
      await house.restart();
      expect(await handle.result({ timeout: PATIENCE })).toBe('later');
    });
  },
  { definitions },
);
