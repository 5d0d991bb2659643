// The protocol of the work ports: everything that travels between the main thread and a worker thread besides control calls.
//
// A port message is a batch, and a batch is one flat array of strings, numbers and nulls: structured clone pays per object and per key,
// so flat arrays of encoded strings are several times cheaper than arrays of records (DESIGN §4: message count costs, not bytes).
// Each record has one writer and one reader here, side by side, so that their order of fields can be compared at a glance.
//
// P1. Both sides are ours, so a batch that breaks the form means a bug, or code that found the port. It is read as a whole or not at all, and
//     whoever sent it is not trusted any more: main ends the thread, a thread ends itself, and what it had is given back.
// P2. Each record begins with its number: the error names that of the record that could not be read, whose doing it may be.
import type { Parting } from '../replay/history-diff.ts';
import type { ParentClosePolicy, StartPolicy } from '../types/history-event.ts';
import type { LogLine } from '../types/logger.ts';
import { isRouting, type ReplayResult, type TurnOutcome } from '../types/replay.ts';
import { DurableError } from '../types/errors.ts';
import type { Failure } from '../types/failure.ts';
import { encodeRecord, parseRecord } from '../types/codec.ts';
import { isActivitySpecial, isCheckFinding, isFailure, isLogLine, isStoredAttributes, isTurnEffects } from './wire-records.ts';

/** What travels: a flat list of scalars. */
export type Wire = (string | number | null)[];

/** One turn, main → replay thread. */
export type TurnRequest = {
  /** Names the request in the reply and in the progress of the thread. */
  readonly seq: number;
  readonly instanceId: string;
  readonly executionId: number;
  /** Last stored event; a live engine that stands elsewhere must not be used. */
  readonly baseEventId: number;
  readonly nowMs: number;
  /** History pages to rebuild from; null: use the live engine, or answer `miss`. */
  readonly history: readonly string[] | null;
  readonly messages: readonly string[];
};

/** Answer to a turn, replay thread → main. */
export type TurnReply =
  | { readonly kind: 'miss'; readonly seq: number }
  | {
      readonly kind: 'turn';
      readonly seq: number;
      readonly result: ReplayResult;
      /** How the engine stands after a turn that is to be checked, encoded; null: it is not to be checked. */
      readonly standing: string | null;
    };

/** A committed turn to check, main → replay thread: rebuild the instance and compare. */
export type CheckRequest = {
  /** Below 0: it is no turn's. */
  readonly seq: number;
  readonly instanceId: string;
  /** Of the engine that ran the turn, encoded. */
  readonly standing: string;
  /** History pages up to the turn. */
  readonly history: readonly string[];
};

/** What is wrong with an instance that was rebuilt. */
export type CheckFinding = {
  readonly failure: Failure;
  /** Where code and history part; null: the history itself cannot be used. */
  readonly parting: Parting | null;
};

/** Answer to a check, replay thread → main. */
export type CheckReply = {
  readonly kind: 'check';
  readonly seq: number;
  /** null: both stand alike. */
  readonly finding: CheckFinding | null;
};

/** An instance that broke the determinism contract between its turns, replay thread → main. */
export type FaultReport = { readonly instanceId: string; readonly payload: string };

/** What a replay thread sends. */
export type ReplayBatch = {
  readonly evicted: readonly string[];
  readonly faults: readonly FaultReport[];
  readonly replies: readonly (TurnReply | CheckReply)[];
};

/** One activity, main → activity thread. */
export type ActivityRequest = {
  readonly seq: number;
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
  readonly name: string;
  /** Encoded input; empty for undefined. */
  readonly input: string;
  /** How often it was handed out. */
  readonly attempt: number;
  /** null: nothing special. */
  readonly special: ActivitySpecial | null;
};

/** What only some activities have. */
export type ActivitySpecial = {
  readonly tag: string | null;
  readonly sessionId: string | null;
  readonly timeoutMs: number | null;
  /** Encoded `ActivityExtras`. */
  readonly extras: string | null;
  /** Encoded details of the last heartbeat of an attempt before. */
  readonly heartbeat: string | null;
  /** The right to the work item, for those that record their end themselves; null: main does it. */
  readonly lockToken: string | null;
  /** The span of this attempt; null: it has no trace. */
  readonly traceparent: string | null;
  readonly tracestate: string | null;
};

/** Answer to an activity, activity thread → main. */
export type ActivityReply = {
  readonly seq: number;
  /** Message for the orchestration; null: no such activity in this thread. */
  readonly completionPayload: string | null;
  /** Up to where messages of its session go with its end; null: it has received none. */
  readonly receivedSeq: number | null;
};

/** How a transactional activity ended that is not to be recorded by main: with an `ActivityReply`, as any other, it is. */
export type StepReply = {
  readonly seq: number;
  /**
   * `recorded`: its end is in the store. `refused`: it had no right to its item any more. `unrecorded`: the database failed, nobody knows whether
   * it is recorded. In the last two nothing of it is stored, or all.
   */
  readonly end: StepEnd;
  /** Why, when unrecorded; null otherwise. */
  readonly failure: Failure | null;
};

/** See `StepReply`. */
export type StepEnd = 'recorded' | 'refused' | 'unrecorded';

/** A log line of an activity, with its origin: it may come when main has forgotten the activity. */
export type ActivityLog = {
  readonly seq: number;
  readonly instanceId: string;
  readonly executionId: number;
  /** As the activity sees them: of the first attempt of a retry, and counted over all. */
  readonly eventId: number;
  readonly attempt: number;
  readonly activity: string;
  readonly line: LogLine;
};

/** Details of the last heartbeat of one activity. */
export type ActivityHeartbeat = { readonly seq: number; readonly details: string };

/** What an activity thread sends. */
export type ActivityBatch = {
  /** Longest time that an activity waited in the thread before it started, in milliseconds, since the batch before. */
  readonly longestWaitMs: number;
  readonly logs: readonly ActivityLog[];
  /** Size of the lines in all, see `MAX_THREAD_LOG_UNITS`, and how many were dropped since the batch before. */
  readonly logUnits: number;
  readonly droppedLogs: number;
  readonly heartbeats: readonly ActivityHeartbeat[];
  readonly steps: readonly StepReply[];
  readonly replies: readonly ActivityReply[];
};

// --- reading and writing -----------------------------------------------------------------------------------------------------

/** A batch that cannot be read (P1). */
export class BrokenBatchError extends DurableError {
  /** Number of the record that could not be read; null: not even that could, or it was none (P2). */
  readonly seq: number | null;

  constructor(message: string, seq: number | null) {
    super('MESSAGE_INVALID', message);
    this.seq = seq;
  }
}

/** Most lists of a turn are empty. */
const NOTHING: readonly never[] = [];

/** Reads a wire in order. */
class Reader {
  readonly #wire: Wire;
  #at = 0;
  #seq: number | null = null;

  constructor(wire: Wire) {
    this.#wire = wire;
    // What comes from a port may be anything. Nobody sends nothing: what was in it is lost.
    if (!Array.isArray(wire) || wire.length === 0) throw this.broken('records', wire);
  }

  get atEnd(): boolean {
    return this.#at >= this.#wire.length;
  }

  /** The number that begins a record. */
  seq(): number {
    this.#seq = null;
    this.#seq = this.integer();
    return this.#seq;
  }

  text(): string {
    const value = this.#wire[this.#at++];
    if (typeof value !== 'string') throw this.broken('text', value);
    return value;
  }

  number(): number {
    const value = this.#wire[this.#at++];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.broken('a number', value);
    return value;
  }

  integer(): number {
    const value = this.#wire[this.#at++];
    if (!Number.isSafeInteger(value)) throw this.broken('a whole number', value);
    return value as number;
  }

  optionalText(): string | null {
    const value = this.#wire[this.#at++];
    if (typeof value !== 'string' && value !== null) throw this.broken('text or null', value);
    return value;
  }

  optionalNumber(): number | null {
    const value = this.#wire[this.#at++];
    if (value !== null && !Number.isFinite(value)) throw this.broken('a number or null', value);
    return value as number | null;
  }

  oneOf<Text extends string>(texts: ReadonlySet<Text>): Text {
    const value = this.text();
    if (!(texts as ReadonlySet<string>).has(value)) throw this.broken([...texts].join(', '), value);
    return value as Text;
  }

  list<Item>(read: () => Item): readonly Item[] {
    let left = this.integer();
    if (left === 0) return NOTHING;
    const items: Item[] = [];
    for (; left > 0; left -= 1) items.push(read());
    return items;
  }

  /** A record that travels as JSON text. */
  record<Kind>(isKind: (value: unknown) => value is Kind): Kind {
    const encoded = this.text();
    let value: unknown;
    try {
      value = parseRecord(encoded);
    } catch {
      throw this.broken('JSON', encoded);
    }
    if (!isKind(value)) throw this.broken('another record', value);
    return value;
  }

  optionalRecord<Kind>(isKind: (value: unknown) => value is Kind): Kind | null {
    if (this.#wire[this.#at] !== null) return this.record(isKind);
    this.#at += 1;
    return null;
  }

  broken(wanted: string, got: unknown): BrokenBatchError {
    return new BrokenBatchError(
      `a batch between threads is broken: expected ${wanted} at position ${this.#at - 1}, got ${got === null ? 'null' : typeof got}`,
      this.#seq,
    );
  }
}

/** Appends turn requests to a batch. */
export function writeTurnRequest(wire: Wire, request: TurnRequest): void {
  wire.push(request.seq, request.instanceId, request.executionId, request.baseEventId, request.nowMs);
  if (request.history === null) wire.push(-1);
  else {
    wire.push(request.history.length);
    for (const page of request.history) wire.push(page);
  }
  wire.push(request.messages.length);
  for (const message of request.messages) wire.push(message);
}

/** Reads a batch of turn requests. */
export function readTurnRequests(wire: Wire): TurnRequest[] {
  const reader = new Reader(wire);
  const requests: TurnRequest[] = [];
  const text = (): string => reader.text();
  while (!reader.atEnd) {
    const seq = reader.seq();
    const instanceId = reader.text();
    const executionId = reader.integer();
    const baseEventId = reader.integer();
    const nowMs = reader.number();
    const pages = reader.integer();
    let history: string[] | null = null;
    if (pages >= 0) {
      history = [];
      for (let page = 0; page < pages; page += 1) history.push(reader.text());
    }
    requests.push({ seq, instanceId, executionId, baseEventId, nowMs, history, messages: reader.list(text) });
  }
  return requests;
}

/** Begins a batch that is a check: one of turns begins with a number. */
const CHECK_MARK = 'check';

/** Writes a check: a batch of its own. */
export function writeCheckRequest({ seq, instanceId, standing, history }: CheckRequest): Wire {
  return [CHECK_MARK, seq, instanceId, standing, history.length, ...history];
}

/** Reads a check; null: the batch is one of turns. */
export function readCheckRequest(wire: Wire): CheckRequest | null {
  if (wire[0] !== CHECK_MARK) return null;
  const reader = new Reader(wire);
  reader.text();
  return { seq: reader.seq(), instanceId: reader.text(), standing: reader.text(), history: reader.list(() => reader.text()) };
}

const MISS = 0;
const TURN = 1;
/** A turn with its standing. */
const PICKED_TURN = 2;
const CHECK = 3;

/** Writes the batch of a replay thread. */
export function writeReplayBatch(batch: ReplayBatch): Wire {
  const wire: Wire = [batch.evicted.length, ...batch.evicted, batch.faults.length];
  for (const fault of batch.faults) wire.push(fault.instanceId, fault.payload);
  for (const reply of batch.replies) {
    if (reply.kind === 'miss') wire.push(reply.seq, MISS);
    else if (reply.kind === 'check') wire.push(reply.seq, CHECK, encodeOptional(reply.finding));
    else {
      if (reply.standing === null) wire.push(reply.seq, TURN);
      else wire.push(reply.seq, PICKED_TURN, reply.standing);
      writeResult(wire, reply.result);
    }
  }
  return wire;
}

/** Reads the batch of a replay thread. */
export function readReplayBatch(wire: Wire): ReplayBatch {
  const reader = new Reader(wire);
  const evicted = reader.list(() => reader.text());
  const faults = reader.list(() => ({ instanceId: reader.text(), payload: reader.text() }));
  const replies: (TurnReply | CheckReply)[] = [];
  while (!reader.atEnd) replies.push(readReply(reader));
  return { evicted, faults, replies };
}

function readReply(reader: Reader): TurnReply | CheckReply {
  const seq = reader.seq();
  const kind = reader.integer();
  if (kind === MISS) return { kind: 'miss', seq };
  if (kind === CHECK) return { kind: 'check', seq, finding: reader.optionalRecord(isCheckFinding) };
  const standing = kind === PICKED_TURN ? reader.text() : null;
  return { kind: 'turn', seq, result: readResult(reader), standing };
}

function writeResult(wire: Wire, result: ReplayResult): void {
  writeOutcome(wire, result.outcome);
  wire.push(result.version, result.firstEventId, result.lastEventId, result.events, result.consumedMessages, result.turns);
  wire.push(result.activities.length);
  for (const { eventId, name, input, routing } of result.activities) wire.push(eventId, name, input ?? '', encodeOptional(routing));
  wire.push(result.timers.length);
  for (const timer of result.timers) wire.push(timer.eventId, timer.fireAtMs, timer.payload);
  wire.push(result.messages.length);
  for (const message of result.messages) wire.push(message.instanceId, message.payload);
  wire.push(result.starts.length);
  for (const start of result.starts) {
    const { policy, onParentClose, startAtMs, priority } = start;
    wire.push(start.eventId, start.instanceId, start.name, start.version, start.payload, start.conflictPayload, start.isChild ? 1 : 0);
    wire.push(policy, onParentClose, startAtMs, priority, encodeOptional(start.attributes));
  }
  wire.push(result.cancelledActivities.length, ...result.cancelledActivities);
  wire.push(result.cancelledTimers.length, ...result.cancelledTimers);
  // 0: unchanged; 1: the next field is the new status, null for a reset.
  if (result.customStatus === undefined) wire.push(0);
  else wire.push(1, result.customStatus);
  wire.push(result.logUnits, result.droppedLogs, result.logs.length);
  for (const line of result.logs) wire.push(encodeRecord(line));
  wire.push(encodeOptional(result.effects));
}

/** Rare parts travel as one text. */
function encodeOptional(record: object | null): string | null {
  return record === null ? null : encodeRecord(record);
}

function readResult(reader: Reader): ReplayResult {
  return {
    outcome: readOutcome(reader),
    version: reader.text(),
    firstEventId: reader.integer(),
    lastEventId: reader.integer(),
    events: reader.text(),
    consumedMessages: reader.integer(),
    turns: reader.integer(),
    activities: reader.list(() => ({
      eventId: reader.integer(),
      name: reader.text(),
      input: reader.text(),
      routing: reader.optionalRecord(isRouting),
    })),
    timers: reader.list(() => ({ eventId: reader.integer(), fireAtMs: reader.number(), payload: reader.text() })),
    messages: reader.list(() => ({ instanceId: reader.text(), payload: reader.text() })),
    starts: reader.list(() => ({
      eventId: reader.integer(),
      instanceId: reader.text(),
      name: reader.text(),
      version: reader.optionalText(),
      payload: reader.text(),
      conflictPayload: reader.optionalText(),
      isChild: reader.integer() === 1,
      policy: reader.oneOf(START_POLICIES),
      onParentClose: reader.oneOf(CLOSE_POLICIES),
      startAtMs: reader.optionalNumber(),
      priority: reader.integer(),
      attributes: reader.optionalRecord(isStoredAttributes),
    })),
    cancelledActivities: reader.list(() => reader.integer()),
    cancelledTimers: reader.list(() => reader.integer()),
    customStatus: reader.integer() === 0 ? undefined : reader.optionalText(),
    logUnits: reader.integer(),
    droppedLogs: reader.integer(),
    logs: reader.list(() => reader.record(isLogLine)),
    effects: reader.optionalRecord(isTurnEffects),
  };
}

const START_POLICIES: ReadonlySet<StartPolicy> = new Set<StartPolicy>(['fail', 'useExisting', 'replaceTerminal', 'terminateExisting']);
const CLOSE_POLICIES: ReadonlySet<ParentClosePolicy> = new Set<ParentClosePolicy>(['cancel', 'abandon', 'terminate']);
const OUTCOMES: ReadonlySet<TurnOutcome['kind']> = new Set<TurnOutcome['kind']>([
  'waiting',
  'completed',
  'failed',
  'cancelled',
  'continuedAsNew',
  'notRegistered',
  'faulted',
]);

function writeOutcome(wire: Wire, outcome: TurnOutcome): void {
  switch (outcome.kind) {
    case 'waiting':
      wire.push(outcome.kind);
      return;
    case 'completed':
      wire.push(outcome.kind, outcome.result ?? null);
      return;
    case 'failed':
    case 'cancelled':
    case 'notRegistered':
    case 'faulted':
      wire.push(outcome.kind, outcome.failure);
      return;
    case 'continuedAsNew':
      wire.push(outcome.kind, outcome.name, outcome.version, outcome.payload);
      return;
  }
}

function readOutcome(reader: Reader): TurnOutcome {
  const kind = reader.oneOf(OUTCOMES);
  switch (kind) {
    case 'waiting':
      return { kind };
    case 'completed':
      return { kind, result: reader.optionalText() ?? undefined };
    case 'failed':
    case 'cancelled':
    case 'notRegistered':
    case 'faulted':
      return { kind, failure: reader.text() };
    case 'continuedAsNew':
      return { kind, name: reader.text(), version: reader.optionalText(), payload: reader.text() };
  }
}

/** Appends an activity to a batch. */
export function writeActivityRequest(wire: Wire, request: ActivityRequest): void {
  wire.push(request.seq, request.instanceId, request.executionId, request.eventId, request.name, request.input, request.attempt);
  wire.push(encodeOptional(request.special));
}

/** Reads a batch of activities. */
export function readActivityRequests(wire: Wire): ActivityRequest[] {
  const reader = new Reader(wire);
  const requests: ActivityRequest[] = [];
  while (!reader.atEnd) {
    requests.push({
      seq: reader.seq(),
      instanceId: reader.text(),
      executionId: reader.integer(),
      eventId: reader.integer(),
      name: reader.text(),
      input: reader.text(),
      attempt: reader.integer(),
      special: reader.optionalRecord(isActivitySpecial),
    });
  }
  return requests;
}

/** Writes the batch of an activity thread. */
export function writeActivityBatch(batch: ActivityBatch): Wire {
  const wire: Wire = [batch.longestWaitMs, batch.logUnits, batch.droppedLogs, batch.logs.length];
  for (const { seq, instanceId, executionId, eventId, attempt, activity, line } of batch.logs) {
    wire.push(seq, instanceId, executionId, eventId, attempt, activity, encodeRecord(line));
  }
  wire.push(batch.heartbeats.length);
  for (const { seq, details } of batch.heartbeats) wire.push(seq, details);
  wire.push(batch.steps.length);
  for (const { seq, end, failure } of batch.steps) wire.push(seq, end, encodeOptional(failure));
  for (const reply of batch.replies) wire.push(reply.seq, reply.completionPayload, reply.receivedSeq);
  return wire;
}

/** Reads the batch of an activity thread. */
export function readActivityBatch(wire: Wire): ActivityBatch {
  const reader = new Reader(wire);
  const longestWaitMs = reader.number();
  const logUnits = reader.integer();
  const droppedLogs = reader.integer();
  const logs = reader.list(() => ({
    seq: reader.seq(),
    instanceId: reader.text(),
    executionId: reader.integer(),
    eventId: reader.integer(),
    attempt: reader.integer(),
    activity: reader.text(),
    line: reader.record(isLogLine),
  }));
  const heartbeats = reader.list(() => ({ seq: reader.seq(), details: reader.text() }));
  const steps = reader.list(() => ({ seq: reader.seq(), end: reader.oneOf(STEP_ENDS), failure: reader.optionalRecord(isFailure) }));
  const replies: ActivityReply[] = [];
  while (!reader.atEnd) replies.push({ seq: reader.seq(), completionPayload: reader.optionalText(), receivedSeq: reader.optionalNumber() });
  return { longestWaitMs, logs, logUnits, droppedLogs, heartbeats, steps, replies };
}

const STEP_ENDS: ReadonlySet<StepEnd> = new Set<StepEnd>(['recorded', 'refused', 'unrecorded']);
