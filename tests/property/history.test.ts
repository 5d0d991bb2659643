// Random orchestrations in a random world: what the replay contract promises, for any program, any order, any batches, any damage.
//
// P1. The history of an execution does not depend on how its messages were split into turns, nor on the drain.
// P2. Live engines and engines rebuilt before each turn agree byte for byte (stacks aside).
// P3. Every prefix that ends before an input event, or with a turn, replays, and the rest follows from it as it did at first.
// P4. Replaying twice is replaying once.
// P5. Histories are well formed: dense ids, causal order, one completion for each decision, the terminal event last.
// P6. A damaged history is refused with HISTORY_INVALID or NONDETERMINISM, or it is harmless: a history in its own right, which the same code
//     writes when it is given the damaged input events.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import { validateHistory } from '../../src/replay/validate-history.ts';
import { HistoryError } from '../../src/types/errors.ts';
import type { Failure } from '../../src/types/failure.ts';
import { EVENT_ROLES, type CarriedValue, type HistoryEvent, type OrchestrationStarted } from '../../src/types/history-event.ts';
import type { ReplayResult } from '../../src/types/replay.ts';
import { cases, chooseBy, play } from '../support/program-cases.ts';
import { programOrchestrations, tally } from '../support/programs.ts';
import {
  attributesAfter,
  comparable,
  historyOf,
  instanceFaulted,
  message,
  messageOf,
  parseEvents,
  run,
  TestHost,
  withoutStacks,
  type Body,
  type ExecutionLog,
  type Steps,
  type WorldLog,
} from '../support/replay-harness.ts';
import { fcParameters, seeded } from '../support/seed.ts';

const definitions = programOrchestrations;

/** Without changes inside a version: a history without the mark of one is a history of the code before it, by design. */
const unpatchedCases = cases.filter(({ program }) => {
  const counts = new Map<string, number>();
  tally(program, counts);
  return !counts.has('patch');
});

/** Everything that a world did, as text; two worlds are equal when their texts are. */
function textOf({ executions, faults }: WorldLog): string {
  const lines = executions.map(({ instanceId, executionId, turns }) =>
    [
      `${instanceId}/${executionId}`,
      ...turns.map(({ nowMs, messages, result }) => `${nowMs} ${messages.join(' ')} ${comparable(result)}`),
    ].join('\n'),
  );
  return withoutStacks([...lines, ...faults].join('\n\n'));
}

/** The input events of a history as messages, each in a turn of its own, at its own time. */
function* rerun(engine: ReplayEngine, inputs: readonly HistoryEvent[]): Steps<readonly ReplayResult[]> {
  const results: ReplayResult[] = [];
  for (const event of inputs) results.push(yield* engine.turn({ nowMs: event.atMs, messages: [messageOf(event)] }));
  return results;
}

const isInput = (event: HistoryEvent): boolean => EVENT_ROLES[event.kind] === 'input';

const parseText = (events: readonly HistoryEvent[]): HistoryEvent[] => JSON.parse(JSON.stringify(events)) as HistoryEvent[];

/** Rebuilds an engine, drained as in a thread. */
function* rebuild(instanceId: string, events: readonly HistoryEvent[], host: TestHost = new TestHost(definitions)): Steps<ReplayEngine> {
  const engine = new ReplayEngine(instanceId, host);
  yield* engine.replay(validateHistory(parseText(events)));
  return engine;
}

/** What an engine says when it is asked for nothing. */
function* ask(engine: ReplayEngine): Steps<ReplayResult> {
  return yield* engine.turn({ nowMs: 0, messages: [] });
}

const nothing = '[]';

describe(seeded('histories of random programs'), () => {
  test('the sample has races, children, cancellations and every kind of event', async () => {
    const operations = new Map<string, number>();
    const kinds = new Map<string, number>();
    const add = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const one of fc.sample(cases, fcParameters({ numRuns: 300 }))) {
      tally(one.program, operations);
      const log = await play(one);
      for (const execution of log.executions) {
        const events = historyOf(execution);
        for (const event of events) add(kinds, event.kind);
        for (const shape of shapesOf(execution, events)) add(kinds, shape);
      }
    }
    const rare = (counts: Map<string, number>, keys: readonly string[], least: number): readonly string[] =>
      keys.filter((key) => (counts.get(key) ?? 0) < least).map((key) => `${key}: ${counts.get(key) ?? 0}`);
    const groups = ['array', 'record', 'native'].flatMap((as) => ['all', 'allSettled', 'any', 'race'].map((by) => `${as} ${by}`));
    const others =
      'activity timer event child helper try choice loose abandoned shared again fail draw dangling retry topic read keyValue attributes scope limit patch publish send unsubscribe measure'.split(
        ' ',
      );
    const shapes = ['loser cancelled', 'several messages', 'dropped message', 'cancelled child', 'long history', 'carried event'];
    // Far below what a sample of this size has, so that no seed fails by chance.
    expect(rare(operations, [...groups, ...others], 15)).toEqual([]);
    expect(rare(kinds, [...Object.keys(EVENT_ROLES), ...shapes], 3)).toEqual([]);
  });

  test('end, ask for nothing that they do not take back, and break no rule (P5)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        const log = await play(one);
        expect(log.faults).toEqual([]);
        for (const execution of log.executions) checkHistory(execution, log);
      }),
      fcParameters({ numRuns: 400 }),
    );
  });

  test('are the same with both drains (P1)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        expect(textOf(await play(one, {}, 'immediate'))).toBe(textOf(await play(one)));
      }),
      fcParameters({ numRuns: 150 }),
    );
  });

  test('are the same with live engines and with engines rebuilt before each turn (P2)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.array(fc.nat(1)), async (one, rebuilds) => {
        const live = textOf(await play(one));
        expect(textOf(await play(one, { engines: 'cold' }))).toBe(live);
        expect(textOf(await play(one, { engines: chooseBy(rebuilds) }))).toBe(live);
      }),
      fcParameters({ numRuns: 200 }),
    );
  });

  test('are the same for every split of the messages into turns (P1)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 20 }), async (one, sizes) => {
        const log = await play(one, { clock: 'frozen' });
        for (const execution of log.executions) {
          const recorded = totals(execution.turns.map(({ result }) => result));
          const messages = execution.turns.flatMap((turn) => turn.messages.slice(0, turn.result.consumedMessages));
          for (const split of [[1], [messages.length], sizes]) {
            expect(totals(await run(replayMessages(execution, messages, split)))).toBe(recorded);
          }
        }
      }),
      fcParameters({ numRuns: 200 }),
    );
  });

  test('replay from every prefix at an input event or at a turn, and go on as they did (P3)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        const log = await play(one);
        for (const execution of log.executions) {
          const events = historyOf(execution);
          const turnEnds = new Set(execution.turns.map(({ result }) => result.lastEventId));
          for (let length = 1; length <= events.length; length += 1) {
            const next = events[length];
            const isBoundary = next === undefined || isInput(next);
            // The end of a turn is a boundary, too: nothing of an event is left for the next turn.
            if (turnEnds.has(length)) expect(isBoundary).toBe(true);
            if (isBoundary) await run(checkPrefix(execution.instanceId, events, length));
          }
        }
      }),
      fcParameters({ numRuns: 100 }),
    );
  });

  test('do not replay from a prefix that ends inside an event (P3)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async (one, position) => {
        const { executions } = await play(one);
        const inside = executions.flatMap(({ instanceId, ...execution }) => {
          const events = historyOf({ instanceId, ...execution });
          // Without the mark of a change, it is a history of the code before the change.
          return events.flatMap((event, index) =>
            isInput(event) || event.kind === 'Patched' ? [] : [{ instanceId, prefix: events.slice(0, index) }],
          );
        });
        const chosen = inside[position % Math.max(1, inside.length)];
        fc.pre(chosen !== undefined);
        const result = await run(replayAndAsk(chosen.instanceId, chosen.prefix));
        expect(codeOf(result)).toBe('NONDETERMINISM');
      }),
      fcParameters({ numRuns: 150 }),
    );
  });

  test('replayed twice are as replayed once (P4)', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        const log = await play(one);
        for (const execution of log.executions) {
          const events = historyOf(execution);
          const calls = await Promise.all(
            [1, 2].map(async () => {
              const host = new TestHost(definitions);
              const engine = await run(rebuild(execution.instanceId, events, host));
              return [host.calls, comparable(await run(ask(engine))), engine.lastEventId, engine.weight, host.faults];
            }),
          );
          expect(calls[0]).toEqual(calls[1]);
          expect(calls[0]?.[4]).toEqual([]);
        }
      }),
      fcParameters({ numRuns: 150 }),
    );
  });

  test('that a reported fault ended replay to the same end (P4)', async () => {
    let ended = 0;
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async (one, position) => {
        const { executions } = await play(one);
        const waiting = executions.flatMap((execution) =>
          execution.turns.slice(0, -1).map((_, index) => ({ ...execution, turns: execution.turns.slice(0, index + 1) })),
        );
        const chosen = waiting[position % Math.max(1, waiting.length)];
        if (chosen === undefined) return;
        const events = historyOf(chosen);
        const nowMs = (events.at(-1)?.atMs ?? 0) + 5;
        const { result, again } = await run(endByFault(chosen, events, nowMs));
        expect(result.outcome.kind).toBe('failed');
        expect(codeOf(again)).toBe('failed');
        ended += 1;
      }),
      fcParameters({ numRuns: 200 }),
    );
    expect(ended).toBeGreaterThan(50);
  });

  test('that are damaged are refused with a typed error, or are harmless (P6)', async () => {
    const verdicts = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(unpatchedCases, fc.array(damages, { minLength: 12, maxLength: 12 }), async (one, changes) => {
        const { executions } = await play(one);
        for (const change of changes) {
          const execution = executions[change.execution % executions.length];
          if (execution === undefined) continue;
          const events = historyOf(execution);
          const damaged = damage(parseText(events), change);
          const verdict = await run(judge(execution.instanceId, damaged));
          const key = `${change.how}: ${verdict}`;
          verdicts.set(key, (verdicts.get(key) ?? 0) + 1);
        }
      }),
      fcParameters({ numRuns: 250 }),
    );
    // Both layers must have had something to find in every way of damaging.
    const ways = ['drop', 'duplicate', 'swap', 'alter'];
    const missing = ['HISTORY_INVALID', 'NONDETERMINISM', 'harmless'].flatMap((verdict) =>
      ways.filter((how) => !verdicts.has(`${how}: ${verdict}`)).map((how) => `${how}: ${verdict}`),
    );
    expect(missing).toEqual([]);
  });

  test('whose decisions are altered are always refused (P6)', async () => {
    await fc.assert(
      fc.asyncProperty(unpatchedCases, fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 10, maxLength: 10 }), async (one, picks) => {
        const { executions } = await play(one);
        const all = executions.flatMap((execution) => {
          const events = historyOf(execution);
          return events.flatMap((event) => ALTERATIONS[event.kind]?.map((alter) => ({ execution, events, event, alter })) ?? []);
        });
        for (const [position, salt] of picks) {
          const pick = all[position % Math.max(1, all.length)];
          if (pick === undefined) continue;
          const damaged = parseText(pick.events).map((event) =>
            event.id === pick.event.id ? pick.alter(event, salt) : event,
          ) as HistoryEvent[];
          if (JSON.stringify(damaged) === JSON.stringify(pick.events)) continue;
          expect(['HISTORY_INVALID', 'NONDETERMINISM']).toContain(await run(judge(pick.execution.instanceId, damaged)));
        }
      }),
      fcParameters({ numRuns: 250 }),
    );
  });
});

// --- P5 ----------------------------------------------------------------------------------------------------------------------

/** The rules of a history, written down a second time: validateHistory is itself under test. */
function checkHistory(execution: ExecutionLog, { terminated, executions }: WorldLog): void {
  const events = historyOf(execution);
  expect(validateHistory(parseText(events))).toHaveLength(events.length);
  const settled = new Map<number, number>();
  let isCausedByInput = true;
  let lastAtMs = 0;
  events.forEach((event, index) => {
    expect(event.id).toBe(index + 1);
    expect(event.atMs).toBeGreaterThanOrEqual(lastAtMs);
    if (isInput(event)) isCausedByInput = true;
    else expect([isCausedByInput, event.atMs]).toEqual([true, lastAtMs]);
    lastAtMs = event.atMs;
    if (EVENT_ROLES[event.kind] === 'terminal') expect(index).toBe(events.length - 1);
    if ('sourceId' in event) {
      expect(event.sourceId).toBeLessThan(event.id);
      const source = events[event.sourceId - 1];
      if (event.kind === 'TimerFired' && source?.kind === 'TimerCreated') expect(event.atMs).toBeGreaterThanOrEqual(source.fireAtMs);
      expect(settled.has(event.sourceId)).toBe(false);
      settled.set(event.sourceId, event.id);
    }
    if ('executionId' in event) expect(event.executionId).toBe(execution.executionId);
  });
  checkActions(execution, events);
  checkEffects(execution, events);
  const isLast = executions.findLast(({ instanceId }) => instanceId === execution.instanceId) === execution;
  if (isLast && terminated.has(execution.instanceId)) return;
  const last = events.at(-1);
  expect(last === undefined ? 'none' : EVENT_ROLES[last.kind]).toBe('terminal');
  const open = events.filter(({ id, kind }) => ASKING.has(kind) && !settled.has(id));
  expect(open).toEqual([]);
}

const ASKING: ReadonlySet<string> = new Set(['ActivityScheduled', 'TimerCreated', 'SubOrchestrationScheduled']);

/** What turns asked for is exactly what history says that was asked for (T45). */
function checkActions({ turns }: ExecutionLog, events: readonly HistoryEvent[]): void {
  const ids = (kind: string): readonly number[] => events.filter((event) => event.kind === kind).map(({ id }) => id);
  const cancelledIds = (kind: string): readonly number[] =>
    events.flatMap((event) => (event.kind === 'FutureCancelled' && events[event.sourceId - 1]?.kind === kind ? [event.sourceId] : []));
  expect(turns.flatMap(({ result }) => result.activities.map(({ eventId }) => eventId))).toEqual(ids('ActivityScheduled'));
  expect(turns.flatMap(({ result }) => result.timers.map(({ eventId }) => eventId))).toEqual(ids('TimerCreated'));
  expect(turns.flatMap(({ result }) => result.cancelledActivities)).toEqual(cancelledIds('ActivityScheduled'));
  expect(turns.flatMap(({ result }) => result.cancelledTimers)).toEqual(cancelledIds('TimerCreated'));
  const starts = turns.flatMap(({ result }) => result.starts);
  expect(starts.map(({ instanceId, isChild }) => [instanceId, isChild])).toEqual(
    events.flatMap((event) =>
      event.kind === 'SubOrchestrationScheduled' || event.kind === 'OrchestrationStartRequested'
        ? [[event.instanceId, event.kind === 'SubOrchestrationScheduled']]
        : [],
    ),
  );
  checkClosing(turns, cancelledIds('SubOrchestrationScheduled'), events);
  expect(turns.map(({ result }) => result.firstEventId)).toEqual(turns.map((_, index) => (turns[index - 1]?.result.lastEventId ?? 0) + 1));
}

/** A child that is given up hears of it once at most, and exactly once by its policy `cancel` or `terminate`. */
function checkClosing(turns: ExecutionLog['turns'], givenUp: readonly number[], events: readonly HistoryEvent[]): void {
  const asked = turns
    .flatMap(({ result }) => result.messages)
    .filter(({ payload }) => payload.includes('"CancelRequested"'))
    .map(({ payload }) => (JSON.parse(payload) as { readonly parent: { readonly eventId: number } }).parent.eventId);
  const ended = turns.flatMap(({ result }) => result.effects?.terminations.map(({ eventId }) => eventId) ?? []);
  for (const id of givenUp) {
    const child = events[id - 1];
    const policy = child?.kind === 'SubOrchestrationScheduled' ? (child.onParentClose ?? 'cancel') : 'none';
    const got = [
      ...asked.filter((eventId) => eventId === id).map(() => 'asked'),
      ...ended.filter((eventId) => eventId === id).map(() => 'ended'),
    ];
    // Given up by the code, every child is asked to cancel; closed with its parent, it gets what its policy says.
    const allowed = { cancel: ['asked'], terminate: ['asked', 'ended'], abandon: ['asked', ''], none: [] }[policy];
    expect(allowed).toContain(got.join());
  }
  expect([...asked, ...ended].filter((id) => !givenUp.includes(id))).toEqual([]);
}

/** What a turn tells the store is what history says, and what it leaves to the next execution follows from it. */
function checkEffects({ turns }: ExecutionLog, events: readonly HistoryEvent[]): void {
  const effects = turns.flatMap(({ result }) => (result.effects === null ? [] : [result.effects]));
  const jsonOf = (value: unknown): string => JSON.stringify(value) ?? '';
  expect(effects.flatMap(({ values }) => values)).toEqual(
    events.flatMap((event): { readonly key: string; readonly value: string | null }[] => {
      if (event.kind === 'ValueSet') return [{ key: event.key, value: jsonOf(event.value) }];
      return event.kind === 'ValueDeleted' ? [{ key: event.key, value: null }] : [];
    }),
  );
  expect(effects.flatMap(({ subscriptions }) => subscriptions)).toEqual(
    events.flatMap((event) =>
      event.kind === 'TopicSubscribed' || event.kind === 'TopicUnsubscribed'
        ? [{ pattern: event.pattern, subscribed: event.kind === 'TopicSubscribed' }]
        : [],
    ),
  );
  expect(effects.flatMap(({ publications }) => publications.map(({ topic }) => topic))).toEqual(
    events.flatMap((event) => (event.kind === 'TopicPublished' ? [event.topic] : [])),
  );
  expect(effects.flatMap(({ sessionMessages }) => sessionMessages)).toEqual(
    events.flatMap((event) => (event.kind === 'SessionMessageSent' ? [{ sessionId: event.sessionId, payload: jsonOf(event.data) }] : [])),
  );
  const attributes = attributesAfter(events);
  const told = effects.flatMap((one) => (one.attributes === null ? [] : [one.attributes]));
  expect(told).toHaveLength(turns.filter(({ result }) => parseEvents(result.events).some(({ kind }) => kind === 'AttributesSet')).length);
  if (told.length > 0) expect(JSON.parse(told.at(-1)?.text ?? '')).toEqual(attributes);
  for (const { text, list } of told)
    expect(Object.fromEntries(list.map(({ key, value }) => [key, JSON.parse(value)]))).toEqual(JSON.parse(text));
  const outcome = turns.at(-1)?.result.outcome;
  if (outcome?.kind !== 'continuedAsNew') return;
  const next = JSON.parse(outcome.payload) as OrchestrationStarted;
  expect(next.attributes ?? {}).toEqual(attributes);
  expect(next.values ?? []).toEqual(valuesAfter(events));
  expect(next.subscriptions ?? []).toEqual(subscriptionsAfter(events));
  expect(next.eventKeys ?? []).toEqual(keysAfter(events));
}

function valuesAfter(events: readonly HistoryEvent[]): readonly CarriedValue[] {
  const values = new Map<string, CarriedValue>();
  for (const event of events) {
    if (event.kind === 'OrchestrationStarted') for (const pair of event.values ?? []) values.set(pair.key, pair);
    if (event.kind === 'ValueSet') values.set(event.key, { key: event.key, value: event.value, updatedAtMs: event.atMs });
    if (event.kind === 'ValueDeleted') values.delete(event.key);
  }
  return [...values.values()].toSorted((left, right) => (left.key < right.key ? -1 : 1));
}

function subscriptionsAfter(events: readonly HistoryEvent[]): readonly string[] {
  const patterns = new Set<string>();
  for (const event of events) {
    if (event.kind === 'OrchestrationStarted') for (const pattern of event.subscriptions ?? []) patterns.add(pattern);
    if (event.kind === 'TopicSubscribed') patterns.add(event.pattern);
    if (event.kind === 'TopicUnsubscribed') patterns.delete(event.pattern);
  }
  return [...patterns];
}

/** Every key once: a repeat is no event. */
function keysAfter(events: readonly HistoryEvent[]): readonly string[] {
  return events.flatMap((event) => {
    if (event.kind === 'OrchestrationStarted') return event.eventKeys ?? [];
    return (event.kind === 'EventRaised' || event.kind === 'TopicReceived') && event.key !== undefined ? [event.key] : [];
  });
}

/** Situations that a sample must contain for the properties to mean something. */
function shapesOf({ turns }: ExecutionLog, events: readonly HistoryEvent[]): readonly string[] {
  const shapes: string[] = [];
  const cancels = events.filter(({ kind }) => kind === 'FutureCancelled').length;
  // Cancelled while the orchestration goes on: a race, an any, a failed all, or the code itself.
  if (cancels > 0 && events.findLastIndex(isInput) > events.findIndex(({ kind }) => kind === 'FutureCancelled'))
    shapes.push('loser cancelled');
  if (turns.some(({ messages }) => messages.length > 1)) shapes.push('several messages');
  if (turns.some(({ result }) => result.consumedMessages > parseEvents(result.events).filter(isInput).length))
    shapes.push('dropped message');
  if (events.some((event) => event.kind === 'FutureCancelled' && events[event.sourceId - 1]?.kind === 'SubOrchestrationScheduled')) {
    shapes.push('cancelled child');
  }
  if (events.length > 15) shapes.push('long history');
  if (events[0]?.kind === 'OrchestrationStarted' && events[0].carried !== undefined) shapes.push('carried event');
  return shapes;
}

// --- P1 and P3 ---------------------------------------------------------------------------------------------------------------

/** Runs an execution's messages again, split into turns of the given sizes, over and over. */
function* replayMessages({ instanceId }: ExecutionLog, texts: readonly string[], sizes: readonly number[]): Steps<readonly ReplayResult[]> {
  const engine = new ReplayEngine(instanceId, new TestHost(definitions));
  const results: ReplayResult[] = [];
  let from = 0;
  for (let turn = 0; from < texts.length; turn += 1) {
    const until = from + (sizes[turn % sizes.length] ?? 1);
    const messages = texts.slice(from, until).map((text) => message(JSON.parse(text) as Body));
    results.push(yield* engine.turn({ nowMs: 1_000, messages }));
    from = until;
  }
  return results;
}

const EFFECTS = ['values', 'subscriptions', 'publications', 'sessionMessages', 'terminations', 'metrics'] as const;

/** All that turns asked for, without the borders between them. */
function totals(results: readonly ReplayResult[]): string {
  const last = results.at(-1);
  return comparable({
    events: results
      .map(({ events }) => events.slice(1, -1))
      .filter(Boolean)
      .join(','),
    activities: results.flatMap(({ activities }) => activities),
    timers: results.flatMap(({ timers }) => timers),
    messages: results.flatMap(({ messages }) => messages),
    starts: results.flatMap(({ starts }) => starts),
    cancelledActivities: results.flatMap(({ cancelledActivities }) => cancelledActivities),
    cancelledTimers: results.flatMap(({ cancelledTimers }) => cancelledTimers),
    logs: results.flatMap(({ logs }) => logs),
    effects: EFFECTS.map((effect) => results.flatMap<unknown>(({ effects }) => effects?.[effect] ?? [])),
    customStatus: results.map(({ customStatus }) => customStatus).findLast((status) => status !== undefined),
    outcome: last?.outcome,
    lastEventId: last?.lastEventId,
  });
}

/** Rebuilds an instance from a prefix of its history and gives it the remaining input events: it must write the rest as it is. */
function* checkPrefix(instanceId: string, events: readonly HistoryEvent[], length: number): Steps<void> {
  const engine = yield* rebuild(instanceId, events.slice(0, length));
  const state = yield* ask(engine);
  expect([state.outcome.kind === 'faulted' ? state.outcome.failure : 'ok', state.events, engine.lastEventId]).toEqual([
    'ok',
    nothing,
    length,
  ]);
  // A terminated instance has a history without an end.
  const last = events.at(-1);
  expect(engine.isUsable).toBe(length < events.length || last === undefined || EVENT_ROLES[last.kind] !== 'terminal');
  const rest = events.slice(length);
  const results = yield* rerun(engine, rest.filter(isInput));
  expect(withoutStacks(JSON.stringify(results.flatMap((result) => parseEvents(result.events))))).toBe(withoutStacks(JSON.stringify(rest)));
}

function* replayAndAsk(instanceId: string, events: readonly HistoryEvent[]): Steps<ReplayResult> {
  return yield* ask(yield* rebuild(instanceId, events));
}

/** Ends a waiting instance as a host does after a late call, and replays what that leaves. */
function* endByFault(
  { instanceId, executionId }: ExecutionLog,
  events: readonly HistoryEvent[],
  nowMs: number,
): Steps<{ readonly result: ReplayResult; readonly again: ReplayResult }> {
  const engine = yield* rebuild(instanceId, events);
  const failure: Failure = { name: 'DeterminismError', message: 'went on between its turns', code: 'LATE_CALL' };
  const result = yield* engine.turn({ nowMs, messages: [message(instanceFaulted(failure, executionId))] });
  return { result, again: yield* replayAndAsk(instanceId, [...events, ...parseEvents(result.events)]) };
}

function codeOf({ outcome }: ReplayResult): string {
  if (outcome.kind === 'faulted' || outcome.kind === 'notRegistered') return (JSON.parse(outcome.failure) as Failure).code ?? 'none';
  return outcome.kind;
}

// --- P6 ----------------------------------------------------------------------------------------------------------------------

/** One way to damage a history. */
type Damage = {
  readonly execution: number;
  readonly how: 'drop' | 'duplicate' | 'swap' | 'alter';
  readonly position: number;
  readonly other: number;
  /** True: ids and the references to them are put in order again, as someone would who edits a history on purpose. */
  readonly renumber: boolean;
};

const damages: fc.Arbitrary<Damage> = fc.record({
  execution: fc.nat(),
  how: fc.constantFrom('drop', 'duplicate', 'swap', 'alter'),
  position: fc.nat(),
  other: fc.nat(),
  renumber: fc.integer({ min: 0, max: 5 }).map((drawn) => drawn > 0),
});

function damage(events: HistoryEvent[], { how, position, other, renumber }: Damage): readonly HistoryEvent[] {
  const index = position % events.length;
  const to = other % events.length;
  const event = events[index];
  const target = events[to];
  if (event === undefined || target === undefined) return events;
  const changed = [...events];
  if (how === 'drop') changed.splice(index, 1);
  if (how === 'duplicate') changed.splice(to, 0, structuredClone(event));
  if (how === 'swap') [changed[index], changed[to]] = [target, event];
  if (how === 'alter') changed[index] = alterField(event, other);
  return renumber && how !== 'alter' ? renumbered(changed) : changed;
}

/** Dense ids, references to the first event that had the old id, times that never decrease. */
function renumbered(events: readonly HistoryEvent[]): readonly HistoryEvent[] {
  const newIds = new Map<number, number>();
  events.forEach(({ id }, index) => {
    if (!newIds.has(id)) newIds.set(id, index + 1);
  });
  let atMs = 0;
  return events.map((event, index) => {
    atMs = Math.max(atMs, event.atMs);
    const sourceId = 'sourceId' in event ? { sourceId: newIds.get(event.sourceId) ?? event.sourceId } : {};
    return { ...event, id: index + 1, atMs, ...sourceId };
  });
}

/** Replaces one field of an event by something else. */
function alterField(event: HistoryEvent, salt: number): HistoryEvent {
  const fields = Object.keys(event);
  const field = fields[salt % fields.length] ?? 'kind';
  const value = (event as unknown as Readonly<Record<string, unknown>>)[field];
  const others: readonly unknown[] = [undefined, null, 0, 1, -1, 'other', {}, [], value, true, Number.MAX_SAFE_INTEGER];
  const drawn = typeof value === 'number' && salt % 3 === 0 ? value + 1 : others[(salt >>> 3) % others.length];
  return { ...event, [field]: drawn };
}

/** Refuses, or says that the damage is harmless after having shown it. */
function* judge(instanceId: string, damaged: readonly HistoryEvent[]): Steps<string> {
  const copy = parseText(damaged);
  try {
    validateHistory(copy);
  } catch (error) {
    if (error instanceof HistoryError && error.code === 'HISTORY_INVALID') return error.code;
    throw error;
  }
  const replayed = yield* replayAndAsk(instanceId, copy);
  const code = codeOf(replayed);
  if (code === 'NONDETERMINISM' || code === 'ORCHESTRATION_NOT_REGISTERED') return code;
  expect(replayed.outcome.kind).not.toBe('faulted');
  const engine = new ReplayEngine(instanceId, new TestHost(definitions));
  const results = yield* rerun(engine, copy.filter(isInput));
  expect(results.flatMap((result) => parseEvents(result.events)).map(essence)).toEqual(copy.map(essence));
  return 'harmless';
}

/** What of an event replay compares or delivers: not the times of decisions, the words of failures, and the due times of timers. */
function essence(event: HistoryEvent): unknown {
  switch (event.kind) {
    case 'OrchestrationFailed':
      return { ...event, atMs: 0, failure: [event.failure.name, event.failure.code] };
    case 'TimerCreated':
      return { ...event, atMs: 0, fireAtMs: 0 };
    case 'OrchestrationStarted':
    case 'ActivityCompleted':
    case 'ActivityFailed':
    case 'EventRaised':
    case 'SubOrchestrationCompleted':
    case 'SubOrchestrationFailed':
    case 'CancelRequested':
    case 'ActivityScheduled':
    case 'EventAwaited':
    case 'SubOrchestrationScheduled':
    case 'OrchestrationStartRequested':
    case 'CustomStatusSet':
    case 'TimerFired':
    case 'FutureCancelled':
    case 'OrchestrationCancelled':
    case 'OrchestrationCompleted':
    case 'OrchestrationContinuedAsNew':
    case 'TopicReceived':
    case 'ValueSet':
    case 'ValueDeleted':
    case 'AttributesSet':
    case 'TopicSubscribed':
    case 'TopicUnsubscribed':
    case 'TopicPublished':
    case 'SessionMessageSent':
    case 'Patched':
      return { ...event, atMs: 0 };
  }
}

type Alter = (event: HistoryEvent, salt: number) => object;

const replaceWith =
  (field: string, make: (salt: number) => unknown): Alter =>
  (event, salt) => ({ ...event, [field]: make(salt) });

const otherText = replaceWith('name', (salt) => `other ${salt}`);
const otherPayload = (field: string): Alter => replaceWith(field, (salt) => ({ altered: salt }));

/** Changes that replay must find, whatever the program: the identity of each decision. */
const ALTERATIONS: Readonly<Record<string, readonly Alter[]>> = {
  ActivityScheduled: [
    otherText,
    otherPayload('input'),
    replaceWith('input', () => undefined),
    replaceWith('tag', (salt) => `other ${salt}`),
    replaceWith('attempt', (salt) => salt + 10),
  ],
  ValueSet: [otherPayload('value'), replaceWith('key', (salt) => `other ${salt}`)],
  ValueDeleted: [replaceWith('key', (salt) => `other ${salt}`)],
  AttributesSet: [replaceWith('attributes', (salt) => ({ altered: salt })), replaceWith('attributes', () => ({ altered: null }))],
  TopicSubscribed: [replaceWith('pattern', (salt) => `other ${salt}`)],
  TopicUnsubscribed: [replaceWith('pattern', (salt) => `other ${salt}`)],
  TopicPublished: [otherPayload('data'), replaceWith('topic', (salt) => `other ${salt}`)],
  SessionMessageSent: [otherPayload('data'), replaceWith('sessionId', (salt) => `other ${salt}`)],
  TimerCreated: [(event) => ({ id: event.id, atMs: event.atMs, kind: 'EventAwaited', name: 'go' })],
  EventAwaited: [otherText],
  SubOrchestrationScheduled: [
    otherText,
    otherPayload('input'),
    replaceWith('instanceId', (salt) => `other-${salt}`),
    replaceWith('version', (salt) => `${salt}.0.9`),
    replaceWith('onParentClose', (salt) => `other ${salt}`),
  ],
  OrchestrationStartRequested: [otherText, otherPayload('input'), replaceWith('instanceId', (salt) => `other-${salt}`)],
  CustomStatusSet: [otherPayload('status')],
  ActivityCompleted: [replaceWith('executionId', (salt) => salt + 10)],
  TimerFired: [replaceWith('executionId', (salt) => salt + 10)],
  FutureCancelled: [(event) => ({ ...event, sourceId: (event as { readonly sourceId: number }).sourceId + 1 })],
  OrchestrationCompleted: [otherPayload('result'), replaceWith('kind', () => 'OrchestrationContinuedAsNew')],
  OrchestrationFailed: [
    replaceWith('failure', (salt) => ({ name: `Other${salt}`, message: 'x' })),
    replaceWith('kind', () => 'OrchestrationCompleted'),
  ],
  OrchestrationCancelled: [replaceWith('reason', (salt) => `other ${salt}`), replaceWith('kind', () => 'OrchestrationCompleted')],
  OrchestrationContinuedAsNew: [otherPayload('input'), replaceWith('version', () => '9.9.9')],
};
