// A process that measures one part of one row: told what by its argument, answers by a message. Neighbour: main.ts starts it.
import type { RowTask } from './host.ts';
import { parseRecord } from '../src/types/codec.ts';
import type { RowResult } from './result.ts';
import { ROWS } from './rows.ts';

/** The argument. */
export type PartTask = RowTask & { readonly row: string; readonly part: number };

/** The answer. */
export type PartAnswer = { readonly results: readonly RowResult[] };

// Without the bench there is nobody to measure for.
process.once('disconnect', () => process.exit(1));

const task = parseRecord(process.argv[2] ?? '{}') as PartTask;
const measure = ROWS.find(({ name }) => name === task.row)?.parts[task.part];
if (measure === undefined || process.send === undefined) {
  throw new TypeError('row-process.ts is started by bench/main.ts only: call npm run bench');
}
const answer: PartAnswer = { results: await measure(task) };
process.send(answer, undefined, undefined, () => process.exit(0));
