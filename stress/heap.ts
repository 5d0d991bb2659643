// The live heap of one thread, in MB, after a full collection: what is left then is held by somebody.
// Neighbours: activities.ts and orchestrations.ts report that of their threads, modes/soak.ts judges.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

/** Heap of a thread. */
export type Heap = { readonly threadId: number; readonly heapMb: number };

let collect: (() => void) | undefined;

/** Reads the heap of the calling thread. */
export function readHeap(): Heap {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return { threadId, heapMb: (heapUsed + external) / 1e6 };
}
