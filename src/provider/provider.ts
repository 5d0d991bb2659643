// The storage contract: what the runtime and the client ask of a store. Neighbours: memory/ and sqlite/ implement it, main/ calls it.
//
// A provider is dumb storage. It stores, queues and locks what it is told, atomically. It makes no instance ids, event ids or event
// times, and never parses a payload (all `…payload`, `events`, `output`, `customStatus` strings are opaque). What it needs for routing
// stands beside the payload. Lock tokens are its own: random (T30), one for each fetch. All times are the store's clock (T54).
//
// P1. Batch first: every hot method takes a batch and returns one result per item, in order. One bad item never fails its neighbours.
// P2. An ack is all-or-nothing per item; many items may share a commit. A method resolves only after its effects are durable.
// P3. Fencing: ack, abandon and renew check token and expiry together (T59). A lock that expired is lost even if nobody retook it.
// P4. An instance exists from its start on (status Pending). Messages for an id that does not exist are refused, never parked (T6, T7).
// P5. Outcomes that a caller must expect are values. A rejected promise is a `ProviderError` and means: unknown, maybe done, maybe not.
// P6. Fetches are long polls: with nothing to hand out they wait up to `waitMs` and are woken by commits of this and other
//     processes and by visibility times; they do not spin.
import type { InstanceRecord, InstanceStatus } from '../types/instance.ts';

/** A message on the orchestrator queue. */
export type NewMessage = {
  readonly instanceId: string;
  /** Opaque. */
  readonly payload: string;
};

/** A timer of an instance: a message to itself that becomes visible later. */
export type NewTimer = {
  /** Event that created the timer, by which it can be cancelled. */
  readonly eventId: number;
  readonly visibleAtMs: number;
  readonly payload: string;
};

/** A new instance and its first message. */
export type NewInstance = {
  readonly instanceId: string;
  readonly name: string;
  /** null: decided at the first turn. */
  readonly version: string | null;
  /** First message, opaque. It is handed out before every other message of the instance. */
  readonly payload: string;
  /** null: no parent. */
  readonly parentInstanceId: string | null;
};

/** An activity to run. Its key is (instance, execution, event). */
export type NewWorkItem = { readonly eventId: number; readonly name: string; readonly payload: string };

/** Outcome of a start: `exists` changed nothing, whatever state the existing instance is in. */
export type StartOutcome = 'started' | 'exists';

/** Outcome of an enqueue: `notFound` no such instance; `ended` it will never take a turn again, the message was dropped. */
export type EnqueueOutcome = 'enqueued' | 'notFound' | 'ended';

/** What a fetched instance has received. */
export type FetchedMessage = {
  /** Names the message in the ack, within its instance. */
  readonly messageId: number;
  readonly payload: string;
  /**
   * How often this message was handed out, this time included. Hand-outs that ended in a committed turn, or were abandoned with
   * `countAttempt: false`, do not count: attempts tell failures (T49).
   */
  readonly attempt: number;
};

/** A locked instance with its messages, oldest first. Its history is read separately. */
export type OrchestrationItem = {
  readonly instanceId: string;
  readonly lockToken: string;
  readonly name: string;
  readonly version: string | null;
  readonly status: InstanceStatus;
  readonly executionId: number;
  /** Id of the last stored event of the current execution, 0 when there is none. */
  readonly lastEventId: number;
  readonly messages: readonly FetchedMessage[];
};

/** A locked work item. */
export type WorkItem = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  readonly payload: string;
  readonly lockToken: string;
  /** How often this item was handed out, this time included; abandons with `countAttempt: false` do not count. */
  readonly attempt: number;
};

/** Key of a work item with the right to it. */
export type WorkItemLock = Pick<WorkItem, 'instanceId' | 'executionId' | 'eventId' | 'lockToken'>;

/** An instance lock. */
export type OrchestrationLock = { readonly instanceId: string; readonly lockToken: string };

/** Parameters of a fetch. */
export type FetchParams = {
  /** Most items to return. Minimum: 1. */
  readonly maxItems: number;
  /** How long the locks last, in milliseconds, from the moment of the fetch. */
  readonly lockMs: number;
  /** How long to wait when there is nothing, in milliseconds; 0: return at once. */
  readonly waitMs: number;
  /** Ends the wait with an empty batch. Items are never lost by it: either they are returned or they were not locked. */
  readonly signal?: AbortSignal;
};

/** A batch of locked items with the store's time. */
export type Fetched<Item> = { readonly nowMs: number; readonly items: readonly Item[] };

/** One turn to commit. */
export type OrchestrationAck = {
  readonly instanceId: string;
  readonly lockToken: string;
  readonly executionId: number;
  /** Last event id that the turn was computed from; must equal the stored one. */
  readonly baseEventId: number;
  /** Version that runs, stored with the instance. */
  readonly version: string | null;
  /** New events, ids dense from `baseEventId + 1`; null: none. */
  readonly page: { readonly lastEventId: number; readonly events: string } | null;
  readonly consumedMessageIds: readonly number[];
  /** Status of the instance from now on. An ended one loses its queued messages and timers. */
  readonly status: InstanceStatus;
  /** Encoded result or failure; null while the instance runs. */
  readonly output: string | null;
  /** undefined: unchanged; null: reset. Any change raises the version by one, also a reset. */
  readonly customStatus: string | null | undefined;
  readonly workItems: readonly NewWorkItem[];
  readonly timers: readonly NewTimer[];
  /** Messages to instances, added after `starts`; those to instances that do not exist or have ended are dropped. */
  readonly messages: readonly NewMessage[];
  /** New instances; when the id exists, `conflictPayload` (unless null) is enqueued for this instance instead (T4). */
  readonly starts: readonly (NewInstance & { readonly conflictPayload: string | null })[];
  /** Events whose work items go. Applied after `workItems` are added: scheduled and cancelled in one turn means absent. */
  readonly cancelledActivities: readonly number[];
  /** Events whose timers go. Applied after `timers` are added. */
  readonly cancelledTimers: readonly number[];
  /** Continue-as-new: the next execution and its first message; null otherwise. Drops all timers of the execution that ends. */
  readonly next: { readonly name: string; readonly version: string | null; readonly payload: string } | null;
};

/**
 * `committed`; `lockLost`: the token is not the current one or has expired; `instanceGone`: deleted; `conflict`: `baseEventId` or
 * `executionId` is not the stored one. Nothing of an item that is not `committed` was stored.
 */
export type OrchestrationAckOutcome = 'committed' | 'lockLost' | 'instanceGone' | 'conflict';

/** A finished activity. */
export type WorkItemAck = WorkItemLock & {
  /** Message for the orchestration; null: only remove the item. Dropped when the instance is gone or has ended. */
  readonly completionPayload: string | null;
};

/** `gone`: the item does not exist (cancelled or acked before); `lockLost`: somebody else has it, or the lock expired. */
export type WorkItemOutcome = 'done' | 'lockLost' | 'gone';

/** A page of history: the events of one turn. */
export type HistoryPage = { readonly firstEventId: number; readonly lastEventId: number; readonly events: string };

/** Which part of a history to read. */
export type HistoryRequest = {
  readonly instanceId: string;
  readonly executionId: number;
  /** Pages that begin after this event; 0: all. */
  readonly afterEventId: number;
};

/**
 * A message to an instance in progress counts as ready this much earlier than a new instance. So a burst of starts does not keep begun work
 * from its end: less is alive at a time, and live engines are used before they are evicted. Starts wait no longer than this for it.
 */
export const IN_PROGRESS_HEAD_START_MS = 10_000;

/** What to wait for: the end (or quarantine) of an instance, or a change of its custom status beyond a version. */
export type WaitCondition = { readonly kind: 'ended' } | { readonly kind: 'customStatus'; readonly afterVersion: number };

/** What of an instance a wait looks at. */
export type InstanceProgress = Pick<InstanceRecord, 'status' | 'customStatusVersion'>;

/** Numbers of the queues. */
export type QueueDepths = {
  /** Messages on the orchestrator queue, timers that are not yet due included. */
  readonly orchestratorMessages: number;
  /** Work items, running ones included. */
  readonly workItems: number;
};

/** The storage of a runtime. See the rules P1–P6 at the top of this file. */
export interface Provider {
  /** What this provider is called in messages, such as `sqlite`. */
  readonly name: string;

  /**
   * Creates instances with their first message.
   * Called when: a client starts orchestrations. Atomic: each item by itself. Idempotent: yes, by instance id (`exists`).
   *
   * @param starts - the new instances
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]>;

  /**
   * Adds messages to the orchestrator queue, visible at once, first in, first out per instance.
   * Called when: a client raises an event or asks to cancel, or an instance is reported as faulted. Atomic: each item by itself. Idempotent: no.
   *
   * @param messages - the messages
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]>;

  /**
   * Locks instances that have visible messages, longest ready first (see `IN_PROGRESS_HEAD_START_MS`), and returns those messages.
   * Called when: the dispatcher has room. Atomic: lock and attempt count of an instance. An instance is handed to one caller at a time; messages
   * that arrive while it is locked wait for the next fetch. Lost lock: after `lockMs` the instance is handed out again, and what was handed out
   * counts an attempt.
   *
   * @param params - how many, for how long, how long to wait
   * @returns the locked instances and the store's time; empty when the wait ended without any
   * @throws {ProviderError} when the store fails; then nothing is locked
   */
  fetchOrchestrationItems(params: Readonly<FetchParams>): Promise<Fetched<OrchestrationItem>>;

  /**
   * Commits turns: appends events, updates the instance, adds and removes work items, timers, messages and instances, removes the consumed
   * messages, releases the lock.
   * Called when: a turn is computed. Atomic: everything of one item. Idempotent: no; a repeated ack is `lockLost`. Lost lock: the item's
   * outcome is `lockLost` and nothing of it is stored.
   *
   * @param acks - the turns
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails; then the outcome is unknown
   */
  ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]>;

  /**
   * Gives locked instances back with their messages.
   * Called when: a turn could not run or its commit failed. Atomic: each item. Idempotent: a repeated abandon is `lockLost`.
   *
   * @param items - the locks; `delayMs` keeps the whole instance invisible that long, also for new messages; `countAttempt: false` takes the attempt back
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  abandonOrchestrationItems(
    items: readonly (OrchestrationLock & { readonly delayMs: number; readonly countAttempt: boolean })[],
  ): Promise<readonly ('done' | 'lockLost')[]>;

  /**
   * Extends instance locks to `lockMs` from now.
   * Called when: turns are in flight for a while. Idempotent: yes. Lost lock: `lockLost`, the turn's ack will be refused.
   *
   * @param items - the locks
   * @param lockMs - new length, in milliseconds
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails; the locks keep their old expiry or have the new one (T8: no reason to stop)
   */
  renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): Promise<readonly ('done' | 'lockLost')[]>;

  /**
   * Reads history pages in order.
   * Called when: a replay thread does not hold the instance. Idempotent: yes. Needs no lock.
   *
   * @param requests - which histories
   * @returns one list of pages per request; empty for an unknown instance
   * @throws {ProviderError} when the store fails
   */
  readHistory(requests: readonly HistoryRequest[]): Promise<readonly (readonly HistoryPage[])[]>;

  /**
   * Locks work items, longest ready first.
   * Called when: activity threads have room. Atomic: lock and attempt count of an item. Lost lock: handed out again after `lockMs`.
   *
   * @param params - how many, for how long, how long to wait
   * @returns the locked items and the store's time
   * @throws {ProviderError} when the store fails; then nothing is locked
   */
  fetchWorkItems(params: Readonly<FetchParams>): Promise<Fetched<WorkItem>>;

  /**
   * Removes finished work items and enqueues their completions.
   * Called when: activities ended. Atomic: removal and completion of one item. Idempotent: a repeated ack is `gone`. Lost lock: `lockLost`, the
   * result is not recorded, so that a result is recorded once (T59).
   *
   * @param acks - the finished items
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails; then the outcome is unknown
   */
  ackWorkItems(acks: readonly WorkItemAck[]): Promise<readonly WorkItemOutcome[]>;

  /**
   * Gives locked work items back.
   * Called when: an item could not run. Atomic: each item. Idempotent: a repeated abandon is `lockLost`.
   *
   * @param items - the locks; `delayMs` keeps the item invisible that long; `countAttempt: false` takes the attempt back
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  abandonWorkItems(
    items: readonly (WorkItemLock & { readonly delayMs: number; readonly countAttempt: boolean })[],
  ): Promise<readonly WorkItemOutcome[]>;

  /**
   * Extends work item locks to `lockMs` from now.
   * Called when: activities run for a while. Idempotent: yes. `gone` means that the orchestration cancelled the activity; `lockLost` that another
   * runtime may have it. Neither is to be concluded from a rejection (T8).
   *
   * @param items - the locks
   * @param lockMs - new length, in milliseconds
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  renewWorkLocks(items: readonly WorkItemLock[], lockMs: number): Promise<readonly WorkItemOutcome[]>;

  /**
   * Reads instances.
   *
   * @param instanceIds - which
   * @returns one record per id, null for an unknown one
   * @throws {ProviderError} when the store fails
   */
  readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]>;

  /**
   * Lists instances in the order of their ids, by Unicode code points.
   *
   * @param params - `afterInstanceId`: cursor, null for the first page; `limit`: page size, 1 to 1000; `status`: only these
   * @returns a page; shorter than `limit` means the last one
   * @throws {ProviderError} when the store fails
   */
  listInstances(params: {
    readonly afterInstanceId: string | null;
    readonly limit: number;
    readonly status?: InstanceStatus;
  }): Promise<readonly InstanceRecord[]>;

  /**
   * Waits until an instance meets a condition. Woken by commits, without polling by the caller.
   *
   * @param params - `waitMs`: how long at most; `signal`: gives up early
   * @returns the instance as it is at the end of the wait, met or not; null when it does not exist
   * @throws {ProviderError} when the store fails
   */
  waitForInstance(params: {
    readonly instanceId: string;
    readonly condition: WaitCondition;
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<InstanceRecord | null>;

  /**
   * Counts the queues.
   *
   * @returns the numbers at this moment
   * @throws {ProviderError} when the store fails
   */
  readQueueDepths(): Promise<QueueDepths>;

  /**
   * Finishes what was accepted, then closes. Waits end with an empty batch; later calls reject with `PROVIDER_CLOSED`. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Tells whether a record meets a wait condition.
 *
 * @param record - the instance
 * @param condition - what is waited for
 * @returns true when the wait is over; the end of an instance ends every wait
 */
export function meetsCondition(record: InstanceProgress, condition: WaitCondition): boolean {
  const over = record.status !== 'Pending' && record.status !== 'Running' && record.status !== 'Suspended';
  switch (condition.kind) {
    case 'ended':
      return over;
    case 'customStatus':
      return over || record.customStatusVersion > condition.afterVersion;
  }
}
