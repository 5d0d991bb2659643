// The table of leases: what a fetch has locked is noted in one row, which goes when nothing of it is locked any more, and is made anew when it was
// damaged. Neighbour: cases-leases.ts of the conformance cases has what callers see of it.
import Database from 'better-sqlite3';
import type { Provider } from 'duraloom';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  abandon,
  ackFor,
  ackWork,
  activity,
  attempts,
  closing,
  commit,
  eventIds,
  fetchItems,
  fetchNone,
  fetchWork,
  instanceIds,
  newInstance,
  page,
  renewWork,
  routing,
  run,
  start,
  workAckFor,
} from '../../src/conformance/case-kit.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { LeaseTable } from '../../src/provider/sqlite/leases.ts';
import { openDatabase } from '../../src/provider/sqlite/open-database.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';

const START_MS = 1_700_000_000_000;

type Lease = { readonly queue: string; readonly ends_at: number; readonly instance_ids: string };

/** A store in a file, and the same file as somebody else sees it. */
class Stage {
  readonly clock = new SimulatedClock(START_MS);
  readonly other: Database.Database;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.other = new Database(file);
  }

  static async open(): Promise<{ readonly stage: Stage; readonly provider: SqliteProvider }> {
    const folder = mkdtempSync(join(tmpdir(), 'duraloom-leases-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const stage = new Stage(join(folder, 'store.db'));
    onTestFinished(() => {
      stage.other.close();
    });
    return { stage, provider: await stage.openProvider() };
  }

  async openProvider(): Promise<SqliteProvider> {
    const provider = await SqliteProvider.open(this.#file, { clock: this.clock, synchronous: 'NORMAL' });
    onTestFinished(() => provider.close());
    return provider;
  }

  /** The leases, with their ends counted from the start of the test. */
  leases(): readonly string[] {
    const rows = this.other.prepare('SELECT queue, ends_at, instance_ids FROM leases ORDER BY lease_id').all() as Lease[];
    return rows.map(({ queue, ends_at: endsAtMs, instance_ids: ids }) => `${queue} ${ids} ${endsAtMs - START_MS}`);
  }
}

/** A transaction that does nothing but what every transaction does. */
async function pass(provider: Provider): Promise<void> {
  await provider.enqueueMessages([{ instanceId: 'nobody', payload: 'm' }]);
}

/** Three activities of each of two instances, in one fetch. */
async function takeWork(provider: Provider) {
  for (const instanceId of ['a', 'b'])
    await run(provider, instanceId, { page: page(9), workItems: [2, 3, 4].map((eventId) => activity(eventId)) });
  await pass(provider);
  return await fetchWork(provider, { lockMs: 1_000 });
}

describe('a lease', () => {
  test('is one row for all that a fetch has locked, and goes with the next transaction when all of it is acked or given back', async () => {
    const { stage, provider } = await Stage.open();
    await start(provider, 'a', 'b', 'c');
    const [a, b, c] = await fetchItems(provider, { lockMs: 1_000 });
    if (a === undefined || b === undefined || c === undefined) expect.fail('three were started');
    expect(stage.leases()).toEqual(['instances ["a","b","c"] 1000']);
    await commit(provider, a);
    await abandon(provider, b, { delayMs: 10_000 });
    await pass(provider);
    expect(stage.leases()).toEqual(['instances ["a","b","c"] 1000']);
    await commit(provider, c);
    await pass(provider);
    expect(stage.leases()).toEqual([]);
  });

  test('of work names each instance once, and counts its activities', async () => {
    const { stage, provider } = await Stage.open();
    const items = await takeWork(provider);
    expect(stage.leases()).toEqual(['work_items ["a","b"] 1000']);
    const [first, ...rest] = items;
    if (first === undefined) expect.fail('six were scheduled');
    await provider.ackWorkItems(rest.map((item) => workAckFor(item, null)));
    await pass(provider);
    expect(stage.leases()).toEqual(['work_items ["a","b"] 1000']);
    await ackWork(provider, first, null);
    await pass(provider);
    expect(stage.leases()).toEqual([]);
  });

  test('goes when optimistic turns take its activities along', async () => {
    const { stage, provider } = await Stage.open();
    const items = await takeWork(provider);
    const turns = ['a', 'b'].map((instanceId) => {
      const standing = { instanceId, executionId: 1, lastEventId: 9, name: 'order', version: '1.0.0', status: 'Running' } as const;
      const completed = items.filter((item) => item.instanceId === instanceId).map((item) => workAckFor(item));
      // In a row, and in another order.
      const inOrder = instanceId === 'a' ? completed : completed.toReversed();
      const item = { ...standing, lockToken: '', messages: [], parent: null, createdAtMs: 0 };
      return ackFor(item, { lockToken: null, completed: inOrder, page: page(10) });
    });
    expect(await provider.ackOrchestrationItems(turns)).toEqual(['committed', 'committed']);
    await pass(provider);
    expect(stage.leases()).toEqual([]);
  });

  test('whose rows others took goes at its end', async () => {
    const { stage, provider } = await Stage.open();
    await start(provider, 'a', 'b');
    await fetchItems(provider, { lockMs: 1_000 });
    for (const instanceId of ['a', 'b'])
      await provider.controlInstances([{ kind: 'terminate', instanceId, output: '"over"', parentMessage: null, closeChildren: closing }]);
    await pass(provider);
    expect(stage.leases()).toEqual(['instances ["a","b"] 1000']);
    await stage.clock.advance(1_000);
    await fetchNone(provider);
    expect(stage.leases()).toEqual([]);
  });

  test('is looked at when the first of its locks may have expired, and stays for those that were renewed', async () => {
    const { stage, provider } = await Stage.open();
    const items = await takeWork(provider);
    await stage.clock.advance(500);
    await renewWork(provider, items.slice(4), 2_000);
    expect(stage.leases()).toEqual(['work_items ["a","b"] 1000']);
    await stage.clock.advance(500);
    const again = await fetchWork(provider, { lockMs: 10_000 });
    expect(again.map(({ instanceId, eventId }) => `${instanceId}${eventId}`)).toEqual(['a2', 'a3', 'a4', 'b2']);
    expect(stage.leases()).toEqual(['work_items ["b"] 2500', 'work_items ["a","b"] 11000']);
    await renewWork(provider, items.slice(5), 200);
    expect(stage.leases()).toEqual(['work_items ["b"] 1200', 'work_items ["a","b"] 11000']);
    await stage.clock.advance(200);
    expect(eventIds(await fetchWork(provider))).toEqual([4]);
    expect(stage.leases()[0]).toBe('work_items ["b"] 2500');
  });

  test('is not counted down by a transaction that is repeated item by item, and goes at its end', async () => {
    const { stage, provider } = await Stage.open();
    await start(provider, 'a', 'b');
    const [a, b] = await fetchItems(provider, { lockMs: 1_000 });
    if (a === undefined || b === undefined) expect.fail('two were started');
    const broken = { ...newInstance('broken'), name: Symbol('no text') as unknown as string };
    const [acked, refusal] = await Promise.allSettled([
      provider.ackOrchestrationItems([ackFor(a), ackFor(b)]),
      provider.startInstances([broken]),
    ]);
    expect([acked.status, refusal.status, provider.commitStats.slowPaths]).toEqual(['fulfilled', 'rejected', 1]);
    await pass(provider);
    expect(stage.leases()).toEqual(['instances ["a","b"] 1000']);
    await stage.clock.advance(1_000);
    await fetchNone(provider);
    expect(stage.leases()).toEqual([]);
  });

  test('is not taken for one of another process that has its number by now', async () => {
    const { stage, provider } = await Stage.open();
    const other = await stage.openProvider();
    await start(provider, 'a', 'b');
    const [a] = await fetchItems(provider, { maxItems: 1, lockMs: 1_000 });
    if (a === undefined) expect.fail('it was started');
    await commit(provider, a);
    await stage.clock.advance(1_000);
    // It finds the first lease at its end, before its owner has removed it, and notes its own.
    expect(instanceIds(await fetchItems(other, { lockMs: 1_000 }))).toEqual(['b']);
    await pass(provider);
    expect(stage.leases()).toEqual(['instances ["b"] 2000']);
    await stage.clock.advance(1_000);
    expect(instanceIds(await fetchItems(provider))).toEqual(['b']);
  });

  test.each([
    ['no JSON', "UPDATE leases SET instance_ids = 'oops'"],
    ['of no queue', "UPDATE leases SET queue = 'other'"],
  ])('that is damaged keeps no lock for ever: %s', async (_, damage) => {
    const { stage, provider } = await Stage.open();
    await takeWork(provider);
    await start(provider, 'c', 'd');
    const [, d] = await fetchItems(provider, { lockMs: 1_000 });
    if (d === undefined) expect.fail('two were started');
    await provider.close();
    stage.other.exec(damage);
    const next = await stage.openProvider();
    expect(stage.leases()).toEqual(['instances ["c","d"] 1000', 'work_items ["a","b"] 1000']);
    await next.renewOrchestrationLocks([d], 3_000);
    await stage.clock.advance(1_000);
    const turns = await fetchItems(next);
    expect([instanceIds(turns), turns.map(attempts)]).toEqual([['c'], [[2]]]);
    expect((await fetchWork(next)).length).toBe(6);
    await stage.clock.advance(2_000);
    expect(instanceIds(await fetchItems(next))).toEqual(['d']);
  });

  test('that is damaged while the store is open is made anew when it is looked at', async () => {
    const { stage, provider } = await Stage.open();
    await start(provider, 'a', 'b');
    await fetchItems(provider, { maxItems: 1, lockMs: 1_000 });
    await fetchItems(provider, { maxItems: 1, lockMs: 2_000 });
    stage.other.exec("UPDATE leases SET instance_ids = '[\"a\"' WHERE instance_ids LIKE '%a%'");
    await stage.clock.advance(1_000);
    // The first look finds the damage, the next one what it kept back.
    await fetchNone(provider);
    expect(stage.leases().toSorted()).toEqual(['instances ["a"] 1000', 'instances ["b"] 2000']);
    expect(instanceIds(await fetchItems(provider))).toEqual(['a']);
    await stage.clock.advance(1_000);
    expect(instanceIds(await fetchItems(provider))).toEqual(['b']);
  });
});

describe('the table of leases', () => {
  /** With rows that are locked as the tests say. */
  async function openTable() {
    const database = await openDatabase(':memory:', 'NORMAL');
    onTestFinished(() => {
      database.close();
    });
    const insert = database.prepare(
      `INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, lock_token, attempts, name, payload) VALUES (?, 1, 2, ?, ?, 1, 'x', '')`,
    );
    const table = new LeaseTable(database);
    const note = (lockToken: string, instanceId: string, endsAtMs: number): void => {
      table.begin(true);
      table.note('work_items', lockToken, endsAtMs, [instanceId]);
      table.committed();
    };
    const lock = (lockToken: string, instanceId: string, endsAtMs: number): void => {
      insert.run(instanceId, endsAtMs, lockToken);
      note(lockToken, instanceId, endsAtMs);
    };
    const count = (): unknown => database.prepare('SELECT count(*) FROM leases').pluck().get();
    return { database, table, note, lock, count };
  }

  test('remembers those that are held, however many were lost to others', async () => {
    const { table, note, lock, count } = await openTable();
    lock('held', 'held', 1_000_000);
    for (let round = 1; round <= 4; round += 1) {
      for (let index = 0; index < 4_000; index += 1) note(`lost ${round} ${index}`, 'lost', round * 1_000);
      table.release('work_items', round * 1_000);
      expect(count()).toBe(1);
    }
    table.renew('work_items', { lockToken: 'held', instanceId: 'held' }, 1_000_500);
    expect(count()).toBe(1);
    table.renew('work_items', { lockToken: 'held', instanceId: 'held' }, 500_000);
    expect([count(), table.nextEndMs('work_items')]).toEqual([1, 500_000]);
  });

  test('counts no more than 10,000 at a time: of the oldest ones renewals are noted anew, so that no end is missed', async () => {
    const { database, table, note, lock, count } = await openTable();
    lock('oldest', 'oldest', 1_000_000);
    for (let index = 0; index < 10_000; index += 1) note(`later ${index}`, 'later', 2_000_000);
    database.prepare("UPDATE work_items SET ready_at = 400000 WHERE instance_id = 'oldest'").run();
    table.renew('work_items', { lockToken: 'oldest', instanceId: 'oldest' }, 400_000);
    expect([count(), table.nextEndMs('work_items')]).toEqual([10_002, 400_000]);
    table.release('work_items', 400_000);
    expect(database.prepare("SELECT lock_token FROM work_items WHERE instance_id = 'oldest'").pluck().get()).toBeNull();
    expect([count(), table.nextEndMs('work_items')]).toEqual([10_001, 1_000_000]);
  });

  test('forgets what a transaction has done that is rolled back', async () => {
    const { database, table, lock, count } = await openTable();
    lock('token', 'a', 1_000);
    database.exec('BEGIN');
    table.begin(true);
    table.finish('token');
    table.note('work_items', 'never', 500, ['b']);
    database.exec('ROLLBACK');
    table.rolledBack();
    table.begin(true);
    table.committed();
    expect([count(), table.nextEndMs('work_items')]).toEqual([1, 1_000]);
    table.begin(true);
    table.finish('token');
    table.committed();
    table.begin(true);
    table.committed();
    expect(count()).toBe(0);
  });
});

describe('an optimistic turn', () => {
  test('takes all its activities along or none, also when a lock ends in the middle of its transaction', async () => {
    const outcomes = new Set<unknown>();
    for (const tag of [null, 't']) {
      for (let lockMs = 1; lockMs < 40; lockMs += 1) {
        const clock = new SimulatedClock(START_MS);
        const provider = await SqliteProvider.open(':memory:', { clock });
        const options = { routing: tag === null ? null : routing({ tag }) };
        await run(provider, 'a', { page: page(9), workItems: [activity(2, options), activity(4, options)] });
        const { items } = await provider.fetchWorkItems({
          maxItems: 9,
          lockMs,
          waitMs: 0,
          select: { kind: 'queue', tags: { kind: 'any' }, session: null },
        });
        // Each look at the clock takes a millisecond from now on.
        const real = clock.nowMs.bind(clock);
        let looks = 0;
        clock.nowMs = () => real() + (looks += 1);
        const standing = { instanceId: 'a', executionId: 1, lastEventId: 9, name: 'order', version: '1.0.0', status: 'Running' } as const;
        const item = { ...standing, lockToken: '', messages: [], parent: null, createdAtMs: 0 };
        const turn = ackFor(item, { lockToken: null, completed: items.map((one) => workAckFor(one)), page: page(10) });
        const [outcome] = await provider.ackOrchestrationItems([turn]);
        outcomes.add(outcome);
        expect([lockMs, (await provider.readWorkItems('a')).length]).toEqual([lockMs, outcome === 'committed' ? 0 : 2]);
        await provider.close();
      }
    }
    expect(outcomes).toEqual(new Set(['conflict', 'committed']));
  });
});

test('a lock that is renewed for a shorter time ends earlier also after its lease was made anew', async () => {
  const { stage, provider } = await Stage.open();
  await start(provider, 'a', 'b');
  const [a] = await fetchItems(provider, { maxItems: 1 });
  const [b] = await fetchItems(provider, { maxItems: 1, lockMs: 30_000 });
  if (a === undefined || b === undefined) expect.fail('two were started');
  await commit(provider, a);
  await pass(provider);
  stage.other.exec("INSERT INTO leases (queue, ends_at, lock_token, instance_ids) VALUES ('instances', 0, 'damaged', 'no JSON')");
  await fetchNone(provider);
  expect(stage.leases()).toEqual(['instances ["b"] 30000']);
  await provider.renewOrchestrationLocks([b], 500);
  await stage.clock.advance(500);
  expect(instanceIds(await fetchItems(provider))).toEqual(['b']);
});
