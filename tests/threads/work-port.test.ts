// The channel that stands in for a port between threads when there are none: it never calls at once, and keeps what comes early.
import { SimulatedClock } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import type { Wire } from '../../src/threads/messages.ts';
import { makeInlineChannel, type WorkPort } from '../../src/threads/work-port.ts';

function setUp(): { readonly clock: SimulatedClock; readonly left: WorkPort; readonly right: WorkPort; readonly got: Wire[] } {
  const clock = new SimulatedClock(0);
  const [left, right] = makeInlineChannel(clock, clock);
  return { clock, left, right, got: [] };
}

describe('an inline channel', () => {
  test('delivers in order, in a later turn of the event loop', async () => {
    const { clock, left, right, got } = setUp();
    right.on('message', (wire) => got.push(wire));
    left.postMessage([1]);
    left.postMessage([2]);
    expect(got).toEqual([]);
    await clock.advance(0);
    expect(got).toEqual([[1], [2]]);
  });

  test('keeps what comes before anybody listens', async () => {
    const { clock, left, right, got } = setUp();
    left.postMessage([1]);
    left.postMessage([2]);
    await clock.advance(0);
    right.on('message', (wire) => got.push(wire));
    await clock.advance(0);
    expect(got).toEqual([[1], [2]]);
  });

  test('delivers nothing after the end, and tells both sides of it once', async () => {
    const { clock, left, right, got } = setUp();
    const ends: string[] = [];
    right.on('message', (wire) => got.push(wire));
    left.on('close', () => ends.push('left'));
    right.on('close', () => ends.push('right'));
    left.postMessage([1]);
    left.close();
    right.close();
    left.postMessage([2]);
    await clock.advance(0);
    expect([got, ends.toSorted()]).toEqual([[], ['left', 'right']]);
  });
});
