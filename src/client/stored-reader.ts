// Reads stored values for people who look at several things at once: what is damaged is told beside what is sound. Neighbours: queues.ts, listing.ts,
// explain.ts; codec.ts has `decodeStored`, which fails instead.
import { decodeStored } from '../types/codec.ts';
import { toFailure } from '../types/failure.ts';

/** Decodes the values of one thing. */
export class StoredReader {
  #damage: string | null = null;

  /** What could not be read, the first of it; null: nothing. */
  get damage(): string | null {
    return this.#damage;
  }

  /**
   * Decodes a value.
   *
   * @param encoded - from the store; null for undefined
   * @param what - what it is, for the words about its damage
   * @returns the value; undefined when it cannot be read
   */
  readonly read = (encoded: string | null, what: string): unknown => {
    try {
      return decodeStored(encoded, what);
    } catch (error) {
      this.#damage ??= toFailure(error).message;
      return undefined;
    }
  };
}
