// Recorded beside emitted decision: what to show of an instance whose code does not follow its history. From the error as it was caught or stored.
// Neighbours: replay/engine-errors.ts writes such errors, replay/history-diff.ts puts them among the events.
import { parseNondeterminism, splitLocation } from '../../replay/engine-errors.ts';
import { listParting, type PartingLine } from '../../replay/history-diff.ts';
import { readNondeterminism, type Nondeterminism } from '../../types/failure.ts';
import type { HistoryEvent } from '../../types/history-event.ts';

/** A place in the code. */
export type CodeLocation = {
  /** Line of the stack, such as `at order (file:///app/order.ts:12:20)`. */
  readonly text: string;
  /** Path or URL; null: the line has another form. */
  readonly file: string | null;
  /** From 1. */
  readonly line: number | null;
  readonly column: number | null;
};

/** Where code and history part. */
export type NondeterminismView = {
  /** Id of the first event that the code does not follow. */
  readonly eventId: number;
  /** What history has there, such as `ActivityScheduled {name: "charge"}`; null: it ends there. */
  readonly recorded: string | null;
  /** What the code does instead. */
  readonly emitted: string;
  /** Where the code does it; null: unknown. */
  readonly location: CodeLocation | null;
  /** Both texts begin and end with so many characters that are the same: what is between them differs. */
  readonly same: { readonly start: number; readonly end: number };
  /** Both sides between the events around them. */
  readonly lines: readonly PartingLine[];
};

/** Longest chain of causes that is followed. Reason: a cause may point back at itself. */
const MAX_CAUSES = 32;

/**
 * Finds in an error where code and history part.
 *
 * @param error - an error or a stored failure; causes are looked into: of the client's errors, it is the cause
 * @param history - the execution; without it, no events around the place are shown
 * @returns both sides; null when the error is about something else
 */
export function toNondeterminism(error: unknown, history: readonly HistoryEvent[] = []): NondeterminismView | null {
  const found = find(error);
  if (found === null) return null;
  const { eventId, recorded, emitted, location } = found;
  return {
    eventId,
    recorded,
    emitted,
    location: location === null ? null : readLocation(location),
    same: compare(recorded ?? '', emitted),
    lines: listParting(history, found),
  };
}

function find(error: unknown): Nondeterminism | null {
  let link = error;
  for (let causesLeft = MAX_CAUSES; causesLeft > 0 && typeof link === 'object' && link !== null; causesLeft -= 1) {
    const { code, message, nondeterminism, cause } = link as Readonly<Record<'code' | 'message' | 'nondeterminism' | 'cause', unknown>>;
    const data = readNondeterminism(nondeterminism);
    if (data !== undefined) return data.location === null ? { ...data, ...splitLocation(data.emitted) } : data;
    const parsed = code === 'NONDETERMINISM' && typeof message === 'string' ? parseNondeterminism(message) : null;
    if (parsed !== null) return parsed;
    link = cause;
  }
  return null;
}

/** A frame of V8: `at name (file:line:column)` or `at file:line:column`. */
function readLocation(text: string): CodeLocation {
  const [, file = null, line, column] = /(?:\(|^at (?:async )?)([^()]+):(\d+):(\d+)\)?$/.exec(text) ?? [];
  return { text, file, line: line === undefined ? null : Number(line), column: column === undefined ? null : Number(column) };
}

/** By code points, so that no character is cut in half. */
function compare(left: string, right: string): NondeterminismView['same'] {
  const [from, to] = [Array.from(left), Array.from(right)];
  const shorter = Math.min(from.length, to.length);
  let start = 0;
  while (start < shorter && from[start] === to[start]) start += 1;
  let end = 0;
  while (end < shorter - start && from[from.length - 1 - end] === to[to.length - 1 - end]) end += 1;
  return { start: from.slice(0, start).join('').length, end: end === 0 ? 0 : from.slice(-end).join('').length };
}
