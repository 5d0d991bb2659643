// What orchestration code asks for becomes events and actions: kinds, fields, ids, order.
import { describe, expect, it } from 'vitest';
import { defineActivity } from '../../src/types/definition.ts';
import type { ReplayResult } from '../../src/types/replay.ts';
import {
  activityCompleted,
  activityScheduled,
  begin,
  childScheduled,
  completed,
  eventAwaited,
  eventRaised,
  futureCancelled,
  orchestration,
  startRequested,
  started,
  statusSet,
  T0,
  timerCreated,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

/** Keeps an instance waiting. */
const PENDING = 'pending';

const charge = defineActivity('charge', (_, order: { readonly id: number }) => order.id);
/** The action of a timer. */
const timer = (fireAtMs: number): Partial<ReplayResult> => ({
  timers: [{ eventId: 2, fireAtMs, payload: '{"kind":"TimerFired","executionId":1,"sourceId":2}' }],
});

/** Parts of a start that most starts have. */
const plainStart = { startAtMs: null, priority: 0, attributes: null };

const childDefinition = orchestration('child', () => undefined);

describe('decisions', () => {
  const cases: readonly (readonly [string, Handler, Body, Partial<ReplayResult>])[] = [
    [
      'an activity by name',
      (ctx) => ctx.scheduleActivity('charge', { id: 7 }),
      activityScheduled('charge', { id: 7 }),
      { activities: [{ eventId: 2, name: 'charge', input: '{"id":7}', routing: null }] },
    ],
    [
      'an activity without input',
      (ctx) => ctx.scheduleActivity('charge'),
      activityScheduled('charge'),
      { activities: [{ eventId: 2, name: 'charge', input: undefined, routing: null }] },
    ],
    [
      'an activity by definition',
      (ctx) => ctx.scheduleActivity(charge, { id: 7 }),
      activityScheduled('charge', { id: 7 }),
      { activities: [{ eventId: 2, name: 'charge', input: '{"id":7}', routing: null }] },
    ],
    [
      'an activity by proxy',
      (ctx) => ctx.activities<{ readonly any: typeof charge }>().charge({ id: 7 }),
      activityScheduled('charge', { id: 7 }),
      { activities: [{ eventId: 2, name: 'charge', input: '{"id":7}', routing: null }] },
    ],
    ['a timer in milliseconds', (ctx) => ctx.scheduleTimer(250), timerCreated(T0 + 250), timer(T0 + 250)],
    ['a timer as text', (ctx) => ctx.scheduleTimer('1.5m'), timerCreated(T0 + 90_000), timer(T0 + 90_000)],
    ['a timer of zero', (ctx) => ctx.scheduleTimer(0), timerCreated(T0), timer(T0)],
    ['a timer of a fraction, rounded up', (ctx) => ctx.scheduleTimer(0.1), timerCreated(T0 + 1), timer(T0 + 1)],
    ['a timer at a moment', (ctx) => ctx.scheduleTimer(new Date(T0 + 5)), timerCreated(T0 + 5), timer(T0 + 5)],
    ['a timer at a moment long ago', (ctx) => ctx.scheduleTimer(new Date(5)), timerCreated(T0), timer(T0)],
    ['a wait for an event', (ctx) => ctx.waitForEvent('go'), eventAwaited('go'), {}],
    [
      'a child with an automatic id',
      (ctx) => ctx.scheduleSubOrchestration('child', [1]),
      childScheduled('child', 'i1::1.2', [1]),
      {
        starts: [
          {
            instanceId: 'i1::1.2',
            name: 'child',
            version: null,
            payload: '{"kind":"OrchestrationStarted","name":"child","input":[1],"parent":{"instanceId":"i1","executionId":1,"eventId":2}}',
            conflictPayload: expect.stringContaining('INSTANCE_EXISTS') as string,
            isChild: true,
            eventId: 2,
            ...plainStart,
            policy: 'fail',
            onParentClose: 'cancel',
          },
        ],
      },
    ],
    [
      'a child by definition with id and version',
      (ctx) => ctx.scheduleSubOrchestration(childDefinition, undefined as never, { instanceId: 'kid', version: '2.0.0' }),
      childScheduled('child', 'kid', undefined, '2.0.0'),
      {
        starts: [
          {
            instanceId: 'kid',
            name: 'child',
            version: '2.0.0',
            payload:
              '{"kind":"OrchestrationStarted","name":"child","version":"2.0.0","parent":{"instanceId":"i1","executionId":1,"eventId":2}}',
            conflictPayload: expect.stringContaining("'kid'") as string,
            isChild: true,
            eventId: 2,
            ...plainStart,
            policy: 'fail',
            onParentClose: 'cancel',
          },
        ],
      },
    ],
    [
      'a detached start',
      (ctx) => {
        ctx.startOrchestration('other', 'o1', 5, { version: '3.0.0' });
        return ctx.waitForEvent(PENDING);
      },
      startRequested('other', 'o1', 5, '3.0.0'),
      {
        starts: [
          {
            instanceId: 'o1',
            name: 'other',
            version: '3.0.0',
            payload: '{"kind":"OrchestrationStarted","name":"other","version":"3.0.0","input":5}',
            conflictPayload: null,
            isChild: false,
            eventId: 0,
            ...plainStart,
            policy: 'useExisting',
            onParentClose: 'abandon',
          },
        ],
      },
    ],
    [
      'a custom status',
      (ctx) => {
        ctx.setCustomStatus({ step: 1 });
        return ctx.waitForEvent(PENDING);
      },
      statusSet({ step: 1 }),
      { customStatus: '{"step":1}' },
    ],
    [
      'a reset of the custom status',
      (ctx) => {
        ctx.setCustomStatus(undefined);
        return ctx.waitForEvent(PENDING);
      },
      statusSet(),
      { customStatus: null },
    ],
  ];

  it.each(cases)('%s becomes one event and one action', async (_, handler, event, actions) => {
    const instance = await begin(handler);
    expect(instance.bodies.slice(0, 2)).toEqual([started(), event]);
    const nothing = { activities: [], timers: [], messages: [], starts: [], cancelledActivities: [], cancelledTimers: [], logs: [] };
    expect(instance.last).toMatchObject({ ...nothing, outcome: { kind: 'waiting' }, customStatus: undefined, ...actions });
  });

  it('get their ids in the order of the calls, not of the awaits', async () => {
    const instance = await begin(async (ctx) => {
      const late = ctx.scheduleActivity('a');
      const soon = ctx.scheduleTimer(1);
      await soon;
      await late;
    });
    expect(instance.bodies.slice(1)).toEqual([activityScheduled('a'), timerCreated(T0 + 1)]);
  });

  it('stand directly after the input event that caused them', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.all(
        [ctx.scheduleActivity('a'), ctx.scheduleActivity('b')].map(async (future) => ctx.scheduleActivity('then', await future)),
      );
    });
    await instance.deliver(activityCompleted(3, 'B'), activityCompleted(2, 'A'));
    expect(instance.lastBodies).toEqual([
      activityCompleted(3, 'B'),
      activityScheduled('then', 'B'),
      activityCompleted(2, 'A'),
      activityScheduled('then', 'A'),
    ]);
  });

  it('number the events of each turn without a gap', async () => {
    const instance = await begin(async (ctx) => [await ctx.scheduleActivity('a'), await ctx.scheduleActivity('b')]);
    expect(instance.last).toMatchObject({ firstEventId: 1, lastEventId: 2, consumedMessages: 1 });
    await instance.deliver(activityCompleted(2));
    expect(instance.last).toMatchObject({ firstEventId: 3, lastEventId: 4, consumedMessages: 1 });
    await instance.deliver();
    expect(instance.last).toMatchObject({ firstEventId: 5, lastEventId: 4, consumedMessages: 0, events: '[]' });
    await instance.deliver(activityCompleted(4));
    expect(instance.events.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('belong to the turn that made them, not to later ones', async () => {
    const instance = await begin(async (ctx) => {
      ctx.setCustomStatus('begun');
      ctx.log.info('begun');
      ctx.startOrchestration('other', 'o1');
      const open = [ctx.scheduleActivity('a'), ctx.scheduleTimer(5)];
      await ctx.waitForEvent('go');
      open.forEach((future) => future.cancel());
      await ctx.waitForEvent(PENDING);
    });
    await instance.deliver(eventRaised('go'));
    expect(instance.last).toMatchObject({
      activities: [],
      timers: [],
      starts: [],
      logs: [],
      customStatus: undefined,
      cancelledActivities: [4],
      cancelledTimers: [5],
    });
    expect(instance.lastBodies).toEqual([eventRaised('go'), futureCancelled(4), futureCancelled(5), eventAwaited(PENDING)]);
  });

  it('made in helpers that await plain values belong to the same event', async () => {
    const instance = await begin(async (ctx) => {
      const helper = async (hops: number): Promise<unknown> => {
        for (let left = hops; left > 0; left -= 1) await null;
        return ctx.scheduleActivity(`after ${hops}`);
      };
      return Promise.all([helper(50), helper(1), helper(0)]);
    });
    expect(instance.bodies.slice(1)).toEqual([activityScheduled('after 0'), activityScheduled('after 1'), activityScheduled('after 50')]);
  });

  it('are the same with a handler that is not async', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a').then(String));
    await instance.deliver(activityCompleted(2, 5));
    expect(instance.bodies).toEqual([started(), activityScheduled('a'), activityCompleted(2, 5), completed('5')]);
  });

  it('end at once when the code awaits nothing', async () => {
    const instance = await begin((_, input) => input, { input: 3 });
    expect(instance.bodies).toEqual([started({ input: 3 }), completed(3)]);
    expect(instance.last.outcome).toEqual({ kind: 'completed', result: '3' });
  });
});

describe('arguments of the context', () => {
  const long = 'x'.repeat(257);
  it.each<readonly [string, Handler, RegExp]>([
    ['an empty activity name', (ctx) => ctx.scheduleActivity(''), /activity name .* 1 to 256 characters, got 0/],
    ['a long activity name', (ctx) => ctx.scheduleActivity(long), /1 to 256 characters, got 257/],
    ['a lone surrogate in an event name', (ctx) => ctx.waitForEvent('a\uD800'), /event name .* well-formed/],
    ['NUL in an event name', (ctx) => ctx.waitForEvent('a\0b'), /without NUL/],
    ['no activity at all', (ctx) => ctx.scheduleActivity(undefined as unknown as string), /definition made by defineActivity or a name/],
    ['an orchestration as activity', (ctx) => ctx.scheduleActivity(childDefinition as unknown as string), /made by defineActivity/],
    ['an activity as child', (ctx) => ctx.scheduleSubOrchestration(charge as unknown as string), /made by defineOrchestration/],
    ['the reserved separator in a child id', (ctx) => ctx.scheduleSubOrchestration('c', 1, { instanceId: 'a::b' }), /without '::'/],
    ['an empty child id', (ctx) => ctx.scheduleSubOrchestration('c', 1, { instanceId: '' }), /instance id/],
    ['a long id of a detached start', (ctx) => ctx.startOrchestration('c', 'x'.repeat(513)), /1 to 512 characters, got 513/],
    ['a negative timer', (ctx) => ctx.scheduleTimer(-1), /milliseconds ≥ 0/],
    ['a timer of NaN', (ctx) => ctx.scheduleTimer(Number.NaN), /got NaN/],
    ['a timer over 100 years', (ctx) => ctx.scheduleTimer('36501d'), /100 years/],
    ['a timer in an unknown unit', (ctx) => ctx.scheduleTimer('3w' as '3d'), /got '3w'/],
    ['an invalid date', (ctx) => ctx.scheduleTimer(new Date(Number.NaN)), /valid Date/],
    ['a group of nothing', (ctx) => ctx.all(null as unknown as []), /all\(\) to get an array or a record of futures, got null/],
    ['a group that is text', (ctx) => ctx.race('ab' as unknown as []), /race\(\) to get an array or a record of futures, got 'ab'/],
  ])('refuse %s with advice, catchable and without an event', async (_, handler, text) => {
    const instance = await begin(async (ctx, input) => {
      try {
        await handler(ctx, input);
        return 'accepted';
      } catch (error) {
        return [(error as { readonly code?: string }).code, (error as Error).message];
      }
    });
    expect(instance.result).toEqual(['ARGUMENT_INVALID', expect.stringMatching(text)]);
    expect(instance.events).toHaveLength(2);
  });

  it('refuse an automatic child id that would be longer than an id may be', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('c'), { instanceId: 'x'.repeat(508) });
    expect(instance.failure).toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringContaining('automatic child instance id') as string,
    });
  });

  it('leave an activity proxy usable where it is awaited or printed', async () => {
    const instance = await begin(async (ctx) => {
      const proxy = await Promise.resolve(ctx.activities<{ readonly any: typeof charge }>());
      return [Object.prototype.toString.call(proxy), typeof proxy.charge];
    });
    expect(instance.result).toEqual(['[object Object]', 'function']);
  });
});
