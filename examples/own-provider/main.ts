// A provider of one's own at work: an orchestration begins on a journal, its process ends, and another one goes on from the same file.
import { Client, defineOrchestration, Runtime } from 'duraloom';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JournalProvider } from './journal-provider.ts';

const parcel = defineOrchestration('parcel', async (ctx, to: string) => {
  ctx.setCustomStatus('packed');
  const carrier = await ctx.waitForEvent<string>('collected');
  return `went to ${to} by ${carrier}`;
});

const folder = await mkdtemp(join(tmpdir(), 'duraloom-own-provider-'));

/** One life of a process: what it remembers is in the file. */
async function live(work: (client: Client) => Promise<void>): Promise<void> {
  const provider = new JournalProvider(join(folder, 'journal.jsonl'));
  const runtime = await Runtime.start({ provider, orchestrations: parcel, replayThreads: 0, activityThreads: 0 });
  await work(new Client(provider));
  await runtime.shutdown();
  await provider.close();
}

await live(async (client) => {
  const handle = await client.startOrchestration('parcel-1', parcel, 'Ada');
  const { customStatus } = await handle.waitForCustomStatus({ afterVersion: 0 });
  console.log(`parcel-1 is ${String(customStatus)}`);
});

await live(async (client) => {
  await client.raiseEvent('parcel-1', 'collected', 'bicycle');
  console.log(`parcel-1 ${String(await client.getHandle('parcel-1').result())}`);
});

await rm(folder, { recursive: true });
