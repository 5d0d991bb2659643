// The version of this package, as its manifest has it. Neighbour: system.ts tells it.
import { readFileSync } from 'node:fs';
import { parseRecord } from '../../types/codec.ts';

const manifest = parseRecord(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { readonly version: string };

/** Such as 1.2.3. */
export const PACKAGE_VERSION: string = manifest.version;
