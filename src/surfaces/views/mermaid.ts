// Mermaid text of an execution: a sequence diagram (who asked whom) or a Gantt chart (when what ran). Neighbours: timeline.ts, text.ts.
//
// D1. Names come from anybody: everything in them but letters, digits and a few harmless signs is written as a character code, so that no name
//     can end its line, begin a comment or a directive, or become HTML.
// D2. The text is bounded: beyond `maxItems` the middle is left out, and the diagram says how much. Mermaid itself refuses long texts.
import { readOptions } from '../../types/arguments.ts';
import { ArgumentError } from '../../types/errors.ts';
import type { HistoryEvent, OrchestrationStarted } from '../../types/history-event.ts';
import { TOPIC_MAILBOX_PREFIX } from '../../types/names.ts';
import { show } from '../../types/show.ts';
import { cutText, formatDuration, keepEnds } from './text.ts';
import { toTimeline, type TimelineSpan } from './timeline.ts';

/** Options of `toMermaid`. */
export type MermaidOptions = {
  /** `sequence`: messages between the orchestration and what it calls; `gantt`: bars on a time axis. @default 'sequence' */
  readonly kind?: 'sequence' | 'gantt';
  /** Above the diagram. @default name and version of the orchestration */
  readonly title?: string;
  /** Messages or bars; of longer histories the middle is left out. 1 to 2,000. @default 200 */
  readonly maxItems?: number;
};

const MAX_ITEMS = { default: 200, maximum: 2_000 };
/** Longest text. Reason: Mermaid refuses more than 50,000 characters, unless a page sets another limit. */
const MAX_UNITS = 48_000;
/** Longest name in a diagram, in code points. */
const MAX_NAME = 48;
/** Columns of a sequence diagram besides the orchestration; further names share one. Reason: nobody reads wider ones. */
const MAX_PARTICIPANTS = 12;

/**
 * Draws an execution as Mermaid text, for Markdown that shows such blocks (GitHub, GitLab, many editors).
 *
 * @param history - a valid history of one execution from its first event; it may end anywhere
 * @param options - the kind of diagram, and its bounds
 * @returns the text, without the fence around it
 * @throws {ArgumentError} for an option that cannot be used
 */
export function toMermaid(history: readonly HistoryEvent[], options?: MermaidOptions): string {
  const {
    kind = 'sequence',
    title,
    maxItems = MAX_ITEMS.default,
  } = readOptions(options, 'the options of a diagram', {
    kind: true,
    title: true,
    maxItems: true,
  });
  if (!Number.isInteger(maxItems) || maxItems < 1 || maxItems > MAX_ITEMS.maximum) {
    throw new ArgumentError(`Expected \`maxItems\` to be an integer from 1 to ${MAX_ITEMS.maximum}, got ${show(maxItems)}`);
  }
  if (title !== undefined && typeof title !== 'string') throw new ArgumentError(`Expected \`title\` to be text, got ${show(title)}`);
  if (kind !== 'sequence' && kind !== 'gantt') throw new ArgumentError(`Expected \`kind\` to be 'sequence' or 'gantt', got ${show(kind)}`);
  const [start] = history;
  const named = title ?? (start?.kind === 'OrchestrationStarted' ? `${start.name} ${start.version}` : 'nothing has happened yet');
  const draw = kind === 'gantt' ? drawGantt : drawSequence;
  return withinLimit(maxItems, (items) => draw(history, named, items));
}

/** Draws with fewer items until the text is short enough. Long names in foreign scripts take many characters. */
function withinLimit(maxItems: number, draw: (items: number) => string): string {
  for (let items = maxItems; ; items = Math.floor(items / 2)) {
    const text = draw(items);
    if (text.length <= MAX_UNITS || items <= 1) return text;
  }
}

// --- text --------------------------------------------------------------------------------------------------------------------

/** Signs that mean nothing to Mermaid and HTML, nor to its Markdown. */
const HARMLESS = /[\p{L}\p{N} .,/()+_-]/u;
/** Control characters, halves of surrogate pairs and signs that turn text around: they have no place in a diagram. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** D1. */
function escape(name: string, maxLength = MAX_NAME): string {
  const clean = cutText(
    name
      .slice(0, maxLength * 4)
      .replaceAll(/\s/g, ' ')
      .replaceAll(INVISIBLE, '')
      .trim(),
    maxLength,
  );
  const text = Array.from(clean, (sign) => (HARMLESS.test(sign) ? sign : `#${sign.codePointAt(0)};`)).join('');
  return text === '' ? '(no name)' : text;
}

function rangeOf(items: readonly { readonly id: number }[]): string {
  return `${items[0]?.id ?? 0} to ${items.at(-1)?.id ?? 0}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

// --- sequence ----------------------------------------------------------------------------------------------------------------

type Who = { readonly id: string; readonly label: string };

/** The columns, in the order in which they are first needed. */
class Participants {
  readonly #known = new Map<string, Who>();
  readonly #others = new Map<string, Who>();

  find(kind: 'activity' | 'child', name: string): string {
    const key = `${kind}:${name}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known.id;
    if (this.#known.size < MAX_PARTICIPANTS) return this.#add(this.#known, key, `${kind} ${escape(name)}`);
    const plural = kind === 'activity' ? 'activities' : 'children';
    return this.#others.get(kind)?.id ?? this.#add(this.#others, kind, `other ${plural}`);
  }

  lines(): readonly string[] {
    return [...this.#known.values(), ...this.#others.values()].map(({ id, label }) => `  participant ${id} as ${label}`);
  }

  #add(to: Map<string, Who>, key: string, label: string): string {
    const id = `P${this.#known.size + this.#others.size + 1}`;
    to.set(key, { id, label });
    return id;
  }
}

function drawSequence(history: readonly HistoryEvent[], title: string, maxItems: number): string {
  const { first, left, last } = keepEnds(history, maxItems);
  const participants = new Participants();
  const draw = (event: HistoryEvent): string => drawStep(history, event, participants);
  const gap = left.length === 0 ? [] : [`Note over O: ${count(left.length, 'event')} left out here, ${rangeOf(left)}`];
  const lines = [...first.map(draw), ...gap, ...last.map(draw)];
  const [start] = history;
  const outside =
    start?.kind === 'OrchestrationStarted' && start.parent !== undefined ? `parent ${escape(start.parent.instanceId)}` : 'client';
  return [
    'sequenceDiagram',
    `  participant C as ${outside}`,
    `  participant O as ${escape(title, MAX_NAME * 2)}`,
    ...participants.lines(),
    ...(lines.length === 0 ? ['  Note over O: no event yet'] : lines.map((line) => `  ${line}`)),
    '',
  ].join('\n');
}

/** A decision and its answer have the number of the decision. Payloads are not shown: diagrams are for the eyes of many. */
function drawStep(history: readonly HistoryEvent[], event: HistoryEvent, participants: Participants): string {
  switch (event.kind) {
    case 'OrchestrationStarted':
      return `C->>O: start${describeExecution(event)}`;
    case 'ActivityScheduled': {
      const to = participants.find('activity', event.name);
      return `O->>${to}: ${event.id} ${escape(event.name)}${event.attempt === undefined ? '' : `, attempt ${event.attempt}`}`;
    }
    case 'ActivityCompleted':
    case 'SubOrchestrationCompleted':
      return `${sourceOf(history, event.sourceId, participants)}-->>O: ${event.sourceId} done${took(history, event)}`;
    case 'ActivityFailed':
    case 'SubOrchestrationFailed':
      return `${sourceOf(history, event.sourceId, participants)}--xO: ${event.sourceId} failed${took(history, event)}, ${escape(event.failure.code ?? event.failure.name)}`;
    case 'TimerCreated':
      return `Note over O: ${event.id} timer of ${formatDuration(event.fireAtMs - event.atMs)}`;
    case 'TimerFired':
      return `Note over O: ${event.sourceId} timer fired`;
    case 'EventAwaited':
      return `Note over O: ${event.id} waits for ${describeMailbox(event.name)}`;
    case 'EventRaised':
      return `C->>O: event ${escape(event.name)}`;
    case 'TopicReceived':
      return `C->>O: message of topic ${escape(event.topic)}`;
    case 'CancelRequested':
      return `C->>O: cancel, ${escape(event.reason)}`;
    case 'SubOrchestrationScheduled':
      return `O->>${participants.find('child', event.name)}: ${event.id} start ${escape(event.instanceId)}`;
    case 'OrchestrationStartRequested':
      return `O-)${participants.find('child', event.name)}: start ${escape(event.instanceId)}, detached`;
    case 'FutureCancelled':
      return drawCancelled(history, event.sourceId, participants);
    case 'CustomStatusSet':
      return 'Note over O: custom status set';
    case 'ValueSet':
      return `Note over O: value ${escape(event.key)} set`;
    case 'ValueDeleted':
      return `Note over O: value ${escape(event.key)} deleted`;
    case 'AttributesSet':
      return `Note over O: attributes ${escape(Object.keys(event.attributes).join(', '))} set`;
    case 'TopicSubscribed':
      return `Note over O: subscribes to ${escape(event.pattern)}`;
    case 'TopicUnsubscribed':
      return `Note over O: unsubscribes from ${escape(event.pattern)}`;
    case 'TopicPublished':
      return `O-)C: publishes to topic ${escape(event.topic)}`;
    case 'SessionMessageSent':
      return `Note over O: message to session ${escape(event.sessionId)}`;
    case 'Patched':
      return `Note over O: patch ${escape(event.patchId)}`;
    case 'OrchestrationCompleted':
      return `O-->>C: completed${tookAll(history, event)}`;
    case 'OrchestrationFailed':
      return `O--xC: failed${tookAll(history, event)}, ${escape(event.failure.code ?? event.failure.name)}`;
    case 'OrchestrationCancelled':
      return `O--xC: cancelled${tookAll(history, event)}`;
    case 'OrchestrationContinuedAsNew':
      return `O->>O: continues as new${tookAll(history, event)}`;
  }
}

function describeExecution({ executionId, carried = [] }: OrchestrationStarted): string {
  return `${executionId === 1 ? '' : ` of execution ${executionId}`}${carried.length === 0 ? '' : `, ${count(carried.length, 'event')} carried over`}`;
}

function describeMailbox(name: string): string {
  if (!name.startsWith(TOPIC_MAILBOX_PREFIX)) return `event ${escape(name)}`;
  return `topic ${escape(name.slice(TOPIC_MAILBOX_PREFIX.length))}`;
}

function sourceOf(history: readonly HistoryEvent[], sourceId: number, participants: Participants): string {
  const source = history[sourceId - 1];
  if (source?.kind === 'ActivityScheduled') return participants.find('activity', source.name);
  return source?.kind === 'SubOrchestrationScheduled' ? participants.find('child', source.name) : 'C';
}

function drawCancelled(history: readonly HistoryEvent[], sourceId: number, participants: Participants): string {
  const source = history[sourceId - 1];
  if (source?.kind === 'EventAwaited') return `Note over O: ${sourceId} gives up on ${describeMailbox(source.name)}`;
  if (source?.kind === 'TimerCreated') return `Note over O: ${sourceId} timer cancelled`;
  return `O-x${sourceOf(history, sourceId, participants)}: ${sourceId} cancelled`;
}

function took(history: readonly HistoryEvent[], { sourceId, atMs }: { readonly sourceId: number; readonly atMs: number }): string {
  const source = history[sourceId - 1];
  return source === undefined ? '' : ` after ${formatDuration(atMs - source.atMs)}`;
}

function tookAll(history: readonly HistoryEvent[], { atMs }: HistoryEvent): string {
  return ` after ${formatDuration(atMs - (history[0]?.atMs ?? atMs))}`;
}

// --- Gantt -------------------------------------------------------------------------------------------------------------------

/** Last time that Mermaid takes for one: the year 9999. */
const MAX_TIME_MS = 253_402_300_799_999;

const SECTIONS = { activity: 'activities', child: 'children', timer: 'timers', event: 'events', topic: 'topics' } as const;

/** How Mermaid draws an outcome. */
const TAGS: Readonly<Record<TimelineSpan['outcome'], string>> = { open: 'active', completed: 'done', failed: 'crit', cancelled: '' };

function drawGantt(history: readonly HistoryEvent[], title: string, maxItems: number): string {
  const { spans, startMs, endMs, outcome } = toTimeline(history);
  const { first, left, last } = keepEnds(spans, maxItems);
  const shown = [...first, ...last];
  const nowMs = clampTime(endMs ?? 0);
  const from = clampTime(startMs ?? 0);
  const note = left.length === 0 ? '' : `, ${count(left.length, 'bar')} left out, ${rangeOf(left.map(({ eventId }) => ({ id: eventId })))}`;
  const isLong = nowMs - from > 86_400_000;
  const sections = Object.entries(SECTIONS).flatMap(([kind, section]) => {
    const bars = shown.filter((span) => span.kind === kind);
    return bars.length === 0 ? [] : [`  section ${section}`, ...bars.map((span) => drawBar(span, nowMs))];
  });
  return [
    'gantt',
    `  title ${escape(title, MAX_NAME * 2)}${note}`,
    '  dateFormat x',
    `  axisFormat ${isLong ? '%m-%d %H:%M' : '%H:%M:%S'}`,
    '  section execution',
    `  ${outcome} :${outcome === 'failed' ? 'crit' : 'active'}, e1, ${from}, ${Math.max(nowMs, from + 1)}`,
    ...sections,
    '',
  ].join('\n');
}

/** The number of the event comes first: a name must not look like a keyword of Mermaid. */
function drawBar(span: TimelineSpan, nowMs: number): string {
  const startMs = clampTime(span.startMs);
  // A bar of no length is not drawn.
  const endMs = Math.max(clampTime(span.endMs ?? nowMs), startMs + 1);
  const tag = TAGS[span.outcome];
  return `  ${span.eventId} ${describeSpan(span)} :${tag === '' ? '' : `${tag}, `}e${span.eventId}, ${startMs}, ${endMs}`;
}

function describeSpan(span: TimelineSpan): string {
  const how = span.outcome === 'completed' ? '' : ` (${span.outcome})`;
  switch (span.kind) {
    case 'activity':
      return `${escape(span.name)}${span.attempts.length === 1 ? '' : `, ${span.attempts.length} attempts`}${how}`;
    case 'timer':
      return `timer of ${formatDuration(span.fireAtMs - span.startMs)}${how}`;
    case 'event':
      return `${escape(span.name)}${how}`;
    case 'topic':
      return `${escape(span.pattern)}${how}`;
    case 'child':
      return `${escape(span.name)} ${escape(span.instanceId)}${how}`;
  }
}

function clampTime(atMs: number): number {
  return Math.min(Math.max(0, Math.floor(atMs)), MAX_TIME_MS - 1);
}
