// The simulated clock that tests and users' tests run on.
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';

describe('simulated clock', () => {
  test('fires timers in the order of their times, at their times', async () => {
    const clock = new SimulatedClock(1_000);
    const fired: [string, number][] = [];
    const note = (name: string) => () => fired.push([name, clock.nowMs()]);
    clock.setTimer(20, note('late'));
    clock.setTimer(10, note('early'));
    clock.setTimer(10, note('early, second'));
    await clock.advance(15);
    expect(fired).toEqual([
      ['early', 1_010],
      ['early, second', 1_010],
    ]);
    expect(clock.nowMs()).toBe(1_015);
    await clock.advance(5);
    expect(fired.at(-1)).toEqual(['late', 1_020]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('fires a timer that another timer set, when its time is within the advance', async () => {
    const clock = new SimulatedClock(0);
    const fired: number[] = [];
    clock.setTimer(10, () => clock.setTimer(10, () => fired.push(clock.nowMs())));
    await clock.advance(30);
    expect(fired).toEqual([20]);
  });

  test('does not fire a cancelled timer', async () => {
    const clock = new SimulatedClock(0);
    let fired = false;
    clock.setTimer(10, () => (fired = true))();
    await clock.advance(20);
    expect(fired).toBe(false);
  });

  test('jumps in both directions without firing, and runs to the next timer', async () => {
    const clock = new SimulatedClock(1_000);
    let fired = 0;
    clock.setTimer(50, () => (fired += 1));
    clock.jump(-500);
    expect([clock.nowMs(), fired]).toEqual([500, 0]);
    await clock.runToNextTimer();
    expect(fired).toBe(1);
  });

  test('does not stop for what happens in the background, and lets it happen at the next stop', async () => {
    const clock = new SimulatedClock(0);
    const fired: [string, number][] = [];
    const note = (name: string) => () => fired.push([name, clock.nowMs()]);
    clock.setTimer(10, note('housekeeping'), true);
    expect([clock.nextTimerAtMs, await clock.runToNextTimer(), clock.nowMs()]).toEqual([null, false, 0]);
    clock.setTimer(30, note('work'));
    clock.setTimer(50, note('more work'))();
    clock.setTimer(40, note('more housekeeping'), true);
    expect([clock.nextTimerAtMs, clock.lastTimerAtMs]).toEqual([30, 30]);
    expect([clock.nextTimerAtMs, await clock.runToNextTimer()]).toEqual([30, true]);
    expect(clock.lastTimerAtMs).toBeNull();
    expect(fired).toEqual([
      ['housekeeping', 30],
      ['work', 30],
    ]);
  });

  test('lets what was deferred happen before time goes on', async () => {
    const clock = new SimulatedClock(0);
    const seen: number[] = [];
    const again = (left: number): void => {
      seen.push(clock.nowMs());
      if (left > 0) clock.defer(() => again(left - 1));
    };
    clock.setTimer(10, () => again(20));
    clock.setTimer(11, () => seen.push(-1));
    await clock.advance(11);
    expect(seen).toEqual([...Array.from({ length: 21 }, () => 10), -1]);
  });

  test('goes on when the test runner has replaced the timers of Node', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const clock = new SimulatedClock(0);
    let fired = false;
    clock.setTimer(10, () => clock.defer(() => (fired = true)));
    await clock.advance(10);
    expect(fired).toBe(true);
  });
});
