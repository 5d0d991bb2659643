// What operators ask, as parameters of functions in sql/, and the answers. Neighbours: postgres-provider.ts calls the functions, dumps.ts does the same for
// whole instances, ../management.ts says what is asked.
import type { DeleteOutcome, ExecutionRecord, InstanceList, InstanceQuery, QueueItem, QueueQuery, WaitingCounts } from '../management.ts';
import type { Row } from './connection.ts';
import { readRouting, toRecord } from './rows.ts';

/**
 * Makes the parameters of `list_instances`, after `p_now`.
 *
 * @param query - the query
 * @returns the parameters
 */
export function listParameters({ filter, orderBy, descending, after, limit }: InstanceQuery): readonly unknown[] {
  const { name, statuses, version, parentInstanceId, attributes = [], search } = filter;
  const { createdFromMs, createdBeforeMs, updatedFromMs, updatedBeforeMs } = filter;
  return [
    ...[name, statuses, version, parentInstanceId].map((wanted) => wanted ?? null),
    attributes.map(({ key }) => key),
    attributes.map(({ value }) => value),
    ...[createdFromMs, createdBeforeMs, updatedFromMs, updatedBeforeMs, search].map((wanted) => wanted ?? null),
    orderBy,
    descending,
    after?.at ?? null,
    after?.instanceId ?? null,
    limit,
  ];
}

/**
 * Makes a page of a list.
 *
 * @param rows - of `list_instances`
 * @returns the page
 */
export function toList(rows: readonly Row[]): InstanceList {
  const last = rows.at(-1);
  const [at, instanceId] = [last?.['next_at'], last?.['next_id']];
  const records = rows.slice(0, -1).map(({ next_at: _at, next_id: _id, ...row }) => toRecord(row));
  // The id tells apart those of a moment.
  return { records, next: typeof instanceId === 'string' ? { at: Number(at), seq: 0, instanceId } : null };
}

/**
 * Makes the numbers of an instance.
 *
 * @param row - of `count_waiting`
 * @returns the numbers
 */
export function toCounts(row: Row): WaitingCounts {
  return {
    activities: Number(row['activities']),
    runningActivities: Number(row['running_activities']),
    timers: Number(row['timers']),
    nextTimerAtMs: row['next_timer_at'] as number | null,
    messages: Number(row['messages']),
    children: Number(row['children']),
    readyAtMs: row['ready_at'] as number | null,
    isLocked: row['is_locked'] === true,
  };
}

/**
 * Makes an execution.
 *
 * @param row - of `list_executions`
 * @returns the execution
 */
export function toExecution(row: Row): ExecutionRecord {
  return {
    executionId: Number(row['execution_id']),
    name: String(row['name']),
    version: row['version'] as string | null,
    status: row['status'] as ExecutionRecord['status'],
    lastEventId: Number(row['last_event_id']),
    endedAtMs: row['ended_at'] as number | null,
  };
}

/**
 * Makes the outcome of a delete.
 *
 * @param word - of `delete_instances`: how many went, or why none did
 * @returns the outcome
 */
export function toDeleteOutcome(word: string): DeleteOutcome {
  return word === 'notFound' || word === 'hasParent' || word === 'alive' ? { kind: word } : { kind: 'deleted', instances: Number(word) };
}

/**
 * Makes the parameters of `peek_messages` and `peek_work`, after `p_now`.
 *
 * @param query - the query
 * @returns the parameters
 */
export function peekParameters({ instanceId, after, limit }: QueueQuery): readonly unknown[] {
  return [instanceId ?? null, after?.instanceId ?? '', after?.major ?? -1, after?.minor ?? -1, limit];
}

/**
 * Makes an item of a queue.
 *
 * @param queue - which
 * @param row - of `peek_messages` or `peek_work`
 * @returns the item
 */
export function toQueueItem(queue: QueueQuery['queue'], row: Row): QueueItem {
  const common = {
    instanceId: String(row['instance_id']),
    visibleAtMs: Number(row['visible_at']),
    attempt: Number(row['attempt']),
    lockedUntilMs: row['locked_until'] as number | null,
    payload: String(row['payload']),
  };
  switch (queue) {
    case 'orchestrator': {
      const key = row['message_key'] as string | null;
      return { kind: 'message', messageId: Number(row['message_id']), timerEventId: row['timer_id'] as number | null, key, ...common };
    }
    case 'worker':
      return {
        kind: 'workItem',
        executionId: Number(row['execution_id']),
        eventId: Number(row['event_id']),
        name: String(row['name']),
        routing: readRouting(row['routing']),
        heartbeat: row['heartbeat'] as string | null,
        ...common,
      };
  }
}
