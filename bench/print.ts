// Output: a plain aligned table that grows row by row, or JSON lines. Neighbours: result.ts (what is shown), machine.ts (the header),
// targets.ts (the last column).
import { encodeRecord } from '../src/types/codec.ts';
import type { Machine } from './machine.ts';
import type { BenchOptions, Extent } from './options.ts';
import { median, type Metric, type RowResult } from './result.ts';
import { DEFAULT_SETTINGS, showSettings, showThreads } from './sweep.ts';
import { judge, type Verdict } from './targets.ts';

/** Widths of the columns: fixed, because rows are printed as soon as they are measured. */
const WIDTHS = { row: 4, measure: 60, median: 12, range: 22, unit: 22 };

type Cells = Readonly<Record<keyof typeof WIDTHS | 'target', string>>;

/**
 * Makes the lines above the table.
 *
 * @param machine - the machine
 * @param extent - how much is measured
 * @returns the lines
 */
export function toHeader(machine: Machine, { rounds, quick, large }: Extent): string {
  const { cpu, cores, node, betterSqlite3, commit, folder } = machine;
  const lines = [
    `${cpu}, ${cores} cores, Node ${node}, better-sqlite3 ${betterSqlite3}, commit ${commit ?? 'unknown'}`,
    `${showSettings(DEFAULT_SETTINGS, ['threads', 'sync', 'store'])} unless a heading says otherwise; rounds ${rounds}${large ? ', large sizes' : ''}`,
    `databases in ${folder}`,
    ...(machine.postgres === null ? [] : [machine.postgres]),
    ...(machine.inMemory ? ['NOTE: this folder is in memory, so a sync costs nothing. Set TMPDIR to a folder on a disk'] : []),
    ...(quick ? ['NOTE: --quick shows that the bench works; its figures mean nothing'] : []),
    '',
    toLine({ row: 'row', measure: 'measure', median: 'median', range: 'min – max', unit: 'unit', target: 'target' }),
  ];
  return lines.join('\n');
}

/**
 * Makes the line above the results of one combination of settings.
 *
 * @param row - name of the row
 * @param label - what is special; empty: nothing, then there is no line
 * @returns the line with its end
 */
export function toSubheading(row: string, label: string): string {
  return label === '' ? '' : `${row.padEnd(WIDTHS.row)} with ${label}\n`;
}

/**
 * Makes the lines of the table for a result.
 *
 * @param result - what was measured
 * @param options - what it was measured with
 * @returns the lines
 */
export function toTable(result: RowResult, options: BenchOptions): string {
  const lines = result.metrics.map((metric) =>
    toLine({
      row: result.row,
      measure: [result.name ?? '', metric.label].filter((part) => part !== '').join(': '),
      median: showNumber(median(metric.values)),
      range: metric.values.length === 1 ? '' : `${showNumber(Math.min(...metric.values))} – ${showNumber(Math.max(...metric.values))}`,
      unit: metric.unit,
      target: showVerdict(judge(result, metric, options)),
    }),
  );
  return lines.join('\n');
}

/**
 * Makes the last lines: which targets are met, and which are not.
 *
 * @param verdicts - of all figures that have a target
 * @returns the lines; empty when there are none
 */
export function toConclusion(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return '';
  const missed = verdicts.filter(({ met }) => !met);
  const lines = missed.map((verdict) => {
    const { row, field } = verdict.target;
    return `  ${[row, verdict.name, field].filter((part) => part !== '').join(' ')}: ${showNumber(verdict.value)}, ${showVerdict(verdict)}`;
  });
  return [
    `\ntargets: ${verdicts.length - missed.length} of ${verdicts.length} met${missed.length === 0 ? '' : '; missed:'}`,
    ...lines,
    '',
  ].join('\n');
}

/**
 * Makes the JSON line of a result: the medians, then sizes, the smallest and largest value of each median, and what it was measured with.
 *
 * @param result - what was measured
 * @param context - settings, their label, the machine
 * @returns the line
 */
export function toJson(
  result: RowResult,
  { options, label, machine }: { readonly options: BenchOptions; readonly label: string; readonly machine: Machine },
): string {
  const { rounds: _, threads, quick, large, ...settings } = options;
  const fields = (pick: (metric: Metric) => unknown): Record<string, unknown> =>
    Object.fromEntries(result.metrics.map((metric) => [metric.field, pick(metric)]));
  const verdicts = result.metrics.flatMap((metric) => judge(result, metric, options) ?? []);
  return encodeRecord({
    row: result.row,
    ...(result.name === undefined ? {} : { case: result.name }),
    ...(label === '' ? {} : { setting: label }),
    ...fields(({ values }) => round(median(values))),
    ...result.sizes,
    rounds: result.metrics[0]?.values.length,
    range: fields(({ values }) => [round(Math.min(...values)), round(Math.max(...values))]),
    units: fields(({ unit }) => unit),
    ...(verdicts.length === 0
      ? {}
      : { targets: Object.fromEntries(verdicts.map(({ target: { field, bound, value }, met }) => [field, { [bound]: value, met }])) }),
    machine: { ...machine, threads: showThreads(threads), ...settings, quick, large },
  });
}

function toLine(cells: Cells): string {
  const { row, measure, range, unit, target } = cells;
  const left = `${row.padEnd(WIDTHS.row)} ${measure.padEnd(WIDTHS.measure)}`;
  return `${left} ${cells.median.padStart(WIDTHS.median)}  ${range.padEnd(WIDTHS.range)} ${unit.padEnd(WIDTHS.unit)} ${target}`.trimEnd();
}

function showVerdict(verdict: Verdict | null): string {
  if (verdict === null) return '';
  const { target, met } = verdict;
  return `${target.bound === 'atLeast' ? '≥' : '≤'} ${showNumber(target.value)}: ${met ? 'met' : 'missed'}`;
}

/** Five significant digits: more would be noise. */
function round(value: number): number {
  return Number(value.toPrecision(5));
}

/**
 * Writes a number for people.
 *
 * @param value - the number
 * @returns three digits, or a whole number from a thousand on
 */
export function showNumber(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
