// The command line of `npm run bench:peers`: words in, options or a message out. Neighbour: run.ts acts on it.
import { parseArgs } from 'node:util';

/** What to measure. */
export type PeersOptions = {
  readonly peers: readonly string[];
  readonly rows: readonly string[];
  readonly rounds: number;
  readonly timeoutMs: number;
  readonly quick: boolean;
  readonly json: boolean;
  /** Settings in place of those in peers.ts, for sweeps. */
  readonly knobs: Readonly<Record<string, number>>;
  /** Size in place of those in workloads.ts and peers.ts; null: theirs. */
  readonly size: number | null;
};

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'run'; readonly options: PeersOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string };

/** What there is to choose from. */
export type Known = {
  readonly peers: readonly string[];
  /** Those of the peers that run only when they are named in full. */
  readonly onRequest: readonly string[];
  readonly rows: readonly string[];
};

/** All peers take a quarter of an hour in two rounds. */
const ROUNDS = { few: 3, many: 2 };
const FEW_PEERS = 4;
const MAX_ROUNDS = 100;
const MAX_TIMEOUT_S = 3_600;
const MAX_SIZE = 1_000_000;

/**
 * Reads the command line.
 *
 * @param words - the arguments after the script
 * @param known - names of all peers and rows
 * @returns what to do
 */
export function readCommand(words: readonly string[], known: Known): Command {
  try {
    const { values } = parseArgs({
      args: [...words],
      options: {
        peers: { type: 'string' },
        rows: { type: 'string' },
        rounds: { type: 'string' },
        timeout: { type: 'string', default: '60' },
        size: { type: 'string' },
        knob: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    const peers = readPeers(values.peers, known);
    const options = {
      peers,
      rows: values.rows === undefined ? known.rows : readRows(values.rows, known.rows),
      rounds: values.rounds === undefined ? defaultRounds(peers) : readInteger('--rounds', values.rounds, MAX_ROUNDS),
      timeoutMs: readInteger('--timeout', values.timeout, MAX_TIMEOUT_S) * 1_000,
      quick: values.quick,
      json: values.json,
      knobs: Object.fromEntries(values.knob.map(readKnob)),
      size: values.size === undefined ? null : readInteger('--size', values.size, MAX_SIZE),
    };
    return { kind: 'run', options };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { kind: 'wrong', message: error.message };
  }
}

/**
 * Says how the bench is called.
 *
 * @param known - names of all peers
 * @param rows - names and titles of all rows
 * @returns the text
 */
export function describeUsage({ peers, onRequest }: Known, rows: readonly { readonly name: string; readonly title: string }[]): string {
  return `npm run bench:peers -- [options]

options
  --peers <p>,<p>     which runtimes, by name (duroxide/sqlite) or all stores of one (duroxide); none: duraloom alone (default all)
  --rows <r>,<r>      which rows (default all)
  --rounds <n>        rounds, 1 to ${MAX_ROUNDS}; medians are reported (default ${ROUNDS.few}; ${ROUNDS.many} with more than ${FEW_PEERS} peers)
  --timeout <s>       longest time of one measurement, 1 to ${MAX_TIMEOUT_S} (default 60)
  --quick             small sizes, to see that it works: its figures mean nothing
  --json              one JSON line for each peer and row, and nothing else on stdout
  --size <n>          size of every row, for sweeps
  --knob <name>=<n>   setting of every peer, for sweeps; may be repeated. Names: drivers/*
  --help              this text

peers
${peers.map((peer) => `  ${peer}${onRequest.includes(peer) ? ' (only when it is named in full)' : ''}`).join('\n')}

rows
${rows.map(({ name, title }) => `  ${name.padEnd(4)} ${title}`).join('\n')}
`;
}

function defaultRounds(peers: readonly string[]): number {
  return peers.length > FEW_PEERS ? ROUNDS.many : ROUNDS.few;
}

function readPeers(text: string | undefined, { peers, onRequest }: Known): readonly string[] {
  if (text === 'none') return [];
  const names = text?.split(',') ?? ['all'];
  const matches = (peer: string, name: string): boolean =>
    peer === name || ((text === undefined || peer.startsWith(`${name}/`)) && !onRequest.includes(peer));
  const unknown = names.filter((name) => !peers.some((peer) => matches(peer, name)));
  if (unknown.length > 0) throw new TypeError(`Unknown peer ${quote(unknown)}. Known: none, ${peers.join(', ')}`);
  return peers.filter((peer) => names.some((name) => matches(peer, name)));
}

function readRows(text: string, known: readonly string[]): readonly string[] {
  const names = text.split(',');
  const matches = (row: string, name: string): boolean => row.toLowerCase() === name.toLowerCase();
  const unknown = names.filter((name) => !known.some((row) => matches(row, name)));
  if (unknown.length > 0) throw new TypeError(`Unknown row ${quote(unknown)}. Known: ${known.join(', ')}`);
  return known.filter((row) => names.some((name) => matches(row, name)));
}

function readInteger(option: string, text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max) {
    throw new TypeError(`Expected ${option} to be an integer from 1 to ${max}, got '${text}'`);
  }
  return value;
}

function readKnob(text: string): readonly [string, number] {
  const [, name, value] = /^([a-zA-Z]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new TypeError(`Expected --knob to be a name and a number, such as workers=8, got '${text}'`);
  return [name, Number(value)];
}

function quote(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ');
}
