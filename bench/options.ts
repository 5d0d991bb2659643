// The command line of `npm run bench` and `npm run profile`: words in, options or a message out. Neighbours: main.ts and profile-main.ts act
// on it, rows.ts has the names of the rows, sweep.ts makes combinations of the lists.
import { parseArgs } from 'node:util';
import type { SynchronousMode } from 'duraloom/sqlite';
import { DEFAULT_SETTINGS, showThreads, type Settings, type StoreKind, type Sweep, type Threads } from './sweep.ts';

/** How much is measured. */
export type Extent = {
  /** How often each measurement is repeated; the median is reported. */
  readonly rounds: number;
  /** Small sizes: shows that the bench works, says nothing about speed. */
  readonly quick: boolean;
  /** Sizes that take minutes, besides the usual ones. */
  readonly large: boolean;
};

/** What a row is measured with. Plain data: it travels to the process of the row. */
export type BenchOptions = Settings & Extent;

/** What a run measures. */
export type RunCommand = {
  readonly kind: 'run';
  readonly rows: readonly string[];
  readonly json: boolean;
  readonly extent: Extent;
  readonly sweep: Sweep;
  /** Folder that profiles are kept in; null: a fresh one. Only `npm run profile` has it. */
  readonly out: string | null;
};

/** What the command line asks for. */
export type Command =
  | RunCommand
  | {
      readonly kind: 'compare';
      readonly rows: readonly string[];
      readonly ref: string;
      readonly pairs: number;
      /** Words for the bench of both sides. */
      readonly passed: readonly string[];
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string };

/** Which of the two commands reads the words. */
export type Caller = 'bench' | 'profile';

const MAX_ROUNDS = 100;
const MAX_THREADS = 256;
const STORES: Readonly<Record<StoreKind, true>> = { file: true, 'sqlite-memory': true, memory: true, postgres: true };
const SYNC_MODES: Readonly<Record<SynchronousMode, true>> = { FULL: true, NORMAL: true };

const SWITCH: Readonly<Record<'off' | 'on', true>> = { off: true, on: true };

/** Options that set something that is measured; a comparison passes them on. */
const SETTINGS = {
  threads: { type: 'string' },
  sync: { type: 'string' },
  store: { type: 'string' },
  slots: { type: 'string' },
  'turns-per-thread': { type: 'string' },
  'cache-mib': { type: 'string' },
  'max-commit-ms': { type: 'string' },
  'auto-tune': { type: 'string' },
} as const;
const SHARED = {
  ...SETTINGS,
  quick: { type: 'boolean', default: false },
  large: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
  rounds: { type: 'string' },
} as const;
const BENCH_ONLY = { json: { type: 'boolean', default: false }, compare: { type: 'string' }, pairs: { type: 'string' } } as const;
const PROFILE_ONLY = { out: { type: 'string' } } as const;

/**
 * Reads the command line.
 *
 * @param words - the arguments after the script
 * @param known - names of all rows
 * @param caller - the command
 * @returns what to do
 */
export function readCommand(words: readonly string[], known: readonly string[], caller: Caller = 'bench'): Command {
  try {
    return caller === 'bench' ? readBench(words, known) : readProfile(words, known);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { kind: 'wrong', message: error.message };
  }
}

/**
 * Takes the size of a row.
 *
 * @param options - of the run
 * @param sizes - the row's sizes; few rows have a `large` one
 * @returns one of them
 */
export function pickSize<Size>(
  { quick, large }: Extent,
  sizes: { readonly full: Size; readonly quick: Size; readonly large?: Size | undefined },
): Size {
  if (quick) return sizes.quick;
  return large ? (sizes.large ?? sizes.full) : sizes.full;
}

/**
 * Says how a command is called.
 *
 * @param rows - names and titles of all rows
 * @param caller - the command
 * @returns the text
 */
export function describeUsage(rows: readonly { readonly name: string; readonly title: string }[], caller: Caller = 'bench'): string {
  const own = caller === 'bench' ? BENCH_USAGE : PROFILE_USAGE;
  return `npm run ${caller} -- ${caller === 'bench' ? '[rows]' : 'rows'} [options]

rows${caller === 'bench' ? ' (default: all)' : ''}
${rows.map(({ name, title }) => `  ${name.padEnd(3)}  ${title}`).join('\n')}

options; lists make a sweep: each combination is measured
${own}  --rounds <n>               rounds of each measurement, 1 to ${MAX_ROUNDS}; medians are reported (default ${caller === 'bench' ? 3 : 1})
  --threads <list>           such as 1,2 or 1x1,1x2: n is n replay and n activity threads, rxa is r and a; 0 to ${MAX_THREADS}, 0 runs
                             inline (default ${showThreads(DEFAULT_SETTINGS.threads)}: 1, and cores - 1)
  --sync <list>              FULL, NORMAL: SQLite's synchronous mode (default FULL)
  --store <list>             file, sqlite-memory (SQLite without a file), memory (the memory provider), postgres (the server of
                             DATABASE_URL, or one that the bench starts) (default file)
  --slots <list>             activities at once on one thread: activitiesPerThread
  --turns-per-thread <list>  turns at once for each replay thread: turnsPerThread
  --cache-mib <list>         live engines of a replay thread, in MiB: stickyCacheMb
  --max-commit-ms <list>     time budget of a transaction: maxCommitMs
  --auto-tune <list>         off, on: the tuner of the runtime (default off)
  --large                    W4 also with a million instances, which takes minutes
  --quick                    small sizes, to see that it works: its figures mean nothing
  --help                     this text
`;
}

const BENCH_USAGE = `  --json                     one JSON line for each result, and nothing else on stdout
  --compare <ref>            measures the rows here and in another commit in turn, and prints the ratios
  --pairs <n>                how often in turn, with --compare, 1 to ${MAX_ROUNDS} (default 3)
`;
const PROFILE_USAGE = `  --out <folder>             where the profiles go (default: a fresh folder under the system's temporary folder)
`;

function readBench(words: readonly string[], known: readonly string[]): Command {
  const { values, positionals, tokens } = parseArgs({
    args: [...words],
    allowPositionals: true,
    tokens: true,
    options: { ...SHARED, ...BENCH_ONLY },
  });
  if (values.help) return { kind: 'help' };
  const rows = readRows(positionals, known);
  const run: RunCommand = {
    kind: 'run',
    rows,
    json: values.json,
    extent: readExtent(values, 3),
    sweep: readSweep(values),
    out: null,
  };
  if (values.compare === undefined) {
    if (values.pairs !== undefined) throw new TypeError('Expected --pairs together with --compare <ref>');
    return run;
  }
  if (values.json) throw new TypeError('Expected --compare without --json: a comparison is a table of its own');
  if (values.rounds !== undefined) throw new TypeError('Expected --pairs instead of --rounds: a comparison measures one round in turn');
  if (values.compare === '' || values.compare.startsWith('-')) {
    throw new TypeError(`Expected --compare to name a commit, branch or tag, got '${values.compare}'`);
  }
  const passed = tokens.flatMap((token) => {
    if (token.kind !== 'option' || token.name === 'compare' || token.name === 'pairs') return [];
    return token.value === undefined ? [token.rawName] : [`--${token.name}=${token.value}`];
  });
  const pairs = readInteger('--pairs', values.pairs ?? '3', { min: 1, max: MAX_ROUNDS });
  return { kind: 'compare', rows, ref: values.compare, pairs, passed };
}

function readProfile(words: readonly string[], known: readonly string[]): Command {
  const { values, positionals } = parseArgs({ args: [...words], allowPositionals: true, options: { ...SHARED, ...PROFILE_ONLY } });
  if (values.help) return { kind: 'help' };
  if (positionals.length === 0) throw new TypeError(`Expected the rows to profile. Known: ${known.join(', ')}`);
  return {
    kind: 'run',
    rows: readRows(positionals, known),
    json: false,
    extent: readExtent(values, 1),
    sweep: readSweep(values),
    out: values.out ?? null,
  };
}

function readRows(names: readonly string[], known: readonly string[]): readonly string[] {
  const wanted = names.map((name) => known.find((row) => row.toUpperCase() === name.toUpperCase()));
  const unknown = names.filter((_, index) => wanted[index] === undefined);
  if (unknown.length > 0) throw new TypeError(`Unknown row ${unknown.map((name) => `'${name}'`).join(', ')}. Known: ${known.join(', ')}`);
  return wanted.length === 0 ? known : known.filter((name) => wanted.includes(name));
}

function readExtent(
  { rounds, quick, large }: { readonly rounds?: string | undefined; readonly quick: boolean; readonly large: boolean },
  fallback: number,
): Extent {
  if (quick && large) throw new TypeError('Expected either --quick or --large, got both');
  return { rounds: readInteger('--rounds', rounds ?? String(fallback), { min: 1, max: MAX_ROUNDS }), quick, large };
}

function readSweep(values: { readonly [Name in keyof typeof SETTINGS]?: string | undefined }): Sweep {
  const integers = (name: keyof typeof SETTINGS, min: number, max: number): readonly number[] | undefined =>
    readList(values[name], (text) => readInteger(`--${name}`, text, { min, max }));
  const sweep = {
    threads: readThreads(values.threads),
    sync: readList(values.sync, (text) => readWord('--sync', text.toUpperCase(), SYNC_MODES)),
    store: readList(values.store, (text) => readWord('--store', text.toLowerCase(), STORES)),
    slots: integers('slots', 1, 100_000),
    turnsPerThread: integers('turns-per-thread', 1, 10_000),
    cacheMib: integers('cache-mib', 0, 65_536),
    maxCommitMs: integers('max-commit-ms', 1, 10_000),
    autoTune: readList(values['auto-tune'], (text) => readWord('--auto-tune', text.toLowerCase(), SWITCH) === 'on'),
  };
  return Object.fromEntries(Object.entries(sweep).filter(([, list]) => list !== undefined));
}

/** Each value once, in the order given. */
function readList<Value>(text: string | undefined, read: (part: string) => Value): readonly Value[] | undefined {
  return text === undefined ? undefined : [...new Set(text.split(',').map((part) => read(part.trim())))];
}

function readThreads(text: string | undefined): readonly Threads[] | undefined {
  const shown = readList(text, (part) => {
    const [, replay, activity = replay] = /^(\d{1,3})(?:x(\d{1,3}))?$/i.exec(part) ?? [];
    if (replay === undefined || activity === undefined || Math.max(Number(replay), Number(activity)) > MAX_THREADS) {
      throw new TypeError(
        `Expected --threads to be a list of n or rxa (replay x activity threads) from 0 to ${MAX_THREADS}, such as 1,2 or 1x1,1x2, got '${part}'`,
      );
    }
    return showThreads({ replay: Number(replay), activity: Number(activity) });
  });
  return shown?.map((part) => {
    const [replay, activity] = part.split('x').map(Number);
    return { replay: replay ?? 0, activity: activity ?? 0 };
  });
}

function readInteger(name: string, text: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new TypeError(`Expected ${name} to be an integer from ${min} to ${max}, got '${text}'`);
  }
  return value;
}

function readWord<Word extends string>(name: string, text: string, words: Readonly<Record<Word, true>>): Word {
  if (!Object.hasOwn(words, text)) throw new TypeError(`Expected ${name} to be of ${Object.keys(words).join(', ')}, got '${text}'`);
  return text as Word;
}
