// A file to which lines are appended, and the promise that they are on disk. Neighbour: journal-provider.ts writes its changes to it.
import { ProviderError, type Clock } from 'duraloom';
import { appendFileSync, closeSync, fdatasyncSync, ftruncateSync, openSync, readFileSync } from 'node:fs';

/** One change: which call, when, with what. */
export type Entry = { readonly atMs: number; readonly call: string; readonly params: readonly unknown[] };

export class Journal {
  /** What was in the file when it was opened. */
  readonly entries: readonly Entry[];
  readonly #descriptor: number;
  readonly #clock: Clock;
  readonly #sync: boolean;
  #unsaved = '';
  #saving: Promise<void> | null = null;
  /** A write that failed: from then on nobody knows what is on disk. */
  #failure: ProviderError | null = null;

  constructor(path: string, options: { readonly clock: Clock; readonly sync: boolean }) {
    this.#descriptor = openSync(path, 'a+');
    this.#clock = options.clock;
    this.#sync = options.sync;
    const bytes = readFileSync(path);
    // What follows the last line end was cut off by a crash, and nobody was told that it is there.
    const length = bytes.lastIndexOf('\n') + 1;
    if (length < bytes.length) ftruncateSync(this.#descriptor, length);
    const lines = bytes.toString('utf8', 0, length).split('\n').slice(0, -1);
    this.entries = lines.map((line) => JSON.parse(line) as Entry);
  }

  write(entry: Entry): void {
    this.#unsaved += `${JSON.stringify(entry)}\n`;
  }

  /** Resolves when all that was written is on disk. All changes of one turn of the event loop share one sync. */
  async saved(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#unsaved === '') return;
    this.#saving ??= new Promise((resolve, reject) => {
      this.#clock.defer(() => {
        this.#saving = null;
        try {
          resolve(this.#save());
        } catch (cause) {
          const message = 'the journal cannot be written: see to its disk, then open it again';
          this.#failure = new ProviderError('PROVIDER_FAILED', { operation: 'save', retryable: false, message, cause });
          reject(this.#failure);
        }
      });
    });
    await this.#saving;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #save(): void {
    const text = this.#unsaved;
    this.#unsaved = '';
    appendFileSync(this.#descriptor, text);
    if (this.#sync) fdatasyncSync(this.#descriptor);
  }
}
