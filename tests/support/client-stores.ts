// The stores that tests of the client run on: each provider, and one that is reached by copied data only, as from another thread.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Client } from 'duraloom';
import { CLIENT_STORE_METHODS, type ClientStore } from '../../src/client/client-store.ts';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import type { Provider } from '../../src/provider/provider.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';

/** What a test of the client gets. */
export type ClientStage = {
  readonly client: Client;
  readonly provider: Provider;
  readonly clock: SimulatedClock;
  /** Names of the methods that the client has called. */
  readonly calls: string[];
};

/** Ways to the store, by name. */
export const STORES = ['memory', 'sqlite', 'memory as data'] as const;

/** Opens a store that is closed when the test is over. */
export async function openStore(store: (typeof STORES)[number]): Promise<ClientStage> {
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const provider = store === 'sqlite' ? await openSqlite(clock) : new MemoryProvider({ clock });
  onTestFinished(() => provider.close());
  const calls: string[] = [];
  return { client: new Client(record(provider, calls, store === 'memory as data')), provider, clock, calls };
}

async function openSqlite(clock: SimulatedClock): Promise<Provider> {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-client-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return await SqliteProvider.open(join(folder, 'store.db'), { clock });
}

/** The client's view of a provider, with its calls written down. As data: nothing but copies goes in and out, and no signal. */
function record(provider: Provider, calls: string[], asData: boolean): ClientStore {
  const methods = CLIENT_STORE_METHODS.map((method) => {
    const target = provider[method].bind(provider) as (...args: unknown[]) => Promise<unknown>;
    const call = async (...args: unknown[]): Promise<unknown> => {
      calls.push(method);
      return asData ? structuredClone(await target(...structuredClone(args.map(withoutSignal)))) : await target(...args);
    };
    return [method, call] as const;
  });
  return { name: provider.name, ...Object.fromEntries(methods) } as ClientStore;
}

function withoutSignal(argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null || !('signal' in argument)) return argument;
  const { signal: _, ...rest } = argument;
  return rest;
}
