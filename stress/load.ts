// Load: keeps a number of jobs in flight, checks each result, measures how long each takes. Store errors are tried again, as a host would.
// Neighbours: workload.ts says what comes out, host.ts and the modes that run in this process use it.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Client, ProviderError } from 'duraloom';
import type { Random } from './random.ts';
import { insist } from './store.ts';
import { expectedResult, makeJob, MAX_INPUT, type Job, type Kind } from './workload.ts';

/** What to run, and whom to tell. */
export type LoadOptions = {
  readonly client: Client;
  readonly random: Random;
  /** Sets the ids apart from those of other loads on the same file. */
  readonly prefix: string;
  readonly kinds: readonly [Kind, ...Kind[]];
  readonly inFlight: number;
  /** No more jobs are begun when this is true. */
  readonly isOver: () => boolean;
  /** A start was acknowledged by the store. */
  readonly onStarted?: (job: Job) => void;
  /** The store has told that a job has ended. */
  readonly onEnded?: (job: Job) => void;
  /** The store refused a call. */
  readonly onStoreError?: (error: ProviderError) => void;
};

/** A load that runs from its creation until all its jobs have ended. */
export class Load {
  /** Durations of all jobs and of those since the last `window.reset()`, in microseconds. Bounded memory, unlike lists. */
  readonly total: RecordableHistogram = createHistogram();
  readonly window: RecordableHistogram = createHistogram();
  readonly violations: string[] = [];
  readonly done: Promise<void>;
  readonly #options: LoadOptions;
  /** When each running job was begun, on the monotonic clock. */
  readonly #running = new Map<string, number>();
  #begun = 0;
  #ended = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.done = Promise.all(Array.from({ length: options.inFlight }, () => this.#work())).then(() => undefined);
  }

  get ended(): number {
    return this.#ended;
  }

  /** Jobs that are running, for longer than a time. */
  running(ageMs = 0): readonly string[] {
    const beforeMs = performance.now() - ageMs;
    return [...this.#running].filter(([, startedMs]) => startedMs < beforeMs).map(([instanceId]) => instanceId);
  }

  async #work(): Promise<void> {
    const { random, kinds, prefix, isOver } = this.#options;
    while (!isOver()) {
      const job = makeJob(prefix, this.#begun, { kind: random.pick(kinds), input: random.integer(0, MAX_INPUT) });
      this.#begun += 1;
      await this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    const { client, onStarted, onEnded, onStoreError } = this.#options;
    const { instanceId, kind, input } = job;
    const startedMs = performance.now();
    this.#running.set(instanceId, startedMs);
    try {
      // A start that failed may have been done (P5), so it is repeated with `useExisting`.
      const handle = await insist(
        () => client.startOrchestration<number>(instanceId, kind, input, { onExisting: 'useExisting' }),
        onStoreError,
      );
      onStarted?.(job);
      const result = await insist(() => handle.result(), onStoreError);
      onEnded?.(job);
      if (result !== expectedResult(job)) this.violations.push(`${instanceId} gave ${result}, expected ${expectedResult(job)}`);
    } catch (error) {
      this.violations.push(`${instanceId}: ${String(error)}`);
    }
    const durationUs = Math.max(1, Math.round((performance.now() - startedMs) * 1000));
    this.total.record(durationUs);
    this.window.record(durationUs);
    this.#running.delete(instanceId);
    this.#ended += 1;
  }
}
