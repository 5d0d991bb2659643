// The simulated clock that tests and users' tests run on.
import { describe, expect, test } from 'vitest';
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
});
