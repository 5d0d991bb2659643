// Installs the other runtimes beside this file, when that has not been done for this lock file yet. Neighbour: run.ts.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = import.meta.dirname;
/** Holds the hash of the lock file that was installed. npm removes it with the rest of the folder. */
const STAMP = join(FOLDER, 'node_modules', '.installed');

/**
 * Runs `npm ci` once for each lock file.
 *
 * @returns null, or why it did not work
 */
export async function install(): Promise<string | null> {
  const hash = createHash('sha256')
    .update(readFileSync(join(FOLDER, 'package-lock.json')))
    .digest('hex');
  if (tryRead(STAMP) === hash) return null;
  process.stderr.write('bench: installing the other runtimes in bench/peers\n');
  const code = await new Promise<number | string>((resolve) => {
    const npm = spawn('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER, stdio: ['ignore', 2, 2] });
    process.once('exit', () => npm.kill());
    npm.once('error', (error) => resolve(error.message));
    npm.once('close', (exitCode) => resolve(exitCode ?? 'a signal'));
  });
  if (code !== 0) return `npm ci in bench/peers ended with ${code}`;
  writeFileSync(STAMP, hash);
  return null;
}

/**
 * Gives the version of an installed package.
 *
 * @param name - of the package; null: duraloom
 * @returns the version; 'not installed' when it is not there, as optional packages of other platforms
 */
export function versionOf(name: string | null): string {
  const file = name === null ? join(FOLDER, '..', '..', 'package.json') : join(FOLDER, 'node_modules', name, 'package.json');
  const text = tryRead(file);
  return text === null ? 'not installed' : (JSON.parse(text) as { readonly version: string }).version;
}

function tryRead(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
