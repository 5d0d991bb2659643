// The memory provider keeps the storage contract.
import { conformanceCases, runConformanceCase } from 'duraloom/conformance';
import { afterAll, describe, test } from 'vitest';
import { memory } from '../../src/surfaces/cli/conformance-targets.ts';
import { SkipReport } from '../support/skip-report.ts';

describe('memory provider', () => {
  const skips = new SkipReport('memory provider', ['restarts', 'several users of one store', 'damaged histories']);
  afterAll(() => skips.print());

  test.for(conformanceCases)('$contract: $name', async (conformanceCase, { skip }) => {
    const result = await runConformanceCase(memory, conformanceCase);
    if (result.outcome === 'failed') throw result.error;
    if (result.outcome === 'skipped') skip(skips.note(result));
  });
});
