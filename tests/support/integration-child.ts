// Processes that a test starts: hosts with a runtime, and scripts that are expected to end by themselves. Neighbour: integration-host.ts.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { HostMessage, HostSettings } from './integration-host.ts';
import { LogBook } from './integration-log.ts';
import { quick, type Stage } from './integration-stage.ts';

const HOST = fileURLToPath(new URL('integration-host.ts', import.meta.url));

/** How a process ended. */
export type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** A process that is killed at the end of the test if it still runs. */
export class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';

  constructor(stand: Stage, script: string, args: readonly string[]) {
    this.process = spawn(process.execPath, ['--conditions=duraloom-source', script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.process.stdout?.on('data', (chunk: Buffer) => (this.#stdout += String(chunk)));
    this.process.stderr?.on('data', (chunk: Buffer) => (this.#stderr += String(chunk)));
    this.ended = once(this.process, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
    stand.defer(() => this.kill());
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Ends the process without giving it a chance to do anything, and waits until it is gone. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
  }
}

/** A host process with a runtime. */
export class Host extends Child {
  readonly log: LogBook = new LogBook();
  readonly #told: Promise<void>;

  constructor(stand: Stage, settings: HostSettings) {
    super(stand, HOST, [JSON.stringify(settings)]);
    this.#told = new Promise((resolve, reject) => {
      this.process.on('message', (message: HostMessage) => {
        if (message.kind === 'ready') resolve();
        if (message.kind === 'log') this.log.write(message);
      });
      this.ended.then(({ code, stderr }) => reject(new TypeError(`the host ended with ${String(code)}: ${stderr}`)), reject);
    });
    this.#told.catch(() => undefined);
  }

  /** Resolves when the runtime runs. */
  ready(): Promise<void> {
    return this.#told;
  }

  /** Shuts the runtime down and waits for the end of the process. */
  async stop(): Promise<Ended> {
    this.process.send('stop');
    return this.ended;
  }
}

/** Starts a host with quick options and waits until it runs. */
export async function startHost(stand: Stage, runtime: Readonly<Record<string, unknown>>, file = 'store.db'): Promise<Host> {
  const host = new Host(stand, { file: stand.file(file), runtime: { ...quick, ...runtime } });
  await host.ready();
  return host;
}
