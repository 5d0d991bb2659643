// Runs the job on hosts that are killed: watches the progress through the client, kills when it has come far enough, starts the next host.
//
// K1. The kills are spread over the progress: kill k of n comes when k / (n + 1) of the files are done, so there is always work in flight.
// K2. Each host must have moved the job on before it is killed: a kill hits a host that works, not one that starts.
import { setMaxListeners } from 'node:events';
import type { Client, InstanceState } from 'duraloom';
import type { HostProcess } from './host-process.ts';
import { folderInstanceId, type FolderStatus, type Job, type PlanStatus } from './job.ts';
import { hashTree } from './orchestrations.ts';
import { ProgressBar } from './progress-bar.ts';

const INSTANCE_ID = 'tree';

/** What the run was like. */
export type Run = { readonly kills: number; readonly seconds: number };

/** With what to run. */
export type RunOptions = {
  readonly client: Client;
  readonly host: HostProcess;
  readonly job: Job;
  /** How often to kill. */
  readonly kills: number;
};

/**
 * Runs the job to its end.
 *
 * @param options - client, host, job, number of kills
 * @returns how often a host was killed, and how long it took
 * @throws {OrchestrationError} when the job fails
 * @throws {HostError} when a host ends by itself
 */
export async function runJob(options: RunOptions): Promise<Run> {
  const startedMs = performance.now();
  const run = new SurvivingRun(options);
  try {
    await run.finish();
  } finally {
    run.close();
  }
  await options.host.stop();
  return { kills: run.kills, seconds: (performance.now() - startedMs) / 1000 };
}

class SurvivingRun {
  kills = 0;
  readonly #options: RunOptions;
  readonly #bar: ProgressBar;
  readonly #over = new AbortController();
  readonly #folders = new Map<string, FolderStatus>();
  #total = 0;
  /** Files that were done when the present host began. */
  #doneBefore = 0;
  /** The kill and restart that is going on. */
  #change: Promise<void> | null = null;
  /** Rejects when watching, killing or starting fails. */
  readonly #broken: Promise<never>;
  #break: (error: unknown) => void = () => undefined;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#bar = new ProgressBar(() => {
      const bytes = this.#sum((status) => status.bytes);
      return { done: this.#done(), total: this.#total, bytes, kills: this.kills, isHostRunning: this.#change === null };
    });
    // One listener for each folder that is watched.
    setMaxListeners(0, this.#over.signal);
    this.#broken = new Promise<never>((_resolve, reject) => {
      this.#break = reject;
    });
    this.#broken.catch(() => undefined);
  }

  async finish(): Promise<void> {
    const { client, host, job } = this.#options;
    const handle = await client.startOrchestration(INSTANCE_ID, hashTree, job);
    await host.start();
    this.#watch(INSTANCE_ID, (state) => this.#onPlan(state.customStatus as PlanStatus | undefined));
    await Promise.race([handle.result({ signal: this.#over.signal }), host.failed, this.#broken]);
    this.#over.abort();
    await this.#change;
  }

  close(): void {
    this.#over.abort();
    this.#bar.close();
  }

  #onPlan(plan: PlanStatus | undefined): void {
    if (plan === undefined || this.#total > 0) return;
    this.#total = plan.files;
    this.#bar.print(`demo: ${plan.files} files to hash in ${plan.folders} sub-orchestrations, by host ${String(this.#options.host.pid)}`);
    for (let index = 0; index < plan.folders; index += 1) {
      const instanceId = folderInstanceId(INSTANCE_ID, index);
      this.#watch(instanceId, (state) => {
        if (state.customStatus !== undefined) this.#folders.set(instanceId, state.customStatus as FolderStatus);
        this.#onProgress();
      });
    }
  }

  #onProgress(): void {
    const { kills, host } = this.#options;
    const done = this.#done();
    const isDue = this.kills < kills && done >= (this.#total * (this.kills + 1)) / (kills + 1);
    if (!isDue || done >= this.#total || done <= this.#doneBefore || this.#change !== null || host.pid === null) return;
    this.#change = this.#killAndRestart(done).then(
      () => {
        this.#change = null;
      },
      (error: unknown) => this.#break(error),
    );
  }

  async #killAndRestart(done: number): Promise<void> {
    const { host } = this.#options;
    const pid = String(host.pid);
    await host.kill();
    this.kills += 1;
    this.#bar.print(
      `demo: kill -9 of host ${pid} at ${Math.floor((100 * done) / this.#total)} % (${done} of ${this.#total} files), starting the next`,
    );
    if (this.#over.signal.aborted) return;
    await host.start();
    this.#doneBefore = this.#done();
  }

  /** How many files are done with. */
  #done(): number {
    return this.#sum(({ files, unreadable }) => files + unreadable);
  }

  #sum(read: (status: FolderStatus) => number): number {
    let sum = 0;
    for (const status of this.#folders.values()) sum += read(status);
    return sum;
  }

  /** Follows the custom status of an instance to its end: woken by changes, no polling here. */
  #watch(instanceId: string, onState: (state: InstanceState) => void): void {
    const { signal } = this.#over;
    const follow = async (): Promise<void> => {
      for (let afterVersion = 0; ;) {
        const state = await this.#options.client.waitForCustomStatus(instanceId, { afterVersion, signal });
        onState(state);
        if (state.status !== 'Pending' && state.status !== 'Running') return;
        afterVersion = state.customStatusVersion;
      }
    };
    follow().catch((error: unknown) => {
      if (!signal.aborted) this.#break(error);
    });
  }
}
