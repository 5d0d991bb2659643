// Contract cases: sessions of activities, who holds them, and their messages. Neighbours: conformance-cases.ts lists them, cases-routing.ts,
// case-kit.ts.
import assert from 'node:assert/strict';
import { SESSION_MESSAGE_TTL_MS, type NewWorkItem, type Provider, type SessionMessage, type TagFilter } from '../provider/provider.ts';
import type { ActivityRouting } from '../types/replay.ts';
import {
  abandonWork,
  ack,
  ackWork,
  activity,
  cases,
  commit,
  effects,
  enqueue,
  eventIds,
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
  start,
  waiting,
  workAckFor,
} from './case-kit.ts';
import type { FetchChanges } from './case-kit.ts';
import type { ConformanceCase, ConformanceContext } from './conformance-case.ts';

/** How long the leases of a fetch last unless a case is about that. */
const LEASE_MS = 10_000;
const IDLE_MS = 60_000;

/** An activity of a session. */
function inSession(eventId: number, sessionId = 's', changes: Partial<ActivityRouting> = {}): NewWorkItem {
  return activity(eventId, { routing: routing({ sessionId, ...changes }) });
}

/** What an owner fetches with. */
function as(
  owner: string,
  changes: { readonly leaseMs?: number; readonly maxSessions?: number; readonly tags?: TagFilter } = {},
): FetchChanges {
  const { tags = { kind: 'default' }, ...claim } = changes;
  return { select: { kind: 'queue', tags, session: { owner, leaseMs: LEASE_MS, maxSessions: 10, ...claim } } };
}

async function renew(provider: Provider, owner: string, leaseMs = LEASE_MS, idleMs = IDLE_MS): Promise<number> {
  return await provider.renewSessions({ owner, leaseMs, idleMs });
}

async function receive(provider: Provider, afterSeq = 0, sessionId = 's'): Promise<readonly SessionMessage[]> {
  return await provider.receiveSessionMessages({ sessionId, afterSeq, waitMs: 0 });
}

/** Sends to a session in a turn of an instance that waits. */
async function send(provider: Provider, instanceId: string, sessionId: string, ...sent: readonly string[]): Promise<void> {
  await enqueue(provider, instanceId, 'go');
  await commit(provider, await fetchOne(provider), {
    effects: effects({ sessionMessages: sent.map((payload) => ({ sessionId, payload })) }),
  });
}

const claims = cases('sessions', {
  'items without a session go to anyone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n1'), maxItems: 1 })), [2]);
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n2'), maxItems: 1 })), [3]);
    assert.deepEqual(eventIds(await fetchWork(provider)), [4]);
  },
  'a session that nobody holds can be claimed': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    const work = await fetchOneWork(provider, as('n1'));
    assert.equal(work.routing?.sessionId, 's');
    assert.equal(await renew(provider, 'n1'), 1);
  },
  'later items of a session go to its owner': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n1'), maxItems: 1 })), [2]);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [3]);
  },
  'items of a session do not go to others while its lease lasts': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    const work = await fetchOneWork(provider, { ...as('n1'), maxItems: 1 });
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    await ackWork(provider, work);
    await clock.advance(LEASE_MS - 1);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
  },
  'one fetch may take several items of one session': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3), inSession(4)] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { maxSessions: 1 }))), [2, 3, 4]);
    assert.equal(await renew(provider, 'n1'), 1);
  },
  'different sessions may go to different owners': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's1'), inSession(3, 's2'), inSession(4, 's1'), inSession(5, 's2')] });
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n1'), maxItems: 1 })), [2]);
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n2'), maxItems: 1 })), [3]);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [4]);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [5]);
  },
  'a worker without sessions skips their items': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2), activity(3), inSession(4)] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
    assert.deepEqual(eventIds(await fetchWork(provider, { select: { kind: 'queue', tags: { kind: 'any' }, session: null } })), []);
  },
  'a worker with sessions takes all items, oldest first': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's1'), activity(3), inSession(4, 's2'), activity(5), inSession(6, 's1')] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [2, 3, 4, 5, 6]);
  },
  'items of a session come in the order in which they were scheduled': async ({ provider, clock }) => {
    await run(provider, 'b', { workItems: [inSession(2), inSession(3)] });
    await clock.advance(1);
    await run(provider, 'a', { workItems: [inSession(4)] });
    for (const eventId of [2, 3, 4]) assert.equal((await fetchOneWork(provider, { ...as('n1'), maxItems: 1 })).eventId, eventId);
  },
  'items of a session that an owner blocks do not hide others': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: Array.from({ length: 50 }, (_, index) => inSession(index + 2)) });
    await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    await clock.advance(1);
    await run(provider, 'b', { workItems: [activity(2), inSession(3, 'other')] });
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n2'), maxItems: 1 })), [2]);
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n2'), maxItems: 1 })), [3]);
  },
  'every fetch of an owner may take items of its session': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3), inSession(4)] });
    const batches = await Promise.all([1, 2, 3].map(() => fetchWork(provider, { ...as('n1'), maxItems: 1 })));
    assert.deepEqual(batches.flatMap(eventIds), [2, 3, 4]);
  },
  'of several owners at the same time one gets a session': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3), inSession(4)] });
    const batches = await Promise.all(['n1', 'n2', 'n3'].map((owner) => fetchWork(provider, { ...as(owner), maxItems: 1 })));
    assert.deepEqual(batches.map(eventIds), [[2], [], []]);
  },
  'a session is one for all instances': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await run(provider, 'b', { workItems: [inSession(3)] });
    assert.equal((await fetchOneWork(provider, { ...as('n1'), maxItems: 1 })).instanceId, 'a');
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    assert.equal((await fetchOneWork(provider, as('n1'))).instanceId, 'b');
  },
  'a session goes on over continue-as-new': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2)], next: nextExecution });
    await fetchOneWork(provider, as('n1'));
    await commit(provider, await fetchOne(provider), { workItems: [inSession(2)] });
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    assert.equal((await fetchOneWork(provider, as('n1'))).executionId, 2);
  },
  'a tag and a session are both asked for': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's', { tag: 'gpu' }), inSession(3)] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [3]);
    const gpu: TagFilter = { kind: 'only', tags: ['gpu'] };
    assert.deepEqual(await fetchWork(provider, as('n2', { tags: gpu })), []);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { tags: gpu }))), [2]);
  },
});

const capacity = cases('number of sessions', {
  'an owner claims no more sessions than it may hold': async ({ provider }) => {
    await run(provider, 'a', { workItems: ['s1', 's2', 's3', 's4'].map((sessionId, index) => inSession(index + 2, sessionId)) });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { maxSessions: 2 }))), [2, 3]);
    assert.deepEqual(await fetchWork(provider, as('n1', { maxSessions: 2 })), []);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [4, 5]);
  },
  'a full owner gets items of its own sessions and those without': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's1')] });
    await fetchOneWork(provider, as('n1', { maxSessions: 1 }));
    await run(provider, 'b', { workItems: [inSession(3, 's2'), inSession(4, 's1'), activity(5), inSession(6, 's1')] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { maxSessions: 1 }))), [4, 5, 6]);
  },
  'an owner that may hold none gets items without a session': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2), activity(3)] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { maxSessions: 0 }))), [3]);
  },
  'a session whose lease ended does not count': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's1'), inSession(3, 's2')] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { maxSessions: 1 }))), [2]);
    await clock.advance(LEASE_MS);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1', { maxSessions: 1 }))), [3]);
  },
  'a waiting owner that is full is woken when a session of it ends': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', { workItems: [inSession(2, 's1'), inSession(3, 's2')] });
    await fetchWork(provider, as('n1', { maxSessions: 1, leaseMs: 1_000 }));
    const wait = await pollWork(ctx, as('n1', { maxSessions: 1 }));
    await clock.advance(999);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
  },
});

const leases = cases('session leases', {
  'a session can be claimed by another owner when its lease ended': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3), inSession(4)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    await clock.advance(LEASE_MS);
    assert.deepEqual(eventIds(await fetchWork(provider, { ...as('n2'), maxItems: 1 })), [3]);
    assert.deepEqual(await fetchWork(provider, as('n1')), []);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [4]);
    assert.deepEqual([await renew(provider, 'n1'), await renew(provider, 'n2')], [0, 1]);
  },
  'the owner can claim its session again when its lease ended': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    await clock.advance(LEASE_MS);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [3]);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    assert.equal(await renew(provider, 'n1'), 1);
  },
  'a renewed lease lasts leaseMs from the renewal': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    await clock.advance(LEASE_MS - 1);
    assert.equal(await renew(provider, 'n1'), 1);
    await clock.advance(LEASE_MS - 1);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    await clock.advance(1);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
  },
  'a lease can be renewed again and again while its session is in use': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 1_000_000 });
    for (let round = 0; round < 10; round += 1) {
      await clock.advance(LEASE_MS - 1);
      assert.equal(await renew(provider, 'n1', LEASE_MS, 100), 1);
    }
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
  },
  'a lease that ended cannot be renewed': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 1_000_000 });
    await clock.advance(LEASE_MS);
    assert.equal(await renew(provider, 'n1'), 0);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
  },
  'who holds no session renews none': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    assert.equal(await renew(provider, 'n1'), 0);
    await fetchOneWork(provider, as('n1'));
    assert.equal(await renew(provider, 'n2'), 0);
  },
  'a renewal extends the sessions of its owner only': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's1'), inSession(3, 's1')] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    await clock.advance(LEASE_MS - 1);
    await renew(provider, 'n2');
    await clock.advance(1);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
  },
  'the lease of an idle session is not extended': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    assert.equal(await ackWork(provider, await fetchOneWork(provider, as('n1')), null), 'done');
    await clock.advance(2_000);
    await renew(provider, 'n1', LEASE_MS, 1_000);
    await run(provider, 'b', { workItems: [inSession(3)] });
    await clock.advance(LEASE_MS - 2_001);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    await clock.advance(1);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
    assert.equal(await renew(provider, 'n1'), 0);
  },
  'an ack marks its session as used': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    const [work] = await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    assert.ok(work !== undefined);
    await clock.advance(5_000);
    await ackWork(provider, work);
    await clock.advance(500);
    await renew(provider, 'n1', LEASE_MS, 1_000);
    await clock.advance(LEASE_MS - 1);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
  },
  'a renewal of an item marks its session as used': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    const work = await fetchOneWork(provider, { ...as('n1'), maxItems: 1 });
    await clock.advance(5_000);
    await renewWork(provider, [work], 100);
    await clock.advance(500);
    await renew(provider, 'n1', LEASE_MS, 1_000);
    await clock.advance(LEASE_MS - 1);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
  },
  'a fetch of an item marks its session as used': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3), inSession(4)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 1_000 });
    await clock.advance(5_000);
    await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 100 });
    await clock.advance(500);
    await renew(provider, 'n1', LEASE_MS, 1_000);
    await clock.advance(LEASE_MS - 1);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
  },
  'a session with an item that runs is not idle': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 1_000_000 });
    await clock.advance(5_000);
    assert.equal(await renew(provider, 'n1', LEASE_MS, 1_000), 1);
    await clock.advance(LEASE_MS - 1);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
  },
  'items that wait do not keep a session from being idle': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await ackWork(provider, await fetchOneWork(provider, { ...as('n1'), maxItems: 1 }), null);
    await clock.advance(5_000);
    await renew(provider, 'n1', LEASE_MS, 1_000);
    await clock.advance(LEASE_MS - 5_000);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
  },
  'a lease of no time releases all sessions of an owner': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2, 's1'), inSession(3, 's2'), inSession(4, 's1'), inSession(5, 's2')] });
    await fetchWork(provider, { ...as('n1'), maxItems: 2 });
    assert.equal(await renew(provider, 'n1', 0), 0);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [4, 5]);
  },
  'idle sessions are released, too': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await ackWork(provider, await fetchOneWork(provider, { ...as('n1'), maxItems: 1 }), null);
    await clock.advance(5_000);
    assert.equal(await renew(provider, 'n1', 0, 1_000), 0);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
  },
  'an activity is acked after the lease of its session ended': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    const [work] = await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 60_000 });
    assert.ok(work !== undefined);
    await clock.advance(LEASE_MS);
    await fetchOneWork(provider, as('n2'));
    assert.deepEqual(await renewWork(provider, [work], 60_000), ['done']);
    assert.equal(await ackWork(provider, work, 'result'), 'done');
    assert.deepEqual(payloads(await fetchOne(provider)), ['result']);
  },
  'what an earlier owner does with its items is no use of the session': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2), inSession(3), inSession(4), inSession(5)] });
    const [late] = await fetchWork(provider, { ...as('n1'), maxItems: 1, lockMs: 1_000_000 });
    assert.ok(late !== undefined);
    await clock.advance(LEASE_MS);
    await ackWork(provider, await fetchOneWork(provider, { ...as('n2'), maxItems: 1 }), null);
    await clock.advance(5_000);
    assert.deepEqual(await renewWork(provider, [late], 1_000_000), ['done']);
    // Nor does it keep the session busy for the present owner.
    await renew(provider, 'n2', LEASE_MS, 1_000);
    assert.equal(await ackWork(provider, late, null), 'done');
    await renew(provider, 'n2', LEASE_MS, 1_000);
    await clock.advance(LEASE_MS - 5_001);
    assert.deepEqual(await fetchWork(provider, as('n3')), []);
    await clock.advance(1);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n3'))), [4, 5]);
  },
  'an item whose lock expired goes back to the owner while the lease lasts': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await fetchOneWork(provider, { ...as('n1'), lockMs: 1_000 });
    await clock.advance(1_000);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    assert.equal((await fetchOneWork(provider, as('n1'))).attempt, 2);
  },
  'an item goes to a new owner when lock and lease have ended': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    const lost = await fetchOneWork(provider, { ...as('n1'), lockMs: LEASE_MS });
    await clock.advance(LEASE_MS);
    const current = await fetchOneWork(provider, as('n2'));
    assert.equal(current.attempt, 2);
    assert.equal(await ackWork(provider, lost), 'lockLost');
    assert.equal(await ackWork(provider, current), 'done');
  },
  'an item whose lock lasts longer than the lease stays with who runs it': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await fetchOneWork(provider, { ...as('n1'), lockMs: 2 * LEASE_MS });
    await clock.advance(LEASE_MS);
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    await clock.advance(LEASE_MS);
    assert.equal((await fetchOneWork(provider, as('n2'))).attempt, 2);
  },
  'an item of a session that was given back goes to the owner': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await abandonWork(provider, await fetchOneWork(provider, as('n1')));
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    const again = await fetchOneWork(provider, as('n1'));
    assert.equal(again.attempt, 2);
    await abandonWork(provider, again, { countAttempt: false });
    assert.equal((await fetchOneWork(provider, as('n1'))).attempt, 2);
  },
  'a session without items is forgotten and can be claimed anew': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await ackWork(provider, await fetchOneWork(provider, as('n1')), null);
    await clock.advance(LEASE_MS);
    assert.equal(await renew(provider, 'n1'), 0);
    await run(provider, 'b', { workItems: [inSession(3)] });
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [3]);
    assert.equal(await renew(provider, 'n2'), 1);
  },
  'a session whose lease lasts is kept without items': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await ackWork(provider, await fetchOneWork(provider, as('n1')), null);
    await clock.advance(LEASE_MS - 1);
    assert.equal(await renew(provider, 'n2'), 0);
    await run(provider, 'b', { workItems: [inSession(3)] });
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [3]);
  },
  'a session outlives the instance that began it': async ({ provider }) => {
    await run(provider, 'a', { workItems: [inSession(2)] });
    await fetchOneWork(provider, as('n1'));
    await enqueue(provider, 'a', 'go');
    await commit(provider, await fetchOne(provider), { status: 'Completed' });
    await run(provider, 'b', { workItems: [inSession(3)] });
    assert.deepEqual(await fetchWork(provider, as('n2')), []);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n1'))), [3]);
  },
  'a waiting owner gets items of its session, others do not': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a', { workItems: [inSession(2)] });
    await fetchOneWork(provider, as('n1'));
    const [other, own] = [await pollWork(ctx, as('n2')), await pollWork(ctx, as('n1'))];
    await run(provider, 'b', { workItems: [inSession(3)] });
    assert.deepEqual(eventIds((await own.result).items), [3]);
    await ctx.clock.advance(10);
    assert.equal(other.isOver(), false);
    await provider.close();
    assert.deepEqual((await other.result).items, []);
  },
  'a waiting owner is woken when the lease of another ends': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1', { leaseMs: 5_000 }), maxItems: 1 });
    const wait = await pollWork(ctx, as('n2'));
    await clock.advance(4_999);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
  },
  'a waiting owner is woken when another releases its sessions': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a', { workItems: [inSession(2), inSession(3)] });
    await fetchWork(provider, { ...as('n1'), maxItems: 1 });
    const wait = await pollWork(ctx, as('n2'));
    await renew(provider, 'n1', 0);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
  },
});

/** Starts an instance with an activity that runs in session `s`, and one that only sends. */
async function runSession({ provider }: ConformanceContext): Promise<void> {
  await run(provider, 'a', { workItems: [inSession(2)] });
  await fetchOneWork(provider, as('n1'));
  await run(provider, 'sender');
}

const sessionMessages = cases('session messages', {
  'messages come in the order in which they were sent, with growing numbers': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm1', 'm2');
    await send(provider, 'sender', 's', 'm3');
    const received = await receive(provider);
    assert.deepEqual(
      received.map(({ payload }) => payload),
      ['m1', 'm2', 'm3'],
    );
    const numbers = received.map(({ seq }) => seq);
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].toSorted((x, y) => x - y),
    );
    assert.ok((numbers[0] ?? 0) > 0);
  },
  'a receive removes what was taken before it, and nothing else': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm1', 'm2', 'm3');
    const all = await receive(provider);
    assert.deepEqual(await receive(provider), all);
    assert.deepEqual(await receive(provider, all[0]?.seq), all.slice(1));
    assert.deepEqual(await receive(provider), all.slice(1));
    assert.deepEqual(await receive(provider, all[2]?.seq), []);
    assert.deepEqual(await receive(provider), []);
  },
  'a receive that names what is done removes that, and nothing else': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm1', 'm2', 'm3');
    const [first, second, third] = await receive(provider);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const after = { sessionId: 's', afterSeq: second.seq, waitMs: 0 };
    assert.deepEqual(await provider.receiveSessionMessages({ ...after, doneSeqs: [] }), [third]);
    assert.deepEqual(await receive(provider), [first, second, third]);
    assert.deepEqual(await provider.receiveSessionMessages({ ...after, sessionId: 'other', doneSeqs: [first.seq] }), []);
    assert.deepEqual(await provider.receiveSessionMessages({ ...after, doneSeqs: [second.seq] }), [third]);
    assert.deepEqual(await receive(provider), [first, third]);
  },
  'numbers are not used again when all messages were taken': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm1');
    const [first] = await receive(provider);
    assert.ok(first !== undefined);
    assert.deepEqual(await receive(provider, first.seq), []);
    await send(provider, 'sender', 's', 'm2');
    const [second] = await receive(provider, first.seq);
    assert.equal(second?.payload, 'm2');
  },
  'one answer has 100 messages at most': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    const sent = Array.from({ length: 150 }, (_, index) => `m${index}`);
    await send(provider, 'sender', 's', ...sent);
    const first = await receive(provider);
    assert.equal(first.length, 100);
    const rest = await receive(provider, first.at(-1)?.seq);
    assert.deepEqual(
      [...first, ...rest].map(({ payload }) => payload),
      sent,
    );
  },
  'messages go to their session only': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm');
    assert.deepEqual(await receive(provider, 0, 'other'), []);
    assert.equal((await receive(provider)).length, 1);
  },
  'a turn can schedule an activity in a session and send to it': async ({ provider }) => {
    await run(provider, 'a', {
      workItems: [inSession(2)],
      effects: effects({ sessionMessages: [{ sessionId: 's', payload: 'm' }] }),
    });
    await renew(provider, 'n1');
    await fetchOneWork(provider, as('n1'));
    assert.deepEqual(
      (await receive(provider)).map(({ payload }) => payload),
      ['m'],
    );
  },
  'messages that come before the first activity of a session wait for it': async ({ provider, clock }) => {
    await run(provider, 'sender');
    await send(provider, 'sender', 's', 'm');
    await clock.advance(60_000);
    await renew(provider, 'n1');
    await run(provider, 'a', { workItems: [inSession(2)] });
    await fetchOneWork(provider, as('n1'));
    assert.equal((await receive(provider)).length, 1);
  },
  'messages outlive a session that is forgotten, but not for ever': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'sender');
    await run(provider, 'a', { workItems: [inSession(2)] });
    await ackWork(provider, await fetchOneWork(provider, as('n1')), null);
    await send(provider, 'sender', 's', 'm');
    await clock.advance(LEASE_MS - 1);
    await renew(provider, 'n2');
    assert.equal((await receive(provider)).length, 1);
    await clock.advance(1);
    await renew(provider, 'n2');
    assert.equal((await receive(provider)).length, 1);
    await clock.advance(SESSION_MESSAGE_TTL_MS);
    await renew(provider, 'n2');
    assert.deepEqual(await receive(provider), []);
  },
  'messages that an activity has taken go with its ack': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'sender');
    await run(provider, 'a', { workItems: [inSession(2)] });
    const item = await fetchOneWork(provider, as('n1'));
    await send(provider, 'sender', 's', 'm1');
    await send(provider, 'sender', 's', 'm2');
    const [first] = await receive(provider);
    assert.ok(first !== undefined);
    await provider.ackWorkItems([{ ...workAckFor(item), received: { sessionId: 's', uptoSeq: first.seq } }]);
    assert.deepEqual(
      (await receive(provider)).map(({ payload }) => payload),
      ['m2'],
    );
  },
  'one session can be released alone': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a', { workItems: [inSession(2), inSession(3, 't')] });
    for (const item of await fetchWork(provider, as('n1'))) await abandonWork(provider, item, { countAttempt: false });
    assert.equal(await renew(provider, 'n1'), 2);
    assert.equal(await provider.renewSessions({ owner: 'n1', leaseMs: 0, idleMs: IDLE_MS, sessionId: 's' }), 1);
    assert.deepEqual(eventIds(await fetchWork(provider, as('n2'))), [2]);
  },
  'messages outlive a takeover of their session': async (ctx) => {
    const { provider, clock } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm');
    await clock.advance(60_000);
    await renew(provider, 'n1');
    await fetchOneWork(provider, as('n2'));
    assert.equal((await receive(provider)).length, 1);
  },
  'a refused turn sends nothing': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await enqueue(provider, 'sender', 'go');
    const sent = effects({ sessionMessages: [{ sessionId: 's', payload: 'm' }] });
    assert.equal(await ack(provider, await fetchOne(provider), { lockToken: 'foreign', effects: sent }), 'lockLost');
    assert.deepEqual(await receive(provider), []);
  },
  'a waiting receive is woken by a turn that sends': async (ctx) => {
    const { provider, clock } = ctx;
    await runSession(ctx);
    const wait = await waiting(clock, provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 10_000 }));
    await send(provider, 'sender', 'other', 'not for s');
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await send(provider, 'sender', 's', 'm');
    assert.deepEqual(
      (await wait.result).map(({ payload }) => payload),
      ['m'],
    );
  },
  'a waiting receive ends with nothing when its time is up, with an abort and at closing': async (ctx) => {
    const { provider, clock } = ctx;
    const controller = new AbortController();
    const wanted = { sessionId: 's', afterSeq: 0, waitMs: 1_000 };
    const timed = await waiting(clock, provider.receiveSessionMessages(wanted));
    await clock.advance(999);
    assert.equal(timed.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(await timed.result, []);
    const aborted = await waiting(clock, provider.receiveSessionMessages({ ...wanted, signal: controller.signal }));
    controller.abort();
    assert.deepEqual(await aborted.result, []);
    const closed = await waiting(clock, provider.receiveSessionMessages(wanted));
    await provider.close();
    assert.deepEqual(await closed.result, []);
  },
  'a full queue of a session is no work for others': async (ctx) => {
    const { provider } = ctx;
    await runSession(ctx);
    await send(provider, 'sender', 's', 'm1', 'm2');
    assert.deepEqual(await queued(provider), [0, 1]);
    await start(provider, 'b');
    await fetchOne(provider);
  },
});

export const sessionCases: readonly ConformanceCase[] = [...claims, ...capacity, ...leases, ...sessionMessages];
