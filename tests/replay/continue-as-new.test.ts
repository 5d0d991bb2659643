// Continue-as-new: what the next execution gets, and who wins over whom.
import { describe, expect, it } from 'vitest';
import { MAX_CARRIED_EVENT_UNITS } from '../../src/types/limits.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  cancelled,
  cancelRequested,
  completed,
  continuedAsNew,
  eventRaised,
  futureCancelled,
  nextStart,
  started,
  statusSet,
  timerFired,
} from '../support/replay-harness.ts';

describe('continue-as-new', () => {
  it('ends the execution and starts the next with the new input', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew({ page: 2 }), { input: { page: 1 } });
    expect(instance.bodies).toEqual([started({ input: { page: 1 } }), continuedAsNew({ page: 2 })]);
    expect(instance.last.outcome).toMatchObject({ kind: 'continuedAsNew', name: 'test', version: null });
    expect(nextStart(instance.last)).toEqual({ kind: 'OrchestrationStarted', executionId: 2, name: 'test', input: { page: 2 } });
    expect(instance.engine.isUsable).toBe(false);
  });

  it('names the version to go on with', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew(1, { version: '2.0.0' }));
    expect(instance.bodies[1]).toEqual(continuedAsNew(1, '2.0.0'));
    expect(instance.last.outcome).toMatchObject({ version: '2.0.0' });
    expect(nextStart(instance.last)).toMatchObject({ version: '2.0.0' });
  });

  it('works without await and without return', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('a');
      void ctx.continueAsNew(1);
    });
    await instance.deliver(activityCompleted(2));
    expect(instance.lastBodies).toEqual([activityCompleted(2), continuedAsNew(1)]);
  });

  it('beats a return value', async () => {
    const instance = await begin((ctx) => {
      void ctx.continueAsNew('next');
      return 'result';
    });
    expect(instance.bodies[1]).toEqual(continuedAsNew('next'));
  });

  it('loses to an error', async () => {
    const instance = await begin((ctx) => {
      void ctx.continueAsNew('next');
      throw new Error('after all');
    });
    expect(instance.failure).toMatchObject({ message: 'after all' });
  });

  it('loses to a rejection that nobody handles', async () => {
    const instance = await begin(async (ctx) => {
      void Promise.reject(new Error('dropped'));
      await ctx.continueAsNew('next');
    });
    expect(instance.failure).toMatchObject({ code: 'UNHANDLED_REJECTION' });
  });

  it('counts the first time that it is called', async () => {
    const instance = await begin(async (ctx) => {
      void ctx.continueAsNew('first', { version: '1.0.0' });
      await ctx.continueAsNew('second');
    });
    expect(instance.bodies[1]).toEqual(continuedAsNew('first', '1.0.0'));
  });

  it('in a helper comes too late after the code has ended', async () => {
    const instance = await begin(async (ctx) => {
      const helper = async (): Promise<void> => {
        await ctx.scheduleActivity('a');
        for (let hop = 0; hop < 9; hop += 1) await null;
        await ctx.continueAsNew('late');
      };
      void helper();
      await ctx.scheduleActivity('b');
      return 'ended';
    });
    await instance.deliver(activityCompleted(3), activityCompleted(2));
    expect(instance.lastBodies).toEqual([activityCompleted(3), futureCancelled(2), completed('ended')]);
  });

  it('lets the code after it run to the end of the event, and cancels what that asks for', async () => {
    const instance = await begin(async (ctx) => {
      const open = ctx.scheduleTimer(5);
      void ctx.continueAsNew(1);
      ctx.setCustomStatus('leaving');
      await ctx.scheduleActivity('a');
      await open;
    });
    expect(instance.bodies.slice(2)).toEqual([
      statusSet('leaving'),
      activityScheduled('a'),
      futureCancelled(2),
      futureCancelled(4),
      continuedAsNew(1),
    ]);
    expect(instance.last).toMatchObject({ cancelledActivities: [4], cancelledTimers: [2], customStatus: '"leaving"' });
  });

  it('carries unread external events in the order of their arrival, across names', async () => {
    const instance = await begin(
      async (ctx) => {
        await ctx.waitForEvent('b');
        await ctx.scheduleActivity('a');
        await ctx.continueAsNew();
      },
      { carried: [{ name: 'a', data: 0 }, { name: 'b', data: 'read' }, { name: 'b' }] },
    );
    await instance.deliver(eventRaised('c', 1), eventRaised('a', { x: null }), eventRaised('b', null), activityCompleted(3));
    expect(nextStart(instance.last)['carried']).toEqual([
      { name: 'a', data: 0 },
      { name: 'b' },
      { name: 'c', data: 1 },
      { name: 'a', data: { x: null } },
      { name: 'b', data: null },
    ]);
  });

  it('carries no events when all were read', async () => {
    const instance = await begin(async (ctx) => ctx.continueAsNew(await ctx.waitForEvent('go')));
    await instance.deliver(eventRaised('go', 1));
    expect(nextStart(instance.last)).not.toHaveProperty('carried');
  });

  it('carries hundreds of events (T16)', async () => {
    const instance = await begin(async (ctx) => ctx.continueAsNew(await ctx.scheduleActivity('a')));
    await instance.deliver(...Array.from({ length: 500 }, (_, index) => eventRaised('go', index)), activityCompleted(2));
    expect((nextStart(instance.last)['carried'] as readonly { readonly data: number }[]).map(({ data }) => data)).toEqual(
      Array.from({ length: 500 }, (_, index) => index),
    );
  });

  it('fails the orchestration when it would carry too much', async () => {
    const instance = await begin(async (ctx) => ctx.continueAsNew(await ctx.scheduleActivity('a')));
    const half = 'x'.repeat(MAX_CARRIED_EVENT_UNITS / 2);
    await instance.deliver(eventRaised('go', half), eventRaised('go', half), activityCompleted(2));
    expect(instance.failure).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringMatching(/carry 2 unread external events/) as string,
    });
  });

  it('takes an input of any allowed size when it carries no events', async () => {
    const input = 'x'.repeat(MAX_CARRIED_EVENT_UNITS + 1);
    const instance = await begin((ctx) => ctx.continueAsNew(input));
    expect(nextStart(instance.last)['input']).toHaveLength(input.length);
  });

  it('leaves the messages after it for the next execution', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('a');
      await ctx.continueAsNew();
    });
    await instance.deliver(eventRaised('go', 1), activityCompleted(2), eventRaised('go', 2), activityFailed(2), cancelRequested());
    expect(instance.last.consumedMessages).toBe(2);
    expect(instance.lastBodies).toEqual([eventRaised('go', 1), activityCompleted(2), continuedAsNew()]);
    expect(nextStart(instance.last)['carried']).toEqual([{ name: 'go', data: 1 }]);
  });

  it('carries the custom status', async () => {
    const instance = await begin(
      async (ctx) => {
        const before = ctx.getCustomStatus();
        ctx.setCustomStatus({ before });
        await ctx.continueAsNew();
      },
      { customStatus: 'old' },
    );
    expect(nextStart(instance.last)).toMatchObject({ customStatus: { before: 'old' } });
  });

  it('carries no custom status after a reset', async () => {
    const instance = await begin(
      async (ctx) => {
        ctx.setCustomStatus(undefined);
        await ctx.continueAsNew();
      },
      { customStatus: 'old' },
    );
    expect(nextStart(instance.last)).not.toHaveProperty('customStatus');
  });

  it('is refused after a cancel request', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      await ctx.continueAsNew();
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), cancelled()]);
  });

  it('beats a cancel request that comes after it in the same turn', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5);
      await ctx.continueAsNew();
    });
    await instance.deliver(timerFired(2), cancelRequested());
    expect(instance.last).toMatchObject({ consumedMessages: 1, outcome: { kind: 'continuedAsNew' } });
  });

  it.each<readonly [string, unknown]>([
    ['that is empty', ''],
    ['that is too long', 'x'.repeat(257)],
    ['that is no text: it would write a history that nobody can read', 5],
  ])('refuses a version %s', async (_, version) => {
    const instance = await begin((ctx) => ctx.continueAsNew(1, { version: version as string }));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringContaining('version') as string });
  });

  it('refuses an input that is no JSON value, catchably', async () => {
    const instance = await begin(async (ctx) => {
      try {
        return await ctx.continueAsNew(1n);
      } catch (error) {
        return (error as { readonly code?: string }).code;
      }
    });
    expect(instance.result).toBe('PAYLOAD_NOT_SERIALIZABLE');
  });
});
