// The bench runs and prints what it promises. No speed is asserted: that is what the bench is for.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCommand } from '../bench/options.ts';

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const MAIN = join(import.meta.dirname, '../bench/main.ts');

function runBench(...words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=duraloom-source', MAIN, ...words], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

type Line = { readonly row: string } & Readonly<Record<string, unknown>>;

const parseLines = (stdout: string): readonly Line[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** Four processes with threads of their own: a few seconds, much more on a machine that is busy. */
const TIMEOUT_MS = 60_000;

describe('npm run bench', { timeout: TIMEOUT_MS }, () => {
  test('prints one JSON line for each of the end-to-end rows and nothing else', async () => {
    const { code, stdout, stderr } = await runBench('W1', 'W2', 'W3', '--quick', '--json', '--rounds', '1', '--threads', '1,1');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = parseLines(stdout);
    expect(lines.map((line) => Object.keys(line).slice(0, 4))).toEqual([
      ['row', 'orchestrationsPerSecond', 'activitiesPerSecond', 'ceilingRatio'],
      ['row', 'millisecondsPerStepEarly', 'millisecondsPerStepLate', 'lateToEarly'],
      ['row', 'p50Ms', 'p99Ms', 'samples'],
    ]);
    expect(lines.map(({ row }) => row)).toEqual(['W1', 'W2', 'W3']);
    const named = lines.flatMap((line) => Object.entries(line).slice(1, 4));
    expect(named.filter(([, value]) => !(typeof value === 'number' && Number.isFinite(value) && value > 0))).toEqual([]);
    expect(Number(lines[0]?.['activitiesPerSecond']) / Number(lines[0]?.['orchestrationsPerSecond'])).toBeCloseTo(5, 2);
    expect(Number(lines[2]?.['p99Ms'])).toBeGreaterThanOrEqual(Number(lines[2]?.['p50Ms']));
    expect(lines[0]?.['machine']).toMatchObject({ node: process.version, sync: 'FULL', threads: '1,1', quick: true });
  });

  test('measures every case of a micro row and shows it in an aligned table', async () => {
    const { code, stdout, stderr } = await runBench('m3', '--quick', '--rounds', '2');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    const heading = lines.findIndex((line) => line.startsWith('row '));
    const rows = lines.slice(heading + 1);
    expect(rows.map((line) => line.slice(0, 2))).toEqual(['M3', 'M3', 'M3']);
    const unitAt = lines[heading]?.indexOf('unit');
    expect(rows.map((line) => line.indexOf('µs/'))).toEqual(rows.map(() => unitAt));
  });

  test.each([
    [['W9'], "Unknown row 'W9'. Known: W1, W2"],
    [['--fast'], "Unknown option '--fast'"],
    [['--rounds', '0'], "Expected --rounds to be an integer from 1 to 100, got '0'"],
    [['--threads', '1'], "Expected --threads to be two integers from 0 to 256, such as 1,1 (replay, activity), got '1'"],
    [['--sync', 'OFF'], "Expected --sync to be FULL or NORMAL, got 'OFF'"],
  ])('refuses %j', (words, message) => {
    const command = readCommand(words, ['W1', 'W2']);
    expect(command).toMatchObject({ kind: 'wrong', message: expect.stringContaining(message) as string });
  });

  test('ends with exit code 2 and the usage when it was called wrongly', async () => {
    const { code, stdout, stderr } = await runBench('W1', 'W9');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^bench: Unknown row 'W9'\. Known: W1, W2, W3, W4, M1/);
    expect(stderr).toContain('npm run bench -- [rows] [options]');
  });
});
