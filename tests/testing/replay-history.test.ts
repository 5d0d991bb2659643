// Recorded histories against the code of today: what fits, and every way in which code, history or files do not.
import { defineActivity, defineOrchestration, withPrefix, type DefinitionSource, type HistoryEvent } from 'duraloom';
import {
  createTestRuntime,
  exportHistory,
  replayAll,
  replayHistory,
  type HistoryInput,
  type RecordedHistory,
  type ReplayError,
  type ReplayFileResult,
} from 'duraloom/testing';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';

const charge = defineActivity('charge', (_ctx, cents: number) => `receipt ${cents}`);
const refuse = defineActivity('refuse', () => {
  throw Object.assign(new RangeError('no stock'), { code: 'NO_STOCK' });
});

/** Charges, waits, charges again. Randomness and time are the instance's own. */
const order = defineOrchestration('order', async (ctx, cents: number) => {
  const first = await ctx.scheduleActivity(charge, cents);
  ctx.setCustomStatus({ id: ctx.uuid(), luck: Math.random(), now: Date.now() });
  await ctx.scheduleTimer('1d');
  const more = await ctx.waitForEvent<number>('more');
  return [first, await ctx.scheduleActivity(charge, more)];
});
const fails = defineOrchestration('fails', async (ctx) => await ctx.scheduleActivity(refuse));
const counts = defineOrchestration('counts', async (ctx, left: number): Promise<string> => {
  await ctx.scheduleActivity(charge, left);
  return left === 0 ? 'zero' : await ctx.continueAsNew(left - 1);
});
const waits = defineOrchestration('waits', async (ctx) => await ctx.waitForEvent('end'));
const code = [order, fails, counts, waits];

/** What production recorded, by instance. */
const recorded = new Map<string, RecordedHistory>();

function historyOf(instanceId: string): RecordedHistory {
  const history = recorded.get(instanceId);
  if (history === undefined) throw new TypeError(`nothing is recorded of ${instanceId}`);
  return history;
}

/** The events of an execution, the last one when none is named. */
function eventsOf(instanceId: string, executionId = -1): readonly HistoryEvent[] {
  return historyOf(instanceId).executions.at(executionId)?.events ?? [];
}

beforeAll(async () => {
  const runtime = await createTestRuntime({ orchestrations: code, activities: [charge, refuse] });
  await runtime.start(order, 100, { instanceId: 'paid' });
  await runtime.advance('2d');
  await runtime.client.raiseEvent('paid', 'more', 5);
  await runtime.client.waitForResult('paid');
  await runtime.start(order, 200, { instanceId: 'open' });
  await runtime.waitFor('charge', 'completed', { instanceId: 'open' });
  await rejection((await runtime.start(fails, undefined, { instanceId: 'failed' })).result());
  await (await runtime.start(counts, 3, { instanceId: 'counted' })).result();
  await runtime.start(waits, undefined, { instanceId: 'cancelled' });
  await runtime.start(waits, undefined, { instanceId: 'terminated' });
  await runtime.client.cancel('cancelled', 'no longer needed');
  await runtime.advance(0);
  await runtime.client.terminate('terminated');
  for (const { instanceId } of (await runtime.client.listInstances()).instances) {
    recorded.set(instanceId, await exportHistory(runtime.client, instanceId));
  }
  await runtime.shutdown();
});

/** A folder that is removed when the test is over. */
function makeFolder(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-replay-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

describe('exportHistory', () => {
  test('takes all executions out of the store, as plain data', () => {
    const { executions, ...rest } = historyOf('counted');
    expect(rest).toEqual({ format: 'duraloom-history-1', engine: 1, instanceId: 'counted', name: 'counts', version: '1.0.0' });
    expect(executions.map(({ executionId, events }) => [executionId, events[0]?.kind, events.at(-1)?.kind])).toEqual([
      [1, 'OrchestrationStarted', 'OrchestrationContinuedAsNew'],
      [2, 'OrchestrationStarted', 'OrchestrationContinuedAsNew'],
      [3, 'OrchestrationStarted', 'OrchestrationContinuedAsNew'],
      [4, 'OrchestrationStarted', 'OrchestrationCompleted'],
    ]);
    expect(JSON.parse(JSON.stringify(historyOf('paid')))).toEqual(historyOf('paid'));
  });

  test('refuses an instance that does not exist, and one that has had no turn', async () => {
    await using runtime = await createTestRuntime({ orchestrations: waits });
    expect(await rejection(exportHistory(runtime.client, 'nobody'))).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
    await runtime.start(waits, undefined, { instanceId: 'later', startAfter: '1d' });
    expect(await rejection(exportHistory(runtime.client, 'later'))).toMatchObject({ code: 'HISTORY_INVALID' });
  });
});

describe('replayHistory', () => {
  test('follows a history that has ended, and tells its result', async () => {
    expect(await replayHistory(historyOf('paid'), code)).toEqual({
      instanceId: 'paid',
      name: 'order',
      version: '1.0.0',
      events: eventsOf('paid').length,
      executions: [
        {
          executionId: 1,
          version: '1.0.0',
          events: eventsOf('paid').length,
          outcome: { kind: 'completed', result: ['receipt 100', 'receipt 5'] },
        },
      ],
      outcome: { kind: 'completed', result: ['receipt 100', 'receipt 5'] },
    });
  });

  test.each([
    ['open', { kind: 'running' }],
    ['failed', { kind: 'failed', error: { name: 'RangeError', message: 'no stock', code: 'NO_STOCK' } }],
    ['cancelled', { kind: 'cancelled', error: { code: 'CANCELLED', message: 'no longer needed' } }],
    ['terminated', { kind: 'running' }],
    ['counted', { kind: 'completed', result: 'zero' }],
  ])('tells the outcome of one that is %s', async (instanceId, outcome) => {
    expect((await replayHistory(historyOf(instanceId), code)).outcome).toMatchObject(outcome);
  });

  test('follows every execution of a chain', async () => {
    const { executions, events } = await replayHistory(historyOf('counted'), code);
    expect(executions.map(({ executionId, outcome }) => [executionId, outcome.kind])).toEqual([
      [1, 'continuedAsNew'],
      [2, 'continuedAsNew'],
      [3, 'continuedAsNew'],
      [4, 'completed'],
    ]);
    expect(events).toBe(16);
  });

  test.each<[string, () => HistoryInput, { readonly instanceId?: string }]>([
    ['JSON text', () => JSON.stringify(historyOf('paid')), {}],
    ['JSON text, with its id', () => JSON.stringify(historyOf('paid')), { instanceId: 'paid' }],
    ['the events alone, with the id that random numbers follow from', () => eventsOf('paid'), { instanceId: 'paid' }],
    ['the events as JSON text', () => JSON.stringify(eventsOf('paid')), { instanceId: 'paid' }],
  ])('takes %s', async (_, input, options) => {
    expect((await replayHistory(input(), code, options)).outcome).toMatchObject({ kind: 'completed' });
  });

  test('finds that random numbers are those of the instance', async () => {
    expect(await rejection(replayHistory(eventsOf('paid'), code, { instanceId: 'another' }))).toMatchObject({
      code: 'NONDETERMINISM',
      eventId: 4,
    });
    expect((await replayHistory(eventsOf('failed'), code)).instanceId).toBe('replayed');
  });

  test('leaves the history as it was', async () => {
    const before = JSON.stringify(historyOf('paid'));
    const greedy = defineOrchestration('order', async (ctx, cents: number) => {
      const first = await ctx.scheduleActivity(charge, cents);
      ctx.setCustomStatus({ id: ctx.uuid(), luck: Math.random(), now: Date.now() });
      await ctx.scheduleTimer('1d');
      const more = await ctx.waitForEvent<number>('more');
      return [first, await ctx.scheduleActivity(charge, more)].fill('changed by code that comes later', 2);
    });
    await replayHistory(historyOf('paid'), greedy);
    expect(JSON.stringify(historyOf('paid'))).toBe(before);
  });

  test('takes modules, packages with a prefix and several versions', async () => {
    const folder = makeFolder({
      'orders.ts': `import { defineOrchestration } from ${JSON.stringify(import.meta.resolve('duraloom'))};
export const waits = defineOrchestration('waits', (ctx) => ctx.waitForEvent('end'));
export const later = defineOrchestration('waits', () => 'at once', { version: '2.0.0' });`,
    });
    const module = pathToFileURL(join(folder, 'orders.ts'));
    expect((await replayHistory(historyOf('cancelled'), module)).outcome.kind).toBe('cancelled');
    const [first, ...rest] = eventsOf('cancelled');
    const prefixed = [{ ...first, name: 'eu.waits' }, ...rest] as readonly HistoryEvent[];
    expect((await replayHistory(prefixed, withPrefix('eu.', module))).outcome.kind).toBe('cancelled');
  });

  test('of many at once keeps them apart', async () => {
    const all = [...recorded.values()].flatMap((history) => Array.from({ length: 20 }, () => history));
    const before = [Date, Math.random, Object.getOwnPropertyDescriptor(process, 'emit')];
    const replayed = await Promise.all(all.map((history) => replayHistory(history, code)));
    expect(replayed.map(({ instanceId }) => instanceId)).toEqual(all.map(({ instanceId }) => instanceId));
    expect([Date, Math.random, Object.getOwnPropertyDescriptor(process, 'emit')]).toEqual(before);
  });
});

describe('replayHistory finds code that', () => {
  /** A change of the code of `order`. */
  const changed = (handler: Parameters<typeof defineOrchestration<'order', number>>[1]): DefinitionSource =>
    defineOrchestration('order', handler);
  const status = (ctx: Parameters<Parameters<typeof changed>[0]>[0]): void =>
    ctx.setCustomStatus({ id: ctx.uuid(), luck: Math.random(), now: Date.now() });

  test.each<
    [string, Parameters<typeof changed>[0], { readonly eventId: number; readonly recorded: string | null; readonly emitted: string }]
  >([
    [
      'calls an activity with another input',
      (ctx, cents) => ctx.scheduleActivity(charge, cents + 1),
      { eventId: 2, recorded: 'ActivityScheduled {name: "charge", input: 100}', emitted: 'ActivityScheduled {name: "charge", input: 101}' },
    ],
    [
      'calls another activity',
      (ctx) => ctx.scheduleActivity('pay', 100),
      { eventId: 2, recorded: 'ActivityScheduled {name: "charge", input: 100}', emitted: 'ActivityScheduled {name: "pay", input: 100}' },
    ],
    [
      'does something else',
      (ctx) => ctx.scheduleTimer('1h'),
      { eventId: 2, recorded: 'ActivityScheduled {name: "charge", input: 100}', emitted: 'TimerCreated {}' },
    ],
    [
      'does something more',
      async (ctx, cents) => {
        await ctx.scheduleActivity(charge, cents);
        ctx.kv.set('new', true);
      },
      {
        eventId: 4,
        recorded: expect.stringMatching(/^CustomStatusSet \{status: /) as string,
        emitted: 'ValueSet {key: "new", value: true}',
      },
    ],
    [
      'leaves something out',
      async (ctx, cents) => {
        await ctx.scheduleActivity(charge, cents);
        await ctx.scheduleTimer('1d');
      },
      { eventId: 4, recorded: expect.stringMatching(/^CustomStatusSet/) as string, emitted: 'TimerCreated {}' },
    ],
    [
      'decides nothing more',
      async (ctx, cents) => {
        await ctx.scheduleActivity(charge, cents);
        status(ctx);
        const never = ctx.waitForEvent('never').catch(() => undefined);
        await never;
      },
      { eventId: 5, recorded: 'TimerCreated {}', emitted: 'EventAwaited {name: "never"}' },
    ],
    [
      'waits for less',
      async (ctx, cents) => {
        const first = ctx.scheduleActivity(charge, cents);
        await first;
        status(ctx);
        return 'done';
      },
      { eventId: 5, recorded: 'TimerCreated {}', emitted: 'OrchestrationCompleted {result: "done"}' },
    ],
    [
      'ends with another result',
      async (ctx, cents) => {
        const first = await ctx.scheduleActivity(charge, cents);
        status(ctx);
        await ctx.scheduleTimer('1d');
        const more = await ctx.waitForEvent<number>('more');
        return [first, await ctx.scheduleActivity(charge, more), 'and more'];
      },
      {
        eventId: 11,
        recorded: 'OrchestrationCompleted {result: ["receipt 100","receipt 5"]}',
        emitted: 'OrchestrationCompleted {result: ["receipt 100","receipt 5","and more"]}',
      },
    ],
    [
      'fails where history completed',
      async (ctx, cents) => {
        await ctx.scheduleActivity(charge, cents);
        status(ctx);
        await ctx.scheduleTimer('1d');
        await ctx.scheduleActivity(charge, await ctx.waitForEvent<number>('more'));
        throw new RangeError('after all');
      },
      {
        eventId: 11,
        recorded: 'OrchestrationCompleted {result: ["receipt 100","receipt 5"]}',
        emitted: 'OrchestrationFailed {RangeError: after all}',
      },
    ],
  ])('%s', async (_, handler, { emitted, ...expected }) => {
    const error = await rejection(replayHistory(historyOf('paid'), changed(handler)));
    expect(error).toMatchObject({ name: 'HistoryMismatchError', code: 'NONDETERMINISM', instanceId: 'paid', executionId: 1, ...expected });
    const { emitted: text } = error as unknown as { readonly emitted: string };
    expect(text.replace(/ \(at .*\)$/, '')).toEqual(emitted);
  });

  test('decides more than a running history holds', async () => {
    const eager = changed(async (ctx, cents) => {
      await ctx.scheduleActivity(charge, cents);
      status(ctx);
      await Promise.all([ctx.scheduleTimer('1d'), ctx.waitForEvent('more')]);
    });
    const error = await rejection(replayHistory(historyOf('open'), eager));
    expect(error).toMatchObject({ eventId: 6, recorded: null });
    expect(error.message).toContain('- 6  (history ends here)\n+ 6  EventAwaited {name: "more"}');
  });

  test('ends before its history does', async () => {
    const hasty = defineOrchestration('waits', async (ctx) => {
      await ctx.race([ctx.waitForEvent('end'), Promise.resolve()]);
    });
    expect(await rejection(replayHistory(historyOf('terminated'), hasty))).toMatchObject({
      code: 'NONDETERMINISM',
      eventId: 3,
      recorded: null,
    });
  });

  test('goes wrong in a later execution of a chain', async () => {
    const changedCounts = defineOrchestration('counts', async (ctx, left: number): Promise<string> => {
      await ctx.scheduleActivity(charge, left === 1 ? 77 : left);
      return left === 0 ? 'zero' : await ctx.continueAsNew(left - 1);
    });
    expect(await rejection(replayHistory(historyOf('counted'), changedCounts))).toMatchObject({ executionId: 3, eventId: 2 });
  });

  test('shows the place as a diff between the events around it, with the line of code', async () => {
    const error = await rejection(
      replayHistory(
        historyOf('paid'),
        changed(async (ctx, cents) => {
          await ctx.scheduleActivity(charge, cents);
          status(ctx);
          await ctx.scheduleActivity('audit');
        }),
      ),
    );
    const { diff } = error as unknown as { readonly diff: string };
    expect(diff.split('\n').map((line) => line.replace(/(?<=\{status: ).*(?=\})|(?<=\(at ).*replay-history(?=\.test)/, '…'))).toEqual([
      '- history',
      '+ code',
      '  2  ActivityScheduled {name: "charge", input: 100}',
      '  3  ActivityCompleted {sourceId: 2, result: "receipt 100"}',
      '  4  CustomStatusSet {status: …}',
      '- 5  TimerCreated {}',
      expect.stringMatching(/^\+ 5 {2}ActivityScheduled \{name: "audit"\} \(at …\.test\.ts(?:\?\S+)?:\d+:\d+\)$/) as string,
      '  6  TimerFired {sourceId: 5}',
      '  7  EventAwaited {name: "more"}',
      '  8  EventRaised {name: "more", data: 5}',
    ]);
    expect(error.message).toContain(diff);
    expect(error.message).toContain("orchestration 'order' (instance 'paid', execution 1) does not follow its history at event 5");
  });

  test('awaits what is not durable, uses what is forbidden, or leaves a rejection behind', async () => {
    const foreign = defineOrchestration('waits', async () => await new Promise(() => undefined));
    const forbidden = defineOrchestration('waits', () => void setTimeout(() => undefined, 1));
    const forgets = defineOrchestration('waits', async (ctx) => {
      void Promise.reject(new RangeError('forgotten'));
      await ctx.waitForEvent('end');
    });
    for (const [definition, text] of [
      [foreign, 'awaits something that is not durable'],
      [forbidden, 'used setTimeout, which is not deterministic'],
      [forgets, 'left a rejected promise unhandled: RangeError: forgotten'],
    ] as const) {
      const error = await rejection(replayHistory(historyOf('cancelled'), definition));
      expect([error.message.includes(text), error]).toMatchObject([true, { code: 'NONDETERMINISM' }]);
    }
  });
});

describe('replayHistory refuses', () => {
  test.each<[string, () => HistoryInput, string]>([
    ['text that is no JSON', () => 'not json', 'it is no JSON'],
    ['something else', () => JSON.stringify({ a: 1 }), 'its format is undefined'],
    ['null', () => 'null', 'its format is undefined'],
    ['another format', () => JSON.stringify({ ...historyOf('paid'), format: 'duraloom-history-9' }), "its format is 'duraloom-history-9'"],
    ['a history without executions', () => ({ ...historyOf('paid'), executions: [] }), 'no executions'],
    ['an execution without events', () => JSON.stringify({ ...historyOf('paid'), executions: [{ executionId: 1 }] }), 'no events'],
    ['no events at all', () => [], 'OrchestrationStarted'],
    ['a history whose first event is missing', () => eventsOf('paid').slice(1), 'OrchestrationStarted'],
    ['a history with a hole', () => eventsOf('paid').filter(({ id }) => id !== 4), 'at event 4'],
    [
      'events of unknown kinds',
      () => eventsOf('paid').map((event) => (event.id === 3 ? { ...event, kind: 'Guessed' } : event)) as HistoryEvent[],
      'unknown kind',
    ],
    [
      'a completion of nothing',
      () => eventsOf('paid').map((event) => (event.id === 3 ? { ...event, sourceId: 1 } : event)),
      'no open decision',
    ],
    [
      'a history of a newer engine',
      () => eventsOf('paid').map((event) => (event.id === 1 ? { ...event, engine: 99 } : event)),
      'engine behaviour 99',
    ],
  ])('%s', async (_, input, text) => {
    const error = await rejection(replayHistory(input(), code));
    expect(error).toMatchObject({ name: 'HistoryError', code: 'HISTORY_INVALID', message: expect.stringContaining(text) as string });
  });

  test('a name or version that is not among the orchestrations', async () => {
    const other = defineOrchestration('order', () => undefined, { version: '2.0.0' });
    const missing = { code: 'ORCHESTRATION_NOT_REGISTERED', message: expect.stringContaining("'order' version 1.0.0") as string };
    expect(await rejection(replayHistory(historyOf('paid'), other))).toMatchObject(missing);
    expect(await rejection(replayHistory(historyOf('paid'), waits))).toMatchObject(missing);
  });

  test('an id that is not that of the history, and a module that cannot be loaded', async () => {
    expect(await rejection(replayHistory(historyOf('paid'), code, { instanceId: 'other' }))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    const nowhere = new URL('nowhere.ts', import.meta.url);
    const before = [Date, Object.getOwnPropertyDescriptor(process, 'emit')];
    expect(await rejection(replayHistory(historyOf('paid'), nowhere))).toMatchObject({ code: 'MODULE_NOT_LOADED' });
    expect([Date, Object.getOwnPropertyDescriptor(process, 'emit')]).toEqual(before);
  });
});

describe('replayAll', () => {
  const files = (): Record<string, string> =>
    Object.fromEntries([...recorded].map(([instanceId, history]) => [`${instanceId}.json`, JSON.stringify(history)]));

  test('replays all files of a folder and those below, in order', async () => {
    const folder = makeFolder({ ...files(), 'old/paid.json': JSON.stringify(historyOf('paid')), 'notes.txt': 'not a history' });
    const results: ReplayFileResult[] = [];
    const { files: replayed, events } = await replayAll(folder, code, { onResult: (result) => results.push(result) });
    expect(replayed).toEqual(
      ['cancelled.json', 'counted.json', 'failed.json', 'old/paid.json', 'open.json', 'paid.json', 'terminated.json'].map((file) =>
        join(folder, file),
      ),
    );
    expect(results.map(({ file, ok }) => [file, ok])).toEqual(replayed.map((file) => [file, true]));
    expect(events).toBe(results.reduce((sum, result) => sum + (result.ok ? result.replayed.events : 0), 0));
    expect(events).toBeGreaterThan(40);
  });

  test('takes single files, URLs and lists of both', async () => {
    const folder = makeFolder(files());
    const places = [join(folder, 'paid.json'), pathToFileURL(join(folder, 'failed.json'))];
    expect((await replayAll(places, code)).files).toEqual([join(folder, 'paid.json'), join(folder, 'failed.json')]);
    expect((await replayAll(pathToFileURL(folder), code)).files).toHaveLength(6);
  });

  test('goes through to the end, and tells of all that fail, each with its diff', async () => {
    const folder = makeFolder({ ...files(), 'damaged.json': '{"format":', 'foreign.json': '{}' });
    const changedOrder = defineOrchestration('order', (ctx) => ctx.scheduleTimer(1));
    const seen: boolean[] = [];
    const error = (await rejection(
      replayAll(folder, [changedOrder, fails, counts, waits], { onResult: ({ ok }) => seen.push(ok) }),
    )) as unknown as ReplayError;
    expect(error).toMatchObject({ name: 'ReplayError', code: 'REPLAY_FAILED', replayed: 4 });
    expect(error.failures).toMatchObject([
      { source: join(folder, 'damaged.json'), error: { code: 'HISTORY_INVALID' } },
      { source: join(folder, 'foreign.json'), error: { code: 'HISTORY_INVALID' } },
      { source: join(folder, 'open.json'), error: { code: 'NONDETERMINISM' } },
      { source: join(folder, 'paid.json'), error: { code: 'NONDETERMINISM' } },
    ]);
    expect(error.message).toMatch(/^4 of 8 histories could not be replayed\n\n/);
    expect(error.message).toContain(`${join(folder, 'paid.json')}: orchestration 'order'`);
    expect(error.message).toContain('- 2  ActivityScheduled {name: "charge", input: 100}\n+ 2  TimerCreated {}');
    expect(seen).toHaveLength(8);
  });

  test('refuses to have replayed nothing', async () => {
    const folder = makeFolder({ 'notes.txt': 'nothing here' });
    expect(await rejection(replayAll(folder, code))).toMatchObject({
      code: 'REPLAY_FAILED',
      message: expect.stringContaining(folder) as string,
    });
    expect(await rejection(replayAll([], code))).toMatchObject({ code: 'REPLAY_FAILED' });
    expect(await rejection(replayAll(join(folder, 'nowhere'), code))).toMatchObject({ code: 'ENOENT' });
  });
});

test('replays many events a second', async () => {
  const chain = defineOrchestration('chain', async (ctx, steps: number) => {
    for (let step = 0; step < steps; step += 1) await ctx.scheduleActivity(charge, step);
  });
  const steps = 10_000;
  const events: object[] = [{ kind: 'OrchestrationStarted', executionId: 1, name: 'chain', version: '1.0.0', engine: 1, input: steps }];
  for (let step = 0; step < steps; step += 1) {
    events.push({ kind: 'ActivityScheduled', name: 'charge', input: step });
    events.push({ kind: 'ActivityCompleted', executionId: 1, sourceId: events.length, result: `receipt ${step}` });
  }
  events.push({ kind: 'OrchestrationCompleted' });
  const text = JSON.stringify(events.map((event, index) => ({ id: index + 1, atMs: 1_000, ...event })));
  const before = process.cpuUsage();
  expect(await replayHistory(text, chain)).toMatchObject({ events: 20_002, outcome: { kind: 'completed' } });
  const { user, system } = process.cpuUsage(before);
  // In processor time, which other processes do not change. A floor far below the 100,000 and more that it does: see row M2 of the bench.
  expect(20_002 / ((user + system) / 1e6)).toBeGreaterThan(20_000);
});
