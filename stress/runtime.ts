// The runtime of all stress runs, in host processes and in this one. Neighbours: host.ts, modes/local.ts.
import { Runtime, type Provider, type RuntimeOptions } from 'duraloom';

/** What every runtime is given. */
export type StressRuntimeOptions = {
  readonly replayThreads: number;
  readonly activityThreads: number;
  /** All leases, in milliseconds. */
  readonly lockMs: number;
};

/**
 * Starts a runtime with the code of the stress runs.
 *
 * @param provider - its store
 * @param options - threads and leases
 * @param more - what else is to be different
 */
export function startRuntime(
  provider: Provider,
  { replayThreads, activityThreads, lockMs }: StressRuntimeOptions,
  more: Partial<RuntimeOptions> = {},
): Promise<Runtime> {
  return Runtime.start({
    provider,
    orchestrations: new URL('./orchestrations.ts', import.meta.url),
    activities: new URL('./activities.ts', import.meta.url),
    replayThreads,
    activityThreads,
    orchestrationLockMs: lockMs,
    activityLockMs: lockMs,
    sessionLeaseMs: lockMs,
    // Each job with a session has one of its own: there must be room for all, and none is kept for long.
    maxSessions: 10_000,
    sessionIdleMs: 1000,
    retryBackoff: { initialMs: 50, maximumMs: 500 },
    // A kill charges an attempt to whatever was in flight; being unlucky many times in a row is no poison.
    maxAttempts: 1000,
    ...more,
  });
}
