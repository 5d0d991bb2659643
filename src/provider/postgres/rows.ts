// Rows of the store as what the contract returns. Neighbours: postgres-provider.ts asks, parameters.ts is the other direction.
import { parseRecord } from '../../types/codec.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import { isRouting, type ActivityRouting } from '../../types/replay.ts';
import type { FetchedMessage, NewInstance, OrchestrationItem, WorkItem } from '../provider.ts';
import type { Row } from './connection.ts';
import type { Look } from './fetch-waits.ts';

/** A payload that nobody can read. */
const UNREADABLE = 'damaged';

/** Columns of an instance `i`, for `toRecord`. */
export const RECORD_COLUMNS: string = `i.instance_id AS "instanceId", i.name, i.version, i.status, i.execution_id AS "executionId", i.last_event_id AS "lastEventId",
  i.output, i.attributes, i.custom_status AS "customStatus", i.custom_status_version AS "customStatusVersion", i.parent_instance_id, i.parent_execution_id,
  i.parent_event_id, i.on_parent_close AS "onParentClose", i.priority, i.created_at AS "createdAtMs", i.updated_at AS "updatedAtMs",
  i.ended_at AS "endedAtMs"`;

/**
 * Makes the record of an instance.
 *
 * @param row - with `RECORD_COLUMNS`
 * @returns the record
 */
export function toRecord(row: Row): InstanceRecord {
  const { parent_instance_id: _id, parent_execution_id: _execution, parent_event_id: _event, ord: _ord, ...rest } = row;
  return { ...rest, parent: toParent(row) } as unknown as InstanceRecord;
}

function toParent(row: Row): InstanceRecord['parent'] {
  const { parent_instance_id: instanceId, parent_execution_id: executionId, parent_event_id: eventId } = row;
  return instanceId === null ? null : { instanceId: String(instanceId), executionId: Number(executionId), eventId: Number(eventId) };
}

/**
 * Makes a started instance as a fetch gets it.
 *
 * @param start - the start
 * @param place - lock, id of the start message and time of the start
 * @returns the instance with its start message
 */
export function toOffered(
  { instanceId, name, version, parent, payload }: NewInstance,
  { lockToken, messageId, nowMs }: { readonly lockToken: string; readonly messageId: number; readonly nowMs: number },
): OrchestrationItem {
  const messages = [{ messageId, payload, attempt: 1 }];
  return { instanceId, lockToken, name, version, status: 'Pending', executionId: 1, lastEventId: 0, messages, parent, createdAtMs: nowMs };
}

/**
 * Joins the rows of messages to instances.
 *
 * @param rows - of `fetch_turns`
 * @param lockToken - that they were locked with
 * @returns the instances, and when to look again
 */
export function toTurns(rows: readonly Row[], lockToken: string): Look<OrchestrationItem> {
  const items: OrchestrationItem[] = [];
  let messages: FetchedMessage[] = [];
  let current: unknown = null;
  for (const row of rows) {
    const { instance_id: instanceId } = row;
    if (instanceId === null) continue;
    if (instanceId !== current) {
      current = instanceId;
      messages = [];
      items.push({
        instanceId: String(instanceId),
        lockToken,
        name: String(row['name']),
        version: row['version'] as string | null,
        status: row['status'] as OrchestrationItem['status'],
        executionId: Number(row['execution_id']),
        lastEventId: Number(row['last_event_id']),
        messages,
        parent: toParent(row),
        createdAtMs: Number(row['created_at']),
      });
    }
    messages.push({ messageId: Number(row['message_id']), payload: String(row['payload']), attempt: Number(row['attempt']) });
  }
  return { ...timesOf(rows), items };
}

/**
 * Makes work items.
 *
 * @param rows - of `fetch_work` or `fetch_expired_work`
 * @param lockToken - that they were locked with
 * @returns the items, and when to look again
 */
export function toWork(rows: readonly Row[], lockToken: string): Look<WorkItem> {
  const items = rows
    .filter(({ instance_id: instanceId }) => instanceId !== null)
    .map((row): WorkItem => {
      const routing = readRouting(row['routing']);
      return {
        instanceId: String(row['instance_id']),
        executionId: Number(row['execution_id']),
        eventId: Number(row['event_id']),
        name: String(row['name']),
        // An activity must not run without its limits: with damaged routing it gets an input that fails it.
        payload: row['routing'] !== null && routing === null ? UNREADABLE : String(row['payload']),
        lockToken,
        attempt: Number(row['attempt']),
        routing,
        heartbeat: row['heartbeat'] as string | null,
      };
    });
  return { ...timesOf(rows), items };
}

/**
 * Reads the routing of an activity.
 *
 * @param text - as it is stored
 * @returns the routing; null: none, or it was damaged outside
 */
export function readRouting(text: Row[string]): ActivityRouting | null {
  if (typeof text !== 'string') return null;
  try {
    const routing = parseRecord(text);
    return isRouting(routing) ? routing : null;
  } catch {
    return null;
  }
}

function timesOf(rows: readonly Row[]): { readonly nowMs: number; readonly nextAtMs: number | null } {
  const last = rows.at(-1);
  return { nowMs: Number(last?.['now_ms']), nextAtMs: (last?.['next_at'] as number | null | undefined) ?? null };
}
