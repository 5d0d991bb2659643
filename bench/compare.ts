// `npm run bench -- <rows> --compare <ref>`: measures rows in another commit and here in turn, A B A B …, and prints the ratios. Each side is
// measured by its own bench, as a process with `--json`: what a row measures belongs to the code that it measures.
//
// C1. The other commit is a worktree of git in a temporary folder. It is gone afterwards, also after Ctrl-C.
// C2. A ratio is that of the two runs of one pair, and the median of the pairs counts: a machine that gets slower or faster during the run
//     changes both runs of a pair alike.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseRecord } from '../src/types/codec.ts';
import type { Command } from './options.ts';
import { showNumber } from './print.ts';
import { median } from './result.ts';
import { EXIT } from './run-part.ts';

type CompareCommand = Extract<Command, { readonly kind: 'compare' }>;

/** A line of `--json`; its metrics are the fields that `range` has. */
type Line = {
  readonly case?: string;
  readonly setting?: string;
  readonly range: Readonly<Record<string, unknown>>;
  readonly units?: Readonly<Record<string, string>>;
} & Readonly<Record<string, unknown>>;

/** Figures of one run, by a name that is the same on both sides. */
type Figures = ReadonlyMap<string, number>;

type Run =
  { readonly kind: 'figures'; readonly figures: Figures } | { readonly kind: 'failed'; readonly code: number; readonly stderr: string };

const HERE = resolve(import.meta.dirname, '..');
const WIDTHS = { measure: 76, number: 12, range: 18 };

/**
 * Compares.
 *
 * @param command - rows, the other commit, how many pairs, options for both sides
 * @returns the exit code
 */
export async function compareRows({ rows, ref, pairs, passed }: CompareCommand): Promise<number> {
  const commit = findCommit(ref);
  if (commit === null) {
    process.stderr.write(`bench: Expected --compare to name a commit, branch or tag of this repository, got '${ref}'\n`);
    return EXIT.wrongArguments;
  }
  const short = commit.slice(0, 10);
  return withWorktree(commit, async (checkout, track) => {
    process.stdout.write(`A: ${ref} (${short}), B: this checkout; measured in turn, each by its own bench; pairs: ${pairs}\n\n`);
    process.stdout.write(`${toLine({ measure: 'measure', a: 'A', b: 'B', ratio: 'B / A', range: 'min – max' })}\n`);
    let isWhole = true;
    for (const row of rows) {
      const failure = await compareRow({ row, pairs, passed, sides: [checkout, HERE], track });
      if (failure === null) continue;
      process.stdout.write(`${row}: not compared: ${failure}\n`);
      isWhole = false;
    }
    return isWhole ? 0 : EXIT.failed;
  });
}

type Comparison = {
  readonly row: string;
  readonly pairs: number;
  readonly passed: readonly string[];
  readonly sides: readonly [string, string];
  readonly track: (child: ChildProcess) => void;
};

/** Returns why not, null when the row is compared. */
async function compareRow({ row, pairs, passed, sides, track }: Comparison): Promise<string | null> {
  const measured: [Figures[], Figures[]] = [[], []];
  for (let pair = 0; pair < pairs; pair += 1) {
    for (const side of [0, 1] as const) {
      const run = await runBench(sides[side], [row, '--json', '--rounds=1', ...passed], track);
      if (run.kind === 'failed') return explain(run, side === 0 ? 'A' : 'B');
      measured[side].push(run.figures);
    }
  }
  const names = (figures: readonly Figures[]): ReadonlySet<string> => new Set(figures.flatMap((one) => [...one.keys()]));
  const [inA, inB] = [names(measured[0]), names(measured[1])];
  for (const name of inB) {
    process.stdout.write(`${inA.has(name) ? toRatioLine(row, name, measured) : `${row} ${name}: only in B`}\n`);
  }
  for (const name of inA) {
    if (!inB.has(name)) process.stdout.write(`${row} ${name}: only in A\n`);
  }
  return null;
}

function explain({ code, stderr }: Extract<Run, { readonly kind: 'failed' }>, side: string): string {
  const [first = ''] = stderr.trim().split('\n');
  // Its usage would be the rest.
  if (code === EXIT.wrongArguments) return `the bench of ${side} says: ${first}`;
  return `the bench of ${side} failed with exit code ${code}:\n${stderr.trim()}`;
}

function toRatioLine(row: string, name: string, [a, b]: readonly [readonly Figures[], readonly Figures[]]): string {
  const of = (figures: readonly Figures[]): readonly number[] => figures.map((one) => one.get(name) ?? Number.NaN);
  const [ofA, ofB] = [of(a), of(b)];
  const ratios = ofB.map((value, pair) => value / (ofA[pair] ?? Number.NaN));
  return toLine({
    measure: `${row} ${name}`,
    a: showNumber(median(ofA)),
    b: showNumber(median(ofB)),
    ratio: showNumber(median(ratios)),
    range: ratios.length === 1 ? '' : `${showNumber(Math.min(...ratios))} – ${showNumber(Math.max(...ratios))}`,
  });
}

function toLine({ measure, a, b, ratio, range }: Readonly<Record<'measure' | 'a' | 'b' | 'ratio' | 'range', string>>): string {
  const numbers = [a, b, ratio].map((text) => text.padStart(WIDTHS.number)).join(' ');
  return `${measure.padEnd(WIDTHS.measure)} ${numbers}  ${range.padEnd(WIDTHS.range)}`.trimEnd();
}

// --- one side ----------------------------------------------------------------------------------------------------------------

function runBench(checkout: string, words: readonly string[], track: (child: ChildProcess) => void): Promise<Run> {
  const child = spawn(process.execPath, ['--conditions=duraloom-source', join(checkout, 'bench/main.ts'), ...words], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  track(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      done(code === 0 ? { kind: 'figures', figures: readFigures(stdout) } : { kind: 'failed', code: code ?? EXIT.failed, stderr }),
    );
  });
}

function readFigures(stdout: string): Figures {
  const lines = stdout.split('\n').filter((line) => line !== '');
  const parsed = lines.map((line) => parseRecord(line) as Line);
  // What all have in common was asked for, and an older bench does not tell it.
  const isSweep = new Set(parsed.map(({ setting }) => setting)).size > 1;
  return new Map(parsed.flatMap((line) => figuresOf(line, isSweep)));
}

function figuresOf(line: Line, isSweep: boolean): readonly (readonly [string, number])[] {
  const about = [isSweep ? line.setting : undefined, line.case].filter((part) => part !== undefined).join(', ');
  return Object.keys(line.range).map((field) => [about === '' ? field : `${about}: ${field}`, Number(line[field])]);
}

// --- the other commit ----------------------------------------------------------------------------------------------------------

function findCommit(ref: string): string | null {
  try {
    return git('rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`).trim();
  } catch {
    return null;
  }
}

/** C1. */
async function withWorktree<Result>(
  commit: string,
  use: (checkout: string, track: (child: ChildProcess) => void) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-compare-'));
  const checkout = join(folder, 'checkout');
  const modules = join(checkout, 'node_modules');
  let running: ChildProcess | null = null;
  let isLinked = false;
  // Also called when this process is interrupted: nothing here may be asynchronous.
  const remove = (): void => {
    running?.kill('SIGTERM');
    // The link by itself: what it points at is ours.
    if (isLinked) unlinkSync(modules);
    rmSync(folder, { recursive: true, force: true });
    git('worktree', 'prune');
  };
  process.once('exit', remove);
  try {
    git('worktree', 'add', '--quiet', '--detach', checkout, commit);
    if (haveSameLock(checkout)) {
      symlinkSync(join(HERE, 'node_modules'), modules);
      isLinked = true;
    } else {
      process.stderr.write('bench: package-lock.json differs: running npm ci in the other commit\n');
      execFileSync('npm', ['ci'], { cwd: checkout, stdio: ['ignore', 2, 2] });
    }
    return await use(checkout, (child) => {
      running = child;
    });
  } finally {
    process.off('exit', remove);
    remove();
  }
}

function haveSameLock(checkout: string): boolean {
  const [ours, theirs] = [HERE, checkout].map((folder) => readFileSync(join(folder, 'package-lock.json'), 'utf8'));
  return ours === theirs;
}

function git(...words: readonly string[]): string {
  return execFileSync('git', words, { cwd: HERE, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
