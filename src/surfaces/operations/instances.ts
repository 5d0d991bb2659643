// Operations that start instances and look at them. Neighbours: control.ts changes them, operations.ts has the table.
import * as z from 'zod';
import { notFound, type InstanceState } from '../../client/instance-state.ts';
import type { StartOptions } from '../../client/start.ts';
import { DurableError } from '../../types/errors.ts';
import { MAX_NAME_LENGTH, MAX_PRIORITY } from '../../types/limits.ts';
import { attributesSchema, filterShape, instanceIdSchema, STATUS_NAMES, timeSchema, toFilter } from './filters.ts';
import { defineOperation, type Operation, type SurfaceContext } from './operation.ts';
import {
  activitiesSchema,
  countsSchema,
  executionsSchema,
  historyPageSchema,
  instancePageSchema,
  instanceSchema,
  outcomeSchema,
  receiptSchema,
  startedSchema,
  startsSchema,
  treeSchema,
  valueSchema,
  valuesSchema,
  waitingSchema,
} from './schemas.ts';
import { toWireInstance, type WireInstance } from './wire.ts';

/** Most starts or events of one batch. Reason: as many as one page of a list has. */
export const MAX_BATCH = 1_000;
/** Longest wait of one call, in milliseconds. Reason: proxies and clients give up on silent connections after a minute. */
const MAX_WAIT_MS = 60_000;
const DEFAULT_WAIT_MS = 30_000;
/** Most generations of a tree. Reason: a tree is nested as deep, and whoever reads it has a stack. */
const MAX_DEPTH = 100;

const id = { id: instanceIdSchema };
const name = z.string().min(1).max(MAX_NAME_LENGTH);
const limit = (maximum: number, fallback: number): z.ZodDefault<z.ZodInt> => z.int().min(1).max(maximum).default(fallback);
const waitMs = (fallback: number): z.ZodDefault<z.ZodInt> =>
  z.int().min(0).max(MAX_WAIT_MS).default(fallback).describe('How long to wait, in milliseconds');

/** What a start takes. */
const startShape = {
  instanceId: instanceIdSchema,
  name: name.describe('Name of the orchestration'),
  input: z.unknown().optional().describe('A JSON value'),
  version: name.optional(),
  onExisting: z
    .enum(['fail', 'useExisting', 'replaceTerminal', 'terminateExisting'])
    .optional()
    .describe('When the id is in use: refuse (default); do nothing; replace what has ended; end it and replace it'),
  startAfterMs: z.int().min(0).optional().describe('Not before so many milliseconds from now; not together with `startAt`'),
  startAt: timeSchema.optional().describe('Not before this moment'),
  priority: z.int().min(0).max(MAX_PRIORITY).optional(),
  attributes: attributesSchema.optional(),
};

type Start = z.output<z.ZodObject<typeof startShape>>;

function toStartOptions({ version, onExisting, startAfterMs, startAt, priority, attributes }: Start): StartOptions {
  return {
    ...(version !== undefined && { version }),
    ...(onExisting !== undefined && { onExisting }),
    ...(startAfterMs !== undefined && { startAfter: startAfterMs }),
    ...(startAt !== undefined && { startAt: new Date(startAt) }),
    ...(priority !== undefined && { priority }),
    ...(attributes !== undefined && { attributes }),
  };
}

async function readState({ client }: SurfaceContext, instanceId: string): Promise<InstanceState> {
  const state = await client.getState(instanceId);
  if (state === null) throw notFound(instanceId);
  return state;
}

type Tree = { readonly instance: InstanceState; readonly children: readonly Tree[]; readonly isTruncated: boolean };
type WireTree = { readonly instance: WireInstance; readonly children: readonly WireTree[]; readonly isTruncated: boolean };

/** Without recursion: a chain of children may be as long as an id allows, and longer than the stack. */
function toWireTree(tree: Tree, depth: number): WireTree {
  const show = ({ instance, children, isTruncated }: Tree, level: number): WireTree & { readonly children: WireTree[] } => ({
    instance: toWireInstance(instance),
    children: [],
    isTruncated: isTruncated || (level === depth && children.length > 0),
  });
  const root = show(tree, 1);
  const rest = [{ from: tree, to: root, level: 1 }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { from, to, level } = next;
    for (const child of level < depth ? from.children : []) {
      const shown = show(child, level + 1);
      to.children.push(shown);
      rest.push({ from: child, to: shown, level: level + 1 });
    }
  }
  return root;
}

const listInstances: Operation = defineOperation({
  name: 'listInstances',
  group: 'instances',
  summary: 'List instances',
  description: 'Finds instances by name, status, version, parent, attributes, times or part of the id. Newest first by default.',
  http: { method: 'GET', path: '/instances' },
  query: {
    ...filterShape,
    orderBy: z.enum(['createdAt', 'endedAt', 'id']).optional(),
    direction: z.enum(['asc', 'desc']).optional(),
    cursor: z.string().min(1).max(8_192).optional().describe('`cursor` of the page before'),
    limit: limit(1_000, 100),
  },
  output: instancePageSchema,
  run: async ({ client }, { orderBy, direction, cursor, limit: size, ...filter }) => {
    const page = await client.listInstances({
      ...toFilter(filter),
      ...(orderBy !== undefined && { orderBy }),
      ...(direction !== undefined && { direction }),
      ...(cursor !== undefined && { cursor }),
      limit: size,
    });
    return { instances: page.instances.map((instance) => toWireInstance(instance)), cursor: page.cursor };
  },
});

const countInstances: Operation = defineOperation({
  name: 'countInstances',
  group: 'instances',
  summary: 'Count instances',
  description: 'Counts the instances of a filter by status, up to a limit for each.',
  http: { method: 'GET', path: '/instance-counts' },
  query: { ...filterShape, limit: limit(1_000_000, 10_000) },
  output: countsSchema,
  run: async ({ client }, { limit: most, ...filter }, signal) => {
    const wanted = new Set(filter.status ?? STATUS_NAMES);
    const counted = await Promise.all(
      STATUS_NAMES.map(async (status) => {
        if (!wanted.has(status)) return [status, { count: 0, isExact: true }] as const;
        return [status, await client.countInstances({ ...toFilter(filter), status }, { limit: most, signal })] as const;
      }),
    );
    return {
      count: counted.reduce((sum, [, { count }]) => sum + count, 0),
      isExact: counted.every(([, { isExact }]) => isExact),
      byStatus: Object.fromEntries(counted),
    };
  },
});

const getInstance: Operation = defineOperation({
  name: 'getInstance',
  group: 'instances',
  summary: 'Read an instance',
  description: 'Reads an instance as it is now: status, result or error, custom status, attributes, times.',
  http: { method: 'GET', path: '/instances/{id}' },
  path: id,
  output: instanceSchema,
  run: async (context, input) => toWireInstance(await readState(context, input.id)),
});

const explainWaiting: Operation = defineOperation({
  name: 'explainWaiting',
  group: 'instances',
  summary: 'Explain what an instance waits for',
  description:
    'Tells what an instance waits for, since when, which runtimes can take it, when the next attempt or timer is due, and what to do about it. ' +
    'The first thing to ask when something seems stuck.',
  http: { method: 'GET', path: '/instances/{id}/waiting' },
  path: id,
  output: waitingSchema,
  run: async ({ client }, input) => await client.explainWaiting(input.id),
});

const readHistory: Operation = defineOperation({
  name: 'readHistory',
  group: 'instances',
  summary: 'Read the history of an instance',
  description: 'Reads the events of an execution in order, a page at a time.',
  http: { method: 'GET', path: '/instances/{id}/history' },
  path: id,
  query: {
    executionId: z.int().min(1).optional().describe('Which execution; default: the current one'),
    afterEventId: z.int().min(0).default(0).describe('The last event that is known; 0: from the first one on'),
    limit: limit(10_000, 1_000),
  },
  output: historyPageSchema,
  run: async (context, { id: instanceId, executionId, afterEventId, limit: size }) => {
    const execution = executionId ?? (await readState(context, instanceId)).executionId;
    // One more than is shown tells whether there is another page.
    const found = await context.client.readHistoryAfter(instanceId, { executionId: execution, afterEventId, limit: size + 1 });
    const events = found.slice(0, size);
    return { instanceId, executionId: execution, events, nextAfterEventId: found.length > size ? (events.at(-1)?.id ?? null) : null };
  },
});

const listExecutions: Operation = defineOperation({
  name: 'listExecutions',
  group: 'instances',
  summary: 'List the executions of an instance',
  description: 'Lists the generations of an instance (each continue-as-new begins one), oldest first. Pruned ones are gone.',
  http: { method: 'GET', path: '/instances/{id}/executions' },
  path: id,
  output: executionsSchema,
  run: async ({ client }, input) => ({ executions: await client.listExecutions(input.id) }),
});

const getTree: Operation = defineOperation({
  name: 'getTree',
  group: 'instances',
  summary: 'Read an instance with its children',
  description:
    'Reads an instance, its children, their children, and so on. Where `isTruncated` is true, there are more children: ask for the tree of that one.',
  http: { method: 'GET', path: '/instances/{id}/tree' },
  path: id,
  query: {
    limit: limit(10_000, 1_000).describe('Most instances in all'),
    depth: limit(MAX_DEPTH, MAX_DEPTH).describe('Most generations, the instance itself included'),
  },
  output: treeSchema,
  run: async ({ client }, { id: instanceId, limit: size, depth }, signal) =>
    toWireTree(await client.getTree(instanceId, { limit: size, signal }), depth),
});

const listActivities: Operation = defineOperation({
  name: 'listActivities',
  group: 'instances',
  summary: 'List the activities of an instance',
  description: 'Lists the queued and running activities of an instance with attempts, locks and last heartbeat.',
  http: { method: 'GET', path: '/instances/{id}/activities' },
  path: id,
  output: activitiesSchema,
  run: async ({ client }, input) => ({ activities: await client.listActivities(input.id) }),
});

const getValues: Operation = defineOperation({
  name: 'getValues',
  group: 'instances',
  summary: 'Read the key-value pairs of an instance',
  description: 'Reads all key-value pairs that the orchestration has set.',
  http: { method: 'GET', path: '/instances/{id}/values' },
  path: id,
  output: valuesSchema,
  run: async ({ client }, input) => ({ values: [...(await client.getValues(input.id))].map(([key, value]) => ({ key, value })) }),
});

const getValue: Operation = defineOperation({
  name: 'getValue',
  group: 'instances',
  summary: 'Read or await a key-value pair',
  description: 'Reads one key-value pair; with `waitMs` it waits until the orchestration sets it.',
  http: { method: 'GET', path: '/instances/{id}/values/{key}' },
  path: { ...id, key: name },
  query: { waitMs: waitMs(0) },
  output: valueSchema,
  isTool: false,
  run: async ({ client }, { id: instanceId, key, waitMs: wait }, signal) => {
    const value =
      wait === 0 ? await client.getValue(instanceId, key) : await client.waitForValue(instanceId, key, { timeout: wait, signal });
    return { key, isSet: value !== undefined, value };
  },
});

const waitForResult: Operation = defineOperation({
  name: 'waitForResult',
  group: 'instances',
  summary: 'Wait for the end of an instance',
  description: 'Waits until an instance ends or needs an operator, and tells how. A failure is an answer, too.',
  http: { method: 'GET', path: '/instances/{id}/result' },
  path: id,
  query: { waitMs: waitMs(DEFAULT_WAIT_MS) },
  output: outcomeSchema,
  run: async (context, { id: instanceId, waitMs: wait }, signal) => {
    try {
      await context.client.waitForResult(instanceId, { timeout: wait, signal });
    } catch (error) {
      if (!(error instanceof DurableError) || !OUTCOMES.has(error.code)) throw error;
    }
    const { status, result, error } = toWireInstance(await readState(context, instanceId));
    return { instanceId, status, result, error };
  },
});

/** What a wait for a result rejects with when there is one, if not the wished one. */
const OUTCOMES: ReadonlySet<string> = new Set([
  'ORCHESTRATION_FAILED',
  'ORCHESTRATION_CANCELLED',
  'ORCHESTRATION_TERMINATED',
  'INSTANCE_QUARANTINED',
]);

const waitForCustomStatus: Operation = defineOperation({
  name: 'waitForCustomStatus',
  group: 'instances',
  summary: 'Wait for a custom status',
  description: 'Waits until the custom status is newer than the version that the caller has seen, or the instance ends.',
  http: { method: 'GET', path: '/instances/{id}/custom-status' },
  path: id,
  query: { afterVersion: z.int().min(0).default(0), waitMs: waitMs(DEFAULT_WAIT_MS) },
  output: instanceSchema,
  isTool: false,
  run: async ({ client }, { id: instanceId, afterVersion, waitMs: wait }, signal) =>
    toWireInstance(await client.waitForCustomStatus(instanceId, { afterVersion, timeout: wait, signal })),
});

const waitForReceipt: Operation = defineOperation({
  name: 'waitForReceipt',
  group: 'instances',
  summary: 'Wait until an event was taken',
  description: 'Waits until an instance has taken the event with this key into its history, or ended without it.',
  http: { method: 'GET', path: '/instances/{id}/receipts/{key}' },
  path: { ...id, key: name },
  query: { waitMs: waitMs(DEFAULT_WAIT_MS) },
  output: receiptSchema,
  isTool: false,
  run: async ({ client }, { id: instanceId, key, waitMs: wait }, signal) => ({
    receipt: await client.waitForReceipt(instanceId, key, { timeout: wait, signal }),
  }),
});

const startInstance: Operation = defineOperation({
  name: 'startInstance',
  group: 'instances',
  summary: 'Start an orchestration',
  description: 'Starts an orchestration under a new id. Doing it again with the same id is refused unless `onExisting` says otherwise.',
  http: { method: 'POST', path: '/instances', status: 201 },
  isWrite: true,
  body: startShape,
  output: startedSchema,
  run: async ({ client }, start) => {
    await client.startOrchestration(start.instanceId, start.name, start.input, toStartOptions(start));
    return { instanceId: start.instanceId };
  },
});

const startInstances: Operation = defineOperation({
  name: 'startInstances',
  group: 'instances',
  summary: 'Start many orchestrations',
  description: 'Starts up to 1,000 orchestrations in one call to the store. An id that is in use is an outcome, not an error.',
  http: { method: 'POST', path: '/instances-batch' },
  isWrite: true,
  isTool: false,
  body: { requests: z.array(z.strictObject(startShape)).max(MAX_BATCH) },
  output: startsSchema,
  run: async ({ client }, { requests }) => {
    const results = await client.startOrchestrations(
      requests.map((start) => ({
        instanceId: start.instanceId,
        orchestration: start.name,
        ...(start.input !== undefined && { input: start.input }),
        ...toStartOptions(start),
      })),
    );
    return { results: results.map(({ instanceId, outcome }) => ({ instanceId, outcome })) };
  },
});

/** The operations of this file. */
export const instanceOperations: readonly Operation[] = [
  listInstances,
  countInstances,
  startInstance,
  startInstances,
  getInstance,
  explainWaiting,
  readHistory,
  listExecutions,
  getTree,
  listActivities,
  getValues,
  getValue,
  waitForResult,
  waitForCustomStatus,
  waitForReceipt,
];
