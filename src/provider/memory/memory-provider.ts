// The reference implementation of the contract in memory: for reading, tests and simulation. ../sqlite behaves the same and keeps it on disk.
// Neighbours: instances.ts (instances and their messages), turns.ts (acks), control.ts (operators), work-queue.ts and sessions.ts
// (activities), session-messages.ts, runtimes.ts, fetch-queue.ts and ../parking.ts (long polls).
//
// Owns: who waits for what, and that it is woken. Does not own: time (the clock), the effects of the calls (the neighbours).
//
// I1. A call takes effect before it returns its promise: the order of calls is the order of effects, and every call is atomic.
// I2. After every change, the callers that wait for it are served before the call returns.
import { randomUUID } from 'node:crypto';
import { makeOptionError, readOptions } from '../../types/arguments.ts';
import { isClock, type Clock } from '../../types/clock.ts';
import { ArgumentError, OptionError, ProviderError } from '../../types/errors.ts';
import type { InstanceRecord, InstanceStatus } from '../../types/instance.ts';
import { show } from '../../types/show.ts';
import { Parking } from '../parking.ts';
import { meetsCondition } from '../provider.ts';
import type {
  ControlOutcome,
  ControlRequest,
  EnqueueOutcome,
  Fetched,
  HistoryPage,
  HistoryRequest,
  NewInstance,
  NewMessage,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationFetchParams,
  OrchestrationItem,
  OrchestrationLock,
  Provider,
  Publication,
  QueueDepths,
  RuntimeReport,
  SessionMessage,
  StartOutcome,
  StoredValue,
  WaitCondition,
  WorkFetchParams,
  WorkItem,
  WorkItemAck,
  WorkItemLock,
  WorkItemOutcome,
  WorkItemRecord,
} from '../provider.ts';
import { systemClock } from '../system-clock.ts';
import { compareCodePoints } from './code-points.ts';
import { controlInstance, startInstance } from './control.ts';
import { FetchQueue } from './fetch-queue.ts';
import { Instances } from './instances.ts';
import { Runtimes } from './runtimes.ts';
import { SessionMessages } from './session-messages.ts';
import { Sessions } from './sessions.ts';
import { commitTurn } from './turns.ts';
import { WorkQueue } from './work-queue.ts';
import type { WorkSelection } from './work-queue.ts';

/** Most records on a page of `listInstances`. */
const MAX_LIST_LIMIT = 1_000;

/** What a fetch of work takes that does not say what. */
const DEFAULT_SELECTION: WorkSelection = { kind: 'queue', tags: { kind: 'default' }, session: null };

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
  readonly #sessions = new Sessions();
  readonly #sessionMessages = new SessionMessages();
  readonly #work = new WorkQueue(this.#sessions);
  readonly #instances: Instances;
  readonly #runtimes = new Runtimes();
  readonly #turnFetches: FetchQueue<OrchestrationItem>;
  readonly #workFetches: FetchQueue<WorkItem>;
  /** Keyed by instance id. */
  readonly #waits: Parking<InstanceRecord | null>;
  /** Keyed by session id. */
  readonly #receives: Parking<readonly SessionMessage[]>;
  #isClosed = false;

  /**
   * @param options - `clock`: the store's clock. Default: the machine's
   * @throws {OptionError} when it is none
   */
  constructor(options?: { readonly clock?: Clock }) {
    const { clock = systemClock } = readOptions(options, 'the options of a memory provider', { clock: true }, makeOptionError);
    if (!isClock(clock)) throw new OptionError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
    const onWake = (): void => this.#serve();
    this.#clock = clock;
    this.#instances = new Instances(clock, this.#work);
    this.#turnFetches = new FetchQueue(clock, onWake);
    this.#workFetches = new FetchQueue(clock, onWake);
    this.#waits = new Parking({ clock, competing: false });
    this.#receives = new Parking({ clock, competing: false });
  }

  async startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    return this.#change('startInstances', () => starts.map((start) => startInstance(this.#instances, start, this.#clock.nowMs())));
  }

  async enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]> {
    return this.#change('enqueueMessages', () => messages.map((message) => this.#instances.enqueue(message)));
  }

  async publish(publications: readonly Publication[]): Promise<readonly number[]> {
    return this.#change('publish', () => publications.map((publication) => this.#instances.publish(publication)));
  }

  async controlInstances(requests: readonly ControlRequest[]): Promise<readonly ControlOutcome[]> {
    return this.#change('controlInstances', (nowMs) => requests.map((request) => controlInstance(this.#instances, request, nowMs)));
  }

  // Turns.

  async fetchOrchestrationItems(params: Readonly<OrchestrationFetchParams>): Promise<Fetched<OrchestrationItem>> {
    this.#assertOpen('fetchOrchestrationItems');
    return await this.#turnFetches.fetch(params, {
      take: (nowMs) => this.#instances.take(params, nowMs),
      nextAtMs: () => this.#instances.nextReadyAtMs(params.accepts),
    });
  }

  async ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> {
    const targets = { instances: this.#instances, work: this.#work, sessionMessages: this.#sessionMessages };
    const outcomes = this.#change('ackOrchestrationItems', (nowMs) => acks.map((ack) => commitTurn(targets, ack, nowMs)));
    for (const { sessionId } of acks.flatMap(({ effects }) => effects?.sessionMessages ?? [])) this.#receives.serve(sessionId).deliver();
    return outcomes;
  }

  async abandonOrchestrationItems(items: readonly (OrchestrationLock & Abandon)[]): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#change('abandonOrchestrationItems', (nowMs) =>
      items.map((item) => {
        const instance = this.#instances.locked(item);
        if (instance === undefined) return 'lockLost';
        if (!item.countAttempt) for (const message of instance.handedOut) message.attempt -= 1;
        instance.holdUntilMs = item.delayMs > 0 ? nowMs + item.delayMs : Number.NEGATIVE_INFINITY;
        this.#instances.settle(instance);
        return 'done';
      }),
    );
  }

  async renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#change('renewOrchestrationLocks', () =>
      items.map((item) => {
        const instance = this.#instances.locked(item);
        if (instance === undefined) return 'lockLost';
        this.#instances.extend(instance, lockMs);
        return 'done';
      }),
    );
  }

  async readHistory(requests: readonly HistoryRequest[]): Promise<readonly (readonly HistoryPage[])[]> {
    this.#assertOpen('readHistory');
    return requests.map((request) => {
      const pages = this.#instances.get(request.instanceId)?.pages.get(request.executionId) ?? [];
      return pages.filter((page) => page.firstEventId > request.afterEventId);
    });
  }

  // Work.

  async fetchWorkItems(params: Readonly<WorkFetchParams>): Promise<Fetched<WorkItem>> {
    this.#assertOpen('fetchWorkItems');
    const { select = DEFAULT_SELECTION, maxItems, lockMs } = params;
    return await this.#workFetches.fetch(params, {
      take: (nowMs) => this.#work.take({ select, maxItems, lockMs, lockToken: randomUUID(), nowMs }),
      nextAtMs: (nowMs) => this.#work.nextReadyAtMs(select, nowMs),
    });
  }

  async ackWorkItems(acks: readonly WorkItemAck[]): Promise<readonly WorkItemOutcome[]> {
    return this.#change('ackWorkItems', (nowMs) =>
      this.#work.change(acks, nowMs, (item, { instanceId, completionPayload, received }) => {
        this.#work.markSessionUsed(item, nowMs);
        this.#work.remove(item);
        if (received !== undefined) this.#sessionMessages.remove(received.sessionId, received.uptoSeq);
        if (completionPayload !== null) this.#instances.enqueue({ instanceId, payload: completionPayload });
      }),
    );
  }

  async abandonWorkItems(items: readonly (WorkItemLock & Abandon)[]): Promise<readonly WorkItemOutcome[]> {
    return this.#change('abandonWorkItems', (nowMs) =>
      this.#work.change(items, nowMs, (item, { delayMs, countAttempt }) => {
        if (!countAttempt) item.attempt -= 1;
        this.#work.release(item, nowMs + delayMs, nowMs);
      }),
    );
  }

  async renewWorkLocks(
    items: readonly (WorkItemLock & { readonly heartbeat?: string })[],
    lockMs: number,
  ): Promise<readonly WorkItemOutcome[]> {
    return this.#change('renewWorkLocks', (nowMs) =>
      this.#work.change(items, nowMs, (item, { heartbeat = item.heartbeat }) => {
        item.heartbeat = heartbeat;
        this.#work.extend(item, lockMs, nowMs);
      }),
    );
  }

  async renewSessions(claim: { readonly owner: string; readonly leaseMs: number; readonly idleMs: number }): Promise<number> {
    return this.#change('renewSessions', (nowMs) => {
      const isBusy = (sessionId: string): boolean => this.#work.isSessionBusy(sessionId, claim.owner, nowMs);
      const held = this.#sessions.renew({ ...claim, isBusy }, nowMs);
      this.#sessions.forget((sessionId) => this.#work.hasSessionItems(sessionId), nowMs);
      this.#sessionMessages.removeOld(nowMs);
      return held;
    });
  }

  async receiveSessionMessages(params: {
    readonly sessionId: string;
    readonly afterSeq: number;
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly SessionMessage[]> {
    this.#assertOpen('receiveSessionMessages');
    const { sessionId, afterSeq, waitMs, signal } = params;
    const attempt = (): readonly SessionMessage[] | null => {
      const messages = this.#sessionMessages.receive(sessionId, afterSeq);
      return messages.length > 0 ? messages : null;
    };
    return attempt() ?? (await this.#receives.park({ key: sessionId, waitMs, signal, attempt, empty: () => [] }));
  }

  async readWorkItems(instanceId: string): Promise<readonly WorkItemRecord[]> {
    this.#assertOpen('readWorkItems');
    return this.#work.records(instanceId, this.#clock.nowMs());
  }

  // Runtimes.

  async reportRuntime(report: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }): Promise<void> {
    this.#assertOpen('reportRuntime');
    this.#runtimes.report(report, this.#clock.nowMs());
  }

  async listRuntimes(): Promise<readonly RuntimeReport[]> {
    this.#assertOpen('listRuntimes');
    return this.#runtimes.list(this.#clock.nowMs());
  }

  // Reading instances.

  async readValues(instanceId: string, keys: readonly string[] | null): Promise<readonly StoredValue[]> {
    this.#assertOpen('readValues');
    const wanted = keys === null ? null : new Set(keys);
    return [...(this.#instances.get(instanceId)?.values.values() ?? [])]
      .filter(({ key }) => wanted === null || wanted.has(key))
      .toSorted((a, b) => compareCodePoints(a.key, b.key));
  }

  async readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]> {
    this.#assertOpen('readInstances');
    return instanceIds.map((instanceId) => this.#record(instanceId));
  }

  async listInstances(params: {
    readonly afterInstanceId: string | null;
    readonly limit: number;
    readonly status?: InstanceStatus;
    readonly parentInstanceId?: string;
  }): Promise<readonly InstanceRecord[]> {
    this.#assertOpen('listInstances');
    const { afterInstanceId, limit, status, parentInstanceId } = params;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST_LIMIT) {
      throw new ArgumentError(`Expected \`limit\` of listInstances to be an integer from 1 to ${MAX_LIST_LIMIT}, got ${limit}`);
    }
    return this.#instances
      .records()
      .filter((record) => afterInstanceId === null || compareCodePoints(record.instanceId, afterInstanceId) > 0)
      .filter((record) => status === undefined || record.status === status)
      .filter((record) => parentInstanceId === undefined || record.parent?.instanceId === parentInstanceId)
      .toSorted((a, b) => compareCodePoints(a.instanceId, b.instanceId))
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
    if (this.#instances.get(instanceId) === undefined) return null;
    const attempt = (): InstanceRecord | null => (this.#meets(instanceId, condition) ? this.#record(instanceId) : null);
    return attempt() ?? (await this.#waits.park({ key: instanceId, waitMs, signal, attempt, empty: () => this.#record(instanceId) }));
  }

  async readQueueDepths(): Promise<QueueDepths> {
    this.#assertOpen('readQueueDepths');
    return { orchestratorMessages: this.#instances.messageCount, workItems: this.#work.size };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#turnFetches.close();
    this.#workFetches.close();
    this.#waits.closeAll();
    this.#receives.closeAll();
  }

  #assertOpen(operation: string): void {
    if (!this.#isClosed) return;
    const message = `${operation} was called on a closed memory provider. Stop runtimes and clients before you close their provider`;
    throw new ProviderError('PROVIDER_CLOSED', { operation, retryable: false, message });
  }

  /** Makes a change and wakes who waits for it (I2). */
  #change<Answer>(operation: string, apply: (nowMs: number) => Answer): Answer {
    this.#assertOpen(operation);
    const answer = apply(this.#clock.nowMs());
    for (const instanceId of this.#instances.takeTouched()) this.#waits.serve(instanceId).deliver();
    this.#serve();
    return answer;
  }

  #serve(): void {
    this.#turnFetches.serve();
    this.#workFetches.serve();
  }

  #record(instanceId: string): InstanceRecord | null {
    return this.#instances.get(instanceId)?.record ?? null;
  }

  #meets(instanceId: string, condition: WaitCondition): boolean {
    const instance = this.#instances.get(instanceId);
    if (instance === undefined) return false;
    switch (condition.kind) {
      case 'ended':
      case 'executionOver':
      case 'customStatus':
        return meetsCondition(instance.record, condition);
      case 'value':
        return meetsCondition({ ...instance.record, value: instance.values.get(condition.key)?.value ?? null }, condition);
      case 'received':
        return meetsCondition({ ...instance.record, isQueued: instance.queuedKeys.has(condition.key) }, condition);
    }
  }
}
