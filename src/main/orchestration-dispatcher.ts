// Moves turns: orchestrator queue → replay threads → commit. Neighbours: fetch-loop.ts, turn-commit.ts (pure), lease-keeper.ts,
// threads/thread-pool.ts (the threads), activity-dispatcher.ts (is told of cancelled activities).
//
// D1. Nothing leaves the main thread before its commit: no activity is cancelled, no line logged on the strength of an uncommitted turn.
// D2. Every fetched item ends in exactly one of: ack, abandon. Until then it is in `#turns` and its lease is renewed.
// D3. A live engine is only trusted while every turn of it was committed. After any other outcome the affinity is dropped here and the
//     engine in its thread, and the next turn starts from history.
// D4. When a thread dies, only the instance whose turn was running is charged an attempt.
import type { Provider, Fetched, OrchestrationAck, OrchestrationItem } from '../provider/provider.ts';
import { encodeRecord, parseRecord } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import type { ReplayResult } from '../types/replay.ts';
import type { ReplayControl } from '../threads/control.ts';
import { readReplayBatch, writeTurnRequest, type FaultReport, type Wire } from '../threads/messages.ts';
import type { PoolListener, Slot } from '../threads/thread-pool.ts';
import { FetchLoop } from './fetch-loop.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { ResolvedRuntimeOptions } from './options.ts';
import { computeBackoffMs, toAck, toQuarantine } from './turn-commit.ts';

type Turn = {
  readonly seq: number;
  readonly item: OrchestrationItem;
  readonly nowMs: number;
  /** The thread that has it; null: waits for a thread, or was answered and is being committed. */
  slot: Slot<ReplayControl> | null;
};

/** A turn that is to be committed, with what the commit allows. */
type Commit = { readonly turn: Turn; readonly ack: OrchestrationAck; readonly result: ReplayResult | null };

type ThreadState = {
  readonly slot: Slot<ReplayControl>;
  inFlight: number;
  /** What the watchdog saw last. */
  watched: { readonly counter: number; readonly sinceMs: number } | null;
  /** Set when the watchdog ended the thread. */
  timedOut: boolean;
};

/** What the dispatcher needs of its runtime. */
export type OrchestrationDispatcherOptions = {
  readonly options: ResolvedRuntimeOptions;
  /** Activities of a committed turn that nobody wants any more. */
  readonly cancelActivities: (instanceId: string, executionId: number, eventIds: readonly number[]) => void;
  readonly terminate: (slot: Slot<ReplayControl>) => void;
};

/** Wait before a turn that failed in the store is tried again, in milliseconds. */
const STORE_TROUBLE_MS = 200;
/** How often the watchdog looks, in milliseconds. */
const WATCH_MS = 100;

/** The dispatcher of the orchestrator queue. */
export class OrchestrationDispatcher implements PoolListener<ReplayControl> {
  readonly #options: ResolvedRuntimeOptions;
  readonly #provider: Provider;
  readonly #parent: OrchestrationDispatcherOptions;
  readonly #fetches: FetchLoop<OrchestrationItem>;
  readonly #leases: LeaseKeeper<OrchestrationItem>;
  readonly #threads = new Map<Slot<ReplayControl>, ThreadState>();
  readonly #turns = new Map<number, Turn>();
  /** Turns without a living thread. */
  #homeless: Turn[] = [];
  /** Which thread keeps the live engine of an instance. Bounded by the threads' caches: they tell what they evict. */
  readonly #affinity = new Map<string, Slot<ReplayControl>>();
  /** Why an instance was charged its last attempt; kept until a turn of it commits. */
  readonly #lastFailures = new Map<string, Failure>();
  readonly #warned = new Set<string>();
  #seq = 0;
  #watchdog: NodeJS.Timeout | null = null;
  #onIdle: (() => void) | null = null;
  #turnsCommitted = 0;

  constructor(parent: OrchestrationDispatcherOptions) {
    const { options } = parent;
    this.#parent = parent;
    this.#options = options;
    this.#provider = options.provider;
    const onError = (operation: string) => (error: unknown) => this.#storeTrouble(operation, error);
    this.#fetches = new FetchLoop({
      clock: options.clock,
      lockMs: options.orchestrationLockMs,
      room: () => (this.#threads.size === 0 ? 0 : this.#threads.size * options.turnsPerThread - this.#turns.size),
      fetch: (params) => this.#provider.fetchOrchestrationItems(params),
      onItems: (fetched) => this.#take(fetched),
      giveBack: (items) => this.#abandon(items, { delayMs: 0, countAttempt: false }),
      onError: onError('fetchOrchestrationItems'),
    });
    this.#leases = new LeaseKeeper({
      clock: options.clock,
      lockMs: options.orchestrationLockMs,
      list: () => Array.from(this.#turns.values(), (turn) => turn.item),
      renew: (items, lockMs) => this.#provider.renewOrchestrationLocks(items, lockMs),
      // The turn goes on; its ack will be refused.
      onLost: () => undefined,
      onError: onError('renewOrchestrationLocks'),
    });
  }

  get stats(): { readonly turnsInFlight: number; readonly turnsCommitted: number; readonly stickyInstances: number } {
    return { turnsInFlight: this.#turns.size, turnsCommitted: this.#turnsCommitted, stickyInstances: this.#affinity.size };
  }

  start(): void {
    this.#fetches.start();
    this.#leases.start();
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
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#leases.stop();
    const items = Array.from(this.#turns.values(), (turn) => turn.item);
    this.#turns.clear();
    if (items.length > 0) await this.#giveBack(items, { delayMs: 0, countAttempt: false });
  }

  // --- threads ---------------------------------------------------------------------------------------------------------------

  onReady(slot: Slot<ReplayControl>): void {
    this.#threads.set(slot, { slot, inFlight: 0, watched: null, timedOut: false });
    const turns = this.#homeless;
    this.#homeless = [];
    if (turns.length > 0) this.#send(turns);
    this.#fetches.pump();
  }

  onDeath(slot: Slot<ReplayControl>, error: DurableError): void {
    const thread = this.#threads.get(slot);
    this.#threads.delete(slot);
    for (const [instanceId, owner] of this.#affinity) if (owner === slot) this.#affinity.delete(instanceId);
    const running = slot.progress.read();
    const innocent: OrchestrationItem[] = [];
    for (const turn of this.#turns.values()) {
      if (turn.slot !== slot) continue;
      this.#forget(turn);
      if (turn.seq === running?.seq) this.#charge(turn, thread?.timedOut === true ? this.#timeoutError(turn, running.label) : error);
      else innocent.push(turn.item);
    }
    this.#options.logger.error({ code: error.code, requeued: innocent.length }, error.message);
    if (innocent.length > 0) this.#abandon(innocent, { delayMs: 0, countAttempt: false });
  }

  onBatch(slot: Slot<ReplayControl>, wire: Wire): void {
    const { evicted, faults, replies } = readReplayBatch(wire);
    for (const instanceId of evicted) if (this.#affinity.get(instanceId) === slot) this.#affinity.delete(instanceId);
    if (faults.length > 0) this.#reportFaults(faults);
    const commits: Commit[] = [];
    const misses: Turn[] = [];
    const thread = this.#threads.get(slot);
    for (const reply of replies) {
      const turn = this.#turns.get(reply.seq);
      if (turn?.slot !== slot) continue;
      if (thread !== undefined) thread.inFlight -= 1;
      turn.slot = null;
      if (reply.kind === 'miss') {
        this.#affinity.delete(turn.item.instanceId);
        misses.push(turn);
        continue;
      }
      const commit = this.#judge(turn, reply.result);
      if (commit !== null) commits.push(commit);
    }
    if (commits.length > 0) this.#commit(commits);
    if (misses.length > 0) this.#send(misses);
    this.#fetches.pump();
  }

  // --- turns -----------------------------------------------------------------------------------------------------------------

  #take(fetched: Fetched<OrchestrationItem>): void {
    const turns: Turn[] = [];
    const poisoned: Commit[] = [];
    for (const item of fetched.items) {
      this.#seq = (this.#seq + 1) & 0x7fff_ffff;
      const turn: Turn = { seq: this.#seq, item, nowMs: fetched.nowMs, slot: null };
      this.#turns.set(turn.seq, turn);
      if (attemptOf(item) > this.#options.maxAttempts) poisoned.push(this.#quarantine(turn, this.#tooManyAttempts(item)));
      else turns.push(turn);
    }
    if (poisoned.length > 0) this.#commit(poisoned);
    this.#send(turns);
  }

  /** Sends turns to threads; first reads the histories of those whose engine nobody keeps. */
  #send(turns: readonly Turn[]): void {
    const wires = new Map<Slot<ReplayControl>, Wire>();
    const cold: Turn[] = [];
    for (const turn of turns) {
      const { item } = turn;
      const home = this.#affinity.get(item.instanceId);
      if (item.lastEventId > 0 && home === undefined) cold.push(turn);
      else this.#assign(turn, home ?? this.#leastBusy(), { history: null, wires });
    }
    post(wires);
    if (cold.length > 0) this.#sendCold(cold);
  }

  #sendCold(turns: readonly Turn[]): void {
    const requests = turns.map(({ item: { instanceId, executionId } }) => ({ instanceId, executionId, afterEventId: 0 }));
    this.#provider.readHistory(requests).then(
      (histories) => {
        const wires = new Map<Slot<ReplayControl>, Wire>();
        turns.forEach((turn, index) => {
          // Given back meanwhile: the runtime is closing.
          if (!this.#turns.has(turn.seq)) return;
          this.#assign(turn, this.#leastBusy(), { history: (histories[index] ?? []).map((page) => page.events), wires });
        });
        post(wires);
      },
      (error: unknown) => {
        this.#storeTrouble('readHistory', error);
        this.#giveUp(turns);
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
      this.#homeless.push(turn);
      return;
    }
    const { item } = turn;
    thread.inFlight += 1;
    turn.slot = slot;
    this.#affinity.set(item.instanceId, slot);
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
    switch (outcome.kind) {
      case 'waiting':
        return { turn, ack: toAck(turn.item, result, outcome), result };
      case 'completed':
      case 'failed':
      case 'cancelled':
      case 'continuedAsNew':
        this.#affinity.delete(turn.item.instanceId);
        return { turn, ack: toAck(turn.item, result, outcome), result };
      case 'faulted':
        this.#options.logger.error({ instanceId: turn.item.instanceId, failure: outcome.failure }, 'instance quarantined');
        return this.#quarantine(turn, outcome.failure);
      case 'notRegistered': {
        const failure = parseRecord(outcome.failure) as Failure;
        this.#warnOnce(`orchestration ${turn.item.name}`, failure);
        this.#forget(turn);
        this.#charge(turn, failure);
        return null;
      }
    }
  }

  #commit(commits: readonly Commit[]): void {
    this.#provider.ackOrchestrationItems(commits.map((commit) => commit.ack)).then(
      (outcomes) => {
        commits.forEach((commit, index) => {
          this.#forget(commit.turn);
          const outcome = outcomes[index];
          if (outcome === 'committed') this.#committed(commit);
          else {
            // Somebody else has the instance, or it is gone: what this process computed never happened (D3).
            this.#options.logger.warn({ instanceId: commit.turn.item.instanceId, outcome }, 'turn was not committed');
            this.#dropEngine(commit.turn.item.instanceId);
            if (outcome === 'conflict') this.#abandon([commit.turn.item], { delayMs: STORE_TROUBLE_MS, countAttempt: true });
          }
        });
        this.#fetches.pump();
      },
      (error: unknown) => {
        this.#storeTrouble('ackOrchestrationItems', error);
        this.#giveUp(commits.map((commit) => commit.turn));
      },
    );
  }

  #committed({ turn: { item }, ack, result }: Commit): void {
    this.#turnsCommitted += 1;
    this.#lastFailures.delete(item.instanceId);
    if (ack.cancelledActivities.length > 0) this.#parent.cancelActivities(item.instanceId, item.executionId, ack.cancelledActivities);
    for (const { level, message, fields } of result?.logs ?? []) {
      this.#options.logger[level](
        { instanceId: item.instanceId, executionId: item.executionId, orchestration: item.name, ...fields },
        message,
      );
    }
  }

  /** The outcome is unknown, the store is in trouble: no fault of the instance (T10). */
  #giveUp(turns: readonly Turn[]): void {
    for (const turn of turns) {
      this.#forget(turn);
      this.#dropEngine(turn.item.instanceId);
    }
    this.#abandon(
      turns.map((turn) => turn.item),
      { delayMs: STORE_TROUBLE_MS, countAttempt: false },
    );
  }

  #forget(turn: Turn): void {
    this.#turns.delete(turn.seq);
    if (this.#turns.size > 0 || this.#onIdle === null) return;
    this.#onIdle();
    this.#onIdle = null;
  }

  #dropEngine(instanceId: string): void {
    const slot = this.#affinity.get(instanceId);
    this.#affinity.delete(instanceId);
    // Not needed for correctness (a turn without affinity brings its history along): it frees the memory.
    slot?.control.evict([instanceId]).catch((error: unknown) => this.#options.logger.debug({ error }, 'evict failed'));
  }

  // --- failures --------------------------------------------------------------------------------------------------------------

  /** Gives an instance back with an attempt counted and a growing delay; the quarantine follows at the next fetch when it was the last one. */
  #charge(turn: Turn, error: DurableError | Failure): void {
    const failure = error instanceof DurableError ? toFailure(error) : error;
    const { item } = turn;
    this.#dropEngine(item.instanceId);
    this.#lastFailures.set(item.instanceId, failure);
    this.#options.logger.warn({ instanceId: item.instanceId, code: failure.code, attempt: attemptOf(item) }, failure.message);
    this.#abandon([item], { delayMs: computeBackoffMs(attemptOf(item), this.#options.retryBackoff), countAttempt: true });
  }

  #quarantine(turn: Turn, failure: string): Commit {
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
    this.#options.logger.error({ instanceId: item.instanceId }, error.message);
    return encodeRecord(toFailure(error));
  }

  #timeoutError({ item }: Turn, lastCall: string): DurableError {
    return new DurableError(
      'TURN_TIMEOUT',
      `orchestration '${item.name}' (instance '${item.instanceId}') kept its thread for more than ${this.#options.turnTimeoutMs} ms. Last call: ${lastCall === '' ? 'none' : lastCall}. Look for an endless loop, move heavy work into an activity, or raise \`turnTimeoutMs\``,
    );
  }

  #reportFaults(faults: readonly FaultReport[]): void {
    this.#provider.enqueueMessages(faults).catch((error: unknown) => this.#storeTrouble('enqueueMessages', error));
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
    this.#options.logger.warn({ operation, error }, `the store failed in ${operation}; it is tried again`);
  }

  #warnOnce(subject: string, failure: Failure): void {
    if (this.#warned.has(subject)) return;
    this.#warned.add(subject);
    process.emitWarning(failure.message, { code: 'DURALOOM_NOT_REGISTERED', type: 'DuraloomWarning' });
  }

  // --- watchdog --------------------------------------------------------------------------------------------------------------

  #watch(): void {
    const nowMs = performance.now();
    for (const thread of this.#threads.values()) {
      const running = thread.slot.progress.read();
      if (running === null) thread.watched = null;
      else if (thread.watched?.counter !== running.counter) thread.watched = { counter: running.counter, sinceMs: nowMs };
      else if (!thread.timedOut && nowMs - thread.watched.sinceMs > this.#options.turnTimeoutMs) {
        thread.timedOut = true;
        this.#parent.terminate(thread.slot);
      }
    }
  }
}

function attemptOf(item: OrchestrationItem): number {
  return item.messages.reduce((most, message) => Math.max(most, message.attempt), 1);
}

function post(wires: ReadonlyMap<Slot<ReplayControl>, Wire>): void {
  for (const [slot, wire] of wires) slot.post(wire);
}
