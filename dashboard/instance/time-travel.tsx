// Time travel: a slider over the events, and beside it what the orchestration knew and waited for right after the one that it points at.
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { OpenDecision } from '../../src/replay/trace.ts';
import { toTimeTravel, type Moment } from '../../src/surfaces/views/time-travel.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { JsonView } from '../components/json-view.tsx';
import { describeEvent } from '../lib/describe-event.ts';
import { formatDuration, formatMoment, formatNumber, toVisible } from '../lib/format.ts';
import { useShortcuts } from '../lib/keys.ts';
import { instanceHref, route, setQuery } from '../lib/router.ts';
import { Status } from '../components/status.tsx';

/** Answers and messages that are shown at once, the newest. */
const MOST_SHOWN = 50;
/** How long the slider rests before the place goes to the URL. Reason: browsers allow few changes of it. */
const SETTLE_MS = 300;

/**
 * Lets the user go through an execution.
 *
 * @param props - its events
 * @returns slider and moment
 */
export function TimeTravel({ events }: { readonly events: readonly HistoryEvent[] }): JSX.Element {
  const travel = useMemo(() => toTimeTravel(events), [events]);
  const last = travel.lastEventId;
  // Null: at the end, also while the end moves on.
  const given = route.value.query.get('event');
  const chosen = useSignal<number | null>(given === null ? null : Number(given));
  const at = Math.max(0, Math.min(last, Math.trunc(chosen.value ?? last) || 0));
  const moment = useMemo(() => travel.at(at), [travel, at]);

  const move = (to: number): void => {
    const next = Math.max(0, Math.min(last, to));
    chosen.value = next >= last ? null : next;
  };
  useEffect(() => {
    const timer = setTimeout(() => setQuery({ event: chosen.value === null ? '' : String(chosen.value) }), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [chosen.value]);
  const step = (by: number): void => move(Number(document.querySelector<HTMLInputElement>('#travel')?.value ?? 0) + by);
  useShortcuts('Time travel', [
    { keys: '[', label: 'One event back', run: () => step(-1) },
    { keys: ']', label: 'One event forward', run: () => step(1) },
  ]);

  return (
    <>
      <div class="toolbar panel">
        <button type="button" onClick={() => move(0)} disabled={at === 0} aria-label="To the beginning">
          «
        </button>
        <button type="button" onClick={() => move(at - 1)} disabled={at === 0} aria-label="One event back">
          ‹
        </button>
        <input
          id="travel"
          type="range"
          min={0}
          max={last}
          value={at}
          aria-label="Event"
          aria-valuetext={textOf(moment, events)}
          onInput={(event) => move(Number(event.currentTarget.value))}
        />
        <button type="button" onClick={() => move(at + 1)} disabled={at >= last} aria-label="One event forward">
          ›
        </button>
        <button type="button" onClick={() => move(last)} disabled={at >= last} aria-label="To the end">
          »
        </button>
        <output class="travel-at" for="travel">
          Event {formatNumber(at)} of {formatNumber(last)}
        </output>
      </div>
      <div class="columns">
        <div class="stack">
          <section class="panel" aria-labelledby="at-title">
            <h2 id="at-title">{moment.event === null ? 'Before the first event' : `#${at} ${moment.event.kind}`}</h2>
            {moment.event !== null && (
              <>
                <p class="muted">
                  {formatMoment(moment.event.atMs)}, {formatDuration(moment.event.atMs - (events[0]?.atMs ?? 0))} after the start
                </p>
                <JsonView label={describeEvent(moment.event, events)} value={moment.event} />
              </>
            )}
          </section>
          <Waits moment={moment} />
          <Results moment={moment} />
        </div>
        <div class="stack">
          <section class="panel" aria-labelledby="knew-title">
            <h2 id="knew-title">What it knew</h2>
            <p>
              <Status status={moment.status} />
            </p>
            {moment.cancelRequested !== null && <p>It was asked to cancel: {toVisible(moment.cancelRequested)}</p>}
            {moment.customStatus === undefined || moment.customStatus === null ? (
              <p class="muted">No custom status.</p>
            ) : (
              <JsonView label="Custom status" value={moment.customStatus} open />
            )}
            {Object.keys(moment.attributes).length > 0 && <JsonView label="Search attributes" value={moment.attributes} open />}
            {moment.values.map(({ key, value }) => (
              <JsonView key={key} label={toVisible(`Value ${key}`)} value={value} />
            ))}
            {moment.subscriptions.length > 0 && <p>Subscribed to {moment.subscriptions.join(', ')}</p>}
          </section>
          <section class="panel" aria-labelledby="unread-title">
            <h2 id="unread-title">Received, not yet taken</h2>
            {moment.unread.length === 0 && <p class="muted">Nothing.</p>}
            {moment.unread.slice(0, MOST_SHOWN).map((message, index) => (
              <JsonView key={index} label={sourceOf(message.source)} value={message.data} />
            ))}
            <More count={moment.unread.length} />
          </section>
        </div>
      </div>
    </>
  );
}

function textOf({ eventId, event }: Moment, events: readonly HistoryEvent[]): string {
  return event === null ? 'before the first event' : `event ${eventId}, ${event.kind} ${describeEvent(event, events)}`;
}

function sourceOf(source: object): string {
  return toVisible(
    Object.values(source)
      .filter((part) => typeof part === 'string')
      .join(' '),
  );
}

function Waits({ moment }: { readonly moment: Moment }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="waits-title">
      <h2 id="waits-title">What it waited for</h2>
      {moment.waitingFor.length === 0 && <p class="muted">Nothing.</p>}
      <ul class="plain">
        {moment.waitingFor.slice(0, MOST_SHOWN).map((wait) => (
          <li key={wait.eventId}>
            <Decision decision={wait} /> <span class="muted">(so far {formatDuration(wait.forMs)})</span>
          </li>
        ))}
      </ul>
      <More count={moment.waitingFor.length} />
    </section>
  );
}

function Results({ moment }: { readonly moment: Moment }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="results-title">
      <h2 id="results-title">Answers so far</h2>
      {moment.results.length === 0 && <p class="muted">None.</p>}
      {moment.results
        .slice(-MOST_SHOWN)
        .toReversed()
        .map((result) => (
          <div key={result.decision.eventId} class="answer">
            <Decision decision={result.decision} />{' '}
            {result.ok ? (
              <Answer result={result} />
            ) : (
              <p class="failed-text">
                failed: {result.failure.name}: {result.failure.message}
              </p>
            )}
          </div>
        ))}
      <More count={moment.results.length} />
    </section>
  );
}

function Answer({ result }: { readonly result: Extract<Moment['results'][number], { ok: true }> }): JSX.Element {
  // A timer has nothing to say but that it fired.
  if (result.decision.kind === 'timer') return <span class="muted">fired, event #{result.eventId}</span>;
  return <JsonView label={`event #${result.eventId}`} value={result.value} />;
}

function More({ count }: { readonly count: number }): ComponentChildren {
  return count > MOST_SHOWN ? <p class="muted">and {formatNumber(count - MOST_SHOWN)} more</p> : null;
}

function Decision({ decision }: { readonly decision: OpenDecision }): JSX.Element {
  switch (decision.kind) {
    case 'activity':
      return (
        <strong>
          Activity {toVisible(decision.name)}
          {decision.attempt > 1 ? `, attempt ${decision.attempt}` : ''}
        </strong>
      );
    case 'timer':
      return <strong>Timer, until {formatMoment(decision.fireAtMs)}</strong>;
    case 'event':
      return <strong>Event {toVisible(decision.name)}</strong>;
    case 'topic':
      return <strong>Topic {toVisible(decision.pattern)}</strong>;
    case 'child':
      return (
        <strong>
          Child <a href={instanceHref(decision.instanceId)}>{toVisible(decision.instanceId)}</a>
        </strong>
      );
  }
}
