// Records of the store as clients see them, and the errors about instances. Neighbours: client.ts, instance-handle.ts, listing.ts.
import type { Attributes } from '../types/attributes.ts';
import { decodeStored } from '../types/codec.ts';
import { DurableError, InstanceError, OrchestrationError } from '../types/errors.ts';
import { fromFailure, type Failure, type RemoteError } from '../types/failure.ts';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../types/instance.ts';
import { StoredReader } from './stored-reader.ts';

/** An instance as clients see it: payloads are decoded. */
export type InstanceState<Output = unknown> = {
  readonly instanceId: string;
  readonly name: string;
  /** Version of the running code; until the first turn what the start asked for, null when it named none. */
  readonly version: string | null;
  readonly status: InstanceStatus;
  /** Current execution, from 1. */
  readonly executionId: number;
  /** Result, when Completed. */
  readonly result: Output | undefined;
  /** Why it ended or stopped, when Failed, Cancelled, Terminated or Quarantined. */
  readonly error: RemoteError | undefined;
  readonly customStatus: unknown;
  /** Grows with every change of the custom status; 0: never set. */
  readonly customStatusVersion: number;
  /** Who waits for the result; null: started by a client or detached. */
  readonly parentInstanceId: string | null;
  /** 0 to 9. */
  readonly priority: number;
  /** Search attributes that its start or its code set. */
  readonly attributes: Attributes;
  /** Number of events of the current execution. */
  readonly eventCount: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** null: it has not ended. */
  readonly endedAt: Date | null;
};

/** An instance among others. `damage`: what of it cannot be read, which is undefined here; null: nothing. */
export type ListedState<Output = unknown> = InstanceState<Output> & { readonly damage: string | null };

/** Decodes a stored value: `decodeStored`, or one that does not fail. */
type Decode = (encoded: string | null, what: string) => unknown;

/**
 * Decodes a record for a list, which does not fail for one of its rows.
 *
 * @param record - from the store
 * @returns what clients see
 */
export function toListedState<Output>(record: InstanceRecord): ListedState<Output> {
  const stored = new StoredReader();
  const state = toState<Output>(record, stored.read);
  return { ...state, damage: stored.damage };
}

/**
 * Decodes a record.
 *
 * @param record - from the store
 * @param decode - decodes its values
 * @returns what clients see
 * @throws {DurableError} `MESSAGE_INVALID` when a stored payload is no JSON
 */
export function toState<Output>(record: InstanceRecord, decode: Decode = decodeStored): InstanceState<Output> {
  const { output, customStatus, createdAtMs, updatedAtMs, status } = record;
  const failed = status === 'Quarantined' || (isEnded(status) && status !== 'Completed');
  return {
    instanceId: record.instanceId,
    name: record.name,
    version: record.version,
    status,
    executionId: record.executionId,
    result: (status === 'Completed' ? decode(output, `result of instance '${record.instanceId}'`) : undefined) as Output | undefined,
    error: failed ? toError(record, decode) : undefined,
    customStatus: decode(customStatus, `custom status of instance '${record.instanceId}'`),
    customStatusVersion: record.customStatusVersion,
    parentInstanceId: record.parent?.instanceId ?? null,
    priority: record.priority,
    attributes: toAttributes(record, decode),
    eventCount: record.lastEventId,
    createdAt: new Date(createdAtMs),
    updatedAt: new Date(updatedAtMs),
    endedAt: record.endedAtMs === null ? null : new Date(record.endedAtMs),
  };
}

/**
 * Gives the result of an instance that has ended.
 *
 * @param record - the instance
 * @returns its decoded result
 * @throws {OrchestrationError} when it did not complete
 * @throws {InstanceError} `INSTANCE_QUARANTINED`
 */
export function toResult<Output>(record: InstanceRecord): Output {
  const { instanceId, name, status } = record;
  switch (status) {
    case 'Completed':
      return decodeStored(record.output, `result of instance '${instanceId}'`) as Output;
    case 'Failed':
    case 'Cancelled':
    case 'Terminated': {
      const cause = toError(record);
      const code = (
        { Failed: 'ORCHESTRATION_FAILED', Cancelled: 'ORCHESTRATION_CANCELLED', Terminated: 'ORCHESTRATION_TERMINATED' } as const
      )[status];
      throw new OrchestrationError(
        code,
        instanceId,
        `orchestration '${name}' (instance '${instanceId}') ended ${status}: ${cause.message}`,
        { cause },
      );
    }
    case 'Quarantined':
      throw quarantined(record);
    case 'Pending':
    case 'Running':
    case 'Suspended':
      throw new DurableError('INVARIANT_BROKEN', `a wait for the end of '${instanceId}' ended while it is ${status}`);
  }
}

/**
 * Makes the error for an unknown instance.
 *
 * @param instanceId - the id
 * @returns the error
 */
export function notFound(instanceId: string): InstanceError {
  return new InstanceError(
    'INSTANCE_NOT_FOUND',
    instanceId,
    `there is no instance '${instanceId}' in this store. Start it first, or check the id`,
  );
}

/**
 * Makes the error for something that an instance cannot do any more.
 *
 * @param instanceId - the id
 * @param what - what cannot happen, such as `cannot be suspended`
 * @returns the error
 */
export function hasEnded(instanceId: string, what: string): InstanceError {
  return new InstanceError(
    'INSTANCE_ENDED',
    instanceId,
    `instance '${instanceId}' has ended and ${what}. Read its state, or start a new instance`,
  );
}

/**
 * Makes the error for an instance that waits for an operator.
 *
 * @param record - the instance
 * @returns the error; `cause` is what made the instance fail
 */
export function quarantined(record: InstanceRecord): InstanceError {
  const { instanceId, name } = record;
  const cause = toError(record);
  return new InstanceError(
    'INSTANCE_QUARANTINED',
    instanceId,
    `instance '${instanceId}' of '${name}' cannot go on by itself: ${cause.message}. Mend the cause and resume it, or terminate it`,
    { cause },
  );
}

function toAttributes({ instanceId, attributes }: InstanceRecord, decode: Decode): Attributes {
  const stored = decode(attributes, `attributes of instance '${instanceId}'`);
  return typeof stored === 'object' && stored !== null ? (stored as Attributes) : {};
}

function toError(record: InstanceRecord, decode: Decode = decodeStored): RemoteError {
  const stored = decode(record.output, `failure of instance '${record.instanceId}'`);
  return fromFailure(isFailure(stored) ? stored : { name: 'Error', message: 'no reason was stored' });
}

function isFailure(value: unknown): value is Failure {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value;
}
