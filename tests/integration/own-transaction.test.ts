// Starts and events inside a transaction of the application on the file of the store: committed with its rows, or never there.
//
// Covered elsewhere:
// | case                                                  | where                                       |
// | ----------------------------------------------------- | ------------------------------------------- |
// | steps that commit rows and completion                 | tests/integration/transactional-activities.test.ts |
// | what each start policy does to an instance            | tests/integration/client-calls.test.ts      |
import Database from 'better-sqlite3';
import { Client, type StartOptions } from 'duraloom';
import { sqliteTransaction, SqliteProvider } from 'duraloom/sqlite';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Child, startHost } from '../support/integration-child.ts';
import { fixture, modules, PATIENCE, rejection, stage, type Stage } from '../support/integration-stage.ts';

const texts = { orchestrations: modules.orchestrations.href, activities: modules.activities.href };

/** A handle of the application on the store's file, with a table of its own. */
function openApp(stand: Stage, file = 'store.db', options: Database.Options = {}): Database.Database {
  const app = new Database(stand.file(file), options);
  stand.defer(() => void app.close());
  if (options.readonly !== true) app.exec('CREATE TABLE IF NOT EXISTS app_orders (id TEXT PRIMARY KEY, amount INTEGER) STRICT');
  return app;
}

function countOrders(app: Database.Database): number {
  return app.prepare('SELECT count(*) FROM app_orders').pluck().get() as number;
}

/** What a function throws; fails when it returns. */
function thrown(act: () => unknown): Error & { readonly code?: string; readonly retryable?: boolean } {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new TypeError('expected it to throw');
}

describe('a transaction of the application', () => {
  test('that commits starts the orchestration and raises the event, which a runtime in this process takes', async () => {
    const stand = stage();
    const { client } = await stand.open();
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    const order = app.transaction((id: string) => {
      app.prepare('INSERT INTO app_orders VALUES (?, 7)').run(id);
      const started = store.startOrchestration(id, 'collect', 2);
      return [started, store.raiseEvent(id, 'item', 'first'), store.raiseEvent(id, 'item', 'second', { key: 'k' })];
    });
    expect(order.immediate('o1')).toEqual([
      { instanceId: 'o1', outcome: 'started' },
      { delivered: true, key: undefined },
      { delivered: true, key: 'k' },
    ]);
    expect(countOrders(app)).toBe(1);
    expect(await client.waitForResult('o1', { timeout: PATIENCE })).toEqual(['first', 'second']);
  });

  test('that is rolled back leaves no trace: no instance, no event, and the id is free', async () => {
    const stand = stage();
    const { client } = await stand.open();
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    await client.startOrchestration('waits', 'collect', 1);
    const attempt = app.transaction(() => {
      app.prepare("INSERT INTO app_orders VALUES ('o1', 7)").run();
      store.startOrchestration('o1', 'collect', 1);
      store.raiseEvent('waits', 'item', 'never');
      store.startOrchestration('new-code', 'nobody has this', 1, { version: '7.0.0' });
      throw new RangeError('the card was declined');
    });
    expect(thrown(() => attempt.immediate()).message).toBe('the card was declined');
    expect(countOrders(app)).toBe(0);
    expect(await client.getState('o1')).toBeNull();
    expect(await client.getState('new-code')).toBeNull();
    // The same statements once more: nothing was remembered of what was rolled back.
    app.transaction(() => store.startOrchestration('new-code', 'hello', 'Ada')).immediate();
    app.transaction(() => store.raiseEvent('waits', 'item', 'now')).immediate();
    expect(await client.waitForResult('new-code', { timeout: PATIENCE })).toBe('Hello, Ada!');
    expect(await client.waitForResult('waits', { timeout: PATIENCE })).toEqual(['now']);
  });

  test('reaches a runtime in another process, from one that has no provider', async () => {
    const stand = stage();
    await startHost(stand, texts);
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    app.transaction(() => store.startOrchestration('o1', 'hello', 'Ada')).immediate();
    const client = new Client(await stand.openProvider());
    expect(await client.waitForResult('o1', { timeout: PATIENCE })).toBe('Hello, Ada!');
  });

  test('that is killed before its commit leaves nothing, after it everything', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const app = openApp(stand);
    for (const [id, when] of [
      ['before', 'open'],
      ['after', 'committed'],
    ] as const) {
      const child = new Child(stand, fileURLToPath(fixture('own-transaction.ts')), [stand.file(), id, when]);
      await once(child.process, 'message');
      await child.kill();
    }
    expect(app.prepare('SELECT id FROM app_orders').pluck().all()).toEqual(['after']);
    expect(await client.getState('before')).toBeNull();
    expect(await client.getState('after')).toMatchObject({ status: 'Pending', name: 'hello' });
  });

  test('goes on when a call in it was refused, without anything of that call', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    app
      .transaction(() => {
        store.startOrchestration('o1', 'hello', 'Ada');
        expect(thrown(() => store.startOrchestration('o1', 'hello', 'Bob'))).toMatchObject({ code: 'INSTANCE_EXISTS', instanceId: 'o1' });
        expect(thrown(() => store.raiseEvent('o2', 'item'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND', instanceId: 'o2' });
        expect(store.startOrchestration('o1', 'hello', 'Bob', { onExisting: 'useExisting' })).toMatchObject({ outcome: 'exists' });
        app.prepare("INSERT INTO app_orders VALUES ('o1', 7)").run();
      })
      .immediate();
    expect(countOrders(app)).toBe(1);
    expect((await client.listInstances()).instances).toHaveLength(1);
  });

  test('ends with the savepoint that the application goes back to', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    const inner = app.transaction(() => {
      store.startOrchestration('inner', 'hello', 'Ada');
      throw new RangeError('undone');
    });
    app
      .transaction(() => {
        store.startOrchestration('outer', 'hello', 'Ada');
        expect(thrown(() => inner()).message).toBe('undone');
      })
      .immediate();
    expect((await client.listInstances()).instances.map(({ instanceId }) => instanceId)).toEqual(['outer']);
  });

  test('works on a handle that gives numbers as bigint, and leaves it so', async () => {
    const stand = stage();
    const { client } = await stand.open();
    const app = openApp(stand);
    app.defaultSafeIntegers(true);
    const store = sqliteTransaction(app);
    app
      .transaction(() => {
        store.startOrchestration('o1', 'collect', 1);
        store.raiseEvent('o1', 'item', 'one', { key: 'k' });
        expect(store.startOrchestration('o1', 'collect', 1, { onExisting: 'terminateExisting' }).outcome).toBe('replaced');
        store.raiseEvent('o1', 'item', 'two');
      })
      .immediate();
    expect(app.prepare('SELECT 1').pluck().get()).toBe(1n);
    expect(await client.waitForResult('o1', { timeout: PATIENCE })).toEqual(['two']);
  });

  test('replaces an instance whose activity is running: its lock is lost, its result is not wanted', async () => {
    const stand = stage();
    const { client } = await stand.open({ activityThreads: 0 });
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    const handle = await client.startOrchestration('o1', 'call', { activity: 'hold', input: 'never released' });
    await expect.poll(() => client.listActivities('o1'), { timeout: 10_000 }).toMatchObject([{ isRunning: true }]);
    const replace = app.transaction(() => store.startOrchestration('o1', 'hello', 'Ada', { onExisting: 'terminateExisting' }));
    expect(replace.immediate()).toEqual({ instanceId: 'o1', outcome: 'replaced' });
    expect(await handle.result({ timeout: PATIENCE })).toBe('Hello, Ada!');
    expect(await client.listActivities('o1')).toEqual([]);
  });

  test('that waits for another writer says so with a typed error that may be tried again', async () => {
    const stand = stage();
    await stand.openProvider();
    const [app, other] = [openApp(stand, 'store.db', { timeout: 0 }), openApp(stand)];
    const store = sqliteTransaction(app);
    other.exec('BEGIN IMMEDIATE');
    // Deferred: it asks for the lock with its first write, which is ours.
    const error = thrown(() => app.transaction(() => store.startOrchestration('o1', 'hello', 'Ada'))());
    expect(error).toMatchObject({ code: 'PROVIDER_FAILED', operation: 'startInstances', retryable: true });
    other.exec('ROLLBACK');
    expect(app.transaction(() => store.startOrchestration('o1', 'hello', 'Ada'))()).toMatchObject({ outcome: 'started' });
  });
});

describe('what a client refuses is refused', () => {
  const starts: readonly (readonly [id: unknown, orchestration: unknown, input?: unknown, options?: unknown])[] = [
    ['', 'hello'],
    ['a::b', 'hello'],
    [7, 'hello'],
    ['o', 7],
    ['o', { kind: 'activity', name: 'x' }],
    ['o', 'hello', 1n],
    ['o', 'hello', 'x', { onExisting: 'perhaps' }],
    ['o', 'hello', 'x', { priority: 10 }],
    ['o', 'hello', 'x', { startAfter: 'soon' }],
    ['o', 'hello', 'x', { startAt: 7 }],
    ['o', 'hello', 'x', 'options'],
    ['taken', 'hello'],
    ['taken', 'hello', 'x', { onExisting: 'replaceTerminal' }],
  ];
  const raises: readonly (readonly [id: unknown, name: unknown, data?: unknown, options?: unknown])[] = [
    ['unknown', 'item'],
    ['taken', ''],
    ['taken', 'item', () => undefined],
    ['taken', 'item', 1, { key: '' }],
    [null, 'item'],
  ];

  test('with the same error', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    await client.startOrchestration('taken', 'hello', 'Ada');
    for (const given of starts) {
      const args = given as unknown as [string, string, unknown, StartOptions];
      const wanted = await rejection(client.startOrchestration(...args));
      const got = thrown(() => app.transaction(() => store.startOrchestration(...args)).immediate());
      expect({ name: got.name, code: got.code, message: got.message }).toEqual({
        name: wanted.name,
        code: wanted.code,
        message: wanted.message,
      });
    }
    for (const given of raises) {
      const args = given as unknown as [string, string, unknown, { key?: string }];
      const wanted = await rejection(client.raiseEvent(...args));
      const got = thrown(() => app.transaction(() => store.raiseEvent(...args)).immediate());
      expect({ code: got.code, message: got.message }).toEqual({ code: wanted.code, message: wanted.message });
    }
    expect((await client.listInstances()).instances).toHaveLength(1);
  });

  test('and what it takes is stored alike', async () => {
    const stand = stage();
    const stores = await Promise.all(['a.db', 'b.db'].map((file) => stand.openProvider({ file })));
    const client = new Client(stores[0] as SqliteProvider);
    const app = openApp(stand, 'b.db');
    const store = sqliteTransaction(app);
    const calls: readonly [string, string, unknown, StartOptions][] = [
      ['plain', 'hello', { a: [1] }, {}],
      ['none', 'hello', undefined, { version: '^1.2', priority: 3 }],
      ['later', 'hello', 'x', { startAt: new Date(Date.UTC(2100, 0, 1)) }],
      ['plain', 'other', 'again', { onExisting: 'useExisting' }],
      ['none', 'other', 'again', { onExisting: 'terminateExisting' }],
    ];
    for (const args of calls) {
      await client.startOrchestration(...args);
      app.transaction(() => store.startOrchestration(...args)).immediate();
    }
    for (const key of ['k', 'k', undefined]) {
      const options = key === undefined ? {} : { key };
      const wanted = await client.raiseEvent('plain', 'item', { n: 1 }, options);
      expect(app.transaction(() => store.raiseEvent('plain', 'item', { n: 1 }, options)).immediate()).toEqual(wanted);
    }
    const dump = (file: string): unknown => {
      const database = openApp(stand, file);
      const times = new Set(['created_at', 'updated_at', 'arrived_at', 'ready_at']);
      return ['instances', 'orchestrator_queue', 'codes'].map((table) =>
        (database.prepare(`SELECT * FROM ${table}`).all() as Record<string, unknown>[]).map((row) =>
          Object.fromEntries(Object.entries(row).filter(([column]) => !times.has(column))),
        ),
      );
    };
    expect(dump('b.db')).toEqual(dump('a.db'));
  });
});

describe('a handle that cannot carry it is refused:', () => {
  test('one outside of a transaction, which writes nothing', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const store = sqliteTransaction(openApp(stand));
    const error = thrown(() => store.startOrchestration('o1', 'hello', 'Ada'));
    expect(error).toMatchObject({ name: 'TransactionError', code: 'TRANSACTION_REQUIRED' });
    expect(error.message).toContain('database.transaction(');
    expect(thrown(() => store.raiseEvent('o1', 'item'))).toMatchObject({ code: 'TRANSACTION_REQUIRED' });
    expect(await client.getState('o1')).toBeNull();
  });

  test('one on a file that is no store', () => {
    const stand = stage();
    const error = thrown(() => sqliteTransaction(openApp(stand, 'app.db')));
    expect(error).toMatchObject({ code: 'DATABASE_FOREIGN' });
    expect(error.message).toContain('SqliteProvider.open');
  });

  test('one on a store of a newer schema, also when it became so later, and one of an older schema', async () => {
    const stand = stage();
    await (await SqliteProvider.open(stand.file())).close();
    const app = openApp(stand);
    const version = Number(app.pragma('user_version', { simple: true }));
    const store = sqliteTransaction(app);
    app.pragma(`user_version = ${version + 1}`);
    expect(thrown(() => app.transaction(() => store.startOrchestration('o1', 'hello', 'Ada'))())).toMatchObject({ code: 'SCHEMA_TOO_NEW' });
    expect(thrown(() => sqliteTransaction(app))).toMatchObject({ code: 'SCHEMA_TOO_NEW' });
    expect(thrown(() => sqliteTransaction(openApp(stand)))).toMatchObject({ code: 'SCHEMA_TOO_NEW' });
    app.pragma(`user_version = ${version - 1}`);
    expect(thrown(() => sqliteTransaction(openApp(stand)))).toMatchObject({ code: 'DATABASE_UNREADABLE' });
  });

  test('one in memory, one that is read-only, one that is closed, now or later', async () => {
    const stand = stage();
    await stand.openProvider();
    const memory = new Database(':memory:');
    stand.defer(() => void memory.close());
    expect(thrown(() => sqliteTransaction(memory)).message).toContain('in memory');
    expect(thrown(() => sqliteTransaction(openApp(stand, 'store.db', { readonly: true }))).message).toContain('read-only');
    const app = openApp(stand);
    const store = sqliteTransaction(app);
    app.close();
    expect(thrown(() => store.startOrchestration('o1', 'hello', 'Ada')).message).toContain('closed');
    expect(thrown(() => sqliteTransaction(app)).message).toContain('closed');
  });

  test.each([
    ['nothing', undefined],
    ['an object', {}],
    ['text', 'store.db'],
  ])('%s', (_what, given) => {
    const error = thrown(() => sqliteTransaction(given as never));
    expect(error).toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect(error.message).toContain('better-sqlite3');
  });

  test('a clock that is none', async () => {
    const stand = stage();
    await stand.openProvider();
    expect(thrown(() => sqliteTransaction(openApp(stand), { clock: {} as never }))).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});
