// Row W4: memory of many instances that wait for an event. What may grow with their number is the file; the process is bounded by the
// cache of live engines (`stickyCacheMb`) and SQLite's page cache. Each cache size runs in a process of its own, once: memory has no rounds.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { collectGarbage, withHost, type Host, type RowTask } from './host.ts';
import { waiting } from './orchestrations.ts';
import type { Metric, RowResult } from './result.ts';

/** Instances that wait. */
const COUNT = { full: 100_000, quick: 5_000 };
/** Instances started at once, so that the start calls themselves do not hold the memory that is measured. */
const BATCH = 1_000;
/** Instances that run to their end first: code is compiled and heaps have grown before the idle process is measured. */
const WARM_UP = { full: 2_000, quick: 200 };
/** Instances that are woken at the end, the oldest first: those have left the cache and come back from the store. */
const WOKEN = 500;
/** After the last turn, for what is collected and written when the process is idle. */
const SETTLE_MS = 1_000;
const MIB = 1024 * 1024;

/** Instances by their number. Their ids are made when needed: a list of them all would be memory of the bench. */
type Range = { readonly prefix: string; readonly from: number; readonly to: number };

type Memory = { readonly rssMb: number; readonly mainHeapMb: number };

/**
 * Measures row W4 for one size of the cache.
 *
 * @param task - options and folder
 * @param stickyCacheMb - the cache size
 * @returns one result
 */
export async function measureWaitingMemory(task: RowTask, stickyCacheMb: number): Promise<readonly RowResult[]> {
  const { quick } = task.options;
  const count = quick ? COUNT.quick : COUNT.full;
  return withHost(
    task,
    async (host) => {
      const warmUp: Range = { prefix: 'w4-warm-up', from: 0, to: quick ? WARM_UP.quick : WARM_UP.full };
      await startAll(host, warmUp);
      await wakeAll(host, warmUp);
      const idle = await settle();
      const stickyIdle = host.runtime.stats().stickyInstances;

      await startAll(host, { prefix: 'w4', from: 0, to: count / 10 });
      const tenth = await settle();
      await startAll(host, { prefix: 'w4', from: count / 10, to: count / 2 });
      const half = await settle();
      await startAll(host, { prefix: 'w4', from: count / 2, to: count });
      const all = await settle();
      const stickyInstances = host.runtime.stats().stickyInstances;
      const databaseMb = folderBytes(task.folder) / MIB;
      await wakeAll(host, { prefix: 'w4', from: 0, to: WOKEN });

      const metric = (field: string, label: string, unit: string, value: number): Metric => ({ field, label, unit, values: [value] });
      const metrics = [
        metric('waiting', 'instances that wait', 'instances', count),
        metric('rssMbIdle', 'memory of the process before', 'MiB', idle.rssMb),
        metric('rssMbTenth', 'memory with a tenth of them', 'MiB', tenth.rssMb),
        metric('rssMbHalf', 'memory with half of them', 'MiB', half.rssMb),
        metric('rssMbWaiting', 'memory with all of them', 'MiB', all.rssMb),
        metric('stickyInstancesIdle', 'live engines before', 'instances', stickyIdle),
        metric('stickyInstances', 'live engines with all of them', 'instances', stickyInstances),
        metric('mainHeapMbIdle', 'heap of the main thread before', 'MiB', idle.mainHeapMb),
        metric('mainHeapMbWaiting', 'heap of the main thread with all of them', 'MiB', all.mainHeapMb),
        metric('databaseMb', 'database file with its log', 'MiB', databaseMb),
      ];
      return [{ row: 'W4', name: `cache ${stickyCacheMb} MiB`, metrics, sizes: { stickyCacheMb } }];
    },
    { stickyCacheMb },
  );
}

async function startAll({ client, provider, runtime }: Host, range: Range): Promise<void> {
  for (const instanceIds of batches(range)) {
    await Promise.all(instanceIds.map((instanceId) => client.startOrchestration(instanceId, waiting)));
    // All of them wait when no message is left and no turn is in flight.
    for (;;) {
      const { orchestratorMessages } = await provider.readQueueDepths();
      if (orchestratorMessages === 0 && runtime.stats().turnsInFlight === 0) break;
      await delay(5);
    }
  }
}

async function wakeAll({ client }: Host, range: Range): Promise<void> {
  for (const instanceIds of batches(range)) {
    const areRight = await Promise.all(
      instanceIds.map(async (instanceId, index) => {
        await client.raiseEvent(instanceId, 'go', index);
        return (await client.getHandle<number>(instanceId).result()) === index;
      }),
    );
    if (areRight.includes(false)) throw new TypeError('an instance that waited returned something else than the data of its event');
  }
}

function* batches({ prefix, from, to }: Range): Generator<readonly string[], void, void> {
  for (let first = from; first < to; first += BATCH) {
    const length = Math.min(BATCH, to - first);
    yield Array.from({ length }, (_, index) => `${prefix}-${String(first + index).padStart(6, '0')}`);
  }
}

/** Only the main thread's garbage can be collected from here; what the other threads have not collected yet counts. */
async function settle(): Promise<Memory> {
  collectGarbage();
  await delay(SETTLE_MS);
  collectGarbage();
  return { rssMb: process.memoryUsage.rss() / MIB, mainHeapMb: process.memoryUsage().heapUsed / MIB };
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((bytes, name) => bytes + statSync(join(folder, name)).size, 0);
}
