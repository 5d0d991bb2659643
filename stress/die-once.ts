// Code that ends the thread that it runs on, once. A file remembers: everything in memory dies with the thread.
// Neighbours: activities.ts and orchestrations.ts call it, modes/threads.ts says where the files are.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** Environment variable with the folder of the marks. */
export const MARKS = 'DURALOOM_STRESS_MARKS';

/**
 * How a thread dies: by `process.exit`, which ends the thread alone; because its heap is full; by an error in a callback, which nobody
 * catches; not by itself, because its code never gives way.
 */
export type Death = 'exit' | 'memory' | 'callback' | 'loop';

/**
 * Ends the thread at the first call with a name; returns at every later one. After `callback` the caller has a moment to wait for its end.
 *
 * @param name - whose death
 * @param death - how
 */
export function dieOnce(name: string, death: Death): void {
  const folder = process.env[MARKS];
  if (folder === undefined) throw new Error(`Set ${MARKS} to a folder before threads are to die`);
  try {
    closeSync(openSync(join(folder, name.replaceAll(/\W/g, '_')), 'wx'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  switch (death) {
    case 'exit':
      return process.exit(1);
    case 'memory':
      // In small pieces: V8 ends the whole process when one array outgrows the limit at once (nodejs/node#47224).
      for (let kept: unknown = null; ;) kept = { kept, more: Array.from({ length: 1000 }, (_, index) => ({ index })) };
    case 'callback':
      setImmediate(() => {
        throw new Error('thrown on purpose, in a callback');
      });
      return;
    case 'loop':
      for (;;);
  }
}
