// Points in time as text for people. Pure: it reads no clock.

/** Where dates end: 275760 in the calendar. */
const MAX_DATE_MS = 8.64e15;

/**
 * Writes a point in time. Never throws: times of a history that was changed outside may be no date.
 *
 * @param atMs - epoch milliseconds
 * @returns such as `2025-01-01T00:00:00.000Z`
 */
export function toTimeText(atMs: number): string {
  // oxlint-disable-next-line no-restricted-globals -- converts a number, asks for no time
  return Math.abs(atMs) <= MAX_DATE_MS ? new Date(atMs).toISOString() : `${atMs} ms`;
}
