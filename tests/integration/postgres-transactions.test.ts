// Rows of the application and what the store is told, in one transaction on PostgreSQL: starts and events in the application's own, and steps whose
// end is recorded with their rows. Neighbours: transactional-activities.test.ts and own-transaction.test.ts do the same on SQLite, in more cases.
import { Client, defineOrchestration, Runtime, type RuntimeOptions } from 'duraloom';
import { postgresTransaction, type PostgresProvider } from 'duraloom/postgres';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dropSchema } from '../../postgres-server/schemas.ts';
import { freshSchema, openPostgres, postgresUrl, query } from '../support/postgres.ts';

const PATIENCE = { timeout: 25_000 };

const waits = defineOrchestration('waits', async (ctx, name: string) => `${name} ${await ctx.waitForEvent<string>('go')}`);

type Stand = {
  readonly schema: string;
  readonly provider: PostgresProvider;
  readonly client: Client;
  readonly app: pg.Client;
  /** Rows of the application. */
  readonly steps: () => Promise<readonly unknown[]>;
};

async function open(): Promise<Stand> {
  const schema = freshSchema();
  const provider = await openPostgres({ schema });
  await query(`CREATE SCHEMA "${schema}_app"; CREATE TABLE "${schema}_app".steps (step text NOT NULL)`);
  onTestFinished(() => dropSchema(postgresUrl(), `${schema}_app`));
  const app = new pg.Client({ connectionString: postgresUrl() });
  await app.connect();
  onTestFinished(() => app.end());
  const steps = async (): Promise<readonly unknown[]> =>
    (await query(`SELECT step FROM "${schema}_app".steps ORDER BY step`)).map(({ step }) => step);
  return { schema, provider, client: new Client(provider), app, steps };
}

async function startRuntime(
  { schema, provider }: Stand,
  options: Partial<RuntimeOptions> & { readonly die?: number } = {},
): Promise<Runtime> {
  const { die = 0, ...rest } = options;
  const activities = new URL('./fixtures/postgres-steps.ts', import.meta.url);
  for (const [name, value] of Object.entries({ url: postgresUrl(), schema, die: String(die) })) activities.searchParams.set(name, value);
  const runtime = await Runtime.start({
    provider,
    orchestrations: [new URL('./fixtures/step-orchestrations.ts', import.meta.url)],
    activities,
    activityThreads: 1,
    retryBackoff: { initialMs: 1, maximumMs: 10 },
    ...rest,
  });
  onTestFinished(() => runtime.shutdown());
  return runtime;
}

describe('a transaction of the application', () => {
  test('starts and raises with its commit', async () => {
    const stand = await open();
    const { app, schema, client, provider } = stand;
    const runtime = await Runtime.start({ provider, orchestrations: waits, replayThreads: 0 });
    onTestFinished(() => runtime.shutdown());
    const store = postgresTransaction(app, { schema });
    await app.query('BEGIN');
    expect(await store.startOrchestration('i', waits, 'Ada')).toEqual({ instanceId: 'i', outcome: 'started' });
    expect((await store.raiseEvent('i', 'go', 'home')).delivered).toBe(true);
    await app.query(`INSERT INTO "${schema}_app".steps VALUES ('row')`);
    expect(await client.getState('i')).toBeNull();
    await app.query('COMMIT');
    expect(await client.getHandle('i').result(PATIENCE)).toBe('Ada home');
    expect(await stand.steps()).toEqual(['row']);
  });

  test('does nothing when it is rolled back', async () => {
    const { app, schema, client } = await open();
    await app.query('BEGIN');
    await postgresTransaction(app, { schema }).startOrchestration('i', waits, 'Ada');
    await app.query('ROLLBACK');
    expect(await client.getState('i')).toBeNull();
  });

  test('wakes a runtime that hears nothing by itself for hours', async () => {
    const { app, schema } = await open();
    const provider = await openPostgres({ schema, pollMs: 3_600_000 });
    const fetched = provider.fetchOrchestrationItems({ maxItems: 1, lockMs: 30_000, waitMs: 25_000 });
    await app.query('BEGIN');
    await postgresTransaction(app, { schema }).startOrchestration('i', waits, 'Ada');
    await app.query('COMMIT');
    expect((await fetched).items.map(({ instanceId }) => instanceId)).toEqual(['i']);
  });

  test('tells who waits for an instance that it replaces', async () => {
    const { app, schema, client } = await open();
    const provider = await openPostgres({ schema, pollMs: 3_600_000 });
    await client.startOrchestration('i', waits, 'Ada');
    const store = postgresTransaction(app, { schema });
    // Heard once, so that nothing is asked but when somebody tells.
    const fetched = provider.fetchOrchestrationItems({ maxItems: 1, lockMs: 30_000, waitMs: 25_000 });
    expect((await fetched).items).toHaveLength(1);
    const over = provider.waitForInstance({ instanceId: 'i', condition: { kind: 'executionOver', executionId: 1 }, waitMs: 25_000 });
    const startedMs = performance.now();
    await app.query('BEGIN');
    await store.startOrchestration('i', waits, 'Grace', { onExisting: 'terminateExisting' });
    await app.query('COMMIT');
    expect((await over)?.executionId).toBe(2);
    expect(performance.now() - startedMs).toBeLessThan(12_000);
  });

  test('goes on after an id that is in use, and after an instance that is not there', async () => {
    const stand = await open();
    const { app, schema, client } = stand;
    await client.startOrchestration('i', waits, 'Ada');
    const store = postgresTransaction(app, { schema });
    await app.query('BEGIN');
    await expect(store.startOrchestration('i', waits, 'Grace')).rejects.toMatchObject({ code: 'INSTANCE_EXISTS' });
    expect((await store.startOrchestration('i', waits, 'Grace', { onExisting: 'useExisting' })).outcome).toBe('exists');
    await expect(store.raiseEvent('nobody', 'go')).rejects.toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    expect((await store.startOrchestration('i', waits, 'Grace', { onExisting: 'terminateExisting' })).outcome).toBe('replaced');
    await app.query(`INSERT INTO "${schema}_app".steps VALUES ('row')`);
    await app.query('COMMIT');
    expect(await stand.steps()).toEqual(['row']);
  });

  test('is required', async () => {
    const { app, schema, client } = await open();
    const store = postgresTransaction(app, { schema });
    await expect(store.startOrchestration('i', waits, 'Ada')).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
    expect(await client.getState('i')).toBeNull();
    await app.query('BEGIN');
    await expect(postgresTransaction(app, { schema: `${schema}_app` }).raiseEvent('i', 'go')).rejects.toMatchObject({
      code: 'DATABASE_FOREIGN',
    });
    await app.query('ROLLBACK');
  });

  test.each([
    ['a pool', () => new pg.Pool({ connectionString: 'postgresql://unused' }), {}],
    ['no client', () => ({}), {}],
    ['a bad schema', () => ({ query: () => undefined }), { schema: 'a"b' }],
  ])('refuses %s', (_, make, options) => {
    expect(() => postgresTransaction(make() as unknown as pg.Client, options)).toThrow(/Expected/);
  });
});

describe('steps', () => {
  test('commit their rows with their end', async () => {
    const stand = await open();
    await startRuntime(stand);
    const handle = await stand.client.startOrchestration('i', 'adds', 5);
    expect(await handle.result(PATIENCE)).toBe(10);
    expect((await stand.steps()).length).toBe(10);
  });

  test('leave nothing of an attempt that fails', async () => {
    const stand = await open();
    await startRuntime(stand);
    const retry = { retry: { maxAttempts: 3, initialDelayMs: 1 } };
    const handle = await stand.client.startOrchestration('i', 'one', { activity: 'failTwice', input: 's', options: retry });
    expect(await handle.result(PATIENCE)).toBe('attempt 3');
    expect(await stand.steps()).toEqual(['s 3']);
  });

  test('are recorded once when their thread dies behind the commit', async () => {
    const stand = await open();
    await startRuntime(stand, { die: 3, activityLockMs: 500 });
    const handle = await stand.client.startOrchestration('i', 'adds', 6);
    expect(await handle.result(PATIENCE)).toBe(12);
    const steps = await stand.steps();
    expect(steps.length).toBe(12);
    expect(new Set(steps).size).toBe(12);
  });

  test('go on when their connection is lost, without a retry policy', async () => {
    const stand = await open();
    await startRuntime(stand);
    const handle = await stand.client.startOrchestration('i', 'one', { activity: 'cut', input: 's' });
    expect(await handle.result(PATIENCE)).toBe('s');
    expect(await stand.steps()).toEqual(['s']);
  });

  test('start orchestrations with their rows', async () => {
    const stand = await open();
    await startRuntime(stand);
    const handle = await stand.client.startOrchestration('i', 'one', { activity: 'startNext', input: 'next' });
    expect(await handle.result(PATIENCE)).toBe('started');
    expect(await stand.client.getHandle('next').result(PATIENCE)).toBe('next');
  });

  test.each([
    ['commits', ['commits'], /ended its transaction itself/],
    ['goes on', [], /went on after a statement that failed/],
  ])('that %s fail, and are not recorded as done', async (how, rows, message) => {
    const stand = await open();
    await startRuntime(stand);
    const handle = await stand.client.startOrchestration('i', 'one', { activity: 'misbehave', input: how });
    await expect(handle.result(PATIENCE)).rejects.toThrow(message);
    // What the code committed itself nobody can take back.
    expect(await stand.steps()).toEqual(rows);
  });
});
