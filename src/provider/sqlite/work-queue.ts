// The worker queue in SQL. Neighbours: orchestrator-queue.ts inserts and cancels, work-selection.ts says what a fetch may take,
// routed-items.ts keeps the items with routing, sessions.ts who owns which session, instance-table.ts takes the completions.
// limits.ts counts what begins, leases.ts finds expired locks. All methods run inside a transaction of group-commit.ts and repeat safely after a
// rollback. Plain items come first everywhere: one statement inserts several, one locks one unless it is inserted locked, one acks it. Only who is
// not found among them is looked for among the routed ones.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { NewWorkItem, WorkItem, WorkItemAck, WorkItemLock, WorkItemOutcome, WorkItemRecord } from '../provider.ts';
import { WideStatement, type Cell } from './wide-statement.ts';
import type { InstanceTable } from './instance-table.ts';
import type { LeaseTable } from './leases.ts';
import type { LimitTable } from './limits.ts';
import { isDamage, readText } from './damage.ts';
import { parseRouting, ROUTED_VISIBLE_AT, routingOf, type RoutedItems } from './routed-items.ts';
import type { SessionMessageTable } from './session-messages.ts';
import type { SessionTable } from './sessions.ts';
import { takesPlain, type WorkRow, type WorkSelect, type WorkSelection } from './work-selection.ts';

/** Who waits for work: items that a transaction inserts go to it at once, locked, without a second statement. */
export type WorkDemand = {
  readonly lockToken: string;
  /** When its locks expire, epoch milliseconds. */
  readonly endsAtMs: number;
  /** How many items it still takes. */
  room: number;
  readonly items: WorkItem[];
};

type RecordRow = Omit<WorkItemRecord, 'isRunning'> & { readonly lockToken: string | null };

/** Work items of all instances. */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #instances: InstanceTable;
  readonly #routed: RoutedItems;
  readonly #sessions: SessionTable;
  readonly #limits: LimitTable;
  readonly #selection: WorkSelection;
  readonly #sessionMessages: SessionMessageTable;
  readonly #leases: LeaseTable;
  /** The parked fetch that new items go to in the running transaction; null: none, they wait in the table. */
  demand: WorkDemand | null = null;
  /** The running transaction has added items with routing. */
  #hasRouted = false;
  readonly #insert: WideStatement;
  readonly #delete: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #deleteLocked: Database.Statement;
  readonly #deleteHeld: Database.Statement;
  readonly #countHeld: Database.Statement;
  readonly #isHeld: Database.Statement;
  readonly #exists: Database.Statement;
  readonly #lock: Database.Statement;
  readonly #release: Database.Statement;
  readonly #renew: Database.Statement;
  readonly #beat: Database.Statement;
  readonly #list: Database.Statement;
  readonly #count: Database.Statement;

  constructor(
    database: Database.Database,
    parts: {
      readonly clock: Clock;
      readonly instances: InstanceTable;
      readonly routed: RoutedItems;
      readonly sessions: SessionTable;
      readonly limits: LimitTable;
      readonly selection: WorkSelection;
      readonly sessionMessages: SessionMessageTable;
      readonly leases: LeaseTable;
    },
  ) {
    this.#clock = parts.clock;
    this.#instances = parts.instances;
    this.#routed = parts.routed;
    this.#sessions = parts.sessions;
    this.#limits = parts.limits;
    this.#selection = parts.selection;
    this.#sessionMessages = parts.sessionMessages;
    this.#leases = parts.leases;
    const key = 'instance_id = ? AND execution_id = ? AND event_id = ?';
    const held = `${key} AND lock_token = ? AND ready_at > ?`;
    this.#insert = new WideStatement(database, {
      before: 'INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, lock_token, attempts, name, payload) VALUES',
      row: '(?, ?, ?, ?, ?, ?, ?, ?)',
      after: 'ON CONFLICT DO NOTHING',
    });
    this.#delete = database.prepare(`DELETE FROM work_items WHERE ${key}`);
    this.#deleteAll = database.prepare('DELETE FROM work_items WHERE instance_id = ?');
    this.#deleteLocked = database.prepare(`DELETE FROM work_items WHERE ${held}`);
    const heldRange = 'instance_id = ? AND execution_id = ? AND event_id BETWEEN ? AND ? AND lock_token = ? AND ready_at > ?';
    this.#deleteHeld = database.prepare(`DELETE FROM work_items WHERE ${heldRange}`);
    this.#countHeld = database.prepare(`SELECT count(*) FROM work_items WHERE ${heldRange}`).pluck();
    this.#isHeld = database.prepare(`SELECT 1 FROM work_items WHERE ${held}`).pluck();
    this.#exists = database.prepare(`SELECT 1 FROM work_items WHERE ${key}`).pluck();
    this.#lock = database.prepare(`UPDATE work_items SET lock_token = ?, ready_at = ?, attempts = attempts + 1 WHERE ${key}`);
    this.#release = database.prepare(`UPDATE work_items SET lock_token = NULL, ready_at = ?, attempts = attempts - ? WHERE ${held}`);
    this.#renew = database.prepare(`UPDATE work_items SET ready_at = ? WHERE ${held}`);
    this.#beat = database.prepare(`UPDATE work_items SET ready_at = ?, heartbeat = ? WHERE ${held}`);
    const columns = `execution_id AS executionId, event_id AS eventId, name, attempts AS attempt, heartbeat, lock_token AS lockToken`;
    this.#list = database.prepare(
      `SELECT ${columns}, ready_at AS visibleAtMs, NULL AS tag, NULL AS sessionId, NULL AS limitKey FROM work_items WHERE instance_id = ?
       UNION ALL SELECT ${columns}, ${ROUTED_VISIBLE_AT}, tag, session_id, limit_key FROM routed_items WHERE instance_id = ? ORDER BY executionId, eventId`,
    );
    this.#count = database.prepare('SELECT (SELECT count(*) FROM work_items) + (SELECT count(*) FROM routed_items)').pluck();
  }

  /** Begins a transaction: null: no fetch waits, or older items wait for it. */
  begin(demand: WorkDemand | null): void {
    this.demand = demand;
    this.#hasRouted = false;
  }

  /** What a turn schedules. An item whose key is there already stays as it is. */
  insertAll(instanceId: string, executionId: number, items: readonly NewWorkItem[], nowMs: number): void {
    const cells: Cell[] = [];
    for (const item of items) {
      const { eventId, name, payload, routing } = item;
      if (routing === null) {
        const taker = this.#offer(instanceId, executionId, item);
        cells.push(
          instanceId,
          executionId,
          eventId,
          taker?.endsAtMs ?? nowMs,
          taker?.lockToken ?? null,
          taker === null ? 0 : 1,
          name,
          payload,
        );
        continue;
      }
      this.#hasRouted = true;
      if (routing.priority > 0 && this.demand !== null) {
        // It goes before what was given away already in this transaction: the order of the tables decides again.
        this.#insert.run(cells.splice(0));
        this.releaseDemanded();
      }
      this.#routed.insert({ instanceId, executionId, eventId, name, payload }, routing, nowMs);
    }
    this.#insert.run(cells);
  }

  /** Gives a new item to the fetch that waits. Returns who has it; null: nobody. */
  #offer(instanceId: string, executionId: number, { eventId, name, payload }: NewWorkItem): WorkDemand | null {
    const { demand } = this;
    if (demand === null || demand.room < 1) return null;
    demand.room -= 1;
    const { lockToken } = demand;
    demand.items.push({ instanceId, executionId, eventId, name, payload, lockToken, attempt: 1, routing: null, heartbeat: null });
    return demand;
  }

  cancel(instanceId: string, executionId: number, eventId: number): void {
    if (this.#delete.run(instanceId, executionId, eventId).changes === 0) this.#routed.delete(instanceId, executionId, eventId);
    this.#withdraw((item) => item.instanceId === instanceId && item.executionId === executionId && item.eventId === eventId);
  }

  /** `hasRouted`: false when none of its items had routing, ever. */
  cancelAll(instanceId: string, hasRouted: boolean): void {
    this.#deleteAll.run(instanceId);
    if (hasRouted) this.#routed.deleteAll(instanceId);
    this.#withdraw((item) => item.instanceId === instanceId);
  }

  /**
   * Puts back into the queue what was inserted for a fetch that did not take it. It is in no lease, so it counts for none: the same fetch may
   * take it after all, and then its lease has to last until that is finished.
   */
  releaseDemanded(): void {
    const items = this.demand?.items ?? [];
    this.demand = null;
    const nowMs = this.#clock.nowMs();
    // Also after its lock: only a lease would end that.
    for (const item of items) this.#release.run(nowMs, 1, ...lockKey(item), Number.MIN_SAFE_INTEGER);
  }

  /** Takes back what this transaction has handed out already. */
  #withdraw(matches: (item: WorkItem) => boolean): void {
    const items = this.demand?.items ?? [];
    for (let index = items.length - 1; index >= 0; index -= 1) {
      const item = items[index];
      if (item !== undefined && matches(item)) items.splice(index, 1);
    }
  }

  /** When the next item for such a fetch is ready, or may be because a lock expires, epoch milliseconds; null: not without a new one. */
  nextReadyAtMs(select: WorkSelect): number | null {
    const nextMs = this.#selection.nextReadyAtMs(select, this.#clock.nowMs());
    const endMs = takesPlain(select) ? this.#leases.nextEndMs('work_items') : null;
    return nextMs === null || endMs === null ? (nextMs ?? endMs) : Math.min(nextMs, endMs);
  }

  /** What the running transaction has inserted for the fetch, then what is ready. */
  fetch(params: {
    readonly select: WorkSelect;
    readonly maxItems: number;
    readonly lockMs: number;
    readonly lockToken: string;
  }): WorkItem[] {
    const { select, maxItems, lockMs, lockToken } = params;
    const nowMs = this.#clock.nowMs();
    const items = this.demand?.lockToken === lockToken ? this.demand.items : [];
    let endsAtMs = nowMs + lockMs;
    let room = maxItems - items.length;
    if (this.demand !== null && items === this.demand.items) {
      endsAtMs = Math.min(endsAtMs, this.demand.endsAtMs);
      // There was no backlog: these are all that there are. Should something else be ready all the same, the next fetch gets it.
      if (items.length > 0 && this.demand.room > 0 && !this.#hasRouted) room = 0;
      this.demand = null;
    }
    if (room > 0 && takesPlain(select)) this.#leases.release('work_items', nowMs);
    const claimed = new Set<string>();
    for (const row of room < 1 ? [] : this.#selection.take(select, nowMs, room)) {
      if (!this.#mayBegin(row, select)) continue;
      const item = this.#mending(row, () => this.#take(row, { ...params, nowMs, claimed }));
      if (item !== null) items.push(item);
    }
    const plain = items.filter(({ routing }) => routing === null);
    if (plain.length > 0) this.#leases.note('work_items', lockToken, endsAtMs, plain.map(instanceIdOf));
    return items;
  }

  /** Items of several lanes may share a limit: those before in this fetch may have used it up. */
  #mayBegin({ limitKey = null, routing }: WorkRow, select: WorkSelect): boolean {
    const limit = limitKey === null || select.kind === 'expired' ? null : (parseRouting(routing)?.limit ?? null);
    return limit === null || this.#limits.countReady(limit) > 0;
  }

  /** Locks an item. Returns null when its key does not find it. */
  #take(
    row: WorkRow,
    params: {
      readonly select: WorkSelect;
      readonly lockMs: number;
      readonly lockToken: string;
      readonly nowMs: number;
      /** Sessions that this fetch has claimed. */
      readonly claimed: Set<string>;
    },
  ): WorkItem | null {
    const { select, lockToken, nowMs, claimed } = params;
    const { instanceId, executionId, eventId, name, heartbeat } = row;
    const untilMs = nowMs + params.lockMs;
    const item = { instanceId, executionId, eventId, name, lockToken, attempt: row.attempts + 1, heartbeat };
    if (row.routing === undefined) {
      const { changes } = this.#lock.run(lockToken, untilMs, instanceId, executionId, eventId);
      return changes === 1 ? { ...item, payload: row.payload, routing: null } : null;
    }
    const claim = select.kind === 'queue' ? select.session : null;
    const routing = parseRouting(row.routing);
    const { tag = null, sessionId = null, priority = 0 } = row;
    const owner = claim === null || sessionId === null ? null : claim.owner;
    if (!this.#routed.lock(item, { untilMs, owner, isExpired: select.kind === 'expired' })) return null;
    if (claim !== null && sessionId !== null && !claimed.has(sessionId)) this.#sessions.claim(sessionId, claim);
    if (sessionId !== null) claimed.add(sessionId);
    // An activity must not run without its limits: with damaged routing it gets an input that fails it.
    if (routing === null) return { ...item, payload: readText(null), routing: routingOf({ tag, sessionId, priority }) };
    if (routing.limit !== null && sessionId === null && select.kind === 'queue') this.#limits.begin(routing.limit);
    return { ...item, payload: row.payload, routing };
  }

  /** A damaged item must not keep others from being handed out: it is mended, or removed when nobody can name it. */
  #mending(row: WorkRow, take: () => WorkItem | null): WorkItem | null {
    try {
      const item = isReadable(row) ? take() : null;
      if (item !== null) return item;
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    this.#instances.mendWork(row.routing === undefined ? 'work_items' : 'routed_items');
    // Mended, it is fetched again; where it was handed out and is sound, nothing changed.
    return null;
  }

  /** Acks of one instance: its messages are announced once. */
  ackAll(acks: readonly WorkItemAck[]): WorkItemOutcome[] {
    const nowMs = this.#clock.nowMs();
    const completions: string[] = [];
    const outcomes = acks.map((ack): WorkItemOutcome => {
      if (!this.#remove(ack, nowMs)) return this.#missing(ack);
      if (ack.completionPayload !== null) completions.push(ack.completionPayload);
      return 'done';
    });
    const [first] = acks;
    if (first !== undefined && completions.length > 0) this.#instances.enqueueAll(first.instanceId, completions);
    return outcomes;
  }

  /**
   * Removes items of an instance, with what they have received; their completions go another way. Returns false, with nothing removed, unless all
   * of them are held at that time. One time for all of it: a lock may end this very moment.
   */
  removeAll(acks: readonly WorkItemAck[], nowMs: number): boolean {
    const [only] = acks;
    // Of one nothing can be removed in part: no look before.
    if (only !== undefined && acks.length === 1) return this.#remove(only, nowMs);
    const range = asRange(acks);
    if (range !== null && this.#countHeld.get(...range, nowMs) === acks.length) {
      this.#deleteHeld.run(...range, nowMs);
      for (const { lockToken } of acks) this.#leases.finish(lockToken);
      return true;
    }
    if (!acks.every((ack) => this.#isHeld.get(...lockKey(ack), nowMs) !== undefined || this.#routed.holds(ack, nowMs))) return false;
    for (const ack of acks) this.#remove(ack, nowMs);
    return true;
  }

  /** Removes an item if it is held. */
  #remove(ack: WorkItemAck, nowMs: number): boolean {
    if (this.#deleteLocked.run(...lockKey(ack), nowMs).changes === 1) this.#leases.finish(ack.lockToken);
    else if (!this.#routed.ack(ack, nowMs)) return false;
    if (ack.received !== undefined) this.#sessionMessages.deleteTaken(ack.received.sessionId, ack.received.uptoSeq);
    return true;
  }

  abandon(item: WorkItemLock & { readonly delayMs: number; readonly countAttempt: boolean }): WorkItemOutcome {
    const nowMs = this.#clock.nowMs();
    const takenBack = item.countAttempt ? 0 : 1;
    const { changes } = this.#release.run(nowMs + item.delayMs, takenBack, ...lockKey(item), nowMs);
    if (changes === 1) this.#leases.finish(item.lockToken);
    return changes === 1 || this.#routed.abandon(item, takenBack) ? 'done' : this.#missing(item);
  }

  renew(item: WorkItemLock & { readonly heartbeat?: string }, lockMs: number): WorkItemOutcome {
    const nowMs = this.#clock.nowMs();
    const { heartbeat } = item;
    const { changes } =
      heartbeat === undefined
        ? this.#renew.run(nowMs + lockMs, ...lockKey(item), nowMs)
        : this.#beat.run(nowMs + lockMs, heartbeat, ...lockKey(item), nowMs);
    if (changes === 1) this.#leases.renew('work_items', item, nowMs + lockMs);
    return changes === 1 || this.#routed.renew(item, lockMs, heartbeat ?? null) ? 'done' : this.#missing(item);
  }

  list(instanceId: string): readonly WorkItemRecord[] {
    const nowMs = this.#clock.nowMs();
    return (this.#list.all(instanceId, instanceId) as RecordRow[]).map(({ lockToken, ...row }) => ({
      ...row,
      isRunning: lockToken !== null && row.visibleAtMs > nowMs,
    }));
  }

  count(): number {
    return this.#count.get() as number;
  }

  #missing(item: WorkItemLock): 'gone' | 'lockLost' {
    const exists = this.#exists.get(item.instanceId, item.executionId, item.eventId) !== undefined || this.#routed.exists(item);
    return exists ? 'lockLost' : 'gone';
  }
}

/** SQLite checks the types of what it writes, never of what it reads. */
function isReadable(row: WorkRow): boolean {
  const isKey = typeof row.instanceId === 'string' && Number.isSafeInteger(row.executionId) && Number.isSafeInteger(row.eventId);
  const isWork = typeof row.name === 'string' && typeof row.payload === 'string' && Number.isSafeInteger(row.attempts);
  if (!isKey || !isWork || !isTextOrNull(row.heartbeat)) return false;
  return row.routing === undefined || (isTextOrNull(row.tag) && isTextOrNull(row.sessionId) && Number.isSafeInteger(row.priority));
}

function isTextOrNull(cell: unknown): boolean {
  return cell === null || typeof cell === 'string';
}

/** Parameters of a range when the items follow each other and have one token; null: they do not. As a fan-out ends, they mostly do. */
function asRange(acks: readonly WorkItemAck[]): [string, number, number, number, string] | null {
  const [first] = acks;
  if (first === undefined || first.received !== undefined) return null;
  const { instanceId, executionId, eventId, lockToken } = first;
  for (const [index, ack] of acks.entries()) {
    if (ack.eventId !== eventId + index || ack.executionId !== executionId || ack.lockToken !== lockToken || ack.received !== undefined)
      return null;
  }
  return [instanceId, executionId, eventId, eventId + acks.length - 1, lockToken];
}

function instanceIdOf({ instanceId }: WorkItem): string {
  return instanceId;
}

function lockKey(item: WorkItemLock): [string, number, number, string] {
  return [item.instanceId, item.executionId, item.eventId, item.lockToken];
}
