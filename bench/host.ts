// A host of the library as a user would write it: a store, a runtime with the bench's modules, a client. Used by the end-to-end rows.
import { join } from 'node:path';
import { Client, Runtime, type RuntimeOptions } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import type { BenchOptions } from './options.ts';

/** What a row needs to run: options, and a folder of its own that is removed afterwards. */
export type RowTask = { readonly options: BenchOptions; readonly folder: string };

/** A running host. */
export type Host = { readonly provider: SqliteProvider; readonly runtime: Runtime; readonly client: Client };

/** Waiting longer than this for the last turns means that something is stuck. */
const SHUTDOWN_MS = 5_000;

/**
 * Runs something on a host and closes it.
 *
 * @param task - options and folder
 * @param use - what to do
 * @param extra - further options of the runtime
 * @returns what `use` returned
 */
export async function withHost<Result>(
  { options, folder }: RowTask,
  use: (host: Host) => Promise<Result>,
  extra: Partial<RuntimeOptions> = {},
): Promise<Result> {
  const provider = await SqliteProvider.open(join(folder, 'duraloom.db'), { synchronous: options.sync });
  try {
    const runtime = await Runtime.start({
      provider,
      orchestrations: new URL('./orchestrations.ts', import.meta.url),
      activities: new URL('./activities.ts', import.meta.url),
      replayThreads: options.replayThreads,
      activityThreads: options.activityThreads,
      ...extra,
    });
    try {
      return await use({ provider, runtime, client: new Client(provider) });
    } finally {
      await runtime.shutdown({ timeoutMs: SHUTDOWN_MS });
    }
  } finally {
    await provider.close();
  }
}

/** Collects garbage of this thread, so that a measurement does not pay for the one before. Row processes run with `--expose-gc`. */
export function collectGarbage(): void {
  globalThis.gc?.();
}
