// The harness of the micro rows, on tinybench: cases of one row side by side, the first one a baseline. Neighbours: micro-*.ts have the cases.
//
// K1. Synchronous cases run from a macrotask of their own. A synchronous drain (src/threads/drain.ts) does nothing inside a microtask,
//     and everything after an `await` is one.
// K2. A sample is one call; cases that are much faster than the timer do many items in a call. The median sample counts, divided by items.
import { Bench } from 'tinybench';
import { chooseDrain } from '../src/threads/drain.ts';
import { metric } from './load.ts';
import type { BenchOptions } from './options.ts';
import type { Metric, RowResult } from './result.ts';

/** One case of a micro row. */
export type MicroCase = {
  readonly name: string;
  /** Items that one call handles. */
  readonly items: number;
  /** Runs before each call, is not measured. */
  readonly prepare?: () => void;
} & ({ readonly run: () => void } | { readonly runAsync: () => Promise<unknown> });

/** What the cases of a row have in common. */
export type MicroRow = {
  readonly row: string;
  readonly field: string;
  readonly unit: string;
  readonly cases: readonly MicroCase[];
  /** Shows each figure the other way round, too: how many of something a second, when an item is so many of them. */
  readonly rate?: { readonly field: string; readonly unit: string; readonly perItem: number };
};

/** Time of one case in one round: a few hundred samples of the slowest case, a commit with its sync. */
const TIME_MS = { full: 400, quick: 10 };
/** Before it: until then the case is compiled. */
const WARM_UP_MS = { full: 100, quick: 2 };
/** Fewest samples of a case in a round. */
const SAMPLES = { full: 32, quick: 4 };

/**
 * Measures a micro row.
 *
 * @param micro - its cases
 * @param options - of the run
 * @returns one result for each case
 */
export async function measureMicro(micro: MicroRow, options: BenchOptions): Promise<readonly RowResult[]> {
  const values = new Map(micro.cases.map((microCase) => [microCase, [] as number[]]));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const [microCase, medians] of values) medians.push(await measureCase(microCase, options.quick));
  }
  return [...values].map(([{ name, items }, medians]) => ({
    row: micro.row,
    name,
    metrics: [metric(micro.field, '', micro.unit, medians), ...toRate(micro, medians)],
    sizes: { itemsPerCall: items },
  }));
}

function toRate({ rate }: MicroRow, medians: readonly number[]): readonly Metric[] {
  if (rate === undefined) return [];
  const values = medians.map((micros) => (rate.perItem * 1e6) / micros);
  return [metric(rate.field, 'a second', rate.unit, values)];
}

/** Microseconds of an item in the median sample. */
async function measureCase(microCase: MicroCase, quick: boolean): Promise<number> {
  const size = quick ? 'quick' : 'full';
  const bench = new Bench({
    time: TIME_MS[size],
    warmupTime: WARM_UP_MS[size],
    iterations: SAMPLES[size],
    warmupIterations: SAMPLES[size],
    throws: true,
  });
  const hooks = microCase.prepare === undefined ? {} : { beforeEach: microCase.prepare };
  if ('run' in microCase) {
    const { run } = microCase;
    bench.add(microCase.name, run, { ...hooks, async: false });
    await inMacrotask(() => bench.runSync());
  } else {
    const { runAsync } = microCase;
    bench.add(microCase.name, async () => void (await runAsync()), { ...hooks, async: true });
    await bench.run();
  }
  const result = bench.tasks[0]?.result;
  if (result?.state !== 'completed') throw new TypeError(`'${microCase.name}' was not measured: ${result?.state}`);
  return (result.latency.p50 * 1_000) / microCase.items;
}

/**
 * Runs something outside of any microtask (K1).
 *
 * @param run - what to run
 * @returns when it is done, with what it returned
 */
export function inMacrotask<Result>(run: () => Result): Promise<Result> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    });
  });
}

/**
 * Gives the drain that replay threads use here.
 *
 * @returns the drain
 * @throws {TypeError} on a Node without a synchronous drain: the rows that step engines cannot run there
 */
export async function synchronousDrain(): Promise<() => void> {
  const drain = await chooseDrain();
  if (!drain.synchronous) throw new TypeError(`Node ${process.version} has no synchronous drain; its threads use '${drain.name}'`);
  return drain.run;
}
