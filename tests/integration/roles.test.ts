// Runtimes with one role: orchestrations only, activities only, or nothing but a client.
import { Client } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { startHost } from '../support/integration-child.ts';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { modules, PATIENCE, quick, stage } from '../support/integration-stage.ts';
import type { Place } from './fixtures/activities.ts';

const { orchestrations, activities } = modules;

describe('one runtime for orchestrations and one for activities', () => {
  test('do the work together, each its own part', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const replaying = await stand.startRuntime({ provider, ...quick, orchestrations });
    const handle = await client.startOrchestration<Place[]>('both', 'fan', { activity: 'locate', count: 10 });
    expect(replaying.activities).toEqual([]);
    const working = await stand.startRuntime({ provider, ...quick, activities });
    expect(working.orchestrations).toEqual([]);
    expect(await handle.result({ timeout: PATIENCE })).toHaveLength(10);
    expect(replaying.stats()).toMatchObject({ activitiesCompleted: 0, stickyInstances: 0 });
    expect(working.stats()).toMatchObject({ activitiesCompleted: 10, turnsCommitted: 0 });
    expect(replaying.stats().turnsCommitted).toBeGreaterThan(0);
  });

  test('do so in two processes', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const working = await startHost(stand, { activities: activities.href });
    const replaying = await startHost(stand, { orchestrations: orchestrations.href });
    const handle = await client.startOrchestration<Place[]>('both', 'fan', { activity: 'locate', count: 10 });
    const places = await handle.result({ timeout: PATIENCE });
    expect(new Set(places.map(({ pid }) => pid))).toEqual(new Set([working.pid]));
    expect((await replaying.stop()).code).toBe(0);
    expect((await working.stop()).code).toBe(0);
  });

  test('pass a cancellation on with the next renewal of the lease', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const logger = new LogBook();
    await stand.startRuntime({ provider, ...quick, orchestrations });
    await stand.startRuntime({ provider, ...quick, activities, activityLockMs: 300, logger });
    await client.startOrchestration('cancelled', 'call', { activity: 'hold', input: 'roles' });
    await logger.message('holding', 'cancelled');
    await client.cancel('cancelled');
    await logger.message('aborted', 'cancelled');
  });
});

describe('a runtime with one role', () => {
  test('keeps what it cannot do for a runtime that can', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const working = await stand.startRuntime({ provider, ...quick, activities, activityThreads: 0 });
    const handle = await client.startOrchestration('kept', 'chain', 3);
    await working.shutdown();
    expect(await handle.state()).toMatchObject({ status: 'Pending' });
    const replaying = await stand.startRuntime({ provider, ...quick, orchestrations, replayThreads: 0 });
    const started = await client.startOrchestration('started', 'raceLoser', 'kept');
    await client.raiseEvent('started', 'decide');
    await client.waitForCustomStatus('started', { afterVersion: 0, timeout: PATIENCE });
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 1 });
    await replaying.shutdown();
    await stand.startRuntime({ provider, ...quick, orchestrations, activities, replayThreads: 0, activityThreads: 0 });
    expect(await handle.result({ timeout: PATIENCE })).toBe(6);
    await client.raiseEvent('started', 'end');
    expect(await started.result({ timeout: PATIENCE })).toBe('decided');
  });

  test('renews the lease of a long activity while the other role is away', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const replaying = await stand.startRuntime({ provider, ...quick, orchestrations, replayThreads: 0 });
    const logger = new LogBook();
    const working = await stand.startRuntime({ provider, ...quick, activities, activityLockMs: 600, logger });
    // Longer than several leases, on a thread that is busy all the time.
    const busy = await client.startOrchestration<Place>('busy', 'call', { activity: 'spin', input: 1_500 });
    const held = await client.startOrchestration<Place>('held', 'call', { activity: 'hold', input: 'busy' });
    expect(await busy.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
    await logger.message('holding', 'held');
    await replaying.shutdown();
    release('busy');
    await working.shutdown();
    expect(working.stats()).toMatchObject({ activitiesCompleted: 2 });
    await stand.startRuntime({ provider, ...quick, orchestrations, replayThreads: 0 });
    expect(await held.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
  });
});
