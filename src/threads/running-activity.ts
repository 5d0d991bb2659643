// One running activity: the `ctx` that its code gets, and the means to end it. Neighbour: activity-loop.ts makes and ends these.
import { decodePayload, decodeStored, encodePayload } from '../types/codec.ts';
import type { ActivityClient, ActivityContext, ReplaySafeLog } from '../types/context.ts';
import { ArgumentError, CancelledError, TimeoutError } from '../types/errors.ts';
import type { LogLevel } from '../types/logger.ts';
import type { ActivityExtras } from '../types/replay.ts';
import type { TraceContext } from '../types/trace.ts';
import type { ActivityRequest } from './messages.ts';
import type { SessionInbox } from './session-inbox.ts';

/** What a running activity can do beyond its own thread. */
export type ActivityOutlets = {
  readonly nowMs: () => number;
  readonly log: (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Passes on encoded details. */
  readonly heartbeat: (details: string) => void;
  readonly client: () => ActivityClient;
  readonly inbox: (sessionId: string) => SessionInbox;
};

/** Why an activity is to end. */
export type EndReason = 'cancelled' | 'timeout';

/** The context of one attempt. */
export class RunningActivity implements ActivityContext {
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  readonly attempt: number;
  readonly log: ReplaySafeLog;
  readonly request: ActivityRequest;
  readonly #outlets: ActivityOutlets;
  readonly #extras: ActivityExtras | null;
  readonly #startedMs: number;
  /** Made when it is first asked for: most activities never do. */
  #controller: AbortController | null = null;
  #endReason: EndReason | null = null;
  #endError: CancelledError | TimeoutError | null = null;
  #details: string | null = null;

  constructor(request: ActivityRequest, outlets: ActivityOutlets) {
    this.request = request;
    this.#outlets = outlets;
    this.#extras = decodeStored(request.special?.extras ?? 'null', `extras of activity '${request.name}'`) as ActivityExtras | null;
    this.#startedMs = request.special === null ? 0 : outlets.nowMs();
    this.instanceId = request.instanceId;
    this.executionId = request.executionId;
    this.eventId = this.#extras?.firstEventId ?? request.eventId;
    this.name = request.name;
    this.attempt = request.attempt + (this.#extras?.attempt ?? 1) - 1;
    const logAt =
      (level: LogLevel) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
        outlets.log(level, message, fields);
    this.log = { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') };
  }

  get tag(): string | null {
    return this.request.special?.tag ?? null;
  }

  get sessionId(): string | null {
    return this.request.special?.sessionId ?? null;
  }

  get deadline(): Date | null {
    const { special } = this.request;
    return special === null || special.timeoutMs === null ? null : new Date(this.#startedMs + special.timeoutMs);
  }

  get heartbeatDetails(): unknown {
    const stored = this.request.special?.heartbeat ?? null;
    return stored === null ? this.#extras?.heartbeat : decodeStored(stored, `heartbeat of activity '${this.name}'`);
  }

  get trace(): TraceContext | null {
    const { traceparent = null, tracestate = null } = this.request.special ?? {};
    if (traceparent === null) return null;
    return tracestate === null ? { traceparent } : { traceparent, tracestate };
  }

  get client(): ActivityClient {
    return this.#outlets.client();
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#endReason !== null) this.#controller.abort(this.endError());
    return this.#controller.signal;
  }

  /** Encoded details of the last heartbeat of this attempt, or those of the one before; null: none. */
  get lastDetails(): string | null {
    const before = this.#extras?.heartbeat;
    const inherited = this.request.special?.heartbeat ?? (before === undefined ? null : (encodePayload(before, 'heartbeat') ?? null));
    return this.#details ?? inherited;
  }

  /** Why it is to end; null: it is not. */
  get endReason(): EndReason | null {
    return this.#endReason;
  }

  heartbeat(details: unknown): void {
    const encoded = encodePayload(details, `heartbeat of activity '${this.name}'`);
    if (encoded === undefined) return;
    this.#details = encoded;
    this.#outlets.heartbeat(encoded);
  }

  async receive<Data>(): Promise<Data> {
    const { sessionId } = this;
    if (sessionId === null) {
      throw new ArgumentError(
        `Expected activity '${this.name}' to have a session: schedule it with \`sessionId\` to let it receive messages`,
      );
    }
    const { payload } = await this.#outlets.inbox(sessionId).receive(this.request.seq, this.signal);
    return decodePayload(payload === '' ? undefined : payload) as Data;
  }

  /** Aborts its signal; the first reason stays. */
  end(reason: EndReason): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    this.#controller?.abort(this.endError());
  }

  /** The error that says why it was ended: always the same one, so that code which passes on the reason of its signal adds nothing to it. */
  endError(): CancelledError | TimeoutError {
    this.#endError ??= this.#makeEndError();
    return this.#endError;
  }

  #makeEndError(): CancelledError | TimeoutError {
    if (this.#endReason === 'timeout') {
      const { special } = this.request;
      return new TimeoutError(
        'ACTIVITY_TIMEOUT',
        `activity '${this.name}' ran longer than ${special?.timeoutMs ?? 0} ms. Raise \`attemptTimeoutMs\`, make it faster, or let it heartbeat and go on`,
      );
    }
    return new CancelledError('the activity was cancelled: its orchestration no longer waits for the result, or its lease was lost');
  }

  /** Input of the activity. */
  readInput(): unknown {
    const { input } = this.request;
    return input === '' ? decodePayload(undefined) : decodeStored(input, `input of activity '${this.name}'`);
  }
}
