// The stores give the same answers to the same calls: random calls with seeds, one after the other, on each.
// Neighbours: src/conformance/ says what is right; this finds what its cases have not thought of.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { InstanceDump, QueueEdit, QueueItem } from '../../src/provider/management.ts';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import type { NewInstance, OrchestrationAck, OrchestrationItem, Provider, WorkFetchParams, WorkItem } from '../../src/provider/provider.ts';
import { isEnded } from '../../src/types/instance.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import {
  ackFor,
  activity,
  attributes,
  closing,
  effects,
  fetchParams,
  link,
  listAll,
  listById,
  newInstance,
  nextExecution,
  renewWork,
  routing,
  timer,
  workAckFor,
} from '../../src/conformance/case-kit.ts';
import { LIMITS } from './model/commands.ts';
import { PostgresRuns } from './model/postgres-store.ts';

const SEEDS = 15;
/** Of seeds that are tried on PostgreSQL as well: it takes its time. */
const ONE_IN = 5;
const CALLS = 200;
const START_MS = 1_700_000_000_000;
const IDS = ['a', 'b', 'c', 'd', 'e'];
const postgres = new PostgresRuns();
afterAll(() => postgres.close());

/** Optimistic turns of all stores that were committed. */
const COMMITTED = { count: 0 };

/** What a store has handed out, in the order of the calls: the same places in all stores. */
type Store = {
  readonly provider: Provider;
  readonly clock: SimulatedClock;
  readonly turns: OrchestrationItem[];
  readonly work: WorkItem[];
};

/** A call, decided before it is made: the same for all stores. Returns what is to be equal. */
type Call = (store: Store) => Promise<unknown>;

/** Numbers from 0 to below 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

class Chooser {
  readonly #random: () => number;
  #lastEvent = 1;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  one<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }

  /** True once in so many times. */
  rarely(times: number): boolean {
    return this.below(times) === 0;
  }

  event(): number {
    this.#lastEvent += 1;
    return this.#lastEvent;
  }
}

function randomStart(choose: Chooser): NewInstance {
  return newInstance(choose.one(IDS), {
    name: choose.one(['x', 'y']),
    version: choose.one([null, '1.0.0']),
    policy: choose.one(['fail', 'useExisting', 'replaceTerminal', 'terminateExisting']),
    onParentClose: choose.one(['cancel', 'abandon', 'terminate']),
    parent: choose.rarely(2) ? link(choose.one(IDS)) : null,
    priority: choose.rarely(3) ? choose.below(10) : 0,
    delayMs: choose.rarely(3) ? choose.below(3_000) : 0,
    startAtMs: choose.rarely(5) ? START_MS + choose.below(60_000) : null,
    attributes: randomAttributes(choose),
  });
}

function randomAttributes(choose: Chooser): NewInstance['attributes'] {
  return choose.one([null, attributes({}), attributes({ k: '1' }), attributes({ k: '2', other: '1' })]);
}

function randomAck(choose: Chooser, nowMs: number): Partial<OrchestrationAck> {
  const some = <Value>(make: () => Value): Value[] => Array.from({ length: choose.below(3) }, make);
  const key = (): { readonly key?: string } => (choose.rarely(2) ? { key: choose.one(['k1', 'k2']) } : {});
  const status = choose.one(['Running', 'Running', 'Running', 'Running', 'Completed', 'Quarantined', 'Suspended'] as const);
  return {
    version: choose.one(['1.0.0', '2.0.0']),
    status,
    output: status === 'Running' ? null : '"out"',
    customStatus: choose.one([undefined, null, '1']),
    workItems: some(() =>
      activity(choose.event(), {
        routing: choose.rarely(3)
          ? null
          : routing({
              tag: choose.one([null, 'gpu', 'duraloom:x']),
              ...choose.one([{}, {}, { sessionId: 's1' }, { sessionId: 's2' }, ...LIMITS.map((limit) => ({ limit }))]),
              priority: choose.rarely(3) ? choose.below(10) : 0,
              expiresAfterMs: choose.one([null, null, 1_500]),
            }),
      }),
    ),
    timers: some(() => timer(choose.event(), nowMs + choose.below(4_000))),
    messages: some(() => ({ instanceId: choose.one(IDS), payload: `m${choose.event()}`, ...key() })),
    starts: choose.rarely(4) ? [{ ...randomStart(choose), conflictPayload: choose.one([null, 'taken']) }] : [],
    cancelledActivities: some(() => choose.below(60)),
    cancelledTimers: some(() => choose.below(60)),
    next: status === 'Running' && choose.rarely(5) ? nextExecution : null,
    closeChildren: status === 'Quarantined' ? closing : null,
    effects: choose.rarely(2)
      ? effects({
          attributes: randomAttributes(choose),
          values: some(() => ({ key: choose.one(['k1', 'k2', '']), value: choose.one([null, '1', '']) })),
          subscriptions: some(() => ({ pattern: choose.one(['t/1', 't/*', '**']), subscribed: !choose.rarely(3) })),
          publications: some(() => ({ topic: choose.one(['t/1', 't/2', 'u']), payload: `p${choose.event()}`, ...key() })),
          sessionMessages: some(() => ({ sessionId: choose.one(['s1', 's2']), payload: `s${choose.event()}` })),
          terminations: some(() => ({
            instanceId: choose.one(IDS),
            parent: link(choose.one(IDS)),
            output: '"t"',
            cancelPayload: 'cancel',
          })),
        })
      : null,
  };
}

function randomSelect(choose: Chooser): NonNullable<WorkFetchParams['select']> {
  if (choose.rarely(5)) return { kind: 'expired' };
  const tags = choose.one([
    { kind: 'default' },
    { kind: 'any' },
    { kind: 'only', tags: ['gpu'] },
    { kind: 'defaultAnd', tags: ['duraloom:x', 'gpu'] },
  ] as const);
  const session = choose.rarely(3) ? null : { owner: choose.one(['n1', 'n2']), leaseMs: 2_000, maxSessions: 1 + choose.below(2) };
  return { kind: 'queue', tags, session };
}

/** Everything of an item but what a store chooses itself. */
function seen(items: readonly (OrchestrationItem | WorkItem)[]): unknown {
  return items.map((item) => {
    const { lockToken, ...rest } = item;
    assert.ok(lockToken.length > 0);
    return 'messages' in rest ? { ...rest, messages: rest.messages.map(({ payload, attempt }) => [payload, attempt]) } : rest;
  });
}

function randomCall(choose: Chooser): Call {
  const place = choose.below(1_000);
  const lockMs = choose.one([500, 2_000, 10_000]);
  const instanceId = choose.one(IDS);
  const how = { delayMs: choose.one([0, 0, 700]), countAttempt: choose.rarely(2) };
  switch (choose.below(22)) {
    case 0:
    case 1: {
      const start = randomStart(choose);
      return ({ provider }) => provider.startInstances([start]);
    }
    case 2: {
      const message = { instanceId, payload: `m${choose.event()}`, ...(choose.rarely(2) ? { key: 'k1' } : {}) };
      return ({ provider }) => provider.enqueueMessages([message]);
    }
    case 3:
    case 4:
    case 5: {
      const names = choose.one([
        ['x', 'order'],
        ['y', 'order'],
        ['x', 'y', 'order'],
      ]);
      const maxItems = 1 + choose.below(2);
      return async ({ provider, turns }) => {
        const params = fetchParams({ maxItems, lockMs, accepts: ({ name, version }) => names.includes(name) && version !== '2.0.0' });
        const { items } = await provider.fetchOrchestrationItems(params);
        turns.push(...items);
        return seen(items);
      };
    }
    case 6:
    case 7:
    case 8: {
      const changes = randomAck(choose, START_MS);
      const hasPage = !choose.rarely(4);
      return async ({ provider, turns, clock }) => {
        const item = turns[turns.length - 1 - (place % 3)];
        if (item === undefined) return null;
        const page = hasPage ? { lastEventId: item.lastEventId + 2, events: 'e' } : null;
        const timers = (changes.timers ?? []).map((one) => ({ ...one, visibleAtMs: one.visibleAtMs - START_MS + clock.nowMs() }));
        return await provider.ackOrchestrationItems([ackFor(item, { ...changes, page, timers })]);
      };
    }
    case 16:
    case 17: {
      const changes = randomAck(choose, START_MS);
      const fresh = newInstance(instanceId, { policy: 'terminateExisting', priority: 9 });
      const scheduled = [choose.event(), choose.event(), choose.event(), choose.event()];
      const disturb = choose.rarely(2) ? randomCall(choose) : null;
      const howMany = 1 + choose.below(4);
      return async (store) => {
        const { provider, work, clock } = store;
        await provider.startInstances([fresh]);
        const turns = await provider.fetchOrchestrationItems(fetchParams({ lockMs }));
        const item = turns.items.find((one) => one.instanceId === instanceId);
        if (item === undefined) return null;
        const workItems = scheduled.map((eventId, index) => activity(eventId, { routing: index === 3 ? routing({ priority: 9 }) : null }));
        const base = { ...item, lastEventId: scheduled.at(-1) ?? 0, messages: [], lockToken: '' };
        await provider.ackOrchestrationItems([ackFor(item, { page: { lastEventId: base.lastEventId, events: 'e' }, workItems })]);
        await clock.advance(1);
        // Locks that outlast the test: which of two comes first that are equally long ready is a store's own choice.
        const items: WorkItem[] = [];
        for (let index = 0; index < 6; index += 1) {
          const one = await provider.fetchWorkItems(fetchParams({ maxItems: 1, lockMs: 3_600_000 }));
          items.push(...one.items);
        }
        work.push(...items);
        const ours = items.filter((one) => one.instanceId === instanceId && one.executionId === item.executionId);
        const answer = await disturb?.(store);
        await clock.advance(1);
        const timers = (changes.timers ?? []).map((one) => ({ ...one, visibleAtMs: one.visibleAtMs - START_MS + clock.nowMs() }));
        const page = { lastEventId: base.lastEventId + 2, events: 'e' };
        const completed = ours.slice(0, howMany).map((one) => workAckFor(one));
        const turn = ackFor(base, { ...changes, page, timers, lockToken: null, completed });
        const [outcome] = await provider.ackOrchestrationItems([turn]);
        if (outcome === 'committed' && completed.length > 0) COMMITTED.count += 1;
        return [seen(ours), answer, outcome];
      };
    }
    case 9:
      return async ({ provider, turns }) => {
        const item = turns.at(-1);
        return item === undefined ? null : await provider.abandonOrchestrationItems([{ ...item, ...how }]);
      };
    case 10:
    case 11: {
      const select = randomSelect(choose);
      return async ({ provider, work }) => {
        // One at a time: which of two comes first that are equally long ready is a store's own choice.
        const { items } = await provider.fetchWorkItems(fetchParams({ maxItems: 1, lockMs, select }));
        work.push(...items);
        return seen(items);
      };
    }
    case 12: {
      const kind = choose.below(3);
      return async ({ provider, work }) => {
        const item = work[place % Math.max(1, work.length)];
        if (item === undefined) return null;
        if (kind === 0) return await provider.ackWorkItems([{ ...item, completionPayload: place % 2 === 0 ? null : 'done' }]);
        if (kind === 1) return await provider.abandonWorkItems([{ ...item, ...how }]);
        return await renewWork(provider, [item], lockMs, place % 2 === 0 ? `beat ${place}` : undefined);
      };
    }
    case 13: {
      const kind = choose.one(['suspend', 'resume', 'resume', 'terminate'] as const);
      const parentMessage = choose.rarely(2) ? { instanceId: choose.one(IDS), payload: 'child' } : null;
      const request =
        kind === 'terminate'
          ? ({ kind, instanceId, output: '"t"', parentMessage, closeChildren: closing } as const)
          : ({ kind, instanceId } as const);
      return ({ provider }) => provider.controlInstances([request]);
    }
    case 14: {
      const claim = { owner: choose.one(['n1', 'n2']), leaseMs: choose.one([0, 2_000, 2_000]), idleMs: 1_000 };
      const topic = choose.one(['t/1', 't/2', 'u']);
      return async ({ provider }) => [await provider.renewSessions(claim), await provider.publish([{ topic, payload: 'client' }])];
    }
    case 18: {
      const request = { instanceId, isForced: choose.rarely(2) };
      return ({ provider }) => provider.deleteInstances([request]);
    }
    case 19: {
      const request = { instanceId, keepLast: choose.one([null, 1, 2]), endedBeforeMs: choose.one([null, START_MS + choose.below(5_000)]) };
      return ({ provider }) => provider.pruneExecutions([request]);
    }
    case 20: {
      const kind = choose.one(['unlock', 'moveBack', 'drop'] as const);
      const queue = choose.one(['orchestrator', 'worker'] as const);
      return async ({ provider }) => {
        const items = (await provider.peekQueue({ queue, after: null, limit: 1_000 })).toSorted(byContent);
        const item = items[place % Math.max(1, items.length)];
        // Which of those that have expired comes first is a store's own choice.
        const expires = item?.kind === 'workItem' && item.routing !== null && item.routing.expiresAfterMs !== null;
        if (item === undefined || (expires && kind !== 'drop')) return null;
        const edit: QueueEdit = kind === 'drop' ? { kind, item, completionPayload: 'dropped' } : { kind, item };
        return [item.payload, await provider.editQueues([edit])];
      };
    }
    case 21:
      // To another store and back.
      return async ({ provider }) => {
        const [dump = null] = await provider.exportInstances([instanceId]);
        const [outcome] = await provider.deleteInstances([{ instanceId, isForced: true }]);
        return dump === null ? outcome : [outcome, await provider.importInstances([dump])];
      };
    default: {
      const sessionId = choose.one(['s1', 's2']);
      const takes = choose.rarely(2);
      return async ({ provider }) => {
        const messages = await provider.receiveSessionMessages({ sessionId, afterSeq: 0, waitMs: 0 });
        const [first] = messages;
        if (takes && first !== undefined) await provider.receiveSessionMessages({ sessionId, afterSeq: first.seq, waitMs: 0 });
        return messages.map(({ payload }) => payload);
      };
    }
  }
}

/** Which of several messages comes first that were sent at the same time is told by their ids, which are the store's own. */
function byContent(a: QueueItem, b: QueueItem): number {
  const [first, second] = [a, b].map((item) => [item.instanceId, item.payload, item.kind === 'workItem' ? item.executionId : 0].join(' '));
  return (first ?? '') < (second ?? '') ? -1 : first === second ? 0 : 1;
}

/** Without ids and times that a store chooses. */
function queueOf(items: readonly QueueItem[]): unknown {
  return items.toSorted(byContent).map((item) => {
    const { kind, instanceId, payload, attempt } = item;
    const more = kind === 'message' ? [item.timerEventId, item.key] : [item.name, item.routing, item.heartbeat];
    return [instanceId, payload, attempt, item.lockedUntilMs !== null, ...more];
  });
}

function dumpOf(dump: InstanceDump | null): unknown {
  const list = dump?.attributes?.list.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  if (dump === null) return null;
  // Nobody asks for the engine of one that has ended.
  return { ...dump, attributes: list ?? null, engine: isEnded(dump.record.status) ? null : dump.engine };
}

/** What operators see of a store. */
async function seenByOperators({ provider }: Store): Promise<unknown> {
  const [ended, ...lists] = await Promise.all([
    listAll(provider, { orderBy: 'endedAt', limit: 2 }),
    listAll(provider, { filter: { statuses: ['Running', 'Failed', 'Suspended'] } }),
    listAll(provider, { filter: { attributes: attributes({ k: '1' }).list }, descending: true, limit: 2 }),
    listAll(provider, { filter: { name: 'x', version: '1.0.0', parentInstanceId: 'a' } }),
    listAll(provider, { filter: { createdFromMs: START_MS + 500, updatedBeforeMs: START_MS + 2_000, search: 'b' } }),
  ]);
  return [
    ended.map(({ instanceId, endedAtMs }) => `${endedAtMs} ${instanceId}`).toSorted(),
    ...lists,
    (await provider.countWaiting([...IDS, 'nobody'])).map(({ readyAtMs: _readyAtMs, ...counts }) => counts),
    await Promise.all(IDS.map((id) => provider.listExecutions(id))),
    (await provider.exportInstances(IDS)).map(dumpOf),
    queueOf(await provider.peekQueue({ queue: 'orchestrator', after: null, limit: 1_000 })),
    queueOf(await provider.peekQueue({ queue: 'worker', after: null, limit: 1_000 })),
  ];
}

/** All that a store tells of its state. */
async function stateOf(store: Store): Promise<unknown> {
  const { provider } = store;
  return [
    await seenByOperators(store),
    await provider.readQueueDepths(),
    await listById(provider),
    await Promise.all(IDS.map((id) => provider.readValues(id, null))),
    // When a lock ends that nobody renews is the store's to tell.
    await Promise.all(IDS.map(async (id) => (await provider.readWorkItems(id)).map(({ visibleAtMs: _visibleAtMs, ...record }) => record))),
    await provider.readHistory(IDS.map((instanceId) => ({ instanceId, executionId: 1, afterEventId: 0 }))),
  ];
}

describe('stores', () => {
  test.each(Array.from({ length: SEEDS }, (_, seed) => seed))('answer alike, seed %i', { timeout: 120_000 }, async (seed) => {
    const folder = mkdtempSync(join(tmpdir(), 'duraloom-agree-'));
    const file = join(folder, 'store.db');
    const openers: readonly ((clock: SimulatedClock) => Promise<Provider>)[] = [
      async (clock) => new MemoryProvider({ clock }),
      (clock) => SqliteProvider.open(file, { clock }),
      ...(seed % ONE_IN === 0 ? [(clock: SimulatedClock) => postgres.open(file, clock)] : []),
    ];
    const stores: Store[] = [];
    for (const open of openers) {
      const clock = new SimulatedClock(START_MS);
      stores.push({ provider: await open(clock), clock, turns: [], work: [] });
    }
    const choose = new Chooser(seed);
    try {
      for (let number = 0; number < CALLS; number += 1) {
        const call = randomCall(choose);
        const stepMs = 1 + choose.below(choose.rarely(8) ? 3_000 : 20);
        const answers: unknown[] = [];
        for (const store of stores) answers.push([await call(store), await stateOf(store)]);
        for (const [index, answer] of answers.entries())
          assert.deepEqual(answer, answers[0], `seed ${seed}, call ${number}, store ${index}`);
        for (const { clock } of stores) await clock.advance(stepMs);
      }
    } finally {
      for (const { provider } of stores) await provider.close();
      rmSync(folder, { recursive: true });
    }
  });

  test('have committed optimistic turns meanwhile', () => {
    expect(COMMITTED.count).toBeGreaterThan(SEEDS);
  });
});
