// Reports of living runtimes in SQL. Neighbour: sqlite-provider.ts.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { RuntimeReport } from '../provider.ts';

/** Table `runtimes`. */
export class RuntimeTable {
  readonly #clock: Clock;
  readonly #put: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #list: Database.Statement;

  constructor(database: Database.Database, clock: Clock) {
    this.#clock = clock;
    this.#put = database.prepare(`INSERT INTO runtimes (runtime_id, payload, seen_at, expires_at) VALUES (?, ?, ?, ?)`);
    this.#delete = database.prepare('DELETE FROM runtimes WHERE runtime_id = ? OR expires_at <= ?');
    this.#list = database.prepare(
      'SELECT runtime_id AS runtimeId, payload, seen_at AS seenAtMs FROM runtimes WHERE expires_at > ? ORDER BY runtime_id',
    );
  }

  /** Puts a report in place of the one before; those that ran out go. */
  report({ runtimeId, payload, ttlMs }: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }): void {
    const nowMs = this.#clock.nowMs();
    this.#delete.run(runtimeId, nowMs);
    if (ttlMs > 0) this.#put.run(runtimeId, payload, nowMs, nowMs + ttlMs);
  }

  list(): readonly RuntimeReport[] {
    return this.#list.all(this.#clock.nowMs()) as readonly RuntimeReport[];
  }
}
