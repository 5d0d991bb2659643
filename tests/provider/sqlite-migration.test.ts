// Files of versions before: they are migrated when they are opened, with what is in them.
import Database from 'better-sqlite3';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Client } from 'duraloom';
import { commit, fetchOne } from '../../src/conformance/case-kit.ts';
import { APPLICATION_ID, MIGRATIONS } from '../../src/provider/sqlite/migrations.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';

/** Writes a file as the first version of the schema had it: one instance that has ended, one that waits for its turn. */
function writeFirstVersion(file: string): void {
  const database = new Database(file);
  database.exec(MIGRATIONS[0] ?? '');
  database.pragma(`application_id = ${APPLICATION_ID}`);
  database.pragma('user_version = 1');
  database.exec("INSERT INTO codes (name, version, engine) VALUES ('order', '1.0.0', 0)");
  const insert = database.prepare(
    `INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, last_event_id, ready_at, hold_until, message_seq,
       output, custom_status_version, has_extras, on_parent_close, created_at, updated_at)
     VALUES (?, 'order', '1.0.0', 1, ?, 0, 1, 0, ?, 0, 1, ?, 0, 0, 'abandon', ?, ?)`,
  );
  insert.run('done', 'Completed', null, '"done"', 1_000, 2_000);
  insert.run('waiting', 'Pending', 3_000, null, 3_000, 3_000);
  database.exec(
    `INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, attempts, payload) VALUES ('waiting', 0, 1, 3000, 0, 'start')`,
  );
  database.close();
}

test('a file of the first version is migrated, and what is in it is found and goes on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-migration-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'store.db');
  writeFirstVersion(file);
  const provider = await SqliteProvider.open(file);
  const client = new Client(provider);
  expect((await client.listInstances({ orderBy: 'endedAt' })).instances).toMatchObject([{ instanceId: 'done', endedAt: new Date(2_000) }]);
  expect((await client.listInstances({ name: 'order', status: 'Pending' })).instances).toMatchObject([
    { instanceId: 'waiting', endedAt: null },
  ]);
  await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
  expect((await client.listInstances({ status: 'Completed' })).instances.map(({ instanceId }) => instanceId)).toEqual(['waiting', 'done']);
  await provider.close();
  // The second time there is nothing to do.
  await (await SqliteProvider.open(file)).close();
  const database = new Database(file);
  expect(database.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
  database.close();
});
