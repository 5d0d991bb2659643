// Takes apart what callers pass: JavaScript lets them pass anything, and its getters may throw. Neighbour: show.ts.
import { ArgumentError, OptionError } from './errors.ts';
import { toFailure } from './failure.ts';
import { show } from './show.ts';

/** Makes the error of a caller's mistake. */
export type MakeError = (message: string, options?: { readonly cause?: unknown }) => Error;

/** The names of all fields of options: the compiler knows when one is missing. */
export type FieldNames<Options> = Readonly<Record<keyof Options, true>>;

const makeArgumentError: MakeError = (message, options) => new ArgumentError(message, options);

/** For options of a runtime or a provider. */
export const makeOptionError: MakeError = (message, options) => new OptionError(message, options);

/**
 * Reads options once: what comes out is plain, whatever came in.
 *
 * @param given - from a caller; undefined: none
 * @param what - what they are, for the message
 * @param names - the names of all fields
 * @param makeError - for another class of error
 * @returns the fields that are not undefined
 * @throws {ArgumentError} when they are no object, or a field cannot be read
 */
export function readOptions<Options extends object>(
  given: Options | undefined,
  what: string,
  names: FieldNames<Options>,
  makeError: MakeError = makeArgumentError,
): Partial<Options> {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null) throw makeError(`Expected ${what} to be an object, got ${show(given)}`);
  const taken: Partial<Options> = {};
  for (const name in names) {
    const value = readField(given, name, what, makeError);
    if (value !== undefined) taken[name] = value as Options[typeof name];
  }
  return taken;
}

/**
 * Reads one field.
 *
 * @param given - an object
 * @param name - the field
 * @param what - what the object is, for the message
 * @param makeError - for another class of error
 * @returns its value
 * @throws {ArgumentError} when it cannot be read
 */
export function readField(given: object, name: string, what: string, makeError: MakeError = makeArgumentError): unknown {
  try {
    return (given as Readonly<Record<string, unknown>>)[name];
  } catch (cause) {
    throw makeError(`Expected \`${name}\` of ${what} to be readable: ${toFailure(cause).message}`, { cause });
  }
}

/**
 * Reads a point in time.
 *
 * @param value - a Date, or what gives a number as one does
 * @param what - what it is for, for the message
 * @returns epoch milliseconds
 * @throws {ArgumentError} when it is none
 */
export function readTime(value: unknown, what: string): number {
  let atMs: unknown;
  try {
    atMs = (value as Date).valueOf();
  } catch {
    // Whatever it is, it is no time.
  }
  if (typeof atMs === 'number' && Number.isFinite(atMs)) return atMs;
  throw new ArgumentError(`Expected ${what} to be a valid Date, got ${show(value)}`);
}

/**
 * Refuses names that are no options: a typing mistake must not go unseen.
 *
 * @param given - options that were read before
 * @param names - the names of all fields
 * @param owner - the option that they belong to, as text for the message
 * @throws {OptionError} that lists the known ones
 */
export function assertKnownOptions<Options extends object>(given: Options | undefined, names: FieldNames<Options>, owner = ''): void {
  for (const name of Object.keys(given ?? {})) {
    if (!Object.hasOwn(names, name))
      throw new OptionError(`Unknown option \`${name}\`${owner}. Known: ${Object.keys(names).toSorted().join(', ')}`);
  }
}

/**
 * Tells whether a value can be used as what has these methods.
 *
 * @param value - from a caller
 * @param methods - their names
 * @returns false also when it cannot be read
 */
export function hasMethods(value: unknown, methods: readonly string[]): boolean {
  try {
    return methods.every((method) => typeof (value as Readonly<Record<string, unknown>>)[method] === 'function');
  } catch {
    return false;
  }
}

/**
 * Reads a list once.
 *
 * @param given - from a caller
 * @returns a copy in which holes are undefined; null when it is no array, or cannot be read
 */
export function readArray(given: unknown): readonly unknown[] | null {
  try {
    return Array.isArray(given) ? Array.from(given as readonly unknown[]) : null;
  } catch {
    return null;
  }
}
