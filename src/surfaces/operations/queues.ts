// Operations on queues: how full they are, what is in them, items that are stuck. Neighbour: operations.ts has the table.
import * as z from 'zod';
import { instanceIdSchema } from './filters.ts';
import { defineOperation, type Operation } from './operation.ts';
import { doneSchema, queueDepthsSchema, queueItemsSchema } from './schemas.ts';

const getQueueDepths: Operation = defineOperation({
  name: 'getQueueDepths',
  group: 'queues',
  summary: 'Count the items of the queues',
  description: 'Tells how many messages wait for orchestrations and how many activities are queued or running.',
  http: { method: 'GET', path: '/queues' },
  output: queueDepthsSchema,
  run: async ({ client }) => await client.getQueueDepths(),
});

const peekQueue: Operation = defineOperation({
  name: 'peekQueue',
  group: 'queues',
  summary: 'Look into a queue',
  description: 'Shows the items of a queue without taking them: attempts, locks, when they are due, what they hold.',
  http: { method: 'GET', path: '/queues/{queue}/items' },
  path: { queue: z.enum(['orchestrator', 'worker']).describe('orchestrator: messages to instances; worker: activities') },
  query: {
    instanceId: instanceIdSchema.optional(),
    cursor: z.string().min(1).max(8_192).optional().describe('`cursor` of the page before'),
    limit: z.int().min(1).max(1_000).default(100),
  },
  output: queueItemsSchema,
  run: async ({ client }, { queue, instanceId, cursor, limit }) =>
    await client.peekQueue({ queue, limit, ...(instanceId !== undefined && { instanceId }), ...(cursor !== undefined && { cursor }) }),
});

const editQueue: Operation = defineOperation({
  name: 'editQueue',
  group: 'queues',
  summary: 'Free, move back or drop an item of a queue',
  description:
    'unlock: whoever has it loses it, it is handed out again at once. moveBack: that, with its attempts forgotten. drop: it goes; the activity of a ' +
    'dropped work item fails.',
  http: { method: 'POST', path: '/queues/edit' },
  isWrite: true,
  isDestructive: true,
  isIdempotent: true,
  body: {
    action: z.enum(['unlock', 'moveBack', 'drop']),
    item: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('message'), instanceId: instanceIdSchema, messageId: z.int().min(0) }),
      z.strictObject({
        kind: z.literal('workItem'),
        instanceId: instanceIdSchema,
        executionId: z.int().min(1),
        eventId: z.int().min(1),
      }),
    ]),
  },
  output: doneSchema,
  run: async ({ client }, { action, item }) => await client.editQueue(action, item),
});

/** The operations of this file. */
export const queueOperations: readonly Operation[] = [getQueueDepths, peekQueue, editQueue];
