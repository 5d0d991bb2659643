// duraloom itself, as a user would embed it: threads of its own; a database file with a sync for each
// commit, or a PostgreSQL database. It is imported by path: within
// bench/peers, which is a package of its own, its name means nothing.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Runtime, type InstanceHandle, type Provider } from '../../../src/index.ts';
import { PostgresProvider } from '../../../src/postgres.ts';
import { SqliteProvider } from '../../../src/sqlite.ts';
import type { Driver, DriverTask } from '../driver.ts';

/** Waiting longer than this for the last turns means that something is stuck. */
const SHUTDOWN_MS = 5_000;
const POLL_MS = 5;

/**
 * Opens the driver.
 *
 * @param task - knobs: `replayThreads`, `activityThreads`, `activitiesPerThread`, as in the options of a runtime; `connections` to PostgreSQL
 * @returns the driver
 */
export async function open({ knobs: { connections = 8, ...knobs }, ...task }: DriverTask): Promise<Driver<InstanceHandle>> {
  const provider = await openProvider(task, connections);
  const runtime = await Runtime.start({
    ...knobs,
    provider,
    orchestrations: new URL('./duraloom-orchestrations.ts', import.meta.url),
    activities: new URL('./duraloom-activities.ts', import.meta.url),
  });
  const client = new Client(provider);
  return {
    start: (kind, id, input) => client.startOrchestration(id, kind, input),
    result: (handle) => handle.result(),
    raise: async (_handle, id) => {
      await client.raiseEvent(id, 'go', 1);
    },
    untilWaiting: async () => {
      // All of them wait when no message is left and no turn is in flight.
      for (;;) {
        const { orchestratorMessages } = await provider.readQueueDepths();
        if (orchestratorMessages === 0 && runtime.stats().turnsInFlight === 0) return;
        await delay(POLL_MS);
      }
    },
    untilCompleted: async (handles) => {
      const results = await Promise.all(handles.map((handle) => handle.result()));
      const wrong = results.filter((result) => typeof result !== 'number' || result < 1).length;
      if (wrong > 0) throw new TypeError(`${wrong} of ${results.length} instances returned no count`);
    },
    activitiesRun: () => null,
    close: async () => {
      await runtime.shutdown({ timeoutMs: SHUTDOWN_MS });
      await provider.close();
    },
  };
}

async function openProvider({ folder, databaseUrl }: Omit<DriverTask, 'knobs'>, maxConnections: number): Promise<Provider> {
  if (databaseUrl === null) return SqliteProvider.open(join(folder, 'duraloom.db'), { synchronous: 'FULL' });
  return PostgresProvider.connect({ connectionString: databaseUrl, maxConnections });
}
