// `npm run bench`: measures rows, each part of a row in a process of its own, and prints a table or JSON lines. See README.md.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeRecord } from '../src/types/codec.ts';
import { describeMachine } from './machine.ts';
import { describeUsage, readCommand, type BenchOptions } from './options.ts';
import { toHeader, toJson, toTable } from './print.ts';
import type { RowResult } from './result.ts';
import type { PartAnswer, PartTask } from './row-process.ts';
import { ROWS } from './rows.ts';

/** Exit codes. */
const FAILED = 1;
const WRONG_ARGUMENTS = 2;
const INTERRUPTED = 130;

async function main(words: readonly string[]): Promise<number> {
  const command = readCommand(
    words,
    ROWS.map(({ name }) => name),
  );
  switch (command.kind) {
    case 'help':
      process.stdout.write(describeUsage(ROWS));
      return 0;
    case 'wrong':
      process.stderr.write(`bench: ${command.message}\n\n${describeUsage(ROWS)}`);
      return WRONG_ARGUMENTS;
    case 'run':
      return runRows(command);
  }
}

async function runRows(command: {
  readonly rows: readonly string[];
  readonly json: boolean;
  readonly options: BenchOptions;
}): Promise<number> {
  const { json, options } = command;
  const machine = describeMachine(options);
  if (!json) process.stdout.write(`${toHeader(machine, options.rounds)}\n`);
  for (const { name, parts } of ROWS.filter((row) => command.rows.includes(row.name))) {
    for (const part of parts.keys()) {
      const results = await withFolder((folder) => runPart({ row: name, part, options, folder }));
      if (results === null) {
        process.stderr.write(`bench: row ${name} failed; see above\n`);
        return FAILED;
      }
      for (const result of results) process.stdout.write(`${json ? toJson(result, machine) : toTable(result)}\n`);
    }
  }
  return 0;
}

/** Returns null when the process failed; it has said why. */
function runPart(task: PartTask): Promise<readonly RowResult[] | null> {
  // Its stdout goes to our stderr: stdout holds results only.
  const child = fork(new URL('./row-process.ts', import.meta.url), [encodeRecord(task)], {
    stdio: ['ignore', 2, 2, 'ipc'],
    execArgv: [...process.execArgv, '--expose-gc'],
  });
  return new Promise((resolve, reject) => {
    let results: readonly RowResult[] | null = null;
    child.once('message', (answer) => {
      ({ results } = answer as PartAnswer);
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0 ? results : null));
  });
}

/** A fresh folder for databases, removed also when the bench is interrupted. */
async function withFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
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

// The process of the row ends with ours: it notices that its channel is closed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(INTERRUPTED));

// Whoever reads our output may stop, as `head` does.
process.stdout.once('error', () => process.exit(FAILED));

process.exitCode = await main(process.argv.slice(2));
