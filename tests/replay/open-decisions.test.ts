// What an instance waits for, read from its history.
import type { DecisionBody, HistoryEvent, InputBody, TerminalBody } from 'duraloom';
import type { RecordedHistory } from 'duraloom/testing';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeOpenDecisions, openDecisions } from '../../src/replay/open-decisions.ts';
import { traceHistory } from '../../src/replay/trace.ts';
import { TOPIC_MAILBOX_PREFIX } from '../../src/types/names.ts';

type Body = InputBody | DecisionBody | TerminalBody;

const started = { kind: 'OrchestrationStarted', executionId: 1, name: 'order', version: '1.0.0', engine: 1 } as const;

function historyOf(...bodies: readonly Body[]): readonly HistoryEvent[] {
  return [started, ...bodies].map((body, index): HistoryEvent => ({ id: index + 1, atMs: index, ...body }));
}

function waitsOf(...bodies: readonly Body[]): readonly string[] {
  return describeOpenDecisions(historyOf(...bodies));
}

const awaited = (name: string): Body => ({ kind: 'EventAwaited', name });
const raised = (name: string): Body => ({ kind: 'EventRaised', name });
const topic = (pattern: string): string => `${TOPIC_MAILBOX_PREFIX}${pattern}`;

describe('open decisions', () => {
  test('are those that nothing has answered or withdrawn, in order', () => {
    expect(
      waitsOf(
        { kind: 'ActivityScheduled', name: 'charge' },
        { kind: 'ActivityScheduled', name: 'charge', attempt: 2 },
        { kind: 'TimerCreated', fireAtMs: 1_000 },
        { kind: 'SubOrchestrationScheduled', name: 'ship', instanceId: 'a::1.5' },
        { kind: 'TimerCreated', fireAtMs: 2_000 },
        { kind: 'ActivityCompleted', executionId: 1, sourceId: 2 },
        { kind: 'FutureCancelled', sourceId: 4 },
      ),
    ).toEqual(["activity 'charge' (attempt 2)", "child 'a::1.5' (ship)", 'a timer at 1970-01-01T00:00:02.000Z']);
  });

  test('have all that a program needs, and since when', () => {
    const history = historyOf(
      { kind: 'ActivityScheduled', name: 'charge', tag: 'gpu', sessionId: 's', attempt: 3 },
      { kind: 'ActivityScheduled', name: 'plain' },
      { kind: 'TimerCreated', fireAtMs: 1_000 },
      awaited('a'),
      awaited(topic('x/*')),
      { kind: 'SubOrchestrationScheduled', name: 'ship', instanceId: 'c' },
    );
    expect(openDecisions(history)).toEqual([
      { kind: 'activity', eventId: 2, sinceMs: 1, name: 'charge', attempt: 3, tag: 'gpu', sessionId: 's' },
      { kind: 'activity', eventId: 3, sinceMs: 2, name: 'plain', attempt: 1, tag: null, sessionId: null },
      { kind: 'timer', eventId: 4, sinceMs: 3, fireAtMs: 1_000 },
      { kind: 'event', eventId: 5, sinceMs: 4, name: 'a' },
      { kind: 'topic', eventId: 6, sinceMs: 5, pattern: 'x/*' },
      { kind: 'child', eventId: 7, sinceMs: 6, instanceId: 'c', name: 'ship' },
    ]);
  });

  test('are none in an empty history, and bear one that was changed outside', () => {
    expect(openDecisions([])).toEqual([]);
    expect(waitsOf({ kind: 'FutureCancelled', sourceId: 7 }, { kind: 'TimerFired', executionId: 1, sourceId: 9 })).toEqual([]);
    expect(waitsOf(raised('a'), awaited('a'), { kind: 'FutureCancelled', sourceId: 3 })).toEqual([]);
    expect(waitsOf({ kind: 'TimerCreated', fireAtMs: 1e300 })).toEqual(['a timer at 1e+300 ms']);
  });

  test.each<[string, readonly Body[], readonly string[]]>([
    ['an event that came before', [raised('a'), awaited('a')], []],
    ['an event that came after', [awaited('a'), raised('a')], []],
    ['another event', [awaited('a'), raised('b')], ["event 'a'"]],
    ['the second of two', [awaited('a'), awaited('a'), raised('a')], ["event 'a'"]],
    ['one that was given up takes none', [awaited('a'), { kind: 'FutureCancelled', sourceId: 2 }, awaited('a'), raised('a')], []],
    [
      'a message that came before',
      [{ kind: 'TopicSubscribed', pattern: 'x/*' }, { kind: 'TopicReceived', topic: 'x/1' }, awaited(topic('x/*'))],
      [],
    ],
    [
      'a message of another topic',
      [{ kind: 'TopicSubscribed', pattern: 'x/*' }, { kind: 'TopicReceived', topic: 'y/1' }, awaited(topic('x/*'))],
      ["a message of topic 'x/*'"],
    ],
    [
      'a message of two topics that race: the loser takes none',
      [
        { kind: 'TopicSubscribed', pattern: '**' },
        { kind: 'TopicSubscribed', pattern: 'x' },
        awaited(topic('**')),
        awaited(topic('x')),
        { kind: 'TopicReceived', topic: 'x' },
        { kind: 'FutureCancelled', sourceId: 5 },
        awaited(topic('x')),
      ],
      [],
    ],
    [
      'what came before the end of a subscription',
      [
        { kind: 'TopicSubscribed', pattern: 'x' },
        { kind: 'TopicReceived', topic: 'x' },
        { kind: 'TopicUnsubscribed', pattern: 'x' },
        { kind: 'TopicSubscribed', pattern: 'x' },
        awaited(topic('x')),
      ],
      ["a message of topic 'x'"],
    ],
  ])('know of events in their order: %s', (_, bodies, expected) => {
    expect(waitsOf(...bodies)).toEqual(expected);
  });

  test('know what an execution took over from the one before', () => {
    const first = { ...started, carried: [{ name: 'a' }, { name: topic('x') }], subscriptions: ['y'] };
    const bodies: Body[] = [
      first,
      awaited('a'),
      awaited('a'),
      awaited(topic('x')),
      { kind: 'TopicReceived', topic: 'y' },
      awaited(topic('y')),
    ];
    expect(describeOpenDecisions(bodies.map((body, index) => ({ id: index + 1, atMs: 0, ...body })))).toEqual(["event 'a'"]);
  });

  test('are part of a trace that says what ended each wait, and who took what came', () => {
    const { waits, deliveries } = traceHistory(
      historyOf(
        awaited('a'),
        { kind: 'ActivityScheduled', name: 'charge' },
        { kind: 'EventRaised', name: 'a', data: 1 },
        { kind: 'EventRaised', name: 'a', data: 2 },
        { kind: 'ActivityFailed', executionId: 1, sourceId: 3, failure: { name: 'Error', message: 'no' } },
        awaited('a'),
        awaited('b'),
        { kind: 'FutureCancelled', sourceId: 8 },
        { kind: 'TopicSubscribed', pattern: 'x' },
        { kind: 'TopicReceived', topic: 'x', data: 3 },
        { kind: 'TopicUnsubscribed', pattern: 'x' },
        { kind: 'EventRaised', name: 'c' },
      ),
    );
    expect(waits.map(({ decision, endedBy, end, delivery }) => [decision.eventId, endedBy, end, delivery?.data])).toEqual([
      [2, 4, 'answered', 1],
      [3, 6, 'failed', undefined],
      [7, 7, 'answered', 2],
      [8, 9, 'cancelled', undefined],
    ]);
    expect(deliveries.map(({ eventId, source, data, goneBy, takenBy }) => [eventId, source, data, goneBy, takenBy])).toEqual([
      [4, { kind: 'event', name: 'a' }, 1, 4, 2],
      [5, { kind: 'event', name: 'a' }, 2, 7, 7],
      [11, { kind: 'topic', pattern: 'x' }, 3, 12, null],
      [13, { kind: 'event', name: 'c' }, undefined, null, null],
    ]);
  });

  test('are none at the end of an execution, and what is told of those that run, in every golden history', () => {
    const folder = join(import.meta.dirname, '../golden/0.1.0');
    const alive = readdirSync(folder).flatMap((file) => {
      const { executions, instanceId } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as RecordedHistory;
      const waits = executions.map(({ events }) => describeOpenDecisions(events));
      expect(waits.slice(0, -1).flat()).toEqual([]);
      return (waits.at(-1) ?? []).length === 0 ? [] : [[instanceId, ...(waits.at(-1) ?? [])]];
    });
    expect(alive).toEqual([
      ['left-to-abandon', "event 'never'"],
      ['left-to-terminate', "event 'never'"],
      ['running', "event 'never'"],
      ['suspended', "event 'early'"],
      ['taken', "event 'release'"],
      ['terminated', "event 'never'"],
      ['victim', "event 'release'"],
    ]);
  });
});
