// Optimistic turns that something else gets in the way of: whatever it is, nothing is lost, nothing is recorded twice, and nothing stays in flight.
// A runtime in this thread, in simulated time; what happens "at the same moment" happens when the turn is on its way to the store.
import {
  defineActivity,
  defineOrchestration,
  ProviderError,
  type HistoryEvent,
  type OrchestrationAck,
  type Runtime,
  type RuntimeOptions,
} from 'duraloom';
import { describe, expect, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';
import { TroubledStore, type Around } from './troubled-store.ts';

type Step = (acks: readonly OrchestrationAck[]) => unknown;

const isAhead = ({ lockToken }: OrchestrationAck): boolean => lockToken === null;
const failure = (retryable: boolean): ProviderError =>
  new ProviderError('PROVIDER_FAILED', { operation: 'ackOrchestrationItems', retryable, message: retryable ? 'busy' : 'no such column' });

/** What the store was asked for and said of optimistic turns. */
class Notes {
  readonly outcomes: string[] = [];
  acks = 0;
  cold = 0;
}

/** Calls that are noted; before the first optimistic turns, something happens. */
function around(notes: Notes, before: Step = () => undefined, { times = 1 }: { readonly times?: number } = {}): Around {
  let left = times;
  return {
    ackOrchestrationItems: async (call, acks) => {
      if (left > 0 && acks.some(isAhead)) {
        left -= 1;
        await before(acks);
      }
      const outcomes = await call(acks);
      notes.outcomes.push(...outcomes.filter((_, index) => acks[index]?.lockToken === null));
      return outcomes;
    },
    ackWorkItems: (call, acks) => {
      notes.acks += acks.length;
      return call(acks);
    },
    readHistory: (call, requests) => {
      notes.cold += requests.length;
      return call(requests);
    },
  };
}

/** Orchestrations of all tests, and how often activities ran. */
function cast() {
  const runs: string[] = [];
  const work = defineActivity('work', (ctx, input: string) => {
    runs.push(`${ctx.instanceId} ${input} ${ctx.attempt}`);
    return `${input}!`;
  });
  const chain = defineOrchestration('chain', async (ctx, length: number) => {
    const said: string[] = [];
    for (let step = 0; step < length; step += 1) said.push(await ctx.scheduleActivity<string>('work', `${step}`));
    return said;
  });
  const hears = defineOrchestration('hears', async (ctx, _input: unknown) => {
    const event = ctx.waitForEvent<string>('news');
    const said = await ctx.scheduleActivity<string>('work', 'a');
    return [said, await event, await ctx.scheduleActivity<string>('work', 'b')];
  });
  const races = defineOrchestration('races', async (ctx, _input: unknown) => {
    const both = [ctx.scheduleActivity<string>('work', 'a'), ctx.scheduleActivity<string>('work', 'b')];
    const first = await ctx.any(both);
    return [first, await ctx.scheduleActivity<string>('work', 'c')];
  });
  const ends = defineOrchestration('ends', (ctx, _input: unknown) =>
    ctx.any([ctx.scheduleActivity<string>('work', 'a'), ctx.scheduleActivity<string>('work', 'b')]),
  );
  const renews = defineOrchestration('renews', async (ctx, round: number) => {
    await ctx.scheduleActivity<string>('work', `${round}`);
    if (round < 3) return ctx.continueAsNew(round + 1);
    return round;
  });
  const fans = defineOrchestration('fans', (ctx, width: number) =>
    ctx.all(Array.from({ length: width }, (_, index) => ctx.scheduleActivity<string>('work', `${index}`))),
  );
  const gives = defineOrchestration('gives', async (ctx, _input: unknown) => {
    const given = ctx.waitForEvent<string>('give up');
    const busy = ctx.scheduleActivity<string>('work', 'a');
    const winner = await ctx.race([given, busy]);
    return [winner, await ctx.scheduleActivity<string>('work', 'b')];
  });
  return { runs, options: { orchestrations: [chain, hears, races, ends, renews, fans, gives], activities: work } };
}

/** Resolves when simulated time has passed. */
function later(store: TroubledStore, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    store.clock.setTimer(delayMs, resolve);
  });
}

/** What no trouble may change: no id twice, each completion once, nothing left in queues and in flight. */
async function isSound(store: TroubledStore, runtimes: readonly Runtime[], instanceIds: readonly string[] = ['a']): Promise<void> {
  // Leases run out, turns and activities that were given back come again.
  await store.clock.advance(600_000);
  for (const runtime of runtimes)
    expect(runtime.stats()).toMatchObject({ turnsInFlight: 0, activitiesInFlight: 0, state: expect.any(String) as string });
  expect(await store.real.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  for (const instanceId of instanceIds) {
    const last = (await store.client.getState(instanceId))?.executionId ?? 1;
    for (let executionId = 1; executionId <= last; executionId += 1) {
      const history = await store.client.readHistory(instanceId, executionId);
      expect(history.map(({ id }) => id)).toEqual(history.map((_, index) => index + 1));
      const answered = completions(history);
      expect(new Set(answered).size).toBe(answered.length);
    }
  }
}

function completions(history: readonly HistoryEvent[]): readonly number[] {
  return history.flatMap((event) => (event.kind === 'ActivityCompleted' || event.kind === 'ActivityFailed' ? [event.sourceId] : []));
}

async function begin(before?: Step, options: Partial<RuntimeOptions> & { readonly times?: number } = {}) {
  const { times = 1, ...rest } = options;
  const store = new TroubledStore();
  const notes = new Notes();
  const { runs, options: definitions } = cast();
  const runtime = await store.start(around(notes, before, { times }), { ...definitions, ...rest });
  return { store, notes, runs, runtime };
}

describe('an optimistic turn', () => {
  test('follows each activity of a chain: none is acked by itself, and no history is read', async () => {
    const { store, notes, runs, runtime } = await begin();
    await store.client.startOrchestration('a', 'chain', 5);
    expect(await store.result('a')).toEqual(['0!', '1!', '2!', '3!', '4!']);
    expect(notes).toEqual({ outcomes: Array.from({ length: 5 }, () => 'committed'), acks: 0, cold: 0 });
    expect(runs).toEqual([0, 1, 2, 3, 4].map((step) => `a ${step} 1`));
    expect(runtime.stats()).toMatchObject({ activitiesCompleted: 5 });
    await isSound(store, [runtime]);
  });

  test('takes all activities along that ended together', async () => {
    const { store, notes, runtime } = await begin();
    await store.client.startOrchestration('a', 'fans', 20);
    expect(await store.result('a')).toHaveLength(20);
    expect(new Set(notes.outcomes)).toEqual(new Set(['committed']));
    expect(notes.acks).toBe(0);
    await isSound(store, [runtime]);
  });

  test('meets an event that is raised at the same moment: both are heard, once', async () => {
    const { store, notes, runs, runtime } = await begin(() => store.client.raiseEvent('a', 'news', 'now'));
    await store.client.startOrchestration('a', 'hears');
    expect(await store.result('a')).toEqual(['a!', 'now', 'b!']);
    expect(notes.outcomes).toEqual(['conflict', 'committed']);
    expect([notes.acks, runs]).toEqual([1, ['a a 1', 'a b 1']]);
    await isSound(store, [runtime]);
  });

  test('meets a termination: the instance stays terminated, and its activity is forgotten', async () => {
    const { store, notes, runtime } = await begin(() => store.client.terminate('a', 'enough'));
    await store.client.startOrchestration('a', 'chain', 3);
    expect(await rejection(store.result('a'))).toMatchObject({ code: 'ORCHESTRATION_TERMINATED' });
    await isSound(store, [runtime]);
    expect(notes.outcomes).toEqual(['conflict']);
    expect(await store.client.getState('a')).toMatchObject({ status: 'Terminated' });
    expect(completions(await store.client.readHistory('a'))).toEqual([]);
  });

  test('meets a suspension: the answer waits, and the activity does not run again', async () => {
    const { store, notes, runs, runtime } = await begin(() => store.client.suspend('a'));
    await store.client.startOrchestration('a', 'chain', 2);
    await store.clock.advance(600_000);
    expect(await store.real.readQueueDepths()).toEqual({ orchestratorMessages: 1, workItems: 0 });
    expect(runtime.stats()).toMatchObject({ turnsInFlight: 0, activitiesInFlight: 0 });
    await store.client.resume('a');
    expect(await store.result('a')).toEqual(['0!', '1!']);
    expect([notes.outcomes, runs]).toEqual([
      ['conflict', 'committed'],
      ['a 0 1', 'a 1 1'],
    ]);
    await isSound(store, [runtime]);
  });

  test('meets a request to cancel its instance', async () => {
    const { store, notes, runtime } = await begin(() => store.client.cancel('a', 'enough'));
    await store.client.startOrchestration('a', 'chain', 3);
    expect(await rejection(store.result('a'))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    expect(notes.outcomes[0]).toBe('conflict');
    await isSound(store, [runtime]);
  });

  test('meets the end of its activity: an event wins the race, and the answer comes too late', async () => {
    const { store, notes, runs, runtime } = await begin(async () => {
      // Before the answer can be acked by itself, a turn cancels the activity.
      await store.client.raiseEvent('a', 'give up', 'gave up');
      await later(store, 1_000);
    });
    await store.client.startOrchestration('a', 'gives');
    const [winner, last] = await store.result<[unknown, string]>('a');
    expect([JSON.stringify(winner).includes('gave up'), last]).toEqual([true, 'b!']);
    await isSound(store, [runtime]);
    // The first one was on its way while the second one came and went.
    expect(notes.outcomes).toEqual(['committed', 'conflict']);
    expect(runs).toEqual(['a a 1', 'a b 1']);
  });

  test('that continues as new is left to a fetch', async () => {
    const { store, notes, runs, runtime } = await begin();
    await store.client.startOrchestration('a', 'renews', 1);
    expect(await store.result('a')).toBe(3);
    // After two turns in vain the third one, which would do, is not tried.
    expect(notes.outcomes).toEqual([]);
    expect([notes.acks, runs]).toEqual([3, ['a 1 1', 'a 2 1', 'a 3 1']]);
    await isSound(store, [runtime]);
  });

  test('is tried less and less where something always comes between, and again when nothing does', async () => {
    const { store, notes, runtime } = await begin(() => store.client.raiseEvent('a', 'news', 'now'), { times: 8 });
    await store.client.startOrchestration('a', 'chain', 300);
    expect(await store.result('a')).toHaveLength(300);
    expect(notes.outcomes.filter((outcome) => outcome === 'conflict')).toHaveLength(8);
    // One is passed over after the second conflict, two after the third, four after the fourth, and so on.
    expect(notes.acks).toBeGreaterThan(8 + 1 + 2 + 4 + 8 + 16 + 32);
    expect(notes.acks + notes.outcomes.filter((outcome) => outcome === 'committed').length).toBe(300);
    expect(notes.outcomes.slice(-2)).toEqual(['committed', 'committed']);
    await isSound(store, [runtime]);
  });

  test.each(['races', 'ends'])('that has enough with one of several answers records the others as well, or ends: %s', async (name) => {
    const { store, notes, runs, runtime } = await begin();
    await store.client.startOrchestration('a', name);
    await store.result('a');
    await isSound(store, [runtime]);
    expect(new Set(runs).size).toBe(runs.length);
    expect(notes.outcomes).toContain('committed');
  });

  test('is dropped with its engine when the thread dies during the turn, and nobody is charged', async () => {
    const store = new TroubledStore();
    const notes = new Notes();
    const crashes = { left: 2 };
    const runtimes: Runtime[] = [];
    const fragile = defineOrchestration('fragile', async (ctx, _input: unknown) => {
      const said = await ctx.scheduleActivity<string>('work', 'a');
      if (crashes.left > 0) {
        crashes.left -= 1;
        runtimes[0]?.crashThread({ kind: 'replay' });
      }
      return [said, await ctx.scheduleActivity<string>('work', 'b')];
    });
    const { runs, options } = cast();
    runtimes.push(await store.start(around(notes), { ...options, orchestrations: fragile, maxAttempts: 2 }));
    await store.client.startOrchestration('a', 'fragile');
    expect(await store.result('a')).toEqual(['a!', 'b!']);
    // The first death was that of an optimistic turn. With the second one, of a fetched turn, there would be no third attempt.
    expect([crashes.left, notes.acks, runs]).toEqual([0, 1, ['a a 1', 'a b 1']]);
    await isSound(store, runtimes);
  });

  test('goes on when the thread of its activity dies meanwhile', async () => {
    const { store, notes, runs, runtime } = await begin(() => runtime.crashThread({ kind: 'activity' }));
    await store.client.startOrchestration('a', 'chain', 3);
    expect(await store.result('a')).toEqual(['0!', '1!', '2!']);
    expect(notes.outcomes).toEqual(['committed', 'committed', 'committed']);
    // The next activity was sent to the thread that was just dying.
    expect(runs.map((run) => run.slice(0, 3))).toEqual(['a 0', 'a 1', 'a 2']);
    await isSound(store, [runtime]);
  });

  test('goes on when the thread of its engine dies while it is being committed', async () => {
    const { store, notes, runtime } = await begin(() => runtime.crashThread({ kind: 'replay' }));
    await store.client.startOrchestration('a', 'chain', 3);
    expect(await store.result('a')).toEqual(['0!', '1!', '2!']);
    expect(notes.outcomes[0]).toBe('committed');
    await isSound(store, [runtime]);
  });

  test('leaves room for turns that have to be fetched, however many there are of its kind', async () => {
    const { store, notes, runtime } = await begin(() => later(store, 10_000), { turnsPerThread: 1 });
    const startedMs = store.clock.nowMs();
    await store.client.startOrchestration('a', 'chain', 2);
    await store.clock.advance(1_000);
    // The fetch that was open when the optimistic turn began gets the first one.
    for (const instanceId of ['b', 'c']) {
      await store.client.startOrchestration(instanceId, 'chain', 0);
      expect(await store.result(instanceId)).toEqual([]);
    }
    expect(store.clock.nowMs() - startedMs).toBeLessThan(10_000);
    expect(await store.result('a')).toEqual(['0!', '1!']);
    expect(notes.outcomes).toEqual(['committed', 'committed']);
    await isSound(store, [runtime]);
  });

  test('is not tried when no engine is kept', async () => {
    const { store, notes, runtime } = await begin(undefined, { stickyCacheMb: 0 });
    await store.client.startOrchestrations(['a', 'b', 'c'].map((instanceId) => ({ instanceId, orchestration: 'chain', input: 4 })));
    for (const instanceId of ['a', 'b', 'c']) expect(await store.result(instanceId)).toHaveLength(4);
    expect([notes.outcomes, notes.acks]).toEqual([[], 12]);
    await isSound(store, [runtime], ['a', 'b', 'c']);
  });
});

describe('activities that end while an optimistic turn of their instance is under way', () => {
  const NAPS = [10, 20, 30, 60];

  /** Activities that end one after the other; the turn of the first one is on its way until the second and the third have ended. */
  async function nap(meanwhile: (store: TroubledStore, acks: readonly OrchestrationAck[]) => unknown = () => undefined) {
    const store = new TroubledStore();
    const notes = new Notes();
    const naps = defineActivity('nap', async (_ctx, ms: number) => {
      await later(store, ms);
      return ms;
    });
    const sleepers = defineOrchestration('sleepers', (ctx, _input: unknown) =>
      ctx.all(NAPS.map((ms) => ctx.scheduleActivity<number>('nap', ms))),
    );
    const before: Step = async (acks) => {
      await later(store, 25);
      await meanwhile(store, acks);
    };
    const options = { orchestrations: sleepers, activities: naps, activitiesPerThread: 10, maxAttempts: 1 };
    const runtime = await store.start(around(notes, before), options);
    await store.client.startOrchestration('a', 'sleepers');
    const answered = async (): Promise<readonly number[]> => completions(await store.client.readHistory('a'));
    return { store, notes, runtime, answered, options };
  }

  test('are for the turn after it: none is acked by itself, and the engine stays', async () => {
    const { store, notes, runtime, answered } = await nap();
    expect(await store.result('a')).toEqual(NAPS);
    expect(notes).toEqual({ outcomes: ['committed', 'committed', 'committed'], acks: 0, cold: 0 });
    expect(await answered()).toEqual([2, 3, 4, 5]);
    await isSound(store, [runtime]);
  });

  test('are acked by themselves when that turn is not committed', async () => {
    const { store, notes, runtime, answered } = await nap((at) => at.client.raiseEvent('a', 'news', 'now'));
    expect(await store.result('a')).toEqual(NAPS);
    expect([notes.outcomes, notes.acks]).toEqual([['conflict', 'committed'], 3]);
    // A fetch had the instance before the store said so: they did not wait for the answer.
    expect(await answered()).toEqual([3, 4, 2, 5]);
    await isSound(store, [runtime]);
  });

  test('are acked by themselves as soon as a fetch has the instance', async () => {
    const { store, notes, runtime, answered } = await nap(async (at) => {
      await at.client.raiseEvent('a', 'news', 'now');
      await later(at, 100);
    });
    expect(await store.result('a')).toEqual(NAPS);
    await isSound(store, [runtime]);
    // The last one ended when the turn of the event and of those before it was long over, and the first one still on its way.
    expect([notes.outcomes, notes.acks]).toEqual([['committed', 'conflict'], 3]);
    expect(await answered()).toEqual([3, 4, 5, 2]);
  });

  test.each([true, false])('are not lost when the store refuses that turn; retryable: %s', async (retryable) => {
    const { store, notes, runtime, answered } = await nap(() => Promise.reject(failure(retryable)));
    expect(await store.result('a')).toEqual(NAPS);
    expect([notes.acks, await answered()]).toEqual([3, [2, 3, 4, 5]]);
    await isSound(store, [runtime]);
  });

  test('are forgotten when the instance is terminated', async () => {
    const { store, notes, runtime, answered } = await nap((at) => at.client.terminate('a', 'enough'));
    expect(await rejection(store.result('a'))).toMatchObject({ code: 'ORCHESTRATION_TERMINATED' });
    await isSound(store, [runtime]);
    expect([notes.outcomes, await answered()]).toEqual([['conflict'], []]);
  });

  test.each([undefined, 0])('are committed or given back by a shutdown meanwhile, timeout %s', async (timeoutMs) => {
    const shutdowns: Promise<void>[] = [];
    const runtimes: Runtime[] = [];
    const { store, runtime, answered, options } = await nap(() => {
      for (const one of runtimes) shutdowns.push(one.shutdown(timeoutMs === undefined ? {} : { timeoutMs }));
    });
    runtimes.push(runtime);
    await store.clock.advance(40);
    await store.pass(Promise.all(shutdowns));
    expect([shutdowns.length, runtime.stats().state]).toEqual([1, 'stopped']);
    const second = await store.start({}, options);
    expect(await store.result('a')).toEqual(NAPS);
    expect(new Set(await answered())).toEqual(new Set([2, 3, 4, 5]));
    await isSound(store, [second]);
  });
});

describe('a store that fails with optimistic turns', () => {
  const all = ['a', 'b', 'c'];

  /** Several chains whose turns go in common batches. */
  async function chains(store: TroubledStore): Promise<void> {
    await store.client.startOrchestrations(all.map((instanceId) => ({ instanceId, orchestration: 'chain', input: 3 })));
    for (const instanceId of all) expect(await store.result(instanceId)).toEqual(['0!', '1!', '2!']);
  }

  test.each([true, false])('before it stored them: the activities are acked by themselves; retryable: %s', async (retryable) => {
    const { store, runs, runtime } = await begin(() => Promise.reject(failure(retryable)), { times: 4, maxAttempts: 1 });
    await chains(store);
    expect(new Set(runs).size).toBe(9);
    expect(runs.every((run) => run.endsWith(' 1'))).toBe(true);
    await isSound(store, [runtime], all);
  });

  test.each([true, false])('after it stored them: nothing is recorded twice; retryable: %s', async (retryable) => {
    const store = new TroubledStore();
    const { runs, options } = cast();
    const state = { left: 4 };
    const runtime = await store.start(
      {
        ackOrchestrationItems: async (call, acks) => {
          const outcomes = await call(acks);
          if (!acks.some(isAhead) || state.left === 0) return outcomes;
          state.left -= 1;
          throw failure(retryable);
        },
      },
      { ...options, maxAttempts: 2 },
    );
    await chains(store);
    expect([new Set(runs).size, runs.length]).toEqual([9, 9]);
    expect(state.left).toBeLessThan(4);
    await isSound(store, [runtime], all);
  });

  test('for ever: everything goes the other way', async () => {
    const { store, notes, runs, runtime } = await begin(() => Promise.reject(failure(false)), { times: 1_000_000, maxAttempts: 1 });
    await chains(store);
    expect([notes.acks, runs.length, notes.outcomes]).toEqual([9, 9, []]);
    await isSound(store, [runtime], all);
  });

  test('for one of them: the others are committed', async () => {
    const store = new TroubledStore();
    const { runs, options } = cast();
    const isBad = (ack: OrchestrationAck): boolean => isAhead(ack) && ack.instanceId === 'b';
    const runtime = await store.start(
      { ackOrchestrationItems: (call, acks) => (acks.some(isBad) ? Promise.reject(failure(false)) : call(acks)) },
      { ...options, maxAttempts: 1 },
    );
    await chains(store);
    expect(runs.length).toBe(9);
    await isSound(store, [runtime], all);
  });

  test('by not answering: the activities are acked by themselves, and the late commit is a conflict or the only one', async () => {
    const { store, runs, runtime } = await begin(() => later(store, 90_000), { storeTimeoutMs: 30_000, activityLockMs: 600_000 });
    await store.client.startOrchestration('a', 'chain', 3);
    expect(await store.result('a')).toEqual(['0!', '1!', '2!']);
    expect(runs).toEqual(['a 0 1', 'a 1 1', 'a 2 1']);
    await isSound(store, [runtime]);
  });

  test('and with what comes after them: a result that nobody can store is offered until its lock ends, then the activity runs again', async () => {
    const store = new TroubledStore();
    const { runs, options } = cast();
    const state = { fails: true };
    const refuse = <Value>(call: () => Promise<Value>): Promise<Value> => (state.fails ? Promise.reject(failure(true)) : call());
    const runtime = await store.start(
      {
        ackOrchestrationItems: (call, acks) => (acks.some(isAhead) ? refuse(() => call(acks)) : call(acks)),
        ackWorkItems: (call, acks) => refuse(() => call(acks)),
      },
      options,
    );
    await store.client.startOrchestration('a', 'chain', 2);
    await store.clock.advance(10_000);
    state.fails = false;
    expect(await store.result('a')).toEqual(['0!', '1!']);
    expect(runs.length).toBeGreaterThanOrEqual(2);
    await isSound(store, [runtime]);
  });
});

describe('a shutdown', () => {
  /** All calls of a runtime to its store. */
  const CALLS = ['ackOrchestrationItems', 'ackWorkItems', 'fetchOrchestrationItems', 'fetchWorkItems'] as const;

  /** Runs the given number of calls, then shuts down; then another runtime finishes. */
  async function stopAt(number: number, timeoutMs: number | undefined, when: 'before' | 'after'): Promise<number> {
    const store = new TroubledStore();
    const { runs, options } = cast();
    const state: { calls: number; stopped: Promise<void> | null } = { calls: 0, stopped: null };
    const runtimes: Runtime[] = [];
    const stop = (): void => {
      state.stopped ??= runtimes[0]?.shutdown(timeoutMs === undefined ? {} : { timeoutMs }) ?? null;
    };
    const step = async (call: (...args: readonly unknown[]) => Promise<unknown>, ...args: readonly unknown[]): Promise<unknown> => {
      state.calls += 1;
      const isTheOne = state.calls === number;
      if (isTheOne && when === 'before') stop();
      const answer = await call(...args);
      if (isTheOne && when === 'after') stop();
      return answer;
    };
    const noted = Object.fromEntries(CALLS.map((name) => [name, step])) as Around;
    runtimes.push(await store.start(noted, options));
    await store.client.startOrchestrations([
      { instanceId: 'a', orchestration: 'chain', input: 3 },
      { instanceId: 'b', orchestration: 'fans', input: 3 },
      { instanceId: 'c', orchestration: 'renews', input: 2 },
    ]);
    await store.clock.advance(100);
    stop();
    if (state.stopped !== null) await store.pass(state.stopped);
    expect(runtimes[0]?.stats()).toMatchObject({ state: 'stopped' });
    const second = await store.start({}, options);
    expect(await store.result('a')).toEqual(['0!', '1!', '2!']);
    expect(await store.result('b')).toEqual(['0!', '1!', '2!']);
    expect(await store.result('c')).toBe(3);
    await isSound(store, [second], ['a', 'b', 'c']);
    // Without time to finish, answers may be lost, and then their activities run again.
    if (timeoutMs === undefined) expect(runs.length).toBe(8);
    return state.calls;
  }

  test.each([
    { timeoutMs: undefined, when: 'before' as const },
    { timeoutMs: undefined, when: 'after' as const },
    { timeoutMs: 0, when: 'before' as const },
    { timeoutMs: 0, when: 'after' as const },
  ])('at any call of the store loses nothing and records nothing twice: $when it, timeout $timeoutMs', async ({ timeoutMs, when }) => {
    const calls = await stopAt(-1, timeoutMs, when);
    expect(calls).toBeGreaterThan(8);
    for (let number = 1; number <= calls; number += 1) await stopAt(number, timeoutMs, when);
  });
});

describe('two runtimes on one store', () => {
  test('leave each other alone: what one computes ahead is a conflict when the other has the instance', async () => {
    const store = new TroubledStore();
    const notes = new Notes();
    const { runs, options } = cast();
    const runtimes = [await store.start(around(notes), options), await store.start(around(notes), options)];
    const ids = Array.from({ length: 30 }, (_, index) => `i${index}`);
    await store.client.startOrchestrations(
      ids.map((instanceId, index) => ({ instanceId, orchestration: index % 2 === 0 ? 'chain' : 'fans', input: 4 })),
    );
    for (const instanceId of ids) expect(await store.result(instanceId)).toHaveLength(4);
    expect([runs.length, new Set(runs).size]).toEqual([120, 120]);
    await isSound(store, runtimes, ids);
  });

  test('one has the orchestrations and the other the activities: nothing is computed ahead', async () => {
    const store = new TroubledStore();
    const notes = new Notes();
    const { options } = cast();
    const runtimes = [
      await store.start(around(notes), { orchestrations: options.orchestrations }),
      await store.start(around(notes), { activities: options.activities }),
    ];
    await store.client.startOrchestration('a', 'chain', 4);
    expect(await store.result('a')).toHaveLength(4);
    expect([notes.outcomes, notes.acks]).toEqual([[], 4]);
    await isSound(store, runtimes);
  });
});
