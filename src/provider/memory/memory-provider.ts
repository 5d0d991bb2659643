// The reference implementation of the contract in memory: for reading, tests and simulation. ../sqlite behaves the same and keeps it on disk.
// Neighbours: memory-store.ts has the effects of the calls, ../fetch-queue.ts and ../parking.ts the long polls.
//
// Owns: who waits for what, and that it is woken. Does not own: time (the clock), what is stored.
//
// I1. A call takes effect before it returns its promise: the order of calls is the order of effects, and every call is atomic.
// I2. After every change, the callers that wait for it are served before the call returns.
import { randomUUID } from 'node:crypto';
import { makeOptionError, readOptions } from '../../types/arguments.ts';
import { isClock, type Clock } from '../../types/clock.ts';
import { OptionError, ProviderError } from '../../types/errors.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import { show } from '../../types/show.ts';
import { FetchQueue } from '../fetch-queue.ts';
import type {
  DeleteOutcome,
  DeleteRequest,
  ExecutionRecord,
  InstanceDump,
  InstanceList,
  InstanceQuery,
  QueueEdit,
  QueueItem,
  QueueQuery,
  WaitingCounts,
} from '../management.ts';
import { Parking } from '../parking.ts';
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
import { MemoryStore } from './memory-store.ts';

type Abandon = { readonly delayMs: number; readonly countAttempt: boolean };

/**
 * A provider that keeps everything in memory: nothing survives the process. For tests, simulation and trying things out.
 *
 * @example
 * const provider = new MemoryProvider({ clock: new SimulatedClock(0) });
 */
export class MemoryProvider implements Provider {
  readonly name: string = 'memory';
  readonly #store: MemoryStore;
  readonly #turnFetches: FetchQueue<OrchestrationItem>;
  readonly #workFetches: FetchQueue<WorkItem>;
  /** Keyed by instance id. */
  readonly #waits: Parking<{ readonly record: InstanceRecord | null }>;
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
    this.#store = new MemoryStore(() => clock.nowMs());
    this.#turnFetches = new FetchQueue(clock, onWake);
    this.#workFetches = new FetchQueue(clock, onWake);
    this.#waits = new Parking({ clock, competing: false });
    this.#receives = new Parking({ clock, competing: false });
  }

  async startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    return this.#change('startInstances', (store) => store.startInstances(starts));
  }

  async enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]> {
    return this.#change('enqueueMessages', (store) => store.enqueueMessages(messages));
  }

  async publish(publications: readonly Publication[]): Promise<readonly number[]> {
    return this.#change('publish', (store) => store.publish(publications));
  }

  async controlInstances(requests: readonly ControlRequest[]): Promise<readonly ControlOutcome[]> {
    return this.#change('controlInstances', (store) => store.controlInstances(requests));
  }

  // Turns.

  async fetchOrchestrationItems(params: Readonly<OrchestrationFetchParams>): Promise<Fetched<OrchestrationItem>> {
    this.#assertOpen('fetchOrchestrationItems');
    return await this.#turnFetches.fetch(params, {
      take: () => this.#store.takeTurns({ ...params, lockToken: randomUUID() }),
      nextAtMs: () => this.#store.nextTurnAtMs(params.accepts),
    });
  }

  async ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> {
    const outcomes = this.#change('ackOrchestrationItems', (store) => store.ackOrchestrationItems(acks));
    for (const { sessionId } of acks.flatMap(({ effects }) => effects?.sessionMessages ?? [])) this.#receives.serve(sessionId).deliver();
    return outcomes;
  }

  async abandonOrchestrationItems(items: readonly (OrchestrationLock & Abandon)[]): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#change('abandonOrchestrationItems', (store) => store.abandonOrchestrationItems(items));
  }

  async renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#change('renewOrchestrationLocks', (store) => store.renewOrchestrationLocks(items, lockMs));
  }

  async readHistory(requests: readonly HistoryRequest[]): Promise<readonly (readonly HistoryPage[])[]> {
    return this.#read('readHistory', (store) => store.readHistory(requests));
  }

  // Work.

  async fetchWorkItems(params: Readonly<WorkFetchParams>): Promise<Fetched<WorkItem>> {
    this.#assertOpen('fetchWorkItems');
    return await this.#workFetches.fetch(params, {
      take: () => this.#store.takeWork({ ...params, lockToken: randomUUID() }),
      nextAtMs: () => this.#store.nextWorkAtMs(params.select),
    });
  }

  async ackWorkItems(acks: readonly WorkItemAck[]): Promise<readonly WorkItemOutcome[]> {
    return this.#change('ackWorkItems', (store) => store.ackWorkItems(acks));
  }

  async abandonWorkItems(items: readonly (WorkItemLock & Abandon)[]): Promise<readonly WorkItemOutcome[]> {
    return this.#change('abandonWorkItems', (store) => store.abandonWorkItems(items));
  }

  async renewWorkLocks(
    items: readonly (WorkItemLock & { readonly heartbeat?: string })[],
    lockMs: number,
  ): Promise<readonly WorkItemOutcome[]> {
    return this.#change('renewWorkLocks', (store) => store.renewWorkLocks(items, lockMs));
  }

  async renewSessions(claim: {
    readonly owner: string;
    readonly leaseMs: number;
    readonly idleMs: number;
    readonly sessionId?: string;
  }): Promise<number> {
    return this.#change('renewSessions', (store) => store.renewSessions(claim));
  }

  async receiveSessionMessages(params: {
    readonly sessionId: string;
    readonly afterSeq: number;
    readonly doneSeqs?: readonly number[];
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly SessionMessage[]> {
    this.#assertOpen('receiveSessionMessages');
    const { sessionId, waitMs, signal } = params;
    const attempt = (): readonly SessionMessage[] | null => {
      const messages = this.#store.receiveSessionMessages(params);
      return messages.length > 0 ? messages : null;
    };
    return attempt() ?? (await this.#receives.park({ key: sessionId, waitMs, signal, attempt, empty: () => [] }));
  }

  async readWorkItems(instanceId: string): Promise<readonly WorkItemRecord[]> {
    return this.#read('readWorkItems', (store) => store.readWorkItems(instanceId));
  }

  // Runtimes.

  async reportRuntime(report: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }): Promise<void> {
    this.#change('reportRuntime', (store) => store.reportRuntime(report));
  }

  async listRuntimes(): Promise<readonly RuntimeReport[]> {
    return this.#read('listRuntimes', (store) => store.listRuntimes());
  }

  // Reading instances.

  async readValues(instanceId: string, keys: readonly string[] | null): Promise<readonly StoredValue[]> {
    return this.#read('readValues', (store) => store.readValues(instanceId, keys));
  }

  async readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]> {
    return this.#read('readInstances', (store) => store.readInstances(instanceIds));
  }

  async listInstances(query: Readonly<InstanceQuery>): Promise<InstanceList> {
    return this.#read('listInstances', (store) => store.listInstances(query));
  }

  async waitForInstance(params: {
    readonly instanceId: string;
    readonly condition: WaitCondition;
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<InstanceRecord | null> {
    this.#assertOpen('waitForInstance');
    const { instanceId, condition, waitMs, signal } = params;
    const read = (): { readonly record: InstanceRecord | null } => ({ record: this.#record(instanceId) });
    const attempt = (): { readonly record: InstanceRecord | null } | null => (this.#store.meets(instanceId, condition) ? read() : null);
    const { record } = attempt() ?? (await this.#waits.park({ key: instanceId, waitMs, signal, attempt, empty: read }));
    return record;
  }

  async readQueueDepths(): Promise<QueueDepths> {
    return this.#read('readQueueDepths', (store) => store.readQueueDepths());
  }

  // For operators.

  async countWaiting(instanceIds: readonly string[]): Promise<readonly WaitingCounts[]> {
    return this.#read('countWaiting', (store) => store.countWaiting(instanceIds));
  }

  async listExecutions(instanceId: string): Promise<readonly ExecutionRecord[]> {
    return this.#read('listExecutions', (store) => store.listExecutions(instanceId));
  }

  async deleteInstances(requests: readonly DeleteRequest[]): Promise<readonly DeleteOutcome[]> {
    return this.#change('deleteInstances', (store) => store.deleteInstances(requests));
  }

  async pruneExecutions(
    requests: readonly { readonly instanceId: string; readonly keepLast: number | null; readonly endedBeforeMs: number | null }[],
  ): Promise<readonly number[]> {
    return this.#change('pruneExecutions', (store) => store.pruneExecutions(requests));
  }

  async peekQueue(query: Readonly<QueueQuery>): Promise<readonly QueueItem[]> {
    return this.#read('peekQueue', (store) => store.peekQueue(query));
  }

  async editQueues(edits: readonly QueueEdit[]): Promise<readonly ('done' | 'gone')[]> {
    return this.#change('editQueues', (store) => store.editQueues(edits));
  }

  async exportInstances(instanceIds: readonly string[]): Promise<readonly (InstanceDump | null)[]> {
    return this.#read('exportInstances', (store) => store.exportInstances(instanceIds));
  }

  async importInstances(dumps: readonly InstanceDump[]): Promise<readonly ('imported' | 'exists')[]> {
    return this.#change('importInstances', (store) => store.importInstances(dumps));
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

  #read<Answer>(operation: string, read: (store: MemoryStore) => Answer): Answer {
    this.#assertOpen(operation);
    return read(this.#store);
  }

  /** Makes a change and wakes who waits for it (I2). */
  #change<Answer>(operation: string, apply: (store: MemoryStore) => Answer): Answer {
    this.#assertOpen(operation);
    const answer = apply(this.#store);
    for (const instanceId of this.#store.takeTouched()) this.#waits.serve(instanceId).deliver();
    this.#serve();
    return answer;
  }

  #serve(): void {
    this.#turnFetches.serve();
    this.#workFetches.serve();
  }

  #record(instanceId: string): InstanceRecord | null {
    return this.#store.readInstances([instanceId])[0] ?? null;
  }
}
