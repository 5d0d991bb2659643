// Fan-out: one orchestration spreads CPU-bound work over two activity threads and adds up the results. The main thread only moves
// messages: the longest pause of its event loop shows that a server in this process would go on answering.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { searchPrimes } from './orchestrations.ts';

const folder = await mkdtemp(join(tmpdir(), 'duraloom-fan-out-'));
const provider = await SqliteProvider.open(join(folder, 'fan-out.db'));
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
  activityThreads: 2,
  activitiesPerThread: 1,
});

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const started = performance.now();
const handle = await new Client(provider).startOrchestration('primes-1', searchPrimes, { below: 1_000_000, parts: 20 });
const { primes, threads } = await handle.result();
const elapsedMs = performance.now() - started;
delay.disable();

console.log(`${primes} primes below 1000000, counted by 20 activities on ${threads} threads in ${elapsedMs.toFixed(0)} ms`);
console.log(`longest pause of the main thread: ${(delay.max / 1e6).toFixed(1)} ms`);

await runtime.shutdown();
await provider.close();
await rm(folder, { recursive: true });
