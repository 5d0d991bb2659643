// What a row measured, and the statistics over it. Neighbours: the rows make results, print.ts shows them.

/** One measured number, once for each round. */
export type Metric = {
  /** Name in JSON. */
  readonly field: string;
  /** Name in the table; empty when the name of the result says it all. */
  readonly label: string;
  readonly unit: string;
  readonly values: readonly number[];
};

/** One line of JSON, one or more lines of the table. */
export type RowResult = {
  readonly row: string;
  /** Which of the row's cases, for rows that have several. */
  readonly name?: string;
  readonly metrics: readonly Metric[];
  /** Sizes: what the numbers are about. */
  readonly sizes: Readonly<Record<string, number>>;
};

/**
 * Gives a quantile by the nearest rank.
 *
 * @param values - at least one number, in any order
 * @param fraction - 0.5 for the median
 * @returns one of the values
 */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  const rank = Math.max(0, Math.ceil(sorted.length * fraction) - 1);
  return sorted[rank] ?? Number.NaN;
}

/**
 * Gives the median; of an even number of values the mean of the middle two.
 *
 * @param values - at least one number, in any order
 * @returns the median
 */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
