// The embedded store: one SQLite file, shared by any number of processes. Neighbours: group-commit.ts (transactions), the queues (SQL),
// ../parking.ts (long polls), open-database.ts (the file).
//
// S1. Every write goes through the group commit; promises settle after the commit (P2).
// S2. A parked fetch is served inside the transaction that makes its items ready: one sync instead of two, no wake-up in between.
// S3. Changes by other processes are seen by `PRAGMA data_version`, looked at while somebody waits, and by nobody else.
// S4. Work items are inserted locked for a fetch that waits for them: one statement instead of three, and no second look at the table.
import { randomUUID } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { ArgumentError, ProviderError } from '../../types/errors.ts';
import type { InstanceRecord, InstanceStatus } from '../../types/instance.ts';
import { isEnded } from '../../types/instance.ts';
import { Parking, type ServedRound } from '../parking.ts';
import {
  meetsCondition,
  type EnqueueOutcome,
  type Fetched,
  type FetchParams,
  type HistoryPage,
  type HistoryRequest,
  type NewInstance,
  type NewMessage,
  type OrchestrationAck,
  type OrchestrationAckOutcome,
  type OrchestrationItem,
  type OrchestrationLock,
  type Provider,
  type QueueDepths,
  type StartOutcome,
  type WaitCondition,
  type WorkItem,
  type WorkItemAck,
  type WorkItemLock,
  type WorkItemOutcome,
} from '../provider.ts';
import { GroupCommit, toProviderError } from './group-commit.ts';
import { InstanceTable } from './instance-table.ts';
import { openDatabase } from './open-database.ts';
import { OrchestratorQueue } from './orchestrator-queue.ts';
import { resolveSqliteOptions, type CommitStats, type SqliteOptions } from './sqlite-options.ts';
import { WorkQueue, type WorkDemand } from './work-queue.ts';

type FetchWait<Item> = Fetched<Item> | null;

/** A provider on one SQLite file. Open it with `SqliteProvider.open`. */
export class SqliteProvider implements Provider {
  readonly name = 'sqlite';
  readonly #database: Database.Database;
  readonly #clock: Clock;
  readonly #changePollMs: number;
  readonly #commits: GroupCommit;
  readonly #instances: InstanceTable;
  readonly #orchestrations: OrchestratorQueue;
  readonly #work: WorkQueue;
  readonly #dataVersion: Database.Statement;

  readonly #orchestrationWaits: Parking<Fetched<OrchestrationItem>>;
  readonly #workWaits: Parking<Fetched<WorkItem>>;
  readonly #instanceWaits: Parking<InstanceRecord | null>;
  /** What the running transaction handed to parked callers. */
  #rounds: ServedRound[] = [];
  /** Instances whose waiters may be done after the running transaction. */
  #changed = new Set<string>();
  #fetchDue = false;
  /** Parked fetches of work items, in the order in which they are served. */
  readonly #workDemands = new Set<Omit<WorkDemand, 'items'>>();
  #seenVersion = -1;
  #changePoll: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  private constructor(database: Database.Database, options: Required<SqliteOptions>) {
    this.#database = database;
    this.#clock = options.clock;
    this.#changePollMs = options.changePollMs;
    const { clock } = options;
    this.#instances = new InstanceTable(database, clock);
    this.#work = new WorkQueue(database, { clock, instances: this.#instances });
    this.#orchestrations = new OrchestratorQueue(database, { clock, instances: this.#instances, work: this.#work });
    this.#dataVersion = database.prepare('PRAGMA data_version').pluck();
    const onWake = (): void => this.#guarded(() => this.#lookForWork());
    this.#orchestrationWaits = new Parking({ clock, competing: true, onWake });
    this.#workWaits = new Parking({ clock, competing: true, onWake });
    this.#instanceWaits = new Parking({ clock, competing: false });
    const isDue = (): boolean => this.#fetchDue;
    this.#commits = new GroupCommit(
      database,
      {
        get isDue(): boolean {
          return isDue();
        },
        begin: () => this.#offerWork(),
        run: () => this.#serveFetches(),
        committed: () => this.#guarded(() => this.#afterCommit()),
        rolledBack: () => this.#afterRollback(),
        failed: (error) => this.#failWaits(error),
      },
      options.maxCommitMs,
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
  static async open(file: string, options: SqliteOptions = {}): Promise<SqliteProvider> {
    if (typeof file !== 'string' || file.length === 0) {
      throw new ArgumentError(
        `Expected file to be the path of a database, got ${typeof file === 'string' ? 'an empty string' : typeof file}`,
      );
    }
    const resolved = resolveSqliteOptions(options);
    return new SqliteProvider(await openDatabase(file, resolved.synchronous), resolved);
  }

  /** Numbers of the group commit, for tuning. */
  get commitStats(): Readonly<CommitStats> {
    return this.#commits.stats;
  }

  startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    return this.#write('startInstances', starts, (start) => this.#instances.start(start));
  }

  enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]> {
    return this.#write('enqueueMessages', messages, (message) => this.#instances.enqueue(message));
  }

  fetchOrchestrationItems(params: Readonly<FetchParams>): Promise<Fetched<OrchestrationItem>> {
    return this.#fetch('fetchOrchestrationItems', params, {
      waits: this.#orchestrationWaits,
      take: (lockToken) => this.#orchestrations.fetch({ maxItems: params.maxItems, lockMs: params.lockMs, lockToken }),
    });
  }

  ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> {
    return this.#write('ackOrchestrationItems', acks, (ack) => {
      const outcome = this.#orchestrations.commit(ack);
      const visible = ack.customStatus !== undefined || isEnded(ack.status) || ack.status === 'Quarantined';
      if (visible && outcome === 'committed') this.#changed.add(ack.instanceId);
      return outcome;
    });
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
    return this.#read('readHistory', () => requests.map((request) => this.#orchestrations.readHistory(request)));
  }

  fetchWorkItems(params: Readonly<FetchParams>): Promise<Fetched<WorkItem>> {
    return this.#fetch('fetchWorkItems', params, {
      waits: this.#workWaits,
      take: (lockToken) => {
        const items = this.#work.takeDemanded(lockToken);
        const maxItems = params.maxItems - items.length;
        return maxItems < 1 ? items : [...items, ...this.#work.fetch({ maxItems, lockMs: params.lockMs, lockToken })];
      },
      demands: this.#workDemands,
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

  renewWorkLocks(items: readonly WorkItemLock[], lockMs: number): Promise<readonly WorkItemOutcome[]> {
    return this.#write('renewWorkLocks', items, (item) => this.#work.renew(item, lockMs));
  }

  readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]> {
    return this.#read('readInstances', () => instanceIds.map((instanceId) => this.#instances.read(instanceId)));
  }

  listInstances(params: {
    readonly afterInstanceId: string | null;
    readonly limit: number;
    readonly status?: InstanceStatus;
  }): Promise<readonly InstanceRecord[]> {
    const { afterInstanceId, limit, status } = params;
    return this.#read('listInstances', () => {
      if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
        throw new ArgumentError(`Expected limit to be an integer from 1 to 1000, got ${String(limit)}`);
      }
      return this.#instances.list(afterInstanceId ?? '', limit, status);
    });
  }

  async waitForInstance(params: {
    readonly instanceId: string;
    readonly condition: WaitCondition;
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<InstanceRecord | null> {
    const { instanceId, condition, waitMs, signal } = params;
    if (this.#closing !== null) throw closed('waitForInstance');
    const read = <Value>(what: () => Value): Value => {
      try {
        return what();
      } catch (error) {
        throw toProviderError('waitForInstance', error);
      }
    };
    const readRecord = (): InstanceRecord | null => read(() => this.#instances.read(instanceId));
    const isMet = (): boolean | null => {
      const progress = read(() => this.#instances.readProgress(instanceId));
      return progress === null ? null : meetsCondition(progress, condition);
    };
    if (waitMs > 0) this.#watchOthers();
    // No await between this look and the parking: a change in between would wake nobody.
    if (waitMs <= 0 || isMet() !== false) return readRecord();
    const wait = this.#instanceWaits.park({
      key: instanceId,
      waitMs,
      signal,
      // Gone while waited for: null means "not yet" to a parking; `empty` answers it at the end of the wait.
      attempt: () => (isMet() === true ? readRecord() : null),
      empty: readRecord,
    });
    return wait;
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
    await this.#commits.settled();
    if (this.#changePoll !== null) clearInterval(this.#changePoll);
    this.#database.close();
  }

  // --- calls -----------------------------------------------------------------------------------------------------------------

  #write<Item, Outcome>(operation: string, items: readonly Item[], apply: (item: Item) => Outcome): Promise<readonly Outcome[]> {
    if (this.#closing !== null) return Promise.reject(closed(operation));
    if (items.length === 0) return Promise.resolve([]);
    return this.#commits.write(operation, items, apply);
  }

  #read<Value>(operation: string, read: () => Value): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== null) {
        reject(closed(operation));
        return;
      }
      try {
        resolve(read());
      } catch (error) {
        reject(error instanceof ArgumentError ? error : toProviderError(operation, error));
      }
    });
  }

  async #fetch<Item>(
    operation: string,
    params: Readonly<FetchParams>,
    queue: {
      readonly waits: Parking<Fetched<Item>>;
      readonly take: (lockToken: string) => Item[];
      readonly demands?: Set<Omit<WorkDemand, 'items'>>;
    },
  ): Promise<Fetched<Item>> {
    if (this.#closing !== null) throw closed(operation);
    if (!Number.isInteger(params.maxItems) || params.maxItems < 1) {
      throw new ArgumentError(`Expected maxItems to be an integer ≥ 1, got ${String(params.maxItems)}`);
    }
    const empty = (): Fetched<Item> => ({ nowMs: this.#clock.nowMs(), items: [] });
    const lockToken = randomUUID();
    const attempt = (): FetchWait<Item> => {
      const items = queue.take(lockToken);
      return items.length === 0 ? null : { nowMs: this.#clock.nowMs(), items };
    };
    if (params.signal?.aborted === true) return empty();
    if (params.waitMs <= 0) {
      const [fetched] = await this.#commits.write(operation, [null], attempt);
      return fetched ?? empty();
    }
    const wait = queue.waits.park({ waitMs: params.waitMs, signal: params.signal, attempt, empty });
    const demand = { lockToken, lockMs: params.lockMs, room: params.maxItems };
    queue.demands?.add(demand);
    // In this order: a change by another process after the look is seen by the watch.
    this.#watchOthers();
    this.#guarded(() => this.#lookForWork());
    try {
      return await wait;
    } finally {
      queue.demands?.delete(demand);
    }
  }

  // --- the end of a transaction ----------------------------------------------------------------------------------------------

  /** S4: lets the first parked fetch take what the transaction inserts, unless older items wait for it. */
  #offerWork(): void {
    const first = this.#workDemands.values().next().value;
    const oldestMs = first === undefined ? null : this.#work.nextReadyAtMs();
    const hasBacklog = oldestMs !== null && oldestMs <= this.#clock.nowMs();
    this.#work.demand = first === undefined || hasBacklog ? null : { ...first, items: [] };
  }

  #serveFetches(): void {
    this.#fetchDue = false;
    this.#serveWaits();
    // Whoever they were inserted for is not parked any more: they go to the next one.
    this.#work.releaseDemanded();
  }

  #serveWaits(): void {
    if (!this.#orchestrationWaits.isEmpty) this.#rounds.push(this.#orchestrationWaits.serve());
    if (!this.#workWaits.isEmpty) this.#rounds.push(this.#workWaits.serve());
  }

  #afterCommit(): void {
    const rounds = this.#rounds;
    const changed = this.#changed;
    this.#rounds = [];
    this.#changed = new Set();
    for (const round of rounds) round.deliver();
    if (!this.#instanceWaits.isEmpty) for (const instanceId of changed) this.#instanceWaits.serve(instanceId).deliver();
    this.#armTimers();
  }

  #afterRollback(): void {
    for (const round of this.#rounds) round.putBack();
    this.#rounds = [];
    this.#changed.clear();
    this.#fetchDue = true;
  }

  /** Wakes the parked fetches when the next delayed item is due. */
  #armTimers(): void {
    if (!this.#orchestrationWaits.isEmpty) this.#orchestrationWaits.wakeAt(this.#orchestrations.nextReadyAtMs());
    if (!this.#workWaits.isEmpty) this.#workWaits.wakeAt(this.#work.nextReadyAtMs());
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
    for (const waits of [this.#orchestrationWaits, this.#workWaits, this.#instanceWaits]) waits.failAll(failure);
  }

  // --- other processes -------------------------------------------------------------------------------------------------------

  /** S3: looks for changes while somebody waits. */
  #watchOthers(): void {
    if (this.#changePoll !== null) return;
    this.#seenVersion = this.#dataVersion.get() as number;
    // Keeps the process alive: somebody in it waits.
    this.#changePoll = setInterval(() => this.#guarded(() => this.#lookAtOthers()), this.#changePollMs);
  }

  #lookAtOthers(): void {
    if (this.#orchestrationWaits.isEmpty && this.#workWaits.isEmpty && this.#instanceWaits.isEmpty) {
      if (this.#changePoll !== null) clearInterval(this.#changePoll);
      this.#changePoll = null;
      return;
    }
    const version = this.#dataVersion.get() as number;
    if (version === this.#seenVersion) return;
    this.#seenVersion = version;
    this.#instanceWaits.serve().deliver();
    this.#lookForWork();
  }

  /** Starts a transaction for the parked fetches, but only when there is something to take: the write lock is for those who need it. */
  #lookForWork(): void {
    const nowMs = this.#clock.nowMs();
    const isReady = (atMs: number | null): boolean => atMs !== null && atMs <= nowMs;
    const orchestrations = !this.#orchestrationWaits.isEmpty && isReady(this.#orchestrations.nextReadyAtMs());
    const work = !this.#workWaits.isEmpty && isReady(this.#work.nextReadyAtMs());
    if (orchestrations || work) {
      this.#fetchDue = true;
      this.#commits.schedule();
    } else this.#armTimers();
  }
}

function closed(operation: string): ProviderError {
  return new ProviderError('PROVIDER_CLOSED', {
    operation,
    retryable: false,
    message: `${operation} was called after the provider was closed. Close a provider only after its runtimes and clients are done`,
  });
}
