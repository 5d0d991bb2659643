// Contract cases: long polls, waits for instances. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { NewWorkItem } from '../provider/provider.ts';
import {
  abandon,
  abandonWork,
  ack,
  ackFor,
  ackWork,
  activity,
  attempts,
  cases,
  commit,
  ended,
  enqueue,
  eventIds,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchParams,
  fetchWork,
  instanceIds,
  newInstance,
  nextExecution,
  only,
  page,
  payloads,
  poll,
  pollWork,
  routing,
  run,
  start,
  statusAfter,
  timer,
  watch,
} from './case-kit.ts';
import type { FetchChanges } from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const longPolls = cases('long polls', {
  'a fetch without time to wait returns at once': async ({ provider, clock }) => {
    assert.deepEqual(await provider.fetchOrchestrationItems(fetchParams()), { nowMs: clock.nowMs(), items: [] });
    assert.deepEqual(await provider.fetchWorkItems(fetchParams()), { nowMs: clock.nowMs(), items: [] });
  },
  'a fetch that finds something does not wait for more': async ({ provider }) => {
    await start(provider, 'a');
    await fetchOne(provider, { maxItems: 5, waitMs: 10_000 });
  },
  'a waiting fetch gets an instance that is started': async (ctx) => {
    const wait = await poll(ctx);
    await start(ctx.provider, 'a');
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
    await fetchNone(ctx.provider);
  },
  'a waiting fetch gets a message that is enqueued': async (ctx) => {
    await run(ctx.provider, 'a');
    const wait = await poll(ctx);
    await enqueue(ctx.provider, 'a', 'm');
    assert.deepEqual(payloads(only((await wait.result).items)), ['m']);
  },
  'a waiting fetch gets what an ack sends and starts': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'b');
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const wait = await poll(ctx);
    await commit(provider, item, {
      messages: [{ instanceId: 'b', payload: 'm' }],
      starts: [{ ...newInstance('c'), conflictPayload: null }],
    });
    assert.deepEqual((await wait.result).items.map(payloads), [['m'], ['start c']]);
  },
  'a waiting fetch gets messages that waited for a lock': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await enqueue(provider, 'a', 'm');
    const wait = await poll(ctx);
    await commit(provider, item);
    assert.deepEqual(payloads(only((await wait.result).items)), ['m']);
  },
  'a waiting fetch gets the completion of an activity': async (ctx) => {
    await run(ctx.provider, 'a', { workItems: [activity(2)] });
    const wait = await poll(ctx);
    await ackWork(ctx.provider, await fetchOneWork(ctx.provider));
    assert.deepEqual(payloads(only((await wait.result).items)), ['done 2']);
  },
  'a waiting fetch gets an abandoned instance': async (ctx) => {
    await start(ctx.provider, 'a');
    const item = await fetchOne(ctx.provider);
    const wait = await poll(ctx);
    await abandon(ctx.provider, item);
    assert.deepEqual(attempts(only((await wait.result).items)), [2]);
  },
  'a waiting fetch gets a delayed instance when the delay is over': async (ctx) => {
    await start(ctx.provider, 'a');
    await abandon(ctx.provider, await fetchOne(ctx.provider), { delayMs: 1_000 });
    const wait = await poll(ctx);
    await ctx.clock.advance(999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.equal((await wait.result).items.length, 1);
  },
  'a waiting fetch gets an instance whose lock expires': async (ctx) => {
    await start(ctx.provider, 'a');
    await fetchOne(ctx.provider, { lockMs: 1_000 });
    const wait = await poll(ctx);
    await ctx.clock.advance(999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.deepEqual(attempts(only((await wait.result).items)), [2]);
  },
  'a waiting fetch gets a timer when it is due': async (ctx) => {
    const dueAtMs = ctx.clock.nowMs() + 1_000;
    await run(ctx.provider, 'a', { timers: [timer(2, dueAtMs)] });
    const wait = await poll(ctx);
    await ctx.clock.advance(999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    const { nowMs, items } = await wait.result;
    assert.deepEqual([nowMs, payloads(only(items))], [dueAtMs, ['timer 2']]);
  },
  'a waiting fetch gets a timer that is set while it waits': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'late', { timers: [timer(2, clock.nowMs() + 5_000)] });
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const wait = await poll(ctx);
    await commit(provider, item, { timers: [timer(2, clock.nowMs() + 1_000)] });
    await clock.advance(1_000);
    assert.equal(only((await wait.result).items).instanceId, 'a');
  },
  'a waiting fetch gets work that is scheduled': async (ctx) => {
    const wait = await pollWork(ctx);
    await run(ctx.provider, 'a', { workItems: [activity(2)] });
    assert.deepEqual(eventIds((await wait.result).items), [2]);
  },
  'a waiting fetch gets work whose lock expires': async (ctx) => {
    await run(ctx.provider, 'a', { workItems: [activity(2)] });
    await fetchOneWork(ctx.provider, { lockMs: 1_000 });
    const wait = await pollWork(ctx);
    await ctx.clock.advance(999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.equal(only((await wait.result).items).attempt, 2);
  },
  'a waiting fetch gets abandoned work, at once or after its delay': async (ctx) => {
    await run(ctx.provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(ctx.provider);
    const first = await pollWork(ctx);
    await abandonWork(ctx.provider, work);
    const again = only((await first.result).items);
    const second = await pollWork(ctx);
    await abandonWork(ctx.provider, again, { delayMs: 1_000 });
    await ctx.clock.advance(999);
    assert.equal(second.isOver(), false);
    await ctx.clock.advance(1);
    assert.equal(only((await second.result).items).attempt, 3);
  },
  'a renewed lock keeps a waiting fetch waiting': async (ctx) => {
    await start(ctx.provider, 'a');
    const item = await fetchOne(ctx.provider, { lockMs: 1_000 });
    const wait = await poll(ctx);
    await ctx.clock.advance(500);
    await ctx.provider.renewOrchestrationLocks([item], 1_000);
    await ctx.clock.advance(999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.equal((await wait.result).items.length, 1);
  },
  'a fetch ends with nothing when its time is up, not before': async (ctx) => {
    const [wait, workWait] = [await poll(ctx, { waitMs: 1_000 }), await pollWork(ctx, { waitMs: 1_000 })];
    await ctx.clock.advance(999);
    assert.deepEqual([wait.isOver(), workWait.isOver()], [false, false]);
    await ctx.clock.advance(1);
    const nowMs = ctx.clock.nowMs();
    assert.deepEqual(await wait.result, { nowMs, items: [] });
    assert.deepEqual(await workWait.result, { nowMs, items: [] });
  },
  'waiting fetches are served in the order in which they came': async (ctx) => {
    const first = await poll(ctx, { maxItems: 1 });
    const second = await poll(ctx, { maxItems: 1 });
    await start(ctx.provider, 'a');
    assert.deepEqual(instanceIds((await first.result).items), ['a']);
    assert.equal(second.isOver(), false);
    await start(ctx.provider, 'b');
    assert.deepEqual(instanceIds((await second.result).items), ['b']);
  },
  'waiting fetches share what becomes ready together': async (ctx) => {
    const first = await poll(ctx, { maxItems: 2 });
    const second = await poll(ctx, { maxItems: 2 });
    await start(ctx.provider, 'a', 'b', 'c');
    assert.deepEqual(instanceIds((await first.result).items), ['a', 'b']);
    assert.deepEqual(instanceIds((await second.result).items), ['c']);
  },
  'an abort ends the wait with nothing': async (ctx) => {
    const controller = new AbortController();
    const wait = await poll(ctx, { signal: controller.signal });
    const workWait = await pollWork(ctx, { signal: controller.signal });
    controller.abort();
    assert.deepEqual((await wait.result).items, []);
    assert.deepEqual((await workWait.result).items, []);
    await start(ctx.provider, 'a');
    await fetchOne(ctx.provider);
  },
  'an aborted signal ends the wait before it begins': async ({ provider }) => {
    const signal = AbortSignal.abort();
    assert.deepEqual(await fetchItems(provider, { waitMs: 10_000, signal }), []);
    assert.deepEqual(await fetchWork(provider, { waitMs: 10_000, signal }), []);
  },
  'an abort loses no items': async (ctx) => {
    const { provider } = ctx;
    const controller = new AbortController();
    const wait = await poll(ctx, { signal: controller.signal });
    const started = start(provider, 'a');
    controller.abort();
    await started;
    const taken = (await wait.result).items;
    assert.equal(taken.length + (await fetchItems(provider)).length, 1);
  },
  'waiting fetches do not spin while nothing is ready that they may take': async (ctx) => {
    const { provider, clock } = ctx;
    const by = (owner: string, maxSessions = 1): FetchChanges => ({
      select: { kind: 'queue', tags: { kind: 'default' }, session: { owner, leaseMs: 60_000, maxSessions } },
    });
    const inSession = (eventId: number, sessionId: string): NewWorkItem => activity(eventId, { routing: routing({ sessionId }) });
    const tagged = activity(6, { routing: routing({ tag: 'gpu' }) });
    await run(provider, 'a', {
      page: page(9),
      workItems: [inSession(2, 's1'), inSession(3, 's1'), inSession(4, 's2'), inSession(5, 's3'), tagged],
    });
    await fetchWork(provider, { ...by('n1'), maxItems: 1 });
    await fetchWork(provider, by('n2'));
    await fetchWork(provider, by('n3'));
    await start(provider, 'locked');
    await fetchOne(provider, { lockMs: 60_000 });
    await run(provider, 'stopped', { status: 'Suspended', messages: [{ instanceId: 'stopped', payload: 'm' }] });
    const waits = [
      await poll(ctx),
      await pollWork(ctx),
      await pollWork(ctx, by('n2')),
      await pollWork(ctx, by('n4')),
      await pollWork(ctx, by('n5', 0)),
      await pollWork(ctx, { select: { kind: 'expired' } }),
    ];
    const untilMs = clock.nowMs() + 5_000;
    let looks = 0;
    while (clock.nextTimerAtMs !== null && clock.nextTimerAtMs <= untilMs) {
      await clock.runToNextTimer();
      looks += 1;
      // A store that others share may look for their news, but not every millisecond.
      assert.ok(looks <= 1_000, 'a store that waits woke up more than a thousand times in 5 s');
    }
    assert.deepEqual(
      waits.map(({ isOver }) => isOver()),
      waits.map(() => false),
    );
    await provider.close();
    for (const { result } of waits) assert.deepEqual((await result).items, []);
  },
  'a wait leaves neither timer nor listener behind, however it ends': async (ctx) => {
    const { provider, clock } = ctx;
    const dueAtMs = clock.nowMs() + 100_000;
    await run(provider, 'a', { timers: [timer(2, dueAtMs)] });
    const timersBefore = clock.pendingTimers;
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = (): number => getEventListeners(signal, 'abort').length;
    const nothingIsLeft = async (): Promise<void> => {
      await clock.advance(0);
      assert.deepEqual([listeners(), clock.pendingTimers], [0, timersBefore]);
    };

    const served = await poll(ctx, { signal });
    assert.equal(listeners(), 1);
    await enqueue(provider, 'a', 'm');
    await commit(provider, only((await served.result).items), { customStatus: '1' });
    await nothingIsLeft();

    const timedOut = await poll(ctx, { signal, waitMs: 100 });
    await clock.advance(100);
    await timedOut.result;
    await nothingIsLeft();

    const aborted = [await poll(ctx, { signal }), await pollWork(ctx, { signal }), await watch(ctx, ended, { signal })];
    assert.equal(listeners(), 3);
    controller.abort();
    await Promise.all(aborted.map(({ result }) => result));
    await nothingIsLeft();
  },
});

const waits = cases('waits for an instance', {
  'a wait for the end sees the end with its output': async (ctx) => {
    await start(ctx.provider, 'a');
    const item = await fetchOne(ctx.provider);
    const wait = await watch(ctx, ended);
    await commit(ctx.provider, item, { status: 'Completed', output: '42' });
    const record = await wait.result;
    assert.deepEqual([record?.status, record?.output], ['Completed', '42']);
  },
  'a wait for the end is over at once when the instance has ended': async ({ provider }) => {
    await run(provider, 'a', { status: 'Failed', output: 'f' });
    const record = await provider.waitForInstance({ instanceId: 'a', condition: ended, waitMs: 10_000 });
    assert.equal(record?.status, 'Failed');
  },
  'a wait for an unknown instance gives null at once': async ({ provider }) => {
    assert.equal(await provider.waitForInstance({ instanceId: 'a', condition: ended, waitMs: 10_000 }), null);
  },
  'a wait without time gives the instance as it is': async ({ provider }) => {
    await start(provider, 'a');
    const record = await provider.waitForInstance({ instanceId: 'a', condition: ended, waitMs: 0 });
    assert.equal(record?.status, 'Pending');
  },
  'a wait whose time is up gives the instance as it is then': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, ended);
    await commit(ctx.provider, await fetchOne(ctx.provider), { customStatus: '1' });
    await ctx.clock.advance(9_999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    const record = await wait.result;
    assert.deepEqual([record?.status, record?.customStatus], ['Running', '1']);
  },
  'an abort ends a wait with the instance as it is': async (ctx) => {
    await start(ctx.provider, 'a');
    const controller = new AbortController();
    const wait = await watch(ctx, ended, { signal: controller.signal });
    controller.abort();
    assert.equal((await wait.result)?.status, 'Pending');
  },
  'turns and new executions do not end a wait for the end': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, ended);
    await commit(ctx.provider, await fetchOne(ctx.provider), { customStatus: '1', next: nextExecution });
    await ctx.clock.advance(10);
    assert.equal(wait.isOver(), false);
    await commit(ctx.provider, await fetchOne(ctx.provider), { status: 'Cancelled' });
    assert.equal((await wait.result)?.executionId, 2);
  },
  'a wait for the custom status sees a newer one, also a reset': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a');
    const wait = await watch(ctx, statusAfter(0));
    await commit(provider, await fetchOne(provider), { customStatus: '"x"' });
    assert.equal((await wait.result)?.customStatus, '"x"');
    const second = await watch(ctx, statusAfter(1));
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { customStatus: null });
    const record = await second.result;
    assert.deepEqual([record?.customStatus, record?.customStatusVersion], [null, 2]);
  },
  'a wait for the custom status is over at once when a newer one is there': async ({ provider }) => {
    await run(provider, 'a', { customStatus: '1' });
    const record = await provider.waitForInstance({ instanceId: 'a', condition: statusAfter(0), waitMs: 10_000 });
    assert.equal(record?.customStatus, '1');
  },
  'a turn that leaves the custom status alone does not end a wait for it': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, statusAfter(0));
    await commit(ctx.provider, await fetchOne(ctx.provider));
    await ctx.clock.advance(10);
    assert.equal(wait.isOver(), false);
    await ctx.provider.close();
    await wait.result;
  },
  'the end of the instance ends a wait for its custom status': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, statusAfter(7));
    await commit(ctx.provider, await fetchOne(ctx.provider), { status: 'Completed' });
    assert.equal((await wait.result)?.status, 'Completed');
  },
  'quarantine ends a wait for the end, suspension does not': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined);
    const quarantined = await watch(ctx, ended);
    const suspended = await watch(ctx, ended, { instanceId: 'b' });
    await provider.ackOrchestrationItems([ackFor(a, { status: 'Quarantined', output: 'f' }), ackFor(b, { status: 'Suspended' })]);
    assert.equal((await quarantined.result)?.output, 'f');
    await ctx.clock.advance(10);
    assert.equal(suspended.isOver(), false);
    const later = await watch(ctx, ended, { instanceId: 'b' });
    await provider.close();
    assert.equal((await suspended.result)?.status, 'Suspended');
    assert.equal((await later.result)?.status, 'Suspended');
  },
  'all who wait for an instance are told, others are not': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a', 'b');
    const items = await fetchItems(provider);
    const [a] = items;
    assert.ok(a !== undefined);
    const [first, second] = [await watch(ctx, ended), await watch(ctx, statusAfter(0))];
    const other = await watch(ctx, ended, { instanceId: 'b' });
    await commit(provider, a, { status: 'Completed' });
    await Promise.all([first.result, second.result]);
    await ctx.clock.advance(10);
    assert.equal(other.isOver(), false);
    await provider.close();
    await other.result;
  },
  'who waits for one thing does not hold up who waits for another': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a');
    const [first, second] = [await watch(ctx, ended), await watch(ctx, statusAfter(0))];
    await commit(provider, await fetchOne(provider), { customStatus: '1' });
    assert.equal((await second.result)?.customStatus, '1');
    assert.equal(first.isOver(), false);
    await provider.close();
    await first.result;
  },
  'a refused ack tells nobody': async (ctx) => {
    await start(ctx.provider, 'a');
    const item = await fetchOne(ctx.provider);
    const wait = await watch(ctx, ended);
    await ack(ctx.provider, item, { lockToken: 'foreign', status: 'Completed' });
    await ctx.clock.advance(10);
    assert.equal(wait.isOver(), false);
    await ctx.provider.close();
    await wait.result;
  },
});

/** See the head of this file. */
export const waitCases: readonly ConformanceCase[] = [...longPolls, ...waits];
