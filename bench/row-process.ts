// A process that measures one part of one row: told what by its argument, answers by a message. Neighbour: main.ts starts it.
import { rmSync } from 'node:fs';
import type { RowTask } from './host.ts';
import { parseRecord } from '../src/types/codec.ts';
import type { RowResult } from './result.ts';
import { ROWS } from './rows.ts';

/** The argument. */
export type PartTask = RowTask & { readonly row: string; readonly part: number };

/** The answer. */
export type PartAnswer = { readonly results: readonly RowResult[] };

const task = parseRecord(process.argv[2] ?? '{}') as PartTask;
const measure = ROWS.find(({ name }) => name === task.row)?.parts[task.part];
if (measure === undefined || process.send === undefined) {
  throw new TypeError('row-process.ts is started by bench/main.ts only: call npm run bench');
}
// Killed bench: there is nobody to measure for, and nobody else to clean up.
process.once('disconnect', () => {
  rmSync(task.folder, { recursive: true, force: true });
  process.exit(1);
});

const answer: PartAnswer = { results: await measure(task) };
process.send(answer, undefined, undefined, () => process.exit(0));
