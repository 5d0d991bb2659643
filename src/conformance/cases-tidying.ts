// Contract cases: deleting instances, executions and their pruning, what instances wait for. Neighbours: case-kit.ts is what they are written with,
// conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { DeleteOutcome, ExecutionRecord, WaitingCounts } from '../provider/management.ts';
import type { NewInstance, Provider } from '../provider/provider.ts';
import {
  ack,
  ackWork,
  activity,
  attributes,
  cases,
  closing,
  commit,
  effects,
  ended,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  history,
  instanceIds,
  link,
  listAll,
  LOCK_MS,
  newInstance,
  nextExecution,
  only,
  page,
  queued,
  read,
  renewWork,
  routing,
  run,
  start,
  startOne,
  timer,
  watch,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

async function remove(provider: Provider, instanceId: string, isForced = false): Promise<DeleteOutcome> {
  return only(await provider.deleteInstances([{ instanceId, isForced }]));
}

const deleted = (instances: number): DeleteOutcome => ({ kind: 'deleted', instances });

async function startChild(provider: Provider, id: string, parent: string, changes: Partial<NewInstance> = {}): Promise<void> {
  assert.equal(await startOne(provider, id, { parent: link(parent), ...changes }), 'started');
}

async function end(provider: Provider, instanceId: string): Promise<void> {
  const request = { kind: 'terminate', instanceId, output: '"t"', parentMessage: null, closeChildren: closing } as const;
  assert.deepEqual(await provider.controlInstances([request]), ['done']);
}

const all = async (provider: Provider): Promise<readonly string[]> => instanceIds(await listAll(provider));

/** An instance with all that one can have. Nothing else is ready. */
async function runFull(provider: Provider, nowMs: number): Promise<void> {
  await startOne(provider, 'a', { attributes: attributes({ k: '1' }) });
  await commit(provider, await fetchOne(provider), { page: page(2), next: nextExecution });
  await commit(provider, await fetchOne(provider), {
    page: page(4),
    customStatus: '1',
    workItems: [activity(2), activity(3, { routing: routing({ tag: 'gpu' }) }), activity(4, { routing: routing({ sessionId: 's' }) })],
    timers: [timer(5, nowMs + 60_000)],
    effects: effects({
      values: [{ key: 'v', value: '1' }],
      subscriptions: [
        { pattern: 'news', subscribed: true },
        { pattern: 'news/*', subscribed: true },
      ],
    }),
  });
  await enqueue(provider, 'a', 'm1', 'm2');
}

const deletion = cases('delete', {
  'an unknown instance is not found': async ({ provider }) => {
    assert.deepEqual(await remove(provider, 'nobody'), { kind: 'notFound' });
    assert.deepEqual(await provider.deleteInstances([]), []);
  },
  'an instance that has ended goes with all that it had': async ({ provider, clock }) => {
    await runFull(provider, clock.nowMs());
    await end(provider, 'a');
    assert.deepEqual(await remove(provider, 'a'), deleted(1));
    assert.deepEqual(await provider.readInstances(['a']), [null]);
    assert.deepEqual(await all(provider), []);
    assert.deepEqual(await history(provider, 'a', 1), []);
    assert.deepEqual(await history(provider, 'a', 2), []);
    assert.deepEqual(await provider.listExecutions('a'), []);
    assert.deepEqual(await provider.readValues('a', null), []);
    assert.deepEqual(await provider.exportInstances(['a']), [null]);
    assert.deepEqual(await enqueue(provider, 'a', 'm'), ['notFound']);
    assert.deepEqual(await remove(provider, 'a'), { kind: 'notFound' });
  },
  'one that lives stays, unless it is forced': async ({ provider, clock }) => {
    await runFull(provider, clock.nowMs());
    assert.deepEqual(await remove(provider, 'a'), { kind: 'alive' });
    assert.equal((await read(provider, 'a')).executionId, 2);
    assert.deepEqual(await queued(provider), [3, 3]);
    assert.deepEqual(await remove(provider, 'a', true), deleted(1));
    assert.deepEqual(await queued(provider), [0, 0]);
    assert.deepEqual(await provider.readWorkItems('a'), []);
    assert.deepEqual(await provider.publish([{ topic: 'news', payload: 'p' }]), [0]);
    assert.deepEqual(await provider.publish([{ topic: 'news/x', payload: 'p' }]), [0]);
    await clock.advance(LOCK_MS * 10);
    await fetchNone(provider);
    assert.deepEqual(await fetchWork(provider, { select: { kind: 'queue', tags: { kind: 'any' }, session: null } }), []);
    assert.deepEqual(await listAll(provider, { filter: { attributes: attributes({ k: '1' }).list } }), []);
  },
  'only the life that is meant goes: not one that has its id since': async ({ provider, clock }) => {
    await run(provider, 'a', { status: 'Failed', output: '"first"' });
    const { endedAtMs } = await read(provider, 'a');
    assert.ok(endedAtMs !== null);
    const removeFirst = async (isForced = false): Promise<DeleteOutcome> =>
      only(await provider.deleteInstances([{ instanceId: 'a', isForced, endedAtMs }]));
    await clock.advance(10);
    await startOne(provider, 'a', { policy: 'replaceTerminal' });
    assert.deepEqual([await removeFirst(), await removeFirst(true)], [{ kind: 'notFound' }, { kind: 'notFound' }]);
    await commit(provider, await fetchOne(provider), { page: page(2), status: 'Completed', output: '"second"' });
    assert.deepEqual(await removeFirst(), { kind: 'notFound' });
    const second = await read(provider, 'a');
    assert.equal(second.output, '"second"');
    assert.deepEqual(await provider.deleteInstances([{ instanceId: 'a', isForced: false, endedAtMs: second.endedAtMs ?? 0 }]), [
      deleted(1),
    ]);
  },
  'those that rest live': async ({ provider }) => {
    await run(provider, 'quarantined', { status: 'Quarantined', output: '"q"' });
    await start(provider, 'suspended');
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'suspended' }]);
    assert.deepEqual(await remove(provider, 'quarantined'), { kind: 'alive' });
    assert.deepEqual(await remove(provider, 'suspended'), { kind: 'alive' });
    assert.deepEqual(await remove(provider, 'quarantined', true), deleted(1));
    assert.deepEqual(await remove(provider, 'suspended', true), deleted(1));
  },
  'a turn under way loses its lock': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    assert.deepEqual(await remove(provider, 'a', true), deleted(1));
    assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
    assert.equal(await ack(provider, item, { page: page(2), workItems: [activity(2)] }), 'instanceGone');
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'an activity under way is gone': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const work = await fetchOneWork(provider);
    assert.deepEqual(await remove(provider, 'a', true), deleted(1));
    assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['gone']);
    assert.equal(await ackWork(provider, work), 'gone');
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'a place under a limit is free again': async ({ provider }) => {
    const shared = routing({ limit: { key: 'quota', concurrency: 1, rate: null } });
    await run(provider, 'a', { workItems: [activity(2, { routing: shared })] });
    await run(provider, 'b', { workItems: [activity(2, { routing: shared })] });
    const first = await fetchOneWork(provider);
    assert.deepEqual(await fetchWork(provider), []);
    assert.deepEqual(await remove(provider, first.instanceId, true), deleted(1));
    assert.notEqual((await fetchOneWork(provider)).instanceId, first.instanceId);
  },
  'the id can be used again, and nothing of before is there': async ({ provider, clock }) => {
    await runFull(provider, clock.nowMs());
    assert.deepEqual(await remove(provider, 'a', true), deleted(1));
    await start(provider, 'a');
    const record = await read(provider, 'a');
    assert.deepEqual([record.executionId, record.lastEventId, record.customStatus, record.attributes], [1, 0, null, null]);
    assert.deepEqual(await history(provider, 'a', 2), []);
    assert.deepEqual(await provider.readValues('a', null), []);
    const item = await fetchOne(provider);
    assert.deepEqual(
      item.messages.map(({ payload }) => payload),
      ['start a'],
    );
    await commit(provider, item, { page: page(2), status: 'Completed' });
    assert.equal((await history(provider, 'a')).length, 1);
  },
  'who waits for it wakes': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, ended);
    const other = await watch(ctx, { kind: 'value', key: 'k', unless: null });
    await ctx.provider.deleteInstances([{ instanceId: 'a', isForced: true }]);
    assert.deepEqual([await wait.result, await other.result], [null, null]);
  },
  'children and their children go along, and count': async ({ provider }) => {
    await run(provider, 'a');
    for (const id of ['b', 'c']) await startChild(provider, id, 'a', { onParentClose: 'terminate' });
    await startChild(provider, 'd', 'b', { onParentClose: 'terminate' });
    await start(provider, 'other');
    await end(provider, 'a');
    assert.deepEqual(await remove(provider, 'a'), deleted(4));
    assert.deepEqual(await all(provider), ['other']);
  },
  'a child that lives keeps all of its family': async ({ provider }) => {
    await run(provider, 'a');
    await startChild(provider, 'b', 'a');
    await startChild(provider, 'c', 'b', { onParentClose: 'cancel' });
    await end(provider, 'a');
    assert.deepEqual(await remove(provider, 'a'), { kind: 'alive' });
    assert.deepEqual(await all(provider), ['a', 'b', 'c']);
    await end(provider, 'b');
    assert.deepEqual(await remove(provider, 'a'), { kind: 'alive' });
    assert.deepEqual(await remove(provider, 'a', true), deleted(3));
    assert.deepEqual(await all(provider), []);
  },
  'living children that their parent abandons stay, without a parent': async ({ provider, clock }) => {
    await run(provider, 'a');
    await startChild(provider, 'lives', 'a', { onParentClose: 'abandon', parentNotice: 'notice' });
    await startChild(provider, 'grandchild', 'lives', { onParentClose: 'abandon' });
    await startChild(provider, 'over', 'a', { onParentClose: 'abandon' });
    await end(provider, 'over');
    await end(provider, 'a');
    const before = await read(provider, 'lives');
    await clock.advance(10);
    assert.deepEqual(await remove(provider, 'a'), deleted(2));
    assert.deepEqual(await all(provider), ['grandchild', 'lives']);
    assert.deepEqual(await read(provider, 'lives'), { ...before, parent: null });
    assert.deepEqual((await read(provider, 'grandchild')).parent, link('lives'));
    assert.deepEqual(await listAll(provider, { filter: { parentInstanceId: 'a' } }), []);
    // It runs as before, and nobody who takes the id is its parent.
    assert.equal((await fetchItems(provider)).length, 2);
    await start(provider, 'a');
    assert.equal((await provider.exportInstances(['lives']))[0]?.parentNotice, null);
    assert.deepEqual(await remove(provider, 'a', true), deleted(1));
    assert.deepEqual(await all(provider), ['grandchild', 'lives']);
  },
  'a child goes with its parent, and not before it': async ({ provider }) => {
    await run(provider, 'a');
    await startChild(provider, 'b', 'a');
    await end(provider, 'b');
    assert.deepEqual(await remove(provider, 'b'), { kind: 'hasParent' });
    assert.deepEqual(await remove(provider, 'b', true), { kind: 'hasParent' });
    await end(provider, 'a');
    assert.deepEqual(await remove(provider, 'b'), deleted(1));
    assert.deepEqual(await remove(provider, 'a'), deleted(1));
  },
  'a child whose parent is gone, or is another one by now, is nobody’s': async ({ provider }) => {
    await startOne(provider, 'lost', { parent: link('nobody') });
    assert.deepEqual(await remove(provider, 'lost', true), deleted(1));
    await run(provider, 'a');
    await startChild(provider, 'b', 'a', { onParentClose: 'abandon' });
    assert.equal(await startOne(provider, 'a', { policy: 'terminateExisting' }), 'replaced');
    assert.deepEqual(await remove(provider, 'a', true), deleted(1));
    assert.deepEqual(await all(provider), ['b']);
    assert.equal(await startOne(provider, 'a'), 'started');
  },
  'children of an execution that was pruned are its children': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution });
    await startChild(provider, 'b', 'a', { onParentClose: 'terminate' });
    await commit(provider, only((await fetchItems(provider)).filter(({ instanceId }) => instanceId === 'a')), { next: nextExecution });
    assert.deepEqual(await provider.pruneExecutions([{ instanceId: 'a', keepLast: 1, endedBeforeMs: null }]), [2]);
    assert.deepEqual(await remove(provider, 'b', true), { kind: 'hasParent' });
    await end(provider, 'a');
    assert.deepEqual(await remove(provider, 'a'), deleted(2));
    assert.deepEqual(await all(provider), []);
  },
  'many are deleted at once, each by itself, in order': async ({ provider }) => {
    await run(provider, 'a', { status: 'Completed' });
    await run(provider, 'p');
    await startChild(provider, 'child', 'p', { onParentClose: 'terminate' });
    await end(provider, 'p');
    await start(provider, 'b');
    const outcomes = await provider.deleteInstances(
      ['a', 'nobody', 'b', 'a', 'p', 'child'].map((instanceId) => ({ instanceId, isForced: false })),
    );
    assert.deepEqual(outcomes, [
      deleted(1),
      { kind: 'notFound' },
      { kind: 'alive' },
      { kind: 'notFound' },
      deleted(2),
      { kind: 'notFound' },
    ]);
    assert.deepEqual(await all(provider), ['b']);
  },
  'a large family is deleted': async ({ provider }) => {
    await run(provider, 'a');
    const children = Array.from({ length: 1_500 }, (_, index) => `c${index}`);
    await provider.startInstances(children.map((id) => ({ ...newInstance(id), parent: link('a'), onParentClose: 'terminate' as const })));
    await end(provider, 'a');
    assert.deepEqual(await remove(provider, 'a'), deleted(1_501));
    assert.deepEqual(await all(provider), []);
  },
});

const past = (executionId: number, endedAtMs: number): ExecutionRecord => ({
  executionId,
  name: 'order',
  version: '1.0.0',
  status: 'ContinuedAsNew',
  lastEventId: 2,
  endedAtMs,
});

/** An instance at its fifth execution, a second apart. Returns when the first one ended. */
async function runFive(
  provider: Provider,
  clock: { readonly nowMs: () => number; readonly advance: (ms: number) => Promise<void> },
): Promise<number> {
  const firstMs = clock.nowMs();
  await start(provider, 'a');
  for (let execution = 1; execution < 5; execution += 1) {
    await commit(provider, await fetchOne(provider), { page: page(2), next: nextExecution });
    await clock.advance(1_000);
  }
  await commit(provider, await fetchOne(provider), { page: page(3), effects: effects({ values: [{ key: 'k', value: '1' }] }) });
  return firstMs;
}

const executions = cases('executions', {
  'executions are listed, the oldest first, the current one last': async ({ provider, clock }) => {
    assert.deepEqual(await provider.listExecutions('a'), []);
    await start(provider, 'a');
    const first = { executionId: 1, name: 'order', version: '1.0.0', status: 'Pending', lastEventId: 0, endedAtMs: null } as const;
    assert.deepEqual(await provider.listExecutions('a'), [first]);
    await clock.advance(5);
    const next = { name: 'refund', version: null, payload: 'start next' };
    await commit(provider, await fetchOne(provider), { version: '1.2.0', page: page(3), next });
    const continued = { ...first, version: '1.2.0', status: 'ContinuedAsNew', lastEventId: 3, endedAtMs: clock.nowMs() };
    const second = { executionId: 2, name: 'refund', version: null, status: 'Running', lastEventId: 0, endedAtMs: null };
    assert.deepEqual(await provider.listExecutions('a'), [continued, second]);
    await clock.advance(5);
    await commit(provider, await fetchOne(provider), { version: '2.0.0', page: page(4), status: 'Failed', output: '"e"' });
    const over = { ...second, version: '2.0.0', status: 'Failed', lastEventId: 4, endedAtMs: clock.nowMs() };
    assert.deepEqual(await provider.listExecutions('a'), [continued, over]);
  },
  'who replaced another has its own executions only': async ({ provider, clock }) => {
    await runFive(provider, clock);
    assert.equal(await startOne(provider, 'a', { policy: 'terminateExisting' }), 'replaced');
    const found = await provider.listExecutions('a');
    assert.deepEqual(
      found.map(({ executionId, status }) => [executionId, status]),
      [[6, 'Pending']],
    );
  },
  'executions are pruned by their number': async ({ provider, clock }) => {
    const firstMs = await runFive(provider, clock);
    assert.deepEqual(await provider.pruneExecutions([{ instanceId: 'a', keepLast: 3, endedBeforeMs: null }]), [2]);
    const left = await provider.listExecutions('a');
    assert.deepEqual(left.slice(0, 2), [past(3, firstMs + 2_000), past(4, firstMs + 3_000)]);
    assert.equal(left.length, 3);
    assert.deepEqual(await Promise.all([1, 2, 3, 4, 5].map(async (id) => (await history(provider, 'a', id)).length)), [0, 0, 1, 1, 1]);
    assert.deepEqual(await provider.pruneExecutions([{ instanceId: 'a', keepLast: 3, endedBeforeMs: null }]), [0]);
  },
  'executions are pruned by their age': async ({ provider, clock }) => {
    const firstMs = await runFive(provider, clock);
    const request = { instanceId: 'a', keepLast: null, endedBeforeMs: firstMs + 1_000 };
    assert.deepEqual(await provider.pruneExecutions([request]), [1]);
    assert.deepEqual((await provider.listExecutions('a'))[0], past(2, firstMs + 1_000));
  },
  'by number and age only those go that are both': async ({ provider, clock }) => {
    const firstMs = await runFive(provider, clock);
    const prune = async (keepLast: number | null, endedBeforeMs: number | null): Promise<readonly number[]> =>
      await provider.pruneExecutions([{ instanceId: 'a', keepLast, endedBeforeMs }]);
    assert.deepEqual(await prune(4, firstMs + 60_000), [1]);
    assert.deepEqual(await prune(1, firstMs + 2_000), [1]);
    assert.deepEqual(
      (await provider.listExecutions('a')).map(({ executionId }) => executionId),
      [3, 4, 5],
    );
  },
  'without number and age none goes': async ({ provider, clock }) => {
    await runFive(provider, clock);
    assert.deepEqual(await provider.pruneExecutions([{ instanceId: 'a', keepLast: null, endedBeforeMs: null }]), [0]);
    assert.equal((await provider.listExecutions('a')).length, 5);
  },
  'the current execution and the values stay, also of an instance that has ended': async ({ provider, clock }) => {
    await runFive(provider, clock);
    await end(provider, 'a');
    await clock.advance(60_000);
    const request = { instanceId: 'a', keepLast: 0, endedBeforeMs: clock.nowMs() };
    assert.deepEqual(await provider.pruneExecutions([request, request, { ...request, instanceId: 'nobody' }]), [4, 0, 0]);
    assert.equal((await history(provider, 'a', 5)).length, 1);
    assert.equal((await provider.readValues('a', null)).length, 1);
    assert.equal((await read(provider, 'a')).executionId, 5);
  },
  'an instance goes on after its past was pruned': async ({ provider, clock }) => {
    await runFive(provider, clock);
    await provider.pruneExecutions([{ instanceId: 'a', keepLast: 1, endedBeforeMs: null }]);
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { page: page(5), next: nextExecution });
    assert.deepEqual(
      (await provider.listExecutions('a')).map(({ executionId }) => executionId),
      [5, 6],
    );
    // What a turn has not begun yet is begun when it is resumed; an instance with a past has.
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.equal((await read(provider, 'a')).status, 'Running');
  },
});

const NOTHING: WaitingCounts = {
  activities: 0,
  runningActivities: 0,
  timers: 0,
  nextTimerAtMs: null,
  messages: 0,
  children: 0,
  readyAtMs: null,
  isLocked: false,
};

const counts = cases('waiting counts', {
  'an unknown instance and one that has ended have nothing': async ({ provider }) => {
    await run(provider, 'a', { status: 'Completed' });
    await startChild(provider, 'child', 'nobody');
    assert.deepEqual(await provider.countWaiting(['nobody', 'a']), [NOTHING, NOTHING]);
    assert.deepEqual(await provider.countWaiting([]), []);
  },
  'what stands in the queues is counted': async ({ provider, clock }) => {
    const nowMs = clock.nowMs();
    await run(provider, 'a', {
      workItems: [activity(2), activity(3), activity(4, { routing: routing({ tag: 'gpu' }) })],
      timers: [timer(5, nowMs + 9_000), timer(6, nowMs + 5_000)],
    });
    await run(provider, 'b');
    const idle = { ...NOTHING, activities: 3, timers: 2, nextTimerAtMs: nowMs + 5_000, readyAtMs: nowMs + 5_000 };
    assert.deepEqual(await provider.countWaiting(['b', 'a', 'b']), [NOTHING, idle, NOTHING]);
    await fetchWork(provider, { maxItems: 1, lockMs: 1_000 });
    assert.deepEqual(only(await provider.countWaiting(['a'])), { ...idle, runningActivities: 1 });
    await clock.advance(1_000);
    assert.equal(only(await provider.countWaiting(['a'])).runningActivities, 0);
  },
  'messages are counted, also while a turn has them': async ({ provider, clock }) => {
    await start(provider, 'a');
    await enqueue(provider, 'a', 'm1', 'm2');
    const waiting = only(await provider.countWaiting(['a']));
    assert.deepEqual({ ...waiting, readyAtMs: null }, { ...NOTHING, messages: 3 });
    assert.ok((waiting.readyAtMs ?? Number.POSITIVE_INFINITY) <= clock.nowMs());
    const item = await fetchOne(provider, { lockMs: 1_000 });
    assert.deepEqual(only(await provider.countWaiting(['a'])), {
      ...NOTHING,
      messages: 3,
      isLocked: true,
      readyAtMs: clock.nowMs() + 1_000,
    });
    await commit(provider, item);
    assert.deepEqual(only(await provider.countWaiting(['a'])), NOTHING);
  },
  'a delayed start and an instance that rests tell when they are ready': async ({ provider, clock }) => {
    await startOne(provider, 'late', { delayMs: 5_000 });
    await start(provider, 'a');
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    const [late, suspended] = await provider.countWaiting(['late', 'a']);
    assert.deepEqual(late, { ...NOTHING, messages: 1, readyAtMs: clock.nowMs() + 5_000 });
    assert.deepEqual(suspended, { ...NOTHING, messages: 1 });
  },
  'living children are counted': async ({ provider }) => {
    await run(provider, 'a');
    for (const id of ['b', 'c', 'd']) await startChild(provider, id, 'a', { onParentClose: 'abandon' });
    await startChild(provider, 'e', 'b');
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'd' }]);
    await end(provider, 'c');
    const [a, b] = await provider.countWaiting(['a', 'b']);
    assert.deepEqual([a?.children, b?.children], [2, 1]);
  },
  'counting ends at a thousand': async ({ provider, clock }) => {
    const many = Array.from({ length: 1_100 }, (_, index) => index + 2);
    await run(provider, 'a', {
      workItems: many.map((id) => activity(id)),
      timers: many.map((id) => timer(id + 2_000, clock.nowMs() + id)),
      messages: many.map((id) => ({ instanceId: 'a', payload: `m${id}` })),
      starts: many.map((id) => ({ ...newInstance(`c${id}`), parent: link('a'), conflictPayload: null })),
    });
    const found = only(await provider.countWaiting(['a']));
    const numbers = [found.activities, found.timers, found.messages, found.children];
    assert.deepEqual(numbers, [1_000, 1_000, 1_000, 1_000]);
    assert.equal(found.nextTimerAtMs, clock.nowMs() + 2);
  },
});

/** See the head of this file. */
export const tidyingCases: readonly ConformanceCase[] = [...deletion, ...executions, ...counts];
