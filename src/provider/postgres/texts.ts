// Texts that the server does not take, on their way there and back. Neighbours: connection.ts and enlisted-store.ts send parameters, parameters.ts
// makes them.
//
// N4. A text comes back as it was: NUL, which the server does not take, is escaped by the last code point, which means nothing.
import { encodeRecord } from '../../types/codec.ts';

const [NUL, ESCAPE] = ['\0', '\u{10ffff}'];

/** In JSON: NUL, and halves of surrogate pairs. What stands before are whole escaped backslashes. */
const REFUSED_IN_JSON = /(?<!\\)((?:\\\\)*)\\u(0000|d[89a-f][0-9a-f]{2})/g;

/**
 * Escapes the texts of a parameter.
 *
 * @param value - a parameter; arrays are looked through
 * @returns the same without NUL
 */
export function escapeValue(value: unknown): unknown {
  if (typeof value === 'string') return value.includes(NUL) || value.includes(ESCAPE) ? escape(value) : value;
  return Array.isArray(value) ? value.map(escapeValue) : value;
}

/**
 * Reads a text back.
 *
 * @param text - as the server has it
 * @returns as it was given
 */
export function unescape(text: string): string {
  return text.includes(ESCAPE) ? text.replaceAll(`${ESCAPE}0`, NUL).replaceAll(`${ESCAPE}1`, ESCAPE) : text;
}

/**
 * Writes JSON that functions of the schema take apart: what they get out is what stands in a column for the same text. So NUL goes in as itself, to be
 * escaped with the parameter, and half a surrogate pair as what UTF-8 has for it.
 *
 * @param record - what to write
 * @returns the parameter, before `escapeValue`
 */
export function encodeJson(record: object): string {
  return encodeRecord(record).replaceAll(
    REFUSED_IN_JSON,
    (_, before: string, code: string) => before + (code === '0000' ? NUL : '\u{fffd}'),
  );
}

function escape(text: string): string {
  return text.replaceAll(ESCAPE, `${ESCAPE}1`).replaceAll(NUL, `${ESCAPE}0`);
}
