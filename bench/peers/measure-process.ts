// A process that measures one workload on one runtime, once: told what by its argument, answers by a message. Neighbour: measure.ts starts it.
import { rmSync } from 'node:fs';
import type { DriverTask, OpenDriver } from './driver.ts';
import { WORKLOADS } from './workloads.ts';

/** The argument. */
export type MeasureTask = DriverTask & {
  readonly driver: string;
  readonly workload: string;
  readonly size: number;
  readonly quick: boolean;
};

/** The answer. */
export type Measured =
  { readonly kind: 'measured'; readonly values: Readonly<Record<string, number>> } | { readonly kind: 'failed'; readonly reason: string };

/** Longest wait for a runtime to stop: it was measured, and its store is thrown away. */
const CLOSE_MS = 3_000;

const task = JSON.parse(process.argv[2] ?? '{}') as MeasureTask;
const workload = WORKLOADS.find(({ name }) => name === task.workload);
if (workload === undefined || process.send === undefined) {
  throw new TypeError('measure-process.ts is started by bench/peers/run.ts only: call npm run bench:peers');
}
// Killed runner: there is nobody to measure for, and nobody else to clean up.
process.once('disconnect', () => {
  rmSync(task.folder, { recursive: true, force: true });
  process.exit(1);
});
process.on('uncaughtException', (error) => answer({ kind: 'failed', reason: toReason(error) }));
process.on('unhandledRejection', (error) => answer({ kind: 'failed', reason: toReason(error) }));

try {
  const { open } = (await import(new URL(`./drivers/${task.driver}`, import.meta.url).href)) as { readonly open: OpenDriver };
  const { size, quick } = task;
  const { starters = 1, ...knobs } = task.knobs;
  const driver = await open({ ...task, knobs });
  const values = await workload.run({ driver, size, starters, quick });
  setTimeout(() => answer({ kind: 'measured', values }), CLOSE_MS);
  await driver.close();
  answer({ kind: 'measured', values });
} catch (error) {
  answer({ kind: 'failed', reason: toReason(error) });
}

function answer(measured: Measured): void {
  if (process.connected) process.send?.(measured, undefined, undefined, () => process.exit(0));
}

function toReason(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.split('\n')[0]?.slice(0, 200) ?? text;
}
