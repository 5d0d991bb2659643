// The dispatchers in trouble: leases that are lost, suspects that wait, stores that refuse, threads that do not answer.
import { Client, defineActivity, defineOrchestration, ProviderError } from 'duraloom';
import type { SqliteProvider } from 'duraloom/sqlite';
import { writeFileSync } from 'node:fs';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/provider/system-clock.ts';
import { makeActivityHost } from '../../src/threads/activity-host.ts';
import { ActivityLoop } from '../../src/threads/activity-loop.ts';
import { readActivityBatch, writeActivityRequest, type Wire } from '../../src/threads/messages.ts';
import { Progress } from '../../src/threads/progress.ts';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { DURALOOM_URL, fixture, modules, PATIENCE, quick, rejection, stage } from '../support/integration-stage.ts';

const orchestrations = [modules.orchestrations, fixture('dispatch-orchestrations.ts')];

/** Leases that no test waits for. */
const longLeases = { activityLockMs: 600_000, orchestrationLockMs: 600_000 };

type Method = 'abandonWorkItems' | 'ackOrchestrationItems' | 'enqueueMessages' | 'fetchOrchestrationItems' | 'fetchWorkItems';
type Renewal = 'renewOrchestrationLocks' | 'renewWorkLocks';
type Call<Name extends Method | Renewal> = SqliteProvider[Name];

/** What happens around the calls of a runtime to its store. */
type Around = { readonly [Name in Method | Renewal]?: (call: Call<Name>, ...args: Parameters<Call<Name>>) => ReturnType<Call<Name>> };

/** A provider as a runtime sees it through a bad connection. */
function intercept(provider: SqliteProvider, around: Around): SqliteProvider {
  return new Proxy(provider, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: unknown[]) => unknown;
      const step = around[name as Method] as ((call: unknown, ...args: unknown[]) => unknown) | undefined;
      return step === undefined ? call : (...args: unknown[]): unknown => step(call, ...args);
    },
  });
}

/** Something that a test waits for. */
class Signal {
  readonly happened: Promise<void>;
  #resolve = (): void => undefined;

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  give(): void {
    this.#resolve();
  }
}

/** Makes the work items of one instance look as if they were handed out twice before, and tells when one was handed out. */
function suspect(
  provider: SqliteProvider,
  instanceId: string,
  more: Around = {},
): { provider: SqliteProvider; taken: Signal; fetches: () => number } {
  const taken = new Signal();
  let fetches = 0;
  const intercepted = intercept(provider, {
    ...more,
    fetchWorkItems: async (call, params) => {
      fetches += 1;
      const fetched = await call(params);
      if (fetched.items.some((item) => item.instanceId === instanceId)) taken.give();
      return {
        ...fetched,
        items: fetched.items.map((item) => (item.instanceId === instanceId ? { ...item, attempt: item.attempt + 2 } : item)),
      };
    },
  });
  return { provider: intercepted, taken, fetches: () => fetches };
}

describe('a lost lease of an instance', () => {
  test('the next turn starts from history, not from the engine that ran ahead', async () => {
    const stand = stage();
    const first = await stand.openProvider();
    const second = await stand.openProvider();
    const client = new Client(second);
    let gate = Promise.resolve();
    // One fetch at a time, or another one would be past the gate when it closes.
    let last: Promise<unknown> = Promise.resolve();
    const gateOpens = new Signal();
    const took = { spin: new Signal(), first: new Signal(), second: new Signal() };
    const cutOff = intercept(first, {
      renewOrchestrationLocks: () => Promise.reject(new TypeError('no connection')),
      fetchOrchestrationItems: async (call, params) => {
        const fetching = last.then(() => gate).then(() => call(params));
        last = fetching.catch(() => undefined);
        const fetched = await fetching;
        for (const { instanceId, messages } of fetched.items) {
          if (instanceId === 'spin') took.spin.give();
          if (messages.some(({ payload }) => payload.includes('"second"'))) took.second.give();
          if (messages.some(({ payload }) => payload.includes('"first"'))) {
            // Nothing more until the other runtime has had the instance.
            gate = gateOpens.happened;
            took.first.give();
          }
        }
        return fetched;
      },
    });
    const options = { ...quick, maxAttempts: 10, turnTimeoutMs: 60_000, orchestrations };
    await stand.startRuntime({ provider: cutOff, ...options, orchestrationLockMs: 1_000 });
    const handle = await client.startOrchestration<number>('x', 'remembers');
    await client.waitForCustomStatus('x', { afterVersion: 0, timeout: PATIENCE });
    // Its thread is busy while the instance waits in it, with a lease that nobody renews.
    await client.startOrchestration('spin', 'spinsUntil', stand.file('go'));
    await took.spin.happened;
    await client.raiseEvent('x', 'first');
    await took.first.happened;
    const idle = stand.writeModule(
      'idle.ts',
      `import { defineOrchestration } from '${DURALOOM_URL}';
       export { remembers } from '${fixture('dispatch-orchestrations.ts').href}';
       export const spinsUntil = defineOrchestration('spinsUntil', () => 'done');`,
    );
    const other = await stand.startRuntime({ provider: second, ...quick, orchestrations: idle, ...longLeases });
    await client.waitForCustomStatus('x', { afterVersion: 1, timeout: PATIENCE });
    await other.shutdown();
    await client.raiseEvent('x', 'second');
    gateOpens.give();
    await took.second.happened;
    writeFileSync(stand.file('go'), '');
    await client.waitForCustomStatus('x', { afterVersion: 2, timeout: PATIENCE });
    await client.raiseEvent('x', 'third');
    const raised = (await client.readHistory('x')).find((event) => event.kind === 'EventRaised');
    expect(await handle.result({ timeout: PATIENCE })).toBe(raised?.atMs);
  });
});

describe('a lost lease of an activity', () => {
  test('aborts the attempt that had it and leaves the next one alone, in the same runtime', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const logger = new LogBook();
    let isCut = true;
    const cutOff = intercept(provider, {
      renewWorkLocks: (call, ...args) => (isCut ? Promise.reject(new TypeError('no connection')) : call(...args)),
      fetchWorkItems: async (call, params) => {
        const fetched = await call(params);
        if (fetched.items.some(({ attempt }) => attempt === 2)) isCut = false;
        return fetched;
      },
    });
    await stand.startRuntime({ provider: cutOff, ...modules, ...quick, logger });
    const handle = await new Client(provider).startOrchestration('again', 'call', { activity: 'hold', input: 'again' });
    await logger.waitFor(({ message }) => message === 'holding', 2);
    expect((await logger.message('aborted')).fields).toMatchObject({ attempt: 1 });
    release('again');
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 2 });
  });
});

describe('a suspect that waits for a thread of its own', () => {
  test('neither keeps other activities from the thread for long nor makes the dispatcher spin', async () => {
    const stand = stage();
    const logger = new LogBook();
    const store = await stand.openProvider();
    const { provider, taken, fetches } = suspect(store, 'suspect');
    await stand.startRuntime({ provider, ...modules, ...quick, ...longLeases, maxAttempts: 10, logger });
    const client = new Client(store);
    const long = await client.startOrchestration('long', 'call', { activity: 'hold', input: 'long' });
    await logger.message('holding', 'long');
    const handle = await client.startOrchestration('suspect', 'call', { activity: 'locate' });
    await taken.happened;
    const before = fetches();
    expect(await (await client.startOrchestration('quick', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect(fetches() - before).toBeLessThan(20);
    release('long');
    await long.result({ timeout: PATIENCE });
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 3 });
  });

  test('lets others join it when it has run for a while, also another suspect', async () => {
    const stand = stage();
    const logger = new LogBook();
    const store = await stand.openProvider();
    const { provider } = suspect(suspect(store, 'first').provider, 'second');
    await stand.startRuntime({ provider, ...modules, ...quick, ...longLeases, maxAttempts: 10, logger });
    const client = new Client(store);
    const suspects = [];
    for (const id of ['first', 'second']) {
      suspects.push(await client.startOrchestration(id, 'call', { activity: 'hold', input: id }));
      await logger.message('holding', id);
    }
    expect(await (await client.startOrchestration('quick', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
    for (const handle of suspects) {
      release(handle.instanceId);
      expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 3 });
    }
  });

  test('is charged when its thread dies later, with others on it', async () => {
    const stand = stage();
    const logger = new LogBook();
    const store = await stand.openProvider();
    const { provider } = suspect(store, 'killer');
    const mark = stand.file('mark');
    await stand.startRuntime({
      provider,
      ...modules,
      ...quick,
      ...longLeases,
      maxAttempts: 3,
      activities: [modules.activities, fixture('dispatch-activities.ts')],
      logger,
    });
    const client = new Client(store);
    const killer = await client.startOrchestration('killer', 'call', { activity: 'exitOnRelease', input: mark });
    await logger.message('about to exit');
    const other = await client.startOrchestration('other', 'call', { activity: 'hold', input: 'other' });
    await logger.message('holding', 'other');
    release('exit');
    expect(await rejection(killer.result({ timeout: PATIENCE }))).toMatchObject({
      cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'THREAD_DIED' } },
    });
    await logger.waitFor(({ message }) => message === 'holding', 2);
    release('other');
    expect(await other.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
  });

  test('never runs when it is cancelled meanwhile', async () => {
    const stand = stage();
    const logger = new LogBook();
    const store = await stand.openProvider();
    const { provider, taken } = suspect(store, 'suspect');
    const runtime = await stand.startRuntime({ provider, ...modules, ...quick, ...longLeases, maxAttempts: 10, logger });
    const client = new Client(store);
    const long = await client.startOrchestration('long', 'call', { activity: 'hold', input: 'long' });
    await logger.message('holding', 'long');
    const handle = await client.startOrchestration('suspect', 'raceLoser', 'suspect');
    await taken.happened;
    await client.raiseEvent('suspect', 'decide');
    await client.waitForCustomStatus('suspect', { afterVersion: 0, timeout: PATIENCE });
    expect(runtime.stats().activitiesInFlight).toBe(1);
    release('long');
    await long.result({ timeout: PATIENCE });
    await client.raiseEvent('suspect', 'end');
    expect(await handle.result({ timeout: PATIENCE })).toBe('decided');
    expect(await (await client.startOrchestration('after', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect(logger.lines.filter(({ message }) => message === 'holding').map(({ fields }) => fields['key'])).toEqual(['long']);
  });

  test('goes to another runtime at once when its last thread is gone', async () => {
    const stand = stage();
    const logger = new LogBook();
    const store = await stand.openProvider();
    const { provider, taken } = suspect(store, 'suspect');
    const mark = stand.file('mark');
    const onlyOnce = stand.writeModule(
      'only-once.ts',
      `import { existsSync } from 'node:fs';
       if (existsSync('${mark}')) throw new RangeError('does not start again');
       export * from '${fixture('dispatch-activities.ts').href}';`,
    );
    await stand.startRuntime({
      provider,
      ...modules,
      ...quick,
      ...longLeases,
      maxAttempts: 10,
      activities: [modules.activities, onlyOnce],
      logger,
    });
    const client = new Client(store);
    await client.startOrchestration('killer', 'call', { activity: 'exitOnRelease', input: mark });
    await logger.message('about to exit');
    const handle = await client.startOrchestration('suspect', 'call', { activity: 'locate' });
    await taken.happened;
    release('exit');
    await logger.waitFor(({ fields }) => fields['code'] === 'THREAD_DIED');
    await stand.startRuntime({ provider: store, ...quick, ...longLeases, activities: modules.activities });
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
  });

  test('is nobody who was charged only because the activity is not registered', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client } = await stand.open({ logger, ...longLeases, maxAttempts: 4 });
    const long = await client.startOrchestration('long', 'call', { activity: 'hold', input: 'long' });
    await logger.message('holding', 'long');
    // All its attempts, while the only thread never runs dry.
    const startedMs = performance.now();
    const absent = await client.startOrchestration('absent', 'call', { activity: 'absent' });
    expect(await rejection(absent.result({ timeout: PATIENCE }))).toMatchObject({
      cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'ACTIVITY_NOT_REGISTERED' } },
    });
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    release('long');
    await long.result({ timeout: PATIENCE });
  });
});

describe('activities that wait for room', () => {
  test('are not started by a runtime that has given them back at its shutdown', async () => {
    const stand = stage();
    const logger = new LogBook();
    const store = await stand.openProvider();
    const provider = intercept(store, {
      abandonWorkItems: async (call, items) => {
        const outcomes = await call(items);
        await logger.message('aborted');
        // The answer of the aborted activity comes meanwhile.
        for (let loop = 0; loop < 20; loop += 1) await nextLoop();
        return outcomes;
      },
    });
    const options = { ...quick, ...longLeases, orchestrations, activities: modules.activities, activityThreads: 0, activitiesPerThread: 1 };
    const runtime = await stand.startRuntime({ provider, ...options, logger });
    await new Client(store).startOrchestration('waiting', 'echoesThenHolds', 'waiting');
    await logger.message('holding');
    await runtime.shutdown({ timeoutMs: 0 });
    expect(logger.lines.filter(({ message }) => message === 'holding')).toHaveLength(1);
  });
});

describe('activities that were supplied ahead', () => {
  test('are not stuck behind a long one while another thread is idle', async () => {
    const stand = stage();
    const { client } = await stand.open({ orchestrations, ...longLeases, activityThreads: 2, activitiesPerThread: 1 });
    const handle = await client.startOrchestration('mixed', 'mixes', 'mixed');
    await client.waitForCustomStatus('mixed', { afterVersion: 0, timeout: PATIENCE });
    release('mixed');
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
  });
});

describe('a thread that computes', () => {
  test('is not ended for what waits behind it', async () => {
    const logger = new LogBook();
    const limited = defineOrchestration('limited', async (ctx) => {
      const spin = ctx.scheduleActivity<{ attempt: number }>('spin', 4_000);
      const quick = ctx.scheduleActivity('echo', 'in time', { attemptTimeoutMs: 100 });
      return [(await spin).attempt, await quick];
    });
    const options = { orchestrations: [limited], replayThreads: 0, activityThreads: 1, activityGraceMs: 0, activityLockMs: 600_000 };
    const { client } = await stage().open({ ...options, logger });
    const handle = await client.startOrchestration('limited', limited);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 'in time']);
    expect(logger.lines.filter(({ fields }) => fields['code'] === 'THREAD_DIED')).toEqual([]);
  });
});

describe('a session in a mixed fleet', () => {
  test('goes to the runtime that has its activity, whoever claimed it first', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const inline = { ...quick, activityThreads: 0, replayThreads: 0, retryBackoff: { initialMs: 20, maximumMs: 100 } };
    const asks = defineOrchestration('asks', (ctx) => ctx.scheduleActivity('special', null, { sessionId: ctx.instanceId }));
    const plain = defineActivity('plain', () => null);
    const special = defineActivity('special', () => 'done');
    await stand.startRuntime({ provider, ...inline, orchestrations: asks, activities: plain });
    const handles = await Promise.all([1, 2, 3].map((index) => client.startOrchestration(`asks-${index}`, asks)));
    await stand.startRuntime({ provider, ...inline, activities: special });
    for (const handle of handles) expect(await handle.result({ timeout: PATIENCE })).toBe('done');
  });
});

describe('a cancellation that overtakes its activity', () => {
  test('is remembered until the activity comes: it is answered, not run', async () => {
    const { port1, port2 } = new MessageChannel();
    const ran: string[] = [];
    const note = defineActivity('note', (_ctx, name: string) => ran.push(name));
    const host = makeActivityHost(await stage().openProvider(), new AbortController().signal);
    const loop = new ActivityLoop({
      port: port2,
      clock: systemClock,
      progress: new Progress(),
      slots: 4,
      host,
      storeName: 'sqlite',
      graceMs: 1_000,
      fail: (error) => {
        throw error;
      },
    });
    await loop.load([{ prefix: '', source: note }]);
    const answered = new Promise<Wire>((resolve) => port1.on('message', resolve));
    await loop.cancel([7]);
    const wire: Wire = [];
    for (const [seq, input] of [
      [7, 'cancelled'],
      [8, 'wanted'],
    ] as const) {
      const request = { seq, instanceId: 'i', executionId: 1, eventId: seq, name: 'note', input: `"${input}"`, attempt: 1 };
      writeActivityRequest(wire, { ...request, special: null });
    }
    port1.postMessage(wire);
    const { replies } = readActivityBatch(await answered);
    expect(ran).toEqual(['wanted']);
    const answer = (seq: number): string => replies.find((reply) => reply.seq === seq)?.completionPayload ?? '';
    expect(answer(7)).toContain('CANCELLED');
    expect(answer(8)).toContain('ActivityCompleted');
    port1.close();
  });
});

describe('an orchestration that goes on without end between its turns', () => {
  test('is ended with its thread, and nobody is charged', async () => {
    const logger = new LogBook();
    const { client } = await stage().open({ orchestrations, logger, maxAttempts: 1 });
    await client.startOrchestration('lingers', 'lingers');
    await client.waitForCustomStatus('lingers', { afterVersion: 0, timeout: PATIENCE });
    const innocent = await client.startOrchestration('innocent', 'hello', 'x');
    expect(await innocent.result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect(await client.getState('lingers')).toMatchObject({ status: 'Running' });
    expect(logger.lines.filter(({ fields }) => fields['code'] === 'TURN_TIMEOUT').map(({ level }) => level)).toEqual(['error']);
  });
});

describe('a store that refuses', () => {
  test('one turn of a batch: its neighbours are committed, and only it is charged and handed nothing', async () => {
    const stand = stage();
    const store = await stand.openProvider();
    const client = new Client(store);
    const names = ['a', 'b', 'bad', 'c', 'd'];
    const handles = await Promise.all(names.map((name) => client.startOrchestration(name, 'timesEcho', name)));
    const handedOut: string[] = [];
    const provider = intercept(store, {
      // A time that the table does not take.
      ackOrchestrationItems: (call, acks) =>
        call(
          acks.map((ack) =>
            ack.instanceId === 'bad'
              ? { ...ack, timers: ack.timers.map((timer) => ({ ...timer, visibleAtMs: timer.visibleAtMs + 0.5 })) }
              : ack,
          ),
        ),
      fetchWorkItems: async (call, params) => {
        const fetched = await call(params);
        handedOut.push(...fetched.items.map(({ instanceId }) => instanceId));
        return fetched;
      },
    });
    await stand.startRuntime({ provider, ...quick, ...longLeases, orchestrations, activities: modules.activities });
    for (const handle of handles) {
      if (handle.instanceId === 'bad') {
        expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
          code: 'INSTANCE_QUARANTINED',
          cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'PROVIDER_FAILED' } },
        });
      } else expect(await handle.result({ timeout: PATIENCE })).toBe(handle.instanceId);
    }
    expect(handedOut.toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect(store.commitStats.slowPaths).toBeGreaterThan(0);
  });

  test('the report of a broken rule for a while: the instance ends all the same', async () => {
    const stand = stage();
    const store = await stand.openProvider();
    let refusals = 0;
    const provider = intercept(store, {
      enqueueMessages: (call, messages) => {
        if (refusals >= 2) return call(messages);
        refusals += 1;
        return Promise.reject(new ProviderError('PROVIDER_FAILED', { operation: 'enqueueMessages', retryable: true, message: 'busy' }));
      },
    });
    await stand.startRuntime({ provider, ...quick, ...longLeases, orchestrations, activities: modules.activities });
    const handle = await new Client(store).startOrchestration('late', 'callsLate');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ cause: { code: 'LATE_CALL' } });
    expect(refusals).toBe(2);
  });

  test('a turn after the runtime is closed: nothing is thrown, and the next runtime runs it', async () => {
    const stand = stage();
    const store = await stand.openProvider();
    const asked = new Signal();
    const stopped = new Signal();
    const provider = intercept(store, {
      ackOrchestrationItems: async () => {
        asked.give();
        await stopped.happened;
        throw new TypeError('no connection');
      },
    });
    const runtime = await stand.startRuntime({ provider, ...modules, ...quick, ...longLeases });
    const handle = await new Client(store).startOrchestration('refused', 'collect', 1);
    await asked.happened;
    await runtime.shutdown({ timeoutMs: 0 });
    const rejections: unknown[] = [];
    const listener = (reason: unknown): unknown => rejections.push(reason);
    process.on('unhandledRejection', listener);
    stopped.give();
    for (let loop = 0; loop < 5; loop += 1) await nextLoop();
    process.off('unhandledRejection', listener);
    expect(rejections).toEqual([]);
    await stand.startRuntime({ provider: store, ...modules, ...quick });
    await new Client(store).raiseEvent('refused', 'item', 1);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1]);
  });
});

describe('an item with a field that nobody can read', () => {
  test.each([0, 1])('is charged and given up, and the others of its batch are not: threads %i (seed 177206668)', async (threads) => {
    const stand = stage();
    const store = await stand.openProvider();
    const client = new Client(store);
    const provider = intercept(store, {
      fetchWorkItems: async (call, params) => {
        const fetched = await call(params);
        const items = fetched.items.map((item) => (item.instanceId === 'broken' ? { ...item, name: null as unknown as string } : item));
        return { ...fetched, items };
      },
    });
    const first = await stand.startRuntime({ provider: store, ...quick, orchestrations: modules.orchestrations, replayThreads: 0 });
    const ids = ['a', 'broken', 'z'];
    for (const id of ids) await client.startOrchestration(id, 'call', { activity: 'echo', input: id });
    // Turns of one runtime are taken in order: when this one has ended, those before it were taken.
    await (await client.startOrchestration('settled', 'collect', 0)).result({ timeout: PATIENCE });
    await first.shutdown();
    await stand.startRuntime({ provider, ...modules, ...quick, replayThreads: 0, activityThreads: threads });
    for (const id of ['a', 'z']) expect(await client.waitForResult(id, { timeout: PATIENCE })).toBe(id);
    const error = await rejection(client.waitForResult('broken', { timeout: PATIENCE }));
    expect(error).toMatchObject({
      cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'THREAD_DIED', cause: { code: 'MESSAGE_INVALID' } } },
    });
  });
});
