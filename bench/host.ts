// A host of the library as a user would write it: a store, a runtime with the bench's modules, a client. Used by the end-to-end rows.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Runtime, type Provider, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { PostgresProvider } from 'duraloom/postgres';
import { SqliteProvider } from 'duraloom/sqlite';
import type { BenchOptions } from './options.ts';
import { serverUrl, withSchema, type Schema } from './postgres.ts';

/** Runs the part of a row that its figures are about: this is what a profile shows. Without a profile it only calls `run`. */
export type Measured = <Result>(orchestrations: number, run: () => Promise<Result>) => Promise<Result>;

/** What a row needs to run: options, a folder of its own that is removed afterwards, and where the measured part begins and ends. */
export type RowTask = { readonly options: BenchOptions; readonly folder: string; readonly measured: Measured };

/** An open store. */
export type Store = {
  readonly provider: Provider;
  /** Transactions so far; null: the store has none. */
  readonly commits: () => number | null;
  /** Answers of a server so far, also to what was run again; null: there is no server. */
  readonly roundTrips: () => number | null;
};

/** A running host. */
export type Host = Store & { readonly runtime: Runtime; readonly client: Client };

/** How a host differs from the options of the run. */
export type HostExtras = Partial<RuntimeOptions> & {
  /** Folder of the database. */
  readonly folder?: string;
  /** Schema of the database, which others share; by default one of its own. */
  readonly schema?: string;
};

/** File of the database within its folder. */
export const DATABASE = 'duraloom.db';
/** Waiting longer than this for the last turns means that something is stuck. */
const SHUTDOWN_MS = 5_000;
/** How often `waitFor` looks. */
const LOOK_MS = 2;
/** Longer than any row may take for one step: then something is stuck, and an error is better than a bench that hangs. */
const STUCK_MS = 300_000;

/**
 * Opens the store of the options and closes it.
 *
 * @param task - options, folder, and the schema where others share it
 * @param use - what to do
 * @returns what `use` returned
 */
export async function withStore<Result>(
  { options, folder, schema }: Pick<RowTask, 'options' | 'folder'> & Pick<HostExtras, 'schema'>,
  use: (store: Store) => Promise<Result>,
): Promise<Result> {
  const { store, sync, maxCommitMs } = options;
  if (store === 'postgres') {
    const open = (where: Schema): Promise<Result> => withPostgres(where, use);
    return schema === undefined ? withSchema(open) : open({ connectionString: serverUrl(), schema });
  }
  if (store === 'memory') {
    const provider = new MemoryProvider();
    try {
      return await use({ provider, commits: () => null, roundTrips: () => null });
    } finally {
      await provider.close();
    }
  }
  const provider = await SqliteProvider.open(store === 'file' ? join(folder, DATABASE) : ':memory:', {
    synchronous: sync,
    ...(maxCommitMs !== null && { maxCommitMs }),
  });
  try {
    return await use({ provider, commits: () => provider.commitStats.commits, roundTrips: () => null });
  } finally {
    await provider.close();
  }
}

async function withPostgres<Result>(where: Schema, use: (store: Store) => Promise<Result>): Promise<Result> {
  const provider = await PostgresProvider.connect(where);
  const roundTrips = (): number => {
    const { commits, busyRetries } = provider.stats();
    return commits + busyRetries;
  };
  try {
    return await use({ provider, commits: () => provider.stats().commits, roundTrips });
  } finally {
    await provider.close();
  }
}

/**
 * Runs something on a host and closes it.
 *
 * @param task - options and folder
 * @param use - what to do
 * @param extras - further options of the runtime, another folder
 * @returns what `use` returned
 */
export async function withHost<Result>(
  task: Pick<RowTask, 'options' | 'folder'>,
  use: (host: Host) => Promise<Result>,
  { folder = task.folder, schema, ...extra }: HostExtras = {},
): Promise<Result> {
  const { threads, slots, turnsPerThread, cacheMib, autoTune } = task.options;
  return withStore({ options: task.options, folder, ...(schema !== undefined && { schema }) }, async (store) => {
    const runtime = await Runtime.start({
      provider: store.provider,
      orchestrations: new URL('./orchestrations.ts', import.meta.url),
      activities: new URL('./activities.ts', import.meta.url),
      replayThreads: threads.replay,
      activityThreads: threads.activity,
      ...(slots !== null && { activitiesPerThread: slots }),
      ...(turnsPerThread !== null && { turnsPerThread }),
      ...(cacheMib !== null && { stickyCacheMb: cacheMib }),
      autoTune,
      ...extra,
    });
    try {
      return await use({ ...store, runtime, client: new Client(store.provider) });
    } finally {
      await runtime.shutdown({ timeoutMs: SHUTDOWN_MS });
    }
  });
}

/** Collects garbage of this thread, so that a measurement does not pay for the one before. Row processes run with `--expose-gc`. */
export function collectGarbage(): void {
  globalThis.gc?.();
}

/**
 * Waits until something is so, looking every few milliseconds.
 *
 * @param what - for the error
 * @param isSo - looks; cheap
 */
export async function waitFor(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const startedMs = performance.now();
  while (!(await isSo())) {
    if (performance.now() - startedMs > STUCK_MS) throw new TypeError(`waited ${STUCK_MS / 1_000} s in vain for ${what}`);
    await delay(LOOK_MS);
  }
}

/**
 * Throws when results differ from what is expected.
 *
 * @param results - of orchestrations
 * @param expected - what each of them should be
 */
export function assertResults(results: readonly unknown[], expected: (index: number) => unknown): void {
  const wrong = results.findIndex((result, index) => result !== expected(index));
  if (wrong !== -1) throw new TypeError(`expected the result ${String(expected(wrong))}, got ${String(results[wrong])}`);
}
