// What the contract cases are written with: builders of starts, acks and items, short forms of the calls, views, waits.
// Neighbours: cases-*.ts use it. No test runner in here, only node:assert.
import assert from 'node:assert/strict';
import type { InstanceFilter, InstanceQuery } from '../provider/management.ts';
import type {
  AckEffects,
  CloseChildren,
  EnqueueOutcome,
  Fetched,
  HistoryPage,
  NewInstance,
  NewWorkItem,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationFetchParams,
  OrchestrationItem,
  Provider,
  StartOutcome,
  WaitCondition,
  WorkFetchParams,
  WorkItem,
  WorkItemAck,
  WorkItemOutcome,
} from '../provider/provider.ts';
import type { SimulatedClock } from '../provider/simulated-clock.ts';
import type { StoredAttributes } from '../types/attributes.ts';
import type { InstanceRecord } from '../types/instance.ts';
import type { ParentLink } from '../types/names.ts';
import type { ActivityRouting } from '../types/replay.ts';
import type { ConformanceCase, ConformanceContext } from './conformance-case.ts';

/** How long the locks of a fetch last unless a case is about that. */
export const LOCK_MS = 30_000;

/** Large enough to cross every page, buffer and chunk size. */
export const BIG: string = 'ä€😀"\\'.repeat(128 * 1024);

// Builders.

export function newInstance(instanceId: string, changes: Partial<NewInstance> = {}): NewInstance {
  const where = { parent: null, onParentClose: 'cancel', policy: 'fail', priority: 0, startAtMs: null, delayMs: 0 } as const;
  const closing = { closeChildren: null, parentNotice: null, attributes: null };
  return { instanceId, name: 'order', version: '1.0.0', payload: `start ${instanceId}`, ...where, ...closing, ...changes };
}

/** An ack that consumes all messages and asks for nothing. */
export function ackFor(item: OrchestrationItem, changes: Partial<OrchestrationAck> = {}): OrchestrationAck {
  return {
    instanceId: item.instanceId,
    lockToken: item.lockToken,
    executionId: item.executionId,
    baseEventId: item.lastEventId,
    version: item.version,
    page: null,
    consumedMessageIds: item.messages.map(({ messageId }) => messageId),
    status: 'Running',
    output: null,
    customStatus: undefined,
    workItems: [],
    timers: [],
    messages: [],
    starts: [],
    cancelledActivities: [],
    cancelledTimers: [],
    next: null,
    effects: null,
    closeChildren: null,
    ...changes,
  };
}

export function activity(eventId: number, changes: Partial<NewWorkItem> = {}): NewWorkItem {
  return { eventId, name: 'charge', payload: `activity ${eventId}`, routing: null, ...changes };
}

/** Routing that asks for nothing but the changes. */
export function routing(changes: Partial<ActivityRouting>): ActivityRouting {
  return { tag: null, sessionId: null, priority: 0, timeoutMs: null, expiresAfterMs: null, limit: null, extras: null, ...changes };
}

/** The link of a child that the first execution of an instance scheduled. */
export function link(instanceId: string, eventId = 2, executionId = 1): ParentLink {
  return { instanceId, executionId, eventId };
}

/** Effects that do nothing but the changes. */
export function effects(changes: Partial<AckEffects>): AckEffects {
  return { attributes: null, values: [], subscriptions: [], publications: [], sessionMessages: [], terminations: [], ...changes };
}

/** Search attributes by their keys; values are texts. */
export function attributes(values: Readonly<Record<string, string>>): StoredAttributes {
  const list = Object.entries(values).map(([key, value]) => ({ key, value: `"${value}"` }));
  return { text: `{${list.map(({ key, value }) => `"${key}":${value}`).join(',')}}`, list };
}

/** The first page of a list by id. */
export async function listById(
  provider: Provider,
  { limit = 1_000, after = null, ...filter }: InstanceFilter & { readonly limit?: number; readonly after?: string | null } = {},
): Promise<readonly InstanceRecord[]> {
  const position = after === null ? null : { at: 0, seq: 0, instanceId: after };
  const { records } = await provider.listInstances({ filter, orderBy: 'id', descending: false, after: position, limit });
  return records;
}

export const closing: CloseChildren = { cancelPayload: 'parent closed', output: '"closed"' };

export function timer(eventId: number, visibleAtMs: number): OrchestrationAck['timers'][number] {
  return { eventId, visibleAtMs, payload: `timer ${eventId}` };
}

/** A page up to an event; the store must not look into the text. */
export function page(lastEventId: number): NonNullable<OrchestrationAck['page']> {
  return { lastEventId, events: `[up to ${lastEventId}` };
}

export const nextExecution: OrchestrationAck['next'] = { name: 'order', version: '1.0.0', payload: 'start next' };

// Calls.

export function only<Value>(values: readonly Value[]): Value {
  assert.equal(values.length, 1, `expected one, got ${values.length}`);
  const [value] = values;
  assert.ok(value !== undefined);
  return value;
}

export async function start(provider: Provider, ...instanceIds: readonly string[]): Promise<void> {
  const outcomes = await provider.startInstances(instanceIds.map((instanceId) => newInstance(instanceId)));
  assert.deepEqual(
    outcomes,
    instanceIds.map(() => 'started'),
  );
}

/** Starts one instance that is not just any. */
export async function startOne(provider: Provider, instanceId: string, changes: Partial<NewInstance> = {}): Promise<StartOutcome> {
  return only(await provider.startInstances([newInstance(instanceId, changes)]));
}

export async function enqueue(provider: Provider, instanceId: string, ...payloads: readonly string[]): Promise<readonly EnqueueOutcome[]> {
  return await provider.enqueueMessages(payloads.map((payload) => ({ instanceId, payload })));
}

/** What a fetch may ask for, of either queue. */
export type FetchChanges = Partial<OrchestrationFetchParams & WorkFetchParams>;

export function fetchParams(changes: FetchChanges = {}): OrchestrationFetchParams & WorkFetchParams {
  return { maxItems: 100, lockMs: LOCK_MS, waitMs: 0, ...changes };
}

export async function fetchItems(provider: Provider, changes: FetchChanges = {}): Promise<readonly OrchestrationItem[]> {
  return (await provider.fetchOrchestrationItems(fetchParams(changes))).items;
}

export async function fetchOne(provider: Provider, changes: FetchChanges = {}): Promise<OrchestrationItem> {
  return only(await fetchItems(provider, changes));
}

export async function fetchNone(provider: Provider): Promise<void> {
  assert.deepEqual(await fetchItems(provider), []);
}

export async function ack(
  provider: Provider,
  item: OrchestrationItem,
  changes: Partial<OrchestrationAck> = {},
): Promise<OrchestrationAckOutcome> {
  return only(await provider.ackOrchestrationItems([ackFor(item, changes)]));
}

export async function commit(provider: Provider, item: OrchestrationItem, changes: Partial<OrchestrationAck> = {}): Promise<void> {
  assert.equal(await ack(provider, item, changes), 'committed');
}

/** Starts an instance and commits its first turn. Nothing else may be ready. */
export async function run(provider: Provider, instanceId: string, changes: Partial<OrchestrationAck> = {}): Promise<void> {
  await start(provider, instanceId);
  await commit(provider, await fetchOne(provider), { page: page(2), ...changes });
}

export async function abandon(
  provider: Provider,
  item: OrchestrationItem,
  changes: { readonly delayMs?: number; readonly countAttempt?: boolean } = {},
): Promise<'done' | 'lockLost'> {
  const { instanceId, lockToken } = item;
  return only(await provider.abandonOrchestrationItems([{ instanceId, lockToken, delayMs: 0, countAttempt: true, ...changes }]));
}

export async function fetchWork(provider: Provider, changes: FetchChanges = {}): Promise<readonly WorkItem[]> {
  return (await provider.fetchWorkItems(fetchParams(changes))).items;
}

export async function fetchOneWork(provider: Provider, changes: FetchChanges = {}): Promise<WorkItem> {
  return only(await fetchWork(provider, changes));
}

export function workAckFor(item: WorkItem, completionPayload: string | null = `done ${item.eventId}`): WorkItemAck {
  const { instanceId, executionId, eventId, lockToken } = item;
  return { instanceId, executionId, eventId, lockToken, completionPayload };
}

export async function ackWork(provider: Provider, item: WorkItem, completionPayload?: string | null): Promise<WorkItemOutcome> {
  return only(await provider.ackWorkItems([workAckFor(item, completionPayload)]));
}

/** Renews by the locks of items: what else an item has would be read as a heartbeat. */
export async function renewWork(
  provider: Provider,
  items: readonly WorkItem[],
  lockMs: number,
  heartbeat?: string,
): Promise<readonly WorkItemOutcome[]> {
  const locks = items.map(({ instanceId, executionId, eventId, lockToken }) => ({ instanceId, executionId, eventId, lockToken }));
  return await provider.renewWorkLocks(heartbeat === undefined ? locks : locks.map((lock) => ({ ...lock, heartbeat })), lockMs);
}

export async function abandonWork(
  provider: Provider,
  item: WorkItem,
  changes: { readonly delayMs?: number; readonly countAttempt?: boolean } = {},
): Promise<WorkItemOutcome> {
  return only(await provider.abandonWorkItems([{ ...workAckFor(item), delayMs: 0, countAttempt: true, ...changes }]));
}

export async function read(provider: Provider, instanceId: string): Promise<InstanceRecord> {
  const record = only(await provider.readInstances([instanceId]));
  assert.ok(record !== null);
  return record;
}

/** A list of all instances by their ids, but for the changes. */
export function listQuery(changes: Partial<InstanceQuery> = {}): InstanceQuery {
  return { filter: {}, orderBy: 'id', descending: false, after: null, limit: 1_000, ...changes };
}

/** Lists instances page by page, to the last one. */
export async function listAll(
  provider: Pick<Provider, 'listInstances'>,
  changes: Partial<InstanceQuery> = {},
): Promise<readonly InstanceRecord[]> {
  const records: InstanceRecord[] = [];
  let { after } = listQuery(changes);
  do {
    const found: Awaited<ReturnType<Provider['listInstances']>> = await provider.listInstances(listQuery({ ...changes, after }));
    records.push(...found.records);
    after = found.next;
  } while (after !== null);
  return records;
}

export async function history(provider: Provider, instanceId: string, executionId = 1, afterEventId = 0): Promise<readonly HistoryPage[]> {
  return only(await provider.readHistory([{ instanceId, executionId, afterEventId }]));
}

export async function queued(provider: Provider): Promise<readonly [messages: number, workItems: number]> {
  const { orchestratorMessages, workItems } = await provider.readQueueDepths();
  return [orchestratorMessages, workItems];
}

/** Commits what is ready on a clock that was set back, then what is ready on time again: all payloads in the order of their turns. */
export async function takeNowAndLater(provider: Provider, clock: SimulatedClock): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const backMs of [0, 5_000]) {
    clock.jump(backMs);
    for (const item of await fetchItems(provider)) {
      taken.push(...payloads(item));
      await commit(provider, item);
    }
  }
  return taken;
}

// Views.

export const payloads = (item: OrchestrationItem): readonly string[] => item.messages.map(({ payload }) => payload);
export const attempts = (item: OrchestrationItem): readonly number[] => item.messages.map(({ attempt }) => attempt);
export const instanceIds = (items: readonly { readonly instanceId: string }[]): readonly string[] =>
  items.map(({ instanceId }) => instanceId);
export const eventIds = (items: readonly WorkItem[]): readonly number[] => items.map(({ eventId }) => eventId);

// Waits.

export type Wait<Value> = { readonly result: Promise<Value>; readonly isOver: () => boolean };

/** Lets a call get to where it waits, and checks that it does. */
export async function waiting<Value>(clock: SimulatedClock, result: Promise<Value>): Promise<Wait<Value>> {
  let isOver = false;
  const end = (): void => {
    isOver = true;
  };
  void result.then(end, end);
  await clock.advance(0);
  assert.equal(isOver, false, 'expected the call to wait');
  return { result, isOver: () => isOver };
}

export type Poll = Wait<Fetched<OrchestrationItem>>;

export async function poll({ provider, clock }: ConformanceContext, changes: FetchChanges = {}): Promise<Poll> {
  return await waiting(clock, provider.fetchOrchestrationItems(fetchParams({ waitMs: 10_000, ...changes })));
}

export async function pollWork({ provider, clock }: ConformanceContext, changes: FetchChanges = {}): Promise<Wait<Fetched<WorkItem>>> {
  return await waiting(clock, provider.fetchWorkItems(fetchParams({ waitMs: 10_000, ...changes })));
}

export async function watch(
  { provider, clock }: ConformanceContext,
  condition: WaitCondition,
  changes: { readonly instanceId?: string; readonly signal?: AbortSignal } = {},
): Promise<Wait<InstanceRecord | null>> {
  return await waiting(clock, provider.waitForInstance({ instanceId: 'a', condition, waitMs: 10_000, ...changes }));
}

export const ended: WaitCondition = { kind: 'ended' };
export const statusAfter = (afterVersion: number): WaitCondition => ({ kind: 'customStatus', afterVersion });

export function cases(contract: string, runs: Readonly<Record<string, ConformanceCase['run']>>): readonly ConformanceCase[] {
  return Object.entries(runs).map(([name, runCase]) => ({ contract, name, run: runCase }));
}
