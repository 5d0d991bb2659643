// Trouble of a PostgreSQL server and of the way to it while there is work: servers that are restarted, connections that are cut or silent, locks that
// others hold, poolers in between. Nothing ends by it, nothing is done twice. Neighbour: postgres-connect.test.ts (trouble before).
import { Client, Runtime, type InstanceHandle, type RuntimeOptions } from 'duraloom';
import { PostgresProvider, type PostgresOptions } from 'duraloom/postgres';
import { inspect } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Proxy as NetworkProxy } from '../../postgres-server/proxy.ts';
import { queryServer } from '../../postgres-server/schemas.ts';
import type { StopMode } from '../../postgres-server/server-process.ts';
import { startOwnPostgres, type PostgresServer } from '../../postgres-server/server.ts';
import {
  activity,
  enqueue,
  fetchItems,
  fetchOne,
  fetchWork,
  page,
  payloads,
  read,
  routing,
  run,
  start,
  startOne,
} from '../../src/conformance/case-kit.ts';
import { isFaultOfItem } from '../../src/main/store-fault.ts';
import { NoConnection, StatementTimeout, toProviderError } from '../../src/provider/postgres/trouble.ts';
import * as activities from '../integration/fixtures/activities.ts';
import { call, chain } from '../integration/fixtures/orchestrations.ts';
import { release } from '../support/integration-gate.ts';
import { LogBook, type LoggedLine } from '../support/integration-log.ts';
import { modules, PATIENCE, quick, rejection } from '../support/integration-stage.ts';
import { freshSchema, openPostgres, postgresUrl, query } from '../support/postgres.ts';

const HOUR_MS = 3_600_000;
const INSTANCES = 40;
const STEPS = 4;
/** How often a runtime asks in vain, per kind of work, until a server comes back. */
const TRIES = 4;
const inline: Partial<RuntimeOptions> = {
  ...quick,
  turnTimeoutMs: 5_000,
  activityLockMs: 2_000,
  orchestrations: [chain],
  activities: [activities.echo],
  replayThreads: 0,
  activityThreads: 0,
};
/** Leases outlast the time for which a server is away. */
const inThreads: Partial<RuntimeOptions> = { turnTimeoutMs: 5_000, activityLockMs: 60_000, replayThreads: 2, activityThreads: 2 };

/** A transaction of somebody else, rolled back at the end if it is still open. */
async function openTransaction(...statements: readonly string[]): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: postgresUrl() });
  await client.connect();
  onTestFinished(() => client.end());
  for (const statement of ['BEGIN', ...statements]) await client.query(statement);
  return client;
}

/** Resolves when somebody waits for a lock on a table of the schema, with the ids of the server processes. */
async function waitingForLock(name: string): Promise<readonly number[]> {
  let pids: readonly number[] = [];
  const look = async (): Promise<number> => {
    const rows = await query(`SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, [name]);
    pids = rows.map(({ pid }) => Number(pid));
    return pids.length;
  };
  await expect.poll(look, { timeout: 10_000 }).toBeGreaterThan(0);
  return pids;
}

/** A connection string by which the connections of one test are told from others. */
function named(name: string, settings: Readonly<Record<string, string>> = {}): string {
  const url = new URL(postgresUrl());
  url.searchParams.set('application_name', name);
  const flags = Object.entries(settings).map(([key, value]) => `-c ${key}=${value}`);
  if (flags.length > 0) url.searchParams.set('options', flags.join(' '));
  return url.href;
}

/** Makes a call again as long as it meets trouble that passes, which is what callers are told to do. */
async function insist<Value>(call: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error as { readonly retryable?: unknown }).retryable) throw error;
    }
  }
}

/** Starts instances that call activities one after the other. */
async function startChains(client: Client, prefix: string): Promise<readonly InstanceHandle<number>[]> {
  const ids = Array.from({ length: INSTANCES }, (_, index) => `${prefix} ${index}`);
  return await Promise.all(ids.map((id) => insist(() => client.startOrchestration(id, chain, STEPS, { onExisting: 'useExisting' }))));
}

/** All have the right result, and each step is in the history once. */
async function assertDoneOnce(client: Client, handles: readonly InstanceHandle<number>[]): Promise<void> {
  const results = await Promise.all(handles.map((handle) => insist(() => handle.result({ timeout: PATIENCE }))));
  expect(results).toEqual(handles.map(() => (STEPS * (STEPS + 1)) / 2));
  for (const { instanceId } of handles) {
    const kinds = (await client.readHistory(instanceId)).map(({ kind }) => kind);
    for (const kind of ['ActivityScheduled', 'ActivityCompleted']) expect(kinds.filter((each) => each === kind)).toHaveLength(STEPS);
    expect(kinds.filter((kind) => /Failed|Quarantined/.test(kind))).toEqual([]);
  }
}

test.each<readonly [string | null, string, boolean]>([
  ['08006', 'connection failure', true],
  ['08P01', 'protocol violation', true],
  ['25006', 'cannot execute in a read-only transaction', true],
  ['25P02', 'current transaction is aborted', true],
  ['26000', 'prepared statement does not exist', true],
  ['28P01', 'password authentication failed', true],
  ['3D000', 'database does not exist', true],
  ['40001', 'could not serialize access', true],
  ['40P01', 'deadlock detected', true],
  ['40003', 'statement completion unknown', true],
  ['42P05', 'prepared statement already exists', true],
  ['0A000', 'cached plan must not change result type', true],
  ['53100', 'disk full', true],
  ['53200', 'out of memory', true],
  ['53300', 'too many connections', true],
  ['55P03', 'lock not available', true],
  ['57014', 'statement timeout', true],
  ['57P01', 'terminating connection due to administrator command', true],
  ['57P02', 'crash shutdown', true],
  ['57P03', 'the database system is starting up', true],
  ['58030', 'could not write', true],
  ['ECONNRESET', 'read ECONNRESET', true],
  ['EPIPE', 'write EPIPE', true],
  ['ENETDOWN', 'network is down', true],
  ['EAI_AGAIN', 'getaddrinfo EAI_AGAIN', true],
  [null, 'Connection terminated unexpectedly', true],
  [null, 'timeout exceeded when trying to connect', true],
  [null, 'Client has encountered a connection error and is not queryable', true],
  [null, 'something else', false],
  ['0A000', 'not supported', false],
  ['22001', 'value too long', false],
  ['22P02', 'invalid input syntax', false],
  ['23505', 'duplicate key', false],
  ['42P01', 'relation does not exist', false],
  ['42501', 'permission denied', false],
  ['54000', 'program limit exceeded', false],
  ['XX001', 'data corrupted', false],
  ['ERR_STRING_TOO_LONG', 'Cannot create a string longer', false],
])(
  'T53: %s (%s) is trouble of the server, to be tried again: %s; only what is not may be the fault of an item',
  (code, message, isTrouble) => {
    const thrown = Object.assign(new Error(message), code === null ? {} : { code });
    const error = toProviderError('ackOrchestrationItems', thrown);
    expect(error).toMatchObject({ code: 'PROVIDER_FAILED', retryable: isTrouble, operation: 'ackOrchestrationItems' });
    expect(error.message).toContain(message);
    expect(isFaultOfItem(error)).toBe(!isTrouble);
    // Whatever keeps from getting a connection, nothing was asked for.
    expect(isFaultOfItem(toProviderError('ackOrchestrationItems', new NoConnection('', { cause: thrown })))).toBe(false);
  },
);

test('what a driver throws beside message and code does not get into an error', () => {
  const thrown = Object.assign(new Error('bad'), {
    code: '23505',
    detail: 'Key (payload)=(secret)',
    where: 'secret',
    parameters: ['secret'],
  });
  for (const error of [toProviderError('x', thrown), toProviderError('x', new NoConnection('', { cause: thrown }))]) {
    expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain('secret');
  }
  expect(toProviderError('x', new StatementTimeout('late'))).toMatchObject({ code: 'PROVIDER_TIMEOUT', retryable: true });
});

test.each(['{', '{"tag":5}'])('damaged routing %s fails its activity, and neither its neighbours nor who looks', async (damaged) => {
  const schema = freshSchema();
  const provider = await openPostgres({ schema });
  await run(provider, 'a', { workItems: [activity(2, { routing: routing({ priority: 3 }) }), activity(3)] });
  await query(`UPDATE "${schema}".work_items SET routing = $1 WHERE event_id = 2`, [damaged]);
  const items = await provider.peekQueue({ queue: 'worker', after: null, limit: 10 });
  expect(items).toMatchObject([
    { eventId: 2, routing: null },
    { eventId: 3, payload: 'activity 3' },
  ]);
  expect(await provider.exportInstances(['a'])).toMatchObject([{ workItems: [{ eventId: 2, routing: null }, { eventId: 3 }] }]);
  // Its input is no JSON any more, so that it does not run without its limits.
  const taken = (await fetchWork(provider)).toSorted((left, right) => left.eventId - right.eventId);
  expect(taken).toMatchObject([
    { eventId: 2, payload: 'damaged' },
    { eventId: 3, payload: 'activity 3' },
  ]);
});

describe('locks of others', () => {
  test('T53: a deadlock that the provider loses is met by trying again, and the message is sent once', async () => {
    const schema = freshSchema();
    const name = `deadlock_${process.pid}`;
    const provider = await openPostgres({ schema, connectionString: named(name) });
    await start(provider, 'a', 'b');
    const lock = (id: string): string => `SELECT FROM "${schema}".instances WHERE instance_id = '${id}' FOR UPDATE`;
    // Who looks for deadlocks first ends by it: the other one would look much later.
    const other = await openTransaction(`SET LOCAL deadlock_timeout = '1h'`, lock('b'));
    const sending = provider.enqueueMessages([
      { instanceId: 'a', payload: 'm' },
      { instanceId: 'b', payload: 'm' },
    ]);
    await waitingForLock(name);
    // Granted only when the provider was rolled back.
    await other.query(lock('a'));
    await other.query('COMMIT');
    expect(await sending).toEqual(['enqueued', 'enqueued']);
    expect((await fetchItems(provider)).map(payloads)).toEqual([
      ['start a', 'm'],
      ['start b', 'm'],
    ]);
  });

  test('T53: a serialization failure is met by trying again, and the message is sent once', async () => {
    const schema = freshSchema();
    const name = `serial_${process.pid}`;
    const provider = await openPostgres({ schema, connectionString: named(name, { default_transaction_isolation: 'repeatable\\ read' }) });
    await start(provider, 'a');
    const other = await openTransaction(`UPDATE "${schema}".instances SET custom_status = '1' WHERE instance_id = 'a'`);
    const sending = enqueue(provider, 'a', 'm');
    await waitingForLock(name);
    await other.query('COMMIT');
    expect(await sending).toEqual(['enqueued']);
    expect(await query(`SELECT count(*)::integer AS count FROM "${schema}".messages`)).toEqual([{ count: 2 }]);
    expect((await read(provider, 'a')).customStatus).toBe('1');
  });

  test('the upkeep of sessions passes over limits that a fetch takes of', async () => {
    const schema = freshSchema();
    const hasty = await openPostgres({ schema, connectionString: named(`upkeep_${process.pid}`, { lock_timeout: '100' }) });
    const keys = async (): Promise<readonly unknown[]> =>
      (await query(`SELECT limit_key FROM "${schema}".limits`)).map((row) => row['limit_key']);
    await query(`INSERT INTO "${schema}".limits (limit_key, arrival_us) VALUES ('held', 0), ('paid', 0)`);
    const other = await openTransaction(`SELECT FROM "${schema}".limits WHERE limit_key = 'held' FOR UPDATE`);
    await hasty.renewSessions({ owner: 'o', leaseMs: 60_000, idleMs: 60_000 });
    expect(await keys()).toEqual(['held']);
    await other.query('COMMIT');
    await hasty.renewSessions({ owner: 'o', leaseMs: 60_000, idleMs: 60_000 });
    expect(await keys()).toEqual([]);
  });

  test('T53: who would count what runs under a limit by an older snapshot is refused, and tries again', async () => {
    const schema = freshSchema();
    const provider = await openPostgres({ schema });
    const limit = { key: 'db', concurrency: 1, rate: null };
    const take = `SELECT take_limit(NULL, 'db', 1, NULL, NULL, 0) AS may`;
    await query(`INSERT INTO "${schema}".limits (limit_key, arrival_us) VALUES ('db', 0)`);
    await run(provider, 'a', { page: page(2), workItems: [activity(2, { routing: routing({ limit }) })] });
    const other = await openTransaction(
      'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
      `SET LOCAL search_path TO "${schema}"`,
      'SELECT FROM limits',
    );
    expect((await provider.fetchWorkItems({ maxItems: 9, lockMs: 60_000, waitMs: 0 })).items).toHaveLength(1);
    expect(await rejection(other.query(take))).toMatchObject({ code: '40001' });
  });

  test('T53: a lock that does not come in time and a statement that is cancelled are told as passing, and nothing was done', async () => {
    const schema = freshSchema();
    const name = `cancel_${process.pid}`;
    const provider = await openPostgres({ schema, connectionString: named(name) });
    const hasty = await openPostgres({ schema, connectionString: named(name, { lock_timeout: '100' }) });
    await start(provider, 'a');
    const other = await openTransaction(`SELECT FROM "${schema}".instances FOR UPDATE`);
    expect(await rejection(enqueue(hasty, 'a', 'timed out'))).toMatchObject({
      code: 'PROVIDER_FAILED',
      retryable: true,
      message: expect.stringContaining('55P03') as unknown,
    });
    const sending = rejection(enqueue(provider, 'a', 'cancelled'));
    const pids = await waitingForLock(name);
    await query('SELECT pg_cancel_backend(pid) FROM unnest($1::integer[]) a (pid)', [pids]);
    expect(await sending).toMatchObject({ code: 'PROVIDER_FAILED', retryable: true, message: expect.stringContaining('57014') as unknown });
    // Who others hold is passed over, and found when it is free.
    expect((await provider.fetchOrchestrationItems({ maxItems: 9, lockMs: 60_000, waitMs: 0 })).items).toEqual([]);
    const waiting = provider.fetchOrchestrationItems({ maxItems: 9, lockMs: 60_000, waitMs: 20_000 });
    await other.query('COMMIT');
    expect((await waiting).items.map(payloads)).toEqual([['start a']]);
  });
});

describe('a pooler that gives each transaction another connection', () => {
  /** A provider whose connections can be reached. */
  async function withPool(options: PostgresOptions = {}): Promise<{ readonly provider: PostgresProvider; readonly pool: pg.Pool }> {
    const pool = new pg.Pool({ connectionString: postgresUrl(), max: 5 });
    onTestFinished(() => pool.end());
    return { provider: await openPostgres({ ...options, pool }), pool };
  }

  /** Runs a statement on all free connections of a pool. */
  async function onEach(pool: pg.Pool, statement: string): Promise<void> {
    const clients = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
    for (const client of clients) {
      await client.query(statement);
      client.release();
    }
  }

  /** Calls of all lanes at once. */
  async function allAtOnce(provider: PostgresProvider, id: string): Promise<void> {
    const answers = await Promise.all([
      provider.readInstances([id]),
      enqueue(provider, id, 'm'),
      provider.readHistory([{ instanceId: id, executionId: 1, afterEventId: 0 }]),
      provider.readWorkItems(id),
      provider.readValues(id, null),
      provider.readQueueDepths(),
    ]);
    expect(answers[1]).toEqual(['enqueued']);
  }

  test('loses prepared statements: all calls that are under way do without', async () => {
    const { provider, pool } = await withPool();
    await start(provider, 'a');
    for (let round = 0; round < 3; round += 1) await allAtOnce(provider, 'a');
    await onEach(pool, 'DEALLOCATE ALL');
    await allAtOnce(provider, 'a');
    await allAtOnce(provider, 'a');
    expect(payloads(await fetchOne(provider))).toEqual(['start a', ...Array.from({ length: 5 }, () => 'm')]);
  });

  test('has plans from before a change of the schema', async () => {
    const schema = freshSchema();
    const { provider } = await withPool({ schema });
    await run(provider, 'a', { workItems: [activity(2)] });
    for (let round = 0; round < 3; round += 1) await allAtOnce(provider, 'a');
    await query(`ALTER TABLE "${schema}".instance_values ALTER COLUMN value TYPE varchar`);
    await query(`ALTER TABLE "${schema}".instances ADD COLUMN note text`);
    await allAtOnce(provider, 'a');
    await allAtOnce(provider, 'a');
    expect(payloads(await fetchOne(provider))).toEqual(Array.from({ length: 5 }, () => 'm'));
  });

  test('hands on a connection in a transaction that has failed: told as passing, the connection is not used again', async () => {
    const { provider, pool } = await withPool();
    const clients = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
    for (const client of clients) {
      await client.query('BEGIN');
      await rejection(client.query('SELECT 1 / 0'));
      client.release();
    }
    await insist(() => start(provider, 'a'));
    expect((await fetchItems(provider)).map(payloads)).toEqual([['start a']]);
  });

  test('hands on a connection in a transaction that somebody has left open: nothing is answered that is not committed', async () => {
    const schema = freshSchema();
    const { provider, pool } = await withPool({ schema });
    const clients = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
    for (const client of clients) {
      await client.query('BEGIN');
      client.release();
    }
    await start(provider, 'a');
    expect(await query(`SELECT instance_id FROM "${schema}".instances`)).toEqual([{ instance_id: 'a' }]);
  });
});

test('of starts in one call those that were committed count as started, also when the server refuses another one', async () => {
  const schema = freshSchema();
  const provider = await openPostgres({ schema });
  await query(`ALTER TABLE "${schema}".messages ADD CHECK (payload <> 'refused')`);
  const calls = await Promise.allSettled([
    startOne(provider, 'a'),
    startOne(provider, 'b', { policy: 'terminateExisting' }),
    startOne(provider, 'c', { policy: 'terminateExisting', payload: 'refused' }),
    startOne(provider, 'd'),
  ]);
  expect(calls.map((call) => (call.status === 'fulfilled' ? call.value : 'refused'))).toEqual(['started', 'started', 'refused', 'started']);
});

describe('connections', () => {
  test('T10: server processes are ended again and again, that which listens included: all is done once, wake-ups work again', async () => {
    const schema = freshSchema();
    const name = `terminate_${process.pid}`;
    const connectionString = named(name);
    const provider = await openPostgres({ schema, connectionString });
    const logger = new LogBook();
    const runtime = await Runtime.start({ ...inline, provider, logger });
    onTestFinished(() => runtime.shutdown({ timeoutMs: 2_000 }));
    const client = new Client(provider);
    const starting = startChains(client, 'terminated');
    for (let round = 0; round < 8; round += 1) {
      const rows = await query(
        `SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity WHERE application_name = $1 AND ($2 OR random() < 0.6)`,
        [name, round === 7],
      );
      expect(rows.length).toBeGreaterThanOrEqual(0);
      // The next round meets a provider that is at work again.
      await insist(() => provider.readInstances(['terminated 0']));
    }
    await assertDoneOnce(client, await starting);
    await runtime.shutdown();

    const [here, there] = [
      await openPostgres({ schema, connectionString, pollMs: HOUR_MS }),
      await openPostgres({ schema, connectionString, pollMs: HOUR_MS }),
    ];
    const listeners = (): Promise<readonly Record<string, unknown>[]> =>
      query(`SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND query LIKE '%pg_notify%'`, [name]);
    await expect.poll(listeners, { timeout: 10_000 }).not.toEqual([]);
    await query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [name]);
    await insist(() => there.readInstances(['x']));
    const fetching = insist(() => there.fetchOrchestrationItems({ maxItems: 1, lockMs: 60_000, waitMs: 20_000 }));
    await insist(() => start(here, 'woken'));
    expect((await fetching).items.map(payloads)).toEqual([['start woken']]);
  });

  test('are cut in the middle of answers: told as passing, the next calls work', async () => {
    const proxy = await openProxy();
    const provider = await openPostgres({ connectionString: proxy.urlFor(postgresUrl()) });
    await start(provider, 'a');
    const payload = 'x'.repeat(200_000);
    expect(await enqueue(provider, 'a', payload)).toEqual(['enqueued']);
    const cut = proxy.cutAfter(100_000);
    const fetching = rejection(fetchOne(provider));
    await cut;
    expect(await fetching).toMatchObject({ code: 'PROVIDER_FAILED', retryable: true });
    // It was committed, so its lock has to run out; what was cut is counted as an attempt.
    expect(await insist(() => enqueue(provider, 'a', 'later'))).toEqual(['enqueued']);
    expect(await insist(() => provider.readQueueDepths())).toEqual({ orchestratorMessages: 3, workItems: 0 });
  });

  test('are silent for longer than a statement may take: told in time, and it goes on by itself afterwards', async () => {
    const proxy = await openProxy();
    const schema = freshSchema();
    const options = { schema, pollMs: HOUR_MS, queryTimeoutMs: 500, connectTimeoutMs: 2_000 };
    const provider = await openPostgres({ ...options, connectionString: proxy.urlFor(postgresUrl()) });
    const other = await openPostgres({ schema });
    await start(provider, 'a');
    await fetchOne(provider);
    proxy.set('halfOpen');
    const startedMs = performance.now();
    const failed = await Promise.all([rejection(enqueue(provider, 'a', 'lost')), rejection(provider.readInstances(['a']))]);
    // The other one had to wait for a new connection.
    expect(failed).toMatchObject([{ retryable: true, code: 'PROVIDER_TIMEOUT' }, { retryable: true }]);
    // Those whose connections are closed by now get no new ones either.
    expect(await rejection(provider.readInstances(['a']))).toMatchObject({ retryable: true });
    expect(performance.now() - startedMs).toBeLessThan(6_000);
    proxy.set('open');
    await insist(() => provider.readInstances(['a']));
    const fetching = insist(() => provider.fetchOrchestrationItems({ maxItems: 1, lockMs: 60_000, waitMs: 25_000 }));
    await start(other, 'b');
    expect((await fetching).items.map(payloads)).toEqual([['start b']]);
  });

  test('are silent while the provider is closed: it is closed in time', async () => {
    const proxy = await openProxy();
    const provider = await openPostgres({ connectionString: proxy.urlFor(postgresUrl()), queryTimeoutMs: 500, connectTimeoutMs: 2_000 });
    await start(provider, 'a');
    proxy.set('halfOpen');
    const sending = rejection(enqueue(provider, 'a', 'lost'));
    const startedMs = performance.now();
    await provider.close();
    expect(performance.now() - startedMs).toBeLessThan(9_000);
    expect(await sending).toMatchObject({ retryable: true });
  });
});

async function openProxy(): Promise<NetworkProxy> {
  const proxy = await NetworkProxy.start(postgresUrl());
  onTestFinished(() => proxy.close());
  return proxy;
}

describe('a server of our own', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startOwnPostgres({ fsync: 'off', maxConnections: 40 });
  });
  afterAll(() => server.stop());

  const open = async (options: PostgresOptions): Promise<PostgresProvider> => {
    const provider = await PostgresProvider.connect({ connectionString: server.url, ...options });
    onTestFinished(() => provider.close());
    return provider;
  };
  const admin = (text: string): Promise<unknown> => queryServer(server.url, text);

  /** Other tests find it up again, whatever happens. */
  const takeDown = async (mode: StopMode): Promise<void> => {
    onTestFinished(() => server.bringUp());
    await server.takeDown(mode);
  };

  /** Resolves when a runtime has found the store away time and again. */
  const untilFound = async (logger: LogBook): Promise<void> => {
    const isFailureIn = (operation: string) => (line: LoggedLine) => line.message.startsWith(`the store failed in ${operation};`);
    for (const operation of ['fetchOrchestrationItems', 'fetchWorkItems']) await logger.waitFor(isFailureIn(operation), TRIES);
  };

  test.each(['fast', 'immediate', 'kill'] as const)(
    'T10: is away for a while (%s) under a runtime with work: all is done, once, and no secret is logged',
    { timeout: 60_000 },
    async (mode) => {
      const url = new URL(server.url);
      url.password = 'Sesam';
      const provider = await open({ schema: `away_${mode}`, connectionString: url.href, pollMs: 200 });
      const logger = new LogBook();
      const runtime = await Runtime.start({ ...inline, provider, logger });
      onTestFinished(() => runtime.shutdown({ timeoutMs: 2_000 }));
      const client = new Client(provider);
      const handles = await startChains(client, mode);
      const first = await handles[0]?.result({ timeout: PATIENCE });
      expect(first).toBeGreaterThan(0);
      const more = startChains(client, `more ${mode}`);
      await takeDown(mode);
      await untilFound(logger);
      await server.bringUp();
      await assertDoneOnce(client, [...handles, ...(await more)]);
      expect(inspect(logger.lines, { depth: Number.POSITIVE_INFINITY })).not.toContain('Sesam');
      await runtime.shutdown();
    },
  );

  test('T10, T53: crashes under a runtime with threads and stays away: all is done when it is back, and what ended meanwhile is done once', async () => {
    const provider = await open({ schema: 'crash', pollMs: 200 });
    const logger = new LogBook();
    const runtime = await Runtime.start({ ...quick, ...modules, provider, logger, ...inThreads });
    onTestFinished(() => runtime.shutdown({ timeoutMs: 2_000 }));
    const client = new Client(provider);
    const holding = await Promise.all(
      Array.from({ length: 3 }, (_, index) => client.startOrchestration(`holds ${index}`, call, { activity: 'hold', input: 'key' })),
    );
    await logger.waitFor(({ message }) => message === 'holding', holding.length);
    const early = await startChains(client, 'early');
    await early[0]?.result({ timeout: PATIENCE });
    const late = startChains(client, 'late');
    await takeDown('immediate');
    release('key');
    await untilFound(logger);
    expect(await rejection(provider.readInstances(['holds 0']))).toMatchObject({ retryable: true });
    await server.bringUp();
    await assertDoneOnce(client, [...early, ...(await late)]);
    const results = await Promise.all(holding.map((handle) => insist(() => handle.result({ timeout: PATIENCE }))));
    expect(results).toEqual(holding.map(() => expect.objectContaining({ attempt: 1 }) as unknown));
    await runtime.shutdown();
  });

  test('T53: has no more connections to give: told as passing, and it works when there are', async () => {
    // One for the notices, and while it connects another one that proves that they are heard.
    await admin('CREATE ROLE few LOGIN CONNECTION LIMIT 3');
    await admin('CREATE SCHEMA few AUTHORIZATION few');
    const url = new URL(server.url);
    url.username = 'few';
    const provider = await open({ schema: 'few', connectionString: url.href, maxConnections: 8 });
    await start(provider, 'a');
    const together = [provider.readInstances(['a']), provider.readQueueDepths(), provider.readValues('a', null), provider.listRuntimes()];
    const outcomes = await Promise.allSettled(together);
    const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(reasons.length).toBeGreaterThan(0);
    for (const reason of reasons) expect(reason).toMatchObject({ code: 'PROVIDER_FAILED', retryable: true });
    await admin('ALTER ROLE few CONNECTION LIMIT 20');
    await Promise.all([provider.readInstances(['a']), provider.readQueueDepths(), provider.readValues('a', null), provider.listRuntimes()]);
  });
});
