// all, allSettled, any and race: shapes, values, nesting, helpers, and the losers. Invariants C1 to C3.
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  completed,
  DRAINS,
  eventAwaited,
  eventRaised,
  futureCancelled,
  started,
  statusSet,
  T0,
  timerCreated,
  timerFired,
  type Handler,
  type TestInstance,
} from '../support/replay-harness.ts';

const a = (ctx: OrchestrationContext): Promise<unknown> => ctx.scheduleActivity('a');

/** An async helper that takes some microtasks after its work. */
async function helper(future: Promise<unknown>, hops: number): Promise<unknown> {
  const value = await future;
  for (let left = hops; left > 0; left -= 1) await null;
  return value;
}

/** A value as code sees it, with what JSON loses. */
const shown = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (inner === undefined ? '<undefined>' : inner instanceof Error ? inner.name : inner));

const cancelledIds = (instance: TestInstance): readonly number[] =>
  instance.events.flatMap((event) => (event.kind === 'FutureCancelled' ? [event.sourceId] : []));

describe('combinators', () => {
  it.each<readonly [string, Handler, string]>([
    ['all of an array', (ctx) => ctx.all([a(ctx), a(ctx)]), '["r2","r3"]'],
    ['all of a record', (ctx) => ctx.all({ x: a(ctx), y: a(ctx) }), '{"x":"r2","y":"r3"}'],
    ['all of values', (ctx) => ctx.all([1, 'x', null, undefined, a(ctx)]), '[1,"x",null,"<undefined>","r2"]'],
    ['all of nothing', (ctx) => ctx.all([]), '[]'],
    // A value is there before any future, also before one that has its result already.
    [
      'race of a future that has its result, behind a value',
      async (ctx) => {
        const done = a(ctx);
        await done;
        return [await ctx.race(['value', done]), await ctx.race([done, 'value'])];
      },
      '[{"key":0,"value":"value"},{"key":0,"value":"r2"}]',
    ],
    ['all of an empty record', (ctx) => ctx.all({}), '{}'],
    ['all of the same future twice', (ctx) => ((future) => ctx.all([future, future]))(a(ctx)), '["r2","r2"]'],
    ['all of a plain promise', (ctx) => ctx.all([Promise.resolve('p'), a(ctx)]), '["p","r2"]'],
    // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the case
    ['all of a thenable', (ctx) => ctx.all([{ then: (resolve: (value: string) => void) => resolve('t') }, a(ctx)]), '["t","r2"]'],
    ['all of combinators', (ctx) => ctx.all([ctx.all([a(ctx)]), ctx.race({ x: a(ctx) })]), '[["r2"],{"key":"x","value":"r3"}]'],
    [
      'allSettled of an array',
      (ctx) => ctx.allSettled([a(ctx), Promise.reject(new TypeError('t'))]),
      '[{"status":"fulfilled","value":"r2"},{"status":"rejected","reason":"TypeError"}]',
    ],
    [
      'allSettled of a record',
      (ctx) => ctx.allSettled({ x: a(ctx), y: 5 }),
      '{"x":{"status":"fulfilled","value":"r2"},"y":{"status":"fulfilled","value":5}}',
    ],
    ['allSettled of nothing', (ctx) => ctx.allSettled([]), '[]'],
    ['allSettled of an empty record', (ctx) => ctx.allSettled({}), '{}'],
    ['any of an array', (ctx) => ctx.any([a(ctx), a(ctx)]), '{"key":0,"value":"r2"}'],
    ['any of a record', (ctx) => ctx.any({ x: a(ctx), y: a(ctx) }), '{"key":"x","value":"r2"}'],
    ['any after a rejection', (ctx) => ctx.any([Promise.reject(new Error('no')), a(ctx)]), '{"key":1,"value":"r2"}'],
    ['any of a value', (ctx) => ctx.any([a(ctx), 'now']), '{"key":1,"value":"now"}'],
    ['race of an array', (ctx) => ctx.race([a(ctx), a(ctx)]), '{"key":0,"value":"r2"}'],
    ['race of a record', (ctx) => ctx.race({ x: a(ctx), y: a(ctx) }), '{"key":"x","value":"r2"}'],
    ['race of a value', (ctx) => ctx.race([a(ctx), null]), '{"key":1,"value":null}'],
    ['race of one future twice', (ctx) => ((future) => ctx.race([future, future]))(a(ctx)), '{"key":0,"value":"r2"}'],
    ['a race of races', (ctx) => ctx.race({ in: ctx.race([a(ctx), a(ctx)]) }), '{"key":"in","value":{"key":0,"value":"r2"}}'],
    [
      'a key named __proto__',
      (ctx) => ctx.all(Object.fromEntries([['__proto__', a(ctx)]])).then((record) => [Object.keys(record), Object.values(record)]),
      '[["__proto__"],["r2"]]',
    ],
    [
      'a key named __proto__, settled',
      (ctx) => ctx.allSettled(Object.fromEntries([['__proto__', a(ctx)]])).then((record) => Object.keys(record)),
      '["__proto__"]',
    ],
    ['a winner named __proto__', (ctx) => ctx.race(Object.fromEntries([['__proto__', a(ctx)]])), '{"key":"__proto__","value":"r2"}'],
    // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the case
    ['a key named then', (ctx) => ctx.all(Object.fromEntries([['then', a(ctx)]])), '{"then":"r2"}'],
  ])('%s', async (_, handler, wanted) => {
    const instance = await begin(async (ctx, input) => shown(await handler(ctx, input)));
    const scheduled = instance.events.filter(({ kind }) => kind === 'ActivityScheduled').map(({ id }) => id);
    if (instance.last.outcome.kind === 'waiting') await instance.deliver(...scheduled.map((id) => activityCompleted(id, `r${id}`)));
    expect(instance.result).toBe(wanted);
  });

  it.each(DRAINS)('wait for helpers with different numbers of microtasks (drain: %s)', async (drain) => {
    const instance = await begin(
      async (ctx) => {
        const results = await ctx.all({ slow: helper(ctx.scheduleActivity('s'), 40), quick: helper(ctx.scheduleActivity('q'), 0) });
        return [results, await ctx.race([helper(ctx.scheduleActivity('s'), 40), helper(ctx.scheduleActivity('q'), 0)])];
      },
      { drain },
    );
    await instance.deliver(activityCompleted(2, 'S'), activityCompleted(3, 'Q'));
    await instance.deliver(activityCompleted(6, 'S'), activityCompleted(7, 'Q'));
    expect(instance.result).toEqual([
      { slow: 'S', quick: 'Q' },
      { key: 0, value: 'S' },
    ]);
  });

  it('let the event that came first win, however many helpers are in between', async () => {
    const outcomes = await Promise.all(
      [0, 1, 7, 60].map(async (hops) => {
        const instance = await begin((ctx) => ctx.race({ deep: helper(a(ctx), hops), flat: ctx.scheduleTimer(5) }));
        await instance.deliver(activityCompleted(2, 'deep'), timerFired(3));
        return instance.result;
      }),
    );
    expect(outcomes).toEqual(Array.from({ length: 4 }, () => ({ key: 'deep', value: 'deep' })));
  });

  it('let a native race over futures go by history order', async () => {
    for (const [first, second, wanted] of [
      [2, 3, 'r2'],
      [3, 2, 'r3'],
    ] as const) {
      const instance = await begin((ctx) => Promise.race([helper(a(ctx), 9), a(ctx)]));
      await instance.deliver(activityCompleted(first, `r${first}`), activityCompleted(second, `r${second}`));
      expect(instance.result).toBe(wanted);
    }
  });

  it('combine thousands of futures', async () => {
    const instance = await begin(
      async (ctx) => {
        const results = await ctx.all(Array.from({ length: 3_000 }, (_, index) => ctx.scheduleActivity('a', index)));
        return results.length;
      },
      { coldCheck: false },
    );
    await instance.deliver(...Array.from({ length: 3_000 }, (_, index) => activityCompleted(3_001 - index, index)));
    expect(instance.result).toBe(3_000);
  });

  it('of settled futures are settled at once', async () => {
    const instance = await begin(async (ctx) => {
      const first = ctx.scheduleActivity('a');
      const second = ctx.scheduleActivity('b').catch(String);
      await first;
      return ctx.race([ctx.all([first, first]), second]);
    });
    await instance.deliver(activityCompleted(2, 'x'));
    expect(instance.result).toEqual({ key: 0, value: ['x', 'x'] });
  });
});

describe('rejections in combinators', () => {
  it('all rejects with the first rejection in history order and cancels the rest', async () => {
    const instance = await begin((ctx) =>
      ctx.all([a(ctx), a(ctx), a(ctx), ctx.scheduleTimer(5)]).catch((error: Error) => `caught ${error.message}`),
    );
    await instance.deliver(activityCompleted(3), activityFailed(4, 'third'), activityFailed(2, 'first'));
    expect(instance.lastBodies).toEqual([
      activityCompleted(3),
      activityFailed(4, 'third'),
      futureCancelled(2),
      futureCancelled(5),
      completed('caught third'),
    ]);
    expect(instance.last).toMatchObject({ cancelledActivities: [2], cancelledTimers: [5] });
  });

  it('allSettled waits for all and cancels none', async () => {
    const instance = await begin(async (ctx) => shown(await ctx.allSettled([a(ctx), a(ctx)])));
    await instance.deliver(activityFailed(2));
    expect(instance.last.outcome.kind).toBe('waiting');
    await instance.deliver(activityCompleted(3, 'late'));
    expect(instance.result).toBe('[{"status":"rejected","reason":"Error"},{"status":"fulfilled","value":"late"}]');
    expect(cancelledIds(instance)).toEqual([]);
  });

  it('any takes the first that resolves and cancels the rest', async () => {
    const instance = await begin((ctx) => ctx.any({ x: a(ctx), y: a(ctx), z: a(ctx) }));
    await instance.deliver(activityFailed(2), activityCompleted(4, 'Z'), activityCompleted(3, 'Y'));
    expect(instance.result).toEqual({ key: 'z', value: 'Z' });
    expect(cancelledIds(instance)).toEqual([3]);
  });

  it('any rejects with all errors, in the order of the group, when none resolves', async () => {
    const instance = await begin(async (ctx) => {
      const error: unknown = await ctx.any([a(ctx), a(ctx)]).catch((thrown: unknown) => thrown);
      return [error instanceof AggregateError, ...(error as AggregateError).errors.map((inner: Error) => inner.message)];
    });
    await instance.deliver(activityFailed(3, 'three'), activityFailed(2, 'two'));
    expect(instance.result).toEqual([true, 'two', 'three']);
  });

  it.each<readonly [string, Handler, string]>([
    ['any of nothing', (ctx) => ctx.any([]), 'AggregateError'],
    ['any of an empty record', (ctx) => ctx.any({}), 'AggregateError'],
    ['race of nothing', (ctx) => ctx.race([]), 'ArgumentError'],
    ['race of an empty record', (ctx) => ctx.race({}), 'ArgumentError'],
  ])('%s rejects', async (_, handler, wanted) => {
    const instance = await begin(async (ctx, input) => await Promise.resolve(handler(ctx, input)).catch((error: Error) => error.name));
    expect(instance.result).toBe(wanted);
  });

  it('race rejects when the first to settle rejects', async () => {
    const instance = await begin((ctx) => ctx.race([a(ctx), ctx.scheduleTimer(5)]).catch((error: Error) => error.message));
    await instance.deliver(activityFailed(2, 'lost the race'), timerFired(3));
    expect(instance.result).toBe('lost the race');
    expect(cancelledIds(instance)).toEqual([3]);
  });

  it('a group that nobody awaits may reject', async () => {
    const instance = await begin(async (ctx) => {
      void ctx.all([a(ctx)]);
      void ctx.race([]);
      void ctx.any([]);
      await ctx.waitForEvent('go');
      return 'fine';
    });
    await instance.deliver(activityFailed(2), eventRaised('go'));
    expect(instance.result).toBe('fine');
  });

  it('a rejecting helper inside a group is handled, also after the group was decided', async () => {
    const instance = await begin(async (ctx) => {
      const rejecting = async (): Promise<never> => {
        await ctx.scheduleActivity('a');
        throw new Error('too late to matter');
      };
      const winner = await ctx.race({ timer: ctx.scheduleTimer(5), rejecting: rejecting() });
      await ctx.waitForEvent('go');
      return winner.key;
    });
    await instance.deliver(timerFired(2), activityCompleted(3), eventRaised('go'));
    expect(instance.result).toBe('timer');
  });
});

describe('losers', () => {
  it('are cancelled in the order of the group, before the code goes on', async () => {
    const instance = await begin(async (ctx) => {
      const late = ctx.waitForEvent('late');
      const first = ctx.scheduleActivity('first');
      const { key } = await ctx.race({ timer: ctx.scheduleTimer(5), first, late, second: ctx.scheduleActivity('second') });
      ctx.setCustomStatus(key);
      await ctx.waitForEvent('go');
    });
    await instance.deliver(activityCompleted(3));
    expect(instance.lastBodies.map(({ kind, sourceId }) => [kind, sourceId])).toEqual([
      ['ActivityCompleted', 3],
      ['FutureCancelled', 4],
      ['FutureCancelled', 2],
      ['FutureCancelled', 5],
      ['CustomStatusSet', undefined],
      ['EventAwaited', undefined],
    ]);
  });

  it('inside nested groups are cancelled depth first', async () => {
    const instance = await begin((ctx) =>
      ctx.race([ctx.all([a(ctx), ctx.any([a(ctx), a(ctx)])]), ctx.allSettled({ x: a(ctx) }), ctx.scheduleTimer(5)]),
    );
    await instance.deliver(timerFired(6));
    expect(cancelledIds(instance)).toEqual([2, 3, 4, 5]);
    expect(instance.result).toEqual({ key: 2 });
  });

  it('of an inner group are cancelled before those of the outer one', async () => {
    const instance = await begin((ctx) => ctx.race([ctx.scheduleTimer(5), ctx.race([a(ctx), ctx.any([a(ctx), a(ctx)])])]));
    await instance.deliver(activityCompleted(4));
    expect(cancelledIds(instance)).toEqual([5, 3, 2]);
  });

  it('are cancelled before code that awaits the winner itself goes on', async () => {
    const instance = await begin(async (ctx) => {
      const winner = a(ctx);
      const direct = winner.then(() => ctx.setCustomStatus('direct'));
      await Promise.all([direct, ctx.race([winner, ctx.scheduleTimer(5)])]);
    });
    await instance.deliver(activityCompleted(2));
    expect(instance.lastBodies).toEqual([activityCompleted(2), futureCancelled(3), statusSet('direct'), completed()]);
  });

  it('reject with CancelledError for whoever else awaits them', async () => {
    const instance = await begin(async (ctx) => {
      const shared = a(ctx);
      const other = ctx.all([shared, a(ctx)]).catch((error: Error) => error.name);
      await ctx.race([ctx.scheduleTimer(5), shared]);
      return await other;
    });
    await instance.deliver(timerFired(4));
    expect(instance.lastBodies).toEqual([timerFired(4), futureCancelled(2), futureCancelled(3), completed('CancelledError')]);
  });

  it('that are helpers run on, and may still decide', async () => {
    const instance = await begin(async (ctx) => {
      const background = async (): Promise<void> => {
        await ctx.scheduleActivity('a');
        ctx.setCustomStatus('background done');
        await ctx.scheduleActivity('b');
      };
      await ctx.race([ctx.scheduleTimer(5), background()]);
      await ctx.waitForEvent('go');
      return 'done';
    });
    await instance.deliver(timerFired(2), activityCompleted(3));
    expect(instance.bodies.at(-1)).toEqual(activityScheduled('b'));
    await instance.deliver(eventRaised('go'));
    expect(instance.bodies.slice(-2)).toEqual([futureCancelled(8), completed('done')]);
  });

  it('of a value that wins at once are cancelled in the same event', async () => {
    const instance = await begin((ctx) => ctx.race([ctx.scheduleTimer(5), 'now', ctx.waitForEvent('e')]));
    expect(instance.bodies).toEqual([
      started(),
      timerCreated(T0 + 5),
      eventAwaited('e'),
      futureCancelled(2),
      futureCancelled(3),
      completed({ key: 1, value: 'now' }),
    ]);
  });

  it('that have settled already are left alone', async () => {
    const instance = await begin(async (ctx) => {
      const settled = a(ctx);
      await settled;
      const { key } = await ctx.race([ctx.all([settled]), ctx.scheduleTimer(5)]);
      return [key, await settled];
    });
    await instance.deliver(activityCompleted(2, 'kept'));
    expect(instance.result).toEqual([0, 'kept']);
    expect(cancelledIds(instance)).toEqual([4]);
  });

  it('of a cancelled group are its open members', async () => {
    const instance = await begin(async (ctx) => {
      const group = ctx.all({ x: a(ctx), y: a(ctx) });
      await ctx.waitForEvent('go');
      group.cancel();
      group.cancel();
      return await group.catch((error: Error) => error.name);
    });
    await instance.deliver(activityCompleted(3), eventRaised('go'));
    expect(instance.lastBodies.slice(-2)).toEqual([futureCancelled(2), completed('CancelledError')]);
  });

  it('of a cancelled group of plain promises are none', async () => {
    const instance = await begin(async (ctx) => {
      const group = ctx.allSettled([helper(a(ctx), 2)]);
      group.cancel();
      return await group.catch((error: Error) => error.name);
    });
    expect(instance.result).toBe('CancelledError');
  });

  it('of a group whose member the code cancels are the others', async () => {
    const instance = await begin(async (ctx) => {
      const mine = ctx.scheduleActivity('mine');
      const race = ctx.race([mine, ctx.scheduleTimer(5)]);
      mine.cancel();
      return await race.catch((error: Error) => error.name);
    });
    expect(cancelledIds(instance)).toEqual([2, 3]);
    expect(instance.result).toBe('CancelledError');
  });
});

describe('groups that are neither array nor record', () => {
  it.each<readonly [string, (ctx: OrchestrationContext) => unknown]>([
    ['a set', (ctx) => new Set([a(ctx)])],
    ['a map', (ctx) => new Map([['x', a(ctx)]])],
    ['a future', (ctx) => a(ctx)],
    ['a plain promise', () => Promise.resolve([])],
    ['a date', () => new Date(0)],
  ])('%s is refused, not taken for an empty record', async (_, make) => {
    const instance = await begin(async (ctx) => {
      try {
        return ['accepted', shown(await ctx.all(make(ctx) as readonly unknown[]))];
      } catch (error) {
        return (error as { readonly code?: string }).code;
      }
    });
    expect(instance.last.outcome).toEqual({ kind: 'completed', result: '"ARGUMENT_INVALID"' });
  });

  it.each(['all', 'allSettled', 'any', 'race'] as const)('a hole in the array of %s counts as undefined, as in Promise.all', async (by) => {
    const instance = await begin(async (ctx) => {
      const group: unknown[] = [];
      group[1] = ctx.scheduleActivity('a');
      return shown(await ctx[by](group));
    });
    if (instance.last.outcome.kind === 'waiting') await instance.deliver(activityCompleted(2, 'r2'));
    expect(instance.result).toBe(
      {
        all: '["<undefined>","r2"]',
        allSettled: '[{"status":"fulfilled","value":"<undefined>"},{"status":"fulfilled","value":"r2"}]',
        any: '{"key":0,"value":"<undefined>"}',
        race: '{"key":0,"value":"<undefined>"}',
      }[by],
    );
  });
});
