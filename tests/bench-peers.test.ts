// The comparison with other runtimes runs and prints what it promises, as far as that goes without installing them: with duraloom alone.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCommand } from '../bench/peers/options.ts';
import { DURALOOM, PEERS } from '../bench/peers/peers.ts';
import { toSummary, toTable } from '../bench/peers/print.ts';
import { ratioOf, spreadOf, type PeerResult } from '../bench/peers/result.ts';
import { WORKLOADS } from '../bench/peers/workloads.ts';
import { postgresUrl } from './support/postgres.ts';

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const RUN = join(import.meta.dirname, '../bench/peers/run.ts');

function runPeers(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--conditions=duraloom-source', RUN, ...words],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
  });
}

/** Processes with threads of their own: seconds, much more on a machine that is busy. */
const TIMEOUT_MS = 60_000;

const KNOWN = {
  peers: ['duroxide/sqlite', 'duroxide/memory', 'dbos/postgres', 'dbos/postgres-queue'],
  rows: ['W1', 'W1d'],
  onRequest: ['dbos/postgres-queue'],
};

describe('npm run bench:peers', { timeout: TIMEOUT_MS }, () => {
  test('measures duraloom alone and prints a JSON line', async () => {
    const { code, stdout, stderr } = await runPeers(['--peers', 'none', '--rows', 'W1', '--quick', '--rounds', '2', '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const line = JSON.parse(stdout) as Readonly<Record<string, unknown>>;
    expect(line).toMatchObject({
      row: 'W1',
      peer: 'duraloom',
      durability: DURALOOM.durability,
      size: 100,
      rounds: 2,
      failure: null,
      units: { perSecond: 'orchestrations/s' },
      machine: { node: process.version, postgres: 'not used', rounds: 2, quick: true },
    });
    expect(line['perSecond']).toBeGreaterThan(0);
    expect(line['setting']).toContain('replayThreads 1');
  });

  test('measures duraloom on PostgreSQL beside the others', async () => {
    const words = ['--peers', 'duraloom/postgres', '--rows', 'W1,W4', '--quick', '--rounds', '1', '--json'];
    const { code, stdout, stderr } = await runPeers(words, { DATABASE_URL: postgresUrl() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    expect(lines.map(({ row, peer, failure }) => [row, peer, failure])).toEqual([
      ['W1', 'duraloom', null],
      ['W1', 'duraloom/postgres', null],
      ['W4', 'duraloom', null],
      ['W4', 'duraloom/postgres', null],
    ]);
    expect(lines[1]).toMatchObject({ durability: 'PostgreSQL, fsync per commit', version: lines[0]?.['version'] });
  });

  test('shows a failed measurement in the table and ends with exit code 1', async () => {
    const { code, stdout, stderr } = await runPeers([
      '--peers',
      'none',
      '--rows',
      'w1d',
      '--rounds',
      '1',
      '--size',
      '1000000',
      '--timeout',
      '1',
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'bench: W1d duraloom failed: took longer than 1 s\n' });
    expect(stdout).toContain('### W1d: ');
    expect(stdout).toMatch(/\| duraloom \|.*\| 1,000,000 \| failed: took longer than 1 s \|/);
  });

  test('ends with exit code 2 and the usage when it was called wrongly', async () => {
    const { code, stdout, stderr } = await runPeers(['--peers', 'nobody']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^bench: Unknown peer 'nobody'\. Known: none, duraloom\/postgres, duroxide\/sqlite, /);
    expect(stderr).toContain('npm run bench:peers -- [options]');
  });
});

describe('the options', () => {
  test.each([
    [['--rows', 'W9'], "Unknown row 'W9'. Known: W1, W1d"],
    [['--peers', 'duroxide,nobody'], "Unknown peer 'nobody'. Known: none, duroxide/sqlite"],
    [['--rounds', '0'], "Expected --rounds to be an integer from 1 to 100, got '0'"],
    [['--timeout', 'soon'], "Expected --timeout to be an integer from 1 to 3600, got 'soon'"],
    [['--knob', 'workers'], "Expected --knob to be a name and a number, such as workers=8, got 'workers'"],
    [['--fast'], "Unknown option '--fast'"],
    [['W1'], "Unexpected argument 'W1'"],
  ])('refuse %j', (words, message) => {
    expect(readCommand(words, KNOWN)).toMatchObject({ kind: 'wrong', message: expect.stringContaining(message) as string });
  });

  test.each([
    [[], ['duroxide/sqlite', 'duroxide/memory', 'dbos/postgres']],
    [['--peers', 'none'], []],
    [
      ['--peers', 'duroxide'],
      ['duroxide/sqlite', 'duroxide/memory'],
    ],
    [
      ['--peers', 'dbos,duroxide/memory'],
      ['duroxide/memory', 'dbos/postgres'],
    ],
    [['--peers', 'dbos/postgres-queue'], ['dbos/postgres-queue']],
  ])('%j choose peers', (words, peers) => {
    expect(readCommand(words, KNOWN)).toMatchObject({ kind: 'run', options: { peers, rows: ['W1', 'W1d'] } });
  });
});

describe('a comparison', () => {
  const rate = WORKLOADS.find(({ name }) => name === 'W1');
  const latency = WORKLOADS.find(({ name }) => name === 'W5');
  const [peer] = PEERS;
  if (rate === undefined || latency === undefined || peer === undefined) throw new TypeError('rows or peers are missing');

  const result = (part: Partial<PeerResult>): PeerResult => ({
    workload: rate,
    peer,
    version: '1.2.3',
    setting: 'workers 4',
    size: 10,
    rounds: [],
    failure: null,
    ...part,
  });

  test('pairs each round with what ran beside it', () => {
    const rounds = [
      { values: { perSecond: 100 }, beside: [{ perSecond: 900 }, { perSecond: 1_100 }] },
      { values: { perSecond: 50 }, beside: [{ perSecond: 1_000 }] },
    ];
    const [field] = rate.fields;
    if (field === undefined) throw new TypeError('no field');
    expect(spreadOf(result({ rounds }), field)).toEqual({ median: 75, min: 50, max: 100 });
    expect(ratioOf(result({ rounds }), field)).toEqual({ median: 15, min: 10, max: 20 });
  });

  test('is above 1 where duraloom takes less time', () => {
    const rounds = [{ values: { elapsedMs: 300 }, beside: [{ elapsedMs: 100 }] }];
    const [field] = latency.fields;
    if (field === undefined) throw new TypeError('no field');
    expect(ratioOf(result({ workload: latency, rounds }), field)).toEqual({ median: 3, min: 3, max: 3 });
    expect(ratioOf(result({ workload: latency, rounds: [{ values: { elapsedMs: 100 }, beside: [] }] }), field)).toBe(null);
  });

  test('shows peers that failed with the reason', () => {
    const rounds = [{ values: { perSecond: 100 }, beside: [{ perSecond: 1_000 }] }];
    const table = toTable(rate, [result({ failure: 'a | b' }), result({ rounds, failure: 'later' })]);
    expect(
      toSummary([
        [result({ peer: DURALOOM }), result({ failure: 'a' })],
        [result({ peer: DURALOOM }), result({ rounds })],
      ]),
    ).toBe(
      `\n### duraloom ÷ peer\n\n| runtime | durability | activities | W1 | W1 |\n| --- | --- | --- | --: | --: |\n| ${peer.key} | ${peer.durability} | queued | failed | 10 |`,
    );
    const [failed, late] = table.split('\n').slice(-2);
    expect(failed).toBe(`| ${peer.key} | 1.2.3 | ${peer.durability} | queued | workers 4 | 10 | failed: a / b |  |`);
    expect(late).toBe(`| ${peer.key} | 1.2.3 | ${peer.durability} | queued | workers 4 | 10 | 100, then failed: later | 10 |`);
  });
});
