// SQL on instances, their messages and timers: everything but turns and work items. Neighbours: turn-commit.ts and work-queue.ts use it.
// All methods run inside a transaction of group-commit.ts.
import type Database from 'better-sqlite3';
import type { InstanceRecord, InstanceStatus } from '../../types/instance.ts';
import type { Clock } from '../../types/clock.ts';
import type { EnqueueOutcome, NewInstance, NewMessage, NewTimer, StartOutcome } from '../provider.ts';

/** Visibility time of a start message: before every other message of the instance. */
const FIRST = 0;

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
        `UPDATE instances SET message_seq = message_seq + 1,
         ready_at = CASE WHEN lock_token IS NOT NULL AND ready_at > ? THEN ready_at
                         WHEN status IN ('Pending', 'Running') THEN max(hold_until, min(coalesce(ready_at, ?), ?))
                         ELSE NULL END
       WHERE instance_id = ? AND status NOT IN ('Completed', 'Failed', 'Cancelled', 'Terminated')
       RETURNING message_seq`,
      )
      .pluck();
    this.#insertMessage = database.prepare(
      'INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, timer_id, attempts, payload) VALUES (?, ?, ?, ?, 0, ?)',
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
    this.#insertMessage.run(start.instanceId, FIRST, 1, null, start.payload);
    return 'started';
  }

  enqueue(message: NewMessage): EnqueueOutcome {
    const nowMs = this.#clock.nowMs();
    const messageId = this.#announce.get(nowMs, nowMs, nowMs, message.instanceId) as number | undefined;
    if (messageId === undefined) return this.#readStatus.get(message.instanceId) === undefined ? 'notFound' : 'ended';
    this.#insertMessage.run(message.instanceId, nowMs, messageId, null, message.payload);
    return 'enqueued';
  }

  /** Inserts a message whose id the caller has taken; the caller sets the ready order. */
  insertTimer(instanceId: string, timer: NewTimer, messageId: number): void {
    this.#insertMessage.run(instanceId, Math.max(1, timer.visibleAtMs), messageId, timer.eventId, timer.payload);
  }

  /** As `insertTimer`, for the start message of the next execution. */
  insertStart(instanceId: string, payload: string, messageId: number): void {
    this.#insertMessage.run(instanceId, FIRST, messageId, null, payload);
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
