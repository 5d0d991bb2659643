// Recorded beside emitted decision: from errors as they are caught, as they are stored now, and as they were stored before.
import { toNondeterminism } from 'duraloom/views';
import { replayHistory } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { nondeterminismError, strayedError, stuckError } from '../../../src/replay/engine-errors.ts';
import { InstanceError } from '../../../src/types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../../../src/types/failure.ts';
import { activityCompleted, activityScheduled, orchestration, started, statusSet, timerCreated } from '../../support/replay-harness.ts';
import { timed } from './kit.ts';

const culprit = { name: 'order', instanceId: 'order-1', executionId: 1, lastCall: 'none' };
const history = timed(
  started(),
  statusSet(1),
  statusSet(2),
  statusSet(3),
  statusSet(4),
  activityScheduled('charge', 12),
  activityCompleted(6),
  timerCreated(5_000),
);
const emitted = 'ActivityScheduled {name: "charge", input: 13}';
const location = 'at order (file:///app/order.ts:12:20)';
const error = nondeterminismError(culprit, { eventId: 6, recorded: history[5], emitted, location });

/** As the store keeps it. */
const stored = JSON.parse(JSON.stringify(toFailure(error))) as Failure;
const { nondeterminism: _, ...before } = stored;

const view = {
  eventId: 6,
  recorded: 'ActivityScheduled {name: "charge", input: 12}',
  emitted,
  location: { text: location, file: 'file:///app/order.ts', line: 12, column: 20 },
  same: { start: 'ActivityScheduled {name: "charge", input: 1'.length, end: 1 },
};

describe('a nondeterminism', () => {
  test.each([
    ['an error', error],
    ['a stored failure', stored],
    ['a failure that was stored as text only', before],
    ['an error that was rebuilt from the store', fromFailure(stored)],
    [
      'the error of a client, whose cause it is',
      new InstanceError('INSTANCE_QUARANTINED', 'order-1', 'quarantined', { cause: fromFailure(before) }),
    ],
    ['the failure of a parent, whose cause it is', { name: 'Error', message: 'child failed', cause: stored }],
  ])('is found in %s', (_name, given) => {
    expect(toNondeterminism(given)).toMatchObject(view);
  });

  test('is shown between the events around it', () => {
    expect(toNondeterminism(stored, history)?.lines).toEqual([
      { side: 'both', eventId: 3, text: 'CustomStatusSet {status: 2}' },
      { side: 'both', eventId: 4, text: 'CustomStatusSet {status: 3}' },
      { side: 'both', eventId: 5, text: 'CustomStatusSet {status: 4}' },
      { side: 'history', eventId: 6, text: view.recorded },
      { side: 'code', eventId: 6, text: `${emitted} (${location})` },
      { side: 'both', eventId: 7, text: 'ActivityCompleted {sourceId: 6}' },
      { side: 'both', eventId: 8, text: 'TimerCreated {}' },
    ]);
    expect(toNondeterminism(stored)?.lines.map(({ side }) => side)).toEqual(['history', 'code']);
  });

  test('at the end of history has nothing recorded', () => {
    const at = { eventId: 9, recorded: undefined, emitted: 'ends here (completed)', location: null };
    expect(toNondeterminism(nondeterminismError(culprit, at), history)).toMatchObject({
      recorded: null,
      location: null,
      same: { start: 0, end: 0 },
      lines: [{}, {}, {}, { side: 'history', text: '(history ends here)' }, { side: 'code', text: 'ends here (completed)' }],
    });
  });

  test('comes from a replay of today’s code, with the place in it', async () => {
    const changed = orchestration('test', async (ctx) => await ctx.scheduleActivity('refund', 12));
    const caught: unknown = await replayHistory(timed(started(), activityScheduled('charge', 12)), changed).catch(
      (thrown: unknown) => thrown,
    );
    expect(toNondeterminism(caught)).toMatchObject({
      eventId: 2,
      recorded: 'ActivityScheduled {name: "charge", input: 12}',
      emitted: 'ActivityScheduled {name: "refund", input: 12}',
      location: { file: expect.stringContaining('nondeterminism.test.ts') as unknown, line: expect.any(Number) as unknown },
    });
  });

  test.each([
    ['at file:///app/order.ts:3:9', 'file:///app/order.ts', 3, 9],
    ['at async order (C:\\app\\order.ts:3:9)', 'C:\\app\\order.ts', 3, 9],
    ['at order (<anonymous>)', null, null, null],
    ['somewhere', null, null, null],
  ])('is at %s', (text, file, line, column) => {
    const given = { nondeterminism: { eventId: 1, recorded: null, emitted, location: text } };
    expect(toNondeterminism(given)?.location).toEqual({ text, file, line, column });
  });

  test('says how much of both sides is the same, without cutting a character', () => {
    const sides = (recorded: string, now: string): unknown =>
      toNondeterminism({ nondeterminism: { eventId: 1, recorded, emitted: now, location: null } })?.same;
    expect(sides('abc', 'abc')).toEqual({ start: 3, end: 0 });
    expect(sides('abxyc', 'abc')).toEqual({ start: 2, end: 1 });
    expect(sides('aa', 'aaa')).toEqual({ start: 2, end: 0 });
    expect(sides('\u{1F600}', '\u{1F601}')).toEqual({ start: 0, end: 0 });
  });

  const circular: { code: string; message: string; cause?: unknown } = { code: 'X', message: 'x' };
  circular.cause = circular;

  test.each([
    ['nothing', undefined],
    ['text', 'NONDETERMINISM'],
    ['another error', stuckError(culprit)],
    ['a rebuilt engine that stands differently', strayedError(culprit, { eventId: 2, recorded: 'x' })],
    ['damaged data', { code: 'NONDETERMINISM', message: 7, nondeterminism: { eventId: 'x' } }],
    ['an error that is its own cause', circular],
  ])('is not found in %s', (_name, given) => {
    expect(toNondeterminism(given, history)).toBeNull();
  });
});
