// What a thread is doing right now, in shared memory: readable by the main thread also while the thread is stuck (19 ns a turn, measured).
// Neighbours: the loops write it, thread-pool.ts reads it for the watchdog and after a thread's death.

const WORDS = 4;
const LABEL_MAX = 120;
const RUNNING = 0;
const SEQ = 1;
const COUNTER = 2;
const LABEL_LENGTH = 3;

/** Shared between a thread and the main thread. */
export class Progress {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #label: Uint16Array;

  /**
   * @param buffer - the shared memory; without: new memory
   */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4 + LABEL_MAX * 2)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#label = new Uint16Array(buffer, WORDS * 4);
  }

  /** The thread starts on a request. */
  begin(seq: number): void {
    Atomics.store(this.#words, SEQ, seq);
    Atomics.add(this.#words, COUNTER, 1);
    Atomics.store(this.#words, LABEL_LENGTH, 0);
    Atomics.store(this.#words, RUNNING, 1);
  }

  /** The thread is done with it. */
  end(): void {
    Atomics.store(this.#words, RUNNING, 0);
  }

  /** Notes what the request does. Plain stores: who reads it looks at a thread that no longer moves. */
  label(text: string): void {
    const length = Math.min(text.length, LABEL_MAX);
    for (let index = 0; index < length; index += 1) this.#label[index] = text.charCodeAt(index);
    Atomics.store(this.#words, LABEL_LENGTH, length);
  }

  /** The running request, null between requests. `counter` changes with each request. */
  read(): { readonly seq: number; readonly counter: number; readonly label: string } | null {
    if (Atomics.load(this.#words, RUNNING) === 0) return null;
    const length = Atomics.load(this.#words, LABEL_LENGTH);
    return {
      seq: Atomics.load(this.#words, SEQ),
      counter: Atomics.load(this.#words, COUNTER),
      label: String.fromCharCode(...this.#label.subarray(0, length)),
    };
  }
}
