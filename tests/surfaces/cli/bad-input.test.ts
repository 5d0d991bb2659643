// Stores that cannot be used, readers that go away, words that make no sense: a clear message, the right exit code, and never a stack trace.
import Database from 'better-sqlite3';
import { SqliteProvider } from 'duraloom/sqlite';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../../src/index.ts';
import { collect, makePlace, PROGRAM, type CliPlace, type CliRun } from '../../support/cli.ts';

let place: CliPlace;

beforeAll(async () => {
  place = await makePlace();
  const provider = await SqliteProvider.open(join(place.folder, 'good.db'));
  const client = new Client(provider);
  await client.startOrchestration('waiting', 'nobody');
  // What a terminal would act on: colours, a title, the cursor, another direction of reading.
  await client.startOrchestration('evil\u001B]0;owned\u0007\u001B[2J\u202Eid', 'na\u001B[31mme', '\u009B31m');
  await provider.close();
});

afterAll(() => place.remove());

/** One line of error with a code, and nothing of where it comes from. */
function expectError({ code, stdout, stderr }: CliRun, exitCode: number, text: RegExp): void {
  expect([code, stdout]).toEqual([exitCode, '']);
  expect(stderr).toMatch(text);
  expect(stderr).toMatch(/^error: .*\([A-Z_]+\)\n$/);
  expect(stderr).not.toMatch(/^\s+at /m);
}

describe('a store', { timeout: 120_000 }, () => {
  test('that is not there is named, and not made', async () => {
    await writeFile(join(place.folder, 'duraloom.config.json'), '{ "store": "./configured.db" }');
    const [option, variable, config, broken] = await Promise.all([
      place.run(['list', '--store', 'nope/missing.db']),
      place.run(['list'], { env: { DURALOOM_STORE: 'other.db' } }),
      place.run(['list']),
      place.run(['list', '--store', 'mysql://x/y']),
    ]);
    expectError(option, 5, /no store '.*missing\.db' \(named by --store\).*\(STORE_NOT_FOUND\)/);
    expectError(variable, 5, /other\.db' \(named by DURALOOM_STORE\)/);
    expectError(config, 5, /configured\.db' \(named by duraloom\.config\.json\)/);
    expectError(broken, 2, /--store to be the path of a SQLite file or a postgres:\/\/ address/);
    expect((await readdir(place.folder)).filter((name) => /missing|other|configured/.test(name))).toEqual([]);
    await writeFile(join(place.folder, 'duraloom.config.json'), '{ "store": 5 }');
    expectError(await place.run(['list']), 2, /names no store/);
    await writeFile(join(place.folder, 'duraloom.config.json'), '{ "store": "./good.db" }');
    expect(await place.json(['list', '--count'])).toEqual({ count: 2, isExact: true });
  });

  test('that is damaged, foreign, newer or older is left as it is', async () => {
    const file = (name: string): string => join(place.folder, name);
    await writeFile(file('text.db'), 'this is no database, but it is long enough to be one'.repeat(20));
    new Database(file('foreign.db')).exec('CREATE TABLE theirs (a)').close();
    const good = await readFile(file('good.db'));
    for (const [name, version] of [
      ['newer.db', 9_999],
      ['older.db', 1],
    ] as const) {
      await writeFile(file(name), good);
      const database = new Database(file(name));
      database.pragma(`user_version = ${version}`);
      database.close();
    }
    const names = ['text.db', 'foreign.db', 'newer.db', 'older.db'];
    const before = await Promise.all(names.map((name) => readFile(file(name))));
    const [text, foreign, newer, older, doctor] = (await Promise.all([
      ...names.map((name) => place.run(['list', '--store', name])),
      place.run(['doctor', '--store', 'text.db']),
    ])) as unknown as readonly [CliRun, CliRun, CliRun, CliRun, CliRun];
    expectError(text, 5, /\(DATABASE_UNREADABLE\)/);
    expectError(foreign, 5, /another program.*\(DATABASE_FOREIGN\)/);
    expectError(newer, 5, /Update duraloom \(SCHEMA_TOO_NEW\)/);
    expectError(older, 5, /has schema version 1.*DURALOOM_MIGRATE=1 \(STORE_OLDER\)/);
    expect(doctor).toMatchObject({ code: 5, stdout: expect.stringMatching(/^failed +file +SQLite says/m) as unknown });
    expect(await Promise.all(names.map((name) => readFile(file(name))))).toEqual(before);
  });

  test('with values that were damaged outside is shown with what is wrong', async () => {
    await writeFile(join(place.folder, 'cut.db'), await readFile(join(place.folder, 'good.db')));
    const database = new Database(join(place.folder, 'cut.db'));
    database.exec(`UPDATE orchestrator_queue SET payload = '{"cut' WHERE instance_id = 'waiting'`);
    database.exec(`UPDATE instances SET custom_status = '{"cut' WHERE instance_id = 'waiting'`);
    database.close();
    const at = ['--store', 'cut.db'];
    const [list, peek] = await Promise.all([place.run(['list', ...at]), place.run(['queues', 'peek', '--queue', 'orchestrator', ...at])]);
    expect([list?.code, peek?.code]).toEqual([0, 0]);
    expect(list?.stdout).toMatch(/^waiting .* damaged: custom status of instance 'waiting' cannot be read/m);
    expect(peek?.stdout).toMatch(/^waiting .* damaged: message \d+ of instance 'waiting' cannot be read/m);
  });

  test('that is an empty file is none, and stays empty', async () => {
    await writeFile(join(place.folder, 'empty.db'), '');
    const [list, doctor, start] = await Promise.all([
      place.run(['list', '--store', 'empty.db']),
      place.run(['doctor', '--store', 'empty.db']),
      place.run(['start', 'x', '--create', '--dry-run', '--id', 'new', '--store', 'empty.db']),
    ]);
    expectError(list, 5, /no store '.*empty\.db'.*\(STORE_NOT_FOUND\)/);
    expect(doctor).toMatchObject({ code: 5, stdout: expect.stringMatching(/^failed +store .*empty\.db is not there/m) as unknown });
    expect(start).toMatchObject({ code: 0, stdout: "Would start 'x' as instance 'new'\n" });
    expect((await readFile(join(place.folder, 'empty.db'))).length).toBe(0);
  });

  test('that another program has for itself is not said to be damaged', async () => {
    await writeFile(join(place.folder, 'held.db'), await readFile(join(place.folder, 'good.db')));
    const database = new Database(join(place.folder, 'held.db'));
    database.pragma('locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE');
    try {
      const doctor = await place.run(['doctor', '--store', 'held.db']);
      expect(doctor).toMatchObject({
        code: 5,
        stdout: expect.stringMatching(/^failed +file .*locked\. Another program holds/m) as unknown,
      });
    } finally {
      database.close();
    }
  });

  test('that is locked for long cannot be written, and says so', async () => {
    const database = new Database(join(place.folder, 'good.db'));
    database.exec('BEGIN IMMEDIATE');
    try {
      // Reading goes on.
      const [list, raise] = await Promise.all([
        place.run(['list', '--store', 'good.db', '--count']),
        place.run(['raise', 'waiting', 'x', '--store', 'good.db']),
      ]);
      expect(list).toMatchObject({ code: 0, stdout: '2\n' });
      expectError(raise, 5, /\(PROVIDER_(?:FAILED|TIMEOUT)\)/);
    } finally {
      database.exec('ROLLBACK');
      database.close();
    }
  });

  test('whose server does not answer is told without its password', async () => {
    const { code, stderr } = await place.run(['list', '--store', 'postgres://me:secret@127.0.0.1:1/db']);
    expect(code).toBe(5);
    expect(stderr).toContain('(DATABASE_UNREACHABLE)');
    expect(stderr).not.toContain('secret');
  });
});

describe('what users wrote', { timeout: 120_000 }, () => {
  test('cannot control a terminal', async () => {
    const store = ['--store', 'good.db'];
    const runs = await Promise.all([
      place.run(['list', ...store]),
      place.run(['list', ...store, '--json']),
      place.run(['show', 'evil\u001B[2J', ...store]),
      place.run(['\u001B[2Jcommand']),
      place.run(['list', '--status', '\u001B[2J']),
      place.run(['start', 'x', '--input', '\u001B[2J', ...store]),
    ]);
    for (const { stdout, stderr } of runs) expect(`${stdout}${stderr}`).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u);
    expect(runs[0]?.stdout).toContain(String.raw`evil\u001b]0;owned\u0007\u001b[2J\u202eid`);
    const { instances } = JSON.parse(runs[1]?.stdout ?? '') as { readonly instances: readonly { readonly instanceId: string }[] };
    expect(instances.map(({ instanceId }) => instanceId)).toContain('evil\u001B]0;owned\u0007\u001B[2J\u202Eid');
  });
});

describe('a command line', { timeout: 120_000 }, () => {
  test('that makes no sense is a usage error with a hint', async () => {
    const [command, option, json, value, both, none, noInput] = (await Promise.all([
      place.run(['lst']),
      place.run(['list', '--statu', 'Failed']),
      place.run(['list', '--limit', '0', '--json']),
      place.run(['start', 'x', '--input', 'Ada', '--store', 'good.db']),
      place.run(['replay', 'a.json', '--instance', 'b', '--code', 'c.mjs']),
      place.run(['delete', '--yes']),
      place.run(['start', 'x', '--input', '@missing.json']),
    ])) as unknown as readonly [CliRun, CliRun, CliRun, CliRun, CliRun, CliRun, CliRun];
    expectError(command, 2, /Unknown command 'lst'. Did you mean list\?/);
    expectError(option, 2, /Unknown option '--statu'. Did you mean --status\?/);
    expect([json.code, JSON.parse(json.stderr)]).toMatchObject([2, { error: { code: 'USAGE', exitCode: 2 } }]);
    expectError(value, 2, /A text needs its quotes: '"Ada"' \(USAGE\)/);
    expectError(both, 2, /USAGE/);
    expectError(none, 2, /at least one instance/);
    expectError(noInput, 3, /no file 'missing\.json'.*\(FILE_NOT_FOUND\)/);
    const [dash, argument, picture] = await Promise.all([
      place.run(['show', '-dash']),
      place.run(['completion']),
      place.run(['diagram', '--store', 'good.db']),
    ]);
    expectError(dash, 2, /An id that begins with - goes behind --\. See duraloom show --help/);
    expectError(argument, 2, /'shell'\. See duraloom completion --help/);
    expectError(picture, 2, /instance, or a history file with --file/);
  });

  test('about an instance that has not begun says so', async () => {
    const provider = await SqliteProvider.open(join(place.folder, 'anew.db'));
    const client = new Client(provider);
    for (const id of ['new', 'replaced']) await client.startOrchestration(id, 'nobody');
    await client.startOrchestration('replaced', 'nobody', 2, { onExisting: 'terminateExisting' });
    await provider.close();
    await writeFile(join(place.folder, 'code.mjs'), '');
    for (const id of ['new', 'replaced']) {
      const words = [
        ['history', id, '--recorded'],
        ['diagram', id],
        ['diagram', id, '--html'],
        ['replay', '--instance', id, '--code', 'code.mjs'],
        ['validate', '--instance', id],
      ];
      for (const run of await Promise.all(words.map((typed) => place.run([...typed, '--store', 'anew.db'])))) {
        expectError(run, 1, new RegExp(String.raw`'${id}' has no history yet: no host has run its first turn.*\(INPUT_INVALID\)`));
      }
    }
  });

  test('without a command prints help and ends with 0; so does --help of every command', async () => {
    const [bare, help, own, version] = await Promise.all([
      place.run([]),
      place.run(['--help']),
      place.run(['list', '--help']),
      place.run(['--version']),
    ]);
    expect(help.code).toBe(0);
    expect(bare.stdout).toBe(help.stdout);
    expect(help.stdout).toMatch(/Exit codes: 0 done/);
    expect(own.stdout).toMatch(/Examples:\n {2}# what needs a person\n {2}\$ duraloom list --status Failed,Quarantined/);
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('whose reader goes away ends in silence', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'history', '--help'], { cwd: place.folder });
    child.stdout.destroy();
    expect(await collect(child)).toMatchObject({ code: 0, stderr: '' });
  });

  // Only Linux has a device without room.
  test.skipIf(!existsSync('/dev/full'))('whose output has no room says so', async () => {
    for (const words of [['list'], ['list', '--json'], ['export']]) {
      const full = openSync('/dev/full', 'w');
      const child = spawn(process.execPath, [PROGRAM, ...words, '--store', 'good.db'], {
        cwd: place.folder,
        stdio: ['ignore', full, 'pipe'],
      });
      closeSync(full);
      const { code, stderr } = await collect(child);
      expect(code).toBe(1);
      expect(stderr).toMatch(/Standard output cannot be written: ENOSPC/);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
  });

  // In a clone without a build the program starts itself again, as its source.
  test('in a clone is interrupted alone, or with all its group as a terminal does, and ends with 130 once', async () => {
    const root = new URL('../../..', import.meta.url).pathname;
    const clone = join(place.folder, 'clone');
    await mkdir(join(clone, 'bin'), { recursive: true });
    await copyFile(PROGRAM, join(clone, 'bin/duraloom.js'));
    await copyFile(join(root, 'package.json'), join(clone, 'package.json'));
    for (const name of ['src', 'node_modules']) await symlink(join(root, name), join(clone, name));
    const env = { ...process.env, NODE_OPTIONS: '' };
    for (const isGroup of [false, true]) {
      const words = [join(clone, 'bin/duraloom.js'), 'watch', 'waiting', '--store', 'good.db'];
      const child = spawn(process.execPath, words, { cwd: place.folder, env, detached: true });
      const ended = collect(child);
      await once(child.stdout, 'data');
      process.kill(isGroup ? -(child.pid ?? 0) : (child.pid ?? 0), 'SIGINT');
      const { code, stderr } = await ended;
      expect([code, stderr]).toEqual([130, 'error: Interrupted (INTERRUPTED)\n']);
    }
  });

  test('that is interrupted ends with 130 and without a trace', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'watch', 'waiting', '--store', 'good.db'], { cwd: place.folder });
    const ended = collect(child);
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([130, 'error: Interrupted (INTERRUPTED)\n']);
  });

  test('shows where an unforeseen error comes from only when it is asked to', async () => {
    const run = await place.run(['validate', '--instance', 'nope', '--store', 'good.db'], { env: { DURALOOM_DEBUG: '1' } });
    expect(run.code).toBe(3);
    expect(run.stderr).toMatch(/^\s+at /m);
  });
});

describe('export', { timeout: 120_000 }, () => {
  test('leaves nothing behind when it fails', async () => {
    const run = await place.run(['export', 'no/such/folder.jsonl', '--store', 'good.db']);
    expectError(run, 3, /The folder of 'no\/such\/folder\.jsonl' is not there.*\(FILE_NOT_FOUND\)/);
    expect(existsSync(join(place.folder, 'no'))).toBe(false);
    expectError(await place.run(['export', '.', '--store', 'good.db']), 1, /'\.' is a folder/);
  });

  test('writes into a pipe, and never replaces it', async () => {
    const pipe = join(place.folder, 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    const [text, run] = await Promise.all([readFile(pipe, 'utf8'), place.run(['export', 'pipe', '--store', 'good.db'])]);
    expect(run).toMatchObject({ code: 0, stdout: 'Exported 2 instance(s) to pipe\n' });
    expect(text.trimEnd().split('\n').length).toBe(2);
    expect(statSync(pipe).isFIFO()).toBe(true);
  });
});

describe('import', { timeout: 120_000 }, () => {
  test('of broken lines names the line of the file, and says what is in the store', async () => {
    const { stdout } = await place.run(['export', '--store', 'good.db']);
    const [first = '', second = ''] = stdout.split('\n');
    const target = ['--store', 'imported.db'];
    const dry = await place.run(['import', '-', ...target, '--create', '--dry-run'], { input: stdout });
    expect(dry).toMatchObject({ code: 0, stdout: 'Would import 2 instance(s); 0 are there already\n' });
    expect(existsSync(join(place.folder, 'imported.db'))).toBe(false);
    const run = (input: string): Promise<CliRun> => place.run(['import', '-', ...target, '--create'], { input });
    expectError(await run(`\n${first}\n\n{"half":\n${second}\n`), 1, /Line 4 is no JSON: .* 1 instance\(s\) before it are in the store/);
    expectError(
      await run(`${first}\n${second.replace('"Pending"', '"Bogus"')}\n`),
      1,
      /Line 2 is no instance that duraloom export wrote.* 1 instance\(s\) before it/,
    );
    expectError(await place.run(['import', '.', ...target]), 1, /'\.' cannot be read: it is a folder/);
    expect(await place.json(['list', '--count', ...target])).toMatchObject({ count: 1 });
  });
});

describe('a dry run', { timeout: 120_000 }, () => {
  test('refuses what would be refused', async () => {
    const provider = await SqliteProvider.open(join(place.folder, 'dry.db'));
    const client = new Client(provider);
    for (const id of ['alive', 'ended']) await client.startOrchestration(id, 'nobody');
    await client.terminate('ended');
    await provider.close();
    const dry = (...words: readonly string[]): Promise<CliRun> => place.run([...words, '--dry-run', '--store', 'dry.db']);
    const actions = ['cancel', 'terminate', 'suspend', 'resume', 'retry', 'delete'] as const;
    const runs = await Promise.all(
      actions.map(async (action) => [action, await dry(action, 'ended'), await dry(action, 'alive')] as const),
    );
    expect(runs.map(([action, ended, alive]) => [action, ended.code, alive.code])).toEqual([
      ['cancel', 4, 0],
      ['terminate', 4, 0],
      ['suspend', 4, 0],
      ['resume', 4, 0],
      ['retry', 0, 4],
      ['delete', 0, 4],
    ]);
    expect(await dry('delete', 'alive', '--force')).toMatchObject({ code: 0, stdout: "alive: would delete it ('nobody', Pending)\n" });
    expect(await place.json(['list', '--count', '--store', 'dry.db'])).toMatchObject({ count: 2 });
  });
});
