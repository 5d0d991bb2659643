// Log lines of orchestrations over everything that can happen to a commit: each appears once. A runtime in this thread, in simulated time.
import { Client, defineActivity, defineOrchestration, ProviderError, Runtime, type RuntimeOptions } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import { refuseOptimism } from '../support/no-optimism.ts';
import { intercept, TroubledStore, type Around } from './troubled-store.ts';

const failure = (retryable: boolean): ProviderError =>
  new ProviderError('PROVIDER_FAILED', { operation: 'ackOrchestrationItems', retryable, message: retryable ? 'busy' : 'no such column' });

const talks = defineOrchestration('talks', async (ctx) => {
  ctx.log.info('one', { step: 1 });
  await ctx.scheduleActivity('work');
  ctx.log.info('two', { step: 2 });
  await ctx.scheduleTimer('1s');
  ctx.log.info('three', { step: 3 });
});
const work = defineActivity('work', () => 'done');
const options: Partial<RuntimeOptions> = { orchestrations: talks, activities: work };

/** Does something else instead of the first calls. */
function first<Call extends (...args: never) => unknown>(times: number, instead: Call): Call {
  let left = times;
  return ((call: (...args: readonly unknown[]) => unknown, ...args: readonly unknown[]) => {
    if (left === 0) return call(...args);
    left -= 1;
    return (instead as unknown as (...given: readonly unknown[]) => unknown)(call, ...args);
  }) as unknown as Call;
}

type Ack = NonNullable<Around['ackOrchestrationItems']>;

const TROUBLES: readonly (readonly [string, Around])[] = [
  ['all is well', {}],
  ['optimistic turns are refused', { ackOrchestrationItems: refuseOptimism }],
  ['commits fail, and are not done', { ackOrchestrationItems: first<Ack>(4, () => Promise.reject(failure(true))) }],
  [
    'commits fail, although they are done',
    {
      ackOrchestrationItems: first<Ack>(10, async (call, acks) => {
        await call(acks);
        throw failure(true);
      }),
    },
  ],
  [
    'commits fail for what they hold, although they are done',
    {
      ackOrchestrationItems: first<Ack>(10, async (call, acks) => {
        await call(acks);
        throw failure(false);
      }),
    },
  ],
  [
    'commits are done, and never answered',
    {
      ackOrchestrationItems: first<Ack>(3, async (call, acks) => {
        await call(acks);
        return new Promise(() => undefined);
      }),
    },
  ],
  ['commits conflict', { ackOrchestrationItems: first<Ack>(3, (_, acks) => Promise.resolve(acks.map(() => 'conflict' as const))) }],
  ['locks are lost', { ackOrchestrationItems: first<Ack>(2, (_, acks) => Promise.resolve(acks.map(() => 'lockLost' as const))) }],
  [
    'commits fail, although they are done, and the history cannot be read for a while',
    {
      ackOrchestrationItems: first<Ack>(10, async (call, acks) => {
        await call(acks);
        throw failure(true);
      }),
      readHistory: first<NonNullable<Around['readHistory']>>(4, () => Promise.reject(failure(true))),
    },
  ],
];

describe('log lines of an orchestration appear once when', () => {
  test.each(TROUBLES)('%s', async (_, around) => {
    const store = new TroubledStore();
    await store.start(around, { ...options, maxAttempts: 100 });
    const ids = ['a', 'b', 'c'];
    await store.client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: 'talks' })));
    for (const id of ids) await store.result(id);
    for (const id of ids) await store.pass(store.log.message('three', id));
    for (const id of ids) {
      const lines = store.log.lines.filter(({ level, fields }) => level === 'info' && fields['instanceId'] === id);
      expect(lines.map(({ message }) => message).toSorted()).toEqual(['one', 'three', 'two']);
      expect(lines[0]?.fields).toMatchObject({ executionId: 1, orchestration: 'talks', version: '1.0.0', thread: 'replay-0' });
    }
  });

  test('another host commits the turn first: that one writes them', async () => {
    const store = new TroubledStore();
    let isStolen = false;
    const mine = await store.start(
      {
        // From then on it gets nothing more.
        fetchOrchestrationItems: (call, params) => call({ ...params, accepts: (code) => !isStolen && (params.accepts?.(code) ?? true) }),
        ackOrchestrationItems: async (call, acks) => {
          if (!isStolen) {
            isStolen = true;
            // As if the lease had run out: the other host gets the instance.
            const locks = acks.map(({ instanceId, lockToken }) => ({
              instanceId,
              lockToken: lockToken ?? '',
              delayMs: 0,
              countAttempt: true,
            }));
            await store.real.abandonOrchestrationItems(locks);
            await store.client.waitForResult('a');
          }
          return await call(acks);
        },
      },
      { ...options, nodeId: 'mine' },
    );
    await store.client.startOrchestration('a', 'talks');
    await store.pass(store.log.waitFor(() => isStolen, 0));
    const other = await store.start({}, { ...options, nodeId: 'other' });
    await store.result('a');
    await store.pass(store.log.message('turn was not committed', 'a'));
    await store.pass(Promise.all([mine, other].map((runtime) => runtime.shutdown({ timeoutMs: 0 }))));
    const lines = store.log.lines.filter(({ level, fields }) => level === 'info' && fields['instanceId'] === 'a');
    expect(lines.map(({ message, fields }) => [message, fields['nodeId']])).toEqual([
      ['one', 'other'],
      ['two', 'other'],
      ['three', 'other'],
    ]);
  });
});

test('lines are counted as dropped when the runtime stops before the store has said whether their turn is committed', async () => {
  const store = new TroubledStore();
  const runtime = await store.start(
    {
      ackOrchestrationItems: () => Promise.reject(failure(true)),
      readHistory: () => Promise.reject(failure(true)),
    },
    options,
  );
  await store.client.startOrchestration('a', 'talks');
  await store.pass(store.log.waitFor(({ fields }) => fields['operation'] === 'ackOrchestrationItems'));
  await store.pass(runtime.shutdown({ timeoutMs: 0 }));
  const dropped = store.log.lines.find(({ fields }) => 'dropped' in fields);
  expect(dropped).toMatchObject({ level: 'warn', fields: { instanceId: 'a', thread: 'replay-0', dropped: 1 } });
  expect(dropped?.message).toContain('did not say');
  const series = runtime.metrics().find(({ name }) => name === 'duraloom_log_lines_dropped_total');
  expect(series).toMatchObject({ labels: { thread: 'replay-0' }, value: 1 });
});

describe('lines of the runtime itself', () => {
  test('say which node, instance and thread they are about', async () => {
    const store = new TroubledStore();
    const conflict: Around = { ackOrchestrationItems: first<Ack>(1, (_, acks) => Promise.resolve(acks.map(() => 'conflict' as const))) };
    await store.start(conflict, { ...options, nodeId: 'n1' });
    await store.client.startOrchestration('a', 'talks');
    await store.result('a');
    const line = await store.log.message('turn was not committed');
    expect(line).toEqual({
      level: 'warn',
      message: 'turn was not committed',
      fields: {
        nodeId: 'n1',
        instanceId: 'a',
        executionId: 1,
        orchestration: 'talks',
        version: null,
        thread: 'replay-0',
        outcome: 'conflict',
      },
    });
  });

  test('have the error of the store where loggers look for it', async () => {
    const store = new TroubledStore();
    await store.start({ ackOrchestrationItems: first<Ack>(1, () => Promise.reject(failure(true))) }, options);
    await store.client.startOrchestration('a', 'talks');
    await store.result('a');
    const [line] = await store.log.waitFor(({ fields }) => 'operation' in fields);
    expect(line?.fields['err']).toMatchObject({ message: expect.stringContaining('busy') as unknown, code: 'PROVIDER_FAILED' });
  });
});

describe('the level', () => {
  test('is asked of the logger once, when the runtime starts', async () => {
    const store = new TroubledStore();
    const asked: string[] = [];
    const { log } = store;
    const logger = Object.assign(log, { isLevelEnabled: (level: string) => asked.push(level) > 0 && level === 'error' });
    await store.start({}, { ...options, logger });
    expect(asked).toEqual(['debug', 'info', 'warn', 'error']);
    await store.client.startOrchestration('a', 'talks');
    await store.result('a');
    expect(asked).toHaveLength(4);
    expect(log.lines).toEqual([]);
  });

  test('of the option goes before that of the logger', async () => {
    const store = new TroubledStore();
    const logger = Object.assign(store.log, { isLevelEnabled: () => false });
    await store.start({}, { ...options, logger, logLevel: 'info' });
    await store.client.startOrchestration('a', 'talks');
    await store.result('a');
    expect(store.log.lines.filter(({ level }) => level === 'debug')).toEqual([]);
    expect(store.log.lines.map(({ message }) => message)).toEqual(['one', 'two', 'three']);
  });

  test.each([
    [{ logLevel: 'trace' }, 'logLevel'],
    [{ logger: { debug: () => undefined } }, 'method info'],
    [
      {
        logger: Object.assign(new TroubledStore().log, {
          isLevelEnabled: () => {
            throw new RangeError('no');
          },
        }),
      },
      'isLevelEnabled threw: no',
    ],
  ])('and the logger are refused with a reason: %o', async (wrong, reason) => {
    const store = new TroubledStore();
    const given = { provider: store.real, ...options, ...wrong } as unknown as RuntimeOptions;
    await expect(Runtime.start(given)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(reason) as unknown,
    });
  });
});

test.each([
  [
    'throws',
    (): never => {
      throw new RangeError('a full disk');
    },
  ],
  ['rejects', (): Promise<void> => Promise.reject(new RangeError('a full disk'))],
])('a logger that %s stops nothing, and is told of once', async (_, fail) => {
  const warnings: Error[] = [];
  const listen = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  const store = new TroubledStore();
  const logger = { debug: fail, info: fail, warn: fail, error: fail } as unknown as NonNullable<RuntimeOptions['logger']>;
  const runtime = await store.start({}, { ...options, logger });
  const told = new Promise((resolve) => process.once('warning', resolve));
  await store.client.startOrchestration('a', 'talks');
  await store.result('a');
  await told;
  expect(warnings.filter(({ message }) => message.includes('a full disk'))).toHaveLength(1);
  const counted = runtime.metrics().find(({ name }) => name === 'duraloom_logger_failures_total');
  expect(counted).toMatchObject({ kind: 'counter', labels: {}, value: 3 });
});

test('lines of an activity appear once and with their origin also when it was cancelled, and after its grace', async () => {
  const store = new TroubledStore();
  let goOn = (): void => undefined;
  const isLate = new Promise<void>((resolve) => (goOn = resolve));
  const stubborn = defineActivity('stubborn', async (ctx) => {
    ctx.log.info('begun');
    await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()));
    ctx.log.info('heard of it');
    await isLate;
    ctx.log.info('still here');
  });
  const gives = defineOrchestration('gives', async (ctx) => {
    const running = ctx.scheduleActivity('stubborn');
    await ctx.waitForEvent('stop');
    running.cancel();
    await ctx.scheduleTimer('5m');
  });
  await store.start({}, { orchestrations: gives, activities: stubborn, activityGraceMs: 1_000 });
  await store.client.startOrchestration('a', 'gives');
  await store.pass(store.log.message('begun'));
  await store.client.raiseEvent('a', 'stop');
  await store.pass(store.log.message('heard of it'));
  // The grace is over, and with it the activity.
  await store.clock.advance(10_000);
  goOn();
  await store.pass(store.log.message('still here'));
  await store.result('a');
  const lines = store.log.lines.filter(({ fields }) => fields['activity'] === 'stubborn');
  expect(lines.map(({ message }) => message)).toEqual(['begun', 'heard of it', 'still here']);
  for (const { fields } of lines)
    expect(fields).toMatchObject({ instanceId: 'a', executionId: 1, eventId: 2, attempt: 1, thread: 'activity-0' });
});

test('fields of user code do not pass for another origin: they are kept beside it', async () => {
  const store = new TroubledStore();
  const liar = defineOrchestration('liar', (ctx) => ctx.log.info('it was me', { instanceId: 'other', nodeId: 'n9', thread: 4, step: 1 }));
  const provider = intercept(store.real, {});
  const runtime = await Runtime.start({
    provider,
    clock: store.clock,
    logger: store.log,
    replayThreads: 0,
    nodeId: 'n1',
    orchestrations: liar,
  });
  onTestFinished(() => store.pass(runtime.shutdown({ timeoutMs: 0 })));
  await new Client(store.real, { clock: store.clock }).startOrchestration('a', liar);
  await store.result('a');
  const { fields } = await store.log.message('it was me');
  expect(fields).toMatchObject({ instanceId: 'a', nodeId: 'n1', thread: 'replay-0', step: 1 });
  expect(fields['fields']).toEqual({ instanceId: 'other', nodeId: 'n9', thread: 4 });
});

test('what is logged is as it was then, and what reading it does has no part in the instance', async () => {
  const store = new TroubledStore();
  const counts = defineOrchestration('counts', async (ctx) => {
    const state = { at: { step: 1 } };
    ctx.log.info('counts', state);
    state.at.step = 2;
    ctx.log.info('counts', { toJSON: () => ({ random: Math.random() }) });
    const before = ctx.random();
    await ctx.scheduleTimer(1);
    return before;
  });
  await store.start({}, { orchestrations: counts, stickyCacheMb: 0 });
  await store.client.startOrchestration('a', 'counts');
  // A generator that was drawn from while live and not on replay would give another number, and the turn another decision.
  expect(await store.result('a')).toEqual(expect.any(Number));
  const lines = store.log.lines.filter(({ message }) => message === 'counts');
  expect(lines.map(({ fields }) => fields['at'] ?? typeof fields['random'])).toEqual([{ step: 1 }, 'number']);
});
