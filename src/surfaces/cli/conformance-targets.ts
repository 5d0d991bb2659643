// What `duraloom conformance` can check: the providers of this package by name, and modules of others. Neighbour: commands/conformance.ts.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ConformanceStore, ConformanceTarget } from '../../conformance.ts';
import type { Clock, Provider } from '../../index.ts';
import { toFailure } from '../../types/failure.ts';
import { CliError } from './cli-error.ts';

const MEMORY: ConformanceTarget = {
  name: 'memory',
  open: async (clock) => {
    const { MemoryProvider } = await import('../../memory.ts');
    return { provider: new MemoryProvider({ clock }) };
  },
};

const SQLITE: ConformanceTarget = {
  name: 'sqlite',
  open: async (clock): Promise<ConformanceStore> => {
    const { SqliteProvider } = await import('../../sqlite.ts');
    const folder = await mkdtemp(join(tmpdir(), 'duraloom-conformance-'));
    // Not synced: no case can take the power away, and syncs would take most of the time.
    const open = async (itsClock: Clock): Promise<Provider> =>
      await SqliteProvider.open(join(folder, 'store.db'), { clock: itsClock, synchronous: 'NORMAL' });
    return { provider: await open(clock), reopen: open, openSecond: open, remove: async () => await rm(folder, { recursive: true }) };
  },
};

const TARGETS: ReadonlyMap<string, ConformanceTarget> = new Map([MEMORY, SQLITE].map((target) => [target.name, target]));

/** Names of the providers of this package. */
export const KNOWN_TARGETS: readonly string[] = [...TARGETS.keys()];

/**
 * Finds a provider to check.
 *
 * @param provider - a name of this package, or the path of a module
 * @returns the target
 * @throws {CliError} `FILE_UNREADABLE` when the module cannot be loaded, `USAGE` when it exports no target or several
 */
export async function loadTarget(provider: string): Promise<ConformanceTarget> {
  const known = TARGETS.get(provider);
  if (known !== undefined) return known;
  const exported = Object.entries(await load(provider)).filter((entry): entry is [string, ConformanceTarget] => isTarget(entry[1]));
  const targets = new Map(exported.map(([name, target]) => [target, name]));
  const [target, ...more] = targets.keys();
  if (target === undefined) {
    throw new CliError('USAGE', `${provider} exports no ConformanceTarget: an object with \`name\` (text) and \`open\` (function)`);
  }
  if (more.length > 0)
    throw new CliError('USAGE', `${provider} exports several targets, expected one: ${[...targets.values()].join(', ')}`);
  return target;
}

async function load(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    const hint = `Known providers are ${KNOWN_TARGETS.join(', ')}; anything else is the path of a module`;
    throw new CliError('FILE_UNREADABLE', `'${path}' cannot be loaded: ${toFailure(cause).message}. ${hint}`, { cause });
  }
}

function isTarget(value: unknown): value is ConformanceTarget {
  if (typeof value !== 'object' || value === null) return false;
  const { name, open } = value as Partial<Record<keyof ConformanceTarget, unknown>>;
  return typeof name === 'string' && typeof open === 'function';
}
