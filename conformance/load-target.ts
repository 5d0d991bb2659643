// Finds the target that a module of somebody else exports. Neighbour: main.ts checks it.
import type { ConformanceTarget } from 'duraloom/conformance';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';

/** A module that cannot be used, told in words. */
export class TargetError extends Error {
  override readonly name: string = 'TargetError';
}

/**
 * Loads a module and takes the target that it exports, under whatever name.
 *
 * @param path - of the module, from the current folder
 * @returns the target
 * @throws {TargetError} when the module cannot be loaded, or exports no target or several
 */
export async function loadTarget(path: string): Promise<ConformanceTarget> {
  const exported = Object.entries(await load(path)).filter((entry): entry is [string, ConformanceTarget] => isTarget(entry[1]));
  const targets = new Map(exported.map(([name, target]) => [target, name]));
  const [target, ...more] = targets.keys();
  if (target === undefined) {
    throw new TargetError(`${path} exports no ConformanceTarget: an object with \`name\` (text) and \`open\` (function)`);
  }
  if (more.length > 0) throw new TargetError(`${path} exports several targets, expected one: ${[...targets.values()].join(', ')}`);
  return target;
}

async function load(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new TargetError(`${path} cannot be loaded: ${inspect(error)}`, { cause: error });
  }
}

function isTarget(value: unknown): value is ConformanceTarget {
  if (typeof value !== 'object' || value === null) return false;
  const { name, open } = value as Partial<Record<keyof ConformanceTarget, unknown>>;
  return typeof name === 'string' && typeof open === 'function';
}
