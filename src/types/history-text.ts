// Pages of history as text → parsed events. Untrusted: what comes out is checked by validateHistory before it is replayed.
import { parseRecord } from './codec.ts';
import { HistoryError } from './errors.ts';

/**
 * Parses pages of history.
 *
 * @param pages - JSON text of arrays, in order
 * @returns the events, of unknown shape
 * @throws {HistoryError} when a page is no JSON or no array
 */
export function parseHistoryPages(pages: readonly string[]): readonly unknown[] {
  const events: unknown[] = [];
  for (const page of pages) {
    let parsed: unknown;
    try {
      parsed = parseRecord(page);
    } catch {
      throw new HistoryError(events.length + 1, 'its page is not JSON');
    }
    if (!Array.isArray(parsed)) throw new HistoryError(events.length + 1, 'its page is no array');
    for (const event of parsed as unknown[]) events.push(event);
  }
  return events;
}
