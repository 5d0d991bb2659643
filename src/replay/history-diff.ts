// Shows a person where code and history part: both sides between the events around them. Neighbours: engine-errors.ts words the error,
// testing/replay-history.ts and threads/replay-check.ts show it.
import type { Nondeterminism } from '../types/failure.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { describeEvent } from './decision.ts';
import { withLocation } from './engine-errors.ts';

/** Events before and after the place. Reason: enough to find it in the code, little enough to read. */
const AROUND = 3;
/** Longest text of one event. */
const LINE_UNITS = 160;

/** Where code and history part. */
export type Parting = {
  /** Id of the first event that the code does not follow. */
  readonly eventId: number;
  /** What history has there, as text; null: it ends there. */
  readonly recorded: string | null;
  /** What the code does, such as `ActivityScheduled {name: "charge"} (at …)`. */
  readonly emitted: string;
  /** Both sides between the events around them, in lines: `-` is history, `+` is the code. */
  readonly diff: string;
};

/**
 * Shows where a replay left its history.
 *
 * @param events - the recorded execution
 * @param nondeterminism - of the failure with which the replay ended
 * @returns both sides
 */
export function describeParting(events: readonly HistoryEvent[], { eventId, recorded, ...code }: Nondeterminism): Parting {
  const emitted = withLocation(code.emitted, code.location);
  return { eventId, recorded, emitted, diff: writeDiff(events, eventId, emitted) };
}

function writeDiff(events: readonly HistoryEvent[], eventId: number, emitted: string): string {
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
