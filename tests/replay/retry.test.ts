// Retries and timeouts of activities: pauses, attempts in history, what is never retried, what one attempt leaves to the next (R1–R3; T34).
import { describe, expect, it } from 'vitest';
import { computePauseMs, resolveRetryPolicy } from '../../src/replay/retry.ts';
import type { ActivityOptions, RetryPolicy } from '../../src/types/context.ts';
import { ArgumentError } from '../../src/types/errors.ts';
import type { Failure, RemoteError } from '../../src/types/failure.ts';
import { MAX_DURATION_MS } from '../../src/types/limits.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  beginNext,
  cancelled,
  cancelRequested,
  completed,
  eventAwaited,
  eventRaised,
  failed,
  faultOf,
  futureCancelled,
  orchestration,
  replayCold,
  started,
  statusSet,
  T0,
  timerCreated,
  timerFired,
  type Body,
  type Handler,
  type TestInstance,
} from '../support/replay-harness.ts';

const noChance = (): number => {
  throw new Error('a policy without jitter asks for no random number');
};
const pause = (policy: RetryPolicy, attempt: number): number => computePauseMs(resolveRetryPolicy(policy), attempt, noChance);

/** An orchestration that is one activity. */
const charging =
  (options: ActivityOptions): Handler =>
  (ctx) =>
    ctx.scheduleActivity('charge', 7, options);
const attempt = (number: number): Body => activityScheduled('charge', 7, number === 1 ? {} : { attempt: number });

/** What the work item of the last turn's attempt tells the activity thread. */
function extrasOf({ last }: TestInstance): unknown {
  const extras = last.activities.at(-1)?.routing?.extras ?? null;
  return extras === null ? null : (JSON.parse(extras) as unknown);
}

describe('the pause after an attempt', () => {
  it.each<readonly [string, RetryPolicy, readonly number[]]>([
    ['by default is exponential', {}, [100, 200, 400, 800]],
    ['none', { backoff: 'none', initialIntervalMs: 500 }, [0, 0, 0]],
    ['fixed', { backoff: 'fixed', initialIntervalMs: 250 }, [250, 250, 250]],
    ['fixed over the maximum', { backoff: 'fixed', initialIntervalMs: 250, maximumIntervalMs: 99 }, [99, 99]],
    ['linear', { backoff: 'linear', initialIntervalMs: 30 }, [30, 60, 90, 120]],
    ['linear over the maximum', { backoff: 'linear', initialIntervalMs: 30, maximumIntervalMs: 70 }, [30, 60, 70, 70]],
    ['exponential', { initialIntervalMs: 10, backoffCoefficient: 3 }, [10, 30, 90, 270]],
    ['exponential over the maximum', { initialIntervalMs: 10_000 }, [10_000, 20_000, 30_000, 30_000]],
    ['exponential with coefficient 1', { initialIntervalMs: 10, backoffCoefficient: 1 }, [10, 10, 10]],
    ['of a fraction, rounded up', { backoff: 'fixed', initialIntervalMs: 0.1 }, [1, 1]],
    ['exponential of a fraction, rounded up', { initialIntervalMs: 1, backoffCoefficient: 1.5 }, [1, 2, 3, 4]],
    ['linear from zero', { backoff: 'linear', initialIntervalMs: 0 }, [0, 0]],
    ['exponential from zero', { initialIntervalMs: 0 }, [0, 0]],
    ['with a maximum of zero', { maximumIntervalMs: 0 }, [0, 0]],
  ])('%s', (_, policy, pauses) => {
    expect(pauses.map((__, index) => pause(policy, index + 1))).toEqual(pauses);
  });

  it.each<readonly [string, RetryPolicy, number]>([
    ['exponential', { maximumIntervalMs: 5_000 }, 5_000],
    ['exponential with the largest coefficient', { backoffCoefficient: 1_000_000, maximumIntervalMs: MAX_DURATION_MS }, MAX_DURATION_MS],
    ['exponential from zero', { initialIntervalMs: 0, backoffCoefficient: 1_000_000 }, 0],
    ['linear', { backoff: 'linear', initialIntervalMs: MAX_DURATION_MS, maximumIntervalMs: MAX_DURATION_MS }, MAX_DURATION_MS],
  ])('%s stays within its maximum for a million attempts', (_, policy, expected) => {
    expect(pause(policy, 1_000_000)).toBe(expected);
  });

  it.each([
    [0, 0.5, 0.999, 0, 100],
    [0.2, 0, 0, 0, 100],
    [0.2, 0.5, 0, 0, 90],
    [0.2, 0.999_999, 0, 0, 81],
    [1, 0, 0, 0, 100],
    [1, 0.5, 0, 0, 50],
    [1, 0.999_999, 0, 0, 1],
  ])('with jitter %d and the number %d is shortened, never to nothing', (jitter, random, _, __, expected) => {
    expect(computePauseMs(resolveRetryPolicy({ jitter }), 1, () => random)).toBe(expected);
  });
});

describe('a retry policy', () => {
  it('is one attempt when there is none', () => {
    expect(resolveRetryPolicy(undefined).maximumAttempts).toBe(1);
  });

  it('has defaults for what it leaves out', () => {
    expect(resolveRetryPolicy({})).toEqual({
      maximumAttempts: 3,
      backoff: 'exponential',
      initialIntervalMs: 100,
      backoffCoefficient: 2,
      maximumIntervalMs: 30_000,
      jitter: 0,
      nonRetryable: [],
    });
  });

  it.each<readonly [string, object, RegExp]>([
    ['no attempts', { maximumAttempts: 0 }, /maximumAttempts to be a number from 1 to 1000000, got 0/],
    ['half an attempt', { maximumAttempts: 1.5 }, /maximumAttempts to be a whole number/],
    ['endless attempts', { maximumAttempts: Number.POSITIVE_INFINITY }, /maximumAttempts/],
    ['attempts that are text', { maximumAttempts: '3' }, /maximumAttempts .* got '3'/],
    ['an unknown backoff', { backoff: 'quadratic' }, /retry\.backoff to be .* got 'quadratic'/],
    ['a backoff of Object.prototype', { backoff: 'toString' }, /retry\.backoff/],
    ['a negative pause', { initialIntervalMs: -1 }, /initialIntervalMs/],
    ['a pause that is no number', { initialIntervalMs: Number.NaN }, /initialIntervalMs .* got NaN/],
    ['an endless maximum', { maximumIntervalMs: Number.POSITIVE_INFINITY }, /maximumIntervalMs/],
    ['a shrinking backoff', { backoffCoefficient: 0.5 }, /backoffCoefficient to be a number from 1/],
    ['negative jitter', { jitter: -0.1 }, /jitter to be a number from 0 to 1/],
    ['too much jitter', { jitter: 1.1 }, /jitter/],
    ['errors that are no list', { nonRetryable: 'E_CARD' }, /nonRetryable to be a list/],
  ])('with %s is refused', (_, policy, message) => {
    expect(() => resolveRetryPolicy(policy)).toThrow(ArgumentError);
    expect(() => resolveRetryPolicy(policy)).toThrow(message);
  });

  it.each<readonly [string, ActivityOptions, RegExp]>([
    ['a policy out of range', { retry: { maximumAttempts: 0 } }, /maximumAttempts/],
    ['a total timeout of zero', { timeoutMs: 0 }, /timeoutMs to be milliseconds from 1/],
    ['an attempt timeout of text', { attemptTimeoutMs: '5s' as unknown as number }, /attemptTimeoutMs .* got '5s'/],
    ['an expiry over 100 years', { expiresAfterMs: MAX_DURATION_MS + 1 }, /expiresAfterMs/],
    ['a priority of 10', { priority: 10 }, /priority to be a whole number from 0 to 9, got 10/],
    ['half a priority', { priority: 0.5 }, /priority/],
    ['an empty tag', { tag: '' }, /tag/],
    ['a reserved tag', { tag: 'duraloom:system' }, /reserved/],
    ['an empty session', { sessionId: '' }, /session id/],
  ])('refuses %s where it is used, catchably and without an event', async (_, options, message) => {
    const instance = await begin(async (ctx) => {
      try {
        return await ctx.scheduleActivity('charge', 7, options);
      } catch (error) {
        return [(error as { readonly code?: string }).code, (error as Error).message];
      }
    });
    expect(instance.result).toEqual(['ARGUMENT_INVALID', expect.stringMatching(message)]);
    expect(instance.events).toHaveLength(2);
  });
});

describe('a retried activity', () => {
  const retry: RetryPolicy = { maximumAttempts: 3, initialIntervalMs: 1_000 };

  it('that succeeds at once leaves no trace of its policy', async () => {
    const instance = await begin(charging({ retry }));
    await instance.deliver(activityCompleted(2, 'paid'));
    expect(instance.bodies).toEqual([started(), attempt(1), activityCompleted(2, 'paid'), completed('paid')]);
    expect(instance.results[0]?.activities[0]?.routing).toBeNull();
  });

  it('has every attempt and every pause in history', async () => {
    const instance = await begin(charging({ retry }));
    await instance.deliver(activityFailed(2, 'busy'));
    expect(instance.lastBodies).toEqual([activityFailed(2, 'busy'), timerCreated(T0 + 1_000)]);
    await instance.deliver(timerFired(4));
    expect(instance.lastBodies).toEqual([timerFired(4), attempt(2)]);
    await instance.deliver(activityFailed(6, 'busy'));
    expect(instance.lastBodies).toEqual([activityFailed(6, 'busy'), timerCreated(T0 + 3_000)]);
    await instance.deliver(timerFired(8));
    await instance.deliver(activityCompleted(10, 'paid'));
    expect(instance.result).toBe('paid');
    expect(instance.bodies.filter(({ kind }) => kind === 'ActivityScheduled')).toEqual([attempt(1), attempt(2), attempt(3)]);
  });

  it('rejects with the last error when it gives up', async () => {
    const instance = await begin(charging({ retry: { ...retry, backoff: 'none' } }));
    await instance.deliver(activityFailed(2, 'first'), activityFailed(4, 'second'), activityFailed(6, 'third'));
    expect(instance.bodies).toEqual([
      started(),
      attempt(1),
      activityFailed(2, 'first'),
      attempt(2),
      activityFailed(4, 'second'),
      attempt(3),
      activityFailed(6, 'third'),
      failed('third'),
    ]);
  });

  it('with one attempt is not retried', async () => {
    const instance = await begin(charging({ retry: { maximumAttempts: 1 } }));
    await instance.deliver(activityFailed(2, 'once'));
    expect(instance.lastBodies).toEqual([activityFailed(2, 'once'), failed('once')]);
  });

  it('may have its attempts over many turns, one turn, and with a rebuild in between', async () => {
    const inOne = await begin(charging({ retry }));
    inOne.nowMs = T0 + 10_000;
    await inOne.deliver(activityFailed(2), timerFired(4), activityFailed(6), timerFired(8), activityCompleted(10, 'paid'));
    const inMany = await begin(charging({ retry }));
    inMany.nowMs = T0 + 10_000;
    for (const event of [activityFailed(2), timerFired(4), activityFailed(6), timerFired(8), activityCompleted(10, 'paid')]) {
      await inMany.deliver(event);
    }
    expect(inOne.events).toEqual(inMany.events);
  });

  it('tells later attempts their number and the last heartbeat of the one before', async () => {
    const instance = await begin(charging({ retry: { ...retry, backoff: 'none', maximumAttempts: 4 } }));
    expect(extrasOf(instance)).toBeNull();
    await instance.deliver(activityFailed(2, 'busy', 1, { page: 5 }));
    expect(extrasOf(instance)).toEqual({ attempt: 2, firstEventId: 2, heartbeat: { page: 5 } });
    await instance.deliver(activityFailed(4, 'busy'));
    expect(extrasOf(instance)).toEqual({ attempt: 3, firstEventId: 2 });
    await instance.deliver(activityFailed(6, 'busy', 1, null));
    expect(extrasOf(instance)).toEqual({ attempt: 4, firstEventId: 2, heartbeat: null });
  });

  it('keeps the heartbeat over the pause and a rebuild', async () => {
    const instance = await begin(charging({ retry }));
    await instance.deliver(activityFailed(2, 'busy', 1, 'half'));
    await instance.deliver(timerFired(4));
    expect(extrasOf(instance)).toEqual({ attempt: 2, firstEventId: 2, heartbeat: 'half' });
  });

  it('shows the heartbeat of the last attempt to the code', async () => {
    const instance = await begin(async (ctx) =>
      ctx.scheduleActivity('charge', 7, { retry: { maximumAttempts: 1 } }).catch((error: RemoteError) => error.heartbeat),
    );
    await instance.deliver(activityFailed(2, 'busy', 1, [1, 2]));
    expect(instance.result).toEqual([1, 2]);
  });

  it.each<readonly [ActivityOptions, object]>([
    [{ priority: 3 }, { priority: 3 }],
    [{ tag: 'gpu' }, { tag: 'gpu' }],
    [{ sessionId: 's1' }, { sessionId: 's1' }],
    [{ attemptTimeoutMs: 5 }, { timeoutMs: 5 }],
    [{ expiresAfterMs: 5 }, { expiresAfterMs: 5 }],
    [{ limit: { key: 'db', concurrency: 3 } }, { limit: { key: 'db', concurrency: 3, rate: null } }],
    [{ limit: { key: 'api', rate: { count: 2, perMs: 1.5 } } }, { limit: { key: 'api', concurrency: null, rate: { count: 2, perMs: 2 } } }],
  ])('is routed when its options are %j and nothing else', async (routed, routing) => {
    const instance = await begin(charging(routed));
    const nothing = { tag: null, sessionId: null, priority: 0, timeoutMs: null, expiresAfterMs: null, limit: null, extras: null };
    expect(instance.last.activities[0]?.routing).toEqual({ ...nothing, ...routing });
  });

  it('keeps routing and input for all attempts', async () => {
    const options: ActivityOptions = { tag: 'gpu', sessionId: 's1', priority: 3, attemptTimeoutMs: 1_500.5, expiresAfterMs: 9_000 };
    const routing = { tag: 'gpu', sessionId: 's1', priority: 3, timeoutMs: 1_501, expiresAfterMs: 9_000, limit: null };
    const instance = await begin(charging({ ...options, retry: { backoff: 'none' } }));
    expect(instance.last.activities).toEqual([{ eventId: 2, name: 'charge', input: '7', routing: { ...routing, extras: null } }]);
    await instance.deliver(activityFailed(2));
    expect(instance.last.activities).toEqual([
      { eventId: 4, name: 'charge', input: '7', routing: { ...routing, extras: '{"attempt":2,"firstEventId":2}' } },
    ]);
    expect(instance.bodies.filter(({ kind }) => kind === 'ActivityScheduled')).toEqual([
      activityScheduled('charge', 7, { tag: 'gpu', sessionId: 's1' }),
      activityScheduled('charge', 7, { tag: 'gpu', sessionId: 's1', attempt: 2 }),
    ]);
  });

  it.each<readonly [string, RetryPolicy, Failure]>([
    ['its code is listed', { nonRetryable: ['E_CARD'] }, { name: 'Error', message: 'x', code: 'E_CARD' }],
    ['its name is listed', { nonRetryable: ['CardError'] }, { name: 'CardError', message: 'x' }],
    ['it says so itself', {}, { name: 'NonRetryableError', message: 'x', nonRetryable: true }],
    ['it kept killing its thread', {}, { name: 'DurableError', message: 'x', code: 'TOO_MANY_ATTEMPTS' }],
    ['its result is no JSON', {}, { name: 'PayloadError', message: 'x', code: 'PAYLOAD_NOT_SERIALIZABLE' }],
    ['its result is too large', {}, { name: 'PayloadError', message: 'x', code: 'PAYLOAD_TOO_LARGE' }],
  ])('is not tried again when %s', async (_, policy, failure) => {
    const instance = await begin(charging({ retry: { ...policy, backoff: 'none' } }));
    await instance.deliver(activityFailed(2, failure));
    expect(instance.failure).toEqual(failure);
    expect(instance.bodies.filter(({ kind }) => kind === 'ActivityScheduled')).toHaveLength(1);
  });

  it.each<readonly [string, Failure]>([
    ['another code', { name: 'Error', message: 'x', code: 'E_CARD_2' }],
    ['its code as message only', { name: 'Error', message: 'E_CARD' }],
    ['the code of its cause only', { name: 'Error', message: 'x', cause: { name: 'Error', message: 'y', code: 'E_CARD' } }],
    ['no code', { name: 'Error', message: 'x' }],
    ['a timeout of the attempt', { name: 'TimeoutError', message: 'x', code: 'ACTIVITY_TIMEOUT' }],
    ['an expired attempt', { name: 'DurableError', message: 'x', code: 'ACTIVITY_EXPIRED' }],
  ])('is tried again for %s', async (_, failure) => {
    const instance = await begin(charging({ retry: { backoff: 'none', nonRetryable: ['E_CARD'] } }));
    await instance.deliver(activityFailed(2, failure));
    expect(instance.lastBodies.at(-1)).toEqual(attempt(2));
  });

  it('draws its jitter from the generator of the instance, the same on replay', async () => {
    const handler: Handler = async (ctx) => {
      await ctx.scheduleActivity('charge', 7, { retry: { jitter: 1, initialIntervalMs: 1_000_000, maximumIntervalMs: 1_000_000 } });
      return ctx.random();
    };
    const instance = await begin(handler);
    await instance.deliver(activityFailed(2));
    const [timer] = instance.last.timers;
    expect(timer?.fireAtMs).toBeGreaterThan(T0);
    expect(timer?.fireAtMs).toBeLessThan(T0 + 1_000_000);
    const other = await begin(handler, { instanceId: 'i2' });
    await other.deliver(activityFailed(2));
    expect(other.last.timers[0]?.fireAtMs).not.toBe(timer?.fireAtMs);
    await instance.deliver(timerFired(4), activityCompleted(6));
    expect(instance.last.outcome.kind).toBe('completed');
  });

  it('given up during an attempt gives up the attempt', async () => {
    const instance = await begin(async (ctx) => {
      const charge = ctx.scheduleActivity('charge', 7, { retry, timeoutMs: 60_000 });
      await ctx.waitForEvent('stop');
      charge.cancel();
      return charge.catch((error: Error) => error.name);
    });
    await instance.deliver(activityFailed(2), timerFired(6), eventRaised('stop'));
    expect(instance.lastBodies.slice(-4)).toEqual([
      eventRaised('stop'),
      futureCancelled(8),
      futureCancelled(3),
      completed('CancelledError'),
    ]);
    expect(instance.last).toMatchObject({ cancelledActivities: [8], cancelledTimers: [3] });
  });

  it('given up during a pause gives up the pause', async () => {
    const instance = await begin(async (ctx) => {
      const charge = ctx.scheduleActivity('charge', 7, { retry });
      await ctx.waitForEvent('stop');
      charge.cancel();
      await ctx.waitForEvent('never');
    });
    await instance.deliver(activityFailed(2), eventRaised('stop'));
    expect(instance.lastBodies).toEqual([
      activityFailed(2),
      timerCreated(T0 + 1_000),
      eventRaised('stop'),
      futureCancelled(5),
      eventAwaited('never'),
    ]);
    await instance.deliver(timerFired(5));
    expect(instance.lastBodies).toEqual([]);
  });

  it.each<readonly [string, readonly Body[], number]>([
    ['an attempt', [], 2],
    ['a pause', [activityFailed(2)], 4],
    ['the second attempt', [activityFailed(2), timerFired(4)], 6],
  ])('is not tried again when the instance is cancelled during %s', async (_, before, open) => {
    const instance = await begin(charging({ retry }));
    if (before.length > 0) await instance.deliver(...before);
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(open), cancelled()]);
  });

  it('loses and wins races by history order', async () => {
    const racing: Handler = (ctx) => ctx.race({ charge: ctx.scheduleActivity('charge', 7, { retry }), late: ctx.scheduleTimer(1_500) });
    const lost = await begin(racing);
    await lost.deliver(activityFailed(2), timerFired(3));
    expect(lost.lastBodies).toEqual([
      activityFailed(2),
      timerCreated(T0 + 1_000),
      timerFired(3),
      futureCancelled(5),
      completed({ key: 'late' }),
    ]);
    const won = await begin(racing);
    await won.deliver(activityFailed(2), timerFired(5), activityCompleted(7, 'paid'));
    expect(won.result).toEqual({ key: 'charge', value: 'paid' });
  });

  it('runs beside others with attempts of their own', async () => {
    const instance = await begin((ctx) =>
      ctx.all(['a', 'b'].map((name) => ctx.scheduleActivity(name, undefined, { retry: { backoff: 'none', maximumAttempts: 2 } }))),
    );
    await instance.deliver(activityFailed(3), activityFailed(2), activityCompleted(5, 'B'), activityCompleted(7, 'A'));
    expect(instance.result).toEqual(['A', 'B']);
    expect(instance.bodies.filter(({ kind }) => kind === 'ActivityScheduled')).toEqual([
      activityScheduled('a'),
      activityScheduled('b'),
      activityScheduled('b', undefined, { attempt: 2 }),
      activityScheduled('a', undefined, { attempt: 2 }),
    ]);
  });

  it('gives every activity of a proxy its policy', async () => {
    const instance = await begin((ctx) => {
      const { charge } = ctx.activities({ retry: { backoff: 'none' } }) as { readonly charge: (input: number) => Promise<unknown> };
      return charge(7);
    });
    await instance.deliver(activityFailed(2));
    expect(instance.lastBodies.at(-1)).toEqual(attempt(2));
  });

  it('begins anew in the next execution', async () => {
    const instance = await begin(async (ctx, input) => {
      await ctx.scheduleActivity('charge', 7, { retry: { backoff: 'none' } });
      return input === 'last' ? 'done' : ctx.continueAsNew('last');
    });
    await instance.deliver(activityFailed(2), activityCompleted(4));
    const next = await beginNext(instance);
    await next.deliver(activityFailed(2, 'stale', 1), activityFailed(4, 'stale', 1));
    expect(next.lastBodies).toEqual([]);
    await next.deliver(activityFailed(2, 'x', 2), activityCompleted(4, null, 2));
    expect(next.result).toBe('done');
  });

  it.each<readonly [string, ActivityOptions, boolean]>([
    ['pauses', { retry: { initialIntervalMs: 5, backoff: 'linear' } }, true],
    ['more attempts', { retry: { maximumAttempts: 9, initialIntervalMs: 1_000 } }, true],
    ['no pauses', { retry: { backoff: 'none' } }, false],
    ['fewer attempts', { retry: { maximumAttempts: 1 } }, false],
    ['no policy', {}, false],
    ['a total timeout', { retry, timeoutMs: 60_000 }, false],
    ['a tag', { retry, tag: 'gpu' }, false],
    ['a session', { retry, sessionId: 's1' }, false],
  ])('under a changed policy (%s) follows its history or is found: %s', async (_, options, fits) => {
    const old = await begin(charging({ retry }));
    await old.deliver(activityFailed(2));
    const { result } = await replayCold([orchestration('test', charging(options))], old.events);
    expect(result.outcome.kind).toBe(fits ? 'waiting' : 'faulted');
  });

  it('that differs from history names the line of the user’s code', async () => {
    const old = await begin((ctx) => ctx.scheduleActivity('refund', 7));
    const { result } = await replayCold([orchestration('test', charging({ retry }))], old.events);
    expect(faultOf(result).message).toMatch(/\(at .*retry\.test\.ts/);
  });
});

describe('the timeout of all attempts together', () => {
  const options: ActivityOptions = { timeoutMs: 5_000, retry: { maximumAttempts: 5, initialIntervalMs: 1_000 } };

  it('is a timer after the first attempt, given up with the result', async () => {
    const instance = await begin(charging(options));
    expect(instance.bodies).toEqual([started(), attempt(1), timerCreated(T0 + 5_000)]);
    await instance.deliver(activityCompleted(2, 'paid'));
    expect(instance.lastBodies).toEqual([activityCompleted(2, 'paid'), futureCancelled(3), completed('paid')]);
    expect(instance.last.cancelledTimers).toEqual([3]);
  });

  it('holds for a single attempt without a policy', async () => {
    const instance = await begin(charging({ timeoutMs: 5_000 }));
    await instance.deliver(timerFired(3));
    expect(instance.lastBodies.slice(0, 2)).toEqual([timerFired(3), futureCancelled(2)]);
    expect(instance.failure).toEqual({
      name: 'TimeoutError',
      code: 'ACTIVITY_TIMEOUT',
      message: "activity 'charge' took longer than 5000 ms in all. Raise `timeoutMs`, or make it faster",
    });
    expect(instance.last.cancelledActivities).toEqual([2]);
  });

  it.each<readonly [string, readonly Body[], number]>([
    ['the first attempt', [], 2],
    ['a pause', [activityFailed(2)], 5],
    ['a later attempt', [activityFailed(2), timerFired(5)], 7],
  ])('ends %s, and is not retried', async (_, before, open) => {
    const instance = await begin(charging(options));
    await instance.deliver(...before, timerFired(3));
    expect(instance.lastBodies.slice(before.length === 0 ? 0 : -3, -1)).toEqual([timerFired(3), futureCancelled(open)]);
    expect(instance.failure).toMatchObject({ code: 'ACTIVITY_TIMEOUT' });
  });

  it('is given up when the attempts give up first', async () => {
    const instance = await begin(charging({ ...options, retry: { maximumAttempts: 2, backoff: 'none' } }));
    await instance.deliver(activityFailed(2), activityFailed(5, 'last'));
    expect(instance.lastBodies.slice(-3)).toEqual([activityFailed(5, 'last'), futureCancelled(3), failed('last')]);
  });

  it.each<readonly [string, Body, number, string]>([
    ['its timer after a result', activityCompleted(2, 'paid'), 3, 'paid'],
    ['the attempt after its time', timerFired(3), 2, 'ACTIVITY_TIMEOUT'],
  ])('gives up %s before the code goes on', async (_, event, givenUp, status) => {
    const instance = await begin(async (ctx) => {
      ctx.setCustomStatus(await ctx.scheduleActivity('charge', 7, options).catch(({ code }: RemoteError) => code));
      await ctx.waitForEvent('go');
    });
    await instance.deliver(event);
    expect(instance.lastBodies).toEqual([event, futureCancelled(givenUp), statusSet(status), eventAwaited('go')]);
    expect([instance.last.cancelledTimers, instance.last.cancelledActivities]).toEqual(givenUp === 3 ? [[3], []] : [[], [2]]);
  });

  it('is apart from that of one attempt, which goes to the work item', async () => {
    const instance = await begin(charging({ timeoutMs: 5_000, attemptTimeoutMs: 400 }));
    expect(instance.last.activities[0]?.routing?.timeoutMs).toBe(400);
    expect(instance.last.timers[0]?.fireAtMs).toBe(T0 + 5_000);
  });

  it('does not fire after continue-as-new', async () => {
    const instance = await begin((ctx) => {
      void ctx.scheduleActivity('charge', 7, options);
      return ctx.continueAsNew();
    });
    expect(instance.bodies.slice(3, 5)).toEqual([futureCancelled(2), futureCancelled(3)]);
    expect(instance.last.outcome.kind).toBe('continuedAsNew');
  });

  it('is not begun where the scope is cancelled already', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleTimer(1).catch(() => undefined);
      await ctx.scheduleActivity('charge', 7, options);
    });
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(2), cancelled()]);
  });
});
