// The instance's own random numbers: seeded by text, the same on every replay. Not for secrets.

const SEEDING_ROUNDS = 12;

/** A deterministic generator (sfc32, seeded through a 32-bit mixing hash). */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * @param seed - any text; equal seeds give equal sequences
   */
  constructor(seed: string) {
    this.#a = hash(seed, 0x9e3779b9);
    this.#b = hash(seed, 0x85ebca6b);
    this.#c = hash(seed, 0xc2b2ae35);
    // The first rounds still show the seed.
    for (let round = 0; round < SEEDING_ROUNDS; round += 1) this.nextUint32();
  }

  /** How many numbers were drawn. Wraps round after 2^32 of them. */
  get drawn(): number {
    return (this.#counter - 1 - SEEDING_ROUNDS) >>> 0;
  }

  /** Next whole number in [0, 2^32). */
  nextUint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** Next number in [0, 1) with 53 random bits. */
  nextFloat(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  }

  /** Next UUID, version 4. */
  nextUuid(): string {
    const words = [this.nextUint32(), this.nextUint32(), this.nextUint32(), this.nextUint32()];
    const hex = words.map((word) => word.toString(16).padStart(8, '0')).join('');
    const variant = '89ab'.charAt(Number.parseInt(hex.charAt(16), 16) & 3);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}

function hash(text: string, basis: number): number {
  let state = basis ^ text.length;
  for (let index = 0; index < text.length; index += 1) {
    state = Math.imul(state ^ text.charCodeAt(index), 0x5bd1e995);
    state ^= state >>> 13;
  }
  state = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
  return (state ^ (state >>> 15)) | 0;
}
