// ctx.patched and ctx.deprecatePatch: changes inside one version, on old, new and mixed histories; generator orchestrations; packages with a
// prefix; measurements.
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  beginNext,
  cancelled,
  cancelRequested,
  childScheduled,
  completed,
  continuedAsNew,
  eventAwaited,
  eventRaised,
  failed,
  faultOf,
  futureCancelled,
  history,
  orchestration,
  parseEvents,
  patched,
  replayCold,
  started,
  startRequested,
  statusSet,
  T0,
  timerCreated,
  timerFired,
  toBodies,
  turn,
  type AnyOrchestration,
  type Body,
  type Handler,
  type Rebuilt,
} from '../support/replay-harness.ts';

/** The code before, with, and after a change. */
const before: Handler = async (ctx) => {
  await ctx.scheduleActivity('first');
  await ctx.scheduleActivity('old');
  return await ctx.waitForEvent('end');
};
const withPatch: Handler = async (ctx) => {
  await ctx.scheduleActivity('first');
  await ctx.scheduleActivity(ctx.patched('change') ? 'new' : 'old');
  return await ctx.waitForEvent('end');
};
const deprecated: Handler = async (ctx) => {
  await ctx.scheduleActivity('first');
  ctx.deprecatePatch('change');
  await ctx.scheduleActivity('new');
  return await ctx.waitForEvent('end');
};
const after: Handler = async (ctx) => {
  await ctx.scheduleActivity('first');
  await ctx.scheduleActivity('new');
  return await ctx.waitForEvent('end');
};

/** Histories, as code wrote them, up to the middle and up to the wait. */
const early = [started(), activityScheduled('first')];
const oldHistory = [...early, activityCompleted(2), activityScheduled('old')];
const patchedHistory = [...early, activityCompleted(2), patched('change'), activityScheduled('new')];
const newHistory = [...early, activityCompleted(2), activityScheduled('new')];

const replay = (handler: Handler, bodies: readonly Body[]): Promise<Rebuilt> =>
  replayCold([orchestration('test', handler)], history(...bodies));

/** Bodies of the events of one more turn on a history. */
async function goOn(handler: Handler, bodies: readonly Body[], ...messages: readonly Body[]): Promise<readonly Body[]> {
  const { engine } = await replay(handler, bodies);
  const { events } = await turn(engine, messages, T0);
  return toBodies(parseEvents(events));
}

describe('ctx.patched', () => {
  it('is true and recorded where the code runs for the first time', async () => {
    const instance = await begin(withPatch);
    await instance.deliver(activityCompleted(2));
    expect(instance.lastBodies).toEqual([activityCompleted(2), patched('change'), activityScheduled('new')]);
    await instance.deliver(activityCompleted(5), eventRaised('end', 'x'));
    expect(instance.result).toBe('x');
  });

  it('is false in executions that passed the place before the change', async () => {
    const { result } = await replay(withPatch, oldHistory);
    expect(result.outcome).toEqual({ kind: 'waiting' });
    expect(await goOn(withPatch, oldHistory, activityCompleted(4))).toEqual([activityCompleted(4), eventAwaited('end')]);
  });

  it('is true in executions that come to the place after the change', async () => {
    expect(await goOn(withPatch, early, activityCompleted(2))).toEqual([activityCompleted(2), patched('change'), activityScheduled('new')]);
  });

  it('is true where history says so', async () => {
    const { result } = await replay(withPatch, patchedHistory);
    expect(result.outcome).toEqual({ kind: 'waiting' });
  });

  it.each([true, false])('gives the same at every place of an execution, in loops and helpers (new: %s)', async (isNew) => {
    const looping: Handler = async (ctx) => {
      const answers: boolean[] = [];
      for (let round = 0; round < 3; round += 1) {
        await ctx.scheduleActivity('step');
        answers.push(ctx.patched('change'), await ctx.scope(() => ctx.patched('change')));
      }
      return answers;
    };
    const old: Handler = async (ctx) => {
      for (let round = 0; round < 3; round += 1) await ctx.scheduleActivity('step');
    };
    const instance = await begin(isNew ? looping : old);
    await instance.deliver(activityCompleted(2));
    const { engine } = await replayCold([orchestration('test', looping)], instance.events);
    const second = isNew ? 5 : 4;
    const result = await turn(engine, [activityCompleted(second), activityCompleted(second + 2)], T0);
    expect(result.outcome).toEqual({ kind: 'completed', result: JSON.stringify(Array.from({ length: 6 }, () => isNew)) });
    expect(result.events.includes('Patched')).toBe(false);
  });

  it('tells several changes apart, each by its own name', async () => {
    const two: Handler = (ctx) => {
      const answers = [ctx.patched('first'), ctx.patched('second'), ctx.patched('first')];
      ctx.setCustomStatus(answers);
      return ctx.waitForEvent('end');
    };
    const fresh = await begin(two);
    expect(fresh.bodies.slice(1)).toEqual([patched('first'), patched('second'), statusSet([true, true, true]), eventAwaited('end')]);
    for (const [recorded, answers] of [
      [[], [false, false, false]],
      [[patched('first')], [true, false, true]],
      [[patched('second')], [false, true, false]],
    ] as const) {
      const { result } = await replay(two, [started(), ...recorded, statusSet(answers), eventAwaited('end')]);
      expect(result.outcome).toEqual({ kind: 'waiting' });
    }
  });

  it('is asked anew in the next execution', async () => {
    const code: Handler = async (ctx, input) => {
      const answer = ctx.patched('change');
      return input === 'next' ? answer : ctx.continueAsNew('next');
    };
    const first = await begin(code);
    expect(first.bodies.slice(1)).toEqual([patched('change'), continuedAsNew('next')]);
    expect((await beginNext(first)).bodies.slice(1)).toEqual([patched('change'), completed(true)]);
    const { result } = await replayCold([orchestration('test', code)], history(started(), continuedAsNew('next')));
    expect(result.outcome.kind).toBe('continuedAsNew');
  });

  it.each<readonly [string, Handler, readonly Body[]]>([
    ['was taken out too early', after, patchedHistory],
    ['was taken back', before, patchedHistory],
    [
      'has another name now',
      async (ctx) => (await ctx.scheduleActivity('first'), ctx.scheduleActivity(ctx.patched('other') ? 'new' : 'old')),
      patchedHistory,
    ],
    ['was forgotten', after, oldHistory],
    ['was deprecated too early', deprecated, oldHistory],
    [
      'stands behind the decision now',
      async (ctx) => (await ctx.scheduleActivity('first'), await ctx.scheduleActivity('new'), ctx.patched('change')),
      patchedHistory,
    ],
  ])('is missed by replay when it %s', async (_, handler, bodies) => {
    const { result } = await replay(handler, bodies);
    expect(faultOf(result).code).toBe('NONDETERMINISM');
  });

  it('shows in the message of a difference', async () => {
    const { result } = await replay(after, patchedHistory);
    expect(faultOf(result).message).toMatch(
      /at event 4: history has Patched \{patchId: "change"\}, but the code now decides ActivityScheduled/,
    );
  });

  it.each(['', 'x'.repeat(257), 'duraloom:x', undefined])('refuses the name "%s"', async (name) => {
    for (const call of [
      (ctx: OrchestrationContext) => ctx.patched(name as string),
      (ctx: OrchestrationContext) => ctx.deprecatePatch(name as string),
    ]) {
      const instance = await begin((ctx) => call(ctx));
      expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID' });
    }
  });

  it('may be asked by code that is cancelled', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      ctx.setCustomStatus(ctx.patched('clean up'));
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies.slice(1)).toEqual([futureCancelled(2), patched('clean up'), statusSet(true), cancelled()]);
  });
});

describe('ctx.deprecatePatch', () => {
  it('passes the mark where there is one, also in loops', async () => {
    const { result } = await replay(deprecated, patchedHistory);
    expect(result.outcome).toEqual({ kind: 'waiting' });
    expect(await goOn(deprecated, patchedHistory, activityCompleted(5))).toEqual([activityCompleted(5), eventAwaited('end')]);
  });

  it('records nothing where there is none', async () => {
    expect(await goOn(deprecated, early, activityCompleted(2))).toEqual([activityCompleted(2), activityScheduled('new')]);
    const { result } = await replay(deprecated, newHistory);
    expect(result.outcome).toEqual({ kind: 'waiting' });
  });

  it('leads to code without it, for executions that never had the mark', async () => {
    const instance = await begin(deprecated);
    await instance.deliver(activityCompleted(2));
    const { result } = await replayCold([orchestration('test', after)], instance.events);
    expect(result.outcome).toEqual({ kind: 'waiting' });
  });

  it('passes the mark of its own name only', async () => {
    const { result } = await replay(async (ctx) => {
      await ctx.scheduleActivity('first');
      ctx.deprecatePatch('other');
      await ctx.scheduleActivity('new');
    }, patchedHistory);
    expect(faultOf(result).code).toBe('NONDETERMINISM');
  });
});

describe('a generator orchestration', () => {
  it('yields futures for their results', async () => {
    const instance = await begin(function* (ctx): Generator<unknown, unknown, string> {
      const first = yield ctx.scheduleActivity('a');
      const second = yield ctx.scheduleActivity('b', first);
      return `${first}${second}`;
    });
    await instance.deliver(activityCompleted(2, 'A'));
    await instance.deliver(activityCompleted(4, 'B'));
    expect(instance.bodies).toEqual([
      started(),
      activityScheduled('a'),
      activityCompleted(2, 'A'),
      activityScheduled('b', 'A'),
      activityCompleted(4, 'B'),
      completed('AB'),
    ]);
  });

  it('writes the history that an async function writes', async () => {
    const input = { name: 'x' };
    const generator = await begin(
      function* (ctx, given): Generator<unknown, unknown, unknown> {
        const [one, two] = (yield [ctx.scheduleActivity('a', given), ctx.scheduleTimer(5)]) as readonly unknown[];
        try {
          yield ctx.scheduleActivity('b');
        } catch (error) {
          return [one, two ?? null, (error as Error).message];
        }
        return null;
      },
      { input },
    );
    const asynchronous = await begin(
      async (ctx, given) => {
        const [one, two] = await Promise.all([ctx.scheduleActivity('a', given), ctx.scheduleTimer(5)]);
        try {
          await ctx.scheduleActivity('b');
        } catch (error) {
          return [one, two ?? null, (error as Error).message];
        }
        return null;
      },
      { input },
    );
    for (const instance of [generator, asynchronous]) {
      await instance.deliver(timerFired(3), activityCompleted(2, 1));
      await instance.deliver(activityFailed(6, 'broken'));
    }
    expect(generator.events).toEqual(asynchronous.events);
    expect(generator.result).toEqual([1, null, 'broken']);
  });

  it('yields arrays, groups, helpers and plain values', async () => {
    const instance = await begin(function* (ctx): Generator<unknown, unknown, unknown> {
      const seen: unknown[] = [];
      seen.push(yield [], yield 5, yield undefined, yield { a: 'record' }, yield [1, Promise.resolve(2)]);
      seen.push(yield ctx.all({ a: ctx.scheduleActivity('a') }));
      seen.push(yield (async (): Promise<unknown> => `${await ctx.scheduleActivity<string>('b')}!`)());
      seen.push(yield ctx.race([ctx.scheduleTimer(5), ctx.waitForEvent('e')]));
      return seen.map((value) => value ?? null);
    });
    await instance.deliver(activityCompleted(2, 'A'), activityCompleted(4, 'B'), eventRaised('e', 'E'));
    expect(instance.result).toEqual([[], 5, null, { a: 'record' }, [1, 2], { a: 'A' }, 'B!', { key: 1, value: 'E' }]);
  });

  it('gets errors thrown at its yield', async () => {
    const instance = await begin(function* (ctx): Generator<unknown, unknown, unknown> {
      const caught: string[] = [];
      for (const future of [ctx.scheduleActivity('a'), [ctx.scheduleActivity('b'), ctx.scheduleActivity('c')]]) {
        try {
          yield future;
        } catch (error) {
          caught.push((error as Error).message);
        } finally {
          caught.push('finally');
        }
      }
      return caught;
    });
    await instance.deliver(activityFailed(2, 'A'), activityFailed(4, 'C'));
    expect(instance.result).toEqual(['A', 'finally', 'C', 'finally']);
    // As Promise.all, unlike ctx.all, an array gives up none of the others before the end.
    expect(instance.lastBodies.slice(-3)).toEqual([
      activityFailed(4, 'C'),
      futureCancelled(3),
      completed(['A', 'finally', 'C', 'finally']),
    ]);
  });

  it.each<readonly [string, Handler, Body]>([
    [
      'fails with the error that it does not catch',
      function* (): Generator<unknown, void, unknown> {
        yield Promise.reject(new TypeError('uncaught'));
      },
      failed({ name: 'TypeError', message: 'uncaught' }),
    ],
    [
      'fails with the error that it throws before its first yield',
      function* (): Generator<unknown, unknown, unknown> {
        throw new RangeError('early');
      },
      failed({ name: 'RangeError', message: 'early' }),
    ],
    [
      'fails with the error that it throws while it handles another',
      function* (): Generator<unknown, void, unknown> {
        try {
          yield Promise.reject(new Error('first'));
        } catch {
          throw new RangeError('second');
        }
      },
      failed({ name: 'RangeError', message: 'second' }),
    ],
    [
      'returns without a yield',
      function* (): Generator<unknown, unknown, unknown> {
        return 7;
      },
      completed(7),
    ],
    [
      'returns a future, which is awaited',
      function* (): Generator<unknown, unknown, unknown> {
        yield 1;
        return Promise.resolve('later');
      },
      completed('later'),
    ],
    [
      'delegates to another generator',
      function* (): Generator<unknown, unknown, unknown> {
        function* inner(): Generator<unknown, unknown, unknown> {
          return [yield 1, yield [2]];
        }
        return yield* inner();
      },
      completed([1, [2]]),
    ],
  ])('%s', async (_, handler, end) => {
    const instance = await begin(handler);
    expect(instance.bodies).toEqual([started(), end]);
  });

  it('is cancelled at its yield, cleans up in a shield, and ends cancelled', async () => {
    const instance = await begin(function* (ctx): Generator<unknown, void, unknown> {
      try {
        yield [ctx.scheduleActivity('a'), ctx.scheduleTimer(5)];
      } finally {
        yield ctx.shield(() => ctx.scheduleActivity('undo'));
      }
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), futureCancelled(3), activityScheduled('undo')]);
    await instance.deliver(activityCompleted(7));
    expect(instance.lastBodies).toEqual([activityCompleted(7), cancelled()]);
  });

  it('waits for scopes and timeouts like for any future', async () => {
    const instance = await begin(function* (ctx): Generator<unknown, unknown, unknown> {
      const scope = ctx.scope(() => ctx.scheduleActivity('a'));
      try {
        yield ctx.withTimeout(5, () => ctx.waitForEvent('e'));
      } catch (error) {
        scope.cancel();
        return (error as { readonly code?: string }).code;
      }
      return null;
    });
    await instance.deliver(timerFired(3));
    expect(instance.lastBodies).toEqual([timerFired(3), futureCancelled(4), futureCancelled(2), completed('TIMEOUT')]);
  });

  it('continues as new', async () => {
    const instance = await begin(function* (ctx, input): Generator<unknown, unknown, unknown> {
      if (input === 'next') return yield ctx.scheduleActivity('a');
      return yield ctx.continueAsNew('next');
    });
    expect(instance.bodies.at(-1)).toEqual(continuedAsNew('next'));
    expect((await beginNext(instance)).bodies.at(-1)).toEqual(activityScheduled('a'));
  });

  it('that yields something not durable is stuck', async () => {
    const instance = await begin(function* (): Generator<unknown, void, unknown> {
      yield new Promise(() => undefined);
    });
    expect(instance.failure).toMatchObject({ code: 'ORCHESTRATION_STUCK' });
  });

  it('that changed is found by replay, with its line', async () => {
    const { result } = await replay(
      function* (ctx): Generator<unknown, void, unknown> {
        yield ctx.scheduleActivity('b');
      },
      [started(), activityScheduled('a')],
    );
    expect(faultOf(result).message).toMatch(/\(at .*patches\.test\.ts/);
  });

  it('that is an async generator is refused: nobody would run it', async () => {
    const instance = await begin(async function* (ctx): AsyncGenerator<unknown, unknown, unknown> {
      yield ctx.scheduleActivity('a');
      return 'never seen';
    });
    expect(instance.last.outcome.kind).toBe('failed');
  });
});

describe('the names of a package that was registered with a prefix', () => {
  const child: AnyOrchestration = orchestration('child', () => undefined);
  it.each<readonly [string, Handler, Body]>([
    ['an activity', (ctx) => ctx.scheduleActivity('charge', 1), activityScheduled('billing.charge', 1)],
    ['an activity of everybody', (ctx) => ctx.scheduleActivity('/charge', 1), activityScheduled('charge', 1)],
    [
      'an activity of a proxy',
      (ctx) => (ctx.activities() as { readonly charge: (input: number) => unknown }).charge(1),
      activityScheduled('billing.charge', 1),
    ],
    ['a child', (ctx) => ctx.scheduleSubOrchestration('child'), childScheduled('billing.child', 'i1::1.2')],
    ['a child by definition', (ctx) => ctx.scheduleSubOrchestration(child), childScheduled('billing.child', 'i1::1.2')],
    ['a child of everybody', (ctx) => ctx.scheduleSubOrchestration('/child'), childScheduled('child', 'i1::1.2')],
    ['an event, which has none', (ctx) => ctx.waitForEvent('go'), eventAwaited('go')],
    ['a timer, which has none', (ctx) => ctx.scheduleTimer(5), timerCreated(T0 + 5)],
  ])('%s', async (_, handler, event) => {
    const instance = await begin(handler, { prefix: 'billing.' });
    expect(instance.bodies[1]).toEqual(event);
  });

  it('a detached start', async () => {
    const instance = await begin(
      (ctx) => {
        ctx.startOrchestration('d', 'd1');
        ctx.startOrchestration('/d', 'd2');
      },
      { prefix: 'billing.' },
    );
    expect(instance.bodies.slice(1, 3)).toEqual([startRequested('billing.d', 'd1'), startRequested('d', 'd2')]);
    expect(instance.last.starts.map(({ name }) => name)).toEqual(['billing.d', 'd']);
  });

  it('without a prefix are taken as they are', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('/charge'));
    expect(instance.bodies[1]).toEqual(activityScheduled('/charge'));
  });

  it.each(['/', '/duraloom:readValue', 'x'.repeat(250)])('are checked in the form in which they are stored: "%s"', async (name) => {
    const instance = await begin((ctx) => ctx.scheduleActivity(name), { prefix: 'billing.' });
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  it('continue as new under the same name', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew(), { prefix: 'billing.' });
    expect(instance.last.outcome).toMatchObject({ kind: 'continuedAsNew', name: 'test' });
  });
});

describe('ctx.metrics', () => {
  it('gives each point once, with text labels', async () => {
    const instance = await begin(async (ctx) => {
      ctx.metrics.counter('orders_total');
      ctx.metrics.counter('orders_total', 2, { region: 'eu' });
      await ctx.waitForEvent('go');
      ctx.metrics.histogram('order_value', 1.5, { big: String(false) });
      ctx.metrics.gauge('open:orders', -3);
      ctx.metrics.counter('orders_total', 0);
    });
    expect(instance.last.effects?.metrics).toEqual([
      { kind: 'counter', name: 'orders_total', value: 1, labels: {} },
      { kind: 'counter', name: 'orders_total', value: 2, labels: { region: 'eu' } },
    ]);
    await instance.deliver(eventRaised('go'));
    expect(instance.last.effects?.metrics).toEqual([
      { kind: 'histogram', name: 'order_value', value: 1.5, labels: { big: 'false' } },
      { kind: 'gauge', name: 'open:orders', value: -3, labels: {} },
      { kind: 'counter', name: 'orders_total', value: 0, labels: {} },
    ]);
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.effects).toBeNull();
  });

  it('are no event', async () => {
    const { result } = await replay((ctx) => (ctx.metrics.gauge('g', 1), ctx.waitForEvent('e')), [started(), eventAwaited('e')]);
    expect(result.outcome).toEqual({ kind: 'waiting' });
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => void]>([
    ['a counter that falls', (ctx) => ctx.metrics.counter('c', -1)],
    ['NaN', (ctx) => ctx.metrics.gauge('g', Number.NaN)],
    ['infinity', (ctx) => ctx.metrics.histogram('h', Number.POSITIVE_INFINITY)],
    ['a value that is no number', (ctx) => ctx.metrics.gauge('g', '5' as unknown as number)],
    ['a bad name', (ctx) => ctx.metrics.gauge('a-b', 1)],
    ['an empty name', (ctx) => ctx.metrics.gauge('', 1)],
    ['a name that begins with a digit', (ctx) => ctx.metrics.gauge('1a', 1)],
  ])('refuse %s', async (_, measure) => {
    const instance = await begin((ctx) => measure(ctx));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});
