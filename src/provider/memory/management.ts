// What operators ask of a store in memory: lists, counts, looks into queues, deleting. It looks at everything each time: for its sizes that is quick
// enough. Neighbours: memory-store.ts calls it, dumps.ts takes instances along.
import { isEnded } from '../../types/instance.ts';
import { isPageLimit, makeLimitError } from '../list-limit.ts';
import {
  MAX_WAITING_COUNT,
  placeOf,
  type DeleteOutcome,
  type DeleteRequest,
  type ExecutionRecord,
  type InstanceFilter,
  type InstanceList,
  type InstanceOrder,
  type InstanceQuery,
  type ListPosition,
  type QueueEdit,
  type QueueItem,
  type QueuePlace,
  type QueueQuery,
  type WaitingCounts,
} from '../management.ts';
import { compareCodePoints } from './code-points.ts';
import type { Instances } from './instances.ts';
import { isLocked, removeMessages, type StoredInstance } from './stored-instance.ts';
import { visibleAtMsOf, type StoredWorkItem, type WorkQueue } from './work-queue.ts';

/** All that operators can reach. */
export type Stored = { readonly instances: Instances; readonly work: WorkQueue };

/**
 * Lists instances.
 *
 * @param instances - all of them
 * @param query - which, in which order
 * @returns a page
 * @throws {ArgumentError} for a limit outside its range
 */
export function listInstances(instances: Instances, query: InstanceQuery): InstanceList {
  const { filter, orderBy, descending, after, limit } = query;
  if (!isPageLimit(limit)) throw makeLimitError('listInstances', limit);
  const direction = descending ? -1 : 1;
  const found = instances
    .all()
    .filter((instance) => matches(instance, filter) && (orderBy !== 'endedAt' || instance.record.endedAtMs !== null))
    .map((instance) => ({ instance, position: positionOf(instance, orderBy) }))
    .filter(({ position }) => after === null || direction * comparePositions(position, after) > 0)
    .toSorted((a, b) => direction * comparePositions(a.position, b.position));
  const page = found.slice(0, limit);
  return { records: page.map(({ instance }) => instance.record), next: found.length > limit ? (page.at(-1)?.position ?? null) : null };
}

/**
 * Counts what an instance has in the queues.
 *
 * @param stored - all
 * @param instanceId - which
 * @param nowMs - the time, epoch milliseconds
 * @returns the numbers; all 0 for an unknown one
 */
export function countWaiting({ instances, work }: Stored, instanceId: string, nowMs: number): WaitingCounts {
  const instance = instances.get(instanceId);
  const items = work.all(instanceId);
  const timers = (instance?.messages ?? []).filter(({ timerEventId }) => timerEventId !== null);
  const counts = {
    activities: items.length,
    runningActivities: items.filter((item) => isLocked(item, nowMs)).length,
    timers: timers.length,
    messages: (instance?.messages.length ?? 0) - timers.length,
    children: instance === undefined ? 0 : instances.childrenOf(instanceId).filter(({ record }) => !isEnded(record.status)).length,
  };
  const bounded = Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Math.min(count, MAX_WAITING_COUNT)]));
  return {
    ...(bounded as typeof counts),
    nextTimerAtMs: timers.reduce<number | null>((first, { visibleAtMs }) => Math.min(first ?? visibleAtMs, visibleAtMs), null),
    readyAtMs: instance?.readyAtMs ?? null,
    isLocked: instance !== undefined && isLocked(instance, nowMs),
  };
}

/**
 * Lists the executions of an instance.
 *
 * @param instance - which; undefined: an unknown one
 * @returns its executions, oldest first
 */
export function listExecutions(instance: StoredInstance | undefined): readonly ExecutionRecord[] {
  if (instance === undefined) return [];
  const { executionId, name, version, status, lastEventId, endedAtMs } = instance.record;
  return [...instance.past, { executionId, name, version, status, lastEventId, endedAtMs }];
}

/**
 * Deletes an instance with its descendants.
 *
 * @param instances - all of them
 * @param request - which
 * @returns what became of it
 */
export function deleteInstance(instances: Instances, { instanceId, isForced, endedAtMs }: DeleteRequest): DeleteOutcome {
  const instance = instances.get(instanceId);
  if (instance === undefined || (endedAtMs !== undefined && instance.record.endedAtMs !== endedAtMs)) return { kind: 'notFound' };
  const parent = parentOf(instances, instance);
  if (parent !== undefined && !isEnded(parent.record.status)) return { kind: 'hasParent' };
  const family = new Set([instance]);
  const abandoned: StoredInstance[] = [];
  // The set grows while it is gone through.
  for (const member of family) {
    for (const child of instances.childrenOf(member.record.instanceId)) {
      if (parentOf(instances, child) !== member) continue;
      if (child.record.onParentClose === 'abandon' && !isEnded(child.record.status)) abandoned.push(child);
      else family.add(child);
    }
  }
  if (!isForced && [...family].some(({ record }) => !isEnded(record.status))) return { kind: 'alive' };
  for (const child of abandoned) instances.unlink(child);
  for (const member of family) instances.remove(member);
  return { kind: 'deleted', instances: family.size };
}

/**
 * Deletes histories of past executions.
 *
 * @param instance - of which; undefined: an unknown one
 * @param request - which of them
 * @returns how many went
 */
export function pruneExecutions(
  instance: StoredInstance | undefined,
  { keepLast, endedBeforeMs }: { readonly keepLast: number | null; readonly endedBeforeMs: number | null },
): number {
  if (instance === undefined || (keepLast === null && endedBeforeMs === null)) return 0;
  const oldestKept = instance.record.executionId - Math.max(keepLast ?? 1, 1) + 1;
  const gone = new Set(
    instance.past
      .filter(({ executionId, endedAtMs }) => executionId < oldestKept && (endedBeforeMs === null || (endedAtMs ?? 0) < endedBeforeMs))
      .map(({ executionId }) => executionId),
  );
  instance.past = instance.past.filter(({ executionId }) => !gone.has(executionId));
  for (const executionId of gone) instance.pages.delete(executionId);
  return gone.size;
}

/**
 * Looks into a queue.
 *
 * @param stored - all
 * @param query - which, from where on
 * @param nowMs - the time, epoch milliseconds
 * @returns the items
 * @throws {ArgumentError} for a limit outside its range
 */
export function peekQueue({ instances, work }: Stored, query: QueueQuery, nowMs: number): readonly QueueItem[] {
  const { queue, instanceId, after, limit } = query;
  if (!isPageLimit(limit)) throw makeLimitError('peekQueue', limit);
  const chosen = instanceId === undefined ? instances.all() : [instances.get(instanceId)].filter((instance) => instance !== undefined);
  const items =
    queue === 'worker'
      ? work.all(instanceId).map((item) => toWorkEntry(item, nowMs))
      : chosen.flatMap((instance) => toMessageEntries(instance, nowMs));
  return items
    .filter((item) => after === null || comparePlaces(placeOf(item), after) > 0)
    .toSorted((a, b) => comparePlaces(placeOf(a), placeOf(b)))
    .slice(0, limit);
}

/**
 * Changes an item of a queue by hand.
 *
 * @param stored - all
 * @param edit - which, and how
 * @param nowMs - the time, epoch milliseconds
 * @returns what became of it
 */
export function editQueue({ instances, work }: Stored, edit: QueueEdit, nowMs: number): 'done' | 'gone' {
  const { kind, item: ref } = edit;
  if (ref.kind === 'workItem') {
    const item = work.find(ref);
    if (item === undefined) return 'gone';
    if (kind === 'moveBack') item.attempt = 0;
    if (kind !== 'drop') {
      work.release(item, nowMs, nowMs);
      return 'done';
    }
    work.remove(item);
    if (edit.completionPayload !== null) instances.enqueue({ instanceId: ref.instanceId, payload: edit.completionPayload });
    return 'done';
  }
  const instance = instances.get(ref.instanceId);
  const message = instance?.messages.find(({ messageId }) => messageId === ref.messageId);
  if (instance === undefined || message === undefined) return 'gone';
  if (kind === 'moveBack') message.attempt = 0;
  if (kind === 'drop') removeMessages(instance, (other) => other === message);
  // What was dropped does not begin a delayed start.
  if (kind !== 'drop') instance.holdUntilMs = Number.NEGATIVE_INFINITY;
  instances.settle(instance);
  return 'done';
}

/** The parent of an instance, if it is still the one that started it: another may have its id by now. */
function parentOf(instances: Instances, { record }: StoredInstance): StoredInstance | undefined {
  if (record.parent === null) return undefined;
  const parent = instances.get(record.parent.instanceId);
  return parent !== undefined && parent.firstExecutionId <= record.parent.executionId ? parent : undefined;
}

function matches({ record, attributes }: StoredInstance, filter: InstanceFilter): boolean {
  const { name, statuses, version, parentInstanceId, createdFromMs, createdBeforeMs, updatedFromMs, updatedBeforeMs, search } = filter;
  return (
    (name === undefined || record.name === name) &&
    (statuses === undefined || statuses.includes(record.status)) &&
    (version === undefined || record.version === version) &&
    (parentInstanceId === undefined || record.parent?.instanceId === parentInstanceId) &&
    (createdFromMs === undefined || record.createdAtMs >= createdFromMs) &&
    (createdBeforeMs === undefined || record.createdAtMs < createdBeforeMs) &&
    (updatedFromMs === undefined || record.updatedAtMs >= updatedFromMs) &&
    (updatedBeforeMs === undefined || record.updatedAtMs < updatedBeforeMs) &&
    (search === undefined || record.instanceId.includes(search)) &&
    (filter.attributes ?? []).every(({ key, value }) => attributes.some((other) => other.key === key && other.value === value))
  );
}

function positionOf({ record, sequence }: StoredInstance, orderBy: InstanceOrder): ListPosition {
  const { instanceId, endedAtMs } = record;
  return { at: orderBy === 'endedAt' ? (endedAtMs ?? 0) : 0, seq: orderBy === 'id' ? 0 : sequence, instanceId };
}

function comparePositions(a: ListPosition, b: ListPosition): number {
  return a.at - b.at || a.seq - b.seq || compareCodePoints(a.instanceId, b.instanceId);
}

function toMessageEntries(instance: StoredInstance, nowMs: number): readonly QueueItem[] {
  const { instanceId } = instance.record;
  const lockedUntilMs = isLocked(instance, nowMs) ? instance.readyAtMs : null;
  return instance.messages.map(({ messageId, timerEventId, key, visibleAtMs, attempt, payload }) => {
    const at = timerEventId === null ? 0 : visibleAtMs;
    return { kind: 'message', instanceId, messageId, timerEventId, key: key ?? null, visibleAtMs: at, attempt, lockedUntilMs, payload };
  });
}

function toWorkEntry(item: StoredWorkItem, nowMs: number): QueueItem {
  const { instanceId, executionId, eventId, name, attempt, routing, heartbeat, payload } = item;
  const lockedUntilMs = isLocked(item, nowMs) ? item.readyAtMs : null;
  const visibleAtMs = visibleAtMsOf(item, nowMs);
  return { kind: 'workItem', instanceId, executionId, eventId, name, visibleAtMs, attempt, lockedUntilMs, routing, heartbeat, payload };
}

function comparePlaces(a: QueuePlace, b: QueuePlace): number {
  return compareCodePoints(a.instanceId, b.instanceId) || a.major - b.major || a.minor - b.minor;
}
