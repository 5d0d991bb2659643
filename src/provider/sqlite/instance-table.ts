// SQL on instances, their messages and timers: everything but turns and work items. Neighbours: orchestrator-queue.ts and work-queue.ts use it.
// All methods run inside a transaction of group-commit.ts.
import type Database from 'better-sqlite3';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../../types/instance.ts';
import type { Clock } from '../../types/clock.ts';
import { MAX_MESSAGES_PER_TURN } from '../../types/limits.ts';
import type { ParentLink } from '../../types/names.ts';
import {
  IN_PROGRESS_HEAD_START_MS,
  PRIORITY_HEAD_START_MS,
  type EnqueueOutcome,
  type FetchedMessage,
  type NewInstance,
  type NewMessage,
  type NewTimer,
} from '../provider.ts';
import { AttributeTable } from './attributes.ts';
import type { StoreChanges } from './changes.ts';
import type { CodeTable } from './codes.ts';
import { describeDamage, isDamage, RowRepair, type WorkTable } from './damage.ts';
import { sqliteCode } from './open-database.ts';
import { TurnOffer, type TurnDemand } from './turn-offer.ts';
import { WideStatement, type Cell } from './wide-statement.ts';

/** `visible_at` of a start message: before every other message of the instance. */
const START = 0;
/** `visible_at` of other messages: visible at once, in the order of their ids, also when the clock jumps back. */
const AT_ONCE = 1;
/** `visible_at` of timers begins here. */
const FIRST_TIMER = 2;

type QueueRow = {
  readonly status: InstanceStatus;
  readonly message_seq: number;
  readonly ready_at: number | null;
  readonly lock_token: string | null;
  readonly handed_seq: number | null;
  readonly hold_until: number;
  readonly priority: number;
  readonly code_id: number;
  readonly name: string;
  readonly version: string | null;
  readonly execution_id: number;
  readonly last_event_id: number;
  readonly created_at: number;
  readonly parent_instance_id: string | null;
};

/** Where an instance stands after a message: see `ready_at` in migrations.ts. */
type Place = Pick<QueueRow, 'ready_at' | 'lock_token'>;

/** The columns of a parent link; all null without a parent. */
export type ParentColumns = {
  readonly parent_instance_id: string | null;
  readonly parent_execution_id: number | null;
  readonly parent_event_id: number | null;
};

/** An instance as it is read for people. */
export type RecordRow = Omit<InstanceRecord, 'parent'> & ParentColumns;

/** The columns of a `RecordRow`. */
export const RECORD_COLUMNS = `instance_id AS instanceId, name, version, status, execution_id AS executionId, last_event_id AS lastEventId, output,
  custom_status AS customStatus, custom_status_version AS customStatusVersion, attributes, parent_instance_id, parent_execution_id,
  parent_event_id, on_parent_close AS onParentClose, priority, created_at AS createdAtMs, updated_at AS updatedAtMs, ended_at AS endedAtMs`;

/** Instances and the orchestrator queue. */
export class InstanceTable {
  /** Instances that get a message while a fetch waits for them, see turn-offer.ts. */
  readonly offer: TurnOffer;
  readonly attributes: AttributeTable;
  /** For rows that were damaged outside. */
  readonly repair: RowRepair;
  readonly #clock: Clock;
  readonly #codes: CodeTable;
  readonly #changes: StoreChanges;
  readonly #insertInstance: Database.Statement;
  readonly #selectQueue: Database.Statement;
  readonly #announce: Database.Statement;
  readonly #handOut: Database.Statement;
  readonly #insertMessage: WideStatement;
  readonly #insertKeyed: Database.Statement;
  readonly #hasKey: Database.Statement;
  readonly #mendSeq: Database.Statement;
  readonly #setFirst: Database.Statement;
  readonly #readRecord: Database.Statement;
  readonly #readParent: Database.Statement;
  readonly #readNotice: Database.Statement;
  readonly #quarantine: Database.Statement;
  readonly #countMessages: Database.Statement;

  constructor(database: Database.Database, parts: { readonly clock: Clock; readonly codes: CodeTable; readonly changes: StoreChanges }) {
    this.offer = new TurnOffer(parts.codes);
    this.#clock = parts.clock;
    this.#codes = parts.codes;
    this.#changes = parts.changes;
    this.attributes = new AttributeTable(database);
    this.repair = new RowRepair(database);
    this.#insertInstance = database.prepare(
      `INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, last_event_id, ready_at, lock_token, hold_until,
         message_seq, handed_seq, handed_at, custom_status_version, has_extras, parent_instance_id, parent_execution_id, parent_event_id,
         on_parent_close, parent_notice, created_at, updated_at, attributes)
       VALUES (?, ?, ?, ?, 'Pending', ?, ?, 0, ?, ?, ?, 1, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    // Two statements instead of an UPDATE with a CASE and RETURNING: that one opens a temporary table and costs more than both.
    this.#selectQueue = database.prepare(
      `SELECT status, message_seq, ready_at, lock_token, handed_seq, hold_until, priority, code_id, name, version, execution_id, last_event_id,
         created_at, parent_instance_id FROM instances WHERE instance_id = ?`,
    );
    this.#announce = database.prepare('UPDATE instances SET message_seq = ?, ready_at = ?, lock_token = ? WHERE instance_id = ?');
    this.#handOut = database.prepare(
      'UPDATE instances SET message_seq = ?, ready_at = ?, lock_token = ?, handed_seq = ?, handed_at = ? WHERE instance_id = ?',
    );
    this.#insertMessage = new WideStatement(database, {
      before: 'INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, timer_id, attempts, payload) VALUES',
      row: '(?, ?, ?, ?, ?, 0, ?)',
    });
    this.#insertKeyed = database.prepare(
      `INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, attempts, message_key, payload)
       VALUES (?, ${AT_ONCE}, ?, ?, 0, ?, ?)`,
    );
    this.#hasKey = database.prepare('SELECT 1 FROM orchestrator_queue WHERE instance_id = ? AND message_key = ?').pluck();
    this.#mendSeq = database.prepare(
      `UPDATE instances SET message_seq = ifnull((SELECT max(message_id) FROM orchestrator_queue
         WHERE orchestrator_queue.instance_id = instances.instance_id AND message_id < ${Number.MAX_SAFE_INTEGER}), 0)
       WHERE instance_id = ?`,
    );
    this.#setFirst = database.prepare('UPDATE instances SET first_execution_id = ? WHERE instance_id = ?');
    this.#readRecord = database.prepare(`SELECT ${RECORD_COLUMNS} FROM instances WHERE instance_id = ?`);
    this.#readParent = database.prepare(
      'SELECT parent_instance_id, parent_execution_id, parent_event_id FROM instances WHERE instance_id = ?',
    );
    this.#quarantine = database.prepare(
      `UPDATE instances SET status = 'Quarantined', stopped_as = 'Quarantined', output = ?, updated_at = ?, ready_at = NULL, lock_token = NULL, handed_seq = NULL,
         handed_at = NULL
       WHERE instance_id = ? AND status NOT IN ('Completed', 'Failed', 'Cancelled', 'Terminated', 'Quarantined')`,
    );
    this.#readNotice = database.prepare(
      'SELECT parent_instance_id AS instanceId, parent_notice AS payload FROM instances WHERE instance_id = ?',
    );
    this.#countMessages = database.prepare('SELECT count(*) FROM orchestrator_queue').pluck();
  }

  /** Inserts an instance unless its id is in use, whatever its policy; a delayed one is held until its time. */
  start(start: NewInstance, executionId = 1): 'started' | 'exists' {
    const nowMs = this.#clock.nowMs();
    const { instanceId, name, version, parent, priority } = start;
    const startAtMs = Math.max(start.startAtMs ?? nowMs, nowMs + start.delayMs);
    const isDelayed = startAtMs > nowMs;
    const codeId = this.#codes.idOf(name, version, 0);
    const readyAtMs = isDelayed ? startAtMs : nowMs - priority * PRIORITY_HEAD_START_MS;
    const taker = isDelayed ? null : this.offer.taker(codeId, readyAtMs);
    const { changes } = this.#insertInstance.run(
      instanceId,
      name,
      version,
      codeId,
      priority,
      executionId,
      taker === null ? readyAtMs : taker.endsAtMs,
      taker === null ? null : taker.lockToken,
      isDelayed ? startAtMs : 0,
      taker === null ? null : 1,
      taker === null ? null : nowMs,
      parent === null ? null : parent.instanceId,
      parent === null ? null : parent.executionId,
      parent === null ? null : parent.eventId,
      start.onParentClose,
      start.parentNotice,
      nowMs,
      nowMs,
      start.attributes === null || start.attributes.list.length === 0 ? null : start.attributes.text,
    );
    if (changes === 0) return 'exists';
    if (executionId > 1) this.#setFirst.run(executionId, instanceId);
    if (start.attributes !== null) this.attributes.put(instanceId, start.attributes);
    this.#insertMessage.run([instanceId, START, 1, nowMs, null, start.payload]);
    if (taker !== null) {
      const item = { instanceId, name, version, executionId, parent, lastEventId: 0, createdAtMs: nowMs, status: 'Pending' as const };
      this.offer.give(item, { readyAtMs, messages: [{ messageId: 1, payload: start.payload, attempt: 1 }] });
    }
    return 'started';
  }

  enqueue({ instanceId, payload, key }: NewMessage): EnqueueOutcome {
    if (key === undefined) return this.enqueueAll(instanceId, [payload]);
    return this.#mending(instanceId, () => this.#enqueueKeyed({ instanceId, payload, key }));
  }

  #enqueueKeyed({ instanceId, payload, key }: Required<NewMessage>): EnqueueOutcome {
    const nowMs = this.#clock.nowMs();
    const row = this.#readQueue(instanceId);
    if (row === undefined) return 'notFound';
    if (isEnded(row.status)) return 'ended';
    if (this.isQueued(instanceId, key)) return 'duplicate';
    const messageId = row.message_seq + 1;
    this.#announceAt(instanceId, row, [payload], nowMs);
    this.#insertKeyed.run(instanceId, messageId, nowMs, key, payload);
    return 'enqueued';
  }

  /** Enqueues messages of one instance: all of them or none. */
  enqueueAll(instanceId: string, payloads: readonly string[]): EnqueueOutcome {
    return this.#mending(instanceId, () => this.#enqueueEach(instanceId, payloads));
  }

  /** The instance comes first: when its row is damaged, nothing is written yet. */
  #enqueueEach(instanceId: string, payloads: readonly string[]): EnqueueOutcome {
    const nowMs = this.#clock.nowMs();
    const row = this.#readQueue(instanceId);
    if (row === undefined) return 'notFound';
    if (isEnded(row.status)) return 'ended';
    this.#announceAt(instanceId, row, payloads, nowMs);
    const cells: Cell[] = [];
    let messageId = row.message_seq;
    for (const payload of payloads) cells.push(instanceId, AT_ONCE, (messageId += 1), nowMs, null, payload);
    this.#insertMessage.run(cells);
    return 'enqueued';
  }

  /** Messages arrive: the instance goes to a fetch that waits, or to its place in the ready order. */
  #announceAt(instanceId: string, row: QueueRow, payloads: readonly string[], nowMs: number): void {
    const messageSeq = row.message_seq + payloads.length;
    const taker = this.#offerTurn(instanceId, row, payloads, nowMs);
    if (taker !== null) this.#handOut.run(messageSeq, taker.endsAtMs, taker.lockToken, messageSeq, nowMs, instanceId);
    else {
      const { ready_at: readyAtMs, lock_token: lockToken } = placeWithMessage(row, nowMs);
      this.#announce.run(messageSeq, readyAtMs, lockToken, instanceId);
    }
  }

  /** Returns who takes the instance with its new messages at once; null: nobody. */
  #offerTurn(instanceId: string, row: QueueRow, payloads: readonly string[], nowMs: number): TurnDemand | null {
    const { offer } = this;
    if (!offer.isOpen) return null;
    const toMessages = (): FetchedMessage[] =>
      payloads.map((payload, index) => ({ messageId: row.message_seq + 1 + index, payload, attempt: 1 }));
    if (row.lock_token !== null) return offer.holds(instanceId, row.lock_token) ? offer.add(instanceId, toMessages()) : null;
    const isIdle = row.ready_at === null && row.handed_seq === null && row.hold_until <= nowMs && !isStopped(row.status);
    if (!isIdle || payloads.length > MAX_MESSAGES_PER_TURN || !isReadableInstance(row)) return null;
    const readyAtMs = nowMs - headStartMs(row);
    const taker = offer.taker(row.code_id, readyAtMs);
    if (taker === null) return null;
    const item = {
      instanceId,
      name: row.name,
      version: row.version,
      status: row.status,
      executionId: row.execution_id,
      lastEventId: row.last_event_id,
      parent: row.parent_instance_id === null ? null : this.readParent(instanceId),
      createdAtMs: row.created_at,
    };
    offer.give(item, { readyAtMs, messages: toMessages() });
    return taker;
  }

  #readQueue(instanceId: string): QueueRow | undefined {
    const row = this.#selectQueue.get(instanceId) as QueueRow | undefined;
    if (row === undefined || Number.isSafeInteger(row.message_seq)) return row;
    this.#mendSeq.run(instanceId);
    return this.#selectQueue.get(instanceId) as QueueRow | undefined;
  }

  /** A damaged instance must not fail the senders of its messages: it is mended, and the message is tried once more. */
  #mending(instanceId: string, enqueue: () => EnqueueOutcome): EnqueueOutcome {
    try {
      return enqueue();
    } catch (error) {
      if (sqliteCode(error) === 'SQLITE_CONSTRAINT_PRIMARYKEY') this.#mendSeq.run(instanceId);
      else if (!isDamage(error) || !this.mend(instanceId)) throw error;
      return enqueue();
    }
  }

  /** Quarantines an instance whose row is damaged. Returns false when it is sound, or not there. */
  mend(instanceId: string): boolean {
    if (!this.repair.mendInstance(instanceId)) return false;
    this.#noteQuarantine(instanceId);
    return true;
  }

  /** Quarantines ready instances that no key finds. */
  mendUnnamed(): void {
    for (const instanceId of this.repair.mendUnnamed()) this.#noteQuarantine(instanceId);
  }

  /** Mends work items. Whose are lost is quarantined: it would wait for them for ever. */
  mendWork(table: WorkTable): void {
    for (const instanceId of this.repair.mendWork(table)) this.quarantine(instanceId);
  }

  /** Quarantines or mends what no fetch meets. */
  mendHidden(): void {
    for (const table of this.repair.hidden()) {
      if (table === 'instances') this.mendUnnamed();
      else this.mendWork(table);
    }
  }

  /** Takes an instance out of service that lacks what it needs, or whose queue cannot be read; unless it has ended. */
  quarantine(instanceId: string): void {
    if (this.mend(instanceId)) return;
    if (this.#quarantine.run(describeDamage(), this.#clock.nowMs(), instanceId).changes > 0) this.#noteQuarantine(instanceId);
  }

  /** An instance was quarantined for damage: its parent is told, and who waits for it wakes after the transaction. */
  #noteQuarantine(instanceId: string): void {
    this.offer.withdraw(instanceId);
    this.#changes.instances.add(instanceId);
    const notice = this.#readNotice.get(instanceId) as { readonly instanceId: string | null; readonly payload: string | null } | undefined;
    if (typeof notice?.instanceId !== 'string' || typeof notice.payload !== 'string') return;
    this.enqueue({ instanceId: notice.instanceId, payload: notice.payload });
  }

  /** Inserts messages whose ids the caller has taken; the caller sets the ready order. */
  insertTimers(instanceId: string, timers: readonly NewTimer[], firstMessageId: number): void {
    const cells: Cell[] = [];
    for (const [index, { visibleAtMs, eventId, payload }] of timers.entries()) {
      const atMs = Math.max(FIRST_TIMER, visibleAtMs);
      cells.push(instanceId, atMs, firstMessageId + index, atMs, eventId, payload);
    }
    this.#insertMessage.run(cells);
  }

  /** As `insertTimers`, for the start message of the next execution. */
  insertStart(instanceId: string, payload: string, messageId: number): void {
    this.#insertMessage.run([instanceId, START, messageId, this.#clock.nowMs(), null, payload]);
  }

  /** True while a message with the key waits or is being worked on. */
  isQueued(instanceId: string, key: string): boolean {
    return this.#hasKey.get(instanceId, key) !== undefined;
  }

  read(instanceId: string): InstanceRecord | null {
    const row = this.#readRecord.get(instanceId) as RecordRow | undefined;
    return row === undefined ? null : toRecord(row);
  }

  /** The parent link of an instance that exists. */
  readParent(instanceId: string): ParentLink | null {
    return toParentLink(this.#readParent.get(instanceId) as ParentColumns);
  }

  countMessages(): number {
    return this.#countMessages.get() as number;
  }
}

/**
 * Makes a parent link of its columns.
 *
 * @param row - the columns
 * @returns the link; null without a parent
 */
export function toParentLink(row: ParentColumns): ParentLink | null {
  const { parent_instance_id: instanceId, parent_execution_id: executionId, parent_event_id: eventId } = row;
  return instanceId === null || executionId === null || eventId === null ? null : { instanceId, executionId, eventId };
}

/**
 * Places an instance that is given back or resumed in the ready order: never before now, so that it goes behind those that wait (T50), but
 * with the head start of its priority when it can run at once.
 *
 * @param firstMs - when its first message is visible
 * @param priority - 0 to 9
 * @param nowMs - the time, epoch milliseconds
 * @returns the time from which it is fetched
 */
export function readyAtOnceMs(firstMs: number, priority: number, nowMs: number): number {
  return firstMs > nowMs ? firstMs : nowMs - priority * PRIORITY_HEAD_START_MS;
}

/** Where an instance stands that gets a message: a locked one stays locked, a held one held, a stopped one stopped; work in progress goes first. */
function placeWithMessage(row: QueueRow, nowMs: number): Place {
  if (row.lock_token !== null && row.ready_at !== null && row.ready_at > nowMs) return row;
  // Any other one, also one that was damaged outside, is replaced by the turn.
  if (isStopped(row.status)) return { ready_at: null, lock_token: null };
  const readyAtMs = row.hold_until > nowMs ? row.hold_until : nowMs - headStartMs(row);
  // Who was ready before stays so.
  return { ready_at: row.ready_at === null ? readyAtMs : Math.min(row.ready_at, readyAtMs), lock_token: null };
}

/**
 * Gives what stands in `stopped_as`.
 *
 * @param status - of the instance
 * @returns the status when people look for it; null: it goes well
 */
export function stoppedAs(status: InstanceStatus): InstanceStatus | null {
  return status === 'Pending' || status === 'Running' || status === 'Completed' ? null : status;
}

function isStopped(status: InstanceStatus): boolean {
  return status === 'Suspended' || status === 'Quarantined';
}

function headStartMs({ priority, status }: QueueRow): number {
  return priority * PRIORITY_HEAD_START_MS + (status === 'Running' ? IN_PROGRESS_HEAD_START_MS : 0);
}

/**
 * SQLite checks the types of what it writes, but not whether other cells that must hold something do.
 *
 * @param row - of an instance
 * @returns true when its turn can be handed out
 */
export function isReadableInstance(row: Pick<QueueRow, 'name' | 'status' | 'execution_id' | 'last_event_id' | 'created_at'>): boolean {
  const isPlaced =
    Number.isSafeInteger(row.execution_id) && Number.isSafeInteger(row.last_event_id) && Number.isSafeInteger(row.created_at);
  return isPlaced && typeof row.name === 'string' && typeof row.status === 'string';
}

/**
 * Makes a record of its row.
 *
 * @param row - the columns
 * @returns the record
 */
export function toRecord(row: RecordRow): InstanceRecord {
  const { parent_instance_id, parent_execution_id, parent_event_id, ...rest } = row;
  return { ...rest, parent: toParentLink({ parent_instance_id, parent_execution_id, parent_event_id }) };
}
