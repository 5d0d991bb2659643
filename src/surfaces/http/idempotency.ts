// Idempotency keys: a write that is sent again gets the answer of the first time. Neighbour: app.ts.
//
// K1. The first request with a key runs; others with the key wait for it, and all get its answer. Another request under the same key is refused.
// K2. Answers are kept in memory, a bounded number for a bounded time. What must hold over restarts has ids and event keys of its own.
// K3. A failure of the server is not kept: the next try runs.
import { createHash } from 'node:crypto';

/** An answer that can be given again. */
export type RecordedAnswer = { readonly status: number; readonly contentType: string; readonly body: string };

type Entry = { readonly digest: string; readonly untilMs: number; readonly answer: Promise<RecordedAnswer>; bytes: number };

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
   * @returns the answer and whether it is an old one; null: the key belongs to another request
   */
  async run(
    key: string,
    content: readonly string[],
    run: () => Promise<RecordedAnswer>,
  ): Promise<{ readonly answer: RecordedAnswer; readonly isReplayed: boolean } | null> {
    const digest = createHash('sha256').update(content.join('\n')).digest('base64');
    const known = this.#entries.get(key);
    if (known !== undefined && known.untilMs > this.#nowMs()) {
      return known.digest === digest ? { answer: await known.answer, isReplayed: true } : null;
    }
    this.#forget(key);
    const answer = run();
    const entry: Entry = { digest, untilMs: this.#nowMs() + KEEP_MS, answer, bytes: 0 };
    this.#entries.set(key, entry);
    try {
      const { status, body } = await answer;
      if (status >= 500 || status === 429) this.#forget(key, entry);
      else this.#keep(key, entry, body.length);
    } catch (error) {
      this.#forget(key, entry);
      throw error;
    }
    return { answer: await answer, isReplayed: false };
  }

  #keep(key: string, entry: Entry, bytes: number): void {
    if (this.#entries.get(key) !== entry) return;
    entry.bytes = bytes;
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MAX_ENTRIES && this.#bytes <= MAX_BYTES) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string, entry: Entry | undefined = this.#entries.get(key)): void {
    if (entry === undefined || this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
