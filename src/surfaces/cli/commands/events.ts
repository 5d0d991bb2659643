// How history events are shown. Neighbours: history.ts, watch.ts, replay.ts.
import { EVENT_ROLES, type EventKind, type HistoryEvent } from '../../../types/history-event.ts';
import type { Io, Paint } from '../io.ts';
import { printTable, type Cell } from '../table.ts';
import { payload } from '../text.ts';

/** Fields that every event has, or that its other columns show. */
const ENVELOPE: ReadonlySet<string> = new Set(['id', 'atMs', 'kind']);
const PAINTS: Readonly<Record<(typeof EVENT_ROLES)[EventKind], Paint>> = { input: 'cyan', decision: 'yellow', terminal: 'green' };

/**
 * Prints events as a table.
 *
 * @param io - where
 * @param events - of one execution
 */
export function printEvents(io: Io, events: readonly HistoryEvent[]): void {
  printTable(io, ['EVENT', 'TIME', 'KIND', 'DETAILS'], events.map(toEventRow));
}

/**
 * Makes the row of an event.
 *
 * @param event - the event
 * @returns id, time, kind, details
 */
export function toEventRow(event: HistoryEvent): readonly Cell[] {
  return [event.id, new Date(event.atMs).toISOString(), kindCell(event.kind), describeEvent(event)];
}

function kindCell(kind: EventKind): Cell {
  // A newer version may have written kinds that are unknown here.
  return { text: kind, paint: Object.hasOwn(EVENT_ROLES, kind) ? PAINTS[EVENT_ROLES[kind]] : 'dim' };
}

/**
 * Describes what an event says besides its kind.
 *
 * @param event - the event
 * @returns text of users: clean it
 */
export function describeEvent(event: HistoryEvent): string {
  return Object.entries(event)
    .filter(([field, value]) => !ENVELOPE.has(field) && value !== undefined)
    .map(([field, value]: [string, unknown]) => `${field}=${describeField(field, value)}`)
    .join(' ');
}

function describeField(field: string, value: unknown): string {
  if (field === 'fireAtMs' && typeof value === 'number') return new Date(value).toISOString();
  if (field === 'failure' && typeof value === 'object' && value !== null) {
    const { name, message } = value as { readonly name?: unknown; readonly message?: unknown };
    return `${String(name)}: ${String(message)}`;
  }
  return payload(value);
}
