// What a dispatcher remembers stays bounded, and what is forgotten is the oldest.
import { expect, test } from 'vitest';
import { BoundedMap } from '../../src/main/bounded-map.ts';

const MOST = 10_000;

test('a full map forgets the entry that was set longest ago', () => {
  const map = new BoundedMap<number, number>();
  for (let key = 0; key < MOST; key += 1) map.set(key, key);
  expect([map.size, map.has(0)]).toEqual([MOST, true]);
  // Set again, the first one is the newest.
  map.set(0, -1).set(MOST, 0);
  expect(map.size).toBe(MOST);
  expect([map.get(0), map.has(1), map.has(2)]).toEqual([-1, false, true]);
});
