// Where the user is: the part of the URL after '#', so that the dashboard works under any path. Filters and open places are part of it.
import { signal, type ReadonlySignal } from '@preact/signals';

/** A place of the dashboard. */
export type Route = (
  | { readonly page: 'instances' }
  | { readonly page: 'instance'; readonly id: string }
  | { readonly page: 'queues' }
  | { readonly page: 'runtimes' }
  | { readonly page: 'logs' }
  | { readonly page: 'unknown'; readonly path: string }
) & { readonly query: URLSearchParams };

const current = signal<Route>(parseRoute(location.hash));

/** The place where the user is now. */
export const route: ReadonlySignal<Route> = current;

addEventListener('hashchange', () => (current.value = parseRoute(location.hash)));

/**
 * Reads a place from the hash of a URL.
 *
 * @param hash - with its '#', or empty
 * @returns the place
 */
export function parseRoute(hash: string): Route {
  const [path, search] = split(hash.replace(/^#\/?/, ''), '?');
  const query = new URLSearchParams(search);
  const [page, id] = split(path, '/');
  switch (page) {
    case '':
    case 'instances':
      return id === '' ? { page: 'instances', query } : { page: 'instance', id: decode(id), query };
    case 'queues':
    case 'runtimes':
    case 'logs':
      return { page, query };
    default:
      return { page: 'unknown', path, query };
  }
}

/**
 * Writes a link.
 *
 * @param path - such as `queues`
 * @param query - parameters; empty and undefined ones are left out
 * @returns the value of `href`
 */
export function hrefOf(path: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') search.set(name, value);
  const text = search.toString();
  return `#/${path}${text === '' ? '' : `?${text}`}`;
}

/**
 * Writes the link to an instance.
 *
 * @param id - its id
 * @param query - such as the tab
 * @returns the value of `href`
 */
export function instanceHref(id: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  return hrefOf(`instances/${encodeURIComponent(id)}`, query);
}

/**
 * Goes to a place.
 *
 * @param href - from `hrefOf`
 */
export function go(href: string): void {
  location.hash = href;
}

/**
 * Changes parameters of the place without a step in the browser's history, as filters do while they are typed.
 *
 * @param change - new values; undefined or empty ones are removed
 */
export function setQuery(change: Readonly<Record<string, string | undefined>>): void {
  const query = new URLSearchParams(current.value.query);
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined || value === '') query.delete(name);
    else query.set(name, value);
  }
  const [path] = split(location.hash, '?');
  const text = query.toString();
  history.replaceState(null, '', `${path === '' ? '#/' : path}${text === '' ? '' : `?${text}`}`);
  current.value = parseRoute(location.hash);
}

function split(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A '%' that encodes nothing: somebody typed it. Taken as it stands, the server says that there is no such instance.
    return text;
  }
}
