// A store on a clock that is set back while work waits in it.
import { describe, expect, test } from 'vitest';
import type { SqliteProvider } from 'duraloom/sqlite';
import { SimulatedClock } from 'duraloom/testing';
import { stage } from '../support/integration-stage.ts';
import { ackOf, fetchTurns, fetchWork, LOCK_MS, newInstance } from '../testing/faulty-stage.ts';

const DAY_MS = 86_400_000;
const routing = { tag: null, sessionId: null, priority: 0, timeoutMs: null, expiresAfterMs: null, limit: null, extras: null };

async function open(): Promise<{
  readonly clock: SimulatedClock;
  readonly store: SqliteProvider;
  readonly another: () => Promise<SqliteProvider>;
}> {
  const stand = stage();
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const another = (): Promise<SqliteProvider> => stand.openProvider({ clock });
  return { clock, store: await another(), another };
}

/** Instances `a` to `c` wait, and so do the activities 1 and 2 of `a`. */
async function queueWork(store: SqliteProvider, clock: SimulatedClock): Promise<void> {
  await store.startInstances([newInstance('a')]);
  const [item] = await fetchTurns(store);
  if (item === undefined) throw new TypeError('there is no turn');
  const ack = ackOf(item, [1]);
  const second = { eventId: 2, name: 'charge', payload: 'p', routing: { ...routing, tag: null, priority: 1 } };
  await store.ackOrchestrationItems([{ ...ack, workItems: [...ack.workItems, second] }]);
  await store.enqueueMessages([{ instanceId: 'a', payload: 'm' }]);
  for (const instanceId of ['b', 'c']) {
    await clock.advance(1_000);
    await store.startInstances([newInstance(instanceId)]);
  }
}

describe('a clock that is set back', () => {
  test.each([5_000, 60_000, DAY_MS])('by %i ms keeps nothing waiting that was ready, and its order', async (backMs) => {
    const { clock, store } = await open();
    await queueWork(store, clock);
    clock.jump(-backMs);
    expect((await fetchTurns(store)).map(({ instanceId }) => instanceId)).toEqual(['a', 'b', 'c']);
    expect(new Set((await fetchWork(store)).map(({ eventId }) => eventId))).toEqual(new Set([1, 2]));
  });

  test('is noticed by a fetch that waits', async () => {
    const { clock, store } = await open();
    await queueWork(store, clock);
    clock.jump(-DAY_MS);
    const fetched = store.fetchWorkItems({ maxItems: 10, lockMs: LOCK_MS, waitMs: 10_000 });
    await clock.advance(1);
    expect((await fetched).items).toHaveLength(2);
  });

  test('shortens a delay by as much, and neither ends a lease nor fires a timer', async () => {
    const { clock, store } = await open();
    await queueWork(store, clock);
    const [turn] = await fetchTurns(store, 1);
    const [given, kept] = await fetchWork(store);
    if (turn === undefined || given === undefined || kept === undefined) throw new TypeError('there is no work');
    const timer = { eventId: 3, visibleAtMs: clock.nowMs() + 30_000, payload: 'timer' };
    await store.ackOrchestrationItems([{ ...ackOf(turn), timers: [timer] }]);
    await store.abandonWorkItems([{ ...given, delayMs: 10_000, countAttempt: false }]);
    clock.jump(-DAY_MS);
    expect((await fetchTurns(store)).map(({ instanceId }) => instanceId)).toEqual(['b', 'c']);
    expect(await fetchWork(store)).toEqual([]);
    await clock.advance(10_000);
    expect((await fetchWork(store)).map(({ eventId }) => eventId)).toEqual([given.eventId]);
    expect(await store.renewWorkLocks([{ ...kept, heartbeat: 'h' }], LOCK_MS)).toEqual(['done']);
    clock.jump(DAY_MS);
    await clock.advance(20_000);
    expect((await fetchTurns(store)).map(({ messages }) => messages.map(({ payload }) => payload))).toContainEqual(['timer']);
  });

  test('neither gives a lease back that had ended nor keeps one that is about to', async () => {
    const { clock, store } = await open();
    await queueWork(store, clock);
    expect(await fetchTurns(store)).toHaveLength(3);
    expect(await fetchWork(store)).toHaveLength(2);
    await clock.advance(LOCK_MS - 1);
    expect(await fetchTurns(store)).toEqual([]);
    clock.jump(-DAY_MS);
    expect(await fetchTurns(store)).toEqual([]);
    await clock.advance(1);
    expect((await fetchTurns(store)).map(({ messages }) => messages[0]?.attempt)).toEqual([2, 2, 2]);
    expect((await fetchWork(store)).map(({ attempt }) => attempt)).toEqual([2, 2]);
  });

  test('lets leases last as long as before, of turns, activities and sessions', async () => {
    const { clock, store } = await open();
    await queueWork(store, clock);
    const ofSession = { eventId: 7, name: 'charge', payload: 'p', routing: { ...routing, sessionId: 's' } };
    const [turn] = await fetchTurns(store, 1);
    if (turn === undefined) throw new TypeError('there is no turn');
    await store.ackOrchestrationItems([{ ...ackOf(turn), workItems: [ofSession] }]);
    const by = (owner: string) =>
      ({
        maxItems: 10,
        lockMs: LOCK_MS,
        waitMs: 0,
        select: { kind: 'queue', tags: { kind: 'default' }, session: { owner, leaseMs: LOCK_MS, maxSessions: 1 } },
      }) as const;
    expect((await store.fetchWorkItems(by('one'))).items).toHaveLength(3);
    expect(await fetchTurns(store)).toHaveLength(2);
    clock.jump(-DAY_MS);
    expect(await fetchTurns(store)).toEqual([]);
    await clock.advance(LOCK_MS - 1);
    expect([...(await fetchTurns(store)), ...(await store.fetchWorkItems(by('two'))).items]).toEqual([]);
    await clock.advance(1);
    expect(await fetchTurns(store)).toHaveLength(2);
    expect((await store.fetchWorkItems(by('two'))).items).toHaveLength(3);
  });

  test('is noticed by each process, and moves things once', async () => {
    const { clock, store, another } = await open();
    const second = await another();
    await queueWork(store, clock);
    expect(await second.fetchWorkItems({ maxItems: 10, lockMs: LOCK_MS, waitMs: 0, select: { kind: 'expired' } })).toMatchObject({
      items: [],
    });
    clock.jump(-DAY_MS);
    const [first] = await fetchTurns(store, 1);
    expect(first?.instanceId).toBe('a');
    expect((await fetchTurns(second)).map(({ instanceId }) => instanceId)).toEqual(['b', 'c']);
    expect(await fetchTurns(store)).toEqual([]);
    expect(await store.renewOrchestrationLocks(first === undefined ? [] : [first], LOCK_MS)).toEqual(['done']);
  });

  test('is noticed once more when the transaction that moved things was rolled back', async () => {
    const { clock, store } = await open();
    await queueWork(store, clock);
    clock.jump(-DAY_MS);
    const broken = { ...newInstance('x'), payload: Symbol('no text') as unknown as string };
    await expect(store.startInstances([broken])).rejects.toThrow();
    expect(await fetchWork(store)).toHaveLength(2);
  });
});
