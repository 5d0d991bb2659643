// Spans of attempts and executions as a runtime records them: what ran, how it ended, and each once.
import {
  Client,
  defineActivity,
  defineOrchestration,
  defineTransactionalActivity,
  ProviderError,
  type ActivitySpan,
  type FinishedSpan,
  type OrchestrationSpan,
  type RuntimeOptions,
  type TraceSink,
} from 'duraloom';
import { sqliteSource } from 'duraloom/sqlite';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { PATIENCE, rejection, stage } from '../support/integration-stage.ts';
import { TroubledStore, type Around } from './troubled-store.ts';

const CALLER = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };

/** A runtime that records what it is told to in a list. */
async function record(
  options: Partial<RuntimeOptions>,
  around: Around = {},
): Promise<{
  readonly store: TroubledStore;
  readonly spans: FinishedSpan[];
  readonly runtime: Awaited<ReturnType<TroubledStore['start']>>;
}> {
  const store = new TroubledStore();
  const spans: FinishedSpan[] = [];
  const runtime = await store.start(around, { traces: { record: (span) => void spans.push(span) }, ...options });
  return { store, spans, runtime };
}

function attempts(spans: readonly FinishedSpan[]): readonly ActivitySpan[] {
  return spans.filter((span) => span.kind === 'activity');
}

function executions(spans: readonly FinishedSpan[]): readonly OrchestrationSpan[] {
  return spans.filter((span) => span.kind === 'orchestration');
}

const echo = defineActivity('echo', (_ctx, value: unknown) => value);

test('a look into the queue shows the input of an activity without its trace', async () => {
  const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('nobody', { a: 1 }));
  const { store } = await record({ orchestrations: play });
  await store.client.startOrchestration('a', 'play', undefined, CALLER);
  await expect.poll(async () => (await store.client.getState('a'))?.eventCount).toBe(2);
  const { items } = await store.client.peekQueue({ queue: 'worker' });
  expect(items).toMatchObject([{ kind: 'workItem', name: 'nobody', input: { a: 1 } }]);
});

describe('the span of an attempt', () => {
  test('says which, where and how long, below its execution', async () => {
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('echo', 1, { sessionId: 's' }));
    const tagged = defineOrchestration('tagged', (ctx) => ctx.scheduleActivity('echo', 1, { tag: 'gpu' }));
    const { store, spans } = await record({ orchestrations: [play, tagged], activities: echo, tags: 'any' });
    await store.client.startOrchestration('a', 'play', undefined, CALLER);
    await store.result('a');
    await store.client.startOrchestration('b', 'tagged', undefined, CALLER);
    await store.result('b');
    const [first, second] = executions(spans);
    expect(attempts(spans)).toMatchObject([
      {
        instanceId: 'a',
        executionId: 1,
        eventId: 2,
        name: 'echo',
        attempt: 1,
        tag: null,
        sessionId: 's',
        thread: 'activity-0',
        outcome: 'completed',
        failure: null,
        parentSpanId: first?.spanId,
      },
      { instanceId: 'b', tag: 'gpu', sessionId: null, parentSpanId: second?.spanId },
    ]);
    expect(first).toMatchObject({ parentSpanId: '00f067aa0ba902b7', name: 'play', version: '1.0.0', outcome: 'completed', failure: null });
  });

  test('is that which its code sees', async () => {
    const look = defineActivity('look', (ctx) => ctx.trace);
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('look'));
    const { store, spans } = await record({ orchestrations: play, activities: look });
    await store.client.startOrchestration('a', 'play', undefined, { ...CALLER, tracestate: 'vendor=1' });
    const seen = await store.result('a');
    const [attempt] = attempts(spans);
    expect(seen).toEqual({
      traceparent: `00-4bf92f3577b34da6a3ce929d0e0e4736-${attempt?.spanId}-01`,
      tracestate: 'vendor=1',
    });
  });

  test('is there for its code also where nobody records, and nothing is there without a trace', async () => {
    const look = defineActivity('look', (ctx) => ctx.trace);
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('look'));
    const store = new TroubledStore();
    await store.start({}, { orchestrations: play, activities: look });
    await store.client.startOrchestration('traced', 'play', undefined, CALLER);
    await store.client.startOrchestration('plain', 'play');
    expect(await store.result('traced')).toEqual({
      traceparent: expect.stringMatching(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[\da-f]{16}-01$/) as string,
    });
    expect(await store.result('plain')).toBeNull();
  });

  test('counts attempts over retries, and says why they failed', async () => {
    const flaky = defineActivity('flaky', (ctx) => {
      if (ctx.attempt < 3) throw new TypeError(`attempt ${ctx.attempt}`);
      return ctx.eventId;
    });
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('flaky', null, { retry: { backoff: 'none' } }));
    const { store, spans } = await record({ orchestrations: play, activities: flaky });
    await store.client.startOrchestration('a', 'play');
    await store.result('a');
    expect(attempts(spans).map(({ attempt, outcome, failure }) => [attempt, outcome, failure?.message])).toEqual([
      [1, 'failed', 'attempt 1'],
      [2, 'failed', 'attempt 2'],
      [3, 'completed', undefined],
    ]);
    expect(new Set(attempts(spans).map(({ spanId }) => spanId)).size).toBe(3);
  });

  test('is lost when nobody wants the result any more', async () => {
    const patient = defineActivity('patient', async (ctx) => {
      await once(ctx.signal as unknown as EventTarget, 'abort');
    });
    const play = defineOrchestration('play', async (ctx) => {
      const waiting = ctx.scheduleActivity('patient');
      await ctx.scheduleTimer(5_000);
      waiting.cancel();
      await ctx.scheduleTimer(5_000);
    });
    const { store, spans } = await record({ orchestrations: play, activities: patient });
    await store.client.startOrchestration('a', 'play');
    await store.result('a');
    const [attempt] = attempts(spans);
    expect(attempt).toMatchObject({ outcome: 'lost', failure: null });
    expect((attempt?.endMs ?? 0) - (attempt?.startMs ?? 0)).toBe(5_000);
  });

  test('is crashed when its thread dies, and the next one has an id of its own although nobody was charged', async () => {
    let started = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      started = resolve;
    });
    let runs = 0;
    const slow = defineActivity('slow', async () => {
      runs += 1;
      started();
      if (runs === 1) await new Promise(() => undefined);
      return runs;
    });
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('slow'));
    const { store, spans, runtime } = await record({ orchestrations: play, activities: slow });
    await store.client.startOrchestration('a', 'play');
    await store.pass(begun);
    expect(runtime.crashThread({ kind: 'activity' })).toBe(true);
    expect(await store.result('a')).toBe(2);
    expect(attempts(spans)).toMatchObject([
      { outcome: 'crashed', failure: { code: 'THREAD_DIED' } },
      { outcome: 'completed', failure: null },
    ]);
    expect(new Set(attempts(spans).map(({ spanId }) => spanId)).size).toBe(2);
  });

  test('is lost when the runtime stops before its end', async () => {
    let started = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      started = resolve;
    });
    const endless = defineActivity('endless', () => {
      started();
      return new Promise(() => undefined);
    });
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('endless'));
    const { store, spans, runtime } = await record({ orchestrations: play, activities: endless });
    await store.client.startOrchestration('a', 'play');
    await store.pass(begun);
    await store.pass(runtime.shutdown({ timeoutMs: 0 }));
    expect(attempts(spans)).toMatchObject([{ outcome: 'lost' }]);
    expect(executions(spans)).toEqual([]);
  });

  test('is not there for an activity that is not registered, nor for a read of a value', async () => {
    const play = defineOrchestration('play', async (ctx) => {
      ctx.kv.set('key', 5);
      const value = await ctx.getValueFromInstance('a', 'key');
      await ctx.scheduleActivity('nobody has it');
      return value;
    });
    const reads = defineOrchestration('reads', (ctx) => ctx.getValueFromInstance('a', 'key'));
    const { store, spans } = await record({ orchestrations: [play, reads], activities: echo, maxAttempts: 1 });
    await store.client.startOrchestration('a', 'play', undefined, CALLER);
    expect(await rejection(store.result('a'))).toMatchObject({ cause: { code: 'TOO_MANY_ATTEMPTS' } });
    await store.client.startOrchestration('b', 'reads', undefined, CALLER);
    expect(await store.result('b')).toBe(5);
    expect(attempts(spans)).toEqual([]);
    expect(executions(spans)).toMatchObject([{ outcome: 'failed', failure: { code: 'TOO_MANY_ATTEMPTS' } }, { outcome: 'completed' }]);
  });
});

describe('the span of a transactional attempt', () => {
  test('is completed by its own commit, failed by an error of its code', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const spans: FinishedSpan[] = [];
    const step = defineTransactionalActivity('step', sqliteSource(stand.file()), (_tx, isGood: boolean, ctx) => {
      if (!isGood) throw new TypeError('rolled back');
      return ctx.trace?.traceparent.slice(36, 52);
    });
    const play = defineOrchestration('play', async (ctx) => {
      await ctx.scheduleActivity('step', false).catch(() => undefined);
      return await ctx.scheduleActivity('step', true);
    });
    const inline = { replayThreads: 0, activityThreads: 0, traces: { record: (span: FinishedSpan) => void spans.push(span) } };
    const runtime = await stand.startRuntime({ provider, orchestrations: play, activities: step, ...inline });
    const result = await (await new Client(provider).startOrchestration('a', 'play')).result({ timeout: PATIENCE });
    await runtime.shutdown();
    expect(attempts(spans)).toMatchObject([
      { outcome: 'failed', failure: { message: 'rolled back' } },
      { outcome: 'completed', failure: null, spanId: result },
    ]);
  });
});

describe('the span of an execution', () => {
  const play = defineOrchestration('play', async (ctx) => await ctx.scheduleActivity('echo', 1));

  test('is recorded once, also when every turn replays from history and the store refuses one', async () => {
    let refusals = 1;
    const { store, spans } = await record(
      { orchestrations: play, activities: echo, stickyCacheMb: 0 },
      {
        ackOrchestrationItems: async (call, acks) => {
          if (acks.every(({ status }) => status !== 'Completed') || refusals === 0) return await call(acks);
          refusals -= 1;
          return acks.map(() => 'conflict' as const);
        },
      },
    );
    await store.client.startOrchestration('a', 'play');
    expect(await store.result('a')).toBe(1);
    expect(refusals).toBe(0);
    expect(executions(spans)).toMatchObject([{ instanceId: 'a', outcome: 'completed' }]);
  });

  test.each([
    ['could pass', true],
    ['are for what it holds', false],
  ])('is recorded once when it is committed and the answer is lost, with its measurements: failures that %s', async (_, retryable) => {
    let failures = 6;
    const rounds = defineOrchestration('rounds', async (ctx, left: number): Promise<number> => {
      ctx.metrics.counter('rounds_total', 1);
      await ctx.scheduleActivity('echo', left);
      return left === 0 ? 0 : await ctx.continueAsNew(left - 1);
    });
    const { store, spans, runtime } = await record(
      { orchestrations: rounds, activities: echo, maxAttempts: 100 },
      {
        ackOrchestrationItems: async (call, acks) => {
          const outcomes = await call(acks);
          failures -= 1;
          if (failures < 0) return outcomes;
          throw new ProviderError('PROVIDER_FAILED', { operation: 'ackOrchestrationItems', retryable, message: 'the answer was lost' });
        },
      },
    );
    const ids = ['a', 'b'];
    await store.client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: 'rounds', input: 2 })));
    for (const id of ids) await store.result(id);
    await store.clock.advance(60_000);
    expect(failures).toBeLessThanOrEqual(0);
    const told = executions(spans).map(({ instanceId, executionId, outcome }) => `${instanceId} ${executionId} ${outcome}`);
    expect(told.toSorted()).toEqual(ids.flatMap((id) => [`${id} 1 continuedAsNew`, `${id} 2 continuedAsNew`, `${id} 3 completed`]));
    const total = (name: string): number =>
      runtime.metrics().reduce((sum, series) => (series.name === name && series.kind === 'counter' ? sum + series.value : sum), 0);
    expect([total('rounds_total'), total('duraloom_orchestration_starts_total')]).toEqual([6, 6]);
    expect(total('duraloom_orchestration_completions_total')).toBe(6);
  });

  test('is not there while the instance is suspended or quarantined, and there once when it has ended', async () => {
    let isBroken = false;
    const waits = defineOrchestration('waits', async (ctx) => await ctx.waitForEvent(isBroken ? 'something else' : 'go'));
    // Each turn replays from history.
    const { store, spans } = await record({ orchestrations: waits, stickyCacheMb: 0 });
    const { client } = store;
    const ids = ['suspended', 'quarantined', 'terminated'];
    await client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: 'waits' })));
    for (const id of ids) await expect.poll(async () => (await client.getState(id))?.eventCount).toBe(2);
    await client.suspend('suspended');
    await client.terminate('terminated');
    isBroken = true;
    for (const id of ['suspended', 'quarantined']) await client.raiseEvent(id, 'go', id);
    expect(await rejection(store.result('quarantined'))).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    await store.clock.advance(60_000);
    expect(spans).toEqual([]);
    isBroken = false;
    for (const id of ['suspended', 'quarantined']) {
      await client.resume(id);
      expect(await store.result(id)).toBe(id);
    }
    expect(executions(spans).map(({ instanceId, outcome }) => [instanceId, outcome])).toEqual([
      ['suspended', 'completed'],
      ['quarantined', 'completed'],
    ]);
  });

  test('is left out where the trace is not sampled', async () => {
    const { store, spans } = await record({ orchestrations: play, activities: echo });
    await store.client.startOrchestration('a', 'play', undefined, { traceparent: CALLER.traceparent.replace(/01$/, '00') });
    await store.result('a');
    expect(spans).toEqual([]);
  });
});

test.each<readonly [string, TraceSink['record']]>([
  [
    'throws',
    () => {
      throw new TypeError('a sink of the test');
    },
  ],
  ['rejects', () => Promise.reject(new TypeError('a sink of the test')) as unknown as void],
])('a sink that %s costs nothing but a warning, once', async (_, recordSpan) => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  const play = defineOrchestration('play', (ctx) => ctx.all([ctx.scheduleActivity('echo', 1), ctx.scheduleActivity('echo', 2)]));
  const { store } = await record({
    orchestrations: play,
    activities: echo,
    traces: { record: recordSpan },
  });
  await store.client.startOrchestration('a', 'play');
  expect(await store.result('a')).toEqual([1, 2]);
  // Warnings come with a tick of their own.
  await new Promise(setImmediate);
  process.off('warning', note);
  const told = warnings.filter((warning) => 'code' in warning && warning.code === 'DURALOOM_TRACE_SINK');
  expect(told.map(({ message }) => message)).toEqual(['a sink of the test']);
});
