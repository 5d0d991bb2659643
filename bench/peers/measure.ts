// Runs one measurement in a process and a folder of its own, and ends it when it takes too long. Neighbours: measure-process.ts is the process,
// run.ts decides what is measured.
import { fork } from 'node:child_process';
import { makeFolder } from './folder.ts';
import type { Measured, MeasureTask } from './measure-process.ts';

/** What is kept of stderr, for the reason of a failure. */
const LAST_WORDS_LENGTH = 2_000;

/**
 * Measures.
 *
 * @param task - what; the folder is made here
 * @param timeoutMs - after which the process is killed
 * @returns the values, or why there are none
 */
export function measure(task: Omit<MeasureTask, 'folder'>, timeoutMs: number): Promise<Measured> {
  const folder = makeFolder('measure');
  // What runtimes print is dropped: stdout holds results only.
  const child = fork(new URL('./measure-process.ts', import.meta.url), [JSON.stringify({ ...task, folder: folder.path })], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--conditions=duraloom-source', '--expose-gc', '--disable-warning=ExperimentalWarning'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  let measured: Measured | null = null;
  child.once('message', (answer) => {
    measured = answer as Measured;
  });
  let lastWords = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    lastWords = `${lastWords}${chunk.toString()}`.slice(-LAST_WORDS_LENGTH);
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    kill();
  }, timeoutMs);
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      process.off('exit', kill);
      folder.remove();
      const ended = isLate ? `took longer than ${timeoutMs / 1_000} s` : `its process ended with ${signal ?? code}: ${lastLine(lastWords)}`;
      resolve(measured ?? { kind: 'failed', reason: ended });
    });
  });
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'it said nothing').slice(0, 200);
}
