// All rows: names, what they are about, and the parts that run in a process of their own each. Neighbours: row-process.ts runs a part.
import { measureChain } from './chain.ts';
import { measureFanOut } from './fan-out.ts';
import type { RowTask } from './host.ts';
import { measureIdleLatency } from './idle-latency.ts';
import { measureCodec, measureCommit, measurePort } from './micro-channels.ts';
import { measureColdReplay, measureDrain, measureHotTurn } from './micro-replay.ts';
import type { RowResult } from './result.ts';
import { measureWaitingMemory } from './waiting-memory.ts';

/** One row of the bench. */
export type Row = {
  readonly name: string;
  readonly title: string;
  /** Each part starts with a fresh process, so that no row pays for the heap, the caches or the compiled code of another. */
  readonly parts: readonly ((task: RowTask) => Promise<readonly RowResult[]>)[];
};

/** Cache sizes of row W4: one that is much smaller than what waits, and the default. */
const STICKY_CACHES_MB = [8, 64];

/** The rows in the order in which they run. */
export const ROWS: readonly Row[] = [
  { name: 'W1', title: 'throughput: fan-outs of 5 activities, beside the raw better-sqlite3 ceiling', parts: [measureFanOut] },
  { name: 'W2', title: 'chain of 1,000 activities: cost of a step early and late', parts: [measureChain] },
  { name: 'W3', title: 'idle latency from start to result, one activity', parts: [measureIdleLatency] },
  {
    name: 'W4',
    title: 'memory of 100,000 waiting instances, for two sizes of the sticky cache',
    parts: STICKY_CACHES_MB.map((stickyCacheMb) => (task: RowTask) => measureWaitingMemory(task, stickyCacheMb)),
  },
  { name: 'M1', title: 'micro: drain of microtasks per event', parts: [measureDrain] },
  { name: 'M2', title: 'micro: cold replay of 1,000 events', parts: [measureColdReplay] },
  { name: 'M3', title: 'micro: hot turn of one activity completion', parts: [measureHotTurn] },
  { name: 'M4', title: 'micro: round trip between threads per item, by batch size', parts: [measurePort] },
  { name: 'M5', title: 'micro: SQLite commit per item, by batch size', parts: [measureCommit] },
  { name: 'M6', title: 'micro: payload codec', parts: [measureCodec] },
];
