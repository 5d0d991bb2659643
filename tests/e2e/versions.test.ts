// Versions of one name, ranges and policies, patches inside a version, mixed fleets.
//
// Covered elsewhere:
// | case                                                               | where                                                     |
// | ------------------------------------------------------------------ | --------------------------------------------------------- |
// | `patched` and `deprecatePatch`, event by event                     | tests/replay/deterministic-helpers.test.ts, nondeterminism.test.ts |
// | duplicates of a version, versions that are none                    | tests/replay/definitions.test.ts, registration.test.ts    |
// | which instances a fetch gives to whom                              | src/conformance/cases-capability.ts                        |
// | a running instance stays on its version, also cold                 | tests/integration/traps.test.ts (T24)                     |
// | code that no runtime has                                           | quarantine.test.ts                                        |
import { defineOrchestration, type OrchestrationContext, type OrchestrationDefinition, type RuntimeOptions } from 'duraloom';
import { expect, test } from 'vitest';
import { PATIENCE, rejection } from '../support/integration-stage.ts';
import { describeInHouses, ofKind, type House } from './fixtures/house.ts';

/** Tells its version. */
function versions(name: string, ...list: readonly string[]): readonly OrchestrationDefinition[] {
  return list.map((version) => defineOrchestration(name, (ctx) => ctx.version, { version }));
}

const told = versions('told', '1.0.0', '1.2.0', '1.10.0', '2.0.0');

/** Goes round and round until it is told to stop. */
const rounds = (version: string): OrchestrationDefinition =>
  defineOrchestration(
    'rounds',
    async (ctx, seen: readonly string[]): Promise<readonly string[]> => {
      const now = [...seen, ctx.version];
      ctx.setCustomStatus(now);
      const next = await ctx.waitForEvent<'stop' | { readonly version: string } | undefined>('next');
      if (next === 'stop') return [...now, `ended on ${ctx.version}`];
      return await ctx.continueAsNew(now, next);
    },
    { version },
  );

const parentOf = (version?: string): OrchestrationDefinition =>
  defineOrchestration(`parent of ${version ?? 'any'}`, (ctx) =>
    ctx.scheduleSubOrchestration('told', undefined, version === undefined ? {} : { version }),
  );

/** Runs instances under a set of definitions for one test. */
async function withDefinitions(
  house: House,
  orchestrations: readonly OrchestrationDefinition[],
  options: Partial<RuntimeOptions>,
  run: () => Promise<void>,
): Promise<void> {
  await house.restart({ orchestrations, ...options });
  try {
    await run();
  } finally {
    await house.restart();
  }
}

describeInHouses(
  'the version of a start',
  (house) => {
    const start = async (version?: string): Promise<unknown> => {
      const options = version === undefined ? {} : { version };
      const handle = await house.client.startOrchestration(house.newId(), 'told', undefined, options);
      return await handle.result({ timeout: PATIENCE });
    };

    test.each([
      [undefined, '2.0.0'],
      ['1.0.0', '1.0.0'],
      ['1.2.0', '1.2.0'],
      ['^1.0', '1.10.0'],
      ['~1.2', '1.2.0'],
      ['<2', '1.10.0'],
      ['1.x', '1.10.0'],
      ['>=1.1 <1.5', '1.2.0'],
      ['*', '2.0.0'],
    ])('%s is %s', async (wanted, expected) => {
      expect(await start(wanted)).toBe(expected);
    });

    test('that asks for none is by the policy of the runtime', async () => {
      for (const [policy, expected] of [
        ['latest', '2.0.0'],
        ['1.2.0', '1.2.0'],
        ['^1', '1.10.0'],
      ] as const) {
        await house.restart({ versionPolicy: { told: policy } });
        expect(await start()).toBe(expected);
        expect(await start('2.0.0')).toBe('2.0.0');
      }
      await house.restart();
    });

    test('of a child is what its parent asks for, else by the policy', async () => {
      const ask = async (name: string): Promise<unknown> =>
        await (await house.client.startOrchestration(house.newId(), name)).result({ timeout: PATIENCE });
      expect(await ask('parent of any')).toBe('2.0.0');
      expect(await ask('parent of 1.2.0')).toBe('1.2.0');
      expect(await ask('parent of ^1')).toBe('1.10.0');
      await house.restart({ versionPolicy: { told: '~1.2' } });
      expect(await ask('parent of any')).toBe('1.2.0');
      await house.restart();
    });

    test('of a detached start is what was asked for, else the latest', async () => {
      const [plain, exact] = [house.newId(), house.newId()];
      await house.result((ctx) => {
        ctx.startOrchestration('told', plain);
        ctx.startOrchestration('told', exact, undefined, { version: '1.0.0' });
      });
      expect(await house.client.waitForResult(plain, { timeout: PATIENCE })).toBe('2.0.0');
      expect(await house.client.waitForResult(exact, { timeout: PATIENCE })).toBe('1.0.0');
    });

    test('is in the state and the history of the instance', async () => {
      const handle = await house.client.startOrchestration(house.newId(), 'told', undefined, { version: '^1' });
      expect(await handle.state()).toMatchObject({ version: '^1' });
      await handle.result({ timeout: PATIENCE });
      expect(await handle.state()).toMatchObject({ version: '1.10.0' });
      expect(ofKind(await handle.readHistory(), 'OrchestrationStarted')).toMatchObject([{ version: '1.10.0' }]);
    });

    test('is refused when it is no text', async () => {
      expect(await rejection(house.client.startOrchestration('v', 'told', undefined, { version: '' }))).toMatchObject({
        code: 'ARGUMENT_INVALID',
      });
    });
  },
  { definitions: [...told, parentOf(), parentOf('1.2.0'), parentOf('^1')] },
);

describeInHouses('a running instance', (house) => {
  const seen = async (id: string, afterVersion: number): Promise<unknown> =>
    (await house.client.waitForCustomStatus(id, { afterVersion, timeout: PATIENCE })).customStatus;

  test('stays on its version, and takes the new one at continue-as-new', async () => {
    const id = house.newId();
    await withDefinitions(house, [rounds('1.0.0')], {}, async () => {
      await house.client.startOrchestration(id, 'rounds', []);
      expect(await seen(id, 0)).toEqual(['1.0.0']);
    });
    await withDefinitions(house, [rounds('1.0.0'), rounds('1.1.0')], {}, async () => {
      expect(await house.client.getState(id)).toMatchObject({ version: '1.0.0' });
      await house.client.raiseEvent(id, 'next');
      expect(await seen(id, 1)).toEqual(['1.0.0', '1.1.0']);
    });
    await withDefinitions(house, [rounds('1.1.0'), rounds('2.0.0')], { versionPolicy: { rounds: '^1' } }, async () => {
      await house.client.raiseEvent(id, 'next');
      expect(await seen(id, 2)).toEqual(['1.0.0', '1.1.0', '1.1.0']);
      await house.client.raiseEvent(id, 'next', 'stop');
      expect(await house.client.waitForResult(id, { timeout: PATIENCE })).toEqual(['1.0.0', '1.1.0', '1.1.0', 'ended on 1.1.0']);
    });
  });

  test.each(['a client', 'a parent', 'continue-as-new'] as const)(
    'that was started for a range by %s stays on the version that was chosen',
    async (who) => {
      const id = house.newId();
      const version = '^1.0';
      const starter = defineOrchestration('starter', (ctx, child: string) => {
        void ctx.scheduleSubOrchestration('rounds', [], { instanceId: child, version, onParentClose: 'abandon' });
      });
      await withDefinitions(house, [rounds('1.0.0'), starter], {}, async () => {
        if (who === 'a parent') await (await house.client.startOrchestration(house.newId(), 'starter', id)).result({ timeout: PATIENCE });
        else await house.client.startOrchestration(id, 'rounds', [], { version });
        await seen(id, 0);
        if (who !== 'continue-as-new') return;
        await house.client.raiseEvent(id, 'next', { version });
        await seen(id, 1);
      });
      await withDefinitions(house, [rounds('1.0.0'), rounds('1.1.0')], {}, async () => {
        await house.client.raiseEvent(id, 'next', 'stop');
        expect(await house.client.waitForResult(id, { timeout: PATIENCE })).toContain('ended on 1.0.0');
        expect(await house.client.getState(id)).toMatchObject({ version: '1.0.0' });
      });
    },
  );

  test('asks for a version of the next execution', async () => {
    const hops = (version: string, next: string | null): OrchestrationDefinition =>
      defineOrchestration(
        'hops',
        (ctx, seen: readonly string[]): Promise<readonly string[]> | readonly string[] => {
          const now = [...seen, ctx.version];
          return next === null ? now : ctx.continueAsNew(now, { version: next });
        },
        { version },
      );
    await withDefinitions(house, [hops('1.0.0', '^2'), hops('2.0.0', '1.5.0'), hops('1.5.0', null)], {}, async () => {
      const handle = await house.client.startOrchestration(house.newId(), 'hops', [], { version: '1.0.0' });
      expect(await handle.result({ timeout: PATIENCE })).toEqual(['1.0.0', '2.0.0', '1.5.0']);
    });
  });

  test('is left alone by a runtime that does not have its version', async () => {
    const id = house.newId();
    await withDefinitions(house, [rounds('1.0.0')], {}, async () => {
      await house.client.startOrchestration(id, 'rounds', []);
      await seen(id, 0);
    });
    await withDefinitions(house, [rounds('2.0.0')], {}, async () => {
      await house.client.raiseEvent(id, 'next', 'stop');
      const other = await house.client.startOrchestration(house.newId(), 'rounds', []);
      await other.raiseEvent('next', 'stop');
      expect(await other.result({ timeout: PATIENCE })).toEqual(['2.0.0', 'ended on 2.0.0']);
      expect(await house.client.getState(id)).toMatchObject({ status: 'Running', version: '1.0.0', customStatusVersion: 1 });
    });
    await withDefinitions(house, [rounds('1.0.0'), rounds('2.0.0')], {}, async () => {
      expect(await house.client.waitForResult(id, { timeout: PATIENCE })).toEqual(['1.0.0', 'ended on 1.0.0']);
    });
  });

  test('that began before a change goes the old way, one that begins after it the new way', async () => {
    let isChanged = false;
    const code = async (ctx: OrchestrationContext): Promise<unknown> => {
      const steps: string[] = [];
      ctx.log.info('waiting');
      if (isChanged && ctx.patched('greeting')) steps.push('new greeting');
      await ctx.waitForEvent('go');
      if (isChanged && ctx.patched('farewell')) steps.push('new farewell');
      await ctx.scheduleTimer(1);
      if (isChanged && ctx.patched('greeting')) steps.push('greeting again');
      return steps;
    };
    const old = await house.play(code);
    await house.log.message('waiting', old.instanceId);
    isChanged = true;
    await house.restart();
    const fresh = await house.play(code);
    for (const handle of [old, fresh]) await handle.raiseEvent('go');
    expect(await fresh.result({ timeout: PATIENCE })).toEqual(['new greeting', 'new farewell', 'greeting again']);
    expect(await old.result({ timeout: PATIENCE })).toEqual(['new farewell']);
  });

  test('gets the same answer of a patch before and after a restart, in a loop and in branches', async () => {
    const handle = await house.play(async (ctx) => {
      const answers: boolean[] = [];
      for (let round = 0; round < 3; round += 1) {
        answers.push(ctx.patched('loop'), ctx.patched(`round ${round}`));
        ctx.setCustomStatus(round);
        await ctx.waitForEvent('go');
      }
      return answers;
    });
    for (const round of [0, 1, 2]) {
      await handle.waitForCustomStatus({ afterVersion: round, timeout: PATIENCE });
      await house.restart();
      await handle.raiseEvent('go');
    }
    expect(await handle.result({ timeout: PATIENCE })).toEqual([true, true, true, true, true, true]);
    expect(ofKind(await handle.readHistory(), 'Patched').map(({ patchId }) => patchId)).toEqual(['loop', 'round 0', 'round 1', 'round 2']);
  });

  test('with the mark of a patch may lose it again by deprecatePatch', async () => {
    let isOver = false;
    const handle = await house.play(async (ctx) => {
      if (isOver) ctx.deprecatePatch('change');
      else if (!ctx.patched('change')) throw new Error('it is new here');
      ctx.log.info('waiting');
      return await ctx.waitForEvent('go');
    });
    await house.log.message('waiting', handle.instanceId);
    isOver = true;
    await house.restart();
    await handle.raiseEvent('go', 'went');
    expect(await handle.result({ timeout: PATIENCE })).toBe('went');
  });
});

describeInHouses('a fleet of old and new runtimes', (house) => {
  test('gives every instance to one that has its version', async () => {
    const starts = Array.from({ length: 12 }, (_, index) => ['1.0.0', '2.0.0'][index % 2] ?? '');
    const older = await house.startRuntime({ orchestrations: versions('fleet', '1.0.0') });
    const newer = await house.startRuntime({ orchestrations: versions('fleet', '2.0.0') });
    const handles = await Promise.all(
      starts.map((version) => house.client.startOrchestration(house.newId(), 'fleet', undefined, { version })),
    );
    expect(await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })))).toEqual(starts);
    expect([older.orchestrations, newer.orchestrations].map(([first]) => first?.version)).toEqual(['1.0.0', '2.0.0']);
    await Promise.all([older.shutdown(), newer.shutdown()]);
  });

  test('takes an eternal instance to the new version as it rolls', async () => {
    const id = house.newId();
    const older = await house.startRuntime({ orchestrations: [rounds('1.0.0')] });
    await house.client.startOrchestration(id, 'rounds', []);
    await house.client.waitForCustomStatus(id, { afterVersion: 0, timeout: PATIENCE });
    const newer = await house.startRuntime({ orchestrations: [rounds('1.0.0'), rounds('2.0.0')] });
    await older.shutdown();
    await house.client.raiseEvent(id, 'next');
    await house.client.waitForCustomStatus(id, { afterVersion: 1, timeout: PATIENCE });
    await house.client.raiseEvent(id, 'next', 'stop');
    expect(await house.client.waitForResult(id, { timeout: PATIENCE })).toEqual(['1.0.0', '2.0.0', 'ended on 2.0.0']);
    await newer.shutdown();
  });

  test('tells clients who has what', async () => {
    const runtime = await house.startRuntime({ orchestrations: versions('listed', '1.0.0', '3.0.0'), nodeId: house.newId() });
    const infos = await house.client.listRuntimes();
    const info = infos.find(({ runtimeId }) => runtimeId === runtime.runtimeId);
    expect(info?.orchestrations.map(({ name, version }) => `${name}@${version}`).toSorted()).toEqual(['listed@1.0.0', 'listed@3.0.0']);
    await runtime.shutdown();
    expect((await house.client.listRuntimes()).map(({ runtimeId }) => runtimeId)).not.toContain(runtime.runtimeId);
  });
});
