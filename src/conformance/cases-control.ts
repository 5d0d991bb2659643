// Contract cases: suspend, resume and terminate, what becomes of children, and the runtimes that live. Neighbours: conformance-cases.ts joins
// them, case-kit.ts.
import assert from 'node:assert/strict';
import type { ControlOutcome, ControlRequest, NewInstance, NewMessage, OrchestrationAck, Provider } from '../provider/provider.ts';
import type { InstanceStatus } from '../types/instance.ts';
import type { ParentLink } from '../types/names.ts';
import {
  abandon,
  ack,
  ackWork,
  activity,
  attempts,
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
  LOCK_MS,
  newInstance,
  nextExecution,
  only,
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
  listById,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

type Policy = NewInstance['onParentClose'];

async function control(provider: Provider, request: ControlRequest): Promise<ControlOutcome> {
  return only(await provider.controlInstances([request]));
}

async function suspend(provider: Provider, instanceId = 'a'): Promise<ControlOutcome> {
  return await control(provider, { kind: 'suspend', instanceId });
}

async function resume(provider: Provider, instanceId = 'a'): Promise<ControlOutcome> {
  return await control(provider, { kind: 'resume', instanceId });
}

async function terminate(provider: Provider, instanceId = 'a', parentMessage: NewMessage | null = null): Promise<ControlOutcome> {
  return await control(provider, { kind: 'terminate', instanceId, output: '"terminated"', parentMessage, closeChildren: closing });
}

async function startChild(provider: Provider, instanceId: string, parent: string, onParentClose: Policy): Promise<void> {
  assert.equal(await startOne(provider, instanceId, { parent: link(parent), onParentClose }), 'started');
}

/** What instances are now: status and output. */
async function states(provider: Provider, ...ids: readonly string[]): Promise<readonly (readonly [InstanceStatus, string | null])[]> {
  return await Promise.all(ids.map(async (id) => [(await read(provider, id)).status, (await read(provider, id)).output] as const));
}

const endedStatuses: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated'];

const stopping: readonly ConformanceCase[] = cases('suspend and resume', {
  'a suspended instance takes no turns and keeps its messages until it is resumed': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000)] });
    await enqueue(provider, 'a', 'm1');
    await clock.advance(10);
    assert.equal(await suspend(provider), 'done');
    const { status, updatedAtMs, output } = await read(provider, 'a');
    assert.deepEqual([status, updatedAtMs, output], ['Suspended', clock.nowMs(), null]);
    assert.deepEqual(await enqueue(provider, 'a', 'm2'), ['enqueued']);
    await clock.advance(1_000);
    await fetchNone(provider);
    assert.deepEqual(await queued(provider), [3, 0]);
    assert.equal(await resume(provider), 'done');
    assert.equal((await read(provider, 'a')).status, 'Running');
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'm2', 'timer 2']);
  },
  'an instance without a turn is Pending again when it is resumed': async ({ provider }) => {
    await start(provider, 'a');
    await suspend(provider);
    await enqueue(provider, 'a', 'm');
    await fetchNone(provider);
    await resume(provider);
    assert.equal((await read(provider, 'a')).status, 'Pending');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a', 'm']);
  },
  'an instance in a later execution is Running again when it is resumed': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution });
    await suspend(provider);
    await resume(provider);
    assert.equal((await read(provider, 'a')).status, 'Running');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start next']);
  },
  'a turn under way loses its lock to a suspension': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    await suspend(provider);
    assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
    assert.equal(await abandon(provider, item, { delayMs: 5_000 }), 'lockLost');
    assert.equal(await ack(provider, item, { page: page(2) }), 'lockLost');
    assert.deepEqual(await history(provider, 'a'), []);
    await resume(provider);
    assert.equal(await ack(provider, item, { page: page(2) }), 'lockLost');
    await commit(provider, await fetchOne(provider));
  },
  'activities of a suspended instance go on and their completions are kept': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [two] = await fetchWork(provider, { maxItems: 1 });
    assert.ok(two !== undefined);
    await suspend(provider);
    assert.deepEqual(await renewWork(provider, [two], LOCK_MS), ['done']);
    assert.equal(await ackWork(provider, two), 'done');
    assert.equal(await ackWork(provider, await fetchOneWork(provider)), 'done');
    await fetchNone(provider);
    await resume(provider);
    assert.deepEqual(payloads(await fetchOne(provider)), ['done 2', 'done 3']);
  },
  'a resumed instance has all attempts forgotten': async ({ provider }) => {
    await start(provider, 'a');
    for (let round = 0; round < 3; round += 1) await abandon(provider, await fetchOne(provider));
    await fetchOne(provider);
    await suspend(provider);
    await resume(provider);
    assert.deepEqual(attempts(await fetchOne(provider)), [1]);
  },
  'a quarantined instance can be resumed': async ({ provider }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider));
    await commit(provider, await fetchOne(provider), { status: 'Quarantined', output: '"poison"', consumedMessageIds: [] });
    await fetchNone(provider);
    assert.equal(await resume(provider), 'done');
    assert.deepEqual(await states(provider, 'a'), [['Pending', null]]);
    const item = await fetchOne(provider);
    assert.deepEqual([payloads(item), attempts(item)], [['start a'], [1]]);
  },
  'suspending twice and resuming what runs is unchanged': async ({ provider }) => {
    await start(provider, 'a');
    assert.equal(await resume(provider), 'unchanged');
    await suspend(provider);
    assert.equal(await suspend(provider), 'unchanged');
    await resume(provider);
    assert.equal(await resume(provider), 'unchanged');
    await commit(provider, await fetchOne(provider), { page: page(2) });
    assert.equal(await resume(provider), 'unchanged');
  },
  'suspending what is quarantined is unchanged': async ({ provider }) => {
    await run(provider, 'a', { status: 'Quarantined', output: '"poison"' });
    assert.equal(await suspend(provider), 'unchanged');
    assert.deepEqual(await states(provider, 'a'), [['Quarantined', '"poison"']]);
  },
  'resuming what runs keeps its lock and its attempts': async ({ provider }) => {
    await start(provider, 'a');
    await abandon(provider, await fetchOne(provider));
    const item = await fetchOne(provider);
    assert.equal(await resume(provider), 'unchanged');
    await fetchNone(provider);
    await abandon(provider, item);
    assert.deepEqual(attempts(await fetchOne(provider)), [3]);
  },
  'unknown and ended instances are told': async ({ provider }) => {
    for (const status of endedStatuses) {
      await run(provider, status, { status, output: '"out"' });
      assert.deepEqual(
        [await suspend(provider, status), await resume(provider, status), await terminate(provider, status)],
        ['ended', 'ended', 'ended'],
      );
      assert.deepEqual(await states(provider, status), [[status, '"out"']]);
    }
    assert.deepEqual(
      [await suspend(provider, 'x'), await resume(provider, 'x'), await terminate(provider, 'x')],
      ['notFound', 'notFound', 'notFound'],
    );
  },
  'a bad wish does not fail its neighbours': async ({ provider }) => {
    await start(provider, 'a', 'b');
    const outcomes = await provider.controlInstances([
      { kind: 'suspend', instanceId: 'a' },
      { kind: 'suspend', instanceId: 'unknown' },
      { kind: 'suspend', instanceId: 'a' },
      { kind: 'suspend', instanceId: 'b' },
      { kind: 'resume', instanceId: 'a' },
    ]);
    assert.deepEqual(outcomes, ['done', 'notFound', 'unchanged', 'done', 'done']);
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a']);
    assert.deepEqual(await provider.controlInstances([]), []);
  },
  'a waiting fetch gets an instance that is resumed': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a');
    await suspend(provider);
    const wait = await poll(ctx);
    await resume(provider);
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
  },
  'a suspended instance is listed as such and has its values and its work': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)], effects: effects({ values: [{ key: 'k', value: '1' }] }) });
    await suspend(provider);
    const listed = await listById(provider, { limit: 10, statuses: ['Suspended'] });
    assert.deepEqual(instanceIds(listed), ['a']);
    assert.equal((await provider.readWorkItems('a')).length, 1);
    assert.equal((await provider.readValues('a', null)).length, 1);
  },
});

const living: readonly (readonly [string, Partial<OrchestrationAck> | null])[] = [
  ['Pending', null],
  ['Running', {}],
  ['Suspended', { status: 'Suspended' }],
  ['Quarantined', { status: 'Quarantined', output: '"poison"' }],
];

const terminating: readonly ConformanceCase[] = [
  ...living.flatMap(([status, changes]) =>
    cases('terminate', {
      [`an instance that is ${status} can be terminated`]: async ({ provider, clock }) => {
        if (changes === null) await start(provider, 'a');
        else await run(provider, 'a', changes);
        await clock.advance(10);
        assert.equal(await terminate(provider), 'done');
        const record = await read(provider, 'a');
        assert.deepEqual([record.status, record.output, record.updatedAtMs], ['Terminated', '"terminated"', clock.nowMs()]);
        assert.equal(await terminate(provider), 'ended');
        assert.deepEqual(await enqueue(provider, 'a', 'm'), ['ended']);
        await fetchNone(provider);
      },
    }),
  ),
  ...cases('terminate', {
    'a terminated instance has no messages, timers, work and subscriptions left, but its history and values': async ({
      provider,
      clock,
    }) => {
      await run(provider, 'a', {
        page: page(9),
        customStatus: '1',
        workItems: [activity(2), activity(3)],
        timers: [timer(4, clock.nowMs() + 1_000)],
        effects: effects({
          values: [{ key: 'k', value: '1' }],
          subscriptions: [
            { pattern: 't', subscribed: true },
            { pattern: '*', subscribed: true },
          ],
        }),
      });
      await enqueue(provider, 'a', 'm');
      const [work] = await fetchWork(provider, { maxItems: 1 });
      assert.ok(work !== undefined);
      await terminate(provider);
      assert.deepEqual(await queued(provider), [0, 0]);
      assert.equal(await ackWork(provider, work), 'gone');
      assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['gone']);
      assert.deepEqual(await fetchWork(provider), []);
      assert.deepEqual(await provider.publish([{ topic: 't', payload: 'm' }]), [0]);
      await clock.advance(LOCK_MS);
      await fetchNone(provider);
      assert.equal((await history(provider, 'a')).length, 1);
      assert.equal((await provider.readValues('a', ['k'])).length, 1);
      assert.equal((await read(provider, 'a')).customStatus, '1');
    },
    'a turn under way loses its lock to a termination': async ({ provider }) => {
      await start(provider, 'a');
      const item = await fetchOne(provider);
      await terminate(provider);
      assert.equal(await ack(provider, item, { page: page(2), status: 'Completed', output: '"late"' }), 'lockLost');
      assert.deepEqual(await states(provider, 'a'), [['Terminated', '"terminated"']]);
      assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
      await fetchNone(provider);
    },
    'the parent gets the message that is meant for it': async ({ provider }) => {
      await run(provider, 'p');
      await startChild(provider, 'a', 'p', 'cancel');
      assert.equal(await terminate(provider, 'a', { instanceId: 'p', payload: 'child terminated' }), 'done');
      const item = await fetchOne(provider);
      assert.deepEqual([item.instanceId, payloads(item)], ['p', ['child terminated']]);
    },
    'a parent that has ended or never was is no error': async ({ provider }) => {
      await run(provider, 'p', { status: 'Completed' });
      await start(provider, 'a', 'b');
      assert.equal(await terminate(provider, 'a', { instanceId: 'p', payload: 'm' }), 'done');
      assert.equal(await terminate(provider, 'b', { instanceId: 'unknown', payload: 'm' }), 'done');
      assert.deepEqual(await queued(provider), [0, 0]);
    },
    'what cannot be terminated tells no parent': async ({ provider }) => {
      await run(provider, 'p');
      await run(provider, 'a', { status: 'Completed' });
      assert.equal(await terminate(provider, 'a', { instanceId: 'p', payload: 'm' }), 'ended');
      await fetchNone(provider);
    },
    'a termination ends waits for the end': async (ctx) => {
      await run(ctx.provider, 'a');
      const wait = await watch(ctx, ended);
      await terminate(ctx.provider);
      assert.deepEqual([(await wait.result)?.status, (await wait.result)?.output], ['Terminated', '"terminated"']);
    },
    'a delayed instance can be terminated': async ({ provider, clock }) => {
      await startOne(provider, 'a', { delayMs: 1_000 });
      assert.equal(await terminate(provider), 'done');
      await clock.advance(1_000);
      await fetchNone(provider);
    },
    'a terminated instance can be replaced': async ({ provider }) => {
      await run(provider, 'a');
      await terminate(provider);
      assert.equal(await startOne(provider, 'a', { policy: 'replaceTerminal' }), 'replaced');
      await fetchOne(provider);
    },
    'a waiting parent is woken by the message': async (ctx) => {
      const { provider } = ctx;
      await run(provider, 'p');
      await run(provider, 'a');
      const wait = await poll(ctx);
      await terminate(provider, 'a', { instanceId: 'p', payload: 'm' });
      assert.deepEqual((await wait.result).items.map(payloads), [['m']]);
    },
  }),
];

/** Three children, one of each policy; none of them has had a turn. */
async function startFamily(provider: Provider): Promise<void> {
  await run(provider, 'a');
  for (const policy of ['cancel', 'abandon', 'terminate'] as const) await startChild(provider, policy, 'a', policy);
}

const families: readonly ConformanceCase[] = cases('children', {
  'a termination does to each child what it wants': async ({ provider }) => {
    await startFamily(provider);
    await terminate(provider);
    assert.deepEqual(await states(provider, 'cancel', 'abandon', 'terminate'), [
      ['Pending', null],
      ['Pending', null],
      ['Terminated', '"closed"'],
    ]);
    const taken = (await fetchItems(provider)).map((item) => [item.instanceId, ...payloads(item)]);
    assert.deepEqual(taken, [
      ['abandon', 'start abandon'],
      ['cancel', 'start cancel', 'parent closed'],
    ]);
  },
  'a quarantine does to each child what it wants': async ({ provider }) => {
    await startFamily(provider);
    const family = await fetchItems(provider);
    for (const item of family) await abandon(provider, item, { countAttempt: false });
    await enqueue(provider, 'a', 'poison');
    const items = await fetchItems(provider);
    const parent = items.find(({ instanceId }) => instanceId === 'a');
    const child = items.find(({ instanceId }) => instanceId === 'terminate');
    assert.ok(parent !== undefined && child !== undefined);
    await commit(provider, parent, { status: 'Quarantined', output: '"poison"', closeChildren: closing });
    assert.deepEqual(await states(provider, 'a', 'cancel', 'abandon', 'terminate'), [
      ['Quarantined', '"poison"'],
      ['Pending', null],
      ['Pending', null],
      ['Terminated', '"closed"'],
    ]);
    assert.equal(await ack(provider, child), 'lockLost');
    assert.deepEqual(await queued(provider), [3, 0]);
  },
  'a quarantined parent is told of a child that is terminated with it': async ({ provider }) => {
    await run(provider, 'a');
    await startOne(provider, 'child', { parent: link('a'), onParentClose: 'terminate', parentNotice: 'child ended' });
    await enqueue(provider, 'a', 'poison');
    const parent = (await fetchItems(provider)).find(({ instanceId }) => instanceId === 'a');
    assert.ok(parent !== undefined);
    await commit(provider, parent, { status: 'Quarantined', output: '"poison"', closeChildren: closing });
    await provider.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    assert.ok(payloads(await fetchOne(provider)).includes('child ended'));
  },
  'a turn without wishes for its children leaves them alone, also when it is the last': async ({ provider }) => {
    await startFamily(provider);
    await enqueue(provider, 'a', 'go');
    const items = await fetchItems(provider);
    const parent = items.find(({ instanceId }) => instanceId === 'a');
    assert.ok(parent !== undefined);
    await commit(provider, parent, { status: 'Completed' });
    assert.equal((await read(provider, 'terminate')).status, 'Pending');
    assert.deepEqual(await queued(provider), [3, 0]);
  },
  'a refused turn closes no children': async ({ provider }) => {
    await startFamily(provider);
    await enqueue(provider, 'a', 'go');
    const items = await fetchItems(provider);
    const parent = items.find(({ instanceId }) => instanceId === 'a');
    assert.ok(parent !== undefined);
    assert.equal(await ack(provider, parent, { baseEventId: 99, status: 'Quarantined', closeChildren: closing }), 'conflict');
    assert.equal((await read(provider, 'terminate')).status, 'Pending');
    assert.deepEqual(await queued(provider), [4, 0]);
  },
  'children of a terminated child are closed in the same way': async ({ provider }) => {
    await run(provider, 'a');
    await startChild(provider, 'child', 'a', 'terminate');
    await startChild(provider, 'grandchild', 'child', 'terminate');
    await startChild(provider, 'cancelled', 'child', 'cancel');
    await startChild(provider, 'abandoned', 'child', 'abandon');
    await startChild(provider, 'last', 'grandchild', 'terminate');
    await terminate(provider);
    assert.deepEqual(
      (await states(provider, 'child', 'grandchild', 'last', 'cancelled', 'abandoned')).map(([status]) => status),
      ['Terminated', 'Terminated', 'Terminated', 'Pending', 'Pending'],
    );
    assert.deepEqual((await fetchItems(provider)).map(payloads), [['start abandoned'], ['start cancelled', 'parent closed']]);
  },
  'children of a child that is to cancel or abandoned are left to it': async ({ provider }) => {
    await run(provider, 'a');
    for (const policy of ['cancel', 'abandon'] as const) {
      await startChild(provider, policy, 'a', policy);
      await startChild(provider, `${policy} child`, policy, 'terminate');
    }
    await terminate(provider);
    assert.deepEqual(
      (await states(provider, 'cancel child', 'abandon child')).map(([status]) => status),
      ['Pending', 'Pending'],
    );
  },
  'children that have ended are left alone': async ({ provider }) => {
    await run(provider, 'a');
    for (const policy of ['cancel', 'terminate'] as const) {
      await startChild(provider, policy, 'a', policy);
      await commit(provider, await fetchOne(provider), { status: 'Completed', output: '"done"' });
    }
    await terminate(provider);
    assert.deepEqual(await states(provider, 'cancel', 'terminate'), [
      ['Completed', '"done"'],
      ['Completed', '"done"'],
    ]);
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'children that are suspended or quarantined are closed, too': async ({ provider }) => {
    await run(provider, 'a');
    for (const status of ['Suspended', 'Quarantined'] as const) {
      for (const policy of ['cancel', 'terminate'] as const) {
        await startChild(provider, `${status} ${policy}`, 'a', policy);
        await commit(provider, await fetchOne(provider), { status });
      }
    }
    await terminate(provider);
    assert.deepEqual(
      (await states(provider, 'Suspended terminate', 'Quarantined terminate')).map(([status]) => status),
      ['Terminated', 'Terminated'],
    );
    assert.deepEqual(await queued(provider), [2, 0]);
  },
  'a child that is not yet to start is closed, too': async ({ provider, clock }) => {
    await run(provider, 'a');
    await startOne(provider, 'late', { parent: link('a'), onParentClose: 'terminate', delayMs: 1_000 });
    await terminate(provider);
    await clock.advance(1_000);
    await fetchNone(provider);
    assert.equal((await read(provider, 'late')).status, 'Terminated');
  },
  'what an ack starts is a child, too': async ({ provider }) => {
    const child = newInstance('child', { parent: link('a'), onParentClose: 'terminate' });
    await run(provider, 'a', { starts: [{ ...child, conflictPayload: null }] });
    const record = await read(provider, 'child');
    assert.deepEqual([record.parent, record.onParentClose], [link('a'), 'terminate']);
    await terminate(provider);
    assert.equal((await read(provider, 'child')).status, 'Terminated');
  },
  'children of all executions are closed': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution });
    await commit(provider, await fetchOne(provider), { page: page(2) });
    await startOne(provider, 'old', { parent: link('a', 2, 1), onParentClose: 'terminate' });
    await startOne(provider, 'new', { parent: link('a', 2, 2), onParentClose: 'terminate' });
    await terminate(provider);
    assert.deepEqual(
      (await states(provider, 'old', 'new')).map(([status]) => status),
      ['Terminated', 'Terminated'],
    );
  },
  'who waits for a child is told of its end': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'p');
    await startChild(provider, 'a', 'p', 'terminate');
    const wait = await watch(ctx, ended);
    await terminate(provider, 'p');
    assert.equal((await wait.result)?.output, '"closed"');
  },
  'a family of many is closed': async ({ provider }) => {
    await run(provider, 'a');
    const all = Array.from({ length: 1_500 }, (_, index) => `child ${index}`);
    await provider.startInstances(all.map((id) => newInstance(id, { parent: link('a'), onParentClose: 'terminate' })));
    await terminate(provider);
    assert.deepEqual(await queued(provider), [0, 0]);
    assert.ok((await provider.readInstances(all)).every((record) => record?.status === 'Terminated'));
  },
  'children are listed by their parent': async ({ provider }) => {
    await startFamily(provider);
    await startChild(provider, 'grandchild', 'cancel', 'cancel');
    const listed = async (parentInstanceId: string, rest: Parameters<typeof listById>[1] = {}): Promise<readonly string[]> =>
      instanceIds(await listById(provider, { limit: 10, parentInstanceId, ...rest }));
    assert.deepEqual(await listed('a'), ['abandon', 'cancel', 'terminate']);
    assert.deepEqual(await listed('cancel'), ['grandchild']);
    assert.deepEqual(await listed('grandchild'), []);
    assert.deepEqual(await listed('a', { after: 'abandon', limit: 1 }), ['cancel']);
    await terminate(provider, 'cancel');
    assert.deepEqual(await listed('a', { statuses: ['Pending'] }), ['abandon', 'terminate']);
    assert.deepEqual(await listed('a', { statuses: ['Terminated'] }), ['cancel']);
  },
});

function terminations(...children: readonly (readonly [instanceId: string, parent: ParentLink])[]): Partial<OrchestrationAck> {
  return {
    effects: effects({
      terminations: children.map(([instanceId, parent]) => ({ instanceId, parent, output: '"by parent"', cancelPayload: 'cancel' })),
    }),
  };
}

const byParent: readonly ConformanceCase[] = cases('terminations by a parent', {
  'a turn can terminate a child': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('a') });
    const child = await fetchOne(provider);
    await run(provider, 'a', terminations(['child', link('a')]));
    assert.deepEqual(await states(provider, 'child'), [['Terminated', '"by parent"']]);
    assert.equal(await ack(provider, child), 'lockLost');
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'a turn can terminate what it starts': async ({ provider }) => {
    const child = newInstance('child', { parent: link('a') });
    await run(provider, 'a', { starts: [{ ...child, conflictPayload: null }], ...terminations(['child', link('a')]) });
    assert.equal((await read(provider, 'child')).status, 'Terminated');
    await fetchNone(provider);
  },
  'an instance with another parent link is left alone': async ({ provider }) => {
    const others: Readonly<Record<string, ParentLink | null>> = {
      'another instance': link('b'),
      'another execution': link('a', 2, 2),
      'another event': link('a', 3),
      'no parent': null,
    };
    for (const [instanceId, parent] of Object.entries(others)) {
      await startOne(provider, instanceId, { parent });
      await commit(provider, await fetchOne(provider));
    }
    await run(
      provider,
      'a',
      terminations(...Object.keys(others).map((instanceId) => [instanceId, link('a')] as const), ['unknown', link('a')]),
    );
    for (const instanceId of Object.keys(others)) assert.equal((await read(provider, instanceId)).status, 'Running');
  },
  'a child that has ended is left alone': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('a') });
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '"done"' });
    await run(provider, 'a', terminations(['child', link('a')]));
    assert.deepEqual(await states(provider, 'child'), [['Completed', '"done"']]);
  },
  'a child that is suspended is terminated, too': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('a') });
    await suspend(provider, 'child');
    await run(provider, 'a', terminations(['child', link('a')]));
    assert.equal((await read(provider, 'child')).status, 'Terminated');
  },
  'children of the child that want it are terminated with it': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('a') });
    await startChild(provider, 'grandchild', 'child', 'terminate');
    await startChild(provider, 'abandoned', 'child', 'abandon');
    for (const item of await fetchItems(provider)) await commit(provider, item);
    await run(provider, 'a', terminations(['child', link('a')]));
    assert.deepEqual(
      (await states(provider, 'grandchild', 'abandoned')).map(([status]) => status),
      ['Terminated', 'Running'],
    );
  },
  'children of the child that want to cancel are told to': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('a') });
    await startChild(provider, 'grandchild', 'child', 'cancel');
    for (const item of await fetchItems(provider)) await commit(provider, item);
    await run(provider, 'a', terminations(['child', link('a')]));
    const { instanceId, messages } = await fetchOne(provider);
    assert.deepEqual([instanceId, messages.map(({ payload }) => payload)], ['grandchild', ['cancel']]);
  },
  'who waits for the child is told': async (ctx) => {
    const { provider } = ctx;
    await startOne(provider, 'child', { parent: link('a') });
    await commit(provider, await fetchOne(provider));
    const wait = await watch(ctx, ended, { instanceId: 'child' });
    await run(provider, 'a', terminations(['child', link('a')]));
    assert.equal((await wait.result)?.status, 'Terminated');
  },
  'a refused turn terminates nobody': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('a') });
    await commit(provider, await fetchOne(provider));
    await start(provider, 'a');
    assert.equal(
      await ack(provider, await fetchOne(provider), { lockToken: 'foreign', ...terminations(['child', link('a')]) }),
      'lockLost',
    );
    assert.equal((await read(provider, 'child')).status, 'Running');
  },
});

const runtimes: readonly ConformanceCase[] = cases('runtimes', {
  'a runtime that reports is listed with what it says': async ({ provider, clock }) => {
    assert.deepEqual(await provider.listRuntimes(), []);
    await provider.reportRuntime({ runtimeId: 'n1', payload: '{"x":"😀"}', ttlMs: 5_000 });
    const seenAtMs = clock.nowMs();
    await clock.advance(10);
    assert.deepEqual(await provider.listRuntimes(), [{ runtimeId: 'n1', payload: '{"x":"😀"}', seenAtMs }]);
  },
  'a runtime counts as alive until its time is over': async ({ provider, clock }) => {
    await provider.reportRuntime({ runtimeId: 'n1', payload: '', ttlMs: 1_000 });
    await clock.advance(999);
    assert.equal((await provider.listRuntimes()).length, 1);
    await clock.advance(1);
    assert.deepEqual(await provider.listRuntimes(), []);
  },
  'a new report replaces the last one': async ({ provider, clock }) => {
    await provider.reportRuntime({ runtimeId: 'n1', payload: 'old', ttlMs: 60_000 });
    await clock.advance(500);
    await provider.reportRuntime({ runtimeId: 'n1', payload: 'new', ttlMs: 1_000 });
    assert.deepEqual(await provider.listRuntimes(), [{ runtimeId: 'n1', payload: 'new', seenAtMs: clock.nowMs() }]);
    await clock.advance(1_000);
    assert.deepEqual(await provider.listRuntimes(), []);
  },
  'a runtime that stops is gone at once, others stay': async ({ provider }) => {
    for (const runtimeId of ['n2', 'n10', 'n1']) await provider.reportRuntime({ runtimeId, payload: '', ttlMs: 5_000 });
    await provider.reportRuntime({ runtimeId: 'n10', payload: '', ttlMs: 0 });
    await provider.reportRuntime({ runtimeId: 'never seen', payload: '', ttlMs: 0 });
    assert.deepEqual(
      (await provider.listRuntimes()).map(({ runtimeId }) => runtimeId),
      ['n1', 'n2'],
    );
  },
});

export const controlCases: readonly ConformanceCase[] = [...stopping, ...terminating, ...families, ...byParent, ...runtimes];
