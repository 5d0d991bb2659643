// A host process of the kill stress: runs what is in the store and starts new orchestrations until it is killed, or until all are done.
// Arguments: database file, name of this life, number of orchestrations to start. Says on stdout what it did, a line each.
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { mixed } from './orchestrations.ts';

const [file = '', life = '', starts = '0'] = process.argv.slice(2);
const provider = await SqliteProvider.open(file);
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
  orchestrationLockMs: 500,
  activityLockMs: 500,
  // A kill charges an attempt to whatever was in flight; being unlucky many times in a row is no poison.
  maxAttempts: 1000,
});
const client = new Client(provider);
console.log('running');

await Promise.all(
  Array.from({ length: Number(starts) }, async (_, index) => {
    const instanceId = `${life}-${index}`;
    await client.startOrchestration(instanceId, mixed, { n: index % 20, sum: 0, round: 1 });
    console.log(`started ${instanceId}`);
  }),
);

process.on('message', () => {
  void (async () => {
    for (let after: string | undefined; ;) {
      const page = await client.listInstances({ limit: 1000, ...(after === undefined ? {} : { after }) });
      for (const { instanceId, parentInstanceId } of page) {
        if (parentInstanceId === null) await client.getHandle(instanceId).result({ timeout: '60s' });
      }
      after = page.at(-1)?.instanceId;
      if (page.length < 1000) break;
    }
    await runtime.shutdown();
    await provider.close();
    console.log('all done');
    process.disconnect();
  })();
});
