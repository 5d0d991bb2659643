// The bench runs and prints what it promises. No speed is asserted: that is what the bench is for.
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { nameThreads, type CpuProfile, type Frame } from '../bench/cpu-profile.ts';
import { readCommand, type BenchOptions } from '../bench/options.ts';
import { toConclusion, toTable } from '../bench/print.ts';
import { categorise } from '../bench/profile-categories.ts';
import { summarise } from '../bench/profile-summary.ts';
import type { RowResult } from '../bench/result.ts';
import { ROWS } from '../bench/rows.ts';
import { combine, DEFAULT_SETTINGS } from '../bench/sweep.ts';
import { judge, TARGETS } from '../bench/targets.ts';
import { ThreadProfiler } from '../bench/thread-profiler.ts';
import { postgresUrl, query } from './support/postgres.ts';

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const ROOT = join(import.meta.dirname, '..');
const BENCH = ['--conditions=duraloom-source', join(ROOT, 'bench/main.ts')];
const PROFILE = ['--conditions=duraloom-source', join(ROOT, 'bench/profile-main.ts')];

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-bench-test-'));
  folders.push(folder);
  return folder;
}

function run(command: readonly string[], words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...command, ...words], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

type Line = { readonly row: string; readonly range: Readonly<Record<string, unknown>> } & Readonly<Record<string, unknown>>;

const parseLines = (stdout: string): readonly Line[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** Many processes with threads of their own: a few seconds each, much more on a machine that is busy. */
const TIMEOUT_MS = 120_000;

/** Fields of each row that others read: the targets, the peers, the figures in README.md. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  W1: ['orchestrationsPerSecond', 'activitiesPerSecond', 'ceilingRatio', 'mainCpuMicrosPerOrchestration', 'eventLoopDelayP99Ms'],
  W1d: ['orchestrationsPerSecond', 'activitiesPerSecond'],
  W2: ['totalMs', 'millisecondsPerStep'],
  W2c: ['chainsPerSecond'],
  W3: ['p50Ms', 'p95Ms', 'p99Ms'],
  W4: ['raiseMs', 'completeMs', 'completedPerSecond', 'rssMbIdle', 'rssMbWaiting'],
  W5: ['wallMs', 'idealMs', 'wallToIdeal', 'eventLoopDelayMaxMs'],
  W6: ['startsPerSecond'],
  W7: ['pending', 'lateP50Ms', 'lateP99Ms', 'lateMaxMs'],
  W8: ['familyMs', 'childrenPerSecond'],
  W9: ['mibPerSecond', 'millisecondsEach'],
  W10: ['openMs', 'completeMs', 'completedPerSecond'],
  W12: ['orchestrationsPerSecond', 'onePerSecond', 'twoToOne'],
  W13: ['orchestrationsPerSecond', 'plainPerSecond', 'observedToPlain'],
  W14: ['p50Ms'],
  W11: ['finished', 'fullPerSecond', 'emptyPerSecond', 'fullToEmpty'],
  M1: ['microsPerEvent'],
  M2: ['microsPer1000Events', 'eventsPerSecond'],
  M3: ['microsPerTurn'],
  M4: ['microsPerItem'],
  M5: ['microsPerItem'],
  M6: ['microsPerCall'],
};
/** Halves of the rows that take equally long. */
const HALVES = [
  ['W1', 'W2', 'W2c', 'W3', 'W4', 'W5', 'M1', 'M2', 'M4'],
  ['W1d', 'W6', 'W7', 'W8', 'W9', 'W10', 'W11', 'W13', 'W14', 'M5', 'M6'],
];

describe.concurrent('npm run bench', { timeout: TIMEOUT_MS }, () => {
  test.each(HALVES.map((rows) => [rows]))('prints JSON lines for the rows %j and nothing else', async (rows) => {
    const { code, stdout, stderr } = await run(BENCH, [...rows, '--quick', '--json', '--rounds', '1', '--threads', '1']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = parseLines(stdout);
    expect([...new Set(lines.map(({ row }) => row))]).toEqual(ROWS.map(({ name }) => name).filter((name) => rows.includes(name)));
    for (const line of lines) {
      expect(Object.keys(line.range)).toEqual(expect.arrayContaining([...(FIELDS[line.row] ?? [])]));
      expect(Object.keys(line['units'] as object)).toEqual(Object.keys(line.range));
      const numbers = Object.keys(line.range).map((field) => [field, line[field]]);
      expect(numbers.filter(([, value]) => !(typeof value === 'number' && Number.isFinite(value)))).toEqual([]);
      expect(line['machine']).toMatchObject({ node: process.version, sync: 'FULL', store: 'file', threads: '1x1', quick: true });
      expect(line).not.toHaveProperty('targets');
    }
  });

  test('measures rows on a PostgreSQL server, which the header and each line name', async () => {
    const words = ['W1', 'W2', 'W3', 'W6', 'W12', '--store', 'postgres', '--threads', '1', '--quick', '--rounds', '1', '--json'];
    const { code, stdout, stderr } = await run(BENCH, words, { DATABASE_URL: postgresUrl() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = parseLines(stdout);
    expect([...new Set(lines.map(({ row }) => row))]).toEqual(['W1', 'W2', 'W3', 'W6', 'W12']);
    for (const line of lines) {
      const own =
        line.row === 'W1' ? ['statementsPerOrchestration', 'roundTripsPerOrchestration', 'orchestrationsPerSecond'] : FIELDS[line.row];
      expect(Object.keys(line.range)).toEqual(expect.arrayContaining([...(own ?? [])]));
      const postgres = expect.stringMatching(/^PostgreSQL [\d.]+, fsync \w+, synchronous_commit \w+: DATABASE_URL$/) as string;
      expect(line['machine']).toMatchObject({ store: 'postgres', postgres });
    }
    expect(await query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bench\\_%'")).toEqual([]);
  });

  test('measures every case of a micro row and shows it in an aligned table', async () => {
    const { code, stdout, stderr } = await run(BENCH, ['m3', '--quick', '--rounds', '2']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    const heading = lines.findIndex((line) => line.startsWith('row '));
    const rows = lines.slice(heading + 1);
    expect(rows.map((line) => line.slice(0, 2))).toEqual(['M3', 'M3', 'M3']);
    const unitAt = lines[heading]?.indexOf('unit');
    expect(rows.map((line) => line.indexOf('µs/'))).toEqual(rows.map(() => unitAt));
  });

  test('measures each combination of the settings that a row depends on, and leaves out rows without a store', async () => {
    const words = ['W2c', 'W10', '--store', 'sqlite-memory,memory', '--threads', '0x0', '--slots', '8', '--quick', '--rounds', '1'];
    const { code, stdout, stderr } = await run(BENCH, words);
    expect(code).toBe(0);
    expect(stderr).toBe('bench: row W10 needs --store file: left out\n');
    const lines = stdout.split('\n').filter((line) => line.startsWith('W'));
    expect(lines.map((line) => (line.includes(' with ') ? line : line.slice(0, 26).trimEnd()))).toEqual([
      'W2c  with threads 0x0, store sqlite-memory, slots 8',
      'W2c  200 chains of 10 at o',
      'W2c  their activities',
      'W2c  with threads 0x0, store memory, slots 8',
      'W2c  200 chains of 10 at o',
      'W2c  their activities',
    ]);
  });

  test('ends with exit code 2 and the usage when it was called wrongly', async () => {
    const { code, stdout, stderr } = await run(BENCH, ['W1', 'W99']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^bench: Unknown row 'W99'\. Known: W1, W1d, W2/);
    expect(stderr).toContain('npm run bench -- [rows] [options]');
  });

  test('compares with a commit and leaves no worktree behind', async () => {
    const folder = makeFolder();
    const { code, stdout, stderr } = await run(BENCH, ['M1', '--compare', 'HEAD', '--pairs', '1', '--quick'], { TMPDIR: folder });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n').filter((line) => line.startsWith('M1'));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) expect(line).toMatch(/^M1 .+: microsPerEvent +[\d.,]+ +[\d.,]+ +[\d.,]+$/);
    expect(readdirSync(folder)).toEqual([]);
    expect(listWorktrees()).not.toContain(folder);
    expect(existsSync(join(ROOT, 'node_modules/vitest'))).toBe(true);
  });

  test('removes the worktree of a comparison that is interrupted', async () => {
    const folder = makeFolder();
    const words = [...BENCH, 'M1', '--compare', 'HEAD', '--pairs', '100', '--quick'];
    const child = spawn(process.execPath, words, { env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'pipe', 'inherit'] });
    // The heading comes when the worktree is there.
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(listWorktrees()).toContain(folder);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(listWorktrees()).not.toContain(folder);
    expect(existsSync(join(ROOT, 'node_modules/vitest'))).toBe(true);
  });

  test('says when it cannot compare', async () => {
    const { code, stdout, stderr } = await run(BENCH, ['M1', '--compare', 'no-such-branch']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain("Expected --compare to name a commit, branch or tag of this repository, got 'no-such-branch'");
  });
});

function listWorktrees(): string {
  return execFileSync('git', ['worktree', 'list'], { cwd: ROOT, encoding: 'utf8' });
}

describe.concurrent('npm run profile', { timeout: TIMEOUT_MS }, () => {
  test('keeps a profile of each thread and says where the time goes', async () => {
    const folder = makeFolder();
    const { code, stdout, stderr } = await run(PROFILE, ['W1', '--quick', '--threads', '1', '--out', folder]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(readdirSync(join(folder, 'W1-threads-1x1')).toSorted()).toEqual([
      'activity-1.cpuprofile',
      'main.cpuprofile',
      'replay-1.cpuprofile',
    ]);
    expect(stdout).toMatch(/^measured: 500 orchestrations in \d+ ms$/m);
    expect(stdout).toMatch(/^main: busy [\d.]+ %, of that garbage collection [\d.]+ %; idle [\d.]+ %; \d+ ms$/m);
    // Which kinds of work were sampled is luck: on a busy machine there are a few samples only.
    expect(stdout).toMatch(/^ {2}busy in all +[\d.]+ % +[\d.]+ µs\/orchestration$/m);
    expect(stdout).toMatch(/^ {2}idle +[\d.]+ % +[\d.]+ µs\/orchestration$/m);
    expect(stdout).toMatch(/^replay-1: busy/m);
    expect(stdout).toMatch(/^activity-1: busy/m);
  });

  test('ends with exit code 2 when no row, or one that cannot be profiled, is named', async () => {
    const { code, stderr } = await run(PROFILE, []);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^profile: Expected the rows to profile\. Known: W1, W1d/);
    expect(readCommand(['W10'], ['W1'], 'profile')).toEqual({ kind: 'wrong', message: "Unknown row 'W10'. Known: W1" });
  });

  test('tells commits of the real store from its statements', async () => {
    const folder = makeFolder();
    const provider = await SqliteProvider.open(join(folder, 'store.db'));
    const client = new Client(provider);
    const profiler = new ThreadProfiler(folder);
    const profiles: CpuProfile[] = [];
    // Until there is a sample of each: nobody knows how many commits that takes.
    for (let text = ''; !text.includes('SQLite: begin and commit') || !text.includes('SQLite: statements');) {
      await profiler.profile(0, async () => {
        for (let index = 0; index < 200; index += 1) await client.startOrchestration(`${profiles.length}-${index}`, 'anything');
      });
      const [main] = profiler.stretches.at(-1)?.threads ?? [];
      profiles.push(JSON.parse(readFileSync(main?.file ?? '', 'utf8')) as CpuProfile);
      text = summarise([{ thread: 'main', profiles }], 0);
    }
    await provider.close();
  });

  test('names threads by what they have loaded', () => {
    const [replay, activity] = ['file:///src/threads/replay-thread.ts', 'file:///dist/threads/activity-thread.js'];
    expect(nameThreads([[replay], [activity], ['node:fs', replay], [], [activity]])).toEqual([
      'main',
      'activity-1',
      'replay-1',
      'worker-1',
      'activity-2',
    ]);
  });

  test('adds up the time of samples by category and function', () => {
    const frame = (functionName: string, url: string): Frame => ({ functionName, url, lineNumber: 9 });
    const profile: CpuProfile = {
      nodes: [
        { id: 1, callFrame: frame('(root)', ''), children: [2, 5] },
        { id: 2, callFrame: frame('#transact', 'file:///src/provider/sqlite/group-commit.ts'), children: [3, 4] },
        { id: 3, callFrame: frame('', '') },
        { id: 4, callFrame: frame('insert', 'file:///src/provider/sqlite/work-queue.ts') },
        { id: 5, callFrame: frame('(idle)', '') },
      ],
      startTime: 0,
      endTime: 1_000,
      samples: [3, 4, 5],
      timeDeltas: [0, 600, 200],
    };
    const text = summarise([{ thread: 'main', profiles: [profile, profile] }], 4);
    expect(text).toContain('main: busy 80.0 %, of that garbage collection 0.0 %; idle 20.0 %; 2 ms');
    expect(text).toMatch(/SQLite: begin and commit +60\.0 % +300\.00 µs\/orchestration/);
    expect(text).toMatch(/store, its JavaScript +20\.0 % +100\.00 µs\/orchestration/);
    expect(text).toMatch(/60\.0 % {2}C\+\+ ← #transact sqlite\/group-commit\.ts:10/);
  });

  test.each([
    [['', 'x'], [['anything', 'file:///src/provider/sqlite/work-queue.ts']], 'SQLite: statements'],
    [['postMessage', ''], [['post', 'file:///src/threads/thread-pool.ts']], 'ports'],
    [['encodePayload', 'file:///src/types/codec.ts'], [['toNewInstance', 'file:///src/client/start.ts']], 'encode and decode'],
    [['now', 'node:internal/perf/performance'], [['#take', 'file:///src/main/activity-dispatcher.ts']], 'dispatch'],
    [['processTimers', 'node:internal/timers'], [], 'Node: timers, promises, streams'],
    [['(garbage collector)', ''], [['#take', 'file:///src/main/activity-dispatcher.ts']], 'garbage collection'],
    [['spin', 'file:///bench/activities.ts'], [], 'orchestrations and activities'],
  ] as const)('counts %j called by %j as %s', ([functionName, url], callers, category) => {
    const stack = [[functionName, url === 'x' ? '' : url] as const, ...callers].map(([name, file]) => ({
      functionName: name,
      url: file,
      lineNumber: 0,
    }));
    expect(categorise(stack)).toBe(category);
  });
});

describe('the command line', () => {
  test.each([
    [['W9'], "Unknown row 'W9'. Known: W1, W2"],
    [['--fast'], "Unknown option '--fast'"],
    [['--rounds', '0'], "Expected --rounds to be an integer from 1 to 100, got '0'"],
    [
      ['--threads', '1,x'],
      'Expected --threads to be a list of n or rxa (replay x activity threads) from 0 to 256, such as 1,2 or 1x1,1x2, got',
    ],
    [['--threads', '1x257'], "got '1x257'"],
    [['--sync', 'OFF'], "Expected --sync to be of FULL, NORMAL, got 'OFF'"],
    [['--store', 'file,disk'], "Expected --store to be of file, sqlite-memory, memory, postgres, got 'disk'"],
    [['--slots', '0'], "Expected --slots to be an integer from 1 to 100000, got '0'"],
    [['--turns-per-thread', '-'], "Expected --turns-per-thread to be an integer from 1 to 10000, got '-'"],
    [['--cache-mib', '1.5'], "Expected --cache-mib to be an integer from 0 to 65536, got '1.5'"],
    [['--max-commit-ms', ''], "Expected --max-commit-ms to be an integer from 1 to 10000, got ''"],
    [['--quick', '--large'], 'Expected either --quick or --large, got both'],
    [['--pairs', '2'], 'Expected --pairs together with --compare <ref>'],
    [['--compare', 'HEAD', '--json'], 'Expected --compare without --json'],
    [['--compare', 'HEAD', '--rounds', '2'], 'Expected --pairs instead of --rounds'],
    [['--compare='], "Expected --compare to name a commit, branch or tag, got ''"],
    [['--out', 'here'], "Unknown option '--out'"],
  ])('refuses %j', (words, message) => {
    const command = readCommand(words, ['W1', 'W2']);
    expect(command).toMatchObject({ kind: 'wrong', message: expect.stringContaining(message) as string });
  });

  test('reads lists, each value once', () => {
    const words = ['w1D', '--threads', '1,2, 1x3,1x1', '--sync', 'full,NORMAL', '--store', 'file,memory', '--cache-mib', '8,64'];
    expect(readCommand(words, ['W1', 'W1d'])).toMatchObject({
      kind: 'run',
      rows: ['W1d'],
      sweep: {
        threads: [
          { replay: 1, activity: 1 },
          { replay: 2, activity: 2 },
          { replay: 1, activity: 3 },
        ],
        sync: ['FULL', 'NORMAL'],
        store: ['file', 'memory'],
        cacheMib: [8, 64],
      },
    });
  });

  test('hands settings on to both sides of a comparison', () => {
    const words = ['W1', '--compare', 'main', '--pairs', '5', '--threads', '1,2', '--quick'];
    expect(readCommand(words, ['W1'])).toEqual({
      kind: 'compare',
      rows: ['W1'],
      ref: 'main',
      pairs: 5,
      passed: ['--threads=1,2', '--quick'],
    });
  });

  test('combines values, and leaves out what a row does not depend on', () => {
    const sweep = { sync: ['FULL', 'NORMAL'], store: ['file', 'memory'], slots: [1, 2] } as const;
    const all = combine(sweep, { uses: ['sync', 'store'], stores: ['file', 'memory'] });
    expect(all.map(({ label }) => label)).toEqual(['sync FULL, store file', 'sync FULL, store memory', 'sync NORMAL, store file']);
    expect(combine(sweep, { uses: [], stores: ['file'] })).toEqual([{ settings: DEFAULT_SETTINGS, label: '' }]);
    expect(combine({ store: ['memory'] }, { uses: ['store'], stores: ['file'] })).toEqual([]);
  });

  test('takes the values of a row unless others are given, and names them', () => {
    const row = { uses: ['slots'], stores: ['file'], defaults: { slots: [9] } } as const;
    expect(combine({}, row)).toEqual([{ settings: { ...DEFAULT_SETTINGS, slots: 9 }, label: 'slots 9' }]);
    expect(combine({ slots: [3] }, row)).toEqual([{ settings: { ...DEFAULT_SETTINGS, slots: 3 }, label: 'slots 3' }]);
  });
});

describe('targets', () => {
  const options: BenchOptions = { ...DEFAULT_SETTINGS, rounds: 3, quick: false, large: false };
  const result: RowResult = {
    row: 'W3',
    metrics: [
      { field: 'p50Ms', label: 'a half', unit: 'ms', values: [0.5, 0.9, 3] },
      { field: 'p99Ms', label: 'nearly all', unit: 'ms', values: [5] },
    ],
    sizes: {},
  };

  test('are of rows that exist, and each figure has one at most', () => {
    const known = new Set(ROWS.map(({ name }) => name));
    expect(TARGETS.filter(({ row, field }) => !known.has(row) || (FIELDS[row] ?? []).length === 0 || field === '')).toEqual([]);
    const keys = TARGETS.map(({ row, store, name, field }) => [row, store, name, field].join());
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('are shown with the figure, and again at the end when they are missed', () => {
    expect(toTable(result, options).split('\n')).toEqual([
      expect.stringMatching(/^W3 +a half .* ms +≤ 1: met$/),
      expect.stringMatching(/^W3 +nearly all .* ms +≤ 4: missed$/),
    ]);
    const verdicts = result.metrics.flatMap((metric) => judge(result, metric, options) ?? []);
    expect(toConclusion(verdicts)).toBe('\ntargets: 1 of 2 met; missed:\n  W3 p99Ms: 5, ≤ 4: missed\n');
    expect(toConclusion([])).toBe('');
  });

  test('are those of the store', () => {
    const verdicts = result.metrics.flatMap((metric) => judge(result, metric, { ...options, store: 'postgres' }) ?? []);
    expect(verdicts.map(({ target, met }) => [target.field, target.value, met])).toEqual([['p50Ms', 8, true]]);
  });

  test.each([{ quick: true }, { sync: 'NORMAL' as const }, { store: 'memory' as const }])('do not hold with %j', (other) => {
    expect(result.metrics.flatMap((metric) => judge(result, metric, { ...options, ...other }) ?? [])).toEqual([]);
  });
});
