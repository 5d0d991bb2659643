// The in-memory backend of the Durable Task SDK, which Microsoft made for tests: an event loop and maps, no store.
/** @import { Driver, DriverTask } from '../driver.ts' */
import durabletask from '@microsoft/durabletask-js';
import { Probe } from '../probe.ts';

const { InMemoryOrchestrationBackend, TestOrchestrationClient, OrchestrationStatus, TestOrchestrationWorker, whenAll } = durabletask;

/** Longest history, in events. */
const MAX_HISTORY = 1_000_000;
const RESULT_S = 60;

/**
 * @param {DriverTask} _task - there is nothing to set
 * @returns {Promise<Driver<string>>} the driver
 */
export async function open(_task) {
  // It logs every event and takes no logger here; building the text costs.
  for (const level of ['log', 'info', 'debug', 'warn']) console[level] = () => undefined;
  const probe = new Probe();
  const backend = new InMemoryOrchestrationBackend(MAX_HISTORY);
  const client = new TestOrchestrationClient(backend);
  const worker = new TestOrchestrationWorker(backend);
  worker.addNamedActivity('step', (_ctx, { index, delayMs, loops }) => probe.work(index, delayMs, loops));
  worker.addNamedOrchestrator('fan', async function* (ctx, { width, delayMs, loops }) {
    const results = yield whenAll(Array.from({ length: width }, (_, index) => ctx.callActivity('step', { index, delayMs, loops })));
    probe.noteEnd(ctx.instanceId);
    return results.length;
  });
  worker.addNamedOrchestrator('chain', async function* (ctx, { steps }) {
    for (let index = 0; index < steps; index += 1) yield ctx.callActivity('step', { index, delayMs: 0, loops: 0 });
    probe.noteEnd(ctx.instanceId);
    return steps;
  });
  worker.addNamedOrchestrator('wait', async function* (ctx) {
    probe.noteWaiting(ctx.instanceId);
    const data = yield ctx.waitForExternalEvent('go');
    probe.noteEnd(ctx.instanceId);
    return data;
  });
  await worker.start();
  return {
    start: (kind, id, input) => client.scheduleNewOrchestration(kind, input, id),
    result: async (id) => {
      const state = await client.waitForOrchestrationCompletion(id, true, RESULT_S);
      if (state.runtimeStatus !== OrchestrationStatus.COMPLETED) throw new TypeError(`${id} has status ${state.runtimeStatus}`);
      return JSON.parse(state.serializedOutput);
    },
    raise: (_handle, id) => client.raiseOrchestrationEvent(id, 'go', 1),
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) => probe.untilCompleted(total),
    activitiesRun: () => probe.activities,
    close: () => worker.stop(),
  };
}
