// SQL on instances, their messages and timers: everything but turns and work items. Neighbours: orchestrator-queue.ts and work-queue.ts use it.
// All methods run inside a transaction of group-commit.ts.
import type Database from 'better-sqlite3';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../../types/instance.ts';
import type { Clock } from '../../types/clock.ts';
import {
  IN_PROGRESS_HEAD_START_MS,
  type EnqueueOutcome,
  type InstanceProgress,
  type NewInstance,
  type NewMessage,
  type NewTimer,
  type StartOutcome,
} from '../provider.ts';

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
  readonly hold_until: number;
};

/** Instances and the orchestrator queue. */
export class InstanceTable {
  readonly #clock: Clock;
  readonly #insertInstance: Database.Statement;
  readonly #selectQueue: Database.Statement;
  readonly #announce: Database.Statement;
  readonly #insertMessage: Database.Statement;
  readonly #readProgress: Database.Statement;
  readonly #readRecord: Database.Statement;
  readonly #list: Database.Statement;
  readonly #listByStatus: Database.Statement;
  readonly #countMessages: Database.Statement;

  constructor(database: Database.Database, clock: Clock) {
    this.#clock = clock;
    this.#insertInstance = database.prepare(
      `INSERT INTO instances (instance_id, name, version, status, execution_id, last_event_id, ready_at, hold_until, message_seq,
         custom_status_version, parent_instance_id, created_at, updated_at)
       VALUES (?, ?, ?, 'Pending', 1, 0, ?, 0, 1, 0, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    // Two statements instead of an UPDATE with a CASE and RETURNING: that one opens a temporary table and costs more than both.
    this.#selectQueue = database.prepare(
      'SELECT status, message_seq, ready_at, lock_token, hold_until FROM instances WHERE instance_id = ?',
    );
    this.#announce = database.prepare('UPDATE instances SET message_seq = ?, ready_at = ? WHERE instance_id = ?');
    this.#insertMessage = database.prepare(
      'INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, timer_id, attempts, payload) VALUES (?, ?, ?, ?, ?, 0, ?)',
    );
    const columns = `instance_id AS instanceId, name, version, status, execution_id AS executionId, last_event_id AS lastEventId, output,
      custom_status AS customStatus, custom_status_version AS customStatusVersion, parent_instance_id AS parentInstanceId,
      created_at AS createdAtMs, updated_at AS updatedAtMs`;
    this.#readProgress = database.prepare(
      'SELECT status, custom_status_version AS customStatusVersion FROM instances WHERE instance_id = ?',
    );
    this.#readRecord = database.prepare(`SELECT ${columns} FROM instances WHERE instance_id = ?`);
    this.#list = database.prepare(`SELECT ${columns} FROM instances WHERE instance_id > ? ORDER BY instance_id LIMIT ?`);
    this.#listByStatus = database.prepare(
      `SELECT ${columns} FROM instances WHERE instance_id > ? AND status = ? ORDER BY instance_id LIMIT ?`,
    );
    this.#countMessages = database.prepare('SELECT count(*) FROM orchestrator_queue').pluck();
  }

  start(start: NewInstance): StartOutcome {
    const nowMs = this.#clock.nowMs();
    const inserted = this.#insertInstance.run(start.instanceId, start.name, start.version, nowMs, start.parentInstanceId, nowMs, nowMs);
    if (inserted.changes === 0) return 'exists';
    this.#insertMessage.run(start.instanceId, START, 1, nowMs, null, start.payload);
    return 'started';
  }

  enqueue(message: NewMessage): EnqueueOutcome {
    return this.enqueueAll(message.instanceId, [message.payload]);
  }

  /** Enqueues messages of one instance: all of them or none. */
  enqueueAll(instanceId: string, payloads: readonly string[]): EnqueueOutcome {
    const nowMs = this.#clock.nowMs();
    const row = this.#selectQueue.get(instanceId) as QueueRow | undefined;
    if (row === undefined) return 'notFound';
    if (isEnded(row.status)) return 'ended';
    let messageId = row.message_seq;
    for (const payload of payloads) this.#insertMessage.run(instanceId, AT_ONCE, (messageId += 1), nowMs, null, payload);
    this.#announce.run(messageId, readyWithMessage(row, nowMs), instanceId);
    return 'enqueued';
  }

  /** Inserts a message whose id the caller has taken; the caller sets the ready order. */
  insertTimer(instanceId: string, timer: NewTimer, messageId: number): void {
    const visibleAtMs = Math.max(FIRST_TIMER, timer.visibleAtMs);
    this.#insertMessage.run(instanceId, visibleAtMs, messageId, visibleAtMs, timer.eventId, timer.payload);
  }

  /** As `insertTimer`, for the start message of the next execution. */
  insertStart(instanceId: string, payload: string, messageId: number): void {
    this.#insertMessage.run(instanceId, START, messageId, this.#clock.nowMs(), null, payload);
  }

  read(instanceId: string): InstanceRecord | null {
    return (this.#readRecord.get(instanceId) as InstanceRecord | undefined) ?? null;
  }

  /** What a wait looks at: the rest of the record is read once, at its end. */
  readProgress(instanceId: string): InstanceProgress | null {
    return (this.#readProgress.get(instanceId) as InstanceProgress | undefined) ?? null;
  }

  list(afterInstanceId: string, limit: number, status: InstanceStatus | undefined): readonly InstanceRecord[] {
    const rows = status === undefined ? this.#list.all(afterInstanceId, limit) : this.#listByStatus.all(afterInstanceId, status, limit);
    return rows as readonly InstanceRecord[];
  }

  countMessages(): number {
    return this.#countMessages.get() as number;
  }
}

/** When an instance is ready that gets a message: a locked one stays locked, a held one held, a stopped one stopped; work in progress goes first. */
function readyWithMessage(row: QueueRow, nowMs: number): number | null {
  if (row.lock_token !== null && row.ready_at !== null && row.ready_at > nowMs) return row.ready_at;
  if (row.status !== 'Pending' && row.status !== 'Running') return null;
  const readyAtMs = Math.max(row.hold_until, Math.min(row.ready_at ?? nowMs, nowMs));
  if (row.status !== 'Running' || readyAtMs > nowMs) return readyAtMs;
  return Math.min(readyAtMs, nowMs - IN_PROGRESS_HEAD_START_MS);
}
