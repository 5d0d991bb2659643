// Retries and timeouts of activities, from the call to the store and back.
//
// Covered elsewhere:
// | case                                                             | where                                                          |
// | ---------------------------------------------------------------- | -------------------------------------------------------------- |
// | arguments and defaults of a policy, every backoff with its limits | tests/replay/retry.test.ts                                     |
// | replay of attempts, pauses and both timeouts, event by event     | tests/replay/retry.test.ts                                     |
// | an activity that keeps killing its thread is not retried         | tests/integration/misbehaviour.test.ts                         |
import { NonRetryableError, type ActivityContext, type HistoryEvent } from 'duraloom';
import { expect, test } from 'vitest';
import { PATIENCE, stage } from '../support/integration-stage.ts';
import { aborted, causeOf, codeOf, describeInHouses, Gate, kindsOf, ofKind } from './fixtures/house.ts';

/** Pauses between the attempts, as history has them. */
function pausesOf(history: readonly HistoryEvent[]): readonly number[] {
  return ofKind(history, 'TimerCreated').map(({ fireAtMs, atMs }) => fireAtMs - atMs);
}

/** Fails until an attempt. */
function failsUntil(success: number): (ctx: ActivityContext) => string {
  return ({ attempt }) => {
    if (attempt < success) throw Object.assign(new RangeError(`attempt ${attempt} failed`), { code: 'E_TRY' });
    return `attempt ${attempt}`;
  };
}

describeInHouses('an activity with a retry policy', (house) => {
  test('that succeeds at once is one attempt', async () => {
    const deed = house.deed(failsUntil(1));
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry: {} }));
    expect(await handle.result({ timeout: PATIENCE })).toBe('attempt 1');
    expect(await kindsOf(handle)).toEqual(['OrchestrationStarted', 'ActivityScheduled', 'ActivityCompleted', 'OrchestrationCompleted']);
  });

  test('that fails twice succeeds at the third attempt, each of them in history', async () => {
    const deed = house.deed(failsUntil(3));
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry: { initialIntervalMs: 2 } }));
    expect(await handle.result({ timeout: PATIENCE })).toBe('attempt 3');
    const history = await handle.readHistory();
    expect(ofKind(history, 'ActivityScheduled').map(({ attempt }) => attempt)).toEqual([undefined, 2, 3]);
    expect(ofKind(history, 'ActivityFailed')).toHaveLength(2);
    expect(pausesOf(history)).toEqual([2, 4]);
  });

  test('rejects with the last error when all attempts fail', async () => {
    const deed = house.deed(failsUntil(9));
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry: { initialIntervalMs: 1 } }));
    expect(await causeOf(handle)).toMatchObject({ name: 'RangeError', message: 'attempt 3 failed', code: 'E_TRY' });
    expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(3);
  });

  test('with one attempt makes no pause', async () => {
    const deed = house.deed(failsUntil(9));
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry: { maximumAttempts: 1 } }));
    expect(await causeOf(handle)).toMatchObject({ message: 'attempt 1 failed' });
    expect(pausesOf(await handle.readHistory())).toEqual([]);
  });

  test.each([
    ['none', []],
    ['fixed', [5, 5, 5]],
    ['linear', [5, 10, 12]],
    ['exponential', [5, 12, 12]],
  ] as const)('and the backoff %s pauses so long', async (backoff, pauses) => {
    const deed = house.deed(failsUntil(4));
    const retry = { maximumAttempts: 4, backoff, initialIntervalMs: 5, backoffCoefficient: 3, maximumIntervalMs: 12 };
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry }));
    expect(await handle.result({ timeout: PATIENCE })).toBe('attempt 4');
    expect(pausesOf(await handle.readHistory())).toEqual(pauses);
  });

  test('and jitter pauses a part of it, the same on every replay', async () => {
    const deed = house.deed(failsUntil(5));
    const retry = { maximumAttempts: 5, backoff: 'fixed', initialIntervalMs: 20, jitter: 0.5 } as const;
    const handle = await house.play(async (ctx) => {
      const done = await ctx.scheduleActivity('perform', deed, { retry });
      await ctx.scheduleTimer(1);
      return done;
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe('attempt 5');
    const pauses = pausesOf(await handle.readHistory()).slice(0, 4);
    for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(10);
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(20);
    expect(new Set(pauses).size).toBeGreaterThan(1);
  });

  test.each([
    ['a NonRetryableError', () => new NonRetryableError('no'), []],
    ['an error with nonRetryable', () => Object.assign(new Error('no'), { nonRetryable: true }), []],
    ['a code that the policy names', () => Object.assign(new Error('no'), { code: 'E_NO' }), ['E_NO']],
    ['an error name that the policy names', () => new SyntaxError('no'), ['SyntaxError']],
  ] as const)('gives up at once after %s', async (_what, makeError, nonRetryable) => {
    const deed = house.deed(() => {
      throw makeError();
    });
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry: { nonRetryable, initialIntervalMs: 1 } }));
    expect(await causeOf(handle)).toMatchObject({ message: 'no' });
    expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(1);
  });

  test('gives up at once when its result is no JSON', async () => {
    const deed = house.deed(() => 1n);
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { retry: { initialIntervalMs: 1 } }));
    expect(await causeOf(handle)).toMatchObject({ code: 'PAYLOAD_NOT_SERIALIZABLE' });
    expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(1);
  });

  test('goes on after a restart with the attempt that is next', async () => {
    const deed = house.deed(failsUntil(3));
    const reached = new Gate();
    const observed = house.deed((ctx) => {
      if (ctx.attempt === 2) reached.open();
      return failsUntil(3)(ctx);
    });
    const handle = await house.play(async (ctx) => [
      await ctx.scheduleActivity('perform', observed, { retry: { backoff: 'fixed', initialIntervalMs: 50 } }),
      await ctx.scheduleActivity('perform', deed, { retry: { backoff: 'none' } }),
    ]);
    await reached.opened;
    await house.restart();
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['attempt 3', 'attempt 3']);
  });

  test('may lose a race in a pause: no attempt follows', async () => {
    let attempts = 0;
    const deed = house.deed(() => {
      attempts += 1;
      throw new Error('no');
    });
    const handle = await house.play(async (ctx) => {
      const winner = await ctx.race({
        work: ctx.scheduleActivity('perform', deed, { retry: { backoff: 'fixed', initialIntervalMs: 60_000 } }),
        stop: ctx.waitForEvent('stop'),
      });
      await ctx.scheduleTimer(5);
      return winner.key;
    });
    await handle.raiseEvent('stop');
    expect(await handle.result({ timeout: PATIENCE })).toBe('stop');
    expect(attempts).toBeLessThanOrEqual(1);
    expect(await handle.listActivities()).toEqual([]);
  });

  test('is cancelled in a pause with its orchestration', async () => {
    const failed = new Gate();
    const deed = house.deed(() => {
      failed.open();
      throw new Error('no');
    });
    const handle = await house.play((ctx) =>
      ctx.scheduleActivity('perform', deed, { retry: { backoff: 'fixed', initialIntervalMs: 60_000 } }),
    );
    await failed.opened;
    await handle.cancel('enough');
    expect(await causeOf(handle)).toMatchObject({ code: 'CANCELLED', message: 'enough' });
    expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(1);
  });

  test('in a scope that is cancelled makes no more attempts, while one in a shield goes on', async () => {
    const failing = house.deed(() => {
      throw new Error('no');
    });
    const flaky = house.deed(failsUntil(3));
    const told = await house.result(async (ctx) => {
      const retry = { maximumAttempts: 1_000, backoff: 'fixed', initialIntervalMs: 5 } as const;
      const part = ctx.scope(async () => {
        const shielded = ctx.shield(() => ctx.scheduleActivity('perform', flaky, { retry }));
        void ctx.scheduleActivity('perform', failing, { retry });
        return await shielded;
      });
      await ctx.scheduleTimer(1);
      part.cancel();
      const ended = await part.catch(codeOf);
      await ctx.scheduleTimer(40);
      return ended;
    });
    expect(told).toBe('CANCELLED');
  });

  test('that is cancelled in the turn that asks for it never runs, and leaves nothing behind', async () => {
    const deed = house.deed(failsUntil(1));
    const handle = await house.play(async (ctx) => {
      const work = ctx.scheduleActivity('perform', deed, {
        retry: {},
        timeoutMs: 60_000,
        attemptTimeoutMs: 60_000,
        expiresAfterMs: 60_000,
      });
      work.cancel();
      return await work.catch(codeOf);
    });
    expect(await handle.result({ timeout: PATIENCE })).toBe('CANCELLED');
    expect(ofKind(await handle.readHistory(), 'FutureCancelled')).toHaveLength(2);
    expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });

  test('runs many at once, each by its own policy', async () => {
    const deeds = [1, 2, 3, 4, 5].map((success) => house.deed(failsUntil(success)));
    const handle = await house.play((ctx) =>
      ctx.all(deeds.map((deed) => ctx.scheduleActivity('perform', deed, { retry: { maximumAttempts: 5, initialIntervalMs: 1 } }))),
    );
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3, 4, 5].map((attempt) => `attempt ${attempt}`));
  });

  test('starts to count anew in the next execution, and what the one before left open is no news there', async () => {
    const gate = new Gate();
    const slow = house.deed(async (ctx) => {
      await Promise.race([gate.opened, aborted(ctx.signal)]);
      return 'stale';
    });
    const deed = house.deed(failsUntil(2));
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 1) {
        void ctx.scheduleActivity('perform', slow, { retry: {} });
        return await ctx.continueAsNew(2);
      }
      return await ctx.scheduleActivity('perform', deed, { retry: { initialIntervalMs: 1 } });
    }, 1);
    expect(await handle.result({ timeout: PATIENCE })).toBe('attempt 2');
    gate.open();
  });

  test('keeps name, message, code and cause of its error', async () => {
    const deed = house.deed(() => {
      throw Object.assign(new RangeError('outer', { cause: new TypeError('inner') }), { code: 'E_OUTER' });
    });
    const told = await house.result(async (ctx) => {
      try {
        return await ctx.scheduleActivity('perform', deed, { retry: { maximumAttempts: 2, initialIntervalMs: 1 } });
      } catch (error) {
        const { name, message, cause } = error as Error;
        return { name, message, code: codeOf(error), cause: (cause as Error).message };
      }
    });
    expect(told).toEqual({ name: 'RangeError', message: 'outer', code: 'E_OUTER', cause: 'inner' });
  });

  test('hands the details of the last heartbeat to the next attempt', async () => {
    const seen: unknown[] = [];
    const deed = house.deed((ctx) => {
      seen.push(ctx.heartbeatDetails);
      if (ctx.attempt === 1) ctx.heartbeat({ page: 1 });
      if (ctx.attempt === 2) return failsUntil(9)(ctx);
      if (ctx.attempt === 3) ctx.heartbeat(null);
      return failsUntil(4)(ctx);
    });
    const handle = await house.play((ctx) =>
      ctx.scheduleActivity('perform', deed, { retry: { maximumAttempts: 4, initialIntervalMs: 1 } }),
    );
    expect(await handle.result({ timeout: PATIENCE })).toBe('attempt 4');
    expect(seen).toEqual([undefined, { page: 1 }, { page: 1 }, null]);
  });
});

describeInHouses(
  'a limit on the time of an activity',
  (house) => {
    test('ends an attempt, and the next one may succeed', async () => {
      const deed = house.deed(async (ctx) => {
        if (ctx.attempt === 1) throw (await aborted(ctx.signal)) as Error;
        return ctx.deadline instanceof Date;
      });
      const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed, { attemptTimeoutMs: 30, retry: { backoff: 'none' } }));
      expect(await handle.result({ timeout: PATIENCE })).toBe(true);
      const [failed] = ofKind(await handle.readHistory(), 'ActivityFailed');
      expect(failed?.failure).toMatchObject({ name: 'TimeoutError', code: 'ACTIVITY_TIMEOUT' });
    });

    test('ends the activity when every attempt takes too long', async () => {
      const deed = house.deed(async (ctx) => {
        await aborted(ctx.signal);
        throw Object.assign(new Error('gave up'), { code: 'E_MINE' });
      });
      const handle = await house.play((ctx) =>
        ctx.scheduleActivity('perform', deed, { attemptTimeoutMs: 20, retry: { maximumAttempts: 2, backoff: 'none' } }),
      );
      expect(await causeOf(handle)).toMatchObject({ code: 'ACTIVITY_TIMEOUT', cause: { code: 'E_MINE' } });
      expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(2);
    });

    test('of one attempt without a policy is the end of it', async () => {
      const deed = house.deed((ctx) => aborted(ctx.signal).then((reason) => Promise.reject(reason as Error)));
      expect(await house.failure((ctx) => ctx.scheduleActivity('perform', deed, { attemptTimeoutMs: 20 }))).toMatchObject({
        code: 'ACTIVITY_TIMEOUT',
      });
    });

    test('counts from the start of the attempt, not from the call', async () => {
      const deed = house.deed((ctx) => (ctx.deadline?.getTime() ?? 0) - Date.now());
      // Nobody takes the activity for longer than an attempt may run.
      await house.restart({ tags: 'none' });
      const handle = await house.play(async (ctx) => {
        const work = ctx.scheduleActivity('perform', deed, { attemptTimeoutMs: 400 });
        ctx.setCustomStatus('scheduled');
        await ctx.scheduleTimer(500);
        ctx.setCustomStatus('late');
        return await work;
      });
      await handle.waitForCustomStatus({ afterVersion: 1, timeout: PATIENCE });
      await house.restart();
      expect(await handle.result({ timeout: PATIENCE })).toBeGreaterThan(0);
    });

    test('has no effect on an attempt that ends in time, and leaves no timer', async () => {
      const deed = house.deed(() => 'in time');
      const handle = await house.play((ctx) =>
        ctx.scheduleActivity('perform', deed, { attemptTimeoutMs: 60_000, timeoutMs: 60_000, retry: {} }),
      );
      expect(await handle.result({ timeout: PATIENCE })).toBe('in time');
      expect(await kindsOf(handle)).toEqual([
        'OrchestrationStarted',
        'ActivityScheduled',
        'TimerCreated',
        'ActivityCompleted',
        'FutureCancelled',
        'OrchestrationCompleted',
      ]);
      expect(await house.provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    });

    test('in all ends an attempt that is under way', async () => {
      const ended = new Gate();
      const deed = house.deed(async (ctx) => {
        await aborted(ctx.signal);
        ended.open();
      });
      expect(await house.failure((ctx) => ctx.scheduleActivity('perform', deed, { timeoutMs: 30 }))).toMatchObject({
        code: 'ACTIVITY_TIMEOUT',
        message: expect.stringContaining('30 ms in all') as unknown,
      });
      await ended.opened;
    });

    test('in all ends a pause', async () => {
      const deed = house.deed(failsUntil(9));
      const handle = await house.play((ctx) =>
        ctx.scheduleActivity('perform', deed, {
          timeoutMs: 40,
          retry: { backoff: 'fixed', initialIntervalMs: 60_000, maximumIntervalMs: 60_000 },
        }),
      );
      expect(await causeOf(handle)).toMatchObject({ code: 'ACTIVITY_TIMEOUT' });
      expect(ofKind(await handle.readHistory(), 'ActivityScheduled')).toHaveLength(1);
    });

    test('in all holds over many attempts', async () => {
      const deed = house.deed(failsUntil(1_000_000));
      const handle = await house.play((ctx) =>
        ctx.scheduleActivity('perform', deed, {
          timeoutMs: 300,
          retry: { maximumAttempts: 1_000_000, backoff: 'fixed', initialIntervalMs: 5 },
        }),
      );
      expect(await causeOf(handle)).toMatchObject({ code: 'ACTIVITY_TIMEOUT' });
      expect(ofKind(await handle.readHistory(), 'ActivityScheduled').length).toBeGreaterThan(1);
    });

    test('does not outlive its execution', async () => {
      const deed = house.deed((ctx) => aborted(ctx.signal));
      const handle = await house.play(async (ctx, round: number) => {
        if (round === 2) {
          await ctx.scheduleTimer(60);
          return 'second';
        }
        void ctx.scheduleActivity('perform', deed, { timeoutMs: 20, retry: {} });
        return await ctx.continueAsNew(2);
      }, 1);
      expect(await handle.result({ timeout: PATIENCE })).toBe('second');
      expect(await kindsOf(handle)).toEqual(['OrchestrationStarted', 'TimerCreated', 'TimerFired', 'OrchestrationCompleted']);
    });

    test('frees an attempt that does not listen after its grace, and the slot with it', async () => {
      const never = new Gate();
      const deaf = house.deed(() => never.opened);
      const next = house.deed(() => 'next');
      const handle = await house.play(async (ctx) => {
        const limits = { attemptTimeoutMs: 20, retry: { maximumAttempts: 2, backoff: 'none' } } as const;
        const ends = await ctx.all([1, 2, 3].map(() => ctx.scheduleActivity('perform', deaf, limits).catch(codeOf)));
        return [...ends, await ctx.scheduleActivity('perform', next)];
      });
      expect(await handle.result({ timeout: PATIENCE })).toEqual(['ACTIVITY_TIMEOUT', 'ACTIVITY_TIMEOUT', 'ACTIVITY_TIMEOUT', 'next']);
      never.open();
    });

    test('makes a late answer of an attempt worthless, also for the attempt after it', async () => {
      const [answerLate, end] = [new Gate(), new Gate()];
      const deed = house.deed(async (ctx) => {
        if (ctx.attempt === 1) return await answerLate.opened.then(() => 'late');
        answerLate.open();
        await end.opened;
        return 'second';
      });
      const handle = await house.play((ctx) =>
        ctx.scheduleActivity('perform', deed, { attemptTimeoutMs: 500, retry: { backoff: 'none' } }),
      );
      await answerLate.opened;
      await house.result((ctx) => ctx.scheduleTimer(5));
      end.open();
      expect(await handle.result({ timeout: PATIENCE })).toBe('second');
    });

    test('passes heartbeat details on, also of an attempt that was ended by force', async () => {
      const never = new Gate();
      const deed = house.deed(async (ctx) => {
        if (ctx.attempt > 1) return ctx.heartbeatDetails;
        ctx.heartbeat('page 7');
        return await never.opened;
      });
      const options = { attemptTimeoutMs: 200, retry: { backoff: 'none' } } as const;
      expect(await house.result((ctx) => ctx.scheduleActivity('perform', deed, options))).toBe('page 7');
      never.open();
    });

    test('is told to an attempt of a session as to any other', async () => {
      const deed = house.deed(async (ctx) => {
        if (ctx.attempt === 1) await aborted(ctx.signal);
        return [ctx.sessionId, ctx.attempt];
      });
      // An attempt that returns after its time was up has still answered.
      const handle = await house.play((ctx) =>
        ctx.scheduleActivity('perform', deed, { sessionId: 's', attemptTimeoutMs: 20, retry: { backoff: 'none' } }),
      );
      expect(await handle.result({ timeout: PATIENCE })).toEqual(['s', 1]);
    });
  },
  { activityGraceMs: 30, activitiesPerThread: 3 },
);

test('over threads and SQLite, attempts, pauses and timeouts do the same', async () => {
  const { client } = await stage().open({
    orchestrations: new URL('./fixtures/retry-definitions.ts', import.meta.url),
    activities: new URL('./fixtures/retry-definitions.ts', import.meta.url),
    activityGraceMs: 50,
    // Leases that a slow machine keeps: the thread that spins is ended after more than two seconds.
    activityLockMs: 30_000,
    orchestrationLockMs: 30_000,
  });
  const handle = await client.startOrchestration('r', 'retries');
  expect(await handle.result({ timeout: PATIENCE })).toEqual({
    third: 'attempt 3',
    hanging: 'ACTIVITY_TIMEOUT',
    spinning: 'ACTIVITY_TIMEOUT',
    declined: { name: 'NonRetryableError', message: 'declined' },
  });
});
