// The statements of each fetch and ack read indexes in order: no scan, no sort, however many instances, timers and finished ones there are.
// Some leave out ORDER BY because the index is in the right order already; this holds that it stays so.
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
      'ready instances of a code',
      'SELECT instance_id FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at <= ? ORDER BY ready_at, instance_id LIMIT ?',
      /COVERING INDEX instances_ready \(lock_token=\? AND code_id=\? AND ready_at<\?\)/,
    ],
    [
      'ready instances of several codes',
      `SELECT instance_id, ready_at FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at <= ? UNION ALL
       SELECT instance_id, ready_at FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at <= ? ORDER BY ready_at, instance_id LIMIT ?`,
      /^MERGE \(UNION ALL\); LEFT; .*COVERING INDEX instances_ready .*; RIGHT; .*COVERING INDEX instances_ready/,
    ],
    [
      'the first ready instance of a code',
      'SELECT ready_at FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at <= ? LIMIT 1',
      /COVERING INDEX instances_ready \(lock_token=\? AND code_id=\? AND ready_at<\?\)/,
    ],
    [
      'the next ready instance of a code',
      'SELECT ready_at FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at >= -9007199254740991 LIMIT 1',
      /COVERING INDEX instances_ready \(lock_token=\? AND code_id=\? AND ready_at>\?\)/,
    ],
    [
      'instances that were ready before the clock was set back',
      `UPDATE instances SET ready_at = ready_at - ? WHERE lock_token IS NULL AND ready_at > ? AND ready_at <= ? AND hold_until <= ?
         AND code_id IN (SELECT code_id FROM codes)`,
      /INDEX instances_ready \(lock_token=\? AND code_id=\? AND ready_at>\? AND ready_at<\?\)/,
    ],
    ['new codes', 'SELECT name FROM codes WHERE code_id > ? ORDER BY code_id', /INTEGER PRIMARY KEY/],
    [
      'a queued key',
      'SELECT 1 FROM orchestrator_queue WHERE instance_id = ? AND message_key = ?',
      /COVERING INDEX orchestrator_queue_keys/,
    ],
    [
      'living children',
      `SELECT instance_id FROM instances WHERE parent_instance_id = ? AND status IN ('Pending', 'Running') ORDER BY instance_id`,
      /INDEX instances_children \(parent_instance_id=\?\)/,
    ],
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
      'SELECT name FROM work_items WHERE lock_token IS NULL AND ready_at <= ? ORDER BY ready_at, instance_id, execution_id, event_id LIMIT ?',
      /INDEX work_items_ready/,
    ],
    [
      'the next ready work item',
      'SELECT ready_at FROM work_items WHERE lock_token IS NULL AND ready_at >= -9007199254740991 LIMIT 1',
      /COVERING INDEX work_items_ready \(lock_token=\? AND ready_at>\?\)/,
    ],
    [
      'leases that may have ended',
      'SELECT lease_id FROM leases WHERE queue = ? AND ends_at <= ?',
      /INDEX leases_end \(queue=\? AND ends_at<\?\)/,
    ],
    [
      'the next end of a lease',
      'SELECT ends_at FROM leases WHERE queue = ? AND ends_at >= -9007199254740991 LIMIT 1',
      /COVERING INDEX leases_end \(queue=\? AND ends_at>\?\)/,
    ],
    [
      'rows of a lease',
      'UPDATE instances SET lock_token = NULL WHERE instance_id IN (SELECT value FROM json_each(?)) AND lock_token = ? AND ready_at <= ?',
      /^SEARCH instances USING INDEX sqlite_autoindex_instances_1 \(instance_id=\?\)/,
    ],
    ['any routed item', "SELECT 1 FROM routed_items WHERE instance_id >= '' LIMIT 1", /COVERING INDEX|PRIMARY KEY/],
    [
      'ready routed items of a tag, or of none',
      `SELECT name FROM routed_items WHERE tag IS ? AND session_id IS NULL AND limit_key IS NULL AND (expires_at IS NULL OR expires_at > ?) AND ready_at <= ?
       ORDER BY ready_at, instance_id, execution_id, event_id LIMIT ?`,
      /INDEX routed_items_tag \(tag=\? AND ready_at<\?\)/,
    ],
    [
      'the next ready routed item of a tag, or of none',
      `SELECT ready_at FROM routed_items INDEXED BY routed_items_tag WHERE tag IS ? AND session_id IS NULL
         AND limit_key IS NULL AND (expires_at IS NULL OR expires_at > ?) AND ready_at >= -9007199254740991 LIMIT 1`,
      /INDEX routed_items_tag \(tag=\? AND ready_at>\?\)/,
    ],
    [
      'the next tag',
      'SELECT tag FROM routed_items WHERE tag >= ? AND session_id IS NULL AND limit_key IS NULL ORDER BY tag LIMIT 1',
      /INDEX routed_items_tag \(tag>\?\)/,
    ],
    [
      'ready items of a limit and a tag',
      `SELECT name FROM routed_items WHERE limit_lane = ? AND (expires_at IS NULL OR expires_at > ?) AND ready_at <= ?
       ORDER BY ready_at, instance_id, execution_id, event_id LIMIT ?`,
      /INDEX routed_items_lane \(limit_lane=\? AND ready_at<\?\)/,
    ],
    [
      'the first item of a limit and a tag',
      `SELECT routing FROM routed_items INDEXED BY routed_items_lane WHERE limit_lane = ? AND ready_at >= -9007199254740991 ORDER BY ready_at LIMIT 1`,
      /INDEX routed_items_lane \(limit_lane=\? AND ready_at>\?\)/,
    ],
    [
      'running items of a limit',
      'SELECT count(*) FROM routed_items WHERE limit_key = ? AND ready_at > ? AND lock_token IS NOT NULL AND expires_at IS NULL',
      /INDEX routed_items_limit \(limit_key=\? AND ready_at>\?\)/,
    ],
    ['the next lane of a limit', 'SELECT min(limit_lane) FROM routed_items WHERE limit_lane > ?', /COVERING INDEX routed_items_lane/],
    [
      'ready items of a session',
      `SELECT name FROM routed_items WHERE session_id = ? AND (expires_at IS NULL OR expires_at > ?) AND ready_at <= ?
       ORDER BY ready_at, instance_id, execution_id, event_id LIMIT ?`,
      /INDEX routed_items_session \(session_id=\? AND ready_at<\?\)/,
    ],
    [
      'the next ready item of a session',
      `SELECT ready_at FROM routed_items INDEXED BY routed_items_session WHERE session_id = ? AND ready_at >= -9007199254740991 LIMIT 1`,
      /INDEX routed_items_session \(session_id=\? AND ready_at>\?\)/,
    ],
    ['the next session', 'SELECT min(session_id) FROM routed_items WHERE session_id > ?', /COVERING INDEX routed_items_session/],
    ['leases of an owner', 'SELECT lease_until FROM sessions WHERE owner = ? AND lease_until > ? ORDER BY lease_until', /sessions_owner/],
    [
      'expired items',
      'SELECT min(ready_at) FROM routed_items INDEXED BY routed_items_expiry WHERE expires_at <= ?',
      /INDEX routed_items_expiry \(expires_at<\?\)/,
    ],
    [
      'the next expiry',
      'SELECT expires_at FROM routed_items INDEXED BY routed_items_expiry WHERE expires_at > ? LIMIT 1',
      /COVERING INDEX routed_items_expiry \(expires_at>\?\)/,
    ],
    ['subscribers of a pattern', 'SELECT instance_id FROM subscriptions WHERE pattern = ?', /COVERING INDEX subscriptions_pattern/],
    [
      'the next pattern with wildcards',
      'SELECT min(pattern) FROM subscriptions WHERE is_wild = 1 AND pattern > ?',
      /COVERING INDEX subscriptions_wild/,
    ],
    [
      'messages of a session',
      'SELECT payload FROM session_messages WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT 100',
      /INDEX session_messages_session \(session_id=\? AND seq>\?\)/,
    ],
    [
      'history of an execution',
      `SELECT events FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?) AND execution_id = ?
         AND first_event_id > ? ORDER BY first_event_id`,
      /INDEX history_order \(instance_key=\? AND execution_id=\? AND first_event_id>\?\)/,
    ],
  ] as const)('%s: found by an index, without a scan or a sort', ([, sql, expected]) => {
    const plan = planOf(sql);
    expect(plan).toMatch(expected);
    expect(plan).not.toMatch(/SCAN (?!json_each)|TEMP B-TREE/);
  });

  test.for([
    ['instances without parent', 'instances_children'],
    ['locked instances', 'instances_ready'],
    ['locked work items', 'work_items_ready'],
    ['messages without key', 'orchestrator_queue_keys'],
    ['messages that are no timers', 'orchestrator_queue_timers'],
    ['items that do not expire', 'routed_items_expiry'],
    ['patterns without wildcards', 'subscriptions_wild'],
  ] as const)('%s are not in %s', ([, index]) => {
    const sql = database.prepare('SELECT sql FROM sqlite_master WHERE name = ?').pluck().get(index) as string;
    expect(sql).toMatch(/ WHERE /);
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
