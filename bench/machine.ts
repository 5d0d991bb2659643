// What the figures depend on: machine, versions, storage, commit. Neighbour: print.ts shows it above the table and in every JSON line.
import { createRequire } from 'node:module';
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseRecord } from '../src/types/codec.ts';
import type { BenchOptions } from './options.ts';

/** Machine and set-up of a run. */
export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly betterSqlite3: string;
  readonly sync: string;
  readonly threads: string;
  /** null: not a git checkout, or one of an unusual form. */
  readonly commit: string | null;
  readonly folder: string;
  /** True when the folder of the databases is in memory: a sync costs nothing there, so FULL measures nothing. */
  readonly inMemory: boolean;
  readonly quick: boolean;
};

/** Type of a tmpfs in statfs(2). */
const TMPFS = 0x01021994;

/**
 * Describes this machine.
 *
 * @param options - of the run
 * @returns the description
 */
export function describeMachine(options: BenchOptions): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    node: process.version,
    betterSqlite3: versionOf('better-sqlite3'),
    sync: options.sync,
    threads: `${options.replayThreads},${options.activityThreads}`,
    commit: readCommit(join(import.meta.dirname, '..', '.git')),
    folder: tmpdir(),
    inMemory: statfsSync(tmpdir()).type === TMPFS,
    quick: options.quick,
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
function readCommit(gitFolder: string): string | null {
  const head = tryRead(join(gitFolder, 'HEAD'))?.trim();
  if (head === undefined) return null;
  const ref = /^ref: (.+)$/.exec(head)?.[1];
  const packed = (): string | undefined =>
    tryRead(join(gitFolder, 'packed-refs'))
      ?.split('\n')
      .find((line) => line.endsWith(` ${ref}`));
  const hash = ref === undefined ? head : (tryRead(join(gitFolder, ref)) ?? packed());
  return /^[0-9a-f]{40,64}/.exec(hash ?? '')?.[0].slice(0, 10) ?? null;
}

function tryRead(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
