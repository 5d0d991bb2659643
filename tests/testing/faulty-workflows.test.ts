// Whole workflows on a store that fails all the time: every instance ends with the right result, and every activity is recorded once.
// Neighbours: fixtures/faulty-workflows.ts, faulty-stage.ts.
import { listById } from '../../src/conformance/case-kit.ts';
import { Client, Runtime, validateHistory, type Clock, type Provider, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { faulty, SimulatedClock, type FaultPlan, type FaultRates, type FaultyProvider } from 'duraloom/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';
import { seed, seeded } from '../support/seed.ts';
import { once, openReal, type STORES } from './faulty-stage.ts';
import * as workflows from './fixtures/faulty-workflows.ts';

/** All kinds on all operations: in sum a fault hits every second batch and every third other call. */
const RATES: FaultRates = {
  errorBefore: 0.06,
  errorAfter: 0.06,
  delay: 0.08,
  hang: 0.02,
  duplicate: 0.08,
  lockLost: 0.06,
  staleRead: 0.08,
  partial: 0.06,
  disconnect: 0.02,
};
const QUICK = {
  orchestrationLockMs: 400,
  activityLockMs: 400,
  retryBackoff: { initialMs: 10, maximumMs: 100 },
  storeTimeoutMs: 1_000,
  // Leases that the plan ends count as attempts, as a crash would.
  maxAttempts: 100,
} satisfies Partial<RuntimeOptions>;
/** Instances of each workflow. */
const COUNT = 4;
const ITEMS = ['a', 'b', 'c'];
/** Longest simulated time for one run, in milliseconds: an hour without an end is no end. */
const LIMIT_MS = 3_600_000;
/** As definitions: loading a module takes real time, and simulated time does not wait for it. */
const orchestrations = [workflows.order, workflows.line, workflows.countdown, workflows.collector];
const activities = [workflows.double, workflows.fail];

const EXPECTED = new Map<string, unknown>(
  Array.from({ length: COUNT }, (_, n): readonly (readonly [string, unknown])[] => [
    [`order-${n}`, { sum: (n + 1) * (n + 2), child: (n + 1) * 4, failed: 'as ever' }],
    [`countdown-${n}`, (n + 1) * (n + 2)],
    [`collector-${n}`, ITEMS],
  ]).flat(),
);

/** What a client does that does not know whether its call was done: it calls again. */
async function insist<Value>(clock: Clock, call: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as { readonly retryable?: boolean }).retryable !== true) throw error;
      await new Promise<void>((resolve) => {
        clock.setTimer(50, resolve);
      });
    }
  }
}

/** Starts everything, through the faults. Ids and keys make it safe to call again. */
async function startAll(client: Client, clock: Clock): Promise<void> {
  for (let n = 0; n < COUNT; n += 1) {
    await insist(clock, () => client.startOrchestration(`order-${n}`, workflows.order, n + 1, { onExisting: 'useExisting' }));
    await insist(clock, () =>
      client.startOrchestration(`countdown-${n}`, workflows.countdown, { left: n + 1, sum: 0 }, { onExisting: 'useExisting' }),
    );
    await insist(clock, () =>
      client.startOrchestration(`collector-${n}`, workflows.collector, ITEMS.length, { onExisting: 'useExisting' }),
    );
    for (const item of ITEMS) await insist(clock, () => client.raiseEvent(`collector-${n}`, 'item', item, { key: item }));
  }
}

/** Every instance has the right result, every history is valid, and holds one answer for each activity. */
async function check(real: Provider): Promise<void> {
  const client = new Client(real);
  for (const [instanceId, output] of EXPECTED) {
    const state = await client.getState(instanceId);
    expect({ instanceId, status: state?.status, output: state?.result }).toEqual({ instanceId, status: 'Completed', output });
    for (let executionId = 1; executionId <= (state?.executionId ?? 0); executionId += 1) {
      const events = await client.readHistory(instanceId, executionId);
      validateHistory(events);
      const scheduled = events.flatMap((event) => (event.kind === 'ActivityScheduled' ? [event.id] : []));
      const answered = events.flatMap((event) =>
        event.kind === 'ActivityCompleted' || event.kind === 'ActivityFailed' ? [event.sourceId] : [],
      );
      expect(answered.toSorted((a, b) => a - b)).toEqual(scheduled);
    }
  }
  expect(await real.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
}

async function isOver(real: Provider): Promise<boolean> {
  const records = await listById(real);
  // Children included.
  return records.length === EXPECTED.size + COUNT && records.every(({ status }) => status !== 'Pending' && status !== 'Running');
}

/** Lets simulated time pass until something is done. */
async function passUntil(clock: SimulatedClock, real: Provider, done: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await done())) {
    // A call that hangs is ended by a timer in the background, for which the clock does not stop by itself.
    if (!(await clock.runToNextTimer())) await clock.advance(QUICK.storeTimeoutMs);
    if (clock.monotonicMs() < LIMIT_MS) continue;
    const records = await listById(real);
    const stuck = records.filter(({ status }) => status === 'Pending' || status === 'Running').map(({ instanceId }) => instanceId);
    throw new TypeError(`stuck after ${LIMIT_MS} ms: ${stuck.join(', ')}; ${records.length} instances in all`);
  }
}

async function settle<Value>(clock: SimulatedClock, real: Provider, promise: Promise<Value>): Promise<Value> {
  let isSettled = false;
  const settled = promise.finally(() => (isSettled = true));
  // The loop ends by it; who awaits it below hears of a failure.
  settled.catch(() => undefined);
  await passUntil(clock, real, () => isSettled);
  return await settled;
}

/** One run in simulated time, everything in this thread. */
async function simulate(kind: (typeof STORES)[number], plan: FaultPlan): Promise<FaultyProvider> {
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const real = await openReal(kind, clock);
  const faults = faulty(real, plan, { clock });
  onTestFinished(() => faults.close());
  const options = { ...QUICK, clock, orchestrations, activities, replayThreads: 0, activityThreads: 0 };
  // A start is refused by a store that cannot be read: as a host would be, the runtime is started again.
  const runtime = await settle(
    clock,
    real,
    insist(clock, () => Runtime.start({ provider: faults, ...options })),
  );
  await settle(clock, real, startAll(new Client(faults), clock));
  await passUntil(clock, real, () => isOver(real));
  faults.calm();
  await settle(clock, real, runtime.shutdown({ timeoutMs: 1_000 }));
  await check(real);
  return faults;
}

const SEEDS = Array.from({ length: 10 }, (_, index) => seed + index);

describe(seeded('workflows on a store that fails'), () => {
  test.each(SEEDS)('in memory, seed %i', async (number) => {
    const { log } = await simulate('memory', { seed: number, rates: { any: RATES } });
    expect(log.length).toBeGreaterThan(10);
  });

  test.each(SEEDS.slice(0, 3))('in memory, seed %i, and its log makes the same faults happen again', async (number) => {
    const { log } = await simulate('memory', { seed: number, rates: { any: RATES } });
    const again = await simulate('memory', { seed: 0, script: log });
    expect(again.log).toEqual(log);
  });

  test.each(SEEDS.slice(0, 3))('in SQLite, seed %i', async (number) => {
    const { log } = await simulate('sqlite', { seed: number, rates: { any: RATES } });
    expect(log.length).toBeGreaterThan(10);
  });

  test.each(SEEDS.slice(0, 3))('in PostgreSQL, seed %i', { timeout: 60_000 }, async (number) => {
    const { log } = await simulate('postgres', { seed: number, rates: { any: RATES } });
    expect(log.length).toBeGreaterThan(10);
  });
});

describe('the start of a runtime', () => {
  test('is refused by a store that does not answer', async () => {
    const clock = new SimulatedClock(0);
    const faults = faulty(new MemoryProvider({ clock }), once('readInstances', { kind: 'hang', done: false, ms: null }), { clock });
    onTestFinished(() => faults.close());
    const started = rejection(Runtime.start({ provider: faults, ...QUICK, clock, orchestrations, replayThreads: 0 }));
    await clock.advance(QUICK.storeTimeoutMs);
    expect(await started).toMatchObject({ code: 'PROVIDER_TIMEOUT', operation: 'readInstances' });
  });
});
