// Contract cases: subscriptions and publications, and keys of messages. Neighbours: conformance-cases.ts lists them, case-kit.ts.
import assert from 'node:assert/strict';
import type { OrchestrationAck, Provider } from '../provider/provider.ts';
import type { InstanceStatus } from '../types/instance.ts';
import {
  abandon,
  ack,
  activity,
  cases,
  commit,
  effects,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  instanceIds,
  newInstance,
  nextExecution,
  only,
  payloads,
  poll,
  queued,
  run,
  start,
  startOne,
  watch,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

function subscribing(...patterns: readonly string[]): Partial<OrchestrationAck> {
  return { effects: effects({ subscriptions: patterns.map((pattern) => ({ pattern, subscribed: true })) }) };
}

async function publish(provider: Provider, topic: string, payload = `on ${topic}`): Promise<number> {
  return only(await provider.publish([{ topic, payload }]));
}

/** Subscribes or unsubscribes in one more turn of an instance that waits. */
async function change(provider: Provider, instanceId: string, pattern: string, subscribed: boolean): Promise<void> {
  await enqueue(provider, instanceId, 'go');
  await commit(provider, await fetchOne(provider), { effects: effects({ subscriptions: [{ pattern, subscribed }] }) });
}

const matching: readonly (readonly [pattern: string, topic: string, matches: boolean])[] = [
  ['orders', 'orders', true],
  ['orders', 'Orders', false],
  ['orders', 'orders/eu', false],
  ['orders/eu', 'orders', false],
  ['orders/eu/created', 'orders/eu/created', true],
  ['orders/*', 'orders/eu', true],
  ['orders/*', 'orders', false],
  ['orders/*', 'orders/eu/created', false],
  ['*/created', 'orders/created', true],
  ['orders/*/created', 'orders/eu/created', true],
  ['orders/*/created', 'orders/eu/deleted', false],
  ['*', 'orders', true],
  ['*', 'orders/eu', false],
  ['**', 'orders', true],
  ['**', 'orders/eu/created', true],
  ['orders/**', 'orders/eu', true],
  ['orders/**', 'orders/eu/created', true],
  ['orders/**', 'orders', false],
  ['*/eu/**', 'orders/eu/a/b', true],
  ['orders/%', 'orders/x', false],
  ['orders/_', 'orders/x', false],
  ['orders/[a-z]', 'orders/x', false],
  ['orders/?', 'orders/x', false],
];

const endings: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated'];
const receiving: readonly InstanceStatus[] = ['Running', 'Suspended', 'Quarantined'];

const topics: readonly ConformanceCase[] = [
  ...matching.flatMap(([pattern, topic, matches]) =>
    cases('topics', {
      [`a subscription to ${pattern} ${matches ? 'gets' : 'does not get'} what is published to ${topic}`]: async ({ provider }) => {
        await run(provider, 'a', subscribing(pattern));
        assert.equal(await publish(provider, topic, 'm'), matches ? 1 : 0);
        if (matches) assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
        else await fetchNone(provider);
      },
    }),
  ),
  ...endings.flatMap((status) =>
    cases('topics', {
      [`an instance that is ${status} is not subscribed any more`]: async ({ provider }) => {
        await run(provider, 'a', subscribing('t', 'u/*'));
        await enqueue(provider, 'a', 'go');
        await commit(provider, await fetchOne(provider), { ...subscribing('v'), status });
        assert.deepEqual([await publish(provider, 't'), await publish(provider, 'u/x'), await publish(provider, 'v')], [0, 0, 0]);
        assert.deepEqual(await queued(provider), [0, 0]);
      },
    }),
  ),
  ...receiving.flatMap((status) =>
    cases('topics', {
      [`an instance that is ${status} gets publications`]: async ({ provider }) => {
        await run(provider, 'a', { ...subscribing('t'), status });
        assert.equal(await publish(provider, 't'), 1);
        assert.deepEqual(await queued(provider), [1, 0]);
      },
    }),
  ),
  ...cases('topics', {
    'a publication goes to every subscriber': async ({ provider }) => {
      await run(provider, 'a', subscribing('t'));
      await run(provider, 'b', subscribing('*'));
      await run(provider, 'c', subscribing('other'));
      await run(provider, 'd', subscribing('**'));
      assert.equal(await publish(provider, 't', 'm'), 3);
      const items = await fetchItems(provider);
      assert.deepEqual(instanceIds(items).toSorted(), ['a', 'b', 'd']);
      assert.deepEqual(items.map(payloads), [['m'], ['m'], ['m']]);
    },
    'a publication without subscribers goes nowhere and is not kept': async ({ provider }) => {
      assert.equal(await publish(provider, 't'), 0);
      await run(provider, 'a', subscribing('t'));
      await fetchNone(provider);
    },
    'an instance gets one message however many of its patterns match': async ({ provider }) => {
      await run(provider, 'a', subscribing('orders/eu', 'orders/*', '**', '*/eu', 'orders/**'));
      assert.equal(await publish(provider, 'orders/eu', 'm'), 1);
      assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
    },
    'publications come in their order': async ({ provider }) => {
      await run(provider, 'a', subscribing('**'));
      const batch = ['x', 'y', 'none', 'x'].map((topic, index) => ({ topic, payload: `${topic} ${index}` }));
      assert.deepEqual(await provider.publish(batch), [1, 1, 1, 1]);
      await enqueue(provider, 'a', 'last');
      assert.deepEqual(payloads(await fetchOne(provider)), ['x 0', 'y 1', 'none 2', 'x 3', 'last']);
    },
    'a batch of publications is answered in its order': async ({ provider }) => {
      await run(provider, 'a', subscribing('x'));
      await run(provider, 'b', subscribing('x', 'y'));
      const batch = ['y', 'none', 'x'].map((topic) => ({ topic, payload: 'm' }));
      assert.deepEqual(await provider.publish(batch), [1, 0, 2]);
      assert.deepEqual(await provider.publish([]), []);
    },
    'subscribing twice is subscribing once': async ({ provider }) => {
      await run(provider, 'a', subscribing('t', 't', 'u/*', 'u/*'));
      await change(provider, 'a', 't', true);
      assert.deepEqual([await publish(provider, 't'), await publish(provider, 'u/x')], [1, 1]);
      await commit(provider, await fetchOne(provider));
      await change(provider, 'a', 't', false);
      await change(provider, 'a', 'u/*', false);
      assert.deepEqual([await publish(provider, 't'), await publish(provider, 'u/x')], [0, 0]);
    },
    'a subscription can end and begin anew': async ({ provider }) => {
      await run(provider, 'a', subscribing('t', 'u/*'));
      await change(provider, 'a', 't', false);
      assert.deepEqual([await publish(provider, 't'), await publish(provider, 'u/x')], [0, 1]);
      await commit(provider, await fetchOne(provider));
      await change(provider, 'a', 't', true);
      assert.equal(await publish(provider, 't'), 1);
    },
    'the end of one subscription leaves others alone that match the same': async ({ provider }) => {
      await run(provider, 'a', subscribing('t', '*'));
      await run(provider, 'b', subscribing('t'));
      await change(provider, 'a', 't', false);
      assert.equal(await publish(provider, 't'), 2);
    },
    'ending a subscription that does not exist is no error': async ({ provider }) => {
      await run(provider, 'a');
      await change(provider, 'a', 't', false);
    },
    'subscriptions of one turn apply in their order': async ({ provider }) => {
      const subscriptions = [
        { pattern: 'on', subscribed: false },
        { pattern: 'on', subscribed: true },
        { pattern: 'off', subscribed: true },
        { pattern: 'off', subscribed: false },
      ];
      await run(provider, 'a', { effects: effects({ subscriptions }) });
      assert.deepEqual([await publish(provider, 'on'), await publish(provider, 'off')], [1, 0]);
    },
    'a turn that publishes reaches subscribers, itself included': async ({ provider }) => {
      await run(provider, 'b', subscribing('t'));
      await run(provider, 'a', {
        effects: effects({ subscriptions: [{ pattern: 't', subscribed: true }], publications: [{ topic: 't', payload: 'm' }] }),
      });
      const items = await fetchItems(provider);
      assert.deepEqual(instanceIds(items).toSorted(), ['a', 'b']);
      assert.deepEqual(items.map(payloads), [['m'], ['m']]);
    },
    'publications of a turn come behind its messages': async ({ provider }) => {
      await run(provider, 'b', subscribing('t'));
      await run(provider, 'a', {
        messages: [{ instanceId: 'b', payload: 'message' }],
        effects: effects({
          publications: [
            { topic: 't', payload: 'first' },
            { topic: 't', payload: 'second' },
          ],
        }),
      });
      assert.deepEqual(payloads(await fetchOne(provider)), ['message', 'first', 'second']);
    },
    'an instance publishes with its last turn': async ({ provider }) => {
      await run(provider, 'b', subscribing('t'));
      await run(provider, 'a', { effects: effects({ publications: [{ topic: 't', payload: 'bye' }] }), status: 'Completed' });
      assert.deepEqual(payloads(await fetchOne(provider)), ['bye']);
    },
    'a refused turn neither subscribes nor publishes': async ({ provider }) => {
      await run(provider, 'b', subscribing('t'));
      await start(provider, 'a');
      const asked = effects({ subscriptions: [{ pattern: 't', subscribed: true }], publications: [{ topic: 't', payload: 'm' }] });
      assert.equal(await ack(provider, await fetchOne(provider), { lockToken: 'foreign', effects: asked }), 'lockLost');
      await fetchNone(provider);
      assert.equal(await publish(provider, 't'), 1);
    },
    'subscriptions outlive continue-as-new': async ({ provider }) => {
      await run(provider, 'a', { ...subscribing('t'), next: nextExecution });
      assert.equal(await publish(provider, 't', 'm'), 1);
      assert.deepEqual(payloads(await fetchOne(provider)), ['start next', 'm']);
    },
    'a publication waits while its receiver is locked': async ({ provider }) => {
      await run(provider, 'a', subscribing('t'));
      await enqueue(provider, 'a', 'go');
      const item = await fetchOne(provider);
      assert.equal(await publish(provider, 't', 'm'), 1);
      await fetchNone(provider);
      await commit(provider, item);
      assert.deepEqual(payloads(await fetchOne(provider)), ['m']);
    },
    'a waiting fetch gets a publication': async (ctx) => {
      await run(ctx.provider, 'a', subscribing('t/*'));
      const wait = await poll(ctx);
      await publish(ctx.provider, 't/x', 'm');
      assert.deepEqual((await wait.result).items.map(payloads), [['m']]);
    },
    'a publication with a key is refused by subscribers that have it queued': async ({ provider }) => {
      await run(provider, 'a', subscribing('t'));
      await run(provider, 'b', subscribing('t'));
      await provider.enqueueMessages([{ instanceId: 'a', payload: 'first', key: 'k' }]);
      assert.deepEqual(await provider.publish([{ topic: 't', payload: 'second', key: 'k' }]), [1]);
      assert.deepEqual(await provider.publish([{ topic: 't', payload: 'third', key: 'k' }]), [0]);
      assert.deepEqual((await fetchItems(provider)).map(payloads), [['first'], ['second']]);
    },
    'many subscribers get a publication': async ({ provider }) => {
      const all = Array.from({ length: 1_500 }, (_, index) => `i${String(index).padStart(4, '0')}`);
      await start(provider, ...all);
      for (const item of await fetchItems(provider, { maxItems: 1_500 })) {
        await commit(provider, item, subscribing(item.instanceId.endsWith('0') ? 't' : '*', `own/${item.instanceId}`));
      }
      assert.equal(await publish(provider, 't'), 1_500);
      assert.equal(await publish(provider, 'own/i0007'), 1);
      assert.deepEqual(await queued(provider), [1_501, 0]);
    },
  }),
];

const keys = cases('message keys', {
  'T55 a message whose key is queued is a duplicate and is dropped': async ({ provider }) => {
    await run(provider, 'a');
    const batch = [
      { instanceId: 'a', payload: 'm1', key: 'k' },
      { instanceId: 'a', payload: 'm2', key: 'k' },
      { instanceId: 'a', payload: 'm3', key: 'other' },
      { instanceId: 'a', payload: 'm4' },
    ];
    assert.deepEqual(await provider.enqueueMessages(batch), ['enqueued', 'duplicate', 'enqueued', 'enqueued']);
    assert.deepEqual(await provider.enqueueMessages(batch.slice(0, 1)), ['duplicate']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1', 'm3', 'm4']);
  },
  'a key is free again when its message was received': async ({ provider }) => {
    await run(provider, 'a');
    const message = { instanceId: 'a', payload: 'm', key: 'k' };
    await provider.enqueueMessages([message]);
    const item = await fetchOne(provider);
    assert.deepEqual(await provider.enqueueMessages([message]), ['duplicate']);
    await abandon(provider, item);
    assert.deepEqual(await provider.enqueueMessages([message]), ['duplicate']);
    await commit(provider, await fetchOne(provider));
    assert.deepEqual(await provider.enqueueMessages([message]), ['enqueued']);
  },
  'a message that a turn leaves keeps its key': async ({ provider }) => {
    await run(provider, 'a');
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    await commit(provider, await fetchOne(provider), { consumedMessageIds: [] });
    assert.deepEqual(await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]), ['duplicate']);
  },
  'equal keys of two instances are two keys': async ({ provider }) => {
    await run(provider, 'a');
    await run(provider, 'b');
    const batch = ['a', 'b'].map((instanceId) => ({ instanceId, payload: 'm', key: 'k' }));
    assert.deepEqual(await provider.enqueueMessages(batch), ['enqueued', 'enqueued']);
  },
  'unknown and ended instances are told before duplicates': async ({ provider }) => {
    await run(provider, 'ended', { status: 'Completed' });
    const batch = ['unknown', 'unknown', 'ended', 'ended'].map((instanceId) => ({ instanceId, payload: 'm', key: 'k' }));
    assert.deepEqual(await provider.enqueueMessages(batch), ['notFound', 'notFound', 'ended', 'ended']);
  },
  'messages of a turn have keys, too': async ({ provider }) => {
    await run(provider, 'b');
    await run(provider, 'a', { messages: ['m1', 'm2'].map((payload) => ({ instanceId: 'b', payload, key: 'k' })) });
    assert.deepEqual(await provider.enqueueMessages([{ instanceId: 'b', payload: 'm3', key: 'k' }]), ['duplicate']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['m1']);
  },
  'an empty key is a key, hostile keys are told apart': async ({ provider }) => {
    await run(provider, 'a');
    const all = ['', 'a', 'A', 'a ', `';--`, '__proto__', '😀', '%', 'null'];
    const batch = all.map((key) => ({ instanceId: 'a', payload: key, key }));
    assert.deepEqual(
      await provider.enqueueMessages(batch),
      all.map(() => 'enqueued'),
    );
    assert.deepEqual(
      await provider.enqueueMessages(batch),
      all.map(() => 'duplicate'),
    );
  },
  'keys survive continue-as-new with their messages': async ({ provider }) => {
    await run(provider, 'a');
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    await commit(provider, await fetchOne(provider), { consumedMessageIds: [], next: nextExecution });
    assert.deepEqual(await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]), ['duplicate']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['start next', 'm']);
  },
  'keys reach a delayed and a suspended instance': async ({ provider }) => {
    await startOne(provider, 'a', { delayMs: 1_000 });
    await run(provider, 'b', { status: 'Suspended' });
    const batch = ['a', 'b', 'a', 'b'].map((instanceId) => ({ instanceId, payload: 'm', key: 'k' }));
    assert.deepEqual(await provider.enqueueMessages(batch), ['enqueued', 'enqueued', 'duplicate', 'duplicate']);
  },
});

const received = { kind: 'received', key: 'k' } as const;

const waits = cases('waits for receipt', {
  'a wait for receipt is over at once when nothing with the key is queued': async ({ provider }) => {
    await run(provider, 'a');
    await enqueue(provider, 'a', 'm');
    assert.equal((await provider.waitForInstance({ instanceId: 'a', condition: received, waitMs: 10_000 }))?.instanceId, 'a');
    assert.equal(await provider.waitForInstance({ instanceId: 'unknown', condition: received, waitMs: 10_000 }), null);
  },
  'a wait for receipt is woken by the turn that takes the message': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a');
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    const wait = await watch(ctx, received);
    const item = await fetchOne(provider);
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await commit(provider, item, { consumedMessageIds: [], messages: [{ instanceId: 'a', payload: 'again' }] });
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await commit(provider, await fetchOne(provider));
    assert.equal((await wait.result)?.status, 'Running');
  },
  'the end of the instance ends a wait for receipt': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a');
    await enqueue(provider, 'a', 'go');
    const item = await fetchOne(provider);
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    const wait = await watch(ctx, received);
    await commit(provider, item, { status: 'Completed' });
    assert.equal((await wait.result)?.status, 'Completed');
  },
  'a suspended instance does not end a wait for receipt, its termination does': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', { workItems: [activity(2)] });
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    const wait = await watch(ctx, received);
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    const closeChildren = { cancelPayload: 'cancel', output: '"t"' };
    await provider.controlInstances([{ kind: 'terminate', instanceId: 'a', output: '"t"', parentMessage: null, closeChildren }]);
    assert.equal((await wait.result)?.status, 'Terminated');
  },
  'the replacement of the instance ends a wait for receipt': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a');
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'm', key: 'k' }]);
    const wait = await watch(ctx, received);
    await provider.startInstances([newInstance('a', { policy: 'terminateExisting' })]);
    assert.equal((await wait.result)?.status, 'Pending');
  },
});

export const topicCases: readonly ConformanceCase[] = [...topics, ...keys, ...waits];
