// The PostgreSQL provider keeps the storage contract, on one table each and on partitions.
import { conformanceCases, runConformanceCase } from 'duraloom/conformance';
import { afterAll, beforeAll, describe, inject, test } from 'vitest';
import { makePostgresTarget, type PostgresTarget } from '../../conformance/postgres-target.ts';
import { SkipReport } from '../support/skip-report.ts';

/** Batches of thousands take seconds on a busy machine. */
const CASE_TIMEOUT_MS = 60_000;
/** On partitions: what finds its rows in another way there. The rest is the same code. */
const PARTITIONED = new Set([
  'ready order',
  'work items',
  'instance locks',
  'tags',
  'sessions',
  'optimistic turns',
  'batches',
  'listing',
  'search attributes',
  'delete',
  'executions',
  'waiting counts',
  'peek',
  'queue edits',
  'export and import',
]);

describe.each([
  { name: 'postgres provider', partitions: 1, cases: conformanceCases },
  { name: 'postgres provider, 8 partitions', partitions: 8, cases: conformanceCases.filter(({ contract }) => PARTITIONED.has(contract)) },
])('$name', ({ name, partitions, cases }) => {
  const skips = new SkipReport(name, []);
  let server: PostgresTarget;
  beforeAll(() => {
    server = makePostgresTarget(inject('postgresUrl'), { partitions });
  });
  afterAll(async () => {
    await server.close();
    skips.print();
  });

  test.for(cases)('$contract: $name', { timeout: 2 * CASE_TIMEOUT_MS }, async (conformanceCase, { skip }) => {
    const result = await runConformanceCase(server.target, conformanceCase, CASE_TIMEOUT_MS);
    if (result.outcome === 'failed') throw result.error;
    if (result.outcome === 'skipped') skip(skips.note(result));
  });
});
