// The embedded store: one SQLite file, shared by any number of processes. Neighbours: group-commit.ts (transactions), the queues and
// tables (SQL), ../parking.ts (long polls), open-database.ts (the file).
//
// S1. Every write goes through the group commit; promises settle after the commit (P2).
// S2. A parked fetch is served inside the transaction that makes its items ready: one sync instead of two, no wake-up in between.
// S3. Changes by other processes are seen by `PRAGMA data_version`, looked at while somebody waits, and by nobody else.
// S4. Work items are inserted locked for a fetch that waits for them: one statement instead of three, and no second look at the table.
// S5. Parked fetches that want different things stand apart: who gets nothing does not keep others from being asked.
// S6. Turns and their histories are handed out at the commit, everything else after its sync, also what is only read: a turn does nothing outside
//     before it is committed itself, and that sync covers all commits before it. Turns of an instance whose last turn is not yet answered follow that answer.
// S7. When the next item of a parked fetch is ready is known from the end of the last transaction, until another process changes something.
// S8. Who waits for the end of an instance that was just started here need not look whether it has ended: nearly everybody does so.
import { randomUUID } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { encodeRecord } from '../../types/codec.ts';
import { ArgumentError, ProviderError } from '../../types/errors.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import { isEnded } from '../../types/instance.ts';
import { show } from '../../types/show.ts';
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
import { Parking, type ServedRound } from '../parking.ts';
import { systemClock } from '../system-clock.ts';
import {
  meetsCondition,
  type ControlOutcome,
  type ControlRequest,
  type EnqueueOutcome,
  type Fetched,
  type FetchParams,
  type HistoryPage,
  type HistoryRequest,
  type InstanceProgress,
  type NewInstance,
  type NewMessage,
  type OrchestrationAck,
  type OrchestrationAckOutcome,
  type OrchestrationFetchParams,
  type OrchestrationItem,
  type OrchestrationLock,
  type Provider,
  type Publication,
  type QueueDepths,
  type RuntimeReport,
  type SessionMessage,
  type StartOutcome,
  type StoreStats,
  type StoredValue,
  type WaitCondition,
  type WorkFetchParams,
  type WorkItem,
  type WorkItemAck,
  type WorkItemLock,
  type WorkItemOutcome,
  type WorkItemRecord,
} from '../provider.ts';
import type { StoreChanges } from './changes.ts';
import type { CodeFilter, CodeTable } from './codes.ts';
import type { InstanceControl } from './control.ts';
import { Dumps } from './dumps.ts';
import { unreadable } from './file-check.ts';
import { GroupCommit, toProviderError, type Committed } from './group-commit.ts';
import type { InstanceTable } from './instance-table.ts';
import type { LeaseTable } from './leases.ts';
import type { LimitTable } from './limits.ts';
import { InstanceListing } from './listing.ts';
import { LogSync } from './log-sync.ts';
import { openDatabase } from './open-database.ts';
import { OrchestratorQueue } from './orchestrator-queue.ts';
import { QueueDesk } from './queue-desk.ts';
import { RuntimeTable } from './runtimes.ts';
import type { SessionMessageTable } from './session-messages.ts';
import type { SessionTable } from './sessions.ts';
import { SetBack } from './set-back.ts';
import { resolveSqliteOptions, type CommitStats, type SqliteOptions } from './sqlite-options.ts';
import { openTables } from './store-tables.ts';
import type { SubscriptionTable } from './subscriptions.ts';
import { Tidying } from './tidying.ts';
import type { TurnDemand } from './turn-offer.ts';
import { TurnEffectWriter } from './turn-effects.ts';
import type { ValueTable } from './values.ts';
import type { WorkDemand, WorkQueue } from './work-queue.ts';
import { DEFAULT_SELECT, takesPlain, type WorkSelect } from './work-selection.ts';

/** Most instances that are known to be alive. Reason: they cost memory, and who waits does so at once. */
const MAX_ALIVE = 10_000;

type FetchWait<Item> = Fetched<Item> | null;

/** A parked fetch. `key`: equal for those that want the same (S5); `isTaken`: it has got something, and is answered after the sync. */
type Wish = { readonly key: string; readonly lockMs: number; isTaken: boolean };

/** A parked fetch of work items. */
type WorkWish = Pick<WorkDemand, 'lockToken' | 'room'> & Wish & { readonly select: WorkSelect };

/** A parked fetch of instances. */
type CodeWish = Pick<TurnDemand, 'accepts' | 'lockToken' | 'room'> & Wish;

/** A provider on one SQLite file. Open it with `SqliteProvider.open`. */
export class SqliteProvider implements Provider {
  readonly name = 'sqlite';
  readonly #database: Database.Database;
  readonly #logSync: LogSync | null;
  readonly #clock: Clock;
  readonly #changePollMs: number;
  readonly #commits: GroupCommit;
  readonly #instances: InstanceTable;
  readonly #orchestrations: OrchestratorQueue;
  readonly #work: WorkQueue;
  readonly #codes: CodeTable;
  readonly #leases: LeaseTable;
  readonly #sessions: SessionTable;
  readonly #limits: LimitTable;
  readonly #sessionMessages: SessionMessageTable;
  readonly #subscriptions: SubscriptionTable;
  readonly #values: ValueTable;
  readonly #control: InstanceControl;
  readonly #runtimes: RuntimeTable;
  readonly #listing: InstanceListing;
  readonly #tidying: Tidying;
  readonly #desk: QueueDesk;
  readonly #dumps: Dumps;
  readonly #setBack: SetBack;
  readonly #dataVersion: Database.Statement;

  readonly #orchestrationWaits: Parking<Fetched<OrchestrationItem>>;
  readonly #workWaits: Parking<Fetched<WorkItem>>;
  readonly #instanceWaits: Parking<{ readonly record: InstanceRecord | null }>;
  readonly #sessionWaits: Parking<readonly SessionMessage[]>;
  /** What the running transaction handed to parked callers. */
  #turnRound: ServedRound | null = null;
  #workRound: ServedRound | null = null;
  /** Who got something in the running transaction. Those before it may still wait for their sync, also when it is rolled back. */
  #taken: Wish[] = [];
  /** Acks of turns that are not answered yet, by instance; and those that the turns which the running transaction hands out follow (S6). */
  readonly #unanswered = new Map<string, Promise<unknown>>();
  #turnsFollow: Promise<unknown>[] = [];
  /** Whose waiters may be done after the running transaction. */
  readonly #changes: StoreChanges = { instances: new Set(), sessions: new Set() };
  /** What the running transaction answers to those who wait for an instance. */
  #waitRounds: ServedRound[] = [];
  /** Instances that were started here and have not ended since, unless another process changed something (S8). */
  readonly #alive = new Set<string>();
  /** G3 of group-commit.ts. */
  #mayNote = true;
  /** Keys of wishes for which the running transaction has nothing more. */
  readonly #drained = new Set<string>();
  /** S7. By key of a wish. */
  readonly #nextAt = new Map<string, number | null>();
  #fetchDue = false;
  /** Parked fetches of work items, in the order in which they came. */
  readonly #workWishes = new Set<WorkWish>();
  /** Parked fetches of instances, in the order in which they came. */
  readonly #codeWishes = new Set<CodeWish>();
  readonly #filterKeys = new WeakMap<CodeFilter, string>();
  #filterCount = 0;
  /** Instances with a wait for a message to be received: only for these a turn that just goes on is of interest. */
  readonly #watchedTurns = new Map<string, number>();
  #seenVersion = -1;
  #changePoll: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  private constructor(database: Database.Database, options: Required<SqliteOptions>, logSync: LogSync | null) {
    this.#database = database;
    this.#logSync = logSync;
    this.#clock = options.clock;
    this.#changePollMs = options.changePollMs;
    const { clock } = options;
    const changes = this.#changes;
    const tables = openTables(database, { clock, changes });
    const { codes, leases, instances, sessions, limits, sessionMessages, values, subscriptions, work, control, routed } = tables;
    const effects = new TurnEffectWriter({ attributes: instances.attributes, values, subscriptions, sessionMessages, control, changes });
    this.#orchestrations = new OrchestratorQueue(database, { clock, instances, work, codes, control, subscriptions, effects, leases });
    this.#codes = codes;
    this.#leases = leases;
    this.#instances = instances;
    this.#sessions = sessions;
    this.#limits = limits;
    this.#sessionMessages = sessionMessages;
    this.#values = values;
    this.#subscriptions = subscriptions;
    this.#work = work;
    this.#control = control;
    this.#runtimes = new RuntimeTable(database, clock);
    this.#listing = new InstanceListing(database);
    this.#tidying = new Tidying(database, { clock, control });
    this.#desk = new QueueDesk(database, { clock, instances, work, changes: this.#changes });
    this.#dumps = new Dumps(database, { clock, codes, instances, tidying: this.#tidying, values, subscriptions, routed });
    this.#setBack = new SetBack(database);
    this.#dataVersion = database.prepare('PRAGMA data_version').pluck();
    const onWake = (): void => this.#guarded(() => this.#lookForWork());
    this.#orchestrationWaits = new Parking({ clock, competing: true, onWake });
    this.#workWaits = new Parking({ clock, competing: true, onWake });
    this.#instanceWaits = new Parking({ clock, competing: false });
    this.#sessionWaits = new Parking({ clock, competing: false });
    const isDue = (): boolean => this.#fetchDue;
    this.#commits = new GroupCommit(
      database,
      {
        get isDue(): boolean {
          return isDue();
        },
        begin: (mayNote) => {
          this.#mayNote = mayNote;
          this.#setBack.apply(clock.nowMs());
          this.#leases.begin(mayNote);
          this.#offerTurns(mayNote);
          this.#offerWork(mayNote);
        },
        run: () => this.#serveFetches(),
        committed: () => this.#afterCommit(),
        rolledBack: () => this.#afterRollback(),
        failed: (error) => this.#failWaits(error),
      },
      { maxCommitMs: options.maxCommitMs, clock, sync: logSync === null ? null : () => logSync.run() },
    );
  }

  /**
   * Opens a database file; creates it when it does not exist, migrates it when it is older.
   *
   * @param file - path of the file, or ':memory:' for a private store that dies with the process
   * @param options - durability and tuning
   * @returns the open provider; close it when its runtimes and clients are done
   * @throws {OptionError} for an option outside its range
   * @throws {DurableError} `NODE_TOO_OLD`
   * @throws {ProviderError} `DATABASE_UNREADABLE`, `DATABASE_FOREIGN`, `SCHEMA_TOO_NEW`
   */
  static async open(file: string, options?: SqliteOptions): Promise<SqliteProvider> {
    // The system would cut the path at a NUL.
    if (typeof file !== 'string' || file.length === 0 || file.includes('\0')) {
      throw new ArgumentError(`Expected file to be the path of a database, got ${show(file)}`);
    }
    const resolved = resolveSqliteOptions(options);
    const database = await openDatabase(file, resolved.synchronous);
    let logSync: LogSync | null = null;
    try {
      logSync = makeLogSync(database, resolved);
      const provider = new SqliteProvider(database, resolved, logSync);
      await provider.#mendHidden();
      return provider;
    } catch (cause) {
      // Such as a table that somebody removed.
      logSync?.close();
      database.close();
      throw cause instanceof ProviderError ? cause : unreadable(file, cause);
    }
  }

  async #mendHidden(): Promise<void> {
    if (this.#instances.repair.hidden().size > 0) await this.#write('open', [null], () => this.#instances.mendHidden());
    if (this.#leases.isDamaged) await this.#write('open', [null], () => this.#leases.rebuild());
  }

  /** Numbers of the group commit, for tuning. */
  get commitStats(): Readonly<CommitStats> {
    return this.#commits.stats;
  }

  stats(): StoreStats {
    return { ...this.#commits.stats };
  }

  startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    return this.#write('startInstances', starts, (start) => {
      const outcome = this.#control.start(start);
      if (outcome !== 'exists' && this.#mayNote) this.#noteAlive(start.instanceId);
      return outcome;
    });
  }

  enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]> {
    return this.#write('enqueueMessages', messages, (message) => this.#instances.enqueue(message));
  }

  fetchOrchestrationItems(params: Readonly<OrchestrationFetchParams>): Promise<Fetched<OrchestrationItem>> {
    const { accepts, maxItems, lockMs } = params;
    const key = `turns ${accepts === undefined ? '' : this.#filterKey(accepts)}`;
    return this.#fetch('fetchOrchestrationItems', params, {
      waits: this.#orchestrationWaits,
      take: (lockToken) => {
        const items = this.#orchestrations.fetch({ accepts, maxItems, lockMs, lockToken });
        for (const { instanceId } of items) {
          const unanswered = this.#unanswered.get(instanceId);
          if (unanswered !== undefined) this.#turnsFollow.push(unanswered);
        }
        return items;
      },
      wishes: this.#codeWishes,
      toWish: (lockToken) => ({ key, accepts, lockToken, lockMs, room: maxItems, isTaken: false }),
    });
  }

  ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> {
    const answered = this.#write('ackOrchestrationItems', acks, (ack) => {
      const outcome = this.#orchestrations.commit(ack);
      const visible = ack.customStatus !== undefined || ack.next !== null || isEnded(ack.status) || ack.status === 'Quarantined';
      const isWatched = visible || (this.#watchedTurns.size > 0 && this.#watchedTurns.has(ack.instanceId));
      if (isWatched && outcome === 'committed') this.#changes.instances.add(ack.instanceId);
      return outcome;
    });
    for (const { instanceId } of acks) this.#unanswered.set(instanceId, answered);
    const forget = (): void => {
      for (const { instanceId } of acks) if (this.#unanswered.get(instanceId) === answered) this.#unanswered.delete(instanceId);
    };
    answered.then(forget, forget);
    return answered;
  }

  abandonOrchestrationItems(
    items: readonly (OrchestrationLock & { readonly delayMs: number; readonly countAttempt: boolean })[],
  ): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#write('abandonOrchestrationItems', items, (item) => this.#orchestrations.abandon(item));
  }

  renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#write('renewOrchestrationLocks', items, (item) => this.#orchestrations.renew(item, lockMs));
  }

  readHistory(requests: readonly HistoryRequest[]): Promise<readonly (readonly HistoryPage[])[]> {
    return this.#read('readHistory', () => requests.map((request) => this.#orchestrations.readHistory(request)), { isForTurns: true });
  }

  fetchWorkItems(params: Readonly<WorkFetchParams>): Promise<Fetched<WorkItem>> {
    const { select = DEFAULT_SELECT, maxItems, lockMs } = params;
    const key = `work ${params.select === undefined ? '' : encodeRecord(params.select)}`;
    return this.#fetch('fetchWorkItems', params, {
      waits: this.#workWaits,
      take: (lockToken) => this.#work.fetch({ select, maxItems, lockMs, lockToken }),
      wishes: this.#workWishes,
      toWish: (lockToken) => ({ key, lockToken, lockMs, room: maxItems, select, isTaken: false }),
    });
  }

  async ackWorkItems(acks: readonly WorkItemAck[]): Promise<readonly WorkItemOutcome[]> {
    // Completions of one instance go together: they are announced to it once.
    const groups = new Map<string, WorkItemAck[]>();
    for (const ack of acks) {
      const group = groups.get(ack.instanceId);
      if (group === undefined) groups.set(ack.instanceId, [ack]);
      else group.push(ack);
    }
    const results = await this.#write('ackWorkItems', [...groups.values()], (group) => this.#work.ackAll(group));
    const outcomes = new Map([...groups.keys()].map((instanceId, index) => [instanceId, (results[index] ?? []).values()]));
    return acks.map(({ instanceId }) => outcomes.get(instanceId)?.next().value ?? 'gone');
  }

  abandonWorkItems(
    items: readonly (WorkItemLock & { readonly delayMs: number; readonly countAttempt: boolean })[],
  ): Promise<readonly WorkItemOutcome[]> {
    return this.#write('abandonWorkItems', items, (item) => this.#work.abandon(item));
  }

  renewWorkLocks(items: readonly (WorkItemLock & { readonly heartbeat?: string })[], lockMs: number): Promise<readonly WorkItemOutcome[]> {
    return this.#write('renewWorkLocks', items, (item) => this.#work.renew(item, lockMs));
  }

  async renewSessions(claim: Parameters<Provider['renewSessions']>[0]): Promise<number> {
    const [count] = await this.#write('renewSessions', [claim], (item) => {
      const held = this.#sessions.renew(item);
      this.#sessions.forget();
      this.#limits.forget();
      this.#sessionMessages.deleteOld();
      return held;
    });
    return count ?? 0;
  }

  async receiveSessionMessages(params: {
    readonly sessionId: string;
    readonly afterSeq: number;
    readonly doneSeqs?: readonly number[];
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly SessionMessage[]> {
    const operation = 'receiveSessionMessages';
    const { sessionId, afterSeq, doneSeqs, waitMs, signal } = params;
    if (doneSeqs !== undefined) {
      if (doneSeqs.length > 0) await this.#write(operation, [doneSeqs], (seqs) => this.#sessionMessages.deleteSome(sessionId, seqs));
    } else if (await this.#read(operation, () => this.#sessionMessages.hasTaken(sessionId, afterSeq))) {
      await this.#write(operation, [sessionId], (id) => this.#sessionMessages.deleteTaken(id, afterSeq));
    }
    if (this.#closing !== null) throw closed(operation);
    const read = (): readonly SessionMessage[] => {
      try {
        return this.#sessionMessages.read(sessionId, afterSeq);
      } catch (error) {
        throw toProviderError(operation, error);
      }
    };
    const isOver = waitMs <= 0 || signal?.aborted === true;
    // No await from this look to the parking: a change in between would wake nobody.
    if (!isOver) this.#watchOthers();
    const messages = read();
    if (isOver || messages.length > 0) return await this.#whenSynced(operation, messages);
    const attempt = (): readonly SessionMessage[] | null => {
      const found = read();
      return found.length === 0 ? null : found;
    };
    return this.#sessionWaits.park({ key: sessionId, waitMs, signal, attempt, empty: () => [] });
  }

  publish(publications: readonly Publication[]): Promise<readonly number[]> {
    return this.#write('publish', publications, (publication) => this.#subscriptions.publish(publication));
  }

  controlInstances(requests: readonly ControlRequest[]): Promise<readonly ControlOutcome[]> {
    return this.#write('controlInstances', requests, (request) => this.#control.apply(request));
  }

  readValues(instanceId: string, keys: readonly string[] | null): Promise<readonly StoredValue[]> {
    return this.#read('readValues', () => this.#values.read(instanceId, keys));
  }

  readWorkItems(instanceId: string): Promise<readonly WorkItemRecord[]> {
    return this.#read('readWorkItems', () => this.#work.list(instanceId));
  }

  async reportRuntime(report: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }): Promise<void> {
    await this.#write('reportRuntime', [report], (item) => this.#runtimes.report(item));
  }

  listRuntimes(): Promise<readonly RuntimeReport[]> {
    return this.#read('listRuntimes', () => this.#runtimes.list());
  }

  readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]> {
    return this.#read('readInstances', () => instanceIds.map((instanceId) => this.#instances.read(instanceId)));
  }

  listInstances(query: Readonly<InstanceQuery>): Promise<InstanceList> {
    return this.#read('listInstances', () => this.#listing.list(query));
  }

  countWaiting(instanceIds: readonly string[]): Promise<readonly WaitingCounts[]> {
    return this.#read('countWaiting', () => instanceIds.map((instanceId) => this.#tidying.countWaiting(instanceId)));
  }

  listExecutions(instanceId: string): Promise<readonly ExecutionRecord[]> {
    return this.#read('listExecutions', () => this.#tidying.executions(instanceId));
  }

  deleteInstances(requests: readonly DeleteRequest[]): Promise<readonly DeleteOutcome[]> {
    return this.#write('deleteInstances', requests, (request) => this.#tidying.delete(request));
  }

  pruneExecutions(
    requests: readonly { readonly instanceId: string; readonly keepLast: number | null; readonly endedBeforeMs: number | null }[],
  ): Promise<readonly number[]> {
    return this.#write('pruneExecutions', requests, (request) => this.#tidying.prune(request));
  }

  peekQueue(query: Readonly<QueueQuery>): Promise<readonly QueueItem[]> {
    return this.#read('peekQueue', () => this.#desk.peek(query));
  }

  editQueues(edits: readonly QueueEdit[]): Promise<readonly ('done' | 'gone')[]> {
    return this.#write('editQueues', edits, (edit) => this.#desk.edit(edit));
  }

  exportInstances(instanceIds: readonly string[]): Promise<readonly (InstanceDump | null)[]> {
    return this.#read('exportInstances', () =>
      this.#database.transaction(() => instanceIds.map((instanceId) => this.#dumps.read(instanceId)))(),
    );
  }

  importInstances(dumps: readonly InstanceDump[]): Promise<readonly ('imported' | 'exists')[]> {
    return this.#write('importInstances', dumps, (dump) => this.#dumps.write(dump));
  }

  waitForInstance(params: {
    readonly instanceId: string;
    readonly condition: WaitCondition;
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<InstanceRecord | null> {
    const { instanceId, condition, waitMs, signal } = params;
    if (this.#closing !== null) return Promise.reject(closed('waitForInstance'));
    try {
      if (waitMs > 0) this.#watchOthers();
      // No await between this look and the parking: a change in between would wake nobody.
      const isAlive = condition.kind === 'ended' && this.#alive.has(instanceId);
      const found = waitMs > 0 && isAlive ? undefined : this.#readWhen(instanceId, condition, waitMs);
      if (found !== undefined) return this.#whenSynced('waitForInstance', found);
    } catch (error) {
      return Promise.reject(error);
    }
    const attempt = (leftMs: number): { readonly record: InstanceRecord | null } | null => {
      const record = this.#readWhen(instanceId, condition, leftMs);
      return record === undefined ? null : { record };
    };
    const wait = this.#instanceWaits
      .park({
        key: instanceId,
        waitMs,
        signal,
        attempt: () => attempt(waitMs),
        empty: () => attempt(0) ?? { record: null },
      })
      .then(({ record }) => record);
    return condition.kind === 'received' ? wait.finally(this.#watchTurns(instanceId)) : wait;
  }

  /** The record when a wait is over; undefined: it goes on. */
  #readWhen(instanceId: string, condition: WaitCondition, leftMs: number): InstanceRecord | null | undefined {
    try {
      const record = this.#instances.read(instanceId);
      if (record === null || leftMs <= 0 || meetsCondition(this.#withProgress(record, condition), condition)) return record;
      return undefined;
    } catch (error) {
      throw toProviderError('waitForInstance', error);
    }
  }

  readQueueDepths(): Promise<QueueDepths> {
    return this.#read('readQueueDepths', () => ({ orchestratorMessages: this.#instances.countMessages(), workItems: this.#work.count() }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#orchestrationWaits.closeAll();
    this.#workWaits.closeAll();
    this.#instanceWaits.closeAll();
    this.#sessionWaits.closeAll();
    await this.#commits.settled();
    if (this.#changePoll !== null) clearInterval(this.#changePoll);
    this.#logSync?.close();
    this.#database.close();
  }

  // --- calls -----------------------------------------------------------------------------------------------------------------

  #write<Item, Outcome>(operation: string, items: readonly Item[], apply: (item: Item) => Outcome): Promise<readonly Outcome[]> {
    if (this.#closing !== null) return Promise.reject(closed(operation));
    if (items.length === 0) return Promise.resolve([]);
    return this.#commits.write(operation, items, apply);
  }

  /** S6. */
  #whenSynced<Value>(operation: string, value: Value): Promise<Value> {
    return this.#commits.synced(operation)?.then(() => value) ?? Promise.resolve(value);
  }

  #read<Value>(operation: string, read: () => Value, { isForTurns = false } = {}): Promise<Value> {
    if (this.#closing !== null) return Promise.reject(closed(operation));
    try {
      const value = read();
      return isForTurns ? Promise.resolve(value) : this.#whenSynced(operation, value);
    } catch (error) {
      return Promise.reject(error instanceof ArgumentError ? error : toProviderError(operation, error));
    }
  }

  async #fetch<Item, Wanted extends Wish>(
    operation: string,
    params: Readonly<FetchParams>,
    queue: {
      readonly waits: Parking<Fetched<Item>>;
      readonly take: (lockToken: string) => Item[];
      /** Parked fetches of the queue, and what stands for this one. */
      readonly wishes: Set<Wanted>;
      readonly toWish: (lockToken: string) => Wanted;
    },
  ): Promise<Fetched<Item>> {
    if (this.#closing !== null) throw closed(operation);
    if (!Number.isInteger(params.maxItems) || params.maxItems < 1) {
      throw new ArgumentError(`Expected maxItems to be an integer ≥ 1, got ${show(params.maxItems)}`);
    }
    const empty = (): Fetched<Item> => ({ nowMs: this.#clock.nowMs(), items: [] });
    const lockToken = randomUUID();
    const wish = queue.toWish(lockToken);
    const attempt = (): FetchWait<Item> => {
      const items = queue.take(lockToken);
      if (items.length === 0) return null;
      wish.isTaken = true;
      this.#taken.push(wish);
      return { nowMs: this.#clock.nowMs(), items };
    };
    if (params.signal?.aborted === true) return empty();
    /** Of several that want the same, the first one that gets less than it could has got all. */
    const attemptInTurn = (): FetchWait<Item> => {
      if (this.#drained.has(wish.key)) return null;
      const fetched = attempt();
      if (fetched === null || fetched.items.length < params.maxItems) this.#drained.add(wish.key);
      return fetched;
    };
    if (params.waitMs <= 0) {
      const [fetched] = await this.#commits.write(operation, [null], attempt);
      return fetched ?? empty();
    }
    // In this order: a change by another process after the look is seen by the watch. And nobody is parked when it fails.
    this.#watchOthers();
    const wait = queue.waits.park({ key: wish.key, waitMs: params.waitMs, signal: params.signal, attempt: attemptInTurn, empty });
    queue.wishes.add(wish);
    this.#guarded(() => this.#lookForWork());
    try {
      return await wait;
    } finally {
      queue.wishes.delete(wish);
    }
  }

  #filterKey(accepts: CodeFilter): string {
    const known = this.#filterKeys.get(accepts);
    if (known !== undefined) return known;
    this.#filterCount += 1;
    const key = String(this.#filterCount);
    this.#filterKeys.set(accepts, key);
    return key;
  }

  /** What a wait looks at. */
  #withProgress(record: InstanceRecord, condition: WaitCondition): InstanceProgress {
    if (condition.kind === 'value') return { ...record, value: this.#values.get(record.instanceId, condition.key) };
    if (condition.kind === 'received') return { ...record, isQueued: this.#instances.isQueued(record.instanceId, condition.key) };
    return record;
  }

  /** S8. */
  #noteAlive(instanceId: string): void {
    if (this.#alive.size >= MAX_ALIVE) this.#alive.clear();
    this.#alive.add(instanceId);
  }

  #watchTurns(instanceId: string): () => void {
    const add = (difference: number): void => {
      const count = (this.#watchedTurns.get(instanceId) ?? 0) + difference;
      if (count === 0) this.#watchedTurns.delete(instanceId);
      else this.#watchedTurns.set(instanceId, count);
    };
    add(1);
    return () => add(-1);
  }

  // --- the end of a transaction ----------------------------------------------------------------------------------------------

  /** S4: lets the first parked fetch take what the transaction makes ready, unless an item may be undone alone (G3). */
  #offerTurns(mayNote: boolean): void {
    const first = mayNote ? firstOf(this.#codeWishes, ({ isTaken }) => !isTaken) : undefined;
    if (first === undefined) {
      this.#instances.offer.begin(null);
      return;
    }
    const { accepts, lockToken, room } = first;
    const nowMs = this.#clock.nowMs();
    this.#leases.release('instances', nowMs);
    const oldestMs = this.#orchestrations.oldestReadyMs(accepts);
    this.#instances.offer.begin({ accepts, lockToken, room, endsAtMs: nowMs + first.lockMs, oldestMs });
  }

  /** S4: the same for work, unless older items wait for the fetch. */
  #offerWork(mayNote: boolean): void {
    const first = mayNote ? firstOf(this.#workWishes, ({ isTaken, select }) => !isTaken && takesPlain(select)) : undefined;
    if (first === undefined) {
      this.#work.begin(null);
      return;
    }
    const nowMs = this.#clock.nowMs();
    const oldestMs = this.#work.nextReadyAtMs(first.select);
    const hasBacklog = oldestMs !== null && oldestMs <= nowMs;
    const { lockToken, lockMs, room } = first;
    this.#work.begin(hasBacklog ? null : { lockToken, endsAtMs: nowMs + lockMs, room, items: [] });
  }

  #serveFetches(): void {
    this.#fetchDue = false;
    this.#drained.clear();
    this.#serveWaits();
    // Whoever they were inserted for is not parked any more: they go to the next one.
    this.#work.releaseDemanded();
    this.#orchestrations.releaseOffered();
    this.#lookAhead();
    // Here, because a read costs half of what it costs outside.
    if (this.#instanceWaits.isEmpty) return;
    for (const instanceId of this.#changes.instances) {
      const round = this.#instanceWaits.serve(instanceId);
      if (round.count > 0) this.#waitRounds.push(round);
    }
  }

  #serveWaits(): void {
    if (!this.#orchestrationWaits.isEmpty) this.#turnRound = this.#orchestrationWaits.serve();
    if (!this.#workWaits.isEmpty) this.#workRound = this.#workWaits.serve();
  }

  #afterCommit(): Committed {
    const { instances, sessions } = this.#changes;
    const waits = this.#waitRounds;
    this.#waitRounds = [];
    for (const instanceId of instances) this.#alive.delete(instanceId);
    const messaged = [...sessions];
    instances.clear();
    sessions.clear();
    this.#setBack.committed();
    this.#leases.committed();
    const turnRound = this.#turnRound;
    const turnsFollow = this.#turnsFollow;
    const rounds = [this.#workRound, ...waits].filter((round) => round !== null);
    this.#startRounds();
    // S6.
    if (turnsFollow.length === 0) turnRound?.deliver();
    return {
      safe: () =>
        this.#guarded(() => {
          if (turnRound !== null && turnsFollow.length > 0) void Promise.allSettled(turnsFollow).then(() => turnRound.deliver());
          for (const round of rounds) round.deliver();
          if (!this.#sessionWaits.isEmpty) for (const sessionId of messaged) this.#deliver(this.#sessionWaits.serve(sessionId));
          this.#armTimers();
        }),
      unsafe: (error) => {
        const failure = toProviderError('wait', error);
        if (turnsFollow.length > 0) turnRound?.fail(failure);
        for (const round of rounds) round.fail(failure);
        this.#failWaits(error);
      },
    };
  }

  #startRounds(): void {
    this.#turnRound = null;
    this.#workRound = null;
    this.#taken = [];
    this.#turnsFollow = [];
  }

  #afterRollback(): void {
    this.#turnRound?.putBack();
    this.#workRound?.putBack();
    for (const round of this.#waitRounds) round.putBack();
    this.#waitRounds = [];
    this.#alive.clear();
    for (const wish of this.#taken) wish.isTaken = false;
    this.#startRounds();
    this.#changes.instances.clear();
    this.#changes.sessions.clear();
    this.#codes.forget();
    this.#setBack.rolledBack();
    this.#leases.rolledBack();
    this.#nextAt.clear();
    this.#fetchDue = true;
  }

  /** Wakes the parked fetches when the next delayed item is due. */
  #armTimers(): void {
    if (!this.#orchestrationWaits.isEmpty) this.#orchestrationWaits.wakeAt(this.#nextInstanceAtMs());
    if (!this.#workWaits.isEmpty) this.#workWaits.wakeAt(this.#nextWorkAtMs());
  }

  /** When the next instance is ready that a parked fetch accepts. */
  #nextInstanceAtMs(): number | null {
    return earliest(this.#codeWishes, (wish) =>
      this.#nextAtMs(wish, () => {
        // With each look: after a transaction that failed for good no code is known, and then none would be ready.
        this.#codes.refresh();
        return this.#orchestrations.nextReadyAtMs(wish.accepts);
      }),
    );
  }

  /** When the next work item is ready that a parked fetch takes. */
  #nextWorkAtMs(): number | null {
    return earliest(this.#workWishes, (wish) => this.#nextAtMs(wish, () => this.#work.nextReadyAtMs(wish.select)));
  }

  /** S7. */
  #nextAtMs({ key }: Wish, look: () => number | null): number | null {
    const known = this.#nextAt.get(key);
    if (known !== undefined) return known;
    const atMs = look();
    this.#nextAt.set(key, atMs);
    return atMs;
  }

  /** S7: inside the transaction a look costs a tenth of what it costs outside, where each begins a transaction of its own. */
  #lookAhead(): void {
    this.#nextAt.clear();
    this.#nextInstanceAtMs();
    this.#nextWorkAtMs();
  }

  /** Runs what nobody calls: a failure goes to those who wait, not to the process. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#failWaits(error);
    }
  }

  #failWaits(error: unknown): void {
    const failure = toProviderError('wait', error);
    for (const waits of [this.#orchestrationWaits, this.#workWaits, this.#instanceWaits, this.#sessionWaits]) waits.failAll(failure);
  }

  // --- other processes -------------------------------------------------------------------------------------------------------

  /** S3: looks for changes while somebody waits. */
  #watchOthers(): void {
    if (this.#changePoll !== null) return;
    this.#seenVersion = this.#dataVersion.get() as number;
    this.#forgetKnown();
    // Keeps the process alive: somebody in it waits.
    this.#changePoll = setInterval(() => this.#guarded(() => this.#lookAtOthers()), this.#changePollMs);
  }

  /** Another process may have changed anything. */
  #forgetKnown(): void {
    this.#nextAt.clear();
    this.#alive.clear();
  }

  #lookAtOthers(): void {
    const waits = [this.#orchestrationWaits, this.#workWaits, this.#instanceWaits, this.#sessionWaits];
    if (waits.every(({ isEmpty }) => isEmpty)) {
      if (this.#changePoll !== null) clearInterval(this.#changePoll);
      this.#changePoll = null;
      return;
    }
    const version = this.#dataVersion.get() as number;
    if (version === this.#seenVersion) return;
    this.#seenVersion = version;
    this.#forgetKnown();
    this.#deliver(this.#instanceWaits.serve(), true);
    this.#deliver(this.#sessionWaits.serve(), true);
    this.#lookForWork();
  }

  /** S6: tells what was found outside of a transaction. */
  #deliver(round: ServedRound, ofOthers = false): void {
    if (round.count === 0) return;
    const synced = this.#commits.synced('wait', ofOthers);
    if (synced === null) round.deliver();
    else {
      synced.then(
        () => round.deliver(),
        (error: unknown) => round.fail(toProviderError('wait', error)),
      );
    }
  }

  /** Starts a transaction for the parked fetches, but only when there is something to take: the write lock is for those who need it. */
  #lookForWork(): void {
    const nowMs = this.#clock.nowMs();
    const isReady = (atMs: number | null): boolean => atMs !== null && atMs <= nowMs;
    const orchestrations = !this.#orchestrationWaits.isEmpty && isReady(this.#nextInstanceAtMs());
    const work = !this.#workWaits.isEmpty && isReady(this.#nextWorkAtMs());
    if (orchestrations || work || this.#setBack.isDue(nowMs)) {
      this.#fetchDue = true;
      this.#commits.schedule();
    } else this.#armTimers();
  }
}

/**
 * Takes syncs over from SQLite where they are asked for and there is a log. On a simulated clock promises settle when it says so: SQLite syncs
 * itself then.
 */
function makeLogSync(database: Database.Database, { synchronous, clock }: Required<SqliteOptions>): LogSync | null {
  if (synchronous !== 'FULL' || clock !== systemClock || database.pragma('journal_mode', { simple: true }) !== 'wal') return null;
  database.pragma('synchronous = NORMAL');
  const databases = database.pragma('database_list') as readonly { readonly name: string; readonly file: string }[];
  return new LogSync(databases.find(({ name }) => name === 'main')?.file ?? '', () => {
    const [result] = database.pragma('wal_checkpoint(TRUNCATE)') as readonly { readonly busy: number }[];
    return result?.busy === 0;
  });
}

function earliest<Key>(keys: Iterable<Key>, timeOf: (key: Key) => number | null): number | null {
  let earliestMs: number | null = null;
  for (const key of keys) {
    const atMs = timeOf(key);
    if (atMs !== null && (earliestMs === null || atMs < earliestMs)) earliestMs = atMs;
  }
  return earliestMs;
}

function firstOf<Item>(items: Iterable<Item>, isIt: (item: Item) => boolean): Item | undefined {
  for (const item of items) if (isIt(item)) return item;
  return undefined;
}

function closed(operation: string): ProviderError {
  return new ProviderError('PROVIDER_CLOSED', {
    operation,
    retryable: false,
    message: `${operation} was called after the provider was closed. Close a provider only after its runtimes and clients are done`,
  });
}
