// Search attributes of instances: small values by which people find them. Neighbours: client/ and replay/ check what callers give, stores index it.
import { encodeRecord, quote } from './codec.ts';
import { ArgumentError } from './errors.ts';
import { MAX_ATTRIBUTE_LENGTH, MAX_ATTRIBUTES, MAX_NAME_LENGTH } from './limits.ts';
import { assertText } from './names.ts';
import { show } from './show.ts';

/** Value of a search attribute. */
export type AttributeValue = string | number | boolean;

/** Search attributes of an instance by their keys. One that is `true` is a tag. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** The search attributes of an instance: encoded as a whole for readers, and one by one, each value by itself, for the index. */
export type StoredAttributes = { readonly text: string; readonly list: readonly { readonly key: string; readonly value: string }[] };

/**
 * Checks search attributes and encodes them.
 *
 * @param attributes - from a caller
 * @returns what stores take, in the order of the keys
 * @throws {ArgumentError} when they are too many, or a key or value is none
 */
export function encodeAttributes(attributes: unknown): StoredAttributes {
  if (typeof attributes !== 'object' || attributes === null || Array.isArray(attributes)) {
    throw new ArgumentError(`Expected attributes to be an object such as { customer: 'acme' }, got ${show(attributes)}`);
  }
  const entries = Object.entries(attributes).filter(([, value]) => value !== undefined);
  if (entries.length > MAX_ATTRIBUTES) {
    throw new ArgumentError(
      `Expected at most ${MAX_ATTRIBUTES} attributes, got ${entries.length}. Keep what nobody searches by in the input`,
    );
  }
  const checked = entries
    .map(([key, value]) => [assertKey(key), assertValue(key, value)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  // Without a prototype `__proto__` is a key like any other.
  const whole = Object.assign(Object.create(null) as Record<string, AttributeValue>, Object.fromEntries(checked));
  return { text: encodeRecord(whole), list: checked.map(([key, value]) => ({ key, value: encodeValue(value) })) };
}

function assertKey(key: string): string {
  assertText(key, 'attribute key', MAX_NAME_LENGTH);
  return key;
}

function assertValue(key: string, value: unknown): AttributeValue {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value;
  if (typeof value === 'string' && value.length <= MAX_ATTRIBUTE_LENGTH) return value;
  throw new ArgumentError(
    `Expected attribute '${key}' to be a text of at most ${MAX_ATTRIBUTE_LENGTH} characters, a finite number or a boolean, got ${show(value)}`,
  );
}

function encodeValue(value: AttributeValue): string {
  return typeof value === 'string' ? quote(value) : String(value);
}
