// DBOS Transact on PostgreSQL. Its steps run inline in the workflow's own call, and a workflow starts in the process that starts it, unless it
// goes through a queue (knob `queue`).
/** @import { Driver, DriverTask } from '../driver.ts' */
import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import { Probe } from '../probe.ts';

const QUEUE = 'bench';
const EVENT_S = 600;

/**
 * @param {DriverTask} task - knobs: `pool` of connections, `queue` (workflows of one process at once; without it there is no queue)
 * @returns {Promise<Driver<any>>} the driver
 */
export async function open({ knobs, databaseUrl }) {
  const probe = new Probe();
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: databaseUrl,
    systemDatabasePoolSize: knobs.pool,
    tracingEnabled: false,
    logger: { info() {}, debug() {}, warn() {}, error: (...words) => console.error(...words) },
  });
  const workflows = registerWorkflows(probe);
  await DBOS.launch();
  const route = knobs.queue === undefined ? {} : { queueName: QUEUE };
  if (knobs.queue !== undefined) await DBOS.registerQueue(QUEUE, { workerConcurrency: knobs.queue });
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  return {
    start: (kind, id, input) => DBOS.startWorkflow(workflows[kind], { workflowID: id, ...route })({ id, ...input }),
    result: (handle) => handle.getResult(),
    raise: (_handle, id) => DBOS.send(id, 1, 'go'),
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) =>
      probe.untilCompleted(total, async () => {
        const { rows } = await client.query('SELECT status, count(*)::int AS count FROM dbos.workflow_status GROUP BY status');
        const counts = Object.fromEntries(rows.map(({ status, count }) => [status, count]));
        return { completed: counts.SUCCESS ?? 0, failed: counts.ERROR ?? 0 };
      }),
    activitiesRun: () => probe.activities,
    close: async () => {
      await client.end();
      await DBOS.shutdown();
    },
  };
}

/** @param {Probe} probe */
function registerWorkflows(probe) {
  const run = (index, delayMs, loops) => DBOS.runStep(() => probe.work(index, delayMs, loops), { name: 'step' });
  return {
    fan: DBOS.registerWorkflow(
      async ({ id, width, delayMs, loops }) => {
        const results = await Promise.all(Array.from({ length: width }, (_, index) => run(index, delayMs, loops)));
        probe.noteEnd(id);
        return results.length;
      },
      { name: 'fan' },
    ),
    chain: DBOS.registerWorkflow(
      async ({ id, steps }) => {
        for (let index = 0; index < steps; index += 1) await run(index, 0, 0);
        probe.noteEnd(id);
        return steps;
      },
      { name: 'chain' },
    ),
    wait: DBOS.registerWorkflow(
      async ({ id }) => {
        probe.noteWaiting(id);
        const data = await DBOS.recv('go', { timeoutSeconds: EVENT_S });
        probe.noteEnd(id);
        return data;
      },
      { name: 'wait' },
    ),
  };
}
