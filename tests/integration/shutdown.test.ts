// How a runtime stops: drained and early, or in time and with everything given back. And what happens when its store goes first.
import { Client, Runtime } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { DURALOOM_URL, fixture, modules, PATIENCE, quick, rejection, stage } from '../support/integration-stage.ts';

/** Leases that outlive every test: whoever gets the work did not wait for one to run out. */
const longLeases = { activityLockMs: 600_000, orchestrationLockMs: 600_000 };

describe('shutdown', () => {
  test('lets running activities finish, stores their results and returns as soon as they are done', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({ logger });
    await client.startOrchestration('drained', 'call', { activity: 'hold', input: 'drain' });
    await logger.message('holding', 'drained');
    const states: string[] = [runtime.state];
    const startedMs = performance.now();
    const stopped = runtime.shutdown({ timeoutMs: 600_000 });
    states.push(runtime.state);
    release('drain');
    await stopped;
    states.push(runtime.state);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    expect(states).toEqual(['running', 'stopping', 'stopped']);
    expect(runtime.stats()).toMatchObject({ activitiesCompleted: 1, activitiesInFlight: 0, turnsInFlight: 0 });
    // The turn that follows from the result is still taken: its engine is here.
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
    expect(await client.getState('drained')).toMatchObject({ status: 'Completed' });
  });

  test('renews leases while it drains, so that no other runtime takes what still runs', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({ logger, activityLockMs: 600 });
    const handle = await client.startOrchestration('renewed', 'call', { activity: 'dawdle', input: 1_500 });
    const beside = await client.startOrchestration('beside', 'call', { activity: 'hold', input: 'renewed' });
    await logger.message('holding', 'beside');
    const stopped = runtime.shutdown();
    await stand.startRuntime({ provider, ...modules, ...quick });
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
    release('renewed');
    await stopped;
    expect(await beside.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
  });

  test('takes nothing new once it has begun', async () => {
    const stand = stage();
    const { client, provider, runtime } = await stand.open();
    const stopped = runtime.shutdown();
    const handle = await client.startOrchestration('too late', 'hello', 'x');
    await stopped;
    expect(await handle.state()).toMatchObject({ status: 'Pending' });
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 1, workItems: 0 });
  });

  test('gives activities that are not done in time to another runtime at once, uncharged', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({ logger, activitiesPerThread: 2, ...longLeases });
    const handle = await client.startOrchestration<unknown[]>('handed over', 'fan', { activity: 'hold', count: 6, input: 'hand over' });
    await logger.waitFor(({ message }) => message === 'holding', 2);
    await runtime.shutdown({ timeoutMs: 0 });
    const book = new LogBook();
    await stand.startRuntime({ provider, ...modules, ...quick, ...longLeases, logger: book });
    await book.waitFor(({ message }) => message === 'holding', 6);
    release('hand over');
    expect(await handle.result({ timeout: PATIENCE })).toMatchObject(Array.from({ length: 6 }, () => ({ attempt: 1 })));
  });

  test('gives an instance whose turn does not end to another runtime at once, uncharged', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    let took = (): void => undefined;
    const taken = new Promise<void>((resolve) => {
      took = resolve;
    });
    const watched = new Proxy(provider, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]): Promise<unknown> => {
          const result: unknown = await (value as (...args: unknown[]) => unknown).apply(target, args);
          if (name === 'fetchOrchestrationItems' && (result as { readonly items: readonly unknown[] }).items.length > 0) took();
          return result;
        };
      },
    });
    const options = { ...quick, ...longLeases, maxAttempts: 1, turnTimeoutMs: 600_000 };
    const runtime = await stand.startRuntime({ provider: watched, ...options, orchestrations: fixture('misbehaving-orchestrations.ts') });
    const handle = await client.startOrchestration('endless', 'loopsAtOnce');
    await taken;
    await runtime.shutdown({ timeoutMs: 50 });
    expect(runtime.state).toBe('stopped');
    const cure = stand.writeModule(
      'cure.ts',
      `import { defineOrchestration } from '${DURALOOM_URL}';
       export const cure = defineOrchestration('loopsAtOnce', () => 'cured');`,
    );
    await stand.startRuntime({ provider, ...options, orchestrations: cure });
    expect(await handle.result({ timeout: PATIENCE })).toBe('cured');
  });

  test('is idempotent: later calls wait for the first', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, runtime } = await stand.open({ logger });
    await client.startOrchestration('once', 'call', { activity: 'hold', input: 'once' });
    await logger.message('holding', 'once');
    const ends: string[] = [];
    const first = runtime.shutdown().then(() => ends.push('first'));
    const second = runtime.shutdown({ timeoutMs: 1 }).then(() => ends.push('second'));
    release('once');
    await Promise.all([first, second]);
    expect(ends).toEqual(['first', 'second']);
    await runtime.shutdown();
    expect(runtime.state).toBe('stopped');
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 3_600_001])('refuses the timeout %d and goes on running', async (timeoutMs) => {
    const stand = stage();
    const { client, runtime } = await stand.open({ replayThreads: 0, activityThreads: 0 });
    const error = await rejection(runtime.shutdown({ timeoutMs }));
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).toContain('`timeoutMs`');
    expect(error.message).toContain('0 to 3600000');
    expect(error.message).toContain(String(timeoutMs));
    expect(runtime.state).toBe('running');
    expect(await (await client.startOrchestration('on', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
  });

  test('leaves the waits of clients alone: another runtime answers them', async () => {
    const stand = stage();
    const { client, provider, runtime } = await stand.open();
    const handle = await client.startOrchestration('patient', 'collect', 1);
    const result = handle.result({ timeout: PATIENCE });
    result.catch(() => undefined);
    await client.waitForCustomStatus('patient', { afterVersion: 0, timeout: PATIENCE });
    await runtime.shutdown();
    await client.raiseEvent('patient', 'item', 1);
    await stand.startRuntime({ provider, ...modules, ...quick });
    expect(await result).toEqual([1]);
  });

  test('leaves several runtimes of one process alone', async () => {
    const stand = stage();
    const { client, provider, runtime } = await stand.open({ replayThreads: 0, activityThreads: 0 });
    await stand.startRuntime({ provider, ...modules, ...quick, replayThreads: 0, activityThreads: 0 });
    await runtime.shutdown();
    const handle = await client.startOrchestration('other', 'chain', 3);
    expect(await handle.result({ timeout: PATIENCE })).toBe(6);
    // The guards of the second inline runtime still hold.
    const forbidden = await Runtime.start({
      provider,
      orchestrations: fixture('misbehaving-orchestrations.ts'),
      replayThreads: 0,
    });
    stand.defer(() => forbidden.shutdown());
  });
});

describe('a provider that is closed under a running runtime', () => {
  test.each([
    ['over threads', {}],
    ['inline', { replayThreads: 0, activityThreads: 0 }],
  ])('ends nothing but the work: the runtime can still be shut down, %s', async (_, options) => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({ logger, ...options });
    await client.startOrchestration('orphan', 'call', { activity: 'hold', input: 'orphan' });
    await logger.message('holding', 'orphan');
    await provider.close();
    release('orphan');
    await logger.waitFor(({ message }) => message.includes('ackWorkItems'));
    expect(runtime.state).toBe('running');
    await runtime.shutdown({ timeoutMs: 100 });
    expect(runtime.state).toBe('stopped');
    // Nothing was lost: the next runtime on the file runs it again.
    const second = await stand.openProvider();
    const book = new LogBook();
    await stand.startRuntime({ provider: second, ...modules, ...quick, logger: book });
    await book.message('holding', 'orphan');
    release('orphan');
    expect(await new Client(second).getHandle('orphan').result({ timeout: PATIENCE })).toMatchObject({ attempt: 2 });
  });

  test('gives an error to everybody who waits', async () => {
    const stand = stage();
    const { client, provider } = await stand.open({ replayThreads: 0, activityThreads: 0 });
    const handle = await client.startOrchestration('waited for', 'collect', 1);
    await client.waitForCustomStatus('waited for', { afterVersion: 0, timeout: PATIENCE });
    const waits = Promise.all([
      rejection(handle.result()),
      rejection(handle.result({ timeout: '1h' })),
      rejection(client.waitForCustomStatus('waited for', { afterVersion: 9 })),
    ]);
    await provider.close();
    for (const error of await waits) expect(error).toMatchObject({ name: 'ProviderError', code: 'PROVIDER_CLOSED', retryable: false });
  });
});

describe('a wait of a client', () => {
  test('ends with WAIT_TIMEOUT or with the reason of its signal, and the instance goes on', async () => {
    const { client } = await stage().open({ replayThreads: 0, activityThreads: 0 });
    const handle = await client.startOrchestration('long', 'collect', 1);
    const error = await rejection(handle.result({ timeout: 1 }));
    expect(error.code).toBe('WAIT_TIMEOUT');
    expect(error.message).toContain("'long'");
    const abort = new AbortController();
    const aborted = rejection(handle.result({ signal: abort.signal }));
    abort.abort(new RangeError('enough'));
    expect(await aborted).toMatchObject({ name: 'RangeError', message: 'enough' });
    expect(await rejection(handle.result({ signal: abort.signal }))).toMatchObject({ message: 'enough' });
    await client.raiseEvent('long', 'item', 1);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1]);
  });
});
