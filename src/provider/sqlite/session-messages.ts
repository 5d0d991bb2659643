// Messages to the activities of sessions, in SQL. Neighbours: turn-effects.ts sends, sqlite-provider.ts lets activities receive.
// What is sent before the first activity of a session waits for it, and for the next one when the session was forgotten meanwhile.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { encodeRecord } from '../../types/codec.ts';
import { readText } from './damage.ts';
import { SESSION_MESSAGE_TTL_MS, type SessionMessage } from '../provider.ts';

/** Most messages of one answer. */
const PAGE = 100;

/** Table `session_messages`. */
export class SessionMessageTable {
  readonly #insert: Database.Statement;
  readonly #read: Database.Statement;
  readonly #hasTaken: Database.Statement;
  readonly #deleteTaken: Database.Statement;
  readonly #deleteSome: Database.Statement;
  readonly #deleteOld: Database.Statement;
  readonly #clock: Clock;

  constructor(database: Database.Database, clock: Clock) {
    this.#clock = clock;
    this.#insert = database.prepare('INSERT INTO session_messages (session_id, payload, sent_at) VALUES (?, ?, ?)');
    this.#read = database.prepare(`SELECT seq, payload FROM session_messages WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ${PAGE}`);
    this.#hasTaken = database.prepare('SELECT 1 FROM session_messages WHERE session_id = ? AND seq <= ? LIMIT 1').pluck();
    this.#deleteTaken = database.prepare('DELETE FROM session_messages WHERE session_id = ? AND seq <= ?');
    this.#deleteSome = database.prepare('DELETE FROM session_messages WHERE session_id = ? AND seq IN (SELECT value FROM json_each(?))');
    // Numbers grow with time: the oldest stand first.
    this.#deleteOld = database.prepare(
      'DELETE FROM session_messages WHERE seq IN (SELECT seq FROM session_messages ORDER BY seq LIMIT 1000) AND sent_at < ?',
    );
  }

  send(sessionId: string, payload: string): void {
    this.#insert.run(sessionId, payload, this.#clock.nowMs());
  }

  read(sessionId: string, afterSeq: number): readonly SessionMessage[] {
    const messages = this.#read.all(sessionId, afterSeq) as readonly SessionMessage[];
    return messages.map(({ seq, payload }) => ({ seq, payload: readText(payload) }));
  }

  /** True when there is something to remove: most calls need no transaction. */
  hasTaken(sessionId: string, uptoSeq: number): boolean {
    return this.#hasTaken.get(sessionId, uptoSeq) !== undefined;
  }

  deleteTaken(sessionId: string, uptoSeq: number): void {
    this.#deleteTaken.run(sessionId, uptoSeq);
  }

  deleteSome(sessionId: string, seqs: readonly number[]): void {
    this.#deleteSome.run(sessionId, encodeRecord(seqs));
  }

  /** Drops what nobody has received for long. */
  deleteOld(): void {
    this.#deleteOld.run(this.#clock.nowMs() - SESSION_MESSAGE_TTL_MS);
  }
}
