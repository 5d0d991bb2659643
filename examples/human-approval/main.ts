// Human approval: an orchestration waits for an external event and for a timer, whichever comes first. The first expense is approved,
// the second one is forgotten. Waiting costs no thread and no memory, and lasts through restarts: seconds here, weeks in real life.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { approveExpense } from './orchestrations.ts';

const folder = await mkdtemp(join(tmpdir(), 'duraloom-human-approval-'));
const provider = await SqliteProvider.open(join(folder, 'approval.db'));
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
});
const client = new Client(provider);

const books = await client.startOrchestration('expense-1', approveExpense, { title: 'books', amount: 120, patience: '7d' });
const yacht = await client.startOrchestration('expense-2', approveExpense, { title: 'a yacht', amount: 9_000_000, patience: '300ms' });

const { customStatus } = await client.waitForCustomStatus('expense-1', { afterVersion: 0 });
console.log(`expense-1 is ${String(customStatus)}`);
await client.raiseEvent('expense-1', 'decision', { approved: true, by: 'Ada' });

console.log(`expense-1: ${await books.result()}`);
console.log(`expense-2: ${await yacht.result()}`);

await runtime.shutdown();
await provider.close();
await rm(folder, { recursive: true });
