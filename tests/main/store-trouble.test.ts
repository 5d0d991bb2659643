// What the dispatchers do when the store fails: nothing is lost, nothing runs for ever, and nobody is charged for what is not their fault.
import { defineActivity, defineOrchestration, ProviderError } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';
import { refuseOptimism } from '../support/no-optimism.ts';
import { TroubledStore, type Around } from './troubled-store.ts';

const busy = (operation: string): ProviderError => new ProviderError('PROVIDER_FAILED', { operation, retryable: true, message: 'busy' });
const refused = (operation: string): ProviderError =>
  new ProviderError('PROVIDER_FAILED', { operation, retryable: false, message: 'no such column' });

/** Fails the first calls. */
function failing(times: number): <Call extends (...args: never) => unknown>(call: Call, ...args: Parameters<Call>) => ReturnType<Call> {
  let left = times;
  return ((call: (...args: readonly unknown[]) => unknown, ...args: readonly unknown[]) => {
    if (left === 0) return call(...args);
    left -= 1;
    return Promise.reject(busy('it'));
  }) as never;
}

/** An orchestration that calls an activity with its own id. */
const calls = defineOrchestration('calls', (ctx, name: string | undefined) => ctx.scheduleActivity<string>(name ?? 'work', ctx.instanceId));

/** An activity that writes down how often it ran. */
function working() {
  const runs: string[] = [];
  const work = defineActivity('work', (ctx, input: string) => {
    runs.push(`${input} ${ctx.attempt}`);
    return `${input} done`;
  });
  return { runs, options: { orchestrations: calls, activities: work } };
}

describe('the answer of an activity', () => {
  test('is offered again while the store is in trouble: the activity does not run again', async () => {
    const store = new TroubledStore();
    const { runs, options } = working();
    await store.start({ ackWorkItems: failing(5), ackOrchestrationItems: refuseOptimism }, options);
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(runs).toEqual(['a 1']);
    expect(store.troubles()).toEqual(Array.from({ length: 5 }, () => 'ackWorkItems'));
  });

  test('is given up after some time: the activity runs again, and is not charged for it', async () => {
    const store = new TroubledStore();
    const { runs, options } = working();
    await store.start({ ackWorkItems: failing(6), ackOrchestrationItems: refuseOptimism }, { ...options, maxAttempts: 1 });
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(runs).toEqual(['a 1', 'a 1']);
  });

  test('that the store cannot take fails that activity alone, in the end', async () => {
    const store = new TroubledStore();
    const { runs, options } = working();
    const provider: Around = {
      ackOrchestrationItems: refuseOptimism,
      ackWorkItems: (call, acks) =>
        acks.some(({ completionPayload }) => completionPayload?.includes('bad done'))
          ? Promise.reject(refused('ackWorkItems'))
          : call(acks),
    };
    await store.start(provider, { ...options, maxAttempts: 2 });
    await store.client.startOrchestrations(['a', 'bad', 'b'].map((instanceId) => ({ instanceId, orchestration: 'calls' })));
    expect([await store.result('a'), await store.result('b')]).toEqual(['a done', 'b done']);
    const failure = { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'PROVIDER_FAILED' } };
    expect(await rejection(store.result('bad'))).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: failure });
    expect(runs.toSorted()).toEqual(['a 1', 'b 1', 'bad 1', 'bad 2']);
  });
});

describe('the heartbeat of an activity', () => {
  /** Beats twice, with time between; notes whether its signal was aborted at the end. */
  function beating(store: TroubledStore, ends: boolean[] = []) {
    const pause = (): Promise<void> => new Promise((resolve) => store.clock.setTimer(2_000, resolve));
    const work = defineActivity('work', async (ctx) => {
      const { signal } = ctx;
      if (ctx.attempt > 1) return 'again';
      ctx.heartbeat('one');
      await pause();
      ctx.heartbeat('two');
      await pause();
      ends.push(signal.aborted);
      return 'undisturbed';
    });
    return { orchestrations: calls, activities: work, activityLockMs: 600_000 };
  }

  test('that the store did not take is followed by the next one, and the activity goes on', async () => {
    const store = new TroubledStore();
    const beats: unknown[] = [];
    let isBroken = true;
    const provider: Around = {
      renewWorkLocks: (call, locks, lockMs) => {
        beats.push(...locks.flatMap((lock) => ('heartbeat' in lock ? [lock.heartbeat] : [])));
        if (!isBroken) return call(locks, lockMs);
        isBroken = false;
        return Promise.reject(busy('renewWorkLocks'));
      },
    };
    await store.start(provider, beating(store));
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('undisturbed');
    expect(beats).toEqual(['"one"', '"two"']);
    expect(store.troubles()).toEqual(['renewWorkLocks']);
  });

  test('hears that the right to the attempt is lost: its signal aborts, and its answer is worth nothing', async () => {
    const store = new TroubledStore();
    const ends: boolean[] = [];
    const provider: Around = { renewWorkLocks: (_, locks) => Promise.resolve(locks.map(() => 'lockLost' as const)) };
    await store.start(provider, { ...beating(store, ends), activityLockMs: 10_000 });
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('again');
    expect(ends).toEqual([true]);
  });
});

describe('an activity that this runtime does not have', () => {
  test('is not charged while the store does not tell who has it', async () => {
    const store = new TroubledStore();
    await store.start({ listRuntimes: failing(3) }, { orchestrations: calls, activities: working().options.activities, maxAttempts: 1 });
    await store.client.startOrchestration('a', 'calls', 'rare');
    await store.clock.advance(250);
    expect(store.troubles()).toEqual(['listRuntimes', 'listRuntimes']);
    const attempts: number[] = [];
    const rare = defineActivity('rare', (ctx) => void attempts.push(ctx.attempt));
    await store.start({}, { activities: rare });
    await store.result('a');
    expect(attempts).toEqual([1]);
  });

  test('comes back by the end of its lease when the store did not take it back', async () => {
    const store = new TroubledStore();
    await store.start({ abandonWorkItems: failing(1) }, { ...working().options, activityLockMs: 5_000, maxAttempts: 1 });
    const startedMs = store.clock.nowMs();
    await store.client.startOrchestration('a', 'calls', 'nobody');
    expect(await rejection(store.result('a'))).toMatchObject({ cause: { code: 'TOO_MANY_ATTEMPTS' } });
    expect(store.clock.nowMs() - startedMs).toBeGreaterThanOrEqual(5_000);
    expect(store.troubles()).toContain('abandonWorkItems');
  });
});

describe('a turn', () => {
  test('whose history cannot be read is given back uncharged', async () => {
    const store = new TroubledStore();
    await store.start({ readHistory: failing(3) }, { ...working().options, stickyCacheMb: 0, maxAttempts: 1 });
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(store.troubles()).toEqual(['readHistory', 'readHistory', 'readHistory']);
  });

  test('that can neither be committed nor given back is run again after its lease', async () => {
    const store = new TroubledStore();
    const provider = { ackOrchestrationItems: failing(1), abandonOrchestrationItems: failing(1) };
    await store.start(provider, { ...working().options, orchestrationLockMs: 5_000, maxAttempts: 2 });
    const startedMs = store.clock.nowMs();
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(store.clock.nowMs() - startedMs).toBeGreaterThanOrEqual(5_000);
    expect(store.troubles()).toEqual(['ackOrchestrationItems', 'abandonOrchestrationItems']);
  });

  test('that the store finds in conflict with what it has is charged and run again', async () => {
    const store = new TroubledStore();
    const charged: boolean[] = [];
    let conflicts = 1;
    const provider: Around = {
      ackOrchestrationItems: (call, acks) => (conflicts-- > 0 ? Promise.resolve(acks.map(() => 'conflict' as const)) : call(acks)),
      abandonOrchestrationItems: (call, items) => {
        charged.push(...items.map(({ countAttempt }) => countAttempt));
        return call(items);
      },
    };
    await store.start(provider, working().options);
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(charged).toEqual([true]);
  });

  test('that lost its lease while it waited for its history is dropped; the next one has the instance', async () => {
    const store = new TroubledStore();
    let hold: (() => void) | null = null;
    let isHeld = false;
    const provider: Around = {
      readHistory: async (call, requests) => {
        if (!isHeld) {
          isHeld = true;
          await new Promise<void>((resolve) => {
            hold = resolve;
          });
        }
        return await call(requests);
      },
      renewOrchestrationLocks: (_, locks) => Promise.resolve(locks.map(() => 'lockLost' as const)),
    };
    await store.start(provider, { ...working().options, stickyCacheMb: 0, orchestrationLockMs: 4_000 });
    await store.client.startOrchestration('a', 'calls');
    await store.pass(store.log.message('the lease of a turn was lost; its answer will be dropped', 'a'));
    expect(await store.result('a')).toBe('a done');
    expect(hold).not.toBeNull();
    (hold as unknown as () => void)();
    await store.clock.advance(1);
    expect(await store.client.getState('a')).toMatchObject({ status: 'Completed', result: 'a done' });
  });

  test('that was lost with its process as often as it may be takes its instance out of service, and says so', async () => {
    const store = new TroubledStore();
    await store.client.startOrchestration('a', 'calls');
    for (let death = 0; death < 3; death += 1) {
      await store.real.fetchOrchestrationItems({ maxItems: 1, lockMs: 1_000, waitMs: 0 });
      await store.clock.advance(1_000);
    }
    await store.start({}, { ...working().options, maxAttempts: 3 });
    const error = await rejection(store.result('a'));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'TOO_MANY_ATTEMPTS' } });
    expect(error.message).toContain('its turns were lost with their process');
  });
});

describe('a call between the turns', () => {
  test('that can never be reported is forgotten with its engine, and the instance goes on from its history', async () => {
    const store = new TroubledStore();
    let goOn = (): void => undefined;
    const outside = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let lives = 0;
    const late = defineOrchestration('late', async (ctx) => {
      lives += 1;
      if (lives === 1) void outside.then(() => ctx.scheduleTimer(1));
      return await ctx.waitForEvent<string>('go');
    });
    await store.start({ enqueueMessages: failing(1_000) }, { orchestrations: late });
    await store.client.startOrchestration('a', 'late');
    await store.clock.advance(1);
    goOn();
    await store.clock.advance(60_000);
    expect(store.troubles()).toEqual(Array.from({ length: 9 }, () => 'enqueueMessages'));
    await store.client.raiseEvent('a', 'go', 'on');
    expect(await store.result('a')).toBe('on');
    expect(lives).toBe(2);
  });
});

describe('a value that an orchestration reads of another instance', () => {
  const owner = defineOrchestration('owner', async (ctx) => {
    ctx.kv.set('key', 'of the owner');
    await ctx.waitForEvent('never');
  });
  const reader = defineOrchestration('reader', (ctx) => ctx.getValueFromInstance<string>('owner', 'key'));

  test.each<readonly [string, Around]>([
    ['the store did not give it at once', { readValues: failing(1) }],
    ['its answer was refused for some time', { ackWorkItems: failing(5) }],
    ['nothing of it worked, until the end of its lease', { readValues: failing(1), abandonWorkItems: failing(1) }],
  ])('comes although %s', async (_, provider) => {
    const store = new TroubledStore();
    await store.start(provider, { orchestrations: [owner, reader], activityLockMs: 5_000 });
    await store.client.startOrchestration('owner', 'owner');
    await store.clock.advance(10);
    await store.client.startOrchestration('reader', 'reader');
    expect(await store.result('reader')).toBe('of the owner');
    expect(store.troubles()).toHaveLength(provider.ackWorkItems === undefined ? Object.keys(provider).length : 5);
  });
});

describe('items of a fetch that was answered too late', () => {
  /** Holds back the first answer with items. */
  function late(store: TroubledStore, method: 'fetchOrchestrationItems'): Around {
    let isFirst = true;
    return {
      [method]: async (call, params) => {
        const fetched = await call(params);
        if (!isFirst || fetched.items.length === 0) return fetched;
        isFirst = false;
        await new Promise<void>((resolve) => store.clock.setTimer(60_000, resolve));
        return fetched;
      },
    } satisfies Around;
  }

  test('go back at once, uncharged', async () => {
    const store = new TroubledStore();
    const options = { ...working().options, storeTimeoutMs: 1_000, orchestrationLockMs: 3_600_000, maxAttempts: 1 };
    await store.start(late(store, 'fetchOrchestrationItems'), options);
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(store.troubles()).toContain('fetchOrchestrationItems');
  });

  test('wait for the end of their lease when the store does not take them back', async () => {
    const store = new TroubledStore();
    const options = { ...working().options, storeTimeoutMs: 1_000, orchestrationLockMs: 100_000 };
    await store.start({ ...late(store, 'fetchOrchestrationItems'), abandonOrchestrationItems: failing(1) }, options);
    await store.client.startOrchestration('a', 'calls');
    expect(await store.result('a')).toBe('a done');
    expect(store.log.lines.map(({ message }) => message)).toContain(
      'items of a fetch that was answered too late wait for the end of their lease',
    );
  });
});

describe('an orchestration that nobody can run', () => {
  test('is warned about once, also when the store does not tell who is there', async () => {
    const store = new TroubledStore();
    await store.start({ listRuntimes: failing(1) }, working().options);
    await store.client.startOrchestrations(['a', 'b'].map((instanceId) => ({ instanceId, orchestration: 'unheard' })));
    await store.clock.advance(1_000);
    expect(store.troubles()).toEqual(['listRuntimes']);
    const warned = store.log.lines.filter(({ fields }) => fields['orchestration'] === 'unheard');
    expect(warned).toMatchObject([{ level: 'warn', message: expect.stringContaining("'unheard' wait for a runtime") as unknown }]);
  });
});

describe('activities that were supplied ahead to a thread', () => {
  test('go to another host when the thread turns slow, and each runs once', async () => {
    const store = new TroubledStore();
    const runs: string[] = [];
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const on = (host: string) => [
      defineActivity('quick', (ctx, input: number) => void runs.push(`${host} ${input} ${ctx.attempt}`)),
      defineActivity('slow', async () => {
        runs.push(`${host} slow`);
        await gate;
      }),
    ];
    const fan = defineOrchestration('fan', async (ctx) => {
      // The host learns that its thread is fast.
      await ctx.all(Array.from({ length: 20 }, (_, index) => ctx.scheduleActivity('quick', index)));
      const slow = ctx.scheduleActivity('slow');
      const quick = Array.from({ length: 5 }, (_, index) => ctx.scheduleActivity('quick', 100 + index));
      await ctx.all(quick);
      ctx.setCustomStatus('quick ones done');
      await slow;
    });
    await store.start({}, { orchestrations: fan, activities: on('first'), activitiesPerThread: 1 });
    await store.client.startOrchestration('a', 'fan');
    while (!runs.includes('first slow')) await store.clock.advance(1);
    await store.start({}, { activities: on('second') });
    await store.pass(store.client.waitForCustomStatus('a', { afterVersion: 0 }));
    expect(runs.slice(runs.indexOf('first slow') + 1).toSorted()).toEqual(
      Array.from({ length: 5 }, (_, index) => `second ${100 + index} 1`),
    );
    release();
    await store.result('a');
    expect(runs).toHaveLength(26);
  });
});
