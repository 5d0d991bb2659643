// The waterfall of a report: one bar a span on a time axis, as SVG without scripts and styles of its own. Neighbours: timeline.ts, report.ts.
import { html, type Html } from './html.ts';
import { cutText, formatDuration, keepEnds } from './text.ts';
import type { SpanOutcome, SpanTimes, TimelineSpan } from './timeline.ts';

const WIDTH = 1_000;
/** Names are left of the axis. */
const AXIS_X = 290;
/** Durations of bars at the right edge need room. */
const AXIS_WIDTH = WIDTH - AXIS_X - 80;
const ROW = 22;
const HEAD = 28;
const MAX_LABEL = 40;
/** Attempts that one row shows. */
const MAX_ATTEMPTS = 50;

/**
 * Draws spans.
 *
 * @param spans - in the order of the rows
 * @param range - begin and end of the axis, epoch milliseconds
 * @returns an SVG image; its text is that of the table of spans
 */
export function drawWaterfall(spans: readonly TimelineSpan[], range: { readonly fromMs: number; readonly toMs: number }): Html {
  const lengthMs = Math.max(1, range.toMs - range.fromMs);
  const toX = (atMs: number): number => round(AXIS_X + (Math.min(Math.max(0, atMs - range.fromMs), lengthMs) / lengthMs) * AXIS_WIDTH);
  const height = HEAD + spans.length * ROW + 8;
  return html`<svg
    viewBox="0 0 ${WIDTH} ${height}"
    width="${WIDTH}"
    height="${height}"
    role="img"
    aria-label="Waterfall of ${spans.length} spans over ${formatDuration(lengthMs)}. The table below has the same as text."
  >
    ${listTicks(lengthMs).map((tickMs) => drawTick(toX(range.fromMs + tickMs), formatDuration(tickMs), height))}
    ${spans.map((span, index) => drawRow(span, HEAD + index * ROW, (atMs) => toX(atMs ?? range.toMs)))}
  </svg>`;
}

function drawTick(x: number, label: string, height: number): Html {
  return html`<line class="tick" x1="${x}" y1="${HEAD - 8}" x2="${x}" y2="${height}" />
    <text class="axis" x="${x}" y="${HEAD - 14}" text-anchor="middle">${label}</text> `;
}

function drawRow(span: TimelineSpan, y: number, toX: (atMs: number | null) => number): Html {
  const middle = y + ROW / 2;
  const [from, to] = [toX(span.startMs), toX(span.endMs)];
  const note = span.endMs === null ? 'open' : formatDuration(span.endMs - span.startMs);
  const { first, last } = keepEnds<SpanTimes>(span.kind === 'activity' ? span.attempts : [span], MAX_ATTEMPTS);
  const attempts = [...first, ...last];
  return html`<text x="${AXIS_X - 10}" y="${middle + 4}" text-anchor="end">${cutText(nameSpan(span), MAX_LABEL)}</text>
    ${attempts.length === 1 ? null : html`<line class="pauses" x1="${from}" y1="${middle}" x2="${to}" y2="${middle}" />`}
    ${attempts.map(({ startMs, endMs, outcome }) => drawBar(outcome, y, [toX(startMs), toX(endMs)]))}
    <text class="note" x="${to + 8}" y="${middle + 4}">${note}${span.outcome === 'failed' ? ' ✕' : ''}</text> `;
}

/** A bar of no length is still something that happened. */
function drawBar(outcome: SpanOutcome, y: number, [from, to]: readonly [number, number]): Html {
  return html`<rect class="${outcome}" x="${from}" y="${y + 4}" width="${Math.max(2, round(to - from))}" height="${ROW - 8}" rx="3" /> `;
}

/**
 * Names a span.
 *
 * @param span - the span
 * @returns such as `charge (3 attempts)`
 */
export function nameSpan(span: TimelineSpan): string {
  switch (span.kind) {
    case 'activity':
      return span.attempts.length === 1 ? span.name : `${span.name} (${span.attempts.length} attempts)`;
    case 'timer':
      return `timer of ${formatDuration(span.fireAtMs - span.startMs)}`;
    case 'event':
      return `event ${span.name}`;
    case 'topic':
      return `topic ${span.pattern}`;
    case 'child':
      return `${span.name} ${span.instanceId}`;
  }
}

/** Round numbers for an axis: 1, 2 or 5 of a power of ten, at most six steps. */
function listTicks(lengthMs: number): readonly number[] {
  const raw = lengthMs / 6;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
  return Array.from({ length: Math.floor(lengthMs / step) + 1 }, (_, index) => index * step);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
