// What the client returns → what travels as JSON. Only errors and maps need a hand: dates write themselves. Neighbour: schemas.ts describes it.
import type { InstanceState } from '../../client/instance-state.ts';
import { decodePayload, encodeRecord } from '../../types/codec.ts';
import { RemoteError } from '../../types/failure.ts';

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
 * Makes a result plain JSON: what a program on the other side will see.
 *
 * @param result - of an operation
 * @returns the same without dates and undefined fields
 */
export function toPlainJson(result: object): Record<string, unknown> {
  return decodePayload(encodeRecord(result)) as Record<string, unknown>;
}
