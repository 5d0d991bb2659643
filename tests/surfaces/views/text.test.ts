// Durations, cut names and lists without their middle.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutText, formatDuration, keepEnds } from '../../../src/surfaces/views/text.ts';
import { fcParameters, seeded } from '../../support/seed.ts';

describe('a duration', () => {
  test.each([
    [-5, '0 ms'],
    [0, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1 s'],
    [1_540, '1.5 s'],
    [59_940, '59.9 s'],
    [59_960, '1 min'],
    [182_000, '3 min 2 s'],
    [3_599_600, '1 h'],
    [7_500_000, '2 h 5 min'],
    [86_399_000, '1 d'],
    [187_200_000, '2 d 4 h'],
    [3_153_600_000_000, '36500 d'],
  ])('of %s ms is %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});

describe(seeded('a long text or list'), () => {
  test('is cut between its characters, and not longer than asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (text, maxLength) => {
        const cut = cutText(text, maxLength);
        const length = Array.from(text).length;
        expect(Array.from(cut)).toHaveLength(Math.min(length, maxLength));
        if (length > maxLength) expect(cut.endsWith('…') && text.startsWith(cut.slice(0, -1))).toBe(true);
        else expect(cut).toBe(text);
      }),
      fcParameters({ numRuns: 500 }),
    );
  });

  test('loses its middle, and nothing is shown twice or gone', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: 12 }), (items, maxItems) => {
        const { first, left, last } = keepEnds(items, maxItems);
        expect([...first, ...left, ...last]).toEqual(items);
        expect(first.length + last.length).toBe(Math.min(items.length, maxItems));
        expect(last.length).toBeLessThanOrEqual(first.length);
      }),
      fcParameters({ numRuns: 500 }),
    );
  });
});
