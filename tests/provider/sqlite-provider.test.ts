// The SQLite provider keeps the storage contract on a file.
import { conformanceCases, runConformanceCase } from 'duraloom/conformance';
import { afterAll, describe, test } from 'vitest';
import { sqlite } from '../../src/surfaces/cli/conformance-targets.ts';
import { SkipReport } from '../support/skip-report.ts';

describe('sqlite provider', () => {
  const skips = new SkipReport('sqlite provider', []);
  afterAll(() => skips.print());

  test.for(conformanceCases)('$contract: $name', async (conformanceCase, { skip }) => {
    const result = await runConformanceCase(sqlite, conformanceCase);
    if (result.outcome === 'failed') throw result.error;
    if (result.outcome === 'skipped') skip(skips.note(result));
  });
});
