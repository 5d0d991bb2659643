// A moment, relative to now, with the exact time at hand.
import type { JSX } from 'preact';
import { formatDuration, formatMoment, formatRelative } from '../lib/format.ts';
import { now } from '../lib/now.ts';

/**
 * Shows a moment.
 *
 * @param props - its time as the API writes it; null: never
 * @returns such as `5 min ago`
 */
export function Moment({ at }: { readonly at: string | null }): JSX.Element {
  if (at === null) return <span class="muted">—</span>;
  const atMs = Date.parse(at);
  return (
    <time dateTime={at} title={formatMoment(atMs)}>
      {formatRelative(atMs, now.value)}
    </time>
  );
}

/**
 * Shows how long something has lasted.
 *
 * @param props - when it began
 * @returns such as `5 min`
 */
export function Since({ at }: { readonly at: string }): JSX.Element {
  const atMs = Date.parse(at);
  return (
    <time dateTime={at} title={`since ${formatMoment(atMs)}`}>
      {formatDuration(Math.max(0, Math.floor((now.value - atMs) / 1000) * 1000))}
    </time>
  );
}
