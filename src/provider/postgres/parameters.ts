// Turns, starts and work items as the parameters of the functions in sql/: arrays, one for each column. Neighbour: postgres-provider.ts.
import { encodeRecord } from '../../types/codec.ts';
import { intervalUs } from '../rate.ts';
import type { NewInstance, NewWorkItem, OrchestrationAck, WorkItemAck, WorkItemLock } from '../provider.ts';
import { encodeJson } from './texts.ts';

/** Columns of one kind of row, filled row by row. */
export class Columns {
  readonly arrays: unknown[][];

  constructor(width: number) {
    this.arrays = Array.from({ length: width }, () => []);
  }

  add(...cells: readonly unknown[]): void {
    for (const [index, cell] of cells.entries()) this.arrays[index]?.push(cell);
  }
}

/**
 * Tells whether a start replaces nothing: then it is a row of a batch.
 *
 * @param start - the start
 * @returns true when the id must be free
 */
export function isPlainStart({ policy }: Pick<NewInstance, 'policy'>): boolean {
  return policy === 'fail' || policy === 'useExisting';
}

/**
 * Makes the parameters of `start_instances`, after `p_now`.
 *
 * @param starts - instances whose ids must be free
 * @returns the arrays
 */
export function startParameters(starts: readonly NewInstance[]): readonly unknown[] {
  const columns = new Columns(13);
  for (const start of starts) {
    const { instanceId, name, version, payload, parent, onParentClose, priority, startAtMs, delayMs, parentNotice, attributes } = start;
    const link = [parent?.instanceId ?? null, parent?.executionId ?? null, parent?.eventId ?? null];
    const searched = attributes === null || attributes.list.length === 0 ? null : encodeJson(attributes);
    columns.add(instanceId, name, version, payload, ...link, onParentClose, priority, startAtMs, delayMs, parentNotice, searched);
  }
  return columns.arrays;
}

/**
 * Makes the parameters of functions on locked work items, after `p_now`.
 *
 * @param items - keys with tokens
 * @returns the arrays: instances, executions, events, tokens
 */
export function lockParameters(items: readonly WorkItemLock[]): readonly unknown[] {
  const columns = new Columns(4);
  for (const { instanceId, executionId, eventId, lockToken } of items) columns.add(instanceId, executionId, eventId, lockToken);
  return columns.arrays;
}

/**
 * Makes the parameters of `ack_turns`, after `p_now`, without the last four.
 *
 * @param acks - the turns
 * @param offered - activities that go to a fetch that waits
 * @returns the arrays, in the order of the function
 */
export function ackParameters(acks: readonly OrchestrationAck[], offered: ReadonlySet<NewWorkItem>): readonly unknown[] {
  const turns = new Columns(15);
  const used = new Columns(3);
  const work = new Columns(14);
  const timers = new Columns(5);
  const cancelledWork = new Columns(4);
  const cancelledTimers = new Columns(3);
  const messages = new Columns(4);
  const others = new Set<string>();
  const more = new Columns(3);
  for (const [index, ack] of acks.entries()) {
    const { instanceId, executionId, page, customStatus, next } = ack;
    const number = index + 1;
    const status = [ack.status, ack.output, customStatus !== undefined, customStatus ?? null];
    const code = [next?.name ?? null, next?.version ?? null, next?.payload ?? null];
    const place = [executionId, ack.baseEventId, ack.createdAtMs ?? null, ack.version, page?.lastEventId ?? null, page?.events ?? null];
    turns.add(instanceId, ack.lockToken, ...place, ...status, ...code);
    for (const messageId of ack.consumedMessageIds) used.add(number, instanceId, messageId);
    for (const item of ack.workItems) work.add(number, instanceId, executionId, ...workCells(item), offered.has(item));
    for (const { eventId, visibleAtMs, payload } of ack.timers) timers.add(number, instanceId, eventId, visibleAtMs, payload);
    for (const eventId of ack.cancelledActivities) cancelledWork.add(number, instanceId, executionId, eventId);
    for (const eventId of ack.cancelledTimers) cancelledTimers.add(number, instanceId, eventId);
    for (const message of ack.messages) {
      messages.add(number, message.instanceId, message.payload, message.key ?? null);
      others.add(message.instanceId);
    }
    for (const start of ack.starts) others.add(start.instanceId);
    const rest = restOf(ack);
    if (rest !== null) more.add(number, instanceId, rest);
  }
  const children = [used, work, timers, cancelledWork, cancelledTimers, completedColumns(acks), messages].flatMap(({ arrays }) => arrays);
  return [...turns.arrays, ...children, [...others], ...more.arrays];
}

/**
 * Makes the cells of an activity.
 *
 * @param item - the activity
 * @returns event, name, payload, routing, tag, session, priority, expiry, key of the limit and its numbers
 */
export function workCells({ eventId, name, payload, routing }: NewWorkItem): readonly unknown[] {
  const where = [
    routing?.tag ?? null,
    routing?.sessionId ?? null,
    routing?.priority ?? 0,
    routing?.expiresAfterMs ?? null,
    ...limitCells(routing),
  ];
  return [eventId, name, payload, routing === null ? null : encodeRecord(routing), ...where];
}

/** Key and numbers. An item of a session waits for its owner, not for a limit. */
function limitCells(routing: NewWorkItem['routing']): readonly [key: string | null, numbers: string | null] {
  const limit = routing === null || routing.sessionId !== null ? null : routing.limit;
  if (limit === null) return [null, null];
  const { key, concurrency, rate } = limit;
  return [key, [concurrency, rate?.count, rate === null ? null : intervalUs(rate)].map((number) => number ?? '').join(' ')];
}

/** In the order in which the other functions lock items: so that nobody waits for somebody who waits for him. */
function completedColumns(acks: readonly OrchestrationAck[]): Columns {
  const columns = new Columns(7);
  const done = acks.flatMap((ack, index) => (ack.completed ?? []).map((item) => ({ item, number: index + 1 })));
  for (const { item, number } of done.toSorted((a, b) => compareKeys(a.item, b.item))) {
    const received = [item.received?.sessionId ?? null, item.received?.uptoSeq ?? null];
    columns.add(number, item.instanceId, item.executionId, item.eventId, item.lockToken, ...received);
  }
  return columns;
}

function compareKeys(a: WorkItemAck, b: WorkItemAck): number {
  if (a.instanceId !== b.instanceId) return a.instanceId < b.instanceId ? -1 : 1;
  return a.executionId - b.executionId || a.eventId - b.eventId;
}

/** What most turns have none of, as JSON; null: none. */
function restOf({ starts, effects, closeChildren }: OrchestrationAck): string | null {
  if (starts.length === 0 && effects === null && closeChildren === null) return null;
  return encodeJson({
    ...(starts.length === 0 ? {} : { starts }),
    ...(effects === null ? {} : { effects }),
    ...(closeChildren === null ? {} : { closeChildren }),
  });
}
