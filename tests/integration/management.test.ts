// What operators ask of a client: lists, trees, why an instance waits, bulk calls, retries, deleting, queues by hand, export and import.
// The tests play the runtime themselves, as in client-calls.test.ts.
import { describe, expect, test, vi } from 'vitest';
import { Client } from '../../src/client/client.ts';
import {
  activity,
  commit,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  link,
  newInstance,
  nextExecution,
  payloads,
  routing,
  timer,
} from '../../src/conformance/case-kit.ts';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import type { NewInstance, OrchestrationAck, Provider } from '../../src/provider/provider.ts';
import { decodeAttributes, encodeAttributes, type Attributes } from '../../src/types/attributes.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { intercept } from '../main/troubled-store.ts';
import { openStore, STORES } from '../support/client-stores.ts';
import { rejection } from '../support/integration-stage.ts';

const started = { kind: 'OrchestrationStarted', executionId: 1, name: 'order', version: '1.0.0', engine: 1, input: { a: 1 } };

function pageOf(...bodies: readonly object[]): OrchestrationAck['page'] {
  const events = bodies.map((body, index) => ({ id: index + 1, atMs: 0, ...body }) as HistoryEvent);
  return { lastEventId: events.length, events: JSON.stringify(events) };
}

/** Starts an instance and commits its first turn, with these events after the start. */
async function runFirst(
  provider: Provider,
  instanceId: string,
  {
    start = {},
    events = [],
    ...ack
  }: Partial<OrchestrationAck> & { readonly start?: Partial<NewInstance>; readonly events?: readonly object[] } = {},
): Promise<void> {
  await provider.startInstances([newInstance(instanceId, start)]);
  await commit(provider, await fetchOne(provider), {
    page: pageOf(
      { ...started, name: start.name ?? 'order', ...(start.attributes && { attributes: decodeAttributes(start.attributes) }) },
      ...events,
    ),
    ...ack,
  });
}

const failed = { status: 'Failed', output: '{"name":"Error","message":"no"}' } as const;
const completed = { status: 'Completed', output: '"done"' } as const;
const withAttributes = (attributes: Attributes): Partial<NewInstance> => ({ attributes: encodeAttributes(attributes) });

describe.each(STORES)('a client of %s', (store) => {
  describe('lists', () => {
    test('by name, status, version, parent, attributes, tag, text and times, each and together', async () => {
      const { client, provider, clock } = await openStore(store);
      const first = new Date(clock.nowMs());
      await runFirst(provider, 'a', { start: withAttributes({ customer: 'acme', vip: true }) });
      await clock.advance(1_000);
      const second = new Date(clock.nowMs());
      await runFirst(provider, 'b', { start: { name: 'refund', ...withAttributes({ customer: 'acme' }) }, ...failed });
      await provider.startInstances([newInstance('a::1.2', { parent: link('a'), version: '2.0.0' })]);
      const ids = async (options: Parameters<typeof client.listInstances>[0]): Promise<readonly string[]> =>
        (await client.listInstances({ orderBy: 'id', ...options })).instances.map(({ instanceId }) => instanceId);
      expect(await ids({ name: 'order' })).toEqual(['a', 'a::1.2']);
      expect(await ids({ status: ['Running', 'Failed'] })).toEqual(['a', 'b']);
      expect(await ids({ version: '2.0.0' })).toEqual(['a::1.2']);
      expect(await ids({ parent: 'a' })).toEqual(['a::1.2']);
      expect(await ids({ attributes: { customer: 'acme' } })).toEqual(['a', 'b']);
      expect(await ids({ attributes: { customer: 'acme', vip: true } })).toEqual(['a']);
      expect(await ids({ tag: 'vip' })).toEqual(['a']);
      expect(await ids({ tag: 'vip', name: 'refund' })).toEqual([]);
      expect(await ids({ search: '::' })).toEqual(['a::1.2']);
      expect(await ids({ createdAfter: second })).toEqual(['a::1.2', 'b']);
      expect(await ids({ createdBefore: second })).toEqual(['a']);
      expect(await ids({ updatedAfter: first, updatedBefore: second })).toEqual(['a']);
    });

    test('what each row waits for, and its figures', async () => {
      const { client, provider, clock } = await openStore(store);
      const dueMs = clock.nowMs() + 60_000;
      await runFirst(provider, 'busy', {
        start: withAttributes({ region: 'eu' }),
        events: [{ kind: 'TimerCreated', fireAtMs: dueMs }],
        workItems: [activity(2), activity(3)],
        timers: [timer(4, dueMs)],
        customStatus: '"packing"',
      });
      await fetchWork(provider, { maxItems: 1 });
      await runFirst(provider, 'over', completed);
      const { instances } = await client.listInstances();
      expect(instances).toMatchObject([
        { instanceId: 'over', status: 'Completed', result: 'done', waitingFor: null, endedAt: new Date(clock.nowMs()), attributes: {} },
        {
          instanceId: 'busy',
          customStatus: 'packing',
          eventCount: 2,
          endedAt: null,
          attributes: { region: 'eu' },
          waitingFor: { activities: 2, runningActivities: 1, timers: 1, nextTimerAt: new Date(dueMs), messages: 0, children: 0 },
        },
      ]);
    });

    test('page by page in each order and direction', async () => {
      const { client, provider, clock } = await openStore(store);
      for (const id of ['c', 'a', 'b', 'e', 'd']) {
        await clock.advance(10);
        await runFirst(provider, id, completed);
      }
      await provider.startInstances([newInstance('living')]);
      const all = async (options: Parameters<typeof client.listInstances>[0]): Promise<readonly string[]> => {
        const found: string[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const page = await client.listInstances({ ...options, limit: 2, ...(cursor !== undefined && { cursor }) });
          found.push(...page.instances.map(({ instanceId }) => instanceId));
          ({ cursor } = page);
        }
        return found;
      };
      expect(await all({})).toEqual(['living', 'd', 'e', 'b', 'a', 'c']);
      expect(await all({ direction: 'asc' })).toEqual(['c', 'a', 'b', 'e', 'd', 'living']);
      expect(await all({ orderBy: 'id' })).toEqual(['a', 'b', 'c', 'd', 'e', 'living']);
      expect(await all({ orderBy: 'id', direction: 'desc' })).toEqual(['living', 'e', 'd', 'c', 'b', 'a']);
      expect(await all({ orderBy: 'endedAt', direction: 'asc' })).toEqual(['c', 'a', 'b', 'e', 'd']);
      expect(await all({ orderBy: 'endedAt', name: 'order' })).toEqual(['d', 'e', 'b', 'a', 'c']);
    });

    test('nothing for a foreign cursor, an unknown order or a filter that is none', async () => {
      const { client, provider } = await openStore(store);
      for (const id of ['a', 'b']) await runFirst(provider, id);
      const { cursor } = await client.listInstances({ limit: 1 });
      expect(cursor).toEqual(expect.any(String));
      const wrong: readonly object[] = [
        { cursor: 'x' },
        { cursor, orderBy: 'id' },
        { cursor, direction: 'asc' },
        { cursor: `${String(cursor)}%` },
        { orderBy: 'name' },
        { direction: 'up' },
        { status: [] },
        { status: 'Done' },
        { tag: '' },
        { attributes: { deep: {} } },
        { createdAfter: 'yesterday' },
        { search: 5 },
      ];
      for (const options of wrong) {
        expect(await rejection(client.listInstances(options)), JSON.stringify(options)).toMatchObject({ code: 'ARGUMENT_INVALID' });
      }
    });

    test('how many, up to a limit', async () => {
      const { client, provider } = await openStore(store);
      for (const id of ['a', 'b', 'c']) await runFirst(provider, id, id === 'b' ? failed : {});
      expect(await client.countInstances()).toEqual({ count: 3, isExact: true });
      expect(await client.countInstances({ status: 'Failed' })).toEqual({ count: 1, isExact: true });
      expect(await client.countInstances({}, { limit: 2 })).toEqual({ count: 2, isExact: false });
    });

    test('the tree of an instance, cut off at a limit, and its executions', async () => {
      const { client, provider, clock } = await openStore(store);
      await runFirst(provider, 'root', { customStatus: undefined, next: nextExecution });
      await provider.startInstances([newInstance('child-1', { parent: link('root') })]);
      await clock.advance(1);
      await provider.startInstances([
        newInstance('child-2', { parent: link('root') }),
        newInstance('grandchild', { parent: link('child-1') }),
      ]);
      const tree = await client.getTree('root');
      expect(tree).toMatchObject({
        instance: { instanceId: 'root' },
        isTruncated: false,
        children: [
          { instance: { instanceId: 'child-1' }, children: [{ instance: { instanceId: 'grandchild' }, children: [] }] },
          { instance: { instanceId: 'child-2' }, children: [] },
        ],
      });
      expect(await client.getTree('root', { limit: 2 })).toMatchObject({
        isTruncated: true,
        children: [{ instance: { instanceId: 'child-1' } }],
      });
      expect(await rejection(client.getTree('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      expect(await client.listExecutions('root')).toMatchObject([
        { executionId: 1, status: 'ContinuedAsNew', eventCount: 1, endedAt: expect.any(Date) as Date },
        { executionId: 2, status: 'Running', eventCount: 0, endedAt: null },
      ]);
      expect(await rejection(client.listExecutions('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      expect(await client.pruneExecutions('root', { keepLast: 1 })).toEqual({ executions: 1 });
      expect(await client.listExecutions('root')).toMatchObject([{ executionId: 2 }]);
      expect(await client.readHistory('root', 1)).toEqual([]);
      expect(await rejection(client.pruneExecutions('root', {}))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    });

    test('what came to a history after an event, also in the midst of a turn', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', {
        events: [
          { kind: 'EventAwaited', name: 'x' },
          { kind: 'EventAwaited', name: 'y' },
        ],
      });
      const after = async (afterEventId: number): Promise<readonly number[]> =>
        (await client.readHistoryAfter('a', { afterEventId })).map(({ id }) => id);
      expect([await after(0), await after(1), await after(2), await after(3), await after(9)]).toEqual([[1, 2, 3], [2, 3], [3], [], []]);
    });

    test('pages of a history, each at the cost of a page, whatever the size of its turns', async () => {
      const { provider } = await openStore(store);
      await provider.startInstances([newInstance('a')]);
      const sizes = [...Array.from({ length: 300 }, () => 1), 3, 1, 100, 1, 1, 40];
      let last = 0;
      for (const size of sizes) {
        const events = Array.from({ length: size }, (_, index) => ({ id: last + index + 1, atMs: 0, kind: 'EventAwaited', name: 'x' }));
        const messages = [{ instanceId: 'a', payload: 'm' }];
        await commit(provider, await fetchOne(provider), {
          page: { lastEventId: last + size, events: JSON.stringify(events) },
          messages,
        });
        last += size;
      }
      const reads = vi.spyOn(provider, 'readHistory');
      const client = new Client(provider);
      const countRead = async (): Promise<number> => {
        const histories = (await Promise.all(reads.mock.results.map(({ value }) => value as ReturnType<Provider['readHistory']>))).flat(2);
        reads.mockClear();
        return histories.reduce((sum, page) => sum + page.lastEventId - page.firstEventId + 1, 0);
      };
      const all = (await client.readHistoryAfter('a', { afterEventId: 0 })).map(({ id }) => id);
      expect(all).toEqual(Array.from({ length: last }, (_, index) => index + 1));
      for (const limit of [1, 2, 7, 50, 1_000]) {
        for (let afterEventId = 0; afterEventId <= last; afterEventId += 1) {
          await countRead();
          const page = (await client.readHistoryAfter('a', { afterEventId, limit })).map(({ id }) => id);
          expect(page).toEqual(all.slice(afterEventId, afterEventId + limit));
          // The turns at both ends are read whole; the rest of the history is not.
          const read = await countRead();
          expect(read).toBeGreaterThanOrEqual(page.length);
          expect(read).toBeLessThanOrEqual(limit + 240);
        }
      }
      expect(await rejection(client.readHistoryAfter('a', { afterEventId: 0, limit: 0 }))).toMatchObject({ code: 'ARGUMENT_INVALID' });
      // Behind the end, and in an execution that there is not, there is nothing to look for.
      await countRead();
      expect(await client.readHistoryAfter('a', { afterEventId: 1_000_000_000, limit: 5 })).toEqual([]);
      expect(await client.readHistoryAfter('a', { afterEventId: 1_000_000_000, executionId: 7 })).toEqual([]);
      expect(reads).not.toHaveBeenCalled();
    });
  });

  describe('explains that an instance waits for', () => {
    test('an activity that nobody takes, with what to start', async () => {
      const { provider, clock } = await openStore(store);
      const client = new Client(provider, { clock });
      await runFirst(provider, 'a', {
        events: [{ kind: 'ActivityScheduled', name: 'charge', tag: 'gpu' }],
        workItems: [activity(2, { routing: routing({ tag: 'gpu' }) })],
      });
      const told = await client.explainWaiting('a');
      expect(told.waits).toMatchObject([{ kind: 'activity', name: 'charge', state: 'queued', attempt: 0, tag: 'gpu', runtimes: [] }]);
      expect(told.waits[0]?.problem).toContain("{ only: ['gpu'] }");
      expect(told.summary).toContain("activity 'charge' (queued)");
      const report = { nodeId: 'n', orchestrations: [], activities: [{ name: 'charge' }], tags: { only: ['gpu'] } };
      await provider.reportRuntime({ runtimeId: 'r', payload: JSON.stringify(report), ttlMs: 60_000 });
      expect((await client.explainWaiting('a')).waits).toMatchObject([{ problem: null, runtimes: ['r'] }]);
      await fetchWork(provider, { select: { kind: 'queue', tags: { kind: 'any' }, session: null } });
      expect((await client.explainWaiting('a')).waits).toMatchObject([{ state: 'running', attempt: 1, problem: null }]);
    });

    test('events, timers and children', async () => {
      const { provider, clock } = await openStore(store);
      const client = new Client(provider, { clock });
      const fireAtMs = clock.nowMs() + 5_000;
      await runFirst(provider, 'a', {
        events: [
          { kind: 'EventAwaited', name: 'approved' },
          { kind: 'TimerCreated', fireAtMs },
          { kind: 'SubOrchestrationScheduled', name: 'ship', instanceId: 'gone' },
        ],
        timers: [timer(3, fireAtMs)],
      });
      const { waits, summary } = await client.explainWaiting('a');
      expect(waits).toMatchObject([
        { kind: 'event', name: 'approved', eventId: 2, problem: null },
        { kind: 'timer', dueAt: new Date(fireAtMs), problem: null },
        { kind: 'child', instanceId: 'gone', status: null, problem: expect.stringContaining('no such instance') as string },
      ]);
      expect(summary).toContain("event 'approved'");
    });

    test('a turn that no runtime can run', async () => {
      const { provider, clock } = await openStore(store);
      const client = new Client(provider, { clock });
      await provider.startInstances([newInstance('a')]);
      const { waits, summary } = await client.explainWaiting('a');
      expect(waits).toMatchObject([{ kind: 'turn', messages: 1, isLocked: false, runtimes: [] }]);
      expect(summary).toContain("No living runtime on this store has 'order' 1.0.0");
      await fetchOne(provider);
      expect((await client.explainWaiting('a')).waits).toMatchObject([{ kind: 'turn', isLocked: true, problem: null }]);
    });

    test('nothing that could come: its start was dropped', async () => {
      const { provider, clock } = await openStore(store);
      const client = new Client(provider, { clock });
      await provider.startInstances([newInstance('a')]);
      const { items } = await client.peekQueue({ queue: 'orchestrator', instanceId: 'a' });
      for (const item of items) await client.editQueue('drop', item);
      const { waits, summary } = await client.explainWaiting('a');
      expect({ waits, items: items.length }).toEqual({ waits: [], items: 1 });
      expect(summary).toMatch(/^Its start message was dropped/);
    });

    test('an operator, or nothing because it has ended', async () => {
      const { provider, clock } = await openStore(store);
      const client = new Client(provider, { clock });
      await runFirst(provider, 'a');
      await client.suspend('a');
      expect(await client.explainWaiting('a')).toMatchObject({
        waits: [{ kind: 'operator', reason: 'it was suspended' }],
        summary: 'It waits for an operator: it was suspended. Nothing of it runs until it is resumed.',
      });
      await client.terminate('a');
      expect(await client.explainWaiting('a')).toMatchObject({ waits: [], summary: 'It has ended: Terminated.' });
      expect(await rejection(client.explainWaiting('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    });
  });

  describe('tries again', () => {
    test('what failed, under its id with its input and attributes', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { start: { ...withAttributes({ customer: 'acme' }), priority: 3 }, ...failed });
      expect(await client.retry('a')).toEqual({ how: 'restarted' });
      expect(await client.getState('a')).toMatchObject({
        status: 'Pending',
        attributes: { customer: 'acme' },
        priority: 3,
        executionId: 2,
      });
      const item = await fetchOne(provider);
      expect(payloads(item).map((payload) => JSON.parse(payload) as unknown)).toMatchObject([
        { kind: 'OrchestrationStarted', name: 'order', input: { a: 1 } },
      ]);
      expect(await rejection(client.retry('a'))).toMatchObject({ code: 'INSTANCE_ALIVE' });
    });

    test('what is quarantined, where it was; not what completed, and not nothing', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'sick', { status: 'Quarantined', output: '{"name":"Error","message":"poison"}' });
      expect(await client.retry('sick')).toEqual({ how: 'resumed' });
      expect(await client.getState('sick')).toMatchObject({ status: 'Running', eventCount: 1 });
      await runFirst(provider, 'done', completed);
      expect(await rejection(client.retry('done'))).toMatchObject({ code: 'INSTANCE_ENDED' });
      expect(await rejection(client.retry('nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    });

    test('not what ended before its first turn: its input is gone', async () => {
      const { client, provider } = await openStore(store);
      await provider.startInstances([newInstance('a')]);
      await client.terminate('a');
      expect(await rejection(client.retry('a'))).toMatchObject({
        code: 'INSTANCE_ENDED',
        message: expect.stringContaining('input') as string,
      });
    });
  });

  describe('deletes', () => {
    test('an ended instance with its descendants, and wakes who waits for it', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', completed);
      await provider.startInstances([newInstance('a-1', { parent: link('a'), onParentClose: 'terminate' })]);
      expect(await rejection(client.deleteInstance('a'))).toMatchObject({ code: 'INSTANCE_ALIVE' });
      const waiting = rejection(client.waitForResult('a-1'));
      expect(await client.deleteInstance('a', { force: true })).toEqual({ instances: 2 });
      expect(await waiting).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
      expect(await client.getState('a')).toBeNull();
      await fetchNone(provider);
      expect(await rejection(client.deleteInstance('a'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    });

    test('no child of a living parent', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a');
      await provider.startInstances([newInstance('a-1', { parent: link('a') })]);
      expect(await rejection(client.deleteInstance('a-1', { force: true }))).toMatchObject({ code: 'INSTANCE_HAS_PARENT' });
    });
  });

  describe('what was started again meanwhile', () => {
    /** A client whose calls of one kind are late: something else happens first. */
    const lateClient = (provider: Provider, method: 'startInstances' | 'deleteInstances', meanwhile: () => Promise<void>): Client => {
      let isFirst = true;
      const late = intercept(provider, {
        [method]: async (call: (...args: readonly unknown[]) => unknown, ...args: readonly unknown[]) => {
          if (isFirst) {
            isFirst = false;
            await meanwhile();
          }
          return await call(...args);
        },
      });
      return new Client(late);
    };

    test('and has completed, a second retry does not run again', async () => {
      const { client, provider, clock } = await openStore(store);
      await runFirst(provider, 'a', failed);
      await clock.advance(10);
      const second = lateClient(provider, 'startInstances', async () => {
        await client.retry('a');
        await commit(provider, await fetchOne(provider), { page: pageOf(started), ...completed });
      });
      expect(await rejection(second.retry('a'))).toMatchObject({ code: 'INSTANCE_ALIVE' });
      expect(await client.getState('a')).toMatchObject({ status: 'Completed', result: 'done' });
    });

    test('and has completed, a bulk delete of failed ones leaves', async () => {
      const { client, provider, clock } = await openStore(store);
      for (const id of ['a', 'b']) await runFirst(provider, id, failed);
      await clock.advance(10);
      const other = lateClient(provider, 'deleteInstances', async () => {
        await client.retry('a');
        await commit(provider, await fetchOne(provider), { page: pageOf(started), ...completed });
      });
      await other.bulk('delete', { status: 'Failed' });
      expect((await client.listInstances()).instances).toMatchObject([{ instanceId: 'a', status: 'Completed' }]);
    });
  });

  describe('in bulk', () => {
    test('does what fits and skips the rest, and only counts when asked', async () => {
      const { client, provider } = await openStore(store);
      for (const id of ['a', 'b', 'c']) await runFirst(provider, id, id === 'b' ? failed : {});
      const progress: number[] = [];
      expect(await client.bulk('cancel', { name: 'order' }, { dryRun: true })).toMatchObject({
        matched: 3,
        done: 2,
        skipped: 1,
        failed: 0,
      });
      await fetchNone(provider);
      const result = await client.bulk('terminate', {}, { onProgress: ({ done }) => progress.push(done) });
      expect(result).toMatchObject({
        action: 'terminate',
        dryRun: false,
        matched: 3,
        done: 2,
        skipped: 1,
        sample: ['a', 'c'],
        failures: [],
      });
      expect(progress).toEqual([2]);
      expect(await client.bulk('retry', { status: ['Failed', 'Terminated'] }, { limit: 2 })).toMatchObject({ done: 2 });
      expect((await client.bulk('delete', {}, { force: true })).done).toBe(3);
      expect(await client.countInstances()).toEqual({ count: 0, isExact: true });
    });

    test('skips what has ended since it was looked at, such as children that end with their parent', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'parent');
      await runFirst(provider, 'child', { start: { parent: link('parent'), onParentClose: 'terminate' } });
      const result = await client.bulk('terminate', {});
      expect(result).toMatchObject({ matched: 2, done: 1, skipped: 1, failed: 0, sample: ['parent'], failures: [] });
      expect(await client.getState('child')).toMatchObject({ status: 'Terminated' });
    });

    test('retries each once, tells what failed, and ends by a signal', async () => {
      const { client, provider } = await openStore(store);
      for (const id of ['a', 'b']) await runFirst(provider, id, failed);
      await provider.startInstances([newInstance('early')]);
      await client.terminate('early');
      const result = await client.bulk('retry', {});
      expect(result).toMatchObject({ done: 2, failed: 1, failures: [{ instanceId: 'early', code: 'INSTANCE_ENDED' }] });
      expect(await client.bulk('suspend', {}, { signal: AbortSignal.abort() })).toMatchObject({ done: 0 });
      expect(await rejection(client.bulk('explode' as 'cancel', {}))).toMatchObject({ code: 'ARGUMENT_INVALID' });
      expect(await rejection(client.bulk('cancel', {}, { limit: 0 }))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    });
  });

  describe('by hand', () => {
    test('unlocks and drops an activity, whose orchestration is told', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', {
        events: [{ kind: 'ActivityScheduled', name: 'charge' }],
        workItems: [activity(2, { payload: '{"cents":5}' })],
      });
      await fetchOneWork(provider);
      const { items } = await client.peekQueue({ queue: 'worker' });
      expect(items).toMatchObject([
        { kind: 'workItem', instanceId: 'a', eventId: 2, attempt: 1, lockedUntil: expect.any(Date) as Date, input: { cents: 5 } },
      ]);
      const ref = { kind: 'workItem', instanceId: 'a', executionId: 1, eventId: 2 } as const;
      expect(await client.editQueue('unlock', ref)).toEqual({ done: true });
      expect((await fetchOneWork(provider)).attempt).toBe(2);
      expect(await client.editQueue('moveBack', ref)).toEqual({ done: true });
      expect((await fetchOneWork(provider)).attempt).toBe(1);
      expect(await client.editQueue('drop', ref)).toEqual({ done: true });
      expect(await client.editQueue('drop', ref)).toEqual({ done: false });
      const [told] = payloads(await fetchOne(provider)).map((payload) => JSON.parse(payload) as unknown);
      expect(told).toMatchObject({ kind: 'ActivityFailed', sourceId: 2, failure: { code: 'ACTIVITY_DROPPED', nonRetryable: true } });
    });

    test('frees the messages of a turn that hangs', async () => {
      const { client, provider } = await openStore(store);
      await client.startOrchestration('a', 'order', 1);
      const lost = await fetchOne(provider);
      const { items } = await client.peekQueue({ queue: 'orchestrator', instanceId: 'a' });
      expect(items).toMatchObject([{ kind: 'message', attempt: 1, visibleAt: null, message: { kind: 'OrchestrationStarted', input: 1 } }]);
      const [message] = items;
      if (message?.kind !== 'message') throw new TypeError('no message');
      expect(await client.editQueue('unlock', message)).toEqual({ done: true });
      const [again] = await fetchItems(provider);
      expect(again?.messages).toMatchObject([{ attempt: 2 }]);
      expect(lost.lockToken).not.toBe(again?.lockToken);
      expect(await client.editQueue('moveBack', message)).toEqual({ done: true });
      expect((await fetchOne(provider)).messages).toMatchObject([{ attempt: 1 }]);
      expect(await client.editQueue('drop', message)).toEqual({ done: true });
      await fetchNone(provider);
      expect(await client.getQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    });

    test('shows what is damaged beside what is sound, so that it can be dropped', async () => {
      const { client, provider } = await openStore(store);
      await runFirst(provider, 'a', { workItems: [activity(2, { payload: '5' }), activity(3, { payload: '{"cents":' })] });
      await provider.enqueueMessages([
        { instanceId: 'a', payload: '{"kind":"EventRaised","name":"paid","data":1}' },
        { instanceId: 'a', payload: '{"kind":' },
      ]);
      const work = await client.peekQueue({ queue: 'worker' });
      expect(work.items).toMatchObject([
        { eventId: 2, input: 5, damage: null },
        { eventId: 3, input: undefined, damage: expect.stringContaining("input of activity 'charge' of instance 'a'") as string },
      ]);
      const { items } = await client.peekQueue({ queue: 'orchestrator' });
      expect(items).toMatchObject([
        { message: { name: 'paid' }, damage: null },
        { message: undefined, damage: expect.stringMatching(/^message \d+ of instance 'a' cannot be read/) as string },
      ]);
      for (const item of [work.items[1], items[1]]) {
        if (item === undefined) throw new TypeError('nothing to drop');
        expect(await client.editQueue('drop', item)).toEqual({ done: true });
      }
      expect((await client.peekQueue({ queue: 'worker' })).items).toMatchObject([{ eventId: 2 }]);
      expect((await client.explainWaiting('a')).waits).toMatchObject([{ kind: 'turn', messages: 2 }]);
    });

    test('page by page, and refuses what is none', async () => {
      const { client } = await openStore(store);
      for (const id of ['a', 'b', 'c']) await client.startOrchestration(id, 'order');
      const first = await client.peekQueue({ queue: 'orchestrator', limit: 2 });
      expect(first.items.map(({ instanceId }) => instanceId)).toEqual(['a', 'b']);
      const rest = await client.peekQueue({ queue: 'orchestrator', limit: 2, ...(first.cursor !== null && { cursor: first.cursor }) });
      expect([rest.items.map(({ instanceId }) => instanceId), rest.cursor]).toEqual([['c'], null]);
      for (const options of [{ queue: 'x' }, { queue: 'worker', cursor: first.cursor }, { queue: 'worker', limit: 0 }]) {
        expect(await rejection(client.peekQueue(options as never))).toMatchObject({ code: 'ARGUMENT_INVALID' });
      }
      expect(await rejection(client.editQueue('drop', { kind: 'message', instanceId: 'a' } as never))).toMatchObject({
        code: 'ARGUMENT_INVALID',
      });
    });
  });

  test('exports instances that another store goes on with', async () => {
    const { client, provider, clock } = await openStore(store);
    await runFirst(provider, 'a', {
      start: withAttributes({ customer: 'acme' }),
      events: [{ kind: 'ActivityScheduled', name: 'charge' }],
      workItems: [activity(2)],
      timers: [timer(3, clock.nowMs() + 60_000)],
    });
    await runFirst(provider, 'z', completed);
    await client.raiseEvent('a', 'paid', 5, { key: 'k' });
    const lines: string[] = [];
    for await (const exported of client.exportInstances()) lines.push(JSON.stringify(exported));
    expect(lines).toHaveLength(2);
    const other = new MemoryProvider({ clock });
    const second = new Client(other, { clock });
    const records = lines.map((line) => JSON.parse(line) as unknown);
    const progress: number[] = [];
    expect(await second.importInstances(records, { onProgress: ({ imported }) => progress.push(imported) })).toEqual({
      imported: 2,
      existing: 0,
    });
    expect(progress).toEqual([2]);
    expect(await second.importInstances(records)).toEqual({ imported: 0, existing: 2 });
    expect(await second.getState('a')).toEqual(await client.getState('a'));
    expect(await second.readHistory('a')).toEqual(await client.readHistory('a'));
    expect((await second.listInstances({ attributes: { customer: 'acme' } })).instances).toMatchObject([{ instanceId: 'a' }]);
    expect(payloads(await fetchOne(other))).toEqual(payloads(await fetchOne(provider)));
    expect((await fetchOneWork(other)).payload).toBe('activity 2');
    await other.close();
  });

  test('takes a few instances at a time along, and of those with long histories fewer', async () => {
    const { client, provider, clock, calls } = await openStore(store);
    for (let index = 0; index < 5; index += 1) {
      await runFirst(provider, `long-${index}`, { page: { lastEventId: 1_500, events: '[]' }, ...completed });
    }
    for (let index = 0; index < 30; index += 1) await runFirst(provider, `short-${index}`, completed);
    const records: unknown[] = [];
    for await (const exported of client.exportInstances()) records.push(exported);
    expect(records).toHaveLength(35);
    // Two long ones, two more, the last one with short ones, and the rest.
    expect(calls.filter((call) => call === 'exportInstances')).toHaveLength(4);
    const other = new MemoryProvider({ clock });
    const progress: number[] = [];
    await new Client(other, { clock }).importInstances(records, { onProgress: ({ imported }) => progress.push(imported) });
    expect(progress).toEqual([2, 4, 24, 35]);
    await other.close();
  });

  test('takes along an instance with more timers than a call has arguments', { timeout: 60_000 }, async () => {
    const { client, provider } = await openStore(store);
    await runFirst(provider, 'a');
    const { value: good } = await client.exportInstances().next();
    if (typeof good !== 'object') throw new TypeError('nothing exported');
    await client.deleteInstance('a', { force: true });
    const atMs = 4_000_000_000_000;
    const messages = Array.from({ length: 150_000 }, (_, index) => {
      return { isStart: false, timerEventId: index + 2, key: null, visibleAtMs: atMs + index, payload: '{}' };
    });
    await client.importInstances([{ ...good, instance: { ...good.instance, messages } }]);
    const { instances } = await client.listInstances();
    expect(instances).toMatchObject([{ waitingFor: { timers: 1_000, nextTimerAt: new Date(atMs) } }]);
  });

  test('imports nothing that is no export, and says which record it was', async () => {
    const { client, provider } = await openStore(store);
    await runFirst(provider, 'a');
    const { value: good } = await client.exportInstances().next();
    if (typeof good !== 'object') throw new TypeError('nothing exported');
    const { instance } = good;
    const twice = <Part>(part: Part): readonly Part[] => [part, part];
    const work = { executionId: 1, eventId: 2, name: 'x', payload: '', routing: null, heartbeat: null };
    const message = { isStart: false, timerEventId: null, key: 'k', visibleAtMs: 0, payload: '{}' };
    const bad: readonly unknown[] = [
      null,
      { ...good, version: 2 },
      { ...good, instance: { ...instance, record: { ...instance.record, status: 'Odd' } } },
      { ...good, instance: { ...instance, executions: [] } },
      { ...good, instance: { ...instance, messages: [{}] } },
      { ...good, instance: { ...instance, record: { ...instance.record, attributes: '{"a":{}}' } } },
      ...[{ customStatus: '{' }, { createdAtMs: 9e15 }, { createdAtMs: 1.5 }, { priority: 10 }, { lastEventId: 77 }].map((change) => ({
        ...good,
        instance: { ...instance, record: { ...instance.record, ...change } },
      })),
      ...[twice({ key: 'k', value: '1', updatedAtMs: 1 }), [{ key: 'k', value: '{', updatedAtMs: 1 }]].map((values) => ({
        ...good,
        instance: { ...instance, values },
      })),
      { ...good, instance: { ...instance, executions: [...instance.executions, ...instance.executions] } },
      { ...good, instance: { ...instance, workItems: twice(work) } },
      { ...good, instance: { ...instance, messages: twice(message) } },
    ];
    await client.deleteInstance('a', { force: true });
    for (const record of bad) {
      const error = await rejection(client.importInstances([record, good]));
      expect(error).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringContaining('record 1') as string });
    }
    expect(await client.getState('a')).toBeNull();
    expect(await rejection(client.importInstances(5 as never))).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});

test('a tree may be deeper than the stack', { timeout: 60_000 }, async () => {
  const { client, provider } = await openStore('sqlite');
  await runFirst(provider, 'c0');
  const { value: good } = await client.exportInstances().next();
  if (typeof good !== 'object') throw new TypeError('nothing exported');
  const { instance } = good;
  const chain = Array.from({ length: 9_000 }, (_, index) => {
    const parent = { instanceId: `c${index}`, executionId: 1, eventId: 2 };
    return { ...good, instance: { ...instance, record: { ...instance.record, instanceId: `c${index + 1}`, parent } } };
  });
  await client.importInstances(chain);
  let [tree, depth] = [await client.getTree('c0', { limit: 10_000 }), 0];
  for (let [child] = tree.children; child !== undefined; [child] = tree.children) [tree, depth] = [child, depth + 1];
  expect([depth, tree.instance.instanceId]).toEqual([9_000, 'c9000']);
});
