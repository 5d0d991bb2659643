// The command line of `npm run stress`: words in, settings or a message out. Neighbours: main.ts acts on it, modes/*.ts say what they take.
import { parseArgs } from 'node:util';

/** What a run is made with. Plain data. */
export type Settings = {
  readonly seed: number;
  /** How often the mode does what it does; 0 in modes that run for a time. */
  readonly rounds: number;
  /** How long the mode runs; 0 in modes that count rounds. */
  readonly minutes: number;
  readonly replayThreads: number;
  readonly activityThreads: number;
  /** Orchestrations at once, for each process. */
  readonly inFlight: number;
  /** Host processes at once, and whether they are killed; null in modes that have their own number. */
  readonly runtimes: number | null;
  readonly kill: boolean | null;
  /** Folder of the database; null: a new one, removed after a run without violations. */
  readonly folder: string | null;
};

/** What a mode measures its length in, and its defaults. */
export type ModeOptions = {
  readonly length: 'rounds' | 'minutes';
  readonly defaultLength: number;
  readonly defaultInFlight: number;
  /** Host processes at once, for modes that are told how many. */
  readonly defaultRuntimes?: number;
};

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'run'; readonly mode: string; readonly settings: Settings }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string };

const MAX_SEED = 2_147_483_645;
const MAX_ROUNDS = 1_000_000;
const MAX_MINUTES = 10_000;
const MAX_IN_FLIGHT = 100_000;
const MAX_THREADS = 256;
const MAX_RUNTIMES = 32;

/**
 * Reads the command line.
 *
 * @param words - the arguments after the script
 * @param modes - what each mode takes, by name
 * @returns what to do
 */
export function readCommand(words: readonly string[], modes: Readonly<Record<string, ModeOptions>>): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', default: false },
        seed: { type: 'string' },
        rounds: { type: 'string' },
        minutes: { type: 'string' },
        threads: { type: 'string', default: '1,2' },
        'in-flight': { type: 'string' },
        runtimes: { type: 'string' },
        kill: { type: 'boolean' },
        folder: { type: 'string' },
      },
    });
    if (values.help) return { kind: 'help' };
    const [mode = '', ...rest] = positionals;
    const own = Object.hasOwn(modes, mode) ? modes[mode] : undefined;
    if (own === undefined || rest.length > 0) {
      throw new TypeError(`Expected one mode of ${Object.keys(modes).join(', ')}, got '${positionals.join(' ')}'`);
    }
    const other = own.length === 'rounds' ? 'minutes' : 'rounds';
    if (values[other] !== undefined) throw new TypeError(`The length of ${mode} is given by --${own.length}, not by --${other}`);
    const length = readNumber(own.length, values[own.length] ?? String(own.defaultLength), {
      max: own.length === 'rounds' ? MAX_ROUNDS : MAX_MINUTES,
      whole: own.length === 'rounds',
    });
    const [replayThreads, activityThreads] = readThreads(values.threads);
    const { defaultRuntimes } = own;
    if (defaultRuntimes === undefined && (values.runtimes ?? values.kill) !== undefined) {
      throw new TypeError(`${mode} has no --runtimes and no --kill: they are those of fleet`);
    }
    const settings: Settings = {
      seed:
        values.seed === undefined ? Math.floor(Math.random() * MAX_SEED) : readNumber('seed', values.seed, { max: MAX_SEED, whole: true }),
      rounds: own.length === 'rounds' ? length : 0,
      minutes: own.length === 'minutes' ? length : 0,
      replayThreads,
      activityThreads,
      inFlight: readNumber('in-flight', values['in-flight'] ?? String(own.defaultInFlight), { max: MAX_IN_FLIGHT, whole: true }),
      runtimes:
        defaultRuntimes === undefined
          ? null
          : readNumber('runtimes', values.runtimes ?? String(defaultRuntimes), { max: MAX_RUNTIMES, whole: true }),
      kill: defaultRuntimes === undefined ? null : (values.kill ?? false),
      folder: values.folder ?? null,
    };
    return { kind: 'run', mode, settings };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { kind: 'wrong', message: error.message };
  }
}

/**
 * Says how the suite is called.
 *
 * @param modes - all modes
 * @returns the text
 */
export function describeUsage(modes: Readonly<Record<string, ModeOptions & { readonly summary: string }>>): string {
  const lines = Object.entries(modes).map(
    ([name, { summary, length, defaultLength }]) => `  ${name.padEnd(10)} ${summary} (--${length}, default ${defaultLength})`,
  );
  return `npm run stress -- <mode> [options]

modes
${lines.join('\n')}

options
  --rounds <n>        length of modes that count rounds
  --minutes <n>       length of the other modes; fractions are allowed
  --seed <n>          repeats the choices of a run, as far as the machine allows (default random)
  --threads <r>,<a>   replay and activity threads of each process (default 1,2)
  --in-flight <n>     orchestrations at once in each process
  --runtimes <n>      fleet: host processes at once (default 4)
  --kill              fleet: they are also killed with SIGKILL, and others take their places
  --folder <path>     folder for the database; it is kept (default: a new one, kept after violations)
  --help              this text
`;
}

function readNumber(name: string, text: string, { max, whole }: { readonly max: number; readonly whole: boolean }): number {
  const value = Number(text);
  const isNumber = whole ? /^\d+$/.test(text) : /^\d+(?:\.\d+)?$/.test(text);
  const min = name === 'seed' ? 0 : Number.MIN_VALUE;
  if (!isNumber || value < min || value > max) {
    throw new TypeError(
      `Expected --${name} to be ${whole ? 'an integer' : 'a number'} up to ${max}${min > 0 ? ', not 0' : ''}, got '${text}'`,
    );
  }
  return value;
}

function readThreads(text: string): readonly [number, number] {
  const [, replay, activity] = /^(\d{1,3}),(\d{1,3})$/.exec(text) ?? [];
  const threads = [Number(replay), Number(activity)] as const;
  if (replay === undefined || threads.some((count) => count < 1 || count > MAX_THREADS)) {
    throw new TypeError(`Expected --threads to be two integers from 1 to ${MAX_THREADS}, such as 1,2 (replay, activity), got '${text}'`);
  }
  return threads;
}
