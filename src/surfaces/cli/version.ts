// The version of this package, from its package.json: two folders up from the built file and from the source alike. Neighbours: main.ts, commands/.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseRecord } from '../../types/codec.ts';

/** The folder of the package. */
export const PACKAGE_FOLDER: string = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * Reads the version.
 *
 * @returns such as 0.1.0
 */
export function readVersion(): string {
  const manifest = parseRecord(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  return String((manifest as { readonly version: unknown }).version);
}
