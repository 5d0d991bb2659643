// The replay engine: one instance of an orchestration, kept alive between turns or rebuilt from its history.
// Pure: data in, data out; whoever steps its generators drains microtasks. Neighbours: orchestration-context.ts calls its operations,
// turn-record.ts collects what a turn asks for, decision.ts compares on replay, threads/replay-thread.ts owns and steps engines.
//
// E1. One event, one drain: exactly one input event is applied between two yields, live and on replay alike.
// E2. Decisions get their ids synchronously in the ctx call, in call order, directly after the input event that caused them.
// E3. On replay every decision must equal the recorded one at its place: no missing, extra or different one (T43, T48).
// E4. User code runs only between `#apply` and the end of its drain. A ctx call at any other time is late.
// E5. A turn either ends normally and everything in its record is to be committed, or it is faulted and nothing is.
// E6. Only open decisions take completions: the first completion wins, later and unknown ones are dropped (T13, T25).
import { decodePayload, encodePayload, encodeRecord, type EncodedPayload } from '../types/codec.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { assert, CancelledError, DurableError, PayloadError, type DeterminismError } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import {
  EVENT_ROLES,
  type HistoryEvent,
  type InputBody,
  type OrchestrationStarted,
  type OrchestratorMessage,
} from '../types/history-event.ts';
import { MAX_CARRIED_EVENT_UNITS, MAX_HISTORY_EVENTS } from '../types/limits.ts';
import type { LogLine } from '../types/logger.ts';
import { field } from '../types/message-text.ts';
import { childInstanceId, isSameLink, type ParentLink } from '../types/names.ts';
import type { History, ReceivedMessage, ReplayResult, TurnInput, TurnOutcome } from '../types/replay.ts';
import { describeDecision, encodeDecision, failureIdentity, matchesDecision, type Decision } from './decision.ts';
import { FutureCore, type Settled } from './durable-future.ts';
import {
  callSite,
  carriedTooLargeError,
  lateError,
  nondeterminismError,
  notRegisteredError,
  rejectionError,
  stuckError,
  tooLongError,
  type Culprit,
} from './engine-errors.ts';
import { Mailbox } from './mailbox.ts';
import { encodeInput, encodeStarted } from './message.ts';
import { userCodeContext } from './orchestration-context.ts';
import { SeededRandom } from './random.ts';
import type { ReplayHost } from './replay-host.ts';
import { TurnRecord } from './turn-record.ts';

/** A decision that waits for its completion. */
type OpenDecision =
  | { readonly kind: 'activity' | 'event'; readonly id: number; readonly name: string; readonly core: FutureCore }
  | { readonly kind: 'timer'; readonly id: number; readonly fireAtMs: number; readonly core: FutureCore }
  | { readonly kind: 'child'; readonly id: number; readonly instanceId: string; readonly core: FutureCore };

/** How the code of the orchestration ended, or is to end. */
type Ending =
  | { readonly kind: 'completed'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'cancelled'; readonly reason: string }
  | { readonly kind: 'continuedAsNew'; readonly version: string | undefined; readonly input: EncodedPayload };

/** One live instance. Built by `new`, filled by `replay` or by its first `turn`. */
export class ReplayEngine {
  readonly instanceId: string;
  readonly #host: ReplayHost;
  #started: OrchestrationStarted | null = null;
  #definition: OrchestrationDefinition | null = null;
  #random: SeededRandom | null = null;
  #nextId = 1;
  #atMs = 0;
  /** Rough size of what the instance keeps in memory, in UTF-16 units of event text. */
  #weight = 0;

  readonly #open = new Map<number, OpenDecision>();
  readonly #mailbox = new Mailbox<OpenDecision>();
  #customStatus: EncodedPayload;
  #cancelReason: string | null = null;

  /** True between applying an event and the end of its drain (E4). */
  #active = false;
  /** The recorded events while they are replayed; null when live. */
  #recorded: History | null = null;
  #cursor = 0;
  #turn = new TurnRecord(1);
  #lastCall = 'none';
  #ending: Ending | null = null;
  #rejection: { readonly reason: unknown } | null = null;
  #fault: DurableError | null = null;
  #isReported = false;
  #outcome: TurnOutcome = { kind: 'waiting' };

  /**
   * @param instanceId - id of the instance
   * @param host - the thread around it
   */
  constructor(instanceId: string, host: ReplayHost) {
    this.instanceId = instanceId;
    this.#host = host;
  }

  get executionId(): number {
    return this.#started?.executionId ?? 1;
  }

  get lastEventId(): number {
    return this.#nextId - 1;
  }

  get name(): string {
    return this.#started?.name ?? '';
  }

  get version(): string {
    return this.#started?.version ?? '';
  }

  /** The last call of the context, as text; `none` before the first. */
  get lastCall(): string {
    return this.#lastCall;
  }

  get isReplaying(): boolean {
    return this.#recorded !== null;
  }

  get isCancellationRequested(): boolean {
    return this.#cancelReason !== null;
  }

  /** Rough memory weight, in UTF-16 units. */
  get weight(): number {
    return this.#weight;
  }

  /** False once the instance ended, continued as new or faulted: nothing more can be done with this engine. */
  get isUsable(): boolean {
    return this.#outcome.kind === 'waiting' && this.#fault === null;
  }

  /**
   * Rebuilds the instance from its history. After the last step, `turn` goes on where the history ends.
   *
   * @param history - validated events of the execution
   * @returns a generator; drain microtasks at each yield
   */
  *replay(history: History): Generator<void, void, void> {
    this.#recorded = history;
    this.#cursor = 0;
    while (this.#cursor < history.length && this.isUsable) {
      const event = history[this.#cursor];
      assert(event !== undefined && EVENT_ROLES[event.kind] === 'input', 'replay stops at input events only');
      this.#cursor += 1;
      this.#nextId = event.id + 1;
      this.#weight += 100;
      this.#atMs = event.atMs;
      if (event.kind === 'OrchestrationStarted' && !this.#begin(event, event.version)) return;
      this.#apply(event as InputBody);
      yield;
      this.#afterDrain();
    }
    this.#recorded = null;
  }

  /**
   * Runs one turn.
   *
   * @param input - the received messages and the time
   * @returns a generator; drain microtasks at each yield; its result is what the turn asks for
   */
  *turn(input: TurnInput): Generator<void, ReplayResult, void> {
    this.#turn = new TurnRecord(this.#nextId);
    let consumed = 0;
    for (const received of input.messages) {
      if (!this.isUsable) break;
      consumed += 1;
      if (!this.#accepts(received.message)) continue;
      if (received.message.kind === 'InstanceFaulted') {
        this.#atMs = Math.max(this.#atMs, input.nowMs);
        this.#end({ kind: 'failed', error: fromFailure(received.message.failure) });
        break;
      }
      let event: InputBody | null = null;
      this.#guardedByFault(() => {
        event = this.#record(received, input.nowMs);
      });
      if (event === null) break;
      this.#apply(event);
      yield;
      this.#afterDrain();
    }
    return this.#turn.finish({
      outcome: this.#fault === null ? this.#outcome : { kind: 'faulted', failure: encodeRecord(toFailure(this.#fault)) },
      version: this.version,
      lastEventId: this.lastEventId,
      // What comes after the end is nobody's; after continue-as-new it is the next execution's.
      consumedMessages: HAS_ENDED.has(this.#outcome.kind) ? input.messages.length : consumed,
    });
  }

  /**
   * Takes a rejection that user code did not handle: during its drain it fails the turn, between turns the instance is reported.
   *
   * @param reason - the rejection
   */
  unhandledRejection(reason: unknown): void {
    // Futures that the engine cancelled reject in helpers that nobody awaits any more: that is no mistake of theirs.
    if (isCancellation(reason)) return;
    if (this.#active) this.#rejection ??= { reason };
    else this.#reportLate(lateError(this.#culprit(), `a promise was rejected (${toFailure(reason).message})`));
  }

  /** Once: what follows from the first breach is no news. */
  #reportLate(error: DeterminismError): void {
    if (!this.isUsable || this.#isReported) return;
    this.#isReported = true;
    this.#host.reportFault(this, toFailure(error));
  }

  // --- operations of the context -------------------------------------------------------------------------------------------

  /** Time of the current event, epoch milliseconds. */
  now(): number {
    this.#enterCall('now', '');
    return this.#atMs;
  }

  /** The instance's own generator. */
  random(): SeededRandom {
    this.#enterCall('random', '');
    this.#random ??= new SeededRandom(`${this.instanceId}:${this.executionId}`);
    return this.#random;
  }

  scheduleActivity(name: string, input: EncodedPayload): FutureCore {
    this.#enterCall('scheduleActivity', name);
    if (this.#cancelReason !== null) return this.#rejected();
    const id = this.#decide({ kind: 'ActivityScheduled', name, input });
    if (this.#recorded === null) this.#turn.activities.push({ eventId: id, name, input });
    return this.#opened((core) => ({ kind: 'activity', id, name, core }));
  }

  scheduleTimer(delayMs: number): FutureCore {
    this.#enterCall('scheduleTimer', `${delayMs} ms`);
    if (this.#cancelReason !== null) return this.#rejected();
    const dueMs = this.#atMs + delayMs;
    const id = this.#decide({ kind: 'TimerCreated', fireAtMs: dueMs });
    // Code may change a delay: what runs already keeps the due time that was recorded.
    const recorded = this.#recorded?.[id - 1];
    const fireAtMs = recorded?.kind === 'TimerCreated' ? recorded.fireAtMs : dueMs;
    if (this.#recorded === null) {
      const payload = `{"kind":"TimerFired","executionId":${this.executionId},"sourceId":${id}}`;
      this.#turn.timers.push({ eventId: id, fireAtMs, payload });
    }
    return this.#opened((core) => ({ kind: 'timer', id, fireAtMs, core }));
  }

  waitForEvent(name: string): FutureCore {
    this.#enterCall('waitForEvent', name);
    if (this.#cancelReason !== null) return this.#rejected();
    const id = this.#decide({ kind: 'EventAwaited', name });
    const early = this.#mailbox.take(name);
    if (early !== undefined) {
      const core = new FutureCore(null);
      core.settle({ ok: true, value: early.data });
      return core;
    }
    const core = this.#opened((opened) => ({ kind: 'event', id, name, core: opened }));
    const open = this.#open.get(id);
    assert(open !== undefined, 'an awaited event is open');
    this.#mailbox.wait(name, open);
    return core;
  }

  scheduleSubOrchestration(name: string, start: StartRequest): FutureCore {
    this.#enterCall('scheduleSubOrchestration', name);
    if (this.#cancelReason !== null) return this.#rejected();
    const parent: ParentLink = { instanceId: this.instanceId, executionId: this.executionId, eventId: this.#nextId };
    const instanceId = start.instanceId ?? childInstanceId(parent);
    const id = this.#decide({ kind: 'SubOrchestrationScheduled', name, version: start.version, instanceId, input: start.input });
    if (this.#recorded === null) this.#turn.addStart({ ...start, name, instanceId, parent });
    return this.#opened((core) => ({ kind: 'child', id, instanceId, core }));
  }

  startOrchestration(name: string, start: StartRequest & { readonly instanceId: string }): void {
    this.#enterCall('startOrchestration', name);
    this.#decide({ kind: 'OrchestrationStartRequested', name, version: start.version, instanceId: start.instanceId, input: start.input });
    if (this.#recorded === null) this.#turn.addStart({ ...start, name, parent: null });
  }

  continueAsNew(input: EncodedPayload, version: string | undefined): Promise<never> {
    this.#enterCall('continueAsNew', '');
    if (this.#cancelReason !== null) return this.#rejected().as<never>();
    this.#ending ??= { kind: 'continuedAsNew', version, input };
    return new Promise<never>(() => undefined);
  }

  setCustomStatus(status: EncodedPayload): void {
    this.#enterCall('setCustomStatus', '');
    this.#decide({ kind: 'CustomStatusSet', status });
    this.#customStatus = status;
    if (this.#recorded === null) this.#turn.customStatus = status ?? null;
  }

  getCustomStatus(): unknown {
    this.#enterCall('getCustomStatus', '');
    return decodePayload(this.#customStatus);
  }

  log(line: LogLine): void {
    this.#enterCall('log', line.level);
    if (this.#recorded === null) this.#turn.logs.push(line);
  }

  /** Checks that a combinator may be used now (E4). */
  enterCombinator(kind: string): void {
    this.#enterCall(kind, '');
  }

  // --- input events ----------------------------------------------------------------------------------------------------------

  /** E6, and messages of other executions. */
  #accepts(message: OrchestratorMessage): boolean {
    switch (message.kind) {
      case 'OrchestrationStarted':
        // A duplicate start of a running instance changes nothing: history wins (T5).
        return this.#started === null;
      case 'ActivityCompleted':
      case 'ActivityFailed':
        return this.#isOpen(message, 'activity');
      case 'TimerFired':
        return this.#isOpen(message, 'timer');
      case 'SubOrchestrationCompleted':
      case 'SubOrchestrationFailed':
        return this.#isOpen(message, 'child');
      case 'InstanceFaulted':
        return this.#started !== null && message.executionId === this.executionId;
      case 'CancelRequested':
        // A parent cancels its own child only: the id may belong to somebody else, when the start of the child met a conflict (T4).
        return this.#cancelReason === null && (message.parent === undefined || isSameLink(message.parent, this.#started?.parent));
      case 'EventRaised':
        return true;
    }
  }

  #isOpen(message: { readonly executionId: number; readonly sourceId: number }, kind: OpenDecision['kind']): boolean {
    return message.executionId === this.executionId && this.#open.get(message.sourceId)?.kind === kind;
  }

  /** Appends an input event. Returns null when the code of the instance is not registered here. */
  #record(received: ReceivedMessage, nowMs: number): InputBody | null {
    const { message } = received;
    assert(message.kind !== 'InstanceFaulted', 'a fault is no event');
    this.#atMs = Math.max(this.#atMs, nowMs);
    if (message.kind === 'TimerFired') {
      const open = this.#open.get(message.sourceId);
      if (open?.kind === 'timer') this.#atMs = Math.max(this.#atMs, open.fireAtMs);
    }
    if (message.kind !== 'OrchestrationStarted') {
      if (this.#started === null) {
        this.#fault = new DurableError('MESSAGE_INVALID', `${message.kind} arrived before the start of the instance`);
        return null;
      }
      this.#append(encodeInput(this.#nextId, this.#atMs, received));
      return message;
    }
    if (!this.#begin(message, message.version)) return null;
    this.#append(encodeStarted(this.#atMs, received, this.version));
    return { ...message, version: this.version, engine: 1 };
  }

  /** Finds the code of the execution. */
  #begin(start: Omit<OrchestrationStarted, 'version' | 'engine'>, version: string | undefined): boolean {
    const definition = this.#host.find(start.name, version);
    if (definition === null) {
      const failure = notRegisteredError(start.name, version, this.#host.describeRegistered());
      this.#outcome = { kind: 'notRegistered', failure: encodeRecord(toFailure(failure)) };
      return false;
    }
    this.#started = { ...start, version: definition.version, engine: 1 };
    this.#definition = definition;
    this.#customStatus = encodePayload(start.customStatus, 'custom status');
    for (const { name, data } of start.carried ?? []) this.#mailbox.keep(name, data);
    return true;
  }

  /** E1: applies exactly one input event. */
  #apply(event: InputBody): void {
    this.#active = true;
    this.#guarded(() => this.#deliver(event));
  }

  /** Runs a step on untrusted data; whatever it throws faults the turn. */
  #guardedByFault(step: () => void): void {
    try {
      step();
    } catch (cause) {
      this.#fault = new DurableError('MESSAGE_INVALID', `a queued message cannot be recorded: ${toFailure(cause).message}`, { cause });
    }
  }

  /** Runs a step of the engine; a fault found in it is noted already and ends the turn at the next check. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (this.#fault === null) throw error;
    }
  }

  #deliver(event: InputBody): void {
    switch (event.kind) {
      case 'OrchestrationStarted':
        this.#run(event.input);
        return;
      case 'ActivityCompleted':
      case 'SubOrchestrationCompleted':
        this.#settle(event.sourceId, { ok: true, value: event.result });
        return;
      case 'TimerFired':
        this.#settle(event.sourceId, { ok: true, value: undefined });
        return;
      case 'ActivityFailed':
      case 'SubOrchestrationFailed':
        this.#settle(event.sourceId, { ok: false, error: fromFailure(event.failure) });
        return;
      case 'EventRaised':
        this.#raise(event.name, event.data);
        return;
      case 'CancelRequested':
        this.#cancelReason = event.reason;
        this.#cancelOpen();
        return;
    }
  }

  #run(input: unknown): void {
    const definition = this.#definition;
    assert(definition !== null, 'the code is known before it runs');
    const context = userCodeContext(this);
    const handler = definition.handler as (ctx: unknown, input: unknown) => unknown;
    // The async wrapper turns a synchronous throw into a rejection, so that there is one way to end.
    const ended = this.#host.enter(this, async () => handler(context, input));
    ended.then(
      (value) => this.#codeEnded({ kind: 'completed', value }),
      (error: unknown) => this.#codeEnded({ kind: 'failed', error }),
    );
  }

  #codeEnded(ending: Ending): void {
    if (!this.#active) {
      // It awaited a foreign promise and finished between turns.
      this.#reportLate(lateError(this.#culprit(), 'it ended'));
      return;
    }
    // An error is never hidden by continue-as-new; a normal return is (T: continue-as-new beats return).
    if (this.#ending === null || ending.kind === 'failed') this.#ending = ending;
  }

  #settle(sourceId: number, settled: Settled): void {
    const open = this.#open.get(sourceId);
    assert(open !== undefined, `event ${sourceId} is open`);
    this.#open.delete(sourceId);
    open.core.settle(settled);
  }

  #raise(name: string, data: unknown): void {
    const waiter = this.#mailbox.raise(name, data);
    if (waiter !== null) this.#settle(waiter.id, { ok: true, value: data });
  }

  // --- decisions -------------------------------------------------------------------------------------------------------------

  #enterCall(call: string, subject: string): void {
    const text = `ctx.${call}(${subject})`;
    this.#host.noteCall(text);
    if (!this.#active) {
      const error = lateError(this.#culprit(), `it called ${text}`);
      this.#reportLate(error);
      throw error;
    }
    if (this.#fault !== null) throw this.#fault;
    this.#lastCall = text;
  }

  /** E2, E3: takes the next id; on replay checks the decision against the recorded one. */
  #decide(decision: Decision): number {
    const id = this.#nextId;
    // At once, not only after the drain: a runaway loop of calls would use up the memory of its thread first.
    if (id > MAX_HISTORY_EVENTS && !GIVES_UP.has(decision.kind)) throw tooLongError(this.#culprit(), id);
    if (this.#recorded === null) {
      this.#append(encodeDecision(id, this.#atMs, decision));
      return id;
    }
    const recorded = this.#recorded[this.#cursor];
    if (recorded === undefined || !matchesDecision(recorded, decision)) {
      this.#fault = this.#nondeterminism(recorded, `the code now decides ${describeDecision(decision)}${callSite()}`);
      throw this.#fault;
    }
    this.#cursor += 1;
    this.#nextId += 1;
    return id;
  }

  #append(text: string): void {
    this.#turn.events.push(text);
    this.#nextId += 1;
    this.#weight += text.length;
  }

  #opened(make: (core: FutureCore) => OpenDecision): FutureCore {
    let open: OpenDecision | null = null;
    const core = new FutureCore(() => {
      if (open !== null) this.#cancel(open);
    });
    open = make(core);
    this.#open.set(open.id, open);
    return core;
  }

  #rejected(): FutureCore {
    const core = new FutureCore(null);
    core.settle({ ok: false, error: this.#cancelledError() });
    return core;
  }

  #cancelledError(): CancelledError {
    return new CancelledError(`orchestration '${this.name}' was asked to cancel: ${this.#cancelReason ?? ''}`);
  }

  /** Gives up on an open decision: an event, and the removal of what was asked for. */
  #cancel(open: OpenDecision): void {
    this.#enterCall('cancel', `event ${open.id}`);
    this.#decide({ kind: 'FutureCancelled', sourceId: open.id });
    this.#open.delete(open.id);
    if (open.kind === 'event') this.#mailbox.giveUp(open.name, open);
    if (this.#recorded !== null) return;
    switch (open.kind) {
      case 'activity':
        this.#turn.cancelledActivities.push(open.id);
        return;
      case 'timer':
        this.#turn.cancelledTimers.push(open.id);
        return;
      case 'child':
        this.#turn.addMessage(
          open.instanceId,
          encodeRecord({
            kind: 'CancelRequested',
            reason: `parent ${this.instanceId} no longer needs the result`,
            parent: { instanceId: this.instanceId, executionId: this.executionId, eventId: open.id },
          }),
        );
        return;
      case 'event':
        return;
    }
  }

  #cancelOpen(): void {
    for (const open of this.#open.values()) open.core.cancel();
  }

  // --- end of a drain --------------------------------------------------------------------------------------------------------

  #afterDrain(): void {
    this.#guarded(() => this.#conclude());
    this.#active = false;
  }

  #conclude(): void {
    if (this.#fault !== null) return;
    if (this.#rejection !== null && this.#ending?.kind !== 'failed') {
      this.#ending = { kind: 'failed', error: rejectionError(this.#culprit(), this.#rejection.reason) };
    }
    if (this.#ending === null && this.#open.size === 0) {
      this.#ending = { kind: 'failed', error: stuckError(this.#culprit()) };
    }
    if (this.#ending === null && this.lastEventId > MAX_HISTORY_EVENTS) {
      this.#ending = { kind: 'failed', error: tooLongError(this.#culprit(), this.lastEventId) };
    }
    const next = this.#recorded?.[this.#cursor];
    if (this.#ending === null && next !== undefined && EVENT_ROLES[next.kind] !== 'input') this.#ending = this.#imposedEnd();
    if (this.#ending !== null) {
      if (this.#recorded !== null && (next === undefined || EVENT_ROLES[next.kind] === 'input')) {
        this.#fault = this.#nondeterminism(next, `the code now ends here (${this.#ending.kind})`);
        return;
      }
      this.#end(this.#ending);
      return;
    }
    if (next !== undefined && EVENT_ROLES[next.kind] !== 'input') {
      this.#fault = this.#nondeterminism(next, 'the code now decides nothing more here');
    }
  }

  /** A reported fault ends an instance between two events of its code: on replay the end is taken from history. */
  #imposedEnd(): Ending | null {
    const last = this.#recorded?.at(-1);
    const isNext = last?.id === this.#nextId + this.#open.size;
    const isImposed = last?.kind === 'OrchestrationFailed' && last.failure.code === 'LATE_CALL';
    return isNext && isImposed ? { kind: 'failed', error: fromFailure(last.failure) } : null;
  }

  /** Cancels what is still open, then records the terminal event: it is the last one (H1, T44, T45). */
  #end(ending: Ending): void {
    this.#active = true;
    this.#cancelOpen();
    const final = this.#asCancelled(ending);
    switch (final.kind) {
      case 'completed':
        this.#complete(final.value);
        break;
      case 'failed':
        this.#fail(toFailure(final.error));
        break;
      case 'cancelled': {
        this.#decide({ kind: 'OrchestrationCancelled', reason: final.reason });
        const failure = toFailure(new CancelledError(final.reason));
        this.#outcome = { kind: 'cancelled', failure: encodeRecord(failure) };
        this.#tellParent({ ok: false, failure });
        break;
      }
      case 'continuedAsNew':
        this.#continueAsNew(final.version, final.input);
        break;
    }
    this.#active = false;
  }

  /** An instance that was asked to cancel ends Cancelled, unless its code failed with another error. */
  #asCancelled(ending: Ending): Ending {
    const cancelled = ending.kind === 'completed' || (ending.kind === 'failed' && isCancellation(ending.error));
    return this.#cancelReason !== null && cancelled ? { kind: 'cancelled', reason: this.#cancelReason } : ending;
  }

  #complete(value: unknown): void {
    let result: EncodedPayload;
    try {
      result = encodePayload(value, `result of orchestration '${this.name}'`);
    } catch (error) {
      this.#fail(toFailure(error));
      return;
    }
    this.#decide({ kind: 'OrchestrationCompleted', result });
    this.#outcome = { kind: 'completed', result };
    this.#tellParent({ ok: true, result });
  }

  #fail(failure: Failure): void {
    const encoded = encodeRecord(failure);
    this.#decide({ kind: 'OrchestrationFailed', failure: encoded, identity: failureIdentity(failure) });
    this.#outcome = { kind: 'failed', failure: encoded };
    this.#tellParent({ ok: false, failure });
  }

  #tellParent(end: { readonly ok: true; readonly result: EncodedPayload } | { readonly ok: false; readonly failure: Failure }): void {
    const parent = this.#started?.parent;
    if (parent === undefined || this.#recorded !== null) return;
    const kind = end.ok ? 'SubOrchestrationCompleted' : 'SubOrchestrationFailed';
    const payload = end.ok ? field('result', end.result) : field('failure', encodeRecord(end.failure));
    this.#turn.addMessage(
      parent.instanceId,
      `{"kind":"${kind}","executionId":${parent.executionId},"sourceId":${parent.eventId}${payload}}`,
    );
  }

  #continueAsNew(version: string | undefined, input: EncodedPayload): void {
    const carried = this.#mailbox.unread();
    let payload: string;
    try {
      payload = encodeRecord({
        kind: 'OrchestrationStarted',
        executionId: this.executionId + 1,
        name: this.name,
        version,
        input: decodePayload(input),
        parent: this.#started?.parent,
        carried: carried.length === 0 ? undefined : carried,
        customStatus: decodePayload(this.#customStatus),
      });
    } catch (cause) {
      // An event from outside may be nested deeper than it can be written again.
      this.#fail(
        toFailure(new PayloadError('PAYLOAD_NOT_SERIALIZABLE', 'what continue-as-new carries over cannot be written as JSON', { cause })),
      );
      return;
    }
    if (carried.length > 0 && payload.length > MAX_CARRIED_EVENT_UNITS) {
      this.#fail(toFailure(carriedTooLargeError(carried.length, payload.length)));
      return;
    }
    this.#decide({ kind: 'OrchestrationContinuedAsNew', version, input });
    this.#outcome = { kind: 'continuedAsNew', name: this.name, version: version ?? null, payload };
  }

  #culprit(): Culprit {
    return { name: this.name, instanceId: this.instanceId, executionId: this.executionId, lastCall: this.#lastCall };
  }

  #nondeterminism(recorded: HistoryEvent | undefined, now: string): DeterminismError {
    return nondeterminismError(this.#culprit(), { eventId: recorded?.id ?? this.#nextId, recorded, now });
  }
}

/** Decisions that an execution may take beyond its last event: they bring it to its end. */
const GIVES_UP: ReadonlySet<Decision['kind']> = new Set<Decision['kind']>([
  'FutureCancelled',
  'OrchestrationCompleted',
  'OrchestrationFailed',
  'OrchestrationCancelled',
  'OrchestrationContinuedAsNew',
]);

const HAS_ENDED: ReadonlySet<TurnOutcome['kind']> = new Set<TurnOutcome['kind']>(['completed', 'failed', 'cancelled']);

/** A cancellation, also one that went through `any`. */
function isCancellation(error: unknown): boolean {
  if (error instanceof CancelledError) return true;
  return error instanceof AggregateError && error.errors.length > 0 && error.errors.every(isCancellation);
}

/** What a start needs besides the name. */
export type StartRequest = {
  readonly instanceId?: string | undefined;
  readonly version: string | undefined;
  readonly input: EncodedPayload;
};
