// Points in time as text: dates, and numbers that are none.
import { describe, expect, it } from 'vitest';
import { toTimeText } from '../../src/types/time-text.ts';

describe('a point in time as text', () => {
  it.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [8.64e15, '+275760-09-13T00:00:00.000Z'],
    [8.64e15 + 1, '8640000000000001 ms'],
    [-1e300, '-1e+300 ms'],
    [Number.NaN, 'NaN ms'],
  ])('%s is %s', (atMs, text) => {
    expect(toTimeText(atMs)).toBe(text);
  });
});
