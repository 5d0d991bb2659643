// Row W11: does throughput depend on what is finished already? W1 in a file with very many finished instances, and in an empty one.
// Rounds are interleaved, so that a machine that gets slower or faster during the run changes both sides alike.
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { copyInstance } from './copy-instance.ts';
import { assertResults, collectGarbage, DATABASE, withHost, type Host, type RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { fanOut } from './orchestrations.ts';
import { WIDTH } from './raw-ceiling.ts';
import { median, type RowResult } from './result.ts';

/** Instances that are finished. */
const FINISHED = { full: 1_000_000, quick: 2_000 };
/** Orchestrations of a round, on each side. */
const COUNT = { full: 5_000, quick: 200 };
/** Before the first round, on each side. */
const WARM_UP = { full: 1_000, quick: 50 };
const MIB = 1024 * 1024;

/**
 * Measures row W11.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureFullStore(task: RowTask): Promise<readonly RowResult[]> {
  const { options } = task;
  const finished = pickSize(options, FINISHED);
  const count = pickSize(options, COUNT);
  const folders = { full: join(task.folder, 'full'), empty: join(task.folder, 'empty') };
  for (const folder of Object.values(folders)) mkdirSync(folder);
  const file = join(folders.full, DATABASE);
  await withHost(task, (host) => runAll(host, 'pattern', 1), { folder: folders.full });
  await copyInstance({ file, instanceId: makeId('pattern', 0), prefix: 'w11-finished', count: finished });
  const fileMib = statSync(file).size / MIB;
  const fullMs: number[] = [];
  const emptyMs: number[] = [];
  const measure = (full: Host): Promise<void> =>
    withHost(
      task,
      async (empty) => {
        const warmUp = pickSize(options, WARM_UP);
        await runAll(full, 'warm-up', warmUp);
        await runAll(empty, 'warm-up', warmUp);
        for (let round = 0; round < options.rounds; round += 1) {
          collectGarbage();
          emptyMs.push(await runAll(empty, String(round), count));
          collectGarbage();
          fullMs.push(await task.measured(count, () => runAll(full, String(round), count)));
        }
      },
      { folder: folders.empty },
    );
  await withHost(task, measure, { folder: folders.full });
  const perSecond = (elapsedMs: number): number => (count * 1_000) / elapsedMs;
  const metrics = [
    metric('finished', 'finished instances in the file', 'instances', [finished]),
    metric('fileMib', 'size of the file', 'MiB', [fileMib]),
    metric('fullPerSecond', 'fan-outs of 5 activities in that file', 'orchestrations/s', fullMs.map(perSecond)),
    metric('emptyPerSecond', 'in an empty file, baseline', 'orchestrations/s', emptyMs.map(perSecond)),
    metric(
      'fullToEmpty',
      'full against empty',
      'ratio',
      fullMs.map((elapsedMs, round) => (emptyMs[round] ?? median(emptyMs)) / elapsedMs),
    ),
  ];
  return [{ row: 'W11', metrics, sizes: { orchestrations: count } }];
}

async function runAll({ client }: Host, prefix: string, count: number): Promise<number> {
  const startedMs = performance.now();
  const ids = Array.from({ length: count }, (_, index) => makeId(prefix, index));
  const handles = await Promise.all(ids.map((instanceId) => client.startOrchestration(instanceId, fanOut, WIDTH)));
  const results = await Promise.all(handles.map((handle) => handle.result()));
  assertResults(results, () => WIDTH);
  return performance.now() - startedMs;
}

function makeId(prefix: string, index: number): string {
  return `w11-${prefix}-${String(index).padStart(6, '0')}`;
}
