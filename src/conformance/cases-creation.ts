// Contract cases: starts of instances, by clients and in acks. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import {
  abandon,
  attempts,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchParams,
  link,
  newInstance,
  nextExecution,
  only,
  page,
  payloads,
  queued,
  read,
  run,
  start,
  takeNowAndLater,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

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
      attributes: null,
      parent: link('parent', 7, 3),
      onParentClose: 'cancel',
      priority: 0,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      endedAtMs: null,
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

/** See the head of this file. */
export const creationCases: readonly ConformanceCase[] = [...creation, ...startsInAcks];
