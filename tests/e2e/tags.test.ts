// Tags, expiry and priority: who runs an activity, and when.
//
// Covered elsewhere:
// | case                                                                          | where                                             |
// | ----------------------------------------------------------------------------- | ------------------------------------------------- |
// | every filter against every tag, tags over abandon and ack, expiry, priorities | src/conformance/cases-routing.ts                   |
// | ranges of the option `tags`, tags of the runtime itself                       | tests/integration/bad-input.test.ts, client-runtime.test.ts |
// | what was missing when an activity expired                                     | tests/integration/client-system.test.ts           |
import type { Runtime, RuntimeOptions } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MAX_NAME_LENGTH } from '../../src/types/limits.ts';
import { PATIENCE, quick, stage } from '../support/integration-stage.ts';
import { aborted, codeOf, describeInHouses, Gate, ofKind, type House } from './fixtures/house.ts';

/** A second runtime on the store of a house, for activities only. */
async function worker(house: House, options: Partial<RuntimeOptions>): Promise<Runtime> {
  const runtime = await house.startWorker(options);
  onTestFinished(() => runtime.shutdown());
  return runtime;
}

describeInHouses('a tagged activity', (house) => {
  const whichTag = house.deed((ctx) => ctx.tag);

  test('goes to the runtime that takes its tag, and knows it', async () => {
    const gpu = await worker(house, { tags: { only: ['gpu'] } });
    const told = await house.result((ctx) =>
      ctx.all([ctx.scheduleActivity('perform', whichTag, { tag: 'gpu' }), ctx.scheduleActivity('perform', whichTag)]),
    );
    expect(told).toEqual(['gpu', null]);
    expect(gpu.stats().activitiesCompleted).toBe(1);
  });

  test('waits for a runtime that takes it', async () => {
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', whichTag, { tag: 'late' }));
    await expect.poll(() => handle.listActivities(), { timeout: 10_000 }).toMatchObject([{ tag: 'late', isRunning: false, attempt: 0 }]);
    await worker(house, { tags: { only: ['late'] } });
    expect(await handle.result({ timeout: PATIENCE })).toBe('late');
  });

  test('that nobody takes ends by its expiry, and its orchestration goes on another way', async () => {
    const handle = await house.play(async (ctx) => {
      try {
        return await ctx.scheduleActivity('perform', whichTag, { tag: 'nobody', expiresAfterMs: 30 });
      } catch (error) {
        return [codeOf(error), await ctx.scheduleActivity('perform', whichTag)];
      }
    });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['ACTIVITY_EXPIRED', null]);
    expect(await handle.listActivities()).toEqual([]);
  });

  test('that expired is retried by its policy, each attempt with an expiry of its own', async () => {
    const handle = await house.play((ctx) =>
      ctx
        .scheduleActivity('perform', whichTag, { tag: 'nobody', expiresAfterMs: 20, retry: { maximumAttempts: 2, backoff: 'none' } })
        .catch(codeOf),
    );
    expect(await handle.result({ timeout: PATIENCE })).toBe('ACTIVITY_EXPIRED');
    expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(2);
  });

  test('that runs when its expiry passes is left alone', async () => {
    const [running, release] = [new Gate(), new Gate()];
    const deed = house.deed(async () => {
      running.open();
      await release.opened;
      return 'done';
    });
    const handle = await house.play(async (ctx) => {
      const work = ctx.scheduleActivity('perform', deed, { expiresAfterMs: 1_000 });
      await ctx.scheduleTimer(1_100);
      ctx.setCustomStatus('expiry is over');
      return await work;
    });
    await running.opened;
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    release.open();
    expect(await handle.result({ timeout: PATIENCE })).toBe('done');
  });

  test('may lose to a timer instead', async () => {
    const told = await house.result(async (ctx) => {
      const { key } = await ctx.race({ work: ctx.scheduleActivity('perform', whichTag, { tag: 'nobody' }), timer: ctx.scheduleTimer(5) });
      return key;
    });
    expect(told).toBe('timer');
  });

  test('that is given up leaves the queue of its tag', async () => {
    const handle = await house.play(async (ctx) => {
      const work = ctx.scheduleActivity('perform', whichTag, { tag: 'nobody' });
      await ctx.scheduleTimer(1);
      work.cancel();
      await ctx.scheduleTimer(1);
      ctx.setCustomStatus('given up');
      await ctx.waitForEvent('end');
    });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    expect(await handle.listActivities()).toEqual([]);
    await handle.raiseEvent('end');
    await handle.result({ timeout: PATIENCE });
  });

  test('keeps its tag over a restart, a retry and continue-as-new', async () => {
    const deed = house.deed((ctx) => {
      if (ctx.attempt === 1) throw new Error('again');
      return ctx.tag;
    });
    const handle = await house.play(async (ctx, round: number): Promise<unknown> => {
      ctx.setCustomStatus(round);
      const tag = await ctx.scheduleActivity('perform', deed, { tag: 'gpu', retry: { initialIntervalMs: 1 } });
      return round === 1 ? tag : await ctx.continueAsNew(1);
    }, 0);
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await house.restart();
    await worker(house, { tags: { only: ['gpu'] } });
    expect(await handle.result({ timeout: PATIENCE })).toBe('gpu');
  });

  test.each([
    ['any', 'any', ['a', null]],
    ['its tag and the default', { defaultAnd: ['a'] }, ['a', null]],
  ] as const)('is run by a runtime that takes %s, beside others', async (_what, tags, expected) => {
    await house.restart({ tags });
    const told = await house.result((ctx) =>
      ctx.all([ctx.scheduleActivity('perform', whichTag, { tag: 'a' }), ctx.scheduleActivity('perform', whichTag)]),
    );
    expect(told).toEqual(expected);
    await house.restart();
  });

  test('goes to one of two runtimes that take it, never to one that does not', async () => {
    const [left, right, other] = [
      await worker(house, { tags: { only: ['a', 'shared'] } }),
      await worker(house, { tags: { only: ['b', 'shared'] } }),
      await worker(house, { tags: { only: ['c'] } }),
    ];
    const tags = ['a', 'b', 'shared', 'a', 'b', 'shared'];
    const told = await house.result((ctx) => ctx.all(tags.map((tag) => ctx.scheduleActivity('perform', whichTag, { tag }))));
    expect(told).toEqual(tags);
    expect(left.stats().activitiesCompleted + right.stats().activitiesCompleted).toBe(6);
    expect(left.stats().activitiesCompleted).toBeGreaterThanOrEqual(2);
    expect(other.stats().activitiesCompleted).toBe(0);
  });

  test('has a name as long as names may be, and no longer', async () => {
    const [longest, tooLong] = ['x'.repeat(MAX_NAME_LENGTH), 'x'.repeat(MAX_NAME_LENGTH + 1)] as const;
    await worker(house, { tags: { only: [longest] } });
    expect(await house.result((ctx) => ctx.scheduleActivity('perform', whichTag, { tag: longest }))).toBe(longest);
    for (const tag of [tooLong, '']) {
      expect(await house.failure((ctx) => ctx.scheduleActivity('perform', whichTag, { tag }))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    }
  });

  test('that is given up while it runs elsewhere is aborted there', async () => {
    const [running, ended] = [new Gate(), new Gate()];
    const deed = house.deed(async (ctx) => {
      running.open();
      await aborted(ctx.signal);
      ended.open();
    });
    // Its runtime hears of it with the next renewal of the lease.
    await worker(house, { tags: { only: ['far'] }, activityLockMs: 300 });
    const handle = await house.play(async (ctx) => {
      const work = ctx.scheduleActivity('perform', deed, { tag: 'far' });
      await ctx.waitForEvent('stop');
      work.cancel();
      return 'gone on';
    });
    await running.opened;
    await handle.raiseEvent('stop');
    expect(await handle.result({ timeout: PATIENCE })).toBe('gone on');
    await ended.opened;
  });
});

describeInHouses('priority', (house) => {
  test('of activities decides what is handed out first', async () => {
    await house.restart({ tags: 'none' });
    const order: number[] = [];
    const deeds = [0, 9, 3].map((priority) => ({ priority, deed: house.deed(() => void order.push(priority)) }));
    const handle = await house.play(async (ctx) => {
      const work = ctx.all(deeds.map(({ priority, deed }) => ctx.scheduleActivity('perform', deed, { priority })));
      ctx.setCustomStatus('scheduled');
      return await work;
    });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await house.restart({ activitiesPerThread: 1 });
    await handle.result({ timeout: PATIENCE });
    expect(order).toEqual([9, 3, 0]);
    await house.restart();
  });

  test('of orchestrations decides what runs first', async () => {
    await house.runtime.shutdown();
    const order: number[] = [];
    const handles = [];
    for (const priority of [0, 9, 3]) {
      handles.push(await house.play((ctx) => (ctx.isReplaying ? 0 : order.push(priority)), undefined, { priority }));
    }
    await house.restart({ turnsPerThread: 1 });
    for (const handle of handles) await handle.result({ timeout: PATIENCE });
    expect(order).toEqual([9, 3, 0]);
    expect(await handles[1]?.state()).toMatchObject({ priority: 9 });
    await house.restart();
  });
});

describe('over threads', () => {
  test('an orchestration leads its work through runtimes of different kinds', async () => {
    const stand = stage();
    const activities = new URL('./fixtures/tag-definitions.ts', import.meta.url);
    const { client, provider } = await stand.open({ orchestrations: activities, activities, nodeId: 'front' });
    await stand.startRuntime({ provider, ...quick, activities, tags: { only: ['gpu'] } });
    await stand.startRuntime({ provider, ...quick, activities, tags: { only: ['cpu'] } });
    const handle = await client.startOrchestration('film', 'film');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['gpu', 'cpu', null, 'ACTIVITY_EXPIRED']);
  });
});
