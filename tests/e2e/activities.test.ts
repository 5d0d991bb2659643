// What an activity gets and can do: attempts, heartbeats, deadline, signal and grace, its client, messages of its session.
//
// Covered elsewhere:
// | case                                                                    | where                                                |
// | ----------------------------------------------------------------------- | ---------------------------------------------------- |
// | heartbeat details to the next attempt of a retry policy; timeouts       | retry.test.ts                                        |
// | an activity that kills its thread, throws odd things, loses its lease   | tests/integration/misbehaviour.test.ts, dispatchers.test.ts |
// | attempts that a crash or a shutdown cut off                             | tests/integration/restart.test.ts, shutdown.test.ts  |
// | the queue of session messages in the store                              | src/conformance/cases-sessions.ts                     |
import { defineOrchestration, type ActivityContext } from 'duraloom';
import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { release } from '../support/integration-gate.ts';
import { PATIENCE, quick, stage } from '../support/integration-stage.ts';
import { aborted, codeOf, describeInHouses, Gate } from './fixtures/house.ts';

const adder = defineOrchestration('adder', async (ctx, [left, right]: readonly [number, number]) => {
  ctx.kv.set('sum', left + right);
  await ctx.scheduleTimer(1);
  return left + right;
});

const modules = {
  orchestrations: new URL('./fixtures/activity-definitions.ts', import.meta.url),
  activities: new URL('./fixtures/activity-definitions.ts', import.meta.url),
};

describeInHouses(
  'an activity',
  (house) => {
    test('knows where it belongs', async () => {
      const deed = house.deed(({ instanceId, executionId, eventId, name, attempt, tag, sessionId, deadline }) => ({
        instanceId,
        executionId,
        eventId,
        name,
        attempt,
        tag,
        sessionId,
        deadline,
      }));
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
      expect(await handle.result({ timeout: PATIENCE })).toEqual({
        instanceId: handle.instanceId,
        executionId: 1,
        eventId: 2,
        name: 'perform',
        attempt: 1,
        tag: null,
        sessionId: null,
        deadline: null,
      });
    });

    test('has one event id for all its attempts: an idempotency key', async () => {
      const keys: unknown[] = [];
      const deed = house.deed((ctx) => {
        keys.push([ctx.eventId, ctx.attempt]);
        if (ctx.attempt < 3) throw new Error('again');
      });
      await house.result(async (ctx) => {
        await ctx.scheduleActivity('perform', deed, { retry: { initialIntervalMs: 1 } });
        await ctx.scheduleActivity('perform', deed, { retry: { maximumAttempts: 1 } }).catch(() => undefined);
      });
      expect(keys.slice(0, 3)).toEqual([
        [2, 1],
        [2, 2],
        [2, 3],
      ]);
      expect(keys[3]).not.toEqual([2, 1]);
    });

    test('tells clients how far it is', async () => {
      const gate = new Gate();
      const deed = house.deed(async (ctx) => {
        ctx.heartbeat({ done: 1 });
        ctx.heartbeat({ done: 2 });
        await gate.opened;
      });
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
      await expect
        .poll(async () => (await handle.listActivities())[0], { timeout: 10_000 })
        .toMatchObject({
          eventId: 2,
          name: 'perform',
          attempt: 1,
          isRunning: true,
          heartbeat: { done: 2 },
        });
      gate.open();
      await handle.result({ timeout: PATIENCE });
      expect(await handle.listActivities()).toEqual([]);
    });

    test('that its runtime gave back at a shutdown gets the details of its last heartbeat', async () => {
      const started = new Gate();
      const seen: unknown[] = [];
      const deed = house.deed(async (ctx) => {
        seen.push(ctx.heartbeatDetails);
        if (seen.length > 1) return ctx.heartbeatDetails;
        ctx.heartbeat('half way');
        // The details are on their way once a log line after them has arrived.
        ctx.log.info('half way');
        started.open();
        await aborted(ctx.signal);
        throw new Error('aborted');
      });
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
      await started.opened;
      await house.log.message('half way', handle.instanceId);
      await house.runtime.shutdown({ timeoutMs: 0 });
      await house.restart();
      expect(await handle.result({ timeout: PATIENCE })).toBe('half way');
      expect(seen).toEqual([undefined, 'half way']);
    });

    test('refuses details that are no JSON, and goes on', async () => {
      const deed = house.deed((ctx) => {
        try {
          ctx.heartbeat(1n);
        } catch (error) {
          return codeOf(error);
        }
        return undefined;
      });
      expect(await house.result((ctx) => ctx.scheduleActivity('perform', deed))).toBe('PAYLOAD_NOT_SERIALIZABLE');
    });

    test('has a deadline when an attempt has a limit', async () => {
      const deed = house.deed((ctx) => (ctx.deadline === null ? null : ctx.deadline.getTime() - Date.now()));
      const leftMs = await house.result((ctx) => ctx.scheduleActivity<number>('perform', deed, { attemptTimeoutMs: 60_000 }));
      expect(leftMs).toBeGreaterThan(0);
      expect(leftMs).toBeLessThanOrEqual(60_000);
    });

    test('may have a limit beyond what one timer of Node takes', async () => {
      const warnings: string[] = [];
      const note = ({ name }: Error): unknown => warnings.push(name);
      process.on('warning', note);
      // Node warns in the next tick when it cuts a timer to 1 ms.
      const deed = house.deed(() => new Promise((resolve) => setImmediate(resolve, 'done')));
      const options = { attemptTimeoutMs: 60 * 24 * 60 * 60 * 1000 };
      expect(await house.result((ctx) => ctx.scheduleActivity('perform', deed, options))).toBe('done');
      process.off('warning', note);
      expect(warnings).not.toContain('TimeoutOverflowWarning');
    });

    test('sees its signal abort when its orchestration is cancelled, and its answer is worth nothing', async () => {
      const [running, ended] = [new Gate(), new Gate()];
      let reason: unknown;
      const deed = house.deed(async (ctx) => {
        running.open();
        reason = await aborted(ctx.signal);
        ended.open();
        return 'too late';
      });
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed).catch(codeOf));
      await running.opened;
      await handle.cancel();
      await ended.opened;
      expect(codeOf(reason)).toBe('CANCELLED');
      await handle.result({ timeout: PATIENCE }).catch(() => undefined);
      expect(await handle.state()).toMatchObject({ status: 'Cancelled' });
    });

    test('that lost a race sees its signal abort while its orchestration goes on', async () => {
      const [running, ended] = [new Gate(), new Gate()];
      const deed = house.deed(async (ctx) => {
        running.open();
        await aborted(ctx.signal);
        ended.open();
      });
      const handle = await house.play(async (ctx) => {
        const { key } = await ctx.race({ work: ctx.scheduleActivity('perform', deed), stop: ctx.waitForEvent('stop') });
        await ctx.waitForEvent('end');
        return key;
      });
      await running.opened;
      await handle.raiseEvent('stop');
      await ended.opened;
      await handle.raiseEvent('end');
      expect(await handle.result({ timeout: PATIENCE })).toBe('stop');
    });

    test('that asks for its signal after it was aborted finds it aborted', async () => {
      const [running, cancelled, asked] = [new Gate(), new Gate(), new Gate()];
      let isAborted = false;
      const deed = house.deed(async (ctx) => {
        running.open();
        await cancelled.opened;
        isAborted = (ctx.signal as { readonly aborted: boolean }).aborted;
        asked.open();
      });
      const handle = await house.play(async (ctx) => {
        const work = ctx.scheduleActivity('perform', deed);
        await ctx.waitForEvent('stop');
        work.cancel();
        await ctx.scheduleActivity('perform', probe);
        return 'gone on';
      });
      // Runs after the cancellation was committed and passed on.
      const probe = house.deed(() => cancelled.open());
      await running.opened;
      await handle.raiseEvent('stop');
      await asked.opened;
      expect(isAborted).toBe(true);
      expect(await handle.result({ timeout: PATIENCE })).toBe('gone on');
    });

    test('that does not listen frees its slot when its grace is over', async () => {
      const [running, never] = [new Gate(), new Gate()];
      let count = 0;
      const deaf = house.deed(async () => {
        count += 1;
        if (count === 2) running.open();
        await never.opened;
      });
      const next = house.deed(() => 'has a slot');
      const handle = await house.play(async (ctx) => {
        const both = [ctx.scheduleActivity('perform', deaf), ctx.scheduleActivity('perform', deaf)];
        await ctx.waitForEvent('stop');
        for (const future of both) future.cancel();
        return await ctx.scheduleActivity('perform', next);
      });
      await running.opened;
      await handle.raiseEvent('stop');
      expect(await handle.result({ timeout: PATIENCE })).toBe('has a slot');
      never.open();
    });

    test('logs with its origin', async () => {
      const deed = house.deed((ctx) => ctx.log.warn('from within', { detail: 7 }));
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
      const line = await house.log.message('from within', handle.instanceId);
      expect(line).toMatchObject({ level: 'warn', fields: { activity: 'perform', attempt: 1, detail: 7 } });
    });
  },
  { definitions: [adder], activityGraceMs: 30, activitiesPerThread: 2 },
);

describeInHouses(
  'the client of an activity',
  (house) => {
    /** Runs code in an activity. */
    const inActivity = (code: (ctx: ActivityContext) => Promise<unknown>): Promise<unknown> => {
      const deed = house.deed(code);
      return house.result((ctx) => ctx.scheduleActivity('perform', deed));
    };

    test('starts orchestrations, waits for them and reads them', async () => {
      const id = house.newId();
      const seen = await inActivity(async ({ client }) => {
        const handle = await client.startOrchestration(id, adder, [1, 2]);
        const result = await handle.result();
        const again = await client.startOrchestration(id, 'adder', [5, 5], { onExisting: 'useExisting' });
        const state = await client.getState(id);
        return [
          result,
          await again.result(),
          state?.status,
          state?.result,
          await client.getValue(id, 'sum'),
          await client.getState('nobody'),
        ];
      });
      expect(seen).toEqual([3, 3, 'Completed', 3, 3, null]);
    });

    test('gets typed errors', async () => {
      const id = house.newId();
      const seen = await inActivity(async ({ client }) => {
        await client.startOrchestration(id, adder, [1, 2]);
        return await Promise.all([
          client.startOrchestration(id, adder, [1, 2]).catch(codeOf),
          client.raiseEvent('nobody', 'x').catch(codeOf),
          client.raiseEvent(id, '').catch(codeOf),
          client.startOrchestration('no::good', adder, [1, 2]).catch(codeOf),
        ]);
      });
      expect(seen).toEqual(['INSTANCE_EXISTS', 'INSTANCE_NOT_FOUND', 'ARGUMENT_INVALID', 'ARGUMENT_INVALID']);
    });

    test('answers its own orchestration by an event', async () => {
      const deed = house.deed(async (ctx) => {
        for (const step of [1, 2]) await ctx.client.raiseEvent(ctx.instanceId, 'progress', step);
        return 'done';
      });
      const told = await house.result(async (ctx) => {
        const work = ctx.scheduleActivity('perform', deed);
        return [await ctx.waitForEvent('progress'), await ctx.waitForEvent('progress'), await work];
      });
      expect(told).toEqual([1, 2, 'done']);
    });

    test('cancels, terminates and publishes', async () => {
      const topic = house.newId();
      const victims = await Promise.all([1, 2].map(() => house.play((ctx) => ctx.waitForEvent('never'))));
      const listener = await house.play(async (ctx) => {
        const subscription = ctx.subscribe(topic);
        ctx.log.info('subscribed');
        return (await subscription.next()).data;
      });
      await house.log.message('subscribed', listener.instanceId);
      const seen = await inActivity(async ({ client }) => {
        await client.cancel(victims[0]?.instanceId ?? '', 'by an activity');
        await client.terminate(victims[1]?.instanceId ?? '', 'by an activity');
        return await client.publish(topic, 'news');
      });
      expect(seen).toBe(1);
      expect(await listener.result({ timeout: PATIENCE })).toBe('news');
      await Promise.all(victims.map((victim) => victim.result({ timeout: PATIENCE }).catch(() => undefined)));
      expect((await Promise.all(victims.map((victim) => victim.state()))).map(({ status }) => status)).toEqual(['Cancelled', 'Terminated']);
    });
  },
  { definitions: [adder] },
);

describeInHouses('messages to the activities of a session', (house) => {
  test('are received in order, also those that were sent before', async () => {
    const deed = house.deed(async (ctx) => [await ctx.receive(), await ctx.receive(), await ctx.receive()]);
    const received = await house.result(async (ctx) => {
      ctx.sendToSession(ctx.instanceId, 'early');
      const work = ctx.scheduleActivity('perform', deed, { sessionId: ctx.instanceId });
      ctx.sendToSession(ctx.instanceId, { nested: [1] });
      await ctx.scheduleTimer(5);
      ctx.sendToSession(ctx.instanceId);
      return await work;
    });
    expect(received).toEqual(['early', { nested: [1] }, null]);
  });

  test('leave nothing behind on the signal of the activity that takes them', async () => {
    const deed = house.deed(async (ctx) => {
      for (let count = 0; count < 20; count += 1) await ctx.receive();
      return getEventListeners(ctx.signal, 'abort').length;
    });
    const left = await house.result((ctx) => {
      for (let count = 0; count < 20; count += 1) ctx.sendToSession(ctx.instanceId, count);
      return ctx.scheduleActivity('perform', deed, { sessionId: ctx.instanceId });
    });
    expect(left).toBe(0);
  });

  test('go to the next activity when one has ended without them', async () => {
    const one = house.deed((ctx) => ctx.receive());
    const received = await house.result(async (ctx) => {
      const options = { sessionId: ctx.instanceId };
      for (const text of ['a', 'b', 'c']) ctx.sendToSession(ctx.instanceId, text);
      const results = [];
      for (let count = 0; count < 3; count += 1) results.push(await ctx.scheduleActivity('perform', one, options));
      return results;
    });
    expect(received).toEqual(['a', 'b', 'c']);
  });

  test('end the wait of an activity that is cancelled, and the next one gets the message', async () => {
    const [waiting, ended] = [new Gate(), new Gate()];
    let reason: unknown;
    const first = house.deed(async (ctx) => {
      waiting.open();
      try {
        await ctx.receive();
      } catch (error) {
        reason = error;
        ended.open();
      }
    });
    const second = house.deed((ctx) => ctx.receive());
    const handle = await house.play(async (ctx) => {
      const options = { sessionId: ctx.instanceId };
      const work = ctx.scheduleActivity('perform', first, options);
      await ctx.waitForEvent('stop');
      work.cancel();
      await ctx.waitForEvent('send');
      ctx.sendToSession(ctx.instanceId, 'for the second');
      return await ctx.scheduleActivity('perform', second, options);
    });
    await waiting.opened;
    await handle.raiseEvent('stop');
    await ended.opened;
    expect(codeOf(reason)).toBe('CANCELLED');
    await handle.raiseEvent('send');
    expect(await handle.result({ timeout: PATIENCE })).toBe('for the second');
  });

  test('are for activities with a session only', async () => {
    const deed = house.deed((ctx) => ctx.receive().catch(codeOf));
    expect(await house.result((ctx) => ctx.scheduleActivity('perform', deed))).toBe('ARGUMENT_INVALID');
  });

  test('of different sessions do not meet', async () => {
    const deed = house.deed((ctx) => ctx.receive());
    const received = await house.result(async (ctx) => {
      const [left, right] = ['left', 'right'].map((side) => `${ctx.instanceId}-${side}`) as [string, string];
      const work = ctx.all([
        ctx.scheduleActivity('perform', deed, { sessionId: left }),
        ctx.scheduleActivity('perform', deed, { sessionId: right }),
      ]);
      ctx.sendToSession(right, 'R');
      ctx.sendToSession(left, 'L');
      return await work;
    });
    expect(received).toEqual(['L', 'R']);
  });

  test('that were received are not received again after the attempt was cut off, except for the last one', async () => {
    const received: unknown[] = [];
    const cutOff = new Gate();
    const deed = house.deed(async (ctx) => {
      if (received.length > 0) return await ctx.receive();
      for (let count = 0; count < 3; count += 1) received.push(await ctx.receive());
      cutOff.open();
      await aborted(ctx.signal);
      return undefined;
    });
    const handle = await house.play(async (ctx) => {
      for (const text of ['a', 'b', 'c', 'd']) ctx.sendToSession(ctx.instanceId, text);
      return await ctx.scheduleActivity('perform', deed, { sessionId: ctx.instanceId });
    });
    await cutOff.opened;
    await house.runtime.shutdown({ timeoutMs: 0 });
    await house.restart();
    expect(received).toEqual(['a', 'b', 'c']);
    expect(['c', 'd']).toContain(await handle.result({ timeout: PATIENCE }));
  });

  test('reach a session that was given up for being idle and is used again', async () => {
    await house.restart({ sessionLeaseMs: 200, sessionIdleMs: 200 });
    const deed = house.deed((ctx) => ctx.receive());
    const handle = await house.play(async (ctx) => {
      const ask = async (text: string): Promise<unknown> => {
        ctx.sendToSession(ctx.instanceId, text);
        return await ctx.scheduleActivity('perform', deed, { sessionId: ctx.instanceId });
      };
      const before = [await ask('a'), await ask('b')];
      // Longer than the lease and the idle limit together.
      await ctx.scheduleTimer(1_000);
      return [...before, await ask('c')];
    });
    expect(await handle.result({ timeout: '8s' })).toEqual(['a', 'b', 'c']);
  });
});

describe('over threads', () => {
  test('an activity has heartbeats, a client and messages', async () => {
    const { client } = await stage().open(modules);
    const talk = await client.startOrchestration('talk', 'dialogue', ['tree', 'lamp']);
    expect(await talk.result({ timeout: PATIENCE })).toEqual(['TREE', 'LAMP', 'done']);
    const family = await client.startOrchestration('family', 'startsThroughActivity', 20);
    expect(await family.result({ timeout: PATIENCE })).toEqual({ result: 40, missing: 'INSTANCE_NOT_FOUND' });
    const copy = await client.startOrchestration('copy', 'copies');
    expect(await copy.result({ timeout: PATIENCE })).toEqual({ from: 2, attempt: 2 });
  });

  test('the details of a heartbeat outlive the thread', async () => {
    const { client } = await stage().open({ ...modules, ...quick, maxAttempts: 3 });
    const handle = await client.startOrchestration('crash', 'survives');
    await expect.poll(async () => (await handle.listActivities())[0]?.heartbeat, { timeout: 10_000 }).toBe(3);
    release('crash');
    expect(await handle.result({ timeout: PATIENCE })).toBe('went on after page 3');
  });
});
