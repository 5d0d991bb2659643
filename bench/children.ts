// Row W8: one orchestration with many children.
import { withHost, type Host, type RowTask } from './host.ts';
import { measureLoad, metric, toDelayMetrics, type Load } from './load.ts';
import { pickSize } from './options.ts';
import { family } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Children. */
const CHILDREN = { full: 1_000, quick: 50 };
/** Families of a round. */
const REPEATS = { full: 10, quick: 1 };

/**
 * Measures row W8.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureChildren(task: RowTask): Promise<readonly RowResult[]> {
  const children = pickSize(task.options, CHILDREN);
  const repeats = pickSize(task.options, REPEATS);
  const loads: Load[] = [];
  await withHost(task, async (host) => {
    await runFamily(host, 'w8-warm-up', children);
    for (let round = 0; round < task.options.rounds; round += 1) {
      const { load } = await task.measured(children * repeats, () =>
        measureLoad(async () => {
          for (let repeat = 0; repeat < repeats; repeat += 1) await runFamily(host, `w8-${round}-${repeat}`, children);
        }),
      );
      loads.push(load);
    }
  });
  const familyMs = loads.map(({ elapsedMs }) => elapsedMs / repeats);
  const metrics = [
    metric('familyMs', `one parent with ${children.toLocaleString('en')} children`, 'ms', familyMs),
    metric(
      'childrenPerSecond',
      'its children',
      'children/s',
      familyMs.map((elapsedMs) => (children * 1_000) / elapsedMs),
    ),
    ...toDelayMetrics(loads),
  ];
  return [{ row: 'W8', metrics, sizes: { children, repeats } }];
}

async function runFamily({ client }: Host, instanceId: string, children: number): Promise<void> {
  const handle = await client.startOrchestration(instanceId, family, children);
  const sum = await handle.result();
  const expected = (children * (children - 1)) / 2;
  if (sum !== expected) throw new TypeError(`expected the children to sum up to ${expected}, got ${sum}`);
}
