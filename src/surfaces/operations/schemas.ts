// What operations return, described: for OpenAPI, for the tools of the MCP server, and for tests, which hold every answer to it.
// Neighbours: wire.ts makes what is described here; operations.ts.
import * as z from 'zod';
import { STATUS_NAMES, attributesSchema } from './filters.ts';

/** Names of schemas that are components of the OpenAPI document. */
export const components: z.core.$ZodRegistry<{ id: string }> = z.registry<{ id: string }>();

function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  components.add(schema, { id });
  return schema;
}

/** Time as text. */
const time = z.iso.datetime();
const count = z.int().min(0);
/** Any JSON value; absent: undefined. */
const json = z.unknown().optional();

const wireError: z.ZodType = named(
  'InstanceError',
  z.object({
    name: z.string(),
    message: z.string(),
    code: z.string().optional(),
    nonRetryable: z.boolean(),
    get cause(): z.ZodOptional<z.ZodType> {
      return wireError.optional();
    },
  }),
);

const status = named('InstanceStatus', z.enum(STATUS_NAMES));

const instanceShape = {
  instanceId: z.string(),
  name: z.string(),
  version: z.string().nullable(),
  status,
  executionId: count,
  result: json,
  error: wireError.optional(),
  customStatus: json,
  customStatusVersion: count,
  parentInstanceId: z.string().nullable(),
  priority: count,
  attributes: attributesSchema,
  eventCount: count,
  createdAt: time,
  updatedAt: time,
  endedAt: time.nullable(),
};

/** An instance. */
export const instanceSchema: z.ZodType = named('Instance', z.object(instanceShape));

const damage = z.string().nullable().describe('What of it cannot be read; null: nothing');
const listedShape = { ...instanceShape, damage };

const waitingSummary = named(
  'WaitingSummary',
  z.object({
    activities: count,
    runningActivities: count,
    timers: count,
    nextTimerAt: time.nullable(),
    messages: count,
    children: count,
  }),
);

/** A page of instances. */
export const instancePageSchema: z.ZodType = named(
  'InstancePage',
  z.object({
    instances: z.array(named('InstanceSummary', z.object({ ...listedShape, waitingFor: waitingSummary.nullable() }))),
    cursor: z.string().nullable().describe('Gives the next page; null: that was all'),
  }),
);

const countSchema = z.object({ count, isExact: z.boolean().describe('False: counting ended at the limit') });

/** Numbers of instances. */
export const countsSchema: z.ZodType = named(
  'InstanceCounts',
  z.object({ count, isExact: z.boolean(), byStatus: z.record(z.enum(STATUS_NAMES), countSchema) }),
);

/** An instance with its children. */
export const treeSchema: z.ZodType = named(
  'InstanceTree',
  z.object({
    instance: named('ListedInstance', z.object(listedShape)),
    get children(): z.ZodArray<z.ZodType> {
      return z.array(treeSchema);
    },
    isTruncated: z.boolean(),
  }),
);

/** A page of history. Events are described by docs/semantics.md. */
export const historyPageSchema: z.ZodType = named(
  'HistoryPage',
  z.object({
    instanceId: z.string(),
    executionId: count,
    events: z.array(named('HistoryEvent', z.looseObject({ id: count, atMs: z.number(), kind: z.string() }))),
    nextAfterEventId: count.nullable().describe('`afterEventId` of the next page; null: there is no more now'),
  }),
);

/** Executions of an instance. */
export const executionsSchema: z.ZodType = named(
  'Executions',
  z.object({
    executions: z.array(
      z.object({
        executionId: count,
        name: z.string(),
        version: z.string().nullable(),
        status: z.enum([...STATUS_NAMES, 'ContinuedAsNew']),
        eventCount: count,
        endedAt: time.nullable(),
      }),
    ),
  }),
);

/** Activities that are queued or running. */
export const activitiesSchema: z.ZodType = named(
  'Activities',
  z.object({
    activities: z.array(
      z.object({
        eventId: count,
        executionId: count,
        name: z.string(),
        attempt: count,
        isRunning: z.boolean(),
        tag: z.string().nullable(),
        sessionId: z.string().nullable(),
        limitKey: z.string().nullable(),
        heartbeat: json,
        dueAt: time,
      }),
    ),
  }),
);

const waitBase = { since: time, problem: z.string().nullable().describe('Why it cannot go on as things are, and what to do') };

/** Why an instance waits. */
export const waitingSchema: z.ZodType = named(
  'WaitingExplanation',
  z.object({
    instanceId: z.string(),
    status,
    executionId: count,
    summary: z.string().describe('What it waits for and what to do, in one sentence'),
    waits: z.array(
      z.discriminatedUnion('kind', [
        z.object({
          kind: z.literal('turn'),
          dueAt: time.nullable(),
          messages: count,
          isLocked: z.boolean(),
          attempt: count,
          runtimes: z.array(z.string()),
          problem: waitBase.problem,
        }),
        z.object({
          kind: z.literal('activity'),
          ...waitBase,
          eventId: count,
          name: z.string(),
          state: z.enum(['queued', 'running', 'delayed', 'missing']),
          attempt: count,
          dueAt: time.nullable(),
          tag: z.string().nullable(),
          sessionId: z.string().nullable(),
          limitKey: z.string().nullable(),
          heartbeat: json,
          runtimes: z.array(z.string()),
        }),
        z.object({ kind: z.literal('timer'), ...waitBase, eventId: count, dueAt: time }),
        z.object({ kind: z.literal('event'), ...waitBase, eventId: count, name: z.string() }),
        z.object({ kind: z.literal('topic'), ...waitBase, eventId: count, pattern: z.string() }),
        z.object({
          kind: z.literal('child'),
          ...waitBase,
          eventId: count,
          instanceId: z.string(),
          name: z.string(),
          status: status.nullable(),
        }),
        z.object({ kind: z.literal('operator'), ...waitBase, reason: z.string() }),
      ]),
    ),
  }),
);

/** Key-value pairs. */
export const valuesSchema: z.ZodType = named('Values', z.object({ values: z.array(z.object({ key: z.string(), value: json })) }));

/** One key-value pair. */
export const valueSchema: z.ZodType = named('Value', z.object({ key: z.string(), isSet: z.boolean(), value: json }));

/** How an instance ended. */
export const outcomeSchema: z.ZodType = named(
  'Outcome',
  z.object({ instanceId: z.string(), status, result: json, error: wireError.optional() }),
);

/** A started instance. */
export const startedSchema: z.ZodType = named('StartedInstance', z.object({ instanceId: z.string() }));

/** Started instances. */
export const startsSchema: z.ZodType = named(
  'StartedInstances',
  z.object({ results: z.array(z.object({ instanceId: z.string(), outcome: z.enum(['started', 'replaced', 'exists']) })) }),
);

/** Raised events. */
export const raisesSchema: z.ZodType = named(
  'RaisedEvents',
  z.object({
    results: z.array(
      z.object({
        instanceId: z.string(),
        key: z.string().optional(),
        outcome: z.enum(['enqueued', 'duplicate', 'ended', 'notFound']),
        delivered: z.boolean(),
      }),
    ),
  }),
);

/** Whether something reached its instance. */
export const deliveredSchema: z.ZodType = named(
  'Delivered',
  z.object({ delivered: z.boolean().describe('False: the instance has ended, it was dropped') }),
);

/** Whether something was done. */
export const doneSchema: z.ZodType = named('Done', z.object({ done: z.boolean().describe('False: nothing had to change, or it is gone') }));

/** How an instance was tried again. */
export const retriedSchema: z.ZodType = named('Retried', z.object({ how: z.enum(['resumed', 'restarted']) }));

/** Deleted instances. */
export const deletedSchema: z.ZodType = named('Deleted', z.object({ instances: count.describe('Descendants included') }));

/** Pruned executions. */
export const prunedSchema: z.ZodType = named('Pruned', z.object({ executions: count }));

/** Subscribers of a publication. */
export const publishedSchema: z.ZodType = named('Published', z.object({ subscribers: count }));

/** What became of an event with a key. */
export const receiptSchema: z.ZodType = named('Receipt', z.object({ receipt: z.enum(['received', 'dropped']) }));

/** What a bulk action did. */
export const bulkSchema: z.ZodType = named(
  'BulkResult',
  z.object({
    action: z.enum(['cancel', 'terminate', 'suspend', 'resume', 'retry', 'delete']),
    dryRun: z.boolean(),
    matched: count,
    done: count,
    skipped: count,
    failed: count,
    failures: z.array(z.object({ instanceId: z.string(), code: z.string(), message: z.string() })),
    sample: z.array(z.string()).describe('The first ids'),
  }),
);

const depthsSchema = named('QueueDepths', z.object({ orchestratorMessages: count, workItems: count }));

/** How full the queues are. */
export const queueDepthsSchema: z.ZodType = depthsSchema;

/** Items of a queue. */
export const queueItemsSchema: z.ZodType = named(
  'QueueItems',
  z.object({
    items: z.array(
      z.discriminatedUnion('kind', [
        z.object({
          kind: z.literal('message'),
          instanceId: z.string(),
          messageId: count,
          timerEventId: count.nullable(),
          key: z.string().nullable(),
          visibleAt: time.nullable(),
          attempt: count,
          lockedUntil: time.nullable(),
          message: json,
          damage,
        }),
        z.object({
          kind: z.literal('workItem'),
          instanceId: z.string(),
          executionId: count,
          eventId: count,
          name: z.string(),
          visibleAt: time,
          attempt: count,
          lockedUntil: time.nullable(),
          routing: z.looseObject({}).nullable(),
          heartbeat: json,
          input: json,
          damage,
        }),
      ]),
    ),
    cursor: z.string().nullable(),
  }),
);

const statsSchema = named('RuntimeStats', z.looseObject({ state: z.string(), windowMs: z.number() }));

/** Living runtimes. */
export const runtimesSchema: z.ZodType = named(
  'Runtimes',
  z.object({
    runtimes: z.array(
      z.object({
        runtimeId: z.string(),
        nodeId: z.string(),
        seenAt: time,
        orchestrations: z.array(z.object({ name: z.string(), version: z.string(), schemas: json })),
        activities: z.array(z.object({ name: z.string(), schemas: json })),
        tags: z.union([
          z.enum(['default', 'any', 'none']),
          z.object({ only: z.array(z.string()) }),
          z.object({ defaultAnd: z.array(z.string()) }),
        ]),
        stats: statsSchema.nullable(),
      }),
    ),
  }),
);

/** Figures of runtimes and queues. */
export const surfaceStatsSchema: z.ZodType = named(
  'Stats',
  z.object({
    at: time,
    queues: depthsSchema,
    runtimes: z.array(
      z.object({
        runtimeId: z.string(),
        nodeId: z.string(),
        seenAt: time,
        isHere: z.boolean().describe('It is in the process that answers: its figures are of this moment'),
        stats: statsSchema.nullable(),
      }),
    ),
  }),
);

/** Kept log lines. */
export const logsSchema: z.ZodType = named(
  'LogPage',
  z.object({
    entries: z.array(
      named(
        'LogEntry',
        z.object({
          seq: count,
          atMs: z.number(),
          level: z.enum(['debug', 'info', 'warn', 'error']),
          message: z.string(),
          fields: z.record(z.string(), z.unknown()),
        }),
      ),
    ),
    lastSeq: count.describe('`afterSeq` of the next call'),
    missed: count.describe('Lines behind `afterSeq` that are not kept any more'),
  }),
);

/** What answers. */
export const metaSchema: z.ZodType = named(
  'Meta',
  z.object({
    name: z.literal('duraloom'),
    version: z.string(),
    apiVersion: z.literal(1),
    store: z.string().nullable(),
    isReadOnly: z.boolean(),
    has: z.object({ logs: z.boolean(), metrics: z.boolean(), stats: z.boolean(), mcp: z.boolean() }),
    serverTime: time,
  }),
);

/* Imported instances: their route is no operation, and only the document knows this. */
named('Imported', z.object({ imported: count, existing: count }));
