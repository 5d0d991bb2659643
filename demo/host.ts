// The process that is killed: a runtime on the store that the demo names. It says `ready` once it runs, stops when it is told to,
// and ends by itself when the demo is gone. Nothing here prepares for a kill.
import { availableParallelism } from 'node:os';
import { Runtime, type Logger } from 'duraloom';
import { openStore, type Store } from './store.ts';

/** How long a kill delays what was running: the next host takes it when these leases have run out. */
const LEASE_MS = 1_500;
/** Reason: the demo kills as often as it is told to, and a kill is nobody's fault. */
const MAX_ATTEMPTS = 1_000;

const report = (fields: unknown, message: string): void => console.error(message, fields);
const logger: Logger = { debug: () => undefined, info: () => undefined, warn: report, error: report };

const store = JSON.parse(process.argv[2] ?? '') as Store;
// Ctrl-C goes to both processes; what it means is decided by the demo.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit());

const provider = await openStore(store);
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
  activityThreads: Math.max(2, availableParallelism() - 1),
  activitiesPerThread: 4,
  orchestrationLockMs: LEASE_MS,
  activityLockMs: LEASE_MS,
  maxAttempts: MAX_ATTEMPTS,
  logger,
});
process.once('message', () => {
  void (async () => {
    await runtime.shutdown();
    await provider.close();
    process.exit();
  })();
});
process.send?.('ready');
