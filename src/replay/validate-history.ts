// Checks a stored history before it is replayed: a pure function over untrusted data. Rules H1–H3 of types/history-event.ts.
import { ENGINE_BEHAVIOUR, EVENT_ROLES, type EventKind, type HistoryEvent } from '../types/history-event.ts';
import { HistoryError } from '../types/errors.ts';
import type { History } from '../types/replay.ts';

type FieldRule = (value: unknown) => boolean;

const text: FieldRule = (value) => typeof value === 'string';
const optionalText: FieldRule = (value) => value === undefined || typeof value === 'string';
const positive: FieldRule = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const time: FieldRule = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const record: FieldRule = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const failure: FieldRule = (value) =>
  record(value) && text(get(value, 'name')) && text(get(value, 'message')) && optionalText(get(value, 'code'));
const optionalParent: FieldRule = (value) =>
  value === undefined ||
  (record(value) && text(get(value, 'instanceId')) && positive(get(value, 'executionId')) && positive(get(value, 'eventId')));
const optionalCarried: FieldRule = (value) =>
  value === undefined || (Array.isArray(value) && value.every((event: unknown) => record(event) && text(get(event, 'name'))));

const completion: Readonly<Record<string, FieldRule>> = { executionId: positive, sourceId: positive };

/** The fields of each kind besides the envelope; payload fields may hold anything. */
const FIELDS: Readonly<Record<EventKind, Readonly<Record<string, FieldRule>>>> = {
  OrchestrationStarted: {
    executionId: positive,
    name: text,
    version: text,
    engine: positive,
    parent: optionalParent,
    carried: optionalCarried,
  },
  ActivityCompleted: completion,
  ActivityFailed: { ...completion, failure },
  TimerFired: completion,
  EventRaised: { name: text },
  SubOrchestrationCompleted: completion,
  SubOrchestrationFailed: { ...completion, failure },
  CancelRequested: { reason: text },
  ActivityScheduled: { name: text },
  TimerCreated: { fireAtMs: time },
  EventAwaited: { name: text },
  SubOrchestrationScheduled: { name: text, version: optionalText, instanceId: text },
  OrchestrationStartRequested: { name: text, version: optionalText, instanceId: text },
  CustomStatusSet: {},
  FutureCancelled: { sourceId: positive },
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
  const open = new Map<number, EventKind>();
  let lastAtMs = 0;
  let cancelRequested = false;
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
      cancelRequested = true;
    }
    checkSources(event, open);
  });
  // checkShape has looked at every field that the engine relies on.
  return events as History;
}

function checkShape(candidate: unknown, id: number): HistoryEvent {
  if (!record(candidate)) throw new HistoryError(id, 'it is not an object');
  const kind = get(candidate, 'kind');
  if (typeof kind !== 'string' || !Object.hasOwn(FIELDS, kind)) {
    throw new HistoryError(id, `unknown kind ${String(kind)}; a newer version of duraloom may have written it`);
  }
  if (get(candidate, 'id') !== id) throw new HistoryError(id, `its id is ${String(get(candidate, 'id'))}; ids are dense from 1`);
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

function checkSources(event: HistoryEvent, open: Map<number, EventKind>): void {
  if (CANCELLABLE.has(event.kind)) open.set(event.id, event.kind);
  const wanted = SOURCES[event.kind];
  if (wanted === undefined && event.kind !== 'FutureCancelled') return;
  const { sourceId } = event as { readonly sourceId: number };
  const source = open.get(sourceId);
  if (source === undefined) throw new HistoryError(event.id, `${event.kind} points at event ${sourceId}, which is no open decision`);
  if (wanted !== undefined && source !== wanted)
    throw new HistoryError(event.id, `${event.kind} points at event ${sourceId}, which is ${source}`);
  open.delete(sourceId);
}

function get(value: unknown, name: string): unknown {
  return Object.hasOwn(value as object, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
