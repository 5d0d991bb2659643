// Moves activities: worker queue → activity threads → completion. Neighbours: fetch-loop.ts, lease-keeper.ts, threads/thread-pool.ts.
//
// W1. Every fetched item ends in exactly one of: ack, abandon, or the news that it is gone. Until then it is in `#running` and its lease is renewed.
// W2. A thread gets what it can run at once, and ahead of that only what it finishes within a few milliseconds: trivial activities keep
//     their thread busy, long ones are not queued behind each other while another thread is free. What waits behind a long one after all is
//     taken back from its thread.
// W3. When a thread dies and nobody knows by whose doing, nobody is charged: all that it ran become suspects. A suspect runs alone on its
//     thread: if it kills it again, it is charged and takes no other with it. While one waits, one thread gets nothing new until it runs dry.
//     What has run for a while is trusted, else one that runs for days would have its thread for itself: others join a suspect then, and a
//     thread is dry that runs nothing else. If the thread dies all the same, the only suspect that it ran is charged.
// W4. What cannot start soon is not kept from other hosts: items that found no room go back when their threads have shown no speed, and
//     suspects when no thread ran dry in time. Nothing is fetched for a thread that would not get it.
// W5. News of a lease is about one attempt, named by its lock token. An attempt that lost it never starts, or is aborted; it is not renewed, its
//     answer is dropped, and a later attempt of the same activity is left alone.
// W6. When the store refuses a batch of acks for what one of them holds, each is tried by itself, and the one that fails alone is charged.
// W7. Activities of a session go to the thread that the session is pinned to, and wait for it while others go past them.
// W8. A thread that does not answer for an activity that should have ended long ago is stuck in it: it is ended. The overdue activity fails, the
//     others on the thread are given back uncharged. When nobody knows which one keeps the thread, all become suspects (W3).
// W9. A thread whose batch cannot be read is ended, with nothing of the batch done. The activity whose answer it was is charged.
// W10. An answer goes with the turn that it leads to, when that can be computed at once (orchestration-dispatcher.ts); else, or when that turn is
//     not committed, it is acked by itself. Either way it is `committing` until it is recorded, and its lease is renewed.
// W11. A transactional activity records its end itself, with the lock token that only such ones are given. What its thread says of it is no more
//     than news of what the store decided: `recorded` counts also when the item was missed before (a renewal that came behind the record
//     found it gone), and nothing is acked again. One that was refused although the store knows its lock wrote to another store: it fails.
import { toRuntimeInfo } from '../client/runtime-info.ts';
import type { Fetched, Provider, WorkItem, WorkItemAck, WorkItemLock, WorkItemOutcome } from '../provider/provider.ts';
import type { Clock } from '../types/clock.ts';
import { encodeRecord } from '../types/codec.ts';
import { DurableError, TimeoutError, TransactionError } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import { readStamp, toTraceContext, type SpanIds } from '../types/trace.ts';
import type { ActivityControl, ReceiverEnd } from '../threads/control.ts';
import {
  BrokenBatchError,
  readActivityBatch,
  writeActivityRequest,
  type ActivityBatch,
  type StepReply,
  type Wire,
} from '../threads/messages.ts';
import type { RegisteredName } from '../threads/registry.ts';
import type { PoolListener, Slot } from '../threads/thread-pool.ts';
import { ActivityMetrics, type ActivityOutcome } from './activity-metrics.ts';
import { BoundedMap } from './bounded-map.ts';
import { ExecutionWatch } from './execution-watch.ts';
import { FetchLoop, type FetchCounts } from './fetch-loop.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { noteDropped, TOO_MANY_LINES } from './log-drops.ts';
import type { EndedActivities } from './orchestration-dispatcher.ts';
import type { Metrics, Series } from './metrics.ts';
import { clockOfThreads, type ResolvedRuntimeOptions } from './options.ts';
import { withOrigin } from './runtime-logger.ts';
import { SessionPins } from './session-pins.ts';
import { isFaultOfItem } from './store-fault.ts';
import { spanOfAttempt, Traces, type AttemptEnd } from './traces.ts';
import { computeBackoffMs } from './turn-commit.ts';

type Running = {
  readonly seq: number;
  readonly item: WorkItem;
  /** It may be one that ends its thread (W3). */
  readonly isSuspect: boolean;
  /** `waiting`: here, for a thread; `running`: in a thread; `lost`: still in a thread, but nobody wants its answer (W5); `committing`: was answered. */
  state: 'waiting' | 'running' | 'lost' | 'committing';
  /** The thread that has it, while it is running or lost. */
  thread: ThreadState | null;
  /** When it was handed to its thread, and when its thread must have answered for it (W8); milliseconds of the process. */
  startedMs: number;
  answerByMs: number;
  /** Details of its last heartbeat that are not stored yet. */
  heartbeat: string | null;
  /** Of this attempt, once it was handed to a thread; null: its orchestration has no trace. */
  span: SpanIds | null;
};

/** The answer of an activity on its way to the store, and the thread that gave it; null: it was made here. */
type Answer = { readonly running: Running; readonly ack: WorkItemAck; readonly thread: ThreadState | null };

type ThreadState = {
  readonly slot: Slot<ActivityControl>;
  inFlight: number;
  /** How many activities it is supplied ahead of those that it can run at once (W2). */
  ahead: number;
  /** When it answered last, and how long an activity had waited in it by then, in milliseconds. */
  answeredMs: number;
  longestWaitMs: number;
  /** It was asked to give back what it has not started (W2). */
  recalling: boolean;
  /** The suspect that it runs alone, next to trusted ones (W3). */
  alone: Running | null;
  /** Activities for which it did not answer in time at the last look. One look is not enough: what waited behind another may be just starting. */
  overdue: ReadonlySet<number>;
  /** It was ended because it did not answer for what should have ended (W8). */
  isOverdue: boolean;
  /** It was ended because it sent something that cannot be read (W9). */
  broken: BrokenBatchError | null;
};

/** An activity that waits no longer in its thread is not kept from another thread or host, in milliseconds (W2). */
const LONG_WAIT_MS = 10;
/** A thread that has not answered for this long may be given something else now, in milliseconds (W2, W4): when it is idle, and when it is busy. */
const FORGET_IDLE_MS = 150;
const FORGET_BUSY_MS = 300;
/** Most activities that a thread is supplied ahead with. */
const AHEAD_MAX = 2_048;
/** What has run this long is trusted (W3), in milliseconds. Reason: what ends its thread mostly does so soon; others wait for as long. */
const TRUSTED_MS = 2_000;
/** How long a suspect waits here for a thread to run dry (W3), and then in the store: twice as long each time, so that a busy host gets to it. */
const SUSPECT_PATIENCE = { initialMs: 1_000, maximumMs: 60_000 };
/** From this attempt on an activity is a suspect (W3), whatever this process knows. Two crashes of the process may hit anybody. */
const SUSPECT_ATTEMPT = 3;
/** A result whose commit fails is offered again this often, while its lease lasts. */
const ACK_RETRIES = 5;
const ACK_BACKOFF = { initialMs: 50, maximumMs: 1_000 };

/** How long activities are kept from others for the runtime whose turn has scheduled them, at most, in milliseconds. Reason: those may be idle. */
const WORK_KEPT_MS = 100;
/** How long an activity stays in the store whose session's thread is full, in milliseconds. */
const PINNED_DELAY_MS = 500;
/** Heartbeats are stored this often, in milliseconds. Reason: each is a write; a crash loses no more than this. */
const HEARTBEAT_MS = 500;
/** How long after the end of its grace a thread may still answer for an activity, in milliseconds (W8). */
const OVERDUE_MS = 2_000;
/** How often overdue activities are looked for, and from when on an activity runs long, in milliseconds. */
const WATCH_MS = 500;
const NONE: ReadonlySet<number> = new Set();
const NONE_NAMED: ReadonlySet<string> = new Set();
const COMPLETED = '{"kind":"ActivityCompleted"';

/** What the dispatcher needs of its runtime. */
export type ActivityDispatcherOptions = {
  readonly options: ResolvedRuntimeOptions;
  /** Of the reports to the store. */
  readonly runtimeId: string;
  /** Computes turns ahead of the store (W10). Returns those that it cannot compute. */
  readonly computeAhead: (ended: readonly EndedActivities[]) => readonly EndedActivities[];
  readonly metrics: Metrics;
  /** What the threads have registered. */
  readonly names: () => readonly RegisteredName[];
  readonly terminate: (slot: Slot<ActivityControl>) => void;
};

/** Figures of the dispatcher now, and counts since its start. */
export type ActivityFigures = {
  readonly activitiesInFlight: number;
  readonly activitiesCompleted: number;
  readonly fetches: FetchCounts;
};

/** The dispatcher of the worker queue. */
export class ActivityDispatcher implements PoolListener<ActivityControl> {
  readonly #parent: ActivityDispatcherOptions;
  readonly #options: ResolvedRuntimeOptions;
  readonly #provider: Provider;
  /** Time of the threads. */
  readonly #clock: Clock;
  readonly #fetches: FetchLoop<WorkItem>;
  readonly #leases: LeaseKeeper<Running>;
  readonly #threads = new Map<Slot<ActivityControl>, ThreadState>();
  readonly #running = new Map<number, Running>();
  /** Waiting for a thread, in order. */
  #homeless: Running[] = [];
  #suspects: Running[] = [];
  /** Keys of suspects that this process knows (W3), with how often each went back without having found a thread. */
  readonly #suspectKeys = new BoundedMap<string, number>();
  readonly #lastFailures = new BoundedMap<string, Failure>();
  /** How often an activity was passed on that only other runtimes have. */
  readonly #passes = new BoundedMap<string, number>();
  readonly #warned = new Set<string>();
  /** Names of those that record their end themselves (W11). */
  #transactional: ReadonlySet<string> = NONE_NAMED;
  readonly #executions: ExecutionWatch;
  readonly #metrics: ActivityMetrics;
  /** null: nobody records traces. */
  readonly #traces: Traces | null;
  readonly #fetched: Series;
  readonly #fetchSizes: Series;
  readonly #terminate: (slot: Slot<ActivityControl>) => void;
  readonly #sessions: SessionPins<ThreadState>;
  /** With details that are not stored yet. */
  readonly #heartbeats = new Set<Running>();
  #seq = 0;
  /** Stops the look at what runs; null: nothing runs. */
  #stopWatch: (() => void) | null = null;
  /** When overdue activities were looked for last. */
  #watchedMs = 0;
  #isReturning = false;
  #stopSupplyWatch: (() => void) | null = null;
  #onIdle: (() => void) | null = null;
  #completed = 0;
  /** Activities that run at once on one thread. */
  #perThread: number;

  constructor(parent: ActivityDispatcherOptions) {
    const { options, metrics, terminate } = parent;
    this.#parent = parent;
    this.#options = options;
    this.#provider = options.provider;
    this.#perThread = options.activitiesPerThread;
    this.#clock = clockOfThreads(options, options.activityThreads);
    this.#metrics = new ActivityMetrics(metrics);
    this.#traces = options.traces === null ? null : new Traces(options.traces);
    this.#fetched = metrics.series('counter', 'duraloom_items_fetched_total', { queue: 'worker' });
    this.#fetchSizes = metrics.series('histogram', 'duraloom_fetch_items', { queue: 'worker' });
    this.#terminate = terminate;
    const onError = (operation: string) => (error: unknown) => this.#storeTrouble(operation, error);
    this.#executions = new ExecutionWatch(
      options.provider,
      ({ instanceId, executionId }) =>
        this.#lose([...this.#running.values()].filter(({ item }) => item.instanceId === instanceId && item.executionId === executionId)),
      onError('waitForInstance'),
    );
    const { nodeId: owner, sessionLeaseMs: leaseMs, sessionIdleMs: idleMs, maxSessions, tags } = options;
    this.#sessions = new SessionPins({
      provider: options.provider,
      clock: options.clock,
      owner,
      leaseMs,
      idleMs,
      onError: onError('renewSessions'),
    });
    const session = { owner, leaseMs, maxSessions };
    const select = { kind: 'queue', tags: tags ?? { kind: 'default' }, session } as const;
    const affinity = { runtimeId: parent.runtimeId, keptMs: Math.min(options.stickyTakeoverMs, WORK_KEPT_MS) };
    this.#fetches = new FetchLoop({
      clock: options.clock,
      lockMs: options.activityLockMs,
      room: () => this.#room(),
      fetch: (params) => this.#provider.fetchWorkItems({ ...params, select, affinity }),
      onItems: (fetched) => this.#take(fetched),
      giveBack: (items) => this.#abandon(items, { delayMs: 0, countAttempt: false }),
      onError: onError('fetchWorkItems'),
    });
    this.#leases = new LeaseKeeper({
      clock: options.clock,
      lockMs: options.activityLockMs,
      list: () => [...this.#running.values()].filter(({ state }) => state !== 'lost'),
      renew: (runnings, lockMs) =>
        this.#provider.renewWorkLocks(
          runnings.map(({ item }) => lockOf(item)),
          lockMs,
        ),
      // Cancelled by its orchestration, or handed to somebody else: the result is worth nothing here.
      onLost: (running) => this.#lose([running]),
      onError: onError('renewWorkLocks'),
    });
  }

  get stats(): ActivityFigures {
    return { activitiesInFlight: this.#running.size, activitiesCompleted: this.#completed, fetches: this.#fetches.counts };
  }

  /** Activities that a thread has now. */
  inFlightOf(index: number): number {
    return [...this.#threads.values()].find(({ slot }) => slot.index === index)?.inFlight ?? 0;
  }

  /** Changes how many activities run at once on one thread. Those that run go on. */
  setLimit(activitiesPerThread: number): void {
    this.#perThread = activitiesPerThread;
    for (const { slot } of this.#threads.values()) this.#tellLimit(slot);
    this.#place();
    this.#fetches.pump();
  }

  #tellLimit(slot: Slot<ActivityControl>): void {
    void this.#tell(() => slot.control.setSlots(this.#perThread));
  }

  start(): void {
    this.#fetches.start();
  }

  /** Stops fetching. Resolves when no new activity can arrive. */
  stopFetching(): Promise<void> {
    return this.#fetches.stop();
  }

  /** Resolves when no activity is in flight. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Aborts and gives back what is still in flight, and stops renewing. */
  async close(): Promise<void> {
    this.#leases.stop();
    this.#stopWatch?.();
    this.#executions.watchOnly([]);
    const heartbeats = this.#takeHeartbeats();
    this.#stopSupplyWatch?.();
    const running = [...this.#running.values()];
    for (const one of running) if (one.state === 'running' || one.state === 'lost') this.#trace(one, { kind: 'lost' });
    this.#running.clear();
    this.#homeless = [];
    this.#suspects = [];
    this.#cancelInThreads(running);
    const items = running.filter(({ state }) => state !== 'lost').map(({ item }) => item);
    // No await before this: a batch that comes meanwhile must find nothing to start. Details first, they need the locks.
    await this.#storeHeartbeats(heartbeats);
    if (items.length > 0) await this.#giveBack(items, { delayMs: 0, countAttempt: false });
    await this.#sessions.release();
  }

  /**
   * Aborts activities, if they run here. Their work items are gone from the store.
   *
   * @param instanceId - their orchestration
   * @param executionId - its execution
   * @param eventIds - the events that scheduled them
   */
  cancel(instanceId: string, executionId: number, eventIds: readonly number[]): void {
    const wanted = new Set(eventIds);
    this.#lose(
      [...this.#running.values()].filter(
        ({ item }) => item.instanceId === instanceId && item.executionId === executionId && wanted.has(item.eventId),
      ),
    );
  }

  // --- threads ---------------------------------------------------------------------------------------------------------------

  onReady(slot: Slot<ActivityControl>): void {
    this.#threads.set(slot, {
      slot,
      inFlight: 0,
      ahead: 0,
      answeredMs: 0,
      longestWaitMs: 0,
      recalling: false,
      alone: null,
      overdue: NONE,
      isOverdue: false,
      broken: null,
    });
    const transactional = this.#parent.names().filter(({ isTransactional }) => isTransactional === true);
    this.#transactional = new Set(transactional.map(({ name }) => name));
    if (this.#perThread !== this.#options.activitiesPerThread) this.#tellLimit(slot);
    this.#place();
    this.#fetches.pump();
  }

  onDeath(slot: Slot<ActivityControl>, error: DurableError): void {
    const thread = this.#threads.get(slot);
    this.#threads.delete(slot);
    if (thread !== undefined) this.#sessions.unpin(thread);
    const nowMs = this.#clock.monotonicMs();
    const dead = [...this.#running.values()].filter((running) => running.thread === thread && thread !== undefined);
    // Code that ran synchronously is the culprit, and so is one that was alone, or the only suspect; else anyone may be.
    const isOverdue = thread?.isOverdue === true;
    const broken = thread?.broken ?? null;
    const suspects = dead.filter(({ isSuspect }) => isSuspect);
    const [only] = dead.length === 1 ? dead : suspects;
    const named = broken === null ? slot.progress.read()?.seq : dead.find(({ seq }) => seq === broken.seq)?.seq;
    const culprit = named ?? thread?.alone?.seq ?? (suspects.length > 1 ? undefined : only?.seq);
    for (const running of dead) {
      this.#trace(running, { kind: 'crashed', failure: toFailure(broken ?? error) });
      // W8: it ran alone, or was caught in the act.
      if (isOverdue && running.seq === culprit && running.state !== 'lost' && running.answerByMs < nowMs) {
        leaveThread(running, 'committing');
        this.#fail(running, toFailure(this.#overdueError(running)));
        continue;
      }
      this.#forget(running);
      if (running.state === 'lost') continue;
      if (running.seq === culprit) this.#charge(running.item, toFailure(broken ?? error));
      else {
        if (culprit === undefined) this.#suspectKeys.set(keyOf(running.item), 0);
        this.#abandon([running.item], { delayMs: 0, countAttempt: false });
      }
    }
    this.#options.logger.error({ thread: nameOf(slot), code: error.code, lost: dead.length }, error.message);
    // Without a thread nothing is kept: perhaps none comes back.
    if (this.#threads.size === 0) this.#return([...this.#homeless, ...this.#suspects], 0);
    this.#place();
  }

  onBatch(slot: Slot<ActivityControl>, wire: Wire): void {
    const thread = this.#threads.get(slot);
    const batch = thread === undefined ? null : this.#read(thread, wire);
    if (thread === undefined || batch === null) return;
    const { longestWaitMs, heartbeats, steps, replies } = batch;
    const nowMs = this.#clock.monotonicMs();
    slot.tally.itemsReceived += replies.length + steps.length;
    slot.tally.waits.note(longestWaitMs);
    this.#writeLogs(slot, batch);
    for (const { seq, details } of heartbeats) this.#noteHeartbeat(seq, details);
    const answers: Answer[] = [];
    for (const { seq, completionPayload, receivedSeq } of replies) {
      const running = this.#running.get(seq);
      if (running?.thread !== thread) continue;
      const isLost = running.state === 'lost';
      this.#heartbeats.delete(running);
      this.#metrics.measure(running.item, outcomeOf(isLost, completionPayload), nowMs - running.startedMs);
      if (isLost) this.#trace(running, { kind: 'lost' });
      else if (completionPayload !== null) this.#trace(running, { kind: 'answered', completionPayload });
      leaveThread(running, 'committing');
      if (completionPayload === null) {
        if (isLost) this.#forget(running);
        else this.#notRegistered(running);
        continue;
      }
      const answer = { running, thread, ack: toAnswer(running.item, completionPayload, receivedSeq) };
      if (isLost) {
        this.#forget(running);
        this.#settle([answer], []);
      } else answers.push(answer);
    }
    for (const step of steps) this.#noteStep(thread, step, nowMs);
    adjustAhead(thread, { answers: replies.length + steps.length, longestWaitMs, nowMs });
    if (answers.length > 0) this.#commit(this.#computeAhead(answers), 1);
    this.#place();
    this.#fetches.pump();
  }

  /** W11. */
  #noteStep(thread: ThreadState, { seq, end, failure }: StepReply, nowMs: number): void {
    const running = this.#running.get(seq);
    if (running?.thread !== thread) return;
    const { item, state, startedMs } = running;
    this.#heartbeats.delete(running);
    const isLost = state === 'lost' || end === 'refused';
    const outcome = end === 'recorded' ? 'completed' : isLost ? 'lost' : 'failed';
    this.#metrics.measure(item, outcome, nowMs - startedMs);
    this.#trace(running, end === 'recorded' ? { kind: 'recorded' } : isLost ? { kind: 'lost' } : { kind: 'failed', failure });
    leaveThread(running, 'committing');
    if (end === 'recorded') this.#noteRecorded(running);
    // Nothing rejects: failures are handled inside.
    else if (end === 'refused' && state !== 'lost') void this.#lookAtRefusal(running);
    else {
      this.#forget(running);
      if (failure === null || isLost) return;
      this.#storeTrouble('transact', fromFailure(failure));
      // Whether it is recorded or not: an item that is gone cannot be given back.
      this.#charge(item, failure);
    }
  }

  /** An attempt is over, whatever becomes of its result. */
  #trace({ item, span, thread, startedMs }: Running, end: AttemptEnd): void {
    if (span === null || thread === null || this.#traces === null) return;
    const endMs = this.#clock.nowMs();
    const startMs = endMs - Math.max(0, this.#clock.monotonicMs() - startedMs);
    this.#traces.ended({ item, span, threadIndex: thread.slot.index, startMs, endMs, end });
  }

  /** W11: a right that is gone for one connection is gone for the other. */
  async #lookAtRefusal(running: Running): Promise<void> {
    const { item, seq } = running;
    let outcome: WorkItemOutcome | undefined;
    try {
      [outcome] = await this.#provider.renewWorkLocks([lockOf(item)], this.#options.activityLockMs);
    } catch (error) {
      // It is renewed no more: whoever finds its lease over decides.
      this.#storeTrouble('renewWorkLocks', error);
    }
    // Given back meanwhile: the runtime is closing.
    if (!this.#running.has(seq)) return;
    if (outcome === 'done') {
      this.#fail(running, toFailure(storeMismatch(item)));
      return;
    }
    this.#forget(running);
    this.#forgetKey(item);
    this.#options.logger.debug({ ...aboutItem(item), outcome }, 'a transactional activity had no right to its item any more');
    this.#fetches.pump();
  }

  /** W10. Returns the answers that have to be acked by themselves. */
  #computeAhead(answers: readonly Answer[]): readonly Answer[] {
    const groups = new Map<string, Answer[]>();
    const left: Answer[] = [];
    for (const answer of answers) {
      const { instanceId, executionId, completionPayload, received } = answer.ack;
      if (received !== undefined || completionPayload === null) {
        left.push(answer);
        continue;
      }
      const key = `${executionId} ${instanceId}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [answer]);
      else group.push(answer);
    }
    const ended = new Map<EndedActivities, readonly Answer[]>();
    for (const group of groups.values()) {
      const [first] = group;
      if (first === undefined) continue;
      const { instanceId, executionId } = first.ack;
      const settle = (isRecorded: boolean): void => this.#settleAhead(group, isRecorded);
      ended.set({ instanceId, executionId, completed: group.map(({ ack }) => ack), settle }, group);
    }
    for (const one of this.#parent.computeAhead([...ended.keys()])) left.push(...(ended.get(one) ?? []));
    return left;
  }

  #settleAhead(answers: readonly Answer[], isRecorded: boolean): void {
    // Given back meanwhile: the runtime is closing.
    const left = answers.filter(({ running }) => this.#running.has(running.seq));
    if (!isRecorded) this.#commit(left, 1);
    else {
      this.#recorded(left, []);
      this.#fetches.pump();
    }
  }

  /** W9. */
  #read(thread: ThreadState, wire: Wire): ActivityBatch | null {
    if (thread.broken !== null) return null;
    try {
      return readActivityBatch(wire);
    } catch (error) {
      if (!(error instanceof BrokenBatchError)) throw error;
      this.#options.logger.error({ thread: nameOf(thread.slot), code: error.code }, `an activity thread is ended: ${error.message}`);
      thread.broken = error;
      this.#terminate(thread.slot);
      return null;
    }
  }

  // --- activities ------------------------------------------------------------------------------------------------------------

  /** How many items could be sent to threads now. */
  #room(): number {
    const reserved = this.#reserved();
    const waiting = this.#homeless.length === 0 ? 0 : this.#homeless.filter((running) => !this.#isPinned(running)).length;
    let room = -waiting - this.#suspects.length;
    for (const thread of this.#threads.values()) {
      if (thread.alone !== null || thread === reserved) continue;
      room += Math.max(0, this.#perThread + this.#aheadOf(thread) - thread.inFlight);
    }
    return room;
  }

  /** The thread that is left to run dry while suspects wait (W3): the one that has the least to do. */
  #reserved(): ThreadState | null {
    const [first] = this.#suspects;
    if (first === undefined) return null;
    return this.#pinOf(first) ?? leastBusy([...this.#threads.values()].filter((thread) => thread.alone === null));
  }

  #take(fetched: Fetched<WorkItem>): void {
    this.#fetched.record(fetched.items.length);
    this.#fetchSizes.record(fetched.items.length);
    // What an idle thread could do once says nothing about what comes now.
    for (const thread of this.#threads.values()) thread.ahead = this.#aheadOf(thread);
    for (const item of fetched.items) {
      this.#seq = (this.#seq + 1) & 0x7fff_ffff;
      const running: Running = {
        seq: this.#seq,
        item,
        isSuspect: this.#isSuspect(item),
        state: 'waiting',
        thread: null,
        startedMs: 0,
        answerByMs: Number.POSITIVE_INFINITY,
        heartbeat: null,
        span: null,
      };
      this.#running.set(running.seq, running);
      if (item.attempt > this.#options.maxAttempts) this.#fail(running, this.#tooManyAttempts(item));
      else if (running.isSuspect) this.#addSuspect(running);
      else this.#homeless.push(running);
    }
    this.#leases.wake();
    this.#watch();
    this.#place();
    this.#returnSurplusSoon();
  }

  #isSuspect(item: WorkItem): boolean {
    const key = keyOf(item);
    if (this.#suspectKeys.has(key)) return true;
    // An activity that this runtime does not have was charged for just that.
    return item.attempt >= SUSPECT_ATTEMPT && this.#lastFailures.get(key)?.code !== 'ACTIVITY_NOT_REGISTERED';
  }

  #addSuspect(running: Running): void {
    this.#suspects.push(running);
    const key = keyOf(running.item);
    const failures = this.#suspectKeys.get(key) ?? 0;
    const patienceMs = computeBackoffMs(failures + 1, SUSPECT_PATIENCE);
    // The thread that is reserved for it runs nothing but trusted ones by then.
    this.#options.clock.setTimer(TRUSTED_MS, () => this.#place());
    this.#options.clock.setTimer(patienceMs, () => {
      if (!this.#suspects.includes(running)) return;
      this.#suspectKeys.set(key, failures + 1);
      this.#return([running], patienceMs);
      // What was kept from the reserved thread.
      this.#place();
    });
  }

  /** W4. Not at once: threads that were idle show their speed with what they have just got, and giving back costs as much as fetching. */
  #returnSurplusSoon(): void {
    if (this.#homeless.length === 0 || this.#isReturning) return;
    this.#isReturning = true;
    this.#options.clock.setTimer(FORGET_IDLE_MS, () => {
      this.#isReturning = false;
      this.#returnSurplus();
    });
  }

  /** W4: the fetch was opened when the threads were fast, and they are not any more. */
  #returnSurplus(): void {
    const pinned = this.#homeless.filter((running) => this.#isPinned(running));
    // Others may take what is beyond a full thread; not at once, or this runtime would fetch it again and again.
    this.#return(pinned.slice(this.#perThread), PINNED_DELAY_MS);
    if ([...this.#threads.values()].some((thread) => this.#aheadOf(thread) > 0)) return;
    this.#return(
      this.#homeless.filter((running) => !this.#isPinned(running)),
      0,
    );
  }

  /** W7: it waits for one thread only, whatever the others could take. */
  #isPinned(running: Running): boolean {
    return this.#pinOf(running) !== undefined;
  }

  /** Gives back what waits here, uncharged. */
  #return(waiting: readonly Running[], delayMs: number): void {
    if (waiting.length === 0) return;
    this.#unqueue(waiting);
    this.#abandon(
      waiting.map(({ item }) => item),
      { delayMs, countAttempt: false },
    );
  }

  /** Forgets what waits here. */
  #unqueue(waiting: readonly Running[]): void {
    const gone = new Set(waiting);
    this.#homeless = this.#homeless.filter((running) => !gone.has(running));
    this.#suspects = this.#suspects.filter((running) => !gone.has(running));
    for (const running of waiting) this.#forget(running);
  }

  /** Sends what waits to threads. */
  #place(): void {
    const wires = new Map<ThreadState, Wire>();
    this.#placeSuspects(wires);
    this.#placeHomeless(wires);
    for (const [thread, wire] of wires) thread.slot.post(wire);
    this.#watchSupply();
  }

  #placeSuspects(wires: Map<ThreadState, Wire>): void {
    for (const thread of this.#threads.values()) {
      if (this.#suspects.length === 0 || !this.#isDry(thread)) continue;
      const suspect = this.#suspects.find((candidate) => (this.#pinOf(candidate) ?? thread) === thread);
      if (suspect === undefined) continue;
      this.#suspects = this.#suspects.filter((candidate) => candidate !== suspect);
      const sessionId = suspect.item.routing?.sessionId ?? null;
      if (sessionId !== null) this.#sessions.pin(sessionId, thread);
      this.#assign(suspect, thread, wires);
      thread.alone = suspect;
      this.#options.clock.setTimer(TRUSTED_MS, () => this.#trust(suspect, thread));
    }
  }

  /** It runs nothing that is not trusted (W3). */
  #isDry(thread: ThreadState): boolean {
    if (thread.inFlight === 0 || thread.alone !== null) return thread.inFlight === 0;
    const trustedMs = this.#clock.monotonicMs() - TRUSTED_MS;
    return ![...this.#running.values()].some((running) => running.thread === thread && running.startedMs > trustedMs);
  }

  #trust(suspect: Running, thread: ThreadState): void {
    if (thread.alone !== suspect) return;
    thread.alone = null;
    this.#place();
    this.#fetches.pump();
  }

  /** The thread that it has to run in (W7); undefined: any. */
  #pinOf({ item }: Running): ThreadState | undefined {
    const sessionId = item.routing?.sessionId ?? null;
    return sessionId === null ? undefined : this.#sessions.get(sessionId);
  }

  /** Each to the thread with the least to do. */
  #placeHomeless(wires: Map<ThreadState, Wire>): void {
    if (this.#homeless.length === 0) return;
    const reserved = this.#reserved();
    const open = [...this.#threads.values()].filter((thread) => thread !== reserved && thread.alone === null);
    const idle = open.filter((thread) => thread.inFlight === 0);
    const places = open.map((thread) => {
      // W2: nothing goes ahead to a thread while another one could start it at once.
      const mayAhead = idle.every((other) => other === thread);
      return { thread, limit: this.#perThread + (mayAhead ? this.#aheadOf(thread) : 0) };
    });
    if (places.every(({ thread, limit }) => thread.inFlight >= limit)) return;
    let placed = 0;
    const passed: Running[] = [];
    for (const running of this.#homeless) {
      let best: ThreadState | null = null;
      const sessionId = running.item.routing?.sessionId ?? null;
      const pinned = this.#pinOf(running);
      for (const { thread, limit } of places) {
        if (pinned !== undefined && thread !== pinned) continue;
        if (thread.inFlight < limit && (best === null || thread.inFlight < best.inFlight)) best = thread;
      }
      if (best === null) {
        if (pinned === undefined) break;
        // W7: only its own thread will do.
        passed.push(running);
      } else {
        if (sessionId !== null && pinned === undefined) this.#sessions.pin(sessionId, best);
        this.#assign(running, best, wires);
      }
      placed += 1;
    }
    this.#homeless = [...passed, ...this.#homeless.slice(placed)];
  }

  /** Looks in a while whether what was supplied ahead or waits here can still start soon. */
  #watchSupply(): void {
    if (this.#stopSupplyWatch !== null) return;
    if (this.#homeless.length === 0 && ![...this.#threads.values()].some((thread) => this.#isSupplied(thread))) return;
    this.#stopSupplyWatch = this.#clock.setTimer(FORGET_BUSY_MS, () => {
      this.#stopSupplyWatch = null;
      for (const thread of this.#threads.values()) if (this.#isSupplied(thread) && this.#isSlow(thread)) void this.#recall(thread);
      this.#returnSurplus();
      this.#watchSupply();
    });
  }

  /** How many activities a thread is supplied ahead: none when it has not answered lately, its speed is not known then. */
  #aheadOf(thread: ThreadState): number {
    const forgetMs = thread.inFlight === 0 ? FORGET_IDLE_MS : FORGET_BUSY_MS;
    return this.#clock.monotonicMs() - thread.answeredMs > forgetMs ? 0 : thread.ahead;
  }

  /** What waits in the thread has waited long, or does so now. */
  #isSlow(thread: ThreadState): boolean {
    return thread.longestWaitMs > FORGET_BUSY_MS || this.#clock.monotonicMs() - thread.answeredMs > FORGET_BUSY_MS;
  }

  #isSupplied(thread: ThreadState): boolean {
    return thread.inFlight > this.#perThread;
  }

  /** W2: takes back what a thread has not started. Never rejects. */
  async #recall(thread: ThreadState): Promise<void> {
    if (thread.recalling) return;
    thread.recalling = true;
    thread.ahead = 0;
    try {
      const seqs = await thread.slot.control.takeBack();
      const back = seqs.map((seq) => this.#running.get(seq)).filter((running) => running?.thread === thread);
      this.#takeBack(back.filter((running) => running !== undefined));
    } catch (error) {
      this.#options.logger.debug({ thread: nameOf(thread.slot), err: error }, 'an activity thread gave nothing back');
    }
    thread.recalling = false;
  }

  #takeBack(back: readonly Running[]): void {
    const wanted = back.filter(({ state }) => state === 'running');
    for (const running of back) leaveThread(running, 'waiting');
    for (const running of back) if (!wanted.includes(running)) this.#forget(running);
    this.#homeless = [...wanted, ...this.#homeless];
    this.#place();
    this.#returnSurplus();
    this.#fetches.pump();
  }

  #assign(running: Running, thread: ThreadState, wires: Map<ThreadState, Wire>): void {
    const { item } = running;
    const { routing, heartbeat } = item;
    thread.inFlight += 1;
    thread.slot.tally.itemsSent += 1;
    running.state = 'running';
    running.thread = thread;
    running.startedMs = this.#clock.monotonicMs();
    const stamped = readStamp(item.payload);
    running.span = stamped === null ? null : spanOfAttempt(stamped.trace, item);
    const trace = running.span === null ? null : toTraceContext(running.span);
    const timeoutMs = routing?.timeoutMs ?? null;
    const lockToken = this.#transactional.has(item.name) ? item.lockToken : null;
    if (timeoutMs !== null) running.answerByMs = running.startedMs + timeoutMs + this.#options.activityGraceMs + OVERDUE_MS;
    let wire = wires.get(thread);
    if (wire === undefined) wires.set(thread, (wire = []));
    writeActivityRequest(wire, {
      seq: running.seq,
      instanceId: item.instanceId,
      executionId: item.executionId,
      eventId: item.eventId,
      name: item.name,
      input: stamped?.input ?? item.payload,
      attempt: item.attempt,
      special:
        routing === null && heartbeat === null && lockToken === null && trace === null
          ? null
          : {
              tag: routing?.tag ?? null,
              sessionId: routing?.sessionId ?? null,
              timeoutMs,
              extras: routing?.extras ?? null,
              heartbeat,
              lockToken,
              traceparent: trace?.traceparent ?? null,
              tracestate: trace?.tracestate ?? null,
            },
    });
  }

  // --- heartbeats and overdue activities -------------------------------------------------------------------------------------

  #noteHeartbeat(seq: number, details: string): void {
    const running = this.#running.get(seq);
    if (running === undefined || running.state !== 'running') return;
    if (this.#heartbeats.size === 0) this.#options.clock.setTimer(HEARTBEAT_MS, () => void this.#storeHeartbeats(this.#takeHeartbeats()));
    running.heartbeat = details;
    this.#heartbeats.add(running);
  }

  /** Those whose details are to be stored now. */
  #takeHeartbeats(): readonly Running[] {
    const noted = [...this.#heartbeats].filter(({ seq, state }) => this.#running.has(seq) && state === 'running');
    this.#heartbeats.clear();
    return noted;
  }

  /** Never rejects. */
  async #storeHeartbeats(noted: readonly Running[]): Promise<void> {
    if (noted.length === 0) return;
    const beats = noted.map(({ item, heartbeat }) => ({ ...lockOf(item), ...(heartbeat === null ? {} : { heartbeat }) }));
    try {
      const outcomes = await this.#provider.renewWorkLocks(beats, this.#options.activityLockMs);
      this.#lose(noted.filter((_, index) => outcomes[index] !== 'done'));
    } catch (error) {
      // The next one carries newer details anyway.
      this.#storeTrouble('renewWorkLocks', error);
    }
  }

  /** Looks now and then as long as something runs. */
  #watch(): void {
    if (this.#stopWatch !== null || this.#running.size === 0) return;
    this.#watchedMs = this.#clock.monotonicMs();
    const next = (): void => {
      this.#stopWatch = this.#clock.setTimer(
        WATCH_MS,
        () => {
          this.#watchOverdue();
          this.#watchExecutions();
          if (this.#running.size > 0) next();
          else this.#stopWatch = null;
        },
        true,
      );
    };
    next();
  }

  /** Those that run long are told when their orchestration is over, whoever ended it. */
  #watchExecutions(): void {
    const longAgoMs = this.#clock.monotonicMs() - WATCH_MS;
    const long = [...this.#running.values()].filter(({ state, startedMs }) => state === 'running' && startedMs < longAgoMs);
    this.#executions.watchOnly(long.map(({ item }) => item));
  }

  /** W8. */
  #watchOverdue(): void {
    const nowMs = this.#clock.monotonicMs();
    // Time in which this thread was kept from looking says nothing about the others.
    const missedMs = Math.max(0, nowMs - this.#watchedMs - 2 * WATCH_MS);
    this.#watchedMs = nowMs;
    const overdue = new Map<ThreadState, Set<number>>();
    for (const running of this.#running.values()) {
      running.answerByMs += missedMs;
      const { seq, thread } = running;
      if (thread === null || running.answerByMs >= nowMs) continue;
      overdue.set(thread, (overdue.get(thread) ?? new Set()).add(seq));
    }
    for (const thread of this.#threads.values()) {
      // Somebody else computes in it: what waits behind it is not stuck but late.
      const current = thread.slot.progress.read();
      const seqs = current === null || overdue.get(thread)?.has(current.seq) === true ? (overdue.get(thread) ?? NONE) : NONE;
      const isStuck = [...seqs].some((seq) => thread.overdue.has(seq));
      thread.overdue = seqs;
      if (!isStuck) continue;
      thread.isOverdue = true;
      this.#terminate(thread.slot);
    }
  }

  #overdueError({ item }: Running): TimeoutError {
    return new TimeoutError(
      'ACTIVITY_TIMEOUT',
      `activity '${item.name}' ran longer than ${item.routing?.timeoutMs ?? 0} ms and kept its thread, which was ended. Give way to the event loop now and then, so that its signal can be seen`,
    );
  }

  // --- results ---------------------------------------------------------------------------------------------------------------

  #commit(answers: readonly Answer[], attempt: number): void {
    if (answers.length === 0) return;
    this.#provider.ackWorkItems(answers.map(({ ack }) => ack)).then(
      (outcomes) => {
        this.#recorded(answers, outcomes);
        this.#settle(answers, outcomes);
        this.#fetches.pump();
      },
      (error: unknown) => this.#commitFailed(answers, attempt, error),
    );
  }

  /** The store has decided on answers; without outcomes all are recorded. */
  #recorded(answers: readonly Answer[], outcomes: readonly WorkItemOutcome[]): void {
    answers.forEach(({ running }, index) => {
      const outcome = outcomes[index] ?? 'done';
      if (outcome === 'done') {
        this.#noteRecorded(running);
        return;
      }
      this.#forget(running);
      this.#forgetKey(running.item);
      this.#options.logger.debug({ ...aboutItem(running.item), outcome }, 'activity result was not wanted');
    });
  }

  #noteRecorded(running: Running): void {
    this.#forget(running);
    this.#forgetKey(running.item);
    this.#completed += 1;
  }

  #commitFailed(answers: readonly Answer[], attempt: number, error: unknown): void {
    this.#storeTrouble('ackWorkItems', error);
    const left = answers.filter(({ running }) => this.#running.has(running.seq));
    // Given back meanwhile: the runtime is closing.
    if (left.length === 0) return;
    if (isFaultOfItem(error)) {
      if (answers.length > 1) for (const answer of left) this.#commit([answer], attempt);
      else {
        for (const { running } of left) {
          this.#forget(running);
          this.#charge(running.item, toFailure(error));
        }
        this.#settle(left, []);
      }
    } else if (attempt <= ACK_RETRIES) {
      this.#options.clock.setTimer(computeBackoffMs(attempt, ACK_BACKOFF), () => this.#commit(left, attempt + 1));
    } else {
      for (const { running } of left) this.#forget(running);
      this.#abandon(
        left.map(({ running }) => running.item),
        { delayMs: ACK_BACKOFF.maximumMs, countAttempt: false },
      );
      this.#settle(left, []);
    }
  }

  /** Threads hear what became of answers of activities that had received messages: unless they are recorded, the messages are taken again. */
  #settle(answers: readonly Answer[], outcomes: readonly WorkItemOutcome[]): void {
    const ends = new Map<ThreadState, ReceiverEnd[]>();
    for (const [index, { running, ack, thread }] of answers.entries()) {
      if (ack.received === undefined || thread === null) continue;
      const { sessionId } = ack.received;
      ends.set(thread, [...(ends.get(thread) ?? []), { seq: running.seq, sessionId, isRecorded: outcomes[index] === 'done' }]);
    }
    for (const [thread, threadEnds] of ends) void this.#tell(() => thread.slot.control.settle(threadEnds));
  }

  /** W5: the right to these attempts is gone. One that is being committed hears it from its ack. */
  #lose(runnings: readonly Running[]): void {
    const held = runnings.filter(({ seq, state }) => this.#running.has(seq) && state !== 'committing');
    for (const { item } of held) this.#forgetKey(item);
    const inThreads = held.filter(({ state }) => state === 'running');
    for (const running of inThreads) {
      running.state = 'lost';
      running.answerByMs = this.#clock.monotonicMs() + this.#options.activityGraceMs + OVERDUE_MS;
    }
    this.#cancelInThreads(inThreads);
    const waiting = held.filter(({ state }) => state === 'waiting');
    if (waiting.length === 0) return;
    this.#unqueue(waiting);
    this.#place();
    this.#fetches.pump();
  }

  #forget(running: Running): void {
    this.#running.delete(running.seq);
    if (this.#running.size > 0 || this.#onIdle === null) return;
    this.#onIdle();
    this.#onIdle = null;
  }

  #cancelInThreads(runnings: readonly Running[]): void {
    const byThread = new Map<ThreadState, number[]>();
    for (const { seq, thread } of runnings) {
      if (thread !== null) byThread.set(thread, [...(byThread.get(thread) ?? []), seq]);
    }
    for (const [thread, seqs] of byThread) void this.#tell(() => thread.slot.control.cancel(seqs));
  }

  /** Never rejects: who is gone need not be told. */
  async #tell(call: () => Promise<void>): Promise<void> {
    try {
      // The control of a closed thread throws at the call.
      await call();
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'an activity thread could not be told');
    }
  }

  /** Forgets what is remembered of an activity that ended, here or elsewhere. */
  #forgetKey(item: WorkItem): void {
    const key = keyOf(item);
    this.#lastFailures.delete(key);
    this.#suspectKeys.delete(key);
    this.#passes.delete(key);
  }

  #writeLogs(slot: Slot<ActivityControl>, { logs, logUnits, droppedLogs }: ActivityBatch): void {
    const { logger, nodeId } = this.#options;
    const thread = nameOf(slot);
    for (const { seq: _, line, ...origin } of logs)
      logger[line.level](withOrigin({ ...origin, thread, nodeId }, line.fields), line.message);
    slot.progress.takeLogs(logUnits);
    noteDropped({ metrics: this.#parent.metrics, logger }, { dropped: droppedLogs, why: TOO_MANY_LINES, origin: { thread } });
  }

  // --- failures --------------------------------------------------------------------------------------------------------------

  #notRegistered(running: Running): void {
    const { item } = running;
    const error = new DurableError(
      'ACTIVITY_NOT_REGISTERED',
      `activity '${item.name}' is not registered in this runtime. Export it from a module given as \`activities\``,
    );
    if (!this.#warned.has(item.name)) {
      this.#warned.add(item.name);
      process.emitWarning(error.message, { code: 'DURALOOM_NOT_REGISTERED', type: 'DuraloomWarning' });
    }
    // Nothing rejects: failures are handled inside.
    void this.#passOn(running, error);
  }

  /** An activity that another living runtime has waits for that one, however busy it is; one that nobody has is charged. */
  async #passOn(running: Running, error: DurableError): Promise<void> {
    const { item } = running;
    const key = keyOf(item);
    const sessionId = item.routing?.sessionId ?? null;
    let isKnown = false;
    try {
      const runtimes = (await this.#provider.listRuntimes()).map(toRuntimeInfo);
      isKnown = runtimes.some(({ activities }) => activities.some(({ name }) => name === item.name));
    } catch (cause) {
      // Perhaps: so it is not charged.
      isKnown = true;
      this.#storeTrouble('listRuntimes', cause);
    }
    if (isKnown && sessionId !== null) await this.#sessions.giveUp(sessionId);
    // Given back meanwhile: the runtime is closing.
    if (!this.#running.has(running.seq)) return;
    this.#forget(running);
    if (!isKnown) {
      this.#charge(item, toFailure(error));
      return;
    }
    const passes = (this.#passes.get(key) ?? 0) + 1;
    this.#passes.set(key, passes);
    this.#abandon([item], { delayMs: computeBackoffMs(passes, this.#options.retryBackoff), countAttempt: false });
  }

  /** Gives an item back with an attempt counted and a growing delay. */
  #charge(item: WorkItem, failure: Failure): void {
    this.#lastFailures.set(keyOf(item), failure);
    this.#abandon([item], { delayMs: computeBackoffMs(item.attempt, this.#options.retryBackoff), countAttempt: true });
  }

  /** Ends an activity with an error that its orchestration sees. */
  #fail(running: Running, failure: Failure): void {
    const { item } = running;
    if (failure.code === 'TOO_MANY_ATTEMPTS') this.#metrics.count(item, 'tooManyAttempts');
    running.state = 'committing';
    const completionPayload = encodeRecord({ kind: 'ActivityFailed', executionId: item.executionId, sourceId: item.eventId, failure });
    this.#commit([{ running, thread: null, ack: { ...lockOf(item), completionPayload } }], 1);
  }

  #tooManyAttempts(item: WorkItem): Failure {
    const last = this.#lastFailures.get(keyOf(item));
    const why = last === undefined ? 'its attempts were lost with their process' : last.message;
    return toFailure(
      new DurableError(
        'TOO_MANY_ATTEMPTS',
        `activity '${item.name}' of instance '${item.instanceId}' was tried ${this.#options.maxAttempts} times without an answer: ${why}`,
        last === undefined ? undefined : { cause: fromFailure(last) },
      ),
    );
  }

  #abandon(items: readonly WorkItem[], how: { readonly delayMs: number; readonly countAttempt: boolean }): void {
    // Nothing rejects: failures are handled inside.
    void this.#giveBack(items, how);
  }

  async #giveBack(items: readonly WorkItem[], how: { readonly delayMs: number; readonly countAttempt: boolean }): Promise<void> {
    try {
      const outcomes = await this.#provider.abandonWorkItems(items.map((item) => ({ ...lockOf(item), ...how })));
      items.forEach((item, index) => {
        if (outcomes[index] !== 'done') this.#forgetKey(item);
      });
    } catch (error) {
      // Their leases run out by themselves.
      this.#storeTrouble('abandonWorkItems', error);
    }
    this.#fetches.pump();
  }

  #storeTrouble(operation: string, error: unknown): void {
    this.#options.logger.warn({ operation, err: error }, `the store failed in ${operation}; it is tried again`);
  }
}

/** Messages that an activity has taken go with its ack. */
function toAnswer(
  { instanceId, executionId, eventId, lockToken, routing }: WorkItem,
  completionPayload: string,
  uptoSeq: number | null,
): WorkItemAck {
  const ack = { instanceId, executionId, eventId, lockToken, completionPayload };
  if (routing === null || routing.sessionId === null || uptoSeq === null) return ack;
  return { ...ack, received: { sessionId: routing.sessionId, uptoSeq } };
}

function storeMismatch({ name }: WorkItem): TransactionError {
  return new TransactionError(
    'TRANSACTION_STORE_MISMATCH',
    `activity '${name}' wrote its transaction to another store than the one of its runtime, which has its work item; it was rolled back. Give its source the path that the provider was opened with`,
  );
}

function outcomeOf(isLost: boolean, completionPayload: string | null): ActivityOutcome {
  if (isLost) return 'lost';
  return completionPayload?.startsWith(COMPLETED) === true ? 'completed' : 'failed';
}

function nameOf({ index }: Slot<ActivityControl>): string {
  return `activity-${index}`;
}

/** Fields of the log lines about an activity. */
function aboutItem({ instanceId, executionId, eventId, name: activity, attempt }: WorkItem) {
  return { instanceId, executionId, eventId, activity, attempt };
}

/** What names an item and the right to it. */
export function lockOf({ instanceId, executionId, eventId, lockToken }: WorkItem): WorkItemLock {
  return { instanceId, executionId, eventId, lockToken };
}

function keyOf(item: WorkItem): string {
  return `${item.instanceId} ${item.executionId} ${item.eventId}`;
}

function leastBusy(threads: readonly ThreadState[]): ThreadState | null {
  let best: ThreadState | null = null;
  for (const thread of threads) if (best === null || thread.inFlight < best.inFlight) best = thread;
  return best;
}

function leaveThread(running: Running, state: 'waiting' | 'committing'): void {
  const { thread } = running;
  running.state = state;
  running.thread = null;
  if (thread === null) return;
  thread.inFlight -= 1;
  if (thread.alone === running) thread.alone = null;
}

/** W2: the supply grows by what was answered while nothing waited long, and is halved when something did. */
function adjustAhead(
  thread: ThreadState,
  { answers, longestWaitMs, nowMs }: { readonly answers: number; readonly longestWaitMs: number; readonly nowMs: number },
): void {
  // Log lines are no answer: an activity may write them for hours.
  if (answers > 0) thread.answeredMs = nowMs;
  thread.longestWaitMs = longestWaitMs;
  thread.ahead = longestWaitMs > LONG_WAIT_MS ? thread.ahead >> 1 : Math.min(AHEAD_MAX, thread.ahead + answers);
}
