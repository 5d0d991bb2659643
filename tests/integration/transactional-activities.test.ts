// Steps whose rows and whose end are one transaction: in threads and inline, with failures, lost rights and deaths at every place.
//
// Covered elsewhere:
// | case                                                | where                                  |
// | --------------------------------------------------- | -------------------------------------- |
// | outcomes, limits and failures of the SQLite source  | tests/provider/sqlite-source.test.ts   |
// | starts and events in a transaction of a client      | tests/integration/own-transaction.test.ts |
import Database from 'better-sqlite3';
import { Client, type Runtime, type RuntimeOptions } from 'duraloom';
import type { SqliteProvider } from 'duraloom/sqlite';
import { describe, expect, test } from 'vitest';
import { startHost, type Host } from '../support/integration-child.ts';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { fixture, PATIENCE, quick, rejection, stage, type Stage } from '../support/integration-stage.ts';
import type { StepResult } from './fixtures/steps.ts';

const orchestrations = fixture('step-orchestrations.ts');

/** No lease is to run out on a busy machine where nobody dies. */
const patient = { ...quick, activityLockMs: 30_000, orchestrationLockMs: 30_000, maxAttempts: 20 };

function stepsOn(file: string, params: Readonly<Record<string, string>> = {}): URL {
  const url = fixture('steps.ts');
  for (const [name, value] of Object.entries({ file, ...params })) url.searchParams.set(name, value);
  return url;
}

type Opened = {
  readonly stand: Stage;
  readonly client: Client;
  readonly app: Database.Database;
  readonly runtime: Runtime;
  readonly provider: SqliteProvider;
  readonly log: LogBook;
};

function openApp(stand: Stage, file = 'store.db'): Database.Database {
  const app = new Database(stand.file(file));
  stand.defer(() => void app.close());
  app.exec('CREATE TABLE IF NOT EXISTS app_steps (step TEXT NOT NULL) STRICT');
  return app;
}

async function open(
  activityThreads: number,
  params: Readonly<Record<string, string>> = {},
  options: Partial<RuntimeOptions> = {},
): Promise<Opened> {
  const stand = stage();
  const provider = await stand.openProvider();
  const app = openApp(stand);
  const log = new LogBook();
  const runtime = await stand.startRuntime({
    provider,
    orchestrations,
    activities: stepsOn(stand.file(), params),
    ...patient,
    activityThreads,
    logger: log,
    ...options,
  });
  return { stand, client: new Client(provider), app, runtime, provider, log };
}

function rows(app: Database.Database): readonly string[] {
  return app.prepare('SELECT step FROM app_steps ORDER BY step').pluck().all() as string[];
}

function executions(runtime: Runtime, activity: string): Readonly<Record<string, number>> {
  const series = runtime
    .metrics()
    .filter(({ name, labels }) => name === 'duraloom_activity_executions_total' && labels['activity'] === activity);
  return Object.fromEntries(series.map((one) => [String(one.labels['outcome']), one.kind === 'counter' ? one.value : Number.NaN] as const));
}

describe.each([
  ['in threads', 1],
  ['inline', 0],
])('a transactional activity %s', (_where, threads) => {
  test('commits its rows and its result, once each', async () => {
    const { client, app, runtime, log } = await open(threads);
    const handle = await client.startOrchestration<StepResult>('o', 'one', { activity: 'add', input: 'a' });
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ step: 'a', attempt: 1, inThread: threads > 0 });
    expect(await (await client.startOrchestration<number>('many', 'adds', 10)).result({ timeout: PATIENCE })).toBe(20);
    expect(rows(app)).toHaveLength(21);
    await expect.poll(() => executions(runtime, 'add'), { timeout: 10_000 }).toEqual({ completed: 21 });
    expect(await client.listActivities('o')).toEqual([]);
    expect((await client.readHistory('o')).filter(({ kind }) => kind === 'ActivityCompleted')).toHaveLength(1);
    expect(log.lines.filter(({ message }) => message === 'added')).toHaveLength(21);
    expect(log.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  test('counts as completed also when its runtime had missed it before it heard of the commit', async () => {
    const { client, app, runtime } = await open(threads, {}, { activityLockMs: 400 });
    const handle = await client.startOrchestration<StepResult>('o', 'one', { activity: 'addUnheard', input: 'a' });
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
    await expect.poll(() => executions(runtime, 'addUnheard'), { timeout: 10_000 }).toEqual({ completed: 1 });
    expect(rows(app)).toEqual(['a']);
  });

  test('that throws leaves nothing, and is tried again by its policy', async () => {
    const { client, app } = await open(threads);
    const retry = { retry: { maxAttempts: 3, initialIntervalMs: 1 } };
    const handle = await client.startOrchestration<StepResult>('o', 'one', { activity: 'failTwice', input: 's', options: retry });
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 3 });
    expect(rows(app)).toEqual(['s 3']);
    const failing = await client.startOrchestration('once', 'one', { activity: 'failTwice', input: 's' });
    expect((await rejection(failing.result({ timeout: PATIENCE }))).cause).toMatchObject({ code: 'E_OWN', message: 'not yet' });
    expect(rows(app)).toEqual(['s 3']);
  });

  test('that is cancelled before its transaction leaves nothing, also when its code does not hear of it', async () => {
    const { client, app, runtime } = await open(threads);
    const handle = await client.startOrchestration('o', 'one', { activity: 'addLater', input: 'a' });
    await expect.poll(() => client.listActivities('o'), { timeout: 10_000 }).toMatchObject([{ isRunning: true }]);
    await client.cancel('o');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    await expect.poll(() => (release('step'), executions(runtime, 'addLater')), { timeout: 10_000 }).toEqual({ lost: 1 });
    expect(rows(app)).toEqual([]);
  });

  test('whose lock somebody else has taken leaves nothing, and is left to that one', async () => {
    const { client, app, runtime } = await open(threads);
    await client.startOrchestration('o', 'one', { activity: 'addLater', input: 'a' });
    await expect.poll(() => client.listActivities('o'), { timeout: 10_000 }).toMatchObject([{ isRunning: true }]);
    app.exec("UPDATE work_items SET lock_token = 'of another runtime'");
    await expect.poll(() => (release('step'), executions(runtime, 'addLater')), { timeout: 10_000 }).toEqual({ lost: 1 });
    expect(rows(app)).toEqual([]);
    expect(await client.listActivities('o')).toMatchObject([{ isRunning: true, attempt: 1 }]);
  });

  test('that is timed out has failed, and its transaction comes too late', async () => {
    const { client, app } = await open(threads, {}, { activityGraceMs: 100 });
    const options = { attemptTimeoutMs: 50 };
    const handle = await client.startOrchestration('o', 'one', { activity: 'addLater', input: 'a', options });
    await expect.poll(() => client.listActivities('o'), { timeout: 10_000 }).toMatchObject([{ isRunning: true }]);
    // The gate does not listen to the signal: its grace decides.
    expect((await rejection(handle.result({ timeout: PATIENCE }))).cause).toMatchObject({ code: 'ACTIVITY_TIMEOUT' });
    release('step');
    expect(
      await (await client.startOrchestration('next', 'one', { activity: 'add', input: 'b' })).result({ timeout: PATIENCE }),
    ).toBeDefined();
    expect(rows(app)).toEqual(['b']);
  });

  test.each([
    ['promise', 'TRANSACTION_INVALID'],
    ['rollback', 'TRANSACTION_INVALID'],
    ['slow', 'TRANSACTION_TOO_LONG'],
    ['bigint', 'PAYLOAD_NOT_SERIALIZABLE'],
  ])('that breaks a rule (%s) fails with %s and leaves nothing', async (how, code) => {
    const { client, app } = await open(threads, { maxMs: how === 'slow' ? '20' : '5000' });
    const handle = await client.startOrchestration('o', 'one', { activity: 'misbehave', input: how });
    expect((await rejection(handle.result({ timeout: PATIENCE }))).cause).toMatchObject({ code });
    expect(rows(app)).toEqual([]);
    // The thread goes on with a sound connection.
    expect(
      await (await client.startOrchestration('next', 'one', { activity: 'add', input: 'b' })).result({ timeout: PATIENCE }),
    ).toBeDefined();
    expect(rows(app)).toEqual(['b']);
  });

  test('on another store than that of its runtime fails at once and says so', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    await stand.openProvider({ file: 'other.db' });
    const [, other] = [openApp(stand), openApp(stand, 'other.db')];
    const activities = stepsOn(stand.file('other.db'));
    await stand.startRuntime({ provider, orchestrations, activities, ...patient, activityThreads: threads });
    const handle = await new Client(provider).startOrchestration('o', 'one', { activity: 'add', input: 'a' });
    const { cause } = await rejection(handle.result({ timeout: PATIENCE }));
    expect(cause).toMatchObject({ code: 'TRANSACTION_STORE_MISMATCH' });
    expect(rows(other)).toEqual([]);
  });

  test('whose file is no store fails at once; one whose store cannot be opened is tried again, then fails with the reason', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    openApp(stand, 'app.db');
    for (const [file, code] of [
      ['app.db', 'DATABASE_FOREIGN'],
      ['missing/store.db', 'TOO_MANY_ATTEMPTS'],
    ] as const) {
      const activities = stepsOn(stand.file(file));
      const runtime = await stand.startRuntime({
        provider,
        orchestrations,
        activities,
        ...patient,
        maxAttempts: 2,
        activityThreads: threads,
      });
      const handle = await new Client(provider).startOrchestration(file, 'one', { activity: 'add', input: 'a' });
      const { cause } = await rejection(handle.result({ timeout: PATIENCE }));
      expect(cause).toMatchObject({ code });
      if (code === 'TOO_MANY_ATTEMPTS') expect(cause).toMatchObject({ cause: { code: 'DATABASE_UNREADABLE' } });
      await runtime.shutdown();
    }
  });

  test('starts an orchestration with its rows, or not at all', async () => {
    const { client, app } = await open(threads);
    const undone = await client.startOrchestration('o1', 'one', { activity: 'startNext', input: { id: 'n1', fails: true } });
    await rejection(undone.result({ timeout: PATIENCE }));
    expect(await client.getState('n1')).toBeNull();
    const done = await client.startOrchestration('o2', 'one', { activity: 'startNext', input: { id: 'n2', fails: false } });
    expect(await done.result({ timeout: PATIENCE })).toBe('started');
    expect(await client.waitForResult('n2', { timeout: PATIENCE })).toBe('n2');
    expect(rows(app)).toEqual(['n2']);
  });
});

describe('a step that holds the store', () => {
  test('keeps the runtime waiting, and nothing is lost or failed by it', async () => {
    const { client, provider, log } = await open(2);
    const holding = await Promise.all(
      Array.from({ length: 6 }, (_, index) => client.startOrchestration(`h${index}`, 'one', { activity: 'holdStore', input: 60 })),
    );
    const others = await Promise.all(
      Array.from({ length: 20 }, (_, index) => client.startOrchestration(`c${index}`, 'plainChild', `text ${index}`)),
    );
    for (const handle of holding) expect(await handle.result({ timeout: PATIENCE })).toBe(60);
    for (const [index, handle] of others.entries()) expect(await handle.result({ timeout: PATIENCE })).toBe(`text ${index}`);
    expect(provider.stats().busyRetries).toBeGreaterThan(0);
    expect(log.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });
});

describe('a step is done exactly once', () => {
  test('when its thread dies behind the commit, before it has told anybody', async () => {
    const { client, app } = await open(1, { die: 'thread', at: '1' });
    // Each life of the thread dies in its first step.
    for (const id of ['a', 'b', 'c']) {
      const handle = await client.startOrchestration<StepResult>(id, 'one', { activity: 'add', input: id });
      expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ step: id, attempt: 1 });
    }
    expect(rows(app)).toEqual(['a', 'b', 'c']);
  });

  // Nine processes one after the other.
  test('however often its process is killed, before the commit or behind it', { timeout: 120_000 }, async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const app = openApp(stand);
    const count = 6;
    const handles = await Promise.all(
      Array.from({ length: 4 }, (_, index) => client.startOrchestration<number>(`o${index}`, 'adds', count)),
    );
    const startNext = (life: number): Promise<Host> =>
      startHost(stand, {
        orchestrations: orchestrations.href,
        activities: stepsOn(stand.file(), { die: life % 2 === 0 ? 'before' : 'behind', at: String(1 + (life % 4)) }).href,
        activityLockMs: 400,
        orchestrationLockMs: 400,
        activitiesPerThread: 2,
        maxAttempts: 1_000,
      });
    let kills = 0;
    for (const life of Array.from({ length: 8 }).keys()) {
      const host = await startNext(life);
      expect(await host.ended).toMatchObject({ signal: 'SIGKILL' });
      kills += 1;
    }
    const activities = stepsOn(stand.file()).href;
    await startHost(stand, {
      orchestrations: orchestrations.href,
      activities,
      activityLockMs: 400,
      orchestrationLockMs: 400,
      maxAttempts: 1_000,
    });
    for (const handle of handles) expect(await handle.result({ timeout: PATIENCE })).toBe(2 * count);
    expect(kills).toBe(8);
    const wanted = handles.flatMap(({ instanceId }) =>
      Array.from({ length: count }, (_, step) => [`${instanceId} ${step}`, `${instanceId} at once ${step}`]).flat(),
    );
    expect(rows(app)).toEqual(wanted.toSorted());
    const histories = await Promise.all(handles.map(({ instanceId }) => client.readHistory(instanceId)));
    for (const history of histories) expect(history.filter(({ kind }) => kind === 'ActivityCompleted')).toHaveLength(2 * count);
  });
});
