// The stores that are compared with the model. Neighbours: model.test.ts, regressions.test.ts.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { JournalProvider } from '../../../examples/own-provider/journal-provider.ts';
import { MemoryProvider } from '../../../src/provider/memory/memory-provider.ts';
import type { SimulatedClock } from '../../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../../src/provider/sqlite/sqlite-provider.ts';
import { PostgresRuns } from './postgres-store.ts';
import { emptyDatabase } from '../../../src/surfaces/cli/conformance-targets.ts';
import type { StoreKind } from './world.ts';

const postgres = new PostgresRuns();

async function openSqlite(file: string, clock: SimulatedClock): Promise<SqliteProvider> {
  if (!existsSync(file)) await writeFile(file, await emptyDatabase());
  return await SqliteProvider.open(file, { clock, synchronous: 'NORMAL' });
}

/** All of them, each in each way in which it can be used. */
export const STORES: readonly StoreKind[] = [
  { name: 'memory', clients: 1, survives: false, open: async (_file, clock) => new MemoryProvider({ clock }) },
  { name: 'sqlite', clients: 1, survives: true, open: openSqlite },
  { name: 'sqlite, two clients', clients: 2, survives: true, open: openSqlite },
  { name: 'postgres', clients: 1, survives: true, oneIn: 15, hasLanes: true, open: (file, clock) => postgres.open(file, clock) },
  {
    name: 'postgres, two clients',
    clients: 2,
    survives: true,
    oneIn: 15,
    hasLanes: true,
    open: (file, clock) => postgres.open(file, clock),
  },
  {
    name: 'sqlite in memory',
    clients: 1,
    survives: false,
    open: (_file, clock) => SqliteProvider.open(':memory:', { clock }),
  },
  {
    name: 'the journal of the provider guide',
    clients: 1,
    survives: true,
    open: async (file, clock) => new JournalProvider(file, { clock, sync: false }),
  },
];

/** Lets go what the stores share; call it after all tests of a file. */
export function closeStores(): Promise<void> {
  return postgres.close();
}
