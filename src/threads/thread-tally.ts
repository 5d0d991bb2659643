// What the main thread counts about one thread of a pool, over all its lives. Neighbours: thread-pool.ts counts batches, the dispatchers count what
// is in them, main/runtime-figures.ts reads it.
import { DurationCounts } from './duration-counts.ts';

/** Counts of one thread since the start of its pool. Plain fields: they are on the hot path. */
export class ThreadTally {
  /** Messages over its port, to it and from it. */
  batchesSent = 0;
  batchesReceived = 0;
  /** Turns or activities in them. */
  itemsSent = 0;
  itemsReceived = 0;
  /** Activity threads: how long activities waited in the thread before they started, the longest of each batch of answers. */
  readonly waits: DurationCounts = new DurationCounts();
}
