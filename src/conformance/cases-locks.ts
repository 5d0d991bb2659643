// Contract cases: instance locks: taking, expiry, renewal, giving back. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import {
  LOCK_MS,
  abandon,
  ack,
  ackFor,
  activity,
  attempts,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  history,
  instanceIds,
  page,
  payloads,
  queued,
  read,
  run,
  start,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const locks = cases('instance locks', {
  'a locked instance is not handed out again': async ({ provider }) => {
    await start(provider, 'a');
    await fetchOne(provider);
    await fetchNone(provider);
    await enqueue(provider, 'a', 'm');
    await fetchNone(provider);
  },
  'the lock of one instance does not hide another': async ({ provider }) => {
    await start(provider, 'a');
    await fetchOne(provider);
    await start(provider, 'b');
    assert.equal((await fetchOne(provider)).instanceId, 'b');
  },
  'T30 every fetch has a lock token of its own': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const tokens = new Set<string>();
    for (let round = 0; round < 20; round += 1) {
      const item = await fetchOne(provider, { maxItems: 1 });
      tokens.add(item.lockToken);
      await abandon(provider, item);
    }
    assert.equal(tokens.size, 20);
    for (const token of tokens) assert.ok(token.length >= 16, token);
  },
  'fetches at the same time hand out different instances': async ({ provider }) => {
    const all = Array.from({ length: 20 }, (_, index) => `i${index}`);
    await start(provider, ...all);
    const batches = await Promise.all(Array.from({ length: 10 }, () => fetchItems(provider, { maxItems: 3 })));
    const taken = batches.flatMap(instanceIds);
    assert.deepEqual(taken.toSorted(), all.toSorted());
    assert.ok(batches.every((batch) => batch.length <= 3));
  },
  'a fetch returns no more than maxItems instances': async ({ provider }) => {
    await start(provider, 'a', 'b', 'c');
    assert.equal((await fetchItems(provider, { maxItems: 2 })).length, 2);
    assert.equal((await fetchItems(provider, { maxItems: 2 })).length, 1);
  },
  'an ack with a foreign token is lockLost and the owner can still ack': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider, { maxItems: 1 }).then(async (first) => [...first, ...(await fetchItems(provider))]);
    assert.ok(a !== undefined && b !== undefined);
    assert.equal(await ack(provider, a, { lockToken: 'no such token' }), 'lockLost');
    assert.equal(await ack(provider, a, { lockToken: b.lockToken }), 'lockLost');
    await commit(provider, a);
  },
  'an ack of an instance that does not exist is instanceGone and does not create it': async ({ provider }) => {
    await start(provider, 'a');
    assert.equal(await ack(provider, await fetchOne(provider), { instanceId: 'other' }), 'instanceGone');
    assert.deepEqual(await provider.readInstances(['other']), [null]);
  },
  'a repeated ack is lockLost and changes nothing': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await commit(provider, item, { page: page(2), messages: [{ instanceId: 'a', payload: 'self' }] });
    assert.equal(await ack(provider, item, { page: page(2), messages: [{ instanceId: 'a', payload: 'self' }] }), 'lockLost');
    assert.equal((await history(provider, 'a')).length, 1);
    assert.deepEqual(payloads(await fetchOne(provider)), ['self']);
  },
  'of two acks with one token in a batch only the first commits': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const outcomes = await provider.ackOrchestrationItems([
      ackFor(item, { customStatus: '"first"' }),
      ackFor(item, { customStatus: '"second"' }),
    ]);
    assert.deepEqual(outcomes, ['committed', 'lockLost']);
    assert.equal((await read(provider, 'a')).customStatus, '"first"');
  },
  'of two acks with one token at the same time one commits': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const outcomes = await Promise.all([ack(provider, item), ack(provider, item)]);
    assert.deepEqual(outcomes, ['committed', 'lockLost']);
  },
  'a committed ack releases the lock': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
  },
  'an instance without messages is not handed out': async ({ provider, clock }) => {
    await run(provider, 'a');
    await fetchNone(provider);
    await clock.advance(2 * LOCK_MS);
    await fetchNone(provider);
  },
  'a released token is not accepted by the next lock': async ({ provider }) => {
    await start(provider, 'a');
    const old = await fetchOne(provider);
    await abandon(provider, old);
    const current = await fetchOne(provider);
    assert.equal(await ack(provider, old), 'lockLost');
    await commit(provider, current);
  },
});

const lockExpiry = cases('lock expiry', {
  'a lock holds to its last millisecond': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(999);
    await fetchNone(provider);
    await commit(provider, item);
  },
  'T59 an ack after the lock expired is lockLost though nobody took the instance': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.equal(await ack(provider, item, { page: page(2), workItems: [activity(2)], customStatus: '1' }), 'lockLost');
    assert.deepEqual(await history(provider, 'a'), []);
    assert.deepEqual(await queued(provider), [1, 0]);
    assert.equal((await read(provider, 'a')).customStatusVersion, 0);
  },
  'an expired lock hands the instance out again with a new token': async ({ provider, clock }) => {
    await start(provider, 'a');
    const lost = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const again = await fetchOne(provider);
    assert.notEqual(again.lockToken, lost.lockToken);
    assert.deepEqual([payloads(again), attempts(again)], [['start a'], [2]]);
    await fetchNone(provider);
  },
  'T59 the old token is refused while somebody else has the instance': async ({ provider, clock }) => {
    await start(provider, 'a');
    const lost = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const current = await fetchOne(provider);
    assert.equal(await ack(provider, lost), 'lockLost');
    assert.equal(await abandon(provider, lost), 'lockLost');
    assert.deepEqual(await provider.renewOrchestrationLocks([lost], LOCK_MS), ['lockLost']);
    await commit(provider, current);
  },
  'an abandon after the expiry is lockLost and hides nothing': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.equal(await abandon(provider, item, { delayMs: 5_000, countAttempt: false }), 'lockLost');
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
  'messages that arrived during a lost lock come with the next fetch': async ({ provider, clock }) => {
    await start(provider, 'a');
    await fetchOne(provider, { lockMs: 1_000 });
    await enqueue(provider, 'a', 'during');
    await clock.advance(1_000);
    await enqueue(provider, 'a', 'after');
    const item = await fetchOne(provider);
    assert.deepEqual(
      [payloads(item), attempts(item)],
      [
        ['start a', 'during', 'after'],
        [2, 1, 1],
      ],
    );
  },
  'of several fetches at the expiry exactly one gets the instance': async ({ provider, clock }) => {
    await start(provider, 'a');
    await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const batches = await Promise.all(Array.from({ length: 5 }, () => fetchItems(provider)));
    assert.equal(batches.flat().length, 1);
  },
});

const renewal = cases('lock renewal', {
  'a renewed lock lasts lockMs from the renewal': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(600);
    assert.deepEqual(await provider.renewOrchestrationLocks([item], 1_000), ['done']);
    await clock.advance(999);
    await fetchNone(provider);
    await commit(provider, item);
  },
  'a renewed lock expires, too': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(600);
    await provider.renewOrchestrationLocks([item], 1_000);
    await clock.advance(1_000);
    assert.equal(await ack(provider, item), 'lockLost');
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
  'a lock can be renewed again and again': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    for (let round = 0; round < 5; round += 1) {
      await clock.advance(999);
      assert.deepEqual(await provider.renewOrchestrationLocks([item], 1_000), ['done']);
    }
    await commit(provider, item);
  },
  'a lock that expired cannot be renewed': async ({ provider, clock }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
    await fetchOne(provider);
  },
  'a lock that was released cannot be renewed': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const items = await fetchItems(provider);
    const [a, b] = items;
    assert.ok(a !== undefined && b !== undefined);
    await commit(provider, a);
    await abandon(provider, b);
    assert.deepEqual(await provider.renewOrchestrationLocks(items, LOCK_MS), ['lockLost', 'lockLost']);
  },
  'a bad renewal does not fail its neighbours': async ({ provider, clock }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider, { lockMs: 1_000 });
    assert.ok(a !== undefined && b !== undefined);
    const batch = [a, { instanceId: 'unknown', lockToken: a.lockToken }, { instanceId: 'a', lockToken: 'foreign' }, b];
    assert.deepEqual(await provider.renewOrchestrationLocks(batch, 5_000), ['done', 'lockLost', 'lockLost', 'done']);
    await clock.advance(4_999);
    assert.deepEqual(await provider.ackOrchestrationItems([ackFor(a), ackFor(b)]), ['committed', 'committed']);
  },
  'a renewal counts no attempt': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await provider.renewOrchestrationLocks([item], LOCK_MS);
    await abandon(provider, item);
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
});

const abandoning = cases('abandon', {
  'an abandoned instance can be fetched at once': async ({ provider }) => {
    await start(provider, 'a');
    assert.equal(await abandon(provider, await fetchOne(provider)), 'done');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a']);
  },
  'T58 a delayed abandon hides the instance until the delay is over': async ({ provider, clock }) => {
    await start(provider, 'a');
    assert.equal(await abandon(provider, await fetchOne(provider), { delayMs: 1_000 }), 'done');
    await fetchNone(provider);
    await clock.advance(999);
    await fetchNone(provider);
    await clock.advance(1);
    await fetchOne(provider);
  },
  'a delayed abandon hides new messages, too': async ({ provider, clock }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1');
    await abandon(provider, await fetchOne(provider), { delayMs: 1_000 });
    await clock.advance(500);
    assert.deepEqual(await enqueue(provider, 'a', 'm2'), ['enqueued']);
    await fetchNone(provider);
    await clock.advance(500);
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'm2']);
  },
  'a delayed abandon hides no other instance': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined);
    await abandon(provider, a, { delayMs: 1_000 });
    await abandon(provider, b);
    assert.equal((await fetchOne(provider)).instanceId, 'b');
  },
  'a committed ack ends the delay of an abandon before it': async ({ provider, clock }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider), { delayMs: 5_000 });
    await clock.advance(5_000);
    await commit(provider, await fetchOne(provider));
    clock.jump(-4_000);
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
  },
  'an abandon with a foreign token is lockLost and keeps the lock': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    assert.equal(await abandon(provider, { ...item, lockToken: 'foreign' }), 'lockLost');
    await fetchNone(provider);
    await commit(provider, item);
  },
  'a repeated abandon is lockLost': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    assert.equal(await abandon(provider, item, { countAttempt: false }), 'done');
    assert.equal(await abandon(provider, item, { countAttempt: false }), 'lockLost');
    assert.deepEqual(attempts(await fetchOne(provider)), [1]);
  },
  'a token is worth nothing after a delayed abandon': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await abandon(provider, item, { delayMs: 5_000 });
    assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
    assert.equal(await abandon(provider, item), 'lockLost');
    assert.equal(await ack(provider, item), 'lockLost');
    await fetchNone(provider);
  },
  'a bad abandon does not fail its neighbours': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined);
    const how = { delayMs: 0, countAttempt: true };
    const outcomes = await provider.abandonOrchestrationItems([
      { ...a, ...how },
      { ...a, ...how },
      { instanceId: 'unknown', lockToken: a.lockToken, ...how },
      { ...b, ...how },
    ]);
    assert.deepEqual(outcomes, ['done', 'lockLost', 'lockLost', 'done']);
    assert.equal((await fetchItems(provider)).length, 2);
  },
});

/** See the head of this file. */
export const lockCases: readonly ConformanceCase[] = [...locks, ...lockExpiry, ...renewal, ...abandoning];
