// What clients send to instances, as the provider takes it: raised and published events, cancellations, terminations.
// Neighbours: client.ts sends them, types/history-event.ts has their form.
import type { CloseChildren, ControlRequest, EnqueueOutcome, NewMessage, Publication } from '../provider/provider.ts';
import type { FieldNames } from '../types/arguments.ts';
import { encodePayload, encodeRecord, quote } from '../types/codec.ts';
import { ArgumentError } from '../types/errors.ts';
import type { Failure } from '../types/failure.ts';
import type { OrchestratorMessage } from '../types/history-event.ts';
import type { InstanceRecord } from '../types/instance.ts';
import { MAX_INSTANCE_ID_LENGTH } from '../types/limits.ts';
import { field } from '../types/message-text.ts';
import { assertName, assertText } from '../types/names.ts';
import { show } from '../types/show.ts';
import { assertTopic } from '../types/topics.ts';

/** Options of raising and publishing. */
export type RaiseOptions = {
  /**
   * Your name for this event, 1 to 256 characters: an instance takes an event with one key once, whatever its name and however often it is raised, also over
   * continue-as-new (it remembers its last 1000 keys there). @default none: every raise is an event of its own
   */
  readonly key?: string;
};

/** One event of a batch. */
export type RaiseRequest = RaiseOptions & {
  readonly instanceId: string;
  /** Name of the event. */
  readonly name: string;
  /** A JSON value. */
  readonly data?: unknown;
};

/** What became of an event. */
export type RaiseResult = {
  /** False when the instance has ended (or does not exist): the event was dropped. True also for one whose key is queued already. */
  readonly delivered: boolean;
  /** The key that was given; undefined for none. */
  readonly key: string | undefined;
};

/** What became of one event of a batch. */
export type BatchRaiseResult = RaiseResult & {
  readonly instanceId: string;
  /** `enqueued`; `duplicate`: one with its key is queued already; `ended`, `notFound`: the instance cannot take it. */
  readonly outcome: EnqueueOutcome;
};

/** The names of the options. */
export const RAISE_OPTIONS: FieldNames<RaiseOptions> = { key: true };

/**
 * Tells whether an event will be taken.
 *
 * @param outcome - of the store
 * @returns true also when an event with its key is queued already
 */
export function isDelivered(outcome: EnqueueOutcome): boolean {
  return outcome === 'enqueued' || outcome === 'duplicate';
}

/**
 * Checks an id of an instance that should exist. Ids of children hold what ids chosen by people must not.
 *
 * @param instanceId - the id
 * @returns the id
 * @throws {ArgumentError} when it cannot be one
 */
export function assertTarget(instanceId: string): string {
  assertText(instanceId, 'instance id', MAX_INSTANCE_ID_LENGTH);
  return instanceId;
}

/**
 * Checks and encodes an event.
 *
 * @param request - instance, name, data, key
 * @returns what the provider takes; the key is beside the payload for the queue and inside it for the engine (T55)
 * @throws {ArgumentError} for a bad id, name or key
 * @throws {PayloadError} when the data is no JSON value or too large
 */
export function toRaise({ instanceId, name, data, key }: RaiseRequest): NewMessage {
  assertTarget(instanceId);
  const encoded = encodePayload(data, `data of event '${assertName(name, 'event name')}'`);
  const payload = `{"kind":"EventRaised","name":${quote(name)}${field('data', encoded)}${keyField(key)}}`;
  return { instanceId, payload, ...(key !== undefined && { key }) };
}

/**
 * Checks and encodes a publication.
 *
 * @param topic - such as 'orders/created'
 * @param data - a JSON value
 * @param key - the caller's key
 * @returns what the provider takes
 * @throws {ArgumentError} for a bad topic or key
 * @throws {PayloadError} when the data is no JSON value or too large
 */
export function toPublication(topic: string, data: unknown, key: string | undefined): Publication {
  const encoded = encodePayload(data, `data for topic '${assertTopic(topic)}'`);
  const payload = `{"kind":"TopicReceived","topic":${quote(topic)}${field('data', encoded)}${keyField(key)}}`;
  return { topic, payload, ...(key !== undefined && { key }) };
}

/**
 * Checks and encodes the wish to cancel.
 *
 * @param instanceId - which instance
 * @param reason - for the record
 * @returns what the provider takes
 * @throws {ArgumentError} when the reason is no text
 * @throws {PayloadError} when it is too large
 */
export function toCancel(instanceId: string, reason: string): NewMessage {
  assertReason(reason, 'cancellation');
  return { instanceId: assertTarget(instanceId), payload: encodeMessage({ kind: 'CancelRequested', reason }) };
}

/**
 * Encodes the wish to terminate, with what its parent and its children get to know.
 *
 * @param record - the instance
 * @param reason - for the record
 * @returns what the provider takes
 * @throws {ArgumentError} when the reason is no text
 * @throws {PayloadError} when it is too large
 */
export function toTerminate(record: InstanceRecord, reason: string): ControlRequest {
  assertReason(reason, 'termination');
  const { instanceId, parent } = record;
  const failure = terminated(reason);
  return {
    kind: 'terminate',
    instanceId,
    output: encodeRecord(failure),
    parentMessage:
      parent === null
        ? null
        : {
            instanceId: parent.instanceId,
            payload: encodeMessage({
              kind: 'SubOrchestrationFailed',
              executionId: parent.executionId,
              sourceId: parent.eventId,
              failure,
            }),
          },
    closeChildren: closingOf(instanceId, 'was terminated'),
  };
}

/**
 * Encodes what the children of an instance get to know when it ends otherwise than by itself.
 *
 * @param instanceId - the parent
 * @param what - what happened to it
 * @returns what the provider takes
 */
export function closingOf(instanceId: string, what: 'ended' | 'was quarantined' | 'was replaced' | 'was terminated'): CloseChildren {
  const reason = `parent '${instanceId}' ${what}`;
  return { cancelPayload: encodeMessage({ kind: 'CancelRequested', reason }), output: encodeRecord(terminated(reason)) };
}

function terminated(message: string): Failure {
  return { name: 'OrchestrationError', message, code: 'ORCHESTRATION_TERMINATED' };
}

function assertReason(reason: string, what: string): void {
  if (typeof reason !== 'string') throw new ArgumentError(`Expected reason to be text, got ${show(reason)}`);
  encodePayload(reason, `reason of the ${what}`);
}

function keyField(key: string | undefined): string {
  return key === undefined ? '' : `,"key":${quote(assertName(key, 'event key'))}`;
}

/** For the compiler: what is sent is a message that the engine knows. */
function encodeMessage(message: OrchestratorMessage): string {
  return encodeRecord(message);
}
