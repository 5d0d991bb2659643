// Tells whose fault a failed write is: of the store, which is tried again, or of what was to be written. Used by both dispatchers.
import { ProviderError } from '../types/errors.ts';

/**
 * Tells whether a rejected batch holds something that the store cannot write, however often it is tried.
 *
 * @param error - what a provider method rejected with
 * @returns false when the store is in trouble or closed: no fault of any item
 */
export function isFaultOfItem(error: unknown): error is ProviderError {
  return error instanceof ProviderError && error.code === 'PROVIDER_FAILED' && !error.retryable;
}
