// The oldest Node that works, checked before a native module can crash the process.
import { DurableError } from './errors.ts';

/** better-sqlite3 13 crashes older ones; type stripping of .ts modules needs it, too. */
const NODE_MINIMUM: readonly [number, number] = [22, 18];

/**
 * Checks the Node version.
 *
 * @param version - such as `process.versions.node`
 * @throws {DurableError} `NODE_TOO_OLD`
 */
export function assertNodeVersion(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1])) return;
  throw new DurableError(
    'NODE_TOO_OLD',
    `duraloom needs Node ${NODE_MINIMUM.join('.')} or newer, this is ${version}. Install a newer Node`,
  );
}
