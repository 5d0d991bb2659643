// What a client holds of an instance: its id and typed access to its end. Neighbour: client.ts makes it.
import type { Provider } from '../provider/provider.ts';
import { decodeStored } from '../types/codec.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { DurableError, InstanceError, OrchestrationError } from '../types/errors.ts';
import { fromFailure, type Failure, type RemoteError } from '../types/failure.ts';
import type { InstanceRecord, InstanceStatus } from '../types/instance.ts';

/** An instance as clients see it: payloads are decoded. */
export type InstanceState<Output = unknown> = {
  readonly instanceId: string;
  readonly name: string;
  /** Version of the running code; null until the first turn when the start named none. */
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
  readonly parentInstanceId: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

/** How long to wait for something. */
export type WaitOptions = {
  /** Gives up with `WAIT_TIMEOUT` after this time; the orchestration goes on. @default no limit */
  readonly timeout?: Duration;
  /** Gives up with the signal's reason. */
  readonly signal?: AbortSignal;
};

/** One long poll. Reason: a wait is renewed now and then, so that a lost wake-up costs a delay, not a hang. */
const POLL_MS = 15_000;

/** A started or known instance. */
export class InstanceHandle<Output = unknown> {
  readonly instanceId: string;
  readonly #provider: Provider;

  constructor(provider: Provider, instanceId: string) {
    this.#provider = provider;
    this.instanceId = instanceId;
  }

  /**
   * Waits for the end and gives the result. Follows continue-as-new.
   *
   * @param options - how long to wait
   * @returns the result
   * @throws {OrchestrationError} `ORCHESTRATION_FAILED`, `ORCHESTRATION_CANCELLED`, `ORCHESTRATION_TERMINATED`; `cause` is the error
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`, `INSTANCE_QUARANTINED`
   * @throws {DurableError} `WAIT_TIMEOUT`
   */
  async result(options: WaitOptions = {}): Promise<Output> {
    const record = await waitFor(this.#provider, this.instanceId, {
      ...options,
      poll: (waitMs, signal) =>
        this.#provider.waitForInstance({ instanceId: this.instanceId, condition: { kind: 'ended' }, waitMs, ...(signal && { signal }) }),
      isDone: ({ status }) => status !== 'Pending' && status !== 'Running' && status !== 'Suspended',
    });
    return toResult<Output>(record);
  }

  /**
   * Reads the instance as it is now.
   *
   * @returns its state
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   */
  async state(): Promise<InstanceState<Output>> {
    const [record] = await this.#provider.readInstances([this.instanceId]);
    if (record === undefined || record === null) throw notFound(this.instanceId);
    return toState<Output>(record);
  }
}

/**
 * Waits by long polls until a record is as wanted.
 *
 * @param provider - the store
 * @param instanceId - which instance
 * @param wait - how to poll, when it is done, how long
 * @returns the record
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {DurableError} `WAIT_TIMEOUT`
 */
export async function waitFor(
  provider: Provider,
  instanceId: string,
  wait: WaitOptions & {
    readonly poll: (waitMs: number, signal: AbortSignal | undefined) => Promise<InstanceRecord | null>;
    readonly isDone: (record: InstanceRecord) => boolean;
  },
): Promise<InstanceRecord> {
  const limitMs = wait.timeout === undefined ? Number.POSITIVE_INFINITY : toMilliseconds(wait.timeout, 'timeout');
  const startedMs = performance.now();
  for (;;) {
    wait.signal?.throwIfAborted();
    const leftMs = limitMs - (performance.now() - startedMs);
    const record = await wait.poll(Math.max(0, Math.min(leftMs, POLL_MS)), wait.signal);
    if (record === null) throw notFound(instanceId);
    if (wait.isDone(record)) return record;
    if (leftMs <= 0) {
      throw new DurableError(
        'WAIT_TIMEOUT',
        `instance '${instanceId}' is still ${record.status} after ${limitMs} ms. It goes on; wait again, or see that a runtime with '${record.name}' is running on this ${provider.name} store`,
      );
    }
  }
}

/**
 * Decodes a record.
 *
 * @param record - from the store
 * @returns what clients see
 */
export function toState<Output>(record: InstanceRecord): InstanceState<Output> {
  const { output, customStatus, createdAtMs, updatedAtMs, status } = record;
  const failed = status === 'Failed' || status === 'Cancelled' || status === 'Terminated' || status === 'Quarantined';
  return {
    instanceId: record.instanceId,
    name: record.name,
    version: record.version,
    status,
    executionId: record.executionId,
    result: (status === 'Completed' ? decodeStored(output, `result of instance '${record.instanceId}'`) : undefined) as Output | undefined,
    error: failed ? toError(record) : undefined,
    customStatus: decodeStored(customStatus, `custom status of instance '${record.instanceId}'`),
    customStatusVersion: record.customStatusVersion,
    parentInstanceId: record.parentInstanceId,
    createdAt: new Date(createdAtMs),
    updatedAt: new Date(updatedAtMs),
  };
}

function toResult<Output>(record: InstanceRecord): Output {
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
    case 'Quarantined': {
      const cause = toError(record);
      throw new InstanceError(
        'INSTANCE_QUARANTINED',
        instanceId,
        `instance '${instanceId}' of '${name}' cannot go on by itself: ${cause.message}`,
        { cause },
      );
    }
    case 'Pending':
    case 'Running':
    case 'Suspended':
      throw new DurableError('INVARIANT_BROKEN', `a wait for the end of '${instanceId}' ended while it is ${status}`);
  }
}

function toError(record: InstanceRecord): RemoteError {
  const stored = decodeStored(record.output, `failure of instance '${record.instanceId}'`);
  return fromFailure(isFailure(stored) ? stored : { name: 'Error', message: 'no reason was stored' });
}

function isFailure(value: unknown): value is Failure {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value;
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
