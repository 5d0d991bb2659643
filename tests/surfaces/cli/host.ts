// The host of the tests of the command line: a runtime on ./duraloom.db, until it is asked to stop.
import { Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';

const provider = await SqliteProvider.open('duraloom.db', { synchronous: 'NORMAL' });
const code = new URL('./code.ts', import.meta.url);
const runtime = await Runtime.start({ provider, orchestrations: code, activities: code, activityThreads: 1, nodeId: 'test-host' });
process.once('SIGTERM', () => void runtime.shutdown().then(() => provider.close()));
console.log('ready');
