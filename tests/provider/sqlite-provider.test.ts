// The SQLite provider keeps the contract: the same cases as every provider, on a real file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { providerCases } from './provider-cases.ts';

describe('sqlite provider', () => {
  test.for(providerCases)('$contract: $name', async ({ run }) => {
    const folder = mkdtempSync(join(tmpdir(), 'duraloom-provider-'));
    const clock = new SimulatedClock(1_700_000_000_000);
    const provider = await SqliteProvider.open(join(folder, 'store.db'), { clock });
    try {
      await run({ provider, clock });
    } finally {
      await provider.close();
      rmSync(folder, { recursive: true });
    }
  });
});
