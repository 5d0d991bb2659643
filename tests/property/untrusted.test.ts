// Data from the store, values from users: whatever it is, it is read, or refused with a typed error. Nothing else is ever thrown.
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMessage } from '../../src/replay/message.ts';
import { SeededRandom } from '../../src/replay/random.ts';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import { validateHistory } from '../../src/replay/validate-history.ts';
import { decodePayload, encodePayload } from '../../src/types/codec.ts';
import { DurableError, HistoryError, PayloadError } from '../../src/types/errors.ts';
import { fromFailure, toFailure } from '../../src/types/failure.ts';
import { EVENT_ROLES, type EventKind, type HistoryEvent } from '../../src/types/history-event.ts';
import { orchestration, parseEvents, run, TestHost } from '../support/replay-harness.ts';
import { fcParameters, seeded } from '../support/seed.ts';

const kinds = Object.keys(EVENT_ROLES);

/** A field's value, mostly of a kind that the field has. */
const value = fc.oneof(fc.constantFrom<unknown>(1, 2, 'x', null, '', -1, 1.5, true), fc.jsonValue({ maxDepth: 2 }));
const scalar = fc.oneof(fc.constantFrom<unknown>('', null, 0, -1, 'x', true), fc.integer(), fc.string());

const event = fc.record(
  {
    id: scalar,
    atMs: value,
    kind: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...kinds, 'InstanceFaulted') }, { weight: 1, arbitrary: scalar }),
    executionId: value,
    sourceId: value,
    name: value,
    version: value,
    engine: value,
    instanceId: value,
    fireAtMs: value,
    reason: value,
    failure: fc.oneof(value, fc.record({ name: value, message: value, code: value, cause: value }, { requiredKeys: [] })),
    parent: value,
    carried: value,
    input: value,
    topic: value,
    key: value,
    pattern: value,
    patchId: value,
    sessionId: value,
    onParentClose: value,
    attempt: value,
    values: value,
    attributes: fc.oneof(value, fc.dictionary(fc.constantFrom('a', '', '__proto__'), value)),
    subscriptions: value,
    eventKeys: value,
  },
  { requiredKeys: ['kind'] },
);

const fine = {
  executionId: 1,
  name: 'n',
  version: '1.0.0',
  engine: 1,
  instanceId: 'x',
  fireAtMs: 5,
  reason: 'r',
  failure: { name: 'Error', message: 'x' },
  topic: 'n/1',
  key: 'k',
  pattern: 'n/*',
  patchId: 'p',
  sessionId: 's',
  value: 1,
  attributes: { a: 1 },
};

/** Kinds as they are in the middle of a history, and others now and then. */
const likely = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.constantFrom(...kinds.filter((kind) => EVENT_ROLES[kind as EventKind] === 'decision'), 'EventRaised', 'TimerFired'),
  },
  { weight: 1, arbitrary: fc.constantFrom(...kinds) },
);

/** Histories that are nearly right: ids and times are, references may be, and few fields are not. */
const nearly = fc
  .array(
    fc.record({
      kind: likely,
      sourceId: fc.integer({ min: 1, max: 6 }),
      slip: fc.oneof({ weight: 11, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: event }),
    }),
    {
      maxLength: 8,
    },
  )
  .map((events) =>
    events.map(({ kind, sourceId, slip }, index) => ({
      ...fine,
      kind: index === 0 ? 'OrchestrationStarted' : kind,
      sourceId,
      ...(slip === null ? {} : { ...slip, kind }),
      id: index + 1,
      atMs: 5,
    })),
  );

/** Messages that are nearly right. */
const messages = fc
  .record({
    kind: fc.constantFrom(...kinds.filter((kind) => EVENT_ROLES[kind as EventKind] === 'input'), 'InstanceFaulted'),
    sourceId: fc.integer({ min: 1, max: 5 }),
    slip: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: event }),
    isWhole: fc.integer({ min: 0, max: 4 }),
  })
  .map(({ kind, sourceId, slip, isWhole }) => {
    const fields: object = { ...fine, kind, sourceId, ...slip, ...(isWhole > 0 ? { kind, id: undefined, atMs: undefined } : {}) };
    return JSON.stringify(fields);
  });

/** An orchestration that everything can be sent to. */
const open = orchestration('n', async (ctx) => {
  ctx.subscribe('n/*');
  await ctx.allSettled([ctx.scheduleActivity('a'), ctx.scheduleTimer(1), ctx.scheduleSubOrchestration('c')]);
  await ctx.waitForEvent('never');
});

/** The valid history that a message leads to. */
async function eventsOf(text: string): Promise<readonly HistoryEvent[]> {
  const engine = new ReplayEngine('i1', new TestHost([open]));
  const received = parseMessage(text);
  const first = parseMessage(JSON.stringify({ ...fine, kind: 'OrchestrationStarted' }));
  const isStart = received.message.kind === 'OrchestrationStarted';
  const result = await run(engine.turn({ nowMs: 5, messages: isStart ? [received] : [first, received] }));
  const events = parseEvents(result.events);
  return events.length === 0 ? [] : validateHistory(events);
}

describe(seeded('untrusted data'), () => {
  test('makes a valid history, or a HistoryError that names an event of it', () => {
    let accepted = 0;
    const faults = new Set<number>();
    fc.assert(
      fc.property(
        fc.oneof({ weight: 4, arbitrary: nearly }, { weight: 1, arbitrary: fc.array(fc.oneof(event, value), { maxLength: 4 }) }),
        (events) => {
          try {
            expect(validateHistory(events)).toBe(events);
            accepted += 1;
          } catch (error) {
            if (!(error instanceof HistoryError)) throw error;
            expect(error.eventId).toBeLessThanOrEqual(events.length);
            faults.add(error.eventId);
          }
        },
      ),
      fcParameters({ numRuns: 2_500 }),
    );
    expect([accepted > 100, faults.size > 3]).toEqual([true, true]);
  });

  test('makes a message whose event is valid, or a MESSAGE_INVALID', async () => {
    const events = new Set<string>();
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof({ weight: 6, arbitrary: messages }, { weight: 1, arbitrary: fc.json({ maxDepth: 1 }) }, fc.string()),
        async (text) => {
          try {
            expect(parseMessage(text).text).toBe(text);
          } catch (error) {
            if (!(error instanceof DurableError) || error.code !== 'MESSAGE_INVALID') throw error;
            refused += 1;
            return;
          }
          for (const { kind } of await eventsOf(text)) events.add(kind);
        },
      ),
      fcParameters({ numRuns: 1_500 }),
    );
    const inputs = kinds.filter((kind) => EVENT_ROLES[kind as EventKind] === 'input');
    expect([refused > 100, inputs.filter((kind) => !events.has(kind))]).toEqual([true, []]);
  });

  test('comes through the codec as JSON leaves it, and is stable from then on', () => {
    let refused = 0;
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withSparseArray: true }),
        (anything) => {
          let encoded: string | undefined;
          try {
            encoded = encodePayload(anything, 'value');
          } catch (error) {
            expect(error).toBeInstanceOf(PayloadError);
            refused += 1;
            return;
          }
          expect(encoded).toBe(anything === undefined ? undefined : JSON.stringify(anything));
          expect(encodePayload(decodePayload(encoded), 'value')).toBe(encoded);
        },
      ),
      fcParameters({ numRuns: 1_500 }),
    );
    expect(refused).toBeGreaterThan(5);
  });

  test('is measured in the bytes that the store writes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.nat(150), (text, limit) => {
        const encoded = JSON.stringify(text);
        const fits = Buffer.byteLength(encoded, 'utf8') <= limit;
        if (fits) expect(encodePayload(text, 'text', limit)).toBe(encoded);
        else expect(() => encodePayload(text, 'text', limit)).toThrow(PayloadError);
      }),
      fcParameters({ numRuns: 1_500 }),
    );
  });

  test('that is thrown becomes a failure, which comes back and goes again the same', () => {
    const thrown = fc.oneof(
      fc.anything({ withBigInt: true, withNullPrototype: true }),
      fc
        .record({ message: fc.string(), name: fc.anything(), code: fc.anything(), cause: fc.anything() })
        .map(({ message, ...fields }) => Object.assign(new Error(message), fields)),
    );
    fc.assert(
      fc.property(thrown, (anything) => {
        const failure = toFailure(anything);
        expect([typeof failure.name, typeof failure.message]).toEqual(['string', 'string']);
        const { stack: _, cause: __, ...again } = toFailure(fromFailure(failure));
        const { stack: ___, cause: ____, ...before } = failure;
        expect(again).toEqual(before);
      }),
      fcParameters({ numRuns: 1_500 }),
    );
  });

  test('as a seed gives numbers in range, and the same ones again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const [first, second] = [new SeededRandom(text), new SeededRandom(text)];
        for (let count = 0; count < 20; count += 1) {
          const drawn = first.nextFloat();
          expect(drawn >= 0 && drawn < 1).toBe(true);
          expect(second.nextFloat()).toBe(drawn);
        }
        expect(first.nextUuid()).toBe(second.nextUuid());
      }),
      fcParameters({ numRuns: 500 }),
    );
  });
});
