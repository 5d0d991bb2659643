// Messages to the activities of sessions, in SQL. Neighbours: turn-effects.ts sends, sqlite-provider.ts lets activities receive.
// What is sent before the first activity of a session waits for it; what a forgotten session left goes with it.
import type Database from 'better-sqlite3';
import type { SessionMessage } from '../provider.ts';

/** Most messages of one answer. */
const PAGE = 100;

/** Table `session_messages`. */
export class SessionMessageTable {
  readonly #insert: Database.Statement;
  readonly #read: Database.Statement;
  readonly #hasTaken: Database.Statement;
  readonly #deleteTaken: Database.Statement;
  readonly #deleteAll: Database.Statement;

  constructor(database: Database.Database) {
    this.#insert = database.prepare('INSERT INTO session_messages (session_id, payload) VALUES (?, ?)');
    this.#read = database.prepare(`SELECT seq, payload FROM session_messages WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ${PAGE}`);
    this.#hasTaken = database.prepare('SELECT 1 FROM session_messages WHERE session_id = ? AND seq <= ? LIMIT 1').pluck();
    this.#deleteTaken = database.prepare('DELETE FROM session_messages WHERE session_id = ? AND seq <= ?');
    this.#deleteAll = database.prepare('DELETE FROM session_messages WHERE session_id = ?');
  }

  send(sessionId: string, payload: string): void {
    this.#insert.run(sessionId, payload);
  }

  read(sessionId: string, afterSeq: number): readonly SessionMessage[] {
    return this.#read.all(sessionId, afterSeq) as readonly SessionMessage[];
  }

  /** True when there is something to remove: most calls need no transaction. */
  hasTaken(sessionId: string, uptoSeq: number): boolean {
    return this.#hasTaken.get(sessionId, uptoSeq) !== undefined;
  }

  deleteTaken(sessionId: string, uptoSeq: number): void {
    this.#deleteTaken.run(sessionId, uptoSeq);
  }

  deleteAll(sessionId: string): void {
    this.#deleteAll.run(sessionId);
  }
}
