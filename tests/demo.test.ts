// Runs the demo as its own process on small trees. What it proves about itself is in its last line; here is checked that it can also fail.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const main = join(dirname(import.meta.dirname), 'demo', 'main.ts');
const temporary = mkdtempSync(join(tmpdir(), 'duraloom-demo-test-'));
const FOLDERS = 6;
const FILES_IN_FOLDER = 24;

afterAll(() => rmSync(temporary, { recursive: true }));

/** A tree of small files with what is special: empty files, files in the root, names with spaces and newlines, links to files and to itself. */
function makeTree(name: string): string {
  const root = join(temporary, name);
  for (let folder = 0; folder < FOLDERS; folder += 1) {
    const path = join(root, `folder ${folder}`, 'inner');
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < FILES_IN_FOLDER; file += 1) writeFileSync(join(path, `${file}.txt`), `line ${folder}\n`.repeat(file * 50));
  }
  writeFileSync(join(root, 'two\nlines'), 'no line end');
  symlinkSync(root, join(root, 'loop'));
  symlinkSync('two\nlines', join(root, 'link'));
  return root;
}
const FILES = FOLDERS * FILES_IN_FOLDER + 1;
/** One for each file of such a small tree, one for the list, one for the manifest. */
const ACTIVITIES = FILES + 2;

/** A running demo: its output as it comes, and its end. */
class Demo {
  readonly child: ChildProcess;
  output = '';
  /** Folder for temporary files of this demo alone. */
  readonly temporary: string = mkdtempSync(join(temporary, 'tmp-'));
  readonly #ended: Promise<unknown>;

  constructor(...args: readonly string[]) {
    const env = { ...process.env, TMPDIR: this.temporary, TMP: this.temporary, TEMP: this.temporary };
    this.child = spawn(process.execPath, ['--conditions=duraloom-source', main, ...args], { env, stdio: 'pipe' });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.#ended = once(this.child, 'close');
  }

  /** Waits until the output has a match; fails when the demo ends before. */
  async waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (this.child.stdout === null || this.child.exitCode !== null) throw new Error(`no ${String(pattern)} in:\n${this.output}`);
      await Promise.race([once(this.child.stdout, 'data'), this.#ended]);
    }
  }

  async end(): Promise<{ readonly code: number | null; readonly lastLine: string | undefined }> {
    await this.#ended;
    return { code: this.child.exitCode, lastLine: this.output.trimEnd().split('\n').at(-1) };
  }
}

describe('the demo', () => {
  test('survives two kills, verifies the manifest and leaves nothing behind', async () => {
    const demo = new Demo(makeTree('survives'), '--kills', '2', '--pace', '20');
    expect(await demo.end(), demo.output).toEqual({
      code: 0,
      lastLine: `demo: files=${FILES} activities=${ACTIVITIES} kills=2 lost=0 duplicated_results=0 verified=true`,
    });
    expect(demo.output.match(/kill -9 of host \d+ at \d+ %/g)).toHaveLength(2);
    expect(demo.output).toMatch(/kills +2; [1-9]\d* /);
    expect(demo.output).toContain('2 links skipped, 0 not readable');
    expect(readdirSync(demo.temporary)).toEqual([]);
  });

  test('fails when a file is altered between the job and the verification', async () => {
    const root = makeTree('altered');
    const demo = new Demo(root, '--kills', '0', '--pause');
    await demo.waitFor(/Press Enter to verify/);
    appendFileSync(join(root, 'folder 3', 'inner', '7.txt'), 'x');
    writeFileSync(join(root, 'folder 1', 'new'), '');
    rmSync(join(root, 'folder 2', 'inner', '0.txt'));
    demo.child.stdin?.write('\n');
    expect(await demo.end(), demo.output).toEqual({
      code: 1,
      lastLine: `demo: files=${FILES} activities=${ACTIVITIES} kills=0 lost=0 duplicated_results=0 verified=false`,
    });
    expect(demo.output).toMatch(/DIFFERENT: folder 3\/inner\/7\.txt has 2801 bytes, the manifest says 2800/);
    expect(demo.output).toMatch(/DIFFERENT: folder 1\/new is not in the manifest/);
    expect(demo.output).toMatch(/DIFFERENT: folder 2\/inner\/0\.txt is in the manifest, but not in the tree/);
    expect(demo.output.match(/DIFFERENT/g)).toHaveLength(3);
  });

  test('fails and shows why when the host ends by itself', async () => {
    const demo = new Demo(makeTree('host'), '--kills', '0', '--pace', '1000');
    const [, pid] = await demo.waitFor(/host (\d+)/);
    process.kill(Number(pid), 'SIGKILL');
    expect((await demo.end()).code).toBe(1);
    expect(demo.output).toContain(`the host process ${String(pid)} was ended by SIGKILL`);
    expect(readdirSync(demo.temporary)).toEqual([]);
  });

  test('leaves no process and no folder behind when it is interrupted', async () => {
    const demo = new Demo(makeTree('interrupted'), '--kills', '0', '--pace', '1000');
    const [, pid] = await demo.waitFor(/host (\d+)/);
    demo.child.kill('SIGINT');
    expect((await demo.end()).code).toBe(130);
    expect(readdirSync(demo.temporary)).toEqual([]);
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
  });

  test.each([
    ['a path that does not exist', ['nowhere'], /nowhere' does not exist/],
    ['a file', ['package.json'], /package\.json' is no folder/],
    ['an empty folder', ['empty'], /empty' is empty/],
    ['an empty path', [''], /the path is empty/],
    ['a bad number', ['.', '--kills', 'many'], /--kills to be an integer from 0 to 50, got 'many'/],
    ['an unknown option', ['.', '--fast'], /--fast/],
  ])('refuses %s with a message and the usage', async (_name, args, message) => {
    mkdirSync(join(temporary, 'empty'), { recursive: true });
    writeFileSync(join(temporary, 'package.json'), '{}');
    const [path = '', ...rest] = args;
    const demo = new Demo(path === '' ? '' : join(temporary, path), ...rest);
    expect((await demo.end()).code).toBe(2);
    expect(demo.output).toMatch(message);
    expect(demo.output).toContain('npm run demo -- [path]');
  });
});
