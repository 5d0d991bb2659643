// Row W2: does a step cost the same late in a long history as early? One orchestration with many activities, one after the other.
import { withHost, type Host, type RowTask } from './host.ts';
import { chain } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Steps of a chain. */
const STEPS = { full: 1_000, quick: 150 };
/** Steps at each end that are compared. */
const WINDOW = { full: 100, quick: 50 };
/** Steps of the chain before the first round: until then the hot paths are compiled. */
const WARM_UP = { full: 500, quick: 30 };

/**
 * Measures row W2. A step is the time from one activity's code to the next one's: completion, commit, turn, commit, dispatch.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureChain(task: RowTask): Promise<readonly RowResult[]> {
  const { rounds, quick } = task.options;
  const steps = quick ? STEPS.quick : STEPS.full;
  const window = quick ? WINDOW.quick : WINDOW.full;
  const early: number[] = [];
  const late: number[] = [];
  const commits: number[] = [];
  await withHost(task, async (host) => {
    await runChain(host, 'w2-warm-up', quick ? WARM_UP.quick : WARM_UP.full);
    for (let round = 0; round < rounds; round += 1) {
      const commitsBefore = host.provider.commitStats.commits;
      const stampsMs = await runChain(host, `w2-${round}`, steps);
      commits.push((host.provider.commitStats.commits - commitsBefore) / steps);
      const at = (step: number): number => stampsMs.at(step) ?? Number.NaN;
      early.push((at(window) - at(0)) / window);
      late.push((at(-1) - at(-1 - window)) / window);
    }
  });
  const metrics = [
    { field: 'millisecondsPerStepEarly', label: `chain of ${steps}, first ${window} steps`, unit: 'ms/step', values: early },
    { field: 'millisecondsPerStepLate', label: `chain of ${steps}, last ${window} steps`, unit: 'ms/step', values: late },
    {
      field: 'lateToEarly',
      label: 'a late step against an early one, 1 is flat',
      unit: 'ratio',
      values: late.map((value, round) => value / (early[round] ?? Number.NaN)),
    },
    { field: 'commitsPerStep', label: 'transactions, also those that write nothing', unit: 'commits/step', values: commits },
  ];
  return [{ row: 'W2', metrics, sizes: { steps, window } }];
}

async function runChain({ client }: Host, instanceId: string, steps: number): Promise<readonly number[]> {
  const handle = await client.startOrchestration(instanceId, chain, steps);
  const stampsMs = await handle.result();
  if (stampsMs.length !== steps) throw new TypeError(`expected ${steps} time stamps, got ${stampsMs.length}`);
  return stampsMs;
}
