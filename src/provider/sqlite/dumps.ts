// Instances on their way to another store and from there, in SQL. Neighbours: sqlite-provider.ts; ../management.ts says what a dump is.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { DumpedMessage, DumpedWorkItem, InstanceDump } from '../management.ts';
import { PRIORITY_HEAD_START_MS, type HistoryPage } from '../provider.ts';
import type { CodeTable } from './codes.ts';
import { stoppedAs, type InstanceTable } from './instance-table.ts';
import { inOrder, type OrderedMessage } from './message-order.ts';
import { parseRouting, type RoutedItems } from './routed-items.ts';
import type { SubscriptionTable } from './subscriptions.ts';
import type { Tidying } from './tidying.ts';
import type { ValueTable } from './values.ts';

type MoreRow = {
  readonly instanceKey: number;
  readonly engine: number | null;
  readonly parentNotice: string | null;
  readonly holdUntilMs: number;
  readonly firstExecutionId: number;
};
type MessageRow = OrderedMessage & { readonly key: string | null; readonly payload: string };
type WorkRow = Omit<DumpedWorkItem, 'routing'> & { readonly routing: string | null };

/** `visible_at` of a start message and of other messages that are visible at once, as instance-table.ts has them. */
const START = 0;
const AT_ONCE = 1;
const FIRST_TIMER = 2;

/** Whole instances. */
export class Dumps {
  readonly #clock: Clock;
  readonly #parts: DumpParts;
  readonly #readMore: Database.Statement;
  readonly #readPages: Database.Statement;
  readonly #readPatterns: Database.Statement;
  readonly #readMessages: Database.Statement;
  readonly #readWork: Database.Statement;
  readonly #insertInstance: Database.Statement;
  readonly #insertPast: Database.Statement;
  readonly #insertPage: Database.Statement;
  readonly #insertValue: Database.Statement;
  readonly #insertMessage: Database.Statement;
  readonly #insertWork: Database.Statement;
  readonly #setHeartbeat: Database.Statement;

  constructor(database: Database.Database, parts: DumpParts) {
    this.#clock = parts.clock;
    this.#parts = parts;
    this.#readMore = database.prepare(
      `SELECT instance_key AS instanceKey, (SELECT engine FROM codes c WHERE c.code_id = i.code_id) AS engine, parent_notice AS parentNotice,
         hold_until AS holdUntilMs, first_execution_id AS firstExecutionId FROM instances i WHERE instance_id = ?`,
    );
    this.#readPages = database.prepare(
      `SELECT first_event_id AS firstEventId, last_event_id AS lastEventId, events FROM history WHERE instance_key = ? AND execution_id = ?
       ORDER BY first_event_id`,
    );
    this.#readPatterns = database.prepare('SELECT pattern FROM subscriptions WHERE instance_id = ? ORDER BY pattern').pluck();
    this.#readMessages = database.prepare(
      `SELECT message_id, visible_at, arrived_at, timer_id, message_key AS key, payload FROM orchestrator_queue WHERE instance_id = ?
       ORDER BY visible_at, message_id`,
    );
    this.#readWork = database.prepare(
      `SELECT execution_id AS executionId, event_id AS eventId, name, payload, NULL AS routing, heartbeat FROM work_items WHERE instance_id = @id
       UNION ALL
       SELECT execution_id, event_id, name, payload, routing, heartbeat FROM routed_items WHERE instance_id = @id
       ORDER BY executionId, eventId`,
    );
    this.#insertInstance = database.prepare(
      `INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, first_execution_id, last_event_id, ready_at, hold_until, message_seq,
         output, custom_status, custom_status_version, has_extras, parent_instance_id, parent_execution_id, parent_event_id, on_parent_close,
         parent_notice, created_at, updated_at, ended_at, attributes, stopped_as)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#insertPast = database.prepare(
      `INSERT INTO past_executions (instance_id, execution_id, name, version, last_event_id, ended_at) VALUES (?, ?, ?, ?, ?, ?)`,
    );
    this.#insertPage = database.prepare(
      `INSERT INTO history (instance_key, execution_id, first_event_id, last_event_id, events)
       VALUES ((SELECT instance_key FROM instances WHERE instance_id = ?), ?, ?, ?, ?)`,
    );
    this.#insertValue = database.prepare('INSERT INTO instance_values (instance_id, key, value, updated_at) VALUES (?, ?, ?, ?)');
    this.#insertMessage = database.prepare(
      `INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, timer_id, message_key, attempts, payload)
       VALUES (?, ?, ?, ?, ?, ?, 0, ?)`,
    );
    this.#insertWork = database.prepare(
      `INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, attempts, heartbeat, name, payload) VALUES (?, ?, ?, ?, 0, ?, ?, ?)`,
    );
    this.#setHeartbeat = database.prepare(
      'UPDATE routed_items SET heartbeat = ? WHERE instance_id = ? AND execution_id = ? AND event_id = ?',
    );
  }

  /** Reads an instance; null: there is none. */
  read(instanceId: string): InstanceDump | null {
    const record = this.#parts.instances.read(instanceId);
    const more = this.#readMore.get(instanceId) as MoreRow | undefined;
    if (record === null || more === undefined) return null;
    const executions = this.#parts.tidying.executions(instanceId).map((execution) => ({
      ...execution,
      pages: this.#readPages.all(more.instanceKey, execution.executionId) as readonly HistoryPage[],
    }));
    return {
      record,
      firstExecutionId: more.firstExecutionId,
      engine: more.engine ?? 0,
      parentNotice: more.parentNotice,
      holdUntilMs: more.holdUntilMs > this.#clock.nowMs() ? more.holdUntilMs : null,
      attributes: record.attributes === null ? null : { text: record.attributes, list: this.#parts.instances.attributes.list(instanceId) },
      executions,
      values: this.#parts.values.read(instanceId, null),
      subscriptions: this.#readPatterns.all(instanceId) as readonly string[],
      messages: inOrder(this.#readMessages.all(instanceId) as readonly MessageRow[]).map((message) => ({
        isStart: message.visible_at === START,
        timerEventId: message.timer_id,
        key: message.key,
        visibleAtMs: message.timer_id === null ? 0 : message.visible_at,
        payload: message.payload,
      })),
      workItems: (this.#readWork.all({ id: instanceId }) as readonly WorkRow[]).map((item) => ({
        ...item,
        routing: item.routing === null ? null : parseRouting(item.routing),
      })),
    };
  }

  /** Writes an instance. */
  write(dump: InstanceDump): 'imported' | 'exists' {
    const { record, executions, values, subscriptions, messages } = dump;
    const { instanceId, name, version, status, priority, executionId, parent } = record;
    const nowMs = this.#clock.nowMs();
    const { changes } = this.#insertInstance.run(
      instanceId,
      name,
      version,
      this.#parts.codes.idOf(name, version, dump.engine),
      status,
      priority,
      executionId,
      dump.firstExecutionId,
      record.lastEventId,
      readyAt(dump, nowMs),
      dump.holdUntilMs ?? 0,
      messages.length,
      record.output,
      record.customStatus,
      record.customStatusVersion,
      parent?.instanceId ?? null,
      parent?.executionId ?? null,
      parent?.eventId ?? null,
      record.onParentClose,
      dump.parentNotice,
      record.createdAtMs,
      record.updatedAtMs,
      record.endedAtMs,
      record.attributes,
      stoppedAs(status),
    );
    if (changes === 0) return 'exists';
    if (dump.attributes !== null) this.#parts.instances.attributes.put(instanceId, dump.attributes);
    for (const execution of executions) {
      const { executionId: id, lastEventId, endedAtMs, pages } = execution;
      if (id !== executionId) this.#insertPast.run(instanceId, id, execution.name, execution.version, lastEventId, endedAtMs ?? nowMs);
      for (const { firstEventId, lastEventId: last, events } of pages) this.#insertPage.run(instanceId, id, firstEventId, last, events);
    }
    for (const { key, value, updatedAtMs } of values) this.#insertValue.run(instanceId, key, value, updatedAtMs);
    for (const pattern of subscriptions) this.#parts.subscriptions.subscribe(instanceId, pattern);
    this.#writeMessages(instanceId, messages);
    for (const item of dump.workItems) this.#writeWork(instanceId, item, nowMs);
    return 'imported';
  }

  #writeMessages(instanceId: string, messages: readonly DumpedMessage[]): void {
    // What is visible at once keeps its place behind the timers before it.
    let arrivedMs = 0;
    for (const [index, { isStart, timerEventId, key, visibleAtMs, payload }] of messages.entries()) {
      const atMs = timerEventId === null ? (isStart ? START : AT_ONCE) : Math.max(FIRST_TIMER, visibleAtMs);
      if (timerEventId !== null) arrivedMs = Math.max(arrivedMs, atMs);
      this.#insertMessage.run(instanceId, atMs, index + 1, timerEventId === null ? arrivedMs : atMs, timerEventId, key, payload);
    }
  }

  #writeWork(instanceId: string, item: DumpedWorkItem, nowMs: number): void {
    const { executionId, eventId, name, payload, routing, heartbeat } = item;
    if (routing === null) this.#insertWork.run(instanceId, executionId, eventId, nowMs, heartbeat, name, payload);
    else {
      this.#parts.routed.insert({ instanceId, executionId, eventId, name, payload }, routing, nowMs);
      if (heartbeat !== null) this.#setHeartbeat.run(heartbeat, instanceId, executionId, eventId);
    }
  }
}

/** The tables that have parts of instances. */
type DumpParts = {
  readonly clock: Clock;
  readonly codes: CodeTable;
  readonly instances: InstanceTable;
  readonly tidying: Tidying;
  readonly values: ValueTable;
  readonly subscriptions: SubscriptionTable;
  readonly routed: RoutedItems;
};

function readyAt({ record, messages, holdUntilMs }: InstanceDump, nowMs: number): number | null {
  if ((record.status !== 'Pending' && record.status !== 'Running') || messages.length === 0) return null;
  // There may be more messages than a call takes arguments.
  const firstMs = messages.reduce(
    (first, { timerEventId, visibleAtMs }) => Math.min(first, timerEventId === null ? 0 : visibleAtMs),
    Number.POSITIVE_INFINITY,
  );
  const atMs = Math.max(firstMs, holdUntilMs ?? 0);
  return atMs > nowMs ? atMs : nowMs - record.priority * PRIORITY_HEAD_START_MS;
}
