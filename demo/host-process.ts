// Starts, kills and restarts the host process, and notices when it ends by itself. Neighbour: host.ts (what runs there).
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Store } from './store.ts';

/** How much of the host's output is kept for a report, in characters. */
const TAIL = 8_192;
/** How long a graceful end may take, in milliseconds. */
const STOP_MS = 20_000;

/** A host ended by itself, or did not start. The message holds what it printed last. */
export class HostError extends Error {}

/** The one host of the demo: a process, then another one on the same store. */
export class HostProcess {
  /** Rejects when a host ends without being killed or stopped by us. Never resolves. */
  readonly failed: Promise<never>;
  readonly #store: Store;
  #fail: (error: HostError) => void = () => undefined;
  #child: ChildProcess | null = null;
  #output = '';
  #expected: 'nothing' | 'kill' | 'stop' = 'nothing';

  /**
   * @param store - of each of them
   */
  constructor(store: Store) {
    this.#store = store;
    this.failed = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    // It is raced against the job later; until then a failure must not count as unhandled.
    this.failed.catch(() => undefined);
  }

  /** Process id of the running host; null between two hosts. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Starts a host. Resolves when it runs; when it dies before, `failed` rejects. */
  async start(): Promise<void> {
    this.#expected = 'nothing';
    this.#output = '';
    // The child inherits `--conditions` from the flags of this process.
    const child = fork(fileURLToPath(new URL('./host.ts', import.meta.url)), [JSON.stringify(this.#store)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-TAIL);
      });
    }
    child.once('error', (error) => this.#fail(new HostError(`the host process cannot be started: ${error.message}`, { cause: error })));
    // 'close' comes after the last output, 'exit' may come before it.
    child.once('close', (code, signal) => this.#onEnd(child, code, signal));
    await Promise.race([once(child, 'message'), this.failed]);
  }

  /** Kills the host as the operating system kills: no handler runs, nothing is flushed. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#expected = 'kill';
    child.kill('SIGKILL');
    await once(child, 'close');
  }

  /** Asks the host to end, and waits for it. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#expected = 'stop';
    child.send('stop');
    const stubborn = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await Promise.race([once(child, 'close'), this.failed]);
    clearTimeout(stubborn);
  }

  /** For the end of this process: kills without waiting. */
  killNow(): void {
    this.#expected = 'kill';
    this.#child?.kill('SIGKILL');
  }

  #onEnd(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = null;
    const asExpected = this.#expected === 'kill' ? signal === 'SIGKILL' : this.#expected === 'stop' && code === 0;
    if (asExpected) return;
    const how = code === null ? `was ended by ${String(signal)}` : `ended with exit code ${code}`;
    const output = this.#output.trim() === '' ? 'It printed nothing.' : `Its last output:\n${this.#output.trim()}`;
    const when = { nothing: 'without our doing', kill: 'before our kill reached it', stop: 'instead of stopping' }[this.#expected];
    this.#fail(new HostError(`the host process ${String(child.pid)} ${how} ${when}. ${output}`));
  }
}
