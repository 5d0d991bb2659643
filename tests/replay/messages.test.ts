// Messages from the queue: what is read, what is refused, and that whatever is read makes a valid history (H4).
import { describe, expect, it } from 'vitest';
import { parseMessage } from '../../src/replay/message.ts';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import { validateHistory } from '../../src/replay/validate-history.ts';
import type { DurableError } from '../../src/types/errors.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import {
  activityCompleted,
  activityFailed,
  cancelRequested,
  childCompleted,
  childFailed,
  eventRaised,
  instanceFaulted,
  orchestration,
  parseEvents,
  run,
  start,
  T0,
  TestHost,
  timerFired,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

const kinds: readonly Body[] = [
  start(),
  activityCompleted(2),
  activityFailed(2),
  timerFired(3),
  eventRaised('e'),
  eventRaised('e', 1, 'key'),
  childCompleted(4),
  childFailed(4),
  cancelRequested(),
  instanceFaulted(),
];

/** The error of a text that is refused. */
function refusal(text: string): DurableError {
  try {
    parseMessage(text);
  } catch (error) {
    return error as DurableError;
  }
  throw new Error(`accepted ${text}`);
}

describe('parseMessage', () => {
  it.each(kinds)('reads $kind and keeps its text', (fields) => {
    const text = JSON.stringify(fields);
    expect(parseMessage(text)).toEqual({ message: fields, text });
  });

  const required: readonly (readonly [string, Body, string])[] = [
    ['a start without name', start(), 'name'],
    ...kinds
      .filter(({ kind }) => /Completed|Failed|Fired/.test(kind))
      .flatMap((fields) => ['executionId', 'sourceId'].map((field) => [`${fields.kind} without ${field}`, fields, field] as const)),
    ['ActivityFailed without failure', activityFailed(2), 'failure'],
    ['SubOrchestrationFailed without failure', childFailed(2), 'failure'],
    ['EventRaised without name', eventRaised('e'), 'name'],
    ['CancelRequested without reason', cancelRequested(), 'reason'],
    ['InstanceFaulted without failure', instanceFaulted(), 'failure'],
    ['InstanceFaulted without executionId', instanceFaulted(), 'executionId'],
  ];

  it.each(required)('refuses %s', (_, fields, field) => {
    const error = refusal(JSON.stringify({ ...fields, [field]: undefined }));
    expect(error).toMatchObject({ name: 'DurableError', code: 'MESSAGE_INVALID' });
    expect(error.message).toContain(field);
    for (const wrong of [0, -1, 1.5, null, [], true]) {
      if (field === 'failure' && Array.isArray(wrong)) continue;
      expect(refusal(JSON.stringify({ ...fields, [field]: wrong }))).toMatchObject({ code: 'MESSAGE_INVALID' });
    }
  });

  it.each([
    ['no JSON', '{"kind":'],
    ['an empty text', ''],
    ['a number', '5'],
    ['null', 'null'],
    ['an array', '[]'],
    ['no kind', '{}'],
    ['a kind that is no text', '{"kind":{}}'],
    ['a decision', '{"kind":"ActivityScheduled","name":"a"}'],
    ['a terminal event', '{"kind":"OrchestrationCompleted"}'],
    ['a kind of Object.prototype', '{"kind":"__proto__"}'],
  ])('refuses %s', (_, text) => {
    const error = refusal(text);
    expect(error).toMatchObject({ code: 'MESSAGE_INVALID' });
    expect(error.message).toMatch(/^a queued message cannot be read: .*changed outside duraloom, or a newer version wrote it$/);
  });

  it('refuses a kind that cannot be shown as text', () => {
    expect(refusal('{"kind":{"toString":1,"valueOf":1}}')).toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  it('keeps the syntax error as cause', () => {
    expect(refusal('{').cause).toBeInstanceOf(SyntaxError);
  });
});

describe('a message that is read', () => {
  /** History after a start and one more message. */
  async function historyAfter(...texts: readonly string[]): Promise<readonly HistoryEvent[]> {
    const definition = orchestration('test', async (ctx) => {
      const open = [ctx.scheduleActivity('a'), ctx.scheduleTimer(1), ctx.scheduleSubOrchestration('c')];
      await ctx.allSettled(open);
      await ctx.waitForEvent('never');
    });
    const engine = new ReplayEngine('i1', new TestHost([definition]));
    const result = await run(engine.turn({ nowMs: T0, messages: texts.map(parseMessage) }));
    return parseEvents(result.events);
  }

  it.each(kinds.slice(1, -1))('$kind becomes an event of a valid history', async (fields) => {
    const events = await historyAfter(JSON.stringify(start()), JSON.stringify(fields));
    expect(validateHistory(events)).toHaveLength(fields.kind === 'CancelRequested' ? 9 : 5);
  });

  it.each<readonly [string, readonly Body[]]>([
    ['a start whose version is no text', [{ ...start(), version: 5 }]],
    ['a start whose parent is half', [{ ...start(), parent: { instanceId: 'p' } }]],
    ['a start whose carried events have no name', [{ ...start(), carried: [{ data: 1 }] }]],
    ['a failure whose name is no text', [start(), { ...activityFailed(2), failure: { name: 1, message: 'x' } }]],
    ['a failure whose message is no text', [start(), { ...childFailed(4), failure: { name: 'Error', message: {} } }]],
    ['a failure whose code is no text', [start(), { ...activityFailed(2), failure: { name: 'Error', message: 'x', code: 7 } }]],
    ['a message with an id of its own', [start(), { ...eventRaised('e'), id: 77 }]],
    ['an event with an execution', [start(), { ...eventRaised('e'), executionId: 9 }]],
    ['a message with a time of its own', [start(), { ...eventRaised('e'), atMs: -5 }]],
  ])('%s is refused, or becomes a valid history all the same', async (_, bodies) => {
    const texts = bodies.map((fields) => JSON.stringify(fields));
    let events: readonly HistoryEvent[];
    try {
      events = await historyAfter(...texts);
    } catch (error) {
      expect(error).toMatchObject({ code: 'MESSAGE_INVALID' });
      return;
    }
    if (events.length > 0) expect(validateHistory(events)).toHaveLength(events.length);
  });

  it('whose failure has the cause null does not break the thread', async () => {
    const bad = { ...activityFailed(2), failure: { name: 'Error', message: 'x', cause: null } };
    try {
      const events = await historyAfter(JSON.stringify(start()), JSON.stringify(bad));
      expect(validateHistory(events)).toHaveLength(5);
    } catch (error) {
      expect(error).toMatchObject({ code: 'MESSAGE_INVALID' });
    }
  });

  describe('with a payload nested deeper than JSON.stringify can go', () => {
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    const start = (fields: string): string => `{"kind":"OrchestrationStarted","executionId":1,"name":"test"${fields}}`;
    const wait: Handler = (ctx) => ctx.waitForEvent('e');
    const next: Handler = async (ctx) => {
      await ctx.waitForEvent('e');
      return await ctx.continueAsNew();
    };

    it.each<readonly [string, Handler, readonly string[]]>([
      ['a start with a deep input', wait, [start(`,"input":${deep}`)]],
      ['a start with a deep custom status', wait, [start(`,"customStatus":${deep}`)]],
      ['a start with a deep carried event', wait, [start(`,"carried":[{"name":"e","data":${deep}}]`)]],
      ['a deep event', wait, [start(''), `{"kind":"EventRaised","name":"e","data":${deep}}`]],
      [
        'a deep result',
        (ctx) => ctx.scheduleActivity('a'),
        [start(''), `{"kind":"ActivityCompleted","executionId":1,"sourceId":2,"result":${deep}}`],
      ],
      [
        'a deep event that continue-as-new carries over',
        next,
        [start(''), `{"kind":"EventRaised","name":"other","data":${deep}}`, '{"kind":"EventRaised","name":"e"}'],
      ],
    ])('%s does not break the thread, nor does its replay', async (_, handler, texts) => {
      const definition = orchestration('test', handler);
      const engine = new ReplayEngine('i1', new TestHost([definition]));
      const result = await run(engine.turn({ nowMs: T0, messages: texts.map(parseMessage) }));
      expect(['waiting', 'failed', 'faulted']).toContain(result.outcome.kind);
      if (result.outcome.kind === 'faulted') return;
      const again = new ReplayEngine('i1', new TestHost([definition]));
      await run(again.replay(validateHistory(parseEvents(result.events))));
      expect(again.lastEventId).toBe(engine.lastEventId);
    });
  });
});
