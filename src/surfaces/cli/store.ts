// Which store, and opening it. `--store`, then DURALOOM_STORE, then duraloom.config.json, then ./duraloom.db. A missing file is an error: only a
// command that says so makes one. Neighbours: commands/ open it by their context.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client, Provider } from '../../index.ts';
import { withDeadline } from '../../provider/deadline.ts';
import { systemClock } from '../../provider/system-clock.ts';
import { parseRecord } from '../../types/codec.ts';
import { toFailure } from '../../types/failure.ts';
import { CliError } from './cli-error.ts';
import { readFacts, SCHEMA_VERSION } from './sqlite-file.ts';

/** Name of the configuration file in the current folder. */
export const CONFIG_FILE = 'duraloom.config.json';
/** Environment variable that names the store. */
export const STORE_VARIABLE = 'DURALOOM_STORE';
/** Environment variable that allows to migrate. */
const MIGRATE_VARIABLE = 'DURALOOM_MIGRATE';
/** How long the store may take to answer. */
const ANSWER_TIMEOUT_MS = 10_000;
const DEFAULT_FILE = './duraloom.db';

/** A store by its address. */
export type StoreLocation =
  | { readonly kind: 'sqlite'; readonly file: string; readonly named: string }
  | { readonly kind: 'postgres'; readonly connectionString: string; readonly schema: string | null; readonly named: string };

/** How to open a store. */
export type OpenStoreOptions = {
  /** Make the file when it is not there. @default false */
  readonly create?: boolean;
};

/** An open store. */
export type OpenedStore = { readonly provider: Provider; readonly client: Client; readonly location: StoreLocation };

/**
 * Finds out which store is meant.
 *
 * @param given - value of `--store`
 * @param environment - of the process
 * @param folder - the current one
 * @returns its address
 * @throws {CliError} `USAGE` when the address or the configuration is none
 */
export function locateStore(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  folder: string = process.cwd(),
): StoreLocation {
  const variable = environment[STORE_VARIABLE];
  if (given !== undefined) return readAddress(given, '--store', folder);
  if (variable !== undefined && variable !== '') return readAddress(variable, STORE_VARIABLE, folder);
  const config = resolve(folder, CONFIG_FILE);
  if (existsSync(config)) return readAddress(readConfig(config), CONFIG_FILE, dirname(config));
  return readAddress(DEFAULT_FILE, 'the default', folder);
}

function readConfig(file: string): string {
  let config: unknown;
  try {
    config = parseRecord(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CliError(
      'USAGE',
      `'${file}' cannot be read: ${toFailure(cause).message}. Expected JSON such as { "store": "./duraloom.db" }`,
      { cause },
    );
  }
  const { store } = (config ?? {}) as { readonly store?: unknown };
  if (typeof store === 'string') return store;
  throw new CliError('USAGE', `'${file}' names no store. Expected JSON such as { "store": "./duraloom.db" }`);
}

function readAddress(address: string, named: string, folder: string): StoreLocation {
  if (/^postgres(?:ql)?:\/\//.test(address)) return readPostgres(address, named);
  const scheme = /^([a-z][a-z\d+.-]+):\/\//i.exec(address)?.[1];
  if (scheme === 'file') return { kind: 'sqlite', file: fileURLToPath(address), named };
  if (address === '' || address === ':memory:' || scheme !== undefined) {
    throw new CliError('USAGE', `Expected ${named} to be the path of a SQLite file or a postgres:// address, got '${address}'`);
  }
  return { kind: 'sqlite', file: resolve(folder, address), named };
}

function readPostgres(address: string, named: string): StoreLocation {
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    // Without the address: it may hold a password.
    throw new CliError('USAGE', `Expected ${named} to be an address such as postgres://user@host:5432/database?schema=duraloom`, { cause });
  }
  const schema = url.searchParams.get('schema');
  url.searchParams.delete('schema');
  return { kind: 'postgres', connectionString: url.href, schema, named };
}

/**
 * Describes a store for people, without passwords.
 *
 * @param location - its address
 * @returns text
 */
export function describeStore(location: StoreLocation): string {
  if (location.kind === 'sqlite') return location.file;
  const { protocol, host, pathname } = new URL(location.connectionString);
  return `${protocol}//${host}${pathname} (schema ${location.schema ?? 'duraloom'})`;
}

/**
 * Makes sure that a file is there.
 *
 * @param location - of the store
 * @throws {CliError} `STORE_NOT_FOUND`
 */
export function assertStoreExists(location: StoreLocation): void {
  if (isThere(location)) return;
  const source = location.named === 'the default' ? '' : ` (named by ${location.named})`;
  throw new CliError(
    'STORE_NOT_FOUND',
    `There is no store '${describeStore(location)}'${source}. Name one with --store or ${STORE_VARIABLE}, or start the host that makes it`,
  );
}

/**
 * Looks whether a store has been made. An empty file is none: opening it would make it one.
 *
 * @param location - of the store
 * @returns false when its file is missing or empty; what a server has, only connecting tells
 */
export function isThere(location: StoreLocation): boolean {
  return location.kind !== 'sqlite' || (statSync(location.file, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/**
 * Opens a store.
 *
 * @param location - its address
 * @param options - whether to make the file
 * @returns the open store; close its provider
 * @throws {CliError} `STORE_NOT_FOUND`
 * @throws {ProviderError} when it cannot be opened
 */
export async function openStore(location: StoreLocation, { create = false }: OpenStoreOptions = {}): Promise<OpenedStore> {
  if (!create) assertStoreExists(location);
  const opened = await openProvider(location);
  const { Client: MadeClient } = await import('../../index.ts');
  // A host waits for a lock as long as it takes; a person wants to know.
  const provider = withDeadline(opened, { clock: systemClock, timeoutMs: ANSWER_TIMEOUT_MS, onLateFailure: () => undefined });
  return { provider, client: new MadeClient(provider), location };
}

async function openProvider(location: StoreLocation): Promise<Provider> {
  if (location.kind === 'sqlite') {
    await assertNotOlder(location.file);
    const { SqliteProvider } = await import('../../sqlite.ts');
    return await SqliteProvider.open(location.file);
  }
  const { PostgresProvider } = await import('../../postgres.ts');
  const { connectionString, schema } = location;
  return await PostgresProvider.connect({ connectionString, maxConnections: 4, ...(schema !== null && { schema }) });
}

/** Opening migrates: hosts of the older version, which may be running, could not use the file any more. */
async function assertNotOlder(file: string): Promise<void> {
  if (!existsSync(file) || process.env[MIGRATE_VARIABLE] === '1') return;
  const facts = await readFacts(file);
  // What cannot be read, and what is new, is the provider's.
  if ('reason' in facts || facts.schemaVersion === 0 || facts.schemaVersion >= SCHEMA_VERSION) return;
  throw new CliError(
    'STORE_OLDER',
    `'${file}' has schema version ${facts.schemaVersion}, this duraloom has ${SCHEMA_VERSION}: to open it is to migrate it, and hosts of the older ` +
      `version could not use it any more. Update the hosts and start one, or set ${MIGRATE_VARIABLE}=1`,
  );
}
