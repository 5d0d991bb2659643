// What the modes share that run in this process: a store, a runtime, loads, and the check in the end. Neighbours: faults, threads, soak, clock.
import { Client, type Clock, type Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { intercepted, type Hook } from '../intercept.ts';
import { checkInvariants, type Census } from '../invariants.ts';
import type { Settings } from '../options.ts';
import { startRuntime } from '../runtime.ts';
import type { Workspace } from '../workspace.ts';

/** A runtime in this process. */
export type LocalHost = { readonly provider: SqliteProvider; readonly client: Client; readonly runtime: Runtime };

/** Opens the store and starts a runtime on it. */
export async function startLocalHost(
  workspace: Workspace,
  settings: Settings,
  options: { readonly lockMs: number; readonly clock?: Clock; readonly hook?: Hook },
): Promise<LocalHost> {
  const { replayThreads, activityThreads } = settings;
  const { lockMs, clock, hook } = options;
  const given = clock === undefined ? {} : { clock };
  const store = await SqliteProvider.open(workspace.file, given);
  const provider = hook === undefined ? store : intercepted(store, hook);
  const runtime = await startRuntime({ provider, replayThreads, activityThreads, lockMs, ...given });
  return { provider, client: new Client(provider), runtime };
}

/** Stops the runtime and checks all that is in the file. */
export async function stopAndCheck(
  { provider, runtime }: LocalHost,
  workspace: Workspace,
  options: { readonly acknowledged: Iterable<string>; readonly sampleEvery?: number },
): Promise<{ readonly violations: readonly string[]; readonly census: Census }> {
  await runtime.shutdown();
  await provider.close();
  return workspace.withStore((store, client) => checkInvariants(store, client, { ...options, settled: new Set(), final: true }));
}

/** When a mode that runs for a time is to end, on the monotonic clock, in milliseconds. */
export function endOf({ minutes }: Settings): number {
  return performance.now() + minutes * 60_000;
}

/** Resolves with what is stuck: jobs that have not ended long after the load is over; none when all have. */
export async function awaitLoads(
  loads: readonly { readonly done: Promise<void>; olderThan(ageMs: number): readonly string[] }[],
  limitMs: number,
): Promise<readonly string[]> {
  const limit = new AbortController();
  const { setTimeout: pause } = await import('node:timers/promises');
  const isLate = pause(limitMs, true, { signal: limit.signal }).catch(() => false);
  const late = await Promise.race([isLate, Promise.all(loads.map(({ done }) => done)).then(() => false)]);
  limit.abort();
  if (!late) return [];
  return loads
    .flatMap((load) => load.olderThan(0))
    .map((instanceId) => `${instanceId} has not ended ${limitMs / 1000} s after the last start`);
}
