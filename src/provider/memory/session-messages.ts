// The messages to the activities of sessions. Neighbours: turns.ts sends, memory-store.ts receives.
//
// I1. Numbers grow over all sessions and are never used again: a number that somebody remembers never hides a message that came after it.
// I2. A message stays until it is received, also when its session is forgotten; at most `SESSION_MESSAGE_TTL_MS`.
import { SESSION_MESSAGE_TTL_MS, type SessionMessage } from '../provider.ts';

/** Most messages of one answer. */
const MAX_MESSAGES = 100;

type StoredMessage = SessionMessage & { readonly sentAtMs: number };

/** Messages by session. */
export class SessionMessages {
  readonly #bySession = new Map<string, StoredMessage[]>();
  #lastSeq = 0;

  /**
   * Adds a message.
   *
   * @param sessionId - to whom
   * @param payload - the message
   * @param nowMs - the time, epoch milliseconds
   */
  send(sessionId: string, payload: string, nowMs: number): void {
    this.#lastSeq += 1;
    const messages = this.#bySession.get(sessionId) ?? [];
    this.#bySession.set(sessionId, [...messages, { seq: this.#lastSeq, payload, sentAtMs: nowMs }]);
  }

  /**
   * Reads the messages after a number.
   *
   * @param sessionId - whose
   * @param afterSeq - the last number that was taken
   * @returns the oldest ones
   */
  read(sessionId: string, afterSeq: number): readonly SessionMessage[] {
    const messages = (this.#bySession.get(sessionId) ?? []).filter(({ seq }) => seq > afterSeq);
    return messages.slice(0, MAX_MESSAGES).map(({ seq, payload }) => ({ seq, payload }));
  }

  /**
   * Removes what was taken, up to a number.
   *
   * @param sessionId - whose
   * @param uptoSeq - the last number
   */
  remove(sessionId: string, uptoSeq: number): void {
    this.#keep(sessionId, ({ seq }) => seq > uptoSeq);
  }

  /**
   * Removes some messages.
   *
   * @param sessionId - whose
   * @param seqs - their numbers
   */
  removeSome(sessionId: string, seqs: readonly number[]): void {
    this.#keep(sessionId, ({ seq }) => !seqs.includes(seq));
  }

  /**
   * Drops what nobody has received for long.
   *
   * @param nowMs - the time, epoch milliseconds
   */
  removeOld(nowMs: number): void {
    for (const sessionId of this.#bySession.keys()) this.#keep(sessionId, ({ sentAtMs }) => sentAtMs >= nowMs - SESSION_MESSAGE_TTL_MS);
  }

  #keep(sessionId: string, isKept: (message: StoredMessage) => boolean): void {
    const left = this.#bySession.get(sessionId)?.filter(isKept) ?? [];
    if (left.length === 0) this.#bySession.delete(sessionId);
    else this.#bySession.set(sessionId, left);
  }
}
