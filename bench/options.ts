// The command line of `npm run bench`: words in, options or a message out. Neighbours: main.ts acts on it, rows.ts has the names of the rows.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { SynchronousMode } from 'duraloom/sqlite';

/** What a row is measured with. Plain data: it travels to the process of the row. */
export type BenchOptions = {
  /** How often each measurement is repeated; the median is reported. */
  readonly rounds: number;
  readonly replayThreads: number;
  readonly activityThreads: number;
  readonly sync: SynchronousMode;
  /** Small sizes: shows that the bench works, says nothing about speed. */
  readonly quick: boolean;
};

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'run'; readonly rows: readonly string[]; readonly json: boolean; readonly options: BenchOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string };

const MAX_ROUNDS = 100;
const MAX_THREADS = 256;

/**
 * Reads the command line.
 *
 * @param words - the arguments after the script
 * @param known - names of all rows
 * @returns what to do
 */
export function readCommand(words: readonly string[], known: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        rounds: { type: 'string', default: '3' },
        threads: { type: 'string', default: `1,${Math.max(1, availableParallelism() - 1)}` },
        sync: { type: 'string', default: 'FULL' },
      },
    });
    if (values.help) return { kind: 'help' };
    const [replayThreads, activityThreads] = readThreads(values.threads);
    const options = { rounds: readRounds(values.rounds), replayThreads, activityThreads, sync: readSync(values.sync), quick: values.quick };
    return { kind: 'run', rows: readRows(positionals, known), json: values.json, options };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { kind: 'wrong', message: error.message };
  }
}

/**
 * Says how the bench is called.
 *
 * @param rows - names and titles of all rows
 * @returns the text
 */
export function describeUsage(rows: readonly { readonly name: string; readonly title: string }[]): string {
  return `npm run bench -- [rows] [options]

rows (default: all)
${rows.map(({ name, title }) => `  ${name}  ${title}`).join('\n')}

options
  --json              one JSON line for each result, and nothing else on stdout
  --rounds <n>        rounds of each measurement, 1 to ${MAX_ROUNDS}; medians are reported (default 3)
  --threads <r>,<a>   replay and activity threads, 0 to ${MAX_THREADS}; 0 runs inline (default 1 and cores - 1)
  --sync FULL|NORMAL  SQLite's synchronous mode (default FULL)
  --quick             small sizes, to see that it works: its figures mean nothing
  --help              this text
`;
}

function readRows(names: readonly string[], known: readonly string[]): readonly string[] {
  const rows = names.map((name) => name.toUpperCase());
  const unknown = names.filter((_, index) => !known.includes(rows[index] ?? ''));
  if (unknown.length > 0) throw new TypeError(`Unknown row ${unknown.map((name) => `'${name}'`).join(', ')}. Known: ${known.join(', ')}`);
  return rows.length === 0 ? known : known.filter((name) => rows.includes(name));
}

function readRounds(text: string): number {
  const rounds = Number(text);
  if (!/^\d+$/.test(text) || rounds < 1 || rounds > MAX_ROUNDS) {
    throw new TypeError(`Expected --rounds to be an integer from 1 to ${MAX_ROUNDS}, got '${text}'`);
  }
  return rounds;
}

function readThreads(text: string): readonly [number, number] {
  const [, replay, activity] = /^(\d{1,3}),(\d{1,3})$/.exec(text) ?? [];
  if (replay === undefined || activity === undefined || Math.max(Number(replay), Number(activity)) > MAX_THREADS) {
    throw new TypeError(`Expected --threads to be two integers from 0 to ${MAX_THREADS}, such as 1,1 (replay, activity), got '${text}'`);
  }
  return [Number(replay), Number(activity)];
}

function readSync(text: string): SynchronousMode {
  const sync = text.toUpperCase();
  if (sync !== 'FULL' && sync !== 'NORMAL') throw new TypeError(`Expected --sync to be FULL or NORMAL, got '${text}'`);
  return sync;
}
