// Lists of a PostgreSQL store with many instances: they are those that plain SQL finds, and no call looks at more than a bounded number of rows, which
// the server tells as plans (auto_explain). Neighbours: postgres-plans.test.ts for all other calls, cases-listing.ts for what a list is.
import { PostgresProvider } from 'duraloom/postgres';
import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { dropSchema, makeSchemaName, queryServer } from '../../postgres-server/schemas.ts';
import { listQuery } from '../../src/conformance/case-kit.ts';
import type { InstanceFilter, InstanceOrder, ListPosition } from '../../src/provider/management.ts';
import { LIST_FILTERS, LIST_ORDERS, toCondition } from '../support/list-filters.ts';
import { explainingPool, nodesOf, type Told } from '../support/postgres-plans.ts';
import { postgresUrl } from '../support/postgres.ts';

const ROWS = 200_000;
/** What a call looks at, with the last round and the sources of a round (S1 of sql/listing.ts), all walks together. */
const MAX_READ = 16_000;
/** Pages of a list that are compared. */
const PAGES = 3;
const LIMIT = 100;

const schema = makeSchemaName('lists');
const ATTRIBUTES = { table: `"${schema}".instance_attributes`, column: 'instance_id' };
const told: Told[] = [];
let pool: ReturnType<typeof explainingPool>;
let provider: PostgresProvider;

const run = (text: string): Promise<readonly Readonly<Record<string, unknown>>[]> => queryServer(postgresUrl(), text);

/** Instances of a big store: nine in ten completed, one in a hundred failed, the others live; names, attributes and parents of all sizes. */
async function fill(): Promise<void> {
  const table = (name: string): string => `"${schema}".${name}`;
  await run(`INSERT INTO ${table('codes')} (name, version, engine) VALUES ('order', '1.0.0', 1)`);
  await run(`INSERT INTO ${table('instances')} (instance_id, name, version, code_id, status, priority, execution_id, first_execution_id, last_event_id,
      parent_instance_id, parent_execution_id, parent_event_id, on_parent_close, created_at, updated_at, ended_at, attributes)
    SELECT 'i' || lpad((n::bigint * 7919 % ${ROWS})::text, 7, '0'), CASE WHEN n % 1000 = 7 THEN 'rare' WHEN n % 5 < 2 THEN 'mail' ELSE 'order' END,
      CASE WHEN n % 50000 = 9 THEN '0.9.0' ELSE '1.0.0' END, 1, x.status, 0, 1, 1, 2,
      CASE WHEN n % 10 = 3 THEN 'big' WHEN n % 20000 = 5 THEN 'small' END, CASE WHEN n % 10 = 3 OR n % 20000 = 5 THEN 1 END,
      CASE WHEN n % 10 = 3 OR n % 20000 = 5 THEN 2 END, 'cancel', 1000000 + n, 2000000 + n,
      CASE WHEN x.status IN ('Completed', 'Failed') THEN 3000000 + n::bigint * 31 % ${ROWS} END, '{}'
    FROM generate_series(1, ${ROWS}) n CROSS JOIN LATERAL (
      SELECT CASE WHEN n % 100 = 50 THEN 'Failed' WHEN n % 11 = 3 THEN 'Running' WHEN n % 30000 = 1 THEN 'Suspended' ELSE 'Completed' END AS status) x`);
  await run(`INSERT INTO ${table('instance_attributes')} (instance_id, key, value, created_at)
    SELECT i.instance_id, 'customer', '"c' || i.created_at % 2000 || '"', i.created_at FROM ${table('instances')} i`);
  await run(`INSERT INTO ${table('instance_attributes')} (instance_id, key, value, created_at)
    SELECT i.instance_id, 'region', '"eu"', i.created_at FROM ${table('instances')} i WHERE i.created_at % 4 = 0`);
}

async function expected(filter: InstanceFilter, orderBy: InstanceOrder, descending: boolean): Promise<readonly unknown[]> {
  const column = { id: 'instance_id', createdAt: 'created_at', endedAt: 'ended_at' }[orderBy];
  const direction = descending ? 'DESC' : 'ASC';
  const ended = orderBy === 'endedAt' ? ' AND ended_at IS NOT NULL' : '';
  const rows = await run(`SELECT instance_id FROM "${schema}".instances i WHERE ${toCondition(filter, ATTRIBUTES)}${ended}
    ORDER BY ${column} ${direction}, instance_id ${direction} LIMIT ${PAGES * LIMIT}`);
  return rows.map((row) => row['instance_id']);
}

/** Rows that plans read, and whether one of them was not found by an index. */
function costOf(plans: readonly Told[]): { readonly rows: number; readonly scans: readonly string[] } {
  const nodes = plans.flatMap(({ Plan }) => nodesOf(Plan)).filter((node) => node['Relation Name'] !== undefined);
  const rows = nodes.reduce(
    (sum, node) => sum + ((node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0)) * (node['Actual Loops'] ?? 1),
    0,
  );
  return { rows, scans: nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name'] ?? '') };
}

describe.each([{ phase: 'by plans for a new store' }, { phase: 'by plans that know the store' }])('$phase', ({ phase }) => {
  beforeAll(async () => {
    if (phase !== 'by plans for a new store') {
      await run(`ANALYZE "${schema}".instances; ANALYZE "${schema}".instance_attributes`);
      return;
    }
    pool = explainingPool(told);
    provider = await PostgresProvider.connect({ pool, schema });
    const tables = await run(
      `SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = '"${schema}"'::regnamespace`,
    );
    for (const { name } of tables) await run(`ALTER TABLE ${String(name)} SET (autovacuum_enabled = off)`);
    await fill();
  }, 240_000);

  test.each(Object.entries(LIST_FILTERS))('%s: in every order, and few rows are looked at', { timeout: 120_000 }, async (_, filter) => {
    for (const orderBy of LIST_ORDERS) {
      for (const descending of [false, true]) {
        const wanted = await expected(filter, orderBy, descending);
        const found: string[] = [];
        let after: ListPosition | null = null;
        do {
          told.length = 0;
          const page: Awaited<ReturnType<PostgresProvider['listInstances']>> = await provider.listInstances(
            listQuery({ filter, orderBy, descending, after, limit: Math.min(LIMIT, PAGES * LIMIT - found.length) }),
          );
          const { rows, scans } = costOf(told);
          expect(scans).toEqual([]);
          expect(told.length).toBeGreaterThan(0);
          expect(rows, `${orderBy} ${descending}`).toBeLessThan(MAX_READ);
          found.push(...page.records.map(({ instanceId }) => instanceId));
          after = page.next;
        } while (after !== null && found.length < PAGES * LIMIT);
        expect(found, `${orderBy} ${descending}`).toEqual(wanted);
      }
    }
  });
});

afterAll(async () => {
  await provider.close();
  await pool.end();
  await dropSchema(postgresUrl(), schema);
});
