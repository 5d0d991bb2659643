// Contract cases: whose turn it is, and how often a message was handed out. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { IN_PROGRESS_HEAD_START_MS } from '../provider/provider.ts';
import { MAX_MESSAGES_PER_TURN } from '../types/limits.ts';
import {
  abandon,
  attempts,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchOne,
  instanceIds,
  payloads,
  run,
  start,
  startOne,
  timer,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const counting = cases('attempts', {
  'an abandoned message counts its attempts': async ({ provider }) => {
    await start(provider, 'a');
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      const item = await fetchOne(provider);
      assert.deepEqual(attempts(item), [attempt]);
      await abandon(provider, item);
    }
  },
  'an abandon that does not count takes the attempt back': async ({ provider }) => {
    await start(provider, 'a');
    for (let round = 0; round < 3; round += 1) {
      const item = await fetchOne(provider);
      assert.deepEqual(attempts(item), [1]);
      await abandon(provider, item, { countAttempt: false });
    }
  },
  'an abandon that does not count keeps earlier attempts': async ({ provider }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider));
    await abandon(provider, await fetchOne(provider), { countAttempt: false });
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
  'abandons that do not count never take more than their own attempt': async ({ provider, clock }) => {
    await start(provider, 'a');
    for (let round = 0; round < 3; round += 1) {
      const item = await fetchOne(provider);
      assert.deepEqual(attempts(item), [1]);
      await abandon(provider, item, { countAttempt: false });
      assert.equal(await abandon(provider, item, { countAttempt: false }), 'lockLost');
    }
    await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    for (let round = 0; round < 3; round += 1) {
      const item = await fetchOne(provider);
      assert.deepEqual(attempts(item), [2]);
      await abandon(provider, item, { countAttempt: false });
    }
  },
  'T49 attempts are counted for each message': async ({ provider }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider));
    await enqueue(provider, 'a', 'new');
    const item = await fetchOne(provider);
    assert.deepEqual(
      [payloads(item), attempts(item)],
      [
        ['start a', 'new'],
        [2, 1],
      ],
    );
  },
  'T36 an abandon that does not count leaves messages alone that it did not hold': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await enqueue(provider, 'a', 'new');
    await abandon(provider, item, { countAttempt: false });
    assert.deepEqual(attempts(await fetchOne(provider)), [1, 1]);
  },
  'T36 messages beyond the limit of a turn are not counted': async ({ provider, clock }) => {
    const all = Array.from({ length: MAX_MESSAGES_PER_TURN + 5 }, (_, index) => `m${index}`);
    await start(provider, 'a');
    const first = await fetchOne(provider);
    await enqueue(provider, 'a', ...all);
    // A timer from before the messages takes a place in the turn though it is the newest.
    await commit(provider, first, { timers: [timer(2, clock.nowMs() - 1)] });
    await abandon(provider, await fetchOne(provider));
    const item = await fetchOne(provider);
    assert.deepEqual(new Set(attempts(item)), new Set([2]));
    await commit(provider, item);
    const rest = await fetchOne(provider);
    // Which six are left is the provider's choice when a backlog is larger than a turn: the timer, or one more message.
    assert.equal(payloads(rest).length, 6);
    assert.deepEqual(new Set(attempts(rest)), new Set([1]));
  },
  'T49 a message that a committed turn leaves is not charged for it': async ({ provider }) => {
    await start(provider, 'a');
    await commit(provider, await fetchOne(provider), { consumedMessageIds: [] });
    assert.deepEqual(attempts(await fetchOne(provider)), [1]);
  },
});

const readyOrder = cases('ready order', {
  'instances come in the order in which they became ready': async ({ provider, clock }) => {
    for (const instanceId of ['c', 'a', 'b']) {
      await start(provider, instanceId);
      await clock.advance(1);
    }
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['c', 'a', 'b']);
  },
  'small fetches keep the ready order': async ({ provider, clock }) => {
    for (const instanceId of ['c', 'a', 'b']) {
      await start(provider, instanceId);
      await clock.advance(1);
    }
    for (const instanceId of ['c', 'a', 'b']) assert.equal((await fetchOne(provider, { maxItems: 1 })).instanceId, instanceId);
  },
  'instances that became ready together come in the order of their ids': async ({ provider }) => {
    await start(provider, 'b', 'c', 'a');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a', 'b', 'c']);
  },
  'T50 a busy instance waits behind those that are ready longer': async ({ provider, clock }) => {
    await start(provider, 'busy');
    const item = await fetchOne(provider);
    await clock.advance(1);
    await start(provider, 'quiet');
    await clock.advance(1);
    await enqueue(provider, 'busy', 'more');
    await commit(provider, item);
    assert.equal((await fetchOne(provider, { maxItems: 1 })).instanceId, 'quiet');
    assert.equal((await fetchOne(provider, { maxItems: 1 })).instanceId, 'busy');
  },
  'T50 many messages of one instance take one place in the order': async ({ provider, clock }) => {
    await run(provider, 'busy');
    await enqueue(provider, 'busy', ...Array.from({ length: 100 }, (_, index) => `m${index}`));
    await clock.advance(1);
    await start(provider, 'quiet');
    assert.deepEqual(instanceIds(await fetchItems(provider, { maxItems: 2 })), ['busy', 'quiet']);
  },
  'an instance in progress goes before new ones, but not before those that wait for long': async ({ provider, clock }) => {
    await run(provider, 'z');
    await start(provider, 'a');
    await clock.advance(1);
    await enqueue(provider, 'z', 'goes on');
    const items = await fetchItems(provider);
    assert.deepEqual(instanceIds(items), ['z', 'a']);
    for (const item of items) await commit(provider, item);
    await start(provider, 'b');
    await clock.advance(IN_PROGRESS_HEAD_START_MS + 1);
    await enqueue(provider, 'z', 'goes on');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'z']);
  },
  'a message of a turn to its own instance is one to an instance in progress': async ({ provider, clock }) => {
    await start(provider, 'z');
    const item = await fetchOne(provider);
    await start(provider, 'a');
    await clock.advance(1);
    await commit(provider, item, { messages: [{ instanceId: 'z', payload: 'goes on' }] });
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
  'a later message does not move its instance back': async ({ provider, clock }) => {
    await start(provider, 'z');
    await clock.advance(1);
    await start(provider, 'a');
    await clock.advance(1);
    await enqueue(provider, 'z', 'late');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
  'a later message does not move an instance back that began with a delay': async ({ provider, clock }) => {
    await startOne(provider, 'z', { priority: 1, delayMs: 1_000 });
    await clock.advance(30_000);
    await enqueue(provider, 'z', 'early');
    await clock.advance(1);
    await startOne(provider, 'a', { priority: 1 });
    await clock.advance(1);
    await enqueue(provider, 'z', 'late');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
  'T50 an instance goes behind those that wait when its turn is over': async ({ provider, clock }) => {
    await start(provider, 'z');
    const item = await fetchOne(provider);
    await clock.advance(1);
    await enqueue(provider, 'z', 'early');
    await clock.advance(1);
    await start(provider, 'a');
    await clock.advance(1);
    await commit(provider, item);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a', 'z']);
  },
  'an instance whose lock expired is ready from the expiry on': async ({ provider, clock }) => {
    await start(provider, 'a');
    await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(500);
    await start(provider, 'b');
    await clock.advance(500);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'a']);
  },
  'an instance whose timer is due is ready from the due time on': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 500)] });
    await clock.advance(400);
    await start(provider, 'early');
    await clock.advance(200);
    await start(provider, 'late');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['early', 'a', 'late']);
  },
  'an instance that was hidden by a delay is ready from the end of the delay on': async ({ provider, clock }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider), { delayMs: 1_000 });
    await clock.advance(500);
    await start(provider, 'b');
    await clock.advance(500);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'a']);
  },
});

/** See the head of this file. */
export const orderCases: readonly ConformanceCase[] = [...counting, ...readyOrder];
