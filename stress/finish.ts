// The end of every mode: one more host finishes what is left, then everything in the store is checked. Neighbours: modes/*.ts, invariants.ts.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { HostProcess } from './host-process.ts';
import { checkFile, checkInvariants, listAll, type Census, type CheckOptions } from './invariants.ts';
import type { Settings } from './options.ts';
import { parseJob } from './workload.ts';
import type { Workspace } from './workspace.ts';

/** Leases of the hosts, in milliseconds: short, so that a run sees many takeovers. */
export const LOCK_MS = 500;

/** A host that has nothing more to show after this time is stuck, in milliseconds. */
const STUCK_MS = 60_000;
/** One that always has, and never ends, is so after this time. */
const ENDLESS_MS = 15 * 60_000;

/** Resolves when a host has ended; one that is stuck is killed. Returns what is wrong. */
export async function awaitFinish(host: HostProcess, what: string): Promise<readonly string[]> {
  const ended = host.ended.then(() => true);
  const endlessMs = performance.now() + ENDLESS_MS;
  for (let progress = -1; !(await Promise.race([ended, pause(STUCK_MS, false, { ref: false })])); progress = host.state.progress) {
    if (host.state.progress !== progress && performance.now() < endlessMs) continue;
    host.signal('SIGKILL');
    await ended;
    return [`${what} does not finish: something is stuck`];
  }
  const { code, signal } = await host.ended;
  return host.report === null ? [`${what} ended by itself: code ${String(code)}, signal ${String(signal)}`] : host.report.violations;
}

/** Checks all that is in the store, when everything must have ended. */
export async function checkAll(
  workspace: Workspace,
  options: Omit<CheckOptions, 'final'>,
): Promise<{ readonly violations: readonly string[]; readonly census: Census }> {
  const { violations, census } = await workspace.withStore((provider, client) =>
    checkInvariants(provider, client, { ...options, final: true }),
  );
  // A server says itself what is damaged, when it is read.
  const damage = workspace.store.kind === 'file' ? checkFile(workspace.store.file) : [];
  return { violations: [...violations, ...damage], census };
}

/** Lets one more host finish everything, and checks all that is in the store. */
export async function finishAndCheck(
  workspace: Workspace,
  { seed, replayThreads, activityThreads }: Settings,
  options: Omit<CheckOptions, 'final'>,
): Promise<{ readonly violations: readonly string[]; readonly census: Census; readonly latency: RecordableHistogram }> {
  const last = workspace.startHost({
    prefix: 'last',
    seed,
    kinds: ['chain'],
    inFlight: 0,
    replayThreads,
    activityThreads,
    lockMs: LOCK_MS,
    dieAt: null,
  });
  last.finish({ drain: true });
  const unfinished = await awaitFinish(last, 'the last host');
  const { violations, census } = await checkAll(workspace, options);
  return { violations: [...unfinished, ...violations], census, latency: await workspace.withStore((_, client) => readLatency(client)) };
}

/** How long the jobs took by the times in the store, in microseconds, however many processes they met. */
async function readLatency(client: Parameters<typeof listAll>[0]): Promise<RecordableHistogram> {
  const latency = createHistogram();
  for await (const { instanceId, createdAt, updatedAt, status } of listAll(client)) {
    const durationUs = (updatedAt.getTime() - createdAt.getTime()) * 1000;
    if (status === 'Completed' && parseJob(instanceId) !== null) latency.record(Math.max(1, durationUs));
  }
  return latency;
}
