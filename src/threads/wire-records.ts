// Checks of the rare records that travel as JSON text inside a batch. Neighbour: messages.ts reads them.
import type { Parting } from '../replay/history-diff.ts';
import type { StoredAttributes } from '../types/attributes.ts';
import type { Failure } from '../types/failure.ts';
import { LOG_LEVELS, type LogLine } from '../types/logger.ts';
import type { TurnEffects } from '../types/replay.ts';
import type { SpanEvent } from '../types/trace.ts';
import type { ActivitySpecial, CheckFinding } from './messages.ts';

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isTextOrNull: Check = (value) => value === null || typeof value === 'string';
const isNumberOrNull: Check = (value) => value === null || Number.isFinite(value);
const isFlag: Check = (value) => typeof value === 'boolean';
const isLabels: Check = (value) => isRecord(value) && Object.values(value).every(isText);
const isMetricKind: Check = (value) => value === 'counter' || value === 'histogram' || value === 'gauge';

const SPAN_EVENT: Readonly<Record<keyof SpanEvent, Check>> = { name: isText, atMs: Number.isFinite, subject: isText };

const EFFECT_LISTS: Readonly<Record<Exclude<keyof TurnEffects, 'attributes'>, Readonly<Record<string, Check>>>> = {
  values: { key: isText, value: isTextOrNull },
  subscriptions: { pattern: isText, subscribed: isFlag },
  publications: { topic: isText, payload: isText },
  sessionMessages: { sessionId: isText, payload: isText },
  terminations: { instanceId: isText, eventId: Number.isSafeInteger },
  metrics: { kind: isMetricKind, name: isText, value: Number.isFinite, labels: isLabels },
  spans: {
    traceId: isText,
    spanId: isText,
    parentSpanId: isTextOrNull,
    flags: Number.isSafeInteger,
    tracestate: isTextOrNull,
    startMs: Number.isFinite,
    endMs: Number.isFinite,
    events: (events) => Array.isArray(events) && events.every((event) => hasFields(event, SPAN_EVENT)),
    droppedEvents: Number.isSafeInteger,
  },
};

const SPECIAL: Readonly<Record<keyof ActivitySpecial, Check>> = {
  tag: isTextOrNull,
  sessionId: isTextOrNull,
  timeoutMs: isNumberOrNull,
  extras: isTextOrNull,
  heartbeat: isTextOrNull,
  lockToken: isTextOrNull,
  traceparent: isTextOrNull,
  tracestate: isTextOrNull,
};

const PARTING: Readonly<Record<keyof Parting, Check>> = {
  eventId: Number.isSafeInteger,
  recorded: isTextOrNull,
  emitted: isText,
  diff: isText,
};

const LEVELS: ReadonlySet<unknown> = new Set<LogLine['level']>(LOG_LEVELS);

/**
 * Checks the rare parts of a turn.
 *
 * @param value - parsed text
 * @returns true when each list holds what it should
 */
export function isTurnEffects(value: unknown): value is TurnEffects {
  if (!isRecord(value)) return false;
  if (value['attributes'] !== null && !isStoredAttributes(value['attributes'])) return false;
  return Object.entries(EFFECT_LISTS).every(([name, fields]) => isList(value[name], fields));
}

/**
 * Checks the search attributes of an instance.
 *
 * @param value - parsed text
 * @returns true when it has their text and a list of them
 */
export function isStoredAttributes(value: unknown): value is StoredAttributes {
  return hasFields(value, { text: isText, list: (list) => isList(list, { key: isText, value: isText }) });
}

/**
 * Checks what only some activities have.
 *
 * @param value - parsed text
 * @returns true when it has all fields, each of its kind
 */
export function isActivitySpecial(value: unknown): value is ActivitySpecial {
  return hasFields(value, SPECIAL);
}

/**
 * Checks what a check of a turn has found.
 *
 * @param value - parsed text
 * @returns true when it has a failure, and says where code and history part or that they cannot be compared
 */
export function isCheckFinding(value: unknown): value is CheckFinding {
  const isParting: Check = (parting): boolean => parting === null || hasFields(parting, PARTING);
  return hasFields(value, { failure: isFailure, parting: isParting });
}

/**
 * Checks a failure.
 *
 * @param value - parsed text
 * @returns true when it says what failed
 */
export function isFailure(value: unknown): value is Failure {
  return hasFields(value, { name: isText, message: isText });
}

/**
 * Checks a log line. What is in its fields is user data.
 *
 * @param value - parsed text
 * @returns true when it can be given to a logger
 */
export function isLogLine(value: unknown): value is LogLine {
  return isRecord(value) && LEVELS.has(value['level']) && typeof value['message'] === 'string' && isRecord(value['fields']);
}

function isList(value: unknown, fields: Readonly<Record<string, Check>>): boolean {
  return Array.isArray(value) && value.every((item) => hasFields(item, fields));
}

function hasFields(value: unknown, fields: Readonly<Record<string, Check>>): boolean {
  return isRecord(value) && Object.entries(fields).every(([name, check]) => check(value[name]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
