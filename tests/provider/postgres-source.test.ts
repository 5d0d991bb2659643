// The PostgreSQL source of transactional activities: what a step leaves, whatever becomes of it and of its connection. Neighbours:
// sqlite-source.test.ts (the same on a file), tests/integration/postgres-transactions.test.ts (under a runtime).
import type { StepCompletion, StepOutcome, TransactionSource, WorkItem } from 'duraloom';
import { postgresSource, type PostgresSourceOptions } from 'duraloom/postgres';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Proxy as NetworkProxy } from '../../postgres-server/proxy.ts';
import { activity, commit, fetchOne, fetchWork, page, start } from '../../src/conformance/case-kit.ts';
import { rejection } from '../support/integration-stage.ts';
import { freshSchema, openPostgres, postgresUrl, query } from '../support/postgres.ts';

const NEVER = new AbortController().signal;

type Stand = {
  readonly schema: string;
  readonly source: TransactionSource<pg.PoolClient, 'async'>;
  readonly item: WorkItem;
  readonly insert: (tx: pg.PoolClient, step?: string) => Promise<void>;
  readonly rows: () => Promise<readonly unknown[]>;
};

/** A store with one locked activity of instance `a`, a source on it, and a table of the application. */
async function setUp(options: PostgresSourceOptions = {}): Promise<Stand> {
  const schema = freshSchema();
  const provider = await openPostgres({ schema });
  await query(`CREATE TABLE "${schema}".app_rows (step text UNIQUE)`);
  const where = options.pool === undefined ? { connectionString: postgresUrl() } : {};
  const source = postgresSource<pg.PoolClient>({ ...where, schema, ...options });
  onTestFinished(() => source.close());
  await start(provider, 'a');
  await commit(provider, await fetchOne(provider), { page: page(2), workItems: [activity(2)] });
  const [item] = await fetchWork(provider, { lockMs: 60_000 });
  if (item === undefined) throw new TypeError('the activity was not fetched');
  return {
    schema,
    source,
    item,
    insert: async (tx, step = 'x') => void (await tx.query(`INSERT INTO "${schema}".app_rows VALUES ($1)`, [step])),
    rows: async () => (await query(`SELECT step FROM "${schema}".app_rows ORDER BY step`)).map(({ step }) => step),
  };
}

function completionOf({ instanceId, executionId, eventId, lockToken }: WorkItem): StepCompletion {
  return { instanceId, executionId, eventId, lockToken, completionPayload: 'ended' };
}

/** A promise that a test settles. */
function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  return { promise: new Promise<void>((resolve) => (open = resolve)), open: () => open() };
}

describe('a connection that is lost under the code', () => {
  test('is a failure of the database, whatever the code throws; the next step has another one', async () => {
    const { source, item, insert, rows } = await setUp();
    const run = async (tx: pg.PoolClient): Promise<StepCompletion> => {
      await insert(tx);
      await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
      return completionOf(item);
    };
    expect(await rejection(source.transact({ run, signal: NEVER }))).toMatchObject({ code: 'PROVIDER_FAILED', retryable: true });
    expect(await rows()).toEqual([]);
    const again = async (tx: pg.PoolClient): Promise<StepCompletion> => {
      await insert(tx);
      return completionOf(item);
    };
    expect(await source.transact({ run: again, signal: NEVER })).toBe('done');
    expect(await rows()).toEqual(['x']);
  });

  test('because nothing happened for too long: is of the code, and says so', async () => {
    const { source, item, insert, rows } = await setUp({ maxIdleMs: 20 });
    const run = async (tx: pg.PoolClient): Promise<StepCompletion> => {
      const ended = gate();
      tx.on('end', ended.open);
      await insert(tx);
      await ended.promise;
      return completionOf(item);
    };
    expect(await rejection(source.transact({ run, signal: NEVER }))).toMatchObject({ code: 'TRANSACTION_TOO_LONG' });
    expect(await rows()).toEqual([]);
  });
});

test('a commit that is not answered is given up in time', async () => {
  const proxy = await NetworkProxy.start(postgresUrl());
  onTestFinished(() => proxy.close());
  const { source, insert } = await setUp({ connectionString: proxy.urlFor(postgresUrl()), queryTimeoutMs: 300, maxIdleMs: 1_000 });
  const run = async (tx: pg.PoolClient): Promise<null> => {
    await insert(tx);
    proxy.set('halfOpen');
    return null;
  };
  expect(await rejection(source.transact({ run, signal: NEVER }))).toMatchObject({ code: 'PROVIDER_TIMEOUT', retryable: true });
});

test('more steps than connections wait for each other, however long that takes, or until they are to end', async () => {
  const { source, insert, rows } = await setUp({ maxConnections: 3, connectTimeoutMs: 1_000 });
  const [begun, held] = [gate(), gate()];
  let running = 0;
  const step = (name: string, signal: AbortSignal = NEVER): Promise<StepOutcome> =>
    source.transact({
      signal,
      run: async (tx) => {
        running += 1;
        if (running === 3) begun.open();
        await held.promise;
        await insert(tx, name);
        return null;
      },
    });
  const steps = ['a', 'b', 'c', 'd', 'e'].map((name) => step(name));
  const settled = Promise.allSettled(steps);
  const cancelling = new AbortController();
  const cancelled = rejection(step('f', cancelling.signal));
  await begun.promise;
  cancelling.abort(new RangeError('not wanted'));
  expect(await cancelled).toBeInstanceOf(RangeError);
  // They have waited longer than connecting may take when one that gets no connection has given up.
  const proxy = await NetworkProxy.start(postgresUrl());
  onTestFinished(() => proxy.close());
  proxy.set('halfOpen');
  const away = await setUp({ connectionString: proxy.urlFor(postgresUrl()), connectTimeoutMs: 1_000 });
  await rejection(away.source.transact({ run: async () => null, signal: NEVER }));
  expect(running).toBe(3);
  held.open();
  expect((await settled).map(({ status }) => status)).toEqual(steps.map(() => 'fulfilled'));
  expect(await rows()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('a pool of the application has as many listeners as before, however often it has given no connection', async () => {
  const pool = new pg.Pool({ connectionString: postgresUrl(), max: 1 });
  onTestFinished(() => pool.end());
  const { source } = await setUp({ pool });
  const taken = await pool.connect();
  pool.options.connectionTimeoutMillis = 1;
  for (let time = 0; time < 5; time += 1) {
    expect(await rejection(source.transact({ run: () => null, signal: NEVER }))).toMatchObject({ code: 'PROVIDER_FAILED' });
  }
  expect(pool.listenerCount('error')).toBe(1);
  taken.release();
  await source.close();
  expect(pool.listenerCount('error')).toBe(0);
});

test('a step that is only committed, as in a direct call, fails when it goes on after a statement that failed, or ends its transaction', async () => {
  const { source, insert, rows } = await setUp();
  for (const statement of ['SELECT 1 / 0', 'ROLLBACK']) {
    const run = async (tx: pg.PoolClient): Promise<null> => {
      await insert(tx);
      await tx.query(statement).catch(() => undefined);
      return null;
    };
    expect(await rejection(source.transact({ run, signal: NEVER }))).toMatchObject({ code: 'TRANSACTION_INVALID' });
  }
  expect(await rows()).toEqual([]);
});
