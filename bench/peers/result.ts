// What was measured of one peer in one row, and its comparison with duraloom. Neighbours: run.ts collects it, print.ts shows it.
import { median } from '../result.ts';
import type { Peer } from './peers.ts';
import type { Field, Workload } from './workloads.ts';

/** Values of one measurement by field. */
export type Values = Readonly<Record<string, number>>;

/** One round: a peer, and the measurements of duraloom that ran right before and after it. Without them for duraloom itself. */
export type Round = { readonly values: Values; readonly beside: readonly Values[] };

/** All rounds of a peer in a row. */
export type PeerResult = {
  readonly workload: Workload;
  readonly peer: Peer;
  readonly version: string;
  readonly setting: string;
  readonly size: number;
  readonly rounds: readonly Round[];
  /** Why there are no rounds, or no more. */
  readonly failure: string | null;
};

/** Median, smallest and largest. */
export type Spread = { readonly median: number; readonly min: number; readonly max: number };

/**
 * Gives the spread of a field over the rounds.
 *
 * @param result - with at least one round
 * @param field - which field
 * @returns the spread
 */
export function spreadOf(result: PeerResult, field: Field): Spread {
  return toSpread(result.rounds.map(({ values }) => values[field.name] ?? Number.NaN));
}

/**
 * Compares with duraloom, round by round: how many times as fast it is. Above 1, duraloom is faster, also where less is better.
 *
 * @param result - with at least one round
 * @param field - which field
 * @returns the spread of the ratios; null for duraloom itself, and when it has failed beside all rounds
 */
export function ratioOf(result: PeerResult, field: Field): Spread | null {
  const ratios = result.rounds.flatMap(({ values, beside }) => {
    const theirs = values[field.name] ?? Number.NaN;
    const ours = beside.map((besides) => besides[field.name] ?? Number.NaN);
    if (ours.length === 0) return [];
    const mean = ours.reduce((sum, value) => sum + value, 0) / ours.length;
    return [field.better === 'higher' ? mean / theirs : theirs / mean];
  });
  return ratios.length === 0 ? null : toSpread(ratios);
}

function toSpread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}
