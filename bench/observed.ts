// Row W13: what it costs to be looked at. The fan-outs of W1 on a host with a Prometheus registry that is scraped every second and a logger at `warn`,
// beside one without, in turns on files of their own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { prometheusRegistry } from 'duraloom/metrics';
import { pino } from 'pino';
import { assertResults, collectGarbage, withHost, type Host, type RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { fanOut } from './orchestrations.ts';
import { WIDTH } from './raw-ceiling.ts';
import type { RowResult } from './result.ts';

const COUNT = { full: 10_000, quick: 500 };
const WARM_UP = { full: 2_000, quick: 100 };
/** How often the registry is read: four times as often as Prometheus does by default, at least. */
const SCRAPE_MS = 1_000;

/**
 * Measures row W13.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureObserved(task: RowTask): Promise<readonly RowResult[]> {
  const count = pickSize(task.options, COUNT);
  const warmUp = pickSize(task.options, WARM_UP);
  const folders = ['plain', 'observed'].map((name) => join(task.folder, name));
  for (const folder of folders) mkdirSync(folder);
  const [plainFolder = '', observedFolder = ''] = folders;
  const logger = pino({ level: 'warn' }, { write: () => undefined });
  const rates = { plain: [] as number[], observed: [] as number[] };
  await withHost(
    task,
    (plain) =>
      withHost(
        task,
        async (observed) => {
          const registry = await prometheusRegistry(observed.runtime, { queueDepths: { provider: observed.provider } });
          let scrapes = 0;
          const scraping = setInterval(() => {
            void registry.metrics().then(() => {
              scrapes += 1;
            });
          }, SCRAPE_MS);
          try {
            for (const host of [plain, observed]) await runRound(host, `warm`, warmUp);
            for (let round = 0; round < task.options.rounds; round += 1) {
              // Whoever comes second meets a warmer machine: they take turns.
              const order = round % 2 === 0 ? (['plain', 'observed'] as const) : (['observed', 'plain'] as const);
              for (const side of order) {
                collectGarbage();
                const host = side === 'plain' ? plain : observed;
                const elapsedMs = await task.measured(count, () => runRound(host, `r${round}`, count));
                rates[side].push((count / elapsedMs) * 1_000);
              }
            }
          } finally {
            clearInterval(scraping);
          }
          if (scrapes === 0 && !task.options.quick) throw new TypeError('nobody looked: the rounds were too short');
        },
        { folder: observedFolder, logger },
      ),
    { folder: plainFolder },
  );
  const metrics = [
    metric('orchestrationsPerSecond', 'fan-outs of 5 activities, looked at', 'orchestrations/s', rates.observed),
    metric('plainPerSecond', 'the same, not looked at', 'orchestrations/s', rates.plain),
    metric(
      'observedToPlain',
      'looked at, against not',
      'ratio',
      rates.observed.map((rate, round) => rate / (rates.plain[round] ?? Number.NaN)),
    ),
  ];
  return [{ row: 'W13', metrics, sizes: { orchestrations: count, activitiesEach: WIDTH } }];
}

async function runRound({ client }: Host, prefix: string, count: number): Promise<number> {
  const startedMs = performance.now();
  const handles = await Promise.all(
    Array.from({ length: count }, (_, index) => client.startOrchestration<number>(`w13-${prefix}-${index}`, fanOut.name, WIDTH)),
  );
  const results = await Promise.all(handles.map((handle) => handle.result()));
  assertResults(results, () => WIDTH);
  return performance.now() - startedMs;
}
