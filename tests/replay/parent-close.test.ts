// What becomes of children when their parent ends first, whatever the end (E7; T38).
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext, SubOrchestrationOptions } from '../../src/types/context.ts';
import type { ParentClosePolicy } from '../../src/types/history-event.ts';
import type { ReplayResult } from '../../src/types/replay.ts';
import {
  begin,
  beginNext,
  cancelRequested,
  childCompleted,
  childScheduled,
  eventRaised,
  faultOf,
  futureCancelled,
  instanceFaulted,
  orchestration,
  replayCold,
  started,
  timerFired,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

const POLICIES: readonly ParentClosePolicy[] = ['cancel', 'abandon', 'terminate'];

/** What the turn does to children: asks them to cancel, and terminates them. */
function closed({ messages, effects }: ReplayResult): { readonly asked: readonly string[]; readonly terminated: readonly string[] } {
  return {
    asked: messages.map(({ instanceId }) => instanceId),
    terminated: effects?.terminations.map(({ instanceId }) => instanceId) ?? [],
  };
}

/** One child of each policy; its id is its policy. */
const children = (ctx: OrchestrationContext): readonly PromiseLike<unknown>[] =>
  POLICIES.map((onParentClose) => ctx.scheduleSubOrchestration('c', undefined, { instanceId: onParentClose, onParentClose }));
const asked = [
  childScheduled('c', 'cancel'),
  childScheduled('c', 'abandon', undefined, undefined, 'abandon'),
  childScheduled('c', 'terminate', undefined, undefined, 'terminate'),
];
const EACH_BY_ITS_POLICY = { asked: ['cancel'], terminated: ['terminate'] };

type Case = readonly [end: string, handler: Handler, messages: readonly Body[]];

const ends: readonly Case[] = [
  [
    'completes',
    async (ctx) => {
      void children(ctx);
      await ctx.waitForEvent('go');
    },
    [eventRaised('go')],
  ],
  [
    'fails',
    async (ctx) => {
      void children(ctx);
      await ctx.waitForEvent('go');
      throw new Error('broken');
    },
    [eventRaised('go')],
  ],
  ['is cancelled', (ctx) => Promise.all(children(ctx)), [cancelRequested()]],
  [
    'continues as new',
    async (ctx) => {
      void children(ctx);
      await ctx.waitForEvent('go');
      await ctx.continueAsNew();
    },
    [eventRaised('go')],
  ],
  ['waits for them in all and is cancelled', (ctx) => ctx.all(children(ctx)), [cancelRequested()]],
  ['waits for them in a race and is cancelled', (ctx) => ctx.race(children(ctx)), [cancelRequested()]],
  ['waits for them in any and is cancelled', (ctx) => ctx.any(children(ctx)), [cancelRequested()]],
  ['waits for them in allSettled and is cancelled', (ctx) => ctx.allSettled(children(ctx)), [cancelRequested()]],
  ['waits for them in nested groups and is cancelled', (ctx) => ctx.all([ctx.race([ctx.all(children(ctx))])]), [cancelRequested()]],
  [
    'completes while a helper waits for them in a race',
    async (ctx) => {
      void ctx.race(children(ctx));
      await ctx.waitForEvent('go');
    },
    [eventRaised('go')],
  ],
  [
    'continues as new while a helper waits for them in all',
    async (ctx) => {
      void ctx.all(children(ctx));
      await ctx.waitForEvent('go');
      await ctx.continueAsNew();
    },
    [eventRaised('go')],
  ],
  [
    'ends a scope that waits for them',
    async (ctx) => {
      const scope = ctx.scope(() => Promise.all(children(ctx)));
      await ctx.waitForEvent('go');
      scope.cancel();
      await ctx.waitForEvent('never');
    },
    [eventRaised('go')],
  ],
  [
    'ends a scope that waits for them in a race',
    async (ctx) => {
      const scope = ctx.scope(() => ctx.race(children(ctx)));
      await ctx.waitForEvent('go');
      scope.cancel();
      await ctx.waitForEvent('never');
    },
    [eventRaised('go')],
  ],
];

describe('children of a parent that ends first', () => {
  it.each(ends)('get what their policy says when it %s', async (_, handler, messages) => {
    const instance = await begin(handler);
    expect(instance.bodies.slice(1, 4)).toEqual(asked);
    await instance.deliver(...messages);
    expect(closed(instance.last)).toEqual(EACH_BY_ITS_POLICY);
    const given = instance.lastBodies.filter(({ kind }) => kind === 'FutureCancelled');
    expect(given.slice(0, 3)).toEqual([2, 3, 4].map(futureCancelled));
  });

  it('get it when a timeout ends the scope around them', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.withTimeout(5, () => Promise.all(children(ctx))).catch(() => undefined);
      await ctx.waitForEvent('never');
    });
    await instance.deliver(timerFired(2));
    expect(closed(instance.last)).toEqual(EACH_BY_ITS_POLICY);
  });

  it('get it when a fault ends it', async () => {
    const instance = await begin((ctx) => Promise.all(children(ctx)));
    await instance.deliver(instanceFaulted({ name: 'DeterminismError', message: 'late', code: 'LATE_CALL' }));
    expect(closed(instance.last)).toEqual(EACH_BY_ITS_POLICY);
  });

  it('get it in the turn that started them', async () => {
    const instance = await begin((ctx) => void children(ctx));
    expect(instance.last.starts.map(({ instanceId, onParentClose }) => [instanceId, onParentClose])).toEqual(
      POLICIES.map((policy) => [policy, policy]),
    );
    expect(closed(instance.last)).toEqual(EACH_BY_ITS_POLICY);
  });

  it('that answered before get nothing', async () => {
    const instance = await begin(async (ctx) => {
      void children(ctx);
      await ctx.waitForEvent('go');
    });
    await instance.deliver(childCompleted(2), childCompleted(4), eventRaised('go'));
    expect(closed(instance.last)).toEqual({ asked: [], terminated: [] });
  });

  it('are not closed again by a replay', async () => {
    const instance = await begin((ctx) => void children(ctx));
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(closed(result)).toEqual({ asked: [], terminated: [] });
  });

  it('that were abandoned answer to nobody', async () => {
    const instance = await begin(async (ctx, input) => {
      if (input === 'next') return await ctx.waitForEvent('go');
      void children(ctx);
      return await ctx.continueAsNew('next');
    });
    const next = await beginNext(instance);
    await next.deliver(childCompleted(3, 'late', 1));
    expect(next.lastBodies).toEqual([]);
  });
});

describe('a child that is given up', () => {
  it.each(POLICIES)('by its handle is asked to cancel, also with the policy %s', async (onParentClose) => {
    const instance = await begin(async (ctx) => {
      ctx.scheduleSubOrchestration('c', undefined, { instanceId: 'kid', onParentClose }).cancel();
      await ctx.waitForEvent('never');
    });
    expect(closed(instance.last)).toEqual({ asked: ['kid'], terminated: [] });
  });

  it.each(POLICIES)('as the loser of a race is asked to cancel, also with the policy %s', async (onParentClose) => {
    const instance = await begin(async (ctx) => {
      await ctx.race([ctx.waitForEvent('go'), ctx.scheduleSubOrchestration('c', undefined, { instanceId: 'kid', onParentClose })]);
      await ctx.waitForEvent('never');
    });
    await instance.deliver(eventRaised('go'));
    expect(closed(instance.last)).toEqual({ asked: ['kid'], terminated: [] });
  });
});

describe('the options of a child', () => {
  it('go to its start', async () => {
    const instance = await begin((ctx) =>
      ctx.scheduleSubOrchestration('c', 1, {
        instanceId: 'kid',
        version: '^2.0.0',
        onExisting: 'replaceTerminal',
        onParentClose: 'abandon',
        startAfter: '5s',
        priority: 4,
      }),
    );
    expect(instance.bodies).toEqual([started(), childScheduled('c', 'kid', 1, '^2.0.0', 'abandon')]);
    expect(instance.last.starts).toMatchObject([
      {
        eventId: 2,
        instanceId: 'kid',
        version: '^2.0.0',
        policy: 'replaceTerminal',
        onParentClose: 'abandon',
        startAtMs: 6_000,
        priority: 4,
      },
    ]);
  });

  it.each<readonly [string, SubOrchestrationOptions, number | null]>([
    ['neither', {}, null],
    ['a delay', { startAfter: 500 }, 1_500],
    ['a delay of zero', { startAfter: 0 }, 1_000],
    ['a moment', { startAt: new Date(77_000) }, 77_000],
    ['a moment long ago', { startAt: new Date(5) }, 5],
    ['both, the moment later', { startAfter: 500, startAt: new Date(77_000) }, 77_000],
    ['both, the delay later', { startAfter: '2m', startAt: new Date(77_000) }, 121_000],
  ])('make it start after %s', async (_, options, startAtMs) => {
    const child = await begin((ctx) => ctx.scheduleSubOrchestration('c', 1, options));
    expect(child.last.starts[0]?.startAtMs).toBe(startAtMs);
    const { startAfter, startAt } = options;
    const detached = await begin((ctx) => {
      ctx.startOrchestration('c', 'd1', 1, {
        ...(startAfter === undefined ? {} : { startAfter }),
        ...(startAt === undefined ? {} : { startAt }),
      });
      return ctx.waitForEvent('never');
    });
    expect(detached.last.starts[0]?.startAtMs).toBe(startAtMs);
  });

  it.each(['fail', 'useExisting', 'replaceTerminal', 'terminateExisting'] as const)('of a detached start may be %s', async (onExisting) => {
    const instance = await begin((ctx) => {
      ctx.startOrchestration('c', 'd1', 1, { onExisting });
      return ctx.waitForEvent('never');
    });
    expect(instance.last.starts).toMatchObject([{ policy: onExisting, isChild: false, conflictPayload: null, eventId: 0 }]);
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, RegExp]>([
    [
      'useExisting for a child',
      (ctx) => ctx.scheduleSubOrchestration('c', 1, { onExisting: 'useExisting' as 'fail' }),
      /an instance answers one parent/,
    ],
    ['an unknown policy', (ctx) => ctx.scheduleSubOrchestration('c', 1, { onExisting: 'steal' as 'fail' }), /onExisting .* got 'steal'/],
    [
      'an unknown close policy',
      (ctx) => ctx.scheduleSubOrchestration('c', 1, { onParentClose: 'x' as 'cancel' }),
      /onParentClose .* got 'x'/,
    ],
    ['an unknown policy of a detached start', (ctx) => ctx.startOrchestration('c', 'd', 1, { onExisting: 'x' as 'fail' }), /got 'x'/],
    ['an invalid moment', (ctx) => ctx.scheduleSubOrchestration('c', 1, { startAt: new Date(Number.NaN) }), /startAt to be a valid Date/],
    ['a negative delay', (ctx) => ctx.startOrchestration('c', 'd', 1, { startAfter: -1 }), /startAfter/],
    ['a priority of -1', (ctx) => ctx.scheduleSubOrchestration('c', 1, { priority: -1 }), /priority/],
    ['an empty version', (ctx) => ctx.scheduleSubOrchestration('c', 1, { version: '' }), /version/],
  ])('refuse %s, catchably and without an event', async (_, call, message) => {
    const instance = await begin((ctx) => {
      try {
        return call(ctx);
      } catch (error) {
        return [(error as { readonly code?: string }).code, (error as Error).message];
      }
    });
    expect(instance.result).toEqual(['ARGUMENT_INVALID', expect.stringMatching(message)]);
    expect(instance.events).toHaveLength(2);
  });

  it.each<readonly [string, SubOrchestrationOptions, boolean]>([
    ['its close policy', { instanceId: 'k', onParentClose: 'terminate' }, false],
    ['no close policy', { instanceId: 'k' }, false],
    ['its priority', { instanceId: 'k', onParentClose: 'abandon', priority: 9 }, true],
    ['its start time', { instanceId: 'k', onParentClose: 'abandon', startAfter: '1d' }, true],
    ['what to do with an existing id', { instanceId: 'k', onParentClose: 'abandon', onExisting: 'replaceTerminal' }, true],
  ])('when changed in %s are found by replay, or need not be', async (_, options, fits) => {
    const old = await begin((ctx) => ctx.scheduleSubOrchestration('c', 1, { instanceId: 'k', onParentClose: 'abandon' }));
    const { result } = await replayCold([orchestration('test', (ctx) => ctx.scheduleSubOrchestration('c', 1, options))], old.events);
    if (fits) expect(result.outcome).toEqual({ kind: 'waiting' });
    else expect(faultOf(result).code).toBe('NONDETERMINISM');
  });
});

describe('the measurements of children', () => {
  it('count calls and time answers, once', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('c'));
    expect(instance.last.effects?.metrics).toEqual([
      { kind: 'counter', name: 'duraloom_suborchestration_calls_total', value: 1, labels: { parent: 'test', child: 'c' } },
    ]);
    instance.nowMs += 2_500;
    await instance.deliver(childCompleted(2));
    expect(instance.last.effects?.metrics).toEqual([
      {
        kind: 'histogram',
        name: 'duraloom_suborchestration_duration_seconds',
        value: 2.5,
        labels: { parent: 'test', child: 'c', outcome: 'completed' },
      },
    ]);
  });
});
