// Row W4: many instances wait for an event, then all are raised. While they wait, what may grow with their number is the file; the process is
// bounded by the cache of live engines (`stickyCacheMb`), by how far V8 lets heaps grow before it collects, and by SQLite's page cache. It runs
// once: memory has no rounds.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { collectGarbage, waitFor, withHost, type Host, type RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { waiting } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Instances that wait. */
const COUNTS = { full: [100_000], quick: [5_000], large: [100_000, 1_000_000] };
/** Instances of one call, so that the calls themselves do not hold the memory that is measured. */
const BATCH = 1_000;
/** Instances that run to their end first: code is compiled and heaps have grown before the idle process is measured. */
const WARM_UP = { full: 2_000, quick: 200 };
/** After the last turn, for what is collected and written when the process is idle. */
const SETTLE_MS = { full: 1_000, quick: 50 };
/**
 * What the heap of a replay thread may hold besides the cache, in MiB. Reason: without a limit V8 leaves the garbage of a hundred thousand first
 * turns lying about, since there is memory enough (measured: 330 MiB above idle instead of 100).
 */
const HEAP_BESIDES_CACHE_MIB = 48;
/** The runtime's own default. */
const DEFAULT_CACHE_MIB = 64;
const MIB = 1024 * 1024;

/** Instances by their number. Their ids are made when needed: a list of them all would be memory of the bench. */
type Range = { readonly prefix: string; readonly count: number };

type Memory = { readonly rssMb: number; readonly mainHeapMb: number };

/** How many parts row W4 has at most: each number of instances needs a fresh process. */
export const WAITING_PARTS: number = COUNTS.large.length;

/**
 * Measures row W4 for one number of instances.
 *
 * @param task - options and folder
 * @param part - which number
 * @returns one result; none when this run has fewer numbers
 */
export async function measureWaiting(task: RowTask, part: number): Promise<readonly RowResult[]> {
  const count = pickSize(task.options, COUNTS)[part];
  if (count === undefined) return [];
  const settleMs = pickSize(task.options, SETTLE_MS);
  const replayThreadMemoryMb = HEAP_BESIDES_CACHE_MIB + (task.options.cacheMib ?? DEFAULT_CACHE_MIB);
  const measure = async (host: Host): Promise<readonly RowResult[]> => {
    const warmUp: Range = { prefix: 'w4-warm-up', count: pickSize(task.options, WARM_UP) };
    await startAll(host, warmUp);
    await raiseAll(host, warmUp);
    const idle = await settle(settleMs);

    const all: Range = { prefix: 'w4', count };
    const startMs = await startAll(host, all);
    const full = await settle(settleMs);
    const { stickyInstances } = host.runtime.stats();
    const databaseMb = folderBytes(task.folder) / MIB;
    const { raiseMs, completeMs } = await task.measured(count, () => raiseAll(host, all));
    const woken = await settle(settleMs);
    await checkAll(host, all, warmUp.count);

    const one = (field: string, label: string, unit: string, value: number): ReturnType<typeof metric> =>
      metric(field, label, unit, [value]);
    const metrics = [
      one('startedPerSecond', 'started, until all wait', 'instances/s', (count * 1_000) / startMs),
      one('raiseMs', 'all raised', 'ms', raiseMs),
      one('completeMs', 'first raised to last completed', 'ms', completeMs),
      one('completedPerSecond', 'raised and completed', 'instances/s', (count * 1_000) / completeMs),
      one('rssMbIdle', 'memory of the process before', 'MiB', idle.rssMb),
      one('rssMbWaiting', 'memory while all wait', 'MiB', full.rssMb),
      one('rssMbAboveIdle', 'of that, above idle', 'MiB', full.rssMb - idle.rssMb),
      one('rssMbWoken', 'memory after all are completed', 'MiB', woken.rssMb),
      one('stickyInstances', 'live engines while all wait', 'instances', stickyInstances),
      one('mainHeapMbIdle', 'heap of the main thread before', 'MiB', idle.mainHeapMb),
      one('mainHeapMbWaiting', 'heap of the main thread while all wait', 'MiB', full.mainHeapMb),
      ...(task.options.store === 'file' ? [one('databaseMb', 'database file with its log', 'MiB', databaseMb)] : []),
    ];
    return [{ row: 'W4', name: `${count.toLocaleString('en')} waiting`, metrics, sizes: { waiting: count, replayThreadMemoryMb } }];
  };
  return withHost(task, measure, { replayThreadMemoryMb });
}

/** Returns how long it took until all of them wait. */
async function startAll({ client, runtime }: Host, range: Range): Promise<number> {
  const startedMs = performance.now();
  let target = runtime.stats().turnsCommitted;
  for (const instanceIds of batches(range)) {
    await client.startOrchestrations(instanceIds.map((instanceId) => ({ instanceId, orchestration: waiting })));
    // One turn each, and then it waits. No more than one batch ahead: the queue of starts is not what is measured.
    await waitFor('the turns before the last batch', () => runtime.stats().turnsCommitted >= target);
    target += instanceIds.length;
  }
  await waitFor('all instances to wait', () => runtime.stats().turnsCommitted >= target);
  return performance.now() - startedMs;
}

/** Nobody waits for the results: what a hundred thousand waits cost is not the row's subject. */
async function raiseAll({ client, runtime }: Host, range: Range): Promise<{ readonly raiseMs: number; readonly completeMs: number }> {
  const startedMs = performance.now();
  const target = runtime.stats().turnsCommitted + range.count;
  for (const instanceIds of batches(range)) {
    const results = await client.raiseEvents(instanceIds.map((instanceId) => ({ instanceId, name: 'go', data: 1 })));
    if (results.some(({ delivered }) => !delivered)) throw new TypeError('an event was not delivered');
  }
  const raiseMs = performance.now() - startedMs;
  await waitFor('all instances to complete', () => runtime.stats().turnsCommitted >= target);
  return { raiseMs, completeMs: performance.now() - startedMs };
}

async function checkAll({ client }: Host, { count }: Range, warmUp: number): Promise<void> {
  const { count: completed } = await client.countInstances({ status: 'Completed' }, { limit: 1_000_000 });
  if (completed !== count + warmUp) throw new TypeError(`expected ${count + warmUp} completed instances, found ${completed}`);
}

function* batches({ prefix, count }: Range): Generator<readonly string[], void, void> {
  for (let first = 0; first < count; first += BATCH) {
    const length = Math.min(BATCH, count - first);
    yield Array.from({ length }, (_, index) => `${prefix}-${String(first + index).padStart(7, '0')}`);
  }
}

/** Only the main thread's garbage can be collected from here; what the other threads have not collected yet counts. */
async function settle(settleMs: number): Promise<Memory> {
  collectGarbage();
  await delay(settleMs);
  collectGarbage();
  return { rssMb: process.memoryUsage.rss() / MIB, mainHeapMb: process.memoryUsage().heapUsed / MIB };
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((bytes, name) => bytes + statSync(join(folder, name)).size, 0);
}
