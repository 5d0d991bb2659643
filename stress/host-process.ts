// Starts a host process, listens to what it says, sends it signals. Neighbours: host.ts is what runs there, workspace.ts keeps the list.
import { fork, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Operation } from './intercept.ts';
import type { StoreAddress } from './store.ts';
import type { Kind } from './workload.ts';

/** What a host does; it travels as its argument. */
export type HostOptions = {
  readonly store: StoreAddress;
  /** Sets the ids of its jobs apart. */
  readonly prefix: string;
  readonly seed: number;
  readonly kinds: readonly [Kind, ...Kind[]];
  /** Jobs at once, until it is told to finish; 0: none of its own. */
  readonly inFlight: number;
  readonly replayThreads: number;
  readonly activityThreads: number;
  readonly lockMs: number;
  /** Kills itself with SIGKILL when this provider method is called (or has returned) for the n-th time. */
  readonly dieAt: { readonly operation: Operation; readonly phase: 'before' | 'after'; readonly count: number } | null;
};

/** What a host says of itself now and then. */
export type HostState = {
  /** Jobs that have ended. */
  readonly ended: number;
  /** Grows whenever anything is done. */
  readonly progress: number;
  /** Acks that the store refused because their lease had ended. */
  readonly refused: number;
  /** Errors of the store that its client saw. */
  readonly storeErrors: number;
};

/** What a host says at its end. */
export type HostReport = {
  readonly violations: readonly string[];
  /** Errors of the store that its client saw. */
  readonly storeErrors: number;
  /** Those of them that were not retryable. */
  readonly fatalStoreErrors: number;
};

/** How a host ended. */
export type HostEnd = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A host process, from its start to its end. */
export class HostProcess {
  /** Ids whose start the store has acknowledged, and of these those whose end it has told. Both grow. */
  readonly acknowledged: string[] = [];
  readonly endedJobs: string[] = [];
  /** Resolves when it is gone and all that it said was heard. */
  readonly ended: Promise<HostEnd>;
  /** Resolves when its runtime runs, or it is gone. */
  readonly running: Promise<void>;
  /** What it said at its end; null before, and when it was killed. */
  report: HostReport | null = null;
  /** What it said last. */
  state: HostState = { ended: 0, progress: 0, refused: 0, storeErrors: 0 };
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();

  constructor(options: HostOptions) {
    // The child inherits `--conditions` from the flags of this process.
    this.#child = fork(new URL('./host.ts', import.meta.url), [JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    this.ended = new Promise((resolve) => {
      // 'close' comes after the last output, 'exit' may come before it.
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.running = new Promise((resolve) => {
      void this.ended.then(() => resolve());
      const { stdout } = this.#child;
      if (stdout === null) throw new Error('the host has no stdout');
      createInterface({ input: stdout }).on('line', (line) => {
        if (line === 'running') resolve();
        this.#hear(line);
      });
    });
    void this.ended.then(() => this.#notify());
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the host process could not be started');
    return pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks it to end its jobs, report and exit; with `drain` only when nothing in the store is left to do. */
  finish({ drain }: { readonly drain: boolean }): void {
    if (this.#child.connected) this.#child.send(drain ? 'drain' : 'finish', () => undefined);
  }

  /** Resolves when this many starts are acknowledged and this many jobs have ended, or when it is gone. */
  async reached(goal: { readonly acknowledged?: number; readonly ended?: number }): Promise<void> {
    const { acknowledged = 0, ended = 0 } = goal;
    const isGone = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null;
    while (!isGone() && (this.acknowledged.length < acknowledged || this.state.ended < ended)) {
      await new Promise<void>((resolve) => this.#listeners.add(resolve));
    }
  }

  #hear(line: string): void {
    const [word = '', rest = ''] = line.split(/ (.*)/, 2);
    if (word === 'started') this.acknowledged.push(rest);
    else if (word === 'ended') this.endedJobs.push(rest);
    else if (word === 'state') this.state = JSON.parse(rest) as HostState;
    else if (word === 'report') this.report = JSON.parse(rest) as HostReport;
    this.#notify();
  }

  #notify(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
