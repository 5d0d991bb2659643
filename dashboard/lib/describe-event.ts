// Events in the words of the list: what each is about, with the values that are worth reading there.
import { describeBriefly } from '../../src/surfaces/views/event-text.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { formatDuration, formatMoment, toVisible } from './format.ts';

/**
 * Says what an event is about.
 *
 * @param event - of a history
 * @param history - all events before it, for what it answers
 * @returns one line
 */
export function describeEvent(event: HistoryEvent, history: readonly HistoryEvent[]): string {
  return toVisible(describe(event, history));
}

/** A value on one line, cut. */
export function oneLine(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return toVisible(text.length > 160 ? `${text.slice(0, 160)}…` : text);
}

function describe(event: HistoryEvent, history: readonly HistoryEvent[]): string {
  switch (event.kind) {
    case 'TimerCreated':
      return `for ${formatDuration(event.fireAtMs - event.atMs)}, until ${formatMoment(event.fireAtMs)}`;
    case 'AttributesSet':
      return oneLine(event.attributes);
    case 'CustomStatusSet':
      return oneLine(event.status);
    case 'ValueSet':
      return `${event.key} = ${oneLine(event.value)}`;
    case 'OrchestrationCompleted':
      return oneLine(event.result);
    case 'OrchestrationContinuedAsNew':
      return oneLine(event.input);
    default:
      return describeBriefly(event, history);
  }
}
