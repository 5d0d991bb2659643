// Output: Markdown tables, one for each row, or JSON lines. Neighbours: result.ts has the figures, run.ts prints.
import { ratioOf, spreadOf, type PeerResult, type Spread } from './result.ts';
import type { Workload } from './workloads.ts';

/** What the figures depend on. */
export type Surroundings = {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly folder: string;
  readonly postgres: string;
  readonly rounds: number;
  readonly quick: boolean;
};

/** Columns of the summary before the ratios. */
const SUMMARY_NAMES = 3;

/**
 * Makes the lines above the tables.
 *
 * @param surroundings - of the run
 * @returns the text
 */
export function toHeader({ cpu, cores, node, folder, postgres, rounds, quick }: Surroundings): string {
  return [
    `${cpu}, ${cores} cores, Node ${node}, PostgreSQL: ${postgres}, databases in ${folder}. Medians of ${rounds} rounds (min–max).`,
    'duraloom ÷ peer: how many times as fast duraloom is, measured right before and after the peer. Above 1, duraloom is faster.',
    ...(quick ? ['NOTE: --quick shows that the bench works; its figures mean nothing.'] : []),
  ].join('\n');
}

/**
 * Makes the table of a row.
 *
 * @param workload - the row
 * @param results - one for each peer, duraloom first
 * @returns Markdown
 */
export function toTable(workload: Workload, results: readonly PeerResult[]): string {
  const heading = ['runtime', 'version', 'durability', 'activities', 'setting', workload.counts];
  const columns = workload.fields.flatMap(({ label, unit }) => [`${label}, ${unit}`, 'duraloom ÷ peer']);
  const lines = results.map((result) => [
    result.peer.key,
    result.version,
    result.peer.durability,
    result.peer.steps,
    result.setting,
    show(result.size),
    ...(result.rounds.length === 0 ? [`failed: ${result.failure}`, ''] : toCells(result)),
  ]);
  const rule = [...heading.map((_, index) => (index === heading.length - 1 ? '--:' : '---')), ...columns.map(() => '--:')];
  return [`\n### ${workload.name}: ${workload.title}\n`, ...[[...heading, ...columns], rule, ...lines].map(toLine)].join('\n');
}

/**
 * Makes the table of all ratios.
 *
 * @param rows - results of each row, duraloom first
 * @returns Markdown: a line for each peer, a column for each row
 */
export function toSummary(rows: readonly (readonly PeerResult[])[]): string {
  const [first = []] = rows;
  const heading = ['runtime', 'durability', 'activities', ...rows.map(([ours]) => ours?.workload.name ?? '')];
  const lines = first.slice(1).map(({ peer }, index) => [
    peer.key,
    peer.durability,
    peer.steps,
    ...rows.map((results) => {
      const result = results[index + 1];
      if (result === undefined || result.rounds.length === 0) return 'failed';
      return result.workload.fields.map((field) => show(ratioOf(result, field)?.median ?? Number.NaN)).join(' / ');
    }),
  ]);
  const rule = heading.map((_, index) => (index < SUMMARY_NAMES ? '---' : '--:'));
  return ['\n### duraloom ÷ peer\n', ...[heading, rule, ...lines].map(toLine)].join('\n');
}

/**
 * Makes the JSON line of a peer in a row.
 *
 * @param result - what was measured
 * @param surroundings - of the run
 * @returns one line: medians by field, ratios, ranges; `failure` says why a round is missing
 */
export function toJson(result: PeerResult, surroundings: Surroundings): string {
  const { workload, peer, version, setting, size, rounds, failure } = result;
  const measured = rounds.length > 0 ? workload.fields : [];
  const each = (pick: (field: Workload['fields'][number]) => unknown): Record<string, unknown> =>
    Object.fromEntries(measured.map((field) => [field.name, pick(field)]));
  return JSON.stringify({
    row: workload.name,
    peer: peer.key,
    version,
    durability: peer.durability,
    activities: peer.steps,
    setting,
    size,
    rounds: rounds.length,
    ...each((field) => round(spreadOf(result, field).median)),
    range: each((field) => toRange(spreadOf(result, field))),
    timesAsFast: each((field) => round(ratioOf(result, field)?.median ?? null)),
    timesAsFastRange: each((field) => toRange(ratioOf(result, field))),
    units: each(({ unit }) => unit),
    failure,
    machine: surroundings,
  });
}

function toLine(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '/')).join(' | ')} |`;
}

function toCells(result: PeerResult): readonly string[] {
  const late = result.failure === null ? '' : `, then failed: ${result.failure}`;
  return result.workload.fields.flatMap((field) => {
    const ratio = ratioOf(result, field);
    return [`${showSpread(spreadOf(result, field))}${late}`, ratio === null ? '' : showSpread(ratio)];
  });
}

function showSpread({ median, min, max }: Spread): string {
  return min === max ? show(median) : `${show(median)} (${show(min)}–${show(max)})`;
}

function show(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

/** Five significant digits: more would be noise. */
function round(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(5));
}

function toRange(spread: Spread | null): readonly (number | null)[] | null {
  return spread === null ? null : [round(spread.min), round(spread.max)];
}
