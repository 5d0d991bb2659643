// Code that ends the thread that it runs on, once. A file remembers: everything in memory dies with the thread.
// Neighbours: activities.ts and orchestrations.ts call it, modes/threads.ts says where the files are.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** Environment variable with the folder of the marks. */
export const MARKS = 'DURALOOM_STRESS_MARKS';

/**
 * Ends the thread at the first call with a name; returns at every later one.
 *
 * @param name - whose death
 */
export function dieOnce(name: string): void {
  const folder = process.env[MARKS];
  if (folder === undefined) throw new Error(`Set ${MARKS} to a folder before threads are to die`);
  try {
    closeSync(openSync(join(folder, name.replaceAll(/\W/g, '_')), 'wx'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  // In a worker thread this ends the thread, not the process.
  process.exit(1);
}
