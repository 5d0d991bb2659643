// Contract cases: acks of turns: atomicity, custom status, executions, history. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { OrchestrationAck, OrchestrationAckOutcome } from '../provider/provider.ts';
import {
  LOCK_MS,
  ack,
  ackFor,
  activity,
  attempts,
  cases,
  closing,
  commit,
  effects,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  history,
  link,
  newInstance,
  nextExecution,
  page,
  payloads,
  queued,
  read,
  run,
  start,
  startOne,
  timer,
  listById,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

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
  'a refused ack leaves no trace of anything that it asks for': async ({ provider, clock }) => {
    const subscription = { pattern: 'news', subscribed: true };
    await run(provider, 'other', { effects: effects({ subscriptions: [subscription] }) });
    const values = [{ key: 'k', value: '"v"' }];
    await run(provider, 'a', { workItems: [activity(2)], timers: [timer(3, clock.nowMs() + 600_000)], effects: effects({ values }) });
    await startOne(provider, 'child', { parent: link('a'), onParentClose: 'terminate', startAtMs: clock.nowMs() + 600_000 });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    const everything: Partial<OrchestrationAck> = {
      version: '9.9.9',
      page: page(9),
      output: '"out"',
      customStatus: '"s"',
      workItems: [activity(4)],
      timers: [timer(5, clock.nowMs())],
      messages: [{ instanceId: 'other', payload: 'hello' }],
      starts: [
        { ...newInstance('new'), conflictPayload: null },
        { ...newInstance('other', { policy: 'terminateExisting' }), conflictPayload: 'taken' },
      ],
      cancelledActivities: [2],
      cancelledTimers: [3],
      effects: effects({
        values: [
          { key: 'k', value: null },
          { key: 'l', value: '1' },
        ],
        subscriptions: [{ ...subscription, pattern: 'more' }],
        publications: [{ topic: 'news', payload: 'extra' }],
        sessionMessages: [{ sessionId: 's', payload: 'note' }],
        terminations: [{ instanceId: 'child', parent: link('a'), output: '"t"', cancelPayload: 'cancel' }],
      }),
      closeChildren: closing,
    };
    const look = async (): Promise<readonly unknown[]> => [
      await listById(provider, { limit: 10 }),
      await history(provider, 'a'),
      await provider.readValues('a', null),
      await provider.readWorkItems('a'),
      await queued(provider),
      await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 }),
    ];
    const before = await look();
    const refusals: readonly (readonly [OrchestrationAckOutcome, Partial<OrchestrationAck>])[] = [
      ['lockLost', { lockToken: 'foreign' }],
      ['conflict', { baseEventId: 1 }],
      ['conflict', { executionId: 2 }],
      ['conflict', { baseEventId: 1, status: 'Completed' }],
      ['conflict', { executionId: 2, next: nextExecution }],
    ];
    for (const [outcome, changes] of refusals) assert.equal(await ack(provider, item, { ...everything, ...changes }), outcome);
    await clock.advance(LOCK_MS);
    assert.equal(await ack(provider, item, { ...everything, status: 'Completed' }), 'lockLost');
    assert.deepEqual(await look(), before);
    assert.deepEqual(await provider.publish([{ topic: 'more', payload: 'p' }]), [0]);
    const again = await fetchOne(provider);
    assert.deepEqual([again.instanceId, payloads(again), attempts(again)], ['a', ['m'], [2]]);
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
  'a read up to an event gives only the pages that begin with it or before it': async ({ provider }) => {
    await start(provider, 'a');
    for (const lastEventId of [3, 4, 12]) {
      await commit(provider, await fetchOne(provider), { page: page(lastEventId), messages: [{ instanceId: 'a', payload: 'm' }] });
    }
    const between = async (afterEventId: number, upToEventId: number, executionId = 1): Promise<readonly number[]> => {
      const [pages = []] = await provider.readHistory([{ instanceId: 'a', executionId, afterEventId, upToEventId }]);
      return pages.map(({ firstEventId }) => firstEventId);
    };
    assert.deepEqual(await between(0, 4), [1, 4]);
    assert.deepEqual(await between(0, 2), [1]);
    assert.deepEqual(await between(1, 3), []);
    assert.deepEqual(await between(3, 12), [4, 5]);
    assert.deepEqual(await between(4, 4), []);
    assert.deepEqual(await between(0, 0), []);
    const far = Number.MAX_SAFE_INTEGER;
    assert.deepEqual(await between(4, far), [5]);
    assert.deepEqual(await between(far, far), []);
    assert.deepEqual(await between(0, far, far), []);
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

/** See the head of this file. */
export const turnCases: readonly ConformanceCase[] = [...atomicAck, ...customStatus, ...continueAsNew, ...histories];
