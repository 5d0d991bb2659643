// Contract cases: the orchestrator queue: messages and timers. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { MAX_MESSAGES_PER_TURN } from '../types/limits.ts';
import {
  abandon,
  attempts,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  payloads,
  queued,
  run,
  start,
  takeNowAndLater,
  timer,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

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
  'T54 an ack removes its timers also when the clock was set back during the turn': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000), timer(3, clock.nowMs() + 1_000)] });
    await clock.advance(1_000);
    const item = await fetchOne(provider);
    assert.deepEqual(payloads(item), ['timer 2', 'timer 3']);
    clock.jump(-5_000);
    await commit(provider, item);
    assert.deepEqual(await queued(provider), [0, 0]);
    await run(provider, 'b', { timers: [timer(2, clock.nowMs() + 1_000)] });
    await clock.advance(1_000);
    const single = await fetchOne(provider);
    clock.jump(-5_000);
    await commit(provider, single);
    assert.deepEqual(await queued(provider), [0, 0]);
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

/** See the head of this file. */
export const messageCases: readonly ConformanceCase[] = [...messages, ...timers];
