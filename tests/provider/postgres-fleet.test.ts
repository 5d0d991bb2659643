// Runtimes that share a PostgreSQL: turns go to the runtime that has the instance in memory, to others when that is gone or busy; work spreads;
// clients see who is there. Neighbours: tests/integration/shutdown.test.ts (one runtime), stress/modes/fleet.ts (under fire).
import assert from 'node:assert/strict';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Client, defineActivity, defineOrchestration, Runtime, type RuntimeOptions } from 'duraloom';
import { activity, commit, newInstance, page } from '../../src/conformance/case-kit.ts';
import type { Fetched, OrchestrationItem, Provider } from '../../src/provider/provider.ts';
import { freshSchema, openPostgres } from '../support/postgres.ts';

const KEPT_MS = 60_000;

async function fetch(provider: Provider, runtimeId: string | null, waitMs = 0): Promise<Fetched<OrchestrationItem>> {
  const affinity = runtimeId === null ? {} : { affinity: { runtimeId, keptMs: KEPT_MS } };
  return await provider.fetchOrchestrationItems({ maxItems: 10, lockMs: 30_000, waitMs, ...affinity });
}

/** An instance that had its first turn in runtime a, and has a message. */
async function startInA(provider: Provider): Promise<void> {
  await provider.reportRuntime({ runtimeId: 'a', payload: '{}', ttlMs: 60_000 });
  await provider.startInstances([newInstance('i')]);
  const [item] = (await fetch(provider, 'a')).items;
  assert(item !== undefined);
  await commit(provider, item, { page: page(1) });
  await provider.enqueueMessages([{ instanceId: 'i', payload: 'm' }]);
}

describe('affinity', () => {
  test('the next turn is kept for the runtime that had the last one', async () => {
    const provider = await openPostgres();
    await startInA(provider);
    expect((await fetch(provider, 'b')).items).toEqual([]);
    expect((await fetch(provider, null)).items).toEqual([]);
    expect((await fetch(provider, 'a')).items).toHaveLength(1);
  });

  test('a runtime that says that it stops hands its instances over at once, also to who waits already', async () => {
    const provider = await openPostgres();
    await startInA(provider);
    const waiting = fetch(provider, 'b', 20_000);
    await provider.reportRuntime({ runtimeId: 'a', payload: '{}', ttlMs: 0 });
    expect((await waiting).items).toHaveLength(1);
  });

  test('a runtime that is not reported any more keeps nothing', async () => {
    const provider = await openPostgres();
    await startInA(provider);
    await provider.reportRuntime({ runtimeId: 'a', payload: '{}', ttlMs: 1 });
    // Its time is over at the latest when the next statement asks for the time.
    expect((await fetch(provider, 'b', 20_000)).items).toHaveLength(1);
  });

  test('what waits longer than it is kept goes to others, who are woken for it', async () => {
    const provider = await openPostgres({ pollMs: 3_600_000 });
    await provider.reportRuntime({ runtimeId: 'a', payload: '{}', ttlMs: 60_000 });
    await provider.startInstances([newInstance('i')]);
    const first = await provider.fetchOrchestrationItems({
      maxItems: 1,
      lockMs: 30_000,
      waitMs: 0,
      affinity: { runtimeId: 'a', keptMs: 50 },
    });
    assert(first.items[0] !== undefined);
    await commit(provider, first.items[0], { page: page(1) });
    await provider.enqueueMessages([{ instanceId: 'i', payload: 'm' }]);
    expect((await fetch(provider, 'b', 20_000)).items).toHaveLength(1);
  });
});

describe('affinity of work', () => {
  const work = async (provider: Provider, runtimeId: string | null, keptMs = KEPT_MS): Promise<readonly string[]> => {
    const affinity = runtimeId === null ? {} : { affinity: { runtimeId, keptMs } };
    const { items } = await provider.fetchWorkItems({ maxItems: 10, lockMs: 30_000, waitMs: 0, ...affinity });
    return items.map(({ instanceId }) => instanceId);
  };

  /** A turn that is committed while runtime a asks for work: it gets one item, the others wait. */
  async function scheduleInA(provider: Provider, instanceId: string, count: number): Promise<void> {
    await provider.reportRuntime({ runtimeId: 'a', payload: '{}', ttlMs: 60_000 });
    await provider.startInstances([newInstance(instanceId)]);
    const [item] = (await fetch(provider, null)).items;
    assert(item !== undefined);
    const asking = provider.fetchWorkItems({ maxItems: 1, lockMs: 30_000, waitMs: 20_000, affinity: { runtimeId: 'a', keptMs: KEPT_MS } });
    await commit(provider, item, { page: page(count + 1), workItems: Array.from({ length: count }, (_, index) => activity(index + 2)) });
    expect((await asking).items).toHaveLength(1);
  }

  test('what a turn schedules is kept for the runtime that asks for work beside it, and others get it later', async () => {
    const provider = await openPostgres();
    await scheduleInA(provider, 'i', 3);
    expect(await work(provider, 'b')).toEqual([]);
    expect(await work(provider, 'a')).toEqual(['i', 'i']);
    await scheduleInA(provider, 'j', 2);
    expect(await work(provider, 'b', 0)).toEqual(['j']);
  });

  test('who waits is woken when what is kept for another one is free', async () => {
    const provider = await openPostgres({ pollMs: 3_600_000 });
    await scheduleInA(provider, 'i', 2);
    const affinity = { runtimeId: 'b', keptMs: 50 };
    const { items } = await provider.fetchWorkItems({ maxItems: 1, lockMs: 30_000, waitMs: 20_000, affinity });
    expect(items).toHaveLength(1);
  });

  test('a runtime that stops keeps nothing, nor does one that gives items back', async () => {
    const provider = await openPostgres();
    await scheduleInA(provider, 'i', 2);
    const [item] = (
      await provider.fetchWorkItems({ maxItems: 1, lockMs: 30_000, waitMs: 0, affinity: { runtimeId: 'a', keptMs: KEPT_MS } })
    ).items;
    assert(item !== undefined);
    await provider.abandonWorkItems([{ ...item, delayMs: 0, countAttempt: false }]);
    expect(await work(provider, 'b')).toEqual(['i']);
    await scheduleInA(provider, 'j', 2);
    await provider.reportRuntime({ runtimeId: 'a', payload: '{}', ttlMs: 0 });
    expect(await work(provider, 'b')).toEqual(['j']);
  });

  test('a runtime takes its own items first', async () => {
    const provider = await openPostgres();
    await provider.startInstances([newInstance('free')]);
    const [item] = (await fetch(provider, null)).items;
    assert(item !== undefined);
    await commit(provider, item, { page: page(2), workItems: [activity(2)] });
    const [held] = (await provider.fetchWorkItems({ maxItems: 1, lockMs: 30_000, waitMs: 0 })).items;
    assert(held !== undefined);
    await scheduleInA(provider, 'own', 2);
    // It is ready now, and has been before.
    await provider.abandonWorkItems([{ ...held, delayMs: 0, countAttempt: false }]);
    expect(await work(provider, 'a')).toEqual(['own', 'free']);
  });
});

const hello = defineActivity('hello', async (_ctx, name: string) => `hello ${name}`);
const greet = defineOrchestration('greet', async (ctx, name: string) => {
  const first = await ctx.scheduleActivity(hello, name);
  ctx.setCustomStatus('waiting');
  const event = await ctx.waitForEvent<string>('go');
  return `${first}, ${event}`;
});

async function startRuntime(schema: string, options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  const provider = await openPostgres({ schema });
  const runtime = await Runtime.start({
    provider,
    orchestrations: greet,
    activities: hello,
    replayThreads: 0,
    activityThreads: 0,
    stickyTakeoverMs: KEPT_MS,
    ...options,
  });
  onTestFinished(() => runtime.shutdown());
  return runtime;
}

describe('runtimes', () => {
  test('one that shuts down hands its instances over at once', async () => {
    const schema = freshSchema();
    const first = await startRuntime(schema);
    const client = new Client(await openPostgres({ schema }));
    const handle = await client.startOrchestration('i', greet, 'Ada');
    await handle.waitForCustomStatus({ afterVersion: 0 });
    const second = await startRuntime(schema);
    await first.shutdown();
    await client.raiseEvent('i', 'go', 'bye');
    // Much sooner than the turn would have been kept for the first one.
    expect(await handle.result({ timeout: 20_000 })).toBe('hello Ada, bye');
    expect(second.stats().turnsCommitted).toBeGreaterThan(0);
  });

  test('share the limits of activities', async () => {
    const schema = freshSchema();
    const begun: (() => void)[] = [];
    const quota = { key: 'quota', concurrency: 2 };
    const use = defineActivity('use', () => new Promise<void>((resolve) => begun.push(resolve)));
    const spend = defineOrchestration('spend', async (ctx) =>
      ctx.all(Array.from({ length: 6 }, () => ctx.scheduleActivity(use, undefined, { limit: quota }))),
    );
    const options = { orchestrations: spend, activities: use };
    await startRuntime(schema, options);
    await startRuntime(schema, options);
    const client = new Client(await openPostgres({ schema }));
    const handles = await Promise.all(['i', 'j'].map((id) => client.startOrchestration(id, spend)));
    for (let ended = 0; ended <= 12; ended += 1) {
      await expect.poll(() => begun.length, { timeout: 10_000 }).toBe(Math.min(12, ended + quota.concurrency));
      const listed = (await Promise.all(handles.map((handle) => handle.listActivities()))).flat();
      expect(listed.filter(({ isRunning }) => isRunning).length).toBeLessThanOrEqual(quota.concurrency);
      begun[ended]?.();
    }
    for (const handle of handles) await handle.result({ timeout: 20_000 });
  });

  test('clients see all of them, with what they run', async () => {
    const schema = freshSchema();
    const [one, two] = [await startRuntime(schema, { nodeId: 'one' }), await startRuntime(schema, { nodeId: 'two' })];
    const client = new Client(await openPostgres({ schema }));
    const runtimes = await client.listRuntimes();
    expect(new Set(runtimes.map(({ runtimeId }) => runtimeId))).toEqual(new Set([one.runtimeId, two.runtimeId]));
    expect(runtimes.map(({ orchestrations, activities }) => [orchestrations[0]?.name, activities[0]?.name])).toEqual([
      ['greet', 'hello'],
      ['greet', 'hello'],
    ]);
    await one.shutdown();
    expect((await client.listRuntimes()).map(({ nodeId }) => nodeId)).toEqual(['two']);
  });

  test('work of one instance spreads over them', async () => {
    const schema = freshSchema();
    const many = defineOrchestration('many', async (ctx, count: number) => {
      const results = await ctx.all(Array.from({ length: count }, (_, index) => ctx.scheduleActivity(hello, String(index))));
      return results.length;
    });
    // Nothing is kept for the one that has the instance: it would have done all by then.
    const options = { orchestrations: many, activitiesPerThread: 2, stickyTakeoverMs: 0 };
    const runtimes = [await startRuntime(schema, options), await startRuntime(schema, options)];
    const client = new Client(await openPostgres({ schema }));
    const handle = await client.startOrchestration('i', many, 400);
    expect(await handle.result({ timeout: 25_000 })).toBe(400);
    for (const runtime of runtimes) expect(runtime.stats().activitiesCompleted).toBeGreaterThan(0);
  });
});
