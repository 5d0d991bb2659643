// Who owns which session, in SQL. Neighbours: work-selection.ts asks whose items a worker may take, work-queue.ts claims and marks use.
//
// N1. Routing only: a lease says who is offered the items of a session. Who holds the lock of an item may ack it whoever owns the session.
// N2. A session without a row, and one whose lease ended, are the same: free.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { Provider, SessionClaim } from '../provider.ts';
import { isDamage, RowRepair } from './damage.ts';

/** A session with items: whose it is, null when nobody's, and until when. */
export type SessionRow = { readonly sessionId: string; readonly owner: string | null; readonly leaseUntilMs: number | null };

/** Table `sessions`. */
export class SessionTable {
  readonly #clock: Clock;
  readonly #repair: RowRepair;
  readonly #claim: Database.Statement;
  readonly #touch: Database.Statement;
  readonly #withItems: Database.Statement;
  readonly #leasesOf: Database.Statement;
  readonly #extend: Database.Statement;
  readonly #releaseAll: Database.Statement;
  readonly #releaseOne: Database.Statement;
  readonly #selectOver: Database.Statement;
  readonly #delete: Database.Statement;

  constructor(database: Database.Database, clock: Clock) {
    this.#clock = clock;
    this.#repair = new RowRepair(database);
    this.#claim = database.prepare(
      `INSERT INTO sessions (session_id, owner, lease_until, used_at) VALUES (?, ?, ?, ?) ON CONFLICT (session_id)
       DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until, used_at = excluded.used_at`,
    );
    this.#touch = database.prepare('UPDATE sessions SET used_at = ? WHERE session_id = ? AND owner = ?');
    // From session to session: DISTINCT would read every item.
    this.#withItems = database.prepare(
      `WITH RECURSIVE open (session_id) AS (
         SELECT min(session_id) FROM routed_items WHERE session_id IS NOT NULL
         UNION ALL
         SELECT (SELECT min(session_id) FROM routed_items WHERE session_id > open.session_id) FROM open WHERE session_id IS NOT NULL
       )
       SELECT open.session_id AS sessionId, owner, lease_until AS leaseUntilMs
       FROM open LEFT JOIN sessions ON sessions.session_id = open.session_id WHERE open.session_id IS NOT NULL`,
    );
    this.#leasesOf = database.prepare('SELECT lease_until FROM sessions WHERE owner = ? AND lease_until > ? ORDER BY lease_until').pluck();
    this.#extend = database.prepare(
      `UPDATE sessions SET lease_until = ? WHERE owner = ? AND lease_until > ? AND (used_at > ? OR EXISTS (
         SELECT 1 FROM routed_items WHERE routed_items.session_id = sessions.session_id AND ready_at > ? AND lock_token IS NOT NULL
           AND lock_owner = sessions.owner))`,
    );
    this.#releaseAll = database.prepare('UPDATE sessions SET lease_until = ? WHERE owner = ? AND lease_until > ?');
    this.#releaseOne = database.prepare('UPDATE sessions SET lease_until = ? WHERE owner = ? AND lease_until > ? AND session_id = ?');
    this.#selectOver = database
      .prepare(
        `SELECT session_id FROM sessions WHERE lease_until <= ?
           AND NOT EXISTS (SELECT 1 FROM routed_items WHERE routed_items.session_id = sessions.session_id)`,
      )
      .pluck();
    this.#delete = database.prepare('DELETE FROM sessions WHERE session_id = ?');
  }

  /** Gives a session to an owner, or lets it keep it for longer. The caller knows that it is free or its own. */
  claim(sessionId: string, { owner, leaseMs }: SessionClaim): void {
    const nowMs = this.#clock.nowMs();
    this.#forgettingDamaged(() => void this.#claim.run(sessionId, owner, nowMs + leaseMs, nowMs));
  }

  /** Marks a session as used by its owner; nothing when it has another one now. */
  touch(sessionId: string, owner: string | null): void {
    this.#forgettingDamaged(() => void this.#touch.run(this.#clock.nowMs(), sessionId, owner));
  }

  /** Sessions that have items, ready or not. */
  withItems(): readonly SessionRow[] {
    return this.#withItems.all() as SessionRow[];
  }

  /** Ends of the leases that an owner holds, the first one first. */
  leasesOf(owner: string): readonly number[] {
    return this.#leasesOf.all(owner, this.#clock.nowMs()) as number[];
  }

  /** Extends what is in use. Returns how many sessions the owner holds. */
  renew({ owner, leaseMs, idleMs, sessionId }: Parameters<Provider['renewSessions']>[0]): number {
    this.#forgettingDamaged(() => this.#extendOrRelease({ owner, leaseMs, idleMs, ...(sessionId !== undefined && { sessionId }) }));
    return this.leasesOf(owner).length;
  }

  #extendOrRelease({ owner, leaseMs, idleMs, sessionId }: Parameters<Provider['renewSessions']>[0]): void {
    const nowMs = this.#clock.nowMs();
    if (leaseMs <= 0 && sessionId !== undefined) this.#releaseOne.run(nowMs, owner, nowMs, sessionId);
    else if (leaseMs > 0) this.#extend.run(nowMs + leaseMs, owner, nowMs, nowMs - idleMs, nowMs);
    else this.#releaseAll.run(nowMs, owner, nowMs);
  }

  /** One damaged row must not cost an owner all its sessions. */
  #forgettingDamaged(update: () => void): void {
    try {
      update();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#repair.forgetSessions();
      update();
    }
  }

  /** Removes sessions whose lease ended and that have no items. */
  forget(): void {
    const over = this.#selectOver.all(this.#clock.nowMs()) as string[];
    for (const sessionId of over) this.#delete.run(sessionId);
  }
}
