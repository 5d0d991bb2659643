// The storage contract for operators: finding instances, looking into queues, tidying up, taking instances along. Neighbours: provider.ts, whose
// rules hold here, too; client/ calls these methods.
//
// O1. No call here looks at more than a bounded number of rows, however large the store is: lists may end early with a place to go on from.
// O2. Nothing here is on the way of turns and activities; it may cost them an index entry, never a wait.
import type { ExecutionStatus, InstanceRecord, InstanceStatus } from '../types/instance.ts';
import type { ActivityRouting } from '../types/replay.ts';
import type { StoredAttributes } from '../types/attributes.ts';
import type { HistoryPage, StoredValue } from './provider.ts';

/** A search attribute of an instance: its value is encoded and short. */
export type StoredAttribute = StoredAttributes['list'][number];

/** Which instances: all that is given must hold. */
export type InstanceFilter = {
  readonly name?: string;
  /** At least one. */
  readonly statuses?: readonly InstanceStatus[];
  /** Version of the running code. */
  readonly version?: string;
  readonly parentInstanceId?: string;
  /** All of these, with just these values. */
  readonly attributes?: readonly StoredAttribute[];
  /** From this time on, epoch milliseconds of the store's clock; `…BeforeMs`: earlier than this. */
  readonly createdFromMs?: number;
  readonly createdBeforeMs?: number;
  readonly updatedFromMs?: number;
  readonly updatedBeforeMs?: number;
  /** Text that the id contains, just so; the empty one is in all. */
  readonly search?: string;
};

/**
 * Order of a list. `id`: by code points. `createdAt`: as they were started; where one stands that was imported, or that began
 * after the clock was set back, is the store's: by its own time, or by when it came. `endedAt`: as they ended; only those that have, so that retention finds the oldest ones. Of what began or ended at the same time the
 * store says which comes first, and always the same.
 */
export type InstanceOrder = 'id' | 'createdAt' | 'endedAt';

/**
 * A place in a list, behind an instance that was looked at. What of it counts, and what the numbers mean, is the store's; only in the order of ends
 * `at` is the time of the end.
 */
export type ListPosition = { readonly at: number; readonly seq: number; readonly instanceId: string };

/** Parameters of a list. */
export type InstanceQuery = {
  readonly filter: InstanceFilter;
  readonly orderBy: InstanceOrder;
  readonly descending: boolean;
  /** Where to go on; null: the first page. */
  readonly after: ListPosition | null;
  /** Most records to return, 1 to 1,000. */
  readonly limit: number;
};

/**
 * A page of a list. One page after the other shows each instance once that met the filter all the time and kept its place, whatever happens to the others
 * meanwhile.
 */
export type InstanceList = {
  readonly records: readonly InstanceRecord[];
  /** Where to go on; null: that was all. A page may be short, or empty, and not be the last one (O1). */
  readonly next: ListPosition | null;
};

/** What of an instance stands in the queues. Numbers end at `MAX_WAITING_COUNT`. */
export type WaitingCounts = {
  /** Work items, running ones included. */
  readonly activities: number;
  /** Beyond `MAX_WAITING_COUNT` activities a store may look at the first ones only. */
  readonly runningActivities: number;
  readonly timers: number;
  /** When the first timer is due, epoch milliseconds; null: none. */
  readonly nextTimerAtMs: number | null;
  /** Messages that are no timers. */
  readonly messages: number;
  /** Living instances whose parent it is. */
  readonly children: number;
  /** From when on its next turn can be handed out, epoch milliseconds, or when the lock ends that it is under; null: nothing to hand out. */
  readonly readyAtMs: number | null;
  readonly isLocked: boolean;
};

/** Where counting what an instance waits for ends. Reason: lists count for each row, and one row may have 100,000 activities. */
export const MAX_WAITING_COUNT = 1_000;

/** One execution of an instance. */
export type ExecutionRecord = {
  readonly executionId: number;
  readonly name: string;
  readonly version: string | null;
  readonly status: ExecutionStatus;
  /** Number of its events. */
  readonly lastEventId: number;
  /** Epoch milliseconds; null: it has not ended. */
  readonly endedAtMs: number | null;
};

/**
 * Outcome of a delete. `alive`: it, or a descendant that goes with it, has not ended. `hasParent`: its parent has not ended and may wait for it, also when
 * the delete is forced; another instance that has taken the id of the parent is none.
 */
export type DeleteOutcome =
  | { readonly kind: 'deleted'; /** Descendants included. */ readonly instances: number }
  | { readonly kind: 'notFound' | 'alive' | 'hasParent' };

/** Which instance to delete. */
export type DeleteRequest = {
  readonly instanceId: string;
  /** Also a living one. */
  readonly isForced: boolean;
  /** Only the life that ended at this time, epoch milliseconds: another one may have got the id since, which is `notFound`. Absent: whichever has it. */
  readonly endedAtMs?: number;
};

/** Names an item of a queue. */
export type QueueItemRef =
  | { readonly kind: 'message'; readonly instanceId: string; readonly messageId: number }
  | { readonly kind: 'workItem'; readonly instanceId: string; readonly executionId: number; readonly eventId: number };

/** An item of a queue as it is now. */
export type QueueItem =
  | {
      readonly kind: 'message';
      readonly instanceId: string;
      readonly messageId: number;
      /** Event of the timer; null: it is none. */
      readonly timerEventId: number | null;
      readonly key: string | null;
      /** When a timer is due, epoch milliseconds; of what is visible at once a number near 0. With `messageId` it orders the messages of an instance. */
      readonly visibleAtMs: number;
      /** Hand-outs so far. */
      readonly attempt: number;
      /** Until when its instance is locked; null: it is not. */
      readonly lockedUntilMs: number | null;
      readonly payload: string;
    }
  | {
      readonly kind: 'workItem';
      readonly instanceId: string;
      readonly executionId: number;
      readonly eventId: number;
      readonly name: string;
      /** From when on it may be handed out by its own time, epoch milliseconds: any time that is over means now; of a locked one when the lock ends. */
      readonly visibleAtMs: number;
      readonly attempt: number;
      readonly lockedUntilMs: number | null;
      readonly routing: ActivityRouting | null;
      /** Encoded. */
      readonly heartbeat: string | null;
      readonly payload: string;
    };

/** Place of an item in its queue: of a message its time and id, of a work item execution and event. */
export type QueuePlace = { readonly instanceId: string; readonly major: number; readonly minor: number };

/**
 * Tells where an item stands in its queue.
 *
 * @param item - the item
 * @returns its place
 */
export function placeOf(item: QueueItem): QueuePlace {
  const { instanceId } = item;
  return item.kind === 'message'
    ? { instanceId, major: item.visibleAtMs, minor: item.messageId }
    : { instanceId, major: item.executionId, minor: item.eventId };
}

/** Parameters of a look into a queue. Orchestrator queue: by instance, time, message; worker queue: by instance, execution, event. */
export type QueueQuery = {
  readonly queue: 'orchestrator' | 'worker';
  /** Only its items; absent: all. */
  readonly instanceId?: string;
  /** Behind which place, of the same queue and `instanceId`; null: the first page. */
  readonly after: QueuePlace | null;
  /** 1 to 1,000. */
  readonly limit: number;
};

/**
 * A wish about an item. `unlock`: whoever has it loses it, and it is handed out again at once; its attempts stay. `moveBack`: that, and its attempts
 * are forgotten (a timer keeps its time). `drop`: it goes, and whoever has it loses it; `completionPayload` is enqueued for the orchestration of a work
 * item, so that it does not wait for ever.
 *
 * A message that is changed frees its instance, with all its messages: the hand-out counts for each of them. Unlocked or moved back, it ends the delay of
 * a start or of another try, too; dropped, it does not, and who waits until it was received wakes. Instances that rest keep resting. What nobody took in
 * time stays expired.
 */
export type QueueEdit =
  | { readonly kind: 'unlock' | 'moveBack'; readonly item: QueueItemRef }
  | { readonly kind: 'drop'; readonly item: QueueItemRef; readonly completionPayload: string | null };

/**
 * An instance with all that belongs to it, to be taken along to another store. Locks, leases and attempts stay behind, and so do messages to sessions:
 * they belong to these. The time in which an activity must be taken begins anew.
 */
export type InstanceDump = {
  readonly record: InstanceRecord;
  /** Execution that it began with: 1, or more when it replaced another instance. */
  readonly firstExecutionId: number;
  /** Engine behaviour of the current execution; 0 before its first turn. Nobody asks for that of one that has ended. */
  readonly engine: number;
  readonly parentNotice: string | null;
  /** Nothing of it is handed out before, epoch milliseconds in the future: a delayed start or another try; null: at once, or it has ended. */
  readonly holdUntilMs: number | null;
  /** Their order says nothing; null: none. */
  readonly attributes: StoredAttributes | null;
  /** Executions with a history or a record, oldest first; the last one is the current one. */
  readonly executions: readonly (ExecutionRecord & { readonly pages: readonly HistoryPage[] })[];
  readonly values: readonly StoredValue[];
  readonly subscriptions: readonly string[];
  /** In the order of their hand-out, which they keep: also behind timers that have come due meanwhile. */
  readonly messages: readonly DumpedMessage[];
  readonly workItems: readonly DumpedWorkItem[];
};

/** A message of a dump. */
export type DumpedMessage = {
  readonly isStart: boolean;
  readonly timerEventId: number | null;
  readonly key: string | null;
  /** Of a timer; else 0. */
  readonly visibleAtMs: number;
  readonly payload: string;
};

/** A work item of a dump. */
export type DumpedWorkItem = {
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  readonly payload: string;
  readonly routing: ActivityRouting | null;
  readonly heartbeat: string | null;
};

/** What operators need of a store. Part of every `Provider`. */
export interface ManagementStore {
  /**
   * Lists instances.
   * Called when: people look. Idempotent: yes.
   *
   * @param query - which, in which order, from where on, how many
   * @returns a page and where the next one begins
   * @throws {ArgumentError} when `limit` is none from 1 to 1,000
   * @throws {ProviderError} when the store fails
   */
  listInstances(query: Readonly<InstanceQuery>): Promise<InstanceList>;

  /**
   * Counts what instances have in the queues.
   *
   * @param instanceIds - which
   * @returns the numbers of each; all 0 for an unknown one
   * @throws {ProviderError} when the store fails
   */
  countWaiting(instanceIds: readonly string[]): Promise<readonly WaitingCounts[]>;

  /**
   * Lists the executions of an instance, oldest first; pruned ones are gone. The status of a past one is ContinuedAsNew.
   *
   * @param instanceId - which instance
   * @returns the executions; empty for an unknown instance
   * @throws {ProviderError} when the store fails
   */
  listExecutions(instanceId: string): Promise<readonly ExecutionRecord[]>;

  /**
   * Deletes instances with their descendants and all that belongs to them; ids may be used again, and count executions from 1. Living children that
   * their parent abandons stay, without a parent and its notice; such children that have ended go along. Who waits for one of them wakes.
   * Atomic: each instance with its descendants. Idempotent: yes (`notFound`). A turn under way loses its lock (its ack is `instanceGone`), an activity
   * under way is `gone`.
   *
   * @param requests - which; with `isForced` nobody is told
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  deleteInstances(requests: readonly DeleteRequest[]): Promise<readonly DeleteOutcome[]>;

  /**
   * Deletes histories of past executions. The current one stays, and so do values.
   * Atomic: each item. Idempotent: yes.
   *
   * @param requests - of which instances; an execution goes that is not among the last `keepLast` (the current one included, which stays also for 0; null: any number) and
   *   ended before `endedBeforeMs` (null: at any time); both null: none goes
   * @returns how many went, for each
   * @throws {ProviderError} when the store fails
   */
  pruneExecutions(
    requests: readonly { readonly instanceId: string; readonly keepLast: number | null; readonly endedBeforeMs: number | null }[],
  ): Promise<readonly number[]>;

  /**
   * Looks into a queue without locking anything. What cannot be read of one item fails none of the others: it has payload or heartbeat that are no JSON,
   * or no routing.
   *
   * @param query - which queue, from where on, how many
   * @returns items; fewer than `limit` means the last ones
   * @throws {ArgumentError} when `limit` is none from 1 to 1,000
   * @throws {ProviderError} when the store fails
   */
  peekQueue(query: Readonly<QueueQuery>): Promise<readonly QueueItem[]>;

  /**
   * Changes items of the queues by hand. Atomic: each item. Wakes fetches.
   *
   * @param edits - the wishes
   * @returns one outcome per item; `gone`: there is no such item
   * @throws {ProviderError} when the store fails
   */
  editQueues(edits: readonly QueueEdit[]): Promise<readonly ('done' | 'gone')[]>;

  /**
   * Reads instances with all that belongs to them, each as it was at one moment.
   *
   * @param instanceIds - which
   * @returns one dump each; null for an unknown one
   * @throws {ProviderError} when the store fails
   */
  exportInstances(instanceIds: readonly string[]): Promise<readonly (InstanceDump | null)[]>;

  /**
   * Writes instances of another store. Living ones go on here: their messages, timers and activities are queued, with no attempts counted.
   * Atomic: each item. Idempotent: by instance id (`exists`).
   *
   * @param dumps - the instances
   * @returns one outcome per item
   * @throws {ProviderError} when the store fails
   */
  importInstances(dumps: readonly InstanceDump[]): Promise<readonly ('imported' | 'exists')[]>;
}
