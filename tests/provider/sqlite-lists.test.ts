// Lists of a SQLite store with many instances: they are those that plain SQL finds, and no call reads on for long. Neighbours: postgres-lists.test.ts does
// the same there, cases-listing.ts for what a list is.
import type Database from 'better-sqlite3';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listQuery } from '../../src/conformance/case-kit.ts';
import type { InstanceFilter, InstanceOrder, ListPosition } from '../../src/provider/management.ts';
import { openDatabase } from '../../src/provider/sqlite/open-database.ts';
import { LIST_FILTERS, LIST_ORDERS, toCondition } from '../support/list-filters.ts';

const ROWS = 200_000;
/** What a call looks at (I1 of listing.ts). */
const MAX_SCANNED = 10_000;
const PAGES = 3;
const LIMIT = 100;

const folder = mkdtempSync(join(tmpdir(), 'duraloom-lists-'));
const file = join(folder, 'store.db');
let database: Database.Database;
let provider: SqliteProvider;

/** Instances of a big store, as in postgres-lists.test.ts; four start at a time, and the name of the oldest tenth never comes again. */
function fill(): void {
  database.exec(
    `INSERT INTO codes (name, version, engine) VALUES ('order', '1.0.0', 1), ('mail', '1.0.0', 1), ('rare', '1.0.0', 1), ('old', '1.0.0', 1)`,
  );
  database.exec(`INSERT INTO instances (instance_id, name, version, code_id, status, stopped_as, priority, execution_id, last_event_id, hold_until, message_seq,
      custom_status_version, has_extras, parent_instance_id, parent_execution_id, parent_event_id, on_parent_close, created_at, updated_at, ended_at)
    WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ${ROWS}), made AS (
      SELECT n, CASE WHEN n % 100 = 50 THEN 'Failed' WHEN n % 11 = 3 THEN 'Running' WHEN n % 30000 = 1 THEN 'Suspended' ELSE 'Completed' END AS status FROM series)
    SELECT printf('i%07d', n * 7919 % ${ROWS}), CASE WHEN n <= ${ROWS / 10} THEN 'old' WHEN n % 1000 = 7 THEN 'rare' WHEN n % 5 < 2 THEN 'mail' ELSE 'order' END,
      '1.0.0', 1, status, CASE WHEN status IN ('Failed', 'Suspended') THEN status END, 0, 1, 2, 0, 1,
      0, 0, CASE WHEN n % 10 = 3 THEN 'big' WHEN n % 20000 = 5 THEN 'small' END, CASE WHEN n % 10 = 3 OR n % 20000 = 5 THEN 1 END,
      CASE WHEN n % 10 = 3 OR n % 20000 = 5 THEN 2 END, 'cancel', 1000000 + n / 4 * 4, 2000000 + n,
      CASE WHEN status IN ('Completed', 'Failed') THEN 3000000 + n * 31 % ${ROWS} END
    FROM made`);
  database.exec(
    `INSERT INTO instance_attributes (instance_key, key, value) SELECT instance_key, 'customer', '"c' || instance_key % 2000 || '"' FROM instances`,
  );
  database.exec(
    `INSERT INTO instance_attributes (instance_key, key, value) SELECT instance_key, 'region', '"eu"' FROM instances WHERE instance_key % 4 = 0`,
  );
}

const FILTERS: Readonly<Record<string, InstanceFilter>> = {
  ...LIST_FILTERS,
  'a name that was in use long ago': { name: 'old' },
  'who ran long ago': { name: 'old', statuses: ['Running'] },
  'all before a time long ago': { createdBeforeMs: 1_010_000 },
  'all after the last one': { createdFromMs: 1_000_001 + ROWS },
};

/** Lists that no index has in their order: they are read on for. */
const READ_ON: Readonly<Record<string, readonly InstanceOrder[]>> = {
  'a time of the start': ['id', 'endedAt'],
  'all before a time long ago': ['endedAt'],
  'all after the last one': ['id', 'endedAt'],
};

function expected(filter: InstanceFilter, orderBy: InstanceOrder, descending: boolean): readonly unknown[] {
  const order = { id: ['instance_id'], createdAt: ['created_at', 'instance_key'], endedAt: ['ended_at', 'instance_key'] }[orderBy];
  const direction = descending ? 'DESC' : 'ASC';
  const ended = orderBy === 'endedAt' ? ' AND ended_at IS NOT NULL' : '';
  const condition = toCondition(filter, { table: 'instance_attributes', column: 'instance_key' });
  return database
    .prepare(
      `SELECT instance_id FROM instances i WHERE ${condition}${ended}
       ORDER BY ${order.map((column) => `${column} ${direction}`).join(', ')} LIMIT ${PAGES * LIMIT}`,
    )
    .pluck()
    .all();
}

beforeAll(async () => {
  database = await openDatabase(file, 'NORMAL');
  database.pragma('synchronous = OFF');
  fill();
  provider = await SqliteProvider.open(file);
}, 120_000);

afterAll(async () => {
  await provider.close();
  database.close();
  rmSync(folder, { recursive: true });
});

describe('lists of a big store', () => {
  test.each(Object.entries(FILTERS))('%s: in every order, in few calls', { timeout: 60_000 }, async (name, filter) => {
    for (const orderBy of LIST_ORDERS) {
      for (const descending of [false, true]) {
        const what = `${orderBy}, ${descending ? 'descending' : 'ascending'}`;
        const found: string[] = [];
        let calls = 0;
        let after: ListPosition | null = null;
        do {
          const page: Awaited<ReturnType<SqliteProvider['listInstances']>> = await provider.listInstances(
            listQuery({ filter, orderBy, descending, after, limit: Math.min(LIMIT, PAGES * LIMIT - found.length) }),
          );
          calls += 1;
          found.push(...page.records.map(({ instanceId }) => instanceId));
          after = page.next;
        } while (after !== null && found.length < PAGES * LIMIT);
        expect(found, what).toEqual(expected(filter, orderBy, descending));
        expect(calls, what).toBeLessThanOrEqual(READ_ON[name]?.includes(orderBy) === true ? PAGES + ROWS / MAX_SCANNED : PAGES);
      }
    }
  });

  test('a list that nothing meets ends a call early, with a place to go on from', async () => {
    const query = listQuery({ filter: { search: 'absent' }, orderBy: 'createdAt', descending: true, limit: LIMIT });
    const { records, next } = await provider.listInstances(query);
    expect(records).toEqual([]);
    const place = database
      .prepare('SELECT created_at AS at, instance_key AS seq FROM instances WHERE instance_key = ?')
      .get(ROWS - MAX_SCANNED + 1);
    expect(next).toMatchObject(place as object);
  });
});

describe('calls of a client that find nothing for long', () => {
  /** A client whose calls for a page are counted; the third one is when its caller has had enough. */
  function impatient(): { readonly client: Client; readonly signal: AbortSignal; readonly calls: () => number } {
    const leaving = new AbortController();
    let calls = 0;
    const counted = new Proxy(provider, {
      get: (target, key) => {
        if (key === 'listInstances') {
          calls += 1;
          if (calls === 3) leaving.abort(new Error('enough'));
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    return { client: new Client(counted), signal: leaving.signal, calls: () => calls };
  }

  test.each<[string, (client: Client, signal: AbortSignal) => Promise<unknown>]>([
    ['a count', (client, signal) => client.countInstances({ search: 'absent' }, { signal })],
    ['an export', (client, signal) => client.exportInstances({ search: 'absent' }, { signal }).next()],
  ])('%s is broken off by its signal', async (_, read) => {
    const { client, signal, calls } = impatient();
    await expect(read(client, signal)).rejects.toThrow('enough');
    expect(calls()).toBe(3);
  });

  test('a bulk call ends by its signal with what it has done', async () => {
    const { client, signal, calls } = impatient();
    expect(await client.bulk('terminate', { search: 'absent' }, { signal })).toMatchObject({ matched: 0, done: 0 });
    expect(calls()).toBe(3);
  });

  test('a count looks at a bounded number of instances, and says so', async () => {
    // The last one that was started: 20 calls find nothing before.
    const last = database.prepare('SELECT instance_id FROM instances WHERE instance_key = ?').pluck().get(ROWS) as string;
    const client = new Client(provider);
    expect(await client.countInstances({ search: last }, { limit: 1 })).toEqual({ count: 1, isExact: true });
    database.exec(`WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 2 * ${MAX_SCANNED})
      INSERT INTO instances (instance_id, name, code_id, status, priority, execution_id, last_event_id, hold_until, message_seq, custom_status_version,
        has_extras, on_parent_close, created_at, updated_at)
      SELECT 'later' || n, 'order', 1, 'Running', 0, 1, 2, 0, 1, 0, 0, 'cancel', 9000000, 9000000 FROM series`);
    expect(await client.countInstances({ search: 'later20000' }, { limit: 1 })).toEqual({ count: 0, isExact: false });
    expect(await client.countInstances({ search: 'later20000' }, { limit: 1_000 })).toEqual({ count: 1, isExact: true });
  });
});
