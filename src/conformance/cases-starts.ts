// Contract cases: policies for an id in use, delayed starts, priority of instances. Neighbours: conformance-cases.ts lists them, case-kit.ts.
import assert from 'node:assert/strict';
import { IN_PROGRESS_HEAD_START_MS, PRIORITY_HEAD_START_MS } from '../provider/provider.ts';
import type { InstanceStatus } from '../types/instance.ts';
import {
  abandon,
  ack,
  ackWork,
  activity,
  attempts,
  cases,
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
  LOCK_MS,
  newInstance,
  nextExecution,
  page,
  payloads,
  poll,
  queued,
  read,
  renewWork,
  run,
  start,
  startOne,
  timer,
  watch,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const endedStatuses: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated'];
const livingStatuses: readonly InstanceStatus[] = ['Running', 'Suspended', 'Quarantined'];

const policies: readonly ConformanceCase[] = [
  ...endedStatuses.flatMap((status) =>
    cases('start policies', {
      [`replaceTerminal replaces an instance that is ${status}`]: async ({ provider }) => {
        await run(provider, 'a', { status, output: '"old"', customStatus: '1' });
        assert.equal(await startOne(provider, 'a', { policy: 'replaceTerminal', name: 'other', payload: 'new start' }), 'replaced');
        const record = await read(provider, 'a');
        assert.deepEqual([record.status, record.name, record.output, record.customStatusVersion], ['Pending', 'other', null, 0]);
        assert.deepEqual(payloads(await fetchOne(provider)), ['new start']);
      },
    }),
  ),
  ...livingStatuses.flatMap((status) =>
    cases('start policies', {
      [`replaceTerminal leaves an instance alone that is ${status}`]: async ({ provider }) => {
        await run(provider, 'a', { status });
        const before = await read(provider, 'a');
        assert.equal(await startOne(provider, 'a', { policy: 'replaceTerminal', name: 'other' }), 'exists');
        assert.deepEqual(await read(provider, 'a'), before);
        assert.deepEqual(await queued(provider), [0, 0]);
      },
      [`terminateExisting replaces an instance that is ${status}`]: async ({ provider }) => {
        await run(provider, 'a', { status });
        assert.equal(await startOne(provider, 'a', { policy: 'terminateExisting', payload: 'new start' }), 'replaced');
        assert.deepEqual(payloads(await fetchOne(provider)), ['new start']);
      },
    }),
  ),
  ...cases('start policies', {
    'every policy starts an instance whose id is free': async ({ provider }) => {
      const all = ['fail', 'useExisting', 'replaceTerminal', 'terminateExisting'] as const;
      for (const policy of all) assert.equal(await startOne(provider, policy, { policy }), 'started');
      assert.equal((await fetchItems(provider)).length, 4);
    },
    'useExisting leaves the existing instance alone, also when it has ended': async ({ provider }) => {
      await run(provider, 'a', { status: 'Completed' });
      await start(provider, 'b');
      assert.equal(await startOne(provider, 'a', { policy: 'useExisting', name: 'other' }), 'exists');
      assert.equal(await startOne(provider, 'b', { policy: 'useExisting', name: 'other' }), 'exists');
      assert.deepEqual([(await read(provider, 'a')).name, (await read(provider, 'a')).status], ['order', 'Completed']);
      assert.deepEqual(payloads(await fetchOne(provider)), ['start b']);
    },
    'replaceTerminal leaves an instance alone that has had no turn': async ({ provider }) => {
      await start(provider, 'a');
      assert.equal(await startOne(provider, 'a', { policy: 'replaceTerminal', payload: 'other' }), 'exists');
      assert.deepEqual(payloads(await fetchOne(provider)), ['start a']);
    },
    'replaceTerminal replaces one end only, when it is told which': async ({ provider, clock }) => {
      await run(provider, 'a', { status: 'Failed', output: '"first"' });
      const { endedAtMs } = await read(provider, 'a');
      assert.ok(endedAtMs !== null);
      await clock.advance(10);
      const again = { policy: 'replaceTerminal', replacesEndedAtMs: endedAtMs } as const;
      assert.equal(await startOne(provider, 'a', again), 'replaced');
      assert.equal(await startOne(provider, 'a', again), 'exists');
      await commit(provider, await fetchOne(provider), { page: page(2), status: 'Completed', output: '"second"' });
      assert.equal(await startOne(provider, 'a', again), 'exists');
      assert.equal((await read(provider, 'a')).output, '"second"');
      assert.equal(await startOne(provider, 'b', again), 'started');
    },
    'an instance that replaces another has nothing of it': async ({ provider, clock }) => {
      await run(provider, 'a', {
        page: page(9),
        customStatus: '1',
        next: nextExecution,
        effects: effects({ values: [{ key: 'k', value: '1' }], subscriptions: [{ pattern: 't', subscribed: true }] }),
      });
      await commit(provider, await fetchOne(provider), {
        page: page(3),
        workItems: [activity(2)],
        timers: [timer(3, clock.nowMs() + 1_000)],
        messages: [{ instanceId: 'a', payload: 'old', key: 'k' }],
      });
      await clock.advance(500);
      const nowMs = clock.nowMs();
      assert.equal(
        await startOne(provider, 'a', { policy: 'terminateExisting', version: null, parent: link('p'), priority: 3 }),
        'replaced',
      );
      assert.deepEqual(await read(provider, 'a'), {
        instanceId: 'a',
        name: 'order',
        version: null,
        status: 'Pending',
        // A late answer to the old one does not fit it.
        executionId: 3,
        lastEventId: 0,
        output: null,
        customStatus: null,
        customStatusVersion: 0,
        attributes: null,
        parent: link('p'),
        onParentClose: 'cancel',
        priority: 3,
        createdAtMs: nowMs,
        updatedAtMs: nowMs,
        endedAtMs: null,
      });
      assert.deepEqual([await history(provider, 'a', 1), await history(provider, 'a', 2)], [[], []]);
      assert.deepEqual(await provider.readValues('a', null), []);
      assert.deepEqual(await provider.readWorkItems('a'), []);
      assert.deepEqual(await fetchWork(provider), []);
      assert.deepEqual(await provider.publish([{ topic: 't', payload: 'm' }]), [0]);
      assert.deepEqual(await provider.enqueueMessages([{ instanceId: 'a', payload: 'new', key: 'k' }]), ['enqueued']);
      const item = await fetchOne(provider);
      assert.deepEqual(
        [payloads(item), attempts(item)],
        [
          ['start a', 'new'],
          [1, 1],
        ],
      );
      await commit(provider, item);
      await clock.advance(1_000);
      await fetchNone(provider);
      assert.deepEqual(await queued(provider), [0, 0]);
    },
    'a turn of a replaced instance loses its lock and recreates nothing': async ({ provider }) => {
      await start(provider, 'a');
      const old = await fetchOne(provider);
      await startOne(provider, 'a', { policy: 'terminateExisting', payload: 'new start' });
      assert.equal(await ack(provider, old, { page: page(2), status: 'Completed', workItems: [activity(2)] }), 'lockLost');
      assert.equal(await abandon(provider, old), 'lockLost');
      assert.deepEqual(await provider.renewOrchestrationLocks([old], LOCK_MS), ['lockLost']);
      assert.deepEqual([(await read(provider, 'a')).status, await history(provider, 'a')], ['Pending', []]);
      assert.deepEqual(payloads(await fetchOne(provider)), ['new start']);
    },
    'an activity of a replaced instance cannot complete into the new one': async ({ provider }) => {
      await run(provider, 'a', { workItems: [activity(2)] });
      const old = await fetchOneWork(provider);
      await startOne(provider, 'a', { policy: 'terminateExisting' });
      assert.equal(await ackWork(provider, old), 'gone');
      assert.deepEqual(await renewWork(provider, [old], LOCK_MS), ['gone']);
      await commit(provider, await fetchOne(provider), { page: page(2), workItems: [activity(2, { payload: 'new' })] });
      assert.equal(await ackWork(provider, old), 'gone');
      const current = await fetchOneWork(provider);
      assert.deepEqual([current.payload, current.attempt], ['new', 1]);
      await fetchNone(provider);
    },
    'the parent of a living instance that is replaced is told with its notice': async ({ provider }) => {
      await run(provider, 'p');
      await startOne(provider, 'a', { parent: link('p'), parentNotice: 'replaced' });
      await startOne(provider, 'a', { policy: 'terminateExisting' });
      const told = (await fetchItems(provider)).find(({ instanceId }) => instanceId === 'p');
      assert.deepEqual(
        told?.messages.map(({ payload }) => payload),
        ['replaced'],
      );
    },
    'the parent of an ended instance that is replaced is not told': async ({ provider }) => {
      await run(provider, 'p');
      await startOne(provider, 'a', { parent: link('p'), parentNotice: 'replaced' });
      await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
      await startOne(provider, 'a', { policy: 'terminateExisting' });
      assert.deepEqual(instanceIds(await fetchItems(provider)), ['a']);
    },
    'a wait for the end goes on with the instance that replaces a living one': async (ctx) => {
      const { provider } = ctx;
      await start(provider, 'a');
      const wait = await watch(ctx, ended);
      await startOne(provider, 'a', { policy: 'terminateExisting', name: 'other' });
      await ctx.clock.advance(10);
      assert.equal(wait.isOver(), false);
      await commit(provider, await fetchOne(provider), { status: 'Completed' });
      assert.equal((await wait.result)?.name, 'other');
    },
    'a wait for the end of an execution is over when the instance continues as new, is replaced or ends': async (ctx) => {
      const { provider } = ctx;
      await start(provider, 'a');
      const first = await watch(ctx, { kind: 'executionOver', executionId: 1 });
      await commit(provider, await fetchOne(provider), { next: nextExecution });
      assert.equal((await first.result)?.executionId, 2);
      const second = await watch(ctx, { kind: 'executionOver', executionId: 2 });
      await startOne(provider, 'a', { policy: 'terminateExisting' });
      assert.equal((await second.result)?.executionId, 3);
      const third = await watch(ctx, { kind: 'executionOver', executionId: 3 });
      await commit(provider, await fetchOne(provider), { status: 'Failed' });
      assert.equal((await third.result)?.status, 'Failed');
    },
    'an ack starts by policy, too': async ({ provider }) => {
      await run(provider, 'ended', { status: 'Failed' });
      await run(provider, 'living');
      const replacing = newInstance('ended', { policy: 'replaceTerminal', payload: 'new start' });
      const refused = newInstance('living', { policy: 'replaceTerminal' });
      await run(provider, 'a', {
        starts: [
          { ...replacing, conflictPayload: 'ended is taken' },
          { ...refused, conflictPayload: 'living is taken' },
        ],
      });
      const items = await fetchItems(provider);
      assert.deepEqual(items.flatMap(payloads).toSorted(), ['living is taken', 'new start']);
    },
    'an ack that terminates an existing instance takes its lock': async ({ provider }) => {
      await start(provider, 'a', 'b');
      const [a, b] = await fetchItems(provider);
      assert.ok(a !== undefined && b !== undefined);
      await commit(provider, a, { starts: [{ ...newInstance('b', { policy: 'terminateExisting' }), conflictPayload: 'taken' }] });
      assert.equal(await ack(provider, b), 'lockLost');
      assert.deepEqual(payloads(await fetchOne(provider)), ['start b']);
    },
    'a turn cannot replace its own instance': async ({ provider }) => {
      const itself = { ...newInstance('a', { policy: 'terminateExisting', name: 'other' }), conflictPayload: 'taken' };
      await run(provider, 'a', { starts: [itself] });
      assert.equal((await read(provider, 'a')).name, 'order');
      assert.deepEqual(payloads(await fetchOne(provider)), ['taken']);
    },
  }),
];

const delayedStarts = cases('delayed starts', {
  'a delayed instance is Pending and is handed out when its delay is over': async ({ provider, clock }) => {
    await startOne(provider, 'a', { delayMs: 1_000 });
    assert.equal((await read(provider, 'a')).status, 'Pending');
    assert.deepEqual(await queued(provider), [1, 0]);
    await fetchNone(provider);
    await clock.advance(999);
    await fetchNone(provider);
    await clock.advance(1);
    const item = await fetchOne(provider);
    assert.deepEqual([payloads(item), attempts(item)], [['start a'], [1]]);
  },
  'an instance with a start time is handed out at that time': async ({ provider, clock }) => {
    await startOne(provider, 'a', { startAtMs: clock.nowMs() + 1_000 });
    await clock.advance(999);
    await fetchNone(provider);
    await clock.advance(1);
    await fetchOne(provider);
  },
  'the later of start time and delay counts': async ({ provider, clock }) => {
    await startOne(provider, 'a', { startAtMs: clock.nowMs() + 1_000, delayMs: 2_000 });
    await startOne(provider, 'b', { startAtMs: clock.nowMs() + 2_000, delayMs: 1_000 });
    await clock.advance(1_999);
    await fetchNone(provider);
    await clock.advance(1);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a', 'b']);
  },
  'a start time in the past is now': async ({ provider, clock }) => {
    await startOne(provider, 'a', { startAtMs: clock.nowMs() - 5_000 });
    await fetchOne(provider);
  },
  'T7 messages to a delayed instance are kept and come behind its start': async ({ provider, clock }) => {
    await startOne(provider, 'a', { delayMs: 1_000 });
    assert.deepEqual(await enqueue(provider, 'a', 'm1'), ['enqueued']);
    await clock.advance(500);
    assert.deepEqual(await enqueue(provider, 'a', 'm2'), ['enqueued']);
    await fetchNone(provider);
    await clock.advance(499);
    await fetchNone(provider);
    await clock.advance(1);
    const item = await fetchOne(provider);
    assert.deepEqual(
      [payloads(item), attempts(item)],
      [
        ['start a', 'm1', 'm2'],
        [1, 1, 1],
      ],
    );
  },
  'messages to a delayed instance do not shift its start': async ({ provider, clock }) => {
    await startOne(provider, 'a', { delayMs: 1_000, priority: 9 });
    await enqueue(provider, 'a', 'm');
    await clock.advance(500);
    await start(provider, 'b');
    await clock.advance(500);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'a']);
  },
  'a waiting fetch gets a delayed instance at its time': async (ctx) => {
    await startOne(ctx.provider, 'a', { delayMs: 1_000 });
    await enqueue(ctx.provider, 'a', 'm');
    const wait = await poll(ctx);
    await ctx.clock.advance(999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
  },
  'an instance that an ack starts may be delayed': async ({ provider, clock }) => {
    const startAtMs = clock.nowMs() + 1_000;
    await run(provider, 'a', {
      starts: [{ ...newInstance('child', { startAtMs }), conflictPayload: null }],
      messages: [{ instanceId: 'child', payload: 'cancel' }],
    });
    await fetchNone(provider);
    await clock.advance(1_000);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start child', 'cancel']);
  },
  'a delayed instance can be replaced by one that starts at once': async ({ provider, clock }) => {
    await startOne(provider, 'a', { delayMs: 1_000 });
    await startOne(provider, 'a', { policy: 'terminateExisting', payload: 'new start' });
    await commit(provider, await fetchOne(provider));
    await clock.advance(1_000);
    await fetchNone(provider);
  },
  'a delayed instance that was suspended and resumed still waits for its time': async ({ provider, clock }) => {
    await startOne(provider, 'a', { delayMs: 1_000 });
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    await fetchNone(provider);
    await clock.advance(1_000);
    await fetchOne(provider);
  },
});

const priorities = cases('priority of instances', {
  'an instance with priority goes before one that is ready a little longer': async ({ provider, clock }) => {
    await start(provider, 'a');
    await clock.advance(PRIORITY_HEAD_START_MS - 1);
    await startOne(provider, 'b', { priority: 1 });
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['b', 'a']);
  },
  'nothing waits for ever behind priority': async ({ provider, clock }) => {
    await start(provider, 'z');
    await clock.advance(PRIORITY_HEAD_START_MS + 1);
    await startOne(provider, 'a', { priority: 1 });
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
  'higher priorities go first': async ({ provider, clock }) => {
    for (const priority of [0, 5, 9, 1]) {
      await startOne(provider, `p${priority}`, { priority });
      await clock.advance(1);
    }
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['p9', 'p5', 'p1', 'p0']);
  },
  'a message to an instance with priority has both head starts': async ({ provider, clock }) => {
    await startOne(provider, 'z', { priority: 1 });
    await commit(provider, await fetchOne(provider), { page: page(2) });
    await startOne(provider, 'a', { priority: 1 });
    await clock.advance(IN_PROGRESS_HEAD_START_MS - 1);
    await enqueue(provider, 'z', 'm');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
  'an instance with priority that goes on at once keeps its head start': async ({ provider, clock }) => {
    await startOne(provider, 'z', { priority: 1 });
    const item = await fetchOne(provider);
    await start(provider, 'a');
    await clock.advance(1_000);
    await commit(provider, item, { messages: [{ instanceId: 'z', payload: 'again' }] });
    const [first] = await fetchItems(provider, { maxItems: 1 });
    assert.equal(first?.instanceId, 'z');
    await abandon(provider, first);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
  'delays, timers and expired locks have no head start': async ({ provider, clock }) => {
    const high = { priority: 9 };
    await startOne(provider, 'timer', high);
    await commit(provider, await fetchOne(provider), { timers: [timer(2, clock.nowMs() + 1_000)] });
    await startOne(provider, 'abandoned', high);
    await abandon(provider, await fetchOne(provider), { delayMs: 1_000 });
    await startOne(provider, 'expired', high);
    await fetchOne(provider, { lockMs: 1_000 });
    await startOne(provider, 'delayed', { ...high, delayMs: 1_000 });
    await clock.advance(999);
    await start(provider, 'new');
    await clock.advance(1);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['new', 'abandoned', 'delayed', 'expired', 'timer']);
  },
  'priority survives continue-as-new and is told': async ({ provider, clock }) => {
    await startOne(provider, 'z', { priority: 2 });
    await commit(provider, await fetchOne(provider), { next: nextExecution });
    assert.equal((await read(provider, 'z')).priority, 2);
    await clock.advance(1);
    await start(provider, 'a');
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['z', 'a']);
  },
});

export const startCases: readonly ConformanceCase[] = [...policies, ...delayedStarts, ...priorities];
