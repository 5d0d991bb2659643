// Routing of an activity that was stored or sent: it is taken whole or not at all.
import { expect, it } from 'vitest';
import { isRouting } from '../../src/types/replay.ts';

const whole = { tag: null, sessionId: 's', priority: 3, timeoutMs: 5, expiresAfterMs: null, limit: null, extras: null };

it('is taken when every field is of its kind', () => {
  expect(isRouting(whole)).toBe(true);
});

it.each<readonly [string, unknown]>([
  ['null', null],
  ['text', 'routing'],
  ['a tag that is no text', { ...whole, tag: 5 }],
  ['a session that is missing', { ...whole, sessionId: undefined }],
  ['a priority that is no whole number', { ...whole, priority: 0.5 }],
  ['a time without end', { ...whole, timeoutMs: Number.POSITIVE_INFINITY }],
])('is refused as %s', (_, value) => {
  expect(isRouting(value)).toBe(false);
});
