// The command line of the demo, and what is wrong with it.
import { opendirSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { StoreKind } from './store.ts';

/** What the demo was asked to do. */
export type DemoArguments = {
  /** Real path of the folder to hash. */
  readonly root: string;
  readonly kills: number;
  readonly paceMs: number;
  readonly store: StoreKind;
  readonly keep: boolean;
  readonly pause: boolean;
};

/** A command line that cannot be followed. */
export class UsageError extends Error {}

/** What `--help` prints. */
export const USAGE = `npm run demo -- [path] [--kills n] [--pace ms] [--store kind] [--keep] [--pause]

Hashes all files under path in a durable job, kills the process that runs it with SIGKILL again and again, and verifies the result.

  path        a folder; default: the node_modules of this project
  --kills n   how often to kill, 0 to 50; default: 4
  --pace ms   lets each activity take so much longer, 0 to 1000; for trees that are done before the first kill; default: 0
  --store     sqlite: a file; postgres: the server of DATABASE_URL, or one of its own; default: sqlite
  --keep      keeps the folder with manifest.json and the database, or its schema on the server of DATABASE_URL
  --pause     waits for Enter before verifying: change a file, and see that it is found`;

const MAX_KILLS = 50;
const MAX_PACE_MS = 1000;

/**
 * Reads the command line.
 *
 * @param args - without the names of the programs
 * @returns what to do; null: print the usage
 * @throws {UsageError} that says what is wrong
 */
export function readArguments(args: readonly string[]): DemoArguments | null {
  const { values, positionals } = parse(args);
  if (values.help === true) return null;
  if (positionals.length > 1) throw new UsageError(`expected one path, got ${positionals.length}: ${positionals.join(', ')}`);
  const [path] = positionals;
  if (path === '') throw new UsageError('the path is empty. Give the path of a folder, or none for the node_modules of this project');
  // npm runs scripts in the folder of the project; a relative path means the folder where npm was called.
  const base = process.env['npm_lifecycle_event'] === 'demo' ? process.env['INIT_CWD'] : undefined;
  return {
    root: readFolder(path === undefined ? resolve(dirname(import.meta.dirname), 'node_modules') : resolve(base ?? '.', path)),
    kills: readInteger('kills', values.kills, MAX_KILLS),
    paceMs: readInteger('pace', values.pace, MAX_PACE_MS),
    store: readStore(values.store),
    keep: values.keep,
    pause: values.pause,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        kills: { type: 'string', default: '4' },
        pace: { type: 'string', default: '0' },
        store: { type: 'string', default: 'sqlite' },
        keep: { type: 'boolean', default: false },
        pause: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function readInteger(name: string, text: string, max: number): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) > max) {
    throw new UsageError(`expected --${name} to be an integer from 0 to ${max}, got '${text}'`);
  }
  return Number(text);
}

function readStore(text: string): StoreKind {
  if (text === 'sqlite' || text === 'postgres') return text;
  throw new UsageError(`expected --store to be sqlite or postgres, got '${text}'`);
}

/** The real path of a folder that can be read and is not empty. */
function readFolder(path: string): string {
  try {
    if (!statSync(path).isDirectory()) throw new UsageError(`'${path}' is no folder. Give the path of a folder`);
    const folder = opendirSync(path);
    const first = folder.readSync();
    folder.closeSync();
    if (first === null) throw new UsageError(`'${path}' is empty: there is nothing to hash`);
    return realpathSync(path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENOENT') throw new UsageError(`'${path}' does not exist. Give the path of a folder`, { cause: error });
    throw new UsageError(`'${path}' cannot be read: ${code}`, { cause: error });
  }
}
