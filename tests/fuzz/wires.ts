// Breaks batches between threads on their way. Neighbours: channels.test.ts does it in the main thread, fixtures/breaking-port.ts in the others.
import { MessagePort } from 'node:worker_threads';

/** Elements that no batch holds. */
const STRANGERS: readonly (() => unknown)[] = [
  () => undefined,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => 1n,
  () => true,
  () => ({ length: 1 }),
  () => [],
  () => new Map(),
];

/** Numbers from a seed: fast-check is not loaded in threads. */
function numbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The batch that is always broken, counted from 1: what comes before it gets through. */
const BROKEN = 7;
/** How many of the others are. */
const RATE = 0.02;

type Post = (this: MessagePort, message: unknown, ...rest: readonly unknown[]) => void;

/**
 * Breaks some of the batches that this thread sends from now on, so that their form tells.
 *
 * @param seed - which batches, and how
 * @returns a function that stops it
 */
export function breakPorts(seed: number): () => void {
  const { postMessage } = MessagePort.prototype as unknown as { readonly postMessage: Post };
  const breaks = breakSome(seed);
  const post: Post = function post(message, ...rest) {
    // Control calls are no arrays.
    Reflect.apply(postMessage, this, [Array.isArray(message) ? breaks(message) : message, ...rest]);
  };
  Object.assign(MessagePort.prototype, { postMessage: post });
  return () => void Object.assign(MessagePort.prototype, { postMessage });
}

/** Gives a batch back, whole or broken. */
function breakSome(seed: number): (wire: readonly unknown[]) => unknown {
  const next = numbers(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  let count = 0;
  return (wire) => {
    count += 1;
    if (count !== BROKEN && next() >= RATE) return wire;
    const stranger = STRANGERS[below(STRANGERS.length)]?.();
    switch (below(3)) {
      case 0:
        return stranger;
      case 1:
        return [...wire, stranger];
      default:
        return wire.with(below(wire.length), stranger);
    }
  };
}
