// What a client holds of one instance: its id, and the client's calls for it. Neighbour: client.ts makes it and does the work.
import type { HistoryEvent } from '../types/history-event.ts';
import type { ActivityState, Client, ControlResult, Receipt, ValueWaitOptions } from './client.ts';
import { notFound, type InstanceState } from './instance-state.ts';
import type { RaiseOptions, RaiseResult } from './requests.ts';
import type { WaitOptions } from './wait.ts';

/** A started or known instance. Every call is the client's call of that name for this instance, with its errors; see there. */
export class InstanceHandle<Output = unknown> {
  readonly instanceId: string;
  readonly #client: Client;

  /**
   * @param client - who does the work
   * @param instanceId - id of the instance
   */
  constructor(client: Client, instanceId: string) {
    this.#client = client;
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
  result(options: WaitOptions = {}): Promise<Output> {
    return this.#client.waitForResult<Output>(this.instanceId, options);
  }

  /**
   * Reads the instance as it is now.
   *
   * @returns its state
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   */
  async state(): Promise<InstanceState<Output>> {
    const state = await this.#client.getState<Output>(this.instanceId);
    if (state === null) throw notFound(this.instanceId);
    return state;
  }

  /**
   * Raises an external event; see `Client.raiseEvent`.
   *
   * @param name - name of the event
   * @param data - a JSON value
   * @param options - `key`: raise it again as often as you like, it is taken once
   * @returns `delivered`: false when the instance has ended
   */
  raiseEvent(name: string, data?: unknown, options: RaiseOptions = {}): Promise<RaiseResult> {
    return this.#client.raiseEvent(this.instanceId, name, data, options);
  }

  /**
   * Waits until the instance has taken an event; see `Client.waitForReceipt`.
   *
   * @param key - key that the event was raised with
   * @param options - how long to wait
   * @returns `received`, or `dropped` when the instance ended without it
   */
  waitForReceipt(key: string, options: WaitOptions = {}): Promise<Receipt> {
    return this.#client.waitForReceipt(this.instanceId, key, options);
  }

  /**
   * Asks the orchestration to cancel; see `Client.cancel`.
   *
   * @param reason - for the record
   * @returns `delivered`: false when the instance has ended
   */
  cancel(reason?: string): Promise<{ readonly delivered: boolean }> {
    return this.#client.cancel(this.instanceId, reason);
  }

  /**
   * Ends the instance at once; see `Client.terminate`.
   *
   * @param reason - for the record
   * @returns `done`: true
   */
  terminate(reason?: string): Promise<ControlResult> {
    return this.#client.terminate(this.instanceId, reason);
  }

  /**
   * Stops the instance until it is resumed; see `Client.suspend`.
   *
   * @returns `done`: false when it is suspended already
   */
  suspend(): Promise<ControlResult> {
    return this.#client.suspend(this.instanceId);
  }

  /**
   * Lets the suspended or quarantined instance run again; see `Client.resume`.
   *
   * @returns `done`: false when it runs already
   */
  resume(): Promise<ControlResult> {
    return this.#client.resume(this.instanceId);
  }

  /**
   * Waits until the custom status changes, or the instance ends; see `Client.waitForCustomStatus`.
   *
   * @param options - `afterVersion`: version that the caller has seen, 0 for none; how long to wait
   * @returns the state then
   */
  waitForCustomStatus(options: WaitOptions & { readonly afterVersion: number }): Promise<InstanceState<Output>> {
    return this.#client.waitForCustomStatus<Output>(this.instanceId, options);
  }

  /**
   * Reads a key-value pair; see `Client.getValue`.
   *
   * @param key - which key
   * @returns the value, undefined when there is none
   */
  getValue<Value = unknown>(key: string): Promise<Value | undefined> {
    return this.#client.getValue<Value>(this.instanceId, key);
  }

  /**
   * Reads all key-value pairs; see `Client.getValues`.
   *
   * @returns the values in the order of their keys
   */
  getValues(): Promise<ReadonlyMap<string, unknown>> {
    return this.#client.getValues(this.instanceId);
  }

  /**
   * Waits until there is a value under a key; see `Client.waitForValue`.
   *
   * @param key - which key
   * @param options - `unless`: value that the caller has seen; how long to wait
   * @returns the value
   */
  waitForValue<Value = unknown>(key: string, options: ValueWaitOptions = {}): Promise<Value> {
    return this.#client.waitForValue<Value>(this.instanceId, key, options);
  }

  /**
   * Lists the queued and running activities; see `Client.listActivities`.
   *
   * @returns the activities in the order of their events
   */
  listActivities(): Promise<readonly ActivityState[]> {
    return this.#client.listActivities(this.instanceId);
  }

  /**
   * Reads the history of an execution; see `Client.readHistory`.
   *
   * @param executionId - which execution; default: the current one
   * @returns its events in order
   */
  readHistory(executionId?: number): Promise<readonly HistoryEvent[]> {
    return this.#client.readHistory(this.instanceId, executionId);
  }
}
