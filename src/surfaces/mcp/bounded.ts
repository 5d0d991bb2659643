// Results of tools, small enough for who reads them: a page gets smaller, long texts and lists are cut, and the reader is told.
// Neighbours: tools.ts, resources.ts.
import { encodeRecord } from '../../types/codec.ts';
import type { Operation, SurfaceContext } from '../operations/operation.ts';
import { toPlainJson } from '../operations/wire.ts';

/** Largest result, in UTF-16 units of its JSON. Reason: it goes into the context of a model, which is dear. */
export const MAX_RESULT_UNITS = 40_000;
/** More fields than any object of ours has. */
const OWN_FIELDS = 32;
/** Longest text within a result that is too large. */
const MAX_TEXT_UNITS = 1_000;

/** A result and what is missing. */
export type BoundedResult = {
  readonly result: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** What was left out, for the reader; null: nothing. */
  readonly note: string | null;
};

/**
 * Runs an operation and makes its result fit.
 *
 * @param operation - what to run
 * @param call - on what, with which input
 * @returns the result as JSON
 */
export async function runBounded(
  operation: Operation,
  call: { readonly context: SurfaceContext; readonly input: Readonly<Record<string, unknown>>; readonly signal: AbortSignal },
): Promise<BoundedResult> {
  let { input } = call;
  for (;;) {
    const result = toPlainJson(await operation.run(call.context, input, call.signal));
    const text = encodeRecord(result);
    const isShortened = input !== call.input;
    if (text.length <= MAX_RESULT_UNITS) return { result, text, note: isShortened ? PAGE_NOTE : null };
    const smaller = operation.isWrite ? null : smallerPage(input, result, text.length);
    if (smaller === null) return cut(result);
    input = smaller;
  }
}

const PAGE_NOTE = 'This page is shorter than was asked for, because its items are large. Go on with its cursor.';

/** The same with fewer items, as many as should fit; null: there is no page to make smaller. */
function smallerPage(
  input: Readonly<Record<string, unknown>>,
  result: Readonly<Record<string, unknown>>,
  units: number,
): Readonly<Record<string, unknown>> | null {
  const { limit } = input;
  const items = Object.values(result).find((value) => Array.isArray(value));
  if (typeof limit !== 'number' || items === undefined || items.length <= 1) return null;
  const most = Math.min(limit, items.length);
  return { ...input, limit: Math.max(1, Math.min(most - 1, Math.floor((most * MAX_RESULT_UNITS * 0.9) / units))) };
}

/** Cuts long texts, then long lists, until it fits. */
function cut(result: Readonly<Record<string, unknown>>): BoundedResult {
  let cutResult = result;
  let text = '';
  for (let most = 256; most >= 1; most = Math.floor(most / 2)) {
    cutResult = shorten(result, { most, textUnits: Math.max(50, Math.floor((MAX_TEXT_UNITS * most) / 256)) }) as typeof result;
    text = encodeRecord(cutResult);
    if (text.length <= MAX_RESULT_UNITS) break;
  }
  return { result: cutResult, text, note: 'Long texts, lists and objects are cut. Read all of it over HTTP or with the command line.' };
}

type Bounds = { readonly most: number; readonly textUnits: number };

function shorten(value: unknown, bounds: Bounds): unknown {
  if (typeof value === 'string') {
    return value.length <= bounds.textUnits ? value : `${value.slice(0, bounds.textUnits)}… (cut, ${value.length} characters)`;
  }
  if (Array.isArray(value)) return value.slice(0, bounds.most).map((item) => shorten(item, bounds));
  if (typeof value !== 'object' || value === null) return value;
  // Objects of ours have few fields, so that they stay whole; those of users may have any number.
  const entries = Object.entries(value).slice(0, Math.max(OWN_FIELDS, bounds.most));
  return Object.fromEntries(entries.map(([key, item]) => [key, shorten(item, bounds)]));
}
