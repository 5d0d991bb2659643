// npm run conformance as somebody calls it: a process of its own, its output and its exit code.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readCommand } from '../../conformance/options.ts';

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const ROOT = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'duraloom-command-line-'));

afterAll(() => rmSync(folder, { recursive: true }));

function check(...words: readonly string[]): Promise<Ended> {
  const args = ['--conditions=duraloom-source', join(ROOT, 'conformance/main.ts'), ...words];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
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

  test('checks the target that a module exports, by --module or in place of the provider', async () => {
    const module = write(
      'target.ts',
      `import type { ConformanceTarget } from '${ROOT}/src/conformance.ts';
       import { MemoryProvider } from '${ROOT}/src/memory.ts';
       export const mine: ConformanceTarget = { name: 'mine', open: async (clock) => ({ provider: new MemoryProvider({ clock }) }) };
       export const other = 'no target';`,
    );
    for (const words of [['--module', module], [module]]) {
      const { code, stdout, stderr } = await check(...words, '--contract', 'creation');
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'conformance mine: 14 passed, 0 failed, 0 skipped\n', stderr: '' });
    }
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
      '0.5',
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
    [[], "Expected one provider of memory, sqlite, sqlite-memory or the path of a module, got ''"],
    [['memory', 'sqlite'], "got 'memory sqlite'"],
    [['memory', '--module', './x.ts'], "got 'memory ./x.ts'"],
    [
      ['postgres'],
      "Unknown provider 'postgres'. Known: memory, sqlite, sqlite-memory; a module is given by its path, such as ./postgres.ts",
    ],
    [['memory', '--contract', 'locks'], "Unknown contract 'locks'. Known: creation, closing"],
    [['memory', '--fast'], "Unknown option '--fast'"],
    [['memory', '--timeout', '0'], "Expected --timeout to be a number of seconds up to 3600, not 0, got '0'"],
    [['memory', '--timeout', 'long'], "got 'long'"],
  ])('refuses %j', (words, message) => {
    const command = readCommand(words, ['memory', 'sqlite', 'sqlite-memory'], ['creation', 'closing']);
    expect(command).toMatchObject({ kind: 'wrong', message: expect.stringContaining(message) as string });
  });

  test.each([
    [['nosuch'], /^conformance: Unknown provider 'nosuch'/],
    [['memory', '--case', 'no such case'], /^conformance: No case is left/],
    [['./missing.ts'], /^conformance: \.\/missing\.ts cannot be loaded: [^]*missing\.ts/],
    [[write('empty.ts', 'export const name = 1;')], /^conformance: \.\/empty\.ts exports no ConformanceTarget/],
    [
      [write('two.ts', `export const a = { name: 'a', open() {} }; export const b = { name: 'b', open() {} };`)],
      /^conformance: \.\/two\.ts exports several targets, expected one: a, b/,
    ],
  ])('ends with 2 and the usage for %j', async (words, message) => {
    const { code, stdout, stderr } = await check(...words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toContain('npm run conformance -- <provider> [options]');
  });

  test('--help says how it is called', async () => {
    const { code, stdout } = await check('--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^npm run conformance -- <provider> \[options\]$/m);
  });
});
