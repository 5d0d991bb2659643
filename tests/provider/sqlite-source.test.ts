// The SQLite source of transactional activities: what a step leaves in the file, whatever becomes of it. Real time only where SQLite waits.
import Database from 'better-sqlite3';
import type { StepCompletion, TransactionSource, WorkItem } from 'duraloom';
import { sqliteSource, SqliteProvider, type SqliteSourceOptions } from 'duraloom/sqlite';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { activity, ackFor, effects, fetchItems, fetchOne, fetchWork, routing, start } from '../../src/conformance/case-kit.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';

const LOCK_MS = 1_000;

type Handle = Database.Database;

type Opened = {
  readonly file: string;
  readonly clock: SimulatedClock;
  readonly provider: SqliteProvider;
  readonly source: TransactionSource<Handle, 'sync'>;
  readonly app: Handle;
  readonly item: WorkItem;
};

/** A store with one locked activity of instance `a`, a source on it, and a table of the application. */
async function setUp(options: SqliteSourceOptions = {}, sessionId: string | null = null): Promise<Opened> {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-source-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'store.db');
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const provider = await SqliteProvider.open(file, { clock });
  onTestFinished(() => provider.close());
  const source = sqliteSource<Handle>(file, { clock, ...options });
  onTestFinished(() => source.close());
  const app = new Database(file);
  onTestFinished(() => void app.close());
  app.exec(
    'CREATE TABLE app_rows (id INTEGER PRIMARY KEY, step TEXT, parent INTEGER REFERENCES app_rows (id) DEFERRABLE INITIALLY DEFERRED) STRICT',
  );
  await start(provider, 'a');
  const turn = await fetchOne(provider);
  const workItems = [activity(2, sessionId === null ? {} : { routing: routing({ sessionId }) })];
  const sent = sessionId === null ? null : effects({ sessionMessages: [1, 2].map((seq) => ({ sessionId, payload: String(seq) })) });
  await provider.ackOrchestrationItems([ackFor(turn, { workItems, effects: sent })]);
  const session = { owner: 'here', leaseMs: LOCK_MS, maxSessions: 10 };
  const [item] = await fetchWork(provider, { lockMs: LOCK_MS, select: { kind: 'queue', tags: { kind: 'default' }, session } });
  if (item === undefined) throw new TypeError('the activity was not fetched');
  return { file, clock, provider, source, app, item };
}

function completionOf({ instanceId, executionId, eventId, lockToken }: WorkItem): StepCompletion {
  return { instanceId, executionId, eventId, lockToken, completionPayload: 'ended' };
}

function insert(tx: Handle, step = 'x'): void {
  tx.prepare('INSERT INTO app_rows (step) VALUES (?)').run(step);
}

function rows(app: Handle): unknown {
  return app.prepare('SELECT count(*) FROM app_rows').pluck().get();
}

const never = new AbortController().signal;

describe('a step', () => {
  test('commits rows and completion together: the item is gone, the orchestration has its message', async () => {
    const { provider, source, app, item } = await setUp();
    const run = (tx: Handle): StepCompletion => {
      insert(tx);
      return completionOf(item);
    };
    expect(await source.transact({ run, signal: never })).toBe('done');
    expect(rows(app)).toBe(1);
    expect(await provider.readWorkItems('a')).toEqual([]);
    const [turn] = await fetchItems(provider);
    expect(turn?.messages.map(({ payload }) => payload)).toEqual(['ended']);
    expect(await provider.ackWorkItems([{ ...completionOf(item), completionPayload: 'again' }])).toEqual(['gone']);
  });

  test.each([
    [
      'gone when it is done already',
      'gone',
      async ({ provider, item }: Opened) => void (await provider.ackWorkItems([completionOf(item)])),
    ],
    [
      'gone when its instance was deleted with its work',
      'gone',
      async ({ provider }: Opened) => {
        const closeChildren = { cancelPayload: 'c', output: 'o' };
        await provider.controlInstances([{ kind: 'terminate', instanceId: 'a', output: 'o', parentMessage: null, closeChildren }]);
      },
    ],
    ['lockLost when its lease has expired', 'lockLost', async ({ clock }: Opened) => clock.advance(LOCK_MS)],
    [
      'lockLost when another provider has it now',
      'lockLost',
      async ({ file, clock }: Opened) => {
        await clock.advance(LOCK_MS + 1);
        const other = await SqliteProvider.open(file, { clock });
        onTestFinished(() => other.close());
        expect(await fetchWork(other, { lockMs: LOCK_MS })).toHaveLength(1);
      },
    ],
  ])('is %s, and leaves nothing', async (_what, outcome, lose) => {
    const opened = await setUp();
    await lose(opened);
    const { source, app, item } = opened;
    const run = (tx: Handle): StepCompletion => {
      insert(tx);
      return completionOf(item);
    };
    expect(await source.transact({ run, signal: never })).toBe(outcome);
    expect(rows(app)).toBe(0);
  });

  test('takes along the session messages that it has received', async () => {
    const { provider, source, item } = await setUp({}, 's');
    const messages = await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 });
    const received = { sessionId: 's', uptoSeq: messages[0]?.seq ?? 0 };
    expect(await source.transact({ run: () => ({ ...completionOf(item), received }), signal: never })).toBe('done');
    const left = await provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, doneSeqs: [], waitMs: 0 });
    expect(left.map(({ payload }) => payload)).toEqual(['2']);
  });

  test('without a completion only commits', async () => {
    const { source, app, provider } = await setUp();
    const run = (tx: Handle): null => {
      insert(tx);
      return null;
    };
    expect(await source.transact({ run, signal: never })).toBe('done');
    expect(rows(app)).toBe(1);
    expect(await provider.readWorkItems('a')).toHaveLength(1);
  });

  test('that throws is rolled back, and gets its own error', async () => {
    const { source, app } = await setUp();
    const error = new RangeError('mine');
    const run = (tx: Handle): never => {
      insert(tx);
      throw error;
    };
    await expect(source.transact({ run, signal: never })).rejects.toBe(error);
    expect(rows(app)).toBe(0);
  });

  test('may use savepoints of its own', async () => {
    const { source, app, item } = await setUp();
    const run = (tx: Handle): StepCompletion => {
      tx.transaction(() => insert(tx))();
      expect(() => {
        tx.transaction(() => {
          insert(tx);
          throw new RangeError('inner');
        })();
      }).toThrow('inner');
      return completionOf(item);
    };
    expect(await source.transact({ run, signal: never })).toBe('done');
    expect(rows(app)).toBe(1);
  });
});

describe('a step that breaks the rules of its transaction', () => {
  const offences: readonly (readonly [string, string, (tx: Handle, item: WorkItem) => unknown])[] = [
    ['rolls back', 'TRANSACTION_INVALID', (tx) => tx.exec('ROLLBACK')],
    ['begins another one', 'TRANSACTION_INVALID', (tx) => tx.exec('ROLLBACK; BEGIN IMMEDIATE')],
    ['leaves rows half read', 'TRANSACTION_INVALID', (tx) => tx.prepare('SELECT 1 UNION SELECT 2').iterate().next()],
    ['closes the handle', 'TRANSACTION_INVALID', (tx) => tx.close()],
    ['breaks a deferred constraint', 'TRANSACTION_INVALID', (tx) => tx.exec('INSERT INTO app_rows (parent) VALUES (77)')],
  ];

  test.each(offences)('%s: it is refused, leaves nothing, and the next one finds a sound connection', async (_what, code, offend) => {
    const { source, app, item } = await setUp();
    const bad = (tx: Handle): StepCompletion => {
      insert(tx);
      offend(tx, item);
      return completionOf(item);
    };
    await expect(source.transact({ run: bad, signal: never })).rejects.toMatchObject({ name: 'TransactionError', code });
    expect(rows(app)).toBe(0);
    const good = (tx: Handle): StepCompletion => {
      insert(tx);
      return completionOf(item);
    };
    expect(await source.transact({ run: good, signal: never })).toBe('done');
    expect(rows(app)).toBe(1);
  });

  test('by a promise: what goes on behind it can write nothing any more', async () => {
    const { source, app, item } = await setUp();
    let later: Promise<unknown> = Promise.resolve();
    const run = (tx: Handle): Promise<StepCompletion> => {
      insert(tx);
      const ended = Promise.resolve().then(() => {
        insert(tx, 'behind its back');
        return completionOf(item);
      });
      later = ended;
      return ended;
    };
    await expect(source.transact({ run, signal: never })).rejects.toMatchObject({ code: 'TRANSACTION_INVALID' });
    await expect(later).rejects.toThrow(/not open/);
    expect(rows(app)).toBe(0);
  });

  test('by holding the store for too long', async () => {
    const { source, app, item } = await setUp({ maxMs: 1 });
    const run = (tx: Handle): StepCompletion => {
      insert(tx);
      const untilMs = performance.now() + 3;
      while (performance.now() < untilMs);
      return completionOf(item);
    };
    await expect(source.transact({ run, signal: never })).rejects.toMatchObject({ code: 'TRANSACTION_TOO_LONG' });
    expect(rows(app)).toBe(0);
  });
});

describe('a busy store', () => {
  test('is waited for without keeping the thread, until the signal says no more', async () => {
    const { source, app, item } = await setUp();
    app.exec('BEGIN IMMEDIATE');
    const controller = new AbortController();
    const reason = new RangeError('enough');
    const ran: unknown[] = [];
    const waiting = source.transact({ run: () => (ran.push(1), null), signal: controller.signal });
    const patient = source.transact({ run: () => completionOf(item), signal: never });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(ran).toEqual([]);
    app.exec('COMMIT');
    expect(await patient).toBe('done');
  });

  test('does not make a provider fail: its writes wait for the end of the step', async () => {
    const { provider, source, item } = await setUp();
    let started: Promise<unknown> = Promise.resolve();
    const run = (): StepCompletion => {
      // It is asked now, and its transaction begins when this thread is free again.
      started = start(provider, 'b');
      return completionOf(item);
    };
    expect(await source.transact({ run, signal: never })).toBe('done');
    await started;
    expect((await provider.readInstances(['b']))[0]).toMatchObject({ status: 'Pending' });
  });
});

describe('a source', () => {
  test('can be closed, and opens again with the next step', async () => {
    const { source, app, item } = await setUp();
    let handle: Handle | null = null;
    await source.transact({ run: (tx) => ((handle = tx), null), signal: never });
    await source.close();
    await source.close();
    expect(handle).toMatchObject({ open: false });
    expect(await source.transact({ run: (tx) => (insert(tx), completionOf(item)), signal: never })).toBe('done');
    expect(rows(app)).toBe(1);
  });

  test('syncs its commits unless it is told otherwise', async () => {
    const read = (tx: Handle, into: unknown[]): null => (into.push(tx.pragma('synchronous', { simple: true })), null);
    for (const [options, wanted] of [
      [{}, 2],
      [{ synchronous: 'NORMAL' }, 1],
    ] as const) {
      const { source } = await setUp(options);
      const seen: unknown[] = [];
      await source.transact({ run: (tx) => read(tx, seen), signal: never });
      expect(seen).toEqual([wanted]);
    }
  });

  test('on a file that is none, or none of ours, says so each time', async () => {
    const { file } = await setUp();
    for (const [path, code] of [
      [`${file}.missing`, 'DATABASE_UNREADABLE'],
      [join(file, '..'), 'DATABASE_UNREADABLE'],
      [`${file}-other`, 'DATABASE_FOREIGN'],
    ] as const) {
      if (code === 'DATABASE_FOREIGN') new Database(path).exec('CREATE TABLE t (x)').close();
      const source = sqliteSource(path);
      for (let round = 0; round < 2; round += 1) {
        await expect(source.transact({ run: () => null, signal: never })).rejects.toMatchObject({ name: 'ProviderError', code });
      }
    }
  });

  test.each([[''], [':memory:'], [7], ['a\0b']])('refuses %j as a path', (path) => {
    expect(() => sqliteSource(path as string)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }) as Error);
  });

  test.each([[{ maxMs: 0 }], [{ synchronous: 'OFF' }], [{ clock: {} }], [{ unknown: 1 }], ['options']])(
    'refuses the options %j',
    (options) => {
      expect(() => sqliteSource('store.db', options as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    },
  );
});
