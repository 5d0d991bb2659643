// The runtimes, and the setting of each that was the fastest in a short sweep; README.md has the reasons. Neighbours: run.ts measures them,
// drivers/* open them.
import type { Knobs, Store } from './driver.ts';

/** One runtime on one store. */
export type Peer = {
  /** Name on the command line and in the table. */
  readonly key: string;
  /** File in drivers/. */
  readonly driver: string;
  /** Package whose version is shown; null: duraloom's own. */
  readonly package: string | null;
  readonly store: Store;
  /** What survives what. */
  readonly durability: string;
  readonly knobs: Knobs;
  /** Other knobs for single workloads, where another setting is faster. */
  readonly knobsOf?: Readonly<Record<string, Knobs>>;
  /** Sizes of a full run that differ, because it is slow. */
  readonly sizes?: Readonly<Record<string, number>>;
};

const FILE_FULL = 'file, fsync per commit';
const FILE_NORMAL = 'file, no fsync per commit';
const NONE = 'none';

/** What the others are compared with. */
export const DURALOOM: Peer = {
  key: 'duraloom',
  driver: 'duraloom.ts',
  package: null,
  store: 'file',
  durability: FILE_FULL,
  knobs: { starters: 1_000, replayThreads: 1, activityThreads: 1, activitiesPerThread: 64 },
  knobsOf: { W5: { activityThreads: 2 } },
};

/** The others. */
export const PEERS: readonly Peer[] = [
  {
    key: 'duroxide/sqlite',
    driver: 'duroxide.mjs',
    package: 'duroxide-linux-x64-gnu',
    store: 'file',
    durability: FILE_NORMAL,
    knobs: { starters: 64, orchestrations: 4, workers: 4 },
    knobsOf: { W2: { pollMs: 1 }, W3: { pollMs: 1 } },
    sizes: { W1: 250, W1d: 200, W2: 300, W2c: 100, W3: 100, W4: 300 },
  },
  {
    key: 'duroxide/memory',
    driver: 'duroxide.mjs',
    package: 'duroxide-linux-x64-gnu',
    store: 'memory',
    durability: NONE,
    knobs: { starters: 64, orchestrations: 1, workers: 1 },
    knobsOf: { W2: { pollMs: 1 }, W3: { pollMs: 1 } },
    sizes: { W1: 250, W1d: 200, W2: 300, W2c: 100, W3: 100, W4: 300 },
  },
];
