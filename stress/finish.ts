// The end of every mode: one more host finishes what is left, then everything in the file is checked. Neighbours: modes/*.ts, invariants.ts.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { checkInvariants, listAll, type Census } from './invariants.ts';
import type { HostProcess } from './host-process.ts';
import type { Settings } from './options.ts';
import { parseJob } from './workload.ts';
import type { Workspace } from './workspace.ts';

/** Leases of the hosts, in milliseconds: short, so that a run sees many takeovers. */
export const LOCK_MS = 500;

/** How long the last host may take, in milliseconds: without progress for this long it is stuck. */
const STUCK_MS = 60_000;

/** Resolves when a host has finished, or has made no progress for too long: then it is killed. Returns what is wrong. */
export async function awaitFinish(host: HostProcess, what: string): Promise<readonly string[]> {
  const clock = new AbortController();
  const isStuck = pause(STUCK_MS, true, { signal: clock.signal }).catch(() => false);
  const stuck = await Promise.race([isStuck, host.ended.then(() => false)]);
  clock.abort();
  if (stuck) host.signal('SIGKILL');
  const { code, signal } = await host.ended;
  if (stuck) return [`${what} did not finish within ${STUCK_MS / 1000} s: something is stuck`];
  if (host.report === null) return [`${what} ended by itself: code ${String(code)}, signal ${String(signal)}`];
  return host.report.violations;
}

/** Lets one more host finish everything, and checks all that is in the file. */
export async function finishAndCheck(
  workspace: Workspace,
  settings: Settings,
  acknowledged: Iterable<string>,
): Promise<{ readonly violations: readonly string[]; readonly census: Census; readonly latency: RecordableHistogram }> {
  const { seed, replayThreads, activityThreads } = settings;
  const last = workspace.startHost({
    prefix: 'last',
    seed,
    kinds: ['chain'],
    inFlight: 1,
    jobs: 0,
    replayThreads,
    activityThreads,
    lockMs: LOCK_MS,
    dieAt: null,
  });
  last.finish({ drain: true });
  const unfinished = await awaitFinish(last, 'the last host');
  return workspace.withStore(async (provider, client) => {
    const { violations, census } = await checkInvariants(provider, client, { acknowledged, settled: new Set(), final: true });
    const latency = createHistogram();
    for await (const { instanceId, createdAt, updatedAt, status } of listAll(client)) {
      const durationUs = (updatedAt.getTime() - createdAt.getTime()) * 1000;
      if (status === 'Completed' && parseJob(instanceId) !== null) latency.record(Math.max(1, durationUs));
    }
    return { violations: [...unfinished, ...violations], census, latency };
  });
}
