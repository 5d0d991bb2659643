// The hot statements read indexes in order: no scan, no sort, however many instances, timers and finished ones there are.
// Two of them leave out ORDER BY because the primary key is in the right order already; this holds that it stays so.
import Database from 'better-sqlite3';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';

const folder = mkdtempSync(join(tmpdir(), 'duraloom-plans-'));
const file = join(folder, 'store.db');
let database: Database.Database;

beforeAll(async () => {
  await (await SqliteProvider.open(file)).close();
  database = new Database(file);
});

afterAll(() => {
  database.close();
  rmSync(folder, { recursive: true });
});

function planOf(sql: string): string {
  const rows = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...Array.from(sql.matchAll(/\?/g), () => 1)) as {
    readonly detail: string;
  }[];
  return rows.map(({ detail }) => detail).join('; ');
}

describe('query plans', () => {
  test.for([
    [
      'ready instances',
      'SELECT instance_id FROM instances WHERE ready_at <= ? ORDER BY ready_at, instance_id LIMIT ?',
      /COVERING INDEX instances_ready/,
    ],
    ['the next ready instance', 'SELECT min(ready_at) FROM instances WHERE ready_at IS NOT NULL', /COVERING INDEX instances_ready/],
    [
      'messages of an instance',
      'SELECT payload FROM orchestrator_queue WHERE instance_id = ? AND visible_at <= ? LIMIT 9',
      /PRIMARY KEY \(instance_id=\? AND visible_at<\?\)/,
    ],
    [
      'the first message of an instance',
      'SELECT visible_at FROM orchestrator_queue WHERE instance_id = ? LIMIT 1',
      /PRIMARY KEY \(instance_id=\?\)/,
    ],
    [
      'a cancelled timer',
      'DELETE FROM orchestrator_queue INDEXED BY orchestrator_queue_timers WHERE instance_id = ? AND timer_id = ?',
      /INDEX orchestrator_queue_timers \(instance_id=\? AND timer_id=\?\)/,
    ],
    [
      'ready work items',
      'SELECT name FROM work_items WHERE ready_at <= ? ORDER BY ready_at, instance_id, execution_id, event_id LIMIT ?',
      /INDEX work_items_ready/,
    ],
    ['the next ready work item', 'SELECT min(ready_at) FROM work_items', /INDEX work_items_ready/],
    [
      'history of an execution',
      'SELECT events FROM history WHERE instance_id = ? AND execution_id = ? AND first_event_id > ? ORDER BY first_event_id',
      /PRIMARY KEY/,
    ],
  ] as const)('%s: found by an index, without a scan or a sort', ([, sql, expected]) => {
    const plan = planOf(sql);
    expect(plan).toMatch(expected);
    expect(plan).not.toMatch(/SCAN|TEMP B-TREE/);
  });

  test('the first message of an instance is the one that is visible first', () => {
    const insert = database.prepare(
      `INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, timer_id, attempts, payload) VALUES ('a', ?, ?, 1, NULL, 0, '')`,
    );
    for (const [visibleAt, messageId] of [
      [9, 1],
      [5, 2],
      [1, 4],
      [7, 3],
      [1, 5],
    ])
      insert.run(visibleAt, messageId);
    expect(database.prepare('SELECT visible_at FROM orchestrator_queue WHERE instance_id = ? LIMIT 1').pluck().get('a')).toBe(1);
    const order = database.prepare('SELECT message_id FROM orchestrator_queue WHERE instance_id = ? AND visible_at <= ? LIMIT 9').pluck();
    expect(order.all('a', 8)).toEqual([4, 5, 2, 3]);
  });
});
