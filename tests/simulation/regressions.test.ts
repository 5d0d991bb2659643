// What simulated worlds have found, each as a test of its own, with the seed that found it (its world may have changed since).
import { Client, defineOrchestration, Runtime } from 'duraloom';
import { faulty, MemoryProvider, SimulatedClock } from 'duraloom/testing';
import { expect, test } from 'vitest';

const START_MS = Date.UTC(2030, 0, 1);

test('a runtime without room fetches again when it loses the lease of a turn that waits for its history (seed 1921641742)', async () => {
  const clock = new SimulatedClock(START_MS);
  const provider = faulty(
    new MemoryProvider({ clock }),
    { seed: 1, script: [{ operation: 'renewOrchestrationLocks', call: 1, fault: { kind: 'lockLost' } }] },
    { clock },
  );
  const waits = defineOrchestration('waits', (ctx) => ctx.waitForEvent<string>('go'));
  // Every turn reads its history, and there is room for one.
  const runtime = await Runtime.start({ provider, clock, orchestrations: waits, replayThreads: 0, stickyCacheMb: 0, turnsPerThread: 1 });
  const client = new Client(provider, { clock });
  await client.startOrchestration('w', waits);
  await clock.advance(10);
  const point = provider.debugPoint('readHistory:before');
  await client.raiseEvent('w', 'go', 'here');
  await clock.advance(10);
  await point.reached;
  // The lease is renewed meanwhile, and is found to be lost.
  await clock.advance(10_000);
  expect(provider.log).toHaveLength(1);
  point.release();
  await clock.advance(10);
  expect(await client.getState('w')).toMatchObject({ status: 'Completed', result: 'here' });
  const stopped = runtime.shutdown();
  await clock.advance(10);
  await stopped;
});
