// Says that something is on its way.
import type { JSX } from 'preact';

/**
 * Shows that something is loaded.
 *
 * @returns a line
 */
export function Loading(): JSX.Element {
  return (
    <p class="empty" role="status">
      Loading…
    </p>
  );
}
