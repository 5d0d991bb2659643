// What a caller passed, as the message of an error shows it: short, and without harm whatever it is.
import { expect, it } from 'vitest';
import { show } from '../../src/types/show.ts';

const deep = (depth: number): unknown => (depth === 0 ? [] : { inner: [deep(depth - 1)] });

it.each<readonly [string, unknown, string]>([
  ['text in quotes', 'text', "'text'"],
  ['long text cut', 'x'.repeat(1_000), `'${'x'.repeat(199)}…`],
  ['null', null, 'null'],
  ['undefined', undefined, 'undefined'],
  ['a number', -1.5, '-1.5'],
  ['a truth', true, 'true'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['a big integer', 10n, '10n'],
  ['a function', () => undefined, 'a function'],
  ['an array', [1, 'a', null], "[1, 'a', null]"],
  ['the first of many items', Array.from({ length: 11 }, (_, index) => index), '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …]'],
  ['an object', { a: 1, b: { c: [] } }, '{a: 1, b: {c: []}}'],
  [
    'the first of many fields',
    Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`f${index}`, 0])),
    '{f0: 0, f1: 0, f2: 0, f3: 0, f4: 0, f5: 0, f6: 0, f7: 0, f8: 0, f9: 0, …}',
  ],
  ['a field that is deep', { a: { b: { c: { d: 1 } } } }, '{a: {b: {c: {d: …}}}}'],
  ['what is deep down to some depth', deep(3), '{inner: [{inner: […]}]}'],
  ['a list that is deep', [[[[1]]]], '[[[[…]]]]'],
  ['what has a class by it', new Map(), 'a Map'],
  ['a proxy that throws', new Proxy({}, { ownKeys: () => expect.unreachable() }), 'an object that cannot be read'],
])('shows %s', (_, value, text) => {
  expect(show(value)).toBe(text);
});

it('shows no more than a line of anything', () => {
  expect(show(Array.from({ length: 10 }, () => 'x'.repeat(100)))).toHaveLength(201);
});
