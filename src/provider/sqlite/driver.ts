// Loads better-sqlite3 where somebody cannot wait for it. Late all the same: a Node that is too old is refused before (open-database.ts).
import type Database from 'better-sqlite3';
import { createRequire } from 'node:module';
import { assertNodeVersion } from '../../types/node-version.ts';

/** The driver: the class of its handles. */
export type Driver = typeof Database;

/**
 * Loads the driver; the same copy as everywhere in duraloom.
 *
 * @returns the class of its handles
 * @throws {DurableError} `NODE_TOO_OLD`
 */
export function loadDriver(): Driver {
  assertNodeVersion(process.versions.node);
  return createRequire(import.meta.url)('better-sqlite3') as Driver;
}
