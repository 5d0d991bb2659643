// Which tags a worker takes. Neighbours: the stores.
import type { TagFilter } from './provider.ts';

/** Tags of the runtime's own activities begin so: nobody takes them by accident. */
export const OWN_PREFIX = 'duraloom:';

/**
 * Tells whether a worker takes items with a tag.
 *
 * @param filter - what the worker takes
 * @param tag - the tag; null: none
 * @returns true when it does
 */
export function takesTag(filter: TagFilter, tag: string | null): boolean {
  switch (filter.kind) {
    case 'default':
      return tag === null;
    case 'only':
      return tag !== null && filter.tags.includes(tag);
    case 'defaultAnd':
      return tag === null || filter.tags.includes(tag);
    case 'any':
      return tag === null || !tag.startsWith(OWN_PREFIX);
  }
}
