// Files that are no store, or none any more: cut off, overwritten, of another format, of another program, with the log of another one. They are
// refused with a clear typed error and left as they are; what SQLite can still open never ends the process or hangs it.
import Database from 'better-sqlite3';
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { APPLICATION_ID } from '../../src/provider/sqlite/migrations.ts';
import { ProviderError } from '../../src/types/errors.ts';
import { seeded } from '../support/seed.ts';
import { fuzz, LIMIT_MS, NEIGHBOURS, outcomeOf, VICTIM, World } from './kit.ts';

const root = mkdtempSync(join(tmpdir(), 'duraloom-fuzz-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;

/** A folder for one case. */
function makeFolder(): string {
  const folder = join(root, `case-${(count += 1)}`);
  mkdirSync(folder);
  return folder;
}

/** A store with instances at rest: closed, and as a crash leaves it, with all that was written in its log. */
const stores = await (async () => {
  await using world = new World();
  await world.open();
  await world.start(false);
  await world.populate();
  await world.stop();
  await world.raiseAll();
  const crashed = makeFolder();
  for (const suffix of ['', '-wal']) cpSync(`${world.file}${suffix}`, join(crashed, `store.db${suffix}`));
  await world.closeProvider();
  const closed = makeFolder();
  cpSync(world.file, join(closed, 'store.db'));
  return { closed, crashed };
})();

/** A copy of one of them in a folder of its own. */
function copyOf(kind: keyof typeof stores): { readonly folder: string; readonly file: string } {
  const folder = makeFolder();
  cpSync(stores[kind], folder, { recursive: true });
  return { folder, file: join(folder, 'store.db') };
}

/** Names and contents of all files in a folder. */
function fingerprint(folder: string): Readonly<Record<string, string>> {
  const names = readdirSync(folder).toSorted();
  return Object.fromEntries(
    names.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );
}

/** Opens a file; a refusal is typed, names the file and has changed nothing. Returns what was opened. */
async function tryOpen(folder: string, file: string): Promise<SqliteProvider | string> {
  const before = fingerprint(folder);
  try {
    return await SqliteProvider.open(file);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    expect(error.message).toContain(file);
    expect(error.operation).toBe('open');
    expect(fingerprint(folder)).toEqual(before);
    return error.code;
  }
}

/** Whatever can still be opened answers each call with a value or a typed error, in time, and closes. */
async function expectTyped(provider: SqliteProvider): Promise<void> {
  const client = new Client(provider);
  for (const id of [VICTIM, ...NEIGHBOURS]) {
    const calls: readonly (() => Promise<unknown>)[] = [
      () => client.getState(id),
      () => client.readHistory(id),
      () => client.getValues(id),
      () => client.listActivities(id),
      () => client.raiseEvent(id, 'more'),
      () => client.waitForReceipt(id, 'key', { timeout: 1 }),
      () => client.suspend(id),
      () => client.terminate(id),
    ];
    for (const call of calls) await outcomeOf(call);
  }
  await outcomeOf(() => client.listInstances());
  await outcomeOf(() => client.listRuntimes());
  await outcomeOf(() => client.publish('news/today'));
  await outcomeOf(() => client.startOrchestration('new', 'neighbour'));
  await outcomeOf(() => provider.fetchOrchestrationItems({ maxItems: 10, lockMs: 1_000, waitMs: 0 }));
  await outcomeOf(() => provider.fetchWorkItems({ maxItems: 10, lockMs: 1_000, waitMs: 0 }));
  await provider.close();
}

const REFUSED: readonly string[] = ['DATABASE_FOREIGN', 'DATABASE_UNREADABLE', 'SCHEMA_TOO_NEW'];

describe(seeded('a store that was cut off'), () => {
  const whole = readFileSync(join(stores.closed, 'store.db'));
  const pageBytes = whole.readUInt16BE(16);

  test(
    'anywhere is refused and left as it is, unless nothing is left',
    async () => {
      const places = [1, 15, 16, 99, 100, 101, 511, pageBytes - 1, pageBytes, pageBytes + 1, whole.length - pageBytes, whole.length - 1];
      const place = fc.oneof(
        fc.constantFrom(...places),
        fc.nat(whole.length - 1).map((bytes) => bytes + 1),
        fc.nat(20).map((page) => (page + 1) * pageBytes),
      );
      for (const bytes of places) await check(bytes);
      await fc.assert(
        fc.asyncProperty(
          place.filter((bytes) => bytes < whole.length),
          check,
        ),
        fuzz(30),
      );

      async function check(bytes: number): Promise<void> {
        const { folder, file } = copyOf('closed');
        truncateSync(file, bytes);
        expect(await tryOpen(folder, file), `${bytes} bytes`).toBe('DATABASE_UNREADABLE');
        rmSync(folder, { recursive: true });
      }
    },
    LIMIT_MS,
  );

  test(
    'in its log keeps what was written before, or is refused',
    async () => {
      const log = readFileSync(join(stores.crashed, 'store.db-wal'));
      await fc.assert(
        fc.asyncProperty(fc.nat(log.length - 1), fc.constantFrom('cut', 'overwritten'), async (at, how) => {
          const { folder, file } = copyOf('crashed');
          if (how === 'cut') truncateSync(`${file}-wal`, at);
          else
            writeFileSync(
              `${file}-wal`,
              Buffer.concat([log.subarray(0, at), Buffer.from('overwritten'), log.subarray(at + 11)]).subarray(0, log.length),
            );
          const opened = await tryOpen(folder, file);
          if (typeof opened === 'string') expect(REFUSED).toContain(opened);
          else await expectTyped(opened);
          rmSync(folder, { recursive: true });
        }),
        fuzz(20),
      );
    },
    LIMIT_MS,
  );
});

describe(seeded('a store with bytes that were overwritten'), () => {
  test.each(['closed', 'crashed'] as const)(
    'is refused, or answers every call with a value or a typed error, and a runtime on it can be stopped: %s',
    async (kind) => {
      const bytes = fc.uint8Array({ minLength: 1, maxLength: 64 });
      const hole = fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        bytes: fc.oneof(bytes, fc.constant(new Uint8Array(4_096))),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(hole, { minLength: 1, maxLength: 4 }), fc.boolean(), async (holes, withRuntime) => {
          await using world = new World();
          for (const name of readdirSync(stores[kind])) cpSync(join(stores[kind], name), world.file.replace('store.db', name));
          const target = kind === 'crashed' ? `${world.file}-wal` : world.file;
          const content = readFileSync(target);
          for (const { at, bytes: written } of holes)
            content.set(written.subarray(0, content.length), Math.floor(at * Math.max(0, content.length - written.length)));
          writeFileSync(target, content);
          const refused = await outcomeOf(() => world.open());
          if (refused !== 'ok') {
            expect(REFUSED).toContain(refused);
            return;
          }
          if (withRuntime) {
            // What it cannot read it tries again; it neither ends the process nor keeps it from stopping.
            await outcomeOf(() => world.start(true));
            await outcomeOf(() => world.client.waitForResult(NEIGHBOURS[0], { timeout: 20 }));
            await world.stop();
          }
          await expectTyped(world.provider);
        }),
        fuzz(25),
      );
    },
    LIMIT_MS,
  );
});

describe('a file that is no store', () => {
  const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
  const sqlite = readFileSync(join(stores.closed, 'store.db'));

  test.each(
    Object.entries({
      'one byte': Buffer.from('x'),
      'zeros of less than a page': Buffer.alloc(100),
      'zeros of many pages': Buffer.alloc(65_536),
      text: Buffer.from('This is no database. '.repeat(500)),
      JSON: Buffer.from(JSON.stringify({ application: 'other', list: Array.from({ length: 500 }, (_, index) => index) })),
      PNG: Buffer.concat([png, Buffer.alloc(5_000, 7)]),
      gzip: gzipSync(sqlite),
      'UTF-16': Buffer.from('database '.repeat(500), 'utf16le'),
      'the magic of SQLite and nothing else': Buffer.from('SQLite format 3\0'),
      'the magic of SQLite and noise': Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(8_176, 0xa5)]),
      'the header of a store and zeros': Buffer.concat([sqlite.subarray(0, 100), Buffer.alloc(sqlite.length - 100)]),
      'a store with a byte before it': Buffer.concat([Buffer.from('x'), sqlite]),
      'a store in the encoding UTF-16': ((): Buffer => {
        const copy = Buffer.from(sqlite);
        copy.writeUInt32BE(2, 56);
        return copy;
      })(),
    }),
  )('%s is refused and left as it is', async (_, content) => {
    const folder = makeFolder();
    const file = join(folder, 'store.db');
    writeFileSync(file, content);
    const opened = await tryOpen(folder, file);
    if (typeof opened !== 'string') await opened.close();
    expect(REFUSED).toContain(opened);
  });

  test('folders, pipes, links to nowhere and paths through files are refused', async () => {
    const folder = makeFolder();
    mkdirSync(join(folder, 'folder.db'));
    writeFileSync(join(folder, 'file'), 'x');
    symlinkSync(join(folder, 'nowhere', 'store.db'), join(folder, 'link.db'));
    symlinkSync(join(folder, 'loop.db'), join(folder, 'loop.db'));
    execFileSync('mkfifo', [join(folder, 'pipe.db')]);
    for (const name of ['folder.db', 'link.db', 'loop.db', 'pipe.db', 'file/store.db', 'no/folder/store.db']) {
      const error = await SqliteProvider.open(join(folder, name)).catch((caught: unknown) => caught);
      expect(error, name).toMatchObject({ name: 'ProviderError', code: 'DATABASE_UNREADABLE' });
      expect((error as ProviderError).message).toContain(join(folder, name));
    }
    expect(readdirSync(folder)).toHaveLength(5);
  });

  test('a file that may only be read is refused when it is opened, not at the first write', async () => {
    const { folder, file } = copyOf('closed');
    chmodSync(file, 0o444);
    chmodSync(folder, 0o777);
    chmodSync(root, 0o755);
    const asNobody = process.getuid?.() === 0;
    // Root may write everything.
    if (asNobody) process.seteuid?.(65_534);
    onTestFinished(() => {
      if (asNobody) process.seteuid?.(0);
    });
    expect(await tryOpen(folder, file)).toBe('DATABASE_UNREADABLE');
  });
});

describe('a store with parts of another one', () => {
  /** Another program's database that crashed, with all that it wrote in its log. */
  function foreignLog(sql: string): Buffer {
    const folder = makeFolder();
    const database = new Database(join(folder, 'other.db'));
    database.pragma('journal_mode = WAL');
    database.exec(sql);
    const log = readFileSync(join(folder, 'other.db-wal'));
    database.close();
    return log;
  }

  test('the log of another program is not played into it', async () => {
    const { folder, file } = copyOf('closed');
    writeFileSync(`${file}-wal`, foreignLog('PRAGMA application_id = 42; CREATE TABLE customers (name TEXT)'));
    expect(await tryOpen(folder, file)).toBe('DATABASE_FOREIGN');
  });

  test('the log of a newer version is not played into it', async () => {
    const { folder, file } = copyOf('closed');
    writeFileSync(
      `${file}-wal`,
      foreignLog(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 99; CREATE TABLE customers (name TEXT)`),
    );
    expect(await tryOpen(folder, file)).toBe('SCHEMA_TOO_NEW');
  });

  test('the log of another store cannot be told from its own: every call gives a value or a typed error', async () => {
    await using other = new World();
    await other.open();
    await other.start(false);
    await other.populate();
    const { folder, file } = copyOf('closed');
    cpSync(`${other.file}-wal`, `${file}-wal`);
    const opened = await tryOpen(folder, file);
    if (typeof opened === 'string') expect(REFUSED).toContain(opened);
    else await expectTyped(opened);
  });

  test('its log without the rest is not thrown away', async () => {
    const { folder, file } = copyOf('crashed');
    truncateSync(file, 0);
    expect(await tryOpen(folder, file)).toBe('DATABASE_UNREADABLE');
  });

  test.each([
    ['lacks a table', 'DROP TABLE work_items'],
    ['lacks a column', 'ALTER TABLE instances DROP COLUMN output'],
    ['lacks an index', 'DROP INDEX orchestrator_queue_timers'],
    ['has another table of that name', 'DROP TABLE history; CREATE TABLE history (text TEXT)'],
    ['has a view in place of a table', 'DROP TABLE codes; CREATE VIEW codes AS SELECT 1 AS code_id'],
    ['says that it is new', 'PRAGMA user_version = 0'],
    ['says that it is from before time', 'PRAGMA user_version = -5'],
  ])('a schema that %s is refused and left as it is', async (_, sql) => {
    const { folder, file } = copyOf('closed');
    const database = new Database(file);
    database.exec(sql);
    database.close();
    expect(REFUSED).toContain(await tryOpen(folder, file));
  });
});
