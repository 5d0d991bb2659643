// The filter of the list and how it stands in the URL. Neighbours: pages/instances.tsx, components/filters.tsx.
import type { Query } from './types.ts';

/** The filter as text, as it is typed; empty: no filter. */
export type Filter = {
  readonly name: string;
  readonly status: readonly string[];
  readonly version: string;
  readonly tag: string;
  /** `key=value` pairs with commas between. */
  readonly attributes: string;
  readonly search: string;
  readonly createdAfter: string;
  readonly createdBefore: string;
  readonly updatedAfter: string;
  readonly updatedBefore: string;
  readonly orderBy: string;
  readonly direction: string;
};

/** Text fields of the filter, as they are called in the URL. */
export const TEXT_FIELDS = [
  'name',
  'version',
  'tag',
  'attributes',
  'search',
  'createdAfter',
  'createdBefore',
  'updatedAfter',
  'updatedBefore',
] as const;

/**
 * Reads the filter.
 *
 * @param query - of the URL
 * @returns the filter
 */
export function readFilter(query: URLSearchParams): Filter {
  const text = (name: string): string => query.get(name) ?? '';
  return {
    name: text('name'),
    status: text('status') === '' ? [] : text('status').split(','),
    version: text('version'),
    tag: text('tag'),
    attributes: text('attributes'),
    search: text('search'),
    createdAfter: text('createdAfter'),
    createdBefore: text('createdBefore'),
    updatedAfter: text('updatedAfter'),
    updatedBefore: text('updatedBefore'),
    orderBy: text('orderBy') === '' ? 'createdAt' : text('orderBy'),
    direction: text('direction') === '' ? 'desc' : text('direction'),
  };
}

/**
 * Counts the conditions of a filter, without its order.
 *
 * @param filter - the filter
 * @returns 0: everything matches
 */
export function countConditions(filter: Filter): number {
  return TEXT_FIELDS.filter((name) => filter[name] !== '').length + (filter.status.length > 0 ? 1 : 0);
}

/**
 * Reads attributes as they are typed.
 *
 * @param text - such as `customer=ada, vip, amount=5`
 * @returns numbers and booleans as such; a name alone is true, quotes keep text
 */
export function parseAttributes(text: string): Readonly<Record<string, string | number | boolean>> {
  const attributes: Record<string, string | number | boolean> = {};
  for (const pair of text.split(',')) {
    const [, name = '', value] = /^\s*([^=]*?)\s*(?:=\s*(.*?))?\s*$/.exec(pair) ?? [];
    if (name !== '') attributes[name] = parseValue(value);
  }
  return attributes;
}

function parseValue(text: string | undefined): string | number | boolean {
  if (text === undefined || text === 'true') return true;
  if (text === 'false') return false;
  if (/^-?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  return text.replace(/^"(.*)"$/, '$1');
}

/**
 * Makes the filter that the API takes.
 *
 * @param filter - as typed
 * @returns the conditions, as in the body of a bulk action
 */
export function toConditions(filter: Filter): Readonly<Record<string, unknown>> {
  const conditions: Record<string, unknown> = {};
  for (const name of ['name', 'version', 'tag', 'search'] as const) if (filter[name] !== '') conditions[name] = filter[name];
  if (filter.status.length > 0) conditions['status'] = filter.status;
  if (filter.attributes !== '') conditions['attributes'] = parseAttributes(filter.attributes);
  for (const name of ['createdAfter', 'createdBefore', 'updatedAfter', 'updatedBefore'] as const) {
    const at = new Date(filter[name]);
    if (filter[name] !== '' && !Number.isNaN(at.getTime())) conditions[name] = at.toISOString();
  }
  return conditions;
}

/**
 * Makes the parameters of the list's route.
 *
 * @param filter - as typed
 * @returns the same conditions, as a query
 */
export function toQuery(filter: Filter): Query {
  const query: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(toConditions(filter))) {
    query[name] = typeof value === 'string' ? value : Array.isArray(value) ? (value as string[]) : JSON.stringify(value);
  }
  return query;
}
