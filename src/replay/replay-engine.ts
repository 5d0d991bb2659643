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
// E7. Whatever the end, what is still open is given up before the terminal event, children by their close policy (T38).
import {
  changeAttributes,
  decodeAttributes,
  encodeAttributes,
  writeAttributes,
  type Attributes,
  type EncodedChange,
  type StoredAttributes,
} from '../types/attributes.ts';
import { decodePayload, encodePayload, encodeRecord, parseRecord, quote, type EncodedPayload } from '../types/codec.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { assert, CancelledError, DurableError, PayloadError, TimeoutError, type DeterminismError } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import {
  EVENT_ROLES,
  type CarriedEvent,
  type HistoryEvent,
  type InputBody,
  type OrchestrationStarted,
  type OrchestratorMessage,
  type ParentClosePolicy,
  type StartPolicy,
} from '../types/history-event.ts';
import { MAX_CARRIED_EVENT_KEYS, MAX_CARRIED_EVENT_UNITS, MAX_HISTORY_EVENTS, MAX_SUBSCRIPTIONS } from '../types/limits.ts';
import type { LogLevel } from '../types/logger.ts';
import { field } from '../types/message-text.ts';
import type { MetricPoint } from '../types/metrics.ts';
import { childInstanceId, isSameLink, READ_VALUE_ACTIVITY, SYSTEM_TAG, TOPIC_MAILBOX_PREFIX, type ParentLink } from '../types/names.ts';
import type { ActivityRouting, History, ReceivedMessage, ReplayResult, Standing, TurnInput, TurnOutcome } from '../types/replay.ts';
import { checkNow } from '../types/schema.ts';
import { matchesTopic } from '../types/topics.ts';
import type { TraceContext } from '../types/trace.ts';
import { describeDecision, encodeDecision, failureIdentity, matchesDecision, type Decision } from './decision.ts';
import { FutureCore, type Settled } from './durable-future.ts';
import {
  findCallSite,
  carriedTooLargeError,
  lateError,
  nondeterminismError,
  notRegisteredError,
  rejectionError,
  stuckError,
  tooLongError,
  tooManySubscriptionsError,
  type Culprit,
} from './engine-errors.ts';
import { ExecutionTracer } from './execution-tracer.ts';
import { drive, isGenerator } from './generator.ts';
import { KeyValues } from './key-values.ts';
import { Mailbox } from './mailbox.ts';
import { encodeInput, encodeStarted, withTraceparent } from './message.ts';
import { userCodeContext } from './orchestration-context.ts';
import { SeededRandom } from './random.ts';
import type { ReplayHost } from './replay-host.ts';
import { Scope } from './scope.ts';
import { TurnRecord } from './turn-record.ts';

/** What a decision waits for. */
type Opening =
  | { readonly kind: 'activity' | 'event'; readonly id: number; readonly name: string }
  | { readonly kind: 'timer'; readonly id: number; readonly fireAtMs: number }
  | {
      readonly kind: 'child';
      readonly id: number;
      readonly name: string;
      readonly instanceId: string;
      readonly atMs: number;
      readonly onParentClose: ParentClosePolicy;
    };

/** A decision that waits for its completion, and in which scope it was taken. */
type OpenDecision = Opening & { readonly core: FutureCore; readonly scope: Scope };

/** Why an open decision is given up: user code no longer wants it, or what it belongs to ends. */
type GivingUp = 'cancelled' | 'closed';

/** How the code of the orchestration ended, or is to end. */
type Ending =
  | { readonly kind: 'completed'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'cancelled'; readonly reason: string }
  | {
      readonly kind: 'continuedAsNew';
      readonly version: string | undefined;
      readonly input: EncodedPayload;
      readonly overflow: OverflowPolicy;
    };

/** See `ContinueAsNewOptions`. */
export type OverflowPolicy = 'fail' | 'dropOldest' | 'dropNewest';

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
  /** Made when they are first asked for, as the sets below: most instances have none. */
  #values: KeyValues | null = null;
  #subscriptions: Set<string> | null = null;
  /** null: none were ever set. */
  #attributes: StoredAttributes | null = null;
  /** Keys of events that were received, oldest first (T55). */
  #eventKeys: Set<string> | null = null;
  /** What `patched` has answered. */
  #patches: Map<string, boolean> | null = null;
  #customStatus: EncodedPayload;
  /** null: the execution has no trace. */
  #tracer: ExecutionTracer | null = null;
  #cancelReason: string | null = null;
  readonly #rootScope: Scope = new Scope(this, null, false);
  /** True once the code has opened a scope: before that the host need not be asked. */
  #hasScopes = false;
  #turns = 0;

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

  get shouldContinueAsNew(): boolean {
    return this.lastEventId >= MAX_HISTORY_EVENTS / 2;
  }

  /** The key-value pairs. */
  get values(): KeyValues {
    this.#values ??= new KeyValues();
    return this.#values;
  }

  /** The search attributes; a fresh copy each time. */
  get attributes(): Attributes {
    return decodeAttributes(this.#attributes);
  }

  /** The span of the execution; null: it has no trace. */
  get trace(): TraceContext | null {
    return this.#tracer?.context ?? null;
  }

  /** Put before the names that the code uses. */
  get prefix(): string {
    return this.#definition?.prefix ?? '';
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
   * @param turns - how many turns they come from
   * @returns a generator; drain microtasks at each yield
   */
  *replay(history: History, turns = 0): Generator<void, void, void> {
    this.#turns = turns;
    this.#recorded = history;
    this.#cursor = 0;
    while (this.#cursor < history.length && this.isUsable) {
      const event = history[this.#cursor];
      assert(event !== undefined && EVENT_ROLES[event.kind] === 'input', 'replay stops at input events only');
      this.#cursor += 1;
      this.#nextId = event.id + 1;
      this.#weight += 100;
      this.#atMs = event.atMs;
      if (event.kind === 'OrchestrationStarted') {
        let begun = false;
        this.#guardedByFault(() => {
          begun = this.#begin(event, event.version);
        });
        if (!begun) return;
      }
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
    this.#turns += 1;
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
        event = this.#record(received, input);
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
      turns: this.#turns,
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

  /** How the instance stands, for the comparison with another engine that has followed the same history. */
  describeStanding(): Standing {
    return {
      lastEventId: this.lastEventId,
      outcome: describeOutcome(this.#outcome),
      waitsFor: Array.from(
        this.#open.values(),
        ({ id, kind, ...open }) => `${kind} of event ${id}${'name' in open ? ` '${open.name}'` : ''}`,
      ),
      customStatus: this.#customStatus ?? null,
      values: this.#values?.describe() ?? [],
      attributes: this.#attributes?.text ?? null,
      subscriptions: [...(this.#subscriptions ?? [])],
      randomNumbersDrawn: this.#random?.drawn ?? 0,
    };
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

  /**
   * Schedules one attempt of an activity.
   *
   * @param how - routing; which attempt of a retry policy; in which scope (default: that of the running code)
   */
  scheduleActivity(name: string, input: EncodedPayload, how: ActivityRequest = PLAIN): FutureCore {
    this.#enterCall('scheduleActivity', name);
    const { routing, attempt, scope = this.currentScope() } = how;
    if (scope.cancelled !== null) return rejected(scope.cancelled);
    const tag = routing?.tag ?? undefined;
    const sessionId = routing?.sessionId ?? undefined;
    const id = this.#decide({ kind: 'ActivityScheduled', name, input, tag, sessionId, attempt: attempt > 1 ? attempt : undefined });
    if (this.#recorded === null) this.#turn.activities.push({ eventId: id, name, input: this.#tracer?.stamp(input) ?? input, routing });
    return this.#opened(scope, { kind: 'activity', id, name });
  }

  /** Reads a key-value pair of another instance. */
  readValue(instanceId: string, key: string): FutureCore {
    return this.scheduleActivity(READ_VALUE_ACTIVITY, encodeRecord({ instanceId, key }), {
      attempt: 1,
      routing: { tag: SYSTEM_TAG, sessionId: null, priority: 0, timeoutMs: null, expiresAfterMs: null, limit: null, extras: null },
    });
  }

  scheduleTimer(delayMs: number, scope: Scope = this.currentScope()): FutureCore {
    this.#enterCall('scheduleTimer', `${delayMs} ms`);
    if (scope.cancelled !== null) return rejected(scope.cancelled);
    const dueMs = this.#atMs + delayMs;
    const id = this.#decide({ kind: 'TimerCreated', fireAtMs: dueMs });
    // Code may change a delay: what runs already keeps the due time that was recorded.
    const recorded = this.#recorded?.[id - 1];
    const fireAtMs = recorded?.kind === 'TimerCreated' ? recorded.fireAtMs : dueMs;
    if (this.#recorded === null) {
      const payload = `{"kind":"TimerFired","executionId":${this.executionId},"sourceId":${id}}`;
      this.#turn.timers.push({ eventId: id, fireAtMs, payload });
    }
    return this.#opened(scope, { kind: 'timer', id, fireAtMs });
  }

  waitForEvent(name: string): FutureCore {
    this.#enterCall('waitForEvent', name);
    const scope = this.currentScope();
    if (scope.cancelled !== null) return rejected(scope.cancelled);
    const id = this.#decide({ kind: 'EventAwaited', name });
    const early = this.#mailbox.take(name);
    if (early !== undefined) {
      const core = new FutureCore(null);
      core.settle(this.#checkEvent(name, early.data));
      return core;
    }
    const core = this.#opened(scope, { kind: 'event', id, name });
    const open = this.#open.get(id);
    assert(open !== undefined, 'an awaited event is open');
    this.#mailbox.wait(name, open);
    return core;
  }

  scheduleSubOrchestration(name: string, start: StartRequest): FutureCore {
    this.#enterCall('scheduleSubOrchestration', name);
    const scope = this.currentScope();
    if (scope.cancelled !== null) return rejected(scope.cancelled);
    const parent: ParentLink = { instanceId: this.instanceId, executionId: this.executionId, eventId: this.#nextId };
    const instanceId = start.instanceId ?? childInstanceId(parent);
    const { version, input, onParentClose } = start;
    const closing = onParentClose === 'cancel' ? undefined : onParentClose;
    const id = this.#decide({ kind: 'SubOrchestrationScheduled', name, version, instanceId, input, onParentClose: closing });
    if (this.#recorded === null) {
      this.#turn.addStart({ ...start, name, instanceId, parent, startAtMs: this.#startAt(start), trace: this.trace });
      this.#measure({
        kind: 'counter',
        name: 'duraloom_suborchestration_calls_total',
        value: 1,
        labels: { parent: this.name, child: name },
      });
    }
    return this.#opened(scope, { kind: 'child', id, name, instanceId, atMs: this.#atMs, onParentClose });
  }

  startOrchestration(name: string, start: StartRequest & { readonly instanceId: string }): void {
    this.#enterCall('startOrchestration', name);
    const { version, instanceId, input } = start;
    this.#decide({ kind: 'OrchestrationStartRequested', name, version, instanceId, input, onParentClose: undefined });
    if (this.#recorded === null) {
      this.#turn.addStart({ ...start, name, parent: null, startAtMs: this.#startAt(start), trace: this.trace });
    }
  }

  #startAt({ startAfterMs, startAtMs }: StartRequest): number | null {
    return startAfterMs === null ? startAtMs : Math.max(this.#atMs + startAfterMs, startAtMs ?? 0);
  }

  continueAsNew(input: EncodedPayload, version: string | undefined, overflow: OverflowPolicy): Promise<never> {
    this.#enterCall('continueAsNew', '');
    // Also inside a shield: whoever was asked to cancel does not go on.
    const cancelled = this.currentScope().cancelled ?? this.#rootScope.cancelled;
    if (cancelled !== null) return rejected(cancelled).as<never>();
    this.#ending ??= { kind: 'continuedAsNew', version, input, overflow };
    return new Promise<never>(() => undefined);
  }

  /** Sets a key-value pair; the value is encoded. */
  setValue(key: string, encoded: string): void {
    this.#enterCall('kv.set', key);
    this.values.assertRoom(key, encoded);
    this.#decide({ kind: 'ValueSet', key, value: encoded });
    this.values.write(key, encoded, this.#atMs);
    if (this.#recorded === null) this.#turn.effects.values.push({ key, value: encoded });
  }

  /** Deletes a key-value pair. Returns whether it was there. */
  deleteValue(key: string): boolean {
    this.#enterCall('kv.delete', key);
    if (!this.values.has(key)) return false;
    this.#decide({ kind: 'ValueDeleted', key });
    this.values.remove(key);
    if (this.#recorded === null) this.#turn.effects.values.push({ key, value: null });
    return true;
  }

  /** Changes the search attributes; the change was checked. */
  setAttributes(change: EncodedChange): void {
    this.#enterCall('setAttributes', '');
    const attributes = changeAttributes(this.#attributes, change);
    this.#decide({ kind: 'AttributesSet', attributes: writeAttributes(change) });
    this.#attributes = attributes;
    if (this.#recorded === null) this.#turn.effects.attributes = attributes;
  }

  subscribe(pattern: string): void {
    this.#enterCall('subscribe', pattern);
    this.#subscriptions ??= new Set();
    if (this.#subscriptions.has(pattern)) return;
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) throw tooManySubscriptionsError(this.#culprit());
    this.#decide({ kind: 'TopicSubscribed', pattern });
    this.#subscriptions.add(pattern);
    if (this.#recorded === null) this.#turn.effects.subscriptions.push({ pattern, subscribed: true });
  }

  unsubscribe(pattern: string): void {
    this.#enterCall('unsubscribe', pattern);
    if (this.#subscriptions?.has(pattern) !== true) return;
    this.#decide({ kind: 'TopicUnsubscribed', pattern });
    this.#subscriptions.delete(pattern);
    const mailbox = `${TOPIC_MAILBOX_PREFIX}${pattern}`;
    this.#mailbox.drop(mailbox);
    for (const open of this.#open.values()) if (open.kind === 'event' && open.name === mailbox) open.core.cancel();
    if (this.#recorded === null) this.#turn.effects.subscriptions.push({ pattern, subscribed: false });
  }

  publish(topic: string, data: EncodedPayload): void {
    this.#enterCall('publish', topic);
    this.#decide({ kind: 'TopicPublished', topic, data });
    if (this.#recorded === null) {
      this.#turn.effects.publications.push({ topic, payload: `{"kind":"TopicReceived","topic":${quote(topic)}${field('data', data)}}` });
    }
  }

  sendToSession(sessionId: string, data: EncodedPayload): void {
    this.#enterCall('sendToSession', sessionId);
    this.#decide({ kind: 'SessionMessageSent', sessionId, data });
    if (this.#recorded === null) this.#turn.effects.sessionMessages.push({ sessionId, payload: data ?? '' });
  }

  /** True: the code takes the new way here, and history says so. */
  patched(patchId: string): boolean {
    this.#enterCall('patched', patchId);
    this.#patches ??= new Map();
    const answered = this.#patches.get(patchId);
    if (answered !== undefined) return answered;
    // On replay an execution without the mark has passed this place before the change.
    const applies = this.#recorded === null || this.#isRecordedPatch(patchId);
    if (applies) this.#decide({ kind: 'Patched', patchId });
    this.#patches.set(patchId, applies);
    return applies;
  }

  /** Passes the mark of a change that is for all now. */
  deprecatePatch(patchId: string): void {
    this.#enterCall('deprecatePatch', patchId);
    if (this.#isRecordedPatch(patchId)) this.#decide({ kind: 'Patched', patchId });
  }

  #isRecordedPatch(patchId: string): boolean {
    const recorded = this.#recorded?.[this.#cursor];
    return recorded?.kind === 'Patched' && recorded.patchId === patchId;
  }

  /** A measurement of user code. */
  metric(point: MetricPoint): void {
    this.#enterCall('metrics', point.name);
    this.#measure(point);
  }

  #measure(point: MetricPoint): void {
    if (this.#recorded === null) this.#turn.effects.metrics.push(point);
  }

  // --- scopes ----------------------------------------------------------------------------------------------------------------

  /** The scope of the code that is running. */
  currentScope(): Scope {
    if (!this.#hasScopes) return this.#rootScope;
    const scope = this.#host.currentScope();
    return scope?.engine === this ? scope : this.#rootScope;
  }

  /** Runs code in a scope below the current one; cancelling the future cancels the scope. */
  runInScope(run: () => unknown, isShield: boolean): FutureCore {
    this.#enterCall(isShield ? 'shield' : 'scope', '');
    const core = this.#runIn(new Scope(this, this.currentScope(), isShield), run);
    // A group that was cancelled gives up its losers, but not the cleaning up.
    core.survivesGroups = isShield;
    return core;
  }

  /** Runs code in a scope that is cancelled when a timer fires first. */
  runWithTimeout(limitMs: number, run: () => unknown): FutureCore {
    this.#enterCall('withTimeout', `${limitMs} ms`);
    const outer = this.currentScope();
    const timer = this.scheduleTimer(limitMs, outer);
    const scope = new Scope(this, outer, false);
    const core = this.#runIn(scope, run);
    timer.observe((fired) => {
      if (!fired.ok) return;
      this.#cancelScope(scope, new CancelledError(`the scope took longer than ${limitMs} ms`));
      const where = `orchestration '${this.name}' (instance '${this.instanceId}')`;
      core.settle({ ok: false, error: new TimeoutError('TIMEOUT', `a scope of ${where} took longer than ${limitMs} ms`) });
    });
    core.observe(() => timer.cancel());
    return core;
  }

  #runIn(scope: Scope, run: () => unknown): FutureCore {
    this.#hasScopes = true;
    const settle = (settled: Settled): void => {
      if (this.isInTurn('a scope ended')) core.settle(settled);
    };
    const core = new FutureCore(() => {
      this.#enterCall('cancel', 'scope');
      this.#cancelScope(scope, new CancelledError('the scope was cancelled'));
    });
    this.#host
      .enter(scope, async () => {
        const returned = run();
        return isGenerator(returned) ? drive(returned) : returned;
      })
      .then(
        (value) => settle({ ok: true, value }),
        (error: unknown) => settle({ ok: false, error }),
      );
    return core;
  }

  /** Tells whether user code may go on now (E4); when it must not, because it awaited a foreign promise, that is reported. */
  isInTurn(what: string): boolean {
    if (!this.#active) this.#reportLate(lateError(this.#culprit(), what));
    return this.#active;
  }

  #cancelScope(scope: Scope, reason: CancelledError): void {
    scope.cancel(reason);
    this.#close((open) => open.scope.cancelled);
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

  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void {
    this.#enterCall('log', level);
    if (this.#recorded === null) this.#addLog(level, message, fields);
  }

  #addLog(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void {
    // What is logged may run code when it is read, which does not happen on replay: nothing of the context may be called then.
    const wasActive = this.#active;
    this.#active = false;
    const line = this.#host.takeLog(level, message, fields);
    this.#active = wasActive;
    if (line !== null) this.#turn.addLog(line);
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
        return message.key === undefined || this.#eventKeys?.has(message.key) !== true;
      case 'TopicReceived':
        if (message.key !== undefined && this.#eventKeys?.has(message.key) === true) return false;
        return this.#patternsOf(message.topic).length > 0;
    }
  }

  /** The subscriptions that a topic reaches, oldest first. */
  #patternsOf(topic: string): readonly string[] {
    return [...(this.#subscriptions ?? [])].filter((pattern) => matchesTopic(pattern, topic));
  }

  #isOpen(message: { readonly executionId: number; readonly sourceId: number }, kind: OpenDecision['kind']): boolean {
    return message.executionId === this.executionId && this.#open.get(message.sourceId)?.kind === kind;
  }

  /** Appends an input event. Returns null when the code of the instance is not registered here. */
  #record(given: ReceivedMessage, { nowMs, executionId: current = 1 }: TurnInput): InputBody | null {
    const received = this.#withTrace(given);
    const { message } = received;
    assert(message.kind !== 'InstanceFaulted', 'a fault is no event');
    this.#atMs = Math.max(this.#atMs, nowMs);
    if (message.kind === 'TimerFired') {
      const open = this.#open.get(message.sourceId);
      assert(open?.kind === 'timer', 'only an open timer fires');
      this.#atMs = Math.max(this.#atMs, open.fireAtMs);
    }
    if (message.kind !== 'OrchestrationStarted') {
      if (this.#started === null) {
        this.#fault = new DurableError('MESSAGE_INVALID', `${message.kind} arrived before the start of the instance`);
        return null;
      }
      this.#append(encodeInput(this.#nextId, this.#atMs, received));
      return message;
    }
    const executionId = message.executionId ?? current;
    if (!this.#begin({ ...message, executionId }, message.version)) return null;
    this.#append(encodeStarted(this.#atMs, received, { version: this.version, executionId }));
    return { ...message, executionId, version: this.version, engine: 1 };
  }

  /** Begins a trace where somebody records them and the start has none. */
  #withTrace(received: ReceivedMessage): ReceivedMessage {
    const { message } = received;
    const { beginTrace } = this.#host;
    if (beginTrace === undefined || message.kind !== 'OrchestrationStarted' || message.traceparent !== undefined) return received;
    return withTraceparent(received, beginTrace());
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
    if (start.values !== undefined) this.values.restore(start.values);
    if (start.attributes !== undefined) this.#attributes = encodeAttributes(start.attributes);
    if (start.subscriptions !== undefined) this.#subscriptions = new Set(start.subscriptions);
    if (start.eventKeys !== undefined) this.#eventKeys = new Set(start.eventKeys);
    const { traceparent, tracestate } = start;
    if (traceparent !== undefined) {
      const key = `${this.instanceId} ${this.executionId} ${this.#atMs}`;
      const trace = tracestate === undefined ? { traceparent } : { traceparent, tracestate };
      this.#tracer = new ExecutionTracer(trace, { key, startMs: this.#atMs, isRecorded: this.#host.beginTrace !== undefined });
    }
    return true;
  }

  /** E1: applies exactly one input event. */
  #apply(event: InputBody): void {
    this.#active = true;
    this.#tracer?.note(event, this.#atMs);
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
      case 'SubOrchestrationCompleted':
        this.#measureChild(event.sourceId, 'completed');
        this.#settle(event.sourceId, { ok: true, value: event.result });
        return;
      case 'ActivityCompleted':
        this.#settle(event.sourceId, { ok: true, value: event.result });
        return;
      case 'TimerFired':
        this.#settle(event.sourceId, { ok: true, value: undefined });
        return;
      case 'SubOrchestrationFailed':
        this.#measureChild(event.sourceId, 'failed');
        this.#settle(event.sourceId, { ok: false, error: fromFailure(event.failure) });
        return;
      case 'ActivityFailed':
        this.#settle(event.sourceId, { ok: false, error: fromFailure(event.failure, event.heartbeat) });
        return;
      case 'EventRaised':
        this.#remember(event.key);
        this.#raise(event.name, event.data);
        return;
      case 'TopicReceived':
        this.#remember(event.key);
        for (const pattern of this.#patternsOf(event.topic)) {
          this.#raise(`${TOPIC_MAILBOX_PREFIX}${pattern}`, { topic: event.topic, data: event.data });
        }
        return;
      case 'CancelRequested':
        this.#cancelReason = event.reason;
        this.#cancelScope(this.#rootScope, new CancelledError(`orchestration '${this.name}' was asked to cancel: ${event.reason}`));
        return;
    }
  }

  #remember(key: string | undefined): void {
    if (key === undefined) return;
    this.#eventKeys ??= new Set();
    this.#eventKeys.add(key);
  }

  #measureChild(sourceId: number, outcome: 'completed' | 'failed'): void {
    const open = this.#open.get(sourceId);
    assert(open?.kind === 'child', `event ${sourceId} is an open child`);
    this.#measure({
      kind: 'histogram',
      name: 'duraloom_suborchestration_duration_seconds',
      value: (this.#atMs - open.atMs) / 1_000,
      labels: { parent: this.name, child: open.name, outcome },
    });
  }

  #run(input: unknown): void {
    const definition = this.#definition;
    assert(definition !== null, 'the code is known before it runs');
    const context = userCodeContext(this);
    const handler = definition.handler as (ctx: unknown, input: unknown) => unknown;
    // The async wrapper turns a synchronous throw into a rejection, so that there is one way to end.
    const ended = this.#host.enter(this.#rootScope, async () => {
      const { schemas } = definition;
      const returned = handler(context, checkNow(schemas.input, input, `the input of orchestration '${this.name}'`));
      const result = isGenerator(returned) ? drive(returned) : returned;
      return schemas.output === undefined ? result : checkNow(schemas.output, await result, `the result of orchestration '${this.name}'`);
    });
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
    if (waiter !== null) this.#settle(waiter.id, this.#checkEvent(name, data));
  }

  #checkEvent(name: string, data: unknown): Settled {
    const events = this.#definition?.schemas.events ?? {};
    const schema = Object.hasOwn(events, name) ? events[name] : undefined;
    if (schema === undefined) return { ok: true, value: data };
    try {
      return { ok: true, value: checkNow(schema, data, `the data of event '${name}'`) };
    } catch (error) {
      return { ok: false, error };
    }
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
      this.#fault = this.#nondeterminism(recorded, describeDecision(decision), findCallSite());
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

  #opened(scope: Scope, opening: Opening): FutureCore {
    const { id } = opening;
    const core = new FutureCore(() => {
      const open = this.#open.get(id);
      if (open !== undefined) this.#withdraw(open, 'cancelled');
    });
    this.#open.set(id, { ...opening, core, scope });
    return core;
  }

  /** Gives up on the open decisions for which there is a reason; their futures reject with it. */
  #close(reasonOf: (open: OpenDecision) => CancelledError | null): void {
    const closed: { readonly open: OpenDecision; readonly error: CancelledError }[] = [];
    for (const open of this.#open.values()) {
      const error = reasonOf(open);
      if (error !== null) closed.push({ open, error });
    }
    // First all of them, by their own policies; then they are told: a group that one belongs to would cancel the others.
    for (const { open } of closed) this.#withdraw(open, 'closed');
    for (const { open, error } of closed) open.core.settle({ ok: false, error });
  }

  /** An event, and the removal of what was asked for. */
  #withdraw(open: OpenDecision, how: GivingUp): void {
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
        this.#closeChild(open, how === 'cancelled' ? 'cancel' : open.onParentClose);
        return;
      case 'event':
        return;
    }
  }

  #closeChild({ instanceId, id }: Extract<OpenDecision, { kind: 'child' }>, policy: ParentClosePolicy): void {
    switch (policy) {
      case 'abandon':
        return;
      case 'terminate':
        this.#turn.effects.terminations.push({ instanceId, eventId: id });
        return;
      case 'cancel': {
        const parent = { instanceId: this.instanceId, executionId: this.executionId, eventId: id };
        const reason = `parent ${this.instanceId} no longer needs the result`;
        this.#turn.addMessage(instanceId, encodeRecord({ kind: 'CancelRequested', reason, parent }));
        return;
      }
    }
  }

  /** E7. */
  #closeOpen(): void {
    // Most have nothing open, and an error with its stack costs 15 µs.
    if (this.#open.size === 0) return;
    const reason = new CancelledError(`orchestration '${this.name}' has ended`);
    this.#close(() => reason);
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
        this.#fault = this.#nondeterminism(next, `ends here (${describeEnding(this.#ending)})`);
        return;
      }
      this.#end(this.#ending);
      return;
    }
    if (next !== undefined && EVENT_ROLES[next.kind] !== 'input') {
      this.#fault = this.#nondeterminism(next, 'decides nothing more here');
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
    this.#closeOpen();
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
        this.#continueAsNew(final);
        break;
    }
    const span = this.#recorded === null ? (this.#tracer?.finish(this.#atMs) ?? null) : null;
    if (span !== null) this.#turn.effects.spans.push(span);
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

  #continueAsNew({ version, input, overflow }: Extract<Ending, { kind: 'continuedAsNew' }>): void {
    let payload: string;
    try {
      payload = this.#encodeNextStart(version, input, this.#carryEvents(overflow));
    } catch (cause) {
      // An event from outside may be nested deeper than it can be written again.
      const message = 'what continue-as-new carries over cannot be written as JSON';
      const error = cause instanceof DurableError ? cause : new PayloadError('PAYLOAD_NOT_SERIALIZABLE', message, { cause });
      this.#fail(toFailure(error));
      return;
    }
    this.#decide({ kind: 'OrchestrationContinuedAsNew', version, input });
    this.#outcome = { kind: 'continuedAsNew', name: this.name, version: version ?? null, payload };
  }

  /** The message that starts the next execution. */
  #encodeNextStart(version: string | undefined, input: EncodedPayload, carried: readonly CarriedEvent[]): string {
    const values = this.#values?.carry() ?? [];
    const subscriptions = [...(this.#subscriptions ?? [])];
    const eventKeys = [...(this.#eventKeys ?? [])].slice(-MAX_CARRIED_EVENT_KEYS);
    const hasAttributes = this.#attributes !== null && this.#attributes.list.length > 0;
    return encodeRecord({
      kind: 'OrchestrationStarted',
      executionId: this.executionId + 1,
      name: this.name,
      version,
      input: decodePayload(input),
      parent: this.#started?.parent,
      carried: carried.length === 0 ? undefined : carried,
      customStatus: decodePayload(this.#customStatus),
      values: values.length === 0 ? undefined : values,
      attributes: hasAttributes ? this.attributes : undefined,
      subscriptions: subscriptions.length === 0 ? undefined : subscriptions,
      eventKeys: eventKeys.length === 0 ? undefined : eventKeys,
      ...this.#tracer?.next,
    });
  }

  /**
   * Unread events for the next execution, within the limit (T16).
   *
   * @throws {DurableError} when they are too large and may not be dropped
   */
  #carryEvents(overflow: OverflowPolicy): readonly CarriedEvent[] {
    const unread = this.#mailbox.unread().map((event) => ({ event, units: encodeRecord(event).length }));
    const before = unread.length;
    let units = unread.reduce((sum, { units: size }) => sum + size, 0);
    if (units > MAX_CARRIED_EVENT_UNITS && overflow === 'fail') throw carriedTooLargeError(before, units);
    while (units > MAX_CARRIED_EVENT_UNITS) {
      const dropped = overflow === 'dropOldest' ? unread.shift() : unread.pop();
      assert(dropped !== undefined, 'no events are within the limit');
      units -= dropped.units;
    }
    if (unread.length < before) this.#reportDropped(before - unread.length, overflow);
    return unread.map(({ event }) => event);
  }

  #reportDropped(dropped: number, overflow: OverflowPolicy): void {
    const labels = { orchestration: this.name, policy: overflow };
    this.#measure({ kind: 'counter', name: 'duraloom_events_dropped_total', value: dropped, labels });
    if (this.#recorded !== null) return;
    const message = `continue-as-new dropped ${dropped} unread external events: they were larger than ${MAX_CARRIED_EVENT_UNITS} characters`;
    this.#addLog('warn', message, { policy: overflow });
  }

  #culprit(): Culprit {
    return { name: this.name, instanceId: this.instanceId, executionId: this.executionId, lastCall: this.#lastCall };
  }

  #nondeterminism(recorded: HistoryEvent | undefined, emitted: string, location: string | null = null): DeterminismError {
    return nondeterminismError(this.#culprit(), { eventId: recorded?.id ?? this.#nextId, recorded, emitted, location });
  }
}

function describeEnding(ending: Ending): string {
  if (ending.kind !== 'failed') return ending.kind;
  const { name, message } = toFailure(ending.error);
  return `failed: ${name}: ${message}`;
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

/** With what replay itself does not compare: the message of a failure. */
function describeOutcome(outcome: TurnOutcome): string {
  if (outcome.kind !== 'failed') return outcome.kind;
  const { name, message } = parseRecord(outcome.failure) as Failure;
  return `${outcome.kind} with ${name}: ${message}`;
}

/** Deepest nesting of errors of `any` that is looked into. Reason: one may hold itself. */
const MAX_AGGREGATES = 32;

/** A cancellation, also one that went through `any`. Never throws: user code may have thrown anything. */
function isCancellation(error: unknown, levelsLeft = MAX_AGGREGATES): boolean {
  try {
    if (error instanceof CancelledError) return true;
    if (!(error instanceof AggregateError) || levelsLeft === 0) return false;
    return error.errors.length > 0 && error.errors.every((inner) => isCancellation(inner, levelsLeft - 1));
  } catch {
    return false;
  }
}

/** What a start needs besides the name. */
export type StartRequest = {
  readonly instanceId?: string | undefined;
  readonly version: string | undefined;
  readonly input: EncodedPayload;
  readonly policy: StartPolicy;
  readonly onParentClose: ParentClosePolicy;
  readonly startAfterMs: number | null;
  readonly startAtMs: number | null;
  readonly priority: number;
  readonly attributes: StoredAttributes | null;
};

/** How one attempt of an activity is asked for. */
export type ActivityRequest = { readonly routing: ActivityRouting | null; readonly attempt: number; readonly scope?: Scope };

const PLAIN: ActivityRequest = { routing: null, attempt: 1 };

function rejected(error: CancelledError): FutureCore {
  const core = new FutureCore(null);
  core.settle({ ok: false, error });
  return core;
}
