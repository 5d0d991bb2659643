// The package as users get it: built, packed, installed into an empty project, and run there with plain .js modules, in threads.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const run = promisify(execFile);
const root = new URL('..', import.meta.url).pathname;

const MODULES: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "scratch", "private": true, "type": "module" }',
  'activities.js': `
    import { defineActivity } from 'duraloom';
    import { isMainThread } from 'node:worker_threads';
    export const greet = defineActivity('greet', async (_ctx, name) => 'Hello, ' + name + (isMainThread ? ' from main' : '!'));`,
  'orchestrations.js': `
    import { defineOrchestration } from 'duraloom';
    export const hello = defineOrchestration('hello', async (ctx, name) => ctx.scheduleActivity('greet', name));`,
  'main.js': `
    import { Client, Runtime } from 'duraloom';
    import { conformanceCases, runConformance } from 'duraloom/conformance';
    import { MemoryProvider } from 'duraloom/memory';
    import { SqliteProvider } from 'duraloom/sqlite';
    import { SimulatedClock } from 'duraloom/testing';
    import { toTimeline } from 'duraloom/views';
    if (toTimeline([]).outcome !== 'pending') throw new Error('duraloom/views is broken');
    if (new SimulatedClock(5).nowMs() !== 5) throw new Error('duraloom/testing is broken');
    const cases = conformanceCases.filter(({ contract }) => contract === 'creation');
    const open = async (clock) => ({ provider: new MemoryProvider({ clock }) });
    const { passed, failed } = await runConformance({ name: 'memory', open }, { cases });
    if (passed === 0 || failed > 0) throw new Error('duraloom/conformance is broken');
    for (const provider of [await SqliteProvider.open('hello.db'), new MemoryProvider()]) {
      const runtime = await Runtime.start({
        provider,
        orchestrations: new URL('./orchestrations.js', import.meta.url),
        activities: new URL('./activities.js', import.meta.url),
      });
      const handle = await new Client(provider).startOrchestration('hello-1', 'hello', 'Ada');
      console.log(provider.name, await handle.result({ timeout: '20s' }));
      await runtime.shutdown();
      await provider.close();
    }`,
  'types.ts': `
    import { Client, defineActivity, defineOrchestration, Runtime } from 'duraloom';
    import { SqliteProvider } from 'duraloom/sqlite';
    const activities = { length: defineActivity('length', async (_ctx, text: string) => text.length) };
    export const job = defineOrchestration('job', async (ctx, text: string): Promise<number> => ctx.activities<typeof activities>().length(text));
    const provider = await SqliteProvider.open('x.db');
    await Runtime.start({ provider, orchestrations: job });
    const result: number = await (await new Client(provider).startOrchestration('i', job, 'abc')).result();
    // @ts-expect-error the input must be text
    await new Client(provider).startOrchestration('i', job, result);`,
};

/** A Node on this machine that is too old for duraloom; null: there is none. */
function findOldNode(): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    const candidate = join(folder, 'node');
    if (!existsSync(candidate)) continue;
    const [major = 99] = execFileSync(candidate, ['--version']).toString().slice(1).split('.').map(Number);
    if (major < 22) return candidate;
  }
  return null;
}

const oldNode = findOldNode();

describe('the packed package', () => {
  let folder = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'duraloom-package-'));
    await run('npm', ['pack', '--pack-destination', folder], { cwd: root });
    for (const [name, text] of Object.entries(MODULES)) await writeFile(join(folder, name), text);
    const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? 'no tarball';
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`], { cwd: folder });
  }, 120_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('runs hello world in threads from plain .js modules, on both stores', async () => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const { stdout } = await run(process.execPath, ['main.js'], { cwd: folder, env });
    expect(stdout).toBe('sqlite Hello, Ada!\nmemory Hello, Ada!\n');
  });

  // Needs an older Node beside the pinned one; machines without one cannot show it. tests/types/node-version.test.ts checks the rule itself.
  test.skipIf(oldNode === null)('refuses a Node that is too old with a typed error, before a native module can crash it', async () => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const failure: unknown = await run(oldNode ?? '', ['main.js'], { cwd: folder, env }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 1, signal: null, stderr: expect.stringContaining('NODE_TOO_OLD') as unknown });
  });

  test('has the program duraloom, which looks at the store that a host has left', async () => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const duraloom = async (...words: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> =>
      await run(process.execPath, [join(folder, 'node_modules/.bin/duraloom'), ...words], { cwd: folder, env });
    expect((await duraloom('list', '--store', 'hello.db')).stdout).toMatch(/^hello-1 +hello +1\.0\.0 +Completed /m);
    expect(JSON.parse((await duraloom('doctor', '--json', '--store', 'hello.db')).stdout)).toMatchObject({
      checks: expect.arrayContaining([expect.objectContaining({ check: 'threads', outcome: 'ok' })]) as unknown,
    });
    await duraloom('init', 'project');
    expect(JSON.parse(await readFile(join(folder, 'project/package.json'), 'utf8'))).toMatchObject({
      dependencies: { duraloom: expect.stringMatching(/^\^\d/) as unknown },
      scripts: { start: 'node host.ts' },
    });
    // As after an install without optional packages.
    await rm(join(folder, 'node_modules/commander'), { recursive: true });
    const failure: unknown = await duraloom('list').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 1, stderr: expect.stringMatching(/npm install commander \(PACKAGE_MISSING\)\n$/) as unknown });
  });

  // As above.
  test.skipIf(oldNode === null)('has a program that tells an old Node what it needs', async () => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const program = join(folder, 'node_modules/.bin/duraloom');
    const failure: unknown = await run(oldNode ?? '', [program, 'list'], { cwd: folder, env }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error: duraloom needs Node 22\.18.*\(NODE_TOO_OLD\)\n$/) as unknown,
    });
  });

  test('gives types to its users', async () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--skipLibCheck', 'false', '--types', 'node'];
    const roots = ['--typeRoots', join(root, 'node_modules/@types')];
    const { stdout } = await run(process.execPath, [tsc, ...options, ...roots, 'types.ts'], { cwd: folder }).catch((error: unknown) => ({
      stdout: String((error as { readonly stdout?: unknown }).stdout),
    }));
    expect(stdout).toBe('');
  });
});
