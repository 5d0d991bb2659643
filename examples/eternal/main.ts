// Eternal orchestration: a monitor that continues as new after each round, so that its history never grows. The custom status shows
// how it is doing; an external event ends it, here after five rounds.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { monitor } from './orchestrations.ts';

const ROUNDS = 5;

const folder = await mkdtemp(join(tmpdir(), 'duraloom-eternal-'));
const provider = await SqliteProvider.open(join(folder, 'eternal.db'));
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
});
const client = new Client(provider);
const handle = await client.startOrchestration('monitor-1', monitor, { round: 1, highest: 0 });

for (let version = 0, round = 0; round < ROUNDS;) {
  const state = await client.waitForCustomStatus('monitor-1', { afterVersion: version });
  version = state.customStatusVersion;
  const seen = state.customStatus as { readonly round: number; readonly highest: number };
  round = seen.round;
  console.log(`round ${round}: at most ${seen.highest} % of the memory in use`);
}
await client.raiseEvent('monitor-1', 'stop');

const { round } = await handle.result();
const { executionId } = await handle.state();
const history = await client.readHistory('monitor-1');
console.log(`stopped after round ${round}: ${executionId} executions, ${history.length} events in the history of the last one`);

await runtime.shutdown();
await provider.close();
await rm(folder, { recursive: true });
