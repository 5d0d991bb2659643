// Turns in SQL: lock instances with their messages, commit, abandon, renew. Neighbours: instance-table.ts (messages), work-queue.ts (work items).
// All methods run inside a transaction of group-commit.ts and repeat safely after a rollback.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { isEnded } from '../../types/instance.ts';
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
import type { InstanceTable } from './instance-table.ts';
import type { WorkQueue } from './work-queue.ts';

type LockRow = {
  readonly execution_id: number;
  readonly last_event_id: number;
  readonly lock_token: string | null;
  readonly ready_at: number | null;
  readonly message_seq: number;
  readonly fetched_through: number | null;
  readonly fetched_visible: number | null;
};

type FetchRow = Pick<LockRow, 'execution_id' | 'last_event_id' | 'fetched_through' | 'fetched_visible'> & {
  readonly name: string;
  readonly version: string | null;
  readonly status: OrchestrationItem['status'];
};

type MessageRow = {
  readonly message_id: number;
  readonly visible_at: number;
  readonly timer_id: number | null;
  readonly attempts: number;
  readonly payload: string;
};

/** The orchestrator queue and history. */
export class OrchestratorQueue {
  readonly #clock: Clock;
  readonly #instances: InstanceTable;
  readonly #work: WorkQueue;
  readonly #selectReady: Database.Statement;
  readonly #nextReady: Database.Statement;
  readonly #selectForFetch: Database.Statement;
  readonly #selectMessages: Database.Statement;
  readonly #lock: Database.Statement;
  readonly #countAttempts: Database.Statement;
  readonly #selectLock: Database.Statement;
  readonly #insertPage: Database.Statement;
  readonly #deleteMessage: Database.Statement;
  readonly #deleteTimer: Database.Statement;
  readonly #deleteTimers: Database.Statement;
  readonly #deleteMessages: Database.Statement;
  readonly #firstVisible: Database.Statement;
  readonly #update: Database.Statement;
  readonly #setCustomStatus: Database.Statement;
  readonly #insertPast: Database.Statement;
  readonly #continueAsNew: Database.Statement;
  readonly #release: Database.Statement;
  readonly #renew: Database.Statement;
  readonly #selectPages: Database.Statement;

  constructor(database: Database.Database, parts: { readonly clock: Clock; readonly instances: InstanceTable; readonly work: WorkQueue }) {
    this.#clock = parts.clock;
    this.#instances = parts.instances;
    this.#work = parts.work;
    const prepare = (sql: string): Database.Statement => database.prepare(sql);
    this.#selectReady = prepare('SELECT instance_id FROM instances WHERE ready_at <= ? ORDER BY ready_at, instance_id LIMIT ?').pluck();
    this.#nextReady = prepare('SELECT min(ready_at) FROM instances').pluck();
    this.#selectForFetch = prepare(
      'SELECT name, version, status, execution_id, last_event_id, fetched_through, fetched_visible FROM instances WHERE instance_id = ?',
    );
    this.#selectMessages = prepare(
      `SELECT message_id, visible_at, timer_id, attempts, payload FROM orchestrator_queue
       WHERE instance_id = ? AND visible_at <= ? ORDER BY visible_at, message_id LIMIT ${MAX_MESSAGES_PER_TURN}`,
    );
    this.#lock = prepare(
      'UPDATE instances SET lock_token = ?, ready_at = ?, fetched_through = ?, fetched_visible = ? WHERE instance_id = ?',
    );
    this.#countAttempts = prepare(
      'UPDATE orchestrator_queue SET attempts = attempts + 1 WHERE instance_id = ? AND visible_at <= ? AND message_id <= ?',
    );
    this.#selectLock = prepare(
      `SELECT execution_id, last_event_id, lock_token, ready_at, message_seq, fetched_through, fetched_visible
       FROM instances WHERE instance_id = ?`,
    );
    this.#insertPage = prepare(
      'INSERT INTO history (instance_id, execution_id, first_event_id, last_event_id, events) VALUES (?, ?, ?, ?, ?)',
    );
    this.#deleteMessage = prepare('DELETE FROM orchestrator_queue WHERE instance_id = ? AND visible_at <= ? AND message_id = ?');
    this.#deleteTimer = prepare('DELETE FROM orchestrator_queue WHERE instance_id = ? AND timer_id = ?');
    this.#deleteTimers = prepare('DELETE FROM orchestrator_queue WHERE instance_id = ? AND timer_id IS NOT NULL');
    this.#deleteMessages = prepare('DELETE FROM orchestrator_queue WHERE instance_id = ?');
    this.#firstVisible = prepare('SELECT min(visible_at) FROM orchestrator_queue WHERE instance_id = ?').pluck();
    this.#update = prepare(
      `UPDATE instances SET status = ?, output = ?, version = ?, last_event_id = ?, message_seq = ?, ready_at = ?, updated_at = ?,
         lock_token = NULL, hold_until = 0, fetched_through = NULL, fetched_visible = NULL WHERE instance_id = ?`,
    );
    this.#setCustomStatus = prepare(
      'UPDATE instances SET custom_status = ?, custom_status_version = custom_status_version + 1 WHERE instance_id = ?',
    );
    this.#insertPast = prepare(
      `INSERT INTO past_executions (instance_id, execution_id, name, version, last_event_id, ended_at)
       SELECT instance_id, execution_id, name, ?, ?, ? FROM instances WHERE instance_id = ?`,
    );
    this.#continueAsNew = prepare('UPDATE instances SET execution_id = execution_id + 1, name = ?, version = ? WHERE instance_id = ?');
    this.#release = prepare(
      `UPDATE instances SET lock_token = NULL, fetched_through = NULL, fetched_visible = NULL, hold_until = ?, ready_at = ?
       WHERE instance_id = ?`,
    );
    this.#renew = prepare('UPDATE instances SET ready_at = ? WHERE instance_id = ? AND lock_token = ? AND ready_at > ?');
    this.#selectPages = prepare(
      `SELECT first_event_id AS firstEventId, last_event_id AS lastEventId, events FROM history
       WHERE instance_id = ? AND execution_id = ? AND first_event_id > ? ORDER BY first_event_id`,
    );
  }

  /** When the next instance is ready, epoch milliseconds; null: none will be without a new message. */
  nextReadyAtMs(): number | null {
    return this.#nextReady.get() as number | null;
  }

  fetch(params: { readonly maxItems: number; readonly lockMs: number; readonly lockToken: string }): OrchestrationItem[] {
    const nowMs = this.#clock.nowMs();
    const items: OrchestrationItem[] = [];
    for (const instanceId of this.#selectReady.all(nowMs, params.maxItems) as string[]) {
      const row = this.#selectForFetch.get(instanceId) as FetchRow;
      // A hand-out that was neither acked nor abandoned: its lock expired, and it counts.
      if (row.fetched_through !== null) this.#countAttempts.run(instanceId, row.fetched_visible, row.fetched_through);
      const messages = this.#selectMessages.all(instanceId, nowMs) as MessageRow[];
      if (messages.length === 0) {
        // Its messages were cancelled while its lock ran out: it is not ready after all.
        this.#release.run(0, this.#firstVisible.get(instanceId), instanceId);
        continue;
      }
      const fetchedThrough = Math.max(...messages.map((message) => message.message_id));
      const fetchedVisible = messages.at(-1)?.visible_at ?? 0;
      this.#lock.run(params.lockToken, nowMs + params.lockMs, fetchedThrough, fetchedVisible, instanceId);
      items.push({
        instanceId,
        lockToken: params.lockToken,
        name: row.name,
        version: row.version,
        status: row.status,
        executionId: row.execution_id,
        lastEventId: row.last_event_id,
        messages: inOrder(messages).map(toMessage),
      });
    }
    return items;
  }

  commit(ack: OrchestrationAck): OrchestrationAckOutcome {
    const nowMs = this.#clock.nowMs();
    const { instanceId, executionId } = ack;
    const row = this.#selectLock.get(instanceId) as LockRow | undefined;
    if (row === undefined) return 'instanceGone';
    if (!holdsLock(row, ack.lockToken, nowMs)) return 'lockLost';
    if (row.execution_id !== executionId || row.last_event_id !== ack.baseEventId) return 'conflict';
    if (ack.page !== null) {
      this.#insertPage.run(instanceId, executionId, ack.baseEventId + 1, ack.page.lastEventId, ack.page.events);
    }
    for (const messageId of ack.consumedMessageIds) this.#deleteMessage.run(instanceId, nowMs, messageId);
    const ended = isEnded(ack.status);
    let messageSeq = row.message_seq;
    if (!ended) {
      for (const item of ack.workItems) this.#work.insert(instanceId, executionId, item, nowMs);
      for (const timer of ack.timers) this.#instances.insertTimer(instanceId, timer, (messageSeq += 1));
      for (const eventId of ack.cancelledActivities) this.#work.cancel(instanceId, executionId, eventId);
      for (const eventId of ack.cancelledTimers) this.#deleteTimer.run(instanceId, eventId);
    }
    const lastEventId = ack.page?.lastEventId ?? ack.baseEventId;
    if (ack.next !== null) {
      this.#deleteTimers.run(instanceId);
      this.#work.cancelAll(instanceId);
      this.#insertPast.run(ack.version, lastEventId, nowMs, instanceId);
      this.#continueAsNew.run(ack.next.name, ack.next.version, instanceId);
      this.#instances.insertStart(instanceId, ack.next.payload, (messageSeq += 1));
    }
    if (ended) {
      this.#deleteMessages.run(instanceId);
      this.#work.cancelAll(instanceId);
    }
    this.#update.run(
      ack.status,
      ack.output,
      ack.next === null ? ack.version : ack.next.version,
      ack.next === null ? lastEventId : 0,
      messageSeq,
      ended ? null : this.#readyAfterTurn(ack, row, nowMs),
      nowMs,
      instanceId,
    );
    if (ack.customStatus !== undefined) this.#setCustomStatus.run(ack.customStatus, instanceId);
    // Last, because they may be for this instance itself.
    for (const message of ack.messages) this.#instances.enqueue(message);
    for (const start of ack.starts) {
      const outcome = this.#instances.start(start);
      if (outcome === 'exists' && start.conflictPayload !== null) {
        this.#instances.enqueue({ instanceId, payload: start.conflictPayload });
      }
    }
    return 'committed';
  }

  /** When the instance is ready again after a turn: its earliest message that is left. */
  #readyAfterTurn(ack: OrchestrationAck, row: LockRow, nowMs: number): number | null {
    const firstVisible = this.#firstVisible.get(ack.instanceId) as number | null;
    if (firstVisible === null) return null;
    // What was handed out and not consumed keeps the attempt.
    if (row.fetched_through !== null) this.#countAttempts.run(ack.instanceId, row.fetched_visible, row.fetched_through);
    if (ack.status === 'Suspended' || ack.status === 'Quarantined') return null;
    return Math.max(firstVisible, nowMs);
  }

  abandon(item: OrchestrationLock & { readonly delayMs: number; readonly countAttempt: boolean }): 'done' | 'lockLost' {
    const nowMs = this.#clock.nowMs();
    const row = this.#selectLock.get(item.instanceId) as LockRow | undefined;
    if (row === undefined || !holdsLock(row, item.lockToken, nowMs)) return 'lockLost';
    if (item.countAttempt && row.fetched_through !== null) {
      this.#countAttempts.run(item.instanceId, row.fetched_visible, row.fetched_through);
    }
    const holdUntilMs = item.delayMs > 0 ? nowMs + item.delayMs : 0;
    const firstVisible = this.#firstVisible.get(item.instanceId) as number | null;
    this.#release.run(holdUntilMs, firstVisible === null ? null : Math.max(firstVisible, holdUntilMs, nowMs), item.instanceId);
    return 'done';
  }

  renew(lock: OrchestrationLock, lockMs: number): 'done' | 'lockLost' {
    const nowMs = this.#clock.nowMs();
    return this.#renew.run(nowMs + lockMs, lock.instanceId, lock.lockToken, nowMs).changes === 1 ? 'done' : 'lockLost';
  }

  readHistory(request: HistoryRequest): readonly HistoryPage[] {
    return this.#selectPages.all(request.instanceId, request.executionId, request.afterEventId) as readonly HistoryPage[];
  }
}

function holdsLock(row: LockRow, lockToken: string, nowMs: number): boolean {
  return row.lock_token === lockToken && row.ready_at !== null && row.ready_at > nowMs;
}

/** By visible time; but messages keep their own order also when the clock jumped back between them. */
function inOrder(rows: MessageRow[]): readonly MessageRow[] {
  const messages = rows.filter((row) => row.timer_id === null && row.visible_at > 0);
  const sorted = messages.every((row, index) => index === 0 || row.message_id > (messages[index - 1]?.message_id ?? 0));
  if (sorted) return rows;
  messages.sort((left, right) => left.message_id - right.message_id);
  let next = 0;
  return rows.map((row) => (row.timer_id === null && row.visible_at > 0 ? (messages[next++] ?? row) : row));
}

function toMessage(row: MessageRow): FetchedMessage {
  return { messageId: row.message_id, payload: row.payload, attempt: row.attempts + 1 };
}
