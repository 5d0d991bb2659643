// Counted durations: percentiles, and what lies between two looks.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DurationCounts, percentileOf, subtractCounts } from '../../src/threads/duration-counts.ts';
import { fcParameters, seeded } from '../support/seed.ts';

function counted(durations: readonly number[]): DurationCounts {
  const counts = new DurationCounts();
  for (const durationMs of durations) counts.note(durationMs);
  return counts;
}

describe(seeded('durations'), () => {
  test('have percentiles that are at most 19 % too high', () => {
    const duration = fc.double({ min: 0.2, max: 100_000, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(duration, { minLength: 1, maxLength: 50 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (durations, share) => {
          const exact = durations.toSorted((left, right) => left - right)[Math.ceil(durations.length * share) - 1] ?? Number.NaN;
          const found = percentileOf(counted(durations).read(), share);
          expect(found).toBeGreaterThanOrEqual(exact * 0.999_999);
          expect(found).toBeLessThanOrEqual(exact * 1.19);
        },
      ),
      fcParameters({ numRuns: 300 }),
    );
  });

  test('that are tiny, endless or none do no harm', () => {
    expect(percentileOf(new DurationCounts().read(), 1)).toBe(0);
    expect(percentileOf(counted([0, -1, 0.1]).read(), 1)).toBe(0);
    expect(percentileOf(counted([Number.POSITIVE_INFINITY]).read(), 1)).toBeGreaterThan(120_000);
  });

  test('between two looks are those that came in between', () => {
    const counts = counted([1_000, 1_000]);
    const before = counts.read();
    counts.note(8);
    expect(percentileOf(subtractCounts(counts.read(), before), 1)).toBe(8);
  });
});
