// What the activities of all runtimes do. Imported by the drivers, also in worker threads: no state that threads would have to share.
import { setTimeout as delay } from 'node:timers/promises';

/** What an activity returns. */
export type Worked = { readonly r: number };

/** Keeps the compiler from leaving the loop out. */
let sink = 1;

/**
 * The body of an activity: nothing, a wait, or work for the processor.
 *
 * @param index - of the activity, is returned
 * @param delayMs - how long to wait
 * @param loops - rounds of the busy loop
 * @returns the index
 */
export async function work(index: number, delayMs: number, loops: number): Promise<Worked> {
  if (delayMs > 0) await delay(delayMs);
  if (loops > 0) burn(loops);
  return { r: index };
}

/**
 * Finds out how many rounds of the busy loop are a millisecond. The smallest of many trials: another process on the core lengthens what
 * is measured later, but never shrinks its work.
 *
 * @returns rounds
 */
export function loopsPerMs(): number {
  const trial = 4_000_000;
  let bestMs = Infinity;
  for (let count = 0; count < 12; count += 1) {
    const startedMs = performance.now();
    burn(trial);
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  return trial / bestMs;
}

function burn(loops: number): void {
  let value = sink;
  for (let round = 0; round < loops; round += 1) value = (Math.imul(value, 1_103_515_245) + 12_345) & 0x7fffffff;
  sink = value;
}
