// All rows: names, what they are about, and the parts that run in a process of their own each. Neighbours: row-process.ts runs a part.
import { availableParallelism } from 'node:os';
import { measureChain, measureChains } from './chain.ts';
import { measureChildren } from './children.ts';
import { measureCpuBound } from './cpu-bound.ts';
import { measureFleet } from './fleet.ts';
import { measureFanOut, measureNapFanOut } from './fan-out.ts';
import { measureFullStore } from './full-store.ts';
import type { RowTask } from './host.ts';
import { measureIdleLatency } from './idle-latency.ts';
import { measureCodec, measureCommit, measurePort } from './micro-channels.ts';
import { measureColdReplay, measureDrain, measureHotTurn } from './micro-replay.ts';
import { measureListing } from './listing.ts';
import { measureObserved } from './observed.ts';
import { measurePayloads } from './payloads.ts';
import { measureRecovery } from './recovery.ts';
import type { RowResult } from './result.ts';
import { measureStarts } from './starts.ts';
import { DEFAULT_SETTINGS, type Dependence, type SettingName, type Threads } from './sweep.ts';
import { measureTimers } from './timers.ts';
import { measureWaiting, WAITING_PARTS } from './waiting.ts';

/** Measures one part of a row. */
export type Part = (task: RowTask) => Promise<readonly RowResult[]>;

/** One row of the bench. */
export type Row = Dependence & {
  readonly name: string;
  readonly title: string;
  /** Each part starts with a fresh process, so that no row pays for the heap, the caches or the compiled code of another. */
  readonly parts: readonly Part[];
};

/** What an end-to-end row depends on. */
const HOST: readonly SettingName[] = ['threads', 'sync', 'store', 'slots', 'turnsPerThread', 'cacheMib', 'maxCommitMs', 'autoTune'];
const ON_ANY: Dependence = { uses: HOST, stores: ['file', 'sqlite-memory', 'memory', 'postgres'] };
/** Rows that write or reopen the file themselves. */
const ON_FILE: Dependence = { uses: HOST, stores: ['file'] };
/** Rows without a store. */
const ALONE: Dependence = { uses: [], stores: ['file'] };

/** W5: the default, which leaves a core to the main thread, and one activity thread for each core. */
const CPU_BOUND_THREADS: readonly Threads[] = [DEFAULT_SETTINGS.threads, { ...DEFAULT_SETTINGS.threads, activity: availableParallelism() }];

/** The rows in the order in which they run. */
export const ROWS: readonly Row[] = [
  { name: 'W1', title: 'throughput: fan-outs of 5 activities, beside the raw better-sqlite3 ceiling', parts: [measureFanOut], ...ON_ANY },
  {
    name: 'W1d',
    title: 'the same with activities of 10 ms',
    parts: [measureNapFanOut],
    ...ON_ANY,
    // The default of 64 would be the only thing that is measured.
    defaults: { slots: [2_048] },
  },
  { name: 'W2', title: 'one chain of 10 to 10,000 activities: cost of a step early and late', parts: [measureChain], ...ON_ANY },
  { name: 'W2c', title: '200 chains of 10 activities at once', parts: [measureChains], ...ON_ANY },
  { name: 'W3', title: 'idle latency from start to result, one activity', parts: [measureIdleLatency], ...ON_ANY },
  {
    name: 'W4',
    title: '100,000 instances wait for an event, then all are raised: memory, completions per second',
    parts: Array.from(
      { length: WAITING_PARTS },
      (_, part): Part =>
        (task) =>
          measureWaiting(task, part),
    ),
    ...ON_ANY,
    // What a host sets that has many instances which wait for long: live engines are of no use to them.
    defaults: { cacheMib: [8] },
  },
  {
    name: 'W5',
    title: '200 activities that take 10 ms of a processor: wall time against ideal, event-loop delay',
    parts: [measureCpuBound],
    ...ON_ANY,
    defaults: { threads: CPU_BOUND_THREADS },
  },
  {
    name: 'W6',
    title: 'start calls per second, no runtime',
    parts: [measureStarts],
    uses: ['sync', 'store', 'maxCommitMs'],
    stores: ON_ANY.stores,
  },
  { name: 'W7', title: 'timers that fall due while very many are pending', parts: [measureTimers], ...ON_FILE },
  { name: 'W8', title: 'one orchestration with 1,000 children', parts: [measureChildren], ...ON_ANY },
  { name: 'W9', title: 'payloads of 1 MiB', parts: [measurePayloads], ...ON_ANY },
  { name: 'W10', title: 'kill -9 with 10,000 orchestrations in flight: time until all are complete', parts: [measureRecovery], ...ON_FILE },
  { name: 'W11', title: 'W1 in a file with very many finished instances, against an empty one', parts: [measureFullStore], ...ON_FILE },
  {
    name: 'W12',
    title: 'W1 by two processes on one PostgreSQL, against one',
    parts: [measureFleet],
    uses: HOST,
    stores: ['postgres'],
  },
  {
    name: 'W13',
    title: 'W1 with a registry that is scraped and a logger at warn, against W1 without',
    parts: [measureObserved],
    ...ON_FILE,
  },
  { name: 'W14', title: 'lists of a million instances', parts: [measureListing], ...ON_FILE },
  { name: 'M1', title: 'micro: drain of microtasks per event', parts: [measureDrain], ...ALONE },
  { name: 'M2', title: 'micro: cold replay of 1,000 events', parts: [measureColdReplay], ...ALONE },
  { name: 'M3', title: 'micro: hot turn of one activity completion', parts: [measureHotTurn], ...ALONE },
  { name: 'M4', title: 'micro: round trip between threads per item, by batch size', parts: [measurePort], ...ALONE },
  { name: 'M5', title: 'micro: SQLite commit per item, by batch size', parts: [measureCommit], uses: ['sync'], stores: ['file'] },
  { name: 'M6', title: 'micro: payload codec', parts: [measureCodec], ...ALONE },
];
