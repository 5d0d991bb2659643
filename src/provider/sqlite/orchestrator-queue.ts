// Turns in SQL: lock instances with their messages, commit, abandon, renew. Neighbours: instance-table.ts (messages), work-queue.ts (work items).
// All methods run inside a transaction of group-commit.ts and repeat safely after a rollback. The number of statements per turn is what
// limits throughput: the hot ones do several things at once.
import type Database from 'better-sqlite3';
import { encodeRecord } from '../../types/codec.ts';
import type { Clock } from '../../types/clock.ts';
import { ENGINE_BEHAVIOUR } from '../../types/history-event.ts';
import { isEnded, type InstanceStatus } from '../../types/instance.ts';
import { MAX_MESSAGES_PER_TURN } from '../../types/limits.ts';
import type {
  FetchedMessage,
  HistoryPage,
  HistoryRequest,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationItem,
  OrchestrationLock,
} from '../provider.ts';
import type { CodeFilter, CodeTable } from './codes.ts';
import type { InstanceControl } from './control.ts';
import { isDamage, readText } from './damage.ts';
import { isReadableInstance, readyAtOnceMs, stoppedAs, type InstanceTable } from './instance-table.ts';
import type { LeaseTable } from './leases.ts';
import { inOrder } from './message-order.ts';
import type { SubscriptionTable } from './subscriptions.ts';
import type { TurnEffectWriter } from './turn-effects.ts';
import type { WorkQueue } from './work-queue.ts';

type LockRow = {
  readonly instance_key: number;
  readonly status: InstanceStatus;
  readonly hold_until: number;
  readonly execution_id: number;
  readonly last_event_id: number;
  readonly created_at: number;
  readonly lock_token: string | null;
  readonly ready_at: number | null;
  readonly message_seq: number;
  readonly handed_seq: number | null;
  readonly handed_at: number | null;
  readonly code_id: number;
  readonly priority: number;
  readonly has_extras: number;
};

type FetchRow = {
  readonly parent_instance_id: string | null;
  readonly instance_id: string;
  readonly name: string;
  readonly version: string | null;
  readonly status: OrchestrationItem['status'];
  readonly execution_id: number;
  readonly last_event_id: number;
  readonly handed_seq: number | null;
  readonly handed_at: number | null;
  readonly created_at: number;
};

type MessageRow = {
  readonly message_id: number;
  readonly visible_at: number;
  readonly arrived_at: number;
  readonly timer_id: number | null;
  readonly attempts: number;
  readonly payload: string;
};

/** Most codes with ready instances that one fetch merges, those that wait longest: SQLite limits the parts of a statement. */
const MAX_MERGED_CODES = 100;

/** The orchestrator queue and history. */
export class OrchestratorQueue {
  readonly #clock: Clock;
  readonly #instances: InstanceTable;
  readonly #work: WorkQueue;
  readonly #codes: CodeTable;
  readonly #control: InstanceControl;
  readonly #subscriptions: SubscriptionTable;
  readonly #effects: TurnEffectWriter;
  readonly #leases: LeaseTable;
  readonly #database: Database.Database;
  /** By number of codes. */
  readonly #readySelects = new Map<number, Database.Statement>();
  readonly #firstReady: Database.Statement;
  readonly #nextReady: Database.Statement;
  readonly #selectTurn: Database.Statement;
  readonly #lock: Database.Statement;
  readonly #selectMessages: Database.Statement;
  readonly #setHandOut: Database.Statement;
  readonly #countAttempts: Database.Statement;
  readonly #selectLock: Database.Statement;
  readonly #update: Database.Statement;
  readonly #end: Database.Statement;
  readonly #markStopped: Database.Statement;
  readonly #setCustomStatus: Database.Statement;
  readonly #insertPage: Database.Statement;
  readonly #deleteMessage: Database.Statement;
  readonly #deleteSome: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #deleteTimer: Database.Statement;
  readonly #deleteTimers: Database.Statement;
  readonly #firstVisible: Database.Statement;
  readonly #insertPast: Database.Statement;
  readonly #continueAsNew: Database.Statement;
  readonly #release: Database.Statement;
  readonly #renew: Database.Statement;
  readonly #selectPages: Database.Statement;

  constructor(
    database: Database.Database,
    parts: {
      readonly clock: Clock;
      readonly instances: InstanceTable;
      readonly work: WorkQueue;
      readonly codes: CodeTable;
      readonly control: InstanceControl;
      readonly subscriptions: SubscriptionTable;
      readonly effects: TurnEffectWriter;
      readonly leases: LeaseTable;
    },
  ) {
    this.#database = database;
    this.#clock = parts.clock;
    this.#instances = parts.instances;
    this.#work = parts.work;
    this.#codes = parts.codes;
    this.#control = parts.control;
    this.#subscriptions = parts.subscriptions;
    this.#effects = parts.effects;
    this.#leases = parts.leases;
    const prepare = (sql: string): Database.Statement => database.prepare(sql);
    // Both read the index in its order, see below.
    this.#firstReady = prepare('SELECT ready_at FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at <= ? LIMIT 1').pluck();
    this.#nextReady = prepare(
      `SELECT ready_at FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at >= ${Number.MIN_SAFE_INTEGER} LIMIT 1`,
    ).pluck();
    this.#selectTurn = prepare(
      `SELECT instance_id, name, version, status, execution_id, last_event_id, handed_seq, handed_at, parent_instance_id, created_at
       FROM instances WHERE instance_id = ?`,
    );
    this.#lock = prepare(
      'UPDATE instances SET lock_token = ?, ready_at = ?, handed_seq = message_seq, handed_at = ?, hold_until = 0 WHERE instance_id = ?',
    );
    // Both read the primary key in its order. ORDER BY and min() would say so, but cost 8 µs each in SQLite, three times the rest; a test
    // holds the query plans instead.
    this.#selectMessages = prepare(
      `SELECT message_id, visible_at, arrived_at, timer_id, attempts, payload FROM orchestrator_queue
       WHERE instance_id = ? AND visible_at <= ? LIMIT ${MAX_MESSAGES_PER_TURN}`,
    );
    this.#firstVisible = prepare('SELECT visible_at FROM orchestrator_queue WHERE instance_id = ? LIMIT 1').pluck();
    this.#setHandOut = prepare('UPDATE instances SET handed_seq = ?, handed_at = ? WHERE instance_id = ?');
    this.#countAttempts = prepare(
      'UPDATE orchestrator_queue SET attempts = attempts + 1 WHERE instance_id = ? AND visible_at <= ? AND message_id <= ?',
    );
    this.#selectLock = prepare(
      `SELECT instance_key, status, hold_until, execution_id, last_event_id, created_at, lock_token, ready_at, message_seq, handed_seq, handed_at, code_id, priority, has_extras
       FROM instances WHERE instance_id = ?`,
    );
    // Values only: a subquery or a fence in here makes SQLite open temporary tables, which costs more than a SELECT before (50 µs, not 8).
    const update = (more: string): Database.Statement =>
      prepare(
        `UPDATE instances SET status = ?, output = ?, version = ?, code_id = ?, last_event_id = ?, updated_at = ?, message_seq = ?, ready_at = ?,
           ${more}lock_token = NULL, hold_until = 0, handed_seq = NULL, handed_at = NULL WHERE instance_key = ?`,
      );
    this.#update = update('');
    // Apart, so that only the last turn touches the index of it.
    this.#end = update('ended_at = ?, ');
    this.#markStopped = prepare('UPDATE instances SET stopped_as = ? WHERE instance_key = ?');
    this.#setCustomStatus = prepare(
      'UPDATE instances SET custom_status = ?, custom_status_version = custom_status_version + 1 WHERE instance_id = ?',
    );
    this.#insertPage = prepare(
      'INSERT INTO history (instance_key, execution_id, first_event_id, last_event_id, events) VALUES (?, ?, ?, ?, ?)',
    );
    this.#deleteMessage = prepare('DELETE FROM orchestrator_queue WHERE instance_id = ? AND visible_at <= ? AND message_id = ?');
    this.#deleteSome = prepare(
      'DELETE FROM orchestrator_queue WHERE instance_id = ? AND visible_at <= ? AND message_id IN (SELECT value FROM json_each(?))',
    );
    this.#deleteAll = prepare('DELETE FROM orchestrator_queue WHERE instance_id = ?');
    this.#deleteTimer = prepare(
      'DELETE FROM orchestrator_queue INDEXED BY orchestrator_queue_timers WHERE instance_id = ? AND timer_id = ?',
    );
    this.#deleteTimers = prepare(
      'DELETE FROM orchestrator_queue INDEXED BY orchestrator_queue_timers WHERE instance_id = ? AND timer_id IS NOT NULL',
    );
    this.#insertPast = prepare(
      `INSERT INTO past_executions (instance_id, execution_id, name, version, last_event_id, ended_at)
       SELECT instance_id, execution_id, name, ?, ?, ? FROM instances WHERE instance_id = ?`,
    );
    this.#continueAsNew = prepare(
      'UPDATE instances SET execution_id = execution_id + 1, last_event_id = 0, name = ?, version = ?, code_id = ? WHERE instance_id = ?',
    );
    this.#release = prepare(
      'UPDATE instances SET lock_token = NULL, handed_seq = NULL, handed_at = NULL, hold_until = ?, ready_at = ? WHERE instance_id = ?',
    );
    this.#renew = prepare('UPDATE instances SET ready_at = ? WHERE instance_id = ? AND lock_token = ? AND ready_at > ?');
    this.#selectPages = prepare(
      `SELECT first_event_id AS firstEventId, last_event_id AS lastEventId, events FROM history
       WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?) AND execution_id = ?
         AND first_event_id > ? AND first_event_id <= ?
       ORDER BY first_event_id`,
    );
  }

  /**
   * When the next accepted instance is ready, or may be because a lock expires, epoch milliseconds; null: none will be without a new message.
   * Of the codes that are known.
   */
  nextReadyAtMs(filter: CodeFilter | undefined): number | null {
    const endMs = this.#leases.nextEndMs('instances');
    const readyMs = this.oldestReadyMs(filter);
    return readyMs === null || endMs === null ? (readyMs ?? endMs) : Math.min(readyMs, endMs);
  }

  /** When the first accepted one in the ready order is ready, now or later. */
  oldestReadyMs(filter: CodeFilter | undefined): number | null {
    let earliestMs: number | null = null;
    for (const codeId of this.#codes.candidates(filter)) {
      const readyAtMs = this.#nextReady.get(codeId);
      // A damaged row may hold anything; text and bytes stand behind all numbers.
      if (typeof readyAtMs !== 'number' || (earliestMs !== null && readyAtMs >= earliestMs)) continue;
      if (this.#codes.accepts(filter, codeId)) earliestMs = readyAtMs;
    }
    return earliestMs;
  }

  /** What the running transaction has given to the fetch, then what is ready. */
  fetch(params: {
    readonly accepts: CodeFilter | undefined;
    readonly maxItems: number;
    readonly lockMs: number;
    readonly lockToken: string;
  }): OrchestrationItem[] {
    const { accepts, maxItems, lockMs, lockToken } = params;
    const nowMs = this.#clock.nowMs();
    const { offer } = this.#instances;
    const demand = offer.of(lockToken);
    const lock = { lockToken, nowMs, endsAtMs: demand?.endsAtMs ?? nowMs + lockMs };
    if (demand === null) this.#leases.release('instances', nowMs);
    const latestMs = offer.latestMs(lockToken);
    // What the transaction has added needs code that it may have added as well.
    this.#codes.refresh();
    const oldestMs = latestMs === null ? null : this.oldestReadyMs(accepts);
    if (latestMs !== null && oldestMs !== null && oldestMs <= latestMs) this.releaseOffered();
    const items = offer.take(lockToken);
    const isAll = items.length > 0 && (oldestMs === null || oldestMs > nowMs);
    // Who had nothing to hand out is not ready any more, and leaves its place to the next one, which is.
    for (let isShort = !isAll && items.length < maxItems; isShort;) {
      isShort = false;
      for (const instanceId of this.#selectIds(accepts, nowMs, maxItems - items.length)) {
        const item = this.#lockOne(instanceId, lock);
        if (item === null) isShort = true;
        else items.push(item);
      }
    }
    if (items.length > 0) this.#leases.note('instances', lockToken, lock.endsAtMs, items.map(instanceIdOf));
    return items;
  }

  /** Puts back what was given to a fetch that did not take it, or that something else comes before (T1 of turn-offer.ts): uncharged, to its place. */
  releaseOffered(): void {
    for (const { item, readyAtMs } of this.#instances.offer.release()) this.#release.run(0, readyAtMs, item.instanceId);
  }

  /** Locks an instance. Returns null when there is nothing to hand out: it is not ready any more. */
  #lockOne(
    instanceId: string,
    { lockToken, nowMs, endsAtMs }: { readonly lockToken: string; readonly nowMs: number; readonly endsAtMs: number },
  ): OrchestrationItem | null {
    const row = typeof instanceId === 'string' ? (this.#selectTurn.get(instanceId) as FetchRow | undefined) : undefined;
    if (row === undefined) {
      // The index names a row that no key finds.
      this.#instances.mendUnnamed();
      return null;
    }
    try {
      this.#lock.run(lockToken, endsAtMs, nowMs, instanceId);
    } catch (error) {
      if (!isDamage(error) || !this.#instances.mend(instanceId)) throw error;
      return null;
    }
    if (!isReadableInstance(row) && this.#instances.mend(instanceId)) return null;
    const messages = this.#takeMessages(row, nowMs);
    if (messages.length === 0) return null;
    return {
      instanceId,
      lockToken,
      name: row.name,
      version: row.version,
      status: row.status,
      executionId: row.execution_id,
      lastEventId: row.last_event_id,
      messages: inOrder(messages).map(toMessage),
      parent: row.parent_instance_id === null ? null : this.#instances.readParent(instanceId),
      createdAtMs: row.created_at,
    };
  }

  /** The messages of an instance that was just locked; none: it is released, or quarantined because its queue is damaged. */
  #takeMessages({ instance_id: instanceId, handed_seq, handed_at }: FetchRow, nowMs: number): readonly MessageRow[] {
    try {
      // A hand-out that was neither acked nor abandoned: its lock expired, and it counts.
      if (handed_seq !== null) this.#countAttempts.run(instanceId, handed_at, handed_seq);
      const messages = this.#selectMessages.all(instanceId, nowMs) as MessageRow[];
      // Its lock ran out, and what it was locked for is not there any more.
      if (messages.length === 0) this.#release.run(0, this.#firstVisibleMs(instanceId), instanceId);
      if (messages.length === MAX_MESSAGES_PER_TURN) this.#limitHandOut(instanceId, messages);
      if (messages.every(isReadable)) return messages;
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    this.#instances.quarantine(instanceId);
    return [];
  }

  /** The accepted instances that are ready for longest: one look at each code, then at the instances of those that are accepted. */
  #selectIds(filter: CodeFilter | undefined, nowMs: number, maxItems: number): readonly string[] {
    const ready: { readonly codeId: number; readonly firstMs: number }[] = [];
    for (const codeId of this.#codes.candidates(filter)) {
      const firstMs = this.#firstReady.get(codeId, nowMs) as number | undefined;
      if (firstMs !== undefined && this.#codes.accepts(filter, codeId)) ready.push({ codeId, firstMs });
    }
    if (ready.length === 0) return [];
    const isTooMuch = ready.length > MAX_MERGED_CODES;
    const merged = isTooMuch ? ready.toSorted((a, b) => a.firstMs - b.firstMs).slice(0, MAX_MERGED_CODES) : ready;
    const params = merged.flatMap(({ codeId }) => [codeId, nowMs]);
    return this.#selectReady(merged.length).all(...params, maxItems) as string[];
  }

  /** For a number of codes: their parts of the index are read in turns, so each is read only as far as it contributes. */
  #selectReady(codeCount: number): Database.Statement {
    const known = this.#readySelects.get(codeCount);
    if (known !== undefined) return known;
    const ofCode = `SELECT instance_id${codeCount > 1 ? ', ready_at' : ''} FROM instances WHERE code_id = ? AND lock_token IS NULL AND ready_at <= ?`;
    const ofAll = Array.from({ length: codeCount }, () => ofCode).join(' UNION ALL ');
    const statement = this.#database.prepare(`${ofAll} ORDER BY ready_at, instance_id LIMIT ?`).pluck();
    this.#readySelects.set(codeCount, statement);
    return statement;
  }

  /** A backlog larger than a turn: only what is handed out counts an attempt. */
  #limitHandOut(instanceId: string, messages: readonly MessageRow[]): void {
    const newest = messages.reduce((most, { message_id }) => Math.max(most, message_id), 0);
    this.#setHandOut.run(newest, messages.at(-1)?.visible_at, instanceId);
  }

  commit(ack: OrchestrationAck): OrchestrationAckOutcome {
    const nowMs = this.#clock.nowMs();
    const { instanceId, executionId, next } = ack;
    const row = this.#selectLock.get(instanceId) as LockRow | undefined;
    if (row === undefined) return 'instanceGone';
    if (ack.lockToken !== null && !holdsLock(row, ack.lockToken, nowMs)) return 'lockLost';
    if (row.execution_id !== executionId || row.last_event_id !== ack.baseEventId) return 'conflict';
    if (ack.createdAtMs !== undefined && row.created_at !== ack.createdAtMs) return 'conflict';
    if (ack.lockToken !== null) this.#leases.finish(ack.lockToken);
    else if (!isIdle(row, nowMs) || !this.#work.removeAll(ack.completed ?? [], nowMs)) return 'conflict';
    const codeId = this.#codeAfterTurn(ack, row);
    const lastEventId = ack.page?.lastEventId ?? ack.baseEventId;
    if (ack.page !== null) {
      this.#insertPage.run(row.instance_key, executionId, ack.baseEventId + 1, ack.page.lastEventId, ack.page.events);
    }
    const messageSeq = isEnded(ack.status) ? this.#dropAll(ack, row) : this.#exchange(ack, row, nowMs);
    const readyAtMs = this.#readyAfterTurn(ack, row, nowMs);
    const cells = [ack.status, ack.output, ack.version, codeId, lastEventId, nowMs, messageSeq, readyAtMs] as const;
    const stopped = stoppedAs(ack.status);
    if (stopped !== null) this.#markStopped.run(stopped, row.instance_key);
    if (isEnded(ack.status)) this.#end.run(...cells, nowMs, row.instance_key);
    else this.#update.run(...cells, row.instance_key);
    if (ack.customStatus !== undefined) this.#setCustomStatus.run(ack.customStatus, instanceId);
    if (next !== null) {
      this.#insertPast.run(ack.version, lastEventId, nowMs, instanceId);
      this.#continueAsNew.run(next.name, next.version, this.#codes.idOf(next.name, next.version, 0), instanceId);
    }
    for (const start of ack.starts) {
      // The own id is taken whatever the policy says: a turn cannot replace what it is a turn of.
      const isTaken = start.instanceId === instanceId || this.#control.start(start) === 'exists';
      if (isTaken && start.conflictPayload !== null) this.#instances.enqueueAll(instanceId, [start.conflictPayload]);
    }
    // Last: they may be for an instance that this turn starts, or for this one.
    for (const message of ack.messages) this.#instances.enqueue(message);
    if (ack.effects !== null) this.#effects.apply(instanceId, ack.effects);
    if (isEnded(ack.status) && (row.has_extras === 1 || ack.effects !== null)) this.#subscriptions.deleteAll(instanceId);
    if (ack.closeChildren !== null) this.#control.close(instanceId, ack.closeChildren);
    return 'committed';
  }

  /** The code that the next turn of this execution needs. Of an ended instance nobody asks for it. Called before the item writes anything (C1 of codes.ts). */
  #codeAfterTurn(ack: OrchestrationAck, row: LockRow): number {
    const code = this.#codes.byId(row.code_id);
    if (code === undefined || ack.next !== null || isEnded(ack.status)) return row.code_id;
    const engine = ack.page === null ? code.engine : ENGINE_BEHAVIOUR;
    return code.engine === engine && code.version === ack.version ? row.code_id : this.#codes.idOf(code.name, ack.version, engine);
  }

  /** An ended instance keeps no queue. */
  #dropAll(ack: OrchestrationAck, row: LockRow): number {
    this.#deleteAll.run(ack.instanceId);
    this.#work.cancelAll(ack.instanceId, row.has_extras === 1);
    return row.message_seq;
  }

  /** Consumed messages and cancelled work go, new work and timers come. Returns the id of the newest message. */
  #exchange(ack: OrchestrationAck, row: LockRow, nowMs: number): number {
    const { instanceId, executionId } = ack;
    this.#deleteConsumed(ack, row);
    if (ack.workItems.length > 0) this.#work.insertAll(instanceId, executionId, ack.workItems, nowMs);
    for (const eventId of ack.cancelledActivities) this.#work.cancel(instanceId, executionId, eventId);
    let messageSeq = row.message_seq;
    if (ack.next !== null) {
      this.#deleteTimers.run(instanceId);
      this.#instances.insertStart(instanceId, ack.next.payload, (messageSeq += 1));
      return messageSeq;
    }
    if (ack.timers.length > 0) this.#instances.insertTimers(instanceId, ack.timers, messageSeq + 1);
    messageSeq += ack.timers.length;
    for (const eventId of ack.cancelledTimers) this.#deleteTimer.run(instanceId, eventId);
    return messageSeq;
  }

  #deleteConsumed(ack: OrchestrationAck, row: LockRow): void {
    const { instanceId, consumedMessageIds } = ack;
    // By the time of the hand-out, not by the present: the clock may have jumped back since.
    const handedAtMs = row.handed_at;
    if (consumedMessageIds.length === 1) this.#deleteMessage.run(instanceId, handedAtMs, consumedMessageIds[0]);
    else if (consumedMessageIds.length > 1) this.#deleteSome.run(instanceId, handedAtMs, encodeRecord(consumedMessageIds));
  }

  /** When the instance is ready again; null: not without a new message. */
  #readyAfterTurn(ack: OrchestrationAck, row: LockRow, nowMs: number): number | null {
    if (isEnded(ack.status) || ack.status === 'Suspended' || ack.status === 'Quarantined') return null;
    // An instance that was not ready at any time had nothing queued, and an optimistic turn without a timer queues nothing.
    const isEmpty = ack.lockToken === null && row.ready_at === null && ack.timers.length === 0 && ack.next === null;
    const firstVisible = isEmpty ? null : this.#firstVisibleMs(ack.instanceId);
    return firstVisible === null ? null : readyAtOnceMs(firstVisible, row.priority, nowMs);
  }

  #firstVisibleMs(instanceId: string): number | null {
    return (this.#firstVisible.get(instanceId) as number | undefined) ?? null;
  }

  abandon(item: OrchestrationLock & { readonly delayMs: number; readonly countAttempt: boolean }): 'done' | 'lockLost' {
    const nowMs = this.#clock.nowMs();
    const row = this.#selectLock.get(item.instanceId) as LockRow | undefined;
    if (row === undefined || !holdsLock(row, item.lockToken, nowMs)) return 'lockLost';
    this.#leases.finish(item.lockToken);
    if (item.countAttempt && row.handed_seq !== null) this.#countAttempts.run(item.instanceId, row.handed_at, row.handed_seq);
    const holdUntilMs = item.delayMs > 0 ? nowMs + item.delayMs : 0;
    const firstVisible = this.#firstVisibleMs(item.instanceId);
    const readyAtMs = firstVisible === null ? null : readyAtOnceMs(Math.max(firstVisible, holdUntilMs), row.priority, nowMs);
    this.#release.run(holdUntilMs, readyAtMs, item.instanceId);
    return 'done';
  }

  renew(lock: OrchestrationLock, lockMs: number): 'done' | 'lockLost' {
    const nowMs = this.#clock.nowMs();
    if (this.#renew.run(nowMs + lockMs, lock.instanceId, lock.lockToken, nowMs).changes === 0) return 'lockLost';
    this.#leases.renew('instances', lock, nowMs + lockMs);
    return 'done';
  }

  readHistory({ instanceId, executionId, afterEventId, upToEventId = Number.MAX_SAFE_INTEGER }: HistoryRequest): readonly HistoryPage[] {
    const pages = this.#selectPages.all(instanceId, executionId, afterEventId, upToEventId) as readonly HistoryPage[];
    return pages.every(({ events }) => typeof events === 'string')
      ? pages
      : pages.map((page) => ({ ...page, events: readText(page.events) }));
  }
}

/** A fetch would hand out nothing, and has handed out nothing. An expired lock has to be taken by a fetch first: it counts an attempt. */
function isIdle(row: LockRow, nowMs: number): boolean {
  return row.status === 'Running' && row.lock_token === null && row.hold_until <= nowMs && (row.ready_at === null || row.ready_at > nowMs);
}

function holdsLock(row: LockRow, lockToken: string, nowMs: number): boolean {
  return row.lock_token === lockToken && row.ready_at !== null && row.ready_at > nowMs;
}

/** Rows that were damaged outside may hold anything. */
function isReadable({ message_id, attempts, payload }: MessageRow): boolean {
  return typeof payload === 'string' && Number.isSafeInteger(message_id) && Number.isSafeInteger(attempts);
}

function instanceIdOf({ instanceId }: OrchestrationItem): string {
  return instanceId;
}

function toMessage(row: MessageRow): FetchedMessage {
  return { messageId: row.message_id, payload: row.payload, attempt: row.attempts + 1 };
}
