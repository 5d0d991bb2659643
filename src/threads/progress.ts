// What a thread is doing right now, and what a replay thread has done, in shared memory: readable by the main thread also while the thread is
// stuck (19 ns a turn, measured), and without asking it.
// Neighbours: the loops write it, thread-pool.ts reads it for the watchdog, for figures, and after a thread's death.

const WORDS = 6;
const LABEL_MAX = 120;
const RUNNING = 0;
const SEQ = 1;
const COUNTER = 2;
const LABEL_LENGTH = 3;
const LOGS_SENT = 4;
const LOGS_TAKEN = 5;
/** Where the figures begin: behind the label, at a multiple of their size. */
const FIGURES_AT = WORDS * 4 + LABEL_MAX * 2;

/** What a replay thread has done in one life. */
export type ReplayFigures = {
  /** Instances whose engine is alive now, and their rough size in bytes. */
  readonly engines: number;
  readonly cacheBytes: number;
  /** Turns that found their engine alive. */
  readonly hits: number;
  /** Turns that had to be rebuilt from history. */
  readonly misses: number;
  /** Events that were replayed for it. */
  readonly replayedEvents: number;
  /** Engines that were dropped for want of room. */
  readonly evictions: number;
};

/** The order of the figures in memory. */
const FIGURES = [
  'engines',
  'cacheBytes',
  'hits',
  'misses',
  'replayedEvents',
  'evictions',
] as const satisfies readonly (keyof ReplayFigures)[];

/** Shared between a thread and the main thread. */
export class Progress {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #label: Uint16Array;
  readonly #figures: Float64Array;

  /**
   * @param buffer - the shared memory; without: new memory
   */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(FIGURES_AT + FIGURES.length * 8)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#label = new Uint16Array(buffer, WORDS * 4, LABEL_MAX);
    this.#figures = new Float64Array(buffer, FIGURES_AT, FIGURES.length);
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

  /** The thread sends log lines of that size. Returns the size of all that main has not taken yet. */
  sendLogs(units: number): number {
    const sent = Atomics.add(this.#words, LOGS_SENT, units) + units;
    // Both wrap around.
    return (sent - Atomics.load(this.#words, LOGS_TAKEN)) | 0;
  }

  /** Main has taken log lines of that size, or they are not sent after all. */
  takeLogs(units: number): void {
    Atomics.add(this.#words, LOGS_TAKEN, units);
  }

  /** Notes what a replay thread has done. Plain stores: a figure that is a moment old does no harm. */
  setFigures(figures: ReplayFigures): void {
    for (const [index, name] of FIGURES.entries()) this.#figures[index] = figures[name];
  }

  /** What a replay thread has done in this life. */
  readFigures(): ReplayFigures {
    return Object.fromEntries(FIGURES.map((name, index) => [name, this.#figures[index] ?? 0])) as ReplayFigures;
  }
}
