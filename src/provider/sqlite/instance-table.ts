// SQL on instances, their messages and timers: everything but turns and work items. Neighbours: turn-commit.ts and work-queue.ts use it.
// All methods run inside a transaction of group-commit.ts.
import type Database from 'better-sqlite3';
import type { InstanceRecord, InstanceStatus } from '../../types/instance.ts';
import type { Clock } from '../../types/clock.ts';
import type { EnqueueOutcome, NewInstance, NewMessage, NewTimer, StartOutcome } from '../provider.ts';

/** `visible_at` of a start message: before every other message of the instance. */
const START = 0;
/** `visible_at` of other messages: visible at once, in the order of their ids, also when the clock jumps back. */
const AT_ONCE = 1;
/** `visible_at` of timers begins here. */
const FIRST_TIMER = 2;

/** Instances and the orchestrator queue. */
export class InstanceTable {
  readonly #clock: Clock;
  readonly #insertInstance: Database.Statement;
  readonly #announce: Database.Statement;
  readonly #insertMessage: Database.Statement;
  readonly #readStatus: Database.Statement;
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
    // Takes a message id and keeps the ready order: a locked instance stays locked, a held one held, a stopped one stopped.
    this.#announce = database
      .prepare(
        `UPDATE instances SET message_seq = message_seq + ?,
         ready_at = CASE WHEN lock_token IS NOT NULL AND ready_at > ? THEN ready_at
                         WHEN status IN ('Pending', 'Running') THEN max(hold_until, min(coalesce(ready_at, ?), ?))
                         ELSE NULL END
       WHERE instance_id = ? AND status NOT IN ('Completed', 'Failed', 'Cancelled', 'Terminated')
       RETURNING message_seq`,
      )
      .pluck();
    this.#insertMessage = database.prepare(
      'INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, timer_id, attempts, payload) VALUES (?, ?, ?, ?, ?, 0, ?)',
    );
    this.#readStatus = database.prepare('SELECT status FROM instances WHERE instance_id = ?').pluck();
    const columns = `instance_id AS instanceId, name, version, status, execution_id AS executionId, last_event_id AS lastEventId, output,
      custom_status AS customStatus, custom_status_version AS customStatusVersion, parent_instance_id AS parentInstanceId,
      created_at AS createdAtMs, updated_at AS updatedAtMs`;
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
    const lastId = this.#announce.get(payloads.length, nowMs, nowMs, nowMs, instanceId) as number | undefined;
    if (lastId === undefined) return this.#readStatus.get(instanceId) === undefined ? 'notFound' : 'ended';
    let messageId = lastId - payloads.length;
    for (const payload of payloads) this.#insertMessage.run(instanceId, AT_ONCE, (messageId += 1), nowMs, null, payload);
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

  list(afterInstanceId: string, limit: number, status: InstanceStatus | undefined): readonly InstanceRecord[] {
    const rows = status === undefined ? this.#list.all(afterInstanceId, limit) : this.#listByStatus.all(afterInstanceId, status, limit);
    return rows as readonly InstanceRecord[];
  }

  countMessages(): number {
    return this.#countMessages.get() as number;
  }
}
