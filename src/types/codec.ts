// Payloads: the one place where user values become text and come back. JSON.parse and JSON.stringify are banned elsewhere.
// The main thread only passes the text on; encoding and decoding happen in the thread (or client call) that owns the value.
import { DurableError, PayloadError } from './errors.ts';
import { toFailure } from './failure.ts';
import { MAX_PAYLOAD_BYTES } from './limits.ts';

/** The text of a JSON value. `undefined` stands for the value `undefined`, which JSON cannot write. */
export type EncodedPayload = string | undefined;

/**
 * Encodes a user value. `undefined` at the top stays `undefined`; inside, JSON's rules hold: `NaN` and infinities become
 * `null`, `-0` becomes `0`, functions and `undefined` fields are left out, `toJSON` is called.
 *
 * @param value - any JSON value
 * @param what - what the value is, for the error message, such as `input of activity "charge"`
 * @param maxBytes - limit in UTF-8 bytes
 * @returns the text, or undefined for undefined
 * @throws {PayloadError} `PAYLOAD_NOT_SERIALIZABLE` for BigInt, cycles, functions and symbols; `PAYLOAD_TOO_LARGE` over the limit
 */
export function encodePayload(value: unknown, what: string, maxBytes: number = MAX_PAYLOAD_BYTES): EncodedPayload {
  if (value === undefined) return undefined;
  let encoded: string | undefined;
  try {
    encoded = JSON.stringify(value);
  } catch (cause) {
    const [reason] = toFailure(cause).message.split('\n', 1);
    throw new PayloadError('PAYLOAD_NOT_SERIALIZABLE', `${what} is not a JSON value: ${reason}. Convert it first`, { cause });
  }
  if (encoded === undefined) {
    throw new PayloadError('PAYLOAD_NOT_SERIALIZABLE', `${what} is not a JSON value: it is a ${typeof value}. Convert it first`);
  }
  // A UTF-16 unit takes at most 3 UTF-8 bytes, so most payloads are cleared by their length alone.
  const bytes = encoded.length * 3 > maxBytes ? utf8Bytes(encoded) : 0;
  if (bytes > maxBytes) {
    throw new PayloadError(
      'PAYLOAD_TOO_LARGE',
      `${what} takes ${bytes} bytes, more than the limit of ${maxBytes}. Store it elsewhere and pass a reference`,
    );
  }
  return encoded;
}

/**
 * Decodes a payload.
 *
 * @param encoded - what `encodePayload` returned
 * @returns the value
 */
export function decodePayload(encoded: EncodedPayload): unknown {
  return encoded === undefined ? undefined : (JSON.parse(encoded) as unknown);
}

/**
 * Decodes a payload that was stored, where it may have been changed outside.
 *
 * @param encoded - from the store; null for undefined
 * @param what - what it is, for the error message
 * @returns the value
 * @throws {DurableError} `MESSAGE_INVALID` when it is no JSON
 */
export function decodeStored(encoded: string | null, what: string): unknown {
  try {
    return decodePayload(encoded ?? undefined);
  } catch (cause) {
    throw new DurableError(
      'MESSAGE_INVALID',
      `${what} cannot be read: it is no JSON. It was changed outside duraloom, or the file is damaged`,
      { cause },
    );
  }
}

/**
 * Writes a value for a person: JSON over several lines. Never throws.
 *
 * @param value - any value
 * @returns the text; in words why there is none
 */
export function formatPayload(value: unknown): string {
  try {
    return JSON.stringify(value, null, 2) ?? String(value);
  } catch (error) {
    return `(cannot be shown: ${toFailure(error).message})`;
  }
}

/**
 * Encodes a record of our own (an event, a message, a failure) that holds JSON values only.
 *
 * @param record - the record
 * @returns its JSON text
 */
export function encodeRecord(record: object): string {
  return JSON.stringify(record);
}

/**
 * Parses text from the store.
 *
 * @param encoded - JSON text
 * @returns the value, of unknown shape: whoever calls checks it
 * @throws {SyntaxError} when it is no JSON
 */
export function parseRecord(encoded: string): unknown {
  return JSON.parse(encoded) as unknown;
}

/**
 * Quotes a string as JSON text, for building a record around payloads that are already encoded.
 *
 * @param value - any string; lone surrogates are escaped
 * @returns the JSON string literal
 */
export function quote(value: string): string {
  return JSON.stringify(value);
}

function utf8Bytes(value: string): number {
  let bytes = value.length;
  for (let index = 0; index < value.length; index += 1) {
    const unit = value.charCodeAt(index);
    // A surrogate pair is two units and four bytes: one extra byte for each of its halves.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return bytes;
}
