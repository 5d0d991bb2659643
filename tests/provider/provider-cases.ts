// The storage contract as data: what every provider must do, run against one that was made with a simulated clock and an empty store.
// Neighbours: memory-provider.test.ts and sqlite-provider.test.ts loop over the cases, case-kit.ts is what they are written with, cases-*.ts
// hold the parts that were too much for one file.
// A name that begins with T… guards the trap of that number.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { IN_PROGRESS_HEAD_START_MS } from '../../src/provider/provider.ts';
import { ArgumentError, ProviderError } from '../../src/types/errors.ts';
import type { InstanceRecord, InstanceStatus } from '../../src/types/instance.ts';
import { MAX_INSTANCE_ID_LENGTH, MAX_MESSAGES_PER_TURN } from '../../src/types/limits.ts';
import {
  abandon,
  abandonWork,
  ack,
  ackFor,
  ackWork,
  activity,
  attempts,
  BIG,
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
  history,
  instanceIds,
  link,
  LOCK_MS,
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
  run,
  start,
  statusAfter,
  takeNowAndLater,
  timer,
  watch,
  workAckFor,
} from './case-kit.ts';
import { capabilityCases } from './cases-capability.ts';
import { controlCases } from './cases-control.ts';
import { routingCases } from './cases-routing.ts';
import { sessionCases } from './cases-sessions.ts';
import { startCases } from './cases-starts.ts';
import { topicCases } from './cases-topics.ts';
import { valueCases } from './cases-values.ts';
import type { ProviderCase } from './case-kit.ts';

const creation = cases('creation', {
  'a started instance is Pending and has what its start says': async ({ provider, clock }) => {
    const nowMs = clock.nowMs();
    await provider.startInstances([newInstance('a', { parent: link('parent', 7, 3), version: '2.0.1' })]);
    await clock.advance(5);
    assert.deepEqual(await read(provider, 'a'), {
      instanceId: 'a',
      name: 'order',
      version: '2.0.1',
      status: 'Pending',
      executionId: 1,
      lastEventId: 0,
      output: null,
      customStatus: null,
      customStatusVersion: 0,
      parent: link('parent', 7, 3),
      onParentClose: 'cancel',
      priority: 0,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
    });
  },
  'a fetch tells all that a first turn needs': async ({ provider, clock }) => {
    await start(provider, 'a');
    const { nowMs, items } = await provider.fetchOrchestrationItems(fetchParams());
    assert.equal(nowMs, clock.nowMs());
    const { lockToken, messages, ...rest } = only(items);
    assert.equal(typeof lockToken, 'string');
    assert.deepEqual(rest, {
      instanceId: 'a',
      name: 'order',
      version: '1.0.0',
      status: 'Pending',
      executionId: 1,
      lastEventId: 0,
      parent: null,
      createdAtMs: clock.nowMs(),
    });
    const { payload, attempt } = only(messages);
    assert.deepEqual([payload, attempt], ['start a', 1]);
  },
  'a fetch tells all that a later turn needs': async ({ provider }) => {
    await run(provider, 'a', { version: '1.2.3', page: page(7) });
    await enqueue(provider, 'a', 'm');
    const { version, status, executionId, lastEventId } = await fetchOne(provider);
    assert.deepEqual([version, status, executionId, lastEventId], ['1.2.3', 'Running', 1, 7]);
  },
  'a fetch tells who the parent is and since when the instance exists': async ({ provider, clock }) => {
    const createdAtMs = clock.nowMs();
    await provider.startInstances([newInstance('a', { parent: link('p', 5, 4) })]);
    await clock.advance(10);
    const item = await fetchOne(provider);
    assert.deepEqual([item.parent, item.createdAtMs], [link('p', 5, 4), createdAtMs]);
    await commit(provider, item, { next: nextExecution });
    const next = await fetchOne(provider);
    assert.deepEqual([next.parent, next.createdAtMs], [link('p', 5, 4), createdAtMs]);
  },
  'T5 a start of an existing id is exists and changes nothing': async ({ provider, clock }) => {
    await start(provider, 'a');
    const before = await read(provider, 'a');
    await clock.advance(5);
    const other = newInstance('a', { name: 'other', version: '9.0.0', payload: 'other', parent: link('p') });
    assert.deepEqual(await provider.startInstances([other]), ['exists']);
    assert.deepEqual(await read(provider, 'a'), before);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a']);
  },
  'T5 a start of a running instance does not reach it': async ({ provider }) => {
    await run(provider, 'a');
    assert.deepEqual(await provider.startInstances([newInstance('a', { name: 'other' })]), ['exists']);
    assert.equal((await read(provider, 'a')).name, 'order');
    await fetchNone(provider);
  },
  'a start of an ended instance is exists and does not revive it': async ({ provider }) => {
    await run(provider, 'a', { status: 'Completed', output: '1' });
    assert.deepEqual(await provider.startInstances([newInstance('a')]), ['exists']);
    assert.equal((await read(provider, 'a')).status, 'Completed');
    await fetchNone(provider);
  },
  'of two starts of one id in a batch the first wins': async ({ provider }) => {
    const outcomes = await provider.startInstances([newInstance('a', { payload: 'first' }), newInstance('b'), newInstance('a')]);
    assert.deepEqual(outcomes, ['started', 'started', 'exists']);
    const items = await fetchItems(provider);
    assert.deepEqual(items.map(payloads), [['first'], ['start b']]);
  },
  'an instance without version gets one at its first turn': async ({ provider }) => {
    await provider.startInstances([newInstance('a', { version: null })]);
    const item = await fetchOne(provider);
    assert.equal(item.version, null);
    assert.equal((await read(provider, 'a')).version, null);
    await commit(provider, item, { version: '3.0.0' });
    assert.equal((await read(provider, 'a')).version, '3.0.0');
  },
  'T7 messages that arrive before the first turn are handed out behind the start': async ({ provider, clock }) => {
    await start(provider, 'a');
    assert.deepEqual(await enqueue(provider, 'a', 'm1'), ['enqueued']);
    await clock.advance(5);
    await enqueue(provider, 'a', 'm2');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a', 'm1', 'm2']);
  },
  'T7 messages that arrive while the first turn waits out a delay are kept': async ({ provider, clock }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider), { delayMs: 1_000 });
    assert.deepEqual(await enqueue(provider, 'a', 'm'), ['enqueued']);
    await fetchNone(provider);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a', 'm']);
  },
  'the start message comes first also when the clock was set back': async ({ provider, clock }) => {
    await start(provider, 'a');
    clock.jump(-5_000);
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(await takeNowAndLater(provider, clock), ['start a', 'm']);
  },
  'reading unknown instances gives null in their places': async ({ provider }) => {
    await start(provider, 'b');
    const records = await provider.readInstances(['a', 'b', 'c', 'b']);
    assert.deepEqual(
      records.map((record) => record?.instanceId ?? null),
      [null, 'b', null, 'b'],
    );
  },
  'calls take effect in the order in which they are made': async ({ provider }) => {
    const [started, enqueued, fetched] = await Promise.all([
      provider.startInstances([newInstance('a')]),
      enqueue(provider, 'a', 'm'),
      fetchOne(provider),
    ]);
    assert.deepEqual([started, enqueued, payloads(fetched)], [['started'], ['enqueued'], ['start a', 'm']]);
  },
});

const messages = cases('messages', {
  'T6 a message for an unknown instance is notFound and is not kept': async ({ provider }) => {
    assert.deepEqual(await enqueue(provider, 'a', 'lost'), ['notFound']);
    assert.deepEqual(await queued(provider), [0, 0]);
    await start(provider, 'a');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a']);
  },
  'T6 messages for unknown and ended instances never block others': async ({ provider }) => {
    await run(provider, 'ended', { status: 'Failed' });
    await start(provider, 'live');
    const batch = ['unknown', 'ended', 'live', 'unknown'].map((instanceId) => ({ instanceId, payload: 'm' }));
    assert.deepEqual(await provider.enqueueMessages(batch), ['notFound', 'ended', 'enqueued', 'notFound']);
    assert.deepEqual(payloads(await fetchOne(provider, { maxItems: 1 })), ['start live', 'm']);
    await fetchNone(provider);
  },
  'messages come in the order in which they were enqueued': async ({ provider, clock }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    await enqueue(provider, 'a', 'm3');
    await clock.advance(1);
    await enqueue(provider, 'a', 'm4', 'm5');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'm2', 'm3', 'm4', 'm5']);
  },
  'messages keep their order when the clock was set back between them': async ({ provider, clock }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1');
    clock.jump(-5_000);
    await enqueue(provider, 'a', 'm2');
    clock.jump(2_000);
    await enqueue(provider, 'a', 'm3');
    clock.jump(3_000);
    await enqueue(provider, 'a', 'm4');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'm2', 'm3', 'm4']);
  },
  'a message is not overtaken by one that came after the clock was set back': async ({ provider, clock }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1');
    clock.jump(-5_000);
    await enqueue(provider, 'a', 'm2');
    assert.deepEqual(await takeNowAndLater(provider, clock), ['m1', 'm2']);
  },
  'a new message is handed out at once though the clock was set back': async ({ provider, clock }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1');
    await commit(provider, await fetchOne(provider));
    clock.jump(-5_000);
    await enqueue(provider, 'a', 'm2');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m2']);
  },
  'T55 equal messages are not merged': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm', 'm');
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m', 'm', 'm']);
  },
  'message ids of an instance are unique and increase': async ({ provider }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    const first = (await fetchOne(provider)).messages.map(({ messageId }) => messageId);
    assert.deepEqual(
      first,
      first.toSorted((x, y) => x - y),
    );
    assert.equal(new Set(first).size, 3);
  },
  'a turn gets as many messages as the limit allows, the next turn the rest': async ({ provider }) => {
    await run(provider, 'a');
    const all = Array.from({ length: MAX_MESSAGES_PER_TURN + 5 }, (_, index) => `m${index}`);
    await enqueue(provider, 'a', ...all);
    const item = await fetchOne(provider);
    assert.deepEqual(payloads(item), all.slice(0, MAX_MESSAGES_PER_TURN));
    await commit(provider, item);
    const rest = await fetchOne(provider);
    assert.deepEqual(payloads(rest), all.slice(MAX_MESSAGES_PER_TURN));
    assert.deepEqual(attempts(rest), [1, 1, 1, 1, 1]);
  },
  'a message that arrives during a turn survives its ack': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    assert.deepEqual(await enqueue(provider, 'a', 'later'), ['enqueued']);
    await fetchNone(provider);
    await commit(provider, item);
    assert.deepEqual(payloads(await fetchOne(provider)), ['later']);
  },
  'an ack removes the messages that it names and no others': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2', 'm3');
    const item = await fetchOne(provider);
    const consumedMessageIds = item.messages.filter(({ payload }) => payload !== 'm2').map(({ messageId }) => messageId);
    await commit(provider, item, { consumedMessageIds });
    assert.deepEqual(payloads(await fetchOne(provider)), ['m2']);
  },
  'T54 an ack removes its messages also when the clock was set back during the turn': async ({ provider, clock }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    clock.jump(-5_000);
    await commit(provider, item);
    assert.deepEqual(await queued(provider), [0, 0]);
    clock.jump(5_000);
    await fetchNone(provider);
  },
  'equal message ids of two instances are two messages': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined);
    await commit(provider, a);
    assert.deepEqual(await queued(provider), [1, 0]);
    await abandon(provider, b);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start b']);
  },
});

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

const atomicAck = cases('atomic ack', {
  'one ack stores everything that its turn asks for': async ({ provider, clock }) => {
    await run(provider, 'other');
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await clock.advance(10);
    await commit(provider, item, {
      version: '1.1.0',
      page: page(6),
      customStatus: '"half"',
      workItems: [activity(2)],
      timers: [timer(3, clock.nowMs() + 1_000)],
      messages: [{ instanceId: 'other', payload: 'hello' }],
      starts: [{ ...newInstance('child', { parent: link('a') }), conflictPayload: null }],
    });
    const record = await read(provider, 'a');
    assert.deepEqual([record.version, record.status, record.lastEventId, record.customStatus], ['1.1.0', 'Running', 6, '"half"']);
    assert.deepEqual(await history(provider, 'a'), [{ firstEventId: 1, ...page(6) }]);
    assert.equal((await fetchOneWork(provider)).payload, 'activity 2');
    assert.deepEqual(Object.fromEntries((await fetchItems(provider)).map((other) => [other.instanceId, payloads(other)])), {
      other: ['hello'],
      child: ['start child'],
    });
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 3']);
  },
  'an ack from another base event is a conflict, stores nothing and keeps the lock': async ({ provider }) => {
    await run(provider, 'a', { page: page(3) });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    const before = await read(provider, 'a');
    const changes = { page: page(9), customStatus: '1', workItems: [activity(4)], messages: [{ instanceId: 'a', payload: 'self' }] };
    assert.equal(await ack(provider, item, { ...changes, baseEventId: 2 }), 'conflict');
    assert.equal(await ack(provider, item, { ...changes, baseEventId: 4 }), 'conflict');
    assert.deepEqual(await read(provider, 'a'), before);
    assert.deepEqual(await queued(provider), [1, 0]);
    assert.equal((await history(provider, 'a')).length, 1);
    await fetchNone(provider);
    await commit(provider, item);
  },
  'an ack for another execution is a conflict and keeps the lock': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution });
    const item = await fetchOne(provider);
    assert.equal(await ack(provider, item, { executionId: 1, baseEventId: 2 }), 'conflict');
    assert.equal(await ack(provider, item, { executionId: 3 }), 'conflict');
    await commit(provider, item);
  },
  'a lost lock is told before a conflict': async ({ provider }) => {
    await start(provider, 'a');
    assert.equal(await ack(provider, await fetchOne(provider), { lockToken: 'foreign', baseEventId: 5 }), 'lockLost');
  },
  'an ack that is refused leaves other instances alone': async ({ provider }) => {
    await run(provider, 'other');
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const outcome = await ack(provider, item, {
      lockToken: 'foreign',
      messages: [{ instanceId: 'other', payload: 'm' }],
      starts: [{ ...newInstance('child'), conflictPayload: null }],
    });
    assert.equal(outcome, 'lockLost');
    assert.deepEqual(await provider.readInstances(['child']), [null]);
    await fetchNone(provider);
  },
  'a refused ack does not fail its neighbours': async ({ provider }) => {
    await start(provider, 'a', 'b', 'c', 'd');
    const [a, b, c, d] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
    const outcomes = await provider.ackOrchestrationItems([
      ackFor(a, { page: page(2) }),
      ackFor(b, { lockToken: 'foreign' }),
      ackFor(c, { baseEventId: 7 }),
      ackFor(d, { instanceId: 'unknown' }),
      ackFor(d, { page: page(4) }),
    ]);
    assert.deepEqual(outcomes, ['committed', 'lockLost', 'conflict', 'instanceGone', 'committed']);
    const records = await provider.readInstances(['a', 'b', 'c', 'd']);
    assert.deepEqual(
      records.map((record) => record?.lastEventId),
      [2, 0, 0, 4],
    );
  },
  'acks of one batch see the effects of those before them': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined);
    await provider.ackOrchestrationItems([
      ackFor(a, { messages: [{ instanceId: 'b', payload: 'from a' }] }),
      ackFor(b, { status: 'Completed', messages: [{ instanceId: 'a', payload: 'from b' }] }),
    ]);
    assert.deepEqual((await fetchItems(provider)).map(payloads), [['from b']]);
    assert.deepEqual(await queued(provider), [1, 0]);
  },
  'an ack without page keeps the last event': async ({ provider }) => {
    await run(provider, 'a', { page: page(3) });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { page: null });
    assert.equal((await read(provider, 'a')).lastEventId, 3);
    assert.equal((await history(provider, 'a')).length, 1);
  },
  'T29 an ack moves the time of update, not that of creation': async ({ provider, clock }) => {
    const createdAtMs = clock.nowMs();
    await start(provider, 'a');
    await clock.advance(10);
    await commit(provider, await fetchOne(provider));
    const { createdAtMs: created, updatedAtMs: updated } = await read(provider, 'a');
    assert.deepEqual([created, updated], [createdAtMs, createdAtMs + 10]);
  },
  'a message to the acking instance itself stays after the ack': async ({ provider }) => {
    await run(provider, 'a', { messages: [{ instanceId: 'a', payload: 'self' }] });
    assert.deepEqual(payloads(await fetchOne(provider)), ['self']);
  },
  'T6 messages in an ack to unknown and ended instances are dropped': async ({ provider }) => {
    await run(provider, 'ended', { status: 'Completed' });
    const targets = ['unknown', 'ended', 'a'];
    await run(provider, 'a', { messages: targets.map((instanceId) => ({ instanceId, payload: `to ${instanceId}` })) });
    assert.deepEqual(payloads(await fetchOne(provider)), ['to a']);
    assert.deepEqual(await queued(provider), [1, 0]);
  },
  'a message in an ack waits while its receiver is locked': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider);
    assert.ok(a !== undefined && b !== undefined);
    await commit(provider, a, { messages: [{ instanceId: 'b', payload: 'm' }] });
    await fetchNone(provider);
    await commit(provider, b);
    assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
  },
  'messages of one ack to one instance keep their order': async ({ provider }) => {
    await run(provider, 'b');
    await run(provider, 'a', { messages: ['m1', 'm2', 'm3'].map((payload) => ({ instanceId: 'b', payload })) });
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'm2', 'm3']);
  },
});

const startsInAcks = cases('starts in an ack', {
  'a child that an ack starts is handed out': async ({ provider }) => {
    await run(provider, 'a', { starts: [{ ...newInstance('child', { parent: link('a') }), conflictPayload: 'taken' }] });
    const { parent, status } = await read(provider, 'child');
    assert.deepEqual([parent, status], [link('a'), 'Pending']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start child']);
  },
  'T4 a start of a taken id tells the starter': async ({ provider }) => {
    await run(provider, 'child');
    await run(provider, 'a', { starts: [{ ...newInstance('child', { name: 'other' }), conflictPayload: 'taken' }] });
    assert.equal((await read(provider, 'child')).name, 'order');
    const item = await fetchOne(provider);
    assert.deepEqual([item.instanceId, payloads(item), attempts(item)], ['a', ['taken'], [1]]);
  },
  'T4 a start of the id of an ended instance tells the starter': async ({ provider }) => {
    await run(provider, 'child', { status: 'Terminated' });
    await run(provider, 'a', { starts: [{ ...newInstance('child'), conflictPayload: 'taken' }] });
    assert.deepEqual(payloads(await fetchOne(provider)), ['taken']);
    assert.equal((await read(provider, 'child')).status, 'Terminated');
  },
  'a start of a taken id without conflict payload tells nobody': async ({ provider }) => {
    await run(provider, 'child');
    await run(provider, 'a', { starts: [{ ...newInstance('child'), conflictPayload: null }] });
    await fetchNone(provider);
  },
  'a start of the own id is a conflict': async ({ provider }) => {
    await run(provider, 'a', { starts: [{ ...newInstance('a'), conflictPayload: 'taken' }] });
    assert.equal((await read(provider, 'a')).status, 'Running');
    assert.deepEqual(payloads(await fetchOne(provider)), ['taken']);
  },
  'of two starts of one id in an ack the second is a conflict': async ({ provider }) => {
    const child = newInstance('child');
    await run(provider, 'a', {
      starts: [
        { ...child, conflictPayload: 'taken 1' },
        { ...child, payload: 'second', conflictPayload: 'taken 2' },
      ],
    });
    const items = await fetchItems(provider);
    assert.deepEqual(items.map(payloads), [['taken 2'], ['start child']]);
  },
  'T7 a message in an ack reaches the instance that the same ack starts': async ({ provider }) => {
    await run(provider, 'a', {
      starts: [{ ...newInstance('child'), conflictPayload: null }],
      messages: [{ instanceId: 'child', payload: 'cancel' }],
    });
    assert.deepEqual(payloads(await fetchOne(provider)), ['start child', 'cancel']);
  },
  'T45 an ack that ends its instance still starts others': async ({ provider }) => {
    await run(provider, 'b');
    await run(provider, 'a', {
      status: 'Completed',
      starts: [{ ...newInstance('child'), conflictPayload: 'taken' }],
      messages: [{ instanceId: 'b', payload: 'm' }],
    });
    assert.deepEqual((await fetchItems(provider)).map(payloads), [['m'], ['start child']]);
  },
  'T4 a conflict at the end of an instance leaves no message behind': async ({ provider }) => {
    await run(provider, 'child');
    await run(provider, 'a', { status: 'Completed', starts: [{ ...newInstance('child'), conflictPayload: 'taken' }] });
    assert.deepEqual(await queued(provider), [0, 0]);
  },
});

const customStatus = cases('custom status', {
  'every change of the custom status raises its version': async ({ provider }) => {
    await start(provider, 'a');
    const seen: unknown[] = [];
    for (const status of ['1', undefined, '2', null, '']) {
      await commit(provider, await fetchOne(provider), { customStatus: status, messages: [{ instanceId: 'a', payload: 'again' }] });
      const record = await read(provider, 'a');
      seen.push([record.customStatus, record.customStatusVersion]);
    }
    assert.deepEqual(seen, [
      ['1', 1],
      ['1', 1],
      ['2', 2],
      [null, 3],
      ['', 4],
    ]);
  },
  'the custom status outlives continue-as-new and the end': async ({ provider }) => {
    await run(provider, 'a', { customStatus: '"x"', next: nextExecution });
    await commit(provider, await fetchOne(provider), { status: 'Completed' });
    const record = await read(provider, 'a');
    assert.deepEqual([record.customStatus, record.customStatusVersion], ['"x"', 1]);
  },
});

const timers = cases('timers', {
  'a timer is handed out at its time, never before': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)] });
    await fetchNone(provider);
    await clock.advance(999);
    await fetchNone(provider);
    await clock.advance(1);
    const item = await fetchOne(provider);
    assert.deepEqual([payloads(item), attempts(item)], [['timer 2'], [1]]);
  },
  'a timer in the past is handed out at once': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() - 5_000), timer(3, 0)] });
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 3', 'timer 2']);
  },
  'timers come in the order of their times': async ({ provider, clock }) => {
    const nowMs = clock.nowMs();
    await run(provider, 'a', { timers: [timer(2, nowMs + 300), timer(3, nowMs + 100), timer(4, nowMs + 200)] });
    await clock.advance(300);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 3', 'timer 4', 'timer 2']);
  },
  'a timer comes between the messages before and after its time': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 500)] });
    await clock.advance(100);
    await enqueue(provider, 'a', 'before');
    await clock.advance(800);
    await enqueue(provider, 'a', 'after');
    assert.deepEqual(payloads(await fetchOne(provider)), ['before', 'timer 2', 'after']);
  },
  'a message does not bring the timer along': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)] });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    assert.deepEqual(payloads(item), ['m']);
    await commit(provider, item);
    await fetchNone(provider);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 2']);
  },
  'a timer that becomes due during a turn waits for its end': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)] });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    await clock.advance(1_000);
    await fetchNone(provider);
    await commit(provider, item);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 2']);
  },
  'T54 a timer goes by the clock of the store': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)] });
    clock.jump(-5_000);
    await clock.advance(1_000);
    await fetchNone(provider);
    clock.jump(5_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 2']);
  },
  'T33 a cancelled timer never comes': async ({ provider, clock }) => {
    const nowMs = clock.nowMs();
    await run(provider, 'a', { timers: [timer(2, nowMs + 1_000), timer(3, nowMs + 1_000)] });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledTimers: [2] });
    assert.deepEqual(await queued(provider), [1, 0]);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 3']);
  },
  'T33 a timer that is due can still be cancelled': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)] });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    await clock.advance(1_000);
    await commit(provider, item, { cancelledTimers: [2] });
    await fetchNone(provider);
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'a timer that is made and cancelled in one ack is absent': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)], cancelledTimers: [2] });
    assert.deepEqual(await queued(provider), [0, 0]);
    await clock.advance(1_000);
    await fetchNone(provider);
  },
  'cancelling timers that do not exist is no error': async ({ provider }) => {
    await run(provider, 'a', { cancelledTimers: [2, 3, 99] });
  },
  'cancelling a timer leaves the same event of another instance alone': async ({ provider, clock }) => {
    const timerAt = clock.nowMs() + 1_000;
    await run(provider, 'a', { timers: [timer(2, timerAt)] });
    await run(provider, 'b', { timers: [timer(2, timerAt)], cancelledTimers: [2] });
    await clock.advance(1_000);
    assert.equal((await fetchOne(provider)).instanceId, 'a');
  },
});

const workItems = cases('work items', {
  'a work item is handed out with all that its activity needs': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { name: 'refund', payload: '{"x":1}' })] });
    const { nowMs, items } = await provider.fetchWorkItems(fetchParams());
    assert.equal(nowMs, clock.nowMs());
    const { lockToken, ...rest } = only(items);
    assert.ok(lockToken.length >= 16);
    const key = { instanceId: 'a', executionId: 1, eventId: 2 };
    assert.deepEqual(rest, { ...key, name: 'refund', payload: '{"x":1}', attempt: 1, routing: null, heartbeat: null });
  },
  'work items come in the order in which they were scheduled': async ({ provider, clock }) => {
    await run(provider, 'b', { workItems: [activity(2), activity(3), activity(10)] });
    await clock.advance(1);
    await run(provider, 'a', { workItems: [activity(4)] });
    assert.deepEqual(eventIds(await fetchWork(provider, { maxItems: 2 })), [2, 3]);
    assert.deepEqual(eventIds(await fetchWork(provider)), [10, 4]);
  },
  'a locked work item is not handed out again': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await fetchOneWork(provider);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'fetches at the same time hand out different work items': async ({ provider }) => {
    const all = Array.from({ length: 20 }, (_, index) => index + 2);
    await run(provider, 'a', { workItems: all.map((eventId) => activity(eventId)) });
    const batches = await Promise.all(Array.from({ length: 10 }, () => fetchWork(provider, { maxItems: 3 })));
    assert.deepEqual(
      batches.flatMap(eventIds).toSorted((x, y) => x - y),
      all,
    );
  },
  'T30 every fetch of work has a lock token of its own': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const first = await fetchOneWork(provider, { maxItems: 1 });
    const second = await fetchOneWork(provider, { maxItems: 1 });
    assert.notEqual(first.lockToken, second.lockToken);
  },
  'work can be fetched while its instance is locked': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    await fetchOne(provider);
    const work = await fetchOneWork(provider);
    assert.equal(await ackWork(provider, work), 'done');
    await fetchNone(provider);
  },
  'an ack removes the work item and sends its completion': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    assert.equal(await ackWork(provider, await fetchOneWork(provider), 'result'), 'done');
    assert.deepEqual(await queued(provider), [1, 0]);
    const item = await fetchOne(provider);
    assert.deepEqual([payloads(item), attempts(item)], [['result'], [1]]);
  },
  'an ack without completion only removes the work item': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    assert.equal(await ackWork(provider, await fetchOneWork(provider), null), 'done');
    assert.deepEqual(await queued(provider), [0, 0]);
    await fetchNone(provider);
  },
  'a repeated ack of work is gone and completes once': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    assert.equal(await ackWork(provider, work), 'done');
    assert.equal(await ackWork(provider, work), 'gone');
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 2']);
  },
  'of two acks of one work item in a batch the second is gone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two, three] = await fetchWork(provider);
    assert.ok(two !== undefined && three !== undefined);
    const outcomes = await provider.ackWorkItems([workAckFor(two, 'first'), workAckFor(two, 'second'), workAckFor(three)]);
    assert.deepEqual(outcomes, ['done', 'gone', 'done']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['first', 'done 3']);
  },
  'of two acks of one work item at the same time one is done': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    assert.deepEqual(await Promise.all([ackWork(provider, work), ackWork(provider, work)]), ['done', 'gone']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 2']);
  },
  'a refused ack of work does not fail its neighbours': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    const [two, three, four] = await fetchWork(provider);
    assert.ok(two !== undefined && three !== undefined && four !== undefined);
    const outcomes = await provider.ackWorkItems([
      { ...workAckFor(two), instanceId: 'unknown' },
      { ...workAckFor(two), executionId: 2 },
      { ...workAckFor(two), eventId: 99 },
      { ...workAckFor(three), lockToken: 'foreign' },
      workAckFor(four),
    ]);
    assert.deepEqual(outcomes, ['gone', 'gone', 'gone', 'lockLost', 'done']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 4']);
    assert.deepEqual(await queued(provider), [1, 2]);
  },
  'completions of several instances go to their owners': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await run(provider, 'b', { workItems: [activity(2)] });
    const work = await fetchWork(provider);
    await provider.ackWorkItems(work.map((item) => workAckFor(item, `for ${item.instanceId}`)));
    assert.deepEqual((await fetchItems(provider)).map(payloads), [['for a'], ['for b']]);
  },
  'scheduling an activity that is queued leaves the queued one': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { workItems: [activity(2, { payload: 'other' })] });
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await abandonWork(provider, work), 'done');
    const { payload, attempt } = await fetchOneWork(provider);
    assert.deepEqual([payload, attempt], ['activity 2', 2]);
    assert.deepEqual(await queued(provider), [0, 1]);
  },
  'T3 the same event of two executions is two work items': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2, { payload: 'old' })], next: nextExecution });
    const old = await fetchOneWork(provider);
    await commit(provider, await fetchOne(provider), {
      workItems: [activity(2, { payload: 'new' }), activity(3)],
      cancelledActivities: [3],
      messages: [{ instanceId: 'a', payload: 'again' }],
    });
    const current = await fetchOneWork(provider);
    assert.deepEqual([old.executionId, old.payload, current.executionId, current.payload], [1, 'old', 2, 'new']);
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2] });
    assert.deepEqual(await provider.ackWorkItems([workAckFor(old), workAckFor(current)]), ['done', 'gone']);
  },
});

const workLocks = cases('work item locks', {
  'T59 a worker ack after lock expiry is refused': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.equal(await ackWork(provider, work), 'lockLost');
    await fetchNone(provider);
    assert.equal((await fetchOneWork(provider)).attempt, 2);
  },
  'T59 a result is recorded once though two workers had the item': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const lost = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const current = await fetchOneWork(provider);
    assert.equal(await ackWork(provider, lost, 'from the slow one'), 'lockLost');
    assert.equal(await ackWork(provider, current, 'result'), 'done');
    assert.equal(await ackWork(provider, lost, 'from the slow one'), 'gone');
    assert.deepEqual(payloads(await fetchOne(provider)), ['result']);
  },
  'a work lock holds to its last millisecond': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider), []);
    assert.equal(await ackWork(provider, work), 'done');
  },
  'an expired work lock hands the item out again with a new token': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const lost = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    const again = await fetchOneWork(provider);
    assert.notEqual(again.lockToken, lost.lockToken);
    assert.equal(again.attempt, 2);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'a renewed work lock lasts lockMs from the renewal': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(600);
    assert.deepEqual(await renewWork(provider, [work], 1_000), ['done']);
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider), []);
    assert.deepEqual(await renewWork(provider, [work], 1_000), ['done']);
    await clock.advance(1_000);
    assert.equal(await ackWork(provider, work), 'lockLost');
  },
  'T8 a renewal tells a lost work lock from a cancelled activity': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    const [two, three, four] = await fetchWork(provider, { lockMs: 1_000 });
    assert.ok(two !== undefined && three !== undefined && four !== undefined);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [3] });
    const foreign = { ...four, lockToken: 'foreign' };
    assert.deepEqual(await renewWork(provider, [two, three, foreign, four], 500), ['done', 'gone', 'lockLost', 'done']);
    await clock.advance(500);
    assert.deepEqual(await renewWork(provider, [two, three], 500), ['lockLost', 'gone']);
  },
  'a renewal after the ack is gone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await ackWork(provider, work);
    assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['gone']);
  },
  'an abandoned work item can be fetched at once': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    assert.equal(await abandonWork(provider, await fetchOneWork(provider)), 'done');
    assert.equal((await fetchOneWork(provider)).attempt, 2);
  },
  'T58 a delayed abandon hides the work item until the delay is over': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two, three] = await fetchWork(provider);
    assert.ok(two !== undefined && three !== undefined);
    await abandonWork(provider, two, { delayMs: 1_000 });
    await abandonWork(provider, three);
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
    await clock.advance(999);
    assert.deepEqual(await fetchWork(provider), []);
    await clock.advance(1);
    assert.deepEqual(eventIds(await fetchWork(provider)), [2]);
  },
  'a work token is worth nothing after a delayed abandon': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await abandonWork(provider, work, { delayMs: 5_000 });
    assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['lockLost']);
    assert.equal(await abandonWork(provider, work), 'lockLost');
    assert.equal(await ackWork(provider, work), 'lockLost');
    assert.deepEqual(await fetchWork(provider), []);
  },
  'an abandon of work that does not count takes the attempt back': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    for (let round = 0; round < 3; round += 1) {
      const work = await fetchOneWork(provider);
      assert.equal(work.attempt, 1);
      await abandonWork(provider, work, { countAttempt: false });
    }
  },
  'a bad abandon of work does not fail its neighbours': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two, three] = await fetchWork(provider, { lockMs: 1_000 });
    assert.ok(two !== undefined && three !== undefined);
    const how = { delayMs: 0, countAttempt: true };
    const batch = [
      { ...two, ...how },
      { ...two, ...how },
      { ...three, ...how, eventId: 9 },
      { ...three, ...how },
    ];
    assert.deepEqual(await provider.abandonWorkItems(batch), ['done', 'lockLost', 'gone', 'done']);
    const again = await fetchWork(provider, { lockMs: 1_000 });
    assert.equal(again.length, 2);
    await clock.advance(1_000);
    assert.deepEqual(await provider.abandonWorkItems(again.map((item) => ({ ...item, ...how, delayMs: 9_000 }))), ['lockLost', 'lockLost']);
    assert.equal((await fetchWork(provider)).length, 2);
  },
  'work items whose locks expired come after those that are ready longer': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await fetchOneWork(provider, { lockMs: 1_000 });
    await clock.advance(500);
    await run(provider, 'b', { workItems: [activity(3)] });
    await clock.advance(500);
    assert.deepEqual(eventIds(await fetchWork(provider)), [3, 2]);
  },
});

const cancellation = cases('cancellation of activities', {
  'T61 a cancelled activity that is queued never runs': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3), activity(4)] });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2, 4] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
    assert.deepEqual(await queued(provider), [0, 1]);
  },
  'T61 the result of a cancelled activity that runs is dropped': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: [2] });
    assert.equal(await ackWork(provider, work), 'gone');
    assert.equal(await abandonWork(provider, work), 'gone');
    await fetchNone(provider);
    assert.deepEqual(await fetchWork(provider), []);
  },
  'T28 an activity that is scheduled and cancelled in one ack is absent': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)], cancelledActivities: [2] });
    assert.deepEqual(eventIds(await fetchWork(provider)), [3]);
  },
  'cancelling activities that do not exist is no error': async ({ provider }) => {
    await run(provider, 'a', { cancelledActivities: [2, 3, 99] });
  },
  'cancelling an activity leaves the same event of another instance alone': async ({ provider }) => {
    await run(provider, 'b', { workItems: [activity(2)] });
    await run(provider, 'a', { workItems: [activity(2)], cancelledActivities: [2] });
    assert.deepEqual(instanceIds(await fetchWork(provider)), ['b']);
  },
});

const continueAsNew = cases('continue-as-new', {
  'the next execution starts with its own name, version and message': async ({ provider }) => {
    await run(provider, 'a', { next: { name: 'order 2', version: '2.0.0', payload: 'again' } });
    const record = await read(provider, 'a');
    assert.deepEqual(
      [record.name, record.version, record.status, record.executionId, record.lastEventId],
      ['order 2', '2.0.0', 'Running', 2, 0],
    );
    const item = await fetchOne(provider);
    assert.deepEqual([item.name, item.version, item.executionId, item.lastEventId], ['order 2', '2.0.0', 2, 0]);
    assert.deepEqual([payloads(item), attempts(item)], [['again'], [1]]);
  },
  'the next execution may leave its version open': async ({ provider }) => {
    await run(provider, 'a', { next: { name: 'order', version: null, payload: 'again' } });
    assert.equal((await fetchOne(provider)).version, null);
  },
  'executions have histories of their own': async ({ provider }) => {
    await run(provider, 'a', { page: page(3), next: nextExecution });
    await commit(provider, await fetchOne(provider), { page: page(2), next: nextExecution });
    await commit(provider, await fetchOne(provider), { page: page(1) });
    assert.deepEqual(await history(provider, 'a', 1), [{ firstEventId: 1, ...page(3) }]);
    assert.deepEqual(await history(provider, 'a', 2), [{ firstEventId: 1, ...page(2) }]);
    assert.deepEqual(await history(provider, 'a', 3), [{ firstEventId: 1, ...page(1) }]);
    assert.equal((await read(provider, 'a')).lastEventId, 1);
  },
  'the start of the next execution comes before messages that are left over': async ({ provider, clock }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    const item = await fetchOne(provider);
    await clock.advance(5);
    await enqueue(provider, 'a', 'm3');
    const consumedMessageIds = item.messages.slice(0, 1).map(({ messageId }) => messageId);
    await clock.advance(5);
    await commit(provider, item, { consumedMessageIds, next: nextExecution });
    const next = await fetchOne(provider);
    assert.deepEqual(
      [payloads(next), attempts(next)],
      [
        ['start next', 'm2', 'm3'],
        [1, 1, 1],
      ],
    );
  },
  'continue-as-new drops all timers': async ({ provider, clock }) => {
    const nowMs = clock.nowMs();
    await run(provider, 'a', { timers: [timer(2, nowMs + 100), timer(3, nowMs + 5_000)] });
    await clock.advance(100);
    await commit(provider, await fetchOne(provider), { consumedMessageIds: [], timers: [timer(4, nowMs + 200)], next: nextExecution });
    const next = await fetchOne(provider);
    assert.deepEqual(payloads(next), ['start next']);
    await commit(provider, next);
    await clock.advance(10_000);
    await fetchNone(provider);
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'timers of the next execution are not mixed up with those of the last': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 100)], next: nextExecution });
    await commit(provider, await fetchOne(provider), { timers: [timer(2, clock.nowMs() + 300)] });
    await clock.advance(299);
    await fetchNone(provider);
    await clock.advance(1);
    assert.deepEqual(payloads(await fetchOne(provider)), ['timer 2']);
  },
  'messages to itself follow the start of the next execution': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution, messages: [{ instanceId: 'a', payload: 'self' }] });
    assert.deepEqual(payloads(await fetchOne(provider)), ['start next', 'self']);
  },
  'a long chain of executions keeps counting': async ({ provider }) => {
    await start(provider, 'a');
    for (let executionId = 1; executionId <= 50; executionId += 1) {
      const item = await fetchOne(provider);
      assert.equal(item.executionId, executionId);
      await commit(provider, item, { page: page(2), next: nextExecution });
    }
    assert.equal((await read(provider, 'a')).executionId, 51);
    assert.equal((await history(provider, 'a', 25)).length, 1);
  },
});

const histories = cases('history', {
  'pages come back as they were written, in order': async ({ provider }) => {
    await run(provider, 'a', { page: { lastEventId: 3, events: 'not [json' } });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 4, events: '' } });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 12, events: 'x' } });
    assert.deepEqual(await history(provider, 'a'), [
      { firstEventId: 1, lastEventId: 3, events: 'not [json' },
      { firstEventId: 4, lastEventId: 4, events: '' },
      { firstEventId: 5, lastEventId: 12, events: 'x' },
    ]);
  },
  'a read after an event gives only the pages behind it': async ({ provider }) => {
    await start(provider, 'a');
    for (const lastEventId of [3, 4, 12]) {
      await commit(provider, await fetchOne(provider), { page: page(lastEventId), messages: [{ instanceId: 'a', payload: 'm' }] });
    }
    const firstAfter = async (eventId: number): Promise<readonly number[]> =>
      (await history(provider, 'a', 1, eventId)).map(({ firstEventId }) => firstEventId);
    assert.deepEqual(await firstAfter(0), [1, 4, 5]);
    assert.deepEqual(await firstAfter(3), [4, 5]);
    assert.deepEqual(await firstAfter(4), [5]);
    assert.deepEqual(await firstAfter(12), []);
  },
  'many pages come back in the order of their numbers': async ({ provider }) => {
    await start(provider, 'a');
    for (let eventId = 1; eventId <= 120; eventId += 1) {
      await commit(provider, await fetchOne(provider), { page: page(eventId), messages: [{ instanceId: 'a', payload: 'm' }] });
    }
    const pages = await history(provider, 'a');
    assert.deepEqual(
      pages.map(({ lastEventId }) => lastEventId),
      Array.from({ length: 120 }, (_, index) => index + 1),
    );
  },
  'a history can be read while its instance is locked and after its end': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    assert.equal((await history(provider, 'a')).length, 1);
    await commit(provider, item, { page: page(3), status: 'Completed' });
    assert.equal((await history(provider, 'a')).length, 2);
  },
  'histories that do not exist are empty': async ({ provider }) => {
    await run(provider, 'a');
    assert.deepEqual(await history(provider, 'unknown'), []);
    assert.deepEqual(await history(provider, 'a', 2), []);
    await start(provider, 'b');
    assert.deepEqual(await history(provider, 'b'), []);
  },
  'a batch of history reads is answered in its order': async ({ provider }) => {
    await run(provider, 'a', { page: page(2) });
    await run(provider, 'b', { page: page(3) });
    const lists = await provider.readHistory(
      ['b', 'unknown', 'a', 'b'].map((instanceId) => ({ instanceId, executionId: 1, afterEventId: 0 })),
    );
    assert.deepEqual(
      lists.map((pages) => pages.map(({ lastEventId }) => lastEventId)),
      [[3], [], [2], [3]],
    );
  },
});

const endedStatuses: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated'];
const restingStatuses: readonly InstanceStatus[] = ['Suspended', 'Quarantined'];

const statuses: readonly ProviderCase[] = [
  ...endedStatuses.flatMap((status) =>
    cases('status', {
      [`an instance that is ${status} has no messages, timers and work items left`]: async ({ provider, clock }) => {
        await run(provider, 'a', { workItems: [activity(2)], timers: [timer(3, clock.nowMs() + 100)] });
        await enqueue(provider, 'a', 'm1', 'm2');
        const item = await fetchOne(provider);
        await enqueue(provider, 'a', 'late');
        await commit(provider, item, {
          status,
          output: '"out"',
          consumedMessageIds: [],
          workItems: [activity(4)],
          timers: [timer(5, clock.nowMs() + 100)],
          messages: [{ instanceId: 'a', payload: 'self' }],
        });
        assert.deepEqual(await queued(provider), [0, 0]);
        assert.deepEqual(await enqueue(provider, 'a', 'after'), ['ended']);
        await clock.advance(LOCK_MS);
        await fetchNone(provider);
        assert.deepEqual(await fetchWork(provider), []);
        const record = await read(provider, 'a');
        assert.deepEqual([record.status, record.output], [status, '"out"']);
      },
    }),
  ),
  ...restingStatuses.flatMap((status) =>
    cases('status', {
      [`an instance that is ${status} keeps its messages and is not handed out`]: async ({ provider, clock }) => {
        await start(provider, 'a');
        await enqueue(provider, 'a', 'm1');
        const timerAt = clock.nowMs() + 100;
        await commit(provider, await fetchOne(provider), {
          status,
          consumedMessageIds: [],
          timers: [timer(2, timerAt)],
          messages: [{ instanceId: 'a', payload: 'self' }],
        });
        assert.deepEqual(await enqueue(provider, 'a', 'm2'), ['enqueued']);
        await fetchNone(provider);
        await clock.advance(LOCK_MS);
        await fetchNone(provider);
        assert.deepEqual(await queued(provider), [5, 0]);
        assert.equal((await read(provider, 'a')).status, status);
      },
      [`an instance that is ${status} keeps its work items and gets their completions`]: async ({ provider }) => {
        await run(provider, 'a', { status, workItems: [activity(2)] });
        assert.equal(await ackWork(provider, await fetchOneWork(provider)), 'done');
        await fetchNone(provider);
        assert.deepEqual(await queued(provider), [1, 0]);
      },
      [`an instance that is ${status} does not block others`]: async ({ provider, clock }) => {
        await run(provider, 'a', { status, consumedMessageIds: [] });
        await clock.advance(1);
        await start(provider, 'b');
        assert.equal((await fetchOne(provider, { maxItems: 1 })).instanceId, 'b');
      },
      [`a start of the id of an instance that is ${status} is exists`]: async ({ provider }) => {
        await run(provider, 'a', { status });
        assert.deepEqual(await provider.startInstances([newInstance('a')]), ['exists']);
        assert.equal((await read(provider, 'a')).status, status);
      },
    }),
  ),
  ...cases('status', {
    'T61 work of an ended instance is gone for who runs it': async ({ provider }) => {
      await run(provider, 'a', { workItems: [activity(2)], messages: [{ instanceId: 'a', payload: 'again' }] });
      const item = await fetchOne(provider);
      const work = await fetchOneWork(provider);
      await commit(provider, item, { status: 'Completed' });
      assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['gone']);
      assert.equal(await ackWork(provider, work), 'gone');
      assert.deepEqual(await queued(provider), [0, 0]);
    },
    'the lock of an ended instance is released': async ({ provider }) => {
      await start(provider, 'a');
      const item = await fetchOne(provider);
      await commit(provider, item, { status: 'Completed' });
      assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
      assert.equal(await ack(provider, item), 'lockLost');
    },
    'an empty output is not null': async ({ provider }) => {
      await run(provider, 'a', { status: 'Completed', output: '' });
      await run(provider, 'b', { status: 'Completed', output: null });
      assert.deepEqual([(await read(provider, 'a')).output, (await read(provider, 'b')).output], ['', null]);
    },
  }),
];

const batches = cases('batches', {
  'empty batches give empty answers': async ({ provider }) => {
    await start(provider, 'a');
    const answers = await Promise.all([
      provider.startInstances([]),
      provider.enqueueMessages([]),
      provider.ackOrchestrationItems([]),
      provider.abandonOrchestrationItems([]),
      provider.renewOrchestrationLocks([], LOCK_MS),
      provider.readHistory([]),
      provider.ackWorkItems([]),
      provider.abandonWorkItems([]),
      provider.renewWorkLocks([], LOCK_MS),
      provider.readInstances([]),
    ]);
    assert.deepEqual(
      answers,
      answers.map(() => []),
    );
    await fetchOne(provider);
  },
  'T35 batches of 5,000 pass through every method': async ({ provider }) => {
    const all = Array.from({ length: 5_000 }, (_, index) => `i${String(index).padStart(4, '0')}`);
    const every = (outcome: string): string[] => all.map(() => outcome);
    assert.deepEqual(await provider.startInstances(all.map((instanceId) => newInstance(instanceId))), every('started'));
    assert.deepEqual(await provider.startInstances(all.map((instanceId) => newInstance(instanceId))), every('exists'));
    assert.deepEqual(await provider.enqueueMessages(all.map((instanceId) => ({ instanceId, payload: 'm' }))), every('enqueued'));
    const items = await fetchItems(provider, { maxItems: 5_000 });
    assert.deepEqual(instanceIds(items), all);
    assert.deepEqual(await provider.renewOrchestrationLocks(items, LOCK_MS), every('done'));
    const acks = items.map((item) => ackFor(item, { page: page(2), workItems: [activity(2)] }));
    assert.deepEqual(await provider.ackOrchestrationItems(acks), every('committed'));
    const work = await fetchWork(provider, { maxItems: 5_000 });
    assert.deepEqual(instanceIds(work), all);
    assert.deepEqual(await renewWork(provider, work, LOCK_MS), every('done'));
    assert.deepEqual(await provider.ackWorkItems(work.map((item) => workAckFor(item))), every('done'));
    assert.equal((await provider.readInstances(all)).filter((record) => record?.lastEventId === 2).length, 5_000);
    const requests = all.map((instanceId) => ({ instanceId, executionId: 1, afterEventId: 0 }));
    assert.equal((await provider.readHistory(requests)).flat().length, 5_000);
    assert.deepEqual(await queued(provider), [5_000, 0]);
  },
  'one turn may ask for 5,000 things of each kind': async ({ provider, clock }) => {
    const numbers = Array.from({ length: 5_000 }, (_, index) => index + 2);
    await run(provider, 'b');
    await run(provider, 'a', {
      page: page(20_000),
      workItems: numbers.map((eventId) => activity(eventId)),
      timers: numbers.map((eventId) => timer(eventId, clock.nowMs() + 1_000)),
      messages: numbers.map((number) => ({ instanceId: 'b', payload: `m${number}` })),
      starts: numbers.map((number) => ({ ...newInstance(`child ${number}`), conflictPayload: null })),
    });
    assert.deepEqual(await queued(provider), [15_000, 5_000]);
    assert.equal((await fetchItems(provider, { maxItems: 10_000 })).length, 5_001);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { cancelledActivities: numbers, cancelledTimers: numbers });
    assert.deepEqual(await queued(provider), [10_000, 0]);
  },
  '5,000 messages of one instance are taken in order, turn by turn': async ({ provider }) => {
    await run(provider, 'a');
    const all = Array.from({ length: 5_000 }, (_, index) => `m${index}`);
    await enqueue(provider, 'a', ...all);
    const seen: string[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const item = await fetchOne(provider);
      seen.push(...payloads(item));
      await commit(provider, item);
    }
    assert.deepEqual(seen, all);
    await fetchNone(provider);
  },
});

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
    await provider.close();
    assert.equal((await suspended.result)?.status, 'Suspended');
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

const hostileStrings: readonly string[] = [
  `'; DROP TABLE instances; --`,
  `"double" \`back\` \\slash\\ 'single'`,
  '%_*?$1:name@x{}[]',
  '__proto__',
  'constructor',
  'line\nbreak\r\ntab\t',
  ' leading and trailing ',
  'Zoë e\u0301 é 日本語 \u202Eright to left\u202C \uFEFF',
  '😀👩‍👩‍👧‍👦',
  'null',
  '0',
  'x'.repeat(MAX_INSTANCE_ID_LENGTH),
];

const strings = cases('strings', {
  'hostile instance ids go through every call unchanged': async ({ provider }) => {
    for (const instanceId of hostileStrings) {
      await start(provider, instanceId);
      assert.deepEqual(await enqueue(provider, instanceId, 'm'), ['enqueued']);
      const item = await fetchOne(provider);
      assert.equal(item.instanceId, instanceId);
      await commit(provider, item, { page: page(1), workItems: [activity(1)] });
      const work = await fetchOneWork(provider);
      assert.equal(work.instanceId, instanceId);
      assert.equal(await ackWork(provider, work), 'done');
      assert.equal((await read(provider, instanceId)).instanceId, instanceId);
      assert.equal((await history(provider, instanceId)).length, 1);
      await commit(provider, await fetchOne(provider), { status: 'Completed' });
    }
    const listed = await provider.listInstances({ afterInstanceId: null, limit: 1_000 });
    assert.deepEqual(new Set(instanceIds(listed)), new Set(hostileStrings));
  },
  'instance ids that only look alike are different': async ({ provider }) => {
    const alike = ['a', 'A', 'a ', ' a', 'á', 'a\u0301', 'а', '1', '01', '1.0'];
    await start(provider, ...alike);
    for (const instanceId of alike) await enqueue(provider, instanceId, `for ${instanceId}`);
    const items = await fetchItems(provider);
    assert.deepEqual(new Set(instanceIds(items)), new Set(alike));
    for (const item of items) assert.deepEqual(payloads(item), [`start ${item.instanceId}`, `for ${item.instanceId}`]);
  },
  'hostile texts come back unchanged from every place': async ({ provider }) => {
    const texts = [...hostileStrings, '', '"\\u0000"', '{"__proto__":{"x":"\\ud800"}}', '\u2028\u2029', '🙂'.repeat(1_000)];
    for (const [index, text] of texts.entries()) {
      const instanceId = `i${index}`;
      const name = `name ${text}`;
      await provider.startInstances([newInstance(instanceId, { name, payload: text, parent: link(name), version: text })]);
      await enqueue(provider, instanceId, text);
      const item = await fetchOne(provider);
      assert.deepEqual([item.name, item.version, ...payloads(item)], [name, text, text, text]);
      await commit(provider, item, {
        page: { lastEventId: 1, events: text },
        output: text,
        customStatus: text,
        workItems: [activity(1, { name, payload: text })],
        timers: [{ eventId: 2, visibleAtMs: 0, payload: text }],
      });
      const work = await fetchOneWork(provider);
      assert.deepEqual([work.name, work.payload], [name, text]);
      await ackWork(provider, work, text);
      const record = await read(provider, instanceId);
      assert.deepEqual(
        [record.name, record.version, record.parent?.instanceId, record.output, record.customStatus],
        [name, text, name, text, text],
      );
      assert.equal(only(await history(provider, instanceId)).events, text);
      const last = await fetchOne(provider);
      assert.deepEqual(payloads(last), [text, text]);
      await commit(provider, last);
    }
  },
  'payloads of more than a mebibyte come back unchanged': async ({ provider }) => {
    await provider.startInstances([newInstance('a', { payload: BIG })]);
    await enqueue(provider, 'a', `${BIG}1`);
    const item = await fetchOne(provider);
    assert.ok(payloads(item)[0] === BIG && payloads(item)[1] === `${BIG}1`);
    await commit(provider, item, {
      page: { lastEventId: 1, events: `${BIG}2` },
      output: `${BIG}3`,
      customStatus: `${BIG}4`,
      workItems: [activity(1, { payload: `${BIG}5` })],
    });
    const work = await fetchOneWork(provider);
    assert.ok(work.payload === `${BIG}5`);
    await ackWork(provider, work, `${BIG}6`);
    const record = await read(provider, 'a');
    assert.ok(record.output === `${BIG}3` && record.customStatus === `${BIG}4`);
    assert.ok(only(await history(provider, 'a')).events === `${BIG}2`);
    assert.ok(payloads(await fetchOne(provider))[0] === `${BIG}6`);
  },
});

const listing = cases('listing', {
  'instances are listed in the order of their ids': async ({ provider }) => {
    await start(provider, 'b', 'a10', 'B', 'a2', 'a', '_');
    const listed = await provider.listInstances({ afterInstanceId: null, limit: 10 });
    assert.deepEqual(instanceIds(listed), ['B', '_', 'a', 'a10', 'a2', 'b']);
  },
  'ids are ordered by code points, not by UTF-16 units': async ({ provider }) => {
    await start(provider, '\u{1F600}', '\u{FF5E}', 'z', 'za');
    assert.deepEqual(instanceIds(await provider.listInstances({ afterInstanceId: null, limit: 10 })), ['z', 'za', '\u{FF5E}', '\u{1F600}']);
    assert.deepEqual(instanceIds(await provider.listInstances({ afterInstanceId: '\u{FF5E}', limit: 10 })), ['\u{1F600}']);
  },
  'pages follow each other without gaps or repetitions': async ({ provider }) => {
    const all = Array.from({ length: 25 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await start(provider, ...all.toReversed());
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let cursor: string | null = null, more = true; more; cursor = seen.at(-1) ?? null) {
      const listed: readonly InstanceRecord[] = await provider.listInstances({ afterInstanceId: cursor, limit: 10 });
      seen.push(...instanceIds(listed));
      sizes.push(listed.length);
      more = listed.length === 10;
    }
    assert.deepEqual([seen, sizes], [all, [10, 10, 5]]);
  },
  'a cursor need not be the id of an instance': async ({ provider }) => {
    await start(provider, 'a', 'c');
    assert.deepEqual(instanceIds(await provider.listInstances({ afterInstanceId: 'b', limit: 10 })), ['c']);
    assert.deepEqual(await provider.listInstances({ afterInstanceId: 'z', limit: 10 }), []);
  },
  'a status filters before the page is cut': async ({ provider }) => {
    for (const instanceId of ['a', 'b', 'c', 'd']) {
      await run(provider, instanceId, { status: instanceId === 'b' || instanceId === 'd' ? 'Failed' : 'Completed' });
    }
    const first = await provider.listInstances({ afterInstanceId: null, limit: 1, status: 'Failed' });
    const second = await provider.listInstances({ afterInstanceId: 'b', limit: 5, status: 'Failed' });
    const none = await provider.listInstances({ afterInstanceId: null, limit: 5, status: 'Suspended' });
    assert.deepEqual([first, second, none].map(instanceIds), [['b'], ['d'], []]);
  },
  'a listed record is the record that a read gives': async ({ provider }) => {
    await run(provider, 'a', { customStatus: '1', next: nextExecution });
    const listed = await provider.listInstances({ afterInstanceId: null, limit: 1_000 });
    assert.deepEqual(listed, [await read(provider, 'a')]);
  },
  'an empty store lists nothing': async ({ provider }) => {
    assert.deepEqual(await provider.listInstances({ afterInstanceId: null, limit: 1 }), []);
  },
  'a limit outside its range is an ArgumentError that names it': async ({ provider }) => {
    for (const limit of [0, -1, 1_001, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(provider.listInstances({ afterInstanceId: null, limit }), (error: unknown) => {
        assert.ok(error instanceof ArgumentError);
        assert.match(error.message, /limit/);
        assert.match(error.message, /1000/);
        assert.ok(error.message.includes(String(limit)), error.message);
        return true;
      });
    }
  },
});

const depths = cases('queue depths', {
  'messages count until an ack removes them': async ({ provider }) => {
    assert.deepEqual(await queued(provider), [0, 0]);
    await start(provider, 'a', 'b');
    await enqueue(provider, 'a', 'm1', 'm2');
    assert.deepEqual(await queued(provider), [4, 0]);
    const items = await fetchItems(provider);
    assert.deepEqual(await queued(provider), [4, 0]);
    await provider.ackOrchestrationItems(items.map((item) => ackFor(item)));
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'timers that are not yet due count': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000), timer(3, clock.nowMs() + 86_400_000)] });
    assert.deepEqual(await queued(provider), [2, 0]);
  },
  'work items count while they run': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    assert.deepEqual(await queued(provider), [0, 2]);
    const [work] = await fetchWork(provider);
    assert.ok(work !== undefined);
    assert.deepEqual(await queued(provider), [0, 2]);
    await ackWork(provider, work, null);
    assert.deepEqual(await queued(provider), [0, 1]);
  },
});

const closing = cases('closing', {
  'after closing every method rejects with PROVIDER_CLOSED': async ({ provider }) => {
    await start(provider, 'a');
    await provider.close();
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      startInstances: () => provider.startInstances([newInstance('b')]),
      enqueueMessages: () => provider.enqueueMessages([]),
      fetchOrchestrationItems: () => provider.fetchOrchestrationItems(fetchParams()),
      ackOrchestrationItems: () => provider.ackOrchestrationItems([]),
      abandonOrchestrationItems: () => provider.abandonOrchestrationItems([]),
      renewOrchestrationLocks: () => provider.renewOrchestrationLocks([], LOCK_MS),
      readHistory: () => provider.readHistory([]),
      fetchWorkItems: () => provider.fetchWorkItems(fetchParams({ waitMs: 1_000 })),
      ackWorkItems: () => provider.ackWorkItems([]),
      abandonWorkItems: () => provider.abandonWorkItems([]),
      renewWorkLocks: () => provider.renewWorkLocks([], LOCK_MS),
      renewSessions: () => provider.renewSessions({ owner: 'n1', leaseMs: LOCK_MS, idleMs: LOCK_MS }),
      receiveSessionMessages: () => provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 1_000 }),
      publish: () => provider.publish([]),
      controlInstances: () => provider.controlInstances([]),
      readValues: () => provider.readValues('a', null),
      readWorkItems: () => provider.readWorkItems('a'),
      reportRuntime: () => provider.reportRuntime({ runtimeId: 'n1', payload: '', ttlMs: 1_000 }),
      listRuntimes: () => provider.listRuntimes(),
      readInstances: () => provider.readInstances(['a']),
      listInstances: () => provider.listInstances({ afterInstanceId: null, limit: 10 }),
      waitForInstance: () => provider.waitForInstance({ instanceId: 'a', condition: ended, waitMs: 1_000 }),
      readQueueDepths: () => provider.readQueueDepths(),
    };
    for (const [operation, call] of Object.entries(calls)) {
      await assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof ProviderError, operation);
        assert.deepEqual([error.code, error.operation, error.retryable], ['PROVIDER_CLOSED', operation, false]);
        return true;
      });
    }
  },
  'closing twice is no error': async ({ provider }) => {
    await Promise.all([provider.close(), provider.close()]);
    await provider.close();
  },
  'closing finishes what was accepted': async ({ provider }) => {
    const started = provider.startInstances([newInstance('a'), newInstance('a')]);
    const closed = provider.close();
    assert.deepEqual(await started, ['started', 'exists']);
    await closed;
  },
  'closing ends waiting fetches with nothing': async (ctx) => {
    const [wait, workWait] = [await poll(ctx), await pollWork(ctx)];
    await ctx.provider.close();
    assert.deepEqual((await wait.result).items, []);
    assert.deepEqual((await workWait.result).items, []);
  },
  'closing ends waits for instances with the instance as it is': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, ended);
    await ctx.provider.close();
    assert.equal((await wait.result)?.status, 'Pending');
  },
});

/** Every behaviour of the contract, in the order of its parts. */
export const providerCases: readonly ProviderCase[] = [
  ...creation,
  ...messages,
  ...locks,
  ...lockExpiry,
  ...renewal,
  ...abandoning,
  ...counting,
  ...readyOrder,
  ...atomicAck,
  ...startsInAcks,
  ...customStatus,
  ...timers,
  ...workItems,
  ...workLocks,
  ...cancellation,
  ...continueAsNew,
  ...histories,
  ...statuses,
  ...batches,
  ...longPolls,
  ...waits,
  ...strings,
  ...listing,
  ...depths,
  ...closing,
  ...startCases,
  ...capabilityCases,
  ...routingCases,
  ...sessionCases,
  ...valueCases,
  ...topicCases,
  ...controlCases,
];
