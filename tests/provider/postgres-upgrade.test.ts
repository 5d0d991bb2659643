// A PostgreSQL store of an older version is brought to the newest one in place, by the first process that connects. The folder postgres-schema has the
// statements that made the stores of each version, as they were; they are never changed. Neighbour: postgres-connect.test.ts.
import { PostgresProvider } from 'duraloom/postgres';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { attributes, commit, effects, fetchItems, listAll, only, page, read, start, startOne } from '../../src/conformance/case-kit.ts';
import { freshSchema, openPostgres, postgresUrl, query } from '../support/postgres.ts';

const recorded = (name: string): string => readFileSync(new URL(`postgres-schema/1/${name}.sql`, import.meta.url), 'utf8');

/** A call of a process of the first version. */
const OLD_START = `SELECT outcomes FROM "SCHEMA".start_instances(NULL, ARRAY['ID'], ARRAY['order'], ARRAY['1.0.0'], ARRAY['start ID'], ARRAY[NULL]::text[],
  ARRAY[NULL]::integer[], ARRAY[NULL]::integer[], ARRAY['cancel'], ARRAY[0], ARRAY[NULL]::bigint[], ARRAY[0]::bigint[], ARRAY[NULL]::text[], 1,
  ARRAY[false], NULL, 0, NULL, 0)`;

async function startAsBefore(schema: string, id: string): Promise<unknown> {
  return (await query(OLD_START.replace('SCHEMA', schema).replaceAll('ID', id)))[0]?.['outcomes'];
}

/** A store as the first version made it, with instances of all kinds. */
async function makeOld(partitions: number): Promise<string> {
  const schema = freshSchema();
  await query(`CREATE SCHEMA "${schema}"; SET search_path TO "${schema}", pg_temp;
    CREATE TABLE duraloom (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
    ${recorded(`tables-${partitions}`)}
    ${recorded('functions')}
    INSERT INTO duraloom (version) VALUES (1)`);
  for (const id of ['waits', 'done', 'failed', 'child']) expect(await startAsBefore(schema, id)).toBe('started');
  const end = (id: string, status: string, atMs: number): string =>
    `UPDATE "${schema}".instances SET status = '${status}', updated_at = ${atMs}, ready_at = NULL WHERE instance_id = '${id}';
     DELETE FROM "${schema}".messages WHERE instance_id = '${id}'`;
  await query(end('done', 'Completed', 2_000));
  await query(end('failed', 'Failed', 1_000));
  await query(
    `UPDATE "${schema}".instances SET parent_instance_id = 'done', parent_execution_id = 1, parent_event_id = 2 WHERE instance_id = 'child'`,
  );
  return schema;
}

/** Columns, indexes, triggers and the functions that are called. */
async function shapeOf(schema: string): Promise<unknown> {
  const rows = async (text: string): Promise<readonly string[]> =>
    (await query(text, [schema])).map((row) => String(row['line']).replaceAll(schema, 'schema')).toSorted();
  return {
    columns: await rows(
      `SELECT concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable, column_default) AS line
       FROM information_schema.columns WHERE table_schema = $1`,
    ),
    indexes: await rows('SELECT indexdef AS line FROM pg_indexes WHERE schemaname = $1'),
    triggers: await rows(
      `SELECT pg_get_triggerdef(t.oid) AS line FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = $1::text::regnamespace`,
    ),
    functions: await rows(
      `SELECT pg_get_functiondef(p.oid) AS line FROM pg_proc p WHERE p.pronamespace = $1::text::regnamespace
         AND NOT (p.proname = 'start_instances' AND p.pronargs = 19) AND p.proname <> 'remove_instance'`,
    ),
  };
}

describe.each([{ partitions: 1 }, { partitions: 8 }])('a store of the first version with $partitions part(s)', ({ partitions }) => {
  test('becomes what a new one is', { timeout: 60_000 }, async () => {
    const [old, fresh] = [await makeOld(partitions), freshSchema()];
    await openPostgres({ schema: old });
    await openPostgres({ schema: fresh, partitions });
    expect(await shapeOf(old)).toEqual(await shapeOf(fresh));
    expect(await query(`SELECT version FROM "${old}".duraloom ORDER BY version`)).toEqual([{ version: 1 }, { version: 2 }]);
  });

  test('keeps its instances, knows when they ended, and goes on', { timeout: 60_000 }, async () => {
    const schema = await makeOld(partitions);
    const provider = await openPostgres({ schema });
    const ends = (await listAll(provider)).map(({ instanceId, endedAtMs }) => [instanceId, endedAtMs]);
    expect(ends).toEqual([
      ['child', null],
      ['done', 2_000],
      ['failed', 1_000],
      ['waits', null],
    ]);
    const listed = async (changes: Parameters<typeof listAll>[1]): Promise<readonly string[]> =>
      (await listAll(provider, changes)).map(({ instanceId }) => instanceId);
    expect(await listed({ orderBy: 'endedAt' })).toEqual(['failed', 'done']);
    expect(await listed({ filter: { statuses: ['Failed'] }, orderBy: 'createdAt' })).toEqual(['failed']);
    expect(await listed({ filter: { parentInstanceId: 'done' } })).toEqual(['child']);
    const items = await fetchItems(provider);
    expect(items.map(({ instanceId }) => instanceId).toSorted()).toEqual(['child', 'waits']);
    for (const item of items) {
      const now = attributes({ customer: item.instanceId });
      await commit(provider, item, { page: page(2), status: 'Completed', effects: effects({ attributes: now }) });
    }
    expect((await read(provider, 'waits')).endedAtMs).not.toBeNull();
    expect(await listed({ filter: { attributes: attributes({ customer: 'child' }).list } })).toEqual(['child']);
    expect(await provider.deleteInstances([{ instanceId: 'done', isForced: false }])).toEqual([{ kind: 'deleted', instances: 2 }]);
  });
});

test('processes of the version before go on in a store that another one has upgraded', { timeout: 60_000 }, async () => {
  const schema = await makeOld(1);
  const provider = await openPostgres({ schema });
  expect(await startAsBefore(schema, 'new')).toBe('started');
  expect(await startAsBefore(schema, 'new')).toBe('exists');
  expect((await read(provider, 'new')).attributes).toBeNull();
  expect(only(await listAll(provider, { filter: { search: 'new' }, orderBy: 'createdAt' })).status).toBe('Pending');
  await startOne(provider, 'newer', { attributes: attributes({ k: '1' }) });
  expect((await fetchItems(provider)).length).toBe(4);
});

test('an upgrade may take longer than connecting: it waits for a transaction that goes on in the store', { timeout: 60_000 }, async () => {
  const schema = await makeOld(1);
  const client = new pg.Client({ connectionString: postgresUrl() });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`BEGIN; LOCK TABLE "${schema}".instances IN ROW EXCLUSIVE MODE`);
  const connectTimeoutMs = 400;
  const startedMs = performance.now();
  let isOver = false;
  const connecting = PostgresProvider.connect({ connectionString: postgresUrl(), schema, maxConnections: 3, connectTimeoutMs });
  void connecting.finally(() => {
    isOver = true;
  });
  await expect.poll(() => performance.now() - startedMs, { timeout: 10_000 }).toBeGreaterThan(2 * connectTimeoutMs);
  expect(isOver).toBe(false);
  await client.query('COMMIT');
  const provider = await connecting;
  onTestFinished(() => provider.close());
  expect(await listAll(provider)).toHaveLength(4);
});

test('of many processes that connect at once one upgrades the store, and all work with it', { timeout: 60_000 }, async () => {
  const schema = await makeOld(1);
  const providers = await Promise.all(
    Array.from({ length: 5 }, () => PostgresProvider.connect({ connectionString: postgresUrl(), schema, maxConnections: 3 })),
  );
  onTestFinished(async () => void (await Promise.all(providers.map((provider) => provider.close()))));
  expect(await query(`SELECT version FROM "${schema}".duraloom ORDER BY version`)).toEqual([{ version: 1 }, { version: 2 }]);
  for (const [index, provider] of providers.entries()) {
    await start(provider, `of ${index}`);
    expect(await listAll(provider, { orderBy: 'createdAt' })).toHaveLength(5 + index);
  }
});
