// A PostgreSQL server for tests, bench and stress: `DATABASE_URL`, or one of our own that ends with this process. Neighbours: server-process.ts
// runs it, schemas.ts finds places in it, proxy.ts stands before it.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerCommand, ServerMessage, StopMode } from './server-process.ts';

/** A running server. */
export type PostgresServer = {
  /** Of a database of a role that may create others. */
  readonly url: string;
  /** For headers. */
  readonly origin: string;
  /** Ends our own server, if it is up; its data stays. Rejects for a server that is not ours. */
  readonly takeDown: (mode: StopMode) => Promise<void>;
  /** Starts our own server again, if it is down: at the same address, with its data. Rejects for a server that is not ours. */
  readonly bringUp: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** How a server of our own is set up. */
export type ServerOptions = {
  /** `off`: nothing is brought to disk, for tests that take no power away. @default 'on' */
  readonly fsync?: 'on' | 'off';
  /** @default 300 */
  readonly maxConnections?: number;
  /** Further settings, such as `log_min_messages=warning`. */
  readonly settings?: readonly string[];
};

/**
 * Starts a server, or finds the given one.
 *
 * @param options - for a server of our own
 * @returns the server
 * @throws {TypeError} when it cannot be started
 */
export async function startPostgres(options: ServerOptions = {}): Promise<PostgresServer> {
  const given = process.env['DATABASE_URL'];
  if (given === undefined || given === '') return await startOwnPostgres(options);
  const refuse = (): Promise<void> => Promise.reject(new TypeError('the server of DATABASE_URL is not ours to take down'));
  return { url: given, origin: 'DATABASE_URL', takeDown: refuse, bringUp: refuse, stop: () => Promise.resolve() };
}

/**
 * Starts a server of our own, whatever `DATABASE_URL` says.
 *
 * @param options - how it is set up
 * @returns the server
 * @throws {TypeError} when it cannot be started
 */
export async function startOwnPostgres({ fsync = 'on', maxConnections = 300, settings = [] }: ServerOptions = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-postgres-'));
  const all = [`max_connections=${maxConnections}`, `fsync=${fsync}`, ...settings];
  const child = fork(new URL('./server-process.ts', import.meta.url), [folder, ...all], { stdio: ['ignore', 2, 2, 'ipc'], execArgv: [] });
  // It must not keep a program that has ended otherwise.
  child.unref();
  child.channel?.unref();
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const { url } = await answer(child, 'ready');
  const tell = async (command: ServerCommand, kind: 'ready' | 'stopped'): Promise<void> => {
    const answered = answer(child, kind);
    child.send(command);
    await answered;
  };
  return {
    url,
    origin: `our own, ${fsync === 'on' ? 'default settings' : 'without fsync'}`,
    takeDown: (mode) => tell({ kind: 'stop', mode }, 'stopped'),
    bringUp: () => tell({ kind: 'start' }, 'ready'),
    stop: async () => {
      child.ref();
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

function answer<Kind extends 'ready' | 'stopped'>(
  child: ChildProcess,
  kind: Kind,
): Promise<Extract<ServerMessage, { readonly kind: Kind }>> {
  // Whoever waits keeps the process alive.
  child.channel?.ref();
  return new Promise((resolve, reject) => {
    const done = (): void => {
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.channel?.unref();
    };
    const onMessage = (message: ServerMessage): void => {
      done();
      if (message.kind === kind) resolve(message as Extract<ServerMessage, { readonly kind: Kind }>);
      else reject(new TypeError(message.kind === 'failed' ? message.reason : `PostgreSQL is ${message.kind}, expected ${kind}`));
    };
    const onExit = (code: number | null): void => {
      done();
      reject(new TypeError(`the process of PostgreSQL ended with ${code}`));
    };
    child.on('message', onMessage);
    child.once('exit', onExit);
  });
}
