// Limits that activities share by a key, in SQL. Neighbours: work-selection.ts asks how many items of a key may be taken, work-queue.ts counts
// those that it locks; ../rate.ts has the arithmetic of rates.
//
// L1. What runs under a key is counted from the locks of its items, so nothing can go wrong between the two. One whose lock has run out counts no more.
// L2. Items are found by limit and tag together (a lane): with one of them alone, a fetch would look through what it does not take.
// L3. A key without a row has nothing to pay for. Rows that are paid for are removed now and then.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { encodeRecord, parseRecord } from '../../types/codec.ts';
import type { SharedLimit } from '../../types/replay.ts';
import { countBegin, countReady, nextBeginMs } from '../rate.ts';
import { readText } from './damage.ts';

/** Items with one limit and one tag (null: none). */
export type LimitLane = { readonly lane: string; readonly tag: string | null };

/** Table `limits`, and the locks of items with a limit. */
export class LimitTable {
  readonly #clock: Clock;
  readonly #lanes: Database.Statement;
  readonly #countRunning: Database.Statement;
  readonly #nthEnd: Database.Statement;
  readonly #arrival: Database.Statement;
  readonly #setArrival: Database.Statement;
  readonly #forget: Database.Statement;

  constructor(database: Database.Database, clock: Clock) {
    this.#clock = clock;
    // From lane to lane: DISTINCT would read every item.
    this.#lanes = database
      .prepare(
        `WITH RECURSIVE stored (lane) AS (
           SELECT min(limit_lane) FROM routed_items WHERE limit_lane IS NOT NULL
           UNION ALL
           SELECT (SELECT min(limit_lane) FROM routed_items WHERE limit_lane > stored.lane) FROM stored WHERE lane IS NOT NULL
         )
         SELECT lane FROM stored WHERE lane IS NOT NULL`,
      )
      .pluck();
    const running = 'FROM routed_items WHERE limit_key = ? AND ready_at > ? AND lock_token IS NOT NULL AND expires_at IS NULL';
    this.#countRunning = database.prepare(`SELECT count(*) ${running}`).pluck();
    this.#nthEnd = database.prepare(`SELECT ready_at ${running} ORDER BY ready_at LIMIT 1 OFFSET ?`).pluck();
    this.#arrival = database.prepare('SELECT arrival_us FROM limits WHERE limit_key = ?').pluck();
    this.#setArrival = database.prepare(
      'INSERT INTO limits (limit_key, arrival_us) VALUES (?, ?) ON CONFLICT (limit_key) DO UPDATE SET arrival_us = excluded.arrival_us',
    );
    this.#forget = database.prepare('DELETE FROM limits WHERE arrival_us <= ?');
  }

  /** Lanes that have items, ready or not. */
  lanes(): readonly LimitLane[] {
    return this.#lanes.all().flatMap((lane) => {
      const tag = tagOf(lane);
      return typeof lane === 'string' && tag !== undefined ? [{ lane, tag }] : [];
    });
  }

  /** How many items may be taken now. */
  countReady({ key, concurrency, rate }: SharedLimit): number {
    const nowMs = this.#clock.nowMs();
    const byRate = rate === null ? Number.MAX_SAFE_INTEGER : countReady(rate, this.#arrivalOf(key), nowMs);
    if (concurrency === null || byRate === 0) return byRate;
    return Math.min(byRate, Math.max(0, concurrency - this.#running(key, nowMs)));
  }

  /** When the next item may be taken, epoch milliseconds, as things are; not later than now: at once. */
  opensAtMs({ key, concurrency, rate }: SharedLimit): number {
    const nowMs = this.#clock.nowMs();
    const rateMs = rate === null ? nowMs : nextBeginMs(rate, this.#arrivalOf(key), nowMs);
    const excess = concurrency === null ? -1 : this.#running(key, nowMs) - concurrency;
    return excess < 0 ? rateMs : Math.max(rateMs, Number(this.#nthEnd.get(key, nowMs, excess)));
  }

  /** Counts an item that was locked. */
  begin({ key, rate }: SharedLimit): void {
    if (rate !== null) this.#setArrival.run(key, countBegin(rate, this.#arrivalOf(key), this.#clock.nowMs()));
  }

  /** L3. */
  forget(): void {
    this.#forget.run(this.#clock.nowMs() * 1_000);
  }

  #running(key: string, nowMs: number): number {
    return Number(this.#countRunning.get(key, nowMs));
  }

  /** What was damaged outside is taken for nothing. */
  #arrivalOf(key: string): number {
    const arrivalUs = this.#arrival.get(key);
    return typeof arrivalUs === 'number' ? arrivalUs : 0;
  }
}

/**
 * Names the lane of items.
 *
 * @param key - of their limit
 * @param tag - of all of them; null: none
 * @returns column `limit_lane`
 */
export function laneOf(key: string, tag: string | null): string {
  return encodeRecord([key, tag]);
}

/** undefined: the lane was damaged outside. */
function tagOf(lane: unknown): string | null | undefined {
  try {
    const parts: unknown = parseRecord(readText(lane));
    const tag: unknown = Array.isArray(parts) ? parts[1] : undefined;
    return tag === null || typeof tag === 'string' ? tag : undefined;
  } catch {
    return undefined;
  }
}
