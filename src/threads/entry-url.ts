// Where a thread's entry module lies: beside this file, as .ts in the source and as .js in the package. The compiler rewrites import
// paths but not URLs.

/**
 * Finds a thread entry.
 *
 * @param name - file name without extension
 * @returns URL of the module, as text
 */
export function entryUrl(name: 'replay-thread' | 'activity-thread'): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./${name}.${extension}`, import.meta.url).href;
}
