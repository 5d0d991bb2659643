// Brings SQLite's log to the disk: what a commit with `synchronous = FULL` does inside the commit is done here after it, so that turns are
// computed meanwhile, and without keeping the event loop when the disk is slow. Neighbour: group-commit.ts answers only after a sync.
//
// L1. A sync covers every commit that was made before it began, also those of other processes: they write the same log.
// L2. The log is one file as long as a connection is open. SQLite holds no locks on it, so a descriptor of our own does no harm when it is closed.
// L3. A fast disk is synced in this thread: waking another one takes longer (measured: a sync takes 0.17 ms, and 0.06 ms more of processor time
//     by way of libuv's threads). A slow one is synced there.
// L4. A sync that failed is not tried again: the system may have forgotten what it could not write, and say yes the next time, and whatever
//     follows in the log is lost with it. Then everything is brought from the log to the database file, until that has worked.
import { close, fdatasync, fdatasyncSync, openSync } from 'node:fs';

/** What a sync may keep the event loop, in milliseconds. Reason: more than what it costs to wake another thread. */
const MAX_INLINE_MS = 0.4;
/** Weight of the last sync in what one is expected to take. */
const WEIGHT = 0.3;

/** The log of a database file. */
export class LogSync {
  readonly #path: string;
  readonly #empty: () => boolean;
  #descriptor: number | null = null;
  #expectedMs = 0;
  /** L4: why the log is not trusted; null: it is. */
  #failure: Error | null = null;

  /**
   * @param file - path of the database as SQLite has resolved it: the log lies beside what a link leads to
   * @param empty - brings all of the log to the database file, and that to the disk; false: others use it
   */
  constructor(file: string, empty: () => boolean) {
    this.#path = `${file}-wal`;
    this.#empty = empty;
  }

  /**
   * Syncs the log, after what the commit has set off in this thread.
   *
   * @returns when all that was committed before the call is on disk
   * @throws what the system said, now or when it refused for the first time
   */
  async run(): Promise<void> {
    if (this.#failure === null) {
      try {
        await this.#syncSoon();
        return;
      } catch (error) {
        this.#failure = error as Error;
      }
    }
    if (!this.#hasEmptied()) throw this.#failure;
    this.#failure = null;
  }

  /** Releases the log. */
  close(): void {
    if (this.#descriptor !== null) close(this.#descriptor);
    this.#descriptor = null;
  }

  #hasEmptied(): boolean {
    try {
      return this.#empty();
    } catch {
      // Why the sync failed says more.
      return false;
    }
  }

  #syncSoon(): Promise<void> {
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
