// Code that breaks the rules or its thread: it gets a typed error, and everybody else goes on.
import { Client, defineActivity, defineOrchestration, type Clock, type InstanceHandle, type RuntimeOptions } from 'duraloom';
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/provider/system-clock.ts';
import { LogBook } from '../support/integration-log.ts';
import { DURALOOM_URL, fixture, modules, PATIENCE, quick, rejection, shareRuntime, Stage, stage } from '../support/integration-stage.ts';
import type { Readings } from './fixtures/misbehaving-orchestrations.ts';

const orchestrations = [modules.orchestrations, fixture('misbehaving-orchestrations.ts')];
const activities = [modules.activities, fixture('killers.ts')];

const INNOCENTS = 12;

/**
 * Leases and turns that a slow machine keeps: here nobody waits for their end, and an innocent that lost one for want of processor time would count
 * as charged.
 */
const patient = { ...quick, turnTimeoutMs: 20_000, activityLockMs: 30_000, orchestrationLockMs: 30_000 };
/** Turn timeout where the watchdog is to strike. Reason: long enough for turns of innocents on a busy machine. */
const WATCHDOG_MS = 1_000;

/** Queues innocent instances around a culprit, then starts a runtime, so that all come in one batch. */
async function startBatch(
  stand: Stage,
  start: (client: Client) => Promise<InstanceHandle>,
  options: Partial<RuntimeOptions>,
): Promise<{ readonly culprit: InstanceHandle; readonly innocents: readonly InstanceHandle<string>[]; readonly client: Client }> {
  const provider = await stand.openProvider();
  const client = new Client(provider);
  const innocents: InstanceHandle<string>[] = [];
  const add = async (): Promise<void> => {
    innocents.push(await client.startOrchestration<string>(`innocent-${innocents.length}`, 'hello', 'x'));
  };
  for (let index = 0; index < INNOCENTS / 2; index += 1) await add();
  const culprit = await start(client);
  for (let index = 0; index < INNOCENTS / 2; index += 1) await add();
  await stand.startRuntime({ provider, ...patient, orchestrations, activities, ...options });
  return { culprit, innocents, client };
}

async function expectAllGreeted(innocents: readonly InstanceHandle<string>[]): Promise<void> {
  const results = await Promise.all(innocents.map((handle) => handle.result({ timeout: PATIENCE })));
  expect(results).toEqual(innocents.map(() => 'Hello, x!'));
}

describe('an orchestration that awaits something that is not durable', () => {
  const shared = shareRuntime({ ...patient, orchestrations });

  test.each(['plain promise', 'timer promise', 'real timer', 'microtask first', 'race with nothing'])(
    'is told at once that it is stuck: %s',
    async (way) => {
      const id = `stuck ${way}`;
      const handle = await shared.client.startOrchestration(id, 'stuck', way);
      const error = await rejection(handle.result({ timeout: PATIENCE }));
      expect(error).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { name: 'DeterminismError', code: 'ORCHESTRATION_STUCK' } });
      expect(error.message).toContain(`orchestration 'stuck' (instance '${id}'`);
      expect(error.message).toContain('ctx.scheduleActivity(echo)');
    },
  );

  test.each(['calls ctx', 'ends', 'throws', 'rejects in a helper', 'reads the clock'])(
    'is told that it was late when it goes on between its turns: %s',
    async (way) => {
      const id = `late ${way}`;
      const handle = await shared.client.startOrchestration(id, 'late', way);
      const other = await shared.client.startOrchestration(`beside ${id}`, 'hello', 'x');
      expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_FAILED',
        cause: { name: 'DeterminismError', code: 'LATE_CALL' },
      });
      expect(await other.result({ timeout: PATIENCE })).toBe('Hello, x!');
      const kinds = (await shared.client.readHistory(id)).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'ActivityScheduled')).toHaveLength(1);
    },
  );
});

describe('inline, an orchestration', () => {
  const shared = shareRuntime({ ...patient, orchestrations, replayThreads: 0, activityThreads: 0 });

  // What main does with the report must not count as code of the instance.
  test.each(['calls ctx', 'ends', 'throws', 'reads the clock'])('is told that it was late, too: %s', async (way) => {
    const handle = await shared.client.startOrchestration(`late ${way}`, 'late', way);
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ cause: { code: 'LATE_CALL' } });
  });
});

describe('globals in an orchestration', () => {
  const shared = shareRuntime({ ...patient, orchestrations });

  test.each(['fetch', 'setTimeout', 'captured setTimeout', 'setInterval', 'setImmediate', 'WebSocket', 'WeakRef', 'FinalizationRegistry'])(
    '%s is refused with advice',
    async (name) => {
      const handle = await shared.client.startOrchestration(`uses ${name}`, 'usesGlobal', name);
      const { code, cause } = await rejection(handle.result({ timeout: PATIENCE }));
      expect(code).toBe('ORCHESTRATION_FAILED');
      expect(cause).toMatchObject({ name: 'DeterminismError', code: 'GLOBAL_FORBIDDEN' });
      const { message } = cause as Error;
      expect(message).toContain(`used ${name.replace('captured ', '')}`);
      expect(message).toMatch(/Use ctx\.scheduleTimer|activity|keep a plain reference|clean up explicitly/);
    },
  );

  /** The store lives in another decade, so that its time cannot be taken for real time. */
  const SHIFT_MS = 10 * 365 * 86_400_000;
  const shifted: Clock = { ...systemClock, nowMs: () => Date.now() - SHIFT_MS };

  const platform = new Stage();
  afterAll(() => platform[Symbol.asyncDispose]());
  const read: Record<string, Promise<readonly Readings[]>> = {};

  /** Reads the platform in an instance of the same id, each time in a store of its own. */
  function readPlatform(run: 'first' | 'second' | 'cold' | 'inline'): Promise<readonly Readings[]> {
    const options = { first: {}, second: {}, cold: { stickyCacheMb: 0 }, inline: { replayThreads: 0, activityThreads: 0 } }[run];
    return (read[run] ??= (async () => {
      const provider = await platform.openProvider({ file: `${run}.db`, clock: shifted });
      await platform.startRuntime({ provider, ...modules, ...patient, orchestrations, ...options });
      const handle = await new Client(provider).startOrchestration<readonly Readings[]>('platform', 'readsPlatform');
      return handle.result({ timeout: PATIENCE });
    })());
  }

  test.each(['first', 'inline'] as const)('Date follows the event time: %s', async (run) => {
    for (const { dates, dateText, ctxNow } of await readPlatform(run)) {
      expect(ctxNow).toBeLessThan(Date.now() - SHIFT_MS / 2);
      expect(dates).toEqual([ctxNow, ctxNow, ctxNow]);
      expect(dateText).toBe(new Date(ctxNow).toString());
    }
  });

  test('performance.now follows the event time', async () => {
    for (const { performanceNow, ctxNow } of await readPlatform('first')) expect(performanceNow).toBe(ctxNow);
  });

  test('Math.random gives an instance the same numbers whenever and wherever it runs', async () => {
    const numbers = (readings: readonly Readings[]): readonly number[] => readings.map(({ random }) => random);
    const first = numbers(await readPlatform('first'));
    expect(numbers(await readPlatform('second'))).toEqual(first);
    expect(numbers(await readPlatform('inline'))).toEqual(first);
    expect(new Set(first).size).toBe(3);
  });

  test('crypto gives an instance the same values whenever and wherever it runs', async () => {
    const values = (readings: readonly Readings[]): unknown => readings.map(({ uuid, bytes }) => ({ uuid, bytes }));
    expect(values(await readPlatform('second'))).toEqual(values(await readPlatform('first')));
    expect(values(await readPlatform('inline'))).toEqual(values(await readPlatform('first')));
  });

  test('an orchestration that reads all of them replays from its history', async () => {
    expect(await readPlatform('cold')).toHaveLength(3);
  });

  test('activities see the real clock and real randomness', async () => {
    const stand = stage();
    const provider = await stand.openProvider({ clock: shifted });
    const read = stand.writeModule(
      'read.ts',
      `import { defineActivity } from '${DURALOOM_URL}';
       export const read = defineActivity('read', () => ({ now: Date.now(), random: Math.random(), uuid: crypto.randomUUID() }));`,
    );
    await stand.startRuntime({ provider, ...patient, orchestrations, activities: read });
    const handle = await new Client(provider).startOrchestration<readonly { now: number; random: number; uuid: string }[]>('a', 'fan', {
      activity: 'read',
      count: 3,
    });
    const readings = await handle.result({ timeout: PATIENCE });
    for (const { now } of readings) expect(Math.abs(now - Date.now())).toBeLessThan(60_000);
    expect(new Set(readings.map(({ random }) => random)).size).toBe(3);
    expect(new Set(readings.map(({ uuid }) => uuid)).size).toBe(3);
  });

  test('inline, the host keeps real time and its own randomness while an orchestration runs, and gets its globals back', async () => {
    const originals = { Date, setTimeout, random: Math.random, fetch, log: console.log };
    const stand = stage();
    const provider = await stand.openProvider({ clock: shifted });
    const host = new AsyncLocalStorage<string>();
    const seen: { readonly now: number; readonly date: number; readonly store: string | undefined }[] = [];
    let tellHost = (): void => undefined;
    const told = host.run('host', async () => {
      await new Promise<void>((resolve) => {
        tellHost = resolve;
      });
      // Runs in the drain of the orchestration that told us.
      seen.push({ now: Date.now(), date: new Date().getTime(), store: host.getStore() });
      for (let index = 0; index < 10; index += 1) {
        await null;
        Math.random();
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
      seen.push({ now: Date.now(), date: new Date().getTime(), store: host.getStore() });
    });
    const mixed = defineOrchestration('mixed', async (ctx) => {
      tellHost();
      const numbers: number[] = [];
      for (let index = 0; index < 5; index += 1) {
        await null;
        numbers.push(Math.random());
      }
      await ctx.scheduleActivity('noop');
      return [numbers, Date.now()];
    });
    const noop = defineActivity('noop', () => Date.now());
    const runtime = await stand.startRuntime({
      provider,
      orchestrations: [mixed],
      activities: [noop],
      replayThreads: 0,
      activityThreads: 0,
    });
    const client = new Client(provider);
    const run = async (): Promise<unknown> => (await client.startOrchestration('mixed', mixed)).result({ timeout: PATIENCE });
    const [numbers, nowMs] = (await run()) as [number[], number];
    await told;
    for (const { now, date, store } of seen) {
      expect(Math.abs(now - originals.Date.now())).toBeLessThan(60_000);
      expect(Math.abs(date - now)).toBeLessThan(1_000);
      expect(store).toBe('host');
    }
    expect(seen).toHaveLength(2);
    expect(nowMs).toBeLessThan(Date.now() - SHIFT_MS / 2);
    await runtime.shutdown();
    expect({ Date, setTimeout, random: Math.random, fetch, log: console.log }).toEqual(originals);
    expect(globalThis.Date).toBe(originals.Date);

    // The same instance in a second store, without a host that interferes, draws the same numbers.
    tellHost = (): void => undefined;
    const quiet = stage();
    const other = await quiet.openProvider();
    await quiet.startRuntime({ provider: other, orchestrations: [mixed], activities: [noop], replayThreads: 0, activityThreads: 0 });
    const again = await new Client(other).startOrchestration('mixed', mixed);
    expect(((await again.result({ timeout: PATIENCE })) as [number[], number])[0]).toEqual(numbers);
  });
});

describe('an orchestration that keeps its thread', () => {
  test.each(['synchronous', 'microtasks', 'ctx calls', 'empty combinators'])(
    'is ended by the watchdog and quarantined; all others of its batch complete uncharged: %s',
    async (way) => {
      const stand = stage();
      const logger = new LogBook();
      // With one attempt only, an innocent that was charged one would be quarantined.
      const { culprit, innocents, client } = await startBatch(stand, (client) => client.startOrchestration('culprit', 'loops', way), {
        maxAttempts: 1,
        turnTimeoutMs: WATCHDOG_MS,
        logger,
      });
      const error = await rejection(culprit.result({ timeout: PATIENCE }));
      expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'TURN_TIMEOUT' } } });
      const { message } = (error.cause as Error).cause as Error;
      expect(message).toContain("orchestration 'loops' (instance 'culprit')");
      const lastCall: Readonly<Record<string, string>> = { 'ctx calls': 'ctx.now', 'empty combinators': 'ctx.all' };
      expect(message).toContain(lastCall[way] ?? 'ctx.scheduleActivity(echo)');
      expect(message).toContain(`${WATCHDOG_MS} ms`);
      await expectAllGreeted(innocents);
      expect(await client.getState('culprit')).toMatchObject({ status: 'Quarantined' });
    },
  );

  test('is tried as often as maxAttempts says', async () => {
    const logger = new LogBook();
    const { client } = await stage().open({ orchestrations, logger, maxAttempts: 3 });
    const handle = await client.startOrchestration('thrice', 'loopsAtOnce');
    const error = await rejection(handle.result({ timeout: PATIENCE }));
    expect(error.message).toContain('tried 3 times');
    expect(error.message).toContain('Last call: none');
    expect(logger.lines.filter(({ fields }) => fields['code'] === 'TURN_TIMEOUT').map(({ fields }) => fields['attempt'])).toEqual([
      1, 2, 3,
    ]);
  });

  test('can be cured by a new deployment before its attempts are used up', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({
      orchestrations,
      logger,
      maxAttempts: 10,
      retryBackoff: { initialMs: 50, maximumMs: 50 },
    });
    const handle = await client.startOrchestration('cured', 'loopsAtOnce');
    await logger.waitFor(({ fields }) => fields['code'] === 'TURN_TIMEOUT');
    await runtime.shutdown();
    await stand.startRuntime({ provider, orchestrations: [defineOrchestration('loopsAtOnce', () => 'cured')], replayThreads: 0 });
    expect(await handle.result({ timeout: PATIENCE })).toBe('cured');
  });
});

describe('an orchestration that kills its thread', () => {
  test.each([
    ['exits', 'process.exit', {}],
    ['devours', 'memory', { replayThreadMemoryMb: 24 }],
  ])('is quarantined; all others complete uncharged: %s', async (name, hint, options) => {
    const { culprit, innocents } = await startBatch(stage(), (client) => client.startOrchestration('culprit', name), {
      maxAttempts: 1,
      ...options,
    });
    const error = await rejection(culprit.result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'THREAD_DIED' } } });
    expect(error.message).toContain(hint);
    await expectAllGreeted(innocents);
  });
});

describe('a rejection that nobody handles', () => {
  test.each(['native promise', 'async helper', 'helper after an activity'])(
    'fails the orchestration that left it, and no other: %s',
    async (way) => {
      const { culprit, innocents } = await startBatch(stage(), (client) => client.startOrchestration('culprit', 'forgets', way), {});
      const error = await rejection(culprit.result({ timeout: PATIENCE }));
      expect(error).toMatchObject({
        code: 'ORCHESTRATION_FAILED',
        cause: { code: 'UNHANDLED_REJECTION', cause: { message: 'forgotten' } },
      });
      await expectAllGreeted(innocents);
    },
  );

  test('is none when it is a durable future', async () => {
    const { client } = await stage().open({ orchestrations });
    const handle = await client.startOrchestration('ignores', 'ignoresFuture');
    expect(await handle.result({ timeout: PATIENCE })).toBe('went on');
  });

  test('inline, fails the orchestration that left it', async () => {
    const { culprit, innocents } = await startBatch(stage(), (client) => client.startOrchestration('culprit', 'forgets', 'async helper'), {
      replayThreads: 0,
      activityThreads: 0,
    });
    expect(await rejection(culprit.result({ timeout: PATIENCE }))).toMatchObject({ cause: { code: 'UNHANDLED_REJECTION' } });
    await expectAllGreeted(innocents);
  });

  test('in an activity ends neither the activity nor its thread', async () => {
    const { culprit, innocents } = await startBatch(
      stage(),
      (client) => client.startOrchestration('culprit', 'call', { activity: 'forgetRejection' }),
      { maxAttempts: 1 },
    );
    expect(await culprit.result({ timeout: PATIENCE })).toBe('went on');
    await expectAllGreeted(innocents);
  });
});

describe('an activity that kills its thread', () => {
  test.each([
    ['exitNow', 1, 'process.exit', {}],
    ['outOfMemory', 1, 'activityThreadMemoryMb', { activityThreadMemoryMb: 24 }],
    // Nobody knows which of the activities that are under way did it: the others may be charged, but must come through.
    ['exitLater', 2, 'process.exit', {}],
    ['throwLater', 2, 'thrown in a callback', {}],
  ])(
    'fails in its orchestration with a typed error; all others complete: %s with %i attempts',
    async (activity, maxAttempts, hint, options) => {
      const { culprit, innocents } = await startBatch(stage(), (client) => client.startOrchestration('culprit', 'call', { activity }), {
        maxAttempts,
        ...options,
      });
      const error = await rejection(culprit.result({ timeout: PATIENCE }));
      expect(error).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { code: 'TOO_MANY_ATTEMPTS' } });
      expect(error.message).toContain(`activity '${activity}'`);
      expect(error.message).toContain(`${maxAttempts} times`);
      expect(error.message).toContain(hint);
      await expectAllGreeted(innocents);
    },
  );

  test('does no harm to activities that are under way in the same thread: they are run again', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client } = await stand.open({ orchestrations, activities, logger, maxAttempts: 4 });
    const held = await client.startOrchestration<{ attempt: number }>('held', 'call', { activity: 'dawdle', input: 150 });
    const killer = await client.startOrchestration('killer', 'call', { activity: 'exitOnce', input: stand.file('mark') });
    expect(await killer.result({ timeout: PATIENCE })).toBe(2);
    expect(await held.result({ timeout: PATIENCE })).toMatchObject({ attempt: expect.any(Number) as number });
    expect(logger.lines.filter(({ fields }) => fields['code'] === 'THREAD_DIED')).toHaveLength(1);
  });

  test('leaves no lease behind that would delay the others', async () => {
    const stand = stage();
    const { client } = await stand.open({ orchestrations, activities, maxAttempts: 4, activityLockMs: 600_000 });
    const killer = await client.startOrchestration('killer', 'call', { activity: 'exitOnce', input: stand.file('mark') });
    const others = await client.startOrchestration<unknown[]>('others', 'fan', { activity: 'dawdle', count: 20, input: 20 });
    expect(await killer.result({ timeout: PATIENCE })).toBe(2);
    expect(await others.result({ timeout: PATIENCE })).toHaveLength(20);
  });
});

describe('an activity that throws', () => {
  const shared = shareRuntime(patient);

  test('gives its orchestration the error with name, message, code and cause', async () => {
    const error = await rejection(
      (await shared.client.startOrchestration('f', 'call', { activity: 'fail', input: 'no luck' })).result({ timeout: PATIENCE }),
    );
    expect(error).toMatchObject({
      code: 'ORCHESTRATION_FAILED',
      cause: { name: 'RangeError', message: 'no luck', code: 'E_OWN', cause: { name: 'TypeError', message: 'below' } },
    });
    expect((error.cause as Error).stack).toContain('activities.ts');
  });

  test('may throw anything', async () => {
    const odd = ['undefined', 'null', 'text', 'symbol', 'bare', 'getter', 'cycle', 'huge', 'surrogate'];
    for (const what of odd) {
      const handle = await shared.client.startOrchestration(`odd-${what}`, 'call', { activity: 'throwOdd', input: what });
      const error = await rejection(handle.result({ timeout: PATIENCE }));
      expect(error.code, what).toBe('ORCHESTRATION_FAILED');
      expect(error.message.length).toBeLessThan(40_000);
    }
  });
});
