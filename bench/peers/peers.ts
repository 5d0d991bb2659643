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
  /** Whether an activity goes through a queue, from which any worker may take it, or runs in the call of the workflow that waits for it. */
  readonly steps: 'queued' | 'inline';
  readonly knobs: Knobs;
  /** Other knobs for single workloads, where another setting is faster. */
  readonly knobsOf?: Readonly<Record<string, Knobs>>;
  /** Sizes of a full run that differ, because it is slow. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Runs only when it is asked for by its full name: a variant of one that always runs. */
  readonly onRequest?: true;
};

const FILE_FULL = 'file, fsync per commit';
const FILE_NORMAL = 'file, no fsync per commit';
const POSTGRES = 'PostgreSQL, fsync per commit';
const NONE = 'none';

/** What the others are compared with. */
export const DURALOOM: Peer = {
  key: 'duraloom',
  driver: 'duraloom.ts',
  package: null,
  store: 'file',
  durability: FILE_FULL,
  steps: 'queued',
  knobs: { starters: 1_000, replayThreads: 1, activityThreads: 1, activitiesPerThread: 64 },
  knobsOf: { W1d: { activitiesPerThread: 1_024 }, W5: { activityThreads: 2 } },
};

/** The others, and duraloom on PostgreSQL beside those on PostgreSQL. */
export const PEERS: readonly Peer[] = [
  {
    ...DURALOOM,
    key: 'duraloom/postgres',
    store: 'postgres',
    durability: POSTGRES,
    sizes: { W1: 2_000, W1d: 2_000, W2: 500, W4: 4_000, W6: 4_000 },
  },
  {
    key: 'duroxide/sqlite',
    driver: 'duroxide.mjs',
    package: 'duroxide-linux-x64-gnu',
    store: 'file',
    durability: FILE_NORMAL,
    steps: 'queued',
    knobs: { starters: 64, orchestrations: 4, workers: 4 },
    knobsOf: { W1d: { orchestrations: 8, workers: 16 }, W2: { pollMs: 1 }, W3: { pollMs: 1 } },
    sizes: { W1: 250, W1d: 200, W2: 200, W2c: 60, W3: 60, W4: 200 },
  },
  {
    key: 'duroxide/memory',
    driver: 'duroxide.mjs',
    package: 'duroxide-linux-x64-gnu',
    store: 'memory',
    durability: NONE,
    steps: 'queued',
    knobs: { starters: 64, orchestrations: 1, workers: 1 },
    knobsOf: { W1d: { orchestrations: 2, workers: 16, pollMs: 1 }, W2: { pollMs: 1 }, W3: { pollMs: 1 } },
    sizes: { W1: 250, W1d: 200, W2: 200, W2c: 60, W3: 60, W4: 200 },
  },
  {
    key: 'openworkflow/sqlite',
    driver: 'openworkflow.mjs',
    package: 'openworkflow',
    store: 'file',
    durability: FILE_FULL,
    steps: 'inline',
    knobs: { starters: 64, concurrency: 64 },
    sizes: { W1: 500, W1d: 500, W3: 20, W4: 400, W6: 2_000 },
  },
  {
    key: 'openworkflow/memory',
    driver: 'openworkflow.mjs',
    package: 'openworkflow',
    store: 'memory',
    durability: NONE,
    steps: 'inline',
    knobs: { starters: 64, concurrency: 256 },
    sizes: { W1: 1_000, W1d: 1_000, W3: 20, W4: 800 },
  },
  {
    key: 'openworkflow/postgres',
    driver: 'openworkflow.mjs',
    package: 'openworkflow',
    store: 'postgres',
    durability: POSTGRES,
    steps: 'inline',
    knobs: { starters: 64, concurrency: 64 },
    sizes: { W1: 500, W1d: 500, W3: 20, W4: 400, W6: 2_000 },
  },
  {
    key: 'dbos/postgres',
    driver: 'dbos.mjs',
    package: '@dbos-inc/dbos-sdk',
    store: 'postgres',
    durability: POSTGRES,
    steps: 'inline',
    knobs: { starters: 64, pool: 10 },
    sizes: { W1: 500, W1d: 500, W4: 600, W6: 600 },
  },
  {
    key: 'dbos/postgres-queue',
    driver: 'dbos.mjs',
    package: '@dbos-inc/dbos-sdk',
    store: 'postgres',
    durability: POSTGRES,
    steps: 'inline',
    knobs: { starters: 64, pool: 10, queue: 20_000 },
    sizes: { W1: 500, W1d: 500, W3: 3, W4: 1_000, W6: 2_000 },
    onRequest: true,
  },
  {
    key: 'pg-workflows/postgres',
    driver: 'pg-workflows.mjs',
    package: 'pg-workflows',
    store: 'postgres',
    durability: POSTGRES,
    steps: 'inline',
    knobs: { starters: 64, workers: 200, pool: 32 },
    sizes: { W1: 300, W1d: 300, W2: 300, W3: 10, W4: 300, W6: 600 },
  },
  {
    key: 'restate/server',
    driver: 'restate.mjs',
    package: '@restatedev/restate-server',
    store: 'file',
    durability: 'own server, RocksDB, fsync per batch',
    steps: 'inline',
    knobs: { starters: 64, partitions: 24 },
    sizes: { W1: 500, W1d: 500, W2: 500, W4: 1_000, W6: 1_000 },
  },
  {
    key: 'effect/sqlite',
    driver: 'effect.mjs',
    package: '@effect/workflow',
    store: 'file',
    durability: FILE_NORMAL,
    steps: 'inline',
    knobs: { starters: 64 },
    sizes: { W1: 150, W1d: 150, W2: 300, W2c: 60, W4: 200, W6: 200 },
  },
  {
    key: 'effect/memory',
    driver: 'effect.mjs',
    package: '@effect/workflow',
    store: 'memory',
    durability: NONE,
    steps: 'inline',
    knobs: { starters: 64 },
    sizes: { W1: 600, W1d: 600, W4: 1_500, W6: 1_000 },
  },
  {
    key: 'effect/postgres',
    driver: 'effect.mjs',
    package: '@effect/workflow',
    store: 'postgres',
    durability: POSTGRES,
    steps: 'inline',
    knobs: { starters: 64, pool: 10 },
    sizes: { W1: 200, W1d: 200, W2: 300, W2c: 100, W4: 300, W6: 500 },
    onRequest: true,
  },
  {
    key: 'durabletask-js/memory',
    driver: 'durabletask.mjs',
    package: '@microsoft/durabletask-js',
    store: 'memory',
    durability: NONE,
    steps: 'queued',
    knobs: { starters: 64 },
    sizes: { W1d: 30 },
  },
  {
    key: 'resonate/memory',
    driver: 'resonate.mjs',
    package: '@resonatehq/sdk',
    store: 'memory',
    durability: NONE,
    steps: 'inline',
    knobs: { starters: 64 },
    sizes: { W1: 1_000, W1d: 1_000, W4: 2_000 },
  },
];
