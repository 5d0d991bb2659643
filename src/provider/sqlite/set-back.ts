// The machine's clock was set back: what waited goes on from where it was instead of waiting for its time to come again.
// Neighbour: sqlite-provider.ts asks at each transaction and before each look for work.
//
// B1. Moved is what was ready at the latest time that this process saw, work that was given back to wait a little, and leases that are longer
//     than any that is granted now: they are from before. So what several processes do at once is done once.
// B2. Other leases stay, for nobody can tell them from those that were granted since: who holds one renews it from the present. One that had
//     ended lasts again until its old time, which is less than MAX_LEASE_MS away.
// B3. Timers and delayed starts are due at a time of day. An instance whose timer was due is looked at too early once, and is given its time
//     again.
import type Database from 'better-sqlite3';

/** A smaller step back only costs that much, in milliseconds. Reason: synchronised clocks make small steps now and then. */
const TOLERANCE_MS = 1_000;
/** How far beyond the latest time work is moved, in milliseconds. Reason: what was given back waits so long, by default at most. */
const SOON_MS = 60_000;
/** Runtimes ask for no longer leases, in milliseconds. */
const MAX_LEASE_MS = 3_600_000;

/** Moves waiting instances and work items, locks and sessions along with the clock. */
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
    const move = 'SET ready_at = ready_at - $byMs WHERE';
    const isOld = (column: string): string => `${column} > $nowMs + ${MAX_LEASE_MS} AND ${column} <= $latestMs + ${MAX_LEASE_MS}`;
    const isOldLock = `lock_token IS NOT NULL AND ${isOld('ready_at')}`;
    const leased = (queue: string): string =>
      `instance_id IN (SELECT value FROM leases, json_each(leases.instance_ids)
         WHERE queue = '${queue}' AND ${isOld('ends_at')} AND json_valid(leases.instance_ids))`;
    const waits = `lock_token IS NULL AND ready_at > $nowMs AND ready_at <= $latestMs + ${SOON_MS}`;
    // By code: the ready order of instances is an index that begins with it.
    const instances = 'code_id IN (SELECT code_id FROM codes)';
    this.#moves = [
      `UPDATE work_items ${move} ${leased('work_items')} AND ${isOldLock}`,
      `UPDATE work_items ${move} ${waits}`,
      `UPDATE routed_items ${move} (${isOldLock}) OR (${waits})`,
      `UPDATE instances ${move} ${leased('instances')} AND ${isOldLock}`,
      `UPDATE leases SET ends_at = ends_at - $byMs WHERE ${isOld('ends_at')}`,
      `UPDATE instances ${move} ${instances} AND lock_token IS NULL AND ready_at > $nowMs AND ready_at <= $latestMs AND hold_until <= $nowMs`,
      `UPDATE sessions SET lease_until = lease_until - $byMs WHERE lease_until > $nowMs + ${MAX_LEASE_MS}`,
      'UPDATE sessions SET used_at = $nowMs WHERE used_at > $nowMs',
      'UPDATE limits SET arrival_us = arrival_us - $byMs * 1000 WHERE arrival_us > $nowMs * 1000',
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
