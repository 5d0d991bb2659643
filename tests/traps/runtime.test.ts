// Named regression tests for the traps of the reference system that concern the running system, beside those of tests/integration/traps.test.ts.
// docs/traps.md lists all traps with their tests.
import {
  Client,
  defineActivity,
  defineOrchestration,
  Runtime,
  type ActivityDefinition,
  type MetricSeries,
  type OrchestrationContext,
  type OrchestrationDefinition,
  type RuntimeOptions,
} from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Provider } from '../../src/provider/provider.ts';
import { commit, fetchOne, newInstance } from '../../src/conformance/case-kit.ts';
import { LogBook } from '../support/integration-log.ts';
import { DURALOOM_URL, PATIENCE, quick, rejection, shareRuntime, stage } from '../support/integration-stage.ts';

// --- what the tests run, in this thread: what is told to it is told to the test ----------------------------------------------------

const echo = defineActivity('echo', (_ctx, value: unknown) => value);

/** Lets `hold` go on, by key. */
const releases = new Map<string, () => void>();
/** Tells of signals that have aborted; the logger of a runtime hears nothing more after its end. */
const aborts = new LogBook();

/** Logs 'holding' and waits until the test lets it go on, or until its signal aborts. */
const hold = defineActivity('hold', async (ctx, key: string) => {
  await new Promise<void>((resolve, reject) => {
    releases.set(key, resolve);
    ctx.signal.addEventListener('abort', () => {
      aborts.info({ instanceId: key }, 'aborted');
      reject(ctx.signal.reason as Error);
    });
    ctx.log.info('holding', { key });
  });
  return key;
});

/** Counts its attempts; each but the last one takes until its signal aborts. */
const slowTwice = defineActivity('slowTwice', async (ctx, _input: unknown) => {
  if (ctx.attempt > 2) return ctx.attempt;
  return new Promise<never>((_, reject) => {
    ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error));
  });
});

const throwsText = defineActivity('throwsText', (_ctx, { message, name }: { readonly message: string; readonly name: string }) => {
  throw Object.assign(new Error(message), { name });
});

/** Takes messages to its session. */
const receives = defineActivity('receives', async (ctx, count: number) => {
  const taken: unknown[] = [];
  while (taken.length < count) taken.push(await ctx.receive());
  return taken;
});

/** Tells how far it has come, fails, and gives back what the attempt before told. */
const beats = defineActivity('beats', (ctx, details: unknown) => {
  if (ctx.attempt > 1) return ctx.heartbeatDetails;
  ctx.heartbeat(details);
  throw new Error('once more');
});

const activities: readonly ActivityDefinition[] = [echo, hold, slowTwice, throwsText, receives, beats];

const hello = defineOrchestration('hello', async (ctx, name: string) => `Hello, ${String(await ctx.scheduleActivity('echo', name))}!`);

const waits = defineOrchestration('waits', async (ctx, _input: unknown) => {
  ctx.setCustomStatus('waiting');
  return ctx.waitForEvent('go');
});

/** Goes through three executions, then waits. */
const wanders = defineOrchestration('wanders', async (ctx, _input: unknown) => {
  if (ctx.executionId < 3) return ctx.continueAsNew();
  ctx.setCustomStatus('here');
  return ctx.waitForEvent('go');
});

/** Runs children, one after the other, and gives back their results or codes. */
const parentOf = defineOrchestration(
  'parentOf',
  async (ctx, children: readonly { readonly child: string; readonly input?: unknown; readonly id?: string }[]) => {
    const results: unknown[] = [];
    for (const { child, input, id } of children) {
      const options = id === undefined ? {} : { instanceId: id };
      const result: Promise<unknown> = ctx.scheduleSubOrchestration(child, input, options);
      ctx.setCustomStatus({ started: results.length + 1 });
      results.push(await result.catch((error: unknown) => (error as { readonly code?: string }).code ?? 'no code'));
    }
    return results;
  },
);

/** Starts a child that goes on when it ends itself. */
const leavesChild = defineOrchestration('leavesChild', async (ctx, id: string) => {
  void ctx.scheduleSubOrchestration('waits', null, { instanceId: id, onParentClose: 'abandon' });
  ctx.setCustomStatus('started');
  await ctx.waitForEvent('end');
});

const call = defineOrchestration('call', async (ctx, { name, input }: { readonly name: string; readonly input?: unknown }) =>
  ctx.scheduleActivity(name, input),
);

const holdsAndEnds = defineOrchestration('holdsAndEnds', async (ctx, key: string) => {
  void ctx.scheduleActivity('hold', key);
  await ctx.waitForEvent('end');
});

/** Has a child with an activity, and terminates it at its end. */
const terminates = defineOrchestration('terminates', async (ctx, id: string) => {
  void ctx.scheduleSubOrchestration('holdsAndEnds', id, { instanceId: id, onParentClose: 'terminate' });
  await ctx.waitForEvent('end');
});

const retries = defineOrchestration('retries', async (ctx, _input: unknown) =>
  ctx.scheduleActivity('slowTwice', null, { attemptTimeoutMs: 30, retry: { maximumAttempts: 5, backoff: 'none' } }),
);

const largeResult = defineOrchestration('largeResult', (ctx, _input: unknown) => {
  ctx.startOrchestration('hello', `${ctx.instanceId}-detached`, 'detached');
  return 'x'.repeat(5_000_000);
});

const throwing = defineOrchestration('throwing', async (ctx, message: string) => {
  await ctx.scheduleActivity('echo', null);
  throw new Error(message);
});

/** A counter over two executions of three turns each, with everything that is measured. */
const measured = defineOrchestration('measured', async (ctx, round: number) => {
  ctx.metrics.counter('rounds_total');
  await ctx.scheduleActivity('echo', round);
  await ctx.scheduleSubOrchestration('hello', 'child');
  return round === 1 ? ctx.continueAsNew(2) : 'measured';
});

const manyLabels = defineOrchestration('manyLabels', (ctx, _input: unknown) => {
  for (let index = 0; index < 500; index += 1) ctx.metrics.counter('labelled_total', 1, { customer: `c${index}` });
});

const stringly = defineOrchestration('stringly', async (ctx, input: unknown) => {
  ctx.setCustomStatus(input);
  ctx.kv.set('k', input);
  const activity = await ctx.scheduleActivity('echo', input);
  const event = await ctx.waitForEvent('e');
  return [input, activity, event];
});

/** Sends each value to an activity of a session, and each through a heartbeat. */
const sends = defineOrchestration('sends', async (ctx, values: readonly unknown[]) => {
  const received = ctx.scheduleActivity('receives', values.length, { sessionId: ctx.instanceId });
  for (const value of values) ctx.sendToSession(ctx.instanceId, value);
  const beaten = values.map((value) => ctx.scheduleActivity('beats', value, { retry: { maximumAttempts: 2, backoff: 'none' } }));
  return [await received, await ctx.all(beaten)];
});

/** A scope, a retry policy and a race with timers of their own, all won by something else. */
const outruns = defineOrchestration('outruns', async (ctx, _input: unknown) => {
  await ctx.withTimeout('1d', () => ctx.scheduleActivity('echo', 1));
  await ctx.scheduleActivity('echo', 2, { timeoutMs: 86_400_000, retry: {} });
  await ctx.race([ctx.scheduleTimer('1d'), ctx.scope(() => ctx.scheduleActivity('echo', 3))]);
  const scope = ctx.scope(() => ctx.all([ctx.scheduleTimer('1d'), ctx.withTimeout('2d', () => ctx.waitForEvent('never'))]));
  scope.cancel();
  await scope.catch(() => null);
  ctx.setCustomStatus('outrun');
  return ctx.waitForEvent('go');
});

/** Starts a child, and another one under its id. */
const replacesChild = defineOrchestration('replacesChild', async (ctx, id: string) => {
  const codeOf = (error: unknown): string => (error as { readonly code?: string }).code ?? 'no code';
  const first: Promise<unknown> = ctx.scheduleSubOrchestration('waits', 1, { instanceId: id }).catch(codeOf);
  ctx.setCustomStatus('started');
  await ctx.waitForEvent('replace');
  const second = ctx.scheduleSubOrchestration('waits', 2, { instanceId: id, onExisting: 'terminateExisting' });
  ctx.setCustomStatus('replaced');
  return ctx.all([first, second]);
});

/** Has a child of each close policy, and then waits. */
const mother = defineOrchestration('mother', async (ctx, _input: unknown) => {
  for (const onParentClose of ['cancel', 'abandon', 'terminate'] as const) {
    void ctx.scheduleSubOrchestration('waits', null, { instanceId: `${ctx.instanceId}-${onParentClose}`, onParentClose });
  }
  ctx.setCustomStatus('waiting');
  await ctx.waitForEvent('go');
});

const orchestrations: readonly OrchestrationDefinition[] = [
  sends,
  outruns,
  mother,
  replacesChild,
  terminates,
  hello,
  waits,
  wanders,
  parentOf,
  leavesChild,
  call,
  holdsAndEnds,
  retries,
  largeResult,
  throwing,
  measured,
  manyLabels,
  stringly,
];

/** No lease is renewed within a test, and nothing is read again after it was computed: what happens at once was pushed. */
const pushed: Partial<RuntimeOptions> = { activityLockMs: 3_600_000, activitiesPerThread: 1 };
const inline: Partial<RuntimeOptions> = { orchestrations, activities, replayThreads: 0, activityThreads: 0 };

/** The provider, with a look at each call before it is made. */
function watch(provider: Provider, onCall: (method: string, args: readonly unknown[]) => void): Provider {
  return new Proxy(provider, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        // `stats` asks no store.
        if (name !== 'stats') onCall(String(name), args);
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
}

const sum = (series: readonly MetricSeries[], name: string, labels: Readonly<Record<string, string>> = {}): number =>
  series
    .filter((one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value))
    .reduce((total, one) => total + (one.kind === 'histogram' ? one.count : one.value), 0);

// --- parents and children -----------------------------------------------------------------------------------------------------------

describe('parents and children', () => {
  const shared = shareRuntime({ ...inline, stickyCacheMb: 0 });

  test('T1: a cancelled parent reaches its child in a later execution of the child, and hears from it', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('t1', parentOf, [{ child: 'wanders', id: 't1-child' }]);
    await client.startOrchestration('t1-b', parentOf, [{ child: 'wanders', id: 't1-b-child' }]);
    await waitForStatus(client, 't1-child', 'here', 't1');
    await waitForStatus(client, 't1-b-child', 'here', 't1-b');
    await handle.cancel('no longer needed');
    expect(await rejection(client.waitForResult('t1-child', { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    await client.raiseEvent('t1-b-child', 'go', 'an answer');
    expect(await client.waitForResult('t1-b', { timeout: PATIENCE })).toEqual(['an answer']);
  });

  test('T2: a child that outlived its parent answers nobody, also when another instance has taken the id of the parent', async () => {
    const { client } = shared;
    const first = await client.startOrchestration('t2', leavesChild, 't2-old');
    await waitForStatus(client, 't2-old', 'waiting', 't2');
    await first.raiseEvent('end');
    await first.result({ timeout: PATIENCE });
    const second = await client.startOrchestration('t2', parentOf, [{ child: 'waits', id: 't2-new' }], { onExisting: 'replaceTerminal' });
    await waitForStatus(client, 't2-new', 'waiting', 't2');
    await client.raiseEvent('t2-old', 'go', 'of the old child');
    await client.waitForResult('t2-old', { timeout: PATIENCE });
    await client.raiseEvent('t2-new', 'go', 'of the new child');
    expect(await second.result({ timeout: PATIENCE })).toEqual(['of the new child']);
  });

  test('T3: an instance that replaces an ended one gets children of its own, though their ids are made in the same way', async () => {
    const { client } = shared;
    const children = [{ child: 'hello', input: 'one' }];
    const first = await client.startOrchestration('t3', parentOf, children);
    expect(await first.result({ timeout: PATIENCE })).toEqual(['Hello, one!']);
    const second = await client.startOrchestration('t3', parentOf, children, { onExisting: 'replaceTerminal' });
    expect(await second.result({ timeout: PATIENCE })).toEqual(['Hello, one!']);
  });

  test('T4: a parent whose child is replaced by somebody else is told, and does not wait for ever', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('t4', parentOf, [{ child: 'waits', id: 't4-child' }]);
    await waitForStatus(client, 't4-child', 'waiting', 't4');
    await client.startOrchestration('t4-child', waits, null, { onExisting: 'terminateExisting' });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['ORCHESTRATION_TERMINATED']);
  });

  test('T4: a parent that replaces its own child hears of both', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('t4-own', replacesChild, 't4-own-child');
    await waitForStatus(client, 't4-own-child', 'waiting', 't4-own');
    await handle.raiseEvent('replace');
    await client.waitForCustomStatus('t4-own', { afterVersion: 1, timeout: PATIENCE });
    await client.raiseEvent('t4-own-child', 'go', 'the new one');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['ORCHESTRATION_TERMINATED', 'the new one']);
  });

  test('T11: a child whose result is too large fails, its parent is told, and what it started goes on', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('t11', parentOf, [{ child: 'largeResult', id: 't11-child' }]);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['PAYLOAD_TOO_LARGE']);
    expect(await client.waitForResult('t11-child-detached', { timeout: PATIENCE })).toBe('Hello, detached!');
    expect((await client.readHistory('t11-child')).filter(({ kind }) => kind.startsWith('OrchestrationFailed'))).toHaveLength(1);
  });

  test('T27: a child that cannot go on is quarantined and visible, and its parent is told', async () => {
    const { client, provider } = shared;
    const handle = await client.startOrchestration('t27', parentOf, [
      { child: 'waits', id: 't27-child' },
      { child: 'hello', input: 'on' },
    ]);
    await waitForStatus(client, 't27-child', 'waiting', 't27');
    // A message that nobody can read.
    expect(await provider.enqueueMessages([{ instanceId: 't27-child', payload: 'damaged' }])).toEqual(['enqueued']);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['INSTANCE_QUARANTINED', 'Hello, on!']);
    expect(await client.getState('t27-child')).toMatchObject({ status: 'Quarantined', name: 'waits' });
    expect((await client.listInstances({ status: 'Quarantined' })).instances).toMatchObject([{ instanceId: 't27-child' }]);
  });

  test('T38: the children of an instance that is replaced while it lives are closed', async () => {
    const { client } = shared;
    await client.startOrchestration('t38', parentOf, [{ child: 'waits', id: 't38-child' }]);
    await waitForStatus(client, 't38-child', 'waiting', 't38');
    await client.startOrchestration('t38', hello, 'anew', { onExisting: 'terminateExisting' });
    expect(await client.waitForResult('t38', { timeout: PATIENCE })).toBe('Hello, anew!');
    expect(await rejection(client.waitForResult('t38-child', { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
  });
});

describe('children of who cannot go on', () => {
  test('T38: when a parent is quarantined its children are closed by their policy', async () => {
    const { client, provider } = await stage().open({ ...inline });
    await client.startOrchestration('t38', mother, null);
    for (const policy of ['cancel', 'abandon', 'terminate']) await waitForStatus(client, `t38-${policy}`, 'waiting', 't38');
    await provider.enqueueMessages([{ instanceId: 't38', payload: 'damaged' }]);
    expect(await rejection(client.waitForResult('t38', { timeout: PATIENCE }))).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    const codes: Readonly<Record<string, string>> = { cancel: 'ORCHESTRATION_CANCELLED', terminate: 'ORCHESTRATION_TERMINATED' };
    for (const [policy, code] of Object.entries(codes)) {
      expect(await rejection(client.waitForResult(`t38-${policy}`, { timeout: PATIENCE }))).toMatchObject({ code });
    }
    await client.raiseEvent('t38-abandon', 'go', 'alone');
    expect(await client.waitForResult('t38-abandon', { timeout: PATIENCE })).toBe('alone');
    expect(await client.terminate('t38')).toEqual({ done: true });
  });
});

/** Waits until an instance has set its custom status; a child exists as soon as its parent has set its own, which is of the same turn. */
async function waitForStatus(client: Client, instanceId: string, status: unknown, parentId?: string): Promise<void> {
  if (parentId !== undefined) await client.waitForCustomStatus(parentId, { afterVersion: 0, timeout: PATIENCE });
  const state = await client.waitForCustomStatus(instanceId, { afterVersion: 0, timeout: PATIENCE });
  expect(state.customStatus).toEqual(status);
}

// --- damaged data -------------------------------------------------------------------------------------------------------------------

describe('damaged data', () => {
  const shared = shareRuntime({ ...quick, ...inline });

  test.each(['sqlite', 'memory'])('T26: an instance of a %s store whose history cannot be read is quarantined, once', async (store) => {
    const provider = store === 'sqlite' ? await stage().openProvider() : new MemoryProvider();
    onTestFinished(() => provider.close());
    await provider.startInstances([
      newInstance('t26', { name: 'waits', payload: '{"kind":"OrchestrationStarted","executionId":1,"name":"waits"}' }),
    ]);
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 2, events: '[{"id":1,"kind":"Unheard' } });
    let reads = 0;
    const runtime = await Runtime.start({ ...inline, provider: watch(provider, (method) => (reads += method === 'readHistory' ? 1 : 0)) });
    onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
    const client = new Client(provider);
    await client.raiseEvent('t26', 'go');
    const error = await rejection(client.waitForResult('t26', { timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'HISTORY_INVALID' } });
    expect(await (await client.startOrchestration('t26-next', hello, 'T26')).result({ timeout: PATIENCE })).toBe('Hello, T26!');
    expect(reads).toBe(1);
  });

  test('T49: a message that nobody can read takes its own instance out of service, none beside it', async () => {
    const { client, provider } = shared;
    const bad = await client.startOrchestration('t49-bad', waits, null);
    const good = await client.startOrchestration('t49-good', waits, null);
    await waitForStatus(client, 't49-bad', 'waiting');
    await provider.enqueueMessages(['{"kind":"EventRaised"', '{"kind":"Unheard"}'].map((payload) => ({ instanceId: 't49-bad', payload })));
    await good.raiseEvent('go', 'well');
    expect(await rejection(bad.result({ timeout: PATIENCE }))).toMatchObject({
      code: 'INSTANCE_QUARANTINED',
      cause: { code: 'MESSAGE_INVALID' },
    });
    expect(await good.result({ timeout: PATIENCE })).toBe('well');
  });

  test('T51: work items that nobody can read cost no slot: they fail, and others go on', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const items = [
      { name: 'echo', payload: 'no JSON' },
      { name: 'echo', payload: '{"a":' },
      { name: 'hold', payload: '\u0000' },
    ];
    for (const [index, item] of items.entries()) {
      const instanceId = `t51-${index}`;
      const payload = '{"kind":"OrchestrationStarted","executionId":1,"name":"call","input":{"name":"echo"}}';
      await provider.startInstances([newInstance(instanceId, { name: 'call', payload })]);
      const events = [
        {
          id: 1,
          atMs: 1,
          kind: 'OrchestrationStarted',
          executionId: 1,
          name: 'call',
          version: '1.0.0',
          engine: 1,
          input: { name: 'echo' },
        },
        { id: 2, atMs: 1, kind: 'ActivityScheduled', name: 'echo' },
      ];
      await commit(provider, await fetchOne(provider), {
        page: { lastEventId: 2, events: JSON.stringify(events) },
        workItems: [{ eventId: 2, routing: null, ...item }],
      });
    }
    await stand.startRuntime({ ...quick, ...inline, provider, activitiesPerThread: 1 });
    const client = new Client(provider);
    for (const index of items.keys()) {
      expect(await rejection(client.waitForResult(`t51-${index}`, { timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_FAILED' });
    }
    expect(await (await client.startOrchestration('t51', hello, 'T51')).result({ timeout: PATIENCE })).toBe('Hello, T51!');
  });
});

// --- the store ----------------------------------------------------------------------------------------------------------------------

describe('the store', () => {
  /** The provider, with the first calls of some methods failing. */
  const failing = (provider: Provider, left: Record<string, number>): Provider =>
    watch(provider, (method) => {
      const count = left[method] ?? 0;
      left[method] = count - 1;
      if (count > 0) throw new TypeError('the store is away');
    });

  test('T10: a store that fails again and again ends no orchestration and no activity, and charges nobody', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const left = {
      fetchOrchestrationItems: 2,
      ackOrchestrationItems: 8,
      abandonOrchestrationItems: 1,
      readHistory: 3,
      fetchWorkItems: 2,
      ackWorkItems: 3,
    };
    const flaky = failing(provider, left);
    await stand.startRuntime({ ...quick, ...inline, provider: flaky, stickyCacheMb: 0 });
    const client = new Client(provider);
    const handle = await client.startOrchestration('t10', hello, 'T10');
    expect(await handle.result({ timeout: PATIENCE })).toBe('Hello, T10!');
    expect((await client.readHistory('t10')).filter(({ kind }) => kind === 'ActivityCompleted')).toHaveLength(1);
    expect(Object.values(left).every((count) => count < 0)).toBe(true);
  });

  test('T8: renewals that fail abort no activity: only the news that it is gone does', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const logger = new LogBook();
    const left = { renewWorkLocks: 2 };
    await stand.startRuntime({ ...quick, ...inline, provider: failing(provider, left), activityLockMs: 3_000, logger });
    const client = new Client(provider);
    const handle = await client.startOrchestration('t8', call, { name: 'hold', input: 't8' });
    await logger.message('holding', 't8');
    await logger.waitFor(({ fields }) => fields['operation'] === 'renewWorkLocks', 2);
    releases.get('t8')?.();
    expect(await handle.result({ timeout: PATIENCE })).toBe('t8');
    expect(logger.lines.filter(({ message }) => message === 'holding')).toHaveLength(1);
  });

  test('T53: a store that is held by another process for a while ends nothing: all goes on when it is free', async () => {
    const stand = stage();
    const { client, provider } = await stand.open({ ...inline });
    const handle = await client.startOrchestration('t53', waits, null);
    await waitForStatus(client, 't53', 'waiting');
    const holder = new Database(stand.file());
    onTestFinished(() => {
      holder.close();
    });
    holder.exec('BEGIN IMMEDIATE');
    const before = provider.commitStats.busyRetries;
    const raised = handle.raiseEvent('go', 'free again');
    while (provider.commitStats.busyRetries < before + 5) await new Promise((resolve) => setImmediate(resolve));
    holder.exec('ROLLBACK');
    expect(await raised).toMatchObject({ delivered: true });
    expect(await handle.result({ timeout: PATIENCE })).toBe('free again');
  });

  test('T57: what is sent before the start is refused and stays nowhere; what is sent before a delayed start comes with it', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    expect(await rejection(client.raiseEvent('t57', 'e', 'too early'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    expect(await client.publish('t57', 'too early')).toBe(0);
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    const handle = await client.startOrchestration('t57', waits, null, { startAfter: '50ms' });
    await handle.raiseEvent('go', 'in time');
    await stand.startRuntime({ ...inline, provider });
    expect(await handle.result({ timeout: PATIENCE })).toBe('in time');
  });

  test('T52: texts that look like other values come back as texts, over a store and a restart', async () => {
    const stand = stage();
    const { client, provider, runtime } = await stand.open({ ...inline, stickyCacheMb: 0 });
    const input = ['42', 42, 'null', null, '"', '{}', { a: '1' }];
    const handle = await client.startOrchestration('t52', stringly, input);
    await client.waitForValue('t52', 'k', { timeout: PATIENCE });
    await runtime.shutdown();
    await stand.startRuntime({ ...inline, provider });
    await handle.raiseEvent('e', input);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([input, input, input]);
    expect(await client.getValue('t52', 'k')).toEqual(input);
    expect((await handle.state()).customStatus).toEqual(input);
  });
});

// --- versions and deployments -------------------------------------------------------------------------------------------------------

describe('deployments', () => {
  const version = (number: string): OrchestrationDefinition =>
    defineOrchestration('versioned', (ctx: OrchestrationContext, _input: unknown) => ctx.version, { version: number });

  test('T35: parts of a version may be of any size', async () => {
    const definitions = ['1.999.0', '1.1000.0', '1.2.70000'].map(version);
    const { client } = await stage().open({ ...inline, orchestrations: definitions });
    const handle = await client.startOrchestration('t35', 'versioned');
    expect(await handle.result({ timeout: PATIENCE })).toBe('1.1000.0');
    const exact = await client.startOrchestration('t35-b', 'versioned', null, { version: '1.2.70000' });
    expect(await exact.result({ timeout: PATIENCE })).toBe('1.2.70000');
  });

  test('T56: an unknown name or version waits for its deployment, uncharged, while others go on', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const logger = new LogBook();
    await stand.startRuntime({ ...quick, ...inline, provider, logger, orchestrations: [...orchestrations, version('1.0.0')] });
    const name = await client.startOrchestration('t56-name', 'comesLater', 'x');
    const newer = await client.startOrchestration('t56-version', 'versioned', null, { version: '2.0.0' });
    const parent = await client.startOrchestration('t56-parent', parentOf, [{ child: 'comesLater', input: 'child' }]);
    await logger.waitFor(({ fields, level }) => level === 'warn' && fields['orchestration'] === 'comesLater');
    // Far more turns than `maxAttempts`.
    for (let index = 0; index < 10; index += 1) {
      expect(await (await client.startOrchestration(`t56-${index}`, hello, 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
    }
    expect([await name.state(), await newer.state()]).toMatchObject([{ status: 'Pending' }, { status: 'Pending' }]);
    const comesLater = defineOrchestration('comesLater', (_ctx, input: unknown) => input);
    await stand.startRuntime({ ...inline, provider, orchestrations: [comesLater, version('2.0.0')] });
    expect(await name.result({ timeout: PATIENCE })).toBe('x');
    expect(await newer.result({ timeout: PATIENCE })).toBe('2.0.0');
    expect(await parent.result({ timeout: PATIENCE })).toEqual(['child']);
  });

  test('T42: two runtimes of one process keep their own code under the same name', async () => {
    const stand = stage();
    const results: unknown[] = [];
    for (const text of ['first', 'second']) {
      const provider = await stand.openProvider({ file: `${text}.db` });
      const greet = defineOrchestration('greet', (ctx, _input: unknown) => ctx.scheduleActivity('say'));
      const say = defineActivity('say', () => text);
      await stand.startRuntime({ ...inline, provider, orchestrations: [greet], activities: [say] });
      results.push(await (await new Client(provider).startOrchestration('t42', 'greet')).result({ timeout: PATIENCE }));
    }
    expect(results).toEqual(['first', 'second']);
  });

  test('T42: an activity that keeps its thread busy keeps no orchestration from its turns', async () => {
    const stand = stage();
    const file = stand.file('go-on');
    const busy = stand.writeModule(
      'busy.ts',
      `import { existsSync } from 'node:fs';
       import { defineActivity } from '${DURALOOM_URL}';
       export const spin = defineActivity('spin', (ctx, file) => { while (!existsSync(file)); return 'done'; });`,
    );
    const { client } = await stand.open({ ...inline, activities: busy, activityThreads: 1 });
    const handle = await client.startOrchestration('t42-busy', call, { name: 'spin', input: file });
    const other = await client.startOrchestration('t42-other', waits, null);
    await waitForStatus(client, 't42-other', 'waiting');
    await other.raiseEvent('go', 'went on');
    expect(await other.result({ timeout: PATIENCE })).toBe('went on');
    expect((await handle.state()).status).not.toBe('Completed');
    stand.writeModule('go-on', '');
    expect(await handle.result({ timeout: PATIENCE })).toBe('done');
  });
});

// --- activities ---------------------------------------------------------------------------------------------------------------------

describe('activities', () => {
  const logger = new LogBook();
  const shared = shareRuntime({ ...inline, ...pushed, logger });

  test('T61, T33: an activity that nobody wants any more is aborted at once and its slot is free, however its orchestration ends', async () => {
    const { client } = shared;
    const ends: readonly (readonly [string, (id: string) => Promise<unknown>])[] = [
      ['completes', (id) => client.raiseEvent(id, 'end')],
      ['is cancelled', (id) => client.cancel(id)],
    ];
    for (const [how, end] of ends) {
      const id = `t61 ${how}`;
      await client.startOrchestration(id, holdsAndEnds, id);
      await logger.message('holding', id);
      await end(id);
      await aborts.message('aborted', id);
      expect(await (await client.startOrchestration(`${id} next`, hello, how)).result({ timeout: PATIENCE })).toBe(`Hello, ${how}!`);
    }
  });

  test.each<readonly [string, (client: Client, id: string) => Promise<unknown>]>([
    ['terminated by a client', (client, id) => client.terminate(id)],
    ['terminated with its parent', (client, id) => client.raiseEvent(`${id} parent`, 'end')],
    ['replaced', (client, id) => client.startOrchestration(id, hello, 'another', { onExisting: 'terminateExisting' })],
  ])('T61, T33: an activity whose orchestration is %s is aborted at once and its slot is free', async (how, end) => {
    const { client } = shared;
    const id = `t61 ${how}`;
    await client.startOrchestration(`${id} parent`, terminates, id);
    await logger.message('holding', id);
    await end(client, id);
    const next = await client.startOrchestration(`${id} next`, hello, how);
    try {
      expect(await next.result({ timeout: '10s' })).toBe(`Hello, ${how}!`);
    } finally {
      releases.get(id)?.();
      await client.terminate(`${id} parent`).catch(() => null);
    }
  });

  test('T34: an attempt that takes too long is aborted and tried again', async () => {
    const { client } = shared;
    expect(await (await client.startOrchestration('t34', retries, null)).result({ timeout: PATIENCE })).toBe(3);
    expect((await client.readHistory('t34')).map(({ kind }) => kind)).toEqual([
      'OrchestrationStarted',
      'ActivityScheduled',
      'ActivityFailed',
      'ActivityScheduled',
      'ActivityFailed',
      'ActivityScheduled',
      'ActivityCompleted',
      'OrchestrationCompleted',
    ]);
  });

  test('T33: timers that were outrun leave the queue at once: of scopes, of retry policies, of races', async () => {
    const { client, provider } = await stage().open({ ...inline });
    const handle = await client.startOrchestration('t33', outruns, null);
    await waitForStatus(client, 't33', 'outrun');
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    await handle.raiseEvent('go');
    await handle.result({ timeout: PATIENCE });
    const fired = (await client.readHistory('t33')).filter(({ kind }) => kind === 'TimerFired');
    expect(fired).toEqual([]);
  });

  test('T52: messages to sessions and details of heartbeats keep their type', async () => {
    const { client } = await stage().open({ ...inline });
    const values = ['42', 42, 'null', null, '', '{}', false, [[]]];
    const handle = await client.startOrchestration('t52', sends, values);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([values, values]);
  });

  test('T37: work for a tag that nobody takes starves nobody, and expires with a typed error', async () => {
    const { client } = shared;
    const stand = stage();
    const provider = await stand.openProvider();
    const tagged = defineOrchestration('tagged', async (ctx, _input: unknown) => {
      const lost = ctx.scheduleActivity('echo', 1, { tag: 'gpu', expiresAfterMs: 50 });
      const many = ctx.all(Array.from({ length: 200 }, (_, index) => ctx.scheduleActivity('echo', index, { tag: 'gpu' })));
      const kept = await ctx.scheduleActivity('echo', 'default queue');
      const code: unknown = await lost.catch((error: unknown) => (error as { readonly code?: string }).code);
      many.cancel();
      return [kept, code];
    });
    const selects = new Set<string>();
    const onCall = (method: string, [params]: readonly unknown[]): void => {
      if (method === 'fetchWorkItems') selects.add(JSON.stringify((params as { readonly select?: unknown }).select));
    };
    await stand.startRuntime({ ...inline, provider, orchestrations: [tagged] });
    // This one takes no activities: it asks for none, but still sees to those that expire.
    await stand.startRuntime({ ...inline, provider: watch(provider, onCall), tags: 'none', orchestrations: [tagged] });
    const handle = await new Client(provider).startOrchestration('t37', tagged, null);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['default queue', 'ACTIVITY_EXPIRED']);
    expect([...selects].some((select) => select.includes('"default"') || select.includes('"any"'))).toBe(false);
    expect((await client.listInstances({ status: 'Quarantined' })).instances).toEqual([]);
  });

  test('T39: errors are told apart by code, whatever their texts say', async () => {
    const { client } = shared;
    for (const [index, message] of ['timeout', 'INSTANCE_NOT_FOUND', 'nondeterministic: cancelled', 'poison: SQLITE_BUSY'].entries()) {
      const handle = await client.startOrchestration(`t39-${index}`, throwing, message);
      expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
        code: 'ORCHESTRATION_FAILED',
        cause: { name: 'Error', message },
      });
      const named = await client.startOrchestration(`t39-b-${index}`, call, {
        name: 'throwsText',
        input: { message, name: 'CancelledError' },
      });
      expect(await rejection(named.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { message } });
    }
    expect(await rejection(client.getHandle('t39-nobody').result())).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
  });
});

describe('shutdown', () => {
  test('T12: a shutdown without patience leaves nothing running: work is given back uncharged, and nobody asks the store again', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const logger = new LogBook();
    let calls = 0;
    const runtime = await Runtime.start({ ...inline, provider: watch(provider, () => (calls += 1)), logger });
    const client = new Client(provider);
    await client.startOrchestration('t12', call, { name: 'hold', input: 't12' });
    await logger.message('holding', 't12');
    await runtime.shutdown({ timeoutMs: 0 });
    await aborts.message('aborted', 't12');
    const after = calls;
    expect(runtime.stats()).toMatchObject({ state: 'stopped', turnsInFlight: 0, activitiesInFlight: 0 });
    expect(await client.listActivities('t12')).toMatchObject([{ name: 'hold', attempt: 0, isRunning: false }]);
    await stand.startRuntime({ ...inline, provider, activities: [defineActivity('hold', (_ctx, key: string) => `${key} again`)] });
    expect(await client.waitForResult('t12', { timeout: PATIENCE })).toBe('t12 again');
    expect(calls).toBe(after);
  });
});

// --- metrics ------------------------------------------------------------------------------------------------------------------------

describe('metrics', () => {
  test('T46: starts, turns, ends and durations are counted once and right, also when every turn replays', async () => {
    const { client, runtime } = await stage().open({ ...inline, stickyCacheMb: 0 });
    const handle = await client.startOrchestration('t46', measured, 1);
    expect(await handle.result({ timeout: PATIENCE })).toBe('measured');
    await rejection((await client.startOrchestration('t46-failing', throwing, 'x')).result({ timeout: PATIENCE }));
    // Stops at once, and what was committed has been counted.
    await runtime.shutdown();
    const series = runtime.metrics();
    const own = { orchestration: 'measured' };
    expect(sum(series, 'duraloom_orchestration_starts_total', { ...own, initiated_by: 'client' })).toBe(1);
    expect(sum(series, 'duraloom_orchestration_starts_total', { ...own, initiated_by: 'continueAsNew' })).toBe(1);
    expect(sum(series, 'duraloom_orchestration_starts_total', { orchestration: 'hello', initiated_by: 'parent' })).toBe(2);
    expect(sum(series, 'duraloom_orchestration_completions_total', { ...own, status: 'completed' })).toBe(1);
    expect(sum(series, 'duraloom_orchestration_completions_total', { ...own, status: 'continuedAsNew' })).toBe(1);
    expect(sum(series, 'duraloom_orchestration_completions_total', { orchestration: 'throwing' })).toBe(1);
    expect(sum(series, 'duraloom_orchestration_completions_total', { orchestration: 'throwing', status: 'failed' })).toBe(1);
    expect(sum(series, 'duraloom_orchestration_duration_seconds', own)).toBe(1);
    const turns = series.find(({ name, labels }) => name === 'duraloom_orchestration_turns' && labels['orchestration'] === 'measured');
    expect(turns).toMatchObject({ count: 2, sum: 6 });
    expect(sum(series, 'duraloom_suborchestration_calls_total', { parent: 'measured', child: 'hello' })).toBe(2);
    expect(sum(series, 'duraloom_suborchestration_duration_seconds', { parent: 'measured', child: 'hello', outcome: 'completed' })).toBe(2);
    expect(sum(series, 'duraloom_activity_executions_total', { activity: 'echo', outcome: 'completed' })).toBe(5);
    expect(sum(series, 'rounds_total')).toBe(2);
  });

  test('T46: the duration of an orchestration is its whole life, not its last turn or execution', async () => {
    const { client, runtime } = await stage().open({ ...inline });
    const handle = await client.startOrchestration('t46-life', wanders, null, { startAfter: '300ms' });
    await waitForStatus(client, 't46-life', 'here');
    await handle.raiseEvent('go');
    await handle.result({ timeout: PATIENCE });
    await runtime.shutdown();
    const life = runtime.metrics().find(({ name }) => name === 'duraloom_orchestration_duration_seconds');
    expect(life).toMatchObject({ kind: 'histogram', count: 1 });
    expect(life?.kind === 'histogram' ? life.sum : 0).toBeGreaterThanOrEqual(0.3);
  });

  test('T46: labels of user code cannot make series without end', async () => {
    const { client, runtime } = await stage().open({ ...inline });
    await (await client.startOrchestration('t46-labels', manyLabels, null)).result({ timeout: PATIENCE });
    await runtime.shutdown();
    const labelled = runtime.metrics().filter(({ name }) => name === 'labelled_total');
    expect(labelled.length).toBeLessThan(250);
    expect(sum(labelled, 'labelled_total')).toBe(500);
    expect(sum(labelled, 'labelled_total', { overflow: 'true' })).toBeGreaterThan(250);
  });
});
