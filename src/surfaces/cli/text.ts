// Text of users on a terminal: nothing that an id, a name or a payload holds may move the cursor, set the title or turn the reading direction.
// Neighbours: io.ts writes, table.ts lays out.
import { encodeRecord } from '../../types/codec.ts';

/** What a terminal acts on, or what makes text look like other text. */
const ACTIVE = /[\p{Cc}\p{Bidi_Control}\u00ad\u200b\u2028\u2029\u2060\ufeff]/gu;
/** The same without line feed and tab. */
const ACTIVE_IN_LINES = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u00ad\u200b\u2028\u2029\u2060\ufeff]/gu;
const SHORT: ReadonlyMap<string, string> = new Map([
  ['\n', String.raw`\n`],
  ['\r', String.raw`\r`],
  ['\t', String.raw`\t`],
]);

/**
 * Makes text harmless and one line: what a terminal acts on is shown as an escape such as `\u001b`.
 *
 * @param text - anything
 * @returns the text for a terminal
 */
export function clean(text: string): string {
  return text.replaceAll(ACTIVE, escape);
}

/**
 * Makes text of several lines harmless.
 *
 * @param text - anything
 * @returns the text for a terminal, with its lines and tabs
 */
export function cleanLines(text: string): string {
  return text.replaceAll(ACTIVE_IN_LINES, escape);
}

/**
 * Encodes for `--json`: JSON on one line, with what a terminal acts on escaped as JSON allows.
 *
 * @param value - plain data; dates become ISO text, maps objects, errors their code and message
 * @returns the JSON text
 */
export function toJson(value: unknown): string {
  return clean(encodeRecord([plain(value)]).slice(1, -1));
}

/**
 * Shows a payload in a table: its JSON, nothing for undefined.
 *
 * @param value - a JSON value
 * @returns text
 */
export function payload(value: unknown): string {
  return value === undefined ? '' : toJson(value);
}

/**
 * Shows a moment: ISO without milliseconds.
 *
 * @param date - the moment; null: none
 * @returns such as 2030-01-31T12:00:00Z, or nothing
 */
export function moment(date: Date | null): string {
  return date === null ? '' : date.toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/**
 * Shows a length of time in its two largest units.
 *
 * @param ms - milliseconds
 * @returns such as `3h 5m`
 */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const;
  let rest = ms;
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

/**
 * Finds the word that was probably meant.
 *
 * @param given - what was typed
 * @param known - what there is
 * @returns the nearest one; null: none is near
 */
export function nearest(given: string, known: readonly string[]): string | null {
  const most = Math.max(2, Math.floor(given.length / 3));
  const ranked = known
    .map((word) => ({ word, steps: editSteps(given.toLowerCase(), word.toLowerCase()) }))
    .toSorted((left, right) => left.steps - right.steps);
  const [best] = ranked;
  return best !== undefined && best.steps <= most ? best.word : null;
}

function editSteps(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let at = 1; at <= left.length; at += 1) {
    const next = [at];
    for (let to = 1; to <= right.length; to += 1) {
      const cost = left[at - 1] === right[to - 1] ? 0 : 1;
      next.push(Math.min((row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1, (row[to - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function escape(character: string): string {
  return SHORT.get(character) ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** JSON as programs expect it: dates by themselves, maps as objects, errors with what is stable about them. */
function plain(value: unknown): unknown {
  if (value instanceof Error) {
    const { code } = value as { readonly code?: unknown };
    const cause = value.cause === undefined ? {} : { cause: plain(value.cause) };
    return { name: value.name, message: value.message, ...(typeof code === 'string' && { code }), ...cause };
  }
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  if (Array.isArray(value)) return value.map((item: unknown) => plain(item));
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
