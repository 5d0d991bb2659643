// The history as a table, with the whole of one event beside it.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { EVENT_ROLES, type HistoryEvent } from '../../src/types/history-event.ts';
import { JsonView } from '../components/json-view.tsx';
import { VirtualTable, type Column } from '../components/virtual-table.tsx';
import { describeEvent } from '../lib/describe-event.ts';
import { formatDuration, formatMoment, formatNumber } from '../lib/format.ts';
import { route, setQuery } from '../lib/router.ts';

const ROW_PX = 30;

const COLUMNS: readonly Column[] = [
  { id: 'id', head: '#', className: 'c-event-id' },
  { id: 'time', head: 'After', className: 'c-event-time' },
  { id: 'kind', head: 'Event', className: 'c-event-kind' },
  { id: 'what', head: 'What', className: 'c-event-what' },
];

/**
 * Shows the events of an execution.
 *
 * @param props - the events, in order
 * @returns table and detail
 */
export function EventList({ events }: { readonly events: readonly HistoryEvent[] }): JSX.Element {
  const wanted = useSignal('');
  const chosenId = Number(route.value.query.get('event') ?? 0);
  const text = wanted.value.trim().toLowerCase();
  const shown = useMemo(() => (text === '' ? events : events.filter((event) => matches(event, events, text))), [events, text]);
  const chosen = events[chosenId - 1];
  const startMs = events[0]?.atMs ?? 0;
  const index = chosen === undefined ? null : shown === events ? chosenId - 1 : shown.indexOf(chosen);
  return (
    <div class="split">
      <div class="split-main">
        <label class="field inline">
          Find
          <input
            type="search"
            value={wanted.value}
            placeholder="kind or text"
            onInput={(event) => (wanted.value = event.currentTarget.value)}
          />
          <span class="muted" role="status">
            {text === '' ? formatNumber(events.length) : `${formatNumber(shown.length)} of ${formatNumber(events.length)}`} events
          </span>
        </label>
        <VirtualTable
          label="Events"
          className="events"
          columns={COLUMNS}
          count={shown.length}
          rowPx={ROW_PX}
          shown={index}
          rowKey={(at) => shown[at]?.id ?? 0}
          rowProps={(at) => (shown[at] === chosen && chosen !== undefined ? { class: 'selected' } : {})}
          row={(at) => {
            const event = shown[at];
            return event === undefined ? null : <EventRow event={event} events={events} startMs={startMs} />;
          }}
          empty={events.length === 0 ? 'Nothing has happened yet.' : 'No event matches.'}
        />
      </div>
      <aside class="split-side panel" aria-label="The chosen event">
        {chosen === undefined ? <p class="muted">Choose an event to see all of it.</p> : <EventDetail event={chosen} events={events} />}
      </aside>
    </div>
  );
}

type RowProps = { readonly event: HistoryEvent; readonly events: readonly HistoryEvent[]; readonly startMs: number };

function EventRow({ event, events, startMs }: RowProps): JSX.Element {
  const what = describeEvent(event, events);
  return (
    <>
      <td class="c-event-id">
        <button type="button" class="link" onClick={() => setQuery({ event: String(event.id) })} aria-label={`Event ${event.id}`}>
          {event.id}
        </button>
      </td>
      <td class="c-event-time" title={formatMoment(event.atMs)}>
        +{formatDuration(event.atMs - startMs)}
      </td>
      <td class="c-event-kind">
        <span class={`role role-${EVENT_ROLES[event.kind]}`}>{event.kind}</span>
      </td>
      <td class="c-event-what" title={what}>
        {what}
      </td>
    </>
  );
}

/**
 * Shows one event with all its fields.
 *
 * @param props - the event, and the history that it is of
 * @returns its description and JSON
 */
export function EventDetail({ event, events }: { readonly event: HistoryEvent; readonly events: readonly HistoryEvent[] }): JSX.Element {
  const source = 'sourceId' in event ? events[event.sourceId - 1] : undefined;
  const answer = source === undefined ? events.find((one) => 'sourceId' in one && one.sourceId === event.id) : undefined;
  return (
    <>
      <h2>
        #{event.id} {event.kind}
      </h2>
      <p class="muted">{formatMoment(event.atMs)}</p>
      {source !== undefined && (
        <p>
          Answers <EventLink event={source} />, {formatDuration(event.atMs - source.atMs)} later.
        </p>
      )}
      {answer !== undefined && (
        <p>
          Answered by <EventLink event={answer} />, {formatDuration(answer.atMs - event.atMs)} later.
        </p>
      )}
      <JsonView label="Event" value={event} open />
    </>
  );
}

function EventLink({ event }: { readonly event: HistoryEvent }): JSX.Element {
  return (
    <button type="button" class="link" onClick={() => setQuery({ event: String(event.id) })}>
      #{event.id} {event.kind}
    </button>
  );
}

function matches(event: HistoryEvent, events: readonly HistoryEvent[], text: string): boolean {
  return event.kind.toLowerCase().includes(text) || describeEvent(event, events).toLowerCase().includes(text);
}
