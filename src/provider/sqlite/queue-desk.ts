// Looking into the queues and changing them by hand, in SQL. Neighbours: sqlite-provider.ts; instance-table.ts and work-queue.ts own the tables.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { InstanceStatus } from '../../types/instance.ts';
import { isPageLimit, makeLimitError } from '../list-limit.ts';
import type { QueueEdit, QueueItem, QueueItemRef, QueueQuery } from '../management.ts';
import { PRIORITY_HEAD_START_MS } from '../provider.ts';
import type { StoreChanges } from './changes.ts';
import { readText } from './damage.ts';
import { readyAtOnceMs, type InstanceTable } from './instance-table.ts';
import { parseRouting, visibleAtMsOf } from './routed-items.ts';
import type { WorkQueue } from './work-queue.ts';

type MessageRow = Omit<Extract<QueueItem, { kind: 'message' }>, 'kind' | 'lockedUntilMs'> & {
  readonly lockToken: string | null;
  readonly readyAtMs: number | null;
};

type WorkRow = Omit<Extract<QueueItem, { kind: 'workItem' }>, 'kind' | 'lockedUntilMs' | 'visibleAtMs' | 'routing'> & {
  readonly lockToken: string | null;
  readonly readyAtMs: number;
  readonly priority: number;
  readonly routing: string | null;
};

type PlaceRow = {
  readonly status: InstanceStatus;
  readonly priority: number;
  readonly holdUntilMs: number;
  readonly handedSeq: number | null;
  readonly handedAt: number | null;
};

/** The queues by hand. */
export class QueueDesk {
  readonly #clock: Clock;
  readonly #instances: InstanceTable;
  readonly #work: WorkQueue;
  readonly #changes: StoreChanges;
  readonly #peekMessages: Database.Statement;
  readonly #peekMessagesOf: Database.Statement;
  readonly #peekWork: Database.Statement;
  readonly #peekWorkOf: Database.Statement;
  readonly #selectPlace: Database.Statement;
  readonly #firstVisible: Database.Statement;
  readonly #hasMessage: Database.Statement;
  readonly #countAttempts: Database.Statement;
  readonly #forgetAttempts: Database.Statement;
  readonly #deleteMessage: Database.Statement;
  readonly #free: Database.Statement;
  readonly #freeItem: readonly Database.Statement[];
  readonly #freshItem: readonly Database.Statement[];
  readonly #deleteItem: readonly Database.Statement[];

  constructor(
    database: Database.Database,
    parts: { readonly clock: Clock; readonly instances: InstanceTable; readonly work: WorkQueue; readonly changes: StoreChanges },
  ) {
    this.#clock = parts.clock;
    this.#instances = parts.instances;
    this.#work = parts.work;
    this.#changes = parts.changes;
    const messages = (where: string): Database.Statement =>
      database.prepare(
        `SELECT q.instance_id AS instanceId, q.message_id AS messageId, q.timer_id AS timerEventId, q.message_key AS key,
           q.visible_at AS visibleAtMs, q.attempts + (i.handed_seq IS NOT NULL AND q.visible_at <= i.handed_at AND q.message_id <= i.handed_seq) AS attempt,
           q.payload, i.lock_token AS lockToken, i.ready_at AS readyAtMs
         FROM orchestrator_queue q JOIN instances i USING (instance_id) WHERE ${where}
         ORDER BY q.instance_id, q.visible_at, q.message_id LIMIT ?`,
      );
    this.#peekMessages = messages('(q.instance_id, q.visible_at, q.message_id) > (?, ?, ?)');
    this.#peekMessagesOf = messages('q.instance_id = ? AND (q.visible_at, q.message_id) > (?, ?)');
    const columns = `instance_id AS instanceId, execution_id AS executionId, event_id AS eventId, name, attempts AS attempt, heartbeat, payload,
      lock_token AS lockToken, ready_at AS readyAtMs`;
    const work = (where: string): Database.Statement =>
      database.prepare(
        `SELECT * FROM (
           SELECT * FROM (SELECT ${columns}, 0 AS priority, NULL AS routing FROM work_items WHERE ${where} ORDER BY 1, 2, 3 LIMIT ?)
           UNION ALL
           SELECT * FROM (SELECT ${columns}, priority, routing FROM routed_items WHERE ${where} ORDER BY 1, 2, 3 LIMIT ?)
         ) ORDER BY 1, 2, 3 LIMIT ?`,
      );
    this.#peekWork = work('(instance_id, execution_id, event_id) > (?, ?, ?)');
    this.#peekWorkOf = work('instance_id = ? AND (execution_id, event_id) > (?, ?)');
    this.#selectPlace = database.prepare(
      'SELECT status, priority, hold_until AS holdUntilMs, handed_seq AS handedSeq, handed_at AS handedAt FROM instances WHERE instance_id = ?',
    );
    this.#firstVisible = database.prepare('SELECT visible_at FROM orchestrator_queue WHERE instance_id = ? LIMIT 1').pluck();
    const message = 'instance_id = ? AND message_id = ?';
    this.#hasMessage = database.prepare(`SELECT 1 FROM orchestrator_queue WHERE ${message}`).pluck();
    this.#countAttempts = database.prepare(
      'UPDATE orchestrator_queue SET attempts = attempts + 1 WHERE instance_id = ? AND visible_at <= ? AND message_id <= ?',
    );
    this.#forgetAttempts = database.prepare(`UPDATE orchestrator_queue SET attempts = 0 WHERE ${message}`);
    this.#deleteMessage = database.prepare(`DELETE FROM orchestrator_queue WHERE ${message}`);
    this.#free = database.prepare(
      'UPDATE instances SET lock_token = NULL, ready_at = ?, hold_until = ?, handed_seq = NULL, handed_at = NULL WHERE instance_id = ?',
    );
    const key = 'instance_id = ? AND execution_id = ? AND event_id = ?';
    const free = (more: string): readonly Database.Statement[] =>
      [
        `UPDATE work_items SET lock_token = NULL, ready_at = ?${more} WHERE ${key}`,
        `UPDATE routed_items SET lock_token = NULL, ready_at = ? - priority * ${PRIORITY_HEAD_START_MS}${more} WHERE ${key}`,
      ].map((sql) => database.prepare(sql));
    this.#freeItem = free('');
    this.#freshItem = free(', attempts = 0');
    this.#deleteItem = ['work_items', 'routed_items'].map((table) => database.prepare(`DELETE FROM ${table} WHERE ${key}`));
  }

  /**
   * Reads items.
   *
   * @param query - of which queue, from where on
   * @returns the items
   * @throws {ArgumentError} for a limit outside its range
   */
  peek({ queue, instanceId, after, limit }: QueueQuery): readonly QueueItem[] {
    if (!isPageLimit(limit)) throw makeLimitError('peekQueue', limit);
    const nowMs = this.#clock.nowMs();
    const { major, minor } = after ?? { major: -1, minor: -1 };
    // Behind an instance before the wanted one nothing is left out, behind a later one there is nothing.
    const place = [instanceId ?? after?.instanceId ?? '', major, minor] as const;
    if (queue === 'orchestrator') {
      const rows = (instanceId === undefined ? this.#peekMessages : this.#peekMessagesOf).all(...place, limit) as readonly MessageRow[];
      return rows.map(({ lockToken, readyAtMs, ...row }) => ({
        kind: 'message',
        ...row,
        payload: readText(row.payload),
        lockedUntilMs: lockToken !== null && readyAtMs !== null && readyAtMs > nowMs ? readyAtMs : null,
      }));
    }
    const statement = instanceId === undefined ? this.#peekWork : this.#peekWorkOf;
    return (statement.all(...place, limit, ...place, limit, limit) as readonly WorkRow[]).map(
      ({ lockToken, readyAtMs, priority, routing, ...row }) => ({
        kind: 'workItem',
        ...row,
        name: readText(row.name),
        payload: readText(row.payload),
        heartbeat: row.heartbeat === null ? null : readText(row.heartbeat),
        visibleAtMs: visibleAtMsOf({ lockToken, readyAtMs, priority }, nowMs),
        lockedUntilMs: lockToken !== null && readyAtMs > nowMs ? readyAtMs : null,
        routing: routing === null ? null : parseRouting(routing),
      }),
    );
  }

  /** Carries out a wish about an item. */
  edit(edit: QueueEdit): 'done' | 'gone' {
    const { item } = edit;
    if (item.kind === 'message') return this.#editMessage(edit, item);
    const key = [item.instanceId, item.executionId, item.eventId] as const;
    if (edit.kind !== 'drop') {
      const statements = edit.kind === 'unlock' ? this.#freeItem : this.#freshItem;
      const nowMs = this.#clock.nowMs();
      return statements.some((statement) => statement.run(nowMs, ...key).changes > 0) ? 'done' : 'gone';
    }
    if (!this.#deleteItem.some((statement) => statement.run(...key).changes > 0)) return 'gone';
    // What this transaction has handed out of it is taken back, too.
    this.#work.cancel(...key);
    if (edit.completionPayload !== null) this.#instances.enqueue({ instanceId: item.instanceId, payload: edit.completionPayload });
    return 'done';
  }

  #editMessage({ kind }: QueueEdit, { instanceId, messageId }: Extract<QueueItemRef, { kind: 'message' }>): 'done' | 'gone' {
    if (this.#hasMessage.get(instanceId, messageId) === undefined) return 'gone';
    const place = this.#selectPlace.get(instanceId) as PlaceRow | undefined;
    if (place === undefined) return 'gone';
    // Whoever has the instance loses it; what was handed out to it counts.
    if (place.handedSeq !== null) this.#countAttempts.run(instanceId, place.handedAt, place.handedSeq);
    if (kind === 'moveBack') this.#forgetAttempts.run(instanceId, messageId);
    if (kind === 'drop') this.#deleteMessage.run(instanceId, messageId);
    this.#instances.offer.withdraw(instanceId);
    // What was dropped does not begin a delayed start.
    const holdUntilMs = kind === 'drop' ? place.holdUntilMs : 0;
    const firstMs = this.#firstVisible.get(instanceId) as number | undefined;
    const takesTurns = place.status === 'Pending' || place.status === 'Running';
    const readyAtMs =
      firstMs === undefined || !takesTurns ? null : readyAtOnceMs(Math.max(firstMs, holdUntilMs), place.priority, this.#clock.nowMs());
    this.#free.run(readyAtMs, holdUntilMs, instanceId);
    // Somebody may wait until it was received.
    this.#changes.instances.add(instanceId);
    return 'done';
  }
}
