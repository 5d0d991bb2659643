// What every runtime does by itself: it reads values for orchestrations, ends activities that nobody took, and tells that it lives.
import { defineOrchestration, ProviderError, type RuntimeOptions } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import { resolveRuntimeOptions } from '../../src/main/options.ts';
import { RuntimeReporter } from '../../src/main/runtime-report.ts';
import { SystemDispatcher } from '../../src/main/system-dispatcher.ts';
import type { Provider } from '../../src/provider/provider.ts';
import { READ_VALUE_ACTIVITY, SYSTEM_TAG } from '../../src/types/names.ts';
import { activity, effects, fetchOne, fetchWork, payloads, queued, routing, run } from '../../src/conformance/case-kit.ts';
import { openStore, STORES, type ClientStage } from '../support/client-stores.ts';
import { LogBook } from '../support/integration-log.ts';

type Method = keyof Provider;

/** The provider, with the first calls of some methods failing. */
function failing(provider: Provider, failures: Readonly<Partial<Record<Method, number>>>): Provider {
  const left = new Map(Object.entries(failures));
  return new Proxy(provider, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        const count = left.get(String(name)) ?? 0;
        left.set(String(name), count - 1);
        if (count <= 0) return Reflect.apply(value, target, args) as unknown;
        const operation = String(name);
        return Promise.reject(new ProviderError('PROVIDER_FAILED', { operation, retryable: true, message: 'planted failure' }));
      };
    },
  });
}

function optionsFor({ provider, clock }: ClientStage, changes: Partial<RuntimeOptions> = {}): ReturnType<typeof resolveRuntimeOptions> {
  const orchestrations = defineOrchestration('nothing', () => null);
  return resolveRuntimeOptions({ provider, clock, orchestrations, replayThreads: 0, ...changes });
}

/** A dispatcher that works until the test is over. */
function startDispatcher(stage: ClientStage, changes: Partial<RuntimeOptions> = {}): SystemDispatcher {
  const dispatcher = new SystemDispatcher(optionsFor(stage, changes));
  onTestFinished(async () => {
    await dispatcher.stopFetching();
    await dispatcher.close();
  });
  dispatcher.start();
  return dispatcher;
}

/** A system work item. */
const asked = (payload: string, name: string = READ_VALUE_ACTIVITY): ReturnType<typeof activity> =>
  activity(2, { name, payload, routing: routing({ tag: SYSTEM_TAG }) });

/** The only message that an instance gets, as soon as it has it. */
async function answer(provider: Provider): Promise<unknown> {
  const item = await fetchOne(provider, { waitMs: 60_000 });
  expect(item.messages).toHaveLength(1);
  return JSON.parse(payloads(item)[0] ?? '') as unknown;
}

describe.each(STORES.filter((store) => store !== 'memory as data'))('on %s, a runtime', (store) => {
  describe('reads a value of another instance', () => {
    test.each([
      ['that exists', 'source', 'key', { result: { n: 1 } }],
      ['under a key that does not exist', 'source', 'other', {}],
      ['of an instance that does not exist', 'nobody', 'key', {}],
    ])('%s', async (_, instanceId, key, result) => {
      const stage = await openStore(store);
      const { provider } = stage;
      await run(provider, 'source', { effects: effects({ values: [{ key: 'key', value: '{"n":1}' }] }) });
      await run(provider, 'a', { workItems: [asked(JSON.stringify({ instanceId, key }))] });
      const dispatcher = startDispatcher(stage);
      expect(await answer(provider)).toEqual({ kind: 'ActivityCompleted', executionId: 1, sourceId: 2, ...result });
      await dispatcher.idle();
      expect((await queued(provider))[1]).toBe(0);
    });

    test('as soon as it is asked for, whoever else takes activities', async () => {
      const stage = await openStore(store);
      const { provider } = stage;
      startDispatcher(stage);
      await run(provider, 'source', { effects: effects({ values: [{ key: 'key', value: '"x"' }] }) });
      await run(provider, 'a', { workItems: [asked('{"instanceId":"source","key":"key"}'), activity(3)] });
      expect(await answer(provider)).toMatchObject({ kind: 'ActivityCompleted', sourceId: 2, result: 'x' });
      const select = { kind: 'queue', tags: { kind: 'any' }, session: null } as const;
      expect(await fetchWork(provider, { select })).toMatchObject([{ eventId: 3 }]);
    });

    test.each(['', '7', 'null', '{"instanceId":"a"}', '{"instanceId":"a","key":7}'])('not when it is asked with %j', async (payload) => {
      const stage = await openStore(store);
      await run(stage.provider, 'a', { workItems: [asked(payload)] });
      startDispatcher(stage);
      expect(await answer(stage.provider)).toMatchObject({ kind: 'ActivityFailed', sourceId: 2, failure: { code: 'MESSAGE_INVALID' } });
    });

    test('when the store works again', async () => {
      const stage = await openStore(store);
      const { provider, clock } = stage;
      await run(provider, 'a', { workItems: [asked('{"instanceId":"a","key":"key"}')] });
      const logger = new LogBook();
      startDispatcher(stage, { provider: failing(provider, { fetchWorkItems: 2, readValues: 1, ackWorkItems: 2 }), logger });
      const answered = answer(provider);
      await clock.advance(5_000);
      expect(await answered).toEqual({ kind: 'ActivityCompleted', executionId: 1, sourceId: 2 });
      const operations = logger.lines.map(({ level, fields }) => [level, fields['operation']]);
      expect(operations.filter(([, operation]) => operation === 'ackWorkItems')).toEqual(
        Array.from({ length: 2 }, () => ['warn', 'ackWorkItems']),
      );
      expect(operations).toContainEqual(['warn', 'readValues']);
      expect(operations).toContainEqual(['warn', 'fetchWorkItems']);
    });

    test('later, or elsewhere, when the answer could not be stored', async () => {
      const stage = await openStore(store);
      const { provider, clock } = stage;
      await run(provider, 'a', { workItems: [asked('{"instanceId":"a","key":"key"}')] });
      startDispatcher(stage, { provider: failing(provider, { ackWorkItems: 6 }) });
      const answered = answer(provider);
      await clock.advance(20_000);
      expect(await answered).toMatchObject({ kind: 'ActivityCompleted' });
    });
  });

  test('leaves system work that it does not know to newer runtimes, but not for ever', async () => {
    const stage = await openStore(store);
    const { provider, clock } = stage;
    await run(provider, 'a', { workItems: [asked('{}', 'duraloom:other')] });
    startDispatcher(stage, { maxAttempts: 2, retryBackoff: { initialMs: 1_000, maximumMs: 1_000 } });
    const answered = answer(provider);
    await clock.advance(500);
    expect((await queued(provider))[1]).toBe(1);
    await clock.advance(5_000);
    const failure = { code: 'ACTIVITY_NOT_REGISTERED' };
    expect(await answered).toMatchObject({ kind: 'ActivityFailed', executionId: 1, sourceId: 2, failure });
  });

  describe('ends an activity that nobody took in time', () => {
    test('and says what was missing', async () => {
      const stage = await openStore(store);
      const { provider, clock } = stage;
      startDispatcher(stage);
      const expiring = activity(2, { name: 'render', routing: routing({ tag: 'gpu', expiresAfterMs: 5_000 }) });
      await run(provider, 'a', { workItems: [expiring, activity(3)] });
      const answered = answer(provider);
      await clock.advance(4_999);
      expect((await queued(provider))[1]).toBe(2);
      await clock.advance(1);
      const message = await answered;
      expect(message).toMatchObject({ kind: 'ActivityFailed', executionId: 1, sourceId: 2, failure: { code: 'ACTIVITY_EXPIRED' } });
      expect(JSON.stringify(message)).toMatch(/'render' of instance 'a' waited 5000 ms .* tag 'gpu'.*only: \['gpu'\]/);
      expect((await queued(provider))[1]).toBe(1);
    });

    test('not one that runs', async () => {
      const stage = await openStore(store);
      const { provider, clock } = stage;
      startDispatcher(stage);
      await run(provider, 'a', { workItems: [activity(2, { routing: routing({ expiresAfterMs: 5_000 }) })] });
      expect(await fetchWork(provider)).toHaveLength(1);
      await clock.advance(10_000);
      expect(await queued(provider)).toEqual([0, 1]);
    });
  });

  test('fetches nothing more when it is stopped', async () => {
    const stage = await openStore(store);
    const { provider, clock } = stage;
    const dispatcher = startDispatcher(stage);
    await clock.advance(0);
    await dispatcher.stopFetching();
    await dispatcher.idle();
    await run(provider, 'a', { workItems: [asked('{"instanceId":"a","key":"key"}')] });
    await clock.advance(20_000);
    expect(await queued(provider)).toEqual([0, 1]);
  });

  describe('tells that it lives', () => {
    const names = {
      orchestrations: [{ name: 'order', version: '1.2.0', schemas: { input: { vendor: 'zod' } } }],
      activities: [{ name: 'ship', version: null }],
    };

    test('as long as it does', async () => {
      const stage = await openStore(store);
      const { client, clock } = stage;
      const reporter = new RuntimeReporter(optionsFor(stage, { nodeId: 'node-1', tags: { only: ['gpu', 'gpu', 'arm'] } }), () => null);
      await reporter.start(names);
      await clock.advance(300_000);
      expect(await client.listRuntimes()).toEqual([
        {
          runtimeId: reporter.runtimeId,
          nodeId: 'node-1',
          seenAt: new Date(clock.nowMs()),
          orchestrations: names.orchestrations,
          activities: [{ name: 'ship' }],
          tags: { only: ['gpu', 'arm'] },
          stats: null,
        },
      ]);
      await reporter.stop();
      expect(await client.listRuntimes()).toEqual([]);
      await clock.advance(60_000);
      expect(await client.listRuntimes()).toEqual([]);
    });

    test.each([
      ['default', 'default'],
      ['any', 'any'],
      ['none', 'none'],
      [{ defaultAnd: ['gpu'] }, { defaultAnd: ['gpu'] }],
    ] as const)('with the tags %j', async (tags, shown) => {
      const stage = await openStore(store);
      const reporter = new RuntimeReporter(optionsFor(stage, { tags }), () => null);
      await reporter.start(names);
      expect(await stage.client.listRuntimes()).toMatchObject([{ tags: shown }]);
      await reporter.stop();
    });

    test('again when the store failed', async () => {
      const stage = await openStore(store);
      const { client, clock, provider } = stage;
      const logger = new LogBook();
      const reporter = new RuntimeReporter(optionsFor(stage, { provider: failing(provider, { reportRuntime: 1 }), logger }), () => null);
      await reporter.start({ orchestrations: names.orchestrations, activities: [] });
      expect(await client.listRuntimes()).toEqual([]);
      expect(logger.lines).toMatchObject([{ level: 'warn', fields: { operation: 'reportRuntime' } }]);
      await clock.advance(10_000);
      expect(await client.listRuntimes()).toMatchObject([{ runtimeId: reporter.runtimeId, activities: [], tags: 'none' }]);
      await reporter.stop();
      expect(await client.listRuntimes()).toEqual([]);
    });
  });
});
