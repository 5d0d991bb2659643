// Idempotency keys: a write that is sent again gets the answer of the first time. Neighbour: app.ts.
//
// K1. The first request with a key runs; others with the key wait for it, and all get its answer. Another request under the same key is refused.
// K2. Answers are kept in memory, a bounded number for a bounded time. What must hold over restarts has ids and event keys of its own.
// K3. What runs is never forgotten, also when those who asked for it have given up: it would run twice.
// K4. A failure of the server is not kept: the next try runs.
import { createHash } from 'node:crypto';

/** An answer that can be given again. */
export type RecordedAnswer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

/** A request as far as its key is concerned. */
export type KeyedRequest = {
  readonly answer: Promise<RecordedAnswer>;
  /** Another request with this key came before. */
  readonly isRepeat: boolean;
};

type Entry = { readonly digest: string; readonly answer: Promise<RecordedAnswer>; untilMs: number; bytes: number };

/** Longest key. */
export const MAX_KEY_LENGTH = 255;
/** Most keys that are kept. */
const MAX_ENTRIES = 10_000;
/** Most bytes of kept answers. */
const MAX_BYTES: number = 16 * 1024 * 1024;
/** How long an answer is kept, in milliseconds. Reason: who tries again does so within a day. */
const KEEP_MS = 24 * 3_600_000;

/** Answers by key. */
export class IdempotencyKeys {
  readonly #entries = new Map<string, Entry>();
  readonly #nowMs: () => number;
  #bytes = 0;

  /**
   * @param nowMs - a clock that does not go back
   */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /**
   * Runs a request, unless its key was used.
   *
   * @param key - of the caller
   * @param content - what the request says: method, path, query, body
   * @param run - runs it
   * @returns its answer, or that of the first request; null: the key belongs to another request
   */
  run(key: string, content: readonly string[], run: () => Promise<RecordedAnswer>): KeyedRequest | null {
    const digest = createHash('sha256').update(content.join('\n')).digest('base64');
    const known = this.#entries.get(key);
    if (known !== undefined && known.untilMs > this.#nowMs()) {
      return known.digest === digest ? { answer: known.answer, isRepeat: true } : null;
    }
    this.#forget(key);
    const answer = run();
    const entry: Entry = { digest, answer, untilMs: Number.POSITIVE_INFINITY, bytes: 0 };
    this.#entries.set(key, entry);
    // Who asked is told of a rejection by the answer itself.
    answer.then(
      ({ status, body }) => (status >= 500 ? this.#forget(key) : this.#keep(entry, body.length)),
      () => this.#forget(key),
    );
    return { answer, isRepeat: false };
  }

  #keep(entry: Entry, bytes: number): void {
    entry.untilMs = this.#nowMs() + KEEP_MS;
    entry.bytes = bytes;
    this.#bytes += bytes;
    for (const [oldest, { untilMs }] of this.#entries) {
      if (this.#entries.size <= MAX_ENTRIES && this.#bytes <= MAX_BYTES) break;
      if (untilMs !== Number.POSITIVE_INFINITY) this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}
