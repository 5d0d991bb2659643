// A PostgreSQL server for the runtimes that need one: `DATABASE_URL`, or one of our own that ends with this process. Neighbour: postgres-process.ts
// runs it.
import { fork, type ChildProcess } from 'node:child_process';
import { makeFolder } from './folder.ts';
import type { ServerMessage } from './postgres-process.ts';

/** A server. */
export type Postgres = {
  /** For the header. */
  readonly description: string;
  /** Why it cannot be used; null: it can. */
  readonly failure: string | null;
  /** Makes an empty database. */
  readonly createDatabase: () => Promise<Database>;
  readonly stop: () => Promise<void>;
};

/** A database, as drivers/database.mjs makes it. */
export type Database = { readonly url: string; readonly drop: () => Promise<void> };

type DatabaseModule = {
  readonly createDatabase: (serverUrl: string) => Promise<Database>;
  readonly readVersion: (serverUrl: string) => Promise<string>;
};

/**
 * Starts a server, or finds the given one.
 *
 * @returns the server; one with a `failure` when there is none
 */
export async function startPostgres(): Promise<Postgres> {
  const given = process.env['DATABASE_URL'];
  return given === undefined || given === '' ? startOwn() : describe(given, 'DATABASE_URL', () => Promise.resolve());
}

async function startOwn(): Promise<Postgres> {
  const folder = makeFolder('postgres');
  const child = fork(new URL('./postgres-process.ts', import.meta.url), [folder.path], { stdio: ['ignore', 2, 2, 'ipc'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const message = await firstMessage(child);
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    await ended;
    folder.remove();
  };
  return message.kind === 'ready' ? describe(message.url, 'our own, default settings', stop) : toFailed(message.reason, stop);
}

async function describe(serverUrl: string, origin: string, stop: () => Promise<void>): Promise<Postgres> {
  try {
    const { createDatabase, readVersion } = (await import(new URL('./drivers/database.mjs', import.meta.url).href)) as DatabaseModule;
    const description = `${await readVersion(serverUrl)}, ${origin}`;
    return { description, failure: null, createDatabase: () => createDatabase(serverUrl), stop };
  } catch (error) {
    return toFailed(`no PostgreSQL: ${String(error)}`, stop);
  }
}

function toFailed(reason: string, stop: () => Promise<void>): Postgres {
  return { description: 'not available', failure: reason, createDatabase: () => Promise.reject(new TypeError(reason)), stop };
}

function firstMessage(child: ChildProcess): Promise<ServerMessage> {
  return new Promise((resolve) => {
    child.once('message', (message) => resolve(message as ServerMessage));
    child.once('exit', (code) => resolve({ kind: 'failed', reason: `the process of PostgreSQL ended with ${code}` }));
  });
}
