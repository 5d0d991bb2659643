// Draining microtasks: running everything that an event set off before the next event is delivered. Chosen by a self-test at thread start.

/** A way to drain. `synchronous`: done when it returns; otherwise await it. */
export type Drain =
  | { readonly name: 'tickCallback'; readonly synchronous: true; readonly run: () => void }
  | { readonly name: 'setImmediate'; readonly synchronous: false; readonly run: () => Promise<void> };

/** Taken before guards or the fake timers of a test runner replace it. */
const { setImmediate } = globalThis;
const tickCallback = (process as { readonly _tickCallback?: () => void })._tickCallback;

const CANDIDATES: readonly Drain[] = [
  ...(tickCallback === undefined
    ? []
    : [{ name: 'tickCallback', synchronous: true, run: () => tickCallback.call(process) } satisfies Drain]),
  // Not nextTick, which would be faster: Node tells of an unhandled rejection only when no tick and no microtask is left, and then the turn that
  // it belongs to would be over.
  { name: 'setImmediate', synchronous: false, run: () => new Promise<void>((resolve) => setImmediate(resolve)) },
];

/** Length of the promise chain of the self-test. Reason: longer than any heuristic that waits a fixed number of microtasks. */
const CHAIN = 200;

/** Of this thread. */
let chosen: Promise<Drain> | null = null;

/**
 * Finds the fastest way to drain that works here: it runs every continuation of a long chain of awaits. Both also raise unhandled rejections
 * before they end. A synchronous drain works only outside of microtasks, so this tests from a macrotask, once in each thread.
 *
 * @returns the drain
 */
export function chooseDrain(): Promise<Drain> {
  chosen ??= findDrain();
  return chosen;
}

async function findDrain(): Promise<Drain> {
  for (const candidate of CANDIDATES) {
    if (await passesSelfTest(candidate)) return candidate;
  }
  throw new TypeError('no way to drain microtasks works on this runtime');
}

function passesSelfTest(drain: Drain): Promise<boolean> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      let hops = 0;
      const chain = async (): Promise<void> => {
        for (; hops < CHAIN; hops += 1) await null;
      };
      chain().catch(reject);
      const drained = drain.run();
      if (drained === undefined) resolve(hops === CHAIN);
      else drained.then(() => resolve(hops === CHAIN), reject);
    });
  });
}
