// The client: starts orchestrations, talks to them, reads them. Needs a store only: a client process starts no thread.
// Neighbours: instance-handle.ts (the same for one instance), start.ts, requests.ts and prepared-call.ts (what is sent), wait.ts, receipt.ts.
import type { QueueItemRef } from '../provider/management.ts';
import type { ControlRequest, QueueDepths } from '../provider/provider.ts';
import { systemClock } from '../provider/system-clock.ts';
import { hasMethods, readArray, readOptions, type FieldNames } from '../types/arguments.ts';
import { isClock, type Clock } from '../types/clock.ts';
import { decodeStored, encodePayload } from '../types/codec.ts';
import type { InputArguments } from '../types/context.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { ArgumentError } from '../types/errors.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { isEnded, type ExecutionStatus, type InstanceRecord } from '../types/instance.ts';
import { MAX_NAME_LENGTH } from '../types/limits.ts';
import { assertName, assertText } from '../types/names.ts';
import { show } from '../types/show.ts';
import { bulk, type BulkAction, type BulkOptions, type BulkResult } from './bulk.ts';
import type { ClientStore } from './client-store.ts';
import { explainWaiting, type WaitingExplanation } from './explain.ts';
import type { InstanceFilterOptions } from './filter.ts';
import { readHistoryAfter } from './history.ts';
import { InstanceHandle } from './instance-handle.ts';
import { hasEnded, notFound, quarantined, toResult, toState, type InstanceState } from './instance-state.ts';
import {
  countInstances,
  listInstances,
  readTree,
  type InstancePage,
  type InstanceTree,
  type ListOptions,
  type ReadOptions,
} from './listing.ts';
import { prepareRaise, prepareStart } from './prepared-call.ts';
import { editQueue, peekQueue, type PeekOptions, type QueueAction, type QueuePage } from './queues.ts';
import { hasReceived } from './receipt.ts';
import { deleteInstance, pruneExecutions, retryInstance, type PruneOptions, type RetryResult } from './removal.ts';
import {
  assertTarget,
  isDelivered,
  RAISE_OPTIONS,
  toCancel,
  toPublication,
  toRaise,
  toTerminate,
  type BatchRaiseResult,
  type RaiseOptions,
  type RaiseRequest,
  type RaiseResult,
} from './requests.ts';
import { toRuntimeInfo, type RuntimeInfo } from './runtime-info.ts';
import { START_OPTIONS, toNewInstance, type StartOptions, type StartRequest, type StartResult } from './start.ts';
import { exportInstances, importInstances, type ExportedInstance, type ImportProgress } from './transfer.ts';
import { waitUntil, type WaitOptions, type WaitResult } from './wait.ts';

/** How to wait for a value. */
export type ValueWaitOptions = WaitOptions & {
  /** Waits for another value than this one, compared as JSON text. @default any value will do */
  readonly unless?: unknown;
};

/** An activity that is queued or running. */
export type ActivityState = {
  /** Event of the orchestration that scheduled it. */
  readonly eventId: number;
  readonly executionId: number;
  readonly name: string;
  /** How often it was handed out, 0: not yet. */
  readonly attempt: number;
  readonly isRunning: boolean;
  /** When it may be taken; of a running one when its lease ends. */
  readonly dueAt: Date;
  readonly tag: string | null;
  readonly sessionId: string | null;
  /** Key of the limit that it shares; null: none. */
  readonly limitKey: string | null;
  /** Details of its last heartbeat; undefined: none. */
  readonly heartbeat: unknown;
};

/** One execution of an instance. */
export type ExecutionInfo = {
  readonly executionId: number;
  readonly name: string;
  readonly version: string | null;
  readonly status: ExecutionStatus;
  readonly eventCount: number;
  /** null: it has not ended. */
  readonly endedAt: Date | null;
};

/** What became of a wish to suspend, resume or terminate. */
export type ControlResult = {
  /** False when it was so already: nothing changed. */
  readonly done: boolean;
};

/** What became of an event that was raised with a key. `dropped`: the instance ended without it. */
export type Receipt = 'received' | 'dropped';

/** How often to look for an event that is not raised yet, in milliseconds. */
const RAISE_POLL_MS = 250;

/** Options of a client. */
export type ClientOptions = {
  /** Clock of the timeouts of waits, for tests. @default the machine's clock */
  readonly clock?: Clock;
};

/** A way into the store: in the runtime's process, in another one, or in an activity. */
export class Client {
  readonly #store: ClientStore;
  readonly #clock: Clock;

  /**
   * @param provider - the store; it stays the caller's to close
   * @param options - rarely needed
   * @throws {ArgumentError} when one of them is none
   */
  constructor(provider: ClientStore, options?: ClientOptions) {
    if (!hasMethods(provider, ['startInstances'])) {
      throw new ArgumentError('Expected provider to be a provider, such as await SqliteProvider.open(file)');
    }
    const { clock = systemClock } = readOptions(options, 'the options of a client', { clock: true });
    if (!isClock(clock)) throw new ArgumentError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
    this.#store = provider;
    this.#clock = clock;
  }

  // --- starting --------------------------------------------------------------------------------------------------------------

  /**
   * Starts an orchestration. Returns when the start is durable; a runtime takes it from there.
   *
   * @param instanceId - id of the new instance: 1 to 512 characters, without '::'
   * @param orchestration - definition, or name
   * @param input - a JSON value
   * @param options - version, what to do when the id is in use, when to start, priority
   * @returns a handle to wait for the result
   * @throws {InstanceError} `INSTANCE_EXISTS` when the id is in use and `onExisting` does not allow for that
   * @throws {ArgumentError} for a bad id, name, definition or option
   * @throws {PayloadError} when the input is no JSON value or too large
   * @throws {ProviderError} when the store fails; the instance may or may not be started then
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
    options?: StartOptions,
  ): Promise<InstanceHandle<Output>> {
    const { request, conclude } = prepareStart(instanceId, orchestration, input, options);
    const [outcome] = await this.#store.startInstances([request]);
    conclude(outcome);
    return this.getHandle<Output>(instanceId);
  }

  /**
   * Starts many orchestrations in one call to the store. An id that is in use is an outcome here, not an error.
   *
   * @param requests - the starts; options as in `startOrchestration`
   * @returns one result for each, in order
   * @throws {ArgumentError} for a bad id, name, definition or option of any of them; nothing is started then
   * @throws {PayloadError} when an input is no JSON value or too large; nothing is started then
   * @throws {ProviderError} when the store fails; any of them may be started then
   */
  async startOrchestrations<Output = unknown>(requests: readonly StartRequest[]): Promise<readonly StartResult<Output>[]> {
    const starts = readList(requests, START_REQUEST).map((request) => toNewInstance(request));
    if (starts.length === 0) return [];
    const outcomes = await this.#store.startInstances(starts);
    return starts.map(({ instanceId }, index) => ({
      instanceId,
      outcome: outcomes[index] ?? 'exists',
      handle: this.getHandle<Output>(instanceId),
    }));
  }

  /**
   * Gives a handle to an instance that was started elsewhere. Does not look whether it exists.
   *
   * @param instanceId - its id
   * @returns the handle
   */
  getHandle<Output = unknown>(instanceId: string): InstanceHandle<Output> {
    return new InstanceHandle<Output>(this, instanceId);
  }

  // --- events ----------------------------------------------------------------------------------------------------------------

  /**
   * Raises an external event. It is kept until the orchestration takes it, first in, first out per name; also before its first turn.
   *
   * @param instanceId - which instance
   * @param name - name of the event
   * @param data - a JSON value
   * @param options - `key`: raise it again as often as you like, it is taken once
   * @returns `delivered`: false when the instance has ended, the event was dropped then
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} for a bad name or key
   * @throws {PayloadError} when the data is no JSON value or too large
   * @throws {ProviderError} when the store fails; the event may or may not be raised then: with a key, raise it again
   */
  async raiseEvent(instanceId: string, name: string, data?: unknown, options?: RaiseOptions): Promise<RaiseResult> {
    const { request, conclude } = prepareRaise(instanceId, name, data, options);
    const [outcome] = await this.#store.enqueueMessages([request]);
    return conclude(outcome);
  }

  /**
   * Raises many events in one call to the store. An unknown instance is an outcome here, not an error.
   *
   * @param requests - the events
   * @returns one result for each, in order
   * @throws {ArgumentError} for a bad name or key of any of them; nothing is raised then
   * @throws {PayloadError} when any data is no JSON value or too large; nothing is raised then
   * @throws {ProviderError} when the store fails; any of them may be raised then
   */
  async raiseEvents(requests: readonly RaiseRequest[]): Promise<readonly BatchRaiseResult[]> {
    const messages = readList(requests, RAISE_REQUEST).map((request) => toRaise(request));
    if (messages.length === 0) return [];
    const outcomes = await this.#store.enqueueMessages(messages);
    return messages.map(({ instanceId, key }, index) => {
      const outcome = outcomes[index] ?? 'notFound';
      return { instanceId, key, outcome, delivered: isDelivered(outcome) };
    });
  }

  /**
   * Waits until an instance has taken an event into its history. Raise it with a key; also one that is not raised yet is waited for.
   *
   * @param instanceId - which instance
   * @param key - key that the event was raised or published with
   * @param options - how long to wait
   * @returns `received`, or `dropped` when the instance ended without it
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} for a bad key
   * @throws {DurableError} `WAIT_TIMEOUT`
   */
  async waitForReceipt(instanceId: string, key: string, options: WaitOptions = {}): Promise<Receipt> {
    assertName(key, 'event key');
    const check = async (record: InstanceRecord): Promise<WaitResult<Receipt>> => {
      if (await hasReceived(this.#store, record, key)) return { value: 'received' };
      return isEnded(record.status) ? { value: 'dropped' } : null;
    };
    return await waitUntil(this.#store, {
      clock: this.#clock,
      instanceId: assertTarget(instanceId),
      condition: { kind: 'received', key },
      options,
      check,
      // An event that nobody has raised yet is not queued either: the store has nothing to wait for.
      pauseMs: RAISE_POLL_MS,
    });
  }

  /**
   * Publishes to all instances that are subscribed to the topic. Each gets it once, however many of its patterns match.
   *
   * @param topic - such as 'orders/created'
   * @param data - a JSON value
   * @param options - `key`: each instance takes it once, however often it is published
   * @returns how many instances got it
   * @throws {ArgumentError} for a bad topic or key
   * @throws {PayloadError} when the data is no JSON value or too large
   * @throws {ProviderError} when the store fails; it may or may not be published then
   */
  async publish(topic: string, data?: unknown, options?: RaiseOptions): Promise<number> {
    const { key } = readOptions(options, 'the options of a publication', RAISE_OPTIONS);
    const [subscribers = 0] = await this.#store.publish([toPublication(topic, data, key)]);
    return subscribers;
  }

  // --- control ---------------------------------------------------------------------------------------------------------------

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
    const [outcome] = await this.#store.enqueueMessages([toCancel(instanceId, reason)]);
    if (outcome === 'notFound') throw notFound(instanceId);
    return { delivered: outcome === 'enqueued' };
  }

  /**
   * Ends an instance at once, whatever it does: no code of it runs any more, nothing is cleaned up. Its activities and messages go, its
   * children end by their close policy, a parent that waits for it gets an error. Works on quarantined and suspended instances, too.
   *
   * @param instanceId - which instance
   * @param reason - for the record; `cause.message` of what `handle.result()` rejects with
   * @returns `done`: true
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`, `INSTANCE_ENDED`
   * @throws {ArgumentError} when the reason is no text
   * @throws {ProviderError} when the store fails
   */
  async terminate(instanceId: string, reason = 'terminated by a client'): Promise<ControlResult> {
    const record = await this.#read(instanceId);
    return await this.#control(toTerminate(record, reason), 'cannot be terminated');
  }

  /**
   * Stops an instance from running until it is resumed. Messages, timers and results of activities are kept for later.
   *
   * @param instanceId - which instance
   * @returns `done`: false when it is suspended already
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`, `INSTANCE_ENDED`
   * @throws {ProviderError} when the store fails
   */
  async suspend(instanceId: string): Promise<ControlResult> {
    return await this.#control({ kind: 'suspend', instanceId: assertTarget(instanceId) }, 'cannot be suspended');
  }

  /**
   * Lets a suspended or quarantined instance run again, with all its messages and no attempts counted.
   *
   * @param instanceId - which instance
   * @returns `done`: false when it runs already
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`, `INSTANCE_ENDED`
   * @throws {ProviderError} when the store fails
   */
  async resume(instanceId: string): Promise<ControlResult> {
    return await this.#control({ kind: 'resume', instanceId: assertTarget(instanceId) }, 'cannot be resumed');
  }

  // --- reading ---------------------------------------------------------------------------------------------------------------

  /**
   * Reads an instance as it is now.
   *
   * @param instanceId - which instance
   * @returns its state, null when it does not exist
   * @throws {ProviderError} when the store fails
   */
  async getState<Output = unknown>(instanceId: string): Promise<InstanceState<Output> | null> {
    const [record] = await this.#store.readInstances([assertTarget(instanceId)]);
    return record === undefined || record === null ? null : toState<Output>(record);
  }

  /**
   * Waits for the end of an instance and gives its result. Follows continue-as-new.
   *
   * @param instanceId - which instance
   * @param options - how long to wait
   * @returns the result
   * @throws {OrchestrationError} `ORCHESTRATION_FAILED`, `ORCHESTRATION_CANCELLED`, `ORCHESTRATION_TERMINATED`; `cause` is the error
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`, `INSTANCE_QUARANTINED`
   * @throws {DurableError} `WAIT_TIMEOUT`
   */
  async waitForResult<Output = unknown>(instanceId: string, options: WaitOptions = {}): Promise<Output> {
    return await waitUntil(this.#store, {
      clock: this.#clock,
      instanceId: assertTarget(instanceId),
      condition: { kind: 'ended' },
      options,
      check: (record) => (isOver(record) ? { value: toResult<Output>(record) } : null),
    });
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
  async waitForCustomStatus<Output = unknown>(
    instanceId: string,
    options: WaitOptions & { readonly afterVersion: number },
  ): Promise<InstanceState<Output>> {
    const { afterVersion } = readOptions(options, 'the options of a wait', { ...WAIT_OPTIONS, afterVersion: true });
    if (afterVersion === undefined || !Number.isSafeInteger(afterVersion)) {
      throw new ArgumentError(`Expected \`afterVersion\` to be a whole number, 0 for none, got ${show(afterVersion)}`);
    }
    return await waitUntil(this.#store, {
      clock: this.#clock,
      instanceId: assertTarget(instanceId),
      condition: { kind: 'customStatus', afterVersion },
      options,
      check: (record) => (record.customStatusVersion > afterVersion || isOver(record) ? { value: toState<Output>(record) } : null),
    });
  }

  /**
   * Reads a key-value pair that the orchestration set with `ctx.kv`. Values outlive the end of their instance.
   *
   * @param instanceId - which instance
   * @param key - which key
   * @returns the value, undefined when there is none
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ProviderError} when the store fails
   */
  async getValue<Value = unknown>(instanceId: string, key: string): Promise<Value | undefined> {
    const [stored] = await this.#store.readValues(assertTarget(instanceId), [assertKey(key)]);
    if (stored !== undefined) return decodeStored(stored.value, describeValue(instanceId, key)) as Value;
    // No value of a known instance is an answer; an unknown instance is a mistake.
    await this.#read(instanceId);
    return undefined;
  }

  /**
   * Reads all key-value pairs of an instance.
   *
   * @param instanceId - which instance
   * @returns the values in the order of their keys by code points
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ProviderError} when the store fails
   */
  async getValues(instanceId: string): Promise<ReadonlyMap<string, unknown>> {
    const stored = await this.#store.readValues(assertTarget(instanceId), null);
    if (stored.length === 0) await this.#read(instanceId);
    return new Map(stored.map(({ key, value }) => [key, decodeStored(value, describeValue(instanceId, key))]));
  }

  /**
   * Waits until an instance has a value under a key.
   *
   * @param instanceId - which instance
   * @param key - which key
   * @param options - `unless`: value that the caller has seen; how long to wait
   * @returns the value
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`; `INSTANCE_ENDED` when it ended without such a value; `INSTANCE_QUARANTINED`
   * @throws {PayloadError} when `unless` is no JSON value
   * @throws {DurableError} `WAIT_TIMEOUT`
   */
  async waitForValue<Value = unknown>(instanceId: string, key: string, options: ValueWaitOptions = {}): Promise<Value> {
    assertTarget(instanceId);
    assertKey(key);
    const given = readOptions(options, 'the options of a wait', { ...WAIT_OPTIONS, unless: true });
    const unless = encodePayload(given.unless, 'unless') ?? null;
    const check = async (record: InstanceRecord): Promise<WaitResult<Value>> => {
      const [stored] = await this.#store.readValues(instanceId, [key]);
      if (stored !== undefined && stored.value !== unless) {
        return { value: decodeStored(stored.value, describeValue(instanceId, key)) as Value };
      }
      if (record.status === 'Quarantined') throw quarantined(record);
      if (isEnded(record.status)) throw hasEnded(instanceId, `will not set '${key}' any more`);
      return null;
    };
    return await waitUntil(this.#store, { clock: this.#clock, instanceId, condition: { kind: 'value', key, unless }, options, check });
  }

  /**
   * Lists the queued and running activities of an instance.
   *
   * @param instanceId - which instance
   * @returns the activities in the order of their events
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ProviderError} when the store fails
   */
  async listActivities(instanceId: string): Promise<readonly ActivityState[]> {
    const items = await this.#store.readWorkItems(assertTarget(instanceId));
    if (items.length === 0) await this.#read(instanceId);
    return items.map(({ heartbeat, visibleAtMs, ...item }) => ({
      ...item,
      dueAt: new Date(visibleAtMs),
      heartbeat: decodeStored(heartbeat, `heartbeat of activity '${item.name}' of instance '${instanceId}'`),
    }));
  }

  /**
   * Lists instances, newest first unless `orderBy` says otherwise.
   *
   * @param options - which ones, in which order, where the page begins
   * @returns a page and the cursor of the next; it may be shorter than `limit` and not be the last, when few of many instances are meant
   * @throws {ArgumentError} for a bad filter, order, cursor or limit
   * @throws {ProviderError} when the store fails
   */
  async listInstances(options?: ListOptions): Promise<InstancePage> {
    return await listInstances(this.#store, options, this.#clock);
  }

  /**
   * Counts instances.
   *
   * @param filter - which ones
   * @param options - `limit`: where counting ends, 1 to 1,000,000. Default: 10,000; `signal`: breaks off, the call rejects with its reason
   * @returns how many; `isExact`: false when there are more, or may be: it looks at a bounded number of instances
   * @throws {ArgumentError} for a bad filter, limit or signal
   * @throws {ProviderError} when the store fails
   */
  async countInstances(
    filter?: InstanceFilterOptions,
    options?: ReadOptions,
  ): Promise<{ readonly count: number; readonly isExact: boolean }> {
    return await countInstances(this.#store, filter, options, this.#clock);
  }

  /**
   * Reads an instance with its children, their children, and so on. Detached orchestrations have no parent.
   *
   * @param instanceId - the root
   * @param options - `limit`: most instances in all, 1 to 10,000. Default: 1,000; `signal`: breaks off, the call rejects with its reason
   * @returns the tree, children in the order of their starts
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} for a bad limit or signal
   * @throws {ProviderError} when the store fails
   */
  async getTree(instanceId: string, options?: ReadOptions): Promise<InstanceTree> {
    return await readTree(this.#store, assertTarget(instanceId), options, this.#clock);
  }

  /**
   * Lists the executions of an instance, oldest first. Those that were pruned are gone.
   *
   * @param instanceId - which instance
   * @returns its executions
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ProviderError} when the store fails
   */
  async listExecutions(instanceId: string): Promise<readonly ExecutionInfo[]> {
    const executions = await this.#store.listExecutions(assertTarget(instanceId));
    if (executions.length === 0) throw notFound(instanceId);
    return executions.map(({ lastEventId, endedAtMs, ...execution }) => ({
      ...execution,
      eventCount: lastEventId,
      endedAt: endedAtMs === null ? null : new Date(endedAtMs),
    }));
  }

  /**
   * Finds out why an instance does not go on: what it waits for, since when, when the next attempt or timer is due, and whether a living runtime can
   * take it.
   *
   * @param instanceId - which instance
   * @returns what it waits for, with advice; nothing when it has ended
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {HistoryError} when its history is no JSON
   * @throws {ProviderError} when the store fails
   */
  async explainWaiting(instanceId: string): Promise<WaitingExplanation> {
    return await explainWaiting(this.#store, assertTarget(instanceId), this.#clock.nowMs());
  }

  // --- operating -------------------------------------------------------------------------------------------------------------

  /**
   * Lets an instance run again that stopped. One in quarantine goes on where it was. One that Failed or was Cancelled or Terminated starts anew with
   * its id, name, input, priority and attributes, the newest code and no parent; what it did before is gone.
   *
   * @param instanceId - which instance
   * @returns `how`: what was done
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`; `INSTANCE_ENDED` when it completed; `INSTANCE_ALIVE` when it runs
   * @throws {ProviderError} when the store fails
   */
  async retry(instanceId: string): Promise<RetryResult> {
    return await retryInstance(this.#store, await this.#read(instanceId));
  }

  /**
   * Deletes an instance with its descendants and all that belongs to them. The ids may be used again. Living children that it abandons stay.
   *
   * @param instanceId - which instance
   * @param options - `force`: also when it, or a descendant, has not ended; nobody is told. Default: false
   * @returns `instances`: how many went
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`; `INSTANCE_ALIVE` without `force`; `INSTANCE_HAS_PARENT` when a living parent waits for it
   * @throws {ProviderError} when the store fails
   */
  async deleteInstance(instanceId: string, options?: { readonly force?: boolean }): Promise<{ readonly instances: number }> {
    const { force = false } = readOptions(options, 'the options of a delete', { force: true });
    return { instances: await deleteInstance(this.#store, assertTarget(instanceId), force) };
  }

  /**
   * Deletes histories of past executions, which an orchestration that continues as new leaves behind.
   *
   * @param instanceId - of which instance
   * @param options - which of them: with both, those that both mean
   * @returns `executions`: how many went
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} for bad options, or none
   * @throws {ProviderError} when the store fails
   */
  async pruneExecutions(instanceId: string, options: PruneOptions): Promise<{ readonly executions: number }> {
    return { executions: await pruneExecutions(this.#store, assertTarget(instanceId), options) };
  }

  /**
   * Does something to all instances of a filter, in small batches. What cannot be done to an instance as it is, is skipped.
   *
   * @param action - what
   * @param filter - to which ones; `{}`: all
   * @param options - `dryRun` only counts
   * @returns what became of it
   * @throws {ArgumentError} for an unknown action, a bad filter or option
   * @throws {ProviderError} when the store fails; batches before are done
   */
  async bulk(action: BulkAction, filter: InstanceFilterOptions, options?: BulkOptions): Promise<BulkResult> {
    return await bulk(this.#store, action, filter, options, this.#clock);
  }

  /**
   * Counts the queues.
   *
   * @returns the numbers at this moment
   * @throws {ProviderError} when the store fails
   */
  async getQueueDepths(): Promise<QueueDepths> {
    return await this.#store.readQueueDepths();
  }

  /**
   * Looks into a queue without taking anything.
   *
   * @param options - which queue, which items, where the page begins
   * @returns a page
   * @throws {ArgumentError} for a bad option
   * @throws {ProviderError} when the store fails
   */
  async peekQueue(options: PeekOptions): Promise<QueuePage> {
    return await peekQueue(this.#store, options);
  }

  /**
   * Changes an item of a queue by hand. `unlock`: whoever has it loses it, and it is handed out again. `moveBack`: that, with its attempts
   * forgotten. `drop`: it goes; the orchestration of an activity gets `ACTIVITY_DROPPED`. A message shares the lock of its instance.
   *
   * @param action - what
   * @param item - to which
   * @returns `done`: false when it is gone
   * @throws {ArgumentError} for a bad action or item
   * @throws {ProviderError} when the store fails
   */
  async editQueue(action: QueueAction, item: QueueItemRef): Promise<{ readonly done: boolean }> {
    return { done: await editQueue(this.#store, action, item) };
  }

  /**
   * Reads instances with all that belongs to them, for a file or another store: one record a line of JSON.
   *
   * @param filter - which ones. Default: all
   * @param options - `signal`: breaks off, the next record rejects with its reason
   * @returns the records, in the order of their starts; each as it was at one moment
   * @throws {ArgumentError} for a bad filter or signal
   * @throws {ProviderError} when the store fails
   */
  exportInstances(
    filter?: InstanceFilterOptions,
    options?: { readonly signal?: AbortSignal },
  ): AsyncGenerator<ExportedInstance, void, undefined> {
    return exportInstances(this.#store, filter, options, this.#clock);
  }

  /**
   * Writes exported instances into this store. Living ones go on here, with no attempts counted; ids that are in use are left as they are.
   *
   * @param records - what `exportInstances` gave
   * @param options - `onProgress`: called after each batch
   * @returns how many were written, and how many ids were in use
   * @throws {ArgumentError} for a record that is none, with its number; those before it are written
   * @throws {ProviderError} when the store fails; batches before are written
   */
  async importInstances(
    records: Iterable<unknown> | AsyncIterable<unknown>,
    options?: { readonly onProgress?: (progress: ImportProgress) => void },
  ): Promise<ImportProgress> {
    return await importInstances(this.#store, records, options);
  }

  /**
   * Lists the runtimes that live on this store. One that was killed is listed up to half a minute longer.
   *
   * @returns what each tells about itself, by id
   * @throws {ProviderError} when the store fails
   */
  async listRuntimes(): Promise<readonly RuntimeInfo[]> {
    return (await this.#store.listRuntimes()).map((report) => toRuntimeInfo(report));
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
    return await this.readHistoryAfter(instanceId, { afterEventId: 0, ...(executionId !== undefined && { executionId }) });
  }

  /**
   * Reads what came to the history of an execution after an event, for those who follow it.
   *
   * @param instanceId - which instance
   * @param options - `afterEventId`: the last event that is known, 0: none; `executionId`: which execution, default: the current one;
   *   `limit`: most events, default: all. What is not given is not read
   * @returns the events after it, in order
   * @throws {InstanceError} `INSTANCE_NOT_FOUND`
   * @throws {ArgumentError} for numbers that are none
   * @throws {HistoryError} when the stored text is no JSON
   */
  async readHistoryAfter(
    instanceId: string,
    options: { readonly afterEventId: number; readonly executionId?: number; readonly limit?: number },
  ): Promise<readonly HistoryEvent[]> {
    return await readHistoryAfter(this.#store, await this.#read(instanceId), options);
  }

  async #read(instanceId: string): Promise<InstanceRecord> {
    const [record] = await this.#store.readInstances([assertTarget(instanceId)]);
    if (record === undefined || record === null) throw notFound(instanceId);
    return record;
  }

  async #control(request: ControlRequest, refusal: string): Promise<ControlResult> {
    const [outcome] = await this.#store.controlInstances([request]);
    if (outcome === 'notFound') throw notFound(request.instanceId);
    if (outcome === 'ended') throw hasEnded(request.instanceId, refusal);
    return { done: outcome === 'done' };
  }
}

/** Ended, or waiting for an operator: nothing changes by itself any more. */
function isOver({ status }: InstanceRecord): boolean {
  return isEnded(status) || status === 'Quarantined';
}

/** The requests of a batch, each read once. */
function readList<Item extends object>(given: readonly Item[], names: FieldNames<Item>): readonly Item[] {
  const list = readArray(given);
  if (list === null) throw new ArgumentError(`Expected requests to be an array, got ${show(given)}`);
  return list.map((item, index) => {
    if (item === undefined) throw new ArgumentError(`Expected request ${index} to be an object, got undefined`);
    return readOptions(item as Item, `request ${index}`, names) as Item;
  });
}

const WAIT_OPTIONS: FieldNames<WaitOptions> = { timeout: true, signal: true };
const RAISE_REQUEST: FieldNames<RaiseRequest> = { ...RAISE_OPTIONS, instanceId: true, name: true, data: true };
const START_REQUEST: FieldNames<StartRequest> = { ...START_OPTIONS, instanceId: true, orchestration: true, input: true };

function assertKey(key: string): string {
  assertText(key, 'key', MAX_NAME_LENGTH);
  return key;
}

function describeValue(instanceId: string, key: string): string {
  return `value '${key}' of instance '${instanceId}'`;
}
