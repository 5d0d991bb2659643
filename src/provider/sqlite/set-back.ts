// The machine's clock was set back: what was ready keeps its place instead of waiting for its time to come again.
// Neighbour: sqlite-provider.ts asks at each transaction and before each look for work.
//
// B1. Moved is what nobody has locked and what was ready at the latest time that this process saw, and work that was given back to wait a
//     little. What several processes do at once is done once: what the first one moved is no longer ahead of the clock.
// B2. Leases stay: who holds one renews it from the present. The lease of a process that died just then ends at its old time.
// B3. Timers and delayed starts are due at a time of day. An instance whose timer was due is looked at too early once, and is given its time
//     again.
import type Database from 'better-sqlite3';

/** A smaller step back only costs that much, in milliseconds. Reason: synchronised clocks make small steps now and then. */
const TOLERANCE_MS = 1_000;
/** How far beyond the latest time work is moved, in milliseconds. Reason: what was given back waits so long, by default at most. */
const SOON_MS = 60_000;

/** Moves waiting instances and work items along with the clock. */
export class SetBack {
  readonly #moves: readonly Database.Statement[];
  /** The latest time that was seen, epoch milliseconds. */
  #latestMs = Number.NEGATIVE_INFINITY;
  /** Until when the running transaction moved everything; null: it moved nothing. */
  #movedToMs: number | null = null;

  /**
   * @param database - an open one with the current schema
   */
  constructor(database: Database.Database) {
    const move = 'SET ready_at = ready_at - $byMs WHERE lock_token IS NULL AND ready_at > $nowMs AND ready_at <= $latestMs';
    this.#moves = [
      `UPDATE work_items ${move} + ${SOON_MS}`,
      `UPDATE routed_items ${move} + ${SOON_MS}`,
      // By code: the ready order of instances is an index that begins with it.
      `UPDATE instances ${move} AND hold_until <= $nowMs AND code_id IN (SELECT code_id FROM codes)`,
    ].map((sql) => database.prepare(sql));
  }

  /**
   * Tells whether there is something to move. Notes the time.
   *
   * @param nowMs - the time, epoch milliseconds
   * @returns true when the clock was set back since the latest time
   */
  isDue(nowMs: number): boolean {
    this.#latestMs = Math.max(this.#latestMs, nowMs);
    return nowMs < this.#latestMs - TOLERANCE_MS;
  }

  /**
   * Moves what waits, when the clock was set back. Called inside a transaction.
   *
   * @param nowMs - the time, epoch milliseconds
   */
  apply(nowMs: number): void {
    if (!this.isDue(nowMs)) return;
    const params = { nowMs, latestMs: this.#latestMs, byMs: this.#latestMs - nowMs };
    for (const move of this.#moves) move.run(params);
    this.#movedToMs = nowMs;
  }

  /** The transaction is over: what it moved is moved. */
  committed(): void {
    this.#latestMs = this.#movedToMs ?? this.#latestMs;
    this.#movedToMs = null;
  }

  /** The transaction was rolled back: it moved nothing. */
  rolledBack(): void {
    this.#movedToMs = null;
  }
}
