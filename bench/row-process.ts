// A process that measures one part of one row: told what by its argument, answers by a message. Neighbour: run-part.ts starts it.
import { rmSync } from 'node:fs';
import { parseRecord } from '../src/types/codec.ts';
import type { RowTask } from './host.ts';
import type { BenchOptions } from './options.ts';
import type { RowResult } from './result.ts';
import { ROWS } from './rows.ts';
import { ThreadProfiler, type ProfiledStretch } from './thread-profiler.ts';

/** The argument. */
export type PartTask = {
  readonly row: string;
  readonly part: number;
  readonly options: BenchOptions;
  readonly folder: string;
  /** null: no profiles. */
  readonly profileFolder: string | null;
};

/** The answer. */
export type PartAnswer = { readonly results: readonly RowResult[]; readonly profiled: readonly ProfiledStretch[] };

const { row, part, options, folder, profileFolder } = parseRecord(process.argv[2] ?? '{}') as PartTask;
const measure = ROWS.find(({ name }) => name === row)?.parts[part];
if (measure === undefined || process.send === undefined) {
  throw new TypeError('row-process.ts is started by bench/main.ts only: call npm run bench');
}
// Killed bench: there is nobody to measure for, and nobody else to clean up.
process.once('disconnect', () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit(1);
});

const profiler = profileFolder === null ? null : new ThreadProfiler(profileFolder);
const task: RowTask = {
  options,
  folder,
  measured: (orchestrations, run) => (profiler === null ? run() : profiler.profile(orchestrations, run)),
};
const answer: PartAnswer = { results: await measure(task), profiled: profiler?.stretches ?? [] };
process.send(answer, undefined, undefined, () => process.exit(0));
