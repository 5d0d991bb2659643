// Makes log lines of what user code logs. Neighbours: logger.ts has the types, the replay engine and the activity loop make lines.
//
// N1. A line is what it was when it was logged: later changes of the fields do not show, and what cannot be read costs no more than itself.
// N2. A line has a bounded size.
import { encodeRecord, parseRecord } from './codec.ts';
import { toFailure } from './failure.ts';
import { MAX_LOG_LINE_UNITS } from './limits.ts';
import type { LogLevel, LogLine } from './logger.ts';

/** A line with its rough size in UTF-16 units. */
export type SizedLine = { readonly line: LogLine; readonly units: number };

/** What a line takes besides its text. Reason: a flood of empty lines is a flood, too. */
const LINE_UNITS = 200;

/**
 * Makes a line. Never throws, whatever it is given.
 *
 * @param level - its level
 * @param message - text; anything else is made text
 * @param fields - any data; errors in it become failures, what is no JSON becomes text
 * @returns the line, which shares nothing with the fields
 */
export function takeLogLine(level: LogLevel, message: unknown, fields: unknown): SizedLine {
  const text = cut(asText(message));
  const taken = takeFields(fields);
  return { line: { level, message: text, fields: taken.fields }, units: LINE_UNITS + text.length + taken.units };
}

type Fields = { readonly fields: Readonly<Record<string, unknown>>; readonly units: number };

function takeFields(given: unknown): Fields {
  if (given === undefined) return { fields: {}, units: 0 };
  if (typeof given !== 'object' || given === null) return takeFields({ value: given });
  try {
    return takePlain(given) ?? limited(given);
  } catch {
    return limited(asTexts(given));
  }
}

/** Most lines have a few short texts and numbers: they need no encoding. null: there is more in it. */
function takePlain(given: object): Fields | null {
  if (Array.isArray(given) || isError(given) || 'toJSON' in given) return null;
  const fields: Record<string, unknown> = {};
  let units = 0;
  for (const key of Object.keys(given)) {
    const value: unknown = (given as Readonly<Record<string, unknown>>)[key];
    if (value === undefined) continue;
    const isShort = typeof value === 'string' && value.length < 1_000;
    if (!isShort && typeof value !== 'boolean' && value !== null && !Number.isFinite(value)) return null;
    if (key === '__proto__') return null;
    fields[key] = value;
    units += key.length + (isShort ? value.length : 8);
  }
  return units > MAX_LOG_LINE_UNITS ? null : { fields, units };
}

function limited(given: object): Fields {
  const encoded = encodeRecord({ fields: withFailures(given) });
  if (encoded.length <= MAX_LOG_LINE_UNITS) {
    const { fields } = parseRecord(encoded) as { readonly fields?: unknown };
    const isRecord = typeof fields === 'object' && fields !== null && !Array.isArray(fields);
    return { fields: isRecord ? (fields as Fields['fields']) : { value: fields }, units: encoded.length };
  }
  const cutFields = `they take ${encoded.length} characters, more than ${MAX_LOG_LINE_UNITS}: ${encoded.slice(0, 1_000)}…`;
  return { fields: { cutFields }, units: cutFields.length };
}

/** JSON makes nothing of an error. Only at the top, where loggers expect it. */
function withFailures(given: object): object {
  if (isError(given)) return { err: toFailure(given) };
  if (Array.isArray(given) || 'toJSON' in given) return given;
  return Object.fromEntries(
    Object.entries(given).map(([key, value]: [string, unknown]) => [key, isError(value) ? toFailure(value) : value]),
  );
}

function isError(value: unknown): boolean {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

/** What is no JSON becomes text: BigInt, cycles, getters that throw. The fields beside it stay what they are. */
function asTexts(fields: object): Readonly<Record<string, unknown>> {
  try {
    return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, copy(value)]));
  } catch {
    return { unreadable: asText(fields) };
  }
}

/** A copy, because what was JSON once may be none the next time. */
function copy(value: unknown): unknown {
  try {
    return (parseRecord(encodeRecord(withFailures({ value }))) as { readonly value?: unknown }).value;
  } catch {
    return asText(value);
  }
}

/** Never throws. */
function asText(value: unknown): string {
  return typeof value === 'string' ? value : toFailure(value).message;
}

function cut(text: string): string {
  return text.length > MAX_LOG_LINE_UNITS ? `${text.slice(0, MAX_LOG_LINE_UNITS)}… (cut)` : text;
}
