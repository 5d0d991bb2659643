// What hosts may bring: a clock is known by its methods, and the logger that nobody gave says nothing.
import { describe, expect, it, test } from 'vitest';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { systemClock } from '../../src/provider/system-clock.ts';
import { isClock } from '../../src/types/clock.ts';
import { silentLogger } from '../../src/types/logger.ts';

describe('a clock', () => {
  it('is ours, and whatever has its methods', () => {
    expect([systemClock, new SimulatedClock(0)].map(isClock)).toEqual([true, true]);
  });

  it.each([undefined, null, 5, 'clock', {}, Date, { ...systemClock, setTimer: 'later' }])('is not %s', (value) => {
    expect(isClock(value)).toBe(false);
  });

  it.each(['nowMs', 'monotonicMs', 'setTimer', 'defer'])('is not without %s', (method) => {
    const clock = { nowMs: Date.now, monotonicMs: Date.now, setTimer: () => () => undefined, defer: () => undefined };
    expect(isClock(clock)).toBe(true);
    expect(isClock({ ...clock, [method]: undefined })).toBe(false);
  });
});

test.each(['debug', 'info', 'warn', 'error'] as const)('the silent logger takes %s and does nothing', (level) => {
  expect(silentLogger[level]({ instanceId: 'i1' }, 'line')).toBeUndefined();
});
