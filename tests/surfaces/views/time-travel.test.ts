// Time travel: what an orchestration knew and waited for, held against its engine and against a slower reading of the history.
import { openDecisions, toTimeTravel, type Moment } from 'duraloom/views';
import type { HistoryEvent } from 'duraloom';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplayEngine } from '../../../src/replay/replay-engine.ts';
import { validateHistory } from '../../../src/replay/validate-history.ts';
import { encodeAttributes } from '../../../src/types/attributes.ts';
import { EVENT_ROLES } from '../../../src/types/history-event.ts';
import type { Standing } from '../../../src/types/replay.ts';
import { cases, play } from '../../support/program-cases.ts';
import { programOrchestrations } from '../../support/programs.ts';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  attributesSet,
  cancelRequested,
  completed,
  eventAwaited,
  eventRaised,
  futureCancelled,
  historyOf,
  patched,
  run,
  started,
  statusSet,
  T0,
  TestHost,
  timerCreated,
  timerFired,
  topicReceived,
  topicSubscribed,
  topicUnsubscribed,
  valueDeleted,
  valueSet,
  type ExecutionLog,
} from '../../support/replay-harness.ts';
import { fcParameters, seeded } from '../../support/seed.ts';
import { histories, longHistory, timed } from './kit.ts';

describe('time travel', () => {
  const history = timed(
    started({ customStatus: 'old', values: [{ key: 'z', value: 0, updatedAtMs: 5 }], subscriptions: ['s'] }),
    activityScheduled('charge', 1),
    timerCreated(T0 + 90),
    valueSet('a', 1),
    statusSet('waiting'),
    eventRaised('paid', 7),
    activityCompleted(2, 'done'),
    eventAwaited('paid'),
    activityScheduled('ship'),
    activityFailed(9, 'lost'),
    valueDeleted('z'),
    valueSet('a', 2),
    topicUnsubscribed('s'),
    topicSubscribed('t'),
    topicReceived('t', 8),
    cancelRequested('enough'),
    futureCancelled(3),
    completed('end'),
  );
  const travel = toTimeTravel(history);

  test('begins before the first event', () => {
    expect(travel.lastEventId).toBe(18);
    expect(travel.at(0)).toEqual({
      eventId: 0,
      event: null,
      atMs: null,
      status: 'Pending',
      customStatus: undefined,
      attributes: {},
      values: [],
      waitingFor: [],
      unread: [],
      results: [],
      subscriptions: [],
      cancelRequested: null,
      lastDecision: null,
    });
  });

  test('shows what is known and waited for after an event', () => {
    expect(travel.at(6)).toEqual({
      eventId: 6,
      event: history[5],
      atMs: T0 + 5,
      status: 'Running',
      customStatus: 'waiting',
      attributes: {},
      values: [
        { key: 'a', value: 1, updatedAtMs: T0 + 3 },
        { key: 'z', value: 0, updatedAtMs: 5 },
      ],
      waitingFor: [
        { kind: 'activity', eventId: 2, sinceMs: T0 + 1, forMs: 4, name: 'charge', attempt: 1, tag: null, sessionId: null },
        { kind: 'timer', eventId: 3, sinceMs: T0 + 2, forMs: 3, fireAtMs: T0 + 90 },
      ],
      unread: [{ eventId: 6, atMs: T0 + 5, source: { kind: 'event', name: 'paid' }, data: 7 }],
      results: [],
      subscriptions: ['s'],
      cancelRequested: null,
      lastDecision: history[4],
    });
  });

  test('shows answers in the order in which they came, with values and failures', () => {
    const { results, values, unread, subscriptions, cancelRequested: reason } = travel.at(16);
    expect(results).toMatchObject([
      { eventId: 7, atMs: T0 + 6, decision: { kind: 'activity', name: 'charge' }, ok: true, value: 'done' },
      { eventId: 8, decision: { kind: 'event', name: 'paid' }, ok: true, value: 7 },
      { eventId: 10, decision: { kind: 'activity', name: 'ship' }, ok: false, failure: { message: 'lost' } },
    ]);
    expect(values).toEqual([{ key: 'a', value: 2, updatedAtMs: T0 + 11 }]);
    expect(unread).toMatchObject([{ eventId: 15, source: { kind: 'topic', pattern: 't' }, data: 8 }]);
    expect([subscriptions, reason]).toEqual([['t'], 'enough']);
  });

  test('has the search attributes of each moment, from the start and as code changed them', () => {
    const changing = toTimeTravel(
      timed(
        started({ attributes: { vip: true, customer: 'acme' } }),
        attributesSet({ customer: 'zeta', region: 'eu', vip: null }),
        activityScheduled('charge'),
        attributesSet({ vip: false, region: null }),
      ),
    );
    expect([0, 1, 2, 3, 4].map((eventId) => changing.at(eventId).attributes)).toEqual([
      {},
      { customer: 'acme', vip: true },
      { customer: 'zeta', region: 'eu' },
      { customer: 'zeta', region: 'eu' },
      { customer: 'zeta', vip: false },
    ]);
    expect(Object.keys(changing.at(1).attributes)).toEqual(['customer', 'vip']);
  });

  test('ends with the execution', () => {
    expect(travel.at(17)).toMatchObject({ status: 'Running', waitingFor: [], lastDecision: { kind: 'FutureCancelled' } });
    expect(travel.at(18)).toMatchObject({ status: 'Completed', waitingFor: [], lastDecision: { id: 17 } });
  });

  test('has a value for each answer: none for a timer, the data of an event', () => {
    const { results } = toTimeTravel(
      timed(started(), timerCreated(T0), timerFired(2), eventAwaited('a'), eventRaised('a'), patched('p')),
    ).at(6);
    expect(results).toMatchObject([
      { decision: { kind: 'timer' }, ok: true, value: undefined },
      { decision: { kind: 'event' }, ok: true, value: undefined },
    ]);
  });

  test.each([-1, 19, 1.5, Number.NaN, '1' as unknown as number])('refuses event %s', (eventId) => {
    expect(() => travel.at(eventId)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }));
  });

  test.each(['sequence', 'fanOut', 'mailbox', 'waiters'] as const)('is fast enough for a slider over 50,000 events: %s', (shape) => {
    const long = toTimeTravel(longHistory(shape, 50_000));
    const durations = [49_999, 10_000, 25_000, 1, 40_000, 30_000].map((eventId) => {
      const before = performance.now();
      expect(long.at(eventId).event?.id).toBe(eventId);
      return performance.now() - before;
    });
    // 1 to 3 ms where nothing else runs.
    expect(Math.min(...durations.slice(1, 3), ...durations.slice(4))).toBeLessThan(50);
  });
});

describe(seeded('time travel through random histories'), () => {
  test('knows at the end of each turn what the engine knows', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        for (const execution of (await play(one)).executions) {
          const history = historyOf(execution);
          const travel = toTimeTravel(history);
          for (const { lastEventId } of execution.turns.map(({ result }) => result)) {
            expect(standingOf(travel.at(lastEventId))).toEqual(await askEngine(execution, history.slice(0, lastEventId)));
          }
        }
      }),
      fcParameters({ numRuns: 60 }),
    );
  });

  test('waits at every event that nothing answers at once for what the part of the history up to there waits for', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (given) => {
        for (const history of await given) {
          const travel = toTimeTravel(history);
          for (let eventId = 0; eventId <= history.length; eventId += 1) {
            const { waitingFor, event } = travel.at(eventId);
            // One message may be for two waits of which the first gives up the second.
            if (event?.kind === 'TopicReceived') continue;
            expect(waitingFor).toMatchObject(openDecisions(history.slice(0, eventId)));
          }
        }
      }),
      fcParameters({ numRuns: 60 }),
    );
  });
});

type Known = Pick<Standing, 'lastEventId' | 'waitsFor' | 'customStatus' | 'attributes' | 'values'> & {
  readonly subscriptions: readonly string[];
};

/** Rebuilds the instance as a restart would. */
async function askEngine({ instanceId }: ExecutionLog, events: readonly HistoryEvent[]): Promise<Known> {
  const engine = new ReplayEngine(instanceId, new TestHost(programOrchestrations));
  await run(engine.replay(validateHistory(JSON.parse(JSON.stringify(events)) as unknown[])));
  const { lastEventId, waitsFor, customStatus, attributes, values, subscriptions } = engine.describeStanding();
  const hasEnded = EVENT_ROLES[events.at(-1)?.kind ?? 'OrchestrationStarted'] === 'terminal';
  return {
    lastEventId,
    waitsFor: hasEnded ? [] : waitsFor,
    customStatus,
    attributes: attributes ?? '{}',
    values,
    subscriptions: subscriptions.toSorted(),
  };
}

/** The same words as the engine's. */
function standingOf({ eventId, waitingFor, customStatus, attributes, values, subscriptions }: Moment): Known {
  return {
    lastEventId: eventId,
    waitsFor: waitingFor.map((wait) => {
      const name = wait.kind === 'topic' ? `duraloom:topic:${wait.pattern}` : 'name' in wait ? wait.name : null;
      const kind = wait.kind === 'topic' ? 'event' : wait.kind;
      return `${kind} of event ${wait.eventId}${name === null ? '' : ` '${name}'`}`;
    }),
    customStatus: customStatus === undefined ? null : JSON.stringify(customStatus),
    attributes: encodeAttributes(attributes).text,
    values: values.map(({ key, value, updatedAtMs }) => `${key} = ${JSON.stringify(value)} (${updatedAtMs})`),
    subscriptions: subscriptions.toSorted(),
  };
}
