// What each kind of fault does, on both stores; and that the log of every such run makes it happen again.
import type { Provider } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Fault, FaultPlan, FaultyOperation } from 'duraloom/testing';
import { rejection } from '../support/integration-stage.ts';
import {
  ackOf,
  answersTo,
  fetchTurns,
  fetchWork,
  leftOf,
  LOCK_MS,
  newInstance,
  once,
  open,
  STORES,
  withWork,
  type Store,
} from './faulty-stage.ts';

/** Runs something with one fault, then with the log of that run as script: the effect and the log are the same. */
async function replayed<Effect>(kind: (typeof STORES)[number], plan: FaultPlan, run: (store: Store) => Promise<Effect>): Promise<Effect> {
  const first = await open(kind, plan);
  const effect = await run(first);
  expect(first.faults.log).toEqual(plan.script);
  const second = await open(kind, { seed: 0, script: first.faults.log });
  expect(await run(second)).toEqual(effect);
  expect(second.faults.log).toEqual(first.faults.log);
  return effect;
}

const outcomeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  await promise.catch((error: Error) => error.message.split(': ')[2]);

describe.each(STORES)('on %s', (kind) => {
  const effectOf = <Effect>(operation: FaultyOperation, fault: Fault, run: (store: Store) => Promise<Effect>): Promise<Effect> =>
    replayed(kind, once(operation, fault), run);

  test('errorBefore rejects with a retryable error that says what was injected, and nothing is done', async () => {
    await effectOf('startInstances', { kind: 'errorBefore' }, async ({ faults, real }) => {
      const error = await rejection(faults.startInstances([newInstance('a')]));
      expect(error).toMatchObject({ code: 'PROVIDER_FAILED', retryable: true, operation: 'startInstances' });
      expect(error.message).toMatch(/^injected fault: startInstances failed at call 1 \(seed [07]\): nothing was done/);
      expect(await real.readInstances(['a'])).toEqual([null]);
      expect(await faults.startInstances([newInstance('a')])).toEqual(['started']);
    });
  });

  test('errorAfter rejects although it is done', async () => {
    await effectOf('startInstances', { kind: 'errorAfter' }, async ({ faults }) => {
      expect(await outcomeOf(faults.startInstances([newInstance('a')]))).toMatch('it was done, the answer is lost');
      expect(await faults.startInstances([newInstance('a')])).toEqual(['exists']);
    });
  });

  test('errorAfter of a fetch keeps its items locked until their lease ends', async () => {
    await effectOf('fetchOrchestrationItems', { kind: 'errorAfter' }, async ({ faults, clock }) => {
      await faults.startInstances([newInstance('a')]);
      expect(await outcomeOf(fetchTurns(faults))).toMatch('it was done');
      expect(await fetchTurns(faults)).toEqual([]);
      await clock.advance(LOCK_MS);
      expect((await fetchTurns(faults)).map(({ messages }) => messages[0]?.attempt)).toEqual([2]);
    });
  });

  test.each(['before', 'after'] as const)('delay %s the store does it is time of the clock', async (when) => {
    await effectOf('startInstances', { kind: 'delay', when, ms: 500 }, async ({ faults, real, clock }) => {
      const started = faults.startInstances([newInstance('a')]);
      await clock.advance(499);
      expect((await real.readInstances(['a']))[0]?.status).toBe(when === 'before' ? undefined : 'Pending');
      expect(clock.pendingTimers).toBeGreaterThanOrEqual(1);
      await clock.advance(1);
      expect(await started).toEqual(['started']);
    });
  });

  test.each([true, false])('hang never answers; the signal ends it (done: %s)', async (done) => {
    await effectOf('fetchOrchestrationItems', { kind: 'hang', done, ms: null }, async ({ faults, clock }) => {
      await faults.startInstances([newInstance('a')]);
      const stop = new AbortController();
      const fetched = faults.fetchOrchestrationItems({ maxItems: 1, lockMs: 90_000_000, waitMs: 10, signal: stop.signal });
      let isOver = false;
      const outcome = outcomeOf(fetched).finally(() => (isOver = true));
      await clock.advance(86_400_000);
      expect(isOver).toBe(false);
      stop.abort();
      expect(await outcome).toMatch(done ? 'it was done' : 'nothing was done');
      expect(await fetchTurns(faults)).toHaveLength(done ? 0 : 1);
    });
  });

  test('hang ends by the disconnection and by its time limit', async () => {
    await effectOf('readQueueDepths', { kind: 'hang', done: true, ms: null }, async ({ faults }) => {
      const depths = faults.readQueueDepths();
      faults.disconnect();
      expect(await outcomeOf(depths)).toMatch('the connection dropped');
    });
    await effectOf('readQueueDepths', { kind: 'hang', done: true, ms: 60 }, async ({ faults, clock }) => {
      const outcome = outcomeOf(faults.readQueueDepths());
      await clock.advance(60);
      expect(await outcome).toMatch('no answer came');
    });
  });

  test.each(['first', 'second'] as const)('duplicate sends twice and gives the %s answer', async (answer) => {
    await effectOf('ackWorkItems', { kind: 'duplicate', answer }, async ({ faults, real }) => {
      const items = await withWork(faults, 2);
      expect(await faults.ackWorkItems(answersTo(items))).toEqual(answer === 'first' ? ['done', 'done'] : ['gone', 'gone']);
      expect((await real.readQueueDepths()).orchestratorMessages).toBe(2);
    });
  });

  test('duplicate of a fetch delivers the same once more, as far as there is room and to who asks the same', async () => {
    await effectOf('fetchWorkItems', { kind: 'duplicate', answer: 'first' }, async ({ faults }) => {
      const items = await withWork(faults, 2);
      const others = { maxItems: 5, lockMs: LOCK_MS, waitMs: 0, select: { kind: 'expired' } } as const;
      expect((await faults.fetchWorkItems(others)).items).toEqual([]);
      expect(await fetchWork(faults, 1)).toEqual(items.slice(0, 1));
      expect(await fetchWork(faults)).toEqual(items.slice(1));
      expect(await fetchWork(faults)).toEqual([]);
      expect(await faults.ackWorkItems(answersTo(items))).toEqual(['done', 'done']);
    });
  });

  test.each([
    ['ackWorkItems', (provider, items) => provider.ackWorkItems(answersTo(items))],
    ['renewWorkLocks', (provider, items) => provider.renewWorkLocks(answersTo(items), LOCK_MS)],
    [
      'abandonWorkItems',
      (provider, items) => provider.abandonWorkItems(items.map((item) => ({ ...item, delayMs: 0, countAttempt: false }))),
    ],
  ] as readonly (readonly [FaultyOperation, (provider: Provider, items: Awaited<ReturnType<typeof withWork>>) => Promise<unknown>])[])(
    'lockLost: %s comes too late, the items are free for others with an attempt counted',
    async (operation, call) => {
      await effectOf(operation, { kind: 'lockLost' }, async ({ faults }) => {
        const items = await withWork(faults, 2);
        expect(await call(faults, items)).toEqual(['lockLost', 'lockLost']);
        expect((await fetchWork(faults)).map(({ attempt }) => attempt)).toEqual([2, 2]);
      });
    },
  );

  test('lockLost of turns: nothing of them is stored', async () => {
    for (const operation of ['ackOrchestrationItems', 'renewOrchestrationLocks', 'abandonOrchestrationItems'] as const) {
      await effectOf(operation, { kind: 'lockLost' }, async ({ faults }) => {
        await faults.startInstances([newInstance('a')]);
        const items = await fetchTurns(faults);
        const abandoned = items.map(({ instanceId, lockToken }) => ({ instanceId, lockToken, delayMs: 0, countAttempt: false }));
        if (operation === 'ackOrchestrationItems')
          expect(await faults.ackOrchestrationItems(items.map((item) => ackOf(item)))).toEqual(['lockLost']);
        else if (operation === 'renewOrchestrationLocks')
          expect(await faults.renewOrchestrationLocks(items, LOCK_MS)).toEqual(['lockLost']);
        else expect(await faults.abandonOrchestrationItems(abandoned)).toEqual(['lockLost']);
        expect((await fetchTurns(faults)).map(({ lastEventId }) => lastEventId)).toEqual([0]);
      });
    }
  });

  test('staleRead answers with an earlier answer to the same question', async () => {
    await replayed(kind, once('readInstances', { kind: 'staleRead', age: 1 }, 3), async ({ faults }) => {
      expect(await faults.readInstances(['a'])).toEqual([null]);
      expect(await faults.readInstances(['b'])).toEqual([null]);
      await faults.startInstances([newInstance('a')]);
      expect(await faults.readInstances(['a'])).toEqual([null]);
      expect(await faults.readInstances(['a'])).toMatchObject([{ status: 'Pending' }]);
    });
  });

  test('staleRead does not happen where nobody asked before', async () => {
    const { faults } = await open(kind, { seed: 1, rates: { any: { staleRead: 1 } } });
    await faults.startInstances([newInstance('a')]);
    expect(await faults.readInstances(['a'])).toMatchObject([{ status: 'Pending' }]);
    expect(faults.log).toEqual([]);
    await faults.readInstances(['a']);
    expect(faults.log).toMatchObject([{ operation: 'readInstances', call: 2, fault: { kind: 'staleRead' } }]);
  });

  test('partial: some are done, the rest lost their locks', async () => {
    await effectOf('ackWorkItems', { kind: 'partial', done: [0, 2], rest: 'lockLost' }, async ({ faults }) => {
      const items = await withWork(faults, 3);
      expect(await faults.ackWorkItems(answersTo(items))).toEqual(['done', 'lockLost', 'done']);
      expect(await leftOf(faults)).toEqual([2]);
    });
  });

  test('partial: some are done, and the call rejects', async () => {
    await effectOf('ackWorkItems', { kind: 'partial', done: [1], rest: 'error' }, async ({ faults }) => {
      const items = await withWork(faults, 3);
      expect(await outcomeOf(faults.ackWorkItems(answersTo(items)))).toMatch('of 3 items those at 1 were done');
      expect(await leftOf(faults)).toEqual([1, 3]);
      expect(await faults.ackWorkItems(answersTo(items))).toEqual(['done', 'gone', 'done']);
    });
  });

  test.each([true, false])('disconnect: all calls reject until it is over (done: %s)', async (done) => {
    await effectOf('startInstances', { kind: 'disconnect', done, ms: 300 }, async ({ faults, real, clock }) => {
      const parked = outcomeOf(
        faults.fetchOrchestrationItems({ maxItems: 1, lockMs: LOCK_MS, waitMs: 60_000, signal: new AbortController().signal }),
      );
      const waiting = outcomeOf(faults.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 60_000 }));
      await clock.advance(10);
      expect(await outcomeOf(faults.startInstances([newInstance('b')]))).toMatch('the connection dropped');
      // Done: the parked fetch has it before the connection drops.
      if (!done) expect(await parked).toMatch('the connection dropped');
      expect(await waiting).toMatch('the connection dropped');
      expect(await outcomeOf(faults.readQueueDepths())).toMatch('the connection is down');
      expect((await real.readInstances(['b']))[0]?.status).toBe(done ? 'Pending' : undefined);
      await clock.advance(300);
      expect((await faults.readQueueDepths()).orchestratorMessages).toBe(done ? 1 : 0);
    });
  });

  test('a parked fetch whose connection dropped takes nothing', async () => {
    const { faults } = await open(kind, { seed: 1 });
    const parked = outcomeOf(faults.fetchOrchestrationItems({ maxItems: 1, lockMs: LOCK_MS, waitMs: 60_000 }));
    faults.disconnect();
    expect(await parked).toMatch('the connection dropped');
    faults.reconnect();
    await faults.startInstances([newInstance('a')]);
    expect(await fetchTurns(faults)).toHaveLength(1);
  });

  test('close works while calls hang, sleep and wait, and ends them', async () => {
    const { faults, real } = await open(kind, {
      seed: 1,
      script: [
        { operation: 'readQueueDepths', call: 1, fault: { kind: 'hang', done: false, ms: null } },
        { operation: 'listRuntimes', call: 1, fault: { kind: 'delay', when: 'after', ms: 1_000_000 } },
      ],
    });
    const held = faults.debugPoint('readValues:after');
    const hanging = outcomeOf(faults.readQueueDepths());
    const slow = faults.listRuntimes();
    const paused = faults.readValues('a', null);
    const parked = fetchTurnsLong(faults);
    await held.reached;
    await faults.close();
    expect(await hanging).toMatch('no answer came');
    expect(await slow).toEqual([]);
    expect(await paused).toEqual([]);
    expect(await parked).toEqual([]);
    expect(await rejection(faults.readQueueDepths())).toMatchObject({ code: 'PROVIDER_CLOSED' });
    onTestFinished(() => real.close());
  });
});

async function fetchTurnsLong(provider: Provider): Promise<readonly unknown[]> {
  return (await provider.fetchOrchestrationItems({ maxItems: 1, lockMs: LOCK_MS, waitMs: 60_000 })).items;
}
