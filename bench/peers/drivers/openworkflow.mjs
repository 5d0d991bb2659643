// openworkflow on SQLite (node:sqlite) or PostgreSQL. Its steps run inline, inside the workflow's own call: no queue lies between them.
/** @import { Driver, DriverTask } from '../driver.ts' */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OpenWorkflow } from 'openworkflow';
import { Probe } from '../probe.ts';

/** `handle.result()` looks once a second; the store may be asked more often. */
const RESULT_POLL_MS = 2;

/**
 * @param {DriverTask} task - knobs: `concurrency` of the worker
 * @returns {Promise<Driver<any>>} the driver
 */
export async function open(task) {
  const probe = new Probe();
  const backend = await openBackend(task);
  const client = new OpenWorkflow({ backend });
  const workflows = defineWorkflows(client, probe);
  const worker = client.newWorker({ concurrency: task.knobs.concurrency });
  await worker.start();
  return {
    start: (kind, id, input) => workflows[kind].run({ id, ...input }),
    result: async (handle) => {
      for (;;) {
        const run = await backend.getWorkflowRun({ workflowRunId: handle.workflowRun.id });
        if (run.status === 'completed') return run.output;
        if (run.status === 'failed') throw new TypeError(`a run failed: ${JSON.stringify(run.error)}`);
        await delay(RESULT_POLL_MS);
      }
    },
    raise: async (_handle, id) => {
      await client.sendSignal({ signal: `go:${id}`, data: 1 });
    },
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) => probe.untilCompleted(total, () => backend.countWorkflowRuns()),
    activitiesRun: () => probe.activities,
    close: async () => {
      await worker.stop();
      await backend.stop();
    },
  };
}

/** @param {DriverTask} task */
async function openBackend({ store, folder, databaseUrl }) {
  if (store === 'postgres') {
    const { BackendPostgres } = await import('openworkflow/postgres');
    return BackendPostgres.connect(databaseUrl);
  }
  const { BackendSqlite } = await import('openworkflow/sqlite');
  return BackendSqlite.connect(store === 'memory' ? ':memory:' : join(folder, 'openworkflow.db'));
}

/**
 * @param {any} client
 * @param {Probe} probe
 */
function defineWorkflows(client, probe) {
  const run = (step, index, delayMs, loops) => step.run({ name: `step${index}` }, () => probe.work(index, delayMs, loops));
  return {
    fan: client.defineWorkflow({ name: 'fan' }, async ({ input: { id, width, delayMs, loops }, step }) => {
      const results = await Promise.all(Array.from({ length: width }, (_, index) => run(step, index, delayMs, loops)));
      probe.noteEnd(id);
      return results.length;
    }),
    chain: client.defineWorkflow({ name: 'chain' }, async ({ input: { id, steps }, step }) => {
      for (let index = 0; index < steps; index += 1) await run(step, index, 0, 0);
      probe.noteEnd(id);
      return steps;
    }),
    wait: client.defineWorkflow({ name: 'wait' }, async ({ input: { id }, step }) => {
      probe.noteWaiting(id);
      const signal = await step.waitForSignal({ signal: `go:${id}`, timeout: '1h' });
      probe.noteEnd(id);
      return signal?.data ?? null;
    }),
  };
}
