// The messages to the activities of sessions. Neighbours: turns.ts sends, memory-provider.ts receives, sessions.ts owns the leases.
//
// I1. Numbers of a session grow by one from 1 and are not used again while the session is known, also when all its messages were taken.
import type { SessionMessage } from '../provider.ts';

/** Most messages of one answer. */
const MAX_MESSAGES = 100;

type Mailbox = { lastSeq: number; messages: SessionMessage[] };

/** Messages by session. */
export class SessionMessages {
  readonly #mailboxes = new Map<string, Mailbox>();

  /**
   * Adds a message.
   *
   * @param sessionId - to whom
   * @param payload - the message
   */
  send(sessionId: string, payload: string): void {
    const mailbox = this.#mailboxes.get(sessionId) ?? { lastSeq: 0, messages: [] };
    this.#mailboxes.set(sessionId, mailbox);
    mailbox.lastSeq += 1;
    mailbox.messages.push({ seq: mailbox.lastSeq, payload });
  }

  /**
   * Reads the messages after a number and removes those up to it.
   *
   * @param sessionId - whose
   * @param afterSeq - the last number that was taken
   * @returns the oldest ones
   */
  receive(sessionId: string, afterSeq: number): readonly SessionMessage[] {
    const mailbox = this.#mailboxes.get(sessionId);
    if (mailbox === undefined) return [];
    mailbox.messages = mailbox.messages.filter(({ seq }) => seq > afterSeq);
    return mailbox.messages.slice(0, MAX_MESSAGES);
  }

  /**
   * Drops what a forgotten session left.
   *
   * @param sessionId - which
   */
  forget(sessionId: string): void {
    this.#mailboxes.delete(sessionId);
  }
}
