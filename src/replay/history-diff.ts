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
export function describeParting(events: readonly HistoryEvent[], nondeterminism: Nondeterminism): Parting {
  const { eventId, recorded, emitted, location } = nondeterminism;
  return { eventId, recorded, emitted: withLocation(emitted, location), diff: writeDiff(events, nondeterminism) };
}

/** One line of a diff. */
export type PartingLine = {
  /** `both`: code and history agree; then what history has, and what the code does instead. */
  readonly side: 'both' | 'history' | 'code';
  readonly eventId: number;
  readonly text: string;
};

/**
 * Puts both sides between the events around them. What comes after the place is history's alone, but shows where it is.
 *
 * @param events - the recorded execution; empty: unknown
 * @param nondeterminism - where code and history part
 * @returns lines in the order of the events
 */
export function listParting(events: readonly HistoryEvent[], nondeterminism: Nondeterminism): readonly PartingLine[] {
  const { eventId, recorded, emitted, location } = nondeterminism;
  const at = (from: number, to: number): PartingLine[] =>
    events
      .slice(Math.max(0, from - 1), Math.max(0, to))
      .map((event) => ({ side: 'both', eventId: event.id, text: cut(describeEvent(event)) }));
  return [
    ...at(eventId - AROUND, eventId - 1),
    { side: 'history', eventId, text: recorded === null ? '(history ends here)' : cut(recorded) },
    { side: 'code', eventId, text: withLocation(emitted, location) },
    ...at(eventId + 1, eventId + AROUND),
  ];
}

const MARKS: Readonly<Record<PartingLine['side'], string>> = { both: ' ', history: '-', code: '+' };

function writeDiff(events: readonly HistoryEvent[], nondeterminism: Nondeterminism): string {
  const width = String(nondeterminism.eventId + AROUND).length;
  const lines = listParting(events, nondeterminism).map(
    ({ side, eventId, text }) => `${MARKS[side]} ${String(eventId).padStart(width)}  ${text}`,
  );
  return ['- history', '+ code', ...lines].join('\n');
}

function cut(text: string): string {
  return text.length > LINE_UNITS ? `${text.slice(0, LINE_UNITS)}…` : text;
}
