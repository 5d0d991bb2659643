// The guides as a reader would use them: their files are written to a project of its own, type-checked, and run with real threads.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { readAnchors, readGuide, readLinks, type Guide } from './support/guide-files.ts';

const root = dirname(import.meta.dirname);
const folder = join(root, 'docs/guides');
// Not below node_modules: Node strips no types there.
const project = mkdtempSync(join(tmpdir(), 'duraloom-guides-test-'));

const capabilities: readonly Guide[] = readdirSync(folder)
  .filter((file) => file.endsWith('.md'))
  .map((file) => readGuide(file.slice(0, -'.md'.length), readFileSync(join(folder, file), 'utf8')));
const others = ['provider-guide', 'tuning'].map((name) => readGuide(name, readFileSync(join(root, `docs/${name}.md`), 'utf8')));
const guides: readonly Guide[] = [...capabilities, ...others];

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

function runNode(args: readonly string[], cwd: string): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      args,
      { cwd, timeout: 25_000, env: { ...process.env, DATABASE_URL: inject('postgresUrl') } },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
      },
    );
  });
}

/** A project with what a reader would have installed. */
function writeProject(): void {
  const modules = join(project, 'node_modules');
  mkdirSync(modules);
  symlinkSync(root, join(modules, 'duraloom'), 'junction');
  for (const name of ['better-sqlite3', 'pg', 'pino', 'zod', 'valibot', 'vitest', '@types', '@opentelemetry'])
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const compilerOptions = { noEmit: true, declaration: false, isolatedDeclarations: false, customConditions: ['duraloom-source'] };
  const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions, include: ['*/*.ts'] };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config));
  for (const { name, files } of guides) {
    mkdirSync(join(project, name));
    for (const [file, text] of files) writeFileSync(join(project, name, file), text);
  }
}

beforeAll(() => writeProject());
afterAll(() => rmSync(project, { recursive: true }));

describe('guides', () => {
  test('there is one for each capability', () => {
    expect(capabilities.length).toBeGreaterThanOrEqual(11);
  });

  test('their code passes the compiler in strict mode', async () => {
    const { stdout, stderr } = await runNode([join(root, 'node_modules/typescript/bin/tsc'), '-p', project], project);
    expect(stdout + stderr).toBe('');
  });

  test.each(guides.map((guide) => [guide.name, guide] as const))('%s shows whole files only, and what they print', (_, guide) => {
    expect(guide.unnamed).toEqual([]);
    expect([...guide.files.keys()]).toContain('main.ts');
    expect(guide.output).not.toBeNull();
  });

  test.each(guides.map((guide) => [guide.name, guide] as const))('%s prints what it says', async (name, guide) => {
    const { code, stdout, stderr } = await runNode(['--conditions=duraloom-source', 'main.ts'], join(project, name));
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: guide.output, stderr: '' });
  });

  // Those of the provider guide are for a runner each: tests/conformance/provider-guide.test.ts runs them.
  const tests = capabilities.flatMap(({ name, files }) =>
    [...files.keys()].filter((file) => file.endsWith('.test.ts')).map((file) => join(name, file)),
  );

  test.each(tests)('%s passes under node --test', async (file) => {
    const { code, stdout } = await runNode(['--conditions=duraloom-source', '--test', '--test-reporter=tap', file], project);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^# tests [1-9][^]*^# fail 0$/m) as string });
  });
});

describe('documents', () => {
  const documents = [
    'README.md',
    'docs/features.md',
    'docs/reliability.md',
    'docs/provider-guide.md',
    'docs/tuning.md',
    'docs/metrics.md',
    ...capabilities.map(({ name }) => `docs/guides/${name}.md`),
  ];

  test.each(documents)('%s links to files and headings that exist', (path) => {
    const links = readLinks(readFileSync(join(root, path), 'utf8'));
    const broken = links.filter(({ path: target, anchor }) => {
      const file = join(root, target === '' ? path : join(dirname(path), target));
      if (!existsSync(file)) return true;
      return anchor !== null && !readAnchors(readFileSync(file, 'utf8')).has(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('docs/reliability.md names tests that exist', () => {
    const tests = readLinks(readFileSync(join(root, 'docs/reliability.md'), 'utf8')).filter(({ path }) => path.startsWith('../tests/'));
    expect(tests.length).toBeGreaterThan(15);
    expect(tests.filter(({ text, path }) => !readFileSync(join(root, 'docs', path), 'utf8').includes(text))).toEqual([]);
  });

  test('docs/features.md names tests that exist, and every guide', () => {
    const links = readLinks(readFileSync(join(root, 'docs/features.md'), 'utf8'));
    const tests = links.filter(({ path }) => path.startsWith('../tests/') || path.startsWith('../src/conformance/'));
    expect(tests.length).toBeGreaterThan(30);
    const missing = tests.filter(({ text, path }) => !readFileSync(join(root, 'docs', path), 'utf8').includes(text));
    expect(missing).toEqual([]);
    expect(links.map(({ path }) => path)).toEqual(expect.arrayContaining(capabilities.map(({ name }) => `guides/${name}.md`)));
  });
});
