// Versioned packages: a host composes two packages, each with a prefix of its own and one with two lines of versions. It starts exact
// versions, ranges and the latest, and asks the store what the living runtime has.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { loadBilling } from './billing/index.ts';
import { loadShipping } from './shipping/index.ts';

const packages = [loadBilling(), loadShipping()];
const folder = await mkdtemp(join(tmpdir(), 'duraloom-versioned-packages-'));
const provider = await SqliteProvider.open(join(folder, 'packages.db'));
const runtime = await Runtime.start({
  provider,
  orchestrations: packages.flatMap(({ orchestrations }) => orchestrations),
  activities: packages.flatMap(({ activities }) => activities),
});
const client = new Client(provider);

for (const { orchestrations, activities } of await client.listRuntimes()) {
  console.log(`orchestrations: ${orchestrations.map(({ name, version }) => `${name}@${version}`).join(', ')}`);
  console.log(`activities: ${activities.map(({ name }) => name).join(', ')}`);
}

for (const version of ['1.0.0', '^1.0', '>=1.0 <3', undefined]) {
  const label = version ?? 'latest';
  const handle = await client.startOrchestration<string>(
    `invoice ${label}`,
    'billing.invoice',
    1.15,
    version === undefined ? {} : { version },
  );
  const result = await handle.result();
  console.log(`${label} runs ${(await handle.state()).version}: ${result}`);
}

const parcel = await client.startOrchestration<string>('parcel-1', 'shipping.ship', { title: 'a lamp', price: 20 });
console.log(await parcel.result());

await runtime.shutdown();
await provider.close();
await rm(folder, { recursive: true });
