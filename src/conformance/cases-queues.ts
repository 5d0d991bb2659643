// Contract cases: looking into the queues, changing them by hand. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { placeOf, type QueueEdit, type QueueItem, type QueuePlace, type QueueQuery } from '../provider/management.ts';
import type { Provider, WorkItem } from '../provider/provider.ts';
import type { ActivityRouting } from '../types/replay.ts';
import {
  abandon,
  abandonWork,
  ack,
  ackWork,
  activity,
  attempts,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  instanceIds,
  LOCK_MS,
  only,
  page,
  payloads,
  poll,
  pollWork,
  queued,
  renewWork,
  routing,
  run,
  start,
  startOne,
  timer,
  watch,
  type FetchChanges,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

type Message = Extract<QueueItem, { kind: 'message' }>;
type Work = Extract<QueueItem, { kind: 'workItem' }>;

/** Looks at a whole queue, page by page. */
async function peek(provider: Provider, queue: QueueQuery['queue'], instanceId?: string, limit = 1_000): Promise<readonly QueueItem[]> {
  const items: QueueItem[] = [];
  for (let after: QueuePlace | null = null; ;) {
    const found: readonly QueueItem[] = await provider.peekQueue({ queue, after, limit, ...(instanceId !== undefined && { instanceId }) });
    items.push(...found);
    const last = found.at(-1);
    if (last === undefined || found.length < limit) return items;
    after = placeOf(last);
  }
}

async function messages(provider: Provider, instanceId?: string): Promise<readonly Message[]> {
  return (await peek(provider, 'orchestrator', instanceId)).filter((item) => item.kind === 'message');
}

async function work(provider: Provider, instanceId?: string): Promise<readonly Work[]> {
  return (await peek(provider, 'worker', instanceId)).filter((item) => item.kind === 'workItem');
}

/** Changes the message with a payload. */
async function editMessage(provider: Provider, kind: QueueEdit['kind'], payload: string): Promise<'done' | 'gone'> {
  const { instanceId, messageId } = only((await messages(provider)).filter((message) => message.payload === payload));
  const item = { kind: 'message', instanceId, messageId } as const;
  return only(await provider.editQueues([kind === 'drop' ? { kind, item, completionPayload: null } : { kind, item }]));
}

/** Changes an activity of instance `a`. */
async function editWork(
  provider: Provider,
  kind: QueueEdit['kind'],
  eventId = 2,
  completionPayload: string | null = null,
): Promise<'done' | 'gone'> {
  const item = { kind: 'workItem', instanceId: 'a', executionId: 1, eventId } as const;
  return only(await provider.editQueues([kind === 'drop' ? { kind, item, completionPayload } : { kind, item }]));
}

const looks = cases('peek', {
  'empty queues hold nothing': async ({ provider }) => {
    for (const queue of ['orchestrator', 'worker'] as const) {
      assert.deepEqual(await provider.peekQueue({ queue, after: null, limit: 10 }), []);
      assert.deepEqual(await provider.peekQueue({ queue, after: null, limit: 10, instanceId: 'nobody' }), []);
    }
  },
  'messages and timers are seen as they are': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(5, clock.nowMs() + 9_000), timer(6, clock.nowMs() + 5_000)] });
    await provider.enqueueMessages([
      { instanceId: 'a', payload: 'm1', key: 'k' },
      { instanceId: 'a', payload: 'm2' },
    ]);
    await start(provider, 'b');
    const found = await messages(provider);
    const seen = found.map(({ kind: _kind, messageId: _messageId, visibleAtMs: _visibleAtMs, ...item }) => item);
    const idle = { key: null, timerEventId: null, attempt: 0, lockedUntilMs: null };
    assert.deepEqual(seen, [
      { ...idle, instanceId: 'a', key: 'k', payload: 'm1' },
      { ...idle, instanceId: 'a', payload: 'm2' },
      { ...idle, instanceId: 'a', timerEventId: 6, payload: 'timer 6' },
      { ...idle, instanceId: 'a', timerEventId: 5, payload: 'timer 5' },
      { ...idle, instanceId: 'b', payload: 'start b' },
    ]);
    assert.ok(found.every(({ kind, timerEventId, visibleAtMs }) => kind === 'message' && (timerEventId !== null || visibleAtMs < 10)));
    assert.deepEqual([found[2]?.visibleAtMs, found[3]?.visibleAtMs], [clock.nowMs() + 5_000, clock.nowMs() + 9_000]);
    assert.equal(new Set(found.slice(0, 4).map(({ messageId }) => messageId)).size, 4);
  },
  'the lock of an instance and hand-outs are seen at its messages': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(5, clock.nowMs() + 90_000)] });
    await enqueue(provider, 'a', 'm1');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await enqueue(provider, 'a', 'm2');
    const look = async (): Promise<readonly unknown[]> =>
      (await messages(provider)).map(({ payload, attempt, lockedUntilMs }) => [payload, attempt, lockedUntilMs]);
    const untilMs = clock.nowMs() + 1_000;
    assert.deepEqual(await look(), [
      ['m1', 1, untilMs],
      ['m2', 0, untilMs],
      ['timer 5', 0, untilMs],
    ]);
    // A lost lock counts, and is none.
    await clock.advance(1_000);
    assert.deepEqual(await look(), [
      ['m1', 1, null],
      ['m2', 0, null],
      ['timer 5', 0, null],
    ]);
    const again = await fetchOne(provider);
    assert.deepEqual(attempts(again), [2, 1]);
    await abandon(provider, again, { countAttempt: false });
    assert.deepEqual(
      (await messages(provider)).map(({ attempt }) => attempt),
      [1, 0, 0],
    );
    assert.equal(await ack(provider, item), 'lockLost');
  },
  'looking locks nothing and counts nothing': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    for (let look = 0; look < 3; look += 1) for (const queue of ['orchestrator', 'worker'] as const) await peek(provider, queue);
    assert.deepEqual(attempts(await fetchOne(provider)), [1]);
    assert.equal((await fetchOneWork(provider)).attempt, 1);
  },
  'activities are seen as they are': async ({ provider, clock }) => {
    const routed = routing({ tag: 'gpu', priority: 2, extras: '{"note":1}' });
    await run(provider, 'a', { workItems: [activity(3, { name: 'mail', routing: routed }), activity(2), activity(4)] });
    const taken = await fetchOneWork(provider, { maxItems: 1, lockMs: 1_000 });
    await renewWork(provider, [taken], 2_000, '"half"');
    const found = await work(provider);
    assert.deepEqual(
      found.map(({ visibleAtMs: _visibleAtMs, ...item }) => item),
      [2, 3, 4].map((eventId) => ({
        kind: 'workItem',
        instanceId: 'a',
        executionId: 1,
        eventId,
        name: eventId === 3 ? 'mail' : 'charge',
        attempt: eventId === taken.eventId ? 1 : 0,
        lockedUntilMs: eventId === taken.eventId ? clock.nowMs() + 2_000 : null,
        routing: eventId === 3 ? routed : null,
        heartbeat: eventId === taken.eventId ? '"half"' : null,
        payload: `activity ${eventId}`,
      })),
    );
    for (const { eventId, visibleAtMs } of found) {
      if (eventId === taken.eventId) assert.equal(visibleAtMs, clock.nowMs() + 2_000);
      else assert.ok(visibleAtMs <= clock.nowMs());
    }
    await abandonWork(provider, taken, { delayMs: 5_000 });
    const delayed = only((await work(provider)).filter(({ eventId }) => eventId === taken.eventId));
    assert.deepEqual([delayed.visibleAtMs, delayed.lockedUntilMs, delayed.attempt], [clock.nowMs() + 5_000, null, 1]);
  },
  'both queues are gone through in order, page by page': async ({ provider, clock }) => {
    const all = ['b', 'a', 'B', 'a1', '\u{FF5E}', '\u{1F600}'];
    for (const id of all) {
      await run(provider, id, {
        workItems: [activity(3), activity(2, { routing: routing({ tag: 'gpu' }) }), activity(10)],
        timers: [timer(5, clock.nowMs() + 100)],
      });
    }
    for (const id of all) await enqueue(provider, id, 'm1', 'm2', 'm3');
    const order = ['B', 'a', 'a1', 'b', '\u{FF5E}', '\u{1F600}'];
    for (const limit of [1, 2, 4, 5, 1_000]) {
      const [queue, worker] = [await peek(provider, 'orchestrator', undefined, limit), await peek(provider, 'worker', undefined, limit)];
      assert.deepEqual(
        queue.map((item) => [item.instanceId, item.payload]),
        order.flatMap((id) => ['m1', 'm2', 'm3', 'timer 5'].map((payload) => [id, payload])),
      );
      assert.deepEqual(
        worker.map((item) => [item.instanceId, item.payload]),
        order.flatMap((id) => ['activity 2', 'activity 3', 'activity 10'].map((payload) => [id, payload])),
      );
    }
    for (const limit of [1, 2, 3, 4, 1_000]) {
      assert.deepEqual(
        (await peek(provider, 'orchestrator', 'a1', limit)).map((item) => [item.instanceId, item.payload]),
        ['m1', 'm2', 'm3', 'timer 5'].map((payload) => ['a1', payload]),
      );
      assert.deepEqual(
        (await peek(provider, 'worker', 'b', limit)).map((item) => [item.instanceId, item.payload]),
        ['activity 2', 'activity 3', 'activity 10'].map((payload) => ['b', payload]),
      );
    }
  },
  'a place need not be that of an item any more': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    const [, second] = await work(provider);
    assert.ok(second !== undefined);
    assert.equal(await editWork(provider, 'drop', 3), 'done');
    const rest = await provider.peekQueue({ queue: 'worker', after: placeOf(second), limit: 10 });
    assert.deepEqual(
      rest.map(({ payload }) => payload),
      ['activity 4'],
    );
  },
  'activities are listed with the time and the limit that they wait for': async ({ provider, clock }) => {
    const limited = routing({ limit: { key: 'quota', concurrency: 1, rate: null }, priority: 4 });
    await run(provider, 'a', { workItems: [activity(2), activity(3, { routing: limited })] });
    const first = only(await fetchWork(provider, { maxItems: 1, lockMs: 700 }));
    const records = await provider.readWorkItems('a');
    assert.deepEqual(
      records.map(({ limitKey }) => limitKey),
      [null, 'quota'],
    );
    for (const { eventId, isRunning, visibleAtMs } of records) {
      assert.equal(isRunning, eventId === first.eventId);
      if (isRunning) assert.equal(visibleAtMs, clock.nowMs() + 700);
      else assert.ok(visibleAtMs <= clock.nowMs());
    }
    await abandonWork(provider, first, { delayMs: 900 });
    const delayed = only((await provider.readWorkItems('a')).filter(({ eventId }) => eventId === first.eventId));
    assert.equal(delayed.visibleAtMs, clock.nowMs() + 900);
  },
});

const messageEdits = cases('queue edits', {
  'what is not there is gone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    const message = { kind: 'message', instanceId: 'a', messageId: 999_999_999 } as const;
    const item = { kind: 'workItem', instanceId: 'a', executionId: 2, eventId: 2 } as const;
    for (const ref of [
      message,
      { ...message, instanceId: 'nobody' },
      item,
      { ...item, instanceId: 'nobody' },
      { ...item, executionId: 1, eventId: 9 },
    ]) {
      assert.deepEqual(
        await provider.editQueues([
          { kind: 'unlock', item: ref },
          { kind: 'moveBack', item: ref },
          { kind: 'drop', item: ref, completionPayload: 'c' },
        ]),
        ['gone', 'gone', 'gone'],
      );
    }
    assert.deepEqual(await queued(provider), [1, 1]);
    assert.deepEqual(await provider.editQueues([]), []);
  },
  'an unlocked message frees its instance: the turn under way loses its lock': async ({ provider }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm1');
    const item = await fetchOne(provider);
    assert.equal(await editMessage(provider, 'unlock', 'm1'), 'done');
    assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
    assert.equal(await ack(provider, item, { page: page(2) }), 'lockLost');
    assert.equal(await abandon(provider, item), 'lockLost');
    const again = await fetchOne(provider);
    assert.deepEqual(
      [payloads(again), attempts(again)],
      [
        ['start a', 'm1'],
        [2, 2],
      ],
    );
    await commit(provider, again, { page: page(2) });
    await fetchNone(provider);
  },
  'an unlocked message wakes a fetch that waits': async (ctx) => {
    await start(ctx.provider, 'a');
    await fetchOne(ctx.provider);
    const wait = await poll(ctx);
    await editMessage(ctx.provider, 'unlock', 'start a');
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
  },
  'a message is unlocked before its instance may be fetched again': async ({ provider }) => {
    await startOne(provider, 'a', { delayMs: 60_000 });
    await run(provider, 'b');
    await enqueue(provider, 'b', 'm');
    await abandon(provider, await fetchOne(provider), { delayMs: 60_000 });
    await fetchNone(provider);
    assert.equal(await editMessage(provider, 'unlock', 'start a'), 'done');
    assert.equal((await fetchOne(provider)).instanceId, 'a');
    assert.equal(await editMessage(provider, 'unlock', 'm'), 'done');
    assert.equal((await fetchOne(provider)).instanceId, 'b');
  },
  'a message that is moved back forgets its attempts, and no other does': async ({ provider, clock }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    for (let lost = 0; lost < 2; lost += 1) {
      await fetchOne(provider, { lockMs: 100 });
      await clock.advance(100);
    }
    assert.equal(await editMessage(provider, 'moveBack', 'm1'), 'done');
    assert.deepEqual((await messages(provider)).map(({ payload, attempt }) => `${payload}: ${attempt}`).toSorted(), [
      'm1: 0',
      'm2: 2',
      'start a: 2',
    ]);
    const item = await fetchOne(provider);
    assert.deepEqual(attempts(item), [3, 1, 3]);
    assert.equal(await editMessage(provider, 'moveBack', 'm2'), 'done');
    assert.equal(await ack(provider, item), 'lockLost');
    assert.deepEqual(attempts(await fetchOne(provider)), [4, 2, 1]);
  },
  'a timer keeps its time': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(5, clock.nowMs() + 1_000)] });
    assert.equal(await editMessage(provider, 'unlock', 'timer 5'), 'done');
    assert.equal(await editMessage(provider, 'moveBack', 'timer 5'), 'done');
    await fetchNone(provider);
    assert.equal(only(await messages(provider)).visibleAtMs, clock.nowMs() + 1_000);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 5']);
  },
  'a dropped message is gone, and the others go on': async ({ provider }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    const item = await fetchOne(provider);
    assert.equal(await editMessage(provider, 'drop', 'm1'), 'done');
    assert.equal(await ack(provider, item), 'lockLost');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a', 'm2']);
    assert.deepEqual(await queued(provider), [2, 0]);
  },
  'a dropped timer does not fire': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(5, clock.nowMs() + 1_000), timer(6, clock.nowMs() + 2_000)] });
    assert.equal(await editMessage(provider, 'drop', 'timer 5'), 'done');
    await clock.advance(1_000);
    await fetchNone(provider);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 6']);
  },
  'the last message that is dropped leaves nothing to fetch': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    assert.equal(await editMessage(provider, 'drop', 'm'), 'done');
    await fetchNone(provider);
    await enqueue(provider, 'a', 'm2');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m2']);
  },
  'a dropped message does not begin a delayed start': async ({ provider, clock }) => {
    await startOne(provider, 'a', { delayMs: 1_000 });
    await enqueue(provider, 'a', 'm1', 'm2');
    assert.equal(await editMessage(provider, 'drop', 'm1'), 'done');
    await fetchNone(provider);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a', 'm2']);
  },
  'a dropped message frees its key, and who waits until it was received wakes': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a');
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    const wait = await watch(ctx, { kind: 'received', key: 'k' });
    assert.equal(await editMessage(provider, 'drop', 'm'), 'done');
    assert.equal((await wait.result)?.instanceId, 'a');
    assert.deepEqual(await provider.enqueueMessages([{ instanceId: 'a', payload: 'again', key: 'k' }]), ['enqueued']);
  },
  'messages of an instance that rests are changed and wait': async ({ provider }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    assert.equal(await editMessage(provider, 'drop', 'm1'), 'done');
    assert.equal(await editMessage(provider, 'unlock', 'm2'), 'done');
    await fetchNone(provider);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a', 'm2']);
  },
  'many wishes are carried out in order': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const item = (eventId: number): QueueEdit['item'] => ({ kind: 'workItem', instanceId: 'a', executionId: 1, eventId });
    const outcomes = await provider.editQueues([
      { kind: 'drop', item: item(2), completionPayload: 'c2' },
      { kind: 'unlock', item: item(2) },
      { kind: 'unlock', item: item(3) },
      { kind: 'drop', item: item(3), completionPayload: 'c3' },
    ]);
    assert.deepEqual(outcomes, ['done', 'gone', 'done', 'done']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['c2', 'c3']);
  },
});

const session = { owner: 'n1', leaseMs: 60_000, maxSessions: 10 };
const ROUTES: Readonly<Record<string, { readonly routing: ActivityRouting | null; readonly select?: FetchChanges['select'] }>> = {
  plain: { routing: null },
  'with a tag': { routing: routing({ tag: 'gpu' }), select: { kind: 'queue', tags: { kind: 'only', tags: ['gpu'] }, session: null } },
  'of a session': { routing: routing({ sessionId: 's' }), select: { kind: 'queue', tags: { kind: 'default' }, session } },
  'with a limit': { routing: routing({ limit: { key: 'quota', concurrency: 1, rate: null } }) },
  'with a priority': { routing: routing({ priority: 3 }) },
};

const workEdits: readonly ConformanceCase[] = Object.entries(ROUTES).flatMap(([name, { routing: route, select }]) => {
  const take = async (provider: Provider): Promise<readonly WorkItem[]> =>
    await fetchWork(provider, select === undefined ? {} : { select });
  return cases('queue edits', {
    [`an activity ${name} that is unlocked is handed out again at once, and its attempts stay`]: async (ctx) => {
      const { provider } = ctx;
      await run(provider, 'a', { workItems: [activity(2, { routing: route })] });
      const item = only(await take(provider));
      assert.deepEqual(await take(provider), []);
      const wait = await pollWork(ctx, select === undefined ? {} : { select });
      assert.equal(await editWork(provider, 'unlock'), 'done');
      const again = only((await wait.result).items);
      assert.equal(again.attempt, 2);
      assert.deepEqual(await renewWork(provider, [item], LOCK_MS), ['lockLost']);
      assert.equal(await ackWork(provider, item), 'lockLost');
      assert.equal(await ackWork(provider, again), 'done');
      assert.deepEqual(payloads(await fetchOne(provider)), ['done 2']);
    },
    [`an activity ${name} that waits for another try is unlocked, too`]: async ({ provider }) => {
      await run(provider, 'a', { workItems: [activity(2, { routing: route })] });
      await abandonWork(provider, only(await take(provider)), { delayMs: 60_000 });
      assert.deepEqual(await take(provider), []);
      assert.equal(await editWork(provider, 'unlock'), 'done');
      assert.equal(only(await take(provider)).attempt, 2);
    },
    [`an activity ${name} that is moved back forgets its attempts`]: async ({ provider, clock }) => {
      await run(provider, 'a', { workItems: [activity(2, { routing: route })] });
      for (let lost = 0; lost < 2; lost += 1) {
        only(await take(provider));
        await clock.advance(LOCK_MS);
      }
      const held = only(await take(provider));
      assert.equal(held.attempt, 3);
      assert.equal(await editWork(provider, 'moveBack'), 'done');
      assert.equal(await ackWork(provider, held), 'lockLost');
      assert.equal(only(await work(provider)).attempt, 0);
      assert.equal(only(await take(provider)).attempt, 1);
    },
    [`an activity ${name} that is dropped is gone, and its orchestration is told`]: async (ctx) => {
      const { provider } = ctx;
      await run(provider, 'a', { workItems: [activity(2, { routing: route }), activity(3, { routing: route })] });
      const held = await take(provider);
      const wait = await poll(ctx);
      assert.equal(await editWork(provider, 'drop', 2, 'dropped'), 'done');
      assert.deepEqual(payloads(only((await wait.result).items)), ['dropped']);
      for (const item of held) if (item.eventId === 2) assert.equal(await ackWork(provider, item), 'gone');
      assert.deepEqual(await queued(provider), [1, 1]);
      assert.equal(await editWork(provider, 'drop', 2, 'dropped'), 'gone');
      assert.equal(await editWork(provider, 'drop', 3), 'done');
      assert.deepEqual(await queued(provider), [1, 0]);
      assert.deepEqual(await provider.readWorkItems('a'), []);
    },
  });
});

const limitedEdits = cases('queue edits', {
  'an activity that is unlocked or dropped gives its place under a limit back': async ({ provider }) => {
    const limited = routing({ limit: { key: 'quota', concurrency: 1, rate: null } });
    await run(provider, 'a', { workItems: [activity(2, { routing: limited }), activity(3, { routing: limited })] });
    const first = await fetchOneWork(provider);
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await editWork(provider, 'drop', first.eventId), 'done');
    const second = await fetchOneWork(provider);
    assert.equal(await editWork(provider, 'unlock', second.eventId), 'done');
    assert.equal((await fetchOneWork(provider)).attempt, 2);
  },
  'what has expired stays so': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ expiresAfterMs: 1_000 }) })] });
    await clock.advance(1_000);
    assert.equal(await editWork(provider, 'moveBack'), 'done');
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal((await fetchOneWork(provider, { select: { kind: 'expired' } })).eventId, 2);
  },
  'activities of an instance that rests are changed; it is told when it goes on': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    assert.equal(await editWork(provider, 'drop', 2, 'dropped'), 'done');
    await fetchNone(provider);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.deepEqual((await fetchItems(provider)).map(payloads), [['dropped']]);
  },
});

/** See the head of this file. */
export const queueCases: readonly ConformanceCase[] = [...looks, ...messageEdits, ...workEdits, ...limitedEdits];
