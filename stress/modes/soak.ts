// soak: full rate for a long time. Live heaps of all threads, memory, file handles and the log of the database must not grow, nor must the
// time that orchestrations take. The database itself does: nothing deletes instances that have ended. Neighbours: heap.ts, local.ts.
import { readdirSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { LOCK_MS } from '../finish.ts';
import { readHeap, type Heap } from '../heap.ts';
import { Load } from '../load.ts';
import type { Settings } from '../options.ts';
import { Random } from '../random.ts';
import { percentileMs, type Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import type { Workspace } from '../workspace.ts';
import { awaitLoads, endOf, startLocalHost, stopAndCheck, type LocalHost } from './local.ts';

/** What is looked at now and then. */
type Sample = Readonly<Record<'mainHeapMb' | 'replayHeapMb' | 'activityHeapMb' | 'rssMb' | 'handles' | 'walMb' | 'p99Ms', number>>;

/** How much the last third of a run may be above the second one, by median: times the factor, plus the slack. */
const LIMITS: Readonly<Record<keyof Sample, { readonly factor: number; readonly slack: number }>> = {
  mainHeapMb: { factor: 1.15, slack: 5 },
  replayHeapMb: { factor: 1.15, slack: 5 },
  activityHeapMb: { factor: 1.15, slack: 5 },
  // The page cache of SQLite grows with the file up to 64 MB, and allocators keep what they had.
  rssMb: { factor: 1.15, slack: 40 },
  handles: { factor: 1, slack: 2 },
  walMb: { factor: 1.15, slack: 16 },
  p99Ms: { factor: 1.5, slack: 5 },
};

/** Samples in a run, more or less: enough for a median of each third. */
const SAMPLES = 60;
/** Shortest time between two samples, in milliseconds: each collects the heaps, which costs a little. */
const MIN_SAMPLE_MS = 500;
const STUCK_MS = 60_000;
/** Histories that are read in the end. */
const CHECKED = 20_000;

/** The mode. */
export const soak: Mode = {
  summary: 'full rate for a long time: memory, handles, the log and latency must not grow',
  length: 'minutes',
  defaultLength: 10,
  defaultInFlight: 200,
  async run(settings, workspace) {
    const host = await startLocalHost(workspace, settings, { lockMs: 10 * LOCK_MS });
    const endMs = endOf(settings);
    const load = new Load({
      client: host.client,
      random: new Random(settings.seed),
      prefix: 'soak',
      kinds: KINDS,
      inFlight: settings.inFlight,
      isOver: () => performance.now() > endMs,
    });
    const samples: Sample[] = [];
    const everyMs = Math.max(MIN_SAMPLE_MS, (settings.minutes * 60_000) / SAMPLES);
    while (performance.now() + everyMs < endMs) {
      await pause(everyMs);
      samples.push(await takeSample(host, load, { workspace, settings }));
      load.window.reset();
      printSample(samples.length, load.ended, samples.at(-1));
    }
    const stuck = await awaitLoads([load], STUCK_MS);
    const { violations, census } = await stopAndCheck(host, workspace, {
      acknowledged: [],
      sampleEvery: Math.max(1, Math.floor(load.ended / CHECKED)),
    });
    const { instances, events } = census;
    const fileMb = statSync(workspace.file).size / 1e6;
    return {
      violations: [...load.violations, ...stuck, ...findGrowth(samples), ...violations],
      completed: load.ended,
      latency: load.total,
      figures: { samples: samples.length, ...samples.at(-1), fileMb, instances, eventsChecked: events },
    };
  },
};

async function takeSample(
  { client }: LocalHost,
  load: Load,
  { workspace, settings }: { readonly workspace: Workspace; readonly settings: Settings },
): Promise<Sample> {
  const replay = new Map<number, number>();
  const activity = new Map<number, number>();
  const note = (heaps: Map<number, number>, { threadId, heapMb }: Heap): void => void heaps.set(threadId, heapMb);
  // Which thread takes a look is not ours to say: some looks at once find most of them.
  const looks = Array.from({ length: 4 * Math.max(settings.replayThreads, settings.activityThreads) }, async (_, index) => {
    const handle = await client.startOrchestration<{ replay: Heap; activity: Heap }>(`look-${load.begun}-${index}`, 'heaps');
    const heaps = await handle.result();
    note(replay, heaps.replay);
    note(activity, heaps.activity);
  });
  await Promise.all(looks);
  const log = statSync(`${workspace.file}-wal`, { throwIfNoEntry: false });
  return {
    mainHeapMb: readHeap().heapMb,
    replayHeapMb: Math.max(...replay.values()),
    activityHeapMb: Math.max(...activity.values()),
    rssMb: process.memoryUsage.rss() / 1e6,
    handles: countHandles(),
    walMb: (log?.size ?? 0) / 1e6,
    p99Ms: percentileMs(load.window, 99),
  };
}

/** Open files, sockets and pipes; where the system does not tell, what keeps the event loop alive. */
function countHandles(): number {
  const timers = new Set(['Timeout', 'Immediate', 'TickObject']);
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return process.getActiveResourcesInfo().filter((name) => !timers.has(name)).length;
  }
}

function printSample(index: number, ended: number, sample: Sample | undefined): void {
  const shown = Object.entries(sample ?? {}).map(([name, value]) => `${name} ${value.toFixed(1)}`);
  console.log(`  sample ${index}: ${ended} ended, ${shown.join(', ')}`);
}

/** Compares the last third of a run with the second one; the first one warms up. */
function findGrowth(samples: readonly Sample[]): readonly string[] {
  const third = Math.floor(samples.length / 3);
  if (third === 0) return [];
  const violations: string[] = [];
  for (const [name, { factor, slack }] of Object.entries(LIMITS)) {
    const values = samples.map((sample) => sample[name as keyof Sample]);
    const [second, last] = [median(values.slice(-2 * third, -third)), median(values.slice(-third))];
    if (last > second * factor + slack) {
      violations.push(`${name} grows: ${second.toFixed(1)} in the second third of the run, ${last.toFixed(1)} in the last`);
    }
  }
  return violations;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
