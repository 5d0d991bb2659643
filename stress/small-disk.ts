// A small file system for one command, seen by it and its children only: a tmpfs in namespaces of their own. Needs no root where the system
// lets users have such namespaces, as most Linux systems do. Neighbours: main.ts runs itself on it, modes/disk-full.ts fills it up.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Environment variable with the folder in which to keep what lies on a file system that goes away. */
export const KEEP = 'DURALOOM_STRESS_KEEP';

const OWN = ['--user', '--map-root-user', '--mount', 'sh', '-c'];

/**
 * Runs this program once more, with `--folder` on a new small file system. It goes away with the program.
 *
 * @param words - its command line
 * @param megabytes - size of the file system
 * @returns its exit code; null: the system does not let us
 */
export async function rerunOnSmallDisk(words: readonly string[], megabytes: number): Promise<number | null> {
  const base = mkdtempSync(join(tmpdir(), 'duraloom-stress-'));
  const [disk, kept] = [join(base, 'disk'), join(base, 'kept')];
  for (const folder of [disk, kept]) mkdirSync(folder);
  try {
    const mount = `mount -t tmpfs -o size=${megabytes}m tmpfs "$0"`;
    if (spawnSync('unshare', [...OWN, mount, disk], { stdio: 'ignore' }).status !== 0) return null;
    const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2), ...words, '--folder', disk];
    const env = { ...process.env, [KEEP]: kept };
    const child = spawn('unshare', [...OWN, `${mount} && exec "$@"`, disk, ...program], { stdio: 'inherit', env });
    process.once('exit', () => child.kill());
    return await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  } finally {
    if (readdirSync(kept).length === 0) rmSync(base, { recursive: true });
  }
}
