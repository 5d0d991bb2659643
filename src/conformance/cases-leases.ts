// Contract cases: what one fetch has locked is not one lock: each ends by itself. Neighbours: cases-locks.ts and cases-work.ts have what holds for
// a single lock, case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { OrchestrationItem, Provider, WorkItem } from '../provider/provider.ts';
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
  enqueue,
  eventIds,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchWork,
  instanceIds,
  only,
  page,
  poll,
  pollWork,
  renewWork,
  routing,
  run,
  start,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

type Four<Item> = readonly [Item, Item, Item, Item];

function four<Item>(items: readonly Item[]): Four<Item> {
  assert.equal(items.length, 4);
  return items as unknown as Four<Item>;
}

/** Four instances in one fetch. */
async function takeTurns(provider: Provider, lockMs: number): Promise<Four<OrchestrationItem>> {
  await start(provider, 'a', 'b', 'c', 'd');
  return four(await fetchItems(provider, { lockMs }));
}

/** Four activities of one instance in one fetch. */
async function takeWork(provider: Provider, lockMs: number): Promise<Four<WorkItem>> {
  await run(provider, 'a', { page: page(9), workItems: [2, 3, 4, 5].map((eventId) => activity(eventId)) });
  return four(await fetchWork(provider, { lockMs }));
}

const together = cases('locks of one fetch', {
  'a renewed lock outlives the others of its fetch': async ({ provider, clock }) => {
    const [, b, , d] = await takeTurns(provider, 1_000);
    await clock.advance(600);
    assert.deepEqual(await provider.renewOrchestrationLocks([b, d], 1_000), ['done', 'done']);
    await clock.advance(400);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a', 'c']);
    await commit(provider, d);
    await clock.advance(600);
    assert.equal(await ack(provider, b), 'lockLost');
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
  'a renewed lock of work outlives the others of its fetch': async ({ provider, clock }) => {
    const [, three, , five] = await takeWork(provider, 1_000);
    await clock.advance(600);
    assert.deepEqual(await renewWork(provider, [three, five], 1_000), ['done', 'done']);
    await clock.advance(400);
    assert.deepEqual(eventIds(await fetchWork(provider)), [2, 4]);
    assert.equal(await ackWork(provider, five), 'done');
    await clock.advance(600);
    assert.equal(await ackWork(provider, three), 'lockLost');
    assert.deepEqual(
      (await fetchWork(provider)).map(({ eventId, attempt }) => [eventId, attempt]),
      [[3, 2]],
    );
  },
  'a lock that is renewed for a shorter time ends earlier than before': async (context) => {
    const { provider, clock } = context;
    const [a, b] = await takeTurns(provider, 30_000);
    await clock.advance(1_000);
    const wait = await poll(context);
    assert.deepEqual(await provider.renewOrchestrationLocks([b], 500), ['done']);
    await clock.advance(499);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(instanceIds((await wait.result).items), ['b']);
    assert.equal(await ack(provider, b), 'lockLost');
    await commit(provider, a);
  },
  'a lock of work that is renewed for a shorter time ends earlier than before': async (context) => {
    const { provider, clock } = context;
    const [two, three] = await takeWork(provider, 30_000);
    await clock.advance(1_000);
    const wait = await pollWork(context);
    assert.deepEqual(await renewWork(provider, [three], 500), ['done']);
    await clock.advance(499);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(eventIds((await wait.result).items), [3]);
    assert.equal(await ackWork(provider, three), 'lockLost');
    assert.equal(await ackWork(provider, two), 'done');
  },
  'a lock can be renewed for longer and then for a shorter time, also when the others of its fetch are over': async (context) => {
    const { provider, clock } = context;
    const [a] = await takeTurns(provider, 1_000);
    await clock.advance(600);
    await provider.renewOrchestrationLocks([a], 1_000);
    await clock.advance(500);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'c', 'd']);
    await provider.renewOrchestrationLocks([a], 5_000);
    await clock.advance(1_000);
    const wait = await poll(context);
    await provider.renewOrchestrationLocks([a], 300);
    await clock.advance(299);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
  },
  'who gives back or acks some of a fetch keeps the locks of the others': async ({ provider, clock }) => {
    const [a, b, c, d] = await takeTurns(provider, 1_000);
    await clock.advance(400);
    assert.equal(await abandon(provider, a), 'done');
    await commit(provider, b);
    await enqueue(provider, 'b', 'm');
    assert.deepEqual(instanceIds(await fetchItems(provider)).toSorted(), ['a', 'b']);
    await clock.advance(599);
    await fetchNone(provider);
    await commit(provider, d);
    await clock.advance(1);
    assert.equal(await ack(provider, c), 'lockLost');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['c']);
  },
  'who gives back or acks some work of a fetch keeps the locks of the others': async ({ provider, clock }) => {
    const [two, three, lost, five] = await takeWork(provider, 1_000);
    await clock.advance(400);
    assert.equal(await abandonWork(provider, two), 'done');
    assert.equal(await ackWork(provider, three), 'done');
    assert.deepEqual(eventIds(await fetchWork(provider)), [2]);
    await clock.advance(599);
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await ackWork(provider, five), 'done');
    await clock.advance(1);
    assert.equal(await ackWork(provider, lost), 'lockLost');
    assert.deepEqual(eventIds(await fetchWork(provider)), [4]);
  },
  'work that a waiting fetch gets behind more urgent work is handed out again when its lock ends': async (context) => {
    const { provider, clock } = context;
    await start(provider, 'a');
    const turn = await fetchOne(provider);
    const wait = await pollWork(context, { lockMs: 1_000 });
    const urgent = activity(4, { routing: routing({ priority: 5 }) });
    await commit(provider, turn, { page: page(9), workItems: [activity(2), activity(3), urgent] });
    const items = (await wait.result).items;
    assert.deepEqual(eventIds(items), [4, 2, 3]);
    // Any transaction.
    await enqueue(provider, 'a', 'm');
    await clock.advance(1_000);
    assert.deepEqual(new Set(eventIds(await fetchWork(provider))), new Set([2, 3, 4]));
  },
  'an instance that was given back is locked by its next fetch alone': async ({ provider, clock }) => {
    const [a, b] = await takeTurns(provider, 1_000);
    await clock.advance(500);
    await abandon(provider, a);
    const again = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(500);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'c', 'd']);
    assert.equal(await ack(provider, b), 'lockLost');
    await commit(provider, again);
  },
});

const restarts = cases('restarts', {
  'after a crash the locks of the dead process end one by one': async ({ provider, clock, reopen }) => {
    await start(provider, 'a', 'b', 'c');
    for (const lockMs of [1_000, 3_000, 2_000]) only(await fetchItems(provider, { maxItems: 1, lockMs }));
    const next = await reopen();
    await fetchNone(next);
    for (const instanceId of ['a', 'c', 'b']) {
      await clock.advance(999);
      await fetchNone(next);
      await clock.advance(1);
      const item = await fetchOne(next);
      assert.deepEqual([item.instanceId, attempts(item)], [instanceId, [2]]);
      assert.deepEqual(await next.ackOrchestrationItems([ackFor(item)]), ['committed']);
    }
  },
  'after a crash the locks on work of the dead process end one by one, and wake a fetch that waits': async ({
    provider,
    clock,
    reopen,
  }) => {
    await run(provider, 'a', { page: page(9), workItems: [2, 3, 4].map((eventId) => activity(eventId)) });
    const items: WorkItem[] = [];
    for (const lockMs of [1_000, 3_000, 2_000]) items.push(only(await fetchWork(provider, { maxItems: 1, lockMs })));
    await renewWork(provider, items.slice(0, 1), 4_000);
    const next = await reopen();
    for (const [eventId, passMs] of [
      [4, 2_000],
      [3, 1_000],
      [2, 1_000],
    ] as const) {
      const fetched = next.fetchWorkItems({ maxItems: 10, lockMs: 30_000, waitMs: 30_000 });
      await clock.advance(passMs);
      assert.deepEqual(eventIds((await fetched).items), [eventId]);
    }
  },
});

/** See the head of this file. */
export const leaseCases: readonly ConformanceCase[] = [...together, ...restarts];
