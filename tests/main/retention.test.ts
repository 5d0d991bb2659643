// What retention deletes and what it keeps, on real stores in simulated time; the last tests run a whole runtime.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Client, defineOrchestration, Runtime } from 'duraloom';
import { commit, fetchOne, link, listById, newInstance, nextExecution } from '../../src/conformance/case-kit.ts';
import { RetentionSweeper } from '../../src/main/retention.ts';
import { readRetention, type RetentionOptions } from '../../src/main/retention-options.ts';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import type { OrchestrationAck, Provider } from '../../src/provider/provider.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { silentLogger } from '../../src/types/logger.ts';

const HOUR_MS = 3_600_000;

async function open(store: 'memory' | 'sqlite'): Promise<{ readonly provider: Provider; readonly clock: SimulatedClock }> {
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-retention-'));
  const provider = store === 'memory' ? new MemoryProvider({ clock }) : await SqliteProvider.open(join(folder, 'store.db'), { clock });
  onTestFinished(async () => {
    await provider.close();
    rmSync(folder, { recursive: true });
  });
  return { provider, clock };
}

function sweep(
  provider: Provider,
  clock: SimulatedClock,
  retention: RetentionOptions,
  registered: readonly string[] = [],
): RetentionSweeper {
  const sweeper = new RetentionSweeper({ provider, clock, logger: silentLogger, retention: readRetention(retention) });
  sweeper.start(registered);
  return sweeper;
}

async function finish(provider: Provider, instanceId: string, status: OrchestrationAck['status'], name = 'order'): Promise<void> {
  await provider.startInstances([newInstance(instanceId, { name })]);
  await commit(provider, await fetchOne(provider), { status, output: '1' });
}

/** Lets time pass in steps: nothing else stops the clock for a sweep, which is background. */
async function pass(clock: SimulatedClock, ms: number): Promise<void> {
  for (let step = 0; step < 100; step += 1) await clock.advance(Math.ceil(ms / 100));
}

const idsOf = async (provider: Provider): Promise<readonly string[]> => (await listById(provider)).map(({ instanceId }) => instanceId);

describe.each(['memory', 'sqlite'] as const)('retention on %s', (store) => {
  test('deletes what ended long ago, what failed later, and nothing that lives', async () => {
    const { provider, clock } = await open(store);
    await finish(provider, 'done', 'Completed');
    await finish(provider, 'failed', 'Failed');
    await provider.startInstances([newInstance('living')]);
    const sweeper = sweep(provider, clock, { rules: [{ keepFor: '1h', keepFailedFor: '3h' }], every: '1m' }, ['order']);
    await pass(clock, HOUR_MS - 60_000);
    expect(await idsOf(provider)).toEqual(['done', 'failed', 'living']);
    await pass(clock, 3 * 60_000);
    expect(await idsOf(provider)).toEqual(['failed', 'living']);
    await pass(clock, 2 * HOUR_MS);
    expect(await idsOf(provider)).toEqual(['living']);
    await sweeper.stop();
  });

  test('keeps the newest of a number, for each name by its own rule', async () => {
    const { provider, clock } = await open(store);
    for (let index = 0; index < 60; index += 1) {
      await clock.advance(1);
      await finish(provider, `order-${String(index).padStart(2, '0')}`, 'Completed');
      if (index < 4) await finish(provider, `audit-${index}`, 'Completed', 'audit');
    }
    const sweeper = sweep(provider, clock, { rules: [{ keepLast: 2 }, { name: 'audit', keepLast: 3 }], every: '1s' }, ['order', 'audit']);
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual(['audit-1', 'audit-2', 'audit-3', 'order-58', 'order-59']);
    await sweeper.stop();
  });

  test('leaves what a living parent waits for, and takes children along', async () => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('parent')]);
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
    await provider.startInstances([newInstance('child', { parent: link('parent') })]);
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
    const sweeper = sweep(provider, clock, { rules: [{ name: 'order', keepFor: '1s' }], every: '1s' });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual(['child', 'parent']);
    await provider.enqueueMessages([{ instanceId: 'parent', payload: 'go' }]);
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual([]);
    await sweeper.stop();
  });

  test('prunes executions of those that continue as new', async () => {
    const { provider, clock } = await open(store);
    const sweeper = sweep(provider, clock, { rules: [{ name: 'order', keepExecutions: 2 }], every: '1s' });
    const watched = sweeper.watch(provider);
    await provider.startInstances([newInstance('eternal')]);
    for (let execution = 1; execution <= 5; execution += 1) {
      await commit(watched, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' }, next: nextExecution });
    }
    expect(await provider.listExecutions('eternal')).toHaveLength(6);
    await pass(clock, 5_000);
    expect((await provider.listExecutions('eternal')).map(({ executionId }) => executionId)).toEqual([5, 6]);
    await sweeper.stop();
  });

  test('goes on after the store failed', async () => {
    const { provider, clock } = await open(store);
    await finish(provider, 'done', 'Completed');
    const lines: string[] = [];
    let failures = 1;
    const shaky = new Proxy(provider, {
      get: (target, name: keyof Provider) => {
        if (name === 'deleteInstances' && failures > 0) {
          failures -= 1;
          return () => Promise.reject(new TypeError('the disk is gone'));
        }
        const value = target[name] as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const logger = { ...silentLogger, warn: (_fields: object, message: string) => void lines.push(message) };
    const retention = readRetention({ rules: [{ name: 'order', keepFor: '1s' }], every: '1s' });
    const sweeper = new RetentionSweeper({ provider: shaky, clock, logger, retention });
    sweeper.start([]);
    await pass(clock, 5_000);
    expect(lines).toEqual(['a sweep of retention failed; the next one follows in time']);
    await pass(clock, 5_000);
    expect(await idsOf(provider)).toEqual([]);
    await sweeper.stop();
  });

  test('is done by a runtime that has rules', async () => {
    const { provider, clock } = await open(store);
    const quick = defineOrchestration('quick', async () => 'done');
    const retention = { rules: [{ keepFor: '10s' }], every: '5s' } as const;
    const runtime = await Runtime.start({ provider, clock, orchestrations: quick, replayThreads: 0, retention });
    const client = new Client(provider, { clock });
    const handle = await client.startOrchestration('a', quick);
    expect(await handle.result()).toBe('done');
    await pass(clock, 30_000);
    expect(await client.getState('a')).toBeNull();
    await runtime.shutdown();
  });
});

test.each([
  [{ rules: [] }, 'rules'],
  [{ rules: [{}] }, 'keepFor'],
  [{ rules: [{ keepFor: 'soon' }] }, 'keepFor'],
  [{ rules: [{ keepLast: -1 }] }, 'keepLast'],
  [{ rules: [{ keepExecutions: 0 }] }, 'keepExecutions'],
  [{ rules: [{ keepFor: '1h' }, { keepLast: 5 }] }, 'one rule'],
  [{ rules: [{ name: '', keepLast: 5 }] }, 'name'],
  [{ rules: [{ keepLast: 5, age: 3 }] }, 'age'],
  [{ rules: [{ keepLast: 5 }], every: '1ms' }, 'every'],
  [5, 'retention'],
])('rules such as %j are refused', (retention, named) => {
  const refused = (): unknown => readRetention(retention as RetentionOptions);
  expect(refused).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(named) as string }) as Error);
});
