// The sync of SQLite's log beside its commits, on a real file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { newInstance } from '../../src/conformance/case-kit.ts';
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

test('reports a log that is not there', async () => {
  const log = new LogSync(makeFile());
  expect(await rejection(log.run())).toMatchObject({ code: 'ENOENT' });
  log.close();
});
