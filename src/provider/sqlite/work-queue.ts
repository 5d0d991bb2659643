// The worker queue in SQL. Neighbours: orchestrator-queue.ts inserts and cancels, instance-table.ts takes the completions.
// All methods run inside a transaction of group-commit.ts and repeat safely after a rollback.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { NewWorkItem, WorkItem, WorkItemAck, WorkItemLock, WorkItemOutcome } from '../provider.ts';
import type { InstanceTable } from './instance-table.ts';

/** Who waits for work: items that a transaction inserts go to it at once, locked, without a second statement. */
export type WorkDemand = {
  readonly lockToken: string;
  readonly lockMs: number;
  /** How many items it still takes. */
  room: number;
  readonly items: WorkItem[];
};

type WorkRow = Omit<WorkItem, 'lockToken' | 'attempt'> & { readonly attempts: number };

/** Work items of all instances. */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #instances: InstanceTable;
  /** The parked fetch that new items go to in the running transaction; null: none, they wait in the table. */
  demand: WorkDemand | null = null;
  readonly #insert: Database.Statement;
  readonly #insertLocked: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #deleteLocked: Database.Statement;
  readonly #exists: Database.Statement;
  readonly #selectReady: Database.Statement;
  readonly #lock: Database.Statement;
  readonly #nextReady: Database.Statement;
  readonly #release: Database.Statement;
  readonly #renew: Database.Statement;
  readonly #count: Database.Statement;

  constructor(database: Database.Database, parts: { readonly clock: Clock; readonly instances: InstanceTable }) {
    this.#clock = parts.clock;
    this.#instances = parts.instances;
    const key = 'instance_id = ? AND execution_id = ? AND event_id = ?';
    const held = `${key} AND lock_token = ? AND ready_at > ?`;
    this.#insert = database.prepare(
      `INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, attempts, name, payload)
       VALUES (?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#insertLocked = database.prepare(
      `INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, lock_token, attempts, name, payload)
       VALUES (?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#delete = database.prepare(`DELETE FROM work_items WHERE ${key}`);
    this.#deleteAll = database.prepare('DELETE FROM work_items WHERE instance_id = ?');
    this.#deleteLocked = database.prepare(`DELETE FROM work_items WHERE ${held}`);
    this.#exists = database.prepare(`SELECT 1 FROM work_items WHERE ${key}`).pluck();
    this.#selectReady = database.prepare(
      `SELECT instance_id AS instanceId, execution_id AS executionId, event_id AS eventId, name, payload, attempts
       FROM work_items WHERE ready_at <= ? ORDER BY ready_at, instance_id, execution_id, event_id LIMIT ?`,
    );
    this.#lock = database.prepare(`UPDATE work_items SET lock_token = ?, ready_at = ?, attempts = attempts + 1 WHERE ${key}`);
    this.#nextReady = database.prepare('SELECT min(ready_at) FROM work_items').pluck();
    this.#release = database.prepare(`UPDATE work_items SET lock_token = NULL, ready_at = ?, attempts = attempts - ? WHERE ${held}`);
    this.#renew = database.prepare(`UPDATE work_items SET ready_at = ? WHERE ${held}`);
    this.#count = database.prepare('SELECT count(*) FROM work_items').pluck();
  }

  insert(instanceId: string, executionId: number, item: NewWorkItem, nowMs: number): void {
    const { demand } = this;
    if (demand === null || demand.room < 1) {
      this.#insert.run(instanceId, executionId, item.eventId, nowMs, item.name, item.payload);
      return;
    }
    const { lockToken } = demand;
    const { changes } = this.#insertLocked.run(
      instanceId,
      executionId,
      item.eventId,
      nowMs + demand.lockMs,
      lockToken,
      item.name,
      item.payload,
    );
    if (changes === 0) return;
    demand.room -= 1;
    demand.items.push({ instanceId, executionId, ...item, lockToken, attempt: 1 });
  }

  cancel(instanceId: string, executionId: number, eventId: number): void {
    this.#delete.run(instanceId, executionId, eventId);
    this.#withdraw((item) => item.instanceId === instanceId && item.executionId === executionId && item.eventId === eventId);
  }

  cancelAll(instanceId: string): void {
    this.#deleteAll.run(instanceId);
    this.#withdraw((item) => item.instanceId === instanceId);
  }

  /** What the running transaction has inserted for a parked fetch. */
  takeDemanded(lockToken: string): WorkItem[] {
    const { demand } = this;
    if (demand === null || demand.lockToken !== lockToken) return [];
    this.demand = null;
    return demand.items;
  }

  /** Puts back into the queue what was inserted for a fetch that did not take it. */
  releaseDemanded(): void {
    const items = this.demand?.items ?? [];
    this.demand = null;
    for (const item of items) this.abandon({ ...item, delayMs: 0, countAttempt: false });
  }

  /** Takes back what this transaction has handed out already. */
  #withdraw(matches: (item: WorkItem) => boolean): void {
    const items = this.demand?.items ?? [];
    for (let index = items.length - 1; index >= 0; index -= 1) {
      const item = items[index];
      if (item !== undefined && matches(item)) items.splice(index, 1);
    }
  }

  /** When the next item is ready, epoch milliseconds; null: the queue is empty. */
  nextReadyAtMs(): number | null {
    return this.#nextReady.get() as number | null;
  }

  fetch(params: { readonly maxItems: number; readonly lockMs: number; readonly lockToken: string }): WorkItem[] {
    const nowMs = this.#clock.nowMs();
    const { lockToken } = params;
    return (this.#selectReady.all(nowMs, params.maxItems) as WorkRow[]).map(({ attempts, ...item }) => {
      this.#lock.run(lockToken, nowMs + params.lockMs, item.instanceId, item.executionId, item.eventId);
      return { ...item, lockToken, attempt: attempts + 1 };
    });
  }

  /** Acks of one instance: its messages are announced once. */
  ackAll(acks: readonly WorkItemAck[]): WorkItemOutcome[] {
    const nowMs = this.#clock.nowMs();
    const completions: string[] = [];
    const outcomes = acks.map((ack): WorkItemOutcome => {
      const deleted = this.#deleteLocked.run(...lockKey(ack), nowMs);
      if (deleted.changes === 0) return this.#missing(ack);
      if (ack.completionPayload !== null) completions.push(ack.completionPayload);
      return 'done';
    });
    const [first] = acks;
    if (first !== undefined && completions.length > 0) this.#instances.enqueueAll(first.instanceId, completions);
    return outcomes;
  }

  abandon(item: WorkItemLock & { readonly delayMs: number; readonly countAttempt: boolean }): WorkItemOutcome {
    const nowMs = this.#clock.nowMs();
    const takenBack = item.countAttempt ? 0 : 1;
    const { changes } = this.#release.run(nowMs + item.delayMs, takenBack, ...lockKey(item), nowMs);
    return changes === 1 ? 'done' : this.#missing(item);
  }

  renew(item: WorkItemLock, lockMs: number): WorkItemOutcome {
    const nowMs = this.#clock.nowMs();
    return this.#renew.run(nowMs + lockMs, ...lockKey(item), nowMs).changes === 1 ? 'done' : this.#missing(item);
  }

  count(): number {
    return this.#count.get() as number;
  }

  #missing(item: WorkItemLock): 'gone' | 'lockLost' {
    return this.#exists.get(item.instanceId, item.executionId, item.eventId) === undefined ? 'gone' : 'lockLost';
  }
}

function lockKey(item: WorkItemLock): [string, number, number, string] {
  return [item.instanceId, item.executionId, item.eventId, item.lockToken];
}
