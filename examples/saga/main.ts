// Saga: flight and hotel are booked, the car is not to be had, so hotel and flight are given back, in this order. A crash in the
// middle leaves no half-booked trip: the compensations are as durable as the bookings.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Runtime, type Logger } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { bookTrip } from './orchestrations.ts';

/** Prints what orchestrations and activities log; replayed code does not log twice. */
const print = (_fields: unknown, message: string): void => console.log(`  ${message}`);
const logger: Logger = { debug: () => undefined, info: print, warn: print, error: print };

const folder = await mkdtemp(join(tmpdir(), 'duraloom-saga-'));
const provider = await SqliteProvider.open(join(folder, 'saga.db'));
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
  logger,
});
const client = new Client(provider);

for (const [trip, kinds] of [
  ['lisbon', ['flight', 'hotel']],
  ['oslo', ['flight', 'hotel', 'car']],
] as const) {
  console.log(`trip to ${trip}:`);
  const handle = await client.startOrchestration(trip, bookTrip, kinds);
  const { booked, undone } = await handle.result();
  console.log(undone.length === 0 ? `  all booked: ${booked.join(', ')}` : `  compensated: ${undone.join(', ')}`);
}

await runtime.shutdown();
await provider.close();
await rm(folder, { recursive: true });
