// Named regression tests for the traps of the reference system that live in the replay engine. Each instance here is also rebuilt from its
// history before and after each turn (see replay-harness.ts). docs/traps.md lists all traps with their tests.
import { describe, expect, test } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import type { Failure } from '../../src/types/failure.ts';
import { MAX_CARRIED_EVENT_UNITS, MAX_HISTORY_EVENTS, MAX_PAYLOAD_BYTES, MAX_VALUE_BYTES } from '../../src/types/limits.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  begin,
  beginNext,
  cancelled,
  cancelRequested,
  childCompleted,
  childFailed,
  childScheduled,
  completed,
  eventAwaited,
  eventRaised,
  failed,
  faultOf,
  futureCancelled,
  history,
  nextStart,
  orchestration,
  patched,
  replayCold,
  sessionMessageSent,
  start,
  started,
  startRequested,
  statusSet,
  T0,
  timerCreated,
  timerFired,
  topicPublished,
  topicReceived,
  topicSubscribed,
  topicUnsubscribed,
  turn,
  valueDeleted,
  valueSet,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

const parent = { instanceId: 'mum', executionId: 3, eventId: 7 };

/** Code that decides something and then waits. */
const deciding =
  (decide: (ctx: OrchestrationContext) => unknown): Handler =>
  async (ctx) => {
    decide(ctx);
    await ctx.waitForEvent('end');
  };

describe('parents and children', () => {
  test('T1: a child keeps its parent over many executions, and only that parent can cancel it', async () => {
    const handler: Handler<number> = async (ctx, left) => {
      if (left > 0) return ctx.continueAsNew(left - 1);
      return ctx.waitForEvent('never');
    };
    let child = await begin<number>(handler, { parent, input: 3 });
    for (let execution = 2; execution <= 4; execution += 1) child = await beginNext(child);
    expect(child.bodies[0]).toMatchObject({ executionId: 4, parent });
    await child.deliver(cancelRequested('by a stranger', { ...parent, eventId: 8 }));
    expect(child.last.outcome.kind).toBe('waiting');
    await child.deliver(cancelRequested('by mum', parent));
    expect(child.last.outcome.kind).toBe('cancelled');
    expect(child.last.messages.map(({ instanceId, payload }) => [instanceId, JSON.parse(payload) as unknown])).toMatchObject([
      ['mum', { kind: 'SubOrchestrationFailed', executionId: 3, sourceId: 7, failure: { code: 'CANCELLED' } }],
    ]);
  });

  test('T2: an answer for another execution of the parent is dropped, in each order of arrival', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('kid'), { executionId: 2 });
    await instance.deliver(childCompleted(2, 'old', 1), childCompleted(2, 'new', 3), childFailed(2, 'old', 1));
    expect(instance.lastBodies).toEqual([]);
    await instance.deliver(childCompleted(2, 'own', 2));
    expect(instance.result).toBe('own');
  });

  test('T3: the ids of children hold the execution, so that the next execution meets no child of the one before', async () => {
    const handler: Handler = async (ctx) => {
      await ctx.all([ctx.scheduleSubOrchestration('kid'), ctx.scheduleSubOrchestration('kid')]);
      return ctx.continueAsNew();
    };
    const ids: (string | undefined)[] = [];
    let instance = await begin(handler);
    for (let execution = 1; execution <= 3; execution += 1) {
      ids.push(...instance.last.starts.map(({ instanceId }) => instanceId));
      await instance.deliver(childCompleted(2, null, execution), childCompleted(3, null, execution));
      instance = await beginNext(instance);
    }
    expect(new Set(ids).size).toBe(6);
  });

  test('T38: children are closed by their policy at every end of the parent, continue-as-new included', async () => {
    const ends: Readonly<Record<string, (ctx: OrchestrationContext) => unknown>> = {
      completed: () => 1,
      failed: () => Promise.reject(new Error('x')),
      continuedAsNew: (ctx) => ctx.continueAsNew(),
    };
    for (const [kind, end] of Object.entries(ends)) {
      const instance = await begin(async (ctx) => {
        for (const onParentClose of ['cancel', 'abandon', 'terminate'] as const) {
          void ctx.scheduleSubOrchestration('kid', null, { instanceId: onParentClose, onParentClose });
        }
        await ctx.waitForEvent('end');
        return end(ctx);
      });
      await instance.deliver(eventRaised('end'));
      expect(instance.last.outcome.kind).toBe(kind);
      expect(instance.last.messages.map(({ instanceId }) => instanceId)).toEqual(['cancel']);
      expect(instance.last.effects?.terminations).toEqual([{ instanceId: 'terminate', eventId: 4 }]);
    }
  });
});

describe('completions', () => {
  test.each<readonly [string, (ctx: OrchestrationContext) => Promise<unknown>, readonly Body[]]>([
    ['an activity, failed first', (ctx) => ctx.scheduleActivity('a'), [activityFailed(2, 'no'), activityCompleted(2), activityFailed(2)]],
    [
      'an activity, completed first',
      (ctx) => ctx.scheduleActivity('a'),
      [activityCompleted(2, 1), activityFailed(2), activityCompleted(2)],
    ],
    ['a child, failed first', (ctx) => ctx.scheduleSubOrchestration('a'), [childFailed(2, 'no'), childCompleted(2), childFailed(2)]],
    ['a child, completed first', (ctx) => ctx.scheduleSubOrchestration('a'), [childCompleted(2, 1), childFailed(2), childCompleted(2)]],
    ['a timer', (ctx) => ctx.scheduleTimer(1), [timerFired(2), timerFired(2)]],
    ['an activity, by what belongs to a child', (ctx) => ctx.scheduleActivity('a'), [activityCompleted(2), childFailed(2), timerFired(2)]],
  ])('T13: the first answer to %s counts, others are dropped in the same turn and later', async (_, ask, answers) => {
    for (const inOneTurn of [true, false]) {
      const instance = await begin(async (ctx) => {
        await ask(ctx).catch(() => null);
        await ctx.waitForEvent('end');
      });
      if (inOneTurn) await instance.deliver(...answers);
      else for (const answer of answers) await instance.deliver(answer);
      expect(instance.bodies.slice(2)).toEqual([answers[0], eventAwaited('end')]);
      await instance.deliver(eventRaised('end'));
      expect(instance.last.outcome.kind).toBe('completed');
    }
  });

  test('T25: a decision takes one completion; the second of the same kind is no event', async () => {
    const instance = await begin(async (ctx) => {
      const first = await ctx.scheduleActivity('a');
      return [first, await ctx.scheduleActivity('b')];
    });
    await instance.deliver(activityCompleted(2, 'one'), activityCompleted(2, 'two'));
    await instance.deliver(activityCompleted(2, 'three'));
    expect(instance.lastBodies).toEqual([]);
    await instance.deliver(activityCompleted(4, 'end'));
    expect(instance.result).toEqual(['one', 'end']);
  });

  test('T20: answers to losers of nested races hold nothing up', async () => {
    const instance = await begin(async (ctx) => {
      const inner = ctx.race({ a: ctx.scheduleActivity('a'), b: ctx.scheduleActivity('b') });
      const outer = await ctx.race({ inner, timer: ctx.scheduleTimer(5) });
      return [outer.key, await ctx.scheduleActivity('c')];
    });
    await instance.deliver(timerFired(4), activityCompleted(2), activityCompleted(3));
    await instance.deliver(activityCompleted(2), activityFailed(3), activityCompleted(8, 'c'));
    expect(instance.result).toEqual(['timer', 'c']);
  });

  test('T40: hundreds of futures in one group all settle, whatever the order and the batches', async () => {
    const count = 300;
    const handler: Handler = async (ctx) => {
      const all = ctx.all(Array.from({ length: count }, (_, index) => ctx.scheduleActivity('a', index)));
      const native = Promise.all(Array.from({ length: count }, () => ctx.waitForEvent('e')));
      return [(await all).length, (await native).length];
    };
    const instance = await begin(handler);
    const answers = Array.from({ length: count }, (_, index) => activityCompleted(2 + ((index * 7) % count), index));
    await instance.deliver(...answers.slice(0, 31));
    await instance.deliver(...answers.slice(31));
    await instance.deliver(...Array.from({ length: count }, (_, index) => eventRaised('e', index)));
    expect(instance.result).toEqual([count, count]);
  });

  test('T21: a timer that the store hands out early moves the clock of the instance to its due time', async () => {
    const instance = await begin(async (ctx) => {
      const fromMs = ctx.now();
      await ctx.scheduleTimer(5_000);
      const pausedMs = ctx.now() - fromMs;
      await ctx.scheduleActivity('a', undefined, { retry: { initialIntervalMs: 100 } });
      return [pausedMs, ctx.now() - fromMs];
    });
    await instance.deliver(timerFired(2));
    await instance.deliver(activityFailed(4));
    await instance.deliver(timerFired(6));
    await instance.deliver(activityCompleted(8));
    expect(instance.result).toEqual([5_000, 5_100]);
  });
});

describe('history', () => {
  test('T22: a detached start is an event, so that what follows it keeps its place', async () => {
    const instance = await begin(async (ctx) => {
      ctx.startOrchestration('other', 'o1', { a: 1 });
      return ctx.scheduleActivity('after');
    });
    expect(instance.bodies).toEqual([started(), startRequested('other', 'o1', { a: 1 }), activityScheduled('after')]);
    await instance.deliver(activityCompleted(3, 'x'));
    expect(instance.result).toBe('x');
    expect(instance.last.starts).toEqual([]);
  });

  test('T23: time, randomness and ids are the same on replay, and cost no turn', async () => {
    const seen: unknown[] = [];
    const instance = await begin(async (ctx) => {
      const drawn = [ctx.now(), ctx.uuid(), ctx.random(), ctx.uuid()];
      await ctx.scheduleActivity('a');
      drawn.push(ctx.now(), ctx.uuid());
      seen.push(drawn);
      await ctx.waitForEvent('end');
    });
    expect(instance.bodies).toEqual([started(), activityScheduled('a')]);
    instance.nowMs = T0 + 77;
    await instance.deliver(activityCompleted(2));
    instance.nowMs = T0 + 9_999;
    await instance.deliver(eventRaised('end'));
    expect(seen.length).toBeGreaterThan(1);
    expect(new Set(seen.map((drawn) => JSON.stringify(drawn))).size).toBe(1);
    expect(new Set(seen[0] as unknown[]).size).toBe(6);
  });

  test('T24: a completion that arrives alone runs the version of the history, not the latest', async () => {
    const old = orchestration('test', async (ctx) => [await ctx.scheduleActivity('a'), 'old'], '1.0.0');
    const latest = orchestration('test', (ctx) => ctx.waitForEvent('new'), '2.0.0');
    const { engine } = await replayCold([old, latest], history(started({ version: '1.0.0' }), activityScheduled('a')));
    const result = await turn(engine, [activityCompleted(2, 'x')], T0);
    expect(result).toMatchObject({ outcome: { kind: 'completed', result: '["x","old"]' }, version: '1.0.0' });
  });

  test.each<readonly [string, (ctx: OrchestrationContext) => unknown, readonly Body[]]>([
    ['tag of an activity', (ctx) => ctx.scheduleActivity('a', 1, { tag: 'x' }), [activityScheduled('a', 1, { tag: 'y' })]],
    ['tag of an activity, none before', (ctx) => ctx.scheduleActivity('a', 1, { tag: 'x' }), [activityScheduled('a', 1)]],
    ['session of an activity', (ctx) => ctx.scheduleActivity('a', 1, { sessionId: 'x' }), [activityScheduled('a', 1, { sessionId: 'y' })]],
    ['session of an activity, none now', (ctx) => ctx.scheduleActivity('a', 1), [activityScheduled('a', 1, { sessionId: 'y' })]],
    [
      'version of a child',
      (ctx) => ctx.scheduleSubOrchestration('k', 1, { instanceId: 'i', version: '2.0.0' }),
      [childScheduled('k', 'i', 1, '1.0.0')],
    ],
    ['id of a child', (ctx) => ctx.scheduleSubOrchestration('k', 1, { instanceId: 'i' }), [childScheduled('k', 'j', 1)]],
    [
      'close policy of a child',
      (ctx) => ctx.scheduleSubOrchestration('k', 1, { instanceId: 'i', onParentClose: 'abandon' }),
      [childScheduled('k', 'i', 1, undefined, 'terminate')],
    ],
    [
      'version of a detached start',
      (ctx) => ctx.startOrchestration('o', 'i', 1, { version: '2.0.0' }),
      [startRequested('o', 'i', 1, '1.0.0')],
    ],
    ['custom status', (ctx) => ctx.setCustomStatus({ step: 2 }), [statusSet({ step: 1 })]],
    ['topic', (ctx) => ctx.publish('a', 1), [topicPublished('b', 1)]],
    ['data of a topic', (ctx) => ctx.publish('a', 1), [topicPublished('a', 2)]],
    ['pattern of a subscription', (ctx) => ctx.subscribe('a/*'), [topicSubscribed('a/**')]],
    ['end of a subscription', (ctx) => ctx.subscribe('a').unsubscribe(), [topicSubscribed('a'), eventAwaited('end')]],
    ['session of a message', (ctx) => ctx.sendToSession('x', 1), [sessionMessageSent('y', 1)]],
    ['message to a session', (ctx) => ctx.sendToSession('x', 1), [sessionMessageSent('x', 2)]],
    ['id of a patch', (ctx) => ctx.deprecatePatch('a'), [patched('b')]],
  ])('T43: a changed %s is found', async (_, decide, recorded) => {
    const definitions = [orchestration('test', deciding(decide))];
    const { result } = await replayCold(definitions, history(started(), ...recorded, eventAwaited('end')));
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
  });

  test('T43: code that was shortened is found at the end of each kind of event', async () => {
    const tails: readonly (readonly Body[])[] = [
      [activityScheduled('b')],
      [timerCreated(T0)],
      [statusSet(1), activityScheduled('b')],
      [valueSet('k', 1), activityScheduled('b')],
      [topicSubscribed('t'), activityScheduled('b')],
      [patched('p'), activityScheduled('b')],
    ];
    for (const tail of tails) {
      const definitions = [
        orchestration('test', async (ctx) => {
          await ctx.scheduleActivity('a');
          await ctx.waitForEvent('go');
        }),
      ];
      const recorded = history(started(), activityScheduled('a'), activityCompleted(2), eventAwaited('go'), ...tail);
      const { result } = await replayCold(definitions, recorded);
      expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
    }
  });

  test.each<readonly [string, readonly Body[]]>([
    ['a value', [valueSet('k', 1)]],
    ['the deletion of a value', [valueDeleted('k')]],
    ['a custom status', [statusSet(1)]],
    ['the reset of a custom status', [statusSet()]],
    ['a subscription', [topicSubscribed('t')]],
    ['the end of a subscription', [topicUnsubscribed('t')]],
    ['a publication', [topicPublished('t', 1)]],
    ['a message to a session', [sessionMessageSent('s', 1)]],
    ['a patch', [patched('p')]],
  ])('T48: %s that the code does not decide is found', async (_, recorded) => {
    const definitions = [orchestration('test', (ctx) => ctx.waitForEvent('end'))];
    const { result } = await replayCold(definitions, history(started(), ...recorded, eventAwaited('end')));
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
  });

  test('T44: whatever the end, the terminal event is the last one and has its own id', async () => {
    const handlers: readonly Handler[] = [
      () => 'done',
      () => Promise.reject(new Error('broken')),
      () => new Promise(() => undefined),
      (ctx) => ctx.continueAsNew(),
      () => 1n,
    ];
    for (const end of handlers) {
      const instance = await begin(async (ctx, input) => {
        void ctx.scheduleActivity('open');
        void ctx.scheduleTimer('1h');
        void ctx.scheduleSubOrchestration('kid');
        ctx.kv.set('k', 1);
        await ctx.waitForEvent('go');
        return end(ctx, input);
      });
      await instance.deliver(eventRaised('go'));
      if (instance.last.outcome.kind === 'waiting') await instance.deliver(cancelRequested());
      const kinds = instance.events.map(({ kind }) => kind);
      expect(kinds.at(-1)).toMatch(/^Orchestration(?:Completed|Failed|Cancelled|ContinuedAsNew)$/);
      expect(kinds.filter((kind) => /^Orchestration(?:Completed|Failed|Cancelled|ContinuedAsNew)$/.test(kind))).toHaveLength(1);
      expect(instance.events.map(({ id }) => id)).toEqual(kinds.map((_, index) => index + 1));
    }
  });
});

describe('events', () => {
  test('T15: events and messages of topics that come before their first wait are kept in order', async () => {
    const handler: Handler = async (ctx) => {
      const topic = ctx.subscribe('t');
      await ctx.scheduleTimer(5);
      return [await ctx.waitForEvent('e'), await topic.next(), await ctx.waitForEvent('e')];
    };
    const instance = await begin(handler);
    await instance.deliver(eventRaised('e', 1), topicReceived('t', 'x'), eventRaised('e', 2), timerFired(3));
    expect(instance.result).toEqual([1, { topic: 't', data: 'x' }, 2]);
  });

  test('T16: too many unread events fail the orchestration, or are dropped as it was asked for, never silently', async () => {
    const large = 'x'.repeat(MAX_CARRIED_EVENT_UNITS / 4);
    const tooMany = ['a', 'b', 'c', 'd', 'e'].map((first) => eventRaised('e', `${first}${large}`));
    const carriedBy = async (onEventOverflow: 'fail' | 'dropOldest' | 'dropNewest'): Promise<ReturnType<typeof begin>> => {
      const instance = await begin(async (ctx) => {
        await ctx.waitForEvent('go');
        return ctx.continueAsNew(null, { onEventOverflow });
      });
      await instance.deliver(...tooMany, eventRaised('go'));
      return instance;
    };
    const failing = await carriedBy('fail');
    expect(failing.failure).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    for (const [policy, left] of [
      ['dropOldest', 'cde'],
      ['dropNewest', 'abc'],
    ] as const) {
      const instance = await carriedBy(policy);
      const carried = nextStart(instance.last)['carried'] as readonly { readonly data: string }[];
      expect(carried.map(({ data }) => data[0]).join('')).toBe(left);
      expect(instance.last.logs).toMatchObject([{ level: 'warn', fields: { policy } }]);
      expect(instance.last.effects?.metrics).toMatchObject([{ kind: 'counter', name: 'duraloom_events_dropped_total', value: 2 }]);
    }
  });

  test('T16: messages of topics are carried over like events, and taken by the next subscription', async () => {
    const handler: Handler<number> = async (ctx, round) => {
      const topic = ctx.subscribe('t/*');
      if (round === 1) {
        await ctx.waitForEvent('go');
        return ctx.continueAsNew(2);
      }
      return [await topic.next(), await topic.next()];
    };
    const first = await begin<number>(handler, { input: 1 });
    await first.deliver(topicReceived('t/1', 1), topicReceived('t/2', 2), eventRaised('go'));
    const second = await beginNext(first);
    expect(second.result).toEqual([
      { topic: 't/1', data: 1 },
      { topic: 't/2', data: 2 },
    ]);
  });

  test('T19: waits that were given up by a scope, a race or a loop take no event', async () => {
    const instance = await begin(async (ctx) => {
      const scope = ctx.scope(() => ctx.waitForEvent('e'));
      await ctx.race({ event: ctx.waitForEvent('e'), timer: ctx.scheduleTimer(1) });
      scope.cancel();
      await scope.catch(() => null);
      for await (const data of ctx.events('e')) return data;
      return null;
    });
    await instance.deliver(timerFired(4));
    await instance.deliver(eventRaised('e', 'first'));
    expect(instance.result).toBe('first');
  });

  test('T19: a wait for a topic that lost a race takes no message', async () => {
    const instance = await begin(async (ctx) => {
      const topic = ctx.subscribe('t/*');
      await ctx.race([topic.next(), ctx.scheduleTimer(1)]);
      return topic.next();
    });
    await instance.deliver(timerFired(4));
    await instance.deliver(topicReceived('t/1', 'first'));
    expect(instance.result).toEqual({ topic: 't/1', data: 'first' });
  });

  test('T47: a long chain of events that are there already is no endless loop', async () => {
    const count = 5_000;
    const instance = await begin(
      async (ctx) => {
        await ctx.waitForEvent('go');
        let sum = 0;
        for (let index = 0; index < count; index += 1) sum += await ctx.waitForEvent<number>('e');
        return sum;
      },
      { coldCheck: false },
    );
    await instance.deliver(...Array.from({ length: count }, () => eventRaised('e', 1)), eventRaised('go'));
    expect(instance.result).toBe(count);
    expect(instance.events.length).toBeLessThan(MAX_HISTORY_EVENTS);
  });

  test('T55: equal events are events of their own; only the caller’s key makes a duplicate, over continue-as-new as well', async () => {
    const handler: Handler<number> = async (ctx, round) => {
      const taken = [await ctx.waitForEvent('e'), await ctx.waitForEvent('e')];
      return round === 1 ? ctx.continueAsNew(2) : taken;
    };
    const first = await begin<number>(handler, { input: 1 });
    await first.deliver(eventRaised('e', 'same'), eventRaised('e', 'same'));
    const second = await beginNext(first);
    await second.deliver(eventRaised('e', 'keyed', 'k1'), eventRaised('e', 'keyed', 'k1'));
    expect(second.last.outcome.kind).toBe('waiting');
    await second.deliver(eventRaised('e', 'keyed', 'k2'));
    expect(second.result).toEqual(['keyed', 'keyed']);

    const keyed = await begin<number>(handler, { input: 1 });
    await keyed.deliver(eventRaised('e', 1, 'k1'), eventRaised('e', 2, 'k2'));
    const next = await beginNext(keyed);
    await next.deliver(eventRaised('e', 1, 'k1'), eventRaised('e', 2, 'k2'), topicReceived('t', 1, 'k1'), eventRaised('e', 3, 'k3'));
    expect(next.lastBodies).toEqual([eventRaised('e', 3, 'k3'), eventAwaited('e')]);
  });

  test('T62: the data of an event comes through race, all and any as it was raised', async () => {
    for (const data of ['42', 42, '"quoted"', '{"a":1}', { a: '1' }, ['x'], null, true]) {
      const instance = await begin(async (ctx) => {
        const raced = await ctx.race({ event: ctx.waitForEvent('e'), timer: ctx.scheduleTimer('1h') });
        const [all] = await ctx.all([ctx.waitForEvent('e')]);
        const any = await ctx.any([ctx.waitForEvent('e')]);
        const inScope = await ctx.scope(() => ctx.waitForEvent('e'));
        return [raced.value, all, any.value, inScope];
      });
      await instance.deliver(...Array.from({ length: 4 }, () => eventRaised('e', data)));
      expect(instance.result).toEqual([data, data, data, data]);
    }
  });
});

describe('state', () => {
  test('T14: keys are listed and pruned in one order and by the recorded time, whatever the order of writing', async () => {
    const code = async (ctx: OrchestrationContext, keys: readonly string[]): Promise<unknown> => {
      for (const key of keys) ctx.kv.set(key, 1);
      await ctx.waitForEvent('later');
      ctx.kv.set('b', 2);
      await ctx.waitForEvent('prune');
      const pruned = ctx.kv.prune(ctx.now() - 50);
      return [pruned, ctx.kv.entries()];
    };
    for (const keys of [
      ['a', 'b', 'ä', 'Z'],
      ['Z', 'ä', 'b', 'a'],
    ]) {
      const instance = await begin((ctx) => code(ctx, keys));
      instance.nowMs = T0 + 100;
      await instance.deliver(eventRaised('later'));
      instance.nowMs = T0 + 120;
      await instance.deliver(eventRaised('prune'));
      expect(instance.lastBodies.slice(1, -1)).toEqual([valueDeleted('Z'), valueDeleted('a'), valueDeleted('ä')]);
      expect(instance.result).toEqual([3, [['b', 2]]]);
    }
  });

  test('T17: read, change, write over turns and executions gives on replay what it gave live', async () => {
    const handler: Handler<number> = async (ctx, round) => {
      const seen: unknown[] = [];
      for (let step = 0; step < 3; step += 1) {
        const count = ctx.kv.get<number>('count') ?? 0;
        seen.push(count);
        ctx.kv.set('count', count + 1);
        await ctx.waitForEvent('step');
      }
      return round < 3 ? ctx.continueAsNew(round + 1) : seen;
    };
    let instance = await begin<number>(handler, { input: 1 });
    for (let round = 1; round <= 3; round += 1) {
      for (let step = 0; step < 3; step += 1) await instance.deliver(eventRaised('step'));
      if (round < 3) instance = await beginNext(instance);
    }
    expect(instance.result).toEqual([6, 7, 8]);
  });

  test('T18: the custom status is an event: it reads as it was set, turn by turn, on replay and after continue-as-new', async () => {
    const handler: Handler<number> = async (ctx, round) => {
      const seen = [ctx.getCustomStatus()];
      ctx.setCustomStatus({ round });
      await ctx.waitForEvent('e');
      seen.push(ctx.getCustomStatus());
      return round === 1 ? ctx.continueAsNew(2) : seen;
    };
    const first = await begin<number>(handler, { input: 1 });
    await first.deliver(eventRaised('e'));
    const second = await beginNext(first);
    await second.deliver(eventRaised('e'));
    expect(second.result).toEqual([{ round: 1 }, { round: 2 }]);
  });

  test('T52: text that looks like a number, and the number, stay what they are, on every way', async () => {
    const values = ['42', 42, 'true', true, 'null', null, '"x"', '', '[]', []];
    const handler: Handler = async (ctx, input) => {
      ctx.setCustomStatus(values);
      ctx.kv.set('k', values);
      const topic = ctx.subscribe('t');
      const activity = await ctx.scheduleActivity('a', values);
      const child = await ctx.scheduleSubOrchestration('kid', values);
      const event = await ctx.waitForEvent('e');
      const { data } = await topic.next();
      return [input, ctx.getCustomStatus(), ctx.kv.get('k'), activity, child, event, data];
    };
    const instance = await begin(handler, { input: values });
    expect(instance.last.activities[0]?.input).toBe(JSON.stringify(values));
    await instance.deliver(eventRaised('e', values), topicReceived('t', values));
    await instance.deliver(activityCompleted(5, values));
    await instance.deliver(childCompleted(9, values));
    expect(instance.result).toEqual(Array.from({ length: 7 }, () => values));
  });
});

describe('limits', () => {
  test('T11: a breach fails the orchestration as any error does: one end, the parent is told, detached starts go out', async () => {
    const breaches: readonly ((ctx: OrchestrationContext) => unknown)[] = [
      () => 'x'.repeat(MAX_PAYLOAD_BYTES),
      (ctx) => ctx.scheduleActivity('a', 'x'.repeat(MAX_PAYLOAD_BYTES)),
      (ctx) => ctx.setCustomStatus('x'.repeat(MAX_PAYLOAD_BYTES)),
      (ctx) => ctx.kv.set('k', 'x'.repeat(MAX_VALUE_BYTES)),
      (ctx) => ctx.publish('t', 'x'.repeat(MAX_PAYLOAD_BYTES)),
      (ctx) => ctx.sendToSession('s', 'x'.repeat(MAX_PAYLOAD_BYTES)),
      (ctx) => ctx.continueAsNew('x'.repeat(MAX_PAYLOAD_BYTES)),
      (ctx) => ctx.scheduleActivity('a', 1, { tag: 'x'.repeat(257) }),
    ];
    for (const breach of breaches) {
      const instance = await begin(
        (ctx) => {
          ctx.startOrchestration('other', 'o1');
          return breach(ctx);
        },
        { parent },
      );
      expect(instance.bodies.map(({ kind }) => kind)).toEqual([
        'OrchestrationStarted',
        'OrchestrationStartRequested',
        'OrchestrationFailed',
      ]);
      expect(instance.failure.code).toMatch(/^(?:PAYLOAD_TOO_LARGE|ARGUMENT_INVALID)$/);
      expect(instance.last.starts.map(({ instanceId }) => instanceId)).toEqual(['o1']);
      expect(instance.last.messages.map(({ instanceId }) => instanceId)).toEqual(['mum']);
      expect(instance.last.activities).toEqual([]);
    }
  });

  test('T11: a breach can be caught, and then nothing of it is in the history', async () => {
    const instance = await begin((ctx) => {
      try {
        ctx.kv.set('k', 'x'.repeat(MAX_VALUE_BYTES));
      } catch (error) {
        return (error as { readonly code?: string }).code;
      }
      return 'no error';
    });
    expect(instance.bodies).toEqual([started(), completed('PAYLOAD_TOO_LARGE')]);
  });
});

describe('cancellation', () => {
  test('T45: a turn that is cancelled still asks for all that its history says', async () => {
    const instance = await begin(async (ctx) => {
      try {
        await ctx.waitForEvent('never');
      } catch (error) {
        ctx.startOrchestration('other', 'o1');
        ctx.publish('t', 'bye');
        ctx.kv.set('left', true);
        void ctx.shield(() => ctx.scheduleActivity('lost'));
        throw error;
      }
    });
    await instance.deliver(cancelRequested('stop'));
    const { starts, activities, cancelledActivities, effects } = instance.last;
    expect(instance.last.outcome.kind).toBe('cancelled');
    expect(starts.map(({ instanceId }) => instanceId)).toEqual(['o1']);
    expect(effects).toMatchObject({ publications: [{ topic: 't' }], values: [{ key: 'left', value: 'true' }] });
    const scheduled = instance.events.filter(({ kind }) => kind === 'ActivityScheduled').map(({ id }) => id);
    expect(activities.map(({ eventId }) => eventId)).toEqual(scheduled);
    expect(cancelledActivities).toEqual(scheduled);
    expect(instance.lastBodies.at(-1)).toEqual(cancelled('stop'));
  });

  test.each<readonly [string, readonly Body[]]>([
    ['nobody was cancelled', [eventAwaited('end')]],
    ['somebody else was cancelled', [futureCancelled(2), eventAwaited('end')]],
    ['more were cancelled', [futureCancelled(3), futureCancelled(2), eventAwaited('end')]],
    ['it was cancelled at another place', [eventAwaited('end'), futureCancelled(3)]],
  ])('T60: who was cancelled is in the history, and a replay that disagrees is found: %s', async (_, recorded) => {
    const handler: Handler = async (ctx) => {
      const kept = ctx.scheduleActivity('kept');
      ctx.scheduleActivity('given up').cancel();
      await ctx.waitForEvent('end');
      return kept;
    };
    const before = [started(), activityScheduled('kept'), activityScheduled('given up')];
    const { result } = await replayCold([orchestration('test', handler)], history(...before, ...recorded));
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
    const good = await replayCold([orchestration('test', handler)], history(...before, futureCancelled(3), eventAwaited('end')));
    expect(good.result.outcome.kind).toBe('waiting');
  });

  test('T60: losers are cancelled once, in the same order live and on replay', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.race({
        a: ctx.scheduleActivity('a'),
        t: ctx.scheduleTimer('1h'),
        e: ctx.waitForEvent('e'),
        k: ctx.scheduleSubOrchestration('k'),
      });
      await ctx.waitForEvent('end');
    });
    await instance.deliver(eventRaised('e'));
    expect(instance.lastBodies).toEqual([
      eventRaised('e'),
      futureCancelled(2),
      futureCancelled(3),
      futureCancelled(5),
      eventAwaited('end'),
    ]);
    expect(instance.last).toMatchObject({ cancelledActivities: [2], cancelledTimers: [3], messages: [{ instanceId: 'i1::1.5' }] });
    await instance.deliver(eventRaised('end'));
    expect(instance.lastBodies).toEqual([eventRaised('end'), completed()]);
  });
});

describe('retries', () => {
  const timedOut = { name: 'TimeoutError', message: 'too long', code: 'ACTIVITY_TIMEOUT' };

  test('T34: an attempt that timed out is tried again', async () => {
    const instance = await begin((ctx) =>
      ctx.scheduleActivity('a', 1, { attemptTimeoutMs: 500, retry: { maximumAttempts: 3, backoff: 'none' } }),
    );
    await instance.deliver(activityFailed(2, timedOut));
    await instance.deliver(activityFailed(4, timedOut));
    expect(instance.last.activities).toMatchObject([{ eventId: 6, routing: { timeoutMs: 500 } }]);
    await instance.deliver(activityCompleted(6, 'third time'));
    expect(instance.result).toBe('third time');
  });

  test('T34: the total timeout covers attempts and pauses, and is not the timeout of an attempt', async () => {
    const instance = await begin((ctx) =>
      ctx.scheduleActivity('a', 1, { timeoutMs: 5_000, attemptTimeoutMs: 60_000, retry: { maximumAttempts: 9, initialIntervalMs: 4_000 } }),
    );
    expect(instance.bodies.slice(1)).toEqual([activityScheduled('a', 1), timerCreated(T0 + 5_000)]);
    await instance.deliver(activityFailed(2, 'busy'));
    await instance.deliver(timerFired(3));
    expect(instance.failure).toMatchObject({ name: 'TimeoutError', code: 'ACTIVITY_TIMEOUT' });
    expect(instance.last.cancelledTimers).toEqual([5]);
  });

  test('T34: errors that are marked so, or listed by code or name, are not tried again', async () => {
    const failures: readonly Failure[] = [
      { name: 'Error', message: 'x', code: 'E_LISTED' },
      { name: 'ListedError', message: 'x' },
      { name: 'NonRetryableError', message: 'x', nonRetryable: true },
    ];
    for (const failure of failures) {
      const instance = await begin((ctx) => ctx.scheduleActivity('a', 1, { retry: { nonRetryable: ['E_LISTED', 'ListedError'] } }));
      await instance.deliver(activityFailed(2, failure));
      expect(instance.lastBodies).toEqual([activityFailed(2, failure), failed(failure)]);
    }
  });

  test('T34: jitter spreads the pauses of instances, and is the same on replay', async () => {
    const pauses = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const instance = await begin((ctx) => ctx.scheduleActivity('a', 1, { retry: { initialIntervalMs: 10_000, jitter: 0.5 } }), {
          instanceId: `i${index}`,
        });
        await instance.deliver(activityFailed(2));
        return (instance.last.timers[0]?.fireAtMs ?? 0) - T0;
      }),
    );
    for (const pause of pauses) expect(pause >= 5_000 && pause <= 10_000).toBe(true);
    expect(new Set(pauses).size).toBe(8);
  });
});

describe('the reference for Node', () => {
  test('T42: a call acts when it is made, not when it is awaited', async () => {
    const instance = await begin(async (ctx) => {
      void ctx.scheduleActivity('forgotten');
      await ctx.waitForEvent('end');
    });
    expect(instance.last.activities).toMatchObject([{ name: 'forgotten' }]);
  });

  test('T42: the stack of an error is no part of what replay compares', async () => {
    const definitions = [orchestration('test', () => Promise.reject(new RangeError('far')))];
    const failure = { name: 'RangeError', message: 'other words', stack: 'RangeError: far\n    at /another/build.js:1:1' };
    const { result } = await replayCold(definitions, history(started(), failed(failure)));
    expect(result.outcome.kind).toBe('failed');
  });

  test('T42: groups of any size nest in each other, with the winner’s error thrown', async () => {
    const instance = await begin(async (ctx) =>
      ctx.race({
        deep: ctx.all([ctx.any([ctx.race([ctx.scheduleActivity('a'), ctx.scheduleActivity('b'), ctx.scheduleActivity('c')])])]),
        timer: ctx.scheduleTimer('1h'),
      }),
    );
    await instance.deliver(activityCompleted(4, 'c'));
    expect(instance.result).toEqual({ key: 'deep', value: [{ key: 0, value: { key: 2, value: 'c' } }] });
    const losing = await begin((ctx) => ctx.race([ctx.scheduleActivity('a'), ctx.scheduleTimer('1h'), ctx.waitForEvent('e')]));
    await losing.deliver(activityFailed(2, { name: 'RangeError', message: 'far' }));
    expect(losing.failure).toMatchObject({ name: 'RangeError', message: 'far' });
  });

  test('T42: generators may yield futures and groups of futures', async () => {
    const instance = await begin(function* (ctx: OrchestrationContext): Generator<unknown, unknown, unknown> {
      const one = yield ctx.scheduleActivity('a');
      const two = yield ctx.race([ctx.all([ctx.scheduleActivity('b')]), ctx.scheduleTimer('1h')]);
      return [one, two];
    });
    await instance.deliver(activityCompleted(2, 1));
    await instance.deliver(activityCompleted(4, 2));
    expect(instance.result).toEqual([1, { key: 0, value: [2] }]);
  });
});

test('T5: a second start of a running instance is no event, whatever its name, version and input', async () => {
  const instance = await begin((ctx) => ctx.waitForEvent('go'));
  await instance.deliver(start({ name: 'other', version: '9.0.0', input: 'x' }), start(), eventRaised('go', 1));
  expect(instance.lastBodies).toEqual([eventRaised('go', 1), completed(1)]);
});
