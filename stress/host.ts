// A host process: runs what is in the store and a load of its own, until it is killed or told to finish. Argument: HostOptions as JSON.
// Says on stdout, a line each: `running`, `started <id>`, `ended <id>`, `state <json>` now and then, and `report <json>` at its end.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'duraloom';
import type { HostOptions, HostReport, HostState } from './host-process.ts';
import { intercepted, type Hook } from './intercept.ts';
import { LeaseWatch } from './lease-watch.ts';
import { Load } from './load.ts';
import { Random } from './random.ts';
import { startRuntime } from './runtime.ts';
import { insist, openStore } from './store.ts';

/** How often its state is said, in milliseconds. */
const SAY_MS = 50;
/** How often a drain looks for what is left, in milliseconds. */
const DRAIN_MS = 50;

const options = JSON.parse(process.argv[2] ?? '') as HostOptions;
const errors = { storeErrors: 0, fatalStoreErrors: 0 };
let deathsLeft = options.dieAt?.count ?? 0;

const die: Hook = ({ operation, phase, outcome }) => {
  if (options.dieAt?.operation !== operation || options.dieAt.phase !== phase) return;
  // A fetch that brought nothing is no moment to die at.
  if (operation.startsWith('fetch') && (outcome as { readonly items: readonly unknown[] } | undefined)?.items.length === 0) return;
  deathsLeft -= 1;
  // Nothing runs any more after this line: no handler, no flush.
  if (deathsLeft === 0) process.kill(process.pid, 'SIGKILL');
};
const leases = new LeaseWatch(options.lockMs);

// From the start of the process on: the wish may come while the runtime starts.
const wish = new Promise<'drain' | 'finish'>((resolve) => process.once('message', (message) => resolve(message as 'drain' | 'finish')));
let isTold = false;
void wish.then(() => {
  isTold = true;
});
// Without who started it nobody would end it.
process.once('disconnect', () => process.exit(1));

const provider = intercepted(await openStore(options.store), [die, leases.hook]);
const runtime = await insist(() => startRuntime(provider, options));
const client = new Client(provider);
console.log('running');

const load = new Load({
  client,
  random: new Random(options.seed),
  prefix: options.prefix,
  kinds: options.kinds,
  inFlight: options.inFlight,
  isOver: () => isTold,
  onStarted: ({ instanceId }) => console.log(`started ${instanceId}`),
  onEnded: ({ instanceId }) => console.log(`ended ${instanceId}`),
  onStoreError: ({ retryable }) => {
    errors.storeErrors += 1;
    if (!retryable) errors.fatalStoreErrors += 1;
  },
});
const saying = setInterval(() => {
  const { turnsCommitted, activitiesCompleted } = runtime.stats();
  const state: HostState = {
    ended: load.ended,
    progress: turnsCommitted + activitiesCompleted,
    refused: leases.refused,
    storeErrors: errors.storeErrors,
  };
  console.log(`state ${JSON.stringify(state)}`);
}, SAY_MS);

const drain = (await wish) === 'drain';
await load.done;
if (drain) await emptyStore();
clearInterval(saying);
await runtime.shutdown();
await provider.close();
const report: HostReport = { violations: [...load.violations, ...leases.violations], ...errors };
console.log(`report ${JSON.stringify(report)}`);
process.removeAllListeners('disconnect');
process.disconnect();

/** Resolves when every instance in the store has ended. */
async function emptyStore(): Promise<void> {
  for (;;) {
    let left = 0;
    for (const status of ['Running', 'Pending'] as const) left += (await client.listInstances({ status, limit: 1 })).instances.length;
    if (left === 0) return;
    await pause(DRAIN_MS);
  }
}
