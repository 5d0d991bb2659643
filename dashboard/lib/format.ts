// Numbers, times and sizes as people read them.
import { formatDuration as formatWhole } from '../../src/surfaces/views/text.ts';

const NUMBER = new Intl.NumberFormat('en');
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
/** Controls but for line ends and tabs, marks and overrides of direction, joiners of no width but those that emoji and scripts need. */
// eslint-disable-next-line no-control-regex
const INVISIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const DATE_TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/**
 * Writes a duration.
 *
 * @param ms - milliseconds
 * @returns such as `2 h 5 min`, `1.5 s`, `12 ms`, `0.4 ms`
 */
export function formatDuration(ms: number): string {
  if (ms < 0) return `−${formatDuration(-ms)}`;
  return ms < 10 && !Number.isInteger(ms) ? `${ms.toFixed(1)} ms` : formatWhole(ms);
}

/**
 * Writes how long ago or ahead a moment is.
 *
 * @param atMs - the moment
 * @param nowMs - now
 * @returns such as `5 min ago`, `in 3 s`
 */
export function formatRelative(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs;
  if (Math.abs(ms) < 1000) return 'now';
  const rounded = Math.abs(ms) < 60_000 ? Math.floor(Math.abs(ms) / 1000) * 1000 : Math.abs(ms);
  return ms < 0 ? `in ${formatDuration(rounded)}` : `${formatDuration(rounded)} ago`;
}

/**
 * Writes the time of day, with the date unless it is today's, in the reader's time zone.
 *
 * @param atMs - epoch milliseconds
 * @param nowMs - now
 * @returns such as `21:53:42.007` or `26 Nov, 21:53:42.007`
 */
export function formatClock(atMs: number, nowMs: number): string {
  const time = CLOCK.format(atMs);
  return DAY.format(atMs) === DAY.format(nowMs) ? time : `${DAY.format(atMs)}, ${time}`;
}

/**
 * Makes characters visible that cannot be seen, or that change the order of others on the screen: what is shown is what is there.
 *
 * @param text - of a user of the store, such as an id
 * @returns the same, with escapes such as `\u202e` for such characters
 */
export function toVisible(text: string): string {
  return text.replace(INVISIBLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Writes a moment in the reader's time zone.
 *
 * @param atMs - epoch milliseconds
 * @returns date and time
 */
export function formatMoment(atMs: number): string {
  return DATE_TIME.format(atMs);
}

/**
 * Writes a number with separators.
 *
 * @param value - any number
 * @returns such as `12,345`
 */
export function formatNumber(value: number): string {
  return NUMBER.format(value);
}

/**
 * Writes a large number shortly.
 *
 * @param value - any number
 * @returns such as `12.3K`
 */
export function formatCompact(value: number): string {
  return COMPACT.format(value);
}

/**
 * Writes a size.
 *
 * @param bytes - number of bytes
 * @returns such as `1.5 MiB`
 */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1_048_576) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

/**
 * Writes a share.
 *
 * @param share - 0 to 1
 * @returns such as `37 %`
 */
export function formatShare(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/**
 * Writes a count with its noun.
 *
 * @param count - how many
 * @param noun - in the singular
 * @returns such as `1 timer`, `3 timers`, `2 activities`
 */
export function plural(count: number, noun: string): string {
  const plurals = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : noun === 'child' ? 'children' : `${noun}s`;
  return `${formatNumber(count)} ${count === 1 ? noun : plurals}`;
}
