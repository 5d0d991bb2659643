// Parameters: how they are declared, and how what was typed becomes values. Neighbours: command.ts, program.ts.
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { parseRecord } from '../../types/codec.ts';
import { toMilliseconds, type Duration } from '../../types/duration.ts';
import { toFailure } from '../../types/failure.ts';
import { CliError } from './cli-error.ts';
import type { Parameter } from './command.ts';
import type { Io } from './io.ts';
import { nearest } from './text.ts';

/** Reads one word. */
type Read<Value> = (text: string, what: string) => Value;

/**
 * Declares an argument that must be there.
 *
 * @param flags - such as `<id>`
 * @param description - what it is
 * @returns the parameter
 */
export function required(flags: string, description: string): Parameter<string> {
  return { kind: 'argument', flags, description, read: (given) => String(given) };
}

/**
 * Declares an argument that may be left out.
 *
 * @param flags - such as `[file]`
 * @param description - what it is
 * @returns the parameter
 */
export function optional(flags: string, description: string): Parameter<string | undefined> {
  return { kind: 'argument', flags, description, read: (given) => (typeof given === 'string' ? given : undefined) };
}

/**
 * Declares an argument that may be there several times.
 *
 * @param flags - such as `[ids...]`
 * @param description - what they are
 * @returns the parameter
 */
export function several(flags: string, description: string): Parameter<readonly string[]> {
  return { kind: 'argument', flags, description, read: (given) => (Array.isArray(given) ? given.map(String) : []) };
}

/**
 * Declares an argument that is one of some words.
 *
 * @param flags - such as `<shell>`
 * @param description - what it is
 * @param choices - the words
 * @returns the parameter
 */
export function requiredChoice<Choice extends string>(flags: string, description: string, choices: readonly Choice[]): Parameter<Choice> {
  return { kind: 'argument', flags, description, choices, read: (given) => readChoice(choices)(String(given), flags) };
}

/**
 * Declares an option without a value.
 *
 * @param flags - such as `--dry-run`
 * @param description - what it does
 * @returns the parameter
 */
export function flag(flags: string, description: string): Parameter<boolean> {
  return { kind: 'option', flags, description, read: (given) => given === true };
}

/**
 * Declares an option with a value.
 *
 * @param flags - such as `--limit <count>`
 * @param description - what it does
 * @param read - reads the value; throws a `CliError` for a bad one
 * @returns the parameter
 */
export function option(flags: string, description: string): Parameter<string | undefined>;
export function option<Value>(flags: string, description: string, read: Read<Value>): Parameter<Value | undefined>;
export function option(flags: string, description: string, read: Read<unknown> = (text) => text): Parameter<unknown> {
  return { kind: 'option', flags, description, read: (given) => (typeof given === 'string' ? read(given, flags) : undefined) };
}

/**
 * Declares an option that is one of some words.
 *
 * @param flags - such as `--direction <direction>`
 * @param description - what it does
 * @param choices - the words
 * @returns the parameter
 */
export function choice<Choice extends string>(
  flags: string,
  description: string,
  choices: readonly Choice[],
): Parameter<Choice | undefined> {
  return { ...option(flags, description, readChoice(choices)), choices };
}

/**
 * Declares an option that may be given several times.
 *
 * @param flags - such as `--tag <tag>`
 * @param description - what it does
 * @param read - reads each value
 * @returns the parameter
 */
export function repeated(flags: string, description: string): Parameter<readonly string[]>;
export function repeated<Value>(flags: string, description: string, read: Read<Value>): Parameter<readonly Value[]>;
export function repeated(flags: string, description: string, read: Read<unknown> = (text) => text): Parameter<readonly unknown[]> {
  const readAllOf = (given: unknown): readonly unknown[] => (Array.isArray(given) ? given.map((text) => read(String(text), flags)) : []);
  return { kind: 'option', flags, description, isRepeated: true, read: readAllOf };
}

function readChoice<Choice extends string>(choices: readonly Choice[]): Read<Choice> {
  return (text, what) => {
    const found = choices.find((word) => word.toLowerCase() === text.toLowerCase());
    if (found !== undefined) return found;
    const meant = nearest(text, choices);
    throw usage(`Expected ${what} to be one of ${choices.join(', ')}, got '${text}'${meant === null ? '' : `. Did you mean ${meant}?`}`);
  };
}

/**
 * Makes the error for a command line that makes no sense.
 *
 * @param message - what is expected
 * @returns the error
 */
export function usage(message: string): CliError {
  return new CliError('USAGE', message);
}

/**
 * Makes a reader of whole numbers.
 *
 * @param least - smallest
 * @param most - largest
 * @returns the reader
 */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): Read<number> {
  return (text, what) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw usage(`Expected ${what} to be a whole number ${range}, got '${text}'`);
  };
}

/**
 * Reads a length of time: milliseconds, or a number with a unit.
 *
 * @param text - such as `30s`
 * @param what - for the message
 * @returns milliseconds
 */
export function duration(text: string, what: string): number {
  return toMilliseconds((/^\d+$/.test(text) ? Number(text) : text) as Duration, what);
}

/**
 * Reads a moment: an ISO date, or how long ago.
 *
 * @param text - such as `2030-01-31`, `2030-01-31T12:00:00Z` or `2h`
 * @param what - for the message
 * @returns the moment
 */
export function past(text: string, what: string): Date {
  return readMoment(text, what, -1);
}

/**
 * Reads a moment: an ISO date, or how long from now.
 *
 * @param text - such as `2030-01-31T12:00:00Z` or `2h`
 * @param what - for the message
 * @returns the moment
 */
export function future(text: string, what: string): Date {
  return readMoment(text, what, 1);
}

function readMoment(text: string, what: string, direction: 1 | -1): Date {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const date = new Date(text);
    if (!Number.isNaN(date.getTime())) return date;
  } else if (/^\d+(?:\.\d+)?(?:ms|s|m|h|d)$/.test(text)) {
    return new Date(Date.now() + direction * toMilliseconds(text as Duration, what));
  }
  const relative = direction === 1 ? 'from now' : 'ago';
  throw usage(`Expected ${what} to be a date such as 2030-01-31T12:00:00Z, or how long ${relative}, such as 2h, got '${text}'`);
}

/**
 * Reads `key=value`; the value is JSON where it is JSON, else text.
 *
 * @param text - such as `region=eu`, `attempt=3` or `paid=true`
 * @param what - for the message
 * @returns key and value
 */
export function attribute(text: string, what: string): readonly [string, string | number | boolean] {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`Expected ${what} to be key=value, such as region=eu, got '${text}'`);
  return [text.slice(0, at), scalar(text.slice(at + 1))];
}

function scalar(text: string): string | number | boolean {
  try {
    const value = parseRecord(text);
    if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string') return value;
  } catch {
    // No JSON: the text itself.
  }
  return text;
}

/**
 * Reads a JSON value: text, `@file`, or `-` for standard input.
 *
 * @param io - has the standard input
 * @param given - what was typed; undefined: nothing
 * @param what - the option, for the message
 * @returns the value, undefined when nothing was given
 * @throws {CliError} `USAGE` when it is no JSON, `FILE_NOT_FOUND`
 */
export async function readJson(io: Io, given: string | undefined, what: string): Promise<unknown> {
  if (given === undefined) return undefined;
  const text = await readText(io, given);
  try {
    return parseRecord(text);
  } catch (cause) {
    const source =
      given === '-' || given.startsWith('@') ? `what ${given} holds` : `'${text.length > 80 ? `${text.slice(0, 80)}…` : text}'`;
    const hint = /^[\w .-]+$/.test(text) ? `. A text needs its quotes: '"${text}"'` : '';
    throw new CliError('USAGE', `Expected ${what} to be JSON, got ${source}: ${toFailure(cause).message}${hint}`, { cause });
  }
}

async function readText(io: Io, given: string): Promise<string> {
  if (given === '-') return await readAll(io);
  return given.startsWith('@') ? await readTextFile(given.slice(1)) : given;
}

/**
 * Reads standard input to its end.
 *
 * @param io - has it
 * @returns the text
 */
export async function readAll(io: Io): Promise<string> {
  try {
    return (await io.unlessInterrupted(buffer(io.input))).toString('utf8');
  } catch (error) {
    // Else it would be read on.
    io.input.destroy();
    throw error;
  }
}

/**
 * Reads a text file.
 *
 * @param file - its path
 * @returns the text
 * @throws {CliError} `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function readTextFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw fileError(file, cause);
  }
}

/**
 * Makes the error for a file that cannot be written.
 *
 * @param file - its path
 * @param cause - what the system said
 * @returns the error
 */
export function writeError(file: string, cause: unknown): CliError {
  const { code, message } = toFailure(cause);
  if (code === 'ENOENT')
    return new CliError('FILE_NOT_FOUND', `The folder of '${file}' is not there. Make it, or choose another path`, { cause });
  return new CliError(
    'FILE_UNREADABLE',
    `'${file}' cannot be written: ${message}. Check the path, its permissions and the room on the disk`,
    { cause },
  );
}

/**
 * Makes the error for a file that cannot be read.
 *
 * @param file - its path
 * @param cause - what the system said
 * @returns the error
 */
export function fileError(file: string, cause: unknown): CliError {
  const { code, message } = toFailure(cause);
  if (code === 'ENOENT') return new CliError('FILE_NOT_FOUND', `There is no file '${file}'. Check the path`, { cause });
  const why = code === 'EISDIR' ? 'it is a folder' : message;
  return new CliError('FILE_UNREADABLE', `'${file}' cannot be read: ${why}. Check the path and its permissions`, { cause });
}
