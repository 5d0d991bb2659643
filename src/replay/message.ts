// Orchestrator messages from the store: parsed once, checked, and turned into event text without encoding the payload again (H4).
import { encodeRecord, parseRecord, quote } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { ENGINE_BEHAVIOUR, type OrchestratorMessage } from '../types/history-event.ts';
import type { ReceivedMessage } from '../types/replay.ts';
import { findFaultyField } from './validate-history.ts';

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
  const faulty = findFaultyField(message);
  if (faulty !== null) throw invalid(`it has no valid ${faulty}`);
  // The event gets these from the engine; in the message they would stand twice in its text.
  if ('id' in message || 'atMs' in message) throw invalid('it has an id or time of its own');
  return { message: message as OrchestratorMessage, text };
}

/**
 * Adds a trace to a start message that has none.
 *
 * @param received - the start message
 * @param traceparent - as it is stored
 * @returns the message with it
 */
export function withTraceparent({ message, text }: ReceivedMessage, traceparent: string): ReceivedMessage {
  const traced = { ...message, traceparent } as OrchestratorMessage;
  return { message: traced, text: text.endsWith('}') ? `${text.slice(0, -1)},"traceparent":"${traceparent}"}` : encodeRecord(traced) };
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
 * @param running - version and execution that run, for a message that names none
 * @returns JSON text of the event
 */
export function encodeStarted(
  atMs: number,
  received: ReceivedMessage,
  running: { readonly version: string; readonly executionId: number },
): string {
  const { message } = received;
  const asked = 'version' in message ? message.version : undefined;
  // A range was asked for: what was chosen is what history keeps, so that replay never chooses again.
  if (asked !== undefined && asked !== running.version) {
    const chosen = { ...message, version: running.version } as OrchestratorMessage;
    return encodeStarted(atMs, { message: chosen, text: encodeRecord(chosen) }, running);
  }
  const version = asked === undefined ? `,"version":${quote(running.version)}` : '';
  const execution = 'executionId' in message && message.executionId !== undefined ? '' : `,"executionId":${running.executionId}`;
  return `${encodeInput(1, atMs, received).slice(0, -1)}${version}${execution},"engine":${ENGINE_BEHAVIOUR}}`;
}
