// Cases of the engine suite: an orchestration, the history that it has, the messages that come, and the events that it then writes.
// Each is run live from the start, too, when its history is one that a live engine writes. Cases that other tests cover: engine-suite-covered.test.ts.
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import { EVENT_ROLES, type EventKind } from '../../src/types/history-event.ts';
import type { RemoteError } from '../../src/types/failure.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  childCompleted,
  childFailed,
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
  parseEvents,
  replayCold,
  started,
  T0,
  timerCreated,
  timerFired,
  toBodies,
  turn,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

/** `past`: history after the start; `now`: messages; `then`: new events, or the message of a fault. */
type Case = readonly [title: string, code: Handler, past: readonly Body[], now: readonly Body[], then: readonly Body[] | RegExp];

const isInput = ({ kind }: Body): boolean => EVENT_ROLES[kind as EventKind] === 'input';

/** Runs a case on its history, and from the start. */
async function check([, code, past, now, then]: Case): Promise<void> {
  const { engine, result } = await replayCold([orchestration('test', code)], history(started(), ...past));
  if (then instanceof RegExp) {
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM', message: expect.stringMatching(then) as string });
    return;
  }
  expect(result.outcome.kind).not.toBe('faulted');
  const cold = await turn(engine, now, T0);
  expect(toBodies(parseEvents(cold.events))).toEqual(then);
  const live = await begin(code);
  await live.deliver(...past.filter(isInput));
  await live.deliver(...now);
  expect(live.bodies).toEqual([started(), ...past, ...then]);
}

/** Settles in words. */
const outcome = (future: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(future).then(
    (value) => value ?? null,
    (error: Error) => error.name,
  );

const run = (cases: readonly Case[]): void => it.each(cases)('%s', (...row) => check(row));

describe('edge cases (9)', () => {
  it('code that does nothing, once and for ever', async () => {
    const instance = await begin(() => undefined);
    expect(instance.bodies).toEqual([started(), completed()]);
    await instance.deliver(eventRaised('late'));
    expect(instance.last.events).toBe('[]');
  });

  const same: Handler = (ctx) => Promise.all([ctx.scheduleActivity('a', 1), ctx.scheduleActivity('a', 1)]);
  const scheduledTwice = [activityScheduled('a', 1), activityScheduled('a', 1)];
  run([
    [
      'equal activities keep their results apart, answered in order',
      same,
      scheduledTwice,
      [activityCompleted(2, 'first'), activityCompleted(3, 'second')],
      [activityCompleted(2, 'first'), activityCompleted(3, 'second'), completed(['first', 'second'])],
    ],
    [
      'equal activities keep their results apart, answered the other way round over a restart',
      same,
      [...scheduledTwice, activityCompleted(3, 'second')],
      [activityCompleted(2, 'first')],
      [activityCompleted(2, 'first'), completed(['first', 'second'])],
    ],
    [
      'names that are Unicode, and names of Object.prototype',
      (ctx) => ctx.all({ a: ctx.scheduleActivity('größe 😀'), b: ctx.waitForEvent('__proto__'), c: ctx.waitForEvent('toString') }),
      [activityScheduled('größe 😀'), eventAwaited('__proto__'), eventAwaited('toString')],
      [eventRaised('toString', 3), eventRaised('__proto__', 2), activityCompleted(2, 1)],
      [eventRaised('toString', 3), eventRaised('__proto__', 2), activityCompleted(2, 1), completed({ a: 1, b: 2, c: 3 })],
    ],
    [
      'empty texts as input and result',
      (ctx) => ctx.scheduleActivity('a', ''),
      [activityScheduled('a', '')],
      [activityCompleted(2, '')],
      [activityCompleted(2, ''), completed('')],
    ],
    ['a timer of zero', (ctx) => ctx.scheduleTimer(0), [timerCreated(T0)], [timerFired(2)], [timerFired(2), completed()]],
    [
      'decisions of one event in many helpers',
      (ctx) => Promise.all(Array.from({ length: 200 }, async (_, index) => (await null, ctx.scheduleActivity('a', index)))),
      Array.from({ length: 200 }, (_, index) => activityScheduled('a', index)),
      [activityCompleted(201, 'last')],
      [activityCompleted(201, 'last')],
    ],
    ['a turn without messages', (ctx) => ctx.scheduleActivity('a'), [activityScheduled('a')], [], []],
  ]);

  it('a long chain in one turn', async () => {
    const instance = await begin(async (ctx) => {
      for (let step = 0; step < 500; step += 1) await ctx.scheduleActivity('a', step);
    });
    await instance.deliver(...Array.from({ length: 500 }, (_, index) => activityCompleted(2 + 2 * index)));
    expect([instance.last.outcome.kind, instance.events.length]).toEqual(['completed', 1 + 500 * 2 + 1]);
  });
});

describe('id allocation (4)', () => {
  run([
    [
      'ids go on where history ends',
      async (ctx) => [await ctx.scheduleActivity('a'), await ctx.scheduleActivity('b'), await ctx.scheduleActivity('c')],
      [activityScheduled('a'), activityCompleted(2, 1), activityScheduled('b')],
      [activityCompleted(4, 2), activityCompleted(6, 3)],
      [activityCompleted(4, 2), activityScheduled('c'), activityCompleted(6, 3), completed([1, 2, 3])],
    ],
  ]);
});

describe('failure classes (5): the code sees all of them, and decides', () => {
  const caught: Handler = (ctx) =>
    Promise.all(
      [ctx.scheduleActivity('a'), ctx.scheduleSubOrchestration('c')].map((future) =>
        future.catch((error: RemoteError) => error.code ?? error.name),
      ),
    );
  const past = [activityScheduled('a'), childScheduled('c', 'i1::1.3')];
  run(
    (
      [
        ['an error of the application', 'E_CARD'],
        ['an activity that killed its threads', 'TOO_MANY_ATTEMPTS'],
        ['an activity that took too long', 'ACTIVITY_TIMEOUT'],
        ['an activity that nobody took', 'ACTIVITY_EXPIRED'],
        ['a child that does not follow its history', 'NONDETERMINISM'],
      ] as const
    ).map(([title, code]): Case => {
      const failure = { name: 'Error', message: 'x', code };
      const events = [activityFailed(2, failure), childFailed(3, failure)];
      return [title, caught, past, events, [...events, completed([code, code])]];
    }),
  );
});

describe('fresh executions (9)', () => {
  it.each<readonly [string, Handler, readonly Body[], string]>([
    ['that return', () => 1, [completed(1)], 'completed'],
    ['that throw', () => Promise.reject(new Error('x')), [failed('x')], 'failed'],
    ['that continue as new', (ctx) => ctx.continueAsNew(1), [continuedAsNew(1)], 'continuedAsNew'],
    ['that wait for an activity', (ctx) => ctx.scheduleActivity('a'), [activityScheduled('a')], 'waiting'],
    ['that wait for a timer', (ctx) => ctx.scheduleTimer(5), [timerCreated(T0 + 5)], 'waiting'],
    ['that wait for an event', (ctx) => ctx.waitForEvent('e'), [eventAwaited('e')], 'waiting'],
    ['that wait for a child', (ctx) => ctx.scheduleSubOrchestration('c'), [childScheduled('c', 'i1::1.2')], 'waiting'],
    [
      'that fan out',
      (ctx) => ctx.all([1, 2, 3].map((value) => ctx.scheduleActivity('a', value))),
      [1, 2, 3].map((value) => activityScheduled('a', value)),
      'waiting',
    ],
    [
      'that race',
      (ctx) => ctx.race([ctx.scheduleActivity('a'), ctx.scheduleTimer(5)]),
      [activityScheduled('a'), timerCreated(T0 + 5)],
      'waiting',
    ],
  ])('%s', async (_, code, events, kind) => {
    const instance = await begin(code);
    expect(instance.bodies).toEqual([started(), ...events]);
    expect(instance.last.outcome.kind).toBe(kind);
  });
});

describe('is replaying (4)', () => {
  /** What the code saw, at its start and after each event. */
  async function seen(past: readonly Body[], now: readonly Body[]): Promise<readonly boolean[]> {
    const answers: boolean[] = [];
    const code: Handler = async (ctx) => {
      answers.push(ctx.isReplaying);
      for (;;) {
        await ctx.waitForEvent('e');
        answers.push(ctx.isReplaying);
      }
    };
    const { engine } = await replayCold([orchestration('test', code)], history(started(), ...past));
    await turn(engine, now, T0);
    return answers;
  }
  const step = [eventRaised('e'), eventAwaited('e')];
  it.each<readonly [string, readonly Body[], readonly Body[], readonly boolean[]]>([
    ['while history lasts, to its last event', [eventAwaited('e'), ...step, ...step], [], [true, true, true]],
    ['not for what comes after it', [eventAwaited('e'), ...step], [eventRaised('e'), eventRaised('e')], [true, true, false, false]],
    ['not at all in the turns of a live engine', [eventAwaited('e')], [eventRaised('e')], [true, false]],
  ])('%s', async (_, past, now, answers) => {
    expect(await seen(past, now)).toEqual(answers);
  });
});

describe('partial histories (4): replay goes on where history ends', () => {
  const code: Handler = async (ctx) => {
    const [one, two] = await ctx.all([ctx.scheduleActivity('a'), ctx.scheduleActivity('b')]);
    await ctx.scheduleTimer(5);
    return [one, two];
  };
  const full = [
    activityScheduled('a'),
    activityScheduled('b'),
    activityCompleted(3, 'B'),
    activityCompleted(2, 'A'),
    timerCreated(T0 + 5),
    { ...timerFired(6), atMs: T0 + 5 },
  ];
  const end = { ...completed(['A', 'B']), atMs: T0 + 5 };
  const plain = (body: Body): Body => {
    const fields: Record<string, unknown> & { kind: string } = { ...body };
    delete fields['atMs'];
    return fields;
  };
  run(
    [2, 3, 5].map((length): Case => {
      const rest = [...full.slice(length), end].map(plain);
      return [`after ${length} of ${full.length} events`, code, full.slice(0, length), rest.filter(isInput), rest];
    }),
  );

  it('of which nothing is left to do give their outcome again', async () => {
    const { result } = await replayCold([orchestration('test', code)], history(started(), ...full, end));
    expect(result).toMatchObject({ events: '[]', outcome: { kind: 'completed', result: '["A","B"]' } });
  });
});

describe('histories with completions (5)', () => {
  run([
    [
      'an activity that is answered',
      async (ctx) => ctx.scheduleActivity('b', await ctx.scheduleActivity('a')),
      [activityScheduled('a'), activityCompleted(2, 7), activityScheduled('b', 7)],
      [activityCompleted(4, 8)],
      [activityCompleted(4, 8), completed(8)],
    ],
    [
      'an activity that failed',
      async (ctx) => ctx.scheduleActivity('b', await outcome(ctx.scheduleActivity('a'))),
      [activityScheduled('a'), activityFailed(2), activityScheduled('b', 'Error')],
      [activityCompleted(4, 8)],
      [activityCompleted(4, 8), completed(8)],
    ],
    [
      'an event that was taken',
      async (ctx) => ctx.scheduleActivity('b', await ctx.waitForEvent('e')),
      [eventAwaited('e'), eventRaised('e', 7), activityScheduled('b', 7)],
      [activityCompleted(4, 8)],
      [activityCompleted(4, 8), completed(8)],
    ],
    [
      'an event that was raised before its wait',
      async (ctx) => [await ctx.scheduleActivity('a'), await ctx.waitForEvent('e')],
      [activityScheduled('a'), eventRaised('e', 7)],
      [activityCompleted(2, 6)],
      [activityCompleted(2, 6), eventAwaited('e'), completed([6, 7])],
    ],
    [
      'a child that answered',
      async (ctx) => ctx.scheduleActivity('b', await ctx.scheduleSubOrchestration('c')),
      [childScheduled('c', 'i1::1.2'), childCompleted(2, 7), activityScheduled('b', 7)],
      [activityCompleted(4, 8)],
      [activityCompleted(4, 8), completed(8)],
    ],
  ]);
});

describe('sequential code (7): each step in turn, rebuilt after each', () => {
  const STEPS = 6;
  const code: Handler = async (ctx) => {
    const results: unknown[] = [];
    for (let step = 0; step < STEPS; step += 1) results.push(await ctx.scheduleActivity('step', step));
    return results;
  };
  const past = (count: number): readonly Body[] =>
    Array.from({ length: count }, (_, step) => [activityScheduled('step', step), activityCompleted(2 + 2 * step, step * 10)]).flat();
  run(
    Array.from({ length: STEPS }, (_, step): Case => {
      const answer = activityCompleted(2 + 2 * step, step * 10);
      const next =
        step + 1 < STEPS ? activityScheduled('step', step + 1) : completed(Array.from({ length: STEPS }, (__, index) => index * 10));
      return [`step ${step + 1}`, code, [...past(step), activityScheduled('step', step)], [answer], [answer, next]];
    }),
  );

  it('all in one turn write the same', async () => {
    const instance = await begin(code);
    await instance.deliver(...past(STEPS).filter(isInput));
    expect(instance.bodies.slice(1, -1)).toEqual(past(STEPS));
  });
});

describe('unobserved futures (23)', () => {
  type Kind = readonly [string, (ctx: OrchestrationContext) => PromiseLike<unknown> & { cancel(): void }, Body, readonly Body[]];
  /** What may be given up, its event as event 2, and answers that come too late. */
  const kinds: readonly Kind[] = [
    ['an activity', (ctx) => ctx.scheduleActivity('a'), activityScheduled('a'), [activityCompleted(2), activityFailed(2)]],
    ['a timer', (ctx) => ctx.scheduleTimer(5), timerCreated(T0 + 5), [timerFired(2)]],
    ['a wait', (ctx) => ctx.waitForEvent('e'), eventAwaited('e'), []],
    ['a child', (ctx) => ctx.scheduleSubOrchestration('c'), childScheduled('c', 'i1::1.2'), [childCompleted(2), childFailed(2)]],
  ];
  const go = eventRaised('go');
  run(
    kinds.flatMap(([name, ask, asked, late]): readonly Case[] => [
      [
        `${name} that loses a race is cancelled before the code goes on`,
        async (ctx) => {
          await ctx.race([ask(ctx), ctx.waitForEvent('go')]);
          await ctx.scheduleActivity('next');
        },
        [asked, eventAwaited('go')],
        [go],
        [go, futureCancelled(2), activityScheduled('next')],
      ],
      [
        `${name} that lost a race is cancelled on replay, too, and its late answers are dropped`,
        async (ctx) => {
          await ctx.race([ask(ctx), ctx.waitForEvent('go')]);
          await ctx.scheduleActivity('next');
        },
        [asked, eventAwaited('go'), go, futureCancelled(2), activityScheduled('next')],
        [...late, activityCompleted(6)],
        [activityCompleted(6), completed()],
      ],
      [
        `${name} that is given up by its handle is cancelled once`,
        async (ctx) => {
          const future = ask(ctx);
          future.cancel();
          future.cancel();
          return [await outcome(future), await ctx.waitForEvent('go')];
        },
        [asked, futureCancelled(2), eventAwaited('go')],
        [eventRaised('go', 1)],
        [eventRaised('go', 1), completed(['CancelledError', 1])],
      ],
      [
        `${name} that nobody awaits does not hold up the end, which cancels it`,
        async (ctx) => {
          void ask(ctx);
          await ctx.waitForEvent('go');
        },
        [asked, eventAwaited('go')],
        [go],
        [go, futureCancelled(2), completed()],
      ],
      [
        `${name} whose cancellation the code forgot is found`,
        async (ctx) => {
          void ask(ctx);
          await ctx.waitForEvent('go');
          await ctx.scheduleActivity('next');
        },
        [asked, eventAwaited('go'), go, futureCancelled(2), activityScheduled('next')],
        [],
        /at event 5: history has FutureCancelled \{sourceId: 2\}, but the code now decides ActivityScheduled/,
      ],
    ]),
  );
  run([
    [
      'a wait that was given up leaves its event to the next one (T19)',
      async (ctx) => {
        ctx.waitForEvent('e').cancel();
        return await ctx.waitForEvent('e');
      },
      [eventAwaited('e'), futureCancelled(2), eventAwaited('e')],
      [eventRaised('e', 1)],
      [eventRaised('e', 1), completed(1)],
    ],
    [
      'the answer of a loser does not hold up later answers (T20)',
      async (ctx) => {
        await ctx.race([ctx.scheduleActivity('slow'), ctx.scheduleTimer(0)]);
        return await ctx.scheduleActivity('next');
      },
      [activityScheduled('slow'), timerCreated(T0), timerFired(3), futureCancelled(2), activityScheduled('next')],
      [activityCompleted(2, 'late'), activityCompleted(6, 'in time')],
      [activityCompleted(6, 'in time'), completed('in time')],
    ],
    [
      'futures that settled before the end are not cancelled by it',
      async (ctx) => {
        void ctx.scheduleActivity('a');
        void ctx.scheduleActivity('b');
        await ctx.waitForEvent('go');
      },
      [activityScheduled('a'), activityScheduled('b'), eventAwaited('go'), activityCompleted(2)],
      [go],
      [go, futureCancelled(3), completed()],
    ],
  ]);
});
