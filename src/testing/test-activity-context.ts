// The `ctx` of activities in a test runtime: that of production, with waits that let simulated time pass. Neighbour: activity-calls.ts.
import type { SimulatedClock } from '../provider/simulated-clock.ts';
import type { ActivityClient, ActivityContext } from '../types/context.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';

/** What mocks of activities get: the context of an activity, and simulated time. */
export interface TestActivityContext extends ActivityContext {
  /**
   * Takes simulated time: time passes meanwhile, as it does for a real activity that is slow.
   *
   * @param duration - how long
   * @returns when that time has passed; rejects when the activity is cancelled or times out
   */
  sleep(duration: Duration): Promise<void>;
}

/** Marks a wait during which simulated time may pass. */
type Waiter = <Value>(wait: Promise<Value>) => Promise<Value>;

/**
 * Makes the context.
 *
 * @param ctx - what the activity would get in production
 * @param clock - of the runtime
 * @param waiting - told of each wait for simulated time or the store
 * @returns the same with `sleep`
 */
export function makeTestContext(ctx: ActivityContext, clock: SimulatedClock, waiting: Waiter): TestActivityContext {
  const { instanceId, executionId, eventId, name, attempt, tag, sessionId, deadline, log, trace } = ctx;
  let client: ActivityClient | null = null;
  return {
    instanceId,
    executionId,
    eventId,
    name,
    attempt,
    tag,
    sessionId,
    deadline,
    log,
    trace,
    get heartbeatDetails() {
      return ctx.heartbeatDetails;
    },
    get signal() {
      return ctx.signal;
    },
    get client() {
      client ??= makeTestClient(ctx.client, waiting);
      return client;
    },
    heartbeat: (details) => ctx.heartbeat(details),
    receive: <Data>() => waiting(ctx.receive<Data>()),
    sleep: (duration) => waiting(sleep(ctx.signal, clock, toMilliseconds(duration, 'duration'))),
  };
}

function makeTestClient(client: ActivityClient, waiting: Waiter): ActivityClient {
  return {
    startOrchestration: async (...args) => {
      const handle = await waiting(client.startOrchestration(...args));
      return { instanceId: handle.instanceId, result: (options) => waiting(handle.result(options)) };
    },
    raiseEvent: (...args) => waiting(client.raiseEvent(...args)),
    publish: (...args) => waiting(client.publish(...args)),
    cancel: (...args) => waiting(client.cancel(...args)),
    terminate: (...args) => waiting(client.terminate(...args)),
    getState: (...args) => waiting(client.getState(...args)),
    getValue: (...args) => waiting(client.getValue(...args)),
  };
}

function sleep(signal: AbortSignal, clock: SimulatedClock, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const onAbort = (): void => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.setTimer(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
