// Poison: what keeps failing is quarantined, its family is told, the rest goes on, an operator resumes or terminates it. Code that no runtime has
// is waited for; it poisons nothing.
//
// Covered elsewhere:
// | case                                                                        | where                                                 |
// | --------------------------------------------------------------------------- | ----------------------------------------------------- |
// | attempts by message, over abandon and expiry; what a quarantine stores      | src/conformance/cases-order.ts, cases-reading.ts    |
// | turns that never end, kill their thread, or whose history was damaged       | tests/integration/misbehaviour.test.ts, bad-input.test.ts |
// | activities that kill their thread or are not registered                     | tests/integration/misbehaviour.test.ts, bad-input.test.ts |
// | the formula of the back-off                                                 | tests/integration/bad-input.test.ts                   |
import { defineActivity, defineOrchestration, type InstanceHandle, type OrchestrationContext } from 'duraloom';
import { toNondeterminism } from 'duraloom/views';
import { describe, expect, test } from 'vitest';
import { PATIENCE, rejection, stage } from '../support/integration-stage.ts';
import { causeOf, codeOf, describeInHouses, Gate, type House } from './fixtures/house.ts';

/** Code that changes with a switch, as a bad deployment does: it waits for 'go', or, broken, for something else. */
class Release {
  isBroken = false;

  async wait(ctx: OrchestrationContext): Promise<unknown> {
    return await ctx.waitForEvent(this.isBroken ? 'something else' : 'go');
  }
}

/** Runs an instance to its wait, breaks its code, and lets it find out. */
async function breakIn(house: House, release: Release, handle: InstanceHandle): Promise<void> {
  await house.log.message('waiting', handle.instanceId);
  release.isBroken = true;
  await house.restart();
  await handle.raiseEvent('go', 'went');
}

async function isQuarantined(handle: InstanceHandle): Promise<Error & { readonly cause?: unknown }> {
  const error = await rejection(handle.result({ timeout: PATIENCE }));
  expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
  return error;
}

describeInHouses('an instance whose code does not fit its history', (house) => {
  const waitsIn = (release: Release) => async (ctx: OrchestrationContext) => {
    ctx.log.info('waiting');
    return await release.wait(ctx);
  };

  test('is quarantined with the reason, and resumed when the code is mended', async () => {
    const release = new Release();
    const handle = await house.play(waitsIn(release));
    await breakIn(house, release, handle);
    const error = await isQuarantined(handle);
    expect(error.cause).toMatchObject({ code: 'NONDETERMINISM' });
    const state = await handle.state();
    expect(state).toMatchObject({ status: 'Quarantined', error: { code: 'NONDETERMINISM' } });
    // Both sides and the place have crossed thread and store as data.
    expect(toNondeterminism(state.error, await house.client.readHistory(handle.instanceId))).toMatchObject({
      recorded: 'EventAwaited {name: "go"}',
      emitted: 'EventAwaited {name: "something else"}',
      location: { file: expect.stringContaining('quarantine.test.ts') as unknown },
    });
    expect((await house.client.listInstances({ status: 'Quarantined' })).instances.map(({ instanceId }) => instanceId)).toContain(
      handle.instanceId,
    );
    release.isBroken = false;
    expect(await handle.resume()).toEqual({ done: true });
    expect(await handle.result({ timeout: PATIENCE })).toBe('went');
  });

  test('goes back into quarantine when it is resumed too early', async () => {
    const release = new Release();
    const handle = await house.play(waitsIn(release));
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    await handle.resume();
    await isQuarantined(handle);
    release.isBroken = false;
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('went');
  });

  test('may be terminated instead', async () => {
    const release = new Release();
    const handle = await house.play(waitsIn(release));
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    await handle.terminate('given up');
    expect(await causeOf(handle)).toMatchObject({ message: 'given up' });
  });

  test('harms no other', async () => {
    const release = new Release();
    const broken = await Promise.all(Array.from({ length: 3 }, () => house.play(waitsIn(release))));
    const sound = await Promise.all(Array.from({ length: 10 }, () => house.play((ctx) => ctx.waitForEvent('go'))));
    for (const handle of broken) await house.log.message('waiting', handle.instanceId);
    release.isBroken = true;
    await house.restart();
    for (const handle of [...broken, ...sound]) await handle.raiseEvent('go', 'went');
    for (const handle of sound) expect(await handle.result({ timeout: PATIENCE })).toBe('went');
    for (const handle of broken) await isQuarantined(handle);
  });

  test('keeps what is sent to it meanwhile', async () => {
    const release = new Release();
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      return [await release.wait(ctx), await ctx.waitForEvent('later')];
    });
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    expect(await handle.raiseEvent('later', 'kept')).toMatchObject({ delivered: true });
    release.isBroken = false;
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['went', 'kept']);
  });

  test('is cancelled after it was resumed, when that was asked for meanwhile', async () => {
    const release = new Release();
    const handle = await house.play(async (ctx) => {
      ctx.log.info('waiting');
      await release.wait(ctx);
      await ctx.waitForEvent('never');
    });
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    await handle.cancel('asked in quarantine');
    release.isBroken = false;
    await handle.resume();
    expect(await causeOf(handle)).toMatchObject({ code: 'CANCELLED', message: 'asked in quarantine' });
  });

  test('tells waits for values and statuses', async () => {
    const release = new Release();
    const handle = await house.play(waitsIn(release));
    await house.log.message('waiting', handle.instanceId);
    const value = rejection(handle.waitForValue('key', { timeout: PATIENCE }));
    const status = handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await breakIn(house, release, handle);
    expect(await value).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    expect(await status).toMatchObject({ status: 'Quarantined' });
    await handle.terminate();
  });

  test('cannot be started anew without being terminated, nor replaced as if it had ended', async () => {
    const release = new Release();
    const handle = await house.play(waitsIn(release));
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    const start = (onExisting: 'fail' | 'replaceTerminal' | 'terminateExisting') =>
      house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting });
    expect(await rejection(start('fail'))).toMatchObject({ code: 'INSTANCE_EXISTS' });
    expect(await rejection(start('replaceTerminal'))).toMatchObject({ code: 'INSTANCE_EXISTS' });
    release.isBroken = false;
    const again = await start('terminateExisting');
    await again.raiseEvent('go', 'anew');
    expect(await again.result({ timeout: PATIENCE })).toBe('anew');
  });
});

describeInHouses('the family of a quarantined instance', (house) => {
  test('hears of it: the parent by an error that it can handle', async () => {
    const release = new Release();
    const child = house.cast(house.newId(), async (ctx) => {
      ctx.log.info('waiting');
      return await release.wait(ctx);
    });
    const handle = await house.play(async (ctx) => {
      try {
        return await ctx.scheduleSubOrchestration('play', undefined, { instanceId: child });
      } catch (error) {
        return [codeOf(error), await ctx.scheduleTimer(1).then(() => 'gone on')];
      }
    });
    await breakIn(house, release, house.client.getHandle(child));
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['INSTANCE_QUARANTINED', 'gone on']);
    release.isBroken = false;
    await house.client.resume(child);
    expect(await house.client.waitForResult(child, { timeout: PATIENCE })).toBe('went');
  });

  test('is not bothered again when the child that was resumed ends', async () => {
    const release = new Release();
    const child = house.cast(house.newId(), async (ctx) => {
      ctx.log.info('waiting');
      return await release.wait(ctx);
    });
    const handle = await house.play(async (ctx) => {
      const code = await ctx.scheduleSubOrchestration('play', undefined, { instanceId: child }).catch(codeOf);
      ctx.setCustomStatus(code);
      return [code, await ctx.waitForEvent('end')];
    });
    await breakIn(house, release, house.client.getHandle(child));
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    release.isBroken = false;
    await house.client.resume(child);
    expect(await house.client.waitForResult(child, { timeout: PATIENCE })).toBe('went');
    await handle.raiseEvent('end', 'undisturbed');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['INSTANCE_QUARANTINED', 'undisturbed']);
  });

  test('goes up a chain: the grandparent fails by the same code', async () => {
    const release = new Release();
    const child = house.cast(house.newId(), async (ctx) => {
      ctx.log.info('waiting');
      return await release.wait(ctx);
    });
    const parent = house.cast(house.newId(), (ctx) => ctx.scheduleSubOrchestration('play', undefined, { instanceId: child }));
    const handle = await house.play((ctx) => ctx.scheduleSubOrchestration('play', undefined, { instanceId: parent }));
    await breakIn(house, release, house.client.getHandle(child));
    expect(await causeOf(handle)).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    expect(await house.client.getState(parent)).toMatchObject({ status: 'Failed' });
    await house.client.terminate(child);
  });

  test('gets what its close policies say: children of a quarantined parent', async () => {
    const release = new Release();
    const ids = { cancel: house.newId(), abandon: house.newId(), terminate: house.newId() };
    for (const id of Object.values(ids)) {
      house.cast(id, async (ctx) => {
        ctx.log.info('child waits');
        return await ctx.waitForEvent('end');
      });
    }
    const handle = await house.play(async (ctx) => {
      for (const policy of ['cancel', 'abandon', 'terminate'] as const) {
        void ctx.scheduleSubOrchestration('play', undefined, { instanceId: ids[policy], onParentClose: policy });
      }
      ctx.log.info('waiting');
      return await release.wait(ctx);
    });
    for (const id of Object.values(ids)) await house.log.message('child waits', id);
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    expect(await rejection(house.client.waitForResult(ids.cancel, { timeout: PATIENCE }))).toMatchObject({
      code: 'ORCHESTRATION_CANCELLED',
    });
    expect(await rejection(house.client.waitForResult(ids.terminate, { timeout: PATIENCE }))).toMatchObject({
      code: 'ORCHESTRATION_TERMINATED',
    });
    await house.client.raiseEvent(ids.abandon, 'end', 'alone');
    expect(await house.client.waitForResult(ids.abandon, { timeout: PATIENCE })).toBe('alone');
    release.isBroken = false;
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('went');
  });

  test('does not include its activities: one that runs goes on, and its result is there when the instance is resumed', async () => {
    await house.restart({ tags: 'none' });
    const worker = await house.startWorker();
    const release = new Release();
    const [running, gate] = [new Gate(), new Gate()];
    const deed = house.deed(async () => {
      running.open();
      await gate.opened;
      return 'worked on';
    });
    const handle = await house.play(async (ctx) => {
      const work = ctx.scheduleActivity('perform', deed);
      ctx.log.info('waiting');
      return [await release.wait(ctx), await work];
    });
    await running.opened;
    await breakIn(house, release, handle);
    await isQuarantined(handle);
    gate.open();
    await expect.poll(() => handle.listActivities(), { timeout: 10_000 }).toEqual([]);
    release.isBroken = false;
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['went', 'worked on']);
    await worker.shutdown();
    await house.restart();
  });
});

const attempted = defineOrchestration('attempted', async (ctx) => await ctx.scheduleActivity<string>('notYetThere', undefined));
const noted = defineActivity('notYetThere', () => 'there now');
const v1 = defineOrchestration('upgrades', async (ctx) => {
  ctx.setCustomStatus('on 1');
  await ctx.waitForEvent('next');
  return await ctx.continueAsNew(undefined, { version: '2.0.0' });
});
const v2 = defineOrchestration('upgrades', (ctx) => `on ${ctx.version}`, { version: '2.0.0' });

describeInHouses('code that no runtime has', (house) => {
  test('is waited for: an orchestration stays Pending until it is deployed', async () => {
    const handle = await house.client.startOrchestration('u1', 'upgrades', undefined, { version: '^2.0' });
    await house.result((ctx) => ctx.scheduleTimer(5));
    expect(await handle.state()).toMatchObject({ status: 'Pending', executionId: 1 });
    await house.restart({ orchestrations: [v1, v2] });
    expect(await handle.result({ timeout: PATIENCE })).toBe('on 2.0.0');
    await house.restart();
  });

  test('is waited for by an execution that continues on a version to come', async () => {
    await house.restart({ orchestrations: [v1] });
    const handle = await house.client.startOrchestration('u2', 'upgrades', undefined, { version: '1.0.0' });
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await handle.raiseEvent('next');
    await expect.poll(() => handle.state(), { timeout: 10_000 }).toMatchObject({ executionId: 2, status: 'Running' });
    await house.restart({ orchestrations: [v2] });
    expect(await handle.result({ timeout: PATIENCE })).toBe('on 2.0.0');
    await house.restart();
  });

  test('of a child is waited for, and its parent with it', async () => {
    const handle = await house.play((ctx) => ctx.scheduleSubOrchestration('upgrades', undefined, { version: '2.0.0' }));
    await expect
      .poll(async () => (await house.client.listInstances({ parent: handle.instanceId })).instances, { timeout: 10_000 })
      .toMatchObject([{ status: 'Pending' }]);
    const other = await house.startRuntime({ orchestrations: [v2], tags: 'none' });
    expect(await handle.result({ timeout: PATIENCE })).toBe('on 2.0.0');
    await other.shutdown();
  });

  test('may be cancelled or terminated while it is waited for', async () => {
    const [cancelled, terminated] = [
      await house.client.startOrchestration('u3', 'nobodyHasThis'),
      await house.client.startOrchestration('u4', 'nobodyHasThis'),
    ];
    expect(await cancelled.cancel()).toEqual({ delivered: true });
    await terminated.terminate();
    expect(await terminated.state()).toMatchObject({ status: 'Terminated' });
    expect(await cancelled.state()).toMatchObject({ status: 'Pending' });
    await cancelled.terminate();
  });

  test('of an activity is waited for as long as attempts last, then it fails by TOO_MANY_ATTEMPTS', async () => {
    await house.restart({ orchestrations: [attempted], maxAttempts: 3, retryBackoff: { initialMs: 5, maximumMs: 10 } });
    const failing = await house.client.startOrchestration('a1', 'attempted');
    expect(await causeOf(failing)).toMatchObject({ code: 'TOO_MANY_ATTEMPTS', cause: { code: 'ACTIVITY_NOT_REGISTERED' } });
    await house.restart({ orchestrations: [attempted], maxAttempts: 1_000, retryBackoff: { initialMs: 20, maximumMs: 50 } });
    const waiting = await house.client.startOrchestration('a2', 'attempted');
    await expect.poll(async () => (await waiting.listActivities())[0]?.attempt, { timeout: 10_000 }).toBeGreaterThan(0);
    await house.restart({ orchestrations: [attempted], activities: [noted], maxAttempts: 1_000 });
    expect(await waiting.result({ timeout: PATIENCE })).toBe('there now');
    await house.restart();
  });
});

describe('over threads', () => {
  const modules = {
    orchestrations: new URL('./fixtures/poison-definitions.ts', import.meta.url),
    activities: new URL('./fixtures/poison-definitions.ts', import.meta.url),
  };

  test('a child that kills its thread is quarantined, its parent is told, its cousins go on', async () => {
    const { client } = await stage().open(modules);
    const handle = await client.startOrchestration('family', 'poisonedFamily');
    expect(await handle.result({ timeout: PATIENCE })).toEqual({
      killer: 'INSTANCE_QUARANTINED',
      looper: 'INSTANCE_QUARANTINED',
      activity: 'TOO_MANY_ATTEMPTS',
      sound: [2, 4, 6],
    });
    const quarantined = (await client.listInstances({ status: 'Quarantined' })).instances;
    expect(quarantined.map(({ name, error }) => `${name}: ${error?.code ?? 'none'}`).toSorted()).toEqual([
      'killsThread: TOO_MANY_ATTEMPTS',
      'loops: TOO_MANY_ATTEMPTS',
    ]);
  });
});
