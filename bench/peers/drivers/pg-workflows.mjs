// pg-workflows on PostgreSQL, through the queue pg-boss. Its steps run inline in the workflow's own call.
/** @import { Driver, DriverTask } from '../driver.ts' */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Probe } from '../probe.ts';

/** There is no call that waits for a result. */
const RESULT_POLL_MS = 2;

/**
 * @param {DriverTask} task - knobs: `workers`, `pool` of connections
 * @returns {Promise<Driver<any>>} the driver
 */
export async function open({ knobs, databaseUrl }) {
  process.env.WORKFLOW_RUN_WORKERS = String(knobs.workers);
  const { WorkflowEngine, workflow } = await import('pg-workflows');
  const probe = new Probe();
  const pool = new pg.Pool({ connectionString: databaseUrl, max: knobs.pool });
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const countByStatus = async () => {
    const { rows } = await client.query('SELECT status, count(*)::int AS count FROM workflow_runs GROUP BY status');
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  };
  // It reads the handler's source to find its last step, and takes a run whose step ids are made in a loop for unfinished. With a plug-in,
  // even one that does nothing, it does not.
  const define = workflow.use({ name: 'nothing', methods: () => ({}) });
  const workflows = makeWorkflows(define, probe);
  const logger = { log() {}, error: (...words) => console.error(...words) };
  const engine = new WorkflowEngine({ pool, workflows, logger });
  await engine.start(true, { batchSize: 1 });
  return {
    start: (kind, id, input) => engine.startWorkflow({ workflowId: kind, input: { id, ...input } }),
    result: async ({ id }) => {
      for (;;) {
        const run = await engine.getRun({ runId: id });
        if (run.status === 'completed') return run.output;
        if (run.status === 'failed') throw new TypeError(`a run failed: ${run.error}`);
        await delay(RESULT_POLL_MS);
      }
    },
    raise: async (handle) => {
      await engine.triggerEvent({ runId: handle.id, eventName: 'go', data: { value: 1 } });
    },
    untilWaiting: (count) => probe.untilWaiting(count, async () => (await countByStatus()).paused ?? 0),
    untilCompleted: (_handles, total) =>
      probe.untilCompleted(total, async () => {
        const { completed = 0, failed = 0 } = await countByStatus();
        return { completed, failed };
      }),
    activitiesRun: () => probe.activities,
    close: async () => {
      await engine.stop();
      await client.end();
      await pool.end();
    },
  };
}

function makeWorkflows(define, probe) {
  const run = (step, index, delayMs, loops) => step.run(`step${index}`, () => probe.work(index, delayMs, loops));
  return [
    define('fan', async ({ step, input: { id, width, delayMs, loops } }) => {
      const results = await Promise.all(Array.from({ length: width }, (_, index) => run(step, index, delayMs, loops)));
      probe.noteEnd(id);
      return results.length;
    }),
    define('chain', async ({ step, input: { id, steps } }) => {
      for (let index = 0; index < steps; index += 1) await run(step, index, 0, 0);
      probe.noteEnd(id);
      return steps;
    }),
    define('wait', async ({ step, input: { id } }) => {
      probe.noteWaiting(id);
      const data = await step.waitFor('event', { eventName: 'go' });
      probe.noteEnd(id);
      return data ?? null;
    }),
  ];
}
