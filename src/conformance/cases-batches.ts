// Contract cases: batches, empty, large, with bad and with equal items (P1). Neighbours: case-kit.ts is what they are written with,
// conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import type { InstanceDump, QueueEdit } from '../provider/management.ts';
import type { ControlRequest, OrchestrationAck, Provider } from '../provider/provider.ts';
import {
  abandonWork,
  ackFor,
  activity,
  cases,
  closing,
  commit,
  effects,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchWork,
  history,
  instanceIds,
  LOCK_MS,
  newInstance,
  nextExecution,
  page,
  payloads,
  queued,
  read,
  renewWork,
  run,
  start,
  startOne,
  timer,
  workAckFor,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const sizes = cases('batches', {
  'empty batches give empty answers': async ({ provider }) => {
    await start(provider, 'a');
    const answers = await Promise.all([
      provider.startInstances([]),
      provider.enqueueMessages([]),
      provider.publish([]),
      provider.controlInstances([]),
      provider.ackOrchestrationItems([]),
      provider.abandonOrchestrationItems([]),
      provider.renewOrchestrationLocks([], LOCK_MS),
      provider.readHistory([]),
      provider.ackWorkItems([]),
      provider.abandonWorkItems([]),
      provider.renewWorkLocks([], LOCK_MS),
      provider.readInstances([]),
      provider.readValues('a', []),
      provider.countWaiting([]),
      provider.deleteInstances([]),
      provider.pruneExecutions([]),
      provider.editQueues([]),
      provider.exportInstances([]),
      provider.importInstances([]),
    ]);
    assert.deepEqual(
      answers,
      answers.map(() => []),
    );
    await fetchOne(provider);
  },
  'T35 batches of 10,000 pass through every method': async ({ provider }) => {
    const all = Array.from({ length: 10_000 }, (_, index) => `i${String(index).padStart(4, '0')}`);
    const every = (outcome: string): string[] => all.map(() => outcome);
    assert.deepEqual(await provider.startInstances(all.map((instanceId) => newInstance(instanceId))), every('started'));
    assert.deepEqual(await provider.startInstances(all.map((instanceId) => newInstance(instanceId))), every('exists'));
    assert.deepEqual(await provider.enqueueMessages(all.map((instanceId) => ({ instanceId, payload: 'm' }))), every('enqueued'));
    const given = await fetchItems(provider, { maxItems: 10_000 });
    const back = given.map(({ instanceId, lockToken }) => ({ instanceId, lockToken, delayMs: 0, countAttempt: false }));
    assert.deepEqual(await provider.abandonOrchestrationItems(back), every('done'));
    const items = await fetchItems(provider, { maxItems: 10_000 });
    assert.deepEqual(instanceIds(items), all);
    assert.deepEqual(await provider.renewOrchestrationLocks(items, LOCK_MS), every('done'));
    const acks = items.map((item) => ackFor(item, { page: page(2), workItems: [activity(2)] }));
    assert.deepEqual(await provider.ackOrchestrationItems(acks), every('committed'));
    const work = await fetchWork(provider, { maxItems: 10_000 });
    assert.deepEqual(instanceIds(work), all);
    assert.deepEqual(await renewWork(provider, work, LOCK_MS), every('done'));
    assert.deepEqual(await provider.ackWorkItems(work.map((item) => workAckFor(item))), every('done'));
    assert.equal((await provider.readInstances(all)).filter((record) => record?.lastEventId === 2).length, 10_000);
    const requests = all.map((instanceId) => ({ instanceId, executionId: 1, afterEventId: 0 }));
    assert.equal((await provider.readHistory(requests)).flat().length, 10_000);
    assert.deepEqual(await queued(provider), [10_000, 0]);
    assert.deepEqual(await provider.controlInstances(all.map((instanceId) => ({ kind: 'suspend', instanceId }))), every('done'));
    await fetchNone(provider);
  },
  'batches of 2,000 pass through the calls of operators': async ({ provider }) => {
    const all = Array.from({ length: 2_000 }, (_, index) => `i${String(index).padStart(4, '0')}`);
    await provider.startInstances(all.map((instanceId) => newInstance(instanceId)));
    const items = await fetchItems(provider, { maxItems: 2_000 });
    await provider.ackOrchestrationItems(
      items.map((item) => ackFor(item, { page: page(2), workItems: [activity(2)], next: nextExecution })),
    );
    assert.ok((await provider.countWaiting(all)).every(({ messages, activities }) => messages === 1 && activities === 1));
    const prunes = all.map((instanceId) => ({ instanceId, keepLast: 1, endedBeforeMs: null }));
    assert.deepEqual(
      await provider.pruneExecutions(prunes),
      all.map(() => 1),
    );
    const edits = all.map((instanceId): QueueEdit => ({
      kind: 'moveBack',
      item: { kind: 'workItem', instanceId, executionId: 1, eventId: 2 },
    }));
    assert.deepEqual(
      await provider.editQueues(edits),
      all.map(() => 'done'),
    );
    const dumps = (await provider.exportInstances(all)).filter((dump) => dump !== null);
    assert.deepEqual(
      dumps.map(({ record }) => record.instanceId),
      all,
    );
    const outcomes = await provider.deleteInstances(all.map((instanceId) => ({ instanceId, isForced: true })));
    assert.ok(outcomes.every(({ kind }) => kind === 'deleted'));
    assert.deepEqual(await queued(provider), [0, 0]);
    assert.deepEqual(
      await provider.importInstances(dumps.slice(0, 200)),
      all.slice(0, 200).map(() => 'imported'),
    );
    assert.deepEqual(await queued(provider), [200, 200]);
  },
  'T35 10,000 publications and 10,000 work items that are given back are each answered': async ({ provider }) => {
    const numbers = Array.from({ length: 10_000 }, (_, index) => index + 2);
    await run(provider, 'a', {
      page: page(10_001),
      workItems: numbers.map((eventId) => activity(eventId)),
      effects: effects({ subscriptions: [{ pattern: 't', subscribed: true }] }),
    });
    const publications = numbers.map((number) => ({ topic: 't', payload: `p${number}` }));
    assert.deepEqual(
      await provider.publish(publications),
      numbers.map(() => 1),
    );
    const work = await fetchWork(provider, { maxItems: 10_000 });
    const back = work.map((item) => ({ ...workAckFor(item), delayMs: 0, countAttempt: true }));
    assert.deepEqual(
      await provider.abandonWorkItems(back),
      numbers.map(() => 'done'),
    );
    assert.deepEqual(await queued(provider), [10_000, 10_000]);
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

/** A batched method on a store that was made ready for it: three items that are good, one that is bad, what is answered, what follows. */
type Prepared<Item> = {
  readonly call: (items: readonly Item[]) => Promise<readonly unknown[]>;
  readonly good: readonly [Item, Item, Item];
  readonly bad: Item;
  /** Answers to the three good items. */
  readonly done: readonly unknown[];
  readonly refused: unknown;
  /** Answer to the same good item again, in the same batch. */
  readonly again: unknown;
  /** Something that the store must have after a good item, and must not have before; null: a method that reads. */
  readonly effectOf: ((instanceId: string) => Promise<boolean>) | null;
};

const IDS = ['a', 'b', 'c'] as const;

function each<Value>(make: (instanceId: string) => Value): readonly [Value, Value, Value] {
  return [make('a'), make('b'), make('c')];
}

async function lockedTurns(
  provider: Provider,
): Promise<(instanceId: string) => { readonly instanceId: string; readonly lockToken: string }> {
  await start(provider, ...IDS);
  const items = await fetchItems(provider);
  return (instanceId) => ({ instanceId, lockToken: items.find((item) => item.instanceId === instanceId)?.lockToken ?? 'none' });
}

async function lockedWork(provider: Provider): Promise<(instanceId: string) => ReturnType<typeof workAckFor>> {
  for (const instanceId of IDS) await run(provider, instanceId, { workItems: [activity(2)] });
  const items = new Map((await fetchWork(provider)).map((item) => [item.instanceId, workAckFor(item)]));
  return (instanceId) => items.get(instanceId) ?? { instanceId, executionId: 1, eventId: 2, lockToken: 'none', completionPayload: null };
}

const BATCHED = {
  startInstances: async (provider: Provider) => {
    await run(provider, 'taken');
    return prepared({
      call: (items) => provider.startInstances(items),
      good: each((instanceId) => newInstance(instanceId)),
      bad: newInstance('taken'),
      done: ['started', 'started', 'started'],
      refused: 'exists',
      again: 'exists',
      effectOf: async (instanceId) => (await provider.readInstances([instanceId]))[0] !== null,
    });
  },
  enqueueMessages: async (provider: Provider) => {
    for (const instanceId of IDS) await run(provider, instanceId);
    return prepared({
      call: (items) => provider.enqueueMessages(items),
      good: each((instanceId) => ({ instanceId, payload: 'm', key: 'k' })),
      bad: { instanceId: 'unknown', payload: 'm', key: 'k' },
      done: ['enqueued', 'enqueued', 'enqueued'],
      refused: 'notFound',
      again: 'duplicate',
      effectOf: async (instanceId) => (await provider.enqueueMessages([{ instanceId, payload: 'm', key: 'k' }]))[0] === 'duplicate',
    });
  },
  publish: async (provider: Provider) => {
    const subscribe = (pattern: string): object => ({ effects: effects({ subscriptions: [{ pattern, subscribed: true }] }) });
    for (const instanceId of IDS) await run(provider, instanceId, subscribe(instanceId));
    return prepared({
      call: (items) => provider.publish(items),
      good: each((topic) => ({ topic, payload: 'p', key: 'k' })),
      bad: { topic: 'nobody', payload: 'p', key: 'k' },
      done: [1, 1, 1],
      refused: 0,
      again: 0,
      effectOf: async (topic) => (await provider.publish([{ topic, payload: 'p', key: 'k' }]))[0] === 0,
    });
  },
  controlInstances: async (provider: Provider) => {
    await start(provider, ...IDS);
    return prepared({
      call: (items) => provider.controlInstances(items),
      good: each((instanceId): ControlRequest => ({
        kind: 'terminate',
        instanceId,
        output: '"o"',
        parentMessage: null,
        closeChildren: closing,
      })),
      bad: { kind: 'suspend', instanceId: 'unknown' } satisfies ControlRequest,
      done: ['done', 'done', 'done'],
      refused: 'notFound',
      again: 'ended',
      effectOf: async (instanceId) => (await read(provider, instanceId)).status === 'Terminated',
    });
  },
  ackOrchestrationItems: async (provider: Provider) => {
    await start(provider, ...IDS, 'other');
    const items = await fetchItems(provider);
    const ackOf = (instanceId: string): ReturnType<typeof ackFor> => {
      const item = items.find((candidate) => candidate.instanceId === instanceId);
      assert.ok(item !== undefined);
      return ackFor(item, { page: page(2), workItems: [activity(2)], effects: effects({ values: [{ key: 'k', value: 'v' }] }) });
    };
    return prepared({
      call: (acks) => provider.ackOrchestrationItems(acks),
      good: each(ackOf),
      bad: { ...ackOf('other'), baseEventId: 7 },
      done: ['committed', 'committed', 'committed'],
      refused: 'conflict',
      again: 'lockLost',
      effectOf: async (instanceId) => (await history(provider, instanceId)).length === 1,
    });
  },
  abandonOrchestrationItems: async (provider: Provider) => {
    const lock = await lockedTurns(provider);
    return prepared({
      call: (items) => provider.abandonOrchestrationItems(items),
      good: each((instanceId) => ({ ...lock(instanceId), delayMs: 0, countAttempt: true })),
      bad: { instanceId: 'unknown', lockToken: 'none', delayMs: 0, countAttempt: true },
      done: ['done', 'done', 'done'],
      refused: 'lockLost',
      again: 'lockLost',
      effectOf: async (instanceId) => (await provider.renewOrchestrationLocks([lock(instanceId)], LOCK_MS))[0] === 'lockLost',
    });
  },
  renewOrchestrationLocks: async (provider: Provider) => {
    const lock = await lockedTurns(provider);
    return prepared({
      call: (items) => provider.renewOrchestrationLocks(items, LOCK_MS),
      good: each(lock),
      bad: { instanceId: 'a', lockToken: 'none' },
      done: ['done', 'done', 'done'],
      refused: 'lockLost',
      again: 'done',
      effectOf: null,
    });
  },
  readHistory: async (provider: Provider) => {
    for (const instanceId of IDS) await run(provider, instanceId);
    const of = (instanceId: string): { instanceId: string; executionId: number; afterEventId: number } => ({
      instanceId,
      executionId: 1,
      afterEventId: 0,
    });
    return prepared({
      call: async (items) => (await provider.readHistory(items)).map((pages) => pages.length),
      good: each(of),
      bad: of('unknown'),
      done: [1, 1, 1],
      refused: 0,
      again: 1,
      effectOf: null,
    });
  },
  ackWorkItems: async (provider: Provider) => {
    const lock = await lockedWork(provider);
    return prepared({
      call: (items) => provider.ackWorkItems(items),
      good: each(lock),
      bad: { ...lock('a'), eventId: 99 },
      done: ['done', 'done', 'done'],
      refused: 'gone',
      again: 'gone',
      effectOf: async (instanceId) => (await provider.readWorkItems(instanceId)).length === 0,
    });
  },
  abandonWorkItems: async (provider: Provider) => {
    const lock = await lockedWork(provider);
    return prepared({
      call: (items) => provider.abandonWorkItems(items),
      good: each((instanceId) => ({ ...lock(instanceId), delayMs: 0, countAttempt: true })),
      bad: { ...lock('unknown'), delayMs: 0, countAttempt: true },
      done: ['done', 'done', 'done'],
      refused: 'gone',
      again: 'lockLost',
      effectOf: async (instanceId) => (await provider.readWorkItems(instanceId))[0]?.isRunning === false,
    });
  },
  renewWorkLocks: async (provider: Provider) => {
    const lock = await lockedWork(provider);
    const beat = (instanceId: string): { readonly heartbeat: string } & ReturnType<typeof lock> => ({
      ...lock(instanceId),
      heartbeat: 'h',
    });
    return prepared({
      call: (items) => provider.renewWorkLocks(items, LOCK_MS),
      good: each(beat),
      bad: { ...beat('a'), lockToken: 'none' },
      done: ['done', 'done', 'done'],
      refused: 'lockLost',
      again: 'done',
      effectOf: async (instanceId) => (await provider.readWorkItems(instanceId))[0]?.heartbeat === 'h',
    });
  },
  readInstances: async (provider: Provider) => {
    await start(provider, ...IDS);
    return prepared<string>({
      call: async (items) => (await provider.readInstances(items)).map((record) => record?.instanceId ?? null),
      good: IDS,
      bad: 'unknown',
      done: IDS,
      refused: null,
      again: 'a',
      effectOf: null,
    });
  },
  countWaiting: async (provider: Provider) => {
    await start(provider, ...IDS);
    return prepared<string>({
      call: async (items) => (await provider.countWaiting(items)).map(({ messages }) => messages),
      good: IDS,
      bad: 'unknown',
      done: [1, 1, 1],
      refused: 0,
      again: 1,
      effectOf: null,
    });
  },
  deleteInstances: async (provider: Provider) => {
    await start(provider, ...IDS);
    return prepared({
      call: async (items) => (await provider.deleteInstances(items)).map(({ kind }) => kind),
      good: each((instanceId) => ({ instanceId, isForced: true })),
      bad: { instanceId: 'unknown', isForced: true },
      done: ['deleted', 'deleted', 'deleted'],
      refused: 'notFound',
      again: 'notFound',
      effectOf: async (instanceId) => (await provider.readInstances([instanceId]))[0] === null,
    });
  },
  pruneExecutions: async (provider: Provider) => {
    await start(provider, ...IDS);
    for (const item of await fetchItems(provider)) await commit(provider, item, { page: page(2), next: nextExecution });
    return prepared({
      call: (items) => provider.pruneExecutions(items),
      good: each((instanceId) => ({ instanceId, keepLast: 1, endedBeforeMs: null })),
      bad: { instanceId: 'unknown', keepLast: 1, endedBeforeMs: null },
      done: [1, 1, 1],
      refused: 0,
      again: 0,
      effectOf: async (instanceId) => (await history(provider, instanceId)).length === 0,
    });
  },
  editQueues: async (provider: Provider) => {
    await lockedWork(provider);
    const drop = (instanceId: string): QueueEdit => ({
      kind: 'drop',
      item: { kind: 'workItem', instanceId, executionId: 1, eventId: 2 },
      completionPayload: 'c',
    });
    return prepared({
      call: (items) => provider.editQueues(items),
      good: each(drop),
      bad: drop('unknown'),
      done: ['done', 'done', 'done'],
      refused: 'gone',
      again: 'gone',
      effectOf: async (instanceId) => (await provider.countWaiting([instanceId]))[0]?.messages === 1,
    });
  },
  exportInstances: async (provider: Provider) => {
    await start(provider, ...IDS);
    return prepared<string>({
      call: async (items) => (await provider.exportInstances(items)).map((dump) => dump?.record.instanceId ?? null),
      good: IDS,
      bad: 'unknown',
      done: IDS,
      refused: null,
      again: 'a',
      effectOf: null,
    });
  },
  importInstances: async (provider: Provider) => {
    await start(provider, ...IDS, 'other');
    const dumps = (await provider.exportInstances([...IDS, 'other'])).filter((dump) => dump !== null);
    const [a, b, c, other] = dumps;
    assert.ok(a !== undefined && b !== undefined && c !== undefined && other !== undefined);
    await provider.deleteInstances(IDS.map((instanceId) => ({ instanceId, isForced: true })));
    return prepared<InstanceDump>({
      call: (items) => provider.importInstances(items),
      good: [a, b, c],
      bad: other,
      done: ['imported', 'imported', 'imported'],
      refused: 'exists',
      again: 'exists',
      effectOf: async (instanceId) => (await provider.readInstances([instanceId]))[0] !== null,
    });
  },
} satisfies Readonly<Record<string, (provider: Provider) => Promise<PreparedBatch>>>;

/** A prepared method whose items only it knows: batches are put together by place. */
type PreparedBatch = Omit<Prepared<unknown>, 'call' | 'good' | 'bad'> & {
  /** Calls with the good items of these numbers, in this order; -1: the bad one. */
  readonly callWith: (places: readonly number[]) => Promise<readonly unknown[]>;
};

function prepared<Item>({ call, good, bad, ...rest }: Prepared<Item>): PreparedBatch {
  const items: readonly Item[] = good;
  return { ...rest, callWith: (places) => call(places.map((place) => items[place] ?? bad)) };
}

/** The answers to the places of a batch. */
function expected({ done, refused }: PreparedBatch, places: readonly number[]): readonly unknown[] {
  return places.map((place) => (place < 0 ? refused : done[place]));
}

const BAD_PLACES = { first: [-1, 0, 1, 2], 'in the middle': [0, -1, 1, 2], last: [0, 1, 2, -1] };

const neighbours = cases(
  'one bad item never fails its neighbours',
  Object.fromEntries(
    Object.entries<(provider: Provider) => Promise<PreparedBatch>>(BATCHED).flatMap(([method, prepare]) =>
      Object.entries(BAD_PLACES).map(([where, places]): readonly [string, ConformanceCase['run']] => [
        `a bad item ${where} in a batch of ${method} is refused alone`,
        async ({ provider }) => {
          const batch = await prepare(provider);
          assert.deepEqual(await batch.callWith(places), expected(batch, places));
          if (batch.effectOf === null) return;
          assert.deepEqual(await Promise.all(IDS.map(batch.effectOf)), [true, true, true]);
        },
      ]),
    ),
  ),
);

const duplicates = cases(
  'equal items in one batch',
  Object.fromEntries(
    Object.entries<(provider: Provider) => Promise<PreparedBatch>>(BATCHED).map(
      ([method, prepare]): readonly [string, ConformanceCase['run']] => [
        `an item that stands twice in a batch of ${method} counts once or reads the same`,
        async ({ provider }) => {
          const batch = await prepare(provider);
          const [, second, third] = batch.done;
          assert.deepEqual(await batch.callWith([0, 0, 1, -1, -1, 2]), [
            batch.done[0],
            batch.again,
            second,
            batch.refused,
            batch.refused,
            third,
          ]);
        },
      ],
    ),
  ),
);

const mixed = cases('batches', {
  'a batch of nothing but bad items changes nothing': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const before = [await read(provider, 'a'), await queued(provider)];
    const lock = { instanceId: 'a', lockToken: 'none' };
    const work = { ...lock, executionId: 1, eventId: 2 };
    await provider.enqueueMessages([{ instanceId: 'x', payload: 'm' }]);
    await provider.abandonOrchestrationItems([{ ...lock, delayMs: 9, countAttempt: true }]);
    await provider.renewOrchestrationLocks([lock], LOCK_MS);
    await provider.ackWorkItems([{ ...work, completionPayload: 'c' }]);
    await provider.abandonWorkItems([{ ...work, delayMs: 9, countAttempt: true }]);
    await provider.renewWorkLocks([{ ...work, heartbeat: 'h' }], LOCK_MS);
    assert.deepEqual([await read(provider, 'a'), await queued(provider)], before);
  },
  'batches that are under way at the same time are each answered in their order': async ({ provider }) => {
    const batches = Array.from({ length: 20 }, (_row, batch) => Array.from({ length: 20 }, (_cell, place) => `b${batch}-${place}`));
    const starts = batches.map((ids) => provider.startInstances([...ids.map((id) => newInstance(id)), newInstance('shared')]));
    const outcomes = await Promise.all(starts);
    for (const [batch, answers] of outcomes.entries()) {
      assert.deepEqual(answers, [...Array.from({ length: 20 }, () => 'started'), batch === 0 ? 'started' : 'exists']);
    }
    assert.equal((await fetchItems(provider, { maxItems: 1_000 })).length, 401);
  },
  'a lost reply may be asked for again: the second ack of a batch changes nothing': async ({ provider }) => {
    await startOne(provider, 'a');
    await startOne(provider, 'b');
    const acks = (await fetchItems(provider)).map((item) =>
      ackFor(item, { page: page(2), workItems: [activity(2)], messages: [{ instanceId: item.instanceId, payload: 'to itself' }] }),
    );
    assert.deepEqual(await provider.ackOrchestrationItems(acks), ['committed', 'committed']);
    assert.deepEqual(await provider.ackOrchestrationItems(acks), ['lockLost', 'lockLost']);
    assert.deepEqual(await queued(provider), [2, 2]);
    const done = (await fetchWork(provider)).map((item) => workAckFor(item));
    assert.deepEqual(await provider.ackWorkItems(done), ['done', 'done']);
    assert.deepEqual(await provider.ackWorkItems(done), ['gone', 'gone']);
    assert.deepEqual(await queued(provider), [4, 0]);
  },
  'an item that the store cannot take is taken as a whole or not at all, and harms no other call': async ({ provider }) => {
    await start(provider, ...IDS, 'other');
    const items = await fetchItems(provider);
    const changes: Partial<OrchestrationAck> = {
      page: page(2),
      customStatus: '"s"',
      workItems: [activity(2)],
      effects: effects({ values: [{ key: 'k', value: 'v' }], sessionMessages: [{ sessionId: 's', payload: 'note' }] }),
    };
    const acks = items.map((item) => {
      const isBad = item.instanceId === 'b';
      // Such a message comes from a bug of the caller; it is the last thing that an ack adds.
      const messages = [{ instanceId: 'other', payload: (isBad ? undefined : 'm') as string }];
      return ackFor(item, { ...changes, messages });
    });
    const others = acks.filter(({ instanceId }) => instanceId === 'other');
    const [, answers, status] = await Promise.all([
      provider.ackOrchestrationItems(acks.filter(({ instanceId }) => instanceId !== 'other')).catch(() => null),
      provider.ackOrchestrationItems(others),
      startOne(provider, 'new'),
    ]);
    assert.deepEqual([answers, status], [['committed'], 'started']);
    const stored = await Promise.all(
      IDS.map(async (instanceId) => [
        (await history(provider, instanceId)).length,
        (await read(provider, instanceId)).customStatusVersion,
        (await provider.readWorkItems(instanceId)).length,
        (await provider.readValues(instanceId, null)).length,
      ]),
    );
    for (const parts of stored) assert.equal(new Set(parts).size, 1, `a turn was stored in part: ${String(parts)}`);
    const notes = await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 });
    assert.equal(notes.length, stored.filter(([pages]) => pages === 1).length + 1);
  },
  'work that is given back in a batch with bad items is handed out again': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    const [first, second] = await fetchWork(provider);
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(await abandonWork(provider, first), 'done');
    assert.deepEqual(await provider.ackWorkItems([workAckFor(first), workAckFor(second)]), ['lockLost', 'done']);
    assert.deepEqual(await queued(provider), [1, 1]);
  },
});

/** See the head of this file. */
export const batchCases: readonly ConformanceCase[] = [...sizes, ...neighbours, ...duplicates, ...mixed];
