// The client: starts orchestrations, talks to them, reads them. Needs a provider only: a client process starts no thread.
// Neighbour: instance-handle.ts.
import type { NewInstance, Provider } from '../provider/provider.ts';
import { encodePayload, encodeRecord, quote } from '../types/codec.ts';
import type { InputArguments } from '../types/context.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { ArgumentError, InstanceError } from '../types/errors.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import type { InstanceStatus } from '../types/instance.ts';
import { encodeStart, field } from '../types/message-text.ts';
import { assertInstanceId, assertName } from '../types/names.ts';
import { InstanceHandle, notFound, toState, waitFor, type InstanceState, type WaitOptions } from './instance-handle.ts';

/** Options of a start. */
export type StartOptions = {
  /** Version to run. @default the highest that the runtime has */
  readonly version?: string;
};

/** A way into the store, in the runtime's process or in another one. */
export class Client {
  readonly #provider: Provider;

  /**
   * @param provider - the store; it stays the caller's to close
   */
  constructor(provider: Provider) {
    if (typeof provider?.startInstances !== 'function') {
      throw new ArgumentError('Expected provider to be a provider, such as await SqliteProvider.open(file)');
    }
    this.#provider = provider;
  }

  /**
   * Starts an orchestration. Returns when the start is durable; a runtime takes it from there.
   *
   * @param instanceId - id of the new instance: 1 to 512 characters, without '::'
   * @param orchestration - definition, or name
   * @param input - a JSON value
   * @param options - version
   * @returns a handle to wait for the result
   * @throws {InstanceError} `INSTANCE_EXISTS` when the id is in use, also by an instance that has ended
   * @throws {ArgumentError} for a bad id, name or definition
   * @throws {PayloadError} when the input is no JSON value or too large
   * @throws {ProviderError} when the store fails
   */
  async startOrchestration<Input, Output>(
    instanceId: string,
    orchestration: OrchestrationDefinition<string, Input, Output>,
    ...args: InputArguments<Input, [options?: StartOptions]>
  ): Promise<InstanceHandle<Output>>;
  async startOrchestration<Output = unknown>(
    instanceId: string,
    orchestration: string,
    input?: unknown,
    options?: StartOptions,
  ): Promise<InstanceHandle<Output>>;
  async startOrchestration<Output>(
    instanceId: string,
    orchestration: OrchestrationDefinition | string,
    input?: unknown,
    options: StartOptions = {},
  ): Promise<InstanceHandle<Output>> {
    const start = toNewInstance(instanceId, orchestration, { input, options });
    const [outcome] = await this.#provider.startInstances([start]);
    if (outcome === 'exists') {
      throw new InstanceError(
        'INSTANCE_EXISTS',
        instanceId,
        `instance '${instanceId}' exists already. Choose another id, or use client.getHandle('${instanceId}') to wait for that one`,
      );
    }
    return new InstanceHandle<Output>(this.#provider, instanceId);
  }

  /**
   * Gives a handle to an instance that was started elsewhere. Does not look whether it exists.
   *
   * @param instanceId - its id
   * @returns the handle
   */
  getHandle<Output = unknown>(instanceId: string): InstanceHandle<Output> {
    return new InstanceHandle<Output>(this.#provider, instanceId);
  }

  /**
   * Raises an external event. It is kept until the orchestration takes it, first in, first out per name; also before its first turn.
   *
   * @param instanceId - which instance
   * @param name - name of the event
   * @param data - a JSON value
   * @returns `delivered`: false when the instance has ended, the event was dropped then
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {PayloadError} when the data is no JSON value or too large
   * @throws {ProviderError} when the store fails; the event may or may not be raised then
   */
  async raiseEvent(instanceId: string, name: string, data?: unknown): Promise<{ readonly delivered: boolean }> {
    const encoded = encodePayload(data, `data of event '${assertName(name, 'event name')}'`);
    return this.#enqueue(instanceId, `{"kind":"EventRaised","name":${quote(name)}${field('data', encoded)}}`);
  }

  /**
   * Asks an orchestration to cancel: what it waits for rejects with `CancelledError`, and it ends Cancelled. Asking again changes nothing.
   *
   * @param instanceId - which instance
   * @param reason - for the record
   * @returns `delivered`: false when the instance has ended
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} when the reason is no text
   * @throws {ProviderError} when the store fails
   */
  async cancel(instanceId: string, reason = 'cancelled by a client'): Promise<{ readonly delivered: boolean }> {
    if (typeof reason !== 'string') throw new ArgumentError(`Expected reason to be text, got ${typeof reason}`);
    encodePayload(reason, 'reason of the cancellation');
    return this.#enqueue(instanceId, encodeRecord({ kind: 'CancelRequested', reason }));
  }

  /**
   * Reads an instance as it is now.
   *
   * @param instanceId - which instance
   * @returns its state, null when it does not exist
   * @throws {ProviderError} when the store fails
   */
  async getState(instanceId: string): Promise<InstanceState | null> {
    const [record] = await this.#provider.readInstances([instanceId]);
    return record === undefined || record === null ? null : toState(record);
  }

  /**
   * Waits until the custom status changes, or the instance ends.
   *
   * @param instanceId - which instance
   * @param options - `afterVersion`: version that the caller has seen, 0 for none; how long to wait
   * @returns the state then
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {DurableError} `WAIT_TIMEOUT`
   */
  async waitForCustomStatus(instanceId: string, options: WaitOptions & { readonly afterVersion: number }): Promise<InstanceState> {
    const { afterVersion } = options;
    const record = await waitFor(this.#provider, instanceId, {
      ...options,
      poll: (waitMs, signal) =>
        this.#provider.waitForInstance({
          instanceId,
          condition: { kind: 'customStatus', afterVersion },
          waitMs,
          ...(signal && { signal }),
        }),
      isDone: ({ status, customStatusVersion }) =>
        customStatusVersion > afterVersion || (status !== 'Pending' && status !== 'Running' && status !== 'Suspended'),
    });
    return toState(record);
  }

  /**
   * Lists instances in the order of their ids.
   *
   * @param options - `after`: id of the last one of the page before; `limit`: 1 to 1000, default 100; `status`: only these
   * @returns a page; shorter than `limit`: the last one
   * @throws {ArgumentError} for a limit outside its range
   */
  async listInstances(
    options: { readonly after?: string; readonly limit?: number; readonly status?: InstanceStatus } = {},
  ): Promise<readonly InstanceState[]> {
    const { after = null, limit = 100, status } = options;
    const records = await this.#provider.listInstances({ afterInstanceId: after, limit, ...(status && { status }) });
    return records.map((record) => toState(record));
  }

  /**
   * Reads the history of an execution.
   *
   * @param instanceId - which instance
   * @param executionId - which execution; default: the current one
   * @returns its events in order; check them with `validateHistory` when the file may be damaged
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {HistoryError} when the stored text is no JSON
   */
  async readHistory(instanceId: string, executionId?: number): Promise<readonly HistoryEvent[]> {
    const [record] = await this.#provider.readInstances([instanceId]);
    if (record === undefined || record === null) throw notFound(instanceId);
    const [pages = []] = await this.#provider.readHistory([
      { instanceId, executionId: executionId ?? record.executionId, afterEventId: 0 },
    ]);
    return parseHistoryPages(pages.map((page) => page.events)) as readonly HistoryEvent[];
  }

  async #enqueue(instanceId: string, payload: string): Promise<{ readonly delivered: boolean }> {
    const [outcome] = await this.#provider.enqueueMessages([{ instanceId, payload }]);
    if (outcome === 'notFound') throw notFound(instanceId);
    return { delivered: outcome === 'enqueued' };
  }
}

function toNewInstance(
  instanceId: string,
  orchestration: unknown,
  { input, options }: { readonly input: unknown; readonly options: StartOptions },
): NewInstance {
  assertInstanceId(instanceId);
  const name = nameOf(orchestration);
  const { version } = options;
  if (version !== undefined) assertName(version, 'version');
  const payload = encodeStart({ name, version, input: encodePayload(input, `input of orchestration '${name}'`), parent: undefined });
  return { instanceId, name, version: version ?? null, payload, parentInstanceId: null };
}

function nameOf(orchestration: unknown): string {
  if (typeof orchestration === 'string') return assertName(orchestration, 'orchestration name');
  const definition = orchestration as Partial<OrchestrationDefinition> | null;
  if (typeof definition === 'object' && definition?.kind === 'orchestration' && typeof definition.name === 'string') return definition.name;
  throw new ArgumentError('Expected orchestration to be a definition made by defineOrchestration, or its name');
}
