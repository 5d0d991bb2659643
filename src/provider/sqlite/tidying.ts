// Looking at and removing what instances leave behind, in SQL. Neighbours: sqlite-provider.ts; control.ts removes single instances.
import type Database from 'better-sqlite3';
import { isEnded, type InstanceStatus } from '../../types/instance.ts';
import type { Clock } from '../../types/clock.ts';
import type { ParentClosePolicy } from '../../types/history-event.ts';
import { MAX_WAITING_COUNT, type DeleteOutcome, type DeleteRequest, type ExecutionRecord, type WaitingCounts } from '../management.ts';
import type { InstanceControl } from './control.ts';

type FamilyRow = {
  readonly instanceId: string;
  readonly status: InstanceStatus;
  readonly onParentClose: ParentClosePolicy;
  readonly firstExecutionId: number;
  readonly parentInstanceId: string | null;
  readonly parentExecutionId: number | null;
  readonly endedAtMs: number | null;
};

type WaitingRow = Omit<WaitingCounts, 'isLocked' | 'activities' | 'runningActivities'> & {
  readonly plain: number;
  readonly routed: number;
  readonly runningPlain: number;
  readonly runningRouted: number;
  readonly lockToken: string | null;
};

const NOTHING: WaitingCounts = {
  activities: 0,
  runningActivities: 0,
  timers: 0,
  nextTimerAtMs: null,
  messages: 0,
  children: 0,
  readyAtMs: null,
  isLocked: false,
};

/** Executions, families, and what stands in the queues. */
export class Tidying {
  readonly #clock: Clock;
  readonly #control: InstanceControl;
  readonly #selectMember: Database.Statement;
  readonly #selectChildren: Database.Statement;
  readonly #unlink: Database.Statement;
  readonly #selectExecutions: Database.Statement;
  readonly #selectPrunable: Database.Statement;
  readonly #deletePages: Database.Statement;
  readonly #deletePast: Database.Statement;
  readonly #countWaiting: Database.Statement;

  constructor(database: Database.Database, parts: { readonly clock: Clock; readonly control: InstanceControl }) {
    this.#clock = parts.clock;
    this.#control = parts.control;
    const member = `SELECT instance_id AS instanceId, status, on_parent_close AS onParentClose, parent_instance_id AS parentInstanceId,
      parent_execution_id AS parentExecutionId, first_execution_id AS firstExecutionId, ended_at AS endedAtMs FROM instances`;
    this.#selectMember = database.prepare(`${member} WHERE instance_id = ?`);
    this.#selectChildren = database.prepare(`${member} WHERE parent_instance_id = ?`);
    this.#unlink = database.prepare(
      `UPDATE instances SET parent_instance_id = NULL, parent_execution_id = NULL, parent_event_id = NULL, parent_notice = NULL WHERE instance_id = ?`,
    );
    this.#selectExecutions = database.prepare(
      `SELECT execution_id AS executionId, name, version, 'ContinuedAsNew' AS status, last_event_id AS lastEventId, ended_at AS endedAtMs
         FROM past_executions WHERE instance_id = @id
       UNION ALL
       SELECT execution_id, name, version, status, last_event_id, ended_at FROM instances WHERE instance_id = @id
       ORDER BY executionId`,
    );
    this.#selectPrunable = database
      .prepare(
        `SELECT p.execution_id FROM past_executions p JOIN instances i USING (instance_id)
         WHERE p.instance_id = ? AND p.execution_id <= i.execution_id - ? AND p.ended_at < ?`,
      )
      .pluck();
    this.#deletePages = database.prepare(
      'DELETE FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?) AND execution_id = ?',
    );
    this.#deletePast = database.prepare('DELETE FROM past_executions WHERE instance_id = ? AND execution_id = ?');
    const count = (from: string): string => `(SELECT count(*) FROM (SELECT 1 FROM ${from} LIMIT ${MAX_WAITING_COUNT}))`;
    this.#countWaiting = database.prepare(
      `SELECT ${count('work_items WHERE instance_id = @id')} AS plain,
         ${count('routed_items WHERE instance_id = @id')} AS routed,
         ${count('work_items WHERE instance_id = @id AND lock_token IS NOT NULL AND ready_at > @now')} AS runningPlain,
         ${count('routed_items WHERE instance_id = @id AND lock_token IS NOT NULL AND ready_at > @now')} AS runningRouted,
         ${count('orchestrator_queue WHERE instance_id = @id AND timer_id IS NOT NULL')} AS timers,
         (SELECT min(visible_at) FROM orchestrator_queue WHERE instance_id = @id AND timer_id IS NOT NULL) AS nextTimerAtMs,
         ${count('orchestrator_queue WHERE instance_id = @id AND visible_at < 2')} AS messages,
         ${count("instances WHERE parent_instance_id = @id AND status IN ('Pending', 'Running', 'Suspended', 'Quarantined')")} AS children,
         ready_at AS readyAtMs, lock_token AS lockToken
       FROM instances WHERE instance_id = @id`,
    );
  }

  countWaiting(instanceId: string): WaitingCounts {
    const nowMs = this.#clock.nowMs();
    const row = this.#countWaiting.get({ id: instanceId, now: nowMs }) as WaitingRow | undefined;
    if (row === undefined) return NOTHING;
    const { plain, routed, runningPlain, runningRouted, lockToken, ...counts } = row;
    return {
      ...counts,
      activities: Math.min(plain + routed, MAX_WAITING_COUNT),
      runningActivities: Math.min(runningPlain + runningRouted, MAX_WAITING_COUNT),
      isLocked: lockToken !== null && (counts.readyAtMs ?? 0) > nowMs,
    };
  }

  executions(instanceId: string): readonly ExecutionRecord[] {
    return this.#selectExecutions.all({ id: instanceId }) as readonly ExecutionRecord[];
  }

  /** Deletes an instance with its descendants. */
  delete({ instanceId, isForced, endedAtMs }: DeleteRequest): DeleteOutcome {
    const root = this.#selectMember.get(instanceId) as FamilyRow | undefined;
    if (root === undefined || (endedAtMs !== undefined && root.endedAtMs !== endedAtMs)) return { kind: 'notFound' };
    const parent = this.#parentOf(root);
    if (parent !== undefined && !isEnded(parent.status)) return { kind: 'hasParent' };
    const family = new Map([[root.instanceId, root]]);
    const abandoned: FamilyRow[] = [];
    // The map grows while it is gone through.
    for (const member of family.values()) {
      for (const child of this.#selectChildren.all(member.instanceId) as readonly FamilyRow[]) {
        if ((child.parentExecutionId ?? 0) < member.firstExecutionId) continue;
        if (child.onParentClose === 'abandon' && !isEnded(child.status)) abandoned.push(child);
        else family.set(child.instanceId, child);
      }
    }
    if (!isForced && [...family.values()].some(({ status }) => !isEnded(status))) return { kind: 'alive' };
    for (const child of abandoned) this.#unlink.run(child.instanceId);
    for (const member of family.keys()) this.#control.remove(member);
    return { kind: 'deleted', instances: family.size };
  }

  /** Deletes past executions. Returns how many. */
  prune(request: { readonly instanceId: string; readonly keepLast: number | null; readonly endedBeforeMs: number | null }): number {
    const { instanceId, keepLast, endedBeforeMs } = request;
    if (keepLast === null && endedBeforeMs === null) return 0;
    const beforeMs = endedBeforeMs ?? Number.MAX_SAFE_INTEGER;
    const gone = this.#selectPrunable.all(instanceId, Math.max(keepLast ?? 1, 1), beforeMs) as readonly number[];
    for (const executionId of gone) {
      this.#deletePages.run(instanceId, executionId);
      this.#deletePast.run(instanceId, executionId);
    }
    return gone.length;
  }

  /** The parent of an instance, if it is still the one that started it: another may have its id by now. */
  #parentOf({ parentInstanceId, parentExecutionId }: FamilyRow): FamilyRow | undefined {
    if (parentInstanceId === null) return undefined;
    const parent = this.#selectMember.get(parentInstanceId) as FamilyRow | undefined;
    return parent !== undefined && parent.firstExecutionId <= (parentExecutionId ?? 0) ? parent : undefined;
  }
}
