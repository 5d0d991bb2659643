// Output: a plain aligned table that grows row by row, or JSON lines. Neighbours: result.ts (what is shown), machine.ts (the header).
import { encodeRecord } from '../src/types/codec.ts';
import type { Machine } from './machine.ts';
import { median, type Metric, type RowResult } from './result.ts';

/** Widths of the columns: fixed, because rows are printed as soon as they are measured. */
const WIDTHS = { row: 4, measure: 60, median: 12, range: 26 };

/**
 * Makes the lines above the table.
 *
 * @param machine - the machine
 * @param rounds - rounds of each measurement
 * @returns the lines
 */
export function toHeader(machine: Machine, rounds: number): string {
  const { cpu, cores, node, betterSqlite3, sync, threads, commit, folder } = machine;
  const [replay, activity] = threads.split(',');
  const lines = [
    `${cpu}, ${cores} cores, Node ${node}, better-sqlite3 ${betterSqlite3}, commit ${commit ?? 'unknown'}`,
    `synchronous=${sync}, replay threads ${replay}, activity threads ${activity}, rounds ${rounds}, databases in ${folder}`,
    ...(machine.inMemory ? ['NOTE: this folder is in memory, so a sync costs nothing. Set TMPDIR to a folder on a disk'] : []),
    ...(machine.quick ? ['NOTE: --quick shows that the bench works; its figures mean nothing'] : []),
    '',
    toLine({ row: 'row', measure: 'measure', median: 'median', range: 'min – max', unit: 'unit' }),
  ];
  return lines.join('\n');
}

/**
 * Makes the lines of the table for a result.
 *
 * @param result - what was measured
 * @returns the lines
 */
export function toTable(result: RowResult): string {
  const lines = result.metrics.map((metric) =>
    toLine({
      row: result.row,
      measure: [result.name ?? '', metric.label].filter((part) => part !== '').join(': '),
      median: show(median(metric.values)),
      range: metric.values.length === 1 ? '' : `${show(Math.min(...metric.values))} – ${show(Math.max(...metric.values))}`,
      unit: metric.unit,
    }),
  );
  return lines.join('\n');
}

/**
 * Makes the JSON line of a result: the medians, then sizes, the smallest and largest value of each median, and the machine.
 *
 * @param result - what was measured
 * @param machine - the machine
 * @returns the line
 */
export function toJson(result: RowResult, machine: Machine): string {
  const fields = (pick: (metric: Metric) => unknown): Record<string, unknown> =>
    Object.fromEntries(result.metrics.map((metric) => [metric.field, pick(metric)]));
  return encodeRecord({
    row: result.row,
    ...(result.name === undefined ? {} : { case: result.name }),
    ...fields(({ values }) => round(median(values))),
    ...result.sizes,
    rounds: result.metrics[0]?.values.length,
    range: fields(({ values }) => [round(Math.min(...values)), round(Math.max(...values))]),
    machine,
  });
}

function toLine(cells: Readonly<Record<keyof typeof WIDTHS | 'unit', string>>): string {
  const { row, measure, range, unit } = cells;
  const left = `${row.padEnd(WIDTHS.row)} ${measure.padEnd(WIDTHS.measure)}`;
  return `${left} ${cells.median.padStart(WIDTHS.median)}  ${range.padEnd(WIDTHS.range)} ${unit}`.trimEnd();
}

/** Five significant digits: more would be noise. */
function round(value: number): number {
  return Number(value.toPrecision(5));
}

function show(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
