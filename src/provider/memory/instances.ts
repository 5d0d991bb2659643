// All instances in memory: starting them, sending to them, locking them. Neighbours: stored-instance.ts has the rules of one instance, turns.ts
// and control.ts change instances through this file, memory-store.ts joins them.
//
// I1. Who presents a token that is not the current one, or presents it after the expiry, changes nothing (P3).
// I2. An ended instance has no messages, no timers, no work items and no subscriptions; its history and values stay.
// I3. A parent's children are those whose link names it. A child stays in the list of its parent until it is replaced.
import type { Clock } from '../../types/clock.ts';
import { isEnded } from '../../types/instance.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import { IN_PROGRESS_HEAD_START_MS, PRIORITY_HEAD_START_MS } from '../provider.ts';
import type {
  EnqueueOutcome,
  InstanceCode,
  NewInstance,
  NewMessage,
  OrchestrationItem,
  OrchestrationLock,
  Publication,
} from '../provider.ts';
import { compareCodePoints } from './code-points.ts';
import { ReadyGroups } from './ready-groups.ts';
import {
  addImmediateMessage,
  computeReadyAtMs,
  createInstance,
  isLocked,
  removeMessages,
  takesTurns,
  visibleMessages,
} from './stored-instance.ts';
import type { StoredInstance } from './stored-instance.ts';
import { Subscriptions } from './subscriptions.ts';
import type { WorkQueue } from './work-queue.ts';

/** Which code a fetch can run; undefined: any. */
type Accepts = ((code: InstanceCode) => boolean) | undefined;

/** The instances of a store. */
export class Instances {
  readonly subscriptions: Subscriptions = new Subscriptions();
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #work: WorkQueue;
  readonly #instances = new Map<string, StoredInstance>();
  readonly #childrenOf = new Map<string, Set<StoredInstance>>();
  readonly #ready = new ReadyGroups<StoredInstance>((a, b) => a.record.instanceId < b.record.instanceId);
  #lastSequence = 0;
  /** Ids of instances that have changed since the last `takeTouched`. */
  #touched = new Set<string>();

  /**
   * @param clock - the store's clock
   * @param work - the activities of the instances
   */
  constructor(clock: Pick<Clock, 'nowMs'>, work: WorkQueue) {
    this.#clock = clock;
    this.#work = work;
  }

  /** How many messages are queued, timers included. */
  get messageCount(): number {
    let count = 0;
    for (const instance of this.#instances.values()) count += instance.messages.length;
    return count;
  }

  /**
   * Finds an instance.
   *
   * @param instanceId - which
   * @returns the instance; undefined: there is none
   */
  get(instanceId: string): StoredInstance | undefined {
    return this.#instances.get(instanceId);
  }

  /**
   * Finds all instances.
   *
   * @returns them, in no order
   */
  all(): readonly StoredInstance[] {
    return [...this.#instances.values()];
  }

  /**
   * Finds the children of an instance.
   *
   * @param instanceId - the parent
   * @returns the children, ended ones included, in the order of their ids
   */
  childrenOf(instanceId: string): readonly StoredInstance[] {
    const children = this.#childrenOf.get(instanceId) ?? [];
    return [...children].toSorted((a, b) => compareCodePoints(a.record.instanceId, b.record.instanceId));
  }

  /**
   * Adds an instance.
   *
   * @param start - the instance; its id is free
   * @param executionId - number of its first execution
   */
  add(start: NewInstance, executionId: number): void {
    this.restore(createInstance(start, this.#clock.nowMs(), { executionId, sequence: this.nextSequence() }));
  }

  /**
   * Takes a place in the order of starts.
   *
   * @returns the place
   */
  nextSequence(): number {
    this.#lastSequence += 1;
    return this.#lastSequence;
  }

  /**
   * Adds an instance as it is.
   *
   * @param instance - the instance; its id is free
   */
  restore(instance: StoredInstance): void {
    const { instanceId, parent } = instance.record;
    this.#instances.set(instanceId, instance);
    if (parent !== null) {
      const siblings = this.#childrenOf.get(parent.instanceId) ?? new Set();
      this.#childrenOf.set(parent.instanceId, siblings.add(instance));
    }
    this.settle(instance);
  }

  /**
   * Makes a child an instance without a parent.
   *
   * @param instance - which
   */
  unlink(instance: StoredInstance): void {
    this.#leaveSiblings(instance);
    instance.record = { ...instance.record, parent: null };
  }

  #leaveSiblings(instance: StoredInstance): void {
    const { parent } = instance.record;
    if (parent === null) return;
    const siblings = this.#childrenOf.get(parent.instanceId);
    siblings?.delete(instance);
    if (siblings?.size === 0) this.#childrenOf.delete(parent.instanceId);
  }

  /**
   * Removes an instance with all that it has; its children stay.
   *
   * @param instance - which
   */
  remove(instance: StoredInstance): void {
    const { instanceId } = instance.record;
    this.clear(instance);
    this.#ready.place(instance, null);
    this.#instances.delete(instanceId);
    this.#leaveSiblings(instance);
    this.#touched.add(instanceId);
  }

  /**
   * Adds a message that is visible at once.
   *
   * @param message - to whom, what, and by which key it is known
   * @returns what became of it
   */
  enqueue(message: NewMessage): EnqueueOutcome {
    const instance = this.#instances.get(message.instanceId);
    if (instance === undefined) return 'notFound';
    if (isEnded(instance.record.status)) return 'ended';
    if (message.key !== undefined && instance.queuedKeys.has(message.key)) return 'duplicate';
    const nowMs = this.#clock.nowMs();
    addImmediateMessage(instance, message, nowMs);
    if (isLocked(instance, nowMs) || !takesTurns(instance)) return 'enqueued';
    // A new message can only make the instance ready earlier: no need to look at the others.
    const readyAtMs = instance.holdUntilMs > nowMs ? instance.holdUntilMs : nowMs - headStartMs(instance.record);
    if (instance.readyAtMs === null || readyAtMs < instance.readyAtMs) this.#ready.place(instance, readyAtMs);
    return 'enqueued';
  }

  /**
   * Sends a message to all subscribers of a topic.
   *
   * @param publication - the topic and the message
   * @returns how many got it
   */
  publish({ topic, payload, key }: Publication): number {
    const message = key === undefined ? { payload } : { payload, key };
    const outcomes = [...this.subscriptions.subscribersOf(topic)].map((instanceId) => this.enqueue({ instanceId, ...message }));
    return outcomes.filter((outcome) => outcome === 'enqueued').length;
  }

  /**
   * Locks instances that have something to do, longest ready first.
   *
   * @param params - how many, for how long, with which token, and of which code
   * @param nowMs - the time, epoch milliseconds
   * @returns the instances with their messages
   */
  take(
    params: { readonly maxItems: number; readonly lockMs: number; readonly lockToken: string; readonly accepts?: Accepts },
    nowMs: number,
  ): readonly OrchestrationItem[] {
    const { maxItems, lockMs, lockToken, accepts } = params;
    const items: OrchestrationItem[] = [];
    while (items.length < maxItems) {
      const instance = this.#ready.takeReady(nowMs, ({ code }) => accepts?.(code) ?? true);
      if (instance === undefined) break;
      if (visibleMessages(instance, nowMs).length === 0) {
        // Its lock ran out, and what it was locked for lies in the future again: the clock was set back.
        this.settle(instance);
        continue;
      }
      instance.lockToken = lockToken;
      this.#ready.place(instance, nowMs + lockMs);
      items.push(handOut(instance, lockToken, nowMs));
    }
    return items;
  }

  /**
   * Tells when the next instance can be fetched.
   *
   * @param accepts - of which code
   * @returns the time, epoch milliseconds; null: never, as things are
   */
  nextReadyAtMs(accepts: Accepts): number | null {
    return this.#ready.nextReadyAtMs(({ code }) => ((accepts?.(code) ?? true) ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY));
  }

  /**
   * Finds an instance by its lock (I1).
   *
   * @param lock - the instance and the right to it
   * @returns the instance; undefined: the lock is lost
   */
  locked({ instanceId, lockToken }: OrchestrationLock): StoredInstance | undefined {
    const instance = this.#instances.get(instanceId);
    return instance?.lockToken === lockToken && isLocked(instance, this.#clock.nowMs()) ? instance : undefined;
  }

  /**
   * Finds an instance for an optimistic turn.
   *
   * @param instanceId - which
   * @returns the instance; undefined: it does not run, or there is something that a fetch would hand out or has handed out
   */
  idle(instanceId: string): StoredInstance | undefined {
    const instance = this.#instances.get(instanceId);
    const nowMs = this.#clock.nowMs();
    if (instance?.record.status !== 'Running' || isLocked(instance, nowMs) || instance.holdUntilMs > nowMs) return undefined;
    // Not by its place in the ready order: on a clock that was set back a fetch in vain corrects that, and need not be written down.
    return visibleMessages(instance, nowMs).length === 0 ? instance : undefined;
  }

  /**
   * Lets a lock last longer.
   *
   * @param instance - which, locked
   * @param lockMs - how long from now, in milliseconds
   */
  extend(instance: StoredInstance, lockMs: number): void {
    this.#ready.place(instance, this.#clock.nowMs() + lockMs);
  }

  /**
   * Gives an instance its place in the ready order as its messages and status say, without a lock.
   *
   * @param instance - which
   */
  settle(instance: StoredInstance): void {
    instance.lockToken = null;
    instance.handedOut = [];
    this.#ready.place(instance, computeReadyAtMs(instance, this.#clock.nowMs()));
    this.#touched.add(instance.record.instanceId);
  }

  /**
   * Removes what an instance that has ended must not have (I2).
   *
   * @param instance - which
   */
  clear(instance: StoredInstance): void {
    const { instanceId } = instance.record;
    removeMessages(instance, () => true);
    this.#work.removeInstance(instanceId);
    this.subscriptions.removeInstance(instanceId);
  }

  /**
   * Tells which instances have changed, once.
   *
   * @returns their ids
   */
  takeTouched(): ReadonlySet<string> {
    const touched = this.#touched;
    if (touched.size > 0) this.#touched = new Set();
    return touched;
  }
}

function headStartMs({ status, priority }: InstanceRecord): number {
  return priority * PRIORITY_HEAD_START_MS + (status === 'Running' ? IN_PROGRESS_HEAD_START_MS : 0);
}

function handOut(instance: StoredInstance, lockToken: string, nowMs: number): OrchestrationItem {
  const { instanceId, name, version, status, executionId, lastEventId, parent, createdAtMs } = instance.record;
  instance.handedOut = visibleMessages(instance, nowMs);
  const messages = instance.handedOut.map((message) => {
    message.attempt += 1;
    return { messageId: message.messageId, payload: message.payload, attempt: message.attempt };
  });
  return { instanceId, lockToken, name, version, status, executionId, lastEventId, messages, parent, createdAtMs };
}
