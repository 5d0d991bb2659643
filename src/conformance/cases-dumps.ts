// Contract cases: taking instances out of a store and into one. A case has one store: what was taken out is deleted, and comes back. Neighbours:
// case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { InstanceDump } from '../provider/management.ts';
import { ENGINE_BEHAVIOUR } from '../types/history-event.ts';
import type { InstanceStatus } from '../types/instance.ts';
import type { Provider } from '../provider/provider.ts';
import {
  ack,
  ackWork,
  activity,
  attempts,
  attributes,
  cases,
  commit,
  effects,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchWork,
  history,
  instanceIds,
  link,
  listAll,
  newInstance,
  nextExecution,
  only,
  page,
  payloads,
  poll,
  pollWork,
  queued,
  read,
  renewWork,
  routing,
  run,
  start,
  startOne,
  timer,
} from './case-kit.ts';
import type { ConformanceCase, ConformanceContext } from './conformance-case.ts';

async function take(provider: Provider, instanceId = 'a'): Promise<InstanceDump> {
  const dump = only(await provider.exportInstances([instanceId]));
  assert.ok(dump !== null);
  return dump;
}

async function remove(provider: Provider, ...ids: readonly string[]): Promise<void> {
  const outcomes = await provider.deleteInstances(ids.map((instanceId) => ({ instanceId, isForced: true })));
  assert.ok(outcomes.every(({ kind }) => kind === 'deleted'));
}

/** Takes an instance out and in again. */
async function move(provider: Provider, instanceId = 'a'): Promise<InstanceDump> {
  const dump = await take(provider, instanceId);
  await remove(provider, instanceId);
  assert.deepEqual(await provider.importInstances([dump]), ['imported']);
  return dump;
}

const anyWork = { select: { kind: 'queue', tags: { kind: 'any' }, session: { owner: 'n', leaseMs: 60_000, maxSessions: 9 } } } as const;

/** An instance in its second execution with all that one can have, locked as a whole. */
async function runFull({ provider, clock }: ConformanceContext): Promise<void> {
  const nowMs = clock.nowMs();
  await run(provider, 'p');
  const about = { priority: 3, parent: link('p'), onParentClose: 'terminate', parentNotice: 'notice' } as const;
  await startOne(provider, 'a', { ...about, attributes: attributes({ customer: 'acme', region: 'eu' }) });
  await clock.advance(100);
  await commit(provider, await fetchOne(provider), { page: page(2), next: { name: 'refund', version: '1.0.0', payload: 'start next' } });
  await clock.advance(100);
  const routed = routing({ tag: 'gpu', limit: { key: 'quota', concurrency: 3, rate: null }, extras: '{"note":"ä"}' });
  await commit(provider, await fetchOne(provider), {
    version: '2.0.0',
    page: page(3),
    customStatus: '"half"',
    workItems: [activity(2), activity(3, { name: 'mail', routing: routed }), activity(4, { routing: routing({ sessionId: 's' }) })],
    timers: [timer(5, nowMs + 90_000), timer(6, nowMs + 60_000)],
    effects: effects({
      values: [
        { key: 'b', value: '1' },
        { key: 'a', value: '"ä"' },
      ],
      subscriptions: [
        { pattern: 'news/*', subscribed: true },
        { pattern: 'alarm', subscribed: true },
      ],
    }),
  });
  await provider.enqueueMessages([
    { instanceId: 'a', payload: 'm1', key: 'k' },
    { instanceId: 'a', payload: 'm2' },
  ]);
  const item = await fetchOne(provider);
  await commit(provider, item, { version: '2.0.0', page: { lastEventId: 5, events: '[4, 5' }, consumedMessageIds: [] });
  assert.equal(attempts(await fetchOne(provider, { lockMs: 60_000 })).length, 2);
  const held = await fetchWork(provider, { ...anyWork, lockMs: 60_000 });
  assert.equal(held.length, 3);
  await renewWork(provider, held.slice(0, 1), 60_000, '"beat"');
}

const moving = cases('export and import', {
  'unknown instances give nothing': async ({ provider }) => {
    assert.deepEqual(await provider.exportInstances(['nobody', 'none']), [null, null]);
    assert.deepEqual(await provider.exportInstances([]), []);
    assert.deepEqual(await provider.importInstances([]), []);
  },
  'a dump has all that belongs to an instance': async (ctx) => {
    const { provider, clock } = ctx;
    await runFull(ctx);
    const dump = await take(provider);
    const nowMs = clock.nowMs();
    assert.deepEqual(dump.record, await read(provider, 'a'));
    assert.deepEqual([dump.firstExecutionId, dump.engine, dump.parentNotice, dump.holdUntilMs], [1, ENGINE_BEHAVIOUR, 'notice', null]);
    assert.deepEqual(dump.attributes, attributes({ customer: 'acme', region: 'eu' }));
    assert.deepEqual(
      dump.executions.map(({ pages: _pages, ...execution }) => execution),
      await provider.listExecutions('a'),
    );
    assert.deepEqual(
      dump.executions.map(({ pages }) => pages),
      [await history(provider, 'a', 1), await history(provider, 'a', 2)],
    );
    assert.deepEqual(dump.executions[1]?.pages, [
      { firstEventId: 1, ...page(3) },
      { firstEventId: 4, lastEventId: 5, events: '[4, 5' },
    ]);
    assert.deepEqual(dump.values, await provider.readValues('a', null));
    assert.equal(dump.values.length, 2);
    assert.deepEqual(dump.subscriptions, ['alarm', 'news/*']);
    const message = { isStart: false, timerEventId: null, key: null, visibleAtMs: 0 };
    assert.deepEqual(dump.messages, [
      { ...message, key: 'k', payload: 'm1' },
      { ...message, payload: 'm2' },
      { ...message, timerEventId: 6, visibleAtMs: nowMs - 200 + 60_000, payload: 'timer 6' },
      { ...message, timerEventId: 5, visibleAtMs: nowMs - 200 + 90_000, payload: 'timer 5' },
    ]);
    assert.deepEqual(
      dump.workItems.map(({ executionId, eventId, name, payload, routing: route }) => [
        executionId,
        eventId,
        name,
        payload,
        route?.tag ?? null,
      ]),
      [
        [2, 2, 'charge', 'activity 2', null],
        [2, 3, 'mail', 'activity 3', 'gpu'],
        [2, 4, 'charge', 'activity 4', null],
      ],
    );
    assert.deepEqual(
      dump.workItems.filter(({ heartbeat }) => heartbeat !== null).map(({ heartbeat }) => heartbeat),
      ['"beat"'],
    );
    assert.deepEqual(dump.workItems[1]?.routing?.extras, '{"note":"ä"}');
  },
  'looking does not change an instance: what is under way goes on': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await take(provider);
    await commit(provider, item, { page: page(2) });
  },
  'what was taken out and in is what it was': async (ctx) => {
    const { provider, clock } = ctx;
    await runFull(ctx);
    const before = await take(provider);
    const looks = async (): Promise<readonly unknown[]> => [
      await read(provider, 'a'),
      await provider.listExecutions('a'),
      await history(provider, 'a', 1),
      await history(provider, 'a', 2),
      await provider.readValues('a', null),
      (await provider.readWorkItems('a')).map(({ attempt: _attempt, isRunning: _isRunning, visibleAtMs: _visibleAtMs, ...item }) => item),
      await queued(provider),
      await listAll(provider, { filter: { attributes: attributes({ region: 'eu' }).list, name: 'refund', parentInstanceId: 'p' } }),
    ];
    const seen = await looks();
    await remove(provider, 'p');
    assert.deepEqual(await provider.readInstances(['a']), [null]);
    // Elsewhere the clock goes on.
    await clock.advance(1_000);
    assert.deepEqual(await provider.importInstances([before]), ['imported']);
    assert.deepEqual(await looks(), seen);
    assert.deepEqual(await take(provider), before);
  },
  'nothing is locked in the other store, and nothing was tried': async (ctx) => {
    const { provider } = ctx;
    await runFull(ctx);
    const dump = await take(provider);
    await remove(provider, 'p');
    assert.deepEqual(await provider.importInstances([dump]), ['imported']);
    const [counts] = await provider.countWaiting(['a']);
    assert.deepEqual([counts?.isLocked, counts?.runningActivities], [false, 0]);
    const queues = [
      ...(await provider.peekQueue({ queue: 'orchestrator', after: null, limit: 100 })),
      ...(await provider.peekQueue({ queue: 'worker', after: null, limit: 100 })),
    ];
    assert.equal(queues.length, 7);
    assert.ok(queues.every(({ attempt, lockedUntilMs }) => attempt === 0 && lockedUntilMs === null));
    const item = await fetchOne(provider);
    assert.deepEqual(
      [payloads(item), attempts(item)],
      [
        ['m1', 'm2'],
        [1, 1],
      ],
    );
    assert.deepEqual([item.name, item.version, item.executionId, item.lastEventId, item.parent], ['refund', '2.0.0', 2, 5, link('p')]);
    assert.ok((await fetchWork(provider, anyWork)).every(({ attempt }) => attempt === 1));
  },
  'it goes on: turns, activities, timers, topics, keys': async (ctx) => {
    const { provider, clock } = ctx;
    await runFull(ctx);
    const dump = await take(provider);
    await remove(provider, 'p');
    await provider.importInstances([dump]);
    assert.deepEqual(await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]), ['duplicate']);
    assert.deepEqual(await provider.publish([{ topic: 'news/today', payload: 'p1' }]), [1]);
    assert.deepEqual(await provider.publish([{ topic: 'alarm', payload: 'p2' }]), [1]);
    const item = await fetchOne(provider);
    assert.deepEqual(payloads(item), ['m1', 'm2', 'p1', 'p2']);
    await commit(provider, item, { page: page(9), cancelledTimers: [6] });
    const work = await fetchWork(provider, anyWork);
    assert.deepEqual(
      work.map(({ eventId, heartbeat }) => [eventId, heartbeat !== null]).toSorted(([a], [b]) => Number(a) - Number(b)).length,
      3,
    );
    assert.equal(work.filter(({ heartbeat }) => heartbeat === '"beat"').length, 1);
    for (const each of work) assert.equal(await ackWork(provider, each), 'done');
    const next = await fetchOne(provider);
    assert.equal(payloads(next).length, 3);
    await commit(provider, next, { page: page(12) });
    await clock.advance(89_000);
    await fetchNone(provider);
    await clock.advance(1_000);
    const fired = await fetchOne(provider);
    assert.deepEqual(payloads(fired), ['timer 5']);
    await commit(provider, fired, { page: page(14), next: nextExecution });
    const renewed = await fetchOne(provider);
    assert.equal(renewed.executionId, 3);
    await commit(provider, renewed, { page: page(2), status: 'Completed', output: '"out"' });
    assert.deepEqual(
      (await provider.listExecutions('a')).map(({ executionId, lastEventId }) => [executionId, lastEventId]),
      [
        [1, 2],
        [2, 14],
        [3, 2],
      ],
    );
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'a turn that was under way is none of the other instance': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    await move(provider);
    assert.equal(await ack(provider, item, { page: page(4) }), 'lockLost');
    assert.equal((await read(provider, 'a')).lastEventId, 2);
    await commit(provider, await fetchOne(provider), { page: page(3) });
  },
  'an import wakes fetches that wait': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    const dump = await take(provider);
    await remove(provider, 'a');
    const [turns, work] = [await poll(ctx), await pollWork(ctx)];
    await provider.importInstances([dump]);
    assert.deepEqual(instanceIds((await turns.result).items), ['a']);
    assert.deepEqual(instanceIds((await work.result).items), ['a']);
  },
  'an id in use keeps its instance, also within a batch': async ({ provider }) => {
    await run(provider, 'a');
    await run(provider, 'b', { status: 'Completed', output: '1' });
    const [a, b] = [await take(provider, 'a'), await take(provider, 'b')];
    const before = await read(provider, 'a');
    await remove(provider, 'b');
    assert.deepEqual(await provider.importInstances([{ ...a, record: { ...a.record, name: 'other' } }, b, b, a]), [
      'exists',
      'imported',
      'exists',
      'exists',
    ]);
    assert.deepEqual(await read(provider, 'a'), before);
    assert.equal((await history(provider, 'b')).length, 1);
  },
  'a delayed start begins at its time': async ({ provider, clock }) => {
    const atMs = clock.nowMs() + 5_000;
    await startOne(provider, 'a', { startAtMs: atMs, version: null, priority: 2 });
    const dump = await move(provider);
    assert.deepEqual([dump.holdUntilMs, dump.engine, dump.record.status], [atMs, 0, 'Pending']);
    assert.deepEqual(dump.messages, [{ isStart: true, timerEventId: null, key: null, visibleAtMs: 0, payload: 'start a' }]);
    await enqueue(provider, 'a', 'm');
    await fetchNone(provider);
    await clock.advance(5_000);
    const item = await fetchOne(provider);
    assert.deepEqual([payloads(item), item.status, item.version], [['start a', 'm'], 'Pending', null]);
    assert.equal((await take(provider)).holdUntilMs, null);
  },
  'the start message comes first, also of a later execution': async ({ provider }) => {
    await run(provider, 'a', { messages: [{ instanceId: 'a', payload: 'before' }] });
    await enqueue(provider, 'a', 'early');
    await commit(provider, await fetchOne(provider), { consumedMessageIds: [], next: nextExecution });
    const dump = await move(provider);
    assert.deepEqual(
      dump.messages.map(({ isStart, payload }) => [isStart, payload]),
      [
        [true, 'start next'],
        [false, 'before'],
        [false, 'early'],
      ],
    );
    await enqueue(provider, 'a', 'late');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start next', 'before', 'early', 'late']);
  },
  'messages and timers keep their order': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(5, clock.nowMs() + 1_000), timer(6, clock.nowMs() + 3_000)] });
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    await enqueue(provider, 'a', 'm1');
    await clock.advance(2_000);
    await enqueue(provider, 'a', 'm2');
    await move(provider);
    await enqueue(provider, 'a', 'm3');
    const dump = await take(provider);
    assert.deepEqual(
      dump.messages.map(({ payload }) => payload),
      ['m1', 'timer 5', 'm2', 'm3', 'timer 6'],
    );
    await remove(provider, 'a');
    await clock.advance(60_000);
    await provider.importInstances([dump]);
    await enqueue(provider, 'a', 'm4');
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'timer 5', 'm2', 'm3', 'timer 6', 'm4']);
  },
  'who replaced another goes on counting': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution });
    assert.equal(await startOne(provider, 'a', { policy: 'terminateExisting' }), 'replaced');
    const dump = await move(provider);
    assert.deepEqual([dump.firstExecutionId, dump.record.executionId, dump.executions.length], [3, 3, 1]);
    // It has not begun: a resume leads back to Pending.
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.equal((await read(provider, 'a')).status, 'Pending');
    assert.equal(await startOne(provider, 'a', { policy: 'terminateExisting' }), 'replaced');
    assert.equal((await read(provider, 'a')).executionId, 4);
  },
  'families stay families': async ({ provider }) => {
    await run(provider, 'a');
    await startOne(provider, 'b', { parent: link('a'), onParentClose: 'terminate', parentNotice: 'b is gone' });
    const dumps = await provider.exportInstances(['a', 'b']);
    await remove(provider, 'a');
    assert.deepEqual(await provider.importInstances(dumps.filter((dump) => dump !== null)), ['imported', 'imported']);
    assert.deepEqual(instanceIds(await listAll(provider, { filter: { parentInstanceId: 'a' } })), ['b']);
    assert.equal(only(await provider.countWaiting(['a'])).children, 1);
    assert.equal(await startOne(provider, 'b', { policy: 'terminateExisting' }), 'replaced');
    const told = (await fetchItems(provider)).find(({ instanceId }) => instanceId === 'a');
    assert.ok(told !== undefined);
    assert.deepEqual(payloads(told), ['b is gone']);
  },
  'an activity that nobody took in time expires in the other store': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ expiresAfterMs: 1_000 }) })] });
    await move(provider);
    await clock.advance(1_000);
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(only(await fetchWork(provider, { select: { kind: 'expired' } })).eventId, 2);
  },
  'an activity with a priority goes first in the other store': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ priority: 5 }) })] });
    const dump = await take(provider);
    await remove(provider, 'a');
    await run(provider, 'b', { workItems: [activity(2)] });
    await clock.advance(10);
    await provider.importInstances([dump]);
    assert.equal(only(await fetchWork(provider, { maxItems: 1 })).instanceId, 'a');
  },
  'texts of any kind come back as they were': async ({ provider }) => {
    const odd = `a\0b 'c' "d" \\n \\u0000 ä€😀 \u{10ffff}0 \u{10ffff}1 %_`;
    await provider.startInstances([
      newInstance(odd, { name: odd, version: odd, payload: odd, attributes: { text: odd, list: [{ key: odd, value: odd }] } }),
    ]);
    const changes = { page: { lastEventId: 2, events: odd }, customStatus: odd };
    await commit(provider, await fetchOne(provider), {
      ...changes,
      version: odd,
      workItems: [activity(2, { name: odd, payload: odd })],
      effects: effects({ values: [{ key: odd, value: odd }], subscriptions: [{ pattern: odd, subscribed: true }] }),
    });
    await provider.enqueueMessages([{ instanceId: odd, payload: odd, key: odd }]);
    const [record, pages] = [await read(provider, odd), await history(provider, odd)];
    const dump = await move(provider, odd);
    assert.equal(dump.record.instanceId, odd);
    assert.deepEqual(await read(provider, odd), record);
    assert.deepEqual(await history(provider, odd), pages);
    assert.deepEqual(await take(provider, odd), dump);
    assert.deepEqual(instanceIds(await listAll(provider, { filter: { attributes: [{ key: odd, value: odd }] } })), [odd]);
  },
});

const STATUSES: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated', 'Quarantined', 'Suspended', 'Running'];

const statuses: readonly ConformanceCase[] = STATUSES.flatMap((status) =>
  cases('export and import', {
    [`an instance that is ${status} is so in the other store`]: async ({ provider, clock }) => {
      await run(provider, 'a', { timers: [timer(5, clock.nowMs() + 1_000)], effects: effects({ values: [{ key: 'k', value: '1' }] }) });
      await enqueue(provider, 'a', 'm');
      await clock.advance(10);
      await commit(provider, await fetchOne(provider), { page: page(4), status, output: '"out"', consumedMessageIds: [] });
      const [before, depths] = [await read(provider, 'a'), await queued(provider)];
      await clock.advance(10);
      await move(provider);
      assert.deepEqual(await read(provider, 'a'), before);
      assert.deepEqual(await queued(provider), depths);
      assert.equal((await provider.readValues('a', null)).length, 1);
      assert.equal((await fetchItems(provider)).length, status === 'Running' ? 1 : 0);
      for (const orderBy of ['id', 'createdAt', 'endedAt'] as const) {
        const wanted = orderBy === 'endedAt' && before.endedAtMs === null ? [] : [before];
        assert.deepEqual(await listAll(provider, { orderBy, filter: { statuses: [status] } }), wanted);
      }
    },
  }),
);

/** See the head of this file. */
export const dumpCases: readonly ConformanceCase[] = [...moving, ...statuses];
