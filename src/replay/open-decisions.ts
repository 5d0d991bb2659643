// What an instance waits for, read from its history: for people who ask why nothing happens. Neighbour: trace.ts, which says what became of the rest.
import { EVENT_ROLES, type HistoryEvent } from '../types/history-event.ts';
import { toTimeText } from '../types/time-text.ts';
import { traceHistory, type OpenDecision } from './trace.ts';

export type { OpenDecision } from './trace.ts';

/**
 * Finds the decisions of an execution that nothing has answered.
 *
 * @param events - a valid history from its first event; it may end anywhere
 * @returns what is open, in the order of the events; nothing when the execution has ended
 */
export function openDecisions(events: readonly HistoryEvent[]): readonly OpenDecision[] {
  const last = events.at(-1);
  if (last === undefined || EVENT_ROLES[last.kind] === 'terminal') return [];
  return traceHistory(events).waits.flatMap(({ decision, end }) => (end === null ? [decision] : []));
}

/**
 * Describes the decisions of an execution that nothing has answered.
 *
 * @param events - as for `openDecisions`
 * @returns one text each, in the order of the events
 */
export function describeOpenDecisions(events: readonly HistoryEvent[]): readonly string[] {
  return openDecisions(events).map(describeOpenDecision);
}

/**
 * Describes an open decision.
 *
 * @param decision - from `openDecisions`
 * @returns such as `activity 'charge' (attempt 2)`
 */
export function describeOpenDecision(decision: OpenDecision): string {
  switch (decision.kind) {
    case 'activity':
      return `activity '${decision.name}'${decision.attempt === 1 ? '' : ` (attempt ${decision.attempt})`}`;
    case 'timer':
      return `a timer at ${toTimeText(decision.fireAtMs)}`;
    case 'event':
      return `event '${decision.name}'`;
    case 'topic':
      return `a message of topic '${decision.pattern}'`;
    case 'child':
      return `child '${decision.instanceId}' (${decision.name})`;
  }
}
