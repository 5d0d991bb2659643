// Row W10: a process with many orchestrations in flight is killed; how long does a new one take, from its start until all are complete?
//
// Both are processes of their own (recovery-host.ts). The first one's activities never end, so when it is killed every orchestration has run
// its first turn, its activities are queued, and as many as there are slots are leased to the dead. Leases are a second here, as in a host
// that wants to be back soon: with the default of half a minute, what was running at the moment of death waits for that.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { encodeRecord } from '../src/types/codec.ts';
import type { RowTask } from './host.ts';
import { metric } from './load.ts';
import { pickSize } from './options.ts';
import type { RecoveryReport, RecoveryTask } from './recovery-host.ts';
import { quantile, type RowResult } from './result.ts';

/** Orchestrations in flight. */
const COUNT = { full: 10_000, quick: 200 };

/**
 * Measures row W10.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureRecovery(task: RowTask): Promise<readonly RowResult[]> {
  const { options } = task;
  const count = pickSize(options, COUNT);
  const openMs: number[] = [];
  const completeMs: number[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const folder = join(task.folder, String(round));
    mkdirSync(folder);
    await prepareAndKill({ role: 'prepare', options, folder, count });
    const startedMs = performance.now();
    const recovering = start({ role: 'recover', options, folder, count });
    openMs.push((await nextReport(recovering, 'open')) - startedMs);
    completeMs.push((await nextReport(recovering, 'complete')) - startedMs);
    await ended(recovering);
  }
  const metrics = [
    metric('openMs', 'start of the process until its runtime runs', 'ms', openMs),
    metric('completeMs', `until ${count.toLocaleString('en')} orchestrations are complete`, 'ms', completeMs),
    metric(
      'completedPerSecond',
      'completed after that',
      'orchestrations/s',
      completeMs.map((elapsedMs, round) => (count * 1_000) / (elapsedMs - (openMs[round] ?? quantile(openMs, 0.5)))),
    ),
  ];
  return [{ row: 'W10', metrics, sizes: { orchestrations: count } }];
}

async function prepareAndKill(task: RecoveryTask): Promise<void> {
  const victim = start(task);
  await nextReport(victim, 'inFlight');
  victim.kill('SIGKILL');
  await ended(victim);
}

function start(task: RecoveryTask): ChildProcess {
  return fork(new URL('./recovery-host.ts', import.meta.url), [encodeRecord(task)], { stdio: ['ignore', 2, 2, 'ipc'] });
}

/** Returns when it came. */
function nextReport(child: ChildProcess, expected: RecoveryReport): Promise<number> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new TypeError(`a process of row W10 ended before it reported '${expected}'; see above`));
    child.once('exit', onExit);
    child.once('message', (report) => {
      child.off('exit', onExit);
      if (report === expected) resolve(performance.now());
      else reject(new TypeError(`expected the report '${expected}', got another`));
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', () => resolve()));
}
