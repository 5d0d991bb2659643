// The key-value pairs of one instance: what earlier executions left, changed by what this one decides. Neighbour: replay-engine.ts records the
// changes as decisions; the store keeps a copy for clients that no orchestration reads, so that replay cannot read its own future (T17).
//
// V1. Listing is in the order of keys by code units, never of insertion (T14).
import { decodePayload, encodePayload } from '../types/codec.ts';
import { ArgumentError, DurableError } from '../types/errors.ts';
import type { CarriedValue } from '../types/history-event.ts';
import { MAX_VALUE_BYTES, MAX_VALUES, MAX_VALUES_UNITS } from '../types/limits.ts';

type Entry = { readonly encoded: string; readonly updatedAtMs: number };

/** Pairs of one instance. */
export class KeyValues {
  readonly #entries = new Map<string, Entry>();
  #units = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Takes over what the execution before left. */
  restore(values: readonly CarriedValue[]): void {
    for (const { key, value, updatedAtMs } of values) this.write(key, encodeValue(key, value), updatedAtMs);
  }

  /** What the next execution gets. */
  carry(): readonly CarriedValue[] {
    return this.#sorted().map(([key, { encoded, updatedAtMs }]) => ({ key, value: decodePayload(encoded), updatedAtMs }));
  }

  /** Each pair as text, with the time at which it was set. */
  describe(): readonly string[] {
    return this.#sorted().map(([key, { encoded, updatedAtMs }]) => `${key} = ${encoded} (${updatedAtMs})`);
  }

  keys(): readonly string[] {
    return this.#sorted().map(([key]) => key);
  }

  /** A fresh copy each time. */
  read(key: string): unknown {
    return decodePayload(this.#entries.get(key)?.encoded);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Keys that were last set before a time. */
  keysBefore(beforeMs: number): readonly string[] {
    return this.#sorted()
      .filter(([, { updatedAtMs }]) => updatedAtMs < beforeMs)
      .map(([key]) => key);
  }

  /**
   * Checks that a value may be set.
   *
   * @throws {DurableError} `VALUE_LIMIT`
   */
  assertRoom(key: string, encoded: string): void {
    if (!this.#entries.has(key) && this.#entries.size >= MAX_VALUES) {
      throw new DurableError(
        'VALUE_LIMIT',
        `the instance has ${MAX_VALUES} key-value pairs already. Delete some, or keep the data in a store of your own`,
      );
    }
    const units = this.#units + encoded.length - this.#unitsOf(key);
    if (units > MAX_VALUES_UNITS) {
      throw new DurableError(
        'VALUE_LIMIT',
        `the key-value pairs of the instance would take ${units} characters, more than ${MAX_VALUES_UNITS}. Delete some, or store references`,
      );
    }
  }

  write(key: string, encoded: string, updatedAtMs: number): void {
    this.#units += encoded.length - this.#unitsOf(key);
    this.#entries.set(key, { encoded, updatedAtMs });
  }

  remove(key: string): void {
    this.#units -= this.#unitsOf(key);
    this.#entries.delete(key);
  }

  #unitsOf(key: string): number {
    return this.#entries.get(key)?.encoded.length ?? 0;
  }

  /** V1. No two keys are equal. */
  #sorted(): readonly (readonly [string, Entry])[] {
    return [...this.#entries].toSorted(([left], [right]) => (left < right ? -1 : 1));
  }
}

/**
 * Encodes a value of a pair.
 *
 * @param key - its key, for the message
 * @param value - a JSON value
 * @returns the text
 * @throws {ArgumentError} for undefined
 * @throws {PayloadError} when it is no JSON value or too large
 */
export function encodeValue(key: string, value: unknown): string {
  const encoded = encodePayload(value, `value of key '${key}'`, MAX_VALUE_BYTES);
  if (encoded === undefined)
    throw new ArgumentError(`Expected the value of key '${key}' to be a JSON value, got undefined. Use kv.delete to remove it`);
  return encoded;
}
