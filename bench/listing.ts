// Row W14: lists of a store with a million instances, as an operator asks for them, while nothing else runs.
import { join } from 'node:path';
import { Client, type ListOptions } from 'duraloom';
import { copyInstance } from './copy-instance.ts';
import { collectGarbage, DATABASE, waitFor, withHost, withStore, type RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { child, fanOut, waiting } from './orchestrations.ts';
import { median, type RowResult } from './result.ts';

/** What the store holds. Newest are the many fan-outs, then the few of each kind, oldest the many children. */
const SIZES = { full: { many: 499_000, few: 1_000 }, quick: { many: 2_000, few: 200 } };
const PAGE = 100;
/** Calls of each list in a round, after one that warms up. */
const CALLS = { full: 20, quick: 2 };

type List = { readonly name: string; readonly options: ListOptions; readonly found: number };

/**
 * Measures row W14.
 *
 * @param task - options and folder
 * @returns one result for each list
 */
export async function measureListing(task: RowTask): Promise<readonly RowResult[]> {
  const { many, few } = pickSize(task.options, SIZES);
  const calls = pickSize(task.options, CALLS);
  await fill(task, many, few);
  const lists: readonly List[] = [
    { name: 'newest', options: {}, found: PAGE },
    { name: 'the few that live', options: { status: 'Running' }, found: PAGE },
    { name: 'the few that were terminated', options: { status: 'Terminated' }, found: PAGE },
    { name: 'the many of a name', options: { name: child.name, status: 'Completed' }, found: PAGE },
    { name: 'by attribute', options: { attributes: { customer: 'acme' } }, found: PAGE },
    { name: 'last ended', options: { orderBy: 'endedAt' }, found: PAGE },
    { name: 'by id', options: { orderBy: 'id' }, found: PAGE },
    { name: 'text that is in no id', options: { search: 'absent' }, found: 0 },
    { name: 'a time at which nothing changed', options: { updatedBefore: new Date(0) }, found: 0 },
  ];
  const roundsMs = lists.map((): number[] => []);
  await withStore(task, async ({ provider }) => {
    const client = new Client(provider);
    for (let round = 0; round < task.options.rounds; round += 1) {
      for (const [index, list] of lists.entries()) {
        collectGarbage();
        await ask(client, list);
        const times = await task.measured(calls, async () => {
          const timesMs: number[] = [];
          for (let call = 0; call < calls; call += 1) timesMs.push(await ask(client, list));
          return timesMs;
        });
        roundsMs[index]?.push(median(times));
      }
    }
  });
  const instances = 2 * (many + few);
  return lists.map(({ name }, index) => ({
    row: 'W14',
    name,
    metrics: [metric('p50Ms', '', 'ms', roundsMs[index] ?? [])],
    sizes: { instances, page: PAGE },
  }));
}

async function ask(client: Client, { options, found, name }: List): Promise<number> {
  const startedMs = performance.now();
  const { instances } = await client.listInstances({ ...options, limit: PAGE });
  const tookMs = performance.now() - startedMs;
  if (instances.length !== found) throw new TypeError(`expected ${found} instances of the list "${name}", got ${instances.length}`);
  return tookMs;
}

/** One of each kind is made by the runtime, the others are its copies. */
async function fill(task: RowTask, many: number, few: number): Promise<void> {
  const patterns = { oldest: many, living: few, terminated: few, newest: many };
  await withHost(task, async ({ client, runtime }) => {
    const ended = [
      await client.startOrchestration('w14-oldest', child, 1),
      await client.startOrchestration('w14-newest', fanOut, 1),
      await client.startOrchestration('w14-terminated', waiting),
    ];
    await client.startOrchestration('w14-living', waiting, undefined, { attributes: { customer: 'acme' } });
    await waitFor('the two that wait to run', async () => (await client.countInstances({ status: 'Running' })).count === 2);
    await client.terminate('w14-terminated', 'for the bench');
    await Promise.allSettled(ended.map((handle) => handle.result()));
    await waitFor('all turns', () => runtime.stats().turnsInFlight === 0);
  });
  for (const [kind, count] of Object.entries(patterns)) {
    await copyInstance({ file: join(task.folder, DATABASE), instanceId: `w14-${kind}`, prefix: `w14-copy-${kind}`, count });
  }
}
