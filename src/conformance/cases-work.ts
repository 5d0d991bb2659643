// Contract cases: the worker queue: items, locks, cancellation. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import {
  LOCK_MS,
  abandonWork,
  ackWork,
  activity,
  attempts,
  cases,
  commit,
  enqueue,
  eventIds,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchParams,
  fetchWork,
  instanceIds,
  nextExecution,
  only,
  payloads,
  queued,
  renewWork,
  run,
  workAckFor,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const workItems = cases('work items', {
  'a work item is handed out with all that its activity needs': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { name: 'refund', payload: '{"x":1}' })] });
    const { nowMs, items } = await provider.fetchWorkItems(fetchParams());
    assert.equal(nowMs, clock.nowMs());
    const { lockToken, ...rest } = only(items);
    assert.ok(lockToken.length >= 16);
    const key = { instanceId: 'a', executionId: 1, eventId: 2 };
    assert.deepEqual(rest, { ...key, name: 'refund', payload: '{"x":1}', attempt: 1, routing: null, heartbeat: null });
  },
  'work items come in the order in which they were scheduled': async ({ provider, clock }) => {
    await run(provider, 'b', { workItems: [activity(2), activity(3), activity(10)] });
    await clock.advance(1);
    await run(provider, 'a', { workItems: [activity(4)] });
    assert.deepEqual(eventIds(await fetchWork(provider, { maxItems: 2 })), [2, 3]);
    assert.deepEqual(eventIds(await fetchWork(provider)), [10, 4]);
  },
  'a locked work item is not handed out again': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await fetchOneWork(provider);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'fetches at the same time hand out different work items': async ({ provider }) => {
    const all = Array.from({ length: 20 }, (_, index) => index + 2);
    await run(provider, 'a', { workItems: all.map((eventId) => activity(eventId)) });
    const batches = await Promise.all(Array.from({ length: 10 }, () => fetchWork(provider, { maxItems: 3 })));
    assert.deepEqual(
      batches.flatMap(eventIds).toSorted((x, y) => x - y),
      all,
    );
  },
  'T30 every fetch of work has a lock token of its own': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const first = await fetchOneWork(provider, { maxItems: 1 });
    const second = await fetchOneWork(provider, { maxItems: 1 });
    assert.notEqual(first.lockToken, second.lockToken);
  },
  'work can be fetched while its instance is locked': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    await fetchOne(provider);
    const work = await fetchOneWork(provider);
    assert.equal(await ackWork(provider, work), 'done');
    await fetchNone(provider);
  },
  'an ack removes the work item and sends its completion': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    assert.equal(await ackWork(provider, await fetchOneWork(provider), 'result'), 'done');
    assert.deepEqual(await queued(provider), [1, 0]);
    const item = await fetchOne(provider);
    assert.deepEqual([payloads(item), attempts(item)], [['result'], [1]]);
  },
  'an ack without completion only removes the work item': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    assert.equal(await ackWork(provider, await fetchOneWork(provider), null), 'done');
    assert.deepEqual(await queued(provider), [0, 0]);
    await fetchNone(provider);
  },
  'a repeated ack of work is gone and completes once': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    assert.equal(await ackWork(provider, work), 'done');
    assert.equal(await ackWork(provider, work), 'gone');
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 2']);
  },
  'of two acks of one work item in a batch the second is gone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two, three] = await fetchWork(provider);
    assert.ok(two !== undefined && three !== undefined);
    const outcomes = await provider.ackWorkItems([workAckFor(two, 'first'), workAckFor(two, 'second'), workAckFor(three)]);
    assert.deepEqual(outcomes, ['done', 'gone', 'done']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['first', 'done 3']);
  },
  'of two acks of one work item at the same time one is done': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    assert.deepEqual(await Promise.all([ackWork(provider, work), ackWork(provider, work)]), ['done', 'gone']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 2']);
  },
  'a refused ack of work does not fail its neighbours': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    const [two, three, four] = await fetchWork(provider);
    assert.ok(two !== undefined && three !== undefined && four !== undefined);
    const outcomes = await provider.ackWorkItems([
      { ...workAckFor(two), instanceId: 'unknown' },
      { ...workAckFor(two), executionId: 2 },
      { ...workAckFor(two), eventId: 99 },
      { ...workAckFor(three), lockToken: 'foreign' },
      workAckFor(four),
    ]);
    assert.deepEqual(outcomes, ['gone', 'gone', 'gone', 'lockLost', 'done']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 4']);
    assert.deepEqual(await queued(provider), [1, 2]);
  },
  'completions of several instances go to their owners': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await run(provider, 'b', { workItems: [activity(2)] });
    const work = await fetchWork(provider);
    await provider.ackWorkItems(work.map((item) => workAckFor(item, `for ${item.instanceId}`)));
    assert.deepEqual((await fetchItems(provider)).map(payloads), [['for a'], ['for b']]);
  },
  'scheduling an activity that is queued leaves the queued one': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { workItems: [activity(2, { payload: 'other' })] });
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await abandonWork(provider, work), 'done');
    const { payload, attempt } = await fetchOneWork(provider);
    assert.deepEqual([payload, attempt], ['activity 2', 2]);
    assert.deepEqual(await queued(provider), [0, 1]);
  },
  'T3 the same event of two executions is two work items': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2, { payload: 'old' })], next: nextExecution });
    const old = await fetchOneWork(provider);
    await commit(provider, await fetchOne(provider), {
      workItems: [activity(2, { payload: 'new' }), activity(3)],
      cancelledActivities: [3],
      messages: [{ instanceId: 'a', payload: 'again' }],
    });
    const current = await fetchOneWork(provider);
    assert.deepEqual([old.executionId, old.payload, current.executionId, current.payload], [1, 'old', 2, 'new']);
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2] });
    assert.deepEqual(await provider.ackWorkItems([workAckFor(old), workAckFor(current)]), ['done', 'gone']);
  },
});

const workLocks = cases('work item locks', {
  'T59 a worker ack after lock expiry is refused': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.equal(await ackWork(provider, work), 'lockLost');
    await fetchNone(provider);
    assert.equal((await fetchOneWork(provider)).attempt, 2);
  },
  'T59 a result is recorded once though two workers had the item': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const lost = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const current = await fetchOneWork(provider);
    assert.equal(await ackWork(provider, lost, 'from the slow one'), 'lockLost');
    assert.equal(await ackWork(provider, current, 'result'), 'done');
    assert.equal(await ackWork(provider, lost, 'from the slow one'), 'gone');
    assert.deepEqual(payloads(await fetchOne(provider)), ['result']);
  },
  'a work lock holds to its last millisecond': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await ackWork(provider, work), 'done');
  },
  'an expired work lock hands the item out again with a new token': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const lost = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const again = await fetchOneWork(provider);
    assert.notEqual(again.lockToken, lost.lockToken);
    assert.equal(again.attempt, 2);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'a renewed work lock lasts lockMs from the renewal': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(600);
    assert.deepEqual(await renewWork(provider, [work], 1_000), ['done']);
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider), []);
    assert.deepEqual(await renewWork(provider, [work], 1_000), ['done']);
    await clock.advance(1_000);
    assert.equal(await ackWork(provider, work), 'lockLost');
  },
  'T8 a renewal tells a lost work lock from a cancelled activity': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    const [two, three, four] = await fetchWork(provider, { lockMs: 1_000 });
    assert.ok(two !== undefined && three !== undefined && four !== undefined);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [3] });
    const foreign = { ...four, lockToken: 'foreign' };
    assert.deepEqual(await renewWork(provider, [two, three, foreign, four], 500), ['done', 'gone', 'lockLost', 'done']);
    await clock.advance(500);
    assert.deepEqual(await renewWork(provider, [two, three], 500), ['lockLost', 'gone']);
  },
  'a renewal after the ack is gone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await ackWork(provider, work);
    assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['gone']);
  },
  'an abandoned work item can be fetched at once': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    assert.equal(await abandonWork(provider, await fetchOneWork(provider)), 'done');
    assert.equal((await fetchOneWork(provider)).attempt, 2);
  },
  'T58 a delayed abandon hides the work item until the delay is over': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two, three] = await fetchWork(provider);
    assert.ok(two !== undefined && three !== undefined);
    await abandonWork(provider, two, { delayMs: 1_000 });
    await abandonWork(provider, three);
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider), []);
    await clock.advance(1);
    assert.deepEqual(eventIds(await fetchWork(provider)), [2]);
  },
  'a work token is worth nothing after a delayed abandon': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await abandonWork(provider, work, { delayMs: 5_000 });
    assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['lockLost']);
    assert.equal(await abandonWork(provider, work), 'lockLost');
    assert.equal(await ackWork(provider, work), 'lockLost');
    assert.deepEqual(await fetchWork(provider), []);
  },
  'an abandon of work that does not count takes the attempt back': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    for (let round = 0; round < 3; round += 1) {
      const work = await fetchOneWork(provider);
      assert.equal(work.attempt, 1);
      await abandonWork(provider, work, { countAttempt: false });
    }
  },
  'an abandon of work that does not count keeps earlier attempts': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await abandonWork(provider, await fetchOneWork(provider));
    await abandonWork(provider, await fetchOneWork(provider), { countAttempt: false });
    assert.equal((await fetchOneWork(provider, { lockMs: 1_000 })).attempt, 2);
    await clock.advance(1_000);
    await abandonWork(provider, await fetchOneWork(provider), { countAttempt: false, delayMs: 1_000 });
    await clock.advance(1_000);
    assert.equal((await fetchOneWork(provider)).attempt, 3);
  },
  'a bad abandon of work does not fail its neighbours': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two, three] = await fetchWork(provider, { lockMs: 1_000 });
    assert.ok(two !== undefined && three !== undefined);
    const how = { delayMs: 0, countAttempt: true };
    const batch = [
      { ...two, ...how },
      { ...two, ...how },
      { ...three, ...how, eventId: 9 },
      { ...three, ...how },
    ];
    assert.deepEqual(await provider.abandonWorkItems(batch), ['done', 'lockLost', 'gone', 'done']);
    const again = await fetchWork(provider, { lockMs: 1_000 });
    assert.equal(again.length, 2);
    await clock.advance(1_000);
    assert.deepEqual(await provider.abandonWorkItems(again.map((item) => ({ ...item, ...how, delayMs: 9_000 }))), ['lockLost', 'lockLost']);
    assert.equal((await fetchWork(provider)).length, 2);
  },
  'work items whose locks expired come after those that are ready longer': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(500);
    await run(provider, 'b', { workItems: [activity(3)] });
    await clock.advance(500);
    assert.deepEqual(eventIds(await fetchWork(provider)), [3, 2]);
  },
});

const cancellation = cases('cancellation of activities', {
  'T61 a cancelled activity that is queued never runs': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2, 4] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
    assert.deepEqual(await queued(provider), [0, 1]);
  },
  'T61 the result of a cancelled activity that runs is dropped': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2] });
    assert.equal(await ackWork(provider, work), 'gone');
    assert.equal(await abandonWork(provider, work), 'gone');
    await fetchNone(provider);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'T28 an activity that is scheduled and cancelled in one ack is absent': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)], cancelledActivities: [2] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
  },
  'cancelling activities that do not exist is no error': async ({ provider }) => {
    await run(provider, 'a', { cancelledActivities: [2, 3, 99] });
  },
  'cancelling an activity leaves the same event of another instance alone': async ({ provider }) => {
    await run(provider, 'b', { workItems: [activity(2)] });
    await run(provider, 'a', { workItems: [activity(2)], cancelledActivities: [2] });
    assert.deepEqual(instanceIds(await fetchWork(provider)), ['b']);
  },
});

/** See the head of this file. */
export const workCases: readonly ConformanceCase[] = [...workItems, ...workLocks, ...cancellation];
