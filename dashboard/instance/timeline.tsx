// The waterfall: a row for each activity, timer, awaited event and child, with a bar on a common time axis. Only the rows on the screen exist.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { toTimeline, type TimelineMark, type TimelineSpan } from '../../src/surfaces/views/timeline.ts';
import { VirtualTable, type Column } from '../components/virtual-table.tsx';
import { oneLine } from '../lib/describe-event.ts';
import { formatDuration, formatMoment, formatNumber, toVisible } from '../lib/format.ts';
import { now } from '../lib/now.ts';
import { instanceHref, route, setQuery } from '../lib/router.ts';

type Props = {
  readonly events: readonly HistoryEvent[];
  /** The execution goes on: bars without an end reach to now. */
  readonly isOpen: boolean;
};

/** What of the time axis is shown, as shares of the whole. */
type Zoom = { readonly from: number; readonly to: number };

type Row = { readonly kind: 'span'; readonly span: TimelineSpan } | { readonly kind: 'mark'; readonly mark: TimelineMark };

const ROW_PX = 28;
const WHOLE: Zoom = { from: 0, to: 1 };
const TICKS = [0, 0.25, 0.5, 0.75, 1];
/** What is shown at most after the last event, of the time before it. */
const MARGIN_SHARE = 0.25;
const MARGIN_MS = 1000;
/** The narrowest part that is shown. */
const SMALLEST = 1e-4;

/**
 * Shows an execution on a time axis.
 *
 * @param props - its events
 * @returns the waterfall
 */
export function Timeline({ events, isOpen }: Props): JSX.Element {
  const timeline = useMemo(() => toTimeline(events), [events]);
  const zoom = useSignal<Zoom>(WHOLE);
  const withMarks = useSignal(true);
  const rows = useMemo(() => {
    const all: Row[] = timeline.spans.map((span) => ({ kind: 'span', span }));
    if (withMarks.value) for (const mark of timeline.marks) all.push({ kind: 'mark', mark });
    return all.toSorted((a, b) => eventIdOf(a) - eventIdOf(b));
  }, [timeline, withMarks.value]);

  const startMs = timeline.startMs ?? 0;
  const lastMs = Math.max(startMs + 1, timeline.endMs ?? 0);
  // What has no end reaches to now, but a long wait does not push all the rest together: it leaves the axis at its right end.
  const endMs = isOpen ? Math.max(lastMs, now.value) : lastMs;
  const axisMs = Math.min(endMs, lastMs + Math.max(MARGIN_MS, (lastMs - startMs) * MARGIN_SHARE));
  const wholeMs = axisMs - startMs;
  const { from, to } = zoom.value;
  const shownMs = wholeMs * (to - from);
  const place = (atMs: number): number => ((atMs - startMs) / wholeMs - from) / (to - from);
  const chosen = Number(route.value.query.get('event') ?? 0);

  const scale = (factor: number): void => {
    const width = Math.max(SMALLEST, Math.min(1, (to - from) * factor));
    const middle = (from + to) / 2;
    const start = Math.max(0, Math.min(1 - width, middle - width / 2));
    zoom.value = { from: start, to: start + width };
  };
  const pan = (share: number): void => {
    const width = to - from;
    const start = Math.max(0, Math.min(1 - width, from + width * share));
    zoom.value = { from: start, to: start + width };
  };

  const columns: readonly Column[] = [
    { id: 'name', head: 'What', className: 'c-lane-name' },
    { id: 'time', head: 'Took', className: 'c-lane-time' },
    {
      id: 'bar',
      className: 'c-lane-bar',
      head: (
        <span class="axis">
          {TICKS.map((share) => (
            <span key={share}>+{formatDuration((from + share * (to - from)) * wholeMs)}</span>
          ))}
        </span>
      ),
    },
  ];
  return (
    <>
      <div class="toolbar">
        <button type="button" class="small" onClick={() => scale(0.5)} disabled={to - from <= SMALLEST}>
          Zoom in
        </button>
        <button type="button" class="small" onClick={() => scale(2)} disabled={to - from >= 1}>
          Zoom out
        </button>
        <button type="button" class="small" onClick={() => pan(-0.5)} disabled={from <= 0} aria-label="Earlier">
          ←
        </button>
        <button type="button" class="small" onClick={() => pan(0.5)} disabled={to >= 1} aria-label="Later">
          →
        </button>
        <button type="button" class="small" onClick={() => (zoom.value = WHOLE)} disabled={to - from >= 1}>
          Whole
        </button>
        <label class="check">
          <input type="checkbox" checked={withMarks.value} onChange={(event) => (withMarks.value = event.currentTarget.checked)} /> Status,
          values and messages
        </label>
        <span class="muted" role="status">
          {formatNumber(timeline.spans.length)} bars, {formatDuration(shownMs)}
        </span>
        <Legend />
      </div>
      <VirtualTable
        label="Timeline"
        className="timeline"
        columns={columns}
        count={rows.length}
        rowPx={ROW_PX}
        rowKey={(index) => keyOf(rows[index])}
        rowProps={(index) => (chosen > 0 && rowHas(rows[index], chosen) ? { class: 'selected' } : {})}
        row={(index) => {
          const row = rows[index];
          if (row === undefined) return null;
          return row.kind === 'span' ? <SpanRow span={row.span} endMs={endMs} place={place} /> : <MarkRow mark={row.mark} place={place} />;
        }}
        empty="Nothing has happened yet."
      />
    </>
  );
}

function keyOf(row: Row | undefined): string {
  return row === undefined ? '' : `${row.kind} ${eventIdOf(row)}`;
}

function eventIdOf(row: Row): number {
  return row.kind === 'span' ? row.span.eventId : row.mark.eventId;
}

function rowHas(row: Row | undefined, eventId: number): boolean {
  if (row === undefined) return false;
  return eventIdOf(row) === eventId || (row.kind === 'span' && row.span.endEventId === eventId);
}

function Legend(): JSX.Element {
  return (
    <ul class="legend" aria-label="Colours">
      {(['activity', 'timer', 'event', 'child', 'point', 'failed'] as const).map((kind) => (
        <li key={kind}>
          <span aria-hidden="true" class={`swatch swatch-${kind}`} />
          {kind === 'point' ? 'status, value or message' : kind === 'event' ? 'event or topic' : kind}
        </li>
      ))}
    </ul>
  );
}

type Place = (atMs: number) => number;

function SpanRow({ span, endMs, place }: { readonly span: TimelineSpan; readonly endMs: number; readonly place: Place }): JSX.Element {
  const name = nameOf(span);
  const took = formatDuration((span.endMs ?? endMs) - span.startMs);
  const parts = span.kind === 'activity' ? span.attempts : [span];
  return (
    <>
      <td class="c-lane-name" title={name}>
        <span class="lane-head">
          <button type="button" class="link" onClick={() => setQuery({ tab: 'history', event: String(span.eventId) })}>
            {name}
          </button>
          {span.kind === 'child' && (
            <a class="child-link" href={instanceHref(span.instanceId)} aria-label={toVisible(`Open child ${span.instanceId}`)}>
              ↗
            </a>
          )}
          {span.outcome !== 'completed' && <span class={span.outcome === 'failed' ? 'failed-text' : 'muted'}>{span.outcome}</span>}
        </span>
      </td>
      <td class="c-lane-time">{span.endMs === null ? `${took} so far` : took}</td>
      <td class="c-lane-bar">
        <div class="lane">
          {parts.map((part, index) => (
            <Bar
              key={part.eventId}
              className={`bar-${span.kind === 'topic' ? 'event' : span.kind} bar-${part.outcome}`}
              from={place(part.startMs)}
              to={place(part.endMs ?? endMs)}
              label={parts.length > 1 ? String(index + 1) : ''}
              title={`${parts.length > 1 ? `Attempt ${index + 1} of ` : ''}${name}: ${part.outcome}, ${formatDuration((part.endMs ?? endMs) - part.startMs)} from ${formatMoment(part.startMs)}`}
            />
          ))}
        </div>
      </td>
    </>
  );
}

type BarProps = { readonly className: string; readonly label: string; readonly from: number; readonly to: number; readonly title: string };

function Bar({ className, label, from, to, title }: BarProps): JSX.Element | null {
  if (to < 0 || from > 1) return null;
  const left = Math.max(0, from);
  return (
    <>
      <div
        class={`bar ${className}`}
        role="img"
        aria-label={title}
        title={title}
        style={{ left: `min(${left * 100}%, calc(100% - 3px))`, width: `${(Math.min(1, to) - left) * 100}%` }}
      />
      {label !== '' && (
        <span class="bar-label" aria-hidden="true" style={{ left: `calc(${Math.min(1, to) * 100}% + 4px)` }}>
          {label}
        </span>
      )}
    </>
  );
}

function MarkRow({ mark, place }: { readonly mark: TimelineMark; readonly place: Place }): JSX.Element {
  const name = markName(mark);
  const at = place(mark.atMs);
  return (
    <>
      <td class="c-lane-name" title={name}>
        <button type="button" class="link" onClick={() => setQuery({ tab: 'history', event: String(mark.eventId) })}>
          {name}
        </button>
      </td>
      <td class="c-lane-time muted">—</td>
      <td class="c-lane-bar">
        <div class="lane">
          {at >= 0 && at <= 1 && (
            <div
              class="bar mark"
              role="img"
              aria-label={`${name}, ${formatMoment(mark.atMs)}`}
              title={`${name}, ${formatMoment(mark.atMs)}`}
              style={{ left: `clamp(6px, ${at * 100}%, calc(100% - 6px))` }}
            />
          )}
        </div>
      </td>
    </>
  );
}

function nameOf(span: TimelineSpan): string {
  return toVisible(spanName(span));
}

function spanName(span: TimelineSpan): string {
  switch (span.kind) {
    case 'activity':
      return span.attempts.length > 1 ? `${span.name} (${span.attempts.length} attempts)` : span.name;
    case 'timer':
      return `Timer, ${formatDuration(span.fireAtMs - span.startMs)}`;
    case 'event':
      return `Event ${span.name}`;
    case 'topic':
      return `Topic ${span.pattern}`;
    case 'child':
      return `Child ${span.name} (${span.instanceId})`;
  }
}

function markName(mark: TimelineMark): string {
  return toVisible(textOfMark(mark));
}

function textOfMark(mark: TimelineMark): string {
  switch (mark.kind) {
    case 'status':
      return `Status ${oneLine(mark.status)}`;
    case 'value':
      return `${mark.key} = ${oneLine(mark.value)}`;
    case 'valueDeleted':
      return `${mark.key} deleted`;
    case 'attributes':
      return `Attributes ${oneLine(mark.change)}`;
    case 'received':
      return `Received ${mark.name}`;
    case 'topicReceived':
      return `Received from ${mark.topic}`;
    case 'published':
      return `Published to ${mark.topic}`;
    case 'subscribed':
      return `Subscribed to ${mark.pattern}`;
    case 'unsubscribed':
      return `Unsubscribed from ${mark.pattern}`;
    case 'sent':
      return `Sent to session ${mark.sessionId}`;
    case 'detached':
      return `Started ${mark.name} as ${mark.instanceId}`;
    case 'patched':
      return `Patch ${mark.patchId}`;
    case 'cancelRequested':
      return `Asked to cancel: ${mark.reason}`;
  }
}
