// The stress runs run, and they can fail. What they find is not asserted here: that is what they are for.
import Database from 'better-sqlite3';
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkFile, checkInvariants } from '../stress/invariants.ts';
import { Load } from '../stress/load.ts';
import { readCommand } from '../stress/options.ts';
import { Random } from '../stress/random.ts';
import { startRuntime } from '../stress/runtime.ts';
import { postgresUrl, query } from './support/postgres.ts';

const MAIN = join(import.meta.dirname, '../stress/main.ts');
const temporary = mkdtempSync(join(tmpdir(), 'duraloom-stress-test-'));
// A server of PostgreSQL does not run as root, and must get to its folder.
chmodSync(temporary, 0o755);
/** Several processes with threads of their own: a few seconds, much more on a machine that is busy. */
const TIMEOUT_MS = 120_000;

afterAll(() => rmSync(temporary, { recursive: true }));

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

function runStress(words: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, DATABASE_URL: '', TMPDIR: temporary, ...more };
    execFile(process.execPath, ['--conditions=duraloom-source', MAIN, ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const lastLine = (stdout: string): unknown => JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');

describe('npm run stress', { timeout: TIMEOUT_MS }, () => {
  test('kills hosts, prints its configuration and what it measured, and ends with a JSON line', async () => {
    const before = readdirSync(temporary);
    const { code, stdout, stderr } = await runStress(['kill', '--rounds', '2', '--in-flight', '5', '--seed', '3']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^stress kill: rounds 2, seed 3, replayThreads 1, activityThreads 2, inFlight 5\n/);
    expect(stdout).toMatch(/\nstress kill: \d+ orchestrations in [\d.]+ s, [\d.]+\/s, p50 [\d.]+ ms, p99 [\d.]+ ms\n/);
    expect(stdout).toContain('\nverdict: ok\n');
    const line = lastLine(stdout);
    expect(line).toMatchObject({ stress: 'kill', verdict: 'ok', violations: 0, rounds: 2, seed: 3, inFlight: 5, figures: { checks: 2 } });
    const numbers = ['seconds', 'completed', 'perSecond', 'p50Ms', 'p99Ms'] as const;
    const { figures, ...rest } = line as Record<(typeof numbers)[number], number> & { readonly figures: { readonly kills: number } };
    for (const name of numbers) expect({ [name]: rest[name] }).toEqual({ [name]: expect.any(Number) as number });
    expect(figures.kills).toBeGreaterThanOrEqual(2);
    expect(readdirSync(temporary)).toEqual(before);
  });

  test('runs a fleet on a server that goes away meanwhile, and says what it did', async () => {
    const { code, stdout, stderr } = await runStress([
      'fleet',
      '--runtimes',
      '2',
      '--kill',
      '--rounds',
      '3',
      '--in-flight',
      '5',
      '--seed',
      '5',
    ]);
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('\n  server: our own, default settings; it goes away and comes back meanwhile\n');
    const { figures, ...line } = lastLine(stdout) as { readonly figures: Readonly<Record<string, number>> };
    expect(line).toMatchObject({ stress: 'fleet', verdict: 'ok', violations: 0, rounds: 3, seed: 5, runtimes: 2, kill: true });
    expect(figures['hosts']).toBe(2 + (figures['kills'] ?? 0));
    expect(figures).toMatchObject({ 'server fast': 1, kill: 1, delay: 1 });
    expect(figures['activities']).toBeGreaterThan(0);
  });

  test('leaves a given server as it was', async () => {
    const { code, stdout, stderr } = await runStress(['fleet', '--runtimes', '1', '--rounds', '1', '--in-flight', '2', '--seed', '1'], {
      DATABASE_URL: postgresUrl(),
    });
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('\n  server: DATABASE_URL; it is not ours to take down: it stays up\n');
    expect(await query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'stress\\_%'")).toEqual([]);
  });

  test('fails when an instance that was acknowledged is lost', async () => {
    const folder = mkdtempSync(join(temporary, 'lost-'));
    const ended = runStress(['pause', '--rounds', '1', '--in-flight', '5', '--seed', '1', '--folder', folder]);
    await expect.poll(() => loseInstances(folder), { timeout: TIMEOUT_MS, message: 'some instance has completed' }).toBeGreaterThan(0);
    const { code, stdout, stderr } = await ended;
    expect(stderr).toMatch(/violation: [ab]\.\d+\.\w+\.\d was acknowledged and is lost/);
    expect(stderr).toContain(`the database is kept in ${folder}`);
    expect(lastLine(stdout)).toMatchObject({ stress: 'pause', verdict: 'violated' });
    expect(code).toBe(1);
  });

  test('explains itself with --help, and ends with exit code 2 when it was called wrongly', async () => {
    const [help, wrong] = await Promise.all([runStress(['--help']), runStress(['kill', '--minutes', '1'])]);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const mode of ['kill', 'faults', 'threads', 'soak', 'disk-full', 'pause', 'clock', 'fleet'])
      expect(help.stdout).toMatch(`\n  ${mode} `);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^stress: The length of kill is given by --rounds, not by --minutes\n\nnpm run stress -- <mode>/);
  });
});

/** Deletes what has completed behind the back of a run. Returns how many. */
function loseInstances(folder: string): number {
  const name = readdirSync(folder).find((file) => file.endsWith('.db'));
  if (name === undefined) return 0;
  const database = new Database(join(folder, name));
  try {
    return database.prepare("DELETE FROM instances WHERE status = 'Completed' AND parent_instance_id IS NULL").run().changes;
  } catch {
    // The tables are not there yet.
    return 0;
  } finally {
    database.close();
  }
}

describe('the command line of stress', () => {
  const modes = {
    kill: { length: 'rounds', defaultLength: 200, defaultInFlight: 30 },
    soak: { length: 'minutes', defaultLength: 10, defaultInFlight: 200 },
    fleet: { length: 'rounds', defaultLength: 60, defaultInFlight: 20, defaultRuntimes: 4 },
  } as const;

  test('has defaults for each mode', () => {
    expect(readCommand(['soak'], modes)).toMatchObject({
      kind: 'run',
      mode: 'soak',
      settings: { rounds: 0, minutes: 10, replayThreads: 1, activityThreads: 2, inFlight: 200, runtimes: null, kill: null, folder: null },
    });
    expect(readCommand(['fleet', '--kill'], modes)).toMatchObject({ settings: { rounds: 60, runtimes: 4, kill: true } });
  });

  test.each([
    [[], "Expected one mode of kill, soak, fleet, got ''"],
    [['explode'], "Expected one mode of kill, soak, fleet, got 'explode'"],
    [['toString'], "Expected one mode of kill, soak, fleet, got 'toString'"],
    [['kill', 'soak'], "Expected one mode of kill, soak, fleet, got 'kill soak'"],
    [['soak', '--rounds', '3'], 'The length of soak is given by --minutes, not by --rounds'],
    [['kill', '--rounds', '0'], "Expected --rounds to be an integer up to 1000000, not 0, got '0'"],
    [['kill', '--rounds', '1.5'], "Expected --rounds to be an integer up to 1000000, not 0, got '1.5'"],
    [['soak', '--minutes', 'long'], "Expected --minutes to be a number up to 10000, not 0, got 'long'"],
    [['kill', '--seed', '-1'], '--seed'],
    [['kill', '--threads', '0,1'], 'Expected --threads to be two integers from 1 to 256, such as 1,2 (replay, activity), got'],
    [['kill', '--runtimes', '2'], 'kill has no --runtimes and no --kill: they are those of fleet'],
    [['fleet', '--runtimes', '0'], "Expected --runtimes to be an integer up to 32, not 0, got '0'"],
    [['kill', '--fast'], "Unknown option '--fast'"],
  ])('refuses %j', (words, message) => {
    expect(readCommand(words, modes)).toMatchObject({ kind: 'wrong', message: expect.stringContaining(message) as string });
  });
});

describe('the checks of a stress run', () => {
  const sound = join(temporary, 'sound.db');
  const acknowledged: string[] = [];

  beforeAll(async () => {
    const provider = await SqliteProvider.open(sound);
    const runtime = await startRuntime(provider, { replayThreads: 0, activityThreads: 0, lockMs: 5_000 });
    const load = new Load({
      client: new Client(provider),
      random: new Random(1),
      prefix: 'check',
      kinds: ['chain', 'fanOut', 'generations'],
      inFlight: 4,
      isOver: () => acknowledged.length >= 9,
      onStarted: ({ instanceId }) => acknowledged.push(instanceId),
    });
    await load.done;
    expect(load.violations).toEqual([]);
    await runtime.shutdown();
    await provider.close();
  });

  async function check(file: string): Promise<readonly string[]> {
    const provider = await SqliteProvider.open(file);
    try {
      const { violations, census } = await checkInvariants(provider, new Client(provider), { acknowledged, final: true });
      expect(census.activities).toBeGreaterThan(0);
      return violations;
    } finally {
      await provider.close();
    }
  }

  test('find nothing wrong with a sound store', async () => {
    expect(acknowledged.length).toBeGreaterThanOrEqual(9);
    expect(await check(sound)).toEqual([]);
    expect(checkFile(sound)).toEqual([]);
  });

  test.each([
    ['a lost instance', 'DELETE FROM instances WHERE instance_id = $id', /^(\S+) was acknowledged and is lost$/],
    ['a wrong result', `UPDATE instances SET output = '-1' WHERE instance_id = $id`, /^(\S+) returned -1, expected \d+$/],
    ['an instance that failed', "UPDATE instances SET status = 'Failed' WHERE instance_id = $id", /^(\S+) is Failed: /],
    ['an instance that goes on', "UPDATE instances SET status = 'Running' WHERE instance_id = $id", /^(\S+) is Running and will not end$/],
    [
      'a hole in a history',
      'DELETE FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = $id) AND first_event_id = (SELECT max(first_event_id) FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = $id) AND execution_id = 1)',
      /^(\S+)\/1 /,
    ],
    [
      'a result that was recorded twice',
      `UPDATE history SET events = replace(events, '"sourceId":4', '"sourceId":2') WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = $id) AND execution_id = 1`,
      /^(\S+)\/1/,
    ],
    [
      'work that is left over',
      `INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, attempts, name, payload)
       SELECT $id, 1, 99, 0, 0, 'square', '1'`,
      /^the queues are not empty: /,
    ],
  ])('find %s', async (what, sql, expected) => {
    const file = join(temporary, `${what.replaceAll(' ', '-')}.db`);
    copyFileSync(sound, file);
    const id = acknowledged.find((instanceId) => instanceId.includes('.chain.'));
    const database = new Database(file);
    expect(database.prepare(sql).run({ id }).changes).toBeGreaterThan(0);
    database.close();
    const violations = await check(file);
    const [first = '', ...others] = violations;
    expect(first).toMatch(expected);
    expect(expected.exec(first)?.[1] ?? id).toBe(id);
    expect(others.filter((text) => !text.includes(id ?? ''))).toEqual([]);
  });

  test('find a damaged file', () => {
    const file = join(temporary, 'damaged.db');
    const bytes = readFileSync(sound);
    const half = Math.floor(bytes.length / 2);
    writeFileSync(file, bytes.fill(0xff, half, half + 4096));
    expect(checkFile(file).length).toBeGreaterThan(0);
  });
});
