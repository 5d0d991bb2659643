// Folders for databases that do not outlive the bench, also when it is interrupted. Neighbours: measure.ts, postgres.ts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of our own. */
export type Folder = { readonly path: string; readonly remove: () => void };

/**
 * Makes a fresh folder, which is removed at the end of the process at the latest.
 *
 * @param name - what it is for
 * @returns the folder
 */
export function makeFolder(name: string): Folder {
  const path = mkdtempSync(join(tmpdir(), `duraloom-peers-${name}-`));
  const remove = (): void => {
    process.off('exit', remove);
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', remove);
  return { path, remove };
}
