// The state of a store in memory, and every operation of the contract on it as a plain call: it takes effect at once, as a whole, and is
// answered at once. Neighbours: memory-provider.ts adds promises and long polls, instances.ts (instances and their messages), turns.ts (acks),
// control.ts (operators), work-queue.ts and sessions.ts (activities), session-messages.ts, runtimes.ts.
//
// Owns: what is stored. Does not own: time and lock tokens (given by the caller), who waits for what.
//
// I1. The same calls with the same times and tokens lead to the same state and answers: a store can be rebuilt from a record of its calls.
// I2. A take that gives nothing need not be recorded.
import type { InstanceRecord } from '../../types/instance.ts';
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
import { meetsCondition } from '../provider.ts';
import type {
  ControlOutcome,
  ControlRequest,
  EnqueueOutcome,
  HistoryPage,
  HistoryRequest,
  InstanceCode,
  NewInstance,
  NewMessage,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationItem,
  OrchestrationLock,
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
import { compareCodePoints } from './code-points.ts';
import { controlInstance, startInstance } from './control.ts';
import { dumpInstance, restoreInstance } from './dumps.ts';
import { Instances } from './instances.ts';
import { countWaiting, deleteInstance, editQueue, listExecutions, listInstances, peekQueue, pruneExecutions } from './management.ts';
import { Runtimes } from './runtimes.ts';
import { SessionMessages } from './session-messages.ts';
import { Sessions } from './sessions.ts';
import { commitTurn } from './turns.ts';
import { WorkQueue } from './work-queue.ts';
import type { WorkSelection } from './work-queue.ts';

/** What a fetch of work takes that does not say what. */
const DEFAULT_SELECTION: WorkSelection = { kind: 'queue', tags: { kind: 'default' }, session: null };

type Abandon = { readonly delayMs: number; readonly countAttempt: boolean };

/** How much a take locks: most items, length of the lock in milliseconds, and its token, which must never have been used. */
export type TakeParams = { readonly maxItems: number; readonly lockMs: number; readonly lockToken: string };

/**
 * The state behind a provider, without waiting and without promises: for providers that keep it somewhere. Methods of the same name do what those
 * of `Provider` do.
 *
 * @example
 * const store = new MemoryStore(() => clock.nowMs());
 * store.startInstances(starts);
 * const items = store.takeTurns({ maxItems: 10, lockMs: 30_000, lockToken: randomUUID() });
 */
export class MemoryStore {
  readonly #now: () => number;
  readonly #sessions = new Sessions();
  readonly #sessionMessages = new SessionMessages();
  readonly #work = new WorkQueue(this.#sessions);
  readonly #instances: Instances;
  readonly #runtimes = new Runtimes();

  /**
   * @param now - tells the time of the store, epoch milliseconds
   */
  constructor(now: () => number) {
    this.#now = now;
    this.#instances = new Instances({ nowMs: now }, this.#work);
  }

  startInstances(starts: readonly NewInstance[]): readonly StartOutcome[] {
    const nowMs = this.#now();
    return starts.map((start) => startInstance(this.#instances, start, nowMs));
  }

  enqueueMessages(messages: readonly NewMessage[]): readonly EnqueueOutcome[] {
    return messages.map((message) => this.#instances.enqueue(message));
  }

  publish(publications: readonly Publication[]): readonly number[] {
    return publications.map((publication) => this.#instances.publish(publication));
  }

  controlInstances(requests: readonly ControlRequest[]): readonly ControlOutcome[] {
    const nowMs = this.#now();
    return requests.map((request) => controlInstance(this.#instances, request, nowMs));
  }

  // Turns.

  /**
   * Locks instances that have something to do, longest ready first.
   *
   * @param params - how many, for how long, with which token, and of which code; absent: any
   * @returns the instances with their messages
   */
  takeTurns(params: TakeParams & { readonly accepts?: (code: InstanceCode) => boolean }): readonly OrchestrationItem[] {
    return this.#instances.take(params, this.#now());
  }

  /**
   * Tells when the next instance can be taken.
   *
   * @param accepts - of which code; absent: any
   * @returns the time, epoch milliseconds; null: never, as things are
   */
  nextTurnAtMs(accepts?: (code: InstanceCode) => boolean): number | null {
    return this.#instances.nextReadyAtMs(accepts);
  }

  ackOrchestrationItems(acks: readonly OrchestrationAck[]): readonly OrchestrationAckOutcome[] {
    const nowMs = this.#now();
    const targets = { instances: this.#instances, work: this.#work, sessionMessages: this.#sessionMessages };
    return acks.map((ack) => commitTurn(targets, ack, nowMs));
  }

  abandonOrchestrationItems(items: readonly (OrchestrationLock & Abandon)[]): readonly ('done' | 'lockLost')[] {
    const nowMs = this.#now();
    return items.map((item) => {
      const instance = this.#instances.locked(item);
      if (instance === undefined) return 'lockLost';
      if (!item.countAttempt) for (const message of instance.handedOut) message.attempt -= 1;
      instance.holdUntilMs = item.delayMs > 0 ? nowMs + item.delayMs : Number.NEGATIVE_INFINITY;
      this.#instances.settle(instance);
      return 'done';
    });
  }

  renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): readonly ('done' | 'lockLost')[] {
    return items.map((item) => {
      const instance = this.#instances.locked(item);
      if (instance === undefined) return 'lockLost';
      this.#instances.extend(instance, lockMs);
      return 'done';
    });
  }

  readHistory(requests: readonly HistoryRequest[]): readonly (readonly HistoryPage[])[] {
    return requests.map(({ instanceId, executionId, afterEventId, upToEventId = Number.POSITIVE_INFINITY }) => {
      const pages = this.#instances.get(instanceId)?.pages.get(executionId) ?? [];
      return pages.filter(({ firstEventId }) => firstEventId > afterEventId && firstEventId <= upToEventId);
    });
  }

  // Work.

  /**
   * Locks work items, longest ready first, and claims their sessions.
   *
   * @param params - how many, for how long, with which token, and which; absent: the default queue without sessions
   * @returns the items
   */
  takeWork({ select = DEFAULT_SELECTION, ...params }: TakeParams & Pick<WorkFetchParams, 'select'>): readonly WorkItem[] {
    return this.#work.take({ ...params, select, nowMs: this.#now() });
  }

  /**
   * Tells when the next work item can be taken.
   *
   * @param select - which items; absent: the default queue without sessions
   * @returns the time, epoch milliseconds; null: never, as things are
   */
  nextWorkAtMs(select: WorkFetchParams['select'] = DEFAULT_SELECTION): number | null {
    return this.#work.nextReadyAtMs(select, this.#now());
  }

  ackWorkItems(acks: readonly WorkItemAck[]): readonly WorkItemOutcome[] {
    const nowMs = this.#now();
    return this.#work.change(acks, nowMs, (item, { instanceId, completionPayload, received }) => {
      this.#work.markSessionUsed(item, nowMs);
      this.#work.remove(item);
      if (received !== undefined) this.#sessionMessages.remove(received.sessionId, received.uptoSeq);
      if (completionPayload !== null) this.#instances.enqueue({ instanceId, payload: completionPayload });
    });
  }

  abandonWorkItems(items: readonly (WorkItemLock & Abandon)[]): readonly WorkItemOutcome[] {
    const nowMs = this.#now();
    return this.#work.change(items, nowMs, (item, { delayMs, countAttempt }) => {
      if (!countAttempt) item.attempt -= 1;
      this.#work.release(item, nowMs + delayMs, nowMs);
    });
  }

  renewWorkLocks(items: readonly (WorkItemLock & { readonly heartbeat?: string })[], lockMs: number): readonly WorkItemOutcome[] {
    const nowMs = this.#now();
    return this.#work.change(items, nowMs, (item, { heartbeat = item.heartbeat }) => {
      item.heartbeat = heartbeat;
      this.#work.extend(item, lockMs, nowMs);
    });
  }

  readWorkItems(instanceId: string): readonly WorkItemRecord[] {
    return this.#work.records(instanceId, this.#now());
  }

  // Sessions and runtimes.

  renewSessions(claim: { readonly owner: string; readonly leaseMs: number; readonly idleMs: number; readonly sessionId?: string }): number {
    const nowMs = this.#now();
    const isBusy = (sessionId: string): boolean => this.#work.isSessionBusy(sessionId, claim.owner, nowMs);
    const held = this.#sessions.renew({ ...claim, isBusy }, nowMs);
    this.#sessions.forget((sessionId) => this.#work.hasSessionItems(sessionId), nowMs);
    this.#sessionMessages.removeOld(nowMs);
    return held;
  }

  receiveSessionMessages(params: {
    readonly sessionId: string;
    readonly afterSeq: number;
    readonly doneSeqs?: readonly number[];
  }): readonly SessionMessage[] {
    const { sessionId, afterSeq, doneSeqs } = params;
    if (doneSeqs === undefined) this.#sessionMessages.remove(sessionId, afterSeq);
    else this.#sessionMessages.removeSome(sessionId, doneSeqs);
    return this.#sessionMessages.read(sessionId, afterSeq);
  }

  reportRuntime(report: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }): void {
    this.#runtimes.report(report, this.#now());
  }

  listRuntimes(): readonly RuntimeReport[] {
    return this.#runtimes.list(this.#now());
  }

  // Reading instances.

  readValues(instanceId: string, keys: readonly string[] | null): readonly StoredValue[] {
    const wanted = keys === null ? null : new Set(keys);
    return [...(this.#instances.get(instanceId)?.values.values() ?? [])]
      .filter(({ key }) => wanted === null || wanted.has(key))
      .toSorted((a, b) => compareCodePoints(a.key, b.key));
  }

  readInstances(instanceIds: readonly string[]): readonly (InstanceRecord | null)[] {
    return instanceIds.map((instanceId) => this.#instances.get(instanceId)?.record ?? null);
  }

  listInstances(query: InstanceQuery): InstanceList {
    return listInstances(this.#instances, query);
  }

  readQueueDepths(): QueueDepths {
    return { orchestratorMessages: this.#instances.messageCount, workItems: this.#work.size };
  }

  // For operators.

  countWaiting(instanceIds: readonly string[]): readonly WaitingCounts[] {
    const nowMs = this.#now();
    return instanceIds.map((instanceId) => countWaiting(this.#stored, instanceId, nowMs));
  }

  listExecutions(instanceId: string): readonly ExecutionRecord[] {
    return listExecutions(this.#instances.get(instanceId));
  }

  deleteInstances(requests: readonly DeleteRequest[]): readonly DeleteOutcome[] {
    return requests.map((request) => deleteInstance(this.#instances, request));
  }

  pruneExecutions(
    requests: readonly { readonly instanceId: string; readonly keepLast: number | null; readonly endedBeforeMs: number | null }[],
  ): readonly number[] {
    return requests.map((request) => pruneExecutions(this.#instances.get(request.instanceId), request));
  }

  peekQueue(query: QueueQuery): readonly QueueItem[] {
    return peekQueue(this.#stored, query, this.#now());
  }

  editQueues(edits: readonly QueueEdit[]): readonly ('done' | 'gone')[] {
    const nowMs = this.#now();
    return edits.map((edit) => editQueue(this.#stored, edit, nowMs));
  }

  exportInstances(instanceIds: readonly string[]): readonly (InstanceDump | null)[] {
    const nowMs = this.#now();
    return instanceIds.map((instanceId) => {
      const instance = this.#instances.get(instanceId);
      return instance === undefined ? null : dumpInstance(this.#stored, instance, nowMs);
    });
  }

  importInstances(dumps: readonly InstanceDump[]): readonly ('imported' | 'exists')[] {
    const nowMs = this.#now();
    return dumps.map((dump) => restoreInstance(this.#stored, dump, nowMs));
  }

  get #stored(): { readonly instances: Instances; readonly work: WorkQueue } {
    return { instances: this.#instances, work: this.#work };
  }

  // For those who wait.

  /**
   * Tells whether a wait for an instance is over.
   *
   * @param instanceId - which
   * @param condition - what is waited for
   * @returns true also when there is no such instance: nothing is to be waited for
   */
  meets(instanceId: string, condition: WaitCondition): boolean {
    const instance = this.#instances.get(instanceId);
    if (instance === undefined) return true;
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

  /**
   * Tells which instances somebody may wait for have changed, once.
   *
   * @returns their ids
   */
  takeTouched(): ReadonlySet<string> {
    return this.#instances.takeTouched();
  }
}
