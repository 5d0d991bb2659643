// Gives spans the ids that they must have. Neighbour: span-bridge.ts.
//
// The API of OpenTelemetry lets nobody choose the id of a span, but its SDK asks a generator for each, at once, within `startSpan`. So what is asked
// for while `withIds` runs gets those ids, and everything else random ones.
import { randomBytes } from 'node:crypto';

/** What an OpenTelemetry SDK asks for ids. */
export interface SpanIdGenerator {
  generateTraceId(): string;
  generateSpanId(): string;
}

let wanted: { readonly traceId: string; readonly spanId: string } | null = null;

/**
 * Runs code in which generators give these ids.
 *
 * @param ids - of the span that the code starts
 * @param run - the code; synchronous
 * @returns its result
 */
export function withIds<Result>(ids: { readonly traceId: string; readonly spanId: string }, run: () => Result): Result {
  wanted = ids;
  try {
    return run();
  } finally {
    wanted = null;
  }
}

/**
 * Generator of ids for the tracer provider that `openTelemetry` records to: `new TracerProvider({ idGenerator: new DuraloomIdGenerator() })`. Spans of
 * others get ids as ever.
 */
export class DuraloomIdGenerator implements SpanIdGenerator {
  // SDKs take the methods off the object.
  readonly generateTraceId: () => string;
  readonly generateSpanId: () => string;

  /**
   * @param others - makes the ids of all other spans; default: random ones
   */
  constructor(others?: SpanIdGenerator) {
    this.generateTraceId = () => wanted?.traceId ?? others?.generateTraceId() ?? randomId(16);
    this.generateSpanId = () => wanted?.spanId ?? others?.generateSpanId() ?? randomId(8);
  }
}

function randomId(length: number): string {
  const bytes = randomBytes(length);
  // All zeros is no id.
  bytes[0] = (bytes[0] ?? 0) | 1;
  return bytes.toString('hex');
}
