// ctx.kv: order, copies, recorded times, limits, what travels with continue-as-new; and values of other instances (V1; T14, T17).
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import { MAX_VALUE_BYTES, MAX_VALUES, MAX_VALUES_UNITS } from '../../src/types/limits.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  beginNext,
  cancelRequested,
  completed,
  continuedAsNew,
  eventRaised,
  faultOf,
  futureCancelled,
  history,
  nextStart,
  orchestration,
  replayCold,
  start,
  started,
  T0,
  timerCreated,
  timerFired,
  turn,
  valueDeleted,
  valueSet,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

/** Runs code that ends at once. */
const once =
  (code: (ctx: OrchestrationContext) => unknown): Handler =>
  (ctx) =>
    code(ctx) ?? null;

describe('ctx.kv', () => {
  it('records each change and tells the store, in order', async () => {
    const instance = await begin((ctx) => {
      ctx.kv.set('b', { step: 1 });
      ctx.kv.set('a', null);
      ctx.kv.set('b', 'again');
      ctx.kv.delete('a');
      return ctx.waitForEvent('never');
    });
    expect(instance.bodies.slice(1, 5)).toEqual([
      valueSet('b', { step: 1 }),
      valueSet('a', null),
      valueSet('b', 'again'),
      valueDeleted('a'),
    ]);
    expect(instance.last.effects?.values).toEqual([
      { key: 'b', value: '{"step":1}' },
      { key: 'a', value: 'null' },
      { key: 'b', value: '"again"' },
      { key: 'a', value: null },
    ]);
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, unknown, readonly Body[]]>([
    ['get of nothing', ({ kv }) => kv.get('a') ?? 'none', 'none', []],
    ['get', ({ kv }) => (kv.set('a', 1), kv.get('a')), 1, [valueSet('a', 1)]],
    ['get after overwriting', ({ kv }) => (kv.set('a', 1), kv.set('a', 2), kv.get('a')), 2, [valueSet('a', 1), valueSet('a', 2)]],
    [
      'get after deleting',
      ({ kv }) => (kv.set('a', 1), kv.delete('a'), kv.get('a') ?? 'none'),
      'none',
      [valueSet('a', 1), valueDeleted('a')],
    ],
    ['get of null', ({ kv }) => (kv.set('a', null), [kv.get('a'), kv.size]), [null, 1], [valueSet('a', null)]],
    ['get of text', ({ kv }) => (kv.set('a', '42'), kv.get('a')), '42', [valueSet('a', '42')]],
    ['get of an empty text', ({ kv }) => (kv.set('a', ''), kv.get('a')), '', [valueSet('a', '')]],
    ['delete of something', ({ kv }) => (kv.set('a', 1), kv.delete('a')), true, [valueSet('a', 1), valueDeleted('a')]],
    ['delete of nothing', ({ kv }) => kv.delete('a'), false, []],
    [
      'size',
      ({ kv }) => (kv.set('a', 1), kv.set('b', 1), kv.set('a', 2), kv.size),
      2,
      [valueSet('a', 1), valueSet('b', 1), valueSet('a', 2)],
    ],
    ['keys of nothing', ({ kv }) => kv.keys(), [], []],
    ['entries of nothing', ({ kv }) => kv.entries(), [], []],
    ['clear of nothing', ({ kv }) => (kv.clear(), kv.size), 0, []],
    [
      'keys, by code units',
      ({ kv }) => {
        for (const key of ['b', 'é', 'B', '10', '9', '\uFFFF', '😀', '__proto__', 'a']) kv.set(key, 0);
        return kv.keys();
      },
      ['10', '9', 'B', '__proto__', 'a', 'b', 'é', '😀', '\uFFFF'],
      ['b', 'é', 'B', '10', '9', '\uFFFF', '😀', '__proto__', 'a'].map((key) => valueSet(key, 0)),
    ],
    [
      'entries',
      ({ kv }) => (kv.set('b', [1]), kv.set('a', { x: 1 }), kv.entries()),
      [
        ['a', { x: 1 }],
        ['b', [1]],
      ],
      [valueSet('b', [1]), valueSet('a', { x: 1 })],
    ],
    [
      'clear, in the order of the keys',
      ({ kv }) => (kv.set('b', 1), kv.set('a', 1), kv.clear(), kv.size),
      0,
      [valueSet('b', 1), valueSet('a', 1), valueDeleted('a'), valueDeleted('b')],
    ],
    [
      'set after clear',
      ({ kv }) => (kv.set('a', 1), kv.clear(), kv.set('a', 2), kv.entries()),
      [['a', 2]],
      [valueSet('a', 1), valueDeleted('a'), valueSet('a', 2)],
    ],
    ['prune of nothing', ({ kv }) => kv.prune(Number.MAX_SAFE_INTEGER), 0, []],
    ['prune by zero', ({ kv }) => (kv.set('a', 1), kv.prune(0)), 0, [valueSet('a', 1)]],
    ['prune of its own event', ({ kv }) => (kv.set('a', 1), kv.prune(T0)), 0, [valueSet('a', 1)]],
    [
      'prune of all, in the order of the keys',
      ({ kv }) => (kv.set('b', 1), kv.set('a', 1), kv.prune(new Date(T0 + 1))),
      2,
      [valueSet('b', 1), valueSet('a', 1), valueDeleted('a'), valueDeleted('b')],
    ],
    ['a key of Object.prototype', ({ kv }) => kv.get('toString') ?? 'none', 'none', []],
  ])('%s', async (_, code, result, events) => {
    const instance = await begin(once(code));
    expect(instance.result).toEqual(result);
    expect(instance.bodies.slice(1, -1)).toEqual(events);
  });

  it('gives a fresh copy each time, and keeps one', async () => {
    const instance = await begin((ctx) => {
      const value = { list: [1] };
      ctx.kv.set('a', value);
      value.list.push(2);
      (ctx.kv.get('a') as typeof value).list.push(3);
      for (const [, entry] of ctx.kv.entries()) (entry as typeof value).list.push(4);
      return ctx.kv.get('a');
    });
    expect(instance.result).toEqual({ list: [1] });
  });

  it('stores what JSON makes of a value', async () => {
    const instance = await begin((ctx) => {
      ctx.kv.set('a', { date: new Date(0), gone: undefined, nan: Number.NaN });
      return ctx.kv.get('a');
    });
    expect(instance.result).toEqual({ date: '1970-01-01T00:00:00.000Z', nan: null });
  });

  it('reads over turns what earlier turns wrote, and nothing of later ones (T17)', async () => {
    const instance = await begin(async (ctx) => {
      const seen: unknown[] = [];
      for (let round = 0; round < 3; round += 1) {
        const count = ctx.kv.get<number>('count') ?? 0;
        seen.push(count);
        ctx.kv.set('count', count + 1);
        await ctx.waitForEvent('go');
      }
      return seen;
    });
    for (let round = 0; round < 3; round += 1) await instance.deliver(eventRaised('go'));
    expect(instance.result).toEqual([0, 1, 2]);
  });

  it('prunes by the recorded time of each change, also over turns and on replay (T14)', async () => {
    const instance = await begin(async (ctx) => {
      ctx.kv.set('old', 1);
      ctx.kv.set('renewed', 1);
      await ctx.waitForEvent('go');
      ctx.kv.set('renewed', 2);
      ctx.kv.set('new', 1);
      await ctx.waitForEvent('go');
      return [ctx.kv.prune(T0 + 100), ctx.kv.keys()];
    });
    instance.nowMs = T0 + 100;
    await instance.deliver(eventRaised('go'));
    instance.nowMs = T0 + 9_000;
    await instance.deliver(eventRaised('go'));
    expect(instance.result).toEqual([1, ['new', 'renewed']]);
    expect(instance.lastBodies.slice(1, -1)).toEqual([valueDeleted('old')]);
  });

  it('takes the time of a timer that fired on a clock that is behind', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5_000);
      ctx.kv.set('a', 1);
      return [ctx.kv.prune(T0 + 5_000), ctx.kv.prune(T0 + 5_001)];
    });
    await instance.deliver(timerFired(2));
    expect(instance.result).toEqual([0, 1]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, new Date(Number.NaN)])('refuses to prune before %s', async (before) => {
    const instance = await begin(once(({ kv }) => kv.prune(before)));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringContaining('prune') as string });
  });

  it('may be changed by code that is cancelled, and after the orchestration was', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      ctx.kv.set('end', 'tidy');
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies.slice(1, 3)).toEqual([futureCancelled(2), valueSet('end', 'tidy')]);
    expect(instance.last.effects?.values).toEqual([{ key: 'end', value: '"tidy"' }]);
  });

  it('is written in a branch that wins, and not in one that lost', async () => {
    const branch = async (ctx: OrchestrationContext, name: string): Promise<void> => {
      await ctx.scheduleActivity(name);
      ctx.kv.set('winner', name);
    };
    const instance = await begin(async (ctx) => {
      await ctx.race([ctx.scope(() => branch(ctx, 'a')), ctx.scope(() => branch(ctx, 'b'))]);
      return ctx.kv.get('winner');
    });
    await instance.deliver(activityCompleted(3), activityCompleted(2));
    expect(instance.result).toBe('b');
    expect(instance.bodies.filter(({ kind }) => kind === 'ValueSet')).toEqual([valueSet('winner', 'b')]);
  });

  it('stays between activities and timers in the order of the calls', async () => {
    const instance = await begin(async (ctx) => {
      ctx.kv.set('a', 1);
      const work = ctx.scheduleActivity('w');
      ctx.kv.set('a', 2);
      await ctx.scheduleTimer(1);
      ctx.kv.delete('a');
      await work;
    });
    expect(instance.bodies.slice(1)).toEqual([valueSet('a', 1), activityScheduled('w'), valueSet('a', 2), timerCreated(T0 + 1)]);
    await instance.deliver(timerFired(5), activityCompleted(3));
    expect(instance.lastBodies).toEqual([timerFired(5), valueDeleted('a'), activityCompleted(3), completed()]);
  });

  it('is committed with an orchestration that fails', async () => {
    const instance = await begin((ctx) => {
      ctx.kv.set('seen', true);
      throw new Error('broken');
    });
    expect(instance.last).toMatchObject({ outcome: { kind: 'failed' }, effects: { values: [{ key: 'seen', value: 'true' }] } });
  });

  it('is told to the store once, not by a replay', async () => {
    const instance = await begin(async (ctx) => {
      ctx.kv.set('a', 1);
      await ctx.waitForEvent('go');
    });
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.effects).toBeNull();
  });
});

describe('limits of ctx.kv', () => {
  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, string, RegExp]>([
    ['an empty key', ({ kv }) => kv.set('', 1), 'ARGUMENT_INVALID', /key to be a string of 1 to 256/],
    ['a long key', ({ kv }) => kv.set('x'.repeat(257), 1), 'ARGUMENT_INVALID', /got 257/],
    ['a reserved key', ({ kv }) => kv.set('duraloom:x', 1), 'ARGUMENT_INVALID', /reserved/],
    ['a lone surrogate as key', ({ kv }) => kv.set('\uD800', 1), 'ARGUMENT_INVALID', /well-formed/],
    ['undefined', ({ kv }) => kv.set('a', undefined), 'ARGUMENT_INVALID', /key 'a' to be a JSON value, got undefined. Use kv\.delete/],
    ['a function', ({ kv }) => kv.set('a', () => 1), 'PAYLOAD_NOT_SERIALIZABLE', /value of key 'a'/],
    ['a BigInt', ({ kv }) => kv.set('a', 1n), 'PAYLOAD_NOT_SERIALIZABLE', /value of key 'a'/],
    ['a value that is too large', ({ kv }) => kv.set('a', 'x'.repeat(MAX_VALUE_BYTES - 1)), 'PAYLOAD_TOO_LARGE', /65537 bytes/],
    ['a value that is too large in bytes', ({ kv }) => kv.set('a', 'é'.repeat(MAX_VALUE_BYTES / 2)), 'PAYLOAD_TOO_LARGE', /65538 bytes/],
  ])('refuse %s, catchably and without an event', async (_, code, errorCode, message) => {
    const instance = await begin((ctx) => {
      try {
        return code(ctx);
      } catch (error) {
        return [(error as { readonly code?: string }).code, (error as Error).message, ctx.kv.size];
      }
    });
    expect(instance.result).toEqual([errorCode, expect.stringMatching(message), 0]);
    expect(instance.events).toHaveLength(2);
  });

  it('allow a key of 256 characters and a value of exactly 64 KiB', async () => {
    const instance = await begin(
      once(({ kv }) => {
        kv.set('k'.repeat(256), 'x'.repeat(MAX_VALUE_BYTES - 2));
        return kv.size;
      }),
    );
    expect(instance.result).toBe(1);
  });

  it('allow so many keys and no more; overwriting and deleting make room', async () => {
    const instance = await begin(
      once(({ kv }) => {
        const codes: unknown[] = [];
        const trySet = (key: string): void => {
          try {
            kv.set(key, 1);
            codes.push('set');
          } catch (error) {
            codes.push((error as { readonly code?: string }).code);
          }
        };
        for (let count = 0; count < MAX_VALUES; count += 1) kv.set(`k${count}`, 0);
        trySet('one more');
        trySet('k0');
        kv.delete('k1');
        trySet('one more');
        trySet('yet another');
        kv.clear();
        trySet('fresh');
        return [codes, kv.size];
      }),
    );
    expect(instance.result).toEqual([['VALUE_LIMIT', 'set', 'set', 'VALUE_LIMIT', 'set'], 1]);
  });

  it('allow so many characters in all and no more; what is replaced or deleted does not count', async () => {
    const large = 'x'.repeat(MAX_VALUE_BYTES - 2);
    const instance = await begin(
      once(({ kv }) => {
        const full = MAX_VALUES_UNITS / MAX_VALUE_BYTES;
        for (let count = 0; count < full; count += 1) kv.set(`k${count}`, large);
        const codes: unknown[] = [];
        for (const change of [
          () => kv.set('more', 1),
          () => kv.set('k0', large),
          () => kv.delete('k0'),
          () => kv.set('more', large),
          () => kv.set('k0', 1),
        ]) {
          try {
            codes.push(change() ?? 'set');
          } catch (error) {
            codes.push((error as { readonly code?: string }).code);
          }
        }
        return codes;
      }),
    );
    expect(instance.result).toEqual(['VALUE_LIMIT', 'set', true, 'set', 'VALUE_LIMIT']);
  });

  it('hold in the next execution with what is carried over', async () => {
    const instance = await begin((ctx, input) => {
      if (input === 'next') {
        try {
          ctx.kv.set('one more', 1);
          return 'set';
        } catch (error) {
          return (error as { readonly code?: string }).code;
        }
      }
      for (let count = 0; count < MAX_VALUES; count += 1) ctx.kv.set(`k${count}`, 0);
      return ctx.continueAsNew('next');
    });
    expect((await beginNext(instance)).result).toBe('VALUE_LIMIT');
  });
});

describe('ctx.kv across continue-as-new', () => {
  const counting: Handler<number | undefined> = async (ctx, round = 0) => {
    ctx.kv.set('count', (ctx.kv.get<number>('count') ?? 0) + 1);
    ctx.kv.set(`round ${round}`, round);
    return round < 2 ? ctx.continueAsNew(round + 1) : ctx.kv.entries();
  };

  it('keeps values', async () => {
    const first = await begin(counting);
    const second = await beginNext(first);
    const third = await beginNext(second);
    expect(third.result).toEqual([
      ['count', 3],
      ['round 0', 0],
      ['round 1', 1],
      ['round 2', 2],
    ]);
  });

  it('carries them in the order of their keys with the time of their change', async () => {
    const instance = await begin(async (ctx) => {
      ctx.kv.set('b', [1]);
      await ctx.waitForEvent('go');
      ctx.kv.set('a', null);
      ctx.kv.set('gone', 1);
      ctx.kv.delete('gone');
      await ctx.continueAsNew();
    });
    instance.nowMs += 500;
    await instance.deliver(eventRaised('go'));
    expect(nextStart(instance.last)['values']).toEqual([
      { key: 'a', value: null, updatedAtMs: T0 + 500 },
      { key: 'b', value: [1], updatedAtMs: T0 },
    ]);
  });

  it('carries none when there are none', async () => {
    const instance = await begin(async (ctx) => {
      ctx.kv.set('a', 1);
      ctx.kv.clear();
      await ctx.continueAsNew();
    });
    expect(nextStart(instance.last)).not.toHaveProperty('values');
    expect(instance.bodies.at(-1)).toEqual(continuedAsNew());
  });

  it('prunes by the time of the change in the execution before', async () => {
    const values = [
      { key: 'a', value: 1, updatedAtMs: 5 },
      { key: 'b', value: 2, updatedAtMs: 50 },
    ];
    const instance = await begin((ctx) => [ctx.kv.prune(50), ctx.kv.keys()], { executionId: 2, values });
    expect(instance.bodies[0]).toEqual(started({ executionId: 2, values }));
    expect(instance.result).toEqual([1, ['b']]);
  });

  it('does not tell the store again what it has', async () => {
    const first = await begin(counting);
    const second = await beginNext(first);
    expect(second.last.effects?.values.map(({ key }) => key)).toEqual(['count', 'round 1']);
  });
});

describe('replay of ctx.kv', () => {
  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, readonly Body[]]>([
    ['another key', ({ kv }) => kv.set('b', 1), [valueSet('a', 1)]],
    ['another value', ({ kv }) => kv.set('a', 2), [valueSet('a', 1)]],
    ['text instead of a number', ({ kv }) => kv.set('a', '1'), [valueSet('a', 1)]],
    ['a deletion instead', ({ kv }) => kv.delete('a'), [valueSet('a', 1)]],
    [
      'another deletion',
      ({ kv }) => (kv.set('a', 1), kv.set('b', 1), kv.delete('b')),
      [valueSet('a', 1), valueSet('b', 1), valueDeleted('a')],
    ],
    ['a change that is missing', () => undefined, [valueSet('a', 1)]],
    ['a change that was added', ({ kv }) => (kv.set('a', 1), kv.set('b', 1)), [valueSet('a', 1)]],
    ['a deletion of nothing that history has', ({ kv }) => kv.delete('a'), [valueDeleted('a')]],
    ['a status instead', (ctx) => ctx.setCustomStatus(1), [valueSet('a', 1)]],
  ])('finds %s (T48)', async (_, code, events) => {
    const handler: Handler = (ctx) => (code(ctx), ctx.scheduleActivity('end'));
    const { result } = await replayCold([orchestration('test', handler)], history(started(), ...events, activityScheduled('end')));
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
  });

  it('shows key and value on both sides', async () => {
    const { result } = await replayCold(
      [
        orchestration(
          'test',
          once(({ kv }) => kv.set('a', { x: 2 })),
        ),
      ],
      history(started(), valueSet('a', { x: 1 }), completed(null)),
    );
    expect(faultOf(result).message).toMatch(
      /at event 2: history has ValueSet \{key: "a", value: \{"x":1\}\}, but the code now decides ValueSet \{key: "a", value: \{"x":2\}\}.*key-values\.test/,
    );
  });

  it('of a start with values that no execution could leave is a typed error, live and on replay', async () => {
    // Values of a stored history are untrusted data: what is over a limit must not escape as an exception.
    const values = [{ key: 'a', value: 'x'.repeat(MAX_VALUE_BYTES), updatedAtMs: 1 }];
    const definitions = [orchestration('test', (ctx) => ctx.scheduleActivity('a'))];
    const live = await begin((ctx) => ctx.scheduleActivity('a'), { values, coldCheck: false });
    expect(live.last.outcome.kind).toBe('faulted');
    const { result } = await replayCold(definitions, history(started({ values }), activityScheduled('a')));
    expect(result.outcome.kind).toBe('faulted');
  });
});

describe('ctx.getValueFromInstance', () => {
  it('is an activity of the runtime itself', async () => {
    const instance = await begin((ctx) => ctx.getValueFromInstance('other', 'k'));
    expect(instance.bodies.at(-1)).toEqual(
      activityScheduled('duraloom:readValue', { instanceId: 'other', key: 'k' }, { tag: 'duraloom:system' }),
    );
    expect(instance.last.activities).toMatchObject([{ eventId: 2, routing: { tag: 'duraloom:system' } }]);
    await instance.deliver(activityCompleted(2, { deep: [1] }));
    expect(instance.result).toEqual({ deep: [1] });
  });

  it('gives undefined when there is nothing', async () => {
    const instance = await begin(async (ctx) => (await ctx.getValueFromInstance('other', 'k')) === undefined);
    await instance.deliver(activityCompleted(2));
    expect(instance.result).toBe(true);
  });

  it('may read the instance itself, race, fail and be given up', async () => {
    const instance = await begin(async (ctx) => {
      const own = ctx.getValueFromInstance(ctx.instanceId, 'k');
      const lost = await ctx.race({ value: ctx.getValueFromInstance('x', 'k'), timer: ctx.scheduleTimer(5) });
      return [lost.key, await own.catch((error: Error) => error.message)];
    });
    await instance.deliver(timerFired(4));
    expect(instance.last.cancelledActivities).toEqual([3]);
    await instance.deliver(activityFailed(2, 'no store'));
    expect(instance.result).toEqual(['timer', 'no store']);
  });

  it('is not put under the prefix of a package', async () => {
    const instance = await begin((ctx) => ctx.getValueFromInstance('other', 'k'), { prefix: 'billing.' });
    expect(instance.last.activities[0]?.name).toBe('duraloom:readValue');
  });

  it.each<readonly [string, unknown, unknown]>([
    ['an instance that is no text', 5, 'k'],
    ['an empty key', 'i2', ''],
    ['a key that is no text', 'i2', 5],
  ])('refuses %s', async (_, instanceId, key) => {
    const instance = await begin((ctx) => ctx.getValueFromInstance(instanceId as string, key as string));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect(instance.events).toHaveLength(2);
  });
});

describe('the start of an execution with values', () => {
  it('is the same for a start message and its event', async () => {
    const values = [{ key: '__proto__', value: { admin: true }, updatedAtMs: 1 }];
    const instance = await begin((ctx) => [ctx.kv.get('__proto__'), ctx.kv.size], { values });
    expect(instance.result).toEqual([{ admin: true }, 1]);
    const { engine } = await replayCold(
      [orchestration('test', (ctx) => ctx.waitForEvent(String(ctx.kv.get('k'))))],
      history(started({ values: [{ key: 'k', value: 'go', updatedAtMs: 1 }] }), { kind: 'EventAwaited', name: 'go' }),
    );
    const result = await turn(engine, [start(), eventRaised('go', 1)], T0);
    expect(result.outcome).toEqual({ kind: 'completed', result: '1' });
  });
});
