// Modules of users that a command loads: finding them, and saying what is wrong with them. Neighbours: conformance-targets.ts, commands/replay.ts.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toFailure } from '../../types/failure.ts';
import { CliError } from './cli-error.ts';
import { fileError } from './parameters.ts';

/**
 * Makes the address of a module that must be there.
 *
 * @param given - a path from the current folder, or a `file:` address
 * @returns its URL
 * @throws {CliError} `FILE_NOT_FOUND`, `FILE_UNREADABLE` for a folder
 */
export function locateModule(given: string): URL {
  const url = given.startsWith('file:') ? new URL(given) : pathToFileURL(resolve(given));
  try {
    if (!statSync(fileURLToPath(url)).isDirectory()) return url;
  } catch (cause) {
    throw fileError(given, cause);
  }
  throw new CliError('FILE_UNREADABLE', `'${given}' is a folder, expected a module such as ${given.replace(/\/?$/, '/')}index.ts`);
}

/**
 * Makes the error for a module that cannot be loaded.
 *
 * @param given - as it was typed
 * @param cause - what loading threw
 * @returns the error
 */
export function moduleError(given: string, cause: unknown): CliError {
  const { name, message, stack = '' } = toFailure(cause);
  // Of TypeScript Node says where; of JavaScript only to who lets it crash.
  const [, place] = /^(.+:\d+)\n/.exec(stack) ?? [];
  const where = place === undefined ? '' : ` at ${place}`;
  const advice = name === 'SyntaxError' && place === undefined ? `. Run node ${given} to see where` : '';
  return new CliError('FILE_UNREADABLE', `'${given}' cannot be loaded: ${message}${where}${advice}`, { cause });
}
