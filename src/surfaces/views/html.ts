// HTML that cannot be broken by what it shows: a template whose values are escaped unless they are HTML of this kind. Neighbour: report.ts.

/** Text that is HTML already. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes: lists are joined, null is left out. */
export type HtmlValue = Html | string | number | null | readonly HtmlValue[];

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function toHtml(value: HtmlValue): string {
  if (value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(toHtml).join('');
  return String(value).replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}

/**
 * Makes HTML. Values may stand between tags and in quoted attributes; in attributes that run code or load something they have no place.
 *
 * @param strings - the HTML of the template
 * @param values - escaped, unless they are `Html`
 * @returns the HTML
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(strings.map((string, index) => `${string}${index < values.length ? toHtml(values[index] ?? null) : ''}`).join(''));
}
