// The sync of SQLite's log beside its commits, on a real file.
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { closing, newInstance } from '../../src/conformance/case-kit.ts';
import { LogSync } from '../../src/provider/sqlite/log-sync.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { rejection } from '../support/integration-stage.ts';

function makeFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-log-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'store.db');
}

test('follows each transaction that changed something, and no other', async () => {
  const provider = await SqliteProvider.open(makeFile());
  onTestFinished(() => provider.close());
  const stats = provider.commitStats;
  await provider.startInstances([newInstance('a'), newInstance('b')]);
  expect(stats).toMatchObject({ commits: 1, syncs: 1 });
  await provider.fetchOrchestrationItems({ maxItems: 1, lockMs: 1_000, waitMs: 0 });
  expect(stats).toMatchObject({ commits: 2, syncs: 2 });
  await provider.fetchWorkItems({ maxItems: 1, lockMs: 1_000, waitMs: 0 });
  expect(stats).toMatchObject({ commits: 3, syncs: 2 });
});

test('is not made for a store without a file, nor without need', async () => {
  for (const [file, synchronous] of [
    [':memory:', 'FULL'],
    [makeFile(), 'NORMAL'],
  ] as const) {
    const provider = await SqliteProvider.open(file, { synchronous });
    await provider.startInstances([newInstance('a')]);
    expect(provider.commitStats).toMatchObject({ commits: 1, syncs: 0 });
    await provider.close();
  }
});

test('comes before the answer also for who only reads what was written', async () => {
  const provider = await SqliteProvider.open(makeFile());
  onTestFinished(() => provider.close());
  const order: string[] = [];
  const note = (name: string, promise: Promise<unknown>) => promise.then(() => order.push(name));
  const start = note('start', provider.startInstances([newInstance('a')]));
  // Committed, and not synced before the next turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  const wait = { instanceId: 'a', condition: { kind: 'customStatus', afterVersion: -1 }, waitMs: 1_000 } as const;
  const reads = [note('read', provider.readInstances(['a'])), note('wait', provider.waitForInstance(wait))];
  await Promise.all([start, ...reads]);
  expect([order[0], provider.commitStats.syncs]).toEqual(['start', 1]);
});

test('is made for what another process wrote before a wait is answered with it', async () => {
  const file = makeFile();
  const [provider, other] = [await SqliteProvider.open(file), await SqliteProvider.open(file, { synchronous: 'NORMAL' })];
  onTestFinished(async () => {
    await provider.close();
    await other.close();
  });
  await provider.startInstances([newInstance('a')]);
  const { syncs } = provider.commitStats;
  const wait = provider.waitForInstance({ instanceId: 'a', condition: { kind: 'ended' }, waitMs: 10_000 });
  await other.controlInstances([{ kind: 'terminate', instanceId: 'a', output: '"over"', parentMessage: null, closeChildren: closing }]);
  expect(await wait).toMatchObject({ status: 'Terminated' });
  expect(provider.commitStats.syncs).toBe(syncs + 1);
});

test('reports a log that is not there, and that cannot be emptied either', async () => {
  for (const empty of [() => false, () => expect.fail('disk full')]) {
    const log = new LogSync(makeFile(), empty);
    expect(await rejection(log.run())).toMatchObject({ code: 'ENOENT' });
    log.close();
  }
});

test('trusts the log no more after a failure, until all of it is in the database', async () => {
  const file = makeFile();
  const answers = [false, false, true];
  const log = new LogSync(file, () => answers.shift() ?? expect.fail('asked once more'));
  expect(await rejection(log.run())).toMatchObject({ code: 'ENOENT' });
  writeFileSync(`${file}-wal`, '');
  expect(await rejection(log.run())).toMatchObject({ code: 'ENOENT' });
  await log.run();
  expect(answers).toEqual([]);
  await log.run();
  log.close();
});

test('goes to the database file when somebody has removed the log', async () => {
  const file = makeFile();
  const provider = await SqliteProvider.open(file);
  rmSync(`${file}-wal`);
  expect(await provider.startInstances([newInstance('a')])).toEqual(['started']);
  const copy = `${file}.copy`;
  copyFileSync(file, copy);
  await provider.close();
  const other = await SqliteProvider.open(copy);
  onTestFinished(() => other.close());
  expect(await other.readInstances(['a'])).toMatchObject([{ instanceId: 'a' }]);
});

test('finds the log where SQLite has it: beside the file itself, not beside a link to it', async () => {
  const file = makeFile();
  await (await SqliteProvider.open(file)).close();
  const link = `${file}.link`;
  symlinkSync(file, link);
  const provider = await SqliteProvider.open(link);
  onTestFinished(() => provider.close());
  expect(await provider.startInstances([newInstance('a')])).toEqual(['started']);
});

test('finds the log of a relative path also when the process has changed its folder', async () => {
  const file = makeFile();
  const folder = process.cwd();
  onTestFinished(() => process.chdir(folder));
  const provider = await SqliteProvider.open(relative(folder, file));
  onTestFinished(() => provider.close());
  process.chdir(tmpdir());
  expect(await provider.startInstances([newInstance('a')])).toEqual(['started']);
});
