// The status of an instance: a word and a sign of its own form, so that it can be told without colours.
import type { JSX } from 'preact';

const SIGNS: Readonly<Record<string, string>> = {
  Pending: '○',
  Running: '▶',
  Suspended: '‖',
  Completed: '✓',
  Failed: '✕',
  Cancelled: '⊘',
  Terminated: '■',
  Quarantined: '⚠',
  ContinuedAsNew: '↻',
};

/** All statuses of instances, as filters list them. */
export const STATUSES: readonly string[] = [
  'Pending',
  'Running',
  'Suspended',
  'Quarantined',
  'Completed',
  'Failed',
  'Cancelled',
  'Terminated',
];

/**
 * Shows a status.
 *
 * @param props - the status
 * @returns a badge
 */
export function Status({ status }: { readonly status: string }): JSX.Element {
  return (
    <span class={`status status-${status.toLowerCase()}`}>
      <span aria-hidden="true" class="sign">
        {SIGNS[status] ?? '•'}
      </span>
      {status === 'ContinuedAsNew' ? 'Continued as new' : status}
    </span>
  );
}

/**
 * Tells whether nothing more happens to an instance.
 *
 * @param status - its status
 * @returns true when it has ended
 */
export function hasEnded(status: string): boolean {
  return ['Completed', 'Failed', 'Cancelled', 'Terminated'].includes(status);
}
