// Writing messages and events around payloads that are encoded already, so that no payload is encoded twice. Neighbour: codec.ts.
import { quote, type EncodedPayload } from './codec.ts';
import type { TraceContext } from './trace.ts';

/**
 * Writes an optional payload field.
 *
 * @param name - field name
 * @param payload - encoded payload
 * @returns text to append to a JSON object; empty for undefined
 */
export function field(name: string, payload: EncodedPayload): string {
  return payload === undefined ? '' : `,"${name}":${payload}`;
}

/**
 * Writes the fields of a trace.
 *
 * @param trace - the trace; null: none
 * @returns text to append to a JSON object; empty for none
 */
export function traceFields(trace: TraceContext | null): string {
  if (trace === null) return '';
  const { traceparent, tracestate } = trace;
  return `,"traceparent":${quote(traceparent)}${tracestate === undefined ? '' : `,"tracestate":${quote(tracestate)}`}`;
}

/**
 * Writes the message that starts an execution.
 *
 * @param start - `parent`: encoded parent link; `attributes`: encoded search attributes; undefined for none; `trace`: what it is below, null for nothing
 * @returns JSON text of an `OrchestrationStarted` message
 */
export function encodeStart(start: {
  readonly name: string;
  readonly version: string | undefined;
  readonly input: EncodedPayload;
  readonly parent: EncodedPayload;
  readonly attributes: EncodedPayload;
  readonly trace: TraceContext | null;
}): string {
  const version = start.version === undefined ? '' : `,"version":${quote(start.version)}`;
  const rare = field('parent', start.parent) + field('attributes', start.attributes) + traceFields(start.trace);
  return `{"kind":"OrchestrationStarted","name":${quote(start.name)}${version}${field('input', start.input)}${rare}}`;
}
