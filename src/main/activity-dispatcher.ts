// Moves activities: worker queue → activity threads → completion. Neighbours: fetch-loop.ts, lease-keeper.ts, threads/thread-pool.ts.
//
// W1. Every fetched item ends in exactly one of: ack, abandon, or the news that it is gone. Until then it is in `#running` and its lease is renewed.
// W2. A thread gets what it can run at once, and ahead of that only what it finishes within a few milliseconds: trivial activities keep
//     their thread busy, long ones are not queued behind each other while another thread is free.
// W3. When a thread dies and nobody knows by whose doing, nobody is charged: all that it ran become suspects. A suspect runs alone on its
//     thread: if it kills it again, it is charged and takes no other with it.
// W4. What cannot start soon is not kept from other hosts: items that found no room go back when their threads have shown no speed.
import type { Fetched, Provider, WorkItem, WorkItemAck } from '../provider/provider.ts';
import { encodeRecord } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import type { ActivityControl } from '../threads/control.ts';
import { readActivityBatch, writeActivityRequest, type ActivityLog, type Wire } from '../threads/messages.ts';
import type { PoolListener, Slot } from '../threads/thread-pool.ts';
import { FetchLoop } from './fetch-loop.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { ResolvedRuntimeOptions } from './options.ts';
import { computeBackoffMs } from './turn-commit.ts';

type Running = {
  readonly seq: number;
  readonly item: WorkItem;
  /** The thread that has it; null: waits for one, or was answered and is being committed. */
  thread: ThreadState | null;
};

type ThreadState = {
  readonly slot: Slot<ActivityControl>;
  inFlight: number;
  /** How many activities it is supplied ahead of those that it can run at once (W2). */
  ahead: number;
  lastBatchMs: number;
  /** It runs a suspect alone (W3). */
  alone: boolean;
};

/** An activity that waits no longer in its thread is not kept from another thread or host, in milliseconds (W2). */
const LONG_WAIT_MS = 10;
/** A thread that has not answered for this long may be given something else now, in milliseconds (W2, W4): when it is idle, and when it is busy. */
const FORGET_IDLE_MS = 30;
const FORGET_BUSY_MS = 300;
/** Most activities that a thread is supplied ahead with. */
const AHEAD_MAX = 2_048;
/** From this attempt on an activity is a suspect (W3), whatever this process knows. Two crashes of the process may hit anybody. */
const SUSPECT_ATTEMPT = 3;
/** A result whose commit fails is offered again this often, while its lease lasts. */
const ACK_RETRIES = 5;
const ACK_BACKOFF = { initialMs: 50, maximumMs: 1_000 };

/** The dispatcher of the worker queue. */
export class ActivityDispatcher implements PoolListener<ActivityControl> {
  readonly #options: ResolvedRuntimeOptions;
  readonly #provider: Provider;
  readonly #fetches: FetchLoop<WorkItem>;
  readonly #leases: LeaseKeeper<WorkItem>;
  readonly #threads = new Map<Slot<ActivityControl>, ThreadState>();
  readonly #running = new Map<number, Running>();
  /** Waiting for a thread, in order. */
  #homeless: Running[] = [];
  #suspects: Running[] = [];
  /** Keys of activities that were on a thread when it died. */
  readonly #suspectKeys = new Set<string>();
  readonly #lastFailures = new Map<string, Failure>();
  readonly #warned = new Set<string>();
  #seq = 0;
  #onIdle: (() => void) | null = null;
  #completed = 0;

  constructor(options: ResolvedRuntimeOptions) {
    this.#options = options;
    this.#provider = options.provider;
    const onError = (operation: string) => (error: unknown) => this.#storeTrouble(operation, error);
    this.#fetches = new FetchLoop({
      clock: options.clock,
      lockMs: options.activityLockMs,
      room: () => this.#room(),
      fetch: (params) => this.#provider.fetchWorkItems(params),
      onItems: (fetched) => this.#take(fetched),
      giveBack: (items) => this.#abandon(items, { delayMs: 0, countAttempt: false }),
      onError: onError('fetchWorkItems'),
    });
    this.#leases = new LeaseKeeper({
      clock: options.clock,
      lockMs: options.activityLockMs,
      list: () => Array.from(this.#running.values(), (running) => running.item),
      renew: (items, lockMs) => this.#provider.renewWorkLocks(items, lockMs),
      // Cancelled by its orchestration, or handed to somebody else: the result is worth nothing here.
      onLost: (item) => this.cancel(item.instanceId, item.executionId, [item.eventId]),
      onError: onError('renewWorkLocks'),
    });
  }

  get stats(): { readonly activitiesInFlight: number; readonly activitiesCompleted: number } {
    return { activitiesInFlight: this.#running.size, activitiesCompleted: this.#completed };
  }

  start(): void {
    this.#fetches.start();
    this.#leases.start();
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
    const running = [...this.#running.values()];
    this.#running.clear();
    this.#cancelInThreads(running);
    const items = running.map(({ item }) => item);
    if (items.length > 0) await this.#giveBack(items, { delayMs: 0, countAttempt: false });
  }

  /**
   * Aborts activities, if they run here.
   *
   * @param instanceId - their orchestration
   * @param executionId - its execution
   * @param eventIds - the events that scheduled them
   */
  cancel(instanceId: string, executionId: number, eventIds: readonly number[]): void {
    const wanted = new Set(eventIds);
    this.#cancelInThreads(
      [...this.#running.values()].filter(
        ({ item }) => item.instanceId === instanceId && item.executionId === executionId && wanted.has(item.eventId),
      ),
    );
  }

  // --- threads ---------------------------------------------------------------------------------------------------------------

  onReady(slot: Slot<ActivityControl>): void {
    this.#threads.set(slot, { slot, inFlight: 0, ahead: 0, lastBatchMs: 0, alone: false });
    this.#place();
    this.#fetches.pump();
  }

  onDeath(slot: Slot<ActivityControl>, error: DurableError): void {
    const thread = this.#threads.get(slot);
    this.#threads.delete(slot);
    const lost = [...this.#running.values()].filter((running) => running.thread === thread && thread !== undefined);
    // Code that ran synchronously is the culprit, and so is one that was alone; else anyone may be.
    const culprit = slot.progress.read()?.seq ?? (lost.length === 1 ? lost[0]?.seq : undefined);
    for (const running of lost) {
      this.#forget(running);
      if (running.seq === culprit) this.#charge(running.item, toFailure(error));
      else {
        if (culprit === undefined) this.#suspectKeys.add(keyOf(running.item));
        this.#abandon([running.item], { delayMs: 0, countAttempt: false });
      }
    }
    this.#options.logger.error({ code: error.code, lost: lost.length }, error.message);
  }

  onBatch(slot: Slot<ActivityControl>, wire: Wire): void {
    const thread = this.#threads.get(slot);
    const { longestWaitMs, logs, replies } = readActivityBatch(wire);
    for (const log of logs) this.#log(log);
    const acks: { readonly running: Running; readonly ack: WorkItemAck }[] = [];
    for (const { seq, completionPayload } of replies) {
      const running = this.#running.get(seq);
      if (running === undefined || thread === undefined || running.thread !== thread) continue;
      running.thread = null;
      thread.inFlight -= 1;
      if (completionPayload === null) this.#notRegistered(running);
      else acks.push({ running, ack: { ...lockOf(running.item), completionPayload } });
    }
    if (thread !== undefined) {
      thread.alone &&= thread.inFlight > 0;
      adjustAhead(thread, replies.length, longestWaitMs);
    }
    if (acks.length > 0) this.#commit(acks, 1);
    this.#place();
    this.#fetches.pump();
  }

  // --- activities ------------------------------------------------------------------------------------------------------------

  /** How many items could be sent to threads now. */
  #room(): number {
    let room = -this.#homeless.length - this.#suspects.length;
    for (const thread of this.#threads.values()) room += Math.max(0, this.#capacity(thread) - thread.inFlight);
    return room;
  }

  #capacity(thread: ThreadState): number {
    if (thread.alone) return 0;
    return this.#options.activitiesPerThread + aheadOf(thread);
  }

  #take(fetched: Fetched<WorkItem>): void {
    // What an idle thread could do once says nothing about what comes now.
    for (const thread of this.#threads.values()) thread.ahead = aheadOf(thread);
    for (const item of fetched.items) {
      this.#seq = (this.#seq + 1) & 0x7fff_ffff;
      const running: Running = { seq: this.#seq, item, thread: null };
      this.#running.set(running.seq, running);
      if (item.attempt > this.#options.maxAttempts) this.#fail(running, this.#tooManyAttempts(item));
      else if (item.attempt >= SUSPECT_ATTEMPT || this.#suspectKeys.has(keyOf(item))) this.#suspects.push(running);
      else this.#homeless.push(running);
    }
    this.#place();
    this.#returnSurplus();
  }

  /** W4: the fetch was opened when the threads were fast, and they are not any more. */
  #returnSurplus(): void {
    if (this.#homeless.length === 0 || [...this.#threads.values()].some((thread) => aheadOf(thread) > 0)) return;
    const surplus = this.#homeless;
    this.#homeless = [];
    for (const running of surplus) this.#forget(running);
    this.#abandon(
      surplus.map(({ item }) => item),
      { delayMs: 0, countAttempt: false },
    );
  }

  /** Sends what waits to threads, each to the one with the most room. */
  #place(): void {
    const wires = new Map<ThreadState, Wire>();
    for (const thread of this.#threads.values()) {
      if (this.#suspects.length === 0 || thread.inFlight > 0) continue;
      const suspect = this.#suspects.shift();
      if (suspect === undefined) break;
      this.#assign(suspect, thread, wires);
      thread.alone = true;
    }
    // One thread is left to run dry for the suspects that wait.
    const reserved = this.#suspects.length > 0 ? this.#threads.values().next().value : undefined;
    let placed = 0;
    for (const running of this.#homeless) {
      let best: ThreadState | null = null;
      for (const thread of this.#threads.values()) {
        if (thread === reserved || thread.inFlight >= this.#capacity(thread)) continue;
        if (best === null || thread.inFlight < best.inFlight) best = thread;
      }
      if (best === null) break;
      this.#assign(running, best, wires);
      placed += 1;
    }
    this.#homeless = placed === this.#homeless.length ? [] : this.#homeless.slice(placed);
    for (const [thread, wire] of wires) thread.slot.post(wire);
  }

  #assign(running: Running, thread: ThreadState, wires: Map<ThreadState, Wire>): void {
    const { item } = running;
    thread.inFlight += 1;
    running.thread = thread;
    let wire = wires.get(thread);
    if (wire === undefined) wires.set(thread, (wire = []));
    writeActivityRequest(wire, {
      seq: running.seq,
      instanceId: item.instanceId,
      executionId: item.executionId,
      eventId: item.eventId,
      name: item.name,
      input: item.payload,
      attempt: item.attempt,
    });
  }

  #commit(acks: readonly { readonly running: Running; readonly ack: WorkItemAck }[], attempt: number): void {
    this.#provider.ackWorkItems(acks.map(({ ack }) => ack)).then(
      (outcomes) => {
        acks.forEach(({ running }, index) => {
          this.#forget(running);
          const key = keyOf(running.item);
          this.#lastFailures.delete(key);
          this.#suspectKeys.delete(key);
          if (outcomes[index] === 'done') this.#completed += 1;
          else this.#options.logger.debug({ ...lockOf(running.item), outcome: outcomes[index] }, 'activity result was not wanted');
        });
        this.#fetches.pump();
      },
      (error: unknown) => {
        this.#storeTrouble('ackWorkItems', error);
        const left = acks.filter(({ running }) => this.#running.has(running.seq));
        if (attempt <= ACK_RETRIES) {
          this.#options.clock.setTimer(computeBackoffMs(attempt, ACK_BACKOFF), () => this.#commit(left, attempt + 1));
          return;
        }
        for (const { running } of left) this.#forget(running);
        this.#abandon(
          left.map(({ running }) => running.item),
          { delayMs: ACK_BACKOFF.maximumMs, countAttempt: false },
        );
      },
    );
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
    for (const [thread, seqs] of byThread) {
      thread.slot.control.cancel(seqs).catch((error: unknown) => this.#options.logger.debug({ error }, 'cancel failed'));
    }
  }

  #log({ seq, line }: ActivityLog): void {
    const item = this.#running.get(seq)?.item;
    const origin =
      item === undefined ? {} : { instanceId: item.instanceId, executionId: item.executionId, activity: item.name, attempt: item.attempt };
    this.#options.logger[line.level]({ ...origin, ...line.fields }, line.message);
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
    this.#forget(running);
    this.#charge(item, toFailure(error));
  }

  /** Gives an item back with an attempt counted and a growing delay. */
  #charge(item: WorkItem, failure: Failure): void {
    this.#lastFailures.set(keyOf(item), failure);
    this.#abandon([item], { delayMs: computeBackoffMs(item.attempt, this.#options.retryBackoff), countAttempt: true });
  }

  /** Ends an activity with an error that its orchestration sees. */
  #fail(running: Running, failure: Failure): void {
    const { item } = running;
    const completionPayload = encodeRecord({ kind: 'ActivityFailed', executionId: item.executionId, sourceId: item.eventId, failure });
    this.#commit([{ running, ack: { ...lockOf(item), completionPayload } }], 1);
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
      await this.#provider.abandonWorkItems(items.map((item) => ({ ...lockOf(item), ...how })));
    } catch (error) {
      // Their leases run out by themselves.
      this.#storeTrouble('abandonWorkItems', error);
    }
    this.#fetches.pump();
  }

  #storeTrouble(operation: string, error: unknown): void {
    this.#options.logger.warn({ operation, error }, `the store failed in ${operation}; it is tried again`);
  }
}

function lockOf({ instanceId, executionId, eventId, lockToken }: WorkItem): Omit<WorkItemAck, 'completionPayload'> {
  return { instanceId, executionId, eventId, lockToken };
}

function keyOf(item: WorkItem): string {
  return `${item.instanceId} ${item.executionId} ${item.eventId}`;
}

/** How many activities a thread is supplied ahead: none when it has not answered lately, its speed is not known then. */
function aheadOf(thread: ThreadState): number {
  const forgetMs = thread.inFlight === 0 ? FORGET_IDLE_MS : FORGET_BUSY_MS;
  return performance.now() - thread.lastBatchMs > forgetMs ? 0 : thread.ahead;
}

/** W2: the supply grows by what was answered while nothing waited long, and is halved when something did. */
function adjustAhead(thread: ThreadState, answers: number, longestWaitMs: number): void {
  thread.lastBatchMs = performance.now();
  thread.ahead = longestWaitMs > LONG_WAIT_MS ? thread.ahead >> 1 : Math.min(AHEAD_MAX, thread.ahead + answers);
}
