// How many columns of a terminal a text takes, and cutting it to some. Neighbour: table.ts.
import stringWidth from 'string-width';

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/**
 * Measures text without colours.
 *
 * @param text - one line
 * @returns columns: wide characters and emoji take two, combining ones none
 */
export function displayWidth(text: string): number {
  return stringWidth(text);
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
    width += displayWidth(segment);
    if (width >= limit) break;
    kept += segment;
  }
  return `${kept}…`;
}
