// npm run simulate: whole runtimes in virtual time, one world a seed, everything failing. Exits with 1 on any violation, with 2 when it was
// called wrongly; the last line is JSON. Neighbours: scenario.ts makes the worlds, src/testing/simulation runs them.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { simulate, type SimulationReport } from 'duraloom/testing';
import { makeScenario, type StoreName } from './scenario.ts';

const EXIT_VIOLATION = 1;
const EXIT_USAGE = 2;

const USAGE = `npm run simulate -- [options]

  --seeds <n>     worlds to run (default 300)
  --from <n>      first seed (default 1)
  --seed <n>      one world, with its trace written to a file
  --trace <file>  where that trace goes (default simulate-<seed>.trace)
  --store <name>  memory or sqlite (default memory)
  --twice <n>     every n-th world runs twice and must give the same trace; 0: none (default 50)
  --help          this text
`;

type Settings = {
  readonly from: number;
  readonly seeds: number;
  readonly store: StoreName;
  readonly twice: number;
  /** null: no single world. */
  readonly traceFile: string | null;
};

/** Worlds with violations after which the rest is not worth the time. */
const MAX_BAD = 20;
const PROGRESS_MS = 10_000;

function readSettings(words: readonly string[]): Settings | null {
  const { values } = parseArgs({
    args: [...words],
    options: {
      seeds: { type: 'string', default: '300' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'string' },
      store: { type: 'string', default: 'memory' },
      twice: { type: 'string', default: '50' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const { store, seed } = values;
  if (store !== 'memory' && store !== 'sqlite') throw new TypeError(`Expected --store to be memory or sqlite, got '${store}'`);
  const twice = readWhole('twice', values.twice);
  if (seed === undefined) {
    return { from: readWhole('from', values.from), seeds: readWhole('seeds', values.seeds), store, twice, traceFile: null };
  }
  const from = readWhole('seed', seed);
  return { from, seeds: 1, store, twice: 1, traceFile: values.trace ?? `simulate-${from}.trace` };
}

function readWhole(name: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new TypeError(`Expected --${name} to be a whole number, got '${text}'`);
  return Number(text);
}

async function runWorld(seed: number, { store, twice, traceFile }: Settings): Promise<SimulationReport> {
  const isTwice = twice > 0 && seed % twice === 0;
  const scenario = { ...(await makeScenario(seed, store)), trace: isTwice || traceFile !== null };
  const report = await simulate(scenario);
  if (traceFile !== null) writeFileSync(traceFile, `${report.trace}\n`);
  if (!isTwice) return report;
  const again = await simulate(scenario);
  if (again.trace === report.trace) return report;
  const lines = again.trace.split('\n');
  const at = report.trace.split('\n').findIndex((line, index) => line !== lines[index]);
  return { ...report, violations: [...report.violations, `the same seed gave another trace, from line ${at + 1}`] };
}

async function runAll(settings: Settings): Promise<boolean> {
  const { from, seeds, store } = settings;
  console.log(`simulate: seeds ${from} to ${from + seeds - 1}, store ${store}`);
  // Stacks cost a tenth of the time and are not looked at; a single world has them.
  if (settings.traceFile === null) Error.stackTraceLimit = 0;
  const startedMs = performance.now();
  let shownMs = startedMs;
  const totals = { steps: 0, simulatedMs: 0, instances: 0, events: 0, crashes: 0, threadDeaths: 0 };
  let bad = 0;
  let done = 0;
  for (let seed = from; seed < from + seeds && bad < MAX_BAD; seed += 1) {
    const { violations, steps, simulatedMs, instances, executions, troubles } = await runWorld(seed, settings);
    done += 1;
    totals.steps += steps;
    totals.simulatedMs += simulatedMs;
    totals.instances += instances.length;
    totals.events += executions.reduce((sum, { events }) => sum + events.length, 0);
    totals.crashes += troubles.crash;
    totals.threadDeaths += troubles.replayThread + troubles.activityThread;
    if (violations.length > 0) {
      bad += 1;
      console.error(`seed ${seed}: ${violations.join('\n  ')}\n  again: npm run simulate -- --store ${store} --seed ${seed}`);
    }
    if (performance.now() - shownMs > PROGRESS_MS) {
      shownMs = performance.now();
      console.log(`  ${done} seeds, ${bad} with violations`);
    }
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const perSecond = Math.round((done / seconds) * 10) / 10;
  console.log(
    `simulate: ${done} seeds in ${seconds.toFixed(1)} s, ${perSecond} seeds/s, ${(totals.simulatedMs / 3_600_000).toFixed(1)} hours of simulated time`,
  );
  console.log(`verdict: ${bad === 0 ? 'ok' : `${bad} seeds with violations`}`);
  console.log(JSON.stringify({ simulate: store, from, seeds: done, seconds: Math.round(seconds * 10) / 10, perSecond, ...totals, bad }));
  return bad === 0;
}

let settings: Settings | null = null;
try {
  settings = readSettings(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`simulate: ${error.message}\n\n${USAGE}`);
  process.exit(EXIT_USAGE);
}
if (settings === null) console.log(USAGE);
else if (!(await runAll(settings))) process.exitCode = EXIT_VIOLATION;
