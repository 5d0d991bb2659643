// Steps of a history: what came from outside, with all that the code decided because of it. Only there a replay can stop, because the code takes
// all decisions of a step at once. Neighbour: replay.ts.
import { EVENT_ROLES, type HistoryEvent } from '../../../types/history-event.ts';

/** A step: events from index `begin` to before index `end`. */
export type Step = { readonly begin: number; readonly end: number };

/**
 * Cuts a history into steps.
 *
 * @param events - of one execution
 * @returns the steps, without a gap
 */
export function stepsOf(events: readonly HistoryEvent[]): readonly Step[] {
  const begins = events.flatMap(({ kind }, index) => (EVENT_ROLES[kind] === 'input' ? [index] : []));
  return begins.map((begin, index) => ({ begin, end: begins[index + 1] ?? events.length }));
}

/**
 * Finds the end of the step that an event belongs to.
 *
 * @param events - of one execution
 * @param eventId - id of the event
 * @returns how many events to replay
 */
export function endOfStep(events: readonly HistoryEvent[], eventId: number): number {
  return stepsOf(events).find(({ end }) => end >= eventId)?.end ?? events.length;
}
