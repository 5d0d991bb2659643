// validateHistory: every rule, each with the first event at fault (H1 to H3). The data is untrusted: nothing in it may crash.
import { describe, expect, it } from 'vitest';
import { validateHistory } from '../../src/replay/validate-history.ts';
import { HistoryError } from '../../src/types/errors.ts';
import { ENGINE_BEHAVIOUR } from '../../src/types/history-event.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  attributesSet,
  cancelled,
  cancelRequested,
  childCompleted,
  childFailed,
  childScheduled,
  completed,
  continuedAsNew,
  eventAwaited,
  eventRaised,
  failed,
  futureCancelled,
  history,
  patched,
  sessionMessageSent,
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
  valueDeleted,
  valueSet,
  type Body,
} from '../support/replay-harness.ts';

const failure = { name: 'Error', message: 'x' };

const manyAttributes = (count: number): Readonly<Record<string, number>> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key ${index}`, index]));

/** The error of a history that is refused. */
function refusal(events: readonly unknown[]): HistoryError {
  try {
    validateHistory(events);
  } catch (error) {
    if (error instanceof HistoryError) return error;
    throw error;
  }
  throw new Error('the history was accepted');
}

/** One of each decision, then one of each completion. */
const everything: readonly Body[] = [
  started({
    input: 1,
    parent: { instanceId: 'p', executionId: 1, eventId: 2 },
    carried: [{ name: 'e' }, { name: 'e', data: 1 }],
    customStatus: 'x',
    attributes: { customer: 'acme' },
  }),
  activityScheduled('a', 1),
  activityScheduled('a'),
  timerCreated(T0 + 5),
  eventAwaited('e'),
  childScheduled('c', 'k1', 1, '1.0.0'),
  childScheduled('c', 'k2'),
  startRequested('d', 'd1', 1, '1.0.0'),
  startRequested('d', 'd2'),
  statusSet(1),
  statusSet(),
  valueSet('k', null),
  valueDeleted('k'),
  attributesSet({ customer: null, vip: true }),
  topicSubscribed('t'),
  topicReceived('t', 1, 'key'),
  topicReceived('t'),
  topicUnsubscribed('t'),
  topicPublished('t', 1),
  sessionMessageSent('s'),
  patched('p'),
  activityCompleted(2, 1),
  activityFailed(3, { ...failure, code: 'E', stack: 's', cause: failure }),
  { ...timerFired(4), atMs: T0 + 5 },
  { ...eventRaised('e', 1), atMs: T0 + 5 },
  { ...childCompleted(6), atMs: T0 + 5 },
  { ...childFailed(7, failure), atMs: T0 + 5 },
  { ...cancelRequested(), atMs: T0 + 6 },
  { ...futureCancelled(5), atMs: T0 + 6 },
];

describe('validateHistory', () => {
  it.each<readonly [string, Body]>([
    ['completed', completed(1)],
    ['completed without result', completed()],
    ['failed', failed(failure)],
    ['cancelled', cancelled()],
    ['continued as new', continuedAsNew(1, '2.0.0')],
    ['continued as new without input', continuedAsNew()],
  ])('accepts every kind, %s at the end', (_, end) => {
    const events = history(...everything, { ...end, atMs: T0 + 6 });
    expect(validateHistory(events)).toBe(events);
  });

  it('accepts a history that goes on', () => {
    expect(validateHistory(history(started()))).toHaveLength(1);
    expect(validateHistory(history(...everything))).toHaveLength(everything.length);
  });

  it('accepts fields that it does not know, for later versions', () => {
    expect(validateHistory(history({ ...started(), tag: 'x' }, { ...activityScheduled('a'), retry: { attempts: 3 } }))).toHaveLength(2);
  });

  it.each(['cancel', 'abandon', 'terminate'] as const)('accepts the close policy %s of a child', (policy) => {
    expect(validateHistory(history(started(), childScheduled('c', 'k', 1, '1.0.0', policy)))).toHaveLength(2);
  });

  it('accepts payloads of any kind, and keeps them', () => {
    for (const payload of [null, 0, '', false, [], {}, 'x'.repeat(100_000), JSON.parse('{"__proto__":1}')]) {
      expect(
        validateHistory(history(started({ input: payload }), statusSet(payload), eventRaised('e', payload), completed(payload))),
      ).toHaveLength(4);
    }
  });

  it('refuses an empty history as a whole', () => {
    expect(refusal([])).toMatchObject({ code: 'HISTORY_INVALID', eventId: 0, message: expect.stringContaining('it is empty') as string });
  });

  it.each<readonly [string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['text', 'OrchestrationStarted'],
    ['a number', 5],
    ['an array', []],
  ])('refuses an event that is %s', (_, event) => {
    expect(refusal([event])).toMatchObject({ eventId: 1, message: expect.stringContaining('it is not an object') as string });
    expect(refusal([...history(started()), event])).toMatchObject({ eventId: 2 });
  });

  it.each<readonly [string, unknown]>([
    ['no kind', undefined],
    ['an unknown kind', 'ActivityVanished'],
    ['a message kind', 'InstanceFaulted'],
    ['a kind of Object.prototype', 'toString'],
    ['the kind __proto__', '__proto__'],
    ['a kind that is an object', {}],
    ['a kind that is a number', 7],
  ])('refuses %s', (_, kind) => {
    const error = refusal(history(started(), { ...statusSet(), kind: kind as string }));
    expect(error).toMatchObject({ code: 'HISTORY_INVALID', eventId: 2 });
    expect(error.message).toContain('a newer version of duraloom may have written it');
  });

  it.each([0, 1, 3, -1, 1.5, '2', null, undefined, Number.NaN])('refuses the id %s where 2 is due', (id) => {
    const error = refusal(history(started(), { ...statusSet(), id }));
    expect(error).toMatchObject({
      eventId: 2,
      message: expect.stringContaining(`its id is ${String(id)}; ids are dense from 1`) as string,
    });
  });

  it('refuses ids that do not begin at 1', () => {
    expect(refusal(history({ ...started(), id: 0 }))).toMatchObject({ eventId: 1 });
    expect(refusal(history({ ...started(), id: 2 }))).toMatchObject({ eventId: 1 });
  });

  it.each([-1, '5', null, undefined, Number.NaN, Number.POSITIVE_INFINITY])('refuses the time %s', (atMs) => {
    expect(refusal(history(started(), { ...statusSet(), atMs }))).toMatchObject({
      eventId: 2,
      message: expect.stringContaining('CustomStatusSet has no valid atMs') as string,
    });
  });

  it('refuses times that decrease', () => {
    expect(refusal(history(started(), { ...statusSet(), atMs: T0 - 1 }))).toMatchObject({
      eventId: 2,
      message: expect.stringContaining(`its time ${T0 - 1} is before the event before it (${T0})`) as string,
    });
  });

  it('refuses a history that begins with another event', () => {
    expect(refusal(history(eventRaised('e')))).toMatchObject({ eventId: 1, message: expect.stringContaining('got EventRaised') as string });
  });

  it('refuses a second start', () => {
    expect(refusal(history(started(), started()))).toMatchObject({ eventId: 2, message: expect.stringContaining('a second') as string });
  });

  it.each([completed(), failed(), cancelled(), continuedAsNew()])('refuses $kind that is not the last', (end) => {
    expect(refusal(history(started(), end, statusSet()))).toMatchObject({
      eventId: 2,
      message: expect.stringContaining(`${end.kind} is not the last event`) as string,
    });
  });

  it('refuses a second cancel request', () => {
    expect(refusal(history(started(), cancelRequested(), eventRaised('e'), cancelRequested('again')))).toMatchObject({ eventId: 4 });
  });

  it.each<readonly [string, readonly Body[]]>([
    ['the same event', [eventRaised('e', 1, 'k'), eventRaised('e', 1, 'k')]],
    ['another event', [eventRaised('e', 1, 'k'), eventRaised('f', 2, 'k')]],
    ['a message of a topic', [topicSubscribed('t'), topicReceived('t', 1, 'k'), topicReceived('t', 1, 'k')]],
  ])('refuses %s with the key of an event before it: live, it would have been dropped', (_, bodies) => {
    expect(refusal(history(started(), ...bodies))).toMatchObject({ eventId: bodies.length + 1 });
  });

  it('refuses an event with a key of an execution before it', () => {
    expect(refusal(history(started({ eventKeys: ['k'] }), eventRaised('e', 1, 'k')))).toMatchObject({ eventId: 2 });
  });

  it.each<readonly [string, readonly Body[]]>([
    ['was subscribed to', [topicReceived('t')]],
    ['matched', [topicSubscribed('other/*'), topicReceived('t')]],
    ['was subscribed to any more', [topicSubscribed('t'), topicUnsubscribed('t'), topicReceived('t')]],
  ])('refuses a message of a topic that nothing %s: live, it would have been dropped', (_, bodies) => {
    expect(refusal(history(started(), ...bodies))).toMatchObject({ eventId: bodies.length + 1 });
  });

  it('accepts the messages of topics that the execution before was subscribed to', () => {
    expect(validateHistory(history(started({ subscriptions: ['t/*'] }), topicReceived('t/1')))).toHaveLength(2);
  });

  it('refuses an engine behaviour that is newer', () => {
    expect(refusal(history({ ...started(), engine: ENGINE_BEHAVIOUR + 1 }))).toMatchObject({
      eventId: 1,
      message: expect.stringMatching(/needs engine behaviour 2, this version knows up to 1: update duraloom/) as string,
    });
  });

  const fields: readonly (readonly [Body, string, readonly unknown[]])[] = [
    [started(), 'executionId', [undefined, 0, -1, 1.5, '1', null]],
    [started(), 'name', [undefined, 5, null]],
    [started(), 'version', [undefined, 5, null]],
    [started(), 'engine', [undefined, 0, '1', null]],
    [
      started(),
      'parent',
      [
        null,
        'p',
        [],
        {},
        { instanceId: 'p' },
        { instanceId: 5, executionId: 1, eventId: 1 },
        { instanceId: 'p', executionId: 1, eventId: 0 },
      ],
    ],
    [started(), 'carried', [null, {}, 'x', [null], [{}], [{ name: 5 }], [['e']], [{ name: 'e' }, {}]]],
    [activityScheduled('a'), 'name', [undefined, 5, null]],
    [timerCreated(5), 'fireAtMs', [undefined, -1, '5', null, Number.NaN]],
    [eventAwaited('e'), 'name', [undefined, 5]],
    [childScheduled('c', 'k'), 'name', [undefined, 5]],
    [childScheduled('c', 'k'), 'instanceId', [undefined, 5]],
    [childScheduled('c', 'k'), 'version', [5, null]],
    [startRequested('c', 'k'), 'name', [undefined]],
    [startRequested('c', 'k'), 'instanceId', [undefined, 5]],
    [startRequested('c', 'k'), 'version', [5, null]],
    [eventRaised('e'), 'name', [undefined, 5]],
    [cancelRequested(), 'reason', [undefined, 5, null]],
    [cancelRequested(), 'parent', [null, 'p', {}, { instanceId: 'p' }]],
    [futureCancelled(2), 'sourceId', [undefined, 0, -1, 1.5, '2', null]],
    [failed(), 'failure', [undefined, null, 'x', [], {}, { name: 'x' }, { name: 1, message: 'x' }, { name: 'x', message: 'x', code: 1 }]],
    [cancelled(), 'reason', [undefined, 5]],
    [
      started(),
      'values',
      [
        null,
        {},
        [null],
        [{ key: 'k', updatedAtMs: 1 }],
        [{ key: 5, value: 1, updatedAtMs: 1 }],
        [{ key: 'k', value: 1 }],
        [{ key: 'k', value: 1, updatedAtMs: 1 }, { key: 'k' }],
      ],
    ],
    [started(), 'attributes', [null, [], 'x', { a: null }, { a: [] }, { a: {} }, { '': 1 }, { a: 'x'.repeat(257) }, manyAttributes(33)]],
    [started(), 'subscriptions', [null, 't', [5], ['t', 5]]],
    [started(), 'eventKeys', [null, 'k', [null], ['k', null]]],
    [eventRaised('e'), 'key', [null, 5]],
    [topicReceived('t'), 'topic', [undefined, 5, null]],
    [topicReceived('t'), 'key', [null, 5]],
    [activityScheduled('a'), 'tag', [null, 5]],
    [activityScheduled('a'), 'sessionId', [null, 5]],
    [activityScheduled('a'), 'attempt', [null, 0, -1, 1.5, '2']],
    [childScheduled('c', 'k'), 'onParentClose', [null, 'leave', 5]],
    [valueSet('k', 1), 'key', [undefined, 5]],
    [valueSet('k', 1), 'value', [undefined]],
    [attributesSet({ a: 1 }), 'attributes', [undefined, null, [], 'x', { a: [] }, { a: {} }, { '': null }, manyAttributes(65)]],
    [valueDeleted('k'), 'key', [undefined, 5]],
    [topicSubscribed('t'), 'pattern', [undefined, 5]],
    [topicUnsubscribed('t'), 'pattern', [undefined, 5]],
    [topicPublished('t'), 'topic', [undefined, 5]],
    [sessionMessageSent('s'), 'sessionId', [undefined, 5]],
    [patched('p'), 'patchId', [undefined, 5]],
    [continuedAsNew(), 'version', [5, null]],
    ...[activityCompleted(2), activityFailed(2), timerFired(2), childCompleted(2), childFailed(2)].flatMap((event) =>
      ['executionId', 'sourceId'].map((name) => [event, name, [undefined, 0, -1, 1.5, '2', null]] as const),
    ),
    [activityFailed(2), 'failure', [undefined, null, {}]],
    [childFailed(2), 'failure', [undefined, null, {}]],
  ];

  it.each(fields.map(([event, name, wrong]) => [event.kind, name, event, wrong] as const))(
    'refuses %s with a bad %s',
    (kind, name, event, wrong) => {
      for (const value of wrong) {
        const bad = { ...event, [name]: value };
        const events = kind === 'OrchestrationStarted' ? history(bad) : history(started(), bad);
        const error = refusal(events);
        expect(error.eventId).toBe(events.length);
        expect(error.message).toContain(`${kind} has no valid ${name}`);
      }
    },
  );

  const sources: readonly (readonly [string, Body, Body])[] = [
    ['ActivityCompleted', activityCompleted(2), activityScheduled('a')],
    ['ActivityFailed', activityFailed(2), activityScheduled('a')],
    ['TimerFired', timerFired(2), timerCreated(5)],
    ['SubOrchestrationCompleted', childCompleted(2), childScheduled('c', 'k')],
    ['SubOrchestrationFailed', childFailed(2), childScheduled('c', 'k')],
  ];
  const cancellable = [activityScheduled('a'), timerCreated(5), eventAwaited('e'), childScheduled('c', 'k')];

  it.each(sources)('accepts %s of its decision and of no other event', (kind, completion, source) => {
    expect(validateHistory(history(started(), source, completion))).toHaveLength(3);
    for (const other of [...cancellable, statusSet(), startRequested('d', 'd1'), eventRaised('e'), cancelRequested()]) {
      if (other.kind === source.kind) continue;
      const error = refusal(history(started(), other, completion));
      expect(error.eventId).toBe(3);
      expect(error.message).toContain(
        `${kind} points at event 2, which is ${cancellable.includes(other) ? other.kind : 'no open decision'}`,
      );
    }
    for (const sourceId of [1, 3, 4, 99]) {
      expect(refusal(history(started(), source, { ...completion, sourceId }))).toMatchObject({ eventId: 3 });
    }
  });

  it.each(sources)('refuses %s after another completion or after the cancellation', (_, completion, source) => {
    const family = sources.filter(([, , other]) => other.kind === source.kind).map(([, other]) => other);
    for (const first of [...family, futureCancelled(2)]) {
      expect(refusal(history(started(), source, first, completion))).toMatchObject({
        eventId: 4,
        message: expect.stringContaining('points at event 2, which is no open decision') as string,
      });
    }
  });

  it.each(cancellable)('accepts one FutureCancelled of $kind', (source) => {
    expect(validateHistory(history(started(), source, futureCancelled(2)))).toHaveLength(3);
    expect(refusal(history(started(), source, futureCancelled(2), futureCancelled(2)))).toMatchObject({ eventId: 4 });
  });

  it('refuses FutureCancelled of anything else', () => {
    for (const other of [statusSet(), startRequested('d', 'd1'), eventRaised('e')]) {
      expect(refusal(history(started(), other, futureCancelled(2)))).toMatchObject({ eventId: 3 });
    }
    for (const [source, completion] of [
      [activityScheduled('a'), activityCompleted(2)],
      [timerCreated(5), timerFired(2)],
    ] as const) {
      expect(refusal(history(started(), source, completion, futureCancelled(2)))).toMatchObject({ eventId: 4 });
    }
  });

  it('names the first event at fault', () => {
    expect(refusal(history(started(), statusSet(), { ...statusSet(), id: 9 }, completed(), completed()))).toMatchObject({ eventId: 3 });
  });

  it('says what to do', () => {
    expect(refusal([]).message).toMatch(
      /^history is not valid at event 0: it is empty\. It was changed outside duraloom .*: restore it from a backup/,
    );
  });

  it('looks at own fields only', () => {
    const inherited = Object.create({ name: 'a' }) as object;
    expect(refusal([...history(started()), Object.assign(inherited, { id: 2, atMs: T0, kind: 'ActivityScheduled' })])).toMatchObject({
      eventId: 2,
    });
    const own = JSON.parse('{"id":2,"atMs":1000,"kind":"ActivityScheduled","__proto__":{"name":"a"}}') as object;
    expect(refusal([...history(started()), own])).toMatchObject({ eventId: 2 });
  });

  it('takes a hundred thousand events', () => {
    expect(validateHistory(history(started(), ...Array.from({ length: 99_999 }, () => statusSet())))).toHaveLength(100_000);
  });
});

describe('a history that validateHistory lets through', () => {
  it.each<readonly [string, readonly Body[]]>([
    ['completion', [started({ executionId: 2 }), activityScheduled('a'), activityCompleted(2, null, 1)]],
    ['failed child', [started({ executionId: 2 }), childScheduled('c', 'k'), childFailed(2, failure, 3)]],
  ])('has no %s of another execution', (_, bodies) => {
    expect(refusal(history(...bodies))).toMatchObject({ eventId: 3 });
  });

  it('has no timer that fired before it was due', () => {
    expect(refusal(history(started(), timerCreated(T0 + 5_000), timerFired(2)))).toMatchObject({ eventId: 3 });
  });

  it.each<readonly [string, unknown]>([
    ['null', null],
    ['text', 'why'],
    ['half a failure', { name: 'Error' }],
    ['null further down', { name: 'Error', message: 'x', cause: null }],
  ])('has no failure whose cause is %s', (_, cause) => {
    const bodies = [started(), activityScheduled('a'), { ...activityFailed(2), failure: { ...failure, cause } }];
    expect(refusal(history(...bodies))).toMatchObject({ eventId: 3 });
  });

  it.each(['kind', 'id'])('has no %s that cannot be shown as text', (field) => {
    const bad = JSON.parse(`{"id":2,"atMs":${T0},"kind":"CustomStatusSet","${field}":{"toString":1,"valueOf":1}}`) as unknown;
    expect(refusal([...history(started()), bad])).toMatchObject({ code: 'HISTORY_INVALID', eventId: 2 });
  });

  it('has no failure with a stack that is no text', () => {
    expect(refusal(history(started(), activityScheduled('a'), { ...activityFailed(2), failure: { ...failure, stack: 5 } }))).toMatchObject({
      eventId: 3,
    });
  });

  it.each<readonly [string, Body]>([
    ['of nobody', started()],
    ['of another child', started({ parent: { instanceId: 'p', executionId: 1, eventId: 3 } })],
    ['of another execution', started({ parent: { instanceId: 'p', executionId: 2, eventId: 2 } })],
    ['of another instance', started({ parent: { instanceId: 'q', executionId: 1, eventId: 2 } })],
  ])('has no cancel request by the parent %s', (_, first) => {
    const request = cancelRequested('enough', { instanceId: 'p', executionId: 1, eventId: 2 });
    expect(refusal(history(first, request))).toMatchObject({ eventId: 2 });
  });

  it('may have a cancel request by its own parent', () => {
    const parent = { instanceId: 'p', executionId: 1, eventId: 2 };
    expect(validateHistory(history(started({ parent }), cancelRequested('enough', parent)))).toHaveLength(2);
  });
});
