// The stores that are compared with the model. Neighbours: model.test.ts, regressions.test.ts.
import { MemoryProvider } from '../../../src/provider/memory/memory-provider.ts';
import { SqliteProvider } from '../../../src/provider/sqlite/sqlite-provider.ts';
import type { StoreKind } from './world.ts';

/** All of them, each in each way in which it can be used. */
export const STORES: readonly StoreKind[] = [
  { name: 'memory', clients: 1, survives: false, open: async (_file, clock) => new MemoryProvider({ clock }) },
  { name: 'sqlite', clients: 1, survives: true, open: (file, clock) => SqliteProvider.open(file, { clock, synchronous: 'NORMAL' }) },
  {
    name: 'sqlite, two clients',
    clients: 2,
    survives: true,
    open: (file, clock) => SqliteProvider.open(file, { clock, synchronous: 'NORMAL' }),
  },
  { name: 'sqlite in memory', clients: 1, survives: false, open: (_file, clock) => SqliteProvider.open(':memory:', { clock }) },
];
