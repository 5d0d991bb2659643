// Contract cases: limits that work items share by a key (P7): how many run at once, how many begin in a time.
// Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { NewWorkItem, Provider, WorkItem } from '../provider/provider.ts';
import type { SharedLimit } from '../types/replay.ts';
import {
  abandonWork,
  ackFor,
  ackWork,
  activity,
  cases,
  closing,
  commit,
  eventIds,
  fetchOne,
  fetchOneWork,
  fetchWork,
  LOCK_MS,
  only,
  page,
  pollWork,
  enqueue,
  renewWork,
  routing,
  run,
  workAckFor,
} from './case-kit.ts';
import type { FetchChanges } from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const atOnce = (concurrency: number, key = 'db'): SharedLimit => ({ key, concurrency, rate: null });
const perTime = (count: number, perMs: number, key = 'api'): SharedLimit => ({ key, concurrency: null, rate: { count, perMs } });
const limited = (eventId: number, limit: SharedLimit, tag: string | null = null): NewWorkItem =>
  activity(eventId, { routing: routing({ limit, tag }) });
const many = (count: number, limit: SharedLimit): readonly NewWorkItem[] =>
  Array.from({ length: count }, (_, index) => limited(index + 2, limit));
const anyTag: FetchChanges = { select: { kind: 'queue', tags: { kind: 'any' }, session: null } };
const taken = async (provider: Provider, changes?: FetchChanges): Promise<readonly number[]> =>
  eventIds(await fetchWork(provider, changes));

async function schedule(provider: Provider, workItems: readonly NewWorkItem[], instanceId = 'a'): Promise<void> {
  await run(provider, instanceId, { page: page(workItems.length + 1), workItems });
}

async function take(provider: Provider, count: number): Promise<readonly WorkItem[]> {
  const items = await fetchWork(provider);
  assert.equal(items.length, count);
  return items;
}

const concurrency = cases('limits: how many run at once', {
  'no more are handed out than may run, oldest first': async ({ provider }) => {
    await schedule(provider, many(5, atOnce(2)));
    assert.deepEqual(await taken(provider), [2, 3]);
    assert.deepEqual(await taken(provider), []);
  },
  'several fetches together take no more': async ({ provider }) => {
    await schedule(provider, many(5, atOnce(3)));
    assert.deepEqual(await taken(provider, { maxItems: 2 }), [2, 3]);
    assert.deepEqual(await taken(provider, { maxItems: 2 }), [4]);
    assert.deepEqual(await taken(provider, { maxItems: 2 }), []);
  },
  'one that ends makes room for the next': async ({ provider }) => {
    await schedule(provider, many(4, atOnce(2)));
    const [first] = await take(provider, 2);
    assert.ok(first);
    assert.equal(await ackWork(provider, first), 'done');
    assert.deepEqual(await taken(provider), [4]);
  },
  'one that is given back makes room, and comes first again': async ({ provider }) => {
    await schedule(provider, many(3, atOnce(1)));
    const item = await fetchOneWork(provider);
    await abandonWork(provider, item);
    assert.deepEqual(await taken(provider), [2]);
  },
  'one that waits before its next attempt takes no room': async ({ provider, clock }) => {
    await schedule(provider, many(2, atOnce(1)));
    await abandonWork(provider, await fetchOneWork(provider), { delayMs: 1_000 });
    const other = await fetchOneWork(provider);
    assert.equal(other.eventId, 3);
    await clock.advance(1_000);
    assert.deepEqual(await taken(provider), []);
    await ackWork(provider, other);
    assert.deepEqual(await taken(provider), [2]);
  },
  'one whose lock has run out makes room': async ({ provider, clock }) => {
    await schedule(provider, many(2, atOnce(1)));
    await fetchOneWork(provider);
    await clock.advance(LOCK_MS - 1);
    assert.deepEqual(await taken(provider), []);
    await clock.advance(1);
    assert.equal((await take(provider, 1)).length, 1);
  },
  'one whose lock is extended keeps its place': async ({ provider, clock }) => {
    await schedule(provider, many(2, atOnce(1)));
    const item = await fetchOneWork(provider);
    await clock.advance(LOCK_MS - 1);
    await renewWork(provider, [item], LOCK_MS);
    await clock.advance(1);
    assert.deepEqual(await taken(provider), []);
  },
  'one that its orchestration cancels makes room': async ({ provider }) => {
    await schedule(provider, many(2, atOnce(1)));
    await fetchOneWork(provider);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2] });
    assert.deepEqual(await taken(provider), [3]);
  },
  'those of an instance that ends make room': async ({ provider }) => {
    await schedule(provider, many(2, atOnce(2)));
    await schedule(provider, many(1, atOnce(2)), 'b');
    await take(provider, 2);
    await provider.controlInstances([{ kind: 'terminate', instanceId: 'a', output: '"t"', parentMessage: null, closeChildren: closing }]);
    assert.equal((await fetchOneWork(provider)).instanceId, 'b');
  },
  'one that ends with the turn that it leads to makes room': async ({ provider }) => {
    await schedule(provider, many(2, atOnce(1)));
    const item = await fetchOneWork(provider);
    const turn = { instanceId: 'a', lockToken: null, name: 'order', version: '1.0.0', status: 'Running', executionId: 1 } as const;
    const base = { lastEventId: 3, messages: [], parent: null, createdAtMs: 0 };
    const completed = [workAckFor(item, null)];
    const ack = { ...ackFor({ ...turn, ...base, lockToken: '' }), lockToken: null, completed, page: page(4) };
    assert.deepEqual(await provider.ackOrchestrationItems([ack]), ['committed']);
    assert.deepEqual(await taken(provider), [3]);
  },
  'keys have nothing to do with each other': async ({ provider }) => {
    await schedule(provider, [
      limited(2, atOnce(1, 'x')),
      limited(3, atOnce(1, 'x')),
      limited(4, atOnce(1, 'y')),
      limited(5, atOnce(1, 'y')),
    ]);
    assert.deepEqual(await taken(provider), [2, 4]);
  },
  'a key is shared by all instances and all names': async ({ provider }) => {
    await schedule(provider, [limited(2, atOnce(1))]);
    await schedule(provider, [{ ...limited(2, atOnce(1)), name: 'refund' }], 'b');
    assert.equal((await take(provider, 1)).length, 1);
    assert.deepEqual(await taken(provider), []);
  },
  'others are not kept waiting by those that may not run yet': async ({ provider }) => {
    await schedule(provider, many(50, atOnce(1)));
    await schedule(provider, [activity(2), activity(3, { routing: routing({ tag: 'gpu' }) })], 'b');
    await fetchOneWork(provider, { maxItems: 1 });
    assert.deepEqual(await taken(provider, { ...anyTag, maxItems: 2 }), [2, 3]);
  },
  'who does not take a tag leaves its items to those who do': async ({ provider }) => {
    await schedule(provider, [limited(2, atOnce(1), 'gpu'), limited(3, atOnce(1))]);
    assert.deepEqual(await taken(provider), [3]);
    assert.deepEqual(await taken(provider, anyTag), []);
  },
  'tags share the limit of a key': async ({ provider }) => {
    await schedule(provider, [limited(2, atOnce(2), 'gpu'), limited(3, atOnce(2)), limited(4, atOnce(2))]);
    assert.deepEqual(await taken(provider, { select: { kind: 'queue', tags: { kind: 'only', tags: ['gpu'] }, session: null } }), [2]);
    assert.deepEqual(await taken(provider), [3]);
  },
  'the limit comes with the item': async ({ provider }) => {
    const limit: SharedLimit = { key: 'käse 🧀', concurrency: 7, rate: { count: 3, perMs: 1_000 } };
    await schedule(provider, [limited(2, limit)]);
    assert.deepEqual((await fetchOneWork(provider)).routing?.limit, limit);
  },
  'what has expired is told of whatever the limit says, and takes no room': async ({ provider, clock }) => {
    const expiring = (eventId: number): NewWorkItem => activity(eventId, { routing: routing({ limit: atOnce(1), expiresAfterMs: 1_000 }) });
    await schedule(provider, [expiring(2), expiring(3), limited(4, atOnce(1))]);
    await fetchOneWork(provider);
    await clock.advance(1_000);
    assert.equal((await fetchOneWork(provider, { select: { kind: 'expired' } })).eventId, 3);
    await clock.advance(LOCK_MS - 1_000);
    assert.equal((await take(provider, 1)).length, 1);
  },
  'a waiting fetch is answered when one ends': async (ctx) => {
    await schedule(ctx.provider, many(2, atOnce(1)));
    const item = await fetchOneWork(ctx.provider);
    const wait = await pollWork(ctx);
    await ackWork(ctx.provider, item);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
  },
  'a waiting fetch is answered when one ends with its turn': async (ctx) => {
    const { provider } = ctx;
    await schedule(provider, many(1, atOnce(1)));
    await schedule(provider, many(1, atOnce(1)), 'b');
    const item = await fetchOneWork(provider);
    const wait = await pollWork(ctx);
    await provider.controlInstances([
      { kind: 'terminate', instanceId: item.instanceId, output: '"t"', parentMessage: null, closeChildren: closing },
    ]);
    assert.equal(only((await wait.result).items).instanceId, item.instanceId === 'a' ? 'b' : 'a');
  },
  'a waiting fetch is answered when a lock runs out': async (ctx) => {
    await schedule(ctx.provider, many(2, atOnce(1)));
    await fetchWork(ctx.provider, { lockMs: 2_000 });
    const wait = await pollWork(ctx);
    await ctx.clock.advance(1_999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.equal((await wait.result).items.length, 1);
  },
});

const rates = cases('limits: how many begin in a time', {
  'as many as the rate says begin at once, then one each interval': async ({ provider, clock }) => {
    await schedule(provider, many(6, perTime(2, 1_000)));
    assert.deepEqual(await taken(provider), [2, 3]);
    await clock.advance(499);
    assert.deepEqual(await taken(provider), []);
    await clock.advance(1);
    assert.deepEqual(await taken(provider), [4]);
    await clock.advance(1_000);
    assert.deepEqual(await taken(provider), [5, 6]);
    assert.deepEqual(await taken(provider), []);
  },
  'what has ended counts all the same': async ({ provider, clock }) => {
    await schedule(provider, many(2, perTime(1, 1_000)));
    await ackWork(provider, await fetchOneWork(provider));
    assert.deepEqual(await taken(provider), []);
    await clock.advance(1_000);
    assert.deepEqual(await taken(provider), [3]);
  },
  'a next attempt counts': async ({ provider, clock }) => {
    await schedule(provider, many(1, perTime(1, 1_000)));
    await abandonWork(provider, await fetchOneWork(provider));
    assert.deepEqual(await taken(provider), []);
    await clock.advance(1_000);
    assert.equal((await fetchOneWork(provider)).attempt, 2);
  },
  'time that nobody used is not saved': async ({ provider, clock }) => {
    await schedule(provider, many(1, perTime(2, 1_000)));
    await take(provider, 1);
    await clock.advance(60_000);
    await schedule(provider, many(5, perTime(2, 1_000)), 'b');
    assert.equal((await fetchWork(provider)).length, 2);
  },
  'intervals that are no whole milliseconds add up': async ({ provider, clock }) => {
    await schedule(provider, many(40, perTime(3, 100)));
    await take(provider, 3);
    let begun = 0;
    for (let ms = 0; ms < 1_000; ms += 1) {
      await clock.advance(1);
      begun += (await fetchWork(provider)).length;
    }
    assert.ok(begun === 29 || begun === 30, `expected 30 in a second, less what is rounded, got ${begun}`);
  },
  'both numbers of a limit count': async ({ provider, clock }) => {
    const limit: SharedLimit = { key: 'both', concurrency: 1, rate: { count: 1, perMs: 1_000 } };
    await schedule(provider, many(3, limit));
    const first = await fetchOneWork(provider);
    await clock.advance(1_000);
    assert.deepEqual(await taken(provider), []);
    await ackWork(provider, first);
    const second = await fetchOneWork(provider);
    await ackWork(provider, second);
    assert.deepEqual(await taken(provider), []);
    await clock.advance(1_000);
    assert.deepEqual(await taken(provider), [4]);
  },
  'a waiting fetch is answered when the next one may begin': async (ctx) => {
    await schedule(ctx.provider, many(2, perTime(1, 5_000)));
    await fetchOneWork(ctx.provider);
    const wait = await pollWork(ctx);
    await ctx.clock.advance(4_999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
  },
  'numbers that change hold from the next item on': async ({ provider, clock }) => {
    await schedule(provider, [limited(2, perTime(1, 3_600_000)), limited(3, perTime(1, 1_000)), limited(4, perTime(1, 1_000))]);
    assert.deepEqual(await taken(provider, { maxItems: 1 }), [2]);
    assert.deepEqual(await taken(provider, { maxItems: 1 }), [3]);
    assert.deepEqual(await taken(provider), []);
    await clock.advance(1_000);
    assert.deepEqual(await taken(provider), [4]);
  },
  'a clock that was set back a little does not refill a rate': async ({ provider, clock }) => {
    await schedule(provider, many(5, perTime(2, 1_000)));
    await take(provider, 2);
    clock.jump(-1);
    await schedule(provider, many(1, perTime(2, 1_000)), 'b');
    assert.deepEqual(await taken(provider), []);
  },
  'a clock that was set back far does not stop a rate': async ({ provider, clock }) => {
    await schedule(provider, many(5, perTime(2, 1_000)));
    await take(provider, 2);
    clock.jump(-3_600_000);
    await schedule(provider, many(1, perTime(2, 1_000)), 'b');
    await clock.advance(500);
    assert.ok((await fetchWork(provider)).length > 0);
  },
});

const shared = cases('several users of one store', {
  'two providers on one store share a limit': async ({ provider, openSecond }) => {
    const second = await openSecond();
    await schedule(provider, many(4, atOnce(3)));
    assert.equal((await fetchWork(second, { maxItems: 2 })).length, 2);
    assert.equal((await fetchWork(provider)).length, 1);
    assert.equal((await fetchWork(second)).length, 0);
    await second.close();
  },
  'two providers that fetch at the same time hand out no more than may run': async ({ provider, openSecond }) => {
    const second = await openSecond();
    await schedule(provider, many(40, atOnce(7)));
    const batches = await Promise.all(
      Array.from({ length: 6 }, (_, index) => fetchWork(index % 2 === 0 ? provider : second, { maxItems: 4 })),
    );
    const first = batches.flat().length;
    const rest = (await fetchWork(provider)).length;
    assert.equal(first + rest, 7);
    await second.close();
  },
});

const restarts = cases('restarts', {
  'limits hold over a restart': async ({ provider, reopen }) => {
    await schedule(provider, many(3, atOnce(2)));
    await fetchOneWork(provider, { maxItems: 1 });
    const again = await reopen();
    assert.equal((await fetchWork(again)).length, 1);
  },
  'a rate holds over a restart': async ({ provider, clock, reopen }) => {
    await schedule(provider, many(3, perTime(1, 1_000)));
    await fetchOneWork(provider);
    const again = await reopen();
    assert.deepEqual(await taken(again), []);
    await clock.advance(1_000);
    assert.deepEqual(await taken(again), [3]);
  },
});

/** See the head of this file. */
export const limitCases: readonly ConformanceCase[] = [...concurrency, ...rates, ...shared, ...restarts];
