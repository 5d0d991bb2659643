// The cancel request, and what the end of an orchestration does to everything that is still open (T44, T45, T60, T61).
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  cancelled,
  cancelRequested,
  childScheduled,
  completed,
  eventAwaited,
  eventRaised,
  failed,
  futureCancelled,
  instanceFaulted,
  orchestration,
  replayCold,
  started,
  startRequested,
  statusSet,
  T0,
  timerCreated,
  timerFired,
  type Handler,
} from '../support/replay-harness.ts';

describe('a cancel request', () => {
  it('rejects everything open with CancelledError, in the order of the ids, and ends the instance cancelled', async () => {
    const instance = await begin((ctx) =>
      Promise.all([ctx.scheduleTimer(5), ctx.scheduleActivity('a'), ctx.waitForEvent('e'), ctx.scheduleSubOrchestration('c')]),
    );
    await instance.deliver(cancelRequested('enough'));
    expect(instance.lastBodies).toEqual([cancelRequested('enough'), ...[2, 3, 4, 5].map(futureCancelled), cancelled('enough')]);
    expect(instance.last).toMatchObject({ cancelledTimers: [2], cancelledActivities: [3], messages: [{ instanceId: 'i1::1.5' }] });
    expect(instance.failure).toEqual({ name: 'CancelledError', code: 'CANCELLED', message: 'enough' });
  });

  it('shows in the context', async () => {
    const instance = await begin(async (ctx) => {
      const before = ctx.isCancellationRequested;
      await ctx.scheduleTimer(5).catch(() => undefined);
      ctx.setCustomStatus([before, ctx.isCancellationRequested]);
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies[2]).toEqual(statusSet([false, true]));
  });

  it('lets the code clean up with status and detached starts, and ends cancelled though it returns', async () => {
    const instance = await begin(async (ctx) => {
      try {
        await ctx.scheduleActivity('a');
      } catch {
        ctx.setCustomStatus('undoing');
        ctx.startOrchestration('undo', 'undo-1');
      }
      return 'tidy';
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies.slice(2)).toEqual([statusSet('undoing'), startRequested('undo', 'undo-1'), cancelled()]);
    expect(instance.last.starts).toHaveLength(1);
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => PromiseLike<unknown>]>([
    ['activities', (ctx) => ctx.scheduleActivity('a')],
    ['timers', (ctx) => ctx.scheduleTimer(1)],
    ['waits', (ctx) => ctx.waitForEvent('e')],
    ['children', (ctx) => ctx.scheduleSubOrchestration('c')],
    ['continue-as-new', (ctx) => ctx.continueAsNew()],
  ])('rejects new %s without an event', async (_, ask) => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      ctx.setCustomStatus(await Promise.resolve(ask(ctx)).catch((error: Error) => [error.name, error.message]));
    });
    await instance.deliver(cancelRequested('stop it'));
    expect(instance.lastBodies.slice(2)).toEqual([
      statusSet(['CancelledError', "orchestration 'test' was asked to cancel: stop it"]),
      cancelled('stop it'),
    ]);
  });

  it('rejects new waits even for events that are buffered', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      await ctx.waitForEvent('go');
    });
    await instance.deliver(eventRaised('go', 1), cancelRequested());
    expect(instance.lastBodies.at(-1)).toEqual(cancelled());
  });

  it('ends the instance failed when its clean-up fails', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => {
        throw new Error('clean-up broke');
      });
    });
    await instance.deliver(cancelRequested());
    expect(instance.failure).toMatchObject({ message: 'clean-up broke' });
  });

  it('counts once; the first reason stays', async () => {
    const instance = await begin((ctx) => ctx.scheduleTimer(5));
    await instance.deliver(cancelRequested('first'), cancelRequested('second'));
    expect(instance.lastBodies).toEqual([cancelRequested('first'), futureCancelled(2), cancelled('first')]);
  });

  it('in the first turn comes after the code has begun', async () => {
    const instance = await begin(async (ctx) => {
      ctx.setCustomStatus('begun');
      await ctx.scheduleActivity('a');
    });
    await instance.deliver(cancelRequested());
    expect(instance.bodies).toEqual([
      started(),
      statusSet('begun'),
      activityScheduled('a'),
      cancelRequested(),
      futureCancelled(3),
      cancelled(),
    ]);
  });

  it('goes through helpers that nobody awaits without failing the orchestration', async () => {
    const instance = await begin(async (ctx) => {
      void (async (): Promise<void> => {
        await ctx.scheduleActivity('a');
      })();
      await ctx.scheduleTimer(5);
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies.at(-1)).toEqual(cancelled());
  });

  it.each<readonly [string, Handler]>([
    ['all', (ctx) => ctx.all([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)])],
    ['race', (ctx) => ctx.race([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)])],
    ['allSettled', async (ctx) => void (await ctx.allSettled([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)]))],
    ['all of nested groups', (ctx) => ctx.all([ctx.race([ctx.scheduleActivity('a')]), ctx.all([ctx.scheduleTimer(5)])])],
    ['Promise.all', (ctx) => Promise.all([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)])],
  ])('ends an instance that waits in %s cancelled', async (_, handler) => {
    const instance = await begin(handler);
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), futureCancelled(3), cancelled()]);
  });

  it.each<readonly [string, Handler]>([
    ['any', (ctx) => ctx.any([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)])],
    ['any in all', (ctx) => ctx.all([ctx.any([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)])])],
    ['Promise.any', (ctx) => Promise.any([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)])],
  ])('ends an instance that waits in %s cancelled, not failed with AggregateError', async (_, handler) => {
    const instance = await begin(handler);
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), futureCancelled(3), cancelled()]);
  });

  it('does not fail the orchestration for an any in a helper that nobody awaits', async () => {
    const instance = await begin(async (ctx) => {
      void (async (): Promise<void> => {
        await ctx.any([ctx.scheduleActivity('a')]);
      })();
      await ctx.scheduleTimer(5).catch(() => undefined);
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies.at(-1)).toEqual(cancelled());
  });
});

describe('the end of an orchestration', () => {
  const open = async (ctx: OrchestrationContext): Promise<unknown> => {
    void ctx.scheduleActivity('a');
    void ctx.scheduleTimer(5);
    void ctx.waitForEvent('e');
    void ctx.scheduleSubOrchestration('c');
    return await ctx.waitForEvent('go');
  };
  const asked = [
    started(),
    activityScheduled('a'),
    timerCreated(T0 + 5),
    eventAwaited('e'),
    childScheduled('c', 'i1::1.5'),
    eventAwaited('go'),
  ];

  it('cancels what nobody awaited, and comes last (T44)', async () => {
    const instance = await begin(open);
    await instance.deliver(eventRaised('go', 'end'));
    expect(instance.bodies).toEqual([...asked, eventRaised('go', 'end'), ...[2, 3, 4, 5].map(futureCancelled), completed('end')]);
    expect(instance.last).toMatchObject({ cancelledActivities: [2], cancelledTimers: [3], messages: [{ instanceId: 'i1::1.5' }] });
  });

  it('by an error does the same', async () => {
    const instance = await begin(async (ctx) => {
      await open(ctx);
      throw new Error('broken');
    });
    await instance.deliver(eventRaised('go'));
    expect(instance.bodies.slice(-5)).toEqual([...[2, 3, 4, 5].map(futureCancelled), failed('broken')]);
  });

  it('asks for everything that history says was asked for, also in the last turn (T45)', async () => {
    const instance = await begin((ctx) => {
      void ctx.scheduleActivity('a');
      void ctx.scheduleTimer(5);
      void ctx.scheduleSubOrchestration('c');
      ctx.startOrchestration('d', 'd1');
      return 'at once';
    });
    expect(instance.last).toMatchObject({
      activities: [{ eventId: 2 }],
      cancelledActivities: [2],
      timers: [{ eventId: 3 }],
      cancelledTimers: [3],
      starts: [{ instanceId: 'i1::1.4' }, { instanceId: 'd1' }],
      messages: [{ instanceId: 'i1::1.4' }],
    });
    expect(instance.bodies.at(-1)).toEqual(completed('at once'));
  });

  it('takes no more messages', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    await instance.deliver(activityCompleted(2, 'first'), activityFailed(2), eventRaised('go'));
    expect(instance.lastBodies).toEqual([activityCompleted(2, 'first'), completed('first')]);
    await instance.deliver(eventRaised('go'), cancelRequested());
    expect(instance.last).toMatchObject({ events: '[]', outcome: { kind: 'completed', result: '"first"' } });
    expect(instance.engine.isUsable).toBe(false);
  });

  it('lets helpers that were cancelled by it do nothing more', async () => {
    const instance = await begin(
      async (ctx) => {
        void (async (): Promise<void> => {
          try {
            await ctx.scheduleActivity('a');
          } catch {
            ctx.setCustomStatus('too late');
          }
        })();
        await ctx.scheduleTimer(5);
      },
      { drain: 'immediate' },
    );
    await instance.deliver(timerFired(3));
    await instance.deliver();
    expect(instance.bodies.slice(-2)).toEqual([futureCancelled(2), completed()]);
    expect(instance.host.faults).toEqual([]);
  });

  it('uses up the messages after it', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    await instance.deliver(activityCompleted(2), eventRaised('go'), cancelRequested());
    expect(instance.last.outcome.kind).toBe('completed');
    expect(instance.last.consumedMessages).toBe(3);
  });
});

describe('a reported fault', () => {
  const failure = { name: 'DeterminismError', message: 'went on between its turns', code: 'LATE_CALL' };

  it('fails the instance and cancels what is open', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'), { coldCheck: false });
    await instance.deliver(instanceFaulted(failure));
    expect(instance.lastBodies).toEqual([futureCancelled(2), failed(failure)]);
    expect(instance.last).toMatchObject({ cancelledActivities: [2], consumedMessages: 1, outcome: { kind: 'failed' } });
  });

  it('of another execution is ignored', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'), { executionId: 2 });
    await instance.deliver(instanceFaulted(failure, 1), instanceFaulted(failure, 3));
    expect(instance.last).toMatchObject({ events: '[]', consumedMessages: 2, outcome: { kind: 'waiting' } });
  });

  it('fails an instance that was asked to cancel', async () => {
    const instance = await begin(
      async (ctx) => {
        await ctx.scheduleTimer(1).catch(() => undefined);
        await ctx.race([new Promise<void>(() => undefined)]);
      },
      { coldCheck: false },
    );
    await instance.deliver(cancelRequested());
    expect(instance.failure).toMatchObject({ code: 'ORCHESTRATION_STUCK' });
  });

  it('has the time of its turn', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'), { coldCheck: false });
    instance.nowMs = T0 + 60_000;
    await instance.deliver(instanceFaulted(failure));
    expect(instance.events.slice(2).map(({ atMs }) => atMs)).toEqual([T0 + 60_000, T0 + 60_000]);
  });

  it('leaves a history that can be replayed', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'), { coldCheck: false });
    await instance.deliver(instanceFaulted(failure));
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.outcome).toMatchObject({ kind: 'failed' });
  });

  it('leaves a history that can be replayed when events came before it', async () => {
    // On replay, what is open before the first event counts as many events as the history has left: the end is imposed too early.
    const instance = await begin(
      async (ctx) => {
        const future = ctx.scheduleActivity('a');
        await ctx.waitForEvent('go');
        await future;
      },
      { coldCheck: false },
    );
    await instance.deliver(eventRaised('go'));
    await instance.deliver(instanceFaulted(failure));
    expect(instance.bodies.slice(3)).toEqual([eventRaised('go'), futureCancelled(2), failed(failure)]);
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.outcome).toMatchObject({ kind: 'failed' });
  });

  it('does not excuse code that decides something else at its place', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'), { coldCheck: false });
    await instance.deliver(instanceFaulted(failure));
    const longer = orchestration('test', (ctx) => ctx.all([ctx.scheduleActivity('a'), ctx.scheduleActivity('b')]));
    const { result } = await replayCold([longer], instance.events);
    expect(result.outcome).toMatchObject({ kind: 'faulted', failure: expect.stringContaining('NONDETERMINISM') as string });
  });

  it('tells the parent', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'), { parent: { instanceId: 'mum', executionId: 2, eventId: 3 } });
    await instance.deliver(instanceFaulted(failure));
    expect(instance.last.messages).toMatchObject([{ instanceId: 'mum', payload: expect.stringContaining('LATE_CALL') as string }]);
  });
});
