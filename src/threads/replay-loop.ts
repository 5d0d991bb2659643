// The work of a replay thread: takes batches of turns from its port, steps engines, keeps them alive between turns, answers in batches.
// Runs in a worker thread (replay-thread.ts) or, inline, in the main thread (thread-pool.ts). Neighbours: replay/replay-engine.ts,
// replay-check.ts.
//
// L1. Turns run from the port's message callback: a macrotask. Inside a microtask no synchronous drain works.
// L2. One turn at a time on a thread, also when the drain is asynchronous.
// L3. A live engine is used only when it stands exactly at the stored event of the same execution; else the answer is `miss`.
// L4. The cache is bounded by weight. What is evicted is told to main with the next batch.
// L5. A check begins in a macrotask of its own, when no turn waits. It has an engine of its own, touches no other and not the cache, and what
//     its code does later is nobody's: the live engine reports that by itself.
// L6. Only user code runs as code of an instance; nothing of ours that it sets off does, in this thread or inline in main.
// L7. Log lines go with the result of their turn. While main has too many of this thread that it has not taken, those of a turn are dropped.
import { AsyncLocalStorage } from 'node:async_hooks';
import { isMainThread, threadId } from 'node:worker_threads';
import { parseMessage } from '../replay/message.ts';
import { ReplayEngine } from '../replay/replay-engine.ts';
import type { ReplayHost } from '../replay/replay-host.ts';
import type { Scope } from '../replay/scope.ts';
import { validateHistory } from '../replay/validate-history.ts';
import type { Clock } from '../types/clock.ts';
import { encodeRecord } from '../types/codec.ts';
import { HistoryError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import { MAX_THREAD_LOG_UNITS } from '../types/limits.ts';
import { takeLogLine } from '../types/log-line.ts';
import { isWanted, type LogThreshold } from '../types/logger.ts';
import type { History, ReplayResult } from '../types/replay.ts';
import { asLoadResult, type LoadResult, type ReplayControl } from './control.ts';
import { beginTrace } from './begin-trace.ts';
import { chooseDrain, type Drain } from './drain.ts';
import { installGuards } from './guarded-globals.ts';
import {
  BrokenBatchError,
  readCheckRequest,
  readTurnRequests,
  writeReplayBatch,
  type CheckReply,
  type CheckRequest,
  type FaultReport,
  type TurnReply,
  type TurnRequest,
  type Wire,
} from './messages.ts';
import type { Progress } from './progress.ts';
import { isPicked, runCheck } from './replay-check.ts';
import { Registry, type ThreadSource } from './registry.ts';
import { claimRejections } from './rejections.ts';
import type { VersionPolicy } from './versions.ts';
import type { WorkPort } from './work-port.ts';

/** Memory of a live engine besides its events: promises, closures, maps, and the user's frames. Measured: 4.2 KB for an instance that waits for an event. */
const ENGINE_BYTES = 4_500;
/** A batch that takes longer answers in parts, so that commits overlap with replay. */
const FLUSH_AFTER_MS = 5;

/** The user code that is running is an instance's, in a scope of it; undefined: it is nobody's. One storage for all loops of a thread. */
const running = new AsyncLocalStorage<Scope | undefined>();

/** Tells whether the code that is running is an orchestration's. */
export function isOrchestrationCode(): boolean {
  return running.getStore() !== undefined;
}

/** What a replay loop needs. */
export type ReplayLoopOptions = {
  readonly port: WorkPort;
  readonly clock: Clock;
  readonly progress: Progress;
  /** Most memory of live engines, in bytes. */
  readonly cacheBytes: number;
  /** Ends the thread: what it was sent, or what it has, cannot be trusted. */
  readonly fail: (error: unknown) => void;
  /** Share of the turns to be checked, 0 to 1. Default: 0. */
  readonly checkRate?: number;
  /** The least important log lines that anybody wants. Default: 'debug'. */
  readonly logLevel?: LogThreshold;
  /** Share of the traces that begin here that are sampled, 0 to 1; null: nobody records traces. Default: null. */
  readonly traceRatio?: number | null;
};

/** What the loop does one at a time (L2). */
type Job = TurnRequest | CheckRequest;
type JobReply = TurnReply | CheckReply;

/** The loop of one replay thread. */
export class ReplayLoop implements ReplayControl {
  readonly #port: WorkPort;
  readonly #clock: Clock;
  readonly #progress: Progress;
  readonly #cacheBytes: number;
  readonly #fail: (error: unknown) => void;
  readonly #checkRate: number;
  readonly #registry = new Registry('orchestration');
  readonly #host: ReplayHost;
  /** L5. */
  readonly #checkHost: ReplayHost;
  #drain: Drain | null = null;
  /** Live engines, least recently used first. */
  readonly #engines = new Map<string, ReplayEngine>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;
  #replayedEvents = 0;
  #evictions = 0;
  #current: ReplayEngine | null = null;

  readonly #queue: Job[] = [];
  #checks: CheckRequest[] = [];
  #pumping = false;
  #replies: JobReply[] = [];
  #evicted: string[] = [];
  #faults: FaultReport[] = [];
  #flushedAtMs = 0;
  readonly #uninstall: (() => void)[] = [];

  constructor(options: ReplayLoopOptions) {
    this.#port = options.port;
    this.#clock = options.clock;
    this.#progress = options.progress;
    this.#cacheBytes = options.cacheBytes;
    this.#fail = options.fail;
    this.#checkRate = options.checkRate ?? 0;
    const logLevel = options.logLevel ?? 'debug';
    const traceRatio = options.traceRatio ?? null;
    this.#host = {
      find: (name, version) => this.#registry.find(name, version),
      describeRegistered: () => this.#registry.describe(),
      enter: (scope, run) => running.run(scope, run),
      currentScope: () => running.getStore(),
      noteCall: (call) => this.#progress.label(call),
      // L6.
      takeLog: (level, message, fields) =>
        isWanted(logLevel, level) ? running.run(undefined, () => takeLogLine(level, message, fields)) : null,
      reportFault: (engine, failure) =>
        this.#reportFault(engine, encodeRecord({ kind: 'InstanceFaulted', executionId: engine.executionId, failure })),
      beginTrace: traceRatio === null ? undefined : () => beginTrace(traceRatio),
    };
    this.#checkHost = { ...this.#host, takeLog: () => null, reportFault: () => undefined, beginTrace: undefined };
  }

  load(sources: readonly ThreadSource[], policy: VersionPolicy): Promise<LoadResult> {
    return asLoadResult(async () => {
      this.#uninstall.push(
        installGuards(() => running.getStore()?.engine),
        claimRejections((reason) => this.#unhandled(running.getStore()?.engine, reason)),
      );
      await this.#registry.load(sources, policy);
      this.#drain = await chooseDrain();
      this.#port.on('message', (wire: Wire) => this.#receiveOrFail(wire));
      return { names: this.#registry.list(), drain: this.#drain.name, threadId };
    });
  }

  evict(instanceIds: readonly string[]): Promise<void> {
    for (const instanceId of instanceIds) this.#forget(instanceId);
    this.#tell();
    return Promise.resolve();
  }

  /** Puts back what the loop has changed in its thread. Called when its port is closed. */
  dispose(): void {
    this.#checks = [];
    for (const step of this.#uninstall) step();
  }

  #receiveOrFail(wire: Wire): void {
    try {
      this.#receive(wire);
    } catch (error) {
      // The death of the thread is charged to whose record it is.
      if (error instanceof BrokenBatchError && error.seq !== null) this.#progress.begin(error.seq);
      this.#fail(error);
    }
  }

  #receive(wire: Wire): void {
    const check = readCheckRequest(wire);
    if (check === null) this.#start(readTurnRequests(wire));
    else {
      this.#checks.push(check);
      this.#deferCheck();
    }
  }

  /** L5: what has arrived by then goes first; a pump under way comes back to it. */
  #deferCheck(): void {
    this.#clock.defer(() => {
      if (!this.#pumping) this.#start(this.#checks.splice(0, 1));
    });
  }

  #start(jobs: readonly Job[]): void {
    this.#queue.push(...jobs);
    if (this.#pumping) return;
    const drain = this.#drain;
    if (drain === null) return;
    this.#pumping = true;
    this.#flushedAtMs = this.#clock.monotonicMs();
    if (drain.synchronous) this.#pump(drain.run);
    // Nothing in it rejects but a bug.
    else void this.#pumpSlowly(drain.run).catch((error: unknown) => this.#fail(error));
  }

  #pump(drain: () => void): void {
    for (let request = this.#queue.shift(); request !== undefined; request = this.#queue.shift()) {
      this.#progress.begin(request.seq);
      const steps = this.#steps(request);
      let step = this.#next(steps, request);
      while (step.done !== true) {
        drain();
        step = this.#next(steps, request);
      }
      this.#finish(step.value);
    }
    this.#pumped();
  }

  /** The same with an asynchronous drain (L2). */
  async #pumpSlowly(drain: () => Promise<void>): Promise<void> {
    for (let request = this.#queue.shift(); request !== undefined; request = this.#queue.shift()) {
      this.#progress.begin(request.seq);
      const steps = this.#steps(request);
      let step = this.#next(steps, request);
      while (step.done !== true) {
        await drain();
        step = this.#next(steps, request);
      }
      this.#finish(step.value);
    }
    this.#pumped();
  }

  #pumped(): void {
    this.#pumping = false;
    this.#flush();
    if (this.#checks.length > 0) this.#deferCheck();
  }

  #next(steps: Generator<void, JobReply, void>, request: Job): IteratorResult<void, JobReply> {
    try {
      return steps.next();
    } catch (error) {
      const { seq, instanceId } = request;
      if (isCheck(request)) return { done: true, value: { kind: 'check', seq, finding: { failure: toFailure(error), parting: null } } };
      // Unreadable messages and broken invariants concern this instance only.
      this.#forget(instanceId);
      return { done: true, value: { kind: 'turn', seq, result: faulted(request, error), standing: null } };
    }
  }

  #finish(reply: JobReply): void {
    this.#progress.end();
    this.#current = null;
    this.#replies.push(reply.kind === 'turn' ? this.#withinLogLimit(reply) : reply);
    if (this.#clock.monotonicMs() - this.#flushedAtMs > FLUSH_AFTER_MS) this.#flush();
  }

  /** L7. */
  #withinLogLimit(reply: Extract<TurnReply, { kind: 'turn' }>): TurnReply {
    const { result } = reply;
    if (result.logs.length === 0) return reply;
    if (this.#progress.sendLogs(result.logUnits) <= MAX_THREAD_LOG_UNITS) return reply;
    this.#progress.takeLogs(result.logUnits);
    return { ...reply, result: { ...result, logs: [], logUnits: 0, droppedLogs: result.droppedLogs + result.logs.length } };
  }

  /** Yields where microtasks are to be drained. */
  #steps(request: Job): Generator<void, JobReply, void> {
    if (!isCheck(request)) return this.#turn(request);
    this.#current = new ReplayEngine(request.instanceId, this.#checkHost);
    return runCheck(this.#current, request);
  }

  /** One turn: finds or rebuilds the engine, runs it. */
  *#turn(request: TurnRequest): Generator<void, TurnReply, void> {
    const live = this.#engines.get(request.instanceId);
    this.#forget(request.instanceId);
    const mayUse = request.history === null && live?.executionId === request.executionId && live.lastEventId === request.baseEventId;
    if (request.history === null && !mayUse && request.baseEventId > 0) return { kind: 'miss', seq: request.seq };
    const engine = mayUse && live !== undefined ? live : new ReplayEngine(request.instanceId, this.#host);
    this.#current = engine;
    if (mayUse) this.#progress.label(engine.lastCall);
    this.#countTurn(mayUse, request.baseEventId);
    if (!mayUse && request.baseEventId > 0) yield* engine.replay(readPages(request), request.history?.length);
    const messages = request.messages.map(parseMessage);
    const result = yield* engine.turn({ nowMs: request.nowMs, messages, executionId: request.executionId });
    if (engine.isUsable) this.#keep(engine);
    const standing = this.#checkRate > 0 && isPicked(this.#checkRate, engine, result) ? encodeRecord(engine.describeStanding()) : null;
    return { kind: 'turn', seq: request.seq, result, standing };
  }

  /** A first turn has no engine to find: it counts as neither. */
  #countTurn(isHit: boolean, baseEventId: number): void {
    if (baseEventId === 0) return;
    if (isHit) this.#hits += 1;
    else {
      this.#misses += 1;
      this.#replayedEvents += baseEventId;
    }
  }

  #keep(engine: ReplayEngine): void {
    this.#engines.set(engine.instanceId, engine);
    this.#bytes += weigh(engine);
    for (const [instanceId] of this.#engines) {
      if (this.#bytes <= this.#cacheBytes) return;
      this.#forget(instanceId);
      this.#evictions += 1;
      this.#evicted.push(instanceId);
    }
  }

  #forget(instanceId: string): void {
    const engine = this.#engines.get(instanceId);
    if (engine === undefined) return;
    this.#engines.delete(instanceId);
    this.#bytes -= weigh(engine);
  }

  #flush(): void {
    this.#flushedAtMs = this.#clock.monotonicMs();
    this.#tell();
    if (this.#replies.length === 0 && this.#evicted.length === 0 && this.#faults.length === 0) return;
    this.#port.postMessage(writeReplayBatch({ replies: this.#replies, evicted: this.#evicted, faults: this.#faults }));
    this.#replies = [];
    this.#evicted = [];
    this.#faults = [];
  }

  /** Figures for main, once a batch. */
  #tell(): void {
    this.#progress.setFigures({
      engines: this.#engines.size,
      cacheBytes: this.#bytes,
      hits: this.#hits,
      misses: this.#misses,
      replayedEvents: this.#replayedEvents,
      evictions: this.#evictions,
    });
  }

  #reportFault(engine: ReplayEngine, payload: string): void {
    this.#faults.push({ instanceId: engine.instanceId, payload });
    // L6. It is called from the instance's code. Inline, all that main does with the answer would count as that code, with its time and its bans.
    if (!this.#pumping) running.run(undefined, () => this.#flush());
  }

  /** A rejection that nobody handled. Returns false when it does not belong to an instance of this loop. */
  #unhandled(engine: ReplayEngine | undefined, reason: unknown): boolean {
    // Without a store it may still be an instance's (a promise made by native code); in the main thread it may be the host's.
    const owner = engine ?? (isMainThread ? null : this.#current);
    if (owner === null) return false;
    owner.unhandledRejection(reason);
    return true;
  }
}

function isCheck(job: Job): job is CheckRequest {
  return 'standing' in job;
}

function weigh(engine: ReplayEngine): number {
  return ENGINE_BYTES + 2 * engine.weight;
}

function readPages(request: TurnRequest): History {
  const history = validateHistory(parseHistoryPages(request.history ?? []));
  if (history.length !== request.baseEventId) {
    throw new HistoryError(history.length, `the store says that there are ${request.baseEventId} events, its pages hold ${history.length}`);
  }
  return history;
}

function faulted(request: TurnRequest, error: unknown): ReplayResult {
  return {
    outcome: { kind: 'faulted', failure: encodeRecord(toFailure(error)) },
    version: '',
    firstEventId: request.baseEventId + 1,
    lastEventId: request.baseEventId,
    events: '[]',
    activities: [],
    timers: [],
    messages: [],
    starts: [],
    cancelledActivities: [],
    cancelledTimers: [],
    customStatus: undefined,
    consumedMessages: 0,
    logs: [],
    logUnits: 0,
    droppedLogs: 0,
    effects: null,
    turns: 0,
  };
}
