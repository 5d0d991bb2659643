// Awaiting what is not durable: stuck, late calls, late ends, and rejections that nobody handles.
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import {
  activityCompleted,
  activityFailed,
  begin,
  cancelRequested,
  DRAINS,
  eventRaised,
  failed,
  futureCancelled,
  nextMacrotask,
  timerFired,
  type Handler,
} from '../support/replay-harness.ts';

/** A promise that a test settles between turns: what I/O looks like to an orchestration. */
function foreign(): { readonly promise: Promise<unknown>; settle(): void } {
  let settle: (value: unknown) => void = () => undefined;
  const promise = new Promise((resolve) => {
    settle = resolve;
  });
  return { promise, settle: () => settle('foreign') };
}

const never = new Promise<never>(() => undefined);

describe('an orchestration that waits for nothing durable', () => {
  it.each<readonly [string, Handler, string]>([
    ['before any call', () => never, 'none'],
    ['after a value was drawn', async (ctx) => [ctx.random(), await never], 'ctx.random()'],
    [
      'after its last future was cancelled',
      async (ctx) => {
        ctx.scheduleActivity('charge').cancel();
        await never;
      },
      'ctx.cancel(event 2)',
    ],
    ['in a native race of nothing', () => Promise.race([]), 'none'],
    ['in a group of foreign promises', (ctx) => ctx.all([never]), 'ctx.all()'],
  ])('%s is stuck', async (_, handler, lastCall) => {
    const instance = await begin(handler);
    expect(instance.last.outcome.kind).toBe('failed');
    expect(instance.failure).toMatchObject({ name: 'DeterminismError', code: 'ORCHESTRATION_STUCK' });
    expect(instance.failure.message).toContain(`Last durable call: ${lastCall}. Move that work into an activity`);
    expect(instance.failure.message).toContain("orchestration 'test' (instance 'i1', execution 1)");
  });

  it('after an event is stuck in that event, on replay as well', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('charge');
      await never;
    });
    await instance.deliver(activityCompleted(2));
    expect(instance.lastBodies).toEqual([activityCompleted(2), { kind: 'OrchestrationFailed', failure: instance.failure }]);
    expect(instance.failure.message).toContain('ctx.scheduleActivity(charge)');
  });

  it('but has something open waits', async () => {
    const instance = await begin(async (ctx) => {
      void ctx.waitForEvent('e');
      await never;
    });
    expect(instance.last.outcome.kind).toBe('waiting');
  });

  it('after a cancel request is stuck, not cancelled', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => never);
    });
    await instance.deliver(cancelRequested());
    expect(instance.failure).toMatchObject({ code: 'ORCHESTRATION_STUCK' });
  });

  it('ends the messages of its turn', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5);
      await never;
    });
    await instance.deliver(timerFired(2), eventRaised('go'));
    expect(instance.lastBodies).toHaveLength(2);
  });
});

describe('a call between turns', () => {
  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, string]>([
    ['scheduleActivity', (ctx) => ctx.scheduleActivity('charge'), 'ctx.scheduleActivity(charge)'],
    ['scheduleTimer', (ctx) => ctx.scheduleTimer(7), 'ctx.scheduleTimer(7 ms)'],
    ['waitForEvent', (ctx) => ctx.waitForEvent('go'), 'ctx.waitForEvent(go)'],
    ['scheduleSubOrchestration', (ctx) => ctx.scheduleSubOrchestration('c'), 'ctx.scheduleSubOrchestration(c)'],
    ['startOrchestration', (ctx) => ctx.startOrchestration('d', 'd1'), 'ctx.startOrchestration(d)'],
    ['continueAsNew', (ctx) => ctx.continueAsNew(), 'ctx.continueAsNew()'],
    ['setCustomStatus', (ctx) => ctx.setCustomStatus(1), 'ctx.setCustomStatus()'],
    ['getCustomStatus', (ctx) => ctx.getCustomStatus(), 'ctx.getCustomStatus()'],
    ['now', (ctx) => ctx.now(), 'ctx.now()'],
    ['random', (ctx) => ctx.random(), 'ctx.random()'],
    ['uuid', (ctx) => ctx.uuid(), 'ctx.random()'],
    ['log', (ctx) => ctx.log.info('x'), 'ctx.log(info)'],
    ['all', (ctx) => ctx.all([]), 'ctx.all()'],
    ['race', (ctx) => ctx.race([1]), 'ctx.race()'],
  ])('%s throws and is reported', async (_, call, named) => {
    const outside = foreign();
    let thrown: unknown = null;
    const instance = await begin(
      async (ctx) => {
        void ctx.scheduleActivity('kept open');
        await outside.promise;
        try {
          call(ctx);
        } catch (error) {
          thrown = error;
        }
        await never;
      },
      { coldCheck: false },
    );
    outside.settle();
    await nextMacrotask();
    expect(thrown).toMatchObject({ name: 'DeterminismError', code: 'LATE_CALL' });
    expect(instance.host.faults).toMatchObject([{ instanceId: 'i1', failure: { code: 'LATE_CALL' } }]);
    const message = instance.host.faults[0]?.failure.message ?? '';
    expect(message).toContain(`it called ${named} after awaiting something that is not durable`);
    expect(message).toContain('Last durable call before: ctx.scheduleActivity(kept open)');
  });

  it('adds nothing to the next turn', async () => {
    const outside = foreign();
    const instance = await begin(
      async (ctx) => {
        void outside.promise.then(() => ctx.scheduleActivity('late')).catch(() => undefined);
        await ctx.waitForEvent('go');
        await ctx.waitForEvent('more');
      },
      { coldCheck: false },
    );
    outside.settle();
    await nextMacrotask();
    await instance.deliver(eventRaised('go'));
    expect(instance.lastBodies.map(({ kind }) => kind)).toEqual(['EventRaised', 'EventAwaited']);
    expect(instance.host.faults).toHaveLength(1);
  });

  it.each<readonly [string, (ctx: OrchestrationContext, foreign: () => Promise<unknown>) => PromiseLike<unknown>]>([
    ['a scope', (ctx, foreign) => ctx.scope(foreign)],
    ['a shield', (ctx, foreign) => ctx.shield(foreign)],
    ['a helper', (_, foreign) => foreign()],
  ])('need not come: the end of %s in a group, between turns, is late as well', async (_, inside) => {
    // The group would count it, and the next event would end the code: a history that no replay can follow.
    const instance = await begin(
      (ctx) =>
        ctx.all([
          inside(ctx, async () => {
            await nextMacrotask();
            return 'foreign';
          }),
          ctx.scheduleActivity('a'),
        ]),
      { coldCheck: false },
    );
    await nextMacrotask();
    await nextMacrotask();
    expect(instance.host.faults).toMatchObject([{ instanceId: 'i1', failure: { code: 'LATE_CALL' } }]);
  });

  it.each<readonly [string, (ctx: OrchestrationContext, members: readonly unknown[]) => PromiseLike<unknown>]>([
    ['allSettled', (ctx, members) => ctx.allSettled(members)],
    ['any', (ctx, members) => ctx.any(members)],
  ])('need not come: a foreign promise that is rejected in %s, between turns, is late as well', async (_, group) => {
    let reject: (error: Error) => void = () => undefined;
    const outside = new Promise((_resolve, rejectIt) => {
      reject = rejectIt;
    });
    const instance = await begin((ctx) => group(ctx, [outside, ctx.scheduleActivity('a')]), { coldCheck: false });
    reject(new RangeError('from outside'));
    await nextMacrotask();
    expect(instance.host.faults).toMatchObject([{ instanceId: 'i1', failure: { code: 'LATE_CALL' } }]);
  });

  it('to cancel a future is late as well', async () => {
    const outside = foreign();
    const instance = await begin(
      async (ctx) => {
        const future = ctx.scheduleActivity('a');
        void outside.promise.then(() => future.cancel()).catch(() => undefined);
        await future;
      },
      { coldCheck: false },
    );
    outside.settle();
    await nextMacrotask();
    expect(instance.host.faults[0]?.failure.message).toContain('it called ctx.cancel(event 2)');
  });

  it('by a race that a foreign promise wins is late', async () => {
    const outside = foreign();
    const instance = await begin((ctx) => ctx.race([ctx.scheduleActivity('a'), outside.promise]), { coldCheck: false });
    outside.settle();
    await nextMacrotask();
    expect(instance.host.faults).toMatchObject([{ failure: { code: 'LATE_CALL' } }]);
  });

  it('from the drain of another instance is late', async () => {
    const outside = foreign();
    const first = await begin(
      async (ctx) => {
        void ctx.waitForEvent('kept open');
        await outside.promise;
        ctx.log.info('leaked');
      },
      { coldCheck: false, instanceId: 'first' },
    );
    const second = await begin(
      (ctx) => {
        outside.settle();
        return ctx.scheduleActivity('a');
      },
      { coldCheck: false, instanceId: 'second' },
    );
    expect(first.host.faults).toMatchObject([{ instanceId: 'first', failure: { code: 'LATE_CALL' } }]);
    expect(second.host.faults).toEqual([]);
    expect(second.last.outcome.kind).toBe('waiting');
  });

  it('after the end is refused, but no longer reported', async () => {
    let late: unknown = null;
    const kept: OrchestrationContext[] = [];
    const instance = await begin((ctx) => void kept.push(ctx), { coldCheck: false });
    try {
      kept[0]?.setCustomStatus('late');
    } catch (error) {
      late = error;
    }
    expect(late).toMatchObject({ code: 'LATE_CALL' });
    expect(instance.host.faults).toEqual([]);
  });

  it('to isReplaying and isCancellationRequested is allowed', async () => {
    const kept: OrchestrationContext[] = [];
    await begin(
      async (ctx) => {
        kept.push(ctx);
        await ctx.waitForEvent('e');
      },
      { coldCheck: false },
    );
    expect([kept[0]?.isReplaying, kept[0]?.isCancellationRequested, kept[0]?.instanceId]).toEqual([false, false, 'i1']);
  });
});

describe('an end between turns', () => {
  it.each(['returns', 'throws'])('is reported when the code %s', async (how) => {
    const outside = foreign();
    const instance = await begin(
      async (ctx) => {
        void ctx.scheduleActivity('a');
        await outside.promise;
        if (how === 'throws') throw new Error('ignored');
        return 'ignored';
      },
      { coldCheck: false },
    );
    outside.settle();
    await nextMacrotask();
    expect(instance.host.faults).toMatchObject([{ instanceId: 'i1', failure: { code: 'LATE_CALL' } }]);
    expect(instance.host.faults[0]?.failure.message).toContain('it ended after awaiting');
    await instance.deliver(activityCompleted(2));
    expect(instance.lastBodies[0]).toEqual(activityCompleted(2));
    expect(instance.last.outcome.kind).not.toBe('completed');
  });
});

describe.each(DRAINS)('a rejection that nobody handles (drain: %s)', (drain) => {
  it('of a helper fails the orchestration, with its cause', async () => {
    const instance = await begin(
      async (ctx) => {
        void (async (): Promise<void> => {
          await ctx.scheduleActivity('a');
          throw new RangeError('dropped');
        })();
        await ctx.waitForEvent('never');
      },
      { drain },
    );
    await instance.deliver(activityCompleted(2));
    expect(instance.failure).toMatchObject({
      name: 'DeterminismError',
      code: 'UNHANDLED_REJECTION',
      cause: { name: 'RangeError', message: 'dropped' },
    });
    expect(instance.failure.message).toContain('RangeError: dropped. Await it, or add a catch');
    expect(instance.lastBodies[1]).toEqual(futureCancelled(3));
  });

  it('in the event in which the code returns fails it as well', async () => {
    const instance = await begin(
      () => {
        void Promise.reject(new Error('dropped'));
        return 'ok';
      },
      { drain },
    );
    expect(instance.failure).toMatchObject({ code: 'UNHANDLED_REJECTION' });
  });

  it('gives way to the error that the code throws', async () => {
    const instance = await begin(
      () => {
        void Promise.reject(new Error('dropped'));
        throw new Error('thrown');
      },
      { drain },
    );
    expect(instance.failure).toMatchObject({ message: 'thrown' });
  });

  it('names the first of several', async () => {
    const instance = await begin(
      async (ctx) => {
        void Promise.reject(new Error('one'));
        void Promise.reject(new Error('two'));
        await ctx.waitForEvent('never');
      },
      { drain },
    );
    expect(instance.failure.cause).toMatchObject({ message: 'one' });
  });

  it('of a durable future is ignored', async () => {
    const instance = await begin(
      async (ctx) => {
        void ctx.scheduleActivity('a');
        void ctx.all([ctx.scheduleActivity('b')]);
        void ctx.scheduleSubOrchestration('c');
        return await ctx.waitForEvent('go');
      },
      { drain },
    );
    await instance.deliver(activityFailed(2), activityFailed(3), { ...activityFailed(4), kind: 'SubOrchestrationFailed' });
    await instance.deliver(eventRaised('go', 'fine'));
    expect(instance.result).toBe('fine');
  });

  it('that is handled within the same event is fine', async () => {
    const instance = await begin(
      async (ctx) => {
        const helper = (async (): Promise<void> => {
          throw new Error('handled');
        })();
        for (let hop = 0; hop < 20; hop += 1) await null;
        await helper.catch(() => undefined);
        return await ctx.waitForEvent('go');
      },
      { drain },
    );
    expect(instance.last.outcome.kind).toBe('waiting');
  });

  it('by CancelledError is ignored', async () => {
    const instance = await begin(
      async (ctx) => {
        const future = ctx.scheduleActivity('a');
        void (async (): Promise<void> => {
          await future;
        })();
        future.cancel();
        return await ctx.waitForEvent('go');
      },
      { drain },
    );
    expect(instance.last.outcome.kind).toBe('waiting');
  });

  it('belongs to its instance, not to the next one of the thread', async () => {
    const broken = await begin(
      async (ctx) => {
        void Promise.reject(new Error('mine'));
        await ctx.waitForEvent('e');
      },
      { drain, instanceId: 'broken' },
    );
    const fine = await begin((ctx) => ctx.waitForEvent('e'), { drain, instanceId: 'fine' });
    expect([broken.last.outcome.kind, fine.last.outcome.kind]).toEqual(['failed', 'waiting']);
  });
});

describe('a rejection between turns', () => {
  it('is reported as late; it does not fail the next turn, which a replay would not do', async () => {
    const outside = foreign();
    const instance = await begin(
      async (ctx) => {
        void outside.promise.then(() => {
          throw new Error('foreign trouble');
        });
        await ctx.waitForEvent('go');
        await ctx.waitForEvent('more');
      },
      { coldCheck: false },
    );
    outside.settle();
    await nextMacrotask();
    expect(instance.host.faults).toHaveLength(1);
    await instance.deliver(eventRaised('go'));
    expect(instance.lastBodies.map(({ kind }) => kind)).toEqual(['EventRaised', 'EventAwaited']);
    expect(instance.lastBodies).not.toContainEqual(failed());
  });
});
