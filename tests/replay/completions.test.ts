// What comes from outside: each kind of completion, its time, and what the engine drops (E6; T13, T21, T25).
import { describe, expect, it } from 'vitest';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  cancelRequested,
  childCompleted,
  childFailed,
  completed,
  eventAwaited,
  eventRaised,
  futureCancelled,
  orchestration,
  replayCold,
  start,
  started,
  T0,
  timerCreated,
  timerFired,
  turn,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

/** Settles in words. */
const outcome = (future: Promise<unknown>): Promise<unknown> =>
  future.then(
    (value) => ['resolved', value ?? null],
    (error: Error) => ['rejected', error.message],
  );

describe('completions', () => {
  it.each<readonly [string, Handler, Body, unknown]>([
    ['ActivityCompleted', (ctx) => outcome(ctx.scheduleActivity('a')), activityCompleted(2, { a: 1 }), ['resolved', { a: 1 }]],
    ['ActivityCompleted without result', (ctx) => outcome(ctx.scheduleActivity('a')), activityCompleted(2), ['resolved', null]],
    ['ActivityFailed', (ctx) => outcome(ctx.scheduleActivity('a')), activityFailed(2, 'no luck'), ['rejected', 'no luck']],
    ['TimerFired', (ctx) => outcome(ctx.scheduleTimer(5)), timerFired(2), ['resolved', null]],
    ['EventRaised', (ctx) => outcome(ctx.waitForEvent('go')), eventRaised('go', [1]), ['resolved', [1]]],
    ['EventRaised without data', (ctx) => outcome(ctx.waitForEvent('go')), eventRaised('go'), ['resolved', null]],
    [
      'SubOrchestrationCompleted',
      (ctx) => outcome(ctx.scheduleSubOrchestration('child')),
      childCompleted(2, 'grown up'),
      ['resolved', 'grown up'],
    ],
    ['SubOrchestrationFailed', (ctx) => outcome(ctx.scheduleSubOrchestration('child')), childFailed(2, 'lost'), ['rejected', 'lost']],
  ])('%s settles the awaiting code and is recorded', async (_, handler, event, result) => {
    const instance = await begin(handler);
    await instance.deliver(event);
    expect(instance.result).toEqual(result);
    expect(instance.lastBodies).toEqual([event, completed(result)]);
  });

  it('of one turn are applied in order, one drain each', async () => {
    const instance = await begin(async (ctx) => {
      const order: string[] = [];
      const note = async (name: string): Promise<unknown> => {
        await ctx.scheduleActivity(name);
        order.push(name);
        await null;
        order.push(`${name} again`);
        return null;
      };
      await Promise.all([note('a'), note('b'), note('c')]);
      return order;
    });
    await instance.deliver(activityCompleted(4), activityCompleted(2), activityCompleted(3));
    expect(instance.result).toEqual(['c', 'c again', 'a', 'a again', 'b', 'b again']);
  });

  it('may settle futures in any order, whatever the code awaits first', async () => {
    const instance = await begin(async (ctx) => {
      const futures = [ctx.scheduleActivity('a'), ctx.scheduleActivity('b')];
      return [await futures[0], await futures[1]];
    });
    await instance.deliver(activityCompleted(3, 'B'));
    expect(instance.last.outcome).toEqual({ kind: 'waiting' });
    await instance.deliver(activityCompleted(2, 'A'));
    expect(instance.result).toEqual(['A', 'B']);
  });

  it('resolve a future that is awaited long after', async () => {
    const instance = await begin(async (ctx) => {
      const early = ctx.scheduleActivity('a');
      await ctx.waitForEvent('go');
      return [await early, await early];
    });
    await instance.deliver(activityCompleted(2, 'kept'));
    await instance.deliver(eventRaised('go'));
    expect(instance.result).toEqual(['kept', 'kept']);
  });

  it('reject a future that is awaited long after, without failing the orchestration before', async () => {
    const instance = await begin(async (ctx) => {
      const early = ctx.scheduleActivity('a');
      await ctx.waitForEvent('go');
      return await outcome(early);
    });
    await instance.deliver(activityFailed(2, 'kept'));
    expect(instance.last.outcome).toEqual({ kind: 'waiting' });
    await instance.deliver(eventRaised('go'));
    expect(instance.result).toEqual(['rejected', 'kept']);
  });
});

describe('dropped completions', () => {
  const waiting: Handler = async (ctx) => {
    const open = { activity: ctx.scheduleActivity('a'), timer: ctx.scheduleTimer(5), child: ctx.scheduleSubOrchestration('child') };
    const results = await ctx.allSettled(open);
    await ctx.waitForEvent('never');
    return results;
  };

  it.each<readonly [string, Body]>([
    ['a completion of an unknown event', activityCompleted(99, null, 2)],
    ['a completion of the start', activityCompleted(1, null, 2)],
    ['a failure of an unknown event', activityFailed(99, 'lost', 2)],
    ['an activity completion of a timer', activityCompleted(3, null, 2)],
    ['a timer that is an activity', timerFired(2, 2)],
    ['a child completion of an activity', childCompleted(2, null, 2)],
    ['an activity completion of a child', activityCompleted(4, null, 2)],
    ['a completion of an earlier execution', activityCompleted(2, 'old', 1)],
    ['a completion of a later execution', activityCompleted(2, 'new', 3)],
    ['a failure of an earlier execution', activityFailed(2, 'old', 1)],
    ['a timer of an earlier execution', timerFired(3, 1)],
    ['a child of an earlier execution', childCompleted(4, 'old', 1)],
    ['a failed child of a later execution', childFailed(4, 'new', 3)],
    ['a second start', start({ executionId: 2, name: 'other', version: '9.0.0', input: 'other' })],
  ])('%s leaves no trace', async (_, event) => {
    const instance = await begin(waiting, { executionId: 2 });
    const lastEventId = instance.engine.lastEventId;
    await instance.deliver(event);
    expect(instance.last).toMatchObject({ events: '[]', consumedMessages: 1, lastEventId, outcome: { kind: 'waiting' } });
  });

  const activity = [activityCompleted(2, 'first'), activityFailed(2, 'first'), activityCompleted(2, 'second'), activityFailed(2, 'second')];
  const child = [childCompleted(4, 'first'), childFailed(4, 'first'), childCompleted(4, 'second'), childFailed(4, 'second')];
  const pairs = [activity, child].flatMap((family) =>
    family.slice(0, 2).flatMap((first) => family.slice(2).map((second) => [`${first.kind} then ${second.kind}`, first, second] as const)),
  );

  it.each([...pairs, ['TimerFired then TimerFired', timerFired(3), timerFired(3)] as const])(
    '%s: the first wins',
    async (_, first, second) => {
      const inOneTurn = await begin(waiting);
      await inOneTurn.deliver(first, second);
      expect(inOneTurn.lastBodies).toEqual([first]);
      expect(inOneTurn.last.consumedMessages).toBe(2);
      const inTwoTurns = await begin(waiting);
      await inTwoTurns.deliver(first);
      await inTwoTurns.deliver(second, second);
      expect(inTwoTurns.lastBodies).toEqual([]);
    },
  );

  it('include those of a cancelled decision', async () => {
    const instance = await begin(async (ctx) => {
      ctx.scheduleActivity('a').cancel();
      ctx.scheduleTimer(5).cancel();
      ctx.scheduleSubOrchestration('child').cancel();
      await ctx.waitForEvent('never');
    });
    await instance.deliver(activityCompleted(2), activityFailed(2), timerFired(4), childCompleted(6), childFailed(6));
    expect(instance.lastBodies).toEqual([]);
  });

  it('do not keep later messages of the turn from being applied', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    await instance.deliver(activityCompleted(7), start(), activityCompleted(2, 'ok', 5), activityCompleted(2, 'ok'));
    expect(instance.result).toBe('ok');
    expect(instance.last.consumedMessages).toBe(4);
  });

  it('include a second start inside the first turn', async () => {
    const instance = await begin((ctx, input) => ctx.scheduleActivity('a', input), { input: 1 });
    await instance.deliver(start({ input: 2 }));
    expect(instance.bodies).toEqual([started({ input: 1 }), activityScheduled('a', 1)]);
  });

  it('do not include two events of the same name and data', async () => {
    const instance = await begin(async (ctx) => [await ctx.waitForEvent('go'), await ctx.waitForEvent('go')]);
    await instance.deliver(eventRaised('go', 1), eventRaised('go', 1));
    expect(instance.result).toEqual([1, 1]);
  });
});

describe('event times', () => {
  it('are the time of the turn', async () => {
    const instance = await begin(async (ctx) => [ctx.now(), await ctx.scheduleActivity('a'), ctx.now()]);
    instance.nowMs = T0 + 7;
    await instance.deliver(activityCompleted(2, 'x'));
    expect(instance.result).toEqual([T0, 'x', T0 + 7]);
    expect(instance.events.map(({ atMs }) => atMs)).toEqual([T0, T0, T0 + 7, T0 + 7]);
  });

  it('never decrease when the clock goes back', async () => {
    const instance = await begin(async (ctx) => [await ctx.scheduleActivity('a'), ctx.now()]);
    instance.nowMs = T0 - 500;
    await instance.deliver(activityCompleted(2, 'x'));
    expect(instance.result).toEqual(['x', T0]);
  });

  it('of a fired timer are not before it was due, even on a clock that is behind', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5_000);
      return ctx.now();
    });
    instance.nowMs = T0 + 10;
    await instance.deliver(timerFired(2));
    expect(instance.result).toBe(T0 + 5_000);
  });

  it('of a fired timer hold for the rest of the turn', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5_000);
      await ctx.scheduleTimer(100);
      return ctx.now();
    });
    await instance.deliver(timerFired(2), timerFired(4));
    expect(instance.lastBodies).toEqual([timerFired(2), timerCreated(T0 + 5_100), timerFired(4), completed(T0 + 5_100)]);
  });

  it('of a fired timer follow the recorded due time, not that of changed code', async () => {
    // Timers are compared by kind only, so a changed duration is allowed; the store fires the timer when history says.
    const oldCode = await begin(async (ctx) => {
      await ctx.scheduleTimer('1s');
      return ctx.now();
    });
    const newCode = orchestration('test', async (ctx) => {
      await ctx.scheduleTimer('365d');
      return ctx.now();
    });
    const { engine } = await replayCold([newCode], oldCode.events);
    const result = await turn(engine, [timerFired(2)], T0 + 1_000);
    expect(result.outcome).toEqual({ kind: 'completed', result: String(T0 + 1_000) });
  });
});

describe('a future given up by the code', () => {
  it('is an event, and takes its work with it', async () => {
    const instance = await begin(async (ctx) => {
      const open = [ctx.scheduleActivity('a'), ctx.scheduleTimer(5), ctx.waitForEvent('e'), ctx.scheduleSubOrchestration('child')];
      await ctx.waitForEvent('go');
      for (const future of open) future.cancel();
      return Promise.all(open.map(outcome));
    });
    await instance.deliver(eventRaised('go'));
    const rejected = ['rejected', 'the durable future was cancelled'];
    expect(instance.lastBodies).toEqual([
      eventRaised('go'),
      ...[2, 3, 4, 5].map(futureCancelled),
      completed([rejected, rejected, rejected, rejected]),
    ]);
    expect(instance.last).toMatchObject({
      cancelledActivities: [2],
      cancelledTimers: [3],
      messages: [{ instanceId: 'i1::1.5' }],
    });
    expect(JSON.parse(instance.last.messages[0]?.payload ?? '')).toEqual(
      cancelRequested('parent i1 no longer needs the result', { instanceId: 'i1', executionId: 1, eventId: 5 }),
    );
  });

  it('rejects with CancelledError, once', async () => {
    const instance = await begin(async (ctx) => {
      const future = ctx.scheduleActivity('a');
      future.cancel();
      future.cancel();
      const error: unknown = await future.catch((thrown: unknown) => thrown);
      return [(error as Error).name, (error as { readonly code?: string }).code];
    });
    expect(instance.result).toEqual(['CancelledError', 'CANCELLED']);
    expect(instance.bodies.filter(({ kind }) => kind === 'FutureCancelled')).toEqual([futureCancelled(2)]);
  });

  it('stays as it is when it has settled', async () => {
    const instance = await begin(async (ctx) => {
      const future = ctx.scheduleActivity('a');
      await future;
      future.cancel();
      return await future;
    });
    await instance.deliver(activityCompleted(2, 'done'));
    expect(instance.lastBodies).toEqual([activityCompleted(2, 'done'), completed('done')]);
  });

  it('in the turn that asked for it is asked for and cancelled, in this order', async () => {
    const instance = await begin(async (ctx) => {
      ctx.scheduleActivity('a').cancel();
      await ctx.waitForEvent('never');
    });
    expect(instance.bodies).toEqual([started(), activityScheduled('a'), futureCancelled(2), eventAwaited('never')]);
    expect(instance.last).toMatchObject({ activities: [{ eventId: 2 }], cancelledActivities: [2] });
  });

  it('leaves the orchestration failed when nobody catches the rejection', async () => {
    const instance = await begin(async (ctx) => {
      const future = ctx.scheduleActivity('a');
      future.cancel();
      await future;
    });
    expect(instance.last.outcome.kind).toBe('failed');
    expect(instance.failure).toMatchObject({ name: 'CancelledError', code: 'CANCELLED' });
  });
});
