// When simulated time may pass: the invariants S1 to S6 of src/testing/time-skipper.ts and A2 of activity-calls.ts, with real I/O.
import { defineActivity, defineOrchestration } from 'duraloom';
import { createTestRuntime, type ActivityMock, type TestRuntime } from 'duraloom/testing';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { TimeSkipper, type Business, type TimeSkipperOptions } from '../../src/testing/time-skipper.ts';
import { rejection } from '../support/integration-stage.ts';

const START_MS = Date.UTC(2030, 0, 1);

/** Races an activity against a timer of a minute, and says who was first. */
const raced = defineOrchestration('raced', async (ctx, options: { readonly attemptTimeoutMs?: number } | undefined) => {
  const work = ctx.scheduleActivity<string>('work', undefined, options);
  const { key, value } = await ctx.race({ work, timer: ctx.scheduleTimer('1m') });
  return key === 'work' ? value : 'the timer';
});

/** Sleeps for a day. */
const sleeper = defineOrchestration('sleeper', async (ctx) => {
  await ctx.scheduleTimer('1d');
  return 'slept';
});

async function open(work: ActivityMock): Promise<TestRuntime> {
  const runtime = await createTestRuntime({ orchestrations: [raced, sleeper], mocks: { work } });
  onTestFinished(() => runtime.shutdown());
  return runtime;
}

const minutesOf = ({ now }: { readonly now: Date }): number => (now.getTime() - START_MS) / 60_000;

async function listen(): Promise<Server> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

describe('an activity keeps time still', () => {
  test.each<[string, ActivityMock]>([
    ['while another process runs', async () => (await promisify(execFile)(process.execPath, ['-p', '"done"'])).stdout.trim()],
    [
      'while a file is read, several times',
      async () => {
        for (let time = 0; time < 20; time += 1) await readFile(import.meta.filename);
        return 'done';
      },
    ],
    [
      'also after it has taken simulated time',
      async (ctx) => {
        await ctx.sleep('30s');
        return (await promisify(execFile)(process.execPath, ['-p', '"done"'])).stdout.trim();
      },
    ],
    [
      'in another turn of the event loop, as often as it likes',
      async () => {
        for (let time = 0; time < 100; time += 1) await nextLoop();
        return 'done';
      },
    ],
  ])('%s', async (_, work) => {
    const runtime = await open(work);
    expect(await (await runtime.start(raced)).result()).toBe('done');
    expect(minutesOf(runtime)).toBeLessThan(1);
  });

  test('when time is moved by hand, too', async () => {
    const runtime = await open(async () => (await promisify(execFile)(process.execPath, ['-p', '"done"'])).stdout.trim());
    const handle = await runtime.start(raced);
    await runtime.advance('2m');
    expect(await handle.result()).toBe('done');
    expect(runtime.calls('work')).toMatchObject([{ endedAt: new Date(START_MS) }]);
  });
});

describe('an activity lets time pass', () => {
  test('while it sleeps', async () => {
    const runtime = await open(async (ctx) => {
      await ctx.sleep('2h');
      return 'too late';
    });
    expect(await (await runtime.start(raced)).result()).toBe('the timer');
    expect(minutesOf(runtime)).toBe(1);
    // The orchestration has given it up.
    await runtime.advance(0);
    expect(runtime.calls('work')).toMatchObject([{ status: 'failed', error: { code: 'CANCELLED' }, endedAt: new Date(START_MS + 60_000) }]);
  });

  test('until its own limit ends it', async () => {
    const runtime = await open(async (ctx) => await ctx.sleep('2h'));
    const error = await rejection((await runtime.start(raced, { attemptTimeoutMs: 10_000 })).result());
    expect(error).toMatchObject({ cause: { code: 'ACTIVITY_TIMEOUT' } });
    expect(minutesOf(runtime)).toBe(10 / 60);
  });

  test('while it waits for another orchestration', async () => {
    const runtime = await open(async (ctx) => {
      const handle = await ctx.client.startOrchestration<string>('sleeper-of-work', sleeper);
      return await handle.result();
    });
    const handle = await runtime.start(raced);
    expect(await handle.result()).toBe('the timer');
    expect(await runtime.waitFor('work')).toMatchObject({ result: 'slept', endedAt: new Date('2030-01-02T00:00:00Z') });
  });

  test('once it was cancelled, even if it never ends', async () => {
    const never = new Promise<never>(() => undefined);
    const boss = defineOrchestration('boss', async (ctx) => {
      await ctx.race({ work: ctx.scheduleActivity('work'), stop: ctx.waitForEvent('stop') });
      await ctx.scheduleTimer('1h');
      return 'an hour later';
    });
    await using runtime = await createTestRuntime({ orchestrations: boss, mocks: { work: () => never } });
    const handle = await runtime.start(boss);
    await runtime.waitFor('work', 'started');
    await handle.raiseEvent('stop');
    expect(await handle.result()).toBe('an hour later');
    expect(minutesOf(runtime)).toBe(60);
  });

  test('once its thread was lost and it runs again', async () => {
    let runs = 0;
    const runtime = await open(() => {
      runs += 1;
      return runs === 1 ? new Promise(() => undefined) : `run ${runs}`;
    });
    const handle = await runtime.start(raced);
    await runtime.waitFor('work', 'started');
    runtime.runtime.crashThread({ kind: 'activity' });
    expect(await handle.result()).toBe('run 2');
    expect(await (await runtime.start(sleeper)).result()).toBe('slept');
  });
});

describe('several test runtimes', () => {
  test('have clocks of their own, and one that stands still does not stop the others', async () => {
    const server = await listen();
    // Ends when the test connects: until then the first runtime waits for real I/O.
    const held = await open(async () => {
      await once(server, 'connection');
      return 'connected';
    });
    const waiting = (await held.start(raced)).result();
    await held.waitFor('work', 'started');
    const others = await Promise.all(Array.from({ length: 5 }, () => open(() => 'at once')));
    const results = await Promise.all(others.map(async (other) => (await other.start(sleeper)).result()));
    expect(results).toEqual(['slept', 'slept', 'slept', 'slept', 'slept']);
    expect([minutesOf(held), ...others.map(minutesOf)]).toEqual([0, 1440, 1440, 1440, 1440, 1440]);
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    expect(await waiting).toBe('connected');
  });

  test('leave the globals of the process as they were when the last one is shut down', async () => {
    const before = [Date, Math.random, setTimeout, Object.getOwnPropertyDescriptor(process, 'emit')];
    const runtimes = await Promise.all([open(() => 1), open(() => 2)]);
    expect(Date).not.toBe(before[0]);
    await runtimes[0]?.shutdown();
    expect(Date).not.toBe(before[0]);
    await runtimes[1]?.shutdown();
    expect([Date, Math.random, setTimeout, Object.getOwnPropertyDescriptor(process, 'emit')]).toEqual(before);
  });
});

describe('a time skipper', () => {
  type Stage = { readonly skipper: TimeSkipper; readonly clock: SimulatedClock; readonly slow: (readonly string[])[]; business: Business };

  function makeStage(options: Partial<TimeSkipperOptions> = {}): Stage {
    const clock = new SimulatedClock(0);
    const slow: (readonly string[])[] = [];
    const explain = (waits: readonly string[]): Promise<Error> => Promise.resolve(new RangeError(`stuck: ${waits.join(', ')}`));
    const stage: Stage = {
      clock,
      slow,
      business: 'none',
      skipper: new TimeSkipper({
        clock,
        business: () => stage.business,
        progress: () => 0,
        lastLookMs: 1_000,
        explain,
        slowMs: 60_000,
        onSlow: (waits) => slow.push(waits),
        ...options,
      }),
    };
    return stage;
  }

  test('moves no time while nobody waits (S1)', async () => {
    const { clock } = makeStage();
    let fired = false;
    clock.setTimer(10, () => (fired = true));
    for (let loop = 0; loop < 20; loop += 1) await nextLoop();
    expect([fired, clock.nowMs()]).toEqual([false, 0]);
  });

  test('moves time at rest only, and hears of it (S2)', async () => {
    const stage = makeStage();
    const { skipper, clock } = stage;
    const fired: string[] = [];
    clock.setTimer(10, () => fired.push('timer'));
    stage.business = 'real';
    const done = skipper.until('the timer', () => (fired.length > 0 ? fired : undefined));
    for (let loop = 0; loop < 50; loop += 1) await nextLoop();
    expect([fired, clock.nowMs()]).toEqual([[], 0]);
    stage.business = 'soon';
    skipper.changed();
    for (let loop = 0; loop < 50; loop += 1) await nextLoop();
    expect([fired, clock.nowMs()]).toEqual([[], 0]);
    stage.business = 'none';
    expect(await done).toEqual(['timer']);
  });

  test('goes from timer to timer, and ends each wait at its time (S3, S4)', async () => {
    const { skipper, clock } = makeStage();
    const fired: number[] = [];
    for (const ms of [30, 10, 20]) clock.setTimer(ms, () => fired.push(ms));
    const seen: [string, number][] = [];
    const note = (name: string) => (): void => void seen.push([name, clock.nowMs()]);
    await Promise.all([
      skipper.advance(25).then(note('advance')),
      skipper.until('twenty', () => (fired.includes(20) ? true : undefined)).then(note('twenty')),
      skipper.advance(5).then(note('first advance')),
    ]);
    expect(seen).toEqual([
      ['first advance', 5],
      ['twenty', 20],
      ['advance', 25],
    ]);
    expect(fired).toEqual([10, 20]);
  });

  test('lets the test go on before time does (S4)', async () => {
    const { skipper, clock } = makeStage();
    const fired: number[] = [];
    for (const ms of [10, 20]) clock.setTimer(ms, () => fired.push(ms));
    const all = skipper.until('both', () => (fired.length === 2 ? true : undefined));
    await skipper.until('one', () => (fired.length === 1 ? true : undefined));
    const nowMs = clock.nowMs();
    // What the test does next happens at the time of what it waited for.
    clock.setTimer(1, () => fired.push(nowMs + 1));
    expect(nowMs).toBe(10);
    await skipper.advance(10);
    await all.catch(() => undefined);
    expect(fired).toEqual([10, 11, 20]);
  });

  test('says when nothing can happen any more, after a last look of those who poll (S5)', async () => {
    const { skipper, clock } = makeStage();
    let looks = 0;
    clock.setTimer(250, () => (looks += 1), true);
    const stuck = rejection(skipper.during('news', (signal) => once(signal, 'abort').then(() => Promise.reject(signal.reason as Error))));
    expect((await stuck).message).toBe('stuck: news');
    expect([looks, clock.nowMs()]).toEqual([1, 1_000]);
    // What is set anew, without anything else happening, is housekeeping.
    const keep = (): unknown => clock.setTimer(900_000, keep);
    keep();
    const kept = rejection(skipper.until('news', () => undefined));
    expect([(await kept).message, clock.nowMs()]).toEqual(['stuck: news', 1_801_000]);
    // What has an end is not stuck.
    const before = clock.nowMs();
    await skipper.advance(5_000);
    expect(clock.nowMs()).toBe(before + 5_000);
    let polled = false;
    clock.setTimer(300, () => (polled = true), true);
    expect(await skipper.until('a poll', () => (polled ? 'polled' : undefined))).toBe('polled');
  });

  test('hands on what a timer throws', async () => {
    const { skipper, clock } = makeStage();
    clock.setTimer(10, () => {
      throw new RangeError('of the timer');
    });
    expect(await rejection(skipper.advance(20))).toMatchObject({ message: 'of the timer' });
    await skipper.advance(10);
    expect(clock.nowMs()).toBe(20);
  });

  test('fails all waits, now and later, for a reason', async () => {
    const { skipper } = makeStage({ business: () => 'real' });
    const failure = new RangeError('pointless');
    const waits = [rejection(skipper.advance(1)), rejection(skipper.until('never', () => undefined))];
    expect(skipper.unheardProblem).toBeNull();
    skipper.fail(failure);
    expect(await Promise.all(waits)).toEqual([failure, failure]);
    expect(await rejection(skipper.advance(1))).toBe(failure);
    expect(skipper.unheardProblem).toBeNull();
    const unheard = makeStage();
    unheard.skipper.fail(failure);
    expect(unheard.skipper.unheardProblem).toBe(failure);
  });

  test('says when a test takes long, by real time and once', async () => {
    let onSlow = (): void => undefined;
    const happened = new Promise<void>((resolve) => {
      onSlow = resolve;
    });
    const heard: (readonly string[])[] = [];
    const { skipper } = makeStage({
      business: () => 'real',
      slowMs: 1,
      onSlow: (waits) => {
        heard.push(waits);
        onSlow();
      },
    });
    const waits = [rejection(skipper.until('what never comes', () => undefined)), rejection(skipper.advance(1))];
    await happened;
    skipper.fail(new RangeError('enough'));
    await Promise.all(waits);
    expect(heard).toEqual([['what never comes', '1 ms to pass']]);
  });
});

test('an activity that takes long and why time stands still are named in a warning', async () => {
  const server = await listen();
  const runtime = await createTestRuntime({
    orchestrations: [raced],
    activities: [defineActivity('work', async () => await once(server, 'connection').then(() => 'connected'))],
  });
  onTestFinished(() => runtime.shutdown());
  const warned = once(process, 'warning') as Promise<[Error & { readonly code: string }]>;
  const result = (await runtime.start(raced)).result();
  const [warning] = await warned;
  expect(warning).toMatchObject({ code: 'DURALOOM_TEST_SLOW', message: expect.stringContaining("'work' of 'raced-1'") as string });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  expect(await result).toBe('connected');
});
