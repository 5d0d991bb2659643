// Named regression tests for the traps of the reference system (T1 to T33) that concern the running system as a whole.
import { Client, defineOrchestration, Runtime, type NewInstance } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { LogBook } from '../support/integration-log.ts';
import { DURALOOM_URL, fixture, modules, PATIENCE, quick, rejection, shareRuntime, stage } from '../support/integration-stage.ts';

const orchestrations = [modules.orchestrations, fixture('trap-orchestrations.ts')];

describe('parents and children', () => {
  const shared = shareRuntime({ orchestrations });

  test('T1: a child that continues as new answers its parent in the end', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('t1', 'parent', { child: 'countdown', input: 3 });
    expect(await handle.result({ timeout: PATIENCE })).toBe('done in execution 4');
  });

  test('T2: the answer of a child reaches its parent through a runtime that has never seen the parent', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({ orchestrations, logger });
    const handle = await client.startOrchestration('t2', 'parent', { child: 'collect', input: 1, id: 't2-child' });
    await logger.message('collecting', 't2-child');
    await runtime.shutdown();
    await stand.startRuntime({ provider, ...modules, ...quick, orchestrations });
    await client.raiseEvent('t2-child', 'item', 'from the second runtime');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['from the second runtime']);
  });

  test('T3: the same code in the next execution gets a child of its own', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration<readonly { instanceId: string; input: number }[]>('t3', 'parentOfTwo', []);
    const children = await handle.result({ timeout: PATIENCE });
    expect(children.map((child) => child.input)).toEqual([1, 2]);
    expect(new Set(children.map((child) => child.instanceId)).size).toBe(2);
  });

  test('T4: a child whose id is taken by an ended instance rejects with INSTANCE_EXISTS', async () => {
    const { client } = shared;
    await (await client.startOrchestration('t4-taken', 'hello', 'x')).result({ timeout: PATIENCE });
    const handle = await client.startOrchestration('t4', 'conflict', 't4-taken');
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ code: 'INSTANCE_EXISTS' });
  });

  test('T4: a child whose id is taken by a running instance of somebody else rejects, and that instance is left alone', async () => {
    const { client } = shared;
    const other = await client.startOrchestration('t4-other', 'collect', 1);
    const handle = await client.startOrchestration('t4-b', 'conflict', 't4-other');
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ code: 'INSTANCE_EXISTS' });
    await client.raiseEvent('t4-other', 'item', 'still here');
    expect(await other.result({ timeout: PATIENCE })).toEqual(['still here']);
  });

  test('T4: giving up a child whose id was taken does not cancel the instance that has the id', async () => {
    const { client } = shared;
    const other = await client.startOrchestration('t4-victim', 'collect', 1);
    const handle = await client.startOrchestration('t4-c', 'startAndCancelChild', 't4-victim');
    await client.raiseEvent('t4-c', 'second');
    await client.raiseEvent('t4-c', 'first');
    expect(await handle.result({ timeout: PATIENCE })).toBe('event');
    await client.raiseEvent('t4-victim', 'item', 'still here');
    expect(await other.result({ timeout: PATIENCE })).toEqual(['still here']);
  });
});

describe('starts and messages', () => {
  const shared = shareRuntime({ orchestrations });

  test('T5: a second start of a running instance is refused and changes nothing', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('t5', 'collect', 1);
    await client.waitForCustomStatus('t5', { afterVersion: 0, timeout: PATIENCE });
    expect(await rejection(client.startOrchestration('t5', 'hello', 'other name and input'))).toMatchObject({
      code: 'INSTANCE_EXISTS',
      instanceId: 't5',
    });
    await client.raiseEvent('t5', 'item', 1);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1]);
  });

  test('T6: messages to unknown instances are refused and block nobody', async () => {
    const { client, provider } = shared;
    expect(await rejection(client.raiseEvent('t6-nobody', 'x'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND', instanceId: 't6-nobody' });
    expect(await rejection(client.cancel('t6-nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    expect(await (await client.startOrchestration('t6', 'hello', 'T6')).result({ timeout: PATIENCE })).toBe('Hello, T6!');
    expect(await provider.enqueueMessages([{ instanceId: 't6-nobody', payload: '{}' }])).toEqual(['notFound']);
  });

  test('T7: events that arrive while an orchestration waits for a runtime that has its code are kept', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const logger = new LogBook();
    // Its code is not deployed yet.
    const early = await stand.startRuntime({
      provider,
      orchestrations: [defineOrchestration('other', async () => null)],
      replayThreads: 0,
      logger,
    });
    const handle = await client.startOrchestration('t7', 'collect', 2);
    await logger.waitFor(({ fields, message }) => fields['orchestration'] === 'collect' && message.includes('wait for a runtime'));
    await client.raiseEvent('t7', 'item', 'too early');
    await early.shutdown();
    await client.raiseEvent('t7', 'item', 'without a runtime');
    await stand.startRuntime({ provider, ...modules, ...quick });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['too early', 'without a runtime']);
  });

  test('T15: events before the wait, and before the first turn, are kept in order', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const handle = await client.startOrchestration('t15', 'collect', 4);
    for (const item of [1, 2, 3]) await client.raiseEvent('t15', 'item', item);
    await stand.startRuntime({ provider, ...modules, ...quick });
    await client.raiseEvent('t15', 'item', 4);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3, 4]);
  });

  test('T16: continue-as-new carries every unread event over, in order, also more than twenty', async () => {
    const { client } = shared;
    const items = Array.from({ length: 60 }, (_, index) => index);
    const handle = await client.startOrchestration('t16', 'eternal', { goal: items.length, taken: [] });
    for (const item of items) await client.raiseEvent('t16', 'item', item);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(items);
  });

  test('T16, T49: a burst of events that waited through many executions does not count as failed attempts', async () => {
    const { client, provider } = shared;
    const items = Array.from({ length: 40 }, (_, index) => index);
    const handle = await client.startOrchestration('t49', 'eternal', { goal: items.length, taken: [] });
    await provider.enqueueMessages(
      items.map((data) => ({ instanceId: 't49', payload: JSON.stringify({ kind: 'EventRaised', name: 'item', data }) })),
    );
    expect(await handle.result({ timeout: PATIENCE })).toEqual(items);
  });
});

describe('turns', () => {
  const shared = shareRuntime({ orchestrations });

  test('T8: a renewal that fails does not cancel the activity', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const logger = new LogBook();
    let failures = 0;
    const flaky = new Proxy(provider, {
      get: (target, name) => {
        if (name === 'renewWorkLocks' && failures < 2) {
          return async () => {
            failures += 1;
            throw new TypeError('network blip');
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await stand.startRuntime({ provider: flaky, ...modules, ...quick, activityLockMs: 900, logger });
    const client = new Client(provider);
    const handle = await client.startOrchestration('t8', 'call', { activity: 'dawdle', input: 1_000 });
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
    expect(failures).toBe(2);
  });

  test('T10: acks that fail many times end nothing: the work goes on when the store is back', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const logger = new LogBook();
    const left: Record<string, number> = {
      ackOrchestrationItems: 8,
      ackWorkItems: 3,
      readHistory: 2,
      fetchWorkItems: 1,
      fetchOrchestrationItems: 1,
    };
    const flaky = new Proxy(provider, {
      get: (target, name) => {
        const count = left[String(name)] ?? 0;
        if (count > 0) {
          return async () => {
            left[String(name)] = count - 1;
            throw new TypeError('the store is away');
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await stand.startRuntime({ provider: flaky, ...modules, ...quick, logger });
    const client = new Client(provider);
    const handle = await client.startOrchestration('t10', 'chain', 3);
    expect(await handle.result({ timeout: PATIENCE })).toBe(6);
    expect((await client.readHistory('t10')).filter(({ kind }) => kind === 'ActivityCompleted')).toHaveLength(3);
  });

  test('T13: of two answers to one activity the first counts', async () => {
    const logger = new LogBook();
    const { client, provider } = await stage().open({ logger });
    const other = await client.startOrchestration('t13-b', 'call', { activity: 'hold', input: 't13' });
    await logger.message('holding', 't13-b');
    // Redelivered answers, also of the other kind, in one batch.
    const scheduled = (await client.readHistory('t13-b')).find(({ kind }) => kind === 'ActivityScheduled');
    const answer = { executionId: 1, sourceId: scheduled?.id };
    await provider.enqueueMessages(
      [
        { kind: 'ActivityFailed', ...answer, failure: { name: 'Error', message: 'first' } },
        { kind: 'ActivityCompleted', ...answer, result: 'second' },
        { kind: 'ActivityFailed', ...answer, failure: { name: 'Error', message: 'third' } },
        { kind: 'ActivityCompleted', ...answer, executionId: 2, result: 'of another execution' },
        { kind: 'ActivityCompleted', ...answer, sourceId: 99, result: 'of no decision' },
      ].map((message) => ({ instanceId: 't13-b', payload: JSON.stringify(message) })),
    );
    expect((await rejection(other.result({ timeout: PATIENCE }))).cause).toMatchObject({ message: 'first' });
    expect((await client.readHistory('t13-b')).map(({ kind }) => kind)).toEqual([
      'OrchestrationStarted',
      'ActivityScheduled',
      'ActivityFailed',
      'OrchestrationFailed',
    ]);
  });

  test('T21: a timer never fires early, and time within an instance never goes back', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration<readonly number[]>('t21', 'timers');
    for (const lateMs of await handle.result({ timeout: PATIENCE })) expect(lateMs).toBeGreaterThanOrEqual(0);
    const times = (await client.readHistory('t21')).map(({ atMs }) => atMs);
    expect(times).toEqual(times.toSorted((left, right) => left - right));
  });

  test('T24: a running instance stays on its version when a newer one is deployed, also cold', async () => {
    const stand = stage();
    const { client, provider, runtime } = await stand.open({ orchestrations });
    const handle = await client.startOrchestration('t24', 'versioned');
    await client.waitForCustomStatus('t24', { afterVersion: 0, timeout: PATIENCE });
    await runtime.shutdown();
    const newer = stand.writeModule(
      'newer.ts',
      `import { defineOrchestration } from '${DURALOOM_URL}';
       export const two = defineOrchestration('versioned', async (ctx) => { await ctx.scheduleActivity('locate'); return 'version 2'; }, { version: '2.0.0' });`,
    );
    await stand.startRuntime({ provider, ...modules, ...quick, orchestrations: [...orchestrations, newer] });
    await client.raiseEvent('t24', 'go');
    expect(await handle.result({ timeout: PATIENCE })).toBe('version 1');
    expect(await (await client.startOrchestration('t24-new', 'versioned')).result({ timeout: PATIENCE })).toBe('version 2');
    expect(await client.getState('t24')).toMatchObject({ version: '1.0.0' });
    expect(await client.getState('t24-new')).toMatchObject({ version: '2.0.0' });
  });

  test('T27: an instance that never took a turn is quarantined with its reason, and stays visible', async () => {
    const { client } = shared;
    await shared.provider.startInstances([{ ...instanceOf('t27', 'hello'), payload: 'no message at all' }]);
    const error = await rejection(client.getHandle('t27').result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'MESSAGE_INVALID' } });
    expect(await client.getState('t27')).toMatchObject({ status: 'Quarantined', name: 'hello', executionId: 1 });
    expect((await client.listInstances({ status: 'Quarantined' })).instances).toMatchObject([{ instanceId: 't27' }]);
  });

  test('T29: created and updated times are real', async () => {
    const { client } = shared;
    const beforeMs = Date.now();
    const handle = await client.startOrchestration('t29', 'hello', 'T29');
    await handle.result({ timeout: PATIENCE });
    const { createdAt, updatedAt } = await handle.state();
    expect(createdAt.getTime()).toBeGreaterThanOrEqual(beforeMs);
    expect(updatedAt.getTime()).toBeGreaterThanOrEqual(createdAt.getTime());
    expect(updatedAt.getTime()).toBeLessThanOrEqual(Date.now());
  });

  test('T32: a sticky instance reads its history never, a cold one once for each turn', async () => {
    for (const [stickyCacheMb, reads] of [
      [64, 0],
      [0, 10],
    ] as const) {
      const stand = stage();
      const provider = await stand.openProvider();
      let histories = 0;
      const counting = new Proxy(provider, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]): unknown => {
            if (name === 'readHistory') histories += 1;
            return (value as (...args: unknown[]) => unknown).apply(target, args);
          };
        },
      });
      // With the timeouts of users: a thread that a busy machine keeps waiting would be ended, and its instance read again.
      await stand.startRuntime({ provider: counting, ...modules, activityThreads: 1, stickyCacheMb });
      const client = new Client(provider);
      expect(await (await client.startOrchestration('t32', 'chain', 10)).result({ timeout: PATIENCE })).toBe(55);
      expect(histories).toBe(reads);
    }
  });

  test('T33: a cancelled timer leaves the queue', async () => {
    const { client, provider } = shared;
    const before = await provider.readQueueDepths();
    await client.startOrchestration('t33', 'cancelledTimer');
    await client.raiseEvent('t33', 'go');
    await client.waitForCustomStatus('t33', { afterVersion: 0, timeout: PATIENCE });
    expect(await provider.readQueueDepths()).toEqual(before);
  });

  test('T45: what the last turn scheduled and gave up is neither left in the queue nor run', async () => {
    const { client, provider } = shared;
    const before = await provider.readQueueDepths();
    const handle = await client.startOrchestration('t45', 'abandonsActivity', 't45');
    await client.raiseEvent('t45', 'end');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ended');
    expect(await provider.readQueueDepths()).toEqual(before);
  });
});

describe('shutdown', () => {
  test('T12: an idle runtime stops at once whatever the timeout', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const runtime = await Runtime.start({ provider, ...modules, ...quick });
    const startedMs = performance.now();
    await runtime.shutdown({ timeoutMs: 60_000 });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(runtime.stats()).toMatchObject({ state: 'stopped', turnsInFlight: 0, activitiesInFlight: 0 });
  });
});

/** A start as a client makes it. */
function instanceOf(instanceId: string, name: string): NewInstance {
  return {
    instanceId,
    name,
    version: null,
    payload: '',
    parent: null,
    parentNotice: null,
    attributes: null,
    onParentClose: 'abandon',
    policy: 'fail',
    priority: 0,
    startAtMs: null,
    delayMs: 0,
    closeChildren: null,
  };
}
