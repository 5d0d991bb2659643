// Runs the program `duraloom` as a child process: through pipes, or on a pseudo terminal where the machine has `script`. And a real host beside it.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How a run ended. */
export type CliRun = { readonly code: number; readonly stdout: string; readonly stderr: string };

export const PROGRAM: string = new URL('../../bin/duraloom.js', import.meta.url).pathname;
const HOST = new URL('../surfaces/cli/host.ts', import.meta.url).pathname;

/** Where programs are run: a folder of its own. */
export type CliPlace = {
  readonly folder: string;
  /** Runs the program; `input` goes to its standard input. */
  readonly run: (words: readonly string[], options?: { readonly input?: string; readonly env?: NodeJS.ProcessEnv }) => Promise<CliRun>;
  /** Runs it with `--json`; expects exit code 0 and gives what was printed. */
  readonly json: (words: readonly string[]) => Promise<unknown>;
  readonly remove: () => Promise<void>;
};

/** Makes a folder to run the program in. */
export async function makePlace(): Promise<CliPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'duraloom-cli-'));
  const run: CliPlace['run'] = async (words, { input = '', env = {} } = {}) => {
    const child = spawn(process.execPath, [PROGRAM, ...words], { cwd: folder, env: { ...process.env, ...env } });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return await collect(child);
  };
  return {
    folder,
    run,
    json: async (words) => {
      const { code, stdout, stderr } = await run([...words, '--json']);
      if (code !== 0) throw new Error(`duraloom ${words.join(' ')} ended with ${code}: ${stderr}`);
      return JSON.parse(stdout) as unknown;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Waits for the end of a child whose streams are pipes. */
export async function collect(child: ChildProcess): Promise<CliRun> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code: code ?? (signal === 'SIGINT' ? 130 : 255), stdout, stderr };
}

/** A host on a store: a process with a runtime. */
export type CliHost = { readonly stop: () => Promise<void> };

/** Starts a host on `duraloom.db` of a folder. */
export async function startHost(folder: string): Promise<CliHost> {
  const child = spawn(process.execPath, [HOST], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    stop: async () => {
      if (child.exitCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    },
  };
}

/** Null: this machine has no `script` that can make a pseudo terminal. */
export const terminalProgram: string | null =
  spawnSync('script', ['-qec', 'true', '/dev/null'], { input: '' }).status === 0 ? 'script' : null;

/** What a person sees and types: text that appears, then an answer. */
export type Dialogue = readonly { readonly sees: string; readonly types: string }[];

/**
 * Runs the program on a pseudo terminal.
 *
 * @param place - where
 * @param words - what was typed
 * @param dialogue - answers, each typed when its text has appeared after the one before
 * @param env - more of the environment
 */
export async function runInTerminal(
  { folder }: CliPlace,
  words: readonly string[],
  dialogue: Dialogue = [],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number; readonly screen: string }> {
  const line = ['stty cols 120;', process.execPath, PROGRAM, ...words]
    .map((word, index) => (index === 0 ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(' ');
  const { NO_COLOR: _no, FORCE_COLOR: _force, CI: _ci, ...rest } = process.env;
  const child = spawn('script', ['-qec', line, '/dev/null'], { cwd: folder, env: { ...rest, TERM: 'xterm-256color', ...env } });
  let screen = '';
  let [seen, next] = [0, 0];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    for (let step = dialogue[next]; step !== undefined; step = dialogue[next]) {
      const at = screen.indexOf(step.sees, seen);
      if (at < 0) return;
      seen = at + step.sees.length;
      next += 1;
      child.stdin.write(step.types);
    }
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? 255, screen };
}
