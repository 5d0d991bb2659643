// Which work items a fetch may take, in the order in which it takes them, and when the next one is ready. Reads only; work-queue.ts locks.
// Neighbours: sessions.ts knows who owns which session, limits.ts how many items of a limit may run.
//
// Q1. Items stand in lanes: the plain ones, the routed ones by tag (or none), those of each session, those of each limit. Each lane is read in
//     the order of an index, and lanes are merged. So a lane that the caller does not take costs it nothing, however full it is.
// Q2. While there is no routed item at all, a fetch looks once, and asks for nothing of that kind.
// Q3. An item with `expires_at` in the past belongs to `expired` fetches. Those that wait for one are stepped over in their lane.
// Q4. The first item of the lane of a limit says how much may be taken of the lane.
// Q5. `nextReadyAtMs` looks at what `take` would look at: a time in the past means that a fetch gets something, else callers would spin.
import type Database from 'better-sqlite3';
import { encodeRecord } from '../../types/codec.ts';
import type { SharedLimit } from '../../types/replay.ts';
import { OWN_PREFIX, takesTag } from '../tags.ts';
import type { SessionClaim, TagFilter, WorkFetchParams } from '../provider.ts';
import type { LimitTable } from './limits.ts';
import { parseRouting } from './routed-items.ts';
import type { SessionTable } from './sessions.ts';

/** What a fetch wants. */
export type WorkSelect = NonNullable<WorkFetchParams['select']>;

type QueueSelect = Extract<WorkSelect, { readonly kind: 'queue' }>;

/** What a fetch gets that does not say. */
export const DEFAULT_SELECT: WorkSelect = { kind: 'queue', tags: { kind: 'default' }, session: null };

/** An item that can be locked. */
export type WorkRow = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  readonly payload: string;
  readonly attempts: number;
  /** JSON of an `ActivityRouting`; absent: a plain item. With it come the columns that it is made of. */
  readonly routing?: string;
  readonly tag?: string | null;
  readonly sessionId?: string | null;
  readonly priority?: number;
  readonly limitKey?: string | null;
  readonly heartbeat: string | null;
};

/** An item with its place in the ready order: only a merge needs it, and each column costs. */
type PlacedRow = WorkRow & { readonly readyAtMs: number };

/** Sessions of other owners, and those beyond the caller's limit, open at some time; the others are open. */
type SessionLane = { readonly sessionId: string; readonly readyAtMs: number; readonly opensAtMs: number; readonly isOwn: boolean };

/** Comes after every tag with the prefix. */
const AFTER_OWN = 'duraloom;';

/** Reads the worker queue. */
export class WorkSelection {
  readonly #sessions: SessionTable;
  readonly #limits: LimitTable;
  readonly #selectPlain: Database.Statement;
  readonly #selectPlacedPlain: Database.Statement;
  readonly #selectTagged: Database.Statement;
  readonly #selectSession: Database.Statement;
  readonly #selectLimited: Database.Statement;
  readonly #selectExpired: Database.Statement;
  readonly #nextPlain: Database.Statement;
  readonly #nextTagged: Database.Statement;
  readonly #nextInSession: Database.Statement;
  readonly #nextLimited: Database.Statement;
  readonly #tags: Database.Statement;
  readonly #hasRouted: Database.Statement;
  readonly #nextOfExpired: Database.Statement;
  readonly #nextExpiry: Database.Statement;

  constructor(database: Database.Database, { sessions, limits }: { readonly sessions: SessionTable; readonly limits: LimitTable }) {
    this.#sessions = sessions;
    this.#limits = limits;
    const columns = 'instance_id AS instanceId, execution_id AS executionId, event_id AS eventId, name, payload, attempts, heartbeat';
    const byKey = 'instance_id, execution_id, event_id LIMIT ?';
    const routed = (where: string, order: string): Database.Statement =>
      database.prepare(
        `SELECT ${columns}, routing, tag, session_id AS sessionId, priority, limit_key AS limitKey, ready_at AS readyAtMs FROM routed_items WHERE ${where} AND ready_at <= ? ORDER BY ${order}, ${byKey}`,
      );
    // Indexes are in the right order already: ORDER BY and min() would say so, but cost more than the rest of these looks. The lowest of all
    // numbers makes them searches.
    const always = `>= ${Number.MIN_SAFE_INTEGER}`;
    const next = (from: string): Database.Statement =>
      database.prepare(`SELECT ready_at FROM ${from} AND ready_at ${always} LIMIT 1`).pluck();
    const alive = '(expires_at IS NULL OR expires_at > ?)';
    const tagged = `tag IS ? AND session_id IS NULL AND limit_key IS NULL AND ${alive}`;
    const inSession = `session_id = ? AND ${alive} AND
      (tag IN (SELECT value FROM json_each(?)) OR (? = 1 AND tag IS NULL) OR (? = 1 AND substr(tag, 1, ${OWN_PREFIX.length}) <> '${OWN_PREFIX}'))`;
    const limited = `limit_lane = ? AND ${alive}`;
    const plain = (extra: string): Database.Statement =>
      database.prepare(`SELECT ${columns}${extra} FROM work_items WHERE lock_token IS NULL AND ready_at <= ? ORDER BY ready_at, ${byKey}`);
    this.#selectPlain = plain('');
    this.#selectPlacedPlain = plain(', ready_at AS readyAtMs');
    this.#selectTagged = routed(tagged, 'ready_at');
    this.#selectSession = routed(inSession, 'ready_at');
    this.#selectLimited = routed(limited, 'ready_at');
    // Those that were given back stand behind; there are few, so they are sorted.
    this.#selectExpired = routed('expires_at <= ?', 'max(expires_at, ready_at)');
    this.#nextPlain = next('work_items WHERE lock_token IS NULL');
    this.#nextTagged = next(`routed_items INDEXED BY routed_items_tag WHERE ${tagged}`);
    this.#nextInSession = next(`routed_items INDEXED BY routed_items_session WHERE ${inSession}`);
    this.#nextLimited = database.prepare(
      `SELECT ready_at AS readyAtMs, routing FROM routed_items INDEXED BY routed_items_lane WHERE ${limited} AND ready_at ${always} ORDER BY ready_at LIMIT 1`,
    );
    // From tag to tag, in SQL: a tag that is no UTF-8 would come back as another one, which is before it.
    const firstTag = (where: string): string =>
      `(SELECT tag FROM routed_items WHERE tag ${where} AND session_id IS NULL AND limit_key IS NULL ORDER BY tag LIMIT 1)`;
    const isReserved = `tag >= '${OWN_PREFIX}' AND tag < '${AFTER_OWN}'`;
    this.#tags = database
      .prepare(
        `WITH RECURSIVE stored (tag) AS (
           SELECT ${firstTag(`>= ''`)}
           UNION ALL
           SELECT CASE WHEN ${isReserved} THEN ${firstTag(`>= '${AFTER_OWN}'`)} ELSE ${firstTag('> stored.tag')} END
           FROM stored WHERE tag IS NOT NULL
         )
         SELECT tag FROM stored WHERE tag IS NOT NULL AND NOT (${isReserved})`,
      )
      .pluck();
    this.#hasRouted = database.prepare("SELECT 1 FROM routed_items WHERE instance_id >= '' LIMIT 1").pluck();
    const expiry = 'FROM routed_items INDEXED BY routed_items_expiry WHERE expires_at';
    this.#nextOfExpired = database.prepare(`SELECT min(ready_at) ${expiry} <= ?`).pluck();
    this.#nextExpiry = database.prepare(`SELECT expires_at ${expiry} > ? LIMIT 1`).pluck();
  }

  /** The items that a fetch may lock now, longest ready first. It has to claim the sessions of those that it locks. */
  take(select: WorkSelect, nowMs: number, maxItems: number): readonly WorkRow[] {
    const hasRouted = this.#hasRouted.get() !== undefined;
    if (select.kind === 'expired') return hasRouted ? (this.#selectExpired.all(nowMs, nowMs, maxItems) as WorkRow[]) : [];
    const rows = hasRouted ? this.#takeRouted(select, nowMs, maxItems) : [];
    if (!takesPlain(select)) return rows.toSorted(compareRows).slice(0, maxItems);
    if (rows.length === 0) return this.#selectPlain.all(nowMs, maxItems) as WorkRow[];
    rows.push(...(this.#selectPlacedPlain.all(nowMs, maxItems) as PlacedRow[]));
    return rows.toSorted(compareRows).slice(0, maxItems);
  }

  /** When the next item for such a fetch is ready, epoch milliseconds; null: not without a new one. */
  nextReadyAtMs(select: WorkSelect, nowMs: number): number | null {
    const plainMs = takesPlain(select) ? earlier(null, this.#nextPlain.get()) : null;
    if (this.#hasRouted.get() === undefined) return plainMs;
    return select.kind === 'expired' ? this.#nextExpiredAtMs(nowMs) : earlier(plainMs, this.#nextRoutedAtMs(select, nowMs));
  }

  #takeRouted({ tags, session }: QueueSelect, nowMs: number, maxItems: number): PlacedRow[] {
    const lanes = this.#tagsOf(tags).map((tag) => this.#selectTagged.all(tag, nowMs, nowMs, maxItems) as readonly PlacedRow[]);
    if (session !== null) lanes.push(...this.#takeFromSessions(session, tags, { nowMs, maxItems }));
    for (const lane of this.#limitLanes(tags)) lanes.push(this.#takeLimited(lane, nowMs, maxItems));
    return lanes.flat();
  }

  #nextRoutedAtMs({ tags, session }: QueueSelect, nowMs: number): number | null {
    let earliestMs: number | null = null;
    for (const tag of this.#tagsOf(tags)) earliestMs = earlier(earliestMs, this.#nextTagged.get(tag, nowMs));
    for (const lane of this.#limitLanes(tags)) {
      const first = this.#firstLimited(lane, nowMs);
      if (first === null) continue;
      const opensAtMs = first.limit === null ? nowMs : this.#limits.opensAtMs(first.limit);
      earliestMs = earlier(earliestMs, Math.max(first.readyAtMs, opensAtMs));
    }
    if (session === null) return earliestMs;
    for (const { readyAtMs, opensAtMs } of this.#sessionLanes(session, tags, nowMs)) {
      const atMs = Math.max(readyAtMs, opensAtMs);
      if (Number.isFinite(atMs)) earliestMs = earlier(earliestMs, atMs);
    }
    return earliestMs;
  }

  /** Tags of the lanes without session; null stands for no tag. */
  #tagsOf(filter: TagFilter): readonly (string | null)[] {
    switch (filter.kind) {
      case 'default':
        return [null];
      case 'only':
        return [...new Set(filter.tags)];
      case 'defaultAnd':
        return [null, ...new Set(filter.tags)];
      case 'any':
        return [null, ...this.#storedTags()];
    }
  }

  #storedTags(): readonly string[] {
    return this.#tags.all().filter((tag) => typeof tag === 'string');
  }

  #takeFromSessions(
    claim: SessionClaim,
    tags: TagFilter,
    { nowMs, maxItems }: { readonly nowMs: number; readonly maxItems: number },
  ): readonly (readonly PlacedRow[])[] {
    const ready = this.#sessionLanes(claim, tags, nowMs).filter(({ readyAtMs, opensAtMs }) => readyAtMs <= nowMs && opensAtMs <= nowMs);
    if (ready.length === 0) return [];
    const room = Math.max(0, claim.maxSessions - this.#sessions.leasesOf(claim.owner).length);
    // Those whose items wait longest: in the merged order no other free session would be claimed earlier.
    const free = ready.filter(({ isOwn }) => !isOwn).toSorted((a, b) => a.readyAtMs - b.readyAtMs);
    return [...ready.filter(({ isOwn }) => isOwn), ...free.slice(0, room)].map(
      ({ sessionId }) => this.#selectSession.all(sessionId, nowMs, ...tagParams(tags), nowMs, maxItems) as PlacedRow[],
    );
  }

  /** The lanes of limits that the caller takes. */
  #limitLanes(tags: TagFilter): readonly string[] {
    return this.#limits.lanes().flatMap(({ lane, tag }) => (takesTag(tags, tag) ? [lane] : []));
  }

  /** Q4. */
  #takeLimited(lane: string, nowMs: number, maxItems: number): readonly PlacedRow[] {
    const first = this.#firstLimited(lane, nowMs);
    if (first === null || first.readyAtMs > nowMs) return [];
    // Without a limit that can be read: one at a time, so that it is found out.
    const room = first.limit === null ? 1 : this.#limits.countReady(first.limit);
    return room < 1 ? [] : (this.#selectLimited.all(lane, nowMs, nowMs, Math.min(room, maxItems)) as PlacedRow[]);
  }

  /** The first item of the lane of a limit. */
  #firstLimited(lane: string, nowMs: number): { readonly readyAtMs: number; readonly limit: SharedLimit | null } | null {
    const row = this.#nextLimited.get(lane, nowMs) as { readonly readyAtMs: number; readonly routing: unknown } | undefined;
    return row === undefined ? null : { readyAtMs: row.readyAtMs, limit: parseRouting(row.routing)?.limit ?? null };
  }

  /** The sessions that have items for the caller, now or later. */
  #sessionLanes(claim: SessionClaim, tags: TagFilter, nowMs: number): readonly SessionLane[] {
    const rows = this.#sessions.withItems();
    if (rows.length === 0) return [];
    const leases = this.#sessions.leasesOf(claim.owner);
    const hasRoomAtMs = leases.length < claim.maxSessions ? nowMs : (leases[0] ?? Number.POSITIVE_INFINITY);
    const lanes: SessionLane[] = [];
    for (const { sessionId, owner, leaseUntilMs } of rows) {
      const readyAtMs = this.#nextInSession.get(sessionId, nowMs, ...tagParams(tags)) as number | undefined;
      if (readyAtMs === undefined) continue;
      const isOwn = owner === claim.owner && leaseUntilMs !== null && leaseUntilMs > nowMs;
      lanes.push({ sessionId, readyAtMs, opensAtMs: isOwn ? nowMs : Math.max(leaseUntilMs ?? nowMs, hasRoomAtMs), isOwn });
    }
    return lanes;
  }

  #nextExpiredAtMs(nowMs: number): number | null {
    return earlier(earlier(null, this.#nextOfExpired.get(nowMs)), this.#nextExpiry.get(nowMs));
  }
}

/**
 * Tells whether a fetch takes items without routing.
 *
 * @param select - what it wants
 * @returns true for the default queue
 */
export function takesPlain(select: WorkSelect): boolean {
  return select.kind === 'queue' && select.tags.kind !== 'only';
}

/** For `inSession`: named tags, the default queue, all but reserved ones. */
function tagParams(filter: TagFilter): [string, number, number] {
  const named = filter.kind === 'only' || filter.kind === 'defaultAnd' ? filter.tags : [];
  return [encodeRecord(named), filter.kind === 'only' ? 0 : 1, filter.kind === 'any' ? 1 : 0];
}

function compareRows(a: PlacedRow, b: PlacedRow): number {
  return (
    a.readyAtMs - b.readyAtMs ||
    (a.instanceId < b.instanceId ? -1 : Number(a.instanceId > b.instanceId)) ||
    a.executionId - b.executionId ||
    a.eventId - b.eventId
  );
}

function earlier(atMs: number | null, other: unknown): number | null {
  if (typeof other !== 'number') return atMs;
  return atMs === null ? other : Math.min(atMs, other);
}
