// Runs one part of a row in a process of its own, in a folder of its own. Neighbours: row-process.ts is that process, main.ts and
// profile-main.ts ask for it.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeRecord } from '../src/types/codec.ts';
import type { BenchOptions } from './options.ts';
import type { PartAnswer, PartTask } from './row-process.ts';

/** Exit codes of both commands. */
export const EXIT = { failed: 1, wrongArguments: 2, interrupted: 130 } as const;

/**
 * Runs a part.
 *
 * @param part - row and number of the part
 * @param options - of the run
 * @param profileFolder - where profiles go; null: none are made
 * @returns null when the process failed; it has said why
 */
export async function runPart(
  { row, part }: { readonly row: string; readonly part: number },
  options: BenchOptions,
  profileFolder: string | null = null,
): Promise<PartAnswer | null> {
  return withFolder((folder) => answerOf({ row, part, options, folder, profileFolder }));
}

function answerOf(task: PartTask): Promise<PartAnswer | null> {
  // Its stdout goes to our stderr: stdout holds results only.
  const child = fork(new URL('./row-process.ts', import.meta.url), [encodeRecord(task)], {
    stdio: ['ignore', 2, 2, 'ipc'],
    execArgv: [...process.execArgv, '--expose-gc'],
  });
  return new Promise((resolve, reject) => {
    let answer: PartAnswer | null = null;
    child.once('message', (message) => {
      answer = message as PartAnswer;
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0 ? answer : null));
  });
}

/**
 * Makes a fresh folder for databases, removed also when the bench is interrupted.
 *
 * @param use - uses it
 * @returns what `use` returned
 */
export async function withFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    return await use(folder);
  } finally {
    process.off('exit', remove);
    remove();
  }
}

/** Ends this process in order when it is interrupted, or when nobody reads its output any more, as `head` does. */
export function endInOrder(): void {
  // The process of a row ends with ours: it notices that its channel is closed.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT.interrupted));
  process.stdout.once('error', () => process.exit(EXIT.failed));
}
