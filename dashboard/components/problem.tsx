// An error with the server's own words, and a way to try again.
import type { JSX } from 'preact';
import { ApiError, messageOf } from '../lib/api.ts';
import { toVisible } from '../lib/format.ts';

type Props = { readonly error: unknown; readonly what: string; readonly retry?: () => void };

/**
 * Shows an error; nothing when there is none.
 *
 * @param props - the error and what failed
 * @returns an alert
 */
export function Problem({ error, what, retry }: Props): JSX.Element | null {
  if (error === null || error === undefined) return null;
  return (
    <div class="problem" role="alert">
      <div>
        <strong>{what} failed.</strong> {toVisible(messageOf(error))}
        {error instanceof ApiError && error.code !== 'UNKNOWN' && <code class="code">{error.code}</code>}
      </div>
      {retry !== undefined && (
        <button type="button" class="small" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
