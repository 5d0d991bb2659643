// Search attributes of instances: small values by which people find them. Neighbours: client/ and replay/ check what callers give, stores index it.
//
// A1. Values are kept and compared as JSON text, listed in the order of their keys by code units: the order in which code names them is no difference.
import { parseRecord, quote } from './codec.ts';
import { ArgumentError } from './errors.ts';
import { toFailure } from './failure.ts';
import { MAX_ATTRIBUTE_LENGTH, MAX_ATTRIBUTES } from './limits.ts';
import { assertName, assertWellFormed } from './names.ts';
import { show } from './show.ts';

/** Value of a search attribute. */
export type AttributeValue = string | number | boolean;

/** Search attributes of an instance by their keys. One that is `true` is a tag. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** Search attributes to set, null to remove; what is not named stays. */
export type AttributeChange = Readonly<Record<string, AttributeValue | null>>;

/** The search attributes of an instance: encoded as a whole for readers, and one by one, each value by itself, for the index. `{}` and no list: none. */
export type StoredAttributes = { readonly text: string; readonly list: readonly { readonly key: string; readonly value: string }[] };

/** A change that was checked (A1). */
export type EncodedChange = readonly { readonly key: string; /** null removes. */ readonly value: string | null }[];

/** Most keys of a change. Reason: all that an instance may have can be replaced by as many others at once. */
const MAX_CHANGED: number = 2 * MAX_ATTRIBUTES;

/**
 * Checks search attributes and encodes them.
 *
 * @param attributes - from a caller; fields that are undefined are left out
 * @returns what stores take
 * @throws {ArgumentError} when they are no object of attributes, or too many
 */
export function encodeAttributes(attributes: unknown): StoredAttributes {
  return toStored(readEntries(attributes, encodeValue));
}

/**
 * Checks a change of search attributes and encodes it.
 *
 * @param change - from a caller; fields that are undefined are left out
 * @returns the change
 * @throws {ArgumentError} when it is no object of attributes and nulls, or too large
 */
export function encodeAttributeChange(change: unknown): EncodedChange {
  const entries = readEntries(change, (key, value) => (value === null ? null : encodeValue(key, value)));
  if (entries.length > MAX_CHANGED) {
    throw new ArgumentError(
      `Expected at most ${MAX_CHANGED} attributes in one change, got ${entries.length}. Set and remove fewer at once`,
    );
  }
  return entries;
}

/**
 * Changes search attributes.
 *
 * @param before - as they are; null: none
 * @param change - what to set and remove
 * @returns as they are then
 * @throws {ArgumentError} when they would be too many
 */
export function changeAttributes(before: StoredAttributes | null, change: EncodedChange): StoredAttributes {
  const changed = new Set(change.map(({ key }) => key));
  const kept = before?.list.filter(({ key }) => !changed.has(key)) ?? [];
  const set = change.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }]));
  return toStored([...kept, ...set].toSorted(byKey));
}

/**
 * Writes a change as JSON text.
 *
 * @param change - the change, or whole attributes
 * @returns the text of an object
 */
export function writeAttributes(change: EncodedChange): string {
  return `{${change.map(({ key, value }) => `${quote(key)}:${value ?? 'null'}`).join(',')}}`;
}

/**
 * Reads search attributes.
 *
 * @param stored - what `encodeAttributes` made; null: none
 * @returns a fresh copy
 */
export function decodeAttributes(stored: StoredAttributes | null): Attributes {
  return stored === null ? {} : (parseRecord(stored.text) as Attributes);
}

/**
 * Checks search attributes that were stored.
 *
 * @param value - parsed text
 * @returns true when a start could have set them
 */
export function areAttributes(value: unknown): value is Attributes {
  return isAccepted(() => encodeAttributes(value));
}

/**
 * Checks a change that was stored.
 *
 * @param value - parsed text
 * @returns true when code could have made it
 */
export function isAttributeChange(value: unknown): value is AttributeChange {
  return isAccepted(() => encodeAttributeChange(value));
}

function isAccepted(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof ArgumentError) return false;
    throw error;
  }
}

function toStored(list: StoredAttributes['list']): StoredAttributes {
  if (list.length > MAX_ATTRIBUTES) {
    throw new ArgumentError(
      `Expected at most ${MAX_ATTRIBUTES} attributes, got ${list.length}. Remove some by setting them to null, and keep in ctx.kv what nobody searches by`,
    );
  }
  return { text: writeAttributes(list), list };
}

/** A1. Callers may pass anything, and its getters may throw. */
function readEntries<Value>(
  given: unknown,
  encode: (key: string, value: unknown) => Value,
): readonly { readonly key: string; readonly value: Value }[] {
  let entries: readonly (readonly [string, unknown])[] | null;
  try {
    // A Map or a Date would be an object without attributes.
    entries = Object.prototype.toString.call(given) === '[object Object]' ? Object.entries(given as object) : null;
  } catch (cause) {
    throw new ArgumentError(`Expected attributes to be readable: ${toFailure(cause).message}`, { cause });
  }
  if (entries === null) {
    throw new ArgumentError(`Expected attributes to be an object such as { customer: 'acme', vip: true }, got ${show(given)}`);
  }
  return entries
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ({ key: assertKey(key), value: encode(key, value) }))
    .toSorted(byKey);
}

/** No two keys are equal. */
function byKey({ key: left }: { readonly key: string }, { key: right }: { readonly key: string }): number {
  return left < right ? -1 : 1;
}

function assertKey(key: string): string {
  // Whoever copies attributes by assignment would lose it.
  if (key === '__proto__') throw new ArgumentError("Expected an attribute key other than '__proto__'. Choose another one");
  return assertName(key, 'attribute key');
}

function encodeValue(key: string, value: unknown): string {
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string') {
    const removing = value === null ? '. Leave it out; null removes one in ctx.setAttributes only' : '';
    throw new ArgumentError(`Expected attribute '${key}' to be text, a finite number or a boolean, got ${show(value)}${removing}`);
  }
  assertWellFormed(value, `attribute '${key}'`);
  const text = quote(value);
  // Escaped characters count as they are written: that is what stands in the index.
  const length = text.length - 2;
  if (length <= MAX_ATTRIBUTE_LENGTH) return text;
  throw new ArgumentError(
    `Expected attribute '${key}' to take at most ${MAX_ATTRIBUTE_LENGTH} characters in JSON, got ${length}. Use an id or another short text`,
  );
}
