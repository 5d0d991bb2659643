// The window of the figures: how far it reaches back, and what readers keep.
import { describe, expect, test } from 'vitest';
import { StatsWindow } from '../../src/main/stats-window.ts';

/** A window whose time is set by hand. */
function start(): { readonly at: (ms: number) => number; readonly looks: () => number } {
  let atMs = 0;
  let looks = 0;
  const window = new StatsWindow(() => {
    looks += 1;
    return { atMs };
  });
  return {
    at: (ms) => {
      atMs = ms;
      const { now, since } = window.read();
      expect(now.atMs).toBe(ms);
      return since.atMs;
    },
    looks: () => looks,
  };
}

describe('a window', () => {
  test('reaches back to the start until a second has passed', () => {
    const { at } = start();
    expect([at(0), at(10), at(500), at(999)]).toEqual([0, 0, 0, 0]);
  });

  test('reaches back to the latest look that is at least a second old', () => {
    const { at } = start();
    expect([at(1_000), at(1_500), at(2_100), at(2_700), at(60_000), at(60_500)]).toEqual([0, 0, 1_000, 1_500, 2_700, 2_700]);
  });

  test('is about a second long for who reads all the time', () => {
    const { at } = start();
    let longestMs = 0;
    for (let ms = 1; ms < 20_000; ms += 7) longestMs = Math.max(longestMs, ms - at(ms));
    expect(longestMs).toBeLessThan(1_250);
  });

  test('has no length when time stands still', () => {
    expect(start().at(0)).toBe(0);
  });
});
