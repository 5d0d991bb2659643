// The timeline: what a waterfall shows, held against a second, slower reading of random histories.
import { toTimeline, type Timeline, type TimelineSpan } from 'duraloom/views';
import type { HistoryEvent } from 'duraloom';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
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
} from '../../support/replay-harness.ts';
import { fcParameters, seeded } from '../../support/seed.ts';
import { golden, histories, longHistory, timed } from './kit.ts';

const brief = ({ spans }: Timeline): readonly unknown[] =>
  spans.map(({ kind, eventId, endEventId, outcome, lane }) => [kind, eventId, endEventId, outcome, lane]);

describe('a timeline', () => {
  test('has a span for everything that takes time, in lanes that do not overlap', () => {
    const timeline = toTimeline(
      timed(
        started({ name: 'order' }),
        activityScheduled('charge', 1, { tag: 'gpu', sessionId: 's' }),
        timerCreated(T0 + 9),
        childScheduled('ship', 'c1'),
        activityCompleted(2),
        eventAwaited('paid'),
        eventRaised('paid'),
        childFailed(4, 'lost'),
        timerFired(3),
        eventAwaited('never'),
        activityScheduled('slow'),
        futureCancelled(11),
      ),
    );
    expect(brief(timeline)).toEqual([
      ['activity', 2, 5, 'completed', 0],
      ['timer', 3, 9, 'completed', 1],
      ['child', 4, 8, 'failed', 2],
      ['event', 6, 7, 'completed', 0],
      ['event', 10, null, 'open', 0],
      ['activity', 11, 12, 'cancelled', 1],
    ]);
    expect(timeline).toMatchObject({ outcome: 'running', failure: null, startMs: T0, endMs: T0 + 11, laneCount: 3 });
    expect(timeline.spans[0]).toMatchObject({ name: 'charge', tag: 'gpu', sessionId: 's', startMs: T0 + 1, endMs: T0 + 4 });
    expect(timeline.spans[1]).toMatchObject({ fireAtMs: T0 + 9 });
    expect(timeline.spans[2]).toMatchObject({ name: 'ship', instanceId: 'c1', failure: { message: 'lost' } });
    expect(timeline.spans[3]).toMatchObject({ name: 'paid', receivedBy: 7 });
    expect(timeline.spans[4]).toMatchObject({ name: 'never', receivedBy: null, endMs: null });
  });

  test('shows an event that was there before the wait, and messages of topics', () => {
    const timeline = toTimeline(
      timed(
        started({ subscriptions: ['x/*'] }),
        eventRaised('early'),
        eventAwaited('early'),
        topicReceived('x/1'),
        eventAwaited('duraloom:topic:x/*'),
      ),
    );
    expect(timeline.spans).toMatchObject([
      { kind: 'event', eventId: 3, endEventId: 3, startMs: T0 + 2, endMs: T0 + 2, receivedBy: 2 },
      { kind: 'topic', pattern: 'x/*', eventId: 5, endEventId: 5, receivedBy: 4 },
    ]);
  });

  test('joins the attempts of a retry policy with the pauses between them', () => {
    const timeline = toTimeline(
      timed(
        started(),
        activityScheduled('flaky'),
        activityScheduled('other'),
        activityFailed(2, 'one'),
        timerCreated(T0 + 5),
        timerFired(5),
        activityScheduled('flaky', undefined, { attempt: 2 }),
        activityFailed(7, 'two'),
        activityScheduled('flaky', undefined, { attempt: 3 }),
        activityCompleted(9),
        activityCompleted(3),
      ),
    );
    expect(brief(timeline)).toEqual([
      ['activity', 2, 10, 'completed', 0],
      ['activity', 3, 11, 'completed', 1],
    ]);
    expect(timeline.spans[0]).toMatchObject({
      failure: null,
      attempts: [
        { attempt: 1, eventId: 2, endEventId: 4, outcome: 'failed', failure: { message: 'one' } },
        { attempt: 2, eventId: 7, endEventId: 8, outcome: 'failed', failure: { message: 'two' } },
        { attempt: 3, eventId: 9, endEventId: 10, outcome: 'completed', failure: null },
      ],
    });
  });

  test('finds the attempts of real policies, with and without pauses', () => {
    const { spans } = toTimeline(golden('retries'));
    expect(spans.map((span) => [span.kind, span.kind === 'activity' && [span.name, span.attempts.length], span.outcome])).toEqual([
      ['activity', ['flaky', 3], 'completed'],
      ['activity', ['refuses', 1], 'failed'],
      ['activity', ['flaky', 1], 'failed'],
      ['activity', ['slow', 2], 'failed'],
      ['activity', ['slow', 1], 'cancelled'],
      // The limit of all attempts together is a timer of its own.
      ['timer', false, 'completed'],
      ['activity', ['greet', 1], 'failed'],
    ]);
  });

  test('does not take a timer of the code for a pause, nor another activity for an attempt', () => {
    const timeline = toTimeline(
      timed(
        started(),
        activityScheduled('flaky'),
        activityFailed(2),
        timerCreated(T0 + 4),
        timerFired(4),
        activityScheduled('flaky'),
        activityFailed(6),
        activityScheduled('another', undefined, { attempt: 2 }),
      ),
    );
    expect(timeline.spans.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ['activity', 'failed'],
      ['timer', 'completed'],
      ['activity', 'failed'],
      ['activity', 'open'],
    ]);
  });

  test('marks what happens at one point in time, and how long a status and a value held', () => {
    const { marks } = toTimeline(
      timed(
        started({ customStatus: 'before', values: [{ key: 'k', value: 0, updatedAtMs: 1 }] }),
        statusSet('now'),
        valueSet('k', 1),
        valueSet('l', 2),
        valueDeleted('k'),
        valueDeleted('none'),
        eventRaised('paid'),
        topicSubscribed('x'),
        topicReceived('x'),
        topicUnsubscribed('x'),
        topicPublished('y'),
        sessionMessageSent('s'),
        startRequested('audit', 'a1'),
        patched('p'),
        cancelRequested('enough'),
      ),
    );
    expect(marks.map(({ atMs, eventId, ...mark }) => [eventId, atMs - T0, mark])).toEqual([
      [1, 0, { kind: 'status', status: 'before', untilMs: T0 + 1 }],
      [1, 0, { kind: 'value', key: 'k', value: 0, untilMs: T0 + 2 }],
      [2, 1, { kind: 'status', status: 'now', untilMs: null }],
      [3, 2, { kind: 'value', key: 'k', value: 1, untilMs: T0 + 4 }],
      [4, 3, { kind: 'value', key: 'l', value: 2, untilMs: null }],
      [5, 4, { kind: 'valueDeleted', key: 'k' }],
      [6, 5, { kind: 'valueDeleted', key: 'none' }],
      [7, 6, { kind: 'received', name: 'paid' }],
      [8, 7, { kind: 'subscribed', pattern: 'x' }],
      [9, 8, { kind: 'topicReceived', topic: 'x' }],
      [10, 9, { kind: 'unsubscribed', pattern: 'x' }],
      [11, 10, { kind: 'published', topic: 'y' }],
      [12, 11, { kind: 'sent', sessionId: 's' }],
      [13, 12, { kind: 'detached', name: 'audit', instanceId: 'a1' }],
      [14, 13, { kind: 'patched', patchId: 'p' }],
      [15, 14, { kind: 'cancelRequested', reason: 'enough' }],
    ]);
  });

  test.each([
    [[], 'pending', null],
    [[started()], 'running', null],
    [[started(), childScheduled('a', 'b'), childCompleted(2), completed()], 'completed', null],
    [[started(), failed('no')], 'failed', 'no'],
    [[started(), cancelled()], 'cancelled', null],
    [[started(), continuedAsNew()], 'continuedAsNew', null],
  ] as const)('of %j is %s', (bodies, outcome, message) => {
    const timeline = toTimeline(timed(...bodies));
    expect([timeline.outcome, timeline.failure?.message ?? null]).toEqual([outcome, message]);
  });

  test.each(['sequence', 'fanOut', 'mailbox', 'waiters'] as const)('of 50,000 events takes no more than a moment: %s', (shape) => {
    const history = longHistory(shape, 50_000);
    const durations = Array.from({ length: 3 }, () => {
      const before = performance.now();
      const { spans } = toTimeline(history);
      expect(spans).toHaveLength(24_999);
      return performance.now() - before;
    });
    // 20 to 40 ms where nothing else runs; what is quadratic takes seconds.
    expect(Math.min(...durations)).toBeLessThan(1_000);
  });
});

describe(seeded('timelines of random histories'), () => {
  test('have each decision once, end where history says, and put as few spans as possible beside each other', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (given) => {
        for (const history of await given) {
          const timeline = toTimeline(history);
          checkSpans(timeline.spans, history);
          checkLanes(timeline, history.length);
          // A part of a history is a history.
          for (const length of [1, history.length >> 1]) checkLanes(toTimeline(history.slice(0, length)), length);
        }
      }),
      fcParameters({ numRuns: 150 }),
    );
  });
});

const WAITS: ReadonlySet<string> = new Set(['ActivityScheduled', 'TimerCreated', 'EventAwaited', 'SubOrchestrationScheduled']);

function checkSpans(spans: readonly TimelineSpan[], history: readonly HistoryEvent[]): void {
  const seen = new Set<number>();
  for (const span of spans) {
    const parts = span.kind === 'activity' ? span.attempts : [span];
    for (const part of parts) {
      expect(seen.has(part.eventId)).toBe(false);
      seen.add(part.eventId);
      const end = history.find((event) => 'sourceId' in event && event.sourceId === part.eventId);
      if (end !== undefined) expect(part).toMatchObject({ endEventId: end.id, endMs: end.atMs });
      if (end?.kind === 'FutureCancelled') expect(part.outcome).toBe('cancelled');
      if (end === undefined && span.kind !== 'event' && span.kind !== 'topic') expect(part.outcome).toBe('open');
      expect(part.endMs ?? Infinity).toBeGreaterThanOrEqual(part.startMs);
    }
    expect(span).toMatchObject({ eventId: parts[0]?.eventId, endEventId: parts.at(-1)?.endEventId, outcome: parts.at(-1)?.outcome });
    // Only a policy makes further attempts, and all of them are found.
    if (span.kind === 'activity') expect(span.attempts.map(({ attempt }) => attempt)).toEqual(span.attempts.map((_, index) => index + 1));
  }
  const missing = history.filter(({ id, kind }) => WAITS.has(kind) && !seen.has(id));
  // Pauses between attempts are part of their spans.
  expect(missing.filter(({ kind }) => kind !== 'TimerCreated')).toEqual([]);
  for (const { id } of missing) expect(spans.some((span) => span.eventId < id && (span.endEventId ?? Infinity) > id)).toBe(true);
}

function checkLanes({ spans, laneCount }: Timeline, length: number): void {
  let most = 0;
  for (let at = 1; at <= length; at += 1) {
    const beside = spans.filter(({ eventId, endEventId }) => eventId <= at && (endEventId ?? Infinity) >= at).map(({ lane }) => lane);
    expect(new Set(beside).size).toBe(beside.length);
    most = Math.max(most, ...beside.map((lane) => lane + 1));
  }
  expect(laneCount).toBe(most);
}
