// How tests end that cannot go on, and what the shutdown of a test runtime finds. Neighbour: test-runtime.test.ts.
import { defineActivity, defineOrchestration, type InstanceHandle } from 'duraloom';
import { createTestRuntime, type ActivityMocks, type StuckError, type TestRuntime, type TestSources } from 'duraloom/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';

/** Shuts down when the test is over, whatever that finds: the tests here look at it themselves. */
function cleanUp<Sources extends TestSources>(runtime: TestRuntime<Sources>): TestRuntime<Sources> {
  onTestFinished(() => runtime.shutdown().catch(() => undefined));
  return runtime;
}

const echo = defineActivity('echo', (_ctx, value: number) => value);

describe('a wait for what can never happen', () => {
  const child = defineOrchestration('child', async (ctx) => await ctx.waitForEvent('money'));
  const parent = defineOrchestration('parent', async (ctx) => {
    const subscription = ctx.subscribe('orders/*');
    return await ctx.all([
      ctx.scheduleSubOrchestration(child, undefined, { instanceId: 'the-child' }),
      ctx.waitForEvent('go'),
      ctx.waitForEvent('taken'),
      subscription.next(),
      // Given up, so nothing waits for it.
      ctx.race([ctx.waitForEvent('given up'), ctx.scheduleActivity(echo, 1)]),
    ]);
  });
  const foreign = defineOrchestration('foreign', async (ctx) => {
    // Recorded in the history, not awaited by the clock.
    await ctx.scheduleSubOrchestration('elsewhere', undefined, { instanceId: 'no-code' });
  });

  async function open(): Promise<TestRuntime<typeof echo>> {
    return cleanUp(await createTestRuntime({ orchestrations: [parent, child, foreign], activities: echo }));
  }

  test('rejects and says what every instance waits for', async () => {
    const runtime = await open();
    const handle = await runtime.start(parent);
    await handle.raiseEvent('taken');
    const error = await rejection(handle.result());
    expect(error).toMatchObject({ name: 'StuckError', code: 'TEST_STUCK' });
    expect((error as StuckError).instances).toEqual([
      {
        instanceId: 'parent-1',
        name: 'parent',
        status: 'Running',
        waitsFor: ["child 'the-child' (child)", "event 'go'", "a message of topic 'orders/*'"],
      },
      { instanceId: 'the-child', name: 'child', status: 'Running', waitsFor: ["event 'money'"] },
    ]);
    expect(error.message).toMatch(/^the test waits for the end of 'parent-1', and nothing can happen any more/);
    expect(error.message).toContain("\n- 'the-child' (child, Running) waits for event 'money'");
  });

  test('leaves the runtime as it is: the test can go on', async () => {
    const runtime = await open();
    const handle = await runtime.start(child);
    expect(await rejection(handle.result())).toMatchObject({ code: 'TEST_STUCK' });
    await handle.raiseEvent('money', 5);
    expect(await handle.result()).toBe(5);
  });

  test('tells of code that is not there, of the suspended and of the quarantined', async () => {
    const runtime = await open();
    await runtime.start(foreign);
    const sleepy = await runtime.start(child);
    await sleepy.suspend();
    const error = (await rejection(runtime.waitFor('echo'))) as StuckError;
    expect(error.instances.map(({ instanceId, waitsFor }) => [instanceId, ...waitsFor])).toEqual([
      ['child-1', 'resume()'],
      ['foreign-1', "child 'no-code' (elsewhere)"],
      ['no-code', 'its code: this runtime has only parent, child, foreign'],
    ]);
  });

  test('also of an activity that nobody calls, when no instance is alive', async () => {
    const runtime = await open();
    const error = await rejection(runtime.waitFor('echo', 'failed', { times: 2, instanceId: 'x' }));
    expect(error.message).toContain("activity 'echo' of 'x' to be failed 2 times");
    expect(error.message).toContain('none of 0 instances is alive');
  });

  test.each<[string, (handle: InstanceHandle, runtime: TestRuntime<typeof echo>) => Promise<unknown>]>([
    ['a custom status', (handle) => handle.waitForCustomStatus({ afterVersion: 0 })],
    ['a value', (handle) => handle.waitForValue('key')],
    ['a receipt', (handle) => handle.waitForReceipt('key')],
    ['an activity', (_, runtime) => runtime.waitFor('echo', 'started')],
  ])('rejects for %s, too', async (_, wait) => {
    const runtime = await open();
    expect(await rejection(wait(await runtime.start(child), runtime))).toMatchObject({ code: 'TEST_STUCK' });
  });

  test('rejects although an activity runs that waits for the store, whose lease is renewed for ever', async () => {
    const hears = defineOrchestration('hears', (ctx) => ctx.scheduleActivity('hear', undefined, { sessionId: 'a session' }));
    const mocks: ActivityMocks<never> = { hear: (ctx) => ctx.receive() };
    const runtime = cleanUp(await createTestRuntime({ orchestrations: hears, mocks }));
    const error = (await rejection((await runtime.start(hears)).result())) as StuckError;
    expect(error.instances).toMatchObject([{ instanceId: 'hears-1', waitsFor: ["activity 'hear'"] }]);
    expect(runtime.now.getTime()).toBeLessThan(Date.UTC(2030, 0, 1, 2));
  });

  test('waits for timers far away, and for activities that poll in simulated time', async () => {
    const polls = defineOrchestration('polls', async (ctx) => await ctx.all([ctx.scheduleActivity('poll'), ctx.scheduleTimer('90d')]));
    const mocks: ActivityMocks<never> = {
      poll: async (ctx) => {
        for (let poll = 0; poll < 1_000; poll += 1) await ctx.sleep('10m');
        return 'polled';
      },
    };
    const runtime = cleanUp(await createTestRuntime({ orchestrations: polls, mocks }));
    expect(await (await runtime.start(polls)).result()).toEqual(['polled', null]);
    expect(runtime.now).toEqual(new Date('2030-04-01T00:00:00Z'));
  });

  test('does not end a wait that has a limit, nor a move of the clock', async () => {
    const runtime = await open();
    const handle = await runtime.start(child);
    const limited = rejection(handle.result({ timeout: '1h' }));
    await runtime.advance('30m');
    expect(await limited).toMatchObject({ code: 'WAIT_TIMEOUT' });
    expect(runtime.now).toEqual(new Date('2030-01-01T01:00:00Z'));
  });
});

describe('an activity that does not exist', () => {
  const calls = defineOrchestration('calls', async (ctx, name: string) => {
    try {
      return await ctx.race([ctx.scheduleActivity(name), ctx.scheduleTimer('365d')]);
    } catch {
      return 'never mind';
    }
  });
  const expected = {
    code: 'ACTIVITY_NOT_REGISTERED',
    message: expect.stringMatching(/'calls-1' has called activity 'refund'.*\(echo\).*mocks: \{ refund:/) as string,
  };

  test('makes every wait reject at once, and says how to mock it', async () => {
    const runtime = cleanUp(await createTestRuntime({ orchestrations: calls, activities: echo }));
    const handle = await runtime.start(calls, 'refund');
    expect(await rejection(handle.result())).toMatchObject(expected);
    expect(await rejection(runtime.advance('1d'))).toMatchObject(expected);
    expect(await rejection(runtime.waitFor('echo'))).toMatchObject(expected);
    expect(runtime.now).toEqual(new Date('2030-01-01T00:00:00Z'));
    // It has been said.
    await runtime.shutdown();
  });

  test('is said by the shutdown when no wait has said it', async () => {
    const runtime = cleanUp(await createTestRuntime({ orchestrations: calls, activities: echo }));
    const handle = await runtime.start(calls, 'refund');
    while ((await handle.state()).status === 'Pending') await new Promise((resolve) => void setImmediate(resolve));
    expect(await rejection(runtime.shutdown())).toMatchObject(expected);
    expect(runtime.runtime.state).toBe('stopped');
  });

  test('is none when it is one of the built-in ones', async () => {
    const reads = defineOrchestration('reads', (ctx) => ctx.getValueFromInstance('other', 'key'));
    await using runtime = await createTestRuntime({ orchestrations: reads });
    expect(await (await runtime.start(reads)).result()).toBeUndefined();
  });
});

describe('the shutdown', () => {
  /** Decides by a variable of the module: another count each time that it runs. */
  function makeLeaky(name: string): ReturnType<typeof defineOrchestration<string, void, unknown>> {
    let runs = 0;
    return defineOrchestration(name, async (ctx) => {
      runs += 1;
      await ctx.scheduleActivity(echo, runs);
      return await ctx.waitForEvent('end');
    });
  }

  async function openLeaky(names: readonly string[], replayCheck?: boolean): Promise<TestRuntime<typeof echo>> {
    const orchestrations = names.map(makeLeaky);
    const options = { orchestrations, activities: echo, ...(replayCheck !== undefined && { replayCheck }) };
    const runtime = cleanUp(await createTestRuntime(options));
    for (const { name } of orchestrations) await runtime.start(name);
    await runtime.waitFor('echo', 'completed', { times: names.length });
    return runtime;
  }

  test('finds code that does not follow its own history, whether it has ended or waits', async () => {
    const waiting = await openLeaky(['leaky']);
    const ended = await openLeaky(['leaky']);
    await ended.client.raiseEvent('leaky-1', 'end');
    await ended.client.waitForResult('leaky-1');
    for (const runtime of [waiting, ended]) {
      expect(await rejection(runtime.shutdown())).toMatchObject({
        name: 'HistoryMismatchError',
        code: 'NONDETERMINISM',
        instanceId: 'leaky-1',
        eventId: 2,
        diff: expect.stringContaining(
          '- 2  ActivityScheduled {name: "echo", input: 1}\n+ 2  ActivityScheduled {name: "echo", input: 2}',
        ) as string,
      });
      expect(runtime.runtime.state).toBe('stopped');
    }
  });

  test('tells of all that do not', async () => {
    const runtime = await openLeaky(['first', 'second']);
    expect(await rejection(runtime.shutdown())).toMatchObject({
      code: 'REPLAY_FAILED',
      failures: [{ source: 'first-1' }, { source: 'second-1' }],
      message: expect.stringMatching(/^2 of 2 histories[^]*first-1:[^]*second-1:/) as string,
    });
  });

  test('does not look when it is told so, nor at what is in quarantine', async () => {
    const unchecked = await openLeaky(['leaky'], false);
    await unchecked.shutdown();
    // Without live engines the next turn finds it out.
    await using runtime = await createTestRuntime({ orchestrations: makeLeaky('leaky'), activities: echo, stickyCacheMb: 0 });
    expect(await rejection((await runtime.start('leaky')).result())).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
  });

  test('ends what runs, and can be asked for again', async () => {
    const runtime = await createTestRuntime({
      orchestrations: defineOrchestration('works', (ctx) => ctx.scheduleActivity('work')),
      mocks: { work: () => new Promise(() => undefined) },
    });
    await runtime.start('works');
    await runtime.waitFor('work', 'started');
    await Promise.all([runtime.shutdown(), runtime.shutdown()]);
    await runtime.shutdown();
    expect(runtime.runtime.state).toBe('stopped');
    expect(await rejection(runtime.client.getState('works-1'))).toMatchObject({ code: 'PROVIDER_CLOSED' });
  });

  test('checks many executions of many instances', async () => {
    const counter = defineOrchestration('counter', async (ctx, left: number): Promise<string> => {
      await ctx.scheduleActivity(echo, left);
      return left === 0 ? 'zero' : await ctx.continueAsNew(left - 1);
    });
    const runtime = cleanUp(await createTestRuntime({ orchestrations: counter, activities: echo }));
    const handles = await Promise.all(Array.from({ length: 30 }, () => runtime.start(counter, 5)));
    expect(new Set(await Promise.all(handles.map((handle) => handle.result())))).toEqual(new Set(['zero']));
    await runtime.shutdown();
    expect(runtime.calls('echo')).toHaveLength(180);
  });
});
