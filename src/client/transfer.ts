// Instances as records that files hold, one a line, and back. Neighbours: client.ts shows it; provider/management.ts says what a dump is.
//
// Imported records are untrusted: their shape is checked here before the store sees them, their histories by whoever replays them.
import type { InstanceDump } from '../provider/management.ts';
import { hasMethods, readOptions } from '../types/arguments.ts';
import { encodeAttributes, type StoredAttributes } from '../types/attributes.ts';
import type { Clock } from '../types/clock.ts';
import { decodeStored } from '../types/codec.ts';
import { ArgumentError } from '../types/errors.ts';
import { INSTANCE_STATUSES, isEnded } from '../types/instance.ts';
import { MAX_INSTANCE_ID_LENGTH, MAX_NAME_LENGTH } from '../types/limits.ts';
import { assertText } from '../types/names.ts';
import { isRouting } from '../types/replay.ts';
import { show } from '../types/show.ts';
import type { ClientStore } from './client-store.ts';
import { toFilter, type InstanceFilterOptions } from './filter.ts';
import { assertSignal, eachPage } from './listing.ts';

/** An instance as files hold it. Its payloads are encoded as they were stored. */
export type ExportedInstance = { readonly format: 'duraloom-instance'; readonly version: 1; readonly instance: InstanceDump };

/** How far an import is. */
export type ImportProgress = {
  readonly imported: number;
  /** Those whose id was in use: they were left as they are. */
  readonly existing: number;
};

/** Most instances, and most events of their current executions, that are read or written at a time. Reason: a history may have megabytes. */
const BATCH = { instances: 20, events: 2_000 };
const MAX_PRIORITY = 9;
/** Beyond it there is no `Date`. */
const MAX_TIME_MS = 8.64e15;
const EXECUTION_STATUSES: ReadonlySet<unknown> = new Set([...INSTANCE_STATUSES, 'ContinuedAsNew']);

/**
 * Reads instances one by one, in the order of their starts.
 *
 * @param store - the store
 * @param filter - which
 * @param options - `signal`: breaks off
 * @param clock - as for `eachPage`
 * @yields {ExportedInstance} each as it was at one moment
 * @throws {ArgumentError} for a bad filter or signal
 */
export async function* exportInstances(
  store: ClientStore,
  filter: InstanceFilterOptions | undefined,
  options: { readonly signal?: AbortSignal } | undefined,
  clock: Clock,
): AsyncGenerator<ExportedInstance, void, undefined> {
  const { signal } = readOptions(options, 'the options of an export', { signal: true });
  for await (const page of eachPage(store, toFilter(filter), clock, assertSignal(signal))) {
    let ids: string[] = [];
    let events = 0;
    for (const [index, { instanceId, lastEventId }] of page.entries()) {
      ids.push(instanceId);
      events += lastEventId;
      if (!isFull(ids.length, events) && index < page.length - 1) continue;
      for (const instance of await store.exportInstances(ids)) {
        // One that was deleted meanwhile is not there to be taken along.
        if (instance !== null) yield { format: 'duraloom-instance', version: 1, instance };
      }
      [ids, events] = [[], 0];
    }
  }
}

function isFull(instances: number, events: number): boolean {
  return instances >= BATCH.instances || events >= BATCH.events;
}

/**
 * Writes exported instances into the store.
 *
 * @param store - the store
 * @param records - what `exportInstances` gave
 * @param options - `onProgress`: called after each batch
 * @returns how many were written
 * @throws {ArgumentError} for a record that is none, with its number; those before it are written
 */
export async function importInstances(
  store: ClientStore,
  records: Iterable<unknown> | AsyncIterable<unknown>,
  options?: { readonly onProgress?: (progress: ImportProgress) => void },
): Promise<ImportProgress> {
  const { onProgress } = readOptions(options, 'the options of an import', { onProgress: true });
  if (!isIterable(records)) throw new ArgumentError(`Expected records to be an iterable of exported instances, got ${show(records)}`);
  const progress = { imported: 0, existing: 0 };
  let batch: InstanceDump[] = [];
  let events = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const outcomes = await store.importInstances(batch);
    for (const outcome of outcomes) progress[outcome === 'imported' ? 'imported' : 'existing'] += 1;
    [batch, events] = [[], 0];
    onProgress?.({ ...progress });
  };
  let number = 0;
  for await (const record of records) {
    number += 1;
    const dump = toDump(record);
    if (dump === null) {
      await flush();
      throw new ArgumentError(
        `Expected record ${number} to be an instance that \`exportInstances\` gave, got ${show(record)}. The ones before it are imported`,
      );
    }
    batch.push(dump);
    events += dump.record.lastEventId;
    if (isFull(batch.length, events)) await flush();
  }
  await flush();
  return progress;
}

function isIterable(value: unknown): boolean {
  return (
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    (hasMethods({ next: (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] }, ['next']) ||
      hasMethods({ next: (value as Partial<Iterable<unknown>>)[Symbol.iterator] }, ['next']))
  );
}

/** Takes a record apart and puts it together anew: what is not of a dump is left out. null: it is none. */
function toDump(record: unknown): InstanceDump | null {
  if (!isObject(record) || record['format'] !== 'duraloom-instance' || record['version'] !== 1) return null;
  const given = record['instance'];
  if (!isObject(given) || !isInstanceRecord(given['record'])) return null;
  const { record: instance, firstExecutionId, engine, parentNotice, holdUntilMs, executions, values, subscriptions, messages } = given;
  const { workItems } = given;
  const isSound =
    isId(firstExecutionId) &&
    isCount(engine) &&
    isTextOrNull(parentNotice) &&
    isTimeOrNull(holdUntilMs) &&
    isListOf(executions, isExecution) &&
    executions.at(-1)?.executionId === instance.executionId &&
    executions.at(-1)?.lastEventId === instance.lastEventId &&
    executions.every(({ executionId }, index) => executionId > (executions[index - 1]?.executionId ?? 0)) &&
    isListOf(values, isValue) &&
    areDistinct(values.map(({ key }) => key)) &&
    isListOf(subscriptions, isText) &&
    isListOf(messages, isMessage) &&
    areDistinct(messages.flatMap(({ key }) => key ?? [])) &&
    isListOf(workItems, isWorkItem) &&
    areDistinct(workItems.map(({ executionId, eventId }) => `${executionId} ${eventId}`)) &&
    (!isEnded(instance.status) || (messages.length === 0 && workItems.length === 0));
  if (!isSound) return null;
  const attributes = readAttributes(instance.attributes);
  if (attributes === undefined) return null;
  return {
    record: instance,
    firstExecutionId,
    engine,
    parentNotice,
    holdUntilMs,
    attributes,
    executions,
    values,
    subscriptions,
    messages,
    workItems,
  };
}

/** undefined: they are none. */
function readAttributes(text: string | null): StoredAttributes | null | undefined {
  if (text === null) return null;
  try {
    return encodeAttributes(decodeStored(text, 'attributes'));
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function isInstanceRecord(value: unknown): value is InstanceDump['record'] {
  if (!isObject(value) || !isKey(value['instanceId'], MAX_INSTANCE_ID_LENGTH) || !isKey(value['name'], MAX_NAME_LENGTH)) return false;
  const { version, status, executionId, lastEventId, output, customStatus, customStatusVersion, attributes, parent, onParentClose } = value;
  const { priority, createdAtMs, updatedAtMs, endedAtMs } = value;
  return (
    [version, attributes].every(isTextOrNull) &&
    [output, customStatus].every(isEncodedOrNull) &&
    INSTANCE_STATUSES.some((known) => known === status) &&
    isId(executionId) &&
    [lastEventId, customStatusVersion, priority].every(isCount) &&
    (priority as number) <= MAX_PRIORITY &&
    [createdAtMs, updatedAtMs].every(isTime) &&
    (endedAtMs === null) === !isEnded(status as InstanceDump['record']['status']) &&
    isTimeOrNull(endedAtMs) &&
    ['abandon', 'cancel', 'terminate'].includes(onParentClose as string) &&
    (parent === null || (isObject(parent) && isText(parent['instanceId']) && isId(parent['executionId']) && isId(parent['eventId'])))
  );
}

function isExecution(value: unknown): value is InstanceDump['executions'][number] {
  if (!isObject(value)) return false;
  const { executionId, name, version, status, lastEventId, endedAtMs, pages } = value;
  return (
    isId(executionId) &&
    isText(name) &&
    isTextOrNull(version) &&
    EXECUTION_STATUSES.has(status) &&
    isCount(lastEventId) &&
    isTimeOrNull(endedAtMs) &&
    isListOf(pages, isPage) &&
    // Pages follow each other, as turns do.
    pages.every((page, index) => page.firstEventId === (pages[index - 1]?.lastEventId ?? 0) + 1 && page.lastEventId >= page.firstEventId) &&
    (pages.at(-1)?.lastEventId ?? 0) === lastEventId
  );
}

function isPage(value: unknown): value is InstanceDump['executions'][number]['pages'][number] {
  return isObject(value) && isId(value['firstEventId']) && isId(value['lastEventId']) && isText(value['events']);
}

function isValue(value: unknown): value is InstanceDump['values'][number] {
  return isObject(value) && isText(value['key']) && isEncoded(value['value']) && isTime(value['updatedAtMs']);
}

function isMessage(value: unknown): value is InstanceDump['messages'][number] {
  if (!isObject(value)) return false;
  const { isStart, timerEventId, key, visibleAtMs, payload } = value;
  return (
    typeof isStart === 'boolean' &&
    (timerEventId === null || isId(timerEventId)) &&
    isTextOrNull(key) &&
    isTime(visibleAtMs) &&
    isText(payload)
  );
}

function isWorkItem(value: unknown): value is InstanceDump['workItems'][number] {
  if (!isObject(value)) return false;
  const { executionId, eventId, name, payload, routing, heartbeat } = value;
  return (
    isId(executionId) &&
    isId(eventId) &&
    isText(name) &&
    typeof payload === 'string' &&
    (routing === null || isRouting(routing)) &&
    isEncodedOrNull(heartbeat)
  );
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOf<Item>(value: unknown, isItem: (item: unknown) => item is Item): value is readonly Item[] {
  return Array.isArray(value) && value.every(isItem);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || isText(value);
}

/** A list shows it, and one that cannot be read would fail the list. */
function isEncoded(value: unknown): value is string {
  if (!isText(value)) return false;
  try {
    decodeStored(value, 'it');
    return true;
  } catch {
    return false;
  }
}

function isEncodedOrNull(value: unknown): value is string | null {
  return value === null || isEncoded(value);
}

function areDistinct(keys: readonly string[]): boolean {
  return new Set(keys).size === keys.length;
}

function isKey(value: unknown, maxLength: number): boolean {
  try {
    assertText(value, 'it', maxLength);
    return true;
  } catch {
    return false;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isId(value: unknown): value is number {
  return isCount(value) && value > 0;
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= MAX_TIME_MS;
}

function isTimeOrNull(value: unknown): value is number | null {
  return value === null || isTime(value);
}
