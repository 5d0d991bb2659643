// The reference implementation of the contract in memory: for reading, tests and simulation. ../sqlite behaves the same and keeps it on disk.
// Neighbours: stored-instance.ts (an instance and its messages), work-queue.ts (activities), ready-order.ts (what is fetched next),
// ../parking.ts (long polls).
//
// Owns: the instances, the effects of each call on them. Does not own: time (the clock), waiting callers (the parkings).
//
// I1. A call takes effect before it returns its promise: the order of calls is the order of effects, and every call is atomic.
// I2. Who presents a token that is not the current one, or presents it after the expiry, changes nothing (P3).
// I3. An ended instance has no messages, no timers and no work items.
// I4. After every change, the callers that wait for it are served before the call returns.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../types/clock.ts';
import { ArgumentError, ProviderError } from '../../types/errors.ts';
import { isEnded } from '../../types/instance.ts';
import type { InstanceRecord, InstanceStatus } from '../../types/instance.ts';
import { Parking } from '../parking.ts';
import { IN_PROGRESS_HEAD_START_MS, meetsCondition } from '../provider.ts';
import type {
  EnqueueOutcome,
  Fetched,
  FetchParams,
  HistoryPage,
  HistoryRequest,
  NewInstance,
  NewMessage,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationItem,
  OrchestrationLock,
  Provider,
  QueueDepths,
  StartOutcome,
  WaitCondition,
  WorkItem,
  WorkItemAck,
  WorkItemLock,
  WorkItemOutcome,
} from '../provider.ts';
import { systemClock } from '../system-clock.ts';
import { ReadyOrder } from './ready-order.ts';
import {
  addImmediateMessage,
  addStartMessage,
  addTimer,
  computeReadyAtMs,
  createInstance,
  dropTimers,
  isLocked,
  takesTurns,
  visibleMessages,
} from './stored-instance.ts';
import type { StoredInstance } from './stored-instance.ts';
import { WorkQueue } from './work-queue.ts';

/** Most records on a page of `listInstances`. */
const MAX_LIST_LIMIT = 1_000;

type Abandon = { readonly delayMs: number; readonly countAttempt: boolean };

/**
 * A provider that keeps everything in memory: nothing survives the process. For tests, simulation and trying things out.
 *
 * @example
 * const provider = new MemoryProvider({ clock: new SimulatedClock(0) });
 */
export class MemoryProvider implements Provider {
  readonly name: string = 'memory';
  readonly #clock: Clock;
  readonly #instances = new Map<string, StoredInstance>();
  readonly #readyInstances = new ReadyOrder<StoredInstance>((a, b) => a.record.instanceId < b.record.instanceId);
  readonly #workQueue = new WorkQueue();
  readonly #orchestrationFetches: Parking<Fetched<OrchestrationItem>>;
  readonly #workFetches: Parking<Fetched<WorkItem>>;
  /** Keyed by instance id. */
  readonly #waits: Parking<InstanceRecord | null>;
  #isClosed = false;

  /**
   * @param options - `clock`: the store's clock. Default: the machine's
   */
  constructor(options: { readonly clock?: Clock } = {}) {
    const clock = options.clock ?? systemClock;
    const onWake = (): void => this.#serveFetches();
    this.#clock = clock;
    this.#orchestrationFetches = new Parking({ clock, competing: true, onWake });
    this.#workFetches = new Parking({ clock, competing: true, onWake });
    this.#waits = new Parking({ clock, competing: false });
  }

  async startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    this.#assertOpen('startInstances');
    const outcomes = starts.map((start) => this.#start(start));
    this.#serveFetches();
    return outcomes;
  }

  async enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]> {
    this.#assertOpen('enqueueMessages');
    const outcomes = messages.map((message) => this.#enqueue(message));
    this.#serveFetches();
    return outcomes;
  }

  async fetchOrchestrationItems(params: Readonly<FetchParams>): Promise<Fetched<OrchestrationItem>> {
    this.#assertOpen('fetchOrchestrationItems');
    return await this.#fetch(params, this.#orchestrationFetches, () => this.#takeInstances(params));
  }

  async ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> {
    this.#assertOpen('ackOrchestrationItems');
    const outcomes = acks.map((ack) => this.#ackTurn(ack));
    for (const ack of acks) this.#waits.serve(ack.instanceId).deliver();
    this.#serveFetches();
    return outcomes;
  }

  async abandonOrchestrationItems(items: readonly (OrchestrationLock & Abandon)[]): Promise<readonly ('done' | 'lockLost')[]> {
    this.#assertOpen('abandonOrchestrationItems');
    const outcomes = items.map((item) => {
      const instance = this.#lockedInstance(item);
      if (instance === undefined) return 'lockLost';
      if (!item.countAttempt) for (const message of instance.handedOut) message.attempt -= 1;
      this.#release(instance, this.#clock.nowMs() + item.delayMs);
      return 'done';
    });
    this.#serveFetches();
    return outcomes;
  }

  async renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): Promise<readonly ('done' | 'lockLost')[]> {
    this.#assertOpen('renewOrchestrationLocks');
    const outcomes = items.map((item) => {
      const instance = this.#lockedInstance(item);
      if (instance === undefined) return 'lockLost';
      this.#readyInstances.place(instance, this.#clock.nowMs() + lockMs);
      return 'done';
    });
    this.#serveFetches();
    return outcomes;
  }

  async readHistory(requests: readonly HistoryRequest[]): Promise<readonly (readonly HistoryPage[])[]> {
    this.#assertOpen('readHistory');
    return requests.map((request) => {
      const pages = this.#instances.get(request.instanceId)?.pages.get(request.executionId) ?? [];
      return pages.filter((page) => page.firstEventId > request.afterEventId);
    });
  }

  async fetchWorkItems(params: Readonly<FetchParams>): Promise<Fetched<WorkItem>> {
    this.#assertOpen('fetchWorkItems');
    return await this.#fetch(params, this.#workFetches, () => this.#takeWork(params));
  }

  async ackWorkItems(acks: readonly WorkItemAck[]): Promise<readonly WorkItemOutcome[]> {
    this.#assertOpen('ackWorkItems');
    const outcomes = this.#workQueue.change(acks, this.#clock.nowMs(), (item, { instanceId, completionPayload }) => {
      this.#workQueue.remove(item);
      if (completionPayload !== null) this.#enqueue({ instanceId, payload: completionPayload });
    });
    this.#serveFetches();
    return outcomes;
  }

  async abandonWorkItems(items: readonly (WorkItemLock & Abandon)[]): Promise<readonly WorkItemOutcome[]> {
    this.#assertOpen('abandonWorkItems');
    const nowMs = this.#clock.nowMs();
    const outcomes = this.#workQueue.change(items, nowMs, (item, { delayMs, countAttempt }) => {
      if (!countAttempt) item.attempt -= 1;
      this.#workQueue.release(item, nowMs + delayMs);
    });
    this.#serveFetches();
    return outcomes;
  }

  async renewWorkLocks(items: readonly WorkItemLock[], lockMs: number): Promise<readonly WorkItemOutcome[]> {
    this.#assertOpen('renewWorkLocks');
    const nowMs = this.#clock.nowMs();
    const outcomes = this.#workQueue.change(items, nowMs, (item) => this.#workQueue.extend(item, nowMs + lockMs));
    this.#serveFetches();
    return outcomes;
  }

  async readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]> {
    this.#assertOpen('readInstances');
    return instanceIds.map((instanceId) => this.#record(instanceId));
  }

  async listInstances(params: {
    readonly afterInstanceId: string | null;
    readonly limit: number;
    readonly status?: InstanceStatus;
  }): Promise<readonly InstanceRecord[]> {
    this.#assertOpen('listInstances');
    const { afterInstanceId, limit, status } = params;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST_LIMIT) {
      throw new ArgumentError(`Expected \`limit\` of listInstances to be an integer from 1 to ${MAX_LIST_LIMIT}, got ${limit}`);
    }
    return [...this.#instances.values()]
      .map(({ record }) => record)
      .filter((record) => afterInstanceId === null || record.instanceId > afterInstanceId)
      .filter((record) => status === undefined || record.status === status)
      .toSorted((a, b) => (a.instanceId < b.instanceId ? -1 : 1))
      .slice(0, limit);
  }

  async waitForInstance(params: {
    readonly instanceId: string;
    readonly condition: WaitCondition;
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<InstanceRecord | null> {
    this.#assertOpen('waitForInstance');
    const { instanceId, condition, waitMs, signal } = params;
    const attempt = (): InstanceRecord | null => {
      const record = this.#record(instanceId);
      return record !== null && meetsCondition(record, condition) ? record : null;
    };
    if (!this.#instances.has(instanceId)) return null;
    return attempt() ?? (await this.#waits.park({ key: instanceId, waitMs, signal, attempt, empty: () => this.#record(instanceId) }));
  }

  async readQueueDepths(): Promise<QueueDepths> {
    this.#assertOpen('readQueueDepths');
    let orchestratorMessages = 0;
    for (const instance of this.#instances.values()) orchestratorMessages += instance.messages.length;
    return { orchestratorMessages, workItems: this.#workQueue.size };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#orchestrationFetches.closeAll();
    this.#workFetches.closeAll();
    this.#waits.closeAll();
  }

  #assertOpen(operation: string): void {
    if (!this.#isClosed) return;
    const message = `${operation} was called on a closed memory provider. Stop runtimes and clients before you close their provider`;
    throw new ProviderError('PROVIDER_CLOSED', { operation, retryable: false, message });
  }

  #record(instanceId: string): InstanceRecord | null {
    return this.#instances.get(instanceId)?.record ?? null;
  }

  // Fetching and waiting.

  #fetch<Item>(params: FetchParams, parking: Parking<Fetched<Item>>, attempt: () => Fetched<Item> | null): Promise<Fetched<Item>> {
    // Something may have become due since the last change: who waits already comes first.
    this.#serveFetches();
    const fetched = params.signal?.aborted === true ? null : attempt();
    if (fetched !== null) return Promise.resolve(fetched);
    const { waitMs, signal } = params;
    const answer = parking.park({ waitMs, signal, attempt, empty: () => ({ nowMs: this.#clock.nowMs(), items: [] }) });
    this.#serveFetches();
    return answer;
  }

  /** Hands out what is ready to those who wait for it, and arranges to be called again when the next thing is. */
  #serveFetches(): void {
    this.#orchestrationFetches.serve().deliver();
    this.#orchestrationFetches.wakeAt(this.#readyInstances.firstReadyAtMs);
    this.#workFetches.serve().deliver();
    this.#workFetches.wakeAt(this.#workQueue.firstReadyAtMs);
  }

  #takeInstances({ maxItems, lockMs }: FetchParams): Fetched<OrchestrationItem> | null {
    const nowMs = this.#clock.nowMs();
    const ready = this.#readyInstances.takeReady(nowMs, maxItems);
    if (ready.length === 0) return null;
    const lockToken = randomUUID();
    const items = ready.map((instance): OrchestrationItem => {
      const { instanceId, name, version, status, executionId, lastEventId } = instance.record;
      instance.handedOut = visibleMessages(instance, nowMs);
      instance.lockToken = lockToken;
      this.#readyInstances.place(instance, nowMs + lockMs);
      const messages = instance.handedOut.map((message) => {
        message.attempt += 1;
        return { messageId: message.messageId, payload: message.payload, attempt: message.attempt };
      });
      return { instanceId, lockToken, name, version, status, executionId, lastEventId, messages };
    });
    return { nowMs, items };
  }

  #takeWork({ maxItems, lockMs }: FetchParams): Fetched<WorkItem> | null {
    const nowMs = this.#clock.nowMs();
    const items = this.#workQueue.take({ maxItems, lockMs, lockToken: randomUUID(), nowMs });
    return items.length === 0 ? null : { nowMs, items };
  }

  // Instances and messages.

  #start(start: NewInstance): StartOutcome {
    if (this.#instances.has(start.instanceId)) return 'exists';
    const instance = createInstance(start, this.#clock.nowMs());
    this.#instances.set(start.instanceId, instance);
    this.#readyInstances.place(instance, computeReadyAtMs(instance, this.#clock.nowMs()));
    return 'started';
  }

  #enqueue({ instanceId, payload }: NewMessage): EnqueueOutcome {
    const instance = this.#instances.get(instanceId);
    if (instance === undefined) return 'notFound';
    if (isEnded(instance.record.status)) return 'ended';
    const nowMs = this.#clock.nowMs();
    addImmediateMessage(instance, payload, nowMs);
    if (isLocked(instance, nowMs) || !takesTurns(instance)) return 'enqueued';
    // A new message can only make the instance ready earlier: no need to look at the others.
    const isHeld = instance.holdUntilMs > nowMs;
    const headStartMs = instance.record.status === 'Running' && !isHeld ? IN_PROGRESS_HEAD_START_MS : 0;
    const readyAtMs = Math.max(nowMs, instance.holdUntilMs) - headStartMs;
    if (instance.readyAtMs === null || readyAtMs < instance.readyAtMs) this.#readyInstances.place(instance, readyAtMs);
    return 'enqueued';
  }

  /** The instance, if its lock is held (I2). */
  #lockedInstance({ instanceId, lockToken }: OrchestrationLock): StoredInstance | undefined {
    const instance = this.#instances.get(instanceId);
    return instance?.lockToken === lockToken && isLocked(instance, this.#clock.nowMs()) ? instance : undefined;
  }

  #release(instance: StoredInstance, holdUntilMs: number): void {
    instance.lockToken = null;
    instance.handedOut = [];
    instance.holdUntilMs = holdUntilMs;
    this.#readyInstances.place(instance, computeReadyAtMs(instance, this.#clock.nowMs()));
  }

  #ackTurn(ack: OrchestrationAck): OrchestrationAckOutcome {
    if (!this.#instances.has(ack.instanceId)) return 'instanceGone';
    const instance = this.#lockedInstance(ack);
    if (instance === undefined) return 'lockLost';
    const { executionId, lastEventId } = instance.record;
    if (executionId !== ack.executionId || lastEventId !== ack.baseEventId) return 'conflict';

    this.#updateRecord(instance, ack);
    const consumed = new Set(ack.consumedMessageIds);
    // Attempts tell failures: what a committed turn leaves is not charged for it.
    for (const message of instance.handedOut) message.attempt -= 1;
    instance.messages = instance.messages.filter(({ messageId }) => !consumed.has(messageId));
    // Adding comes before removing: what is scheduled and cancelled in one turn is absent.
    this.#workQueue.add(ack, ack.workItems, this.#clock.nowMs());
    this.#workQueue.cancel(ack, ack.cancelledActivities);
    for (const timer of ack.timers) addTimer(instance, timer);
    const cancelledTimers = new Set(ack.cancelledTimers);
    dropTimers(instance, (eventId) => ack.next !== null || cancelledTimers.has(eventId));
    for (const start of ack.starts) {
      const { instanceId } = ack;
      const isNew = this.#start(start) === 'started';
      if (!isNew && start.conflictPayload !== null) this.#enqueue({ instanceId, payload: start.conflictPayload });
    }
    // After the starts: a child that is started and cancelled in one turn must get the request to cancel.
    for (const message of ack.messages) this.#enqueue(message);
    if (ack.next !== null) addStartMessage(instance, ack.next.payload, this.#clock.nowMs());
    if (isEnded(ack.status)) {
      instance.messages = [];
      this.#workQueue.removeInstance(ack.instanceId);
    }
    this.#release(instance, Number.NEGATIVE_INFINITY);
    return 'committed';
  }

  #updateRecord(instance: StoredInstance, ack: OrchestrationAck): void {
    const { record } = instance;
    const { version, status, output, page, next } = ack;
    if (page !== null) {
      const pages = instance.pages.get(ack.executionId) ?? [];
      pages.push({ firstEventId: ack.baseEventId + 1, ...page });
      instance.pages.set(ack.executionId, pages);
    }
    const lastEventId = page?.lastEventId ?? record.lastEventId;
    const isStatusSet = ack.customStatus !== undefined;
    instance.record = {
      ...record,
      ...(next === null ? { version, lastEventId } : { name: next.name, version: next.version, lastEventId: 0 }),
      executionId: record.executionId + (next === null ? 0 : 1),
      status,
      output,
      customStatus: ack.customStatus === undefined ? record.customStatus : ack.customStatus,
      customStatusVersion: record.customStatusVersion + (isStatusSet ? 1 : 0),
      updatedAtMs: this.#clock.nowMs(),
    };
  }
}
