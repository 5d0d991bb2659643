// The client together with runtimes: what one asks for, orchestration code sees, and the other way round. Options of both.
import { Client, defineActivity, defineOrchestration, Runtime, type Provider, type RuntimeOptions, type WorkFetchParams } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SqliteProvider } from 'duraloom/sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PATIENCE, quick, rejection, stage } from '../support/integration-stage.ts';

const inline = { ...quick, replayThreads: 0, activityThreads: 0 };

/** Takes as many events as it is told, and then one that ends it. */
const collector = defineOrchestration('collector', async (ctx, count: number) => {
  const taken: unknown[] = [];
  while (taken.length < count) taken.push(await ctx.waitForEvent('item'));
  await ctx.waitForEvent('end');
  return taken;
});

/** Writes values, one after each event. */
const writer = defineOrchestration('writer', async (ctx, values: readonly string[]) => {
  for (const value of values) {
    ctx.kv.set('step', { value });
    await ctx.waitForEvent('next');
  }
  return 'written';
});

/** Reads a value of another instance. */
const reader = defineOrchestration('reader', async (ctx, { from, key }: { readonly from: string; readonly key: string }) => ({
  value: await ctx.getValueFromInstance(from, key),
}));

const listener = defineOrchestration('listener', async (ctx, pattern: string) => {
  const subscription = ctx.subscribe<number>(pattern);
  ctx.setCustomStatus('listening');
  return [await subscription.next(), await subscription.next()];
});

/** Tells how its child ended. */
const guardian = defineOrchestration('guardian', async (ctx, child: string) => {
  try {
    const ended = ctx.scheduleSubOrchestration('collector', 1, { instanceId: child });
    ctx.setCustomStatus('started');
    return await ended;
  } catch (error) {
    return { code: (error as { readonly code?: string }).code, message: (error as Error).message };
  }
});

const impatient = defineOrchestration('impatient', async (ctx, tag: string) => {
  try {
    return await ctx.scheduleActivity('render', null, { tag, expiresAfterMs: 50 });
  } catch (error) {
    return (error as { readonly code?: string }).code;
  }
});

const orchestrations = [collector, writer, reader, listener, guardian, impatient];
const activities = defineActivity('render', () => 'rendered');

/** Opens a provider, starts a runtime, and closes both when the test is over. */
async function open(
  store: 'memory' | 'sqlite',
  options: Partial<RuntimeOptions> = {},
): Promise<{ readonly client: Client; readonly provider: Provider; readonly runtime: Runtime }> {
  const provider = await openProvider(store);
  const runtime = await Runtime.start({ provider, ...inline, orchestrations, ...options });
  onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
  return { client: new Client(provider), provider, runtime };
}

async function openProvider(store: 'memory' | 'sqlite'): Promise<Provider> {
  const stand = stage();
  const provider = store === 'memory' ? new MemoryProvider() : await SqliteProvider.open(stand.file());
  onTestFinished(() => provider.close());
  return provider;
}

describe.each(['memory', 'sqlite'] as const)('on %s', (store) => {
  test('an event with a key is taken once, and its receipt is known', async () => {
    const { client } = await open(store);
    const handle = await client.startOrchestration('a', collector, 2);
    await handle.raiseEvent('item', 1, { key: 'first' });
    expect(await handle.waitForReceipt('first', { timeout: PATIENCE })).toBe('received');
    expect(await handle.raiseEvent('item', 1, { key: 'first' })).toEqual({ delivered: true, key: 'first' });
    await handle.raiseEvent('item', 2, { key: 'second' });
    await handle.raiseEvent('end');
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2]);
    expect(await handle.waitForReceipt('second')).toBe('received');
    expect(await handle.raiseEvent('item', 3, { key: 'third' })).toEqual({ delivered: false, key: 'third' });
    expect(await handle.waitForReceipt('third')).toBe('dropped');
  });

  test('values are read and waited for, by clients and by orchestrations', async () => {
    const { client } = await open(store);
    const handle = await client.startOrchestration('w', writer, ['one', 'two']);
    expect(await handle.waitForValue('step', { timeout: PATIENCE })).toEqual({ value: 'one' });
    const changed = handle.waitForValue('step', { unless: { value: 'one' }, timeout: PATIENCE });
    await handle.raiseEvent('next');
    expect(await changed).toEqual({ value: 'two' });
    await handle.raiseEvent('next');
    expect(await handle.result({ timeout: PATIENCE })).toBe('written');
    expect([...(await handle.getValues())]).toEqual([['step', { value: 'two' }]]);
    const found = await client.startOrchestration('r', reader, { from: 'w', key: 'step' });
    expect(await found.result({ timeout: PATIENCE })).toEqual({ value: { value: 'two' } });
    const missing = await client.startOrchestration('m', reader, { from: 'nobody', key: 'step' });
    expect(await missing.result({ timeout: PATIENCE })).toEqual({});
  });

  test('publications reach who listens', async () => {
    const { client } = await open(store);
    const handle = await client.startOrchestration('l', listener, 'orders/*');
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    expect(await client.publish('orders/created', 1)).toBe(1);
    expect(await client.publish('bills/created', 2)).toBe(0);
    expect(await client.publish('orders/shipped', 3)).toBe(1);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([
      { topic: 'orders/created', data: 1 },
      { topic: 'orders/shipped', data: 3 },
    ]);
  });

  test('a parent hears of the termination of its child', async () => {
    const { client } = await open(store);
    const handle = await client.startOrchestration('p', guardian, 'child');
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await client.terminate('child', 'enough');
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ code: 'ORCHESTRATION_TERMINATED', message: 'enough' });
  });

  test('a suspended instance goes on where it was', async () => {
    const { client } = await open(store);
    const handle = await client.startOrchestration('s', collector, 1);
    await handle.raiseEvent('item', 1, { key: 'k' });
    await handle.waitForReceipt('k', { timeout: PATIENCE });
    await handle.suspend();
    await handle.raiseEvent('end');
    expect(await handle.state()).toMatchObject({ status: 'Suspended' });
    expect(await handle.resume()).toEqual({ done: true });
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1]);
  });

  test('an instance can be terminated and started anew', async () => {
    const { client } = await open(store);
    const handle = await client.startOrchestration('a', collector, 1);
    await handle.raiseEvent('item', 'old', { key: 'k' });
    await handle.waitForReceipt('k', { timeout: PATIENCE });
    await handle.terminate('again');
    expect(await rejection(handle.result())).toMatchObject({ code: 'ORCHESTRATION_TERMINATED', cause: { message: 'again' } });
    const again = await client.startOrchestration('a', collector, 1, { onExisting: 'replaceTerminal' });
    await again.raiseEvent('item', 'new');
    await again.raiseEvent('end');
    expect(await again.result({ timeout: PATIENCE })).toEqual(['new']);
    const third = await client.startOrchestration('a', collector, 0, { onExisting: 'terminateExisting' });
    await third.raiseEvent('end');
    expect(await third.result({ timeout: PATIENCE })).toEqual([]);
  });

  test('an activity that nobody takes ends by its expiry', async () => {
    const { client } = await open(store, { activities });
    const handle = await client.startOrchestration('i', impatient, 'gpu');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ACTIVITY_EXPIRED');
  });

  test('runtimes are listed while they run', async () => {
    const { client, provider, runtime } = await open(store, { nodeId: 'one', activities, tags: 'any' });
    const [listed, ...others] = await client.listRuntimes();
    expect(others).toEqual([]);
    expect(listed).toMatchObject({ runtimeId: runtime.runtimeId, nodeId: 'one', activities: [{ name: 'render' }], tags: 'any' });
    expect(listed?.orchestrations.map(({ name, version }) => `${name}@${version}`)).toContain('collector@1.0.0');
    const second = await Runtime.start({ provider, ...inline, orchestrations: collector });
    expect(await client.listRuntimes()).toHaveLength(2);
    expect(second.nodeId).toMatch(/^[\da-f-]{36}$/);
    await second.shutdown();
    expect((await client.listRuntimes()).map(({ nodeId }) => nodeId)).toEqual(['one']);
  });

  test("a runtime with the tags 'none' does not even ask for activities", async () => {
    const provider = await openProvider(store);
    const asked: (string | undefined)[] = [];
    const watched = new Proxy(provider, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (name === 'fetchWorkItems') asked.push(describeSelect(args[0] as WorkFetchParams));
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
    const runtime = await Runtime.start({ provider: watched, ...inline, orchestrations, activities, tags: 'none' });
    onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
    expect(runtime.activities).toEqual([]);
    const client = new Client(provider);
    const handle = await client.startOrchestration('i', impatient, 'gpu');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ACTIVITY_EXPIRED');
    expect(new Set(asked)).toEqual(new Set(['only duraloom:system', 'expired']));
    expect(await client.listRuntimes()).toMatchObject([{ activities: [], tags: 'none' }]);
  });
});

function describeSelect({ select }: WorkFetchParams): string | undefined {
  if (select?.kind !== 'queue') return select?.kind;
  return 'tags' in select.tags ? `${select.tags.kind} ${select.tags.tags.join()}` : select.tags.kind;
}

describe('options of a runtime', () => {
  const valid: RuntimeOptions = { provider: new MemoryProvider(), orchestrations: collector, replayThreads: 0 };

  test.each([
    ['nodeId', '', '1 to 256'],
    ['nodeId', 7, '1 to 256'],
    ['tags', 'gpu', "'default', 'any', 'none'"],
    ['tags', ['gpu'], "'default', 'any', 'none'"],
    ['tags', {}, "'default', 'any', 'none'"],
    ['tags', { only: ['a'], defaultAnd: ['b'] }, "'default', 'any', 'none'"],
    ['tags', { only: [] }, '1 to 16'],
    ['tags', { only: 'gpu' }, '1 to 16'],
    ['tags', { defaultAnd: Array.from({ length: 17 }, (_, index) => `t${index}`) }, '1 to 16'],
    ['tags', { only: [''] }, '1 to 256'],
    ['tags', { only: [7] }, '1 to 256'],
    ['tags', { defaultAnd: ['duraloom:system'] }, 'duraloom:'],
    ['maxSessions', -1, '0 to 10000'],
    ['sessionLeaseMs', 199, '200 to 3600000'],
    ['sessionIdleMs', 0, '200 to 604800000'],
    ['activityGraceMs', -1, '0 to 3600000'],
    ['versionPolicy', '^1.2', '^1.2'],
    ['versionPolicy', [], '^1.2'],
    ['versionPolicy', { collector: 'newest' }, 'latest'],
    ['versionPolicy', { collector: 7 }, 'latest'],
  ])('%s: %j is refused', async (name, value, range) => {
    const start = Runtime.start({ ...valid, [name]: value });
    // Should it be accepted, it must not run on.
    start.then(
      (runtime) => runtime.shutdown(),
      () => undefined,
    );
    const error = await rejection(start);
    expect(error).toMatchObject({ name: 'OptionError', code: 'OPTION_INVALID' });
    expect(error.message).toContain(`\`${name}\``);
    expect(error.message).toContain(range);
  });

  test("the tags 'none' leave nothing to a runtime of activities", async () => {
    const { provider } = valid;
    const error = await rejection(Runtime.start({ provider, activities, activityThreads: 0, tags: 'none' }));
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).toContain('`tags`');
  });
});
