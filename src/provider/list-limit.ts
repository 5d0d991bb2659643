// How many things a page of a list may have, for every provider. Neighbours: management.ts says what is listed.
import { ArgumentError } from '../types/errors.ts';
import { show } from '../types/show.ts';

/** Most things on a page. Reason: a page is read and sent as a whole. */
export const MAX_PAGE_LIMIT = 1_000;

/**
 * Checks the size of a page.
 *
 * @param limit - what was asked for
 * @returns true when it is in range
 */
export function isPageLimit(limit: unknown): boolean {
  return Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= MAX_PAGE_LIMIT;
}

/**
 * Makes the error for a size outside the range.
 *
 * @param operation - what was called
 * @param limit - what was asked for
 * @returns the error
 */
export function makeLimitError(operation: string, limit: unknown): ArgumentError {
  return new ArgumentError(`Expected \`limit\` of ${operation} to be an integer from 1 to ${MAX_PAGE_LIMIT}, got ${show(limit)}`);
}
