// What a CPU profile of V8 holds, and which thread it is of. Neighbours: thread-profiler.ts takes them, profile-summary.ts adds them up.

/** A function in the profile. */
export type Frame = { readonly functionName: string; readonly url: string; readonly lineNumber: number };

/** A function as called on one path. */
export type ProfileNode = { readonly id: number; readonly callFrame: Frame; readonly children?: readonly number[] };

/** A profile as the inspector gives it. */
export type CpuProfile = {
  readonly nodes: readonly ProfileNode[];
  /** In microseconds. */
  readonly startTime: number;
  readonly endTime: number;
  /** Node of each sample. */
  readonly samples: readonly number[];
  /** Time between a sample and the one before it, in microseconds. */
  readonly timeDeltas: readonly number[];
};

/** The files that threads begin with. */
const KINDS = [
  ['replay', /\/replay-thread\.[jt]s$/],
  ['activity', /\/activity-thread\.[jt]s$/],
] as const;

/**
 * Names threads by the files that they have loaded.
 *
 * @param files - of the main thread, then of the workers in the order in which they were started
 * @returns such as main, replay-1, activity-1
 */
export function nameThreads(files: readonly (readonly string[])[]): readonly string[] {
  const counts = new Map<string, number>();
  return files.map((ofThread, index) => {
    if (index === 0) return 'main';
    const kind = KINDS.find(([, pattern]) => ofThread.some((file) => pattern.test(file)))?.[0] ?? 'worker';
    const number = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, number);
    return `${kind}-${number}`;
  });
}

/**
 * Gives the time of each node by itself.
 *
 * @param profile - the profile
 * @returns microseconds by node
 */
export function selfTimes({ samples, timeDeltas, startTime, endTime }: CpuProfile): ReadonlyMap<number, number> {
  const times = new Map<number, number>();
  let atUs = startTime;
  for (const [index, id] of samples.entries()) {
    atUs += timeDeltas[index] ?? 0;
    const nextDelta = timeDeltas[index + 1];
    // A sample stands for the time until the next one. Deltas may be negative: samples are not always in order.
    const lastsUs = Math.max(0, nextDelta ?? endTime - atUs);
    times.set(id, (times.get(id) ?? 0) + lastsUs);
  }
  return times;
}
