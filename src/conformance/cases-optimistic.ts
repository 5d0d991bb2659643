// Contract cases: optimistic turns: computed without a fetch, committed together with the activities that they are for.
// Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { OrchestrationAck, OrchestrationAckOutcome, Provider, WorkItem } from '../provider/provider.ts';
import {
  LOCK_MS,
  abandon,
  abandonWork,
  ackFor,
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
  fetchWork,
  history,
  newInstance,
  nextExecution,
  only,
  page,
  payloads,
  pollWork,
  queued,
  read,
  renewWork,
  routing,
  run,
  start,
  timer,
  watch,
  workAckFor,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

/** Last event of the first turn: activities have the ids before it. */
const BASE = 40;

/** Runs the first turn of an instance, and takes the activities that it schedules. */
async function working(
  provider: Provider,
  { instanceId = 'a', events = [2], lockMs = LOCK_MS, ...changes }: Partial<OrchestrationAck> & { events?: number[]; lockMs?: number } = {},
): Promise<readonly WorkItem[]> {
  await run(provider, instanceId, { page: page(BASE), workItems: events.map((eventId) => activity(eventId)), ...changes });
  return await fetchWork(provider, { lockMs });
}

/** The turn that follows from activities of an instance. */
function turnFor(items: readonly WorkItem[], changes: Partial<OrchestrationAck> = {}): OrchestrationAck {
  const { instanceId = 'a', executionId = 1 } = items[0] ?? {};
  const standing = { instanceId, executionId, lastEventId: BASE, name: 'order', version: '1.0.0', status: 'Running' } as const;
  const item = { ...standing, lockToken: '', messages: [], parent: null, createdAtMs: 0 };
  const completed = items.map((one) => workAckFor(one));
  return ackFor(item, { lockToken: null, completed, page: page(BASE + 2), ...changes });
}

async function ackTurn(
  provider: Provider,
  items: readonly WorkItem[],
  changes: Partial<OrchestrationAck> = {},
): Promise<OrchestrationAckOutcome> {
  return only(await provider.ackOrchestrationItems([turnFor(items, changes)]));
}

/** All that an optimistic turn could have changed. */
async function stateOf(provider: Provider, instanceId = 'a'): Promise<unknown> {
  const rest = [await history(provider, instanceId), await queued(provider), await provider.readWorkItems(instanceId)];
  return [await read(provider, instanceId), ...rest, await provider.readValues(instanceId, null), await provider.readInstances(['child'])];
}

/** Asks for everything that a turn can ask for, and checks that nothing of it is there. */
async function isRefused(provider: Provider, items: readonly WorkItem[], changes: Partial<OrchestrationAck> = {}): Promise<void> {
  const before = await stateOf(provider);
  const outcome = await ackTurn(provider, items, {
    customStatus: '"ahead"',
    workItems: [activity(BASE + 1)],
    timers: [timer(BASE + 2, 0)],
    messages: [{ instanceId: 'a', payload: 'self' }],
    starts: [{ ...newInstance('child'), conflictPayload: null }],
    cancelledActivities: items.map(({ eventId }) => eventId),
    effects: effects({ values: [{ key: 'k', value: '1' }], sessionMessages: [{ sessionId: 's', payload: 'note' }] }),
    ...changes,
  });
  assert.equal(outcome, 'conflict');
  assert.deepEqual(await stateOf(provider), before);
  assert.deepEqual(await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 }), []);
}

/** Acks activities by themselves, as is done after a conflict, and takes the turn that follows. */
async function takeTurn(provider: Provider, items: readonly WorkItem[]): Promise<void> {
  for (const item of items) assert.equal(await ackWork(provider, item), 'done');
  assert.deepEqual(
    payloads(await fetchOne(provider)),
    items.map(({ eventId }) => `done ${eventId}`),
  );
}

const committed = cases('optimistic turns', {
  'an optimistic turn of an instance that was deleted is not for the one that has its id now': async ({ provider }) => {
    const items = await working(provider);
    const { createdAtMs } = await read(provider, 'a');
    await isRefused(provider, items, { createdAtMs: createdAtMs - 1 });
    assert.equal(await ackTurn(provider, items, { createdAtMs }), 'committed');
  },
  'an optimistic turn takes its activities along and queues nothing': async ({ provider }) => {
    const items = await working(provider, { events: [2, 3] });
    assert.equal(await ackTurn(provider, items, { version: '1.1.0', customStatus: '"ahead"' }), 'committed');
    assert.deepEqual(await queued(provider), [0, 0]);
    const record = await read(provider, 'a');
    assert.deepEqual(
      [record.status, record.version, record.lastEventId, record.customStatus, record.customStatusVersion],
      ['Running', '1.1.0', BASE + 2, '"ahead"', 1],
    );
    assert.deepEqual(await history(provider, 'a', 1, BASE), [{ firstEventId: BASE + 1, ...page(BASE + 2) }]);
    assert.deepEqual(await provider.readWorkItems('a'), []);
    await fetchNone(provider);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'an optimistic turn takes effect in everything that it asks for': async ({ provider, clock }) => {
    const items = await working(provider, { events: [2, 3, 4], timers: [timer(5, clock.nowMs() + 500)] });
    await run(provider, 'other');
    const outcome = await ackTurn(provider, items.slice(0, 1), {
      workItems: [activity(BASE + 1), activity(BASE + 2, { routing: routing({ tag: 'gpu' }) })],
      timers: [timer(6, clock.nowMs() + 1_000)],
      messages: [{ instanceId: 'other', payload: 'hello' }],
      starts: [{ ...newInstance('child', { parent: { instanceId: 'a', executionId: 1, eventId: 7 } }), conflictPayload: null }],
      cancelledActivities: [3],
      cancelledTimers: [5],
      effects: effects({
        values: [{ key: 'k', value: '1' }],
        subscriptions: [{ pattern: 't/*', subscribed: true }],
        sessionMessages: [{ sessionId: 's', payload: 'note' }],
      }),
    });
    assert.equal(outcome, 'committed');
    assert.deepEqual(
      (await provider.readWorkItems('a')).map(({ eventId, isRunning, tag }) => [eventId, isRunning, tag]),
      [
        [4, true, null],
        [BASE + 1, false, null],
        [BASE + 2, false, 'gpu'],
      ],
    );
    assert.deepEqual((await fetchItems(provider)).flatMap(payloads).toSorted(), ['hello', 'start child']);
    assert.deepEqual(
      (await provider.readValues('a', null)).map(({ key, value }) => [key, value]),
      [['k', '1']],
    );
    assert.equal(only(await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 })).payload, 'note');
    assert.deepEqual(await provider.publish([{ topic: 't/1', payload: 'news' }]), [1]);
    assert.deepEqual(payloads(await fetchOne(provider)), ['news']);
    await clock.advance(LOCK_MS);
    const all = (await fetchItems(provider)).find(({ instanceId }) => instanceId === 'a');
    assert.deepEqual(all === undefined ? [] : payloads(all).toSorted(), ['news', 'timer 6']);
  },
  'an optimistic turn can end its instance, and who waits for it is told': async (context) => {
    const { provider, clock } = context;
    const items = await working(provider, { events: [2, 3], timers: [timer(4, clock.nowMs() + 1_000)] });
    const wait = await watch(context, ended);
    assert.equal(await ackTurn(provider, items.slice(0, 1), { status: 'Completed', output: '"out"' }), 'committed');
    await clock.advance(0);
    assert.equal(wait.isOver(), true);
    const record = await wait.result;
    assert.deepEqual([record?.status, record?.output], ['Completed', '"out"']);
    assert.deepEqual(await queued(provider), [0, 0]);
    assert.equal(await ackWork(provider, only(items.slice(1))), 'gone');
  },
  'work that an optimistic turn schedules goes to a fetch that waits': async (context) => {
    const { provider, clock } = context;
    const items = await working(provider);
    const wait = await pollWork(context);
    assert.equal(await ackTurn(provider, items, { workItems: [activity(BASE + 1)] }), 'committed');
    await clock.advance(0);
    assert.equal(wait.isOver(), true);
    assert.deepEqual(eventIds((await wait.result).items), [BASE + 1]);
  },
  'optimistic turns follow each other without a fetch, and a fetch follows them': async ({ provider }) => {
    let items = await working(provider);
    for (const base of [BASE, BASE + 2, BASE + 4]) {
      const changes = { baseEventId: base, page: page(base + 2), workItems: [activity(base + 1)] };
      assert.equal(await ackTurn(provider, items, changes), 'committed');
      items = await fetchWork(provider);
    }
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    assert.deepEqual([item.lastEventId, payloads(item), attempts(item)], [BASE + 6, ['m'], [1]]);
    await commit(provider, item, { page: page(BASE + 7) });
    const changes = { baseEventId: BASE + 7, page: page(BASE + 9) };
    assert.equal(await ackTurn(provider, items, changes), 'committed');
    assert.equal((await history(provider, 'a')).length, 6);
  },
  'an optimistic turn may send to its own instance': async ({ provider }) => {
    const items = await working(provider);
    assert.equal(await ackTurn(provider, items, { messages: [{ instanceId: 'a', payload: 'self' }] }), 'committed');
    assert.deepEqual(payloads(await fetchOne(provider)), ['self']);
  },
  'a timer that is not due does not stand in the way of an optimistic turn, and fires': async ({ provider, clock }) => {
    const items = await working(provider, { timers: [timer(5, clock.nowMs() + 1_000)] });
    await clock.advance(999);
    assert.equal(await ackTurn(provider, items), 'committed');
    await fetchNone(provider);
    await clock.advance(1);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 5']);
  },
  'an optimistic turn takes activities with a tag or a session along, and what they have received': async ({ provider }) => {
    const sessions = { kind: 'queue', tags: { kind: 'any' }, session: { owner: 'n', leaseMs: LOCK_MS, maxSessions: 5 } } as const;
    const routings = [routing({ tag: 'gpu' }), routing({ sessionId: 's' }), routing({ priority: 3 }), null];
    await run(provider, 'a', {
      page: page(BASE),
      workItems: routings.map((one, index) => activity(2 + index, { routing: one })),
      effects: effects({ sessionMessages: ['one', 'two', 'three'].map((payload) => ({ sessionId: 's', payload })) }),
    });
    const items = await fetchWork(provider, { select: sessions });
    assert.equal(items.length, 4);
    const [, two] = await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 });
    assert.ok(two !== undefined);
    const completed = items.map((item) =>
      item.routing?.sessionId === 's' ? { ...workAckFor(item), received: { sessionId: 's', uptoSeq: two.seq } } : workAckFor(item),
    );
    assert.equal(await ackTurn(provider, items, { completed }), 'committed');
    assert.deepEqual(await queued(provider), [0, 0]);
    const left = await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 });
    assert.deepEqual(
      left.map(({ payload }) => payload),
      ['three'],
    );
  },
  'an optimistic turn takes many activities along, whatever their ids': async ({ provider }) => {
    const inRow = Array.from({ length: 20 }, (_, index) => 2 + index);
    const withGaps = [23, 25, 26, 29, 30, 34];
    const items = await working(provider, { events: [...inRow, 22, ...withGaps, 35] });
    const some = (wanted: readonly number[]): readonly WorkItem[] => items.filter(({ eventId }) => wanted.includes(eventId));
    assert.equal(await ackTurn(provider, some(inRow)), 'committed');
    const changes = { baseEventId: BASE + 2, page: page(BASE + 4) };
    assert.equal(await ackTurn(provider, some(withGaps).toReversed(), changes), 'committed');
    assert.deepEqual(
      (await provider.readWorkItems('a')).map(({ eventId, isRunning }) => [eventId, isRunning]),
      [
        [22, true],
        [35, true],
      ],
    );
  },
  'an optimistic turn takes activities of several fetches along': async ({ provider, clock }) => {
    await run(provider, 'a', { page: page(BASE), workItems: [2, 3, 4, 5, 6, 7].map((eventId) => activity(eventId)) });
    const items: WorkItem[] = [];
    for (const maxItems of [1, 2, 1, 2]) items.push(...(await fetchWork(provider, { maxItems, lockMs: 1_000 })));
    assert.equal(new Set(items.map(({ lockToken }) => lockToken)).size, 4);
    await clock.advance(900);
    await renewWork(provider, items, 1_000);
    await clock.advance(900);
    assert.equal(await ackTurn(provider, items), 'committed');
    assert.deepEqual(await queued(provider), [0, 0]);
  },
});

const refused = cases('optimistic turns', {
  'an optimistic turn from another event or execution is a conflict': async ({ provider }) => {
    const items = await working(provider);
    await isRefused(provider, items, { baseEventId: BASE - 1 });
    await isRefused(provider, items, { baseEventId: BASE + 1 });
    await isRefused(provider, items, { executionId: 2 });
    await takeTurn(provider, items);
  },
  'an optimistic turn of an execution that is over is a conflict': async ({ provider }) => {
    const items = await working(provider);
    await enqueue(provider, 'a', 'again');
    await commit(provider, await fetchOne(provider), { page: page(BASE + 1), next: nextExecution });
    await commit(provider, await fetchOne(provider), { page: page(BASE) });
    await isRefused(provider, items);
    await takeTurn(provider, items);
  },
  'an optimistic turn is a conflict while a fetch has the instance': async ({ provider }) => {
    const items = await working(provider);
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    await isRefused(provider, items);
    await commit(provider, item, { page: page(BASE + 1) });
    await isRefused(provider, items);
    await takeTurn(provider, items);
  },
  'an optimistic turn is a conflict while a message waits': async ({ provider }) => {
    const items = await working(provider);
    await enqueue(provider, 'a', 'm');
    await isRefused(provider, items);
    assert.equal(await ackWork(provider, only(items)), 'done');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m', 'done 2']);
  },
  'an optimistic turn is a conflict from the moment on when a timer is due': async ({ provider, clock }) => {
    const items = await working(provider, { timers: [timer(5, clock.nowMs() + 1_000)] });
    await clock.advance(1_000);
    await isRefused(provider, items);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 5']);
  },
  'an optimistic turn is a conflict while a delayed abandon holds the instance': async ({ provider, clock }) => {
    const items = await working(provider);
    await enqueue(provider, 'a', 'm');
    await abandon(provider, await fetchOne(provider), { delayMs: 1_000 });
    await isRefused(provider, items);
    await clock.advance(1_000);
    await isRefused(provider, items);
    assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
  },
  'an optimistic turn is a conflict when the lock of a fetch has expired that nobody has taken over': async ({ provider, clock }) => {
    const items = await working(provider, { lockMs: 3_000 });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    await isRefused(provider, items);
    const again = await fetchOne(provider);
    assert.deepEqual([again.lockToken === item.lockToken, attempts(again)], [false, [2]]);
  },
  'an optimistic turn is a conflict unless the instance is running': async ({ provider }) => {
    const items = await working(provider);
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    await isRefused(provider, items);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { status: 'Quarantined', output: '"why"' });
    await isRefused(provider, items);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.equal(await ackTurn(provider, items), 'committed');
  },
  'an optimistic turn of an instance that was terminated is a conflict': async ({ provider }) => {
    const items = await working(provider);
    await provider.controlInstances([
      { kind: 'terminate', instanceId: 'a', output: '"over"', parentMessage: null, closeChildren: closing },
    ]);
    await isRefused(provider, items);
    assert.equal(await ackWork(provider, only(items)), 'gone');
  },
  'an optimistic turn of an instance that does not exist is instanceGone': async ({ provider }) => {
    const items = await working(provider);
    assert.equal(await ackTurn(provider, items, { instanceId: 'unknown' }), 'instanceGone');
    assert.deepEqual(await provider.readInstances(['unknown']), [null]);
    await takeTurn(provider, items);
  },
  'an optimistic turn is a conflict when the lock of one of its activities is lost': async ({ provider, clock }) => {
    const items = await working(provider, { events: [2, 3, 4], lockMs: 1_000 });
    const [two, three, four] = items;
    assert.ok(two !== undefined && three !== undefined && four !== undefined);
    await isRefused(provider, [two, { ...three, lockToken: 'foreign' }, four]);
    await abandonWork(provider, three);
    await isRefused(provider, items);
    await renewWork(provider, [two], 5_000);
    await clock.advance(1_000);
    await isRefused(provider, [two, four]);
    const [again] = await fetchWork(provider, { maxItems: 1 });
    await isRefused(provider, [two, four]);
    assert.deepEqual([again?.eventId, again?.attempt], [3, 2]);
    await takeTurn(provider, [two]);
  },
  'an optimistic turn is a conflict when one of its activities is gone': async ({ provider }) => {
    const items = await working(provider, { events: [2, 3, 4, 5] });
    const [two, three, four, five] = items;
    assert.ok(two !== undefined && three !== undefined && four !== undefined && five !== undefined);
    assert.equal(await ackWork(provider, two, null), 'done');
    await isRefused(provider, items);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [4] });
    await isRefused(provider, [three, four, five]);
    await isRefused(provider, [three, five, { ...five, eventId: 9 }]);
    await takeTurn(provider, [three, five]);
  },
  'a repeated optimistic turn is a conflict': async ({ provider }) => {
    const items = await working(provider);
    const turn = turnFor(items);
    assert.deepEqual(await provider.ackOrchestrationItems([turn, turn]), ['committed', 'conflict']);
    assert.deepEqual(await provider.ackOrchestrationItems([turn]), ['conflict']);
    // Also when only its activities tell it from a new one.
    await isRefused(provider, items, { baseEventId: BASE + 2, page: page(BASE + 4) });
    assert.equal((await history(provider, 'a')).length, 2);
  },
  'of an optimistic turn and acks of its activities at the same time one takes effect': async ({ provider }) => {
    const items = await working(provider);
    const [outcome, acked] = await Promise.all([ackTurn(provider, items), ackWork(provider, only(items))]);
    assert.deepEqual([outcome, acked], ['committed', 'gone']);
    const others = await working(provider, { instanceId: 'b' });
    const [done, refusal] = await Promise.all([ackWork(provider, only(others)), ackTurn(provider, others)]);
    assert.deepEqual([done, refusal], ['done', 'conflict']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 2']);
  },
  'a refused optimistic turn does not fail its neighbours': async ({ provider }) => {
    const a = await working(provider, { instanceId: 'a' });
    const b = await working(provider, { instanceId: 'b' });
    const c = await working(provider, { instanceId: 'c' });
    await start(provider, 'd');
    const d = await fetchOne(provider);
    const outcomes = await provider.ackOrchestrationItems([
      turnFor(a),
      turnFor(b, { baseEventId: 1 }),
      turnFor(a, { instanceId: 'unknown' }),
      turnFor(a),
      ackFor(d),
      turnFor(c),
    ]);
    assert.deepEqual(outcomes, ['committed', 'conflict', 'instanceGone', 'conflict', 'committed', 'committed']);
    assert.deepEqual(await queued(provider), [0, 1]);
    assert.equal(await ackWork(provider, only(b)), 'done');
  },
  'after a refused optimistic turn an activity whose lock runs out is handed out again': async ({ provider, clock }) => {
    const items = await working(provider, { lockMs: 1_000 });
    await isRefused(provider, items, { baseEventId: 1 });
    await clock.advance(1_000);
    const again = await fetchOneWork(provider);
    assert.equal(again.attempt, 2);
    await isRefused(provider, items);
    assert.equal(await ackTurn(provider, [again]), 'committed');
  },
});

/** See the head of this file. */
export const optimisticCases: readonly ConformanceCase[] = [...committed, ...refused];
