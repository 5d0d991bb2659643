// duroxide: a runtime in Rust with SQLite or PostgreSQL. Its npm package of plain JavaScript is not published everywhere, so this drives the
// native binding itself: Rust calls `create`, `next` and `dispose` with JSON text, and generators yield descriptions of tasks.
/** @import { Driver, DriverTask } from '../driver.ts' */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Probe } from '../probe.ts';

const { JsClient, JsRuntime, JsSqliteProvider, initTracing } = createRequire(import.meta.url)('duroxide-linux-x64-gnu');

/** Longest wait for a result, in milliseconds. */
const RESULT_MS = 60_000;
const SHUTDOWN_MS = 500;

/**
 * @param {DriverTask} task - knobs: `orchestrations` and `workers` (concurrency), `pollMs` (of its dispatchers, 100 by default)
 * @returns {Promise<Driver<string>>} the driver
 */
export async function open({ store, knobs, folder }) {
  initTracing({ logFile: '/dev/null', logLevel: 'error' });
  const probe = new Probe();
  const provider = await (store === 'memory'
    ? JsSqliteProvider.inMemory()
    : JsSqliteProvider.open(`sqlite:${join(folder, 'duroxide.db')}`));
  const client = new JsClient(provider);
  const runtime = new JsRuntime(provider, {
    orchestrationConcurrency: knobs.orchestrations,
    workerConcurrency: knobs.workers,
    ...(knobs.pollMs !== undefined && { dispatcherPollIntervalMs: knobs.pollMs }),
    logLevel: 'error',
  });
  const generators = makeGenerators(makeOrchestrations(probe));
  runtime.setGeneratorDriver(generators.create, generators.next, generators.dispose);
  for (const kind of ['fan', 'chain', 'wait']) runtime.registerOrchestration(kind);
  runtime.registerActivity('step', async (payload) => {
    // One line of context, then the input.
    const { index, delayMs, loops } = JSON.parse(payload.slice(payload.indexOf('\n') + 1));
    return JSON.stringify(await probe.work(index, delayMs, loops));
  });
  await runtime.start();
  return {
    start: async (kind, id, input) => {
      await client.startOrchestration(id, kind, JSON.stringify(input));
      return id;
    },
    result: async (id) => {
      const { status, output } = await client.waitForOrchestration(id, RESULT_MS);
      if (status !== 'Completed') throw new TypeError(`${id} is ${status}: ${output}`);
      return JSON.parse(output);
    },
    raise: (_handle, id) => client.raiseEvent(id, 'go', '1'),
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) =>
      probe.untilCompleted(total, async () => {
        const { completedInstances: completed, failedInstances: failed } = await client.getSystemMetrics();
        if (failed === 0) return { completed, failed };
        const [id] = await client.listInstancesByStatus('Failed');
        return { completed, failed, reason: String((await client.getInstanceInfo(id)).output) };
      }),
    activitiesRun: () => probe.activities,
    close: () => runtime.shutdown(SHUTDOWN_MS),
  };
}

/** @param {Probe} probe */
function makeOrchestrations(probe) {
  const step = (index, delayMs, loops) => ({ type: 'activity', name: 'step', input: JSON.stringify({ index, delayMs, loops }) });
  return {
    *fan({ instanceId }, { width, delayMs, loops }) {
      const results = yield { type: 'join', tasks: Array.from({ length: width }, (_, index) => step(index, delayMs, loops)) };
      probe.noteEnd(instanceId);
      return results.length;
    },
    *chain({ instanceId }, { steps }) {
      for (let index = 0; index < steps; index += 1) yield step(index, 0, 0);
      probe.noteEnd(instanceId);
      return steps;
    },
    *wait({ instanceId }) {
      probe.noteWaiting(instanceId);
      const data = yield { type: 'waitEvent', name: 'go' };
      probe.noteEnd(instanceId);
      return data;
    },
  };
}

/** The three functions that the binding calls; generators are known by number. */
function makeGenerators(orchestrations) {
  const running = new Map();
  let lastId = 0;
  const advance = (id, generator, method, value) => {
    try {
      const step = generator[method](value);
      if (!step.done) return JSON.stringify({ status: 'yielded', generatorId: id, task: step.value });
      running.delete(id);
      return JSON.stringify({ status: 'completed', output: JSON.stringify(step.value ?? null) });
    } catch (error) {
      running.delete(id);
      return JSON.stringify({ status: 'error', message: String(error) });
    }
  };
  return {
    create: (text) => {
      const { ctxInfo, input } = JSON.parse(text);
      const generator = orchestrations[ctxInfo.orchestrationName](ctxInfo, JSON.parse(input));
      lastId += 1;
      running.set(lastId, generator);
      return advance(lastId, generator, 'next');
    },
    next: (text) => {
      const { generatorId, result, isError } = JSON.parse(text);
      const generator = running.get(generatorId);
      if (generator === undefined) return JSON.stringify({ status: 'error', message: `no generator ${generatorId}` });
      return isError
        ? advance(generatorId, generator, 'throw', new TypeError(result))
        : advance(generatorId, generator, 'next', JSON.parse(result));
    },
    dispose: (id) => {
      running.delete(Number(id));
      return 'ok';
    },
  };
}
