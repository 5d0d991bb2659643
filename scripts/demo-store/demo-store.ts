// A store with interesting instances, and a runtime and a server on it. Neighbours: screenshots.ts, tests/surfaces/dashboard.
import { join } from 'node:path';
import { Client, LogTail, Runtime } from 'duraloom';
import { serve, type HttpServer, type ServeOptions } from 'duraloom/http';
import { SqliteProvider } from 'duraloom/sqlite';

/** What is there. */
export type DemoStore = {
  readonly client: Client;
  readonly provider: SqliteProvider;
  readonly runtime: Runtime;
  readonly server: HttpServer;
  /** Serves the same store once more, otherwise. */
  readonly serve: (options: Partial<ServeOptions>) => Promise<HttpServer>;
  readonly close: () => Promise<void>;
};

const MODULES = { before: './orchestrations.ts', after: './orchestrations-changed.ts' } as const;
/** Instances that are done, to fill the list. */
const FILLING = 40;

/**
 * Makes the store and starts runtime and server.
 *
 * @param folder - an empty folder, for the file
 * @param dashboard - the built dashboard
 * @returns all of it; close it
 */
export async function openDemoStore(folder: string, dashboard: string): Promise<DemoStore> {
  const provider = await SqliteProvider.open(join(folder, 'demo.db'));
  const client = new Client(provider);
  const logs = new LogTail();
  const before = await startRuntime(provider, logs, 'before');
  await fill(client);
  await before.shutdown();
  const runtime = await startRuntime(provider, logs, 'after');
  await client.raiseEvent('renewal-7', 'paid');
  await until(async () => (await client.getState('renewal-7'))?.status === 'Quarantined');

  const servers: HttpServer[] = [];
  const open = async (options: Partial<ServeOptions>): Promise<HttpServer> => {
    const server = await serve({ client, provider, runtimes: [runtime], logs, dashboard, port: 0, pollMs: 50, ...options });
    servers.push(server);
    return server;
  };
  return {
    client,
    provider,
    runtime,
    server: await open({}),
    serve: open,
    close: async () => {
      for (const server of servers) await server.close();
      await runtime.shutdown();
      await provider.close();
    },
  };
}

/**
 * Waits for a condition of the store.
 *
 * @param holds - looks
 * @throws {Error} when it does not hold in time
 */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('what was waited for did not happen within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function startRuntime(provider: SqliteProvider, logger: LogTail, code: keyof typeof MODULES): Promise<Runtime> {
  return Runtime.start({
    provider,
    orchestrations: new URL(MODULES[code], import.meta.url),
    activities: new URL('./activities.ts', import.meta.url),
    activityThreads: 2,
    nodeId: 'node-a',
    logger,
    maxAttempts: 2,
    retryBackoff: { initialMs: 10, maximumMs: 20 },
  });
}

async function fill(client: Client): Promise<void> {
  for (let number = 1; number <= FILLING; number += 1) {
    await client.startOrchestration(`ping-${String(number).padStart(3, '0')}`, 'ping', `hello ${number}`);
  }
  await client.startOrchestration('renewal-7', 'renewal', 'Grace');
  await client.startOrchestration('refund-3', 'refund', 120, { attributes: { customer: 'Alan' } });
  await client.startOrchestration('tally-1', 'tally', 1);
  await client.startOrchestration('film-1', 'film', 'opening');
  await client.startOrchestration('campaign-spring', 'campaign', ['north', 'south', 'west'], { attributes: { team: 'sales' } });
  for (const [number, customer] of ['Ada', 'Barbara', 'Edsger'].entries()) {
    const items = ['book', 'lamp', 'chair'].slice(0, number + 1);
    await client.startOrchestration(
      `order-${1001 + number}`,
      'order',
      { items, amount: 40 + number },
      { attributes: { customer, vip: number === 0 } },
    );
  }
  await client.startOrchestration('order-1000', 'order', { items: ['desk'], amount: 300 }, { attributes: { customer: 'Linus' } });
  await client.raiseEvent('order-1000', 'approved', { by: 'Radia' });
  await client.startOrchestration('mailing-old', 'mailing', 'east');
  await client.startOrchestration('mailing-paused', 'mailing', 'centre');
  const isWaiting = async (id: string): Promise<boolean> => (await client.readHistory(id)).some(({ kind }) => kind === 'EventAwaited');
  for (const id of ['order-1001', 'order-1002', 'order-1003', 'renewal-7', 'mailing-old', 'mailing-paused'])
    await until(() => isWaiting(id));
  for (const id of ['order-1000', 'refund-3', 'ping-001']) await until(async () => (await client.getState(id))?.endedAt instanceof Date);
  await client.cancel('mailing-old', 'the region is no longer served');
  await until(async () => (await client.getState('mailing-old'))?.status === 'Cancelled');
  await client.suspend('mailing-paused');
}
