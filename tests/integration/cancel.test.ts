// Cancellation: of orchestrations, their children and activities, and of what lost a race.
import { Client } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { fixture, modules, PATIENCE, quick, rejection, shareRuntime, stage } from '../support/integration-stage.ts';

const orchestrations = [modules.orchestrations, fixture('trap-orchestrations.ts')];

/** Leases that no test waits for: what reaches an activity was pushed to it. */
const longLeases = { activityLockMs: 600_000, orchestrationLockMs: 600_000 };

describe('a cancelled orchestration', () => {
  const logger = new LogBook();
  const shared = shareRuntime({ orchestrations, logger, ...longLeases });

  test('takes its children and their running activity along, by message', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('tower', 'tower', { level: 3, key: 'tower' });
    const holding = await logger.waitFor(({ message, fields }) => message === 'holding' && fields['key'] === 'tower');
    const lowest = String(holding[0]?.fields['instanceId']);
    await client.cancel('tower', 'no longer needed');
    await logger.waitFor(({ message, fields }) => message === 'aborted' && fields['key'] === 'tower');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
      code: 'ORCHESTRATION_CANCELLED',
      cause: { code: 'CANCELLED', message: 'no longer needed' },
    });
    const states = (await client.listInstances({ orderBy: 'id' })).instances;
    const levels = states.filter(({ instanceId }) => instanceId.startsWith('tower'));
    expect(levels.map(({ status }) => status)).toEqual(['Cancelled', 'Cancelled', 'Cancelled', 'Cancelled']);
    expect(levels.at(-1)?.instanceId).toBe(lowest);
  });

  test('can be cancelled again without effect', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('twice', 'cleansUp');
    await client.waitForCustomStatus('twice', { afterVersion: 0, timeout: PATIENCE });
    await Promise.all([client.cancel('twice', 'first'), client.cancel('twice', 'second')]);
    expect((await rejection(handle.result({ timeout: PATIENCE }))).cause).toMatchObject({ message: 'first' });
    expect(await client.cancel('twice', 'third')).toEqual({ delivered: false });
    const kinds = (await client.readHistory('twice')).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'CancelRequested')).toHaveLength(1);
  });

  test('may clean up in a catch block', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('cleansUp', 'cleansUp');
    await client.waitForCustomStatus('cleansUp', { afterVersion: 0, timeout: PATIENCE });
    await client.cancel('cleansUp');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', customStatus: 'cleaned up' });
  });

  test('ends Failed when its clean-up fails', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('failsToCancel', 'failsToCancel');
    await client.waitForCustomStatus('failsToCancel', { afterVersion: 0, timeout: PATIENCE });
    await client.cancel('failsToCancel');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({
      code: 'ORCHESTRATION_FAILED',
      cause: { name: 'RangeError', message: 'clean-up failed' },
    });
  });

  test('runs no activity when it is cancelled before its first turn', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const handle = await client.startOrchestration('early', 'call', { activity: 'hold', input: 'early' });
    expect(await client.cancel('early')).toEqual({ delivered: true });
    const book = new LogBook();
    await stand.startRuntime({ provider, ...modules, ...quick, logger: book });
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    expect(await (await client.startOrchestration('after', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect(book.lines.filter(({ message }) => message === 'holding')).toEqual([]);
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });
});

describe('what nobody waits for any more', () => {
  const logger = new LogBook();
  const shared = shareRuntime({ orchestrations, logger, ...longLeases });
  const told = (message: string, key: string): Promise<unknown> =>
    logger.waitFor((line) => line.message === message && line.fields['key'] === key);

  test('an activity that lost a race is aborted while its orchestration goes on', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('loser', 'raceLoser', 'loser');
    await told('holding', 'loser');
    await client.raiseEvent('loser', 'decide');
    await told('aborted', 'loser');
    await client.raiseEvent('loser', 'end');
    expect(await handle.result({ timeout: PATIENCE })).toBe('decided');
  });

  test('an activity that was not awaited is aborted when its orchestration ends', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('unawaited', 'abandonsActivity', 'unawaited');
    await told('holding', 'unawaited');
    await client.raiseEvent('unawaited', 'end');
    await told('aborted', 'unawaited');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ended');
  });

  test('activities, timers and children are given up when their orchestration continues as new', async () => {
    const { client, provider } = shared;
    const handle = await client.startOrchestration('renewed', 'abandonsAtContinue', 'renewed');
    await told('holding', 'renewed');
    await client.waitForCustomStatus('renewed-child', { afterVersion: 0, timeout: PATIENCE });
    await client.raiseEvent('renewed', 'continue');
    await told('aborted', 'renewed');
    expect(await rejection(client.getHandle('renewed-child').result({ timeout: PATIENCE }))).toMatchObject({
      code: 'ORCHESTRATION_CANCELLED',
    });
    await client.raiseEvent('renewed', 'end', 'ended');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ended');
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });

  test('a child that is given up in the turn that starts it does not run on', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('instant', 'startAndCancelChild', 'instant-child');
    await client.raiseEvent('instant', 'second');
    await client.raiseEvent('instant', 'first');
    expect(await handle.result({ timeout: PATIENCE })).toBe('event');
    // Its end if it gets the request, its first status if it does not.
    const child = await client.waitForCustomStatus('instant-child', { afterVersion: 0, timeout: PATIENCE });
    const state =
      child.status === 'Running' ? await client.waitForCustomStatus('instant-child', { afterVersion: 1, timeout: '1s' }) : child;
    expect(state.status).toBe('Cancelled');
  });

  test('an activity that is given up in the turn that schedules it never runs', async () => {
    const { client, provider } = shared;
    const handle = await client.startOrchestration('unborn', 'startAndCancelActivity', 'unborn');
    await client.raiseEvent('unborn', 'second');
    await client.raiseEvent('unborn', 'first');
    await client.waitForCustomStatus('unborn', { afterVersion: 0, timeout: PATIENCE });
    expect(await provider.readQueueDepths()).toMatchObject({ workItems: 0 });
    await client.raiseEvent('unborn', 'end', 'ended');
    expect(await handle.result({ timeout: PATIENCE })).toBe('ended');
    expect(logger.lines.filter(({ fields }) => fields['key'] === 'unborn')).toEqual([]);
  });

  test('an activity that waits for a free slot never starts', async () => {
    const stand = stage();
    const book = new LogBook();
    const { client, provider } = await stand.open({ orchestrations, logger: book, activitiesPerThread: 1, ...longLeases });
    const first = await client.startOrchestration('first', 'call', { activity: 'hold', input: 'first' });
    await book.message('holding', 'first');
    const second = await client.startOrchestration('second', 'raceLoser', 'second');
    await client.raiseEvent('second', 'decide');
    await client.waitForCustomStatus('second', { afterVersion: 0, timeout: PATIENCE });
    await client.raiseEvent('second', 'end');
    expect(await second.result({ timeout: PATIENCE })).toBe('decided');
    release('first');
    await first.result({ timeout: PATIENCE });
    expect(await (await client.startOrchestration('third', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect(book.lines.filter(({ message }) => message === 'holding').map(({ fields }) => fields['key'])).toEqual(['first']);
    expect(await provider.readQueueDepths()).toEqual({ orchestratorMessages: 0, workItems: 0 });
  });

  test('a timer that lost leaves the queue', async () => {
    const { client, provider } = shared;
    const before = await provider.readQueueDepths();
    const handle = await client.startOrchestration('timer', 'cancelledTimer');
    await client.raiseEvent('timer', 'go');
    await client.waitForCustomStatus('timer', { afterVersion: 0, timeout: PATIENCE });
    expect(await provider.readQueueDepths()).toEqual(before);
    await client.raiseEvent('timer', 'end', 1);
    expect(await handle.result({ timeout: PATIENCE })).toBe(1);
  });

  test('a timer leaves the queue when its orchestration is cancelled', async () => {
    const { client, provider } = shared;
    const before = await provider.readQueueDepths();
    const handle = await client.startOrchestration('sleeper', 'sleeper', 86_400_000);
    await client.waitForCustomStatus('sleeper', { afterVersion: 0, timeout: PATIENCE });
    expect((await provider.readQueueDepths()).orchestratorMessages).toBe(before.orchestratorMessages + 1);
    await client.cancel('sleeper');
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    expect(await provider.readQueueDepths()).toEqual(before);
  });
});
