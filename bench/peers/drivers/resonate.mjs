// Resonate in local mode: a server in memory, in the same process. Its steps run inline in the function's own call.
/** @import { Driver, DriverTask } from '../driver.ts' */
import { Resonate } from '@resonatehq/sdk';
import { Probe } from '../probe.ts';

/** Promises are resolved with JSON text in base64. */
const DATA = Buffer.from('1').toString('base64');

/**
 * @param {DriverTask} _task - there is nothing to set
 * @returns {Promise<Driver<any>>} the driver
 */
export async function open(_task) {
  const probe = new Probe();
  const resonate = new Resonate({ logLevel: 'error' });
  const step = (_ctx, index, delayMs, loops) => probe.work(index, delayMs, loops);
  /** Ids of the promises that stand for events, by instance. */
  const events = new Map();
  const functions = {
    fan: resonate.register('fan', function* (ctx, { id, width, delayMs, loops }) {
      const running = [];
      for (let index = 0; index < width; index += 1) running.push(yield* ctx.beginRun(step, index, delayMs, loops));
      const results = [];
      for (const future of running) results.push(yield* future);
      probe.noteEnd(id);
      return results.length;
    }),
    chain: resonate.register('chain', function* (ctx, { id, steps }) {
      for (let index = 0; index < steps; index += 1) yield* ctx.run(step, index, 0, 0);
      probe.noteEnd(id);
      return steps;
    }),
    wait: resonate.register('wait', function* (ctx, { id }) {
      const event = yield* ctx.promise({});
      events.set(id, event.id);
      probe.noteWaiting(id);
      const data = yield* event;
      probe.noteEnd(id);
      return data;
    }),
  };
  return {
    start: (kind, id, input) => functions[kind].beginRun(id, { id, ...input }),
    result: (handle) => handle.result(),
    raise: async (_handle, id) => {
      await resonate.promises.resolve(events.get(id), { data: DATA });
    },
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) => probe.untilCompleted(total),
    activitiesRun: () => probe.activities,
    close: async () => {
      await resonate.stop();
    },
  };
}
