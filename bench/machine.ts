// What the figures depend on: machine, versions, storage, commit. Neighbour: print.ts shows it above the table and in every JSON line.
import { createRequire } from 'node:module';
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseRecord } from '../src/types/codec.ts';

/** The machine of a run. */
export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly betterSqlite3: string;
  /** null: not a git checkout, or one of an unusual form. */
  readonly commit: string | null;
  readonly folder: string;
  /** Version and settings of the server; null: no row is on one. */
  readonly postgres: string | null;
  /** True when the folder of the databases is in memory: a sync costs nothing there, so FULL measures nothing. */
  readonly inMemory: boolean;
};

/** Type of a tmpfs in statfs(2). */
const TMPFS = 0x01021994;

/**
 * Describes this machine.
 *
 * @param postgres - what the server is, if there is one
 * @returns the description
 */
export function describeMachine(postgres: string | null = null): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    node: process.version,
    betterSqlite3: versionOf('better-sqlite3'),
    commit: readCommit(resolve(import.meta.dirname, '..')),
    folder: tmpdir(),
    postgres,
    inMemory: statfsSync(tmpdir()).type === TMPFS,
  };
}

/** The version that the package's own file tells; the package may not export that file. */
function versionOf(packageName: string): string {
  let folder = dirname(createRequire(import.meta.url).resolve(packageName));
  while (folder !== dirname(folder)) {
    const description = tryRead(join(folder, 'package.json'));
    if (description !== null) return (parseRecord(description) as { readonly version?: string }).version ?? 'unknown';
    folder = dirname(folder);
  }
  return 'unknown';
}

/** Reads the checked-out commit from git's files: git itself may not be installed. */
function readCommit(checkout: string): string | null {
  // In a worktree, .git is a file that names the folder; branches are in the folder that all worktrees share.
  const pointer = /^gitdir: (.+)$/m.exec(tryRead(join(checkout, '.git')) ?? '')?.[1];
  const own = pointer === undefined ? join(checkout, '.git') : resolve(checkout, pointer);
  const common = resolve(own, tryRead(join(own, 'commondir'))?.trim() ?? '.');
  const head = tryRead(join(own, 'HEAD'))?.trim();
  if (head === undefined) return null;
  const ref = /^ref: (.+)$/.exec(head)?.[1];
  const packed = (): string | undefined =>
    tryRead(join(common, 'packed-refs'))
      ?.split('\n')
      .find((line) => line.endsWith(` ${ref}`));
  const hash = ref === undefined ? head : (tryRead(join(common, ref)) ?? packed());
  return /^[0-9a-f]{40,64}/.exec(hash ?? '')?.[0].slice(0, 10) ?? null;
}

function tryRead(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
