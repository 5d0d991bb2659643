// Topics: patterns, who gets what, what continue-as-new carries; keys of events; messages to sessions (T55).
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext, TopicMessage } from '../../src/types/context.ts';
import { ArgumentError } from '../../src/types/errors.ts';
import { MAX_CARRIED_EVENT_KEYS, MAX_CARRIED_EVENT_UNITS, MAX_NAME_LENGTH, MAX_SUBSCRIPTIONS } from '../../src/types/limits.ts';
import { assertTopic, assertTopicPattern, hasWildcards, matchesTopic } from '../../src/types/topics.ts';
import {
  activityCompleted,
  activityScheduled,
  begin,
  beginNext,
  cancelled,
  cancelRequested,
  completed,
  continuedAsNew,
  eventAwaited,
  eventRaised,
  faultOf,
  futureCancelled,
  history,
  nextStart,
  orchestration,
  replayCold,
  sessionMessageSent,
  started,
  topicPublished,
  topicReceived,
  topicSubscribed,
  topicUnsubscribed,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

const next = (pattern: string): Body => eventAwaited(`duraloom:topic:${pattern}`);

describe('a topic', () => {
  it.each(['a', 'orders/eu/created', 'with space', '😀/é', 'x'.repeat(MAX_NAME_LENGTH), '__proto__'])('may be "%s"', (topic) => {
    expect(assertTopic(topic)).toBe(topic);
    expect(assertTopicPattern(topic)).toBe(topic);
    expect(matchesTopic(topic, topic)).toBe(true);
    expect(hasWildcards(topic)).toBe(false);
  });

  it.each(['', '/', 'a/', '/a', 'a//b', 'x'.repeat(MAX_NAME_LENGTH + 1), undefined, 5])('may not be "%s", nor a pattern', (topic) => {
    expect(() => assertTopic(topic as string)).toThrow(ArgumentError);
    expect(() => assertTopicPattern(topic as string)).toThrow(ArgumentError);
  });

  it.each(['*', 'a/*', 'a/**', '*/b/**', '**'])('may not have wildcards, a pattern may: "%s"', (pattern) => {
    expect(() => assertTopic(pattern)).toThrow(/Wildcards are for subscriptions/);
    expect(assertTopicPattern(pattern)).toBe(pattern);
    expect(hasWildcards(pattern)).toBe(true);
  });

  it.each(['a*', 'a/b*', '**/b', 'a/**/b', '***', 'a/*b/c'])('may not be the pattern "%s"', (pattern) => {
    expect(() => assertTopicPattern(pattern)).toThrow(/stand for a whole segment/);
  });

  it.each<readonly [string, string, boolean]>([
    ['a/b', 'a/b', true],
    ['a/b', 'a', false],
    ['a/b', 'a/b/c', false],
    ['a/b', 'a/B', false],
    ['*', 'a', true],
    ['*', 'a/b', false],
    ['a/*', 'a/b', true],
    ['a/*', 'a', false],
    ['a/*', 'a/b/c', false],
    ['*/b', 'a/b', true],
    ['*/b', 'b/a', false],
    ['a/*/c', 'a/x/c', true],
    ['a/*/c', 'a/x/d', false],
    ['**', 'a', true],
    ['**', 'a/b/c', true],
    ['a/**', 'a/b', true],
    ['a/**', 'a/b/c/d', true],
    ['a/**', 'a', false],
    ['a/**', 'b/a', false],
    ['*/b/**', 'a/b/c', true],
    ['*/b/**', 'a/b', false],
    ['a.b', 'axb', false],
  ])('%s covers %s: %s', (pattern, topic, covers) => {
    expect(matchesTopic(pattern, topic)).toBe(covers);
  });
});

describe('a subscription', () => {
  it('is an event and an effect, once', async () => {
    const instance = await begin((ctx) => {
      ctx.subscribe('orders/*');
      ctx.subscribe('orders/*');
      return ctx.subscribe('orders/*').next();
    });
    expect(instance.bodies.slice(1)).toEqual([topicSubscribed('orders/*'), next('orders/*')]);
    expect(instance.last.effects?.subscriptions).toEqual([{ pattern: 'orders/*', subscribed: true }]);
  });

  it('gives topic and data, first in, first out, also of those that came before the wait', async () => {
    const instance = await begin(async (ctx) => {
      const orders = ctx.subscribe<number>('orders/*');
      await ctx.scheduleActivity('a');
      return [await orders.next(), await orders.next(), await orders.next()];
    });
    await instance.deliver(topicReceived('orders/eu', 1), topicReceived('orders/us', 2), activityCompleted(3));
    await instance.deliver(topicReceived('orders/eu'));
    expect(instance.result).toEqual([{ topic: 'orders/eu', data: 1 }, { topic: 'orders/us', data: 2 }, { topic: 'orders/eu' }]);
  });

  it('of several patterns that match gets the message once for each pattern, which is one event', async () => {
    const instance = await begin(async (ctx) => {
      const all = ctx.subscribe('**');
      const eu = ctx.subscribe('orders/eu');
      const any = ctx.subscribe('orders/*');
      const other = ctx.subscribe('users/*');
      void other.next();
      return await Promise.all([eu.next(), any.next(), all.next()]);
    });
    await instance.deliver(topicReceived('orders/eu', 1));
    expect(instance.result).toEqual(Array.from({ length: 3 }, () => ({ topic: 'orders/eu', data: 1 })));
    expect(instance.lastBodies.slice(0, 2)).toEqual([topicReceived('orders/eu', 1), futureCancelled(6)]);
  });

  it('of several patterns keeps for the others what one of them took in a race', async () => {
    const instance = await begin(async (ctx) => {
      const [first, second] = [ctx.subscribe('a/*'), ctx.subscribe('*/b')];
      const won = await ctx.race({ first: first.next(), second: second.next() });
      return [won.key, await second.next()];
    });
    await instance.deliver(topicReceived('a/b', 1));
    expect(instance.result).toEqual(['first', { topic: 'a/b', data: 1 }]);
  });

  it('drops what nothing matches, without an event', async () => {
    const instance = await begin((ctx) => ctx.subscribe('orders/*').next());
    await instance.deliver(topicReceived('users/1'), topicReceived('orders'), topicReceived('orders/a/b'));
    expect(instance.last).toMatchObject({ events: '[]', consumedMessages: 3 });
  });

  it('that is given up takes its unread messages with it', async () => {
    const instance = await begin(async (ctx) => {
      const orders = ctx.subscribe('orders/*');
      await ctx.waitForEvent('go');
      orders.unsubscribe();
      orders.unsubscribe();
      const again = ctx.subscribe('orders/*');
      return await again.next();
    });
    await instance.deliver(topicReceived('orders/old'), eventRaised('go'));
    expect(instance.lastBodies.slice(1)).toEqual([
      eventRaised('go'),
      topicUnsubscribed('orders/*'),
      topicSubscribed('orders/*'),
      next('orders/*'),
    ]);
    expect(instance.last.effects?.subscriptions).toEqual([
      { pattern: 'orders/*', subscribed: false },
      { pattern: 'orders/*', subscribed: true },
    ]);
    await instance.deliver(topicReceived('orders/new', 1));
    expect(instance.result).toEqual({ topic: 'orders/new', data: 1 });
  });

  it('can be looped over', async () => {
    const instance = await begin(async (ctx) => {
      const seen: unknown[] = [];
      for await (const { data } of ctx.subscribe<number>('n/*')) {
        seen.push(data);
        if (seen.length === 3) break;
      }
      return seen;
    });
    await instance.deliver(topicReceived('n/1', 1), topicReceived('n/2', 2));
    await instance.deliver(topicReceived('n/3', 3));
    expect(instance.result).toEqual([1, 2, 3]);
    expect(instance.bodies.filter(({ kind }) => kind === 'FutureCancelled')).toEqual([]);
  });

  it('has its waits cancelled like those for events', async () => {
    const instance = await begin((ctx) => ctx.subscribe('n/*').next());
    await instance.deliver(cancelRequested());
    expect(instance.lastBodies).toEqual([cancelRequested(), futureCancelled(3), cancelled()]);
  });

  it('that gave up a wait does not lose the message', async () => {
    const instance = await begin(async (ctx) => {
      const orders = ctx.subscribe('orders/*');
      orders.next().cancel();
      await ctx.waitForEvent('go');
      return await orders.next();
    });
    await instance.deliver(topicReceived('orders/1', 1), eventRaised('go'));
    expect(instance.result).toEqual({ topic: 'orders/1', data: 1 });
  });

  it('survives continue-as-new with its unread messages, and need not be recorded again', async () => {
    const instance = await begin(async (ctx, input) => {
      const orders = ctx.subscribe<number>('orders/*');
      if (input === 'next') return [await orders.next(), await orders.next()];
      const users = ctx.subscribe('users');
      await ctx.waitForEvent('go');
      users.unsubscribe();
      return ctx.continueAsNew('next');
    });
    await instance.deliver(topicReceived('orders/1', 1), topicReceived('users', 'lost'), eventRaised('go'));
    expect(instance.lastBodies.at(-1)).toEqual(continuedAsNew('next'));
    expect(nextStart(instance.last)).toMatchObject({
      subscriptions: ['orders/*'],
      carried: [{ name: 'duraloom:topic:orders/*', data: { topic: 'orders/1', data: 1 } }],
    });
    const second = await beginNext(instance);
    expect(second.bodies.slice(1)).toEqual([next('orders/*'), next('orders/*')]);
    await second.deliver(topicReceived('users'), topicReceived('orders/2', 2));
    expect(second.result).toEqual([
      { topic: 'orders/1', data: 1 },
      { topic: 'orders/2', data: 2 },
    ]);
    expect(second.results[0]?.effects).toBeNull();
  });

  it('takes messages in the next execution before its code subscribes again', async () => {
    const instance = await begin(
      async (ctx) => {
        await ctx.waitForEvent('go');
        return await ctx.subscribe('orders/*').next();
      },
      { subscriptions: ['orders/*'] },
    );
    await instance.deliver(topicReceived('orders/1', 1), eventRaised('go'));
    expect(instance.result).toEqual({ topic: 'orders/1', data: 1 });
    expect(instance.bodies[0]).toEqual(started({ subscriptions: ['orders/*'] }));
  });

  it.each<readonly [string, number]>([
    ['all of them in one execution', 0],
    ['some of them carried over', 40],
  ])('is refused when there are too many, %s', async (_, carried) => {
    const instance = await begin(
      (ctx) => {
        for (let count = carried; count < MAX_SUBSCRIPTIONS; count += 1) ctx.subscribe(`t/${count}`);
        ctx.subscribe('t/0');
        try {
          ctx.subscribe('one/more');
        } catch (error) {
          return [(error as { readonly code?: string }).code, (error as Error).message];
        }
        return 'accepted';
      },
      carried === 0 ? {} : { subscriptions: Array.from({ length: carried }, (__, index) => `t/${index}`) },
    );
    expect(instance.result).toEqual([
      'ARGUMENT_INVALID',
      expect.stringMatching(/at most 100 subscriptions, orchestration 'test' .* Use a pattern with wildcards, or unsubscribe/),
    ]);
    expect(instance.bodies.filter(({ kind }) => kind === 'TopicSubscribed')).toHaveLength(MAX_SUBSCRIPTIONS - carried);
  });

  it('makes room when it is given up', async () => {
    const instance = await begin((ctx) => {
      const subscriptions = Array.from({ length: MAX_SUBSCRIPTIONS }, (_, index) => ctx.subscribe(`t/${index}`));
      subscriptions[5]?.unsubscribe();
      return ctx.subscribe('one/more').pattern;
    });
    expect(instance.result).toBe('one/more');
  });

  it.each<readonly [string, Handler, readonly Body[]]>([
    ['another pattern', (ctx) => ctx.subscribe('b').next(), [topicSubscribed('a'), next('a')]],
    ['a subscription that is missing', (ctx) => ctx.waitForEvent('e'), [topicSubscribed('a'), eventAwaited('e')]],
    ['a subscription that was added', (ctx) => (ctx.subscribe('a'), ctx.waitForEvent('e')), [eventAwaited('e')]],
    [
      'no unsubscribing',
      (ctx) => (ctx.subscribe('a'), ctx.waitForEvent('e')),
      [topicSubscribed('a'), topicUnsubscribed('a'), eventAwaited('e')],
    ],
    ['another topic published', (ctx) => (ctx.publish('b'), ctx.waitForEvent('e')), [topicPublished('a'), eventAwaited('e')]],
    ['other data published', (ctx) => (ctx.publish('a', 2), ctx.waitForEvent('e')), [topicPublished('a', 1), eventAwaited('e')]],
    ['no data published', (ctx) => (ctx.publish('a'), ctx.waitForEvent('e')), [topicPublished('a', null), eventAwaited('e')]],
    ['another session', (ctx) => (ctx.sendToSession('b', 1), ctx.waitForEvent('e')), [sessionMessageSent('a', 1), eventAwaited('e')]],
    [
      'another message to a session',
      (ctx) => (ctx.sendToSession('a', 2), ctx.waitForEvent('e')),
      [sessionMessageSent('a', 1), eventAwaited('e')],
    ],
  ])('and its kin are part of what replay checks: %s', async (_, handler, bodies) => {
    const { result } = await replayCold([orchestration('test', handler)], history(started(), ...bodies));
    expect(faultOf(result).code).toBe('NONDETERMINISM');
  });
});

describe('ctx.publish', () => {
  it('is an event and a message for every subscriber, in order, once', async () => {
    const instance = await begin((ctx) => {
      ctx.publish('orders/eu', { id: 1 });
      ctx.publish('orders/"us"');
      return ctx.waitForEvent('never');
    });
    expect(instance.bodies.slice(1, 3)).toEqual([topicPublished('orders/eu', { id: 1 }), topicPublished('orders/"us"')]);
    expect(instance.last.effects?.publications.map(({ topic, payload }) => [topic, JSON.parse(payload) as unknown])).toEqual([
      ['orders/eu', topicReceived('orders/eu', { id: 1 })],
      ['orders/"us"', topicReceived('orders/"us"')],
    ]);
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.effects).toBeNull();
  });

  it('makes a message that a subscriber can read', async () => {
    const publisher = await begin((ctx) => ctx.publish('orders/1', [1]));
    const subscriber = await begin((ctx) => ctx.subscribe('orders/*').next());
    const payload = publisher.last.effects?.publications[0]?.payload ?? '';
    await subscriber.deliver(JSON.parse(payload) as Body);
    expect(subscriber.result).toEqual({ topic: 'orders/1', data: [1] });
  });

  it('is not delivered by the instance to itself', async () => {
    const instance = await begin(async (ctx) => {
      const own = ctx.subscribe('a');
      ctx.publish('a', 1);
      return await ctx.race({ own: own.next(), go: ctx.waitForEvent('go') });
    });
    await instance.deliver(eventRaised('go', 'x'));
    expect(instance.result).toEqual({ key: 'go', value: 'x' });
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => void, string]>([
    ['a wildcard', (ctx) => ctx.publish('orders/*'), 'ARGUMENT_INVALID'],
    ['an empty topic', (ctx) => ctx.publish(''), 'ARGUMENT_INVALID'],
    ['data that is no JSON', (ctx) => ctx.publish('a', 1n), 'PAYLOAD_NOT_SERIALIZABLE'],
    ['an empty session', (ctx) => ctx.sendToSession('', 1), 'ARGUMENT_INVALID'],
    ['a session message that is no JSON', (ctx) => ctx.sendToSession('s', () => 1), 'PAYLOAD_NOT_SERIALIZABLE'],
    ['a bad pattern', (ctx) => void ctx.subscribe('a*'), 'ARGUMENT_INVALID'],
  ])('and its kin refuse %s without an event', async (_, call, code) => {
    const instance = await begin((ctx) => call(ctx));
    expect(instance.failure).toMatchObject({ code });
    expect(instance.events).toHaveLength(2);
  });
});

describe('ctx.sendToSession', () => {
  it('is an event and a message, in order, once', async () => {
    const instance = await begin((ctx) => {
      ctx.sendToSession('s1', { a: 1 });
      ctx.sendToSession('s1');
      ctx.sendToSession('s2', null);
      return ctx.waitForEvent('never');
    });
    expect(instance.bodies.slice(1, 4)).toEqual([
      sessionMessageSent('s1', { a: 1 }),
      sessionMessageSent('s1'),
      sessionMessageSent('s2', null),
    ]);
    expect(instance.last.effects?.sessionMessages).toEqual([
      { sessionId: 's1', payload: '{"a":1}' },
      { sessionId: 's1', payload: '' },
      { sessionId: 's2', payload: 'null' },
    ]);
    const { result } = await replayCold(instance.definitions, instance.events);
    expect(result.effects).toBeNull();
  });
});

describe('the key of an event', () => {
  const twice: Handler = async (ctx) => [await ctx.waitForEvent('e'), await ctx.waitForEvent('e')];

  it('makes a repeat known, in the same turn and in later ones', async () => {
    const instance = await begin(twice);
    await instance.deliver(eventRaised('e', 1, 'k'), eventRaised('e', 1, 'k'));
    expect(instance.lastBodies).toEqual([eventRaised('e', 1, 'k'), eventAwaited('e')]);
    expect(instance.last.consumedMessages).toBe(2);
    await instance.deliver(eventRaised('e', 'other data', 'k'));
    expect(instance.last.events).toBe('[]');
    await instance.deliver(eventRaised('e', 2, 'k2'));
    expect(instance.result).toEqual([1, 2]);
  });

  it('is not needed: equal events without one are two events (T55)', async () => {
    const instance = await begin(twice);
    await instance.deliver(eventRaised('e', 1), eventRaised('e', 1));
    expect(instance.result).toEqual([1, 1]);
  });

  it('makes a repeat known that comes before the first was read', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('a');
      return await ctx.race({ first: ctx.all([ctx.waitForEvent('e'), ctx.waitForEvent('e')]), end: ctx.scheduleTimer(0) });
    });
    await instance.deliver(eventRaised('e', 1, 'k'), eventRaised('e', 1, 'k'), activityCompleted(2));
    expect(instance.lastBodies.filter(({ kind }) => kind === 'EventRaised')).toHaveLength(1);
    expect(instance.last.outcome.kind).toBe('waiting');
  });

  it('makes a repeat known in later executions', async () => {
    const instance = await begin(async (ctx, round = 0) => {
      const value = await ctx.waitForEvent('e');
      return (round as number) < 2 ? ctx.continueAsNew((round as number) + 1) : value;
    });
    await instance.deliver(eventRaised('e', 1, 'k1'));
    expect(nextStart(instance.last)['eventKeys']).toEqual(['k1']);
    const second = await beginNext(instance);
    await second.deliver(eventRaised('e', 1, 'k1'));
    expect(second.last.events).toBe('[]');
    await second.deliver(eventRaised('e', 2, 'k2'));
    expect(nextStart(second.last)['eventKeys']).toEqual(['k1', 'k2']);
    const third = await beginNext(second);
    await third.deliver(eventRaised('e', 1, 'k1'), eventRaised('e', 2, 'k2'), eventRaised('e', 3, 'k3'));
    expect(third.result).toBe(3);
  });

  it('is carried with the newest ones only', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.waitForEvent('go');
      await ctx.continueAsNew();
    });
    const many = Array.from({ length: MAX_CARRIED_EVENT_KEYS + 5 }, (_, index) => eventRaised('e', 1, `k${index}`));
    await instance.deliver(...many, eventRaised('go'));
    const keys = nextStart(instance.last)['eventKeys'] as readonly string[];
    expect([keys.length, keys[0], keys.at(-1)]).toEqual([MAX_CARRIED_EVENT_KEYS, 'k5', `k${MAX_CARRIED_EVENT_KEYS + 4}`]);
  });

  it('holds for topics, and only for messages that somebody is subscribed to', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.waitForEvent('go');
      const orders = ctx.subscribe('orders/*');
      return [await orders.next(), await orders.next()];
    });
    await instance.deliver(topicReceived('orders/1', 'early', 'k'), eventRaised('go'));
    await instance.deliver(
      topicReceived('orders/1', 'first', 'k'),
      topicReceived('orders/1', 'again', 'k'),
      topicReceived('orders/2', 2, 'k2'),
    );
    expect((instance.result as readonly TopicMessage[]).map(({ data }) => data)).toEqual(['first', 2]);
  });

  it.each(['__proto__', 'toString', '', ' '])('may be any text: "%s"', async (key) => {
    const instance = await begin(twice);
    await instance.deliver(eventRaised('e', 1, key), eventRaised('e', 1, key));
    expect(instance.lastBodies).toHaveLength(2);
  });
});

describe('unread events that are too large to be carried over', () => {
  const leaving =
    (onEventOverflow?: 'fail' | 'dropOldest' | 'dropNewest'): Handler =>
    async (ctx) => {
      await ctx.scheduleActivity('a');
      await ctx.continueAsNew('next', onEventOverflow === undefined ? {} : { onEventOverflow });
    };
  const large = 'x'.repeat(MAX_CARRIED_EVENT_UNITS / 2 - 100);
  /** Two fit, three do not. */
  const events = [1, 2, 3].map((count) => eventRaised(`e${count}`, large));

  it.each([undefined, 'fail'] as const)('fail the orchestration by default: %s', async (policy) => {
    const instance = await begin(leaving(policy));
    await instance.deliver(...events, activityCompleted(2));
    expect(instance.failure).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringMatching(/would carry 3 unread external events in \d+ characters.*onEventOverflow/) as string,
    });
  });

  it.each([
    ['dropOldest', ['e2', 'e3']],
    ['dropNewest', ['e1', 'e2']],
  ] as const)('are dropped by %s, with a warning and a measurement', async (policy, kept) => {
    const instance = await begin(leaving(policy));
    await instance.deliver(...events, activityCompleted(2));
    expect((nextStart(instance.last)['carried'] as readonly { readonly name: string }[]).map(({ name }) => name)).toEqual(kept);
    expect(instance.last.logs).toMatchObject([
      { level: 'warn', message: expect.stringContaining('dropped 1 unread') as string, fields: { policy } },
    ]);
    expect(instance.last.effects?.metrics).toEqual([
      { kind: 'counter', name: 'duraloom_events_dropped_total', value: 1, labels: { orchestration: 'test', policy } },
    ]);
    const { result } = await replayCold(instance.definitions, instance.events);
    expect([result.logs, result.effects]).toEqual([[], null]);
  });

  it.each(['dropOldest', 'dropNewest'] as const)('may all be dropped by %s', async (policy) => {
    const instance = await begin(leaving(policy));
    await instance.deliver(eventRaised('e', 'x'.repeat(MAX_CARRIED_EVENT_UNITS)), activityCompleted(2));
    expect(nextStart(instance.last)).not.toHaveProperty('carried');
  });

  it.each(['fail', 'dropOldest', 'dropNewest'] as const)('are none at the limit: %s keeps all', async (policy) => {
    const instance = await begin(leaving(policy));
    const frame = JSON.stringify({ name: 'e', data: '' }).length;
    await instance.deliver(eventRaised('e', 'x'.repeat(MAX_CARRIED_EVENT_UNITS - frame)), activityCompleted(2));
    expect(nextStart(instance.last)['carried']).toHaveLength(1);
    expect(instance.last.logs).toEqual([]);
  });

  it('need a policy that exists', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew(1, { onEventOverflow: 'spill' as 'fail' }));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringContaining("got 'spill'") as string });
  });

  it('under a changed policy are a difference that is named as it is', async () => {
    const old = await begin(leaving('dropOldest'));
    await old.deliver(...events, activityCompleted(2));
    const { result } = await replayCold([orchestration('test', leaving('fail'))], old.events);
    expect(faultOf(result)).toMatchObject({
      code: 'NONDETERMINISM',
      message: expect.stringMatching(
        /history has OrchestrationContinuedAsNew .* now decides OrchestrationFailed .*would carry 3 unread/,
      ) as string,
    });
  });
});

describe('a subscription that is given up', () => {
  it('rejects what waits for its next message', async () => {
    const instance = await begin(async (ctx) => {
      const orders = ctx.subscribe('orders/*');
      const next = orders.next().catch((error: Error & { readonly code?: string }) => error.code);
      orders.unsubscribe();
      return await next;
    });
    expect(instance.result).toBe('CANCELLED');
  });
});

describe('ctx.events', () => {
  it('loops over the events of a name, and gives up its wait when it is left while waiting', async () => {
    const instance = await begin(async (ctx) => {
      const events = ctx.events<number>('n')[Symbol.asyncIterator]();
      const first = await events.next();
      const second = events.next();
      second.catch(() => undefined);
      await events.return?.();
      await ctx.scheduleActivity('a');
      return first.value as number;
    });
    await instance.deliver(eventRaised('n', 1));
    expect(instance.lastBodies).toEqual([eventRaised('n', 1), eventAwaited('n'), futureCancelled(4), activityScheduled('a')]);
    await instance.deliver(activityCompleted(6));
    expect(instance.lastBodies.at(-1)).toEqual(completed(1));
  });

  it('ends with the cancellation of the orchestration', async () => {
    const instance = await begin(async (ctx) => {
      for await (const step of ctx.events('n')) ctx.setCustomStatus(step);
    });
    await instance.deliver(eventRaised('n', 1), cancelRequested());
    expect(instance.lastBodies.at(-1)).toEqual(cancelled());
  });

  it.each(['', 'duraloom:topic:a'])('refuses the name "%s"', async (name) => {
    const instance = await begin(async (ctx) => {
      for await (const _ of ctx.events(name)) break;
    });
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});
