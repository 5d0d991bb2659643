// Every option and argument of the public surface with every value that breaks careless code: it is taken, or refused with a typed error that
// names it. Nothing is half-done after a refusal, and no instance is stuck by one.
import { Client, defineActivity, defineOrchestration, Runtime, withPrefix, type OrchestrationContext, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SqliteProvider, type SqliteOptions } from 'duraloom/sqlite';
import { SimulatedClock } from 'duraloom/testing';
import fc from 'fast-check';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { toMilliseconds } from '../../src/types/duration.ts';
import { ArgumentError, DurableError } from '../../src/types/errors.ts';
import { seeded } from '../support/seed.ts';
import { fuzz, LIMIT_MS, PATIENCE, WILD } from './kit.ts';

/** What JavaScript callers can pass. */
function wrong<Type>(value: unknown): Type {
  return value as Type;
}

/** The message of a refusal; null: the value was taken. Anything but a typed error fails the test. */
async function refusal(what: string, call: () => unknown): Promise<string | null> {
  try {
    await call();
    return null;
  } catch (error) {
    if (!(error instanceof DurableError)) throw new TypeError(`${what}: ${String(error)}`, { cause: error });
    expect(error.message.length, what).toBeLessThan(2_000);
    return error.message;
  }
}

const values = Object.entries(WILD);

// --- runtimes and providers ----------------------------------------------------------------------------------------------------------

const nothing = defineOrchestration('nothing', () => null);
const idle = defineActivity('idle', () => null);

const NUMERIC = [
  'replayThreads',
  'activityThreads',
  'activitiesPerThread',
  'turnsPerThread',
  'stickyCacheMb',
  'turnTimeoutMs',
  'orchestrationLockMs',
  'activityLockMs',
  'maxAttempts',
  'maxSessions',
  'sessionLeaseMs',
  'sessionIdleMs',
  'activityGraceMs',
  'storeTimeoutMs',
  'replayThreadMemoryMb',
  'activityThreadMemoryMb',
] as const;

/** Options by their name, each made around a value. */
const RUNTIME_OPTIONS: Readonly<Record<string, readonly ((value: unknown) => Readonly<Record<string, unknown>>)[]>> = {
  ...Object.fromEntries(NUMERIC.map((name) => [name, [(value: unknown) => ({ [name]: value })]])),
  provider: [(provider) => ({ provider })],
  orchestrations: [
    (orchestrations) => ({ orchestrations }),
    (source) => ({ orchestrations: [nothing, source] }),
    (source) => ({ orchestrations: { prefix: 'p.', source } }),
    (prefix) => ({ orchestrations: { prefix, source: nothing } }),
  ],
  activities: [(activities) => ({ activities }), (source) => ({ activities: [source] })],
  retryBackoff: [
    (retryBackoff) => ({ retryBackoff }),
    (initialMs) => ({ retryBackoff: { initialMs, maximumMs: 5 } }),
    (maximumMs) => ({ retryBackoff: { initialMs: 1, maximumMs } }),
  ],
  autoTune: [
    (autoTune) => ({ autoTune }),
    ...['minTurns', 'maxTurns', 'minActivities', 'maxActivities', 'targetLoopDelayMs'].map((name) => (value: unknown) => ({
      autoTune: { [name]: value },
    })),
  ],
  nodeId: [(nodeId) => ({ nodeId })],
  tags: [(tags) => ({ tags }), (only) => ({ tags: { only } }), (tag) => ({ tags: { defaultAnd: ['gpu', tag] } })],
  versionPolicy: [(versionPolicy) => ({ versionPolicy }), (policy) => ({ versionPolicy: { nothing: policy } })],
  metrics: [(metrics) => ({ metrics }), (record) => ({ metrics: { record } })],
  traces: [
    (traces) => ({ traces }),
    (record) => ({ traces: { record } }),
    (sampleRatio) => ({ traces: { record: () => null, sampleRatio } }),
  ],
  logger: [(logger) => ({ logger }), (info) => ({ logger: { debug: () => null, info, warn: () => null, error: () => null } })],
  logLevel: [(logLevel) => ({ logLevel })],
  clock: [(clock) => ({ clock }), (nowMs) => ({ clock: { nowMs, monotonicMs: () => 0, setTimer: () => () => null, defer: () => null } })],
};

describe('options of a runtime', () => {
  test.each(Object.entries(RUNTIME_OPTIONS))('are taken or refused by name: %s', async (name, shapes) => {
    const provider = new MemoryProvider();
    const valid: RuntimeOptions = { provider, orchestrations: nothing, activities: idle, replayThreads: 0, activityThreads: 0 };
    let refused = 0;
    for (const [valueName, make] of values) {
      for (const shape of shapes) {
        // A function is a clock's method as far as anybody can tell.
        if (name === 'clock' && valueName.includes('function')) continue;
        const start = async (): Promise<void> => {
          const runtime = await Runtime.start(wrong({ ...valid, ...shape(make()) }));
          await runtime.shutdown({ timeoutMs: 0 });
        };
        const message = await refusal(`${name}: ${valueName}`, start);
        if (message === null) continue;
        refused += 1;
        expect(message, valueName).toMatch(
          name === 'orchestrations' || name === 'activities' ? /orchestration|activit|module|prefix/ : name,
        );
      }
    }
    expect(refused).toBeGreaterThan(10);
    // Whoever was refused has left nothing behind.
    expect(await provider.listRuntimes()).toEqual([]);
  });

  test('as a whole are taken or refused', async () => {
    for (const [name, make] of values) expect(await refusal(name, () => Runtime.start(wrong(make()))), name).not.toBeNull();
  });

  test('of its shutdown and of a crash are taken or refused', async () => {
    const provider = new MemoryProvider();
    const runtime = await Runtime.start({ provider, orchestrations: nothing, replayThreads: 0 });
    for (const [name, make] of values) {
      await refusal(`crash ${name}`, () => runtime.crashThread(wrong(make())));
      await refusal(`crash kind ${name}`, () => runtime.crashThread({ kind: wrong(make()) }));
      await refusal(`crash index ${name}`, () => runtime.crashThread({ kind: 'activity', index: wrong(make()) }));
    }
    expect(runtime.state).toBe('running');
    for (const [name, make] of values) {
      const message = await refusal(`shutdown ${name}`, () => runtime.shutdown({ timeoutMs: wrong(make()) }));
      if (message !== null) expect(message).toContain('timeoutMs');
      await refusal(`shutdown options ${name}`, () => runtime.shutdown(wrong(make())));
    }
    expect(runtime.state).toBe('stopped');
  });
});

describe('options of providers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-fuzz-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(['synchronous', 'maxCommitMs', 'changePollMs', 'clock', null])(
    'of SQLite are taken or refused, and no file is made: %s',
    async (option) => {
      for (const [name, make] of values) {
        const file = join(folder, 'store.db');
        const open = async (): Promise<void> => {
          const options = option === null ? make() : { [option]: make() };
          const provider = await SqliteProvider.open(file, wrong<SqliteOptions>(options));
          await provider.close();
          for (const made of readdirSync(folder)) rmSync(join(folder, made));
        };
        const message = await refusal(`${option} ${name}`, open);
        if (message === null) continue;
        if (option !== null) expect(message).toContain(option);
        expect(readdirSync(folder)).toEqual([]);
      }
    },
  );

  test('files are opened or refused', async () => {
    // Paths are taken as they are: those that SQLite could make a file of stay out of it.
    const isPath = (name: string): boolean => ['text', 'lone surrogate', 'long text'].includes(name);
    for (const [name, make] of values) {
      if (!isPath(name)) expect(await refusal(name, () => SqliteProvider.open(wrong(make()))), name).toContain('file');
    }
    expect(await refusal('long text', () => SqliteProvider.open(join(folder, 'x'.repeat(100_000))))).toContain('cannot be opened');
    expect(await refusal('NUL', () => SqliteProvider.open(join(folder, 'a\0b')))).toContain('file');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of the memory provider and the simulated clock are taken or refused', async () => {
    for (const [name, make] of values) {
      await refusal(name, () => new MemoryProvider(wrong(make())));
      await refusal(name, () => new MemoryProvider({ clock: wrong(make()) }));
      await refusal(name, () => new SimulatedClock(wrong(make())));
    }
  });
});

// --- definitions and durations -------------------------------------------------------------------------------------------------------

describe(seeded('definitions and durations'), () => {
  test('are made or refused', async () => {
    const handler = (): null => null;
    for (const [name, make] of values) {
      const calls: Readonly<Record<string, () => unknown>> = {
        'activity name': () => defineActivity(wrong<string>(make()), handler),
        'orchestration name': () => defineOrchestration(wrong<string>(make()), handler),
        handler: () => defineActivity('a', wrong<() => null>(make())),
        schemas: () => defineActivity('a', handler, wrong(make())),
        'schemas of': () => defineActivity('a', handler, { input: wrong(make()) }),
        settings: () => defineOrchestration('a', handler, wrong(make())),
        version: () => defineOrchestration('a', handler, { version: wrong(make()) }),
        'the schemas': () => defineOrchestration('a', handler, { output: wrong(make()) }),
        e: () => defineOrchestration('a', handler, { events: wrong(make()) }),
        schema: () => defineOrchestration('a', handler, { events: { e: wrong(make()) } }),
        prefix: () => withPrefix(wrong(make()), nothing),
      };
      for (const [what, call] of Object.entries(calls)) {
        const message = await refusal(`${what}: ${name}`, call);
        // Of settings as a whole, the one that is wrong is named.
        if (message !== null && what !== 'settings') expect(message).toContain(what.replace(' of', ''));
      }
    }
  });

  test('of any text or number are milliseconds or refused', () => {
    const amount = fc.oneof(
      fc.integer().map(String),
      fc.double().map(String),
      fc.constantFrom('', '1e3', '0x10', '٣', '1_000', ' 1', '9'.repeat(400)),
    );
    const unit = fc.oneof(fc.constantFrom('ms', 's', 'm', 'h', 'd', '', 'S', 'min', ' s', '__proto__'), fc.string({ maxLength: 2 }));
    const text = fc.tuple(amount, unit).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(text, fc.double(), fc.integer()), (given) => {
        let ms: number;
        try {
          ms = toMilliseconds(wrong(given), 'the pause');
        } catch (error) {
          expect(error).toBeInstanceOf(ArgumentError);
          expect((error as Error).message).toContain('the pause');
          return;
        }
        expect(Number.isSafeInteger(ms) && ms >= 0).toBe(true);
      }),
      fuzz(500),
    );
  });
});

// --- client calls --------------------------------------------------------------------------------------------------------------------

/** Calls of a client by what is passed; the value goes where the name says. */
const CLIENT_CALLS: Readonly<Record<string, (client: Client, value: never) => unknown>> = {
  'startOrchestration: instance id': (client, value) => client.startOrchestration(value, 'nothing'),
  'startOrchestration: orchestration': (client, value) => client.startOrchestration('new', value),
  'startOrchestration: input': (client, value) => client.startOrchestration('new', 'nothing', value),
  'startOrchestration: options': (client, value) => client.startOrchestration('new', 'nothing', null, value),
  'startOrchestration: version': (client, version) => client.startOrchestration('new', 'nothing', null, { version }),
  'startOrchestration: onExisting': (client, onExisting) => client.startOrchestration('new', 'nothing', null, { onExisting }),
  'startOrchestration: startAfter': (client, startAfter) => client.startOrchestration('new', 'nothing', null, { startAfter }),
  'startOrchestration: startAt': (client, startAt) => client.startOrchestration('new', 'nothing', null, { startAt }),
  'startOrchestration: priority': (client, priority) => client.startOrchestration('new', 'nothing', null, { priority }),
  'startOrchestrations: requests': (client, value) => client.startOrchestrations(value),
  'startOrchestrations: request 1': (client, value) => client.startOrchestrations([{ instanceId: 'new', orchestration: 'nothing' }, value]),
  'raiseEvent: instance id': (client, value) => client.raiseEvent(value, 'event'),
  'raiseEvent: event name': (client, value) => client.raiseEvent('living', value),
  'raiseEvent: data': (client, value) => client.raiseEvent('living', 'event', value),
  'raiseEvent: options': (client, value) => client.raiseEvent('living', 'event', null, value),
  'raiseEvent: key': (client, key) => client.raiseEvent('living', 'event', null, { key }),
  'raiseEvents: requests': (client, value) => client.raiseEvents(value),
  'raiseEvents: request 1': (client, value) => client.raiseEvents([{ instanceId: 'living', name: 'event' }, value]),
  'publish: topic': (client, value) => client.publish(value),
  'publish: data': (client, value) => client.publish('topic', value),
  'publish: options': (client, value) => client.publish('topic', null, value),
  'publish: key': (client, key) => client.publish('topic', null, { key }),
  'cancel: instance id': (client, value) => client.cancel(value),
  'cancel: reason': (client, value) => client.cancel('living', value),
  'terminate: instance id': (client, value) => client.terminate(value),
  'terminate: reason': (client, value) => client.terminate('ended', value),
  'suspend: instance id': (client, value) => client.suspend(value),
  'resume: instance id': (client, value) => client.resume(value),
  'getState: instance id': (client, value) => client.getState(value),
  'getHandle: instance id': (client, value) => client.getHandle(value).state(),
  'getHandle.result: options': (client, value) => client.getHandle('ended').result(value),
  'waitForResult: instance id': (client, value) => client.waitForResult(value, { timeout: 0 }),
  'waitForResult: options': (client, value) => client.waitForResult('ended', value),
  'waitForResult: timeout': (client, timeout) => client.waitForResult('ended', { timeout }),
  'waitForResult: signal': (client, signal) => client.waitForResult('ended', { timeout: 0, signal }),
  'waitForCustomStatus: options': (client, value) => client.waitForCustomStatus('ended', value),
  'waitForCustomStatus: afterVersion': (client, afterVersion) => client.waitForCustomStatus('ended', { timeout: 0, afterVersion }),
  'waitForReceipt: event key': (client, value) => client.waitForReceipt('ended', value, { timeout: 0 }),
  'waitForReceipt: options': (client, value) => client.waitForReceipt('ended', 'key', value),
  'waitForValue: key': (client, value) => client.waitForValue('ended', value, { timeout: 0 }),
  'waitForValue: options': (client, value) => client.waitForValue('ended', 'key', value),
  'waitForValue: unless': (client, unless) => client.waitForValue('ended', 'key', { timeout: 0, unless }),
  'getValue: instance id': (client, value) => client.getValue(value, 'key'),
  'getValue: key': (client, value) => client.getValue('ended', value),
  'getValues: instance id': (client, value) => client.getValues(value),
  'listActivities: instance id': (client, value) => client.listActivities(value),
  'listInstances: options': (client, value) => client.listInstances(value),
  'listInstances: cursor': (client, cursor) => client.listInstances({ cursor }),
  'listInstances: order': (client, orderBy) => client.listInstances({ orderBy }),
  'listInstances: tag': (client, tag) => client.listInstances({ tag }),
  'listInstances: attribute': (client, attributes) => client.listInstances({ attributes }),
  'listInstances: createdAfter': (client, createdAfter) => client.listInstances({ createdAfter }),
  'listInstances: search': (client, search) => client.listInstances({ search }),
  'listInstances: limit': (client, limit) => client.listInstances({ limit }),
  'listInstances: status': (client, status) => client.listInstances({ status }),
  'listInstances: instance id': (client, parent) => client.listInstances({ parent }),
  'readHistory: instance id': (client, value) => client.readHistory(value),
  'readHistory: execution id': (client, value) => client.readHistory('ended', value),
};

/** Codes that say that the call was understood. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  'INSTANCE_NOT_FOUND',
  'INSTANCE_ENDED',
  'INSTANCE_EXISTS',
  'ORCHESTRATION_TERMINATED',
  'WAIT_TIMEOUT',
]);

describe.each(['sqlite', 'memory'])('calls of a client on %s', (kind) => {
  let provider: MemoryProvider | SqliteProvider;
  let client: Client;

  beforeAll(async () => {
    provider = kind === 'sqlite' ? await SqliteProvider.open(':memory:') : new MemoryProvider();
    client = new Client(provider);
    await client.startOrchestrations(['living', 'ended'].map((instanceId) => ({ instanceId, orchestration: 'nothing' })));
    await client.terminate('ended');
  });
  afterAll(() => provider.close());

  const look = async (): Promise<unknown> => [await provider.readQueueDepths(), (await client.listInstances()).instances];

  test.each(Object.entries(CLIENT_CALLS))('are taken or refused by name: %s', async (name, call) => {
    const [, subject = ''] = name.split(': ');
    for (const [valueName, make] of values) {
      const before = await look();
      let understood = true;
      const message = await refusal(`${name}: ${valueName}`, async () => {
        try {
          await call(client, make() as never);
        } catch (error) {
          if (error instanceof DurableError && UNDERSTOOD.has(error.code)) return;
          understood = false;
          throw error;
        }
      });
      // Of options as a whole, the one that is wrong is named; of a request, its field.
      const isWhole = subject === 'options' || subject.startsWith('request');
      if (message !== null && !isWhole) expect(message.toLowerCase(), valueName).toContain(subject.toLowerCase());
      if (!understood) expect(await look(), valueName).toEqual(before);
      // Gone before the next value, which may need the id.
      if (name.startsWith('start')) await client.terminate('new').catch(() => null);
    }
  });

  test('of its making are taken or refused', async () => {
    for (const [name, make] of values) {
      expect(await refusal(name, () => new Client(wrong(make())))).toContain('provider');
      const message = await refusal(name, () => new Client(provider, { clock: wrong(make()) }));
      if (message !== null) expect(message).toContain('clock');
      await refusal(name, () => new Client(provider, wrong(make())));
    }
  });
});

// --- calls of orchestrations and activities ------------------------------------------------------------------------------------------

type Call = (ctx: OrchestrationContext, value: never) => unknown;

const OPTIONS_OF_ACTIVITIES = ['tag', 'sessionId', 'priority', 'attemptTimeoutMs', 'timeoutMs', 'expiresAfterMs', 'retry'];
const OPTIONS_OF_RETRIES = [
  'maximumAttempts',
  'backoff',
  'initialIntervalMs',
  'backoffCoefficient',
  'maximumIntervalMs',
  'jitter',
  'nonRetryable',
];
const OPTIONS_OF_CHILDREN = ['instanceId', 'version', 'onExisting', 'onParentClose', 'startAfter', 'startAt', 'priority'];

const CONTEXT_CALLS: Readonly<Record<string, Call>> = {
  'scheduleActivity name': (ctx, value) => ctx.scheduleActivity(value),
  'scheduleActivity input': (ctx, value) => ctx.scheduleActivity('idle', value),
  'scheduleActivity options': (ctx, value) => ctx.scheduleActivity('idle', null, value),
  ...Object.fromEntries(
    OPTIONS_OF_ACTIVITIES.map((name): [string, Call] => [
      `scheduleActivity ${name}`,
      (ctx, value) => ctx.scheduleActivity('idle', null, { [name]: value }),
    ]),
  ),
  ...Object.fromEntries(
    OPTIONS_OF_RETRIES.map((name): [string, Call] => [
      `retry ${name}`,
      (ctx, value) => ctx.scheduleActivity('idle', null, { retry: { [name]: value } }),
    ]),
  ),
  'activities options': (ctx, value) => ctx.activities<{ readonly idle: typeof idle }>(value).idle(),
  'scheduleTimer when': (ctx, value) => ctx.scheduleTimer(value),
  'waitForEvent name': (ctx, value) => ctx.waitForEvent(value),
  'subscribe pattern': (ctx, value) => ctx.subscribe(value).next(),
  'publish topic': (ctx, value) => ctx.publish(value),
  'publish data': (ctx, value) => ctx.publish('topic', value),
  'sendToSession id': (ctx, value) => ctx.sendToSession(value),
  'sendToSession data': (ctx, value) => ctx.sendToSession('session', value),
  'getValueFromInstance id': (ctx, value) => ctx.getValueFromInstance(value, 'key'),
  'getValueFromInstance key': (ctx, value) => ctx.getValueFromInstance('other', value),
  scope: (ctx, value) => ctx.scope(value),
  shield: (ctx, value) => ctx.shield(value),
  'withTimeout limit': (ctx, value) => ctx.withTimeout(value, () => null),
  'withTimeout run': (ctx, value) => ctx.withTimeout('1h', value),
  patched: (ctx, value) => ctx.patched(value),
  deprecatePatch: (ctx, value) => ctx.deprecatePatch(value),
  'scheduleSubOrchestration name': (ctx, value) => ctx.scheduleSubOrchestration(value),
  'scheduleSubOrchestration input': (ctx, value) => ctx.scheduleSubOrchestration('nothing', value),
  'scheduleSubOrchestration options': (ctx, value) => ctx.scheduleSubOrchestration('nothing', null, value),
  ...Object.fromEntries(
    OPTIONS_OF_CHILDREN.map((name): [string, Call] => [
      `scheduleSubOrchestration ${name}`,
      (ctx, value) => ctx.scheduleSubOrchestration('nothing', null, { [name]: value }),
    ]),
  ),
  'startOrchestration name': (ctx, value) => ctx.startOrchestration(value, 'other'),
  'startOrchestration id': (ctx, value) => ctx.startOrchestration('nothing', value),
  'startOrchestration input': (ctx, value) => ctx.startOrchestration('nothing', 'other', value),
  'startOrchestration options': (ctx, value) => ctx.startOrchestration('nothing', 'other', null, value),
  'startOrchestration onExisting': (ctx, onExisting) => ctx.startOrchestration('nothing', 'other', null, { onExisting }),
  'all group': (ctx, value) => ctx.all(value),
  'all member': (ctx, value) => ctx.all([value]),
  'allSettled group': (ctx, value) => ctx.allSettled(value),
  'allSettled member': (ctx, value) => ctx.allSettled({ a: value }),
  'any group': (ctx, value) => ctx.any(value),
  'race group': (ctx, value) => ctx.race(value),
  'race member': (ctx, value) => ctx.race([value, ctx.scheduleTimer('1h')]),
  setCustomStatus: (ctx, value) => ctx.setCustomStatus(value),
  'kv.get': (ctx, value) => ctx.kv.get(value),
  'kv.set key': (ctx, value) => ctx.kv.set(value, 1),
  'kv.set value': (ctx, value) => ctx.kv.set('key', value),
  'kv.delete': (ctx, value) => ctx.kv.delete(value),
  'kv.prune': (ctx, value) => ctx.kv.prune(value),
  'log.info message': (ctx, value) => ctx.log.info(value),
  'log.info fields': (ctx, value) => ctx.log.info('line', value),
  'log.info field': (ctx, value) => ctx.log.info('line', { value }),
  'metrics name': (ctx, value) => ctx.metrics.counter(value),
  'metrics value': (ctx, value) => ctx.metrics.gauge('gauge', value),
  'metrics labels': (ctx, value) => ctx.metrics.histogram('histogram', 1, value),
  'metrics label': (ctx, value) => ctx.metrics.counter('counter', 1, { label: value }),
};

/** What a call gave, as text: `taken`, the code of a typed error, or what else was thrown. Futures are given up. */
function tryCall(run: () => unknown): string {
  try {
    const returned = run();
    if (returned instanceof Promise) returned.catch(() => null);
    (returned as { readonly cancel?: () => void } | null | undefined)?.cancel?.();
    return 'taken';
  } catch (error) {
    return error instanceof DurableError ? error.code : `UNTYPED ${String(error)}`;
  }
}

const FINE: ReadonlySet<string> = new Set(['taken', 'ARGUMENT_INVALID', 'PAYLOAD_NOT_SERIALIZABLE', 'PAYLOAD_TOO_LARGE', 'VALUE_LIMIT']);

/** Runs the calls of one name with all values in one instance. */
const caller = defineOrchestration('caller', async (ctx, name: string) => {
  const call = CONTEXT_CALLS[name];
  if (call === undefined) throw new RangeError(name);
  const outcomes = values.map(([valueName, make]) => [valueName, tryCall(() => call(ctx, make() as never))] as const);
  // It comes back once more, so that all of it is replayed.
  await ctx.scheduleTimer(1);
  return outcomes;
});

/** The value goes into the options of continue-as-new; the next execution ends. */
const continuing = defineOrchestration(
  'continuing',
  async (ctx, input: { readonly option: 'version' | 'onEventOverflow' | null; readonly value: string }) => {
    if (ctx.executionId > 1) return 'taken';
    const value = WILD[input.value]?.() as never;
    try {
      await ctx.continueAsNew({ ...input, again: true }, input.option === null ? value : { [input.option]: value });
    } catch (error) {
      return error instanceof DurableError ? error.code : `UNTYPED ${String(error)}`;
    }
    return 'never';
  },
);

const beating = defineActivity('beating', (ctx) =>
  values.flatMap(([name, make]) => [
    [`heartbeat ${name}`, tryCall(() => ctx.heartbeat(make()))] as const,
    [`log ${name}`, tryCall(() => ctx.log.warn(make() as string))] as const,
    [`fields ${name}`, tryCall(() => ctx.log.warn('line', make() as Readonly<Record<string, unknown>>))] as const,
    [`field ${name}`, tryCall(() => ctx.log.error('line', { value: make() }))] as const,
  ]),
);
const calling = defineOrchestration('calling', (ctx) => ctx.scheduleActivity(beating));

describe('calls of code', () => {
  const lines: unknown[] = [];
  let runtime: Runtime;
  let client: Client;

  beforeAll(async () => {
    const provider = new MemoryProvider();
    const note = (fields: object, message: string): unknown => lines.push([fields, message]);
    runtime = await Runtime.start({
      provider,
      orchestrations: [caller, continuing, calling, nothing],
      activities: [idle, beating],
      replayThreads: 0,
      activityThreads: 0,
      stickyCacheMb: 0,
      logger: { debug: note, info: note, warn: note, error: note },
    });
    client = new Client(provider);
  });
  afterAll(() => runtime.shutdown({ timeoutMs: 0 }));

  test.each(Object.keys(CONTEXT_CALLS))('of orchestrations are taken or refused, and the instance goes on: %s', async (name) => {
    const handle = await client.startOrchestration<readonly (readonly [string, string])[]>(name.replace('.', ' '), 'caller', name);
    const outcomes = await handle.result({ timeout: PATIENCE });
    expect(outcomes.filter(([, outcome]) => !FINE.has(outcome))).toEqual([]);
    expect(outcomes).toHaveLength(values.length);
  });

  test('of continue-as-new are taken or refused, and the instance goes on', async () => {
    const inputs = (['version', 'onEventOverflow', null] as const).flatMap((option) => values.map(([value]) => ({ option, value })));
    // A version that nobody has is waited for.
    const sound = inputs.filter(({ option, value }) => option !== 'version' || typeof WILD[value]?.() !== 'string');
    const handles = await client.startOrchestrations(
      sound.map((input, index) => ({ instanceId: `continuing-${index}`, orchestration: 'continuing', input })),
    );
    for (const [index, { handle }] of handles.entries()) {
      expect(['taken', 'ARGUMENT_INVALID'], JSON.stringify(sound[index])).toContain(await handle.result({ timeout: PATIENCE }));
    }
  });

  test('of activities are taken or refused, and all lines reach the logger', async () => {
    lines.length = 0;
    const handle = await client.startOrchestration<readonly (readonly [string, string])[]>('calling', 'calling');
    const outcomes = await handle.result({ timeout: PATIENCE });
    expect(outcomes.filter(([, outcome]) => !FINE.has(outcome))).toEqual([]);
    expect(lines.length).toBeGreaterThanOrEqual(3 * values.length);
  });
});

test(
  'a logger that throws stops nothing',
  async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', listen);
    onTestFinished(() => void process.off('warning', listen));
    const throws = (): never => {
      throw new RangeError('a logger of the test');
    };
    const provider = new MemoryProvider();
    const chatty = defineOrchestration('chatty', async (ctx) => {
      ctx.log.info('before');
      await ctx.scheduleTimer(1);
      ctx.log.error('after');
      return 1;
    });
    const logger = { debug: throws, info: throws, warn: throws, error: throws };
    const runtime = await Runtime.start({ provider, orchestrations: chatty, replayThreads: 0, logger });
    onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
    const client = new Client(provider);
    const ids = ['1', '2', '3'];
    await client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: chatty })));
    for (const id of ids) expect(await client.waitForResult(id, { timeout: PATIENCE })).toBe(1);
    expect(warnings.some(({ message }) => message.includes('a logger of the test'))).toBe(true);
  },
  LIMIT_MS,
);
