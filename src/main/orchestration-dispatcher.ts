// Moves turns: orchestrator queue → replay threads → commit. Neighbours: fetch-loop.ts, turn-commit.ts (pure), lease-keeper.ts,
// threads/thread-pool.ts (the threads), activity-dispatcher.ts (is told of cancelled activities), replay-checks.ts (checks some of them).
//
// D1. Nothing leaves the main thread before its commit: no activity is cancelled, no line logged on the strength of an uncommitted turn.
// D2. Every fetched item ends in exactly one of: ack, abandon, or the news that its lease is lost. Until then it is in `#turns` and its
//     lease is renewed. No item waits here for a thread: without one it goes back.
// D3. A live engine is only trusted while every turn of it was committed. After any other outcome the affinity is dropped here and the
//     engine in its thread, and the next turn starts from history.
// D4. When a thread dies, only the instance whose turn was running is charged an attempt. When code between turns kept it, nobody is.
// D5. Of an instance at most one turn is current: the last one that was fetched, while its lease is held. The answer of any other is
//     dropped, nobody is charged for it, and it touches neither affinity nor engine of the current one.
// D6. When the store refuses a batch of acks for what one of them holds, each is tried by itself, and the one that fails alone is charged.
// D7. A thread whose batch cannot be read is ended, with nothing of the batch done. The instance whose answer it was is charged.
// D8. A turn need not wait until the completions of activities are stored and fetched: when its live engine is here, it is computed at once, and
//     its commit takes the activities along (an optimistic turn). Whatever keeps it from being committed, its activities are acked by
//     themselves then, exactly once: `ahead` is settled when the turn is forgotten. What ends meanwhile is for the turn after it: acked by itself
//     it would be fetched, and cost this turn and the live engine. An instance whose turns were in vain again and again, as those of one that gets
//     many events are, is left to the fetch for a while, twice as long each time.
// D9. What a turn has to tell (log lines, spans, measurements) is told once the turn is known to be committed, and once. When the store did not say,
//     the history does (doubtful-turns.ts).
import { toRuntimeInfo } from '../client/runtime-info.ts';
import type {
  Provider,
  Fetched,
  InstanceCode,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationItem,
  WorkItemAck,
} from '../provider/provider.ts';
import { encodeRecord, parseRecord } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import { MAX_MESSAGES_PER_TURN } from '../types/limits.ts';
import type { ReplayResult } from '../types/replay.ts';
import type { ReplayControl } from '../threads/control.ts';
import {
  BrokenBatchError,
  readReplayBatch,
  writeTurnRequest,
  type FaultReport,
  type ReplayBatch,
  type TurnReply,
  type Wire,
} from '../threads/messages.ts';
import type { RegisteredName } from '../threads/registry.ts';
import type { PoolListener, Slot } from '../threads/thread-pool.ts';
import { BoundedMap } from './bounded-map.ts';
import { canRun, makeAccepts, type Refusal } from './capability.ts';
import { DoubtfulTurns } from './doubtful-turns.ts';
import { FetchLoop, type FetchCounts } from './fetch-loop.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { noteDropped, TOO_MANY_LINES } from './log-drops.ts';
import type { Metrics, Series } from './metrics.ts';
import type { ResolvedRuntimeOptions } from './options.ts';
import { OrchestrationMetrics } from './orchestration-metrics.ts';
import { ReplayChecks, type PickedTurn } from './replay-checks.ts';
import { withOrigin } from './runtime-logger.ts';
import { isFaultOfItem } from './store-fault.ts';
import { Traces } from './traces.ts';
import { computeBackoffMs, toAck, toQuarantine, type CommittedOutcome } from './turn-commit.ts';

/** Activities of one instance that have just ended. */
export type EndedActivities = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly completed: readonly WorkItemAck[];
  /** Called once: whether their completions are recorded with a turn, or are still to be acked. */
  readonly settle: (isRecorded: boolean) => void;
};

/** What an instance is known to be after its last turn here. */
type Standing = Omit<OrchestrationItem, 'messages' | 'lockToken'>;

/** Where the live engine of an instance is. */
type Home = {
  readonly slot: Slot<ReplayControl>;
  /** When the instance was started: another one may get its id, after a delete. */
  readonly createdAtMs: number;
  /** null: a turn is under way, or of unknown outcome. */
  standing: Standing | null;
};

type Turn = {
  readonly seq: number;
  /** The activities that an optimistic turn is for (D8); null: the turn was fetched. */
  ahead: EndedActivities | null;
  readonly item: OrchestrationItem;
  readonly nowMs: number;
  /** `waiting`: for its history or a thread; `running`: in a thread; `committing`: was answered. */
  state: 'waiting' | 'running' | 'committing';
  /** The thread that has it while it runs. */
  slot: Slot<ReplayControl> | null;
  /** Name of the thread that had it last. */
  thread: string | null;
  /** How its engine stood, and where, when the turn is to be checked. */
  picked: Pick<PickedTurn, 'standing' | 'home'> | null;
};

/** A turn that is to be committed, with what the commit allows. */
type Commit = { readonly turn: Turn; readonly ack: OrchestrationAck; readonly result: ReplayResult | null };

type ThreadState = {
  readonly slot: Slot<ReplayControl>;
  inFlight: number;
  /** The turn that the watchdog saw last. */
  watched: { readonly counter: number; readonly sinceMs: number } | null;
  /** How long the watchdog has seen it run no turn although it has some, in milliseconds, since its last answer. */
  silentMs: number;
  /** Set when this dispatcher ended the thread: whose turn it was, null: nobody knows; and what that turn is charged with. */
  doomed: { readonly seq: number | null; readonly lastCall: string | null; readonly toError: (turn: Turn) => DurableError } | null;
  /** It sent something that cannot be read: nothing of it is read any more. */
  isBroken: boolean;
};

/** What the dispatcher needs of its runtime. */
export type OrchestrationDispatcherOptions = {
  /** Names this life of the runtime to the store. */
  readonly runtimeId: string;
  readonly options: ResolvedRuntimeOptions;
  readonly metrics: Metrics;
  /** What the replay threads have registered; known when the first fetch is opened. */
  readonly names: () => readonly RegisteredName[];
  /** Activities of a committed turn that nobody wants any more. */
  readonly cancelActivities: (instanceId: string, executionId: number, eventIds: readonly number[]) => void;
  readonly terminate: (slot: Slot<ReplayControl>) => void;
};

/** Most chances of an optimistic turn that are passed over (D8). Reason: one in so many that is in vain, with a cold replay, costs little. */
const MAX_CAUTION = 128;

/** Figures of the dispatcher now, and counts since its start. */
export type OrchestrationFigures = {
  readonly turnsInFlight: number;
  readonly turnsCommitted: number;
  /** Those of them that were computed before their messages were stored (D8), and how often that was in vain. */
  readonly optimisticTurnsCommitted: number;
  readonly optimisticTurnsRefused: number;
  readonly stickyInstances: number;
  readonly fetches: FetchCounts;
};

/** Share of the room that is left to fetched turns. */
const FETCHED_SHARE = 0.25;
/** Wait before a turn that failed in the store is tried again, in milliseconds. */
const STORE_TROUBLE_MS = 200;
/** How often the watchdog looks, in milliseconds. */
const WATCH_MS = 100;
/** A fault report that the store did not take is offered again this often: with these waits for about half a minute. */
const FAULT_RETRIES = 8;
const FAULT_BACKOFF = { initialMs: 100, maximumMs: 10_000 };

/** The dispatcher of the orchestrator queue. */
export class OrchestrationDispatcher implements PoolListener<ReplayControl> {
  readonly #options: ResolvedRuntimeOptions;
  readonly #provider: Provider;
  readonly #parent: OrchestrationDispatcherOptions;
  readonly #fetches: FetchLoop<OrchestrationItem>;
  readonly #leases: LeaseKeeper<Turn>;
  readonly #threads = new Map<Slot<ReplayControl>, ThreadState>();
  readonly #turns = new Map<number, Turn>();
  /** The current turn of each instance (D5). */
  readonly #current = new Map<string, Turn>();
  /** Which thread keeps the live engine of an instance. Bounded by the threads' caches: they tell what they evict. */
  readonly #affinity = new Map<string, Home>();
  /** Activities that ended while an optimistic turn of their instance was under way (D8). */
  readonly #following = new Map<string, EndedActivities[]>();
  /** Instances with optimistic turns in vain: how many chances are passed over after the next one, and how many now (D8). */
  readonly #caution = new BoundedMap<string, { wait: number; left: number }>();
  /** Why an instance was charged its last attempt; kept until a turn of it commits. */
  readonly #lastFailures = new BoundedMap<string, Failure>();
  readonly #warned = new Set<string>();
  readonly #fetched: Series;
  readonly #fetchSizes: Series;
  readonly #measurements: OrchestrationMetrics;
  /** Turns with something to tell whose end is not known (D9). */
  readonly #doubtful: DoubtfulTurns;
  /** null: nobody records traces. */
  readonly #traces: Traces | null;
  /** null: no turn is checked. */
  readonly #checks: ReplayChecks | null;
  /** Which code runs here. */
  #accepts: (code: InstanceCode) => boolean = () => false;
  #seq = 0;
  /** How many of the turns are optimistic. */
  #turnsAhead = 0;
  #watchdog: NodeJS.Timeout | null = null;
  /** When the watchdog looked last. */
  #watchedMs = 0;
  #closed = false;
  #onIdle: (() => void) | null = null;
  #turnsCommitted = 0;
  #aheadCommitted = 0;
  #aheadRefused = 0;
  #turnsPerThread: number;
  /** How far the store's clock is ahead of this process. */
  #clockAheadMs = 0;

  constructor(parent: OrchestrationDispatcherOptions) {
    const { options } = parent;
    this.#parent = parent;
    this.#options = options;
    this.#provider = options.provider;
    this.#turnsPerThread = options.turnsPerThread;
    this.#measurements = new OrchestrationMetrics(parent.metrics);
    this.#traces = options.traces === null ? null : new Traces(options.traces);
    const { clock, provider, logger, turnTimeoutMs, onReplayMismatch: onMismatch } = options;
    this.#checks =
      options.replayCheckRate === 0
        ? null
        : new ReplayChecks({ clock, provider, logger, metrics: parent.metrics, turnTimeoutMs, onMismatch });
    this.#doubtful = new DoubtfulTurns({ provider, clock });
    this.#fetched = parent.metrics.series('counter', 'duraloom_items_fetched_total', { queue: 'orchestrator' });
    this.#fetchSizes = parent.metrics.series('histogram', 'duraloom_fetch_items', { queue: 'orchestrator' });
    const onError = (operation: string) => (error: unknown) => this.#storeTrouble(operation, error);
    const affinity = { runtimeId: parent.runtimeId, keptMs: options.stickyTakeoverMs };
    this.#fetches = new FetchLoop({
      clock: options.clock,
      lockMs: options.orchestrationLockMs,
      room: () => this.#room(),
      fetch: (params) => this.#provider.fetchOrchestrationItems({ ...params, accepts: this.#accepts, affinity }),
      onItems: (fetched) => this.#take(fetched),
      giveBack: (items) => this.#abandon(items, { delayMs: 0, countAttempt: false }),
      onError: onError('fetchOrchestrationItems'),
    });
    this.#leases = new LeaseKeeper({
      clock: options.clock,
      lockMs: options.orchestrationLockMs,
      list: () => [...this.#current.values()].filter(({ ahead }) => ahead === null),
      renew: (turns, lockMs) =>
        this.#provider.renewOrchestrationLocks(
          turns.map((turn) => turn.item),
          lockMs,
        ),
      onLost: (turn) => this.#lose(turn),
      onError: onError('renewOrchestrationLocks'),
    });
  }

  get stats(): OrchestrationFigures {
    return {
      turnsInFlight: this.#turns.size,
      turnsCommitted: this.#turnsCommitted,
      optimisticTurnsCommitted: this.#aheadCommitted,
      optimisticTurnsRefused: this.#aheadRefused,
      stickyInstances: this.#affinity.size,
      fetches: this.#fetches.counts,
    };
  }

  /** Turns that a thread has now. */
  inFlightOf(index: number): number {
    return [...this.#threads.values()].find(({ slot }) => slot.index === index)?.inFlight ?? 0;
  }

  /** Changes how many turns there are at once, for each thread. Those that are there go on. */
  setLimit(turnsPerThread: number): void {
    this.#turnsPerThread = turnsPerThread;
    this.#fetches.pump();
  }

  start(): void {
    this.#accepts = makeAccepts(this.#parent.names(), this.#options.versionPolicy, (refusal) => void this.#refuse(refusal));
    this.#fetches.start();
    // Inline there is no thread that could be ended; and a real one lives by the real time.
    if (this.#options.replayThreads === 0) return;
    this.#watchedMs = performance.now();
    this.#watchdog = setInterval(() => this.#watch(), WATCH_MS);
    this.#watchdog.unref();
  }

  /** Stops fetching. Resolves when no new turn can arrive. */
  stopFetching(): Promise<void> {
    return this.#fetches.stop();
  }

  /** Resolves when no turn is in flight. */
  idle(): Promise<void> {
    if (this.#turns.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Gives back what is still in flight and stops renewing. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#leases.stop();
    this.#checks?.close();
    this.#doubtful.close();
    const items = [...this.#current.values()].filter(({ ahead }) => ahead === null).map(({ item }) => item);
    // Their activities are given back by who runs them.
    this.#turns.clear();
    this.#current.clear();
    this.#following.clear();
    if (items.length > 0) await this.#giveBack(items, { delayMs: 0, countAttempt: false });
  }

  // --- threads ---------------------------------------------------------------------------------------------------------------

  onReady(slot: Slot<ReplayControl>): void {
    this.#threads.set(slot, { slot, inFlight: 0, watched: null, silentMs: 0, doomed: null, isBroken: false });
    this.#checks?.onReady(slot);
    this.#fetches.pump();
  }

  onDeath(slot: Slot<ReplayControl>, error: DurableError): void {
    const doomed = this.#threads.get(slot)?.doomed ?? null;
    this.#threads.delete(slot);
    for (const [instanceId, home] of this.#affinity) if (home.slot === slot) this.#affinity.delete(instanceId);
    const culprit = doomed === null ? slot.progress.read()?.seq : doomed.seq;
    const innocent: Turn[] = [];
    for (const turn of this.#turns.values()) {
      if (turn.slot !== slot) continue;
      // An optimistic turn is no attempt: the one that follows is, and meets the same.
      if (!this.#isCurrent(turn) || turn.ahead !== null) this.#forget(turn);
      else if (turn.seq === culprit) this.#charge(turn, doomed?.toError(turn) ?? error);
      else innocent.push(turn);
    }
    this.#options.logger.error({ thread: nameOf(slot), code: error.code, requeued: innocent.length }, error.message);
    this.#giveUp(innocent, 0);
    this.#checks?.onDeath(slot, { seq: culprit ?? null, lastCall: doomed?.lastCall ?? null });
  }

  onBatch(slot: Slot<ReplayControl>, wire: Wire): void {
    const thread = this.#threads.get(slot);
    const batch = thread === undefined ? null : this.#read(thread, wire);
    if (thread === undefined || batch === null) return;
    const { evicted, faults, replies } = batch;
    for (const instanceId of evicted) if (this.#affinity.get(instanceId)?.slot === slot) this.#affinity.delete(instanceId);
    if (faults.length > 0) this.#reportFaults(faults, 1);
    const commits: Commit[] = [];
    const misses: Turn[] = [];
    thread.silentMs = 0;
    slot.tally.itemsReceived += replies.length;
    for (const reply of replies) {
      if (reply.kind === 'check') {
        this.#checks?.onReply(slot, reply);
        continue;
      }
      if (reply.kind === 'turn' && reply.result.logUnits > 0) slot.progress.takeLogs(reply.result.logUnits);
      const turn = this.#turns.get(reply.seq);
      if (turn?.slot !== slot) continue;
      thread.inFlight -= 1;
      turn.slot = null;
      if (!this.#isCurrent(turn)) {
        this.#dropAnswer(turn, slot);
      } else if (reply.kind === 'miss') {
        turn.state = 'waiting';
        this.#affinity.delete(turn.item.instanceId);
        if (turn.ahead === null) misses.push(turn);
        else this.#forget(turn);
      } else {
        turn.state = 'committing';
        if (reply.standing !== null) turn.picked = { standing: reply.standing, home: slot };
        const commit = this.#judge(turn, reply.result);
        if (commit !== null) commits.push(commit);
      }
    }
    if (commits.length > 0) this.#commit(commits);
    if (misses.length > 0) this.#send(misses);
    this.#fetches.pump();
  }

  /** D7. */
  #read(thread: ThreadState, wire: Wire): ReplayBatch | null {
    if (thread.isBroken) return null;
    try {
      const batch = readReplayBatch(wire);
      for (const reply of batch.replies) if (reply.kind === 'turn') assertFits(reply, this.#turns.get(reply.seq)?.item);
      return batch;
    } catch (error) {
      if (!(error instanceof BrokenBatchError)) throw error;
      this.#options.logger.error({ thread: nameOf(thread.slot), code: error.code }, `a replay thread is ended: ${error.message}`);
      thread.isBroken = true;
      this.#doom(thread, { seq: error.seq ?? thread.slot.progress.read()?.seq ?? null, lastCall: null, toError: () => error });
      return null;
    }
  }

  // --- turns -----------------------------------------------------------------------------------------------------------------

  /**
   * Computes the turns that follow from ended activities (D8), as far as it can.
   *
   * @param ended - activities, by instance
   * @returns those whose turns have to wait for a fetch
   */
  computeAhead(ended: readonly EndedActivities[]): readonly EndedActivities[] {
    const left: EndedActivities[] = [];
    const wires = new Map<Slot<ReplayControl>, Wire>();
    const nowMs = this.#options.clock.nowMs() + this.#clockAheadMs;
    for (const one of ended) {
      const { instanceId, executionId, completed } = one;
      const current = this.#current.get(instanceId);
      if (current !== undefined && current.ahead !== null && current.item.executionId === executionId) {
        const following = this.#following.get(instanceId);
        if (following === undefined) this.#following.set(instanceId, [one]);
        else following.push(one);
        continue;
      }
      const home = this.#affinity.get(instanceId);
      const standing = home?.standing ?? null;
      if (home === undefined || standing?.executionId !== executionId || completed.length > MAX_MESSAGES_PER_TURN || this.#closed) {
        left.push(one);
        continue;
      }
      const caution = this.#caution.get(instanceId);
      if (caution !== undefined && caution.left > 0) {
        caution.left -= 1;
        left.push(one);
        continue;
      }
      const messages = completed.map(({ completionPayload }) => ({ messageId: 0, payload: completionPayload ?? '', attempt: 1 }));
      const item = { ...standing, lockToken: '', messages };
      const turn = this.#add(item, nowMs, one);
      this.#assign(turn, home.slot, { history: null, wires });
    }
    post(wires);
    return left;
  }

  /** How many turns could be fetched now. Optimistic ones leave a part of the room: where there are always more of them, nothing else would run. */
  #room(): number {
    const all = this.#threads.size * this.#turnsPerThread;
    const fetched = this.#turns.size - this.#turnsAhead;
    return Math.max(all - this.#turns.size, Math.ceil(all * FETCHED_SHARE) - fetched);
  }

  #add(item: OrchestrationItem, nowMs: number, ahead: EndedActivities | null): Turn {
    if (ahead !== null) this.#turnsAhead += 1;
    this.#seq = (this.#seq + 1) & 0x7fff_ffff;
    const turn: Turn = { seq: this.#seq, item, ahead, nowMs, state: 'waiting', slot: null, thread: null, picked: null };
    this.#turns.set(turn.seq, turn);
    this.#current.set(item.instanceId, turn);
    return turn;
  }

  #take(fetched: Fetched<OrchestrationItem>): void {
    this.#fetched.record(fetched.items.length);
    this.#fetchSizes.record(fetched.items.length);
    this.#clockAheadMs = fetched.nowMs - this.#options.clock.nowMs();
    const turns: Turn[] = [];
    const poisoned: Commit[] = [];
    for (const item of fetched.items) {
      this.#doubtful.noteFetched(item);
      // An older turn of it is still here: its lease ran out, or it is optimistic. Where it runs, the engine gets ahead of the store (D3).
      if (this.#current.has(item.instanceId)) {
        this.#affinity.delete(item.instanceId);
        this.#takeFollowing(item.instanceId)?.settle(false);
      }
      const turn = this.#add(item, fetched.nowMs, null);
      if (attemptOf(item) > this.#options.maxAttempts) poisoned.push(this.#quarantine(turn, this.#tooManyAttempts(item)));
      else turns.push(turn);
    }
    this.#leases.wake();
    if (poisoned.length > 0) this.#commit(poisoned);
    this.#send(turns);
  }

  /** Sends turns to threads; first reads the histories of those whose engine nobody keeps. */
  #send(turns: readonly Turn[]): void {
    const wires = new Map<Slot<ReplayControl>, Wire>();
    const cold: Turn[] = [];
    for (const turn of turns) {
      const { item } = turn;
      const home = this.#homeOf(item);
      if (item.lastEventId > 0 && home === undefined) cold.push(turn);
      else this.#assign(turn, home?.slot ?? this.#leastBusy(), { history: null, wires });
    }
    post(wires);
    if (cold.length > 0) this.#sendCold(cold);
  }

  /** The live engine of an instance; not that of another one that had its id before. */
  #homeOf({ instanceId, createdAtMs }: OrchestrationItem): Home | undefined {
    const home = this.#affinity.get(instanceId);
    if (home === undefined || home.createdAtMs === createdAtMs) return home;
    this.#dropEngine(instanceId);
    return undefined;
  }

  #sendCold(turns: readonly Turn[]): void {
    const requests = turns.map(({ item: { instanceId, executionId } }) => ({ instanceId, executionId, afterEventId: 0 }));
    this.#provider.readHistory(requests).then(
      (histories) => {
        const wires = new Map<Slot<ReplayControl>, Wire>();
        turns.forEach((turn, index) => {
          // Lost meanwhile, or given back because the runtime is closing.
          if (!this.#isCurrent(turn)) this.#forget(turn);
          else this.#assign(turn, this.#leastBusy(), { history: (histories[index] ?? []).map((page) => page.events), wires });
        });
        post(wires);
      },
      (error: unknown) => {
        this.#storeTrouble('readHistory', error);
        this.#giveUp(turns, STORE_TROUBLE_MS);
      },
    );
  }

  #assign(
    turn: Turn,
    slot: Slot<ReplayControl> | null,
    { history, wires }: { readonly history: readonly string[] | null; readonly wires: Map<Slot<ReplayControl>, Wire> },
  ): void {
    const thread = slot === null ? undefined : this.#threads.get(slot);
    if (slot === null || thread === undefined) {
      // Whoever has threads takes it; nothing is fetched here before there is one again.
      this.#giveUp([turn], 0);
      return;
    }
    const { item } = turn;
    if (thread.inFlight === 0) thread.silentMs = 0;
    thread.inFlight += 1;
    slot.tally.itemsSent += 1;
    turn.state = 'running';
    turn.slot = slot;
    turn.thread = nameOf(slot);
    this.#affinity.set(item.instanceId, { slot, createdAtMs: item.createdAtMs, standing: null });
    let wire = wires.get(slot);
    if (wire === undefined) wires.set(slot, (wire = []));
    writeTurnRequest(wire, {
      seq: turn.seq,
      instanceId: item.instanceId,
      executionId: item.executionId,
      baseEventId: item.lastEventId,
      nowMs: turn.nowMs,
      history,
      messages: item.messages.map((message) => message.payload),
    });
  }

  #leastBusy(): Slot<ReplayControl> | null {
    let best: ThreadState | null = null;
    for (const thread of this.#threads.values()) if (best === null || thread.inFlight < best.inFlight) best = thread;
    return best?.slot ?? null;
  }

  /** Decides what becomes of an answered turn. Returns null when it was given back. */
  #judge(turn: Turn, result: ReplayResult): Commit | null {
    const { outcome } = result;
    if (turn.ahead !== null && !canBeOptimistic(turn, result)) {
      this.#discard(turn);
      return null;
    }
    switch (outcome.kind) {
      case 'waiting':
        return { turn, ack: ackOf(turn, result, outcome), result };
      case 'completed':
      case 'failed':
      case 'cancelled':
      case 'continuedAsNew':
        this.#affinity.delete(turn.item.instanceId);
        return { turn, ack: ackOf(turn, result, outcome), result };
      case 'faulted':
        this.#options.logger.error({ ...aboutTurn(turn), failure: outcome.failure }, 'instance quarantined');
        return this.#quarantine(turn, outcome.failure);
      case 'notRegistered': {
        const failure = parseRecord(outcome.failure) as Failure;
        this.#warnOnce(`orchestration ${turn.item.name}`, failure);
        this.#charge(turn, failure);
        return null;
      }
    }
  }

  /** `isAgain`: each by itself, after the store has refused them all (D6). */
  #commit(commits: readonly Commit[], isAgain = false): void {
    this.#provider.ackOrchestrationItems(commits.map((commit) => commit.ack)).then(
      (outcomes) => {
        const following = commits.flatMap((commit, index) => this.#settle(commit, outcomes[index], isAgain) ?? []);
        if (following.length > 0) for (const { settle } of this.computeAhead(following)) settle(false);
        this.#fetches.pump();
      },
      (error: unknown) => {
        this.#storeTrouble('ackOrchestrationItems', error);
        const left = commits.filter(({ turn }) => this.#turns.has(turn.seq));
        if (isFaultOfItem(error) && commits.length > 1) {
          for (const commit of left) this.#commit([commit], true);
          return;
        }
        for (const { turn, result } of left) this.#tellLater(turn, result);
        if (isFaultOfItem(error)) for (const { turn } of left) this.#charge(turn, error);
        else
          this.#giveUp(
            left.map(({ turn }) => turn),
            STORE_TROUBLE_MS,
          );
      },
    );
  }

  /** Returns the activities whose turn comes next (D8); null: there are none. */
  #settle(commit: Commit, outcome: OrchestrationAckOutcome | undefined, isAgain: boolean): EndedActivities | null {
    const { turn, result } = commit;
    if (outcome === 'committed') {
      const following = this.#isCurrent(turn) ? this.#takeFollowing(turn.item.instanceId) : null;
      this.#settleAhead(turn, true);
      this.#forget(turn);
      this.#committed(commit);
      return following;
    }
    if (isAgain) this.#tellLater(turn, result);
    if (turn.ahead !== null) {
      // Something else happened to the instance first, which is no failure.
      this.#discard(turn);
      return null;
    }
    // Somebody else has the instance, or it is gone: what this process computed never happened (D3). Or a refused batch has stored it already (D6).
    this.#options.logger.warn({ ...aboutTurn(turn), outcome }, 'turn was not committed');
    this.#discard(turn);
    if (outcome === 'conflict') this.#abandon([turn.item], { delayMs: STORE_TROUBLE_MS, countAttempt: true });
    else this.#lastFailures.delete(turn.item.instanceId);
    return null;
  }

  #committed({ turn, ack, result }: Commit): void {
    const { item, picked } = turn;
    const home = this.#affinity.get(item.instanceId);
    if (home !== undefined && !this.#current.has(item.instanceId)) home.standing = standingAfter(item, ack);
    this.#tell(turn, result);
    this.#lastFailures.delete(item.instanceId);
    if (ack.cancelledActivities.length > 0) this.#parent.cancelActivities(item.instanceId, item.executionId, ack.cancelledActivities);
    if (picked !== null && result !== null) this.#check(item, result, picked);
  }

  /** D9. */
  #tell(turn: Turn, result: ReplayResult | null): void {
    const { item, nowMs } = turn;
    this.#turnsCommitted += 1;
    if (result === null) {
      const labels = { orchestration: item.name };
      this.#parent.metrics.record({ kind: 'counter', name: 'duraloom_orchestration_quarantined_total', value: 1, labels });
      return;
    }
    this.#measurements.measure({ item, result, nowMs });
    this.#traces?.committed(item, result);
    this.#writeLogs(turn, result);
  }

  #writeLogs(turn: Turn, { version, logs, droppedLogs }: ReplayResult): void {
    const { logger, nodeId } = this.#options;
    const origin = { ...aboutTurn(turn), version, nodeId };
    for (const { level, message, fields } of logs) logger[level](withOrigin(origin, fields), message);
    noteDropped({ metrics: this.#parent.metrics, logger }, { dropped: droppedLogs, why: TOO_MANY_LINES, origin });
  }

  /** D9. */
  #tellLater(turn: Turn, result: ReplayResult | null): void {
    if (result === null || !hasToTell(turn, result)) return;
    const { instanceId, executionId } = turn.item;
    this.#doubtful.add({
      instanceId,
      executionId,
      result,
      onCommitted: () => this.#tell(turn, result),
      onUnknown: () => {
        const dropped = result.logs.length + result.droppedLogs;
        const why = 'the store did not say whether their turn was committed';
        noteDropped({ metrics: this.#parent.metrics, logger: this.#options.logger }, { dropped, why, origin: aboutTurn(turn) });
      },
    });
  }

  #check({ instanceId, executionId, name }: OrchestrationItem, result: ReplayResult, picked: NonNullable<Turn['picked']>): void {
    const { version, lastEventId, events } = result;
    this.#checks?.add({ instanceId, executionId, orchestration: name, version, lastEventId, events, ...picked });
  }

  /** Gives turns back uncharged. When it is for trouble of the store, the outcome is unknown and no fault of the instance (T10). */
  #giveUp(turns: readonly Turn[], delayMs: number): void {
    const items: OrchestrationItem[] = [];
    for (const turn of turns) {
      if (this.#isCurrent(turn) && turn.ahead === null) items.push(turn.item);
      this.#discard(turn);
    }
    if (items.length > 0) this.#abandon(items, { delayMs, countAttempt: false });
    else this.#fetches.pump();
  }

  #isCurrent(turn: Turn): boolean {
    return this.#current.get(turn.item.instanceId) === turn;
  }

  /** The lease of a turn is lost. One that is being committed hears it from its ack. */
  #lose(turn: Turn): void {
    if (turn.state === 'committing' || !this.#isCurrent(turn)) return;
    const { instanceId } = turn.item;
    this.#options.logger.warn(aboutTurn(turn), 'the lease of a turn was lost; its answer will be dropped');
    this.#current.delete(instanceId);
    this.#affinity.delete(instanceId);
    this.#lastFailures.delete(instanceId);
    // In a thread it takes room until it is answered.
    if (turn.state !== 'waiting') return;
    this.#forget(turn);
    this.#fetches.pump();
  }

  /** D5: a turn that is not current was answered. Its engine is ahead of the store. */
  #dropAnswer(turn: Turn, slot: Slot<ReplayControl>): void {
    this.#forget(turn);
    if (this.#affinity.get(turn.item.instanceId)?.slot !== slot) void this.#evict(slot, turn.item.instanceId);
  }

  #forget(turn: Turn): void {
    const { instanceId } = turn.item;
    const following = this.#isCurrent(turn) ? this.#takeFollowing(instanceId) : null;
    if (this.#isCurrent(turn)) this.#current.delete(instanceId);
    this.#turns.delete(turn.seq);
    this.#settleAhead(turn, false);
    following?.settle(false);
    if (this.#turns.size > 0 || this.#onIdle === null) return;
    this.#onIdle();
    this.#onIdle = null;
  }

  /** D8. */
  #settleAhead(turn: Turn, isRecorded: boolean): void {
    const { ahead } = turn;
    if (ahead === null) return;
    turn.ahead = null;
    this.#turnsAhead -= 1;
    this.#noteAhead(ahead.instanceId, isRecorded);
    if (isRecorded) this.#aheadCommitted += 1;
    else this.#aheadRefused += 1;
    ahead.settle(isRecorded);
  }

  /** The first turn in vain may be chance. */
  #noteAhead(instanceId: string, isRecorded: boolean): void {
    const { wait } = this.#caution.get(instanceId) ?? { wait: 0 };
    if (!isRecorded) this.#caution.set(instanceId, { wait: Math.min(MAX_CAUTION, Math.max(1, wait * 2)), left: wait });
    else if (wait > 1) this.#caution.set(instanceId, { wait: wait - 1, left: wait - 1 });
    else if (wait === 1) this.#caution.delete(instanceId);
  }

  /** D8: as one, in the order in which they ended; null: there are none. */
  #takeFollowing(instanceId: string): EndedActivities | null {
    const following = this.#following.get(instanceId);
    const [first] = following ?? [];
    if (following === undefined || first === undefined) return null;
    this.#following.delete(instanceId);
    if (following.length === 1) return first;
    const settle = (isRecorded: boolean): void => {
      for (const one of following) one.settle(isRecorded);
    };
    return { instanceId, executionId: first.executionId, completed: following.flatMap(({ completed }) => completed), settle };
  }

  /** Forgets a turn together with the engine that computed it. */
  #discard(turn: Turn): void {
    if (this.#isCurrent(turn)) this.#dropEngine(turn.item.instanceId);
    this.#forget(turn);
  }

  #dropEngine(instanceId: string): void {
    const home = this.#affinity.get(instanceId);
    this.#affinity.delete(instanceId);
    if (home !== undefined) void this.#evict(home.slot, instanceId);
  }

  /** Not needed for correctness (a turn without affinity brings its history along): it frees the memory. Never rejects. */
  async #evict(slot: Slot<ReplayControl>, instanceId: string): Promise<void> {
    try {
      // The control of a closed thread throws at the call.
      await slot.control.evict([instanceId]);
    } catch (error) {
      this.#options.logger.debug({ instanceId, thread: nameOf(slot), err: error }, 'evict failed');
    }
  }

  // --- failures --------------------------------------------------------------------------------------------------------------

  /** Gives an instance back with an attempt counted and a growing delay; the quarantine follows at the next fetch when it was the last one. */
  #charge(turn: Turn, error: DurableError | Failure): void {
    const failure = error instanceof DurableError ? toFailure(error) : error;
    const { item } = turn;
    const isOptimistic = turn.ahead !== null;
    this.#discard(turn);
    if (isOptimistic) return;
    this.#lastFailures.set(item.instanceId, failure);
    this.#options.logger.warn({ ...aboutTurn(turn), code: failure.code, attempt: attemptOf(item) }, failure.message);
    this.#abandon([item], { delayMs: computeBackoffMs(attemptOf(item), this.#options.retryBackoff), countAttempt: true });
  }

  #quarantine(turn: Turn, failure: string): Commit {
    turn.state = 'committing';
    this.#dropEngine(turn.item.instanceId);
    return { turn, ack: toQuarantine(turn.item, failure), result: null };
  }

  #tooManyAttempts(item: OrchestrationItem): string {
    const last = this.#lastFailures.get(item.instanceId);
    const why = last === undefined ? 'its turns were lost with their process' : last.message;
    const error = new DurableError(
      'TOO_MANY_ATTEMPTS',
      `instance '${item.instanceId}' of '${item.name}' was tried ${this.#options.maxAttempts} times without success: ${why}`,
      last === undefined ? undefined : { cause: fromFailure(last) },
    );
    this.#options.logger.error(aboutInstance(item), error.message);
    return encodeRecord(toFailure(error));
  }

  #timeoutError({ item }: Turn, lastCall: string): DurableError {
    return new DurableError(
      'TURN_TIMEOUT',
      `orchestration '${item.name}' (instance '${item.instanceId}') kept its thread for more than ${this.#options.turnTimeoutMs} ms. Last call: ${lastCall === '' ? 'none' : lastCall}. Look for an endless loop, move heavy work into an activity, or raise \`turnTimeoutMs\``,
    );
  }

  /** Reporting twice does no harm: the first report ends the instance. */
  #reportFaults(faults: readonly FaultReport[], attempt: number): void {
    this.#provider.enqueueMessages(faults).catch((error: unknown) => {
      this.#storeTrouble('enqueueMessages', error);
      if (this.#closed) return;
      if (attempt <= FAULT_RETRIES) {
        this.#options.clock.setTimer(computeBackoffMs(attempt, FAULT_BACKOFF), () => this.#reportFaults(faults, attempt + 1));
        return;
      }
      // What the instance did between its turns is in its engine only.
      for (const { instanceId } of faults) this.#dropEngine(instanceId);
    });
  }

  #abandon(items: readonly OrchestrationItem[], how: { readonly delayMs: number; readonly countAttempt: boolean }): void {
    // Nothing rejects: failures are handled inside.
    void this.#giveBack(items, how);
  }

  async #giveBack(items: readonly OrchestrationItem[], how: { readonly delayMs: number; readonly countAttempt: boolean }): Promise<void> {
    try {
      await this.#provider.abandonOrchestrationItems(items.map(({ instanceId, lockToken }) => ({ instanceId, lockToken, ...how })));
    } catch (error) {
      // Their leases run out by themselves.
      this.#storeTrouble('abandonOrchestrationItems', error);
    }
    this.#fetches.pump();
  }

  #storeTrouble(operation: string, error: unknown): void {
    this.#options.logger.warn({ operation, err: error }, `the store failed in ${operation}; it is tried again`);
  }

  /** An instance waits that this runtime cannot run: another one may, now or after a deploy. Never rejects. */
  async #refuse({ code, reason }: Refusal): Promise<void> {
    try {
      const runtimes = (await this.#provider.listRuntimes()).map(toRuntimeInfo);
      // In a mixed fleet that is as it should be.
      if (runtimes.some(({ orchestrations }) => canRun(code, orchestrations))) return;
    } catch (error) {
      this.#storeTrouble('listRuntimes', error);
    }
    const what = code.version === null ? `'${code.name}'` : `'${code.name}' version ${code.version}`;
    const message = `instances of orchestration ${what} wait for a runtime that can run them: ${reason}. Export it from a module given as \`orchestrations\`, or start a runtime that has it`;
    this.#warnOnce(`${code.name}@${code.version ?? ''}`, { name: 'DurableError', message, code: 'ORCHESTRATION_NOT_REGISTERED' });
    this.#options.logger.warn({ orchestration: code.name, version: code.version }, message);
  }

  #warnOnce(subject: string, failure: Failure): void {
    if (this.#warned.has(subject)) return;
    this.#warned.add(subject);
    process.emitWarning(failure.message, { code: 'DURALOOM_NOT_REGISTERED', type: 'DuraloomWarning' });
  }

  // --- watchdog --------------------------------------------------------------------------------------------------------------

  #watch(): void {
    const nowMs = performance.now();
    // When this thread was busy itself, answers are waiting to be read: then a look counts no more than two.
    const passedMs = Math.min(nowMs - this.#watchedMs, 2 * WATCH_MS);
    this.#watchedMs = nowMs;
    for (const thread of this.#threads.values()) {
      if (thread.doomed !== null) continue;
      const running = thread.slot.progress.read();
      if (running === null) this.#watchSilence(thread, passedMs);
      else this.#watchTurn(thread, running, nowMs);
    }
  }

  /** A turn that does not end. */
  #watchTurn(
    thread: ThreadState,
    running: { readonly seq: number; readonly counter: number; readonly label: string },
    nowMs: number,
  ): void {
    thread.silentMs = 0;
    if (thread.watched?.counter !== running.counter) thread.watched = { counter: running.counter, sinceMs: nowMs };
    else if (nowMs - thread.watched.sinceMs > this.#options.turnTimeoutMs) {
      this.#doom(thread, { seq: running.seq, lastCall: running.label, toError: (turn) => this.#timeoutError(turn, running.label) });
    }
  }

  /** A thread that runs no turn although it has some: code of an earlier turn goes on without end. Nobody knows whose. */
  #watchSilence(thread: ThreadState, passedMs: number): void {
    thread.watched = null;
    thread.silentMs = thread.inFlight === 0 ? 0 : thread.silentMs + passedMs;
    if (thread.silentMs <= this.#options.turnTimeoutMs) return;
    this.#options.logger.error(
      { thread: nameOf(thread.slot), code: 'TURN_TIMEOUT', turnsInFlight: thread.inFlight },
      `a replay thread took up no turn for more than ${this.#options.turnTimeoutMs} ms and is ended: an orchestration goes on between its turns. Look for a loop behind an await of something that is not durable`,
    );
    this.#doom(thread, { seq: null, lastCall: '', toError: (turn) => this.#timeoutError(turn, '') });
  }

  #doom(thread: ThreadState, doomed: NonNullable<ThreadState['doomed']>): void {
    thread.doomed = doomed;
    this.#parent.terminate(thread.slot);
  }
}

/** What a turn may have done to its instance. */
function assertFits({ seq, result }: Extract<TurnReply, { kind: 'turn' }>, item: OrchestrationItem | undefined): void {
  // Nothing of a turn that failed is committed.
  if (item === undefined || result.outcome.kind === 'faulted' || result.outcome.kind === 'notRegistered') return;
  const { firstEventId, lastEventId, consumedMessages } = result;
  const isNext = firstEventId === item.lastEventId + 1 && lastEventId >= item.lastEventId;
  if (isNext && consumedMessages >= 0 && consumedMessages <= item.messages.length) return;
  throw new BrokenBatchError(`the answer to a turn of '${item.instanceId}' does not follow its event ${item.lastEventId}`, seq);
}

/** More than that there was a turn. */
function hasToTell({ item }: Turn, { outcome, logs, droppedLogs, effects }: ReplayResult): boolean {
  const isMidway = outcome.kind === 'waiting' && item.lastEventId > 0;
  return !isMidway || logs.length + droppedLogs > 0 || (effects?.metrics.length ?? 0) > 0;
}

/** An optimistic turn has to use up what it was computed for, and does nothing that concerns more than its own commit. */
function canBeOptimistic({ item }: Turn, { outcome, consumedMessages }: ReplayResult): boolean {
  switch (outcome.kind) {
    case 'waiting':
      return consumedMessages === item.messages.length;
    case 'completed':
    case 'failed':
    case 'cancelled':
      return true;
    case 'continuedAsNew':
    case 'notRegistered':
    case 'faulted':
      return false;
  }
}

function ackOf({ item, ahead }: Turn, result: ReplayResult, outcome: CommittedOutcome): OrchestrationAck {
  const ack = toAck(item, result, outcome);
  return ahead === null
    ? ack
    : { ...ack, lockToken: null, consumedMessageIds: [], completed: ahead.completed, createdAtMs: item.createdAtMs };
}

/** What an instance is after a turn; null: nobody here knows. */
function standingAfter(item: OrchestrationItem, { status, version, page, next, baseEventId }: OrchestrationAck): Standing | null {
  if (status !== 'Running' || next !== null) return null;
  const { messages: _, lockToken: __, ...standing } = item;
  return { ...standing, status, version, lastEventId: page?.lastEventId ?? baseEventId };
}

function nameOf({ index }: Slot<ReplayControl>): string {
  return `replay-${index}`;
}

/** Fields of the log lines about an instance. */
function aboutInstance({ instanceId, executionId, name: orchestration, version }: OrchestrationItem) {
  return { instanceId, executionId, orchestration, version };
}

/** Fields of the log lines about a turn. */
function aboutTurn({ item, thread }: Turn) {
  return { ...aboutInstance(item), thread: thread ?? 'main' };
}

function attemptOf(item: OrchestrationItem): number {
  return item.messages.reduce((most, message) => Math.max(most, message.attempt), 1);
}

function post(wires: ReadonlyMap<Slot<ReplayControl>, Wire>): void {
  for (const [slot, wire] of wires) slot.post(wire);
}
