// The SQLite provider keeps the storage contract without a file.
import { conformanceCases, runConformanceCase } from 'duraloom/conformance';
import { afterAll, describe, test } from 'vitest';
import { sqliteMemory } from '../../src/surfaces/cli/conformance-targets.ts';
import { SkipReport } from '../support/skip-report.ts';

describe('sqlite provider without a file', () => {
  const skips = new SkipReport('sqlite provider without a file', ['restarts', 'several users of one store', 'damaged histories']);
  afterAll(() => skips.print());

  test.for(conformanceCases)('$contract: $name', async (conformanceCase, { skip }) => {
    const result = await runConformanceCase(sqliteMemory, conformanceCase);
    if (result.outcome === 'failed') throw result.error;
    if (result.outcome === 'skipped') skip(skips.note(result));
  });
});
