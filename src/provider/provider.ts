// The storage contract: what the runtime and the client ask of a store. Neighbours: memory/ and sqlite/ implement it, main/ calls it.
//
// A provider is dumb storage. It stores, queues and locks what it is told, atomically. It makes no instance ids, event ids or event
// times, and never parses a payload (all `…payload`, `events`, `output`, `customStatus` strings are opaque). What it needs for routing
// stands beside the payload. Lock tokens are its own: random (T30), one for each fetch. All times are the store's clock (T54).
//
// P1. Batch first: every hot method takes a batch and returns one result per item, in order. One bad item never fails its neighbours.
// P2. An ack is all-or-nothing per item; many items may share a commit. A method resolves only after its effects are durable. A fetch of turns may be
//     answered as soon as its locks hold for others: a turn does nothing outside before its ack is durable.
// P3. Fencing: ack, abandon and renew check token and expiry together (T59). A lock that expired is lost even if nobody retook it.
// P4. An instance exists from its start on (status Pending). Messages for an id that does not exist are refused, never parked (T6, T7).
// P5. Outcomes that a caller must expect are values. A rejected promise is a `ProviderError` and means: unknown, maybe done, maybe not.
// P6. Fetches are long polls: with nothing to hand out they wait up to `waitMs` and are woken by commits of this and other
//     processes and by visibility times; they do not spin.
// P7. Items with a limit (`ActivityRouting.limit`) are handed out as far as it lets them: with `concurrency` while fewer items of the key are locked,
//     with `rate` as rate.ts says, each hand-out counted. What is handed out as expired does not count. Others are never kept waiting by
//     those that may not run yet. A fetch that waits is answered when one may. An item of a session has no limit.
import type { ParentClosePolicy, StartPolicy } from '../types/history-event.ts';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../types/instance.ts';
import type { ParentLink } from '../types/names.ts';
import type { ActivityRouting } from '../types/replay.ts';
import type { StoredAttributes } from '../types/attributes.ts';
import type { ManagementStore } from './management.ts';

/** A message on the orchestrator queue. */
export type NewMessage = {
  readonly instanceId: string;
  /** Opaque. */
  readonly payload: string;
  /** The sender's name for the message: while it is queued, another with the same key is refused, and one can wait until it was received. */
  readonly key?: string;
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
  readonly parent: ParentLink | null;
  /** What happens to a child when its parent ends, is terminated or quarantined. */
  readonly onParentClose: ParentClosePolicy;
  /** When the id is in use. `fail` and `useExisting` are the same to a provider: nothing changes. */
  readonly policy: StartPolicy;
  /** With `replaceTerminal`: only an instance that ended at this time, epoch milliseconds, is replaced; another one `exists`. Absent: whichever ended. */
  readonly replacesEndedAtMs?: number;
  /** 0 to 9; see `PRIORITY_HEAD_START_MS`. */
  readonly priority: number;
  /** The start message is not visible before this time (store's clock, epoch milliseconds) and not before `delayMs` from now. */
  readonly startAtMs: number | null;
  readonly delayMs: number;
  /** What becomes of the living children of an instance that this one replaces; null: they stay. */
  readonly closeChildren: CloseChildren | null;
  /** Search attributes; null or an empty list: none. */
  readonly attributes: StoredAttributes | null;
  /** Message for its parent, enqueued when this instance is replaced while it lives, or terminated with a parent that lives on in quarantine (T4). */
  readonly parentNotice: string | null;
};

/** An activity to run. Its key is (instance, execution, event). */
export type NewWorkItem = {
  readonly eventId: number;
  readonly name: string;
  readonly payload: string;
  /** null: no tag, session, priority or limit. */
  readonly routing: ActivityRouting | null;
};

/** Outcome of a start: `exists` changed nothing; `replaced`: the old instance with all it had is gone. */
export type StartOutcome = 'started' | 'exists' | 'replaced';

/**
 * Outcome of an enqueue: `notFound` no such instance; `ended` it will never take a turn again, the message was dropped; `duplicate` one with
 * the same key is queued, this one was dropped.
 */
export type EnqueueOutcome = 'enqueued' | 'notFound' | 'ended' | 'duplicate';

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
  readonly parent: ParentLink | null;
  readonly createdAtMs: number;
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
  /** As it was scheduled. */
  readonly routing: ActivityRouting | null;
  /** Encoded details of the last heartbeat of an attempt before; null: none. */
  readonly heartbeat: string | null;
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

/** Code that an instance needs: its name, the version that is recorded or asked for (null: any), and the engine behaviour (0 before the first turn). */
export type InstanceCode = { readonly name: string; readonly version: string | null; readonly engine: number };

/** Parameters of an orchestration fetch. */
export type OrchestrationFetchParams = FetchParams & {
  /**
   * Which code the caller can run; absent: any. Pure and stable: the provider may ask once per code and remember. Instances of other
   * code are neither locked nor counted, and do not wake the fetch.
   */
  readonly accepts?: (code: InstanceCode) => boolean;
  /**
   * Which runtime fetches, and how long the next turn of an instance that it gets here is kept for it from when that is ready, in milliseconds.
   * Not longer than it is reported as alive (`reportRuntime` with this id). It saves a replay from history, nothing depends on it: a store may
   * ignore it, as those do that one process uses.
   */
  readonly affinity?: { readonly runtimeId: string; readonly keptMs: number };
};

/** Which tags a worker takes. Items without a tag are the default queue. Tags that begin with `duraloom:` are only taken when named. */
export type TagFilter =
  | { readonly kind: 'default' }
  | { readonly kind: 'only'; readonly tags: readonly string[] }
  | { readonly kind: 'defaultAnd'; readonly tags: readonly string[] }
  | { readonly kind: 'any' };

/** Who takes sessions: items of a session go to its owner as long as its lease lasts. */
export type SessionClaim = {
  /** Stable name of the runtime, such as its node id. */
  readonly owner: string;
  readonly leaseMs: number;
  /** Most sessions that the owner may hold: at that number it gets items of its own sessions only, and those without a session. */
  readonly maxSessions: number;
};

/** Parameters of a work fetch. */
export type WorkFetchParams = FetchParams & {
  /**
   * `queue`: what may run; items whose expiry has passed before anybody took them are not handed out any more. `session: null`: no session
   * items. `expired`: only items that nobody ever took and whose expiry has passed, whatever their tag, so that their orchestrations are told.
   * Default: the default queue without sessions.
   */
  readonly select?:
    { readonly kind: 'queue'; readonly tags: TagFilter; readonly session: SessionClaim | null } | { readonly kind: 'expired' };
  /**
   * Which runtime fetches: what its own turns have scheduled may count as ready up to `IN_PROGRESS_HEAD_START_MS` earlier for it, and what those of
   * another one have, while that is reported as alive, `keptMs` later (milliseconds). So what ends is where the instance is in memory, and goes with its
   * next turn. Nothing depends on it: a store may ignore it.
   */
  readonly affinity?: { readonly runtimeId: string; readonly keptMs: number };
};

/** A batch of locked items with the store's time. */
export type Fetched<Item> = { readonly nowMs: number; readonly items: readonly Item[] };

/** One turn to commit. */
export type OrchestrationAck = {
  readonly instanceId: string;
  /** The right to commit the turn; null: an optimistic turn, see `completed`. */
  readonly lockToken: string | null;
  /**
   * Makes an optimistic turn: it was computed without a fetch, for activities of the instance that have just ended. Their items go with it, and it
   * has consumed their completions, which are never queued; so it has no `consumedMessageIds`. The outcome is `conflict`, and nothing is stored,
   * unless the instance is running, not locked, not held and without a visible message, and all the items are held. Absent with a lock.
   */
  readonly completed?: readonly WorkItemAck[];
  /** With `completed`: when the instance was started that the turn was computed for. Another one has taken its id meanwhile: `conflict`. */
  readonly createdAtMs?: number;
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
  /** What turns do now and then; null: nothing of it. Applied after `starts` and `messages`. */
  readonly effects: AckEffects | null;
  /** What becomes of the living children; null: nothing (the engine tells those it knows by messages). For quarantine. */
  readonly closeChildren: CloseChildren | null;
};

/** Rare parts of a turn, in the order in which they are applied. */
export type AckEffects = {
  /** All search attributes from now on, an empty list: none; null: unchanged. */
  readonly attributes: StoredAttributes | null;
  /** Encoded values to write; null deletes. */
  readonly values: readonly { readonly key: string; readonly value: string | null }[];
  /** Patterns as `matchesTopic` of types/topics.ts reads them. Subscribing twice is subscribing once. */
  readonly subscriptions: readonly { readonly pattern: string; readonly subscribed: boolean }[];
  readonly publications: readonly Publication[];
  readonly sessionMessages: readonly { readonly sessionId: string; readonly payload: string }[];
  /** Children to terminate: only when the parent link of the instance is this one. Their own children are closed by their policies. */
  readonly terminations: readonly {
    readonly instanceId: string;
    readonly parent: ParentLink;
    readonly output: string;
    readonly cancelPayload: string;
  }[];
};

/** A message for every instance with a matching subscription: one each, however many of its patterns match, in the order of publications. */
export type Publication = { readonly topic: string; readonly payload: string; readonly key?: string };

/** What happens to the children of an instance that is terminated or quarantined, by their `onParentClose`. */
export type CloseChildren = {
  /** Message for those that are to cancel. */
  readonly cancelPayload: string;
  /** Output of those that are to be terminated; their own children are closed in the same way. */
  readonly output: string;
};

/**
 * A wish of an operator. `suspend`: no turns until resumed; messages are kept. `resume`: from Suspended or Quarantined, back to Pending or Running
 * with all attempts forgotten. `terminate`: ends at once as Terminated, from any living state: its queues, work items, subscriptions go, a turn
 * under way loses its lock; `parentMessage` is enqueued for the parent (null: none).
 */
export type ControlRequest =
  | { readonly kind: 'suspend' | 'resume'; readonly instanceId: string }
  | {
      readonly kind: 'terminate';
      readonly instanceId: string;
      readonly output: string;
      readonly parentMessage: NewMessage | null;
      readonly closeChildren: CloseChildren;
    };

/** Outcome of a wish; `unchanged`: it was so already, or (resume) it runs. */
export type ControlOutcome = 'done' | 'notFound' | 'ended' | 'unchanged';

/** A key-value pair of an instance. */
export type StoredValue = { readonly key: string; readonly value: string; readonly updatedAtMs: number };

/** An activity that is queued or running, for people. */
export type WorkItemRecord = {
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  readonly attempt: number;
  readonly isRunning: boolean;
  /** From when on it may be handed out by its own time, epoch milliseconds; of a running one when its lock ends. */
  readonly visibleAtMs: number;
  readonly tag: string | null;
  readonly sessionId: string | null;
  /** Key of the limit that it shares; null: none. */
  readonly limitKey: string | null;
  /** Encoded details of the last heartbeat. */
  readonly heartbeat: string | null;
};

/** A message to the activities of a session. */
export type SessionMessage = { readonly seq: number; readonly payload: string };

/** A live runtime, as it describes itself. */
export type RuntimeReport = { readonly runtimeId: string; readonly payload: string; readonly seenAtMs: number };

/**
 * `committed`; `lockLost`: the token is not the current one or has expired; `instanceGone`: deleted; `conflict`: `baseEventId` or
 * `executionId` is not the stored one. Nothing of an item that is not `committed` was stored.
 */
export type OrchestrationAckOutcome = 'committed' | 'lockLost' | 'instanceGone' | 'conflict';

/** A finished activity. */
export type WorkItemAck = WorkItemLock & {
  /** Message for the orchestration; null: only remove the item. Dropped when the instance is gone or has ended. */
  readonly completionPayload: string | null;
  /** Messages of its session that it has taken: they go with the item. */
  readonly received?: { readonly sessionId: string; readonly uptoSeq: number };
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
  /** Pages that begin with this event at the latest. @default all */
  readonly upToEventId?: number;
};

/**
 * A message to an instance in progress counts as ready this much earlier than a new instance. So a burst of starts does not keep begun work
 * from its end: less is alive at a time, and live engines are used before they are evicted. Starts wait no longer than this for it.
 */
export const IN_PROGRESS_HEAD_START_MS = 10_000;

/**
 * Each level of priority counts as ready this much earlier, for instances and work items alike. So priority goes first, and nothing waits
 * for ever behind it. Only what is visible at once has a head start: delays and lock expiries do not shrink.
 */
export const PRIORITY_HEAD_START_MS = 60_000;

/** How long a message to a session is kept that nobody receives. Reason: a session that never comes back must not fill the store. */
export const SESSION_MESSAGE_TTL_MS: number = 7 * 24 * 60 * 60 * 1000;

/**
 * What to wait for: the end (or quarantine) of an instance; that an execution is over, because the instance ended, was replaced or is at another
 * one; a change of its custom status beyond a version; a key-value pair that exists and is not
 * `unless` (null: exists); that no message with the key is queued any more.
 */
export type WaitCondition =
  | { readonly kind: 'ended' }
  | { readonly kind: 'executionOver'; readonly executionId: number }
  | { readonly kind: 'customStatus'; readonly afterVersion: number }
  | { readonly kind: 'value'; readonly key: string; readonly unless: string | null }
  | { readonly kind: 'received'; readonly key: string };

/** What of an instance a wait looks at. */
export type InstanceProgress = Pick<InstanceRecord, 'status' | 'executionId' | 'customStatusVersion'> & {
  /** For `value`: the encoded value, null when there is none. */
  readonly value?: string | null;
  /** For `received`: a message with the key is queued. */
  readonly isQueued?: boolean;
};

/** Numbers of the queues. */
export type QueueDepths = {
  /** Messages on the orchestrator queue, timers that are not yet due included. */
  readonly orchestratorMessages: number;
  /** Work items, running ones included. */
  readonly workItems: number;
};

/** Figures of a store, counted since it was opened; times are sums. What a store does not have is 0. */
export type StoreStats = {
  /** Transactions that wrote. */
  readonly commits: number;
  /** Items of the callers in them: `items / commits` is the size of a group commit. */
  readonly items: number;
  /** Time that the event loop spent on the statements of transactions, without their commit, in milliseconds. */
  readonly statementMs: number;
  /** Time that the event loop spent in commits, in milliseconds. */
  readonly commitMs: number;
  /** How often what was committed was brought to disk beside a commit, and how long that took, in milliseconds. */
  readonly syncs: number;
  readonly syncMs: number;
  /** Times that somebody else held the store, and the transaction was tried again. */
  readonly busyRetries: number;
  /** Transactions that were run again item by item, because one item failed. */
  readonly slowPaths: number;
};

/** The storage of a runtime. See the rules P1–P7 at the top of this file. */
export interface Provider extends ManagementStore {
  /** What this provider is called in messages, such as `sqlite`. */
  readonly name: string;

  /**
   * True when each call crosses a network. Then a runtime has more turns in flight by default, so that a batch is worth its way. @default false
   */
  readonly isRemote?: boolean;

  /**
   * Creates instances with their first message. `replaceTerminal` replaces an instance that has ended, `terminateExisting` any: history, values,
   * queues, work items, subscriptions of the old one go, a turn of it under way loses its lock, and its parent is told if it was alive. The new one
   * goes on counting executions: a late answer to the old one never fits it.
   * Called when: a client starts orchestrations. Atomic: each item by itself. Idempotent: by instance id (`exists`) with policy `fail`.
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
   * Locks instances that have visible messages, longest ready first (see `IN_PROGRESS_HEAD_START_MS`), equally long ready ones by their ids,
   * and returns those messages.
   * Called when: the dispatcher has room. Atomic: lock and attempt count of an instance. An instance is handed to one caller at a time; messages
   * that arrive while it is locked wait for the next fetch. Lost lock: after `lockMs` the instance is handed out again, and what was handed out
   * counts an attempt.
   *
   * @param params - how many, for how long, how long to wait
   * @returns the locked instances and the store's time; empty when the wait ended without any
   * @throws {ProviderError} when the store fails; then nothing is locked
   */
  fetchOrchestrationItems(params: Readonly<OrchestrationFetchParams>): Promise<Fetched<OrchestrationItem>>;

  /**
   * Commits turns: appends events, updates the instance, adds and removes work items, timers, messages and instances, removes the consumed
   * messages, releases the lock.
   * Called when: a turn is computed. Atomic: everything of one item. Idempotent: no; a repeated ack is `lockLost`, or `conflict` for an optimistic
   * turn. Lost lock: the item's outcome is `lockLost` and nothing of it is stored.
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
   * Locks work items, longest ready first. Items of a session whose lease is free are claimed with it: one owner wins.
   * Called when: activity threads have room. Atomic: lock, attempt count and session of an item. Lost lock: handed out again after `lockMs`.
   *
   * @param params - how many, for how long, how long to wait
   * @returns the locked items and the store's time
   * @throws {ProviderError} when the store fails; then nothing is locked
   */
  fetchWorkItems(params: Readonly<WorkFetchParams>): Promise<Fetched<WorkItem>>;

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
   * Extends work item locks to `lockMs` from now, stores the details of heartbeats, and marks the sessions of the items as used.
   * Called when: activities run for a while. Idempotent: yes. `gone` means that the orchestration cancelled the activity; `lockLost` that another
   * runtime may have it. Neither is to be concluded from a rejection (T8).
   *
   * @param items - the locks
   * @param lockMs - new length, in milliseconds
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  renewWorkLocks(items: readonly (WorkItemLock & { readonly heartbeat?: string })[], lockMs: number): Promise<readonly WorkItemOutcome[]>;

  /**
   * Extends the leases of an owner's sessions that were used (fetch, renewal or ack of an item) within `idleMs` or have items locked by it. The lease is
   * routing only: an activity may be acked after its session is gone. Sessions whose lease ended and that have no items are forgotten; their messages
   * stay until they are received, at most `SESSION_MESSAGE_TTL_MS`.
   * Called when: a runtime with session activities lives; `leaseMs: 0` releases all, or with `sessionId` that one. Idempotent: yes.
   *
   * @param claim - whose, how long, idle limit in milliseconds
   * @returns how many sessions the owner holds now
   * @throws {ProviderError} when the store fails
   */
  renewSessions(claim: {
    readonly owner: string;
    readonly leaseMs: number;
    readonly idleMs: number;
    readonly sessionId?: string;
  }): Promise<number>;

  /**
   * Reads the messages of a session after a number, and removes those that nobody needs any more. First in, first out; woken by commits.
   * Called when: an activity of the session receives. Idempotent: yes, by number.
   *
   * @param params - `afterSeq`: last message that was taken, 0 for none; `doneSeqs`: which to remove, by default all up to `afterSeq`;
   *   `waitMs`: how long to wait for the first
   * @returns the messages, oldest first, at most 100; empty when the wait ended without any
   * @throws {ProviderError} when the store fails
   */
  receiveSessionMessages(params: {
    readonly sessionId: string;
    readonly afterSeq: number;
    readonly doneSeqs?: readonly number[];
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly SessionMessage[]>;

  /**
   * Publishes to subscribers. Atomic: each publication with all its messages. Idempotent: no.
   * Called when: a client publishes; orchestrations publish with their turn.
   *
   * @param publications - topics and messages
   * @returns how many instances got each
   * @throws {ProviderError} when the store fails
   */
  publish(publications: readonly Publication[]): Promise<readonly number[]>;

  /**
   * Suspends, resumes or terminates instances.
   * Called when: an operator wishes. Atomic: each item with its children. Idempotent: yes (`unchanged`, `ended`).
   *
   * @param requests - the wishes
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  controlInstances(requests: readonly ControlRequest[]): Promise<readonly ControlOutcome[]>;

  /**
   * Reads key-value pairs. They outlive the end of their instance.
   *
   * @param instanceId - which instance
   * @param keys - which keys; null: all
   * @returns those that exist, in the order of their keys by code points; empty for an unknown instance
   * @throws {ProviderError} when the store fails
   */
  readValues(instanceId: string, keys: readonly string[] | null): Promise<readonly StoredValue[]>;

  /**
   * Lists the queued and running activities of an instance in the order of their events.
   *
   * @param instanceId - which instance
   * @returns the items; empty for an unknown instance
   * @throws {ProviderError} when the store fails
   */
  readWorkItems(instanceId: string): Promise<readonly WorkItemRecord[]>;

  /**
   * Tells the store that a runtime lives.
   * Called when: a runtime starts and every few seconds. Idempotent: yes.
   *
   * @param report - `payload`: opaque description; `ttlMs`: how long it counts as alive from now, 0: it stops
   * @throws {ProviderError} when the store fails
   */
  reportRuntime(report: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }): Promise<void>;

  /**
   * Lists the runtimes that count as alive, by id.
   *
   * @returns their reports
   * @throws {ProviderError} when the store fails
   */
  listRuntimes(): Promise<readonly RuntimeReport[]>;

  /**
   * Reads instances.
   *
   * @param instanceIds - which
   * @returns one record per id, null for an unknown one
   * @throws {ProviderError} when the store fails
   */
  readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]>;

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
   * Figures for people who tune; `runtime.stats()` shows them. It asks nobody and costs nothing: what was counted along the way. Optional.
   *
   * @returns the figures at this moment
   */
  stats?(): StoreStats;

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
    case 'executionOver':
      return isEnded(record.status) || record.executionId !== condition.executionId;
    case 'customStatus':
      return over || record.customStatusVersion > condition.afterVersion;
    case 'value': {
      const { value = null } = record;
      return over || (value !== null && value !== condition.unless);
    }
    case 'received':
      return record.isQueued !== true;
  }
}
