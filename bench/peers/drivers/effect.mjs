// Effect's workflow engine: in memory, or as a cluster of one node on SQLite or PostgreSQL. Its activities run inline in the workflow's fiber.
/** @import { Driver, DriverTask } from '../driver.ts' */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterWorkflowEngine, SingleRunner } from '@effect/cluster';
import { SqlClient } from '@effect/sql';
import { PgClient } from '@effect/sql-pg';
import { SqliteClient } from '@effect/sql-sqlite-node';
import { Activity, DurableDeferred, Workflow, WorkflowEngine } from '@effect/workflow';
import { Effect, Layer, Logger, LogLevel, ManagedRuntime, Redacted, Schema } from 'effect';
import { Probe } from '../probe.ts';

/** The cluster takes its shards a moment after it has started. */
const SHARDS_MS = 1_000;

/**
 * @param {DriverTask} task - knobs: `pool` of connections (PostgreSQL), `pollMs` of the storage and `mailbox` (capacity of an entity)
 * @returns {Promise<Driver<any>>} the driver
 */
export async function open(task) {
  const probe = new Probe();
  const go = DurableDeferred.make('go', { success: Schema.Number });
  const workflows = {
    fan: makeWorkflow('fan', { width: Schema.Number, delayMs: Schema.Number, loops: Schema.Number }),
    chain: makeWorkflow('chain', { steps: Schema.Number }),
    wait: makeWorkflow('wait', {}),
  };
  const implementations = makeImplementations(workflows, go, probe);
  const runtime = ManagedRuntime.make(
    implementations.pipe(Layer.provideMerge(makeEngine(task)), Layer.provide(Logger.minimumLogLevel(LogLevel.Error))),
  );
  await runtime.runPromise(Effect.void);
  if (task.store !== 'memory') await delay(SHARDS_MS);
  const isProcessed = task.store === 'postgres' ? true : 1;
  const readCompleted = SqlClient.SqlClient.pipe(
    Effect.flatMap(
      (sql) =>
        sql`SELECT count(*) AS count FROM cluster_messages WHERE entity_type LIKE 'Workflow/%' AND tag = 'run' AND processed = ${isProcessed}`,
    ),
    Effect.map(([row]) => ({ completed: Number(row.count), failed: 0 })),
  );
  return {
    start: async (kind, id, input) => {
      const payload = { id, ...input };
      const executionId = await runtime.runPromise(workflows[kind].execute(payload, { discard: true }));
      return { kind, payload, executionId };
    },
    // The same payload means the same execution: this waits for it.
    result: ({ kind, payload }) => runtime.runPromise(workflows[kind].execute(payload)),
    raise: ({ executionId }) => {
      const token = DurableDeferred.tokenFromExecutionId(go, { workflow: workflows.wait, executionId });
      return runtime.runPromise(DurableDeferred.succeed(go, { token, value: 1 }));
    },
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) =>
      task.store === 'memory' ? probe.untilCompleted(total) : probe.untilCompleted(total, () => runtime.runPromise(readCompleted)),
    activitiesRun: () => probe.activities,
    close: () => runtime.dispose(),
  };
}

function makeWorkflow(name, fields) {
  const payload = { id: Schema.String, ...fields };
  return Workflow.make({ name, payload, success: Schema.Number, idempotencyKey: ({ id }) => id });
}

/** @param {DriverTask} task */
function makeEngine({ store, knobs, folder, databaseUrl }) {
  if (store === 'memory') return WorkflowEngine.layerMemory;
  const client =
    store === 'file'
      ? SqliteClient.layer({ filename: join(folder, 'effect.db') })
      : PgClient.layer({ url: Redacted.make(databaseUrl), maxConnections: knobs.pool });
  const shardingConfig = {
    ...(knobs.pollMs !== undefined && { entityMessagePollInterval: knobs.pollMs }),
    ...(knobs.mailbox !== undefined && { entityMailboxCapacity: knobs.mailbox }),
  };
  const runner = SingleRunner.layer({ runnerStorage: 'memory', shardingConfig });
  return ClusterWorkflowEngine.layer.pipe(Layer.provideMerge(runner), Layer.provideMerge(client));
}

function makeImplementations(workflows, go, probe) {
  const success = Schema.Struct({ r: Schema.Number });
  const step = (index, delayMs, loops) =>
    Activity.make({ name: `step${index}`, success, execute: Effect.promise(() => probe.work(index, delayMs, loops)) });
  return Layer.mergeAll(
    workflows.fan.toLayer(
      Effect.fnUntraced(function* ({ id, width, delayMs, loops }) {
        const steps = Array.from({ length: width }, (_, index) => step(index, delayMs, loops));
        const results = yield* Effect.all(steps, { concurrency: 'unbounded' });
        probe.noteEnd(id);
        return results.length;
      }),
    ),
    workflows.chain.toLayer(
      Effect.fnUntraced(function* ({ id, steps }) {
        for (let index = 0; index < steps; index += 1) yield* step(index, 0, 0);
        probe.noteEnd(id);
        return steps;
      }),
    ),
    workflows.wait.toLayer(
      Effect.fnUntraced(function* ({ id }) {
        probe.noteWaiting(id);
        const data = yield* DurableDeferred.await(go);
        probe.noteEnd(id);
        return data;
      }),
    ),
  );
}
