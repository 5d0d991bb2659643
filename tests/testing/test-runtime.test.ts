// The test kit as its users use it: time that skips, mocks, waits, what activities did. Neighbours: test-runtime-rest.test.ts (when time stands
// still), test-runtime-end.test.ts (stuck tests, the shutdown), test-runtime-types.test.ts.
import { defineActivity, defineOrchestration, withPrefix } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { createTestRuntime, MemoryProvider, type TestRuntime, type TestRuntimeOptions } from 'duraloom/testing';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { rejection, stage } from '../support/integration-stage.ts';
import * as activities from './fixtures/shop-activities.ts';
import * as orchestrations from './fixtures/shop-orchestrations.ts';

type Shop = typeof activities;

/** A shop that is shut down when the test is over. */
async function openShop(options: Partial<TestRuntimeOptions<Shop>> = {}): Promise<TestRuntime<Shop>> {
  const runtime = await createTestRuntime<Shop>({ orchestrations, activities, ...options });
  onTestFinished(() => runtime.shutdown());
  return runtime;
}

const order = { id: 'a', cents: 100 };

describe('time', () => {
  test('skips: a subscription of a year ends in milliseconds, a year later', async () => {
    const runtime = await openShop({ startTime: '2031-01-15T00:00:00Z' });
    const startedMs = performance.now();
    const handle = await runtime.start(orchestrations.subscription, { months: 12 });
    expect(await handle.result()).toBe('expired');
    expect(runtime.now).toEqual(new Date('2032-01-15T00:00:00Z'));
    const months = Array.from({ length: 12 }, (_, month) => new Date(Date.UTC(2031, month, 15)));
    expect(runtime.calls('charge').map(({ startedAt }) => startedAt)).toEqual(months);
    // Far more than it takes, far less than a timer that is not skipped.
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test('passes by hand, and stops at every timer on the way', async () => {
    const runtime = await openShop();
    await runtime.start(orchestrations.subscription, { months: 12 });
    await runtime.advance('40d');
    expect(runtime.now).toEqual(new Date('2030-02-10T00:00:00Z'));
    expect(runtime.calls('charge').map(({ startedAt }) => startedAt.toISOString())).toEqual([
      '2030-01-01T00:00:00.000Z',
      '2030-02-01T00:00:00.000Z',
    ]);
    await runtime.advance(0);
    expect(runtime.now).toEqual(new Date('2030-02-10T00:00:00Z'));
  });

  test('stands still while the test waits for nothing', async () => {
    const runtime = await openShop();
    const handle = await runtime.start(orchestrations.checkout, order);
    await handle.waitForCustomStatus({ afterVersion: 0 });
    await handle.raiseEvent('stock', 'Rome');
    for (let state = await handle.state(); state.status !== 'Completed'; state = await handle.state()) await nextLoop();
    expect(runtime.now).toEqual(new Date('2030-01-01T00:00:00Z'));
  });

  test('goes on by itself for whoever waits through the client: a status, a value, a receipt', async () => {
    const slow = defineOrchestration('slow', async (ctx) => {
      await ctx.scheduleTimer('1h');
      ctx.setCustomStatus('late');
      await ctx.scheduleTimer('1h');
      ctx.kv.set('answer', 42);
      await ctx.scheduleTimer('1h');
      ctx.startOrchestration('poster', 'poster-1', ctx.instanceId);
      return await ctx.waitForEvent<number>('post');
    });
    const poster = defineOrchestration('poster', async (ctx, instanceId: string) => {
      await ctx.scheduleActivity('post', instanceId);
    });
    const post = defineActivity('post', async (ctx, instanceId: string) => {
      await ctx.client.raiseEvent(instanceId, 'post', 7, { key: 'the post' });
    });
    const runtime = await createTestRuntime({ orchestrations: [slow, poster], activities: post });
    onTestFinished(() => runtime.shutdown());
    const handle = await runtime.start(slow);
    const hours = (): number => (runtime.now.getTime() - Date.UTC(2030, 0, 1)) / 3_600_000;
    expect([(await handle.waitForCustomStatus({ afterVersion: 0 })).customStatus, hours()]).toEqual(['late', 1]);
    expect([await handle.waitForValue('answer'), hours()]).toEqual([42, 2]);
    expect(await handle.waitForReceipt('the post')).toBe('received');
    expect(await handle.result()).toBe(7);
    expect(Math.floor(hours())).toBe(3);
  });

  test('of a wait with a limit goes to the limit and not beyond', async () => {
    const runtime = await openShop();
    const handle = await runtime.start(orchestrations.checkout, order);
    expect(await rejection(handle.result({ timeout: '2d' }))).toMatchObject({ code: 'WAIT_TIMEOUT' });
    expect(runtime.now).toEqual(new Date('2030-01-03T00:00:00Z'));
    expect(await handle.result({ timeout: '10d' })).toBe('no receipt of a for 100');
    expect(runtime.now).toEqual(new Date('2030-01-08T00:00:00Z'));
  });

  test.each([
    ['a Date', new Date(5_000)],
    ['milliseconds', 5_000],
    ['text', '1970-01-01T00:00:05.000Z'],
  ])('starts at %s', async (_, startTime) => {
    const runtime = await openShop({ startTime });
    expect(runtime.now.getTime()).toBe(5_000);
  });

  test('passes although the test runner has replaced the timers of Node', async () => {
    const runtime = await openShop();
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const handle = await runtime.start(orchestrations.checkout, order);
    expect(await handle.result()).toBe('no receipt of a for 100');
  });
});

describe('activities', () => {
  test('run for real unless they are mocked', async () => {
    const runtime = await openShop({ mocks: { ship: (ctx, id) => ({ parcel: `mock of ${ctx.name} ${id}` }) } });
    const handle = await runtime.start(orchestrations.checkout, order);
    await handle.raiseEvent('stock', 'Rome');
    expect(await handle.result()).toBe('mock of ship a from Rome');
    expect(runtime.calls().map(({ name, result }) => [name, result])).toEqual([
      ['charge', 'receipt of a for 100'],
      ['ship', { parcel: 'mock of ship a' }],
    ]);
  });

  test('need no implementation when all that are called are mocked', async () => {
    const charge = vi.fn<(ctx: unknown, given: activities.Order) => string>(() => 'receipt');
    const runtime = await createTestRuntime<Shop>({ orchestrations, mocks: { charge, refund: async (_, receipt) => `back: ${receipt}` } });
    onTestFinished(() => runtime.shutdown());
    expect(await (await runtime.start(orchestrations.checkout, order)).result()).toBe('back: receipt');
    expect(charge.mock.calls.map(([, given]) => given)).toEqual([order]);
  });

  test('are recorded with every attempt', async () => {
    const runtime = await openShop({
      mocks: {
        charge: (ctx) => {
          if (ctx.attempt < 3) throw new RangeError(`attempt ${ctx.attempt}`);
          return 'paid';
        },
      },
    });
    const handle = await runtime.start(orchestrations.checkout, order, { instanceId: 'order-7' });
    expect(await runtime.waitFor('charge')).toMatchObject({ attempt: 3, status: 'completed', result: 'paid' });
    const common = { name: 'charge', instanceId: 'order-7', executionId: 1, eventId: 2, input: order };
    const at = (seconds: number): Date => new Date(Date.UTC(2030, 0, 1, 0, 0, seconds));
    const failed = { ...common, status: 'failed', result: undefined };
    expect(runtime.calls('charge')).toEqual([
      { ...failed, attempt: 1, error: new RangeError('attempt 1'), startedAt: at(0), endedAt: at(0) },
      { ...failed, attempt: 2, error: new RangeError('attempt 2'), startedAt: at(20), endedAt: at(20) },
      { ...common, attempt: 3, status: 'completed', result: 'paid', error: undefined, startedAt: at(60), endedAt: at(60) },
    ]);
    expect(runtime.calls('ship')).toEqual([]);
    expect((await handle.state()).customStatus).toBe('paid');
  });

  test('that are mocked keep the schemas of the real ones', async () => {
    const wrong: unknown = 5;
    const runtime = await openShop({ mocks: { charge: () => wrong as string } });
    const handle = await runtime.start(orchestrations.checkout, order);
    expect(await rejection(handle.result())).toMatchObject({ cause: { code: 'SCHEMA_MISMATCH' } });
  });

  test('get sessions, tags and messages as in production', async () => {
    const talk = defineOrchestration('talk', async (ctx) => {
      const answer = ctx.scheduleActivity('listen', undefined, { sessionId: 'a session', tag: 'gpu' });
      await ctx.scheduleTimer('1h');
      ctx.sendToSession('a session', 'hello');
      return await answer;
    });
    const runtime = await createTestRuntime({
      orchestrations: talk,
      mocks: { listen: async (ctx) => `${ctx.tag}, ${ctx.sessionId}: ${await ctx.receive<string>()}` },
    });
    onTestFinished(() => runtime.shutdown());
    expect(await (await runtime.start(talk)).result()).toBe('gpu, a session: hello');
  });
});

describe('waitFor', () => {
  test('returns when the orchestration has heard of it, at that time', async () => {
    const runtime = await openShop();
    const handle = await runtime.start(orchestrations.checkout, order);
    expect(await runtime.waitFor('charge', 'completed')).toMatchObject({ input: order, result: 'receipt of a for 100' });
    expect([(await handle.state()).customStatus, runtime.now]).toEqual(['paid', new Date('2030-01-01T00:00:00Z')]);
    await handle.raiseEvent('stock', 'Rome');
    expect(await handle.result()).toBe('parcel a from Rome');
  });

  test('also of what has happened before', async () => {
    const runtime = await openShop();
    await (await runtime.start(orchestrations.checkout, order)).result();
    const before = runtime.now;
    expect(await runtime.waitFor('refund')).toMatchObject({ status: 'completed' });
    expect(await runtime.waitFor('charge', 'started')).toMatchObject({ status: 'completed' });
    expect(runtime.now).toEqual(before);
  });

  test('tells a start, an end and a failure apart', async () => {
    const runtime = await openShop({
      mocks: {
        charge: async (ctx) => {
          await ctx.sleep('1h');
          if (ctx.attempt === 1) throw new RangeError('busy');
          return 'receipt';
        },
      },
    });
    await runtime.start(orchestrations.checkout, order);
    const minutes = (): number => (runtime.now.getTime() - Date.UTC(2030, 0, 1)) / 60_000;
    expect([(await runtime.waitFor('charge', 'started')).status, minutes()]).toEqual(['running', 0]);
    expect([(await runtime.waitFor('charge', 'failed')).attempt, minutes()]).toEqual([1, 60]);
    expect([(await runtime.waitFor('charge', 'started', { times: 2 })).attempt, minutes()]).toEqual([2, 60 + 20 / 60]);
    expect([(await runtime.waitFor('charge', 'completed')).attempt, minutes()]).toEqual([2, 120 + 20 / 60]);
  });

  test('rejects for a count that is none, and throws nothing', async () => {
    const runtime = await openShop();
    expect(await rejection(runtime.waitFor('charge', 'completed', { times: 0 }))).toMatchObject({ code: 'OPTION_INVALID' });
  });

  test('counts, and looks at one instance only', async () => {
    const runtime = await openShop();
    await runtime.start(orchestrations.subscription, { months: 3 }, { instanceId: 'gold' });
    await runtime.start(orchestrations.subscription, { months: 3 }, { instanceId: 'silver', startAfter: '10d' });
    expect((await runtime.waitFor('charge', 'completed', { times: 3 })).instanceId).toBe('gold');
    expect(runtime.now).toEqual(new Date('2030-02-01T00:00:00Z'));
    expect((await runtime.waitFor('charge', 'completed', { times: 2, instanceId: 'silver' })).input).toEqual({ id: 'month 2', cents: 900 });
    expect(runtime.now).toEqual(new Date('2030-02-11T00:00:00Z'));
  });
});

describe('a test runtime', () => {
  test('makes ids of instances from the names of orchestrations', async () => {
    const runtime = await openShop();
    const handles = [
      await runtime.start(orchestrations.checkout, order),
      await runtime.start('checkout', order),
      await runtime.start(orchestrations.subscription, { months: 1 }),
      await runtime.start(orchestrations.checkout, order, { instanceId: 'mine', priority: 3 }),
    ];
    expect(handles.map(({ instanceId }) => instanceId)).toEqual(['checkout-1', 'checkout-2', 'subscription-1', 'mine']);
  });

  test('takes definitions, modules, their addresses, and packages with a prefix', async () => {
    const url = (name: string): URL => new URL(`fixtures/shop-${name}.ts`, import.meta.url);
    const called = defineActivity('called', () => 'called');
    const runtime = await createTestRuntime({
      orchestrations: [
        withPrefix('eu.', url('orchestrations')),
        orchestrations,
        defineOrchestration('own', (ctx) => ctx.scheduleActivity(called)),
      ],
      activities: [withPrefix('eu.', url('activities')), url('activities'), { called }],
      mocks: { 'eu.charge': () => 'euros' },
    });
    onTestFinished(() => runtime.shutdown());
    expect(await (await runtime.start('eu.checkout', order)).result()).toBe('no euros');
    expect(await (await runtime.start(orchestrations.checkout, order)).result()).toBe('no receipt of a for 100');
    expect(await (await runtime.start('own')).result()).toBe('called');
  });

  test('runs on the store that it is given, on its clock, and closes it', async () => {
    const file = stage().file();
    const runtime = await openShop({ provider: (clock) => SqliteProvider.open(file, { clock }) });
    const handle = await runtime.start(orchestrations.subscription, { months: 12 });
    expect(await handle.result()).toBe('expired');
    await runtime.shutdown();
    await using again = await createTestRuntime({ orchestrations, activities, provider: (clock) => SqliteProvider.open(file, { clock }) });
    expect(await again.client.getHandle(handle.instanceId).result()).toBe('expired');
  });

  test('runs on a store that fails by a plan, which the test does not feel', async () => {
    const rates = { any: { errorBefore: 0.1, errorAfter: 0.1, delay: 0.1, hang: 0.05, lockLost: 0.05, partial: 0.05 } };
    const runtime = await openShop({ faults: { seed: 3, rates }, maxAttempts: 100 });
    const handles = await Promise.all(Array.from({ length: 5 }, () => runtime.start(orchestrations.checkout, order)));
    await handles[0]?.raiseEvent('stock', 'Rome');
    const results = await Promise.all(handles.map((handle) => handle.result()));
    expect(results).toEqual(['parcel a from Rome', ...Array.from({ length: 4 }, () => 'no receipt of a for 100')]);
    expect(runtime.faults?.log.length).toBeGreaterThan(3);
  });

  test('survives the loss of its threads', async () => {
    const runtime = await openShop();
    const handle = await runtime.start(orchestrations.subscription, { months: 3 });
    await runtime.waitFor('charge');
    expect([runtime.runtime.crashThread({ kind: 'replay' }), runtime.runtime.crashThread({ kind: 'activity' })]).toEqual([true, true]);
    expect(await handle.result()).toBe('expired');
  });

  test('passes on the options of a runtime', async () => {
    const lines: string[] = [];
    const note = (_: unknown, message?: string): void => void lines.push(String(message));
    const says = defineOrchestration('says', (ctx) => ctx.log.info(`${ctx.version} here`));
    const later = defineOrchestration('says', () => undefined, { version: '2.0.0' });
    const runtime = await createTestRuntime({
      orchestrations: [says, later],
      logger: { debug: note, info: note, warn: note, error: note },
      versionPolicy: { says: '1.0.0' },
    });
    onTestFinished(() => runtime.shutdown());
    await (await runtime.start('says')).result();
    expect(lines).toEqual(['1.0.0 here']);
  });
});

describe('createTestRuntime refuses', () => {
  const charge = (): string => 'receipt';
  const typo: object = { chrage: charge };
  const noFunction: object = { charge: 'receipt' };
  const unknownOption: object = { retries: 3 };

  test.each([
    [
      'a mock of an activity that there is not',
      { mocks: typo },
      'OPTION_INVALID',
      "Unknown activity 'chrage' in `mocks`: registered: charge",
    ],
    ['a mock that is no function', { mocks: noFunction }, 'OPTION_INVALID', "mock 'charge'"],
    ['a start time that is none', { startTime: 'tomorrow' }, 'OPTION_INVALID', 'startTime'],
    ['an option that it does not know', unknownOption, 'OPTION_INVALID', 'Unknown option `retries`'],
    [
      'an export that is no definition',
      { activities: { ...activities, helper: charge } as unknown as Shop },
      'DEFINITION_INVALID',
      "'helper'",
    ],
    ['a module without orchestrations', { orchestrations: activities }, 'DEFINITION_INVALID', 'exports no orchestration'],
    ['a module that is not there', { activities: new URL('nowhere.ts', import.meta.url) }, 'MODULE_NOT_LOADED', 'nowhere.ts'],
    ['faults that cannot be', { faults: { seed: 0.5 } }, 'ARGUMENT_INVALID', 'seed'],
  ])('%s, and closes the store', async (_, options, code, text) => {
    const closed: string[] = [];
    const provider = new MemoryProvider();
    const close = provider.close.bind(provider);
    provider.close = () => close().finally(() => closed.push('closed'));
    const opened: string[] = [];
    const makeStore = (): MemoryProvider => {
      opened.push('closed');
      return provider;
    };
    const error = await rejection(createTestRuntime<Shop>({ orchestrations, activities, provider: makeStore, ...options }));
    expect(error).toMatchObject({ code, message: expect.stringContaining(text) as string });
    expect(closed).toEqual(opened);
  });
});
