// The runtime of all stress runs, in host processes and in this one. Neighbours: host.ts, the modes that run in this process.
import { Runtime, type Clock, type Provider } from 'duraloom';

/** What differs between runs. */
export type StressRuntimeOptions = {
  readonly provider: Provider;
  readonly replayThreads: number;
  readonly activityThreads: number;
  readonly lockMs: number;
  readonly clock?: Clock;
};

/** Starts a runtime with the code of the stress runs. */
export function startRuntime({ provider, replayThreads, activityThreads, lockMs, clock }: StressRuntimeOptions): Promise<Runtime> {
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
    ...(clock === undefined ? {} : { clock }),
  });
}
