// What the client asks of a store, and what it makes of the answers. The tests play the runtime themselves: they fetch and commit turns.
import { describe, expect, test } from 'vitest';
import { Client } from '../../src/client/client.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import type { Provider } from '../../src/provider/provider.ts';
import { openStore, STORES } from '../support/client-stores.ts';
import { rejection } from '../support/integration-stage.ts';
import {
  activity,
  commit,
  effects,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  link,
  newInstance,
  nextExecution,
  payloads,
  read,
  renewWork,
  routing,
} from '../../src/conformance/case-kit.ts';

/** A page of history with these events, from a first id on. */
function pageOf(firstEventId: number, ...bodies: readonly object[]): { readonly lastEventId: number; readonly events: string } {
  const events = bodies.map((body, index) => ({ id: firstEventId + index, atMs: 0, ...body }) as HistoryEvent);
  return { lastEventId: firstEventId + bodies.length - 1, events: JSON.stringify(events) };
}

const started = { kind: 'OrchestrationStarted', executionId: 1, name: 'order', version: '1.0.0', engine: 1 };
const raised = (key: string): object => ({ kind: 'EventRaised', name: 'paid', key });

/** Starts an instance and commits its first turn. */
async function runFirst(provider: Provider, instanceId: string, changes: Parameters<typeof commit>[2] = {}): Promise<void> {
  await provider.startInstances([newInstance(instanceId)]);
  await commit(provider, await fetchOne(provider), { page: pageOf(1, started), ...changes });
}

/** What JavaScript callers can pass. */
function wrong<Type>(value: unknown): Type {
  return value as Type;
}

describe.each(STORES)('a client of %s', (store) => {
  describe('starts', () => {
    test('with version, priority and time as asked', async () => {
      const { client, provider, clock } = await openStore(store);
      const startAt = new Date(clock.nowMs() + 60_000);
      await client.startOrchestration('soon', 'order', { a: 1 }, { version: '^1.2', priority: 7, startAfter: '30s' });
      await client.startOrchestration('later', 'order', undefined, { startAt });
      await fetchNone(provider);
      expect(await client.getState('soon')).toMatchObject({ version: '^1.2', priority: 7, status: 'Pending', parentInstanceId: null });
      await clock.advance(30_000);
      const soon = await fetchOne(provider);
      expect(soon).toMatchObject({ instanceId: 'soon', version: '^1.2' });
      expect(payloads(soon)).toEqual(['{"kind":"OrchestrationStarted","name":"order","version":"^1.2","input":{"a":1}}']);
      await commit(provider, soon);
      await clock.advance(30_000);
      expect(await fetchItems(provider)).toMatchObject([{ instanceId: 'later', version: null }]);
    });

    test('not under an id that is in use', async () => {
      const { client, provider } = await openStore(store);
      const handle = await client.startOrchestration('a', 'order');
      const error = await rejection(client.startOrchestration('a', 'other'));
      expect(error).toMatchObject({ name: 'InstanceError', code: 'INSTANCE_EXISTS', instanceId: 'a' });
      expect(error.message).toContain('useExisting');
      const existing = await client.startOrchestration('a', 'other', null, { onExisting: 'useExisting' });
      expect(existing.instanceId).toBe(handle.instanceId);
      expect(await existing.state()).toMatchObject({ name: 'order' });
      expect((await fetchOne(provider)).messages).toHaveLength(1);
    });

    test('in place of an instance that has ended', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      const refused = await rejection(client.startOrchestration('a', 'other', null, { onExisting: 'replaceTerminal' }));
      expect(refused.code).toBe('INSTANCE_EXISTS');
      expect(refused.message).toContain('terminateExisting');
      await client.raiseEvent('a', 'go');
      await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
      await client.startOrchestration('a', 'other', null, { onExisting: 'replaceTerminal' });
      expect(await client.getState('a')).toMatchObject({ name: 'other', status: 'Pending', result: undefined });
      expect(await client.readHistory('a')).toEqual([]);
    });

    test('in place of a living instance', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      await client.startOrchestration('a', 'other', null, { onExisting: 'terminateExisting' });
      expect(await client.getState('a')).toMatchObject({ name: 'other', status: 'Pending' });
    });

    test('many at once, with an outcome for each', async () => {
      const { client, provider, calls } = await openStore(store);
      await runFirst(provider, 'old', { status: 'Completed' });
      await client.startOrchestration('used', 'order');
      calls.length = 0;
      const results = await client.startOrchestrations([
        { instanceId: 'new', orchestration: 'order', input: 5, priority: 3 },
        { instanceId: 'used', orchestration: 'order', onExisting: 'useExisting' },
        { instanceId: 'old', orchestration: 'order', onExisting: 'replaceTerminal' },
      ]);
      expect(calls).toEqual(['startInstances']);
      expect(results.map(({ instanceId, outcome }) => [instanceId, outcome])).toEqual([
        ['new', 'started'],
        ['used', 'exists'],
        ['old', 'replaced'],
      ]);
      expect(await results[0]?.handle.state()).toMatchObject({ instanceId: 'new', priority: 3 });
      expect(await client.startOrchestrations([])).toEqual([]);
    });

    test.each([
      [{ onExisting: 'replace' }, 'onExisting'],
      [{ onExisting: 'toString' }, 'onExisting'],
      [{ priority: 10 }, 'priority'],
      [{ priority: 0.5 }, 'priority'],
      [{ startAfter: '5 minutes' }, 'startAfter'],
      [{ startAfter: -1 }, 'startAfter'],
      [{ startAt: new Date(Number.NaN) }, 'startAt'],
      [{ startAt: 5 }, 'startAt'],
      [{ version: '' }, 'version'],
    ])('nothing with the options %j', async (options, what) => {
      const { client, calls } = await openStore(store);
      const error = await rejection(client.startOrchestration('a', 'order', null, wrong(options)));
      expect(error).toMatchObject({ code: 'ARGUMENT_INVALID' });
      expect(error.message).toContain(what);
      const good = { instanceId: 'good', orchestration: 'order' };
      expect(await rejection(client.startOrchestrations([good, wrong({ ...good, ...options })]))).toMatchObject({
        code: 'ARGUMENT_INVALID',
      });
      expect(await rejection(client.startOrchestrations(wrong('good')))).toMatchObject({ code: 'ARGUMENT_INVALID' });
      expect(calls).toEqual([]);
    });
  });

  describe('raises events', () => {
    test('once for each key, as often as it is asked for', async () => {
      const { client, provider } = await openStore(store);
      await client.startOrchestration('a', 'order');
      await client.startOrchestration('b', 'order');
      expect(await client.raiseEvent('a', 'paid', { by: 'card' }, { key: 'p-1' })).toEqual({ delivered: true, key: 'p-1' });
      expect(await client.raiseEvent('a', 'paid', 'again', { key: 'p-1' })).toEqual({ delivered: true, key: 'p-1' });
      expect(await client.raiseEvent('b', 'paid', undefined, { key: 'p-1' })).toEqual({ delivered: true, key: 'p-1' });
      const messages = new Map((await fetchItems(provider)).map((item) => [item.instanceId, payloads(item).slice(1)]));
      expect(messages.get('a')).toEqual(['{"kind":"EventRaised","name":"paid","data":{"by":"card"},"key":"p-1"}']);
      expect(messages.get('b')).toEqual(['{"kind":"EventRaised","name":"paid","key":"p-1"}']);
    });

    test('each by itself without a key', async () => {
      const { client, provider } = await openStore(store);
      await client.startOrchestration('a', 'order');
      expect(await client.raiseEvent('a', 'paid', 1)).toEqual({ delivered: true, key: undefined });
      await client.raiseEvent('a', 'paid', 1);
      const event = '{"kind":"EventRaised","name":"paid","data":1}';
      expect(payloads(await fetchOne(provider)).slice(1)).toEqual([event, event]);
    });

    test('in a batch, with an outcome for each', async () => {
      const { client, provider, calls } = await openStore(store);
      await runFirst(provider, 'ended', { status: 'Completed' });
      await client.startOrchestration('a', 'order');
      calls.length = 0;
      const results = await client.raiseEvents([
        { instanceId: 'a', name: 'paid', key: 'k' },
        { instanceId: 'a', name: 'paid', key: 'k' },
        { instanceId: 'ended', name: 'paid' },
        { instanceId: 'nobody', name: 'paid' },
      ]);
      expect(calls).toEqual(['enqueueMessages']);
      expect(results).toEqual([
        { instanceId: 'a', key: 'k', outcome: 'enqueued', delivered: true },
        { instanceId: 'a', key: 'k', outcome: 'duplicate', delivered: true },
        { instanceId: 'ended', key: undefined, outcome: 'ended', delivered: false },
        { instanceId: 'nobody', key: undefined, outcome: 'notFound', delivered: false },
      ]);
      expect(await client.raiseEvents([])).toEqual([]);
    });

    test('not for an unknown instance', async () => {
      const { client } = await openStore(store);
      expect(await rejection(client.raiseEvent('nobody', 'paid'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND', instanceId: 'nobody' });
    });

    test.each(['', 'x'.repeat(257), 7, null])('not with the key %j', async (key) => {
      const { client, calls } = await openStore(store);
      for (const call of [
        client.raiseEvent('a', 'paid', null, wrong({ key })),
        client.publish('paid', null, wrong({ key })),
        client.waitForReceipt('a', wrong(key)),
      ]) {
        expect(await rejection(call)).toMatchObject({ code: 'ARGUMENT_INVALID' });
      }
      expect(calls).toEqual([]);
    });

    test.each([7, null, undefined, ''])('not for the instance %j', async (id) => {
      const { client, calls } = await openStore(store);
      const target = wrong<string>(id);
      for (const call of [
        client.raiseEvent(target, 'paid'),
        client.cancel(target),
        client.terminate(target),
        client.suspend(target),
        client.resume(target),
        client.getState(target),
        client.getValue(target, 'key'),
        client.getValues(target),
        client.waitForValue(target, 'key'),
        client.waitForReceipt(target, 'key'),
        client.waitForResult(target),
        client.listActivities(target),
      ]) {
        const error = await rejection(call);
        expect(error).toMatchObject({ code: 'ARGUMENT_INVALID' });
        expect(error.message).toContain('instance id');
      }
      expect(calls).toEqual([]);
    });
  });

  describe('waits for the receipt of an event', () => {
    test('until the turn that takes it is committed', async () => {
      const { client, provider, clock } = await openStore(store);
      await runFirst(provider, 'a');
      await client.raiseEvent('a', 'paid', 1, { key: 'k' });
      let receipt: string | null = null;
      const waited = client.waitForReceipt('a', 'k').then((result) => (receipt = result));
      const item = await fetchOne(provider);
      await clock.advance(0);
      expect(receipt).toBeNull();
      await commit(provider, item, { page: pageOf(2, raised('k')) });
      expect(await waited).toBe('received');
    });

    test('in an earlier execution, and known there by its start', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { page: pageOf(1, started, raised('early')), next: nextExecution });
      const next = { ...started, executionId: 2, eventKeys: ['known'] };
      await commit(provider, await fetchOne(provider), { page: pageOf(1, next, { kind: 'CustomStatusSet', status: 'k' }) });
      expect(await client.waitForReceipt('a', 'early')).toBe('received');
      expect(await client.waitForReceipt('a', 'known')).toBe('received');
      // The text of the key is in the history, but nobody raised it.
      expect(await rejection(client.waitForReceipt('a', 'k', { timeout: 0 }))).toMatchObject({ code: 'WAIT_TIMEOUT' });
    });

    test('that came by a topic', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { page: pageOf(1, started, { kind: 'TopicReceived', topic: 't', key: 'k' }) });
      expect(await client.waitForReceipt('a', 'k')).toBe('received');
    });

    test('or its loss', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      await client.raiseEvent('a', 'paid', 1, { key: 'k' });
      const waited = client.waitForReceipt('a', 'k');
      await client.terminate('a');
      expect(await waited).toBe('dropped');
    });

    test('also of one that is raised later', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      const waited = client.waitForReceipt('a', 'k');
      await client.raiseEvent('a', 'paid', 1, { key: 'k' });
      await commit(provider, await fetchOne(provider), { page: pageOf(2, raised('k')) });
      expect(await waited).toBe('received');
    });

    test('as long as the caller likes', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      await client.raiseEvent('a', 'paid', 1, { key: 'k' });
      expect(await rejection(client.waitForReceipt('a', 'k', { timeout: 0 }))).toMatchObject({ code: 'WAIT_TIMEOUT' });
      expect(await rejection(client.waitForReceipt('nobody', 'k'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      const controller = new AbortController();
      const waited = client.waitForReceipt('a', 'k', { signal: controller.signal });
      controller.abort(new RangeError('enough'));
      expect(await rejection(waited)).toMatchObject({ name: 'RangeError', message: 'enough' });
    });
  });

  test('publishes to subscribers and tells how many', async () => {
    const { client, provider } = await openStore(store);
    const subscribe = (pattern: string): object => ({ effects: effects({ subscriptions: [{ pattern, subscribed: true }] }) });
    await runFirst(provider, 'a', subscribe('orders/*'));
    await runFirst(provider, 'b', subscribe('orders/created'));
    await runFirst(provider, 'c', subscribe('bills/*'));
    expect(await client.publish('orders/created', { id: 1 }, { key: 'k' })).toBe(2);
    await client.publish('orders/created', 'again', { key: 'k' });
    expect(await client.publish('nobody/listens')).toBe(0);
    const items = await fetchItems(provider);
    expect(items.map(payloads)).toEqual([
      ['{"kind":"TopicReceived","topic":"orders/created","data":{"id":1},"key":"k"}'],
      ['{"kind":"TopicReceived","topic":"orders/created","data":{"id":1},"key":"k"}'],
    ]);
    for (const topic of ['', 'orders/*', 'orders//x', 7]) {
      expect(await rejection(client.publish(wrong(topic)))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    }
  });

  describe('terminates', () => {
    test('an instance, and tells its parent why', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'parent');
      await provider.startInstances([newInstance('child', { parent: link('parent', 3, 1) })]);
      expect(await client.terminate('child', 'no budget')).toEqual({ done: true });
      expect(await client.getState('child')).toMatchObject({
        status: 'Terminated',
        parentInstanceId: 'parent',
        error: { code: 'ORCHESTRATION_TERMINATED', message: 'no budget' },
      });
      expect(await rejection(client.getHandle('child').result())).toMatchObject({
        name: 'OrchestrationError',
        code: 'ORCHESTRATION_TERMINATED',
        cause: { message: 'no budget' },
      });
      expect(payloads(await fetchOne(provider)).map((payload) => JSON.parse(payload) as unknown)).toEqual([
        {
          kind: 'SubOrchestrationFailed',
          executionId: 1,
          sourceId: 3,
          failure: { name: 'OrchestrationError', message: 'no budget', code: 'ORCHESTRATION_TERMINATED' },
        },
      ]);
    });

    test('children by their close policy', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'parent');
      for (const onParentClose of ['cancel', 'abandon', 'terminate'] as const) {
        await provider.startInstances([newInstance(onParentClose, { parent: link('parent', 3), onParentClose })]);
        await commit(provider, await fetchOne(provider));
      }
      await client.terminate('parent');
      const cancelled = await fetchOne(provider);
      expect([cancelled.instanceId, ...payloads(cancelled)]).toEqual([
        'cancel',
        '{"kind":"CancelRequested","reason":"parent \'parent\' was terminated"}',
      ]);
      expect(await client.getState('abandon')).toMatchObject({ status: 'Running' });
      expect(await client.getState('terminate')).toMatchObject({
        status: 'Terminated',
        error: { code: 'ORCHESTRATION_TERMINATED', message: "parent 'parent' was terminated" },
      });
    });

    test.each([7, null, {}])('not for the reason %j', async (reason) => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      expect(await rejection(client.terminate('a', wrong(reason)))).toMatchObject({ code: 'ARGUMENT_INVALID' });
      expect(await client.getState('a')).toMatchObject({ status: 'Running' });
    });
  });

  describe('suspends and resumes', () => {
    test('an instance, with what it received meanwhile', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      expect(await client.suspend('a')).toEqual({ done: true });
      expect(await client.suspend('a')).toEqual({ done: false });
      await client.raiseEvent('a', 'paid');
      await fetchNone(provider);
      expect(await client.getState('a')).toMatchObject({ status: 'Suspended' });
      expect(await rejection(client.getHandle('a').result({ timeout: 0 }))).toMatchObject({ code: 'WAIT_TIMEOUT' });
      expect(await client.resume('a')).toEqual({ done: true });
      expect(await client.resume('a')).toEqual({ done: false });
      expect(payloads(await fetchOne(provider))).toEqual(['{"kind":"EventRaised","name":"paid"}']);
    });

    test('one that was quarantined', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { status: 'Quarantined', output: '{"name":"Error","message":"broken"}', consumedMessageIds: [] });
      const error = await rejection(client.getHandle('a').result());
      expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { message: 'broken' } });
      expect(await client.resume('a')).toEqual({ done: true });
      expect(await fetchOne(provider)).toMatchObject({ instanceId: 'a' });
    });

    test('nothing that has ended or does not exist', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { status: 'Completed' });
      for (const call of ['suspend', 'resume', 'terminate'] as const) {
        expect(await rejection(client[call]('a'))).toMatchObject({ name: 'InstanceError', code: 'INSTANCE_ENDED', instanceId: 'a' });
        expect(await rejection(client[call]('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND', instanceId: 'nobody' });
      }
    });
  });

  describe('reads values', () => {
    const values = (pairs: Readonly<Record<string, string | null>>): object => ({
      effects: effects({ values: Object.entries(pairs).map(([key, value]) => ({ key, value })) }),
    });

    test('by key, and all of them in the order of their keys', async () => {
      const { client, provider } = await openStore(store);
      const pairs = Object.fromEntries([
        ['b', '1'],
        ['__proto__', '{"x":1}'],
        ['10', '"ten"'],
        ['9', 'null'],
        ['constructor', '[]'],
      ]);
      await runFirst(provider, 'a', values(pairs));
      expect(await client.getValue('a', 'b')).toBe(1);
      expect(await client.getValue('a', '__proto__')).toEqual({ x: 1 });
      expect(await client.getValue('a', '9')).toBeNull();
      expect(await client.getValue('a', 'toString')).toBeUndefined();
      const all = await client.getValues('a');
      expect([...all]).toEqual([
        ['10', 'ten'],
        ['9', null],
        ['__proto__', { x: 1 }],
        ['b', 1],
        ['constructor', []],
      ]);
    });

    test('of an instance that has ended, not of one that does not exist', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { ...values({ key: '1' }), status: 'Completed' });
      await runFirst(provider, 'empty');
      expect(await client.getValue('a', 'key')).toBe(1);
      expect([...(await client.getValues('empty'))]).toEqual([]);
      expect(await rejection(client.getValue('nobody', 'key'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      expect(await rejection(client.getValues('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      expect(await rejection(client.getValue('a', wrong(7)))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    });

    test('that it waits for', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      const first = client.waitForValue('a', 'step');
      await client.raiseEvent('a', 'go');
      await commit(provider, await fetchOne(provider), values({ step: '{"n":1}' }));
      expect(await first).toEqual({ n: 1 });
      expect(await client.waitForValue('a', 'step', { unless: { n: 0 } })).toEqual({ n: 1 });
      const second = client.waitForValue('a', 'step', { unless: { n: 1 } });
      await client.raiseEvent('a', 'go');
      await commit(provider, await fetchOne(provider), { ...values({ step: '{"n":2}' }), status: 'Completed' });
      expect(await second).toEqual({ n: 2 });
    });

    test('until they cannot come any more', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      expect(await rejection(client.waitForValue('a', 'key', { timeout: 0 }))).toMatchObject({ code: 'WAIT_TIMEOUT' });
      expect(await rejection(client.waitForValue('nobody', 'key'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      expect(await rejection(client.waitForValue('a', 'key', { unless: 1n }))).toMatchObject({ code: 'PAYLOAD_NOT_SERIALIZABLE' });
      const reason = new RangeError('enough');
      expect(await rejection(client.waitForValue('a', 'key', { signal: AbortSignal.abort(reason) }))).toBe(reason);
      const waited = client.waitForValue('a', 'key');
      await client.terminate('a');
      expect(await rejection(waited)).toMatchObject({ code: 'INSTANCE_ENDED' });
      await runFirst(provider, 'q', { status: 'Quarantined', output: '{"name":"Error","message":"broken"}' });
      expect(await rejection(client.waitForValue('q', 'key'))).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    });
  });

  test('lists queued and running activities', async () => {
    const { client, provider } = await openStore(store);
    const items = [activity(2, { name: 'ship' }), activity(3, { routing: routing({ tag: 'gpu', sessionId: 's' }) })];
    await runFirst(provider, 'a', { workItems: items });
    const item = await fetchOneWork(provider);
    await renewWork(provider, [item], 30_000, '{"percent":50}');
    const common = { executionId: 1, heartbeat: undefined, limitKey: null };
    const activities = await client.listActivities('a');
    expect(activities.map(({ dueAt: _dueAt, ...rest }) => rest)).toEqual([
      { ...common, eventId: 2, name: 'ship', attempt: 1, isRunning: true, tag: null, sessionId: null, heartbeat: { percent: 50 } },
      { ...common, eventId: 3, name: 'charge', attempt: 0, isRunning: false, tag: 'gpu', sessionId: 's' },
    ]);
    // A running one is due when its lock ends.
    expect(activities[0]?.dueAt.getTime()).toBeGreaterThan(activities[1]?.dueAt.getTime() ?? Infinity);
    await runFirst(provider, 'b');
    expect(await client.listActivities('b')).toEqual([]);
    expect(await rejection(client.listActivities('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
  });

  test('lists instances by page, status and parent', async () => {
    const { client, provider } = await openStore(store);
    await runFirst(provider, 'a');
    await runFirst(provider, 'b', { status: 'Completed', output: '"done"' });
    await provider.startInstances([newInstance('a::1.2', { parent: link('a') }), newInstance('c')]);
    const ids = async (options: Parameters<typeof client.listInstances>[0]): Promise<readonly string[]> =>
      (await client.listInstances({ orderBy: 'id', ...options })).instances.map(({ instanceId }) => instanceId);
    expect(await ids({})).toEqual(['a', 'a::1.2', 'b', 'c']);
    const { cursor } = await client.listInstances({ orderBy: 'id', limit: 1 });
    expect(await ids({ ...(cursor !== null && { cursor }), limit: 2 })).toEqual(['a::1.2', 'b']);
    expect(await ids({ status: 'Pending' })).toEqual(['a::1.2', 'c']);
    expect(await ids({ parent: 'a' })).toEqual(['a::1.2']);
    expect(await ids({ parent: 'a', status: 'Completed' })).toEqual([]);
    for (const limit of [0, 1001, 1.5, '5']) {
      expect(await rejection(client.listInstances(wrong({ limit })))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    }
  });

  test('lists runtimes, also those that tell little', async () => {
    const { client, provider, clock } = await openStore(store);
    const described = { nodeId: 'n', orchestrations: [{ name: 'order', version: '1.0.0' }], activities: [{ name: 'ship' }], tags: 'any' };
    await provider.reportRuntime({ runtimeId: 'a', payload: JSON.stringify(described), ttlMs: 1_000 });
    await provider.reportRuntime({ runtimeId: 'b', payload: '{}', ttlMs: 1_000 });
    const seenAt = new Date(clock.nowMs());
    expect(await client.listRuntimes()).toEqual([
      { runtimeId: 'a', seenAt, ...described, stats: null },
      { runtimeId: 'b', seenAt, nodeId: 'b', orchestrations: [], activities: [], tags: 'default', stats: null },
    ]);
    await clock.advance(1_001);
    expect(await client.listRuntimes()).toEqual([]);
  });

  test('waits to its limit on a clock that skips time, and leaves no timer behind', async () => {
    const { provider, clock } = await openStore(store);
    await runFirst(provider, 'a');
    const client = new Client(provider, { clock });
    const timers = clock.pendingTimers;
    const failures = Promise.all([
      rejection(client.waitForResult('a', { timeout: '1h' })),
      rejection(client.waitForReceipt('a', 'nobody raises it', { timeout: '1h' })),
    ]);
    const startedMs = clock.nowMs();
    expect(await clock.runToNextTimer()).toBe(true);
    expect(clock.nowMs() - startedMs).toBe(3_600_000);
    expect(await failures).toMatchObject([{ code: 'WAIT_TIMEOUT' }, { code: 'WAIT_TIMEOUT' }]);
    expect({ stops: await clock.runToNextTimer(), timers: clock.pendingTimers }).toEqual({ stops: false, timers });
  });

  test('gives up on a wait when its signal aborts, with or without the help of the store', async () => {
    const { client, provider } = await openStore(store);
    await runFirst(provider, 'a');
    const controller = new AbortController();
    const { signal } = controller;
    const waits = [
      client.getHandle('a').result({ signal }),
      client.waitForCustomStatus('a', { afterVersion: 0, signal }),
      client.waitForValue('a', 'key', { signal }),
    ];
    const failures = Promise.all(waits.map((wait) => rejection(wait)));
    controller.abort(new RangeError('enough'));
    expect((await failures).map(({ message }) => message)).toEqual(['enough', 'enough', 'enough']);
  });

  test('gives handles that do the same for one instance', async () => {
    const { client, provider } = await openStore(store);
    await runFirst(provider, 'a', {
      workItems: [activity(2)],
      customStatus: '"busy"',
      effects: effects({ values: [{ key: 'key', value: '1' }] }),
    });
    const handle = client.getHandle<string>('a');
    expect(await handle.state()).toMatchObject({ instanceId: 'a', status: 'Running' });
    expect(await handle.getValue('key')).toBe(1);
    expect([...(await handle.getValues())]).toEqual([['key', 1]]);
    expect(await handle.waitForValue('key')).toBe(1);
    expect(await handle.waitForCustomStatus({ afterVersion: 0 })).toMatchObject({ customStatus: 'busy' });
    expect(await handle.listActivities()).toMatchObject([{ eventId: 2 }]);
    expect(await handle.readHistory()).toMatchObject([{ kind: 'OrchestrationStarted' }]);
    expect(await handle.suspend()).toEqual({ done: true });
    expect(await handle.resume()).toEqual({ done: true });
    expect(await handle.cancel('enough')).toEqual({ delivered: true });
    expect(await handle.raiseEvent('paid', 1, { key: 'k' })).toEqual({ delivered: true, key: 'k' });
    expect(payloads(await fetchOne(provider))).toEqual([
      '{"kind":"CancelRequested","reason":"enough"}',
      '{"kind":"EventRaised","name":"paid","data":1,"key":"k"}',
    ]);
    expect(await handle.terminate('over')).toEqual({ done: true });
    expect(await handle.waitForReceipt('k')).toBe('dropped');
    expect(await rejection(handle.result())).toMatchObject({ cause: { message: 'over' } });
    expect((await read(provider, 'a')).output).toContain('over');
    expect(await rejection(client.getHandle('nobody').state())).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
  });
});
