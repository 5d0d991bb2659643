// What the client returns → what travels as JSON. Only errors and maps need a hand: dates write themselves. Neighbour: schemas.ts describes it.
import type { InstanceState } from '../../client/instance-state.ts';
import { decodePayload, encodeRecord } from '../../types/codec.ts';
import { RemoteError } from '../../types/failure.ts';

/**
 * Deepest nesting of an answer that is too deep to be written at once. Reason: code in a thread has more stack than the thread that answers, so that it
 * can make results which that one can read but not write.
 */
const MAX_DEPTH = 200;
/** Stands for what is deeper. */
const TOO_DEEP = '(nested too deep to be shown)';

/** An error as it travels. Its stack stays here: it tells outsiders about the machine, and the message says where. */
export type WireError = {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly nonRetryable: boolean;
  readonly cause?: WireError;
};

/** An instance as it travels. */
export type WireInstance = Omit<InstanceState, 'error'> & { readonly error?: WireError };

/**
 * Makes an error travel.
 *
 * @param error - of an instance
 * @returns name, message, code and causes
 */
export function toWireError(error: RemoteError): WireError {
  return {
    name: error.name,
    message: error.message,
    ...(error.code !== undefined && { code: error.code }),
    nonRetryable: error.nonRetryable,
    ...(error.cause instanceof RemoteError && { cause: toWireError(error.cause) }),
  };
}

/**
 * Makes an instance travel.
 *
 * @param state - of a client
 * @returns the same with its error as data
 */
export function toWireInstance<State extends InstanceState>({
  error,
  ...state
}: State): Omit<State, 'error'> & { readonly error?: WireError } {
  return { ...state, ...(error !== undefined && { error: toWireError(error) }) };
}

/**
 * Writes what goes out: an answer, an event.
 *
 * @param value - JSON, also with dates
 * @returns its text; what is nested so deep that it cannot be written is left out
 */
export function toWireText(value: object): string {
  try {
    return encodeRecord(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return encodeRecord(cut(value));
  }
}

/** Without recursion, which is what could not be done. */
function cut(value: object): object {
  const copyOf = (from: object): Record<string, unknown> => (Array.isArray(from) ? [] : {}) as Record<string, unknown>;
  const root = { from: value, to: copyOf(value), depth: 1 };
  const rest = [root];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { from, to, depth } = next;
    for (const [key, item] of Object.entries(from) as [string, unknown][]) {
      const isLeaf = typeof item !== 'object' || item === null || item instanceof Date;
      if (isLeaf || depth === MAX_DEPTH) define(to, key, isLeaf ? item : TOO_DEEP);
      else {
        const copy = copyOf(item);
        define(to, key, copy);
        rest.push({ from: item, to: copy, depth: depth + 1 });
      }
    }
  }
  return root.to;
}

/** Names such as __proto__ are names like others. */
function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/**
 * Makes a result plain JSON: what a program on the other side will see.
 *
 * @param result - of an operation
 * @returns the same without dates and undefined fields
 */
export function toPlainJson(result: object): Record<string, unknown> {
  return decodePayload(toWireText(result)) as Record<string, unknown>;
}
