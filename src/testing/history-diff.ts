// Shows a person where code and history part: both sides between the events around them. Neighbour: replay-history.ts.
import { describeEvent } from '../replay/decision.ts';
import type { HistoryEvent } from '../types/history-event.ts';

/** Events before and after the place. Reason: enough to find it in the code, little enough to read. */
const AROUND = 3;
/** Longest text of one event. */
const LINE_UNITS = 160;

/** Where code and history part. */
export type Parting = {
  readonly eventId: number;
  /** What the code does, such as `ActivityScheduled {name: "charge"} (at …)`. */
  readonly emitted: string;
};

/**
 * Writes the place as a diff.
 *
 * @param events - the recorded execution
 * @param parting - where, and what the code does there
 * @returns lines: `-` is history, `+` is the code
 */
export function describeParting(events: readonly HistoryEvent[], { eventId, emitted }: Parting): string {
  const lines = ['- history', '+ code'];
  const width = String(eventId + AROUND).length;
  const line = (mark: string, id: number, text: string): string => `${mark} ${String(id).padStart(width)}  ${text}`;
  const from = Math.max(1, eventId - AROUND);
  for (let id = from; id <= eventId + AROUND; id += 1) {
    const event = events[id - 1];
    if (event !== undefined) lines.push(line(id === eventId ? '-' : ' ', id, cut(describeEvent(event))));
    else if (id === eventId) lines.push(line('-', id, '(history ends here)'));
    if (id === eventId) lines.push(line('+', id, emitted));
  }
  return lines.join('\n');
}

function cut(text: string): string {
  return text.length > LINE_UNITS ? `${text.slice(0, LINE_UNITS)}…` : text;
}
