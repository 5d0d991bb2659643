// Durations as people write them: a number of milliseconds or '30s', '5m', '7d'.
import { ArgumentError } from './errors.ts';
import { MAX_DURATION_MS } from './limits.ts';
import { show } from './show.ts';

/** A length of time: milliseconds as a number, or a number with a unit: `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/**
 * Converts a duration to milliseconds.
 *
 * @param duration - milliseconds or text with a unit
 * @param what - what it is for, for the error message
 * @returns whole milliseconds, rounded up so that nothing happens early
 * @throws {ArgumentError} when it is negative, not finite, over 100 years, or no duration at all
 */
export function toMilliseconds(duration: Duration, what: string): number {
  const value: unknown = duration;
  let ms = Number.NaN;
  if (typeof value === 'number') ms = value;
  if (typeof value === 'string') {
    const unit = value.replace(/^\d+(?:\.\d+)?/, '');
    ms = Number.parseFloat(value) * (UNIT_MS.get(unit) ?? Number.NaN);
  }
  if (!(ms >= 0 && ms <= MAX_DURATION_MS)) {
    throw new ArgumentError(
      `Expected ${what} to be milliseconds ≥ 0 or text such as '30s', '5m', '7d' (at most 100 years), got ${show(value)}`,
    );
  }
  return Math.ceil(ms);
}
