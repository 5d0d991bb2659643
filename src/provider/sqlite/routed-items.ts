// Work items with routing (tag, session, priority, limits) in SQL. Neighbour: work-queue.ts keeps the plain ones and comes here for what it
// does not find there; work-selection.ts says which may be taken; sessions.ts is told of the use of sessions.
// A key is in one of the two tables only: an event schedules one activity, so nothing checks it.
import type Database from 'better-sqlite3';
import { encodeRecord, parseRecord } from '../../types/codec.ts';
import type { Clock } from '../../types/clock.ts';
import { isRouting, type ActivityRouting } from '../../types/replay.ts';
import { PRIORITY_HEAD_START_MS, type WorkItem, type WorkItemLock } from '../provider.ts';
import { readText } from './damage.ts';
import { laneOf } from './limits.ts';
import type { SessionTable } from './sessions.ts';

/** SQL: when a routed item may be handed out by its own time; of a locked one when the lock ends. */
export const ROUTED_VISIBLE_AT = `ready_at + iif(lock_token IS NULL, priority * ${PRIORITY_HEAD_START_MS}, 0)`;

/** Where a routed item goes, by its columns. */
type RoutingColumns = { readonly tag: string | null; readonly sessionId: string | null; readonly priority: number };

/** An item that somebody holds. */
type HeldRow = { readonly session_id: string | null; readonly lock_owner: string | null };

/** Table `routed_items`. */
export class RoutedItems {
  readonly #clock: Clock;
  readonly #sessions: SessionTable;
  readonly #insert: Database.Statement;
  readonly #mark: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #exists: Database.Statement;
  readonly #held: Database.Statement;
  readonly #lock: Database.Statement;
  readonly #lockExpired: Database.Statement;
  readonly #release: Database.Statement;
  readonly #releaseNow: Database.Statement;
  readonly #renew: Database.Statement;

  constructor(database: Database.Database, parts: { readonly clock: Clock; readonly sessions: SessionTable }) {
    this.#clock = parts.clock;
    this.#sessions = parts.sessions;
    const key = 'instance_id = ? AND execution_id = ? AND event_id = ?';
    const held = `${key} AND lock_token = ? AND ready_at > ?`;
    this.#insert = database.prepare(
      `INSERT INTO routed_items (instance_id, execution_id, event_id, ready_at, attempts, tag, session_id, expires_at, priority, limit_key,
         limit_lane, routing, name, payload) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#mark = database.prepare('UPDATE instances SET has_extras = 1 WHERE instance_id = ?');
    this.#delete = database.prepare(`DELETE FROM routed_items WHERE ${key}`);
    this.#deleteAll = database.prepare('DELETE FROM routed_items WHERE instance_id = ?');
    this.#exists = database.prepare(`SELECT 1 FROM routed_items WHERE ${key}`).pluck();
    this.#held = database.prepare(`SELECT session_id, lock_owner FROM routed_items WHERE ${held}`);
    const lock = 'UPDATE routed_items SET lock_token = ?, ready_at = ?, attempts = attempts + 1';
    this.#lock = database.prepare(`${lock}, lock_owner = ?, expires_at = NULL WHERE ${key}`);
    this.#lockExpired = database.prepare(`${lock} WHERE ${key}`);
    const release = 'UPDATE routed_items SET lock_token = NULL, attempts = attempts - ?, ready_at = ?';
    this.#release = database.prepare(`${release} WHERE ${held}`);
    this.#releaseNow = database.prepare(`${release} - priority * ${PRIORITY_HEAD_START_MS} WHERE ${held}`);
    this.#renew = database.prepare(`UPDATE routed_items SET ready_at = ?, heartbeat = ifnull(?, heartbeat) WHERE ${key}`);
  }

  insert(
    item: Pick<WorkItem, 'instanceId' | 'executionId' | 'eventId' | 'name' | 'payload'>,
    routing: ActivityRouting,
    nowMs: number,
  ): void {
    const { instanceId, executionId, eventId } = item;
    const { tag, sessionId, priority, expiresAfterMs, limit } = routing;
    const readyAtMs = nowMs - priority * PRIORITY_HEAD_START_MS;
    const expiresAtMs = expiresAfterMs === null ? null : nowMs + expiresAfterMs;
    const lane = limit === null || sessionId !== null ? [null, null] : [limit.key, laneOf(limit.key, tag)];
    const where = [tag, sessionId, expiresAtMs, priority, ...lane, encodeRecord(routing)];
    this.#insert.run(instanceId, executionId, eventId, readyAtMs, ...where, item.name, item.payload);
    this.#mark.run(instanceId);
  }

  delete(instanceId: string, executionId: number, eventId: number): void {
    this.#delete.run(instanceId, executionId, eventId);
  }

  deleteAll(instanceId: string): void {
    this.#deleteAll.run(instanceId);
  }

  exists({ instanceId, executionId, eventId }: WorkItemLock): boolean {
    return this.#exists.get(instanceId, executionId, eventId) !== undefined;
  }

  holds({ instanceId, executionId, eventId, lockToken }: WorkItemLock, nowMs: number): boolean {
    return this.#held.get(instanceId, executionId, eventId, lockToken, nowMs) !== undefined;
  }

  /** Locks an item that may be taken. What somebody takes to run does not expire any more; what somebody takes as expired stays so. */
  lock(item: WorkItemLock, params: { readonly untilMs: number; readonly owner: string | null; readonly isExpired: boolean }): boolean {
    const { instanceId, executionId, eventId, lockToken } = item;
    const { changes } = params.isExpired
      ? this.#lockExpired.run(lockToken, params.untilMs, instanceId, executionId, eventId)
      : this.#lock.run(lockToken, params.untilMs, params.owner, instanceId, executionId, eventId);
    return changes === 1;
  }

  /** Removes an item whose lock is held. */
  ack(item: WorkItemLock, nowMs: number): boolean {
    if (!this.#use(item, nowMs)) return false;
    this.#delete.run(item.instanceId, item.executionId, item.eventId);
    return true;
  }

  abandon(item: WorkItemLock & { readonly delayMs: number }, takenBack: number): boolean {
    const nowMs = this.#clock.nowMs();
    const release = item.delayMs > 0 ? this.#release : this.#releaseNow;
    const key = [item.instanceId, item.executionId, item.eventId, item.lockToken];
    return release.run(takenBack, nowMs + item.delayMs, ...key, nowMs).changes === 1;
  }

  renew(item: WorkItemLock, lockMs: number, heartbeat: string | null): boolean {
    const nowMs = this.#clock.nowMs();
    if (!this.#use(item, nowMs)) return false;
    this.#renew.run(nowMs + lockMs, heartbeat, item.instanceId, item.executionId, item.eventId);
    return true;
  }

  /** If an item is held, marks its session, if any, as used. */
  #use({ instanceId, executionId, eventId, lockToken }: WorkItemLock, nowMs: number): boolean {
    const row = this.#held.get(instanceId, executionId, eventId, lockToken, nowMs) as HeldRow | undefined;
    if (row === undefined) return false;
    if (row.session_id !== null) this.#sessions.touch(row.session_id, row.lock_owner);
    return true;
  }
}

/**
 * Reads the routing of an item.
 *
 * @param text - column `routing`
 * @returns the routing; null when it was damaged outside
 */
export function parseRouting(text: unknown): ActivityRouting | null {
  try {
    const routing = parseRecord(readText(text));
    if (!isRouting(routing)) return null;
    // Extras are parsed where the activity runs.
    return routing.extras === null || typeof parseRecord(routing.extras) === 'object' ? routing : null;
  } catch {
    return null;
  }
}

/**
 * Makes the routing of an item whose own cannot be read.
 *
 * @param columns - what the table knows of it
 * @returns a routing that keeps the item where it is
 */
export function routingOf({ tag, sessionId, priority }: RoutingColumns): ActivityRouting {
  return { tag, sessionId, priority, expiresAfterMs: null, timeoutMs: null, limit: null, extras: null };
}
