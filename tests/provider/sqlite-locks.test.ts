// Opening a store leaves alone the locks that this process has on the file already: a descriptor of the file that is closed would drop them, and
// another process could change the file meanwhile. Neighbour: fuzz/files.test.ts (files that nobody has open).
import Database from 'better-sqlite3';
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';

const SOURCE = new URL('../../src/sqlite.ts', import.meta.url).href;

function makeFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-locks-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'store.db');
}

/** Another name of a file. */
const NAMES = {
  'its path': (file: string): string => file,
  'a symbolic link': (file: string): string => {
    symlinkSync(file, `${file}.symbolic`);
    return `${file}.symbolic`;
  },
  'a hard link': (file: string): string => {
    linkSync(file, `${file}.hard`);
    return `${file}.hard`;
  },
};

/** What another process is told by SQLite: the code of the error, or `done`. */
function tryElsewhere(file: string, statement: string): string {
  const script = `
    const Database = require('better-sqlite3');
    const database = new Database(process.argv[1], { timeout: 0 });
    try {
      database.prepare(process.argv[2]).run();
      process.stdout.write('done');
    } catch (error) {
      process.stdout.write(error.code);
    }`;
  return execFileSync(process.execPath, ['-e', script, file, statement], { cwd: import.meta.dirname, encoding: 'utf8' });
}

/** Opens a store in another thread; resolves to the code of the error. */
async function refusalInThread(file: string): Promise<unknown> {
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    void import(workerData.source)
      .then(({ SqliteProvider }) => SqliteProvider.open(workerData.file))
      .catch((error) => parentPort.postMessage(error.code));`;
  const worker = new Worker(script, { eval: true, workerData: { source: SOURCE, file } });
  const exit = once(worker, 'exit');
  const [code] = (await once(worker, 'message')) as readonly unknown[];
  await exit;
  return code;
}

/** A database of the application, with a transaction that holds its lock. */
function openOther(): { readonly file: string; readonly app: Database.Database; readonly before: Buffer } {
  const file = makeFile();
  const app = new Database(file);
  onTestFinished(() => void app.close());
  app.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY)');
  const before = readFileSync(file);
  app.exec('BEGIN IMMEDIATE');
  return { file, app, before };
}

/** Only whoever is alone on a file may leave its log. When the lock was dropped SQLite 3.40 takes the log away all the same, 3.54 finds out (measured). */
const LEAVE_LOG = 'PRAGMA journal_mode = DELETE';

describe('opening a store that this process has open', () => {
  test('is what keeps others from leaving its log', async () => {
    const file = makeFile();
    const provider = await SqliteProvider.open(file);
    onTestFinished(() => provider.close());
    expect(tryElsewhere(file, LEAVE_LOG)).toBe('SQLITE_BUSY');
    await provider.close();
    expect(tryElsewhere(file, LEAVE_LOG)).toBe('done');
  });

  test.each(['its path', 'a symbolic link'] as const)('keeps the lock of the provider that has it: by %s', async (name) => {
    const file = makeFile();
    const first = await SqliteProvider.open(file);
    onTestFinished(() => first.close());
    const second = await SqliteProvider.open(NAMES[name](file));
    onTestFinished(() => second.close());
    expect(tryElsewhere(file, LEAVE_LOG)).toBe('SQLITE_BUSY');
    await new Client(first).startOrchestration('a', 'anything');
    expect(await new Client(second).getState('a')).toMatchObject({ status: 'Pending' });
  });

  test.each(Object.keys(NAMES) as (keyof typeof NAMES)[])(
    'keeps the lock of a transaction of the application, whose database is refused: by %s',
    async (name) => {
      const { file, app, before } = openOther();
      await expect(SqliteProvider.open(NAMES[name](file))).rejects.toMatchObject({ code: 'DATABASE_FOREIGN' });
      expect(tryElsewhere(file, 'INSERT INTO orders DEFAULT VALUES')).toBe('SQLITE_BUSY');
      app.exec('ROLLBACK');
      expect(tryElsewhere(file, 'DELETE FROM orders WHERE id = 1')).toBe('done');
      expect(readFileSync(file).equals(before)).toBe(true);
    },
  );

  test('keeps that lock in another thread, too', async () => {
    const { file } = openOther();
    expect(await refusalInThread(file)).toBe('DATABASE_FOREIGN');
    expect(tryElsewhere(file, 'INSERT INTO orders DEFAULT VALUES')).toBe('SQLITE_BUSY');
  });
});
