// Statements for several rows at once: all rows, in their order, however many there are.
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  activity,
  commit,
  enqueue,
  eventIds,
  fetchOne,
  fetchWork,
  page,
  payloads,
  routing,
  run,
  timer,
} from '../../src/conformance/case-kit.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { WideStatement } from '../../src/provider/sqlite/wide-statement.ts';

/** Around the number of rows of one statement and its multiples. */
const SIZES = [0, 1, 2, 7, 8, 9, 15, 16, 17, 40];

describe('a wide statement', () => {
  test.each(SIZES)('inserts %i rows', (size) => {
    const database = new Database(':memory:');
    onTestFinished(() => {
      database.close();
    });
    database.exec('CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT, fixed TEXT)');
    const insert = new WideStatement(database, {
      before: 'INSERT INTO rows (number, fixed, text) VALUES',
      row: "(?, 'fixed', ?)",
      after: 'ON CONFLICT DO NOTHING',
    });
    const numbers = Array.from({ length: size }, (_, index) => index);
    for (let round = 0; round < 3; round += 1)
      insert.run(numbers.flatMap((number) => [number, number % 2 === 0 ? null : `${round}.${number}`]));
    expect(database.prepare('SELECT number, text, fixed FROM rows ORDER BY rowid').raw().all()).toEqual(
      numbers.map((number) => [number, number % 2 === 0 ? null : `0.${number}`, 'fixed']),
    );
  });

  test('stores nothing when one of its rows is refused within a transaction', () => {
    const database = new Database(':memory:');
    onTestFinished(() => {
      database.close();
    });
    database.exec('CREATE TABLE rows (number INTEGER PRIMARY KEY)');
    const insert = new WideStatement(database, { before: 'INSERT INTO rows VALUES', row: '(?)' });
    const all = database.transaction((numbers: readonly number[]) => insert.run(numbers));
    expect(() => all([1, 2, 3, 4, 5, 6, 7, 8, 9, 1])).toThrow('UNIQUE');
    expect(database.prepare('SELECT count(*) FROM rows').pluck().get()).toBe(0);
  });
});

describe.each(SIZES.filter((size) => size > 0))('a turn that asks for %i things of a kind', (size) => {
  const numbers = Array.from({ length: size }, (_, index) => index + 2);

  async function open() {
    const clock = new SimulatedClock(1_000_000);
    const provider = await SqliteProvider.open(':memory:', { clock });
    onTestFinished(() => provider.close());
    return { clock, provider };
  }

  test('schedules all activities, those with routing in between', async () => {
    const { provider } = await open();
    const workItems = numbers.map((eventId) => activity(eventId, eventId % 5 === 0 ? { routing: routing({ priority: 1 }) } : {}));
    await run(provider, 'a', { page: page(100), workItems });
    const urgent = numbers.filter((eventId) => eventId % 5 === 0);
    const items = await fetchWork(provider);
    expect(eventIds(items)).toEqual([...urgent, ...numbers.filter((eventId) => !urgent.includes(eventId))]);
    expect(items.every(({ eventId, payload }) => payload === `activity ${eventId}`)).toBe(true);
  });

  test('creates all timers, which fire in their order', async () => {
    const { clock, provider } = await open();
    await run(provider, 'a', { page: page(100), timers: numbers.map((eventId) => timer(eventId, clock.nowMs() + 1_000 - eventId)) });
    await clock.advance(1_000);
    expect(payloads(await fetchOne(provider))).toEqual(numbers.toReversed().map((eventId) => `timer ${eventId}`));
  });

  test('gets all completions that come together, once', async () => {
    const { provider } = await open();
    await run(provider, 'a', { page: page(100), workItems: numbers.map((eventId) => activity(eventId)) });
    const items = await fetchWork(provider);
    await provider.ackWorkItems(items.map((item) => ({ ...item, completionPayload: `done ${item.eventId}` })));
    await enqueue(provider, 'a', 'last');
    const turn = await fetchOne(provider);
    expect(payloads(turn)).toEqual([...numbers.map((eventId) => `done ${eventId}`), 'last']);
    expect(new Set(turn.messages.map(({ messageId }) => messageId)).size).toBe(size + 1);
    await commit(provider, turn);
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });
});
