// Cancellation: by clients, parents, scopes, races and timeouts; suspend, resume, terminate.
//
// Covered elsewhere:
// | case                                                                     | where                                                |
// | ------------------------------------------------------------------------ | ---------------------------------------------------- |
// | scopes, shields and timeouts, event by event                             | tests/replay/scopes.test.ts, cancellation.test.ts    |
// | a tower of children with a running activity; clean-up; queued activities | tests/integration/cancel.test.ts                     |
// | activities that are aborted, deaf or late                                | activities.test.ts, retry.test.ts                    |
// | children that lose a race, close policies                                | children.test.ts                                     |
// | suspend, resume and terminate in the store; unknown and ended instances  | src/conformance/cases-control.ts, client-calls.test.ts |
import { expect, test } from 'vitest';
import { PATIENCE, rejection } from '../support/integration-stage.ts';
import { aborted, causeOf, codeOf, describeInHouses, Gate, kindsOf, ofKind } from './fixtures/house.ts';

describeInHouses('a cancel request', (house) => {
  test('ends what the code waits for, whatever it is', async () => {
    const never = new Gate();
    const deed = house.deed((ctx) => Promise.race([never.opened, aborted(ctx.signal)]));
    const child = house.cast(house.newId(), (ctx) => ctx.waitForEvent('never'));
    const handle = await house.play(async (ctx) => {
      const open = [
        ctx.scheduleActivity('perform', deed),
        ctx.scheduleTimer('1h'),
        ctx.waitForEvent('never'),
        ctx.scheduleSubOrchestration('play', undefined, { instanceId: child }),
      ];
      ctx.log.info('waiting');
      const codes = await Promise.all(open.map((future: Promise<unknown>) => future.catch(codeOf)));
      ctx.setCustomStatus(codes);
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel('enough');
    expect(await causeOf(handle)).toMatchObject({ message: 'enough' });
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', customStatus: ['CANCELLED', 'CANCELLED', 'CANCELLED', 'CANCELLED'] });
    expect(await rejection(house.client.waitForResult(child, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    expect(await handle.listActivities()).toEqual([]);
  });

  test('before the first turn lets the code begin and ends it', async () => {
    await house.runtime.shutdown();
    const handle = await house.play((ctx) => ctx.waitForEvent('never'));
    await handle.cancel('early');
    await house.restart();
    expect(await causeOf(handle)).toMatchObject({ message: 'early' });
  });

  test.each([
    ['after the event that ends it comes too late', ['event', 'cancel'], 'done'],
    ['before the event that would end it comes first', ['cancel', 'event'], 'CANCELLED'],
  ] as const)('in one turn %s', async (_what, order, expected) => {
    await house.runtime.shutdown();
    const handle = await house.play((ctx) => ctx.waitForEvent('end'));
    for (const what of order) await (what === 'cancel' ? handle.cancel() : handle.raiseEvent('end', 'done'));
    await house.restart();
    expect(await handle.result({ timeout: PATIENCE }).catch((error: unknown) => codeOf((error as Error).cause))).toBe(expected);
  });

  test('in the turn that continues as new reaches the next execution', async () => {
    await house.runtime.shutdown();
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 1) return await ctx.waitForEvent('never');
      await ctx.waitForEvent('next');
      return await ctx.continueAsNew(1);
    }, 0);
    await handle.raiseEvent('next');
    await handle.cancel('for the second');
    await house.restart();
    expect(await causeOf(handle)).toMatchObject({ message: 'for the second' });
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', executionId: 2 });
  });

  test('after the end changes nothing', async () => {
    const handle = await house.play(() => 'done');
    expect(await handle.result({ timeout: PATIENCE })).toBe('done');
    expect(await handle.cancel()).toEqual({ delivered: false });
    expect(await handle.state()).toMatchObject({ status: 'Completed' });
  });

  test('for nobody is an error', async () => {
    expect(await rejection(house.client.cancel('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
  });

  test('is seen by code that looks, also in a shield, and many of them are one', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      const before = ctx.isCancellationRequested;
      await ctx.waitForEvent('never').catch(() => undefined);
      const inShield = await ctx.shield(async () => {
        await ctx.scheduleTimer(5);
        return ctx.isCancellationRequested;
      });
      ctx.setCustomStatus([before, ctx.isCancellationRequested, inShield]);
    });
    await house.log.message('waiting', handle.instanceId);
    for (const reason of ['one', 'two', 'three']) await handle.cancel(reason);
    expect(await causeOf(handle)).toMatchObject({ message: 'one' });
    expect(ofKind(await handle.readHistory(), 'CancelRequested')).toHaveLength(1);
    expect((await handle.state()).customStatus).toEqual([false, true, true]);
  });

  test('leaves a shield alone, whose work is committed before the end', async () => {
    const order: string[] = [];
    const undo = house.deed(() => void order.push('undone'));
    const handle = await house.play(async (ctx) => {
      try {
        ctx.log.info('waiting');
        await ctx.waitForEvent('never');
      } catch (error) {
        await ctx.shield(async () => {
          await ctx.scheduleActivity('perform', undo, { retry: {} });
          await ctx.scheduleTimer(1);
          ctx.setCustomStatus('cleaned up');
        });
        throw error;
      }
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    expect(codeOf(await causeOf(handle))).toBe('CANCELLED');
    expect(order).toEqual(['undone']);
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', customStatus: 'cleaned up' });
  });

  test('in the middle of cleaning up survives a restart', async () => {
    const [running, release] = [new Gate(), new Gate()];
    const undo = house.deed(async () => {
      running.open();
      await release.opened;
    });
    const handle = await house.play(async (ctx) => {
      try {
        ctx.log.info('waiting');
        await ctx.waitForEvent('never');
      } finally {
        await ctx.shield(() => ctx.scheduleActivity('perform', undo));
        ctx.setCustomStatus('cleaned up');
      }
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    await running.opened;
    await house.runtime.shutdown({ timeoutMs: 0 });
    release.open();
    await house.restart();
    await causeOf(handle);
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', customStatus: 'cleaned up' });
  });

  test('that the code swallows still ends it Cancelled, and new waits outside a shield reject', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      await ctx.waitForEvent('never').catch(() => undefined);
      ctx.setCustomStatus(await ctx.scheduleTimer(1).catch(codeOf));
      return 'as if nothing had happened';
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    await causeOf(handle);
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', customStatus: 'CANCELLED' });
  });

  test('reaches the code as an error that fails it otherwise', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      await ctx.waitForEvent('never').catch(() => {
        throw new RangeError('could not clean up');
      });
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    expect(await causeOf(handle)).toMatchObject({ message: 'could not clean up' });
    expect(await handle.state()).toMatchObject({ status: 'Failed' });
  });

  test('and a race that both give up a child ask it once', async () => {
    const child = house.cast(house.newId(), async (ctx) => {
      ctx.log.info('child waits');
      await ctx.waitForEvent('never');
    });
    const handle = await house.play(async (ctx) => {
      const family = ctx.scheduleSubOrchestration('play', undefined, { instanceId: child });
      await ctx.race({ family, stop: ctx.waitForEvent('stop') });
      await ctx.waitForEvent('never');
    });
    await house.log.message('child waits', child);
    await handle.raiseEvent('stop');
    await handle.cancel();
    await causeOf(handle);
    await house.client.waitForResult(child, { timeout: PATIENCE }).catch(() => undefined);
    expect(ofKind(await house.client.readHistory(child), 'CancelRequested')).toHaveLength(1);
  });

  test('to a parent of many children ends them all', async () => {
    const handle = await house.play((ctx) =>
      ctx.all(
        Array.from({ length: 8 }, (_, index) =>
          ctx.scheduleSubOrchestration('play', undefined, {
            instanceId: house.cast(`${ctx.instanceId}-${index}`, (child) => child.waitForEvent('never')),
          }),
        ),
      ),
    );
    const children = Array.from({ length: 8 }, (_, index) => `${handle.instanceId}-${index}`);
    await expect
      .poll(async () => (await house.client.listInstances({ parent: handle.instanceId })).instances, { timeout: 10_000 })
      .toHaveLength(8);
    await handle.cancel();
    await causeOf(handle);
    for (const child of children) {
      expect(await rejection(house.client.waitForResult(child, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    }
  });

  test('reaches a generator orchestration at its yield', async () => {
    const handle = await house.play(function* (ctx): Generator<unknown, string, never> {
      ctx.log.info('waiting');
      try {
        yield ctx.waitForEvent('never');
      } catch (error) {
        yield ctx.shield(() => ctx.scheduleTimer(1));
        ctx.setCustomStatus(codeOf(error));
      }
      return 'returned';
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    await causeOf(handle);
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', customStatus: 'CANCELLED' });
  });
});

describeInHouses('a scope', (house) => {
  test('is cancelled as a whole, and nothing else', async () => {
    const told = await house.result(async (ctx) => {
      const outside = ctx.scheduleTimer(5).then(() => 'outside goes on');
      const part = ctx.scope(async () => {
        const inner = ctx.scope(() => ctx.waitForEvent('never'));
        return await ctx.all([inner, ctx.scheduleTimer('1h')]);
      });
      await ctx.scheduleTimer(1);
      part.cancel();
      return [await part.catch(codeOf), await outside, ctx.isCancellationRequested];
    });
    expect(told).toEqual(['CANCELLED', 'outside goes on', false]);
  });

  test('that lost a race cancels what it waits for and what it would do next', async () => {
    const ran: string[] = [];
    const deed = house.deed(() => void ran.push('ran'));
    const handle = await house.play(async (ctx) => {
      const { key } = await ctx.race({
        part: ctx.scope(async () => {
          await ctx.waitForEvent('never');
          await ctx.scheduleActivity('perform', deed);
        }),
        timer: ctx.scheduleTimer(1),
      });
      await ctx.scheduleTimer(5);
      return key;
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe('timer');
    expect(ran).toEqual([]);
  });

  test('with a timeout rejects with TIMEOUT and cleans up in a shield', async () => {
    const undone = house.deed(() => 'undone');
    const told = await house.result(async (ctx) => {
      let undo: unknown;
      const code = await ctx
        .withTimeout(5, async () => {
          try {
            await ctx.waitForEvent('never');
          } finally {
            undo = await ctx.shield(() => ctx.scheduleActivity('perform', undone));
            ctx.setCustomStatus('shield done');
          }
        })
        .catch(codeOf);
      const before = undo ?? 'still cleaning up';
      await ctx.scheduleTimer(50);
      return [code, before];
    });
    expect(told).toEqual(['TIMEOUT', 'still cleaning up']);
  });

  test('that ends in time leaves no timer', async () => {
    const handle = await house.play((ctx) =>
      ctx.withTimeout('1h', async () => {
        await ctx.scheduleTimer(1);
        return 'in time';
      }),
    );
    expect(await handle.result({ timeout: PATIENCE })).toBe('in time');
    expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });

  test('that fails rejects with its error', async () => {
    expect(await house.failure((ctx) => ctx.withTimeout('1h', () => Promise.reject(new RangeError('mine'))))).toMatchObject({
      name: 'RangeError',
    });
  });

  test.each([
    ['the outer', 5, 60_000],
    ['the inner', 60_000, 5],
  ] as const)('in a scope: %s timeout comes first', async (_what, outerMs, innerMs) => {
    const handle = await house.play((ctx) => ctx.withTimeout(outerMs, () => ctx.withTimeout(innerMs, () => ctx.waitForEvent('never'))));
    expect(await causeOf(handle)).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('5 ms') as unknown });
    expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });

  test('of a loop of timeouts works every time, over restarts', async () => {
    const handle = await house.play(async (ctx) => {
      const codes: unknown[] = [];
      for (let round = 0; round < 3; round += 1) codes.push(await ctx.withTimeout(2, () => ctx.waitForEvent('never')).catch(codeOf));
      ctx.setCustomStatus('three');
      await ctx.waitForEvent('go');
      codes.push(await ctx.withTimeout('1h', () => ctx.waitForEvent('go')));
      return codes;
    });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await house.restart();
    await handle.raiseEvent('go');
    await handle.raiseEvent('go', 'went');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['TIMEOUT', 'TIMEOUT', 'TIMEOUT', 'went']);
  });

  test.each(['scope', 'shield', 'withTimeout'] as const)(
    'in which the instance continues as new leaves nothing behind: %s',
    async (kind) => {
      const handle = await house.play(async (ctx, round: number) => {
        if (round === 1) return 'second';
        const run = (): Promise<never> => ctx.continueAsNew(1);
        if (kind === 'withTimeout') return await ctx.withTimeout('1h', run);
        return kind === 'scope' ? await ctx.scope(run) : await ctx.shield(run);
      }, 0);
      expect(await handle.result({ timeout: PATIENCE })).toBe('second');
      expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    },
  );

  test('with a timeout that is cancelled with its orchestration rejects with CANCELLED', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      return await ctx.withTimeout('1h', () => ctx.waitForEvent('never'));
    });
    await house.log.message('waiting', handle.instanceId);
    await handle.cancel();
    expect(await causeOf(handle)).toMatchObject({ code: 'CANCELLED' });
    expect(await handle.state()).toMatchObject({ status: 'Cancelled' });
  });

  test('without any time still takes what is there already', async () => {
    const handle = await house.play(async (ctx) => {
      await ctx.waitForEvent('second');
      return await ctx.withTimeout(0, () => ctx.waitForEvent('first'));
    });
    await handle.raiseEvent('first', 'was there');
    await handle.raiseEvent('second');
    expect(await handle.result({ timeout: PATIENCE })).toBe('was there');
  });

  test('may be nested deep', async () => {
    const depth = await house.result(async (ctx) => {
      const deep = async (level: number): Promise<number> => {
        if (level === 0) return await ctx.scheduleTimer(1).then(() => 0);
        const below = (): Promise<number> => deep(level - 1);
        return 1 + (await (level % 2 === 0 ? ctx.scope(below) : ctx.shield(below)));
      };
      return await deep(60);
    });
    expect(depth).toBe(60);
  });

  test('may be cancelled in a shield by its own handle', async () => {
    const told = await house.result(async (ctx) => {
      const shielded = ctx.shield(() => ctx.waitForEvent('never'));
      await ctx.scheduleTimer(1);
      shielded.cancel();
      return await shielded.catch(codeOf);
    });
    expect(told).toBe('CANCELLED');
  });
});

describeInHouses('a future that is cancelled', (house) => {
  test.each(['timer', 'event', 'activity', 'child', 'group'] as const)(
    'rejects, is an event, and leaves nothing behind: %s',
    async (what) => {
      const deed = house.deed((ctx) => aborted(ctx.signal));
      const child = house.cast(house.newId(), (ctx) => ctx.waitForEvent('never'));
      const handle = await house.play(async (ctx) => {
        const makers = {
          timer: () => ctx.scheduleTimer('1h'),
          event: () => ctx.waitForEvent('never'),
          activity: () => ctx.scheduleActivity('perform', deed),
          child: () => ctx.scheduleSubOrchestration('play', undefined, { instanceId: child }),
          group: () => ctx.all([ctx.scheduleTimer('1h'), ctx.waitForEvent('never')]),
        };
        const future = makers[what]();
        await ctx.scheduleTimer(1);
        future.cancel();
        future.cancel();
        const code = await (future as Promise<unknown>).catch(codeOf);
        await ctx.scheduleTimer(1);
        return code;
      });
      expect(await handle.result({ timeout: PATIENCE })).toBe('CANCELLED');
      expect((await kindsOf(handle)).filter((kind) => kind === 'FutureCancelled')).toHaveLength(what === 'group' ? 2 : 1);
      if (what === 'child') await house.client.waitForResult(child, { timeout: PATIENCE }).catch(() => undefined);
      expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    },
  );

  test('after it settled keeps its result', async () => {
    const told = await house.result(async (ctx) => {
      const timer = ctx.scheduleTimer(1).then(() => 'fired');
      const event = ctx.waitForEvent('e');
      await timer;
      event.cancel();
      const future = ctx.scheduleTimer(1);
      await future;
      future.cancel();
      return [await timer, (await future) ?? 'settled'];
    });
    expect(told).toEqual(['fired', 'settled']);
  });

  test('because nobody awaited it at the end is an activity that never runs, or is aborted', async () => {
    const [running, ended] = [new Gate(), new Gate()];
    const deed = house.deed(async (ctx) => {
      running.open();
      await aborted(ctx.signal);
      ended.open();
    });
    let ran = false;
    const last = house.deed(() => {
      ran = true;
    });
    const handle = await house.play(async (ctx) => {
      void ctx.scheduleActivity('perform', deed);
      await ctx.waitForEvent('end');
      void ctx.scheduleActivity('perform', last);
      return 'ended';
    });
    await running.opened;
    await handle.raiseEvent('end');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ended');
    await ended.opened;
    expect(ran).toBe(false);
    expect((await kindsOf(handle)).at(-1)).toBe('OrchestrationCompleted');
  });
});

describeInHouses('a suspended instance', (house) => {
  test('takes no turn until it is resumed, and then everything that came meanwhile', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.setCustomStatus('waiting');
      return [await ctx.waitForEvent('a'), await ctx.scheduleTimer(1).then(() => 'timer'), await ctx.waitForEvent('b')];
    });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    expect(await handle.suspend()).toEqual({ done: true });
    expect(await handle.suspend()).toEqual({ done: false });
    await handle.raiseEvent('b', 'B');
    await handle.raiseEvent('a', 'A');
    // Another instance that begins after it has ended: this one had its chance.
    await house.result((ctx) => ctx.scheduleTimer(5));
    expect(await handle.state()).toMatchObject({ status: 'Suspended', customStatus: 'waiting' });
    expect(await kindsOf(handle)).not.toContain('EventRaised');
    expect(await handle.resume()).toEqual({ done: true });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['A', 'timer', 'B']);
  });

  test('stays so over a restart', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('go'));
    await handle.suspend();
    await handle.raiseEvent('go', 'went');
    await house.restart();
    await house.result((ctx) => ctx.scheduleTimer(5));
    expect(await handle.state()).toMatchObject({ status: 'Suspended' });
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('went');
  });

  test('lets its activities finish, and hears of them later', async () => {
    const [running, release, finished] = [new Gate(), new Gate(), new Gate()];
    const deed = house.deed(async () => {
      running.open();
      await release.opened;
      finished.open();
      return 'meanwhile';
    });
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
    await running.opened;
    await handle.suspend();
    release.open();
    await finished.opened;
    await expect.poll(() => handle.listActivities(), { timeout: 10_000 }).toEqual([]);
    expect(await handle.state()).toMatchObject({ status: 'Suspended' });
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('meanwhile');
  });

  test('is cancelled when it is resumed', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('never'));
    await handle.suspend();
    expect(await handle.cancel('while it slept')).toEqual({ delivered: true });
    await handle.resume();
    expect(await causeOf(handle)).toMatchObject({ message: 'while it slept' });
  });

  test('may be terminated', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('never'));
    await handle.suspend();
    await handle.terminate('not needed');
    expect(await causeOf(handle)).toMatchObject({ code: 'ORCHESTRATION_TERMINATED', message: 'not needed' });
  });

  test('before its first turn begins when it is resumed', async () => {
    const handle = await house.play(() => 'began', undefined, { startAfter: 30 });
    await handle.suspend();
    expect(await handle.state()).toMatchObject({ status: 'Suspended' });
    await house.result((ctx) => ctx.scheduleTimer(60));
    expect(await handle.state()).toMatchObject({ status: 'Suspended' });
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('began');
  });

  test('in a later execution goes on there', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      ctx.setCustomStatus(round);
      if (round === 0) return await ctx.continueAsNew(1);
      return [await ctx.waitForEvent('go'), ctx.executionId];
    }, 0);
    await handle.waitForCustomStatus({ afterVersion: 1, timeout: PATIENCE });
    await handle.suspend();
    await handle.raiseEvent('go', 'went');
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['went', 2]);
  });
});

describeInHouses(
  'a terminated instance',
  (house) => {
    test('ends at once, runs no clean-up, and leaves nothing in the queues', async () => {
      const [running, ended] = [new Gate(), new Gate()];
      const deed = house.deed(async (ctx) => {
        running.open();
        await aborted(ctx.signal);
        ended.open();
      });
      const handle = await house.play(async (ctx) => {
        try {
          await ctx.all([ctx.scheduleActivity('perform', deed), ctx.scheduleTimer('1h'), ctx.waitForEvent('never')]);
        } finally {
          ctx.setCustomStatus('cleaned up');
        }
      });
      await running.opened;
      await handle.terminate('off');
      expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_TERMINATED',
        cause: { message: 'off' },
      });
      expect(await handle.state()).toMatchObject({ status: 'Terminated', customStatus: undefined });
      // Its runtime hears of it with the next renewal of the lease.
      await ended.opened;
      expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
      expect(await rejection(handle.resume())).toMatchObject({ code: 'INSTANCE_ENDED' });
    });

    test('keeps its history where it stood', async () => {
      const handle = await house.play(async (ctx) => {
        ctx.log.info('waiting');
        await ctx.waitForEvent('never');
      });
      await house.log.message('waiting', handle.instanceId);
      await handle.terminate();
      expect(await kindsOf(handle)).toEqual(['OrchestrationStarted', 'EventAwaited']);
    });

    test('can be started anew under its id', async () => {
      const handle = await house.play((ctx) => ctx.waitForEvent('go'));
      await handle.terminate();
      const again = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'replaceTerminal' });
      await again.raiseEvent('go', 'second life');
      expect(await again.result({ timeout: PATIENCE })).toBe('second life');
    });

    test('in the middle of a turn loses that turn', async () => {
      const handle = await house.play(async (ctx) => {
        for (let count = 0; count < 20; count += 1) await ctx.scheduleTimer(1);
        return 'done';
      });
      await handle.terminate();
      expect(await handle.state()).toMatchObject({ status: 'Terminated' });
      await house.result((ctx) => ctx.scheduleTimer(10));
      expect(await handle.state()).toMatchObject({ status: 'Terminated' });
    });
  },
  { activityLockMs: 300 },
);
