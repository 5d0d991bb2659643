// Expired locks of instances and plain work items. Neighbours: orchestrator-queue.ts and work-queue.ts lock rows and ask before each look for work.
//
// A lock stands in its row: token, and expiry in `ready_at`. A locked row is in no index, so that locking and releasing cost nothing there; what
// one fetch locks is noted here in one row instead, and looked at again when the first of its locks may have expired.
//
// A1. Every locked row is named by a lease with its token that ends no later than its lock. So no expired lock is missed.
// A2. A lease only names candidates: rows whose token is another one, or whose lock was renewed, are left alone.
// A3. Leases whose items were all acked or given back go with the next transaction; that saves the look, nothing depends on it.
import type Database from 'better-sqlite3';
import { encodeRecord } from '../../types/codec.ts';
import { isDamage } from './damage.ts';
import { sqliteCode } from './open-database.ts';

/** A table with locks that leases are for. */
export type LeasedQueue = 'instances' | 'work_items';

type LeaseRow = { readonly lease_id: number; readonly lock_token: string; readonly instance_ids: string };

/** A lease of this process whose items are not all finished. */
type OpenLease = { readonly leaseId: number; endsAtMs: number; left: number };

/** Most leases whose items are counted. Reason: those whose rows others took are never finished here. */
const MAX_OPEN = 10_000;

/** Table `leases`. */
export class LeaseTable {
  readonly #database: Database.Database;
  readonly #insert: Database.Statement;
  readonly #firstEnd: Database.Statement;
  readonly #selectDue: Database.Statement;
  readonly #move: Database.Statement;
  readonly #shorten: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #deleteEmpty: Database.Statement;
  readonly #release: Readonly<Record<LeasedQueue, Database.Statement>>;
  readonly #held: Readonly<Record<LeasedQueue, Database.Statement>>;
  /** By token. */
  readonly #open = new Map<string, OpenLease>();
  /** Leases without items (A3), with their tokens: another process may have deleted one meanwhile, and then its number has come back. */
  readonly #empty = new Map<number, string>();
  /** What the running transaction did; counts once it is committed. */
  #noted: (readonly [lockToken: string, lease: OpenLease])[] = [];
  #finished: string[] = [];
  #deleted: readonly number[] = [];
  #counts = true;

  /**
   * @param database - an open one with the current schema
   */
  constructor(database: Database.Database) {
    this.#database = database;
    const prepare = (sql: string): Database.Statement => database.prepare(sql);
    this.#insert = prepare('INSERT INTO leases (queue, ends_at, lock_token, instance_ids) VALUES (?, ?, ?, ?)');
    // The index is in the right order; ORDER BY would say so, but costs 8 µs. The lowest of all numbers makes it a search.
    this.#firstEnd = prepare(`SELECT ends_at FROM leases WHERE queue = ? AND ends_at >= ${Number.MIN_SAFE_INTEGER} LIMIT 1`).pluck();
    this.#selectDue = prepare('SELECT lease_id, lock_token, instance_ids FROM leases WHERE queue = ? AND ends_at <= ?');
    this.#move = prepare('UPDATE leases SET ends_at = ?, instance_ids = ? WHERE lease_id = ?');
    this.#shorten = prepare('UPDATE leases SET ends_at = min(ends_at, ?) WHERE lease_id = ? AND lock_token = ?');
    this.#delete = prepare('DELETE FROM leases WHERE lease_id = ?');
    this.#deleteEmpty = prepare('DELETE FROM leases WHERE lease_id = ? AND lock_token = ?');
    const leased = 'instance_id IN (SELECT value FROM json_each(?)) AND lock_token = ?';
    const release = (queue: LeasedQueue): Database.Statement =>
      prepare(`UPDATE ${queue} SET lock_token = NULL WHERE ${leased} AND ready_at <= ?`);
    this.#release = { instances: release('instances'), work_items: release('work_items') };
    const held = (queue: LeasedQueue): Database.Statement => prepare(`SELECT instance_id, ready_at FROM ${queue} WHERE ${leased}`).raw();
    this.#held = { instances: held('instances'), work_items: held('work_items') };
  }

  /**
   * Notes what a fetch has locked. Called inside its transaction.
   *
   * @param queue - where
   * @param lockToken - of all the rows
   * @param endsAtMs - when their locks expire, epoch milliseconds
   * @param instanceIds - whose rows; an id a row
   */
  note(queue: LeasedQueue, lockToken: string, endsAtMs: number, instanceIds: readonly string[]): void {
    const { lastInsertRowid } = this.#insert.run(queue, endsAtMs, lockToken, encodeRecord([...new Set(instanceIds)]));
    this.#noted.push([lockToken, { leaseId: Number(lastInsertRowid), endsAtMs, left: instanceIds.length }]);
  }

  /** A row is locked for as long as from now on, which may be shorter than before (A1). Called inside the transaction of the renewal. */
  renew(
    queue: LeasedQueue,
    { lockToken, instanceId }: { readonly lockToken: string; readonly instanceId: string },
    endsAtMs: number,
  ): void {
    const lease = this.#open.get(lockToken);
    if (lease !== undefined && endsAtMs >= lease.endsAtMs) return;
    // Its number may be gone, or that of another lease, since the table was made anew.
    if (lease !== undefined && this.#shorten.run(endsAtMs, lease.leaseId, lockToken).changes === 1) return;
    this.#insert.run(queue, endsAtMs, lockToken, encodeRecord([instanceId]));
  }

  /** A3: a row is locked no more. */
  finish(lockToken: string): void {
    if (this.#counts) this.#finished.push(lockToken);
  }

  /** When the first lock may expire, epoch milliseconds; null: there is none. */
  nextEndMs(queue: LeasedQueue): number | null {
    const endsAtMs: unknown = this.#firstEnd.get(queue);
    return typeof endsAtMs === 'number' ? endsAtMs : null;
  }

  /** Puts rows whose lock has expired back into the ready order. Called inside a transaction before it looks there. */
  release(queue: LeasedQueue, nowMs: number): void {
    for (const lease of this.#selectDue.all(queue, nowMs) as LeaseRow[]) {
      try {
        this.#end(queue, lease, nowMs);
      } catch (error) {
        // No JSON, or rows that cannot be changed: then nothing in the table is trusted.
        if (!isDamage(error) && sqliteCode(error) !== 'SQLITE_ERROR') throw error;
        this.rebuild();
        return;
      }
    }
  }

  /**
   * Begins a transaction: removes leases without items.
   *
   * @param mayNote - false when an item may be undone by itself: then none counts as finished (A1)
   */
  begin(mayNote: boolean): void {
    this.#counts = mayNote;
    if (this.#empty.size === 0) return;
    this.#deleted = [...this.#empty.keys()];
    // With the token: a number that another process has freed may name another lease.
    for (const [leaseId, lockToken] of this.#empty) this.#deleteEmpty.run(leaseId, lockToken);
  }

  committed(): void {
    for (const leaseId of this.#deleted) this.#empty.delete(leaseId);
    for (const [lockToken, lease] of this.#noted) this.#open.set(lockToken, lease);
    for (const lockToken of this.#finished) this.#count(lockToken);
    for (const lockToken of this.#open.keys()) {
      if (this.#open.size <= MAX_OPEN) break;
      this.#open.delete(lockToken);
    }
    this.#forgetTransaction();
  }

  rolledBack(): void {
    this.#forgetTransaction();
  }

  #forgetTransaction(): void {
    this.#noted = [];
    this.#finished = [];
    this.#deleted = [];
  }

  /** True when a lease was damaged outside, or one is missing that could not be read. */
  get isDamaged(): boolean {
    const sound = `typeof(queue) = 'text' AND queue IN ('instances', 'work_items') AND typeof(ends_at) = 'integer' AND
      typeof(lock_token) = 'text' AND typeof(instance_ids) = 'text' AND json_valid(instance_ids)`;
    return this.#database.prepare(`SELECT 1 FROM leases WHERE NOT (${sound}) LIMIT 1`).get() !== undefined;
  }

  /** Makes the table anew from the locks themselves. Reads every row: only for damaged stores. */
  rebuild(): void {
    this.#database.exec('DELETE FROM leases');
    for (const queue of ['instances', 'work_items'] as const) {
      this.#database.exec(
        `INSERT INTO leases (queue, ends_at, lock_token, instance_ids)
         SELECT '${queue}', min(ready_at), lock_token, json_group_array(DISTINCT instance_id) FROM ${queue}
         WHERE typeof(lock_token) = 'text' AND typeof(instance_id) = 'text' AND typeof(ready_at) = 'integer' GROUP BY lock_token`,
      );
    }
  }

  #end(queue: LeasedQueue, lease: LeaseRow, nowMs: number): void {
    const { lease_id: leaseId, lock_token: lockToken, instance_ids: instanceIds } = lease;
    this.#release[queue].run(instanceIds, lockToken, nowMs);
    // A2: what was renewed stays in the lease.
    const held = this.#held[queue].all(instanceIds, lockToken) as [instanceId: string, endsAtMs: number][];
    if (held.length === 0) {
      this.#delete.run(leaseId);
      // Who lost its rows to others, as cancelled activities do, is not counted to the end. Nobody renews any of them.
      if (this.#open.get(lockToken)?.leaseId === leaseId) this.#open.delete(lockToken);
    } else {
      const ids = new Set(held.map(([instanceId]) => instanceId));
      const endsAtMs = Math.min(...held.map(([, atMs]) => atMs));
      this.#move.run(endsAtMs, encodeRecord([...ids]), leaseId);
      // If this is rolled back, it is too late here: `renew` only ever shortens.
      const open = this.#open.get(lockToken);
      if (open?.leaseId === leaseId) open.endsAtMs = endsAtMs;
    }
  }

  #count(lockToken: string): void {
    const lease = this.#open.get(lockToken);
    if (lease === undefined) return;
    lease.left -= 1;
    if (lease.left > 0) return;
    this.#open.delete(lockToken);
    this.#empty.set(lease.leaseId, lockToken);
  }
}
