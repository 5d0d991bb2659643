// Contract cases that need more of a store than a provider: that it outlives its provider, has several users, can be damaged.
// A store that cannot is skipped. Neighbours: conformance-case.ts says what may be asked for, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { setTimeout as realDelay } from 'node:timers/promises';
import { SimulatedClock } from '../provider/simulated-clock.ts';
import {
  ack,
  ackWork,
  activity,
  attempts,
  cases,
  closing,
  commit,
  effects,
  ended,
  enqueue,
  eventIds,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchParams,
  fetchWork,
  history,
  instanceIds,
  newInstance,
  nextExecution,
  page,
  payloads,
  queued,
  read,
  renewWork,
  routing,
  run,
  start,
  startOne,
  timer,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

/** How long one store may take to hear of a commit through another, in milliseconds. */
const NEWS_MS = 5_000;

/** Lets simulated and real time pass at one pace until a promise settles: a store may look for news by either. */
async function settled<Value>(clock: SimulatedClock, promise: Promise<Value>): Promise<Value> {
  const state = { isOver: false };
  const end = (): void => {
    state.isOver = true;
  };
  promise.then(end, end);
  for (let elapsedMs = 0; !state.isOver && elapsedMs < NEWS_MS; elapsedMs += 1) {
    await realDelay(1);
    await clock.advance(1);
  }
  assert.ok(state.isOver, `expected the call to hear of the commit within ${NEWS_MS} ms`);
  return await promise;
}

const restarts = cases('restarts', {
  'what was answered is there after a close, down to the last payload': async ({ provider, clock, reopen }) => {
    await run(provider, 'a', {
      page: page(4),
      customStatus: '"half"',
      workItems: [activity(2), activity(3, { routing: routing({ tag: 'gpu', priority: 2 }) })],
      timers: [timer(4, clock.nowMs() + 60_000)],
      starts: [{ ...newInstance('child'), conflictPayload: null }],
      effects: effects({ values: [{ key: 'k', value: 'v' }], subscriptions: [{ pattern: 't/*', subscribed: true }] }),
    });
    await enqueue(provider, 'a', 'm');
    const before = [await read(provider, 'a'), await history(provider, 'a'), await provider.readValues('a', null), await queued(provider)];
    await provider.close();
    const again = await reopen();
    assert.deepEqual([await read(again, 'a'), await history(again, 'a'), await again.readValues('a', null), await queued(again)], before);
    assert.deepEqual((await fetchItems(again)).map(payloads), [['m'], ['start child']]);
    assert.deepEqual(eventIds(await fetchWork(again)), [2]);
    assert.deepEqual(await again.publish([{ topic: 't/x', payload: 'p' }]), [1]);
    await clock.advance(60_000);
    assert.deepEqual(payloads((await fetchItems(again))[0] ?? assert.fail()), ['m', 'p', 'timer 4']);
  },
  'what was answered is there after a crash': async ({ provider, reopen }) => {
    await start(provider, 'a', 'b');
    const [a] = await fetchItems(provider, { maxItems: 1 });
    assert.ok(a !== undefined);
    await commit(provider, a, { page: page(2), workItems: [activity(2)] });
    const again = await reopen();
    assert.deepEqual([(await read(again, 'a')).lastEventId, (await read(again, 'b')).status], [2, 'Pending']);
    assert.equal((await fetchOneWork(again)).instanceId, 'a');
    assert.equal((await fetchOne(again)).instanceId, 'b');
  },
  'T59 locks outlive a crash: they hold until they expire, and the token is still worth something': async ({ provider, clock, reopen }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    const [turn, item] = [await fetchOne(provider, { lockMs: 10_000 }), await fetchOneWork(provider, { lockMs: 20_000 })];
    const again = await reopen();
    await fetchNone(again);
    assert.deepEqual(await fetchWork(again), []);
    await clock.advance(10_000);
    assert.equal(await ack(again, turn), 'lockLost');
    assert.deepEqual(attempts(await fetchOne(again)), [2]);
    assert.equal(await ackWork(again, item), 'done');
  },
  'attempts and heartbeats outlive a crash': async ({ provider, clock, reopen }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await renewWork(provider, [await fetchOneWork(provider)], 1_000, 'half way');
    await clock.advance(1_000);
    const { attempt, heartbeat } = await fetchOneWork(await reopen());
    assert.deepEqual([attempt, heartbeat], [2, 'half way']);
  },
  'message ids and numbers of sessions go on after a restart': async ({ provider, reopen }) => {
    await run(provider, 'a', { effects: effects({ sessionMessages: [{ sessionId: 's', payload: 'one' }] }) });
    await enqueue(provider, 'a', 'm');
    const before = await fetchOne(provider);
    const [first] = await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 });
    assert.ok(first !== undefined);
    await provider.receiveSessionMessages({ sessionId: 's', afterSeq: first.seq, waitMs: 0 });
    await commit(provider, before);
    await provider.close();
    const again = await reopen();
    await enqueue(again, 'a', 'n');
    const after = await fetchOne(again);
    assert.ok((after.messages[0]?.messageId ?? 0) > (before.messages[0]?.messageId ?? 0));
    await commit(again, after, { effects: effects({ sessionMessages: [{ sessionId: 's', payload: 'two' }] }) });
    const [second] = await again.receiveSessionMessages({ sessionId: 's', afterSeq: first.seq, waitMs: 0 });
    assert.deepEqual([second?.payload, (second?.seq ?? 0) > first.seq], ['two', true]);
  },
  'executions go on counting after a restart, and the histories of all are there': async ({ provider, reopen }) => {
    await run(provider, 'a', { next: nextExecution });
    await provider.close();
    const again = await reopen();
    const item = await fetchOne(again);
    assert.deepEqual([item.executionId, payloads(item)], [2, ['start next']]);
    await commit(again, item, { page: page(1), next: nextExecution });
    assert.equal((await fetchOne(again)).executionId, 3);
    assert.deepEqual([(await history(again, 'a', 1)).length, (await history(again, 'a', 2)).length], [1, 1]);
  },
  'a restart in each state of an instance keeps that state': async ({ provider, reopen }) => {
    await start(provider, 'done', 'poisoned', 'resting', 'stopped');
    for (const item of await fetchItems(provider)) {
      const status = item.instanceId === 'done' ? 'Completed' : item.instanceId === 'poisoned' ? 'Quarantined' : 'Running';
      await commit(provider, item, { status, output: status === 'Running' ? null : '"o"' });
    }
    await provider.controlInstances([
      { kind: 'suspend', instanceId: 'resting' },
      { kind: 'terminate', instanceId: 'stopped', output: '"o"', parentMessage: null, closeChildren: closing },
    ]);
    await provider.close();
    const again = await reopen();
    const records = await again.readInstances(['done', 'poisoned', 'resting', 'stopped']);
    assert.deepEqual(
      records.map((record) => record?.status),
      ['Completed', 'Quarantined', 'Suspended', 'Terminated'],
    );
    await fetchNone(again);
  },
  'many restarts lose and repeat nothing': async ({ provider, reopen }) => {
    await start(provider, 'a');
    let current = provider;
    for (let round = 0; round < 10; round += 1) {
      const item = await fetchOne(current);
      assert.equal(item.lastEventId, round);
      await commit(current, item, { page: page(round + 1), messages: [{ instanceId: 'a', payload: `m${round}` }] });
      if (round % 2 === 0) await current.close();
      current = await reopen();
    }
    assert.equal((await history(current, 'a')).length, 10);
    assert.deepEqual(payloads(await fetchOne(current)), ['m9']);
  },
});

const sharing = cases('several users of one store', {
  'two providers see each other': async ({ provider, openSecond }) => {
    const second = await openSecond();
    await start(provider, 'a');
    assert.equal((await read(second, 'a')).status, 'Pending');
    await commit(second, await fetchOne(second), { page: page(2) });
    assert.equal((await read(provider, 'a')).lastEventId, 2);
  },
  'two providers never hand out the same instance or work item': async ({ provider, openSecond }) => {
    const second = await openSecond();
    const all = Array.from({ length: 60 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await start(provider, ...all);
    const both = [provider, second];
    const fetches = await Promise.all(both.flatMap((each) => Array.from({ length: 10 }, () => fetchItems(each, { maxItems: 5 }))));
    assert.deepEqual(fetches.flatMap(instanceIds).toSorted(), all);
    for (const item of fetches.flat()) await commit(provider, item, { page: page(2), workItems: [activity(2)] });
    const work = await Promise.all(both.flatMap((each) => Array.from({ length: 10 }, () => fetchWork(each, { maxItems: 5 }))));
    assert.deepEqual(work.flatMap(instanceIds).toSorted(), all);
  },
  'T28 a fetch whose candidate another provider takes gets the next one': async ({ provider, openSecond }) => {
    const second = await openSecond();
    await start(provider, 'a', 'b');
    const [one, two] = await Promise.all([fetchItems(provider, { maxItems: 1 }), fetchItems(second, { maxItems: 1 })]);
    assert.deepEqual([...instanceIds(one), ...instanceIds(two)].toSorted(), ['a', 'b']);
  },
  'T59 the lock of one provider binds the other': async ({ provider, clock, openSecond }) => {
    const second = await openSecond();
    await run(provider, 'a', { workItems: [activity(2)] });
    const item = await fetchOneWork(provider, { lockMs: 1_000 });
    assert.deepEqual(await fetchWork(second), []);
    await clock.advance(1_000);
    const taken = await fetchOneWork(second);
    assert.equal(await ackWork(provider, item), 'lockLost');
    assert.equal(await ackWork(second, taken), 'done');
    assert.deepEqual(await queued(provider), [1, 0]);
  },
  'of two acks of one turn through two providers one commits': async ({ provider, openSecond }) => {
    const second = await openSecond();
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const outcomes = await Promise.all([ack(provider, item, { page: page(2) }), ack(second, item, { page: page(2) })]);
    assert.deepEqual(outcomes.toSorted(), ['committed', 'lockLost']);
    assert.equal((await history(second, 'a')).length, 1);
  },
  'of two starts of one id through two providers one starts': async ({ provider, openSecond }) => {
    const second = await openSecond();
    const outcomes = await Promise.all([startOne(provider, 'a'), startOne(second, 'a')]);
    assert.deepEqual(outcomes.toSorted(), ['exists', 'started']);
  },
  'a waiting fetch is woken by a commit of another provider': async ({ provider, clock, openSecond }) => {
    const second = await openSecond();
    const fetching = provider.fetchOrchestrationItems(fetchParams({ waitMs: 60_000 }));
    const working = provider.fetchWorkItems(fetchParams({ waitMs: 60_000 }));
    await clock.advance(0);
    await start(second, 'a');
    const { items } = await settled(clock, fetching);
    assert.deepEqual(instanceIds(items), ['a']);
    await commit(second, items[0] ?? assert.fail(), { page: page(2), workItems: [activity(2)] });
    assert.deepEqual(eventIds((await settled(clock, working)).items), [2]);
  },
  'a wait for an instance is woken by a commit of another provider': async ({ provider, clock, openSecond }) => {
    const second = await openSecond();
    await start(provider, 'a');
    const waiting = provider.waitForInstance({ instanceId: 'a', condition: ended, waitMs: 60_000 });
    await clock.advance(0);
    await commit(second, await fetchOne(second), { status: 'Completed', output: '"o"' });
    assert.equal((await settled(clock, waiting))?.output, '"o"');
  },
  'a session has one owner among all providers': async ({ provider, openSecond }) => {
    const second = await openSecond();
    const by = (owner: string) => ({
      select: { kind: 'queue', tags: { kind: 'default' }, session: { owner, leaseMs: 10_000, maxSessions: 5 } } as const,
      maxItems: 1,
    });
    const inSession = { routing: routing({ sessionId: 's' }) };
    await run(provider, 'a', { page: page(3), workItems: [activity(2, inSession), activity(3, inSession)] });
    assert.deepEqual(eventIds(await fetchWork(provider, by('one'))), [2]);
    assert.deepEqual(await fetchWork(second, by('two')), []);
    assert.deepEqual(eventIds(await fetchWork(second, by('one'))), [3]);
  },
  'T54 a provider whose clock is ahead takes a lock early, and then the first result is refused': async ({
    provider,
    clock,
    openSecond,
  }) => {
    const ahead = new SimulatedClock(clock.nowMs() + 5_000);
    const second = await openSecond(ahead);
    await run(provider, 'a', { workItems: [activity(2)] });
    const item = await fetchOneWork(provider, { lockMs: 10_000 });
    assert.deepEqual(await fetchWork(second), []);
    await ahead.advance(5_000);
    const outcomes = [await fetchWork(second), await ackWork(provider, item)] as const;
    // A store with a clock of its own keeps the lock; one that goes by the clocks of its users hands the item over. Never both.
    assert.deepEqual(outcomes[0].length === 0 ? ['kept', 'done'] : ['taken', 'lockLost'], [
      outcomes[0].length === 0 ? 'kept' : 'taken',
      outcomes[1],
    ]);
    for (const taken of outcomes[0]) assert.equal(await ackWork(second, taken), 'done');
    assert.deepEqual(await queued(provider), [1, 0]);
  },
  'closing one provider leaves the other at work': async ({ provider, openSecond }) => {
    const second = await openSecond();
    await start(provider, 'a');
    await provider.close();
    assert.equal((await fetchOne(second)).instanceId, 'a');
  },
});

const damage = cases('damaged histories', {
  'T26 an instance whose history is damaged is still handed out, and its attempts count': async ({ provider, clock, corruptHistory }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    await corruptHistory('a');
    assert.deepEqual(attempts(await fetchOne(provider, { lockMs: 1_000 })), [1]);
    await clock.advance(1_000);
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
  'T28 damaged pages are read as they are or refused, never left out': async ({ provider, corruptHistory }) => {
    await run(provider, 'a');
    const before = await history(provider, 'a');
    await corruptHistory('a');
    const after = await history(provider, 'a').catch(() => null);
    assert.ok(after === null || after.length === before.length);
    assert.notDeepEqual(after, before);
  },
  'the end of an instance can be written behind a damaged history': async ({ provider, corruptHistory }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    await corruptHistory('a');
    await commit(provider, await fetchOne(provider), { page: page(3), status: 'Failed', output: '"damaged"' });
    assert.equal((await read(provider, 'a')).output, '"damaged"');
  },
  'a damaged history harms nobody else': async ({ provider, corruptHistory }) => {
    await run(provider, 'a');
    await run(provider, 'b');
    await enqueue(provider, 'a', 'm');
    await enqueue(provider, 'b', 'm');
    const before = await history(provider, 'b');
    await corruptHistory('a');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a', 'b']);
    assert.deepEqual(await history(provider, 'b'), before);
  },
  'T26 code filters are asked before a history is looked at': async ({ provider, corruptHistory }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    await corruptHistory('a');
    assert.deepEqual(await fetchItems(provider, { accepts: ({ name }) => name === 'other' }), []);
    assert.deepEqual(attempts(await fetchOne(provider)), [1]);
  },
});

/** See the head of this file. */
export const abilityCases: readonly ConformanceCase[] = [...restarts, ...sharing, ...damage];
