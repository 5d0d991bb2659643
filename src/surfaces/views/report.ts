// The report of one execution: a single HTML file that needs nothing else. It runs no script, loads nothing, and works without a network.
// Neighbours: html.ts escapes, waterfall.ts draws, timeline.ts and time-travel.ts know.
//
// H1. All that is shown may be hostile: it goes through the escaping template, never into an attribute that loads or runs something, and the
//     page forbids scripts and requests by its own policy besides.
// H2. The file is bounded: long lists lose their middle, payloads are cut and have a budget, and it says each time what is left out.
import type { PartingLine } from '../../replay/history-diff.ts';
import { describeOpenDecision } from '../../replay/open-decisions.ts';
import { readTime } from '../../types/arguments.ts';
import { formatPayload } from '../../types/codec.ts';
import { ArgumentError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import type { HistoryEvent } from '../../types/history-event.ts';
import type { InstanceStatus } from '../../types/instance.ts';
import { show } from '../../types/show.ts';
import { toTimeText } from '../../types/time-text.ts';
import { describeBriefly } from './event-text.ts';
import { html, Html } from './html.ts';
import { toNondeterminism } from './nondeterminism.ts';
import { REPORT_STYLE } from './report-style.ts';
import { formatDuration, keepEnds } from './text.ts';
import { toTimeTravel } from './time-travel.ts';
import { toTimeline, type TimelineSpan } from './timeline.ts';
import { drawWaterfall, nameSpan } from './waterfall.ts';

/** An instance, as `client.getState` gives it, or as it was read back from JSON. */
export type ReportState = {
  readonly instanceId: string;
  readonly name: string;
  readonly version: string | null;
  readonly status: InstanceStatus;
  readonly executionId: number;
  readonly result?: unknown;
  readonly error?: unknown;
  readonly customStatus?: unknown;
  readonly parentInstanceId?: string | null;
  readonly createdAt: Date | number | string;
  readonly updatedAt: Date | number | string;
};

/** An activity that is queued or running, as `client.listActivities` gives it. */
export type ReportActivity = {
  readonly eventId: number;
  readonly name: string;
  readonly attempt: number;
  readonly isRunning: boolean;
  readonly tag: string | null;
  readonly sessionId: string | null;
  readonly heartbeat?: unknown;
};

/** An instance with its children. */
export type ReportTree = {
  readonly instanceId: string;
  readonly name: string;
  readonly status: InstanceStatus;
  readonly children: readonly ReportTree[];
};

/** What a report is about. */
export type ReportInput = {
  readonly state: ReportState;
  /** A valid history of the execution that the state is about, from its first event. */
  readonly history: readonly HistoryEvent[];
  readonly activities?: readonly ReportActivity[];
  readonly tree?: ReportTree;
  /** Events in the table, and spans in the waterfall; of longer ones the middle is left out. 1 to 10,000. @default 1000 */
  readonly maxItems?: number;
};

const MAX_ITEMS = { default: 1_000, maximum: 10_000 };
/** Longest payload, and all of them together, in characters. Reason: a file that no browser opens helps nobody. */
const MAX_PAYLOAD = 20_000;
const MAX_PAYLOADS = 4_000_000;
/** Longest text besides payloads, such as the message of an error. */
const MAX_TEXT = 500;
/** Instances of a tree, and how deep it is shown. */
const MAX_TREE = { nodes: 500, depth: 20 };

/**
 * Writes the report of an execution.
 *
 * @param input - the instance, its history, and what else is known about it
 * @returns a whole HTML document
 * @throws {ArgumentError} for a number of items or a time that cannot be used
 */
export function toHtmlReport(input: ReportInput): string {
  const { state, history, activities = [], tree, maxItems = MAX_ITEMS.default } = input;
  if (!Number.isInteger(maxItems) || maxItems < 1 || maxItems > MAX_ITEMS.maximum) {
    throw new ArgumentError(`Expected \`maxItems\` to be an integer from 1 to ${MAX_ITEMS.maximum}, got ${show(maxItems)}`);
  }
  const payloads = new Payloads();
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <meta name="referrer" content="no-referrer" />
        <meta name="color-scheme" content="light dark" />
        <title>${cut(`${state.instanceId}: ${state.name}, ${state.status}`)}</title>
        <style>
          ${new Html(REPORT_STYLE)}
        </style>
      </head>
      <body>
        <main>
          ${writeHeader(state, history, payloads)} ${writeParting(state, history)} ${writeWaiting(state, history)}
          ${writeWaterfall(history, maxItems)} ${writeValues(history, payloads)} ${writeActivities(activities, payloads)}
          ${tree === undefined ? null : writeTree(tree)} ${writeEvents(history, maxItems, payloads)}
        </main>
      </body>
    </html> `;
  return page.text;
}

/** H2. */
class Payloads {
  #left = MAX_PAYLOADS;

  /** Collapsed; nothing for undefined. */
  show(value: unknown, summary: string): Html | null {
    if (value === undefined) return null;
    if (this.#left <= 0) return html`<p class="left-out">${summary}: left out, the report is full</p>`;
    const text = formatPayload(value);
    const shown = text.slice(0, Math.min(MAX_PAYLOAD, this.#left));
    this.#left -= shown.length;
    const rest = text.length - shown.length;
    const note = rest === 0 ? null : html`<p class="left-out">${rest} more characters are left out</p>`;
    return html`<details>
      <summary>${summary}</summary>
      <pre tabindex="0">${shown}</pre>
      ${note}
    </details>`;
  }
}

function writeHeader(state: ReportState, history: readonly HistoryEvent[], payloads: Payloads): Html {
  const createdMs = toMs(state.createdAt, 'createdAt');
  const updatedMs = toMs(state.updatedAt, 'updatedAt');
  const error = state.error as { readonly name?: unknown; readonly message?: unknown; readonly code?: unknown } | null | undefined;
  const [start] = history;
  return html`<header>
    <h1>${cut(state.instanceId)}</h1>
    <p><strong class="status ${state.status}">${state.status}</strong> ${cut(state.name)} ${cut(state.version ?? '')}</p>
    <dl>
      ${writeFact('Execution', String(state.executionId))} ${writeFact('Events', String(history.length))}
      ${writeFact('Created', writeTime(createdMs))} ${writeFact('Last change', writeTime(updatedMs))}
      ${writeFact('From start to last change', formatDuration(updatedMs - createdMs))}
      ${state.parentInstanceId === null || state.parentInstanceId === undefined ? null : writeFact('Parent', cut(state.parentInstanceId))}
      ${error === null || error === undefined ? null : writeFact('Error', cut(describeError(error)))}
    </dl>
    ${start?.kind === 'OrchestrationStarted' ? payloads.show(start.input, 'Input') : null}
    ${payloads.show(error instanceof Error ? toFailure(error) : (error ?? undefined), 'Error as JSON')}
    ${payloads.show(state.customStatus, 'Custom status')} ${payloads.show(state.result, 'Result')}
  </header>`;
}

function describeError({ name, message, code }: { readonly name?: unknown; readonly message?: unknown; readonly code?: unknown }): string {
  return `${typeof code === 'string' ? `${code}: ` : ''}${String(message ?? name)}`;
}

function writeFact(name: string, value: Html | string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

function writeParting({ error }: ReportState, history: readonly HistoryEvent[]): Html | null {
  const view = toNondeterminism(error, history);
  if (view === null) return null;
  return html`<section>
    <h2>The code does not follow its history</h2>
    <p>From event ${view.eventId} on. Lines with <code>-</code> are history, lines with <code>+</code> are what the code does now.</p>
    <pre tabindex="0" class="diff">${view.lines.map(writeLine)}</pre>
    ${view.location === null ? null : html`<p>In the code: <code>${cut(view.location.text)}</code></p>`}
  </section>`;
}

const MARKS: Readonly<Record<PartingLine['side'], string>> = { both: ' ', history: '-', code: '+' };

function writeLine({ side, eventId, text }: PartingLine): Html {
  return html`<span class="${side}">${MARKS[side]} ${eventId} ${cut(text)}</span>`;
}

function writeWaiting({ status, executionId }: ReportState, history: readonly HistoryEvent[]): Html | null {
  const travel = toTimeTravel(history);
  const { waitingFor, atMs, unread } = travel.at(travel.lastEventId);
  if (waitingFor.length === 0 || status === 'Terminated' || !isExecution(history, executionId)) return null;
  const { first, left, last } = keepEnds(waitingFor, 100);
  const item = (wait: (typeof waitingFor)[number]): Html =>
    html`<li>${cut(describeOpenDecision(wait))}, since event ${wait.eventId} (${formatDuration(wait.forMs)} before the last event)</li>`;
  return html`<section>
    <h2>Waits for</h2>
    <ul>
      ${first.map(item)} ${left.length === 0 ? null : html`<li class="left-out">${left.length} more are left out</li>`} ${last.map(item)}
    </ul>
    ${unread.length === 0 ? null : html`<p>${unread.length} received and not taken yet, the oldest at ${writeTime(unread[0]?.atMs ?? atMs ?? 0)}</p>`}
  </section>`;
}

function isExecution([start]: readonly HistoryEvent[], executionId: number): boolean {
  return start?.kind === 'OrchestrationStarted' && start.executionId === executionId;
}

function writeWaterfall(history: readonly HistoryEvent[], maxItems: number): Html | null {
  const { spans, startMs, endMs } = toTimeline(history);
  if (spans.length === 0 || startMs === null || endMs === null) return null;
  const { first, left, last } = keepEnds(spans, maxItems);
  const row = (span: TimelineSpan): Html => writeSpan(span, startMs);
  return html`<section>
    <h2>Waterfall</h2>
    ${writeLeftOut(left.length, 'span', left[0]?.eventId, left.at(-1)?.eventId)}
    <div class="scroll" tabindex="0" role="region" aria-label="Waterfall">
      ${drawWaterfall([...first, ...last], { fromMs: startMs, toMs: endMs })}
    </div>
    <details>
      <summary>Spans as a table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Table of spans">
        <table>
          <thead>
            <tr>
              ${['Event', 'What', 'Began after', 'Took', 'Outcome'].map((name) => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${first.map(row)} ${last.map(row)}
          </tbody>
        </table>
      </div>
    </details>
  </section>`;
}

function writeSpan(span: TimelineSpan, startMs: number): Html {
  const failure = 'failure' in span && span.failure !== null ? `: ${span.failure.message}` : '';
  return html`<tr>
    <td>${span.eventId}</td>
    <td>${cut(nameSpan(span))}</td>
    <td>${formatDuration(span.startMs - startMs)}</td>
    <td>${span.endMs === null ? 'open' : formatDuration(span.endMs - span.startMs)}</td>
    <td>${cut(`${span.outcome}${failure}`)}</td>
  </tr>`;
}

function writeValues(history: readonly HistoryEvent[], payloads: Payloads): Html | null {
  const { values } = toTimeTravel(history).at(history.length);
  if (values.length === 0) return null;
  return html`<section>
    <h2>Key-value pairs</h2>
    ${values.map(({ key, value }) => payloads.show(value, cut(key)))}
  </section>`;
}

function writeActivities(activities: readonly ReportActivity[], payloads: Payloads): Html | null {
  if (activities.length === 0) return null;
  const { first, left, last } = keepEnds(activities, MAX_ITEMS.default);
  const row = ({ eventId, name, attempt, isRunning, tag, sessionId, heartbeat }: ReportActivity): Html =>
    html`<tr>
      <td>${eventId}</td>
      <td>${cut(name)}</td>
      <td>${isRunning ? 'running' : 'queued'}, attempt ${attempt}</td>
      <td>${cut([tag === null ? '' : `tag ${tag}`, sessionId === null ? '' : `session ${sessionId}`].filter(Boolean).join(', '))}</td>
      <td>${payloads.show(heartbeat, 'Heartbeat')}</td>
    </tr>`;
  return html`<section>
    <h2>Queued and running activities</h2>
    ${writeLeftOut(left.length, 'activity', left[0]?.eventId, left.at(-1)?.eventId)}
    <div class="scroll" tabindex="0" role="region" aria-label="Activities">
      <table>
        <thead>
          <tr>
            ${['Event', 'Activity', 'State', 'Where', 'Heartbeat'].map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${first.map(row)} ${last.map(row)}
        </tbody>
      </table>
    </div>
  </section>`;
}

function writeTree(tree: ReportTree): Html {
  let left = MAX_TREE.nodes;
  const write = ({ instanceId, name, status, children }: ReportTree, depth: number): Html | null => {
    if (left <= 0) return null;
    left -= 1;
    const below = depth < MAX_TREE.depth ? children.map((child) => write(child, depth + 1)) : [];
    const shown = below.filter((child) => child !== null);
    const missing = children.length - shown.length;
    return html`<li>
      ${cut(instanceId)} (${cut(name)}) <span class="status ${status}">${status}</span>
      ${
        children.length === 0
          ? null
          : html`<ul>
              ${shown} ${missing === 0 ? null : html`<li class="left-out">${missing} more are left out</li>`}
            </ul>`
      }
    </li>`;
  };
  return html`<section>
    <h2>Children</h2>
    <ul class="tree">
      ${write(tree, 1)}
    </ul>
  </section>`;
}

function writeEvents(history: readonly HistoryEvent[], maxItems: number, payloads: Payloads): Html {
  const { first, left, last } = keepEnds(history, maxItems);
  const startMs = history[0]?.atMs ?? 0;
  const row = (event: HistoryEvent): Html => {
    const { id, atMs, kind, ...body } = event;
    return html`<tr>
      <td>${id}</td>
      <td>${writeTime(atMs)}</td>
      <td>${formatDuration(atMs - startMs)}</td>
      <td class="kind">${kind}</td>
      <td>${cut(describeBriefly(event, history))}${Object.keys(body).length === 0 ? null : payloads.show(body, `Event ${id} as JSON`)}</td>
    </tr>`;
  };
  return html`<section>
    <h2>Events</h2>
    ${history.length === 0 ? html`<p>Nothing has happened yet.</p>` : null}
    ${writeLeftOut(left.length, 'event', left[0]?.id, left.at(-1)?.id)}
    <div class="scroll" tabindex="0" role="region" aria-label="Table of events">
      <table>
        <thead>
          <tr>
            ${['Event', 'Time', 'After', 'Kind', 'What'].map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${first.map(row)} ${last.map(row)}
        </tbody>
      </table>
    </div>
  </section>`;
}

function writeLeftOut(count: number, what: string, from: number | undefined, to: number | undefined): Html | null {
  if (count === 0) return null;
  return html`<p class="left-out">The middle is left out: ${count} of kind ${what}, events ${from ?? 0} to ${to ?? 0}.</p>`;
}

function writeTime(atMs: number): Html {
  const text = toTimeText(atMs);
  return html`<time datetime="${text}">${text}</time>`;
}

/** A Date, epoch milliseconds, or the text of a date from JSON. */
function toMs(value: Date | number | string, what: string): number {
  return typeof value === 'string' ? readTime(new Date(value), `\`${what}\``) : readTime(value, `\`${what}\``);
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
