// Group commit on a real file: what goes together, what a bad item costs its neighbours, and what happens when SQLite cannot write.
import Sqlite from 'better-sqlite3';
import { expect, describe, test } from 'vitest';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { GroupCommit, toProviderError } from '../../src/provider/sqlite/group-commit.ts';
import { ProviderError } from '../../src/types/errors.ts';
import { stage } from '../support/integration-stage.ts';

/** A queue in front of a new file with a table of numbers that may not be negative, and what its frame was told. */
function setUp(options: { readonly maxCommitMs?: number; readonly run?: () => void; readonly sync?: () => Promise<void> } = {}) {
  const stand = stage();
  const open = (): Sqlite.Database => {
    const database = new Sqlite(stand.file(), { timeout: 0 });
    stand.defer(() => void database.close());
    return database;
  };
  const database = open();
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE numbers (n INTEGER CHECK (n >= 0), filler BLOB)');
  const clock = new SimulatedClock(0);
  const told: unknown[] = [];
  const state = { isDue: false };
  const commits = new GroupCommit(
    database,
    {
      get isDue() {
        return state.isDue;
      },
      begin: (mayNote) => told.push(mayNote ? 'begin' : 'begin slowly'),
      run: () => {
        told.push('run');
        options.run?.();
      },
      committed: () => {
        told.push('committed');
        return { safe: () => void (options.sync !== undefined && told.push('safe')), unsafe: (error) => void told.push(error) };
      },
      rolledBack: () => told.push('rolled back'),
      failed: (error) => told.push(error),
    },
    { maxCommitMs: options.maxCommitMs ?? 5, clock, sync: options.sync ?? null },
  );
  const insert = database.prepare('INSERT INTO numbers VALUES (?, zeroblob(?))');
  /** Writes numbers; each outcome is its double. */
  const write = (numbers: readonly number[], bytes = 0): Promise<number[]> =>
    commits.write('write', numbers, (n) => {
      insert.run(n, bytes);
      return 2 * n;
    });
  const stored = (): readonly unknown[] => database.prepare('SELECT n FROM numbers ORDER BY rowid').pluck().all();
  /** Lets the event loop turn until something is settled. */
  const settled = async <Value>(promises: readonly Promise<Value>[]): Promise<readonly PromiseSettledResult<Value>[]> => {
    const all = Promise.allSettled(promises);
    await clock.advance(0);
    return await all;
  };
  return { database, open, clock, commits, told, state, write, stored, settled };
}

/** What was rejected. */
function reasonOf(result: PromiseSettledResult<unknown> | undefined): unknown {
  return result?.status === 'rejected' ? result.reason : result;
}

describe('writes of one tick', () => {
  test('are one transaction, in the order of the calls, and settle after it', async () => {
    const { commits, told, write, stored, settled } = setUp();
    const results = await settled([write([3, 1]), write([]), write([2])]);
    expect(results).toMatchObject([{ value: [6, 2] }, { value: [] }, { value: [4] }]);
    expect(stored()).toEqual([3, 1, 2]);
    expect(told).toEqual(['begin', 'run', 'committed']);
    expect(commits.stats).toMatchObject({ commits: 1, items: 3, busyRetries: 0, slowPaths: 0, syncs: 0 });
  });

  test('that take longer than their time go on in the next tick, where they stopped', async () => {
    const { clock, commits, told, stored, settled, database } = setUp({ maxCommitMs: 1 });
    const insert = database.prepare('INSERT INTO numbers VALUES (?, NULL)');
    // Three times as long as a transaction may take, by a clock that each item moves.
    let passedMs = 0;
    clock.monotonicMs = () => passedMs;
    const slow = (n: number): number => {
      passedMs += 0.6;
      insert.run(n);
      return -n;
    };
    const results = await settled([commits.write('slow', [1, 2, 3, 4, 5], slow), commits.write('slow', [6], slow)]);
    expect(results).toMatchObject([{ value: [-1, -2, -3, -4, -5] }, { value: [-6] }]);
    expect(stored()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(told).toEqual(['begin', 'run', 'committed', 'begin', 'run', 'committed', 'begin', 'run', 'committed']);
  });

  test('are none when nothing is asked for and the frame has nothing to do', async () => {
    const { clock, commits, told, state } = setUp();
    commits.schedule();
    await clock.advance(0);
    expect(told).toEqual([]);
    state.isDue = true;
    commits.schedule();
    await clock.advance(0);
    expect(told).toEqual(['begin', 'run', 'committed']);
  });

  test('can be waited for', async () => {
    const { clock, commits, write, stored } = setUp();
    await commits.settled();
    const written = write([1]);
    let isSettled = false;
    const all = commits.settled().then(() => (isSettled = true));
    expect(isSettled).toBe(false);
    await clock.advance(0);
    await all;
    expect([await written, stored()]).toEqual([[2], [1]]);
  });
});

describe('an item that cannot be written', () => {
  test('fails its own call only, and nothing is noted while the others run again one by one', async () => {
    const { commits, told, write, stored, settled } = setUp();
    const [before, bad, after] = await settled([write([1]), write([2, -1, 3, -2]), write([4])]);
    expect([before, after]).toMatchObject([{ value: [2] }, { value: [8] }]);
    expect(reasonOf(bad)).toMatchObject({
      code: 'PROVIDER_FAILED',
      operation: 'write',
      retryable: false,
      cause: { code: 'SQLITE_CONSTRAINT_CHECK' },
    });
    expect(stored()).toEqual([1, 2, 3, 4]);
    expect(told).toEqual(['begin', 'rolled back', 'begin slowly', 'run', 'committed']);
    expect(commits.stats).toMatchObject({ commits: 1, slowPaths: 1 });
  });

  test('may throw anything', async () => {
    const { clock, commits, write, stored } = setUp();
    const odd = commits.write('odd', [1], () => {
      throw new ProviderError('PROVIDER_CLOSED', { operation: 'odd', retryable: false, message: 'of its own' });
    });
    const results = Promise.allSettled([odd, write([1])]);
    await clock.advance(0);
    expect(await results).toMatchObject([{ reason: { code: 'PROVIDER_CLOSED', message: 'of its own' } }, { value: [2] }]);
    expect(stored()).toEqual([1]);
  });
});

describe('a transaction that is run again', () => {
  test('keeps nothing of an item that failed half way', async () => {
    const { clock, commits, write, stored, database } = setUp();
    const insert = database.prepare('INSERT INTO numbers VALUES (?, NULL)');
    const half = commits.write('half', [1, 2], (n) => {
      insert.run(n);
      if (n === 1) throw new RangeError('half way');
      return n;
    });
    const results = Promise.allSettled([half, write([3])]);
    await clock.advance(0);
    expect(await results).toMatchObject([{ reason: { cause: new RangeError('half way') } }, { value: [6] }]);
    expect(stored()).toEqual([2, 3]);
  });

  test('takes nothing for done that it had no time for', async () => {
    const { clock, commits, told, write, stored, settled } = setUp({ maxCommitMs: 1 });
    let passedMs = 0;
    // One by one, each item is over the time.
    clock.monotonicMs = () => (told.at(-1) === 'begin slowly' ? (passedMs += 10) : passedMs);
    const results = await settled([write([1, 2]), write([3]), write([-1]), write([4])]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(stored()).toEqual([1, 2, 3, 4]);
    expect(commits.stats.slowPaths).toBeGreaterThan(1);
  });
});

describe('a store that cannot write', () => {
  test('because it is full fails the whole transaction for now, and goes on when there is room', async () => {
    const { database, told, write, stored, settled } = setUp();
    database.pragma('max_page_count = 8');
    const [small, large] = await settled([write([1]), write([2], 1 << 20)]);
    const full = { code: 'PROVIDER_FAILED', retryable: true, cause: { code: 'SQLITE_FULL' } };
    expect([reasonOf(small), reasonOf(large)]).toMatchObject([full, full]);
    expect((reasonOf(large) as Error).message).toContain('Free disk space');
    expect(told).toEqual(['begin', 'rolled back', expect.objectContaining({ code: 'SQLITE_FULL' })]);
    expect(stored()).toEqual([]);
    database.pragma('max_page_count = 1000');
    expect(await settled([write([1]), write([2], 1 << 20)])).toMatchObject([{ value: [2] }, { value: [4] }]);
  });

  test('because it is full does so as well when items run one by one', async () => {
    const { database, told, write, stored, settled } = setUp();
    database.pragma('max_page_count = 8');
    const results = await settled([write([-1]), write([1]), write([2], 1 << 20)]);
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(stored()).toEqual([]);
    expect(told.slice(0, 3)).toEqual(['begin', 'rolled back', 'begin slowly']);
  });

  test('because its connection is closed fails what was asked, and tells who waits', async () => {
    const { database, told, write, settled } = setUp();
    const written = write([1]);
    database.close();
    const [result] = await settled([written]);
    expect(reasonOf(result)).toMatchObject({ code: 'PROVIDER_FAILED', retryable: false });
    expect(told).toEqual([expect.objectContaining({ message: 'The database connection is not open' })]);
  });

  test('while another connection writes tries again, without holding up this thread', async () => {
    const { open, clock, commits, write, stored } = setUp();
    const other = open();
    other.exec('BEGIN IMMEDIATE');
    const written = write([1]);
    await clock.advance(0);
    expect(commits.stats.commits).toBe(0);
    expect(commits.stats.busyRetries).toBeGreaterThan(0);
    other.exec('COMMIT');
    await commits.settled();
    expect([await written, stored()]).toEqual([[2], [1]]);
  });

  test('for what its frame does fails everything in the transaction', async () => {
    const broken = setUp({
      run: () => {
        throw new Sqlite.SqliteError('no such table: gone', 'SQLITE_ERROR');
      },
    });
    const [result] = await broken.settled([broken.write([1])]);
    expect(reasonOf(result)).toMatchObject({ code: 'PROVIDER_FAILED', message: expect.stringContaining('no such table: gone') as unknown });
    expect(broken.stored()).toEqual([]);
    expect(broken.told.slice(0, 3)).toEqual(['begin', 'run', 'rolled back']);
  });
});

describe('an error of SQLite', () => {
  test.each<readonly [unknown, boolean, string]>([
    [new Sqlite.SqliteError('busy', 'SQLITE_BUSY_SNAPSHOT'), true, 'read failed in SQLite (SQLITE_BUSY_SNAPSHOT): busy.'],
    [new Sqlite.SqliteError('disk', 'SQLITE_IOERR_WRITE'), true, 'read failed in SQLite (SQLITE_IOERR_WRITE): disk.'],
    [new Sqlite.SqliteError('odd', 'SQLITE_CORRUPT'), false, 'read failed in SQLite (SQLITE_CORRUPT): odd.'],
    [new TypeError('mine'), false, 'read failed in SQLite: mine.'],
    ['thrown text', false, 'read failed in SQLite: thrown text.'],
  ])('%s may pass: %s', (cause, retryable, message) => {
    const error = toProviderError('read', cause);
    expect(error).toMatchObject({ code: 'PROVIDER_FAILED', operation: 'read', retryable, cause });
    expect(error.message.startsWith(message)).toBe(true);
  });
});

describe('a sync after the commit', () => {
  /** A disk that syncs when it is told to. */
  function disk() {
    const syncs: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
    const sync = (): Promise<void> => new Promise((resolve, reject) => syncs.push({ resolve, reject }));
    return { syncs, sync };
  }

  test('is waited for: what is written before is visible, but not answered', async () => {
    const { syncs, sync } = disk();
    const { clock, told, write, stored } = setUp({ sync });
    const answers: unknown[] = [];
    const written = write([1]).then((outcome) => answers.push(outcome));
    await clock.advance(0);
    expect([stored(), answers, told]).toEqual([[1], [], ['begin', 'run', 'committed']]);
    syncs[0]?.resolve();
    await written;
    expect([answers, told.at(-1)]).toEqual([[[2]], 'safe']);
  });

  test('is shared by all that is written while another one is under way', async () => {
    const { syncs, sync } = disk();
    const { clock, commits, write, stored } = setUp({ sync });
    const first = write([1]);
    await clock.advance(0);
    const others = [write([2]), write([3])];
    await clock.advance(0);
    expect([stored(), syncs.length]).toEqual([[1], 1]);
    syncs[0]?.resolve();
    await first;
    await clock.advance(0);
    syncs[1]?.resolve();
    expect(await Promise.all(others)).toEqual([[4], [6]]);
    expect(commits.stats).toMatchObject({ commits: 2, syncs: 2 });
  });

  test('that fails rejects what it was for, as of unknown outcome, and work goes on', async () => {
    const { syncs, sync } = disk();
    const { clock, told, write, stored } = setUp({ sync });
    const lost = Promise.allSettled([write([1])]);
    await clock.advance(0);
    const broken = new Error('the disk is gone');
    syncs[0]?.reject(broken);
    const [result] = await lost;
    expect(reasonOf(result)).toMatchObject({ code: 'PROVIDER_FAILED', operation: 'write', cause: broken });
    expect(told.at(-1)).toBe(broken);
    const next = write([2]);
    await clock.advance(0);
    syncs[1]?.resolve();
    expect(await next).toEqual([4]);
    expect(stored()).toEqual([1, 2]);
  });

  test('is left out when nothing was changed', async () => {
    const { syncs, sync } = disk();
    const { clock, commits, told, state } = setUp({ sync });
    state.isDue = true;
    commits.schedule();
    state.isDue = true;
    await clock.advance(0);
    expect([syncs.length, told.at(-1)]).toEqual([0, 'safe']);
  });

  test('that is under way holds up who waits for all that was asked', async () => {
    const { syncs, sync } = disk();
    const { clock, commits, write } = setUp({ sync });
    const written = write([1]);
    await clock.advance(0);
    let isSettled = false;
    const settling = commits.settled().then(() => (isSettled = true));
    await clock.advance(0);
    expect(isSettled).toBe(false);
    syncs[0]?.resolve();
    await written;
    await clock.advance(0);
    await settling;
    expect(isSettled).toBe(true);
  });
});
