// Lists, counts and trees of instances. Neighbours: client.ts shows them, filter.ts reads what callers ask for.
//
// A store looks at so many instances a call and no more: pages that it left short are filled here, with the event loop free in between.
import type { InstanceOrder, InstanceQuery, WaitingCounts } from '../provider/management.ts';
import { hasMethods, readOptions, type FieldNames } from '../types/arguments.ts';
import type { Clock } from '../types/clock.ts';
import { ArgumentError } from '../types/errors.ts';
import { isEnded, type InstanceRecord } from '../types/instance.ts';
import { show } from '../types/show.ts';
import type { ClientStore } from './client-store.ts';
import { FILTER_FIELDS, readCursor, toCursor, toFilter, type InstanceFilterOptions } from './filter.ts';
import { notFound, toListedState, type ListedState } from './instance-state.ts';

/** Which instances to list, and how. */
export type ListOptions = InstanceFilterOptions & {
  /**
   * `createdAt`: in the order of their starts. `endedAt`: in the order of their ends, only those that have ended. `id`: by code points.
   * @default 'createdAt'
   */
  readonly orderBy?: InstanceOrder;
  /** @default 'desc': newest first; by id 'asc' */
  readonly direction?: 'asc' | 'desc';
  /** `cursor` of the page before. @default the first page */
  readonly cursor?: string;
  /** Size of the page, 1 to 1000. @default 100 */
  readonly limit?: number;
};

/**
 * What an instance has in the queues, and its living children. Numbers end at 1,000. Waits for external events, topics and children that have not begun
 * stand in no queue: they are not here, whatever else there is. `client.explainWaiting` reads them from the history.
 */
export type WaitingSummary = {
  readonly activities: number;
  readonly runningActivities: number;
  readonly timers: number;
  readonly nextTimerAt: Date | null;
  /** Messages that its next turn takes. */
  readonly messages: number;
  readonly children: number;
};

/** A row of a list. */
export type InstanceSummary<Output = unknown> = ListedState<Output> & {
  /**
   * null: it has ended. With nothing at all in it a running instance waits for an event or a message from outside; with a timer in it, it may wait for
   * one besides.
   */
  readonly waitingFor: WaitingSummary | null;
};

/** How much of a count or a tree is read. */
export type ReadOptions = {
  /** Most instances. */
  readonly limit?: number;
  /** Breaks the reading off: it rejects with the reason. */
  readonly signal?: AbortSignal;
};

/** A page of a list. */
export type InstancePage = {
  readonly instances: readonly InstanceSummary[];
  /** For the next page; null: that was all. */
  readonly cursor: string | null;
};

/** An instance with its children, their children, and so on. */
export type InstanceTree = {
  readonly instance: ListedState;
  readonly children: readonly InstanceTree[];
  /** True when there are more children than are shown. */
  readonly isTruncated: boolean;
};

const LIST_LIMIT = { default: 100, maximum: 1000 };
const COUNT_LIMIT = { default: 10_000, maximum: 1_000_000 };
const TREE_LIMIT = { default: 1_000, maximum: 10_000 };

/** Instances of one call to the store. Reason: they are read and decoded at once, with their results. */
const CALL_LIMIT = 250;
/** Calls to the store beyond those that its matches need, until a count ends. Reason: as for pages; whoever counts has a little more time. */
const COUNT_ROUNDS = 20;
/** Calls to the store for one page. Reason: an answer within 20 ms (row W14 of the bench), also of a store of any size that has nothing of the kind. */
const MAX_ROUNDS = 6;

const LIST_FIELDS: FieldNames<ListOptions> = { ...FILTER_FIELDS, orderBy: true, direction: true, cursor: true, limit: true };
const ORDERS: Readonly<Record<InstanceOrder, true>> = { id: true, createdAt: true, endedAt: true };

/**
 * Lists instances.
 *
 * @param store - the store
 * @param options - which, in which order, how many
 * @param clock - for giving way to others between calls
 * @returns a page
 * @throws {ArgumentError} for a bad filter, order, cursor or limit
 */
export async function listInstances(store: ClientStore, options: ListOptions | undefined, clock: Clock): Promise<InstancePage> {
  const given = readOptions(options, 'the options of a list', LIST_FIELDS);
  const { orderBy = 'createdAt', cursor, limit, direction = orderBy === 'id' ? 'asc' : 'desc', ...filter } = given;
  if (typeof orderBy !== 'string' || !Object.hasOwn(ORDERS, orderBy))
    throw new ArgumentError(`Expected \`orderBy\` to be createdAt, endedAt or id, got ${show(orderBy)}`);
  if (direction !== 'asc' && direction !== 'desc') {
    throw new ArgumentError(`Expected \`direction\` to be 'asc' or 'desc', got ${show(direction)}`);
  }
  const order = { orderBy, descending: direction === 'desc' };
  const wanted = assertLimit(limit, LIST_LIMIT);
  const query = { filter: toFilter(filter), ...order, after: readCursor(order, cursor) };
  const instances: InstanceSummary[] = [];
  let next = query.after;
  for (let round = 0; round < MAX_ROUNDS && instances.length < wanted; round += 1) {
    if (round > 0) await giveWay(clock);
    const page = await store.listInstances({ ...query, after: next, limit: Math.min(wanted - instances.length, CALL_LIMIT) });
    instances.push(...(await summarise(store, page.records)));
    next = page.next;
    if (next === null) break;
  }
  return { instances, cursor: toCursor(order, next) };
}

/**
 * Goes through all instances of a filter in the order of their starts, a page at a time.
 *
 * @param store - the store
 * @param filter - which
 * @param clock - for giving way to others between pages
 * @param signal - breaks off: pages may be empty for long
 * @yields {readonly InstanceRecord[]} pages, some of them empty
 * @throws its reason when the signal aborts
 */
export async function* eachPage(
  store: ClientStore,
  filter: InstanceQuery['filter'],
  clock: Clock,
  signal?: AbortSignal,
): AsyncGenerator<readonly InstanceRecord[]> {
  let after: InstanceQuery['after'] = null;
  do {
    signal?.throwIfAborted();
    const page: Awaited<ReturnType<ClientStore['listInstances']>> = await store.listInstances({
      filter,
      orderBy: 'createdAt',
      descending: false,
      after,
      limit: CALL_LIMIT,
    });
    yield page.records;
    after = page.next;
    if (after !== null) await giveWay(clock);
  } while (after !== null);
}

/**
 * Counts instances.
 *
 * @param store - the store
 * @param filter - which
 * @param options - `limit`: where counting ends; `signal`: breaks off
 * @param clock - as for `eachPage`
 * @returns how many, and whether that is all
 * @throws {ArgumentError} for a bad filter, limit or signal
 */
export async function countInstances(
  store: ClientStore,
  filter: InstanceFilterOptions | undefined,
  options: ReadOptions | undefined,
  clock: Clock,
): Promise<{ readonly count: number; readonly isExact: boolean }> {
  const { limit, signal } = readOptions(options, 'the options of a count', { limit: true, signal: true });
  const wanted = assertLimit(limit, COUNT_LIMIT);
  const maxRounds = COUNT_ROUNDS + Math.ceil(wanted / CALL_LIMIT);
  let [count, rounds] = [0, 0];
  for await (const page of eachPage(store, toFilter(filter), clock, assertSignal(signal))) {
    if (rounds === maxRounds) return { count, isExact: false };
    rounds += 1;
    count += page.length;
    if (count > wanted) return { count: wanted, isExact: false };
  }
  return { count, isExact: true };
}

/**
 * Reads an instance with its descendants, in the order of their starts.
 *
 * @param store - the store
 * @param instanceId - the root
 * @param options - `limit`: most instances in all; `signal`: breaks off
 * @param clock - as for `eachPage`
 * @returns the tree
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {ArgumentError} for a bad limit or signal
 */
export async function readTree(
  store: ClientStore,
  instanceId: string,
  options: ReadOptions | undefined,
  clock: Clock,
): Promise<InstanceTree> {
  const { limit, signal } = readOptions(options, 'the options of a tree', { limit: true, signal: true });
  const stop = assertSignal(signal);
  let left = assertLimit(limit, TREE_LIMIT) - 1;
  const [root] = await store.readInstances([instanceId]);
  if (root === undefined || root === null) throw notFound(instanceId);

  // Breadth first, so that a limit cuts off what is deepest.
  type Node = { readonly record: InstanceRecord; readonly children: Node[]; isTruncated: boolean };
  const top: Node = { record: root, children: [], isTruncated: false };
  const queue = [top];
  // The list grows while it is gone through.
  for (const node of queue) {
    for await (const records of eachPage(store, { parentInstanceId: node.record.instanceId }, clock, stop)) {
      const shown = records.slice(0, left);
      left -= shown.length;
      if (shown.length < records.length) node.isTruncated = true;
      for (const record of shown) {
        const child: Node = { record, children: [], isTruncated: false };
        node.children.push(child);
        queue.push(child);
      }
      if (node.isTruncated) break;
    }
  }
  // From the deepest ones up, without recursion: a chain of children may be deeper than the stack.
  const trees = new Map<Node, InstanceTree>();
  const toTree = ({ record, children, isTruncated }: Node): InstanceTree => ({
    instance: toListedState(record),
    children: children.flatMap((child) => trees.get(child) ?? []),
    isTruncated,
  });
  for (const node of queue.toReversed()) trees.set(node, toTree(node));
  return trees.get(top) ?? toTree(top);
}

/** Lets the event loop do something else. */
function giveWay(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.defer(resolve));
}

async function summarise(store: ClientStore, records: readonly InstanceRecord[]): Promise<readonly InstanceSummary[]> {
  const living = records.filter(({ status }) => !isEnded(status)).map(({ instanceId }) => instanceId);
  const counts = living.length === 0 ? [] : await store.countWaiting(living);
  const byId = new Map(living.map((instanceId, index) => [instanceId, counts[index]]));
  return records.map((record) => {
    const waiting = byId.get(record.instanceId);
    return { ...toListedState(record), waitingFor: waiting === undefined ? null : toWaiting(waiting) };
  });
}

function toWaiting({ nextTimerAtMs, ...counts }: WaitingCounts): WaitingSummary {
  const { activities, runningActivities, timers, messages, children } = counts;
  const nextTimerAt = nextTimerAtMs === null ? null : new Date(nextTimerAtMs);
  return { activities, runningActivities, timers, nextTimerAt, messages, children };
}

/**
 * Checks a signal.
 *
 * @param signal - from a caller
 * @returns it
 * @throws {ArgumentError} when it is none
 */
export function assertSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || hasMethods(signal, ['addEventListener', 'throwIfAborted'])) return signal;
  throw new ArgumentError(`Expected \`signal\` to be an AbortSignal, got ${show(signal)}`);
}

function assertLimit(limit: number | undefined, range: { readonly default: number; readonly maximum: number }): number {
  if (limit === undefined) return range.default;
  if (Number.isInteger(limit) && limit >= 1 && limit <= range.maximum) return limit;
  throw new ArgumentError(`Expected limit to be an integer from 1 to ${range.maximum}, got ${show(limit)}`);
}
