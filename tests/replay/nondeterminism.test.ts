// Code that does not follow its history: every way to differ is found, at its event, with both sides in the message (E3; T43, T48).
import { describe, expect, it } from 'vitest';
import { nondeterminismError, parseNondeterminism, stuckError } from '../../src/replay/engine-errors.ts';
import { describeParting } from '../../src/replay/history-diff.ts';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import { fromFailure, toFailure, type Failure } from '../../src/types/failure.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  cancelled,
  cancelRequested,
  childScheduled,
  completed,
  continuedAsNew,
  eventAwaited,
  eventRaised,
  failed,
  faultOf,
  futureCancelled,
  history,
  orchestration,
  replayCold,
  run,
  started,
  startRequested,
  statusSet,
  T0,
  TestHost,
  timerCreated,
  timerFired,
  turn,
  type Body,
  type Handler,
  type Rebuilt,
} from '../support/replay-harness.ts';

/** Replays a history on the code that is deployed now. */
function replay(handler: Handler, bodies: readonly Body[]): Promise<Rebuilt> {
  return replayCold([orchestration('test', handler)], history(...bodies));
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(Object.freeze(value))) deepFreeze<unknown>(inner);
  return value;
}

/** Runs something while the thread makes stacks in another way. */
async function withStacks<Result>(change: Partial<typeof Error>, run: () => Promise<Result>): Promise<Result> {
  const before = { stackTraceLimit: Error.stackTraceLimit, prepareStackTrace: Reflect.get(Error, 'prepareStackTrace') as unknown };
  Object.assign(Error, change);
  try {
    return await run();
  } finally {
    Object.assign(Error, before);
  }
}

/** What the code decides after one activity. */
const after =
  (decide: Handler): Handler =>
  async (ctx, input) => {
    await ctx.scheduleActivity('first');
    return await decide(ctx, input);
  };
const begun = [started(), activityScheduled('first'), activityCompleted(2)];

const decisions: readonly (readonly [string, Handler, Body])[] = [
  ['an activity', after((ctx) => ctx.scheduleActivity('charge', { id: 1 })), activityScheduled('charge', { id: 1 })],
  ['an activity without input', after((ctx) => ctx.scheduleActivity('charge')), activityScheduled('charge')],
  ['a timer', after((ctx) => ctx.scheduleTimer(5)), timerCreated(T0 + 5)],
  ['a wait', after((ctx) => ctx.waitForEvent('go')), eventAwaited('go')],
  ['a child', after((ctx) => ctx.scheduleSubOrchestration('kid', 1)), childScheduled('kid', 'i1::1.4', 1)],
  [
    'a named child',
    after((ctx) => ctx.scheduleSubOrchestration('kid', 1, { instanceId: 'k1', version: '1.0.0' })),
    childScheduled('kid', 'k1', 1, '1.0.0'),
  ],
];

/** Decisions after which the code goes on. */
const passing: readonly (readonly [string, Handler, Body])[] = [
  [
    'a status',
    after((ctx) => {
      ctx.setCustomStatus({ step: 1 });
      return ctx.waitForEvent('go');
    }),
    statusSet({ step: 1 }),
  ],
  [
    'a detached start',
    after((ctx) => {
      ctx.startOrchestration('other', 'o1', 1);
      return ctx.waitForEvent('go');
    }),
    startRequested('other', 'o1', 1),
  ],
];

const waits: Handler = after((ctx) => ctx.waitForEvent('go'));

describe('replay', () => {
  it.each([...decisions, ...passing.map(([name, handler, event]) => [name, handler, event] as const)])(
    'accepts %s that is recorded as it was',
    async (_, handler, event) => {
      const bodies = [
        ...begun,
        event,
        ...(['CustomStatusSet', 'OrchestrationStartRequested'].includes(event.kind) ? [eventAwaited('go')] : []),
      ];
      const { engine, result } = await replay(handler, bodies);
      expect(result.outcome).toEqual({ kind: 'waiting' });
      expect(engine.lastEventId).toBe(bodies.length);
    },
  );

  it.each<readonly [string, Handler, Body, Body]>([
    ['name of an activity', (ctx) => ctx.scheduleActivity('b', 1), activityScheduled('a', 1), activityScheduled('b', 1)],
    ['input of an activity', (ctx) => ctx.scheduleActivity('a', 2), activityScheduled('a', 1), activityScheduled('a', 2)],
    ['input of an activity, now none', (ctx) => ctx.scheduleActivity('a'), activityScheduled('a', null), activityScheduled('a')],
    ['input of an activity, none before', (ctx) => ctx.scheduleActivity('a', null), activityScheduled('a'), activityScheduled('a', null)],
    ['name of a wait', (ctx) => ctx.waitForEvent('b'), eventAwaited('a'), eventAwaited('b')],
    ['name of a child', (ctx) => ctx.scheduleSubOrchestration('b'), childScheduled('a', 'i1::1.2'), childScheduled('b', 'i1::1.2')],
    [
      'input of a child',
      (ctx) => ctx.scheduleSubOrchestration('a', 2),
      childScheduled('a', 'i1::1.2', 1),
      childScheduled('a', 'i1::1.2', 2),
    ],
    [
      'id of a child',
      (ctx) => ctx.scheduleSubOrchestration('a', 1, { instanceId: 'y' }),
      childScheduled('a', 'x', 1),
      childScheduled('a', 'y', 1),
    ],
    [
      'version of a child',
      (ctx) => ctx.scheduleSubOrchestration('a', 1, { instanceId: 'x', version: '2.0.0' }),
      childScheduled('a', 'x', 1, '1.0.0'),
      childScheduled('a', 'x', 1, '2.0.0'),
    ],
    [
      'version of a child, none before',
      (ctx) => ctx.scheduleSubOrchestration('a', 1, { instanceId: 'x', version: '1.0.0' }),
      childScheduled('a', 'x', 1),
      childScheduled('a', 'x', 1, '1.0.0'),
    ],
    ['name of a detached start', (ctx) => ctx.startOrchestration('b', 'x'), startRequested('a', 'x'), startRequested('b', 'x')],
    ['id of a detached start', (ctx) => ctx.startOrchestration('a', 'y'), startRequested('a', 'x'), startRequested('a', 'y')],
    ['input of a detached start', (ctx) => ctx.startOrchestration('a', 'x', 2), startRequested('a', 'x', 1), startRequested('a', 'x', 2)],
    ['value of a status', (ctx) => ctx.setCustomStatus(2), statusSet(1), statusSet(2)],
    ['value of a status, now reset', (ctx) => ctx.setCustomStatus(undefined), statusSet(null), statusSet()],
    ['kind of a decision', (ctx) => ctx.waitForEvent('a'), timerCreated(T0 + 5), eventAwaited('a')],
    [
      'order of keys in an input',
      (ctx) => ctx.scheduleActivity('a', { y: 2, x: 1 }),
      activityScheduled('a', { x: 1, y: 2 }),
      activityScheduled('a', { y: 2, x: 1 }),
    ],
  ])('finds a changed %s and shows both sides', async (_, handler, recorded, now) => {
    const { result } = await replay(handler, [started(), recorded]);
    const { name, code, message } = faultOf(result);
    expect([name, code]).toEqual(['DeterminismError', 'NONDETERMINISM']);
    expect(message).toContain("orchestration 'test' (instance 'i1', execution 1) does not follow its history at event 2");
    expect(message).toMatch(new RegExp(`history has ${recorded.kind} \\{.*\\}, but the code now decides ${now.kind} \\{`));
    expect(message).toMatch(/\(at .*nondeterminism\.test\.ts/);
    expect(message).toContain('Deploy the code that wrote this history, or register the changed code as a new version');
    const [had = '', has = ''] = message.split(', but the code now decides ');
    expect(had.slice(had.indexOf('history has ') + 12)).not.toBe(has.slice(0, had.length));
  });

  it.each<readonly [string, Partial<typeof Error>]>([
    ['turned off', { stackTraceLimit: 'none' as never }],
    ['made into lists', { prepareStackTrace: (_, sites) => sites }],
    ['empty', { stackTraceLimit: 0 }],
  ])('shows both sides also when stacks are %s', async (_, change) => {
    const { result } = await withStacks(change, () => replay((ctx) => ctx.scheduleActivity('b'), [started(), activityScheduled('a')]));
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
    expect(faultOf(result).message).toMatch(
      /history has ActivityScheduled \{name: "a"\}, but the code now decides ActivityScheduled \{name: "b"\}\. Deploy/,
    );
  });

  it.each([...decisions, ...passing])('finds %s that is missing from the code', async (_, __, event) => {
    const { result } = await replay(
      after((ctx) => ctx.waitForEvent('other')),
      [...begun, event, eventAwaited('other')],
    );
    expect(faultOf(result).message).toMatch(
      new RegExp(`at event 4: history has ${event.kind} .* but the code now decides EventAwaited \\{name: "other"\\}`),
    );
  });

  it.each([...decisions, ...passing])('finds %s that was added before what history has', async (_, handler, event) => {
    const { result } = await replay(handler, [...begun, timerCreated(T0), timerFired(4)]);
    if (event.kind === 'TimerCreated') expect(result.outcome.kind).not.toBe('waiting');
    else expect(faultOf(result).message).toMatch(new RegExp(`history has TimerCreated .* but the code now decides ${event.kind} \\{`));
  });

  it.each([...decisions, ...passing])('finds %s that was added where history has an input event', async (_, handler, event) => {
    const { result } = await replay(handler, [...begun, eventRaised('go', 'x')]);
    expect(faultOf(result).message).toMatch(
      new RegExp(`at event 4: history has EventRaised \\{name: "go", data: "x"\\}, but the code now decides ${event.kind}`),
    );
  });

  it.each([...decisions, ...passing])('finds %s that was added where history ends', async (_, handler, event) => {
    const { result } = await replay(handler, begun);
    expect(faultOf(result).message).toMatch(new RegExp(`at event 4: history ends here, but the code now decides ${event.kind}`));
  });

  it('finds code that was shortened: a decision is missing at the end of an event', async () => {
    const { result } = await replay(
      async (ctx) => {
        await ctx.scheduleActivity('a');
      },
      [started(), activityScheduled('a'), activityScheduled('b'), activityCompleted(2)],
    );
    expect(faultOf(result).message).toMatch(
      /at event 3: history has ActivityScheduled \{name: "b"\}, but the code now decides nothing more here/,
    );
  });

  it('finds code that was shortened: it returns where history goes on with an input event', async () => {
    const { result } = await replay(() => 'short', [started(), eventRaised('go')]);
    expect(faultOf(result).message).toMatch(/at event 2: history has EventRaised .*, but the code now ends here \(completed\)/);
  });

  it('says why code fails that does not follow its history: in words, without a stack, and with no place when the engine decides', async () => {
    const fail = (message: string, code?: string) => () => {
      throw Object.assign(new RangeError(message), code === undefined ? {} : { code });
    };
    const texts = await Promise.all(
      [fail('too few'), fail('x'.repeat(400), 'NO_STOCK')].map(async (handler) => {
        const live = await replay(handler, [started(), completed('done')]);
        const early = await replay(handler, [started(), eventRaised('go')]);
        return [faultOf(live.result).message, faultOf(early.result).message];
      }),
    );
    expect(texts).toEqual([
      [
        expect.stringMatching(
          /history has OrchestrationCompleted \{result: "done"\}, but the code now decides OrchestrationFailed \{RangeError: too few\}\. Deploy/,
        ),
        expect.stringMatching(/but the code now ends here \(failed: RangeError: too few\)\. Deploy/),
      ],
      [
        expect.stringMatching(/but the code now decides OrchestrationFailed \{RangeError NO_STOCK: x{200,}…\}\. Deploy/),
        expect.stringMatching(/but the code now ends here \(failed: RangeError: x{400}\)\. Deploy/),
      ],
    ]);
    const had = await replay(() => 'done', [started(), failed({ name: 'TypeError', message: 'old', code: 'OLD', stack: 'at old' })]);
    expect(faultOf(had.result).message).toContain(
      'history has OrchestrationFailed {TypeError OLD: old}, but the code now decides OrchestrationCompleted',
    );
  });

  it('finds code that was shortened: it returns where history has a decision', async () => {
    const { result } = await replay(() => 'short', [started(), activityScheduled('a')]);
    expect(faultOf(result).message).toMatch(/history has ActivityScheduled \{name: "a"\}, but the code now decides OrchestrationCompleted/);
  });

  it('finds code that was shortened: it returns where history ends waiting', async () => {
    const { result } = await replay(
      after(() => 'short'),
      begun,
    );
    expect(faultOf(result).message).toMatch(/at event 4: history ends here, but the code now ends here \(completed\)/);
  });

  it('finds code that now throws where it waited', async () => {
    const { result } = await replay(
      after(() => {
        throw new Error('new bug');
      }),
      [...begun, eventAwaited('go')],
    );
    expect(faultOf(result)).toMatchObject({
      code: 'NONDETERMINISM',
      message: expect.stringMatching(/OrchestrationFailed .*new bug/) as string,
    });
  });

  it('finds code that is now stuck where it waited', async () => {
    const { result } = await replay(() => new Promise(() => undefined), [started(), activityScheduled('a')]);
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM', message: expect.stringMatching(/OrchestrationFailed/) as string });
  });

  it('finds code that was lengthened: it waits where history ends the orchestration', async () => {
    const { result } = await replay(waits, [...begun, completed('done')]);
    expect(faultOf(result).message).toMatch(
      /history has OrchestrationCompleted \{result: "done"\}, but the code now decides EventAwaited \{name: "go"\}/,
    );
  });

  it('finds code that decides nothing where history ends the orchestration', async () => {
    const { result } = await replay(
      (ctx) => ctx.scheduleActivity('a'),
      [started(), activityScheduled('a'), eventRaised('e'), completed('done')],
    );
    expect(faultOf(result).message).toMatch(
      /at event 4: history has OrchestrationCompleted .*, but the code now decides nothing more here/,
    );
  });

  it.each<readonly [string, Handler, readonly Body[], RegExp]>([
    [
      'another result',
      () => 2,
      [completed(1)],
      /OrchestrationCompleted \{result: 1\}, but the code now decides OrchestrationCompleted \{result: 2\}/,
    ],
    ['a result instead of none', () => null, [completed()], /OrchestrationCompleted \{\}, but/],
    ['another error name', () => Promise.reject(new TypeError('x')), [failed('x')], /history has OrchestrationFailed .*TypeError/],
    [
      'another error code',
      () => Promise.reject(Object.assign(new Error('x'), { code: 'B' })),
      [failed({ name: 'Error', message: 'x', code: 'A' })],
      /history has OrchestrationFailed .*code now decides OrchestrationFailed/,
    ],
    [
      'an error instead of a result',
      () => Promise.reject(new Error('x')),
      [completed(1)],
      /OrchestrationCompleted .*now decides OrchestrationFailed/,
    ],
    ['a result instead of an error', () => 1, [failed('x')], /OrchestrationFailed .*now decides OrchestrationCompleted/],
    [
      'another input of continue-as-new',
      (ctx) => ctx.continueAsNew(2),
      [continuedAsNew(1)],
      /ContinuedAsNew \{input: 1\}.*ContinuedAsNew \{input: 2\}/,
    ],
    [
      'another version of continue-as-new',
      (ctx) => ctx.continueAsNew(1, { version: '3.0.0' }),
      [continuedAsNew(1, '2.0.0')],
      /version: "2\.0\.0".*version: "3\.0\.0"/,
    ],
    [
      'a result instead of continue-as-new',
      () => 1,
      [continuedAsNew(1)],
      /OrchestrationContinuedAsNew .*now decides OrchestrationCompleted/,
    ],
    ['an end that was cancelled', () => 1, [cancelled()], /OrchestrationCancelled .*now decides OrchestrationCompleted/],
  ])('finds %s at the end', async (_, handler, end, text) => {
    const { result } = await replay(handler, [started(), ...end]);
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM', message: expect.stringMatching(text) as string });
  });

  it.each<readonly [string, Handler, readonly Body[]]>([
    [
      'the message and stack of an error',
      () => Promise.reject(new Error('new words')),
      [failed({ name: 'Error', message: 'old words', stack: 'old' })],
    ],
    ['the due time of a timer', (ctx) => ctx.scheduleTimer('9d'), [timerCreated(T0 + 5)]],
    ['log lines', (ctx) => (ctx.log.info('new'), ctx.scheduleTimer(5)), [timerCreated(T0 + 5)]],
  ])('accepts changed code where only %s differ', async (_, handler, bodies) => {
    const { result } = await replay(handler, [started(), ...bodies]);
    expect(result.outcome.kind).not.toBe('faulted');
  });

  it.each<readonly [string, Handler, readonly Body[]]>([
    ['a cancelled future that is not cancelled any more', (ctx) => ctx.scheduleActivity('a'), [activityScheduled('a'), futureCancelled(2)]],
    [
      'a future that is cancelled now',
      (ctx) => {
        ctx.scheduleActivity('a').cancel();
        return ctx.waitForEvent('e');
      },
      [activityScheduled('a'), eventAwaited('e')],
    ],
    [
      'another future that is cancelled',
      (ctx) => {
        const futures = [ctx.scheduleActivity('a'), ctx.scheduleActivity('b')];
        futures[1]?.cancel();
        return futures[0];
      },
      [activityScheduled('a'), activityScheduled('b'), futureCancelled(2)],
    ],
    [
      'losers in another order',
      (ctx) => ctx.race([1, ...[1, 2].map(() => ctx.scheduleTimer(5))]),
      [2, 3].map(() => timerCreated(T0)).concat([3, 2].map(futureCancelled), completed({ key: 0, value: 1 })),
    ],
  ])('finds %s', async (_, handler, bodies) => {
    const { result } = await replay(handler, [started(), ...bodies]);
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
  });

  it('finds code that reads something that was not recorded', async () => {
    let deployments = 0;
    const handler: Handler = (ctx) => ctx.scheduleActivity('a', (deployments += 1));
    const first = await replay(handler, [started(), activityScheduled('a', 1)]);
    const second = await replay(handler, [started(), activityScheduled('a', 1)]);
    expect(first.result.outcome.kind).toBe('waiting');
    expect(faultOf(second.result).message).toMatch(/input: 1.*input: 2/);
  });

  it('cannot be talked out of it by code that catches the error, and names the first difference', async () => {
    const { engine, result } = await replay(
      async (ctx) => {
        for (const name of ['new', 'newer', 'old']) {
          try {
            return await ctx.scheduleActivity(name);
          } catch {
            await null;
          }
        }
        return 'swallowed';
      },
      [started(), activityScheduled('old')],
    );
    expect(faultOf(result).message).toMatch(/name: "old".*name: "new"/);
    expect(engine.isUsable).toBe(false);
  });

  it('commits nothing and takes nothing after a fault', async () => {
    const { engine } = await replay((ctx) => ctx.scheduleActivity('new'), [started(), activityScheduled('old')]);
    const result = await turn(engine, [activityCompleted(2), cancelRequested()], T0);
    expect(result).toMatchObject({ events: '[]', activities: [], outcome: { kind: 'faulted' } });
  });

  it('finds a fault in the middle of a cancel request', async () => {
    const handler: Handler = (ctx) => ctx.all([ctx.scheduleActivity('a'), ctx.scheduleActivity('b')]);
    const asked = [started(), activityScheduled('a'), activityScheduled('b'), cancelRequested()];
    const ok = await replay(handler, [...asked, futureCancelled(2), futureCancelled(3), cancelled()]);
    expect(ok.result.outcome.kind).toBe('cancelled');
    for (const rest of [
      [futureCancelled(3), futureCancelled(2), cancelled()],
      [futureCancelled(2)],
      [futureCancelled(2), futureCancelled(3), failed()],
    ]) {
      expect(faultOf((await replay(handler, [...asked, ...rest])).result)).toMatchObject({ code: 'NONDETERMINISM' });
    }
  });

  it('cuts long sides to a readable length', async () => {
    const { result } = await replay(
      (ctx) => ctx.scheduleActivity('a', 'x'.repeat(5_000)),
      [started(), activityScheduled('a', 'y'.repeat(5_000))],
    );
    expect(faultOf(result).message.length).toBeLessThan(1_500);
    expect(faultOf(result).message).toMatch(/yyy…\}.*xxx…\}/);
  });

  it('of a failed activity that the code handled goes on where it was', async () => {
    const handler: Handler = async (ctx) => {
      const error = await ctx.scheduleActivity('a').catch((thrown: Error) => thrown.message);
      return await ctx.scheduleActivity('b', error);
    };
    const { engine } = await replay(handler, [started(), activityScheduled('a'), activityFailed(2, 'why'), activityScheduled('b', 'why')]);
    const result = await turn(engine, [activityCompleted(4, 'end')], T0);
    expect(result.outcome).toEqual({ kind: 'completed', result: '"end"' });
  });

  it('does not write to the history that it is given', async () => {
    const events = history(started({ input: [1] }), activityScheduled('a', [1]), activityCompleted(2, { a: 1 }), completed({ a: 1 }));
    const host = new TestHost([orchestration('test', (ctx, input) => ctx.scheduleActivity('a', input))]);
    const engine = new ReplayEngine('i1', host);
    await run(engine.replay(deepFreeze(events)));
    expect((await turn(engine, [], T0)).outcome).toEqual({ kind: 'completed', result: '{"a":1}' });
  });

  it('tells a string from a number in the message', async () => {
    const { result } = await replay((ctx) => ctx.scheduleActivity('a', 42), [started(), activityScheduled('a', '42')]);
    const { message } = faultOf(result);
    const [had, has] = [
      /history has (ActivityScheduled \{.*?\})/.exec(message)?.[1],
      /now decides (ActivityScheduled \{.*?\})/.exec(message)?.[1],
    ];
    expect(had).not.toBe(has);
  });

  it('shows the same string in the same form on both sides', async () => {
    const { result } = await replay((ctx) => ctx.scheduleActivity('b', 'same'), [started(), activityScheduled('a', 'same')]);
    expect(faultOf(result).message.match(/input: [^}]*/g)).toEqual(['input: "same"', 'input: "same"']);
  });

  it('compares the reason of a cancelled end with that of its request', async () => {
    const handler: Handler = (ctx) => ctx.scheduleActivity('a');
    const { result } = await replay(handler, [
      started(),
      activityScheduled('a'),
      cancelRequested('one'),
      futureCancelled(2),
      cancelled('another'),
    ]);
    expect(result.outcome.kind).toBe('faulted');
  });

  it.each<readonly [string, () => unknown]>([
    ['JSON.rawJSON', () => ({ id: (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON('12345678901234567890') })],
    ['toJSON with JSON.rawJSON', () => ({ toJSON: () => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON('1.0') })],
    ['a proxy that lists integer keys last', () => new Proxy({ b: 1, 1: 2 }, { ownKeys: () => ['b', '1'] })],
  ])('accepts the same input again when its text is made by %s', async (_, make) => {
    const handler: Handler = (ctx) => ctx.scheduleActivity('a', make());
    const live = await begin(handler, { coldCheck: false });
    const { result } = await replayCold(live.definitions, live.events);
    expect(result.outcome).toEqual({ kind: 'waiting' });
  });
});

describe('an execution that ended', () => {
  // With as little in each end as there can be: nothing but its kind tells them apart.
  const ends: readonly (readonly [string, Handler, Body])[] = [
    ['completes', async (ctx) => void (await ctx.waitForEvent('go')), completed()],
    [
      'fails',
      (ctx) => ctx.waitForEvent('go').then(() => Promise.reject(new RangeError('no'))),
      failed({ name: 'RangeError', message: 'no' }),
    ],
    ['continues as new', (ctx) => ctx.waitForEvent('go').then(() => ctx.continueAsNew()), continuedAsNew()],
  ];
  const pairs = ends.flatMap(([now, handler]) => ends.map(([then, , end]) => [now, then, handler, end] as const));

  it.each(pairs)('is found when the code now %s where it %s', async (now, then, handler, end) => {
    const { result } = await replay(handler, [started(), eventAwaited('go'), eventRaised('go'), end]);
    if (now === then) expect(result.outcome.kind).not.toBe('faulted');
    else expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
  });
});

describe('a start', () => {
  it.each<readonly [string, Handler, Body]>([
    [
      'of a child that was detached before',
      (ctx) => ctx.scheduleSubOrchestration('child', undefined, { instanceId: 'c1' }),
      startRequested('child', 'c1'),
    ],
    [
      'that is detached and was a child before',
      (ctx) => {
        ctx.startOrchestration('child', 'c1');
        return ctx.waitForEvent('go');
      },
      childScheduled('child', 'c1'),
    ],
  ])('%s is found', async (_, handler, recorded) => {
    const { result } = await replay(handler, [started(), recorded]);
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM', message: expect.stringContaining('at event 2') as unknown });
  });
});

describe('what the error says as data', () => {
  const culprit = { name: 'test', instanceId: 'i1', executionId: 1, lastCall: 'none' };
  const [, recorded] = history(started(), timerCreated(T0 + 1));

  it.each([
    ['an event of history', recorded, 'TimerCreated {}'],
    ['the end of history', undefined, null],
  ])('is exact when the code stands against %s, whatever user code wrote', (_, event, side) => {
    // Text of user code may look like the text around it.
    const emitted = `ends here (failed: history has {x}, but the code now decides nothing, but ${stuckError(culprit).message})`;
    const error = nondeterminismError(culprit, { eventId: 2, recorded: event, emitted, location: null });
    expect(error.nondeterminism).toEqual({ eventId: 2, recorded: side, emitted, location: null });
    expect(fromFailure(JSON.parse(JSON.stringify(toFailure(error))) as Failure).nondeterminism).toEqual(error.nondeterminism);
  });

  it('comes with an execution that does not follow its history, and with the place in the code', async () => {
    const { result } = await replay(async (ctx) => await ctx.scheduleActivity('charge', 1), [started(), timerCreated(T0 + 1)]);
    expect(faultOf(result)).toMatchObject({
      nondeterminism: {
        eventId: 2,
        recorded: 'TimerCreated {}',
        emitted: 'ActivityScheduled {name: "charge", input: 1}',
        location: expect.stringMatching(/^at .*nondeterminism\.test\.ts\S*:\d+:\d+/) as unknown,
      },
    });
  });

  it.each([
    ['a decision', 'ActivityScheduled {name: "charge"}', 'at order (file:///app/order.ts:12:20)'],
    ['a decision at an unknown place', 'TimerCreated {}', null],
    ['a decision with text like a place', 'ActivityScheduled {name: " (at x)"}', 'at order (file:///app/order.ts:12:20)'],
    ['an end', 'ends here (failed: Error: no)', null],
    ['nothing', 'decides nothing more here', null],
  ])('is read from the message where it was stored without: %s', (_, emitted, location) => {
    for (const event of [recorded, undefined]) {
      const error = nondeterminismError(culprit, { eventId: 2, recorded: event, emitted, location });
      expect(parseNondeterminism(error.message)).toEqual(error.nondeterminism);
    }
  });

  it('is not read from messages of another form, and from a cut one as far as it goes', () => {
    const { message } = nondeterminismError(culprit, { eventId: 2, recorded, emitted: 'TimerCreated {}', location: null });
    expect(parseNondeterminism(stuckError(culprit).message)).toBeNull();
    expect(parseNondeterminism(message.slice(0, message.indexOf(' {}. ')))?.emitted).toBe('TimerCreated');
  });

  it.each([
    null,
    'text',
    { eventId: '2', recorded: null, emitted: 'x', location: null },
    { eventId: 2, recorded: 3, emitted: 'x', location: null },
    { eventId: 2, recorded: null, emitted: null, location: null },
    { eventId: 2, recorded: null, emitted: 'x' },
  ])('is left out when it is not of its form: %j', (value) => {
    const error = Object.assign(new Error('other'), { nondeterminism: value });
    expect(toFailure(error)).not.toHaveProperty('nondeterminism');
    expect(fromFailure({ name: 'Error', message: 'm', nondeterminism: value } as unknown as Failure).nondeterminism).toBeUndefined();
  });
});

describe('the place where code and history part', () => {
  it('is shown with long events cut', () => {
    const events = history(started(), activityScheduled('a', 'x'.repeat(1_000)), statusSet('y'.repeat(1_000)));
    const { diff } = describeParting(events, { eventId: 3, recorded: 'CustomStatusSet {}', emitted: 'TimerCreated {}', location: null });
    const lines = diff.split('\n');
    expect(lines).toHaveLength(6);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(200);
    expect(lines.some((line) => line.endsWith('…'))).toBe(true);
  });
});
