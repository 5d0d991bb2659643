// Hello world: an orchestration and an activity, each in threads of their own, on one SQLite file. Kill the process at any moment and
// start it again on the same file: the orchestration goes on where it was.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { hello } from './orchestrations.ts';

const folder = await mkdtemp(join(tmpdir(), 'duraloom-hello-world-'));
const provider = await SqliteProvider.open(join(folder, 'hello.db'));
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
});

const client = new Client(provider);
const handle = await client.startOrchestration('hello-1', hello, ['Ada', 'Grace']);
console.log(await handle.result()); // Hello, Ada! Hello, Grace!

await runtime.shutdown();
await provider.close();
await rm(folder, { recursive: true });
