// Short text for people: durations, cut names, and lists of which the middle is left out. Neighbours: mermaid.ts, report.ts.

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/**
 * Writes how long something took.
 *
 * @param durationMs - milliseconds
 * @returns such as `250 ms`, `1.5 s`, `3 min 2 s` or `2 d 4 h`
 */
export function formatDuration(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < MINUTE_MS - 50) return `${Math.round(ms / 100) / 10} s`;
  if (ms < HOUR_MS - 500) return inTwo(Math.round(ms / 1_000), 60, ['min', 's']);
  if (ms < DAY_MS - MINUTE_MS / 2) return inTwo(Math.round(ms / MINUTE_MS), 60, ['h', 'min']);
  return inTwo(Math.round(ms / HOUR_MS), 24, ['d', 'h']);
}

function inTwo(count: number, size: number, [large, small]: readonly [string, string]): string {
  const rest = count % size;
  return `${Math.floor(count / size)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/**
 * Cuts a text.
 *
 * @param text - any text
 * @param maxLength - in code points
 * @returns the text, or its beginning with `…`
 */
export function cutText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const points = Array.from(text.slice(0, maxLength * 2 + 2));
  return points.length > maxLength ? `${points.slice(0, maxLength - 1).join('')}…` : text;
}

/** A long list without its middle. */
export type Ends<Item> = { readonly first: readonly Item[]; readonly left: readonly Item[]; readonly last: readonly Item[] };

/**
 * Keeps both ends of a list: how something began and how it stands now.
 *
 * @param items - the list
 * @param maxItems - how many to keep
 * @returns the ends, and what is left out
 */
export function keepEnds<Item>(items: readonly Item[], maxItems: number): Ends<Item> {
  if (items.length <= maxItems) return { first: items, left: [], last: [] };
  const head = Math.ceil(maxItems / 2);
  const tail = items.length - Math.floor(maxItems / 2);
  return { first: items.slice(0, head), left: items.slice(head, tail), last: items.slice(tail) };
}
