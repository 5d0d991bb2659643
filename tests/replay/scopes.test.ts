// Cancellation scopes: ctx.scope, ctx.shield and ctx.withTimeout, what reaches them and what does not (X1, X2).
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
  completed,
  continuedAsNew,
  DRAINS,
  eventAwaited,
  eventRaised,
  failed,
  faultOf,
  futureCancelled,
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

/** Settles in words. */
const outcome = (future: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(future).then(
    (value) => ['resolved', value ?? null],
    (error: Error) => ['rejected', error.name, error.message],
  );
const GIVEN_UP = ['rejected', 'CancelledError', 'the durable future was cancelled'];
const SCOPE_GONE = ['rejected', 'CancelledError', 'the scope was cancelled'];
const ASKED = ['rejected', 'CancelledError', "orchestration 'test' was asked to cancel: enough"];

describe('code that runs in no scope of its instance', () => {
  /** Reactions that are registered here run outside of every instance, although an instance causes them. */
  const outsider = (): { readonly wake: () => void; readonly woken: Promise<void> } => {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    return { wake, woken };
  };

  it('of nobody belongs to the orchestration as a whole', async () => {
    const { wake, woken } = outsider();
    let call = (): void => undefined;
    void woken.then(() => call());
    const instance = await begin(
      async (ctx) => {
        call = () => void ctx.scheduleActivity('from outside');
        const scope = ctx.scope(async () => {
          wake();
          await ctx.waitForEvent('never');
        });
        await ctx.waitForEvent('go');
        scope.cancel();
        await ctx.waitForEvent('end');
      },
      { coldCheck: false },
    );
    await instance.deliver(eventRaised('go'));
    // Not 4, which nobody's scope has asked for.
    expect(instance.bodies.slice(1, 4)).toEqual([eventAwaited('never'), eventAwaited('go'), activityScheduled('from outside')]);
    expect(instance.lastBodies).toEqual([eventRaised('go'), futureCancelled(2), eventAwaited('end')]);
  });

  it('of another instance does as well', async () => {
    const { wake, woken } = outsider();
    let call = (): void => undefined;
    await begin(
      async (ctx) => {
        await ctx.scope(async () => {
          void woken.then(() => call());
          await ctx.waitForEvent('never');
        });
      },
      { coldCheck: false, instanceId: 'other' },
    );
    const instance = await begin(
      async (ctx) => {
        call = () => void ctx.scheduleActivity('from the other');
        const scope = ctx.scope(() => ctx.waitForEvent('never'));
        wake();
        await ctx.waitForEvent('go');
        scope.cancel();
        await ctx.waitForEvent('end');
      },
      { coldCheck: false },
    );
    await instance.deliver(eventRaised('go'));
    expect(instance.bodies).toContainEqual(activityScheduled('from the other'));
    expect(instance.lastBodies).toEqual([eventRaised('go'), futureCancelled(2), eventAwaited('end')]);
  });
});

describe.each(DRAINS)('ctx.scope (drain: %s)', (drain) => {
  it('is no event, and gives the result of its code', async () => {
    const instance = await begin((ctx) => ctx.scope(async () => `${await ctx.scheduleActivity<string>('a')}!`), { drain });
    await instance.deliver(activityCompleted(2, 'done'));
    expect(instance.bodies).toEqual([started(), activityScheduled('a'), activityCompleted(2, 'done'), completed('done!')]);
  });

  it('gives the error of its code, also one thrown at once', async () => {
    const instance = await begin(
      async (ctx) => [
        await outcome(ctx.scope(() => Promise.reject(new TypeError('late')))),
        await outcome(
          ctx.scope(() => {
            throw new RangeError('at once');
          }),
        ),
        await outcome(ctx.scope(() => 5)),
        await outcome(ctx.scope(() => undefined)),
      ],
      { drain },
    );
    expect(instance.result).toEqual([
      ['rejected', 'TypeError', 'late'],
      ['rejected', 'RangeError', 'at once'],
      ['resolved', 5],
      ['resolved', null],
    ]);
  });

  it('cancelled by its handle cancels what its code waits for, and nothing else', async () => {
    const instance = await begin(
      async (ctx) => {
        const outside = ctx.scheduleActivity('outside');
        const inside: unknown[] = [];
        const scope = ctx.scope(async () => {
          inside.push(...(await Promise.all([ctx.scheduleActivity('a'), ctx.scheduleTimer(5), ctx.waitForEvent('e')].map(outcome))));
        });
        await ctx.waitForEvent('stop');
        scope.cancel();
        return [await outcome(scope), inside, await outside];
      },
      { drain },
    );
    await instance.deliver(eventRaised('stop'));
    expect(instance.lastBodies).toEqual([eventRaised('stop'), ...[3, 4, 5].map(futureCancelled)]);
    expect(instance.last).toMatchObject({ cancelledActivities: [3], cancelledTimers: [4] });
    await instance.deliver(activityCompleted(2, 'kept'));
    expect(instance.result).toEqual([GIVEN_UP, [SCOPE_GONE, SCOPE_GONE, SCOPE_GONE], 'kept']);
  });

  it('that is cancelled refuses what its code asks for later, without an event', async () => {
    const instance = await begin(
      async (ctx) => {
        const later: unknown[] = [];
        const scope = ctx.scope(async () => {
          await outcome(ctx.scheduleTimer(5));
          for (const ask of [
            () => ctx.scheduleActivity('a'),
            () => ctx.scheduleTimer(1),
            () => ctx.waitForEvent('e'),
            () => ctx.scheduleSubOrchestration('c'),
            () => ctx.continueAsNew(),
            () => ctx.scheduleActivity('r', 1, { retry: {}, timeoutMs: 5 }),
            () => ctx.getValueFromInstance('i2', 'k'),
          ]) {
            later.push(await outcome(ask()));
          }
          ctx.setCustomStatus('still');
          ctx.startOrchestration('d', 'd1');
        });
        scope.cancel();
        await ctx.scheduleTimer(1);
        return later;
      },
      { drain },
    );
    expect(instance.bodies).toEqual([
      started(),
      timerCreated(T0 + 5),
      futureCancelled(2),
      timerCreated(T0 + 1),
      statusSet('still'),
      startRequested('d', 'd1'),
    ]);
    await instance.deliver(timerFired(4));
    expect(instance.result).toEqual(Array.from({ length: 7 }, () => SCOPE_GONE));
  });

  it('reaches helpers that its code does not await', async () => {
    const instance = await begin(
      async (ctx) => {
        const scope = ctx.scope(async () => {
          void (async (): Promise<void> => {
            await ctx.scheduleTimer(5);
            await ctx.scheduleTimer(6);
          })();
          await ctx.scheduleActivity('a');
        });
        await ctx.waitForEvent('stop');
        scope.cancel();
        await ctx.waitForEvent('never');
      },
      { drain },
    );
    await instance.deliver(eventRaised('stop'));
    expect(instance.lastBodies).toEqual([eventRaised('stop'), futureCancelled(2), futureCancelled(3), eventAwaited('never')]);
  });

  it('nests: a cancellation goes down, not up', async () => {
    const instance = await begin(
      async (ctx) => {
        const log: unknown[] = [];
        const note = async (name: string, future: PromiseLike<unknown>): Promise<void> => {
          log.push([name, ...((await outcome(future)) as unknown[])]);
        };
        let inner: { cancel(): void } | null = null;
        const outer = ctx.scope(async () => {
          const below = ctx.scope(() => note('inner', ctx.scheduleTimer(1)));
          inner = below;
          await Promise.all(
            [below, note('outer', ctx.scheduleTimer(2)), ctx.scope(() => note('sibling', ctx.scheduleTimer(3)))].map(outcome),
          );
        });
        await ctx.waitForEvent('inner');
        (inner as { cancel(): void } | null)?.cancel();
        await ctx.waitForEvent('outer');
        outer.cancel();
        await outcome(outer);
        return log;
      },
      { drain },
    );
    await instance.deliver(eventRaised('inner'));
    expect(instance.lastBodies).toEqual([eventRaised('inner'), futureCancelled(2), eventAwaited('outer')]);
    await instance.deliver(eventRaised('outer'));
    expect(instance.lastBodies.slice(0, 3)).toEqual([eventRaised('outer'), futureCancelled(3), futureCancelled(4)]);
    expect(instance.result).toEqual([
      ['inner', ...SCOPE_GONE],
      ['outer', ...SCOPE_GONE],
      ['sibling', ...SCOPE_GONE],
    ]);
  });

  it('is over when its code is: a handle that is cancelled later cancels nothing', async () => {
    const instance = await begin(
      async (ctx) => {
        const scope = ctx.scope(() => {
          void ctx.scheduleActivity('goes on');
          return 'early';
        });
        const value = await scope;
        scope.cancel();
        await ctx.waitForEvent('end');
        return value;
      },
      { drain },
    );
    await instance.deliver(eventRaised('end'));
    expect(instance.lastBodies).toEqual([eventRaised('end'), futureCancelled(2), completed('early')]);
  });

  it('is cancelled at once and once', async () => {
    const instance = await begin(
      async (ctx) => {
        const scope = ctx.scope(() => ctx.scheduleActivity('a'));
        scope.cancel();
        scope.cancel();
        return await outcome(scope);
      },
      { drain },
    );
    expect(instance.bodies).toEqual([started(), activityScheduled('a'), futureCancelled(2), completed(GIVEN_UP)]);
  });

  it('takes its name from the code that asks, not from the code that settles it', async () => {
    const instance = await begin(
      async (ctx) => {
        const shared = ctx.scheduleTimer(1);
        const inside = ctx.scope(async () => {
          await shared;
          await ctx.scheduleActivity('inside');
        });
        const outside = (async (): Promise<void> => {
          await shared;
          await ctx.scheduleActivity('outside');
        })();
        await ctx.waitForEvent('stop');
        inside.cancel();
        await outside;
      },
      { drain },
    );
    await instance.deliver(timerFired(2), eventRaised('stop'));
    expect(instance.lastBodies).toEqual([
      timerFired(2),
      activityScheduled('inside'),
      activityScheduled('outside'),
      eventRaised('stop'),
      futureCancelled(5),
    ]);
  });

  it('waits with a future from outside, which its cancellation leaves alone', async () => {
    const instance = await begin(
      async (ctx) => {
        const shared = ctx.scheduleActivity('shared');
        const scope = ctx.scope(async () => shared);
        scope.cancel();
        return [await outcome(scope), await shared];
      },
      { drain },
    );
    expect(instance.bodies).toEqual([started(), activityScheduled('shared')]);
    await instance.deliver(activityCompleted(2, 'kept'));
    expect(instance.result).toEqual([GIVEN_UP, 'kept']);
  });

  it('takes its combinators and retries with it', async () => {
    const instance = await begin(
      async (ctx) => {
        const scope = ctx.scope(() =>
          ctx.all([
            ctx.race([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)]),
            ctx.scheduleActivity('r', 1, { retry: { initialIntervalMs: 100 }, timeoutMs: 9_000 }),
            ctx.any([ctx.scheduleTimer(6)]),
          ]),
        );
        await ctx.waitForEvent('stop');
        scope.cancel();
        return await outcome(scope);
      },
      { drain },
    );
    expect(instance.bodies.slice(1)).toEqual([
      activityScheduled('a'),
      timerCreated(T0 + 5),
      activityScheduled('r', 1),
      timerCreated(T0 + 9_000),
      timerCreated(T0 + 6),
      eventAwaited('stop'),
    ]);
    await instance.deliver(activityFailed(4), eventRaised('stop'));
    expect(instance.lastBodies.slice(0, 3)).toEqual([activityFailed(4), timerCreated(T0 + 100), eventRaised('stop')]);
    const given = instance.lastBodies.slice(3, -1);
    expect(given.map(({ kind }) => kind)).toEqual(Array.from({ length: 5 }, () => 'FutureCancelled'));
    expect(given.map(({ ['sourceId']: sourceId }) => sourceId as number).toSorted((left, right) => left - right)).toEqual([2, 3, 5, 6, 9]);
    expect(instance.result).toEqual(GIVEN_UP);
  });

  it('that loses a race is cancelled with all that it waits for', async () => {
    const instance = await begin(
      (ctx) =>
        ctx.race({
          work: ctx.scope(async () => {
            await ctx.scheduleActivity('a');
            await ctx.scheduleActivity('b');
          }),
          late: ctx.scheduleTimer(5),
        }),
      { drain },
    );
    await instance.deliver(activityCompleted(2), timerFired(3));
    expect(instance.lastBodies).toEqual([
      activityCompleted(2),
      activityScheduled('b'),
      timerFired(3),
      futureCancelled(5),
      completed({ key: 'late' }),
    ]);
  });

  it('that wins a race by several steps cancels the losers', async () => {
    const instance = await begin(
      (ctx) => ctx.race({ work: ctx.scope(async () => `${await ctx.scheduleActivity<string>('a')}!`), late: ctx.scheduleTimer(5) }),
      { drain },
    );
    await instance.deliver(activityCompleted(2, 'A'));
    expect(instance.lastBodies).toEqual([activityCompleted(2, 'A'), futureCancelled(3), completed({ key: 'work', value: 'A!' })]);
  });

  it('keeps losers of a race inside it to the race', async () => {
    const instance = await begin(
      (ctx) =>
        ctx.scope(async () => [
          (await ctx.race({ a: ctx.scheduleTimer(1), b: ctx.scheduleTimer(2) })).key,
          await ctx.scheduleActivity('then'),
        ]),
      { drain },
    );
    await instance.deliver(timerFired(3), activityCompleted(6, 'x'));
    expect(instance.lastBodies).toEqual([
      timerFired(3),
      futureCancelled(2),
      activityScheduled('then'),
      activityCompleted(6, 'x'),
      completed(['b', 'x']),
    ]);
  });

  it('in all is cancelled when another member fails', async () => {
    const instance = await begin(async (ctx) => outcome(ctx.all([ctx.scope(() => ctx.scheduleTimer(5)), ctx.scheduleActivity('a')])), {
      drain,
    });
    await instance.deliver(activityFailed(3, 'broken'));
    expect(instance.lastBodies).toEqual([activityFailed(3, 'broken'), futureCancelled(2), completed(['rejected', 'Error', 'broken'])]);
  });

  it('goes with continue-as-new: the next execution knows nothing of it', async () => {
    const instance = await begin(
      async (ctx, input) => {
        if (input === 'next') return ctx.scheduleActivity('fresh');
        const scope = ctx.scope(() => ctx.scheduleTimer(5));
        scope.cancel();
        return ctx.scope(() => ctx.continueAsNew('next'));
      },
      { drain },
    );
    expect(instance.bodies.slice(1)).toEqual([timerCreated(T0 + 5), futureCancelled(2), continuedAsNew('next')]);
    const next = await beginNext(instance);
    expect(next.lastBodies.at(-1)).toEqual(activityScheduled('fresh'));
  });

  it('whose failure nobody awaits is ignored, as that of every durable future', async () => {
    const instance = await begin(
      async (ctx) => {
        void ctx.scope(() => Promise.reject(new Error('ignored')));
        return await ctx.scheduleActivity('a');
      },
      { drain },
    );
    await instance.deliver(activityCompleted(2, 'fine'));
    expect(instance.result).toBe('fine');
  });

  it('whose cancellation nobody catches fails the orchestration, which nobody asked to cancel', async () => {
    const instance = await begin(
      async (ctx) => {
        const scope = ctx.scope(() => ctx.scheduleActivity('a'));
        scope.cancel();
        await scope;
      },
      { drain },
    );
    expect(instance.failure).toMatchObject({ name: 'CancelledError', code: 'CANCELLED' });
    expect(instance.last.outcome.kind).toBe('failed');
  });
});

describe('ctx.scope', () => {
  it.each<readonly [string, (ctx: OrchestrationContext, run: () => unknown) => unknown]>([
    ['scope', (ctx, run) => ctx.scope(run)],
    ['shield', (ctx, run) => ctx.shield(run)],
    ['withTimeout', (ctx, run) => ctx.withTimeout(5, run)],
  ])('and its kin refuse what is no function: ctx.%s', async (name, call) => {
    const instance = await begin((ctx) => call(ctx, 'code' as unknown as () => unknown));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID', message: `Expected ctx.${name} to get a function, got 'code'` });
    expect(instance.events).toHaveLength(2);
  });

  it('that waits for nothing durable is stuck', async () => {
    const instance = await begin((ctx) => ctx.scope(() => new Promise<never>(() => undefined)));
    expect(instance.failure).toMatchObject({ code: 'ORCHESTRATION_STUCK', message: expect.stringContaining('ctx.scope()') as string });
  });

  it.each<readonly [string, Handler]>([
    ['the scope is cancelled no more', (ctx) => ctx.scope(async () => outcome(ctx.scheduleActivity('a')))],
    [
      'something else is in the scope',
      async (ctx) => {
        const other = ctx.scheduleActivity('a');
        const scope = ctx.scope(() => ctx.scheduleTimer(1));
        scope.cancel();
        await other;
      },
    ],
    [
      'the code in it is shielded',
      async (ctx) => {
        const scope = ctx.shield(async () => ctx.scope(async () => ctx.shield(() => ctx.scheduleActivity('a'))));
        await ctx.scope(() => undefined);
        scope.cancel();
        await ctx.waitForEvent('e');
      },
    ],
  ])('is part of what replay checks: %s', async (_, handler) => {
    const old = await begin(async (ctx) => {
      const scope = ctx.scope(() => ctx.scheduleActivity('a'));
      scope.cancel();
      await ctx.waitForEvent('e');
    });
    const { result } = await replayCold([orchestration('test', handler)], old.events);
    expect(faultOf(result).code).toBe('NONDETERMINISM');
  });

  it('of one instance is not that of another on the same thread', async () => {
    const cancelling: Handler = async (ctx) => {
      const scope = ctx.scope(() => ctx.scheduleTimer(5));
      scope.cancel();
      await ctx.waitForEvent('e');
    };
    const [first, second] = await Promise.all([
      begin(cancelling),
      begin((ctx) => ctx.scope(() => ctx.scheduleActivity('a')), { instanceId: 'i2' }),
    ]);
    expect(first.bodies.at(-1)).toEqual(eventAwaited('e'));
    expect(second.last.outcome.kind).toBe('waiting');
  });
});

describe('ctx.shield', () => {
  it('is not reached by a cancel request; the instance ends cancelled after it', async () => {
    const instance = await begin(async (ctx) => {
      try {
        await ctx.scheduleActivity('work');
      } catch {
        await ctx.shield(async () => {
          await ctx.scheduleActivity('undo');
          await ctx.scheduleTimer(5);
        });
      }
      return 'tidy';
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), activityScheduled('undo')]);
    expect(instance.last.outcome.kind).toBe('waiting');
    await instance.deliver(activityCompleted(5));
    await instance.deliver(timerFired(7));
    expect(instance.lastBodies).toEqual([timerFired(7), cancelled()]);
  });

  it('that runs when the request comes goes on, while the rest is cancelled', async () => {
    const instance = await begin((ctx) =>
      Promise.all([
        ctx.scheduleActivity('outside').catch(() => 'gone'),
        ctx.shield(async () => [await ctx.scheduleActivity('first'), ctx.isCancellationRequested, await ctx.scheduleActivity('second')]),
      ]),
    );
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2)]);
    await instance.deliver(activityCompleted(3, 1));
    expect(instance.lastBodies).toEqual([activityCompleted(3, 1), activityScheduled('second')]);
    await instance.deliver(activityCompleted(7, 2));
    expect(instance.lastBodies).toEqual([activityCompleted(7, 2), cancelled()]);
  });

  it('shields scopes, timeouts, retries and combinators in it', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(1).catch(() => undefined);
      await ctx.shield(() =>
        ctx.scope(() =>
          ctx.withTimeout(5_000, () =>
            ctx.race([ctx.scheduleActivity('undo', 1, { retry: { initialIntervalMs: 100 } }), ctx.waitForEvent('skip')]),
          ),
        ),
      );
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([
      cancelRequested(),
      futureCancelled(2),
      timerCreated(T0 + 5_000),
      activityScheduled('undo', 1),
      eventAwaited('skip'),
    ]);
    await instance.deliver(activityFailed(6), timerFired(9), activityCompleted(11));
    expect(instance.lastBodies.slice(-4)).toEqual([activityCompleted(11), futureCancelled(7), futureCancelled(5), cancelled()]);
  });

  it('can be cancelled by its own handle', async () => {
    const instance = await begin(async (ctx) => {
      const shield = ctx.shield(async () => {
        await ctx.scheduleTimer(5);
      });
      await ctx.waitForEvent('stop');
      shield.cancel();
      return await outcome(shield);
    });
    await instance.deliver(eventRaised('stop'));
    expect(instance.lastBodies).toEqual([eventRaised('stop'), futureCancelled(2), completed(GIVEN_UP)]);
  });

  it('is not reached by the cancellation of a scope around it', async () => {
    const instance = await begin(async (ctx) => {
      let cleaned: unknown = 'no';
      const scope = ctx.scope(async () => {
        const [gone] = await Promise.all([
          outcome(ctx.scheduleTimer(5)),
          ctx.shield(async () => {
            cleaned = await ctx.scheduleActivity('clean');
          }),
        ]);
        return gone;
      });
      await ctx.waitForEvent('stop');
      scope.cancel();
      const end = await outcome(scope);
      await ctx.waitForEvent('end');
      return [end, cleaned];
    });
    await instance.deliver(eventRaised('stop'));
    expect(instance.lastBodies).toEqual([eventRaised('stop'), futureCancelled(2), eventAwaited('end')]);
    await instance.deliver(activityCompleted(3, 'yes'), eventRaised('end'));
    expect(instance.result).toEqual([GIVEN_UP, 'yes']);
  });

  it('is not reached by the end of a withTimeout around it, but by the end of the orchestration', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.withTimeout(5, () => ctx.shield(() => ctx.scheduleActivity('slow'))).catch(() => undefined);
      await ctx.waitForEvent('end');
    });
    await instance.deliver(timerFired(2));
    expect(instance.lastBodies).toEqual([timerFired(2), eventAwaited('end')]);
    await instance.deliver(eventRaised('end'));
    expect(instance.lastBodies).toEqual([eventRaised('end'), futureCancelled(3), completed()]);
  });

  it('ends the orchestration failed when its code fails', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => ctx.shield(() => ctx.scheduleActivity('undo')));
    });
    await instance.deliver(cancelRequested());
    await instance.deliver(activityFailed(5, 'clean-up broke'));
    expect(instance.lastBodies).toEqual([activityFailed(5, 'clean-up broke'), failed('clean-up broke')]);
  });

  it('does not let an instance that was asked to cancel go on as new', async () => {
    // The request would be lost: the next execution knows nothing of it.
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      await ctx.shield(() => ctx.continueAsNew('on and on'));
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), cancelled()]);
  });

  it.each(['all', 'race'] as const)('is not given up by ctx.%s when another member is cancelled', async (kind) => {
    const instance = await begin(async (ctx) => {
      const cleaned = ctx.shield(async () => `cleaned up: ${await ctx.scheduleActivity<string>('clean')}`);
      await outcome(ctx[kind]([cleaned, ctx.waitForEvent('never')]));
      ctx.setCustomStatus(await cleaned);
    });
    await instance.deliver(cancelRequested('enough'));
    expect(instance.last.cancelledActivities).toEqual([]);
    await instance.deliver(activityCompleted(2, 'all'));
    expect(instance.last).toMatchObject({ customStatus: '"cleaned up: all"', outcome: { kind: 'cancelled' } });
  });

  it('runs the code of a generator', async () => {
    const instance = await begin((ctx) =>
      ctx.shield(function* () {
        const result: unknown = yield ctx.scheduleActivity('a');
        return ['got', result];
      }),
    );
    await instance.deliver(activityCompleted(2, 1));
    expect(instance.result).toEqual(['got', 1]);
  });

  it('takes no second request to cancel', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => ctx.shield(() => ctx.scheduleActivity('undo')));
    });
    await instance.deliver(cancelRequested());
    await instance.deliver(cancelRequested('now really'));
    expect(instance.last).toMatchObject({ events: '[]', outcome: { kind: 'waiting' } });
  });

  it('may start what the rest may not, buffered events included', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(5).catch(() => undefined);
      ctx.setCustomStatus(await Promise.all([outcome(ctx.waitForEvent('e')), ctx.shield(() => outcome(ctx.waitForEvent('e')))]));
    });
    await instance.deliver(eventRaised('e', 1), cancelRequested());
    expect(instance.lastBodies.slice(3)).toEqual([eventAwaited('e'), statusSet([ASKED, ['resolved', 1]]), cancelled()]);
  });
});

describe.each(DRAINS)('ctx.withTimeout (drain: %s)', (drain) => {
  it('gives the result that comes in time, and gives up its timer', async () => {
    const instance = await begin((ctx) => ctx.withTimeout('5s', async () => `${await ctx.scheduleActivity<string>('a')}!`), { drain });
    expect(instance.bodies.slice(1)).toEqual([timerCreated(T0 + 5_000), activityScheduled('a')]);
    await instance.deliver(activityCompleted(3, 'done'));
    expect(instance.lastBodies).toEqual([activityCompleted(3, 'done'), futureCancelled(2), completed('done!')]);
    expect(instance.last.cancelledTimers).toEqual([2]);
  });

  it('gives up its timer when the code fails in time', async () => {
    const instance = await begin((ctx) => ctx.withTimeout(5_000, () => ctx.scheduleActivity('a')), { drain });
    await instance.deliver(activityFailed(3, 'broken'));
    expect(instance.lastBodies).toEqual([activityFailed(3, 'broken'), futureCancelled(2), failed('broken')]);
  });

  it('rejects with TIMEOUT when the time is up, and cancels what the code waits for', async () => {
    const instance = await begin(
      async (ctx) => {
        const log: unknown[] = [];
        const error: unknown = await ctx
          .withTimeout(5_000, async () => {
            log.push(await outcome(ctx.scheduleActivity('a')), await outcome(ctx.scheduleActivity('b')));
          })
          .catch((thrown: unknown) => thrown);
        await ctx.scheduleTimer(0);
        const { name, code, message } = error as { readonly name: string; readonly code: string; readonly message: string };
        return [name, code, message, log];
      },
      { drain },
    );
    await instance.deliver(timerFired(2));
    expect(instance.lastBodies.slice(0, 2)).toEqual([timerFired(2), futureCancelled(3)]);
    await instance.deliver(timerFired(6));
    const gone = ['rejected', 'CancelledError', 'the scope took longer than 5000 ms'];
    expect(instance.result).toEqual([
      'TimeoutError',
      'TIMEOUT',
      "a scope of orchestration 'test' (instance 'i1') took longer than 5000 ms",
      [gone, gone],
    ]);
  });

  it('decides by history order when both come in one turn', async () => {
    const handler: Handler = (ctx) =>
      outcome(ctx.withTimeout(5_000, () => ctx.scheduleActivity('a'))).then((settled) => (settled as [string])[0]);
    const late = await begin(handler, { drain });
    await late.deliver(timerFired(2), activityCompleted(3));
    expect(late.result).toBe('rejected');
    const early = await begin(handler, { drain });
    await early.deliver(activityCompleted(3), timerFired(2));
    expect(early.result).toBe('resolved');
  });

  it('that is uncaught fails the orchestration', async () => {
    const instance = await begin((ctx) => ctx.withTimeout(5, () => ctx.waitForEvent('e')), { drain });
    await instance.deliver(timerFired(2));
    expect(instance.failure).toMatchObject({ name: 'TimeoutError', code: 'TIMEOUT' });
    expect(instance.bodies.slice(-3, -1)).toEqual([timerFired(2), futureCancelled(3)]);
  });

  it('nests: the shorter one ends alone', async () => {
    const instance = await begin(
      (ctx) =>
        ctx.withTimeout(9_000, async () => [
          await outcome(ctx.withTimeout(1_000, () => ctx.scheduleActivity('a'))).then((settled) => (settled as [string])[0]),
          await ctx.scheduleActivity('b'),
        ]),
      { drain },
    );
    await instance.deliver(timerFired(3));
    expect(instance.lastBodies).toEqual([timerFired(3), futureCancelled(4), activityScheduled('b')]);
    await instance.deliver(activityCompleted(7, 'B'));
    expect(instance.lastBodies.slice(1)).toEqual([futureCancelled(2), completed(['rejected', 'B'])]);
  });

  it('nests: the longer one ends both, each with its own timer', async () => {
    const instance = await begin(
      async (ctx) => outcome(ctx.withTimeout(1_000, () => ctx.withTimeout(9_000, () => ctx.scheduleActivity('a')))),
      { drain },
    );
    await instance.deliver(timerFired(2));
    expect(instance.lastBodies.slice(0, 3)).toEqual([timerFired(2), futureCancelled(3), futureCancelled(4)]);
    expect((instance.result as [string])[0]).toBe('rejected');
  });

  it('cancelled by its handle gives up code and timer', async () => {
    const instance = await begin(
      async (ctx) => {
        const limited = ctx.withTimeout(5_000, () => ctx.scheduleActivity('a'));
        limited.cancel();
        return await outcome(limited);
      },
      { drain },
    );
    expect(instance.bodies.slice(1)).toEqual([
      timerCreated(T0 + 5_000),
      activityScheduled('a'),
      futureCancelled(3),
      futureCancelled(2),
      completed(GIVEN_UP),
    ]);
  });

  it('is cancelled with the orchestration, not timed out', async () => {
    const instance = await begin(async (ctx) => outcome(ctx.withTimeout(5_000, () => ctx.scheduleActivity('a'))), { drain });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), futureCancelled(3), cancelled()]);
  });

  it('loses a race like any future', async () => {
    const instance = await begin(
      (ctx) => ctx.race({ limited: ctx.withTimeout(5_000, () => ctx.scheduleActivity('a')), stop: ctx.waitForEvent('stop') }),
      { drain },
    );
    await instance.deliver(eventRaised('stop', 1));
    expect(instance.lastBodies).toEqual([
      eventRaised('stop', 1),
      futureCancelled(3),
      futureCancelled(2),
      completed({ key: 'stop', value: 1 }),
    ]);
  });

  it('of code that is done at once takes its timer back at once', async () => {
    const instance = await begin((ctx) => ctx.withTimeout(5_000, () => 7), { drain });
    expect(instance.bodies).toEqual([started(), timerCreated(T0 + 5_000), futureCancelled(2), completed(7)]);
  });

  it('lets code that ignores its end go on, without events', async () => {
    const instance = await begin(
      async (ctx) => {
        let rounds = 0;
        const limited = ctx.withTimeout(5, async () => {
          for (; rounds < 3; rounds += 1) await outcome(ctx.waitForEvent('e'));
        });
        await outcome(limited);
        await ctx.waitForEvent('end');
        return rounds;
      },
      { drain },
    );
    await instance.deliver(timerFired(2));
    expect(instance.lastBodies).toEqual([timerFired(2), futureCancelled(3), eventAwaited('end')]);
    await instance.deliver(eventRaised('end'));
    expect(instance.result).toBe(3);
  });

  it('ends with continue-as-new inside it', async () => {
    const instance = await begin((ctx) => ctx.withTimeout(5_000, () => ctx.continueAsNew(1)), { drain });
    expect(instance.bodies.slice(1)).toEqual([timerCreated(T0 + 5_000), futureCancelled(2), continuedAsNew(1)]);
  });

  it.each(['-1', '5 s', ''])('refuses the limit "%s" before anything is asked for', async (limit) => {
    const instance = await begin((ctx) => ctx.withTimeout(limit as '5s', () => ctx.scheduleActivity('a')), { drain });
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect(instance.events).toHaveLength(2);
  });
});
