// Row W9: large payloads. An activity gets a text of 1 MiB and returns it.
import { assertResults, withHost, type Host, type RowTask } from './host.ts';
import { measureLoad, metric, toDelayMetrics, type Load } from './load.ts';
import { pickSize } from './options.ts';
import { bulk } from './orchestrations.ts';
import type { RowResult } from './result.ts';

const MIB = 1024 * 1024;
/** Characters of the text: with its quotes as many bytes and two more. */
const LENGTH = { full: MIB, quick: MIB / 16 };
/** Orchestrations of each case in a round. */
const COUNT = { full: 40, quick: 3 };

/**
 * Measures row W9.
 *
 * @param task - options and folder
 * @returns one result for one at a time, one for all at once
 */
export async function measurePayloads(task: RowTask): Promise<readonly RowResult[]> {
  const length = pickSize(task.options, LENGTH);
  const count = pickSize(task.options, COUNT);
  const single: Load[] = [];
  const together: Load[] = [];
  await withHost(task, async (host) => {
    const runOne = async (prefix: string, index: number): Promise<number> => runBulk(host, `w9-${prefix}-${index}`, length);
    await runOne('warm-up', 0);
    for (let round = 0; round < task.options.rounds; round += 1) {
      single.push(
        await task.measured(count, async () => {
          const { load } = await measureLoad(async () => {
            for (let index = 0; index < count; index += 1) assertResults([await runOne(`single-${round}`, index)], () => length);
          });
          return load;
        }),
      );
      together.push(
        await task.measured(count, async () => {
          const { result, load } = await measureLoad(() =>
            Promise.all(Array.from({ length: count }, (_, index) => runOne(`together-${round}`, index))),
          );
          assertResults(result, () => length);
          return load;
        }),
      );
    }
  });
  const toResult = (name: string, loads: readonly Load[]): RowResult => ({
    row: 'W9',
    name,
    metrics: [
      metric(
        'mibPerSecond',
        '1 MiB in, 1 MiB out',
        'MiB/s',
        loads.map(({ elapsedMs }) => (2 * length * count * 1_000) / MIB / elapsedMs),
      ),
      metric(
        'millisecondsEach',
        'an orchestration',
        'ms',
        loads.map(({ elapsedMs }) => elapsedMs / count),
      ),
      ...toDelayMetrics(loads),
    ],
    sizes: { orchestrations: count, payloadBytes: length },
  });
  return [toResult('one at a time', single), toResult(`${count} at once`, together)];
}

async function runBulk({ client }: Host, instanceId: string, length: number): Promise<number> {
  const handle = await client.startOrchestration(instanceId, bulk, length);
  return handle.result();
}
