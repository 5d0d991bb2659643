// Instances on their way to another store and from there. Neighbours: memory-store.ts calls it, ../management.ts says what a dump is.
import { isEnded } from '../../types/instance.ts';
import type { InstanceDump } from '../management.ts';
import { compareCodePoints } from './code-points.ts';
import { listExecutions, type Stored } from './management.ts';
import { addImmediateMessage, addStartMessage, addTimer, setCode, type StoredInstance } from './stored-instance.ts';

/**
 * Reads an instance with all that belongs to it.
 *
 * @param stored - all
 * @param instance - which
 * @param nowMs - the time, epoch milliseconds
 * @returns the dump
 */
export function dumpInstance({ instances, work }: Stored, instance: StoredInstance, nowMs: number): InstanceDump {
  const { record, code, firstExecutionId, parentNotice, attributes, messages } = instance;
  const { instanceId } = record;
  return {
    record,
    firstExecutionId,
    engine: code.engine,
    parentNotice,
    holdUntilMs: instance.holdUntilMs > nowMs && !isEnded(record.status) ? instance.holdUntilMs : null,
    attributes: record.attributes === null ? null : { text: record.attributes, list: attributes },
    executions: listExecutions(instance).map((execution) => ({ ...execution, pages: instance.pages.get(execution.executionId) ?? [] })),
    values: [...instance.values.values()].toSorted((a, b) => compareCodePoints(a.key, b.key)),
    subscriptions: instances.subscriptions.patternsOf(instanceId),
    messages: messages.map(({ orderMs, timerEventId, key, visibleAtMs, payload }) => ({
      isStart: orderMs === Number.NEGATIVE_INFINITY,
      timerEventId,
      key: key ?? null,
      visibleAtMs: timerEventId === null ? 0 : visibleAtMs,
      payload,
    })),
    workItems: work
      .all(instanceId)
      .toSorted((a, b) => a.executionId - b.executionId || a.eventId - b.eventId)
      .map(({ executionId, eventId, name, payload, routing, heartbeat }) => ({ executionId, eventId, name, payload, routing, heartbeat })),
  };
}

/**
 * Writes an instance of another store.
 *
 * @param stored - all
 * @param dump - the instance
 * @param nowMs - the time, epoch milliseconds
 * @returns what became of it
 */
export function restoreInstance({ instances, work }: Stored, dump: InstanceDump, nowMs: number): 'imported' | 'exists' {
  const { record, firstExecutionId, engine, parentNotice, attributes, executions, values } = dump;
  const { instanceId, name, version } = record;
  if (instances.get(instanceId) !== undefined) return 'exists';
  const instance: StoredInstance = {
    sequence: instances.nextSequence(),
    record: { ...record, attributes: attributes?.text ?? null },
    attributes: attributes?.list ?? [],
    code: { name, version, engine },
    group: '',
    home: null,
    parentNotice,
    firstExecutionId,
    past: executions.filter(({ executionId }) => executionId !== record.executionId).map(({ pages: _pages, ...execution }) => execution),
    pages: new Map(executions.map(({ executionId, pages }) => [executionId, [...pages]])),
    values: new Map(values.map((value) => [value.key, value])),
    messages: [],
    queuedKeys: new Set(),
    lastMessageId: 0,
    lastOrderMs: Number.NEGATIVE_INFINITY,
    readyAtMs: null,
    heapIndex: -1,
    holdUntilMs: dump.holdUntilMs ?? Number.NEGATIVE_INFINITY,
    lockToken: null,
    handedOut: [],
  };
  setCode(instance, instance.code);
  // What is visible at once keeps its place behind the timers before it.
  let orderMs = 0;
  for (const { isStart, timerEventId, key, visibleAtMs, payload } of dump.messages) {
    if (timerEventId !== null) orderMs = Math.max(orderMs, visibleAtMs);
    if (isStart) addStartMessage(instance, payload, nowMs);
    else if (timerEventId !== null) addTimer(instance, { eventId: timerEventId, visibleAtMs, payload });
    else addImmediateMessage(instance, key === null ? { payload } : { payload, key }, orderMs);
  }
  instances.restore(instance);
  for (const pattern of dump.subscriptions) instances.subscriptions.add(instanceId, pattern);
  for (const { executionId, heartbeat, ...item } of dump.workItems) {
    work.add({ instanceId, executionId }, [item], nowMs);
    const added = work.find({ instanceId, executionId, eventId: item.eventId });
    if (added !== undefined) added.heartbeat = heartbeat;
  }
  return 'imported';
}
