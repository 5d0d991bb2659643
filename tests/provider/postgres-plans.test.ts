// What the PostgreSQL provider asks for reads few rows, however many there are, also by plans that were made while the tables were empty (F4, F5).
// The plans are those of the provider's own calls: the server tells them as notices (auto_explain), those inside of functions, too. They say how many
// rows each part has read. Neighbour: sqlite-plans.test.ts.
import { PostgresProvider } from 'duraloom/postgres';
import assert from 'node:assert/strict';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  abandon,
  ackFor,
  abandonWork,
  activity,
  attributes,
  closing,
  commit,
  effects,
  ended,
  link,
  listById,
  listQuery,
  newInstance,
  nextExecution,
  page,
  renewWork,
  routing,
  start,
  timer,
  workAckFor,
} from '../../src/conformance/case-kit.ts';
import { placeOf } from '../../src/provider/management.ts';
import type { OrchestrationItem } from '../../src/provider/provider.ts';
import { explainingPool, nodesOf, type Told } from '../support/postgres-plans.ts';
import { freshSchema, query } from '../support/postgres.ts';

/** For a call, on a machine that is busy with other things. To go through a million rows takes as long, but the plans would say so. */
const MAX_CALL_MS = 2_000;
/** Rows that a part of a plan may read: dead ones and those that are locked come before the right ones. */
const MAX_ROWS = 1_000;
const LOCK_MS = 3_600_000;
/** Planned for good after five times; on two connections. */
const EMPTY_ROUNDS = 12;
const HOT = /^(?:instances|messages|work_items|history)(?:_\d+)?$/;

/** What reads a hot table in a way that grows with it, in words. */
function faultsOf({ 'Query Text': text, Plan }: Told): readonly string[] {
  return nodesOf(Plan).flatMap((node) => {
    const table = node['Relation Name'] ?? '';
    const loops = node['Actual Loops'] ?? 1;
    const read = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
    const isScan = HOT.test(table) && node['Node Type'] === 'Seq Scan';
    const isWalk = (HOT.test(table) || node['Index Name'] !== undefined) && read * loops > MAX_ROWS;
    if (!isScan && !isWalk) return [];
    const what = `${node['Node Type']} on ${table} ${node['Index Name'] ?? ''}`.replaceAll(/_\d+\b/g, '');
    return [`${what} by ${node['Index Cond'] ?? 'nothing'}: ${text.replaceAll(/\s+/g, ' ').slice(0, 160)}`];
  });
}

/** Makes each call of a provider that is made for turns and work, with all that a turn can hold. Returns the time of the slowest in words. */
async function callAll(provider: PostgresProvider, round: string): Promise<{ readonly ms: number; readonly what: string }> {
  let slowest = { ms: 0, what: '' };
  const timed = async <Value>(what: string, call: Promise<Value>): Promise<Value> => {
    const startMs = performance.now();
    const value = await call;
    const ms = performance.now() - startMs;
    if (ms > slowest.ms) slowest = { ms, what };
    return value;
  };
  const id = (name: string): string => `${round} ${name}`;
  const fetch = async (name: string, maxItems = 20): Promise<readonly OrchestrationItem[]> => {
    const accepts = (code: { readonly name: string }): boolean => code.name === name;
    return (await timed(`fetch turns of ${name}`, provider.fetchOrchestrationItems({ accepts, maxItems, lockMs: LOCK_MS, waitMs: 0 })))
      .items;
  };
  const fetchWork = async (select?: Parameters<PostgresProvider['fetchWorkItems']>[0]['select'], maxItems = 20) =>
    (
      await timed(
        'fetch work',
        provider.fetchWorkItems({ maxItems, lockMs: LOCK_MS, waitMs: 0, ...(select === undefined ? {} : { select }) }),
      )
    ).items;

  await timed(
    'start',
    provider.startInstances([
      newInstance(id('a'), { attributes: attributes({ k: round }) }),
      newInstance(id('b')),
      newInstance(id('child'), { parent: link(id('a')) }),
    ]),
  );
  await timed('replace', provider.startInstances([newInstance(id('b'), { policy: 'terminateExisting', closeChildren: closing })]));
  await timed(
    'send',
    provider.enqueueMessages([
      { instanceId: id('a'), payload: 'm', key: 'k' },
      { instanceId: id('a'), payload: 'm', key: 'k' },
    ]),
  );
  const items = await fetch('order');
  assert.deepEqual(items.map(({ instanceId }) => instanceId).toSorted(), [id('a'), id('b'), id('child')].toSorted());
  const [a, b, child] = items.toSorted((x, y) => (x.instanceId < y.instanceId ? -1 : 1)) as [
    OrchestrationItem,
    OrchestrationItem,
    OrchestrationItem,
  ];
  await timed('renew turns', provider.renewOrchestrationLocks(items, LOCK_MS));
  const atMs = Date.now() + 900_000;
  await timed(
    'full turn',
    commit(provider, a, {
      page: page(9),
      workItems: [
        activity(2),
        activity(3),
        activity(4),
        activity(8, { routing: routing({ limit: { key: id('limit'), concurrency: 2, rate: { count: 5, perMs: 1_000 } } }) }),
        activity(5, { routing: routing({ tag: 'tpu', expiresAfterMs: 900_000 }) }),
      ],
      timers: [timer(6, atMs), timer(7, atMs), timer(9, Date.now() - 1_000)],
      starts: [{ ...newInstance(id('started'), { parent: link(id('a'), 8), startAtMs: atMs }), conflictPayload: null }],
      messages: [{ instanceId: id('b'), payload: 'hello', key: 'h' }],
      customStatus: '1',
      effects: effects({
        values: [{ key: 'k', value: '1' }],
        subscriptions: [{ pattern: id('topic'), subscribed: true }],
        sessionMessages: [{ sessionId: id('s'), payload: 'm' }],
        terminations: [{ instanceId: id('started'), parent: link(id('a'), 8), output: '"t"', cancelPayload: 'c' }],
      }),
    }),
  );
  await timed('abandon a turn', abandon(provider, b, { delayMs: 0 }));
  await timed('end of a child', commit(provider, child, { page: page(2), status: 'Completed', output: '1' }));
  await timed('publish', provider.publish([{ topic: id('topic'), payload: 'p' }]));
  const work = await fetchWork();
  assert.equal(work.length, 4);
  const [first, second, third] = work as unknown as readonly [
    (typeof work)[0] & object,
    (typeof work)[0] & object,
    (typeof work)[0] & object,
  ];
  await timed('renew work', renewWork(provider, work, LOCK_MS, 'beat'));
  await timed('ack work', provider.ackWorkItems([workAckFor(first)]));
  await timed('abandon work', abandonWork(provider, second, { delayMs: LOCK_MS }));
  const tagged = await fetchWork({ kind: 'queue', tags: { kind: 'only', tags: ['tpu'] }, session: null });
  assert.equal(tagged.length, 1);
  await fetchWork({ kind: 'queue', tags: { kind: 'any' }, session: { owner: 'o', leaseMs: 1, maxSessions: 1 } }, 1);
  await fetchWork({ kind: 'expired' });
  const next = (await fetch('order')).find(({ instanceId }) => instanceId === id('a'));
  assert.ok(next !== undefined);
  await timed(
    'continue as new',
    commit(provider, next, { page: page(12), cancelledTimers: [6], cancelledActivities: [3], next: nextExecution }),
  );
  const renewed = (await fetch('order')).find(({ instanceId }) => instanceId === id('a'));
  assert.ok(renewed !== undefined);
  await timed('execution two', commit(provider, renewed, { page: page(2), workItems: [activity(1)] }));
  const own = (await fetchWork()).find((item) => item.instanceId === id('a') && item.executionId === 2);
  assert.ok(own !== undefined);
  const base = { ...renewed, lockToken: '', executionId: 2, lastEventId: 2, messages: [] };
  const [outcome] = await timed(
    'optimistic turn',
    provider.ackOrchestrationItems([{ ...ackFor(base), lockToken: null, page: page(4), completed: [workAckFor(own)] }]),
  );
  assert.equal(outcome, 'committed');
  await timed('suspend', provider.controlInstances([{ kind: 'suspend', instanceId: id('b') }]));
  await timed('resume', provider.controlInstances([{ kind: 'resume', instanceId: id('b') }]));
  // What many others wait for, too.
  for (const item of await fetch('other', 50)) await provider.abandonOrchestrationItems([{ ...item, delayMs: 0, countAttempt: false }]);
  for (const item of await fetchWork({ kind: 'queue', tags: { kind: 'only', tags: ['gpu'] }, session: null }, 50)) {
    await provider.abandonWorkItems([{ ...workAckFor(item), delayMs: 0, countAttempt: false }]);
  }
  await timed(
    'history',
    provider.readHistory([
      { instanceId: id('a'), executionId: 1, afterEventId: 0 },
      { instanceId: id('b'), executionId: 1, afterEventId: 0 },
    ]),
  );
  await timed('records', provider.readInstances([id('a'), id('b'), id('nobody')]));
  await timed('work of an instance', provider.readWorkItems(id('a')));
  await timed('list', listById(provider, { after: id('a'), limit: 10 }));
  for (const orderBy of ['createdAt', 'endedAt'] as const) {
    for (const filter of [
      {},
      { name: 'order' },
      { statuses: ['Failed', 'Suspended'] as const },
      { attributes: attributes({ k: round }).list },
    ]) {
      await timed('list in another order', provider.listInstances(listQuery({ filter, orderBy, descending: true, limit: 10 })));
    }
  }
  await timed('counts', provider.countWaiting([id('a'), id('b'), 'filler 1', 'parent 1', 'nobody']));
  await timed('executions', provider.listExecutions(id('a')));
  for (const queue of ['orchestrator', 'worker'] as const) {
    const [first] = await timed(`peek ${queue}`, provider.peekQueue({ queue, after: null, limit: 10 }));
    assert.ok(first !== undefined);
    await timed(`peek ${queue} on`, provider.peekQueue({ queue, after: placeOf(first), limit: 10 }));
    await timed(`peek ${queue} of one`, provider.peekQueue({ queue, instanceId: id('a'), after: null, limit: 10 }));
  }
  const [message] = await provider.peekQueue({ queue: 'orchestrator', instanceId: id('b'), after: null, limit: 1 });
  assert.ok(message?.kind === 'message');
  await timed('unlock a message', provider.editQueues([{ kind: 'unlock', item: message }]));
  await timed('move an activity back', provider.editQueues([{ kind: 'moveBack', item: { ...first, kind: 'workItem' } }]));
  await timed('drop an activity', provider.editQueues([{ kind: 'drop', item: { ...second, kind: 'workItem' }, completionPayload: 'c' }]));
  const [dump] = await timed('export', provider.exportInstances([id('a')]));
  assert.ok(dump !== undefined && dump !== null);
  const copy = { ...dump, record: { ...dump.record, instanceId: id('copy') } };
  assert.deepEqual(await timed('import', provider.importInstances([copy])), ['imported']);
  await timed('prune', provider.pruneExecutions([{ instanceId: id('copy'), keepLast: 1, endedBeforeMs: null }]));
  assert.deepEqual(await timed('delete', provider.deleteInstances([{ instanceId: id('copy'), isForced: true }])), [
    { kind: 'deleted', instances: 1 },
  ]);
  await timed('children', listById(provider, { limit: 10, parentInstanceId: id('a') }));
  await timed(
    'wait for a message',
    provider.waitForInstance({ instanceId: id('b'), condition: { kind: 'received', key: 'h' }, waitMs: 0 }),
  );
  await timed('wait for an end', provider.waitForInstance({ instanceId: id('a'), condition: ended, waitMs: 0 }));
  await timed('session messages', provider.receiveSessionMessages({ sessionId: id('s'), afterSeq: 0, waitMs: 0 }));
  await timed('renew sessions', provider.renewSessions({ owner: 'o', leaseMs: 1, idleMs: 1 }));
  assert.equal(third.instanceId, id('a'));
  for (const instanceId of [id('a'), id('b')]) {
    await timed(
      'terminate',
      provider.controlInstances([{ kind: 'terminate', instanceId, output: '"t"', parentMessage: null, closeChildren: closing }]),
    );
  }
  return slowest;
}

/** Fills the hot tables: with ended, waiting, locked, running instances and those that others may take; each with history and a message or work. */
async function fill(schema: string, rows: number): Promise<void> {
  const table = (name: string): string => `"${schema}".${name}`;
  const code = (name: string): string => `(SELECT code_id FROM ${table('codes')} WHERE name = '${name}' ORDER BY code_id LIMIT 1)`;
  const now = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint';
  await Promise.all([
    query(`INSERT INTO ${table('instances')} (instance_id, name, code_id, status, priority, execution_id, first_execution_id, last_event_id, ready_at,
        lock_token, hold_until, parent_instance_id, parent_execution_id, parent_event_id, on_parent_close, created_at, updated_at, ended_at)
      SELECT 'filler ' || n, CASE WHEN n % 10 < 2 THEN 'other' ELSE 'order' END, CASE WHEN n % 10 < 2 THEN o.code ELSE o.own END,
        CASE WHEN n % 10 < 6 THEN 'Running' ELSE 'Completed' END, 0, 1, 1, 2,
        CASE WHEN n % 10 < 2 THEN o.now - 1000000 + n % 1000 WHEN n % 10 < 4 THEN o.now + 3600000 + n WHEN n % 10 < 5 THEN o.now + 7200000 + n END,
        CASE WHEN n % 10 IN (2, 3) THEN 'x' END, 0, CASE WHEN n % 2 = 0 THEN 'parent ' || n / 4 END, 1, 1, 'cancel', o.now + n, o.now, CASE WHEN n % 10 >= 6 THEN o.now END
      FROM generate_series(1, ${rows}) n, (SELECT ${code('other')} AS code, ${code('order')} AS own, ${now} AS now) o`),
    query(`INSERT INTO ${table('messages')} (instance_id, visible_at, message_id, order_at, timer_id, message_key, payload)
      SELECT 'filler ' || n, CASE WHEN n % 10 = 4 THEN ${now} + 7200000 ELSE 0 END, 1000000000 + n, 0, CASE WHEN n % 10 = 4 THEN 3 END,
        CASE WHEN n % 10 = 1 THEN 'k' END, 'message'
      FROM generate_series(1, ${rows}) n`),
    query(`INSERT INTO ${table('work_items')} (instance_id, execution_id, event_id, ready_at, lock_token, tag, expires_at, priority, limit_key,
        limit_concurrency, name, payload)
      SELECT 'filler ' || n, 1, 2, CASE WHEN n % 10 < 3 OR (n % 10 = 5 AND n > 5) THEN o.now - 1000000 + n % 1000 ELSE o.now + 3600000 + n END,
        CASE WHEN n % 10 >= 3 AND (n % 10 <> 5 OR n = 5) THEN 'x' END, CASE WHEN n % 10 < 3 THEN 'gpu' WHEN n % 10 = 3 THEN 'big' END,
        CASE WHEN n % 10 = 4 THEN o.now + 36000000 END, 0, CASE WHEN n % 10 = 5 THEN 'quota' END, CASE WHEN n % 10 = 5 THEN 1 END, 'charge', 'work'
      FROM generate_series(1, ${rows}) n, (SELECT ${now} AS now) o`),
    query(`INSERT INTO ${table('history')} (instance_id, execution_id, first_event_id, last_event_id, events)
      SELECT 'filler ' || n / 3, 1, 1 + n % 3, 1 + n % 3, '[]' FROM generate_series(1, ${rows}) n`),
  ]);
}

describe.each([
  { name: 'a million rows', partitions: 1, rows: 1_000_000 },
  { name: 'rows in 8 parts', partitions: 8, rows: 100_000 },
])('with $name in each hot table', ({ partitions, rows }) => {
  test('no call reads more than a few, by plans for empty tables and by new ones', { timeout: 240_000 }, async () => {
    const told: Told[] = [];
    const schema = freshSchema();
    const pool = explainingPool(told);
    onTestFinished(() => pool.end());
    const provider = await PostgresProvider.connect({ pool, schema, partitions, pollMs: LOCK_MS });
    onTestFinished(() => provider.close());
    // New statistics would make new plans.
    const tables = await query(
      `SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = $1::regnamespace`,
      [`"${schema}"`],
    );
    for (const { name } of tables) await query(`ALTER TABLE ${String(name)} SET (autovacuum_enabled = off)`);

    await start(provider, 'one');
    await provider.startInstances([newInstance('another', { name: 'other' })]);
    for (const name of ['order', 'other']) {
      const { items } = await provider.fetchOrchestrationItems({
        accepts: (code) => code.name === name,
        maxItems: 9,
        lockMs: LOCK_MS,
        waitMs: 0,
      });
      for (const item of items) await commit(provider, item, { page: page(2), status: 'Completed' });
    }
    for (let round = 0; round < EMPTY_ROUNDS; round += 1) await callAll(provider, `empty ${round}`);
    await fill(schema, rows);

    for (const phase of ['old plans', 'new plans']) {
      told.length = 0;
      const slowest = await callAll(provider, `${phase} 1`);
      const more = await callAll(provider, `${phase} 2`);
      expect([...new Set(told.flatMap(faultsOf))], phase).toEqual([]);
      expect(told.length).toBeGreaterThan(200);
      expect(Math.max(slowest.ms, more.ms), `${phase}: ${slowest.what}, ${more.what}`).toBeLessThan(MAX_CALL_MS);
      for (const { name } of tables) await query(`ANALYZE ${String(name)}`);
    }
  });
});
