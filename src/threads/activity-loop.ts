// The work of an activity thread: takes batches of activities from its port, runs user code, answers in batches.
// Runs in a worker thread (activity-thread.ts) or, inline, in the main thread (thread-pool.ts).
//
// A1. At most `slots` activities run at once; the others wait here, first in, first out.
// A2. Every request is answered exactly once, also when it was cancelled: the store decides what the answer is worth.
// A3. Starting activities yields to the event loop every few milliseconds, so that answers and cancellations flow meanwhile.
import type { MessagePort } from 'node:worker_threads';
import { decodeStored, encodePayload, encodeRecord } from '../types/codec.ts';
import type { ActivityContext, ReplaySafeLog } from '../types/context.ts';
import type { ActivityDefinition, Definition } from '../types/definition.ts';
import { CancelledError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import type { LogLevel } from '../types/logger.ts';
import { asLoadResult, type ActivityControl, type LoadResult } from './control.ts';
import {
  readActivityRequests,
  writeActivityBatch,
  type ActivityLog,
  type ActivityReply,
  type ActivityRequest,
  type Wire,
} from './messages.ts';
import type { Progress } from './progress.ts';
import { Registry } from './registry.ts';

/** How long a loop may start activities before it yields (A3). */
const START_BUDGET_MS = 2;

/** What an activity loop needs. */
export type ActivityLoopOptions = {
  readonly port: MessagePort;
  readonly progress: Progress;
  readonly slots: number;
};

/** The loop of one activity thread. */
export class ActivityLoop implements ActivityControl {
  readonly #port: MessagePort;
  readonly #progress: Progress;
  readonly #slots: number;
  readonly #registry = new Registry('activity');
  readonly #waiting = new Map<number, { readonly request: ActivityRequest; readonly sinceMs: number }>();
  readonly #running = new Map<number, RunningActivity>();
  #starting = false;
  #longestWaitMs = 0;
  #flushing = false;
  #replies: ActivityReply[] = [];
  #logs: ActivityLog[] = [];

  constructor(options: ActivityLoopOptions) {
    this.#port = options.port;
    this.#progress = options.progress;
    this.#slots = options.slots;
  }

  load(sources: readonly (string | Definition)[]): Promise<LoadResult> {
    return asLoadResult(async () => {
      await this.#registry.load(sources);
      this.#port.on('message', (wire: Wire) => {
        const sinceMs = performance.now();
        for (const request of readActivityRequests(wire)) this.#waiting.set(request.seq, { request, sinceMs });
        this.#startMore();
      });
      return { names: this.#registry.list(), drain: 'none' };
    });
  }

  cancel(seqs: readonly number[]): Promise<void> {
    for (const seq of seqs) {
      const waiting = this.#waiting.get(seq);
      if (waiting !== undefined) {
        this.#waiting.delete(seq);
        this.#answer(waiting.request, failed(waiting.request, new CancelledError('the activity was cancelled before it started')));
      } else this.#running.get(seq)?.abort();
    }
    return Promise.resolve();
  }

  #startMore(): void {
    this.#starting = false;
    let nowMs = performance.now();
    const giveWayAtMs = nowMs + START_BUDGET_MS;
    for (const [seq, { request, sinceMs }] of this.#waiting) {
      if (this.#running.size >= this.#slots) return;
      this.#waiting.delete(seq);
      this.#longestWaitMs = Math.max(this.#longestWaitMs, nowMs - sinceMs);
      this.#start(request);
      nowMs = performance.now();
      if (nowMs > giveWayAtMs) {
        this.#startLater();
        return;
      }
    }
  }

  #startLater(): void {
    if (this.#starting || this.#waiting.size === 0) return;
    this.#starting = true;
    setImmediate(() => this.#startMore());
  }

  #start(request: ActivityRequest): void {
    const definition = this.#registry.find(request.name);
    if (definition === null) {
      this.#answer(request, null);
      return;
    }
    const context = new RunningActivity(request, (level, message, fields) => {
      this.#logs.push({ seq: request.seq, line: { level, message, fields } });
      this.#flushSoon();
    });
    this.#running.set(request.seq, context);
    this.#progress.begin(request.seq);
    // Until its first await the activity runs here and now: a death of the thread is its doing.
    const ended = run(definition, context, request);
    this.#progress.end();
    ended.then(
      (payload) => this.#end(request, payload),
      (error: unknown) => this.#end(request, failed(request, error)),
    );
  }

  #end(request: ActivityRequest, payload: string): void {
    this.#running.delete(request.seq);
    this.#answer(request, payload);
    this.#startLater();
  }

  #answer(request: ActivityRequest, completionPayload: string | null): void {
    this.#replies.push({ seq: request.seq, completionPayload });
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      // Those that still wait count, too: an activity that never ends must not hide them.
      const oldest = this.#waiting.values().next().value;
      const waitedMs = oldest === undefined ? 0 : performance.now() - oldest.sinceMs;
      const batch = { longestWaitMs: Math.max(this.#longestWaitMs, waitedMs), replies: this.#replies, logs: this.#logs };
      this.#longestWaitMs = 0;
      this.#replies = [];
      this.#logs = [];
      this.#port.postMessage(writeActivityBatch(batch));
    });
  }
}

async function run(definition: ActivityDefinition, context: RunningActivity, request: ActivityRequest): Promise<string> {
  const handler = definition.handler as (ctx: ActivityContext, input: unknown) => unknown;
  const result = await handler(context, decodeStored(request.input === '' ? null : request.input, `input of activity '${request.name}'`));
  const encoded = encodePayload(result, `result of activity '${request.name}'`);
  const payload = encoded === undefined ? '' : `,"result":${encoded}`;
  return `{"kind":"ActivityCompleted","executionId":${request.executionId},"sourceId":${request.eventId}${payload}}`;
}

function failed(request: ActivityRequest, error: unknown): string {
  return encodeRecord({ kind: 'ActivityFailed', executionId: request.executionId, sourceId: request.eventId, failure: toFailure(error) });
}

/** The `ctx` of an activity, and the means to abort it. */
class RunningActivity implements ActivityContext {
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  readonly attempt: number;
  readonly log: ReplaySafeLog;
  /** Made when it is first asked for: most activities never do. */
  #controller: AbortController | null = null;
  #aborted = false;

  constructor(request: ActivityRequest, write: (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void) {
    this.instanceId = request.instanceId;
    this.executionId = request.executionId;
    this.eventId = request.eventId;
    this.name = request.name;
    this.attempt = request.attempt;
    const logAt =
      (level: LogLevel) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
        write(level, message, fields);
    this.log = { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') };
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort(cancelled());
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort(cancelled());
  }
}

function cancelled(): CancelledError {
  return new CancelledError('the activity was cancelled: its orchestration no longer waits for the result, or its lease was lost');
}
