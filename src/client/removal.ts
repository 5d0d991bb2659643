// Taking instances out of the store, and starting them again. Neighbours: client.ts and bulk.ts call it.
import type { DeleteOutcome } from '../provider/management.ts';
import { readOptions, readTime } from '../types/arguments.ts';
import { encodeAttributes } from '../types/attributes.ts';
import { encodePayload } from '../types/codec.ts';
import { ArgumentError, InstanceError } from '../types/errors.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import type { InstanceRecord } from '../types/instance.ts';
import { show } from '../types/show.ts';
import { encodeStart } from '../types/message-text.ts';
import type { TraceContext } from '../types/trace.ts';
import type { ClientStore } from './client-store.ts';
import { hasEnded, notFound } from './instance-state.ts';

/** How an instance came to run again. */
export type RetryResult = { readonly how: 'resumed' | 'restarted' };

/** Which past executions go. */
export type PruneOptions = {
  /** How many executions stay, the current one included, at least 1. */
  readonly keepLast?: number;
  /** Only those that ended before this moment go. */
  readonly endedBefore?: Date;
};

/**
 * Lets an instance run again that stopped: one in quarantine goes on, one that ended without a result starts anew.
 *
 * @param store - the store
 * @param record - the instance
 * @returns how
 * @throws {InstanceError} `INSTANCE_ENDED` when it completed, `INSTANCE_ALIVE` when it runs or somebody else has started it again
 */
export async function retryInstance(store: ClientStore, record: InstanceRecord): Promise<RetryResult> {
  const { instanceId, status } = record;
  switch (status) {
    case 'Quarantined': {
      const [outcome] = await store.controlInstances([{ kind: 'resume', instanceId }]);
      if (outcome === 'notFound') throw notFound(instanceId);
      if (outcome === 'ended') throw hasEnded(instanceId, 'cannot be resumed');
      return { how: 'resumed' };
    }
    case 'Failed':
    case 'Cancelled':
    case 'Terminated':
      await restart(store, record);
      return { how: 'restarted' };
    case 'Completed':
      throw hasEnded(instanceId, 'has a result: there is nothing to try again');
    case 'Pending':
    case 'Running':
    case 'Suspended':
      throw alive(instanceId, `is ${status} and cannot be tried again. Cancel or terminate it first`);
  }
}

/**
 * Deletes an instance.
 *
 * @param store - the store
 * @param instanceId - which
 * @param isForced - also a living one
 * @returns how many went with it, itself included
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`, `INSTANCE_ALIVE`, `INSTANCE_HAS_PARENT`
 */
export async function deleteInstance(store: ClientStore, instanceId: string, isForced: boolean): Promise<number> {
  const [outcome = { kind: 'notFound' }] = await store.deleteInstances([{ instanceId, isForced }]);
  if (outcome.kind === 'deleted') return outcome.instances;
  throw refusal(instanceId, outcome.kind);
}

/**
 * Deletes past executions.
 *
 * @param store - the store
 * @param instanceId - of which instance
 * @param options - which of them
 * @returns how many went
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {ArgumentError} for bad options, or none
 */
export async function pruneExecutions(store: ClientStore, instanceId: string, options: PruneOptions): Promise<number> {
  const { keepLast, endedBefore } = readOptions(options, 'the options of a prune', { keepLast: true, endedBefore: true });
  if (keepLast !== undefined && !(Number.isSafeInteger(keepLast) && keepLast >= 1)) {
    throw new ArgumentError(`Expected \`keepLast\` to be a whole number from 1, got ${show(keepLast)}`);
  }
  if (keepLast === undefined && endedBefore === undefined) {
    throw new ArgumentError('Expected `keepLast`, `endedBefore` or both: without them no execution is too old');
  }
  const [record] = await store.readInstances([instanceId]);
  if (record === undefined || record === null) throw notFound(instanceId);
  const endedBeforeMs = endedBefore === undefined ? null : readTime(endedBefore, 'endedBefore');
  const [executions = 0] = await store.pruneExecutions([{ instanceId, keepLast: keepLast ?? null, endedBeforeMs }]);
  return executions;
}

/**
 * Makes the error for a delete that was refused.
 *
 * @param instanceId - which
 * @param kind - why
 * @returns the error
 */
export function refusal(instanceId: string, kind: Exclude<DeleteOutcome['kind'], 'deleted'>): InstanceError {
  switch (kind) {
    case 'notFound':
      return notFound(instanceId);
    case 'alive':
      return alive(instanceId, 'or one of its children has not ended. Cancel or terminate it first, or delete it with `force`');
    case 'hasParent':
      return new InstanceError(
        'INSTANCE_HAS_PARENT',
        instanceId,
        `instance '${instanceId}' belongs to a parent that has not ended. Delete the parent, or terminate this one`,
      );
  }
}

function alive(instanceId: string, why: string): InstanceError {
  return new InstanceError('INSTANCE_ALIVE', instanceId, `instance '${instanceId}' ${why}`);
}

async function restart(store: ClientStore, record: InstanceRecord): Promise<void> {
  const { instanceId, executionId, endedAtMs } = record;
  const [pages = []] = await store.readHistory([{ instanceId, executionId, afterEventId: 0 }]);
  const [first] = parseHistoryPages(pages.slice(0, 1).map(({ events }) => events)) as readonly StartedEvent[];
  if (first?.kind !== 'OrchestrationStarted') {
    throw hasEnded(instanceId, 'ended before its first turn, so that its input is not known');
  }
  const { name, traceparent, tracestate } = first;
  // As that execution began: what its code has set since, it may set again.
  const attributes = first.attributes === undefined ? null : encodeAttributes(first.attributes);
  const [outcome] = await store.startInstances([
    {
      instanceId,
      name,
      version: null,
      payload: encodeStart({
        name,
        version: undefined,
        input: encodePayload(first.input, `input of '${instanceId}'`),
        parent: undefined,
        attributes: attributes?.text,
        trace: traceparent === undefined ? null : { traceparent, ...(tracestate !== undefined && { tracestate }) },
      }),
      parent: null,
      parentNotice: null,
      attributes,
      onParentClose: 'abandon',
      policy: 'replaceTerminal',
      // Somebody else may have tried it again, with success.
      ...(endedAtMs !== null && { replacesEndedAtMs: endedAtMs }),
      priority: record.priority,
      startAtMs: null,
      delayMs: 0,
      closeChildren: null,
    },
  ]);
  if (outcome === 'exists') throw alive(instanceId, 'was started again by somebody else meanwhile');
}

type StartedEvent = Partial<TraceContext> & {
  readonly kind: string;
  readonly name: string;
  readonly input?: unknown;
  readonly attributes?: unknown;
};
