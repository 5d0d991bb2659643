// What retention deletes and what it keeps, on real stores in simulated time; the last tests run a whole runtime.
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Client, defineOrchestration, Runtime } from 'duraloom';
import { commit, fetchItems, fetchOne, link, listById, newInstance, nextExecution } from '../../src/conformance/case-kit.ts';
import { RetentionSweeper } from '../../src/main/retention.ts';
import { readRetention, type RetentionOptions } from '../../src/main/retention-options.ts';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import type { OrchestrationAck, Provider } from '../../src/provider/provider.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { isEnded } from '../../src/types/instance.ts';
import { silentLogger, type Logger } from '../../src/types/logger.ts';
import { fcParameters, seeded } from '../support/seed.ts';
import { intercept, type Around } from './troubled-store.ts';

const HOUR_MS = 3_600_000;

const STORES = ['memory', 'sqlite'] as const;

/** In memory, both: a disk takes real time, which simulated time does not wait for. */
async function open(store: (typeof STORES)[number]): Promise<{ readonly provider: Provider; readonly clock: SimulatedClock }> {
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const provider = store === 'memory' ? new MemoryProvider({ clock }) : await SqliteProvider.open(':memory:', { clock });
  onTestFinished(() => provider.close());
  return { provider, clock };
}

type SweepOptions = { readonly registered?: readonly string[]; readonly maxBatches?: number; readonly logger?: Logger };

function sweep(
  provider: Provider,
  clock: SimulatedClock,
  retention: RetentionOptions,
  { registered = [], logger = silentLogger, ...rest }: SweepOptions = {},
): RetentionSweeper {
  const sweeper = new RetentionSweeper({ provider, clock, logger, retention: readRetention(retention), ...rest });
  sweeper.start(registered);
  onTestFinished(() => sweeper.stop());
  return sweeper;
}

async function finish(provider: Provider, instanceId: string, status: OrchestrationAck['status'], name = 'order'): Promise<void> {
  await provider.startInstances([newInstance(instanceId, { name })]);
  await commit(provider, await fetchOne(provider), { status, output: '1' });
}

/** Children of a living instance that have ended. Nothing else is ready. */
async function startFamily(provider: Provider, parentId: string, children: number, name = 'order'): Promise<void> {
  const ids = Array.from({ length: children }, (_, index) => `${parentId}-${index}`);
  await provider.startInstances(ids.map((id) => newInstance(id, { name, parent: link(parentId) })));
  const items = await fetchItems(provider, { maxItems: children });
  expect(items).toHaveLength(children);
  for (const item of items) await commit(provider, item, { status: 'Completed', output: '1' });
}

/** Lets time pass in steps: nothing else stops the clock for a sweep, which is background. */
async function pass(clock: SimulatedClock, ms: number): Promise<void> {
  for (let step = 0; step < 100; step += 1) await clock.advance(Math.ceil(ms / 100));
}

const idsOf = async (provider: Provider): Promise<readonly string[]> => (await listById(provider)).map(({ instanceId }) => instanceId);

describe.each(STORES)('retention on %s', (store) => {
  test('deletes what ended long ago, what failed later, and nothing that lives', async () => {
    const { provider, clock } = await open(store);
    await finish(provider, 'done', 'Completed');
    await finish(provider, 'failed', 'Failed');
    await provider.startInstances([newInstance('living')]);
    sweep(provider, clock, { rules: [{ keepFor: '1h', keepFailedFor: '3h' }], every: '1m' }, { registered: ['order'] });
    await pass(clock, HOUR_MS - 60_000);
    expect(await idsOf(provider)).toEqual(['done', 'failed', 'living']);
    await pass(clock, 3 * 60_000);
    expect(await idsOf(provider)).toEqual(['failed', 'living']);
    await pass(clock, 2 * HOUR_MS);
    expect(await idsOf(provider)).toEqual(['living']);
  });

  test('keeps the newest of a number, for each name by its own rule', async () => {
    const { provider, clock } = await open(store);
    for (let index = 0; index < 60; index += 1) {
      await clock.advance(1);
      await finish(provider, `order-${String(index).padStart(2, '0')}`, 'Completed');
      if (index < 4) await finish(provider, `audit-${index}`, 'Completed', 'audit');
    }
    sweep(provider, clock, { rules: [{ keepLast: 2 }, { name: 'audit', keepLast: 3 }], every: '1s' }, { registered: ['order', 'audit'] });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual(['audit-1', 'audit-2', 'audit-3', 'order-58', 'order-59']);
  });

  test('leaves what a living parent waits for, and takes children along', async () => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('parent')]);
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
    await provider.startInstances([newInstance('child', { parent: link('parent') })]);
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
    sweep(provider, clock, { rules: [{ name: 'order', keepFor: '1s' }], every: '1s' });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual(['child', 'parent']);
    await provider.enqueueMessages([{ instanceId: 'parent', payload: 'go' }]);
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual([]);
  });

  test('prunes executions of those that continue as new', async () => {
    const { provider, clock } = await open(store);
    const sweeper = sweep(provider, clock, { rules: [{ name: 'order', keepExecutions: 2 }], every: '1s' });
    const watched = sweeper.watch(provider);
    await provider.startInstances([newInstance('eternal')]);
    for (let execution = 1; execution <= 5; execution += 1) {
      await commit(watched, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' }, next: nextExecution });
    }
    expect(await provider.listExecutions('eternal')).toHaveLength(6);
    await pass(clock, 5_000);
    expect((await provider.listExecutions('eternal')).map(({ executionId }) => executionId)).toEqual([5, 6]);
  });

  test('has ages, numbers and longer ages of failures together, by name and for all others', async () => {
    const { provider, clock } = await open(store);
    const statuses = ['Completed', 'Failed', 'Cancelled', 'Terminated'] as const;
    for (const name of ['order', 'audit', 'mail']) {
      for (let hour = 0; hour < 2; hour += 1)
        for (const status of statuses) await finish(provider, `${name} ${hour} ${status}`, status, name);
      await clock.advance(HOUR_MS);
      for (const status of statuses) await finish(provider, `${name} 2 ${status}`, status, name);
    }
    // order ends at hours 0 and 1, audit at 1 and 2, mail at 2 and 3.
    sweep(
      provider,
      clock,
      {
        rules: [
          { keepFor: '5h' },
          { name: 'order', keepFor: '4h', keepFailedFor: '6h', keepLast: 3 },
          { name: 'audit', keepLast: 2, keepFailedFor: '4h' },
        ],
        every: '1m',
      },
      { registered: ['order', 'audit', 'mail'] },
    );
    const at = async (hour: number): Promise<Readonly<Record<string, readonly string[]>>> => {
      await pass(clock, hour * HOUR_MS + 30 * 60_000 - (clock.nowMs() - Date.UTC(2030, 0, 1)));
      const ids = await idsOf(provider);
      const of = (name: string): readonly string[] => ids.filter((id) => id.startsWith(name)).map((id) => id.slice(name.length + 1));
      return { order: of('order'), audit: of('audit'), mail: of('mail') };
    };
    const failed = ['0 Failed', '0 Terminated', '1 Failed', '1 Terminated', '2 Failed', '2 Terminated'];
    const all = [0, 1, 2].flatMap((hour) => statuses.map((status) => `${hour} ${status}`)).toSorted();
    const last = ['2 Failed', '2 Terminated'];
    // By number: the newest that did not fail stay, and of the others all.
    const first = await at(3);
    expect([first['order']?.length, first['audit']?.length, first['mail']]).toEqual([9, 8, all]);
    expect(first['order']).toEqual(expect.arrayContaining([...failed, '2 Cancelled', '2 Completed']));
    expect(first['audit']).toEqual([...failed, '2 Cancelled', '2 Completed'].toSorted());
    // By age: those of audit that failed first; nothing of the others has an age.
    expect(await at(5)).toMatchObject({ order: [...failed], audit: ['2 Cancelled', '2 Completed', ...last], mail: all });
    expect(await at(6)).toMatchObject({ order: last, audit: ['2 Cancelled', '2 Completed'] });
    expect(await at(7)).toMatchObject({ order: [], mail: ['2 Cancelled', '2 Completed', ...last] });
    expect(await at(9)).toEqual({ order: [], audit: ['2 Cancelled', '2 Completed'], mail: [] });
  });

  test('takes families apart: small transactions, with time for others in between', async () => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('root')]);
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
    await startFamily(provider, 'root', 130);
    await startFamily(provider, 'root-7', 60);
    await provider.enqueueMessages([{ instanceId: 'root', payload: 'go' }]);
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
    const calls: { readonly atMs: number; readonly sizes: readonly number[] }[] = [];
    const watched = intercept(provider, {
      deleteInstances: async (call, requests) => {
        const outcomes = await call(requests);
        calls.push({ atMs: clock.nowMs(), sizes: outcomes.map((outcome) => (outcome.kind === 'deleted' ? outcome.instances : 0)) });
        return outcomes;
      },
    });
    sweep(watched, clock, { rules: [{ name: 'order', keepFor: '1s' }], every: '1s' });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual([]);
    expect(calls.flatMap(({ sizes }) => sizes).reduce((sum, size) => sum + size, 0)).toBe(191);
    expect(Math.max(...calls.map(({ sizes }) => sizes.reduce((sum, size) => sum + size, 0)))).toBeLessThanOrEqual(50);
    const pauses = calls.slice(1).map(({ atMs }, index) => atMs - (calls[index]?.atMs ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(50);
  });

  test('leaves children of an instance that had the id of their parent before it', async () => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('root', { name: 'root' })]);
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
    await startFamily(provider, 'root', 2, 'audit');
    await clock.advance(10);
    await provider.startInstances([newInstance('root', { name: 'root', policy: 'terminateExisting' })]);
    await commit(provider, await fetchOne(provider), { status: 'Completed', output: '1' });
    sweep(provider, clock, { rules: [{ name: 'root', keepFor: '1s' }], every: '1s' });
    await pass(clock, 10_000);
    expect(await idsOf(provider)).toEqual(['root-0', 'root-1']);
  });

  test('does not delete what has got the id of something old meanwhile', async () => {
    const { provider, clock } = await open(store);
    for (const id of ['restarted', 'running', 'old']) await finish(provider, id, 'Failed');
    await clock.advance(HOUR_MS);
    let isFirst = true;
    const late = intercept(provider, {
      deleteInstances: async (call, requests) => {
        if (isFirst) {
          isFirst = false;
          // After the sweep has seen them, and before it deletes them.
          await provider.startInstances([newInstance('restarted', { policy: 'replaceTerminal' })]);
          await commit(provider, await fetchOne(provider), { status: 'Completed', output: '"new"' });
          await provider.startInstances([newInstance('running', { policy: 'replaceTerminal' })]);
        }
        return call(requests);
      },
    });
    sweep(late, clock, { rules: [{ name: 'order', keepFor: '30m' }], every: '1m' });
    await pass(clock, 10 * 60_000);
    expect((await listById(provider)).map(({ instanceId, status, output }) => [instanceId, status, output])).toEqual([
      ['restarted', 'Completed', '"new"'],
      ['running', 'Pending', null],
    ]);
  });

  test.each([1, 60])('leaves %i young children of an old parent that stays for a living grandchild', async (young) => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('root')]);
    const root = await fetchOne(provider);
    await provider.startInstances([newInstance('root-old', { parent: link('root'), onParentClose: 'abandon' })]);
    const old = await fetchOne(provider);
    await provider.startInstances([newInstance('root-old-living', { parent: link('root-old'), delayMs: 2 * HOUR_MS })]);
    await commit(provider, old, { status: 'Completed', output: '1' });
    const ids = Array.from({ length: young }, (_, index) => `young-${index}`);
    await provider.startInstances(ids.map((id) => newInstance(id, { parent: link('root'), onParentClose: 'abandon', delayMs: HOUR_MS })));
    await commit(provider, root, { status: 'Completed', output: '1' });
    await clock.advance(HOUR_MS);
    const items = await fetchItems(provider, { maxItems: young });
    expect(items).toHaveLength(young);
    for (const item of items) await commit(provider, item, { status: 'Completed', output: '1' });
    sweep(provider, clock, { rules: [{ name: 'order', keepFor: '30m' }], every: '10s' });
    await pass(clock, 5 * 60_000);
    expect(await idsOf(provider)).toEqual(['root', 'root-old', 'root-old-living', ...ids.toSorted()]);
    // By their own rule.
    await pass(clock, 30 * 60_000);
    expect(await idsOf(provider)).toEqual(['root', 'root-old', 'root-old-living']);
  });

  test.each([
    ['in its place, before its family is looked at', 1, 'replaceTerminal'],
    ['after it was deleted, before its children are', 2, 'fail'],
  ] as const)('leaves a child of another instance that has got the id of an old parent %s', async (_, atList, policy) => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('root')]);
    const root = await fetchOne(provider);
    await startFamily(provider, 'root', 60, 'audit');
    await commit(provider, root, { status: 'Completed', output: '1' });
    await clock.advance(HOUR_MS);
    let lists = 0;
    const late = intercept(provider, {
      listInstances: async (call, query) => {
        if (query.filter.parentInstanceId === 'root' && query.after === null && (lists += 1) === atList) {
          if (policy === 'fail') await provider.deleteInstances([{ instanceId: 'root', isForced: false }]);
          await provider.startInstances([newInstance('root', { policy })]);
          const again = await fetchOne(provider);
          await provider.startInstances([newInstance('young', { name: 'audit', parent: link('root', 2, again.executionId) })]);
          for (const item of [await fetchOne(provider), again]) await commit(provider, item, { status: 'Completed', output: '1' });
        }
        return await call(query);
      },
    });
    sweep(late, clock, { rules: [{ name: 'order', keepFor: '30m' }], every: '10s' });
    await pass(clock, 60_000);
    expect(lists).toBeGreaterThanOrEqual(atList);
    expect(await idsOf(provider)).toEqual(['root', 'young']);
  });

  test('goes on behind what cannot be deleted, in the next sweep', async () => {
    const { provider, clock } = await open(store);
    await provider.startInstances([newInstance('root')]);
    await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
    await startFamily(provider, 'root', 60);
    await clock.advance(10);
    await finish(provider, 'behind', 'Completed');
    await finish(provider, 'newest', 'Completed');
    for (const rule of [{ keepFor: '1s' }, { keepLast: 0 }] as const) {
      const sweeper = sweep(provider, clock, { rules: [{ name: 'order', ...rule }], every: '1s' }, { maxBatches: 1 });
      await pass(clock, 20_000);
      expect((await idsOf(provider)).filter((id) => !id.startsWith('root'))).toEqual([]);
      expect(await idsOf(provider)).toHaveLength(61);
      await sweeper.stop();
      await finish(provider, 'behind', 'Completed');
    }
  });

  test('finds names that no runtime has, also between others that stay', async () => {
    const { provider, clock } = await open(store);
    const stay = async (first: number): Promise<void> => {
      for (let index = 0; index < 210; index += 1) await finish(provider, `audit-${first + index}`, 'Completed', 'audit');
      await clock.advance(10);
    };
    await stay(0);
    await finish(provider, 'forgotten', 'Completed', 'retired');
    await clock.advance(10);
    await stay(210);
    sweep(provider, clock, { rules: [{ keepFor: '1s' }, { name: 'audit', keepFor: '1d' }], every: '1s' });
    await pass(clock, 10_000);
    expect((await idsOf(provider)).filter((id) => !id.startsWith('audit'))).toEqual([]);
    expect(await idsOf(provider)).toHaveLength(420);
  });

  test('keeps nothing of one name for a failure with another, and tries again', async () => {
    const { provider, clock } = await open(store);
    for (const name of ['a', 'b']) await finish(provider, name, 'Completed', name);
    await provider.startInstances([newInstance('eternal', { name: 'c' })]);
    const lines: object[] = [];
    let isTrouble = true;
    const broken = (): Promise<never> => Promise.reject(new TypeError('the disk is gone'));
    const around: Around = {
      listInstances: (call, query) => (isTrouble && query.filter.name === 'a' ? broken() : call(query)),
      pruneExecutions: (call, requests) => (isTrouble ? broken() : call(requests)),
    };
    const shaky = intercept(provider, around);
    const logger = { ...silentLogger, warn: (fields: object) => void lines.push(fields) };
    const rules = [...['a', 'b'].map((name) => ({ name, keepFor: '1s' as const })), { name: 'order', keepExecutions: 1 }];
    const sweeper = sweep(shaky, clock, { rules, every: '1s' }, { logger });
    const watched = sweeper.watch({ ...shaky, ackOrchestrationItems: (acks) => provider.ackOrchestrationItems(acks) });
    await commit(watched, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' }, next: nextExecution });
    await pass(clock, 5_000);
    expect(await idsOf(provider)).toEqual(['a', 'eternal']);
    expect(lines).toContainEqual({ orchestration: 'a', err: expect.objectContaining({ message: 'the disk is gone' }) as Error });
    isTrouble = false;
    await pass(clock, 5_000);
    expect(await idsOf(provider)).toEqual(['eternal']);
    expect(await provider.listExecutions('eternal')).toHaveLength(1);
  });

  test('is done by a runtime that has rules', async () => {
    const { provider, clock } = await open(store);
    const quick = defineOrchestration('quick', async () => 'done');
    const retention = { rules: [{ keepFor: '10s' }], every: '5s' } as const;
    const runtime = await Runtime.start({ provider, clock, orchestrations: quick, replayThreads: 0, retention });
    const client = new Client(provider, { clock });
    const handle = await client.startOrchestration('a', quick);
    expect(await handle.result()).toBe('done');
    await pass(clock, 30_000);
    expect(await client.getState('a')).toBeNull();
    await runtime.shutdown();
  });
});

test('two runtimes on one store do not fight, and delete no more than one', async () => {
  const { provider, clock } = await open('sqlite');
  const lines: unknown[] = [];
  const logger = { ...silentLogger, warn: (fields: object, message: string) => void lines.push([message, fields]) };
  const quick = defineOrchestration('quick', async (ctx, children: number) => {
    await ctx.all(Array.from({ length: children }, () => ctx.scheduleSubOrchestration('quick', 0)));
  });
  const waits = defineOrchestration('waits', (ctx) => ctx.waitForEvent('never'));
  const retention = { rules: [{ keepFor: '10s' }, { name: 'other', keepLast: 1 }], every: '5s' } as const;
  for (const nodeId of ['one', 'two']) {
    const options = { provider, clock, orchestrations: [quick, waits], replayThreads: 0, retention, logger, nodeId } as const;
    const runtime = await Runtime.start(options);
    onTestFinished(() => runtime.shutdown());
  }
  const client = new Client(provider, { clock });
  await client.startOrchestrations(
    Array.from({ length: 120 }, (_, index) => ({ instanceId: `q${index}`, orchestration: quick, input: index % 3 })),
  );
  await client.startOrchestration('living', waits);
  await client.waitForResult('q119');
  await pass(clock, 60_000);
  expect(await idsOf(provider)).toEqual(['living']);
  expect(await client.getState('living')).toMatchObject({ status: 'Running' });
  expect(lines).toEqual([]);
});

describe(seeded('random lives'), () => {
  const step = fc.record({
    kind: fc.constantFrom('end', 'end', 'live', 'pass'),
    status: fc.constantFrom('Completed', 'Failed', 'Cancelled'),
    name: fc.constantFrom('order', 'audit'),
    child: fc.boolean(),
  });

  test('lose nothing that a rule keeps, nothing that lives or is waited for, and in the end all else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.array(fc.boolean(), { maxLength: 40 }), async (steps, failures) => {
        const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
        const provider = new MemoryProvider({ clock });
        await provider.startInstances([newInstance('parent', { name: 'parent' })]);
        await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
        const left = [...failures];
        const shaky = (): boolean => left.pop() === true;
        const fails = (): Promise<never> => Promise.reject(new RangeError('injected'));
        const gone: string[] = [];
        const store = intercept(provider, {
          listInstances: (call, query) => (shaky() ? fails() : call(query)),
          deleteInstances: async (call, requests) => {
            if (shaky()) return await fails();
            const before = await provider.readInstances(requests.map(({ instanceId }) => instanceId));
            const outcomes = await call(requests);
            outcomes.forEach((outcome, index) => {
              const record = before[index];
              if (outcome.kind !== 'deleted' || record === undefined || record === null) return;
              const ageMs = clock.nowMs() - (record.endedAtMs ?? Number.POSITIVE_INFINITY);
              const keptMs = record.name === 'audit' ? 20_000 : record.status === 'Failed' ? 40_000 : 10_000;
              if (!isEnded(record.status) || record.parent !== null || ageMs < keptMs)
                gone.push(`${record.instanceId} ${record.status} ${ageMs}`);
            });
            return outcomes;
          },
        });
        const retention = readRetention({
          rules: [
            { keepFor: '10s', keepFailedFor: '40s' },
            { name: 'audit', keepFor: '20s' },
          ],
          every: '1s',
        });
        const sweepers = [1, 2].map(() => new RetentionSweeper({ provider: store, clock, logger: silentLogger, retention, maxBatches: 2 }));
        for (const sweeper of sweepers) sweeper.start(['order']);
        let children = 0;
        let living = 0;
        for (const [index, one] of steps.entries()) {
          const id = `i${index}`;
          if (one.kind === 'pass') await pass(clock, 3_000);
          else if (one.kind === 'live') {
            await provider.startInstances([newInstance(id)]);
            await commit(provider, await fetchOne(provider), { page: { lastEventId: 1, events: '[1]' } });
            living += 1;
          } else {
            await provider.startInstances([newInstance(id, { name: one.name, ...(one.child && { parent: link('parent') }) })]);
            await commit(provider, await fetchOne(provider), { status: one.status, output: '{}' });
            if (one.child) children += 1;
          }
        }
        await pass(clock, 120_000);
        for (const sweeper of sweepers) await sweeper.stop();
        expect(gone).toEqual([]);
        expect(await idsOf(provider)).toHaveLength(1 + living + children);
        await provider.close();
      }),
      fcParameters({ numRuns: 30 }),
    );
  });
});

test.each([
  [{ rules: [] }, 'rules'],
  [{ rules: [{}] }, 'keepFor'],
  [{ rules: [{ keepFor: 'soon' }] }, 'keepFor'],
  [{ rules: [{ keepLast: -1 }] }, 'keepLast'],
  [{ rules: [{ keepExecutions: 0 }] }, 'keepExecutions'],
  [{ rules: [{ keepFor: '1h' }, { keepLast: 5 }] }, 'one rule'],
  [{ rules: [{ name: '', keepLast: 5 }] }, 'name'],
  [{ rules: [{ keepLast: 5, age: 3 }] }, 'age'],
  [{ rules: [{ keepLast: 5 }], every: '1ms' }, 'every'],
  [5, 'retention'],
])('rules such as %j are refused', (retention, named) => {
  const refused = (): unknown => readRetention(retention as RetentionOptions);
  expect(refused).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(named) as string }) as Error);
});
