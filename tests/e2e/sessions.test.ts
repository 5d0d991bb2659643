// Sessions: activities that belong together run in one runtime, and there in one thread.
//
// Covered elsewhere:
// | case                                                                        | where                            |
// | --------------------------------------------------------------------------- | -------------------------------- |
// | claims, leases, idle limits, caps, take-over, clean-up, item by item        | src/conformance/cases-sessions.ts |
// | ranges of the options                                                       | tests/integration/bad-input.test.ts |
// | messages to the activities of a session                                     | activities.test.ts               |
import { describe, expect, test } from 'vitest';
import { startHost } from '../support/integration-child.ts';
import { PATIENCE, quick, stage } from '../support/integration-stage.ts';
import { Client, Runtime } from 'duraloom';
import { describeInHouses, Gate } from './fixtures/house.ts';

const modules = {
  orchestrations: new URL('./fixtures/session-definitions.ts', import.meta.url),
  activities: new URL('./fixtures/session-definitions.ts', import.meta.url),
};

describeInHouses('activities of a session', (house) => {
  const whoAmI = house.deed((ctx) => ctx.sessionId);

  test('know their session, others have none', async () => {
    const told = await house.result((ctx) =>
      ctx.all([
        ctx.scheduleActivity('perform', whoAmI, { sessionId: 'a' }),
        ctx.scheduleActivity('perform', whoAmI),
        ctx.scheduleActivity('perform', whoAmI, { sessionId: 'b' }),
      ]),
    );
    expect(told).toEqual(['a', null, 'b']);
  });

  test('run side by side, as many as there are', async () => {
    let running = 0;
    const all = new Gate();
    const deed = house.deed(async () => {
      running += 1;
      if (running === 5) all.open();
      await all.opened;
    });
    const handle = await house.play((ctx) =>
      ctx.all(Array.from({ length: 5 }, () => ctx.scheduleActivity('perform', deed, { sessionId: ctx.instanceId }))),
    );
    await handle.result({ timeout: PATIENCE });
    expect(running).toBe(5);
  });

  test('go by priority where they wait for each other', async () => {
    await house.restart({ tags: 'none' });
    const order: string[] = [];
    const [low, high] = ['low', 'high'].map((what) =>
      house.deed(() => {
        order.push(what);
      }),
    ) as [string, string];
    const handle = await house.play(async (ctx) => {
      const work = ctx.all([
        ctx.scheduleActivity('perform', low, { sessionId: ctx.instanceId }),
        ctx.scheduleActivity('perform', high, { sessionId: ctx.instanceId, priority: 9 }),
      ]);
      ctx.log.info('scheduled');
      return await work;
    });
    await house.log.message('scheduled', handle.instanceId);
    await house.restart();
    await handle.result({ timeout: PATIENCE });
    expect(order).toEqual(['high', 'low']);
  });

  test('keep their session over continue-as-new and a new version of it', async () => {
    const handle = await house.play(async (ctx, round: number): Promise<unknown> => {
      const sessionId = await ctx.scheduleActivity('perform', whoAmI, { sessionId: 'kept' });
      return round === 1 ? sessionId : await ctx.continueAsNew(1);
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toBe('kept');
  });

  test('are taken by another runtime when theirs has stopped', async () => {
    const sessionId = house.newId();
    const handle = await house.play(async (ctx) => {
      const first = await ctx.scheduleActivity('perform', whoAmI, { sessionId });
      ctx.log.info('first');
      await ctx.waitForEvent('moved');
      return [first, await ctx.scheduleActivity('perform', whoAmI, { sessionId })];
    });
    await house.log.message('first', handle.instanceId);
    await house.restart({ nodeId: 'another' });
    await handle.raiseEvent('moved');
    expect(await handle.result({ timeout: PATIENCE })).toEqual([sessionId, sessionId]);
    await house.restart();
  });

  test('do not run where no session may be held, others do', async () => {
    await house.restart({ maxSessions: 0 });
    const handle = await house.play(async (ctx) => {
      const inSession = ctx.scheduleActivity('perform', whoAmI, { sessionId: 's' });
      const plain = await ctx.scheduleActivity('perform', whoAmI);
      ctx.setCustomStatus('plain is done');
      return [plain, await inSession];
    });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    expect(await handle.listActivities()).toMatchObject([{ sessionId: 's', isRunning: false, attempt: 0 }]);
    await house.restart();
    expect(await handle.result({ timeout: PATIENCE })).toEqual([null, 's']);
  });

  test('wait when their runtime holds as many sessions as it may, until one is idle', async () => {
    await house.restart({ maxSessions: 1, sessionLeaseMs: 200, sessionIdleMs: 200 });
    const [first, second] = [house.newId(), house.newId()];
    const told = await house.result((ctx) =>
      ctx.all([
        ctx.scheduleActivity('perform', whoAmI, { sessionId: first }),
        ctx.scheduleActivity('perform', whoAmI, { sessionId: second }),
        ctx.scheduleActivity('perform', whoAmI),
      ]),
    );
    expect(told).toEqual([first, second, null]);
    await house.restart();
  });

  test('that nobody may take end by their expiry', async () => {
    await house.restart({ maxSessions: 0 });
    const told = await house.result((ctx) =>
      ctx
        .scheduleActivity('perform', whoAmI, { sessionId: 's', expiresAfterMs: 30 })
        .catch((error: unknown) => (error as { code?: string }).code),
    );
    expect(told).toBe('ACTIVITY_EXPIRED');
    await house.restart();
  });

  test('that are retried stay in their session', async () => {
    const deed = house.deed((ctx) => {
      if (ctx.attempt < 3) throw new Error('again');
      return [ctx.sessionId, ctx.attempt];
    });
    const told = await house.result((ctx) => ctx.scheduleActivity('perform', deed, { sessionId: 's', retry: { initialIntervalMs: 1 } }));
    expect(told).toEqual(['s', 3]);
  });

  test('may have a tag as well', async () => {
    await house.restart({ tags: { defaultAnd: ['gpu'] } });
    const deed = house.deed((ctx) => [ctx.sessionId, ctx.tag]);
    expect(await house.result((ctx) => ctx.scheduleActivity('perform', deed, { sessionId: 's', tag: 'gpu' }))).toEqual(['s', 'gpu']);
    await house.restart();
  });
});

describe('with threads, activities of a session', () => {
  test('share one thread, and sessions spread over threads', async () => {
    const { client } = await stage().open({ ...modules, activityThreads: 3 });
    const handle = await client.startOrchestration<readonly { readonly threads: number; readonly counts: readonly number[] }[]>(
      's',
      'countsPages',
      6,
    );
    const sessions = await handle.result({ timeout: PATIENCE });
    for (const { threads, counts } of sessions) {
      expect(threads).toBe(1);
      expect(counts.toSorted((left, right) => left - right)).toEqual([1, 2, 3, 4]);
    }
  });

  test('find what they kept in memory as long as their thread lives, and begin anew after it died', async () => {
    const { client } = await stage().open({ ...modules, activityThreads: 2 });
    const handle = await client.startOrchestration('d', 'losesItsThread');
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 1]);
  });
});

describe('two runtimes on one store', () => {
  test('each keep their sessions; those of one that was killed are taken over after its lease', async () => {
    const stand = stage();
    const host = await startHost(stand, {
      orchestrations: modules.orchestrations.href,
      activities: modules.activities.href,
      sessionLeaseMs: 600,
      nodeId: 'first',
    });
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const handle = await client.startOrchestration('k', 'movesHouse');
    const state = await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    expect(state.customStatus).toBe(host.pid);
    const runtime = await Runtime.start({ provider, ...quick, ...modules, nodeId: 'second', sessionLeaseMs: 600 });
    stand.defer(() => runtime.shutdown());
    // The first host lives: the session stays with it.
    await handle.raiseEvent('again');
    const kept = await handle.waitForCustomStatus({ afterVersion: 1, timeout: PATIENCE });
    expect(kept.customStatus).toBe(host.pid);
    await host.kill();
    await handle.raiseEvent('again');
    expect(await handle.result({ timeout: PATIENCE })).toEqual([host.pid, host.pid, process.pid]);
  });
});
