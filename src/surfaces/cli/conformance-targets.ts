// What `duraloom conformance` can check: the providers of this package by name, and modules of others. Neighbours: commands/conformance.ts,
// tests/provider/ runs the same targets as tests.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConformanceStore, ConformanceTarget } from '../../conformance.ts';
import type { Clock, Provider } from '../../index.ts';
import { usage } from './parameters.ts';
import { nearest } from './text.ts';
import { locateModule, moduleError } from './user-module.ts';

/** Everything is gone with the provider, and nobody else can reach it. */
export const memory: ConformanceTarget = {
  name: 'memory',
  open: async (clock) => {
    const { MemoryProvider } = await import('../../memory.ts');
    return { provider: new MemoryProvider({ clock }) };
  },
};

/** A file of its own for each case. Not synced: no case can take the power away, and syncs would take most of the time. */
export const sqlite: ConformanceTarget = {
  name: 'sqlite',
  open: async (clock): Promise<ConformanceStore> => {
    const { SqliteProvider } = await import('../../sqlite.ts');
    const folder = await makeFolder();
    const file = join(folder, 'store.db');
    await writeFile(file, await emptyDatabase());
    const open = async (itsClock: Clock): Promise<Provider> => await SqliteProvider.open(file, { clock: itsClock, synchronous: 'NORMAL' });
    return {
      provider: await open(clock),
      reopen: open,
      openSecond: open,
      corruptHistory: async (instanceId) => await halveHistory(file, instanceId),
      remove: async () => await rm(folder, { recursive: true }),
    };
  },
};

/** A database without a file. */
export const sqliteMemory: ConformanceTarget = {
  name: 'sqlite-memory',
  open: async (clock) => {
    const { SqliteProvider } = await import('../../sqlite.ts');
    return { provider: await SqliteProvider.open(':memory:', { clock }) };
  },
};

const TARGETS: ReadonlyMap<string, ConformanceTarget> = new Map([memory, sqlite, sqliteMemory].map((target) => [target.name, target]));

/** Names of the providers of this package. */
export const KNOWN_TARGETS: readonly string[] = [...TARGETS.keys()];

/**
 * Finds a provider to check.
 *
 * @param provider - a name of this package, or the path of a module
 * @returns the target
 * @throws {CliError} `USAGE` for an unknown name, and for a module that exports no target or several; `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function loadTarget(provider: string): Promise<ConformanceTarget> {
  const known = TARGETS.get(provider);
  if (known !== undefined) return known;
  if (!/[\\/]|\.[cm]?[jt]s$/.test(provider)) {
    const meant = nearest(provider, KNOWN_TARGETS);
    const hint = meant === null ? `A module is given by its path, such as ./${provider}.ts` : `Did you mean ${meant}?`;
    throw usage(`Expected the provider to be one of ${KNOWN_TARGETS.join(', ')}, or the path of a module, got '${provider}'. ${hint}`);
  }
  const exported = Object.entries(await load(provider)).filter((entry): entry is [string, ConformanceTarget] => isTarget(entry[1]));
  const targets = new Map(exported.map(([name, target]) => [target, name]));
  const [target, ...more] = targets.keys();
  if (target === undefined) {
    throw usage(`'${provider}' exports no ConformanceTarget: an object with \`name\` (text) and \`open\` (function)`);
  }
  if (more.length > 0) throw usage(`'${provider}' exports several targets, expected one: ${[...targets.values()].join(', ')}`);
  return target;
}

async function load(path: string): Promise<Readonly<Record<string, unknown>>> {
  const { href } = locateModule(path);
  try {
    return (await import(href)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw moduleError(path, cause);
  }
}

function isTarget(value: unknown): value is ConformanceTarget {
  if (typeof value !== 'object' || value === null) return false;
  const { name, open } = value as Partial<Record<keyof ConformanceTarget, unknown>>;
  return typeof name === 'string' && typeof open === 'function';
}

let emptyBytes: Promise<Buffer> | null = null;

/**
 * Gives the file of a database that was opened and closed, made once: SQLite syncs a new file several times.
 *
 * @returns its bytes
 */
export function emptyDatabase(): Promise<Buffer> {
  emptyBytes ??= makeEmptyDatabase();
  return emptyBytes;
}

async function makeEmptyDatabase(): Promise<Buffer> {
  const { SqliteProvider } = await import('../../sqlite.ts');
  const folder = await makeFolder();
  const file = join(folder, 'empty.db');
  await (await SqliteProvider.open(file)).close();
  const bytes = await readFile(file);
  await rm(folder, { recursive: true });
  return bytes;
}

async function makeFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'duraloom-conformance-'));
}

async function halveHistory(file: string, instanceId: string): Promise<void> {
  const { default: Sqlite } = await import('better-sqlite3');
  const database = new Sqlite(file);
  try {
    const { changes } = database
      .prepare(
        'UPDATE history SET events = substr(events, 1, length(events) / 2) WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?)',
      )
      .run(instanceId);
    assert.ok(changes > 0, `instance '${instanceId}' has no history to damage`);
  } finally {
    database.close();
  }
}
