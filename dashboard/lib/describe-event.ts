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
  if (event.kind === 'TimerCreated') return `for ${formatDuration(event.fireAtMs - event.atMs)}, until ${formatMoment(event.fireAtMs)}`;
  if (event.kind === 'ValueSet') return `${event.key} = ${oneLine(event.value)}`;
  if (event.kind === 'AttributesSet') return oneLine(event.attributes);
  if (event.kind === 'CustomStatusSet') return oneLine(event.status);
  if (event.kind === 'OrchestrationCompleted') return oneLine(event.result);
  if (event.kind === 'OrchestrationContinuedAsNew') return oneLine(event.input);
  return describeBriefly(event, history);
}
