// Runs the demo as its own process on small trees. What it proves about itself is in its last line; here is checked that it can also fail.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { HistoryEvent } from 'duraloom';
import { readArguments, UsageError } from '../demo/arguments.ts';
import { countResults } from '../demo/proof.ts';

const main = join(dirname(import.meta.dirname), 'demo', 'main.ts');
const temporary = mkdtempSync(join(tmpdir(), 'duraloom-demo-test-'));
// A server of PostgreSQL does not run as root, and must get to its folder.
chmodSync(temporary, 0o755);
const FOLDERS = 6;
const FILES_IN_FOLDER = 16;

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
    chmodSync(this.temporary, 0o755);
    const env = { ...process.env, DATABASE_URL: '', TMPDIR: this.temporary, TMP: this.temporary, TEMP: this.temporary };
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
    const demo = new Demo(makeTree('survives'), '--kills', '2', '--pace', '40');
    expect(await demo.end(), demo.output).toEqual({
      code: 0,
      lastLine: `demo: files=${FILES} activities=${ACTIVITIES} kills=2 lost=0 duplicated_results=0 verified=true`,
    });
    expect(demo.output.match(/kill -9 of host \d+ at \d+ %/g)).toHaveLength(2);
    expect(demo.output).toMatch(/kills +2; [1-9]\d* /);
    expect(demo.output).toContain('2 links skipped, 0 not readable');
    expect(readdirSync(demo.temporary)).toEqual([]);
  });

  test('does the same on a PostgreSQL server', async () => {
    const demo = new Demo(makeTree('fleet'), '--store', 'postgres', '--kills', '1', '--pace', '40');
    expect(await demo.end(), demo.output).toEqual({
      code: 0,
      lastLine: `demo: files=${FILES} activities=${ACTIVITIES} kills=1 lost=0 duplicated_results=0 verified=true`,
    });
    expect(demo.output).toContain('demo: the store is a PostgreSQL server of its own, which ends with the demo');
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
    expect(demo.output).toMatch(/DIFFERENT: folder 3\/inner\/7\.txt has 2451 bytes, the manifest says 2450/);
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

  test('prints what is wrong and the usage when it cannot follow its command line', async () => {
    const demo = new Demo(join(temporary, 'nowhere'));
    expect((await demo.end()).code).toBe(2);
    expect(demo.output).toContain(`'${join(temporary, 'nowhere')}' does not exist`);
    expect(demo.output).toContain('npm run demo -- [path]');
  });
});

describe('the proof of the demo', () => {
  const at = { atMs: 1, executionId: 1 };
  const scheduled = (id: number): HistoryEvent => ({ kind: 'ActivityScheduled', id, atMs: 1, name: 'hashChunk' });
  const completed = (id: number, sourceId: number): HistoryEvent => ({
    kind: 'ActivityCompleted',
    id,
    ...at,
    sourceId,
    result: { attempt: 2 },
  });
  const child: HistoryEvent = { kind: 'SubOrchestrationScheduled', id: 4, atMs: 1, name: 'hashFolder', instanceId: 'child' };

  test('finds nothing wrong when each activity has one result', () => {
    const history = [scheduled(1), scheduled(2), completed(3, 2), completed(4, 1)];
    expect(countResults(history)).toEqual({ activities: 2, attempts: 4, lost: 0, duplicatedResults: 0 });
  });

  test('counts activities and sub-orchestrations without a result as lost', () => {
    expect(countResults([scheduled(1), scheduled(2), completed(3, 2), child])).toMatchObject({ lost: 2, duplicatedResults: 0 });
  });

  test('counts second results, and results that nobody asked for, as duplicated', () => {
    const history = [scheduled(1), completed(2, 1), completed(3, 1), completed(4, 9)];
    expect(countResults(history)).toMatchObject({ lost: 0, duplicatedResults: 2 });
  });
});

describe('the command line of the demo', () => {
  const folder = join(temporary, 'command line');
  mkdirSync(join(folder, 'empty'), { recursive: true });
  writeFileSync(join(folder, 'file'), '');

  test('has defaults: the node_modules of the project, four kills', () => {
    const root = realpathSync(join(dirname(import.meta.dirname), 'node_modules'));
    expect(readArguments([])).toEqual({ root, kills: 4, paceMs: 0, store: 'sqlite', keep: false, pause: false });
  });

  test('asks for the usage with --help', () => {
    expect(readArguments(['--help'])).toBeNull();
  });

  test.each([
    ['a path that does not exist', [join(folder, 'nowhere')], /nowhere' does not exist/],
    ['a file', [join(folder, 'file')], /file' is no folder/],
    ['an empty folder', [join(folder, 'empty')], /empty' is empty/],
    ['an empty path', [''], /the path is empty/],
    ['two paths', [folder, folder], /expected one path, got 2/],
    ['a number that is none', [folder, '--kills', 'many'], /--kills to be an integer from 0 to 50, got 'many'/],
    ['a number out of range', [folder, '--kills', '51'], /--kills to be an integer from 0 to 50, got '51'/],
    ['a store that is none', [folder, '--store', 'paper'], /--store to be sqlite or postgres, got 'paper'/],
    ['an unknown option', [folder, '--fast'], /--fast/],
  ])('refuses %s', (_name, args, message) => {
    expect(() => readArguments(args)).toThrow(message);
    expect(() => readArguments(args)).toThrow(UsageError);
  });
});
