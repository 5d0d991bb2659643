// What one provider on a PostgreSQL server commits is heard by those who wait on another one, and what was promised to a fetch that waits is not lost
// when its commit fails. Neighbours: src/provider/postgres/notifier.ts, fetch-waits.ts; postgres-trouble.test.ts (connections that end).
import type { PooledPostgresClient, PostgresPool, PostgresProvider } from 'duraloom/postgres';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  activity,
  commit,
  effects,
  ended,
  enqueue,
  fetchOne,
  page,
  payloads,
  run,
  start,
  startOne,
  statusAfter,
} from '../../src/conformance/case-kit.ts';
import type { OrchestrationItem } from '../../src/provider/provider.ts';
import { rejection } from '../support/integration-stage.ts';
import { freshSchema, openPostgres, postgresUrl, query } from '../support/postgres.ts';

const HOUR_MS = 3_600_000;
/** A wait ends without by then; a notice is here in milliseconds. */
const WAIT_MS = 15_000;
const long = { maxItems: 9, lockMs: HOUR_MS, waitMs: WAIT_MS };

/** Two processes, as it were, that look by themselves once an hour. */
async function two(): Promise<readonly [PostgresProvider, PostgresProvider, string]> {
  const schema = freshSchema();
  const open = (): Promise<PostgresProvider> => openPostgres({ schema, pollMs: HOUR_MS });
  const [here, there] = [await open(), await open()];
  // Both hear: a fetch that waits was woken on each.
  for (const [from, to] of [
    [here, there],
    [there, here],
  ] as const) {
    const waiting = to.fetchOrchestrationItems(long);
    await startOne(from, `first ${from === here ? 'here' : 'there'}`);
    for (const item of (await waiting).items) await commit(to, item, { page: page(2), status: 'Completed' });
  }
  return [here, there, schema];
}

/** How long something takes, in milliseconds. */
async function timed(work: Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work;
  return performance.now() - startedMs;
}

describe('a commit of another provider wakes', () => {
  test('who waits for a turn: by a start, a message, a suspended one that goes on', async () => {
    const [here, there] = await two();
    let waiting = there.fetchOrchestrationItems(long);
    await start(here, 'a');
    const [a] = (await waiting).items as readonly [OrchestrationItem];
    await commit(there, a, { page: page(2) });
    waiting = there.fetchOrchestrationItems(long);
    await enqueue(here, 'a', 'm');
    const [again] = (await waiting).items as readonly [OrchestrationItem];
    expect(payloads(again)).toEqual(['m']);
    await there.abandonOrchestrationItems([{ ...again, delayMs: 0, countAttempt: false }]);
    await here.controlInstances([{ kind: 'suspend', instanceId: 'a' }]);
    waiting = there.fetchOrchestrationItems(long);
    await here.controlInstances([{ kind: 'resume', instanceId: 'a' }]);
    expect((await waiting).items.map(payloads)).toEqual([['m']]);
  });

  test('who waits for work, for a value, for a status, for an end, for a message to a session', async () => {
    const [here, there] = await two();
    await start(here, 'a');
    const wait = (condition: Parameters<PostgresProvider['waitForInstance']>[0]['condition']) =>
      there.waitForInstance({ instanceId: 'a', condition, waitMs: WAIT_MS });
    const [work, value, status, end] = [
      there.fetchWorkItems(long),
      wait({ kind: 'value', key: 'k', unless: null }),
      wait(statusAfter(0)),
      wait(ended),
    ];
    const session = there.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: WAIT_MS });
    const changes = effects({ values: [{ key: 'k', value: '1' }], sessionMessages: [{ sessionId: 's', payload: 'm' }] });
    await commit(here, await fetchOne(here), { page: page(2), workItems: [activity(2)], customStatus: '7', effects: changes });
    expect((await work).items.map(({ eventId }) => eventId)).toEqual([2]);
    expect((await value)?.customStatus).toBe('7');
    expect((await status)?.customStatus).toBe('7');
    expect((await session).map(({ payload }) => payload)).toEqual(['m']);
    await enqueue(here, 'a', 'end');
    await commit(here, await fetchOne(here), { page: page(4), status: 'Completed', output: '1' });
    expect((await end)?.status).toBe('Completed');
  });
});

test('who waits for the end of an ended instance, while its id is started again, is answered at once', async () => {
  const provider = await openPostgres({ pollMs: HOUR_MS });
  await run(provider, 'a', { status: 'Completed', output: '1' });
  const starting = startOne(provider, 'a', { policy: 'useExisting' });
  // It is on its way.
  await new Promise<void>((resolve) => void setImmediate(resolve));
  const waiting = provider.waitForInstance({ instanceId: 'a', condition: { kind: 'ended' }, waitMs: WAIT_MS });
  expect(await starting).toBe('exists');
  const answeredMs = await timed(waiting);
  expect((await waiting)?.output).toBe('1');
  expect(answeredMs).toBeLessThan(WAIT_MS / 2);
});

test('a notice that gets lost costs a slow poll, nothing else', async () => {
  const schema = freshSchema();
  const here = await openPostgres({ schema });
  const there = await openPostgres({ schema, pollMs: 100 });
  await start(here, 'a');
  const item = await fetchOne(here);
  const waiting = there.fetchOrchestrationItems(long);
  expect(item.instanceId).toBe('a');
  // Nobody tells of what is written past all providers.
  await query(`UPDATE "${schema}".instances SET ready_at = 0, lock_token = NULL, handed_order = NULL, handed_id = NULL`);
  expect((await waiting).items.map(payloads)).toEqual([['start a']]);
});

/** A pool whose statements of one kind can be made to fail, before the server has them or after it has done them. */
function failingPool(): PostgresPool & { fail: null | { readonly text: string; readonly when: 'before' | 'after' } } {
  const pool = new pg.Pool({ connectionString: postgresUrl(), max: 5 });
  onTestFinished(() => pool.end());
  const failing: ReturnType<typeof failingPool> = {
    fail: null,
    connect: async () => {
      const client = (await pool.connect()) as PooledPostgresClient;
      return {
        query: async (config) => {
          const { fail } = failing;
          if (fail === null || !config.text.includes(fail.text)) return await client.query(config);
          failing.fail = null;
          if (fail.when === 'after') await client.query(config);
          throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
        },
        release: (error) => client.release(error),
        on: (event, listener) => client.on(event, listener),
        removeListener: (event, listener) => client.removeListener(event, listener),
      };
    },
    on: (event, listener) => pool.on(event, listener),
    removeListener: (event, listener) => pool.removeListener(event, listener),
  };
  return failing;
}

/** A pooler that gives each transaction another connection of the server: a notice goes to whose transaction is running on it just then. */
function transactionPooler(): PostgresPool {
  const servers = new pg.Pool({ connectionString: postgresUrl(), max: 5 });
  onTestFinished(() => servers.end());
  const linked = new WeakMap<object, (message: never) => void>();
  servers.on('connect', (server) => server.on('notification', (message) => linked.get(server)?.(message as never)));
  return {
    connect: () => {
      let onNotice: (message: never) => void = () => undefined;
      const client: PooledPostgresClient = {
        query: async (config) => {
          const server = await servers.connect();
          linked.set(server, (message) => onNotice(message));
          try {
            // Prepared statements are nothing for a pooler.
            const { name: _, ...unnamed } = config;
            return await server.query(unnamed as pg.QueryConfig);
          } finally {
            linked.delete(server);
            server.release();
          }
        },
        release: () => undefined,
        on: (event, listener) => void (event === 'notification' && (onNotice = listener)),
        removeListener: () => undefined,
      };
      return Promise.resolve(client);
    },
    on: () => undefined,
    removeListener: () => undefined,
  };
}

test('behind a pooler that gives each transaction another connection it looks by itself, as what it hears is its own', async () => {
  const schema = freshSchema();
  const here = await openPostgres({ schema, pool: transactionPooler(), pollMs: HOUR_MS });
  const there = await openPostgres({ schema });
  await run(here, 'warm up');
  for (const instanceId of ['a', 'b', 'c']) {
    const waiting = here.fetchOrchestrationItems(long);
    await startOne(there, instanceId);
    expect((await waiting).items.map((item) => item.instanceId)).toEqual([instanceId]);
  }
});

test('a notice whose connection is lost is told by the next one', async () => {
  const schema = freshSchema();
  const pool = failingPool();
  const here = await openPostgres({ schema, pool, pollMs: HOUR_MS });
  const there = await openPostgres({ schema, pollMs: HOUR_MS });
  await run(there, 'warm up');
  for (const instanceId of ['a', 'b']) {
    const waiting = there.fetchOrchestrationItems(long);
    if (instanceId === 'b') pool.fail = { text: 'pg_notify', when: 'before' };
    await startOne(here, instanceId);
    expect((await waiting).items.map((item) => item.instanceId)).toEqual([instanceId]);
  }
});

describe.each(['before', 'after'] as const)('a commit that fails %s the server has done it', (when) => {
  test('with work for a fetch that waits: the fetch waits on, and gets the work once', async () => {
    const pool = failingPool();
    const provider = await openPostgres({ pool, pollMs: HOUR_MS });
    await run(provider, 'warm up');
    await start(provider, 'a');
    const item = await fetchOne(provider);
    // Found empty, so it can be promised something.
    expect((await provider.fetchWorkItems({ ...long, waitMs: 0 })).items).toEqual([]);
    const waiting = provider.fetchWorkItems(long);
    const ack = { page: page(2), workItems: [activity(2)] };
    pool.fail = { text: 'ack_turns', when };
    expect(await rejection(commit(provider, item, ack))).toMatchObject({ retryable: true });
    if (when === 'before') await commit(provider, item, ack);
    expect((await waiting).items.map(({ eventId, attempt }) => [eventId, attempt])).toEqual([[2, 1]]);
    expect((await provider.fetchWorkItems({ ...long, waitMs: 0 })).items).toEqual([]);
  });

  test('with a start for a fetch that waits: the fetch waits on, and gets the turn once', async () => {
    const pool = failingPool();
    const provider = await openPostgres({ pool, pollMs: HOUR_MS });
    await run(provider, 'warm up');
    expect((await provider.fetchOrchestrationItems({ ...long, waitMs: 0 })).items).toEqual([]);
    const waiting = provider.fetchOrchestrationItems(long);
    pool.fail = { text: 'start_instances', when };
    expect(await rejection(startOne(provider, 'a'))).toMatchObject({ retryable: true });
    expect(await startOne(provider, 'a', { policy: 'useExisting' })).toBe(when === 'before' ? 'started' : 'exists');
    const { items } = await waiting;
    expect(items.map(({ instanceId, messages }) => [instanceId, messages.map(({ attempt }) => attempt)])).toEqual([['a', [1]]]);
    expect((await provider.fetchOrchestrationItems({ ...long, waitMs: 0 })).items).toEqual([]);
  });
});

test.each(['fail', 'terminateExisting'] as const)(
  'texts with NUL come back as they were, by a start with %s and by a publication',
  async (policy) => {
    const provider = await openPostgres();
    await startOne(provider, 'a', { policy, payload: '"a\0b"' });
    const item = await fetchOne(provider);
    expect(payloads(item)).toEqual(['"a\0b"']);
    await commit(provider, item, { page: page(2), effects: effects({ subscriptions: [{ pattern: 't', subscribed: true }] }) });
    expect(await provider.publish([{ topic: 't', payload: 'x\0y' }])).toEqual([1]);
    expect(payloads(await fetchOne(provider))).toEqual(['x\0y']);
  },
);
