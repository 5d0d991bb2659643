// npm run conformance, which is `duraloom conformance`, as somebody calls it: a process of its own, its output and its exit code.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { collect, type CliRun } from '../support/cli.ts';

const ROOT = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'duraloom-command-line-'));
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly scripts: { readonly conformance: string } };
/** The script without `node`. */
const [, condition = '', program = '', command = ''] = scripts.conformance.split(' ');

afterAll(() => rmSync(folder, { recursive: true }));

async function check(...words: readonly string[]): Promise<CliRun> {
  return await collect(spawn(process.execPath, [condition, join(ROOT, program), command, ...words], { cwd: folder }));
}

/** Writes a module, and gives its path from the folder in which the command runs. */
function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return `./${name}`;
}

const lines = (text: string): readonly string[] => text.trimEnd().split('\n');

/** Processes that run many cases: seconds, much more on a machine that is busy. */
const TIMEOUT_MS = 120_000;

describe('npm run conformance', { timeout: TIMEOUT_MS }, () => {
  test('holds the memory provider to every case and says why it skips some', async () => {
    const { code, stdout, stderr } = await check('memory');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const printed = lines(stdout);
    const [, passed, skipped] = /^conformance memory: (\d+) passed, 0 failed, (\d+) skipped$/.exec(printed.at(-1) ?? '') ?? [];
    expect(Number(passed)).toBeGreaterThan(600);
    const titles = printed.filter((line) => line.startsWith('skipped  '));
    expect(titles.length).toBe(Number(skipped));
    const reasons = printed.filter((line) => line.startsWith('         '));
    expect(reasons.length).toBe(Number(skipped));
    expect(new Set(reasons.map((line) => line.trim()))).toContain('the store dies with its provider');
  });

  test.each(['sqlite', 'sqlite-memory'])('knows the provider %s', async (provider) => {
    const { code, stdout } = await check(provider, '--contract', 'creation', '--contract', 'restarts', '--verbose');
    expect(code).toBe(0);
    expect(stdout).toContain('passed   creation: a started instance is Pending and has what its start says\n');
    expect(lines(stdout).at(-1)).toBe(
      provider === 'sqlite'
        ? 'conformance sqlite: 26 passed, 0 failed, 0 skipped'
        : 'conformance sqlite-memory: 14 passed, 0 failed, 12 skipped',
    );
  });

  test('takes cases by a part of their name, and lists them', async () => {
    const { code, stdout } = await check('--list', '--case', 'T30 every fetch');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        'instance locks: T30 every fetch has a lock token of its own\nwork items: T30 every fetch of work has a lock token of its own\n',
    });
  });

  test('checks the target that a module exports, beside other things that are no targets', async () => {
    const module = write(
      'target.ts',
      `import type { ConformanceTarget } from '${ROOT}/src/conformance.ts';
       import { MemoryProvider } from '${ROOT}/src/memory.ts';
       export const mine: ConformanceTarget = { name: 'mine', open: async (clock) => ({ provider: new MemoryProvider({ clock }) }) };
       export const other = 'no target';`,
    );
    const { code, stdout, stderr } = await check(module, '--contract', 'creation');
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'conformance mine: 14 passed, 0 failed, 0 skipped\n', stderr: '' });
  });

  test('gives programs one JSON document', async () => {
    const [checked, listed] = await Promise.all([
      check('memory', '--contract', 'creation', '--json'),
      check('--list', '--contract', 'creation', '--json'),
    ]);
    expect(JSON.parse(checked.stdout)).toMatchObject({ target: 'memory', passed: 14, failed: 0, skipped: 0, results: { length: 14 } });
    expect(JSON.parse(listed.stdout)).toMatchObject({ cases: { length: 14 } });
  });

  test('shows what failed, with its error, and ends with 1', async () => {
    const module = write(
      'broken.ts',
      `import { MemoryProvider } from '${ROOT}/src/memory.ts';
       class Forgetful extends MemoryProvider {
         override async enqueueMessages(messages) { return messages.map(() => 'enqueued'); }
         override async close() { if (this.isOpen) await super.close(); }
         isOpen = true;
       }
       class Hanging extends MemoryProvider {
         override async startInstances() { return await new Promise(() => {}); }
       }
       let isFirst = true;
       export const target = { name: 'broken', open: async (clock) => {
         const provider = isFirst ? new Forgetful({ clock }) : new Hanging({ clock });
         isFirst = false;
         return { provider };
       } };`,
    );
    const { code, stdout } = await check(
      module,
      '--timeout',
      '500ms',
      '--case',
      'messages come in the order',
      '--case',
      'T6 a message for an unknown',
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/^FAILED {3}messages: T6 a message for an unknown instance is notFound and is not kept\n {9}AssertionError/m);
    expect(stdout).toMatch(
      /^FAILED {3}messages: messages come in the order in which they were enqueued\n.*the case took longer than 500 ms/m,
    );
    expect(lines(stdout).at(-1)).toMatch(/^conformance broken: \d passed, [2-9] failed, 0 skipped$/);
  });

  test.each([
    [[], 2, /^error: Name a provider: memory, sqlite, sqlite-memory, or the path of a module \(USAGE\)/],
    [['memory', 'sqlite'], 2, /^error: .*[Tt]oo many arguments.*\(USAGE\)/],
    [['sqlit'], 2, /^error: Expected the provider to be one of .*, got 'sqlit'\. Did you mean sqlite\? \(USAGE\)/],
    [['postgres'], 2, /A module is given by its path, such as \.\/postgres\.ts \(USAGE\)/],
    [['memory', '--contract', 'creatoin'], 2, /Did you mean creation\?/],
    [['memory', '--fast'], 2, /Unknown option '--fast'/],
    [['memory', '--timeout', '0'], 2, /Expected --timeout <duration> to be longer than 0/],
    [['memory', '--timeout', 'long'], 2, /got 'long'/],
    [['memory', '--case', 'no such case'], 2, /No case is left/],
    [['./missing.ts'], 3, /^error: There is no file '.\/missing\.ts'.*\(FILE_NOT_FOUND\)/],
    [[write('empty.ts', 'export const name = 1;')], 2, /'\.\/empty\.ts' exports no ConformanceTarget/],
    [
      [write('two.ts', `export const a = { name: 'a', open() {} }; export const b = { name: 'b', open() {} };`)],
      2,
      /'\.\/two\.ts' exports several targets, expected one: a, b/,
    ],
    [[write('throws.ts', `throw new Error('not today');`)], 1, /'\.\/throws\.ts' cannot be loaded: not today \(FILE_UNREADABLE\)/],
    [[write('syntax.ts', '\nexport const = 1;')], 1, /'\.\/syntax\.ts' cannot be loaded: .*syntax\.ts:2.* \(FILE_UNREADABLE\)/],
  ])('refuses %j', async (words, exitCode, message) => {
    const { code, stdout, stderr } = await check(...words);
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
