// Orchestrator messages from the store: parsed once, checked, and turned into event text without encoding the payload again (H4).
import { encodeRecord, parseRecord } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { ENGINE_BEHAVIOUR, type OrchestratorMessage } from '../types/history-event.ts';
import type { ReceivedMessage } from '../types/replay.ts';

/**
 * Parses and checks a message.
 *
 * @param text - payload from the orchestrator queue
 * @returns the message with its text
 * @throws {DurableError} `MESSAGE_INVALID` when it is no message of this version
 */
export function parseMessage(text: string): ReceivedMessage {
  let message: unknown;
  try {
    message = parseRecord(text);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  if (typeof message !== 'object' || message === null) throw invalid('it is not an object');
  const fault = findFault(message as OrchestratorMessage);
  if (fault !== null) throw invalid(fault);
  return { message: message as OrchestratorMessage, text };
}

function findFault(message: OrchestratorMessage): string | null {
  switch (message.kind) {
    case 'OrchestrationStarted':
      return isId(message.executionId) && typeof message.name === 'string' ? null : 'the start has no executionId or name';
    case 'ActivityCompleted':
    case 'TimerFired':
    case 'SubOrchestrationCompleted':
      return isId(message.executionId) && isId(message.sourceId) ? null : `${message.kind} has no executionId or sourceId`;
    case 'ActivityFailed':
    case 'SubOrchestrationFailed':
      return isId(message.executionId) && isId(message.sourceId) && isFailure(message.failure)
        ? null
        : `${message.kind} has no executionId, sourceId or failure`;
    case 'EventRaised':
      return typeof message.name === 'string' ? null : 'EventRaised has no name';
    case 'CancelRequested':
      return typeof message.reason === 'string' ? null : 'CancelRequested has no reason';
    case 'InstanceFaulted':
      return isId(message.executionId) && isFailure(message.failure) ? null : 'InstanceFaulted has no executionId or failure';
    default:
      return `unknown kind ${String((message satisfies never as { readonly kind?: unknown }).kind)}`;
  }
}

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isFailure(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value;
}

function invalid(reason: string, cause?: unknown): DurableError {
  return new DurableError(
    'MESSAGE_INVALID',
    `a queued message cannot be read: ${reason}. It was changed outside duraloom, or a newer version wrote it`,
    cause === undefined ? undefined : { cause },
  );
}

/**
 * Completes a message's text to the text of its event.
 *
 * @param id - event id
 * @param atMs - event time, epoch milliseconds
 * @param received - the message
 * @returns JSON text of the event
 */
export function encodeInput(id: number, atMs: number, received: ReceivedMessage): string {
  const { message, text } = received;
  // Text that was not written by us may have white space around it.
  const body = text.startsWith('{') && text.endsWith('}') ? text : encodeRecord(message);
  return `{"id":${id},"atMs":${atMs},${body.slice(1)}`;
}

/**
 * Completes a start message's text to the text of OrchestrationStarted.
 *
 * @param atMs - event time, epoch milliseconds
 * @param received - the start message
 * @param version - version that runs
 * @returns JSON text of the event
 */
export function encodeStarted(atMs: number, received: ReceivedMessage, version: string): string {
  return encodeRecord({ id: 1, atMs, ...received.message, version, engine: ENGINE_BEHAVIOUR });
}
