// The work of an activity thread: takes batches of activities from its port, runs user code, answers in batches.
// Runs in a worker thread (activity-thread.ts) or, inline, in the main thread (thread-pool.ts). Neighbour: transactional-step.ts.
//
// A1. At most `slots` activities run at once; the others wait here, first in, first out.
// A2. Every request is answered exactly once, also when it was cancelled: the store decides what the answer is worth. Only one that was
//     taken back before it started is not. One that recorded its end itself says so instead.
// A3. Starting activities yields to the event loop every few milliseconds, so that answers and cancellations flow meanwhile.
// A4. Cancellations come over a port of their own: one that overtakes its request is remembered until the request comes.
// A5. An activity that is to end has a grace period to do so; after it, it is answered for and its slot is free, whatever it still does.
// A6. Log lines go with the next batch. Those that main has not taken yet are bounded: beyond it they are dropped and counted.
import { threadId } from 'node:worker_threads';
import { Client } from '../client/client.ts';
import type { Clock } from '../types/clock.ts';
import { encodePayload, encodeRecord } from '../types/codec.ts';
import type { ActivityClient, ActivityContext } from '../types/context.ts';
import type { ActivityDefinition } from '../types/definition.ts';
import { ArgumentError, assert, CancelledError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { MAX_THREAD_LOG_UNITS } from '../types/limits.ts';
import { takeLogLine, type SizedLine } from '../types/log-line.ts';
import { isWanted, type LogThreshold } from '../types/logger.ts';
import { field } from '../types/message-text.ts';
import { checkSoon } from '../types/schema.ts';
import type { StepCompletion } from '../types/transaction.ts';
import { hostStore, type ActivityHost } from './activity-host.ts';
import { asLoadResult, type ActivityControl, type LoadResult, type ReceiverEnd } from './control.ts';
import {
  BrokenBatchError,
  readActivityRequests,
  writeActivityBatch,
  type ActivityHeartbeat,
  type ActivityLog,
  type ActivityReply,
  type ActivityRequest,
  type StepReply,
  type Wire,
} from './messages.ts';
import type { Progress } from './progress.ts';
import { Registry, type ThreadSource } from './registry.ts';
import { RunningActivity, type EndReason } from './running-activity.ts';
import { SessionInbox } from './session-inbox.ts';
import { runStep, type StepEnding } from './transactional-step.ts';
import type { WorkPort } from './work-port.ts';

/** How long a loop may start activities before it yields (A3). */
const START_BUDGET_MS = 2;
/** Most cancellations that are remembered (A4). Reason: most are of activities that have ended; an overtaken request is one message behind. */
const EARLY_CANCELS_MAX = 4_096;

/** How often it is told that lines were dropped when there is nothing else to tell, in milliseconds. Reason: main has too much to read already. */
const DROPPED_MS = 100;

/** Most inboxes that are kept; an idle one only remembers a number. */
const MAX_INBOXES = 1_000;

/** What an activity loop needs. */
export type ActivityLoopOptions = {
  readonly port: WorkPort;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly slots: number;
  /** The main thread, for clients and session messages. */
  readonly host: ActivityHost;
  /** Name of the provider, for messages. */
  readonly storeName: string;
  /** How long an activity that is to end may go on, in milliseconds (A5). */
  readonly graceMs: number;
  /** Ends the thread: what it was sent cannot be trusted. */
  readonly fail: (error: unknown) => void;
  /** The least important log lines that anybody wants. Default: 'debug'. */
  readonly logLevel?: LogThreshold;
};

/** The loop of one activity thread. */
export class ActivityLoop implements ActivityControl {
  readonly #port: WorkPort;
  readonly #clock: Clock;
  readonly #progress: Progress;
  #slots: number;
  readonly #host: ActivityHost;
  readonly #storeName: string;
  readonly #graceMs: number;
  readonly #fail: (error: unknown) => void;
  readonly #logLevel: LogThreshold;
  readonly #registry = new Registry('activity');
  readonly #waiting = new Map<number, { readonly request: ActivityRequest; readonly sinceMs: number }>();
  readonly #running = new Map<number, RunningActivity>();
  /** Cancelled before they came, oldest first (A4). */
  readonly #earlyCancels = new Set<number>();
  #starting = false;
  #longestWaitMs = 0;
  #flushing = false;
  #replies: ActivityReply[] = [];
  #steps: StepReply[] = [];
  #logs: ActivityLog[] = [];
  #logUnits = 0;
  #droppedLogs = 0;
  /** null: nobody needs to be told that lines were dropped. */
  #stopDropTimer: (() => void) | null = null;
  /** Newest details by seq: those in between are no news. */
  #heartbeats = new Map<number, string>();
  /** Made when the first activity asks for it. */
  #client: Client | null = null;
  readonly #inboxes = new Map<string, SessionInbox>();

  constructor(options: ActivityLoopOptions) {
    this.#port = options.port;
    this.#clock = options.clock;
    this.#progress = options.progress;
    this.#slots = options.slots;
    this.#host = options.host;
    this.#storeName = options.storeName;
    this.#graceMs = options.graceMs;
    this.#fail = options.fail;
    this.#logLevel = options.logLevel ?? 'debug';
  }

  load(sources: readonly ThreadSource[]): Promise<LoadResult> {
    return asLoadResult(async () => {
      await this.#registry.load(sources);
      this.#port.on('message', (wire: Wire) => this.#receiveOrFail(wire));
      return { names: this.#registry.list(), drain: 'none', threadId };
    });
  }

  cancel(seqs: readonly number[]): Promise<void> {
    for (const seq of seqs) {
      const waiting = this.#waiting.get(seq);
      const running = this.#running.get(seq);
      if (waiting !== undefined) {
        this.#waiting.delete(seq);
        this.#skip(waiting.request);
      } else if (running !== undefined) this.#endSoon(running, seq, 'cancelled');
      else this.#remember(seq);
    }
    return Promise.resolve();
  }

  takeBack(): Promise<readonly number[]> {
    const seqs = [...this.#waiting.keys()];
    this.#waiting.clear();
    return Promise.resolve(seqs);
  }

  setSlots(slots: number): Promise<void> {
    this.#slots = slots;
    this.#startLater();
    return Promise.resolve();
  }

  settle(ends: readonly ReceiverEnd[]): Promise<void> {
    for (const { seq, sessionId, isRecorded } of ends) this.#inboxes.get(sessionId)?.settle(seq, isRecorded);
    return Promise.resolve();
  }

  /** The loop is over: lets go of the databases of transactional activities. */
  dispose(): void {
    this.#stopDropTimer?.();
    for (const source of this.#registry.sources) {
      source.close().catch((error: unknown) => {
        process.emitWarning(`a transaction source could not be closed: ${toFailure(error).message}`, {
          code: 'DURALOOM_SOURCE_NOT_CLOSED',
        });
      });
    }
  }

  #receiveOrFail(wire: Wire): void {
    try {
      this.#receive(readActivityRequests(wire));
    } catch (error) {
      // The death of the thread is charged to whose record it is.
      if (error instanceof BrokenBatchError && error.seq !== null) this.#progress.begin(error.seq);
      this.#fail(error);
      return;
    }
    this.#startMore();
  }

  #receive(requests: readonly ActivityRequest[]): void {
    const sinceMs = this.#clock.monotonicMs();
    for (const request of requests) {
      if (this.#earlyCancels.delete(request.seq)) this.#skip(request);
      else this.#waiting.set(request.seq, { request, sinceMs });
    }
  }

  #remember(seq: number): void {
    this.#earlyCancels.add(seq);
    if (this.#earlyCancels.size <= EARLY_CANCELS_MAX) return;
    const oldest = this.#earlyCancels.values().next().value;
    if (oldest !== undefined) this.#earlyCancels.delete(oldest);
  }

  /** Answers an activity that was cancelled before it started. */
  #skip(request: ActivityRequest): void {
    this.#answer(request, failed(request, new CancelledError('the activity was cancelled before it started')));
  }

  #startMore(): void {
    this.#starting = false;
    let nowMs = this.#clock.monotonicMs();
    const giveWayAtMs = nowMs + START_BUDGET_MS;
    for (const [seq, { request, sinceMs }] of this.#waiting) {
      if (this.#running.size >= this.#slots) return;
      this.#waiting.delete(seq);
      this.#longestWaitMs = Math.max(this.#longestWaitMs, nowMs - sinceMs);
      this.#start(request);
      nowMs = this.#clock.monotonicMs();
      if (nowMs > giveWayAtMs) {
        this.#startLater();
        return;
      }
    }
  }

  #startLater(): void {
    if (this.#starting || this.#waiting.size === 0) return;
    this.#starting = true;
    this.#clock.defer(() => this.#startMore());
  }

  #start(request: ActivityRequest): void {
    const definition = this.#registry.find(request.name);
    if (definition === null) {
      this.#answer(request, null);
      return;
    }
    const { seq } = request;
    const context = this.#open(request);
    if (context === null) return;
    this.#running.set(seq, context);
    const timeoutMs = request.special?.timeoutMs ?? null;
    const cancelTimeout = timeoutMs === null ? null : this.#clock.setTimer(timeoutMs, () => this.#endSoon(context, seq, 'timeout'));
    this.#progress.begin(seq);
    // Until its first await the activity runs here and now: a death of the thread is its doing.
    const ended = definition.transaction === undefined ? run(definition, context, request) : this.#runStep(definition, context);
    this.#progress.end();
    const settle = (end: string | StepEnding): void => {
      cancelTimeout?.();
      // A5: what was ended by force has been answered.
      if (this.#running.get(seq) !== context) return;
      if (typeof end === 'string') this.#end(request, end);
      else this.#endStep(request, end);
    };
    ended.then(settle, (error: unknown) => {
      const reported = context.endReason === 'timeout' ? withCause(context.endError(), error) : error;
      settle(failed(request, reported, context.lastDetails));
    });
  }

  async #runStep(definition: ActivityDefinition, context: RunningActivity): Promise<StepEnding> {
    const { transaction, name } = definition;
    const { request } = context;
    const { seq, instanceId, executionId, eventId, special } = request;
    const lockToken = special?.lockToken ?? null;
    assert(transaction !== undefined && lockToken !== null, `the transactional activity '${name}' has the right to its item`);
    const complete = (result: unknown): StepCompletion => {
      if (this.#running.get(seq) !== context) throw context.endError();
      const completion = { instanceId, executionId, eventId, lockToken, completionPayload: completed(request, result) };
      const sessionId = special?.sessionId ?? null;
      const uptoSeq = sessionId === null ? null : (this.#inboxes.get(sessionId)?.leave(seq) ?? null);
      return sessionId === null || uptoSeq === null ? completion : { ...completion, received: { sessionId, uptoSeq } };
    };
    const onRun = { begin: () => this.#progress.begin(seq), end: () => this.#progress.end() };
    return await runStep(definition, transaction, { context, input: context.readInput(), complete, onRun });
  }

  /** Makes the context of an attempt. Returns null when what was stored for it cannot be read: that is its answer then. */
  #open(request: ActivityRequest): RunningActivity | null {
    const { seq } = request;
    try {
      const context: RunningActivity = new RunningActivity(request, {
        nowMs: () => this.#clock.nowMs(),
        log: (level, message, fields) => {
          if (isWanted(this.#logLevel, level)) this.#log(context, takeLogLine(level, message, fields));
        },
        heartbeat: (details) => {
          this.#heartbeats.set(seq, details);
          this.#flushSoon();
        },
        client: () => this.#sharedClient(),
        inbox: (sessionId) => {
          if (this.#running.get(seq) === context) return this.#inbox(sessionId);
          if (context.endReason !== null) throw context.endError();
          throw new ArgumentError(`activity '${request.name}' has ended and receives no more messages. Let it await all that it does`);
        },
      });
      return context;
    } catch (error) {
      this.#answer(request, failed(request, error));
      return null;
    }
  }

  /** A6. */
  #log({ request, eventId, attempt }: RunningActivity, { line, units }: SizedLine): void {
    if (this.#progress.sendLogs(units) <= MAX_THREAD_LOG_UNITS) {
      const { seq, instanceId, executionId, name: activity } = request;
      this.#logs.push({ seq, instanceId, executionId, eventId, attempt, activity, line });
      this.#logUnits += units;
      this.#flushSoon();
      return;
    }
    this.#progress.takeLogs(units);
    this.#droppedLogs += 1;
    this.#stopDropTimer ??= this.#clock.setTimer(
      DROPPED_MS,
      () => {
        this.#stopDropTimer = null;
        if (this.#droppedLogs > 0) this.#flushSoon();
      },
      true,
    );
  }

  /** A5. */
  #endSoon(context: RunningActivity, seq: number, reason: EndReason): void {
    if (context.endReason !== null) return;
    context.end(reason);
    this.#clock.setTimer(this.#graceMs, () => {
      if (this.#running.get(seq) === context) this.#end(context.request, failed(context.request, context.endError(), context.lastDetails));
    });
  }

  #sharedClient(): ActivityClient {
    this.#client ??= new Client(hostStore(this.#host, this.#storeName), { clock: this.#clock });
    return this.#client;
  }

  #inbox(sessionId: string): SessionInbox {
    let inbox = this.#inboxes.get(sessionId);
    if (inbox === undefined) this.#inboxes.set(sessionId, (inbox = new SessionInbox(this.#host, sessionId)));
    if (this.#inboxes.size > MAX_INBOXES) {
      const idle = [...this.#inboxes].find(([id, candidate]) => id !== sessionId && candidate.isIdle);
      if (idle !== undefined) this.#inboxes.delete(idle[0]);
    }
    return inbox;
  }

  #end(request: ActivityRequest, payload: string): void {
    const context = this.#running.get(request.seq);
    this.#running.delete(request.seq);
    const sessionId = request.special?.sessionId ?? null;
    const inbox = sessionId === null ? undefined : this.#inboxes.get(sessionId);
    const receivedSeq = inbox?.leave(request.seq) ?? null;
    // Nobody records the end of what was cancelled.
    if (context?.endReason === 'cancelled') inbox?.settle(request.seq, false);
    this.#answer(request, payload, receivedSeq);
    this.#startLater();
  }

  #endStep({ seq, special }: ActivityRequest, { end, failure }: StepEnding): void {
    this.#running.delete(seq);
    const sessionId = special?.sessionId ?? null;
    const inbox = sessionId === null ? undefined : this.#inboxes.get(sessionId);
    // The record of a recorded end says already up to where messages go.
    if (end !== 'recorded') inbox?.leave(seq);
    inbox?.settle(seq, end === 'recorded');
    this.#steps.push({ seq, end, failure });
    this.#flushSoon();
    this.#startLater();
  }

  #answer(request: ActivityRequest, completionPayload: string | null, receivedSeq: number | null = null): void {
    this.#replies.push({ seq: request.seq, completionPayload, receivedSeq });
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#clock.defer(() => {
      this.#flushing = false;
      // Those that still wait count, too: an activity that never ends must not hide them.
      const oldest = this.#waiting.values().next().value;
      const waitedMs = oldest === undefined ? 0 : this.#clock.monotonicMs() - oldest.sinceMs;
      const heartbeats = Array.from(this.#heartbeats, ([seq, details]): ActivityHeartbeat => ({ seq, details }));
      const longestWaitMs = Math.max(this.#longestWaitMs, waitedMs);
      this.#stopDropTimer?.();
      this.#stopDropTimer = null;
      const logs = { logs: this.#logs, logUnits: this.#logUnits, droppedLogs: this.#droppedLogs };
      const batch = { longestWaitMs, steps: this.#steps, replies: this.#replies, ...logs, heartbeats };
      this.#longestWaitMs = 0;
      this.#replies = [];
      this.#steps = [];
      this.#logs = [];
      this.#logUnits = 0;
      this.#droppedLogs = 0;
      if (heartbeats.length > 0) this.#heartbeats = new Map();
      this.#port.postMessage(writeActivityBatch(batch));
    });
  }
}

async function run(definition: ActivityDefinition, context: RunningActivity, request: ActivityRequest): Promise<string> {
  const handler = definition.handler as (ctx: ActivityContext, input: unknown) => unknown;
  const { schemas, name } = definition;
  const given = context.readInput();
  // No await without a schema: until its first own await the activity runs in the step that started it.
  const input = schemas.input === undefined ? given : await checkSoon(schemas.input, given, `the input of activity '${name}'`);
  const returned = await handler(context, input);
  const result = schemas.output === undefined ? returned : await checkSoon(schemas.output, returned, `the result of activity '${name}'`);
  return completed(request, result);
}

function completed({ name, executionId, eventId }: ActivityRequest, result: unknown): string {
  const encoded = encodePayload(result, `result of activity '${name}'`);
  return `{"kind":"ActivityCompleted","executionId":${executionId},"sourceId":${eventId}${field('result', encoded)}}`;
}

function failed(request: ActivityRequest, error: unknown, heartbeat: string | null = null): string {
  const failure = encodeRecord(toFailure(error));
  const details = field('heartbeat', heartbeat ?? undefined);
  return `{"kind":"ActivityFailed","executionId":${request.executionId},"sourceId":${request.eventId},"failure":${failure}${details}}`;
}

function withCause(error: Error, cause: unknown): Error {
  if (cause !== error) error.cause = cause;
  return error;
}
