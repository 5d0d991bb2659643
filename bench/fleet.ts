// Row W12: throughput of two runtimes, each in a process of its own, on one PostgreSQL; beside that of one alone. Neighbour: fleet-host.ts is such
// a process.
//
// F1. Rounds are interleaved: one, two, one, two, …, one. A round of two is compared with the mean of the rounds of one around it, so that a machine
//     that gets slower or faster during the run changes both sides alike.
// F2. Both sides do the same number of orchestrations, on a new schema each, in new processes that have run some before.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { encodeRecord } from '../src/types/codec.ts';
import type { FleetOrder, FleetTask } from './fleet-host.ts';
import type { RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import { withSchema } from './postgres.ts';
import { WIDTH } from './raw-ceiling.ts';
import type { RowResult } from './result.ts';

/** Orchestrations of a round, by all hosts together. */
const COUNT = { full: 6_000, quick: 200 };
/** Before that: until then the hot paths of all threads are compiled. */
const WARM_UP = { full: 2_000, quick: 40 };

/**
 * Measures row W12.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureFleet(task: RowTask): Promise<readonly RowResult[]> {
  const count = pickSize(task.options, COUNT);
  const ones: number[] = [];
  const twos: number[] = [];
  for (let round = 0; round < task.options.rounds; round += 1) {
    ones.push(await measureHosts(task, 1));
    twos.push(await measureHosts(task, 2));
  }
  ones.push(await measureHosts(task, 1));
  const ratios = twos.map((rate, round) => (2 * rate) / ((ones[round] ?? Number.NaN) + (ones[round + 1] ?? Number.NaN)));
  const metrics = [
    metric('orchestrationsPerSecond', 'two runtimes on one PostgreSQL', 'orchestrations/s', twos),
    metric('onePerSecond', 'one alone', 'orchestrations/s', ones),
    metric('twoToOne', 'two against one', 'ratio', ratios),
  ];
  return [{ row: 'W12', metrics, sizes: { orchestrations: count, activitiesEach: WIDTH } }];
}

/** Returns orchestrations per second of all hosts together. */
async function measureHosts({ options, folder }: RowTask, hosts: number): Promise<number> {
  return withSchema(async ({ schema }) => {
    const processes = Array.from({ length: hosts }, () => start({ options, folder, schema }));
    try {
      await Promise.all(processes.map((child) => nextMessage(child)));
      const run = async (name: string, count: number): Promise<void> => {
        const each = count / hosts;
        await Promise.all(processes.map((child, index) => order(child, { kind: 'run', prefix: `w12-${name}-${index}`, count: each })));
      };
      await run('warm', pickSize(options, WARM_UP));
      const count = pickSize(options, COUNT);
      const startedMs = performance.now();
      await run('measured', count);
      const elapsedMs = performance.now() - startedMs;
      await Promise.all(processes.map((child) => stop(child)));
      return (count * 1_000) / elapsedMs;
    } finally {
      for (const child of processes) child.kill('SIGKILL');
    }
  });
}

function start(task: FleetTask): ChildProcess {
  return fork(new URL('./fleet-host.ts', import.meta.url), [encodeRecord(task)], { stdio: ['ignore', 2, 2, 'ipc'] });
}

async function order(child: ChildProcess, what: FleetOrder): Promise<void> {
  const answered = nextMessage(child);
  child.send(what);
  await answered;
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.send({ kind: 'stop' } satisfies FleetOrder);
  await exited;
}

/** Waits for the answer to an order, whatever it says. */
function nextMessage(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new TypeError('a host of row W12 ended by itself; see above'));
    child.once('exit', onExit);
    child.once('message', () => {
      child.off('exit', onExit);
      resolve();
    });
  });
}
