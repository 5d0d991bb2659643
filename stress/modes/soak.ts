// soak: full rate for a long time. Live heaps of all threads, memory, file handles and the log of the database must not grow, nor must the
// time that orchestrations take. The database itself does: nothing deletes instances that have ended. Neighbours: heap.ts, local.ts.
import { readdirSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'duraloom';
import { LOCK_MS } from '../finish.ts';
import { readHeap, type Heap } from '../heap.ts';
import { Load } from '../load.ts';
import type { Settings } from '../options.ts';
import { Random } from '../random.ts';
import { percentileMs, type Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import { bare, endOf, finishLocally, startLocalHost } from './local.ts';

/** What is looked at now and then. */
type Quantity = 'heapMb' | 'rssMb' | 'handles' | 'walMb' | 'p99Ms';

/** A look at everything: a number for each name; heaps are named by their thread. */
type Sample = ReadonlyMap<string, { readonly quantity: Quantity; readonly value: number }>;

/** How much the last third of a run may be above the second one, by median: times the factor, plus the slack. */
const LIMITS: Readonly<Record<Quantity, { readonly factor: number; readonly slack: number }>> = {
  heapMb: { factor: 1.15, slack: 5 },
  // The page cache of SQLite grows with the file up to 64 MB, and allocators keep what they had.
  rssMb: { factor: 1.15, slack: 40 },
  handles: { factor: 1, slack: 2 },
  walMb: { factor: 1.15, slack: 16 },
  p99Ms: { factor: 1.5, slack: 50 },
};

/** Samples in a run, more or less: enough for a median of each third. */
const SAMPLES = 60;
/** Fewer say nothing. */
const ENOUGH_SAMPLES = 12;
/** Shortest time between two samples, in milliseconds: each collects the heaps, which costs a little. */
const MIN_SAMPLE_MS = 500;
/** Looks at once, and how many are in vain. */
const LOOKS = 8;
const MOST_LOOKS = 400;
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
    const host = await startLocalHost(workspace, settings, { lockMs: 10 * LOCK_MS, wrap: bare });
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
      const heaps = await readHeaps(host.client, `look-${samples.length}`, settings);
      const sample = new Map([...heaps, ...readProcess(`${workspace.file}-wal`, load)]);
      load.window.reset();
      samples.push(sample);
      printSample(samples.length, load.ended, sample);
    }
    const { violations, census } = await finishLocally(host, workspace, {
      loads: [load],
      byMs: endMs + STUCK_MS,
      acknowledged: [],
      sampleEvery: Math.max(1, Math.floor(load.ended / CHECKED)),
    });
    const last = Object.fromEntries([...(samples.at(-1) ?? [])].map(([name, { value }]) => [name, value]));
    const fileMb = statSync(workspace.file).size / 1e6;
    return {
      violations: [...judge(samples), ...violations],
      completed: load.ended,
      latency: load.total,
      figures: { samples: samples.length, ...last, fileMb, instances: census.instances, eventsChecked: census.events },
    };
  },
};

/** Live heaps of this thread and of all threads of the runtime. */
async function readHeaps(client: Client, prefix: string, { replayThreads, activityThreads }: Settings): Promise<Sample> {
  const heaps = new Map([['main', readHeap()]]);
  const look = async (index: number): Promise<void> => {
    const handle = await client.startOrchestration<{ replay: Heap; activity: Heap }>(`${prefix}-${index}`, 'heaps');
    const { replay, activity } = await handle.result();
    heaps.set(`replay${replay.threadId}`, replay).set(`activity${activity.threadId}`, activity);
  };
  // Which thread takes a look is not ours to say: go on until each has.
  for (let index = 0; heaps.size < 1 + replayThreads + activityThreads; index += LOOKS) {
    if (index > MOST_LOOKS) throw new Error(`only ${heaps.size - 1} of the threads run anything`);
    await Promise.all(Array.from({ length: LOOKS }, (_, offset) => look(index + offset)));
  }
  return new Map([...heaps].map(([name, { heapMb }]) => [`${name}HeapMb`, { quantity: 'heapMb', value: heapMb }]));
}

function readProcess(log: string, load: Load): Sample {
  const values: Readonly<Record<Exclude<Quantity, 'heapMb'>, number>> = {
    rssMb: process.memoryUsage.rss() / 1e6,
    handles: countHandles(),
    walMb: (statSync(log, { throwIfNoEntry: false })?.size ?? 0) / 1e6,
    p99Ms: percentileMs(load.window, 99),
  };
  return new Map(Object.entries(values).map(([quantity, value]) => [quantity, { quantity: quantity as Quantity, value }]));
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

function printSample(index: number, ended: number, sample: Sample): void {
  const shown = [...sample].map(([name, { value }]) => `${name} ${value.toFixed(1)}`);
  console.log(`  sample ${index}: ${ended} ended, ${shown.join(', ')}`);
}

/** Compares the last third of a run with the second one; the first one warms up. */
function judge(samples: readonly Sample[]): readonly string[] {
  if (samples.length < ENOUGH_SAMPLES) return [`${samples.length} samples are too few to see growth: the run has proved nothing`];
  const third = Math.floor(samples.length / 3);
  const violations: string[] = [];
  for (const [name, { quantity }] of samples.at(-1) ?? []) {
    const { factor, slack } = LIMITS[quantity];
    const medianOf = (part: readonly Sample[]): number => median(part.map((sample) => sample.get(name)?.value ?? 0));
    const [second, last] = [medianOf(samples.slice(-2 * third, -third)), medianOf(samples.slice(-third))];
    if (last > second * factor + slack) {
      violations.push(`${name} grows: ${second.toFixed(1)} in the second third of the run, ${last.toFixed(1)} in the last`);
    }
  }
  return violations;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
