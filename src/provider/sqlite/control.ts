// Ends and stops of instances other than by their own turns: terminate, close children, replace, suspend, resume.
// Neighbours: sqlite-provider.ts (operators, starts), orchestrator-queue.ts and turn-effects.ts (parents).
//
// K1. Who ends here loses lock, messages, work items and subscriptions in one go; values and history stay. A turn under way finds its lock lost.
// K2. Only the living are closed, and they are marked as ended before their children are looked at: a circle of parents comes to an end.
import type Database from 'better-sqlite3';
import { isEnded, type InstanceStatus } from '../../types/instance.ts';
import { isSameLink } from '../../types/names.ts';
import type { Clock } from '../../types/clock.ts';
import type { ParentClosePolicy } from '../../types/history-event.ts';
import type { AckEffects, CloseChildren, ControlOutcome, ControlRequest, NewInstance, StartOutcome } from '../provider.ts';
import type { StoreChanges } from './changes.ts';
import { isDamage } from './damage.ts';
import { readyAtOnceMs, toParentLink, type InstanceTable, type ParentColumns } from './instance-table.ts';
import type { SubscriptionTable } from './subscriptions.ts';
import type { ValueTable } from './values.ts';
import type { WorkQueue } from './work-queue.ts';

type ControlRow = ParentColumns & {
  readonly status: InstanceStatus;
  readonly execution_id: number;
  readonly first_execution_id: number;
  readonly last_event_id: number;
  readonly priority: number;
  readonly hold_until: number;
  readonly parent_notice: string | null;
  readonly ended_at: number | null;
};

type ChildRow = { readonly instance_id: string; readonly on_parent_close: ParentClosePolicy; readonly parent_notice: string | null };

/** Changes of instances from outside of their turns. */
export class InstanceControl {
  readonly #clock: Clock;
  readonly #instances: InstanceTable;
  readonly #work: WorkQueue;
  readonly #subscriptions: SubscriptionTable;
  readonly #values: ValueTable;
  readonly #changes: StoreChanges;
  readonly #select: Database.Statement;
  readonly #terminate: Database.Statement;
  readonly #suspend: Database.Statement;
  readonly #resume: Database.Statement;
  readonly #forgetAttempts: Database.Statement;
  readonly #firstVisible: Database.Statement;
  readonly #deleteMessages: Database.Statement;
  readonly #livingChildren: Database.Statement;
  readonly #deleteInstance: readonly Database.Statement[];

  constructor(
    database: Database.Database,
    parts: {
      readonly clock: Clock;
      readonly instances: InstanceTable;
      readonly work: WorkQueue;
      readonly subscriptions: SubscriptionTable;
      readonly values: ValueTable;
      readonly changes: StoreChanges;
    },
  ) {
    this.#clock = parts.clock;
    this.#instances = parts.instances;
    this.#work = parts.work;
    this.#subscriptions = parts.subscriptions;
    this.#values = parts.values;
    this.#changes = parts.changes;
    this.#select = database.prepare(
      `SELECT status, execution_id, first_execution_id, last_event_id, priority, hold_until, parent_instance_id, parent_execution_id, parent_event_id,
         parent_notice, ended_at
       FROM instances WHERE instance_id = ?`,
    );
    const unlocked = 'lock_token = NULL, handed_seq = NULL, handed_at = NULL';
    this.#terminate = database.prepare(
      `UPDATE instances SET status = 'Terminated', stopped_as = 'Terminated', output = ?, updated_at = ?, ended_at = ?, ready_at = NULL, hold_until = 0, ${unlocked}
       WHERE instance_id = ?`,
    );
    this.#suspend = database.prepare(
      `UPDATE instances SET status = 'Suspended', stopped_as = 'Suspended', updated_at = ?, ready_at = NULL, ${unlocked} WHERE instance_id = ?`,
    );
    this.#resume = database.prepare(
      `UPDATE instances SET status = ?, stopped_as = NULL, output = NULL, updated_at = ?, ready_at = ?, ${unlocked} WHERE instance_id = ?`,
    );
    this.#forgetAttempts = database.prepare('UPDATE orchestrator_queue SET attempts = 0 WHERE instance_id = ? AND attempts > 0');
    this.#firstVisible = database.prepare('SELECT visible_at FROM orchestrator_queue WHERE instance_id = ? LIMIT 1').pluck();
    this.#deleteMessages = database.prepare('DELETE FROM orchestrator_queue WHERE instance_id = ?');
    this.#livingChildren = database.prepare(
      `SELECT instance_id, on_parent_close, parent_notice FROM instances WHERE parent_instance_id = ?
         AND status IN ('Pending', 'Running', 'Suspended', 'Quarantined') ORDER BY instance_id`,
    );
    this.#deleteInstance = [
      'DELETE FROM instance_attributes WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?)',
      'DELETE FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?)',
      'DELETE FROM instances WHERE instance_id = ?',
      'DELETE FROM past_executions WHERE instance_id = ?',
    ].map((sql) => database.prepare(sql));
  }

  /** Starts an instance by its policy. */
  start(start: NewInstance): StartOutcome {
    const outcome = this.#instances.start(start);
    if (outcome === 'started' || start.policy === 'fail' || start.policy === 'useExisting') return outcome;
    const { instanceId } = start;
    const row = this.#select.get(instanceId) as ControlRow | undefined;
    if (row === undefined) return 'exists';
    if (start.policy === 'replaceTerminal' && !(isEnded(row.status) && row.ended_at === (start.replacesEndedAtMs ?? row.ended_at)))
      return 'exists';
    this.remove(instanceId);
    if (start.closeChildren !== null) this.close(instanceId, start.closeChildren);
    this.#instances.start(start, row.execution_id + 1);
    if (!isEnded(row.status) && row.parent_instance_id !== null && row.parent_notice !== null) {
      this.#instances.enqueue({ instanceId: row.parent_instance_id, payload: row.parent_notice });
    }
    return 'replaced';
  }

  /** Removes an instance with all that it has; its children stay. */
  remove(instanceId: string): void {
    this.#clear(instanceId);
    this.#values.deleteAll(instanceId);
    for (const statement of this.#deleteInstance) statement.run(instanceId);
  }

  /** Carries out what an operator wishes. */
  apply(request: ControlRequest): ControlOutcome {
    const { instanceId } = request;
    const row = this.#select.get(instanceId) as ControlRow | undefined;
    if (row === undefined) return 'notFound';
    if (isEnded(row.status)) return 'ended';
    switch (request.kind) {
      case 'suspend':
        if (row.status === 'Suspended' || row.status === 'Quarantined') return 'unchanged';
        this.#suspend.run(this.#clock.nowMs(), instanceId);
        this.#instances.offer.withdraw(instanceId);
        return 'done';
      case 'resume':
        if (row.status === 'Pending' || row.status === 'Running') return 'unchanged';
        this.#resumeNow(instanceId, row);
        return 'done';
      case 'terminate':
        this.#end(instanceId, request.output);
        this.close(instanceId, request.closeChildren);
        if (request.parentMessage !== null) this.#instances.enqueue(request.parentMessage);
        return 'done';
    }
  }

  /** Ends a child for its parent, unless the instance of that id is somebody else's. */
  terminateChild({ instanceId, parent, output, cancelPayload }: AckEffects['terminations'][number]): void {
    const row = this.#select.get(instanceId) as ControlRow | undefined;
    if (row === undefined || isEnded(row.status) || !isSameLink(parent, toParentLink(row) ?? undefined)) return;
    this.#end(instanceId, output);
    this.close(instanceId, { cancelPayload, output });
  }

  /** Does with the living children what their start asked for. */
  close(parentId: string, { cancelPayload, output }: CloseChildren): void {
    const open = [parentId];
    for (const instanceId of open) {
      for (const child of this.#livingChildren.all(instanceId) as ChildRow[]) {
        if (child.on_parent_close === 'terminate') {
          this.#end(child.instance_id, output);
          // A quarantined parent may be resumed, and waits for it then; one that ended takes no messages.
          if (child.parent_notice !== null) this.#instances.enqueue({ instanceId, payload: child.parent_notice });
          open.push(child.instance_id);
        } else if (child.on_parent_close === 'cancel') {
          this.#instances.enqueue({ instanceId: child.instance_id, payload: cancelPayload });
        }
      }
    }
  }

  #resumeNow(instanceId: string, row: ControlRow): void {
    const nowMs = this.#clock.nowMs();
    this.#forgetAttempts.run(instanceId);
    const firstVisibleMs = this.#firstVisible.get(instanceId) as number | undefined;
    const readyAtMs = firstVisibleMs === undefined ? null : readyAtOnceMs(Math.max(firstVisibleMs, row.hold_until), row.priority, nowMs);
    // One that replaced another does not begin at 1.
    const isNew = row.last_event_id === 0 && row.execution_id === row.first_execution_id;
    const status = isNew ? 'Pending' : 'Running';
    this.#resume.run(status, nowMs, readyAtMs, instanceId);
  }

  #end(instanceId: string, output: string): void {
    const nowMs = this.#clock.nowMs();
    try {
      this.#terminate.run(output, nowMs, nowMs, instanceId);
    } catch (error) {
      // A damaged child must not keep its parent from ending.
      if (!isDamage(error) || !this.#instances.mend(instanceId)) throw error;
      this.#terminate.run(output, nowMs, nowMs, instanceId);
    }
    this.#clear(instanceId);
  }

  #clear(instanceId: string): void {
    this.#instances.offer.withdraw(instanceId);
    this.#deleteMessages.run(instanceId);
    this.#work.cancelAll(instanceId, true);
    this.#subscriptions.deleteAll(instanceId);
    this.#changes.instances.add(instanceId);
  }
}
