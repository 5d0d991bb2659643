// What the modes share that run in this process: a store, a runtime, loads, and the check in the end. Neighbours: faults, threads, soak, clock.
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type Clock, type Provider, type Runtime, type RuntimeOptions } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { checkAll } from '../finish.ts';
import type { Census, CheckOptions } from '../invariants.ts';
import type { Load } from '../load.ts';
import type { Settings } from '../options.ts';
import { startRuntime } from '../runtime.ts';
import type { Workspace } from '../workspace.ts';

/** A runtime in this process. */
export type LocalHost = { readonly provider: Provider; readonly client: Client; readonly runtime: Runtime };

/** What differs between modes. */
export type LocalOptions<Store extends Provider> = {
  readonly lockMs: number;
  /** Of store and runtime. @default the machine's clock */
  readonly clock?: Clock;
  /** Puts something around the store. */
  readonly wrap: (store: SqliteProvider) => Store;
  readonly runtime?: Partial<RuntimeOptions>;
};

/** Opens the store and starts a runtime on it. */
export async function startLocalHost<Store extends Provider>(
  workspace: Workspace,
  settings: Settings,
  { lockMs, clock, wrap, runtime: more }: LocalOptions<Store>,
): Promise<LocalHost & { readonly provider: Store }> {
  const given = clock === undefined ? {} : { clock };
  const provider = wrap(await SqliteProvider.open(workspace.file, given));
  const runtime = await startRuntime(provider, { ...settings, lockMs }, { ...given, ...more });
  return { provider, client: new Client(provider), runtime };
}

/** For modes without anything around the store. */
export const bare = (store: SqliteProvider): SqliteProvider => store;

/** How often a wait looks whether it is over, in milliseconds. */
const LOOK_MS = 50;

/**
 * Waits until a runtime has done some work: what disturbs it is to disturb work, also on a busy machine.
 *
 * @param runtime - whose
 * @param steps - turns and activities
 * @param byMs - when not to wait any longer, on the monotonic clock
 */
export async function awaitSteps(runtime: Runtime, steps: number, byMs: number): Promise<void> {
  const done = (): number => runtime.stats().turnsCommitted + runtime.stats().activitiesCompleted;
  for (const goal = done() + steps; done() < goal && performance.now() < byMs;) await pause(LOOK_MS);
}

/** When a mode that runs for a time is to end, on the monotonic clock, in milliseconds. */
export function endOf({ minutes }: Settings): number {
  return performance.now() + minutes * 60_000;
}

/**
 * Waits for the end of all loads, stops the runtime and checks all that is in the file.
 *
 * @param options - `byMs`: when jobs that have not ended are stuck, on the monotonic clock
 */
export async function finishLocally(
  { provider, runtime }: LocalHost,
  workspace: Workspace,
  options: Omit<CheckOptions, 'final'> & { readonly loads: readonly Load[]; readonly byMs: number },
): Promise<{ readonly violations: readonly string[]; readonly census: Census }> {
  const { loads, byMs, ...check } = options;
  const limit = new AbortController();
  const late = pause(Math.max(0, byMs - performance.now()), undefined, { signal: limit.signal }).catch(() => undefined);
  await Promise.race([late, Promise.all(loads.map(({ done }) => done))]);
  limit.abort();
  const stuck = loads.flatMap((load) => load.running().map((instanceId) => `${instanceId} does not end`));
  // Jobs that are stuck fail when the store is closed: that is no news.
  const wrong = loads.flatMap((load) => [...load.violations]);
  await runtime.shutdown();
  await provider.close();
  const { violations, census } = await checkAll(workspace, check);
  return { violations: [...wrong, ...stuck, ...violations], census };
}
