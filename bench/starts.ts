// Row W6: start calls, with no runtime that would run what is started. Each returns when the start is durable.
import { Client } from 'duraloom';
import { collectGarbage, withStore, type RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { fanOut } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Starts of one call of `startOrchestrations`. */
const BATCH = 1_000;
/** Starts of each case in a round; before the first one, a tenth of it. */
const COUNTS = {
  full: { single: 500, concurrent: 20_000, batch: 50_000 },
  quick: { single: 20, concurrent: 500, batch: 2_000 },
};

type Way = { readonly name: string; readonly count: number; readonly start: (client: Client, ids: readonly string[]) => Promise<void> };

/**
 * Measures row W6.
 *
 * @param task - options and folder
 * @returns one result for each way to start
 */
export async function measureStarts(task: RowTask): Promise<readonly RowResult[]> {
  const counts = pickSize(task.options, COUNTS);
  const ways: readonly Way[] = [
    {
      name: 'one after the other',
      count: counts.single,
      start: async (client, ids) => {
        for (const id of ids) await client.startOrchestration(id, fanOut, 1);
      },
    },
    {
      name: 'at once',
      count: counts.concurrent,
      start: async (client, ids) => void (await Promise.all(ids.map((id) => client.startOrchestration(id, fanOut, 1)))),
    },
    {
      name: 'batches',
      count: counts.batch,
      start: async (client, ids) => {
        for (let first = 0; first < ids.length; first += BATCH) {
          const requests = ids.slice(first, first + BATCH).map((instanceId) => ({ instanceId, orchestration: fanOut, input: 1 }));
          const results = await client.startOrchestrations(requests);
          if (results.some(({ outcome }) => outcome !== 'started')) throw new TypeError('an orchestration was not started');
        }
      },
    },
  ];
  const rates = new Map(ways.map((way) => [way, [] as number[]]));
  await withStore(task, async ({ provider }) => {
    const client = new Client(provider);
    const makeIds = (prefix: string, count: number): readonly string[] =>
      Array.from({ length: count }, (_, index) => `w6-${prefix}-${String(index).padStart(6, '0')}`);
    for (const { name, count, start } of ways) await start(client, makeIds(`warm-up-${name}`, count / 10));
    for (let round = 0; round < task.options.rounds; round += 1) {
      for (const [{ name, count, start }, values] of rates) {
        const ids = makeIds(`${round}-${name}`, count);
        collectGarbage();
        await task.measured(count, async () => {
          const startedMs = performance.now();
          await start(client, ids);
          values.push((count * 1_000) / (performance.now() - startedMs));
        });
      }
    }
  });
  return [...rates].map(([{ name, count }, values]) => ({
    row: 'W6',
    name,
    metrics: [metric('startsPerSecond', name === 'batches' ? `of ${BATCH.toLocaleString('en')}` : '', 'starts/s', values)],
    sizes: { starts: count },
  }));
}
