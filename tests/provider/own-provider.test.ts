// The provider of docs/provider-guide.md keeps the storage contract.
import { conformanceCases, runConformanceCase } from 'duraloom/conformance';
import { afterAll, describe, test } from 'vitest';
import { journal } from '../../examples/own-provider/target.ts';
import { SkipReport } from '../support/skip-report.ts';

describe('provider of the guide', () => {
  const skips = new SkipReport('provider of the guide', ['several users of one store', 'damaged histories']);
  afterAll(() => skips.print());

  test.for(conformanceCases)('$contract: $name', async (conformanceCase, { skip }) => {
    const result = await runConformanceCase(journal, conformanceCase);
    if (result.outcome === 'failed') throw result.error;
    if (result.outcome === 'skipped') skip(skips.note(result));
  });
});
