import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fcParameters, resolveSeed, seed, seeded } from './support/seed.ts';

describe(seeded('seed'), () => {
  test('DURALOOM_SEED wins over CI', () => {
    expect(resolveSeed({ DURALOOM_SEED: '-7', CI: 'true' }, () => 0.5)).toBe(-7);
  });

  test('CI gets the same seed every time', () => {
    expect(resolveSeed({ CI: 'true' }, () => 0.1)).toBe(resolveSeed({ CI: '1' }, () => 0.9));
  });

  test('elsewhere the seed is random and fits 32 bits', () => {
    expect(resolveSeed({}, () => 0)).toBe(0);
    expect(resolveSeed({ DURALOOM_SEED: '' }, () => 1 - Number.EPSILON)).toBe(2 ** 31 - 1);
  });

  test.each(['x', '1.5', '4294967296', 'Infinity'])('the seed %s is refused', (text) => {
    expect(() => resolveSeed({ DURALOOM_SEED: text }, Math.random)).toThrow(RangeError);
  });

  test('fast-check draws the same cases for the same seed', () => {
    const draw = (): readonly number[] => fc.sample(fc.integer(), fcParameters({ numRuns: 20 }));
    expect(draw()).toEqual(draw());
    expect(fcParameters({ numRuns: 20 })).toEqual({ numRuns: 20, seed });
  });
});
