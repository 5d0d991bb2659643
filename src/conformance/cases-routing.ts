// Contract cases: which work items a worker takes (tags, priority, expiry), heartbeats, and work items as people see them.
// Neighbours: conformance-cases.ts lists them, cases-sessions.ts, case-kit.ts.
import assert from 'node:assert/strict';
import { PRIORITY_HEAD_START_MS } from '../provider/provider.ts';
import type { NewWorkItem, TagFilter } from '../provider/provider.ts';
import {
  abandonWork,
  ackWork,
  activity,
  cases,
  commit,
  enqueue,
  eventIds,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  nextExecution,
  payloads,
  pollWork,
  queued,
  renewWork,
  routing,
  run,
} from './case-kit.ts';
import type { FetchChanges } from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const tagged = (eventId: number, tag: string | null): NewWorkItem => activity(eventId, { routing: tag === null ? null : routing({ tag }) });
const byTags = (tags: TagFilter): FetchChanges => ({ select: { kind: 'queue', tags, session: null } });
const onlyTags = (...tags: readonly string[]): FetchChanges => byTags({ kind: 'only', tags });
const defaultAnd = (...tags: readonly string[]): FetchChanges => byTags({ kind: 'defaultAnd', tags });
const anyTag = byTags({ kind: 'any' });

const expired: FetchChanges = { select: { kind: 'expired' } };
const expiring = (eventId: number, expiresAfterMs = 1_000, tag: string | null = null): NewWorkItem =>
  activity(eventId, { routing: routing({ expiresAfterMs, tag }) });

const tags = cases('tags', {
  'a worker without filter takes the default queue only': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, null), tagged(3, 'gpu'), activity(4, { routing: routing({ priority: 0 }) })] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [2, 4]);
    assert.deepEqual(eventIds(await fetchWork(provider, byTags({ kind: 'default' }))), []);
  },
  'a worker for the default queue takes items without a tag': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, 'gpu'), tagged(3, null)] });
    assert.deepEqual(eventIds(await fetchWork(provider, byTags({ kind: 'default' }))), [3]);
  },
  'a worker for a tag takes items with that tag only': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, null), tagged(3, 'gpu'), tagged(4, 'cpu'), tagged(5, 'GPU')] });
    assert.deepEqual(eventIds(await fetchWork(provider, onlyTags('gpu'))), [3]);
  },
  'a worker for the default queue and a tag takes both, oldest first': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, 'cpu'), tagged(3, 'gpu'), tagged(4, null), tagged(5, 'gpu')] });
    assert.deepEqual(eventIds(await fetchWork(provider, defaultAnd('gpu'))), [3, 4, 5]);
  },
  'a worker for several tags takes all of them': async ({ provider }) => {
    await run(provider, 'a', { workItems: ['a', 'b', 'c', 'd', 'e', 'f'].map((tag, index) => tagged(index + 2, tag)) });
    assert.deepEqual(eventIds(await fetchWork(provider, onlyTags('e', 'a', 'c'))), [2, 4, 6]);
    assert.deepEqual(eventIds(await fetchWork(provider, defaultAnd('b', 'd'))), [3, 5]);
  },
  'a worker for no tag at all takes nothing': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, null), tagged(3, 'gpu')] });
    assert.deepEqual(await fetchWork(provider, onlyTags()), []);
    assert.deepEqual(eventIds(await fetchWork(provider, defaultAnd())), [2]);
  },
  'a worker for any tag takes everything': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, null), tagged(3, 'gpu'), tagged(4, 'cpu')] });
    assert.deepEqual(eventIds(await fetchWork(provider, anyTag)), [2, 3, 4]);
  },
  'tags of the runtime itself are taken when named only': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, 'duraloom:inner'), tagged(3, 'duraloom:other'), tagged(4, 'duraloom')] });
    assert.deepEqual(await fetchWork(provider, defaultAnd('gpu')), []);
    assert.deepEqual(eventIds(await fetchWork(provider, anyTag)), [4]);
    assert.deepEqual(eventIds(await fetchWork(provider, onlyTags('duraloom:inner'))), [2]);
    assert.deepEqual(eventIds(await fetchWork(provider, defaultAnd('duraloom:other'))), [3]);
  },
  'a worker gets the routing as it was scheduled': async ({ provider }) => {
    const full = routing({ tag: 'gpu', priority: 3, timeoutMs: 5_000, expiresAfterMs: 60_000, extras: '{"attempt":2}' });
    await run(provider, 'a', { workItems: [activity(2, { routing: full }), activity(3, { routing: routing({}) }), activity(4)] });
    assert.deepEqual((await fetchOneWork(provider, onlyTags('gpu'))).routing, full);
    const [three, four] = await fetchWork(provider);
    assert.ok(three !== undefined && four !== undefined);
    // What asks for nothing may come back as nothing.
    if (three.routing !== null) assert.deepEqual(three.routing, routing({}));
    assert.equal(four.routing, null);
  },
  'a tag survives an abandon, an expired lock and a renewal': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [tagged(2, 'gpu')] });
    await abandonWork(provider, await fetchOneWork(provider, onlyTags('gpu')));
    assert.deepEqual(await fetchWork(provider), []);
    const work = await fetchOneWork(provider, { ...onlyTags('gpu'), lockMs: 1_000 });
    await renewWork(provider, [work], 1_000);
    await clock.advance(1_000);
    assert.deepEqual(await fetchWork(provider), []);
    const { routing: kept, attempt } = await fetchOneWork(provider, onlyTags('gpu'));
    assert.deepEqual([kept?.tag, attempt], ['gpu', 3]);
  },
  'workers of different tags do not take from each other': async ({ provider }) => {
    const items = ['x', 'y', 'z', null].map((tag, index) => tagged(index + 2, tag));
    await run(provider, 'a', { workItems: items });
    const [xs, xys, all] = await Promise.all([
      fetchWork(provider, onlyTags('x')),
      fetchWork(provider, onlyTags('x', 'y')),
      fetchWork(provider, anyTag),
    ]);
    assert.deepEqual([xs, xys, all].map(eventIds), [[2], [3], [4, 5]]);
  },
  'many items of other tags do not keep a worker from its own': async ({ provider, clock }) => {
    const others = Array.from({ length: 500 }, (_, index) => tagged(index + 2, `tag ${index % 50}`));
    await run(provider, 'a', { workItems: others });
    await clock.advance(1);
    await run(provider, 'b', { workItems: [tagged(2, 'mine'), tagged(3, null)] });
    assert.equal((await fetchOneWork(provider, { ...onlyTags('mine'), maxItems: 1 })).instanceId, 'b');
    assert.equal((await fetchOneWork(provider, { maxItems: 1 })).instanceId, 'b');
  },
  'a tagged item completes and is cancelled as any other': async ({ provider }) => {
    await run(provider, 'a', { workItems: [tagged(2, 'gpu'), tagged(3, 'gpu')] });
    assert.equal(await ackWork(provider, await fetchOneWork(provider, { ...onlyTags('gpu'), maxItems: 1 })), 'done');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [3] });
    assert.deepEqual(await fetchWork(provider, anyTag), []);
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'a waiting worker is woken by the tags that it takes only': async (ctx) => {
    const { provider, clock } = ctx;
    const wait = await pollWork(ctx, onlyTags('gpu'));
    await run(provider, 'a', { workItems: [tagged(2, null), tagged(3, 'cpu')] });
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await run(provider, 'b', { workItems: [tagged(4, 'gpu')] });
    assert.deepEqual(eventIds((await wait.result).items), [4]);
  },
  'a waiting worker does not keep one back that takes other tags': async (ctx) => {
    const { provider } = ctx;
    const [gpu, plain] = [await pollWork(ctx, onlyTags('gpu')), await pollWork(ctx)];
    await run(provider, 'a', { workItems: [tagged(2, null)] });
    assert.deepEqual(eventIds((await plain.result).items), [2]);
    await run(provider, 'b', { workItems: [tagged(3, 'gpu')] });
    assert.deepEqual(eventIds((await gpu.result).items), [3]);
  },
});

const priorities = cases('priority of work', {
  'work with priority goes before what is ready a little longer': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await clock.advance(PRIORITY_HEAD_START_MS - 1);
    await run(provider, 'b', { workItems: [activity(3, { routing: routing({ priority: 1 }) })] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [3, 2]);
  },
  'no work waits for ever behind priority': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await clock.advance(PRIORITY_HEAD_START_MS + 1);
    await run(provider, 'b', { workItems: [activity(3, { routing: routing({ priority: 1 }) })] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [2, 3]);
  },
  'work of higher priority goes first, across tags': async ({ provider }) => {
    const levels = [0, 5, 9, 1];
    const workItems = levels.map((priority, index) =>
      activity(index + 2, { routing: routing({ priority, tag: index % 2 === 0 ? null : 'gpu' }) }),
    );
    await run(provider, 'a', { workItems });
    assert.deepEqual(eventIds(await fetchWork(provider, anyTag)), [4, 3, 5, 2]);
  },
  'work with priority that is given back at once keeps its head start, after a delay it has none': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ priority: 1 }) })] });
    const work = await fetchOneWork(provider);
    await run(provider, 'b', { workItems: [activity(3)] });
    await clock.advance(1_000);
    await abandonWork(provider, work);
    const again = await fetchOneWork(provider, { maxItems: 1 });
    assert.equal(again.eventId, 2);
    await abandonWork(provider, again, { delayMs: 1_000 });
    await clock.advance(1_000);
    assert.deepEqual(eventIds(await fetchWork(provider)), [3, 2]);
  },
  'work with priority whose lock expired has no head start': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ priority: 9 }) })] });
    await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(500);
    await run(provider, 'b', { workItems: [activity(3)] });
    await clock.advance(500);
    assert.deepEqual(eventIds(await fetchWork(provider)), [3, 2]);
  },
});

const expiries = cases('expiry of work', {
  'work is handed out until it expires, not after': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [expiring(2), expiring(3)] });
    await clock.advance(999);
    assert.deepEqual(eventIds(await fetchWork(provider, { maxItems: 1 })), [2]);
    await clock.advance(1);
    assert.deepEqual(await fetchWork(provider), []);
    assert.deepEqual(await queued(provider), [0, 2]);
  },
  'expired work is handed to who asks for it, whatever its tag and session': async ({ provider, clock }) => {
    const inSession = activity(4, { routing: routing({ expiresAfterMs: 1_000, sessionId: 's' }) });
    await run(provider, 'a', { workItems: [expiring(2), expiring(3, 1_000, 'gpu'), inSession, activity(5)] });
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider, expired), []);
    await clock.advance(1);
    assert.deepEqual(new Set(eventIds(await fetchWork(provider, expired))), new Set([2, 3, 4]));
    assert.deepEqual(await fetchWork(provider, expired), []);
    assert.deepEqual(eventIds(await fetchWork(provider, anyTag)), [5]);
  },
  'work without expiry never expires': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3, { routing: routing({ tag: 'gpu', timeoutMs: 10 }) })] });
    await clock.advance(365 * 24 * 60 * 60 * 1_000);
    assert.deepEqual(await fetchWork(provider, expired), []);
    assert.deepEqual(eventIds(await fetchWork(provider, anyTag)), [2, 3]);
  },
  'work that was handed out in time never expires': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [expiring(2), expiring(3), expiring(4)] });
    const [two, three] = await fetchWork(provider, { lockMs: 5_000 });
    assert.ok(two !== undefined && three !== undefined);
    await abandonWork(provider, two);
    await abandonWork(provider, three, { countAttempt: false });
    await clock.advance(5_000);
    assert.deepEqual(await fetchWork(provider, expired), []);
    assert.deepEqual(new Set(eventIds(await fetchWork(provider))), new Set([2, 3, 4]));
  },
  'work can be completed after its expiry when it was taken before': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [expiring(2)] });
    const work = await fetchOneWork(provider);
    await clock.advance(2_000);
    assert.deepEqual(await renewWork(provider, [work], 5_000), ['done']);
    assert.equal(await ackWork(provider, work), 'done');
  },
  'expired work is acked with what its orchestration is told': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [expiring(2)] });
    await clock.advance(1_000);
    assert.equal(await ackWork(provider, await fetchOneWork(provider, expired), 'expired 2'), 'done');
    assert.deepEqual(payloads(await fetchOne(provider)), ['expired 2']);
    assert.deepEqual(await queued(provider), [1, 0]);
  },
  'expired work that was not acked is handed out as expired again, and never to run': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [expiring(2)] });
    await clock.advance(1_000);
    const lost = await fetchOneWork(provider, { ...expired, lockMs: 1_000 });
    assert.deepEqual(await fetchWork(provider, expired), []);
    await clock.advance(1_000);
    assert.deepEqual(await fetchWork(provider), []);
    const again = await fetchOneWork(provider, expired);
    assert.equal(await ackWork(provider, lost), 'lockLost');
    await abandonWork(provider, again, { countAttempt: false });
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await ackWork(provider, await fetchOneWork(provider, expired), null), 'done');
  },
  'expired work can be cancelled': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [expiring(2)] });
    await clock.advance(1_000);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2] });
    assert.deepEqual(await fetchWork(provider, expired), []);
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'a waiting fetch of expired work is woken by the next expiry': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', { workItems: [expiring(2, 3_000), expiring(3, 1_000)] });
    const wait = await pollWork(ctx, expired);
    await clock.advance(999);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
    const second = await pollWork(ctx, expired);
    await clock.advance(1_999);
    assert.equal(second.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(eventIds((await second.result).items), [2]);
  },
  'a waiting fetch of expired work hears of what is scheduled while it waits': async (ctx) => {
    const { provider, clock } = ctx;
    const wait = await pollWork(ctx, expired);
    await run(provider, 'a', { workItems: [activity(2), expiring(3, 1_000)] });
    await clock.advance(999);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
  },
  'a waiting worker gets nothing that expires while it waits for other tags': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', { workItems: [expiring(2, 1_000, 'gpu')] });
    const wait = await pollWork(ctx, { waitMs: 5_000 });
    await clock.advance(5_000);
    assert.deepEqual((await wait.result).items, []);
  },
});

const heartbeats = cases('heartbeats', {
  'the next attempt gets the last details': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    assert.equal(work.heartbeat, null);
    assert.deepEqual(await renewWork(provider, [work], 5_000, '{"done":1}'), ['done']);
    assert.deepEqual(await renewWork(provider, [work], 5_000, '{"done":2}'), ['done']);
    await abandonWork(provider, work);
    assert.equal((await fetchOneWork(provider)).heartbeat, '{"done":2}');
  },
  'a renewal without details keeps them, empty details are details': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await renewWork(provider, [work], 5_000, '');
    await renewWork(provider, [work], 1_000);
    await clock.advance(1_000);
    assert.equal((await fetchOneWork(provider)).heartbeat, '');
  },
  'who lost the lock leaves no details': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const lost = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.deepEqual(await renewWork(provider, [lost], 5_000, 'late'), ['lockLost']);
    assert.equal((await fetchOneWork(provider)).heartbeat, null);
  },
});

const records = cases('work as people see it', {
  'queued and running activities are listed in the order of their events': async ({ provider, clock }) => {
    const routed = routing({ tag: 'gpu', sessionId: 's', priority: 9 });
    await run(provider, 'a', { workItems: [activity(10), activity(2, { name: 'refund' }), activity(3, { routing: routed })] });
    const [work] = await fetchWork(provider, { maxItems: 1 });
    assert.ok(work !== undefined);
    await renewWork(provider, [work], 5_000, 'half');
    const plain = {
      executionId: 1,
      name: 'charge',
      attempt: 0,
      isRunning: false,
      tag: null,
      sessionId: null,
      limitKey: null,
      heartbeat: null,
    };
    const listed = await provider.readWorkItems('a');
    const nowMs = clock.nowMs();
    assert.deepEqual(
      listed.map(({ visibleAtMs }) => visibleAtMs > nowMs),
      listed.map(({ isRunning }) => isRunning),
    );
    assert.deepEqual(
      listed.map(({ visibleAtMs: _visibleAtMs, ...record }) => record),
      [
        { ...plain, eventId: 2, name: 'refund' },
        { ...plain, eventId: 3, tag: 'gpu', sessionId: 's' },
        { ...plain, eventId: 10 },
      ].map((record) => (record.eventId === work.eventId ? { ...record, attempt: 1, isRunning: true, heartbeat: 'half' } : record)),
    );
  },
  'an activity whose lock expired does not run': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const [record] = await provider.readWorkItems('a');
    assert.deepEqual([record?.isRunning, record?.attempt], [false, 1]);
  },
  'an activity that was given back does not run': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await abandonWork(provider, await fetchOneWork(provider), { delayMs: 5_000 });
    assert.equal((await provider.readWorkItems('a'))[0]?.isRunning, false);
  },
  'activities of earlier executions come first': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(9)], next: nextExecution });
    await commit(provider, await fetchOne(provider), { workItems: [activity(2)] });
    const listed = (await provider.readWorkItems('a')).map(({ executionId, eventId }) => [executionId, eventId]);
    assert.deepEqual(listed, [
      [1, 9],
      [2, 2],
    ]);
  },
  'finished activities and those of others are not listed': async ({ provider }) => {
    await run(provider, 'b', { workItems: [activity(2)] });
    await run(provider, 'a', { workItems: [activity(2)] });
    for (const work of await fetchWork(provider)) if (work.instanceId === 'a') await ackWork(provider, work);
    assert.deepEqual(await provider.readWorkItems('a'), []);
    assert.equal((await provider.readWorkItems('b')).length, 1);
    assert.deepEqual(await provider.readWorkItems('unknown'), []);
    await fetchOne(provider);
    await fetchNone(provider);
  },
});

export const routingCases: readonly ConformanceCase[] = [...tags, ...priorities, ...expiries, ...heartbeats, ...records];
