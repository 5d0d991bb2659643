// Decisions: how one is written as an event, and how a recorded one is compared with what the code decides on replay.
// Neighbours: replay-engine.ts calls both; types/history-event.ts has the events' shapes.
import { decodePayload, encodePayload, parseRecord, quote, type EncodedPayload } from '../types/codec.ts';
import type { Failure } from '../types/failure.ts';
import { field } from '../types/message-text.ts';
import type { HistoryEvent, ParentClosePolicy } from '../types/history-event.ts';

/** A decision as the code makes it; payloads are encoded. */
export type Decision =
  | {
      readonly kind: 'ActivityScheduled';
      readonly name: string;
      readonly input: EncodedPayload;
      readonly tag: string | undefined;
      readonly sessionId: string | undefined;
      readonly attempt: number | undefined;
    }
  | { readonly kind: 'TimerCreated'; readonly fireAtMs: number }
  | { readonly kind: 'EventAwaited'; readonly name: string }
  | {
      readonly kind: 'SubOrchestrationScheduled' | 'OrchestrationStartRequested';
      readonly name: string;
      readonly version: string | undefined;
      readonly instanceId: string;
      readonly input: EncodedPayload;
      /** undefined: `cancel`, and for a detached start. */
      readonly onParentClose: ParentClosePolicy | undefined;
    }
  | { readonly kind: 'CustomStatusSet'; readonly status: EncodedPayload }
  | { readonly kind: 'FutureCancelled'; readonly sourceId: number }
  | { readonly kind: 'ValueSet'; readonly key: string; readonly value: string }
  | { readonly kind: 'ValueDeleted'; readonly key: string }
  | { readonly kind: 'AttributesSet'; readonly attributes: string }
  | { readonly kind: 'TopicSubscribed' | 'TopicUnsubscribed'; readonly pattern: string }
  | { readonly kind: 'TopicPublished'; readonly topic: string; readonly data: EncodedPayload }
  | { readonly kind: 'SessionMessageSent'; readonly sessionId: string; readonly data: EncodedPayload }
  | { readonly kind: 'Patched'; readonly patchId: string }
  | { readonly kind: 'OrchestrationCompleted'; readonly result: EncodedPayload }
  | { readonly kind: 'OrchestrationFailed'; readonly failure: string; readonly identity: string }
  | { readonly kind: 'OrchestrationCancelled'; readonly reason: string }
  | { readonly kind: 'OrchestrationContinuedAsNew'; readonly version: string | undefined; readonly input: EncodedPayload };

/**
 * Writes a decision as the text of an event.
 *
 * @param id - event id
 * @param atMs - event time, epoch milliseconds
 * @param decision - the decision
 * @returns JSON text
 */
export function encodeDecision(id: number, atMs: number, decision: Decision): string {
  return `{"id":${id},"atMs":${atMs},"kind":"${decision.kind}"${encodeFields(decision)}}`;
}

function encodeFields(decision: Decision): string {
  switch (decision.kind) {
    case 'ActivityScheduled':
      return `,"name":${quote(decision.name)}${textField('tag', decision.tag)}${textField('sessionId', decision.sessionId)}${
        decision.attempt === undefined ? '' : `,"attempt":${decision.attempt}`
      }${field('input', decision.input)}`;
    case 'TimerCreated':
      return `,"fireAtMs":${decision.fireAtMs}`;
    case 'EventAwaited':
      return `,"name":${quote(decision.name)}`;
    case 'SubOrchestrationScheduled':
    case 'OrchestrationStartRequested': {
      const closing = textField('onParentClose', decision.onParentClose);
      return `,"name":${quote(decision.name)}${textField('version', decision.version)},"instanceId":${quote(decision.instanceId)}${closing}${field('input', decision.input)}`;
    }
    case 'CustomStatusSet':
      return field('status', decision.status);
    case 'FutureCancelled':
      return `,"sourceId":${decision.sourceId}`;
    case 'ValueSet':
      return `,"key":${quote(decision.key)},"value":${decision.value}`;
    case 'ValueDeleted':
      return `,"key":${quote(decision.key)}`;
    case 'AttributesSet':
      return `,"attributes":${decision.attributes}`;
    case 'TopicSubscribed':
    case 'TopicUnsubscribed':
      return `,"pattern":${quote(decision.pattern)}`;
    case 'TopicPublished':
      return `,"topic":${quote(decision.topic)}${field('data', decision.data)}`;
    case 'SessionMessageSent':
      return `,"sessionId":${quote(decision.sessionId)}${field('data', decision.data)}`;
    case 'Patched':
      return `,"patchId":${quote(decision.patchId)}`;
    case 'OrchestrationCompleted':
      return field('result', decision.result);
    case 'OrchestrationFailed':
      return `,"failure":${decision.failure}`;
    case 'OrchestrationCancelled':
      return `,"reason":${quote(decision.reason)}`;
    case 'OrchestrationContinuedAsNew':
      return `${textField('version', decision.version)}${field('input', decision.input)}`;
  }
}

/** An optional text field. */
function textField(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${quote(value)}`;
}

/**
 * Compares a decision with the recorded event at its place. Everything counts but wall-clock fields (T43, T48).
 *
 * @param recorded - the event in history
 * @param decision - what the code decides now
 * @returns true when they are the same
 */
export function matchesDecision(recorded: HistoryEvent, decision: Decision): boolean {
  switch (decision.kind) {
    case 'ActivityScheduled':
      return (
        recorded.kind === decision.kind &&
        recorded.name === decision.name &&
        recorded.tag === decision.tag &&
        recorded.sessionId === decision.sessionId &&
        recorded.attempt === decision.attempt &&
        same(recorded.input, decision.input)
      );
    case 'TimerCreated':
      return recorded.kind === decision.kind;
    case 'EventAwaited':
      return recorded.kind === decision.kind && recorded.name === decision.name;
    case 'SubOrchestrationScheduled':
    case 'OrchestrationStartRequested':
      return (
        recorded.kind === decision.kind &&
        recorded.name === decision.name &&
        recorded.version === decision.version &&
        recorded.instanceId === decision.instanceId &&
        (recorded.kind !== 'SubOrchestrationScheduled' || recorded.onParentClose === decision.onParentClose) &&
        same(recorded.input, decision.input)
      );
    case 'CustomStatusSet':
      return recorded.kind === decision.kind && same(recorded.status, decision.status);
    case 'FutureCancelled':
      return recorded.kind === decision.kind && recorded.sourceId === decision.sourceId;
    case 'ValueSet':
      return recorded.kind === decision.kind && recorded.key === decision.key && same(recorded.value, decision.value);
    case 'ValueDeleted':
      return recorded.kind === decision.kind && recorded.key === decision.key;
    case 'AttributesSet':
      return recorded.kind === decision.kind && same(recorded.attributes, decision.attributes);
    case 'TopicSubscribed':
    case 'TopicUnsubscribed':
      return recorded.kind === decision.kind && recorded.pattern === decision.pattern;
    case 'TopicPublished':
      return recorded.kind === decision.kind && recorded.topic === decision.topic && same(recorded.data, decision.data);
    case 'SessionMessageSent':
      return recorded.kind === decision.kind && recorded.sessionId === decision.sessionId && same(recorded.data, decision.data);
    case 'Patched':
      return recorded.kind === decision.kind && recorded.patchId === decision.patchId;
    case 'OrchestrationCompleted':
      return recorded.kind === decision.kind && same(recorded.result, decision.result);
    case 'OrchestrationFailed':
      // Stacks and file names differ between builds; what failed does not.
      return recorded.kind === decision.kind && failureIdentity(recorded.failure) === decision.identity;
    case 'OrchestrationCancelled':
      return recorded.kind === decision.kind && recorded.reason === decision.reason;
    case 'OrchestrationContinuedAsNew':
      return recorded.kind === decision.kind && recorded.version === decision.version && same(recorded.input, decision.input);
  }
}

/**
 * What of a failure must be the same on replay.
 *
 * @param failure - the failure
 * @returns name and code
 */
export function failureIdentity(failure: { readonly name: string; readonly code?: string }): string {
  return `${failure.name}/${failure.code ?? ''}`;
}

function same(recorded: unknown, payload: EncodedPayload): boolean {
  const text = encodeAny(recorded);
  // A payload that a toJSON wrote in its own way (digits, order of keys) reads back the same all the same.
  return text === payload || text === encodeAny(decodePayload(payload));
}

function encodeAny(value: unknown): EncodedPayload {
  return encodePayload(value, 'recorded payload', Number.POSITIVE_INFINITY);
}

/** Longest description of a decision in a message. */
const DESCRIBED_UNITS = 300;
/** Fields of a decision that hold encoded payloads. */
const ENCODED: ReadonlySet<string> = new Set(['input', 'status', 'result', 'failure', 'value', 'attributes', 'data']);
/** Fields that tell a person nothing about what differs. */
const HIDDEN: ReadonlySet<string> = new Set(['kind', 'id', 'atMs', 'fireAtMs', 'identity', 'executionId']);

/**
 * Describes a decision for a person, cut to a readable length.
 *
 * @param decision - what the code decides
 * @returns such as `ActivityScheduled {name: "charge", input: 1}`
 */
export function describeDecision(decision: Decision): string {
  if (decision.kind === 'OrchestrationFailed') return describeEnd(decision.kind, parseRecord(decision.failure) as Failure);
  return describe(decision, (name, value) => (ENCODED.has(name) ? String(value) : String(encodeAny(value))));
}

/**
 * Describes a recorded event in the same form.
 *
 * @param event - from history
 * @returns as `describeDecision`
 */
export function describeEvent(event: HistoryEvent): string {
  if (event.kind === 'OrchestrationFailed') return describeEnd(event.kind, event.failure);
  return describe(event, (_, value) => String(encodeAny(value)));
}

/** Stacks and causes are for logs. */
function describeEnd(kind: 'OrchestrationFailed', { name, message, code }: Failure): string {
  const text = `${name}${code === undefined ? '' : ` ${code}`}: ${message}`;
  return `${kind} {${text.length > DESCRIBED_UNITS ? `${text.slice(0, DESCRIBED_UNITS)}…` : text}}`;
}

function describe(body: Decision | HistoryEvent, show: (name: string, value: unknown) => string): string {
  const fields = Object.entries(body).filter(([name, value]) => !HIDDEN.has(name) && value !== undefined);
  const text = fields.map(([name, value]) => `${name}: ${show(name, value)}`).join(', ');
  return `${body.kind} {${text.length > DESCRIBED_UNITS ? `${text.slice(0, DESCRIBED_UNITS)}…` : text}}`;
}
