// Checks a stored history before it is replayed: a pure function over untrusted data. Rules H1–H3 of types/history-event.ts.
import { areAttributes, isAttributeChange } from '../types/attributes.ts';
import { ENGINE_BEHAVIOUR, EVENT_ROLES, type EventKind, type HistoryEvent, type OrchestrationStarted } from '../types/history-event.ts';
import { assert, HistoryError } from '../types/errors.ts';
import { isSameLink } from '../types/names.ts';
import type { History } from '../types/replay.ts';
import { matchesTopic } from '../types/topics.ts';
import { isStoredTraceparent, isStoredTracestate } from '../types/trace.ts';

type FieldRule = (value: unknown) => boolean;

const text: FieldRule = (value) => typeof value === 'string';
const optionalText: FieldRule = (value) => value === undefined || typeof value === 'string';
const positive: FieldRule = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const time: FieldRule = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const record: FieldRule = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
/** Longest chain of causes that is followed. Reason: those that we write have at most 8. */
const MAX_CAUSES = 32;
const failure: FieldRule = (value) => isFailure(value, MAX_CAUSES);

function isFailure(value: unknown, causesLeft: number): boolean {
  if (!record(value) || causesLeft < 0) return false;
  const cause = get(value, 'cause');
  const ownFields =
    text(get(value, 'name')) && text(get(value, 'message')) && optionalText(get(value, 'code')) && optionalText(get(value, 'stack'));
  return ownFields && (cause === undefined || isFailure(cause, causesLeft - 1));
}

const optionalParent: FieldRule = (value) =>
  value === undefined ||
  (record(value) && text(get(value, 'instanceId')) && positive(get(value, 'executionId')) && positive(get(value, 'eventId')));
const optionalPositive: FieldRule = (value) => value === undefined || positive(value);
const optionalClosePolicy: FieldRule = (value) => value === undefined || value === 'cancel' || value === 'abandon' || value === 'terminate';
const optionalTexts: FieldRule = (value) => value === undefined || (Array.isArray(value) && value.every((item: unknown) => text(item)));
const optionalValues: FieldRule = (value) =>
  value === undefined ||
  (Array.isArray(value) &&
    value.every(
      (pair: unknown) => record(pair) && text(get(pair, 'key')) && get(pair, 'value') !== undefined && time(get(pair, 'updatedAtMs')),
    ));
const optionalAttributes: FieldRule = (value) => value === undefined || areAttributes(value);
const optionalCarried: FieldRule = (value) =>
  value === undefined || (Array.isArray(value) && value.every((event: unknown) => record(event) && text(get(event, 'name'))));

/** The fields of a start message; the event has version and engine besides. */
const START_FIELDS: Readonly<Record<string, FieldRule>> = {
  executionId: optionalPositive,
  name: text,
  version: optionalText,
  parent: optionalParent,
  carried: optionalCarried,
  values: optionalValues,
  attributes: optionalAttributes,
  subscriptions: optionalTexts,
  eventKeys: optionalTexts,
  traceparent: (value) => value === undefined || isStoredTraceparent(value),
  tracestate: (value) => value === undefined || isStoredTracestate(value),
};

const completion: Readonly<Record<string, FieldRule>> = { executionId: positive, sourceId: positive };

/** The fields of each kind besides the envelope; payload fields may hold anything. */
const FIELDS: Readonly<Record<EventKind, Readonly<Record<string, FieldRule>>>> = {
  OrchestrationStarted: { ...START_FIELDS, executionId: positive, version: text, engine: positive },
  ActivityCompleted: completion,
  ActivityFailed: { ...completion, failure },
  TimerFired: completion,
  EventRaised: { name: text, key: optionalText },
  TopicReceived: { topic: text, key: optionalText },
  SubOrchestrationCompleted: completion,
  SubOrchestrationFailed: { ...completion, failure },
  CancelRequested: { reason: text, parent: optionalParent },
  ActivityScheduled: { name: text, tag: optionalText, sessionId: optionalText, attempt: optionalPositive },
  TimerCreated: { fireAtMs: time },
  EventAwaited: { name: text },
  SubOrchestrationScheduled: { name: text, version: optionalText, instanceId: text, onParentClose: optionalClosePolicy },
  OrchestrationStartRequested: { name: text, version: optionalText, instanceId: text },
  CustomStatusSet: {},
  FutureCancelled: { sourceId: positive },
  ValueSet: { key: text, value: (value) => value !== undefined },
  ValueDeleted: { key: text },
  AttributesSet: { attributes: isAttributeChange },
  TopicSubscribed: { pattern: text },
  TopicUnsubscribed: { pattern: text },
  TopicPublished: { topic: text },
  SessionMessageSent: { sessionId: text },
  Patched: { patchId: text },
  OrchestrationCompleted: {},
  OrchestrationFailed: { failure },
  OrchestrationCancelled: { reason: text },
  OrchestrationContinuedAsNew: { version: optionalText },
};

/** Which decision a completion must point at. */
const SOURCES: Readonly<Partial<Record<EventKind, EventKind>>> = {
  ActivityCompleted: 'ActivityScheduled',
  ActivityFailed: 'ActivityScheduled',
  TimerFired: 'TimerCreated',
  SubOrchestrationCompleted: 'SubOrchestrationScheduled',
  SubOrchestrationFailed: 'SubOrchestrationScheduled',
};

/** Decisions that can be cancelled. */
const CANCELLABLE: ReadonlySet<EventKind> = new Set<EventKind>([
  'ActivityScheduled',
  'TimerCreated',
  'EventAwaited',
  'SubOrchestrationScheduled',
]);

/**
 * Checks that data is a well-formed history: known kinds with their fields, dense ids from 1, times that never decrease,
 * OrchestrationStarted first and only first, every completion pointing at an earlier open decision of its kind, at most one
 * completion per decision and none after its cancellation, one cancel request, a terminal event last.
 *
 * @param events - parsed events of one execution
 * @returns the same events, typed
 * @throws {HistoryError} that names the first event at fault
 */
export function validateHistory(events: readonly unknown[]): History {
  if (events.length === 0) throw new HistoryError(0, 'it is empty');
  const open = new Map<number, HistoryEvent>();
  let started: OrchestrationStarted | null = null;
  let lastAtMs = 0;
  let cancelRequested = false;
  const received: Received = { keys: new Set(), patterns: new Set() };
  events.forEach((candidate, index) => {
    const id = index + 1;
    const event = checkShape(candidate, id);
    if (event.atMs < lastAtMs) throw new HistoryError(id, `its time ${event.atMs} is before the event before it (${lastAtMs})`);
    lastAtMs = event.atMs;
    if ((event.kind === 'OrchestrationStarted') !== (id === 1)) {
      throw new HistoryError(id, id === 1 ? `expected OrchestrationStarted, got ${event.kind}` : 'a second OrchestrationStarted');
    }
    if (EVENT_ROLES[event.kind] === 'terminal' && id !== events.length) throw new HistoryError(id, `${event.kind} is not the last event`);
    if (event.kind === 'CancelRequested') {
      if (cancelRequested) throw new HistoryError(id, 'a second CancelRequested');
      // A parent cancels its own child only (T4).
      if (event.parent !== undefined && !isSameLink(event.parent, started?.parent)) {
        throw new HistoryError(id, 'the request to cancel comes from a parent that is not this one');
      }
      cancelRequested = true;
    }
    if (event.kind === 'OrchestrationStarted') started = event;
    checkReceived(event, received);
    checkSources(event, open, started);
  });
  // checkShape has looked at every field that the engine relies on.
  return events as History;
}

function checkShape(candidate: unknown, id: number): HistoryEvent {
  if (!record(candidate)) throw new HistoryError(id, 'it is not an object');
  const kind = get(candidate, 'kind');
  if (typeof kind !== 'string' || !Object.hasOwn(FIELDS, kind)) {
    throw new HistoryError(id, `unknown kind ${show(kind)}; a newer version of duraloom may have written it`);
  }
  if (get(candidate, 'id') !== id) throw new HistoryError(id, `its id is ${show(get(candidate, 'id'))}; ids are dense from 1`);
  if (!time(get(candidate, 'atMs'))) throw new HistoryError(id, `${kind} has no valid atMs`);
  for (const [name, rule] of Object.entries(FIELDS[kind as EventKind])) {
    if (!rule(get(candidate, name))) throw new HistoryError(id, `${kind} has no valid ${name}`);
  }
  const event = candidate as HistoryEvent;
  if (event.kind === 'OrchestrationStarted' && event.engine > ENGINE_BEHAVIOUR) {
    throw new HistoryError(id, `it needs engine behaviour ${event.engine}, this version knows up to ${ENGINE_BEHAVIOUR}: update duraloom`);
  }
  return event;
}

/** What decides whether an event from outside is received or dropped. */
type Received = { readonly keys: Set<string>; readonly patterns: Set<string> };

/** Live, a repeated event and a message that nothing is subscribed to are dropped. */
function checkReceived(event: HistoryEvent, { keys, patterns }: Received): void {
  if (event.kind === 'OrchestrationStarted') {
    for (const key of event.eventKeys ?? []) keys.add(key);
    for (const pattern of event.subscriptions ?? []) patterns.add(pattern);
  }
  if (event.kind === 'TopicSubscribed') patterns.add(event.pattern);
  if (event.kind === 'TopicUnsubscribed') patterns.delete(event.pattern);
  if (event.kind !== 'EventRaised' && event.kind !== 'TopicReceived') return;
  if (event.key !== undefined && keys.has(event.key)) throw new HistoryError(event.id, `the key '${event.key}' was received before`);
  if (event.key !== undefined) keys.add(event.key);
  if (event.kind === 'TopicReceived' && ![...patterns].some((pattern) => matchesTopic(pattern, event.topic))) {
    throw new HistoryError(event.id, `nothing is subscribed to topic '${event.topic}'`);
  }
}

function checkSources(event: HistoryEvent, open: Map<number, HistoryEvent>, started: OrchestrationStarted | null): void {
  if (CANCELLABLE.has(event.kind)) open.set(event.id, event);
  const wanted = SOURCES[event.kind];
  if (wanted === undefined && event.kind !== 'FutureCancelled') return;
  const { sourceId } = event as { readonly sourceId: number };
  const source = open.get(sourceId);
  if (source === undefined) throw new HistoryError(event.id, `${event.kind} points at event ${sourceId}, which is no open decision`);
  if (wanted !== undefined && source.kind !== wanted) {
    throw new HistoryError(event.id, `${event.kind} points at event ${sourceId}, which is ${source.kind}`);
  }
  assert(started !== null, 'the first event is the start');
  if (wanted !== undefined && 'executionId' in event && event.executionId !== started.executionId) {
    throw new HistoryError(event.id, `${event.kind} belongs to execution ${event.executionId}, this is ${started.executionId}`);
  }
  if (event.kind === 'TimerFired' && source.kind === 'TimerCreated' && event.atMs < source.fireAtMs) {
    throw new HistoryError(event.id, `the timer fired at ${event.atMs}, before it was due (${source.fireAtMs})`);
  }
  open.delete(sourceId);
}

/**
 * Finds what is wrong with the fields of a message of a kind.
 *
 * @param message - parsed text of a message
 * @returns the name of the first field at fault; null: none; `kind`: no message of that kind exists
 */
export function findFaultyField(message: object): string | null {
  const kind = get(message, 'kind');
  let rules: Readonly<Record<string, FieldRule>>;
  if (kind === 'OrchestrationStarted') rules = START_FIELDS;
  else if (kind === 'InstanceFaulted') rules = { executionId: positive, failure };
  else if (typeof kind === 'string' && Object.hasOwn(FIELDS, kind) && EVENT_ROLES[kind as EventKind] === 'input')
    rules = FIELDS[kind as EventKind];
  else return 'kind';
  return Object.entries(rules).find(([name, rule]) => !rule(get(message, name)))?.[0] ?? null;
}

function get(value: unknown, name: string): unknown {
  return Object.hasOwn(value as object, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** Untrusted data may throw when it is turned into text. */
function show(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
