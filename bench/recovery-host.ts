// A process of row W10: brings orchestrations into flight and waits to be killed, or completes what another one left. Neighbour: recovery.ts.
import { Client } from 'duraloom';
import { parseRecord } from '../src/types/codec.ts';
import { assertResults, waitFor, withHost, type Host, type HostExtras } from './host.ts';
import type { BenchOptions } from './options.ts';
import { fanOut } from './orchestrations.ts';
import { WIDTH } from './raw-ceiling.ts';

/** The argument. */
export type RecoveryTask = {
  readonly role: 'prepare' | 'recover';
  readonly options: BenchOptions;
  readonly folder: string;
  readonly count: number;
};

/** What it tells, in this order; 'inFlight' by the one that prepares. */
export type RecoveryReport = 'inFlight' | 'open' | 'complete';

/** How long what was leased to the dead process waits. */
const LEASES: HostExtras = { orchestrationLockMs: 1_000, activityLockMs: 1_000 };

const task = parseRecord(process.argv[2] ?? '{}') as RecoveryTask;
// A bench that was interrupted: there is nobody to recover for.
process.once('disconnect', () => process.exit(1));

const makeId = (_: unknown, index: number): string => `w10-${String(index).padStart(6, '0')}`;
const report = (what: RecoveryReport): Promise<void> =>
  new Promise((resolve) => {
    if (process.send === undefined) throw new TypeError('recovery-host.ts is started by bench/recovery.ts only: call npm run bench -- W10');
    process.send(what, undefined, undefined, () => resolve());
  });

async function prepare({ client, runtime }: Host): Promise<void> {
  const requests = Array.from({ length: task.count }, makeId).map((instanceId) => ({ instanceId, orchestration: fanOut, input: WIDTH }));
  await client.startOrchestrations(requests);
  await waitFor('the first turns', () => runtime.stats().turnsCommitted === task.count && runtime.stats().activitiesInFlight > 0);
  await report('inFlight');
  // Its threads keep the process alive until it is killed.
  await new Promise(() => undefined);
}

async function recover({ provider, runtime }: Host): Promise<void> {
  await report('open');
  // Results are awaited when they are nearly there: ten thousand waits would slow down what is measured.
  await waitFor('the activities', () => runtime.stats().activitiesCompleted >= task.count * WIDTH);
  const client = new Client(provider);
  const handles = Array.from({ length: task.count }, makeId).map((instanceId) => client.getHandle<number>(instanceId));
  assertResults(await Promise.all(handles.map((handle) => handle.result())), () => WIDTH);
  await report('complete');
}

await (task.role === 'prepare'
  ? withHost(task, prepare, { ...LEASES, activities: new URL('./endless-activities.ts', import.meta.url) })
  : withHost(task, recover, LEASES));
process.disconnect();
