// How many columns of a terminal a text takes: wide characters two, combining ones none. Neighbour: table.ts.

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** East Asian wide and fullwidth characters, emoji, flags. */
const WIDE =
  /^(?:\p{Emoji_Presentation}|\p{Regional_Indicator}{2}|.\u20E3|[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6\u{17000}-\u{18CFF}\u{1B000}-\u{1B2FF}\u{20000}-\u{3FFFD}])|\p{Extended_Pictographic}\uFE0F/u;
const NOTHING = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/**
 * Measures text without colours.
 *
 * @param text - one line
 * @returns columns
 */
export function displayWidth(text: string): number {
  if (/^[\u0020-\u007E]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += widthOf(segment);
  return width;
}

/**
 * Cuts text to some columns; what was cut ends with `…`. Never cuts a character in two.
 *
 * @param text - one line without colours
 * @param limit - columns, at least 1
 * @returns the text, or its beginning
 */
export function cutToWidth(text: string, limit: number): string {
  if (displayWidth(text) <= limit) return text;
  let [kept, width] = ['', 0];
  for (const { segment } of graphemes.segment(text)) {
    width += widthOf(segment);
    if (width >= limit) break;
    kept += segment;
  }
  return `${kept}…`;
}

function widthOf(grapheme: string): number {
  if (NOTHING.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}
