// The command line of `npm run conformance`: words in, what to check out, or a message. Neighbour: main.ts acts on it.
import { parseArgs } from 'node:util';

/** What to run. */
export type Settings = {
  /** Only these parts of the contract; none: all. */
  readonly contracts: readonly string[];
  /** Only cases whose name has one of these texts; none: all. */
  readonly cases: readonly string[];
  /** Print the cases that passed, too. */
  readonly verbose: boolean;
  /** After how many real milliseconds a case has failed; null: the default of the kit. */
  readonly caseTimeoutMs: number | null;
};

/** What to check: a provider of this package by its name, or a module that exports a target. */
export type Checked = { readonly kind: 'known'; readonly name: string } | { readonly kind: 'module'; readonly path: string };

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'run'; readonly checked: Checked; readonly settings: Settings }
  /** Prints the names of all cases. */
  | { readonly kind: 'list'; readonly settings: Settings }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string };

const MAX_TIMEOUT_SECONDS = 3_600;

/**
 * Reads the command line.
 *
 * @param words - the arguments after the script
 * @param known - names of the providers of this package
 * @param contracts - names of the parts of the contract
 * @returns what to do
 */
export function readCommand(words: readonly string[], known: readonly string[], contracts: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        module: { type: 'string' },
        contract: { type: 'string', multiple: true, default: [] },
        case: { type: 'string', multiple: true, default: [] },
        timeout: { type: 'string' },
      },
    });
    if (values.help) return { kind: 'help' };
    for (const contract of values.contract) {
      if (!contracts.includes(contract)) throw new TypeError(`Unknown contract '${contract}'. Known: ${contracts.join(', ')}`);
    }
    const settings: Settings = {
      contracts: values.contract,
      cases: values.case,
      verbose: values.verbose,
      caseTimeoutMs: values.timeout === undefined ? null : readSeconds(values.timeout) * 1_000,
    };
    if (values.list) return { kind: 'list', settings };
    return {
      kind: 'run',
      checked: readChecked(values.module === undefined ? positionals : [...positionals, values.module], known, values.module),
      settings,
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { kind: 'wrong', message: error.message };
  }
}

/**
 * Says how the check is called.
 *
 * @param known - names of the providers of this package
 * @returns the text
 */
export function describeUsage(known: readonly string[]): string {
  return `npm run conformance -- <provider> [options]

provider
  ${known.join(', ')}
  ./path/to/target.ts     a module that exports a ConformanceTarget; see docs/provider-guide.md

options
  --module <path>         the same as a path in place of the provider
  --contract <name>       only this part of the contract; may be repeated
  --case <text>           only cases whose name has this text; may be repeated
  --timeout <seconds>     after how long a case has failed (default 20)
  --verbose               print the cases that passed, too
  --list                  print the names of the cases and run none
  --help                  this text

Each case that is skipped is printed with its reason, each that fails with its error. Ends with 1 when a case failed, with 2 when it was
called wrongly.
`;
}

function readChecked(words: readonly string[], known: readonly string[], module: string | undefined): Checked {
  const [word = '', ...rest] = words;
  if (word === '' || rest.length > 0) {
    throw new TypeError(`Expected one provider of ${known.join(', ')} or the path of a module, got '${words.join(' ')}'`);
  }
  if (module === undefined && known.includes(word)) return { kind: 'known', name: word };
  if (module === undefined && !/[\\/]|\.[cm]?[jt]s$/.test(word)) {
    throw new TypeError(`Unknown provider '${word}'. Known: ${known.join(', ')}; a module is given by its path, such as ./${word}.ts`);
  }
  return { kind: 'module', path: word };
}

function readSeconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(?:\.\d+)?$/.test(text) || value <= 0 || value > MAX_TIMEOUT_SECONDS) {
    throw new TypeError(`Expected --timeout to be a number of seconds up to ${MAX_TIMEOUT_SECONDS}, not 0, got '${text}'`);
  }
  return value;
}
