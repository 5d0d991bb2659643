// External events: buffered, first in first out per name, early ones kept, cancelled waits do not steal (T15, T19, T20, T55, T57).
import { describe, expect, it } from 'vitest';
import {
  activityCompleted,
  begin,
  completed,
  eventAwaited,
  eventRaised,
  futureCancelled,
  started,
  timerFired,
} from '../support/replay-harness.ts';

describe('external events', () => {
  it('raised before the wait are taken at once', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('a');
      return [await ctx.waitForEvent('go'), await ctx.waitForEvent('go')];
    });
    await instance.deliver(eventRaised('go', 1), eventRaised('go', 2));
    await instance.deliver(activityCompleted(2));
    expect(instance.lastBodies).toEqual([activityCompleted(2), eventAwaited('go'), eventAwaited('go'), completed([1, 2])]);
  });

  it('that arrive with the start are kept for the first wait', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5);
      return await ctx.waitForEvent('go');
    });
    await instance.deliver(eventRaised('go', 'early'), timerFired(2));
    expect(instance.result).toBe('early');
  });

  it('go to waits first in, first out', async () => {
    const instance = await begin(async (ctx) => Promise.all([ctx.waitForEvent('go'), ctx.waitForEvent('go'), ctx.waitForEvent('go')]));
    await instance.deliver(eventRaised('go', 1));
    await instance.deliver(eventRaised('go', 2), eventRaised('go', 3));
    expect(instance.result).toEqual([1, 2, 3]);
  });

  it('of different names do not meet', async () => {
    const instance = await begin(async (ctx) =>
      ctx.all({ x: ctx.waitForEvent('x'), y: ctx.waitForEvent('y'), p: ctx.waitForEvent('__proto__') }),
    );
    await instance.deliver(eventRaised('y', 1), eventRaised('y', 2), eventRaised('constructor', 0), eventRaised('__proto__', 3));
    expect(instance.last.outcome.kind).toBe('waiting');
    await instance.deliver(eventRaised('x', 4));
    expect(instance.result).toEqual({ x: 4, y: 1, p: 3 });
  });

  it('are not taken by a wait that was cancelled (T19)', async () => {
    const instance = await begin(async (ctx) => {
      const given = [ctx.waitForEvent('go'), ctx.waitForEvent('go'), ctx.waitForEvent('go')];
      given[0]?.cancel();
      given[2]?.cancel();
      const next = ctx.waitForEvent('go');
      return [await given[1], await next];
    });
    await instance.deliver(eventRaised('go', 'second'), eventRaised('go', 'fourth'));
    expect(instance.result).toEqual(['second', 'fourth']);
  });

  it('for the loser of a race stay for the next wait (T20)', async () => {
    const instance = await begin(async (ctx) => {
      const winner = await ctx.race({ event: ctx.waitForEvent('go'), timer: ctx.scheduleTimer(5) });
      await ctx.scheduleActivity('a');
      return [winner.key, await ctx.waitForEvent('go')];
    });
    await instance.deliver(timerFired(3), eventRaised('go', 'late'));
    await instance.deliver(activityCompleted(6));
    expect(instance.result).toEqual(['timer', 'late']);
  });

  it('for the loser of a race do not hold up later completions (T20)', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.race({ event: ctx.waitForEvent('go'), timer: ctx.scheduleTimer(5) });
      return await ctx.scheduleActivity('a');
    });
    await instance.deliver(timerFired(3), eventRaised('go', 1), eventRaised('go', 2), activityCompleted(6, 'free'));
    expect(instance.result).toBe('free');
  });

  it('raised before a race decide it at once', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('a');
      return ctx.race({ timer: ctx.scheduleTimer(5), event: ctx.waitForEvent('go') });
    });
    await instance.deliver(eventRaised('go', 1), activityCompleted(2));
    expect(instance.result).toEqual({ key: 'event', value: 1 });
    expect(instance.bodies.slice(-2)).toEqual([futureCancelled(5), completed({ key: 'event', value: 1 })]);
  });

  it('whose wait settled cannot be given back by cancelling it', async () => {
    const instance = await begin(async (ctx) => {
      const first = ctx.waitForEvent('go');
      await first;
      first.cancel();
      return await ctx.race({ second: ctx.waitForEvent('go'), timer: ctx.scheduleTimer(5) });
    });
    await instance.deliver(eventRaised('go', 1));
    expect(instance.last.outcome.kind).toBe('waiting');
    await instance.deliver(eventRaised('go', 2));
    expect(instance.result).toEqual({ key: 'second', value: 2 });
  });

  it('carried over by continue-as-new come before those raised later', async () => {
    const carried = [{ name: 'go', data: 1 }, { name: 'other' }, { name: 'go', data: 2 }];
    const instance = await begin(
      async (ctx) => {
        await ctx.scheduleActivity('a');
        return [await ctx.waitForEvent('go'), await ctx.waitForEvent('go'), await ctx.waitForEvent('go'), await ctx.waitForEvent('other')];
      },
      { executionId: 2, carried },
    );
    await instance.deliver(eventRaised('go', 3), activityCompleted(2, null, 2));
    expect(instance.result).toEqual([1, 2, 3, null]);
    expect(instance.bodies[0]).toEqual(started({ executionId: 2, carried }));
  });

  it('are recorded even when nobody ever asks for them', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    await instance.deliver(eventRaised('nobody', { a: 1 }), activityCompleted(2, 'done'));
    expect(instance.lastBodies).toEqual([eventRaised('nobody', { a: 1 }), activityCompleted(2, 'done'), completed('done')]);
  });

  it('satisfy a thousand waits in one turn', async () => {
    const instance = await begin(async (ctx) => {
      let sum = 0;
      for (let count = 0; count < 1_000; count += 1) sum += await ctx.waitForEvent<number>('n');
      return sum;
    });
    await instance.deliver(...Array.from({ length: 1_000 }, () => eventRaised('n', 1)));
    expect(instance.result).toBe(1_000);
  });

  it('buffered by the thousand satisfy waits within one drain (T47)', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('a');
      let sum = 0;
      for (let count = 0; count < 1_000; count += 1) sum += await ctx.waitForEvent<number>('n');
      return sum;
    });
    await instance.deliver(...Array.from({ length: 1_000 }, () => eventRaised('n', 1)), activityCompleted(2));
    expect(instance.result).toBe(1_000);
  });
});
