// Hard limits of the replay core: a breach is a typed error.
import { describe, expect, it } from 'vitest';
import { MAX_HISTORY_EVENTS } from '../../src/types/limits.ts';
import {
  activityCompleted,
  activityFailed,
  begin,
  eventRaised,
  replayCold,
  type Handler,
  type TestInstance,
} from '../support/replay-harness.ts';

/** Sets the status so often that the first turn has the given number of events. */
const filling =
  (events: number, end: Handler): Handler =>
  async (ctx, input) => {
    for (let count = 1; count < events - 1; count += 1) ctx.setCustomStatus(count);
    return await end(ctx, input);
  };

const waiting = (events: number): Promise<TestInstance> =>
  begin(
    filling(events, (ctx) => ctx.waitForEvent('go')),
    { coldCheck: false },
  );

describe('a history of too many events', () => {
  it('fails the orchestration after the event that broke the limit', async () => {
    const atLimit = await waiting(MAX_HISTORY_EVENTS);
    expect(atLimit.last).toMatchObject({ lastEventId: MAX_HISTORY_EVENTS, outcome: { kind: 'waiting' } });
    await atLimit.deliver(eventRaised('other'));
    expect(atLimit.last.outcome.kind).toBe('failed');
    expect(atLimit.failure).toMatchObject({ code: 'HISTORY_TOO_LONG' });
    expect(atLimit.failure.message).toMatch(
      /needs event 100001, more than the limit of 100000 events\. Split it into sub-orchestrations or continue as new/,
    );
    expect(atLimit.lastBodies.map(({ kind }) => kind)).toEqual(['EventRaised', 'FutureCancelled', 'OrchestrationFailed']);
  });

  it('does not fail an orchestration that ends with its last event', async () => {
    const instance = await begin(
      filling(MAX_HISTORY_EVENTS + 1, () => 'done'),
      { coldCheck: false },
    );
    expect(instance.last.outcome).toEqual({ kind: 'completed', result: '"done"' });
  });

  it('refuses the call that is one too many, so that an endless loop of calls ends', async () => {
    const endless = async (ctx: Parameters<Handler>[0]): Promise<never> => {
      for (;;) void ctx.scheduleActivity('a');
    };
    const instance = await begin(endless, { coldCheck: false });
    expect(instance.failure).toMatchObject({ code: 'HISTORY_TOO_LONG' });
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.outcome.kind).toBe('failed');
  });

  it('fails an orchestration whose retry finds no room for its next attempt', async () => {
    const instance = await begin(
      filling(MAX_HISTORY_EVENTS, (ctx) => ctx.scheduleActivity('a', null, { retry: { maximumAttempts: 9, backoff: 'none' } })),
      { coldCheck: false },
    );
    await instance.deliver(activityFailed(MAX_HISTORY_EVENTS));
    expect(instance.last.outcome.kind).toBe('failed');
    expect(instance.failure).toMatchObject({ code: 'HISTORY_TOO_LONG' });
  });

  it('can still continue as new when a call is refused', async () => {
    const instance = await begin(
      filling(MAX_HISTORY_EVENTS + 9, () => null),
      { coldCheck: false },
    );
    expect(instance.last.outcome.kind).toBe('failed');
    const saved = await begin(
      async (ctx) => {
        try {
          for (;;) ctx.setCustomStatus(1);
        } catch {
          return ctx.continueAsNew('rest');
        }
      },
      { coldCheck: false },
    );
    expect(saved.last.outcome.kind).toBe('continuedAsNew');
  });

  it('at the limit can be replayed and goes on', async () => {
    const instance = await waiting(MAX_HISTORY_EVENTS);
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.outcome).toEqual({ kind: 'waiting' });
  });

  it('that failed for it can be replayed', async () => {
    const instance = await waiting(MAX_HISTORY_EVENTS + 1);
    expect(instance.last.outcome.kind).toBe('failed');
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.outcome.kind).toBe('failed');
  });
});

describe('shouldContinueAsNew', () => {
  const HALF = MAX_HISTORY_EVENTS / 2;

  it.each([
    [HALF - 1, false],
    [HALF, true],
    [HALF + 1, true],
  ])('after %i events is %s, live and on replay', async (events, expected) => {
    const seen: boolean[] = [];
    const instance = await begin(
      filling(events, async (ctx) => {
        // The wait is the last of them.
        const go = ctx.waitForEvent('go');
        seen.push(ctx.shouldContinueAsNew);
        await go;
      }),
      { coldCheck: false },
    );
    expect(instance.engine.lastEventId).toBe(events);
    await replayCold(instance.definitions, instance.events);
    expect(seen).toEqual([expected, expected]);
  });
});

describe('weight', () => {
  it('grows with what is kept', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    const before = instance.engine.weight;
    await instance.deliver(activityCompleted(2, 'x'.repeat(10_000)));
    expect(instance.engine.weight).toBeGreaterThan(before + 10_000);
  });
});
