// Rows W2 and W2c: activities one after the other. W2: one chain alone, short and long; does a step cost the same late in a long history as
// early? W2c: many short chains at once.
import { withHost, type Host, type RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { chain } from './orchestrations.ts';
import type { Metric, RowResult } from './result.ts';

/** A length of row W2, and how often a chain of it runs in a round: short ones often, for the timer's sake. */
type Length = { readonly steps: number; readonly repeats: number };

const LENGTHS: { readonly full: readonly Length[]; readonly quick: readonly Length[] } = {
  full: [
    { steps: 10, repeats: 50 },
    { steps: 100, repeats: 5 },
    { steps: 1_000, repeats: 1 },
    { steps: 10_000, repeats: 1 },
  ],
  quick: [
    { steps: 10, repeats: 2 },
    { steps: 150, repeats: 1 },
  ],
};
/** Steps at each end that are compared, in chains that are long enough for two. */
const WINDOW = { full: 100, quick: 50 };
/** Steps of the chain before the first round: until then the hot paths are compiled. */
const WARM_UP = { full: 500, quick: 30 };

/** W2c: chains at once, their steps, and how often in a round. */
const CHAINS = 200;
const CHAIN_STEPS = 10;
const BURSTS = { full: 10, quick: 1 };

type Run = { readonly stampsMs: readonly number[]; readonly elapsedMs: number };

/**
 * Measures row W2. A step early or late is the time from one activity's code to the next one's: completion, commit, turn, commit, dispatch.
 *
 * @param task - options and folder
 * @returns one result for each length
 */
export async function measureChain(task: RowTask): Promise<readonly RowResult[]> {
  const { options } = task;
  const lengths = pickSize(options, LENGTHS);
  const window = pickSize(options, WINDOW);
  const runs = new Map(lengths.map((length) => [length, [] as Run[][]]));
  const commitsPerStep = new Map(lengths.map((length) => [length, [] as number[]]));
  await withHost(task, async (host) => {
    await runChain(host, 'w2-warm-up', pickSize(options, WARM_UP));
    for (let round = 0; round < options.rounds; round += 1) {
      for (const length of lengths) {
        const commitsBefore = host.commits();
        const ofRound: Run[] = [];
        await task.measured(length.repeats, async () => {
          for (let repeat = 0; repeat < length.repeats; repeat += 1) {
            ofRound.push(await runChain(host, `w2-${round}-${length.steps}-${repeat}`, length.steps));
          }
        });
        runs.get(length)?.push(ofRound);
        const commitsAfter = host.commits();
        if (commitsBefore !== null && commitsAfter !== null) {
          commitsPerStep.get(length)?.push((commitsAfter - commitsBefore) / length.steps / length.repeats);
        }
      }
    }
  });
  return lengths.map((length) => {
    const rounds = runs.get(length) ?? [];
    const commits = commitsPerStep.get(length) ?? [];
    const metrics = [
      ...toTotals(length, rounds),
      ...(length.steps < 2 * window ? [] : toWindows(rounds, window)),
      ...(commits.length === 0 ? [] : [metric('commitsPerStep', 'transactions, also those that write nothing', 'commits/step', commits)]),
    ];
    return { row: 'W2', name: `chain of ${length.steps.toLocaleString('en')}`, metrics, sizes: { ...length, window } };
  });
}

/**
 * Measures row W2c.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureChains(task: RowTask): Promise<readonly RowResult[]> {
  const { options } = task;
  const bursts = pickSize(options, BURSTS);
  const runBurst = (host: Host, prefix: string): Promise<unknown> =>
    Promise.all(Array.from({ length: CHAINS }, (_, index) => runChain(host, `w2c-${prefix}-${index}`, CHAIN_STEPS)));
  const rates: number[] = [];
  await withHost(task, async (host) => {
    await runBurst(host, 'warm-up');
    for (let round = 0; round < options.rounds; round += 1) {
      await task.measured(CHAINS * bursts, async () => {
        const startedMs = performance.now();
        for (let burst = 0; burst < bursts; burst += 1) await runBurst(host, `${round}-${burst}`);
        rates.push((CHAINS * bursts * 1_000) / (performance.now() - startedMs));
      });
    }
  });
  const metrics = [
    metric('chainsPerSecond', `${CHAINS} chains of ${CHAIN_STEPS} at once`, 'chains/s', rates),
    metric(
      'stepsPerSecond',
      'their activities',
      'activities/s',
      rates.map((rate) => rate * CHAIN_STEPS),
    ),
  ];
  return [{ row: 'W2c', metrics, sizes: { chains: CHAINS, steps: CHAIN_STEPS, bursts } }];
}

async function runChain({ client }: Host, instanceId: string, steps: number): Promise<Run> {
  const startedMs = performance.now();
  const handle = await client.startOrchestration(instanceId, chain, steps);
  const stampsMs = await handle.result();
  const elapsedMs = performance.now() - startedMs;
  if (stampsMs.length !== steps) throw new TypeError(`expected ${steps} time stamps, got ${stampsMs.length}`);
  return { stampsMs, elapsedMs };
}

function toTotals({ steps }: Length, rounds: readonly (readonly Run[])[]): readonly Metric[] {
  const totalsMs = rounds.map((runs) => mean(runs.map(({ elapsedMs }) => elapsedMs)));
  return [
    metric('totalMs', 'start to result', 'ms', totalsMs),
    metric(
      'millisecondsPerStep',
      'of that, a step',
      'ms/step',
      totalsMs.map((totalMs) => totalMs / steps),
    ),
  ];
}

function toWindows(rounds: readonly (readonly Run[])[], window: number): readonly Metric[] {
  const early = rounds.map((runs) => mean(runs.map(({ stampsMs }) => between(stampsMs, 0, window))));
  const late = rounds.map((runs) => mean(runs.map(({ stampsMs }) => between(stampsMs, stampsMs.length - 1 - window, stampsMs.length - 1))));
  return [
    metric('millisecondsPerStepEarly', `first ${window} steps`, 'ms/step', early),
    metric('millisecondsPerStepLate', `last ${window} steps`, 'ms/step', late),
    metric(
      'lateToEarly',
      'a late step against an early one, 1 is flat',
      'ratio',
      late.map((value, round) => value / (early[round] ?? Number.NaN)),
    ),
  ];
}

/** Time of a step between two steps. */
function between(stampsMs: readonly number[], from: number, to: number): number {
  return ((stampsMs[to] ?? Number.NaN) - (stampsMs[from] ?? Number.NaN)) / (to - from);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
