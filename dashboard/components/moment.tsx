// A moment, relative to now, with the exact time at hand.
import type { JSX } from 'preact';
import { formatMoment, formatRelative } from '../lib/format.ts';
import { now } from '../lib/now.ts';

/**
 * Shows a moment.
 *
 * @param props - its time as the API writes it; null: never
 * @returns such as `5 min ago`
 */
export function Moment({ at }: { readonly at: string | number | null }): JSX.Element {
  if (at === null) return <span class="muted">—</span>;
  const atMs = typeof at === 'number' ? at : Date.parse(at);
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatMoment(atMs)}>
      {formatRelative(atMs, now.value)}
    </time>
  );
}
