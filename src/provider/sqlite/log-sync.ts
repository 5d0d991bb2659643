// Brings SQLite's log to the disk: what a commit with `synchronous = FULL` does inside the commit is done here after it, so that turns are
// computed meanwhile, and without keeping the event loop when the disk is slow. Neighbour: group-commit.ts answers only after a sync.
//
// L1. A sync covers every commit that was made before it began, also those of other processes: they write the same log.
// L2. The log is one file as long as a connection is open. SQLite holds no locks on it, so a descriptor of our own does no harm when it is closed.
// L3. A fast disk is synced in this thread: waking another one takes longer (measured: a sync takes 0.17 ms, and 0.06 ms more of processor time
//     by way of libuv's threads). A slow one is synced there.
import { close, fdatasync, fdatasyncSync, openSync } from 'node:fs';

/** What a sync may keep the event loop, in milliseconds. Reason: more than what it costs to wake another thread. */
const MAX_INLINE_MS = 0.4;
/** Weight of the last sync in what one is expected to take. */
const WEIGHT = 0.3;

/** The log of a database file. */
export class LogSync {
  readonly #path: string;
  #descriptor: number | null = null;
  #expectedMs = 0;

  /**
   * @param file - path of the database as SQLite has resolved it: the log lies beside what a link leads to
   */
  constructor(file: string) {
    this.#path = `${file}-wal`;
  }

  /**
   * Syncs the log, after what the commit has set off in this thread.
   *
   * @returns when all that was committed before the call is on disk
   * @throws what the system said
   */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          this.#sync((error) => {
            if (error === null) resolve();
            else reject(error);
          });
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Releases the log. */
  close(): void {
    if (this.#descriptor !== null) close(this.#descriptor);
    this.#descriptor = null;
  }

  #sync(done: (error: Error | null) => void): void {
    // There is no log before the first commit.
    const descriptor = (this.#descriptor ??= openSync(this.#path, 'r+'));
    const startedMs = performance.now();
    const ended = (error: Error | null): void => {
      this.#expectedMs += (performance.now() - startedMs - this.#expectedMs) * WEIGHT;
      done(error);
    };
    if (this.#expectedMs > MAX_INLINE_MS) {
      fdatasync(descriptor, ended);
      return;
    }
    fdatasyncSync(descriptor);
    ended(null);
  }
}
