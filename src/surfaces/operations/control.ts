// Operations that change instances: events, wishes, tidying up. Neighbours: instances.ts looks at them, operations.ts has the table.
import * as z from 'zod';
import { MAX_NAME_LENGTH } from '../../types/limits.ts';
import { filterShape, instanceIdSchema, timeSchema, toFilter } from './filters.ts';
import { MAX_BATCH } from './instances.ts';
import { defineOperation, type Operation } from './operation.ts';
import {
  bulkSchema,
  deletedSchema,
  deliveredSchema,
  doneSchema,
  prunedSchema,
  publishedSchema,
  raisesSchema,
  retriedSchema,
} from './schemas.ts';

/** Longest reason of a cancellation or termination. Reason: it is for people, and kept in history. */
const MAX_REASON = 4_096;
/** Most instances of one bulk call. Reason: the call ends while its caller still waits; what is left is for the next one. */
const MAX_BULK = 10_000;

const id = { id: instanceIdSchema };
const reason = z.string().max(MAX_REASON).optional().describe('For the record');
const name = z.string().min(1).max(MAX_NAME_LENGTH);
const data = z.unknown().optional().describe('A JSON value');
const key = name.optional().describe('Your name for it: an instance takes what has one key once, however often it is sent');

const raiseEvent: Operation = defineOperation({
  name: 'raiseEvent',
  group: 'control',
  summary: 'Raise an event',
  description: 'Raises an external event for an instance. It is kept until the orchestration takes it.',
  http: { method: 'POST', path: '/instances/{id}/raise' },
  isWrite: true,
  path: id,
  body: { name: name.describe('Name of the event'), data, key },
  output: deliveredSchema,
  run: async ({ client }, input) => {
    const { delivered } = await client.raiseEvent(input.id, input.name, input.data, input.key === undefined ? {} : { key: input.key });
    return { delivered };
  },
});

const raiseEvents: Operation = defineOperation({
  name: 'raiseEvents',
  group: 'control',
  summary: 'Raise many events',
  description: 'Raises up to 1,000 events in one call to the store. An unknown instance is an outcome, not an error.',
  http: { method: 'POST', path: '/events-batch' },
  isWrite: true,
  isTool: false,
  body: { requests: z.array(z.strictObject({ instanceId: instanceIdSchema, name, data, key })).max(MAX_BATCH) },
  output: raisesSchema,
  run: async ({ client }, { requests }) => ({
    results: await client.raiseEvents(
      requests.map((request) => ({
        instanceId: request.instanceId,
        name: request.name,
        ...(request.data !== undefined && { data: request.data }),
        ...(request.key !== undefined && { key: request.key }),
      })),
    ),
  }),
});

const publish: Operation = defineOperation({
  name: 'publish',
  group: 'control',
  summary: 'Publish to a topic',
  description: 'Publishes to all instances that are subscribed to the topic.',
  http: { method: 'POST', path: '/topics/publish' },
  isWrite: true,
  body: { topic: name.describe("Such as 'orders/created'"), data, key },
  output: publishedSchema,
  run: async ({ client }, input) => ({
    subscribers: await client.publish(input.topic, input.data, input.key === undefined ? {} : { key: input.key }),
  }),
});

const cancelInstance: Operation = defineOperation({
  name: 'cancelInstance',
  group: 'control',
  summary: 'Cancel an instance',
  description: 'Asks an orchestration to stop: its code is told and can clean up. Prefer it to terminate.',
  http: { method: 'POST', path: '/instances/{id}/cancel' },
  isWrite: true,
  isDestructive: true,
  isIdempotent: true,
  path: id,
  body: { reason },
  output: deliveredSchema,
  run: async ({ client }, input) => await client.cancel(input.id, input.reason),
});

const terminateInstance: Operation = defineOperation({
  name: 'terminateInstance',
  group: 'control',
  summary: 'Terminate an instance',
  description: 'Ends an instance at once, whatever it does: no code of it runs any more, nothing is cleaned up.',
  http: { method: 'POST', path: '/instances/{id}/terminate' },
  isWrite: true,
  isDestructive: true,
  path: id,
  body: { reason },
  output: doneSchema,
  run: async ({ client }, input) => await client.terminate(input.id, input.reason),
});

const suspendInstance: Operation = defineOperation({
  name: 'suspendInstance',
  group: 'control',
  summary: 'Suspend an instance',
  description: 'Stops an instance from running until it is resumed. What comes in meanwhile is kept.',
  http: { method: 'POST', path: '/instances/{id}/suspend' },
  isWrite: true,
  isIdempotent: true,
  path: id,
  output: doneSchema,
  run: async ({ client }, input) => await client.suspend(input.id),
});

const resumeInstance: Operation = defineOperation({
  name: 'resumeInstance',
  group: 'control',
  summary: 'Resume an instance',
  description: 'Lets a suspended or quarantined instance run again, with no attempts counted.',
  http: { method: 'POST', path: '/instances/{id}/resume' },
  isWrite: true,
  isIdempotent: true,
  path: id,
  output: doneSchema,
  run: async ({ client }, input) => await client.resume(input.id),
});

const retryInstance: Operation = defineOperation({
  name: 'retryInstance',
  group: 'control',
  summary: 'Try an instance again',
  description:
    'A quarantined instance goes on where it stopped; one that failed, was cancelled or terminated starts anew with its id and input, ' +
    'and its old history is replaced.',
  http: { method: 'POST', path: '/instances/{id}/retry' },
  isWrite: true,
  isDestructive: true,
  path: id,
  output: retriedSchema,
  run: async ({ client }, input) => await client.retry(input.id),
});

const deleteInstance: Operation = defineOperation({
  name: 'deleteInstance',
  group: 'control',
  summary: 'Delete an instance',
  description: 'Deletes an instance that has ended, with its history and its descendants; with `force` also a living one.',
  http: { method: 'DELETE', path: '/instances/{id}' },
  isWrite: true,
  isDestructive: true,
  path: id,
  query: { force: z.boolean().default(false) },
  output: deletedSchema,
  run: async ({ client }, input) => await client.deleteInstance(input.id, { force: input.force }),
});

const pruneExecutions: Operation = defineOperation({
  name: 'pruneExecutions',
  group: 'control',
  summary: 'Prune past executions',
  description: 'Deletes histories of past executions of an instance. The current one stays.',
  http: { method: 'POST', path: '/instances/{id}/prune' },
  isWrite: true,
  isDestructive: true,
  isIdempotent: true,
  path: id,
  body: {
    keepLast: z.int().min(1).optional().describe('How many to keep, the current one included'),
    endedBefore: timeSchema.optional().describe('Only those that ended before'),
  },
  output: prunedSchema,
  run: async ({ client }, { id: instanceId, keepLast, endedBefore }) =>
    await client.pruneExecutions(instanceId, {
      ...(keepLast !== undefined && { keepLast }),
      ...(endedBefore !== undefined && { endedBefore: new Date(endedBefore) }),
    }),
});

const runBulk: Operation = defineOperation({
  name: 'runBulk',
  group: 'control',
  summary: 'Act on many instances',
  description:
    'Cancels, terminates, suspends, resumes, retries or deletes all instances of a filter, up to a limit. Look with `dryRun` first: it counts ' +
    'and names some. Call again while `done` and `failed` together are the limit.',
  http: { method: 'POST', path: '/bulk' },
  isWrite: true,
  isDestructive: true,
  hasProgress: true,
  body: {
    action: z.enum(['cancel', 'terminate', 'suspend', 'resume', 'retry', 'delete']),
    // Whoever forgets the filter does not mean the whole store.
    filter: z
      .strictObject(filterShape)
      .refine(
        (filter) => Object.keys(filter).length > 0,
        'Name at least one condition: without one it would be every instance of the store',
      )
      .meta({ minProperties: 1 }),
    dryRun: z.boolean().default(false),
    force: z.boolean().default(false).describe('Deletes living ones, too'),
    reason,
    limit: z.int().min(1).max(MAX_BULK).default(1_000),
  },
  output: bulkSchema,
  run: async ({ client }, { action, filter, reason: why, ...options }, signal, tell) =>
    await client.bulk(action, toFilter(filter), {
      ...options,
      ...(why !== undefined && { reason: why }),
      ...(tell !== undefined && { onProgress: tell }),
      signal,
    }),
});

/** The operations of this file. */
export const controlOperations: readonly Operation[] = [
  raiseEvent,
  raiseEvents,
  publish,
  cancelInstance,
  terminateInstance,
  suspendInstance,
  resumeInstance,
  retryInstance,
  deleteInstance,
  pruneExecutions,
  runBulk,
];
