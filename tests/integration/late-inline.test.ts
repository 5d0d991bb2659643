// An inline instance that goes on between its turns: what main does about it must not run as code of that instance, where time stands still and
// ctx calls are refused.
import { Client, defineOrchestration, Runtime } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { createTestRuntime } from 'duraloom/testing';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LogBook } from '../support/integration-log.ts';
import { PATIENCE, rejection } from '../support/integration-stage.ts';

const calls = defineOrchestration('calls', async (ctx) => {
  const never = ctx.waitForEvent('never');
  void nextLoop()
    .then(() => ctx.scheduleTimer(1))
    .catch(() => undefined);
  await never;
});

const rejects = defineOrchestration('rejects', async (ctx) => {
  void nextLoop().then(() => Promise.reject(new RangeError('too late')));
  await ctx.waitForEvent('never');
});

describe('inline, an instance that goes on between its turns', () => {
  test.each([
    ['by a call', calls],
    ['by a rejection', rejects],
  ])('%s is failed at once, without trouble with the store', async (_, definition) => {
    const logger = new LogBook();
    const runtime = await createTestRuntime({ orchestrations: definition, logger });
    onTestFinished(() => runtime.shutdown());
    const handle = await runtime.start(definition);
    expect(await rejection(handle.result())).toMatchObject({ cause: { code: 'LATE_CALL' } });
    expect(runtime.now).toEqual(new Date('2030-01-01T00:00:00Z'));
    expect(logger.lines.filter(({ level }) => level !== 'debug')).toEqual([]);
  });

  test('is failed on the real clock, too', async () => {
    const provider = new MemoryProvider();
    const logger = new LogBook();
    const runtime = await Runtime.start({ provider, orchestrations: calls, replayThreads: 0, logger });
    onTestFinished(() => runtime.shutdown());
    const handle = await new Client(provider).startOrchestration('late', calls);
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ cause: { code: 'LATE_CALL' } });
    expect(logger.lines.filter(({ level }) => level !== 'debug')).toEqual([]);
  });
});
